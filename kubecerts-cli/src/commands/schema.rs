//! `kubecerts schema`

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::schema::{self, Document};

/// Print the JSON Schema of the documents that kubecerts writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document; by default all of them in one schema.
    #[arg(value_enum)]
    document: Option<Document>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match args.document {
        Some(document) => output.data(document.text()),
        None => output.data(&schema::all()),
    }
    Ok(Exit::Fine)
}

//! `kubecerts bulk`

mod sign;
mod trees;

use clap::Subcommand;

use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make certificates by the thousand, on all processors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: BulkCommand,
}

impl Args {
    /// Returns which node is meant, if one is.
    pub(crate) const fn node(&self) -> Option<&NodeArgs> {
        match &self.command {
            BulkCommand::Sign(args) => Some(&args.node),
            BulkCommand::Trees(_) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
enum BulkCommand {
    Sign(Box<sign::Args>),
    Trees(trees::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        BulkCommand::Sign(args) => sign::run(args, output),
        BulkCommand::Trees(args) => trees::run(args, output),
    }
}

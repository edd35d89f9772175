//! `kubecerts bulk sign`

use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Sign certificate requests by the thousand with an authority whose key is here.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(_args: &Args, _output: &mut Output) -> Result<Exit, CommandError> {
    Err(CommandError::failed("nothing can be signed in bulk yet"))
}

//! `kubecerts ca status`

use crate::args::NodeArgs;
use crate::commands::scan;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::authorities::authorities;

/// Show the authorities: who has their keys, when they end, and which files trust them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let (_, inventory) = scan(&args.node.open()?)?;
    output.data(&authorities(&inventory, kubecerts_host::now()));
    Ok(Exit::Fine)
}

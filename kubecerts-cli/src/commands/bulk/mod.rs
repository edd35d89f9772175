//! `kubecerts bulk`

mod sign;
mod trees;

use clap::{Subcommand, ValueEnum};
use kubecerts_host::bulk::{OnError, Shard};

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

/// Which part of the work is this process's.
#[derive(Debug, clap::Args)]
struct PartArgs {
    /// Do only the part I of N, counted from 0: every N-th one. `/N` takes I from JOB_COMPLETION_INDEX, which an Indexed Job sets.
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,

    #[arg(long, hide = true, env = "JOB_COMPLETION_INDEX")]
    shard_index: Option<String>,
}

impl PartArgs {
    fn shard(&self) -> Result<Option<Shard>, CommandError> {
        let shard = self.shard.as_deref().map(|text| Shard::parse(text, self.shard_index.as_deref()));
        shard.transpose().map_err(|error| CommandError::of_shard(&error))
    }
}

/// What is refused, and the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum OnErrorArg {
    /// Go on with the next, and end with exit code 6.
    Skip,
    /// End there, with exit code 6: what is done by then stays, except in one file of trees, which is there whole or not at all.
    Stop,
}

impl From<OnErrorArg> for OnError {
    fn from(argument: OnErrorArg) -> Self {
        match argument {
            OnErrorArg::Skip => Self::Skip,
            OnErrorArg::Stop => Self::Stop,
        }
    }
}

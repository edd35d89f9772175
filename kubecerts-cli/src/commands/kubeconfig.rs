//! `kubecerts kubeconfig`

mod break_glass;
mod set_ca;
mod user;

use clap::Subcommand;

use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make kubeconfigs for further users, or change whom kubeconfigs trust.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: KubeconfigCommand,
}

impl Args {
    /// Returns which node is meant.
    pub(crate) const fn node(&self) -> &NodeArgs {
        match &self.command {
            KubeconfigCommand::BreakGlass(args) => &args.tree.node,
            KubeconfigCommand::SetCa(args) => &args.node,
            KubeconfigCommand::User(args) => &args.tree.node,
        }
    }
}

#[derive(Debug, Subcommand)]
enum KubeconfigCommand {
    BreakGlass(break_glass::Args),
    SetCa(set_ca::Args),
    User(user::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        KubeconfigCommand::BreakGlass(args) => break_glass::run(args, output),
        KubeconfigCommand::SetCa(args) => set_ca::run(args, output),
        KubeconfigCommand::User(args) => user::run(args, output),
    }
}

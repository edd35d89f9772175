//! `kubecerts ca`

mod extend;
mod hash;
mod join_command;
mod status;

use clap::Subcommand;
use kubecerts_core::catalog::CaSlot;

use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Look at the authorities, give them a later end, and let other nodes join.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: CaCommand,
}

impl Args {
    /// Returns which node is meant.
    pub(crate) const fn node(&self) -> &NodeArgs {
        match &self.command {
            CaCommand::Status(args) => &args.node,
            CaCommand::Extend(args) => &args.node,
            CaCommand::Hash(args) => &args.node,
            CaCommand::JoinCommand(args) => &args.node,
        }
    }
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    Status(status::Args),
    Extend(extend::Args),
    Hash(hash::Args),
    JoinCommand(join_command::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        CaCommand::Status(args) => status::run(args, output),
        CaCommand::Extend(args) => extend::run(args, output),
        CaCommand::Hash(args) => hash::run(args, output),
        CaCommand::JoinCommand(args) => join_command::run(args, output),
    }
}

/// Returns the authority with this name.
fn authority(name: &str) -> Result<CaSlot, CommandError> {
    CaSlot::ALL.into_iter().find(|ca| ca.name() == name).ok_or_else(|| {
        let names: Vec<&str> = CaSlot::ALL.into_iter().map(CaSlot::name).collect();
        CommandError::usage(format!("{name:?} is no authority"))
            .with_hint(format!("the names are: {}", names.join(", ")))
    })
}

/// Says that the file of an authority holds no certificate that can be read.
fn unreadable(ca: CaSlot, inventory: &kubecerts_core::inventory::Inventory) -> CommandError {
    let authority = inventory.authority(ca);
    let problem = authority.certificate().problem().unwrap_or_else(|| "does not exist".to_owned());
    CommandError::failed(format!("{}: {problem}", authority.certificate_file().path))
        .with_hint("see what is wrong with: kubecerts check")
}

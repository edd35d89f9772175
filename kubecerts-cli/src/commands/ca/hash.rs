//! `kubecerts ca hash`

use kubecerts_core::issue::key_pins;

use super::{authority, unreadable};
use crate::args::NodeArgs;
use crate::commands::scan;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Print the hash of an authority's public key, as `kubeadm join --discovery-token-ca-cert-hash` takes it.
///
/// One line for each certificate in the file with a key of its own. A later end does not change the hash.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The authority: ca, etcd-ca or front-proxy-ca.
    #[arg(value_name = "NAME", default_value = "ca")]
    name: String,

    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let ca = authority(&args.name)?;
    let (_, inventory) = scan(&args.node.open()?)?;
    let pins = key_pins(&inventory, ca);
    if pins.is_empty() {
        return Err(unreadable(ca, &inventory));
    }
    let lines: String = pins.iter().map(|pin| format!("{pin}\n")).collect();
    output.data(&lines);
    Ok(Exit::Fine)
}

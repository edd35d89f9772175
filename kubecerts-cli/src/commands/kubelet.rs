//! `kubecerts kubelet`

mod bootstrap;
mod credential;
mod install;
mod request;

use std::path::Path;

use clap::Subcommand;
use kubecerts_core::catalog::NodeName;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::Term;
use kubecerts_core::plan::node_name;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::FileState;
use kubecerts_core::x509::Certificate;

use super::inspect::read_stdin;
use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Give a node's kubelet a credential again, when it has lost its own and the key of the authority is on another node.
///
/// Where the key of the authority is, `credential` makes certificate and key; or, so that no key travels, `request` on the node
/// makes a key and a request that `credential --csr` signs. `install` puts the result in place on the node. With `bootstrap`
/// the kubelet asks the API server itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: KubeletCommand,
}

impl Args {
    /// Returns which node is meant.
    pub(crate) const fn node(&self) -> &NodeArgs {
        match &self.command {
            KubeletCommand::Credential(args) => &args.tree,
            KubeletCommand::Request(args) => &args.tree,
            KubeletCommand::Install(args) => &args.tree,
            KubeletCommand::Bootstrap(args) => &args.tree,
        }
    }
}

#[derive(Debug, Subcommand)]
enum KubeletCommand {
    Credential(credential::Args),
    Request(request::Args),
    Install(install::Args),
    Bootstrap(bootstrap::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        KubeletCommand::Credential(args) => credential::run(args, output),
        KubeletCommand::Request(args) => request::run(args, output),
        KubeletCommand::Install(args) => install::run(args, output),
        KubeletCommand::Bootstrap(args) => bootstrap::run(args, output),
    }
}

/// Returns the name that was given, or the one that the files of the node state.
fn name_of_node(given: Option<&NodeName>, inventory: &Inventory) -> Result<NodeName, CommandError> {
    given.cloned().or_else(|| node_name(inventory)).ok_or_else(|| {
        CommandError::failed("nothing states the name of this node")
            .with_hint("say --node NAME, with the name that kubectl get nodes shows")
    })
}

/// Reads a file of this machine, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<SecretBytes, CommandError> {
    if is_stream(path) {
        return read_stdin();
    }
    match kubecerts_host::read_file(path)?.1 {
        FileState::Present(content) => Ok(SecretBytes::new(content.secret_bytes().to_vec())),
        FileState::Absent | FileState::Unreadable(_) => unreachable!("what was read is there"),
    }
}

/// Writes a secret into a new file, or to standard output for `-`; never to a terminal.
pub(super) fn write_secret(
    path: &Path,
    content: &SecretBytes,
    output: &mut Output,
) -> Result<(), CommandError> {
    if is_stream(path) {
        output.raw(content.secret_bytes());
        return Ok(());
    }
    Ok(kubecerts_host::write_new_secret_file(path, content)?)
}

/// Refuses to show a secret to whoever looks at the screen.
pub(super) fn refuse_terminal(path: &Path, output: &Output) -> Result<(), CommandError> {
    if is_stream(path) && output.is_terminal() {
        return Err(CommandError::refused("a secret is not written to a terminal, nothing was made")
            .with_hint("name a file with --out FILE, or pipe the output"));
    }
    Ok(())
}

pub(super) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Says what was made.
pub(super) fn describe(certificate: &Certificate, term: Term, output: &mut Output) {
    let not_after = certificate.not_after();
    let subject = certificate.subject();
    output.note(&format!(
        "made a certificate of {subject}, serial {}, valid to {not_after}",
        certificate.serial()
    ));
    if not_after < term.now.plus(term.lifetime) {
        output.warning("it ends with its authority, earlier than asked for");
    }
}

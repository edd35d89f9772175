//! `kubecerts kubelet install`

use std::path::PathBuf;

use kubecerts_core::catalog::{NodeName, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{Installation, node_file, node_installation};
use kubecerts_core::plan::check_clock;
use kubecerts_core::x509::Certificate;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::{Report, SystemEntropy};

use super::{name_of_node, read};
use crate::args::{ChangeArgs, Form, NodeArgs, Whereabouts, quoted};
use crate::commands::renew::write;
use crate::commands::{Consent, begin_unless_dry, mention};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Put a credential that was made elsewhere in place for this node's kubelet.
///
/// Checks that certificate and key belong together, to this node and to its cluster. Then writes a file with the date, moves the
/// link kubelet-client-current.pem to it, and makes kubelet.conf refer to the link if it does not: all of it or nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The certificate that `kubecerts kubelet credential --csr` made, or `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "pem", requires = "key")]
    certificate: Option<PathBuf>,

    /// The key that `kubecerts kubelet request` made on this node.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// A file with certificate and key that `kubecerts kubelet credential` made, or `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key"])]
    pem: Option<PathBuf>,

    /// The name of this node [default: from its certificates, its files, or the host's name].
    #[arg(long = "node", value_name = "NAME", conflicts_with = "node_name")]
    name: Option<NodeName>,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Check everything, and write nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(super) tree: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { certificate, key, pem, name, yes, dry_run, tree } = args;
    let whereabouts = tree.whereabouts();
    let (Some(certificate), Some(key)) =
        (pem.as_ref().or(certificate.as_ref()), pem.as_ref().or(key.as_ref()))
    else {
        return Err(CommandError::usage("there is no certificate with its key")
            .with_hint("name them with --pem FILE"));
    };
    let public = read(certificate)?;
    let secret = if pem.is_some() { None } else { Some(read(key)?) };
    let node = tree.open()?;
    let change = ChangeArgs { yes: *yes, dry_run: *dry_run, output: Form::Text };
    let mut session = begin_unless_dry(&node, "kubelet install", &change, &whereabouts, output)?;
    let snapshot = node.scan()?;
    let inventory = Inventory::parse(&snapshot);
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let name = name_of_node(name.as_ref(), &inventory)?;
    let secret = secret.as_ref().unwrap_or(&public);
    let credential = node_file(public.secret_bytes(), secret.secret_bytes(), &name)?;
    let installation = node_installation(credential, snapshot, now, &mut SystemEntropy::new())?;

    show(&installation, output);
    let Some(session) = &mut session else {
        output.note("dry run: everything was checked, nothing was written");
        return Ok(exit(&installation, &whereabouts, output));
    };
    Consent::of(*yes).ask("Put this in place?", output)?;
    let report = write(&installation.changes, Purpose::new("kubelet install"), session, Form::Text, output)?;
    prove(&installation.certificate, &report, &whereabouts)?;
    mention(&report.leftovers, output);
    output.note("the kubelet takes it up when it starts");
    output.hint("systemctl restart kubelet");
    output.hint(&format!(
        "the key is in place, so remove what was brought: rm {}",
        quoted(&key.display().to_string())
    ));
    Ok(exit(&installation, &whereabouts, output))
}

/// Shows what will be written, and what is not as one might expect.
fn show(installation: &Installation, output: &mut Output) {
    let Installation { certificate, replaced, changes, is_authority_known, .. } = installation;
    let described = |certificate: &Certificate| {
        format!(
            "{}, serial {}, valid to {}",
            certificate.subject(),
            certificate.serial(),
            certificate.not_after()
        )
    };
    output.data(&format!("The kubelet gets {}\n", described(certificate)));
    if let Some(replaced) = replaced {
        output.data(&format!("        after {}\n", described(replaced)));
        if certificate.not_after() < replaced.not_after() {
            output.warning("it ends earlier than the one that it succeeds");
        }
    }
    for change in changes.changes() {
        match change.dated() {
            Some(name) => output.data(&format!("{}: a link to the new file {name}\n", change.path())),
            None => output.data(&format!("{}: refers to it\n", change.path())),
        }
    }
    if !is_authority_known {
        output.warning(
            "this node has no certificate of the authority, so nobody can tell here whether that signed it",
        );
    }
}

/// Says whether the kubelet will find the credential.
fn exit(installation: &Installation, whereabouts: &Whereabouts, output: &mut Output) -> Exit {
    let Some(reason) = &installation.left else { return Exit::Fine };
    output.error(&CommandError::of_kubelet_conf(reason).at(whereabouts));
    Exit::Incomplete
}

/// Refuses to call it done when something else is there.
fn prove(certificate: &Certificate, report: &Report, whereabouts: &Whereabouts) -> Result<(), CommandError> {
    let found = report.inventory.credential(Slot::KubeletClient);
    if found.is_some_and(|found| found.leaf() == Some(certificate) && found.key_matches() == Some(true)) {
        return Ok(());
    }
    Err(CommandError::failed("the kubelet's certificate on disk is not what was written").with_hint(format!(
        "somebody else may be writing to the tree; see what is there with: kubecerts check{}",
        whereabouts.options
    )))
}

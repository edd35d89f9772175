//! `kubecerts kubeconfig set-ca`

use std::collections::BTreeSet;

use kubecerts_core::catalog::{KubeconfigSlot, Slot};
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{CopyChange, outdated_trust_changes, trust_tree};
use kubecerts_core::observation::Observations;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{Plan, check_clock, trust};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::disk::{FILE_LIMIT, RealDisk};
use kubecerts_host::{CopyWrite, Node, Session, SystemEntropy};

use crate::args::{ChangeArgs, Form, NodeArgs, Whereabouts, tree_path};
use crate::commands::{Consent, begin_unless_dry, explain_deferred, mention, prove, renew, scan};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, text};

/// Let kubeconfigs trust the certificates in ca.crt.
///
/// In each, certificate-authority-data of the current context's cluster is replaced and every other byte stays. Those of the tree
/// are changed all or none, with a backup. One that refers to a file instead of embedding certificates is left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kubeconfigs of the tree (admin.conf, kubelet.conf …); by default those that lack a certificate of ca.crt.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Another kubeconfig of the node, wherever it lies; owner and mode stay.
    #[arg(long, value_name = "FILE", value_parser = tree_path)]
    file: Vec<TreePath>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { names, file, change, node } = args;
    let names = names.iter().map(|name| kubeconfig(name)).collect::<Result<BTreeSet<_>, _>>()?;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    // Whoever names files only means these only.
    let plan = match (names.is_empty(), file.is_empty()) {
        (true, false) => None,
        _ => Some(trust(&inventory, &names, now)?),
    };
    let layout = inventory.node().layout();
    if let Some((path, known)) = file.iter().find_map(|path| Some((path, layout.slot_of(path)?))) {
        let error = CommandError::usage(format!("{path} belongs to the tree"));
        return Err(match known.slot() {
            Slot::Kubeconfig(name) => {
                error.with_hint(format!("name it without --file: kubecerts kubeconfig set-ca {name}"))
            }
            _ => error.with_hint("it is no kubeconfig; name one, or a kubeconfig elsewhere with --file FILE"),
        });
    }
    let (changes, mut is_incomplete) = foreign(file, &node, &inventory, &whereabouts, output);
    if let Some(plan) = &plan {
        if change.output == Form::Text {
            output.data(&text::plan_to(text::CHANGE, plan, &inventory));
        }
        explain_deferred(plan, &whereabouts, output);
    }
    for change in &changes {
        output.note(&format!("{} is to trust the certificates in ca.crt", change.path()));
    }
    // With names, only these were asked for.
    let bundles = if names.is_empty() && file.is_empty() {
        outdated_trust_changes(&snapshot, &inventory)
    } else {
        Vec::new()
    };
    for bundle in &bundles {
        output.note(&format!("{} gets the authority's certificate with the later end", bundle.path()));
    }
    let is_idle = plan.as_ref().is_none_or(Plan::is_empty) && changes.is_empty() && bundles.is_empty();
    let mut session = if is_idle {
        None
    } else {
        begin_unless_dry(&node, "kubeconfig set-ca", change, &whereabouts, output)?
    };
    if let Some(session) = &mut session {
        Consent::of(change.yes).ask("Let these kubeconfigs trust ca.crt?", output)?;
        is_incomplete |= write_foreign(&changes, session, output)?;
    }
    if let Some(plan) = &plan {
        carry_out(plan, &bundles, (&snapshot, &inventory), session.as_mut(), change, &whereabouts, output)?;
    }
    is_incomplete |= plan.as_ref().is_some_and(Plan::is_incomplete);
    Ok(if is_incomplete { Exit::Incomplete } else { Exit::Fine })
}

/// Signs nothing and writes the kubeconfigs of the tree, unless there is nothing to do or no session to do it in.
fn carry_out(
    plan: &Plan,
    bundles: &[CopyChange],
    (snapshot, inventory): (&Snapshot, &Inventory),
    session: Option<&mut Session<'_>>,
    change: &ChangeArgs,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<(), CommandError> {
    let report = match session {
        Some(session) if !plan.is_empty() || !bundles.is_empty() => {
            let changes = renew::sign(plan, snapshot)?;
            let beside: Vec<CopyWrite<'_>> = bundles.iter().map(CopyWrite::from).collect();
            let purpose = Purpose::of_plan("kubeconfig set-ca", plan);
            Some(renew::write_with(&changes, &beside, purpose, session, change.output, output)?)
        }
        _ => None,
    };
    if change.output == Form::Json {
        let after = report.as_ref().map_or(inventory, |report| &report.inventory);
        let diagnosis = diagnose(after, &Observations::none(), Policy::default(), kubecerts_host::now());
        output.data(&documents::renewal(plan, report.as_ref(), &diagnosis, whereabouts).to_json());
    }
    if let Some(report) = &report {
        prove(plan, report, whereabouts)?;
        if change.output == Form::Text {
            output.data(&text::changed(plan, report));
        }
        mention(&report.leftovers, output);
    } else if change.dry_run && !plan.is_empty() {
        let files = text::counted(renew::sign(plan, snapshot)?.changes().len(), "file");
        output.note(&format!("dry run: {files} made in memory, nothing was written"));
    }
    Ok(())
}

/// Returns what to write into the kubeconfigs at `paths`, and whether one of them cannot be changed.
fn foreign(
    paths: &[TreePath],
    node: &Node,
    inventory: &Inventory,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> (Vec<CopyChange>, bool) {
    let mut changes = Vec::new();
    let mut is_incomplete = false;
    for path in paths {
        let state = node.root().read(path, FILE_LIMIT, &RealDisk);
        match trust_tree(path, &state, inventory) {
            Ok(change) => changes.push(change),
            Err(reason) if reason.is_obstacle() => {
                is_incomplete = true;
                output.error(&CommandError::failed(format!("{path} {reason}")).with_hint(format!(
                    "see what it holds with: kubecerts inspect {}",
                    whereabouts.file(path)
                )));
            }
            Err(reason) => output.note(&format!("{path} is left as it is: {reason}")),
        }
    }
    (changes, is_incomplete)
}

/// Writes the kubeconfigs outside the tree; returns whether one of them was refused.
fn write_foreign(
    changes: &[CopyChange],
    session: &mut Session<'_>,
    output: &mut Output,
) -> Result<bool, CommandError> {
    if changes.is_empty() {
        return Ok(false);
    }
    let writes: Vec<CopyWrite<'_>> = changes.iter().map(CopyWrite::from).collect();
    let copies = session.refresh_copies(&writes, &mut SystemEntropy::new(), &mut |_| {})?;
    for path in &copies.refreshed {
        output.note(&format!("{path} trusts the certificates in ca.crt"));
    }
    for (path, error) in &copies.refused {
        output.warning(&format!("{path} is left as it is: {error}"));
    }
    mention(&copies.leftovers, output);
    Ok(!copies.refused.is_empty())
}

/// Returns the kubeconfig of the tree with this name.
fn kubeconfig(name: &str) -> Result<KubeconfigSlot, CommandError> {
    match name.parse::<Slot>() {
        Ok(Slot::Kubeconfig(kubeconfig)) => Ok(kubeconfig),
        Ok(_) | Err(_) => {
            let names: Vec<&str> = KubeconfigSlot::ALL.into_iter().map(KubeconfigSlot::name).collect();
            Err(CommandError::usage(format!("{name:?} is no kubeconfig of the tree"))
                .with_hint(format!("the names are: {}; any other file: --file FILE", names.join(", "))))
        }
    }
}

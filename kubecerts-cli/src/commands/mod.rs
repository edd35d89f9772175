//! One file per command: its arguments with their help, and a `run` that calls the libraries and renders.

pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bulk;
pub(crate) mod ca;
pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completion;
pub(crate) mod csr;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod forecast;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod join_node;
pub(crate) mod kubeconfig;
pub(crate) mod kubelet;
pub(crate) mod live;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod recover;
pub(crate) mod renew;
pub(crate) mod rescue;
pub(crate) mod restart;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod sign;
pub(crate) mod snapshot;
pub(crate) mod verify;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use kubecerts_core::catalog::Slot;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{
    Deferred, KeyChoice, NameChange, Plan, PlanRequest, Selection, plan as make_plan,
};
use kubecerts_core::snapshot::{ReadProblem, Snapshot};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_host::crypto::FastHalves;
use kubecerts_host::disk::{DiskError, RealDisk, recovery};
use kubecerts_host::{Node, Report, Session, SystemEntropy, read_policy};

use crate::args::{ChangeArgs, Command, NodeArgs, RenewalArgs, SanArgs, Whereabouts};
use crate::error::{CommandError, deferral};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

/// Runs `command`.
pub(crate) fn run(command: Command, output: &mut Output) -> Result<Exit, CommandError> {
    let whereabouts = command.node().map(NodeArgs::whereabouts).unwrap_or_default();
    let exit = match &command {
        Command::Check(args) => check::run(args, output),
        Command::Doctor(args) => doctor::run(args, output),
        Command::Forecast(args) => forecast::run(args, output),
        Command::Plan(args) => plan::run(args, output),
        Command::Renew(args) => renew::run(args, output),
        Command::Apply(args) => apply::run(args, output),
        Command::Backup(args) => backup::run(args, output),
        Command::Rollback(args) => rollback::run(args, output),
        Command::RecoverJournal(args) => recover::run(args, output),
        Command::Recover(args) => rescue::run(args, output),
        Command::Restart(args) => restart::run(args, output),
        Command::Verify(args) => verify::run(args, output),
        Command::Explain(args) => explain::run(args, output),
        Command::Ca(args) => ca::run(args, output),
        Command::Kubeconfig(args) => kubeconfig::run(args, output),
        Command::Kubelet(args) => kubelet::run(args, output),
        Command::Init(args) => init::run(args, output),
        Command::Csr(args) => csr::run(args, output),
        Command::Import(args) => import::run(args, output),
        Command::Sign(args) => sign::run(args, output),
        Command::Bulk(args) => bulk::run(args, output),
        Command::Inspect(args) => inspect::run(args, output),
        Command::JoinNode(args) => join_node::run(args, output),
        Command::Snapshot(args) => snapshot::run(args, output),
        Command::Compare(args) => compare::run(args, output),
        Command::Certs(args) => certs::run(args, output),
        Command::Bench(args) => bench::run(args, output),
        Command::Demo(args) => demo::run(args, output),
        Command::Schema(args) => schema::run(args, output),
        Command::Completion(args) => completion::run(args, output),
        Command::Man(args) => man::run(args, output),
    };
    exit.map_err(|error| error.at(&whereabouts))
}

/// Whether the consent to a change was given on the command line, or has to be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Consent {
    Given,
    ToBeAsked,
}

impl Consent {
    /// Returns the consent that `--yes` gives.
    const fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::ToBeAsked }
    }

    /// Asks, unless the consent was given.
    fn ask(self, question: &str, output: &mut Output) -> Result<(), CommandError> {
        if self == Self::Given {
            return Ok(());
        }
        match output.confirm(question) {
            Some(true) => Ok(()),
            Some(false) => Err(CommandError::refused("not confirmed, nothing was changed")
                .with_hint("try it without changes: --dry-run")),
            None => Err(CommandError::refused("there is no terminal to ask on, nothing was changed")
                .with_hint("say --yes to do it without a question, or --dry-run to try it without changes")),
        }
    }
}

/// Takes the right to write to `node`, and recovers a run that was interrupted.
fn begin<'n>(
    node: &'n Node,
    command: &str,
    consent: Consent,
    output: &mut Output,
) -> Result<Session<'n>, CommandError> {
    let mut session = Session::begin(node, command)?;
    if let Some(interrupted) = session.interrupted()? {
        recover::recover(&interrupted, &mut session, consent, output)?;
    }
    Ok(session)
}

/// The same, unless nothing is to be written; then an interrupted run is only mentioned.
fn begin_unless_dry<'n>(
    node: &'n Node,
    command: &str,
    change: &ChangeArgs,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<Option<Session<'n>>, CommandError> {
    if change.dry_run {
        mention_interrupted(node, whereabouts, output);
        return Ok(None);
    }
    begin(node, command, Consent::of(change.yes), output).map(Some)
}

/// Mentions a run that was interrupted, to somebody who only looks.
fn mention_interrupted(node: &Node, whereabouts: &Whereabouts, output: &mut Output) {
    match recovery::examine(node.root(), node.state(), &RealDisk) {
        Ok(None) => {}
        Ok(Some(interrupted)) => {
            output.warning(&text::interrupted(&interrupted));
            output.hint(&format!("kubecerts recover-journal{}", whereabouts.options));
        }
        // Who may not read the journal can do nothing about it either.
        Err(error) if is_denied(&error) => {}
        Err(error) => {
            let error = CommandError::from(error).at(whereabouts);
            output.warning(error.message());
            for hint in error.hints() {
                output.hint(hint);
            }
        }
    }
}

/// Returns whether the journal is out of reach for somebody who is not root.
fn is_denied(error: &DiskError) -> bool {
    match error {
        DiskError::JournalDamaged { reason, .. } => *reason == ReadProblem::PermissionDenied.to_string(),
        DiskError::State { source, .. } | DiskError::Recover { source, .. } => {
            source.kind() == ErrorKind::PermissionDenied
        }
        DiskError::Refused { problem, .. } => *problem == ReadProblem::PermissionDenied,
        _ => false,
    }
}

/// Mentions temporary files that could not be removed.
fn mention(leftovers: &[TreePath], output: &mut Output) {
    for path in leftovers {
        output.warning(&format!("{path} could not be removed, the next run will try again"));
    }
}

/// Scans `node`, and refuses a tree in which there is nothing at all.
fn scan(node: &Node) -> Result<(Snapshot, Inventory), CommandError> {
    scan_again(node, None)
}

/// Scans as [`scan`] does. What is as it was `before` says what it said.
fn scan_again(
    node: &Node,
    before: Option<(Snapshot, Inventory)>,
) -> Result<(Snapshot, Inventory), CommandError> {
    let snapshot = node.scan()?;
    let inventory = match before {
        Some((earlier, inventory)) if earlier == snapshot => inventory,
        _ => Inventory::parse_with(&snapshot, &FastHalves),
    };
    if inventory.is_empty() {
        return Err(nothing_there(node, &snapshot));
    }
    Ok((snapshot, inventory))
}

/// Refuses nodes of which two have one name: they would be taken for each other.
fn refuse_namesakes<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), CommandError> {
    let mut known = BTreeSet::new();
    let mut again = names.filter(|name| !known.insert(*name));
    again.next().map_or(Ok(()), |name| {
        Err(CommandError::usage(format!("two of the nodes are called {}", name.escape_debug()))
            .with_hint("name one snapshot of each node"))
    })
}

/// Returns that there is nothing at all of a control plane.
fn nothing_there(node: &Node, snapshot: &Snapshot) -> CommandError {
    let directories = snapshot.node().directories();
    let root = node.root().directory().display();
    CommandError::failed(format!(
        "there is no certificate in {} and no kubeconfig in {}, below {root}",
        directories.certificates, directories.kubeconfigs
    ))
    .with_hint("run it on a control-plane node, or say where the files are with --rootfs, --cert-dir, --kubeconfig-dir")
}

/// Returns the plan that `args` ask for.
fn plan_for(
    args: &RenewalArgs,
    node: &Node,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Plan, CommandError> {
    let mut request = PlanRequest::for_node(inventory.node());
    request.selection = selection(&args.names, args.all)?;
    request.window = args.window.within;
    state_lifetimes(args.policy.as_deref(), args.validity, node, &mut request)?;
    request.permissions.extend(&args.allow_change);
    state_names(&args.san, inventory, &mut request)?;
    if args.reuse_key {
        request.keys = KeyChoice::Reuse;
    }
    Ok(make_plan(inventory, &request, now, &mut SystemEntropy::new())?)
}

/// Lets the policy file state lifetimes, and `validity` before it.
fn state_lifetimes(
    policy: Option<&Path>,
    validity: Option<Seconds>,
    node: &Node,
    request: &mut PlanRequest,
) -> Result<(), CommandError> {
    if let Some(policy) = read_policy(policy, node)? {
        policy.fill_request(request);
    }
    if let Some(lifetime) = validity {
        request.insist_on_lifetime(lifetime);
    }
    Ok(())
}

/// Asks for the alternative names that the command line states.
fn state_names(san: &SanArgs, inventory: &Inventory, request: &mut PlanRequest) -> Result<(), CommandError> {
    let SanArgs { add_san, remove_san, san_from_config } = san;
    if *san_from_config {
        request.take_configured_names(inventory)?;
    } else if !add_san.is_empty() || !remove_san.is_empty() {
        request.change_names(&NameChange::parse(add_san, remove_san)?)?;
    }
    Ok(())
}

/// Returns how a command ends whose plan leaves something out that was asked for: refused when only a permission is missing
/// and nothing else is to be done.
fn exit_of_incomplete(plan: &Plan) -> Option<Exit> {
    let mut failures = plan.deferred().iter().map(Deferred::reason).filter(|reason| reason.is_failure());
    let is_refused = plan.is_empty() && failures.all(|reason| reason.permission().is_some());
    plan.is_incomplete().then_some(if is_refused { Exit::Refused } else { Exit::Incomplete })
}

/// Refuses to call a renewal done whose certificates are not what was issued.
fn prove(plan: &Plan, report: &Report, whereabouts: &Whereabouts) -> Result<(), CommandError> {
    let Some(slot) = plan.shortfalls(&report.inventory).pop_first() else { return Ok(()) };
    Err(CommandError::failed(format!("{slot} on disk is not what was written")).with_hint(format!(
        "somebody else may be writing to the tree; see what is there with: kubecerts check{}",
        whereabouts.options
    )))
}

/// Says what was asked for and is not planned, and what would make it possible; each thing once.
fn explain_deferred(plan: &Plan, whereabouts: &Whereabouts, output: &mut Output) {
    let failures = || plan.deferred().iter().filter(|deferred| deferred.reason().is_failure());
    let reasons = failures().map(|deferred| (deferred.reason().to_string(), deferred.slot()));
    for (reason, names) in grouped(reasons) {
        output.error(&CommandError::failed(format!("{names}: {reason}")));
    }
    let hints = failures().filter_map(|deferred| Some((deferral(deferred, whereabouts)?, deferred.slot())));
    for (hint, names) in grouped(hints) {
        output.hint(&format!("{names}: {hint}"));
    }
}

/// Returns each text once, in the order of its first appearance, with the names of all slots that it is about.
fn grouped(texts: impl Iterator<Item = (String, Slot)>) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String)> = Vec::new();
    for (text, slot) in texts {
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push_str(&format!(", {slot}")),
            None => groups.push((text, slot.name().to_owned())),
        }
    }
    groups
}

/// Returns the selection that the names on the command line make; `all` is kubeadm's word for everything.
fn selection(names: &[String], all: bool) -> Result<Selection, CommandError> {
    if all || names == ["all"] {
        return Ok(Selection::All);
    }
    if names.is_empty() {
        return Ok(Selection::Due);
    }
    let slot = |name: &String| {
        name.parse::<Slot>().map_err(|error| CommandError::usage(error.to_string()).with_hint(known_names()))
    };
    Ok(Selection::Named(names.iter().map(slot).collect::<Result<BTreeSet<_>, _>>()?))
}

fn known_names() -> String {
    let renewable = |slot: &Slot| matches!(slot, Slot::Leaf(_) | Slot::Kubeconfig(_));
    let names: Vec<&str> = Slot::ALL.into_iter().filter(renewable).map(Slot::name).collect();
    format!("the names are: {}, or all", names.join(", "))
}

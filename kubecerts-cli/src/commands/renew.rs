//! `kubecerts renew`

use std::collections::BTreeSet;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::diagnosis::{Diagnosis, Impact, Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{ChangeSet, issue, trust_file_changes};
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{Plan, check_clock};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::crypto::Provider;
use kubecerts_host::disk::backup::Scope;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::disk::{RealDisk, recovery};
use kubecerts_host::probe::Probe as _;
use kubecerts_host::{CopyWrite, Event, Node, Report, Session, SystemEntropy};

use super::backup::{ETCD_DEADLINE, remove_surplus};
use super::live::{self, RestartArg, RestartArgs, RuntimeArgs};
use super::{Consent, begin_unless_dry, exit_of_incomplete, explain_deferred, plan_for, prove, scan_again};
use crate::args::{ChangeArgs, Form, NodeArgs, RenewalArgs, Whereabouts};
use crate::error::{CommandError, remedy};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, sticking, text};

/// Renew what is due, what is named, or everything.
///
/// Shows the plan, asks, makes keys and certificates, verifies every signature, backs up what will be replaced, writes all
/// new files beside the old ones, and only then replaces them: all or none, whatever fails, and also after a crash. Subject,
/// names, usages and kind of key stay as they were, but for names that are asked for with --add-san and --remove-san.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    renewal: RenewalArgs,

    /// First make a backup with a snapshot of the etcd that runs here; without it nothing is renewed.
    #[arg(long)]
    backup_etcd: bool,

    /// Then remove all backups but the latest N, the one of this renewal included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,

    /// Bring copies of admin.conf in home directories up to date, and change nothing else in them.
    #[arg(long)]
    refresh_copies: bool,

    #[command(flatten)]
    restart: RestartArgs,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { renewal, backup_etcd, keep, refresh_copies, restart, runtime, change, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let before =
        if change.dry_run || keep.is_some() || *refresh_copies { None } else { look_first(renewal, &node)? };
    let (mut session, (snapshot, inventory, plan)) = match before {
        // What could not be read may well be due.
        Some(look) if look.2.is_empty() && !look.2.is_incomplete() => (None, look),
        before => {
            let session = begin_unless_dry(&node, "renew", change, &whereabouts, output)?;
            if session.is_some() && restart.is_wanted() {
                live::return_manifests(&node, output)?;
            }
            (session, look(renewal, &node, before)?)
        }
    };
    let execution = Execution {
        command: "renew",
        plan: &plan,
        snapshot: &snapshot,
        inventory: &inventory,
        window: renewal.window.within,
        backup_etcd: *backup_etcd,
    };
    execution.show(change.output, &whereabouts, output);
    if restart.is_wanted() && !change.dry_run {
        // What could not be restarted later is found out now.
        runtime.plant(&node, &snapshot).map(drop)?;
    }

    let (lifetime, window) = (renewal.validity, renewal.window.within);
    if let Some(lifetime) = lifetime.filter(|lifetime| *lifetime <= window) {
        output.warning(&format!(
            "certificates that are valid for {lifetime} are due at once, as {window} before the end is"
        ));
    }
    let report = execution.carry_out(session.as_mut(), change, &whereabouts, output)?;
    let mut exit = None;
    if let (Some(session), Some(report)) = (&mut session, &report) {
        exit = put_to_use(&plan, report, (restart, runtime), session, &node, &whereabouts, output)?;
    } else if !change.dry_run && restart.is_wanted() {
        exit = finish(&snapshot, &inventory, (restart, runtime), &node, &whereabouts, output)?;
    }
    if let Some(session) = &mut session
        && *refresh_copies
    {
        live::refresh_copies(session, &node, output)?;
    }
    if let (Some(keep), Some(session)) = (keep, &mut session) {
        remove_surplus(*keep, session, output)?;
    }
    Ok(match exit {
        Some(exit) => exit,
        None => exit_of_incomplete(&plan).unwrap_or(Exit::Fine),
    })
}

/// Restarts what has to use the new files, and waits for what picks them up, as far as that was asked for.
fn put_to_use(
    plan: &Plan,
    report: &Report,
    (restart, runtime): (&RestartArgs, &RuntimeArgs),
    session: &mut Session<'_>,
    node: &Node,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<Option<Exit>, CommandError> {
    if !restart.is_wanted() {
        if node.is_this_host() && !plan.restarts().is_empty() {
            let options = &whereabouts.options;
            output.hint(&format!("see what is in use with: kubecerts verify{options}; restart what is not: kubecerts restart{options}"));
        }
        return Ok(None);
    }
    // Programs are asked with the credentials that are in force now.
    let mut plant = runtime.plant(node, &node.scan()?)?;
    let tasks = restart.tasks(plan.restarts());
    if tasks.is_empty() {
        let components = plan.restarts().iter().map(|restart| restart.component).collect();
        let seen =
            live::wait(&components, &report.inventory, live::span(restart.timeout), &mut plant, output);
        return Ok((!live::is_settled(&components, &report.inventory, &seen)).then_some(Exit::Inconsistent));
    }
    let backup = live::restorable(plan, report.backup.as_deref());
    let patience = restart.patience();
    let crew = (&mut plant, Some(session), node);
    let rollout = live::roll_out(&tasks, &report.inventory, patience, backup, crew, output);
    Ok(live::conclude(&rollout, &whereabouts.options, output))
}

/// Restarts or waits for what an earlier renewal has left stale.
fn finish(
    snapshot: &Snapshot,
    inventory: &Inventory,
    (restart, runtime): (&RestartArgs, &RuntimeArgs),
    node: &Node,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<Option<Exit>, CommandError> {
    let mut plant = runtime.plant(node, snapshot)?;
    let all = inventory.components().collect();
    let tasks = live::overdue(inventory, &plant.observe(&all));
    if restart.restart == RestartArg::Never {
        let seen = live::wait(&all, inventory, live::span(restart.timeout), &mut plant, output);
        return Ok((!live::is_settled(&all, inventory, &seen)).then_some(Exit::Inconsistent));
    }
    let rollout =
        live::roll_out(&tasks, inventory, restart.patience(), None, (&mut plant, None, node), output);
    Ok(live::conclude(&rollout, &whereabouts.options, output))
}

/// What was found, what it says, and what is to be done about it.
type Look = (Snapshot, Inventory, Plan);

/// Scans `node` and plans.
fn look(renewal: &RenewalArgs, node: &Node, before: Option<Look>) -> Result<Look, CommandError> {
    let (snapshot, inventory) =
        scan_again(node, before.map(|(snapshot, inventory, _)| (snapshot, inventory)))?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let plan = plan_for(renewal, node, &inventory, now)?;
    Ok((snapshot, inventory, plan))
}

/// Looks before anything is locked, for that takes no right to write, and leaves no trace: there may be nothing to do.
/// Returns nothing when a run has to be recovered first.
fn look_first(renewal: &RenewalArgs, node: &Node) -> Result<Option<Look>, CommandError> {
    match recovery::examine(node.root(), node.state(), &RealDisk) {
        Ok(None) => look(renewal, node, None).map(Some),
        _ => Ok(None),
    }
}

/// A plan on its way to the disk.
pub(super) struct Execution<'a> {
    pub(super) command: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) snapshot: &'a Snapshot,
    pub(super) inventory: &'a Inventory,
    pub(super) window: Seconds,
    /// Whether a snapshot of etcd is taken before anything is written.
    pub(super) backup_etcd: bool,
}

impl Execution<'_> {
    /// Shows the plan, and why it leaves something out.
    pub(super) fn show(&self, form: Form, whereabouts: &Whereabouts, output: &mut Output) {
        if form == Form::Text {
            output.data(&text::plan(self.plan, self.inventory));
        }
        explain_deferred(self.plan, whereabouts, output);
    }

    /// Asks, signs and writes, unless there is nothing to do or no session to do it in; then says what was done, and
    /// what it has left broken. Refuses to call it done when it is not what is on disk.
    pub(super) fn carry_out(
        &self,
        session: Option<&mut Session<'_>>,
        change: &ChangeArgs,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<Option<Report>, CommandError> {
        let Self { command, plan, snapshot, inventory, window, backup_etcd } = self;
        let report = match session {
            _ if plan.is_empty() => None,
            Some(session) => {
                Consent::of(change.yes).ask("Renew these certificates?", output)?;
                if *backup_etcd {
                    let reason = format!("before {command}, with etcd");
                    let manifest = session.back_up_with_etcd(Scope::Changed, &reason, ETCD_DEADLINE)?;
                    let revision = manifest.etcd.as_ref().map_or(0, |etcd| etcd.revision);
                    output.note(&format!("backed up etcd at revision {revision} as {}", manifest.id));
                }
                let changes = sign(plan, snapshot)?;
                let bundles = trust_file_changes(plan, &changes, snapshot, inventory);
                let beside: Vec<CopyWrite<'_>> = bundles.iter().map(CopyWrite::from).collect();
                let purpose = Purpose::of_plan(command, plan);
                Some(write_with(&changes, &beside, purpose, session, change.output, output)?)
            }
            None => {
                output.note(&format!(
                    "dry run: {} made and every signature verified, nothing was written",
                    text::counted(sign(plan, snapshot)?.changes().len(), "file")
                ));
                None
            }
        };
        let after = report.as_ref().map_or(*inventory, |report| &report.inventory);
        let diagnosis =
            diagnose(after, &Observations::none(), Policy::with_window(*window), kubecerts_host::now());
        if change.output == Form::Json {
            output.data(&documents::renewal(plan, report.as_ref(), &diagnosis, whereabouts).to_json());
        }
        if let Some(report) = &report {
            prove(plan, report, whereabouts)?;
            if change.output == Form::Text {
                output.data(&text::renewed(plan, report));
                output.data(&sticking::text(plan, inventory));
            }
            super::mention(&report.leftovers, output);
        }
        if !change.dry_run {
            warn(&diagnosis, whereabouts, output);
        }
        Ok(report)
    }
}

/// Says what a renewal has left broken. What is merely due was not asked for, or is in the plan's list.
fn warn(diagnosis: &Diagnosis, whereabouts: &Whereabouts, output: &mut Output) {
    let mut hints = BTreeSet::new();
    for finding in diagnosis.findings().iter().filter(|finding| finding.impact > Impact::Due) {
        output.warning(&finding.to_string());
        hints.extend(remedy(finding, whereabouts));
    }
    for hint in hints {
        output.hint(&hint);
    }
}

/// Makes the keys and the certificates, with a sign of life on a terminal: RSA keys take their time.
pub(super) fn sign(plan: &Plan, snapshot: &Snapshot) -> Result<ChangeSet, CommandError> {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed"))
        .with_message(format!("making {}", text::counted(plan.steps().len(), "certificate")));
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let changes = issue(plan, snapshot, &mut Provider::default());
    spinner.finish_and_clear();
    Ok(changes?)
}

/// Writes what was signed, and says what was replaced.
pub(super) fn write(
    changes: &ChangeSet,
    purpose: Purpose,
    session: &mut Session<'_>,
    form: Form,
    output: &mut Output,
) -> Result<Report, CommandError> {
    write_with(changes, &[], purpose, session, form, output)
}

/// The same, with files `beside` those of the catalogue.
pub(super) fn write_with(
    changes: &ChangeSet,
    beside: &[CopyWrite<'_>],
    purpose: Purpose,
    session: &mut Session<'_>,
    form: Form,
    output: &mut Output,
) -> Result<Report, CommandError> {
    let mut lines = Vec::new();
    let mut entropy = SystemEntropy::new();
    let report = session.apply_with(changes, beside, purpose, &mut entropy, &mut |event| match event {
        Event::BackedUp { id } => lines.push(format!("backed up what is replaced as {id}")),
        Event::Replaced { path } => lines.push(format!("replaced {path}")),
        _ => {}
    })?;
    if form == Form::Text {
        for line in lines {
            output.note(&line);
        }
    }
    Ok(report)
}

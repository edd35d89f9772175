//! `kubecerts recover`

use std::collections::{BTreeMap, BTreeSet};

use kubecerts_core::catalog::{CaSlot, Component, KubeconfigSlot, Slot};
use kubecerts_core::diagnosis::{DEFAULT_WINDOW, FindingCode, Impact, Policy, diagnose};
use kubecerts_core::inventory::{Custody, Inventory};
use kubecerts_core::observation::{Observations, usages};
use kubecerts_core::plan::{KubeletChoice, Plan, PlanRequest, check_clock, plan as make_plan};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::probe::Probe as _;
use kubecerts_host::rollout::{Action, Task};
use kubecerts_host::{Node, Session, SystemEntropy, read_policy};

use super::live::{self, RuntimeArgs};
use super::renew::{sign, write};
use super::{Consent, begin_unless_dry, explain_deferred, prove, scan};
use crate::args::{ChangeArgs, Form, NodeArgs, Whereabouts};
use crate::error::{CommandError, remedy};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{text, usage};

/// Bring a control plane back whose certificates are over: the one command for the night.
///
/// Finds out what is wrong, on disk and in what runs, and shows one plan: certificates, kubeconfigs, the kubelet's own credential,
/// copies of admin.conf, restarts. Asks, backs up, writes all or nothing, restarts in an order that works when nothing can
/// authenticate, waits, and proves that everything is in use. Needs no API server; the keys of the authorities have to be here.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each component may take.
    #[arg(long, value_name = "SPAN", default_value = "6m")]
    timeout: Seconds,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Show everything, sign in memory, and change nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { timeout, yes, dry_run, runtime, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let change = ChangeArgs { yes: *yes, dry_run: *dry_run, output: Form::Text };
    let mut session = begin_unless_dry(&node, "recover", &change, &whereabouts, output)?;
    if session.is_some() {
        live::return_manifests(&node, output)?;
    }
    let (snapshot, inventory) = scan(&node)?;
    check_clock(&inventory, kubecerts_host::now())?;
    let rescue =
        Rescue { node: &node, snapshot: &snapshot, inventory: &inventory, whereabouts: &whereabouts };
    let mut plant = runtime.plant(&node, &snapshot)?;
    let seen = plant.observe(&rescue.components());
    rescue.say_what_is_wrong(&seen, output);
    let plan = rescue.plan(output)?;
    let tasks = rescue.tasks(&plan, &seen);
    rescue.show(&plan, &tasks, plant.runtime(), output);
    if plan.is_empty() && tasks.is_empty() {
        let impact = rescue.impact(&seen);
        if impact < Impact::Due && !plan.is_incomplete() {
            output.note("there is nothing to recover: all is valid, and in use as far as that can be seen");
        }
        rescue.name_the_rest(&plan, output);
        return Ok(if plan.is_incomplete() { Exit::Incomplete } else { Exit::of_impact(impact) });
    }
    let Some(session) = &mut session else {
        let files = sign(&plan, &snapshot)?.changes().len();
        output.note(&format!(
            "dry run: {} made and every signature verified, nothing was changed",
            text::counted(files, "file")
        ));
        return Ok(Exit::Fine);
    };
    Consent::of(*yes).ask("Do all of this?", output)?;
    rescue.carry_out(&plan, &tasks, (*timeout, runtime), session, output)
}

/// What is known of the node that is to be rescued.
struct Rescue<'a> {
    node: &'a Node,
    snapshot: &'a Snapshot,
    inventory: &'a Inventory,
    whereabouts: &'a Whereabouts,
}

impl Rescue<'_> {
    fn components(&self) -> BTreeSet<Component> {
        self.inventory.components().collect()
    }

    fn impact(&self, seen: &Observations) -> Impact {
        diagnose(self.inventory, seen, Policy::with_window(DEFAULT_WINDOW), kubecerts_host::now()).impact()
    }

    fn say_what_is_wrong(&self, seen: &Observations, output: &mut Output) {
        let diagnosis =
            diagnose(self.inventory, seen, Policy::with_window(DEFAULT_WINDOW), kubecerts_host::now());
        // A worker need not have what only control planes have.
        let is_foreign = |code| code == FindingCode::Missing && self.inventory.is_worker();
        let grave = diagnosis
            .findings()
            .iter()
            .filter(|finding| finding.impact >= Impact::Due && !is_foreign(finding.code));
        let mut count = 0;
        for finding in grave {
            output.note(&format!("wrong: {finding}"));
            count += 1;
        }
        output.note(&match count {
            0 => "nothing is wrong that could be seen".to_owned(),
            _ => format!("{} in all", text::counted(count, "thing")),
        });
    }

    fn plan(&self, output: &mut Output) -> Result<Plan, CommandError> {
        let mut request = PlanRequest::for_node(self.inventory.node());
        match read_policy(None, self.node) {
            Ok(Some(policy)) => policy.fill_request(&mut request),
            Ok(None) => {}
            // What is down has to come back, whatever state the policy is in.
            Err(error) => {
                output.warning(&format!("{}, so it is left aside", CommandError::from(error).message()));
            }
        }
        request.kubelet = KubeletChoice::Repair;
        Ok(make_plan(self.inventory, &request, kubecerts_host::now(), &mut SystemEntropy::new())?)
    }

    /// Returns what is to be restarted or waited for: what loads new files, and what is not well or does not use what is on disk.
    fn tasks(&self, plan: &Plan, seen: &Observations) -> Vec<Task> {
        let mut actions: BTreeMap<Component, Action> = BTreeMap::new();
        let new = plan.restarts().iter().map(|restart| Task::new(restart.component, live::action(restart)));
        for task in live::overdue(self.inventory, seen).into_iter().chain(new) {
            let action = actions.entry(task.component).or_insert(task.action);
            *action = task.action.max(*action);
        }
        actions.into_iter().map(|(component, action)| Task::new(component, action)).collect()
    }

    fn show(&self, plan: &Plan, tasks: &[Task], runtime: &str, output: &mut Output) {
        output.data(&text::plan(plan, self.inventory));
        explain_deferred(plan, self.whereabouts, output);
        let admin = Slot::Kubeconfig(KubeconfigSlot::Admin);
        if plan.steps().iter().any(|step| step.slot() == admin) {
            for path in self.inventory.copies_of(admin) {
                output.data(&format!("To refresh: the administrator's entry in {path}\n"));
            }
        }
        if !tasks.is_empty() {
            let names = tasks.iter().map(|task| task.component.name()).collect::<Vec<_>>().join(", ");
            output.data(&format!("To bring to use, through {runtime}: {names}\n"));
        }
    }

    fn carry_out(
        &self,
        plan: &Plan,
        tasks: &[Task],
        (timeout, runtime): (Seconds, &RuntimeArgs),
        session: &mut Session<'_>,
        output: &mut Output,
    ) -> Result<Exit, CommandError> {
        let mut backup = None;
        if !plan.is_empty() {
            let changes = sign(plan, self.snapshot)?;
            let purpose = Purpose::of_plan("recover", plan);
            let report = write(&changes, purpose, session, Form::Text, output)?;
            prove(plan, &report, self.whereabouts)?;
            super::mention(&report.leftovers, output);
            backup = report.backup;
        }
        // Programs are asked with the credentials that are in force now.
        let (snapshot, inventory) = scan(self.node)?;
        let mut plant = runtime.plant(self.node, &snapshot)?;
        let backup = live::restorable(plan, backup.as_deref());
        let crew = (&mut plant, Some(&mut *session), self.node);
        let rollout = live::roll_out(tasks, &inventory, live::patience(timeout), backup, crew, output);
        let ended = live::conclude(&rollout, &self.whereabouts.options, output);
        // What runs matters more than copies, so they come last and stop nothing.
        if let Err(error) = live::refresh_copies(session, self.node, output) {
            output.warning(error.message());
        }
        let seen = plant.observe(&self.components());
        output.data(&usage::table(&usages(&inventory, &seen), plant.runtime()));
        let after = diagnose(&inventory, &seen, Policy::with_window(DEFAULT_WINDOW), kubecerts_host::now());
        let mut hints = BTreeSet::new();
        for finding in after.findings().iter().filter(|finding| finding.impact >= Impact::Due) {
            output.warning(&finding.to_string());
            hints.extend(remedy(finding, self.whereabouts));
        }
        hints.iter().for_each(|hint| output.hint(hint));
        self.name_the_rest(plan, output);
        Ok(match ended {
            Some(exit) => exit,
            None if plan.is_incomplete() => Exit::Incomplete,
            None => Exit::of_impact(after.impact()),
        })
    }

    /// Says what this node cannot do for others.
    fn name_the_rest(&self, plan: &Plan, output: &mut Output) {
        let options = &self.whereabouts.options;
        if self.inventory.authority(CaSlot::Cluster).custody() != Custody::Held {
            if plan.is_incomplete() {
                output.hint(&format!(
                    "the authority's key is not here; for this node's kubelet: kubecerts kubelet request --key-out FILE{options}"
                ));
            }
            return;
        }
        output.note("left for other nodes: run kubecerts recover on every other control-plane node, one after the other, and then here again if \
             something waits for them");
        output.note(
            "left for workers: whose kubelet has lost its credential gets another one from: kubecerts kubelet credential --node NAME",
        );
    }
}

//! Restarts the programs that hold old credentials, one at a time, and proves that they came back with the new ones.
//!
//! [`roll_out`] goes through the components in the order of [`Component::ALL`]. A component that picks its files up by itself
//! is waited for, and restarted only when it does not; one that is restarted must come back as another container or process,
//! well, and with what is on disk. etcd is not stopped where that would cost the quorum. At the first component that does not
//! come back the rollout ends: if that component was well before, the old files are put back, and what had been restarted is
//! restarted again.
//!
//! Nothing here knows a runtime or a socket: it works with a [`Restarter`], a [`Probe`] and a [`Clock`].

mod crew;
mod progress;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use kubecerts_core::catalog::Component;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::{Observations, RunSource};

use crate::probe::Probe;
use progress::{Goal, lacks};

pub use crew::{Clock, Method, RestartError, Restarter, SystemClock};
pub use report::{Outcome, Rollout, Step, Undone};

/// What is to be done about a component.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Task {
    /// The component.
    pub component: Component,
    /// What to do.
    pub action: Action,
}

impl Task {
    /// Returns a task.
    #[must_use]
    pub const fn new(component: Component, action: Action) -> Self {
        Self { component, action }
    }
}

/// How a component gets to use its files.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "these are all the ways there are")]
pub enum Action {
    /// It picks them up by itself; it is restarted when it has not after a while.
    Await,
    /// It is restarted, unless it uses them already.
    RestartIfNeeded,
    /// It is restarted.
    Restart,
}

/// How patient a rollout is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Patience {
    /// How long each component may take to come back; by default six minutes, since a kubelet's back-off can take five.
    pub restart: Duration,
    /// How long a component may take to pick up its files by itself; by default 90 seconds, since kube-apiserver 1.20 looks once
    /// a minute.
    pub reload: Duration,
    /// How long a component that is not well may take to come by itself before it is restarted; by default 30 seconds.
    pub start: Duration,
    /// How long to wait between two looks; half a second by default.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            restart: Duration::from_secs(360),
            reload: Duration::from_secs(90),
            start: Duration::from_secs(30),
            pause: Duration::from_millis(500),
        }
    }
}

/// What happens during a rollout, for whoever watches.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A component is waited for.
    Waiting {
        /// The component.
        component: Component,
        /// What is missing yet.
        lacks: &'a str,
        /// How long it has been waited for.
        waited: Duration,
        /// When the wait ends.
        deadline: Duration,
    },
    /// A component is about to be restarted.
    Restarting {
        /// The component.
        component: Component,
    },
    /// A component is done with.
    Done {
        /// The component.
        component: Component,
        /// What came of it.
        outcome: &'a Outcome,
    },
    /// The old files are put back, because of this component.
    Undoing {
        /// The component that did not come back.
        component: Component,
    },
}

/// Those who do the work.
#[expect(missing_debug_implementations, reason = "it holds traits")]
#[expect(clippy::exhaustive_structs, reason = "callers put it together")]
pub struct Crew<'a> {
    /// Who restarts.
    pub restarter: &'a mut dyn Restarter,
    /// Who looks.
    pub probe: &'a mut dyn Probe,
    /// Who waits.
    pub clock: &'a mut dyn Clock,
}

/// Puts the old files back and returns the inventory of the tree as it is then, or says why that cannot be.
pub type Undo<'a> = dyn FnMut() -> Result<Inventory, String> + 'a;

/// Carries out `tasks`, one at a time, in the order of [`Component::ALL`]; `inventory` is the tree whose files are to be used.
///
/// Without `undo` nothing is put back, whatever happens: nothing was replaced, or what was replaced would bring nothing back.
/// Nothing fails: whatever goes wrong is in the report, and ends the rollout.
pub fn roll_out(
    tasks: &[Task],
    inventory: &Inventory,
    patience: Patience,
    crew: &mut Crew<'_>,
    mut undo: Option<&mut Undo<'_>>,
    observer: &mut dyn FnMut(Event<'_>),
) -> Rollout {
    let mut tasks = tasks.to_vec();
    tasks.sort();
    lead_with_a_dead_kubelet(&mut tasks, crew);
    let mut steps: Vec<Step> = Vec::new();
    let mut undone = None;
    for (index, task) in tasks.iter().enumerate() {
        let mut work = Work { component: task.component, inventory, patience, crew, observer };
        let waits = steps.iter().find_map(|step| match &step.outcome {
            Outcome::WaitsForOthers { reason } => Some(reason.clone()),
            _ => None,
        });
        let (step, was_well) = match waits {
            // Without etcd none of the others becomes well; without the kubelet nothing does.
            Some(reason) if task.component != Component::Kubelet => {
                (Step::new(task.component, Outcome::WaitsForOthers { reason }), false)
            }
            _ => work.carry_out(task.action),
        };
        (work.observer)(Event::Done { component: step.component, outcome: &step.outcome });
        let failed = step.outcome.is_failure();
        let stopped = matches!(step.outcome, Outcome::Lost { .. });
        steps.push(step);
        // What waits for other members of etcd is no reason to leave the kubelet alone.
        if !failed || matches!(steps.last(), Some(Step { outcome: Outcome::WaitsForOthers { .. }, .. })) {
            continue;
        }
        let rest = tasks[index + 1..].iter().map(|task| Step::new(task.component, Outcome::NotReached));
        undone = match &mut undo {
            Some(undo) if stopped && was_well => Some(put_back(&steps, patience, crew, *undo, observer)),
            Some(_) if stopped => Some(Undone::WasUnwell),
            _ => None,
        };
        steps.extend(rest);
        break;
    }
    Rollout { steps, undone }
}

/// Looks at `components` until they use everything in `inventory`, or `deadline` is over, and returns what was seen last.
///
/// Nothing is restarted. What a program picks up by itself and shows to nobody is not waited for.
pub fn wait(
    components: &BTreeSet<Component>,
    inventory: &Inventory,
    deadline: Duration,
    probe: &mut dyn Probe,
    clock: &mut dyn Clock,
    observer: &mut dyn FnMut(Event<'_>),
) -> Observations {
    let begun = clock.elapsed();
    loop {
        let seen = probe.observe(components);
        let missing = components.iter().find_map(|component| {
            let goal = Goal { component: *component, inventory, replaced: None };
            Some((*component, lacks(&goal, &seen)?))
        });
        let waited = clock.elapsed().saturating_sub(begun);
        let Some((component, lacks)) = missing.filter(|_| waited < deadline) else { return seen };
        observer(Event::Waiting { component, lacks: &lacks, waited, deadline });
        clock.pause(Patience::default().pause);
    }
}

/// Without a kubelet nothing that is stopped comes back, so one that is not well goes first and not last.
fn lead_with_a_dead_kubelet(tasks: &mut [Task], crew: &mut Crew<'_>) {
    let Some(last) = tasks.iter().position(|task| task.component == Component::Kubelet) else { return };
    let seen = crew.probe.observe(&BTreeSet::from([Component::Kubelet]));
    if !progress::is_well(Component::Kubelet, &seen) {
        tasks[..=last].rotate_right(1);
    }
}

/// Puts the old files back and restarts again what was restarted.
fn put_back(
    steps: &[Step],
    patience: Patience,
    crew: &mut Crew<'_>,
    undo: &mut Undo<'_>,
    observer: &mut dyn FnMut(Event<'_>),
) -> Undone {
    let culprit = steps.last().map(|step| step.component);
    if let Some(component) = culprit {
        observer(Event::Undoing { component });
    }
    let inventory = match undo() {
        Ok(inventory) => inventory,
        Err(reason) => return Undone::Failed { reason },
    };
    let restarted =
        steps.iter().filter(|step| matches!(step.outcome, Outcome::Restarted { .. } | Outcome::Lost { .. }));
    let mut again = Vec::new();
    for step in restarted {
        let component = step.component;
        let mut work = Work { component, inventory: &inventory, patience, crew, observer };
        let (step, _) = work.carry_out(Action::Restart);
        (work.observer)(Event::Done { component, outcome: &step.outcome });
        again.push(step);
    }
    Undone::Restored { steps: again }
}

/// The work on one component.
struct Work<'w, 'a, 'c> {
    component: Component,
    inventory: &'w Inventory,
    patience: Patience,
    crew: &'w mut Crew<'c>,
    observer: &'w mut (dyn FnMut(Event<'_>) + 'a),
}

impl Work<'_, '_, '_> {
    /// Returns what came of it, and whether the component was well before.
    fn carry_out(&mut self, action: Action) -> (Step, bool) {
        let begun = self.crew.clock.elapsed();
        let before = self.look();
        let was_well = progress::is_well(self.component, &before);
        let outcome = self.work(action, &before, begun);
        (Step::new(self.component, outcome), was_well)
    }

    fn work(&mut self, action: Action, before: &Observations, begun: Duration) -> Outcome {
        let in_use = Goal { component: self.component, inventory: self.inventory, replaced: None };
        if action != Action::Restart
            && let Some(reason) = in_use.waits_for_others(before)
        {
            return Outcome::WaitsForOthers { reason };
        }
        match action {
            Action::Restart => {}
            Action::RestartIfNeeded => {
                if lacks(&in_use, before).is_none() {
                    return Outcome::AlreadyInUse;
                }
                // What is only starting, because the kubelet or what it needs has just come back, is not stopped again. The
                // kubelet itself can be restarted at any time, and nothing else comes before it does.
                let is_coming = self.component != Component::Kubelet
                    && !progress::is_well(self.component, before)
                    && !in_use.is_stale(before);
                if is_coming && self.wait(&in_use, self.patience.start, begun).is_ok() {
                    return Outcome::PickedUp { took: self.crew.clock.elapsed().saturating_sub(begun) };
                }
            }
            Action::Await => {
                if self.wait(&in_use, self.patience.reload, begun).is_ok() {
                    return Outcome::PickedUp { took: self.crew.clock.elapsed().saturating_sub(begun) };
                }
            }
        }
        if self.component == Component::Etcd
            && let Some(reason) = progress::must_not_stop(before)
        {
            return Outcome::Refused { reason };
        }
        let old: BTreeSet<RunSource> = before.runs_of(self.component).map(|run| run.source.clone()).collect();
        (self.observer)(Event::Restarting { component: self.component });
        let stopping = self.crew.clock.elapsed();
        let method = match self.crew.restarter.restart(self.component, self.patience.restart) {
            Ok(method) => method,
            // It has ended by itself, and the kubelet will make it anew.
            Err(RestartError::NotFound { .. }) if old.is_empty() => Method::NothingRan,
            Err(error) => {
                let reason = error.to_string();
                return if error.has_stopped() {
                    Outcome::Lost { reason }
                } else {
                    Outcome::Refused { reason }
                };
            }
        };
        let goal = Goal { replaced: Some(&old), ..in_use };
        match self.wait(&goal, self.patience.restart, stopping) {
            Ok(()) => {
                let took = self.crew.clock.elapsed().saturating_sub(stopping);
                Outcome::Restarted { method, took }
            }
            Err(lacks) => {
                let waited = self.patience.restart.as_secs();
                Outcome::Lost { reason: format!("after {waited} s: {lacks}") }
            }
        }
    }

    /// Waits until `goal` is reached, or says what is missing when the time is over.
    fn wait(&mut self, goal: &Goal<'_>, deadline: Duration, begun: Duration) -> Result<(), String> {
        loop {
            let seen = self.look();
            let Some(lacks) = lacks(goal, &seen) else { return Ok(()) };
            let waited = self.crew.clock.elapsed().saturating_sub(begun);
            if waited >= deadline {
                return Err(lacks);
            }
            let component = self.component;
            (self.observer)(Event::Waiting { component, lacks: &lacks, waited, deadline });
            self.crew.clock.pause(self.patience.pause);
        }
    }

    fn look(&mut self) -> Observations {
        self.crew.probe.observe(&BTreeSet::from([self.component]))
    }
}

#[cfg(test)]
mod tests;

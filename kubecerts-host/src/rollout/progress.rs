//! What a component still lacks until it is well and uses what is on disk.

use std::collections::BTreeSet;

use kubecerts_core::catalog::{Component, Service};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::{Handshake, Health, Observations, RunSource, Verdict, usages};

/// What a component is to come to.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    pub(super) component: Component,
    /// The tree whose files it is to use.
    pub(super) inventory: &'a Inventory,
    /// The containers and processes that have to be gone, when it was restarted.
    pub(super) replaced: Option<&'a BTreeSet<RunSource>>,
}

impl Goal<'_> {
    /// Returns whether the component holds something older than what is on disk.
    pub(super) fn is_stale(&self, seen: &Observations) -> bool {
        let usages = usages(self.inventory, seen);
        usages.iter().any(|usage| usage.component == self.component && usage.verdict == Verdict::Stale)
    }
}

impl Goal<'_> {
    /// Returns why nothing on this node can make etcd well: it uses what is on disk, and the quorum is missing.
    pub(super) fn waits_for_others(&self, seen: &Observations) -> Option<String> {
        let cluster = seen.etcd.as_ref().filter(|_| self.component == Component::Etcd)?;
        let is_in_use = usages(self.inventory, seen)
            .iter()
            .all(|usage| usage.component != Component::Etcd || usage.verdict != Verdict::Stale);
        let runs = seen.runs_of(Component::Etcd).next().is_some();
        (runs && is_in_use && cluster.members.len() > 1 && !cluster.has_quorum()).then(|| {
            let (well, count, quorum) = (cluster.well(), cluster.members.len(), cluster.quorum());
            format!("{well} of {count} members of etcd are well and {quorum} are needed")
        })
    }
}

/// Returns why the member of etcd on this node may not be stopped.
pub(super) fn must_not_stop(seen: &Observations) -> Option<String> {
    let Some(cluster) = &seen.etcd else {
        let mut sightings = seen.sightings.iter();
        let answers = sightings.any(|sighting| {
            sighting.endpoint.service == Service::EtcdClients && sighting.handshake.served().is_some()
        });
        let runs = seen.runs_of(Component::Etcd).next().is_some();
        let is_watched =
            seen.sightings.iter().any(|sighting| sighting.endpoint.service == Service::EtcdClients);
        // A member that serves nobody cannot be missed.
        let cannot_be_missed = is_watched && !answers;
        return (runs && !cannot_be_missed).then(|| {
            let gap = seen.gaps.first().map_or("its members were not asked", String::as_str);
            format!("it is not known whether etcd has a quorum without it: {gap}")
        });
    };
    (!cluster.may_stop_this_one()).then(|| {
        let (well, count, quorum) = (cluster.well(), cluster.members.len(), cluster.quorum());
        format!(
            "{well} of {count} members of etcd are well and {quorum} are needed, so this one may not stop"
        )
    })
}

/// Returns what is missing until `goal` is reached, in one line, or `None`.
pub(super) fn lacks(goal: &Goal<'_>, seen: &Observations) -> Option<String> {
    let component = goal.component;
    if let Some(old) = goal.replaced {
        let mut runs = seen.runs_of(component).peekable();
        if runs.peek().is_none() {
            return Some(match seen.gaps.first() {
                Some(gap) => format!("no new {component} is seen to run: {gap}"),
                None => format!("no new {component} runs"),
            });
        }
        if let Some(run) = runs.find(|run| old.contains(&run.source)) {
            return Some(format!("the old {} still runs", run.source));
        }
    }
    ailment(component, seen).or_else(|| {
        let usages = usages(goal.inventory, seen);
        let unsettled = usages.iter().find(|usage| usage.component == component && !usage.is_settled())?;
        Some(format!("{}: {} ({})", unsettled.slot(), unsettled.verdict, unsettled.proof))
    })
}

/// Returns whether `component` runs, answers, and says that it is well.
pub(super) fn is_well(component: Component, seen: &Observations) -> bool {
    seen.runs_of(component).next().is_some() && ailment(component, seen).is_none()
}

/// Returns what is wrong with `component`, as far as it was looked at.
fn ailment(component: Component, seen: &Observations) -> Option<String> {
    for sighting in &seen.sightings {
        let endpoint = &sighting.endpoint;
        // Whether the kubelet is well is told at another port; a certificate that it rotates may be over because of all this.
        if endpoint.service.component() != component || endpoint.service == Service::Kubelet {
            continue;
        }
        match &sighting.handshake {
            Handshake::Served(_) => {}
            Handshake::Down(reason) => return Some(format!("nobody listens at {endpoint}: {reason}")),
            Handshake::Silent => return Some(format!("nothing answers at {endpoint}")),
            Handshake::Broken(reason) => return Some(format!("no TLS at {endpoint}: {reason}")),
            other => return Some(format!("{endpoint}: {other:?}")),
        }
    }
    for report in seen.health.iter().filter(|report| report.endpoint.service.component() == component) {
        let (path, endpoint) = (&report.path, &report.endpoint);
        match &report.health {
            health if health.is_up() => {}
            Health::Unwell(text) => return Some(format!("{path} at {endpoint} answers {text}")),
            Health::Silent(reason) => return Some(format!("{path} at {endpoint} does not answer: {reason}")),
            other => return Some(format!("{path} at {endpoint}: {other:?}")),
        }
    }
    if component == Component::Etcd
        && let Some(cluster) = &seen.etcd
    {
        if !cluster.has_this_one() {
            return Some("the member of etcd on this node is not well".to_owned());
        }
        if !cluster.has_quorum() {
            let (well, count) = (cluster.well(), cluster.members.len());
            return Some(format!("{well} of {count} members of etcd are well, which is no quorum"));
        }
    }
    None
}

//! From the ends of certificates to all that follows from them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ends::{End, Look};
use super::event::{Cause, Event, Order};
use super::loss::Loss;
use crate::catalog::{KubeconfigSlot, Slot};
use crate::inventory::Place;
use crate::kubeconfig::Cluster;
use crate::time::{Seconds, Timestamp};

/// Returns every event, in no order: the ends in `ends` and those of what the kubelet rotates, and what follows.
pub(super) fn events(look: &Look<'_>, ends: &[End]) -> Vec<Event> {
    let mut lost = Lost::default();
    lost.follow(look, ends);
    let rotated = look.rotated_ends(lost.rotation());
    lost.follow(look, &rotated);
    let mut events: Vec<Event> =
        ends.iter().chain(&rotated).map(|end| event_of(end, &lost, look.now)).collect();
    events.extend(lost.follow_ups(look.now));
    events
}

/// What ends within this span after what it needs ends for its own sake: kubeadm makes a tree within seconds, each
/// certificate with the time of its making.
const ONE_RUN: Seconds = Seconds(300);

/// What is lost, since when, and why.
#[derive(Default)]
struct Lost(BTreeMap<Loss, Fate>);

#[derive(Clone)]
struct Fate {
    at: Timestamp,
    cause: Cause,
    depth: usize,
}

impl Lost {
    /// Adds what is lost with `ends`, and what follows.
    fn follow(&mut self, look: &Look<'_>, ends: &[End]) {
        for end in ends {
            let cause = match (&end.place, end.because.first()) {
                (Some(place), _) => Cause::Ends(place.clone()),
                (None, Some(cause)) => cause.clone(),
                (None, None) => continue,
            };
            for loss in &end.losses {
                self.add(loss, Fate { at: end.at, cause: cause.clone(), depth: 0 });
            }
        }
        // They are sorted so that what is needed comes first.
        for loss in dependants(look) {
            for need in look.needs(&loss) {
                let Some(fate) = self.0.get(&need).cloned() else { continue };
                let own = self.0.get(&loss).filter(|own| own.depth == 0);
                if own.is_some_and(|own| own.at <= fate.at.plus(ONE_RUN)) {
                    continue;
                }
                self.add(&loss, Fate { cause: Cause::Lost(need), depth: fate.depth + 1, ..fate });
            }
        }
    }

    /// The earlier fate stays, and of two at one moment the one that was known first.
    fn add(&mut self, loss: &Loss, fate: Fate) {
        if self.0.get(loss).is_none_or(|known| fate.at < known.at) {
            self.0.insert(loss.clone(), fate);
        }
    }

    /// Returns since when kubelets cannot renew their certificates, and why.
    fn rotation(&self) -> Option<(Timestamp, Vec<Cause>)> {
        let fate = self.0.get(&Loss::Rotation)?;
        let mut causes = vec![Cause::Lost(Loss::Rotation)];
        causes.extend(self.chain(&fate.cause));
        Some((fate.at, causes))
    }

    /// Returns `cause` and what has led to it, back to the first cause.
    fn chain(&self, cause: &Cause) -> Vec<Cause> {
        let mut chain = vec![cause.clone()];
        while let Some(Cause::Lost(loss)) = chain.last() {
            let Some(fate) = self.0.get(loss) else { break };
            chain.push(fate.cause.clone());
        }
        chain
    }

    /// Returns what follows from the loss of something else: one event for all that has the same cause.
    fn follow_ups(&self, now: Timestamp) -> Vec<Event> {
        let mut groups: BTreeMap<(Timestamp, &Loss), (usize, Vec<Loss>)> = BTreeMap::new();
        for (loss, fate) in &self.0 {
            let Cause::Lost(need) = &fate.cause else { continue };
            let group = groups.entry((fate.at, need)).or_insert((fate.depth, Vec::new()));
            group.1.push(loss.clone());
        }
        let event = |((at, need), (depth, what)): ((Timestamp, &Loss), (usize, Vec<Loss>))| Event {
            at,
            depth,
            is_past: at < now,
            order: Order::Other,
            what,
            place: None,
            path: None,
            because: self.chain(&Cause::Lost(need.clone())),
            takes: Vec::new(),
            trusting: Vec::new(),
            lost_since: None,
        };
        groups.into_iter().map(event).collect()
    }
}

fn event_of(end: &End, lost: &Lost, now: Timestamp) -> Event {
    let End { at, place, path, order, losses, because, takes, trusting } = end;
    let since = losses.iter().filter_map(|loss| lost.0.get(loss)).map(|fate| fate.at).max();
    Event {
        at: *at,
        depth: 0,
        is_past: *at < now,
        order: *order,
        what: losses.clone(),
        place: place.clone(),
        path: Some(path.clone()),
        because: because.clone(),
        takes: takes.clone(),
        trusting: trusting.clone(),
        lost_since: since.filter(|since| since < at),
    }
}

/// Returns what this node has that is lost with something else, sorted.
fn dependants(look: &Look<'_>) -> Vec<Loss> {
    let mut losses: Vec<Loss> = look
        .credentials()
        .filter(|(place, credential)| credential.leaf().is_some() && stays_here(look, place))
        .filter_map(|(place, _)| Loss::of(place))
        .collect();
    losses.push(Loss::Rotation);
    look.present(losses)
}

/// Returns whether the client at `place` has no other API server to go to than that of this node, as far as its kubeconfig
/// tells: a name or another address may lead to all of them.
fn stays_here(look: &Look<'_>, place: &Place) -> bool {
    let slot = match place {
        Place::Slot(Slot::KubeletClient) => Slot::Kubeconfig(KubeconfigSlot::Kubelet),
        Place::Slot(slot @ Slot::Kubeconfig(_)) => *slot,
        Place::Slot(_) => return true,
        Place::Copy(_) => return false,
    };
    let facts = look.inventory.credential(slot).and_then(|credential| credential.kubeconfig());
    let server = facts
        .and_then(|facts| facts.file.as_ref().ok()?.current().ok())
        .and_then(|current| Cluster::server(current.cluster));
    let (Some(server), Some(own)) = (server, look.inventory.node().addresses().advertised) else {
        return true;
    };
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address == own || address.is_loopback())
}

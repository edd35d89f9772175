//! What breaks, when, and in which order, if nobody acts.
//!
//! [`forecast`] puts the end of every certificate beside what depends on it: who loses what at that moment, and what follows
//! from that. Input is an [`Inventory`], what was seen of running programs, and a moment; nothing here reads a clock. Only
//! ends are foretold: what is damaged or does not belong together is the business of [`diagnose`](crate::diagnosis::diagnose).
//!
//! Four rules decide over the moment:
//!
//! * A leaf ends with its authority, whatever it says itself, since its chain is verified as a whole
//!   ([RFC 5280 §6.1.3](https://www.rfc-editor.org/rfc/rfc5280#section-6.1.3)).
//! * Where a program was seen to serve another certificate than the one on disk, the end of the served one counts.
//! * What the kubelet renews by itself does not end, unless rotation is off, overdue, or needs something that ends before:
//!   the API server, kube-controller-manager, and the key of the authority.
//! * What depends on something that is lost is lost with it: see [`Loss::needs`].
//!
//! What is known is one node. That another node's API server or etcd member takes over cannot be seen from here.

mod chain;
mod ends;
mod event;
mod loss;

use crate::inventory::Inventory;
use crate::observation::Observations;
use crate::time::Timestamp;

pub use event::{Cause, Event, Undated};
pub use loss::{Hold, Loss};

/// Returns what breaks on the node of `inventory` if nobody acts, as seen at `now`.
///
/// With [`Observations::none`] only the files are judged. A certificate whose last second is before `now` is in it as what is
/// broken already.
#[must_use]
pub fn forecast(inventory: &Inventory, observations: &Observations, now: Timestamp) -> Forecast {
    let look = ends::Look { inventory, observations, now };
    let ends = look.ends();
    let mut events = chain::events(&look, &ends);
    events.sort();
    Forecast { events, undated: look.undated(), now }
}

/// What breaks on one node, in its order. Public data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forecast {
    events: Vec<Event>,
    undated: Vec<Undated>,
    now: Timestamp,
}

impl Forecast {
    /// Returns every event: sorted by time, and at one time causes before what follows from them.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns what is broken already, in the order in which it broke.
    pub fn past(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.is_past)
    }

    /// Returns what will break up to and including `until`, in its order.
    pub fn upcoming(&self, until: Timestamp) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| !event.is_past && event.at <= until)
    }

    /// Returns what will break at a moment that nothing tells; sorted.
    #[must_use]
    pub fn undated(&self) -> &[Undated] {
        &self.undated
    }

    /// Returns the moment from which it is seen.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

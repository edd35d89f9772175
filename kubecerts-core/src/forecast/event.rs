//! What happens at one moment, and why.

use std::fmt;

use super::{Hold, Loss};
use crate::catalog::{CaSlot, Component};
use crate::inventory::Place;
use crate::path::TreePath;
use crate::time::Timestamp;

/// Something that breaks at one moment.
///
/// The order of the fields is the order of events.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Event {
    /// The last second at which it works.
    pub at: Timestamp,
    /// How many events lead to this one: 0 for the end of a certificate, 1 and more for what follows.
    pub depth: usize,
    /// Whether that was before the moment from which it is seen.
    pub is_past: bool,
    /// Whether it is an authority that ends; those come first.
    pub(super) order: Order,
    /// What is lost, sorted; empty when nothing depends on it any more.
    pub what: Vec<Loss>,
    /// The certificate that ends; `None` for what follows from something else.
    pub place: Option<Place>,
    /// The file that holds it.
    pub path: Option<TreePath>,
    /// Why, from the nearest cause to the first one; empty when the end of the certificate is all there is to say.
    pub because: Vec<Cause>,
    /// The certificates that end with this one and not by themselves: those that an authority has signed and that would be
    /// valid for longer, or as long.
    pub takes: Vec<Place>,
    /// Who trusts the authority that ends, beside its own file: one line each.
    pub trusting: Vec<String>,
    /// Since when everything that is lost here is lost anyway, for another reason.
    pub lost_since: Option<Timestamp>,
}

impl Event {
    /// Returns the programs that are hit, in the order of [`Component::ALL`].
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let mut components: Vec<Component> = self.what.iter().filter_map(Loss::component).collect();
        components.sort_unstable();
        components.dedup();
        components
    }

    /// Returns when `loss`, one of [`what`](Self::what), takes hold: what follows from something that fails with the next connection
    /// only fails no sooner.
    #[must_use]
    pub fn hold(&self, loss: &Loss) -> Hold {
        let causes = self.because.iter().filter(|_| self.place.is_none());
        let causes = causes.filter_map(|cause| match cause {
            Cause::Lost(loss) => Some(loss.hold()),
            _ => None,
        });
        causes.chain([loss.hold()]).max().unwrap_or(Hold::AtOnce)
    }

    /// Returns what happens, without what follows: `apiserver-etcd-client ends`, `the API server has lost etcd`.
    #[must_use]
    pub fn trigger(&self) -> String {
        match (&self.place, self.because.first()) {
            (Some(place), _) if self.is_past => format!("{place} ended"),
            (Some(place), _) => format!("{place} ends"),
            (None, Some(cause)) => cause.to_string(),
            (None, None) => "nothing is left".to_owned(),
        }
    }

    /// Returns what is lost in words, separated by semicolons.
    #[must_use]
    pub fn consequence(&self) -> String {
        if self.what.is_empty() {
            return "nothing of this node depends on it".to_owned();
        }
        self.what.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.trigger(), self.consequence())
    }
}

/// The place of an event among those of the same moment and depth.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Order {
    /// An authority.
    Authority,
    /// Anything else.
    Other,
}

/// Why something breaks.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Cause {
    /// This certificate ends.
    Ends(Place),
    /// This authority, which has signed the certificate, ends before it.
    AuthorityEnds(CaSlot),
    /// This program was seen to serve another certificate than the one on disk, which ends at this moment.
    InMemory(Component, Timestamp),
    /// The kubeconfig trusts an earlier certificate of the authority, and no later one.
    TrustsEarlier(CaSlot),
    /// This file, which components are told to trust, holds an earlier certificate of the authority, and that one ends.
    TrustFileEnds(CaSlot, TreePath),
    /// The kubelet does not rotate the certificate: rotation is off.
    RotationOff,
    /// kubelet.conf embeds the certificate, so that the kubelet cannot rotate it.
    Embedded,
    /// The kubelet should have renewed the certificate by this moment and has not.
    Overdue(Timestamp),
    /// Nobody signs the kubelet's requests: the key of this authority is not on the node.
    NoSigner(CaSlot),
    /// Something else is lost.
    Lost(Loss),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(place) => write!(f, "{place} ends"),
            Self::AuthorityEnds(ca) => write!(f, "its authority {ca} ends before it"),
            Self::InMemory(component, on_disk) => {
                write!(
                    f,
                    "{component} has another certificate in memory than the one on disk, which ends {on_disk}"
                )
            }
            Self::TrustsEarlier(ca) => write!(f, "it trusts an earlier certificate of {ca} only"),
            Self::TrustFileEnds(ca, path) => write!(f, "the certificate of {ca} in {path} ends"),
            Self::RotationOff => f.write_str("the kubelet does not rotate it"),
            Self::Embedded => f.write_str("kubelet.conf embeds it, so nobody rotates it"),
            Self::Overdue(due) => write!(f, "the kubelet should have renewed it by {due}, and has not"),
            Self::NoSigner(ca) => {
                write!(f, "the kubelet cannot renew it, as nobody here has the key of {ca} to sign with")
            }
            Self::Lost(loss) => f.write_str(&loss.as_cause()),
        }
    }
}

/// Something that will break, though nothing tells when: a program has something older in memory than what is on disk, and
/// shows it to nobody.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Undated {
    /// What lies on disk.
    pub place: Place,
    /// Who has something older in memory.
    pub component: Component,
    /// When the one on disk ends.
    pub on_disk: Option<Timestamp>,
}

impl fmt::Display for Undated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, component, on_disk: _ } = self;
        write!(
            f,
            "{component} uses an earlier {place} than the one on disk, and nobody can see when that one ends"
        )
    }
}

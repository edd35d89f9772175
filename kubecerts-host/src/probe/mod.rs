//! What runs on a node, as it can be seen from outside: served certificates, answers about health, start times.

use std::collections::BTreeSet;

use kubecerts_core::catalog::Component;
use kubecerts_core::observation::Observations;

/// Somebody who looks at the running programs of a node.
pub trait Probe {
    /// Returns what is to be seen of `components` now. Whatever does not answer costs a bounded time and is noted.
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations;
}

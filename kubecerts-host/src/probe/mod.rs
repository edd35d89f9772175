//! What runs on a node, as it can be seen from outside: served certificates, answers about health, start times.
//!
//! [`NodeProbe`] gathers [`Observations`]; what they mean for the credentials on disk is said by
//! [`usages`](kubecerts_core::observation::usages). Its parts can be used alone: [`handshake`] shows which certificate is
//! served, [`health`] what a program says of itself, [`processes`] since when one runs.
//!
//! Whoever is looked at may be broken or hostile. Every look has a deadline for the whole of it, holds less than a MiB,
//! and takes what it reads for data: no text of a server reaches the caller unescaped or longer than a line. Servers are
//! not verified, because a certificate that nobody would accept is what is to be seen; nothing secret is sent to them.

mod connection;
mod handshake;
mod health;
mod identity;
mod line;
mod node;
mod processes;

use std::collections::BTreeSet;

use kubecerts_core::catalog::Component;
use kubecerts_core::observation::Observations;

pub use handshake::handshake;
pub use health::health;
pub use identity::{ClientIdentity, IdentityError};
pub use node::NodeProbe;
pub use processes::processes;

/// Somebody who looks at the running programs of a node.
pub trait Probe {
    /// Returns what is to be seen of `components` now. Whatever does not answer costs a bounded time and is noted.
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations;
}

//! What runs: what was seen of a node's programs, and whether they use the credentials that are on disk.
//!
//! [`Observations`] are public data that somebody with effects has gathered: TLS handshakes, answers about health, and when
//! every program was started. [`usages`] puts them beside an [`Inventory`](crate::inventory::Inventory) and gives a verdict
//! for each file that a program loads, with its proof. There are two proofs, and they are never mixed up:
//!
//! * What is *served* proves which serving certificate a program has in memory. Only the API server and etcd serve one of
//!   the tree.
//! * That a program was *started* after a file was last changed proves that it has read the file as it is. Nothing else
//!   proves anything about a client certificate in a kubeconfig.

mod seen;
mod usage;

pub use seen::{
    ClusterHealth, Handshake, Health, HealthReport, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
pub use usage::{Proof, Usage, Verdict, usages};

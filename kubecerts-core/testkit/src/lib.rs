//! What the tests of kubecerts share: trees that real kubeadm made, trees in memory, and seeded providers.
//!
//! Nothing here is published, and nothing here may reach the binary: a seed is a key-recovery knob.

#![expect(clippy::missing_panics_doc, reason = "test support panics when a fixture is broken")]

mod borrowed;
mod builder;
mod draft;
mod fixture;
pub mod judge;
mod memory;
pub mod needles;
mod pods;
mod requests;
mod scenarios;
mod seeded;

pub use borrowed::BorrowedKeys;
pub use builder::TreeBuilder;
pub use draft::Draft;
pub use fixture::{FIXTURES, Fixture};
pub use memory::MemoryTree;
pub use pods::{TOKEN_SIGNATURE, pod_volume, service_account_token};
pub use requests::RequestMaker;
pub use scenarios::{AnyProvider, judge_new_trees, judge_provider};
pub use seeded::Seeded;

use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;

/// Returns the moment that `text`, in RFC 3339, names.
#[must_use]
pub fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("the time is in RFC 3339")
}

/// Returns `text` as a path of the tree.
#[must_use]
pub fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("the path is absolute")
}

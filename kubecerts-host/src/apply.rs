//! Makes a change set so, and reports what is then on disk.

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::ChangeSet;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::ClockProblem;
use kubecerts_core::provider::{Entropy, ProviderError};

use crate::disk::DiskError;
use crate::disk::transaction::{Event, Purpose};
use crate::node::{Node, NodeError};
use crate::session::{Session, SessionError};

/// Writes everything in `changes` to the files of `node`, and scans it again.
///
/// This is [`Session::apply`] in a session of its own. A run that was interrupted is recovered first.
///
/// # Errors
/// [`ApplyError`] when a file is not what the plan was made for, or cannot be written.
pub fn apply(
    changes: &ChangeSet,
    node: &Node,
    entropy: &mut dyn Entropy,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Report, ApplyError> {
    let mut session = Session::begin(node, "apply")?;
    if let Some(interrupted) = session.interrupted()? {
        session.recover(&interrupted).map(drop)?;
    }
    session.apply(changes, Purpose::new("apply"), entropy, observer)
}

/// What was written, and what is there now. Public data.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "the report says whether what is on disk now is what was planned"]
pub struct Report {
    /// The files that were replaced, in order.
    pub written: Vec<Written>,
    /// The backup of the files that were replaced; `None` when nothing was to be written.
    pub backup: Option<String>,
    /// Temporary files that could not be removed; the next run will.
    pub leftovers: Vec<TreePath>,
    /// The tree, scanned again.
    pub inventory: Inventory,
}

/// A file that was replaced or created.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Written {
    /// The slot of the file.
    pub file: FileSlot,
    /// The path, as the change named it.
    pub path: TreePath,
    /// The path behind all links, which is the file that was replaced.
    pub target: TreePath,
    /// The digest of the new content.
    pub digest: Digest,
}

/// Why changes could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The right to write could not be had.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The clock contradicts the tree, so that dates would be wrong. Nothing was changed.
    #[error(transparent)]
    Clock(#[from] ClockProblem),
    /// The tree could not be scanned, before anything was written.
    #[error("the tree could not be scanned")]
    Scan(#[source] NodeError),
    /// The tree could not be scanned again; everything was written.
    #[error("everything was written, but the tree could not be scanned again")]
    Rescan(#[source] NodeError),
    /// The random source failed, before anything was written.
    #[error("no random bytes for the names of temporary files")]
    Entropy(#[source] ProviderError),
}

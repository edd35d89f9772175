//! Makes a change set so, and reports what is then on disk.

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::ChangeSet;
use kubecerts_core::path::TreePath;
use kubecerts_core::provider::{Entropy, ProviderError};

use crate::disk::{DiskError, RealDisk, Staged, Written};
use crate::node::{Node, NodeError};

/// Writes everything in `changes` to the files of `node`, and scans it again.
///
/// All new files are written beside the old ones before the first is replaced; a failure until then changes nothing.
///
/// # Errors
/// [`ApplyError`] when a file is not what the plan was made for, or cannot be written.
pub fn apply(
    changes: &ChangeSet,
    node: &Node,
    entropy: &mut dyn Entropy,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Report, ApplyError> {
    let mut token = [0; 8];
    entropy.fill(&mut token).map_err(ApplyError::Entropy)?;
    let mut disk = RealDisk;
    // The journal and the backup of the old files belong between staging and committing.
    let staged = Staged::stage(changes, node.root(), u64::from_le_bytes(token), &mut disk)?;
    observer(Event::Staged { files: changes.changes().len() });
    let written = staged.commit()?;
    for Written { file, path, .. } in &written {
        observer(Event::Replaced { file: *file, path });
    }
    let inventory = Inventory::parse(&node.scan()?);
    Ok(Report { written, inventory })
}

/// Something that happened while changes were applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All new files lie beside the old ones.
    Staged {
        /// How many there are.
        files: usize,
    },
    /// A file was replaced.
    Replaced {
        /// Its slot.
        file: FileSlot,
        /// Its path.
        path: &'a TreePath,
    },
}

/// What was written, and what is there now. Public data.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "the report says whether what is on disk now is what was planned"]
pub struct Report {
    /// The files that were replaced, in order.
    pub written: Vec<Written>,
    /// The tree, scanned again.
    pub inventory: Inventory,
}

/// Why changes could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The tree could not be scanned again; everything was written.
    #[error("everything was written, but the tree could not be scanned again")]
    Rescan(#[from] NodeError),
    /// The random source failed, before anything was written.
    #[error("no random bytes for the names of temporary files")]
    Entropy(#[source] ProviderError),
}

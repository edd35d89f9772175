//! Makes a change set so, and reports what is then on disk.

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{Change, ChangeSet};
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::ClockProblem;
use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::snapshot::ReadProblem;

use crate::disk::DiskError;
use crate::disk::transaction::{Event, Item, Purpose};
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

/// Returns the name of the file to which the path of `change` becomes a link.
pub(crate) fn dated(change: &Change) -> Option<&str> {
    change.dated()
}

/// Returns the dated file of each change that has one.
pub(crate) fn dated_files(
    changes: &ChangeSet,
    dated: impl Fn(&Change) -> Option<&str>,
) -> Result<Vec<Option<TreePath>>, DiskError> {
    let beside = |change: &Change, name: &str| {
        let refused = |problem| DiskError::Refused { path: change.path().clone(), problem };
        let directory = change.path().parent();
        match directory.join(name) {
            Ok(file) if file.parent() == directory && file != *change.path() => Ok(file),
            _ => Err(refused(ReadProblem::Failed(format!("{name:?} is no name of a file beside it")))),
        }
    };
    let files = changes.changes().iter();
    files.map(|change| dated(change).map(|name| beside(change, name)).transpose()).collect()
}

/// Returns the items of all changes, in their order.
pub(crate) fn items<'c>(changes: &'c ChangeSet, dated: &'c [Option<TreePath>]) -> Vec<Item<'c>> {
    let items = changes.changes().iter().zip(dated).flat_map(|(change, dated)| match dated {
        None => vec![Item::of(change)],
        Some(file) => {
            let (path, expected, content) = (change.path(), change.expected(), change.secret_bytes());
            Item::behind_link(path, expected, file, content, change.mode()).into()
        }
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use kubecerts_core::issue::Expected;
    use kubecerts_core::secret::SecretBytes;

    use super::*;
    use crate::disk::transaction::{Becomes, Reach};

    const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

    fn changes() -> ChangeSet {
        let file = FileSlot::all().next().unwrap();
        let path = TreePath::parse(CURRENT).unwrap();
        vec![Change::new(file, path, Expected::Absent, 0o600, SecretBytes::new(b"pem".to_vec()))].into()
    }

    #[test]
    fn a_dated_change_is_a_new_file_and_then_a_link_to_it() {
        let changes = changes();
        let name = "kubelet-client-2026-11-22-07-49-09.pem";
        let dated = dated_files(&changes, |_| Some(name)).unwrap();
        let items = items(&changes, &dated);
        let whole = format!("/var/lib/kubelet/pki/{name}");
        let [file, link] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!((file.path.as_str(), file.expected), (whole.as_str(), Expected::Absent));
        assert!(matches!(file.becomes, Becomes::File { content: b"pem", mode: 0o600, facts: None }));
        assert_eq!((link.path.as_str(), link.reach), (CURRENT, Reach::Entry));
        assert!(matches!(link.becomes, Becomes::Link { target } if target == whole));
    }

    #[test]
    fn a_dated_file_lies_beside_its_link_and_is_another_one() {
        let changes = changes();
        for name in ["", ".", "..", "../x.pem", "a/x.pem", "/etc/x.pem", "kubelet-client-current.pem"] {
            assert!(
                matches!(dated_files(&changes, |_| Some(name)), Err(DiskError::Refused { .. })),
                "{name:?}"
            );
        }
    }
}

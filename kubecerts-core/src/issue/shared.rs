//! The tree of another control-plane node: what is its own, and what all of them have alike.

use super::{Change, ChangeSet, Expected, IssueError, KeySource, Signer, issue};
use crate::catalog::FileSlot;
use crate::inventory::Inventory;
use crate::path::TreePath;
use crate::plan::{EtcdIntent, Plan, shared_files};
use crate::secret::SecretBytes;
use crate::snapshot::{FileContent, FileState, Snapshot};

/// The files that all control-plane nodes of a cluster have alike. It holds secrets: no `Clone`.
///
/// It is the tree of a node before it joins: plan over its [`inventory`](Self::inventory) with
/// [`initialise`](crate::plan::initialise()), and issue with [`issue_with_shared`].
#[derive(Debug)]
pub struct SharedFiles {
    snapshot: Snapshot,
    files: Vec<FileSlot>,
}

impl SharedFiles {
    /// Takes the shared files out of a control-plane node's: the certificates and keys of the authorities and the service
    /// account pair; with an external etcd also the API server's client certificate for it.
    ///
    /// The key of an authority may be missing. Then no plan can sign with it.
    ///
    /// # Errors
    /// [`SharedFileError`] for the first file that another control-plane node could not do without.
    pub fn of(source: &Snapshot, etcd: &EtcdIntent) -> Result<Self, SharedFileError> {
        let mut shared = Self { snapshot: Snapshot::new(source.node().clone()), files: shared_files(etcd) };
        shared
            .files
            .retain(|file| !matches!((file, source.file(*file)), (FileSlot::CaKey(_), FileState::Absent)));
        for file in &shared.files {
            let path = || source.layout().path(*file).clone();
            let content = match source.file(*file) {
                FileState::Present(content) => content,
                FileState::Absent => return Err(SharedFileError::Missing { path: path() }),
                FileState::Unreadable(problem) => {
                    return Err(SharedFileError::Unreadable { path: path(), problem: problem.to_string() });
                }
            };
            let bytes = SecretBytes::new(content.secret_bytes().to_vec());
            let copy = FileContent::new(bytes, content.meta().clone());
            shared.snapshot.insert(*file, FileState::Present(copy));
        }
        Ok(shared)
    }

    /// Returns what there is to plan over.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory::parse(&self.snapshot)
    }
}

/// Why a node's files are not enough for another control-plane node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SharedFileError {
    /// A file does not exist.
    #[error("{path} does not exist, and every control-plane node needs it")]
    Missing {
        /// The file.
        path: TreePath,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: TreePath,
        /// Why not.
        problem: String,
    },
}

/// Whether another control-plane node gets the keys of the authorities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a node has them or it does not")]
pub enum AuthorityKeys {
    /// It does, as kubeadm has it: then it can sign for others.
    Copied,
    /// It does not, so the authorities are external there.
    LeftOut,
}

/// Issues `plan`, which was made over the inventory of `shared`, and returns the whole tree: the shared files as they are,
/// in kubeadm's modes, before what is the node's own.
///
/// # Errors
/// As [`issue`].
///
/// # Panics
/// Never: the shared files were read.
pub fn issue_with_shared<P: KeySource + Signer + ?Sized>(
    plan: &Plan,
    shared: &SharedFiles,
    keys: AuthorityKeys,
    provider: &mut P,
) -> Result<ChangeSet, IssueError> {
    let SharedFiles { snapshot, files } = shared;
    let is_left_out = |file: &FileSlot| keys == AuthorityKeys::LeftOut && matches!(file, FileSlot::CaKey(_));
    let issued = issue(plan, snapshot, provider)?.into_changes();
    let mut changes = Vec::with_capacity(files.len() + issued.len());
    for file in files.iter().filter(|file| !is_left_out(file)) {
        let content = snapshot.file(*file).content().expect("shared files were read");
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        let path = snapshot.layout().path(*file).clone();
        changes.push(Change::new(*file, path, Expected::Absent, file.mode(), bytes));
    }
    changes.extend(issued);
    Ok(ChangeSet::from(changes))
}

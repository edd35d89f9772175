//! The way back to a backup.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::lchown;
use std::path::PathBuf;

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;

use super::super::transaction::{Becomes, Item, Reach};
use super::super::{Disk, DiskError, Existence, Labels, Operation, Owner, RealDisk, Root, State};
use super::compare::compare;
use super::{Manifest, Node};

/// What it takes to make the files of a backup those of the node again.
#[derive(Debug)]
#[must_use = "nothing is restored until it is applied"]
pub struct Restoration {
    manifest: Manifest,
    files: Vec<Restored>,
    links: Vec<TreePath>,
}

/// One path that differs from the backup.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored {
    /// The path.
    pub path: TreePath,
    pub(super) reach: Reach,
    /// How it differs.
    pub difference: Difference,
    /// What is there now; secret, so not printed.
    pub(super) current: Option<SecretBytes>,
    pub(super) expected: Expected,
    pub(super) target: Option<Then>,
    /// What is written to.
    pub(super) host: PathBuf,
}

/// How a file differs from the backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// Its content is another one.
    Content,
    /// Its mode, owner or labels are others.
    Facts,
    /// It is gone, and comes back.
    Missing,
    /// There was no such file or link, and it is removed.
    Extra,
    /// It is a link where there was another one or a file, or was a link where there is a file.
    Link,
}

/// What was at a path, as the backup has it.
#[derive(Debug)]
pub(super) enum Then {
    File { content: SecretBytes, mode: u32, owner: Owner, labels: Labels },
    Link { target: String },
}

impl Restored {
    /// Returns the content now; `None` when there is no file, or a link that is to be replaced.
    #[must_use]
    pub fn current_secret_bytes(&self) -> Option<&[u8]> {
        self.current.as_ref().map(SecretBytes::secret_bytes)
    }

    /// Returns the content in the backup; `None` when there was no file, or a link.
    #[must_use]
    pub fn restored_secret_bytes(&self) -> Option<&[u8]> {
        match &self.target {
            Some(Then::File { content, .. }) => Some(content.secret_bytes()),
            Some(Then::Link { .. }) | None => None,
        }
    }

    /// Returns where the link in the backup points; `None` when there was none.
    #[must_use]
    pub fn restored_link(&self) -> Option<&str> {
        match &self.target {
            Some(Then::Link { target }) => Some(target),
            Some(Then::File { .. }) | None => None,
        }
    }

    /// Returns the digest of the content in the backup; `None` when there was no file.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.restored_secret_bytes().map(Digest::of)
    }
}

impl Restoration {
    /// Compares the node with a backup, which has to be whole.
    ///
    /// # Errors
    /// [`DiskError::Backup`] when a file of the backup is not what the manifest says; [`DiskError::Refused`] when a file of
    /// the node cannot be read.
    pub fn new(manifest: Manifest, root: &Root, state: &State, disk: &impl Disk) -> Result<Self, DiskError> {
        let mut files: Vec<Restored> = Vec::new();
        let mut met: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut links = Vec::new();
        for entry in &manifest.files {
            match &entry.node {
                // Only noted, because no run had replaced it.
                Node::Link { target } if entry.reach == Reach::Links => {
                    if !is_link_to(&entry.path, target, root, disk) {
                        links.push(entry.path.clone());
                    }
                }
                Node::Directory { .. } => {}
                Node::File { .. } | Node::Absent | Node::Link { .. } => {
                    let Some(restored) = compare(&manifest, entry, root, state, disk)? else { continue };
                    // A file with two names is written once. If they disagree, the run will refuse both.
                    match met.get(&restored.host) {
                        Some(known) if files[*known].is_same(&restored) => continue,
                        _ => met.insert(restored.host.clone(), files.len()),
                    };
                    files.push(restored);
                }
            }
        }
        Ok(Self { manifest, files, links })
    }

    /// Returns the backup.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the files that differ, in the order of the backup.
    #[must_use]
    pub fn files(&self) -> &[Restored] {
        &self.files
    }

    /// Returns the links that point elsewhere now, or are gone, and that no run had replaced. They stay as they are: the
    /// kubelet moves its own.
    #[must_use]
    pub fn links(&self) -> &[TreePath] {
        &self.links
    }

    /// Returns whether every file is as the backup has it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns what to write: files, then the links, which may lead to them, then what is removed, to which links may have led.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'_>> {
        let mut items: Vec<Item<'_>> = self.files.iter().map(Restored::item).collect();
        items.sort_by_key(|item| match item.becomes {
            Becomes::File { .. } => 0,
            Becomes::Link { .. } => 1,
            Becomes::Nothing => 2,
        });
        items
    }

    /// Makes the directories of files that come back, as the backup has them, else with mode 0755, and adds each to `made`.
    ///
    /// # Errors
    /// [`DiskError::Replace`]; what was made until then stays, and is in `made`.
    pub(crate) fn make_directories(
        &self,
        root: &Root,
        disk: &mut RealDisk,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), DiskError> {
        // In a home, nothing is made by a name that its owner may turn elsewhere.
        let is_missing = |restored: &&Restored| {
            restored.difference == Difference::Missing && restored.reach != Reach::Home
        };
        for restored in self.files.iter().filter(is_missing) {
            self.make_directory(&restored.path.parent(), root, disk, made)?;
        }
        Ok(())
    }

    fn make_directory(
        &self,
        path: &TreePath,
        root: &Root,
        disk: &mut RealDisk,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), DiskError> {
        let refused = |problem| DiskError::Refused { path: path.clone(), problem };
        let resolved = root.resolve(path, disk).map_err(refused)?;
        if resolved.existence == Existence::Present {
            return Ok(());
        }
        self.make_directory(&path.parent(), root, disk, made)?;
        let facts = self.manifest.files.iter().find_map(|entry| match &entry.node {
            Node::Directory { mode, uid, gid } if entry.path == *path => {
                Some((*mode, Owner { uid: *uid, gid: *gid }))
            }
            _ => None,
        });
        let failed = |operation| move |source| DiskError::Replace { path: path.clone(), operation, source };
        let host = resolved.host;
        match disk.create_directory(&host, facts.map_or(0o755, |(mode, _)| mode)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            done => done.map_err(failed(Operation::CreateDirectory))?,
        }
        made.push(host.clone());
        if let Some((_, owner)) = facts {
            let found = disk.stat(&host).map_err(failed(Operation::Inspect))?;
            if found.is_some_and(|found| found.owner != owner) {
                lchown(&host, Some(owner.uid), Some(owner.gid)).map_err(failed(Operation::SetOwner))?;
                disk.sync_directory(&host).map_err(failed(Operation::FlushDirectory))?;
            }
        }
        // The run flushes the entries of the directory itself, and nobody else that of its name.
        let Some(above) = host.parent() else { return Ok(()) };
        disk.sync_directory(above).map_err(failed(Operation::FlushDirectory))
    }

    /// Removes directories that were made for nothing, as far as they are empty.
    pub(crate) fn remove_directories(made: &[PathBuf], disk: &mut RealDisk) {
        for directory in made.iter().rev() {
            // An empty directory does no harm, and somebody else may have put a file into it.
            let _ = disk.remove_directory(directory);
        }
    }
}

impl Then {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link { target }, Self::Link { target: other }) => target == other,
            (
                Self::File { content, mode, owner, labels },
                Self::File { content: other, mode: its_mode, owner: its_owner, labels: its_labels },
            ) => {
                content.secret_bytes() == other.secret_bytes()
                    && (mode, owner, labels) == (its_mode, its_owner, its_labels)
            }
            _ => false,
        }
    }
}

impl Restored {
    /// Returns whether both are to become the same, being one file under two names.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    fn item(&self) -> Item<'_> {
        let becomes = match &self.target {
            None => Becomes::Nothing,
            Some(Then::Link { target }) => Becomes::Link { target },
            Some(Then::File { content, mode, owner, labels }) => {
                Becomes::File { content: content.secret_bytes(), mode: *mode, facts: Some((*owner, labels)) }
            }
        };
        Item { path: &self.path, reach: self.reach, expected: self.expected, becomes }
    }
}

fn is_link_to(path: &TreePath, target: &str, root: &Root, disk: &impl Disk) -> bool {
    let Ok(parent) = root.resolve(&path.parent(), disk) else { return false };
    disk.read_link(&parent.host.join(path.file_name())).is_ok_and(|found| found.to_str() == Some(target))
}

//! Where runs leave what outlives them.

use std::io;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_core::time::Timestamp;

use super::{Disk, DiskError, Kind, Operation, Root, safety};

/// The directory of journals and backups.
///
/// | entry | what it is |
/// |---|---|
/// | `lock` | the lock, with the name of who holds it |
/// | `journal` | the run that is under way, or was interrupted |
/// | `audit/ID.jsonl` | the journals of the runs that are done, and records of what was issued beside the tree |
/// | `backups/ID/` | the backups |
///
/// It is made when it is needed first, and only its owner can enter it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    path: TreePath,
    host: PathBuf,
    /// Why nothing can be kept there, when a link on the way leads nowhere.
    broken: Option<ReadProblem>,
}

impl State {
    /// Returns where it is unless something else is asked for: `/var/lib/kubecerts`.
    ///
    /// # Panics
    /// Never: the path is absolute.
    #[must_use]
    pub fn default_path() -> TreePath {
        TreePath::parse("/var/lib/kubecerts").expect("the path is absolute")
    }

    /// Finds the directory `path` of the node; it need not exist.
    ///
    /// # Errors
    /// [`DiskError::Refused`] when a link on the way leaves the root or leads nowhere.
    pub fn locate(path: &TreePath, root: &Root, disk: &impl Disk) -> Result<Self, DiskError> {
        let resolved =
            root.resolve(path, disk).map_err(|problem| DiskError::Refused { path: path.clone(), problem })?;
        Ok(Self { path: resolved.tree, host: resolved.host, broken: None })
    }

    /// Returns a directory that cannot be used, for a node that is only looked at.
    pub(crate) fn broken(path: &TreePath, problem: ReadProblem, root: &Root) -> Self {
        Self { path: path.clone(), host: root.host(path), broken: Some(problem) }
    }

    /// Returns the directory as the node itself would write it.
    #[must_use]
    pub const fn path(&self) -> &TreePath {
        &self.path
    }

    /// Returns the directory on this machine.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.host
    }

    /// Refuses a directory that cannot be used, or that others than its owner may write to.
    pub(crate) fn must_be_private(&self, root: &Root, disk: &impl Disk) -> Result<(), DiskError> {
        if let Some(problem) = &self.broken {
            return Err(DiskError::Refused { path: self.path.clone(), problem: problem.clone() });
        }
        for name in ["", "audit", "backups"] {
            let directory = self.tree(&self.host.join(name));
            safety::only_owner_writes(&directory, &self.path, root, disk)?;
        }
        Ok(())
    }

    /// Makes the directory `name` in it, and everything above; what exists stays as it is.
    pub(crate) fn make(&self, name: &str, disk: &mut impl Disk) -> Result<(), DiskError> {
        // What is above was there before in all but the strangest of systems; it belongs to everybody.
        let mut missing = Vec::new();
        let mut at = self.host.clone();
        while self.stat(&at, disk)?.is_none() {
            missing.push(at.clone());
            if !at.pop() {
                break;
            }
        }
        for (index, directory) in missing.iter().enumerate().rev() {
            self.make_one(directory, if index == 0 { 0o700 } else { 0o755 }, disk)?;
        }
        if name.is_empty() {
            return Ok(());
        }
        let mut at = self.host.clone();
        for part in name.split('/') {
            at.push(part);
            if !self.is_directory(&at, disk)? {
                self.make_one(&at, 0o700, disk)?;
            }
        }
        Ok(())
    }

    /// Returns an identifier for a run at `now` that comes after every earlier one of the same second.
    pub(crate) fn new_id(&self, now: Timestamp, disk: &impl Disk) -> Result<String, DiskError> {
        let moment: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let (backups, audit) = (self.names("backups", disk)?, self.names("audit", disk)?);
        let ids = backups.iter().map(String::as_str);
        let ids = ids.chain(audit.iter().filter_map(|name| name.strip_suffix(".jsonl")));
        // A number that has become free again is not taken, and neither is a moment before one that a clock once showed:
        // the newest backup has to be the last one.
        Ok(match ids.filter_map(parts_of_id).max() {
            Some((latest, count)) if latest >= moment.as_str() => {
                format!("{latest}-{}", count.saturating_add(1))
            }
            _ => moment,
        })
    }

    /// Returns the names in the directory `name` of it, in any order; none when there is no such directory.
    pub(super) fn names(&self, name: &str, disk: &impl Disk) -> Result<Vec<String>, DiskError> {
        let directory = self.host.join(name);
        if !self.is_directory(&directory, disk)? {
            return Ok(Vec::new());
        }
        let names =
            disk.list(&directory).map_err(|source| self.failed(&directory, Operation::List, source))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Returns the error of an operation on something in the directory.
    pub(super) fn failed(&self, host: &Path, operation: Operation, source: io::Error) -> DiskError {
        DiskError::State { path: self.tree(host), operation, source }
    }

    /// Returns a path of this machine as the node itself would write it.
    pub(super) fn tree(&self, host: &Path) -> TreePath {
        let below = host.strip_prefix(&self.host).ok().and_then(Path::to_str).unwrap_or_default();
        self.path.join(below).unwrap_or_else(|_| self.path.clone())
    }

    fn make_one(&self, directory: &Path, mode: u32, disk: &mut impl Disk) -> Result<(), DiskError> {
        match disk.create_directory(directory, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made.map_err(|source| self.failed(directory, Operation::CreateDirectory, source))?,
        }
        let Some(above) = directory.parent() else { return Ok(()) };
        disk.sync_directory(above).map_err(|source| {
            // The next run takes what exists for granted, and a crash would take its journal away with the directory.
            let _ = disk.remove_directory(directory);
            self.failed(above, Operation::FlushDirectory, source)
        })
    }

    /// Returns whether there is a directory at `host`; anything else, a link for one, must not be there.
    fn is_directory(&self, host: &Path, disk: &impl Disk) -> Result<bool, DiskError> {
        match self.stat(host, disk)? {
            None => Ok(false),
            Some(stat) if stat.kind == Kind::Directory => Ok(true),
            Some(_) => Err(self.failed(host, Operation::Inspect, io::ErrorKind::NotADirectory.into())),
        }
    }

    fn stat(&self, host: &Path, disk: &impl Disk) -> Result<Option<super::Stat>, DiskError> {
        disk.stat(host).map_err(|source| self.failed(host, Operation::Inspect, source))
    }
}

/// Takes the identifier of a run apart: its moment, and the number that it has among the runs of that moment.
///
/// Whatever else there is in the directories is not ours.
pub(super) fn parts_of_id(id: &str) -> Option<(&str, u32)> {
    let (moment, count) = match id.split_once('-') {
        Some((moment, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            (moment, count.parse().ok()?)
        }
        Some(_) => return None,
        None => (id, 1),
    };
    // 20261122T042559Z
    let fits = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    (moment.len() == 16 && moment.bytes().enumerate().all(fits)).then_some((moment, count))
}

#[cfg(test)]
mod tests {
    use super::super::RealDisk;
    use super::*;

    #[test]
    fn the_identifiers_of_a_second_only_grow_whatever_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path()).unwrap();
        let state = State::locate(&TreePath::parse("/").unwrap(), &root, &RealDisk).unwrap();
        let id = || state.new_id(Timestamp::from_unix(0), &RealDisk).unwrap();
        assert_eq!(id(), "19700101T000000Z");
        for name in ["backups/19700101T000000Z-2", "backups/other", "backups/99", "audit"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        assert_eq!(id(), "19700101T000000Z-3");
        std::fs::write(dir.path().join("audit/19700101T000000Z-10.jsonl"), "").unwrap();
        assert_eq!(id(), "19700101T000000Z-11");
        // A clock that was ahead once does not make what comes now older.
        std::fs::create_dir(dir.path().join("backups/20990101T000000Z")).unwrap();
        assert_eq!(id(), "20990101T000000Z-2");
    }

    #[test]
    fn only_identifiers_of_ours_are_identifiers() {
        assert_eq!(parts_of_id("20261122T042559Z"), Some(("20261122T042559Z", 1)));
        assert_eq!(parts_of_id("20261122T042559Z-12"), Some(("20261122T042559Z", 12)));
        for other in [
            "",
            "..",
            "/tmp/x",
            "2020",
            "20261122T042559Z-",
            "20261122T042559Z-x",
            "20261122T042559Z/..",
            "20261122x042559Z",
        ] {
            assert_eq!(parts_of_id(other).filter(|(_, count)| *count > 0), None, "{other}");
        }
    }
}

//! Files of the node, with and without what lies beside them.
//!
//! A backup made by hand is not refused for one odd entry: what cannot be read is left out, and the manifest says why.

use std::path::Path;

use kubecerts_core::path::TreePath;

use super::super::journal::PREFIX;
use super::super::{Disk, DiskError, Existence, Kind, Operation, Root, Stat, State, Unit, safety};
use super::{BACKUP_FILE_LIMIT, Writer};

impl<D: Disk> Writer<'_, D> {
    /// Refuses a backup of files with these sizes when there is no room for it; nothing needs to exist yet.
    ///
    /// # Errors
    /// [`DiskError::NoRoom`]; [`DiskError::State`] when it cannot be found out.
    pub(crate) fn room(
        sizes: impl IntoIterator<Item = u64>,
        state: &State,
        root: &Root,
        disk: &D,
    ) -> Result<(), DiskError> {
        safety::room_for_backup(sizes, state, root, disk)
    }

    /// Adds `directory` with everything below it, sorted by path; one that does not exist adds nothing.
    ///
    /// Links are noted and not followed, unless `directory` itself is reached through one. What is neither file, directory
    /// nor link, what cannot be read, and files over the limit, are noted as left out. Temporary files of ours and the state
    /// directory are not mentioned.
    ///
    /// # Errors
    /// [`DiskError::NoRoom`] when a file would fill the file system of the state directory, else as for every file.
    pub fn whole(&mut self, directory: &TreePath, root: &Root) -> Result<(), DiskError> {
        match root.resolve(directory, &*self.disk) {
            Ok(resolved) if resolved.existence == Existence::Present => {
                self.below(directory, &resolved.host, 0)?;
            }
            Ok(_) => {}
            Err(problem) => self.skip(directory, problem.to_string()),
        }
        Ok(())
    }

    /// Adds the file `path` through all links, unless [`whole`](Self::whole) has met it already or it does not exist.
    ///
    /// A file with two names in the catalogue is added under both: one of them may be a file of its own by the time that the
    /// backup is gone back to.
    ///
    /// # Errors
    /// As [`whole`](Self::whole).
    pub fn one(&mut self, path: &TreePath, root: &Root) -> Result<(), DiskError> {
        let resolved = match root.resolve(path, &*self.disk) {
            Ok(resolved) => resolved,
            Err(problem) => {
                self.skip(path, problem.to_string());
                return Ok(());
            }
        };
        match self.disk.stat(&resolved.host) {
            Ok(None) => Ok(()),
            Ok(Some(stat)) if stat.kind != Kind::File => {
                self.skip(path, format!("it is a {}", stat.kind.name()));
                Ok(())
            }
            Ok(Some(_)) if self.met.contains(&resolved.host) => Ok(()),
            Ok(Some(stat)) => self.regular(path, &resolved.host, stat),
            Err(error) => {
                self.skip(path, format!("it cannot be inspected: {error}"));
                Ok(())
            }
        }
    }

    fn below(&mut self, path: &TreePath, host: &Path, depth: usize) -> Result<(), DiskError> {
        if path.file_name().starts_with(PREFIX) || !self.met.insert(host.to_owned()) {
            return Ok(());
        }
        let stat = match self.disk.stat(host) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.skip(path, format!("it cannot be inspected: {error}"));
                return Ok(());
            }
        };
        match stat.kind {
            Kind::Directory if self.is_state(stat) => {}
            Kind::Directory if depth > MAX_DEPTH => {
                self.skip(path, format!("more than {MAX_DEPTH} directories deep"));
            }
            Kind::Directory => {
                self.directory(path, stat.mode, stat.owner);
                self.entries(path, host, depth)?;
            }
            Kind::Link => match self.disk.read_link(host) {
                Ok(target) => self.link(path, target.to_string_lossy().into_owned()),
                Err(error) => self.skip(path, format!("the link cannot be read: {error}")),
            },
            Kind::File => self.regular(path, host, stat)?,
            other => self.skip(path, format!("it is a {}", other.name())),
        }
        Ok(())
    }

    fn entries(&mut self, path: &TreePath, host: &Path, depth: usize) -> Result<(), DiskError> {
        let names = match self.disk.list(host) {
            Ok(names) => names,
            Err(error) => {
                self.skip(path, format!("its entries cannot be listed: {error}"));
                return Ok(());
            }
        };
        for name in names {
            if self.len() >= MAX_ENTRIES {
                self.skip(path, format!("the backup has {MAX_ENTRIES} entries, and takes no more"));
                break;
            }
            match name.to_str().and_then(|name| path.join(name).ok()) {
                Some(entry) => self.below(&entry, &host.join(&name), depth + 1)?,
                None => self.skip(path, format!("the name of its entry {name:?} is no text")),
            }
        }
        Ok(())
    }

    fn regular(&mut self, path: &TreePath, host: &Path, stat: Stat) -> Result<(), DiskError> {
        if stat.size > BACKUP_FILE_LIMIT {
            self.skip(
                path,
                format!("{} bytes are more than the {BACKUP_FILE_LIMIT} that are taken", stat.size),
            );
            return Ok(());
        }
        let found = match self.disk.read(host, BACKUP_FILE_LIMIT) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(problem) => {
                self.skip(path, problem.to_string());
                return Ok(());
            }
        };
        let labels = match self.disk.labels(host) {
            Ok(labels) => labels,
            Err(error) => {
                self.skip(path, format!("its labels cannot be read: {error}"));
                return Ok(());
            }
        };
        self.left()?.takes(found.content.len() as u64, RESERVE)?;
        self.file(path, &found.into_content(None), &labels)
    }

    /// Returns the room that is left for the backup.
    pub(crate) fn left(&self) -> Result<Left, DiskError> {
        let directory = self.state.directory();
        let failed = |source| self.state.failed(directory, Operation::Inspect, source);
        let available = self.disk.space(directory).map_err(failed)?.bytes;
        Ok(Left { directory: self.state.path().clone(), available })
    }

    /// Returns whether this is the state directory, under whatever path it was reached.
    fn is_state(&self, stat: Stat) -> bool {
        let state = self.disk.stat(self.state.directory());
        state.is_ok_and(|state| {
            state.is_some_and(|state| (state.device, state.inode) == (stat.device, stat.inode))
        })
    }
}

/// The room that is left for a backup.
#[derive(Debug)]
pub(crate) struct Left {
    directory: TreePath,
    available: u64,
}

impl Left {
    /// Refuses to write `size` bytes that would not leave `reserve` bytes free.
    pub(crate) fn takes(&self, size: u64, reserve: u64) -> Result<(), DiskError> {
        let Self { directory, available } = self;
        let (directory, available) = (directory.clone(), *available);
        match size.saturating_add(reserve) {
            needed if needed > available => {
                Err(DiskError::NoRoom { directory, unit: Unit::Bytes, needed, available })
            }
            _ => Ok(()),
        }
    }
}

/// What a file must leave free, in bytes: the manifest is yet to be written, and others write to the file system too.
const RESERVE: u64 = 1 << 20;

/// How many directories deep a tree may be: kubeadm's is three.
const MAX_DEPTH: usize = 16;

/// How many entries a backup of whole directories may have: kubeadm's has about a hundred, and the manifest is one document.
const MAX_ENTRIES: usize = 65_536;

#[cfg(test)]
mod tests {
    use kubecerts_core::time::Timestamp;

    use super::super::{Creation, Scope};
    use super::*;
    use crate::disk::Space;
    use crate::sim::SimDisk;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn a_backup_for_which_there_is_no_room_is_not_begun() {
        let mut disk = SimDisk::new();
        disk.put_file("/etc/kubernetes/pki/ca.key", "key", 0o600);
        let root = Root::assumed("/".into());
        let state = State::locate(&path("/var/lib/kubecerts"), &root, &disk).unwrap();
        disk.set_space(Space { bytes: 200 << 10, files: None, block: 4096 });
        assert!(Writer::room([1000; 10], &state, &root, &disk).is_ok());
        let refused = Writer::room([100_000, 100_000], &state, &root, &disk);
        assert!(matches!(refused, Err(DiskError::NoRoom { .. })), "{refused:?}");
        assert_eq!(disk.changes(), 0);
    }

    #[test]
    fn a_file_that_would_fill_the_disk_is_not_written() {
        let mut disk = SimDisk::new();
        disk.put_file("/etc/kubernetes/big", vec![7; 4096], 0o600);
        let root = Root::assumed("/".into());
        let state = State::locate(&path("/var/lib/kubecerts"), &root, &disk).unwrap();
        let creation = Creation {
            id: "20260101T000000Z".to_owned(),
            now: Timestamp::from_unix(0),
            reason: "by hand".to_owned(),
            scope: Scope::Full,
        };
        disk.set_space(Space { bytes: RESERVE + 4000, files: None, block: 4096 });
        let mut writer = Writer::begin(creation, &state, &mut disk).unwrap();
        let refused = writer.whole(&path("/etc/kubernetes"), &root);
        assert!(
            matches!(refused, Err(DiskError::NoRoom { available, .. }) if available == RESERVE + 4000),
            "{refused:?}"
        );
    }
}

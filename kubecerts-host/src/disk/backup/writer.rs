//! Making a backup.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::FileContent;
use kubecerts_core::time::Timestamp;

use super::super::transaction::Reach;
use super::super::{Disk, DiskError, Labels, Operation, Owner, State, wire};
use super::manifest::{Entry, EtcdEntry, Manifest, NAME, Node, Scope, Skipped};
use super::{directory, read, stored};

/// Which backup to make.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a backup needs all of this")]
pub struct Creation {
    /// The identifier, which no other backup has.
    pub id: String,
    /// When it is begun.
    pub now: Timestamp,
    /// What it is made for.
    pub reason: String,
    /// How much it holds.
    pub scope: Scope,
}

/// A backup that is being written. Unless it is finished, it does not count, and the next run removes it.
#[derive(Debug)]
#[must_use = "a backup counts once it is finished"]
pub struct Writer<'w, D: Disk> {
    manifest: Manifest,
    directory: PathBuf,
    /// The files that wait to be flushed.
    unflushed: Vec<(PathBuf, D::File)>,
    made: BTreeSet<PathBuf>,
    /// What was met on the way through whole directories: paths of this machine, free of links.
    pub(super) met: BTreeSet<PathBuf>,
    pub(super) state: &'w State,
    pub(super) disk: &'w mut D,
}

impl<'w, D: Disk> Writer<'w, D> {
    /// Makes the directory of a new backup.
    ///
    /// # Errors
    /// [`DiskError::State`], as for everything that follows.
    pub fn begin(creation: Creation, state: &'w State, disk: &'w mut D) -> Result<Self, DiskError> {
        let Creation { id, now, reason, scope } = creation;
        state.make("backups", disk)?;
        let directory = directory(&id, state);
        let mut writer = Self {
            manifest: Manifest::new(id, now, reason, scope),
            directory: directory.clone(),
            unflushed: Vec::new(),
            made: BTreeSet::new(),
            met: BTreeSet::new(),
            state,
            disk,
        };
        writer.make(&directory)?;
        Ok(writer)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`DiskError::State`].
    pub fn file(&mut self, path: &TreePath, content: &FileContent, labels: &Labels) -> Result<(), DiskError> {
        let host = stored(&self.manifest.id, path, self.state);
        self.make_above(&host)?;
        self.write(&host, content.secret_bytes())?;
        let meta = content.meta();
        self.add(
            path,
            Node::File {
                sha256: content.digest(),
                size: content.secret_bytes().len() as u64,
                mode: meta.mode,
                uid: meta.uid,
                gid: meta.gid,
                labels: labels.0.iter().map(|(name, value)| (name.clone(), wire::hex(value))).collect(),
            },
        );
        Ok(())
    }

    /// Notes that there was nothing at `path`, so that going back removes what is there then.
    pub fn absent(&mut self, path: &TreePath) {
        self.add(path, Node::Absent);
    }

    /// Notes a link.
    pub fn link(&mut self, path: &TreePath, target: String) {
        self.add(path, Node::Link { target });
    }

    /// Notes a directory.
    pub fn directory(&mut self, path: &TreePath, mode: u32, owner: Owner) {
        self.add(path, Node::Directory { mode, uid: owner.uid, gid: owner.gid });
    }

    /// Notes that something was left out.
    pub fn skip(&mut self, path: &TreePath, reason: String) {
        self.manifest.skipped.push(Skipped { path: path.clone(), reason });
    }

    /// Adds a snapshot of etcd, which `take` writes piece by piece to the file of that name, and about which it returns the
    /// facts.
    ///
    /// # Errors
    /// [`DiskError::State`] in the outer result when it cannot be kept; in the inner one what `take` says.
    pub fn etcd<E>(
        &mut self,
        take: impl FnOnce(&str, &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<EtcdEntry, E>,
    ) -> Result<Result<(), E>, DiskError> {
        let host = self.directory.join(ETCD);
        let (state, disk) = (self.state, &mut *self.disk);
        let failed = |operation, source| state.failed(&host, operation, source);
        let mut file = disk.create(&host).map_err(|source| failed(Operation::Create, source))?;
        let entry = match take(ETCD, &mut |bytes| disk.write_all(bytes, &mut file)) {
            Ok(entry) => entry,
            Err(error) => {
                disk.remove(&host).map_err(|source| failed(Operation::Remove, source))?;
                return Ok(Err(error));
            }
        };
        disk.sync(&file).map_err(|source| failed(Operation::Flush, source))?;
        self.manifest.etcd = Some(entry);
        Ok(Ok(()))
    }

    /// Flushes everything, reads it again, and writes the manifest.
    ///
    /// # Errors
    /// [`DiskError::Backup`] when something reads back differently, else [`DiskError::State`].
    pub fn finish(mut self) -> Result<Manifest, DiskError> {
        self.flush_files()?;
        for made in &self.made {
            flush_directory(made, self.state, self.disk)?;
        }
        for entry in &self.manifest.files {
            if let Node::File { .. } = entry.node {
                read(&self.manifest, entry, self.state, self.disk)?;
            }
        }
        if let Some(etcd) = &self.manifest.etcd {
            check_etcd(&self.manifest.id, etcd, self.state, self.disk)
                .map_err(|problem| self.wrong(problem))?;
        }
        let (name, text) = (self.directory.join(NAME), self.manifest.to_json());
        self.write(&name, text.as_bytes())?;
        self.flush_files()?;
        flush_directory(&self.directory, self.state, self.disk)?;
        match self.disk.read(&name, super::BACKUP_FILE_LIMIT) {
            Ok(Some(found)) if found.content.secret_bytes() == text.as_bytes() => Ok(self.manifest),
            Ok(Some(_)) => Err(self.wrong("its manifest reads back differently".to_owned())),
            Ok(None) => Err(self.wrong("its manifest is missing".to_owned())),
            Err(problem) => {
                let name = self.state.tree(&name);
                Err(self.wrong(format!("its manifest {name} cannot be read: {problem}")))
            }
        }
    }

    fn wrong(&self, problem: String) -> DiskError {
        DiskError::Backup { id: self.manifest.id.clone(), problem }
    }

    /// Flushes what was written at once: most file systems then write most of it with the first file.
    fn flush_files(&mut self) -> Result<(), DiskError> {
        for (host, file) in self.unflushed.drain(..) {
            self.disk.sync(&file).map_err(|source| self.state.failed(&host, Operation::Flush, source))?;
        }
        Ok(())
    }

    /// Says that the path that was added last was reached in that way, so that going back reaches it alike.
    pub(in crate::disk) fn reached_by(&mut self, reach: Reach) {
        self.manifest.reached_by(reach);
    }

    /// Returns how many paths the manifest names.
    pub(super) fn len(&self) -> usize {
        self.manifest.files.len() + self.manifest.skipped.len()
    }

    fn add(&mut self, path: &TreePath, node: Node) {
        self.manifest.files.push(Entry { path: path.clone(), reach: Reach::Links, node });
    }

    fn write(&mut self, host: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let state = self.state;
        let failed = |operation| move |source| state.failed(host, operation, source);
        let mut file = self.disk.create(host).map_err(failed(Operation::Create))?;
        self.disk.write_all(bytes, &mut file).map_err(failed(Operation::Write))?;
        self.unflushed.push((host.to_owned(), file));
        if self.unflushed.len() < MAX_OPEN { Ok(()) } else { self.flush_files() }
    }

    /// Makes the directories above `host`, as far as they are missing.
    fn make_above(&mut self, host: &Path) -> Result<(), DiskError> {
        let Some(above) = host.parent() else { return Ok(()) };
        if self.made.contains(above) {
            return Ok(());
        }
        self.make_above(above)?;
        self.make(above)
    }

    fn make(&mut self, directory: &Path) -> Result<(), DiskError> {
        let state = self.state;
        let failed = |source| state.failed(directory, Operation::CreateDirectory, source);
        self.disk.create_directory(directory, 0o700).map_err(failed)?;
        if let Some(above) = directory.parent() {
            self.made.insert(above.to_owned());
        }
        self.made.insert(directory.to_owned());
        Ok(())
    }
}

fn flush_directory(directory: &Path, state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    let failed = |source| state.failed(directory, Operation::FlushDirectory, source);
    disk.sync_directory(directory).map_err(failed)
}

/// Returns what is wrong with the snapshot of etcd in the backup `id`, if anything.
pub(super) fn check_etcd(id: &str, etcd: &EtcdEntry, state: &State, disk: &impl Disk) -> Result<(), String> {
    let EtcdEntry { size, sha256, .. } = etcd;
    let host = directory(id, state).join(ETCD);
    match disk.digest(&host).map_err(|problem| format!("{ETCD}: {problem}"))? {
        None => Err(format!("{ETCD} is missing")),
        Some(found) if found == (*size, *sha256) => Ok(()),
        Some((found, digest)) => Err(format!(
            "{ETCD} has {found} bytes with sha256:{digest}, and should have {size} with sha256:{sha256}"
        )),
    }
}

/// How many files are open at most: far fewer than a process may have, 1024 by default.
const MAX_OPEN: usize = 64;

/// The file with the snapshot of etcd.
const ETCD: &str = "etcd-snapshot.db";

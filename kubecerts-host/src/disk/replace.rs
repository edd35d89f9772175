//! Replaces all files of a change set, or none.
//!
//! The stages are functions of their own, in this order:
//!
//! 1. `check` every target: resolved, a regular file in a directory that exists, with the expected content;
//! 2. `prepare` every temporary file beside its target: owner and mode first, then the content, flushed;
//! 3. `recheck` that nobody touched a target meanwhile;
//! 4. `rename` back to back, in the order of the changes: the only stage that can leave a mixed tree;
//! 5. `flush` the directories.
//!
//! 1 and 2 are [`Staged::stage`], the rest is [`Staged::commit`]. What has to be on the disk before the first
//! rename, the journal and the backup, belongs between 2 and 3.
//!
//! Temporary files begin with a dot, because the kubelet reads every other file of the manifests' directory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::digest::Digest;
use kubecerts_core::issue::{Change, ChangeSet, Expected};
use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;

use super::read::{Stamp, look, read};
use super::root::problem;
use super::{Disk, DiskError, Existence, FILE_LIMIT, Operation, Owner, Resolved, Root};

/// A change set whose every file is written, beside the file that it will replace.
///
/// Dropping it removes the temporary files and changes nothing.
#[derive(Debug)]
#[must_use = "nothing is replaced until it is committed"]
pub struct Staged<'d, D: Disk> {
    pending: VecDeque<Pending>,
    disk: &'d mut D,
}

impl<'d, D: Disk> Staged<'d, D> {
    /// Checks all targets, then writes all temporary files.
    ///
    /// The names of the temporary files hold `token`, which should be random: a file that has such a name
    /// already is never touched, but fails the operation.
    ///
    /// A file that replaces another keeps its owner and group. A new file gets those of its directory when
    /// `disk` is privileged, and those of this process otherwise. The mode is the change's.
    ///
    /// # Errors
    /// Any [`DiskError`] but `Interrupted` and `Unflushed`; no target was changed, no temporary file is left.
    pub fn stage(changes: &ChangeSet, root: &Root, token: u64, disk: &'d mut D) -> Result<Self, DiskError> {
        let targets = check(changes, root)?;
        // From here on, any return drops `staged` and with it the temporary files.
        let mut staged = Self { pending: VecDeque::with_capacity(targets.len()), disk };
        for (index, (change, target)) in changes.changes().iter().zip(targets).enumerate() {
            staged.prepare(change, target, &format!(".kubecerts-{token:016x}{index:04x}.tmp"))?;
        }
        Ok(staged)
    }

    /// Replaces all targets and returns what was written, in the order of the changes.
    ///
    /// # Errors
    /// [`DiskError::Disturbed`] or [`DiskError::Replace`] when nothing was changed; [`DiskError::Interrupted`]
    /// when some files were replaced and others not; [`DiskError::Unflushed`] when all were.
    pub fn commit(mut self) -> Result<Vec<Written>, DiskError> {
        self.recheck()?;
        let mut written = Vec::with_capacity(self.pending.len());
        let renamed = self.rename(&mut written);
        // What was renamed before a failure is flushed as well: it is reported as replaced.
        let flushed = self.flush(&written);
        renamed.and(flushed)?;
        Ok(written.into_iter().map(|(written, _)| written).collect())
    }

    fn prepare(&mut self, change: &Change, target: Target, name: &str) -> Result<(), DiskError> {
        let Target { resolved, directory, stamp, owner } = target;
        let failed =
            |operation| move |source| DiskError::Replace { path: change.path().clone(), operation, source };
        let owner = match (owner, self.disk.is_privileged()) {
            (Some(owner), _) => Some(owner),
            (None, true) => {
                let found = look(&directory).map_err(failed(Operation::Inspect))?;
                found.map(|meta| Owner { uid: meta.uid(), gid: meta.gid() })
            }
            (None, false) => None,
        };

        let temp = directory.join(name);
        let mut file = self.disk.create_temp(&temp).map_err(failed(Operation::CreateTemp))?;
        self.pending.push_back(Pending {
            temp,
            directory,
            host: resolved.host,
            stamp,
            written: Written {
                file: change.file(),
                path: change.path().clone(),
                target: resolved.tree,
                digest: change.digest(),
            },
        });
        if let Some(owner) = owner
            && self.disk.owner(&file).map_err(failed(Operation::Inspect))? != owner
        {
            self.disk.set_owner(owner, &file).map_err(failed(Operation::SetOwner))?;
        }
        // After the owner, because a change of owner may clear bits of the mode.
        self.disk.set_mode(change.mode(), &file).map_err(failed(Operation::SetMode))?;
        self.disk.write_all(change.secret_bytes(), &mut file).map_err(failed(Operation::Write))?;
        self.disk.sync(&file).map_err(failed(Operation::Flush))
    }

    fn recheck(&self) -> Result<(), DiskError> {
        for Pending { host, stamp, written, .. } in &self.pending {
            let path = &written.path;
            let now = look(host).map_err(|source| DiskError::Replace {
                path: path.clone(),
                operation: Operation::Inspect,
                source,
            })?;
            if now.as_ref().map(Stamp::of) != *stamp {
                return Err(DiskError::Disturbed { path: path.clone() });
            }
        }
        Ok(())
    }

    fn rename(&mut self, renamed: &mut Vec<(Written, PathBuf)>) -> Result<(), DiskError> {
        while let Some(next) = self.pending.pop_front() {
            let outcome = match next.stamp {
                Some(_) => self.disk.rename(&next.temp, &next.host),
                None => self.disk.rename_new(&next.temp, &next.host),
            };
            let Err(source) = outcome else {
                renamed.push((next.written, next.directory));
                continue;
            };
            let path = next.written.path.clone();
            self.pending.push_front(next);
            return Err(match renamed.is_empty() {
                true if source.kind() == io::ErrorKind::AlreadyExists => DiskError::Disturbed { path },
                true => DiskError::Replace { path, operation: Operation::Rename, source },
                false => DiskError::Interrupted { replaced: paths(renamed), path, source },
            });
        }
        Ok(())
    }

    fn flush(&mut self, renamed: &[(Written, PathBuf)]) -> Result<(), DiskError> {
        let mut flushed: BTreeSet<&Path> = BTreeSet::new();
        let mut outcome = Ok(());
        for (written, directory) in renamed {
            if !flushed.insert(directory) {
                continue;
            }
            // The others are still flushed after a failure; the first one is reported.
            if let Err(source) = self.disk.sync_dir(directory)
                && outcome.is_ok()
            {
                let directory = written.target.parent();
                outcome = Err(DiskError::Unflushed { replaced: paths(renamed), directory, source });
            }
        }
        outcome
    }
}

impl<D: Disk> Drop for Staged<'_, D> {
    fn drop(&mut self) {
        for Pending { temp, .. } in &self.pending {
            // There is nobody to tell. What stays is hidden, no more readable than its target, and named after us.
            let _ = self.disk.remove(temp);
        }
    }
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

/// A target that may be replaced.
struct Target {
    resolved: Resolved,
    directory: PathBuf,
    /// `None` for a file that does not exist yet, like `owner`.
    stamp: Option<Stamp>,
    owner: Option<Owner>,
}

/// A temporary file that waits for its rename.
#[derive(Debug)]
struct Pending {
    temp: PathBuf,
    directory: PathBuf,
    host: PathBuf,
    stamp: Option<Stamp>,
    written: Written,
}

/// Returns the targets of all changes, in order, provided that every single one may be replaced.
fn check(changes: &ChangeSet, root: &Root) -> Result<Vec<Target>, DiskError> {
    let mut seen: BTreeMap<PathBuf, &TreePath> = BTreeMap::new();
    let mut targets = Vec::with_capacity(changes.changes().len());
    for change in changes.changes() {
        let path = change.path();
        let target = check_one(change, root)?;
        if let Some(earlier) = seen.insert(target.resolved.host.clone(), path) {
            return Err(DiskError::SameTarget { path: earlier.clone(), other: path.clone() });
        }
        targets.push(target);
    }
    Ok(targets)
}

fn check_one(change: &Change, root: &Root) -> Result<Target, DiskError> {
    let path = change.path();
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let resolved = root.resolve(path).map_err(refused)?;
    let (found, stamp, owner) = match read(&resolved, path, FILE_LIMIT).map_err(refused)? {
        Some((content, stamp)) => {
            let owner = Owner { uid: content.meta().uid, gid: content.meta().gid };
            (Expected::Content(content.digest()), Some(stamp), Some(owner))
        }
        None => (Expected::Absent, None, None),
    };
    let expected = change.expected();
    if found != expected {
        return Err(DiskError::Stale { path: path.clone(), expected, found });
    }
    if resolved.existence == Existence::NoDirectory {
        return Err(DiskError::NoDirectory { path: path.clone() });
    }
    let Some(directory) = resolved.host.parent().map(Path::to_owned) else {
        return Err(refused(ReadProblem::NotAFile("directory".to_owned())));
    };
    match look(&directory) {
        Ok(Some(meta)) if meta.is_dir() => Ok(Target { resolved, directory, stamp, owner }),
        Ok(_) => Err(DiskError::NoDirectory { path: path.clone() }),
        Err(error) => Err(refused(problem(&error))),
    }
}

fn paths(renamed: &[(Written, PathBuf)]) -> Vec<TreePath> {
    renamed.iter().map(|(written, _)| written.path.clone()).collect()
}

#[cfg(test)]
mod tests;

//! What is on disk of each entry, and the steps that lead from there.

use std::collections::BTreeSet;
use std::io::{
    self,
    ErrorKind::{NotFound, Unsupported},
};
use std::path::PathBuf;

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;

use super::super::journal::Entry;
use super::super::thing::Thing;
use super::super::transaction::vanish;
use super::super::{Disk, DiskError, Held, Operation, Resolved, Root};

/// What is on disk of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Condition {
    pub(super) target: Option<Thing>,
    pub(super) temporary: Option<Thing>,
    pub(super) kept: Option<Thing>,
}

impl Condition {
    pub(super) fn of(entry: &Entry, hosts: &Hosts, disk: &impl Disk) -> Result<Self, DiskError> {
        let thing = |host: &PathBuf, path| {
            Thing::at(host, disk)
                .map_err(|problem| failed(path, Operation::Read, io::Error::other(problem.to_string())))
        };
        Ok(Self {
            target: thing(&hosts.target, &entry.target)?,
            temporary: thing(&hosts.temporary, &entry.temporary)?,
            kept: thing(&hosts.kept, &entry.kept)?,
        })
    }

    pub(super) fn is_new(&self, entry: &Entry) -> bool {
        self.target == entry.after
    }

    pub(super) fn is_old(&self, entry: &Entry) -> bool {
        self.target == entry.before
    }

    /// What was committed is done, even if somebody has changed a file since.
    pub(super) fn can_finish(&self, entry: &Entry, committed: bool) -> bool {
        let can_switch = entry.after.is_none() || self.temporary == entry.after;
        self.is_new(entry) || (self.is_old(entry) && can_switch) || (committed && !self.is_old(entry))
    }

    pub(super) fn can_roll_back(&self, entry: &Entry) -> bool {
        let can_restore = entry.before.is_none() || self.kept == entry.before;
        self.is_old(entry) || (self.is_new(entry) && can_restore)
    }
}

/// Where the files of an entry lie on this machine.
pub(super) struct Hosts {
    directory: PathBuf,
    target: PathBuf,
    temporary: PathBuf,
    kept: PathBuf,
    /// What the paths go through, if the directory is there.
    _held: Option<Held>,
}

impl Hosts {
    /// The journal of a foreign disk may not lead out of its root: no directory on the way may have become a link.
    pub(super) fn of(entry: &Entry, root: &Root, disk: &impl Disk) -> Result<Self, DiskError> {
        let parent = entry.target.parent();
        let refused = |problem| DiskError::Refused { path: entry.path.clone(), problem };
        let Resolved { tree, host, .. } = root.resolve(&parent, disk).map_err(refused)?;
        if tree != parent {
            return Err(refused(ReadProblem::Failed(format!("{parent} has become a link to {tree}"))));
        }
        // Nor may it become one from here on: a directory may belong to somebody who is not trusted.
        let held = match disk.hold(&host) {
            Ok(held) => Some(held),
            Err(error) if matches!(error.kind(), NotFound | Unsupported) => None,
            Err(error) => return Err(failed(&parent, Operation::Inspect, error)),
        };
        let directory = held.as_ref().map_or(host, |held| held.path().to_owned());
        let at = |path: &TreePath| directory.join(path.file_name());
        let (target, temporary, kept) = (at(&entry.target), at(&entry.temporary), at(&entry.kept));
        Ok(Self { directory, target, temporary, kept, _held: held })
    }
}

/// Switches all entries to what is new, in their order, and returns those for which there was anything to do.
pub(super) fn finish_all(
    entries: &[Entry],
    root: &Root,
    disk: &mut impl Disk,
) -> Result<Vec<TreePath>, DiskError> {
    let mut changed = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        // As in the run itself: no link to nothing, if there is another crash.
        if index > 0 && (is_new_link(entry) || entry.after.is_none()) {
            flush_links(entries, root, disk)?;
        }
        if finish(entry, root, disk)? {
            changed.push(entry.path.clone());
        }
    }
    Ok(changed)
}

/// Switches all entries back, from the last to the first, and returns those for which there was anything to do, in order.
pub(super) fn roll_back_all(
    entries: &[Entry],
    root: &Root,
    disk: &mut impl Disk,
) -> Result<Vec<TreePath>, DiskError> {
    let mut changed = Vec::new();
    for (index, entry) in entries.iter().enumerate().rev() {
        if roll_back(entry, root, disk)? {
            changed.push(entry.path.clone());
        }
        if index > 0 && is_new_link(entry) {
            flush_links(entries, root, disk)?;
        }
    }
    changed.reverse();
    Ok(changed)
}

/// Flushes the directories of a run that makes a link; there is no hurry in any other.
fn flush_links(entries: &[Entry], root: &Root, disk: &mut impl Disk) -> Result<(), DiskError> {
    if entries.iter().any(is_new_link) { flush(entries, root, disk) } else { Ok(()) }
}

fn is_new_link(entry: &Entry) -> bool {
    entry.after.as_ref().is_some_and(Thing::is_link)
}

/// Switches an entry to its new file, unless it is that already; returns whether there was anything to do.
fn finish(entry: &Entry, root: &Root, disk: &mut impl Disk) -> Result<bool, DiskError> {
    let hosts = Hosts::of(entry, root, disk)?;
    let now = Condition::of(entry, &hosts, disk)?;
    let Hosts { target, temporary, .. } = &hosts;
    let has_new_file = entry.after.is_some() && now.temporary == entry.after;
    // With equal contents only the temporary file tells whether mode and owner are the new ones already.
    if !now.is_old(entry) || (entry.after.is_some() && !has_new_file) {
        return Ok(false);
    }
    let switched = match (&entry.after, &entry.before) {
        (Some(_), Some(_)) => disk.rename(temporary, target),
        (Some(_), None) => disk.rename_new(temporary, target),
        (None, Some(_)) => disk.remove(target),
        (None, None) => return Ok(false),
    };
    switched.map_err(|source| failed(&entry.path, Operation::Rename, source))?;
    Ok(true)
}

/// Switches an entry back to its old file, unless it is that already; returns whether there was anything to do.
fn roll_back(entry: &Entry, root: &Root, disk: &mut impl Disk) -> Result<bool, DiskError> {
    let hosts = Hosts::of(entry, root, disk)?;
    let now = Condition::of(entry, &hosts, disk)?;
    let Hosts { target, kept, .. } = &hosts;
    if entry.before.is_none() {
        if now.target.is_none() {
            return Ok(false);
        }
        disk.remove(target).map_err(|source| failed(&entry.path, Operation::Remove, source))?;
        return Ok(true);
    }
    if now.kept != entry.before {
        return Ok(false);
    }
    let inode = |host| disk.stat(host).map_err(|source| failed(&entry.path, Operation::Inspect, source));
    let (at_target, at_kept) = (inode(target)?, inode(kept)?);
    // Two names of one file: a rename would do nothing, and there is nothing to put back.
    if at_target.map(|stat| stat.inode) == at_kept.map(|stat| stat.inode) {
        return Ok(false);
    }
    disk.rename(kept, target).map_err(|source| failed(&entry.path, Operation::Rename, source))?;
    Ok(true)
}

pub(super) fn tidy(entries: &[Entry], root: &Root, disk: &mut impl Disk) -> Result<(), DiskError> {
    for entry in entries {
        let hosts = Hosts::of(entry, root, disk)?;
        for (name, host) in [(&entry.temporary, &hosts.temporary), (&entry.kept, &hosts.kept)] {
            vanish(host, disk).map_err(|source| failed(name, Operation::Remove, source))?;
        }
    }
    flush(entries, root, disk)
}

pub(super) fn flush(entries: &[Entry], root: &Root, disk: &mut impl Disk) -> Result<(), DiskError> {
    let mut flushed = BTreeSet::new();
    for entry in entries {
        if !flushed.insert(entry.target.parent()) {
            continue;
        }
        let hosts = Hosts::of(entry, root, disk)?;
        match disk.sync_directory(&hosts.directory) {
            // With the directory, whatever the run had made in it is gone.
            Err(error) if error.kind() == NotFound => {}
            synced => {
                synced.map_err(|source| failed(&entry.target.parent(), Operation::FlushDirectory, source))?;
            }
        }
    }
    Ok(())
}

fn failed(path: &TreePath, operation: Operation, source: io::Error) -> DiskError {
    DiskError::Recover { path: path.clone(), operation, source }
}

//! Replaces, creates and removes files: all of them, or none.
//!
//! A run goes through these stages, each a function of its own:
//!
//! 1. `check` every target: resolved, a regular file with the expected content, in a directory that only its owner can write
//!    to, with room for everything that will be written;
//! 2. `begin` the journal, which names every file that will be made;
//! 3. `back_up` the old files, and read the backup again;
//! 4. `stage` every new file beside its target: owner, labels and mode first, then the content, flushed. The old file
//!    gets a second name. Both names are flushed with their directory, the targets are looked at once more, and the
//!    journal says `prepared`;
//! 5. `switch` all files by renames, back to back, in the order of the changes, in which the key and the certificate of a
//!    pair are neighbours; the directories are flushed, and the journal says `committed`;
//! 6. `tidy`: the second names go, the journal is closed.
//!
//! A failure before the end of stage 5 is undone: the second name of an old file is renamed back, which takes no room on
//! a full disk and brings back the very same file. After a crash, [`recovery`](super::recovery) does the rest.
//!
//! The second name is a hard link. That it can be made shows before anything is replaced that the target is not mounted by
//! itself and not immutable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::{Change, Expected};
use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::{FileContent, ReadProblem};
use kubecerts_core::time::Timestamp;

use super::backup::BACKUP_FILE_LIMIT;
use super::journal::{Begin, Entry, Journal, Outcome, PREFIX, Record};
use super::read::{Stamp, read};
use super::root::problem;
use super::{
    Disk, DiskError, Existence, Kind, Labels, Operation, Owner, Resolved, Root, State, backup, journal,
    safety,
};

mod purpose;
pub use purpose::{Purpose, Reissue};

/// What a run writes, and where it keeps its records.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a run needs all of this")]
pub struct Request<'a> {
    /// The files, in the order in which they are to be switched.
    pub items: Vec<Item<'a>>,
    /// What the run is for.
    pub purpose: Purpose,
    /// When it takes place.
    pub now: Timestamp,
    /// What makes the names of its temporary files its own; it should be random. A file that has such a name already is
    /// never touched, but fails the run.
    pub token: u64,
}

/// One file to write.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a file has no more than this")]
pub struct Item<'a> {
    /// The path, as the node itself would write it.
    pub path: &'a TreePath,
    /// What must be there now.
    pub expected: Expected,
    /// What is to be there.
    pub becomes: Becomes<'a>,
}

impl<'a> Item<'a> {
    /// Returns the item for a change that was issued: owner and labels of the old file stay.
    #[must_use]
    pub fn of(change: &'a Change) -> Self {
        let becomes = Becomes::File { content: change.secret_bytes(), mode: change.mode(), facts: None };
        Self { path: change.path(), expected: change.expected(), becomes }
    }
}

/// What is to be at a path.
#[expect(clippy::exhaustive_enums, reason = "there is something or there is nothing")]
pub enum Becomes<'a> {
    /// Nothing: the file is removed.
    Nothing,
    /// A file.
    File {
        /// Its content, which may be secret.
        content: &'a [u8],
        /// Its permission bits.
        mode: u32,
        /// Its owner and labels. By default those of the file that it replaces; a file that replaces none gets the owner of
        /// its directory when the disk is privileged, and that of this process otherwise.
        facts: Option<(Owner, &'a Labels)>,
    },
}

impl std::fmt::Debug for Becomes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::File { mode, facts, .. } => {
                f.debug_struct("File").field("mode", mode).field("facts", facts).finish_non_exhaustive()
            }
        }
    }
}

/// Something that happened during a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The old files are in a backup that was read again.
    BackedUp {
        /// The identifier of the backup.
        id: &'a str,
    },
    /// All new files lie beside the old ones.
    Staged {
        /// How many there are.
        files: usize,
    },
    /// Every file is replaced, and this is one of them.
    Replaced {
        /// Its path.
        path: &'a TreePath,
    },
}

/// A run that has replaced every file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[must_use = "it says what could not be tidied up"]
pub struct Done {
    /// The identifier of the run, and of the backup of what it replaced.
    pub id: String,
    /// The files, in order.
    pub replaced: Vec<Replaced>,
    /// The files that the run made for itself and could not remove; the next run will.
    pub leftovers: Vec<TreePath>,
}

/// A file that was replaced, created or removed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Replaced {
    /// The path, as the item named it.
    pub path: TreePath,
    /// The path behind all links.
    pub target: TreePath,
    /// The digest of the new content; `None` when there is no file any more.
    pub digest: Option<Digest>,
}

/// Does everything that `request` asks for.
///
/// # Errors
/// [`DiskError::Interrupted`] when a failure could not be undone, and the journal is open;
/// [`DiskError::JournalOpen`] when one is open already; with any other error nothing was changed.
pub fn replace<D: Disk>(
    request: &Request<'_>,
    root: &Root,
    state: &State,
    disk: &mut D,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Done, DiskError> {
    let Request { items, purpose, now, token } = request;
    let mut targets = check(items, root, disk)?;
    safety::room(&targets, state, root, disk)?;
    state.must_be_private(root, disk)?;
    state.make("", disk)?;
    backup::sweep(state, disk)?;

    let id = state.new_id(*now, disk)?;
    let entries = entries(&mut targets, *token)?;
    let begin = Begin::new(id.clone(), *now, purpose.clone(), entries.clone());
    let journal = Journal::begin(begin, state, disk)?;
    let mut run = Run {
        id,
        now: *now,
        purpose,
        targets,
        entries,
        journal,
        state,
        disk,
        unflushed: Vec::new(),
        made: Vec::new(),
        switched: 0,
        reached: 0,
    };
    match run.carry_out(observer) {
        Ok(()) => Ok(run.tidy(observer)),
        Err(error) => Err(run.undo(error)),
    }
}

/// A run between `begin` and `tidy`.
struct Run<'r, D: Disk> {
    id: String,
    now: Timestamp,
    purpose: &'r Purpose,
    targets: Vec<Target<'r>>,
    entries: Vec<Entry>,
    journal: Journal<D::File>,
    state: &'r State,
    disk: &'r mut D,
    /// The temporary files that wait to be flushed, each with the index of its target.
    unflushed: Vec<(usize, D::File)>,
    /// The temporary files and second names that were made.
    made: Vec<(TreePath, PathBuf)>,
    /// How many entries, counted from the first, are switched.
    switched: usize,
    /// How many it was tried for.
    reached: usize,
}

impl<D: Disk> Run<'_, D> {
    fn carry_out(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<(), DiskError> {
        self.back_up()?;
        observer(Event::BackedUp { id: &self.id });
        for index in 0..self.targets.len() {
            self.stage(index)?;
        }
        self.flush_files()?;
        self.flush_directories()?;
        self.recheck()?;
        self.journal.append(&Record::Prepared, self.state, self.disk)?;
        observer(Event::Staged { files: self.entries.len() });

        for index in 0..self.targets.len() {
            self.reached = index + 1;
            self.switch(index)?;
            self.switched = index + 1;
        }
        self.flush_directories()?;
        self.journal.append(&Record::Committed, self.state, self.disk)
    }

    fn back_up(&mut self) -> Result<(), DiskError> {
        let creation = backup::Creation {
            id: self.id.clone(),
            now: self.now,
            reason: format!("before {}", self.purpose.command()),
            scope: backup::Scope::Changed,
        };
        let mut writer = backup::Writer::begin(creation, self.state, self.disk)?;
        for Target { item, before, .. } in &self.targets {
            match before {
                Some(old) => writer.file(item.path, &old.content, &old.labels)?,
                None => writer.absent(item.path),
            }
        }
        writer.finish().map(drop)
    }

    /// Writes the new file beside the old one, and gives the old one a second name.
    fn stage(&mut self, index: usize) -> Result<(), DiskError> {
        let Target { item, before, hosts, directory_owner, .. } = &self.targets[index];
        let failed =
            |operation| move |source| DiskError::Replace { path: item.path.clone(), operation, source };
        if let Becomes::File { content, mode, facts } = &item.becomes {
            let mut file = self.disk.create(&hosts.temporary).map_err(failed(Operation::Create))?;
            self.made.push((self.entries[index].temporary.clone(), hosts.temporary.clone()));
            let carried = before.as_ref().map(|old| (old.owner, &old.labels));
            let facts = facts.or(carried);
            let created = || directory_owner.filter(|_| self.disk.is_privileged());
            if let Some(owner) = facts.map(|(owner, _)| owner).or_else(created)
                && self.disk.owner(&file).map_err(failed(Operation::Inspect))? != owner
            {
                self.disk.set_owner(owner, &file).map_err(failed(Operation::SetOwner))?;
            }
            if let Some((_, labels)) = facts {
                self.disk.set_labels(labels, &file).map_err(failed(Operation::SetLabels))?;
            }
            // After the owner, whose change may clear bits of the mode, and after an ACL, whose mask is part of it.
            self.disk.set_mode(*mode, &file).map_err(failed(Operation::SetMode))?;
            self.disk.write_all(content, &mut file).map_err(failed(Operation::Write))?;
            self.unflushed.push((index, file));
        }
        if before.is_some() {
            self.disk.link(&hosts.target, &hosts.kept).map_err(failed(Operation::Keep))?;
            self.made.push((self.entries[index].kept.clone(), hosts.kept.clone()));
        }
        Ok(())
    }

    fn recheck(&self) -> Result<(), DiskError> {
        for Target { item, before, hosts, .. } in &self.targets {
            let now = self.disk.stat(&hosts.target).map_err(|source| DiskError::Replace {
                path: item.path.clone(),
                operation: Operation::Inspect,
                source,
            })?;
            if now.as_ref().map(Stamp::of) == before.as_ref().map(|old| old.stamp) {
                continue;
            }
            // An overlay gives a file another number when it gets its second name. The content decides.
            let content = match self.disk.read(&hosts.target, BACKUP_FILE_LIMIT) {
                Ok(Some(found)) => Expected::Content(Digest::of(found.content.secret_bytes())),
                Ok(None) => Expected::Absent,
                Err(_) => return Err(DiskError::Disturbed { path: item.path.clone() }),
            };
            if content != item.expected {
                return Err(DiskError::Disturbed { path: item.path.clone() });
            }
        }
        Ok(())
    }

    fn switch(&mut self, index: usize) -> Result<(), DiskError> {
        let Target { item, before, hosts, .. } = &self.targets[index];
        let path = item.path;
        let switched = match (&item.becomes, before) {
            (Becomes::File { .. }, Some(_)) => self.disk.rename(&hosts.temporary, &hosts.target),
            (Becomes::File { .. }, None) => self.disk.rename_new(&hosts.temporary, &hosts.target),
            (Becomes::Nothing, Some(_)) => self.disk.remove(&hosts.target),
            (Becomes::Nothing, None) => Ok(()),
        };
        switched.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => DiskError::Disturbed { path: path.clone() },
            _ => DiskError::Replace { path: path.clone(), operation: Operation::Rename, source },
        })
    }

    /// Flushes all temporary files at once: most file systems then write most of them with the first.
    fn flush_files(&mut self) -> Result<(), DiskError> {
        for (index, file) in self.unflushed.drain(..) {
            self.disk.sync(&file).map_err(|source| DiskError::Replace {
                path: self.targets[index].item.path.clone(),
                operation: Operation::Flush,
                source,
            })?;
        }
        Ok(())
    }

    fn flush_directories(&mut self) -> Result<(), DiskError> {
        for (directory, path) in self.directories() {
            self.disk.sync_directory(&directory).map_err(|source| DiskError::Replace {
                path,
                operation: Operation::FlushDirectory,
                source,
            })?;
        }
        Ok(())
    }

    /// Removes what the run made for itself. Every file is new by now, so nothing that fails here fails the run.
    fn tidy(mut self, observer: &mut dyn FnMut(Event<'_>)) -> Done {
        for entry in &self.entries {
            observer(Event::Replaced { path: &entry.path });
        }
        let mut leftovers = self.remove_temporary();
        let directories: Vec<PathBuf> = self.directories().into_keys().collect();
        let mut flushed = |directory| (0..2).any(|_| self.disk.sync_directory(directory).is_ok());
        if !directories.iter().all(|directory| flushed(directory)) {
            // After a loss of power the second names may be back, and only the journal knows them.
            leftovers.push(journal::path(self.state));
        }
        let Self { id, entries, journal, state, disk, .. } = self;
        if leftovers.is_empty() && journal.close(Outcome::Finished, false, state, disk).is_err() {
            leftovers.push(journal::path(state));
        }
        let replaced = entries.into_iter().map(|entry| {
            let Entry { path, target, after, .. } = entry;
            Replaced { path, target, digest: after }
        });
        Done { id, replaced: replaced.collect(), leftovers }
    }

    /// Puts everything back, and returns what to say about it.
    fn undo(mut self, cause: DiskError) -> DiskError {
        // The journal may be what has failed. Recovery decides by what is on disk when this is missing.
        let _ = self.journal.append(&Record::Undo { reason: cause.to_string() }, self.state, self.disk);
        self.notice_a_hidden_switch();
        let was_switched = self.switched > 0;
        if let Err((path, operation, source)) = self.put_back() {
            let replaced = self.entries[..self.switched].iter().map(|entry| entry.path.clone()).collect();
            return DiskError::Interrupted { replaced, path, operation, source, cause: Box::new(cause) };
        }
        let leftovers = self.remove_temporary();
        let directories: Vec<PathBuf> = self.directories().into_keys().collect();
        let flushed = directories.iter().all(|directory| self.disk.sync_directory(directory).is_ok());
        if !was_switched {
            // Nothing was replaced, so there is nothing that only the backup has.
            let _ = backup::remove(&self.id, self.state, self.disk);
        }
        let Self { journal, state, disk, .. } = self;
        let closed =
            leftovers.is_empty() && flushed && journal.close(Outcome::RolledBack, false, state, disk).is_ok();
        match closed {
            true => cause,
            false => DiskError::Unclosed { journal: journal::path(state), cause: Box::new(cause) },
        }
    }

    /// A rename may fail and have happened all the same, on a network for one: then its temporary file is gone.
    fn notice_a_hidden_switch(&mut self) {
        if self.switched < self.reached
            && let Some(Target { item, hosts, .. }) = self.targets.get(self.switched)
            && matches!(item.becomes, Becomes::File { .. })
            && self.disk.stat(&hosts.temporary).is_ok_and(|found| found.is_none())
        {
            self.switched += 1;
        }
    }

    fn put_back(&mut self) -> Result<(), (TreePath, Operation, io::Error)> {
        if self.switched == 0 {
            return Ok(());
        }
        while self.switched > 0 {
            let Target { item, before, hosts, .. } = &self.targets[self.switched - 1];
            match (before, &item.becomes) {
                (Some(_), _) => self.disk.rename(&hosts.kept, &hosts.target),
                (None, Becomes::File { .. }) => self.disk.remove(&hosts.target),
                (None, Becomes::Nothing) => Ok(()),
            }
            .map_err(|source| (item.path.clone(), Operation::Rename, source))?;
            self.switched -= 1;
        }
        for (directory, path) in self.directories() {
            let flushed = self.disk.sync_directory(&directory);
            flushed.map_err(|source| (path, Operation::FlushDirectory, source))?;
        }
        Ok(())
    }

    /// Removes the temporary files and second names, and returns those that stay.
    fn remove_temporary(&mut self) -> Vec<TreePath> {
        self.made.retain(|(_, host)| vanish(host, self.disk).is_err());
        self.made.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Returns the directories of all targets, each with one of the paths in it.
    fn directories(&self) -> BTreeMap<PathBuf, TreePath> {
        let pair = |target: &Target<'_>| (target.hosts.directory.clone(), target.item.path.clone());
        self.targets.iter().rev().map(pair).collect()
    }
}

/// Removes `host` if it is there, in two attempts.
pub(super) fn vanish(host: &Path, disk: &mut impl Disk) -> io::Result<()> {
    let mut attempt = || match disk.remove(host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    attempt().or_else(|_| attempt())
}

/// A target that may be replaced.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) item: &'a Item<'a>,
    pub(super) tree: TreePath,
    pub(super) before: Option<Old>,
    hosts: Hosts,
    directory_owner: Option<Owner>,
    /// The file system.
    pub(super) device: u64,
}

/// The file that a target is now.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) content: FileContent,
    pub(super) labels: Labels,
    owner: Owner,
    stamp: Stamp,
}

/// Where the files of an entry lie on this machine.
#[derive(Debug, Default)]
struct Hosts {
    directory: PathBuf,
    target: PathBuf,
    temporary: PathBuf,
    kept: PathBuf,
}

impl Target<'_> {
    pub(super) fn directory(&self) -> &Path {
        &self.hosts.directory
    }
}

/// Returns the targets of all items, in order, provided that every single one may be replaced.
fn check<'a>(items: &'a [Item<'a>], root: &Root, disk: &impl Disk) -> Result<Vec<Target<'a>>, DiskError> {
    let mut seen: BTreeMap<PathBuf, &TreePath> = BTreeMap::new();
    let mut trusted: BTreeSet<TreePath> = BTreeSet::new();
    let mut targets = Vec::with_capacity(items.len());
    for item in items {
        let target = check_one(item, root, disk)?;
        if let Some(earlier) = seen.insert(target.hosts.target.clone(), item.path) {
            return Err(DiskError::SameTarget { path: earlier.clone(), other: item.path.clone() });
        }
        if trusted.insert(target.tree.parent()) {
            safety::only_owner_writes(&target.tree.parent(), item.path, root, disk)?;
            safety::only_owner_writes(&item.path.parent(), item.path, root, disk)?;
        }
        targets.push(target);
    }
    Ok(targets)
}

fn check_one<'a>(item: &'a Item<'a>, root: &Root, disk: &impl Disk) -> Result<Target<'a>, DiskError> {
    let path = item.path;
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let resolved = root.resolve(path, disk).map_err(refused)?;
    let before = match read(&resolved, path, BACKUP_FILE_LIMIT, disk).map_err(refused)? {
        Some((content, stat)) => {
            let labels = disk.labels(&resolved.host).map_err(|source| DiskError::Replace {
                path: path.clone(),
                operation: Operation::ReadLabels,
                source,
            })?;
            Some(Old { content, labels, owner: stat.owner, stamp: Stamp::of(&stat) })
        }
        None => None,
    };
    let found = match &before {
        Some(old) => Expected::Content(old.content.digest()),
        None => Expected::Absent,
    };
    if found != item.expected {
        return Err(DiskError::Stale { path: path.clone(), expected: item.expected, found });
    }
    if resolved.existence == Existence::NoDirectory {
        return Err(DiskError::NoDirectory { path: path.clone() });
    }
    let Resolved { host, tree, .. } = resolved;
    let Some(directory) = host.parent().map(Path::to_owned) else {
        return Err(refused(ReadProblem::NotAFile("directory".to_owned())));
    };
    match disk.stat(&directory) {
        Ok(Some(stat)) if stat.kind == Kind::Directory => {
            let hosts = Hosts { directory, target: host, ..Hosts::default() };
            let directory_owner = Some(stat.owner);
            Ok(Target { item, tree, before, hosts, directory_owner, device: stat.device })
        }
        Ok(_) => Err(DiskError::NoDirectory { path: path.clone() }),
        Err(error) => Err(refused(problem(&error))),
    }
}

/// Returns the journal's entries of all targets, whose temporary files get their names from `token`.
fn entries(targets: &mut [Target<'_>], token: u64) -> Result<Vec<Entry>, DiskError> {
    let mut entries = Vec::with_capacity(targets.len());
    for (index, target) in targets.iter_mut().enumerate() {
        let name = |end: &str| format!("{PREFIX}{token:016x}{index:04x}.{end}");
        let beside = |end: &str| {
            target.tree.parent().join(&name(end)).map_err(|error| DiskError::Refused {
                path: target.item.path.clone(),
                problem: ReadProblem::Failed(error.to_string()),
            })
        };
        let (temporary, kept) = (beside("new")?, beside("old")?);
        target.hosts.temporary = target.hosts.directory.join(name("new"));
        target.hosts.kept = target.hosts.directory.join(name("old"));
        entries.push(Entry {
            path: target.item.path.clone(),
            target: target.tree.clone(),
            temporary,
            kept,
            before: target.before.as_ref().map(|old| old.content.digest()),
            after: match &target.item.becomes {
                Becomes::Nothing => None,
                Becomes::File { content, .. } => Some(Digest::of(content)),
            },
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;

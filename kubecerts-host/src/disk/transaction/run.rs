//! A run from its journal's first record to its last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;
use rustix::io::Errno;

use super::super::journal::{Entry, Journal, Outcome, Record};
use super::super::read::Stamp;
use super::super::thing::Thing;
use super::super::{Disk, DiskError, Operation, State, backup, journal};
use super::target::{Body, Old, Target};
use super::{Becomes, Done, Event, Purpose, Replaced, vanish};

/// A run between `begin` and `tidy`.
pub(super) struct Run<'r, D: Disk> {
    pub(super) id: String,
    pub(super) now: Timestamp,
    pub(super) purpose: &'r Purpose,
    pub(super) targets: Vec<Target<'r>>,
    pub(super) entries: Vec<Entry>,
    pub(super) journal: Journal<D::File>,
    pub(super) state: &'r State,
    pub(super) disk: &'r mut D,
    /// The temporary files that wait to be flushed, each with the index of its target.
    pub(super) unflushed: Vec<(usize, D::File)>,
    /// The temporary files and second names that were made.
    pub(super) made: Vec<(TreePath, PathBuf)>,
    /// How many entries, counted from the first, are switched.
    pub(super) switched: usize,
    /// How many it was tried for.
    pub(super) reached: usize,
}

impl<D: Disk> Run<'_, D> {
    pub(super) fn carry_out(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<(), DiskError> {
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
            self.flush_before(index)?;
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
            match before.as_ref().map(|old| &old.body) {
                Some(Body::File { content, labels, .. }) => writer.file(item.path, content, labels)?,
                Some(Body::Link { target }) => writer.link(item.path, target.clone()),
                None => writer.absent(item.path),
            }
            writer.reached_by(item.reach);
        }
        writer.finish().map(drop)
    }

    /// Writes the new file beside the old one, and gives the old one a second name.
    fn stage(&mut self, index: usize) -> Result<(), DiskError> {
        let Target { item, before, hosts, directory_owner, .. } = &self.targets[index];
        let failed =
            |operation| move |source| DiskError::Replace { path: item.path.clone(), operation, source };
        if let Becomes::Link { target } = &item.becomes {
            // There is nothing to flush but its name: the text comes with it.
            self.disk.symlink(Path::new(target), &hosts.temporary).map_err(failed(Operation::MakeLink))?;
            self.made.push((self.entries[index].temporary.clone(), hosts.temporary.clone()));
        }
        if let Becomes::File { content, mode, facts } = &item.becomes {
            let mut file = self.disk.create(&hosts.temporary).map_err(failed(Operation::Create))?;
            self.made.push((self.entries[index].temporary.clone(), hosts.temporary.clone()));
            let facts = facts.or(before.as_ref().and_then(Old::facts));
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
        if let Some(old) = before {
            match (self.disk.link(&hosts.target, &hosts.kept), &old.body) {
                // Not every file system gives a link a second name; one with the same text is as good.
                (Err(error), Body::Link { target }) if is_unsupported(&error) => {
                    self.disk.symlink(Path::new(target), &hosts.kept)
                }
                (kept, _) => kept,
            }
            .map_err(failed(Operation::Keep))?;
            self.made.push((self.entries[index].kept.clone(), hosts.kept.clone()));
        }
        Ok(())
    }

    fn recheck(&self) -> Result<(), DiskError> {
        for (Target { item, before, hosts, .. }, entry) in self.targets.iter().zip(&self.entries) {
            let now = self.disk.stat(&hosts.target).map_err(|source| DiskError::Replace {
                path: item.path.clone(),
                operation: Operation::Inspect,
                source,
            })?;
            if now.as_ref().map(Stamp::of) == before.as_ref().map(|old| old.stamp) {
                continue;
            }
            // An overlay gives a file another number when it gets its second name. The content decides.
            if Thing::at(&hosts.target, self.disk).ok() != Some(entry.before.clone()) {
                return Err(DiskError::Disturbed { path: item.path.clone() });
            }
        }
        Ok(())
    }

    fn switch(&mut self, index: usize) -> Result<(), DiskError> {
        let Target { item, before, hosts, .. } = &self.targets[index];
        let path = item.path;
        let switched = match (&item.becomes, before) {
            (Becomes::File { .. } | Becomes::Link { .. }, Some(_)) => {
                self.disk.rename(&hosts.temporary, &hosts.target)
            }
            (Becomes::File { .. } | Becomes::Link { .. }, None) => {
                self.disk.rename_new(&hosts.temporary, &hosts.target)
            }
            (Becomes::Nothing, Some(_)) => self.disk.remove(&hosts.target),
            (Becomes::Nothing, None) => Ok(()),
        };
        switched.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => DiskError::Disturbed { path: path.clone() },
            _ => DiskError::Replace { path: path.clone(), operation: Operation::Rename, source },
        })
    }

    /// Flushes what a link leads to before it is there, and a link that leads elsewhere now before its file is gone: whoever
    /// starts after a crash and before the recovery, as the kubelet does, must not find a link to nothing.
    fn flush_before(&mut self, index: usize) -> Result<(), DiskError> {
        let is_link = |target: &Target<'_>| matches!(target.item.becomes, Becomes::Link { .. });
        let must_wait = match self.targets[index].item.becomes {
            Becomes::Link { .. } => index > 0,
            Becomes::Nothing => self.targets[..index].iter().any(is_link),
            Becomes::File { .. } => false,
        };
        if must_wait { self.flush_directories() } else { Ok(()) }
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
    pub(super) fn tidy(mut self, observer: &mut dyn FnMut(Event<'_>)) -> Done {
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
            let is_link = after.as_ref().is_some_and(Thing::is_link);
            Replaced { path, target, is_link, digest: after.map(|thing| thing.digest()) }
        });
        Done { id, replaced: replaced.collect(), leftovers }
    }

    /// Puts everything back, and returns what to say about it.
    pub(super) fn undo(mut self, cause: DiskError) -> DiskError {
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
            && !matches!(item.becomes, Becomes::Nothing)
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
                (None, Becomes::File { .. } | Becomes::Link { .. }) => self.disk.remove(&hosts.target),
                (None, Becomes::Nothing) => Ok(()),
            }
            .map_err(|source| (item.path.clone(), Operation::Rename, source))?;
            let leads_back = matches!(item.becomes, Becomes::Link { .. });
            self.switched -= 1;
            if leads_back && self.switched > 0 {
                // The file that it led to goes next.
                self.put_back_is_flushed()?;
            }
        }
        self.put_back_is_flushed()
    }

    fn put_back_is_flushed(&mut self) -> Result<(), (TreePath, Operation, io::Error)> {
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

/// Returns whether a file system says that it has no such thing as a second name.
fn is_unsupported(error: &io::Error) -> bool {
    let says = [Errno::PERM, Errno::MLINK, Errno::NOSYS, Errno::OPNOTSUPP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|number| says.contains(&number))
}

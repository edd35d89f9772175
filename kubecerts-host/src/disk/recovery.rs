//! Finishes a run that was interrupted, or rolls it back.
//!
//! What is done follows from the journal and from what is on disk, never from a guess:
//!
//! | the journal ends with | what is done | why |
//! |---|---|---|
//! | a torn first record | it is discarded | nothing was made in the tree |
//! | `begin` | rolled back | no file had been replaced; the temporary files go |
//! | `prepared` or `committed` | finished | all new files are on the medium, so the rest of the renames is done |
//! | `undo` | rolled back | the run itself had failed and was putting back what it had replaced |
//! | `end` | closed | only the journal was left to be moved |
//!
//! When the disk no longer has what that takes, the other way is taken, as long as it leads to files that are all new or
//! all old. When neither does — somebody else has changed a file meanwhile — nothing is touched and the file is
//! named; [`abandon`] then leaves every file as it is.
//!
//! Recovery can be interrupted itself: it is done again from the start.

use std::io;
use std::path::PathBuf;

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_core::time::Timestamp;

use super::backup::BACKUP_FILE_LIMIT;
use super::journal::{Begin, Entry, Found, Journal, Record};
use super::transaction::{Purpose, vanish};
use super::{Disk, DiskError, Operation, Resolved, Root, State, backup, journal};

pub use super::journal::Outcome;

/// A run that was interrupted, and what is to be done about it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "nothing can be written until it is recovered"]
pub struct Interrupted {
    begin: Option<Begin>,
    verdict: Verdict,
}

impl Interrupted {
    /// Returns what is to be done.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns the identifier of the run, which is that of its backup.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.begin.as_ref().map(|begin| begin.id.as_str())
    }

    /// Returns when the run began.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        self.begin.as_ref().map(|begin| begin.at)
    }

    /// Returns the number of the process that was interrupted.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.begin.as_ref().map(|begin| begin.process)
    }

    /// Returns what the run was for.
    #[must_use]
    pub fn purpose(&self) -> Option<&Purpose> {
        self.begin.as_ref().map(|begin| &begin.purpose)
    }

    /// Returns the files that the run was about to replace, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.begin.iter().flat_map(|begin| &begin.entries).map(|entry| &entry.path)
    }
}

/// What is to be done about an interrupted run.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third outcome")]
pub enum Verdict {
    /// Every file becomes the new one.
    Finish(Reason),
    /// Every file becomes the old one.
    RollBack(Reason),
}

impl Verdict {
    /// Returns how the run will have ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Finish(_) => Outcome::Finished,
            Self::RollBack(_) => Outcome::RolledBack,
        }
    }

    /// Returns why.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        match self {
            Self::Finish(reason) | Self::RollBack(reason) => reason,
        }
    }
}

/// Why a run is finished or rolled back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The journal's first record was torn.
    #[error("its journal had not been written, so nothing was made in the tree")]
    NotBegun,
    /// The journal does not say `prepared`.
    #[error("it had not replaced any file yet")]
    NotPrepared,
    /// The journal says `prepared`.
    #[error("all new files and the backup were on the disk, and the replacing had begun")]
    Prepared,
    /// The journal says `committed`.
    #[error("every file had been replaced, and only its temporary files were left")]
    Committed,
    /// The journal says `undo`.
    #[error("it had failed and was putting everything back: {0}")]
    Undoing(String),
    /// The journal says `end`.
    #[error("it had ended, and only its journal was left")]
    Ended,
    /// The new file of this path is gone, so the run cannot be finished.
    #[error("it cannot be finished, because the new {0} is gone or damaged")]
    NewFileGone(TreePath),
    /// The old file of this path is gone, so the run cannot be rolled back.
    #[error("it cannot be rolled back, because the old {0} is gone or damaged")]
    OldFileGone(TreePath),
}

/// A run that was recovered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[must_use = "it says which files were changed"]
pub struct Recovered {
    /// How the run has ended.
    pub outcome: Outcome,
    /// The files that were replaced or put back just now, in order.
    pub changed: Vec<TreePath>,
}

/// Looks for a run that was interrupted, and decides what is to be done about it. Changes nothing.
///
/// # Errors
/// [`DiskError::JournalDamaged`]; [`DiskError::Foreign`] or [`DiskError::Lost`] when it can neither be finished nor be
/// rolled back.
pub fn examine(root: &Root, state: &State, disk: &impl Disk) -> Result<Option<Interrupted>, DiskError> {
    let Some(found) = journal::read(state, disk)? else { return Ok(None) };
    let verdict = decide(&found, root, state, disk)?;
    Ok(Some(Interrupted { begin: found.begin, verdict }))
}

/// Does what [`examine`] has decided.
///
/// # Errors
/// [`DiskError::Recover`]: the journal stays, and everything can be tried again.
pub fn recover<D: Disk>(
    interrupted: &Interrupted,
    root: &Root,
    state: &State,
    disk: &mut D,
) -> Result<Recovered, DiskError> {
    // Somebody may have thought for long about whether to do it.
    if examine(root, state, disk)?.as_ref() != Some(interrupted) {
        return Err(DiskError::JournalOpen { journal: journal::path(state) });
    }
    let Interrupted { begin, verdict } = interrupted;
    let outcome = verdict.outcome();
    let Some(begin) = begin else {
        journal::discard(state, disk)?;
        return Ok(Recovered { outcome, changed: Vec::new() });
    };
    if *verdict.reason() == Reason::Ended {
        journal::archive(&begin.id, state, disk)?;
        return Ok(Recovered { outcome, changed: Vec::new() });
    }
    let mut journal = Journal::<D::File>::reopen(&begin.id, state, disk)?;
    let mut changed = Vec::new();
    if !matches!(verdict.reason(), Reason::NotPrepared) {
        if let Verdict::RollBack(reason) = verdict
            && !matches!(reason, Reason::Undoing(_))
        {
            journal.append(&Record::Undo { reason: reason.to_string() }, state, disk)?;
        }
        for entry in &begin.entries {
            let has_changed = match outcome {
                Outcome::Finished => finish(entry, root, state, disk)?,
                Outcome::RolledBack | Outcome::Abandoned => roll_back(entry, root, state, disk)?,
            };
            if has_changed {
                changed.push(entry.path.clone());
            }
        }
        flush(&begin.entries, root, disk)?;
        if outcome == Outcome::Finished {
            // It says what is on disk anyway, and a full disk may have no room for it.
            let _ = journal.append(&Record::Committed, state, disk);
        }
    }
    tidy(&begin.entries, root, disk)?;
    if matches!(verdict.reason(), Reason::NotPrepared) {
        backup::remove(&begin.id, state, disk)?;
    }
    journal.close(outcome, true, state, disk)?;
    Ok(Recovered { outcome, changed })
}

/// Gives a run up that can neither be finished nor be rolled back: temporary files go, every other file stays as it is.
///
/// The backup of the run stays, so that old files can be put back from there. Returns the temporary files that were not
/// removed, because a link leads to another directory than the run's.
///
/// # Errors
/// [`DiskError::Recoverable`] when it can be recovered; [`DiskError::Recover`]; [`DiskError::JournalDamaged`] when the journal
/// does not say which files are temporary.
pub fn abandon<D: Disk>(root: &Root, state: &State, disk: &mut D) -> Result<Vec<TreePath>, DiskError> {
    match examine(root, state, disk) {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(_)) => return Err(DiskError::Recoverable { journal: journal::path(state) }),
        Err(error @ DiskError::JournalDamaged { .. }) => return Err(error),
        Err(_) => {}
    }
    let Some(found) = journal::read(state, disk)? else { return Ok(Vec::new()) };
    let Some(begin) = found.begin else {
        journal::discard(state, disk)?;
        return Ok(Vec::new());
    };
    let (reached, lost): (Vec<Entry>, Vec<Entry>) =
        begin.entries.into_iter().partition(|entry| Hosts::of(entry, root, disk).is_ok());
    tidy(&reached, root, disk)?;
    Journal::<D::File>::reopen(&begin.id, state, disk)?.close(Outcome::Abandoned, true, state, disk)?;
    Ok(lost.into_iter().flat_map(|entry| [entry.temporary, entry.kept]).collect())
}

/// The rule of this module.
fn decide(found: &Found, root: &Root, state: &State, disk: &impl Disk) -> Result<Verdict, DiskError> {
    let Some(begin) = &found.begin else { return Ok(Verdict::RollBack(Reason::NotBegun)) };
    if let Some(outcome) = found.end() {
        return Ok(match outcome {
            Outcome::Finished => Verdict::Finish(Reason::Ended),
            Outcome::RolledBack | Outcome::Abandoned => Verdict::RollBack(Reason::Ended),
        });
    }
    if !found.holds(&Record::Prepared) {
        return Ok(Verdict::RollBack(Reason::NotPrepared));
    }
    let mut states = Vec::with_capacity(begin.entries.len());
    for entry in &begin.entries {
        states.push((entry, Condition::of(&Hosts::of(entry, root, disk)?, state, disk)?));
    }
    let committed = found.holds(&Record::Committed);
    let unfinishable = states.iter().find(|(entry, now)| !now.can_finish(entry, committed));
    let irreversible = states.iter().find(|(entry, now)| !now.can_roll_back(entry));
    match (found.undo(), unfinishable, irreversible) {
        (None, None, _) if committed => Ok(Verdict::Finish(Reason::Committed)),
        (None, None, _) => Ok(Verdict::Finish(Reason::Prepared)),
        (None, Some((entry, _)), None) => Ok(Verdict::RollBack(Reason::NewFileGone(entry.path.clone()))),
        (Some(reason), _, None) => Ok(Verdict::RollBack(Reason::Undoing(reason.to_owned()))),
        (Some(_), None, Some((entry, _))) => Ok(Verdict::Finish(Reason::OldFileGone(entry.path.clone()))),
        (_, Some(_), Some((entry, now))) => Err(match now.is_old(entry) || now.is_new(entry) {
            true => DiskError::Lost { path: entry.path.clone(), kept: entry.kept.clone() },
            false => DiskError::Foreign { path: entry.path.clone(), found: expected(now.target) },
        }),
    }
}

/// What is on disk of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Condition {
    target: Option<Digest>,
    temporary: Option<Digest>,
    kept: Option<Digest>,
}

impl Condition {
    fn of(hosts: &Hosts, state: &State, disk: &impl Disk) -> Result<Self, DiskError> {
        let digest = |host: &PathBuf| match disk.read(host, BACKUP_FILE_LIMIT) {
            Ok(found) => Ok(found.map(|found| Digest::of(found.content.secret_bytes()))),
            // Something that is no file of ours is as good as another content.
            Err(ReadProblem::NotAFile(_) | ReadProblem::TooLarge { .. }) => Ok(Some(Digest::of(b""))),
            Err(problem) => Err(DiskError::Recover {
                path: state.tree(host),
                operation: Operation::Read,
                source: io::Error::other(problem.to_string()),
            }),
        };
        Ok(Self {
            target: digest(&hosts.target)?,
            temporary: digest(&hosts.temporary)?,
            kept: digest(&hosts.kept)?,
        })
    }

    fn is_new(&self, entry: &Entry) -> bool {
        self.target == entry.after
    }

    fn is_old(&self, entry: &Entry) -> bool {
        self.target == entry.before
    }

    /// What was committed is done, even if somebody has changed a file since.
    fn can_finish(&self, entry: &Entry, committed: bool) -> bool {
        let can_switch = entry.after.is_none() || self.temporary == entry.after;
        self.is_new(entry) || (self.is_old(entry) && can_switch) || (committed && !self.is_old(entry))
    }

    fn can_roll_back(&self, entry: &Entry) -> bool {
        let can_restore = entry.before.is_none() || self.kept == entry.before;
        self.is_old(entry) || (self.is_new(entry) && can_restore)
    }
}

/// Where the files of an entry lie on this machine.
struct Hosts {
    directory: PathBuf,
    target: PathBuf,
    temporary: PathBuf,
    kept: PathBuf,
}

impl Hosts {
    /// The journal of a foreign disk may not lead out of its root: no directory on the way may have become a link.
    fn of(entry: &Entry, root: &Root, disk: &impl Disk) -> Result<Self, DiskError> {
        let parent = entry.target.parent();
        let refused = |problem| DiskError::Refused { path: entry.path.clone(), problem };
        let Resolved { tree, host, .. } = root.resolve(&parent, disk).map_err(refused)?;
        if tree != parent {
            return Err(refused(ReadProblem::Failed(format!("{parent} has become a link to {tree}"))));
        }
        let at = |path: &TreePath| host.join(path.file_name());
        Ok(Self {
            target: at(&entry.target),
            temporary: at(&entry.temporary),
            kept: at(&entry.kept),
            directory: host,
        })
    }
}

/// Switches an entry to its new file, unless it is that already; returns whether there was anything to do.
fn finish(entry: &Entry, root: &Root, state: &State, disk: &mut impl Disk) -> Result<bool, DiskError> {
    let hosts = Hosts::of(entry, root, disk)?;
    let now = Condition::of(&hosts, state, disk)?;
    let Hosts { target, temporary, .. } = hosts;
    let has_new_file = entry.after.is_some() && now.temporary == entry.after;
    // With equal contents only the temporary file tells whether mode and owner are the new ones already.
    if !now.is_old(entry) || (entry.after.is_some() && !has_new_file) {
        return Ok(false);
    }
    let switched = match (entry.after, entry.before) {
        (Some(_), Some(_)) => disk.rename(&temporary, &target),
        (Some(_), None) => disk.rename_new(&temporary, &target),
        (None, Some(_)) => disk.remove(&target),
        (None, None) => return Ok(false),
    };
    switched.map_err(|source| failed(&entry.path, Operation::Rename, source))?;
    Ok(true)
}

/// Switches an entry back to its old file, unless it is that already; returns whether there was anything to do.
fn roll_back(entry: &Entry, root: &Root, state: &State, disk: &mut impl Disk) -> Result<bool, DiskError> {
    let hosts = Hosts::of(entry, root, disk)?;
    let now = Condition::of(&hosts, state, disk)?;
    let Hosts { target, kept, .. } = hosts;
    if entry.before.is_none() {
        if now.target.is_none() {
            return Ok(false);
        }
        disk.remove(&target).map_err(|source| failed(&entry.path, Operation::Remove, source))?;
        return Ok(true);
    }
    if now.kept != entry.before {
        return Ok(false);
    }
    let inode = |host| disk.stat(host).map_err(|source| failed(&entry.path, Operation::Inspect, source));
    let (at_target, at_kept) = (inode(&target)?, inode(&kept)?);
    // Two names of one file: a rename would do nothing, and there is nothing to put back.
    if at_target.map(|stat| stat.inode) == at_kept.map(|stat| stat.inode) {
        return Ok(false);
    }
    disk.rename(&kept, &target).map_err(|source| failed(&entry.path, Operation::Rename, source))?;
    Ok(true)
}

fn tidy(entries: &[Entry], root: &Root, disk: &mut impl Disk) -> Result<(), DiskError> {
    for entry in entries {
        let Hosts { temporary, kept, .. } = Hosts::of(entry, root, disk)?;
        for (name, host) in [(&entry.temporary, temporary), (&entry.kept, kept)] {
            vanish(&host, disk).map_err(|source| failed(name, Operation::Remove, source))?;
        }
    }
    flush(entries, root, disk)
}

fn flush(entries: &[Entry], root: &Root, disk: &mut impl Disk) -> Result<(), DiskError> {
    let mut flushed = Vec::new();
    for entry in entries {
        let Hosts { directory, .. } = Hosts::of(entry, root, disk)?;
        if flushed.contains(&directory) {
            continue;
        }
        match disk.sync_directory(&directory) {
            // With the directory, whatever the run had made in it is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => {
                synced.map_err(|source| failed(&entry.target.parent(), Operation::FlushDirectory, source))?;
            }
        }
        flushed.push(directory);
    }
    Ok(())
}

fn failed(path: &TreePath, operation: Operation, source: io::Error) -> DiskError {
    DiskError::Recover { path: path.clone(), operation, source }
}

const fn expected(found: Option<Digest>) -> Expected {
    match found {
        Some(digest) => Expected::Content(digest),
        None => Expected::Absent,
    }
}

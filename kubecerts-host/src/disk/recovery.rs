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
//! A link is known by its text, a file by its content; what a link leads to is an entry of its own, if the run touches it.
//!
//! Recovery can be interrupted itself: it is done again from the start.

use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;

use super::journal::{Begin, Entry, Found, Journal, Record};
use super::thing::Thing;
use super::transaction::Purpose;
use super::{Disk, DiskError, Root, State, backup, journal};

mod steps;
use steps::{Condition, Hosts, finish_all, flush, roll_back_all, tidy};

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
    let verdict = decide(&found, root, disk)?;
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
        changed = match outcome {
            Outcome::Finished => finish_all(&begin.entries, root, disk)?,
            Outcome::RolledBack | Outcome::Abandoned => roll_back_all(&begin.entries, root, disk)?,
        };
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
fn decide(found: &Found, root: &Root, disk: &impl Disk) -> Result<Verdict, DiskError> {
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
        states.push((entry, Condition::of(entry, &Hosts::of(entry, root, disk)?, disk)?));
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
            false => {
                DiskError::Foreign { path: entry.path.clone(), found: Thing::found(now.target.as_ref()) }
            }
        }),
    }
}

//! Replaces, creates and removes files and links: all of them, or none.
//!
//! A run goes through these stages, each a function of its own:
//!
//! 1. `check` every target: resolved as its [`Reach`] says, a regular file with the expected content or a link that is itself
//!    to be replaced, in a directory that only its owner can write to, with room for everything that will be written;
//! 2. `begin` the journal, which names every file that will be made;
//! 3. `back_up` the old files, and read the backup again;
//! 4. `stage` every new file or link beside its target: owner, labels and mode first, then the content, flushed. The old
//!    one gets a second name. Both names are flushed with their directory, the targets are looked at once more, and the
//!    journal says `prepared`;
//! 5. `switch` all files by renames, back to back, in the order of the changes, in which the key and the certificate of a
//!    pair are neighbours; what a link leads to is flushed before the link is switched; the directories are flushed, and the
//!    journal says `committed`;
//! 6. `tidy`: the second names go, the journal is closed.
//!
//! A failure before the end of stage 5 is undone: the second name of an old file is renamed back, which takes no room on
//! a full disk and brings back the very same file. After a crash, [`recovery`](super::recovery) does the rest.
//!
//! The second name is a hard link. That it can be made shows before anything is replaced that the target is not mounted by
//! itself and not immutable.

use std::io;
use std::path::Path;

use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;

use super::journal::{Begin, Journal};
use super::{Disk, DiskError, Root, State, backup, safety};

mod item;
pub use item::{Becomes, Item, Reach};

mod purpose;
pub use purpose::{Purpose, Reissue};

mod run;
use run::Run;

mod target;
pub(super) use target::Target;

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
    /// Whether it is a link now, which replaced what was at the very path.
    pub is_link: bool,
    /// The digest of the new content, or of the text of a link; `None` when there is nothing any more.
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
    let mut targets = target::check(items, root, disk)?;
    safety::room(&targets, state, root, disk)?;
    state.must_be_private(root, disk)?;
    state.make("", disk)?;
    backup::sweep(state, disk)?;

    let id = state.new_id(*now, disk)?;
    let entries = target::entries(&mut targets, *token)?;
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

/// Removes `host` if it is there, in two attempts.
pub(super) fn vanish(host: &Path, disk: &mut impl Disk) -> io::Result<()> {
    let mut attempt = || match disk.remove(host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    attempt().or_else(|_| attempt())
}

#[cfg(test)]
mod tests;

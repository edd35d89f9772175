//! Which operation fails, and how.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use super::Errno;

/// Something that goes wrong. Operations are numbered from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A change fails. It changes nothing, with two exceptions: a write that fails with [`Errno::Io`] or
    /// [`Errno::NoSpace`] has written half of the bytes, and a file whose flush failed cannot be flushed any more,
    /// whatever a second flush says.
    FailChange {
        /// The number of the change.
        at: usize,
        /// What the operating system says.
        errno: Errno,
        /// Whether it goes on like that.
        repeat: Repeat,
    },
    /// An operation that only looks fails.
    FailRead {
        /// The number among the operations that only look.
        at: usize,
        /// What the operating system says.
        errno: Errno,
    },
    /// The machine goes down: the change does not happen, and every later operation fails until
    /// [`SimDisk::crash`](super::SimDisk::crash). A write has written half of its bytes, as far as the crash lets them
    /// survive.
    CrashAtChange {
        /// The number of the change.
        at: usize,
    },
}

/// Whether a fault comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Repeat {
    /// It strikes once.
    Once,
    /// It strikes every later change too. [`Errno::NoSpace`] then strikes only what needs room, from the first: a full
    /// disk can be tidied and flushed.
    FromThenOn,
}

/// The faults to come, and the operations so far.
#[derive(Clone, Default)]
pub(super) struct Script {
    faults: Vec<Fault>,
    log: Vec<(&'static str, PathBuf)>,
    /// Counted by operations that have the disk by shared reference.
    reads: Cell<usize>,
    is_down: bool,
}

impl Script {
    pub(super) fn replace(&mut self, faults: Vec<Fault>) {
        self.faults = faults;
        self.log.clear();
        self.reads.set(0);
    }

    pub(super) fn restart(&mut self) {
        self.faults.clear();
        self.is_down = false;
    }

    /// Numbers a change, and says what happens to it.
    pub(super) fn change(&mut self, change: Change, path: &Path) -> Result<(), Struck> {
        if self.is_down {
            return Err(Struck::Down);
        }
        let number = self.log.len();
        self.log.push((change.name(), path.to_owned()));
        match self.faults.iter().find_map(|fault| fault.strikes_change(number, change)) {
            Some(struck) => {
                self.is_down = struck == Struck::Crash;
                Err(struck)
            }
            None => Ok(()),
        }
    }

    /// Numbers an operation that only looks, and says what happens to it.
    pub(super) fn read(&self) -> Result<(), Struck> {
        if self.is_down {
            return Err(Struck::Down);
        }
        let number = self.reads.get();
        self.reads.set(number + 1);
        self.faults.iter().find_map(|fault| fault.strikes_read(number)).map_or(Ok(()), Err)
    }

    pub(super) fn log(&self) -> &[(&'static str, PathBuf)] {
        &self.log
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.get()
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }
}

impl Fault {
    fn strikes_change(self, number: usize, change: Change) -> Option<Struck> {
        match self {
            Self::CrashAtChange { at } if at == number => Some(Struck::Crash),
            Self::FailChange { at, errno, repeat } => {
                let strikes = match repeat {
                    Repeat::Once => at == number,
                    Repeat::FromThenOn => at <= number && (errno != Errno::NoSpace || change.needs_room()),
                };
                strikes.then_some(Struck::Failure(errno))
            }
            Self::CrashAtChange { .. } | Self::FailRead { .. } => None,
        }
    }

    fn strikes_read(self, number: usize) -> Option<Struck> {
        match self {
            Self::FailRead { at, errno } if at == number => Some(Struck::Failure(errno)),
            _ => None,
        }
    }
}

/// What happens to an operation instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Struck {
    Failure(Errno),
    /// The machine goes down now.
    Crash,
    /// It went down before.
    Down,
}

impl From<Struck> for io::Error {
    fn from(struck: Struck) -> Self {
        match struck {
            Struck::Failure(errno) => errno.into(),
            Struck::Crash | Struck::Down => Self::other("the machine is down"),
        }
    }
}

/// An operation that can change something.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Create,
    Append,
    CreateDirectory,
    SetOwner,
    SetLabels,
    SetMode,
    Write,
    Sync,
    Link,
    Symlink,
    Rename { is_new: bool },
    RenameNew,
    SyncDirectory,
    Remove,
    RemoveDirectory,
}

impl Change {
    /// Returns the name of the method.
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::CreateDirectory => "create_directory",
            Self::SetOwner => "set_owner",
            Self::SetLabels => "set_labels",
            Self::SetMode => "set_mode",
            Self::Write => "write_all",
            Self::Sync => "sync",
            Self::Link => "link",
            Self::Symlink => "symlink",
            Self::Rename { .. } => "rename",
            Self::RenameNew => "rename_new",
            Self::SyncDirectory => "sync_directory",
            Self::Remove => "remove",
            Self::RemoveDirectory => "remove_directory",
        }
    }

    /// Returns whether it can fail on a full disk: a new entry may need a block in its directory, which a name
    /// that exists has, and labels one of their own.
    const fn needs_room(self) -> bool {
        match self {
            Self::Create
            | Self::CreateDirectory
            | Self::SetLabels
            | Self::Write
            | Self::Link
            | Self::Symlink
            | Self::Rename { is_new: true }
            | Self::RenameNew => true,
            Self::Append
            | Self::SetOwner
            | Self::SetMode
            | Self::Sync
            | Self::Rename { is_new: false }
            | Self::SyncDirectory
            | Self::Remove
            | Self::RemoveDirectory => false,
        }
    }
}

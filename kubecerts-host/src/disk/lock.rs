//! One writer at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use kubecerts_core::path::TreePath;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{DiskError, Operation, RealDisk, State};

/// The exclusive right to write, until it is dropped or the process ends in whatever way.
///
/// It is `flock` on a file in the state directory, which the kernel takes back from a process that dies, and on the
/// directories of all files that may be written: two runs with different state directories exclude each other too, and so does any other tool
/// that locks one of them.
#[derive(Debug)]
#[must_use = "the lock is given back when it is dropped"]
pub struct Lock {
    // Closing a file gives its lock back.
    _files: Vec<File>,
}

impl Lock {
    /// Takes the lock for `command`, without waiting.
    ///
    /// `directories` are those of the files that may be written, on this machine, each with its path as the node would
    /// write it.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else has it; [`LockError::Unsupported`] where nothing can be locked.
    pub fn take(
        command: &str,
        directories: &BTreeMap<PathBuf, TreePath>,
        state: &State,
    ) -> Result<Self, LockError> {
        state.make("", &mut RealDisk)?;
        let path = state.directory().join("lock");
        let failed = |operation| {
            let path = state.tree(&path);
            move |source| LockError::Disk(DiskError::State { path, operation, source })
        };
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path)
            .map_err(failed(Operation::Open))?;
        let (taken, listed) = lock_or_holder(&file).map_err(failed(Operation::Inspect))?;
        if taken == Taken::No {
            let mut text = String::new();
            let _ = io::Read::by_ref(&mut file).take(4096).read_to_string(&mut text);
            let holder = Holder::among(Holder::parse(&text), listed);
            return Err(LockError::Held { path: state.tree(&path), holder });
        }
        let text = format!("{} {command}\n", std::process::id());
        // A full disk has no room for it. Then the kernel alone says who has the lock.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));

        let mut files = vec![file];
        let mut is_real = taken == Taken::Yes;
        for (host, tree) in directories {
            let failed = |source| {
                let operation = Operation::Open;
                LockError::Disk(DiskError::Replace { path: tree.clone(), operation, source })
            };
            let flags = (OFlags::DIRECTORY | OFlags::CLOEXEC).bits().cast_signed();
            let opened = OpenOptions::new().read(true).custom_flags(flags).open(host).map_err(failed)?;
            match lock_or_holder(&opened).map_err(failed)? {
                (Taken::No, holder) => return Err(LockError::Held { path: tree.clone(), holder }),
                (taken, _) => is_real |= taken == Taken::Yes,
            }
            files.push(opened);
        }
        if !is_real {
            return Err(LockError::Unsupported { path: state.tree(&path) });
        }
        Ok(Self { _files: files })
    }
}

/// Who holds a lock, as far as it can be told.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Holder {
    /// The number of the process.
    pub process: u32,
    /// What it says that it is doing, or the name of its program.
    pub command: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)?;
        match &self.command {
            Some(command) => write!(f, " ({command})"),
            None => Ok(()),
        }
    }
}

impl Holder {
    /// Returns the holder, given what the file says and whom the kernel lists.
    ///
    /// The kernel is right, but does not list processes of another container. The file knows more, unless the process has
    /// the lock and has not written its name yet: then it still has the name of an earlier one.
    fn among(written: Option<Self>, listed: Option<Self>) -> Option<Self> {
        match (written, listed) {
            (Some(written), Some(listed)) if written.process == listed.process => Some(written),
            (written, None) => written,
            (_, listed) => listed,
        }
    }

    /// Parses what a holder writes into the file: its number, and what it does.
    fn parse(text: &str) -> Option<Self> {
        let (process, command) = text.trim_end().split_once(' ')?;
        // The text is shown on terminals.
        let command = command.chars().filter(|c| !c.is_control()).collect();
        Some(Self { process: process.parse().ok()?, command: Some(command) })
    }
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has it.
    #[error("{path} is locked by {}", holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
    Held {
        /// What is locked.
        path: TreePath,
        /// Who has it.
        holder: Option<Holder>,
    },
    /// Neither the state directory nor any other lies on a file system that knows locks.
    #[error("{path} cannot be locked: its file system has no locks")]
    Unsupported {
        /// What was to be locked.
        path: TreePath,
    },
    /// The file of the lock cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Whether a lock could be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taken {
    Yes,
    /// Somebody else has it.
    No,
    /// The file system knows none, as some on a network.
    Unsupported,
}

/// Takes the lock of an open file.
fn try_lock(file: &File) -> io::Result<Taken> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Taken::Yes),
        Err(Errno::WOULDBLOCK) => Ok(Taken::No),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Taken::Unsupported),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock of `file`, or returns who has it, as far as the kernel lists them.
fn lock_or_holder(file: &File) -> io::Result<(Taken, Option<Holder>)> {
    let taken = try_lock(file)?;
    if taken != Taken::No {
        return Ok((taken, None));
    }
    if let Some(holder) = holder_of(file) {
        return Ok((taken, Some(holder)));
    }
    // Nobody is listed any more: whoever had it may have ended between the two looks.
    let taken = try_lock(file)?;
    let holder = if taken == Taken::No { holder_of(file) } else { None };
    Ok((taken, holder))
}

/// Looks in the kernel's list of locks for whoever holds the one of `file`.
fn holder_of(file: &File) -> Option<Holder> {
    let meta = file.metadata().ok()?;
    let (device, inode) = (meta.dev(), meta.ino());
    let wanted = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`
    let process = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let at = fields.iter().position(|field| *field == wanted)?;
        fields.get(at.checked_sub(1)?)?.parse().ok()
    })?;
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    Some(Holder { process, command: name.map(|name| name.trim_end().to_owned()) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Root;
    use super::*;

    fn state(dir: &Path) -> State {
        let root = Root::new(dir).unwrap();
        State::locate(&TreePath::parse("/state").unwrap(), &root, &RealDisk).unwrap()
    }

    fn directories(dir: &Path) -> BTreeMap<PathBuf, TreePath> {
        BTreeMap::from([(dir.to_owned(), TreePath::parse("/pki").unwrap())])
    }

    #[test]
    fn a_second_run_is_told_who_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        let first = Lock::take("renew", &directories(dir.path()), &state).unwrap();
        let Err(LockError::Held { holder: Some(holder), .. }) =
            Lock::take("backup", &directories(dir.path()), &state)
        else {
            panic!("the lock was given twice")
        };
        assert_eq!(holder, Holder { process: std::process::id(), command: Some("renew".to_owned()) });
        drop(first);
        drop(Lock::take("backup", &directories(dir.path()), &state).unwrap());
    }

    #[test]
    fn the_kernel_knows_better_than_a_name_that_was_left_behind() {
        let holder = |process| Some(Holder { process, command: None });
        let named = |process| Some(Holder { process, command: Some("renew".to_owned()) });
        assert_eq!(Holder::among(named(1), holder(1)), named(1));
        assert_eq!(Holder::among(named(1), holder(2)), holder(2));
        assert_eq!(Holder::among(named(1), None), named(1));
        assert_eq!(Holder::among(None, holder(2)), holder(2));
    }

    #[test]
    fn another_tool_that_locks_the_certificates_is_found_in_the_kernel_s_list() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        let other = File::open(dir.path()).unwrap();
        assert_eq!(try_lock(&other).unwrap(), Taken::Yes);
        let Err(LockError::Held { path, holder }) = Lock::take("renew", &directories(dir.path()), &state)
        else {
            panic!("the lock was given twice")
        };
        assert_eq!((path.as_str(), holder.unwrap().process), ("/pki", std::process::id()));
    }
}

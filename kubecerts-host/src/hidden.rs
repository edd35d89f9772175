//! Hidden files and directories in which something new is made, and whether anybody is still at it.
//!
//! Whoever makes one holds its lock, which the kernel takes back from a process that dies. So what can be locked was left by a run
//! that is over, on whatever machine of a shared file system it was.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kubecerts_core::provider::Entropy;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// Returns a hidden name beside `path` that nobody else has: a number of the process would not do, in containers all have the same.
pub(crate) fn hidden_beside(path: &Path, entropy: &mut dyn Entropy) -> io::Result<PathBuf> {
    let mut token = [0; 8];
    entropy.fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!("{MARK}{:016x}", u64::from_le_bytes(token)));
    Ok(path.with_file_name(name))
}

/// Returns what the hidden name `name` is to become.
pub(crate) fn owner_of_hidden(name: &str) -> Option<&str> {
    let (owner, token) = name.strip_prefix('.')?.rsplit_once(MARK)?;
    (token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(owner)
}

/// What is between a name and its token.
const MARK: &str = ".kubecerts-";

/// Who is at a hidden file or directory.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The caller, until this is closed.
    Taken(File),
    /// Somebody else, or it is gone, or it is nothing that a run makes.
    NotOurs,
    /// Nobody knows: the file system has no locks.
    Unknown,
}

/// Locks what is at `path`.
pub(crate) fn claim(path: &Path) -> io::Result<Claim> {
    // A pipe that somebody has put there would let an open wait for ever.
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::NotOurs),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(Claim::NotOurs),
        file => file?,
    };
    let meta = file.metadata()?;
    if !meta.is_dir() && !meta.is_file() {
        return Ok(Claim::NotOurs);
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Claim::NotOurs),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Claim::Unknown),
        Err(error) => return Err(error.into()),
    }
    // Between opening and locking it may have been removed, or have got its name.
    match fs::symlink_metadata(path) {
        Ok(now) if (now.dev(), now.ino()) == (meta.dev(), meta.ino()) => Ok(Claim::Taken(file)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Claim::NotOurs),
    }
}

/// Removes what is at `path`, unless somebody is at it; returns whether it did.
pub(crate) fn remove_what_nobody_makes(path: &Path) -> io::Result<bool> {
    let Claim::Taken(_lock) = claim(path)? else { return Ok(false) };
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(true)
}

/// So often something new is made under another name when another run takes it for a leftover: a matter of microseconds each.
pub(crate) const ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_hidden_name_says_whose_it_is() {
        let path = Path::new("/trees/tenant-a.kubecerts-0123456789abcdef");
        let names = [path; 2].map(|path| hidden_beside(path, &mut SystemEntropy::new()).unwrap());
        assert!(names[0] != names[1] && names[0].parent() == path.parent());
        let owner = owner_of_hidden(names[0].file_name().unwrap().to_str().unwrap());
        assert_eq!(owner, path.file_name().unwrap().to_str());
        for other in
            ["tenant-a", ".tenant-a", ".a.kubecerts-", ".a.kubecerts-0123", "a.kubecerts-0123456789abcdef"]
        {
            assert_eq!(owner_of_hidden(other), None, "{other}");
        }
        assert!(hidden_beside(Path::new("/"), &mut SystemEntropy::new()).is_err());
    }

    #[test]
    fn only_what_nobody_makes_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let [directory, file] = ["directory", "file"].map(|name| scratch.path().join(name));
        fs::create_dir_all(directory.join("etc")).unwrap();
        fs::write(&file, "secret").unwrap();
        for path in [&directory, &file] {
            let lock = claim(path).unwrap();
            assert!(matches!(lock, Claim::Taken(_)));
            assert!(!remove_what_nobody_makes(path).unwrap());
            assert!(path.exists());
            drop(lock);
            assert!(remove_what_nobody_makes(path).unwrap());
            assert!(!path.exists());
            assert!(!remove_what_nobody_makes(path).unwrap(), "it is gone");
        }
    }

    #[test]
    fn what_no_run_makes_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let (link, socket) = (scratch.path().join("link"), scratch.path().join("pipe"));
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &socket, rustix::fs::Mode::RUSR).unwrap();
        for path in [&link, &socket] {
            assert!(!remove_what_nobody_makes(path).unwrap());
            assert!(fs::symlink_metadata(path).is_ok());
        }
    }
}

//! What the operating system says.

use std::io;

/// An error of Linux, by its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Errno {
    /// `EPERM`: only root may do this.
    NotPermitted = 1,
    /// `ENOENT`: there is nothing.
    NotFound = 2,
    /// `EIO`: the medium is broken.
    Io = 5,
    /// `EBADF`: the handle is one of another disk.
    BadHandle = 9,
    /// `EACCES`: permission denied.
    Access = 13,
    /// `EBUSY`: the root directory stays.
    Busy = 16,
    /// `EEXIST`: there is something already.
    Exists = 17,
    /// `EXDEV`: that is another file system.
    CrossDevice = 18,
    /// `ENOTDIR`: something on the way is not a directory.
    NotADirectory = 20,
    /// `EISDIR`: it is a directory.
    IsADirectory = 21,
    /// `EINVAL`: the question makes no sense.
    Invalid = 22,
    /// `ENOSPC`: the disk is full.
    NoSpace = 28,
    /// `EROFS`: the disk is read-only.
    ReadOnly = 30,
    /// `ENOTEMPTY`: the directory has entries.
    NotEmpty = 39,
    /// `ELOOP`: it is a link, which is not followed.
    Loop = 40,
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno as i32)
    }
}

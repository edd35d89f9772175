//! What can be done with a disk, one system call each as far as possible.
//!
//! The operations decide nothing. [`RealDisk`](super::RealDisk) is the one of this machine; the feature `sim` adds one
//! in memory that loses what was not flushed, and fails when its script says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileMeta, ReadProblem};
use kubecerts_core::time::Moment;

use super::Held;

/// A disk. Every path is absolute and a path of this machine; the last component is never followed when it is a link.
pub trait Disk {
    /// A file that was opened for writing.
    type File;

    /// Returns whether files can be given to any owner.
    fn is_privileged(&self) -> bool;

    /// Returns what is at `path`, or `None` when there is nothing.
    ///
    /// # Errors
    /// What the operating system says.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// Returns where the link `path` points.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns the names in `directory`, sorted.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Reads the regular file `path` of at most `limit` bytes, or returns `None` when there is nothing.
    ///
    /// It never blocks, whatever is there, and a file over the limit costs nothing: its size is asked first.
    ///
    /// # Errors
    /// A [`ReadProblem`] when there is something else, too much, or what the operating system says.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Found>, ReadProblem>;

    /// Returns size and digest of the regular file `path`, however large it is, or `None` when there is nothing.
    ///
    /// # Errors
    /// A [`ReadProblem`] when there is something else, or what the operating system says.
    fn digest(&self, path: &Path) -> Result<Option<(u64, Digest)>, ReadProblem>;

    /// Returns the labels of the file `path`; none on a file system that has none.
    ///
    /// # Errors
    /// What the operating system says.
    fn labels(&self, path: &Path) -> io::Result<Labels>;

    /// Returns how much room there is on the file system of `directory`.
    ///
    /// # Errors
    /// What the operating system says.
    fn space(&self, directory: &Path) -> io::Result<Space>;

    /// Opens every directory from `/` to `directory`, each from the one above it, and keeps the last one open.
    ///
    /// # Errors
    /// When there is a link or nothing on the way, or what the operating system says; [`io::ErrorKind::Unsupported`] where a
    /// directory that is open has no path, for want of `/proc`.
    fn hold(&self, directory: &Path) -> io::Result<Held>;

    /// Creates an empty file that nobody else can open: mode 0600 or less, whatever the umask.
    ///
    /// # Errors
    /// When `path` exists, be it as a link, or cannot be created.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Opens the existing file `path` to write at its end.
    ///
    /// # Errors
    /// What the operating system says.
    fn append(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Creates a directory with exactly `mode`, whatever the umask.
    ///
    /// # Errors
    /// When `path` exists or cannot be created.
    fn create_directory(&mut self, path: &Path, mode: u32) -> io::Result<()>;

    /// Returns the owner of `file`.
    ///
    /// # Errors
    /// What the operating system says.
    fn owner(&self, file: &Self::File) -> io::Result<Owner>;

    /// Gives `file` to `owner`.
    ///
    /// # Errors
    /// What the operating system says; as a rule only root may do this.
    fn set_owner(&mut self, owner: Owner, file: &Self::File) -> io::Result<()>;

    /// Gives `file` these labels and no others.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_labels(&mut self, labels: &Labels, file: &Self::File) -> io::Result<()>;

    /// Sets the permission bits of `file`.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_mode(&mut self, mode: u32, file: &Self::File) -> io::Result<()>;

    /// Appends all of `bytes` to `file`.
    ///
    /// # Errors
    /// What the operating system says; a part may have been written.
    fn write_all(&mut self, bytes: &[u8], file: &mut Self::File) -> io::Result<()>;

    /// Waits until content and facts of `file` are on the medium.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives the file or link `from` the second name `to`.
    ///
    /// # Errors
    /// When `to` exists, or what the operating system says.
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the symbolic link `path`, which points to `target`; its text comes and goes with its name.
    ///
    /// # Errors
    /// When `path` exists, be it as a link, or what the operating system says.
    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()>;

    /// Renames `from` to `to` in one step, replacing what is there.
    ///
    /// # Errors
    /// What the operating system says; nothing was renamed.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames `from` to `to` in one step, provided that there is nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is something, or what the operating system says; nothing was
    /// renamed.
    fn rename_new(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until the entries of `directory` are on the medium.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_directory(&mut self, directory: &Path) -> io::Result<()>;

    /// Removes the file or link `path`.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Removes the empty directory `path`.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove_directory(&mut self, path: &Path) -> io::Result<()>;
}

/// What is at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "disks of tests make them")]
pub struct Stat {
    /// The kind of entry.
    pub kind: Kind,
    /// The permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner and group.
    pub owner: Owner,
    /// The size in bytes.
    pub size: u64,
    /// The file system.
    pub device: u64,
    /// The number of the file within its file system.
    pub inode: u64,
    /// When the content was changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, i64),
    /// When the file was changed last in any way, a move or a new mode included: seconds since 1970 and nanoseconds.
    pub changed: (i64, i64),
}

/// A kind of entry of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl Kind {
    /// Returns the kind in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Pipe => "named pipe",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }
}

/// Who owns a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "POSIX knows an owner and a group")]
pub struct Owner {
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// A file that was read.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "disks of tests make them")]
pub struct Found {
    /// The content.
    pub content: SecretBytes,
    /// The facts of the file that was read.
    pub stat: Stat,
}

impl Found {
    /// Returns the file as a scan holds it; `target` is the path behind all links, when it is another one.
    #[must_use]
    pub fn into_content(self, target: Option<TreePath>) -> FileContent {
        let Self { content, stat } = self;
        let mut meta = FileMeta::with_mode(stat.mode);
        meta.uid = stat.owner.uid;
        meta.gid = stat.owner.gid;
        let moment = |(seconds, nanoseconds)| Some(Moment::from_unix(seconds, nanoseconds));
        meta.modified = moment(stat.modified);
        meta.changed = moment(stat.changed);
        meta.target = target;
        FileContent::new(content, meta)
    }
}

/// The extended attributes of a file that say who may use it, by name, such as `security.selinux`,
/// `system.posix_acl_access` and `user.*`.
///
/// Attributes that seal the content (`security.ima`, `security.evm`) are none: they would not fit another one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a map with a name")]
pub struct Labels(pub BTreeMap<String, Vec<u8>>);

/// The room on a file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "disks of tests make them")]
pub struct Space {
    /// The bytes that this process may still write.
    pub bytes: u64,
    /// The files that may still be made; `None` where there is no such limit.
    pub files: Option<u64>,
    /// The bytes that the smallest file takes.
    pub block: u64,
}

//! The operations that change a disk, one system call each as far as possible.
//!
//! They decide nothing. Tests wrap [`RealDisk`] to fail any one of them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Changes a disk. Every path is a path of this machine.
pub trait Disk {
    /// A file that was created and is still open.
    type File;

    /// Returns whether files can be given to any owner.
    fn is_privileged(&self) -> bool;

    /// Creates an empty file that nobody else can open: mode 0600 or less, whatever the umask.
    ///
    /// # Errors
    /// When `path` exists, be it as a link, or cannot be created.
    fn create_temp(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Returns the owner of `file`.
    ///
    /// # Errors
    /// What the operating system says.
    fn owner(&mut self, file: &Self::File) -> io::Result<Owner>;

    /// Gives `file` to `owner`.
    ///
    /// # Errors
    /// What the operating system says; as a rule only root may do this.
    fn set_owner(&mut self, owner: Owner, file: &Self::File) -> io::Result<()>;

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
    fn sync_dir(&mut self, directory: &Path) -> io::Result<()>;

    /// Removes the file `path`.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
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

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "the operating system holds the state")]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn is_privileged(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn create_temp(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // `create_new` is `O_CREAT|O_EXCL`.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    }

    fn owner(&mut self, file: &File) -> io::Result<Owner> {
        let meta = file.metadata()?;
        Ok(Owner { uid: meta.uid(), gid: meta.gid() })
    }

    fn set_owner(&mut self, owner: Owner, file: &File) -> io::Result<()> {
        fchown(file, Some(owner.uid), Some(owner.gid))
    }

    fn set_mode(&mut self, mode: u32, file: &File) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }

    fn write_all(&mut self, bytes: &[u8], file: &mut File) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // NFS and some others have no such rename, but a hard link does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(from, to)?;
                // Done is done: a second name that stays is hidden and does less harm than a false report.
                let _ = fs::remove_file(from);
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }

    fn sync_dir(&mut self, directory: &Path) -> io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(directory)?;
        match directory.sync_all() {
            // Some network file systems cannot flush a directory and need not.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            outcome => outcome,
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

//! The disk of this machine.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _, fchown, symlink,
};
use std::path::{Component, Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::ReadProblem;
use rustix::fs::{
    CWD, Mode, OFlags, RenameFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, openat,
    renameat_with,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::root::problem;
use super::{Disk, Found, Held, Kind, Labels, Owner, Space, Stat};

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "the operating system holds the state")]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn is_privileged(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(Some(Stat::of(&meta))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Found>, ReadProblem> {
        let Some((file, stat)) = open_file(path)? else { return Ok(None) };
        Ok(Some(Found { content: read_bytes(&file, stat.size, limit)?, stat }))
    }

    fn digest(&self, path: &Path) -> Result<Option<(u64, Digest)>, ReadProblem> {
        let Some((mut file, _)) = open_file(path)? else { return Ok(None) };
        let mut hasher = Sha256::new();
        let mut size = 0;
        loop {
            let mut part = vec![0; 1 << 16];
            let read = file.read(&mut part);
            // A snapshot of etcd holds every secret of the cluster: what was read is wiped.
            let part = SecretBytes::new(part);
            match read {
                Ok(0) => return Ok(Some((size, Digest::from(<[u8; 32]>::from(hasher.finalize()))))),
                Ok(count) => {
                    hasher.update(&part.secret_bytes()[..count]);
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(problem(&error)),
            }
        }
    }

    fn labels(&self, path: &Path) -> io::Result<Labels> {
        labels(&open_to_read(path)?)
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(directory)?;
        // The blocks that are kept for root are no use to others.
        let (blocks, files) = match self.is_privileged() {
            true => (found.f_bfree, found.f_ffree),
            false => (found.f_bavail, found.f_favail),
        };
        Ok(Space {
            bytes: blocks.saturating_mul(found.f_frsize),
            // File systems without a table of files say that they have 0 in all.
            files: (found.f_files > 0).then_some(files),
            block: found.f_frsize.max(1),
        })
    }

    fn hold(&self, directory: &Path) -> io::Result<Held> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut path = PathBuf::from("/");
        let mut at = File::from(openat(CWD, &path, flags, Mode::empty())?);
        let mut way = vec![(path.clone(), Stat::of(&at.metadata()?))];
        for component in directory.components() {
            let name = match component {
                Component::RootDir => continue,
                Component::Normal(name) => name,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            at = File::from(openat(&at, name, flags, Mode::empty())?);
            path.push(name);
            way.push((path.clone(), Stat::of(&at.metadata()?)));
        }
        // The kernel leads this path to what is open, whatever the directory is called by then.
        let path = PathBuf::from(format!("/proc/self/fd/{}", at.as_raw_fd()));
        let opened = Stat::of(&at.metadata()?);
        match fs::metadata(&path).map(|meta| Stat::of(&meta)) {
            Ok(found) if (found.device, found.inode) == (opened.device, opened.inode) => {
                Ok(Held::open(path, way, OwnedFd::from(at)))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // `create_new` is `O_CREAT|O_EXCL`.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    }

    fn append(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        OpenOptions::new().append(true).custom_flags(flags.bits().cast_signed()).open(path)
    }

    fn create_directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        match mode {
            0o700 => Ok(()),
            // A umask may have taken bits away.
            mode => fs::set_permissions(path, Permissions::from_mode(mode)),
        }
    }

    fn owner(&self, file: &File) -> io::Result<Owner> {
        Ok(Stat::of(&file.metadata()?).owner)
    }

    fn set_owner(&mut self, owner: Owner, file: &File) -> io::Result<()> {
        fchown(file, Some(owner.uid), Some(owner.gid))
    }

    fn set_labels(&mut self, wanted: &Labels, file: &File) -> io::Result<()> {
        // A directory may have given the new file labels of its own, such as those of a default ACL.
        let found = labels(file)?;
        for (name, value) in &wanted.0 {
            if found.0.get(name) != Some(value) {
                fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
            }
        }
        for name in found.0.keys().filter(|name| !wanted.0.contains_key(*name)) {
            fremovexattr(file, name.as_str())?;
        }
        Ok(())
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

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        // Like `linkat` without a flag, this does not follow links.
        fs::hard_link(from, to)
    }

    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        symlink(target, path)
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

    fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
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

    fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }
}

impl Stat {
    fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        Self {
            kind: if kind.is_file() {
                Kind::File
            } else if kind.is_dir() {
                Kind::Directory
            } else if kind.is_symlink() {
                Kind::Link
            } else if kind.is_fifo() {
                Kind::Pipe
            } else if kind.is_socket() {
                Kind::Socket
            } else {
                Kind::Device
            },
            mode: meta.mode() & 0o7777,
            owner: Owner { uid: meta.uid(), gid: meta.gid() },
            size: meta.size(),
            device: meta.dev(),
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

fn must_be_file(kind: Kind) -> Result<(), ReadProblem> {
    match kind {
        Kind::File => Ok(()),
        other => Err(ReadProblem::NotAFile(other.name().to_owned())),
    }
}

/// Opens a regular file to be read, with its facts, or returns `None` when there is nothing.
fn open_file(path: &Path) -> Result<Option<(File, Stat)>, ReadProblem> {
    // Opening a device can have effects of its own, so its type is asked before, and again of what was opened.
    let Some(before) = RealDisk.stat(path).map_err(|error| problem(&error))? else { return Ok(None) };
    must_be_file(before.kind)?;
    let file = match open_to_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(&error)),
    };
    let stat = Stat::of(&file.metadata().map_err(|error| problem(&error))?);
    must_be_file(stat.kind)?;
    Ok(Some((file, stat)))
}

fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Reads a file that claims to be `size` bytes long into memory that is never moved.
fn read_bytes(file: &File, size: u64, limit: u64) -> Result<SecretBytes, ReadProblem> {
    if size > limit {
        return Err(ReadProblem::TooLarge { size, limit });
    }
    // One byte more than expected shows whether the file has grown; then the limit alone counts.
    let mut room = size.saturating_add(1);
    loop {
        let length = usize::try_from(room).map_err(|_| ReadProblem::TooLarge { size, limit })?;
        let mut bytes = vec![0; length];
        let filled = fill(file, &mut bytes);
        bytes.truncate(*filled.as_ref().unwrap_or(&0));
        // Wrapped before any return, so that a failure wipes what was read so far.
        let bytes = SecretBytes::new(bytes);
        filled.map_err(|error| problem(&error))?;
        if bytes.len() < length {
            return Ok(bytes);
        }
        if room > limit {
            return Err(ReadProblem::TooLarge { size: room, limit });
        }
        room = limit.saturating_add(1);
    }
}

/// Reads from the start of `file` until its end or the end of `bytes`.
fn fill(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn labels(file: &File) -> io::Result<Labels> {
    let mut names = Vec::with_capacity(NAMES);
    let names = match flistxattr(file, rustix::buffer::spare_capacity(&mut names)) {
        Ok(_) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Labels::default()),
        Err(error) => return Err(error.into()),
    };
    let mut labels = BTreeMap::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Some(name) = CStr::from_bytes_with_nul(name).ok().and_then(|name| name.to_str().ok()) else {
            continue;
        };
        if !is_label(name) {
            continue;
        }
        let mut value = Vec::with_capacity(VALUE);
        match fgetxattr(file, name, rustix::buffer::spare_capacity(&mut value)) {
            Ok(_) => labels.insert(name.to_owned(), value),
            // It went away meanwhile.
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(Labels(labels))
}

/// Returns whether the attribute says who may use a file, whatever its content.
fn is_label(name: &str) -> bool {
    matches!(name, "security.selinux" | "security.SMACK64" | "system.posix_acl_access")
        || name.starts_with("user.")
}

/// The most bytes that all names of a file's attributes may take: Linux's own limit, `XATTR_LIST_MAX`.
const NAMES: usize = 1 << 16;
/// The most bytes that one attribute may have: Linux's own limit, `XATTR_SIZE_MAX`.
const VALUE: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_read_whole_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), [7; 100]).unwrap();
        let file = File::open(dir.path().join("file")).unwrap();
        assert_eq!(read_bytes(&file, 10, 100).unwrap().len(), 100);
        assert_eq!(read_bytes(&file, 10, 99).unwrap_err(), ReadProblem::TooLarge { size: 100, limit: 99 });
        assert_eq!(read_bytes(&file, 200, 300).unwrap().len(), 100);
    }

    #[test]
    fn a_rename_to_a_new_name_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "from").unwrap();
        fs::write(&to, "to").unwrap();
        let error = RealDisk.rename_new(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "to");
    }

    #[test]
    fn directories_have_their_mode_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o700, 0o755] {
            let path = dir.path().join(format!("{mode:o}"));
            RealDisk.create_directory(&path, mode).unwrap();
            assert_eq!(RealDisk.stat(&path).unwrap().unwrap().mode, mode);
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    fn labels_are_given_and_taken() {
        // Two of the directories that a machine has; the first that keeps attributes will do.
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/var/tmp").unwrap()];
        let wanted = Labels(BTreeMap::from([("user.role".to_owned(), b"pki".to_vec())]));
        for dir in &dirs {
            let (path, other) = (dir.path().join("file"), dir.path().join("other"));
            let file = RealDisk.create(&path).unwrap();
            if RealDisk.set_labels(&wanted, &file).is_err() {
                continue;
            }
            assert_eq!(RealDisk.labels(&path).unwrap(), wanted);
            let other_file = RealDisk.create(&other).unwrap();
            RealDisk.set_labels(&RealDisk.labels(&path).unwrap(), &other_file).unwrap();
            assert_eq!(RealDisk.labels(&other).unwrap(), wanted);
            RealDisk.set_labels(&Labels::default(), &file).unwrap();
            assert_eq!(RealDisk.labels(&path).unwrap(), Labels::default());
            return;
        }
        eprintln!("SKIPPED labels that are given and taken: no file system here keeps extended attributes");
    }
}

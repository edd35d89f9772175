//! Reading within bounds.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileMeta, FileState, ReadProblem};
use kubecerts_core::time::Timestamp;
use rustix::fs::OFlags;

use super::root::problem;
use super::{Existence, Resolved, Root};

/// The largest file that is read, in bytes: 1 MiB.
///
/// A kubeconfig with two embedded RSA 4096 pairs takes 20 KiB and a public trust bundle a quarter of a
/// mebibyte, so whatever is larger was not made for this tree and must not fill the memory.
pub const FILE_LIMIT: u64 = 1 << 20;

impl Root {
    /// Reads the file at `path`, of at most `limit` bytes, through all links inside the root.
    ///
    /// It never blocks, whatever is there, and a file over the limit costs nothing: its size is asked first.
    #[must_use]
    pub fn read(&self, path: &TreePath, limit: u64) -> FileState {
        match self.resolve(path).and_then(|resolved| read(&resolved, path, limit)) {
            Ok(Some((content, _))) => FileState::Present(content),
            Ok(None) => FileState::Absent,
            Err(problem) => FileState::Unreadable(problem),
        }
    }

    /// Returns the entries of the directory at `path`, sorted, or none when it does not exist.
    ///
    /// Names that are not UTF-8 are left out: no manifest could refer to them.
    ///
    /// # Errors
    /// A [`ReadProblem`] when it is not a directory, cannot be read or has more than 4096 entries.
    pub fn list(&self, path: &TreePath) -> Result<Vec<TreePath>, ReadProblem> {
        let resolved = self.resolve(path)?;
        if resolved.existence != Existence::Present {
            return Ok(Vec::new());
        }
        let failed = |error: io::Error| problem(&error);
        let mut entries = Vec::new();
        for (count, entry) in fs::read_dir(&resolved.host).map_err(failed)?.enumerate() {
            if count >= MAX_ENTRIES {
                return Err(ReadProblem::Failed(format!("{path} has more than {MAX_ENTRIES} entries")));
            }
            if let Some(name) = entry.map_err(failed)?.file_name().to_str() {
                entries.push(path.join(name).map_err(|error| ReadProblem::Failed(error.to_string()))?);
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }
}

/// Reads what `asked` led to, with the stamp of what was read.
pub(super) fn read(
    resolved: &Resolved,
    asked: &TreePath,
    limit: u64,
) -> Result<Option<(FileContent, Stamp)>, ReadProblem> {
    // Opening a device can have effects of its own, so its type is asked before, and again of what was opened.
    let Some(before) = look(&resolved.host).map_err(|error| problem(&error))? else { return Ok(None) };
    must_be_file(&before)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&resolved.host) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(&error)),
        };
    let found = file.metadata().map_err(|error| problem(&error))?;
    must_be_file(&found)?;

    let bytes = read_bytes(&file, found.len(), limit)?;
    let mut meta = FileMeta::with_mode(found.mode() & 0o7777);
    meta.uid = found.uid();
    meta.gid = found.gid();
    meta.modified = Some(Timestamp::from_unix(found.mtime()));
    meta.target = (resolved.tree != *asked).then(|| resolved.tree.clone());
    Ok(Some((FileContent::new(bytes, meta), Stamp::of(&found))))
}

/// Returns what is at `host`, links not followed, or `None` when there is nothing.
pub(super) fn look(host: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(host) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What tells cheaply whether a file is still the one that was read.
///
/// The time of the last change of the inode is left out on purpose: a backup by hard link moves it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Returns the stamp of a file.
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

fn must_be_file(meta: &Metadata) -> Result<(), ReadProblem> {
    let kind = meta.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let name = if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_symlink() {
        "link"
    } else {
        "device"
    };
    Err(ReadProblem::NotAFile(name.to_owned()))
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

/// How many entries a directory may have: kubeadm makes about twenty, the kubelet adds one with each rotation.
const MAX_ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use kubecerts_core::digest::Digest;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn world() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path()).unwrap();
        (dir, root)
    }

    fn problem_of(state: &FileState) -> &ReadProblem {
        let FileState::Unreadable(problem) = state else { panic!("{state:?}") };
        problem
    }

    #[test]
    fn a_file_is_read_with_its_facts() {
        let (dir, root) = world();
        let host = dir.path().join("ca.crt");
        fs::write(&host, "certificate").unwrap();
        fs::set_permissions(&host, fs::Permissions::from_mode(0o640)).unwrap();
        let state = root.read(&path("/ca.crt"), FILE_LIMIT);
        let content = state.content().unwrap();
        assert_eq!(content.secret_bytes(), b"certificate");
        assert_eq!(content.digest(), Digest::of(b"certificate"));
        let FileMeta { mode, uid, modified, target, .. } = content.meta().clone();
        assert_eq!((mode, uid, target), (0o640, fs::metadata(&host).unwrap().uid(), None));
        assert!(modified.is_some());
    }

    #[test]
    fn the_path_behind_a_link_is_told() {
        let (dir, root) = world();
        fs::write(dir.path().join("kubelet-client-2026.pem"), "pem").unwrap();
        symlink("kubelet-client-2026.pem", dir.path().join("kubelet-client-current.pem")).unwrap();
        let state = root.read(&path("/kubelet-client-current.pem"), FILE_LIMIT);
        assert_eq!(state.content().unwrap().meta().target, Some(path("/kubelet-client-2026.pem")));
    }

    #[test]
    fn nothing_is_absent_with_or_without_its_directory() {
        let (_dir, root) = world();
        for name in ["/ca.crt", "/pki/etcd/ca.crt"] {
            assert!(matches!(root.read(&path(name), FILE_LIMIT), FileState::Absent), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_file_is_named_and_never_blocks() {
        let (dir, root) = world();
        fs::create_dir(dir.path().join("directory")).unwrap();
        mknodat(CWD, dir.path().join("named pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        for kind in ["directory", "named pipe", "socket"] {
            let state = root.read(&path(&format!("/{kind}")), FILE_LIMIT);
            assert_eq!(problem_of(&state), &ReadProblem::NotAFile(kind.to_owned()));
        }
        let machine = Root::new(Path::new("/")).unwrap();
        let state = machine.read(&path("/dev/null"), FILE_LIMIT);
        assert_eq!(problem_of(&state), &ReadProblem::NotAFile("device".to_owned()));
    }

    #[test]
    fn a_sparse_file_of_two_gibibytes_is_not_read() {
        let (dir, root) = world();
        File::create(dir.path().join("huge")).unwrap().set_len(2 << 30).unwrap();
        let state = root.read(&path("/huge"), FILE_LIMIT);
        assert_eq!(problem_of(&state), &ReadProblem::TooLarge { size: 2 << 30, limit: FILE_LIMIT });
    }

    #[test]
    fn the_limit_is_inclusive() {
        let (dir, root) = world();
        fs::write(dir.path().join("file"), [7; 100]).unwrap();
        assert_eq!(root.read(&path("/file"), 100).content().unwrap().secret_bytes().len(), 100);
        assert!(matches!(root.read(&path("/file"), 99), FileState::Unreadable(ReadProblem::TooLarge { .. })));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_read_whole_or_refused() {
        let (dir, _) = world();
        fs::write(dir.path().join("file"), [7; 100]).unwrap();
        let file = File::open(dir.path().join("file")).unwrap();
        assert_eq!(read_bytes(&file, 10, 100).unwrap().len(), 100);
        assert_eq!(read_bytes(&file, 10, 99).unwrap_err(), ReadProblem::TooLarge { size: 100, limit: 99 });
        assert_eq!(read_bytes(&file, 200, 300).unwrap().len(), 100);
    }

    #[test]
    fn entries_are_sorted_below_the_path_that_was_asked_for() {
        let (dir, root) = world();
        fs::create_dir(dir.path().join("ssl")).unwrap();
        symlink("ssl", dir.path().join("pki")).unwrap();
        for name in ["b", "a", ".hidden"] {
            fs::write(dir.path().join("ssl").join(name), "").unwrap();
        }
        fs::write(dir.path().join("ssl").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        let expected = ["/pki/.hidden", "/pki/a", "/pki/b"].map(path);
        assert_eq!(root.list(&path("/pki")).unwrap(), expected);
        assert_eq!(root.list(&path("/none")).unwrap(), []);
        assert!(matches!(root.list(&path("/ssl/a")), Err(ReadProblem::Failed(_))));
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    fn refused_access_is_told_apart() {
        let (dir, root) = world();
        if rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED access that is refused: root may read everything");
            return;
        }
        fs::create_dir(dir.path().join("closed")).unwrap();
        for name in ["key", "closed/key"] {
            fs::write(dir.path().join(name), "key").unwrap();
        }
        for name in ["key", "closed"] {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
        for name in ["/key", "/closed/key"] {
            assert_eq!(
                problem_of(&root.read(&path(name), FILE_LIMIT)),
                &ReadProblem::PermissionDenied,
                "{name}"
            );
        }
        assert_eq!(root.list(&path("/closed")), Err(ReadProblem::PermissionDenied));
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

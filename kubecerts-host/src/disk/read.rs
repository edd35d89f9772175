//! Reading below a root, within bounds.

use std::collections::BTreeSet;
use std::io;

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::{FileContent, FileState, ReadProblem, TreeReader};

use super::root::problem;
use super::{Disk, Existence, Resolved, Root, Stat};

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
    pub fn read(&self, path: &TreePath, limit: u64, disk: &impl Disk) -> FileState {
        match self.resolve(path, disk).and_then(|resolved| read(&resolved, path, limit, disk)) {
            Ok(Some((content, _))) => FileState::Present(content),
            Ok(None) => FileState::Absent,
            Err(problem) => FileState::Unreadable(problem),
        }
    }

    /// Returns the entries of the directory at `path`, sorted, or none when it does not exist.
    ///
    /// Names that are not UTF-8 or hold control characters are left out: no manifest could refer to them.
    ///
    /// # Errors
    /// A [`ReadProblem`] when it is not a directory, cannot be read or has more than 4096 entries.
    pub fn list(&self, path: &TreePath, disk: &impl Disk) -> Result<Vec<TreePath>, ReadProblem> {
        let entries = self.entries(path, disk)?;
        entries.ok_or_else(|| ReadProblem::Failed(format!("{path} has more than {MAX_ENTRIES} entries")))
    }

    /// Returns the entries of the directory at `path`, sorted; `None` when there are too many.
    fn entries(&self, path: &TreePath, disk: &impl Disk) -> Result<Option<Vec<TreePath>>, ReadProblem> {
        let resolved = self.resolve(path, disk)?;
        if resolved.existence != Existence::Present {
            return Ok(Some(Vec::new()));
        }
        let names = disk.list(&resolved.host).map_err(|error: io::Error| problem(&error))?;
        if names.len() > MAX_ENTRIES {
            return Ok(None);
        }
        let names = names.iter().filter_map(|name| name.to_str());
        let mut entries: Vec<TreePath> = names.filter_map(|name| path.join(name).ok()).collect();
        entries.sort_unstable();
        Ok(Some(entries))
    }
}

/// The files below a root, for [`collect`](kubecerts_core::snapshot::collect).
#[derive(Debug)]
pub struct Tree<'a, D> {
    root: &'a Root,
    disk: &'a D,
    unlisted: BTreeSet<TreePath>,
}

impl<'a, D: Disk> Tree<'a, D> {
    /// Returns the files of `disk` below `root`.
    pub const fn new(root: &'a Root, disk: &'a D) -> Self {
        Self { root, disk, unlisted: BTreeSet::new() }
    }

    /// Returns the directories that were not listed because they have too many entries or may not be read, sorted.
    #[must_use]
    pub const fn unlisted(&self) -> &BTreeSet<TreePath> {
        &self.unlisted
    }
}

impl<D: Disk> TreeReader for Tree<'_, D> {
    fn read(&mut self, path: &TreePath) -> FileState {
        self.root.read(path, FILE_LIMIT, self.disk)
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        match self.root.entries(path, self.disk) {
            Ok(Some(entries)) => return entries,
            Ok(None) | Err(ReadProblem::PermissionDenied) => {
                self.unlisted.insert(path.clone());
            }
            // Whatever else it is, there is nothing in it.
            Err(_) => {}
        }
        Vec::new()
    }
}

/// Reads what `asked` led to, with the facts of what was read.
pub(super) fn read(
    resolved: &Resolved,
    asked: &TreePath,
    limit: u64,
    disk: &impl Disk,
) -> Result<Option<(FileContent, Stat)>, ReadProblem> {
    let Some(found) = disk.read(&resolved.host, limit)? else { return Ok(None) };
    let stat = found.stat;
    let target = (resolved.tree != *asked).then(|| resolved.tree.clone());
    Ok(Some((found.into_content(target), stat)))
}

/// What tells cheaply whether a file is still the one that was read.
///
/// The time of the last change of the inode is left out on purpose: a second name for the old file moves it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Returns the stamp of a file.
    pub(super) const fn of(stat: &Stat) -> Self {
        Self { device: stat.device, inode: stat.inode, size: stat.size, modified: stat.modified }
    }
}

/// How many entries a directory may have: kubeadm makes about twenty, the kubelet adds one with each rotation.
const MAX_ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use kubecerts_core::digest::Digest;
    use kubecerts_core::snapshot::FileMeta;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::super::RealDisk;
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
        let state = root.read(&path("/ca.crt"), FILE_LIMIT, &RealDisk);
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
        let state = root.read(&path("/kubelet-client-current.pem"), FILE_LIMIT, &RealDisk);
        assert_eq!(state.content().unwrap().meta().target, Some(path("/kubelet-client-2026.pem")));
    }

    #[test]
    fn nothing_is_absent_with_or_without_its_directory() {
        let (_dir, root) = world();
        for name in ["/ca.crt", "/pki/etcd/ca.crt"] {
            assert!(matches!(root.read(&path(name), FILE_LIMIT, &RealDisk), FileState::Absent), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_file_is_named_and_never_blocks() {
        let (dir, root) = world();
        fs::create_dir(dir.path().join("directory")).unwrap();
        mknodat(CWD, dir.path().join("named pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        for kind in ["directory", "named pipe", "socket"] {
            let state = root.read(&path(&format!("/{kind}")), FILE_LIMIT, &RealDisk);
            assert_eq!(problem_of(&state), &ReadProblem::NotAFile(kind.to_owned()));
        }
        let machine = Root::new(Path::new("/")).unwrap();
        let state = machine.read(&path("/dev/null"), FILE_LIMIT, &RealDisk);
        assert_eq!(problem_of(&state), &ReadProblem::NotAFile("device".to_owned()));
    }

    #[test]
    fn a_sparse_file_of_two_gibibytes_is_not_read() {
        let (dir, root) = world();
        File::create(dir.path().join("huge")).unwrap().set_len(2 << 30).unwrap();
        let state = root.read(&path("/huge"), FILE_LIMIT, &RealDisk);
        assert_eq!(problem_of(&state), &ReadProblem::TooLarge { size: 2 << 30, limit: FILE_LIMIT });
    }

    #[test]
    fn the_limit_is_inclusive() {
        let (dir, root) = world();
        fs::write(dir.path().join("file"), [7; 100]).unwrap();
        assert_eq!(root.read(&path("/file"), 100, &RealDisk).content().unwrap().secret_bytes().len(), 100);
        assert!(matches!(
            root.read(&path("/file"), 99, &RealDisk),
            FileState::Unreadable(ReadProblem::TooLarge { .. })
        ));
    }

    #[test]
    fn entries_are_sorted_below_the_path_that_was_asked_for() {
        let (dir, root) = world();
        fs::create_dir(dir.path().join("ssl")).unwrap();
        symlink("ssl", dir.path().join("pki")).unwrap();
        for name in ["b", "a", ".hidden"] {
            fs::write(dir.path().join("ssl").join(name), "").unwrap();
        }
        for name in [&b"\xff"[..], b"bell\x07"] {
            fs::write(dir.path().join("ssl").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
        }
        let expected = ["/pki/.hidden", "/pki/a", "/pki/b"].map(path);
        assert_eq!(root.list(&path("/pki"), &RealDisk).unwrap(), expected);
        assert_eq!(root.list(&path("/none"), &RealDisk).unwrap(), []);
        assert!(matches!(root.list(&path("/ssl/a"), &RealDisk), Err(ReadProblem::Failed(_))));
    }

    #[test]
    fn a_directory_with_too_many_entries_is_not_listed_and_noted() {
        let (dir, root) = world();
        for index in 0..=MAX_ENTRIES {
            File::create(dir.path().join(index.to_string())).unwrap();
        }
        assert!(root.list(&path("/"), &RealDisk).is_err());
        let mut tree = Tree::new(&root, &RealDisk);
        assert_eq!((tree.list(&path("/")), tree.list(&path("/1"))), (Vec::new(), Vec::new()));
        assert_eq!(tree.unlisted(), &BTreeSet::from([path("/")]));
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
                problem_of(&root.read(&path(name), FILE_LIMIT, &RealDisk)),
                &ReadProblem::PermissionDenied,
                "{name}"
            );
        }
        assert_eq!(root.list(&path("/closed"), &RealDisk), Err(ReadProblem::PermissionDenied));
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

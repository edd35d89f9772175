//! Runs the real binary on copies of real trees, in a hermetic environment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kubecerts_testkit::{Fixture, MemoryTree};
use tempfile::TempDir;

/// A tree on disk, in a directory that is removed with it.
pub(crate) struct Tree {
    directory: TempDir,
}

impl Tree {
    /// Writes a copy of the fixture `name`, with the modes that kubeadm gives.
    pub(crate) fn fixture(name: &str) -> Self {
        Self::of(&Fixture::named(name).tree())
    }

    /// Writes `tree`.
    pub(crate) fn of(tree: &MemoryTree) -> Self {
        Self::within(tempfile::tempdir().unwrap(), tree)
    }

    /// Writes `tree` into `directory`.
    pub(crate) fn within(directory: TempDir, tree: &MemoryTree) -> Self {
        let this = Self { directory };
        for (path, content, mode) in tree.files() {
            let target = this.path(path.as_str());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, content).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        }
        this
    }

    /// Returns where the node's `path` lies on this machine.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Returns the directory that is the node's `/`.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns every file of the node with its mode and content, by its path below the root; of a link, where it points.
    /// Journals and backups are not the node's.
    pub(crate) fn files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = self.all_files();
        files.retain(|path, _| !path.starts_with(STATE));
        files
    }

    /// Returns the files of journals and backups, by their paths below their directory.
    pub(crate) fn state_files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let files = self.all_files().into_iter();
        files.filter_map(|(path, file)| Some((path.strip_prefix(STATE)?.to_owned(), file))).collect()
    }

    fn all_files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        walk(self.root(), self.root(), &mut files);
        files
    }

    /// Runs `kubecerts` with `--rootfs` for this tree.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }

    /// Returns the command `kubecerts` with `--rootfs` for this tree.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let root = self.root().to_str().unwrap();
        command(&[arguments, &["--rootfs", root]].concat())
    }
}

/// Where journals and backups lie by default.
const STATE: &str = "var/lib/kubecerts/";

fn walk(root: &Path, directory: &Path, files: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            files.insert(name, (0, fs::read_link(&path).unwrap().to_str().unwrap().as_bytes().to_vec()));
        } else if meta.is_dir() {
            walk(root, &path, files);
        } else if meta.is_file() && meta.len() < 1 << 21 {
            files.insert(name, (meta.mode() & 0o7777, fs::read(&path).unwrap()));
        }
    }
}

/// How the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Returns how a command ended that nobody has killed.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the command ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts that the command ended with `code`, and shows everything if it did not.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Asserts that there is an `error:` that names `thing` and a `hint:`.
    #[track_caller]
    pub(crate) fn explains(self, thing: &str) -> Self {
        let error = self.stderr.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
        assert!(error.contains(thing), "no error names {thing}:\n{}", self.stderr);
        assert!(self.stderr.lines().any(|line| line.starts_with("hint:")), "no hint:\n{}", self.stderr);
        self
    }
}

/// Runs `kubecerts` without a terminal, without input and without anything of the caller's environment.
pub(crate) fn kubecerts(arguments: &[&str]) -> Outcome {
    Outcome::of(command(arguments).output().unwrap())
}

/// Runs `kubecerts` with `input` as its standard input.
pub(crate) fn kubecerts_with_input(arguments: &[&str], input: &[u8]) -> Outcome {
    use std::io::Write;
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Beside the reading: a command that writes while it reads would wait for us, and we for it.
    std::thread::scope(|scope| {
        // A command that does not read its input may be gone already.
        scope.spawn(move || drop(stdin.write_all(input)));
        Outcome::of(child.wait_with_output().unwrap())
    })
}

/// Returns the command `kubecerts`, as [`kubecerts`] runs it.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubecerts"));
    command
        .args(arguments)
        .env_clear()
        .env("TMPDIR", std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

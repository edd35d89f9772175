//! A control-plane node as files below a root.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Arguments, FileState, ReadProblem, ScanRequest, Snapshot, collect};

use crate::disk::{DiskError, Existence, FILE_LIMIT, RealDisk, Root, State, Tree};
use crate::system::{hostname, kubeconfigs_of_user};

/// Where a node's files are looked for, and what the caller knows about it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeOptions {
    /// The directory that is the node's `/`: `--rootfs`; by default the host's own.
    pub root: Option<PathBuf>,
    /// The directories and names that the caller states.
    pub arguments: Arguments,
    /// The kubeadm configuration: `--config`, a path of the host and not of the node.
    pub config: Option<PathBuf>,
    /// The directory of journals and backups, a path of the node: `--state-dir`; [`State::default_path`] by default.
    pub state: Option<TreePath>,
    /// Whether directories that the caller states may be missing, because they are going to be made; they may not by default.
    pub is_new: bool,
}

/// A control-plane node, ready to be scanned.
#[derive(Clone, Debug)]
pub struct Node {
    root: Root,
    arguments: Arguments,
    config: Option<PathBuf>,
    state: State,
    is_this_host: bool,
}

impl Node {
    /// Opens the node that `options` describe.
    ///
    /// # Errors
    /// [`NodeError`] when the root, a directory that was given explicitly, or the configuration is not there.
    pub fn open(options: NodeOptions) -> Result<Self, NodeError> {
        let NodeOptions { root, arguments, config, state, is_new } = options;
        let root = Root::new(root.as_deref().unwrap_or_else(|| Path::new("/")))?;
        let is_this_host = root.directory() == Path::new("/");
        let Arguments { certificates, kubeconfigs, manifests, kubelet, .. } = &arguments;
        for path in [certificates, kubeconfigs, manifests, kubelet].into_iter().flatten() {
            let resolved = root
                .resolve(path, &RealDisk)
                .map_err(|problem| NodeError::Directory { path: path.clone(), problem })?;
            if is_new && resolved.existence != Existence::Present {
                continue;
            }
            if resolved.existence != Existence::Present {
                return Err(NodeError::NoDirectory { path: path.clone() });
            }
            if !resolved.host.is_dir() {
                let problem = ReadProblem::Failed("is not a directory".to_owned());
                return Err(NodeError::Directory { path: path.clone(), problem });
            }
        }
        let state = state.unwrap_or_else(State::default_path);
        // Who only looks can do without.
        let state = State::locate(&state, &root, &RealDisk).or_else(|error| match error {
            DiskError::Refused { path, problem } => Ok(State::broken(&path, problem, &root)),
            other => Err(other),
        })?;
        let node = Self { root, arguments, config, state, is_this_host };
        node.read_config()?;
        Ok(node)
    }

    /// Reads every file of the node. What cannot be read is noted in the snapshot.
    ///
    /// # Errors
    /// [`NodeError::File`] when the kubeadm configuration has become unreadable since the node was opened.
    pub fn scan(&self) -> Result<Snapshot, NodeError> {
        Ok(collect(&mut Tree::new(&self.root, &RealDisk), self.request()?))
    }

    /// Reads what [`scan`](Self::scan) does, and looks around: at backups, copies and other trees, at what the kubelet has kept
    /// and pods were given, at timers and the scripts that they run.
    ///
    /// Every place is bounded; [`Snapshot::left_out`] has those in which not everything was looked at. On this host
    /// the kubeconfigs that the variable `KUBECONFIG` names are looked at as well.
    ///
    /// # Errors
    /// As for [`scan`](Self::scan).
    pub fn scan_around(&self) -> Result<Snapshot, NodeError> {
        let mut tree = Tree::new(&self.root, &RealDisk);
        let mut snapshot = collect(&mut tree, self.request_around()?);
        for directory in tree.unlisted() {
            snapshot.leave_out(directory.clone());
        }
        Ok(snapshot)
    }

    /// Reads the file at `path` of the node, with the same bounds as a scan.
    #[must_use]
    pub fn read(&self, path: &TreePath) -> FileState {
        self.root.read(path, FILE_LIMIT, &RealDisk)
    }

    /// Returns the root below which the node's files lie.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Returns where journals and backups lie.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns whether the node is this host, and not a directory with its files.
    #[must_use]
    pub const fn is_this_host(&self) -> bool {
        self.is_this_host
    }

    fn request(&self) -> Result<ScanRequest, NodeError> {
        let mut request = ScanRequest::default();
        request.arguments = self.arguments.clone();
        request.kubeadm_config = self.read_config()?;
        // The name of this host says nothing about a node whose disk is mounted below another root.
        request.hostname = if self.is_this_host { hostname() } else { None };
        Ok(request)
    }

    /// Returns what a scan of the node and of what lies around its tree is told.
    pub(crate) fn request_around(&self) -> Result<ScanRequest, NodeError> {
        let mut request = self.request()?;
        request.surroundings = true;
        request.backups.extend(self.state.path().join("backups"));
        if self.is_this_host {
            request.kubeconfigs = kubeconfigs_of_user();
        }
        Ok(request)
    }

    fn read_config(&self) -> Result<Option<(TreePath, FileState)>, NodeError> {
        self.config.as_deref().map(read_file).transpose()
    }
}

/// Reads a file of the host that need not belong to a node, with the same bounds as a node's.
///
/// # Errors
/// [`NodeError::File`] when there is no such file or it cannot be read; the state is always [`FileState::Present`].
pub fn read_file(path: &Path) -> Result<(TreePath, FileState), NodeError> {
    let failed = |source| NodeError::File { path: path.to_owned(), source };
    let invalid = || failed(io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8"));
    let canonical = path.canonicalize().map_err(failed)?;
    let tree_path = canonical.to_str().and_then(|text| TreePath::parse(text).ok()).ok_or_else(invalid)?;
    match Root::new(Path::new("/"))?.read(&tree_path, FILE_LIMIT, &RealDisk) {
        FileState::Absent => Err(failed(io::ErrorKind::NotFound.into())),
        FileState::Unreadable(problem) => Err(failed(io::Error::other(problem.to_string()))),
        state @ FileState::Present(_) => Ok((tree_path, state)),
    }
}

/// Writes a file of public data that must not exist yet.
///
/// # Errors
/// [`NodeError::File`] when the file exists or cannot be written.
pub fn write_new_file(path: &Path, content: &[u8]) -> Result<(), NodeError> {
    // Whatever the umask: what everybody may read, nobody else may change.
    create(path, content, 0o644).map_err(|source| NodeError::File { path: path.to_owned(), source })
}

/// Writes a file of secret data that must not exist yet, nor be a link. It is closed to others from its first byte, and flushed
/// with its directory.
///
/// # Errors
/// [`NodeError::File`] when the file exists or cannot be written; then nothing of it is left.
pub fn write_new_secret_file(path: &Path, content: &SecretBytes) -> Result<(), NodeError> {
    NewSecretFile::create(path)?.write(content)
}

/// A new file for secret data that is not there yet: made beforehand, so that whoever does what cannot be undone knows that there
/// is a place for the outcome. Nothing of it is left when it is dropped without content.
#[derive(Debug)]
#[must_use = "the file goes away when it is not written"]
pub struct NewSecretFile {
    path: PathBuf,
    /// The file, while it is without its content.
    file: Option<File>,
}

impl NewSecretFile {
    /// Makes the empty file, closed to others.
    ///
    /// # Errors
    /// [`NodeError::File`] when there is anything at `path`, or the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, NodeError> {
        let file = make(path, 0o600).map_err(|source| NodeError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// Writes the content, and flushes the file with its directory.
    ///
    /// # Errors
    /// [`NodeError::File`] when it cannot be written; then nothing of it is left.
    pub fn write(mut self, content: &SecretBytes) -> Result<(), NodeError> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let written = self.file.as_mut().map_or(Ok(()), |file| {
            file.write_all(content.secret_bytes())?;
            file.sync_all()?;
            File::open(directory)?.sync_all()
        });
        written.map_err(|source| NodeError::File { path: self.path.clone(), source })?;
        self.file = None;
        Ok(())
    }
}

impl Drop for NewSecretFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates a file, of which nothing is left when it cannot be written whole.
fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = make(path, mode)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn make(path: &Path, mode: u32) -> io::Result<File> {
    // To create anew means that no link at the path is followed either (open(2), O_EXCL).
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Why a node could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] DiskError),
    /// A directory that was given explicitly does not exist.
    #[error("the directory {path} does not exist")]
    NoDirectory {
        /// The directory.
        path: TreePath,
    },
    /// A directory that was given explicitly cannot be used.
    #[error("the directory {path} cannot be used: {problem}")]
    Directory {
        /// The directory.
        path: TreePath,
        /// Why not.
        problem: ReadProblem,
    },
    /// What is stated as the node's name is not that of any host.
    #[error("{name:?} cannot be the name of a node")]
    Name {
        /// The name.
        name: String,
    },
    /// A file that was given explicitly cannot be read, or written.
    #[error("cannot use the file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

//! Everything that a diagnosis needs of one node, to be taken elsewhere.
//!
//! A [`Recorder`] stands between a scan and a node's files and keeps what is read, by default without its secrets; what it has
//! kept is an [`Archive`], which can be read as the node itself: the same scan over it gives the same inventory.
//! [`Archive::index`] writes down what is no file, in JSON; how both become one file is the host's affair.
//!
//! # What a redaction keeps
//!
//! Of a private key the public half, its form and a digest stay, so that whatever can be said of the key can still be said.
//! Nothing can be signed with it, and on a node's disk it counts as damaged. The digest of a file is that of the file on the node,
//! unless a value was masked in it, which somebody might guess from the digest: then it is that of what is left. Passwords
//! in URLs are masked, so the URLs differ from those of the node.

mod index;
mod observed;
mod redact;

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::kubeconfig::Kubeconfig;
use crate::observation::Observations;
use crate::path::TreePath;
use crate::secret::SecretBytes;
use crate::snapshot::{
    Arguments, FileContent, FileMeta, FileState, ReadProblem, ScanRequest, Snapshot, TreeReader, collect,
};
use crate::time::Timestamp;

pub use index::IndexError;
pub use redact::Redactions;

/// What becomes of secrets in a snapshot that leaves its node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "secrets are in a file or they are not")]
pub enum Redaction {
    /// They are taken out: the default.
    #[default]
    Redact,
    /// They stay, and whoever has the snapshot has the cluster.
    KeepSecrets,
}

/// Where and when a snapshot was taken, and of what.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Provenance {
    /// The node's name, or what stands for it where nothing states one.
    pub name: String,
    /// When it was taken, by the clock of the node.
    pub taken_at: Timestamp,
    /// The version of the program that took it.
    pub version: String,
    /// The host's own name, when the node was that host.
    pub hostname: Option<String>,
    /// What the caller stated explicitly.
    pub arguments: Arguments,
    /// Whether the scan looked around the tree.
    pub surroundings: bool,
    /// The directories with backups that the scan was told of.
    pub backups: Vec<TreePath>,
    /// The kubeconfigs that the scan was told of.
    pub kubeconfigs: Vec<TreePath>,
}

impl Provenance {
    /// Returns a provenance of which nothing else is known.
    #[must_use]
    pub fn new(name: &str, taken_at: Timestamp, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            taken_at,
            version: version.to_owned(),
            hostname: None,
            arguments: Arguments::default(),
            surroundings: false,
            backups: Vec::new(),
            kubeconfigs: Vec::new(),
        }
    }

    /// Returns the provenance of what a scan reads that is told `request`.
    #[must_use]
    pub fn of_scan(name: &str, taken_at: Timestamp, version: &str, request: &ScanRequest) -> Self {
        Self {
            hostname: request.hostname.clone(),
            arguments: request.arguments.clone(),
            surroundings: request.surroundings,
            backups: request.backups.clone(),
            kubeconfigs: request.kubeconfigs.clone(),
            ..Self::new(name, taken_at, version)
        }
    }

    /// Returns whether `name` can be what a node is called, so that an archive can be read again in which it is. What stands for it is
    /// the name of a host, which Linux restricts less than Kubernetes restricts that of a node.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=253).contains(&name.len()) && name.bytes().all(is_plain)
    }
}

/// Reads the files of a node for somebody else, and keeps what it has read.
///
/// The scan itself gets everything as it is; only what is kept is redacted.
pub struct Recorder<'r> {
    reader: &'r mut dyn TreeReader,
    redaction: Redaction,
    files: BTreeMap<TreePath, Kept>,
    lists: BTreeMap<TreePath, Vec<TreePath>>,
    kubeadm_config: Option<TreePath>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("redaction", &self.redaction)
            .field("files", &self.files.len())
            .finish()
    }
}

impl<'r> Recorder<'r> {
    /// Returns a recorder of what is read through it with `reader`.
    #[must_use]
    pub fn new(reader: &'r mut dyn TreeReader, redaction: Redaction) -> Self {
        Self { reader, redaction, files: BTreeMap::new(), lists: BTreeMap::new(), kubeadm_config: None }
    }

    /// Keeps the kubeadm configuration too, which need not lie below the node's root.
    pub fn keep_kubeadm_config(&mut self, path: &TreePath, state: &FileState) {
        self.kubeadm_config = Some(path.clone());
        self.keep(path, state);
    }

    /// Drops what the scan has read in search of something and not kept in `snapshot`: what a link in a home leads to, jobs that
    /// have nothing to do with a control plane. The same scan over what stays gives the same inventory.
    pub fn keep_only(&mut self, snapshot: &Snapshot) {
        let kubelet = &snapshot.node().directories().kubelet;
        let manifests = &snapshot.node().directories().manifests;
        let sources = ["config.yaml", "kubeadm-flags.env", "instance-config.yaml"];
        let kubeadm_config = self.kubeadm_config.as_ref();
        let redaction = self.redaction;
        let around: BTreeSet<&TreePath> = snapshot.surroundings().map(|(path, _)| path).collect();
        self.files.retain(|path, kept| {
            let Kept::Present(file) = kept else { return true };
            let is_source = path.parent() == *manifests
                || path.parent() == *kubelet && sources.contains(&path.file_name())
                || Some(path) == kubeadm_config;
            let is_kept = is_source || snapshot.at(path).is_some() || around.contains(path);
            if is_kept && redaction == Redaction::Redact && is_foreign(snapshot, path) {
                file.leave_out();
            }
            is_kept
        });
        self.lists_of_kept();
    }

    /// Drops the entries of directories below which nothing was kept.
    fn lists_of_kept(&mut self) {
        let mut needed = BTreeSet::new();
        for (path, _) in self.files.iter().filter(|(_, kept)| !matches!(kept, Kept::Absent)) {
            let mut path = path.clone();
            while path.as_str() != "/" {
                let parent = path.parent();
                if !needed.insert(path) {
                    break;
                }
                path = parent;
            }
        }
        for entries in self.lists.values_mut() {
            entries.retain(|entry| needed.contains(entry));
        }
        self.lists.retain(|_, entries| !entries.is_empty());
    }

    /// Returns what was kept, with what was seen of the node's programs.
    #[must_use]
    pub fn finish(self, provenance: Provenance, observations: Observations) -> Archive {
        let Self { reader: _, redaction, files, lists, kubeadm_config } = self;
        Archive {
            provenance,
            redaction,
            files,
            lists,
            left_out: BTreeSet::new(),
            kubeadm_config,
            observations,
        }
    }

    fn keep(&mut self, path: &TreePath, state: &FileState) {
        let kept = match state {
            FileState::Absent => Kept::Absent,
            FileState::Unreadable(problem) => Kept::Unreadable(problem.clone()),
            FileState::Present(content) => Kept::Present(KeptFile::of(path, content, self.redaction)),
        };
        self.files.insert(path.clone(), kept);
    }
}

/// Returns whether somebody other than the administrator may have chosen what lies at `path`, and it is nothing of a cluster: what
/// is at the place of a kubeconfig in a home and is none, and what such a kubeconfig refers to.
fn is_foreign(snapshot: &Snapshot, path: &TreePath) -> bool {
    let Some(content) = snapshot.at(path).and_then(FileState::content) else { return false };
    let node = snapshot.node();
    let is_stated = snapshot.layout().slot_of(path).is_some()
        || node.trust_files().iter().any(|file| file.path == *path)
        || node.programs().token_keys.iter().any(|file| file.path == *path)
        || node.file_flags().iter().any(|flag| flag.path.as_ref() == Some(path));
    let bytes = content.secret_bytes();
    let is_pem = bytes.windows(PEM.len()).any(|window| window == PEM);
    let is_copy = snapshot.copies().any(|copy| copy == path);
    // Any line is YAML, so that it can be parsed says little.
    let is_kubeconfig = || Kubeconfig::parse(bytes).is_ok_and(|kubeconfig| !kubeconfig.users().is_empty());
    !is_stated && (is_copy || !is_pem) && !is_kubeconfig()
}

/// With this a block of PEM begins.
const PEM: &[u8] = b"-----BEGIN ";

impl TreeReader for Recorder<'_> {
    fn read(&mut self, path: &TreePath) -> FileState {
        let state = self.reader.read(path);
        self.keep(path, &state);
        state
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        let entries = self.reader.list(path);
        self.lists.insert(path.clone(), entries.clone());
        entries
    }
}

/// What was kept of one path.
#[derive(Debug)]
enum Kept {
    Absent,
    Unreadable(ReadProblem),
    Present(KeptFile),
}

#[derive(Debug)]
struct KeptFile {
    bytes: SecretBytes,
    /// Of the file on its node.
    digest: Digest,
    /// Of the file on its node, in bytes.
    size: u64,
    meta: FileMeta,
    redactions: Redactions,
}

impl KeptFile {
    fn of(path: &TreePath, content: &FileContent, redaction: Redaction) -> Self {
        let original = content.secret_bytes();
        let (bytes, redactions) = match redaction {
            Redaction::Redact => redact::redact(path, original),
            Redaction::KeepSecrets => (SecretBytes::new(original.to_vec()), Redactions::default()),
        };
        // What a person has chosen can be guessed; keys and tokens of service accounts are drawn by programs.
        let digest = match redactions.values {
            0 => content.digest(),
            _ => Digest::of(bytes.secret_bytes()),
        };
        let size = u64::try_from(original.len()).unwrap_or(u64::MAX);
        Self { bytes, digest, size, meta: content.meta().clone(), redactions }
    }

    /// Leaves nothing of the content.
    fn leave_out(&mut self) {
        self.bytes = SecretBytes::new(b"REDACTED\n".to_vec());
        self.digest = Digest::of(self.bytes.secret_bytes());
        self.redactions = Redactions { values: 1, ..Redactions::default() };
    }
}

/// The files of one node as a scan has read them, and what was seen of its programs.
#[derive(Debug)]
pub struct Archive {
    provenance: Provenance,
    redaction: Redaction,
    files: BTreeMap<TreePath, Kept>,
    lists: BTreeMap<TreePath, Vec<TreePath>>,
    left_out: BTreeSet<TreePath>,
    kubeadm_config: Option<TreePath>,
    observations: Observations,
}

impl Archive {
    /// Returns where and when it was taken.
    #[must_use]
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Returns what became of secrets.
    #[must_use]
    pub const fn redaction(&self) -> Redaction {
        self.redaction
    }

    /// Adds a directory of which the scan has not seen everything.
    pub fn leave_out(&mut self, directory: TreePath) {
        self.left_out.insert(directory);
    }

    /// Returns what was seen of the node's programs.
    #[must_use]
    pub const fn observations(&self) -> &Observations {
        &self.observations
    }

    /// Returns every file that is there, sorted by path, with what was taken out of it.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &SecretBytes, Redactions)> {
        self.files.iter().filter_map(|(path, kept)| match kept {
            Kept::Present(file) => Some((path, &file.bytes, file.redactions)),
            Kept::Absent | Kept::Unreadable(_) => None,
        })
    }

    /// Returns the paths at which there is something that could not be read, sorted, and why.
    pub fn unreadable(&self) -> impl Iterator<Item = (&TreePath, &ReadProblem)> {
        self.files.iter().filter_map(|(path, kept)| match kept {
            Kept::Unreadable(problem) => Some((path, problem)),
            Kept::Absent | Kept::Present(_) => None,
        })
    }

    /// Returns what was taken out of all files together.
    #[must_use]
    pub fn redactions(&self) -> Redactions {
        let mut all = Redactions::default();
        for (_, _, redactions) in self.files() {
            all += redactions;
        }
        all
    }

    /// Scans the archive as the node was scanned.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Provenance {
            name: _,
            taken_at: _,
            version: _,
            hostname,
            arguments,
            surroundings,
            backups,
            kubeconfigs,
        } = &self.provenance;
        let request = ScanRequest {
            arguments: arguments.clone(),
            kubeadm_config: self.kubeadm_config.as_ref().map(|path| (path.clone(), self.state(path))),
            hostname: hostname.clone(),
            surroundings: *surroundings,
            backups: backups.clone(),
            kubeconfigs: kubeconfigs.clone(),
        };
        let mut snapshot = collect(&mut Reader(self), request);
        for directory in &self.left_out {
            snapshot.leave_out(directory.clone());
        }
        snapshot
    }

    fn state(&self, path: &TreePath) -> FileState {
        match self.files.get(path) {
            None | Some(Kept::Absent) => FileState::Absent,
            Some(Kept::Unreadable(problem)) => FileState::Unreadable(problem.clone()),
            Some(Kept::Present(file)) => {
                let bytes = SecretBytes::new(file.bytes.secret_bytes().to_vec());
                FileState::Present(match self.redaction {
                    Redaction::Redact => FileContent::redacted(bytes, file.digest, file.meta.clone()),
                    Redaction::KeepSecrets => FileContent::new(bytes, file.meta.clone()),
                })
            }
        }
    }
}

/// An archive as the disk that it was taken of. What the scan of that disk did not look at is not there.
struct Reader<'a>(&'a Archive);

impl TreeReader for Reader<'_> {
    fn read(&mut self, path: &TreePath) -> FileState {
        self.0.state(path)
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        self.0.lists.get(path).cloned().unwrap_or_default()
    }
}

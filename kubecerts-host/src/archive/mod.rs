//! A snapshot of a node as one file: taken, written as a tar, and read again, perhaps elsewhere.

mod tarball;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kubecerts_core::archive::{Archive, IndexError, Provenance, Recorder, Redaction};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Snapshot, collect};
use kubecerts_core::time::Timestamp;

use crate::SystemEntropy;
use crate::crypto::FastHalves;
use crate::disk::{RealDisk, Tree};
use crate::node::{Node, NodeError};
use crate::trees::new_file::NewFile;

/// A node as its snapshot has it.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeArchive {
    /// The node's name.
    pub name: String,
    /// When the snapshot was taken, by the clock of the node.
    pub taken_at: Timestamp,
    /// What became of secrets: of a redacted snapshot nothing can be issued.
    pub redaction: Redaction,
    /// The files.
    pub snapshot: Snapshot,
    /// What is there.
    pub inventory: Inventory,
    /// What was seen of the node's programs when the snapshot was taken; nothing when the node was not that host.
    pub observations: Observations,
}

/// Takes a snapshot of `node` at `now`, with everything around the tree, and with what `observe` sees of its programs.
///
/// # Errors
/// [`NodeError`] when the kubeadm configuration has become unreadable since the node was opened, or when nobody could read the snapshot
/// because of the name that the node is given: [`NodeError::Name`].
pub fn take(
    node: &Node,
    redaction: Redaction,
    now: Timestamp,
    observe: impl FnOnce(&Snapshot) -> Observations,
) -> Result<Archive, NodeError> {
    let request = node.request_around()?;
    let mut provenance = Provenance::of_scan(UNKNOWN, now, env!("CARGO_PKG_VERSION"), &request);
    let mut tree = Tree::new(node.root(), &RealDisk);
    let mut recorder = Recorder::new(&mut tree, redaction);
    if let Some((path, state)) = &request.kubeadm_config {
        recorder.keep_kubeadm_config(path, state);
    }
    let snapshot = collect(&mut recorder, request);
    let name = snapshot.node().node_name().map(|name| name.value.clone());
    if let Some(name) = name.or_else(|| provenance.hostname.clone()) {
        if !Provenance::is_name(&name) {
            return Err(NodeError::Name { name });
        }
        provenance.name = name;
    }
    recorder.keep_only(&snapshot);
    let observations = observe(&snapshot);
    let mut archive = recorder.finish(provenance, observations);
    for directory in tree.unlisted().iter().chain(snapshot.left_out()) {
        archive.leave_out(directory.clone());
    }
    Ok(archive)
}

/// Reads the snapshot in the file at `path`.
///
/// # Errors
/// [`ArchiveError`] when it is no snapshot, damaged, larger than any snapshot is, or cannot be read.
pub fn read(path: &Path) -> Result<NodeArchive, ArchiveError> {
    let failed = |problem| ArchiveError { path: path.to_owned(), problem };
    let archive = open(path).and_then(parse).map_err(failed)?;
    let snapshot = archive.snapshot();
    Ok(NodeArchive {
        name: archive.provenance().name.clone(),
        taken_at: archive.provenance().taken_at,
        redaction: archive.redaction(),
        inventory: Inventory::parse_with(&snapshot, &FastHalves),
        observations: archive.observations().clone(),
        snapshot,
    })
}

/// Reads the snapshot in a stream, as far as the largest snapshot goes.
///
/// # Errors
/// [`ArchiveProblem`] when it is no snapshot, damaged, larger than any snapshot is, or cannot be read.
pub fn parse(stream: impl Read) -> Result<Archive, ArchiveProblem> {
    tarball::read(stream.take(LARGEST))
}

/// Writes `archive` to a stream.
///
/// # Errors
/// What the stream says.
pub fn write(archive: &Archive, out: &mut dyn Write) -> io::Result<()> {
    tarball::write(archive, out)
}

/// Writes `archive` into a new file at `path`, which only its owner can read and which comes to light when it is whole.
///
/// # Errors
/// [`NodeError::File`] when there is anything at `path` already, or it cannot be written; then nothing of it is left.
pub fn write_new(archive: &Archive, path: &Path) -> Result<(), NodeError> {
    let written = NewFile::create(path, &mut SystemEntropy::new()).and_then(|mut file| {
        tarball::write(archive, &mut file)?;
        file.finish()
    });
    written.map_err(|source| NodeError::File { path: path.to_owned(), source })
}

fn open(path: &Path) -> Result<File, ArchiveProblem> {
    let found = std::fs::metadata(path).map_err(|error| ArchiveProblem::of(&error))?;
    // Whoever opens a pipe waits for ever.
    if !found.is_file() {
        return Err(ArchiveProblem::NotASnapshot);
    }
    if found.len() > LARGEST {
        return Err(ArchiveProblem::TooLarge { limit: LARGEST });
    }
    File::open(path).map_err(|error| ArchiveProblem::of(&error))
}

/// A file that cannot be read as a snapshot of a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} cannot be read as a snapshot of a node", path.display())]
#[non_exhaustive]
pub struct ArchiveError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub problem: ArchiveProblem,
}

/// Why a file cannot be read as a snapshot of a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The operating system says no.
    #[error("{reason}")]
    Io {
        /// The kind of the failure.
        kind: io::ErrorKind,
        /// What it says.
        reason: String,
    },
    /// It is compressed, which no snapshot is.
    #[error("it is compressed with gzip")]
    Compressed,
    /// It is something else.
    #[error("it is not a snapshot that kubecerts has taken")]
    NotASnapshot,
    /// It is larger than any snapshot is.
    #[error("it is larger than {limit} bytes, and no snapshot is")]
    TooLarge {
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// It ends before it is over.
    #[error("it is cut off in {name:?}")]
    CutOff {
        /// The entry that is not whole.
        name: String,
    },
    /// It has an entry that no snapshot has: a link, a device, a path that leads out, or the same one twice.
    #[error("its entry {name:?} {reason}")]
    Entry {
        /// The entry.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its index is damaged, or does not belong to it.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl ArchiveProblem {
    fn of(error: &io::Error) -> Self {
        Self::Io { kind: error.kind(), reason: error.to_string() }
    }
}

/// Stands for the name of a node that has none.
pub const UNKNOWN: &str = "unknown";

/// A node has some hundreds of files of a few kilobytes; this is a thousand times as much, and fits into memory.
const LARGEST: u64 = 256 << 20;

/// Wraps `bytes`, which may be a key.
fn secret(bytes: Vec<u8>) -> SecretBytes {
    SecretBytes::new(bytes)
}

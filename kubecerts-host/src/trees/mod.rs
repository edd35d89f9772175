//! The trees of many clusters at once: into directories, an archive, or Kubernetes Secrets.
//!
//! [`make_trees`] reads a list of clusters, one line of JSON each, and makes every file of each cluster's control plane. Threads
//! take clusters a few at a time, so that no more than some dozen trees are in memory; what goes into one archive or stream keeps
//! the order of the list. A cluster's directory or file is there whole or not at all, and so is an archive.

mod crew;
mod destination;
mod lines;
pub(crate) mod new_file;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::DnsLabel;
use kubecerts_core::issue::{TreeError, TreeShortfall};
use kubecerts_core::manifest::{ClusterLineError, ConfigRemark};
use kubecerts_core::plan::{IntentError, LifetimePolicy};

use crate::crypto::Threads;
use crate::new_tree::NewTreeError;

pub use crate::cancel::Cancel;
pub use crate::shard::{InvalidShard, OnError, Shard};
pub use destination::{Destination, DestinationError, TreeForm};
pub use lines::Clusters;

/// How trees are made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TreesRequest {
    /// How many threads work at the same time; all processors by default.
    pub threads: Threads,
    /// Which of the clusters are made; all by default.
    pub shard: Option<Shard>,
    /// Whether a cluster's tree that is there already, and is whole and right, is left as it is; it is an error by default.
    pub resume: bool,
    /// What a cluster that cannot be made means for the others; it is left out by default.
    pub on_error: OnError,
    /// The namespace of Secrets; that of whoever applies them by default.
    pub namespace: Option<DnsLabel>,
    /// How long certificates are valid, before what each configuration says; by default that alone counts.
    pub policy: Option<LifetimePolicy>,
    /// What can end the run from outside.
    pub cancel: Cancel,
}

/// What is going on.
#[derive(Debug)]
#[non_exhaustive]
pub enum TreesEvent<'a> {
    /// So many clusters are to be made; `None` when the list can be read only once.
    Begun(Option<u64>),
    /// A file or directory of an earlier run that was interrupted was found and removed.
    Removed(&'a PathBuf),
    /// The configuration of a cluster has something in it that has no effect.
    #[non_exhaustive]
    Remark {
        /// The line.
        line: u64,
        /// The cluster.
        name: &'a DnsLabel,
        /// What is odd.
        remark: &'a ConfigRemark,
    },
    /// A cluster was made, and is where it belongs.
    #[non_exhaustive]
    Made {
        /// The line.
        line: u64,
        /// The cluster.
        name: &'a DnsLabel,
    },
    /// A cluster was there already, whole and right.
    #[non_exhaustive]
    Kept {
        /// The line.
        line: u64,
        /// The cluster.
        name: &'a DnsLabel,
    },
    /// A cluster could not be made. Nothing of it is there that was not there before.
    Failed(&'a ClusterFailure),
    /// The run is over, also when it failed.
    Ended(&'a TreesSummary),
}

/// How a run ended.
///
/// What went into one file that is not left, because the run stopped, does not count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use = "it says whether all clusters were made"]
#[non_exhaustive]
pub struct TreesSummary {
    /// Clusters that were made.
    pub made: u64,
    /// Clusters that were there already.
    pub kept: u64,
    /// Clusters that could not be made.
    pub failed: u64,
    /// Whether the run stopped before the end of the list.
    pub stopped: bool,
    /// Whether it stopped because [`TreesRequest::cancel`] said so.
    pub cancelled: bool,
    /// Files of the clusters that were made.
    pub files: u64,
    /// Certificates in them, those in kubeconfigs as well.
    pub certificates: u64,
    /// How many threads worked.
    pub threads: usize,
    /// How long the run took.
    pub elapsed: Duration,
}

impl TreesSummary {
    /// The run stops because somebody said so.
    pub(super) const fn cancel(&mut self) {
        (self.stopped, self.cancelled) = (true, true);
    }

    /// Nothing is left of the one file that the trees went into.
    pub(super) const fn forget_what_was_made(&mut self) {
        (self.made, self.files, self.certificates) = (0, 0, 0);
    }
}

/// A cluster that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the cluster of line {line} cannot be made")]
#[non_exhaustive]
pub struct ClusterFailure {
    /// The line of the list, from 1.
    pub line: u64,
    /// The name, when the line has a usable one.
    pub name: Option<DnsLabel>,
    /// Why not.
    #[source]
    pub problem: ClusterProblem,
}

/// Why a cluster could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterProblem {
    /// The line is no cluster.
    #[error(transparent)]
    Line(#[from] ClusterLineError),
    /// The line is longer than any cluster's.
    #[error("it is longer than {} bytes", lines::LONGEST)]
    TooLong,
    /// The name is that of an earlier line.
    #[error("the name is that of line {first} already")]
    #[non_exhaustive]
    Repeated {
        /// The earlier line.
        first: u64,
    },
    /// The configuration is nothing that could be made.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// Keys or certificates could not be made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its directory of certificates is none in which its files could lie.
    #[error("certificatesDir is the path of another file, or too long")]
    Paths,
    /// There is something at the cluster's path already.
    #[error("there is something at {} already", .0.display())]
    Exists(PathBuf),
    /// What is at the cluster's path is not its tree.
    #[error("what is in {} is not its tree", path.display())]
    #[non_exhaustive]
    NotWhole {
        /// The directory or file.
        path: PathBuf,
        /// What is missing or wrong.
        source: TreeShortfall,
    },
    /// What is at the cluster's path cannot be looked at.
    #[error("{} cannot be looked at: {reason}", path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Why no more trees can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreesError {
    /// The list cannot be read.
    #[error("cannot read {}", path.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string()))]
    #[non_exhaustive]
    Read {
        /// The file; `None` for a stream.
        path: Option<PathBuf>,
        /// Why not.
        source: io::Error,
    },
    /// A name is there twice. Nothing was written.
    #[error("{name} is in line {first} and in line {second}")]
    #[non_exhaustive]
    Repeated {
        /// The name.
        name: DnsLabel,
        /// The line in which it is first.
        first: u64,
        /// The line in which it is again.
        second: u64,
    },
    /// A directory cannot be written.
    #[error(transparent)]
    Tree(#[from] NewTreeError),
    /// A file or a stream cannot be written.
    #[error("cannot write {}", path.as_ref().map_or_else(|| "the output".to_owned(), |path| path.display().to_string()))]
    #[non_exhaustive]
    Write {
        /// The file; `None` for a stream.
        path: Option<PathBuf>,
        /// Why not.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("no thread can be started")]
    Threads(#[source] io::Error),
    /// A thread has panicked. What is there of other clusters is whole.
    #[error("a thread of this program failed: {0}")]
    Panicked(String),
    /// Only what has a directory or a file for each cluster can be looked at again.
    #[error("a run into one file or stream cannot be resumed")]
    NotResumable,
}

/// Makes the tree of every cluster in `clusters` that is in the shard, and brings it to `destination`.
///
/// A cluster that cannot be made is told to `observer`, with its line, and counted. Of a file with a list the names are read
/// first, and one that is there twice is an error before anything is written; in a stream it is the failure of its cluster.
/// How far it came is told even when it fails, unless it did not begin: [`TreesEvent::Ended`].
///
/// # Errors
/// [`TreesError`] when the list cannot be read or the destination not be written. What is there whole of other clusters stays.
pub fn make_trees(
    clusters: Clusters,
    destination: Destination<'_>,
    request: &TreesRequest,
    observer: &mut dyn FnMut(TreesEvent<'_>),
) -> Result<TreesSummary, TreesError> {
    let begun = Instant::now();
    if request.resume && !destination.has_one_place_each() {
        return Err(TreesError::NotResumable);
    }
    let total = clusters.survey(request.shard)?;
    observer(TreesEvent::Begun(total));
    let mut summary = TreesSummary::default();
    let outcome = crew::run(clusters, destination, request, total, observer, &mut summary);
    summary.elapsed = begun.elapsed();
    observer(TreesEvent::Ended(&summary));
    outcome.map(|()| summary)
}

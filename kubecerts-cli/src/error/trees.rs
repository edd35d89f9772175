//! The errors about the trees of many clusters, in words.

use std::io::ErrorKind;

use kubecerts_host::trees::{ClusterFailure, ClusterProblem, DestinationError, TreesError, TreesSummary};

use super::CommandError;
use crate::args::quoted;
use crate::exit::Exit;

impl CommandError {
    /// Returns what a document says about the end of a run before its time.
    pub(crate) fn text_of_trees(error: &TreesError) -> String {
        Self::chain(error).message
    }

    /// Returns that a run was ended from outside, as `summary` says; `next` is what to do then.
    pub(crate) fn of_interrupted_trees(summary: &TreesSummary, next: &str) -> Self {
        Self::interrupted(format!("interrupted after {} clusters", summary.made + summary.kept))
            .with_hint(next)
    }

    /// Returns why a cluster of the list `list` was not made.
    pub(crate) fn of_cluster(failure: &ClusterFailure, list: &str) -> Self {
        let ClusterFailure { line, name, problem, .. } = failure;
        let Self { message, .. } = Self::chain(problem);
        let of = name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let plain =
            Self { exit: Exit::Incomplete, ..Self::failed(format!("{list}, line {line}{of}: {message}")) };
        match problem {
            ClusterProblem::Paths => plain.with_hint("leave certificatesDir out: kubeadm's is /etc/kubernetes/pki"),
            ClusterProblem::Exists(path) if !kubecerts_host::is_directory(path) => {
                plain.with_hint("nothing is overwritten; move it away, or name another directory with --out")
            }
            ClusterProblem::Exists(path) => plain.with_hint(format!(
                "nothing is overwritten; leave what is right as it is with --resume, or move it away: {}",
                quoted(&path.display().to_string())
            )),
            ClusterProblem::NotWhole { path, .. } => {
                let path = quoted(&path.display().to_string());
                plain.with_hint(format!(
                    "nothing in it was changed; see it with: kubecerts check --rootfs {path}"
                ))
                .with_hint(format!("to have it made anew, move it away: {path}"))
            }
            ClusterProblem::Unreadable { .. } => plain.with_hint("look at it with: ls -l"),
            ClusterProblem::Repeated { .. } => plain.with_hint("give every cluster a name of its own"),
            ClusterProblem::Tree(_) => {
                plain.with_hint("nothing of it was written; mend the configuration in that line")
            }
            _ => plain.with_hint(
                "a line is: {\"name\": \"tenant-a\", \"config\": {a document of kubeadm} or [several of them] or \"their text\"}",
            ),
        }
    }
}

impl From<TreesError> for CommandError {
    fn from(error: TreesError) -> Self {
        let plain = Self::chain(&error);
        match error {
            TreesError::Read { .. } => plain.with_hint("name the list of clusters with --clusters"),
            TreesError::Repeated { .. } => Self { exit: Exit::Usage, ..plain }
                .with_hint("nothing was written; give every cluster a name of its own"),
            TreesError::NotResumable => Self { exit: Exit::Usage, ..plain }
                .with_hint("name a directory with --out, in which every cluster has one of its own"),
            TreesError::Tree(error) => error.into(),
            TreesError::Write { source, .. } if source.kind() == ErrorKind::AlreadyExists => {
                Self { exit: Exit::Refused, ..plain }
                    .with_hint("nothing is overwritten; name another file with --out, or move it away")
            }
            TreesError::Write { path: None, .. } => {
                plain.with_hint("what came out is not whole, and of no use")
            }
            TreesError::Threads(_) => plain.with_hint("ask for fewer with --threads N"),
            TreesError::Panicked(_) => {
                plain.with_hint("this is an error of kubecerts: please report it with what it said")
            }
            _ => plain.with_hint("see whether it can be written, and has room: df -h"),
        }
    }
}

impl From<DestinationError> for CommandError {
    fn from(error: DestinationError) -> Self {
        Self::usage(error.to_string())
            .with_hint("name a directory with --out; or FILE.tar for files, FILE.yaml for Secrets")
    }
}

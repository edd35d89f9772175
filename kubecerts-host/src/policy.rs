//! The policy file of a node.

use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{LifetimePolicy, PolicyError};
use kubecerts_core::snapshot::{FileState, ReadProblem};

use crate::node::{Node, NodeError, read_file};

/// Reads the policy of `node`: the file `explicit` of this machine, else [`POLICY_PATH`] of the node, if there is one.
///
/// # Errors
/// [`PolicyFileError`] when the file is given and not there, cannot be read, can be written by others, or makes no sense.
///
/// # Panics
/// Never: [`POLICY_PATH`] is absolute.
pub fn read_policy(explicit: Option<&Path>, node: &Node) -> Result<Option<LifetimePolicy>, PolicyFileError> {
    let (path, state) = match explicit {
        Some(path) => (path.to_owned(), read_file(path)?.1),
        None => {
            let path = TreePath::parse(POLICY_PATH).expect("the path is absolute");
            let host = node.root().directory().join(path.as_str().trim_start_matches('/'));
            (host, node.read(&path))
        }
    };
    let content = match state {
        FileState::Absent => return Ok(None),
        FileState::Unreadable(problem) => return Err(PolicyFileError::Unreadable { path, problem }),
        FileState::Present(content) => content,
    };
    let wrong = |source| PolicyFileError::Wrong { path: path.clone(), source };
    LifetimePolicy::check_mode(content.meta()).map_err(wrong)?;
    LifetimePolicy::parse(content.secret_bytes()).map(Some).map_err(wrong)
}

/// Where the policy lies on a node.
pub const POLICY_PATH: &str = "/etc/kubecerts/policy.toml";

/// Why a policy file cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// The file that was given cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It is there and cannot be read.
    #[error("{} cannot be read: {problem}", path.display())]
    Unreadable {
        /// The file, as it lies on this machine.
        path: PathBuf,
        /// Why not.
        problem: ReadProblem,
    },
    /// It can be written by others, or makes no sense.
    #[error("cannot follow the policy in {}", path.display())]
    Wrong {
        /// The file, as it lies on this machine.
        path: PathBuf,
        /// What is wrong, with its place.
        source: PolicyError,
    },
}

//! What can go wrong on the disk, and what that leaves behind.

use std::fmt;
use std::io;
use std::path::PathBuf;

use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;

/// Why the disk could not be used or changed.
///
/// Unless a variant says otherwise, no target was changed and no temporary file is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The root is not a directory that can be used.
    #[error("cannot use {path:?} as the root")]
    Root {
        /// The directory, as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The target is not a file that may be replaced.
    #[error("refused to replace {path}: {problem}")]
    Refused {
        /// The path that was to be replaced.
        path: TreePath,
        /// What is wrong with it.
        problem: ReadProblem,
    },
    /// The file is to be created in a directory that does not exist.
    #[error("{path} lies in a directory that does not exist")]
    NoDirectory {
        /// The path that was to be created.
        path: TreePath,
    },
    /// Two changes would replace the same file, under two names or under one.
    #[error("{path} and {other} are the same file")]
    SameTarget {
        /// The path of the earlier change.
        path: TreePath,
        /// The path of the later change.
        other: TreePath,
    },
    /// The target is not what the plan expects to replace: plan again.
    #[error("{path} is not what the plan expects: found {}, expected {}", Shown(found), Shown(expected))]
    Stale {
        /// The path that was to be replaced.
        path: TreePath,
        /// What the plan expects there.
        expected: Expected,
        /// What is there.
        found: Expected,
    },
    /// Somebody else touched the target after it had been checked: plan again.
    #[error("{path} was changed by somebody else while its replacement was prepared")]
    Disturbed {
        /// The path that was to be replaced.
        path: TreePath,
    },
    /// An operation failed before the first target was replaced.
    #[error("cannot replace {path}: {operation} failed")]
    Replace {
        /// The path that was to be replaced.
        path: TreePath,
        /// What failed.
        operation: Operation,
        /// What the operating system says.
        source: io::Error,
    },
    /// A rename failed after others had succeeded. **The tree is mixed**: `replaced` is new, the rest is old.
    #[error("cannot replace {path}, but {} already replaced", Files(replaced.len()))]
    Interrupted {
        /// The paths that were replaced, in the order of the writes.
        replaced: Vec<TreePath>,
        /// The path that could not be replaced.
        path: TreePath,
        /// What the operating system says.
        source: io::Error,
    },
    /// **Every target was replaced**, but a loss of power may still undo renames in `directory`.
    #[error("replaced every file, but cannot flush the directory {directory}")]
    Unflushed {
        /// The paths that were replaced: all of them, in the order of the writes.
        replaced: Vec<TreePath>,
        /// The first directory that could not be flushed.
        directory: TreePath,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A step of one file's replacement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Looks at the target, its directory or the temporary file.
    Inspect,
    /// Creates the temporary file beside the target.
    CreateTemp,
    /// Gives the temporary file its owner and group.
    SetOwner,
    /// Gives the temporary file its mode.
    SetMode,
    /// Writes the content.
    Write,
    /// Flushes the content.
    Flush,
    /// Renames the temporary file to the target.
    Rename,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "inspecting the file",
            Self::CreateTemp => "creating the temporary file",
            Self::SetOwner => "setting the owner",
            Self::SetMode => "setting the mode",
            Self::Write => "writing the content",
            Self::Flush => "flushing the content",
            Self::Rename => "renaming the temporary file",
        })
    }
}

/// Shows what is or should be at a path.
struct Shown<'a>(&'a Expected);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expected::Absent => f.write_str("no file"),
            Expected::Content(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

/// Counts files in a sentence.
struct Files(usize);

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 file was"),
            count => write!(f, "{count} files were"),
        }
    }
}

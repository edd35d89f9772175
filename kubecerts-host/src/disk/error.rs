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
    /// Others than its owner may rename files in a directory that is to be written to.
    #[error("refused to write to {path}: others may write to {directory}, its mode is {mode:04o}")]
    OpenDirectory {
        /// The path that was to be written.
        path: TreePath,
        /// The directory: the one that holds the path, or one above.
        directory: TreePath,
        /// Its mode.
        mode: u32,
    },
    /// A file of a user is reached over a link, which its owner may turn elsewhere.
    #[error("refused to write to {path}: {link} is a link")]
    LinkOnTheWay {
        /// The path that was to be written.
        path: TreePath,
        /// The link.
        link: TreePath,
    },
    /// A file of a user lies in a directory of another user.
    #[error("refused to write to {path}: {directory} belongs to another user, whose number is {uid}")]
    OthersDirectory {
        /// The path that was to be written.
        path: TreePath,
        /// The directory: the one that holds the path, or one above.
        directory: TreePath,
        /// The number of its owner.
        uid: u32,
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
    #[error("{path} is not what the plan expects: found {found}, expected {expected}")]
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
    /// There is not enough room for the temporary files, the backup and the journal.
    #[error("not enough room on the file system of {directory}: {needed} {} needed, {available} free", unit.name(*needed))]
    NoRoom {
        /// The directory that the files were to be written to.
        directory: TreePath,
        /// What is counted.
        unit: Unit,
        /// How many are needed.
        needed: u64,
        /// How many are free.
        available: u64,
    },
    /// An operation failed; whatever was replaced before it was put back.
    #[error("cannot replace {path}: {operation} failed")]
    Replace {
        /// The path that was to be replaced.
        path: TreePath,
        /// What failed.
        operation: Operation,
        /// What the operating system says.
        source: io::Error,
    },
    /// An operation on the state directory failed; whatever was replaced before it was put back.
    #[error("cannot keep {path}: {operation} failed")]
    State {
        /// The file or directory in question.
        path: TreePath,
        /// What failed.
        operation: Operation,
        /// What the operating system says.
        source: io::Error,
    },
    /// **Not everything could be put back** after a failure. The journal is open; recovery will finish or roll back.
    #[error("cannot put {path} back after a failure: {operation} failed, {} still replaced", Files(replaced.len()))]
    Interrupted {
        /// The paths that are still new.
        replaced: Vec<TreePath>,
        /// The path that could not be put back.
        path: TreePath,
        /// What failed while putting back.
        operation: Operation,
        /// What the operating system says to that.
        source: io::Error,
        /// The failure that came before.
        cause: Box<Self>,
    },
    /// A run has failed, every file is the old one, but its **journal could not be closed**: recovery will do that, or finish
    /// the run if nothing on the disk says that it had failed.
    #[error("the run has failed, and its journal {journal} could not be closed")]
    Unclosed {
        /// The journal.
        journal: TreePath,
        /// The failure.
        #[source]
        cause: Box<Self>,
    },
    /// A run was interrupted; nothing can be written until it has been recovered.
    #[error("an earlier run was interrupted: its journal is {journal}")]
    JournalOpen {
        /// The journal.
        journal: TreePath,
    },
    /// A run was to be given up that can be finished or rolled back.
    #[error("the interrupted run can be recovered, so it is not given up: its journal is {journal}")]
    Recoverable {
        /// The journal.
        journal: TreePath,
    },
    /// Journals and backups were to be kept among files that others read.
    #[error("refused to keep journals and backups in {state}: {directory} is not the place for them")]
    Misplaced {
        /// The state directory.
        state: TreePath,
        /// The directory that it is, or lies in.
        directory: TreePath,
    },
    /// An interrupted run could not be recovered. The journal stays; it can be tried again.
    #[error("cannot recover {path}: {operation} failed")]
    Recover {
        /// The file in question.
        path: TreePath,
        /// What failed.
        operation: Operation,
        /// What the operating system says.
        source: io::Error,
    },
    /// The journal of an interrupted run cannot be understood.
    #[error("the journal {journal} cannot be understood: {reason}")]
    JournalDamaged {
        /// The journal.
        journal: TreePath,
        /// What is wrong with it.
        reason: String,
    },
    /// An interrupted run can neither be finished nor be rolled back, because somebody else changed a file meanwhile.
    #[error(
        "the interrupted run cannot be recovered: {path} is neither the old file nor the new one: found {found}"
    )]
    Foreign {
        /// The file.
        path: TreePath,
        /// What is there.
        found: Expected,
    },
    /// An interrupted run can neither be finished nor be rolled back, because a file that it had kept is gone.
    #[error(
        "the interrupted run cannot be recovered: {kept}, which holds the old {path}, is gone or damaged"
    )]
    Lost {
        /// The file that should be put back.
        path: TreePath,
        /// Where its old content had been kept.
        kept: TreePath,
    },
    /// There is no such backup.
    #[error("there is no backup{} in {directory}", if id.is_empty() { String::new() } else { format!(" {id}") })]
    NoBackup {
        /// What was asked for.
        id: String,
        /// Where backups are.
        directory: TreePath,
    },
    /// A backup is not what its manifest says.
    #[error("the backup {id} cannot be used: {problem}")]
    Backup {
        /// The backup.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A step of one file's replacement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Looks at the file, its directory or the temporary file.
    Inspect,
    /// Reads a file.
    Read,
    /// Reads where a link points.
    ReadLink,
    /// Reads the labels of the file.
    ReadLabels,
    /// Lists a directory.
    List,
    /// Creates a directory.
    CreateDirectory,
    /// Creates the temporary file beside the target.
    Create,
    /// Makes the new link beside the target.
    MakeLink,
    /// Opens a file to write at its end.
    Open,
    /// Gives the temporary file its owner and group.
    SetOwner,
    /// Gives the temporary file its labels.
    SetLabels,
    /// Gives the temporary file its mode.
    SetMode,
    /// Writes the content.
    Write,
    /// Flushes the content.
    Flush,
    /// Gives the old file a second name.
    Keep,
    /// Renames the temporary file to the target.
    Rename,
    /// Flushes the entries of the directory.
    FlushDirectory,
    /// Removes a file or directory.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "inspecting the file",
            Self::Read => "reading the file",
            Self::ReadLink => "reading the link",
            Self::ReadLabels => "reading the labels",
            Self::List => "listing the directory",
            Self::CreateDirectory => "creating the directory",
            Self::Create => "creating the file",
            Self::MakeLink => "making the link",
            Self::Open => "opening the file",
            Self::SetOwner => "setting the owner",
            Self::SetLabels => "setting the labels",
            Self::SetMode => "setting the mode",
            Self::Write => "writing the content",
            Self::Flush => "flushing the content",
            Self::Keep => "keeping the old file under a second name",
            Self::Rename => "renaming the file",
            Self::FlushDirectory => "flushing the directory",
            Self::Remove => "removing the file",
        })
    }
}

/// What a file system can run out of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a file system counts these two")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files.
    Files,
}

impl Unit {
    const fn name(self, count: u64) -> &'static str {
        match (self, count) {
            (Self::Bytes, 1) => "byte",
            (Self::Bytes, _) => "bytes",
            (Self::Files, 1) => "file",
            (Self::Files, _) => "files",
        }
    }
}

/// Counts files in a sentence.
struct Files(usize);

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 file is"),
            count => write!(f, "{count} files are"),
        }
    }
}

//! Errors of runs over many requests.

use std::io;
use std::path::Path;

use kubecerts_host::bulk::{InputError, InvalidShard, Stopped};
use kubecerts_host::{NodeError, SummaryError};

use super::CommandError;
use crate::args::quoted;
use crate::exit::Exit;

impl CommandError {
    /// Returns why a shard cannot be done.
    pub(crate) fn of_shard(error: &InvalidShard) -> Self {
        let usage = Self::usage(error.to_string());
        match error {
            InvalidShard::NoIndex | InvalidShard::MalformedIndex(_) => usage.with_hint(
                "`--shard /N` takes I from JOB_COMPLETION_INDEX, which an Indexed Job sets; by hand say --shard I/N",
            ),
            _ => usage.with_hint("say --shard 0/4 for the first of four shards, and --shard 3/4 for the last"),
        }
    }

    /// Returns why there are no requests.
    pub(crate) fn of_input(error: &InputError) -> Self {
        Self::chain(error).with_hint("nothing was signed; see what standard input is connected to")
    }

    /// Returns why a file cannot be written to.
    pub(crate) fn of_bulk_file(path: &Path, error: &io::Error) -> Self {
        let shown = quoted(&path.display().to_string());
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Self::refused(format!("{} exists already, no request was signed", path.display()))
                    .with_hint("go on where a run was interrupted with --resume")
                    .with_hint("or name a new file with --out FILE")
            }
            io::ErrorKind::WouldBlock => {
                Self::refused(format!("another run writes to {}, no request was signed", path.display()))
                    .with_hint(format!("wait for it, or see who it is with: fuser -v {shown}"))
            }
            _ => Self::failed(format!("cannot write {}: {error}", path.display()))
                .with_hint(format!("look at it with: ls -ld {shown}")),
        }
    }

    /// Returns why the summary of a run has no place.
    pub(crate) fn of_summary(error: &SummaryError) -> Self {
        let text = error.to_string();
        match error {
            SummaryError::SamePlace { .. } => {
                Self::usage(text).with_hint("name another file with --summary FILE")
            }
            SummaryError::Exists { path } | SummaryError::Foreign { path, .. } => {
                let shown = quoted(&path.display().to_string());
                Self::refused(text)
                    .with_hint("name a new file with --summary FILE")
                    .with_hint(format!("or move it away: mv {shown} {shown}.old"))
            }
            _ => Self::failed(text).with_hint("name another file with --summary FILE"),
        }
    }

    /// Returns why the part of a job cannot write to the directory at `path`.
    pub(crate) fn of_part(path: &Path, error: NodeError) -> Self {
        match &error {
            NodeError::File { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
                let shown = quoted(&path.display().to_string());
                Self::refused(format!(
                    "another run does this part of {}, no request was signed",
                    path.display()
                ))
                .with_hint(format!("wait for it, or see who it is with: fuser -v {shown}/.kubecerts-*.lock"))
            }
            _ => error.into(),
        }
    }

    /// Returns why a run stopped before its end, when `rest` says how to go on.
    pub(crate) fn of_stopped(stopped: &Stopped, rest: Rest) -> Self {
        let plain = Self::chain(stopped);
        match (stopped, rest) {
            (Stopped::Foreign { .. } | Stopped::Input(InputError::Leftover(_)), _) => {
                Self { exit: Exit::Refused, ..plain }
                    .with_hint(
                        "nothing was changed; resume with the requests and the options of the first run",
                    )
                    .with_hint("or begin anew with another --out FILE")
            }
            (_, Rest::Resumable) => {
                plain.with_hint("what was written until then is complete; go on with --resume")
            }
            (_, Rest::New) => plain
                .with_hint("what was written until then is complete; ask for what is missing again")
                .with_hint("with --out FILE instead of standard output a run can go on with --resume"),
        }
    }

    /// Returns that a run was ended from outside after `done` requests, when `rest` says how to go on.
    pub(crate) fn of_interruption(done: u64, rest: Rest) -> Self {
        let plain = Self::interrupted(format!("interrupted after {done} requests"));
        match rest {
            Rest::Resumable => plain.with_hint(
                "every certificate that is there is whole; go on with the same command and --resume",
            ),
            Rest::New => plain
                .with_hint("every certificate that came out is whole; ask for what is missing again")
                .with_hint("with --out FILE instead of standard output a run can go on with --resume"),
        }
    }
}

/// How what a run has not done can be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// By going on where it ended.
    Resumable,
    /// By asking for it again.
    New,
}

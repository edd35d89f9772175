//! Why a snapshot cannot be read, in words.

use kubecerts_host::archive::{ArchiveError, ArchiveProblem};

use super::CommandError;
use crate::args::quoted;

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        let plain = Self::chain(&error);
        let file = quoted(&error.path.display().to_string());
        match error.problem {
            ArchiveProblem::Compressed => plain.with_hint(format!("unpack it first: gunzip {file}")),
            ArchiveProblem::Io { .. } => plain.with_hint(format!("look at it with: ls -l {file}")),
            _ => plain.with_hint("take it anew on its node, and copy it whole: kubecerts snapshot -o FILE"),
        }
    }
}

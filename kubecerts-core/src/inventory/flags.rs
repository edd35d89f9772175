//! What lies where the flags of the manifests point.

use super::{CertificateBundle, Reading};
use crate::catalog::FileSlot;
use crate::snapshot::{FileFlag, FileState, Snapshot};

/// A flag of a manifest that names a file, and what is there.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NamedFile {
    /// The flag.
    pub flag: FileFlag,
    /// Whether there is something at the path; `true` when the flag is not given.
    pub exists: bool,
    /// The certificates in it, for a file of authorities; absent for others.
    pub certificates: Reading<CertificateBundle>,
}

fn is_authority(flag: &FileFlag) -> bool {
    matches!(flag.file, Some(FileSlot::CaCertificate(_)))
}

pub(super) fn read(snapshot: &Snapshot) -> Vec<NamedFile> {
    let read = |flag: &FileFlag| {
        let state = flag.path.as_ref().map(|path| snapshot.at(path).unwrap_or(&FileState::Absent));
        let certificates = match state {
            Some(state) if flag.verifies.is_some() || is_authority(flag) => Reading::certificates(state),
            _ => Reading::Absent,
        };
        let exists = state.is_none_or(|state| !matches!(state, FileState::Absent));
        NamedFile { flag: flag.clone(), exists, certificates }
    };
    snapshot.node().file_flags().iter().map(read).collect()
}

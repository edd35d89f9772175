//! Directories for trees that are made and not found.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kubecerts_core::issue::ChangeSet;
use kubecerts_core::provider::Entropy;

/// Makes a new directory for temporary files that only the caller can enter, and returns its path.
///
/// # Errors
/// Whatever the operating system says, with the path in question.
pub fn new_scratch_directory(prefix: &str, entropy: &mut dyn Entropy) -> Result<PathBuf, ScratchError> {
    let mut token = [0; 8];
    entropy.fill(&mut token).map_err(|error| ScratchError {
        path: std::env::temp_dir(),
        source: io::Error::other(error.to_string()),
    })?;
    let name: OsString = format!("{prefix}-{:016x}", u64::from_le_bytes(token)).into();
    let path = std::env::temp_dir().join(name);
    // An existing directory, which somebody else may have prepared, is an error.
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(|source| ScratchError { path: path.clone(), source })?;
    Ok(path)
}

/// Makes the directories below `root` into which `changes` write, as kubeadm makes them: 0755.
///
/// # Errors
/// Whatever the operating system says, with the path in question.
pub fn make_directories(changes: &ChangeSet, root: &Path) -> Result<(), ScratchError> {
    for change in changes.changes() {
        let mut path = root.to_owned();
        for part in change.path().parent().parts() {
            path.push(part);
            let made = match DirBuilder::new().create(&path) {
                Ok(()) => std::fs::set_permissions(&path, Permissions::from_mode(0o755)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error),
            };
            made.map_err(|source| ScratchError { path: path.clone(), source })?;
        }
    }
    Ok(())
}

/// A directory that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the directory {}", path.display())]
#[non_exhaustive]
pub struct ScratchError {
    /// The directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

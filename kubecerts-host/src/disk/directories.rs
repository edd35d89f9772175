//! Directories for files that are new.

use std::io;
use std::path::PathBuf;

use kubecerts_core::issue::ChangeSet;
use kubecerts_core::path::TreePath;

use super::{Disk, DiskError, Existence, Operation, RealDisk, Root};

/// Makes the directories into which `changes` write, as kubeadm makes them: 0755. Adds each to `made`.
///
/// # Errors
/// [`DiskError`]; what was made until then stays, and is in `made`.
pub(crate) fn make_directories(
    changes: &ChangeSet,
    root: &Root,
    disk: &mut RealDisk,
    made: &mut Vec<PathBuf>,
) -> Result<(), DiskError> {
    changes.changes().iter().try_for_each(|change| make(&change.path().parent(), root, disk, made))
}

/// Removes directories that were made for nothing, as far as they are empty.
pub(crate) fn remove_directories(made: &[PathBuf], disk: &mut RealDisk) {
    for directory in made.iter().rev() {
        // An empty directory does no harm, and somebody else may have put a file into it.
        let _ = disk.remove_directory(directory);
    }
}

fn make(path: &TreePath, root: &Root, disk: &mut RealDisk, made: &mut Vec<PathBuf>) -> Result<(), DiskError> {
    // Links are followed below the root only.
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let resolved = root.resolve(path, disk).map_err(refused)?;
    if resolved.existence == Existence::Present {
        return Ok(());
    }
    make(&path.parent(), root, disk, made)?;
    let failed = |operation| move |source| DiskError::Replace { path: path.clone(), operation, source };
    match disk.create_directory(&resolved.host, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        done => done.map_err(failed(Operation::CreateDirectory))?,
    }
    made.push(resolved.host.clone());
    // The run flushes the entries of the directory itself, and nobody else that of its name.
    let Some(above) = resolved.host.parent() else { return Ok(()) };
    disk.sync_directory(above).map_err(failed(Operation::FlushDirectory))
}

//! Trees of nodes that are elsewhere, each in a directory of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kubecerts_core::issue::{Change, ChangeSet};
use kubecerts_core::provider::Entropy;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::hidden::{ATTEMPTS, Claim, claim, hidden_beside};
use crate::scratch::make_directories;

/// Writes `changes` below the new directory `directory`: all of them, or nothing.
///
/// They are written into a hidden directory beside it that only its owner can enter, flushed, and come to light by one rename.
/// Directories have the mode 0755, files that of their change from the first byte.
///
/// # Errors
/// [`NewTreeError`] when there is anything at `directory`, or the disk refuses; then nothing is left.
pub fn write_new_tree(
    changes: &ChangeSet,
    directory: &Path,
    entropy: &mut dyn Entropy,
) -> Result<(), NewTreeError> {
    let failed = |source| NewTreeError { path: directory.to_owned(), source };
    must_be_new(directory)?;
    let (hidden, _lock) = make_hidden(directory, entropy).map_err(failed)?;
    let written = fill(changes, &hidden).and_then(|()| reveal(&hidden, directory).map_err(failed));
    if written.is_err() {
        let _ = fs::remove_dir_all(&hidden);
    }
    written
}

/// Refuses a directory for a new tree when there is anything at its path.
///
/// # Errors
/// [`NewTreeError`] when there is, or it cannot be looked at.
pub fn must_be_new(directory: &Path) -> Result<(), NewTreeError> {
    let source = match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => error,
        Ok(_) => io::ErrorKind::AlreadyExists.into(),
    };
    Err(NewTreeError { path: directory.to_owned(), source })
}

/// Makes the directory for the trees of several nodes, unless it exists; only its owner can enter a new one.
///
/// # Errors
/// [`NewTreeError`] when it cannot be made, or is no directory.
pub fn make_parent(directory: &Path) -> Result<(), NewTreeError> {
    let failed = |source| NewTreeError { path: directory.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match directory.is_dir() {
            true => Ok(()),
            false => Err(failed(io::ErrorKind::NotADirectory.into())),
        },
        made => made.map_err(failed),
    }
}

/// Makes the hidden directory beside `directory`, and takes its lock, so that no other run thinks that it was left.
fn make_hidden(directory: &Path, entropy: &mut dyn Entropy) -> io::Result<(PathBuf, Claim)> {
    for _ in 0..ATTEMPTS {
        let hidden = hidden_beside(directory, entropy)?;
        DirBuilder::new().mode(0o700).create(&hidden)?;
        match claim(&hidden)? {
            // Another run has found it before it was locked, and removes it.
            Claim::NotOurs => {}
            lock => return Ok((hidden, lock)),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn fill(changes: &ChangeSet, root: &Path) -> Result<(), NewTreeError> {
    make_directories(changes, root)
        .map_err(|error| NewTreeError { path: error.path, source: error.source })?;
    for change in changes.changes() {
        let path = root.join(change.path().as_str().trim_start_matches('/'));
        write(change, &path).map_err(|source| NewTreeError { path: path.clone(), source })?;
    }
    flush(root).map_err(|source| NewTreeError { path: root.to_owned(), source })
}

fn write(change: &Change, path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(change.mode()).open(path)?;
    file.write_all(change.secret_bytes())?;
    // The umask may have taken something away, which is not what the node needs.
    file.set_permissions(Permissions::from_mode(change.mode()))?;
    file.sync_all()
}

fn flush(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            flush(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

/// Gives the directory `hidden` its name, which nothing else may have got meanwhile.
fn reveal(hidden: &Path, directory: &Path) -> io::Result<()> {
    fs::set_permissions(hidden, Permissions::from_mode(0o755))?;
    match renameat_with(CWD, hidden, CWD, directory, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Not every file system can do that. Onto a directory with files the plain rename fails as well.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !directory.exists() => {
            fs::rename(hidden, directory)?;
        }
        Err(error) => return Err(error.into()),
    }
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
    // It is there, whatever the flush says; a caller that is told otherwise would remove what is good.
    let _ = File::open(above.unwrap_or_else(|| Path::new("."))).and_then(|above| above.sync_all());
    Ok(())
}

/// Why a new tree could not be written. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the tree {}", path.display())]
#[non_exhaustive]
pub struct NewTreeError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

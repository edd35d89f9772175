//! Directories of files that are no node's: requests that go to an authority, and what comes back.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::FileState;

use crate::node::{NodeError, read_file};

/// Makes a directory that only its owner can enter, or takes one that is there and empty.
///
/// # Errors
/// [`NodeError::File`] when there is something at the path that is not an empty directory, or it cannot be made.
pub fn new_private_directory(path: &Path) -> Result<(), NodeError> {
    let failed = |source| NodeError::File { path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(path).map_err(failed)?;
            if entries.next().is_some() {
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is not empty")));
            }
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Makes the directories between `directory` and the file `name` below it, each of which only its owner can enter, and returns
/// the path of the file.
///
/// # Errors
/// [`NodeError::File`] when a directory cannot be made.
pub fn make_parents(directory: &Path, name: &str) -> Result<PathBuf, NodeError> {
    let path = directory.join(name);
    if let Some(parent) = path.parent() {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(parent);
        made.map_err(|source| NodeError::File { path: parent.to_owned(), source })?;
    }
    Ok(path)
}

/// Reads a file of the host, or returns `None` when there is nothing at the path.
///
/// # Errors
/// [`NodeError::File`] when there is something that cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<SecretBytes>, NodeError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(_) | Err(_) => read_whole(path).map(Some),
    }
}

/// Returns whether there is anything at `path`, if only a link that leads nowhere.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Returns whether there is a directory at `path`.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// A file below a directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct FoundFile {
    /// Its path below the directory.
    pub name: String,
    /// Its content, or why it cannot be read.
    pub content: Result<SecretBytes, NodeError>,
}

/// Reads every regular file in `directory` and the directories below it, sorted by name. Links are not followed.
///
/// # Errors
/// [`NodeError::File`] when a directory cannot be read, or there are far more files than any authority sends.
pub fn read_directory(directory: &Path) -> Result<Vec<FoundFile>, NodeError> {
    let mut names = Vec::new();
    list(directory, Path::new(""), DEEPEST, &mut names)?;
    names.sort();
    let read = |name: PathBuf| FoundFile {
        content: read_whole(&directory.join(&name)),
        name: name.display().to_string(),
    };
    Ok(names.into_iter().map(read).collect())
}

fn list(top: &Path, below: &Path, depth: u32, names: &mut Vec<PathBuf>) -> Result<(), NodeError> {
    let here = top.join(below);
    let failed = |source| NodeError::File { path: here.clone(), source };
    for entry in fs::read_dir(&here).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth > 0 {
            list(top, &name, depth - 1, names)?;
        } else if kind.is_file() {
            if names.len() == MOST_FILES {
                return Err(failed(io::Error::other(format!("more than {MOST_FILES} files"))));
            }
            names.push(name);
        }
    }
    Ok(())
}

fn read_whole(path: &Path) -> Result<SecretBytes, NodeError> {
    match read_file(path)?.1 {
        FileState::Present(content) => Ok(SecretBytes::new(content.secret_bytes().to_vec())),
        FileState::Absent | FileState::Unreadable(_) => unreachable!("what was read is there"),
    }
}

/// So many directories lie in each other at most; requests need three.
const DEEPEST: u32 = 8;

/// So many files are read at most; a mistyped path must not read a whole disk.
const MOST_FILES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_is_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("requests");
        for _ in 0..2 {
            new_private_directory(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let file = make_parents(&path, "pki/etcd/server.key").unwrap();
        fs::write(&file, "x").unwrap();
        assert!(new_private_directory(&path).is_err());
        assert!(new_private_directory(&file).is_err());
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
        let found = read_directory(&path).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "pki/etcd/server.key");
        assert!(read_directory(&file).is_err());
    }
}

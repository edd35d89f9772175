//! A new file that comes to light when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kubecerts_core::provider::Entropy;

use crate::hidden::{ATTEMPTS, Claim, claim, hidden_beside, owner_of_hidden};
use crate::summary::{directory_of, rename_to_new};

/// A file for secrets under a hidden name, which only its owner can read. Nothing of it is left when it is dropped.
pub(crate) struct NewFile {
    file: File,
    hidden: PathBuf,
    path: PathBuf,
    is_done: bool,
    _lock: Claim,
}

impl NewFile {
    /// Makes the empty file for `path`, where there may be nothing yet.
    pub(crate) fn create(path: &Path, entropy: &mut dyn Entropy) -> io::Result<Self> {
        must_be_free(path)?;
        for _ in 0..ATTEMPTS {
            let hidden = hidden_beside(path, entropy)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden)?;
            match claim(&hidden)? {
                // Another run has found it before it was locked, and removes it.
                Claim::NotOurs => {}
                lock => return Ok(Self { file, hidden, path: path.to_owned(), is_done: false, _lock: lock }),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Gives the file its name, once everything is on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        rename_to_new(&self.hidden, &self.path)?;
        self.is_done = true;
        // It is there, whatever the flush says.
        let _ = File::open(directory_of(&self.path)).and_then(|above| above.sync_all());
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Refuses a path at which there is anything, if only a link that leads nowhere.
pub(super) fn must_be_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Returns what is below hidden names in `directory`, by the name that it was to get.
pub(super) fn hidden_in(directory: &Path) -> io::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut hidden: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(owner) = entry.file_name().to_str().and_then(owner_of_hidden) {
            hidden.entry(owner.to_owned()).or_default().push(entry.path());
        }
    }
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_file_comes_to_light_whole_and_closed_to_others() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("trees.tar");
        let mut file = NewFile::create(&path, &mut SystemEntropy::new()).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        assert_eq!(fs::metadata(&file.hidden).unwrap().permissions().mode() & 0o7777, 0o600);
        let name = file.hidden.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(owner_of_hidden(&name), Some("trees.tar"));
        drop(file);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        let mut file = NewFile::create(&path, &mut SystemEntropy::new()).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let again = NewFile::create(&path, &mut SystemEntropy::new()).map(|_| ()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_came_there_meanwhile_is_not_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("trees.tar");
        let file = NewFile::create(&path, &mut SystemEntropy::new()).unwrap();
        fs::write(&path, "other").unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}

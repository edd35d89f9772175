//! The file for the summary of a run, which is looked at before the run and written after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use serde::Deserialize;

use crate::SystemEntropy;
use crate::hidden::hidden_beside;

/// A place for the summary of a run. Nothing is replaced there but the summary of a run before this one, and that only if it may.
#[derive(Clone, Debug)]
pub struct SummaryFile {
    path: PathBuf,
    kind: &'static str,
    may_replace: bool,
}

impl SummaryFile {
    /// Looks at `path`, where documents of the kind `kind` go, before a run that writes to `output`.
    ///
    /// With `may_replace` a regular file that is a document of this kind may be there, otherwise nothing.
    ///
    /// # Errors
    /// [`SummaryError`] when the summary could not be written there now.
    pub fn check(
        path: &Path,
        kind: &'static str,
        may_replace: bool,
        output: Option<&Path>,
    ) -> Result<Self, SummaryError> {
        let shown = path.to_owned();
        if output.is_some_and(|output| is_same_place(path, output)) {
            return Err(SummaryError::SamePlace { path: shown });
        }
        let above = directory_of(path);
        let failed =
            |error: &io::Error| SummaryError::Write { path: shown.clone(), reason: error.to_string() };
        if path.file_name().is_none() {
            return Err(SummaryError::Write { path: shown, reason: "it is no name of a file".to_owned() });
        }
        match fs::metadata(above) {
            Ok(found) if found.is_dir() => {}
            // The run makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && output == Some(above) => {}
            Ok(_) => return Err(failed(&io::ErrorKind::NotADirectory.into())),
            Err(error) => return Err(failed(&error)),
        }
        let file = Self { path: path.to_owned(), kind, may_replace };
        file.may_be_written().map(|_| file)
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `document`. There is nothing, the old document or the new one at any time, never a part of one.
    ///
    /// # Errors
    /// [`SummaryError`] when something else is there by now, or it cannot be written; what is there stays.
    pub fn write(&self, document: &str) -> Result<(), SummaryError> {
        let failed =
            |error: &io::Error| SummaryError::Write { path: self.path.clone(), reason: error.to_string() };
        let is_there = self.may_be_written()?;
        let hidden = self.write_hidden(document).map_err(|error| failed(&error))?;
        let renamed =
            if is_there { fs::rename(&hidden, &self.path) } else { rename_to_new(&hidden, &self.path) };
        if let Err(error) = renamed {
            let _ = fs::remove_file(&hidden);
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => SummaryError::Exists { path: self.path.clone() },
                _ => failed(&error),
            });
        }
        // It is there, whatever the flush says.
        let _ = File::open(directory_of(&self.path)).and_then(|above| above.sync_all());
        Ok(())
    }

    /// Returns whether there is a document, which may be replaced.
    fn may_be_written(&self) -> Result<bool, SummaryError> {
        let path = || self.path.clone();
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(SummaryError::Write { path: path(), reason: error.to_string() }),
            Ok(_) if !self.may_replace => Err(SummaryError::Exists { path: path() }),
            Ok(found) if found.is_file() && is_of_kind(&self.path, self.kind) => Ok(true),
            Ok(_) => Err(SummaryError::Foreign { path: path(), kind: self.kind }),
        }
    }

    /// Writes a file beside.
    fn write_hidden(&self, document: &str) -> io::Result<PathBuf> {
        let hidden = hidden_beside(&self.path, &mut SystemEntropy::new())?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&hidden)?;
        let written = file.write_all(document.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&hidden);
        }
        written.map(|()| hidden)
    }
}

/// Why a summary has no place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// What the run makes goes there.
    #[error("{} is for what the run makes, and cannot be its summary too", path.display())]
    SamePlace {
        /// The file.
        path: PathBuf,
    },
    /// Something is there.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Something is there that no run before this one wrote.
    #[error("{} is there and no {kind}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind of document that could be replaced.
        kind: &'static str,
    },
    /// It cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Gives `from` the name `to`, which nothing has yet.
///
/// # Errors
/// The reason; `AlreadyExists` when something has the name, and then both stay as they are.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems know no such rename; a second name is refused there as well when it is taken.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Returns the directory of the file `path`, which is the working one for a mere name.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns whether two paths name one file, whether it is there or not.
fn is_same_place(one: &Path, other: &Path) -> bool {
    if let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) {
        return (one.dev(), one.ino()) == (other.dev(), other.ino());
    }
    let place =
        |path: &Path| Some((fs::canonicalize(directory_of(path)).ok()?, path.file_name()?.to_owned()));
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

/// Returns whether the file at `path` is a document of ours of the kind `kind`.
fn is_of_kind(path: &Path, kind: &str) -> bool {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "apiVersion")]
        version: String,
        kind: String,
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut text = Vec::new();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let read = opened.and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    read.is_ok_and(|read| read as u64 <= LARGEST)
        && serde_json::from_slice::<Document>(&text)
            .is_ok_and(|found| found.version.starts_with(API_GROUP) && found.kind == kind)
}

/// The versions of all documents begin so.
const API_GROUP: &str = "kubecerts.dev/";

/// No summary is larger, in bytes.
const LARGEST: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "{\"apiVersion\":\"kubecerts.dev/v1\",\"kind\":\"Test\"}\n";

    fn check(path: &Path, may_replace: bool) -> Result<SummaryFile, SummaryError> {
        SummaryFile::check(path, "Test", may_replace, None)
    }

    #[test]
    fn a_summary_replaces_nothing_that_came_there_meanwhile() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run.json");
        let file = check(&path, false).unwrap();
        fs::write(&path, "other").unwrap();
        assert_eq!(file.write(OURS), Err(SummaryError::Exists { path: path.clone() }));
        assert_eq!(check(&path, false).unwrap_err(), SummaryError::Exists { path: path.clone() });
        assert_eq!(fs::read(&path).unwrap(), b"other");
        fs::remove_file(&path).unwrap();
        file.write(OURS).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), OURS);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_a_summary_of_the_same_kind_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run.json");
        let others =
            ["", "notes", "[]", "{}", &OURS.replace("Test", "Other"), &OURS.replace("kubecerts", "x")];
        for other in others {
            fs::write(&path, other).unwrap();
            let foreign = SummaryError::Foreign { path: path.clone(), kind: "Test" };
            assert_eq!(check(&path, true).unwrap_err(), foreign, "{other}");
        }
        fs::write(&path, OURS).unwrap();
        let file = check(&path, true).unwrap();
        file.write(&OURS.replace('}', ",\"new\":1}")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("new"));

        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for special in [&*link, scratch.path(), Path::new("/dev/null")] {
            let foreign = SummaryError::Foreign { path: special.to_owned(), kind: "Test" };
            assert_eq!(check(special, true).unwrap_err(), foreign);
        }
    }

    #[test]
    fn a_place_that_is_taken_by_the_output_or_has_no_directory_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, name) = (scratch.path().join("out"), scratch.path().join("./x/../out"));
        fs::create_dir(scratch.path().join("x")).unwrap();
        let same = |path: &Path, output: &Path| SummaryFile::check(path, "Test", true, Some(output));
        for there in [false, true] {
            if there {
                fs::write(&path, OURS).unwrap();
            }
            for output in [&path, &name] {
                let refused = same(&path, output).unwrap_err();
                assert_eq!(refused, SummaryError::SamePlace { path: path.clone() });
            }
        }
        let other = scratch.path().join("other");
        same(&path, &other).unwrap();
        // The directory that the run makes.
        same(&other.join("run.json"), &other).unwrap();
        for nowhere in ["no/run.json", "out/run.json", ".."] {
            let refused = check(&scratch.path().join(nowhere), false).unwrap_err();
            assert!(matches!(refused, SummaryError::Write { .. }), "{refused}");
        }
    }
}

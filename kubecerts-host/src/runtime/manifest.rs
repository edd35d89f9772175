//! Restarts a static pod without a runtime's help: its manifest is moved away until the pod is gone, and back.
//!
//! Away means another name in the same directory, with a dot in front, which the kubelet passes over
//! (`pkg/kubelet/config/file.go`): so it is one rename and stays on the file system. The manifest comes back whatever
//! happens in between; after a crash [`restore_left_behind`] brings it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::RuntimeError;

/// Moves `manifest` away, waits until `still_there` names nothing any more, and moves it back.
///
/// `still_there` names what still runs of the pod: containers or processes. It is asked again and again, and only its own word
/// ends the wait; after `deadline`, or when it fails, the manifest is moved back without that proof.
///
/// # Errors
/// [`ManifestError`]; the manifest is in its place again unless it says otherwise.
pub fn restart_by_manifest(
    manifest: &Path,
    still_there: &mut dyn FnMut() -> Result<Vec<String>, RuntimeError>,
    deadline: Duration,
) -> Result<(), ManifestError> {
    let started = Instant::now();
    let away = MovedAway::new(manifest)?;
    let outcome = loop {
        match still_there() {
            Ok(remaining) if remaining.is_empty() => break Ok(()),
            Ok(remaining) if started.elapsed() >= deadline => {
                break Err(ManifestError::StillThere { deadline, remaining });
            }
            Ok(_) => sleep(POLL),
            Err(error) => break Err(error.into()),
        }
    };
    // Where the manifest is matters more than why the wait ended.
    away.put_back().and(outcome)
}

/// Moves manifests back that a run which was killed has left moved away, and returns what it found, sorted.
///
/// Nobody may be moving manifests of this directory meanwhile; the lock of a [`Session`](crate::Session) sees to that. A manifest
/// that came meanwhile is never replaced: then the old one stays where it is, and the caller is told. A directory that
/// does not exist has nothing in it.
///
/// # Errors
/// [`ManifestError`] when the directory cannot be read, or a manifest not be moved.
pub fn restore_left_behind(directory: &Path) -> Result<Vec<LeftBehind>, ManifestError> {
    let failed = |source| ManifestError::Directory { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut away = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let manifest = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(SUFFIX));
        if let Some(manifest) = manifest.filter(|name| !name.is_empty() && !name.starts_with('.')) {
            away.push(MovedAway {
                manifest: directory.join(manifest),
                away: directory.join(&name),
                is_away: true,
            });
        }
    }
    away.sort_by(|a, b| a.manifest.cmp(&b.manifest));
    away.into_iter()
        .map(|moved| {
            let (manifest, away) = (moved.manifest.clone(), moved.away.clone());
            match moved.put_back() {
                Ok(()) => Ok(LeftBehind::Restored { manifest }),
                Err(ManifestError::Replaced { .. }) => Ok(LeftBehind::Superseded { manifest, away }),
                Err(error) => Err(error),
            }
        })
        .collect()
}

/// A manifest that a run which was killed had moved away.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum LeftBehind {
    /// It is in its place again.
    Restored {
        /// Its path.
        manifest: PathBuf,
    },
    /// There is another one in its place, so it was left alone.
    Superseded {
        /// The path of the other one.
        manifest: PathBuf,
        /// Where it lies itself.
        away: PathBuf,
    },
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored { manifest } => write!(f, "{} was moved back", manifest.display()),
            Self::Superseded { manifest, away } => {
                write!(f, "{} was left, as {} is there again", away.display(), manifest.display())
            }
        }
    }
}

/// Why a pod could not be restarted by its manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The manifest cannot be moved away. Nothing was changed.
    #[error("cannot move {} away", path.display())]
    Away {
        /// The manifest.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An earlier run has left a manifest moved away. Nothing was changed.
    #[error("{} is still there from a run that was interrupted", away.display())]
    AlreadyAway {
        /// Where it lies.
        away: PathBuf,
    },
    /// The manifest cannot be moved back: the pod will not come back before somebody does.
    #[error("cannot move {} back to {}", away.display(), path.display())]
    Back {
        /// The manifest.
        path: PathBuf,
        /// Where it lies.
        away: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody has put another manifest in its place, which was left alone.
    #[error("{} was put there by somebody else; the one from before is {}", path.display(), away.display())]
    Replaced {
        /// The manifest.
        path: PathBuf,
        /// Where the one from before lies.
        away: PathBuf,
    },
    /// The pod did not go within the time. The manifest is back.
    #[error("{} did not end within {deadline:?} without its manifest", remaining.join(", "))]
    StillThere {
        /// How long was waited.
        deadline: Duration,
        /// What is still there.
        remaining: Vec<String>,
    },
    /// What runs could not be found out. The manifest is back.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The directory cannot be used.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A manifest under its hidden name. It is moved back when this is dropped, as in a panic.
#[derive(Debug)]
struct MovedAway {
    manifest: PathBuf,
    away: PathBuf,
    is_away: bool,
}

impl MovedAway {
    fn new(manifest: &Path) -> Result<Self, ManifestError> {
        let failed = |source| ManifestError::Away { path: manifest.to_owned(), source };
        let name = manifest.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        let away = manifest.with_file_name(format!(".{name}{SUFFIX}"));
        match rename_new(manifest, &away) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ManifestError::AlreadyAway { away });
            }
            outcome => outcome.map_err(failed)?,
        }
        let moved = Self { manifest: manifest.to_owned(), away, is_away: true };
        // From here on it is moved back, also when this fails.
        sync_directory(&moved.manifest).map_err(failed)?;
        Ok(moved)
    }

    fn put_back(mut self) -> Result<(), ManifestError> {
        // One try; what is dropped afterwards does not try again.
        self.is_away = false;
        let (path, away) = (self.manifest.clone(), self.away.clone());
        match rename_new(&away, &path).and_then(|()| sync_directory(&path)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ManifestError::Replaced { path, away })
            }
            Err(source) => Err(ManifestError::Back { path, away, source }),
        }
    }
}

impl Drop for MovedAway {
    fn drop(&mut self) {
        if self.is_away && rename_new(&self.away, &self.manifest).is_ok() {
            // The rename is what counts for the kubelet.
            let _ = sync_directory(&self.manifest);
        }
    }
}

/// Renames a file unless there is something under the new name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems have no such rename. A hard link does not replace either, but would show the kubelet two
        // manifests for a moment: of which it takes one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        outcome => Ok(outcome?),
    }
}

/// Flushes the directory that `path` lies in.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    match File::open(directory)?.sync_all() {
        // Some network file systems cannot flush a directory and need not.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        outcome => outcome,
    }
}

/// What a manifest's name ends with while it is away; in front there is a dot.
const SUFFIX: &str = ".kubecerts-away";

/// How often it is looked whether the pod is gone. The kubelet looks at its manifests every 20 s at the latest, and is told of
/// changes as a rule.
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;

//! Directories that cannot be swapped.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::Stat;

/// A directory that was reached without a link, and whose path leads there whatever is renamed meanwhile.
#[derive(Debug)]
#[must_use = "the path is of use as long as this exists"]
pub struct Held {
    path: PathBuf,
    way: Vec<(PathBuf, Stat)>,
    _descriptor: Option<OwnedFd>,
}

impl Held {
    /// Returns a directory of a disk that nobody else changes.
    pub const fn plain(path: PathBuf, way: Vec<(PathBuf, Stat)>) -> Self {
        Self { path, way, _descriptor: None }
    }

    /// Returns a directory whose `path` goes through `descriptor`.
    pub(super) const fn open(path: PathBuf, way: Vec<(PathBuf, Stat)>, descriptor: OwnedFd) -> Self {
        Self { path, way, _descriptor: Some(descriptor) }
    }

    /// Returns the path by which to use it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directories from `/` to this one, each as it was when it was passed.
    #[must_use]
    pub fn way(&self) -> &[(PathBuf, Stat)] {
        &self.way
    }
}

//! What is at a path, as a journal says it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use kubecerts_core::digest::{Digest, InvalidDigest};
use kubecerts_core::issue::Expected;
use kubecerts_core::snapshot::ReadProblem;

use super::backup::BACKUP_FILE_LIMIT;
use super::root::problem;
use super::{Disk, Kind};

/// What is at a path, as far as an old state has to be told from a new one.
///
/// A link is known by its text. What lies behind it is an entry of its own, if it is one at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Thing {
    /// A regular file with this content.
    File(Digest),
    /// A symbolic link with this text.
    Link(String),
    /// Anything else, which is never what a run expects or makes.
    Other,
}

impl Thing {
    /// Returns what is at `host`, without following it; `None` for nothing.
    pub(super) fn at(host: &Path, disk: &impl Disk) -> Result<Option<Self>, ReadProblem> {
        match disk.read(host, BACKUP_FILE_LIMIT) {
            Ok(found) => Ok(found.map(|found| Self::File(Digest::of(found.content.secret_bytes())))),
            Err(ReadProblem::NotAFile(kind)) if kind == Kind::Link.name() => {
                let text = disk.read_link(host).map_err(|error| problem(&error))?;
                Ok(Some(text.to_str().map_or(Self::Other, |text| Self::Link(text.to_owned()))))
            }
            Err(ReadProblem::NotAFile(_) | ReadProblem::TooLarge { .. }) => Ok(Some(Self::Other)),
            Err(problem) => Err(problem),
        }
    }

    /// Returns the digest of the content of a file, and that of the text of a link.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::File(digest) => *digest,
            Self::Link(text) => Digest::of(text.as_bytes()),
            Self::Other => Digest::of(b""),
        }
    }

    /// Returns what was found, in the words of an error.
    pub(super) fn found(found: Option<&Self>) -> Expected {
        found.map_or(Expected::Absent, |thing| Expected::Content(thing.digest()))
    }

    pub(super) const fn is_link(&self) -> bool {
        matches!(self, Self::Link(_))
    }
}

/// Written as a digest, or as `link:` and the text.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(digest) => digest.fmt(f),
            Self::Link(text) => write!(f, "{LINK}{text}"),
            Self::Other => f.write_str("other"),
        }
    }
}

impl FromStr for Thing {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(LINK) {
            Some(target) => Ok(Self::Link(target.to_owned())),
            None => text.parse().map(Self::File),
        }
    }
}

/// No digest begins like this.
const LINK: &str = "link:";

//! What was found at one path.

use std::fmt;

use crate::digest::Digest;
use crate::path::TreePath;
use crate::secret::SecretBytes;
use crate::time::Moment;

/// What a scan found at one path. It may hold secrets, so it has neither `Clone` nor a telling `Debug`.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a path holds nothing, something, or something that cannot be read"
)]
pub enum FileState {
    /// There is nothing.
    Absent,
    /// There is a file, and this is its content.
    Present(FileContent),
    /// There is something that cannot be read.
    Unreadable(ReadProblem),
}

impl FileState {
    /// Returns the content, when there is one.
    #[must_use]
    pub const fn content(&self) -> Option<&FileContent> {
        match self {
            Self::Present(content) => Some(content),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// The content of a file with what the file system says about it.
#[derive(Debug)]
pub struct FileContent {
    bytes: SecretBytes,
    digest: Digest,
    meta: FileMeta,
    origin: Origin,
}

/// Contents are compared by their digests: secrets are not.
impl PartialEq for FileContent {
    fn eq(&self, other: &Self) -> bool {
        let Self { bytes: _, digest, meta, origin } = self;
        (digest, meta, origin) == (&other.digest, &other.meta, &other.origin)
    }
}

impl FileContent {
    /// Takes the content of a file, which may be a secret.
    #[must_use]
    pub fn new(bytes: SecretBytes, meta: FileMeta) -> Self {
        let digest = Digest::of(bytes.secret_bytes());
        Self { bytes, digest, meta, origin: Origin::Disk }
    }

    /// Takes what is left of a file whose secrets were replaced, and the digest of the file itself.
    #[cfg(feature = "serde")]
    pub(crate) const fn redacted(bytes: SecretBytes, digest: Digest, meta: FileMeta) -> Self {
        Self { bytes, digest, meta, origin: Origin::Redacted }
    }

    /// Returns the content.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        self.bytes.secret_bytes()
    }

    /// Returns whether the bytes are those of the node, or what a redaction has left of them.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the SHA-256 digest of the content; for a redacted file that of the file on its node.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns what the file system says.
    #[must_use]
    pub const fn meta(&self) -> &FileMeta {
        &self.meta
    }
}

/// Where the bytes of a file come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "secrets are in the bytes, or were taken out of them")]
pub enum Origin {
    /// They are the file as it is on its node.
    Disk,
    /// They are the file of a redacted snapshot: what stands for a private key in it is read as that key's public half, which
    /// it is nowhere else.
    Redacted,
}

/// What the file system says about a file, after all links.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileMeta {
    /// The permission bits, without the type of the file.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// When the content was last written.
    pub modified: Option<Moment>,
    /// When the file was last changed in any way; a file that was moved to its place was changed then.
    pub changed: Option<Moment>,
    /// The path behind all links, when it differs from the path that was asked for.
    pub target: Option<TreePath>,
}

impl FileMeta {
    /// Returns the facts of a regular file that is no link, owned by root.
    #[must_use]
    pub const fn with_mode(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0, modified: None, changed: None, target: None }
    }
}

/// Why a path could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReadProblem {
    /// The operating system refuses access.
    PermissionDenied,
    /// It is not a regular file but this: `directory`, `socket`, `named pipe`, `device`.
    NotAFile(String),
    /// It is larger than any file of this kind may be.
    TooLarge {
        /// The size in bytes.
        size: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A link on the way leads out of the root.
    LeavesRoot {
        /// The link.
        link: TreePath,
        /// Where it points.
        target: String,
    },
    /// A link on the way leads nowhere.
    DanglingLink {
        /// The link.
        link: TreePath,
        /// Where it points.
        target: String,
    },
    /// Links lead in a circle, or there are too many of them.
    LinkLoop,
    /// The operating system says something else.
    Failed(String),
}

impl fmt::Display for ReadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PermissionDenied => f.write_str("permission denied"),
            Self::NotAFile(kind) => write!(f, "is a {kind}, not a file"),
            Self::TooLarge { size, limit } => write!(f, "is {size} bytes long; at most {limit} are read"),
            Self::LeavesRoot { link, target } => {
                write!(f, "the link {link} leaves the root: it points to {target}")
            }
            Self::DanglingLink { link, target } => {
                write!(f, "the link {link} points to {target}, which does not exist")
            }
            Self::LinkLoop => f.write_str("links lead in a circle"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

//! The bytes to write, with what each write expects to replace.

use std::collections::BTreeSet;
use std::fmt;

use crate::catalog::FileSlot;
use crate::digest::Digest;
use crate::path::TreePath;
use crate::secret::SecretBytes;

/// What a write expects to find at its path, links followed. Anything else means that the plan is stale.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "a write replaces something or nothing")]
pub enum Expected {
    /// Nothing.
    Absent,
    /// A file with this content.
    Content(Digest),
}

impl fmt::Display for Expected {
    /// Writes the digest, or `no file`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no file"),
            Self::Content(digest) => digest.fmt(f),
        }
    }
}

/// One file to write.
#[derive(Debug)]
pub struct Change {
    file: FileSlot,
    path: TreePath,
    expected: Expected,
    mode: u32,
    dated: Option<String>,
    contents: SecretBytes,
}

impl Change {
    /// Returns a write of `contents` to `path`, which is where `file` lies.
    #[must_use]
    pub const fn new(
        file: FileSlot,
        path: TreePath,
        expected: Expected,
        mode: u32,
        contents: SecretBytes,
    ) -> Self {
        Self { file, path, expected, mode, dated: None, contents }
    }

    /// Returns the same write, but to a new file `name` beside the path, which becomes a link to it; with `None` to the path
    /// itself.
    #[must_use]
    pub fn with_dated(self, name: Option<String>) -> Self {
        Self { dated: name, ..self }
    }

    /// Returns the slot of the file.
    #[must_use]
    pub const fn file(&self) -> FileSlot {
        self.file
    }

    /// Returns the path, as the node itself would write it.
    #[must_use]
    pub const fn path(&self) -> &TreePath {
        &self.path
    }

    /// Returns what the write expects to replace.
    #[must_use]
    pub const fn expected(&self) -> Expected {
        self.expected
    }

    /// Returns the mode that the new file has from its first byte.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// Returns the name of the new file beside the path, when the path itself becomes a link to it: what is expected is then
    /// what lies behind the link.
    #[must_use]
    pub fn dated(&self) -> Option<&str> {
        self.dated.as_deref()
    }

    /// Returns the new content.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        self.contents.secret_bytes()
    }

    /// Returns the digest of the new content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.secret_bytes())
    }
}

/// Everything that one operation writes, all of it signed and verified.
///
/// The order is the order of the writes; the key and the certificate of a pair are neighbours.
#[derive(Debug, Default)]
#[must_use = "a change set does nothing until it is applied"]
pub struct ChangeSet {
    changes: Vec<Change>,
}

impl From<Vec<Change>> for ChangeSet {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes }
    }
}

impl ChangeSet {
    /// Returns the writes in their order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the directories directly below the root in which everything is that is written, sorted.
    pub fn top_directories(&self) -> impl Iterator<Item = &str> {
        let tops: BTreeSet<&str> =
            self.changes.iter().filter_map(|change| change.path().parts().next()).collect();
        tops.into_iter()
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Returns whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

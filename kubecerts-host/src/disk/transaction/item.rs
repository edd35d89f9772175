//! What is asked of a run, path by path.

use std::fmt;

use kubecerts_core::issue::{Change, Expected};
use kubecerts_core::path::TreePath;
use serde::{Deserialize, Serialize};

use super::super::{Labels, Owner};

/// One path to write.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a path has no more than this")]
pub struct Item<'a> {
    /// The path, as the node itself would write it.
    pub path: &'a TreePath,
    /// Which entry of the tree that is.
    pub reach: Reach,
    /// What must be read there now, through all links; a link that leads nowhere is nothing.
    pub expected: Expected,
    /// What is to be there.
    pub becomes: Becomes<'a>,
}

impl<'a> Item<'a> {
    /// Returns the item for a change that was issued: owner and labels of the old file stay.
    #[must_use]
    pub fn of(change: &'a Change) -> Self {
        let becomes = Becomes::File { content: change.secret_bytes(), mode: change.mode(), facts: None };
        Self { path: change.path(), reach: Reach::Links, expected: change.expected(), becomes }
    }

    /// Returns the items of a credential that lies in a file of its own, `file`, to which `path` is a link: first the new
    /// file, then the link.
    ///
    /// The link holds the whole path, as the kubelet writes it (`UpdatePair` in client-go's `certificate_store.go`).
    #[must_use]
    pub fn behind_link(
        path: &'a TreePath,
        expected: Expected,
        file: &'a TreePath,
        content: &'a [u8],
        mode: u32,
    ) -> [Self; 2] {
        let becomes = Becomes::File { content, mode, facts: None };
        [
            Self { path: file, reach: Reach::Entry, expected: Expected::Absent, becomes },
            Self { path, reach: Reach::Entry, expected, becomes: Becomes::Link { target: file.as_str() } },
        ]
    }
}

/// Which entry of the tree a path stands for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "links are followed, or not at the end, or not at all")]
pub enum Reach {
    /// The file behind all links, which stay links.
    #[default]
    Links,
    /// The entry of that name in its directory: a link there is replaced itself.
    Entry,
    /// A file of a user, who may swap directories for links at any time: no link is followed below the home, and what was
    /// checked is what is written to, whatever is renamed meanwhile.
    ///
    /// The home is `/home/NAME`, and elsewhere the first directory of the path, such as `/root`. Every directory has to be
    /// closed to all but root and the owner of the file.
    Home,
}

/// What is to be at a path.
#[expect(clippy::exhaustive_enums, reason = "there is something or there is nothing")]
pub enum Becomes<'a> {
    /// Nothing: the file or link is removed.
    Nothing,
    /// A file.
    File {
        /// Its content, which may be secret.
        content: &'a [u8],
        /// Its permission bits.
        mode: u32,
        /// Its owner and labels. By default those of the file that it replaces; a file that replaces none gets the owner of
        /// its directory when the disk is privileged, and that of this process otherwise.
        facts: Option<(Owner, &'a Labels)>,
    },
    /// A symbolic link, for [`Reach::Entry`] alone. What it leads to is flushed before it is there.
    Link {
        /// Where it points.
        target: &'a str,
    },
}

impl fmt::Debug for Becomes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::File { mode, facts, .. } => {
                f.debug_struct("File").field("mode", mode).field("facts", facts).finish_non_exhaustive()
            }
            Self::Link { target } => f.debug_struct("Link").field("target", target).finish(),
        }
    }
}

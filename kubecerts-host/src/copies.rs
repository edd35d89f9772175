//! Copies of kubeconfigs outside the layout, brought up to date.
//!
//! They lie in homes, whose owners are not root: see [`Reach::Home`] for what is made of that.

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::{CopyChange, Expected};
use kubecerts_core::path::TreePath;
use kubecerts_core::provider::Entropy;

use crate::apply::ApplyError;
use crate::disk::DiskError;
use crate::disk::transaction::{Becomes, Done, Event, Item, Purpose, Reach};
use crate::session::Session;

/// A copy to write. Owner, group and labels of the file stay.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a copy is a file that exists")]
pub struct CopyWrite<'a> {
    /// The path, as the node itself would write it.
    pub path: &'a TreePath,
    /// The digest of what must be there now.
    pub expected: Digest,
    /// The new content, which is secret.
    pub content: &'a [u8],
    /// The permission bits.
    pub mode: u32,
}

impl std::fmt::Debug for CopyWrite<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, expected, content: _, mode } = self;
        let mut shown = f.debug_struct("CopyWrite");
        shown.field("path", path).field("expected", expected).field("mode", mode).finish_non_exhaustive()
    }
}

impl<'a> From<&'a CopyChange> for CopyWrite<'a> {
    fn from(change: &'a CopyChange) -> Self {
        let (path, expected, content) = (change.path(), change.expected(), change.secret_bytes());
        Self { path, expected, content, mode: change.mode() }
    }
}

impl<'a> CopyWrite<'a> {
    /// Returns the item that writes it, with what may lie on the way to it.
    pub(crate) fn item(self, reach: Reach) -> Item<'a> {
        let Self { path, expected, content, mode } = self;
        let becomes = Becomes::File { content, mode, facts: None };
        Item { path, reach, expected: Expected::Content(expected), becomes }
    }
}

/// What became of the copies.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "it says which copies were left as they are, and why"]
pub struct Copies {
    /// The copies that are new now, in order.
    pub refreshed: Vec<TreePath>,
    /// The copies that were left as they are, each with the reason.
    pub refused: Vec<(TreePath, DiskError)>,
    /// The backup of what was replaced; `None` when nothing was.
    pub backup: Option<String>,
    /// Temporary files that could not be removed; the next run will.
    pub leftovers: Vec<TreePath>,
}

impl Session<'_> {
    /// Writes copies of kubeconfigs that lie in homes: all that can be written, or none of them.
    ///
    /// A copy that is refused does not keep the others from being written. It is refused when it is reached over a link below
    /// the home, when somebody other than root or its owner may write to a directory on the way, and for every reason for
    /// which a file of the tree is.
    ///
    /// # Errors
    /// [`ApplyError`] for what concerns them all; no copy was changed, unless it is [`DiskError::Interrupted`].
    pub fn refresh_copies(
        &mut self,
        copies: &[CopyWrite<'_>],
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Copies, ApplyError> {
        refresh(copies, &mut |items| self.replace(items, Purpose::new("refresh copies"), entropy, observer))
    }
}

/// Replaces copies until none of those that are left is the reason of a failure.
fn refresh<'a>(
    copies: &[CopyWrite<'a>],
    replace: &mut dyn FnMut(Vec<Item<'a>>) -> Result<Done, ApplyError>,
) -> Result<Copies, ApplyError> {
    let mut rest = copies.to_vec();
    let mut outcome = Copies::default();
    while !rest.is_empty() {
        match replace(rest.iter().map(|copy| copy.item(Reach::Home)).collect()) {
            Ok(Done { id, replaced, leftovers }) => {
                outcome.refreshed = replaced.into_iter().map(|replaced| replaced.path).collect();
                (outcome.backup, outcome.leftovers) = (Some(id), leftovers);
                break;
            }
            Err(ApplyError::Disk(error)) => {
                // One at a time: the next attempt says what is wrong with the next one.
                match rest.iter().position(|copy| is_about(copy.path, &error)) {
                    Some(index) => outcome.refused.push((rest.remove(index).path.clone(), error)),
                    None => return Err(ApplyError::Disk(error)),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Returns whether `error` is one of the copy `copy` alone, and everything is as it was.
fn is_about(copy: &TreePath, error: &DiskError) -> bool {
    match error {
        DiskError::Refused { path, .. }
        | DiskError::OpenDirectory { path, .. }
        | DiskError::OthersDirectory { path, .. }
        | DiskError::LinkOnTheWay { path, .. }
        | DiskError::NoDirectory { path }
        | DiskError::Stale { path, .. }
        | DiskError::Disturbed { path }
        | DiskError::Replace { path, .. }
        | DiskError::SameTarget { other: path, .. } => path == copy,
        DiskError::NoRoom { directory, .. } => *directory == copy.parent(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

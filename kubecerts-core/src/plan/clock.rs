//! Whether the clock can be trusted with the dates of new certificates.

use crate::catalog::{CaSlot, FileSlot};
use crate::inventory::{Authority, FileFacts, Inventory};
use crate::path::TreePath;
use crate::provider::PublicHalves;
use crate::snapshot::Snapshot;
use crate::time::{Seconds, Timestamp};

/// Checks that `now` does not contradict what is on the disk, for the dates of what is written follow from it.
///
/// A machine whose clock has lost its battery wakes up years back. [`plan`](super::plan()) reports that as authorities
/// that are not valid yet and does not call this: what is shown is harmless, what is written stays. Call it before
/// writing.
///
/// # Errors
/// [`ClockProblem`] when an authority of the tree is not valid yet, or the newest file of the tree was changed more than
/// [`CLOCK_TOLERANCE`] after `now`.
pub fn check_clock(inventory: &Inventory, now: Timestamp) -> Result<(), ClockProblem> {
    let begins =
        CaSlot::ALL.into_iter().filter_map(|ca| Some((ca, inventory.authority(ca).signer()?.not_before())));
    let dated = FileSlot::all().map(|file| inventory.file(file)).filter_map(|facts| {
        let modified = facts.meta.as_ref()?.modified?.timestamp();
        Some((modified, &facts.path))
    });
    check(begins, dated.max(), now)
}

/// The same with a snapshot, of which no more is read than that takes.
///
/// # Errors
/// As for [`check_clock`].
pub fn check_clock_of(
    snapshot: &Snapshot,
    halves: &dyn PublicHalves,
    now: Timestamp,
) -> Result<(), ClockProblem> {
    let begins = CaSlot::ALL
        .into_iter()
        .filter_map(|ca| Some((ca, Authority::parse_with(snapshot, ca, halves).signer()?.not_before())));
    let files: Vec<FileFacts> = FileSlot::all().map(|file| FileFacts::of_slot(snapshot, file)).collect();
    let dated =
        files.iter().filter_map(|facts| Some((facts.meta.as_ref()?.modified?.timestamp(), &facts.path)));
    check(begins, dated.max(), now)
}

fn check(
    mut begins: impl Iterator<Item = (CaSlot, Timestamp)>,
    newest: Option<(Timestamp, &TreePath)>,
    now: Timestamp,
) -> Result<(), ClockProblem> {
    if let Some((ca, not_before)) = begins.find(|(_, not_before)| now < *not_before) {
        return Err(ClockProblem::BeforeAuthority { ca, not_before, now });
    }
    match newest {
        Some((modified, path)) if now.plus(CLOCK_TOLERANCE) < modified => {
            Err(ClockProblem::BehindNewestFile { path: path.clone(), modified, now })
        }
        _ => Ok(()),
    }
}

/// How far the clock may be behind the newest file of the tree: one day.
///
/// Files that were copied from another machine may be ahead by the difference of the clocks, or by a time zone where one
/// of them keeps local time. Dates that are wrong by less than a day make no difference to certificates of a year.
pub const CLOCK_TOLERANCE: Seconds = Seconds::from_days(1);

/// Why the clock is wrong for certain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockProblem {
    /// It is behind the first second of an authority of the tree.
    #[error("the clock says {now}, and {ca} is not valid before {not_before}")]
    BeforeAuthority {
        /// The authority.
        ca: CaSlot,
        /// Its first second.
        not_before: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// It is far behind the newest file of the tree.
    #[error("the clock says {now}, and {path} was changed {modified}")]
    BehindNewestFile {
        /// The file.
        path: TreePath,
        /// When its content was last changed.
        modified: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
}

//! A clock that contradicts the tree is found out before anything is written.

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{CLOCK_TOLERANCE, ClockProblem, check_clock, check_clock_of};
use kubecerts_core::provider::PublicHalves;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{
    FileContent, FileMeta, FileState, ScanRequest, Snapshot, TreeReader, collect,
};
use kubecerts_core::time::{Moment, Seconds, Timestamp};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder, at, path};

/// A tree whose files were changed when it was made, but for one that was changed later.
struct Dated {
    tree: MemoryTree,
    newest: TreePath,
    modified: Timestamp,
}

/// The core computes public halves itself.
struct NoHalves;

impl PublicHalves for NoHalves {
    fn p256_point(&self, _: &SecretBytes) -> Option<[u8; 65]> {
        None
    }
}

const MADE: &str = "2026-01-01T00:00:00Z";

impl TreeReader for Dated {
    fn read(&mut self, path: &TreePath) -> FileState {
        let FileState::Present(content) = self.tree.read(path) else { return FileState::Absent };
        let mut meta = FileMeta::with_mode(content.meta().mode);
        let modified = if *path == self.newest { self.modified } else { at(MADE) };
        meta.modified = Some(Moment::from_unix(modified.unix(), 0));
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        FileState::Present(FileContent::new(bytes, meta))
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        self.tree.list(path)
    }
}

fn changed(newest: &str, modified: Timestamp) -> Snapshot {
    let mut tree = Dated { tree: TreeBuilder::kubeadm().build(), newest: path(newest), modified };
    collect(&mut tree, ScanRequest::default())
}

/// Returns what a snapshot and its inventory both say.
fn judge(snapshot: &Snapshot, now: Timestamp) -> Result<(), ClockProblem> {
    let judgement = check_clock(&Inventory::parse(snapshot), now);
    assert_eq!(check_clock_of(snapshot, &NoHalves, now), judgement, "the snapshot says something else");
    judgement
}

#[test]
fn a_clock_before_an_authority_is_wrong() {
    let snapshot = TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build().snapshot();
    let inventory = Inventory::parse(&snapshot);
    let not_before = inventory.authority(CaSlot::Cluster).signer().unwrap().not_before();
    let now = not_before.minus(Seconds(1));
    let problem = ClockProblem::BeforeAuthority { ca: CaSlot::Cluster, not_before, now };
    assert_eq!(judge(&snapshot, now), Err(problem.clone()));
    assert_eq!(
        problem.to_string(),
        "the clock says 2025-12-31T23:54:59Z, and ca is not valid before 2025-12-31T23:55:00Z"
    );
    assert_eq!(judge(&snapshot, not_before), Ok(()));
}

#[test]
fn a_clock_more_than_a_day_behind_the_newest_file_is_wrong() {
    let modified = at("2026-06-10T00:00:00Z");
    for file in ["/etc/kubernetes/scheduler.conf", "/etc/kubernetes/pki/sa.key"] {
        let snapshot = changed(file, modified);
        let earliest = modified.minus(CLOCK_TOLERANCE);
        assert_eq!(judge(&snapshot, earliest), Ok(()), "{file}");
        let now = earliest.minus(Seconds(1));
        let problem = ClockProblem::BehindNewestFile { path: path(file), modified, now };
        assert_eq!(judge(&snapshot, now), Err(problem), "{file}");
    }
}

#[test]
fn a_clock_ahead_of_every_file_may_be_right() {
    let snapshot = changed("/etc/kubernetes/admin.conf", at("2026-06-10T00:00:00Z"));
    assert_eq!(judge(&snapshot, at("2046-01-01T00:00:00Z")), Ok(()));
}

#[test]
fn a_tree_without_dates_and_authorities_contradicts_no_clock() {
    assert_eq!(judge(&MemoryTree::default().snapshot(), Timestamp::from_unix(0)), Ok(()));
}

#[test]
fn the_clock_is_right_soon_after_kubeadm_made_a_tree() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            assert_eq!(judge(&tree.snapshot(), at("2026-11-22T00:05:30Z")), Ok(()), "{name}");
        }
    }
}

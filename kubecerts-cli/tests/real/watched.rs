//! A tree that is renewed over and over, and the laws that hold after each run, however it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use kubecerts_core::provider::Entropy;
use kubecerts_host::disk::backup::{self, Manifest, Node as Kept};
use kubecerts_host::disk::{RealDisk, State};
use kubecerts_host::{Node, NodeOptions};
use kubecerts_testkit::{Seeded, TreeBuilder};
use tempfile::TempDir;

use crate::support::Tree;

/// What renews everything without a question.
pub(crate) const RENEW: [&str; 3] = ["renew", "--all", "--yes"];

/// How many files that replaces.
pub(crate) const FILES: usize = 18;

/// Every file with its mode and content, by its path below the root.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// A tree, and what it was when it was looked at last.
pub(crate) struct Watched {
    tree: Tree,
    before: Files,
    /// The files that a renewal of everything replaces.
    renewed: BTreeSet<String>,
}

/// Which of the two states that a run may leave a tree is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// Every file is as it was.
    Old,
    /// Every file that the run was to replace is replaced, and no other.
    New,
}

impl Watched {
    /// Returns a tree of kubeadm's with P-256 keys in `directory`, on which everything was renewed once.
    pub(crate) fn within(directory: TempDir) -> Self {
        let tree = Tree::within(directory, &TreeBuilder::kubeadm().build());
        let before = files(&tree);
        tree.run(&RENEW).exits(0);
        let renewed: BTreeSet<String> = changed(&before, &files(&tree));
        assert_eq!(renewed.len(), FILES, "{renewed:?}");
        Self { before: files(&tree), tree, renewed }
    }

    pub(crate) const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns which side the tree is on now, which is old from here on.
    ///
    /// Panics when it is on neither: when a part of the files is replaced, when any other file or mode has changed, when
    /// there is a file more or less, a temporary one among them, or when a run is still open.
    #[track_caller]
    pub(crate) fn settled(&mut self) -> Side {
        assert!(!self.journal().exists(), "a run is open");
        let now = files(&self.tree);
        let facts =
            |files: &Files| files.iter().map(|(path, (mode, _))| (path.clone(), *mode)).collect::<Vec<_>>();
        assert_eq!(facts(&now), facts(&self.before), "the same files with the same modes");
        let changed = changed(&self.before, &now);
        if changed.is_empty() {
            return Side::Old;
        }
        assert_eq!(changed, self.renewed, "all or nothing");
        self.before = now;
        Side::New
    }

    /// Returns how many of the files that a renewal replaces are replaced already, whatever else there is.
    pub(crate) fn replaced(&self) -> usize {
        changed(&self.before, &files(&self.tree)).len()
    }

    /// Asserts that every certificate, key and kubeconfig can be used and belongs to the others.
    #[track_caller]
    pub(crate) fn usable(&self) {
        self.tree.run(&["check"]).exits(0);
    }

    /// Asserts that every backup is complete, and that the latest holds exactly what a renewal that has been `settled` since
    /// then replaced: the files of `old`.
    #[track_caller]
    pub(crate) fn backed_up(&self, old: &Snapshot) {
        let state = self.state();
        let manifest = backup::find(None, &state, &RealDisk).unwrap();
        assert_eq!(backup::verify(&manifest, &state, &RealDisk), Vec::<String>::new());
        let name = |entry: &backup::Entry| entry.path.as_str().trim_start_matches('/').to_owned();
        let paths: BTreeSet<String> = manifest.files.iter().map(name).collect();
        assert_eq!(paths, self.renewed);
        for entry in &manifest.files {
            let Kept::File { mode, .. } = entry.node else { panic!("{} is no file", entry.path) };
            let kept = backup::read(&manifest, entry, &state, &RealDisk).unwrap();
            assert_eq!((mode, kept.secret_bytes()), (old.0[&name(entry)].0, &*old.0[&name(entry)].1));
        }
    }

    /// Returns the backups, oldest first; panics when one is not complete.
    #[track_caller]
    pub(crate) fn backups(&self) -> Vec<Manifest> {
        let listed = backup::list(&self.state(), &RealDisk).unwrap();
        listed.into_iter().map(|listed| listed.manifest.unwrap()).collect()
    }

    /// Returns what the tree was when it was looked at last.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.before.clone())
    }

    /// Returns where the journal of a run that is under way lies.
    pub(crate) fn journal(&self) -> PathBuf {
        self.state().directory().join("journal")
    }

    /// Returns the directory of journals and backups.
    pub(crate) fn state(&self) -> State {
        let mut options = NodeOptions::default();
        options.root = Some(self.tree.root().to_owned());
        Node::open(options).unwrap().state().clone()
    }

    /// Removes the journals of the runs that are done, of which the tests make hundreds.
    pub(crate) fn forget_journals(&self) {
        // There is none before the first run is done.
        let _ = fs::remove_dir_all(self.state().directory().join("audit"));
    }
}

/// Returns a directory in memory, if there is such a thing here: a flush costs nothing there.
pub(crate) fn directory_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a tree once was.
pub(crate) struct Snapshot(Files);

/// Returns the files of the node, without those of any state directory.
fn files(tree: &Tree) -> Files {
    let mut files = tree.files();
    files.retain(|path, _| !path.starts_with("var/lib/other/"));
    files
}

fn changed(before: &Files, after: &Files) -> BTreeSet<String> {
    let differs = |(path, file): &(&String, &(u32, Vec<u8>))| after.get(*path) != Some(file);
    before.iter().filter(differs).map(|(path, _)| path.clone()).collect()
}

/// Numbers that repeat for the same seed.
pub(crate) struct Random {
    seed: u64,
    source: Seeded,
}

impl Random {
    /// Returns the numbers of `KUBECERTS_TEST_SEED`, or of the clock.
    pub(crate) fn new() -> Self {
        let given = std::env::var("KUBECERTS_TEST_SEED").ok();
        let clock = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
        let seed = given.map_or_else(clock, |text| text.parse().unwrap());
        Self { seed, source: Seeded::new(seed) }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns a number that is less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.source.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % end.max(1)
    }

    /// Returns a number that is less than `end`, small ones as often as large ones.
    pub(crate) fn of_any_size(&mut self, end: u64) -> u64 {
        let bits = self.below(u64::from(end.max(1).ilog2()) + 2);
        self.below(1 << bits).min(end)
    }
}

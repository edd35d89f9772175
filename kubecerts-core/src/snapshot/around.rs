//! Looking around the tree: what a renewal does not reach and a diagnosis of the whole node asks for.
//!
//! Every place is bounded in how many files and bytes are read and how many directories are listed, because none of them is under
//! the control of this program. What was left out for that is noted in [`Snapshot::left_out`](super::Snapshot::left_out).

use std::collections::BTreeSet;

use super::{FileState, ReadProblem, Snapshot, TreeReader};
use crate::path::TreePath;

mod copies;
mod jobs;
mod kubelet;
mod pods;

pub(crate) use jobs::service_of;

/// Why a file around the tree was read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Area {
    /// A backup: nothing uses it.
    Backup,
    /// A directory where other programs keep certificates.
    Copies,
    /// A directory where kubeadm and its relatives keep a tree.
    OtherLayout,
    /// A dated certificate of the kubelet, beside its current one.
    KubeletCertificate,
    /// The credential with which a kubelet that has no certificate asks for one.
    Bootstrap,
    /// What a pod was given to reach the API server: `ca.crt` and `token`.
    PodVolume,
    /// A timer, a service, a crontab or a script.
    Job,
}

/// Looks around the tree of `snapshot` and adds what is there. `backups` and `kubeconfigs` are looked at beside the usual places.
pub(super) fn look(
    reader: &mut dyn TreeReader,
    snapshot: &mut Snapshot,
    backups: &[TreePath],
    kubeconfigs: &[TreePath],
) {
    snapshot.surroundings.get_or_insert_default();
    let mut look = Look::new(reader, snapshot);
    // What has a meaning of its own comes first: a file is read once.
    kubelet::look(&mut look);
    pods::look(&mut look);
    jobs::look(&mut look);
    copies::look(&mut look, backups, kubeconfigs);
}

/// What reads, and where what it finds belongs.
struct Look<'a> {
    reader: &'a mut dyn TreeReader,
    snapshot: &'a mut Snapshot,
    /// The files of the tree by every path that leads to them.
    known: BTreeSet<TreePath>,
}

impl<'a> Look<'a> {
    fn new(reader: &'a mut dyn TreeReader, snapshot: &'a mut Snapshot) -> Self {
        let mut known = BTreeSet::new();
        for (file, located) in snapshot.layout().iter() {
            known.insert(located.path.clone());
            known.extend(snapshot.file(file).content().and_then(|content| content.meta().target.clone()));
        }
        for (path, state) in &snapshot.others {
            known.insert(path.clone());
            known.extend(state.content().and_then(|content| content.meta().target.clone()));
        }
        Self { reader, snapshot, known }
    }

    /// Reads `path`, unless it is of the tree or was read before, within `budget`; an absent file is `None`.
    fn read(&mut self, path: &TreePath, budget: &mut Budget) -> Option<FileState> {
        if self.known.contains(path) || !budget.may_read() {
            return None;
        }
        let state = self.reader.read(path);
        let content = state.content();
        budget.bytes = budget.bytes.saturating_sub(content.map_or(0, |content| content.secret_bytes().len()));
        let target = content.and_then(|content| content.meta().target.as_ref());
        if matches!(state, FileState::Absent) || target.is_some_and(|target| self.known.contains(target)) {
            return None;
        }
        // A file that two links lead to is one file.
        self.known.extend(target.cloned());
        self.known.insert(path.clone());
        Some(state)
    }

    fn add(&mut self, area: Area, path: TreePath, state: FileState) {
        self.snapshot.insert_surrounding(area, path, state);
    }

    /// Returns whether there is a file of this path among those that were added.
    fn has(&self, path: &TreePath) -> bool {
        self.snapshot.surroundings.as_ref().is_some_and(|around| around.files.contains_key(path))
    }

    fn list(&mut self, path: &TreePath, budget: &mut Budget) -> Vec<TreePath> {
        if budget.may_list() { self.reader.list(path) } else { Vec::new() }
    }

    /// Notes that not everything in `directory` was looked at, when `budget` is used up.
    fn note(&mut self, directory: &TreePath, budget: &Budget) {
        if budget.is_exceeded {
            self.snapshot.leave_out(directory.clone());
        }
    }

    /// Reads what `wanted` takes below `directory`, down to `depth` directories in it, and hands it to `found`.
    fn walk(
        &mut self,
        directory: &TreePath,
        depth: usize,
        budget: &mut Budget,
        wanted: &dyn Fn(&TreePath) -> Wanted,
        found: &mut dyn FnMut(&mut Self, TreePath, FileState),
    ) {
        for path in self.list(directory, budget) {
            match wanted(&path) {
                Wanted::Nothing => continue,
                Wanted::File => {
                    let Some(state) = self.read(&path, budget) else {
                        // In a tree in memory a directory is nothing that can be read.
                        if depth > 0 && !self.known.contains(&path) {
                            self.walk(&path, depth - 1, budget, wanted, found);
                        }
                        continue;
                    };
                    if !is_directory(&state) {
                        found(self, path, state);
                        continue;
                    }
                }
                Wanted::Directory => {}
            }
            if depth > 0 {
                self.walk(&path, depth - 1, budget, wanted, found);
            }
        }
    }
}

/// What an entry of a directory may be, by its name.
#[derive(Clone, Copy)]
enum Wanted {
    /// A file to read, or else a directory.
    File,
    /// A directory to look into; a file is passed over.
    Directory,
    /// Nothing of interest.
    Nothing,
}

fn is_directory(state: &FileState) -> bool {
    matches!(state, FileState::Unreadable(ReadProblem::NotAFile(kind)) if kind == "directory")
}

/// How much may still be looked at in one place.
#[derive(Clone, Copy, Debug)]
struct Budget {
    files: usize,
    bytes: usize,
    lists: usize,
    is_exceeded: bool,
}

impl Budget {
    const fn new(files: usize, lists: usize) -> Self {
        Self { files, bytes: MOST_BYTES, lists, is_exceeded: false }
    }

    fn may_read(&mut self) -> bool {
        if self.files == 0 || self.bytes == 0 {
            self.is_exceeded = true;
            return false;
        }
        self.files -= 1;
        true
    }

    const fn may_list(&mut self) -> bool {
        if self.lists == 0 {
            self.is_exceeded = true;
            return false;
        }
        self.lists -= 1;
        true
    }
}

/// How much is read in one place, in bytes: 8 MiB. A whole tree takes 64 KiB, so there is room for a hundred copies of it; and
/// one file, which the host bounds, may go beyond.
const MOST_BYTES: usize = 8 << 20;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("the text is an absolute path")
}

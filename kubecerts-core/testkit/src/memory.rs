//! A node's disk in memory.

use std::collections::{BTreeMap, BTreeSet};

use kubecerts_core::catalog::Slot;
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{ChangeSet, Expected, KeySource, Signer, issue};
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{PlanRequest, Step, plan};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{
    FileContent, FileMeta, FileState, ReadProblem, ScanRequest, Snapshot, TreeReader, collect,
};
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{Certificate, PrivateKey, certificates, encode_certificate};

use crate::{Draft, Seeded, path};

/// The files of a node: content and mode by path, and links.
///
/// Only a scan follows links; what changes a file takes its own path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemoryTree {
    files: BTreeMap<TreePath, (Vec<u8>, u32)>,
    links: BTreeMap<TreePath, TreePath>,
}

impl MemoryTree {
    /// Puts `content` at `path`, replacing what is there.
    pub fn write(&mut self, path: &TreePath, content: impl Into<Vec<u8>>, mode: u32) {
        self.files.insert(path.clone(), (content.into(), mode));
    }

    /// Removes the file at `at`.
    pub fn remove(&mut self, at: &str) {
        self.files.remove(&path(at)).expect("there is such a file");
    }

    /// Changes the content of the file at `at`.
    pub fn edit(&mut self, at: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.files.get_mut(&path(at)).expect("there is such a file").0);
    }

    /// Changes the mode of the file at `at`.
    pub fn set_mode(&mut self, at: &str, mode: u32) {
        self.files.get_mut(&path(at)).expect("there is such a file").1 = mode;
    }

    /// Copies the file at `from` to `to`.
    pub fn copy(&mut self, from: &str, to: &str) {
        let file = self.files[&path(from)].clone();
        self.files.insert(path(to), file);
    }

    /// Makes a link at `at`, to a file or a directory, which need not exist; a relative target starts beside the link.
    pub fn link(&mut self, at: &str, target: &str) {
        let at = path(at);
        let target = at.parent().join(target).expect("the target is a path");
        self.links.insert(at, target);
    }

    /// Removes the link at `at`, and leaves alone what it leads to.
    pub fn unlink(&mut self, at: &str) {
        self.links.remove(&path(at)).expect("there is such a link");
    }

    /// Returns every link with its target, sorted by path.
    pub fn links(&self) -> impl Iterator<Item = (&TreePath, &TreePath)> {
        self.links.iter()
    }

    /// Returns the content of the file at `at`.
    #[must_use]
    pub fn read_file(&self, at: &str) -> &[u8] {
        &self.files[&path(at)].0
    }

    /// Returns every file with its content and mode, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &[u8], u32)> {
        self.files.iter().map(|(path, (content, mode))| (path, content.as_slice(), *mode))
    }

    /// Returns what a scan finds.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_with(ScanRequest::default())
    }

    /// Returns what a scan for `request` finds.
    #[must_use]
    pub fn snapshot_with(&self, request: ScanRequest) -> Snapshot {
        collect(&mut self.clone(), request)
    }

    /// Returns the inventory of what a scan finds that looks around the tree as well.
    #[must_use]
    pub fn inventory_around(&self) -> Inventory {
        let mut request = ScanRequest::default();
        request.surroundings = true;
        request.backups.push(path("/var/lib/kubecerts/backups"));
        Inventory::parse(&self.snapshot_with(request))
    }

    /// Returns the inventory of what a scan finds.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory::parse(&self.snapshot())
    }

    /// Renews what `request` asks for at `now` with the keys and signatures of `provider`, and returns the slots.
    pub fn renew<P: KeySource + Signer + ?Sized>(
        &mut self,
        request: &PlanRequest,
        now: Timestamp,
        provider: &mut P,
    ) -> Vec<Slot> {
        let snapshot = self.snapshot();
        let plan = plan(&Inventory::parse(&snapshot), request, now, &mut Seeded::new(1))
            .expect("the request can be planned");
        let changes = issue(&plan, &snapshot, provider).expect("what is planned can be issued");
        self.apply(&changes);
        plan.steps().iter().map(Step::slot).collect()
    }

    /// Changes the certificate at `at` and signs it again with the P-256 key at `key`.
    pub fn redraft(&mut self, at: &str, key: &str, change: impl FnOnce(&mut Draft)) {
        let mut draft = Draft::of(&self.certificate(at));
        change(&mut draft);
        let signed = draft.signed_by(&self.private_key(key));
        self.edit(at, |content| *content = encode_certificate(&signed).into_bytes());
    }

    /// Returns the first certificate in the file at `at`.
    #[must_use]
    pub fn certificate(&self, at: &str) -> Certificate {
        let mut found = certificates(self.read_file(at)).expect("the file holds certificates");
        found.remove(0).expect("the first certificate is intact")
    }

    /// Returns the private key in the file at `at`.
    #[must_use]
    pub fn private_key(&self, at: &str) -> PrivateKey {
        PrivateKey::parse(self.read_file(at)).expect("the file holds a private key")
    }

    /// Writes `changes`, after checking what each expects to replace. What is to become a link has the new content too.
    pub fn apply(&mut self, changes: &ChangeSet) {
        for change in changes.changes() {
            let found = match self.files.get(change.path()) {
                Some((content, _)) => Expected::Content(Digest::of(content)),
                None => Expected::Absent,
            };
            assert_eq!(found, change.expected(), "{} is not what the plan was made for", change.path());
            self.write(change.path(), change.secret_bytes(), change.mode());
            if let Some(name) = change.dated() {
                let beside = change.path().parent().join(name).expect("a dated name has no dots of its own");
                assert!(!self.files.contains_key(&beside), "{beside} is new");
                self.write(&beside, change.secret_bytes(), change.mode());
            }
        }
    }
}

impl MemoryTree {
    /// Returns the path behind all links, and the last link on the way.
    fn resolve(&self, path: &TreePath) -> Option<(TreePath, Option<TreePath>)> {
        let mut at = path.clone();
        let mut last = None;
        for _ in 0..MOST_LINKS {
            let on_the_way = |link: &&TreePath| **link == at || at.below(link).is_some();
            let Some(link) = self.links.keys().find(on_the_way) else { return Some((at, last)) };
            let below = at.below(link).unwrap_or_default().to_owned();
            last = Some(link.clone());
            at = self.links[link].join(&below).expect("a path below a target");
        }
        None
    }

    fn exists(&self, path: &TreePath) -> bool {
        self.files.contains_key(path) || !self.entries(path).is_empty()
    }

    fn entries(&self, path: &TreePath) -> Vec<TreePath> {
        let Some((resolved, _)) = self.resolve(path) else { return Vec::new() };
        let names: BTreeSet<&str> = self
            .files
            .keys()
            .chain(self.links.keys())
            .filter_map(|entry| entry.below(&resolved)?.split('/').next())
            .collect();
        names.into_iter().map(|name| path.join(name).expect("a name without dots")).collect()
    }
}

impl TreeReader for MemoryTree {
    fn read(&mut self, path: &TreePath) -> FileState {
        let Some((resolved, link)) = self.resolve(path) else {
            return FileState::Unreadable(ReadProblem::LinkLoop);
        };
        match (self.files.get(&resolved), link) {
            (Some((content, mode)), link) => {
                let mut meta = FileMeta::with_mode(*mode);
                meta.target = link.map(|_| resolved);
                FileState::Present(FileContent::new(SecretBytes::new(content.clone()), meta))
            }
            (None, Some(link)) if !self.exists(&self.links[&link]) => {
                let target = self.links[&link].to_string();
                FileState::Unreadable(ReadProblem::DanglingLink { link, target })
            }
            (None, _) => FileState::Absent,
        }
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        self.entries(path)
    }
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

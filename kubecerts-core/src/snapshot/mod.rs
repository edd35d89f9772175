//! What a scan of one node's disk found, before anybody has understood it.
//!
//! A [`Snapshot`] holds bytes, among them private keys; it is read once by
//! [`Inventory::parse`](crate::inventory::Inventory::parse) and kept only for the issue room, which needs the keys
//! of the authorities. [`collect`] makes one over any [`TreeReader`]:
//!
//! 1. it reads the kubelet's configuration, the static-pod manifests and the kubeadm configuration into [`Sources`];
//! 2. [`locate`] decides where every file lies, which gives [`NodeFacts`];
//! 3. it reads each file of the [`Layout`], then what [`Snapshot::references`] asks for;
//! 4. when it is asked to, it looks around the tree, into the places that [`Area`] lists.

mod addresses;
mod around;
mod collect;
mod endpoint;
mod file;
mod flags;
mod locate;
mod placing;
mod programs;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{FileSlot, KubeconfigSlot, Layout};
use crate::kubeconfig::{KeySource, Kubeconfig, Source, may_refer};
use crate::path::TreePath;

pub(crate) use addresses::first_address;
pub use addresses::{Addresses, FlagUrl};
pub use around::Area;
pub(crate) use around::service_of;
pub use collect::{ScanRequest, TreeReader, collect};
pub use endpoint::Endpoint;
pub use file::{FileContent, FileMeta, FileState, Origin, ReadProblem};
pub use flags::{FileFlag, Verified};
pub use locate::{
    Arguments, EtcdPlacement, NodeFacts, SourceProblem, Sources, Stated, TrustFile, locate,
    manifests_directory,
};
pub use programs::{FrontProxy, Programs, TokenKeyFile};

/// The files of one node at one moment. It holds secrets: no `Clone`, and wiped on drop.
///
/// Two of them are equal when the node said the same of itself, and every file has the same digest and metadata.
#[derive(Debug, PartialEq)]
pub struct Snapshot {
    node: NodeFacts,
    files: BTreeMap<FileSlot, FileState>,
    others: BTreeMap<TreePath, FileState>,
    copies: BTreeSet<TreePath>,
    /// What lies around the tree; `None` when nobody has looked.
    surroundings: Option<Around>,
}

#[derive(Debug, Default, PartialEq)]
struct Around {
    files: BTreeMap<TreePath, (Area, FileState)>,
    left_out: BTreeSet<TreePath>,
}

impl Snapshot {
    /// Returns an empty snapshot of the node that `node` describes.
    #[must_use]
    pub const fn new(node: NodeFacts) -> Self {
        Self {
            node,
            files: BTreeMap::new(),
            others: BTreeMap::new(),
            copies: BTreeSet::new(),
            surroundings: None,
        }
    }

    /// Adds what was found at the path of `file`.
    pub fn insert(&mut self, file: FileSlot, state: FileState) {
        self.files.insert(file, state);
    }

    /// Adds what was found at a path that a file of the layout refers to.
    pub fn insert_reference(&mut self, path: TreePath, state: FileState) {
        self.others.insert(path, state);
    }

    /// Adds a kubeconfig outside the layout, such as an administrator's `~/.kube/config`.
    pub fn insert_copy(&mut self, path: TreePath, state: FileState) {
        self.copies.insert(path.clone());
        self.others.insert(path, state);
    }

    /// Adds a file that lies around the tree: a backup, a copy, a timer, what pods were given.
    pub fn insert_surrounding(&mut self, area: Area, path: TreePath, state: FileState) {
        self.surroundings.get_or_insert_default().files.insert(path, (area, state));
    }

    /// Returns the files around the tree, sorted by path.
    pub fn surroundings(&self) -> impl Iterator<Item = (&TreePath, &FileState)> {
        self.around().map(|(path, _, state)| (path, state))
    }

    /// Returns the files around the tree of one area, sorted by path.
    pub fn surroundings_in(&self, area: Area) -> impl Iterator<Item = (&TreePath, &FileState)> {
        self.around().filter(move |(_, found, _)| *found == area).map(|(path, _, state)| (path, state))
    }

    /// Returns whether the scan has looked around the tree.
    #[must_use]
    pub const fn has_looked_around(&self) -> bool {
        self.surroundings.is_some()
    }

    /// Returns the directories around the tree in which not everything was looked at, because there is too much; sorted.
    pub fn left_out(&self) -> impl Iterator<Item = &TreePath> {
        self.surroundings.iter().flat_map(|around| &around.left_out)
    }

    /// Notes that not everything in a directory around the tree was looked at.
    pub fn leave_out(&mut self, directory: TreePath) {
        self.surroundings.get_or_insert_default().left_out.insert(directory);
    }

    fn around(&self) -> impl Iterator<Item = (&TreePath, Area, &FileState)> {
        let files = self.surroundings.iter().flat_map(|around| &around.files);
        files.map(|(path, (area, state))| (path, *area, state))
    }

    /// Returns what is known of the node.
    #[must_use]
    pub const fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// Returns where every file lies.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        self.node.layout()
    }

    /// Returns what was found at the path of `file`; a file that was never looked for counts as absent.
    #[must_use]
    pub fn file(&self, file: FileSlot) -> &FileState {
        self.files.get(&file).unwrap_or(&FileState::Absent)
    }

    /// Returns what was found at `path`, when that is a path of the layout or one that was added.
    #[must_use]
    pub fn at(&self, path: &TreePath) -> Option<&FileState> {
        match self.layout().slot_of(path) {
            Some(file) => Some(self.file(file)),
            None => self.others.get(path),
        }
    }

    /// Returns the paths of the kubeconfigs outside the layout.
    pub fn copies(&self) -> impl Iterator<Item = &TreePath> {
        self.copies.iter()
    }

    /// Returns the paths that kubeconfigs, manifests and the kubelet's configuration refer to and that have not been added yet,
    /// sorted.
    ///
    /// A relative path is relative to the kubeconfig (`k8s.io/client-go/tools/clientcmd`, `ResolveLocalPaths`).
    #[must_use]
    pub fn references(&self) -> BTreeSet<TreePath> {
        let of_layout = KubeconfigSlot::ALL.into_iter().map(|kubeconfig| {
            let file = FileSlot::Kubeconfig(kubeconfig);
            (self.layout().path(file), self.file(file))
        });
        let of_copies = self.copies.iter().filter_map(|path| Some((path, self.others.get(path)?)));
        of_layout
            .chain(of_copies)
            .filter_map(|(path, state)| Some((path, state.content()?.secret_bytes())))
            // What embeds everything, as kubeadm's kubeconfigs do, is read once only, by whoever wants to know more.
            .filter(|(_, bytes)| may_refer(bytes))
            .filter_map(|(path, bytes)| Some((path, Kubeconfig::parse(bytes).ok()?)))
            .flat_map(|(path, kubeconfig)| referenced(&path.parent(), &kubeconfig))
            .chain(self.node.trust_files().iter().map(|file| file.path.clone()))
            .chain(self.node.programs().token_keys.iter().map(|file| file.path.clone()))
            .chain(self.node.file_flags().iter().filter_map(|flag| flag.path.clone()))
            .filter(|path| self.at(path).is_none())
            .collect()
    }
}

/// Returns the paths that the current context of `kubeconfig` refers to.
fn referenced(directory: &TreePath, kubeconfig: &Kubeconfig) -> Vec<TreePath> {
    let Ok(current) = kubeconfig.current() else { return Vec::new() };
    let mut texts = Vec::new();
    for source in [current.cluster.certificate_authority(), current.user.client_certificate()] {
        if let Source::File(text) = source {
            texts.push(text.as_str());
        }
    }
    if let KeySource::File(text) = current.user.client_key() {
        texts.push(text.as_str());
    }
    texts.into_iter().filter_map(|text| directory.join(text).ok()).collect()
}

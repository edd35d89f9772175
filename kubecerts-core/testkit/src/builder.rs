//! Trees in memory, made to order.

use std::net::IpAddr;

use kubecerts_core::catalog::{Directories, FileSlot, Layout, PathSource};
use kubecerts_core::issue::issue;
use kubecerts_core::plan::{ClusterIntent, create};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::KeyAlgorithm;

use crate::{MemoryTree, Seeded, at};

/// Builds a tree as kubeadm would make it, with P-256 keys because they cost nothing.
///
/// ```
/// # use kubecerts_testkit::{TreeBuilder, at};
/// let tree = TreeBuilder::kubeadm().made(at("2026-01-01T00:00:00Z")).build();
/// assert!(!tree.inventory().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct TreeBuilder {
    intent: ClusterIntent,
    made: Timestamp,
    seed: u64,
    without: Vec<FileSlot>,
}

impl TreeBuilder {
    /// Returns a builder of kubeadm's default tree for the node `cp-1`, made 2026-01-01, valid for a year.
    #[must_use]
    pub fn kubeadm() -> Self {
        let mut intent = ClusterIntent::new(
            "cp-1".parse().expect("it is a node's name"),
            IpAddr::from([192, 168, 10, 11]),
        );
        intent.algorithm = KeyAlgorithm::EcdsaP256;
        Self { intent, made: at("2026-01-01T00:00:00Z"), seed: 1, without: Vec::new() }
    }

    /// Makes the tree at `moment`.
    #[must_use]
    pub const fn made(mut self, moment: Timestamp) -> Self {
        self.made = moment;
        self
    }

    /// Draws keys and serials from `seed`; two trees of different seeds share nothing but names.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Uses keys of `algorithm`.
    #[must_use]
    pub const fn algorithm(mut self, algorithm: KeyAlgorithm) -> Self {
        self.intent.algorithm = algorithm;
        self
    }

    /// Makes leaves and kubeconfigs valid for `lifetime`.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Seconds) -> Self {
        self.intent.lifetime = lifetime;
        self
    }

    /// Makes authorities valid for `lifetime`.
    #[must_use]
    pub const fn authority_lifetime(mut self, lifetime: Seconds) -> Self {
        self.intent.authority_lifetime = lifetime;
        self
    }

    /// Leaves `file` out.
    #[must_use]
    pub fn without(mut self, file: FileSlot) -> Self {
        self.without.push(file);
        self
    }

    /// Builds the tree.
    #[must_use]
    pub fn build(self) -> MemoryTree {
        let Self { intent, made, seed, without } = self;
        let empty: Snapshot = MemoryTree::default().snapshot();
        let plan = create(&intent, made, &mut Seeded::new(seed)).expect("the intent is usable");
        let changes = issue(&plan, &empty, &mut Seeded::provider(seed)).expect("a new tree can be issued");
        let mut tree = MemoryTree::default();
        tree.apply(&changes);
        let layout = Layout::kubeadm(&Directories::default(), PathSource::Default);
        for file in without {
            tree.remove(layout.path(file).as_str());
        }
        tree
    }
}

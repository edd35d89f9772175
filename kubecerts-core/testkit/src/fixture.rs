//! Trees that real kubeadm made.

use std::fs;
use std::path::{Path, PathBuf};

use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileMeta, FileState, ScanRequest};

use crate::{MemoryTree, path};

/// Every fixture, by the name of its directory.
pub const FIXTURES: [&str; 10] = [
    "kubeadm-edge-custom-cert-dir-1.36.2",
    "kubeadm-edge-expired-1.36.2",
    "kubeadm-edge-expired-leaves-1.36.2",
    "kubeadm-v120-rsa",
    "kubeadm-v132-rsa2048",
    "kubeadm-v136-ecdsa-p256",
    "kubeadm-v136-external-ca",
    "kubeadm-v136-external-etcd",
    "kubeadm-v136-rsa2048",
    "kubeadm-v136-validity",
];

/// A tree that kubeadm made, what kubeadm printed about it, and the tree after kubeadm's own renewal.
#[derive(Clone, Debug)]
pub struct Fixture {
    directory: PathBuf,
}

impl Fixture {
    /// Returns the fixture in the directory `name`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        assert!(directory.is_dir(), "there is no fixture {name}");
        Self { directory }
    }

    /// Returns where the fixture lies on this machine; its modes are not kubeadm's, since git keeps none.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the tree as `kubeadm init` left it, with the modes that kubeadm gives.
    #[must_use]
    pub fn tree(&self) -> MemoryTree {
        load(&self.directory)
    }

    /// Returns the tree after `kubeadm certs renew all`, when the fixture has one.
    #[must_use]
    pub fn renewed(&self) -> Option<MemoryTree> {
        let directory = self.directory.join("renewed");
        directory.is_dir().then(|| load(&directory))
    }

    /// Returns what kubeadm printed, from the file `name` in `expected/`.
    #[must_use]
    pub fn expected(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join("expected").join(name)).ok()
    }

    /// Returns a certificate request that kubeadm made, from the file `name` below `/etc/kubernetes`.
    #[must_use]
    pub fn request(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.join("csr/etc/kubernetes").join(name)).ok()
    }

    /// Returns a request that hands over the kubeadm configuration, as `--config` does.
    #[must_use]
    pub fn with_config(&self) -> ScanRequest {
        let bytes =
            fs::read(self.directory.join("kubeadm-config.yaml")).expect("every fixture has a configuration");
        let content = FileContent::new(SecretBytes::new(bytes), FileMeta::with_mode(0o644));
        let mut request = ScanRequest::default();
        request.kubeadm_config = Some((path("/kubeadm-config.yaml"), FileState::Present(content)));
        request
    }
}

fn load(directory: &Path) -> MemoryTree {
    let mut tree = MemoryTree::default();
    for top in ["etc", "opt", "var"] {
        add(directory, Path::new(top), &mut tree);
    }
    tree
}

fn add(root: &Path, relative: &Path, tree: &mut MemoryTree) {
    let Ok(entries) = fs::read_dir(root.join(relative)) else { return };
    for entry in entries {
        let relative = relative.join(entry.expect("a readable directory").file_name());
        let full = root.join(&relative);
        if full.is_dir() {
            add(root, &relative, tree);
            continue;
        }
        let name = relative.to_str().expect("fixtures have names in UTF-8");
        // git keeps no 0600, so the modes are set as kubeadm sets them.
        let mode = if name.ends_with(".crt") { 0o644 } else { 0o600 };
        tree.write(&path(&format!("/{name}")), fs::read(&full).expect("a readable fixture"), mode);
    }
}

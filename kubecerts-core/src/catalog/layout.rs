//! Where the files of one node lie, and who said so.

use std::collections::BTreeMap;
use std::fmt;

use super::{CaSlot, FileSlot, KubeconfigSlot, LeafSlot};
use crate::path::TreePath;

/// The directories from which kubeadm derives its paths.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Directories {
    /// Certificates and keys: `--cert-dir`, `certificatesDir`; by default `/etc/kubernetes/pki`.
    pub certificates: TreePath,
    /// Kubeconfigs: `--kubeconfig-dir`; by default `/etc/kubernetes`.
    pub kubeconfigs: TreePath,
    /// Static-pod manifests: the kubelet's `staticPodPath`; by default `/etc/kubernetes/manifests`.
    pub manifests: TreePath,
    /// The kubelet's own directory: `--root-dir`; by default `/var/lib/kubelet`.
    pub kubelet: TreePath,
}

impl Default for Directories {
    fn default() -> Self {
        let path = |text| TreePath::parse(text).expect("the default directories are absolute");
        Self {
            certificates: path("/etc/kubernetes/pki"),
            kubeconfigs: path("/etc/kubernetes"),
            manifests: path("/etc/kubernetes/manifests"),
            kubelet: path("/var/lib/kubelet"),
        }
    }
}

/// Who named a path or a fact. Sources are asked in this order, and the first that answers wins.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the order of sources is part of the architecture")]
pub enum PathSource {
    /// An explicit argument of the caller.
    Argument,
    /// A static-pod manifest.
    Manifest,
    /// The kubelet's configuration or kubeconfig.
    KubeletConfig,
    /// The kubeadm configuration.
    KubeadmConfig,
    /// Beside a file that a better source named.
    Sibling,
    /// kubeadm's default.
    Default,
}

impl fmt::Display for PathSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "argument",
            Self::Manifest => "manifest",
            Self::KubeletConfig => "kubelet configuration",
            Self::KubeadmConfig => "kubeadm configuration",
            Self::Sibling => "beside a file of the manifests",
            Self::Default => "default",
        })
    }
}

/// A path and who named it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Located {
    /// The path as the node itself would write it.
    pub path: TreePath,
    /// Who named it.
    pub source: PathSource,
}

/// The path of every file of one node.
///
/// There is exactly one path for each [`FileSlot`]; nothing outside these paths is ever written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    files: BTreeMap<FileSlot, Located>,
}

impl Layout {
    /// Returns kubeadm's layout below `directories`.
    #[must_use]
    pub fn kubeadm(directories: &Directories, source: PathSource) -> Self {
        let files = FileSlot::all()
            .map(|file| (file, Located { path: kubeadm_path(directories, file), source }))
            .collect();
        Self { files }
    }

    /// Moves `file` to `path`, on the word of `source`.
    pub fn relocate(&mut self, file: FileSlot, path: TreePath, source: PathSource) {
        self.files.insert(file, Located { path, source });
    }

    /// Returns where `file` lies.
    ///
    /// # Panics
    /// Never: a layout has a path for every slot from its construction on.
    #[must_use]
    pub fn locate(&self, file: FileSlot) -> &Located {
        self.files.get(&file).expect("a layout has a path for every slot")
    }

    /// Returns the path of `file`.
    #[must_use]
    pub fn path(&self, file: FileSlot) -> &TreePath {
        &self.locate(file).path
    }

    /// Returns every file with its place, sorted by slot.
    pub fn iter(&self) -> impl Iterator<Item = (FileSlot, &Located)> {
        self.files.iter().map(|(file, located)| (*file, located))
    }

    /// Returns the slot whose file is `path`, if any.
    #[must_use]
    pub fn slot_of(&self, path: &TreePath) -> Option<FileSlot> {
        self.iter().find(|(_, located)| located.path == *path).map(|(file, _)| file)
    }
}

fn kubeadm_path(directories: &Directories, file: FileSlot) -> TreePath {
    let Directories { certificates, kubeconfigs, manifests: _, kubelet } = directories;
    let (directory, name) = match file {
        FileSlot::CaCertificate(ca) => (certificates, format!("{}.crt", CaSlot::base_name(ca))),
        FileSlot::CaKey(ca) => (certificates, format!("{}.key", CaSlot::base_name(ca))),
        FileSlot::LeafCertificate(leaf) => (certificates, format!("{}.crt", LeafSlot::base_name(leaf))),
        FileSlot::LeafKey(leaf) => (certificates, format!("{}.key", LeafSlot::base_name(leaf))),
        FileSlot::Kubeconfig(kubeconfig) => (kubeconfigs, KubeconfigSlot::name(kubeconfig).to_owned()),
        FileSlot::ServiceAccountKey => (certificates, "sa.key".to_owned()),
        FileSlot::ServiceAccountPublicKey => (certificates, "sa.pub".to_owned()),
        FileSlot::KubeletClient => (kubelet, "pki/kubelet-client-current.pem".to_owned()),
        FileSlot::KubeletServingCertificate => (kubelet, "pki/kubelet.crt".to_owned()),
        FileSlot::KubeletServingKey => (kubelet, "pki/kubelet.key".to_owned()),
    };
    directory.join(&name).expect("kubeadm's file names have no `..`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_layout_is_kubeadms() {
        let layout = Layout::kubeadm(&Directories::default(), PathSource::Default);
        let path = |file| layout.path(file).as_str();
        assert_eq!(path(FileSlot::LeafKey(LeafSlot::EtcdPeer)), "/etc/kubernetes/pki/etcd/peer.key");
        assert_eq!(path(FileSlot::CaCertificate(CaSlot::Etcd)), "/etc/kubernetes/pki/etcd/ca.crt");
        assert_eq!(
            path(FileSlot::Kubeconfig(KubeconfigSlot::SuperAdmin)),
            "/etc/kubernetes/super-admin.conf"
        );
        assert_eq!(path(FileSlot::KubeletClient), "/var/lib/kubelet/pki/kubelet-client-current.pem");
    }

    #[test]
    fn paths_lead_back_to_their_slots() {
        let layout = Layout::kubeadm(&Directories::default(), PathSource::Default);
        for (file, located) in layout.iter() {
            assert_eq!(layout.slot_of(&located.path), Some(file));
        }
    }
}

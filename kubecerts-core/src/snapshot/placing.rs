//! At which path each file of the tree lies, when manifests, kubeadm's configuration and its defaults say so.
//!
//! A flag that names the file of something else is a mistake, and everything that follows it would be made one: a renewal would
//! overwrite the file of another certificate, or sign with another authority. So several flags are asked about each file where there
//! are several, and one that names the file of something else is passed over, as long as anything speaks for another place.

use super::Arguments;
use super::locate::{Pods, host_path};
use crate::catalog::{
    CaSlot, Component, Directories, FileSlot, KubeconfigSlot, Layout, LeafSlot, PathSource, Slot,
};
use crate::manifest::{KubeadmConfig, KubeletConfig};
use crate::path::TreePath;

/// Returns where every file lies.
pub(super) fn layout(
    arguments: &Arguments,
    directories: &Directories,
    kubelet: Option<&KubeletConfig>,
    kubeadm: Option<&KubeadmConfig>,
    pods: &Pods,
) -> Layout {
    let mut layout = Layout::kubeadm(directories, PathSource::Default);
    for file in FileSlot::all() {
        let source = match file {
            FileSlot::Kubeconfig(_) if arguments.kubeconfigs.is_some() => PathSource::Argument,
            FileSlot::Kubeconfig(_) if pods.contains_key(&Component::Scheduler) => PathSource::Sibling,
            FileSlot::KubeletClient | FileSlot::KubeletServingCertificate | FileSlot::KubeletServingKey
                if arguments.kubelet.is_some() =>
            {
                PathSource::Argument
            }
            FileSlot::Kubeconfig(_)
            | FileSlot::KubeletClient
            | FileSlot::KubeletServingCertificate
            | FileSlot::KubeletServingKey => PathSource::Default,
            _ if arguments.certificates.is_some() => PathSource::Argument,
            _ if kubeadm.and_then(KubeadmConfig::certificates_dir).is_some() => PathSource::KubeadmConfig,
            _ => PathSource::Default,
        };
        let path = layout.path(file).clone();
        layout.relocate(file, path, source);
    }
    let votes = Votes::of(pods, kubelet, &layout);
    for file in FileSlot::all() {
        if layout.locate(file).source != PathSource::Argument
            && let Some((path, source)) = votes.decide(file)
        {
            layout.relocate(file, path, source);
        }
    }
    add_siblings(&mut layout, &votes);
    add_kubelet(&mut layout, directories, kubelet);
    layout
}

/// Returns the file of the tree that a flag is to name, if it is to name one.
pub(super) fn file_of(component: Component, flag: &str) -> Option<FileSlot> {
    let mut flags = FLAGS.into_iter().chain(WITNESSES);
    flags.find(|(owner, name, _)| *owner == component && *name == flag).map(|(.., file)| file)
}

/// What the manifests say about where files lie.
struct Votes {
    /// What each flag says, the word that counts most first.
    votes: Vec<Vote>,
    /// Where each file lies when no flag says otherwise.
    usual: Layout,
}

struct Vote {
    file: FileSlot,
    path: TreePath,
    /// Whether it counts by itself, and not only where others are in doubt.
    decides: bool,
}

impl Votes {
    fn of(pods: &Pods, kubelet: Option<&KubeletConfig>, usual: &Layout) -> Self {
        let votes = |decides| {
            move |(component, flag, file)| {
                let path = host_path(pods, component, flag)?;
                Some(Vote { file, path, decides })
            }
        };
        let of_kubelet = kubelet.and_then(KubeletConfig::client_ca_file).map(|path| Vote {
            file: FileSlot::CaCertificate(CaSlot::Cluster),
            path: path.clone(),
            decides: false,
        });
        let decisive = FLAGS.into_iter().rev().filter_map(votes(true));
        let further = WITNESSES.into_iter().filter_map(votes(false)).chain(of_kubelet);
        Self { votes: decisive.chain(further).collect(), usual: usual.clone() }
    }

    fn paths(&self, file: FileSlot) -> impl Iterator<Item = &TreePath> {
        self.votes.iter().filter(move |vote| vote.file == file).map(|vote| &vote.path)
    }

    /// Returns where `file` lies by the flags; `None` when no flag says so.
    fn decide(&self, file: FileSlot) -> Option<(TreePath, PathSource)> {
        let first = &self.votes.iter().find(|vote| vote.file == file && vote.decides)?.path;
        let taken = self.taken_by(file, first);
        if taken.is_none() && !self.is_outvoted(file, first) {
            return Some((first.clone(), PathSource::Manifest));
        }
        let others = || self.paths(file).filter(|path| *path != first);
        let by_name = others().find(|path| named(path) == Some(file));
        if let Some(path) = by_name.or_else(|| others().find(|path| self.taken_by(file, path).is_none())) {
            return Some((path.clone(), PathSource::Manifest));
        }
        // What all flags agree on is meant, and an authority may be one for everything.
        let is_meant = matches!(file, FileSlot::CaCertificate(_)) || self.paths(file).count() > 1;
        match taken.filter(|_| !is_meant).and_then(|other| beside(first, other, file)) {
            Some(path) => Some((path, PathSource::Sibling)),
            None => Some((first.clone(), PathSource::Manifest)),
        }
    }

    /// Returns what else the file at `path` is by its name, if that is where that lies.
    fn taken_by(&self, file: FileSlot, path: &TreePath) -> Option<FileSlot> {
        let other = named(path).filter(|other| *other != file && !may_be(file, *other))?;
        let is_there = self.paths(other).any(|stated| stated == path)
            || self.usual.path(other) == path
            || matches!(other, FileSlot::CaKey(ca)
                if self.paths(FileSlot::CaCertificate(ca)).any(|certificate| key_beside(certificate).as_ref() == Some(path)));
        is_there.then_some(other)
    }

    /// Returns whether all other flags agree on another path that has the name of `file`, as `path` has not, or that is kubeadm's.
    fn is_outvoted(&self, file: FileSlot, path: &TreePath) -> bool {
        let others: Vec<&TreePath> = self.paths(file).skip(1).collect();
        let is_named = |path: &TreePath| named(path) == Some(file);
        let agreed = |other: &&TreePath| *other == others[0] && *other != path && is_named(other);
        others.len() >= 2
            && others.iter().all(agreed)
            && (!is_named(path) || others[0] == self.usual.path(file))
    }
}

/// Returns the file of the tree that has the name of `path` as kubeadm gives it, the longest one where several fit.
fn named(path: &TreePath) -> Option<FileSlot> {
    let text = path.as_str();
    let fits = |file: &FileSlot| {
        let name = name(*file)?;
        text.strip_suffix(name.as_str()).filter(|rest| rest.ends_with('/')).map(|_| name.len())
    };
    FileSlot::all().filter_map(|file| Some((fits(&file)?, file))).max().map(|(_, file)| file)
}

/// Returns the name of a file below kubeadm's directory; `None` for the kubelet's own.
fn name(file: FileSlot) -> Option<String> {
    Some(match file {
        FileSlot::CaCertificate(ca) => format!("{}.crt", ca.base_name()),
        FileSlot::CaKey(ca) => format!("{}.key", ca.base_name()),
        FileSlot::LeafCertificate(leaf) => format!("{}.crt", leaf.base_name()),
        FileSlot::LeafKey(leaf) => format!("{}.key", leaf.base_name()),
        FileSlot::Kubeconfig(kubeconfig) => kubeconfig.name().to_owned(),
        FileSlot::ServiceAccountKey => "sa.key".to_owned(),
        FileSlot::ServiceAccountPublicKey => "sa.pub".to_owned(),
        FileSlot::KubeletClient | FileSlot::KubeletServingCertificate | FileSlot::KubeletServingKey => {
            return None;
        }
    })
}

/// Returns where `file` lies in the directory in which `path` is `other`.
fn beside(path: &TreePath, other: FileSlot, file: FileSlot) -> Option<TreePath> {
    let directory = path.as_str().strip_suffix(&name(other)?)?;
    TreePath::parse(&format!("{directory}{}", name(file)?)).ok()
}

/// Returns whether `file` may be what is at the path of `other`.
fn may_be(file: FileSlot, other: FileSlot) -> bool {
    let is_etcds =
        |file: FileSlot| matches!(file.slot(), Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer));
    // A server of etcd and its peer may be one, as kubespray's are; and a private key verifies as its public half does.
    is_etcds(file) && is_etcds(other) && file.kind() == other.kind()
        || (file, other) == (FileSlot::ServiceAccountPublicKey, FileSlot::ServiceAccountKey)
}

/// The flags that name a file of the tree. Where two flags name the same file, the later row wins.
const FLAGS: [(Component, &str, FileSlot); 24] = {
    use Component::{ApiServer, ControllerManager, Etcd, Scheduler};
    use FileSlot::{
        CaCertificate, CaKey, Kubeconfig, LeafCertificate, LeafKey, ServiceAccountKey,
        ServiceAccountPublicKey,
    };
    [
        (ApiServer, "tls-cert-file", LeafCertificate(LeafSlot::ApiServer)),
        (ApiServer, "tls-private-key-file", LeafKey(LeafSlot::ApiServer)),
        (ApiServer, "client-ca-file", CaCertificate(CaSlot::Cluster)),
        (ApiServer, "etcd-cafile", CaCertificate(CaSlot::Etcd)),
        (ApiServer, "etcd-certfile", LeafCertificate(LeafSlot::ApiServerEtcdClient)),
        (ApiServer, "etcd-keyfile", LeafKey(LeafSlot::ApiServerEtcdClient)),
        (ApiServer, "kubelet-client-certificate", LeafCertificate(LeafSlot::ApiServerKubeletClient)),
        (ApiServer, "kubelet-client-key", LeafKey(LeafSlot::ApiServerKubeletClient)),
        (ApiServer, "proxy-client-cert-file", LeafCertificate(LeafSlot::FrontProxyClient)),
        (ApiServer, "proxy-client-key-file", LeafKey(LeafSlot::FrontProxyClient)),
        (ApiServer, "requestheader-client-ca-file", CaCertificate(CaSlot::FrontProxy)),
        (ApiServer, "service-account-key-file", ServiceAccountPublicKey),
        (ControllerManager, "service-account-private-key-file", ServiceAccountKey),
        (ApiServer, "service-account-signing-key-file", ServiceAccountKey),
        (ControllerManager, "cluster-signing-cert-file", CaCertificate(CaSlot::Cluster)),
        (ControllerManager, "cluster-signing-key-file", CaKey(CaSlot::Cluster)),
        (ControllerManager, "kubeconfig", Kubeconfig(KubeconfigSlot::ControllerManager)),
        (Scheduler, "kubeconfig", Kubeconfig(KubeconfigSlot::Scheduler)),
        (Etcd, "cert-file", LeafCertificate(LeafSlot::EtcdServer)),
        (Etcd, "key-file", LeafKey(LeafSlot::EtcdServer)),
        (Etcd, "peer-cert-file", LeafCertificate(LeafSlot::EtcdPeer)),
        (Etcd, "peer-key-file", LeafKey(LeafSlot::EtcdPeer)),
        (Etcd, "peer-trusted-ca-file", CaCertificate(CaSlot::Etcd)),
        (Etcd, "trusted-ca-file", CaCertificate(CaSlot::Etcd)),
    ]
};

/// The flags that are to name the same files, and are asked only where those above are in doubt: they may name bundles as well.
const WITNESSES: [(Component, &str, FileSlot); 3] = [
    (Component::ControllerManager, "client-ca-file", FileSlot::CaCertificate(CaSlot::Cluster)),
    (Component::ControllerManager, "root-ca-file", FileSlot::CaCertificate(CaSlot::Cluster)),
    (
        Component::ControllerManager,
        "requestheader-client-ca-file",
        FileSlot::CaCertificate(CaSlot::FrontProxy),
    ),
];

/// Moves the files that no flag names beside those that a manifest does name.
fn add_siblings(layout: &mut Layout, votes: &Votes) {
    let from_manifest = |layout: &Layout, file| {
        let located = layout.locate(file);
        (located.source == PathSource::Manifest).then(|| located.path.clone())
    };
    for ca in CaSlot::ALL {
        let (certificate, key) = (FileSlot::CaCertificate(ca), FileSlot::CaKey(ca));
        // A key that was named with a certificate that was passed over is passed over too.
        let followed = layout.locate(key);
        let is_left = |passed: &TreePath| {
            *passed != *layout.path(certificate) && key_beside(passed).as_ref() == Some(&followed.path)
        };
        let is_followed = followed.source < PathSource::Sibling;
        let may_be_left = followed.source == PathSource::Manifest;
        if is_followed && !(may_be_left && votes.paths(certificate).any(is_left)) {
            continue;
        }
        if let Some(path) = from_manifest(layout, certificate).and_then(|path| key_beside(&path)) {
            layout.relocate(key, path, PathSource::Sibling);
        }
    }
    let leaf = LeafSlot::EtcdHealthcheckClient;
    let usual = layout.path(FileSlot::LeafCertificate(leaf)).parent();
    // Where only some of etcd's files were moved, the one that no flag names was not.
    let of_etcd = [FileSlot::CaCertificate(CaSlot::Etcd), FileSlot::LeafCertificate(LeafSlot::EtcdPeer)];
    let has_moved = !of_etcd
        .into_iter()
        .filter_map(|file| from_manifest(layout, file))
        .any(|path| path.parent() == usual);
    if let Some(server) =
        from_manifest(layout, FileSlot::LeafCertificate(LeafSlot::EtcdServer)).filter(|_| has_moved)
    {
        for (file, name) in [
            (FileSlot::LeafCertificate(leaf), "healthcheck-client.crt"),
            (FileSlot::LeafKey(leaf), "healthcheck-client.key"),
        ] {
            if let Ok(path) = server.parent().join(name) {
                layout.relocate(file, path, PathSource::Sibling);
            }
        }
    }
}

/// Returns where the key of a certificate lies by the customs of kubeadm (`.crt`, `.key`) and of kubespray's etcd
/// (`.pem`, `-key.pem`).
fn key_beside(certificate: &TreePath) -> Option<TreePath> {
    let text = certificate.as_str();
    let key = match (text.strip_suffix(".crt"), text.strip_suffix(".pem")) {
        (Some(stem), _) => format!("{stem}.key"),
        (None, Some(stem)) => format!("{stem}-key.pem"),
        (None, None) => return None,
    };
    TreePath::parse(&key).ok()
}

fn add_kubelet(layout: &mut Layout, directories: &Directories, kubelet: Option<&KubeletConfig>) {
    let Some(kubelet) = kubelet else { return };
    if let Some(path) = kubelet.tls_cert_file() {
        layout.relocate(FileSlot::KubeletServingCertificate, path.clone(), PathSource::KubeletConfig);
        if let Some(path) = kubelet.tls_private_key_file() {
            layout.relocate(FileSlot::KubeletServingKey, path.clone(), PathSource::KubeletConfig);
        }
    } else if kubelet.server_tls_bootstrap() == Some(true) {
        // The kubelet keeps a certificate that the cluster signed, and its key, behind this link.
        if let Ok(path) = directories.kubelet.join("pki/kubelet-server-current.pem") {
            layout.relocate(FileSlot::KubeletServingCertificate, path.clone(), PathSource::KubeletConfig);
            layout.relocate(FileSlot::KubeletServingKey, path, PathSource::KubeletConfig);
        }
    }
}

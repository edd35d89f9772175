//! The files that the manifests name, flag by flag.

use std::collections::BTreeMap;

use super::placing;
use crate::catalog::{CaSlot, Component, FileSlot, LeafSlot};
use crate::manifest::StaticPod;
use crate::path::TreePath;

/// A flag that names a file of certificates or keys, or a kubeconfig, and that kubeadm always gives.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileFlag {
    /// Whose flag it is.
    pub component: Component,
    /// The flag, without dashes.
    pub flag: &'static str,
    /// What the program verifies with the certificates in the file, if it is a file of authorities.
    pub verifies: Option<Verified>,
    /// The file, on the host; `None` when the flag is not given.
    pub path: Option<TreePath>,
    /// Which file of the tree it should be.
    pub file: Option<FileSlot>,
}

/// What a program verifies with the authorities in a file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "a certificate is verified, or all that an authority has signed")]
pub enum Verified {
    /// This certificate of the tree.
    Leaf(LeafSlot),
    /// Whatever the authority has signed, of which the tree need not have anything.
    AllOf(CaSlot),
}

/// Returns the flags of every program that has a manifest, in the order of the components. A file that the host does not hold, such
/// as one in a secret, is left out.
pub(super) fn file_flags(pods: &BTreeMap<Component, StaticPod>) -> Vec<FileFlag> {
    let of_pod = |(component, flag, verifies)| {
        let pod: &StaticPod = pods.get(&component)?;
        let given = pod.flag(flag);
        // An empty value is how a controller-manager is told that the authority's key is elsewhere.
        if given.is_some_and(str::is_empty) && flag.starts_with("cluster-signing-") {
            return None;
        }
        let path = match given.filter(|value| !value.is_empty()) {
            Some(value) => Some(pod.host_path(value)?),
            None => None,
        };
        Some(FileFlag { component, flag, verifies, path, file: file_of(component, flag) })
    };
    FLAGS.into_iter().filter_map(of_pod).collect()
}

/// A program asks who its own clients are as it asks for everything else.
fn file_of(component: Component, flag: &str) -> Option<FileSlot> {
    let flag = if flag.ends_with("-kubeconfig") { "kubeconfig" } else { flag };
    placing::file_of(component, flag)
}

/// What kubeadm gives since 1.20 at the least (`cmd/kubeadm/app/phases/controlplane/manifests.go`, `phases/etcd/local.go`).
const FLAGS: [(Component, &str, Option<Verified>); 29] = {
    use Component::{ApiServer, ControllerManager, Etcd, Scheduler};
    use Verified::{AllOf, Leaf};
    [
        (Etcd, "cert-file", None),
        (Etcd, "key-file", None),
        (Etcd, "peer-cert-file", None),
        (Etcd, "peer-key-file", None),
        (Etcd, "trusted-ca-file", Some(Leaf(LeafSlot::ApiServerEtcdClient))),
        (Etcd, "peer-trusted-ca-file", Some(Leaf(LeafSlot::EtcdPeer))),
        (ApiServer, "tls-cert-file", None),
        (ApiServer, "tls-private-key-file", None),
        (ApiServer, "client-ca-file", Some(Leaf(LeafSlot::ApiServerKubeletClient))),
        (ApiServer, "etcd-cafile", Some(Leaf(LeafSlot::EtcdServer))),
        (ApiServer, "etcd-certfile", None),
        (ApiServer, "etcd-keyfile", None),
        (ApiServer, "kubelet-client-certificate", None),
        (ApiServer, "kubelet-client-key", None),
        (ControllerManager, "cluster-signing-cert-file", None),
        (ControllerManager, "cluster-signing-key-file", None),
        (ControllerManager, "service-account-private-key-file", None),
        (ControllerManager, "kubeconfig", None),
        (ControllerManager, "authentication-kubeconfig", None),
        (ControllerManager, "authorization-kubeconfig", None),
        (ControllerManager, "client-ca-file", Some(AllOf(CaSlot::Cluster))),
        (ControllerManager, "requestheader-client-ca-file", Some(Leaf(LeafSlot::FrontProxyClient))),
        (ControllerManager, "root-ca-file", Some(Leaf(LeafSlot::ApiServer))),
        (Scheduler, "kubeconfig", None),
        (Scheduler, "authentication-kubeconfig", None),
        (Scheduler, "authorization-kubeconfig", None),
        // That these are given at all is part of a check of its own.
        (ApiServer, "requestheader-client-ca-file", Some(Leaf(LeafSlot::FrontProxyClient))),
        (ApiServer, "proxy-client-cert-file", None),
        (ApiServer, "proxy-client-key-file", None),
    ]
};

//! The names of things: certificate authorities, leaves, kubeconfigs, and the slot that is any of them.

use std::fmt;
use std::str::FromStr;

/// A certificate authority of a kubeadm control plane.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum CaSlot {
    /// `ca`: the cluster's authority; signs the API server, its clients and the kubelets.
    Cluster,
    /// `etcd-ca`: signs etcd's servers and peers, and etcd's clients.
    Etcd,
    /// `front-proxy-ca`: signs the client certificate with which the API server calls aggregated APIs.
    FrontProxy,
}

impl CaSlot {
    /// Every authority, sorted as kubeadm sorts them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Etcd, Self::FrontProxy];

    /// Returns kubeadm's name: `ca`, `etcd-ca`, `front-proxy-ca`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "ca",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }
}

impl fmt::Display for CaSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A certificate with a key file of its own that an authority of the tree signs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum LeafSlot {
    /// `apiserver`: the API server's serving certificate.
    ApiServer,
    /// `apiserver-etcd-client`: the API server as etcd's client.
    ApiServerEtcdClient,
    /// `apiserver-kubelet-client`: the API server as the kubelets' client.
    ApiServerKubeletClient,
    /// `etcd-healthcheck-client`: liveness probes and `etcdctl` as etcd's client.
    EtcdHealthcheckClient,
    /// `etcd-peer`: etcd members among each other.
    EtcdPeer,
    /// `etcd-server`: etcd's serving certificate.
    EtcdServer,
    /// `front-proxy-client`: the API server as the client of aggregated API servers.
    FrontProxyClient,
}

impl LeafSlot {
    /// Every leaf, sorted by name as kubeadm sorts them.
    pub const ALL: [Self; 7] = [
        Self::ApiServer,
        Self::ApiServerEtcdClient,
        Self::ApiServerKubeletClient,
        Self::EtcdHealthcheckClient,
        Self::EtcdPeer,
        Self::EtcdServer,
        Self::FrontProxyClient,
    ];

    /// Returns kubeadm's name, such as `apiserver-etcd-client`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "apiserver",
            Self::ApiServerEtcdClient => "apiserver-etcd-client",
            Self::ApiServerKubeletClient => "apiserver-kubelet-client",
            Self::EtcdHealthcheckClient => "etcd-healthcheck-client",
            Self::EtcdPeer => "etcd-peer",
            Self::EtcdServer => "etcd-server",
            Self::FrontProxyClient => "front-proxy-client",
        }
    }
}

impl fmt::Display for LeafSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kubeconfig file that kubeadm writes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum KubeconfigSlot {
    /// `admin.conf`: for the administrator and for kubeadm itself.
    Admin,
    /// `controller-manager.conf`: for kube-controller-manager.
    ControllerManager,
    /// `kubelet.conf`: for this node's kubelet; kubeadm neither lists nor renews it.
    Kubelet,
    /// `scheduler.conf`: for kube-scheduler.
    Scheduler,
    /// `super-admin.conf`: outside RBAC; on the first control-plane node only, from kubeadm 1.29.
    SuperAdmin,
}

impl KubeconfigSlot {
    /// Every kubeconfig, sorted by file name.
    pub const ALL: [Self; 5] =
        [Self::Admin, Self::ControllerManager, Self::Kubelet, Self::Scheduler, Self::SuperAdmin];

    /// Returns the file name, which is kubeadm's name: `admin.conf`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin.conf",
            Self::ControllerManager => "controller-manager.conf",
            Self::Kubelet => "kubelet.conf",
            Self::Scheduler => "scheduler.conf",
            Self::SuperAdmin => "super-admin.conf",
        }
    }
}

impl fmt::Display for KubeconfigSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Any artefact of the tree.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum Slot {
    /// A certificate authority.
    Ca(CaSlot),
    /// A leaf with files of its own.
    Leaf(LeafSlot),
    /// A kubeconfig with an embedded client certificate.
    Kubeconfig(KubeconfigSlot),
    /// `sa`: the key pair that signs service account tokens; not a certificate.
    ServiceAccount,
    /// `kubelet-client`: the client certificate that the kubelet rotates itself.
    KubeletClient,
    /// `kubelet-serving`: the kubelet's serving certificate, self-signed or rotated.
    KubeletServing,
}

impl Slot {
    /// Every slot, sorted.
    pub const ALL: [Self; 18] = [
        Self::Kubeconfig(KubeconfigSlot::Admin),
        Self::Leaf(LeafSlot::ApiServer),
        Self::Leaf(LeafSlot::ApiServerEtcdClient),
        Self::Leaf(LeafSlot::ApiServerKubeletClient),
        Self::Kubeconfig(KubeconfigSlot::ControllerManager),
        Self::Leaf(LeafSlot::EtcdHealthcheckClient),
        Self::Leaf(LeafSlot::EtcdPeer),
        Self::Leaf(LeafSlot::EtcdServer),
        Self::Leaf(LeafSlot::FrontProxyClient),
        Self::Kubeconfig(KubeconfigSlot::Scheduler),
        Self::Kubeconfig(KubeconfigSlot::SuperAdmin),
        Self::KubeletClient,
        Self::KubeletServing,
        Self::Kubeconfig(KubeconfigSlot::Kubelet),
        Self::Ca(CaSlot::Cluster),
        Self::Ca(CaSlot::Etcd),
        Self::Ca(CaSlot::FrontProxy),
        Self::ServiceAccount,
    ];

    /// Returns the name by which users know the slot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ca(ca) => ca.name(),
            Self::Leaf(leaf) => leaf.name(),
            Self::Kubeconfig(kubeconfig) => kubeconfig.name(),
            Self::ServiceAccount => "sa",
            Self::KubeletClient => "kubelet-client",
            Self::KubeletServing => "kubelet-serving",
        }
    }

    /// Returns whether `kubeadm certs check-expiration` and `renew all` know this slot as a renewable certificate.
    ///
    /// kubelet.conf is written by kubeadm but left to the kubelet afterwards
    /// (`cmd/kubeadm/app/phases/certs/renewal/manager.go`).
    #[must_use]
    pub const fn renewed_by_kubeadm(self) -> bool {
        match self {
            Self::Leaf(_) => true,
            Self::Kubeconfig(kubeconfig) => !matches!(kubeconfig, KubeconfigSlot::Kubelet),
            Self::Ca(_) | Self::ServiceAccount | Self::KubeletClient | Self::KubeletServing => false,
        }
    }

    /// Returns the authority that signs this slot's certificate, or `None` for what signs itself or is no certificate.
    #[must_use]
    pub const fn issuer(self) -> Option<CaSlot> {
        match self {
            Self::Leaf(leaf) => Some(leaf.issuer()),
            Self::Kubeconfig(_) | Self::KubeletClient => Some(CaSlot::Cluster),
            Self::Ca(_) | Self::ServiceAccount | Self::KubeletServing => None,
        }
    }

    /// Position in [`Slot::ALL`]: kubeadm's own rows by name, then the kubelet's, then authorities.
    const fn rank(self) -> u8 {
        match self {
            Self::Kubeconfig(KubeconfigSlot::Admin) => 0,
            Self::Leaf(leaf) => match leaf {
                LeafSlot::ApiServer => 1,
                LeafSlot::ApiServerEtcdClient => 2,
                LeafSlot::ApiServerKubeletClient => 3,
                LeafSlot::EtcdHealthcheckClient => 5,
                LeafSlot::EtcdPeer => 6,
                LeafSlot::EtcdServer => 7,
                LeafSlot::FrontProxyClient => 8,
            },
            Self::Kubeconfig(KubeconfigSlot::ControllerManager) => 4,
            Self::Kubeconfig(KubeconfigSlot::Scheduler) => 9,
            Self::Kubeconfig(KubeconfigSlot::SuperAdmin) => 10,
            Self::KubeletClient => 11,
            Self::KubeletServing => 12,
            Self::Kubeconfig(KubeconfigSlot::Kubelet) => 13,
            Self::Ca(CaSlot::Cluster) => 14,
            Self::Ca(CaSlot::Etcd) => 15,
            Self::Ca(CaSlot::FrontProxy) => 16,
            Self::ServiceAccount => 17,
        }
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Slot {
    type Err = UnknownName;

    /// Parses kubeadm's name of a slot, or the path of its file below the certificate directory (`etcd/server`,
    /// `pki/etcd/server.crt`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.trim_start_matches("pki/");
        let bare = bare.strip_suffix(".crt").or_else(|| bare.strip_suffix(".key")).unwrap_or(bare);
        let flat = bare.replace('/', "-");
        Self::ALL
            .into_iter()
            .find(|slot| {
                let name = slot.name();
                name == flat
                    || name.strip_suffix(".conf").is_some_and(|stem| stem == flat && stem != "kubelet")
            })
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// A text that names no artefact of kubeadm.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the name of a certificate, kubeconfig or authority of kubeadm")]
pub struct UnknownName(String);

impl UnknownName {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_sorted_and_complete() {
        assert!(Slot::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        let count = CaSlot::ALL.len() + LeafSlot::ALL.len() + KubeconfigSlot::ALL.len() + 3;
        assert_eq!(Slot::ALL.len(), count);
    }

    #[test]
    fn every_name_parses_to_its_slot() {
        for slot in Slot::ALL {
            assert_eq!(slot.name().parse(), Ok(slot));
        }
    }

    #[test]
    fn file_paths_and_short_names_are_understood() {
        assert_eq!("etcd/server".parse(), Ok(Slot::Leaf(LeafSlot::EtcdServer)));
        assert_eq!("pki/etcd/ca.crt".parse(), Ok(Slot::Ca(CaSlot::Etcd)));
        assert_eq!("admin".parse(), Ok(Slot::Kubeconfig(KubeconfigSlot::Admin)));
        assert!("all".parse::<Slot>().is_err());
        assert!("kubelet".parse::<Slot>().is_err());
    }
}

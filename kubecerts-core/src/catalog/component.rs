//! The programs of a control-plane node, and which of them notice a changed file by themselves.

use std::fmt;

use super::{CaSlot, FileSlot, KubeconfigSlot, KubernetesVersion, LeafSlot};

/// A program that loads certificates.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum Component {
    /// `etcd`, first because the API server needs it.
    Etcd,
    /// `kube-apiserver`.
    ApiServer,
    /// `kube-controller-manager`.
    ControllerManager,
    /// `kube-scheduler`.
    Scheduler,
    /// `kubelet`, a service of the host.
    Kubelet,
}

/// Whether a running program picks up a changed file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum Reload {
    /// It watches the file, or reads it anew for every connection.
    ByItself,
    /// It is not known for this version; treat it as [`Reload::NeedsRestart`].
    Unknown,
    /// It read the file once, when it started.
    NeedsRestart,
}

impl Component {
    /// Every component, in a safe order of restarts: etcd before the API server, the API server before its clients.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubelet];

    /// Returns the name of the program, which is the `component` label and the name of its static pod.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
        }
    }

    /// Returns whether this program picks up a change of `file` by itself, or `None` when it does not load the file.
    ///
    /// Seen on real control planes of 1.20 and 1.36: the API server serves a renewed certificate after seconds, etcd
    /// with the next handshake; what is embedded in a kubeconfig is read once. `version` unknown means
    /// [`Reload::Unknown`] wherever the answer depends on it.
    #[must_use]
    pub fn reload(self, file: FileSlot, version: Option<KubernetesVersion>) -> Option<Reload> {
        use FileSlot as F;
        let dynamic = match version {
            // Dynamic serving and client certificates arrived with 1.17.
            Some(version) if version >= KubernetesVersion::release(1, 17) => Reload::ByItself,
            Some(_) => Reload::NeedsRestart,
            None => Reload::Unknown,
        };
        match (self, file) {
            (Self::ApiServer, F::LeafCertificate(leaf) | F::LeafKey(leaf)) => match leaf {
                LeafSlot::ApiServer
                | LeafSlot::ApiServerEtcdClient
                | LeafSlot::ApiServerKubeletClient
                | LeafSlot::FrontProxyClient => Some(dynamic),
                LeafSlot::EtcdHealthcheckClient | LeafSlot::EtcdPeer | LeafSlot::EtcdServer => None,
            },
            (Self::ApiServer, F::CaCertificate(CaSlot::Cluster | CaSlot::FrontProxy)) => Some(dynamic),
            (
                Self::ApiServer,
                F::CaCertificate(CaSlot::Etcd) | F::ServiceAccountKey | F::ServiceAccountPublicKey,
            )
            | (Self::Etcd, F::CaCertificate(CaSlot::Etcd))
            | (
                Self::ControllerManager,
                F::CaCertificate(CaSlot::Cluster | CaSlot::FrontProxy)
                | F::CaKey(CaSlot::Cluster)
                | F::ServiceAccountKey
                | F::Kubeconfig(KubeconfigSlot::ControllerManager),
            )
            | (Self::Scheduler, F::Kubeconfig(KubeconfigSlot::Scheduler))
            | (Self::Kubelet, F::CaCertificate(CaSlot::Cluster) | F::Kubeconfig(KubeconfigSlot::Kubelet)) => {
                Some(Reload::NeedsRestart)
            }
            (
                Self::Etcd,
                F::LeafCertificate(LeafSlot::EtcdServer | LeafSlot::EtcdPeer)
                | F::LeafKey(LeafSlot::EtcdServer | LeafSlot::EtcdPeer),
            ) => Some(Reload::ByItself),
            (Self::Kubelet, F::KubeletClient | F::KubeletServingCertificate | F::KubeletServingKey) => {
                Some(Reload::ByItself)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_credentials_need_a_restart_in_every_version() {
        let file = FileSlot::Kubeconfig(KubeconfigSlot::Scheduler);
        for version in
            [None, Some(KubernetesVersion::release(1, 20)), Some(KubernetesVersion::release(1, 36))]
        {
            assert_eq!(Component::Scheduler.reload(file, version), Some(Reload::NeedsRestart));
        }
    }

    #[test]
    fn every_leaf_is_loaded_by_a_program_or_used_by_probes_only() {
        for leaf in LeafSlot::ALL.into_iter().filter(|leaf| *leaf != LeafSlot::EtcdHealthcheckClient) {
            let file = FileSlot::LeafCertificate(leaf);
            assert!(Component::ALL.iter().any(|component| component.reload(file, None).is_some()), "{leaf}");
        }
    }
}

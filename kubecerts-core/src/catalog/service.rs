//! Where the programs of a control-plane node listen, and what they serve there.

use std::fmt;

use super::{Component, FileSlot, LeafSlot};

/// Something that a component of a control-plane node serves over the network.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum Service {
    /// etcd for its clients.
    EtcdClients,
    /// etcd for the other members.
    EtcdPeers,
    /// The Kubernetes API.
    ApiServer,
    /// The health and metrics of kube-controller-manager.
    ControllerManager,
    /// The health and metrics of kube-scheduler.
    Scheduler,
    /// The kubelet's API.
    Kubelet,
    /// The kubelet's health, without TLS, for the node itself.
    KubeletHealth,
}

impl Service {
    /// Every service, in the order of [`Component::ALL`].
    pub const ALL: [Self; 7] = [
        Self::EtcdClients,
        Self::EtcdPeers,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeletHealth,
    ];

    /// Returns the name, such as `etcd-clients`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EtcdClients => "etcd-clients",
            Self::EtcdPeers => "etcd-peers",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeletHealth => "kubelet-health",
        }
    }

    /// Returns the program that serves it.
    #[must_use]
    pub const fn component(self) -> Component {
        match self {
            Self::EtcdClients | Self::EtcdPeers => Component::Etcd,
            Self::ApiServer => Component::ApiServer,
            Self::ControllerManager => Component::ControllerManager,
            Self::Scheduler => Component::Scheduler,
            Self::Kubelet | Self::KubeletHealth => Component::Kubelet,
        }
    }

    /// Returns the leaf that is served there, or `None` where nothing of the tree is.
    ///
    /// kube-controller-manager, kube-scheduler and, unless it is told otherwise, the kubelet serve a self-signed certificate
    /// that they make in memory when they start: its serial number says nothing about the tree.
    #[must_use]
    pub const fn leaf(self) -> Option<LeafSlot> {
        match self {
            Self::EtcdClients => Some(LeafSlot::EtcdServer),
            Self::EtcdPeers => Some(LeafSlot::EtcdPeer),
            Self::ApiServer => Some(LeafSlot::ApiServer),
            Self::ControllerManager | Self::Scheduler | Self::Kubelet | Self::KubeletHealth => None,
        }
    }

    /// Returns the service at which the certificate in `file` is served, if it is a serving certificate of the tree.
    #[must_use]
    pub fn serving(file: FileSlot) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.leaf().map(FileSlot::LeafCertificate) == Some(file))
    }

    /// Returns whether TLS is spoken there.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        !matches!(self, Self::KubeletHealth)
    }

    /// Returns the port that is used unless something says otherwise (`cmd/kubeadm/app/constants/constants.go`).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::EtcdClients => 2379,
            Self::EtcdPeers => 2380,
            Self::ApiServer => 6443,
            Self::ControllerManager => 10257,
            Self::Scheduler => 10259,
            Self::Kubelet => 10250,
            Self::KubeletHealth => 10248,
        }
    }

    /// Returns the paths that tell over HTTP whether the program is well; etcd is asked over its own API instead.
    ///
    /// They are open to everybody, unless anonymous requests are switched off.
    #[must_use]
    pub const fn health_paths(self) -> &'static [&'static str] {
        match self {
            Self::ApiServer => &["/livez", "/readyz"],
            Self::ControllerManager | Self::Scheduler | Self::KubeletHealth => &["/healthz"],
            Self::EtcdClients | Self::EtcdPeers | Self::Kubelet => &[],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serving_leaf_is_served_by_a_program_that_loads_it() {
        for service in Service::ALL {
            let Some(leaf) = service.leaf() else { continue };
            let file = FileSlot::LeafCertificate(leaf);
            assert_eq!(Service::serving(file), Some(service));
            assert!(service.component().reload(file, None).is_some(), "{service}");
        }
        assert_eq!(Service::serving(FileSlot::LeafCertificate(LeafSlot::FrontProxyClient)), None);
    }
}

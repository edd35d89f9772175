//! What can be lost, and what depends on what.

use std::fmt;

use crate::catalog::{CaSlot, Component, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::Place;
use crate::path::TreePath;

/// Something that works on a healthy node, and that is lost when a certificate ends.
///
/// The order of the variants is the order in which they are told: what others need comes first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Loss {
    /// etcd of this node is accepted by its clients. They verify `etcd/server.crt` (`--cert-file`, `--trusted-ca-file` of
    /// `cmd/kubeadm/app/phases/etcd/local.go`).
    EtcdServing,
    /// Members of etcd accept this one: they verify `etcd/peer.crt` in both directions (`--peer-cert-file`,
    /// `--peer-client-cert-auth=true`, ibidem).
    EtcdPeers,
    /// `etcdctl` and jobs that use `etcd/healthcheck-client.crt`. The liveness probe of etcd does not since 1.17: it asks
    /// `--listen-metrics-urls` without TLS.
    EtcdTools,
    /// The API server reaches etcd: it presents `apiserver-etcd-client.crt` (`--etcd-certfile` of
    /// `cmd/kubeadm/app/phases/controlplane/manifests.go`), which etcd demands (`--client-cert-auth=true`).
    EtcdAccess,
    /// The API server of this node: clients verify `apiserver.crt` (`--tls-cert-file`), and without etcd it answers nothing
    /// but its own health.
    ApiServer,
    /// Aggregated APIs, among them metrics: their servers verify `front-proxy-client.crt` (`--proxy-client-cert-file`)
    /// with every request (`k8s.io/apiserver/pkg/authentication/request/headerrequest`).
    Aggregation,
    /// `kubectl logs`, `exec`, `attach`, `port-forward`: kubelets verify `apiserver-kubelet-client.crt`
    /// (`--kubelet-client-certificate`) with every request.
    KubeletAccess,
    /// kube-controller-manager with the credential in controller-manager.conf: Deployments, node lifecycle, and the signing
    /// of certificate requests (`--cluster-signing-cert-file`).
    Reconciliation,
    /// kube-scheduler with the credential in scheduler.conf.
    Scheduling,
    /// Kubelets renew their own certificates: they ask the API server, and kube-controller-manager approves and signs with the
    /// key of the cluster's authority (`pkg/controller/certificates/{approver,signer}`).
    Rotation,
    /// The kubelet of this node as a client of the API server: the status of the node and its pods.
    Node,
    /// The kubelet of this node when it starts again, and with it the static pods. A kubelet whose own certificate is over asks for
    /// a new one with `bootstrap-kubelet.conf`, and ends when there is none (`cmd/kubelet/app/server.go`,
    /// `bootstrap.LoadClientCert`); without the API server alone it starts all the same.
    StaticPods,
    /// The kubelet as a server, for those who verify it. kubeadm's API server does not, since it sets no
    /// `--kubelet-certificate-authority`.
    KubeletServing,
    /// Administrators, and kubeadm, with admin.conf.
    Administrators,
    /// The way in beside RBAC, super-admin.conf.
    SuperAdministrators,
    /// Whoever uses this copy of a kubeconfig.
    Copy(TreePath),
    /// What this program verifies with the file that this setting names.
    Trust(Component, &'static str),
}

/// When a loss takes hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a certificate is verified with every request or with every connection"
)]
pub enum Hold {
    /// At once, on connections that are open too.
    AtOnce,
    /// With the next connection; those that are open go on.
    NextConnection,
}

impl Hold {
    /// Returns it in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::NextConnection => "with the next connection",
        }
    }
}

impl Loss {
    /// Returns the name of the kind, in kebab-case, such as `etcd-access`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EtcdServing => "etcd-serving",
            Self::EtcdPeers => "etcd-peers",
            Self::EtcdTools => "etcd-tools",
            Self::EtcdAccess => "etcd-access",
            Self::ApiServer => "api-server",
            Self::Aggregation => "aggregation",
            Self::KubeletAccess => "kubelet-access",
            Self::Reconciliation => "reconciliation",
            Self::Scheduling => "scheduling",
            Self::Rotation => "rotation",
            Self::Node => "node",
            Self::StaticPods => "static-pods",
            Self::KubeletServing => "kubelet-serving",
            Self::Administrators => "administrators",
            Self::SuperAdministrators => "super-administrators",
            Self::Copy(_) => "copy",
            Self::Trust(..) => "trust",
        }
    }

    /// Returns the program that is hit.
    #[must_use]
    pub const fn component(&self) -> Option<Component> {
        match self {
            Self::EtcdServing | Self::EtcdPeers | Self::EtcdTools => Some(Component::Etcd),
            Self::EtcdAccess | Self::ApiServer | Self::Aggregation | Self::KubeletAccess => {
                Some(Component::ApiServer)
            }
            Self::Reconciliation => Some(Component::ControllerManager),
            Self::Scheduling => Some(Component::Scheduler),
            Self::Rotation | Self::Node | Self::StaticPods | Self::KubeletServing => Some(Component::Kubelet),
            Self::Administrators | Self::SuperAdministrators | Self::Copy(_) => None,
            Self::Trust(component, _) => Some(*component),
        }
    }

    /// Returns when it takes hold.
    ///
    /// TLS verifies a certificate when a connection is made and not again (`crypto/tls` of Go), which is all that etcd and
    /// clients of a server do. Kubernetes authenticates clients by their certificate anew with every request
    /// (`k8s.io/apiserver/pkg/authentication/request/x509`).
    #[must_use]
    pub const fn hold(&self) -> Hold {
        match self {
            Self::EtcdServing
            | Self::EtcdPeers
            | Self::EtcdTools
            | Self::EtcdAccess
            | Self::ApiServer
            | Self::KubeletServing
            | Self::Trust(..) => Hold::NextConnection,
            Self::Aggregation
            | Self::KubeletAccess
            | Self::Reconciliation
            | Self::Scheduling
            | Self::Rotation
            | Self::Node
            | Self::StaticPods
            | Self::Administrators
            | Self::SuperAdministrators
            | Self::Copy(_) => Hold::AtOnce,
        }
    }

    /// Returns what has to work for this to work.
    ///
    /// The API server keeps all that it knows in etcd; everybody else knows what the API server tells. Whether kubelets,
    /// administrators and others have another API server to go to is decided by their kubeconfigs. [`EtcdAccess`](Self::EtcdAccess)
    /// needs [`EtcdPeers`](Self::EtcdPeers) too where etcd is known to have several members.
    #[must_use]
    pub const fn needs(&self) -> &'static [Self] {
        match self {
            Self::EtcdAccess => &[Self::EtcdServing],
            Self::ApiServer => &[Self::EtcdAccess],
            Self::Aggregation
            | Self::KubeletAccess
            | Self::Reconciliation
            | Self::Scheduling
            | Self::Node
            | Self::Administrators
            | Self::SuperAdministrators => &[Self::ApiServer],
            Self::Rotation => &[Self::ApiServer, Self::Reconciliation],
            Self::EtcdServing
            | Self::EtcdPeers
            | Self::EtcdTools
            | Self::StaticPods
            | Self::KubeletServing
            | Self::Copy(_)
            | Self::Trust(..) => &[],
        }
    }

    /// Returns what is lost with the certificate at `place`.
    pub(super) fn of(place: &Place) -> Option<Self> {
        Some(match place {
            Place::Slot(Slot::Leaf(leaf)) => match leaf {
                LeafSlot::ApiServer => Self::ApiServer,
                LeafSlot::ApiServerEtcdClient => Self::EtcdAccess,
                LeafSlot::ApiServerKubeletClient => Self::KubeletAccess,
                LeafSlot::EtcdHealthcheckClient => Self::EtcdTools,
                LeafSlot::EtcdPeer => Self::EtcdPeers,
                LeafSlot::EtcdServer => Self::EtcdServing,
                LeafSlot::FrontProxyClient => Self::Aggregation,
            },
            Place::Slot(Slot::Kubeconfig(kubeconfig)) => match kubeconfig {
                KubeconfigSlot::Admin => Self::Administrators,
                KubeconfigSlot::ControllerManager => Self::Reconciliation,
                KubeconfigSlot::Kubelet => Self::Node,
                KubeconfigSlot::Scheduler => Self::Scheduling,
                KubeconfigSlot::SuperAdmin => Self::SuperAdministrators,
            },
            Place::Slot(Slot::KubeletClient) => Self::Node,
            Place::Slot(Slot::KubeletServing) => Self::KubeletServing,
            Place::Copy(path) => Self::Copy(path.clone()),
            Place::Slot(Slot::Ca(_) | Slot::ServiceAccount) => return None,
        })
    }

    /// Returns what is lost when the certificate at `place` itself is over, rather than its authority or somebody's trust.
    pub(super) fn of_own_end(place: &Place) -> impl Iterator<Item = Self> + use<> {
        let node = Self::of(place);
        let pods = (node == Some(Self::Node)).then_some(Self::StaticPods);
        node.into_iter().chain(pods)
    }

    /// Returns what is lost when the file that `setting` of `component` names no longer verifies what `ca` has signed: the
    /// work of those who come with such a certificate.
    pub(super) fn of_trust(component: Component, setting: &'static str, ca: CaSlot) -> Vec<Self> {
        let mut losses = match (component, setting, ca) {
            (Component::Etcd, "trusted-ca-file", _) | (Component::ApiServer, "etcd-cafile", _) => {
                vec![Self::EtcdAccess]
            }
            (Component::Etcd, "peer-trusted-ca-file", _) => vec![Self::EtcdPeers],
            (Component::ApiServer, "client-ca-file", CaSlot::Cluster) => vec![
                Self::Reconciliation,
                Self::Scheduling,
                Self::Node,
                Self::Administrators,
                Self::SuperAdministrators,
            ],
            (Component::ApiServer, "requestheader-client-ca-file", CaSlot::FrontProxy) => {
                vec![Self::Aggregation]
            }
            (Component::ApiServer, "kubelet-certificate-authority", _)
            | (Component::Kubelet, "clientCAFile", _) => vec![Self::KubeletAccess],
            _ => Vec::new(),
        };
        losses.push(Self::Trust(component, setting));
        losses
    }

    /// Returns the loss as a cause of others.
    pub(super) fn as_cause(&self) -> String {
        match self {
            Self::EtcdServing => "etcd of this node is accepted by no client".to_owned(),
            Self::EtcdPeers => "the member of etcd of this node has lost its peers".to_owned(),
            Self::EtcdAccess => "the API server of this node has lost etcd".to_owned(),
            Self::ApiServer => "the API server of this node is lost".to_owned(),
            Self::Reconciliation => "kube-controller-manager is at rest".to_owned(),
            Self::Rotation => "kubelets cannot renew their certificates".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EtcdServing => "etcd of this node is accepted by no client",
            Self::EtcdPeers => {
                "this member of etcd loses its peers, and answers nobody without them if there are any"
            }
            Self::EtcdTools => "etcdctl and backup jobs fail",
            Self::EtcdAccess => "the API server loses etcd",
            Self::ApiServer => "the API server of this node is of use to nobody",
            Self::Aggregation => "aggregated APIs and metrics fail",
            Self::KubeletAccess => "kubectl logs, exec and port-forward fail",
            Self::Reconciliation => "kube-controller-manager reconciles nothing and signs no request",
            Self::Scheduling => "kube-scheduler places no pod",
            Self::Rotation => "kubelets cannot renew their certificates",
            Self::Node => "the node becomes NotReady",
            Self::StaticPods => "a kubelet that starts again starts no static pod",
            Self::KubeletServing => "who verifies the kubelet, such as metrics-server, refuses it",
            Self::Administrators => "kubectl and kubeadm with admin.conf fail",
            Self::SuperAdministrators => "the way in beside RBAC, super-admin.conf, fails",
            Self::Copy(path) => return write!(f, "whoever uses {path} fails"),
            Self::Trust(component, setting) => {
                return write!(f, "{component} accepts nobody by the file of {setting}");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_told_before_what_needs_it() {
        for loss in [Loss::EtcdAccess, Loss::ApiServer, Loss::Rotation, Loss::Node, Loss::Administrators] {
            assert!(loss.needs().iter().all(|need| *need < loss), "{}", loss.name());
        }
    }

    #[test]
    fn every_certificate_but_an_authority_is_of_use_to_somebody() {
        for slot in Slot::ALL {
            let is_leaf = !matches!(slot, Slot::Ca(_) | Slot::ServiceAccount);
            assert_eq!(Loss::of(&Place::Slot(slot)).is_some(), is_leaf, "{slot}");
        }
    }
}

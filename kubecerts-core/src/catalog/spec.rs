//! What kubeadm puts into each certificate.

use super::{CaSlot, KubeconfigSlot, LeafSlot};

/// A purpose in the extended key usage extension ([RFC 5280 §4.2.1.12]) that kubeadm uses.
///
/// [RFC 5280 §4.2.1.12]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.12
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum ExtendedUsage {
    /// `serverAuth`: TLS servers.
    ServerAuth,
    /// `clientAuth`: TLS clients.
    ClientAuth,
}

/// The common name of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum NameRule {
    /// The same text on every node.
    Fixed(&'static str),
    /// The node's name.
    NodeName,
    /// `system:node:` and the node's name, which the Node authorizer needs.
    SystemNode,
}

/// Which subject alternative names kubeadm computes for a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum SanRule {
    /// None: client certificates.
    None,
    /// Node name, `kubernetes[.default[.svc[.<dnsDomain>]]]`, first service address, advertise address,
    /// control-plane endpoint, `apiServer.certSANs`.
    ApiServer,
    /// Node name, `localhost`, advertise address, `127.0.0.1`, `::1`, `etcd.local.serverCertSANs` or `peerCertSANs`.
    Etcd,
}

/// What kubeadm puts into an authority's certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuthoritySpec {
    /// The common name, the only attribute of the subject.
    pub common_name: &'static str,
}

/// What kubeadm puts into a leaf or into the client certificate of a kubeconfig.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClientSpec {
    /// The authority that signs it.
    pub issuer: CaSlot,
    /// The common name.
    pub common_name: NameRule,
    /// The organisation in 1.36, which Kubernetes reads as the group.
    pub organisation: Option<&'static str>,
    /// The organisation in 1.20, where it differs from 1.36.
    pub organisation_1_20: Option<&'static str>,
    /// The extended key usages, in kubeadm's order.
    pub usages: &'static [ExtendedUsage],
    /// How the subject alternative names are computed.
    pub sans: SanRule,
    /// kubeadm's description, with which `kubeadm certs renew` names the certificate in its output.
    pub long_name: &'static str,
}

impl CaSlot {
    /// Returns what kubeadm puts into this authority's certificate.
    #[must_use]
    pub const fn spec(self) -> AuthoritySpec {
        let common_name = match self {
            Self::Cluster => "kubernetes",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        };
        AuthoritySpec { common_name }
    }

    /// Returns the file name without its ending, below the certificate directory: kubeadm's `BaseName`.
    #[must_use]
    pub const fn base_name(self) -> &'static str {
        match self {
            Self::Cluster => "ca",
            Self::Etcd => "etcd/ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }
}

const SERVER: &[ExtendedUsage] = &[ExtendedUsage::ServerAuth];
const CLIENT: &[ExtendedUsage] = &[ExtendedUsage::ClientAuth];
// etcd also presents its serving certificate when it connects to itself, so both usages are needed.
const BOTH: &[ExtendedUsage] = &[ExtendedUsage::ServerAuth, ExtendedUsage::ClientAuth];

/// The group that bypasses RBAC.
const MASTERS: &str = "system:masters";

impl LeafSlot {
    /// Returns the authority that signs this leaf.
    #[must_use]
    pub const fn issuer(self) -> CaSlot {
        self.spec().issuer
    }

    /// Returns the file name without its ending, below the certificate directory: kubeadm's `BaseName`.
    #[must_use]
    pub const fn base_name(self) -> &'static str {
        match self {
            Self::EtcdServer => "etcd/server",
            Self::EtcdPeer => "etcd/peer",
            Self::EtcdHealthcheckClient => "etcd/healthcheck-client",
            Self::ApiServer
            | Self::ApiServerEtcdClient
            | Self::ApiServerKubeletClient
            | Self::FrontProxyClient => self.name(),
        }
    }

    /// Returns what kubeadm puts into this leaf.
    #[must_use]
    pub const fn spec(self) -> ClientSpec {
        use NameRule::{Fixed, NodeName};
        match self {
            Self::ApiServer => ClientSpec {
                sans: SanRule::ApiServer,
                ..client(
                    CaSlot::Cluster,
                    Fixed("kube-apiserver"),
                    SERVER,
                    "certificate for serving the Kubernetes API",
                )
            },
            Self::ApiServerEtcdClient => ClientSpec {
                organisation_1_20: Some(MASTERS),
                ..client(
                    CaSlot::Etcd,
                    Fixed("kube-apiserver-etcd-client"),
                    CLIENT,
                    "certificate the apiserver uses to access etcd",
                )
            },
            Self::ApiServerKubeletClient => ClientSpec {
                organisation_1_20: Some(MASTERS),
                ..client(
                    CaSlot::Cluster,
                    Fixed("kube-apiserver-kubelet-client"),
                    CLIENT,
                    "certificate for the API server to connect to kubelet",
                )
            },
            Self::EtcdHealthcheckClient => ClientSpec {
                organisation_1_20: Some(MASTERS),
                ..client(
                    CaSlot::Etcd,
                    Fixed("kube-etcd-healthcheck-client"),
                    CLIENT,
                    "certificate for liveness probes to healthcheck etcd",
                )
            },
            Self::EtcdPeer => ClientSpec {
                sans: SanRule::Etcd,
                ..client(
                    CaSlot::Etcd,
                    NodeName,
                    BOTH,
                    "certificate for etcd nodes to communicate with each other",
                )
            },
            Self::EtcdServer => ClientSpec {
                sans: SanRule::Etcd,
                ..client(CaSlot::Etcd, NodeName, BOTH, "certificate for serving etcd")
            },
            Self::FrontProxyClient => client(
                CaSlot::FrontProxy,
                Fixed("front-proxy-client"),
                CLIENT,
                "certificate for the front proxy client",
            ),
        }
    }
}

impl KubeconfigSlot {
    /// Returns what kubeadm puts into this kubeconfig's client certificate.
    #[must_use]
    pub const fn spec(self) -> ClientSpec {
        use NameRule::{Fixed, SystemNode};
        let (common_name, organisation, organisation_1_20, long_name) = match self {
            Self::Admin => (
                Fixed("kubernetes-admin"),
                Some("kubeadm:cluster-admins"),
                Some(MASTERS),
                "certificate embedded in the kubeconfig file for the admin to use and for kubeadm itself",
            ),
            Self::ControllerManager => (
                Fixed("system:kube-controller-manager"),
                None,
                None,
                "certificate embedded in the kubeconfig file for the controller manager to use",
            ),
            Self::Kubelet => (
                SystemNode,
                Some("system:nodes"),
                Some("system:nodes"),
                "certificate embedded in the kubeconfig file for the kubelet to use",
            ),
            Self::Scheduler => (
                Fixed("system:kube-scheduler"),
                None,
                None,
                "certificate embedded in the kubeconfig file for the scheduler manager to use",
            ),
            Self::SuperAdmin => (
                Fixed("kubernetes-super-admin"),
                Some(MASTERS),
                None,
                "certificate embedded in the kubeconfig file for the super-admin",
            ),
        };
        ClientSpec {
            organisation,
            organisation_1_20,
            ..client(CaSlot::Cluster, common_name, CLIENT, long_name)
        }
    }
}

const fn client(
    issuer: CaSlot,
    common_name: NameRule,
    usages: &'static [ExtendedUsage],
    long_name: &'static str,
) -> ClientSpec {
    ClientSpec {
        issuer,
        common_name,
        organisation: None,
        organisation_1_20: None,
        usages,
        sans: SanRule::None,
        long_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serving_certificates_have_alternative_names() {
        for leaf in LeafSlot::ALL {
            let spec = leaf.spec();
            assert_eq!(
                spec.sans != SanRule::None,
                spec.usages.contains(&ExtendedUsage::ServerAuth),
                "{leaf}"
            );
        }
    }
}

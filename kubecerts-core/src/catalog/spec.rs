//! What kubeadm puts into each certificate.

use super::{CaSlot, KubeconfigSlot, KubernetesVersion, LeafSlot, NodeName};

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

impl AuthoritySpec {
    /// Returns the DNS name in the certificate that kubeadm of `version` makes, the newest one when `None`: the common name
    /// once more since 1.22, none before (`NewSelfSignedCACert` in `k8s.io/client-go/util/cert/cert.go`).
    #[must_use]
    pub fn dns_name(self, version: Option<KubernetesVersion>) -> Option<&'static str> {
        since(version, 1, 22).then_some(self.common_name)
    }
}

/// What kubeadm puts into a leaf or into the client certificate of a kubeconfig.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClientSpec {
    /// The authority that signs it.
    pub issuer: CaSlot,
    /// The common name.
    pub common_name: NameRule,
    /// The organisations that kubeadm has given it, each with the version that began to; the oldest first.
    pub organisations: &'static [Era],
    /// The extended key usages, in kubeadm's order.
    pub usages: &'static [ExtendedUsage],
    /// How the subject alternative names are computed.
    pub sans: SanRule,
    /// kubeadm's description, with which `kubeadm certs renew` names the certificate in its output.
    pub long_name: &'static str,
}

/// An organisation, which Kubernetes reads as the group, or none, and the version from which on kubeadm gives it.
pub type Era = (KubernetesVersion, Option<&'static str>);

impl ClientSpec {
    /// Returns the organisation that kubeadm of `version` gives, the newest one when `None`.
    #[must_use]
    pub fn organisation(&self, version: Option<KubernetesVersion>) -> Option<&'static str> {
        let is_past = |(first, _): &&Era| version.is_none_or(|version| version >= *first);
        self.organisations.iter().rev().find(is_past).and_then(|(_, organisation)| *organisation)
    }

    /// Returns whether some version of kubeadm gives the organisations `found`: one of its own, or none.
    #[must_use]
    pub fn allows_organisations(&self, found: &[&str]) -> bool {
        match found {
            [] => self.organisations.is_empty() || self.organisations.iter().any(|(_, own)| own.is_none()),
            [found] => self.organisations.iter().any(|(_, own)| *own == Some(*found)),
            _ => false,
        }
    }
}

/// Returns whether kubeadm of `version`, the newest one when `None`, is of release `major.minor` or later.
fn since(version: Option<KubernetesVersion>, major: u16, minor: u16) -> bool {
    version.is_none_or(|version| version >= KubernetesVersion::release(major, minor))
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

/// The group of administrators under RBAC (`ClusterAdminsGroupAndClusterRoleBinding` in
/// `cmd/kubeadm/app/constants/constants.go`).
const CLUSTER_ADMINS: &str = "kubeadm:cluster-admins";

const ALWAYS: KubernetesVersion = KubernetesVersion::release(0, 0);
/// From this version on only super-admin.conf bypasses RBAC (`CHANGELOG/CHANGELOG-1.29.md`, #119859, #120521, #121837).
const FEWER_MASTERS: KubernetesVersion = KubernetesVersion::release(1, 29);

const FORMER_MASTERS: &[Era] = &[(ALWAYS, Some(MASTERS)), (FEWER_MASTERS, None)];
const ADMINS: &[Era] = &[(ALWAYS, Some(MASTERS)), (FEWER_MASTERS, Some(CLUSTER_ADMINS))];
const KUBELET_CLIENT: &[Era] = &[
    (ALWAYS, Some(MASTERS)),
    (FEWER_MASTERS, Some(CLUSTER_ADMINS)),
    // The API server's own user name is bound to a role instead.
    (KubernetesVersion::release(1, 33), None),
];

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
                organisations: FORMER_MASTERS,
                ..client(
                    CaSlot::Etcd,
                    Fixed("kube-apiserver-etcd-client"),
                    CLIENT,
                    "certificate the apiserver uses to access etcd",
                )
            },
            Self::ApiServerKubeletClient => ClientSpec {
                organisations: KUBELET_CLIENT,
                ..client(
                    CaSlot::Cluster,
                    Fixed("kube-apiserver-kubelet-client"),
                    CLIENT,
                    "certificate for the API server to connect to kubelet",
                )
            },
            Self::EtcdHealthcheckClient => ClientSpec {
                organisations: FORMER_MASTERS,
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
        let (common_name, organisations, long_name): (_, &[Era], _) = match self {
            Self::Admin => (
                Fixed("kubernetes-admin"),
                ADMINS,
                "certificate embedded in the kubeconfig file for the admin to use and for kubeadm itself",
            ),
            Self::ControllerManager => (
                Fixed("system:kube-controller-manager"),
                &[],
                "certificate embedded in the kubeconfig file for the controller manager to use",
            ),
            Self::Kubelet => (
                SystemNode,
                &[(ALWAYS, Some(NodeName::GROUP))],
                "certificate embedded in the kubeconfig file for the kubelet to use",
            ),
            Self::Scheduler => (
                Fixed("system:kube-scheduler"),
                &[],
                "certificate embedded in the kubeconfig file for the scheduler manager to use",
            ),
            Self::SuperAdmin => (
                Fixed("kubernetes-super-admin"),
                &[(ALWAYS, Some(MASTERS))],
                "certificate embedded in the kubeconfig file for the super-admin",
            ),
        };
        ClientSpec { organisations, ..client(CaSlot::Cluster, common_name, CLIENT, long_name) }
    }

    /// Returns whether kubeadm of `version`, the newest one when `None`, writes this file on a cluster's first node:
    /// super-admin.conf only since 1.29.
    #[must_use]
    pub fn is_written_by(self, version: Option<KubernetesVersion>) -> bool {
        self != Self::SuperAdmin || version.is_none_or(|version| version >= FEWER_MASTERS)
    }

    /// Returns whether kubeadm of `version`, the newest one when `None`, ends its kubeconfigs with empty `preferences`: client-go
    /// wrote them up to 1.33.
    #[must_use]
    pub fn has_preferences(version: Option<KubernetesVersion>) -> bool {
        !since(version, 1, 34)
    }
}

const fn client(
    issuer: CaSlot,
    common_name: NameRule,
    usages: &'static [ExtendedUsage],
    long_name: &'static str,
) -> ClientSpec {
    ClientSpec { issuer, common_name, organisations: &[], usages, sans: SanRule::None, long_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_version() {
        let groups = |spec: ClientSpec| {
            [(1, 20), (1, 28), (1, 29), (1, 32), (1, 33), (1, 36)].map(|(major, minor)| {
                spec.organisation(Some(KubernetesVersion::release(major, minor))).unwrap_or_default()
            })
        };
        let (masters, admins) = (MASTERS, CLUSTER_ADMINS);
        for (spec, expected) in [
            (LeafSlot::ApiServerKubeletClient.spec(), [masters, masters, admins, admins, "", ""]),
            (LeafSlot::ApiServerEtcdClient.spec(), [masters, masters, "", "", "", ""]),
            (LeafSlot::EtcdHealthcheckClient.spec(), [masters, masters, "", "", "", ""]),
            (LeafSlot::ApiServer.spec(), [""; 6]),
            (KubeconfigSlot::Admin.spec(), [masters, masters, admins, admins, admins, admins]),
            (KubeconfigSlot::SuperAdmin.spec(), [masters; 6]),
            (KubeconfigSlot::Kubelet.spec(), [NodeName::GROUP; 6]),
            (KubeconfigSlot::Scheduler.spec(), [""; 6]),
        ] {
            assert_eq!(groups(spec), expected, "{}", spec.long_name);
            assert_eq!(spec.organisation(None).unwrap_or_default(), expected[5], "{}", spec.long_name);
        }
    }

    #[test]
    fn what_a_version_writes_is_known() {
        for (version, super_admin, dns_name, preferences) in [
            (Some((1, 20)), false, None, true),
            (Some((1, 22)), false, Some("etcd-ca"), true),
            (Some((1, 29)), true, Some("etcd-ca"), true),
            (Some((1, 33)), true, Some("etcd-ca"), true),
            (Some((1, 34)), true, Some("etcd-ca"), false),
            (None, true, Some("etcd-ca"), false),
        ] {
            let release = version.map(|(major, minor)| KubernetesVersion::release(major, minor));
            assert_eq!(KubeconfigSlot::SuperAdmin.is_written_by(release), super_admin, "{version:?}");
            assert_eq!(CaSlot::Etcd.spec().dns_name(release), dns_name, "{version:?}");
            assert_eq!(KubeconfigSlot::has_preferences(release), preferences, "{version:?}");
        }
    }

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

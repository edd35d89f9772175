//! What a new control-plane node is to be, and the names that follow from it.

mod config;

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::DEFAULT_LIFETIME;
use crate::catalog::{KubeconfigSlot, KubernetesVersion, LeafSlot, NodeName, SanRule, Slot};
use crate::time::Seconds;
use crate::x509::{AlternativeName, KeyAlgorithm};

pub use config::IntentError;

/// What a new control-plane node is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClusterIntent {
    /// The node's name.
    pub node_name: NodeName,
    /// The address at which the API server is reached: `localAPIEndpoint.advertiseAddress`.
    pub advertise_address: IpAddr,
    /// The port of the API server: `localAPIEndpoint.bindPort`; 6443 by default.
    pub bind_port: u16,
    /// The first address of each service subnet, in their order: one, or one per family for dual stack. The service
    /// `kubernetes` has the first, so that is the one in the API server's certificate.
    pub service_addresses: Vec<IpAddr>,
    /// The domain of services; `cluster.local` by default.
    pub dns_domain: String,
    /// The name of the cluster in kubeconfigs; `kubernetes` by default.
    pub cluster_name: String,
    /// The control plane as clients see it: `controlPlaneEndpoint`; the advertised address when `None`.
    pub endpoint: Option<ControlPlaneEndpoint>,
    /// Further names of the API server: `apiServer.certSANs`.
    pub api_server_names: Vec<AlternativeName>,
    /// Whether kubeadm runs etcd, and its further names.
    pub etcd: EtcdIntent,
    /// The version whose profiles are followed; those of the newest known when `None`.
    pub version: Option<KubernetesVersion>,
    /// The algorithm of all keys; RSA-2048 by default.
    pub algorithm: KeyAlgorithm,
    /// How long certificates are valid; one year by default.
    pub lifetime: Seconds,
    /// How long authorities are valid; ten years of 365 days by default.
    pub authority_lifetime: Seconds,
    /// Slots with a lifetime of their own; none by default.
    pub lifetimes: BTreeMap<Slot, Seconds>,
}

impl ClusterIntent {
    /// Returns kubeadm's defaults for a node with this name and address.
    #[must_use]
    pub fn new(node_name: NodeName, advertise_address: IpAddr) -> Self {
        Self {
            node_name,
            advertise_address,
            bind_port: DEFAULT_PORT,
            service_addresses: vec![IpAddr::from([10, 96, 0, 1])],
            dns_domain: "cluster.local".to_owned(),
            cluster_name: "kubernetes".to_owned(),
            endpoint: None,
            api_server_names: Vec::new(),
            etcd: EtcdIntent::default(),
            version: None,
            algorithm: KeyAlgorithm::Rsa2048,
            lifetime: DEFAULT_LIFETIME,
            authority_lifetime: Seconds(10 * DEFAULT_LIFETIME.0),
            lifetimes: BTreeMap::new(),
        }
    }

    /// Returns the alternative names of `leaf`: DNS names sorted and unique, then addresses in order and unique
    /// (`cmd/kubeadm/app/util/pkiutil/pki_helpers.go`).
    #[must_use]
    pub fn alternative_names(&self, leaf: LeafSlot) -> Vec<AlternativeName> {
        let node = AlternativeName::Dns(self.node_name.as_str().to_owned());
        let advertised = AlternativeName::Ip(self.advertise_address);
        let dns = |name: &str| AlternativeName::Dns(name.to_owned());
        let mut names = vec![node];
        match leaf.spec().sans {
            SanRule::None => return Vec::new(),
            SanRule::ApiServer => {
                names.extend(["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(dns));
                names.push(AlternativeName::Dns(format!("kubernetes.default.svc.{}", self.dns_domain)));
                names.extend(self.service_addresses.first().copied().map(AlternativeName::Ip));
                names.push(advertised);
                names.extend(self.endpoint.as_ref().map(ControlPlaneEndpoint::name));
                names.extend(self.api_server_names.iter().cloned());
            }
            SanRule::Etcd => {
                names.extend([dns("localhost"), advertised]);
                names.push(AlternativeName::Ip(IpAddr::from([127, 0, 0, 1])));
                names.push(AlternativeName::Ip(IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])));
                if let EtcdIntent::Local { server_names, peer_names } = &self.etcd {
                    let further = if leaf == LeafSlot::EtcdPeer { peer_names } else { server_names };
                    names.extend(further.iter().cloned());
                }
            }
        }
        let (mut dns, addresses): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| !matches!(name, AlternativeName::Ip(_)));
        dns.sort();
        dns.dedup();
        for address in addresses {
            if !dns.contains(&address) {
                dns.push(address);
            }
        }
        dns
    }

    /// Returns the URL of the API server in `kubeconfig`
    /// (`cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go`).
    #[must_use]
    pub fn server(&self, kubeconfig: KubeconfigSlot) -> String {
        let local =
            ControlPlaneEndpoint { host: Host::Address(self.advertise_address), port: self.bind_port };
        let is_local = match kubeconfig {
            KubeconfigSlot::Admin | KubeconfigSlot::SuperAdmin => false,
            KubeconfigSlot::ControllerManager | KubeconfigSlot::Scheduler => true,
            // A kubelet that is newer than the API server behind the load balancer would not be supported.
            KubeconfigSlot::Kubelet => {
                self.version.is_none_or(|version| version >= KubernetesVersion::release(1, 33))
            }
        };
        let endpoint = if is_local { &local } else { self.endpoint.as_ref().unwrap_or(&local) };
        format!("https://{endpoint}")
    }

    /// Has all certificates but those of authorities be valid for `lifetime`, whatever was stated before.
    pub fn insist_on_lifetime(&mut self, lifetime: Seconds) {
        self.lifetime = lifetime;
        self.lifetimes.retain(|slot, _| matches!(slot, Slot::Ca(_)));
    }

    /// Returns how long the certificate of `slot` is to be valid.
    #[must_use]
    pub fn lifetime_of(&self, slot: Slot) -> Seconds {
        let usual = if matches!(slot, Slot::Ca(_)) { self.authority_lifetime } else { self.lifetime };
        self.lifetimes.get(&slot).copied().unwrap_or(usual)
    }
}

/// Who runs etcd.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EtcdIntent {
    /// kubeadm, as a static pod on this node.
    #[non_exhaustive]
    Local {
        /// Further names of the server: `etcd.local.serverCertSANs`.
        server_names: Vec<AlternativeName>,
        /// Further names of the peer: `etcd.local.peerCertSANs`.
        peer_names: Vec<AlternativeName>,
    },
    /// Somebody else: none of its certificates are made here.
    External,
}

impl Default for EtcdIntent {
    fn default() -> Self {
        Self::local(Vec::new(), Vec::new())
    }
}

impl EtcdIntent {
    /// Returns an etcd that kubeadm runs, with these further names.
    #[must_use]
    pub const fn local(server_names: Vec<AlternativeName>, peer_names: Vec<AlternativeName>) -> Self {
        Self::Local { server_names, peer_names }
    }
}

/// The control plane as clients see it: kubeadm's `controlPlaneEndpoint`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlPlaneEndpoint {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl ControlPlaneEndpoint {
    /// Parses `host`, `host:port`, `[address]` or `[address]:port`; without a port it is `port`.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] when the host is neither an address nor a DNS name, or the port is none.
    pub fn parse(text: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let (host, given) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, rest)) => (address, Some(rest.strip_prefix(':').ok_or_else(invalid)?)),
            // More than one colon without brackets is an address.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = match given.map(str::parse) {
            None => port,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(invalid()),
        };
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) if text.starts_with('[') => return Err(invalid()),
            Err(_) => Host::Name(NodeName::parse(host).map_err(|_| invalid())?.as_str().to_owned()),
        };
        Ok(Self { host, port })
    }

    /// Returns the host as a name in a certificate.
    #[must_use]
    pub fn name(&self) -> AlternativeName {
        match &self.host {
            Host::Address(address) => AlternativeName::Ip(*address),
            Host::Name(name) => AlternativeName::Dns(name.clone()),
        }
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ControlPlaneEndpoint {
    /// Writes `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl FromStr for ControlPlaneEndpoint {
    type Err = InvalidEndpoint;

    /// Parses as [`parse`](Self::parse) does, with 6443 where there is no port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, DEFAULT_PORT)
    }
}

/// A text that is no `host:port`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a host with or without a port, such as k8s-api.example.com:6443")]
pub struct InvalidEndpoint(String);

/// The API server's port (`KubeAPIServerPort` in `cmd/kubeadm/app/constants/constants.go`).
pub(crate) const DEFAULT_PORT: u16 = 6443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_with_or_without_a_port() {
        for (text, shown) in [
            ("k8s.example.com", Some("k8s.example.com:6443")),
            ("K8s.example.com:443", Some("k8s.example.com:443")),
            ("10.0.0.1", Some("10.0.0.1:6443")),
            ("10.0.0.1:7443", Some("10.0.0.1:7443")),
            ("fd00::1", Some("[fd00::1]:6443")),
            ("[fd00::1]", Some("[fd00::1]:6443")),
            ("[fd00::1]:8443", Some("[fd00::1]:8443")),
            ("", None),
            (":6443", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:", None),
            ("a b", None),
            ("[a]:1", None),
            ("[fd00::1]x", None),
            ("https://a", None),
            ("*.example.com", None),
        ] {
            let parsed = text.parse::<ControlPlaneEndpoint>();
            assert_eq!(parsed.ok().map(|endpoint| endpoint.to_string()).as_deref(), shown, "{text:?}");
        }
    }
}

//! The names that the serving certificates of a node must have, computed from facts, each with its reason.
//!
//! What nothing states is not expected: a certificate is never blamed for a name that only a default would give it. Three
//! sources speak: the manifests and kubeconfigs of the node, which say where clients go; the kubeadm configuration, when it
//! is known; and kubeadm's own rule (`cmd/kubeadm/app/util/pkiutil/pki_helpers.go`), as far as the certificate is one that
//! kubeadm made.

use core::net::IpAddr;
use std::fmt;

use super::{Inventory, Place, Server};
use crate::catalog::{Component, FileSlot, KubeconfigSlot, LeafSlot, NodeName, PathSource, SanRule, Slot};
use crate::kubeconfig::Cluster;
use crate::manifest::{KubeadmConfig, KubeletConfig};
use crate::path::TreePath;
use crate::snapshot::{EtcdPlacement, FlagUrl, first_address};
use crate::x509::{AlternativeName, Certificate};

/// A name that a serving certificate must have, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExpectedName {
    /// The name.
    pub name: AlternativeName,
    /// Why, at least one reason; those for which somebody is known to fail without the name come first.
    pub reasons: Vec<NameReason>,
}

impl ExpectedName {
    /// Returns the most telling reason.
    ///
    /// # Panics
    /// Never: there is no expectation without a reason.
    #[must_use]
    pub fn reason(&self) -> &NameReason {
        self.reasons.first().expect("there is no expectation without a reason")
    }

    /// Returns who fails when a certificate lacks the name, such as `clients that connect to https://10.0.0.1:6443`;
    /// `None` when nobody is known to use it.
    #[must_use]
    pub fn clients(&self) -> Option<String> {
        Some(match self.reason() {
            NameReason::NodeName | NameReason::EtcdItself => return None,
            NameReason::ServiceName | NameReason::ServiceAddress(_) => {
                format!("pods that connect to https://{}", in_url(&self.name))
            }
            NameReason::Kubeconfig { server, .. } => format!("clients that connect to {server}"),
            NameReason::EtcdServers(url) => format!("kube-apiserver, which connects to {url},"),
            NameReason::EtcdUrl(FlagUrl { flag: "initial-advertise-peer-urls", url }) => {
                format!("members of etcd that connect to {url}")
            }
            NameReason::EtcdUrl(FlagUrl { url, .. }) => format!("clients of etcd that connect to {url}"),
            NameReason::Advertised(_) | NameReason::Endpoint | NameReason::Configured(_) => {
                format!("clients that connect to https://{}", in_url(&self.name))
            }
        })
    }
}

/// Why a certificate must have a name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum NameReason {
    /// A kubeconfig of the tree, or a copy of one, sends its clients there.
    Kubeconfig {
        /// The kubeconfig.
        path: TreePath,
        /// Its `server:`, without what comes behind the port.
        server: String,
    },
    /// The API server looks for the etcd of this node there.
    EtcdServers(String),
    /// The etcd of this node is to be reached there.
    EtcdUrl(FlagUrl),
    /// The API server is advertised at this address, on this source's word.
    Advertised(PathSource),
    /// It is kubeadm's `controlPlaneEndpoint`.
    Endpoint,
    /// The service `kubernetes` has this address, on this source's word.
    ServiceAddress(PathSource),
    /// It is a name of the service `kubernetes`.
    ServiceName,
    /// It is in this list of the kubeadm configuration, such as `apiServer.certSANs`.
    Configured(&'static str),
    /// It is the node's name, which kubeadm puts in.
    NodeName,
    /// etcd reaches itself so; kubeadm puts it in.
    EtcdItself,
}

impl fmt::Display for NameReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig { path, .. } => write!(f, "the server of {path}"),
            Self::EtcdServers(_) => f.write_str("--etcd-servers of kube-apiserver"),
            Self::EtcdUrl(FlagUrl { flag, .. }) => write!(f, "--{flag} of etcd"),
            Self::Advertised(PathSource::Manifest) => f.write_str("--advertise-address of kube-apiserver"),
            Self::Advertised(_) => f.write_str("localAPIEndpoint.advertiseAddress"),
            Self::Endpoint => f.write_str("controlPlaneEndpoint"),
            Self::ServiceAddress(PathSource::Manifest) => {
                f.write_str("the first address of --service-cluster-ip-range")
            }
            Self::ServiceAddress(_) => f.write_str("the first address of networking.serviceSubnet"),
            Self::ServiceName => f.write_str("the service kubernetes"),
            Self::Configured(list) => f.write_str(list),
            Self::NodeName => f.write_str("the node's name"),
            Self::EtcdItself => f.write_str("etcd on its own node"),
        }
    }
}

impl Inventory {
    /// Returns the names that the certificate of `leaf` must have on this node, DNS names first, sorted, each once; none for
    /// leaves that serve nobody.
    ///
    /// The names of the node and of etcd's own loopback are expected of certificates with kubeadm's subject only, since other
    /// tools have other customs. With an external etcd nothing is expected of its certificates.
    #[must_use]
    pub fn expected_names(&self, leaf: LeafSlot) -> Vec<ExpectedName> {
        let mut expectations = Expectations { inventory: self, found: Vec::new() };
        match leaf.spec().sans {
            SanRule::None => {}
            SanRule::ApiServer => expectations.of_api_server(),
            SanRule::Etcd if matches!(self.node().etcd(), EtcdPlacement::External(_)) => {}
            SanRule::Etcd => expectations.of_etcd(leaf),
        }
        let mut found = expectations.found;
        found.iter_mut().for_each(|expected| expected.reasons.sort());
        // DNS names sort before addresses.
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// Returns the expected names that the certificate of `leaf` lacks; none when there is no certificate.
    #[must_use]
    pub fn lacking_names(&self, leaf: LeafSlot) -> Vec<ExpectedName> {
        let Some(certificate) = self.certificate_of(leaf) else { return Vec::new() };
        let mut expected = self.expected_names(leaf);
        expected.retain(|expected| !certificate.alternative_names().covers(&expected.name));
        expected
    }

    /// Returns the names in the certificate of `leaf` that nothing asks for, in its order.
    ///
    /// `None` unless everything is known that could ask for one: the kubeadm configuration, the node's name and the
    /// advertised address.
    #[must_use]
    pub fn surplus_names(&self, leaf: LeafSlot) -> Option<Vec<AlternativeName>> {
        self.node().kubeadm()?;
        self.known_node_name()?;
        self.advertised()?;
        let certificate = self.certificate_of(leaf)?;
        let expected = self.expected_names(leaf);
        if expected.is_empty() {
            return None;
        }
        let is_asked_for = |name: &&AlternativeName| {
            expected.iter().any(|expected| name.covers(&expected.name) || expected.name.covers(name))
        };
        let names = certificate.alternative_names().as_slice().iter();
        Some(names.filter(|name| !is_asked_for(name)).cloned().collect())
    }

    fn certificate_of(&self, leaf: LeafSlot) -> Option<&Certificate> {
        self.credential(Slot::Leaf(leaf))?.leaf()
    }

    /// Returns the node's name when it is beyond doubt: the caller says it, or all who know it agree.
    ///
    /// The kubelet's own identity, the kubeadm configuration and etcd's `--name` know it. etcd alone is believed when a
    /// certificate of this node has the name too, because only kubeadm names members after nodes; the host's name is never
    /// enough.
    #[must_use]
    pub fn known_node_name(&self) -> Option<NodeName> {
        let stated = self.node().node_name();
        if let Some(stated) = stated.filter(|stated| stated.source == PathSource::Argument) {
            return NodeName::parse(&stated.value).ok();
        }
        let identity = |slot| {
            let leaf = self.credential(slot)?.leaf()?;
            NodeName::of_user(leaf.subject().common_name()?)
        };
        let kubelet =
            identity(Slot::KubeletClient).or_else(|| identity(Slot::Kubeconfig(KubeconfigSlot::Kubelet)));
        let configured = self.node().kubeadm().and_then(KubeadmConfig::node_name);
        let member = stated.filter(|stated| stated.source == PathSource::Manifest);
        let [configured, member] = [configured, member.map(|stated| stated.value.as_str())]
            .map(|name| name.and_then(|name| NodeName::parse(name).ok()));
        let mut candidates = [&kubelet, &configured, &member].into_iter().flatten();
        let first = candidates.next()?;
        if candidates.any(|other| other != first) {
            return None;
        }
        let is_confirmed = kubelet.is_some() || configured.is_some() || self.is_in_a_certificate(first);
        is_confirmed.then(|| first.clone())
    }

    fn is_in_a_certificate(&self, node: &NodeName) -> bool {
        let name = AlternativeName::Dns(node.as_str().to_owned());
        let serving = [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer];
        serving.into_iter().filter_map(|leaf| self.certificate_of(leaf)).any(|certificate| {
            certificate.subject().common_name() == Some(node.as_str())
                || certificate.alternative_names().covers(&name)
        })
    }

    /// Returns the address at which the API server of this node is advertised.
    #[must_use]
    pub fn advertised(&self) -> Option<(IpAddr, PathSource)> {
        let node = self.node();
        let configured = || node.kubeadm()?.advertise_address()?.parse().ok();
        let stated = node.addresses().advertised.map(|address| (address, PathSource::Manifest));
        let (address, source) =
            stated.or_else(|| configured().map(|address| (address, PathSource::KubeadmConfig)))?;
        let is_usable = |address: &IpAddr| !address.is_unspecified() && !address.is_loopback();
        is_usable(&address).then_some((address, source))
    }
}

struct Expectations<'a> {
    inventory: &'a Inventory,
    found: Vec<ExpectedName>,
}

impl Expectations<'_> {
    fn of_api_server(&mut self) {
        let node = self.inventory.node();
        self.kubeconfigs();
        let dns = |name: &str| AlternativeName::Dns(name.to_owned());
        for name in ["kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
            self.add(dns(name), NameReason::ServiceName);
        }
        let config = node.kubeadm();
        let kubelet = node.kubelet().and_then(KubeletConfig::cluster_domain);
        // A configuration that names none means kubeadm's.
        let usual = config.map(|_| "cluster.local");
        if let Some(domain) = config.and_then(KubeadmConfig::dns_domain).or(kubelet).or(usual) {
            let name = format!("kubernetes.default.svc.{}", domain.trim_end_matches('.'));
            if let Ok(name) = AlternativeName::parse_host(&name) {
                self.add(name, NameReason::ServiceName);
            }
        }
        let configured = || first_address(config?.service_subnets().first()?);
        if let Some(address) = node.addresses().service {
            self.add(AlternativeName::Ip(address), NameReason::ServiceAddress(PathSource::Manifest));
        } else if let Some(address) = configured() {
            self.add(AlternativeName::Ip(address), NameReason::ServiceAddress(PathSource::KubeadmConfig));
        }
        if let Some((address, source)) = self.inventory.advertised() {
            self.add(AlternativeName::Ip(address), NameReason::Advertised(source));
        }
        if let Some(endpoint) = config.and_then(KubeadmConfig::control_plane_endpoint)
            && let Some((name, _)) = server(&format!("https://{endpoint}"))
        {
            self.add(name, NameReason::Endpoint);
        }
        self.configured("apiServer.certSANs", config.map(KubeadmConfig::api_server_cert_sans));
        if self.has_subject(LeafSlot::ApiServer, "kube-apiserver")
            && let Some(node) = self.inventory.known_node_name()
        {
            self.add(dns(node.as_str()), NameReason::NodeName);
        }
    }

    fn of_etcd(&mut self, leaf: LeafSlot) {
        let node = self.inventory.node();
        let addresses = node.addresses();
        let (urls, list, names) = match leaf {
            LeafSlot::EtcdPeer => (
                &addresses.etcd_peers,
                "etcd.local.peerCertSANs",
                node.kubeadm().map(KubeadmConfig::etcd_peer_cert_sans),
            ),
            _ => (
                &addresses.etcd_clients,
                "etcd.local.serverCertSANs",
                node.kubeadm().map(KubeadmConfig::etcd_server_cert_sans),
            ),
        };
        for FlagUrl { flag, url } in urls {
            if let Some((name, url)) = server(url) {
                self.add(name, NameReason::EtcdUrl(FlagUrl { flag, url }));
            }
        }
        if leaf == LeafSlot::EtcdServer && node.components().contains(&Component::Etcd) {
            for FlagUrl { url, .. } in &addresses.etcd_servers {
                if let Some((name, url)) = server(url).filter(|(name, _)| self.is_here(name)) {
                    self.add(name, NameReason::EtcdServers(url));
                }
            }
        }
        self.configured(list, names);
        let Some(name) = self.inventory.known_node_name() else { return };
        if !self.has_subject(leaf, name.as_str()) {
            return;
        }
        self.add(AlternativeName::Dns(name.as_str().to_owned()), NameReason::NodeName);
        for itself in ["localhost", "127.0.0.1", "::1"] {
            let itself = AlternativeName::parse_host(itself).expect("the loopback has these names");
            self.add(itself, NameReason::EtcdItself);
        }
        if let Some((address, source)) = self.inventory.advertised() {
            self.add(AlternativeName::Ip(address), NameReason::Advertised(source));
        }
    }

    /// Expects what the kubeconfigs of the tree, and copies of them, have as their server.
    fn kubeconfigs(&mut self) {
        let inventory = self.inventory;
        for (place, credential) in inventory.credentials() {
            let Some(kubeconfig) = credential.kubeconfig() else { continue };
            // A copy may be of another cluster, and whoever may write a file at home could ask for any name with it.
            let is_ours = match place {
                Place::Slot(_) => true,
                Place::Copy(copy) => {
                    let facts = credential.certificate_file();
                    let is_roots = facts.meta.as_ref().is_some_and(|meta| meta.uid == 0);
                    facts.path == *copy && is_roots && inventory.is_copy(copy)
                }
            };
            let Ok(file) = &kubeconfig.file else { continue };
            let Ok(current) = file.current() else { continue };
            if !is_ours || current.cluster.insecure_skip_tls_verify() {
                continue;
            }
            let path = match place {
                Place::Slot(Slot::Kubeconfig(slot)) => {
                    inventory.node().layout().path(FileSlot::Kubeconfig(*slot))
                }
                Place::Slot(_) => continue,
                Place::Copy(path) => path,
            };
            if let Some((name, server)) = wanted_name(current.cluster) {
                self.add(name, NameReason::Kubeconfig { path: path.clone(), server });
            }
        }
    }

    fn configured(&mut self, list: &'static str, names: Option<&[String]>) {
        for name in names.unwrap_or_default() {
            // kubeadm warns of an unusable one, and leaves it out.
            if let Some(name) = AlternativeName::of_kubeadm(name) {
                self.add(name, NameReason::Configured(list));
            }
        }
    }

    fn add(&mut self, name: AlternativeName, reason: NameReason) {
        match self.found.iter_mut().find(|expected| expected.name == name) {
            Some(expected) if expected.reasons.contains(&reason) => {}
            Some(expected) => expected.reasons.push(reason),
            None => self.found.push(ExpectedName { name, reasons: vec![reason] }),
        }
    }

    /// Returns whether `name` leads to the etcd of this node.
    fn is_here(&self, name: &AlternativeName) -> bool {
        let is_loopback = match name {
            AlternativeName::Ip(address) => address.is_loopback(),
            name => name.host() == "localhost",
        };
        let own = &self.inventory.node().addresses().etcd_clients;
        is_loopback || own.iter().filter_map(|url| server(&url.url)).any(|(own, _)| own == *name)
    }

    fn has_subject(&self, leaf: LeafSlot, common_name: &str) -> bool {
        let subject = self.inventory.certificate_of(leaf).map(Certificate::subject);
        subject.is_some_and(|subject| subject.common_name() == Some(common_name))
    }
}

/// Returns the name that a client of `cluster` wants to see in the certificate, and where it connects to.
fn wanted_name(cluster: &Cluster) -> Option<(AlternativeName, String)> {
    let (connects_to, url) = server(cluster.server()?)?;
    let name = match cluster.tls_server_name().filter(|name| !name.is_empty()) {
        Some(name) => AlternativeName::parse_host(name).ok()?,
        None => connects_to,
    };
    Some((name, url))
}

/// Returns the name of the server in an `https` URL, unless that is no name that a certificate could have, and the URL with
/// nothing but that name and the port: whatever else is in it may be secret, or unfit to be shown.
fn server(url: &str) -> Option<(AlternativeName, String)> {
    let Server { scheme, host, port, .. } = Server::of_url(url)?;
    if !scheme?.eq_ignore_ascii_case("https") {
        return None;
    }
    let name = AlternativeName::parse_host(host.trim_end_matches('.')).ok()?;
    let is_reachable = match &name {
        // Who listens everywhere is not reached under that address.
        AlternativeName::Ip(address) => !address.is_unspecified(),
        AlternativeName::Dns(text) => !text.starts_with('*'),
        _ => false,
    };
    let port = match port.map(str::parse::<u16>) {
        None => String::new(),
        Some(Ok(port)) => format!(":{port}"),
        Some(Err(_)) => return None,
    };
    is_reachable.then(|| {
        let url = format!("https://{}{port}", in_url(&name));
        (name, url)
    })
}

fn in_url(name: &AlternativeName) -> String {
    match name {
        AlternativeName::Ip(IpAddr::V6(address)) => format!("[{address}]"),
        name => name.host(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret_and_no_control_character() {
        for (url, shown) in [
            ("https://admin:pass@CP-1:6443/path?token=abc", Some("https://cp-1:6443")),
            ("https://[fe80::1%25eth0]:6443", Some("https://[fe80::1]:6443")),
            ("https://10.0.0.1/\u{1b}[31m", Some("https://10.0.0.1")),
            ("https://10.0.0.1:6443\u{1b}[31m", None),
            ("https://10.0.0.1:65536", None),
        ] {
            assert_eq!(server(url).map(|(_, url)| url).as_deref(), shown, "{url:?}");
        }
    }

    #[test]
    fn the_server_of_a_url_is_a_name_or_an_address() {
        for (url, name) in [
            ("https://k8s.example.com:6443", Some("DNS:k8s.example.com")),
            ("https://K8s.example.com", Some("DNS:k8s.example.com")),
            ("HTTPS://k8s.example.com./k8s/clusters/c-1?a#b", Some("DNS:k8s.example.com")),
            ("https://10.0.0.1:6443/", Some("IP:10.0.0.1")),
            ("https://[FD00::0:1]:6443", Some("IP:fd00::1")),
            ("https://[fe80::1%25eth0]:6443", Some("IP:fe80::1")),
            ("https://fd00::1", Some("IP:fd00::1")),
            ("https://admin:pass@cp-1:6443", Some("DNS:cp-1")),
            ("https://0.0.0.0:2379", None),
            ("https://[::]:2379", None),
            ("http://127.0.0.1:8080", None),
            ("unix:///run/etcd.sock", None),
            ("k8s.example.com:6443", None),
            ("https://", None),
            ("https://:6443", None),
            ("https://[::1", None),
            ("https://*.example.com", None),
            ("https://a b", None),
            ("", None),
        ] {
            assert_eq!(server(url).map(|(name, _)| name.to_string()).as_deref(), name, "{url:?}");
        }
    }
}

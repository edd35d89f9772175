//! kubeadm's configuration: a file for `kubeadm init --config`, or the `kubeadm-config` ConfigMap.

mod duration;
mod fields;
mod read;
mod remark;

use std::collections::BTreeMap;

use super::DamagedConfig;
use crate::catalog::KubernetesVersion;
use crate::path::TreePath;
use crate::time::Seconds;
use crate::yaml::{self, Node, Stream, YamlError};
use read::{GROUP, Reader};

pub use remark::{ConfigRemark, Contradiction, Place, Statement};

/// What kubeadm was told, from the documents `InitConfiguration`, `ClusterConfiguration` and
/// `JoinConfiguration`.
///
/// `kubeadm.k8s.io/v1beta1` to `v1beta4` are read alike. What the file leaves out is `None` or empty: kubeadm's defaults
/// are not applied. Fields that the version of their document does not have are ignored, as kubeadm does, and listed in
/// [`remarks`](Self::remarks). When two places say different things, the later one wins, and
/// [`contradictions`](Self::contradictions) has both; whoever makes something new from the configuration should refuse it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeadmConfig {
    kubernetes_version: Option<KubernetesVersion>,
    cluster_name: Option<String>,
    certificates_dir: Option<TreePath>,
    control_plane_endpoint: Option<String>,
    service_subnets: Option<Vec<String>>,
    dns_domain: Option<String>,
    api_server_cert_sans: Option<Vec<String>>,
    etcd_server_cert_sans: Option<Vec<String>>,
    etcd_peer_cert_sans: Option<Vec<String>>,
    external_etcd: Option<ExternalEtcd>,
    node_name: Option<String>,
    advertise_address: Option<String>,
    bind_port: Option<u16>,
    encryption_algorithm: Option<String>,
    certificate_validity: Option<Seconds>,
    ca_certificate_validity: Option<Seconds>,
    initialises: bool,
    joins: bool,
    /// Where each field was said last.
    statements: BTreeMap<&'static str, Statement>,
    remarks: Vec<ConfigRemark>,
    contradictions: Vec<Contradiction>,
}

impl KubeadmConfig {
    /// Parses all documents of a configuration; those of other kinds are ignored.
    ///
    /// A ConfigMap is read through its `data.ClusterConfiguration`; places then count within that text.
    ///
    /// # Errors
    /// [`DamagedConfig`] when the file is not YAML, has no document of kubeadm, is of an unknown version, or has a field of
    /// the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamagedConfig> {
        Self::assemble(&yaml::parse(bytes)?, |_| true)
    }

    /// Parses the configurations of several nodes: one for each `InitConfiguration` and `JoinConfiguration` of the file,
    /// each with what its other documents say of the cluster.
    ///
    /// # Errors
    /// [`DamagedConfig`], as [`parse`](Self::parse); a file that describes no node has none.
    pub fn parse_nodes(bytes: &[u8]) -> Result<Vec<Self>, DamagedConfig> {
        let stream = yaml::parse(bytes)?;
        let describes_a_node = |index: &usize| {
            let kind = stream.documents().nth(*index).and_then(|root| root.text("kind").ok().flatten());
            matches!(kind, Some("InitConfiguration" | "JoinConfiguration"))
        };
        let nodes: Vec<usize> = (0..stream.documents().count()).filter(describes_a_node).collect();
        let one = |node: &usize| Self::assemble(&stream, |index| index == *node || !nodes.contains(&index));
        nodes.iter().map(one).collect()
    }

    /// Reads the documents of `stream` that are `wanted`.
    fn assemble(stream: &Stream, wanted: impl Fn(usize) -> bool) -> Result<Self, DamagedConfig> {
        let documents = stream.documents().enumerate();
        Self::of_documents(documents.filter(|(index, _)| wanted(*index)).map(|(_, root)| root))
    }

    /// Reads documents that may be part of something else.
    pub(super) fn of_documents<'a>(documents: impl Iterator<Item = Node<'a>>) -> Result<Self, DamagedConfig> {
        let mut reader = Reader::default();
        let mut found = false;
        for root in documents.filter(|root| !root.is_null()) {
            if !root.is_mapping() {
                return Err(root.error("not a mapping").into());
            }
            let kind = root.text("kind")?;
            if kind == Some("ConfigMap") {
                let Some(data) = root.mapping("data")? else { continue };
                let Some(text) = data.text("ClusterConfiguration")? else { continue };
                let inner = yaml::parse_first(text.as_bytes())?;
                reader.read(inner.first_mapping()?, Some("ClusterConfiguration"))?;
                found = true;
            } else if root.text("apiVersion")?.is_some_and(|version| version.starts_with(GROUP)) {
                found |= reader.read(root, kind)?;
            }
        }
        if !found {
            return Err(YamlError::whole("has no configuration of kubeadm").into());
        }
        Ok(reader.finish())
    }

    /// Returns what has no effect, in the order of the file.
    #[must_use]
    pub fn remarks(&self) -> &[ConfigRemark] {
        &self.remarks
    }

    /// Returns the statements that cannot both hold, in the order of the file.
    #[must_use]
    pub fn contradictions(&self) -> &[Contradiction] {
        &self.contradictions
    }

    /// Returns whether the file describes a node that joins a cluster, and none that begins one.
    #[must_use]
    pub const fn is_of_joining_node(&self) -> bool {
        self.joins && !self.initialises
    }

    /// Returns where `field`, such as `networking.serviceSubnet`, was said.
    pub(crate) fn statement(&self, field: &str) -> Option<&Statement> {
        self.statements.get(field)
    }

    /// Returns `kubernetesVersion`; a label such as `stable-1` is no version.
    #[must_use]
    pub fn kubernetes_version(&self) -> Option<KubernetesVersion> {
        self.kubernetes_version
    }

    /// Returns `clusterName`, which kubeconfigs use.
    #[must_use]
    pub fn cluster_name(&self) -> Option<&str> {
        self.cluster_name.as_deref()
    }

    /// Returns `certificatesDir`.
    #[must_use]
    pub fn certificates_dir(&self) -> Option<&TreePath> {
        self.certificates_dir.as_ref()
    }

    /// Returns `controlPlaneEndpoint`: a name or an address, with or without a port.
    #[must_use]
    pub fn control_plane_endpoint(&self) -> Option<&str> {
        self.control_plane_endpoint.as_deref()
    }

    /// Returns the networks in `networking.serviceSubnet`, in their order: one, or two for dual stack.
    #[must_use]
    pub fn service_subnets(&self) -> &[String] {
        self.service_subnets.as_deref().unwrap_or_default()
    }

    /// Returns `networking.dnsDomain`.
    #[must_use]
    pub fn dns_domain(&self) -> Option<&str> {
        self.dns_domain.as_deref()
    }

    /// Returns `apiServer.certSANs` as written.
    #[must_use]
    pub fn api_server_cert_sans(&self) -> &[String] {
        self.api_server_cert_sans.as_deref().unwrap_or_default()
    }

    /// Returns `etcd.local.serverCertSANs` as written.
    #[must_use]
    pub fn etcd_server_cert_sans(&self) -> &[String] {
        self.etcd_server_cert_sans.as_deref().unwrap_or_default()
    }

    /// Returns `etcd.local.peerCertSANs` as written.
    #[must_use]
    pub fn etcd_peer_cert_sans(&self) -> &[String] {
        self.etcd_peer_cert_sans.as_deref().unwrap_or_default()
    }

    /// Returns `etcd.external`, when etcd does not run as a static pod of kubeadm.
    #[must_use]
    pub fn external_etcd(&self) -> Option<&ExternalEtcd> {
        self.external_etcd.as_ref()
    }

    /// Returns `nodeRegistration.name`.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// Returns `localAPIEndpoint.advertiseAddress` as written.
    #[must_use]
    pub fn advertise_address(&self) -> Option<&str> {
        self.advertise_address.as_deref()
    }

    /// Returns `localAPIEndpoint.bindPort`.
    #[must_use]
    pub fn bind_port(&self) -> Option<u16> {
        self.bind_port
    }

    /// Returns `encryptionAlgorithm`, such as `RSA-2048`; `ECDSA-P256` when only the older feature gate
    /// `PublicKeysECDSA` is on.
    #[must_use]
    pub fn encryption_algorithm(&self) -> Option<&str> {
        let gate = self.statement("featureGates.PublicKeysECDSA").map(|_| "ECDSA-P256");
        self.encryption_algorithm.as_deref().or(gate)
    }

    /// Returns `certificateValidityPeriod`: how long leaves and kubeconfigs are valid.
    #[must_use]
    pub fn certificate_validity(&self) -> Option<Seconds> {
        self.certificate_validity
    }

    /// Returns `caCertificateValidityPeriod`: how long authorities are valid.
    #[must_use]
    pub fn ca_certificate_validity(&self) -> Option<Seconds> {
        self.ca_certificate_validity
    }
}

/// An etcd that kubeadm does not run, and the files with which the API server reaches it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExternalEtcd {
    /// The URLs of the members, as written.
    pub endpoints: Vec<String>,
    /// The authority of the members' certificates.
    pub ca_file: Option<TreePath>,
    /// The API server's client certificate.
    pub cert_file: Option<TreePath>,
    /// The key of the client certificate.
    pub key_file: Option<TreePath>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INIT: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 192.168.10.11
  bindPort: 6443
nodeRegistration:
  name: cp-1
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
clusterName: kubernetes
certificatesDir: /etc/kubernetes/pki
certificateValidityPeriod: 8760h0m0s
caCertificateValidityPeriod: 87600h
encryptionAlgorithm: ECDSA-P384
controlPlaneEndpoint: \"k8s-api.example.internal:6443\"
networking:
  serviceSubnet: 10.96.0.0/12,fd00::/108
  dnsDomain: cluster.local
apiServer:
  certSANs: [\"k8s.example.internal\", \"10.0.0.100\"]
etcd:
  local:
    serverCertSANs: [etcd.example.internal]
    peerCertSANs:
    - peer.example.internal
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
";

    fn parse(text: &str) -> KubeadmConfig {
        KubeadmConfig::parse(text.as_bytes()).unwrap()
    }

    fn cluster(text: &str) -> Result<KubeadmConfig, String> {
        let text = format!("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n{text}");
        KubeadmConfig::parse(text.as_bytes()).map_err(|damage| damage.to_string())
    }

    #[test]
    fn all_documents_of_kubeadm_are_read() {
        let config = parse(INIT);
        assert_eq!(config.kubernetes_version(), Some(KubernetesVersion { major: 1, minor: 36, patch: 2 }));
        assert_eq!(config.cluster_name(), Some("kubernetes"));
        assert_eq!(config.certificates_dir().unwrap().as_str(), "/etc/kubernetes/pki");
        assert_eq!(config.control_plane_endpoint(), Some("k8s-api.example.internal:6443"));
        assert_eq!(config.service_subnets(), ["10.96.0.0/12", "fd00::/108"]);
        assert_eq!(config.dns_domain(), Some("cluster.local"));
        assert_eq!(config.api_server_cert_sans(), ["k8s.example.internal", "10.0.0.100"]);
        assert_eq!(config.etcd_server_cert_sans(), ["etcd.example.internal"]);
        assert_eq!(config.etcd_peer_cert_sans(), ["peer.example.internal"]);
        assert_eq!(config.external_etcd(), None);
        assert_eq!(config.node_name(), Some("cp-1"));
        assert_eq!(config.advertise_address(), Some("192.168.10.11"));
        assert_eq!(config.bind_port(), Some(6443));
        assert_eq!(config.encryption_algorithm(), Some("ECDSA-P384"));
        assert_eq!(config.certificate_validity(), Some(Seconds::from_hours(8_760)));
        assert_eq!(config.ca_certificate_validity(), Some(Seconds::from_hours(87_600)));
    }

    #[test]
    fn a_joining_control_plane_node_has_its_endpoint_deeper() {
        let config = parse(
            "
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
nodeRegistration: {name: cp-2}
controlPlane: {localAPIEndpoint: {advertiseAddress: 192.168.10.12}}
",
        );
        assert_eq!((config.node_name(), config.advertise_address()), (Some("cp-2"), Some("192.168.10.12")));
    }

    #[test]
    fn the_config_map_is_read_too() {
        let config = parse(
            "
apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config}
data:
  ClusterConfiguration: |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    clusterName: mine
",
        );
        assert_eq!(config.cluster_name(), Some("mine"));
    }

    #[test]
    fn external_etcd_keeps_its_files() {
        let config = cluster(
            "etcd: {external: {endpoints: ['https://e:2379'], caFile: /e/ca.crt, certFile: /e/c.crt}}",
        );
        let config = config.unwrap();
        let etcd = config.external_etcd().unwrap();
        assert_eq!(etcd.endpoints, ["https://e:2379"]);
        assert_eq!(etcd.ca_file.as_ref().map(TreePath::as_str), Some("/e/ca.crt"));
        assert_eq!(etcd.key_file, None);
    }

    #[test]
    fn the_feature_gate_of_old_versions_means_an_algorithm() {
        let config = cluster("featureGates: {PublicKeysECDSA: true}").unwrap();
        assert_eq!(config.encryption_algorithm(), Some("ECDSA-P256"));
    }

    #[test]
    fn a_label_is_no_version() {
        assert_eq!(cluster("kubernetesVersion: stable-1").unwrap().kubernetes_version(), None);
    }

    #[test]
    fn damage_names_field_and_place() {
        let damage = |text| cluster(text).unwrap_err();
        assert_eq!(damage("clusterName: [a]"), "line 3, column 14: clusterName is not a text");
        assert_eq!(damage("apiServer: {certSANs: a}"), "line 3, column 23: certSANs is not a list");
        assert_eq!(damage("kubernetesVersion: v1"), "line 3, column 20: kubernetesVersion is not a version");
        assert_eq!(
            damage("certificateValidityPeriod: 365d"),
            "line 3, column 28: certificateValidityPeriod is not a duration, such as 8760h0m0s"
        );
        assert_eq!(damage("networking: x"), "line 3, column 13: networking is not a mapping");
        assert_eq!(
            KubeadmConfig::parse(b"kind: Pod\napiVersion: v1").unwrap_err().to_string(),
            "has no configuration of kubeadm"
        );
    }

    proptest! {
        #[test]
        fn mutated_files_are_parsed_or_refused(at in 0..INIT.len(), cut in 0..20_usize, junk in "\\PC{0,6}") {
            let text = format!("{}{junk}{}", &INIT[..at], &INIT[(at + cut).min(INIT.len())..]);
            let _ = KubeadmConfig::parse(text.as_bytes());
        }
    }
}

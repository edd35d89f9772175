//! kubeadm's configuration: a file for `kubeadm init --config`, or the `kubeadm-config` ConfigMap.

use super::{DamagedConfig, owned, path};
use crate::catalog::KubernetesVersion;
use crate::path::TreePath;
use crate::time::Seconds;
use crate::yaml::{self, Node, YamlError};

/// What kubeadm was told, from the documents `InitConfiguration`, `ClusterConfiguration` and
/// `JoinConfiguration`.
///
/// `kubeadm.k8s.io/v1beta1` to `v1beta4` are read alike; a field that a version does not have is not there.
/// What the file leaves out is `None` or empty: kubeadm's defaults are not applied. When two documents give
/// the same field, the later one wins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeadmConfig {
    kubernetes_version: Option<KubernetesVersion>,
    cluster_name: Option<String>,
    certificates_dir: Option<TreePath>,
    control_plane_endpoint: Option<String>,
    service_subnets: Vec<String>,
    dns_domain: Option<String>,
    api_server_cert_sans: Vec<String>,
    etcd_server_cert_sans: Vec<String>,
    etcd_peer_cert_sans: Vec<String>,
    external_etcd: Option<ExternalEtcd>,
    node_name: Option<String>,
    advertise_address: Option<String>,
    bind_port: Option<u16>,
    encryption_algorithm: Option<String>,
    certificate_validity: Option<Seconds>,
    ca_certificate_validity: Option<Seconds>,
}

impl KubeadmConfig {
    /// Parses all documents of a configuration; those of other kinds are ignored.
    ///
    /// A ConfigMap is read through its `data.ClusterConfiguration`; places in errors then count within that
    /// text.
    ///
    /// # Errors
    /// [`DamagedConfig`] when the file is not YAML, has no document of kubeadm, or has a field of the wrong
    /// type.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamagedConfig> {
        let stream = yaml::parse(bytes)?;
        let mut config = Self::default();
        let mut found = false;
        for root in stream.documents().filter(|root| !root.is_null()) {
            if !root.is_mapping() {
                return Err(root.error("not a mapping").into());
            }
            let kind = root.text("kind")?;
            if kind == Some("ConfigMap") {
                let Some(data) = root.mapping("data")? else { continue };
                let Some(text) = data.text("ClusterConfiguration")? else { continue };
                let inner = yaml::parse_first(text.as_bytes())?;
                config.read(inner.first_mapping()?, Some("ClusterConfiguration"))?;
                found = true;
            } else if root.text("apiVersion")?.is_some_and(|version| version.starts_with("kubeadm.k8s.io/")) {
                found |= config.read(root, kind)?;
            }
        }
        if found { Ok(config) } else { Err(YamlError::whole("has no configuration of kubeadm").into()) }
    }

    /// Takes the facts of one document; returns whether it is of a kind that has any.
    fn read(&mut self, root: Node<'_>, kind: Option<&str>) -> Result<bool, YamlError> {
        match kind {
            Some("InitConfiguration") => self.read_node(root, root)?,
            Some("JoinConfiguration") => {
                self.read_node(root, root.mapping("controlPlane")?.unwrap_or(root))?
            }
            Some("ClusterConfiguration") => self.read_cluster(root)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_node(&mut self, root: Node<'_>, control_plane: Node<'_>) -> Result<(), YamlError> {
        if let Some(registration) = root.mapping("nodeRegistration")? {
            set(&mut self.node_name, owned(registration, "name")?);
        }
        if let Some(endpoint) = control_plane.mapping("localAPIEndpoint")? {
            set(&mut self.advertise_address, owned(endpoint, "advertiseAddress")?);
            set(
                &mut self.bind_port,
                parsed(endpoint, "bindPort", "is not a port", |text| text.parse().ok())?,
            );
        }
        Ok(())
    }

    fn read_cluster(&mut self, root: Node<'_>) -> Result<(), YamlError> {
        let version = |text: &str| {
            // Labels such as `stable-1` are looked up on the internet by kubeadm; they say nothing here.
            let label = !text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
            if label { Some(None) } else { text.parse().ok().map(Some) }
        };
        let known = parsed(root, "kubernetesVersion", "is not a version", version)?;
        set(&mut self.kubernetes_version, known.flatten());
        set(&mut self.cluster_name, owned(root, "clusterName")?);
        set(&mut self.certificates_dir, path(root, "certificatesDir")?);
        set(&mut self.control_plane_endpoint, owned(root, "controlPlaneEndpoint")?);
        if let Some(networking) = root.mapping("networking")? {
            let subnets = networking.text("serviceSubnet")?.unwrap_or_default().split(',').map(str::trim);
            set_list(
                &mut self.service_subnets,
                subnets.filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            );
            set(&mut self.dns_domain, owned(networking, "dnsDomain")?);
        }
        if let Some(api_server) = root.mapping("apiServer")? {
            set_list(&mut self.api_server_cert_sans, api_server.texts("certSANs")?);
        }
        if let Some(etcd) = root.mapping("etcd")? {
            if let Some(local) = etcd.mapping("local")? {
                set_list(&mut self.etcd_server_cert_sans, local.texts("serverCertSANs")?);
                set_list(&mut self.etcd_peer_cert_sans, local.texts("peerCertSANs")?);
            }
            let external = etcd.mapping("external")?.map(ExternalEtcd::parse).transpose()?;
            set(&mut self.external_etcd, external);
        }
        if let Some(gates) = root.mapping("featureGates")?
            && gates.flag("PublicKeysECDSA")? == Some(true)
        {
            self.encryption_algorithm = Some("ECDSA-P256".to_owned());
        }
        set(&mut self.encryption_algorithm, owned(root, "encryptionAlgorithm")?);
        let validity = |field| parsed(root, field, "is not a duration, such as 8760h0m0s", duration);
        set(&mut self.certificate_validity, validity("certificateValidityPeriod")?);
        set(&mut self.ca_certificate_validity, validity("caCertificateValidityPeriod")?);
        Ok(())
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
        &self.service_subnets
    }

    /// Returns `networking.dnsDomain`.
    #[must_use]
    pub fn dns_domain(&self) -> Option<&str> {
        self.dns_domain.as_deref()
    }

    /// Returns `apiServer.certSANs` as written.
    #[must_use]
    pub fn api_server_cert_sans(&self) -> &[String] {
        &self.api_server_cert_sans
    }

    /// Returns `etcd.local.serverCertSANs` as written.
    #[must_use]
    pub fn etcd_server_cert_sans(&self) -> &[String] {
        &self.etcd_server_cert_sans
    }

    /// Returns `etcd.local.peerCertSANs` as written.
    #[must_use]
    pub fn etcd_peer_cert_sans(&self) -> &[String] {
        &self.etcd_peer_cert_sans
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
        self.encryption_algorithm.as_deref()
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

impl ExternalEtcd {
    fn parse(external: Node<'_>) -> Result<Self, YamlError> {
        Ok(Self {
            endpoints: external.texts("endpoints")?,
            ca_file: path(external, "caFile")?,
            cert_file: path(external, "certFile")?,
            key_file: path(external, "keyFile")?,
        })
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *field = value;
    }
}

fn set_list(field: &mut Vec<String>, value: Vec<String>) {
    if !value.is_empty() {
        *field = value;
    }
}

/// Returns what `parse` makes of the text `field` below `mapping`.
fn parsed<T>(
    mapping: Node<'_>,
    field: &str,
    complaint: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, YamlError> {
    let Some(text) = mapping.text(field)? else { return Ok(None) };
    let place = mapping.get(field).unwrap_or(mapping);
    parse(text).map(Some).ok_or_else(|| place.error(format!("{field} {complaint}")))
}

/// Parses a duration as Go's `time.ParseDuration` does; parts of a second are dropped.
///
/// Unlike [`Seconds`]'s own grammar it has fractions and small units, and no days.
fn duration(text: &str) -> Option<Seconds> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Seconds(0));
    }
    let mut nanoseconds: i64 = 0;
    while {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, fraction) = rest[..number].split_once('.').unwrap_or((&rest[..number], ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| number + at);
        let unit: i64 = match &rest[number..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOSECONDS,
            "m" => 60 * NANOSECONDS,
            "h" => 3_600 * NANOSECONDS,
            _ => return None,
        };
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanoseconds = whole.checked_mul(unit).and_then(|span| nanoseconds.checked_add(span))?;
        let mut scale = unit;
        for digit in fraction.chars() {
            scale /= 10;
            let digit = i64::from(digit.to_digit(10)?);
            nanoseconds = nanoseconds.checked_add(digit * scale)?;
        }
        rest = &rest[end..];
        !rest.is_empty()
    } {}
    Some(Seconds(sign * (nanoseconds / NANOSECONDS)))
}

/// Nanoseconds, Go's unit of durations, in a second.
const NANOSECONDS: i64 = 1_000_000_000;

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
        let text = format!("apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n{text}");
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

    #[test]
    fn durations_are_those_of_go() {
        for (text, seconds) in [
            ("8760h0m0s", Some(31_536_000)),
            ("1.5h", Some(5_400)),
            ("-2m", Some(-120)),
            ("1500ms", Some(1)),
            ("0", Some(0)),
            (".5m", Some(30)),
            ("+1h1m1s1us", Some(3_661)),
            ("", None),
            ("5", None),
            ("h", None),
            (".h", None),
            ("1d", None),
            ("1h-1m", None),
            ("1..5h", None),
            ("9999999999h", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text), seconds.map(Seconds), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn mutated_files_are_parsed_or_refused(at in 0..INIT.len(), cut in 0..20_usize, junk in "\\PC{0,6}") {
            let text = format!("{}{junk}{}", &INIT[..at], &INIT[(at + cut).min(INIT.len())..]);
            let _ = KubeadmConfig::parse(text.as_bytes());
        }

        #[test]
        fn any_text_is_a_duration_or_not(text in "[0-9.hmsuµn+-]{0,24}") {
            let _ = duration(&text);
        }
    }
}

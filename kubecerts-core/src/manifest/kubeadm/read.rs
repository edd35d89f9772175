//! The documents of a configuration, read one after the other.

use std::collections::BTreeMap;

use super::duration::duration;
use super::fields::{ApiVersion, CLUSTER, Field, INIT, JOIN};
use super::remark::{ConfigRemark, Contradiction, Place, Statement};
use super::{ExternalEtcd, KubeadmConfig};
use crate::manifest::path;
use crate::path::TreePath;
use crate::x509::AlternativeName;
use crate::yaml::{Node, YamlError};

/// Takes the facts of one document after the other.
#[derive(Default)]
pub(super) struct Reader {
    config: KubeadmConfig,
    version: Option<(ApiVersion, Statement)>,
}

/// A value of a field, and where it was said.
struct Said<T> {
    field: &'static str,
    value: T,
    text: String,
    place: Place,
}

impl Reader {
    /// Takes the facts of one document; returns whether it is of a kind that has any.
    pub(super) fn read(&mut self, root: Node<'_>, kind: Option<&str>) -> Result<bool, YamlError> {
        let fields = match kind {
            Some("InitConfiguration") => INIT,
            Some("JoinConfiguration") => JOIN,
            Some("ClusterConfiguration") => CLUSTER,
            _ => return Ok(false),
        };
        let version = self.version(root)?;
        self.check(root, "", fields, version);
        match kind {
            Some("ClusterConfiguration") => self.read_cluster(root, version)?,
            Some("JoinConfiguration") => {
                self.config.joins = true;
                self.read_node(root, root.mapping("controlPlane")?.unwrap_or(root))?;
            }
            _ => {
                self.config.initialises = true;
                self.read_node(root, root)?;
            }
        }
        Ok(true)
    }

    pub(super) fn finish(mut self) -> KubeadmConfig {
        let config = &mut self.config;
        let said = |field: &str| config.statements.get(field).cloned();
        let mut found = Vec::new();
        if let (Some(local), Some(external)) = (said("etcd.local"), said("etcd.external")) {
            found.push(Contradiction::new(local, external));
        }
        if let (Some(gate), Some(algorithm)) =
            (said("featureGates.PublicKeysECDSA"), said("encryptionAlgorithm"))
            && !matches!(algorithm.value.as_deref(), Some("ECDSA-P256" | "ECDSA-P384"))
        {
            found.push(Contradiction::new(gate, algorithm));
        }
        if let (Some(leaf), Some(authority)) = (config.certificate_validity, config.ca_certificate_validity)
            && leaf > authority
            && let (Some(leaf), Some(authority)) =
                (said("certificateValidityPeriod"), said("caCertificateValidityPeriod"))
        {
            let (place, authority) = (leaf.place, authority.place);
            config.remarks.push(ConfigRemark::OutlivesAuthority { place, authority });
        }
        config.contradictions.extend(found);
        config.contradictions.sort_by_key(|found| (found.first.place, found.second.place));
        config.remarks.sort_by_key(ConfigRemark::place);
        self.config
    }

    /// Returns the version of a document; all documents of a configuration must have the same.
    fn version(&mut self, root: Node<'_>) -> Result<ApiVersion, YamlError> {
        let Some(text) = root.text("apiVersion")? else { return Ok(ApiVersion::V1Beta4) };
        let place = root.get("apiVersion").unwrap_or(root);
        let version = text.strip_prefix(GROUP).and_then(|version| version.parse().ok());
        let version: ApiVersion = version.ok_or_else(|| {
            place.error("apiVersion is not one of kubeadm.k8s.io/v1beta1, v1beta2, v1beta3 and v1beta4")
        })?;
        let statement = statement("apiVersion", place, Some(text));
        match &self.version {
            Some((first, said)) if *first != version => {
                self.config.contradictions.push(Contradiction::new(said.clone(), statement));
            }
            Some(_) => {}
            None => self.version = Some((version, statement)),
        }
        Ok(version)
    }

    /// Reports fields that nobody reads, and fields that are given twice.
    fn check(&mut self, mapping: Node<'_>, above: &str, fields: &[Field], version: ApiVersion) {
        let mut seen: BTreeMap<&str, Statement> = BTreeMap::new();
        for (key, value) in mapping.entries() {
            let Some(name) = key.as_str() else { continue };
            let field = format!("{above}{name}");
            let said = statement(&field, key, value.as_str());
            if let Some(earlier) = seen.insert(name, said.clone())
                && (earlier.value != said.value || said.value.is_none())
            {
                self.config.contradictions.push(Contradiction::new(earlier, said.clone()));
            }
            let place = said.place;
            match fields.iter().find(|known| known.name == name) {
                Some(known) if known.since <= version && version <= known.until => {
                    if !known.below.is_empty() {
                        self.check(value, &format!("{field}."), known.below, version);
                    }
                }
                Some(_) => {
                    let version = version.name();
                    self.config.remarks.push(ConfigRemark::OtherVersion { place, field, version });
                }
                None => {
                    let mut names = fields.iter().map(|known| known.name);
                    let similar = names.find(|known| known.eq_ignore_ascii_case(name));
                    self.config.remarks.push(ConfigRemark::UnknownField { place, field, similar });
                }
            }
        }
    }

    fn read_node(&mut self, root: Node<'_>, control_plane: Node<'_>) -> Result<(), YamlError> {
        if let Some(registration) = root.mapping("nodeRegistration")? {
            let name = text(registration, "nodeRegistration.name")?;
            self.keep(name, |config| &mut config.node_name);
        }
        if let Some(endpoint) = control_plane.mapping("localAPIEndpoint")? {
            self.keep(text(endpoint, "localAPIEndpoint.advertiseAddress")?, |c| &mut c.advertise_address);
            let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
            let port = parsed(endpoint, "localAPIEndpoint.bindPort", "is not a port", port)?;
            self.keep(port, |config| &mut config.bind_port);
        }
        Ok(())
    }

    fn read_cluster(&mut self, root: Node<'_>, version: ApiVersion) -> Result<(), YamlError> {
        let release = |text: &str| {
            // Labels such as `stable-1` are looked up on the internet by kubeadm; they say nothing here.
            let label = !text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
            if label { Some(None) } else { text.parse().ok().map(Some) }
        };
        let known = parsed(root, "kubernetesVersion", "is not a version", release)?;
        let known = known.and_then(|said| said.try_map(|version| version));
        self.keep(known, |config| &mut config.kubernetes_version);
        self.keep(text(root, "clusterName")?, |config| &mut config.cluster_name);
        self.keep(directory(root, "certificatesDir")?, |config| &mut config.certificates_dir);
        self.keep(text(root, "controlPlaneEndpoint")?, |config| &mut config.control_plane_endpoint);
        if let Some(networking) = root.mapping("networking")? {
            let subnets = |text: &str| {
                let subnets = text.split(',').map(str::trim).filter(|subnet| !subnet.is_empty());
                Some(subnets.map(str::to_owned).collect())
            };
            let subnets =
                parsed(networking, "networking.serviceSubnet", "is not a list of networks", subnets)?;
            self.keep(subnets, |config| &mut config.service_subnets);
            self.keep(text(networking, "networking.dnsDomain")?, |config| &mut config.dns_domain);
        }
        if let Some(api_server) = root.mapping("apiServer")? {
            let names = self.names(api_server, "apiServer.certSANs")?;
            self.keep(names, |config| &mut config.api_server_cert_sans);
        }
        if let Some(etcd) = root.mapping("etcd")? {
            self.read_etcd(etcd)?;
        }
        if let Some(gates) = root.mapping("featureGates")?
            && gates.flag("PublicKeysECDSA")? == Some(true)
            && let Some(place) = gates.get("PublicKeysECDSA")
        {
            let said = statement("featureGates.PublicKeysECDSA", place, Some("true"));
            self.config.statements.insert("featureGates.PublicKeysECDSA", said);
        }
        if version < ApiVersion::V1Beta4 {
            return Ok(());
        }
        self.keep(text(root, "encryptionAlgorithm")?, |config| &mut config.encryption_algorithm);
        let lifetime = |field| parsed(root, field, "is not a duration, such as 8760h0m0s", duration);
        self.keep(lifetime("certificateValidityPeriod")?, |config| &mut config.certificate_validity);
        self.keep(lifetime("caCertificateValidityPeriod")?, |config| &mut config.ca_certificate_validity);
        Ok(())
    }

    fn read_etcd(&mut self, etcd: Node<'_>) -> Result<(), YamlError> {
        for field in ["etcd.local", "etcd.external"] {
            if let Some((key, _)) = etcd.entry(leaf(field)).filter(|(_, value)| !value.is_null()) {
                self.config.statements.insert(field, statement(field, key, None));
            }
        }
        if let Some(local) = etcd.mapping("local")? {
            let names = self.names(local, "etcd.local.serverCertSANs")?;
            self.keep(names, |config| &mut config.etcd_server_cert_sans);
            let names = self.names(local, "etcd.local.peerCertSANs")?;
            self.keep(names, |config| &mut config.etcd_peer_cert_sans);
        }
        if let Some(external) = etcd.mapping("external")? {
            self.config.external_etcd = Some(ExternalEtcd::parse(external)?);
        }
        Ok(())
    }

    /// Returns the names for a certificate in the list `field`; those that kubeadm would leave out are reported.
    fn names(
        &mut self,
        mapping: Node<'_>,
        field: &'static str,
    ) -> Result<Option<Said<Vec<String>>>, YamlError> {
        let names = mapping.texts(leaf(field))?;
        for (item, name) in mapping.list(leaf(field))?.into_iter().zip(&names) {
            if AlternativeName::of_kubeadm(name).is_none() {
                let (place, name) = (place(item), name.clone());
                self.config.remarks.push(ConfigRemark::UnusableName { place, field, name });
            }
        }
        let list = mapping.get(leaf(field)).filter(|_| !names.is_empty());
        Ok(list.map(|list| Said { field, text: names.join(", "), value: names, place: place(list) }))
    }

    /// Keeps what was said; something else in another place contradicts it.
    fn keep<T: PartialEq>(
        &mut self,
        said: Option<Said<T>>,
        slot: impl Fn(&mut KubeadmConfig) -> &mut Option<T>,
    ) {
        let Some(Said { field, value, text, place }) = said else { return };
        let statement = Statement { place, field: field.to_owned(), value: Some(text) };
        let known = slot(&mut self.config);
        let differs = known.as_ref().is_some_and(|known| *known != value);
        *known = Some(value);
        if let Some(earlier) = self.config.statements.insert(field, statement.clone())
            && differs
        {
            self.config.contradictions.push(Contradiction::new(earlier, statement));
        }
    }
}

impl<T> Said<T> {
    fn try_map<U>(self, map: impl FnOnce(T) -> Option<U>) -> Option<Said<U>> {
        let Self { field, value, text, place } = self;
        map(value).map(|value| Said { field, value, text, place })
    }
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

/// Returns the last part of a field's path, which is its name in its mapping.
fn leaf(field: &'static str) -> &'static str {
    field.rsplit_once('.').map_or(field, |(_, name)| name)
}

fn place(node: Node<'_>) -> Place {
    let (line, column) = node.position();
    Place { line, column }
}

fn statement(field: &str, node: Node<'_>, value: Option<&str>) -> Statement {
    Statement { place: place(node), field: field.to_owned(), value: value.map(str::to_owned) }
}

fn text(mapping: Node<'_>, field: &'static str) -> Result<Option<Said<String>>, YamlError> {
    parsed(mapping, field, "is not a text", |text| Some(text.to_owned()))
}

fn directory(mapping: Node<'_>, field: &'static str) -> Result<Option<Said<TreePath>>, YamlError> {
    let Some(value) = path(mapping, leaf(field))? else { return Ok(None) };
    Ok(text(mapping, field)?.and_then(|said| said.try_map(|_| Some(value))))
}

/// Returns what `parse` makes of the text `field` in `mapping`.
fn parsed<T>(
    mapping: Node<'_>,
    field: &'static str,
    complaint: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<Said<T>>, YamlError> {
    let name = leaf(field);
    let Some(text) = mapping.text(name)? else { return Ok(None) };
    let node = mapping.get(name).unwrap_or(mapping);
    let value = parse(text).ok_or_else(|| node.error(format!("{name} {complaint}")))?;
    Ok(Some(Said { field, value, text: text.to_owned(), place: place(node) }))
}

/// The group of kubeadm's configuration, with the slash before its version.
pub(super) const GROUP: &str = "kubeadm.k8s.io/";

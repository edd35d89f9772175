//! A whole tree from nothing, as `kubeadm init phase certs all` and `kubeadm init phase kubeconfig all` make it.

use core::net::IpAddr;

use super::step::{CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Placement, Step, Write};
use super::{BACKDATE, DEFAULT_LIFETIME, Plan, PlanError, serial};
use crate::catalog::{CaSlot, ClientSpec, FileSlot, KubeconfigSlot, LeafSlot, NameRule, SanRule, Slot};
use crate::issue::Expected;
use crate::provider::Entropy;
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyAlgorithm, KeyUsages,
    Purpose, SignatureAlgorithm, Validity,
};

/// What a new control-plane node is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClusterIntent {
    /// The node's name.
    pub node_name: String,
    /// The address at which the API server is reached: `localAPIEndpoint.advertiseAddress`.
    pub advertise_address: IpAddr,
    /// The first address of the service subnet, at which pods reach the API server.
    pub service_address: IpAddr,
    /// The domain of services; `cluster.local` by default.
    pub dns_domain: String,
    /// The name of the cluster in kubeconfigs; `kubernetes` by default.
    pub cluster_name: String,
    /// `host:port` of the control plane as clients see it; the advertised address and 6443 when `None`.
    pub endpoint: Option<String>,
    /// The algorithm of all keys; RSA-2048 by default.
    pub algorithm: KeyAlgorithm,
    /// How long certificates are valid; one year by default.
    pub lifetime: Seconds,
    /// How long authorities are valid; ten years of 365 days by default.
    pub authority_lifetime: Seconds,
}

impl ClusterIntent {
    /// Returns kubeadm's defaults for a node with this name and address.
    #[must_use]
    pub fn new(node_name: impl Into<String>, advertise_address: IpAddr) -> Self {
        Self {
            node_name: node_name.into(),
            advertise_address,
            service_address: IpAddr::from([10, 96, 0, 1]),
            dns_domain: "cluster.local".to_owned(),
            cluster_name: "kubernetes".to_owned(),
            endpoint: None,
            algorithm: KeyAlgorithm::Rsa2048,
            lifetime: DEFAULT_LIFETIME,
            authority_lifetime: Seconds(10 * DEFAULT_LIFETIME.0),
        }
    }
}

/// Decides on every file of a new tree: authorities, leaves, kubeconfigs and the service account pair.
///
/// Every write expects that there is no file yet.
///
/// # Errors
/// [`PlanError`] when a name or a lifetime is not usable, or the random source fails.
pub fn create(intent: &ClusterIntent, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Plan, PlanError> {
    let endpoint = intent.endpoint.as_deref().unwrap_or_default();
    for (what, value) in
        [("the name of the cluster", intent.cluster_name.as_str()), ("the endpoint", endpoint)]
    {
        // Both are written into YAML as they are.
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if !value.chars().all(plain) || (value.is_empty() && what != "the endpoint") {
            return Err(PlanError::Intent { what, value: value.to_owned() });
        }
    }
    let serials = serial::Serials::draw(entropy)?;
    let creation = Creation { intent, now, serials: &serials };
    let mut steps = Vec::new();
    for ca in CaSlot::ALL {
        steps.push(creation.authority(ca)?);
    }
    for leaf in LeafSlot::ALL {
        steps.push(creation.leaf(leaf)?);
    }
    for kubeconfig in KubeconfigSlot::ALL {
        steps.push(creation.kubeconfig(kubeconfig)?);
    }
    steps.push(Step {
        slot: Slot::ServiceAccount,
        key: KeyPolicy::Generate(intent.algorithm),
        certificate: None,
        kubeconfig: None,
        writes: vec![new_file(FileSlot::ServiceAccountKey), new_file(FileSlot::ServiceAccountPublicKey)],
        replaced: None,
        notes: Vec::new(),
    });
    Ok(Plan { steps, deferred: Vec::new(), restarts: Vec::new(), now })
}

struct Creation<'a> {
    intent: &'a ClusterIntent,
    now: Timestamp,
    serials: &'a serial::Serials,
}

impl Creation<'_> {
    fn authority(&self, ca: CaSlot) -> Result<Step, PlanError> {
        let common_name = ca.spec().common_name;
        let slot = Slot::Ca(ca);
        let certificate = CertificateSpec {
            issuer: IssuerRef::Itself,
            signature: self.signature(),
            serial: self.serials.of(slot),
            validity: self.validity(self.intent.authority_lifetime)?,
            subject: DistinguishedName::kubeadm(common_name, &[]),
            alternative_names: AlternativeNames::new(vec![AlternativeName::Dns(common_name.to_owned())]),
            key_usages: KeyUsages::AUTHORITY,
            extended_key_usages: ExtendedKeyUsages::default(),
        };
        Ok(self.step(slot, certificate, None, vec![FileSlot::CaKey(ca), FileSlot::CaCertificate(ca)]))
    }

    fn leaf(&self, leaf: LeafSlot) -> Result<Step, PlanError> {
        let slot = Slot::Leaf(leaf);
        let certificate = self.signed(slot, leaf.spec())?;
        Ok(self.step(slot, certificate, None, vec![FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf)]))
    }

    fn kubeconfig(&self, kubeconfig: KubeconfigSlot) -> Result<Step, PlanError> {
        let slot = Slot::Kubeconfig(kubeconfig);
        let spec = kubeconfig.spec();
        let local = authority_of(self.intent.advertise_address);
        let server = match kubeconfig {
            KubeconfigSlot::Admin | KubeconfigSlot::SuperAdmin => {
                self.intent.endpoint.clone().unwrap_or(local)
            }
            KubeconfigSlot::ControllerManager | KubeconfigSlot::Kubelet | KubeconfigSlot::Scheduler => local,
        };
        let template = KubeconfigSpec::Create {
            cluster: self.intent.cluster_name.clone(),
            server: format!("https://{server}"),
            user: self.common_name(spec),
        };
        let certificate = self.signed(slot, spec)?;
        Ok(self.step(slot, certificate, Some(template), vec![FileSlot::Kubeconfig(kubeconfig)]))
    }

    fn signed(&self, slot: Slot, spec: ClientSpec) -> Result<CertificateSpec, PlanError> {
        let organisations: Vec<&str> = spec.organisation.into_iter().collect();
        Ok(CertificateSpec {
            issuer: IssuerRef::Created(spec.issuer),
            signature: self.signature(),
            serial: self.serials.of(slot),
            validity: self.validity(self.intent.lifetime.min(self.intent.authority_lifetime))?,
            subject: DistinguishedName::kubeadm(&self.common_name(spec), &organisations),
            alternative_names: AlternativeNames::new(self.names(spec.sans)?),
            key_usages: KeyUsages::LEAF,
            extended_key_usages: ExtendedKeyUsages::new(
                spec.usages.iter().copied().map(Purpose::from).collect(),
            ),
        })
    }

    fn step(
        &self,
        slot: Slot,
        certificate: CertificateSpec,
        kubeconfig: Option<KubeconfigSpec>,
        files: Vec<FileSlot>,
    ) -> Step {
        Step {
            slot,
            key: KeyPolicy::Generate(self.intent.algorithm),
            certificate: Some(certificate),
            kubeconfig,
            writes: files.into_iter().map(new_file).collect(),
            replaced: None,
            notes: Vec::new(),
        }
    }

    const fn signature(&self) -> SignatureAlgorithm {
        self.intent.algorithm.signature()
    }

    fn validity(&self, lifetime: Seconds) -> Result<Validity, PlanError> {
        if lifetime.0 <= 0 {
            return Err(PlanError::Lifetime(lifetime));
        }
        Validity::new(self.now.minus(BACKDATE), self.now.plus(lifetime))
            .map_err(|_| PlanError::Lifetime(lifetime))
    }

    fn common_name(&self, spec: ClientSpec) -> String {
        match spec.common_name {
            NameRule::Fixed(name) => name.to_owned(),
            NameRule::NodeName => self.intent.node_name.clone(),
            NameRule::SystemNode => format!("system:node:{}", self.intent.node_name),
        }
    }

    /// Returns kubeadm's names: DNS names sorted and unique, then addresses in order and unique
    /// (`cmd/kubeadm/app/util/pkiutil/pki_helpers.go`).
    fn names(&self, rule: SanRule) -> Result<Vec<AlternativeName>, PlanError> {
        let ClusterIntent { node_name, advertise_address, service_address, dns_domain, endpoint, .. } =
            self.intent;
        let (mut dns, mut addresses) = match rule {
            SanRule::None => return Ok(Vec::new()),
            SanRule::ApiServer => {
                let services =
                    ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
                let mut dns = vec![node_name.clone(), format!("kubernetes.default.svc.{dns_domain}")];
                dns.extend(services);
                (dns, vec![*service_address, *advertise_address])
            }
            SanRule::Etcd => {
                let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])];
                let mut addresses = vec![*advertise_address];
                addresses.extend(loopback);
                (vec![node_name.clone(), "localhost".to_owned()], addresses)
            }
        };
        if let (SanRule::ApiServer, Some(endpoint)) = (rule, endpoint) {
            let host = endpoint.rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host);
            match host.trim_matches(['[', ']']).parse() {
                Ok(address) => addresses.push(address),
                Err(_) => dns.push(host.to_owned()),
            }
        }
        if let Some(unusable) = dns.iter().find(|name| name.is_empty() || !name.is_ascii()) {
            return Err(PlanError::Intent { what: "the name", value: unusable.clone() });
        }
        dns.sort();
        dns.dedup();
        let mut unique = Vec::new();
        for address in addresses {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        let dns = dns.into_iter().map(AlternativeName::Dns);
        Ok(dns.chain(unique.into_iter().map(AlternativeName::Ip)).collect())
    }
}

const fn new_file(file: FileSlot) -> Write {
    Write { file, expected: Expected::Absent, mode: file.mode(), placement: Placement::AtPath }
}

/// Returns `address` with the API server's default port, as a URL writes it.
pub(super) fn authority_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:6443"),
        IpAddr::V6(address) => format!("[{address}]:6443"),
    }
}

//! kubeadm's configuration as an intent, with kubeadm's defaults for what it leaves out.

use core::net::IpAddr;

use super::{ClusterIntent, ControlPlaneEndpoint, EtcdIntent};
use crate::catalog::NodeName;
use crate::manifest::{Contradiction, KubeadmConfig, Place, Statement};
use crate::snapshot::first_address;
use crate::time::Seconds;
use crate::x509::AlternativeName;

impl ClusterIntent {
    /// Returns what `config` asks for. `node` and `address` go before what it says of the node's name and the advertised
    /// address; kubeadm would look both up on the host, which is nobody's business here.
    ///
    /// Names for certificates that kubeadm would leave out are left out, and are among [`KubeadmConfig::remarks`].
    ///
    /// # Errors
    /// [`IntentError`] for the first contradiction in the order of the file, a value that kubeadm would refuse, or when the
    /// name or the address is not known.
    pub fn from_config(
        config: &KubeadmConfig,
        node: Option<NodeName>,
        address: Option<IpAddr>,
    ) -> Result<Self, IntentError> {
        if let Some(contradiction) = config.contradictions().first() {
            return Err(IntentError::Contradiction(Box::new(contradiction.clone())));
        }
        let source = Source { config };
        let node = node.map_or_else(|| source.node_name(), Ok)?;
        let address = address.map_or_else(|| source.advertise_address(), Ok)?;
        let mut intent = Self::new(node, address);
        intent.bind_port = config.bind_port().unwrap_or(intent.bind_port);
        intent.version = config.kubernetes_version();
        if let Some(name) = config.cluster_name() {
            name.clone_into(&mut intent.cluster_name);
        }
        if let Some(domain) = config.dns_domain() {
            let is_domain = NodeName::parse(domain).is_ok_and(|parsed| parsed.as_str() == domain);
            let domain = is_domain.then(|| domain.to_owned());
            intent.dns_domain =
                domain.ok_or_else(|| source.invalid("networking.dnsDomain", "a DNS domain"))?;
        }
        if let Some(endpoint) = config.control_plane_endpoint() {
            let endpoint = ControlPlaneEndpoint::parse(endpoint, intent.bind_port);
            let expected = "a host with or without a port";
            intent.endpoint = Some(endpoint.map_err(|_| source.invalid("controlPlaneEndpoint", expected))?);
        }
        if let Some(algorithm) = config.encryption_algorithm() {
            let expected = "RSA-2048, RSA-3072, RSA-4096, ECDSA-P256 or ECDSA-P384";
            intent.algorithm =
                algorithm.parse().map_err(|_| source.invalid("encryptionAlgorithm", expected))?;
        }
        if !config.service_subnets().is_empty() {
            intent.service_addresses = source.service_addresses()?;
        }
        source.must_be_of_one_family(&intent)?;
        intent.api_server_names = usable(config.api_server_cert_sans());
        intent.etcd = if config.external_etcd().is_some() {
            EtcdIntent::External
        } else {
            EtcdIntent::local(usable(config.etcd_server_cert_sans()), usable(config.etcd_peer_cert_sans()))
        };
        let lifetime = |field, given: Option<Seconds>, usual| match given {
            // kubeadm takes a zero for its default.
            None | Some(Seconds(0)) => Ok(usual),
            Some(lifetime) if lifetime.0 > 0 => Ok(lifetime),
            Some(_) => Err(source.invalid(field, "a span of time that lasts")),
        };
        intent.lifetime =
            lifetime("certificateValidityPeriod", config.certificate_validity(), intent.lifetime)?;
        intent.authority_lifetime = lifetime(
            "caCertificateValidityPeriod",
            config.ca_certificate_validity(),
            intent.authority_lifetime,
        )?;
        Ok(intent)
    }
}

/// Why a configuration is nothing that could be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IntentError {
    /// Two statements cannot both hold.
    #[error(transparent)]
    Contradiction(Box<Contradiction>),
    /// A value is not what its field takes.
    #[error("{place}: {field} {value:?} is not {expected}")]
    #[non_exhaustive]
    Invalid {
        /// Where it stands.
        place: Place,
        /// The path of the field.
        field: String,
        /// The value as written.
        value: String,
        /// What the field takes.
        expected: &'static str,
    },
    /// The configuration does not say what kubeadm would look up on its host.
    #[error("the configuration has no {field}")]
    #[non_exhaustive]
    Missing {
        /// The path of the field.
        field: &'static str,
    },
}

struct Source<'a> {
    config: &'a KubeadmConfig,
}

impl Source<'_> {
    fn node_name(&self) -> Result<NodeName, IntentError> {
        let field = "nodeRegistration.name";
        let name = self.config.node_name().ok_or(IntentError::Missing { field })?;
        NodeName::parse(name).map_err(|_| self.invalid(field, "the name of a node: a DNS name"))
    }

    fn advertise_address(&self) -> Result<IpAddr, IntentError> {
        let field = "localAPIEndpoint.advertiseAddress";
        let missing = IntentError::Missing { field };
        let text = self.config.advertise_address().ok_or(missing.clone())?;
        match text.parse::<IpAddr>() {
            // "Any address" has kubeadm look for the host's own.
            Ok(address) if address.is_unspecified() => Err(missing),
            Ok(address) => Ok(address),
            Err(_) => Err(self.invalid(field, "an address")),
        }
    }

    /// Returns the first address of every service subnet.
    fn service_addresses(&self) -> Result<Vec<IpAddr>, IntentError> {
        let field = "networking.serviceSubnet";
        let subnets = self.config.service_subnets();
        let expected = "a network such as 10.96.0.0/12, or one per family with a comma between them";
        let first = |subnet: &String| first_address(subnet).ok_or_else(|| self.invalid(field, expected));
        let addresses: Vec<IpAddr> = subnets.iter().map(first).collect::<Result<_, _>>()?;
        match addresses[..] {
            [_] => Ok(addresses),
            [one, other] if one.is_ipv4() != other.is_ipv4() => Ok(addresses),
            _ => Err(self.invalid(field, expected)),
        }
    }

    /// The API server refuses a primary service network of another family than its own address
    /// (`cmd/kube-apiserver/app/options/validation.go`).
    fn must_be_of_one_family(&self, intent: &ClusterIntent) -> Result<(), IntentError> {
        let address = self.config.statement("localAPIEndpoint.advertiseAddress");
        let subnet = self.config.statement("networking.serviceSubnet");
        let is_v4 = intent.service_addresses.first().is_none_or(IpAddr::is_ipv4);
        match (address, subnet) {
            (Some(address), Some(subnet))
                if is_v4 != intent.advertise_address.is_ipv4() && self.advertises(intent) =>
            {
                let contradiction = Contradiction::new(address.clone(), subnet.clone());
                Err(IntentError::Contradiction(Box::new(contradiction)))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the advertised address is that of the configuration.
    fn advertises(&self, intent: &ClusterIntent) -> bool {
        self.config.advertise_address().and_then(|text| text.parse().ok()) == Some(intent.advertise_address)
    }

    /// Returns the error about the value of `field`, which the configuration has.
    fn invalid(&self, field: &'static str, expected: &'static str) -> IntentError {
        match self.config.statement(field) {
            Some(Statement { place, field, value, .. }) => IntentError::Invalid {
                place: *place,
                field: field.clone(),
                value: value.clone().unwrap_or_default(),
                expected,
            },
            None => IntentError::Missing { field },
        }
    }
}

/// Returns the names that kubeadm would put into a certificate.
fn usable(names: &[String]) -> Vec<AlternativeName> {
    names.iter().filter_map(|name| AlternativeName::of_kubeadm(name)).collect()
}

//! What a command line says of a new node beside its configuration, in the words of kubeadm's flags.

use core::net::IpAddr;

use super::{ClusterIntent, ControlPlaneEndpoint, IntentError};
use crate::catalog::{KubernetesVersion, NodeName};
use crate::manifest::KubeadmConfig;
use crate::snapshot::first_address;
use crate::x509::AlternativeName;

/// What goes before a configuration; nothing by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Overrides {
    /// `--node-name`.
    pub node_name: Option<String>,
    /// `--apiserver-advertise-address`.
    pub advertise_address: Option<IpAddr>,
    /// `--apiserver-bind-port`.
    pub bind_port: Option<u16>,
    /// `--control-plane-endpoint`.
    pub endpoint: Option<String>,
    /// `--apiserver-cert-extra-sans`, which come after those of the configuration.
    pub api_server_names: Vec<String>,
    /// `--service-cidr`: one network, or one per family.
    pub service_subnets: Option<String>,
    /// `--service-dns-domain`.
    pub dns_domain: Option<String>,
    /// `--kubernetes-version`.
    pub version: Option<KubernetesVersion>,
}

impl Overrides {
    /// Returns what `config` asks for, with these changes.
    ///
    /// # Errors
    /// [`OverrideError`] when the configuration or one of the changes is not usable, or the two together are not.
    pub fn intent(&self, config: &KubeadmConfig) -> Result<ClusterIntent, OverrideError> {
        // A new flag must find its place here.
        let Self {
            node_name,
            advertise_address,
            bind_port,
            endpoint,
            api_server_names,
            service_subnets,
            dns_domain,
            version,
        } = self;
        let invalid =
            |flag, value: &str, expected| OverrideError::Invalid { flag, value: value.to_owned(), expected };
        let is_name = |text: &String| {
            NodeName::parse(text).map_err(|_| invalid("--node-name", text, "the name of a node: a DNS name"))
        };
        let node_name = node_name.as_ref().map(is_name).transpose()?;
        let mut intent = ClusterIntent::from_config(config, node_name, *advertise_address)?;
        if let Some(port) = *bind_port {
            intent.bind_port = port;
            // An endpoint without a port has that of the API server.
            if let Some(text) = config.control_plane_endpoint() {
                intent.endpoint = ControlPlaneEndpoint::parse(text, port).ok();
            }
        }
        intent.version = version.or(intent.version);
        if let Some(text) = endpoint {
            let endpoint = ControlPlaneEndpoint::parse(text, intent.bind_port);
            let expected = "a host with or without a port";
            intent.endpoint =
                Some(endpoint.map_err(|_| invalid("--control-plane-endpoint", text, expected))?);
        }
        for text in api_server_names {
            let name = AlternativeName::of_kubeadm(text);
            let expected = "an address or a DNS name in lower case";
            intent
                .api_server_names
                .push(name.ok_or_else(|| invalid("--apiserver-cert-extra-sans", text, expected))?);
        }
        if let Some(domain) = dns_domain {
            let is_domain = NodeName::parse(domain).is_ok_and(|parsed| parsed.as_str() == domain);
            if !is_domain {
                return Err(invalid("--service-dns-domain", domain, "a DNS domain"));
            }
            intent.dns_domain.clone_from(domain);
        }
        if let Some(text) = service_subnets {
            let addresses: Option<Vec<IpAddr>> =
                text.split(',').map(|subnet| first_address(subnet.trim())).collect();
            let is_usable = |addresses: &Vec<IpAddr>| match addresses[..] {
                [first] => first.is_ipv4() == intent.advertise_address.is_ipv4(),
                [first, second] => {
                    first.is_ipv4() != second.is_ipv4()
                        && first.is_ipv4() == intent.advertise_address.is_ipv4()
                }
                _ => false,
            };
            let expected =
                "a network of the advertised address's family, and perhaps one of the other after a comma";
            intent.service_addresses =
                addresses.filter(is_usable).ok_or_else(|| invalid("--service-cidr", text, expected))?;
        }
        // The API server would refuse to start (`cmd/kube-apiserver/app/options/validation.go`).
        let is_v4 = intent.service_addresses.first().is_none_or(IpAddr::is_ipv4);
        if is_v4 != intent.advertise_address.is_ipv4() {
            let expected = "of the family of the first network of services";
            let address = intent.advertise_address.to_string();
            return Err(invalid("--apiserver-advertise-address", &address, expected));
        }
        Ok(intent)
    }
}

/// Why a configuration and what goes before it are nothing that could be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// A flag has a value that it does not take.
    #[error("{flag} {value:?} is not {expected}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// The value as given.
        value: String,
        /// What the flag takes.
        expected: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Overrides)) -> Result<ClusterIntent, OverrideError> {
        let mut overrides = Overrides {
            node_name: Some("CP-1".to_owned()),
            advertise_address: Some([10, 0, 0, 1].into()),
            ..Overrides::default()
        };
        change(&mut overrides);
        overrides.intent(&KubeadmConfig::default())
    }

    #[test]
    fn flags_go_before_defaults() {
        let intent = with(|flags| {
            flags.endpoint = Some("k8s.example.com".to_owned());
            flags.bind_port = Some(7443);
            flags.service_subnets = Some("10.100.0.0/16,fd00:1::/112".to_owned());
            flags.dns_domain = Some("example.org".to_owned());
            flags.api_server_names = vec!["x.example.com".to_owned(), "10.0.0.9".to_owned()];
            flags.version = Some(KubernetesVersion::release(1, 30));
        })
        .unwrap();
        assert_eq!(intent.node_name.as_str(), "cp-1");
        assert_eq!(intent.endpoint.unwrap().to_string(), "k8s.example.com:7443");
        assert_eq!(intent.service_addresses[0], IpAddr::from([10, 100, 0, 1]));
        assert_eq!(intent.service_addresses.len(), 2);
        assert_eq!(intent.api_server_names.len(), 2);
    }

    #[test]
    fn a_flag_that_makes_no_sense_is_named() {
        type Change = fn(&mut Overrides);
        let cases: [(&str, Change); 8] = [
            ("--node-name", |flags| flags.node_name = Some("a_b".to_owned())),
            ("--control-plane-endpoint", |flags| flags.endpoint = Some("https://x".to_owned())),
            ("--service-dns-domain", |flags| flags.dns_domain = Some("a b".to_owned())),
            ("--apiserver-cert-extra-sans", |flags| flags.api_server_names = vec!["a/b".to_owned()]),
            ("--service-cidr", |flags| flags.service_subnets = Some("10.96.0.1".to_owned())),
            ("--service-cidr", |flags| flags.service_subnets = Some("fd00::/112".to_owned())),
            ("--service-cidr", |flags| flags.service_subnets = Some("10.0.0.0/16,10.1.0.0/16".to_owned())),
            ("--service-cidr", |flags| flags.service_subnets = Some(String::new())),
        ];
        for (expected, change) in cases {
            let error = with(change).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let none = Overrides::default().intent(&KubeadmConfig::default());
        assert!(matches!(none, Err(OverrideError::Intent(IntentError::Missing { .. }))), "{none:?}");
    }
}

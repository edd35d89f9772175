//! Under which names and addresses the API server and the etcd of a node are reached, as their manifests have it.

use core::net::IpAddr;
use std::collections::BTreeSet;

use crate::catalog::Component;
use crate::manifest::StaticPod;

/// What the manifests say about the addresses of the API server and of etcd. What they do not say is absent or empty;
/// defaults are not applied.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Addresses {
    /// The API server's `--advertise-address`.
    pub advertised: Option<IpAddr>,
    /// The address of the service `kubernetes`: the first one of the first network in the API server's
    /// `--service-cluster-ip-range`.
    pub service: Option<IpAddr>,
    /// The API server's `--etcd-servers`.
    pub etcd_servers: Vec<FlagUrl>,
    /// Where etcd listens for clients, and where it tells them to come: `--listen-client-urls` and
    /// `--advertise-client-urls`.
    pub etcd_clients: Vec<FlagUrl>,
    /// Where etcd tells its peers to come: `--initial-advertise-peer-urls`.
    pub etcd_peers: Vec<FlagUrl>,
    /// The names of the members with which etcd was started: `--initial-cluster`. kubeadm writes it when a member is made, so
    /// those that joined later are not in it.
    pub etcd_members: BTreeSet<String>,
}

/// A URL in a flag.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct FlagUrl {
    /// The flag, without dashes.
    pub flag: &'static str,
    /// The URL as written.
    pub url: String,
}

impl Addresses {
    pub(super) fn of<'a>(pod: impl Fn(Component) -> Option<&'a StaticPod>) -> Self {
        let flag = |component, name| pod(component).and_then(|pod| pod.flag(name));
        let urls = |component, names: &[&'static str]| -> Vec<FlagUrl> {
            let listed = names.iter().flat_map(|name| {
                let urls = flag(component, name).unwrap_or_default().split(',').map(str::trim);
                let urls = urls.filter(|url| !url.is_empty());
                urls.map(|url| FlagUrl { flag: name, url: url.to_owned() })
            });
            listed.collect()
        };
        let members = flag(Component::Etcd, "initial-cluster").unwrap_or_default().split(',');
        let members = members.filter_map(|member| Some(member.split_once('=')?.0.trim().to_owned()));
        let range = flag(Component::ApiServer, "service-cluster-ip-range");
        Self {
            advertised: flag(Component::ApiServer, "advertise-address").and_then(|text| text.parse().ok()),
            service: range.and_then(|range| first_address(range.split(',').next()?.trim())),
            etcd_servers: urls(Component::ApiServer, &["etcd-servers"]),
            etcd_clients: urls(Component::Etcd, &["listen-client-urls", "advertise-client-urls"]),
            etcd_peers: urls(Component::Etcd, &["initial-advertise-peer-urls"]),
            etcd_members: members.collect(),
        }
    }
}

/// Returns the first address of `network`, such as `10.96.0.0/12`, that a service may have; `None` when it has none.
///
/// Bits behind the prefix do not matter, as they do not to Kubernetes (`k8s.io/utils/net`, `GetIndexedIP`). The service
/// `kubernetes` gets it (`GetAPIServerVirtualIP` in `cmd/kubeadm/app/constants/constants.go`).
pub(crate) fn first_address(network: &str) -> Option<IpAddr> {
    let (address, length) = network.split_once('/')?;
    // Go takes no sign.
    let length: u32 =
        Some(length).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            (length <= 32 && host >= 1).then(|| IpAddr::V4(((address.to_bits() & !host) + 1).into()))
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            (length <= 128 && host >= 1).then(|| IpAddr::V6(((address.to_bits() & !host) + 1).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_the_first_address_of_its_network() {
        for (network, address) in [
            ("10.96.0.0/12", Some("10.96.0.1")),
            ("10.233.0.0/18", Some("10.233.0.1")),
            ("10.96.200.7/12", Some("10.96.0.1")),
            ("fd00:10:96::/112", Some("fd00:10:96::1")),
            ("0.0.0.0/0", Some("0.0.0.1")),
            ("10.0.0.0/31", Some("10.0.0.1")),
            ("10.0.0.0/32", None),
            ("fd00::/128", None),
            ("10.0.0.0/33", None),
            ("10.0.0.0/+8", None),
            ("fd00::/129", None),
            ("10.0.0.0", None),
            ("/12", None),
            ("", None),
        ] {
            assert_eq!(first_address(network), address.map(|text| text.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn manifests_say_where_etcd_is_reached() {
        let parse = |command: &str| {
            let yaml = format!("{{kind: Pod, spec: {{containers: [{{command: [{command}]}}]}}}}");
            StaticPod::parse(yaml.as_bytes()).unwrap()
        };
        let server = parse(
            "kube-apiserver, --advertise-address=10.0.0.1, '--service-cluster-ip-range=fd00::/108,10.96.0.0/12'",
        );
        let etcd = parse("etcd, '--listen-client-urls=https://127.0.0.1:2379, https://10.0.0.1:2379'");
        let found = Addresses::of(|component| match component {
            Component::ApiServer => Some(&server),
            Component::Etcd => Some(&etcd),
            _ => None,
        });
        assert_eq!(found.advertised, "10.0.0.1".parse().ok());
        assert_eq!(found.service, "fd00::1".parse().ok());
        let clients: Vec<&str> = found.etcd_clients.iter().map(|listed| listed.url.as_str()).collect();
        assert_eq!(clients, ["https://127.0.0.1:2379", "https://10.0.0.1:2379"]);
        assert!(found.etcd_peers.is_empty() && found.etcd_servers.is_empty());
    }
}

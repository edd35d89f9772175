//! Where the components of a node listen, as their manifests and configurations have it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use crate::catalog::{Component, PathSource, Service};
use crate::manifest::{KubeletConfig, StaticPod};

/// A place at which a component of the node can be reached from the node itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Endpoint {
    /// What is served there.
    pub service: Service,
    /// The host: an address, or a name. An IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who says so.
    pub source: PathSource,
}

impl Endpoint {
    /// Returns an endpoint that the caller knows of.
    #[must_use]
    pub fn new(service: Service, host: &str, port: u16) -> Self {
        Self { service, host: host.to_owned(), port, source: PathSource::Argument }
    }
}

impl fmt::Display for Endpoint {
    /// Writes `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Returns where the components that have a manifest, and the kubelet, listen; sorted.
///
/// Of several URLs of etcd the one on the loopback is taken, else the first.
pub(super) fn endpoints<'a>(
    pod: impl Fn(Component) -> Option<&'a StaticPod>,
    kubelet: Option<&KubeletConfig>,
) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for (service, flag) in
        [(Service::EtcdClients, "listen-client-urls"), (Service::EtcdPeers, "listen-peer-urls")]
    {
        let Some(pod) = pod(Component::Etcd) else { continue };
        let urls = pod.flag(flag).unwrap_or_default();
        let listed: Vec<Endpoint> = urls.split(',').filter_map(|url| of_url(service, url.trim())).collect();
        let nearest = listed.iter().find(|endpoint| is_loopback(&endpoint.host)).or(listed.first());
        // etcd's own default is plain HTTP, of which there is nothing to be seen here.
        found.extend(nearest.cloned());
    }
    for service in [Service::ApiServer, Service::ControllerManager, Service::Scheduler] {
        let Some(pod) = pod(service.component()) else { continue };
        let port = pod.flag("secure-port");
        let (port, source) = match port.map(str::parse) {
            // Port 0 switches it off.
            Some(Ok(0)) => continue,
            Some(Ok(port)) => (port, PathSource::Manifest),
            Some(Err(_)) | None => (service.default_port(), PathSource::Default),
        };
        let host = reachable(pod.flag("bind-address").unwrap_or_default());
        found.push(Endpoint { service, host, port, source });
    }
    let of_kubelet = |service: Service, host: &str, port: Option<u16>| {
        let source = if port.is_some() { PathSource::KubeletConfig } else { PathSource::Default };
        Endpoint { service, host: reachable(host), port: port.unwrap_or(service.default_port()), source }
    };
    let (host, port) = kubelet.map_or((None, None), |config| (config.address(), config.port()));
    found.push(of_kubelet(Service::Kubelet, host.unwrap_or_default(), port));
    let (host, port) =
        kubelet.map_or((None, None), |config| (config.healthz_address(), config.healthz_port()));
    if port != Some(0) {
        found.push(of_kubelet(Service::KubeletHealth, host.unwrap_or("127.0.0.1"), port));
    }
    found.sort();
    found
}

/// Returns the endpoint of an `https` URL.
fn of_url(service: Service, url: &str) -> Option<Endpoint> {
    let authority = url.strip_prefix("https://")?.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(service.default_port()), |port| port.parse().ok())?;
    Some(Endpoint { service, host: reachable(host), port, source: PathSource::Manifest })
}

/// Returns where a program that listens at `host` can be reached from its own node: who listens everywhere does so on the
/// loopback too.
fn reachable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        // Listening on every address of IPv6 includes those of IPv4, unless that was switched off in the kernel.
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(_) => host.to_owned(),
        Err(_) if host.is_empty() => Ipv4Addr::LOCALHOST.to_string(),
        Err(_) => host.to_owned(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(manifests: &[&str], kubelet: &str) -> Vec<String> {
        let pods: BTreeMap<Component, StaticPod> = manifests
            .iter()
            .map(|command| {
                let yaml = format!("{{kind: Pod, spec: {{containers: [{{command: [{command}]}}]}}}}");
                let pod = StaticPod::parse(yaml.as_bytes()).unwrap();
                (pod.component().unwrap(), pod)
            })
            .collect();
        let kubelet = KubeletConfig::parse(kubelet.as_bytes()).ok();
        let found = endpoints(|component| pods.get(&component), kubelet.as_ref());
        found.iter().map(|endpoint| format!("{} {endpoint}", endpoint.service)).collect()
    }

    #[test]
    fn a_node_without_manifests_has_a_kubelet() {
        assert_eq!(of(&[], ""), ["kubelet 127.0.0.1:10250", "kubelet-health 127.0.0.1:10248"]);
        assert_eq!(of(&[], "{port: 11250, address: '::1', healthzPort: 0}"), ["kubelet [::1]:11250"]);
    }

    #[test]
    fn manifests_say_where_their_programs_listen() {
        let etcd = "etcd, '--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:12379', \
            '--listen-peer-urls=https://[fd00::1]:2380'";
        let found = of(
            &[etcd, "kube-apiserver, '--secure-port=16443'", "kube-scheduler, '--bind-address=10.0.0.1'"],
            "{}",
        );
        assert_eq!(
            found[..4],
            [
                "etcd-clients 127.0.0.1:12379",
                "etcd-peers [fd00::1]:2380",
                "kube-apiserver 127.0.0.1:16443",
                "kube-scheduler 10.0.0.1:10259"
            ]
        );
    }

    #[test]
    fn what_is_switched_off_or_has_no_tls_is_left_out() {
        let found = of(
            &["kube-scheduler, '--secure-port=0'", "etcd, '--listen-client-urls=http://127.0.0.1:2379'"],
            "{}",
        );
        assert_eq!(found, ["kubelet 127.0.0.1:10250", "kubelet-health 127.0.0.1:10248"]);
    }
}

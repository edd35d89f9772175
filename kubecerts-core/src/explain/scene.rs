//! Between whom a line plays, where its words tell more than its address and its writer do.

use super::facts::after;
use super::line::{Line, Program};

/// Between whom a line plays.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Scene {
    /// The line does not say; its address and its writer tell what can be told.
    Open,
    /// The API server, or whoever collects metrics, reaches the kubelet of a node.
    Kubelet,
    /// A client reaches etcd.
    Etcd,
    /// A member of etcd reaches another one.
    Member,
    /// A program in a pod reaches the API server, with the token and the authority that it was given.
    Pod,
    /// The plugin of the pod network reaches the API server, with a kubeconfig of its own.
    Network,
    /// The API server reaches a webhook, or an extension API server, of this name.
    Extension(String),
    /// A container runtime fetches an image.
    Registry,
    /// A node that joins reads the configuration of the cluster, with its bootstrap token.
    Join,
}

/// Returns the scene of `line`, which `program` has written.
pub(super) fn of_line(line: &Line, program: Option<&Program>) -> Scene {
    let message = line.message.as_str();
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if has(&["ull image", "ulling image", "/v2/"]) {
        return Scene::Registry;
    }
    if let Some(name) = extension(message) {
        return Scene::Extension(name);
    }
    if has(&NETWORK) {
        return Scene::Network;
    }
    if has(&["rror dialing backend", ":10250", "/containerLogs/"]) {
        return Scene::Kubelet;
    }
    // The sending side of a connection between members; the receiving one is accepted as any other.
    if line.caller.starts_with("rafthttp") || has(&["health check for peer", "remote-peer-id"]) {
        return Scene::Member;
    }
    if has(&ETCD) {
        return Scene::Etcd;
    }
    if has(&["unable to fetch the kubeadm-config ConfigMap"]) && has(&["phase preflight"]) {
        return Scene::Join;
    }
    match program {
        Some(program) if program.is_network() && has(&["nauthorized", "sandbox"]) => Scene::Network,
        Some(program) if program.is_in_pod() => Scene::Pod,
        Some(_) => Scene::Open,
        None if has(&PODS) || has_lock_of_other(message) || is_at_service(message) => Scene::Pod,
        None => Scene::Open,
    }
}

/// Returns the webhook, the service or the API that the API server calls.
fn extension(message: &str) -> Option<String> {
    let short = |name: &str| (!name.is_empty() && name.len() < 128).then(|| name.to_owned());
    for marker in ["calling webhook \"", "conversion webhook for "] {
        if let Some(rest) = after(message, marker) {
            return short(rest.split(['"', ',', ' ']).next().unwrap_or_default());
        }
    }
    if message.contains("failing or missing response from https://") {
        let name = super::aggregated_group(message);
        return name.or_else(|| Some("an extension API".to_owned()));
    }
    let host = after(message, "https://")?.split([':', '/', '"']).next().unwrap_or_default();
    let is_service = host.ends_with(".svc") || host.contains(".svc.");
    (is_service && !host.starts_with("kubernetes.default")).then(|| short(host)).flatten()
}

/// Returns whether a lease is meant that is not one of the control plane's: `error retrieving resource lock NAMESPACE/NAME`.
fn has_lock_of_other(message: &str) -> bool {
    let lock = after(message, "resource lock ").and_then(|rest| rest.split([':', ' ']).next());
    lock.is_some_and(|lock| lock.contains('/') && !lock.starts_with("kube-system/kube-"))
}

/// Returns whether the API server is reached over its service, as only pods do. `10.96.0.1` is what kubeadm gives it.
fn is_at_service(message: &str) -> bool {
    ["https://10.96.0.1", "https://[10.96.0.1]", "https://kubernetes.default", "https://kubernetes:"]
        .iter()
        .any(|text| message.contains(text))
}

/// Words of plugins of the pod network, and of kubelets and runtimes that call them.
const NETWORK: [&str; 9] = [
    "getting ClusterInformation",
    "setup network for sandbox",
    "destroy network for sandbox",
    "o network calico",
    "SubnetManager",
    "Multus: ",
    "retrieving pod spec for",
    "plugin type=\"calico\"",
    "plugin type=\"multus",
];

/// Words of clients of etcd.
const ETCD: [&str; 10] = [
    "etcd-endpoints://",
    "logger=\"etcd-client\"",
    "error #0: ",
    "etcd cluster is unavailable",
    "onnect to etcd",
    "control-plane-join/etcd",
    "check-etcd",
    "list of etcd members",
    "ExternalEtcdVersion",
    "ExternalEtcdClientCertificates",
];

/// Words of programs that run in pods: CoreDNS, clients in Java and Python, Prometheus, extension API servers.
const PODS: [&str; 9] = [
    "plugin/errors",
    "plugin/kubernetes",
    "plugin/ready",
    "KubernetesClientException",
    "exceptions.ApiException",
    "k8s_client_runtime",
    "extension-apiserver-authentication",
    "fully scrape metrics",
    "from Kubelet ",
];

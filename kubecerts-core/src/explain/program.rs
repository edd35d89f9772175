//! Which program wrote a line that does not say so.

use super::line::{Line, Program};
use crate::catalog::Component;

/// Returns the program whose log the file, pod or unit `name` is.
pub(super) fn of_source(name: &str) -> Option<Program> {
    // `/var/log/pods/kube-system_kube-scheduler-cp-1_UID/kube-scheduler/0.log`, `kube-scheduler-cp-1_kube-system_….log`; the
    // longer names first, because `etcd` is part of others.
    let components = [
        Component::ControllerManager,
        Component::ApiServer,
        Component::Scheduler,
        Component::Kubelet,
        Component::Etcd,
    ];
    let named = components.into_iter().find(|component| has_word(name, component.name()));
    named.map(Program::Component).or_else(|| {
        let others = ["kubectl", "kubeadm", "containerd", "metrics-server", "kube-proxy"];
        others.into_iter().find(|other| has_word(name, other)).map(Program::named)
    })
}

/// Returns whether `name` has `word`, not as a part of a longer one.
fn has_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + word.len()..].chars().next();
        let is_border = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
        is_border(before) && is_border(after) && before != Some('-')
    })
}

/// Returns the program that alone writes such a line.
pub(super) fn of_message(line: &Line) -> Option<Program> {
    let by_caller = CALLERS
        .iter()
        .find(|(caller, _)| line.caller == *caller || line.caller.ends_with(&format!("/{caller}")));
    let by_phrase = || PHRASES.iter().find(|(phrase, _)| line.message.contains(phrase));
    if let Some((_, component)) = by_caller.or_else(by_phrase) {
        return Some(Program::Component(*component));
    }
    if line.caller == "cert_rotation.go" && line.message.contains("/apiserver-") {
        return Some(Program::Component(Component::ApiServer));
    }
    if line.caller == "memcache.go" {
        return Some(Program::named("kubectl"));
    }
    let is = |texts: &[&str]| texts.iter().any(|text| line.message.contains(text));
    if is(&[
        "Unable to connect to the server",
        "You must be logged in to the server",
        "error: You must be logged in",
    ]) {
        return Some(Program::named("kubectl"));
    }
    if line.message.contains("etcd cluster is unavailable") {
        return Some(Program::named("etcdctl"));
    }
    if line.message.starts_with("curl: ") {
        return Some(Program::named("curl"));
    }
    if is(&[
        "error execution phase",
        "[upgrade/",
        "[ERROR ",
        "[WARNING ",
        "not signed by CA certificate",
        "[preflight]",
        "[discovery]",
        "couldn't validate the identity of the API Server",
    ]) {
        return Some(Program::named("kubeadm"));
    }
    None
}

/// Returns the program that alone writes a line with these words.
pub(super) fn of_bytes(line: &[u8]) -> Option<Program> {
    let has = |word: &str| line.windows(word.len()).any(|window| window == word.as_bytes());
    // Only what costs little: this is done for healthy lines.
    SIGNATURES.iter().find(|(word, _)| has(word)).map(|(_, component)| Program::Component(*component))
}

/// Source files of Kubernetes that one program alone is made of.
const CALLERS: [(&str, Component); 21] = [
    ("available_controller.go", Component::ApiServer),
    ("remote_available_controller.go", Component::ApiServer),
    ("cacher.go", Component::ApiServer),
    ("storage_factory.go", Component::ApiServer),
    ("resource_quota_controller.go", Component::ControllerManager),
    ("garbagecollector.go", Component::ControllerManager),
    ("node_lifecycle_controller.go", Component::ControllerManager),
    ("controllermanager.go", Component::ControllerManager),
    ("kubelet.go", Component::Kubelet),
    ("kubelet_node_status.go", Component::Kubelet),
    ("kubelet_getters.go", Component::Kubelet),
    ("bootstrap.go", Component::Kubelet),
    ("certificate_manager.go", Component::Kubelet),
    ("csi_plugin.go", Component::Kubelet),
    ("nodelease.go", Component::Kubelet),
    ("pod_workers.go", Component::Kubelet),
    ("config_logging.go", Component::Etcd),
    ("prober_detection.go", Component::Etcd),
    ("probing_status.go", Component::Etcd),
    ("etcdmain/etcd.go", Component::Etcd),
    ("stream.go", Component::Etcd),
];

/// Words that one program alone says. `Unable to authenticate the request` is not among them: extension API servers,
/// kube-controller-manager and kube-scheduler say so as well (`k8s.io/apiserver/pkg/endpoints/filters/authentication.go`).
const PHRASES: [(&str, Component); 21] = [
    // What kubectl prints then are the words of the API server, the only client that kubelets have for this.
    ("rror dialing backend", Component::ApiServer),
    ("currently active client certificate", Component::Kubelet),
    ("No valid client certificate is found", Component::Kubelet),
    ("available for the kubelet", Component::Kubelet),
    ("ailed to fetch token", Component::Kubelet),
    ("CSIStorageCapacity", Component::Scheduler),
    ("kube-system/kube-scheduler", Component::Scheduler),
    ("leases/kube-scheduler", Component::Scheduler),
    ("kube-system/kube-controller-manager", Component::ControllerManager),
    ("leases/kube-controller-manager", Component::ControllerManager),
    ("existing bootstrap client certificate", Component::Kubelet),
    ("bootstrap kubeconfig", Component::Kubelet),
    ("failed to run Kubelet", Component::Kubelet),
    ("rror updating node status", Component::Kubelet),
    ("nable to register node", Component::Kubelet),
    ("ailed to ensure lease exists", Component::Kubelet),
    ("requesting a signed certificate from the control plane", Component::Kubelet),
    ("certificate request was not signed", Component::Kubelet),
    ("rejected connection", Component::Etcd),
    ("prober detected unhealthy status", Component::Etcd),
    ("does not match any of DNSNames", Component::Etcd),
];

/// Words of healthy lines.
const SIGNATURES: [(&str, Component); 6] = [
    ("CSIStorageCapacity", Component::Scheduler),
    ("etcdserver", Component::Etcd),
    ("garbagecollector.go", Component::ControllerManager),
    ("resource_quota_controller.go", Component::ControllerManager),
    ("kubelet.go", Component::Kubelet),
    ("available_controller.go", Component::ApiServer),
];

//! Which of a runtime's sandboxes are pods of the control plane, and what a runtime's messages about them mean.
//!
//! The kubelet writes down in labels and annotations which pod a sandbox is of. A pod of a user can have the label
//! `component=etcd`; it is not static, or not in the namespace `kube-system`, and is never taken.

use std::collections::BTreeMap;

use kubecerts_core::catalog::Component;
use kubecerts_core::time::Moment;

use super::super::{Container, Pod};
use super::generated::{self as wire, ContainerState, PodSandboxState};

/// Returns the labels that every sandbox and every container of the control plane has.
pub(super) fn selector() -> BTreeMap<String, String> {
    BTreeMap::from([(NAMESPACE.to_owned(), SYSTEM.to_owned())])
}

/// Returns those of `sandboxes` that are pods of the control plane, with their `containers`, sorted by component.
///
/// When a container was started is another question to the runtime; it is `None` here.
pub(super) fn control_plane(sandboxes: Vec<wire::PodSandbox>, containers: &[wire::Container]) -> Vec<Pod> {
    let mut pods = Vec::new();
    for sandbox in sandboxes {
        let inside = containers.iter().filter(|container| container.pod_sandbox_id == sandbox.id);
        let mut containers: Vec<Container> = inside.map(container).collect();
        containers.sort();
        let Some(component) = component(&sandbox, &containers) else { continue };
        let is_ready = sandbox.state() == PodSandboxState::SandboxReady;
        let wire::PodSandbox { id, metadata, mut labels, state: _, annotations: _ } = sandbox;
        let metadata = metadata.unwrap_or_default();
        let name = labels.remove(NAME).unwrap_or(metadata.name);
        let uid = labels.remove(UID).unwrap_or(metadata.uid);
        pods.push(Pod { component, sandbox: id, name, uid, is_ready, containers });
    }
    pods.sort();
    pods
}

/// Returns the moment of `started_at`, in nanoseconds since the Unix epoch, if it is one.
pub(super) fn started(started_at: i64) -> Option<Moment> {
    // What was never started has 0, or, by containerd 1.6, the year 1 as far below zero as the number goes.
    (started_at > 0).then(|| Moment::from_unix(0, started_at))
}

/// Returns which component of the control plane `sandbox` is of, if it is a static pod of one.
fn component(sandbox: &wire::PodSandbox, containers: &[Container]) -> Option<Component> {
    let is_of = |name: &str| Component::ALL.into_iter().find(|component| component.name() == name);
    if sandbox.labels.get(NAMESPACE).is_none_or(|namespace| namespace != SYSTEM) || !is_static(sandbox) {
        return None;
    }
    let component = match sandbox.labels.get("component") {
        Some(name) => is_of(name),
        // Manifests that kubeadm did not write may lack the label.
        None => containers.iter().find_map(|container| is_of(&container.name)),
    };
    // A container that is called kubelet is not the node's kubelet.
    component.filter(|component| *component != Component::Kubelet)
}

/// Returns whether the kubelet has the pod of `sandbox` from a file, and would make it anew when it is gone.
fn is_static(sandbox: &wire::PodSandbox) -> bool {
    if let Some(source) = sandbox.annotations.get("kubernetes.io/config.source") {
        return source == "file";
    }
    // The uid of a static pod is a hash; the API server gives out uids with dashes.
    let uid = sandbox.labels.get(UID).or(sandbox.metadata.as_ref().map(|metadata| &metadata.uid));
    uid.is_some_and(|uid| !uid.is_empty() && !uid.contains('-'))
}

fn container(container: &wire::Container) -> Container {
    let label = container.labels.get("io.kubernetes.container.name");
    let name = label.or(container.metadata.as_ref().map(|metadata| &metadata.name));
    Container {
        id: container.id.clone(),
        name: name.cloned().unwrap_or_default(),
        is_running: container.state() == ContainerState::ContainerRunning,
        started: None,
    }
}

const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAME: &str = "io.kubernetes.pod.name";
const UID: &str = "io.kubernetes.pod.uid";

/// The namespace of the control plane.
const SYSTEM: &str = "kube-system";

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sandbox(id: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> wire::PodSandbox {
        let (labels, annotations) = (map(labels), map(annotations));
        wire::PodSandbox { id: id.to_owned(), labels, annotations, ..wire::PodSandbox::default() }
    }

    fn container_in(sandbox: &str, id: &str, name: &str) -> wire::Container {
        wire::Container {
            id: id.to_owned(),
            pod_sandbox_id: sandbox.to_owned(),
            labels: map(&[("io.kubernetes.container.name", name)]),
            ..wire::Container::default()
        }
    }

    const HASH: (&str, &str) = (UID, "0123456789abcdef0123456789abcdef");
    const DASHED: (&str, &str) = (UID, "01234567-89ab-cdef-0123-456789abcdef");
    const HERE: (&str, &str) = (NAMESPACE, SYSTEM);
    const FILE: (&str, &str) = ("kubernetes.io/config.source", "file");
    const API: (&str, &str) = ("kubernetes.io/config.source", "api");
    const ETCD: (&str, &str) = ("component", "etcd");

    #[test]
    fn a_pod_is_what_the_kubelet_says_it_is() {
        let labels = [HERE, HASH, (NAME, "kube-scheduler-cp-1"), ("component", "kube-scheduler")];
        let mut failed = sandbox("s1", &labels, &[FILE]);
        failed.set_state(PodSandboxState::SandboxNotready);
        let ready = sandbox("s2", &labels, &[FILE]);
        let mut running = container_in("s2", "c1", "kube-scheduler");
        running.set_state(ContainerState::ContainerRunning);
        let etcd = sandbox("s9", &[HERE, HASH, ETCD], &[FILE]);

        let pods = control_plane(vec![ready, failed, etcd], &[container_in("s3", "c3", "other"), running]);
        let seen = pods.iter().map(|pod| (pod.component, pod.sandbox.as_str(), pod.is_ready));
        let expected = [
            (Component::Etcd, "s9", true),
            (Component::Scheduler, "s1", false),
            (Component::Scheduler, "s2", true),
        ];
        assert!(seen.eq(expected), "{pods:?}");
        assert_eq!((pods[2].name.as_str(), pods[2].uid.as_str()), ("kube-scheduler-cp-1", HASH.1));
        let expected = Container {
            id: "c1".to_owned(),
            name: "kube-scheduler".to_owned(),
            is_running: true,
            started: None,
        };
        assert_eq!(pods[2].containers, [expected]);
        assert_eq!(pods[1].containers, []);
    }

    #[test]
    fn foreign_pods_are_never_taken() {
        let foreign = [
            ("of another namespace", sandbox("s", &[(NAMESPACE, "default"), HASH, ETCD], &[FILE])),
            ("of no namespace", sandbox("s", &[HASH, ETCD], &[FILE])),
            ("from the API server", sandbox("s", &[HERE, HASH, ETCD], &[API])),
            ("with the uid of the API server", sandbox("s", &[HERE, DASHED, ETCD], &[])),
            ("without a uid", sandbox("s", &[HERE, ETCD], &[])),
            ("of another component", sandbox("s", &[HERE, HASH, ("component", "kube-proxy")], &[FILE])),
            ("of a kubelet", sandbox("s", &[HERE, HASH, ("component", "kubelet")], &[FILE])),
            ("without a component", sandbox("s", &[HERE, HASH], &[FILE])),
        ];
        for (case, sandbox) in foreign {
            let containers = [container_in("s", "c1", "kubelet"), container_in("other", "c2", "etcd")];
            assert_eq!(control_plane(vec![sandbox], &containers), [], "{case}");
        }
    }

    #[test]
    fn a_pod_without_the_label_is_known_by_its_container() {
        let pods = control_plane(
            vec![sandbox("s", &[HERE, HASH], &[])],
            &[container_in("s", "c1", "log-shipper"), container_in("s", "c2", "kube-apiserver")],
        );
        assert_eq!(pods[0].component, Component::ApiServer);
        // The label has the last word.
        let labelled = vec![sandbox("s", &[HERE, HASH, ("component", "kube-vip")], &[FILE])];
        assert_eq!(control_plane(labelled, &[container_in("s", "c", "kube-apiserver")]), []);
    }

    #[test]
    fn a_time_that_is_none_is_not_taken_for_one() {
        assert_eq!(started(0), None);
        assert_eq!(started(-6_795_364_578_871_345_152), None);
        assert_eq!(started(i64::MIN), None);
        assert_eq!(started(1_800_000_000_250_000_000).unwrap().to_string(), "2027-01-15T08:00:00.250Z");
        assert!(started(i64::MAX).is_some());
    }
}

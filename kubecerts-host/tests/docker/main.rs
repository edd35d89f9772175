//! Pods of a real Docker Engine, as dockershim would have made them: listed, removed, and moved by their manifests.
//!
//! The engines are Debian's, extracted below `$KUBECERTS_PARTS/bookworm` and `$KUBECERTS_PARTS/trixie`; they run privately,
//! with everything in a temporary directory. Where they, or the rights to run them, are missing the tests are skipped and
//! say so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::Component;
use kubecerts_core::time::Moment;
use kubecerts_host::rollout::{Method, Restarter};
use kubecerts_host::runtime::{Docker, NodeRestarter, Pod, Runtime, RuntimeError};

mod archive;
mod daemon;

use daemon::Daemon;

#[test]
fn docker_20_10_lists_and_removes_the_control_plane_s_pods() {
    if let Some(daemon) = Daemon::start("bookworm") {
        pods_are_listed_and_removed(&daemon, "Docker Engine 20.10.", "API 1.41 ");
    }
}

#[test]
fn docker_26_1_lists_and_removes_the_control_plane_s_pods() {
    if let Some(daemon) = Daemon::start("trixie") {
        pods_are_listed_and_removed(&daemon, "Docker Engine 26.1.", "API 1.45 ");
    }
}

#[test]
fn docker_20_10_shows_when_a_pod_without_its_manifest_is_gone() {
    if let Some(daemon) = Daemon::start("bookworm") {
        a_manifest_is_moved_until_the_pod_is_gone(&daemon);
    }
}

#[test]
fn docker_26_1_shows_when_a_pod_without_its_manifest_is_gone() {
    if let Some(daemon) = Daemon::start("trixie") {
        a_manifest_is_moved_until_the_pod_is_gone(&daemon);
    }
}

fn pods_are_listed_and_removed(daemon: &Daemon, version: &str, api: &str) {
    let before = moment_now();
    let server = daemon.run_pod("kube-apiserver", "kube-apiserver-cp-1", "kube-system");
    let scheduler = daemon.run_pod("kube-scheduler", "kube-scheduler-cp-1", "kube-system");
    let foreign = [
        daemon.run_pod("kube-apiserver", "kube-apiserver-cp-1", "elsewhere"),
        daemon.run_pod("coredns", "coredns-7d-x", "kube-system"),
    ];
    let stranger = daemon.run_container("stranger", "{}");

    let mut docker = Docker::connect(&daemon.endpoint(), PATIENCE).unwrap();
    let description = docker.describe();
    assert!(description.starts_with(version) && description.contains(api), "{description}");
    let pods = docker.pods().unwrap();
    let found: Vec<_> = pods.iter().map(|pod| (pod.component, pod.name.as_str())).collect();
    let expected =
        [(Component::ApiServer, "kube-apiserver-cp-1"), (Component::Scheduler, "kube-scheduler-cp-1")];
    assert_eq!(found, expected);
    for (pod, ids) in pods.iter().zip([&server, &scheduler]) {
        assert_eq!(
            (pod.sandbox.as_str(), pod.is_ready, pod.uid.as_str()),
            (ids.sandbox.as_str(), true, "u1")
        );
        let [container] = pod.containers.as_slice() else { panic!("{pod:?}") };
        assert_eq!((container.id.as_str(), container.is_running), (ids.container.as_str(), true));
        assert_eq!(container.name, pod.component.name());
        let started = container.started.unwrap();
        assert!(before <= started && started <= moment_now(), "{started}");
    }

    daemon.stop(&scheduler.container);
    let pods = docker.pods().unwrap();
    assert!(pods[1].is_ready && !pods[1].containers[0].is_running && pods[1].containers[0].started.is_some());

    let of_server = pods[0].clone();
    docker.remove(&of_server).unwrap();
    assert!(!daemon.exists(&server.container) && !daemon.exists(&server.sandbox));
    docker.remove(&of_server).unwrap();
    assert_eq!(sandboxes(&docker.pods().unwrap()), [scheduler.sandbox.as_str()]);

    // A container that outlived its sandbox is still seen and can be removed.
    daemon.remove(&scheduler.sandbox);
    let orphans = docker.pods().unwrap();
    assert_eq!((sandboxes(&orphans), orphans[0].is_ready), (vec![scheduler.sandbox.as_str()], false));
    docker.remove(&orphans[0]).unwrap();
    assert!(docker.pods().unwrap().is_empty());

    for id in foreign.iter().flat_map(|ids| [&ids.sandbox, &ids.container]).chain([&stranger]) {
        assert!(daemon.exists(id), "what is foreign was touched");
    }
    an_engine_that_hangs_is_not_waited_for(daemon);
}

fn an_engine_that_hangs_is_not_waited_for(daemon: &Daemon) {
    let short = Duration::from_millis(500);
    let mut docker = Docker::connect(&daemon.endpoint(), short).unwrap();
    daemon.freeze();
    let pods = docker.pods();
    let removed = docker.remove(&Pod::new(Component::Etcd, "abc", Vec::new()));
    let connected = Docker::connect(&daemon.endpoint(), short);
    daemon.thaw();
    for error in [pods.unwrap_err(), removed.unwrap_err(), connected.unwrap_err()] {
        assert!(matches!(error, RuntimeError::Deadline { deadline, .. } if deadline == short), "{error}");
    }
    Docker::connect(&daemon.endpoint(), PATIENCE).unwrap();
}

/// A stand-in for the kubelet stops what the manifest no longer states.
fn a_manifest_is_moved_until_the_pod_is_gone(daemon: &Daemon) {
    let pod = daemon.run_pod("etcd", "etcd-cp-1", "kube-system");
    let manifest = daemon.directory().join("etcd.yaml");
    fs::write(&manifest, "kind: Pod").unwrap();

    let runtime = Docker::connect(&daemon.endpoint(), PATIENCE).unwrap();
    let mut restarter =
        NodeRestarter::new([(Component::Etcd, manifest.clone())].into(), Some(Box::new(runtime)))
            .moving_manifests()
            .with_kubelet(|| Ok(()));
    std::thread::scope(|scope| {
        let kubelet = scope.spawn(|| {
            let until = Instant::now() + PATIENCE;
            while manifest.exists() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            daemon.stop(&pod.container);
            let was_back_early = manifest.exists();
            daemon.stop(&pod.sandbox);
            was_back_early
        });
        let method = restarter.restart(Component::Etcd, PATIENCE).unwrap();
        assert_eq!(method, Method::ManifestMoved);
        assert!(!kubelet.join().unwrap(), "the manifest was back before the pod was gone");
    });
    assert_eq!(fs::read(&manifest).unwrap(), b"kind: Pod");

    // The same through the engine itself, which leaves nothing.
    let pod = daemon.run_pod("etcd", "etcd-cp-1", "kube-system");
    let runtime = Docker::connect(&daemon.endpoint(), PATIENCE).unwrap();
    let mut restarter = NodeRestarter::new([(Component::Etcd, manifest)].into(), Some(Box::new(runtime)))
        .with_kubelet(|| Ok(()));
    let Method::PodRemoved { sandboxes } = restarter.restart(Component::Etcd, PATIENCE).unwrap() else {
        panic!("the pod was not removed")
    };
    assert!(sandboxes.contains(&pod.sandbox) && sandboxes.len() == 2, "the stopped one of before goes too");
    assert!(!daemon.exists(&pod.container) && !daemon.exists(&pod.sandbox));
}

fn sandboxes(pods: &[Pod]) -> Vec<&str> {
    pods.iter().map(|pod| pod.sandbox.as_str()).collect()
}

fn moment_now() -> Moment {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Moment::from_unix(now.as_secs().cast_signed(), now.subsec_nanos().into())
}

const PATIENCE: Duration = Duration::from_secs(60);

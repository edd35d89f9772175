//! Pods of a real containerd, of both generations and over both versions of the interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use std::{fs, io};

use kubecerts_core::catalog::Component;
use kubecerts_host::now;
use kubecerts_host::runtime::cri::Api;
use kubecerts_host::runtime::{Cri, Pod, Runtime, RuntimeError};
use kubecerts_standins::{Containerd, Image, PAUSE, Parts, Pods, Suite};

/// Runs `test` with a containerd of each generation, over each version of the interface; or says why not.
fn with_containerd(name: &str, test: impl Fn(&Containerd, &Pods, Cri)) {
    let parts = match Parts::find() {
        Ok(parts) => parts,
        Err(reason) => return eprintln!("SKIPPED containerd: {name}: {reason}"),
    };
    for suite in Suite::ALL {
        let containerd = Containerd::start(&parts, suite);
        containerd.import(&Image::of_busybox(&parts), &[PAUSE, IMAGE]);
        let root = tempfile::tempdir().unwrap();
        let pods = Pods::new(&containerd, "cp-1", root.path());
        for api in [Api::V1, Api::V1Alpha2] {
            let endpoint = endpoint(&containerd.socket());
            let cri = Cri::connect_with(&endpoint, api, DEADLINE).unwrap();
            eprintln!("{name}: {}", cri.describe());
            test(&containerd, &pods, cri);
        }
    }
}

fn endpoint(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

fn manifest(name: &str, namespace: &str, labels: &str, command: &str) -> Vec<u8> {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {namespace}
  labels: {labels}
spec:
  hostNetwork: true
  containers:
  - name: {name}
    image: {IMAGE}
    command: [/bin/sh, -c, {command:?}]
"#
    )
    .into_bytes()
}

fn component(component: Component, command: &str) -> Vec<u8> {
    let name = component.name();
    manifest(name, "kube-system", &format!("{{component: {name}, tier: control-plane}}"), command)
}

fn sandboxes(pods: &[Pod]) -> Vec<(Component, &str, bool)> {
    pods.iter().map(|pod| (pod.component, pod.sandbox.as_str(), pod.is_ready)).collect()
}

/// Waits until no thread of the process runs any more: its threads stop one after the other, and one may still answer.
fn wait_until_stopped(pid: u32) {
    loop {
        let mut threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let is_stopped = |thread: io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        };
        if threads.all(is_stopped) {
            return;
        }
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_newest_interface_is_chosen() {
    with_containerd("the_newest_interface_is_chosen", |containerd, _, _| {
        let cri = Cri::connect(containerd.socket().to_str().unwrap(), DEADLINE).unwrap();
        assert_eq!(cri.api(), Api::V1);
        assert_eq!(format!("{} {}", cri.runtime_name(), cri.runtime_version()), containerd.version());
    });
}

#[test]
fn pods_of_the_control_plane_are_listed_and_taken_away() {
    with_containerd("pods_of_the_control_plane_are_listed_and_taken_away", |_, pods, mut cri| {
        let foreign = pods.start(&manifest("etcd", "default", "{component: etcd}", SLEEP));
        let other = pods.start(&manifest("kube-vip", "kube-system", "{component: kube-vip}", SLEEP));
        let before = now().unix();
        let scheduler = pods.start(&component(Component::Scheduler, SLEEP));
        let etcd = pods.start(&component(Component::Etcd, SLEEP));
        let after = now().unix();

        let listed = cri.pods().unwrap();
        let expected = [
            (Component::Etcd, etcd.sandbox.as_str(), true),
            (Component::Scheduler, scheduler.sandbox.as_str(), true),
        ];
        assert_eq!(sandboxes(&listed), expected);
        assert_eq!((&listed[0].name, &listed[0].uid), (&etcd.name, &etcd.uid));
        for (pod, started) in listed.iter().zip([&etcd, &scheduler]) {
            let [container] = pod.containers.as_slice() else { panic!("{pod:?}") };
            assert_eq!(
                (&container.id, container.name.as_str()),
                (&started.containers[0], pod.component.name())
            );
            assert!(container.is_running);
            let second = container.started.unwrap().timestamp().unix();
            assert!((before..=after).contains(&second), "{before} {second} {after}");
        }

        for pod in &listed {
            cri.remove(pod).unwrap();
            // That it is gone is no error.
            cri.remove(pod).unwrap();
        }
        assert_eq!(cri.pods().unwrap(), []);
        let mut left = pods.ready();
        left.sort();
        let mut expected = [foreign.sandbox.clone(), other.sandbox.clone()];
        expected.sort();
        assert_eq!(left, expected);
        pods.remove(&foreign.sandbox);
        pods.remove(&other.sandbox);
    });
}

#[test]
fn a_pod_made_anew_is_another_one() {
    with_containerd("a_pod_made_anew_is_another_one", |_, pods, mut cri| {
        let manifest = component(Component::ControllerManager, SLEEP);
        let first = pods.start(&manifest);
        let old = cri.pods().unwrap().remove(0);
        cri.remove(&old).unwrap();
        let second = pods.start(&manifest);
        let new = cri.pods().unwrap().remove(0);
        assert_eq!((&old.sandbox, &new.sandbox), (&first.sandbox, &second.sandbox));
        assert_eq!((&old.name, &old.uid), (&new.name, &new.uid));
        assert!(old.containers[0].started < new.containers[0].started);
        cri.remove(&new).unwrap();
    });
}

#[test]
fn a_stopped_pod_lingers_and_can_be_removed() {
    with_containerd("a_stopped_pod_lingers_and_can_be_removed", |_, pods, mut cri| {
        let manifest = component(Component::Scheduler, SLEEP);
        let stopped = pods.start(&manifest);
        pods.stop(&stopped.sandbox);
        let running = pods.start(&manifest);

        let mut listed = cri.pods().unwrap();
        listed.sort_by_key(|pod| pod.is_ready);
        let expected = [
            (Component::Scheduler, stopped.sandbox.as_str(), false),
            (Component::Scheduler, running.sandbox.as_str(), true),
        ];
        assert_eq!(sandboxes(&listed), expected);
        assert!(!listed[0].containers[0].is_running && listed[1].containers[0].is_running);
        cri.remove(&listed[0]).unwrap();
        assert_eq!(sandboxes(&cri.pods().unwrap()), [expected[1]]);
        cri.remove(&listed[1]).unwrap();
    });
}

#[test]
fn an_etcd_that_does_not_end_by_itself_is_killed_when_its_grace_is_over() {
    let name = "an_etcd_that_does_not_end_by_itself_is_killed_when_its_grace_is_over";
    with_containerd(name, |_, pods, mut cri| {
        if cri.api() != Api::V1 {
            // It takes ten seconds, and the runtime does the same for both.
            return;
        }
        let _running = pods.start(&component(Component::Etcd, "trap '' TERM; while :; do sleep 1; done"));
        let pod = cri.pods().unwrap().remove(0);
        cri.remove(&pod).unwrap();
        assert_eq!(cri.pods().unwrap(), []);
        assert_eq!(pods.ready(), [""; 0]);
    });
}

#[test]
fn a_runtime_that_hangs_is_noticed_and_listed_again_when_it_goes_on() {
    with_containerd("a_runtime_that_hangs_is_noticed", |containerd, pods, mut cri| {
        let pod = pods.start(&component(Component::Scheduler, SLEEP));
        let listed = cri.pods().unwrap().remove(0);
        let endpoint = endpoint(&containerd.socket());
        let mut hasty = Cri::connect_with(&endpoint, cri.api(), SOON).unwrap();

        containerd.stop_process();
        wait_until_stopped(containerd.pid());
        let is_late = |error: &RuntimeError| matches!(error, RuntimeError::Deadline { deadline: SOON, .. });
        for error in [
            Cri::connect(&endpoint, SOON).unwrap_err(),
            hasty.pods().unwrap_err(),
            // Two minutes for a stop are not spent on a runtime that does not even answer.
            hasty.remove(&listed).unwrap_err(),
        ] {
            assert!(is_late(&error), "{error}");
        }
        containerd.continue_process();

        assert_eq!(sandboxes(&cri.pods().unwrap()), [(Component::Scheduler, pod.sandbox.as_str(), true)]);
        cri.remove(&listed).unwrap();
    });
}

const IMAGE: &str = "registry.k8s.io/kube-scheduler:v1.36.2";

const SLEEP: &str = "exec sleep 1000";

/// Long enough on a machine that builds beside it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Short, because it is waited for in full.
const SOON: Duration = Duration::from_millis(500);

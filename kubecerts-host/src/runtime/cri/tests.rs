use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use kubecerts_core::catalog::Component;
use prost::Message;
use tempfile::TempDir;
use tonic::Code;

use super::fake::{Fake, Reply};
use super::generated::{
    Container, ContainerState, ContainerStatus, ContainerStatusRequest, ContainerStatusResponse,
    ListContainersResponse, ListPodSandboxResponse, PodSandbox, PodSandboxState, StopContainerRequest,
    VersionResponse,
};
use super::{Api, Cri};
use crate::runtime::{Pod, Runtime, RuntimeError};

/// Long enough on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// So short that waiting for what never comes costs little.
const SOON: Duration = Duration::from_millis(200);

fn version() -> Reply {
    let (runtime_name, runtime_version) = ("containerd".to_owned(), "1.7.24~ds1".to_owned());
    Reply::of(&VersionResponse { runtime_name, runtime_version })
}

fn sandbox(id: &str, component: &str, state: PodSandboxState) -> PodSandbox {
    let labels = [
        ("component", component),
        ("io.kubernetes.pod.name", &format!("{component}-cp-1")),
        ("io.kubernetes.pod.namespace", "kube-system"),
        ("io.kubernetes.pod.uid", "0123456789abcdef0123456789abcdef"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let annotations = [("kubernetes.io/config.source".to_owned(), "file".to_owned())];
    PodSandbox {
        id: id.to_owned(),
        state: state.into(),
        labels: BTreeMap::from(labels),
        annotations: BTreeMap::from(annotations),
        ..PodSandbox::default()
    }
}

fn container(id: &str, sandbox: &str, name: &str, state: ContainerState) -> Container {
    let label = ("io.kubernetes.container.name".to_owned(), name.to_owned());
    Container {
        id: id.to_owned(),
        pod_sandbox_id: sandbox.to_owned(),
        state: state.into(),
        labels: BTreeMap::from([label]),
        ..Container::default()
    }
}

/// Starts a runtime that has this sandbox of etcd with a container in it, and answers everything else as `script` says.
fn with_etcd(state: PodSandboxState, script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Fake {
    Fake::start(move |path, message| {
        let call = path.rsplit('/').next().unwrap();
        let running = match state {
            PodSandboxState::SandboxReady => ContainerState::ContainerRunning,
            PodSandboxState::SandboxNotready => ContainerState::ContainerExited,
        };
        script(call).unwrap_or_else(|| match call {
            "Version" => version(),
            "ListPodSandbox" => {
                Reply::of(&ListPodSandboxResponse { items: vec![sandbox("s1", "etcd", state)] })
            }
            "ListContainers" => Reply::of(&ListContainersResponse {
                containers: vec![container("c1", "s1", "etcd", running)],
            }),
            "ContainerStatus" => {
                let request = ContainerStatusRequest::decode(message).unwrap();
                assert_eq!(request.container_id, "c1");
                let status = ContainerStatus { started_at: 1_800_000_000_250_000_000, ..Default::default() };
                Reply::of(&ContainerStatusResponse { status: Some(status) })
            }
            "StopContainer" => {
                let request = StopContainerRequest::decode(message).unwrap();
                assert_eq!(request, StopContainerRequest { container_id: "c1".to_owned(), timeout: 10 });
                Reply::Message(Vec::new())
            }
            _ => Reply::Message(Vec::new()),
        })
    })
}

fn etcd() -> Pod {
    Pod::new(Component::Etcd, "s1", Vec::new())
}

fn connected(fake: &Fake) -> Cri {
    let cri = Cri::connect(&fake.endpoint(), DEADLINE).unwrap();
    fake.calls();
    cri
}

const LOOK: [&str; 2] = ["ListPodSandbox", "ListContainers"];

#[test]
fn a_runtime_that_knows_only_the_older_api_is_spoken_to_in_it() {
    let fake = Fake::start(|path, _| match path {
        "/runtime.v1alpha2.RuntimeService/Version" => version(),
        "/runtime.v1alpha2.RuntimeService/ListPodSandbox" => Reply::Message(Vec::new()),
        "/runtime.v1alpha2.RuntimeService/ListContainers" => Reply::Message(Vec::new()),
        _ => Reply::Error(Code::Unimplemented, "unknown service"),
    });
    let mut cri = Cri::connect(&fake.endpoint(), DEADLINE).unwrap();
    assert_eq!(
        (cri.api(), cri.runtime_name(), cri.runtime_version()),
        (Api::V1Alpha2, "containerd", "1.7.24~ds1")
    );
    assert_eq!(cri.describe(), format!("containerd 1.7.24~ds1 (CRI v1alpha2 at {})", fake.endpoint()));
    assert_eq!(cri.pods().unwrap(), []);
    assert_eq!(fake.calls(), ["Version", "Version", "ListPodSandbox", "ListContainers"]);

    let refused = Cri::connect_with(&fake.endpoint(), Api::V1, DEADLINE).unwrap_err();
    assert!(matches!(refused, RuntimeError::Refused { call: "Version", .. }), "{refused}");
}

#[test]
fn an_answer_other_than_unknown_is_not_asked_for_again_over_the_older_api() {
    let fake = Fake::start(|_, _| Reply::Error(Code::PermissionDenied, "no%0Aentry"));
    let refused = Cri::connect(&fake.endpoint(), DEADLINE).unwrap_err().to_string();
    assert!(refused.ends_with("refuses Version: no entry (PermissionDenied)"), "{refused}");
    assert_eq!(fake.calls(), ["Version"]);
}

#[test]
fn pods_have_the_start_of_their_containers() {
    let fake = with_etcd(PodSandboxState::SandboxReady, |_| None);
    let pods = connected(&fake).pods().unwrap();
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((pod.component, pod.name.as_str(), pod.is_ready), (Component::Etcd, "etcd-cp-1", true));
    let [container] = pod.containers.as_slice() else { panic!("{pod:?}") };
    assert!(container.is_running);
    assert_eq!(container.started.unwrap().to_string(), "2027-01-15T08:00:00.250Z");
}

#[test]
fn a_container_that_went_while_they_were_listed_is_left_out() {
    let fake = with_etcd(PodSandboxState::SandboxReady, |call| {
        (call == "ContainerStatus").then_some(Reply::Error(Code::NotFound, "not found"))
    });
    assert_eq!(connected(&fake).pods().unwrap()[0].containers, []);
}

#[test]
fn only_a_running_container_has_to_have_a_state() {
    let broken = |call: &str| (call == "ContainerStatus").then_some(Reply::Error(Code::Unknown, "broken"));
    let fake = with_etcd(PodSandboxState::SandboxNotready, broken);
    assert_eq!(connected(&fake).pods().unwrap()[0].containers[0].started, None);
    let fake = with_etcd(PodSandboxState::SandboxReady, broken);
    let refused = connected(&fake).pods().unwrap_err();
    assert!(matches!(refused, RuntimeError::Refused { call: "ContainerStatus", .. }), "{refused}");
}

#[test]
fn etcd_is_given_time_to_end_before_its_pod_is_stopped_and_removed() {
    let fake = with_etcd(PodSandboxState::SandboxReady, |_| None);
    connected(&fake).remove(&etcd()).unwrap();
    assert_eq!(fake.calls(), [&LOOK[..], &["StopContainer", "StopPodSandbox", "RemovePodSandbox"]].concat());
}

#[test]
fn other_components_are_stopped_at_once() {
    let fake = with_etcd(PodSandboxState::SandboxReady, |_| None);
    let mut pod = etcd();
    pod.component = Component::ApiServer;
    connected(&fake).remove(&pod).unwrap();
    assert_eq!(fake.calls(), [&LOOK[..], &["StopPodSandbox", "RemovePodSandbox"]].concat());
}

#[test]
fn a_pod_that_is_gone_needs_no_removal() {
    let fake = with_etcd(PodSandboxState::SandboxReady, |_| None);
    // Ids that only begin alike are other pods.
    for id in ["s2", "s", ""] {
        connected(&fake).remove(&Pod::new(Component::Etcd, id, Vec::new())).unwrap();
        assert_eq!(fake.calls(), LOOK);
    }
}

#[test]
fn a_pod_that_goes_meanwhile_is_removed() {
    let gone = |call: &str| {
        let stops = ["StopContainer", "StopPodSandbox", "RemovePodSandbox"].contains(&call);
        stops.then_some(Reply::Error(Code::NotFound, "not found"))
    };
    connected(&with_etcd(PodSandboxState::SandboxReady, gone)).remove(&etcd()).unwrap();
}

#[test]
fn a_failed_pod_that_cannot_be_stopped_is_removed_all_the_same() {
    let fake = with_etcd(PodSandboxState::SandboxNotready, |call| {
        (call == "StopPodSandbox").then_some(Reply::Error(Code::Unknown, "cni plugin not initialized"))
    });
    connected(&fake).remove(&etcd()).unwrap();
    assert_eq!(fake.calls().last().unwrap(), "RemovePodSandbox");
}

#[test]
fn a_failed_pod_that_cannot_be_removed_either_is_left_behind() {
    let never = |call: &str| {
        let stops = ["StopPodSandbox", "RemovePodSandbox"].contains(&call);
        stops.then_some(Reply::Error(Code::Unknown, "cni plugin not initialized"))
    };
    connected(&with_etcd(PodSandboxState::SandboxNotready, never)).remove(&etcd()).unwrap();

    let refused = connected(&with_etcd(PodSandboxState::SandboxReady, never)).remove(&etcd()).unwrap_err();
    assert!(matches!(refused, RuntimeError::Refused { call: "RemovePodSandbox", .. }), "{refused}");
}

#[test]
fn every_call_has_a_deadline_of_its_kind() {
    for silent in ["Version", "ListPodSandbox", "ListContainers", "ContainerStatus"] {
        let fake =
            with_etcd(PodSandboxState::SandboxReady, move |call| (call == silent).then_some(Reply::Silence));
        let listed = Cri::connect(&fake.endpoint(), SOON).and_then(|mut cri| cri.pods()).unwrap_err();
        assert!(
            matches!(listed, RuntimeError::Deadline { call, deadline: SOON, .. } if call == silent),
            "{silent}: {listed}"
        );
    }
    for silent in ["StopPodSandbox", "RemovePodSandbox"] {
        let fake =
            with_etcd(PodSandboxState::SandboxReady, move |call| (call == silent).then_some(Reply::Silence));
        let removed = connected(&fake).with_stop_deadline(SOON).remove(&etcd()).unwrap_err();
        assert!(
            matches!(removed, RuntimeError::Deadline { call, deadline: SOON, .. } if call == silent),
            "{silent}: {removed}"
        );
    }
}

#[test]
fn an_answer_that_is_too_large_or_is_none_is_refused() {
    let huge = with_etcd(PodSandboxState::SandboxReady, |call| {
        (call == "ListPodSandbox").then(|| Reply::Message(vec![0; 17 << 20]))
    });
    let error = connected(&huge).pods().unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { call: "ListPodSandbox", .. }), "{error}");
    let garbage = Fake::start(|_, _| Reply::Message(vec![0xff; 1000]));
    Cri::connect(&garbage.endpoint(), DEADLINE).unwrap_err();
    let page = Fake::start(|_, _| Reply::Page(404));
    let error = Cri::connect(&page.endpoint(), DEADLINE).unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { call: "Version", .. }), "{error}");
}

#[test]
fn what_is_no_runtime_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [directory.path().join("missing.sock"), file, directory.path().to_owned()] {
        let error = Cri::connect(path.to_str().unwrap(), DEADLINE).unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn a_hostile_socket_costs_no_more_than_the_deadline() {
    let never = TempDir::new().unwrap();
    let socket = never.path().join("cri.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let error = Cri::connect(socket.to_str().unwrap(), SOON).unwrap_err();
    assert!(matches!(error, RuntimeError::Deadline { call: "Version", .. }), "{error}");
    drop(listener);

    let garbage: [fn(UnixStream); 4] = [
        drop,
        |mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
        |mut stream| {
            while stream.write_all(&[0xff; 4096]).is_ok() {}
        },
        |mut stream| {
            // It hears everything out and then hangs up.
            let _ = stream.read(&mut [0; 4096]);
        },
    ];
    for behaviour in garbage {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("cri.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || behaviour(listener.accept().unwrap().0));
        let error = Cri::connect(socket.to_str().unwrap(), DEADLINE).unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error}");
        server.join().unwrap();
    }
}

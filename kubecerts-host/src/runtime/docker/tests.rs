use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::thread::{JoinHandle, spawn};

use kubecerts_core::catalog::Component;
use tempfile::TempDir;

use super::*;
use crate::runtime::Container;

const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that gives these answers, one to a connection, and then returns what it was asked.
struct Script {
    directory: TempDir,
    server: JoinHandle<Vec<String>>,
}

impl Script {
    fn of(answers: Vec<Vec<u8>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let server = spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                asked.push(text.lines().next().unwrap_or_default().to_owned());
                // The client may have turned away.
                let _ = stream.write_all(&answer);
            }
            asked
        });
        Self { directory, server }
    }

    fn connect(&self) -> Result<Docker, RuntimeError> {
        Docker::connect(self.directory.path().join("docker.sock").to_str().unwrap(), PATIENCE)
    }

    fn asked(self) -> Vec<String> {
        self.server.join().unwrap()
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn version() -> Vec<u8> {
    answer("200 OK", r#"{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#)
}

fn pod() -> Pod {
    Pod::new(Component::Etcd, "5a", vec![Container::new(Component::Etcd, "c1", None)])
}

#[test]
fn containers_go_before_their_sandbox_and_what_is_gone_is_gone() {
    let gone = || answer("404 Not Found", r#"{"message": "No such container"}"#);
    let script = Script::of(vec![version(), gone(), answer("204 No Content", "")]);
    let mut docker = script.connect().unwrap();
    docker.remove(&pod()).unwrap();
    assert_eq!(
        script.asked(),
        [
            "GET /version HTTP/1.1",
            "DELETE /v1.41/containers/c1?force=1&v=1 HTTP/1.1",
            "DELETE /v1.41/containers/5a?force=1&v=1 HTTP/1.1"
        ]
    );
}

#[test]
fn a_removal_by_somebody_else_is_waited_for() {
    let conflict = answer("409 Conflict", r#"{"message": "removal of container c1 is already in progress"}"#);
    let there = answer("200 OK", r#"{"State": {"Running": false}}"#);
    let gone = || answer("404 Not Found", r#"{"message": "No such container"}"#);
    let script = Script::of(vec![version(), conflict, there, gone(), gone()]);
    script.connect().unwrap().remove(&pod()).unwrap();
    assert_eq!(script.asked()[2..4], ["GET /v1.41/containers/c1/json HTTP/1.1"; 2]);
}

#[test]
fn a_refusal_is_told_in_the_engine_s_words() {
    let script =
        Script::of(vec![version(), answer("500 Internal Server Error", "device or resource busy\n")]);
    let error = script.connect().unwrap().remove(&pod()).unwrap_err();
    let RuntimeError::Refused { call, detail, .. } = error else { panic!("{error}") };
    assert_eq!((call, detail.as_str()), ("remove container", "device or resource busy"));
}

#[test]
fn an_id_that_would_be_another_path_is_not_sent() {
    let script = Script::of(vec![version()]);
    let mut docker = script.connect().unwrap();
    let error = docker.remove(&Pod::new(Component::Etcd, "../images/prune?", Vec::new())).unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused { .. }), "{error}");
}

#[test]
fn a_container_that_ends_between_list_and_look_is_not_listed() {
    let list = r#"[{"Id": "c1", "State": "running", "Labels": {"io.kubernetes.docker.type": "container",
        "io.kubernetes.sandbox.id": "5a", "io.kubernetes.container.name": "etcd",
        "io.kubernetes.pod.name": "etcd-cp-1", "io.kubernetes.pod.namespace": "kube-system"}}]"#;
    let gone = answer("404 Not Found", "");
    let script = Script::of(vec![version(), answer("200 OK", list), gone]);
    let pods = script.connect().unwrap().pods().unwrap();
    assert!(pods.len() == 1 && pods[0].containers.is_empty() && !pods[0].is_ready);
}

#[test]
fn what_is_no_engine_is_an_error_in_bounded_time_and_memory() {
    let endless = |head: &str| {
        let mut bytes = head.as_bytes().to_vec();
        bytes.resize(BODY_LIMIT + (2 << 20), b'1');
        bytes
    };
    for (garbage, sign) in [
        (Vec::new(), "connection closed"),
        (b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), "invalid HTTP"),
        (endless(""), ""),
        (endless("HTTP/1.1 200 OK\r\nX: "), ""),
        (endless("HTTP/1.1 200 OK\r\nContent-Length: 18874368\r\n\r\n"), "length limit exceeded"),
        (answer("200 OK", "OK"), "its answer is not Docker's"),
        (answer("200 OK", r#"{"Version": "5.0", "ApiVersion": "x"}"#), "no version of its API"),
        (answer("200 OK", r#"{"Version": "99", "ApiVersion": "9.9", "MinAPIVersion": "9.0"}"#), "only 1.24"),
        (answer("403 Forbidden", "<html>\x1b]0;title\x07no</html>"), "<html> ]0;title no</html>"),
    ] {
        let script = Script::of(vec![garbage]);
        let error = script.connect().unwrap_err();
        assert!(error.to_string().contains(sign), "{sign}: {error}");
        assert!(!error.to_string().chars().any(char::is_control));
    }
}

#[test]
fn where_nothing_listens_there_is_no_connection() {
    for endpoint in ["/nowhere/docker.sock", "unix:///etc/passwd"] {
        let error = Docker::connect(endpoint, PATIENCE).unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error}");
    }
    assert!(matches!(Docker::connect("tcp://127.0.0.1:2375", PATIENCE), Err(RuntimeError::Endpoint { .. })));
}

#[test]
fn sockets_are_named_as_the_kubelet_takes_them() {
    for text in ["unix:///run/x.sock", "unix:/run/x.sock", "/run/x.sock"] {
        assert_eq!(socket_path(text).unwrap(), Path::new("/run/x.sock"));
    }
    for text in ["", "run/x.sock", "unix://x.sock", "tcp://127.0.0.1:2375", "npipe:////./pipe/docker_engine"]
    {
        let error = socket_path(text).unwrap_err();
        assert!(matches!(&error, RuntimeError::Endpoint { endpoint, .. } if endpoint == text), "{error}");
    }
}

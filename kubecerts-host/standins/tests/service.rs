//! The stand-in as a service that `systemctl` restarts, and that needs a valid credential of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_standins::{KubeletOptions, KubeletService};

#[test]
fn systemctl_restarts_the_kubelet_and_one_without_its_credential_ends() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = KubeletOptions::new(directory.path(), &directory.path().join("none.sock"));
    options.healthz = free_address();
    let service = match KubeletService::new(&options) {
        Ok(service) => service,
        Err(reason) => return eprintln!("SKIPPED service: {reason}"),
    };
    assert!(!service.systemctl("is-active"));
    assert!(service.systemctl("start"));
    until("it is healthy", || is_healthy(options.healthz));
    assert!(service.systemctl("is-active"));
    let restarted =
        Command::new(service.path().join("systemctl")).args(["restart", "kubelet.service"]).status();
    assert!(restarted.unwrap().success());
    until("it is healthy again", || is_healthy(options.healthz));
    assert!(service.systemctl("stop"));
    assert!(!is_healthy(options.healthz) && !service.systemctl("is-active"));
    assert_eq!(
        Command::new(service.path().join("systemctl")).args(["start", "etcd"]).status().unwrap().code(),
        Some(5)
    );

    options.kubeconfig = Some(directory.path().join("kubelet.conf"));
    let service = KubeletService::new(&options).unwrap();
    assert!(service.systemctl("start"), "what becomes of the program is not systemctl's affair");
    until("it has ended", || !service.systemctl("is-active"));
    assert!(service.log().contains("kubelet.conf: No such file"), "{}", service.log());
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn is_healthy(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer.ends_with("\r\n\r\nok")
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long until {what}");
        sleep(Duration::from_millis(50));
    }
}

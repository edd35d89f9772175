//! What is made of answers about health.

use std::io::Write;
use std::time::Duration;

use kubecerts_core::catalog::Service;
use kubecerts_core::observation::Health;
use kubecerts_host::probe::{ClientIdentity, health};
use kubecerts_testkit::{MemoryTree, TreeBuilder, at};

use super::server::{Asked, Client, PATIENCE, Server, Tls, pair};

fn tree() -> MemoryTree {
    // Expired, because that is when one looks.
    TreeBuilder::kubeadm().made(at("2001-01-01T00:00:00Z")).build()
}

fn identity(tree: &MemoryTree) -> ClientIdentity {
    let (certificate, key) = pair("apiserver-kubelet-client");
    ClientIdentity::new(tree.read_file(&certificate), &tree.private_key(&key)).unwrap()
}

/// Returns what is made of `answer` with TLS, having checked that it is the same without.
fn of(answer: &'static str) -> Health {
    let write = |to: &mut dyn Write, _: &Asked| drop(to.write_all(answer.as_bytes()));
    let secure = Server::with_tls(Tls::of(&tree(), "apiserver"), write);
    let plain = Server::without_tls(write);
    let seen = health(&secure.endpoint(Service::ApiServer), "/readyz", None, PATIENCE);
    assert_eq!(health(&plain.endpoint(Service::KubeletHealth), "/healthz", None, PATIENCE), seen);
    seen
}

#[test]
fn a_program_that_says_ok_is_well() {
    assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Health::Well);
    assert_eq!(of("HTTP/1.1 200 OK\r\n\r\nok"), Health::Well);
}

#[test]
fn a_program_that_answers_only_to_friends_runs() {
    assert_eq!(of("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), Health::Reserved(401));
    assert_eq!(of("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), Health::Reserved(403));
}

#[test]
fn a_program_that_is_not_well_says_why() {
    let unwell = |text: &str| Health::Unwell(text.to_owned());
    assert_eq!(
        of(
            "HTTP/1.1 500 E\r\nContent-Length: 73\r\n\r\n[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed\n"
        ),
        unwell("500: [-]etcd failed: reason withheld")
    );
    assert_eq!(of("HTTP/1.1 503 E\r\nContent-Length: 9\r\n\r\n\x1b[31mDOWN"), unwell("503: \\u{1b}[31mDOWN"));
    assert_eq!(of("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), unwell("302"));
    assert_eq!(
        of("HTTP/1.1 500 E\r\nContent-Length: 99\r\n\r\nthe text breaks off"),
        unwell("500: the text breaks off")
    );
}

#[test]
fn what_is_no_http_is_no_answer() {
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 200 OK\r\nContent-Len"] {
        assert!(matches!(of(answer), Health::Silent(reason) if !reason.is_empty()), "{answer}");
    }
}

#[test]
fn a_path_that_is_none_is_not_asked_for() {
    let server = Server::without_tls(|to, _| to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap());
    let seen = health(&server.endpoint(Service::KubeletHealth), "no path\r\nX: y", None, PATIENCE);
    assert!(matches!(&seen, Health::Silent(reason) if reason.contains("cannot be asked for")), "{seen:?}");
}

#[test]
fn the_request_names_host_and_path_and_carries_no_secret() {
    let server = Server::without_tls(|to, asked| {
        assert!(asked.head.starts_with("GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:"), "{}", asked.head);
        assert!(!asked.head.to_lowercase().contains("authorization"), "{}", asked.head);
        to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    });
    assert_eq!(health(&server.endpoint(Service::KubeletHealth), "/readyz", None, PATIENCE), Health::Well);
}

#[test]
fn an_identity_is_shown_to_whoever_asks_for_it() {
    let tree = tree();
    for client in [Client::Ignored, Client::Welcome, Client::Demanded] {
        let server = Server::with_tls(Tls::of(&tree, "apiserver").client(client), |to, asked| {
            let status = if asked.is_known { "200 OK" } else { "401 Unauthorized" };
            write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let endpoint = server.endpoint(Service::ApiServer);
        let known = health(&endpoint, "/readyz", Some(&identity(&tree)), PATIENCE);
        let unknown = health(&endpoint, "/readyz", None, PATIENCE);
        match client {
            Client::Ignored => assert_eq!((known, unknown), (Health::Reserved(401), Health::Reserved(401))),
            Client::Welcome => assert_eq!((known, unknown), (Health::Well, Health::Reserved(401))),
            Client::Demanded => {
                assert_eq!(known, Health::Well);
                assert!(
                    matches!(&unknown, Health::Silent(why) if why.contains("CertificateRequired")),
                    "{unknown:?}"
                );
            }
        }
    }
}

#[test]
fn an_endless_answer_is_cut() {
    let server = Server::without_tls(|to, _| {
        to.write_all(b"HTTP/1.1 500 E\r\n\r\nall is ").unwrap();
        while to.write_all(b"lost and ").is_ok() {}
    });
    let Health::Unwell(text) = health(&server.endpoint(Service::KubeletHealth), "/x", None, PATIENCE) else {
        panic!("an answer is an answer")
    };
    assert!(
        text.starts_with("500: all is lost and lost") && text.ends_with("...") && text.len() < 250,
        "{text}"
    );
}

#[test]
fn a_status_is_known_however_late_its_text_comes() {
    let server = Server::without_tls(|to, _| {
        to.write_all(b"HTTP/1.1 500 E\r\n\r\nwait").unwrap();
        to.flush().unwrap();
        std::thread::sleep(Duration::from_secs(5));
    });
    let seen = health(&server.endpoint(Service::KubeletHealth), "/x", None, Duration::from_secs(1));
    assert_eq!(seen, Health::Unwell("500: wait".to_owned()));
}

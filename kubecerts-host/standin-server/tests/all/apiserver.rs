//! The API server.

use std::fs;

use kubecerts_core::time::Seconds;
use kubecerts_core::x509::DistinguishedName;
use kubecerts_standin_server::StartError;
use kubecerts_testkit::path;

use crate::support::{Node, PKI, get, handshake, now, shown, tree};

#[test]
fn anybody_may_ask_for_its_health_and_only_clients_for_the_rest() {
    let mut tree = tree(0, 1);
    let certificate = "/etc/kubernetes/pki/apiserver-kubelet-client.crt";
    tree.redraft(certificate, "/etc/kubernetes/pki/ca.key", |leaf| {
        leaf.subject = DistinguishedName::kubeadm("somebody", &["system:masters", "others"]);
    });
    let node = Node::new(&tree);
    let server = node.apiserver(&[]).unwrap();
    let [address] = server.addresses() else { panic!("one port") };
    for path in ["/livez", "/readyz", "/healthz", "/readyz?verbose"] {
        assert_eq!(get(*address, None, path).unwrap(), (200, "ok".to_owned()));
    }
    let (status, body) = get(*address, None, "/api").unwrap();
    assert!(status == 401 && body.contains("Unauthorized"));
    let (status, body) = get(*address, node.client("apiserver-kubelet-client"), "/api").unwrap();
    let identity = r#"{"user":"somebody","groups":["others", "system:masters"]}"#;
    assert_eq!((status, body.as_str()), (200, identity));
}

#[test]
fn an_expired_client_certificate_is_answered_401_and_not_refused_by_tls() {
    let node = Node::new(&tree(400, 1));
    let server = node.apiserver(&[]).unwrap();
    let address = server.addresses()[0];
    assert!(handshake(address, node.client("apiserver-kubelet-client")).is_ok());
    for path in ["/api", "/livez"] {
        assert_eq!(get(address, node.client("apiserver-kubelet-client"), path).unwrap().0, 401);
    }
    assert_eq!(get(address, None, "/livez").unwrap().0, 200);
}

#[test]
fn a_client_of_another_authority_is_nobody() {
    let (node, other) = (Node::new(&tree(0, 1)), Node::new(&tree(0, 2)));
    let server = node.apiserver(&[]).unwrap();
    let stranger = other.client("apiserver-kubelet-client");
    assert_eq!(get(server.addresses()[0], stranger, "/api").unwrap().0, 401);
}

#[test]
fn without_anonymous_authentication_its_health_is_for_clients() {
    let node = Node::new(&tree(0, 1));
    let server = node.apiserver(&["--anonymous-auth=false"]).unwrap();
    let address = server.addresses()[0];
    assert_eq!(get(address, None, "/livez").unwrap().0, 401);
    assert_eq!(get(address, node.client("apiserver-kubelet-client"), "/livez").unwrap().0, 200);
}

#[test]
fn a_renewed_pair_is_served_without_a_restart_and_a_broken_one_is_not() {
    let (old, new) = (tree(400, 1), tree(0, 2));
    let node = Node::new(&old);
    let server = node.apiserver(&[]).unwrap();
    let address = server.addresses()[0];
    assert_eq!(shown(address).unwrap(), old.certificate("/etc/kubernetes/pki/apiserver.crt"));
    let key = node.path(&format!("{PKI}/apiserver.key"));
    fs::write(&key, new.read_file("/etc/kubernetes/pki/apiserver.key")).unwrap();
    assert_eq!(shown(address).unwrap(), old.certificate("/etc/kubernetes/pki/apiserver.crt"));
    let certificate = node.path(&format!("{PKI}/apiserver.crt"));
    fs::write(certificate, new.read_file("/etc/kubernetes/pki/apiserver.crt")).unwrap();
    assert_eq!(shown(address).unwrap(), new.certificate("/etc/kubernetes/pki/apiserver.crt"));
}

#[test]
fn one_that_holds_serves_the_old_pair_until_its_restart() {
    let (old, new) = (tree(400, 1), tree(0, 2));
    let leaf = "/etc/kubernetes/pki/apiserver.crt";
    let node = Node::new(&old);
    let server = node.apiserver(&["--stand-in=holds"]).unwrap();
    node.write(&new);
    assert_eq!(shown(server.addresses()[0]).unwrap(), old.certificate(leaf));
    drop(server);
    let server = node.apiserver(&["--stand-in=holds"]).unwrap();
    assert_eq!(shown(server.addresses()[0]).unwrap(), new.certificate(leaf));
}

#[test]
fn one_can_come_back_with_the_old_pair() {
    let (old, new) = (tree(400, 1), tree(0, 2));
    let leaf = "/etc/kubernetes/pki/apiserver.crt";
    let node = Node::new(&new);
    let mut kept = kubecerts_testkit::MemoryTree::default();
    for file in ["apiserver.crt", "apiserver.key"] {
        kept.write(&path(&format!("/old/{file}")), old.read_file(&format!("/{PKI}/{file}")), 0o600);
    }
    let mode = format!("--stand-in=serves-old={}", node.path("old").display());
    let first = node.apiserver(&[&mode]).unwrap();
    assert_eq!(shown(first.addresses()[0]).unwrap(), new.certificate(leaf));
    node.write(&kept);
    let second = node.apiserver(&[&mode]).unwrap();
    assert_eq!(shown(second.addresses()[0]).unwrap(), old.certificate(leaf));
}

#[test]
fn one_can_refuse_to_come_back() {
    let node = Node::new(&tree(0, 1));
    let file = node.path("stopped");
    let mode = format!("--stand-in=never-comes-back-after={}", file.display());
    drop(node.apiserver(&[&mode]).unwrap());
    fs::write(&file, "").unwrap();
    assert_eq!(node.apiserver(&[&mode]).unwrap_err(), StartError::NeverComesBack { file });
}

#[test]
fn one_that_is_never_ready_says_so_and_lives() {
    let node = Node::new(&tree(0, 1));
    for (mode, livez) in [("never-ready", 200), ("etcd-down", 500)] {
        let server = node.apiserver(&[&format!("--stand-in={mode}")]).unwrap();
        let (status, body) = get(server.addresses()[0], None, "/readyz").unwrap();
        assert_eq!(status, 500);
        assert!(body.starts_with("[+]ping ok\n") && body.ends_with("readyz check failed\n"), "{body}");
        assert!(body.contains(" failed: reason withheld\n"));
        assert_eq!(get(server.addresses()[0], None, "/livez").unwrap().0, livez);
    }
}

#[test]
fn one_can_answer_401_to_everything() {
    let node = Node::new(&tree(0, 1));
    let server = node.apiserver(&["--stand-in=answers-401"]).unwrap();
    for client in [None, node.client("apiserver-kubelet-client")] {
        assert_eq!(get(server.addresses()[0], client, "/livez").unwrap().0, 401);
    }
}

#[test]
fn one_that_starts_slowly_refuses_connections_at_first() {
    let node = Node::new(&tree(0, 1));
    let server = node.apiserver(&["--stand-in=slow-start=3600"]).unwrap();
    let refused = handshake(server.addresses()[0], None).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let server = node.apiserver(&["--stand-in=slow-start=0"]).unwrap();
    crate::support::eventually("the server", || get(server.addresses()[0], None, "/livez").ok());
}

#[test]
fn it_does_not_start_with_a_key_of_another_certificate() {
    let mut mixed = tree(0, 1);
    let other = tree(0, 2);
    let key = other.read_file("/etc/kubernetes/pki/apiserver.key").to_vec();
    mixed.edit("/etc/kubernetes/pki/apiserver.key", |content| *content = key);
    let refused = Node::new(&mixed).apiserver(&[]).unwrap_err();
    assert!(refused.to_string().ends_with("tls: private key does not match public key"), "{refused}");
}

#[test]
fn an_expired_pair_is_served_all_the_same() {
    let node = Node::new(&tree(400, 1));
    let server = node.apiserver(&[]).unwrap();
    assert!(shown(server.addresses()[0]).unwrap().not_after() < now().minus(Seconds::from_days(30)));
}

//! etcd.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use kubecerts_standin_server::StandIn;
use kubecerts_testkit::MemoryTree;

use crate::support::{Node, get, start, tree};

fn etcd(node: &Node, more: &[&str]) -> StandIn {
    let mut flags = vec!["etcd".to_owned(), "--snapshot-count=10000".to_owned()];
    for (port, kind, pair) in [("client", "", "server"), ("peer", "peer-", "peer")] {
        flags.push(format!("--listen-{port}-urls=https://127.0.0.1:0"));
        flags.push(format!("--{kind}client-cert-auth=true"));
        flags.push(node.flag(&format!("{kind}cert-file"), &format!("etc/kubernetes/pki/etcd/{pair}.crt")));
        flags.push(node.flag(&format!("{kind}key-file"), &format!("etc/kubernetes/pki/etcd/{pair}.key")));
        flags.push(node.flag(&format!("{kind}trusted-ca-file"), "etc/kubernetes/pki/etcd/ca.crt"));
    }
    flags.push("--listen-metrics-urls=http://127.0.0.1:0".to_owned());
    start(flags, more).unwrap()
}

fn healthy(node: &Node, etcd: &StandIn) -> std::io::Result<(u16, String)> {
    get(etcd.addresses()[0], node.client("etcd/healthcheck-client"), "/health")
}

#[test]
fn health_is_for_clients_of_its_authority() {
    let node = Node::new(&tree(0, 1));
    let etcd = etcd(&node, &[]);
    let (status, body) = healthy(&node, &etcd).unwrap();
    assert_eq!((status, body.as_str()), (200, r#"{"health":"true","reason":""}"#));
    assert!(get(etcd.addresses()[0], None, "/health").is_err());
    assert!(get(etcd.addresses()[0], node.client("apiserver-kubelet-client"), "/health").is_err());
    assert_eq!(get(etcd.addresses()[1], node.client("etcd/peer"), "/health").unwrap().0, 404);
}

#[test]
fn metrics_are_plain_and_tell_the_health() {
    let node = Node::new(&tree(0, 1));
    for (more, status) in [(&[][..], "200"), (&["--stand-in=etcd-down"], "503")] {
        let etcd = etcd(&node, more);
        let mut stream = TcpStream::connect(etcd.addresses()[2]).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
}

#[test]
fn a_key_without_its_certificate_breaks_handshakes_until_both_are_there() {
    let (old, new) = (tree(0, 1), tree(0, 2));
    let node = Node::new(&old);
    let etcd = etcd(&node, &[]);
    let put = |tree: &MemoryTree, file: &str| {
        let path = format!("etc/kubernetes/pki/etcd/{file}");
        fs::write(node.path(&path), tree.read_file(&format!("/{path}"))).unwrap();
    };
    assert!(healthy(&node, &etcd).is_ok());
    put(&new, "server.key");
    let broken = healthy(&node, &etcd).unwrap_err().to_string();
    assert!(broken.contains("InternalError"), "{broken}");
    put(&new, "server.crt");
    assert!(healthy(&node, &etcd).is_ok());
}

//! `kubecerts init`: into nothing, beside what is there, and against what contradicts.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at};

use crate::support::Tree;

const ECDSA: &str = "kubeadm-v136-ecdsa-p256";

fn config(fixture: &str) -> String {
    Fixture::named(fixture).directory().join("kubeadm-config.yaml").to_str().unwrap().to_owned()
}

fn mode(tree: &Tree, path: &str) -> u32 {
    fs::metadata(tree.path(path)).unwrap().mode() & 0o7777
}

#[test]
fn a_new_tree_has_kubeadms_files_and_modes_and_needs_no_second_run() {
    let tree = Tree::of(&MemoryTree::default());
    let config = config(ECDSA);
    let outcome = tree.run(&["init", "--config", &config]).exits(0);
    assert!(outcome.stdout.contains("wrote /etc/kubernetes/pki/apiserver.crt\n"), "{}", outcome.stdout);
    let modes = |tree: &Tree| -> Vec<(String, u32)> {
        let files = tree.files().into_iter().filter(|(path, _)| !path.contains("/manifests/"));
        files.map(|(path, (mode, _))| (path, mode)).collect()
    };
    assert_eq!(modes(&tree), modes(&Tree::fixture(ECDSA)));
    for directory in ["/etc/kubernetes", "/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd"] {
        assert_eq!(mode(&tree, directory), 0o755, "{directory}");
    }
    let before = (tree.files(), tree.state_files());
    let outcome = tree.run(&["init", "all", "--config", &config]).exits(0);
    assert!(outcome.stdout.starts_with("Nothing to make.\n"), "{}", outcome.stdout);
    assert!((tree.files(), tree.state_files()) == before);
    tree.run(&["check"]).exits(0);
}

#[test]
fn flags_do_without_a_configuration() {
    let tree = Tree::of(&MemoryTree::default());
    let flags = [
        "init",
        "ca",
        "apiserver",
        "--node-name",
        "cp-9",
        "--apiserver-advertise-address",
        "10.0.0.9",
        "--control-plane-endpoint",
        "k8s.example.com",
        "--apiserver-cert-extra-sans",
        "a.example.com,10.0.0.10",
        "--service-cidr",
        "10.100.0.0/16",
        "--service-dns-domain",
        "example.org",
        "--cert-dir",
        "/opt/pki",
        "--validity",
        "30d",
    ];
    let outcome = tree.run(&flags).exits(0);
    for name in [
        "DNS:cp-9",
        "DNS:k8s.example.com",
        "DNS:a.example.com",
        "IP:10.100.0.1",
        "IP:10.0.0.10",
        "DNS:kubernetes.default.svc.example.org",
    ] {
        assert!(outcome.stdout.contains(name), "{name}: {}", outcome.stdout);
    }
    let files: Vec<String> = tree.files().into_keys().collect();
    assert_eq!(files, ["opt/pki/apiserver.crt", "opt/pki/apiserver.key", "opt/pki/ca.crt", "opt/pki/ca.key"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let tree = Tree::of(&MemoryTree::default());
    let outcome = tree.run(&["init", "--config", &config(ECDSA), "--dry-run"]).exits(0);
    assert!(outcome.stderr.contains("nothing was written"), "{}", outcome.stderr);
    assert!(fs::read_dir(tree.root()).unwrap().next().is_none());
}

#[test]
fn what_nobody_says_is_asked_for() {
    let tree = Tree::of(&MemoryTree::default());
    let outcome = tree.run(&["init"]).exits(2).explains("nodeRegistration.name");
    assert!(outcome.stderr.contains("--node-name"), "{}", outcome.stderr);
    let outcome = tree.run(&["init", "--node-name", "cp-1"]).exits(2).explains("advertiseAddress");
    assert!(outcome.stderr.contains("--apiserver-advertise-address"), "{}", outcome.stderr);
    tree.run(&["init", "nothing", "--config", &config(ECDSA)]).exits(2).explains("\"nothing\"");
    tree.run(&["init", "--config", &config(ECDSA), "--service-cidr", "x"])
        .exits(2)
        .explains("--service-cidr");
    tree.run(&["init", "--config", "/nonexistent"]).exits(1).explains("/nonexistent");
    assert!(fs::read_dir(tree.root()).unwrap().next().is_none());
}

#[test]
fn what_contradicts_is_refused_and_left_alone() {
    let tree = Tree::fixture(ECDSA);
    fs::remove_file(tree.path("/etc/kubernetes/pki/apiserver.crt")).unwrap();
    fs::remove_file(tree.path("/etc/kubernetes/admin.conf")).unwrap();
    let before = tree.files();
    let outcome = tree.run(&["init", "--config", &config(ECDSA)]).exits(9);
    let outcome = outcome.explains("/etc/kubernetes/pki/apiserver.key is a key without its certificate");
    assert!(outcome.stderr.contains("kubecerts import"), "{}", outcome.stderr);
    assert!(tree.files() == before);
}

#[test]
fn what_an_external_authority_has_to_sign_is_left_to_requests() {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(at("2026-01-01T00:00:00Z")).build());
    let now = ["--node-name", "cp-1", "--apiserver-advertise-address", "192.168.10.11"];
    for file in ["pki/ca.key", "pki/apiserver.crt", "pki/apiserver.key"] {
        fs::remove_file(tree.path(&format!("/etc/kubernetes/{file}"))).unwrap();
    }
    let outcome = tree.run(&[&["init"][..], &now].concat());
    // When the builder's certificates have ended by the clock of this machine, that is what is said instead.
    if outcome.code == 9 {
        assert!(outcome.stderr.contains("expired"), "{}", outcome.stderr);
        return;
    }
    let outcome = outcome.exits(6).explains("apiserver: the key of ca is not on this node");
    assert!(outcome.stderr.contains("kubecerts csr --rootfs"), "{}", outcome.stderr);
}

#[test]
fn a_link_out_of_the_root_leads_nowhere() {
    let tree = Tree::of(&MemoryTree::default());
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), tree.path("/etc")).unwrap();
    tree.run(&["init", "--config", &config(ECDSA)]);
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
}

#[test]
fn the_document_tells_what_was_made() {
    let tree = Tree::of(&MemoryTree::default());
    let outcome =
        tree.run(&["init", "sa", "front-proxy-ca", "--config", &config(ECDSA), "-o", "json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["applied"], true);
    assert_eq!(document["written"].as_array().unwrap().len(), 4);
}

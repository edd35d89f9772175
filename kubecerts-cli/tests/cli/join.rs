//! `kubecerts join-node`: trees for further control-plane nodes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use kubecerts_testkit::Fixture;

use crate::support::Tree;

const ECDSA: &str = "kubeadm-v136-ecdsa-p256";

struct World {
    first: Tree,
    bag: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { first: Tree::fixture(ECDSA), bag: tempfile::tempdir().unwrap() }
    }

    fn bag(&self, name: &str) -> String {
        self.bag.path().join(name).to_str().unwrap().to_owned()
    }

    fn join(&self, arguments: &[&str]) -> crate::support::Outcome {
        let config = Fixture::named(ECDSA).directory().join("kubeadm-config.yaml");
        let out = self.bag("out");
        let config = ["--config", config.to_str().unwrap(), "--out", &out];
        self.first.run(&[&["join-node"][..], arguments, &config].concat())
    }

    fn list(&self, text: &str) -> String {
        let file = self.bag("nodes");
        fs::write(&file, text).unwrap();
        file
    }
}

#[test]
fn every_node_gets_a_whole_tree_of_its_own() {
    let world = World::new();
    let before = world.first.files();
    let list = world.list("cp-2 192.168.10.12 # second\ncp-3 192.168.10.13 cp-3.example.com\n");
    world.join(&["--nodes", &list]).exits(0);
    assert!(world.first.files() == before, "the first node is left alone");
    for node in ["cp-2", "cp-3"] {
        let root = world.bag(&format!("out/{node}"));
        crate::support::kubecerts(&["check", "--rootfs", &root]).exits(0);
        for (path, expected) in [
            ("", 0o755),
            ("etc/kubernetes/pki", 0o755),
            ("etc/kubernetes/pki/ca.key", 0o600),
            ("etc/kubernetes/pki/ca.crt", 0o644),
            ("etc/kubernetes/kubelet.conf", 0o600),
        ] {
            let mode = fs::metadata(Path::new(&root).join(path)).unwrap().mode() & 0o7777;
            assert_eq!(mode, expected, "{node} {path}");
        }
        assert!(!Path::new(&root).join("etc/kubernetes/super-admin.conf").exists());
        verify(Path::new(&root));
    }
    let left: Vec<_> =
        fs::read_dir(world.bag("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Asks OpenSSL whether the chains are whole.
fn verify(root: &Path) {
    let pki = root.join("etc/kubernetes/pki");
    for (ca, leaf) in [
        ("ca.crt", "apiserver.crt"),
        ("etcd/ca.crt", "etcd/peer.crt"),
        ("front-proxy-ca.crt", "front-proxy-client.crt"),
    ] {
        let output = Command::new("openssl")
            .arg("verify")
            .arg("-CAfile")
            .arg(pki.join(ca))
            .arg(pki.join(leaf))
            .output();
        let Ok(output) = output else {
            std::io::stderr().write_all(b"SKIPPED openssl: not installed\n").unwrap();
            return;
        };
        assert!(output.status.success(), "{leaf}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn keys_and_kubelet_conf_may_be_left_out() {
    let world = World::new();
    world.join(&["cp-2", "192.168.10.12", "--without-ca-keys", "--without-kubelet-conf"]).exits(0);
    let root = world.bag("out/cp-2");
    for file in ["pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key", "kubelet.conf"] {
        assert!(!Path::new(&root).join("etc/kubernetes").join(file).exists(), "{file}");
    }
    assert!(Path::new(&root).join("etc/kubernetes/pki/sa.key").exists());
}

#[test]
fn nothing_is_written_when_one_node_is_wrong() {
    let world = World::new();
    for (text, thing) in [
        ("cp-2 192.168.10.12\ncp-2 192.168.10.13\n", "cp-2 occurs twice"),
        ("cp-2 192.168.10.12\ncp-3 192.168.10.12\n", "192.168.10.12 occurs twice"),
        ("cp-2 192.168.10.12\ncp-3\n", "the node cp-3 needs an address"),
        ("../cp-2 192.168.10.12\n", "is not the name of a node"),
    ] {
        let list = world.list(text);
        world.join(&["--nodes", &list]).exits(2).explains(thing);
        assert!(!Path::new(&world.bag("out")).exists(), "{text}");
    }
    fs::create_dir_all(world.bag("out/cp-3")).unwrap();
    let list = world.list("cp-2 192.168.10.12\ncp-3 192.168.10.13\n");
    world.join(&["--nodes", &list]).exits(9).explains("out/cp-3");
    assert!(!Path::new(&world.bag("out/cp-2")).exists());
}

#[test]
fn without_an_authoritys_key_nothing_is_begun() {
    let world = World::new();
    fs::remove_file(world.first.path("/etc/kubernetes/pki/etcd/ca.key")).unwrap();
    let outcome =
        world.join(&["cp-2", "192.168.10.12"]).exits(6).explains("the key of etcd-ca is not on this node");
    assert!(outcome.stderr.contains("kubecerts csr"), "{}", outcome.stderr);
    fs::remove_file(world.first.path("/etc/kubernetes/pki/sa.pub")).unwrap();
    world.join(&["cp-2", "192.168.10.12"]).exits(1).explains("/etc/kubernetes/pki/sa.pub does not exist");
    assert!(!Path::new(&world.bag("out")).exists());
}

#[test]
fn a_dry_run_writes_nothing_and_the_configuration_is_needed() {
    let world = World::new();
    world.join(&["cp-2", "192.168.10.12", "--dry-run"]).exits(0);
    assert!(!Path::new(&world.bag("out")).exists());
    let out = world.bag("out");
    let outcome = world.first.run(&["join-node", "cp-2", "192.168.10.12", "--out", &out]).exits(2);
    assert!(outcome.explains("configuration").stderr.contains("kubeadm-config"));
}

#[test]
fn the_hint_carries_every_directory_and_leaves_those_of_the_node_as_they_are() {
    let world = World::new();
    let config = Fixture::named(ECDSA).directory().join("kubeadm-config.yaml");
    let file = world.bag("config.yaml");
    fs::write(&file, fs::read_to_string(config).unwrap().replace("/etc/kubernetes/pki", "/opt/pki")).unwrap();
    fs::create_dir_all(world.first.path("/opt")).unwrap();
    fs::rename(world.first.path("/etc/kubernetes/pki"), world.first.path("/opt/pki")).unwrap();
    fs::remove_dir_all(world.first.path("/etc/kubernetes/manifests")).unwrap();
    let out = world.bag("out");
    let arguments = ["join-node", "cp-2", "192.168.10.12", "--config", &file, "--out", &out];
    let outcome = world.first.run(&arguments).exits(0);
    let hint = outcome.stderr.lines().find(|line| line.contains("tar -C")).unwrap();
    assert!(hint.contains("-cf - etc opt |"), "{hint}");

    // What it says is done here instead of on the node.
    let node = world.bag("node");
    fs::create_dir_all(format!("{node}/data")).unwrap();
    fs::create_dir_all(format!("{node}/etc")).unwrap();
    fs::set_permissions(format!("{node}/etc"), fs::Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::symlink("../data", format!("{node}/etc/kubernetes")).unwrap();
    let command = hint.split_once("such as with: ").unwrap().1;
    let command = command.replace("/NAME", "/cp-2").replace("ssh NAME tar -C /", &format!("tar -C {node}"));
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(status.success(), "{command}");
    assert!(Path::new(&node).join("opt/pki/apiserver.key").exists());
    assert!(Path::new(&node).join("data/admin.conf").exists(), "the link is still one");
    assert_eq!(fs::metadata(format!("{node}/etc")).unwrap().mode() & 0o7777, 0o711);
}

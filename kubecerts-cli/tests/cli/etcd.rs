//! `--etcd` and `--backup-etcd`, with a real etcd where there is one.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kubecerts_core::digest::Digest;
use kubecerts_testkit::TreeBuilder;
use serde_json::Value;

use crate::support::Tree;

/// A node whose manifest says that etcd listens at `port` of the loopback.
fn node(port: u16) -> Tree {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(kubecerts_host::now()).build());
    let manifests = tree.path("/etc/kubernetes/manifests");
    fs::create_dir_all(&manifests).unwrap();
    let manifest = format!(
        "kind: Pod\nmetadata: {{name: etcd}}\nspec:\n  containers:\n  - name: etcd\n    \
         command: [etcd, '--listen-client-urls=https://127.0.0.1:{port}']\n"
    );
    fs::write(manifests.join("etcd.yaml"), manifest).unwrap();
    tree
}

/// A node with a real etcd.
struct Running {
    child: Child,
    node: Tree,
}

impl Running {
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    fn start(name: &str) -> Option<Self> {
        let port = free_port();
        let node = node(port);
        let pki = |file: &str| node.path(&format!("/etc/kubernetes/pki/etcd/{file}"));
        let option = |name: &str, file: &str| format!("--{name}={}", pki(file).display());
        let peer = format!("http://127.0.0.1:{}", free_port());
        let log = File::create(node.path("/etcd.log")).unwrap();
        let child = Command::new("etcd")
            .arg(format!("--data-dir={}", node.path("/var/lib/etcd").display()))
            .args(["--name=cp-1", "--client-cert-auth"])
            .args([option("cert-file", "server.crt"), option("key-file", "server.key")])
            .arg(option("trusted-ca-file", "ca.crt"))
            .args([format!("--listen-client-urls=https://127.0.0.1:{port}")])
            .args([format!("--advertise-client-urls=https://127.0.0.1:{port}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=cp-1={peer}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let Ok(child) = child else {
            eprintln!("SKIPPED {name}: etcd is not installed");
            return None;
        };
        let mut running = Self { child, node };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(running.child.try_wait().unwrap(), None, "etcd has ended");
            assert!(begun.elapsed() < Duration::from_secs(30), "etcd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_backup_with_etcd_holds_a_snapshot_that_is_verified() {
    let Some(running) = Running::start("etcd in a backup") else { return };
    let node = &running.node;
    let outcome = node.run(&["backup", "create", "--etcd", "-o", "json"]).exits(0);
    let manifest: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let id = manifest["id"].as_str().unwrap();
    let stored = node.path(&format!("/var/lib/kubecerts/backups/{id}/etcd-snapshot.db"));
    let bytes = fs::read(&stored).unwrap();
    assert_eq!(manifest["etcd"]["sha256"], Digest::of(&bytes).to_string());
    assert_eq!(manifest["etcd"]["size"], bytes.len());
    assert_eq!(manifest["etcd"]["revision"], 1, "nothing was written yet");
    let shown = node.run(&["backup", "show", id]).exits(0).stdout;
    assert!(shown.contains("etcd snapshot etcd-snapshot.db"), "{shown}");
    node.run(&["backup", "verify"]).exits(0);

    let mut damaged = bytes;
    damaged[1000] ^= 1;
    fs::write(&stored, damaged).unwrap();
    node.run(&["backup", "verify"]).exits(4).explains("etcd-snapshot.db");
}

#[test]
fn a_renewal_can_take_a_snapshot_of_etcd_first() {
    let Some(running) = Running::start("etcd before a renewal") else { return };
    let outcome = running.node.run(&["renew", "--all", "--yes", "--backup-etcd"]).exits(0);
    assert!(outcome.stderr.contains("backed up etcd at revision 1 as"), "{}", outcome.stderr);
    // etcd reads its new certificate with the next connection, and the new client's is good for it.
    running.node.run(&["backup", "create", "--etcd"]).exits(0);
}

#[test]
fn without_an_answer_of_etcd_nothing_is_done_and_the_way_out_is_named() {
    let tree = node(free_port());
    let before = tree.files();
    for command in [&["backup", "create", "--etcd"][..], &["renew", "--all", "--yes", "--backup-etcd"]] {
        let outcome = tree.run(command).exits(1).explains("https://127.0.0.1:");
        assert!(outcome.stderr.contains("copy /var/lib/etcd"), "{}", outcome.stderr);
        assert_eq!(tree.files(), before);
        let listed = tree.run(&["backup", "list"]).exits(0);
        assert!(listed.stderr.contains("no backup"), "{}{}", listed.stdout, listed.stderr);
    }
}

#[test]
fn without_a_manifest_of_etcd_that_is_what_it_says() {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(kubecerts_host::now()).build());
    tree.run(&["backup", "create", "--etcd"]).exits(1).explains("manifest of etcd");
}

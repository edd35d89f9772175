//! `kubecerts check`: what it shows and how it ends.

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_core::time::Seconds;
use kubecerts_testkit::TreeBuilder;

use crate::support::{Tree, kubecerts};

/// The trees of the builder are made 2026-01-01 and valid for a year.
const FRESH: &str = "2026-06-01T00:00:00Z";
const LATE: &str = "2026-12-15T00:00:00Z";
const OVER: &str = "2027-01-02T00:00:00Z";

fn tree() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().build())
}

fn has_line(text: &str, start: &str, end: &str) -> bool {
    text.lines().any(|line| line.starts_with(start) && line.ends_with(end))
}

#[test]
fn a_fresh_tree_ends_with_0() {
    let outcome = tree().run(&["check", "--at", FRESH]).exits(0);
    assert!(outcome.stdout.contains("CERTIFICATE AUTHORITY"), "{}", outcome.stdout);
}

#[test]
fn something_due_ends_with_3() {
    let outcome = tree().run(&["check", "--at", LATE]).exits(3);
    assert!(outcome.stdout.contains("(due)"), "{}", outcome.stdout);
    tree().run(&["check", "--at", LATE, "--within", "10d"]).exits(0);
}

#[test]
fn something_expired_ends_with_4_and_says_since_when() {
    let outcome = tree().run(&["check", "--at", OVER]).exits(4);
    assert!(outcome.stdout.contains("EXPIRED 24h ago"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("<invalid>"));
    assert!(outcome.stdout.contains("hint: kubecerts renew --rootfs /"), "{}", outcome.stdout);
}

#[test]
fn something_missing_ends_with_4() {
    let tree = tree();
    std::fs::remove_file(tree.path("/etc/kubernetes/pki/etcd/peer.crt")).unwrap();
    let outcome = tree.run(&["check", "--at", FRESH]).exits(4);
    assert!(
        outcome.stdout.contains("/etc/kubernetes/pki/etcd/peer.crt does not exist"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_foreign_authority_of_the_same_name_ends_with_5() {
    let mut tree = TreeBuilder::kubeadm().build();
    let other = TreeBuilder::kubeadm().seed(2).build();
    for file in ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"] {
        tree.write(&kubecerts_testkit::path(file), other.read_file(file), 0o600);
    }
    let outcome = Tree::of(&tree).run(&["check", "--at", FRESH]).exits(5);
    assert!(has_line(&outcome.stdout, "error: ca: ", "[ca-replaced]"), "{}", outcome.stdout);
}

#[test]
fn a_key_of_another_certificate_ends_with_5() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy("/etc/kubernetes/pki/etcd/peer.key", "/etc/kubernetes/pki/etcd/server.key");
    Tree::of(&tree).run(&["check", "--at", FRESH]).exits(5);
}

#[test]
fn a_directory_in_place_of_a_key_ends_with_6() {
    let tree = tree();
    std::fs::remove_file(tree.path("/etc/kubernetes/pki/apiserver.key")).unwrap();
    std::fs::create_dir(tree.path("/etc/kubernetes/pki/apiserver.key")).unwrap();
    let outcome = tree.run(&["check", "--at", FRESH]).exits(6);
    assert!(outcome.stdout.contains("is a directory, not a file"), "{}", outcome.stdout);
}

#[test]
fn an_external_authority_is_no_fault() {
    let tree = Tree::of(&TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build());
    let outcome = tree.run(&["check", "--at", FRESH]).exits(0);
    assert!(outcome.stdout.contains("[external-ca]"), "{}", outcome.stdout);
}

#[test]
fn the_codes_of_nagios_are_0_to_3() {
    let nagios = |at: &str| tree().run(&["check", "--exit-code", "nagios", "--at", at]).code;
    assert_eq!([nagios(FRESH), nagios(LATE), nagios(OVER)], [0, 1, 2]);
    let outcome = kubecerts(&["check", "--exit-code", "nagios", "--rootfs", "/does/not/exist"]);
    assert_eq!(outcome.code, 3, "no look was possible");
    assert_eq!(kubecerts(&["check", "--exit-code", "nagios", "--bogus"]).code, 3, "nor with a wrong line");
}

#[test]
fn the_kubelets_certificates_and_copies_are_listed() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    let mut pem = tree.read_file("/etc/kubernetes/pki/apiserver-kubelet-client.crt").to_vec();
    pem.extend(tree.read_file("/etc/kubernetes/pki/apiserver-kubelet-client.key"));
    tree.write(&kubecerts_testkit::path("/var/lib/kubelet/pki/kubelet-client-current.pem"), pem, 0o600);
    let outcome = Tree::of(&tree).run(&["check", "--at", FRESH, "-o", "wide"]).exits(0);
    for place in ["kubelet-client ", "kubelet.conf ", "/root/.kube/config "] {
        assert!(outcome.stdout.lines().any(|line| line.starts_with(place)), "{place}\n{}", outcome.stdout);
    }
}

#[test]
fn an_expired_copy_is_a_warning_and_no_more() {
    let mut tree = TreeBuilder::kubeadm().build();
    let old = TreeBuilder::kubeadm().lifetime(Seconds::from_days(30)).build();
    tree.write(
        &kubecerts_testkit::path("/home/kim/.kube/config"),
        old.read_file("/etc/kubernetes/admin.conf"),
        0o600,
    );
    let outcome = Tree::of(&tree).run(&["check", "--at", FRESH]).exits(0);
    assert!(
        has_line(&outcome.stdout, "warning: /home/kim/.kube/config: ", "[kubeconfig-copy-stale]"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_mounted_tree_needs_only_to_be_read() {
    let tree = tree();
    let before = tree.files();
    tree.run(&["check", "--at", OVER, "-o", "json"]).exits(4);
    assert_eq!(tree.files(), before);
}

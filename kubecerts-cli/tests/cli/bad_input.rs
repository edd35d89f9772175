//! Wrong input of every kind: an `error:` with the thing and the reason, a `hint:`, no panic, and nothing changed.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;

use kubecerts_testkit::TreeBuilder;

use crate::support::{Outcome, Tree, kubecerts};

fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

/// Renews everything in a tree after `damage`, and asserts that the damaged file is named and left alone.
fn renew_after(damage: impl FnOnce(&Tree), path: &str) -> (Tree, Outcome) {
    let tree = expired();
    damage(&tree);
    let before = tree.files().get(path.trim_start_matches('/')).cloned();
    let outcome = tree.run(&["renew", "--all", "--yes"]).exits(6);
    let hints = outcome.stderr.lines().filter(|line| line.starts_with("hint:"));
    assert!(outcome.stdout.contains(path), "{path} is not named:\n{}", outcome.stdout);
    assert!(hints.count() > 0, "no hint:\n{}", outcome.stderr);
    let errors = outcome.stderr.lines().filter(|line| line.starts_with("error:"));
    assert!(errors.clone().any(|line| line.contains(path)), "no error names {path}:\n{}", outcome.stderr);
    assert_eq!(tree.files().get(path.trim_start_matches('/')).cloned(), before);
    (tree, outcome)
}

#[test]
fn a_missing_root_is_named() {
    for command in [
        &["check"][..],
        &["plan"],
        &["renew", "--yes"],
        &["certs", "check-expiration"],
        &["certs", "renew", "all"],
    ] {
        let arguments = [command, &["--rootfs", "/does/not/exist"]].concat();
        kubecerts(&arguments).exits(1).explains("/does/not/exist");
    }
}

#[test]
fn a_missing_certificate_directory_is_named() {
    expired().run(&["check", "--cert-dir", "/no/such/pki"]).exits(1).explains("/no/such/pki");
}

#[test]
fn a_file_as_certificate_directory_is_named() {
    let tree = expired();
    tree.run(&["check", "--cert-dir", "/etc/kubernetes/admin.conf"])
        .exits(1)
        .explains("/etc/kubernetes/admin.conf");
}

#[test]
fn an_empty_root_is_no_control_plane() {
    let empty = tempfile::tempdir().unwrap();
    kubecerts(&["check", "--rootfs", empty.path().to_str().unwrap()])
        .exits(1)
        .explains("/etc/kubernetes/pki");
}

#[test]
fn a_missing_configuration_is_named() {
    expired().run(&["check", "--config", "/no/such/kubeadm.yaml"]).exits(1).explains("/no/such/kubeadm.yaml");
}

#[test]
fn a_damaged_configuration_is_a_finding_with_its_position() {
    let tree = expired();
    let config = tree.path("/kubeadm.yaml");
    std::fs::write(&config, "kind: ClusterConfiguration\ncertificatesDir: [").unwrap();
    let outcome = tree.run(&["check", "--config", config.to_str().unwrap()]);
    assert!(
        outcome.stdout.contains("source-damaged") && outcome.stdout.contains("line "),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_truncated_certificate_is_left_alone() {
    let path = "/etc/kubernetes/pki/apiserver.crt";
    let cut = |tree: &Tree| {
        let content = std::fs::read(tree.path(path)).unwrap();
        std::fs::write(tree.path(path), &content[..content.len() / 2]).unwrap();
    };
    let (_, outcome) = renew_after(cut, path);
    assert!(outcome.stdout.contains("is cut off"), "{}", outcome.stdout);
}

#[test]
fn an_empty_certificate_is_left_alone() {
    let path = "/etc/kubernetes/pki/etcd/peer.crt";
    renew_after(|tree| std::fs::write(tree.path(path), "").unwrap(), path);
}

#[test]
fn a_kubeconfig_that_is_not_yaml_is_left_alone() {
    let path = "/etc/kubernetes/scheduler.conf";
    renew_after(|tree| std::fs::write(tree.path(path), "users: [\n\t{").unwrap(), path);
}

#[test]
fn a_file_of_two_gibibytes_is_not_read() {
    let path = "/etc/kubernetes/pki/apiserver.crt";
    let grow = |tree: &Tree| File::create(tree.path(path)).unwrap().set_len(2 << 30).unwrap();
    let (_, outcome) = renew_after(grow, path);
    assert!(outcome.stdout.contains("2147483648 bytes"), "{}", outcome.stdout);
}

#[test]
fn a_directory_in_place_of_a_key_is_left_alone() {
    let path = "/etc/kubernetes/pki/apiserver.key";
    let replace = |tree: &Tree| {
        std::fs::remove_file(tree.path(path)).unwrap();
        std::fs::create_dir(tree.path(path)).unwrap();
    };
    let (_, outcome) = renew_after(replace, path);
    assert!(outcome.stdout.contains("is a directory"), "{}", outcome.stdout);
}

#[test]
fn a_damaged_authority_key_leaves_its_certificates_alone() {
    let path = "/etc/kubernetes/pki/ca.key";
    let (tree, outcome) = renew_after(|tree| std::fs::write(tree.path(path), "not a key").unwrap(), path);
    assert!(outcome.stdout.contains("ca cannot sign"), "{}", outcome.stdout);
    // What etcd's authority signs does not depend on it.
    assert!(outcome.stdout.contains("renewed etcd-server"), "{}", outcome.stdout);
    tree.run(&["certs", "renew", "apiserver"]).exits(6);
}

#[test]
fn an_expired_authority_signs_nothing() {
    let builder = TreeBuilder::kubeadm().made(kubecerts_testkit::at("2020-01-01T00:00:00Z"));
    let tree = Tree::of(&builder.authority_lifetime(kubecerts_core::time::Seconds::from_days(400)).build());
    let before = tree.files();
    let outcome = tree.run(&["renew", "--yes"]).exits(6);
    assert!(outcome.stdout.contains("ca cannot sign: it expired"), "{}", outcome.stdout);
    assert_eq!(tree.files(), before);
}

#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn a_key_that_may_not_be_read_is_named() {
    let tree = expired();
    let key = tree.path("/etc/kubernetes/pki/ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&key).is_ok() {
        println!("SKIPPED a_key_that_may_not_be_read_is_named: root may read everything");
        return;
    }
    let outcome = tree.run(&["renew", "--all", "--yes"]).exits(6);
    assert!(outcome.stdout.contains("permission denied"), "{}", outcome.stdout);
}

#[test]
fn a_lifetime_of_nothing_is_a_usage_error() {
    expired().run(&["renew", "--yes", "--validity", "0s"]).exits(2).explains("0s");
    expired().run(&["renew", "--yes", "--validity", "soon"]).exits(2);
    expired().run(&["check", "--at", "yesterday"]).exits(2);
}

//! What hints say holds when it is done: commands run, files are where they are said to be.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at};

use crate::support::{Outcome, Tree, kubecerts};

const FIXTURE: &str = "kubeadm-v136-ecdsa-p256";
const RSA: &str = "kubeadm-v136-rsa2048";

fn config() -> String {
    Fixture::named(FIXTURE).directory().join("kubeadm-config.yaml").to_str().unwrap().to_owned()
}

/// Returns a tree that was made just now.
fn new_tree() -> Tree {
    let tree = Tree::of(&MemoryTree::default());
    init(&tree).exits(0);
    tree
}

fn init(tree: &Tree) -> Outcome {
    tree.run(&["init", "--config", &config()])
}

/// Returns what the only hint with `start` says after it.
#[track_caller]
fn hint<'o>(outcome: &'o Outcome, start: &str) -> &'o str {
    let mut found = outcome.stderr.lines().filter_map(|line| line.split_once(start)).map(|(_, rest)| rest);
    let hint = found.next().unwrap_or_else(|| panic!("no hint {start:?}: {}", outcome.stderr));
    assert_eq!(found.next(), None, "{}", outcome.stderr);
    hint
}

fn pki(tree: &Tree, file: &str) -> String {
    tree.path("/etc/kubernetes/pki").join(file).to_str().unwrap().to_owned()
}

#[test]
fn a_key_of_an_authority_without_its_certificate_asks_for_that_file() {
    let tree = Tree::fixture(FIXTURE);
    fs::remove_file(pki(&tree, "ca.crt")).unwrap();
    let outcome = init(&tree).exits(9).explains("pki/ca.key is a key without its certificate");
    assert!(hint(&outcome, "hint: bring these from a backup or").ends_with(&pki(&tree, "ca.crt")));
    assert!(!outcome.stderr.contains(": kubecerts import"), "{}", outcome.stderr);
}

#[test]
fn every_file_that_has_to_go_is_named_with_what_belongs_to_it() {
    let tree = new_tree();
    let names =
        ["apiserver", "apiserver-kubelet-client", "front-proxy-client", "etcd/server", "etcd/peer", "sa"];
    for name in names {
        let extension = if name == "sa" { "key" } else { "crt" };
        fs::write(pki(&tree, &format!("{name}.{extension}")), "").unwrap();
    }
    fs::write(tree.path("/etc/kubernetes/admin.conf"), "").unwrap();
    let outcome = init(&tree).exits(9);
    assert!(!outcome.stderr.contains("mend the configuration"), "{}", outcome.stderr);
    hint(&outcome, "bring these from a backup: ");
    let gone: Vec<&str> =
        hint(&outcome, "what is of no use, move away, and run this again: ").split(' ').collect();
    assert_eq!(gone.len(), 2 * names.len() + 1, "{gone:?}");
    for file in gone {
        fs::remove_file(file).unwrap();
    }
    init(&tree).exits(0);
}

#[test]
fn the_hint_after_a_plan_permits_what_the_plan_needs() {
    let tree = Tree::fixture(FIXTURE);
    let out = tree.path("p.json");
    let arguments = ["plan", "apiserver", "--add-san", "new.example.com", "--out", out.to_str().unwrap()];
    let outcome = tree.run(&arguments).exits(0);
    let command = hint(&outcome, "hint: kubecerts ");
    assert!(command.contains(" --allow-change san "), "{command}");
    kubecerts(&command.split(' ').chain(["--yes"]).collect::<Vec<_>>()).exits(0);

    let out = tree.path("q.json");
    let outcome = tree.run(&["plan", "apiserver", "--out", out.to_str().unwrap()]).exits(0);
    assert!(!hint(&outcome, "hint: kubecerts apply").contains("--allow-change"));
}

#[test]
fn programs_are_restarted_on_the_node() {
    let tree = Tree::fixture(RSA);
    let outcome = tree.run(&["ca", "extend", "all", "--validity", "20y", "--yes"]).exits(0);
    let restarts: Vec<&str> =
        outcome.stderr.lines().filter(|line| line.contains("kubecerts restart")).collect();
    assert!(restarts.len() >= 2, "{}", outcome.stderr);
    for line in restarts {
        assert!(!line.contains("--rootfs"), "{line}");
    }
    assert!(outcome.stderr.contains(", on the node: kubecerts restart"), "{}", outcome.stderr);
}

#[test]
fn an_end_that_has_passed_is_no_deadline() {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(at("2010-01-01T00:00:00Z")).build());
    let outcome = tree.run(&["ca", "extend", "ca", "--yes"]);
    assert!(outcome.stderr.contains("take the same file: scp"), "{}", outcome.stderr);
    let tree = Tree::fixture(RSA);
    let outcome = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    assert!(outcome.stderr.contains("take the same file before 2036-11-18"), "{}", outcome.stderr);
}

#[test]
fn an_open_policy_is_named_where_it_lies() {
    let tree = Tree::fixture(FIXTURE);
    let policy = tree.path("/etc/kubecerts/policy.toml");
    fs::create_dir_all(policy.parent().unwrap()).unwrap();
    fs::write(&policy, "").unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666)).unwrap();
    let outcome = tree.run(&["plan", "--all"]).exits(9);
    assert_eq!(hint(&outcome, "chmod go-w "), policy.to_str().unwrap());
}

#[test]
fn a_kubeconfig_elsewhere_is_named_where_it_lies() {
    let tree = Tree::fixture(FIXTURE);
    let set = |file: &str| tree.run(&["kubeconfig", "set-ca", "--yes", "--file", file]);
    fs::write(tree.path("/etc/notes.conf"), "- no kubeconfig").unwrap();
    let outcome = set("/etc/notes.conf").exits(6);
    assert_eq!(hint(&outcome, "kubecerts inspect "), tree.path("/etc/notes.conf").to_str().unwrap());
    let outcome = set("/etc/kubernetes/pki/ca.crt").exits(2).explains("belongs to the tree");
    assert!(outcome.stderr.contains("it is no kubeconfig"), "{}", outcome.stderr);
    let outcome = set("/etc/kubernetes/admin.conf").exits(2);
    assert!(hint(&outcome, "kubecerts kubeconfig set-ca ").starts_with("admin.conf"));
}

#[test]
fn what_is_a_nodes_own_is_made_anew_and_what_is_shared_is_on_the_others() {
    let tree = new_tree();
    for file in ["pki/apiserver.crt", "pki/sa.pub", "scheduler.conf"] {
        fs::remove_file(tree.path("/etc/kubernetes").join(file)).unwrap();
    }
    let outcome = tree.run(&["check"]);
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    for part in [
        "kubecerts init apiserver --config FILE --rootfs ",
        "kubecerts init scheduler.conf --config FILE --rootfs ",
        "put pki/sa.pub back from a backup or from another control-plane node",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("pki/apiserver.crt back from a backup or from another"), "{told}");
    fs::remove_file(pki(&tree, "apiserver.key")).unwrap();
    tree.run(&["init", "apiserver", "scheduler.conf", "--config", &config()]).exits(0);
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let tree = Tree::fixture(FIXTURE);
    for name in ["admin", "super-admin", "kubelet"] {
        let file = tree.path("/etc/kubernetes").join(format!("{name}.conf"));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    let outcome = tree.run(&["kubeconfig", "user", "--client-name", "jane"]).exits(1);
    let outcome = outcome.explains("/etc/kubernetes/admin.conf cannot be read");
    assert!(outcome.stderr.contains("run it as root"), "{}", outcome.stderr);
}

#[test]
fn an_authority_that_may_not_be_read_needs_no_mending() {
    let tree = Tree::fixture(FIXTURE);
    let key = pki(&tree, "ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&key).is_ok() {
        std::io::stderr().write_all(b"SKIPPED an authority that may not be read: root may\n").unwrap();
        return;
    }
    let outcome = tree.run(&["ca", "extend", "ca", "--dry-run"]).exits(6);
    assert_eq!(hint(&outcome, "hint: ca: make "), format!("{key} readable, or run it as root"));
}

#[test]
fn the_lifetime_of_authorities_is_not_said_by_validity() {
    let tree = Tree::of(&MemoryTree::default());
    let arguments = ["--validity", "99y", "--config", &config()];
    for what in [&["ca"][..], &["ca", "etcd-ca", "sa"]] {
        let outcome = tree.run(&[&["init"], what, &arguments].concat()).exits(2).explains("--validity");
        assert!(outcome.stderr.contains("caCertificateValidityPeriod"), "{}", outcome.stderr);
    }
    assert!(tree.files().is_empty());
}

#[test]
fn an_unusable_name_of_the_cluster_is_a_mistake_in_the_configuration() {
    let tree = Tree::of(&MemoryTree::default());
    let file = tree.path("config.yaml");
    let text = fs::read_to_string(config()).unwrap();
    fs::write(&file, text.replace("clusterName: kubernetes", "clusterName: \"a\\nb\"")).unwrap();
    tree.run(&["init", "--config", file.to_str().unwrap()]).exits(2).explains("the name of the cluster");
}

#[test]
fn a_rollback_tells_what_it_removes_from_what_it_puts_back() {
    let tree = new_tree();
    let outcome = tree.run(&["rollback", "--yes"]).exits(0);
    assert!(outcome.stderr.contains("removed /etc/kubernetes/pki/ca.crt\n"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("put back"), "{}", outcome.stderr);
}

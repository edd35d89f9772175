//! `kubecerts renew` and `kubecerts plan`: what they change, and what they leave alone.

use std::collections::BTreeSet;

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder};

use crate::support::{Tree, kubecerts};

/// A tree with short-lived P-256 certificates that expired long ago.
fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

fn changed(before: &MemoryTree, after: &Tree) -> BTreeSet<String> {
    let after = after.files();
    let same = |path: &str, content: &[u8]| after.get(path).is_some_and(|(_, now)| now == content);
    before
        .files()
        .map(|(path, content, _)| (path.as_str().trim_start_matches('/').to_owned(), content))
        .filter(|(path, content)| !same(path, content))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn renew_all_changes_exactly_the_files_that_kubeadm_changes() {
    let mut compared = 0;
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        let Some(renewed) = fixture.renewed() else { continue };
        let before = fixture.tree();
        let tree = Tree::of(&before);
        let modes =
            |tree: &Tree| tree.files().into_iter().map(|(path, (mode, _))| (path, mode)).collect::<Vec<_>>();
        let modes_before = modes(&tree);
        let code = tree.run(&["renew", "--all", "--yes"]).code;
        assert_eq!(code, if name.contains("external-ca") { 6 } else { 0 }, "{name}");
        assert_eq!(changed(&before, &tree), changed(&before, &Tree::of(&renewed)), "{name}");
        assert_eq!(modes(&tree), modes_before, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 7);
}

#[test]
fn only_what_is_due_is_renewed_and_then_nothing_is() {
    let tree = expired();
    tree.run(&["renew", "--yes"]).exits(0);
    tree.run(&["check"]).exits(0);
    // Looking for what is due takes no right to write, and leaves no trace.
    std::fs::remove_dir_all(tree.path("/var/lib/kubecerts")).unwrap();
    let before = tree.files();
    let outcome = tree.run(&["renew", "--yes"]).exits(0);
    assert!(outcome.stdout.starts_with("Nothing to renew"), "{}", outcome.stdout);
    assert_eq!(tree.files(), before);
    assert!(!tree.path("/var/lib/kubecerts").exists());
}

#[test]
fn without_a_terminal_and_without_yes_it_refuses() {
    let tree = expired();
    let before = tree.files();
    tree.run(&["renew"]).exits(9).explains("terminal");
    assert_eq!(tree.files(), before);
}

#[test]
fn a_dry_run_signs_everything_and_writes_nothing() {
    let tree = expired();
    let before = tree.files();
    let outcome = tree.run(&["renew", "--all", "--dry-run"]).exits(0);
    assert!(outcome.stderr.contains("18 files made and every signature verified"), "{}", outcome.stderr);
    assert_eq!(tree.files(), before);
}

#[test]
fn no_temporary_file_is_left() {
    let tree = expired();
    let names = |tree: &Tree| tree.files().into_keys().collect::<Vec<_>>();
    let before = names(&tree);
    tree.run(&["renew", "--all", "--yes"]).exits(0);
    assert_eq!(names(&tree), before);
}

#[test]
fn a_named_certificate_is_renewed_alone() {
    let tree = expired();
    let before = tree.files();
    tree.run(&["renew", "--yes", "etcd-server", "admin.conf"]).exits(0);
    let after = tree.files();
    let changed: Vec<&str> =
        after.iter().filter(|(path, file)| before[*path] != **file).map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        changed,
        [
            "etc/kubernetes/admin.conf",
            "etc/kubernetes/pki/etcd/server.crt",
            "etc/kubernetes/pki/etcd/server.key"
        ]
    );
}

#[test]
fn a_kept_key_leaves_its_file_alone() {
    let tree = expired();
    let key = tree.path("/etc/kubernetes/pki/apiserver.key");
    let before = std::fs::read(&key).unwrap();
    tree.run(&["renew", "--yes", "--reuse-key", "apiserver"]).exits(0);
    assert_eq!(std::fs::read(&key).unwrap(), before);
    let outcome = tree.run(&["check"]);
    assert!(!outcome.stdout.contains("apiserver: the private key"), "{}", outcome.stdout);
}

#[test]
fn an_external_authority_leaves_the_rest_renewed_and_ends_with_6() {
    let tree = TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z"));
    let tree = Tree::of(&tree.without(FileSlot::CaKey(CaSlot::Etcd)).build());
    let outcome = tree.run(&["renew", "--yes"]).exits(6);
    assert!(outcome.stdout.contains("renewed apiserver "), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("etcd-server: ask for it with: kubecerts csr etcd-server --out DIR"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_end_of_the_authority_caps_the_lifetime_and_is_mentioned() {
    let tree = expired();
    let outcome = tree.run(&["renew", "--yes", "--validity", "100y", "apiserver"]).exits(0);
    assert!(outcome.stdout.contains("note: capped at the end of ca"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("2033-12-29T00:00:00Z"), "ten years of 365 days: {}", outcome.stdout);
}

#[test]
fn the_lifetime_comes_from_the_configuration_unless_it_is_given() {
    let tree = Tree::fixture("kubeadm-v136-validity");
    let config = Fixture::named("kubeadm-v136-validity").directory().join("kubeadm-config.yaml");
    let plan = |more: &[&str]| {
        let arguments =
            [&["plan", "apiserver", "-o", "json", "--config", config.to_str().unwrap()], more].concat();
        let outcome = tree.run(&arguments).exits(0);
        let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let time =
            |field: &str| kubecerts_testkit::at(document["steps"][0]["certificate"][field].as_str().unwrap());
        // Five minutes of backdating are not part of the lifetime.
        time("notAfter").since(time("notBefore")).0 - 300
    };
    assert_eq!(plan(&[]), 720 * 3_600);
    assert_eq!(plan(&["--validity", "48h"]), 48 * 3_600);
}

#[test]
fn a_lifetime_that_is_due_at_once_is_warned_of() {
    let outcome = expired().run(&["renew", "--yes", "--validity", "240h"]).exits(0);
    assert!(
        outcome.stderr.contains("warning: certificates that are valid for 10d are due at once"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_unknown_name_is_a_usage_error_that_lists_the_names() {
    let outcome = expired().run(&["renew", "--yes", "apiserverr"]).exits(2).explains("apiserverr");
    assert!(outcome.stderr.contains("apiserver-etcd-client"), "{}", outcome.stderr);
}

#[test]
fn a_plan_is_written_once_and_never_over_a_file() {
    let tree = expired();
    let out = tree.path("/plan.json");
    let out = out.to_str().unwrap();
    tree.run(&["plan", "--out", out]).exits(0);
    tree.run(&["plan", "--out", out]).exits(1).explains("plan.json");
    let document = kubecerts_core::plan::Plan::from_json(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(document.steps().len(), 12);
}

#[test]
fn no_private_key_is_ever_printed() {
    let tree = expired();
    let secrets: Vec<String> = tree
        .files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".key"))
        .map(|(_, (_, content))| String::from_utf8(content).unwrap().lines().nth(1).unwrap().to_owned())
        .collect();
    assert!(secrets.len() > 7);
    for arguments in [
        &["check", "-o", "json"][..],
        &["plan", "-o", "json"],
        &["renew", "--dry-run", "-o", "json"],
        &["renew", "--yes", "-o", "json"],
        &["certs", "check-expiration"],
    ] {
        let outcome = tree.run(arguments);
        for secret in &secrets {
            assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{arguments:?}");
        }
        assert!(!outcome.stdout.contains("PRIVATE"), "{arguments:?}");
    }
}

#[test]
fn the_demo_needs_nothing_and_ends_well() {
    let outcome = kubecerts(&["demo", "--algorithm", "ECDSA-P256"]).exits(0);
    assert_eq!(outcome.stdout.matches("key matches").count(), 12, "{}", outcome.stdout);
    let root = outcome.stdout.lines().last().unwrap().strip_prefix("The tree is still there: ").unwrap();
    kubecerts(&["check", "--rootfs", root]).exits(0);
    std::fs::remove_dir_all(root).unwrap();
}

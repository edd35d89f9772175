//! `kubecerts renew --add-san`, `--remove-san`, `--san-from-config`: as an administrator meets them.

use std::fs;

use kubecerts_testkit::{Fixture, TreeBuilder, at};

use crate::support::{Outcome, Tree};

const FIXTURE: &str = "kubeadm-v136-ecdsa-p256";

fn tree() -> Tree {
    Tree::fixture(FIXTURE)
}

/// Returns the names in the certificate of the API server.
fn names(tree: &Tree) -> Vec<String> {
    let file = tree.path("/etc/kubernetes/pki/apiserver.crt");
    let mut read = kubecerts_testkit::MemoryTree::default();
    read.write(&kubecerts_testkit::path("/apiserver.crt"), fs::read(file).unwrap(), 0o644);
    read.certificate("/apiserver.crt").alternative_names().texts().collect()
}

fn with_config(tree: &Tree, arguments: &[&str]) -> Outcome {
    let config = Fixture::named(FIXTURE).directory().join("kubeadm-config.yaml");
    tree.run(&[arguments, &["--config", config.to_str().unwrap()]].concat())
}

#[test]
fn a_name_is_added_and_what_makes_it_stick_is_printed() {
    let tree = tree();
    let arguments = [
        "renew",
        "apiserver",
        "--add-san",
        "New.example.com,10.0.0.200",
        "--add-san",
        "*.b.example.com",
        "--yes",
    ];
    let outcome = with_config(&tree, &arguments).exits(0);
    for line in [
        "becomes valid for *.b.example.com, new.example.com, 10.0.0.200",
        "  kubectl -n kube-system edit cm kubeadm-config\n",
        "    apiServer:\n      certSANs:\n        - k8s.example.internal\n        - 10.0.0.100\n        - \"*.b.example.com\"\n        - new.example.com\n        - 10.0.0.200\n",
        "  kubecerts renew apiserver --add-san '*.b.example.com' --add-san new.example.com --add-san 10.0.0.200\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line}\n---\n{}", outcome.stdout);
    }
    let found = names(&tree);
    assert_eq!(found[0], "DNS:*.b.example.com");
    assert_eq!(found.last().unwrap(), "IP:10.0.0.200");
    let again = tree.run(&["renew", "apiserver", "--add-san", "new.example.com", "--yes"]).exits(0);
    assert!(again.stdout.contains("has these names already"), "{}", again.stdout);
    assert_eq!(names(&tree), found);
}

#[test]
fn without_the_configuration_the_list_says_that_it_may_not_be_whole() {
    let outcome = tree().run(&["renew", "apiserver", "--add-san", "new.example.com", "--yes"]).exits(0);
    assert!(outcome.stdout.contains("keep what else the list has"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("        - new.example.com\n"), "{}", outcome.stdout);
}

#[test]
fn what_was_added_is_taken_away_again() {
    let tree = tree();
    let before = names(&tree);
    tree.run(&["renew", "apiserver", "--add-san", "a.example.com", "--yes"]).exits(0);
    tree.run(&["renew", "apiserver", "--remove-san", "a.example.com", "--yes"]).exits(0);
    assert_eq!(names(&tree), before);
}

#[test]
fn a_name_that_somebody_uses_is_kept_until_that_is_allowed() {
    let tree = tree();
    let before = tree.files();
    let remove = ["renew", "apiserver", "--remove-san", "k8s-api.example.internal", "--yes"];
    let refused = tree.run(&remove).exits(9).explains("https://k8s-api.example.internal:6443 would fail");
    assert!(refused.stderr.contains("--allow-change san"), "{}", refused.stderr);
    assert_eq!(tree.files(), before);
    tree.run(&[&remove[..], &["--allow-change", "san"]].concat()).exits(0);
    let checked = tree.run(&["check"]).exits(5);
    assert!(
        checked.stdout.contains("is not valid for k8s-api.example.internal")
            || checked.stderr.contains("is not valid for k8s-api.example.internal"),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(said.contains("kubecerts renew apiserver --add-san k8s-api.example.internal"), "{said}");
    tree.run(&["renew", "apiserver", "--add-san", "k8s-api.example.internal", "--yes"]).exits(0);
    tree.run(&["check", "--at", "2026-12-01T00:00:00Z"]).exits(0);
}

#[test]
fn the_configuration_alone_decides_when_it_is_asked() {
    let tree = tree();
    let before = names(&tree);
    tree.run(&["renew", "apiserver", "--add-san", "old.example.com", "--yes"]).exits(0);
    let checked = with_config(&tree, &["check", "-o", "json", "--at", "2026-12-01T00:00:00Z"]).exits(0);
    assert!(checked.stdout.contains("\"alternative-name-unexpected\""), "{}", checked.stdout);
    with_config(&tree, &["renew", "apiserver", "etcd-server", "etcd-peer", "--san-from-config", "--yes"])
        .exits(0);
    assert_eq!(names(&tree), before);
    let again = with_config(&tree, &["renew", "apiserver", "--san-from-config", "--yes"]).exits(0);
    assert!(again.stdout.contains("has these names already"), "{}", again.stdout);
    tree.run(&["renew", "apiserver", "--san-from-config", "--yes"])
        .exits(2)
        .explains("no kubeadm configuration");
}

#[test]
fn a_stored_plan_with_other_names_needs_the_permission_where_it_is_applied() {
    let tree = tree();
    let plan = tree.path("/plan.json");
    let plan = plan.to_str().unwrap();
    tree.run(&["plan", "apiserver", "--add-san", "a.example.com", "--out", plan]).exits(0);
    let before = tree.files();
    tree.run(&["apply", plan, "--yes"]).exits(9).explains("the plan changes san");
    assert_eq!(tree.files(), before);
    let applied = tree.run(&["apply", plan, "--yes", "--allow-change", "san"]).exits(0);
    assert!(applied.stdout.contains("certSANs"), "{}", applied.stdout);
    assert_eq!(names(&tree)[0], "DNS:a.example.com");
}

#[test]
fn wrong_words_are_errors_of_the_command_line() {
    let tree = tree();
    let before = tree.files();
    for (arguments, thing) in [
        (&["renew", "apiserver", "--add-san", "https://a.example.com"][..], "https://a.example.com"),
        (&["renew", "apiserver", "--add-san", "10.0.0.256"], "10.0.0.256"),
        (&["renew", "apiserver", "--remove-san", "a_b"], "a_b"),
        (&["renew", "apiserver", "--add-san", "a", "--remove-san", "A"], "a is to be added"),
        (&["renew", "admin.conf", "--add-san", "a"], "admin.conf cannot get other names"),
        (
            &["renew", "apiserver", "front-proxy-client", "--add-san", "a"],
            "front-proxy-client cannot get other names",
        ),
        (&["renew", "--add-san", "a"], "was not said"),
        (&["renew", "--all", "--san-from-config"], "was not said"),
    ] {
        tree.run(&[arguments, &["--yes"]].concat()).exits(2).explains(thing);
    }
    tree.run(&["renew", "apiserver", "--add-san", "a", "--san-from-config"]).exits(2);
    tree.run(&["renew", "apiserver", "--allow-change", "sans"]).exits(2);
    assert_eq!(tree.files(), before);
}

#[test]
fn a_dry_run_changes_nothing() {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(at("2026-01-01T00:00:00Z")).build());
    let before = tree.files();
    let outcome = tree.run(&["renew", "apiserver", "--add-san", "a.example.com", "--dry-run"]).exits(0);
    assert!(outcome.stdout.contains("becomes valid for a.example.com"), "{}", outcome.stdout);
    assert_eq!(tree.files(), before);
}

//! `--validity`, the policy file, and lifetimes of a site's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kubecerts_core::time::Seconds;
use kubecerts_testkit::{MemoryTree, TreeBuilder, at, path};

use crate::support::Tree;

const POLICY: &str = "/etc/kubecerts/policy.toml";

/// A tree with leaves of `days` and authorities of two hundred years, made long ago.
fn lasting(days: i64) -> Tree {
    let builder = TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z"));
    Tree::of(
        &builder.lifetime(Seconds::from_days(days)).authority_lifetime(Seconds::from_days(73_000)).build(),
    )
}

fn write_policy(tree: &Tree, text: &str) {
    let file = tree.path(POLICY);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Returns how many days the certificate of `leaf` is valid from first to last.
fn days(tree: &Tree, leaf: &str) -> i64 {
    let mut read = MemoryTree::default();
    let file = tree.path(&format!("/etc/kubernetes/pki/{leaf}.crt"));
    read.write(&path("/leaf.crt"), fs::read(file).unwrap(), 0o644);
    let leaf = read.certificate("/leaf.crt");
    leaf.not_after().since(leaf.not_before()).days()
}

#[test]
fn spans_are_hours_days_and_years_of_365_days() {
    for (span, expected) in [("8760h", 365), ("365d", 365), ("10y", 3_650), ("12w", 84)] {
        let tree = lasting(365);
        tree.run(&["renew", "apiserver", "--validity", span, "--yes"]).exits(0);
        assert_eq!(days(&tree, "apiserver"), expected, "{span}");
    }
    for span in ["10", "0d", "-1d", "ten", "1.5y"] {
        let code = lasting(365).run(&["renew", "apiserver", &format!("--validity={span}"), "--yes"]).code;
        assert_eq!(code, 2, "{span}");
    }
}

#[test]
fn the_policy_of_the_node_states_lifetimes_by_name() {
    let tree = lasting(365);
    write_policy(&tree, "version = 1\n[validity]\ndefault = \"200d\"\napiserver = \"90d\"\n");
    let plan = tree.run(&["plan", "--all"]).exits(0);
    assert!(plan.stdout.contains("valid for 90d, as the policy file says"), "{}", plan.stdout);
    tree.run(&["renew", "--all", "--yes"]).exits(0);
    assert_eq!((days(&tree, "apiserver"), days(&tree, "front-proxy-client")), (90, 200));
    // The command line goes before it, and another file in its place.
    tree.run(&["renew", "apiserver", "--validity", "100d", "--yes"]).exits(0);
    assert_eq!(days(&tree, "apiserver"), 100);
    let other = tree.path("/other.toml");
    fs::write(&other, "version = 1\nvalidity = { apiserver = \"1y\" }").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    tree.run(&["renew", "apiserver", "--policy", other.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(days(&tree, "apiserver"), 365);
}

#[test]
fn a_policy_that_makes_no_sense_stops_everything() {
    let tree = lasting(365);
    for (text, said) in [
        ("version = 1\n[validity]\napi = \"1d\"\n", "line 3, column 1: \"api\""),
        ("version = 1\n[validity]\nca = 10\n", "line 3, column 6: ca is not a span of time"),
        ("version = 3", "line 1, column 11: version"),
        ("version = ", "line 1, column 11"),
    ] {
        write_policy(&tree, text);
        let before = tree.files();
        tree.run(&["plan"]).exits(1).explains(said);
        tree.run(&["renew", "--yes"]).exits(1).explains(POLICY);
        assert_eq!(tree.files(), before);
    }
    write_policy(&tree, "version = 1");
    fs::set_permissions(tree.path(POLICY), fs::Permissions::from_mode(0o666)).unwrap();
    tree.run(&["renew", "--yes"]).exits(9).explains("others can write it");
    tree.run(&["plan", "--policy", "/nowhere/policy.toml"]).exits(1).explains("/nowhere/policy.toml");
    fs::remove_file(tree.path(POLICY)).unwrap();
    fs::create_dir(tree.path(POLICY)).unwrap();
    tree.run(&["plan"]).exits(1).explains("cannot be read");
}

#[test]
fn ninety_nine_years_stay_unless_less_is_asked_for_and_allowed() {
    let tree = lasting(36_135);
    tree.run(&["renew", "apiserver", "--yes"]).exits(0);
    assert_eq!(days(&tree, "apiserver"), 36_135);
    let before = tree.files();
    let asked = ["renew", "apiserver", "--validity", "1y", "--yes"];
    let refused = tree.run(&asked).exits(9).explains("would be for 365d only, as the command line says");
    assert!(refused.stderr.contains("--allow-change validity"), "{}", refused.stderr);
    assert_eq!(tree.files(), before);
    tree.run(&[&asked[..], &["--allow-change", "validity"]].concat()).exits(0);
    assert_eq!(days(&tree, "apiserver"), 365);
    write_policy(&tree, "version = 1\nvalidity.default = \"90d\"\n");
    // One of the two is of kubeadm's year by now, and the other is the site's own still.
    let mixed = ["renew", "apiserver", "front-proxy-client", "--yes"];
    tree.run(&mixed).exits(6).explains("front-proxy-client: is valid for 36135d");
    assert_eq!((days(&tree, "apiserver"), days(&tree, "front-proxy-client")), (90, 36_135));
}

#[test]
fn what_is_due_comes_back_whatever_the_policy_says() {
    // Two years, and over.
    let tree = lasting(730);
    write_policy(&tree, "version = 1\nvalidity.default = \"90d\"\n");
    let outcome = tree.run(&["renew", "--yes"]).exits(0);
    assert!(outcome.stdout.contains("valid for 730d, as long as the old one was"), "{}", outcome.stdout);
    assert_eq!(days(&tree, "apiserver"), 730);
}

//! Every document is what its schema says.

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder};
use serde_json::Value;

use crate::support::{Tree, kubecerts};

fn schema(name: &[&str]) -> jsonschema::Validator {
    let outcome = kubecerts(&[&["schema"], name].concat()).exits(0);
    jsonschema::validator_for(&serde_json::from_str(&outcome.stdout).unwrap()).unwrap()
}

#[track_caller]
fn valid(schema: &jsonschema::Validator, text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    document
}

#[test]
fn check_plan_and_renewal_are_valid_for_every_tree() {
    let [check, plan, renewal] = [&["check"], &["plan"], &["renewal"]].map(|name| schema(name));
    for name in FIXTURES {
        let tree = Tree::fixture(name);
        valid(&check, &tree.run(&["check", "-o", "json"]).stdout);
        valid(&plan, &tree.run(&["plan", "--all", "-o", "json"]).stdout);
        let document = valid(&renewal, &tree.run(&["renew", "--all", "--dry-run", "-o", "json"]).stdout);
        valid(&plan, &document["plan"].to_string());
    }
}

#[test]
fn a_renewal_that_was_applied_is_valid() {
    let tree = TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z"));
    let tree = Tree::of(&tree.without(FileSlot::CaKey(CaSlot::FrontProxy)).build());
    let document = valid(&schema(&["renewal"]), &tree.run(&["renew", "--yes", "-o", "json"]).exits(6).stdout);
    assert_eq!(document["applied"], true);
    assert_eq!(document["complete"], false);
    assert_eq!(document["written"].as_array().unwrap().len(), 17);
}

#[test]
fn backups_and_rollbacks_are_valid() {
    let [backup, list, rollback] = [&["backup"], &["backup-list"], &["rollback"]].map(|name| schema(name));
    let tree = TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z"));
    let tree = Tree::of(&tree.build());
    std::fs::write(tree.path("/etc/kubernetes/pki/extra.bin"), "x").unwrap();
    std::os::unix::fs::symlink("ca.crt", tree.path("/etc/kubernetes/pki/link.crt")).unwrap();
    let large = std::fs::File::create(tree.path("/etc/kubernetes/large.img")).unwrap();
    large.set_len(17 << 20).unwrap();
    valid(&backup, &tree.run(&["backup", "create", "--full", "-o", "json"]).exits(0).stdout);
    std::fs::remove_file(tree.path("/etc/kubernetes/pki/link.crt")).unwrap();
    tree.run(&["renew", "--yes"]).exits(0);
    valid(&backup, &tree.run(&["backup", "show", "-o", "json"]).exits(0).stdout);
    std::fs::create_dir(tree.path("/var/lib/kubecerts/backups/20200101T000000Z")).unwrap();
    let listed = valid(&list, &tree.run(&["backup", "list", "-o", "json"]).exits(0).stdout);
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let id = listed["items"][1]["id"].as_str().unwrap();
    for more in ["--dry-run", "--yes"] {
        let document = valid(&rollback, &tree.run(&["rollback", id, "-o", "json", more]).exits(0).stdout);
        assert_eq!(document["applied"], more == "--yes");
        assert_eq!(document["linksLeft"][0], "/etc/kubernetes/pki/link.crt");
    }
}

#[test]
fn a_sick_tree_gives_a_valid_document() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.edit("/etc/kubernetes/pki/apiserver.crt", |content| content.truncate(100));
    tree.edit("/etc/kubernetes/scheduler.conf", |content| content.insert_str_at_start("["));
    tree.remove("/etc/kubernetes/pki/etcd/ca.crt");
    tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    let tree = Tree::of(&tree);
    valid(&schema(&["check"]), &tree.run(&["check", "-o", "json"]).stdout);
    valid(&schema(&["plan"]), &tree.run(&["plan", "--all", "-o", "json"]).stdout);
}

#[test]
fn inspections_are_valid() {
    let inspection = schema(&["inspection"]);
    let directory = Fixture::named("kubeadm-v136-ecdsa-p256").directory().to_owned();
    for name in [
        "etc/kubernetes/pki/apiserver.crt",
        "etc/kubernetes/pki/apiserver.key",
        "etc/kubernetes/pki/sa.pub",
        "etc/kubernetes/admin.conf",
        "csr/etc/kubernetes/pki/apiserver.csr",
    ] {
        let path = directory.join(name);
        valid(&inspection, &kubecerts(&["inspect", "-o", "json", path.to_str().unwrap()]).exits(0).stdout);
    }
}

#[test]
fn manifests_of_requests_are_valid() {
    let requests = schema(&["certificate-requests"]);
    let all = schema(&[]);
    let config = Fixture::named("kubeadm-v136-ecdsa-p256").directory().join("kubeadm-config.yaml");
    let config = ["--config", config.to_str().unwrap()];
    let renewal = Tree::of(&TreeBuilder::kubeadm().build());
    for (tree, more) in [(&renewal, &[][..]), (&Tree::of(&MemoryTree::default()), &config)] {
        let out = tree.path("requests");
        tree.run(&[&["csr", "--out", out.to_str().unwrap()], more].concat()).exits(0);
        let text = std::fs::read_to_string(out.join("manifest.json")).unwrap();
        let document = valid(&requests, &text);
        valid(&all, &text);
        assert_eq!(document["requests"].as_array().unwrap().len(), 12);
        assert_eq!(document["requests"][0]["renews"], more.is_empty());
    }
}

#[test]
fn the_record_of_an_emergency_is_valid() {
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    tree.run(&["kubeconfig", "break-glass", "--reason", "a", "--out", "-"]).exits(0);
    let records = tree.state_files();
    let (_, record) = records.values().next().unwrap();
    valid(&schema(&["issue-record"]), std::str::from_utf8(record).unwrap());
}

#[test]
fn the_schema_of_everything_accepts_every_document() {
    let all = schema(&[]);
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    for arguments in [&["check", "-o", "json"][..], &["plan", "--all", "-o", "json"]] {
        valid(&all, &tree.run(arguments).stdout);
    }
    assert!(!all.is_valid(&serde_json::json!({ "kind": "Check" })));
}

#[test]
fn yaml_says_the_same_as_json() {
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    let at = "2026-11-22T01:00:00Z";
    let yaml = tree.run(&["check", "-o", "yaml", "--at", at]).stdout;
    let json: Value = serde_json::from_str(&tree.run(&["check", "-o", "json", "--at", at]).stdout).unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
}

trait InsertAtStart {
    fn insert_str_at_start(&mut self, text: &str);
}

impl InsertAtStart for Vec<u8> {
    fn insert_str_at_start(&mut self, text: &str) {
        self.splice(0..0, text.bytes());
    }
}

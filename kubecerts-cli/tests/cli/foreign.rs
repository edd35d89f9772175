//! State directories that somebody else has made, or wants to have elsewhere: nothing outside them is touched.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use kubecerts_core::digest::Digest;
use kubecerts_testkit::TreeBuilder;
use serde_json::json;

use crate::support::Tree;

fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

/// Writes a journal with these records, each with a right checksum.
fn forge(tree: &Tree, records: &[serde_json::Value]) {
    let line = |record: &serde_json::Value| {
        let json = record.to_string();
        format!("{} {json}\n", &Digest::of(json.as_bytes()).to_string()[..16])
    };
    fs::create_dir_all(tree.path("/var/lib/kubecerts")).unwrap();
    fs::write(tree.path("/var/lib/kubecerts/journal"), records.iter().map(line).collect::<String>()).unwrap();
}

fn begin(id: &str) -> serde_json::Value {
    json!({
        "record": "begin", "version": "kubecerts.dev/v1", "id": id, "at": "2026-01-01T00:00:00Z", "process": 1,
        "purpose": { "command": "renew" }, "entries": [],
    })
}

#[test]
fn a_journal_cannot_name_anything_outside_the_state_directory() {
    let tree = expired();
    let victim = tree.path("/victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "precious").unwrap();
    fs::create_dir_all(tree.path("/var/lib/kubecerts/backups/mine")).unwrap();
    for id in [victim.to_str().unwrap(), "..", "", "../../../../victim"] {
        for end in [None, Some(json!({ "record": "end", "outcome": "finished", "recovered": false }))] {
            let records: Vec<_> = std::iter::once(begin(id)).chain(end).collect();
            forge(&tree, &records);
            tree.run(&["recover-journal", "--yes"]).exits(9).explains("no identifier of a run");
            assert!(
                victim.join("file").exists() && tree.path("/var/lib/kubecerts/backups/mine").exists(),
                "{id}"
            );
        }
    }
}

#[test]
fn whatever_else_lies_among_the_backups_stays() {
    let tree = expired();
    let backups = tree.path("/var/lib/kubecerts/backups");
    fs::create_dir_all(backups.join("before-upgrade")).unwrap();
    fs::write(backups.join("before-upgrade/ca.key"), "precious").unwrap();
    fs::write(backups.join("README"), "mine").unwrap();
    for command in
        [&["renew", "--all", "--yes"][..], &["backup", "create"], &["backup", "prune", "--keep", "1"]]
    {
        tree.run(command).exits(0);
    }
    assert!(backups.join("before-upgrade/ca.key").exists() && backups.join("README").exists());
}

#[test]
fn a_link_in_place_of_a_directory_is_refused_and_not_followed() {
    for name in ["backups", "audit"] {
        let tree = expired();
        let victim = tree.path("/victim");
        fs::create_dir_all(victim.join("20200101T000000Z")).unwrap();
        fs::create_dir_all(tree.path("/var/lib/kubecerts")).unwrap();
        symlink(&victim, tree.path(&format!("/var/lib/kubecerts/{name}"))).unwrap();
        let before = tree.files();
        tree.run(&["renew", "--all", "--yes"]).exits(1).explains(name);
        assert_eq!(tree.files(), before);
        assert!(victim.join("20200101T000000Z").exists());
    }
}

#[test]
fn a_backup_that_cannot_be_understood_is_not_removed() {
    let tree = expired();
    tree.run(&["backup", "create"]).exits(0);
    let newer = tree.path("/var/lib/kubecerts/backups/20200101T000000Z");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("manifest.json"), r#"{"apiVersion":"kubecerts.dev/v2","kind":"Backup"}"#).unwrap();
    tree.run(&["backup", "prune", "--keep", "1"]).exits(0);
    assert!(newer.join("manifest.json").exists());
}

#[test]
fn the_newest_backup_is_the_last_one_even_after_a_clock_was_ahead() {
    let tree = expired();
    tree.run(&["backup", "create"]).exits(0);
    let backups = tree.path("/var/lib/kubecerts/backups");
    let names = || -> BTreeSet<String> {
        let entries = fs::read_dir(&backups).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let ahead = "20990101T000000Z";
    let id = names().pop_first().unwrap();
    fs::rename(backups.join(&id), backups.join(ahead)).unwrap();
    let manifest = backups.join(ahead).join("manifest.json");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace(&id, ahead)).unwrap();
    let before = tree.files();
    tree.run(&["renew", "--all", "--yes", "--keep", "1"]).exits(0);
    assert_eq!(names(), BTreeSet::from(["20990101T000000Z-2".to_owned()]));
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(tree.files(), before);
}

#[test]
fn journals_and_backups_never_lie_among_the_manifests() {
    let tree = expired();
    fs::create_dir_all(tree.path("/etc/kubernetes/manifests")).unwrap();
    let before = tree.files();
    for place in [
        "/etc/kubernetes/manifests",
        "/etc/kubernetes/manifests/kubecerts",
        "/etc/kubernetes/pki",
        "/etc/kubernetes",
    ] {
        let outcome = tree.run(&["renew", "--all", "--yes", "--state-dir", place]).exits(9);
        outcome.explains(&format!("refused to keep journals and backups in {place}"));
        assert_eq!(tree.files(), before);
    }
}

#[test]
fn a_lock_on_the_directories_that_the_manifests_name_is_respected() {
    let tree = expired();
    fs::rename(tree.path("/etc/kubernetes/pki"), tree.path("/etc/kubernetes/ssl")).unwrap();
    fs::create_dir_all(tree.path("/etc/kubernetes/manifests")).unwrap();
    let manifest = "kind: Pod\nmetadata: {name: kube-apiserver}\nspec:\n  containers:\n  - name: kube-apiserver\n    \
                    command: [kube-apiserver, --tls-cert-file=/etc/kubernetes/ssl/apiserver.crt, \
                    --tls-private-key-file=/etc/kubernetes/ssl/apiserver.key, --client-ca-file=/etc/kubernetes/ssl/ca.crt]\n";
    fs::write(tree.path("/etc/kubernetes/manifests/kube-apiserver.yaml"), manifest).unwrap();
    let directory = File::open(tree.path("/etc/kubernetes/ssl")).unwrap();
    directory.lock().unwrap();
    let outcome = tree.run(&["renew", "--all", "--yes", "--state-dir", "/srv/other"]).exits(9);
    outcome.explains("/etc/kubernetes/ssl is locked by process");
}

#[test]
fn a_state_directory_that_cannot_be_used_does_not_keep_anybody_from_looking() {
    let tree = expired();
    fs::create_dir_all(tree.path("/var/lib")).unwrap();
    symlink("nowhere", tree.path("/var/lib/kubecerts")).unwrap();
    tree.run(&["check"]).exits(4);
    tree.run(&["plan", "--all"]).exits(0);
    tree.run(&["renew", "--all", "--yes"]).exits(9).explains("/var/lib/kubecerts");
}

#[test]
fn the_group_of_a_directory_may_not_write_either_unless_it_is_root_s() {
    let tree = expired();
    let pki = tree.path("/etc/kubernetes/pki");
    fs::set_permissions(&pki, fs::Permissions::from_mode(0o775)).unwrap();
    if std::os::unix::fs::chown(&pki, None, Some(4711)).is_ok() {
        tree.run(&["renew", "--all", "--yes"]).exits(9).explains("/etc/kubernetes/pki, its mode is 0775");
    }
    std::os::unix::fs::chown(&pki, None, Some(0)).ok();
    fs::set_permissions(&pki, fs::Permissions::from_mode(0o755)).unwrap();
    tree.run(&["renew", "--all", "--yes"]).exits(0);
}

//! `kubecerts backup` and `kubecerts rollback`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use kubecerts_testkit::TreeBuilder;
use serde_json::Value;

use crate::support::Tree;

/// A tree with short-lived P-256 certificates that expired long ago.
fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

/// The same with a static-pod manifest.
fn expired_with_manifest() -> Tree {
    let tree = expired();
    fs::create_dir_all(tree.path("/etc/kubernetes/manifests")).unwrap();
    fs::write(tree.path("/etc/kubernetes/manifests/etcd.yaml"), "kind: Pod\n").unwrap();
    tree
}

/// Returns the identifiers of all backups, oldest first.
fn ids(tree: &Tree) -> Vec<String> {
    let listed: Value =
        serde_json::from_str(&tree.run(&["backup", "list", "-o", "json"]).exits(0).stdout).unwrap();
    listed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_renewal_can_be_rolled_back_and_the_rollback_too() {
    let tree = expired();
    let before = tree.files();
    tree.run(&["renew", "--all", "--yes"]).exits(0);
    let renewed = tree.files();
    assert_ne!(renewed, before);

    let shown = tree.run(&["rollback", "--dry-run"]).exits(0);
    assert!(shown.stdout.contains("/etc/kubernetes/pki/apiserver.crt: replaced"), "{}", shown.stdout);
    assert!(shown.stdout.contains("until 2024-12-31T00:00:00Z, EXPIRED"), "{}", shown.stdout);
    assert_eq!(tree.files(), renewed);

    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(tree.files(), before);
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(tree.files(), renewed);
    assert_eq!(ids(&tree).len(), 3);
}

#[test]
fn a_rollback_brings_back_modes_and_what_was_deleted() {
    let tree = expired_with_manifest();
    tree.run(&["backup", "create", "--full"]).exits(0);
    let before = tree.files();
    fs::remove_dir_all(tree.path("/etc/kubernetes/pki/etcd")).unwrap();
    fs::write(tree.path("/etc/kubernetes/manifests/etcd.yaml"), "broken").unwrap();
    let key = tree.path("/etc/kubernetes/pki/sa.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let shown = tree.run(&["rollback", "--dry-run"]).exits(0).stdout;
    for line in [
        "/etc/kubernetes/pki/etcd/ca.key: missing, comes back",
        "/etc/kubernetes/manifests/etcd.yaml: replaced",
        "/etc/kubernetes/pki/sa.key: same content, mode, owner or labels replaced",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(tree.files(), before);
    let nothing = tree.run(&["rollback", &ids(&tree)[0], "--yes"]).exits(0);
    assert!(nothing.stdout.starts_with("Every file is as in backup"), "{}", nothing.stdout);
}

#[test]
fn a_rollback_of_a_creation_removes_what_was_created() {
    let tree = expired();
    fs::remove_file(tree.path("/etc/kubernetes/pki/apiserver.key")).unwrap();
    let before = tree.files();
    // The certificate is there and its key is not: a renewal makes both.
    tree.run(&["renew", "--yes", "apiserver"]).exits(0);
    assert!(tree.path("/etc/kubernetes/pki/apiserver.key").exists());
    let shown = tree.run(&["rollback", "--yes"]).exits(0).stdout;
    assert!(shown.contains("apiserver.key: not in the backup, removed"), "{shown}");
    assert_eq!(tree.files(), before);
}

#[test]
fn a_backup_shows_and_verifies_what_it_holds() {
    let tree = expired();
    tree.run(&["backup", "create", "--reason", "before the upgrade"]).exits(0);
    let id = &ids(&tree)[0];
    let shown = tree.run(&["backup", "show"]).exits(0).stdout;
    assert!(shown.contains("before the upgrade") && shown.contains("/etc/kubernetes/pki/ca.key"), "{shown}");
    assert!(!shown.contains("manifests"), "only what belongs to the catalogue: {shown}");
    tree.run(&["backup", "verify"]).exits(0);

    let stored = format!("/var/lib/kubecerts/backups/{id}/files/etc/kubernetes/pki/ca.key");
    fs::write(tree.path(&stored), "rotten").unwrap();
    tree.run(&["backup", "verify", id]).exits(4).explains("/etc/kubernetes/pki/ca.key");
    let before = tree.files();
    tree.run(&["rollback", id, "--yes"]).exits(1).explains("ca.key");
    assert_eq!(tree.files(), before);
}

#[test]
fn secrets_of_a_backup_are_closed_and_its_documents_hold_none() {
    let tree = expired();
    tree.run(&["renew", "--all", "--yes"]).exits(0);
    let key = tree.files()["etc/kubernetes/pki/apiserver.key"].clone();
    let key = String::from_utf8(key.1).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for (path, (mode, content)) in tree.state_files() {
        assert_eq!(mode, 0o600, "{path}");
        let holds_key = String::from_utf8_lossy(&content).contains("PRIVATE KEY");
        assert_eq!(holds_key, path.ends_with(".key") && path.contains("/files/"), "{path}");
        assert!(!String::from_utf8_lossy(&content).contains(secret), "{path}");
    }
    let outputs = ["show", "list"].map(|verb| tree.run(&["backup", verb, "-o", "json"]).exits(0).stdout);
    let outputs = outputs.into_iter().chain([tree.run(&["rollback", "--dry-run"]).exits(0).stdout]);
    for output in outputs {
        assert!(!output.contains(secret) && !output.contains("PRIVATE KEY"), "{output}");
    }
}

#[test]
fn the_latest_backups_are_kept() {
    let tree = expired();
    for _ in 0..3 {
        tree.run(&["backup", "create"]).exits(0);
    }
    let all = ids(&tree);
    tree.run(&["backup", "prune", "--keep", "2"]).exits(0);
    assert_eq!(ids(&tree), all[1..]);
    tree.run(&["renew", "--yes", "--keep", "1"]).exits(0);
    let left = ids(&tree);
    assert_eq!(left.len(), 1);
    assert!(!all.contains(&left[0]), "the backup of the renewal is the one that stays");
    tree.run(&["backup", "prune", "--keep", "0"]).exits(2);
}

#[test]
fn a_full_backup_takes_everything_and_says_what_it_left_out() {
    let tree = expired_with_manifest();
    fs::write(tree.path("/etc/kubernetes/audit-policy.yaml"), "rules: []\n").unwrap();
    fs::create_dir_all(tree.path("/var/lib/kubelet/pki")).unwrap();
    fs::write(tree.path("/var/lib/kubelet/pki/kubelet-client-2026.pem"), "pem").unwrap();
    let link = tree.path("/var/lib/kubelet/pki/kubelet-client-current.pem");
    symlink("kubelet-client-2026.pem", &link).unwrap();
    let huge = fs::File::create(tree.path("/etc/kubernetes/huge.img")).unwrap();
    huge.set_len(17 << 20).unwrap();
    let outcome = tree.run(&["backup", "create", "--full", "-o", "json"]).exits(0);
    assert!(outcome.stderr.contains("warning: left out /etc/kubernetes/huge.img"), "{}", outcome.stderr);
    let manifest: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let kind = |path: &str| {
        let files = manifest["files"].as_array().unwrap();
        files.iter().find(|file| file["path"] == path).map(|file| file["type"].as_str().unwrap().to_owned())
    };
    for (path, expected) in [
        ("/etc/kubernetes/audit-policy.yaml", "file"),
        ("/etc/kubernetes/manifests/etcd.yaml", "file"),
        ("/etc/kubernetes/pki/etcd", "directory"),
        ("/var/lib/kubelet/pki/kubelet-client-2026.pem", "file"),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem", "link"),
    ] {
        assert_eq!(kind(path).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(kind("/etc/kubernetes/huge.img"), None);
}

/// Returns the manifest of a backup that is made now.
fn backed_up(tree: &Tree, options: &[&str]) -> Value {
    let outcome = tree.run(&[&["backup", "create", "-o", "json"], options].concat()).exits(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Returns the paths of a manifest with this type, in order.
fn paths<'m>(manifest: &'m Value, kind: &str) -> Vec<&'m str> {
    let files = manifest["files"].as_array().unwrap().iter();
    files.filter(|file| file["type"] == kind).map(|file| file["path"].as_str().unwrap()).collect()
}

#[test]
fn a_full_backup_holds_what_lies_behind_the_links_of_the_catalogue() {
    let tree = expired();
    fs::create_dir_all(tree.path("/srv/pki")).unwrap();
    for name in ["apiserver.crt", "apiserver.key"] {
        let (path, moved) =
            (tree.path(&format!("/etc/kubernetes/pki/{name}")), tree.path(&format!("/srv/pki/{name}")));
        fs::rename(&path, moved).unwrap();
        symlink(format!("../../../srv/pki/{name}"), path).unwrap();
    }
    let before = tree.files();
    let manifest = backed_up(&tree, &["--full"]);
    for kind in ["link", "file"] {
        let found = paths(&manifest, kind);
        for name in ["/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/apiserver.key"] {
            assert_eq!(found.iter().filter(|path| **path == name).count(), 1, "{name} as a {kind}");
        }
    }
    fs::write(tree.path("/srv/pki/apiserver.key"), "broken").unwrap();
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(tree.files(), before);
}

#[test]
fn a_full_backup_descends_into_a_directory_of_certificates_that_is_a_link() {
    for (target, link) in [("/srv/pki", "../../srv/pki"), ("/etc/kubernetes/ssl", "ssl")] {
        let tree = expired();
        fs::create_dir_all(tree.path("/srv")).unwrap();
        fs::write(tree.path("/etc/kubernetes/pki/users.csv"), "token").unwrap();
        fs::rename(tree.path("/etc/kubernetes/pki"), tree.path(target)).unwrap();
        symlink(link, tree.path("/etc/kubernetes/pki")).unwrap();
        let before = tree.files();
        let manifest = backed_up(&tree, &["--full"]);
        let named = |name: &str| paths(&manifest, "file").iter().filter(|path| path.ends_with(name)).count();
        assert_eq!(
            (named("/users.csv"), named("/pki/etcd/ca.key") + named("/ssl/etcd/ca.key")),
            (1, 1),
            "{link}"
        );
        fs::write(tree.path(target).join("users.csv"), "other").unwrap();
        fs::write(tree.path(target).join("apiserver.key"), "other").unwrap();
        tree.run(&["rollback", "--yes"]).exits(0);
        assert_eq!(tree.files(), before, "{link}");
    }
}

#[test]
fn a_full_backup_never_holds_backups_however_they_are_reached() {
    let tree = expired();
    fs::rename(tree.path("/etc/kubernetes"), tree.path("/etc/k8s")).unwrap();
    symlink("k8s", tree.path("/etc/kubernetes")).unwrap();
    for _ in 0..2 {
        let options = ["--full", "--state-dir", "/etc/kubernetes/backups"];
        let manifest = backed_up(&tree, &options);
        let files = paths(&manifest, "file");
        assert!(files.contains(&"/etc/kubernetes/pki/ca.key"), "{files:?}");
        assert!(!files.iter().any(|path| path.contains("/backups/")), "{files:?}");
    }
}

#[test]
fn files_that_are_shared_by_links_can_be_rolled_back() {
    for options in [&[][..], &["--full"]] {
        let tree = expired();
        for name in ["ca.crt", "ca.key"] {
            let path = tree.path(&format!("/etc/kubernetes/pki/{name}"));
            fs::remove_file(&path).unwrap();
            symlink(format!("etcd/{name}"), path).unwrap();
        }
        let before = tree.files();
        backed_up(&tree, options);
        for name in ["ca.crt", "ca.key"] {
            fs::write(tree.path(&format!("/etc/kubernetes/pki/etcd/{name}")), "broken").unwrap();
        }
        tree.run(&["rollback", "--yes"]).exits(0);
        assert_eq!(tree.files(), before, "{options:?}");
    }
}

#[test]
fn a_rollback_that_is_refused_leaves_no_directory_behind() {
    let tree = expired();
    backed_up(&tree, &["--full"]);
    fs::remove_dir_all(tree.path("/etc/kubernetes/pki/etcd")).unwrap();
    let pki = tree.path("/etc/kubernetes/pki");
    fs::set_permissions(&pki, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(pki.join("ca.crt"), "other").unwrap();
    tree.run(&["rollback", "--yes"]).exits(9);
    assert!(!pki.join("etcd").exists());

    fs::set_permissions(&pki, fs::Permissions::from_mode(0o755)).unwrap();
    tree.run(&["rollback", "--yes"]).exits(0);
    assert!(pki.join("etcd/ca.key").exists());
}

#[test]
fn one_odd_entry_is_left_out_of_a_backup_and_named() {
    let tree = expired();
    let key = tree.path("/etc/kubernetes/pki/apiserver.key");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    symlink("nowhere", tree.path("/etc/kubernetes/pki/front-proxy-client.new")).unwrap();
    let dangling = tree.path("/etc/kubernetes/pki/sa.pub");
    fs::remove_file(&dangling).unwrap();
    symlink("nowhere", &dangling).unwrap();
    for options in [&[][..], &["--full"]] {
        let manifest = backed_up(&tree, options);
        assert!(paths(&manifest, "file").contains(&"/etc/kubernetes/pki/ca.key"), "{manifest}");
        let skipped = manifest["skipped"].as_array().unwrap();
        let skipped: Vec<_> = skipped.iter().map(|skipped| skipped["path"].as_str().unwrap()).collect();
        let expected = ["/etc/kubernetes/pki/apiserver.key", "/etc/kubernetes/pki/sa.pub"];
        assert!(expected.iter().all(|path| skipped.contains(path)) && skipped.len() == 2, "{skipped:?}");
    }
    tree.run(&["backup", "verify"]).exits(0);
}

#[test]
fn backups_that_do_not_exist_or_were_never_completed_are_named() {
    let tree = expired();
    tree.run(&["rollback", "--yes"]).exits(1).explains("backup");
    tree.run(&["backup", "show", "20200101T000000Z"]).exits(1).explains("20200101T000000Z");
    tree.run(&["backup", "show", "../../../etc"]).exits(1).explains("../../../etc");
    fs::create_dir_all(tree.path("/var/lib/kubecerts/backups/20200101T000000Z/files")).unwrap();
    let listed = tree.run(&["backup", "list"]).exits(0).stdout;
    assert!(listed.contains("never completed"), "{listed}");
    tree.run(&["backup", "verify"]).exits(4);
    tree.run(&["backup", "create"]).exits(0);
    assert_eq!(ids(&tree).len(), 1, "what was never completed was swept away");
}

#[test]
fn the_state_directory_is_where_it_is_asked_for_below_the_root() {
    let tree = expired();
    tree.run(&["renew", "--all", "--yes", "--state-dir", "/srv/kubecerts"]).exits(0);
    assert!(tree.path("/srv/kubecerts/backups").is_dir());
    assert!(tree.state_files().is_empty());
    tree.run(&["rollback", "--yes", "--state-dir", "/srv/kubecerts"]).exits(0);
}

//! Links in a tree: followed inside, refused outside, never replaced.

use std::os::unix::fs::symlink;

use kubecerts_testkit::TreeBuilder;

use crate::support::Tree;

fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

#[test]
fn a_linked_directory_stays_a_link_and_its_target_is_renewed() {
    let tree = expired();
    // kubespray keeps the files in `ssl` and links `pki` to it.
    std::fs::rename(tree.path("/etc/kubernetes/pki"), tree.path("/etc/kubernetes/ssl")).unwrap();
    symlink("ssl", tree.path("/etc/kubernetes/pki")).unwrap();
    let before = tree.files();
    tree.run(&["renew", "--yes"]).exits(0);
    let after = tree.files();
    assert_eq!(after["etc/kubernetes/pki"], before["etc/kubernetes/pki"]);
    assert_ne!(after["etc/kubernetes/ssl/apiserver.crt"], before["etc/kubernetes/ssl/apiserver.crt"]);
}

#[test]
fn a_linked_file_stays_a_link_and_its_target_is_renewed() {
    let tree = expired();
    let conf = tree.path("/etc/kubernetes/admin.conf");
    std::fs::rename(&conf, tree.path("/etc/kubernetes/admin-2024.conf")).unwrap();
    symlink("/etc/kubernetes/admin-2024.conf", &conf).unwrap();
    let before = tree.files();
    tree.run(&["renew", "--yes", "admin.conf"]).exits(0);
    let after = tree.files();
    assert_eq!(after["etc/kubernetes/admin.conf"], before["etc/kubernetes/admin.conf"]);
    assert_ne!(after["etc/kubernetes/admin-2024.conf"], before["etc/kubernetes/admin-2024.conf"]);
}

#[test]
fn a_link_that_leaves_the_root_is_refused_and_nothing_outside_changes() {
    for target in ["absolute", "climbing"] {
        let tree = expired();
        let outside = tempfile::tempdir().unwrap();
        let pki = tree.path("/etc/kubernetes/pki");
        let moved = outside.path().join("pki");
        // Another file system would refuse the rename, but both are temporary directories.
        std::fs::rename(&pki, &moved).unwrap();
        let certificate = moved.join("apiserver.crt");
        let before = std::fs::read(&certificate).unwrap();
        let link = match target {
            "absolute" => moved.clone(),
            _ => std::path::PathBuf::from(format!("{}{}", "../".repeat(40), moved.display())),
        };
        symlink(&link, &pki).unwrap();
        let outcome = tree.run(&["renew", "--yes", "apiserver"]).exits(9).explains("leaves the root");
        assert!(outcome.stderr.contains("/etc/kubernetes/pki"), "{}", outcome.stderr);
        assert_eq!(std::fs::read(&certificate).unwrap(), before, "{target}");
        let outcome = tree.run(&["check"]);
        assert!(outcome.stdout.contains("leaves the root"), "{target}: {}", outcome.stdout);
    }
}

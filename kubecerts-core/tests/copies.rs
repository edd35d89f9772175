//! Copies of admin.conf: the user's entry is brought up to date, everything else stays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{KubeconfigSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{CopyReason, Refresh, refresh};
use kubecerts_core::kubeconfig::{Kubeconfig, Source, user_key};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::time::Seconds;
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at, path};

const ADMIN: &str = "/etc/kubernetes/admin.conf";
const COPY: &str = "/root/.kube/config";

/// A tree with a copy of admin.conf, changed by `edit`, that was renewed afterwards.
fn renewed(edit: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy(ADMIN, COPY);
    edit(&mut tree);
    let slots = [KubeconfigSlot::Admin, KubeconfigSlot::SuperAdmin].map(Slot::Kubeconfig);
    let request = PlanRequest::with_selection(Selection::Named(slots.into()));
    tree.renew(&request, at("2026-12-20T00:00:00Z"), &mut Seeded::provider(4));
    tree
}

fn refreshed(tree: &MemoryTree) -> Refresh {
    let snapshot = tree.snapshot();
    refresh(&snapshot, &Inventory::parse(&snapshot))
}

fn reason(tree: &MemoryTree) -> CopyReason {
    let (changes, left) = refreshed(tree).into_parts();
    assert!(changes.is_empty());
    left.into_iter().next().unwrap().reason
}

fn text(tree: &MemoryTree, at: &str) -> String {
    String::from_utf8(tree.read_file(at).to_vec()).unwrap()
}

fn replace(tree: &mut MemoryTree, from: &str, to: &str) {
    let changed = text(tree, COPY).replace(from, to);
    tree.edit(COPY, |bytes| *bytes = changed.into_bytes());
}

fn user(name: &str) -> CopyReason {
    CopyReason::UpToDate { user: name.to_owned() }
}

#[test]
fn a_plain_copy_becomes_the_renewed_file() {
    let mut tree = renewed(|tree| tree.set_mode(COPY, 0o640));
    let refresh = refreshed(&tree);
    let [change] = refresh.changes() else { panic!("{refresh:?}") };
    assert_eq!((change.path(), change.mode()), (&path(COPY), 0o640));
    assert_eq!(change.users(), ["kubernetes-admin"]);
    assert_eq!(change.secret_bytes(), tree.read_file(ADMIN));
    assert!(!format!("{change:?}").contains("PRIVATE"));
    let content = change.secret_bytes().to_vec();
    tree.write(&path(COPY), content, 0o640);
    assert_eq!(reason(&tree), user("kubernetes-admin"));
}

#[test]
fn other_clusters_users_and_contexts_of_a_merged_copy_stay() {
    let mine = "- name: work\n  user: {token: abc}  # mine\n";
    let tree = renewed(|tree| {
        replace(tree, "kubernetes-admin@kubernetes", "prod");
        replace(tree, "- name: kubernetes-admin\n", &format!("{mine}- name: kubernetes-admin\n"));
        replace(tree, "current-context: prod", "current-context: elsewhere");
    });
    let refresh = refreshed(&tree);
    let [change] = refresh.changes() else { panic!("{refresh:?}") };
    let (old, new) = (text(&tree, COPY), std::str::from_utf8(change.secret_bytes()).unwrap().to_owned());
    let kept = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("client-")).map(str::to_owned).collect()
    };
    assert_eq!(kept(&old), kept(&new));
    assert_ne!(old, new);
    let key = |bytes: &[u8]| user_key(bytes, "kubernetes-admin").unwrap().secret_bytes().to_vec();
    assert_eq!(key(new.as_bytes()), key(tree.read_file(ADMIN)));
}

#[test]
fn every_administrator_of_the_tree_in_a_copy_is_refreshed() {
    let tree = renewed(|tree| {
        let super_admin = text(tree, "/etc/kubernetes/super-admin.conf");
        let entry = super_admin[super_admin.find("- name: kubernetes-super-admin").unwrap()..].to_owned();
        tree.edit(COPY, |bytes| bytes.extend_from_slice(entry.as_bytes()));
    });
    let refresh = refreshed(&tree);
    assert_eq!(refresh.changes()[0].users(), ["kubernetes-admin", "kubernetes-super-admin"]);
    let parsed = Kubeconfig::parse(refresh.changes()[0].secret_bytes()).unwrap();
    let original = Kubeconfig::parse(tree.read_file("/etc/kubernetes/super-admin.conf")).unwrap();
    let certificate =
        |file: &Kubeconfig| file.user("kubernetes-super-admin").unwrap().client_certificate().clone();
    assert_eq!(certificate(&parsed), certificate(&original));
}

#[test]
fn an_authority_that_was_made_anew_with_its_key_is_replaced_too() {
    let mut tree = renewed(|_| {});
    tree.redraft("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.not_after = draft.not_after.plus(Seconds::from_days(3650));
    });
    let refresh = refreshed(&tree);
    let parsed = Kubeconfig::parse(refresh.changes()[0].secret_bytes()).unwrap();
    let trusted = parsed.current().unwrap().cluster.certificate_authority().clone();
    assert_eq!(trusted, Source::Data(tree.read_file("/etc/kubernetes/pki/ca.crt").to_vec()));
}

#[test]
fn a_copy_of_another_cluster_is_left_alone() {
    let mut tree = renewed(|_| {});
    let other = TreeBuilder::kubeadm().seed(2).build();
    tree.write(&path(COPY), other.read_file(ADMIN), 0o600);
    assert_eq!(reason(&tree), CopyReason::OtherCluster { user: "kubernetes-admin".to_owned() });

    // Our user, but the context leads to an API server of another authority.
    let data = |tree: &MemoryTree| {
        let text = text(tree, ADMIN);
        text.lines().find(|line| line.contains("certificate-authority-data")).unwrap().to_owned()
    };
    let mut tree = renewed(|_| {});
    let (ours, theirs) = (data(&tree), data(&other));
    replace(&mut tree, &ours, &theirs);
    assert_eq!(reason(&tree), CopyReason::OtherCluster { user: "kubernetes-admin".to_owned() });
}

#[test]
fn what_is_no_older_copy_is_left_alone_with_the_reason() {
    let tree = renewed(|tree| replace(tree, "client-key-data: ", "client-key: "));
    assert_eq!(reason(&tree), CopyReason::Referenced { user: "kubernetes-admin".to_owned() });
    let tree = renewed(|tree| tree.edit(COPY, |bytes| *bytes = b"[".to_vec()));
    assert!(matches!(reason(&tree), CopyReason::Damaged(_)));
    let tree = renewed(|tree| tree.copy("/etc/kubernetes/scheduler.conf", COPY));
    assert_eq!(reason(&tree), CopyReason::OtherUsers);
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy(ADMIN, COPY);
    assert_eq!(reason(&tree), user("kubernetes-admin"));
    let tree = renewed(|tree| {
        replace(tree, "client-key-data: ", "client-key-data: &mine ");
    });
    assert!(matches!(reason(&tree), CopyReason::Obstacle { .. }));
}

#[test]
fn an_admin_conf_without_its_key_is_not_spread() {
    let mut tree = renewed(|_| {});
    let broken = text(&tree, ADMIN).replace("client-key-data: ", "client-key-data: AAAA");
    tree.edit(ADMIN, |bytes| *bytes = broken.into_bytes());
    assert_eq!(reason(&tree), CopyReason::OtherUsers);
}

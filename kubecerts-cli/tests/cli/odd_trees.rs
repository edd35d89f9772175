//! Trees that kubeadm did not make so, and that are found all the same.

use kubecerts_testkit::{MemoryTree, TreeBuilder, path};

use crate::support::Tree;

fn expired() -> MemoryTree {
    TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build()
}

fn edit_text(tree: &mut MemoryTree, file: &str, edit: impl FnOnce(String) -> String) {
    tree.edit(file, |content| {
        *content = edit(String::from_utf8(std::mem::take(content)).unwrap()).into_bytes()
    });
}

#[test]
fn a_kubeconfig_with_an_anchor_is_left_out_and_the_rest_renewed() {
    let mut tree = expired();
    edit_text(&mut tree, "/etc/kubernetes/admin.conf", |text| {
        text.replace("client-certificate-data: ", "client-certificate-data: &shared ")
    });
    let tree = Tree::of(&tree);
    let before = tree.files();
    let planned = tree.run(&["plan"]).exits(6);
    assert!(planned.stdout.contains("admin.conf: "), "{}", planned.stdout);
    let outcome = tree.run(&["renew", "--yes"]).exits(6);
    assert!(outcome.stdout.contains("renewed apiserver "), "{}", outcome.stdout);
    assert_eq!(tree.files()["etc/kubernetes/admin.conf"], before["etc/kubernetes/admin.conf"]);
}

#[test]
fn a_kubeconfig_with_a_token_is_neither_missing_nor_due() {
    let mut tree = TreeBuilder::kubeadm().made(kubecerts_host::now()).build();
    edit_text(&mut tree, "/etc/kubernetes/controller-manager.conf", |text| {
        let (head, _) = text.split_once("    client-certificate-data").unwrap();
        format!("{head}    token: abc\n")
    });
    let tree = Tree::of(&tree);
    let outcome = tree.run(&["check"]).exits(0);
    assert!(
        outcome.stdout.contains("controller-manager.conf holds no client certificate [missing]"),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.stdout.contains("MISSING"), "{}", outcome.stdout);
    tree.run(&["renew", "--yes"]).exits(0);
}

#[test]
fn der_in_place_of_pem_is_damage_because_no_component_reads_it() {
    let mut tree = TreeBuilder::kubeadm().made(kubecerts_host::now()).build();
    let der = tree.certificate("/etc/kubernetes/pki/apiserver.crt").as_der().to_vec();
    tree.write(&path("/etc/kubernetes/pki/apiserver.crt"), der, 0o644);
    let tree = Tree::of(&tree);
    let outcome = tree.run(&["check"]).exits(4);
    assert!(outcome.stdout.contains("holds no certificate in PEM"), "{}", outcome.stdout);
    // The hint leads to the file in this root, and shows what it holds.
    let hint = outcome.stdout.lines().find_map(|line| line.strip_prefix("hint: kubecerts inspect ")).unwrap();
    let shown = crate::support::kubecerts(&["inspect", hint]).exits(0);
    assert!(shown.stdout.contains("CN = kube-apiserver"), "{}", shown.stdout);
    tree.run(&["certs", "check-expiration"]).exits(1).explains("/etc/kubernetes/pki/apiserver.crt");
}

#[test]
fn an_embedded_kubelet_certificate_is_renewed_when_it_is_due_but_not_by_all() {
    let tree = Tree::of(&expired());
    let kubelet = || tree.files()["etc/kubernetes/kubelet.conf"].clone();
    let before = kubelet();
    let outcome = tree.run(&["renew", "--yes", "--all"]).exits(0);
    assert_eq!(kubelet(), before, "kubeadm's renew all leaves it alone");
    // A renewal would leave it embedded.
    assert!(outcome.stderr.contains("hint: on the node: kubecerts recover"), "{}", outcome.stderr);
    tree.run(&["renew", "--yes"]).exits(0);
    assert_ne!(kubelet(), before);
}

#[test]
fn control_characters_of_a_tree_do_not_reach_the_terminal() {
    let mut tree = TreeBuilder::kubeadm().build();
    edit_text(&mut tree, "/etc/kubernetes/admin.conf", |text| {
        text.replace("https://192.168.10.11:6443", "\"https://x\\e[31m\\nerror: fake\"")
    });
    let tree = Tree::of(&tree);
    let file = tree.path("/etc/kubernetes/admin.conf");
    let outcome =
        crate::support::kubecerts(&["--color", "always", "inspect", file.to_str().unwrap()]).exits(0);
    assert!(
        !outcome.stdout.contains("\u{1b}[31m") && !outcome.stdout.contains("\nerror: fake"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_key_that_everybody_can_read_is_closed_by_its_renewal() {
    let mut tree = expired();
    tree.set_mode("/etc/kubernetes/pki/apiserver.key", 0o644);
    tree.set_mode("/etc/kubernetes/scheduler.conf", 0o666);
    let tree = Tree::of(&tree);
    let outcome = tree.run(&["renew", "--yes"]).exits(0);
    assert!(outcome.stdout.contains("note: mode becomes 0600"), "{}", outcome.stdout);
    let files = tree.files();
    assert_eq!(files["etc/kubernetes/pki/apiserver.key"].0, 0o600);
    assert_eq!(files["etc/kubernetes/scheduler.conf"].0, 0o600);
}

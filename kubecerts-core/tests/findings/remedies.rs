//! What is to be done first, on trees that were damaged as those of real clusters were.

use kubecerts_core::catalog::{CaSlot, FileSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::{Case, FindingCode as F, Impact, Policy, Remedy, Severity, cases, diagnose};
use kubecerts_core::inventory::{Inventory, Place};
use kubecerts_core::observation::Observations;
use kubecerts_core::x509::DistinguishedName;
use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at, path};

use crate::support::*;

#[test]
fn of_a_worker_nothing_of_a_control_plane_is_expected() {
    let tree = worker();
    assert!(tree.inventory().is_worker());
    assert_eq!(first(&tree, FRESH), None);
    // What an administrator has left there makes no control plane of it.
    let mut tree = worker();
    let admin = Fixture::named("kubeadm-v136-ecdsa-p256").tree().read_file(ADMIN).to_vec();
    tree.write(&path(ADMIN), admin, 0o600);
    assert!(tree.inventory().is_worker());
    let codes: Vec<F> = all(&tree, FRESH).iter().map(|case| case.finding.code).collect();
    assert_eq!(codes, [F::AdminRbac]);
    let mut tree = worker();
    tree.remove(CA);
    let missing = first(&tree, FRESH).unwrap();
    assert_eq!((missing.finding.code, missing.finding.path), (F::Missing, Some(path(CA))));
}

#[test]
fn a_kubelet_of_a_worker_that_is_over_comes_first_and_gets_a_certificate_from_elsewhere() {
    let case = first(&worker(), "2030-01-01T00:00:00Z").unwrap();
    let place = Some(Place::Slot(Slot::KubeletClient));
    assert_eq!((case.finding.code, &case.finding.place), (F::Expired, &place));
    assert_eq!(case.finding.remedy, Remedy::Restore(FileSlot::KubeletClient));
}

#[test]
fn a_copy_is_known_by_the_user_and_the_groups_in_it_however_they_are_encoded() {
    let tree = broken(|tree| {
        tree.copy(ADMIN, "/home/jane/.kube/config");
        redraft_client(tree, ADMIN, |leaf| {
            leaf.subject = in_utf8(&leaf.subject);
            leaf.not_after = at("2027-01-11T00:00:00Z");
        });
    });
    let stale = all(&tree, "2027-01-02T00:00:00Z")
        .into_iter()
        .find(|case| case.finding.code == F::KubeconfigCopyStale);
    let stale = stale.expect("the copy is known");
    assert_eq!(stale.finding.remedy, Remedy::RefreshCopy(path("/home/jane/.kube/config")));
}

#[test]
fn the_kubeconfig_of_another_user_of_this_cluster_is_told_when_it_is_over() {
    let conf = "/home/jane/.kube/config";
    let tree = broken(|tree| {
        tree.copy(ADMIN, conf);
        let key = tree.certificate(APISERVER).public_key().clone();
        redraft_client(tree, conf, |leaf| {
            leaf.subject = DistinguishedName::kubeadm("jane", &["developers"]);
            leaf.public_key = key;
            leaf.not_after = at("2026-02-01T00:00:00Z");
        });
    });
    assert_eq!(codes_of(&tree.inventory_around(), "2026-01-15T00:00:00Z"), []);
    let case = first(&tree, "2026-03-01T00:00:00Z").unwrap();
    assert_eq!((case.finding.code, case.finding.severity), (F::Expired, Severity::Warning));
    assert_eq!((case.finding.place, case.finding.impact), (Some(Place::Copy(path(conf))), Impact::None));
}

#[test]
fn a_network_plugin_that_trusts_another_authority_is_found() {
    let conf = "/etc/cni/net.d/calico-kubeconfig";
    let with_token = |tree: &mut MemoryTree, authority: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: https://[10.96.0.1]:443\n    \
             certificate-authority-data: {authority}\nusers:\n- name: calico\n  user:\n    token: abc\ncontexts:\n- name: calico\n  \
             context:\n    cluster: local\n    user: calico\ncurrent-context: calico\n"
        );
        tree.write(&path(conf), text, 0o600);
    };
    let authority = |tree: &MemoryTree| value(tree, ADMIN, "certificate-authority-data: ");
    let own = broken(|tree| {
        let authority = authority(tree);
        with_token(tree, &authority);
    });
    assert_eq!(first(&own, "2026-01-02T00:00:00Z"), None);
    let stale = broken(|tree| with_token(tree, &authority(&stranger())));
    let [case] = all(&stale, "2026-01-02T00:00:00Z").try_into().unwrap();
    assert_eq!((case.finding.code, case.finding.path), (F::KubeconfigCaStale, Some(path(conf))));
    assert_eq!(case.finding.remedy, Remedy::SetAuthority(Place::Copy(path(conf))));
    assert!(case.consequence.unwrap().contains("network plugin"));
}

#[test]
fn what_kubelet_conf_embeds_is_replaced_by_a_certificate_that_is_rotated() {
    let tree = TreeBuilder::kubeadm().build();
    for (now, remedy) in [
        ("2026-06-01T00:00:00Z", Remedy::Restore(FileSlot::KubeletClient)),
        ("2027-01-02T00:00:00Z", Remedy::Recover),
    ] {
        let mut cases = all(&tree, now).into_iter();
        let inline = cases.find(|case| case.finding.code == F::KubeletConfInline).unwrap();
        assert_eq!(inline.finding.remedy, remedy, "{now}");
        let renewed = inline.findings().any(|finding| matches!(finding.remedy, Remedy::Renew(_)));
        assert!(!renewed, "{now}: {inline:#?}");
    }
}

#[test]
fn etcd_of_which_one_pair_lies_elsewhere_lacks_nothing() {
    let tree = broken_node(|tree| {
        for extension in ["crt", "key"] {
            let old = format!("/etc/kubernetes/pki/etcd/server.{extension}");
            tree.copy(&old, &format!("/etc/ssl/etcd/member.{extension}"));
            tree.remove(&old);
            let manifest = "/etc/kubernetes/manifests/etcd.yaml";
            let flag = if extension == "crt" { "--cert-file=" } else { "--key-file=" };
            replace(
                tree,
                manifest,
                &format!(" {flag}{old}"),
                &format!(" {flag}/etc/ssl/etcd/member.{extension}"),
            );
        }
    });
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn a_key_that_others_may_run_is_for_its_owner_to_read_and_write() {
    let tree = broken(|tree| tree.set_mode(APISERVER_KEY, 0o755));
    let case = first(&tree, "2026-01-02T00:00:00Z").unwrap();
    assert_eq!(case.finding.remedy, Remedy::SetMode(path(APISERVER_KEY), 0o600));
}

#[test]
fn a_pair_of_which_both_files_are_damaged_is_one_case() {
    let tree = broken(|tree| {
        tree.edit(APISERVER, Vec::clear);
        tree.edit(APISERVER_KEY, Vec::clear);
    });
    let [case] = all(&tree, "2026-01-02T00:00:00Z").try_into().unwrap();
    assert_eq!(case.finding.path, Some(path(APISERVER)));
    assert_eq!(case.explains.len(), 1);
}

#[test]
fn whoever_trusts_a_foreign_authority_fails_now() {
    let tree = broken(|tree| {
        tree.copy(ADMIN, "/root/.kube/config");
        trust(tree, "/root/.kube/config", stranger().read_file(CA));
    });
    let case = first(&tree, "2026-01-02T00:00:00Z").unwrap();
    assert_eq!(case.finding.code, F::KubeconfigCaStale);
    let consequence = case.consequence.unwrap();
    assert!(consequence.contains("does not trust the API server"), "{consequence}");
}

#[test]
fn without_the_key_of_etcd_kubeadm_stops_half_way() {
    let tree = broken(|tree| tree.remove("/etc/kubernetes/pki/etcd/ca.key"));
    let case = first(&tree, "2026-01-02T00:00:00Z").unwrap();
    assert_eq!(case.finding.code, F::ExternalCa);
    assert_eq!(case.finding.remedy, Remedy::SignElsewhere(CaSlot::Etcd));
    let consequence = case.consequence.unwrap();
    assert!(consequence.contains("stops"), "{consequence}");
}

/// Returns the node's cases, with a look around.
fn all(tree: &MemoryTree, now: &str) -> Vec<Case> {
    let (inventory, seen): (Inventory, _) = (tree.inventory_around(), Observations::none());
    let mut policy = Policy::default();
    policy.clock = kubecerts_core::diagnosis::Clock::Assumed;
    cases(&diagnose(&inventory, &seen, policy, at(now)), &inventory, &seen)
}

fn first(tree: &MemoryTree, now: &str) -> Option<Case> {
    all(tree, now).into_iter().next()
}

/// Returns a node with a kubelet alone.
fn worker() -> MemoryTree {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    rotate(&mut tree);
    let kubelets = [CA, KUBELET, KUBELET_CLIENT, "/var/lib/kubelet/config.yaml"];
    let others: Vec<String> = tree.files().map(|(file, ..)| file.to_string()).collect();
    for file in others.iter().filter(|file| !kubelets.contains(&file.as_str())) {
        tree.remove(file);
    }
    assert_eq!(tree.inventory().credential(Slot::Leaf(LeafSlot::ApiServer)).unwrap().leaf(), None);
    // The kubelet keeps a link there, and not a file.
    let dated = "/var/lib/kubelet/pki/kubelet-client-2026-11-22-00-05-20.pem";
    tree.copy(KUBELET_CLIENT, dated);
    tree.remove(KUBELET_CLIENT);
    tree.link(KUBELET_CLIENT, dated);
    tree
}

/// Encodes the texts of a name as OpenSSL does.
fn in_utf8(name: &DistinguishedName) -> DistinguishedName {
    const PRINTABLE: u8 = 0x13;
    const UTF8: u8 = 0x0c;
    let der = name.as_der().iter().map(|byte| if *byte == PRINTABLE { UTF8 } else { *byte });
    let name_in_utf8 = DistinguishedName::parse_der(&der.collect::<Vec<u8>>()).unwrap();
    assert_ne!(name_in_utf8, *name);
    assert!(name_in_utf8.is_same_identity(name));
    name_in_utf8
}

//! Which names the certificates of servers must have, by real trees, made trees and damaged ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{LeafSlot, Slot};
use kubecerts_core::diagnosis::{FindingCode, Policy, Severity, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::ScanRequest;
use kubecerts_core::x509::{AlternativeName, AlternativeNames};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder, at, path};

const SERVING: [LeafSlot; 3] = [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer];

#[test]
fn no_real_tree_lacks_a_name_nor_has_one_too_many() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            for request in [ScanRequest::default(), fixture.with_config()] {
                let inventory = Inventory::parse(&tree.snapshot_with(request));
                for leaf in SERVING {
                    assert_eq!(inventory.lacking_names(leaf), [], "{name} {leaf}");
                    assert!(
                        inventory.surplus_names(leaf).is_none_or(|names| names.is_empty()),
                        "{name} {leaf}"
                    );
                }
            }
        }
    }
}

#[test]
fn with_its_configuration_the_expected_names_of_a_real_tree_are_exactly_those_that_kubeadm_gave() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        let inventory = Inventory::parse(&fixture.tree().snapshot_with(fixture.with_config()));
        for leaf in SERVING {
            let expected = inventory.expected_names(leaf);
            if expected.is_empty() {
                assert!(name.contains("external-etcd"), "{name} {leaf}");
                continue;
            }
            // What the configuration says of its directory need not be true.
            let certificate = inventory.credential(Slot::Leaf(leaf)).unwrap().leaf();
            let Some(certificate) = certificate else { continue };
            let mut found: Vec<AlternativeName> =
                expected.into_iter().map(|expected| expected.name).collect();
            let mut had = certificate.alternative_names().as_slice().to_vec();
            found.sort();
            had.sort();
            assert_eq!(found, had, "{name} {leaf}");
        }
    }
}

#[test]
fn each_name_that_is_taken_from_a_real_tree_is_missed_with_its_reason() {
    let fixture = Fixture::named("kubeadm-v136-ecdsa-p256");
    for (leaf, key, name, said) in [
        (
            "apiserver.crt",
            "ca.key",
            "DNS:k8s-api.example.internal",
            "clients that connect to https://k8s-api.example.internal:6443",
        ),
        (
            "apiserver.crt",
            "ca.key",
            "DNS:k8s.example.internal",
            "clients that connect to https://k8s.example.internal",
        ),
        ("apiserver.crt", "ca.key", "IP:10.0.0.100", "clients that connect to https://10.0.0.100"),
        ("apiserver.crt", "ca.key", "IP:192.168.10.11", "clients that connect to https://192.168.10.11:6443"),
        ("apiserver.crt", "ca.key", "IP:10.96.0.1", "pods that connect to https://10.96.0.1"),
        (
            "apiserver.crt",
            "ca.key",
            "DNS:kubernetes.default.svc",
            "pods that connect to https://kubernetes.default.svc",
        ),
        (
            "apiserver.crt",
            "ca.key",
            "DNS:kubernetes.default.svc.cluster.local",
            "pods that connect to https://kubernetes.default.svc.cluster.local",
        ),
        (
            "etcd/server.crt",
            "etcd/ca.key",
            "IP:127.0.0.1",
            "kube-apiserver, which connects to https://127.0.0.1:2379,",
        ),
        (
            "etcd/server.crt",
            "etcd/ca.key",
            "IP:192.168.10.11",
            "clients of etcd that connect to https://192.168.10.11:2379",
        ),
        (
            "etcd/peer.crt",
            "etcd/ca.key",
            "IP:192.168.10.11",
            "members of etcd that connect to https://192.168.10.11:2380",
        ),
    ] {
        let mut tree = fixture.tree();
        take(&mut tree, leaf, key, name);
        let findings = findings(&tree, fixture.with_config());
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert_eq!(findings[0].0, Severity::Error, "{name}");
        assert!(findings[0].1.contains(said), "{name}: {}", findings[0].1);
    }
    for (leaf, key, name) in [
        ("apiserver.crt", "ca.key", "DNS:cp-1"),
        ("etcd/server.crt", "etcd/ca.key", "DNS:cp-1"),
        ("etcd/peer.crt", "etcd/ca.key", "DNS:localhost"),
        ("etcd/server.crt", "etcd/ca.key", "IP:::1"),
    ] {
        let mut tree = fixture.tree();
        take(&mut tree, leaf, key, name);
        let findings = findings(&tree, fixture.with_config());
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert_eq!(findings[0].0, Severity::Warning, "{name}");
    }
}

#[test]
fn a_leaf_that_was_copied_from_another_node_lacks_this_node_s_address() {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    replace(&mut tree, manifest, "192.168.10.11", "192.168.10.12");
    let found = findings(&tree, ScanRequest::default());
    assert!(found.iter().any(|(_, message)| message.contains("is not valid for 192.168.10.12")), "{found:?}");
}

#[test]
fn a_wildcard_another_spelling_and_capitals_are_the_same_name() {
    let mut tree = TreeBuilder::kubeadm().build();
    for (server, names) in [
        ("https://API.Example.com:6443", vec!["DNS:*.example.com"]),
        ("https://api.example.com.:6443", vec!["DNS:API.example.COM"]),
        ("https://[fd00:0:0::0:1]:6443", vec!["IP:fd00::1"]),
        ("https://[::ffff:10.0.0.9]:6443", vec!["IP:10.0.0.9"]),
    ] {
        let mut tree = tree.clone();
        replace(&mut tree, ADMIN, "https://192.168.10.11:6443", server);
        assert_eq!(findings(&tree, ScanRequest::default()).len(), 1, "{server}");
        tree.redraft(APISERVER, CA_KEY, |leaf| {
            let further = names.iter().map(|name| name.parse().unwrap());
            let names = leaf.alternative_names.as_slice().iter().cloned().chain(further).collect();
            leaf.alternative_names = AlternativeNames::new(names);
        });
        assert_eq!(findings(&tree, ScanRequest::default()), [], "{server}");
    }
    // What does not verify, or wants another name, does not need this one.
    replace(&mut tree, ADMIN, "https://192.168.10.11:6443", "https://tunnel.example.com:6443");
    let mut named = tree.clone();
    replace(&mut named, ADMIN, "server:", "tls-server-name: kubernetes\n    server:");
    assert_eq!(findings(&named, ScanRequest::default()), []);
    assert_eq!(findings(&tree, ScanRequest::default()).len(), 1);
}

#[test]
fn certificates_of_other_tools_are_not_measured_by_kubeadm_s_customs() {
    // As kubespray and others make etcd's: the member has a name of its own, and no ::1.
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    for leaf in ["server.crt", "peer.crt"] {
        let leaf = format!("/etc/kubernetes/pki/etcd/{leaf}");
        tree.redraft(&leaf, "/etc/kubernetes/pki/etcd/ca.key", |leaf| {
            leaf.subject = kubecerts_core::x509::DistinguishedName::kubeadm("etcd-member-cp-1", &[]);
            let names = ["DNS:etcd.kube-system", "IP:127.0.0.1", "IP:192.168.10.11"];
            leaf.alternative_names = AlternativeNames::new(names.map(|name| name.parse().unwrap()).to_vec());
        });
    }
    assert_eq!(findings(&tree, ScanRequest::default()), []);
    // minikube: another subject, and not the node's name.
    tree.redraft(APISERVER, CA_KEY, |leaf| {
        leaf.subject = kubecerts_core::x509::DistinguishedName::kubeadm("minikube", &["system:masters"]);
        let mut names = leaf.alternative_names.as_slice().to_vec();
        names.retain(|name| name.to_string() != "DNS:cp-1");
        leaf.alternative_names = AlternativeNames::new(names);
    });
    assert_eq!(findings(&tree, ScanRequest::default()), []);
}

#[test]
fn a_node_whose_name_is_in_doubt_is_not_expected_to_have_one() {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    take(&mut tree, "apiserver.crt", "ca.key", "DNS:cp-1");
    assert_eq!(findings(&tree, ScanRequest::default()).len(), 1);
    let mut other = tree.clone();
    replace(&mut other, "/etc/kubernetes/manifests/etcd.yaml", "--name=cp-1", "--name=infra0");
    assert_eq!(findings(&other, ScanRequest::default()), []);
    let mut request = ScanRequest::default();
    request.hostname = Some("host.example.com".to_owned());
    tree.remove("/etc/kubernetes/manifests/etcd.yaml");
    assert!(findings(&tree, request).iter().all(|(_, message)| !message.contains("host.example.com")));
}

#[test]
fn another_cluster_s_kubeconfig_in_a_home_is_not_ours() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy(ADMIN, "/root/.kube/config");
    replace(&mut tree, "/root/.kube/config", "https://192.168.10.11:6443", "https://vip.example.com:6443");
    assert_eq!(findings(&tree, ScanRequest::default()).len(), 1);
    let foreign = TreeBuilder::kubeadm().seed(2).build();
    tree.write(&path("/root/.kube/config"), foreign.read_file("/etc/kubernetes/scheduler.conf"), 0o600);
    replace(&mut tree, "/root/.kube/config", "https://192.168.10.11:6443", "https://vip.example.com:6443");
    replace(&mut tree, "/root/.kube/config", "client-certificate-data", "x-client-certificate-data");
    assert_eq!(findings(&tree, ScanRequest::default()), []);
}

#[test]
fn damaged_sources_give_no_expectations() {
    for junk in [
        "",
        "[",
        "\0",
        "kind: Pod",
        "spec: {containers: [{command: [kube-apiserver, --advertise-address=x]}]}",
    ] {
        let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
        for file in ["kube-apiserver", "etcd"] {
            tree.write(&path(&format!("/etc/kubernetes/manifests/{file}.yaml")), junk.as_bytes(), 0o600);
        }
        assert_eq!(findings(&tree, ScanRequest::default()), [], "{junk:?}");
    }
}

const ADMIN: &str = "/etc/kubernetes/admin.conf";
const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";

/// Returns severity and text of every finding about names.
fn findings(tree: &MemoryTree, request: ScanRequest) -> Vec<(Severity, String)> {
    let inventory = Inventory::parse(&tree.snapshot_with(request));
    let diagnosis =
        diagnose(&inventory, &Observations::none(), Policy::default(), at("2026-12-01T00:00:00Z"));
    let codes = [FindingCode::AlternativeNameMissing, FindingCode::AlternativeNameUnexpected];
    let about_names = diagnosis.findings().iter().filter(|finding| codes.contains(&finding.code));
    about_names.map(|finding| (finding.severity, finding.to_string())).collect()
}

fn take(tree: &mut MemoryTree, leaf: &str, key: &str, name: &str) {
    let [leaf, key] = [leaf, key].map(|file| format!("/etc/kubernetes/pki/{file}"));
    tree.redraft(&leaf, &key, |leaf| {
        let mut names = leaf.alternative_names.as_slice().to_vec();
        let before = names.len();
        names.retain(|own| own.to_string() != name);
        assert_eq!(names.len() + 1, before, "{name} is there");
        leaf.alternative_names = AlternativeNames::new(names);
    });
}

fn replace(tree: &mut MemoryTree, file: &str, from: &str, to: &str) {
    tree.edit(file, |content| {
        let text = std::str::from_utf8(content).unwrap();
        assert!(text.contains(from), "{file} holds no {from:?}");
        *content = text.replace(from, to).into_bytes();
    });
}

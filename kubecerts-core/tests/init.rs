//! New trees against those that a real kubeadm made of the same configuration.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the configurations of kubeadm's trees are files")]

use std::collections::{BTreeMap, BTreeSet};

use kubecerts_core::catalog::{CaSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::issue::{KeySource, Signer, issue};
use kubecerts_core::kubeconfig::{Kubeconfig, Source};
use kubecerts_core::manifest::KubeadmConfig;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{
    AuthorityProblem, ClusterIntent, Difference, EtcdIntent, InitRequest, InitScope, Plan, PlanError, Reason,
    initialise,
};
use kubecerts_core::snapshot::ScanRequest;
use kubecerts_core::x509::{Certificate, KeyAlgorithm, KeyType, certificates};
use kubecerts_testkit::{BorrowedKeys, FIXTURES, Fixture, MemoryTree, Seeded, at};

/// The moment at which kubeadm made most of the trees, more or less.
const NOW: &str = "2026-11-21T23:39:06Z";
const PKI: &str = "/etc/kubernetes/pki";

struct Made {
    fixture: &'static str,
    kubeadm: MemoryTree,
    ours: MemoryTree,
}

/// Every fixture's tree, made of its configuration with kubeadm's own keys, under the paths of the configuration.
fn all() -> Vec<Made> {
    FIXTURES.into_iter().map(made).collect()
}

fn made(fixture: &'static str) -> Made {
    let mut kubeadm = tree_of_kubeadm(fixture);
    // The key that was taken away from this tree is a sister's.
    let lender = match fixture {
        "kubeadm-v136-external-ca" => tree_of_kubeadm("kubeadm-v136-rsa2048"),
        _ => kubeadm.clone(),
    };
    let mut ours = MemoryTree::default();
    let plan = run(&intent(fixture), &InitRequest::default(), &mut ours, &mut BorrowedKeys::of(&lender));
    assert_eq!(plan.deferred(), [], "{fixture}");
    match fixture {
        // Its key was taken away afterwards.
        "kubeadm-v136-external-ca" => ours.remove("/etc/kubernetes/pki/ca.key"),
        // These were put there before kubeadm ran: they are the other etcd's.
        "kubeadm-v136-external-etcd" => {
            for name in ["etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"] {
                kubeadm.remove(&format!("{PKI}/{name}"));
            }
        }
        _ => {}
    }
    Made { fixture, kubeadm, ours }
}

/// Returns what kubeadm's phases for certificates and kubeconfigs wrote, at the paths of the configuration.
fn tree_of_kubeadm(fixture: &str) -> MemoryTree {
    let mut tree = MemoryTree::default();
    for (path, content, mode) in Fixture::named(fixture).tree().files() {
        // One tree was moved after it was made.
        let path = path.as_str().replace("/opt/pki", PKI);
        if !path.contains("/manifests/") {
            tree.write(&kubecerts_testkit::path(&path), content, mode);
        }
    }
    tree
}

fn intent(fixture: &str) -> ClusterIntent {
    let file = Fixture::named(fixture).directory().join("kubeadm-config.yaml");
    let config = KubeadmConfig::parse(&std::fs::read(file).unwrap()).unwrap();
    ClusterIntent::from_config(&config, None, None).unwrap()
}

/// Plans over `tree`, issues, and writes what was issued.
fn run<P: KeySource + Signer>(
    intent: &ClusterIntent,
    request: &InitRequest,
    tree: &mut MemoryTree,
    provider: &mut P,
) -> Plan {
    let snapshot = tree.snapshot_with(ScanRequest::default());
    let plan = initialise(intent, &tree.inventory(), request, at(NOW), &mut Seeded::new(9)).unwrap();
    tree.apply(&issue(&plan, &snapshot, provider).unwrap());
    assert_eq!(plan.shortfalls(&tree.inventory()), BTreeSet::new());
    plan
}

fn modes(tree: &MemoryTree) -> BTreeMap<&TreePath, u32> {
    tree.files().map(|(path, _, mode)| (path, mode)).collect()
}

/// Returns every certificate of a tree, those in kubeconfigs as well.
fn every_certificate(tree: &MemoryTree) -> BTreeMap<String, Certificate> {
    let mut found = BTreeMap::new();
    for (path, content, _) in tree.files() {
        let mut add = |name: String, pem: &[u8]| {
            found.insert(name, certificates(pem).unwrap().remove(0).unwrap());
        };
        if path.as_str().ends_with(".crt") {
            add(path.to_string(), content);
        } else if path.as_str().ends_with(".conf") {
            let kubeconfig = Kubeconfig::parse(content).unwrap();
            let current = kubeconfig.current().unwrap();
            for (what, source) in [
                ("client", current.user.client_certificate()),
                ("authority", current.cluster.certificate_authority()),
            ] {
                let Source::Data(pem) = source else { panic!("{path} embeds its {what}") };
                add(format!("{path} {what}"), pem);
            }
        }
    }
    found
}

#[test]
fn files_and_modes_are_kubeadms() {
    for Made { fixture, kubeadm, ours } in all() {
        assert_eq!(modes(&ours), modes(&kubeadm), "{fixture}");
    }
}

#[test]
fn subjects_issuers_usages_names_and_algorithms_are_kubeadms() {
    for Made { fixture, kubeadm, ours } in all() {
        let ours = every_certificate(&ours);
        for (name, kubeadms) in every_certificate(&kubeadm) {
            let own = &ours[&name];
            let what = format!("{fixture} {name}");
            assert_eq!(own.subject().as_der(), kubeadms.subject().as_der(), "{what}");
            assert_eq!(own.issuer().as_der(), kubeadms.issuer().as_der(), "{what}");
            assert_eq!(own.alternative_names(), kubeadms.alternative_names(), "{what}");
            assert_eq!(own.key_usages(), kubeadms.key_usages(), "{what}");
            assert_eq!(own.extended_key_usages(), kubeadms.extended_key_usages(), "{what}");
            assert_eq!(own.is_authority(), kubeadms.is_authority(), "{what}");
            assert_eq!(own.public_key().key_type(), kubeadms.public_key().key_type(), "{what}");
            assert_eq!(own.signature_algorithm(), kubeadms.signature_algorithm(), "{what}");
        }
    }
}

#[test]
fn certificates_are_valid_for_as_long_as_kubeadms() {
    for fixture in ["kubeadm-v132-rsa2048", "kubeadm-v136-ecdsa-p256", "kubeadm-v136-validity"] {
        let Made { kubeadm, ours, .. } = made(fixture);
        let spans = |tree: &MemoryTree| -> BTreeMap<String, i64> {
            let span = |certificate: &Certificate| certificate.not_after().since(certificate.not_before()).0;
            let found = every_certificate(tree);
            // In kubeconfigs kubeadm has them begin with their authority, seconds earlier.
            let files = found.iter().filter(|(name, _)| !name.ends_with(" client"));
            files.map(|(name, found)| (name.clone(), span(found))).collect()
        };
        assert_eq!(spans(&ours), spans(&kubeadm), "{fixture}");
    }
}

#[test]
fn keys_are_written_as_kubeadm_writes_them() {
    // The keys are the same ones, so that form, label and line length are the only things that could differ.
    for Made { fixture, kubeadm, ours } in all() {
        let is_key = |path: &str| path.ends_with(".key") || path.ends_with(".pub");
        for (path, content, _) in kubeadm.files().filter(|(path, ..)| is_key(path.as_str())) {
            if fixture == "kubeadm-v136-external-ca" {
                let label = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').next().unwrap().to_vec();
                assert_eq!(label(ours.read_file(path.as_str())), label(content), "{path}");
            } else {
                assert!(ours.read_file(path.as_str()) == content, "{fixture} {path}");
            }
        }
    }
}

#[test]
fn kubeconfigs_are_kubeadms_but_for_the_data() {
    for Made { fixture, kubeadm, ours } in all() {
        let lines = |content: &[u8]| -> Vec<String> {
            let text = std::str::from_utf8(content).unwrap();
            let line = |line: &str| match line.split_once("-data: ") {
                Some((key, _)) => format!("{key}-data: …"),
                None => line.to_owned(),
            };
            text.split('\n').map(line).collect()
        };
        for (path, content, _) in kubeadm.files().filter(|(path, ..)| path.as_str().ends_with(".conf")) {
            assert_eq!(lines(ours.read_file(path.as_str())), lines(content), "{fixture} {path}");
        }
    }
}

#[test]
fn kubeadms_own_trees_are_right_as_they_are() {
    for name in FIXTURES {
        let (inventory, request) = (tree_of_kubeadm(name).inventory(), InitRequest::default());
        let now = at("2026-11-22T00:06:00Z");
        let plan = initialise(&intent(name), &inventory, &request, now, &mut Seeded::new(1));
        if name.contains("expired") {
            let Err(PlanError::Contradictions(contradictions)) = plan else { panic!("{name}: {plan:?}") };
            let is_expired = |difference: &Difference| {
                let problem = matches!(difference, Difference::Authority(AuthorityProblem::Expired(_)));
                problem || matches!(difference, Difference::Expired(_))
            };
            assert!(contradictions.iter().all(|found| is_expired(&found.difference)), "{contradictions:?}");
            continue;
        }
        let plan = plan.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(plan.is_empty() && !plan.is_incomplete(), "{name}: {:?}", plan.deferred());
    }
}

#[test]
fn a_second_run_has_nothing_to_do() {
    for Made { fixture, mut ours, .. } in all() {
        let plan = run(&intent(fixture), &InitRequest::default(), &mut ours, &mut Seeded::provider(3));
        assert!(plan.is_empty(), "{fixture}: {:?}", plan.steps());
        assert!(!plan.is_incomplete(), "{fixture}: {:?}", plan.deferred());
        assert!(plan.deferred().iter().all(|deferred| *deferred.reason() == Reason::Kept), "{fixture}");
    }
}

fn base() -> ClusterIntent {
    let mut intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    intent
}

fn names(tree: &MemoryTree, leaf: &str) -> Vec<String> {
    tree.certificate(&format!("{PKI}/{leaf}.crt")).alternative_names().texts().collect()
}

/// Makes a whole tree of a configuration, of which `change` makes something else.
fn tree_of(change: impl FnOnce(&mut ClusterIntent)) -> MemoryTree {
    let mut intent = base();
    change(&mut intent);
    let mut tree = MemoryTree::default();
    let _ = run(&intent, &InitRequest::default(), &mut tree, &mut Seeded::provider(5));
    tree
}

#[test]
fn dual_stack_adds_no_second_service_address() {
    let tree = tree_of(|intent| {
        intent.service_addresses = vec![[10, 96, 0, 1].into(), "fd00:10:96::1".parse().unwrap()];
    });
    let expected = [
        "DNS:cp-1",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "IP:10.96.0.1",
        "IP:192.168.10.11",
    ];
    assert_eq!(names(&tree, "apiserver"), expected);
}

#[test]
fn a_cluster_of_ipv6_alone_has_only_such_addresses_and_etcds_loopbacks() {
    let tree = tree_of(|intent| {
        intent.advertise_address = "fd00::11".parse().unwrap();
        intent.service_addresses = vec!["fd00:10:96::1".parse().unwrap()];
        intent.endpoint = Some("[fd00::100]:8443".parse().unwrap());
    });
    let addresses: Vec<String> =
        names(&tree, "apiserver").into_iter().filter(|name| name.starts_with("IP:")).collect();
    assert_eq!(addresses, ["IP:fd00:10:96::1", "IP:fd00::11", "IP:fd00::100"]);
    assert_eq!(
        names(&tree, "etcd/server"),
        ["DNS:cp-1", "DNS:localhost", "IP:fd00::11", "IP:127.0.0.1", "IP:::1"]
    );
    for (file, server) in [("admin", "https://[fd00::100]:8443"), ("scheduler", "https://[fd00::11]:6443")] {
        let content = tree.read_file(&format!("/etc/kubernetes/{file}.conf"));
        let kubeconfig = Kubeconfig::parse(content).unwrap();
        assert_eq!(kubeconfig.current().unwrap().cluster.server(), Some(server));
    }
}

#[test]
fn etcds_further_names_go_to_the_server_or_the_peer() {
    use kubecerts_core::x509::AlternativeName::{Dns, Ip};
    let tree = tree_of(|intent| {
        intent.etcd = EtcdIntent::local(
            vec![Dns("etcd.example.com".to_owned()), Ip([10, 0, 0, 9].into())],
            vec![Dns("peer.example.com".to_owned()), Dns("localhost".to_owned())],
        );
    });
    let own = ["IP:192.168.10.11", "IP:127.0.0.1", "IP:::1"];
    let expected = [&["DNS:cp-1", "DNS:etcd.example.com", "DNS:localhost"][..], &own, &["IP:10.0.0.9"]];
    assert_eq!(names(&tree, "etcd/server"), expected.concat());
    let expected = [&["DNS:cp-1", "DNS:localhost", "DNS:peer.example.com"][..], &own];
    assert_eq!(names(&tree, "etcd/peer"), expected.concat());
}

#[test]
fn an_external_etcd_leaves_its_files_to_others() {
    let tree = tree_of(|intent| intent.etcd = EtcdIntent::External);
    assert!(!tree.files().any(|(path, ..)| path.as_str().contains("etcd")));
    assert_eq!(tree.files().count(), 2 * 5 + 5 + 2);
    let named = InitRequest::first_node(InitScope::Named([Slot::Leaf(LeafSlot::EtcdPeer)].into()));
    let mut intent = base();
    intent.etcd = EtcdIntent::External;
    let plan = initialise(&intent, &tree.inventory(), &named, at(NOW), &mut Seeded::new(1)).unwrap();
    assert_eq!(plan.deferred()[0].reason(), &Reason::NotOfThisNode);
    assert!(plan.is_incomplete());
}

#[test]
fn every_key_is_of_the_algorithm_that_was_asked_for() {
    for (algorithm, key_type, signature) in [
        (KeyAlgorithm::EcdsaP384, KeyType::EcdsaP384, "ecdsa-with-SHA384"),
        (KeyAlgorithm::EcdsaP256, KeyType::EcdsaP256, "ecdsa-with-SHA256"),
    ] {
        let tree = tree_of(|intent| intent.algorithm = algorithm);
        for (name, certificate) in every_certificate(&tree) {
            assert_eq!(certificate.public_key().key_type(), &key_type, "{name}");
            assert_eq!(certificate.signature_algorithm(), signature, "{name}");
        }
    }
    // RSA keys of this size take seconds each, so one authority has to do.
    let mut intent = base();
    intent.algorithm = KeyAlgorithm::Rsa4096;
    let request = InitRequest::first_node(InitScope::Named([Slot::Ca(CaSlot::FrontProxy)].into()));
    let mut tree = MemoryTree::default();
    let _ = run(&intent, &request, &mut tree, &mut Seeded::provider(5));
    let certificate = tree.certificate(&format!("{PKI}/front-proxy-ca.crt"));
    assert_eq!(certificate.public_key().key_type(), &KeyType::Rsa { bits: 4096 });
    assert_eq!(certificate.signature_algorithm(), "sha256WithRSAEncryption");
    assert!(
        tree.read_file(&format!("{PKI}/front-proxy-ca.key")).starts_with(b"-----BEGIN RSA PRIVATE KEY-----")
    );
}

#[test]
fn any_name_of_a_cluster_reads_back() {
    for name in ["my cluster: #1", "123", "true", "\"quoted\" \\ 'name'", "Bär 北京", "- a", "a@b"] {
        let tree = tree_of(|intent| name.clone_into(&mut intent.cluster_name));
        for kubeconfig in KubeconfigSlot::ALL {
            let content = tree.read_file(&format!("/etc/kubernetes/{kubeconfig}"));
            let parsed = Kubeconfig::parse(content).unwrap();
            let current = parsed.current().unwrap();
            assert_eq!(current.cluster.name(), name);
            assert_eq!(current.context.name(), format!("{}@{name}", current.user.name()));
        }
    }
    for name in ["", "two\nlines", "\u{2028}"] {
        let mut intent = base();
        name.clone_into(&mut intent.cluster_name);
        let inventory = MemoryTree::default().inventory();
        let result = initialise(&intent, &inventory, &InitRequest::default(), at(NOW), &mut Seeded::new(1));
        assert!(result.is_err(), "{name:?}");
    }
}

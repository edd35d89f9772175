//! One broken fleet for each finding between nodes, which has it and no other.
//!
//! A fleet is three nodes of one cluster with kubeadm's default trees.

use kubecerts_core::catalog::{NodeName, Slot};
use kubecerts_core::diagnosis::{FindingCode, Impact, Policy, Severity};
use kubecerts_core::fleet::{FleetFinding, Member, compare};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{AuthorityKeys, SharedFiles, issue_with_shared};
use kubecerts_core::plan::{ClusterIntent, InitRequest, initialise};
use kubecerts_core::x509::{AlternativeName, KeyAlgorithm};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at};

/// Defines one test for each broken fleet, and the table of all codes that are so tested.
macro_rules! broken_fleets {
    ($($test:ident: $code:ident => $findings:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let findings: Vec<FleetFinding> = $findings;
                let codes: Vec<FindingCode> = findings.iter().map(|found| found.finding.code).collect();
                assert_eq!(codes, [FindingCode::$code], "{findings:#?}");
                assert!(findings.iter().all(|found| !found.nodes.is_empty()), "{findings:#?}");
            }
        )+

        pub(crate) const TABLE: &[FindingCode] = &[$(FindingCode::$code),+];
    };
}

broken_fleets! {
    a_node_with_another_front_proxy_authority_is_found: CaMismatch => broken(|nodes| {
        let other = TreeBuilder::kubeadm().seed(9).build();
        for file in ["/etc/kubernetes/pki/front-proxy-ca.crt", "/etc/kubernetes/pki/front-proxy-ca.key"] {
            let content = other.read_file(file).to_vec();
            nodes[2].edit(file, |old| *old = content);
        }
    });
    a_node_of_another_cluster_is_said_to_be_one: CaMismatch => broken(|nodes| {
        nodes[2] = TreeBuilder::kubeadm().seed(9).build();
    });
    a_server_certificate_on_two_nodes_is_shared: LeafShared => broken(|nodes| {
        for file in ["/etc/kubernetes/pki/etcd/peer.crt", "/etc/kubernetes/pki/etcd/peer.key"] {
            let content = nodes[0].read_file(file).to_vec();
            nodes[1].edit(file, |old| *old = content);
        }
    });
    a_kubeconfig_on_two_nodes_is_to_know: LeafShared => broken(|nodes| {
        let content = nodes[0].read_file("/etc/kubernetes/scheduler.conf").to_vec();
        nodes[1].edit("/etc/kubernetes/scheduler.conf", |old| *old = content);
    });
    a_load_balancer_that_one_server_does_not_know_is_found: NamesDiffer => broken(|nodes| {
        for node in &mut nodes[..2] {
            node.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |leaf| {
                let mut names = leaf.alternative_names.as_slice().to_vec();
                names.push(AlternativeName::Dns("lb.example.com".to_owned()));
                leaf.alternative_names = kubecerts_core::x509::AlternativeNames::new(names);
            });
        }
    });
    a_node_that_was_left_out_of_a_renewal_is_found: NodesOutOfStep => broken(|nodes| {
        nodes[1].redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |leaf| {
            leaf.not_after = at("2026-09-01T00:00:00Z");
        });
    });
    a_node_of_an_earlier_version_is_found: NodesOutOfStep => broken(|nodes| {
        for (node, version) in nodes.iter_mut().zip(["v1.36.2", "v1.36.2", "v1.35.0"]) {
            let manifest = format!(
                "kind: Pod\nmetadata: {{name: kube-apiserver}}\nspec: {{containers: [{{name: kube-apiserver, \
                 image: 'registry.k8s.io/kube-apiserver:{version}', command: [kube-apiserver]}}]}}\n"
            );
            node.write(&kubecerts_testkit::path("/etc/kubernetes/manifests/kube-apiserver.yaml"), manifest, 0o600);
        }
    });
    nodes_with_different_service_account_keys_are_found: SaKeysDiffer => broken(|nodes| {
        let other = TreeBuilder::kubeadm().seed(9).build();
        for file in ["/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa.key"] {
            let content = other.read_file(file).to_vec();
            nodes[0].edit(file, |old| *old = content);
        }
    });
}

#[test]
fn a_healthy_fleet_has_no_finding() {
    assert_eq!(findings(&fleet()), Vec::new());
}

#[test]
fn one_node_alone_has_no_finding() {
    assert_eq!(findings(&fleet()[..1]), Vec::new());
    assert_eq!(findings(&[]), Vec::new());
}

#[test]
fn the_odd_node_is_named_and_the_majority_is_said() {
    let found = broken(|nodes| {
        let other = TreeBuilder::kubeadm().seed(9).build();
        for file in ["/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa.key"] {
            let content = other.read_file(file).to_vec();
            nodes[1].edit(file, |old| *old = content);
        }
    });
    assert_eq!(found[0].nodes, ["cp-2"]);
    assert_eq!(found[0].finding.message, "cp-2: another key pair than on cp-1, cp-3, the majority");
}

#[test]
fn of_two_nodes_neither_is_the_majority() {
    let mut nodes = fleet();
    let other = TreeBuilder::kubeadm().seed(9).build();
    for file in ["/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa.key"] {
        let content = other.read_file(file).to_vec();
        nodes[1].edit(file, |old| *old = content);
    }
    let found = findings(&nodes[..2]);
    assert_eq!(found[0].nodes, ["cp-1", "cp-2"]);
}

#[test]
fn fixtures_of_different_clusters_are_told_apart() {
    let trees =
        [Fixture::named("kubeadm-v136-rsa2048").tree(), Fixture::named("kubeadm-v136-ecdsa-p256").tree()];
    let found = findings(&trees);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].finding.message.contains("another cluster"), "{found:#?}");
    assert_eq!(found[0].finding.place, None);
}

#[test]
fn a_shared_kubeconfig_is_a_notice_and_a_shared_server_certificate_an_error() {
    let of = |file: &'static str, key: Option<&'static str>| {
        broken(|nodes| {
            for file in [Some(file), key].into_iter().flatten() {
                let content = nodes[0].read_file(file).to_vec();
                nodes[1].edit(file, |old| *old = content);
            }
        })
    };
    let found = of("/etc/kubernetes/controller-manager.conf", None);
    assert_eq!((found[0].finding.severity, found[0].finding.impact), (Severity::Notice, Impact::None));
    let found = of("/etc/kubernetes/pki/etcd/server.crt", Some("/etc/kubernetes/pki/etcd/server.key"));
    assert_eq!((found[0].finding.severity, found[0].finding.impact), (Severity::Error, Impact::Inconsistent));
    // It is cp-1's by its names, and stays there.
    assert_eq!(found[0].nodes, ["cp-2"]);
    let place = found[0].finding.place.as_ref().and_then(|place| place.slot());
    assert!(matches!(place, Some(Slot::Leaf(_))));
}

#[test]
fn a_node_that_joined_earlier_was_not_left_out_of_a_renewal() {
    let redraft = |node: &mut MemoryTree, file: &str, begin: &str, end: &str| {
        let ca = if file.starts_with("etcd/") { "etcd/ca" } else { "ca" };
        let path = |name: &str, extension: &str| format!("/etc/kubernetes/pki/{name}.{extension}");
        node.redraft(&path(file, "crt"), &path(ca, "key"), |leaf| {
            (leaf.not_before, leaf.not_after) = (at(begin), at(end));
        });
    };
    let message = |change: &dyn Fn(&mut [MemoryTree; 3])| {
        let found = broken(change);
        assert_eq!(found.len(), 1, "{found:#?}");
        (found[0].finding.severity, found[0].finding.message.clone())
    };
    // What ends first is named with its own end.
    let (severity, text) = message(&|nodes| {
        redraft(&mut nodes[1], "apiserver", "2025-11-01T00:00:00Z", "2026-11-01T00:00:00Z");
        redraft(&mut nodes[1], "etcd/peer", "2025-09-01T00:00:00Z", "2026-09-01T00:00:00Z");
    });
    assert_eq!(severity, Severity::Notice);
    assert!(
        text.starts_with(
            "cp-2 is out of step with the others: etcd-peer ends 2026-09-01T00:00:00Z, elsewhere 2027"
        ),
        "{text}"
    );
    assert!(text.ends_with("(and 1 more)"), "{text}");
    // The other nodes have certificates of before, so theirs were renewed.
    let (severity, text) = message(&|nodes| {
        for node in [0, 2] {
            redraft(&mut nodes[node], "apiserver", "2026-05-01T00:00:00Z", "2027-05-01T00:00:00Z");
        }
    });
    assert_eq!(severity, Severity::Warning);
    assert!(text.starts_with("cp-2 was not renewed with the others: apiserver ends 2027-01-01"), "{text}");
}

fn broken(change: impl FnOnce(&mut [MemoryTree; 3])) -> Vec<FleetFinding> {
    let mut nodes = fleet();
    change(&mut nodes);
    findings(&nodes)
}

fn findings(nodes: &[MemoryTree]) -> Vec<FleetFinding> {
    let inventories: Vec<Inventory> = nodes.iter().map(MemoryTree::inventory).collect();
    let names = ["cp-1", "cp-2", "cp-3"];
    let members: Vec<Member<'_>> =
        names.iter().zip(&inventories).map(|(name, inventory)| Member::new(name, inventory)).collect();
    compare(&members, Policy::default(), at("2026-06-01T00:00:00Z"))
}

/// Three nodes of one cluster, whose server certificates have their own names and addresses.
fn fleet() -> [MemoryTree; 3] {
    let first = TreeBuilder::kubeadm().build();
    let others = [2, 3].map(|index: u8| {
        let node: NodeName = format!("cp-{index}").parse().unwrap();
        let mut intent = ClusterIntent::new(node, [192, 168, 10, 10 + index].into());
        intent.algorithm = KeyAlgorithm::EcdsaP256;
        let shared = SharedFiles::of(&first.snapshot(), &intent.etcd).unwrap();
        let request = InitRequest::joining_node(true);
        let made = at("2026-01-01T00:00:00Z");
        let mut seed = Seeded::new(index.into());
        let plan = initialise(&intent, &shared.inventory(), &request, made, &mut seed).unwrap();
        let mut provider = Seeded::provider(index.into());
        let changes = issue_with_shared(&plan, &shared, AuthorityKeys::Copied, &mut provider).unwrap();
        let mut tree = MemoryTree::default();
        tree.apply(&changes);
        tree
    });
    let [second, third] = others;
    [first, second, third]
}

//! Stories that only a look at several nodes tells.

use kubecerts_core::catalog::NodeName;
use kubecerts_core::diagnosis::{FindingCode as F, Policy};
use kubecerts_core::fleet::{FleetFinding, Member, compare};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{AuthorityKeys, SharedFiles, issue_with_shared};
use kubecerts_core::plan::{ClusterIntent, InitRequest, initialise};
use kubecerts_core::x509::{AlternativeName, AlternativeNames, KeyAlgorithm};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at};

use crate::CA_KEY;

/// Nodes between which something is wrong.
struct Story {
    number: u8,
    title: &'static str,
    /// What is to be named first.
    first: F,
    /// Where it has to be mended.
    nodes: &'static [&'static str],
    change: fn(&mut [MemoryTree; 3]),
}

const STORIES: &[Story] = &[
    Story {
        number: 7,
        title: "server certificates were copied to another node",
        first: F::LeafShared,
        nodes: &["cp-1", "cp-2"],
        change: |nodes| {
            let [first, second, _] = nodes;
            for name in ["apiserver", "etcd/server", "etcd/peer"] {
                copy(first, second, &[&format!("{name}.crt"), &format!("{name}.key")]);
            }
        },
    },
    Story {
        number: 12,
        title: "the load balancer's name was added on one node only",
        first: F::NamesDiffer,
        nodes: &["cp-2"],
        change: |[first, ..]| {
            first.redraft("/etc/kubernetes/pki/apiserver.crt", CA_KEY, |leaf| {
                let mut names = leaf.alternative_names.as_slice().to_vec();
                names.push(AlternativeName::Dns("lb.example.com".to_owned()));
                leaf.alternative_names = AlternativeNames::new(names);
            });
        },
    },
    Story {
        number: 13,
        title: "a node was built anew with certificates of its own",
        first: F::CaMismatch,
        nodes: &["cp-3"],
        change: |nodes| nodes[2] = TreeBuilder::kubeadm().seed(9).build(),
    },
    Story {
        number: 13,
        title: "a node has another authority and another pair for tokens",
        first: F::CaMismatch,
        nodes: &["cp-3"],
        change: |nodes| {
            let other = TreeBuilder::kubeadm().seed(9).build();
            copy(&other, &mut nodes[2], &["ca.crt", "ca.key", "sa.key", "sa.pub"]);
        },
    },
    Story {
        number: 13,
        title: "a node has another pair for tokens",
        first: F::SaKeysDiffer,
        nodes: &["cp-2"],
        change: |nodes| {
            let other = TreeBuilder::kubeadm().seed(9).build();
            copy(&other, &mut nodes[1], &["sa.key", "sa.pub"]);
        },
    },
];

#[test]
fn the_first_finding_between_nodes_is_the_cause() {
    for Story { number, title, first, nodes, change } in STORIES {
        let mut fleet = fleet();
        assert_eq!(found(&fleet), [], "{number} {title}");
        change(&mut fleet);
        let found = found(&fleet);
        let cause = found.first().unwrap_or_else(|| panic!("{number} {title}: nothing is found"));
        assert_eq!(
            (cause.finding.code, cause.nodes.as_slice()),
            (*first, &owned(nodes)[..]),
            "{number} {title}: {found:#?}"
        );
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn found(nodes: &[MemoryTree; 3]) -> Vec<FleetFinding> {
    let inventories: Vec<Inventory> = nodes.iter().map(MemoryTree::inventory).collect();
    let names = ["cp-1", "cp-2", "cp-3"];
    let members: Vec<Member<'_>> =
        names.iter().zip(&inventories).map(|(name, inventory)| Member::new(name, inventory)).collect();
    compare(&members, Policy::default(), at("2026-06-01T00:00:00Z"))
}

fn copy(from: &MemoryTree, to: &mut MemoryTree, names: &[&str]) {
    for name in names {
        let file = format!("/etc/kubernetes/pki/{name}");
        to.edit(&file, |content| *content = from.read_file(&file).to_vec());
    }
}

/// Three nodes of one cluster, whose server certificates have their own names and addresses.
fn fleet() -> [MemoryTree; 3] {
    let first = TreeBuilder::kubeadm().build();
    let [second, third] = [2, 3].map(|index: u8| {
        let node: NodeName = format!("cp-{index}").parse().unwrap();
        let mut intent = ClusterIntent::new(node, [192, 168, 10, 10 + index].into());
        intent.algorithm = KeyAlgorithm::EcdsaP256;
        let shared = SharedFiles::of(&first.snapshot(), &intent.etcd).unwrap();
        let request = InitRequest::joining_node(true);
        let (made, mut seed) = (at("2026-01-01T00:00:00Z"), Seeded::new(index.into()));
        let plan = initialise(&intent, &shared.inventory(), &request, made, &mut seed).unwrap();
        let mut provider = Seeded::provider(index.into());
        let changes = issue_with_shared(&plan, &shared, AuthorityKeys::Copied, &mut provider).unwrap();
        let mut tree = MemoryTree::default();
        tree.apply(&changes);
        tree
    });
    [first, second, third]
}

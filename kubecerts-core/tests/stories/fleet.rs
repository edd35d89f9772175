//! Stories that only a look at several nodes tells.

use kubecerts_core::catalog::{CaSlot, LeafSlot, NodeName, Slot};
use kubecerts_core::diagnosis::{
    Case, Finding, FindingCode as F, FleetCase, NodeCases, Policy, Remedy, between, cases, diagnose,
};
use kubecerts_core::fleet::{FleetFinding, Member, compare};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{AuthorityKeys, SharedFiles, issue_with_shared};
use kubecerts_core::observation::Observations;
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
        nodes: &["cp-2"],
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

#[test]
fn what_comes_of_another_authority_is_told_below_it_and_never_renewed_with_it() {
    let mut nodes = fleet();
    let other = TreeBuilder::kubeadm().seed(9).build();
    copy(&other, &mut nodes[2], &["ca.crt", "ca.key", "apiserver.crt", "apiserver.key"]);
    let (cases, left) = told(&nodes);
    let FleetCase { case, nodes, .. } = &cases[0];
    assert_eq!((case.finding.code, nodes.as_slice()), (F::CaMismatch, &owned(&["cp-3"])[..]), "{cases:#?}");
    let Remedy::TakePair { slot, from, reissue, .. } = &case.finding.remedy else { panic!("{case:#?}") };
    assert_eq!((*slot, from), (Slot::Ca(CaSlot::Cluster), &owned(&["cp-1", "cp-2"])));
    // The rest is the cluster's own, and good again with its authority.
    assert_eq!(*reissue, [Slot::Leaf(LeafSlot::ApiServer)]);
    assert!(!case.explains.is_empty(), "{case:#?}");
    for below in &case.explains {
        assert_eq!(below.node.as_deref(), Some("cp-3"), "{below:#?}");
        // Of names that the other cluster's server lacks, its new one will have to have them.
        if below.finding.code != F::AlternativeNameMissing {
            assert_eq!(below.finding.remedy, Remedy::MendCause, "{below:#?}");
        }
    }
    let renewed = left.iter().flat_map(|node| &node.cases).flat_map(Case::findings);
    let renewed: Vec<&Finding> =
        renewed.filter(|finding| matches!(finding.remedy, Remedy::Renew(_))).collect();
    assert_eq!(renewed, Vec::<&Finding>::new());
}

#[test]
fn of_two_nodes_the_authority_counts_that_has_signed_on_the_other() {
    let mut nodes = fleet();
    let other = TreeBuilder::kubeadm().seed(9).build();
    copy(&other, &mut nodes[1], &["etcd/ca.crt", "etcd/ca.key", "etcd/server.crt", "etcd/server.key"]);
    let found = compared(&nodes[..2]);
    assert_eq!((found[0].finding.code, &found[0].nodes), (F::CaMismatch, &owned(&["cp-2"])), "{found:#?}");
    assert!(matches!(found[0].finding.remedy, Remedy::TakePair { .. }), "{found:#?}");
}

#[test]
fn copied_certificates_are_told_once_and_for_the_node_that_they_are_not_for() {
    let mut nodes = fleet();
    let [first, second, _] = &mut nodes;
    copy(first, second, &["etcd/peer.crt", "etcd/peer.key"]);
    let (cases, left) = told(&nodes);
    let [FleetCase { case, nodes, .. }] = cases.as_slice() else { panic!("{cases:#?}") };
    assert_eq!(nodes.as_slice(), owned(&["cp-2"]));
    assert_eq!(
        case.finding.message,
        "cp-2 has the certificate that is valid for cp-1, though each node needs its own"
    );
    assert!(left.iter().all(|node| node.cases.is_empty()), "{left:#?}");
}

/// Returns the cases between the nodes, and those that are left of each.
fn told(nodes: &[MemoryTree]) -> (Vec<FleetCase>, Vec<NodeCases>) {
    let (seen, now) = (Observations::none(), at("2026-06-01T00:00:00Z"));
    let of_node = |(name, tree): (&str, &MemoryTree)| {
        let inventory = tree.inventory();
        let diagnosis = diagnose(&inventory, &seen, Policy::default(), now);
        let mut cases = cases(&diagnosis, &inventory, &seen);
        // What kubeadm makes has these.
        cases.retain(|case| !matches!(case.finding.code, F::KubeletConfInline | F::AdminRbac));
        NodeCases::new(name.to_owned(), cases)
    };
    let mut left = ["cp-1", "cp-2", "cp-3"].into_iter().zip(nodes).map(of_node).collect::<Vec<_>>();
    (between(compared(nodes), &mut left), left)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn found(nodes: &[MemoryTree; 3]) -> Vec<FleetFinding> {
    compared(nodes)
}

fn compared(nodes: &[MemoryTree]) -> Vec<FleetFinding> {
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

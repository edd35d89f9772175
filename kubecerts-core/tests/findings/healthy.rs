//! Trees that real kubeadm made have no finding that would need somebody to act.

use std::collections::BTreeSet;

use kubecerts_core::diagnosis::{Policy, Severity, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::ScanRequest;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree};

/// kubelet.conf as kubeadm leaves it until the kubelet has rotated.
const KNOWN: &str = "kubelet-conf-inline";

#[test]
fn what_kubeadm_makes_and_renews_is_healthy() {
    // The manifests of one name a directory that it does not have.
    let is_whole = |name: &&str| !name.contains("expired") && !name.contains("custom-cert-dir");
    for name in FIXTURES.into_iter().filter(is_whole) {
        let fixture = Fixture::named(name);
        let trees = [Some(fixture.tree()), fixture.renewed()];
        for (tree, request) in trees
            .into_iter()
            .flatten()
            .flat_map(|tree| [(tree.clone(), ScanRequest::default()), (tree, fixture.with_config())])
        {
            let found = complaints(&tree, request);
            assert!(found.iter().all(|line| line.contains(KNOWN)), "{name}: {found:#?}");
        }
    }
}

#[test]
fn a_tree_whose_leaves_are_over_has_no_other_complaint() {
    for name in FIXTURES.into_iter().filter(|name| name.contains("expired")) {
        let tree = Fixture::named(name).tree();
        let complaints: BTreeSet<String> = complaints(&tree, ScanRequest::default())
            .into_iter()
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect();
        let codes: Vec<&str> = complaints.iter().map(String::as_str).collect();
        // Of one of them an authority is over as well, and kubeadm lets leaves outlive that.
        let known = ["expired", "expires-soon", KNOWN, "leaf-outlives-ca"];
        assert!(
            codes.contains(&"expired") && codes.iter().all(|code| known.contains(code)),
            "{name}: {codes:?}"
        );
    }
}

/// Returns what is wrong soon after the newest certificate was made.
fn complaints(tree: &MemoryTree, request: ScanRequest) -> Vec<String> {
    let inventory = Inventory::parse(&tree.snapshot_with(request));
    let now = newest(&inventory).plus(Seconds(600));
    // One of them was made for thirty days.
    let policy = Policy::with_window(Seconds::from_days(7));
    let diagnosis = diagnose(&inventory, &Observations::none(), policy, now);
    let serious = diagnosis.findings().iter().filter(|finding| finding.severity != Severity::Notice);
    serious.map(|finding| format!("{} {finding}", finding.code)).collect()
}

fn newest(inventory: &Inventory) -> Timestamp {
    let leaves = inventory.credentials().filter_map(|(_, credential)| credential.leaf());
    leaves.map(|leaf| leaf.not_before()).max().unwrap()
}

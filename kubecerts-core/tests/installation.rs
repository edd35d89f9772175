//! A kubelet's credential that was issued elsewhere comes into the node's own files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{FileSlot, NodeName, Slot};
use kubecerts_core::issue::{
    Expected, Installation, InstallationError, NodeCredential, Term, node_credential, node_installation,
};
use kubecerts_core::plan::{Reason, node_name};
use kubecerts_core::snapshot::{FileState, ReadProblem};
use kubecerts_core::time::Seconds;
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at, path};

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// What of a control plane a worker has. Its kubelet.conf embeds a credential of `cp-1`.
fn worker() -> MemoryTree {
    let tree = TreeBuilder::kubeadm().build();
    let mut worker = MemoryTree::default();
    worker.write(&path(CA), tree.read_file(CA), 0o644);
    worker.write(&path(CONF), tree.read_file(CONF), 0o600);
    worker
}

/// A credential of `cp-1`, valid for a day from 2026-06-01 on.
fn credential(seed: u64) -> NodeCredential {
    let tree = TreeBuilder::kubeadm().seed(seed).build();
    let term = Term { now: at("2026-06-01T00:00:00Z"), lifetime: Seconds::from_days(1) };
    let name = NodeName::parse("cp-1").unwrap();
    node_credential(&name, &tree.snapshot(), term, &mut Seeded::new(2), &mut Seeded::provider(3)).unwrap()
}

fn install(
    tree: &MemoryTree,
    credential: NodeCredential,
    now: &str,
) -> Result<Installation, InstallationError> {
    node_installation(credential, tree.snapshot(), at(now), &mut Seeded::new(5))
}

#[test]
fn certificate_link_and_reference_are_one_set_of_changes() {
    let mut worker = worker();
    let made = install(&worker, credential(1), "2026-06-01T12:30:05Z").unwrap();
    assert!(made.is_authority_known && made.left.is_none() && made.replaced.is_none(), "{made:?}");
    let [client, conf] = made.changes.changes() else { panic!("{made:?}") };
    assert_eq!((client.path().as_str(), client.mode(), client.expected()), (PEM, 0o600, Expected::Absent));
    assert_eq!(client.dated(), Some("kubelet-client-2026-06-01-12-30-05.pem"));
    assert_eq!((conf.path().as_str(), conf.mode()), (CONF, 0o600));
    assert!(!format!("{made:?}").contains("PRIVATE"));
    worker.apply(&made.changes);
    let inventory = worker.inventory();
    let leaf = |slot| inventory.credential(slot).unwrap().leaf().unwrap();
    assert_eq!(
        leaf(FileSlot::Kubeconfig(kubecerts_core::catalog::KubeconfigSlot::Kubelet).slot()),
        &made.certificate
    );
    assert_eq!(leaf(Slot::KubeletClient), &made.certificate);

    // A day is less than any window of renewal, and kubelet.conf is left alone all the same.
    let again = install(&worker, credential(1), "2026-06-01T13:00:00Z").unwrap();
    assert_eq!(again.changes.changes().len(), 1);
    assert_eq!(again.replaced, Some(made.certificate));
    assert!(matches!(again.changes.changes()[0].expected(), Expected::Content(_)));
}

#[test]
fn what_would_be_of_no_use_is_refused() {
    let worker = worker();
    for now in ["2026-05-31T23:00:00Z", "2026-06-02T00:00:00Z"] {
        assert!(
            matches!(install(&worker, credential(1), now), Err(InstallationError::NotValid { .. })),
            "{now}"
        );
    }
    let of_another = install(&worker, credential(2), "2026-06-01T12:00:00Z");
    assert!(matches!(of_another, Err(InstallationError::OtherAuthority { .. })));
}

#[test]
fn a_kubeconfig_that_cannot_be_mended_is_left_with_the_reason() {
    let mut worker = worker();
    worker.write(&path(CONF), "nothing", 0o600);
    let made = install(&worker, credential(1), "2026-06-01T12:00:00Z").unwrap();
    assert_eq!(made.left, Some(Reason::ServerUnknown));
    assert_eq!(made.changes.changes().len(), 1);
}

#[test]
fn without_an_authority_nobody_can_tell_who_signed() {
    let mut worker = worker();
    worker.remove(CA);
    let made = install(&worker, credential(2), "2026-06-01T12:00:00Z").unwrap();
    assert!(!made.is_authority_known);
}

#[test]
fn a_link_that_leads_nowhere_is_replaced_and_what_cannot_be_read_is_not() {
    let unreadable = |problem| {
        let mut snapshot = worker().snapshot();
        snapshot.insert(FileSlot::KubeletClient, FileState::Unreadable(problem));
        node_installation(credential(1), snapshot, at("2026-06-01T12:00:00Z"), &mut Seeded::new(5))
    };
    let dangling = ReadProblem::DanglingLink { link: path(PEM), target: "gone.pem".to_owned() };
    assert_eq!(unreadable(dangling).unwrap().changes.changes()[0].expected(), Expected::Absent);
    let denied = unreadable(ReadProblem::PermissionDenied).unwrap_err();
    assert_eq!(denied.to_string(), format!("{PEM} cannot be read: {}", ReadProblem::PermissionDenied));
}

#[test]
fn the_node_s_name_is_that_of_its_certificates() {
    assert_eq!(node_name(&worker().inventory()), NodeName::parse("cp-1").ok());
    assert_eq!(node_name(&MemoryTree::default().inventory()), None);
}

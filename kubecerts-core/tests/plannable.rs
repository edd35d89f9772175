//! What is planned can be issued: one odd kubeconfig must not stop the renewal of everything else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::issue::{ChangeSet, IssueError, issue};
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at};

const ADMIN: &str = "/etc/kubernetes/admin.conf";

// then refuses the whole plan with EditError::Missing. Expected: the slot is deferred, or its key is added.
#[test]
fn a_kubeconfig_without_key_data_does_not_stop_the_others() {
    let mut tree = TreeBuilder::kubeadm().build();
    let line = line_with(&tree, "client-key-data: ");
    replace(&mut tree, &line, "");
    assert_eq!(renew_all(&tree).map(|changes| changes.is_empty()), Ok(false));
}

// whole plan with EditError::Missing. Expected: only embedded authority data are replaced.
#[test]
fn a_kubeconfig_that_refers_to_another_authority_does_not_stop_the_others() {
    let mut tree = TreeBuilder::kubeadm().build();
    let stranger = TreeBuilder::kubeadm().seed(2).build();
    let line = line_with(&tree, "certificate-authority-data: ");
    replace(&mut tree, &line, "    certificate-authority: /etc/ssl/old-ca.crt\n");
    let foreign = stranger.read_file("/etc/kubernetes/pki/ca.crt");
    tree.write(&kubecerts_testkit::path("/etc/ssl/old-ca.crt"), foreign, 0o644);
    assert_eq!(renew_all(&tree).map(|changes| changes.is_empty()), Ok(false));
}

#[test]
fn a_kubeconfig_that_refers_to_the_authority_of_the_tree_is_renewed() {
    let mut tree = TreeBuilder::kubeadm().build();
    let line = line_with(&tree, "certificate-authority-data: ");
    replace(&mut tree, &line, "    certificate-authority: pki/ca.crt\n");
    let changes = renew_all(&tree).unwrap();
    assert!(changes.changes().iter().any(|change| change.path().as_str() == ADMIN));
}

fn renew_all(tree: &MemoryTree) -> Result<ChangeSet, IssueError> {
    let request = PlanRequest::with_selection(Selection::All);
    let now = at("2026-12-15T00:00:00Z");
    let plan = plan(&tree.inventory(), &request, now, &mut Seeded::new(1)).unwrap();
    issue(&plan, &tree.snapshot(), &mut Seeded::provider(1))
}

/// Returns the line of admin.conf that holds `key`, with its line end.
fn line_with(tree: &MemoryTree, key: &str) -> String {
    let text = std::str::from_utf8(tree.read_file(ADMIN)).unwrap();
    text.split_inclusive('\n').find(|line| line.contains(key)).unwrap().to_owned()
}

fn replace(tree: &mut MemoryTree, from: &str, to: &str) {
    tree.edit(ADMIN, |content| {
        *content = std::str::from_utf8(content).unwrap().replacen(from, to, 1).into_bytes();
    });
}

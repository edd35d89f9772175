//! Stories of what lies around the tree.

use kubecerts_core::catalog::{Component, Service};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_testkit::{MemoryTree, Seeded, at, path, service_account_token};

use crate::causes::{made_anew, made_later, with_programs};
use crate::{NOW, Node, whole};

pub(crate) fn stale_copy() -> Node {
    renewed(|tree| tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config"))
}

pub(crate) fn uncounted_copy() -> Node {
    renewed(|tree| {
        tree.copy("/etc/kubernetes/pki/apiserver-etcd-client.crt", "/etc/calico/certs/etcd-client.crt");
    })
}

/// Returns a node that was changed on its first day and renewed in May.
fn renewed(change: impl FnOnce(&mut MemoryTree)) -> Node {
    let mut tree = whole().build();
    change(&mut tree);
    let everything = PlanRequest::with_selection(Selection::All);
    tree.renew(&everything, at("2026-05-01T00:00:00Z"), &mut Seeded::provider(2));
    Node { written: "2026-05-01T00:00:00Z", now: "2026-06-01T00:00:00Z", ..Node::of(tree) }
}

pub(crate) fn timer() -> Node {
    let mut tree = whole().build();
    let unit = |name: &str| path(&format!("/etc/systemd/system/k8s-certs-renew.{name}"));
    let schedule = "[Unit]\nDescription=x\n[Timer]\nOnCalendar=Mon *-*-1,2,3,4,5,6,7 03:00:00\n";
    tree.write(&unit("timer"), schedule, 0o644);
    let service = "[Service]\nType=oneshot\nExecStart=/usr/local/bin/k8s-certs-renew.sh\n";
    tree.write(&unit("service"), service, 0o644);
    tree.write(&path("/usr/local/bin/k8s-certs-renew.sh"), KUBESPRAY, 0o755);
    Node::of(tree)
}

pub(crate) fn pods_from_before() -> Node {
    let mut node = Node::of(whole().build());
    let old = whole().seed(2).build();
    pod(&mut node.tree, &old, &old);
    node
}

pub(crate) fn tokens_from_before() -> Node {
    let mut node = Node::of(whole().build());
    let (own, old) = (node.tree.clone(), whole().seed(2).build());
    pod(&mut node.tree, &own, &old);
    node
}

pub(crate) fn pods_of_a_replaced_authority() -> Node {
    let mut node = made_anew();
    let old = whole().build();
    assert_ne!(old.read_file(CA), made_later().read_file(CA));
    pod(&mut node.tree, &old, &old);
    node
}

pub(crate) fn two_manifests() -> Node {
    let mut node = with_programs();
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    node.tree.copy(manifest, &format!("{manifest}.bak"));
    node.runs_since(Component::ApiServer, "2025-12-01T00:00:00Z");
    node.is_down(Service::ApiServer);
    node.is_down(Service::Scheduler);
    node
}

pub(crate) fn two_layouts() -> Node {
    let mut node = with_programs();
    // The manifests name the tree of kubespray, and kubeadm has renewed its own.
    let manifests: Vec<String> = node
        .tree
        .files()
        .map(|(path, ..)| path.to_string())
        .filter(|file| file.contains("/manifests/"))
        .collect();
    let pki: Vec<String> =
        node.tree.files().map(|(path, ..)| path.to_string()).filter(|file| file.contains("/pki/")).collect();
    for file in pki {
        node.tree.copy(&file, &file.replace("/pki/", "/ssl/"));
    }
    for manifest in manifests {
        node.tree.edit(&manifest, |content| {
            let text =
                std::str::from_utf8(content).unwrap().replace("/etc/kubernetes/pki", "/etc/kubernetes/ssl");
            *content = text.into_bytes();
        });
    }
    let (leaf, key) = ("/etc/kubernetes/ssl/apiserver.crt", "/etc/kubernetes/ssl/ca.key");
    node.tree.redraft(leaf, key, |leaf| leaf.not_after = at("2026-01-31T23:59:59Z"));
    node.now = NOW;
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// What kubespray installs, shortened.
const KUBESPRAY: &str = "#!/bin/bash
/usr/local/bin/kubeadm certs renew all
/usr/local/bin/crictl pods --namespace kube-system --name 'kube-scheduler-*|kube-controller-manager-*|kube-apiserver-*|etcd-*' -q | xargs /usr/local/bin/crictl rmp -f
cp /etc/kubernetes/admin.conf /root/.kube/config
until printf '' 2>>/dev/null >>/dev/tcp/127.0.0.1/6443; do sleep 1; done
";

/// Adds a pod that was given the authority of one tree, and a token of another.
fn pod(tree: &mut MemoryTree, authority: &MemoryTree, accounts: &MemoryTree) {
    let token = service_account_token(accounts.read_file("/etc/kubernetes/pki/sa.pub"));
    tree.add_pod("1", authority.read_file(CA), &token);
}

//! Whether programs use what is on disk, and by which proof that is known.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{Component, FileSlot, KubeconfigSlot, LeafSlot, Service, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::{
    Handshake, Observations, Proof, Run, RunSource, Served, Sighting, Usage, Verdict, usages,
};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileState};
use kubecerts_core::time::Moment;
use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at};

const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";

/// A moment on the day of the renewal, in milliseconds after noon.
fn noon(milliseconds: i64) -> Moment {
    Moment::from_unix(at("2026-06-01T12:00:00Z").unix(), milliseconds * 1_000_000)
}

/// The tree of a real 1.36 node, every file written and moved to its place at these moments.
fn inventory(written: Moment, moved: Moment) -> Inventory {
    let mut snapshot = Fixture::named("kubeadm-v136-rsa2048").tree().snapshot();
    for file in snapshot.layout().iter().map(|(file, _)| file).collect::<Vec<_>>() {
        let FileState::Present(content) = snapshot.file(file) else { continue };
        let mut meta = content.meta().clone();
        (meta.modified, meta.changed) = (Some(written), Some(moved));
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
    }
    Inventory::parse(&snapshot)
}

fn container(component: Component, started: Moment) -> Run {
    Run::new(component, Some(started), RunSource::Container { id: format!("{component}-{started}") })
}

fn serving(service: Service, tree: &MemoryTree, file: &str) -> Sighting {
    let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
    Sighting::new(endpoint, Handshake::Served(Served::new(Ok(tree.certificate(file)), 0)))
}

fn find(usages: &[Usage], component: Component, slot: Slot) -> &Usage {
    usages.iter().find(|usage| usage.component == component && usage.slot() == slot).unwrap()
}

const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);

fn scheduler(written: Moment, moved: Moment, started: &[Moment]) -> (Verdict, Proof) {
    let mut seen = Observations::none();
    seen.runs = started.iter().map(|started| container(Component::Scheduler, *started)).collect();
    let found = usages(&inventory(written, moved), &seen);
    let usage = find(&found, Component::Scheduler, SCHEDULER);
    (usage.verdict, usage.proof.clone())
}

#[test]
fn what_was_started_after_the_file_came_to_its_place_uses_it() {
    let (verdict, proof) = scheduler(noon(0), noon(5), &[noon(5)]);
    assert_eq!(verdict, Verdict::InUse);
    assert!(matches!(proof, Proof::StartedAfter(_)), "{proof}");
}

#[test]
fn what_was_started_before_the_file_was_written_is_stale_by_a_millisecond() {
    let (verdict, proof) = scheduler(noon(1), noon(5), &[noon(0)]);
    assert_eq!(verdict, Verdict::Stale);
    assert!(matches!(proof, Proof::StartedBefore(_)), "{proof}");
}

#[test]
fn what_was_started_between_writing_and_moving_is_not_known() {
    let (verdict, proof) = scheduler(noon(0), noon(5), &[noon(3)]);
    assert_eq!(verdict, Verdict::Unknown);
    assert!(matches!(proof, Proof::ChangedSince(_)), "{proof}");
}

#[test]
fn of_several_containers_the_oldest_decides() {
    assert_eq!(scheduler(noon(1), noon(1), &[noon(9), noon(0)]).0, Verdict::Stale);
}

#[test]
fn what_was_not_seen_is_not_judged() {
    assert_eq!(scheduler(noon(0), noon(0), &[]), (Verdict::Unknown, Proof::NotRunning));
}

#[test]
fn a_served_certificate_proves_a_serving_one_and_no_other() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let mut seen = Observations::none();
    seen.sightings.push(serving(Service::ApiServer, &tree, APISERVER));
    // The container is older than every file.
    seen.runs.push(container(Component::ApiServer, noon(0)));
    let found = usages(&inventory(noon(1), noon(1)), &seen);
    let of = |leaf| find(&found, Component::ApiServer, Slot::Leaf(leaf));
    assert!(matches!(of(LeafSlot::ApiServer).proof, Proof::Served(_)));
    assert_eq!(of(LeafSlot::ApiServer).served, of(LeafSlot::ApiServer).on_disk);
    let client = of(LeafSlot::ApiServerEtcdClient);
    assert_eq!((client.verdict, &client.proof), (Verdict::Unknown, &Proof::PicksUpByItself));
    assert!(client.is_settled() && client.served.is_none());
}

#[test]
fn another_certificate_than_that_on_disk_is_stale_whatever_started_when() {
    let old = TreeBuilder::kubeadm().build();
    let mut seen = Observations::none();
    seen.sightings.push(serving(Service::ApiServer, &old, APISERVER));
    seen.runs.push(container(Component::ApiServer, noon(9)));
    let found = usages(&inventory(noon(1), noon(1)), &seen);
    let usage = find(&found, Component::ApiServer, Slot::Leaf(LeafSlot::ApiServer));
    assert_eq!(usage.verdict, Verdict::Stale);
    assert!(!usage.is_settled());
    assert!(matches!(usage.proof, Proof::ServesAnother(_)));
}

#[test]
fn the_self_signed_certificate_of_the_scheduler_proves_nothing() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let mut seen = Observations::none();
    seen.sightings.push(serving(Service::Scheduler, &tree, APISERVER));
    let found = usages(&inventory(noon(1), noon(1)), &seen);
    assert_eq!(find(&found, Component::Scheduler, SCHEDULER).proof, Proof::NotRunning);
}

#[test]
fn every_certificate_that_a_program_of_the_node_loads_has_a_verdict() {
    let found = usages(&inventory(noon(0), noon(0)), &Observations::none());
    let pairs: Vec<String> =
        found.iter().map(|usage| format!("{} {}", usage.component, usage.slot())).collect();
    assert_eq!(
        pairs,
        [
            "etcd etcd-peer",
            "etcd etcd-server",
            "etcd etcd-ca",
            "kube-apiserver apiserver",
            "kube-apiserver apiserver-etcd-client",
            "kube-apiserver apiserver-kubelet-client",
            "kube-apiserver front-proxy-client",
            "kube-apiserver ca",
            "kube-apiserver etcd-ca",
            "kube-apiserver front-proxy-ca",
            "kube-controller-manager controller-manager.conf",
            "kube-controller-manager ca",
            "kube-controller-manager front-proxy-ca",
            "kube-scheduler scheduler.conf",
            "kubelet kubelet.conf",
            "kubelet ca",
        ]
    );
    assert!(found.iter().all(|usage| usage.verdict == Verdict::Unknown && usage.on_disk.is_some()));
    let scheduler = find(&found, Component::Scheduler, SCHEDULER);
    assert_eq!(scheduler.file, FileSlot::Kubeconfig(KubeconfigSlot::Scheduler));
}

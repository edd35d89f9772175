//! What breaks, and when, on trees that kubeadm made and on trees that were made for it.

use kubecerts_core::catalog::{Component, FileSlot, KubeconfigSlot, Service};
use kubecerts_core::forecast::{Cause, Forecast, Hold, Loss, forecast};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Edit, edit};
use kubecerts_core::observation::{
    ClusterHealth, Handshake, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileState};
use kubecerts_core::time::{Moment, Timestamp};
use kubecerts_core::x509::encode_certificate;
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder, at, path};

#[test]
fn a_client_that_ends_takes_what_needs_it_with_it() {
    let mut tree = whole().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    assert_eq!(
        lines(&seen(&tree, "2026-11-22T00:00:00Z"), "2026-12-31T00:00:00Z"),
        [
            "2026-12-03T00:00:00Z apiserver-etcd-client ends → the API server loses etcd",
            "2026-12-03T00:00:00Z the API server of this node has lost etcd → the API server of this node is of use to nobody",
            "2026-12-03T00:00:00Z the API server of this node is lost → aggregated APIs and metrics fail; \
             kubectl logs, exec and port-forward fail; kube-controller-manager reconciles nothing and signs no request; \
             kube-scheduler places no pod; kubelets cannot renew their certificates; kubectl and kubeadm with admin.conf fail; \
             the way in beside RBAC, super-admin.conf, fails",
        ]
    );
}

#[test]
fn what_follows_names_its_causes_back_to_the_first() {
    let mut tree = whole().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    let forecast = seen(&tree, "2026-11-22T00:00:00Z");
    let last = forecast.upcoming(at("2026-12-31T00:00:00Z")).last().unwrap();
    let causes: Vec<String> = last.because.iter().map(ToString::to_string).collect();
    assert_eq!(
        causes,
        [
            "the API server of this node is lost",
            "the API server of this node has lost etcd",
            "apiserver-etcd-client ends"
        ]
    );
    assert_eq!(last.place, None);
    assert!(last.components().contains(&Component::Scheduler));
}

#[test]
fn what_is_lost_already_says_since_when() {
    let mut tree = whole().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    shorten(&mut tree, APISERVER, CA_KEY, "2026-12-20T00:00:00Z");
    let forecast = seen(&tree, "2026-11-22T00:00:00Z");
    let server = forecast.events().iter().find(|event| event.path == Some(path(APISERVER))).unwrap();
    assert_eq!(server.what, [Loss::ApiServer]);
    assert_eq!(server.lost_since, Some(at("2026-12-03T00:00:00Z")));
}

#[test]
fn a_tree_of_one_age_has_one_event_for_each_certificate_and_no_echo() {
    let forecast = seen(&whole().build(), "2026-11-22T00:00:00Z");
    let of_leaves: Vec<_> = forecast.upcoming(at("2027-12-31T00:00:00Z")).collect();
    let ends = of_leaves.iter().filter(|event| event.place.is_some()).count();
    assert_eq!(ends, 11);
    let follow: Vec<&Vec<Loss>> =
        of_leaves.iter().filter(|event| event.place.is_none()).map(|event| &event.what).collect();
    assert_eq!(follow, [&vec![Loss::Rotation]]);
}

#[test]
fn an_authority_takes_what_it_has_signed() {
    let mut tree = whole().build();
    tree.redraft(ETCD_CA, ETCD_CA_KEY, |ca| ca.not_after = at("2026-06-01T00:00:00Z"));
    let forecast = seen(&tree, "2026-05-01T00:00:00Z");
    let first = &forecast.events()[0];
    assert_eq!(first.trigger(), "etcd-ca ends");
    assert_eq!(first.what, [Loss::EtcdServing, Loss::EtcdPeers, Loss::EtcdTools, Loss::EtcdAccess]);
    let taken: Vec<String> = first.takes.iter().map(ToString::to_string).collect();
    assert_eq!(taken, ["apiserver-etcd-client", "etcd-healthcheck-client", "etcd-peer", "etcd-server"]);
    let alone = forecast.events().iter().filter_map(|event| event.place.as_ref());
    assert!(alone.clone().all(|place| !first.takes.contains(place)), "they do not end by themselves");
    let second = &forecast.events()[1];
    assert_eq!((second.at, &second.what[..]), (first.at, &[Loss::ApiServer][..]));
}

#[test]
fn the_authority_of_the_cluster_names_who_trusts_it() {
    let forecast = seen(&whole().build(), "2026-05-01T00:00:00Z");
    let ca = forecast.events().iter().find(|event| event.trigger() == "ca ends").unwrap();
    assert_eq!(ca.trusting, ["admin.conf", "controller-manager.conf", "scheduler.conf", "super-admin.conf"]);
    assert!(ca.what.contains(&Loss::Rotation) && ca.what.contains(&Loss::ApiServer));
}

#[test]
fn what_an_extended_authority_signed_goes_on_with_it() {
    let mut tree = whole().build();
    let old = tree.read_file(CA).to_vec();
    tree.redraft(CA, CA_KEY, |ca| ca.not_after = at("2046-01-01T00:00:00Z"));
    tree.edit(CA, |content| content.splice(0..0, old).for_each(drop));
    let forecast = seen(&tree, "2026-05-01T00:00:00Z");
    let ca = forecast.events().iter().find(|event| event.trigger() == "ca ends").unwrap();
    assert_eq!(ca.at, at("2046-01-01T00:00:00Z"));
    // The kubeconfigs have the earlier one only.
    let trust: Vec<String> = forecast
        .events()
        .iter()
        .filter(|event| event.because.iter().any(|cause| matches!(cause, Cause::TrustsEarlier(_))))
        .map(|event| format!("{} {}", event.at, event.trigger()))
        .collect();
    assert_eq!(trust.len(), 4);
    assert_eq!(trust[0], "2035-12-30T00:00:00Z controller-manager.conf ends");
}

#[test]
fn what_the_kubelet_rotates_does_not_end_while_somebody_signs() {
    let forecast = seen(&with_pem(whole(), "2026-01-01T00:00:00Z"), "2026-02-01T00:00:00Z");
    assert_eq!(of_kubelet(&forecast), [] as [&str; 0]);
}

#[test]
fn the_kubelet_s_end_is_real_when_the_api_server_is_lost_before_it_renews() {
    let mut tree = with_pem(whole(), "2026-01-01T00:00:00Z");
    shorten(&mut tree, APISERVER, CA_KEY, "2026-06-01T00:00:00Z");
    assert_eq!(
        of_kubelet(&seen(&tree, "2026-02-01T00:00:00Z")),
        [
            "2027-01-01T00:00:00Z: kubelets cannot renew their certificates, the API server of this node is lost, apiserver ends"
        ]
    );
}

#[test]
fn a_kubelet_that_should_have_renewed_is_believed_to_fail_again() {
    // A year from 1 January: the latest moment is in the last days of November.
    let tree = with_pem(whole(), "2026-01-01T00:00:00Z");
    let tree = late(&tree);
    assert_eq!(of_kubelet(&seen(&tree, "2026-11-01T00:00:00Z")), [] as [&str; 0]);
    let found = of_kubelet(&seen(&tree, "2026-12-01T00:00:00Z"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("should have renewed it by 2026-11-25"), "{found:?}");
}

#[test]
fn a_kubelet_that_does_not_rotate_ends() {
    let mut tree = with_pem(whole(), "2026-01-01T00:00:00Z");
    tree.write(
        &path("/var/lib/kubelet/config.yaml"),
        *b"{kind: KubeletConfiguration, rotateCertificates: false}",
        0o644,
    );
    assert_eq!(
        of_kubelet(&seen(&tree, "2026-02-01T00:00:00Z")),
        ["2027-01-01T00:00:00Z: the kubelet does not rotate it"]
    );
}

#[test]
fn a_kubelet_has_nobody_to_sign_where_the_authority_is_external() {
    let tree = with_pem(whole(), "2026-01-01T00:00:00Z");
    let mut tree = late(&tree);
    tree.remove(CA_KEY);
    let found = of_kubelet(&seen(&tree, "2026-02-01T00:00:00Z"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("nobody here has the key of ca"), "{found:?}");
}

#[test]
fn an_embedded_credential_of_the_kubelet_ends() {
    let forecast = seen(&TreeBuilder::kubeadm().build(), "2026-02-01T00:00:00Z");
    assert_eq!(of_kubelet(&forecast), ["2027-01-01T00:00:00Z: kubelet.conf embeds it, so nobody rotates it"]);
}

#[test]
fn the_certificate_in_memory_counts_where_it_was_seen() {
    let tree = whole().made(at("2026-06-01T00:00:00Z")).build();
    let mut old = tree.clone();
    shorten(&mut old, APISERVER, CA_KEY, "2026-12-01T00:00:00Z");
    let mut observations = Observations::none();
    let endpoint = Endpoint::new(Service::ApiServer, "127.0.0.1", 6443);
    let served = Served::new(Ok(old.certificate(APISERVER)), 0);
    observations.sightings.push(Sighting::new(endpoint, Handshake::Served(served)));
    let forecast = forecast(&tree.inventory(), &observations, at("2026-11-22T00:00:00Z"));
    let first = &forecast.events()[0];
    assert_eq!((first.at, first.trigger().as_str()), (at("2026-12-01T00:00:00Z"), "apiserver ends"));
    let on_disk = at("2027-06-01T00:00:00Z");
    assert_eq!(first.because, [Cause::InMemory(Component::ApiServer, on_disk)]);
}

#[test]
fn what_is_older_in_memory_and_cannot_be_seen_is_not_dated() {
    let tree = whole().build();
    let mut snapshot = tree.snapshot();
    let file = FileSlot::Kubeconfig(KubeconfigSlot::Scheduler);
    let content = snapshot.file(file).content().unwrap();
    let (bytes, mut meta) = (content.secret_bytes().to_vec(), content.meta().clone());
    meta.modified = Some(Moment::from_unix(at("2026-01-01T00:00:00Z").unix(), 0));
    snapshot.insert(file, FileState::Present(FileContent::new(SecretBytes::new(bytes), meta)));
    let mut observations = Observations::none();
    let before = Some(Moment::from_unix(at("2025-12-31T00:00:00Z").unix(), 0));
    let source = RunSource::Container { id: "0123".to_owned() };
    observations.runs.push(Run::new(Component::Scheduler, before, source));
    let forecast = forecast(&Inventory::parse(&snapshot), &observations, at("2026-02-01T00:00:00Z"));
    let undated: Vec<String> = forecast.undated().iter().map(ToString::to_string).collect();
    assert_eq!(undated.len(), 1);
    assert!(undated[0].starts_with("kube-scheduler uses an earlier scheduler.conf"), "{undated:?}");
}

#[test]
fn the_only_member_of_etcd_has_no_peers_to_lose() {
    let mut observations = Observations::none();
    observations.etcd = Some(ClusterHealth::new(vec![("cp-1".to_owned(), WellBeing::Here)]));
    let forecast = forecast(&whole().build().inventory(), &observations, at("2026-02-01T00:00:00Z"));
    let peer = forecast.events().iter().find(|event| event.trigger() == "etcd-peer ends").unwrap();
    assert_eq!(peer.consequence(), "nothing of this node depends on it");
}

#[test]
fn a_copy_ends_where_it_lies() {
    let mut tree = whole().build();
    tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    let forecast = seen(&tree, "2026-02-01T00:00:00Z");
    let copy = forecast.events().iter().find(|event| event.trigger() == "/root/.kube/config ends").unwrap();
    assert_eq!(copy.consequence(), "whoever uses /root/.kube/config fails");
}

#[test]
fn a_kubeconfig_of_an_earlier_authority_ends_with_it() {
    let mut tree = whole().build();
    let admin = "/etc/kubernetes/admin.conf";
    let mut old = tree.clone();
    old.redraft(CA, CA_KEY, |ca| ca.not_after = at("2026-03-01T00:00:00Z"));
    let pem = encode_certificate(old.certificate(CA).as_der());
    let edited = edit(tree.read_file(admin), &Edit::new().authority(pem.as_bytes(), "kubernetes")).unwrap();
    tree.edit(admin, |content| *content = edited.secret_bytes().to_vec());
    let forecast = seen(&tree, "2026-02-01T00:00:00Z");
    assert_eq!(forecast.events()[0].at, at("2026-03-01T00:00:00Z"));
    assert_eq!(forecast.events()[0].what, [Loss::Administrators]);
}

#[test]
fn the_second_after_the_last_one_is_past() {
    let mut tree = whole().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    assert_eq!(seen(&tree, "2026-12-03T00:00:00Z").past().count(), 0);
    let forecast = seen(&tree, "2026-12-03T00:00:01Z");
    let past: Vec<String> = forecast.past().map(|event| event.trigger()).collect();
    assert_eq!(past[0], "apiserver-etcd-client ended");
    assert_eq!(past.len(), 3);
}

#[test]
fn what_kubernetes_verifies_with_every_request_fails_at_once() {
    assert_eq!(Loss::Administrators.hold(), Hold::AtOnce);
    assert_eq!(Loss::EtcdPeers.hold(), Hold::NextConnection);
}

#[test]
fn kubeadm_s_expired_trees_broke_in_the_order_of_their_ends() {
    let tree = Fixture::named("kubeadm-edge-expired-leaves-1.36.2").tree();
    let forecast = seen(&tree, "2026-11-22T00:00:00Z");
    let past: Vec<String> =
        forecast.past().filter(|event| event.place.is_some()).map(|event| event.trigger()).collect();
    assert_eq!(
        past,
        [
            "etcd-healthcheck-client ended",
            "apiserver-etcd-client ended",
            "apiserver-kubelet-client ended",
            "controller-manager.conf ended",
            "kubelet.conf ended",
            "super-admin.conf ended",
            "etcd-peer ended",
            "front-proxy-client ended"
        ]
    );
    let next = forecast.upcoming(Timestamp::MAX).next().unwrap();
    assert_eq!(next.to_string(), "apiserver ends → the API server of this node is of use to nobody");
}

#[test]
fn authorities_that_are_over_are_told_before_what_they_have_signed() {
    let forecast = seen(&Fixture::named("kubeadm-edge-expired-1.36.2").tree(), "2026-11-22T00:00:00Z");
    let triggers: Vec<String> =
        forecast.events().iter().filter(|event| event.place.is_some()).map(|event| event.trigger()).collect();
    assert_eq!(triggers, ["etcd-ca ended", "ca ended", "front-proxy-ca ended"]);
    assert_eq!(forecast.past().count(), forecast.events().len());
}

#[test]
fn an_etcd_elsewhere_is_lost_with_the_client_s_certificate_only() {
    let forecast = seen(&Fixture::named("kubeadm-v136-external-etcd").tree(), "2026-11-22T00:00:00Z");
    assert_eq!(forecast.events()[0].to_string(), "apiserver-etcd-client ends → the API server loses etcd");
    let of_etcd = |event: &&kubecerts_core::forecast::Event| event.components().contains(&Component::Etcd);
    assert_eq!(forecast.events().iter().filter(of_etcd).count(), 0);
}

#[test]
fn events_of_every_fixture_are_sorted_and_have_a_cause() {
    for name in FIXTURES {
        let forecast = seen(&Fixture::named(name).tree(), "2026-11-22T00:00:00Z");
        assert!(forecast.events().windows(2).all(|pair| pair[0].at <= pair[1].at), "{name}");
        assert!(!forecast.events().is_empty(), "{name}");
        for event in forecast.events() {
            assert!(event.place.is_some() || !event.because.is_empty(), "{name}: {event}");
            assert_eq!(event.is_past, event.at < forecast.now(), "{name}: {event}");
        }
    }
}

#[test]
fn an_empty_tree_has_no_future() {
    assert_eq!(seen(&MemoryTree::default(), "2026-11-22T00:00:00Z").events(), []);
}

#[test]
fn a_member_of_several_that_loses_its_peers_takes_the_api_server_with_it() {
    let with = |members: &str| {
        let mut tree = whole().build();
        let manifest = format!(
            "kind: Pod\nmetadata: {{name: etcd}}\nspec: {{containers: [{{name: etcd, image: 'registry.k8s.io/etcd:3.6.0-0', \
             command: [etcd, '--initial-cluster={members}']}}]}}\n"
        );
        tree.write(&path("/etc/kubernetes/manifests/etcd.yaml"), manifest, 0o600);
        let server = "kind: Pod\nmetadata: {name: kube-apiserver}\nspec: {containers: [{name: kube-apiserver, \
                      image: 'registry.k8s.io/kube-apiserver:v1.36.2', \
                      command: [kube-apiserver, '--etcd-servers=https://127.0.0.1:2379']}]}\n";
        tree.write(&path("/etc/kubernetes/manifests/kube-apiserver.yaml"), server, 0o600);
        shorten(&mut tree, "/etc/kubernetes/pki/etcd/peer.crt", ETCD_CA_KEY, "2026-12-03T00:00:00Z");
        let forecast = seen(&tree, "2026-11-22T00:00:00Z");
        let upcoming = forecast.upcoming(at("2026-12-10T00:00:00Z"));
        upcoming.flat_map(|event| event.what.clone()).collect::<Vec<Loss>>()
    };
    let alone = with("cp-1=https://192.168.10.11:2380");
    assert_eq!(alone, [Loss::EtcdPeers], "others may have joined, and nobody knows");
    let three = with("cp-2=https://192.168.10.12:2380,cp-1=https://192.168.10.11:2380");
    assert_eq!(three[..3], [Loss::EtcdPeers, Loss::EtcdAccess, Loss::ApiServer]);
}

#[test]
fn what_follows_takes_hold_no_sooner_than_its_cause() {
    let mut tree = whole().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    let forecast = seen(&tree, "2026-11-22T00:00:00Z");
    let last = forecast.upcoming(at("2026-12-31T00:00:00Z")).last().unwrap();
    assert!(last.what.iter().all(|loss| last.hold(loss) == Hold::NextConnection), "{last}");
    let forecast = seen(&whole().build(), "2026-11-22T00:00:00Z");
    let own = forecast.events().iter().find(|event| event.what == [Loss::Scheduling]).unwrap();
    assert_eq!(own.hold(&Loss::Scheduling), Hold::AtOnce);
}

#[test]
fn a_kubelet_starts_again_without_the_api_server_but_not_without_its_certificate() {
    let mut tree = TreeBuilder::kubeadm().build();
    shorten(&mut tree, ETCD_CLIENT, ETCD_CA_KEY, "2026-12-03T00:00:00Z");
    let forecast = seen(&tree, "2026-11-22T00:00:00Z");
    let of = |date: &str| {
        let events = forecast.events().iter().filter(|event| event.at == at(date));
        events.flat_map(|event| event.what.clone()).collect::<Vec<Loss>>()
    };
    let followed = of("2026-12-03T00:00:00Z");
    assert!(followed.contains(&Loss::Node) && !followed.contains(&Loss::StaticPods), "{followed:?}");
    let own = forecast.events().iter().find(|event| event.what.contains(&Loss::StaticPods)).unwrap();
    assert_eq!((own.trigger().as_str(), own.lost_since), ("kubelet.conf ends", None));
}

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
const ETCD_CA: &str = "/etc/kubernetes/pki/etcd/ca.crt";
const ETCD_CA_KEY: &str = "/etc/kubernetes/pki/etcd/ca.key";
const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const ETCD_CLIENT: &str = "/etc/kubernetes/pki/apiserver-etcd-client.crt";

/// Without kubelet.conf, which embeds a certificate that ends with all others.
fn whole() -> TreeBuilder {
    TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet))
}

fn shorten(tree: &mut MemoryTree, certificate: &str, key: &str, end: &str) {
    tree.redraft(certificate, key, |leaf| leaf.not_after = at(end));
}

/// Gives the kubelet a certificate of its own: that of the node in another tree, which the same authority has signed.
fn with_pem(builder: TreeBuilder, made: &str) -> MemoryTree {
    let mut tree = builder.made(at(made)).build();
    let pem = [tree.read_file(ETCD_CLIENT), b"\n"].concat();
    tree.write(&path(PEM), pem, 0o600);
    tree.redraft(PEM, CA_KEY, |leaf| leaf.not_after = at("2027-01-01T00:00:00Z"));
    let key = tree.read_file("/etc/kubernetes/pki/apiserver-etcd-client.key").to_vec();
    tree.edit(PEM, |content| content.extend(key));
    let signer = tree.certificate(CA);
    let leaf = tree.certificate(PEM);
    assert_ne!(leaf.issuer(), signer.subject(), "the chain does not matter to the kubelet's end");
    tree
}

/// Lets everything but the kubelet's own certificate end much later.
fn late(tree: &MemoryTree) -> MemoryTree {
    let mut late = whole().lifetime(kubecerts_core::time::Seconds::from_days(3000)).build();
    late.write(&path(PEM), tree.read_file(PEM).to_vec(), 0o600);
    late
}

const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

fn seen(tree: &MemoryTree, now: &str) -> Forecast {
    forecast(&tree.inventory(), &Observations::none(), at(now))
}

fn lines(forecast: &Forecast, until: &str) -> Vec<String> {
    forecast.upcoming(at(until)).map(|event| format!("{} {event}", event.at)).collect()
}

fn of_kubelet(forecast: &Forecast) -> Vec<String> {
    let own = forecast
        .events()
        .iter()
        .filter(|event| event.place.is_some() && event.what == [Loss::Node, Loss::StaticPods]);
    own.map(|event| {
        let causes: Vec<String> = event.because.iter().map(ToString::to_string).collect();
        format!("{}: {}", event.at, causes.join(", "))
    })
    .collect()
}

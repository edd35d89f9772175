//! For each failure of a real cluster, the first thing that a diagnosis names is the cause and not a consequence.
//!
//! Every story is a tree that was damaged as the cluster was, with what could then be seen of its programs. The table says which
//! findings would be right as the first one; whatever else is found has to come after it, or below it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod around;
mod causes;
mod fleet;

use std::collections::BTreeSet;

use kubecerts_core::catalog::{Component, FileSlot, KubeconfigSlot, Service};
use kubecerts_core::diagnosis::{Case, Finding, FindingCode as F, Policy, Severity, cases, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Edit, Source, edit, user_key};
use kubecerts_core::observation::{
    ClusterHealth, Handshake, Health, HealthReport, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileState, ScanRequest};
use kubecerts_core::time::{Moment, Seconds};
use kubecerts_core::x509::{AlternativeName, DistinguishedName};
use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at, path};

/// A node on which something has gone wrong.
struct Story {
    number: u8,
    title: &'static str,
    /// What may be named first.
    first: &'static [F],
    node: fn() -> Node,
}

/// The stories whose findings come from one node. Story 17 and 20 are about objects of the API; 28 is about lines of logs.
const STORIES: &[Story] = &[
    Story {
        number: 1,
        title: "renewed, and the scheduler goes on with the old credential",
        first: &[F::StaleInMemory],
        node: renewed_not_restarted,
    },
    Story {
        number: 2,
        title: "the restart that was none: another certificate is served",
        first: &[F::StaleInMemory],
        node: mirror_pod_deleted,
    },
    Story {
        number: 3,
        title: "admin.conf was renewed, and the administrator's copy was not",
        first: &[F::KubeconfigCopyStale],
        node: around::stale_copy,
    },
    Story {
        number: 4,
        title: "kubelet.conf embeds a certificate that is over",
        first: &[F::KubeletConfInline],
        node: inline_kubelet_conf,
    },
    Story {
        number: 5,
        title: "the machine was off, and the kubelet's certificate is over",
        first: &[F::Expired],
        node: kubelet_client_over,
    },
    Story {
        number: 6,
        title: "power loss has left an empty certificate",
        first: &[F::Damaged],
        node: empty_after_power_loss,
    },
    Story {
        number: 6,
        title: "key and certificate were written apart",
        first: &[F::KeyMismatch],
        node: half_written_pair,
    },
    Story {
        number: 7,
        title: "etcd's certificates were copied from another node",
        first: &[F::ForeignLeaf],
        node: causes::copied_etcd,
    },
    Story {
        number: 7,
        title: "all server certificates were copied from another node",
        first: &[F::ForeignLeaf],
        node: causes::copied_servers,
    },
    Story {
        number: 8,
        title: "etcd's certificates end months before the others",
        first: &[F::Expired, F::LateLeaf],
        node: etcd_has_another_birthday,
    },
    Story {
        number: 9,
        title: "the timer restarts every member of etcd at once",
        first: &[F::SimultaneousRestart],
        node: around::timer,
    },
    Story {
        number: 10,
        title: "an authority is kept elsewhere, so nothing was renewed",
        first: &[F::ExternalCa],
        node: external_authority,
    },
    Story {
        number: 11,
        title: "renewed without the cluster's configuration, with another kind of key",
        first: &[F::ParamDrift],
        node: causes::other_key_kind,
    },
    Story {
        number: 11,
        title: "renewed for a year what was made for ten",
        first: &[F::ParamDrift],
        node: causes::other_lifetime,
    },
    Story {
        number: 12,
        title: "the address has changed, and the certificate has not",
        first: &[F::AlternativeNameMissing],
        node: new_address,
    },
    Story { number: 13, title: "sa.pub is of another pair", first: &[F::SaKeyMismatch], node: other_sa_pub },
    Story {
        number: 13,
        title: "tokens are signed with a key that nobody verifies them with",
        first: &[F::SaKeyUnused],
        node: causes::unused_sa_key,
    },
    Story { number: 14, title: "the PKI was made anew", first: &[F::CaReplaced], node: causes::made_anew },
    Story {
        number: 14,
        title: "the authority alone was made anew",
        first: &[F::CaReplaced],
        node: causes::authority_made_anew,
    },
    Story {
        number: 14,
        title: "the authority was put back from another cluster that is older",
        first: &[F::CaReplaced],
        node: causes::authority_of_an_older_cluster,
    },
    Story {
        number: 15,
        title: "the authority is over, and everything with it",
        first: &[F::Expired],
        node: authority_over,
    },
    Story {
        number: 15,
        title: "the authority ends before its leaves",
        first: &[F::ExpiresSoon],
        node: authority_due,
    },
    Story {
        number: 16,
        title: "a kubeconfig trusts the authority from before",
        first: &[F::KubeconfigCaStale],
        node: stale_trust,
    },
    Story {
        number: 18,
        title: "pods trust the authority from before and have its tokens",
        first: &[F::RootCaStale],
        node: around::pods_from_before,
    },
    Story {
        number: 18,
        title: "pods have tokens of the key from before",
        first: &[F::SaTokenInvalid],
        node: around::tokens_from_before,
    },
    Story {
        number: 18,
        title: "the PKI was made anew under the pods",
        first: &[F::CaReplaced],
        node: around::pods_of_a_replaced_authority,
    },
    Story {
        number: 19,
        title: "the API server names the wrong authority for extensions",
        first: &[F::FrontProxyRefused],
        node: causes::wrong_front_proxy,
    },
    Story {
        number: 19,
        title: "the authority of the cluster is that of the front proxy too",
        first: &[F::CaReuse],
        node: causes::shared_front_proxy,
    },
    Story {
        number: 19,
        title: "the front proxy's certificate is over",
        first: &[F::Expired],
        node: causes::front_proxy_over,
    },
    Story {
        number: 21,
        title: "the clock was set back, so nothing is valid yet",
        first: &[F::ClockSkew, F::NotYetValid],
        node: clock_set_back,
    },
    Story {
        number: 21,
        title: "the clock is behind the files, and what was made last is not valid yet",
        first: &[F::ClockSkew],
        node: causes::clock_behind_files,
    },
    Story {
        number: 22,
        title: "a copy of a manifest runs beside it",
        first: &[F::ManifestDuplicate],
        node: around::two_manifests,
    },
    Story {
        number: 23,
        title: "everybody can read a key after a manual renewal",
        first: &[F::KeyReadable],
        node: open_key,
    },
    Story {
        number: 23,
        title: "a scheduler that is not root has lost its kubeconfig",
        first: &[F::OwnerWrong],
        node: causes::rewritten_by_root,
    },
    Story {
        number: 24,
        title: "two trees of certificates, and the wrong one was renewed",
        first: &[F::LayoutMismatch],
        node: around::two_layouts,
    },
    Story {
        number: 25,
        title: "the network plugin has a copy that nobody renews",
        first: &[F::UnmanagedCopy],
        node: around::uncounted_copy,
    },
    Story {
        number: 26,
        title: "the kubelet serves a certificate that is over",
        first: &[F::ServedExpired],
        node: kubelet_serves_old,
    },
    Story {
        number: 27,
        title: "an administrator whose group has no rights",
        first: &[F::AdminRbac],
        node: causes::administrators_without_rights,
    },
    Story {
        number: 0,
        title: "the API server shows extensions what it serves with",
        first: &[F::WrongFile],
        node: causes::server_shown_to_extensions,
    },
    Story {
        number: 0,
        title: "etcd trusts the authority of the cluster",
        first: &[F::WrongFile],
        node: causes::etcd_trusts_the_cluster,
    },
    Story {
        number: 0,
        title: "the controller-manager signs with the authority of the front proxy",
        first: &[F::WrongFile],
        node: causes::signing_with_the_front_proxy,
    },
    Story {
        number: 0,
        title: "a manifest was damaged, and its component is down",
        first: &[F::SourceDamaged],
        node: damaged_manifest,
    },
];

#[test]
fn the_first_finding_of_every_story_is_its_cause() {
    for Story { number, title, first, node } in STORIES {
        let cases = node().cases();
        let said = said(&cases);
        let found = cases.first().unwrap_or_else(|| panic!("{number} {title}: nothing is found"));
        assert!(first.contains(&found.finding.code), "{number} {title}:\n{said}");
    }
}

#[test]
fn every_finding_of_a_story_is_told_once_with_a_proof_and_a_consequence() {
    for Story { number, title, node, .. } in STORIES {
        let node = node();
        let mut told: Vec<Finding> = node.cases().iter().flat_map(Case::findings).cloned().collect();
        told.sort();
        assert_eq!(told, node.diagnosis().findings(), "{number} {title}");
        every(&node.cases(), &mut |case| {
            assert!(!case.proof.is_empty(), "{number} {title}: {}", case.finding);
            assert!(case.consequence.is_some(), "{number} {title}: {}", case.finding);
        });
    }
}

#[test]
fn what_a_cause_explains_is_not_told_beside_it() {
    // Each of these has one cause, whatever it has brought down.
    let alone = [
        (kubelet_client_over as fn() -> Node, 1),
        (authority_over, 1),
        (etcd_has_another_birthday, 3),
        (damaged_manifest, 1),
        (inline_kubelet_conf, 1),
        (clock_set_back, 12),
    ];
    for (node, most) in alone {
        let cases = node().cases();
        assert!(cases.len() <= most, "{}", said(&cases));
    }
}

#[test]
fn the_same_node_gives_the_same_cases() {
    for Story { number, node, .. } in STORIES {
        assert_eq!(node().cases(), node().cases(), "{number}");
    }
}

#[test]
fn nothing_that_was_made_by_kubeadm_has_an_error_without_a_cause_in_itself() {
    for name in kubecerts_testkit::FIXTURES {
        let inventory = Fixture::named(name).tree().inventory();
        let seen = Observations::none();
        let diagnosis = diagnose(&inventory, &seen, Policy::default(), at("2026-11-22T00:00:00Z"));
        let cases = cases(&diagnosis, &inventory, &seen);
        assert_eq!(cases.iter().flat_map(Case::findings).count(), diagnosis.findings().len(), "{name}");
    }
}

#[test]
fn consequences_name_who_and_since_when() {
    let consequence = |node: Node, of: F| {
        let mut found = None;
        every(&node.cases(), &mut |case| {
            if case.finding.code == of && found.is_none() {
                found.clone_from(&case.consequence);
            }
        });
        found.unwrap()
    };
    let kubelet = consequence(kubelet_client_over(), F::Expired);
    assert!(kubelet.starts_with("the kubelet of cp-1 has not been able to authenticate to the API server since 2026-01-31T23:59:59Z"), "{kubelet}");
    let etcd = consequence(etcd_has_another_birthday(), F::Expired);
    assert!(etcd.contains("etcd of cp-1 has not been able to verify it since 2026-01-31T23:59:59Z: the API server loses etcd"), "{etcd}");
    let stale = consequence(renewed_not_restarted(), F::StaleInMemory);
    assert!(
        stale.starts_with(
            "kube-scheduler of cp-1 has gone on with the earlier scheduler.conf since 2026-01-01T00:00:00Z"
        ),
        "{stale}"
    );
    let manifest = consequence(damaged_manifest(), F::SourceDamaged);
    assert!(manifest.contains("the kubelet of cp-1 does not start kube-apiserver from it"), "{manifest}");
}

#[test]
fn an_expired_kubelet_credential_explains_that_no_static_pod_runs() {
    let cases = kubelet_client_over().cases();
    let below: BTreeSet<F> = cases[0].explains.iter().map(|case| case.finding.code).collect();
    assert_eq!(below, [F::EndpointDown, F::Unhealthy].into());
    let says = |cases: &[Case], part: &str| cases[0].proof.iter().any(|line| line.contains(part));
    assert!(says(&cases, "/etc/kubernetes/bootstrap-kubelet.conf is not there"), "{:?}", cases[0].proof);
    let mut node = kubelet_client_over();
    node.tree.copy("/etc/kubernetes/admin.conf", "/etc/kubernetes/bootstrap-kubelet.conf");
    assert!(says(&node.cases(), "/etc/kubernetes/bootstrap-kubelet.conf is there"));
    assert_eq!(cases[0].severity(), Severity::Error);
}

#[test]
fn the_api_server_is_down_because_its_etcd_client_is_over() {
    let mut node = Node::of(whole().build());
    node.tree.redraft("/etc/kubernetes/pki/apiserver-etcd-client.crt", ETCD_CA_KEY, |leaf| {
        leaf.not_after = at(OVER)
    });
    node.is_down(Service::ApiServer);
    node.is_down(Service::Scheduler);
    let cases = node.cases();
    assert_eq!(cases.len(), 1, "{}", said(&cases));
    assert_eq!(cases[0].finding.place.as_ref().unwrap().to_string(), "apiserver-etcd-client");
    let down = &cases[0].explains[0];
    assert!(down.finding.message.starts_with("kube-apiserver: "), "{}", down.finding);
    assert!(down.explains[0].finding.message.starts_with("kube-scheduler: "), "{}", said(&cases));
}

/// A tree, and what is seen of its programs.
pub(crate) struct Node {
    pub(crate) tree: MemoryTree,
    /// When every file was written.
    pub(crate) written: &'static str,
    pub(crate) seen: Observations,
    pub(crate) now: &'static str,
}

pub(crate) const NOW: &str = "2026-02-01T00:00:00Z";
/// One second before it.
pub(crate) const OVER: &str = "2026-01-31T23:59:59Z";
pub(crate) const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
pub(crate) const ETCD_CA_KEY: &str = "/etc/kubernetes/pki/etcd/ca.key";
pub(crate) const KUBELET_PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

impl Node {
    pub(crate) fn of(tree: MemoryTree) -> Self {
        Self { tree, written: "2026-01-01T00:00:00Z", seen: Observations::none(), now: NOW }
    }

    fn inventory(&self) -> Inventory {
        let mut request = ScanRequest::default();
        request.surroundings = true;
        request.arguments.node_name = Some("cp-1".to_owned());
        let mut snapshot = self.tree.snapshot_with(request);
        let files: Vec<FileSlot> = snapshot.layout().iter().map(|(file, _)| file).collect();
        for file in files {
            let FileState::Present(content) = snapshot.file(file) else { continue };
            let mut meta = content.meta().clone();
            meta.modified = Some(Moment::from_unix(at(self.written).unix(), 0));
            meta.changed = meta.modified;
            let bytes = SecretBytes::new(content.secret_bytes().to_vec());
            snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
        }
        Inventory::parse(&snapshot)
    }

    fn diagnosis(&self) -> kubecerts_core::diagnosis::Diagnosis {
        diagnose(&self.inventory(), &self.seen, Policy::default(), at(self.now))
    }

    fn cases(&self) -> Vec<Case> {
        cases(&self.diagnosis(), &self.inventory(), &self.seen)
    }

    pub(crate) fn is_down(&mut self, service: Service) {
        let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
        self.seen.sightings.push(Sighting::new(endpoint, Handshake::Down("connection refused".to_owned())));
    }

    pub(crate) fn is_unwell(&mut self, service: Service, path: &str) {
        let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
        self.seen.health.push(HealthReport::new(endpoint, path, Health::Unwell("500".to_owned())));
    }

    pub(crate) fn runs_since(&mut self, component: Component, moment: &str) {
        let started = Some(Moment::from_unix(at(moment).unix(), 0));
        self.seen.runs.push(Run::new(
            component,
            started,
            RunSource::Container { id: "0123456789abcdef".to_owned() },
        ));
    }
}

/// kubeadm's tree for `cp-1`, made 2026-01-01; without kubelet.conf, which kubeadm embeds a certificate in.
pub(crate) fn whole() -> TreeBuilder {
    TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet))
}

/// The manifests that a real kubeadm has made name the node and all programs.
pub(crate) fn with_manifests(tree: &mut MemoryTree) {
    let kubeadms = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    for (file, content, mode) in kubeadms.files().filter(|(file, ..)| file.as_str().contains("/manifests/")) {
        tree.write(file, content, mode);
    }
}

fn renewed_not_restarted() -> Node {
    let mut node = Node::of(whole().build());
    node.runs_since(Component::Scheduler, "2025-12-01T00:00:00Z");
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

fn mirror_pod_deleted() -> Node {
    let mut node = Node::of(whole().build());
    let old = whole().seed(2).made(at("2025-01-02T00:00:00Z")).build();
    let endpoint = Endpoint::new(Service::ApiServer, "127.0.0.1", 6443);
    let served = Served::new(Ok(old.certificate("/etc/kubernetes/pki/apiserver.crt")), 0);
    node.seen.sightings.push(Sighting::new(endpoint, Handshake::Served(served)));
    node
}

fn inline_kubelet_conf() -> Node {
    let tree = TreeBuilder::kubeadm().lifetime(Seconds::from_days(365)).build();
    let mut node = Node::of(tree);
    node.tree = over(node.tree, "/etc/kubernetes/kubelet.conf");
    node
}

/// Gives a kubeconfig a certificate that is over.
fn over(mut tree: MemoryTree, kubeconfig: &str) -> MemoryTree {
    let bytes = tree.read_file(kubeconfig).to_vec();
    let parsed = kubecerts_core::kubeconfig::Kubeconfig::parse(&bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(pem) = user.client_certificate() else { panic!("it is embedded") };
    tree.write(&path("/tmp/user.crt"), pem.clone(), 0o600);
    tree.redraft("/tmp/user.crt", CA_KEY, |leaf| leaf.not_after = at(OVER));
    let old = tree.read_file("/tmp/user.crt").to_vec();
    let key = user_key(&bytes, user.name()).unwrap();
    let edited = edit(&bytes, &Edit::new().client(&old, Some(&key), user.name())).unwrap();
    tree.edit(kubeconfig, |content| *content = edited.secret_bytes().to_vec());
    tree.remove("/tmp/user.crt");
    tree
}

fn kubelet_client_over() -> Node {
    let mut tree = whole().build();
    let dated = "/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem";
    tree.copy("/etc/kubernetes/pki/apiserver-kubelet-client.crt", dated);
    tree.redraft(dated, CA_KEY, |leaf| {
        leaf.subject = DistinguishedName::kubeadm("system:node:cp-1", &["system:nodes"]);
        leaf.not_after = at(OVER);
    });
    let key = tree.read_file("/etc/kubernetes/pki/apiserver-kubelet-client.key").to_vec();
    tree.edit(dated, |content| content.extend(key));
    tree.set_mode(dated, 0o600);
    tree.link(KUBELET_PEM, dated);
    let conf = "/etc/kubernetes/kubelet.conf";
    tree.copy("/etc/kubernetes/admin.conf", conf);
    let edited = edit(tree.read_file(conf), &Edit::new().reference(KUBELET_PEM, "kubernetes-admin")).unwrap();
    tree.edit(conf, |content| *content = edited.secret_bytes().to_vec());
    let mut node = Node::of(tree);
    for service in [
        Service::EtcdClients,
        Service::ApiServer,
        Service::ControllerManager,
        Service::Scheduler,
        Service::Kubelet,
    ] {
        node.is_down(service);
    }
    node.is_unwell(Service::KubeletHealth, "/healthz");
    node
}

fn empty_after_power_loss() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.edit("/etc/kubernetes/pki/apiserver.crt", Vec::clear);
    node.is_down(Service::ApiServer);
    node.is_down(Service::ControllerManager);
    node
}

fn half_written_pair() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.copy("/etc/kubernetes/pki/etcd/peer.key", "/etc/kubernetes/pki/etcd/server.key");
    let endpoint = Endpoint::new(Service::EtcdClients, "127.0.0.1", 2379);
    node.seen.sightings.push(Sighting::new(endpoint, Handshake::Broken("cut off".to_owned())));
    node.seen.gaps.push("etcd does not answer".to_owned());
    node.is_down(Service::ApiServer);
    node
}

fn etcd_has_another_birthday() -> Node {
    let mut node = Node::of(whole().build());
    for name in ["server", "peer", "healthcheck-client"] {
        let file = format!("/etc/kubernetes/pki/etcd/{name}.crt");
        node.tree.redraft(&file, ETCD_CA_KEY, |leaf| leaf.not_after = at(OVER));
    }
    let unwell = WellBeing::Unwell("the certificate has expired".to_owned());
    node.seen.etcd = Some(ClusterHealth::new(vec![("cp-1".to_owned(), unwell)]));
    node.is_unwell(Service::ApiServer, "/readyz");
    node.is_down(Service::ControllerManager);
    node
}

fn external_authority() -> Node {
    let mut node = Node::of(whole().build());
    for name in ["server", "peer", "healthcheck-client"] {
        let file = format!("/etc/kubernetes/pki/etcd/{name}.crt");
        node.tree.redraft(&file, ETCD_CA_KEY, |leaf| leaf.not_after = at("2026-02-20T00:00:00Z"));
    }
    node.tree.remove(ETCD_CA_KEY);
    node
}

fn new_address() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.redraft("/etc/kubernetes/pki/apiserver.crt", CA_KEY, |leaf| {
        let mut names = leaf.alternative_names.as_slice().to_vec();
        names.retain(
            |name| !matches!(name, AlternativeName::Ip(address) if address.to_string() == "192.168.10.11"),
        );
        leaf.alternative_names = kubecerts_core::x509::AlternativeNames::new(names);
    });
    node.is_unwell(Service::Scheduler, "/healthz");
    node.is_down(Service::ControllerManager);
    node
}

fn other_sa_pub() -> Node {
    let mut node = Node::of(whole().build());
    let other = whole().seed(2).build().read_file("/etc/kubernetes/pki/sa.pub").to_vec();
    node.tree.edit("/etc/kubernetes/pki/sa.pub", |content| *content = other);
    node
}

fn authority_over() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.redraft("/etc/kubernetes/pki/etcd/ca.crt", ETCD_CA_KEY, |ca| ca.not_after = at(OVER));
    node.tree.redraft("/etc/kubernetes/pki/etcd/peer.crt", ETCD_CA_KEY, |leaf| leaf.not_after = at(OVER));
    node.is_down(Service::EtcdClients);
    node.is_down(Service::ApiServer);
    node
}

fn authority_due() -> Node {
    let mut node = Node::of(whole().build());
    let end = at("2026-02-20T00:00:00Z");
    node.tree.redraft(
        "/etc/kubernetes/pki/front-proxy-ca.crt",
        "/etc/kubernetes/pki/front-proxy-ca.key",
        |ca| ca.not_after = end,
    );
    node
}

fn stale_trust() -> Node {
    let mut node = Node::of(whole().build());
    let other = whole().seed(2).build().read_file("/etc/kubernetes/pki/ca.crt").to_vec();
    let conf = "/etc/kubernetes/scheduler.conf";
    let edited = edit(node.tree.read_file(conf), &Edit::new().authority(&other, "kubernetes")).unwrap();
    node.tree.edit(conf, |content| *content = edited.secret_bytes().to_vec());
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

fn clock_set_back() -> Node {
    let mut node = Node::of(whole().build());
    node.now = "1970-01-01T00:03:00Z";
    node
}

fn open_key() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.set_mode(CA_KEY, 0o644);
    node
}

fn kubelet_serves_old() -> Node {
    let mut node = Node::of(whole().build());
    let old = whole().seed(3).made(at("2024-01-01T00:00:00Z")).build();
    let endpoint = Endpoint::new(Service::Kubelet, "127.0.0.1", 10250);
    let served = Served::new(Ok(old.certificate("/etc/kubernetes/pki/apiserver.crt")), 0);
    node.seen.sightings.push(Sighting::new(endpoint, Handshake::Served(served)));
    node
}

fn damaged_manifest() -> Node {
    let mut node = Node::of(whole().build());
    with_manifests(&mut node.tree);
    node.tree.edit("/etc/kubernetes/manifests/kube-apiserver.yaml", |content| *content = b"spec: [".to_vec());
    node.is_down(Service::ApiServer);
    node.is_down(Service::Scheduler);
    node
}

/// Calls `see` with every case, and with those that it explains.
fn every(cases: &[Case], see: &mut dyn FnMut(&Case)) {
    for case in cases {
        see(case);
        every(&case.explains, see);
    }
}

/// Returns the findings of all cases, each on a line, deeper below its cause.
pub(crate) fn said(cases: &[Case]) -> String {
    fn say(cases: &[Case], depth: usize, text: &mut String) {
        for case in cases {
            text.push_str(&format!("{}{} [{}]\n", "  ".repeat(depth), case.finding, case.finding.code));
            say(&case.explains, depth + 1, text);
        }
    }
    let mut text = String::new();
    say(cases, 0, &mut text);
    text
}

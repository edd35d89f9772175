//! One broken tree for each finding, which has it and no other.
//!
//! Every tree is kubeadm's default one, made 2026-01-01 and valid for a year with authorities for ten, without
//! kubelet.conf, and with one thing broken. The entries are the tests; together they are the table that is compared
//! with [`FindingCode::ALL`] and with `docs/findings.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the documentation is read")]

use std::collections::BTreeSet;
use std::fs;

use kubecerts_core::catalog::{Component, FileKind, FileSlot, KubeconfigSlot, LeafSlot, Service};
use kubecerts_core::diagnosis::{FindingCode, Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Edit, Kubeconfig, Source, edit, user_key};
use kubecerts_core::observation::{
    ClusterHealth, Handshake, Health, HealthReport, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileMeta, FileState, ReadProblem, ScanRequest};
use kubecerts_core::time::{Moment, Seconds};
use kubecerts_core::x509::{AlternativeName, AlternativeNames, KeyUsages, encode_certificate};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at, path};

/// Defines one test for each broken tree, and the table of all codes that are so tested.
macro_rules! broken_trees {
    ($($test:ident: $code:ident => $codes:expr;)+) => {
        $(
            #[test]
            fn $test() {
                assert_eq!($codes, [FindingCode::$code]);
            }
        )+

        const TABLE: &[FindingCode] = &[$(FindingCode::$code),+];
    };
}

broken_trees! {
    a_server_without_the_address_that_kubeconfigs_have_is_found: AlternativeNameMissing =>
        codes(&broken(|tree| rename(tree, |names| names.retain(|name| name.to_string() != "IP:192.168.10.11"))));
    a_server_without_the_name_of_its_service_is_found: AlternativeNameMissing =>
        codes(&broken(|tree| rename(tree, |names| names.retain(|name| name.to_string() != "DNS:kubernetes.default.svc"))));
    a_server_with_a_name_that_nobody_asked_for_is_found: AlternativeNameUnexpected => {
        let tree = broken(|tree| {
            rename(tree, |names| names.push(AlternativeName::Dns("old.example.com".to_owned())));
        });
        codes_of(&Inventory::parse(&tree.snapshot_with(configured())), "2026-01-02T00:00:00Z")
    };
    an_authority_that_ends_before_the_next_certificates_is_found: CaEndsBeforeRenewal => {
        let mut tree = short_lived().build();
        tree.redraft(FRONT_PROXY_CA, FRONT_PROXY_CA_KEY, |ca| ca.not_after = at("2026-06-01T00:00:00Z"));
        codes(&tree)
    };
    a_certificate_that_is_cut_off_is_damaged: Damaged =>
        codes(&broken(|tree| tree.edit(APISERVER, |content| content.truncate(content.len() / 2))));
    an_empty_certificate_is_damaged: Damaged =>
        codes(&broken(|tree| tree.edit(APISERVER, Vec::clear)));
    a_private_key_that_is_cut_off_is_damaged: Damaged =>
        codes(&broken(|tree| tree.edit(APISERVER_KEY, |content| content.truncate(content.len() / 2))));
    an_authority_that_is_cut_off_is_damaged: Damaged =>
        codes(&broken(|tree| tree.edit(FRONT_PROXY_CA, |content| content.truncate(content.len() / 2))));
    a_kubeconfig_that_is_not_yaml_is_damaged: Damaged =>
        codes(&broken(|tree| tree.edit(ADMIN, |content| *content = b"clusters: [".to_vec())));
    a_kubeconfig_whose_context_leads_nowhere_is_damaged: Damaged =>
        codes(&broken(|tree| replace(tree, ADMIN, "current-context: ", "current-context: no-")));

    // KubeconfigFacts::authority.
    a_kubeconfig_whose_authority_is_cut_off_is_damaged: Damaged => {
        let tree = broken(|tree| {
            let half = tree.read_file(CA)[..200].to_vec();
            trust(tree, ADMIN, &half);
        });
        codes(&tree)
    };

    a_bundle_whose_second_authority_is_cut_off_is_damaged: Damaged => {
        let tree = broken(|tree| {
            let half = stranger().read_file(FRONT_PROXY_CA)[..200].to_vec();
            tree.edit(FRONT_PROXY_CA, |content| content.extend(half));
        });
        codes(&tree)
    };
    a_port_at_which_nobody_listens_is_found: EndpointDown =>
        codes_seeing(|seen| handshake(seen, Service::ApiServer, Handshake::Down("refused".to_owned())));
    a_server_that_does_not_answer_is_found: EndpointBroken =>
        codes_seeing(|seen| handshake(seen, Service::ApiServer, Handshake::Silent));
    a_server_that_speaks_no_tls_is_found: EndpointBroken =>
        codes_seeing(|seen| handshake(seen, Service::Scheduler, Handshake::Broken("garbage".to_owned())));
    a_member_of_etcd_that_is_not_well_is_found: EtcdUnwell => codes_seeing(|seen| {
        let unwell = WellBeing::Unwell("deadline".to_owned());
        seen.etcd = Some(ClusterHealth::new(vec![("cp-1".to_owned(), unwell)]));
    });
    a_certificate_that_is_over_is_expired: Expired => {
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2026-01-31T23:59:59Z"));
        });
        codes_at(&tree, "2026-02-01T00:00:00Z")
    };
    a_certificate_is_due_on_the_first_second_of_its_window: ExpiresSoon => {
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2026-03-03T00:00:00Z"));
        });
        codes_at(&tree, "2026-02-01T00:00:00Z")
    };
    a_certificate_is_not_expired_on_its_last_second: ExpiresSoon => {
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2026-02-01T00:00:00Z"));
        });
        codes_at(&tree, "2026-02-01T00:00:00Z")
    };
    a_bundle_with_an_earlier_certificate_of_the_authority_is_stale: TrustFileStale => {
        let tree = broken(|tree| {
            trust_from(tree, "/etc/kubernetes/pki/roots.crt");
            tree.copy(CA, "/etc/kubernetes/pki/roots.crt");
            tree.redraft(CA, CA_KEY, |ca| ca.not_after = at("2045-01-01T00:00:00Z"));
            let extended = tree.read_file(CA).to_vec();
            let is_kubeconfig = |path: &str| path.ends_with(".conf").then(|| path.to_owned());
            let files: Vec<String> = tree.files().filter_map(|(path, ..)| is_kubeconfig(path.as_str())).collect();
            for file in files {
                trust(tree, &file, &extended);
            }
        });
        codes(&tree)
    };
    an_authority_without_its_key_is_external: ExternalCa =>
        codes(&broken(|tree| tree.remove(FRONT_PROXY_CA_KEY)));
    the_key_of_another_leaf_does_not_match: KeyMismatch =>
        codes(&broken(|tree| tree.copy("/etc/kubernetes/pki/etcd/server.key", APISERVER_KEY)));
    the_key_of_another_authority_does_not_match: KeyMismatch =>
        codes(&broken(|tree| tree.copy("/etc/kubernetes/pki/etcd/ca.key", FRONT_PROXY_CA_KEY)));
    the_key_of_another_kubeconfig_does_not_match: KeyMismatch => {
        let tree = broken(|tree| {
            let other = value(tree, "/etc/kubernetes/scheduler.conf", "client-key-data: ");
            let own = value(tree, ADMIN, "client-key-data: ");
            replace(tree, ADMIN, &own, &other);
        });
        codes(&tree)
    };
    a_leaf_without_a_key_file_has_no_key: KeyMissing =>
        codes(&broken(|tree| tree.remove(APISERVER_KEY)));
    a_kubeconfig_without_key_data_has_no_key: KeyMissing => {
        let tree = broken(|tree| {
            let line = format!("    client-key-data: {}\n", value(tree, ADMIN, "client-key-data: "));
            replace(tree, ADMIN, &line, "");
        });
        codes(&tree)
    };
    a_key_that_others_can_read_is_found: KeyReadable =>
        codes(&broken(|tree| tree.set_mode(APISERVER_KEY, 0o644)));
    a_kubeconfig_that_others_can_read_is_found: KeyReadable =>
        codes(&broken(|tree| tree.set_mode(ADMIN, 0o604)));
    a_kubeconfig_that_trusts_another_authority_is_stale: KubeconfigCaStale =>
        codes(&broken(|tree| trust(tree, ADMIN, stranger().read_file(CA))));
    kubelet_conf_with_an_embedded_certificate_is_found: KubeletConfInline =>
        codes(&TreeBuilder::kubeadm().build());
    a_leaf_that_ends_after_its_authority_is_found: LeafOutlivesCa => {
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2040-01-01T00:00:00Z"));
        });
        codes(&tree)
    };
    a_kubeconfig_that_is_gone_is_missing: Missing =>
        codes(&broken(|tree| tree.remove("/etc/kubernetes/scheduler.conf")));
    a_certificate_that_is_gone_is_missing: Missing =>
        codes(&broken(|tree| tree.remove(APISERVER)));
    an_authority_that_is_gone_is_missing: Missing =>
        codes(&broken(|tree| tree.remove(FRONT_PROXY_CA)));
    half_of_the_service_account_pair_is_missing: Missing =>
        codes(&broken(|tree| tree.remove("/etc/kubernetes/pki/sa.pub")));
    an_authority_that_says_it_is_none_is_found: NotAnAuthority =>
        codes(&broken(|tree| tree.redraft(FRONT_PROXY_CA, FRONT_PROXY_CA_KEY, |ca| ca.is_ca = false)));
    an_authority_whose_key_may_not_sign_certificates_is_found: NotAnAuthority => {
        let tree = broken(|tree| {
            tree.redraft(FRONT_PROXY_CA, FRONT_PROXY_CA_KEY, |ca| ca.key_usages = KeyUsages::LEAF);
        });
        codes(&tree)
    };
    a_certificate_is_not_valid_one_second_before_it_begins: NotYetValid => {
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_before = at("2026-02-01T00:00:01Z"));
        });
        codes_at(&tree, "2026-02-01T00:00:00Z")
    };
    what_could_not_be_asked_is_found: NotObserved =>
        codes_seeing(|seen| seen.gaps.push("the container runtime does not answer".to_owned()));
    a_self_signed_certificate_that_is_served_and_over_is_found: ServedExpired => {
        let old = TreeBuilder::kubeadm().seed(3).made(at("2024-01-01T00:00:00Z")).build();
        codes_seeing(|seen| serve(seen, Service::Kubelet, &old, APISERVER))
    };
    a_server_that_shows_the_certificate_from_before_the_renewal_is_stale: StaleInMemory =>
        codes_seeing(|seen| serve(seen, Service::ApiServer, &stranger(), APISERVER));
    a_program_that_is_older_than_its_kubeconfig_is_stale: StaleInMemory => codes_seeing(|seen| {
        let before = Some(Moment::from_unix(at("2025-12-31T23:59:59Z").unix(), 0));
        let source = RunSource::Container { id: "0123".to_owned() };
        seen.runs.push(Run::new(Component::Scheduler, before, source));
    });
    a_program_that_says_that_it_is_not_well_is_found: Unhealthy => codes_seeing(|seen| {
        let endpoint = Endpoint::new(Service::ApiServer, "127.0.0.1", 6443);
        seen.health.push(HealthReport::new(endpoint, "/readyz", Health::Unwell("500".to_owned())));
    });
    a_public_key_of_another_pair_does_not_match_sa_key: SaKeyMismatch => {
        let tree = broken(|tree| {
            let other = stranger().read_file("/etc/kubernetes/pki/sa.pub").to_vec();
            tree.edit("/etc/kubernetes/pki/sa.pub", |content| *content = other);
        });
        codes(&tree)
    };
    a_manifest_that_is_not_yaml_is_found: SourceDamaged => {
        let tree = broken(|tree| {
            tree.write(&path("/etc/kubernetes/manifests/kube-apiserver.yaml"), *b"spec: [", 0o600);
        });
        codes(&tree)
    };
    a_kubelet_configuration_that_is_not_yaml_is_found: SourceDamaged =>
        codes(&broken(|tree| tree.write(&path("/var/lib/kubelet/config.yaml"), *b"kind: [", 0o644)));
    a_key_that_cannot_be_read_is_found: Unreadable =>
        codes_without_access_to(FileSlot::LeafKey(LeafSlot::ApiServer));
    a_certificate_that_cannot_be_read_is_found: Unreadable =>
        codes_without_access_to(FileSlot::LeafCertificate(LeafSlot::ApiServer));
    a_kubeconfig_that_cannot_be_read_is_found_once: Unreadable =>
        codes_without_access_to(FileSlot::Kubeconfig(KubeconfigSlot::Admin));
    a_signature_with_sha224_cannot_be_verified: Unverifiable =>
        codes(&broken(sign_with_sha224));
    a_leaf_of_another_authority_of_the_same_name_is_found: WrongAuthority => {
        let tree = broken(|tree| {
            for file in [APISERVER, APISERVER_KEY] {
                let foreign = stranger().read_file(file).to_vec();
                tree.edit(file, |content| *content = foreign);
            }
        });
        codes(&tree)
    };
    a_leaf_of_an_authority_of_another_name_is_found: WrongAuthority => {
        let tree = broken(|tree| {
            tree.copy("/etc/kubernetes/pki/etcd/server.crt", APISERVER);
            tree.copy("/etc/kubernetes/pki/etcd/server.key", APISERVER_KEY);
        });
        codes(&tree)
    };
}

#[test]
fn a_tree_as_kubeadm_makes_it_has_no_finding() {
    assert_eq!(codes(&broken(|_| ())), []);
}

#[test]
fn a_tree_as_its_configuration_has_it_has_no_finding() {
    let inventory = Inventory::parse(&broken(|_| ()).snapshot_with(configured()));
    assert_eq!(codes_of(&inventory, "2026-01-02T00:00:00Z"), []);
}

#[test]
fn a_certificate_is_not_due_one_second_before_its_window() {
    let tree = broken(|tree| {
        tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2026-03-03T00:00:01Z"));
    });
    assert_eq!(codes_at(&tree, "2026-02-01T00:00:00Z"), []);
}

#[test]
fn a_certificate_is_valid_on_its_first_second() {
    let tree = broken(|tree| {
        tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_before = at("2026-02-01T00:00:00Z"));
    });
    assert_eq!(codes_at(&tree, "2026-02-01T00:00:00Z"), []);
}

#[test]
fn an_authority_that_ends_with_the_next_certificates_is_no_finding() {
    let mut tree = short_lived().build();
    tree.redraft(FRONT_PROXY_CA, FRONT_PROXY_CA_KEY, |ca| ca.not_after = at("2027-01-02T00:00:00Z"));
    assert_eq!(codes(&tree), []);
}

#[test]
fn a_kubeconfig_that_trusts_more_than_the_tree_has_is_not_stale() {
    let tree = broken(|tree| {
        let bundle = [stranger().read_file(CA), tree.read_file(CA)].concat();
        trust(tree, ADMIN, &bundle);
    });
    assert_eq!(codes(&tree), []);
}

#[test]
fn a_key_that_its_group_can_read_is_no_finding() {
    assert_eq!(codes(&broken(|tree| tree.set_mode(APISERVER_KEY, 0o640))), []);
}

#[test]
fn kubelet_conf_that_refers_to_the_rotated_certificate_is_no_finding() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (conf, pem) = ("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem");
    let bytes = tree.read_file(conf).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(certificate) = user.client_certificate() else { panic!("it is embedded") };
    let key = user_key(&bytes, user.name()).unwrap();
    tree.write(&path(pem), [certificate.as_slice(), key.secret_bytes()].concat(), 0o600);
    for kind in ["certificate", "key"] {
        let embedded =
            format!("client-{kind}-data: {}", value(&tree, conf, &format!("client-{kind}-data: ")));
        replace(&mut tree, conf, &embedded, &format!("client-{kind}: {pem}"));
    }
    assert_eq!(codes(&tree), []);
}

#[test]
fn the_leaf_of_an_authority_that_is_over_is_over_too() {
    // Two findings: a leaf that was still valid would be a finding as well, since it would outlive its authority.
    let tree = broken(|tree| {
        let end = at("2026-01-31T23:59:59Z");
        tree.redraft(FRONT_PROXY_CLIENT, FRONT_PROXY_CA_KEY, |leaf| leaf.not_after = end);
        tree.redraft(FRONT_PROXY_CA, FRONT_PROXY_CA_KEY, |ca| ca.not_after = end);
    });
    assert_eq!(codes_at(&tree, "2026-02-01T00:00:00Z"), [FindingCode::Expired, FindingCode::Expired]);
}

#[test]
fn a_copy_of_admin_conf_from_before_the_renewal_is_found_where_it_lies() {
    let mut tree = broken(|tree| tree.copy(ADMIN, "/root/.kube/config"));
    let later = at("2026-12-15T00:00:00Z");
    tree.renew(&PlanRequest::with_selection(Selection::All), later, &mut Seeded::provider(2));
    let diagnosis = diagnose(&tree.inventory(), &Observations::none(), Policy::default(), later);
    let found: Vec<String> = diagnosis.findings().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["/root/.kube/config: expires 2027-01-01T00:00:00Z, in 17 days"]);
}

#[test]
fn every_code_has_a_broken_tree() {
    let table: BTreeSet<FindingCode> = TABLE.iter().copied().collect();
    assert_eq!(table, FindingCode::ALL.into_iter().collect());
}

#[test]
fn every_code_has_an_entry_in_the_documentation_in_the_order_of_names() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
    let text = fs::read_to_string(file).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings, FindingCode::ALL.map(FindingCode::name));
}

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const APISERVER_KEY: &str = "/etc/kubernetes/pki/apiserver.key";
const FRONT_PROXY_CA: &str = "/etc/kubernetes/pki/front-proxy-ca.crt";
const FRONT_PROXY_CA_KEY: &str = "/etc/kubernetes/pki/front-proxy-ca.key";
const FRONT_PROXY_CLIENT: &str = "/etc/kubernetes/pki/front-proxy-client.crt";
const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Without kubelet.conf, since the one that kubeadm makes has a finding of its own.
fn whole() -> TreeBuilder {
    TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet))
}

fn short_lived() -> TreeBuilder {
    whole().lifetime(Seconds::from_days(100))
}

/// Another cluster: the same names, other keys.
fn stranger() -> MemoryTree {
    whole().seed(2).build()
}

fn broken(change: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = whole().build();
    change(&mut tree);
    tree
}

/// Returns the code of every finding on the day after the tree was made.
fn codes(tree: &MemoryTree) -> Vec<FindingCode> {
    codes_at(tree, "2026-01-02T00:00:00Z")
}

fn codes_at(tree: &MemoryTree, now: &str) -> Vec<FindingCode> {
    codes_of(&tree.inventory(), now)
}

fn codes_without_access_to(file: FileSlot) -> Vec<FindingCode> {
    let mut snapshot = whole().build().snapshot();
    snapshot.insert(file, FileState::Unreadable(ReadProblem::PermissionDenied));
    codes_of(&Inventory::parse(&snapshot), "2026-01-02T00:00:00Z")
}

/// Returns the codes of a tree in which nothing is wrong, and of what was seen to run.
fn codes_seeing(see: impl FnOnce(&mut Observations)) -> Vec<FindingCode> {
    let mut seen = Observations::none();
    see(&mut seen);
    let (tree, now) = (dated(), at("2026-01-02T00:00:00Z"));
    let diagnosis = diagnose(&tree, &seen, Policy::default(), now);
    diagnosis.findings().iter().map(|finding| finding.code).collect()
}

/// Returns an inventory whose files are as old as the tree, but for the authorities, which are older than every program.
fn dated() -> Inventory {
    let mut snapshot = whole().build().snapshot();
    let files: Vec<FileSlot> = snapshot.layout().iter().map(|(file, _)| file).collect();
    for file in files {
        let FileState::Present(content) = snapshot.file(file) else { continue };
        let mut meta = content.meta().clone();
        let made =
            if file.kind() == FileKind::Kubeconfig { "2026-01-01T00:00:00Z" } else { "2025-01-01T00:00:00Z" };
        meta.modified = Some(Moment::from_unix(at(made).unix(), 0));
        meta.changed = meta.modified;
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
    }
    Inventory::parse(&snapshot)
}

/// Changes the alternative names of the API server.
fn rename(tree: &mut MemoryTree, change: impl FnOnce(&mut Vec<AlternativeName>)) {
    tree.redraft(APISERVER, CA_KEY, |leaf| {
        let mut names = leaf.alternative_names.as_slice().to_vec();
        change(&mut names);
        leaf.alternative_names = AlternativeNames::new(names);
    });
}

/// Returns a scan that is given the configuration from which the tree could have been made.
fn configured() -> ScanRequest {
    let text = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.168.10.11}
nodeRegistration: {name: cp-1}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
networking: {serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}
";
    let content = FileContent::new(SecretBytes::new(text.as_bytes().to_vec()), FileMeta::with_mode(0o644));
    let mut request = ScanRequest::default();
    request.kubeadm_config = Some((path("/kubeadm.yaml"), FileState::Present(content)));
    request
}

fn handshake(seen: &mut Observations, service: Service, handshake: Handshake) {
    let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
    seen.sightings.push(Sighting::new(endpoint, handshake));
}

fn serve(seen: &mut Observations, service: Service, tree: &MemoryTree, file: &str) {
    handshake(seen, service, Handshake::Served(Served::new(Ok(tree.certificate(file)), 0)));
}

fn codes_of(inventory: &Inventory, now: &str) -> Vec<FindingCode> {
    let diagnosis = diagnose(inventory, &Observations::none(), Policy::default(), at(now));
    diagnosis.findings().iter().map(|finding| finding.code).collect()
}

/// Returns the rest of the line that `key` begins.
fn value(tree: &MemoryTree, file: &str, key: &str) -> String {
    let text = std::str::from_utf8(tree.read_file(file)).unwrap();
    let (_, rest) = text.split_once(key).expect("the file has this key");
    rest.lines().next().unwrap().to_owned()
}

fn replace(tree: &mut MemoryTree, file: &str, from: &str, to: &str) {
    tree.edit(file, |content| {
        let text = std::str::from_utf8(content).unwrap();
        assert!(text.contains(from), "{file} holds no {from:?}");
        *content = text.replacen(from, to, 1).into_bytes();
    });
}

/// Lets the kubeconfig trust `certificates` in place of the tree's authority.
fn trust(tree: &mut MemoryTree, kubeconfig: &str, certificates: &[u8]) {
    let edited =
        edit(tree.read_file(kubeconfig), &Edit::new().authority(certificates, "kubernetes")).unwrap();
    tree.edit(kubeconfig, |content| *content = edited.secret_bytes().to_vec());
}

/// Has the controller-manager hand the certificates in `file` to pods.
fn trust_from(tree: &mut MemoryTree, file: &str) {
    const MANIFEST: &str = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let kubeadms = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let manifest = String::from_utf8(kubeadms.read_file(MANIFEST).to_vec()).unwrap();
    let flag = "--root-ca-file=/etc/kubernetes/pki/ca.crt";
    assert!(manifest.contains(flag));
    let manifest = manifest.replace(flag, &format!("--root-ca-file={file}"));
    tree.write(&path(MANIFEST), manifest.into_bytes(), 0o600);
}

/// Names ecdsa-with-SHA224 as the algorithm, in the signed part and beside it.
fn sign_with_sha224(tree: &mut MemoryTree) {
    const SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let mut der = tree.certificate(APISERVER).as_der().to_vec();
    let positions: Vec<usize> =
        der.windows(8).enumerate().filter(|(_, window)| *window == SHA256).map(|(at, _)| at).collect();
    assert_eq!(positions.len(), 2);
    for position in positions {
        der[position + 7] = 1;
    }
    tree.edit(APISERVER, |content| *content = encode_certificate(&der).into_bytes());
}

//! What is wrong with a tree as a whole: what explains other findings, and what differs from the rest.

use kubecerts_core::catalog::{CaSlot, FileSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::{Clock, FindingCode, Impact, Policy, Remedy, Severity, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::time::Moment;
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, KeyAlgorithm, encode_certificate,
};
use kubecerts_testkit::{Draft, Fixture, MemoryTree, Seeded, at, path};

use crate::support::*;

broken_trees! {
    an_administrator_without_a_second_way_in_is_found: AdminRbac =>
        codes(&broken(|tree| tree.remove("/etc/kubernetes/super-admin.conf")));
    an_administrator_of_a_group_that_has_no_rights_is_found: AdminRbac => {
        let tree = broken(|tree| {
            let name = DistinguishedName::kubeadm("kubernetes-admin", &["admins"]);
            redraft_client(tree, ADMIN, |admin| admin.subject = name);
        });
        codes(&tree)
    };
    an_authority_that_was_made_anew_beside_all_its_leaves_is_found: CaReplaced =>
        codes(&broken(|tree| take_over(tree, &later(), &[CA, CA_KEY])));
    a_tree_that_was_made_anew_beside_its_kubeconfigs_is_found: CaReplaced => {
        let tree = broken(|tree| {
            let later = later();
            let files: Vec<String> = later.files().map(|(path, ..)| path.to_string()).collect();
            let pki: Vec<&str> = files.iter().map(String::as_str).filter(|file| file.contains("/pki/")).collect();
            take_over(tree, &later, &pki);
        });
        codes(&tree)
    };
    an_authority_of_one_leaf_that_was_made_anew_is_found: CaReplaced =>
        codes(&broken(|tree| take_over(tree, &later(), &[FRONT_PROXY_CA, FRONT_PROXY_CA_KEY])));
    an_authority_of_another_cluster_that_is_older_than_all_leaves_is_found: CaReplaced => {
        let mut tree = later();
        take_over(&mut tree, &whole().build(), &[CA, CA_KEY]);
        codes(&tree)
    };
    an_authority_that_was_made_anew_with_another_type_of_string_is_found: CaReplaced => {
        let tree = broken(|tree| {
            take_over(tree, &later(), &[CA, CA_KEY]);
            spell_in_utf8(tree);
        });
        codes(&tree)
    };
    an_authority_whose_name_was_encoded_otherwise_is_found: CaReplaced => codes(&broken(spell_in_utf8));
    two_authorities_with_one_key_are_found: CaReuse => {
        let tree = broken(|tree| {
            tree.copy(CA, FRONT_PROXY_CA);
            tree.copy(CA_KEY, FRONT_PROXY_CA_KEY);
            let issuer = tree.certificate(CA).subject().clone();
            tree.redraft(FRONT_PROXY_CLIENT, CA_KEY, |leaf| leaf.issuer = issuer);
        });
        codes(&tree)
    };
    a_clock_before_the_tree_is_found: ClockSkew => codes_at(&broken(|_| ()), "2025-12-31T23:00:00Z");
    a_clock_that_has_lost_the_time_is_found: ClockSkew => codes_at(&broken(|_| ()), "1970-01-01T00:10:00Z");
    a_clock_that_begins_in_2000_is_found: ClockSkew => codes_at(&broken(|_| ()), "2000-01-01T00:00:00Z");
    a_file_from_the_future_is_found: ClockSkew => codes_of(&written("2026-01-02T00:05:01Z"), "2026-01-02T00:00:00Z");
    a_certificate_that_was_made_with_a_file_from_the_future_is_the_clocks_fault: ClockSkew => {
        let tree = broken(|tree| tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_before = at("2026-01-03T00:00:00Z")));
        let modified = Some(Moment::from_unix(at("2026-01-03T00:00:00Z").unix(), 0));
        let inventory = with_meta(&tree, FileSlot::LeafCertificate(LeafSlot::ApiServer), |meta| meta.modified = modified);
        codes_of(&inventory, "2026-01-02T00:00:00Z")
    };
    the_api_server_s_certificate_of_another_node_is_found: ForeignLeaf =>
        codes_at(&broken_node(|tree| give_away(tree, APISERVER, CA_KEY)), FRESH);
    an_etcd_certificate_of_another_node_is_found: ForeignLeaf =>
        codes_at(&broken_node(|tree| give_away(tree, ETCD_PEER, ETCD_CA_KEY)), FRESH);
    the_identity_of_another_node_s_kubelet_is_found: ForeignLeaf => {
        let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
        let name = DistinguishedName::kubeadm("system:node:cp-2", &["system:nodes"]);
        redraft_client(&mut tree, KUBELET, |kubelet| kubelet.subject = name);
        rotate(&mut tree);
        codes_at(&tree, FRESH)
    };
    a_leaf_that_was_left_out_of_a_renewal_is_found: LateLeaf =>
        codes(&broken(|tree| tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2026-06-01T00:00:00Z"))));
    a_leaf_that_was_renewed_alone_is_found: LateLeaf => {
        let mut tree = broken(|_| ());
        let alone = Selection::Named([Slot::Leaf(LeafSlot::ApiServer)].into());
        tree.renew(&PlanRequest::with_selection(alone), at("2026-06-01T00:00:00Z"), &mut Seeded::provider(2));
        codes_at(&tree, "2026-06-02T00:00:00Z")
    };
    a_key_of_another_kind_than_all_others_is_found: ParamDrift => {
        let other = whole().algorithm(KeyAlgorithm::EcdsaP384).build();
        let tree = broken(|tree| {
            tree.redraft(APISERVER, CA_KEY, |leaf| leaf.public_key = other.certificate(APISERVER).public_key().clone());
            take_over(tree, &other, &[APISERVER_KEY]);
        });
        codes(&tree)
    };
    a_certificate_for_much_longer_than_all_others_is_found: ParamDrift => {
        let mut tree = broken(|_| ());
        tree.renew(&PlanRequest::with_selection(Selection::All), at("2026-06-01T00:00:00Z"), &mut Seeded::provider(2));
        tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2035-06-01T00:00:00Z"));
        codes_at(&tree, "2026-06-02T00:00:00Z")
    };
    a_signature_with_sha1_is_weak: WeakAlgorithm => codes_at(&signed_with(5), FRESH);
    a_signature_with_md5_is_weak: WeakAlgorithm => codes_at(&signed_with(4), FRESH);
    an_rsa_key_of_1024_bits_is_weak: WeakAlgorithm => codes(&broken(|tree| {
        tree.edit(APISERVER_KEY, |content| *content = RSA_1024.to_vec());
        let key = tree.private_key(APISERVER_KEY).public_key();
        tree.redraft(APISERVER, CA_KEY, |leaf| leaf.public_key = key);
    }));
}

#[test]
fn a_tree_that_kubeadm_made_with_its_manifests_has_no_finding() {
    assert_eq!(codes_at(&broken_node(|_| ()), FRESH), []);
}

#[test]
fn an_administrator_with_all_rights_by_its_group_needs_no_second_way_in() {
    let tree = broken(|tree| {
        let name = DistinguishedName::kubeadm("kubernetes-admin", &["system:masters"]);
        redraft_client(tree, ADMIN, |admin| admin.subject = name);
        tree.remove("/etc/kubernetes/super-admin.conf");
    });
    assert_eq!(codes(&tree), []);
}

#[test]
fn kubeconfigs_that_lag_behind_a_new_authority_do_not_make_it_a_replaced_one() {
    let mut tree = later();
    let earlier = whole().build();
    for name in ["admin", "controller-manager", "scheduler", "super-admin"] {
        trust(&mut tree, &format!("/etc/kubernetes/{name}.conf"), earlier.read_file(CA));
    }
    assert_eq!(codes(&tree), [FindingCode::KubeconfigCaStale; 4]);
}

#[test]
fn a_leaf_of_another_cluster_that_is_older_does_not_make_the_authority_a_replaced_one() {
    let mut tree = later();
    take_over(&mut tree, &whole().build(), &[APISERVER, APISERVER_KEY]);
    assert_eq!(codes(&tree), [FindingCode::WrongAuthority]);
}

#[test]
fn an_authority_whose_name_was_encoded_otherwise_needs_its_certificate_only() {
    let tree = broken(spell_in_utf8);
    let diagnosis =
        diagnose(&tree.inventory(), &Observations::none(), Policy::default(), at("2026-01-02T00:00:00Z"));
    let found = &diagnosis.findings()[0];
    assert_eq!(found.remedy, Remedy::Restore(FileSlot::CaCertificate(CaSlot::Cluster)));
    assert!(found.message.contains("its name encoded otherwise"), "{found}");
}

#[test]
fn a_leaf_that_is_younger_than_its_authority_is_what_is_foreign() {
    let tree = broken(|tree| take_over(tree, &later(), &[FRONT_PROXY_CLIENT, FRONT_PROXY_CLIENT_KEY]));
    assert_eq!(codes(&tree), [FindingCode::WrongAuthority]);
}

#[test]
fn what_is_explained_by_the_clock_is_as_grave_as_before() {
    let diagnosis = diagnose(
        &broken(|_| ()).inventory(),
        &Observations::none(),
        Policy::default(),
        at("2025-12-31T23:00:00Z"),
    );
    assert_eq!(diagnosis.impact(), Impact::Unusable);
    let harmless = diagnose(
        &written("2026-01-02T01:00:00Z"),
        &Observations::none(),
        Policy::default(),
        at("2026-01-02T00:00:00Z"),
    );
    let found = harmless.findings().iter().map(|finding| (finding.severity, finding.impact));
    assert_eq!(found.collect::<Vec<_>>(), [(Severity::Warning, Impact::None)]);
}

#[test]
fn a_file_that_is_five_minutes_ahead_is_no_finding() {
    assert_eq!(codes_of(&written("2026-01-02T00:05:00Z"), "2026-01-02T00:00:00Z"), []);
}

#[test]
fn a_moment_that_is_asked_for_says_nothing_about_the_clock() {
    let mut policy = Policy::default();
    policy.clock = Clock::Assumed;
    let ahead =
        diagnose(&broken(|_| ()).inventory(), &Observations::none(), policy, at("2025-12-31T23:00:00Z"));
    assert!(ahead.findings().iter().all(|finding| finding.code == FindingCode::NotYetValid));
    assert_eq!(ahead.findings().len(), 14);
    let written =
        diagnose(&written("2026-01-02T01:00:00Z"), &Observations::none(), policy, at("2026-01-02T00:00:00Z"));
    assert_eq!(written.findings(), []);
}

#[test]
fn a_node_whose_address_has_changed_has_names_missing_and_no_foreign_certificate() {
    let tree = broken_node(|tree| {
        readdress(tree, APISERVER, CA_KEY, |name| name.replace("192.168.10.11", "192.168.10.99"));
    });
    assert!(codes_at(&tree, FRESH).iter().all(|code| *code == FindingCode::AlternativeNameMissing));
}

#[test]
fn all_certificates_that_were_copied_from_another_node_are_found() {
    let tree = broken_node(|tree| {
        for (leaf, key) in [(APISERVER, CA_KEY), (ETCD_PEER, ETCD_CA_KEY), (ETCD_SERVER, ETCD_CA_KEY)] {
            give_away(tree, leaf, key);
        }
    });
    assert_eq!(codes_at(&tree, FRESH), [FindingCode::ForeignLeaf; 3]);
}

#[test]
fn a_leaf_that_ends_within_the_window_of_the_others_is_no_finding() {
    let end = at("2026-12-02T00:00:00Z");
    let tree = broken(|tree| tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = end));
    assert_eq!(codes(&tree), []);
}

#[test]
fn a_weak_signature_of_an_authority_on_itself_is_no_finding() {
    let mut tree = rsa_tree();
    resign(&mut tree, CA, 5);
    // Kubeconfigs embed it.
    let bytes = tree.read_file(CA).to_vec();
    for name in ["admin", "controller-manager", "kubelet", "scheduler", "super-admin"] {
        trust(&mut tree, &format!("/etc/kubernetes/{name}.conf"), &bytes);
    }
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn the_end_of_a_kubelets_certificate_says_whether_it_can_ask_for_another() {
    let message = |tree: &MemoryTree| {
        let policy = Policy::default();
        let diagnosis =
            diagnose(&tree.inventory(), &Observations::none(), policy, at("2027-12-01T00:00:00Z"));
        let slot = Slot::KubeletClient;
        diagnosis.about(slot).map(|finding| finding.message.clone()).collect::<Vec<_>>().join("")
    };
    let mut tree = broken_node(|_| ());
    assert!(message(&tree).ends_with(
        "there is no /etc/kubernetes/bootstrap-kubelet.conf, so the kubelet cannot ask for another"
    ));
    tree.write(&path("/etc/kubernetes/bootstrap-kubelet.conf"), *b"apiVersion: v1\nkind: Config\n", 0o600);
    assert!(message(&tree).contains("bootstrap-kubelet.conf is there"), "{}", message(&tree));
}

const FRONT_PROXY_CLIENT_KEY: &str = "/etc/kubernetes/pki/front-proxy-client.key";
const ETCD_CA_KEY: &str = "/etc/kubernetes/pki/etcd/ca.key";
const ETCD_PEER: &str = "/etc/kubernetes/pki/etcd/peer.crt";
const ETCD_SERVER: &str = "/etc/kubernetes/pki/etcd/server.crt";

/// Made for this test; nothing uses it.
const RSA_1024: &[u8] = include_bytes!("rsa1024.key");

/// Another tree with the same names, made half a day later.
fn later() -> MemoryTree {
    whole().seed(2).made(at("2026-01-01T12:00:00Z")).build()
}

/// Writes the name of the authority as a UTF8String, where kubeadm writes a PrintableString.
fn spell_in_utf8(tree: &mut MemoryTree) {
    const CN_KUBERNETES: &[u8] = b"\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03\x0c\x0akubernetes";
    tree.redraft(CA, CA_KEY, |ca| {
        ca.subject = DistinguishedName::parse_der(CN_KUBERNETES).unwrap();
        ca.issuer = ca.subject.clone();
    });
}

/// Puts files of another tree in place of those of `tree`.
fn take_over(tree: &mut MemoryTree, other: &MemoryTree, files: &[&str]) {
    for file in files {
        tree.edit(file, |content| *content = other.read_file(file).to_vec());
    }
}

/// Returns a tree in which one file was written at `moment`.
fn written(moment: &str) -> Inventory {
    let modified = Some(Moment::from_unix(at(moment).unix(), 0));
    with_meta(&broken(|_| ()), FileSlot::LeafKey(LeafSlot::ApiServer), |meta| meta.modified = modified)
}

/// Makes the certificate another node's.
fn give_away(tree: &mut MemoryTree, leaf: &str, key: &str) {
    readdress(tree, leaf, key, |name| name.replace("cp-1", "cp-2").replace("192.168.10.11", "192.168.10.12"));
}

/// Changes the names of the certificate, and its common name.
fn readdress(tree: &mut MemoryTree, leaf: &str, key: &str, change: impl Fn(&str) -> String) {
    tree.redraft(leaf, key, |leaf: &mut Draft| {
        let names = leaf
            .alternative_names
            .as_slice()
            .iter()
            .map(|name| AlternativeName::parse_host(&change(&name.host())).unwrap());
        leaf.alternative_names = AlternativeNames::new(names.collect());
        let name = change(leaf.subject.common_name().unwrap());
        leaf.subject = DistinguishedName::kubeadm(&name, &[]);
    });
}

fn rsa_tree() -> MemoryTree {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    rotate(&mut tree);
    tree
}

fn signed_with(algorithm: u8) -> MemoryTree {
    let mut tree = rsa_tree();
    resign(&mut tree, APISERVER, algorithm);
    tree
}

/// Names another algorithm of PKCS#1 in both places of the certificate; the signature itself stays.
fn resign(tree: &mut MemoryTree, file: &str, algorithm: u8) {
    const SHA256_WITH_RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
    let mut der = tree.certificate(file).as_der().to_vec();
    let positions: Vec<usize> = der
        .windows(9)
        .enumerate()
        .filter(|(_, window)| *window == SHA256_WITH_RSA)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(positions.len(), 2);
    for position in positions {
        der[position + 8] = algorithm;
    }
    tree.edit(file, |content| *content = encode_certificate(&der).into_bytes());
}

//! What is wrong with single files.

use kubecerts_core::catalog::{FileSlot, KubeconfigSlot, LeafSlot};
use kubecerts_core::diagnosis::{FindingCode, Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{AlternativeName, KeyUsages, encode_certificate};
use kubecerts_testkit::{Seeded, TreeBuilder, at, path};

use crate::support::*;

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
    a_kubeconfig_whose_server_no_host_could_be_is_damaged: Damaged =>
        codes(&broken(|tree| replace(tree, "/etc/kubernetes/scheduler.conf", "https://192.168.10.11:", "https://192.168.10.]1:")));
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
    an_authority_whose_issuer_was_changed_since_is_found: Damaged => {
        let tree = broken(|tree| {
            let file = "/etc/kubernetes/pki/etcd/ca.crt";
            let mut der = tree.certificate(file).as_der().to_vec();
            // The name of the issuer is before that of the subject.
            let name = der.windows(7).position(|window| window == b"etcd-ca").unwrap();
            der[name] = b'E';
            tree.edit(file, |content| *content = encode_certificate(&der).into_bytes());
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
    // All of them end 2026-03-03T00:00:01Z.
    let mut tree = whole().lifetime(Seconds(61 * 86_400 + 1)).build();
    tree.redraft(APISERVER, CA_KEY, |leaf| assert_eq!(leaf.not_after, at("2026-03-03T00:00:01Z")));
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
    rotate(&mut tree);
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
    let expected = "/root/.kube/config: is a copy of an earlier admin.conf: it expires 2027-01-01T00:00:00Z, in 17 days; \
                    admin.conf is valid until 2027-12-15T00:00:00Z";
    assert_eq!(found, [expected]);
}

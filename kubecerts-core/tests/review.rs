//! A plan that was read from a document is compared with the tree before it is issued.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use kubecerts_core::catalog::{CaSlot, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::Expected;
use kubecerts_core::plan::{
    ClusterIntent, Deviation, DeviationKind, KeyChoice, Permission, Plan, PlanRequest, Reason, ReviewError,
    Selection, check_clock, create, plan,
};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{
    AlternativeName, DistinguishedName, ExtendedKeyUsages, KeyAlgorithm, KeyType, KeyUsages, Purpose,
    SignatureAlgorithm,
};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at, path};
use serde_json::{Value, json};

const NOW: &str = "2026-12-20T00:00:00Z";
const API_SERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);

fn all() -> PlanRequest {
    PlanRequest::with_selection(Selection::All)
}

fn reuse() -> PlanRequest {
    let mut request = all();
    request.keys = KeyChoice::Reuse;
    request
}

/// Plans, writes the plan as a document, reads it again, and reviews what was read.
fn review(
    inventory: &Inventory,
    request: &PlanRequest,
    now: Timestamp,
) -> (Plan, Result<Vec<Deviation>, ReviewError>) {
    let made = plan(inventory, request, now, &mut Seeded::new(5)).unwrap();
    let read = Plan::from_json(&made.to_json()).unwrap();
    assert_eq!(read, made);
    let result = read.review(inventory, now);
    (read, result)
}

/// Reviews a plan for everything in `tree` after `edit` has changed the document's step for `slot`.
fn edited_in(
    tree: &MemoryTree,
    request: &PlanRequest,
    slot: Slot,
    edit: impl FnOnce(&mut Value),
) -> Result<Vec<Deviation>, ReviewError> {
    let inventory = tree.inventory();
    let made = plan(&inventory, request, at(NOW), &mut Seeded::new(5)).unwrap();
    read(&made, slot, edit).review(&inventory, at(NOW))
}

fn read(plan: &Plan, slot: Slot, edit: impl FnOnce(&mut Value)) -> Plan {
    let mut document: Value = serde_json::from_str(&plan.to_json()).unwrap();
    let steps = document["steps"].as_array_mut().unwrap();
    edit(steps.iter_mut().find(|step| step["slot"] == slot.name()).unwrap());
    Plan::from_json(&document.to_string()).unwrap()
}

fn edited(slot: Slot, edit: impl FnOnce(&mut Value)) -> Result<Vec<Deviation>, ReviewError> {
    edited_in(&TreeBuilder::kubeadm().build(), &all(), slot, edit)
}

fn set_subject(step: &mut Value, name: &DistinguishedName) {
    let der: String = name.as_der().iter().map(|byte| format!("{byte:02x}")).collect();
    step["certificate"]["subject"] = json!({ "der": der, "text": name.to_string() });
}

fn with_subject(
    slot: Slot,
    common_name: &str,
    organisations: &[&str],
) -> Result<Vec<Deviation>, ReviewError> {
    edited(slot, |step| set_subject(step, &DistinguishedName::kubeadm(common_name, organisations)))
}

fn refused_attribute(result: Result<Vec<Deviation>, ReviewError>) -> String {
    let Err(ReviewError::Subject { attribute, .. }) = result else { panic!("{result:?}") };
    attribute.to_string()
}

/// Returns the one line that a plan with one deviation shows, and what permits it.
fn only(result: Result<Vec<Deviation>, ReviewError>) -> (String, Permission) {
    let deviations = result.unwrap();
    let [deviation] = deviations.as_slice() else { panic!("{deviations:?}") };
    (deviation.to_string(), deviation.change.permission())
}

#[test]
fn plans_of_real_trees_deviate_in_nothing_but_lifetimes_that_were_not_a_year() {
    let mut deviating = BTreeSet::new();
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            let inventory = tree.inventory();
            for now in [
                "2026-11-22T00:05:30Z",
                "2026-12-01T00:00:00Z",
                "2027-11-10T00:00:00Z",
                "2028-11-10T00:00:00Z",
                "2036-06-01T00:00:00Z",
            ] {
                for request in [PlanRequest::default(), all(), reuse()] {
                    check_clock(&inventory, at(now)).unwrap();
                    let (plan, result) = review(&inventory, &request, at(now));
                    for deviation in result.unwrap_or_else(|error| panic!("{name} at {now}: {error}")) {
                        let Deviation { slot, change: DeviationKind::Lifetime { from, .. }, .. } = deviation
                        else {
                            panic!("{name} at {now}: {deviation}")
                        };
                        assert!(plan.steps().iter().any(|step| step.slot() == slot));
                        assert!((from.days() - 365).abs() > 1, "{name} at {now}: {deviation}");
                        deviating.insert(name);
                    }
                }
            }
        }
    }
    // kubeadm was told to make these certificates last for hours, or for 30 days.
    let expected = ["kubeadm-edge-expired-leaves-1.36.2", "kubeadm-v136-validity"];
    assert_eq!(deviating.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_lifetime_that_kubeadm_was_configured_for_is_no_deviation() {
    let fixture = Fixture::named("kubeadm-v136-validity");
    let inventory = Inventory::parse(&fixture.tree().snapshot_with(fixture.with_config()));
    let mut request = PlanRequest::for_node(inventory.node());
    request.selection = Selection::All;
    let (plan, result) = review(&inventory, &request, at("2026-12-10T00:00:00Z"));
    assert!(!plan.is_empty());
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn the_lifetime_of_a_certificate_of_kubeadm_1_20_is_not_the_span_of_its_dates() {
    // Renewed three years after its authority was made, from whose first second it counts.
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.not_after = at("2029-12-31T00:00:00Z");
    });
    let inventory = tree.inventory();
    let (_, result) = review(&inventory, &PlanRequest::default(), at("2029-12-15T00:00:00Z"));
    assert_eq!(result, Ok(Vec::new()));
    // With more than a year left it was not made for a year.
    let mut request = PlanRequest::with_selection(Selection::Named([API_SERVER].into()));
    request.permissions.insert(Permission::Validity);
    let (_, result) = review(&inventory, &request, at("2028-06-15T00:00:00Z"));
    assert_eq!(only(result).0, "apiserver: valid for 365d instead of 1460d");
    request.lifetime = Seconds::from_days(1460);
    let (_, result) = review(&inventory, &request, at("2029-12-15T00:00:00Z"));
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn a_plan_of_a_new_tree_has_nothing_to_deviate_from() {
    let empty = MemoryTree::default().inventory();
    let intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    let made = create(&intent, at(NOW), &mut Seeded::new(3)).unwrap();
    assert_eq!(Plan::from_json(&made.to_json()).unwrap().review(&empty, at(NOW)), Ok(Vec::new()));
}

#[test]
fn an_end_at_the_end_of_the_authority_is_no_deviation() {
    let tree = TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(400)).build();
    let (plan, result) = review(&tree.inventory(), &all(), at(NOW));
    assert!(plan.steps().iter().all(|step| !step.notes().is_empty()));
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn a_key_size_that_is_not_made_any_more_may_become_the_next_one() {
    let mut tree = TreeBuilder::kubeadm().build();
    let short = Fixture::named("kubeadm-v136-rsa2048").tree();
    let key = short.certificate("/etc/kubernetes/pki/apiserver.crt").public_key().clone();
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.public_key = key;
    });
    let result = edited_in(&tree, &all(), API_SERVER, |step| step["key"] = json!({ "generate": "RSA-2048" }));
    assert_eq!(result, Ok(Vec::new()));
    let result = edited_in(&tree, &all(), API_SERVER, |step| step["key"] = json!({ "generate": "RSA-4096" }));
    let change = DeviationKind::Algorithm { from: KeyType::Rsa { bits: 2048 }, to: KeyAlgorithm::Rsa4096 };
    assert_eq!(result.unwrap()[0].change, change);
}

#[test]
fn another_kind_of_key_deviates() {
    let result = edited(API_SERVER, |step| step["key"] = json!({ "generate": "RSA-2048" }));
    assert_eq!(
        only(result),
        ("apiserver: key RSA-2048 instead of ECDSA-P256".to_owned(), Permission::Algorithm)
    );
}

#[test]
fn other_alternative_names_deviate() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["alternativeNames"].as_array_mut().unwrap().push(json!("DNS:evil.example"));
    });
    let line = "apiserver: alternative names added DNS:evil.example";
    assert_eq!(only(result), (line.to_owned(), Permission::San));
    let result = edited(API_SERVER, |step| {
        step["certificate"]["alternativeNames"].as_array_mut().unwrap().remove(0);
    });
    let removed = vec![AlternativeName::Dns("cp-1".to_owned())];
    let change = DeviationKind::AlternativeNames { added: Vec::new(), removed };
    assert_eq!(result.unwrap()[0].change, change);
    let result = edited(SCHEDULER, |step| {
        step["certificate"]["alternativeNames"] = json!(["DNS:kubernetes"]);
    });
    assert_eq!(only(result).1, Permission::San);
}

#[test]
fn another_order_of_alternative_names_does_not_deviate() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["alternativeNames"].as_array_mut().unwrap().reverse();
    });
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn another_lifetime_deviates() {
    for (not_after, line) in [
        ("2035-12-18T00:00:00Z", "apiserver: valid for 3285d instead of 365d"),
        ("2027-12-22T00:00:00Z", "apiserver: valid for 367d instead of 365d"),
        ("2027-03-20T00:00:00Z", "apiserver: valid for 90d instead of 365d"),
    ] {
        let result = edited(API_SERVER, |step| step["certificate"]["notAfter"] = json!(not_after));
        assert_eq!(only(result), (line.to_owned(), Permission::Validity));
    }
    // A leap day and a few minutes are within the tolerance.
    let result = edited(API_SERVER, |step| {
        step["certificate"]["notAfter"] = json!("2027-12-20T23:54:00Z");
    });
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn a_short_lifetime_has_a_short_tolerance() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        (draft.not_before, draft.not_after) = (at("2026-12-19T23:30:00Z"), at("2026-12-20T00:30:00Z"));
    });
    let ending = |not_after: &'static str| {
        edited_in(&tree, &all(), API_SERVER, |step| step["certificate"]["notAfter"] = json!(not_after))
    };
    assert_eq!(only(ending("2026-12-21T00:55:00Z")).0, "apiserver: valid for 1d1h instead of 1h");
    assert_eq!(ending("2026-12-20T01:00:00Z"), Ok(Vec::new()));
}

#[test]
fn a_begin_in_the_past_counts_as_lifetime() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["notBefore"] = json!("2026-01-01T00:00:00Z");
    });
    assert_eq!(only(result).0, "apiserver: valid for 718d instead of 365d");
}

#[test]
fn a_begin_in_the_future_deviates() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["notBefore"] = json!("2026-12-20T00:00:01Z");
    });
    let line = "apiserver: not valid before 2026-12-20T00:00:01Z";
    assert_eq!(only(result), (line.to_owned(), Permission::Validity));
}

#[test]
fn a_validity_beyond_the_authority_is_refused() {
    for (field, value) in [("notAfter", "2125-11-24T00:00:00Z"), ("notBefore", "2025-12-31T23:49:59Z")] {
        let result = edited(API_SERVER, |step| step["certificate"][field] = json!(value));
        assert!(
            matches!(
                result,
                Err(ReviewError::BeyondIssuer { slot: API_SERVER, issuer: CaSlot::Cluster, .. })
            ),
            "{result:?}"
        );
    }
}

#[test]
fn a_plan_whose_certificates_would_have_expired_is_refused() {
    let inventory = TreeBuilder::kubeadm().build().inventory();
    let (plan, _) = review(&inventory, &all(), at(NOW));
    assert_eq!(plan.review(&inventory, at("2027-12-20T00:00:00Z")).map(|found| found.len()), Ok(0));
    let result = plan.review(&inventory, at("2027-12-20T00:00:01Z"));
    assert!(matches!(result, Err(ReviewError::Expired { .. })), "{result:?}");
}

#[test]
fn an_added_organisation_is_refused() {
    let masters = "O = system:masters";
    let result = with_subject(SCHEDULER, "system:kube-scheduler", &["system:masters"]);
    assert_eq!(
        result.as_ref().unwrap_err().to_string(),
        "scheduler.conf would have the subject O = system:masters, as neither the replaced certificate nor \
         kubeadm's has"
    );
    assert_eq!(refused_attribute(result), masters);
    // admin.conf of 1.29 and later is bound by RBAC, and must not escape it.
    let admin = Slot::Kubeconfig(KubeconfigSlot::Admin);
    let both = ["kubeadm:cluster-admins", "system:masters"];
    assert_eq!(refused_attribute(with_subject(admin, "kubernetes-admin", &both)), masters);
}

#[test]
fn an_old_node_may_have_the_organisations_of_old_versions() {
    let old = Fixture::named("kubeadm-v120-rsa").tree();
    let new = Fixture::named("kubeadm-v136-rsa2048").tree();
    let slot = Slot::Leaf(LeafSlot::ApiServerKubeletClient);
    let masters = DistinguishedName::kubeadm("kube-apiserver-kubelet-client", &["system:masters"]);
    assert_eq!(edited_in(&old, &all(), slot, |step| set_subject(step, &masters)), Ok(Vec::new()));
    let result = edited_in(&new, &all(), slot, |step| set_subject(step, &masters));
    assert_eq!(refused_attribute(result), "O = system:masters");
}

#[test]
fn another_common_name_is_refused() {
    for (slot, common_name) in [
        (SCHEDULER, "kubernetes-admin"),
        (Slot::Leaf(LeafSlot::EtcdPeer), "cp-2"),
        (Slot::Leaf(LeafSlot::ApiServerKubeletClient), "system:node:cp-2"),
    ] {
        let attribute = refused_attribute(with_subject(slot, common_name, &[]));
        assert_eq!(attribute, format!("CN = {common_name}"));
    }
}

#[test]
fn an_attribute_of_another_kind_is_refused() {
    let mut tree = TreeBuilder::kubeadm().build();
    // OU = x.example, CN = x.example.
    let der = "302831123010060355040b1309782e6578616d706c653112301006035504031309782e6578616d706c65";
    let bytes: Vec<u8> =
        (0..der.len()).step_by(2).map(|at| u8::from_str_radix(&der[at..at + 2], 16).unwrap()).collect();
    let foreign = DistinguishedName::parse_der(&bytes).unwrap();
    assert_eq!(refused_attribute(edited(API_SERVER, |step| set_subject(step, &foreign))), "OU = x.example");
    // A certificate that has such a subject keeps it.
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.subject = foreign;
    });
    assert_eq!(edited_in(&tree, &all(), API_SERVER, |_| ()), Ok(Vec::new()));
}

#[test]
fn a_subject_of_the_catalogue_does_not_deviate_from_a_foreign_one() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.subject = DistinguishedName::kubeadm("api.example", &["example"]);
    });
    for (name, organisations) in
        [("kube-apiserver", &[][..]), ("api.example", &["example"]), ("kube-apiserver", &["example"])]
    {
        let subject = DistinguishedName::kubeadm(name, organisations);
        let result = edited_in(&tree, &all(), API_SERVER, |step| set_subject(step, &subject));
        assert_eq!(result, Ok(Vec::new()));
    }
}

#[test]
fn added_usages_are_refused() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["extendedKeyUsages"] = json!(["serverAuth", "clientAuth"]);
    });
    let beyond = vec![Purpose::CLIENT_AUTH];
    assert_eq!(result, Err(ReviewError::ExtendedKeyUsages { slot: API_SERVER, beyond }));
    for unrestricted in [json!([]), json!(["serverAuth", "anyExtendedKeyUsage"])] {
        let result = edited(API_SERVER, |step| step["certificate"]["extendedKeyUsages"] = unrestricted);
        let beyond = vec![Purpose::ANY];
        assert_eq!(result, Err(ReviewError::ExtendedKeyUsages { slot: API_SERVER, beyond }));
    }
    let result = edited(API_SERVER, |step| {
        step["certificate"]["keyUsages"] = json!(["digitalSignature", "nonRepudiation", "keyAgreement"]);
    });
    assert_eq!(
        result.unwrap_err().to_string(),
        "apiserver would have the key usage nonRepudiation, keyAgreement, as neither the replaced certificate nor \
         kubeadm's has"
    );
}

#[test]
fn usages_of_the_replaced_certificate_are_kept_and_may_be_taken() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.key_usages =
            KeyUsages::from_names(["digitalSignature", "keyAgreement", "keyCertSign"]).unwrap();
        draft.extended_key_usages = ExtendedKeyUsages::new(vec![Purpose::CLIENT_AUTH, Purpose::SERVER_AUTH]);
    });
    assert_eq!(edited_in(&tree, &all(), API_SERVER, |_| ()), Ok(Vec::new()));
    let result = edited_in(&tree, &all(), API_SERVER, |step| {
        step["certificate"]["keyUsages"] = json!(["digitalSignature", "keyEncipherment"]);
        step["certificate"]["extendedKeyUsages"] = json!(["serverAuth"]);
    });
    assert_eq!(result, Ok(Vec::new()));
}

#[test]
fn what_a_component_needs_cannot_be_taken_away() {
    let admin = Slot::Kubeconfig(KubeconfigSlot::Admin);
    let server = Slot::Leaf(LeafSlot::EtcdServer);
    type Edit = fn(&mut Value);
    let edits: [(Slot, Edit, &str); 5] = [
        (admin, |step| set_subject(step, &DistinguishedName::kubeadm("kubernetes-admin", &[])), "O"),
        (API_SERVER, |step| step["certificate"]["keyUsages"] = json!([]), "digitalSignature"),
        (
            API_SERVER,
            |step| step["certificate"]["keyUsages"] = json!(["keyEncipherment"]),
            "digitalSignature",
        ),
        (server, |step| step["certificate"]["extendedKeyUsages"] = json!(["clientAuth"]), "serverAuth"),
        (server, |step| step["certificate"]["extendedKeyUsages"] = json!(["serverAuth"]), "clientAuth"),
    ];
    for (slot, edit, needed) in edits {
        let result = edited(slot, edit);
        let Err(ReviewError::Narrowed { slot: named, missing, .. }) = result else { panic!("{result:?}") };
        assert_eq!(named, slot);
        assert!(missing.starts_with(needed), "{missing}");
    }
    let error = edited(API_SERVER, |step| {
        step["certificate"]["subject"] = json!({ "der": "3000", "text": "" });
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "apiserver would lack the subject CN = kube-apiserver, which the replaced certificate and kubeadm's have"
    );
}

#[test]
fn a_mode_that_locks_the_owner_out_is_refused() {
    let result = edited(API_SERVER, |step| step["writes"][0]["mode"] = json!("0000"));
    let path = path("/etc/kubernetes/pki/apiserver.crt");
    assert_eq!(result, Err(ReviewError::Unusable { path, found: 0 }));
}

#[test]
fn what_has_to_be_restarted_cannot_be_hidden() {
    let inventory = TreeBuilder::kubeadm().build().inventory();
    let made = plan(&inventory, &all(), at(NOW), &mut Seeded::new(5)).unwrap();
    type Edit = fn(&mut Value);
    let edits: [Edit; 2] = [
        |document| document["restarts"] = json!([]),
        |document| document["restarts"].as_array_mut().unwrap().truncate(1),
    ];
    for edit in edits {
        let mut document: Value = serde_json::from_str(&made.to_json()).unwrap();
        edit(&mut document);
        let result = Plan::from_json(&document.to_string()).unwrap().review(&inventory, at(NOW));
        let Err(error @ ReviewError::Restarts { .. }) = result else { panic!("{result:?}") };
        assert!(error.to_string().contains("and here etcd "), "{error}");
    }
}

#[test]
fn a_file_that_has_changed_is_named_with_both_digests() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (plan, _) = review(&tree.inventory(), &all(), at(NOW));
    let file = "/etc/kubernetes/pki/apiserver.crt";
    let expected = Expected::Content(Digest::of(tree.read_file(file)));
    tree.edit(file, |content| content.push(b'\n'));
    let found = Expected::Content(Digest::of(tree.read_file(file)));
    let stale = |expected, found| ReviewError::Stale { path: path(file), expected, found };
    assert_eq!(plan.review(&tree.inventory(), at(NOW)), Err(stale(expected, found)));
    tree.remove(file);
    let error = plan.review(&tree.inventory(), at(NOW)).unwrap_err();
    assert_eq!(error, stale(expected, Expected::Absent));
    assert_eq!(
        error.to_string(),
        format!("{file} has changed since the plan was made: expected {expected}, found no file")
    );
}

#[test]
fn a_new_tree_over_an_old_one_is_refused() {
    let tree = TreeBuilder::kubeadm().without(FileSlot::CaCertificate(CaSlot::Cluster)).build();
    let intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    let plan = create(&intent, at(NOW), &mut Seeded::new(3)).unwrap();
    let result = plan.review(&tree.inventory(), at(NOW));
    assert!(matches!(result, Err(ReviewError::Stale { expected: Expected::Absent, .. })), "{result:?}");
}

#[test]
fn another_authority_is_refused() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["issuer"]["publicKeySha256"] = json!(Digest::of(b"mine").to_string());
    });
    let Err(ReviewError::IssuerChanged { issuer: CaSlot::Cluster, expected, found }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(expected, Digest::of(b"mine"));
    assert_ne!(found, expected);
}

#[test]
fn an_authority_whose_key_is_gone_is_refused() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (plan, _) = review(&tree.inventory(), &all(), at(NOW));
    tree.remove("/etc/kubernetes/pki/ca.key");
    let Err(ReviewError::CannotBeRenewed { reason, .. }) = plan.review(&tree.inventory(), at(NOW)) else {
        panic!("the key of ca is gone")
    };
    assert_eq!(reason, Reason::ExternalAuthority(CaSlot::Cluster));
}

#[test]
fn a_signature_that_the_authority_does_not_make_is_refused() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["signatureAlgorithm"] = json!("sha256WithRSAEncryption");
    });
    let (expected, found) = (SignatureAlgorithm::EcdsaWithSha256, SignatureAlgorithm::Sha256WithRsa);
    assert_eq!(result, Err(ReviewError::Signature { slot: API_SERVER, expected, found }));
}

#[test]
fn a_kept_key_must_belong_to_the_certificate() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (plan, _) = review(&tree.inventory(), &reuse(), at(NOW));
    tree.copy("/etc/kubernetes/pki/front-proxy-client.key", "/etc/kubernetes/pki/apiserver.key");
    let result = plan.review(&tree.inventory(), at(NOW));
    let reason = Reason::NoKeyToReuse(path("/etc/kubernetes/pki/apiserver.key"));
    assert_eq!(result, Err(ReviewError::CannotBeRenewed { slot: API_SERVER, reason }));
}

#[test]
fn a_false_account_of_what_is_replaced_is_refused() {
    let result = edited(API_SERVER, |step| step["replaced"]["notAfter"] = json!("2026-12-21T00:00:00Z"));
    assert!(matches!(result, Err(ReviewError::Replaced { slot: API_SERVER, .. })), "{result:?}");
}

#[test]
fn a_serial_number_that_is_taken_is_refused() {
    let result = edited(API_SERVER, |step| {
        step["certificate"]["serial"] = step["replaced"]["serial"].clone();
    });
    assert!(matches!(result, Err(ReviewError::RepeatedSerial { slot: API_SERVER, .. })), "{result:?}");
}

#[test]
fn two_certificates_in_one_file_are_refused() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (made, _) = review(&tree.inventory(), &all(), at(NOW));
    // kubespray serves etcd's clients and its peers with one certificate.
    let (server, peer) = ("/etc/kubernetes/pki/etcd/server", "/etc/kubernetes/pki/etcd/peer");
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: etcd, namespace: kube-system}}\nspec: {{containers: [{{name: etcd, \
         command: [etcd, --cert-file={server}.crt, --key-file={server}.key, --peer-cert-file={server}.crt, \
         --peer-key-file={server}.key]}}]}}\n"
    );
    tree.write(&path("/etc/kubernetes/manifests/etcd.yaml"), manifest, 0o600);
    for file in ["key", "crt"] {
        tree.copy(&format!("{peer}.{file}"), &format!("{server}.{file}"));
    }
    let steps = |slot: LeafSlot| {
        let step = made.steps().iter().find(|step| step.slot() == Slot::Leaf(slot)).unwrap();
        step.writes().iter().map(|write| json!(write.expected().to_string())).collect::<Vec<_>>()
    };
    let of_peer = steps(LeafSlot::EtcdPeer);
    let plan = read(&made, Slot::Leaf(LeafSlot::EtcdServer), |step| {
        for (write, expected) in step["writes"].as_array_mut().unwrap().iter_mut().zip(of_peer) {
            write["expected"] = expected;
        }
    });
    let result = plan.review(&tree.inventory(), at(NOW));
    assert_eq!(result, Err(ReviewError::RepeatedPath { path: path(&format!("{server}.crt")) }));
}

#[test]
fn a_mode_with_further_rights_is_refused() {
    let result = edited(API_SERVER, |step| step["writes"][0]["mode"] = json!("0666"));
    let path = path("/etc/kubernetes/pki/apiserver.crt");
    assert_eq!(result, Err(ReviewError::Mode { path, allowed: 0o644, found: 0o666 }));
}

/// Reviews the plan of a new tree after an edit of the step for `slot`.
fn created(slot: Slot, edit: impl FnOnce(&mut Value)) -> ReviewError {
    let intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    let made = create(&intent, at(NOW), &mut Seeded::new(3)).unwrap();
    read(&made, slot, edit).review(&MemoryTree::default().inventory(), at(NOW)).unwrap_err()
}

#[test]
fn a_new_certificate_must_be_kubeadms() {
    let other = |slot, field| ReviewError::OtherProfile { slot, field };
    let masters = DistinguishedName::kubeadm("system:kube-scheduler", &["system:masters"]);
    assert_eq!(created(SCHEDULER, |step| set_subject(step, &masters)), other(SCHEDULER, "subject"));
    let error = created(API_SERVER, |step| step["certificate"]["extendedKeyUsages"] = json!([]));
    assert_eq!(error, other(API_SERVER, "extended key usages"));
    let authority = Slot::Ca(CaSlot::Etcd);
    let error = created(authority, |step| {
        step["certificate"]["keyUsages"].as_array_mut().unwrap().push(json!("cRLSign"));
    });
    assert_eq!(error, other(authority, "key usages"));
}

#[test]
fn the_certificates_of_a_new_tree_must_name_one_node() {
    let slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
    let subject = DistinguishedName::kubeadm("system:node:cp-2", &["system:nodes"]);
    let error = created(slot, |step| set_subject(step, &subject));
    let (expected, found) = ("cp-1".to_owned(), "cp-2".to_owned());
    assert_eq!(error, ReviewError::OtherNode { slot, expected, found });
}

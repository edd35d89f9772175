//! A later end for authorities: what stays as it is, what follows, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use kubecerts_core::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, Reload, Slot};
use kubecerts_core::diagnosis::{Policy, Severity, diagnose};
use kubecerts_core::inventory::{Custody, Inventory};
use kubecerts_core::issue::issue;
use kubecerts_core::kubeconfig::{Kubeconfig, Source};
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{
    Authorities, DEFAULT_AUTHORITY_LIFETIME, DeviationKind, ExtendRequest, KeyPolicy, KubeconfigSpec, Note,
    Permission, Plan, PlanError, PlanRequest, Reason, ReviewError, Selection, extend, plan, trust,
};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{SignatureAlgorithm, SignatureVerdict, encode_certificate};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at, path};

const NOW: &str = "2027-06-01T12:00:00Z";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

fn all() -> ExtendRequest {
    let mut request = ExtendRequest::default();
    request.authorities = Authorities::All;
    request
}

fn named(ca: CaSlot) -> ExtendRequest {
    let mut request = ExtendRequest::default();
    request.authorities = Authorities::Named(BTreeSet::from([ca]));
    request
}

fn planned(tree: &MemoryTree, request: &ExtendRequest) -> Plan {
    extend(&tree.inventory(), request, at(NOW), &mut Seeded::new(7)).unwrap()
}

/// Carries `plan` out, after a review that finds nothing to permit, and looks for what it has not done.
fn carried_out(tree: &MemoryTree, plan: &Plan) -> MemoryTree {
    let snapshot = tree.snapshot();
    assert_eq!(plan.review(&Inventory::parse(&snapshot), at(NOW)), Ok(Vec::new()));
    let changes = issue(plan, &snapshot, &mut Seeded::provider(3)).unwrap();
    let mut after = tree.clone();
    after.apply(&changes);
    assert_eq!(plan.shortfalls(&after.inventory()), BTreeSet::new());
    after
}

fn extended(tree: &MemoryTree, request: &ExtendRequest) -> MemoryTree {
    carried_out(tree, &planned(tree, request))
}

/// The trees whose authorities' keys are here.
fn trees() -> Vec<(String, MemoryTree)> {
    // Of these the keys are elsewhere, and so are the certificates.
    let without = ["kubeadm-v136-external-ca", "kubeadm-edge-custom-cert-dir-1.36.2"];
    let fixtures = FIXTURES.into_iter().filter(|name| !without.contains(name));
    let mut trees: Vec<_> = fixtures.map(|name| (name.to_owned(), Fixture::named(name).tree())).collect();
    trees.push(("builder".to_owned(), TreeBuilder::kubeadm().build()));
    trees
}

fn authority_paths(tree: &MemoryTree) -> Vec<String> {
    let inventory = tree.inventory();
    let authorities = CaSlot::ALL.map(|ca| inventory.authority(ca));
    let held = authorities.into_iter().filter(|authority| authority.custody() == Custody::Held);
    held.map(|authority| authority.certificate_file().path.to_string()).collect()
}

#[test]
fn an_extended_authority_has_another_serial_number_and_end_and_the_rest_byte_for_byte() {
    for (name, tree) in trees() {
        let after = extended(&tree, &all());
        let paths = authority_paths(&tree);
        assert!(!paths.is_empty(), "{name}");
        for ca in paths {
            let (old, new) = (tree.certificate(&ca), after.certificate(&ca));
            assert_eq!(new.subject().as_der(), old.subject().as_der(), "{name} {ca}");
            assert_eq!(new.issuer().as_der(), old.issuer().as_der(), "{name} {ca}");
            assert_eq!(new.public_key(), old.public_key(), "{name} {ca}");
            assert_eq!(new.extensions(), old.extensions(), "{name} {ca}");
            assert_eq!(new.subject_key_identifier(), old.subject_key_identifier(), "{name} {ca}");
            assert_eq!((new.version(), new.not_before()), (old.version(), old.not_before()), "{name} {ca}");
            assert_eq!(new.not_after(), at(NOW).plus(DEFAULT_AUTHORITY_LIFETIME), "{name} {ca}");
            assert!(new.serial() != old.serial() && new.serial().is_positive(), "{name} {ca}");
            assert_eq!(new.verify_signature(old.public_key()), SignatureVerdict::Valid, "{name} {ca}");
            // Behind the dates come subject, key and extensions, and all of that is the same.
            let values: usize = old.extensions().iter().map(|extension| extension.value.len()).sum();
            let behind = old.subject().as_der().len() + old.public_key().as_der().len() + values;
            assert!(common(old.to_be_signed(), new.to_be_signed()) >= behind, "{name} {ca}");
        }
    }
}

/// Returns how many bytes at the end are the same.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[test]
fn an_authority_of_kubeadm_1_20_gets_a_serial_number_and_no_alternative_name() {
    let tree = Fixture::named("kubeadm-v120-rsa").tree();
    assert!(!tree.certificate(CA).serial().is_positive());
    let after = extended(&tree, &all()).certificate(CA);
    assert!(after.alternative_names().is_empty());
    assert!(after.serial().is_positive());
}

#[test]
fn whoever_embeds_the_certificate_of_the_cluster_gets_the_new_one_and_keeps_every_other_byte() {
    for (name, tree) in trees() {
        let after = extended(&tree, &named(CaSlot::Cluster));
        let inventory = tree.inventory();
        let ca = inventory.authority(CaSlot::Cluster).certificate_file().path.to_string();
        let mut edited = 0;
        for kubeconfig in KubeconfigSlot::ALL {
            let facts = inventory.file(FileSlot::Kubeconfig(kubeconfig));
            if !facts.exists {
                continue;
            }
            let (old, new) = (tree.read_file(facts.path.as_str()), after.read_file(facts.path.as_str()));
            let line = |bytes: &[u8]| -> Vec<String> {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                text.lines().map(str::to_owned).collect()
            };
            let (old, new) = (line(old), line(new));
            assert_eq!(old.len(), new.len());
            for (old, new) in old.iter().zip(&new).filter(|(old, new)| old != new) {
                assert!(old.trim_start().starts_with("certificate-authority-data: "), "{name} {kubeconfig}");
                assert!(new.trim_start().starts_with("certificate-authority-data: "), "{name} {kubeconfig}");
            }
            let parsed = Kubeconfig::parse(after.read_file(facts.path.as_str())).unwrap();
            let trusted = parsed.current().unwrap().cluster.certificate_authority().clone();
            assert_eq!(trusted, Source::Data(after.read_file(&ca).to_vec()), "{name} {kubeconfig}");
            edited += 1;
        }
        assert!(edited >= 3, "{name}");
    }
}

#[test]
fn nothing_but_authorities_and_kubeconfigs_is_written() {
    for (name, tree) in trees() {
        let after = extended(&tree, &all());
        for ((path, old, old_mode), (_, new, mode)) in tree.files().zip(after.files()) {
            let may = path.as_str().ends_with("ca.crt") || path.as_str().ends_with(".conf");
            assert!(old == new || may, "{name} {path}");
            assert_eq!(old_mode, mode, "{name} {path}");
        }
    }
}

#[test]
fn an_extension_leaves_no_finding_that_was_not_there_before() {
    for (name, tree) in trees() {
        let findings = |tree: &MemoryTree| -> BTreeSet<String> {
            let inventory = tree.inventory();
            let diagnosis = diagnose(&inventory, &Observations::none(), Policy::default(), at(NOW));
            let above = diagnosis.findings().iter().filter(|finding| finding.severity != Severity::Notice);
            above.map(ToString::to_string).collect()
        };
        let (before, after) = (findings(&tree), findings(&extended(&tree, &all())));
        let new: Vec<_> = after.difference(&before).collect();
        assert!(new.is_empty(), "{name}: {new:?}");
    }
}

#[test]
fn the_second_run_has_nothing_to_do() {
    for (name, tree) in trees() {
        for request in [all(), named(CaSlot::Cluster), ExtendRequest::default()] {
            let after = extended(&tree, &request);
            let later = at(NOW).plus(Seconds(3600));
            let again = extend(&after.inventory(), &request, later, &mut Seeded::new(8)).unwrap();
            assert!(again.is_empty() && !again.is_incomplete(), "{name}: {again:?}");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    assert_eq!(extended(&tree, &all()), extended(&tree, &all()));
}

#[test]
fn authorities_are_due_half_a_year_before_their_end() {
    let tree = TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(3650)).build();
    let end = tree.certificate(CA).not_after();
    for (now, due) in [(end.minus(Seconds::from_days(180)), 3), (end.minus(Seconds(180 * 86_400 + 1)), 0)] {
        let plan = extend(&tree.inventory(), &ExtendRequest::default(), now, &mut Seeded::new(1)).unwrap();
        let authorities = plan.steps().iter().filter(|step| step.is_extension()).count();
        assert_eq!(authorities, due, "{now}");
    }
}

#[test]
fn an_expired_authority_can_be_extended_and_its_leaves_are_good_again() {
    let tree = Fixture::named("kubeadm-edge-expired-1.36.2").tree();
    let now = tree.certificate(CA).not_after().plus(Seconds::from_days(400));
    let plan = extend(&tree.inventory(), &ExtendRequest::default(), now, &mut Seeded::new(1)).unwrap();
    assert!(plan.steps().iter().any(|step| step.slot() == Slot::Ca(CaSlot::Cluster)));
    let changes = issue(&plan, &tree.snapshot(), &mut Seeded::provider(1)).unwrap();
    let mut after = tree;
    after.apply(&changes);
    assert!(after.certificate(CA).not_after() > now);
}

#[test]
fn the_programs_that_read_the_certificate_once_are_to_be_restarted() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let restarts: Vec<_> =
        planned(&tree, &all()).restarts().iter().map(|restart| (restart.component, restart.reload)).collect();
    assert!(restarts.contains(&(Component::ControllerManager, Reload::NeedsRestart)), "{restarts:?}");
    assert!(restarts.contains(&(Component::Etcd, Reload::NeedsRestart)), "{restarts:?}");
    let only_front_proxy = planned(&tree, &named(CaSlot::FrontProxy));
    let restarts: Vec<_> = only_front_proxy.restarts().iter().map(|restart| restart.component).collect();
    assert_eq!(restarts, [Component::ApiServer, Component::ControllerManager]);
}

#[test]
fn in_a_bundle_the_extended_certificate_takes_the_place_of_the_old_one() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = TreeBuilder::kubeadm().seed(9).build().certificate(CA);
    let old = tree.certificate(CA);
    let (first, second) = (encode_certificate(other.as_der()), encode_certificate(old.as_der()));
    let bundle = format!("# the one of last year\n{first}# ours\r\n{second}\n# end\n");
    tree.edit(CA, |content| *content = bundle.clone().into_bytes());
    let after = extended(&tree, &named(CaSlot::Cluster));
    let text = String::from_utf8(after.read_file(CA).to_vec()).unwrap();
    let new = after.inventory().authority(CaSlot::Cluster).signer().unwrap().clone();
    assert_ne!(new, old);
    assert_eq!(text, bundle.replace(&second, &encode_certificate(new.as_der())));
}

#[test]
fn other_certificates_that_a_kubeconfig_trusts_stay() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = TreeBuilder::kubeadm().seed(9).build().certificate(CA);
    let bundle = encode_certificate(other.as_der()) + &encode_certificate(tree.certificate(CA).as_der());
    trust_bytes(&mut tree, "/etc/kubernetes/admin.conf", bundle.as_bytes());
    let after = extended(&tree, &named(CaSlot::Cluster));
    let trusted = after.inventory();
    let trusted = trusted.credential(Slot::Kubeconfig(KubeconfigSlot::Admin)).unwrap().kubeconfig().unwrap();
    let trusted = trusted.authority.present().unwrap().certificates();
    assert_eq!(trusted, [other, after.certificate(CA)]);
}

/// Lets the kubeconfig at `file` trust `pem`.
fn trust_bytes(tree: &mut MemoryTree, file: &str, pem: &[u8]) {
    use kubecerts_core::kubeconfig::{Edit, edit};
    let bytes = tree.read_file(file).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let cluster = parsed.current().unwrap().cluster.name().to_owned();
    let edited = edit(&bytes, &Edit::new().authority(pem, &cluster)).unwrap();
    tree.edit(file, |content| *content = edited.secret_bytes().to_vec());
}

#[test]
fn a_kubeconfig_that_trusts_another_authority_is_left_alone() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = encode_certificate(TreeBuilder::kubeadm().seed(9).build().certificate(CA).as_der());
    trust_bytes(&mut tree, "/etc/kubernetes/scheduler.conf", other.as_bytes());
    let plan = planned(&tree, &named(CaSlot::Cluster));
    assert!(plan.steps().iter().all(|step| step.slot() != Slot::Kubeconfig(KubeconfigSlot::Scheduler)));
}

#[test]
fn an_external_authority_is_deferred() {
    let tree = Fixture::named("kubeadm-v136-external-ca").tree();
    let plan = planned(&tree, &all());
    assert!(plan.is_incomplete());
    let cluster = plan.deferred().iter().find(|one| one.slot() == Slot::Ca(CaSlot::Cluster)).unwrap();
    assert_eq!(*cluster.reason(), Reason::ExternalAuthority(CaSlot::Cluster));
}

#[test]
fn an_intermediate_is_deferred_with_the_name_of_the_one_that_signed_it() {
    let mut tree = TreeBuilder::kubeadm().build();
    let root = TreeBuilder::kubeadm().seed(9).build();
    let root_key = root.private_key("/etc/kubernetes/pki/etcd/ca.key");
    let issuer = root.certificate("/etc/kubernetes/pki/etcd/ca.crt").subject().clone();
    let mut draft = kubecerts_testkit::Draft::of(&tree.certificate(CA));
    draft.issuer = issuer.clone();
    let pem = encode_certificate(&draft.signed_by(&root_key));
    tree.edit(CA, |content| *content = pem.into_bytes());
    let plan = planned(&tree, &named(CaSlot::Cluster));
    assert!(plan.is_empty() && plan.is_incomplete());
    assert_eq!(*plan.deferred()[0].reason(), Reason::SignedByAnother(issuer.to_string()));

    // The same name does not make it its own issuer.
    let mut draft = kubecerts_testkit::Draft::of(&tree.certificate(CA));
    draft.issuer = draft.subject.clone();
    let pem = encode_certificate(&draft.signed_by(&root_key));
    tree.edit(CA, |content| *content = pem.into_bytes());
    let plan = planned(&tree, &named(CaSlot::Cluster));
    assert!(matches!(plan.deferred()[0].reason(), Reason::SignedByAnother(_)), "{plan:?}");
}

#[test]
fn an_authority_with_a_signature_of_sha_1_gets_one_of_sha_256() {
    const SHA256_WITH_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let mut der = tree.certificate(CA).as_der().to_vec();
    let length = SHA256_WITH_RSA.len();
    for at in 0..der.len() - length {
        if der[at..].starts_with(SHA256_WITH_RSA) {
            der[at + length - 1] = 5;
        }
    }
    tree.edit(CA, |content| *content = encode_certificate(&der).into_bytes());
    let plan = planned(&tree, &named(CaSlot::Cluster));
    let step = plan.steps().iter().find(|step| step.is_extension()).unwrap();
    let from = tree.certificate(CA).signature_algorithm();
    assert!(from.contains("sha1"), "{from}");
    let to = SignatureAlgorithm::Sha256WithRsa;
    assert_eq!(step.notes(), [Note::SignatureChanged { from, to }]);
    let after = extended(&tree, &named(CaSlot::Cluster)).certificate(CA);
    assert_eq!(after.verify_signature(after.public_key()), SignatureVerdict::Valid);
    assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
}

#[test]
fn broken_authorities_are_deferred() {
    let fixture = Fixture::named("kubeadm-v136-rsa2048");
    let mut foreign_key = fixture.tree();
    foreign_key.copy("/etc/kubernetes/pki/etcd/ca.key", "/etc/kubernetes/pki/ca.key");
    let mut no_certificate = fixture.tree();
    no_certificate.edit(CA, |content| content.truncate(100));
    let mut half_a_bundle = fixture.tree();
    half_a_bundle.edit(CA, |content| {
        let more = content.clone();
        content.extend_from_slice(&more[..more.len() - 40]);
    });
    let mut absent = fixture.tree();
    absent.remove(CA);
    for (tree, reason) in [
        (foreign_key, "ca-unusable"),
        (no_certificate, "ca-unusable"),
        (half_a_bundle, "damaged"),
        (absent, "missing"),
    ] {
        let plan = planned(&tree, &named(CaSlot::Cluster));
        assert!(plan.is_empty() && plan.is_incomplete());
        assert_eq!(plan.deferred()[0].reason().name(), reason);
    }
}

#[test]
fn a_shorter_life_needs_permission() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let mut request = named(CaSlot::Cluster);
    request.lifetime = Seconds::from_days(30);
    let result = extend(&tree.inventory(), &request, at(NOW), &mut Seeded::new(1));
    let from = tree.certificate(CA).not_after();
    let to = at(NOW).plus(Seconds::from_days(30));
    assert_eq!(result, Err(PlanError::Shortens { ca: CaSlot::Cluster, from, to }));
    request.permissions.insert(Permission::Validity);
    let plan = extend(&tree.inventory(), &request, at(NOW), &mut Seeded::new(1)).unwrap();
    let step = plan.steps().iter().find(|step| step.is_extension()).unwrap();
    assert_eq!(step.notes(), [Note::Shortened]);
    let deviations = plan.review(&tree.inventory(), at(NOW)).unwrap();
    assert!(matches!(deviations[0].change, DeviationKind::Lifetime { .. }), "{deviations:?}");
}

#[test]
fn no_lifetime_is_no_lifetime() {
    let mut request = all();
    for lifetime in [0, -1] {
        request.lifetime = Seconds(lifetime);
        let result =
            extend(&TreeBuilder::kubeadm().build().inventory(), &request, at(NOW), &mut Seeded::new(1));
        assert_eq!(result, Err(PlanError::Lifetime(Seconds(lifetime))));
    }
}

#[test]
fn a_lifetime_beyond_all_dates_ends_with_the_last_one() {
    let tree = TreeBuilder::kubeadm().build();
    let mut request = named(CaSlot::FrontProxy);
    request.lifetime = Seconds(i64::MAX);
    let plan = extend(&tree.inventory(), &request, at(NOW), &mut Seeded::new(1)).unwrap();
    let changes = issue(&plan, &tree.snapshot(), &mut Seeded::provider(1)).unwrap();
    let mut after = tree;
    after.apply(&changes);
    let end = after.certificate("/etc/kubernetes/pki/front-proxy-ca.crt").not_after();
    assert_eq!(end, at("9999-12-31T23:59:59Z"));
}

#[test]
fn the_lifetime_of_the_configuration_is_the_default() {
    let fixture = Fixture::named("kubeadm-v136-validity");
    let inventory = Inventory::parse(&fixture.tree().snapshot_with(fixture.with_config()));
    let configured = inventory.node().kubeadm().unwrap().ca_certificate_validity().unwrap();
    assert_ne!(configured, DEFAULT_AUTHORITY_LIFETIME);
    assert_eq!(ExtendRequest::for_node(inventory.node()).lifetime, configured);
}

#[test]
fn renewed_leaves_can_outlive_the_old_end_after_an_extension() {
    let tree = TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(600)).build();
    let mut after = extended(&tree, &all());
    after.renew(&PlanRequest::with_selection(Selection::All), at(NOW), &mut Seeded::provider(2));
    let leaf = after.certificate("/etc/kubernetes/pki/apiserver.crt");
    assert_eq!(leaf.not_after(), at(NOW).plus(Seconds::from_days(365)));
    assert!(leaf.not_after() > tree.certificate(CA).not_after().minus(Seconds::from_days(300)));
}

// Documents.

/// Returns `plan` after `change` has edited its document.
fn tampered(plan: &Plan, from: &str, to: &str) -> Result<Plan, String> {
    let text = plan.to_json();
    assert!(text.contains(from), "{from} is not in {text}");
    Plan::from_json(&text.replace(from, to)).map_err(|error| error.to_string())
}

#[test]
fn a_plan_of_an_extension_survives_its_document() {
    for (_, tree) in trees() {
        let plan = planned(&tree, &all());
        assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
    }
}

#[test]
fn an_edited_document_cannot_make_another_identity_of_an_authority() {
    let tree = TreeBuilder::kubeadm().build();
    let inventory = tree.inventory();
    let plan = planned(&tree, &named(CaSlot::Etcd));
    let spec = plan.steps()[0].certificate().unwrap();
    let first_second = spec.validity.not_before().to_string();
    for (from, to, field) in [
        ("DNS:etcd-ca", "DNS:kubernetes", "alternative names"),
        ("\"keyEncipherment\",", "\"keyEncipherment\", \"cRLSign\",", "key usages"),
        ("\"extendedKeyUsages\": []", "\"extendedKeyUsages\": [\"serverAuth\"]", "extended key usages"),
        (first_second.as_str(), "2020-01-01T00:00:00Z", "first second"),
    ] {
        let edited = tampered(&plan, from, to).unwrap();
        let slot = Slot::Ca(CaSlot::Etcd);
        assert_eq!(edited.review(&inventory, at(NOW)), Err(ReviewError::Identity { slot, field }));
    }
    let other = planned(&tree, &named(CaSlot::FrontProxy));
    let json = |plan: &Plan| -> serde_json_free::Subject { serde_json_free::subject(&plan.to_json()) };
    let (mine, theirs) = (json(&plan), json(&other));
    let text = plan.to_json().replace(&mine.0, &theirs.0).replace(&mine.1, &theirs.1);
    let edited = Plan::from_json(&text).unwrap();
    let error = edited.review(&inventory, at(NOW)).unwrap_err();
    assert_eq!(error, ReviewError::Identity { slot: Slot::Ca(CaSlot::Etcd), field: "subject" });
    // Whoever does not review gets no other certificate either.
    assert!(issue(&edited, &tree.snapshot(), &mut Seeded::provider(1)).is_err());
}

/// The subject in a document, without a parser of JSON.
mod serde_json_free {
    pub(crate) struct Subject(pub(crate) String, pub(crate) String);

    pub(crate) fn subject(text: &str) -> Subject {
        let line = |key: &str| {
            let from = text.find("\"subject\"").unwrap();
            let line = text[from..].lines().find(|line| line.trim_start().starts_with(key)).unwrap();
            line.trim().trim_end_matches(',').to_owned()
        };
        Subject(line("\"der\""), line("\"text\""))
    }
}

#[test]
fn an_edited_lifetime_needs_permission() {
    let tree = TreeBuilder::kubeadm().build();
    let plan = planned(&tree, &named(CaSlot::Etcd));
    let end = plan.steps()[0].certificate().unwrap().validity.not_after().to_string();
    for to in ["2099-01-01T00:00:00Z", "2028-01-01T00:00:00Z"] {
        let deviations = tampered(&plan, &end, to).unwrap().review(&tree.inventory(), at(NOW)).unwrap();
        assert_eq!(deviations.len(), 1);
        assert_eq!(deviations[0].change.permission(), Permission::Validity);
    }
    let over = tampered(&plan, &end, "2027-01-01T00:00:00Z").unwrap().review(&tree.inventory(), at(NOW));
    assert!(matches!(over, Err(ReviewError::Expired { .. })), "{over:?}");
}

#[test]
fn a_document_cannot_mix_the_parts_of_other_steps_into_an_extension() {
    let plan = planned(&TreeBuilder::kubeadm().build(), &named(CaSlot::Cluster));
    for (from, to) in [
        ("\"action\": \"extend\"", "\"action\": \"renew\""),
        ("\"action\": \"trust\"", "\"action\": \"repair\""),
        ("\"key\": \"reuse\"", "\"key\": {\"generate\": \"RSA-2048\"}"),
        ("\"issuer\": \"self\"", "\"issuer\": {\"created\": \"ca\"}"),
        ("\"file\": \"ca-certificate\"", "\"file\": \"ca-key\""),
    ] {
        if !plan.to_json().contains(from) {
            continue;
        }
        assert!(tampered(&plan, from, to).is_err(), "{from} -> {to}");
    }
    // A kubeconfig cannot trust what nobody extends.
    let text = planned(&TreeBuilder::kubeadm().build(), &named(CaSlot::Cluster)).to_json();
    let step = text.find("\"slot\": \"ca\"").unwrap();
    let begin = text[..step].rfind("    {").unwrap();
    let end = begin + text[begin..].find("\n    }").unwrap() + "\n    }".len();
    let without = format!("{}{}", text[..begin].trim_end().trim_end_matches(','), &text[end..]);
    let error = Plan::from_json(&without).unwrap_err().to_string();
    assert!(error.contains("no step extends it"), "{error}");
}

#[test]
fn a_stale_extension_is_refused() {
    let tree = TreeBuilder::kubeadm().build();
    let plan = planned(&tree, &all());
    let after = carried_out(&tree, &plan);
    assert!(matches!(plan.review(&after.inventory(), at(NOW)), Err(ReviewError::Stale { .. })));
    assert!(issue(&plan, &after.snapshot(), &mut Seeded::provider(1)).is_err());
}

// Whom kubeconfigs trust.

#[test]
fn kubeconfigs_that_lack_the_authority_are_made_to_trust_it() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = encode_certificate(TreeBuilder::kubeadm().seed(9).build().certificate(CA).as_der());
    trust_bytes(&mut tree, "/etc/kubernetes/scheduler.conf", other.as_bytes());
    let plan = trust(&tree.inventory(), &BTreeSet::new(), at(NOW)).unwrap();
    let slots: Vec<_> = plan.steps().iter().map(|step| (step.slot(), step.kubeconfig().cloned())).collect();
    assert_eq!(slots, [(Slot::Kubeconfig(KubeconfigSlot::Scheduler), Some(KubeconfigSpec::Trust))]);
    assert!(!plan.is_incomplete());
    assert_eq!(Plan::from_json(&plan.to_json()).as_ref(), Ok(&plan));
    let after = carried_out(&tree, &plan);
    let pristine = Fixture::named("kubeadm-v136-rsa2048").tree();
    assert_eq!(after, pristine);
    assert!(trust(&after.inventory(), &BTreeSet::new(), at(NOW)).unwrap().is_empty());
}

#[test]
fn whom_a_kubeconfig_trusts_does_not_depend_on_the_key_being_here() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = TreeBuilder::kubeadm().seed(9).build();
    tree.edit(CA, |content| *content = other.read_file(CA).to_vec());
    let plan = trust(&tree.inventory(), &BTreeSet::new(), at(NOW)).unwrap();
    let after = carried_out(&tree, &plan);
    assert_eq!(plan.steps().len(), 5);
    assert!(trust(&after.inventory(), &BTreeSet::new(), at(NOW)).unwrap().is_empty());
}

#[test]
fn a_reference_to_a_file_is_left_alone() {
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    tree.edit("/etc/kubernetes/scheduler.conf", |content| {
        let text = String::from_utf8(content.clone()).unwrap();
        let lines = text.lines().map(|line| match line.find("certificate-authority-data:") {
            Some(at) => format!("{}certificate-authority: {CA}", &line[..at]),
            None => line.to_owned(),
        });
        *content = (lines.collect::<Vec<_>>().join("\n") + "\n").into_bytes();
    });
    let named = BTreeSet::from([KubeconfigSlot::Scheduler]);
    let plan = trust(&tree.inventory(), &named, at(NOW)).unwrap();
    assert!(plan.is_empty());
    assert_eq!(
        *plan.deferred()[0].reason(),
        Reason::EmbedsNoAuthority(path("/etc/kubernetes/scheduler.conf"))
    );
    // What refers to the file follows it by itself.
    let plan = planned(&tree, &all());
    assert!(plan.steps().iter().all(|step| step.slot() != Slot::Kubeconfig(KubeconfigSlot::Scheduler)));
}

#[test]
fn an_extension_makes_no_key_and_signs_once_for_each_authority() {
    let plan = planned(&TreeBuilder::kubeadm().build(), &all());
    assert!(plan.steps().iter().all(|step| step.key() == KeyPolicy::Reuse));
    assert_eq!(plan.steps().iter().filter(|step| step.certificate().is_some()).count(), 3);
}

#[test]
fn a_renewal_never_extends() {
    let tree = TreeBuilder::kubeadm().build();
    let request = PlanRequest::with_selection(Selection::Named(Slot::ALL.into_iter().collect()));
    let plan = plan(&tree.inventory(), &request, at(NOW), &mut Seeded::new(1)).unwrap();
    assert!(plan.steps().iter().all(|step| !step.is_extension() && !step.is_trust()));
}

use core::net::IpAddr;

use serde_json::{Value, json};

use super::super::{
    AuthorityProblem, ClusterIntent, Deferred, KubeconfigSpec, LifetimeSource, NeededName, Note, Plan,
    Reason, Replaced, Step, create,
};
use super::*;
use crate::catalog::{KubeconfigSlot, LeafSlot};
use crate::digest::Digest;
use crate::path::TreePath;
use crate::provider::{Entropy, ProviderError};
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeName, AlternativeNames, KeyAlgorithm, KeyType, SerialNumber, SignatureAlgorithm,
};

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        out.fill(7);
        Ok(())
    }
}

/// A plan of creations: three authorities, seven leaves, five kubeconfigs, the service account pair.
fn creation() -> Plan {
    let intent = ClusterIntent::new("cp-1".parse().unwrap(), IpAddr::from([192, 168, 10, 11]));
    create(&intent, at("2026-01-01T00:00:00Z"), &mut Sevens).unwrap()
}

/// A plan that renews the API server's certificate and admin.conf.
fn renewal() -> Plan {
    let mut plan = creation();
    plan.steps.retain(|step| {
        matches!(step.slot, Slot::Leaf(LeafSlot::ApiServer) | Slot::Kubeconfig(KubeconfigSlot::Admin))
    });
    for step in &mut plan.steps {
        renew(step);
    }
    let component = Component::ApiServer;
    plan.restarts.push(super::super::Restart { component, reload: crate::catalog::Reload::ByItself });
    plan
}

fn renew(step: &mut Step) {
    let public_key = Digest::of(b"the key of ca");
    step.certificate.as_mut().unwrap().issuer = IssuerRef::Existing { ca: CaSlot::Cluster, public_key };
    step.replaced = Some(Replaced {
        serial: SerialNumber::from_der_content(&[0xff, 0, 1]),
        not_after: at("2026-01-15T00:00:00Z"),
    });
    if step.kubeconfig.is_some() {
        step.kubeconfig = Some(KubeconfigSpec::Edit { replace_authority: true });
    }
    for write in &mut step.writes {
        write.expected = Expected::Content(Digest::of(b"the old file"));
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn assert_round_trip(plan: &Plan) {
    let text = plan.to_json();
    let parsed = Plan::from_json(&text).unwrap();
    assert_eq!(&parsed, plan);
    assert_eq!(parsed.to_json(), text);
}

/// Returns how reading fails after `edit` has changed the document of `plan`.
fn refusal(plan: &Plan, edit: impl FnOnce(&mut Value)) -> DocumentError {
    let mut document: Value = serde_json::from_str(&plan.to_json()).unwrap();
    edit(&mut document);
    Plan::from_json(&document.to_string()).unwrap_err()
}

fn bad_value(plan: &Plan, pointer: &str, value: Value) -> String {
    let error = refusal(plan, |document| *document.pointer_mut(pointer).unwrap() = value);
    let DocumentError::Value { at, .. } = error else { panic!("{error}") };
    at
}

const API_SERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);

#[test]
fn plans_of_creations_and_of_renewals_round_trip() {
    assert_round_trip(&creation());
    assert_round_trip(&renewal());
}

#[test]
fn a_document_is_indented_and_ends_with_a_newline() {
    let text = renewal().to_json();
    let head = "{\n  \"apiVersion\": \"kubecerts.dev/v1\",\n  \"kind\": \"Plan\",\n  \"createdAt\": \
                \"2026-01-01T00:00:00Z\",\n  \"steps\": [\n    {\n      \"slot\": \"apiserver\",\n      \
                \"action\": \"renew\",\n      \"key\": {\n        \"generate\": \"RSA-2048\"\n      },\n";
    assert!(text.starts_with(head), "{text}");
    assert!(text.ends_with("  ]\n}\n"), "{text}");
}

#[test]
fn every_note_round_trips() {
    let ca = CaSlot::FrontProxy;
    let notes = [
        Note::Capped { ca, asked: Seconds(i64::MIN) },
        Note::KeyChanged { from: KeyType::Rsa { bits: 1024 }, to: KeyAlgorithm::Rsa2048 },
        Note::KeyChanged { from: KeyType::EcdsaP256, to: KeyAlgorithm::EcdsaP256 },
        Note::KeyChanged { from: KeyType::EcdsaP384, to: KeyAlgorithm::EcdsaP384 },
        Note::KeyChanged { from: KeyType::Other("RSA-2048".to_owned()), to: KeyAlgorithm::Rsa4096 },
        Note::UsagesFromCatalogue,
        Note::AuthorityChanged(ca),
        Note::AuthorityDataReplaced,
        Note::ChainDropped(usize::MAX),
        Note::ExtensionsDropped(vec!["certificatePolicies".to_owned(), "1.2.3.4".to_owned()]),
        Note::ModeTightened(0o640),
        Note::SubjectChanged("CN = a".to_owned()),
        Note::SignatureChanged {
            from: "sha1WithRSAEncryption".to_owned(),
            to: SignatureAlgorithm::Sha256WithRsa,
        },
        Note::Shortened,
        Note::NamesChanged {
            added: vec![AlternativeName::Dns("a".to_owned()), AlternativeName::Ip([10, 0, 0, 1].into())],
            removed: vec![AlternativeName::Uri("a:b".to_owned())],
        },
        Note::LifetimeStated { lifetime: Seconds(1), source: LifetimeSource::Policy },
        Note::LifetimeKept { lifetime: Seconds(i64::MAX) },
        Note::LifetimeShortened { from: Seconds(2), to: Seconds(1) },
    ];
    let mut plan = renewal();
    for note in &notes {
        // A new variant belongs into the list above.
        match note {
            Note::Capped { .. }
            | Note::KeyChanged { .. }
            | Note::UsagesFromCatalogue
            | Note::AuthorityChanged(_)
            | Note::AuthorityDataReplaced
            | Note::ChainDropped(_)
            | Note::ExtensionsDropped(_)
            | Note::ModeTightened(_)
            | Note::SubjectChanged(_)
            | Note::SignatureChanged { .. }
            | Note::Shortened
            | Note::NamesChanged { .. }
            | Note::LifetimeStated { .. }
            | Note::LifetimeKept { .. }
            | Note::LifetimeShortened { .. } => {}
        }
    }
    plan.steps[0].notes = notes.to_vec();
    assert_round_trip(&plan);
}

#[test]
fn every_reason_round_trips_under_its_own_name() {
    let ca = CaSlot::Etcd;
    let (file, detail) = (path("/etc/kubernetes/pki/x.crt"), "holds \u{1b} and \"quotes\"".to_owned());
    let not_after = at("9999-12-31T23:59:59Z");
    let problems = [
        AuthorityProblem::Absent(file.clone()),
        AuthorityProblem::Damaged(file.clone(), detail.clone()),
        AuthorityProblem::KeyMismatch,
        AuthorityProblem::NotAnAuthority,
        AuthorityProblem::Expired(at("0000-01-01T00:00:00Z")),
        AuthorityProblem::NotYetValid(not_after),
        AuthorityProblem::UnsupportedKey("id-Ed25519".to_owned()),
    ];
    let mut reasons = vec![
        Reason::NotDue { not_after },
        Reason::ExternalAuthority(ca),
        Reason::CannotBeExtended { not_after },
        Reason::Missing(file.clone()),
        Reason::Unreadable(file.clone(), detail.clone()),
        Reason::Damaged(file.clone(), detail),
        Reason::Referenced(file.clone()),
        Reason::UnsupportedKey("secp521r1".to_owned()),
        Reason::NoKeyToReuse(file),
        Reason::KubeletOwned,
        Reason::NotRenewable,
        Reason::SameFilesAs(API_SERVER),
        Reason::NodeNameUnknown,
        Reason::ServerUnknown,
        Reason::NamesUnchanged,
        Reason::NamesNeeded(
            [None, Some("clients".to_owned())]
                .map(|clients| NeededName {
                    name: AlternativeName::Dns("a".to_owned()),
                    reason: "the node's name".to_owned(),
                    clients,
                })
                .to_vec(),
        ),
        Reason::LifetimeShortened { from: Seconds(2), to: Seconds(1), source: LifetimeSource::Argument },
    ];
    reasons.extend(problems.map(|problem| Reason::AuthorityUnusable(ca, problem)));
    for reason in reasons {
        let mut plan = renewal();
        plan.deferred = vec![Deferred::new(Slot::ServiceAccount, reason.clone())];
        assert_round_trip(&plan);
        let document: Value = serde_json::from_str(&plan.to_json()).unwrap();
        assert_eq!(document["deferred"][0]["reason"]["code"], reason.name());
    }
}

#[test]
fn alternative_names_of_every_kind_round_trip() {
    let names = [
        AlternativeName::Dns("it's\\a\"name\"".to_owned()),
        AlternativeName::Email("a@b".to_owned()),
        AlternativeName::Uri("spiffe://x/'y'".to_owned()),
        // An empty DNS name.
        AlternativeName::Other(vec![0x82, 0]),
        AlternativeName::Ip("::ffff:10.0.0.1".parse().unwrap()),
        AlternativeName::Other(vec![0x88, 3, 42, 3, 4]),
    ];
    let mut plan = renewal();
    plan.steps[0].certificate.as_mut().unwrap().alternative_names = AlternativeNames::new(names.to_vec());
    assert_round_trip(&plan);
}

#[test]
fn old_serial_numbers_of_every_kind_round_trip() {
    for bytes in [&[][..], &[0], &[0, 0, 1], &[0x80], &[0xff; 40]] {
        let mut plan = renewal();
        plan.steps[0].replaced.as_mut().unwrap().serial = SerialNumber::from_der_content(bytes);
        assert_round_trip(&plan);
    }
}

#[test]
fn another_version_is_refused_by_name_before_its_fields_are_looked_at() {
    let error = Plan::from_json(r#"{"apiVersion": "kubecerts.dev/v2", "kind": "Plan", "phases": []}"#);
    assert_eq!(error, Err(DocumentError::ApiVersion { found: "kubecerts.dev/v2".to_owned() }));
}

#[test]
fn another_kind_is_refused_by_name() {
    let error = Plan::from_json(r#"{"apiVersion": "kubecerts.dev/v1", "kind": "Report"}"#);
    assert_eq!(error, Err(DocumentError::Kind { found: "Report".to_owned() }));
}

#[test]
fn what_is_not_json_is_refused_with_its_position() {
    let error = Plan::from_json("{\n  \"kind\": Plan\n}").unwrap_err();
    assert_eq!(error, DocumentError::Json { line: 2, column: 11, reason: "expected value".to_owned() });
    assert_eq!(error.to_string(), "line 2 column 11: expected value");
}

#[test]
fn unknown_fields_are_refused_wherever_they_are() {
    let mut plan = renewal();
    plan.steps[0].notes = vec![
        Note::UsagesFromCatalogue,
        Note::KeyChanged { from: KeyType::EcdsaP256, to: KeyAlgorithm::EcdsaP256 },
    ];
    plan.deferred = vec![
        Deferred::new(
            Slot::Ca(CaSlot::Etcd),
            Reason::AuthorityUnusable(CaSlot::Etcd, AuthorityProblem::KeyMismatch),
        ),
        Deferred::new(Slot::ServiceAccount, Reason::NotRenewable),
    ];
    for pointer in [
        "",
        "/steps/0",
        "/steps/0/key",
        "/steps/0/certificate",
        "/steps/0/certificate/issuer",
        "/steps/0/certificate/subject",
        "/steps/0/writes/0",
        "/steps/0/replaced",
        "/steps/0/notes/0",
        "/steps/0/notes/1/from",
        "/steps/1/kubeconfig",
        "/steps/1/kubeconfig/edit",
        "/deferred/0",
        "/deferred/0/reason/problem",
        "/deferred/1/reason",
        "/restarts/0",
    ] {
        let error = refusal(&plan, |document| {
            let object = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            object.insert("sudo".to_owned(), json!(true));
        });
        assert!(matches!(error, DocumentError::Json { .. }), "{pointer}: {error}");
    }
}

#[test]
fn the_text_of_notes_and_reasons_is_not_read_back() {
    let mut plan = renewal();
    plan.steps[0].notes = vec![Note::UsagesFromCatalogue];
    let text = plan.to_json().replace("had no extended key usage", "hatte keine");
    assert_eq!(Plan::from_json(&text), Ok(plan));
}

#[test]
fn the_order_of_deferred_entries_and_restarts_means_nothing() {
    let mut plan = renewal();
    plan.deferred = vec![
        Deferred::new(Slot::Ca(CaSlot::Etcd), Reason::NotRenewable),
        Deferred::new(Slot::ServiceAccount, Reason::NotRenewable),
    ];
    let mut document: Value = serde_json::from_str(&plan.to_json()).unwrap();
    document["deferred"].as_array_mut().unwrap().reverse();
    assert_eq!(Plan::from_json(&document.to_string()), Ok(plan));
}

#[test]
fn values_are_refused_with_the_name_of_their_field() {
    let plan = renewal();
    for (field, value) in [
        ("createdAt", json!("yesterday")),
        ("steps[0].slot", json!("pki/apiserver.crt")),
        ("steps[0].key.generate", json!("rsa-2048")),
        ("steps[0].certificate.issuer.ca", json!("ca.crt")),
        ("steps[0].certificate.issuer.publicKeySha256", json!("00")),
        ("steps[0].certificate.signatureAlgorithm", json!("md5WithRSAEncryption")),
        ("steps[0].certificate.serial", json!("00")),
        ("steps[0].certificate.serial", json!("0".repeat(41))),
        ("steps[0].certificate.notBefore", json!("2026-01-01")),
        ("steps[0].certificate.subject.der", json!("3")),
        ("steps[0].certificate.subject.der", json!("3003")),
        ("steps[0].certificate.alternativeNames", json!(["kubernetes"])),
        ("steps[0].certificate.keyUsages", json!(["everything"])),
        ("steps[0].certificate.extendedKeyUsages", json!(["timeTravel"])),
        ("steps[1].replaced.serial", json!("-1")),
        ("steps[1].replaced.notAfter", json!("never")),
        ("restarts[0].component", json!("sshd")),
    ] {
        let pointer = format!("/{}", field.replace('[', ".").replace(']', "").replace('.', "/"));
        assert_eq!(bad_value(&plan, &pointer, value), field);
    }
    for (part, value) in [
        ("file", "pki/../../shadow"),
        ("expected", "anything"),
        ("mode", "rw-"),
        ("mode", "+600"),
        ("mode", ""),
    ] {
        let pointer = format!("/steps/0/writes/0/{part}");
        assert_eq!(bad_value(&plan, &pointer, json!(value)), format!("steps[0].writes.{part}"));
    }
}

#[test]
fn a_relative_path_is_refused() {
    let mut plan = renewal();
    plan.deferred = vec![Deferred::new(Slot::ServiceAccount, Reason::Missing(path("/x")))];
    assert_eq!(bad_value(&plan, "/deferred/0/reason/path", json!("../x")), "deferred[0].reason.path");
}

#[test]
fn a_subject_whose_text_is_not_that_of_its_der_is_refused() {
    let field = bad_value(&renewal(), "/steps/0/certificate/subject/text", json!("CN = nobody"));
    assert_eq!(field, "steps[0].certificate.subject.text");
}

#[test]
fn a_validity_that_ends_before_it_begins_is_refused() {
    let field = bad_value(&renewal(), "/steps/0/certificate/notAfter", json!("2020-01-01T00:00:00Z"));
    assert_eq!(field, "steps[0].certificate.notAfter");
}

#[test]
fn an_action_that_contradicts_what_is_replaced_is_refused() {
    assert_eq!(bad_value(&renewal(), "/steps/0/action", json!("create")), "steps[0].action");
    assert_eq!(bad_value(&creation(), "/steps/0/action", json!("renew")), "steps[0].action");
}

#[test]
fn a_slot_that_occurs_twice_is_refused() {
    let expected = DocumentError::RepeatedSlot { slot: API_SERVER };
    let mut plan = renewal();
    plan.steps[1] = plan.steps[0].clone();
    assert_eq!(Plan::from_json(&plan.to_json()), Err(expected.clone()));
    let mut plan = renewal();
    plan.deferred = vec![Deferred::new(API_SERVER, Reason::NotRenewable)];
    assert_eq!(Plan::from_json(&plan.to_json()), Err(expected));
}

#[test]
fn a_file_of_another_slot_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["writes"][0]["file"] = json!("pki/ca.key");
    });
    assert_eq!(
        error,
        DocumentError::ForeignFile { slot: API_SERVER, file: FileSlot::CaKey(CaSlot::Cluster) }
    );
    assert_eq!(error.to_string(), "the step for apiserver writes pki/ca.key, which belongs to ca");
}

#[test]
fn a_file_that_is_written_twice_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["writes"][1]["file"] = json!("pki/apiserver.crt");
    });
    assert_eq!(error, DocumentError::RepeatedFile { file: FileSlot::LeafCertificate(LeafSlot::ApiServer) });
}

#[test]
fn a_key_before_its_certificate_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["writes"].as_array_mut().unwrap().reverse();
    });
    assert_eq!(
        error.to_string(),
        "the step for apiserver must write pki/apiserver.crt, pki/apiserver.key, in this order"
    );
}

#[test]
fn a_new_key_that_is_not_written_and_a_kept_one_that_is_are_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["writes"].as_array_mut().unwrap().remove(0);
    });
    assert!(matches!(error, DocumentError::Files { .. }), "{error}");
    let error = refusal(&renewal(), |document| document["steps"][0]["key"] = json!("reuse"));
    assert!(matches!(error, DocumentError::Files { .. }), "{error}");
}

#[test]
fn a_slot_that_no_plan_issues_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["slot"] = json!("kubelet-serving");
        document["steps"][0]["writes"] = json!([]);
    });
    assert_eq!(error, DocumentError::NotIssued { slot: Slot::KubeletServing });
}

#[test]
fn a_mode_beyond_permissions_is_refused() {
    let error = refusal(&renewal(), |document| document["steps"][0]["writes"][0]["mode"] = json!("4755"));
    let file = FileSlot::LeafCertificate(LeafSlot::ApiServer);
    assert_eq!(error, DocumentError::Mode { file, mode: 0o4755 });
}

#[test]
fn a_secret_that_is_open_to_others_is_refused() {
    let error = refusal(&renewal(), |document| document["steps"][0]["writes"][1]["mode"] = json!("0644"));
    let file = FileSlot::LeafKey(LeafSlot::ApiServer);
    assert_eq!(error, DocumentError::OpenSecret { file, mode: 0o644 });
}

#[test]
fn another_issuer_than_the_catalogues_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["certificate"]["issuer"]["ca"] = json!("front-proxy-ca");
    });
    let (expected, found) = (Some(CaSlot::Cluster), Some(CaSlot::FrontProxy));
    assert_eq!(error, DocumentError::Issuer { slot: API_SERVER, expected, found });
}

#[test]
fn a_leaf_that_would_sign_itself_is_refused() {
    let error = refusal(&renewal(), |document| {
        document["steps"][0]["certificate"]["issuer"] = json!("self");
    });
    assert_eq!(error.to_string(), "apiserver must be signed by ca, not by itself");
}

#[test]
fn a_new_issuer_that_no_earlier_step_creates_is_refused() {
    let mut plan = creation();
    plan.steps.remove(0);
    let error = Plan::from_json(&plan.to_json()).unwrap_err();
    assert_eq!(error, DocumentError::IssuerNotCreated { slot: API_SERVER, issuer: CaSlot::Cluster });
}

#[test]
fn a_certificate_of_the_wrong_one_of_two_authorities_is_refused() {
    let issuer = renewal().steps[0].certificate.clone().unwrap().issuer;
    let reason = mismatch(creation(), Slot::Kubeconfig(KubeconfigSlot::SuperAdmin), |step| {
        step.certificate.as_mut().unwrap().issuer = issuer;
    });
    assert_eq!(reason, "must be signed by the authority that the plan creates, not by one that exists");
    let mut plan = creation();
    plan.steps.iter_mut().filter(|step| step.slot == API_SERVER).for_each(renew);
    let reason = mismatch(plan, API_SERVER, |step| {
        step.certificate.as_mut().unwrap().issuer = IssuerRef::Created(CaSlot::Cluster);
    });
    assert_eq!(reason, "must be signed by an authority that exists when it renews");
}

#[test]
fn a_leaf_that_may_sign_certificates_or_revocation_lists_is_refused() {
    for usage in ["keyCertSign", "cRLSign"] {
        let error = refusal(&renewal(), |document| {
            document["steps"][0]["certificate"]["keyUsages"] = json!(["digitalSignature", usage]);
        });
        assert_eq!(error, DocumentError::AuthorityUsages { slot: API_SERVER });
    }
}

#[test]
fn a_restart_of_what_loads_no_written_file_is_refused() {
    let error = refusal(&renewal(), |document| document["restarts"][0]["component"] = json!("etcd"));
    assert_eq!(error, DocumentError::NeedlessRestart { component: Component::Etcd });
}

#[test]
fn a_component_that_restarts_twice_is_refused() {
    let mut plan = renewal();
    plan.restarts.push(plan.restarts[0]);
    let error = Plan::from_json(&plan.to_json()).unwrap_err();
    assert_eq!(error, DocumentError::RepeatedRestart { component: Component::ApiServer });
}

/// Returns why the parts of a step, after `edit`, do not belong together.
fn mismatch(mut plan: Plan, slot: Slot, edit: impl FnOnce(&mut Step)) -> &'static str {
    let step = plan.steps.iter_mut().find(|step| step.slot == slot).unwrap();
    edit(step);
    let error = Plan::from_json(&plan.to_json()).unwrap_err();
    let DocumentError::Step { reason, .. } = error else { panic!("{error}") };
    reason
}

#[test]
fn a_step_without_its_certificate_is_refused() {
    let reason = mismatch(renewal(), API_SERVER, |step| step.certificate = None);
    assert_eq!(
        reason,
        "must have a certificate unless it is for the service account pair, refers to one or keeps its own"
    );
}

#[test]
fn a_kubeconfig_for_a_leaf_is_refused() {
    let reason = mismatch(renewal(), API_SERVER, |step| {
        step.kubeconfig = Some(KubeconfigSpec::Edit { replace_authority: true });
    });
    assert_eq!(reason, "must have a kubeconfig when it is for one, and only then");
}

#[test]
fn a_creation_that_would_replace_something_is_refused() {
    let authority = Slot::Ca(CaSlot::Cluster);
    let reason = mismatch(creation(), authority, |step| {
        step.writes[0].expected = Expected::Content(Digest::of(b""));
    });
    assert_eq!(reason, "creates, so it cannot replace a file");
    let reason = mismatch(creation(), authority, |step| {
        step.key = KeyPolicy::Reuse;
        step.writes.retain(|write| write.file == FileSlot::CaCertificate(CaSlot::Cluster));
    });
    assert_eq!(reason, "extends, so there must be a certificate to replace");
    let reason = mismatch(creation(), Slot::Kubeconfig(KubeconfigSlot::Admin), |step| {
        step.kubeconfig = Some(KubeconfigSpec::Edit { replace_authority: true });
    });
    assert_eq!(reason, "creates, so there is no kubeconfig to edit");
}

#[test]
fn a_renewal_of_an_authority_is_refused() {
    let replaced = renewal().steps[0].replaced.clone();
    let reason = mismatch(creation(), Slot::Ca(CaSlot::Cluster), |step| step.replaced = replaced);
    assert_eq!(reason, "renews what can only be created");
}

#[test]
fn a_renewal_that_replaces_no_certificate_is_refused() {
    let reason = mismatch(renewal(), API_SERVER, |step| step.writes[0].expected = Expected::Absent);
    assert_eq!(reason, "renews, so there must be a certificate to replace");
}

#[test]
fn a_renewal_that_would_point_a_kubeconfig_elsewhere_is_refused() {
    let reason = mismatch(renewal(), Slot::Kubeconfig(KubeconfigSlot::Admin), |step| {
        step.kubeconfig = Some(KubeconfigSpec::Create {
            cluster: "kubernetes".to_owned(),
            server: "https://evil.example:6443".to_owned(),
            user: "kubernetes-admin".to_owned(),
            preferences: false,
        });
    });
    assert_eq!(reason, "renews, so the kubeconfig must be edited");
}

#[test]
fn a_kubeconfig_value_of_two_lines_is_refused() {
    for end in ['\n', '\u{85}', '\u{2028}'] {
        let reason = mismatch(creation(), Slot::Kubeconfig(KubeconfigSlot::Admin), |step| {
            let Some(KubeconfigSpec::Create { server, .. }) = &mut step.kubeconfig else { panic!() };
            server.push(end);
            server.push_str("    insecure-skip-tls-verify: true");
        });
        assert_eq!(reason, "names a cluster, server or user in more than one line");
    }
}

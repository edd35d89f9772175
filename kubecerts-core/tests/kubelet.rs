//! The kubelet's own credential: mended when it is broken, left alone when it is whole.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, Reload, Slot};
use kubecerts_core::inventory::{Custody, Inventory};
use kubecerts_core::issue::{ChangeSet, Expected, issue};
use kubecerts_core::kubeconfig::{KeySource, Kubeconfig, Source};
use kubecerts_core::plan::document::DocumentError;
use kubecerts_core::plan::{
    Deviation, KeyChoice, KeyPolicy, KubeconfigSpec, KubeletChoice, Note, Plan, PlanRequest, Reason,
    ReviewError, Selection, Step, plan,
};
use kubecerts_core::snapshot::{Arguments, FileState, ReadProblem, ScanRequest};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{DistinguishedName, KeyAlgorithm, KeyUsages, Purpose, encode_certificate};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at, path};
use serde_json::{Value, json};

const CONF: &str = "/etc/kubernetes/kubelet.conf";
const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const DATED: &str = "/var/lib/kubelet/pki/kubelet-client-2026-06-01-12-30-05.pem";
const CONF_SLOT: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
const NOW: &str = "2026-06-01T12:30:05Z";

fn repair() -> PlanRequest {
    let mut request = PlanRequest::default();
    request.kubelet = KubeletChoice::Repair;
    request
}

fn named(slots: &[Slot]) -> PlanRequest {
    PlanRequest::with_selection(Selection::Named(slots.iter().copied().collect()))
}

fn planned(tree: &MemoryTree, request: &PlanRequest, now: &str) -> Plan {
    plan(&tree.inventory(), request, at(now), &mut Seeded::new(7)).unwrap()
}

/// Plans, reads the plan back from its document, reviews it, issues it, applies it, and plans again.
fn run(tree: &mut MemoryTree, request: &PlanRequest, now: &str) -> (Plan, ChangeSet) {
    run_as(tree, request, now, ScanRequest::default)
}

fn run_as(
    tree: &mut MemoryTree,
    request: &PlanRequest,
    now: &str,
    scan: impl Fn() -> ScanRequest,
) -> (Plan, ChangeSet) {
    let now: Timestamp = at(now);
    // Each moment has serial numbers and keys of its own.
    let seed = now.unix().unsigned_abs();
    let snapshot = tree.snapshot_with(scan());
    let inventory = Inventory::parse(&snapshot);
    let made = plan(&inventory, request, now, &mut Seeded::new(seed)).unwrap();
    let read = Plan::from_json(&made.to_json()).unwrap();
    assert_eq!(read, made);
    read.review(&inventory, now).unwrap();
    let changes = issue(&made, &snapshot, &mut Seeded::provider(seed)).unwrap();
    let short = made.shortfalls(&inventory);
    assert_eq!(short.len(), made.steps().len(), "everything is yet to be done: {short:?}");
    tree.apply(&changes);
    let inventory = Inventory::parse(&tree.snapshot_with(scan()));
    assert!(made.shortfalls(&inventory).is_empty(), "{:?}", made.shortfalls(&inventory));
    let mut due = request.clone();
    if due.selection != Selection::Named([].into()) {
        due.selection = Selection::Due;
    }
    let again = plan(&inventory, &due, now, &mut Seeded::new(8)).unwrap();
    assert!(again.is_empty(), "{:?}", slots(&again));
    (made, changes)
}

/// [`run`] where only the tree is of interest.
fn mend(tree: &mut MemoryTree, request: &PlanRequest, now: &str) {
    let (plan, changes) = run(tree, request, now);
    assert_eq!(plan.is_empty(), changes.is_empty());
}

fn slots(plan: &Plan) -> Vec<Slot> {
    plan.steps().iter().map(Step::slot).collect()
}

fn reason(plan: &Plan, slot: Slot) -> Option<&Reason> {
    plan.deferred().iter().find(|deferred| deferred.slot() == slot).map(|deferred| deferred.reason())
}

fn user(tree: &MemoryTree) -> (String, Source, KeySource) {
    let config = Kubeconfig::parse(tree.read_file(CONF)).unwrap();
    let user = config.current().unwrap().user;
    (user.name().to_owned(), user.client_certificate().clone(), user.client_key().clone())
}

fn refers(tree: &MemoryTree) -> bool {
    let (_, certificate, key) = user(tree);
    certificate == Source::File(PEM.to_owned()) && key == KeySource::File(PEM.to_owned())
}

/// A tree whose kubelet has the client certificate that kubelet.conf embeds, as after its first start.
fn joined() -> MemoryTree {
    let mut tree = TreeBuilder::kubeadm().build();
    mend(&mut tree, &named(&[Slot::KubeletClient]), "2026-01-02T00:00:00Z");
    assert!(refers(&tree));
    tree
}

/// Changes the certificate in the kubelet's file and signs it again.
fn redraft(tree: &mut MemoryTree, change: impl FnOnce(&mut kubecerts_testkit::Draft)) {
    let mut draft = kubecerts_testkit::Draft::of(&tree.certificate(PEM));
    change(&mut draft);
    let mut content = encode_certificate(&draft.signed_by(&tree.private_key("/etc/kubernetes/pki/ca.key")));
    content.push_str(std::str::from_utf8(tree.private_key(PEM).secret_pem().secret_bytes()).unwrap());
    tree.edit(PEM, |bytes| *bytes = content.into_bytes());
}

/// Embeds the credential of another tree's kubelet.conf, which is of the same node.
fn embed(tree: &mut MemoryTree) {
    let other = TreeBuilder::kubeadm().build();
    tree.write(&path(CONF), other.read_file(CONF), 0o600);
}

#[test]
fn what_is_whole_is_left_alone() {
    let tree = joined();
    for selection in [Selection::Due, Selection::All] {
        let mut request = repair();
        request.selection = selection;
        let plan = planned(&tree, &request, NOW);
        assert!(matches!(reason(&plan, Slot::KubeletClient), Some(Reason::NotDue { .. })));
        assert_eq!(reason(&plan, CONF_SLOT), Some(&Reason::KubeletOwned));
        assert!(plan.steps().iter().all(|step| !step.is_repair()));
    }
}

#[test]
fn without_the_choice_everything_is_as_before() {
    let mut tree = joined();
    redraft(&mut tree, |draft| draft.not_after = at("2026-03-01T00:00:00Z"));
    let plan = planned(&tree, &PlanRequest::default(), NOW);
    assert!(plan.is_empty());
    assert_eq!(reason(&plan, Slot::KubeletClient), None);
    assert_eq!(reason(&plan, CONF_SLOT), Some(&Reason::KubeletOwned));
}

#[test]
fn an_embedded_credential_becomes_a_reference_to_a_valid_certificate() {
    let mut tree = joined();
    embed(&mut tree);
    tree.edit(CONF, |bytes| bytes.extend_from_slice(b"# mine\n"));
    let before = String::from_utf8(tree.read_file(CONF).to_vec()).unwrap();
    let (plan, changes) = run(&mut tree, &repair(), NOW);
    assert_eq!(slots(&plan), [CONF_SLOT]);
    assert_eq!(plan.steps()[0].kubeconfig(), Some(&KubeconfigSpec::Refer { replace_authority: false }));
    assert_eq!(changes.changes()[0].dated(), None);
    assert!(refers(&tree));
    let after = std::str::from_utf8(tree.read_file(CONF)).unwrap();
    let kept = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("client-")).map(str::to_owned).collect()
    };
    assert_eq!(kept(&before), kept(after));
    assert_eq!(plan.restarts()[0].component, Component::Kubelet);
}

#[test]
fn the_reference_needs_no_authority_key() {
    let mut tree = joined();
    embed(&mut tree);
    tree.remove("/etc/kubernetes/pki/ca.key");
    let mut request = named(&[]);
    request.kubelet = KubeletChoice::Repair;
    let plan = planned(&tree, &request, NOW);
    assert_eq!(slots(&plan), [CONF_SLOT]);
}

#[test]
fn an_expired_certificate_gets_a_successor_in_a_dated_file_behind_the_link() {
    let mut tree = joined();
    redraft(&mut tree, |draft| draft.not_after = at("2026-03-01T00:00:00Z"));
    let (plan, changes) = run(&mut tree, &repair(), NOW);
    assert_eq!(slots(&plan), [Slot::KubeletClient]);
    let [change] = changes.changes() else { panic!("one change") };
    assert_eq!(change.path().as_str(), PEM);
    assert_eq!(change.dated(), Some("kubelet-client-2026-06-01-12-30-05.pem"));
    assert_eq!(change.mode(), 0o600);
    let restart = plan.restarts()[0];
    assert_eq!((restart.component, restart.reload), (Component::Kubelet, Reload::NeedsRestart));

    let text = std::str::from_utf8(tree.read_file(DATED)).unwrap();
    let labels: Vec<&str> = text.lines().filter(|line| line.starts_with("-----BEGIN")).collect();
    assert_eq!(labels, ["-----BEGIN CERTIFICATE-----", "-----BEGIN EC PRIVATE KEY-----"]);
    let certificate = tree.certificate(DATED);
    assert_eq!(certificate.subject(), &DistinguishedName::kubeadm("system:node:cp-1", &["system:nodes"]));
    assert_eq!(certificate.key_usages(), Some(KeyUsages::SIGNATURE));
    assert_eq!(certificate.extended_key_usages().as_slice(), [Purpose::CLIENT_AUTH]);
    assert!(certificate.alternative_names().is_empty());
    assert_eq!(certificate.not_after(), at(NOW).plus(Seconds::from_days(365)));
}

#[test]
fn every_way_to_lose_a_certificate_is_mended() {
    type Break = fn(&mut MemoryTree);
    let ways: [(&str, Break); 7] = [
        ("missing", |tree| tree.remove(PEM)),
        ("empty", |tree| tree.edit(PEM, Vec::clear)),
        ("cut off", |tree| tree.edit(PEM, |bytes| bytes.truncate(300))),
        ("without its key", |tree| {
            let certificate = encode_certificate(tree.certificate(PEM).as_der());
            tree.edit(PEM, |bytes| *bytes = certificate.into_bytes());
        }),
        ("due", |tree| redraft(tree, |draft| draft.not_after = at("2026-06-20T00:00:00Z"))),
        ("of another user", |tree| {
            redraft(tree, |draft| draft.subject = DistinguishedName::kubeadm("kubernetes-admin", &["x"]));
        }),
        ("of another cluster", |tree| {
            let mut other = TreeBuilder::kubeadm().seed(2).build();
            other.renew(&named(&[Slot::KubeletClient]), at("2026-01-03T00:00:00Z"), &mut Seeded::provider(2));
            tree.write(&path(PEM), other.read_file(PEM), 0o600);
        }),
    ];
    for (way, damage) in ways {
        let mut tree = joined();
        damage(&mut tree);
        let (plan, _) = run(&mut tree, &repair(), NOW);
        assert_eq!(slots(&plan), [Slot::KubeletClient], "{way}");
        assert!(refers(&tree), "{way}");
    }
}

#[test]
fn a_tree_as_kubeadm_init_leaves_it_gets_certificate_and_reference_at_once() {
    let mut mended = 0;
    for name in FIXTURES {
        let mut tree = Fixture::named(name).tree();
        let mut request = repair();
        request.selection = Selection::Named([].into());
        let held = tree.inventory().authority(CaSlot::Cluster).custody();
        let plan = planned(&tree, &request, "2026-11-24T00:00:00Z");
        let outcome = |slot| reason(&plan, slot).map(|reason| reason.name());
        let refused = match held {
            Custody::External => Some("external-ca"),
            Custody::Absent | Custody::Broken => Some("ca-unusable"),
            // One fixture's authorities have expired.
            Custody::Held => outcome(Slot::KubeletClient),
        };
        if let Some(refused) = refused {
            assert!(["external-ca", "ca-unusable"].contains(&refused), "{name}");
            assert_eq!(outcome(Slot::KubeletClient), Some(refused), "{name}");
            assert_eq!(outcome(CONF_SLOT), Some(refused), "{name}");
            continue;
        }
        mended += 1;
        assert_eq!(slots(&plan), [Slot::KubeletClient, CONF_SLOT], "{name}");
        let expected = user(&tree).0;
        mend(&mut tree, &request, "2026-11-24T00:00:00Z");
        assert!(refers(&tree), "{name}");
        assert_eq!(tree.certificate(PEM).subject().common_name(), Some(expected.as_str()), "{name}");
    }
    assert!(mended >= 6, "{mended}");
}

#[test]
fn a_lost_kubeconfig_is_written_anew_and_refers_to_the_certificate() {
    type Break = fn(&mut MemoryTree);
    let ways: [(&str, Break); 4] = [
        ("missing", |tree| tree.remove(CONF)),
        ("empty", |tree| tree.edit(CONF, Vec::clear)),
        ("no YAML", |tree| tree.edit(CONF, |bytes| *bytes = b"{".to_vec())),
        ("no context", |tree| tree.edit(CONF, |bytes| *bytes = b"kind: Config\nusers: []\n".to_vec())),
    ];
    for (way, damage) in ways {
        let mut tree = joined();
        damage(&mut tree);
        let (plan, _) = run(&mut tree, &repair(), NOW);
        assert_eq!(slots(&plan), [CONF_SLOT], "{way}");
        let config = Kubeconfig::parse(tree.read_file(CONF)).unwrap();
        let current = config.current().unwrap();
        assert_eq!(current.context.name(), "system:node:cp-1@kubernetes", "{way}");
        assert_eq!(current.cluster.server(), Some("https://192.168.10.11:6443"), "{way}");
        let authority = tree.read_file("/etc/kubernetes/pki/ca.crt").to_vec();
        assert_eq!(current.cluster.certificate_authority(), &Source::Data(authority), "{way}");
    }
}

#[test]
fn a_kubeconfig_that_trusts_another_authority_gets_that_of_the_tree() {
    let mut tree = joined();
    let other = TreeBuilder::kubeadm().seed(2).build();
    tree.write(&path(CONF), other.read_file(CONF), 0o600);
    let (plan, _) = run(&mut tree, &repair(), NOW);
    assert_eq!(plan.steps()[0].kubeconfig(), Some(&KubeconfigSpec::Refer { replace_authority: true }));
    assert!(plan.steps()[0].notes().contains(&Note::AuthorityDataReplaced));
}

#[test]
fn other_credentials_that_work_are_left_alone() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.renew(&named(&[Slot::KubeletClient]), at("2026-01-02T00:00:00Z"), &mut Seeded::provider(3));
    tree.copy(PEM, "/etc/kubernetes/ssl/kubelet.pem");
    tree.edit(CONF, |bytes| {
        let text = std::str::from_utf8(bytes).unwrap();
        *bytes = text.replace(PEM, "/etc/kubernetes/ssl/kubelet.pem").into_bytes();
    });
    tree.remove(PEM);
    let plan = planned(&tree, &repair(), NOW);
    assert!(plan.is_empty());
    assert_eq!(reason(&plan, CONF_SLOT), Some(&Reason::KubeletOwned));

    tree.edit(CONF, |bytes| {
        let text = std::str::from_utf8(bytes).unwrap();
        let start = text.find("    client-certificate").unwrap();
        *bytes = format!("{}    token: abc\n", &text[..start]).into_bytes();
    });
    assert!(planned(&tree, &repair(), NOW).is_empty());
}

#[test]
fn a_machine_without_a_kubelet_gets_none() {
    let tree = TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)).build();
    let plan = planned(&tree, &repair(), NOW);
    assert!(plan.is_empty());
    assert_eq!((reason(&plan, Slot::KubeletClient), reason(&plan, CONF_SLOT)), (None, None));
    let plan = planned(&tree, &named(&[Slot::KubeletClient]), NOW);
    assert_eq!(reason(&plan, Slot::KubeletClient), Some(&Reason::NodeNameUnknown));
}

#[test]
fn the_name_that_the_caller_gives_wins() {
    let scan = || {
        let mut arguments = Arguments::default();
        arguments.node_name = Some("CP-9".to_owned());
        let mut request = ScanRequest::default();
        request.arguments = arguments;
        request
    };
    let mut tree = joined();
    let (plan, _) = run_as(&mut tree, &repair(), NOW, scan);
    assert_eq!(slots(&plan), [Slot::KubeletClient]);
    assert_eq!(tree.certificate(PEM).subject().common_name(), Some("system:node:cp-9"));
    let was = "O = system:nodes, CN = system:node:cp-1".to_owned();
    assert!(plan.steps()[0].notes().contains(&Note::SubjectChanged(was)));
}

#[test]
fn a_named_certificate_is_renewed_before_it_is_due_and_may_keep_its_key() {
    let mut tree = joined();
    let key = tree.certificate(PEM).public_key().clone();
    let mut request = named(&[Slot::KubeletClient]);
    request.keys = KeyChoice::Reuse;
    let (plan, _) = run(&mut tree, &request, NOW);
    assert_eq!(plan.steps()[0].key(), KeyPolicy::Reuse);
    assert_eq!(tree.certificate(PEM).public_key(), &key);
    let (plan, _) = run(&mut tree, &named(&[Slot::KubeletClient]), "2026-06-02T00:00:00Z");
    assert_eq!(plan.steps()[0].key(), KeyPolicy::Generate(KeyAlgorithm::EcdsaP256));
    assert_ne!(tree.certificate(PEM).public_key(), &key);
}

#[test]
fn no_kubelet_outlives_its_authority_and_none_is_replaced_for_nothing() {
    let mut tree = TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(400)).build();
    mend(&mut tree, &named(&[Slot::KubeletClient]), "2026-12-01T00:00:00Z");
    let end = tree.certificate("/etc/kubernetes/pki/ca.crt").not_after();
    assert_eq!(tree.certificate(PEM).not_after(), end);
    let mut request = repair();
    request.selection = Selection::Named([].into());
    let plan = planned(&tree, &request, "2027-01-20T00:00:00Z");
    assert_eq!(reason(&plan, Slot::KubeletClient), Some(&Reason::CannotBeExtended { not_after: end }));
    assert_eq!(reason(&plan, CONF_SLOT), Some(&Reason::KubeletOwned));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let bytes = || {
        let mut tree = joined();
        tree.remove(PEM);
        embed(&mut tree);
        let (plan, changes) = run(&mut tree, &repair(), NOW);
        let written: Vec<Vec<u8>> =
            changes.changes().iter().map(|change| change.secret_bytes().to_vec()).collect();
        (plan.to_json(), written)
    };
    assert_eq!(bytes(), bytes());
}

/// Reviews a repair of `tree` after `edit` has changed the document of its plan.
fn reviewed(
    tree: &MemoryTree,
    edit: impl FnOnce(&mut Value),
) -> Result<Result<Vec<Deviation>, ReviewError>, DocumentError> {
    let mut request = repair();
    request.selection = Selection::Named([].into());
    let mut document = serde_json::from_str(&planned(tree, &request, NOW).to_json()).unwrap();
    edit(&mut document);
    Ok(Plan::from_json(&document.to_string())?.review(&tree.inventory(), at(NOW)))
}

/// A tree whose kubelet has lost its certificate, and whose kubelet.conf is lost, too.
fn lost() -> MemoryTree {
    let mut tree = joined();
    redraft(&mut tree, |draft| draft.not_after = at("2026-03-01T00:00:00Z"));
    tree.remove(CONF);
    tree
}

fn subject(common_name: &str, organisations: &[&str]) -> Value {
    let name = DistinguishedName::kubeadm(common_name, organisations);
    let der: String = name.as_der().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "der": der, "text": name.to_string() })
}

#[test]
fn an_edited_plan_cannot_make_a_kubelet_more_than_a_kubelet() {
    let tree = lost();
    let edited = |field: &str, value: Value| {
        reviewed(&tree, |document| document["steps"][0]["certificate"][field] = value).unwrap()
    };
    for (common_name, organisations) in [
        ("system:node:cp-1", &["system:nodes", "system:masters"][..]),
        ("system:node:cp-1", &["system:masters"]),
        ("system:node:cp-2", &["system:nodes"]),
        ("kubernetes-admin", &["system:nodes"]),
    ] {
        let result = edited("subject", subject(common_name, organisations));
        assert!(matches!(result, Err(ReviewError::Subject { .. })), "{result:?}");
    }
    let result = edited("subject", subject("system:node:cp-1", &[]));
    assert!(matches!(result, Err(ReviewError::OtherProfile { field: "subject", .. })), "{result:?}");
    let result = edited("keyUsages", json!(["digitalSignature", "keyAgreement"]));
    assert!(matches!(result, Err(ReviewError::KeyUsages { .. })), "{result:?}");
    for (field, value) in [
        ("extendedKeyUsages", json!(["clientAuth", "serverAuth"])),
        ("extendedKeyUsages", json!([])),
        ("alternativeNames", json!(["DNS:cp-1"])),
    ] {
        let result = edited(field, value);
        assert!(matches!(result, Err(ReviewError::OtherProfile { .. })), "{field}: {result:?}");
    }
    let result = edited("notAfter", json!("2035-01-01T00:00:00Z"));
    assert!(matches!(result.as_deref(), Ok([Deviation { .. }])), "{result:?}");
}

#[test]
fn an_edited_plan_cannot_change_where_the_kubelet_s_files_lie_and_what_they_say() {
    let tree = lost();
    let edited = |edit: fn(&mut Value)| reviewed(&tree, edit);
    let result = edited(|document| document["createdAt"] = json!("2026-06-01T12:30:06Z")).unwrap();
    assert!(matches!(result, Err(ReviewError::DatedName { .. })), "{result:?}");
    let result = edited(|document| document["steps"][0]["writes"][0]["placement"] = Value::Null);
    assert!(matches!(result, Err(DocumentError::Placement { .. })), "{result:?}");
    let dated: fn(&mut Value) =
        |document| document["steps"][1]["writes"][0]["placement"] = json!("dated-behind-link");
    assert!(matches!(edited(dated), Err(DocumentError::Placement { .. })));
    for field in ["server", "cluster", "user"] {
        let result = reviewed(&tree, |document| {
            document["steps"][1]["kubeconfig"]["createReferring"][field] = json!("https://evil:6443");
        });
        assert!(matches!(result, Ok(Err(ReviewError::OtherProfile { .. }))), "{field}: {result:?}");
    }
    let result = edited(|document| {
        document["steps"].as_array_mut().unwrap().remove(0);
    });
    // The old certificate is signed and has its key, so it could be referred to; but it has expired.
    assert!(matches!(result, Ok(Err(ReviewError::CannotBeRenewed { .. }))), "{result:?}");
    let result = edited(|document| document["steps"][1]["slot"] = json!("admin.conf"));
    assert!(result.is_err(), "{result:?}");
    let result = edited(|document| document["steps"][1]["action"] = json!("create"));
    assert!(matches!(result, Err(DocumentError::Value { .. })), "{result:?}");
    let result = edited(|document| document["restarts"] = json!([])).unwrap();
    assert!(matches!(result, Err(ReviewError::Restarts { .. })), "{result:?}");
}

#[test]
fn a_link_that_leads_nowhere_is_as_good_as_none() {
    let tree = joined();
    let mut snapshot = tree.snapshot();
    let problem = ReadProblem::DanglingLink { link: path(PEM), target: DATED.to_owned() };
    snapshot.insert(FileSlot::KubeletClient, FileState::Unreadable(problem));
    let inventory = Inventory::parse(&snapshot);
    let made = plan(&inventory, &repair(), at(NOW), &mut Seeded::new(7)).unwrap();
    assert_eq!(slots(&made), [Slot::KubeletClient]);
    made.review(&inventory, at(NOW)).unwrap();
    let changes = issue(&made, &snapshot, &mut Seeded::provider(7)).unwrap();
    assert_eq!(changes.changes()[0].expected(), Expected::Absent);
}

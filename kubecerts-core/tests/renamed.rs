//! Renewals with other alternative names: what is planned, refused, recorded, reviewed and issued.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::plan::{
    ConfigurationEdit, DeviationKind, NameChange, Note, Permission, Plan, PlanError, PlanRequest, Reason,
    Selection, configured_names, plan,
};
use kubecerts_core::snapshot::ScanRequest;
use kubecerts_core::x509::{AlternativeName, AlternativeNames};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at};

const NOW: &str = "2026-12-01T00:00:00Z";
const API_SERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);

fn request(slots: &[Slot], add: &[&str], remove: &[&str]) -> PlanRequest {
    let mut request = PlanRequest::with_selection(Selection::Named(slots.iter().copied().collect()));
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    request.change_names(&NameChange::parse(&texts(add), &texts(remove)).unwrap()).unwrap();
    request
}

fn planned(tree: &MemoryTree, request: &PlanRequest) -> Plan {
    plan(&tree.inventory(), request, at(NOW), &mut Seeded::new(1)).unwrap()
}

fn fixture() -> MemoryTree {
    Fixture::named("kubeadm-v136-ecdsa-p256").tree()
}

fn names(tree: &MemoryTree) -> Vec<String> {
    tree.certificate("/etc/kubernetes/pki/apiserver.crt").alternative_names().texts().collect()
}

#[test]
fn names_are_added_and_taken_away_in_kubeadm_s_order() {
    let mut tree = fixture();
    tree.renew(
        &request(&[API_SERVER], &["a.example.com", "*.z.example.com", "fd00::1"], &["10.0.0.100"]),
        at(NOW),
        &mut Seeded::provider(1),
    );
    assert_eq!(
        names(&tree),
        [
            "DNS:*.z.example.com",
            "DNS:a.example.com",
            "DNS:cp-1",
            "DNS:k8s-api.example.internal",
            "DNS:k8s.example.internal",
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "IP:10.96.0.1",
            "IP:192.168.10.11",
            "IP:fd00::1",
        ]
    );
    let before = names(&fixture());
    tree.renew(
        &request(&[API_SERVER], &["10.0.0.100"], &["a.example.com", "*.z.example.com", "fd00::1"]),
        at(NOW),
        &mut Seeded::provider(2),
    );
    assert_eq!(names(&tree), before);
}

#[test]
fn what_is_there_already_is_not_renewed() {
    let plan =
        planned(&fixture(), &request(&[API_SERVER], &["K8S.example.internal", "10.0.0.100"], &["nowhere"]));
    assert!(plan.is_empty() && !plan.is_incomplete());
    assert_eq!(plan.deferred()[0].reason(), &Reason::NamesUnchanged);
}

#[test]
fn a_name_that_somebody_needs_is_kept_unless_that_is_permitted() {
    for (slot, name, said) in [
        (API_SERVER, "192.168.10.11", "clients that connect to https://192.168.10.11:6443 would fail"),
        (
            API_SERVER,
            "K8s-api.example.internal",
            "clients that connect to https://k8s-api.example.internal:6443 would fail",
        ),
        (
            API_SERVER,
            "kubernetes.default.svc",
            "pods that connect to https://kubernetes.default.svc would fail",
        ),
        (API_SERVER, "cp-1", "cp-1 (the node's name)"),
        (
            Slot::Leaf(LeafSlot::EtcdServer),
            "127.0.0.1",
            "kube-apiserver, which connects to https://127.0.0.1:2379, would fail",
        ),
        (
            Slot::Leaf(LeafSlot::EtcdPeer),
            "192.168.10.11",
            "members of etcd that connect to https://192.168.10.11:2380 would fail",
        ),
    ] {
        let mut request = request(&[slot], &[], &[name]);
        let plan = planned(&fixture(), &request);
        assert!(plan.is_empty() && plan.is_incomplete());
        let reason = plan.deferred()[0].reason();
        assert_eq!(reason.permission(), Some(Permission::San));
        assert!(reason.to_string().contains(said), "{reason}");
        request.permissions.insert(Permission::San);
        assert_eq!(planned(&fixture(), &request).steps().len(), 1);
    }
    // A wildcard that is there afterwards is good enough.
    let request = request(&[API_SERVER], &["*.example.internal"], &["k8s-api.example.internal"]);
    assert_eq!(planned(&fixture(), &request).steps().len(), 1);
}

#[test]
fn only_servers_that_are_named_get_other_names() {
    let change = NameChange::edit(vec![AlternativeName::Dns("a".to_owned())], Vec::new());
    for slot in [
        Slot::Leaf(LeafSlot::FrontProxyClient),
        Slot::Kubeconfig(KubeconfigSlot::Admin),
        Slot::ServiceAccount,
        Slot::KubeletServing,
    ] {
        let mut request = PlanRequest::with_selection(Selection::Named([API_SERVER, slot].into()));
        assert_eq!(request.change_names(&change), Err(PlanError::Names(slot)));
    }
    for selection in [Selection::All, Selection::Due] {
        let mut request = PlanRequest::with_selection(selection);
        assert_eq!(request.change_names(&change), Err(PlanError::NamesOfNobody));
        request.names.insert(LeafSlot::ApiServer, change.clone());
        let refused = plan(&fixture().inventory(), &request, at(NOW), &mut Seeded::new(1));
        assert_eq!(refused, Err(PlanError::Names(API_SERVER)));
    }
}

#[test]
fn words_that_are_no_names_are_refused() {
    let parse = |add: &[&str], remove: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        NameChange::parse(&texts(add), &texts(remove)).map_err(|error| error.to_string())
    };
    let no_name =
        |name| format!("{name:?} is neither a DNS name (RFC 1123, perhaps with *. before it) nor an address");
    for name in ["", "10.0.0.256", "https://a", "a:6443", "10.0.0.0/8", "a_b", "*"] {
        assert_eq!(parse(&[name], &[]), Err(no_name(name)));
        assert_eq!(parse(&[], &[name]), Err(no_name(name)));
    }
    assert_eq!(parse(&["a"], &["A"]), Err("a is to be added and to be taken away".to_owned()));
}

#[test]
fn the_change_is_noted_and_survives_the_document_and_the_review() {
    let tree = fixture();
    let plan = planned(&tree, &request(&[API_SERVER], &["new.example.com"], &["10.0.0.100"]));
    let expected = Note::NamesChanged {
        added: vec!["DNS:new.example.com".parse().unwrap()],
        removed: vec!["IP:10.0.0.100".parse().unwrap()],
    };
    assert_eq!(plan.steps()[0].notes(), [expected]);
    let read = Plan::from_json(&plan.to_json()).unwrap();
    assert_eq!(read, plan);
    let deviations = read.review(&tree.inventory(), at(NOW)).unwrap();
    let [deviation] = deviations.as_slice() else { panic!("{deviations:?}") };
    assert!(matches!(deviation.change, DeviationKind::AlternativeNames { .. }));
    assert_eq!(deviation.change.permission(), Permission::San);
    let changes = issue(&read, &tree.snapshot(), &mut Seeded::provider(1)).unwrap();
    assert_eq!(changes.changes().len(), 2);
}

#[test]
fn the_configuration_gives_back_kubeadm_s_names_to_the_byte() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        if name.contains("custom-cert-dir") {
            continue;
        }
        let mut tree = fixture.tree();
        let original = Inventory::parse(&tree.snapshot_with(fixture.with_config()));
        for leaf in [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer] {
            let Some(had) = original.credential(Slot::Leaf(leaf)).unwrap().leaf() else { continue };
            let computed = configured_names(&original, leaf).unwrap();
            assert_eq!(AlternativeNames::new(computed), *had.alternative_names(), "{name} {leaf}");
        }
        if name.contains("p256") {
            tree.renew(
                &request(&[API_SERVER], &["surplus.example.com"], &["k8s.example.internal"]),
                at(NOW),
                &mut Seeded::provider(1),
            );
            let inventory = Inventory::parse(&tree.snapshot_with(fixture.with_config()));
            let mut request = PlanRequest::with_selection(Selection::Named([API_SERVER].into()));
            request.take_configured_names(&inventory).unwrap();
            let plan = plan(&inventory, &request, at(NOW), &mut Seeded::new(1)).unwrap();
            let names = &plan.steps()[0].certificate().unwrap().alternative_names;
            let had = original.credential(API_SERVER).unwrap().leaf().unwrap();
            assert_eq!(names, had.alternative_names());
        }
    }
}

#[test]
fn the_edit_of_the_configuration_keeps_what_it_has() {
    let fixture = Fixture::named("kubeadm-v136-ecdsa-p256");
    let edit = |request: ScanRequest, add: &[&str], remove: &[&str]| {
        let inventory = Inventory::parse(&fixture.tree().snapshot_with(request));
        let plan = planned(&fixture.tree(), &self::request(&[API_SERVER], add, remove));
        let names = &plan.steps()[0].certificate().unwrap().alternative_names;
        ConfigurationEdit::find(&inventory, LeafSlot::ApiServer, names)
    };
    let known = edit(fixture.with_config(), &["new.example.com"], &["10.0.0.100"]).unwrap();
    assert_eq!(
        known.to_yaml(),
        "apiServer:\n  certSANs:\n    - k8s.example.internal\n    - new.example.com\n"
    );
    assert!(known.is_known);
    // Without the configuration: what the node does not state itself.
    let unknown = edit(ScanRequest::default(), &["new.example.com"], &[]).unwrap();
    let expected = ["k8s-api.example.internal", "k8s.example.internal", "new.example.com", "10.0.0.100"];
    assert_eq!((unknown.names, unknown.is_known), (expected.map(str::to_owned).to_vec(), false));
    let inventory = Inventory::parse(&fixture.tree().snapshot_with(fixture.with_config()));
    let leaf = inventory.credential(API_SERVER).unwrap().leaf().unwrap();
    assert_eq!(ConfigurationEdit::find(&inventory, LeafSlot::ApiServer, leaf.alternative_names()), None);
    assert_eq!(
        ConfigurationEdit::find(&inventory, LeafSlot::FrontProxyClient, leaf.alternative_names()),
        None
    );
}

#[test]
fn a_configuration_is_needed_to_go_by_it() {
    let tree = TreeBuilder::kubeadm().build();
    let mut request = PlanRequest::with_selection(Selection::Named([API_SERVER].into()));
    let refused = request.take_configured_names(&tree.inventory()).unwrap_err();
    assert_eq!(refused.to_string(), "there is no kubeadm configuration");
}

//! Plans of real and of made-up trees survive their way through a document, and edited documents cannot escape.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use kubecerts_core::catalog::{CaSlot, Directories, FileSlot, Layout, LeafSlot, PathSource, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::begin;
use kubecerts_core::plan::{ClusterIntent, KeyChoice, Plan, PlanRequest, Selection, Step, create, plan};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{AlternativeNames, KeyAlgorithm, KeyUsages};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Returns the plans that differ: what is due, everything, every slot by name, with kept keys, and for too long.
fn plans(inventory: &Inventory, now: Timestamp) -> Vec<Plan> {
    let named = Selection::Named(Slot::ALL.into_iter().collect());
    let mut reuse = PlanRequest::with_selection(Selection::All);
    reuse.keys = KeyChoice::Reuse;
    let mut long = PlanRequest::with_selection(Selection::All);
    long.lifetime = Seconds::from_days(100 * 365);
    let mut remote = PlanRequest::with_selection(Selection::All);
    remote.remote_authorities = CaSlot::ALL.into_iter().collect();
    let requests = [
        PlanRequest::default(),
        PlanRequest::with_selection(Selection::All),
        PlanRequest::with_selection(named),
        reuse,
        long,
        remote,
    ];
    requests.iter().map(|request| plan(inventory, request, now, &mut Seeded::new(5)).unwrap()).collect()
}

fn assert_round_trips(name: &str, tree: &MemoryTree) {
    let inventory = tree.inventory();
    for now in
        ["2020-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-03-01T00:00:00Z", "2060-01-01T00:00:00Z"]
    {
        let again = plans(&inventory, at(now));
        for (plan, again) in plans(&inventory, at(now)).into_iter().zip(again) {
            let text = plan.to_json();
            assert_eq!(text, again.to_json(), "{name} at {now}");
            assert_eq!(Plan::from_json(&text), Ok(plan), "{name} at {now}: {text}");
        }
    }
}

#[test]
fn plans_of_real_trees_round_trip() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        assert_round_trips(name, &fixture.tree());
        if let Some(renewed) = fixture.renewed() {
            assert_round_trips(name, &renewed);
        }
    }
}

#[test]
fn plans_of_made_up_trees_round_trip() {
    let whole = TreeBuilder::kubeadm().build();
    let mut open = whole.clone();
    open.set_mode("/etc/kubernetes/pki/apiserver.key", 0o644);
    open.set_mode("/etc/kubernetes/admin.conf", 0o777);
    let mut damaged = whole.clone();
    damaged.edit("/etc/kubernetes/pki/apiserver.crt", |content| content.truncate(100));
    damaged.edit("/etc/kubernetes/scheduler.conf", |content| content.insert(0, b'\t'));
    damaged.edit("/etc/kubernetes/pki/etcd/ca.crt", Vec::clear);
    let mut mixed = whole.clone();
    mixed.copy("/etc/kubernetes/pki/etcd/ca.key", "/etc/kubernetes/pki/ca.key");
    let mut chain = whole.clone();
    let authority = chain.read_file("/etc/kubernetes/pki/ca.crt").to_vec();
    chain.edit("/etc/kubernetes/pki/apiserver.crt", |content| content.extend(authority));
    let other = TreeBuilder::kubeadm().seed(2).build();
    let mut foreign = whole.clone();
    for file in ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"] {
        let content = other.read_file(file).to_vec();
        foreign.edit(file, |old| *old = content);
    }
    for (name, tree) in [
        ("whole", whole),
        ("empty", MemoryTree::default()),
        ("open", open),
        ("damaged", damaged),
        ("mixed", mixed),
        ("chain", chain),
        ("foreign", foreign),
        ("external", TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build()),
        ("no authority", TreeBuilder::kubeadm().without(FileSlot::CaCertificate(CaSlot::Etcd)).build()),
        ("no key", TreeBuilder::kubeadm().without(FileSlot::LeafKey(LeafSlot::ApiServer)).build()),
        ("short", TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(200)).build()),
        ("p384", TreeBuilder::kubeadm().algorithm(KeyAlgorithm::EcdsaP384).build()),
    ] {
        assert_round_trips(name, &tree);
    }
}

#[test]
fn plans_of_new_trees_round_trip() {
    for algorithm in KeyAlgorithm::ALL {
        for address in ["192.168.10.11", "fd00::11"] {
            let mut intent = ClusterIntent::new("cp-1".parse().unwrap(), address.parse().unwrap());
            intent.algorithm = algorithm;
            intent.endpoint = Some("lb.example:6443".parse().unwrap());
            let plan = create(&intent, at("2026-01-01T00:00:00Z"), &mut Seeded::new(3)).unwrap();
            assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
        }
    }
}

const NOW: &str = "2026-12-20T00:00:00Z";

/// The tree of the renewal in [`documents`].
fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let mut tree = TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::FrontProxy)).build();
        tree.set_mode("/etc/kubernetes/pki/apiserver.key", 0o644);
        tree.snapshot()
    })
}

fn inventory() -> &'static Inventory {
    static INVENTORY: OnceLock<Inventory> = OnceLock::new();
    INVENTORY.get_or_init(|| Inventory::parse(snapshot()))
}

/// Two documents to be edited: a renewal with steps and deferred entries, and a creation.
fn documents() -> &'static [Value; 2] {
    static DOCUMENTS: OnceLock<[Value; 2]> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let [_, renewal, ..] = &plans(inventory(), at(NOW))[..] else { unreachable!("there are six plans") };
        assert!(!renewal.steps().is_empty() && !renewal.deferred().is_empty());
        let intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
        let creation = create(&intent, at("2026-01-01T00:00:00Z"), &mut Seeded::new(3)).unwrap();
        [renewal, &creation].map(|plan| serde_json::from_str(&plan.to_json()).unwrap())
    })
}

/// Returns the pointers to `value` and to everything in it.
fn pointers(value: &Value, prefix: &str, out: &mut Vec<String>) {
    out.push(prefix.to_owned());
    match value {
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                pointers(item, &format!("{prefix}/{position}"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, &format!("{prefix}/{name}"), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A change to a document that keeps it JSON.
#[derive(Clone, Debug)]
enum Edit {
    /// Puts the value at one place to another.
    Copy(Index, Index),
    /// Puts the value of one place to another place of the same name, where it fits by its type.
    CopyAlike(Index, Index),
    /// Takes out a field or an entry.
    Remove(Index),
    /// Writes an entry of a list twice, or turns a list round.
    Repeat(Index),
    Reverse(Index),
    /// Puts something else there.
    Set(Index, Value),
}

fn edits() -> impl Strategy<Value = Edit> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "absent",
            "reuse",
            "self",
            "0777",
            "0600",
            "99999",
            "ca",
            "etcd-ca",
            "sa",
            "pki/sa.key",
            "",
            "DNS:",
            "../../etc/shadow",
            "pki/ca.key",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00+23:59",
            "keyCertSign",
            "1.2.3",
            "30",
            "00",
            "kubelet",
            "admin.conf",
            "not-due",
            "KubeletOwned",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ];
    let value = prop_oneof![
        text.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
    ];
    let index = any::<Index>;
    prop_oneof![
        1 => (index(), index()).prop_map(|(from, to)| Edit::Copy(from, to)),
        3 => (index(), index()).prop_map(|(from, to)| Edit::CopyAlike(from, to)),
        1 => index().prop_map(Edit::Remove),
        1 => index().prop_map(Edit::Repeat),
        1 => index().prop_map(Edit::Reverse),
        3 => (index(), value).prop_map(|(at, value)| Edit::Set(at, value)),
    ]
}

fn apply(document: &mut Value, edit: &Edit) {
    let mut places = Vec::new();
    pointers(document, "", &mut places);
    let place = |at: &Index| places[at.index(places.len())].as_str();
    let list = |document: &Value, at: &Index| {
        let is_list = |place: &&String| document.pointer(place).is_some_and(Value::is_array);
        let lists: Vec<&String> = places.iter().filter(is_list).collect();
        (!lists.is_empty()).then(|| lists[at.index(lists.len())].clone())
    };
    match edit {
        Edit::Copy(from, to) => {
            let value = document.pointer(place(from)).unwrap().clone();
            *document.pointer_mut(place(to)).unwrap() = value;
        }
        Edit::CopyAlike(from, to) => {
            let to = place(to);
            let name = |place: &str| place.rsplit_once('/').map(|(_, name)| name.to_owned());
            let alike: Vec<&String> = places.iter().filter(|place| name(place) == name(to)).collect();
            let value = document.pointer(alike[from.index(alike.len())]).unwrap().clone();
            *document.pointer_mut(to).unwrap() = value;
        }
        Edit::Remove(at) => {
            let Some((parent, name)) = place(at).rsplit_once('/') else { return };
            match document.pointer_mut(parent).unwrap() {
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                Value::Object(fields) => drop(fields.remove(name)),
                _ => {}
            }
        }
        Edit::Repeat(at) => {
            let Some(place) = list(document, at) else { return };
            let items = document.pointer_mut(&place).unwrap().as_array_mut().unwrap();
            items.extend(items.first().cloned());
        }
        Edit::Reverse(at) => {
            let Some(place) = list(document, at) else { return };
            document.pointer_mut(&place).unwrap().as_array_mut().unwrap().reverse();
        }
        Edit::Set(at, value) => *document.pointer_mut(place(at)).unwrap() = value.clone(),
    }
}

/// Whatever can be read stays within the layout and reads back from what it writes; what passes the review without a word
/// is no more than what it replaces, and can be issued.
fn obeys_the_law(text: &str) -> Result<(), TestCaseError> {
    let Ok(plan) = Plan::from_json(text) else { return Ok(()) };
    let layout = Layout::kubeadm(&Directories::default(), PathSource::Default);
    let paths: BTreeSet<_> = layout.iter().map(|(_, located)| &located.path).collect();
    for step in plan.steps() {
        for write in step.writes() {
            prop_assert!(paths.contains(layout.path(write.file())));
            prop_assert_eq!(write.file().slot(), step.slot());
            prop_assert!(!write.file().is_secret() || write.mode() & 0o007 == 0);
        }
    }
    if let Ok(deviations) = plan.review(inventory(), at(NOW)) {
        let deviating: BTreeSet<_> = deviations.iter().map(|deviation| deviation.slot).collect();
        for step in plan.steps().iter().filter(|step| !deviating.contains(&step.slot())) {
            prop_assert!(within_the_old_certificate(step), "{step:?}");
        }
        let issuance = begin(&plan, snapshot());
        prop_assert!(issuance.is_ok(), "what passes can be issued: {issuance:?}");
    }
    prop_assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
    Ok(())
}

/// Returns whether nobody needs to look at the certificate of `step`, since the old one in [`snapshot`] is kubeadm's.
fn within_the_old_certificate(step: &Step) -> bool {
    let Some(old) = inventory().credential(step.slot()).and_then(|credential| credential.leaf()) else {
        return false;
    };
    let Some(new) = step.certificate() else { return false };
    let names = |names: &AlternativeNames| names.as_slice().iter().cloned().collect::<BTreeSet<_>>();
    let purposes = new.extended_key_usages.as_slice();
    new.subject.attributes().iter().all(|attribute| old.subject().attributes().contains(attribute))
        && names(&new.alternative_names) == names(old.alternative_names())
        && new.key_usages.names().all(|name| KeyUsages::LEAF.names().any(|kept| kept == name))
        && !purposes.is_empty()
        && purposes.iter().all(|purpose| old.extended_key_usages().as_slice().contains(purpose))
        && new.validity.not_before() <= at(NOW)
        && new.validity.not_after() <= at(NOW).plus(Seconds::from_days(367))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn edited_values_cannot_escape(
        which in 0..2_usize,
        edits in prop::collection::vec(edits(), 1..4),
    ) {
        let mut document = documents()[which].clone();
        for edit in &edits {
            apply(&mut document, edit);
        }
        obeys_the_law(&document.to_string())?;
    }

    #[test]
    fn edited_bytes_cannot_escape(
        which in 0..2_usize,
        places in prop::collection::vec((any::<Index>(), 0..3_usize, ".{0,3}"), 1..4),
    ) {
        let mut text: Vec<char> = documents()[which].to_string().chars().collect();
        for (place, remove, insert) in &places {
            let start = place.index(text.len());
            let end = (start + remove).min(text.len());
            text.splice(start..end, insert.chars());
        }
        obeys_the_law(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn arbitrary_text_is_no_plan(text in ".{0,200}") {
        prop_assert!(Plan::from_json(&text).is_err());
    }
}

#[test]
fn the_edits_of_the_law_leave_some_documents_readable() {
    // A law about nothing would hold too.
    for document in documents() {
        let mut edited = document.clone();
        edited["steps"].as_array_mut().unwrap().pop();
        edited["restarts"] = json!([]);
        let plan = Plan::from_json(&edited.to_string()).unwrap();
        obeys_the_law(&edited.to_string()).unwrap();
        assert_ne!(Plan::from_json(&document.to_string()), Ok(plan));
    }
}

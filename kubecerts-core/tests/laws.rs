//! Laws that hold for every tree, request and moment.
//!
//! Trees are made to order and then broken at random: dates, missing files, keys of others, cut-off files, foreign
//! pairs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use kubecerts_core::catalog::{CaSlot, FileSlot, KubeconfigSlot, Layout, LeafSlot, Slot};
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{Change, ChangeSet, issue};
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{KeyChoice, Plan, PlanRequest, Selection, Step, plan};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, Certificate, DistinguishedName, ExtendedKeyUsages, PrivateKey,
    Purpose, SerialNumber, SignatureAlgorithm, certificates,
};
use kubecerts_testkit::{Draft, Fixture, MemoryTree, Seeded, TreeBuilder, at};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn the_same_inputs_give_the_same_plan_and_the_same_bytes(case in any_case(), seed in any::<u64>()) {
        let once = case.run(Selection::All, seed);
        let twice = case.run(Selection::All, seed);
        prop_assert_eq!(&once.0, &twice.0);
        prop_assert_eq!(written(&once.1), written(&twice.1));
    }

    #[test]
    fn a_due_plan_that_was_applied_leaves_nothing_to_do(case in any_case()) {
        let (first, changes) = case.run(Selection::Due, 1);
        let mut tree = case.tree.clone();
        tree.apply(&changes);
        let (second, _) = Case { tree, ..case }.run(Selection::Due, 2);
        prop_assert!(second.is_empty(), "first {:?}, then {:?}", slots(&first), slots(&second));
    }

    #[test]
    fn a_due_plan_never_ends_a_usable_certificate_sooner(case in any_case()) {
        let inventory = case.tree.inventory();
        let (plan, _) = case.run(Selection::Due, 1);
        for step in plan.steps() {
            let credential = inventory.credential(step.slot()).unwrap();
            let leaf = credential.leaf().unwrap();
            // Without its key, or before its first second, a certificate has no lifetime that could be shortened.
            if credential.key_matches() == Some(true) && leaf.not_before() <= case.now {
                let end = step.certificate().unwrap().validity.not_after();
                prop_assert!(end > leaf.not_after(), "{}: {end} after {}", step.slot(), leaf.not_after());
            }
        }
    }

    #[test]
    fn no_certificate_outlives_its_authority(case in any_case()) {
        let inventory = case.tree.inventory();
        let (plan, _) = case.run(Selection::All, 1);
        for step in plan.steps() {
            let end = step.certificate().unwrap().validity.not_after();
            let authority = inventory.authority(step.slot().issuer().unwrap()).signer().unwrap();
            prop_assert!(end <= authority.not_after(), "{}", step.slot());
        }
    }

    #[test]
    fn no_plan_touches_a_leaf_whose_authority_is_external(
        case in any_case(),
        external in subsequence(CaSlot::ALL.to_vec(), 0..=3),
        selection in any_selection(),
    ) {
        let mut tree = case.tree.clone();
        for ca in &external {
            remove(&mut tree, FileSlot::CaKey(*ca));
        }
        let (plan, changes) = Case { tree, ..case }.run(selection, 1);
        let untouchable = |slot: Slot| slot.issuer().is_some_and(|ca| external.contains(&ca));
        prop_assert!(!slots(&plan).into_iter().any(untouchable));
        prop_assert!(!changes.changes().iter().any(|change| untouchable(change.file().slot())));
    }

    #[test]
    fn only_leaves_and_clients_are_written_and_where_the_layout_has_them(
        case in any_case(),
        selection in any_selection(),
    ) {
        let snapshot = case.tree.snapshot();
        let (_, changes) = case.run(selection, 1);
        for change in changes.changes() {
            prop_assert_eq!(snapshot.layout().path(change.file()), change.path());
            let slot = change.file().slot();
            let renewable = matches!(slot, Slot::Leaf(_) | Slot::Kubeconfig(_) | Slot::KubeletClient);
            prop_assert!(renewable, "{}", change.path());
        }
    }

    #[test]
    fn a_reused_key_is_not_written(case in any_case()) {
        let mut case = case;
        case.request.keys = KeyChoice::Reuse;
        let (_, changes) = case.run(Selection::All, 1);
        let is_key = |change: &Change| matches!(change.file(), FileSlot::LeafKey(_));
        prop_assert!(!changes.changes().iter().any(is_key));
    }

    #[test]
    fn a_certificate_is_parsed_to_the_bytes_and_fields_that_it_was_encoded_from(draft in any_draft()) {
        let der = draft.signed_by(&TREE.private_key("/etc/kubernetes/pki/ca.key"));
        let certificate = Certificate::parse_der(&der).unwrap();
        prop_assert_eq!(certificate.as_der(), der);
        prop_assert_eq!(certificate.subject(), &draft.subject);
        prop_assert_eq!(certificate.alternative_names(), &draft.alternative_names);
        prop_assert_eq!(certificate.extended_key_usages(), &draft.extended_key_usages);
        prop_assert_eq!(certificate.serial(), &draft.serial);
        prop_assert_eq!(certificate.not_before(), draft.not_before);
        prop_assert_eq!(certificate.not_after(), draft.not_after);
        let again = Draft::of(&certificate).to_be_signed(SignatureAlgorithm::EcdsaWithSha256);
        prop_assert_eq!(again, certificate.to_be_signed());
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn random_bytes_in_any_file_never_cause_a_panic(
        hits in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..12),
        selection in any_selection(),
    ) {
        let mut tree = CORRUPTIBLE.clone();
        let paths: Vec<String> = tree.files().map(|(path, ..)| path.to_string()).collect();
        for (file, position, byte) in hits {
            tree.edit(file.get::<String>(&paths), |content| {
                let position = position.index(content.len());
                content[position] = byte;
            });
        }
        let (snapshot, now) = (tree.snapshot(), at("2027-11-01T00:00:00Z"));
        let inventory = Inventory::parse(&snapshot);
        let _ = diagnose(&inventory, &Observations::none(), Policy::default(), now);
        let request = PlanRequest::with_selection(selection);
        let plan = plan(&inventory, &request, now, &mut Seeded::new(1)).unwrap();
        // The bytes of a kubeconfig are not in the inventory, so an edit may still be refused here.
        let _ = issue(&plan, &snapshot, &mut Seeded::provider(1));
    }
}

/// Few cases, since each makes keys; a failure prints its input and is not kept in a file.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A tree, a request and a moment.
#[derive(Clone, Debug)]
struct Case {
    tree: MemoryTree,
    request: PlanRequest,
    now: Timestamp,
}

impl Case {
    /// Plans and issues; both must succeed for any tree that was broken in one of the ways below.
    fn run(&self, selection: Selection, seed: u64) -> (Plan, ChangeSet) {
        let snapshot: Snapshot = self.tree.snapshot();
        let mut request = self.request.clone();
        request.selection = selection;
        let plan = plan(&Inventory::parse(&snapshot), &request, self.now, &mut Seeded::new(seed)).unwrap();
        let changes = issue(&plan, &snapshot, &mut Seeded::provider(seed)).unwrap();
        (plan, changes)
    }
}

/// One way to break a tree.
#[derive(Clone, Debug)]
enum Break {
    Remove(FileSlot),
    CutOff(FileSlot),
    KeyOfAnother(LeafSlot, LeafSlot),
    PairOfAnotherCluster(Slot),
    AuthorityOfAnotherCluster(CaSlot),
    AuthorityEnds(CaSlot, Timestamp),
    LeafBegins(LeafSlot, Timestamp),
    LeafEnds(LeafSlot, Timestamp),
    Mode(FileSlot, u32),
}

impl Break {
    fn apply(self, tree: &mut MemoryTree) {
        let path = |file| LAYOUT.path(file).to_string();
        let exists = |tree: &MemoryTree, file| tree.files().any(|(path, ..)| path == LAYOUT.path(file));
        let transplant = |tree: &mut MemoryTree, file| {
            let foreign = OTHER_TREE.read_file(&path(file)).to_vec();
            tree.write(LAYOUT.path(file), foreign, file.mode());
        };
        match self {
            Self::Remove(file) => remove(tree, file),
            Self::CutOff(file) | Self::Mode(file, _) if !exists(tree, file) => {}
            Self::CutOff(file) => tree.edit(&path(file), |content| content.truncate(content.len() / 2)),
            Self::Mode(file, mode) => tree.set_mode(&path(file), mode),
            Self::KeyOfAnother(from, to) => {
                let (from, to) = (FileSlot::LeafKey(from), FileSlot::LeafKey(to));
                if exists(tree, from) {
                    tree.copy(&path(from), &path(to));
                }
            }
            Self::PairOfAnotherCluster(slot) => {
                FileSlot::all().filter(|file| file.slot() == slot).for_each(|file| transplant(tree, file));
            }
            Self::AuthorityOfAnotherCluster(ca) => {
                transplant(tree, FileSlot::CaCertificate(ca));
                transplant(tree, FileSlot::CaKey(ca));
            }
            Self::AuthorityEnds(ca, end) => {
                redraft(tree, FileSlot::CaCertificate(ca), ca, |draft| end_at(draft, end));
            }
            Self::LeafBegins(leaf, begin) => {
                redraft(tree, FileSlot::LeafCertificate(leaf), leaf.issuer(), |draft| {
                    draft.not_before = begin;
                    draft.not_after = draft.not_after.max(begin);
                });
            }
            Self::LeafEnds(leaf, end) => {
                redraft(tree, FileSlot::LeafCertificate(leaf), leaf.issuer(), |draft| end_at(draft, end));
            }
        }
    }
}

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| MemoryTree::default().snapshot().layout().clone());
static TREE: LazyLock<MemoryTree> = LazyLock::new(|| TreeBuilder::kubeadm().build());
static OTHER_TREE: LazyLock<MemoryTree> = LazyLock::new(|| TreeBuilder::kubeadm().seed(2).build());

/// With manifests, and with a copy of admin.conf, so that every reader sees damage.
static CORRUPTIBLE: LazyLock<MemoryTree> = LazyLock::new(|| {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    tree
});

/// Dates lie within two years of the making of the tree; windows and lifetimes are of every proportion to them.
fn any_case() -> impl Strategy<Value = Case> {
    let moment = || (-2_i64..730).prop_map(|days| at("2026-01-02T00:00:00Z").plus(Seconds::from_days(days)));
    let leaf = || select(LeafSlot::ALL.to_vec());
    let ca = || select(CaSlot::ALL.to_vec());
    let file = || select(FileSlot::all().filter(|file| file.slot() != KUBELET).collect::<Vec<_>>());
    let slot = prop_oneof![
        leaf().prop_map(Slot::Leaf),
        select(KubeconfigSlot::ALL.to_vec()).prop_map(Slot::Kubeconfig)
    ];
    let broken = prop_oneof![
        file().prop_map(Break::Remove),
        file().prop_map(Break::CutOff),
        (leaf(), leaf()).prop_map(|(from, to)| Break::KeyOfAnother(from, to)),
        slot.prop_map(Break::PairOfAnotherCluster),
        ca().prop_map(Break::AuthorityOfAnotherCluster),
        (ca(), moment()).prop_map(|(ca, end)| Break::AuthorityEnds(ca, end)),
        (leaf(), moment()).prop_map(|(leaf, begin)| Break::LeafBegins(leaf, begin)),
        (leaf(), moment()).prop_map(|(leaf, end)| Break::LeafEnds(leaf, end)),
        (file(), 0_u32..0o1000).prop_map(|(file, mode)| Break::Mode(file, mode)),
    ];
    let spans = (0_i64..500, 1_i64..500);
    (prop::collection::vec(broken, 0..8), moment(), spans).prop_map(|(breaks, now, (window, lifetime))| {
        let mut tree = TREE.clone();
        breaks.into_iter().for_each(|broken| broken.apply(&mut tree));
        let mut request = PlanRequest::default();
        request.window = Seconds::from_days(window);
        request.lifetime = Seconds::from_days(lifetime);
        Case { tree, request, now }
    })
}

fn any_selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::Due),
        Just(Selection::All),
        subsequence(Slot::ALL.to_vec(), 0..=Slot::ALL.len())
            .prop_map(|slots| Selection::Named(slots.into_iter().collect())),
    ]
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let name = || "[ -~à-ÿ]{0,40}";
    let subject = (name(), prop::collection::vec(name(), 0..4)).prop_map(|(common_name, organisations)| {
        let organisations: Vec<&str> = organisations.iter().map(String::as_str).collect();
        DistinguishedName::kubeadm(&common_name, &organisations)
    });
    let alternative_name = prop_oneof![
        "[a-z0-9.*-]{1,60}".prop_map(AlternativeName::Dns),
        any::<std::net::IpAddr>().prop_map(AlternativeName::Ip),
        "[a-z]{1,9}@[a-z.]{1,9}".prop_map(AlternativeName::Email),
        "[a-z]{1,9}://[a-z/]{1,9}".prop_map(AlternativeName::Uri),
    ];
    let purposes = subsequence(vec![Purpose::CLIENT_AUTH, Purpose::SERVER_AUTH, Purpose::ANY], 0..=3);
    let dates = (Timestamp::MIN.unix()..Timestamp::MAX.unix(), 0..Timestamp::MAX.unix());
    (
        subject,
        prop::collection::vec(alternative_name, 0..40),
        purposes.prop_shuffle(),
        dates,
        any::<[u8; 16]>(),
    )
        .prop_map(|(subject, names, purposes, (begin, length), serial)| {
            let mut draft = Draft::of(&TREE.certificate("/etc/kubernetes/pki/apiserver.crt"));
            draft.subject = subject;
            draft.alternative_names = AlternativeNames::new(names);
            draft.extended_key_usages = ExtendedKeyUsages::new(purposes);
            draft.not_before = Timestamp::from_unix(begin);
            draft.not_after = draft.not_before.plus(Seconds(length));
            draft.serial = SerialNumber::from_random(serial);
            draft
        })
}

const KUBELET: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);

fn remove(tree: &mut MemoryTree, file: FileSlot) {
    let path = LAYOUT.path(file);
    if tree.files().any(|(found, ..)| found == path) {
        tree.remove(path.as_str());
    }
}

/// Changes the certificate in `file`, when it and the key of `ca` are still intact.
fn redraft(tree: &mut MemoryTree, file: FileSlot, ca: CaSlot, change: impl FnOnce(&mut Draft)) {
    let content = |file| tree.files().find(|(path, ..)| *path == LAYOUT.path(file)).map(|found| found.1);
    let certificate = content(file).and_then(|bytes| certificates(bytes).ok()?.remove(0).ok());
    let key = content(FileSlot::CaKey(ca)).and_then(|bytes| PrivateKey::parse(bytes).ok());
    if certificate.is_some() && key.is_some() {
        tree.redraft(LAYOUT.path(file).as_str(), LAYOUT.path(FileSlot::CaKey(ca)).as_str(), change);
    }
}

fn end_at(draft: &mut Draft, end: Timestamp) {
    draft.not_before = draft.not_before.min(end);
    draft.not_after = end;
}

fn slots(plan: &Plan) -> BTreeSet<Slot> {
    plan.steps().iter().map(Step::slot).collect()
}

fn written(changes: &ChangeSet) -> Vec<(FileSlot, Vec<u8>, u32)> {
    let change = |change: &Change| (change.file(), change.secret_bytes().to_vec(), change.mode());
    changes.changes().iter().map(change).collect()
}

#[test]
fn two_scans_are_equal_when_nothing_was_changed_between_them() {
    let tree = TreeBuilder::kubeadm().build();
    let before = tree.snapshot();
    assert_eq!(before, tree.snapshot());
    for (file, content, mode) in tree.files() {
        // A byte, the mode, and whether it is there.
        let mut changed = [tree.clone(), tree.clone(), tree.clone()];
        changed[0].write(file, [content, b"\n"].concat(), mode);
        changed[1].write(file, content.to_vec(), mode ^ 0o100);
        changed[2].remove(file.as_str());
        for tree in changed {
            assert_ne!(before, tree.snapshot(), "{file}");
        }
    }
}

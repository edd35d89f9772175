//! What becomes of the answers of an authority elsewhere, right ones and wrong ones.

#![cfg(feature = "rustcrypto")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use kubecerts_core::catalog::{CaSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::inventory::{ChainFact, Custody, Inventory};
use kubecerts_core::issue::external::{
    AnswerFile, Answers, Completeness, Gravity, Import, ImportError, ImportField, NewKubeconfig, RequestKeys,
    RequestManifest, RequestSet, import_changes, judge_answers, make_requests, wanted_certificates,
};
use kubecerts_core::issue::sign::{SigningOrder, SigningProfile, sign_requests};
use kubecerts_core::plan::{Permission, PlanRequest, Selection};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{
    AlternativeNames, Certificate, DistinguishedName, KeyUsages, PrivateKey, encode_certificate,
};
use kubecerts_testkit::{Draft, MemoryTree, Seeded, TreeBuilder, at};
use proptest::prelude::*;

const SERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// A tree without the key of its authority, requests, and right answers to them.
struct Case {
    tree: MemoryTree,
    inventory: Inventory,
    set: RequestSet,
    keys: RequestKeys,
    /// The authority's key, which is elsewhere.
    key: PrivateKey,
    /// In DER, for the API server and the scheduler.
    answers: Vec<Certificate>,
}

fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

impl Case {
    fn new() -> Self {
        let mut tree = TreeBuilder::kubeadm().build();
        let selection = Selection::Named(BTreeSet::from([SERVER, SCHEDULER]));
        let request = PlanRequest::with_selection(selection);
        let wanted = wanted_certificates(&tree.inventory(), None, &request, now()).unwrap();
        let mut provider = Seeded::provider(2);
        let set = make_requests(&wanted.certificates, &tree.inventory(), now(), &mut provider).unwrap();
        let mut keys = RequestKeys::default();
        let mut requests = Vec::new();
        for record in &set.manifest.requests {
            let file = |name: String| {
                set.files.iter().find(|file| file.name == name).expect("every request has two files")
            };
            keys.insert(record.wanted.slot, &file(record.key_file()).content);
            requests.push((record.wanted.slot, file(record.request_file())));
        }
        let orders: Vec<_> = requests
            .iter()
            .map(|(slot, request)| SigningOrder {
                request: request.content.secret_bytes(),
                profile: SigningProfile::of_slot(*slot).unwrap(),
                lifetime: Seconds::from_days(365),
            })
            .collect();
        let snapshot = tree.snapshot();
        let signed =
            sign_requests(&orders, CaSlot::Cluster, &snapshot, now(), &mut Seeded::new(3), &provider)
                .unwrap();
        let answers = signed
            .into_iter()
            .map(|answer| {
                let answer = answer.unwrap();
                assert!(answer.notes.is_empty());
                answer.certificate
            })
            .collect();
        let key = tree.private_key(CA_KEY);
        tree.remove(CA_KEY);
        assert_eq!(tree.inventory().authority(CaSlot::Cluster).custody(), Custody::External);
        Self { inventory: tree.inventory(), tree, set, keys, key, answers }
    }

    fn manifest(&self) -> &RequestManifest {
        &self.set.manifest
    }

    fn judge(&self, files: &[&[u8]]) -> Import {
        self.judge_at(files, now())
    }

    fn judge_at(&self, files: &[&[u8]], now: Timestamp) -> Import {
        let files: Vec<_> = files.iter().map(|content| AnswerFile { name: "answer", content }).collect();
        judge_answers(self.manifest(), &self.keys, &Answers::read(&files), &self.inventory, now)
    }

    /// Judges the right answer for the scheduler and a changed one for the API server.
    fn judge_changed(&self, change: impl FnOnce(&mut Draft)) -> Import {
        let mut draft = Draft::of(&self.answers[0]);
        change(&mut draft);
        self.judge(&[&draft.signed_by(&self.key), self.answers[1].as_der()])
    }

    fn install(&self, import: &Import, completeness: Completeness) -> Result<MemoryTree, ImportError> {
        let changes = import_changes(
            import,
            self.manifest(),
            &self.keys,
            &self.tree.snapshot(),
            &BTreeSet::new(),
            completeness,
        )?;
        let mut tree = self.tree.clone();
        tree.apply(&changes);
        Ok(tree)
    }
}

fn shown(import: &Import) -> String {
    import.deviations.iter().map(|deviation| format!("{deviation}\n")).collect()
}

#[test]
fn right_answers_are_installed_in_the_files_of_their_slots_and_nowhere_else() {
    let case = Case::new();
    let der: Vec<&[u8]> = case.answers.iter().map(Certificate::as_der).collect();
    let import = case.judge(&der);
    assert_eq!(shown(&import), "");
    let after = case.install(&import, Completeness::Complete).unwrap();
    let changed: Vec<_> = after
        .files()
        .filter(|(path, content, _)| case.tree.read_file(path.as_str()) != *content)
        .map(|(path, ..)| path.as_str().to_owned())
        .collect();
    assert_eq!(
        changed,
        [
            "/etc/kubernetes/pki/apiserver.crt",
            "/etc/kubernetes/pki/apiserver.key",
            "/etc/kubernetes/scheduler.conf"
        ]
    );
    for slot in [SERVER, SCHEDULER] {
        let inventory = after.inventory();
        let credential = inventory.credential(slot).unwrap();
        assert_eq!(credential.key_matches(), Some(true));
        assert_eq!(credential.chain(), Some(&ChainFact::Signed(CaSlot::Cluster)));
    }
}

#[test]
fn the_form_of_an_answer_does_not_matter() {
    let case = Case::new();
    let [server, scheduler] = [0, 1].map(|index| encode_certificate(case.answers[index].as_der()));
    let expected = case.judge(&[case.answers[0].as_der(), case.answers[1].as_der()]);
    let both_der = [case.answers[1].as_der(), case.answers[0].as_der()].concat();
    let crlf = format!("{scheduler}{server}").replace('\n', "\r\n");
    let spaced = format!("\u{feff}Certificate:\n  Data: -----\n{server}\n\n   trailing\n{scheduler}-----\n");
    let ca = case.tree.read_file(CA);
    for files in [
        &[server.as_bytes(), scheduler.as_bytes()][..],
        &[scheduler.as_bytes(), ca, server.as_bytes(), server.as_bytes()],
        &[both_der.as_slice()],
        &[crlf.as_bytes()],
        &[spaced.as_bytes()],
        &[b"", b"\x30", b"\0\0", b"-----BEGIN CERTIFICATE-----", &both_der],
    ] {
        let import = case.judge(files);
        assert_eq!(import.accepted, expected.accepted);
        assert_eq!(shown(&import), "");
    }
}

#[test]
fn every_deviation_is_named_at_once() {
    let case = Case::new();
    let import = case.judge_changed(|draft| {
        draft.subject = DistinguishedName::kubeadm("kube-apiserver", &["system:masters"]);
        draft.is_ca = true;
        draft.key_usages = KeyUsages::AUTHORITY;
        draft.extended_key_usages = Default::default();
        draft.alternative_names = Default::default();
        draft.not_before = at("2027-01-01T00:00:00Z");
    });
    let fields: BTreeSet<_> =
        import.refusals().map(|deviation| (deviation.field, deviation.gravity)).collect();
    assert_eq!(
        fields,
        BTreeSet::from([
            (ImportField::Subject, Gravity::Dangerous),
            (ImportField::BasicConstraints, Gravity::Dangerous),
            (ImportField::KeyUsage, Gravity::Dangerous),
            (ImportField::ExtendedKeyUsage, Gravity::Breaks),
            (ImportField::AlternativeNames, Gravity::Breaks),
            (ImportField::Validity, Gravity::Breaks),
        ])
    );
    // The other answer is right, but nothing is installed.
    assert_eq!(import.accepted.len(), 1);
    for completeness in [Completeness::Complete, Completeness::Partial] {
        assert!(matches!(case.install(&import, completeness), Err(ImportError::Refused(6))));
    }
}

#[test]
fn a_certificate_is_good_until_its_last_second() {
    let case = Case::new();
    let files = [case.answers[0].as_der(), case.answers[1].as_der()];
    for (now, good) in [
        (case.answers[0].not_before(), true),
        (case.answers[0].not_before().minus(Seconds(1)), false),
        (case.answers[0].not_after(), true),
        (case.answers[0].not_after().plus(Seconds(1)), false),
    ] {
        assert_eq!(case.judge_at(&files, now).refusals().count() == 0, good, "{now}");
    }
}

#[test]
fn what_may_be_permitted_needs_its_permission() {
    let case = Case::new();
    let import = case.judge_changed(|draft| draft.not_after = at("2028-06-01T00:00:00Z"));
    assert_eq!(import.permissions(), BTreeSet::from([Permission::Validity]));
    let refused = case.install(&import, Completeness::Complete);
    assert_eq!(refused, Err(ImportError::NotAllowed(vec![Permission::Validity])));
    // One that ends with its authority could not last longer.
    let end = case.tree.certificate(CA).not_after();
    let import = case.judge_at(
        &[case.answers[0].as_der(), case.answers[1].as_der()],
        case.answers[0].not_after().minus(Seconds(9)),
    );
    assert!(import.permissions().is_empty());
    let import = case.judge_changed(|draft| {
        draft.not_after = end;
        draft.not_before = end.minus(Seconds::from_days(30));
    });
    let lifetime = import.deviations.iter().find(|deviation| deviation.field == ImportField::Lifetime);
    assert_eq!(lifetime.unwrap().gravity, Gravity::Note);
}

#[test]
fn a_manifest_changes_no_name_on_its_own_word() {
    let mut case = Case::new();
    let evil = AlternativeNames::new(vec!["DNS:evil.example.com".parse().unwrap()]);
    let record = case.set.manifest.requests.iter_mut().find(|record| record.wanted.slot == SERVER);
    record.unwrap().wanted.alternative_names = evil.clone();
    let import = case.judge_changed(|draft| draft.alternative_names = evil);
    assert_eq!(import.permissions(), BTreeSet::from([Permission::San]));
    assert!(shown(&import).contains("added DNS:evil.example.com; removed "), "{}", shown(&import));
}

#[test]
fn a_lifetime_of_the_sites_own_does_not_shrink_on_the_word_of_a_manifest() {
    let tree = TreeBuilder::kubeadm().build();
    let old = tree.certificate("/etc/kubernetes/pki/apiserver.crt");
    let mut draft = Draft::of(&old);
    draft.not_before = at("2026-01-01T00:00:00Z");
    draft.not_after = tree.certificate(CA).not_after();
    let own = draft.not_after.since(draft.not_before);
    let mut long = tree.clone();
    let signed = draft.signed_by(&tree.private_key(CA_KEY));
    let content = encode_certificate(&signed).into_bytes();
    long.edit("/etc/kubernetes/pki/apiserver.crt", |old| *old = content);
    // It is asked for again as it was, unless somebody permits less.
    let named = |permissions: &[Permission], lifetime: Option<Seconds>| {
        let mut request = PlanRequest::with_selection(Selection::Named(BTreeSet::from([SERVER])));
        request.permissions.extend(permissions);
        if let Some(lifetime) = lifetime {
            request.insist_on_lifetime(lifetime);
        }
        wanted_certificates(&long.inventory(), None, &request, now()).unwrap()
    };
    let kept = named(&[], None).certificates[0].lifetime;
    assert!((kept.0 - own.0).abs() <= 86_400, "{kept}");
    let year = Some(Seconds::from_days(365));
    assert!(named(&[], year).certificates.is_empty());
    assert_eq!(named(&[Permission::Validity], year).certificates[0].lifetime, Seconds::from_days(365));
    // The answers of a year were asked for by the manifest.
    let mut case = Case::new();
    case.inventory = long.inventory();
    let import = case.judge(&[case.answers[0].as_der(), case.answers[1].as_der()]);
    assert_eq!(import.permissions(), BTreeSet::from([Permission::Validity]));
}

#[test]
fn a_new_kubeconfig_leads_to_no_other_server() {
    let mut case = Case::new();
    let mut tree = case.tree.clone();
    tree.remove("/etc/kubernetes/scheduler.conf");
    case.inventory = tree.inventory();
    let own = case.inventory.credential(Slot::Kubeconfig(KubeconfigSlot::Admin)).unwrap().kubeconfig();
    let own = own.unwrap().file.as_ref().unwrap().current().unwrap().cluster.clone();
    for (cluster, server, count) in [
        (own.name(), own.server().unwrap(), 0),
        (own.name(), "https://evil.example.com:6443", 1),
        ("evil", own.server().unwrap(), 1),
    ] {
        let record = case.set.manifest.requests.iter_mut().find(|record| record.wanted.slot == SCHEDULER);
        record.unwrap().wanted.kubeconfig = NewKubeconfig::new(cluster, server);
        let import = case.judge(&[case.answers[0].as_der(), case.answers[1].as_der()]);
        assert_eq!(import.refusals().count(), count, "{}", shown(&import));
    }
}

#[test]
fn an_authority_of_the_same_name_is_another_one() {
    let case = Case::new();
    let other = TreeBuilder::kubeadm().seed(9).build().private_key(CA_KEY);
    let forged = Draft::of(&case.answers[0]).signed_by(&other);
    let import = case.judge(&[&forged, case.answers[1].as_der()]);
    let text = shown(&import);
    assert_eq!(
        text,
        "apiserver: chain: wanted signed by ca, got a signature by another authority that is called CN = kubernetes\n"
    );
    // Bringing its certificate along makes it no better.
    let root = TreeBuilder::kubeadm().seed(9).build();
    assert_eq!(shown(&case.judge(&[&forged, case.answers[1].as_der(), root.read_file(CA)])), text);
}

#[test]
fn a_leaf_is_no_intermediate() {
    let case = Case::new();
    // The scheduler's key signs for the API server.
    let mut draft = Draft::of(&case.answers[0]);
    draft.issuer = case.answers[1].subject().clone();
    let name = case.manifest().request(SCHEDULER).unwrap().key_file();
    let key = case.set.files.iter().find(|file| file.name == name).unwrap();
    let key = PrivateKey::parse(key.content.secret_bytes()).unwrap();
    let import = case.judge(&[&draft.signed_by(&key), case.answers[1].as_der()]);
    assert!(shown(&import).contains("neither in the tree nor among the answers"), "{}", shown(&import));
}

#[test]
fn a_missing_answer_stops_everything_unless_told_otherwise() {
    let case = Case::new();
    let import = case.judge(&[case.answers[1].as_der()]);
    assert_eq!(import.missing, [SERVER]);
    let refused = case.install(&import, Completeness::Complete);
    assert_eq!(refused, Err(ImportError::Incomplete(vec![SERVER])));
    assert!(case.install(&import, Completeness::Partial).is_ok());
    let nothing = case.judge(&[]);
    assert!(matches!(case.install(&nothing, Completeness::Partial), Err(ImportError::Incomplete(_))));
}

#[test]
fn the_longer_of_two_right_answers_is_taken_and_a_wrong_one_left() {
    let case = Case::new();
    let mut draft = Draft::of(&case.answers[0]);
    draft.not_after = draft.not_after.minus(Seconds(3600));
    let shorter = draft.signed_by(&case.key);
    draft.not_before = at("2026-04-01T00:00:00Z");
    draft.not_after = at("2026-05-01T00:00:00Z");
    let expired = draft.signed_by(&case.key);
    let import = case.judge(&[&expired, case.answers[0].as_der(), &shorter, case.answers[1].as_der()]);
    assert_eq!(import.accepted[0].certificate, case.answers[0]);
    assert_eq!(shown(&import), "apiserver: answers: wanted one, got 3, of which that in answer is taken\n");
}

/// The law: whatever happens to an answer on its way, either nothing of it is accepted or it is what was signed.
#[test]
fn no_flipped_byte_is_accepted() {
    let case = Case::new();
    let der = case.answers[0].as_der();
    for position in 0..der.len() {
        for mask in [0x01, 0x80] {
            let mut flipped = der.to_vec();
            flipped[position] ^= mask;
            let import = case.judge(&[&flipped, case.answers[1].as_der()]);
            let is_accepted = import.accepted.iter().any(|accepted| accepted.slot == SERVER);
            assert!(!is_accepted, "byte {position} with {mask:02x}");
        }
    }
}

#[test]
fn no_flipped_byte_of_pem_changes_what_is_accepted() {
    let case = Case::new();
    let pem = encode_certificate(case.answers[0].as_der()).into_bytes();
    for position in 0..pem.len() {
        let mut flipped = pem.clone();
        flipped[position] ^= 0x02;
        let import = case.judge(&[&flipped]);
        for accepted in &import.accepted {
            assert_eq!(accepted.certificate, case.answers[0], "byte {position}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_answers_never_panic_nor_pass(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let case = Case::new();
        let mut bytes = case.answers[0].as_der().to_vec();
        for (index, value) in edits {
            let position = index.index(bytes.len());
            bytes[position] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let import = case.judge(&[&bytes]);
        for accepted in &import.accepted {
            prop_assert_eq!(&accepted.certificate, &case.answers[0]);
        }
    }
}

//! Renewal compared with kubeadm's own, over the trees that kubeadm made.
//!
//! Each tree is renewed at the second of kubeadm's renewal and with the private keys that kubeadm drew, so only serials
//! and signatures may differ, and in the tree of 1.20 what this version of kubeadm did otherwise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use kubecerts_core::catalog::{KubernetesVersion, Slot};
use kubecerts_core::inventory::{ChainFact, Inventory, Place};
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{
    Certificate, Extension, KeyEncoding, KeyType, SignatureAlgorithm, encode_certificate,
};
use kubecerts_testkit::{BorrowedKeys, Draft, FIXTURES, Fixture, MemoryTree, Seeded, at};

/// A fixture before renewal, after kubeadm's, and after ours.
struct Renewal {
    fixture: &'static str,
    now: Timestamp,
    lifetime: Seconds,
    before: MemoryTree,
    kubeadm: MemoryTree,
    ours: MemoryTree,
    renewed: Vec<Slot>,
}

/// When kubeadm renewed each tree (S in `NotBefore = S - 5m`), and for how long its configuration says. kubeadm 1.20
/// took the time anew for each certificate; this is its first.
const MOMENTS: [(&str, &str, Seconds); 7] = [
    ("kubeadm-v120-rsa", "2026-11-21T23:37:26Z", Seconds::from_days(365)),
    ("kubeadm-v132-rsa2048", "2026-11-22T00:05:29Z", Seconds::from_days(365)),
    ("kubeadm-v136-ecdsa-p256", "2026-11-21T23:42:00Z", Seconds::from_days(365)),
    ("kubeadm-v136-external-ca", "2026-11-21T23:43:44Z", Seconds::from_days(365)),
    ("kubeadm-v136-external-etcd", "2026-11-21T23:43:34Z", Seconds::from_days(365)),
    ("kubeadm-v136-rsa2048", "2026-11-21T23:39:10Z", Seconds::from_days(365)),
    ("kubeadm-v136-validity", "2026-11-21T23:42:29Z", Seconds::from_hours(720)),
];

static RENEWALS: LazyLock<Vec<Renewal>> = LazyLock::new(|| {
    let renewal = |(fixture, now, lifetime): (&'static str, &str, Seconds)| {
        let now = at(now);
        let before = Fixture::named(fixture).tree();
        let kubeadm = Fixture::named(fixture).renewed().expect("kubeadm renewed this tree");
        let mut ours = before.clone();
        let mut request = PlanRequest::with_selection(Selection::All);
        request.lifetime = lifetime;
        let renewed = ours.renew(&request, now, &mut BorrowedKeys::of(&kubeadm));
        Renewal { fixture, now, lifetime, before, kubeadm, ours, renewed }
    };
    MOMENTS.map(renewal).into()
});

/// kubeadm 1.20 wrote no basic constraints into leaves and let them begin with their authority.
const WITHOUT_BASIC_CONSTRAINTS: KubernetesVersion = KubernetesVersion { major: 1, minor: 20, patch: 2 };

impl Renewal {
    fn is_old(&self) -> bool {
        self.before.inventory().node().version() == Some(WITHOUT_BASIC_CONSTRAINTS)
    }

    /// Returns kubeadm's and our certificate for each slot that was renewed.
    fn pairs(&self) -> Vec<(String, Certificate, Certificate)> {
        let (kubeadm, ours) = (self.kubeadm.inventory(), self.ours.inventory());
        let leaf = |inventory: &Inventory, slot| inventory.credential(slot).unwrap().leaf().unwrap().clone();
        let pair = |slot| (format!("{} {slot}", self.fixture), leaf(&kubeadm, slot), leaf(&ours, slot));
        self.renewed.iter().copied().map(pair).collect()
    }
}

#[test]
fn every_tree_that_kubeadm_renewed_is_compared() {
    let renewed = FIXTURES.into_iter().filter(|name| Fixture::named(name).renewed().is_some());
    assert_eq!(renewed.collect::<Vec<_>>(), MOMENTS.map(|(fixture, _, _)| fixture));
}

#[test]
fn exactly_the_files_that_kubeadm_changed_have_changed() {
    for Renewal { fixture, before, kubeadm, ours, .. } in RENEWALS.iter() {
        assert_eq!(changed(before, ours), changed(before, kubeadm), "{fixture}");
    }
}

#[test]
fn the_client_of_an_external_etcd_is_left_alone() {
    let renewal = RENEWALS.iter().find(|renewal| renewal.fixture == "kubeadm-v136-external-etcd").unwrap();
    let client = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
    assert_eq!(renewal.ours.read_file(client), renewal.before.read_file(client));
}

#[test]
fn only_leaves_of_authorities_whose_keys_are_here_are_renewed() {
    let renewal = RENEWALS.iter().find(|renewal| renewal.fixture == "kubeadm-v136-external-ca").unwrap();
    let slots: Vec<String> = renewal.renewed.iter().map(Slot::to_string).collect();
    assert_eq!(
        slots,
        [
            "apiserver-etcd-client",
            "etcd-healthcheck-client",
            "etcd-peer",
            "etcd-server",
            "front-proxy-client"
        ]
    );
}

#[test]
fn names_of_subject_and_issuer_are_kubeadms_to_the_byte() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        assert_eq!(ours.subject().as_der(), kubeadm.subject().as_der(), "{context}");
        assert_eq!(ours.issuer().as_der(), kubeadm.issuer().as_der(), "{context}");
    }
}

#[test]
fn key_usages_are_kubeadms() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        assert_eq!(ours.key_usages(), kubeadm.key_usages(), "{context}");
    }
}

#[test]
fn extended_key_usages_are_kubeadms_in_its_order() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        assert_eq!(ours.extended_key_usages(), kubeadm.extended_key_usages(), "{context}");
    }
}

#[test]
fn alternative_names_are_kubeadms_in_its_order() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        assert_eq!(ours.alternative_names(), kubeadm.alternative_names(), "{context}");
    }
}

#[test]
fn key_identifiers_are_kubeadms() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        assert_eq!(ours.authority_key_identifier(), kubeadm.authority_key_identifier(), "{context}");
        assert_eq!(ours.subject_key_identifier(), kubeadm.subject_key_identifier(), "{context}");
    }
}

#[test]
fn version_and_algorithms_of_signature_and_key_are_kubeadms() {
    for (context, kubeadm, ours) in RENEWALS.iter().flat_map(Renewal::pairs) {
        let facts = |certificate: &Certificate| {
            let key_type = certificate.public_key().key_type().clone();
            (certificate.version(), certificate.signature_algorithm(), key_type)
        };
        assert_eq!(facts(&ours), facts(&kubeadm), "{context}");
    }
}

#[test]
fn extensions_are_kubeadms_in_order_criticality_and_bytes() {
    for renewal in RENEWALS.iter().filter(|renewal| !renewal.is_old()) {
        for (context, kubeadm, ours) in renewal.pairs() {
            assert_eq!(ours.extensions(), kubeadm.extensions(), "{context}");
        }
    }
}

#[test]
fn leaves_of_kubeadm_1_20_gain_basic_constraints_and_change_in_no_other_extension() {
    for renewal in RENEWALS.iter().filter(|renewal| renewal.is_old()) {
        for (context, kubeadm, ours) in renewal.pairs() {
            let (gained, others): (Vec<Extension>, Vec<Extension>) =
                ours.extensions().iter().cloned().partition(|extension| extension.name == "basicConstraints");
            assert_eq!(others, kubeadm.extensions(), "{context}");
            // CA:FALSE is the default and so not written; the place is the one that current kubeadm gives it.
            let [gained] = gained.as_slice() else { panic!("{context}: {gained:?}") };
            assert!(gained.critical && gained.value == [0x30, 0], "{context}: {gained:?}");
            assert_eq!(ours.extensions()[2], *gained, "{context}");
        }
    }
}

#[test]
fn dates_are_kubeadms_at_the_same_second() {
    for renewal in RENEWALS.iter().filter(|renewal| !renewal.is_old()) {
        for (context, kubeadm, ours) in renewal.pairs() {
            let dates = |certificate: &Certificate| (certificate.not_before(), certificate.not_after());
            assert_eq!(dates(&ours), dates(&kubeadm), "{context}");
        }
    }
}

#[test]
fn leaves_begin_five_minutes_ago_and_end_a_lifetime_from_now() {
    for renewal in RENEWALS.iter() {
        for (context, _, ours) in renewal.pairs() {
            assert_eq!(ours.not_before(), renewal.now.minus(Seconds(300)), "{context}");
            assert_eq!(ours.not_after(), renewal.now.plus(renewal.lifetime), "{context}");
        }
    }
}

#[test]
fn the_configuration_of_kubeadm_states_its_lifetime() {
    let snapshot = |name| {
        let fixture = Fixture::named(name);
        fixture.tree().snapshot_with(fixture.with_config())
    };
    for (fixture, _, lifetime) in MOMENTS {
        let configured = snapshot(fixture).node().kubeadm().expect("a configuration").certificate_validity();
        assert_eq!(configured.unwrap_or(Seconds::from_days(365)), lifetime, "{fixture}");
    }
}

#[test]
fn a_key_of_kubeadm_is_written_byte_for_byte_as_kubeadm_wrote_it() {
    for Renewal { fixture, before, kubeadm, ours, .. } in RENEWALS.iter() {
        for path in changed(before, ours).iter().filter(|path| path.as_str().ends_with(".key")) {
            let path = path.as_str();
            assert_eq!(ours.read_file(path), kubeadm.read_file(path), "{fixture} {path}");
        }
    }
}

#[test]
fn a_certificate_of_kubeadm_is_written_byte_for_byte_as_kubeadm_wrote_it() {
    for Renewal { kubeadm, .. } in RENEWALS.iter() {
        for (path, content, _) in kubeadm.files().filter(|(path, ..)| path.as_str().ends_with(".crt")) {
            let certificate = kubeadm.certificate(path.as_str());
            assert_eq!(encode_certificate(certificate.as_der()).as_bytes(), content, "{path}");
        }
    }
}

#[test]
fn a_certificate_of_kubeadm_is_encoded_again_to_the_bytes_that_were_signed() {
    for renewal in RENEWALS.iter().filter(|renewal| !renewal.is_old()) {
        for (context, kubeadm, _) in renewal.pairs() {
            let algorithm = SignatureAlgorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.name() == kubeadm.signature_algorithm())
                .unwrap();
            assert_eq!(Draft::of(&kubeadm).to_be_signed(algorithm), kubeadm.to_be_signed(), "{context}");
        }
    }
}

#[test]
fn pem_has_lines_of_64_columns() {
    for Renewal { fixture, before, ours, .. } in RENEWALS.iter() {
        for path in changed(before, ours).iter().filter(|path| !path.as_str().ends_with(".conf")) {
            let text = std::str::from_utf8(ours.read_file(path.as_str())).unwrap();
            let body: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
            let (last, full) = body.split_last().unwrap();
            assert!(full.iter().all(|line| line.len() == 64) && last.len() <= 64, "{fixture} {path}");
            assert!(text.ends_with("-----\n"), "{fixture} {path}");
        }
    }
}

#[test]
fn modes_are_kubeadms() {
    for Renewal { fixture, kubeadm, ours, .. } in RENEWALS.iter() {
        let modes = |tree: &MemoryTree| -> BTreeMap<TreePath, u32> {
            tree.files().map(|(path, _, mode)| (path.clone(), mode)).collect()
        };
        assert_eq!(modes(ours), modes(kubeadm), "{fixture}");
    }
}

#[test]
fn nothing_in_a_kubeconfig_changes_but_the_certificate_and_the_key() {
    for Renewal { fixture, before, ours, .. } in RENEWALS.iter() {
        for path in changed(before, ours).iter().filter(|path| path.as_str().ends_with(".conf")) {
            let lines = |tree: &MemoryTree| without_values(tree.read_file(path.as_str()));
            assert_eq!(lines(ours), lines(before), "{fixture} {path}");
        }
    }
}

#[test]
fn a_kubeconfig_is_laid_out_as_kubeadm_serialises_it() {
    for Renewal { fixture, before, kubeadm, ours, .. } in RENEWALS.iter() {
        for path in changed(before, ours).iter().filter(|path| path.as_str().ends_with(".conf")) {
            let lines = |tree: &MemoryTree| without_values(tree.read_file(path.as_str()));
            assert_eq!(lines(ours), lines(kubeadm), "{fixture} {path}");
        }
    }
}

#[test]
fn every_key_belongs_to_its_certificate_and_every_certificate_to_its_authority() {
    for renewal in RENEWALS.iter() {
        let inventory = renewal.ours.inventory();
        for slot in &renewal.renewed {
            let credential = inventory.credential(*slot).unwrap();
            assert_eq!(credential.key_matches(), Some(true), "{} {slot}", renewal.fixture);
            assert_eq!(
                credential.chain(),
                slot.issuer().map(ChainFact::Signed).as_ref(),
                "{} {slot}",
                renewal.fixture
            );
        }
    }
}

#[test]
fn no_serial_number_occurs_twice() {
    for renewal in RENEWALS.iter() {
        let inventories = [renewal.before.inventory(), renewal.ours.inventory()];
        let renewed: BTreeSet<Place> = renewal.renewed.iter().copied().map(Place::Slot).collect();
        let serials = inventories
            .iter()
            .flat_map(Inventory::credentials)
            .filter(|(place, _)| renewed.contains(place))
            .map(|(_, credential)| credential.leaf().unwrap().serial().clone());
        assert_eq!(serials.collect::<BTreeSet<_>>().len(), 2 * renewed.len(), "{}", renewal.fixture);
    }
}

#[test]
fn new_keys_are_of_the_old_kind_and_in_kubeadms_form() {
    // Five keys are made in the tree with an external authority, where RSA costs the most time.
    for (name, key_type, encoding, label) in [
        ("kubeadm-v136-external-ca", KeyType::Rsa { bits: 2048 }, KeyEncoding::Pkcs1, "RSA PRIVATE KEY"),
        ("kubeadm-v136-ecdsa-p256", KeyType::EcdsaP256, KeyEncoding::Sec1, "EC PRIVATE KEY"),
    ] {
        let before = Fixture::named(name).tree();
        let mut tree = before.clone();
        let request = PlanRequest::with_selection(Selection::All);
        tree.renew(&request, at("2026-11-22T00:05:00Z"), &mut Seeded::provider(1));
        for path in changed(&before, &tree).iter().filter(|path| path.as_str().ends_with(".key")) {
            let key = tree.private_key(path.as_str());
            assert_eq!((key.key_type(), key.encoding()), (key_type.clone(), encoding), "{name} {path}");
            let first = format!("-----BEGIN {label}-----\n");
            assert!(tree.read_file(path.as_str()).starts_with(first.as_bytes()), "{name} {path}");
            assert_ne!(tree.read_file(path.as_str()), before.read_file(path.as_str()), "{name} {path}");
        }
    }
}

#[test]
fn the_kubelets_certificate_is_the_kubelets_affair() {
    for Renewal { fixture, renewed, .. } in RENEWALS.iter() {
        let kubelet: Slot = "kubelet.conf".parse().unwrap();
        assert!(!renewed.contains(&kubelet), "{fixture}");
    }
}

/// Returns the files whose content differs.
fn changed(before: &MemoryTree, after: &MemoryTree) -> BTreeSet<TreePath> {
    let contents = |tree: &MemoryTree| -> BTreeMap<TreePath, Vec<u8>> {
        tree.files().map(|(path, content, _)| (path.clone(), content.to_vec())).collect()
    };
    let (before, after) = (contents(before), contents(after));
    let paths: BTreeSet<&TreePath> = before.keys().chain(after.keys()).collect();
    paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

/// Returns the lines of a kubeconfig, those of the client certificate and key without their values.
fn without_values(kubeconfig: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(kubeconfig).unwrap();
    let line = |line: &str| match line.split_once("-data: ") {
        Some((key, _)) if key.trim_start().starts_with("client-") => format!("{key}-data: …"),
        _ => line.to_owned(),
    };
    text.split('\n').map(line).collect()
}

//! Requests for certificates, held against those that real kubeadm made.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use kubecerts_core::catalog::{CaSlot, LeafSlot, Slot};
use kubecerts_core::issue::external::{
    LeftOut, RequestManifest, RequestSet, WantedCertificate, make_requests, request_files,
    wanted_certificates,
};
use kubecerts_core::plan::{ClusterIntent, EtcdIntent, PlanRequest, Selection};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{AlternativeName, CertificateRequest, KeyAlgorithm, PrivateKey, SignatureVerdict};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at};

const NOW: &str = "2026-11-22T12:00:00Z";

/// The fixtures with requests that `kubeadm certs generate-csr` made.
const WITH_REQUESTS: [(&str, KeyAlgorithm); 3] = [
    ("kubeadm-v136-rsa2048", KeyAlgorithm::Rsa2048),
    ("kubeadm-v136-ecdsa-p256", KeyAlgorithm::EcdsaP256),
    ("kubeadm-v136-external-ca", KeyAlgorithm::Rsa2048),
];

/// What the configuration of these fixtures says.
fn intent(algorithm: KeyAlgorithm) -> ClusterIntent {
    let mut intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    intent.endpoint = Some("k8s-api.example.internal:6443".parse().unwrap());
    intent.api_server_names = vec![
        AlternativeName::Dns("k8s.example.internal".to_owned()),
        AlternativeName::Ip([10, 0, 0, 100].into()),
    ];
    intent.algorithm = algorithm;
    intent
}

fn wanted(tree: &MemoryTree, intent: Option<&ClusterIntent>) -> Vec<WantedCertificate> {
    let request = PlanRequest::with_selection(Selection::All);
    wanted_certificates(&tree.inventory(), intent, &request, at(NOW)).unwrap().certificates
}

fn requests(tree: &MemoryTree, intent: Option<&ClusterIntent>) -> RequestSet {
    make_requests(&wanted(tree, intent), &tree.inventory(), at(NOW), &mut Seeded::provider(1)).unwrap()
}

fn file<'a>(set: &'a RequestSet, name: &str) -> &'a [u8] {
    let found = set.files.iter().find(|file| file.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).content.secret_bytes()
}

fn extensions(request: &CertificateRequest) -> BTreeMap<&str, (bool, &[u8])> {
    let found = request.extensions().iter();
    found.map(|extension| (extension.name.as_str(), (extension.critical, &*extension.value))).collect()
}

/// kubeadm makes them all anew from the configuration; here they come from the certificates, or from the same configuration.
#[test]
fn requests_are_kubeadms_attribute_for_attribute() {
    for (name, algorithm) in WITH_REQUESTS {
        let fixture = Fixture::named(name);
        let intent = intent(algorithm);
        for set in [requests(&fixture.tree(), None), requests(&MemoryTree::default(), Some(&intent))] {
            let mut compared = 0;
            for (slot, key, request) in request_files() {
                let theirs = CertificateRequest::parse(&fixture.request(&request).unwrap()).unwrap();
                let ours = CertificateRequest::parse(file(&set, &request)).unwrap();
                assert_eq!(ours.version(), theirs.version());
                assert_eq!(ours.subject().as_der(), theirs.subject().as_der(), "{slot}");
                assert_eq!(ours.public_key().key_type(), theirs.public_key().key_type());
                assert_eq!(ours.signature_algorithm(), theirs.signature_algorithm());
                assert_eq!(*ours.verdict(), SignatureVerdict::Valid);
                let (mut ours_asked, theirs_asked) = (extensions(&ours), extensions(&theirs));
                assert_eq!(ours_asked.get("subjectAltName"), theirs_asked.get("subjectAltName"), "{slot}");
                // Besides kubeadm's, those of the profile and no others.
                ours_asked.remove("subjectAltName");
                let more: Vec<_> = ours_asked.into_keys().collect();
                assert_eq!(more, ["basicConstraints", "extKeyUsage", "keyUsage"], "{slot}");
                let place = match slot {
                    Slot::Kubeconfig(kubeconfig) => format!("/etc/kubernetes/{kubeconfig}"),
                    _ => format!("/etc/kubernetes/{}", key.replace(".key", ".crt")),
                };
                let inventory = fixture.tree().inventory();
                let issued = inventory.credential(slot).unwrap().leaf().unwrap_or_else(|| panic!("{place}"));
                assert_eq!(ours.key_usages(), issued.key_usages(), "{slot}");
                assert_eq!(ours.extended_key_usages(), issued.extended_key_usages(), "{slot}");
                let secret = PrivateKey::parse(file(&set, &key)).unwrap();
                assert_eq!(secret.public_key(), *ours.public_key());
                compared += 1;
            }
            assert_eq!(compared, 12);
            assert_eq!(set.files.len(), 24);
        }
    }
}

#[test]
fn the_manifest_says_what_a_request_does_not() {
    let tree = Fixture::named("kubeadm-v136-external-ca").tree();
    let set = requests(&tree, None);
    let text = set.manifest.to_json();
    assert_eq!(RequestManifest::from_json(&text), Ok(set.manifest.clone()));
    assert_eq!(RequestManifest::from_json(&text.replace('\n', "\r\n")), Ok(set.manifest.clone()));
    assert!(!text.contains("PRIVATE"));
    let server = set.manifest.request(Slot::Leaf(LeafSlot::EtcdServer)).unwrap();
    assert_eq!(server.wanted.issuer, CaSlot::Etcd);
    assert_eq!(server.wanted.lifetime, Seconds::from_days(365));
    let authority = tree.certificate("/etc/kubernetes/pki/etcd/ca.crt");
    assert_eq!(server.issuer.as_ref().unwrap().fingerprint, authority.fingerprint());
    let key = PrivateKey::parse(file(&set, "pki/etcd/server.key")).unwrap();
    assert_eq!(server.public_key, key.public_key().fingerprint());
}

#[test]
fn a_manifest_cannot_name_files_or_slots_of_its_own() {
    let text = requests(&TreeBuilder::kubeadm().build(), None).manifest.to_json();
    for (from, to) in [
        ("\"pki/apiserver.key\"", "\"../../etc/shadow\""),
        ("\"pki/apiserver.csr\"", "\"/etc/passwd\""),
        ("\"slot\": \"apiserver\"", "\"slot\": \"ca\""),
        ("\"slot\": \"apiserver\"", "\"slot\": \"pki/apiserver\""),
        ("\"slot\": \"apiserver\"", "\"slot\": \"admin.conf\""),
        ("\"CA:FALSE\"", "\"CA:TRUE\""),
        ("\"lifetimeSeconds\": 31536000", "\"lifetimeSeconds\": -1"),
        ("\"lifetimeSeconds\": 31536000", "\"lifetimeSeconds\": 1e99"),
        ("\"text\": \"CN = kube-apiserver\"", "\"text\": \"CN = somebody\""),
        ("\"renews\": true", "\"renews\": true, \"more\": 1"),
        ("\"kubecerts.dev/v1\"", "\"kubecerts.dev/v2\""),
        ("\"CertificateRequests\"", "\"Plan\""),
        ("\"digitalSignature\"", "\"everything\""),
        ("DNS:cp-1", "DNS:"),
        ("ECDSA-P256", "RSA-512"),
    ] {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from}");
        assert!(RequestManifest::from_json(&edited).is_err(), "{from} → {to}");
    }
    for length in 0..text.len() - 1 {
        assert!(RequestManifest::from_json(&text[..length]).is_err());
    }
}

#[test]
fn nothing_is_asked_of_the_authority_of_an_external_etcd() {
    let tree = Fixture::named("kubeadm-v136-external-etcd").tree();
    let of_etcd = |certificates: &[WantedCertificate]| {
        certificates.iter().filter(|wanted| wanted.issuer == CaSlot::Etcd).count()
    };
    // kubeadm leaves even this one to the administrator, but it is there.
    let found = wanted(&tree, None);
    let etcd_client = Slot::Leaf(LeafSlot::ApiServerEtcdClient);
    assert!(found.iter().all(|wanted| wanted.issuer != CaSlot::Etcd || wanted.slot == etcd_client));
    let mut intent = intent(KeyAlgorithm::EcdsaP256);
    intent.etcd = EtcdIntent::External;
    let found = wanted(&MemoryTree::default(), Some(&intent));
    assert_eq!((found.len(), of_etcd(&found)), (8, 0));
}

#[test]
fn what_cannot_be_asked_for_has_a_reason() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.remove("/etc/kubernetes/super-admin.conf");
    tree.edit("/etc/kubernetes/pki/apiserver.crt", |content| content.truncate(40));
    let mut request = PlanRequest::with_selection(Selection::All);
    let found = wanted_certificates(&tree.inventory(), None, &request, at("2026-06-01T00:00:00Z")).unwrap();
    let left: BTreeMap<_, _> =
        found.left_out.iter().map(|(slot, reason)| (slot.name(), reason.is_failure())).collect();
    assert_eq!(left, BTreeMap::from([("apiserver", true), ("super-admin.conf", false)]));
    let named = Selection::Named(BTreeSet::from([Slot::Ca(CaSlot::Cluster), Slot::KubeletClient]));
    let named = PlanRequest::with_selection(named);
    let found = wanted_certificates(&tree.inventory(), None, &named, at(NOW)).unwrap();
    assert!(found.certificates.is_empty());
    assert!(found.left_out.iter().all(|(_, reason)| *reason == LeftOut::NotRequestable));
    request.insist_on_lifetime(Seconds(0));
    assert!(wanted_certificates(&tree.inventory(), None, &request, at(NOW)).is_err());
}

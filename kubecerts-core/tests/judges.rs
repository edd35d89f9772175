//! Renewed certificates in the eyes of other people's code: webpki, which compares names byte for byte as Go does, and
//! OpenSSL, which reads what it is given in more forms.
//!
//! webpki and OpenSSL refuse nothing of what kubeadm itself issued (its authorities carry alternative names, and those
//! of 1.20 the serial number 0), so no allowance is made for anything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "OpenSSL reads files")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kubecerts_core::catalog::{CaSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::x509::{DistinguishedName, KeyAlgorithm, Purpose, encode_certificate};
use kubecerts_testkit::judge::{Pair, openssl, openssl_is_missing};
use kubecerts_testkit::{BorrowedKeys, FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at};
use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage};

/// A moment at which every authority of the fixtures and of the builder is valid, and every renewal too.
const NOW: &str = "2026-11-22T00:06:00Z";

/// Every tree after renewal, with a name that is good for a directory.
static RENEWED: LazyLock<Vec<(String, MemoryTree)>> = LazyLock::new(|| {
    let all = PlanRequest::with_selection(Selection::All);
    let of_kubeadm = FIXTURES.into_iter().filter_map(|name| {
        let kubeadm = Fixture::named(name).renewed()?;
        let mut tree = Fixture::named(name).tree();
        tree.renew(&all, at(NOW), &mut BorrowedKeys::of(&kubeadm));
        Some((name.to_owned(), tree))
    });
    let of_ours = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384].map(|algorithm| {
        let mut tree = TreeBuilder::kubeadm().algorithm(algorithm).build();
        tree.renew(&all, at(NOW), &mut Seeded::provider(2));
        (format!("builder-{algorithm}"), tree)
    });
    of_kubeadm.chain(of_ours).collect()
});

#[test]
fn webpki_accepts_what_kubeadm_issued() {
    for name in FIXTURES.into_iter().filter(|name| Fixture::named(name).renewed().is_some()) {
        for pair in Pair::all_of(&Fixture::named(name).tree()) {
            assert_eq!(pair.ask_webpki(at(NOW)), Ok(()), "{name} {}", pair.slot);
        }
    }
}

#[test]
fn webpki_accepts_every_renewed_certificate_for_every_purpose_it_names() {
    for (name, tree) in RENEWED.iter() {
        for pair in Pair::all_of(tree) {
            assert_eq!(pair.ask_webpki(at(NOW)), Ok(()), "{name} {}", pair.slot);
        }
    }
}

#[test]
fn webpki_refuses_a_renewed_client_as_a_server() {
    let (_, tree) = RENEWED.last().unwrap();
    let client = Pair::all_of(tree).into_iter().find(|pair| pair.slot == ADMIN).unwrap();
    let usage = KeyUsage::server_auth();
    let verdict = client.verify_with_webpki(usage, at(NOW));
    assert!(matches!(verdict, Err(webpki::Error::RequiredEkuNotFoundContext(_))), "{verdict:?}");
}

#[test]
fn webpki_accepts_the_api_server_under_each_of_its_names() {
    for (name, tree) in RENEWED.iter() {
        let pair =
            Pair::all_of(tree).into_iter().find(|pair| pair.slot == Slot::Leaf(LeafSlot::ApiServer)).unwrap();
        let der = CertificateDer::from(pair.certificate.as_der());
        let certificate = EndEntityCert::try_from(&der).unwrap();
        for server in ["kubernetes.default.svc.cluster.local", "cp-1", "192.168.10.11", "10.96.0.1"] {
            let server = rustls_pki_types::ServerName::try_from(server).unwrap();
            assert_eq!(certificate.verify_is_valid_for_subject_name(&server), Ok(()), "{name} {server:?}");
        }
    }
}

#[test]
fn webpki_refuses_a_leaf_whose_issuer_is_spelled_in_another_string_type() {
    let tree = tree_with_utf8_authority();
    let verdict = Pair::all_of(&tree)[0].ask_webpki(at(NOW));
    assert!(matches!(verdict, Err(webpki::Error::UnknownIssuer)), "{verdict:?}");
}

#[test]
fn webpki_accepts_what_an_authority_in_utf8_issues() {
    let mut tree = tree_with_utf8_authority();
    tree.renew(&PlanRequest::with_selection(Selection::All), at(NOW), &mut Seeded::provider(2));
    for pair in Pair::all_of(&tree).iter().filter(|pair| pair.slot != KUBELET) {
        assert_eq!(pair.ask_webpki(at(NOW)), Ok(()), "{}", pair.slot);
    }
}

#[test]
fn the_issuer_of_a_leaf_is_the_subject_of_its_authority_byte_for_byte() {
    let mut tree = tree_with_utf8_authority();
    tree.renew(&PlanRequest::with_selection(Selection::All), at(NOW), &mut Seeded::provider(2));
    assert_eq!(
        tree.certificate("/etc/kubernetes/pki/apiserver.crt").issuer().as_der(),
        CN_KUBERNETES_IN_UTF8
    );
}

#[test]
fn openssl_verifies_every_renewed_certificate_for_every_purpose_it_names() {
    if openssl_is_missing() {
        return;
    }
    for (name, tree) in RENEWED.iter() {
        let directory = written("verify", name, tree);
        for (ca, purpose, option) in CaSlot::ALL
            .into_iter()
            .flat_map(|ca| [(ca, Purpose::SERVER_AUTH, "sslserver"), (ca, Purpose::CLIENT_AUTH, "sslclient")])
        {
            let named = |pair: &Pair| {
                let purposes = pair.certificate.extended_key_usages();
                pair.slot.issuer() == Some(ca) && purposes.as_slice().contains(&purpose)
            };
            let files: Vec<String> =
                Pair::all_of(tree).iter().filter(|pair| named(pair)).map(file_name).collect();
            if files.is_empty() {
                continue;
            }
            let (moment, authority) = (at(NOW).unix().to_string(), format!("{ca}.pem"));
            let mut arguments = vec!["verify", "-attime", &moment, "-purpose", option, "-CAfile", &authority];
            arguments.extend(files.iter().map(String::as_str));
            let expected: String = files.iter().map(|file| format!("{file}: OK\n")).collect();
            assert_eq!(openssl(&directory, &arguments), expected, "{name}");
        }
    }
}

#[test]
fn openssl_shows_every_renewed_certificate_with_its_names() {
    if openssl_is_missing() {
        return;
    }
    // One tree of each kind is enough to be read: the others differ in keys and dates.
    let kinds = ["kubeadm-v120-rsa", "kubeadm-v136-rsa2048", "builder-ECDSA-P384"];
    for (name, tree) in RENEWED.iter().filter(|(name, _)| kinds.contains(&name.as_str())) {
        let directory = written("show", name, tree);
        for pair in Pair::all_of(tree) {
            let text = openssl(&directory, &["x509", "-in", &file_name(&pair), "-noout", "-text"]);
            let common_name = pair.certificate.subject().common_name().unwrap();
            assert!(text.contains(&format!("CN = {common_name}")), "{name} {}: {text}", pair.slot);
            for alternative_name in pair.certificate.alternative_names().as_slice() {
                // OpenSSL writes IPv6 addresses and the kind of an address in its own way.
                let shown = alternative_name.to_string().replace("IP:", "IP Address:");
                let shown = shown.replace("Address:::1", "Address:0:0:0:0:0:0:0:1");
                assert!(text.contains(&shown), "{name} {}: {shown} in {text}", pair.slot);
            }
        }
    }
}

#[test]
fn openssl_finds_every_new_key_sound_and_belonging_to_its_certificate() {
    if openssl_is_missing() {
        return;
    }
    // In the other trees the keys are kubeadm's.
    for (name, tree) in RENEWED.iter().filter(|(name, _)| name.starts_with("builder")) {
        let directory = written("keys", name, tree);
        for pair in Pair::all_of(tree) {
            let of_certificate =
                openssl(&directory, &["x509", "-in", &file_name(&pair), "-noout", "-pubkey"]);
            let key = format!("{}.key", pair.slot);
            let of_key = openssl(&directory, &["pkey", "-in", &key, "-check", "-pubout"]);
            assert_eq!(of_key, format!("Key is valid\n{of_certificate}"), "{name} {}", pair.slot);
        }
    }
}

#[test]
fn openssl_finds_a_new_rsa_key_sound_and_belonging_to_its_certificate() {
    if openssl_is_missing() {
        return;
    }
    let mut tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let client = Slot::Leaf(LeafSlot::FrontProxyClient);
    let request = PlanRequest::with_selection(Selection::Named([client].into()));
    tree.renew(&request, at(NOW), &mut Seeded::provider(3));
    let directory = written("rsa-key", "kubeadm-v136-rsa2048", &tree);
    let of_certificate = openssl(&directory, &["x509", "-in", "front-proxy-client.pem", "-noout", "-pubkey"]);
    let of_key = openssl(&directory, &["pkey", "-in", "front-proxy-client.key", "-check", "-pubout"]);
    assert_eq!(of_key, format!("Key is valid\n{of_certificate}"));
}

const ADMIN: Slot = Slot::Kubeconfig(KubeconfigSlot::Admin);
const KUBELET: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);

/// `CN=kubernetes` as a UTF8String, where kubeadm writes a PrintableString.
const CN_KUBERNETES_IN_UTF8: &[u8] = b"\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03\x0c\x0akubernetes";

/// Returns a tree whose cluster authority was made again, with its key, by software that writes every name in UTF-8.
fn tree_with_utf8_authority() -> MemoryTree {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key", |draft| {
        draft.subject = DistinguishedName::parse_der(CN_KUBERNETES_IN_UTF8).unwrap();
        draft.issuer = draft.subject.clone();
    });
    tree
}

/// Writes every certificate, key and authority of `tree` into a directory of its own, and returns it.
fn written(test: &str, name: &str, tree: &MemoryTree) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges").join(test).join(name);
    fs::create_dir_all(&directory).unwrap();
    let write = |file: String, content: &[u8]| fs::write(directory.join(file), content).unwrap();
    for pair in Pair::all_of(tree) {
        let issuer = pair.slot.issuer().unwrap();
        write(format!("{issuer}.pem"), encode_certificate(pair.authority.as_der()).as_bytes());
        write(file_name(&pair), encode_certificate(pair.certificate.as_der()).as_bytes());
        write(format!("{}.key", pair.slot), &pair.key);
    }
    directory
}

fn file_name(pair: &Pair) -> String {
    format!("{}.pem", pair.slot)
}

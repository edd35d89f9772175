//! A kubelet elsewhere gets its certificate from where the authority is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::NodeName;
use kubecerts_core::issue::{
    BootstrapError, BootstrapToken, ClientError, KeyPin, NodeError, Term, bootstrap_kubeconfig,
    node_certificate, node_credential, node_file, node_request,
};
use kubecerts_core::kubeconfig::{Kubeconfig, OtherCredential, Source};
use kubecerts_core::plan::Reason;
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{
    CertificateRequest, DistinguishedName, KeyAlgorithm, KeyUsages, PrivateKey, Purpose, SignatureVerdict,
    certificates, decode_blocks,
};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at};

const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn term() -> Term {
    Term { now: at("2026-06-01T00:00:00Z"), lifetime: Seconds::from_days(365) }
}

fn sign(
    tree: &MemoryTree,
    request: &[u8],
    node: &str,
) -> Result<kubecerts_core::x509::Certificate, NodeError> {
    let (snapshot, provider) = (tree.snapshot(), Seeded::provider(1));
    node_certificate(request, &name(node), &snapshot, term(), &mut Seeded::new(2), &provider)
}

#[test]
fn key_and_certificate_are_made_where_the_authority_is() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let tree = TreeBuilder::kubeadm().algorithm(algorithm).build();
        let snapshot = tree.snapshot();
        let made = node_credential(
            &name("worker-1"),
            &snapshot,
            term(),
            &mut Seeded::new(2),
            &mut Seeded::provider(3),
        )
        .unwrap();
        let certificate = &made.certificate;
        assert_eq!(
            certificate.subject(),
            &DistinguishedName::kubeadm("system:node:worker-1", &["system:nodes"])
        );
        assert_eq!(certificate.extended_key_usages().as_slice(), [Purpose::CLIENT_AUTH]);
        assert_eq!(certificate.key_usages(), Some(KeyUsages::SIGNATURE));
        assert_eq!(certificate.not_after(), at("2027-06-01T00:00:00Z"));
        let authority = tree.certificate(CA);
        assert_eq!(certificate.verify_signature(authority.public_key()), SignatureVerdict::Valid);
        let labels: Vec<String> = decode_blocks(made.file.secret_bytes())
            .into_iter()
            .map(|block| block.unwrap().label().to_owned())
            .collect();
        assert_eq!(labels, ["CERTIFICATE", "EC PRIVATE KEY"]);
        let key = PrivateKey::parse(made.file.secret_bytes()).unwrap();
        assert_eq!(&key.public_key(), certificate.public_key());
        assert!(!format!("{made:?}").contains("PRIVATE"));
        if algorithm != KeyAlgorithm::Rsa2048 {
            continue;
        }
        let capped = Term { lifetime: Seconds::from_days(36_500), ..term() };
        let mut provider = Seeded::provider(3);
        let made =
            node_credential(&name("a"), &snapshot, capped, &mut Seeded::new(2), &mut provider).unwrap();
        assert_eq!(made.certificate.not_after(), authority.not_after());
    }
}

#[test]
fn a_request_travels_and_its_key_does_not() {
    let tree = TreeBuilder::kubeadm().build();
    let asked = node_request(&name("worker-1"), &mut Seeded::provider(9)).unwrap();
    let request = CertificateRequest::parse(asked.request.as_bytes()).unwrap();
    assert_eq!(request.verdict(), &SignatureVerdict::Valid);
    assert!(request.extensions().is_empty());
    let certificate = sign(&tree, asked.request.as_bytes(), "worker-1").unwrap();
    assert_eq!(certificate.public_key(), request.public_key());

    let pem = kubecerts_core::x509::encode_certificate(certificate.as_der());
    let joined = node_file(pem.as_bytes(), asked.key.secret_bytes(), &name("worker-1")).unwrap();
    assert_eq!(certificates(joined.file.secret_bytes()).unwrap()[0].as_ref().unwrap(), &certificate);
    let other = node_request(&name("worker-1"), &mut Seeded::provider(10)).unwrap();
    let mixed = node_file(pem.as_bytes(), other.key.secret_bytes(), &name("worker-1"));
    assert_eq!(mixed.err(), Some(NodeError::OtherKey));
    let elsewhere = node_file(pem.as_bytes(), asked.key.secret_bytes(), &name("worker-2"));
    assert!(matches!(elsewhere.err(), Some(NodeError::Subject { .. })));
}

#[test]
fn a_request_for_anybody_else_is_refused() {
    let tree = TreeBuilder::kubeadm().build();
    let asked = node_request(&name("worker-1"), &mut Seeded::provider(9)).unwrap();
    let refused = sign(&tree, asked.request.as_bytes(), "worker-2").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the subject is O = system:nodes, CN = system:node:worker-1, not O = system:nodes, CN = system:node:worker-2"
    );
    // kubeadm's own requests: an administrator's, and a kubelet's with an RSA key.
    let fixture = Fixture::named("kubeadm-v136-rsa2048");
    let read = |file: &str| fixture.request(file).unwrap();
    assert!(matches!(sign(&tree, &read("admin.conf.csr"), "cp-1"), Err(NodeError::Subject { .. })));
    let certificate = sign(&tree, &read("kubelet.conf.csr"), "cp-1").unwrap();
    assert_eq!(certificate.key_usages(), Some(KeyUsages::LEAF));
    assert!(matches!(
        sign(&tree, &read("pki/apiserver.csr"), "cp-1"),
        Err(NodeError::Subject { .. } | NodeError::AlternativeNames(_))
    ));
}

#[test]
fn a_request_that_was_tampered_with_is_refused() {
    let tree = TreeBuilder::kubeadm().build();
    let asked = node_request(&name("worker-1"), &mut Seeded::provider(9)).unwrap();
    let blocks = decode_blocks(asked.request.as_bytes());
    let der = blocks[0].as_ref().unwrap().secret_bytes().to_vec();
    for position in 0..der.len() {
        let mut changed = der.clone();
        changed[position] ^= 1;
        if let Ok(certificate) = sign(&tree, &changed, "worker-1") {
            // Nothing but the request's own key is ever certified.
            let key = CertificateRequest::parse(&der).unwrap().public_key().clone();
            assert_eq!(certificate.public_key(), &key, "byte {position}");
        }
    }
    assert!(matches!(sign(&tree, b"", "worker-1"), Err(NodeError::Request(_))));
}

#[test]
fn without_the_authority_s_key_nothing_is_signed() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.remove(CA_KEY);
    let asked = node_request(&name("worker-1"), &mut Seeded::provider(9)).unwrap();
    let refused = sign(&tree, asked.request.as_bytes(), "worker-1");
    assert!(matches!(refused, Err(NodeError::Client(ClientError::Authority(Reason::ExternalAuthority(_))))));
}

#[test]
fn a_bootstrap_kubeconfig_trusts_the_pinned_authority_only() {
    let tree = TreeBuilder::kubeadm().build();
    let pin = KeyPin::new(tree.certificate(CA).public_key().fingerprint());
    assert_eq!(pin.to_string().parse(), Ok(pin));
    let token: BootstrapToken = "abcdef.0123456789abcdef".parse().unwrap();
    let server = "https://192.168.10.11:6443";
    let made = bootstrap_kubeconfig(server, tree.read_file(CA), &[pin], &token).unwrap();
    let parsed = Kubeconfig::parse(made.secret_bytes()).unwrap();
    let current = parsed.current().unwrap();
    assert_eq!(current.cluster.server(), Some(server));
    assert_eq!(current.cluster.certificate_authority(), &Source::Data(tree.read_file(CA).to_vec()));
    assert_eq!(current.user.other_credential(), Some(OtherCredential::Token));
    assert!(made.secret_bytes().ends_with(b"    token: abcdef.0123456789abcdef\n"));
    assert_eq!(format!("{token:?}"), "[secret]");

    let stranger = TreeBuilder::kubeadm().seed(2).build();
    let found = KeyPin::new(stranger.certificate(CA).public_key().fingerprint());
    let refused = bootstrap_kubeconfig(server, stranger.read_file(CA), &[pin], &token).unwrap_err();
    assert_eq!(refused.to_string(), format!("the authority's public key is {found}, not {pin}"));
    let both = [tree.read_file(CA), stranger.read_file(CA)].concat();
    assert_eq!(bootstrap_kubeconfig(server, &both, &[pin], &token).err(), Some(refused));
    assert!(bootstrap_kubeconfig(server, &both, &[pin, found], &token).is_ok());
    let plain = bootstrap_kubeconfig("http://a", tree.read_file(CA), &[pin], &token);
    assert_eq!(plain.err(), Some(BootstrapError::Server("http://a".to_owned())));
}

#[test]
fn tokens_and_pins_have_one_form() {
    for text in
        ["", "abcdef", "abcde.0123456789abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcde\n"]
    {
        assert!(text.parse::<BootstrapToken>().is_err(), "{text:?}");
    }
    for text in ["", "sha256:", "sha1:00", &format!("sha256:{}", "0".repeat(63))] {
        assert!(text.parse::<KeyPin>().is_err(), "{text:?}");
    }
}

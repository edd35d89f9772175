//! Certificates that nobody asked for, with keys from seeds.

use std::time::{SystemTime, UNIX_EPOCH};

use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{AlternativeName, AlternativeNames, DistinguishedName, PrivateKey};
use kubecerts_testkit::{Draft, MemoryTree, TreeBuilder};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Returns what controller-manager and scheduler make at their start: `localhost@SECOND` of `localhost-ca@SECOND`
/// (`k8s.io/client-go/util/cert`, `GenerateSelfSignedCertKey`).
pub(crate) fn of_now() -> CertifiedKey {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = i64::try_from(now.as_secs()).unwrap_or_default();
    // Two starts within a second differ all the same.
    let seed = now.as_secs() ^ u64::from(now.subsec_nanos()) << 32;
    let tree = tree(seed, Timestamp::from_unix(second));
    let name = |name: &str| DistinguishedName::kubeadm(&format!("{name}@{second}"), &[]);

    let mut authority = Draft::of(&tree.certificate(AUTHORITY));
    authority.subject = name("localhost-ca");
    authority.issuer = name("localhost-ca");
    let mut leaf = Draft::of(&tree.certificate(LEAF));
    leaf.subject = name("localhost");
    leaf.issuer = name("localhost-ca");
    leaf.alternative_names = AlternativeNames::new(vec![
        AlternativeName::Dns("localhost".to_owned()),
        AlternativeName::Ip([127, 0, 0, 1].into()),
    ]);
    let signer = tree.private_key(AUTHORITY_KEY);
    let chain = vec![leaf.signed_by(&signer), authority.signed_by(&signer)];
    certified(chain, &tree.private_key(LEAF_KEY))
}

/// Returns a tree of kubeadm's that was made an hour before `now`.
pub(crate) fn tree(seed: u64, now: Timestamp) -> MemoryTree {
    TreeBuilder::kubeadm().seed(seed).made(now.minus(Seconds::from_hours(1))).build()
}

/// Returns `chain` with its key, ready for TLS.
pub(crate) fn certified(chain: Vec<Vec<u8>>, key: &PrivateKey) -> CertifiedKey {
    let key = PrivatePkcs8KeyDer::from(key.secret_pkcs8_der().secret_bytes().to_vec());
    let signing = ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key)).expect("ring knows P-256");
    CertifiedKey::new(chain.into_iter().map(CertificateDer::from).collect(), signing)
}

pub(crate) const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";
pub(crate) const AUTHORITY_KEY: &str = "/etc/kubernetes/pki/ca.key";
pub(crate) const LEAF: &str = "/etc/kubernetes/pki/apiserver.crt";
pub(crate) const LEAF_KEY: &str = "/etc/kubernetes/pki/apiserver.key";

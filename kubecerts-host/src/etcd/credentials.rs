//! What TLS needs of a member's credentials: nothing but the bytes that were given is trusted or shown.

use std::sync::Arc;

use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{self, PrivateKey};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, InconsistentKeys, RootCertStore};

use super::{EtcdError, EtcdMember};
use crate::system::now;

/// A client as TLS needs it.
pub(super) struct Client {
    pub(super) config: Arc<ClientConfig>,
    /// What is wrong with the dates of its certificate. A member refuses such a client and need not say why: the alert of
    /// older ones is `bad_certificate`.
    pub(super) flaw: Option<String>,
}

impl Client {
    /// Returns the client that asks `member`.
    pub(super) fn of(member: &EtcdMember) -> Result<Self, EtcdError> {
        Ok(Self { config: Arc::new(client_config(member)?), flaw: flaw(&member.certificate, now()) })
    }
}

/// Returns what is wrong with the dates of the first certificate in `pem`.
fn flaw(pem: &[u8], now: Timestamp) -> Option<String> {
    let certificate = x509::certificates(pem).ok()?.into_iter().next()?.ok()?;
    if certificate.not_after() < now {
        Some(format!("the client's own certificate expired {}", certificate.not_after()))
    } else if certificate.not_before() > now {
        Some(format!("the client's own certificate is not valid before {}", certificate.not_before()))
    } else {
        None
    }
}

/// Returns the configuration of a client that trusts the member's authority only and shows the member's client certificate.
fn client_config(member: &EtcdMember) -> Result<ClientConfig, EtcdError> {
    let EtcdMember { endpoint, authority, certificate, key } = member;
    let unusable = |what: &str, why: &dyn ToString| EtcdError::Credentials {
        endpoint: endpoint.clone(),
        detail: format!("{what}: {}", why.to_string()),
    };

    let mut roots = RootCertStore::empty();
    for root in certificates(authority).map_err(|why| unusable(AUTHORITY, &why))? {
        roots.add(root).map_err(|error| unusable(AUTHORITY, &error))?;
    }
    let chain = certificates(certificate).map_err(|why| unusable(CERTIFICATE, &why))?;

    // Both of these are wiped; what ring makes of them is its own.
    let key = PrivateKey::parse(key.secret_bytes()).map_err(|damage| unusable(KEY, &damage))?;
    let der = key.secret_pkcs8_der();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.secret_bytes()));
    let signer = ring::sign::any_supported_type(&der).map_err(|error| unusable(KEY, &error))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        // Whether they match cannot be told for every kind of key; the member will.
        Ok(()) | Err(tokio_rustls::rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error) => return Err(unusable(CERTIFICATE, &error)),
    }

    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for every version of TLS")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Returns the certificates in `pem`, of which there is at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

const AUTHORITY: &str = "the authority";
const CERTIFICATE: &str = "the client certificate";
const KEY: &str = "the client's key";

#[cfg(test)]
mod tests {
    use kubecerts_core::secret::SecretBytes;
    use kubecerts_testkit::{MemoryTree, TreeBuilder, at};

    use super::*;

    /// Returns why the three files of `tree` cannot be used, or an empty text.
    fn complaint(tree: &MemoryTree, files: [&str; 3]) -> String {
        let [authority, certificate, key] =
            files.map(|name| tree.read_file(&format!("/etc/kubernetes/pki/etcd/{name}")).to_vec());
        let member = EtcdMember::new("https://127.0.0.1:2379", authority, certificate, SecretBytes::new(key));
        client_config(&member).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn kubeadms_client_can_be_used() {
        let tree = TreeBuilder::kubeadm().build();
        let files = ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"];
        assert_eq!(complaint(&tree, files), "");
    }

    #[test]
    fn a_client_outside_its_validity_says_so() {
        let tree = TreeBuilder::kubeadm().made(at("2026-01-01T00:00:00Z")).build();
        let pem = tree.read_file("/etc/kubernetes/pki/etcd/healthcheck-client.crt");
        let flaw = |moment| flaw(pem, at(moment)).unwrap_or_default();
        assert_eq!(flaw("2026-06-01T00:00:00Z"), "");
        assert_eq!(flaw("2027-06-01T00:00:00Z"), "the client's own certificate expired 2027-01-01T00:00:00Z");
        assert_eq!(
            flaw("2025-06-01T00:00:00Z"),
            "the client's own certificate is not valid before 2025-12-31T23:55:00Z"
        );
    }

    #[test]
    fn each_file_that_cannot_be_used_is_named() {
        let tree = TreeBuilder::kubeadm().build();
        let start = "the credentials for https://127.0.0.1:2379 cannot be used: ";
        for (files, expected) in [
            (["ca.key", "peer.crt", "peer.key"], "the authority: holds no certificate in PEM"),
            (["ca.crt", "peer.key", "peer.key"], "the client certificate: holds no certificate in PEM"),
            (
                ["ca.crt", "peer.crt", "server.key"],
                "the client certificate: keys may not be consistent: KeyMismatch",
            ),
            (["ca.crt", "peer.crt", "peer.crt"], "the client's key: holds no private key in PEM"),
        ] {
            assert_eq!(complaint(&tree, files), format!("{start}{expected}"));
        }
    }
}

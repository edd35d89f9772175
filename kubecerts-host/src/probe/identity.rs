//! Who the probe says it is, where a program answers only to those whom it knows.

use std::fmt;
use std::sync::Arc;

use kubecerts_core::x509::{Certificate, Damage, PrivateKey, certificates};
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

/// A client certificate and its key, such as those of the API server for kubelets or of an administrator.
///
/// A server that is shown it learns the certificate, which is public, and gets a signature that is good for nothing but the
/// one connection.
pub struct ClientIdentity {
    certified: Arc<SingleCertAndKey>,
    leaf: Certificate,
}

impl ClientIdentity {
    /// Takes the certificates in the PEM `chain`, the client's own first, with the key of that one.
    ///
    /// Whether it is expired is not asked: who is shown it will say so.
    ///
    /// # Errors
    /// [`IdentityError`] when there is no certificate, one cannot be read, or the key is another one's.
    pub fn new(chain: &[u8], key: &PrivateKey) -> Result<Self, IdentityError> {
        let found = certificates(chain).and_then(|found| found.into_iter().collect::<Result<Vec<_>, _>>());
        let found = found.map_err(IdentityError::Certificate)?;
        let leaf = found.first().ok_or(IdentityError::Certificate(Damage::Empty))?.clone();
        if *leaf.public_key() != key.public_key() {
            return Err(IdentityError::Mismatch);
        }
        // The bytes are wiped; what ring makes of them is its own.
        let der = key.secret_pkcs8_der();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.secret_bytes()));
        let signer =
            ring::sign::any_supported_type(&der).map_err(|error| IdentityError::Key(error.to_string()))?;
        let chain =
            found.iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec())).collect();
        Ok(Self { certified: Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signer))), leaf })
    }

    /// Returns the client's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.leaf
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::<SingleCertAndKey>::clone(&self.certified)
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdentity({}, [secret])", self.leaf.subject())
    }
}

/// Why a client certificate and a key make no identity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no client certificate, or it cannot be read.
    #[error("the client certificate cannot be used")]
    Certificate(#[source] Damage),
    /// The key is of a kind that TLS here has no use for.
    #[error("the client's key cannot be used: {0}")]
    Key(String),
    /// The key is that of another certificate.
    #[error("the key does not belong to the client certificate")]
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubecerts_testkit::TreeBuilder;

    const KUBELET_CLIENT: &str = "/etc/kubernetes/pki/apiserver-kubelet-client";

    #[test]
    fn a_pair_makes_an_identity_that_shows_nothing_of_its_key() {
        let tree = TreeBuilder::kubeadm().build();
        let key = tree.private_key(&format!("{KUBELET_CLIENT}.key"));
        let identity = ClientIdentity::new(tree.read_file(&format!("{KUBELET_CLIENT}.crt")), &key).unwrap();
        let shown = format!("{identity:?}");
        assert!(shown.contains("kube-apiserver-kubelet-client") && shown.ends_with("[secret])"), "{shown}");
    }

    #[test]
    fn what_is_no_pair_makes_no_identity() {
        let tree = TreeBuilder::kubeadm().build();
        let key = tree.private_key(&format!("{KUBELET_CLIENT}.key"));
        let of = |chain: &str| ClientIdentity::new(tree.read_file(chain), &key).unwrap_err();
        assert_eq!(of("/etc/kubernetes/pki/apiserver.crt"), IdentityError::Mismatch);
        assert!(matches!(of("/etc/kubernetes/pki/apiserver.key"), IdentityError::Certificate(_)));
        assert_eq!(ClientIdentity::new(b"", &key).unwrap_err(), IdentityError::Certificate(Damage::Empty));
    }
}

//! The client certificate of a kubelet elsewhere, for a node whose own has expired and that does not hold the authority's key.
//!
//! There are two ways. [`node_credential`] makes key and certificate where the authority is, and both travel. With
//! [`node_request`] the key is made on the node and never leaves it: the request travels to the authority, where
//! [`node_certificate`] checks and signs it, and the certificate travels back to [`node_file`].

use std::collections::BTreeSet;

use super::client::{Client, ClientError, Term, new_key, one};
use super::contents::certificate_and_key;
use super::{IssueError, IssuerKey, KeySource, Signer, SigningRequest};
use crate::catalog::{CaSlot, NodeName, Slot};
use crate::plan::{KUBELET_KEY, kubelet_subject, kubelet_usages};
use crate::provider::Entropy;
use crate::secret::SecretBytes;
use crate::snapshot::Snapshot;
use crate::x509::{
    Certificate, CertificateRequest, Damage, KeyType, PrivateKey, PublicKey, SignatureVerdict, assemble,
    certificates, encode_certificate, encode_request, request_to_be_signed, verify,
};

/// A kubelet's client certificate with its key.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeCredential {
    /// The content of `kubelet-client-current.pem`: the certificate, then the key.
    pub file: SecretBytes,
    /// The certificate.
    pub certificate: Certificate,
}

/// A new key and a request for its certificate.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeRequest {
    /// The private key in PEM, which stays on the node.
    pub key: SecretBytes,
    /// The request in PEM, which is public.
    pub request: String,
}

/// Makes a key and a certificate for the kubelet of the node `name`, signed by the cluster's authority in `snapshot`.
///
/// # Errors
/// [`NodeError`] when the authority cannot sign here, or the provider fails or answers wrongly.
pub fn node_credential<P: KeySource + Signer + ?Sized>(
    name: &NodeName,
    snapshot: &Snapshot,
    term: Term,
    entropy: &mut dyn Entropy,
    provider: &mut P,
) -> Result<NodeCredential, NodeError> {
    let key = new_key(SLOT, KUBELET_KEY, provider).map_err(ClientError::from)?;
    let certificate = issue(name, &key.public_key(), snapshot, term, entropy, provider)?;
    let file = certificate_and_key(&encode_certificate(certificate.as_der()), &key);
    Ok(NodeCredential { file, certificate })
}

/// Checks the request of the node `name`, in PEM or DER, and signs it with the cluster's authority in `snapshot`.
///
/// Of the request nothing but the key is copied. Its subject must be that of the kubelet of `name` and nothing else, so that
/// who carries a wrong file learns of it.
///
/// # Errors
/// [`NodeError`] when the request is not that of `name`, or the authority cannot sign here.
pub fn node_certificate<S: Signer + ?Sized>(
    request: &[u8],
    name: &NodeName,
    snapshot: &Snapshot,
    term: Term,
    entropy: &mut dyn Entropy,
    signer: &S,
) -> Result<Certificate, NodeError> {
    let request = CertificateRequest::parse(request).map_err(NodeError::Request)?;
    match request.verdict() {
        SignatureVerdict::Valid => {}
        SignatureVerdict::Invalid => return Err(NodeError::NotSignedByItself),
        SignatureVerdict::Unsupported(kind) => return Err(NodeError::UnsupportedKey(kind.clone())),
    }
    let expected = kubelet_subject(name);
    // The values count and not how they are encoded: OpenSSL and Go differ in that.
    let sorted = |attributes: &[_]| -> BTreeSet<_> { attributes.iter().cloned().collect() };
    let found = request.subject().attributes();
    if found.len() != expected.attributes().len() || sorted(found) != sorted(expected.attributes()) {
        let (expected, found) = (expected.to_string(), request.subject().to_string());
        return Err(NodeError::Subject { expected, found });
    }
    if !request.alternative_names().is_empty() {
        let names: Vec<String> = request.alternative_names().texts().collect();
        return Err(NodeError::AlternativeNames(names.join(", ")));
    }
    let key = request.public_key();
    match key.key_type() {
        KeyType::Rsa { bits: 2048..=8192 } | KeyType::EcdsaP256 | KeyType::EcdsaP384 => {}
        other => return Err(NodeError::UnsupportedKey(other.to_string())),
    }
    issue(name, key, snapshot, term, entropy, signer)
}

/// Makes a key for the kubelet of the node `name`, and a request for its certificate.
///
/// # Errors
/// [`NodeError`] when the provider fails or answers wrongly.
pub fn node_request<P: KeySource + Signer + ?Sized>(
    name: &NodeName,
    provider: &mut P,
) -> Result<NodeRequest, NodeError> {
    let key = new_key(SLOT, KUBELET_KEY, provider).map_err(ClientError::from)?;
    let public_key = key.public_key();
    let message =
        request_to_be_signed(&kubelet_subject(name), &public_key, None).map_err(ClientError::Encoding)?;
    let algorithm = key.signature_algorithm();
    // A request is signed by the key that it is for.
    let own = IssuerKey { ca: CaSlot::Cluster, public_key: &public_key, private_key: Some(&key) };
    let signature =
        one(provider.sign(&[SigningRequest { slot: SLOT, issuer: own, algorithm, message: &message }]))
            .map_err(ClientError::from)?;
    if verify(&public_key, algorithm, &message, signature.as_bytes()) != SignatureVerdict::Valid {
        return Err(ClientError::from(IssueError::WrongSignature { slot: SLOT }).into());
    }
    let der = assemble(&message, algorithm, signature.as_bytes()).map_err(ClientError::Encoding)?;
    Ok(NodeRequest { key: key.secret_pem(), request: encode_request(&der) })
}

/// Joins a certificate that came back with the key that stayed, both in PEM.
///
/// # Errors
/// [`NodeError`] when either cannot be understood, they do not belong together, or the certificate is not that of the
/// kubelet of `name`.
pub fn node_file(certificate: &[u8], key: &[u8], name: &NodeName) -> Result<NodeCredential, NodeError> {
    let mut found = certificates(certificate).map_err(NodeError::Certificate)?;
    let certificate = found.swap_remove(0).map_err(NodeError::Certificate)?;
    let key = PrivateKey::parse(key).map_err(NodeError::Key)?;
    if key.public_key() != *certificate.public_key() {
        return Err(NodeError::OtherKey);
    }
    let expected = kubelet_subject(name);
    if *certificate.subject() != expected {
        let (expected, found) = (expected.to_string(), certificate.subject().to_string());
        return Err(NodeError::Subject { expected, found });
    }
    let file = certificate_and_key(&encode_certificate(certificate.as_der()), &key);
    Ok(NodeCredential { file, certificate })
}

/// Why there is no certificate for a node elsewhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The request cannot be understood.
    #[error("the request cannot be understood")]
    Request(#[source] Damage),
    /// The request is not signed with the key that it carries.
    #[error("the request is not signed with the key that it carries")]
    NotSignedByItself,
    /// The request or the certificate is of somebody else.
    #[error("the subject is {found}, not {expected}")]
    Subject {
        /// The kubelet's subject.
        expected: String,
        /// The subject that was found.
        found: String,
    },
    /// The request asks for alternative names, which a client does not have.
    #[error("the request asks for the alternative names {0}, which a client does not have")]
    AlternativeNames(String),
    /// The key is of a kind, or too small, to be certified here.
    #[error("a key {0} is not certified")]
    UnsupportedKey(String),
    /// The certificate cannot be understood.
    #[error("the certificate cannot be understood")]
    Certificate(#[source] Damage),
    /// The private key cannot be understood.
    #[error("the private key cannot be understood")]
    Key(#[source] Damage),
    /// The certificate is for another key.
    #[error("the certificate is for another key")]
    OtherKey,
    /// The certificate could not be issued.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Signs a certificate for the kubelet of `name` with the key `public_key`.
fn issue<S: Signer + ?Sized>(
    name: &NodeName,
    public_key: &PublicKey,
    snapshot: &Snapshot,
    term: Term,
    entropy: &mut dyn Entropy,
    provider: &S,
) -> Result<Certificate, NodeError> {
    let key_usages = kubelet_usages(public_key.key_type());
    let client = Client { slot: SLOT, subject: kubelet_subject(name), key_usages };
    Ok(client.certify(public_key, snapshot, term, entropy, provider)?)
}

const SLOT: Slot = Slot::KubeletClient;

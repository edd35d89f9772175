//! Keys, requests, and the record of what was asked for.

use super::wanted::{WantedCertificate, file_stem};
use crate::catalog::{CaSlot, Slot};
use crate::digest::Digest;
use crate::inventory::Inventory;
use crate::issue::{IssueError, IssuerKey, KeyReply, KeyRequest, KeySource, Signer, SigningRequest};
use crate::secret::SecretBytes;
use crate::time::Timestamp;
use crate::x509::{
    Damage, DistinguishedName, KeyType, PrivateKey, RequestedExtensions, SignatureVerdict, assemble,
    encode_request, request_to_be_signed, verify,
};

/// What was asked for, and what a request alone does not say. Public data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestManifest {
    /// When the requests were made.
    pub created: Timestamp,
    /// Each request, sorted by slot; no slot has two.
    pub requests: Vec<RequestRecord>,
}

impl RequestManifest {
    /// Returns the record of `slot`.
    #[must_use]
    pub fn request(&self, slot: Slot) -> Option<&RequestRecord> {
        self.requests.iter().find(|record| record.wanted.slot == slot)
    }
}

/// One request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// What the certificate is to be.
    pub wanted: WantedCertificate,
    /// The authority as the tree had it; `None` when it had none.
    pub issuer: Option<IssuerIdentity>,
    /// The SHA-256 digest of the subject public key info of the request's key.
    pub public_key: Digest,
}

impl RequestRecord {
    /// Returns the name of the file with the key, below the directory of the requests.
    #[must_use]
    pub fn key_file(&self) -> String {
        format!("{}.key", file_stem(self.wanted.slot).unwrap_or_default())
    }

    /// Returns the name of the file with the request, below the directory of the requests.
    #[must_use]
    pub fn request_file(&self) -> String {
        format!("{}.csr", file_stem(self.wanted.slot).unwrap_or_default())
    }
}

/// Which authority is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IssuerIdentity {
    /// Its name.
    pub subject: DistinguishedName,
    /// The SHA-256 digest of its subject public key info.
    pub public_key: Digest,
    /// The SHA-256 digest of its certificate.
    pub fingerprint: Digest,
}

/// Keys and requests, ready to be written.
#[derive(Debug)]
#[must_use = "the keys are lost unless they are written"]
#[non_exhaustive]
pub struct RequestSet {
    /// What was asked for.
    pub manifest: RequestManifest,
    /// The files: first the keys, so that no request exists without its key, then the requests.
    pub files: Vec<RequestFile>,
}

/// A file of a request set.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestFile {
    /// Its name below the directory of the requests, as `pki/etcd/server.key`.
    pub name: String,
    /// Its content, which is a secret when it is a key. kubeadm gives keys and requests the mode 0600.
    pub content: SecretBytes,
}

/// Returns the names of the two files that the request of each slot has, key and request: a closed list, below any directory.
pub fn request_files() -> impl Iterator<Item = (Slot, String, String)> {
    Slot::ALL.into_iter().filter_map(|slot| {
        let stem = file_stem(slot)?;
        Some((slot, format!("{stem}.key"), format!("{stem}.csr")))
    })
}

/// Makes a key and a request for each of `wanted`.
///
/// # Errors
/// [`RequestError`] when the provider fails or answers wrongly.
pub fn make_requests<P: KeySource + Signer + ?Sized>(
    wanted: &[WantedCertificate],
    inventory: &Inventory,
    now: Timestamp,
    provider: &mut P,
) -> Result<RequestSet, RequestError> {
    let asked: Vec<KeyRequest> =
        wanted.iter().map(|wanted| KeyRequest { slot: wanted.slot, algorithm: wanted.algorithm }).collect();
    let replies = provider.generate(&asked).map_err(IssueError::Keys)?;
    if replies.len() != asked.len() {
        return Err(IssueError::Count { what: "keys", asked: asked.len(), given: replies.len() }.into());
    }
    let mut unsigned = Vec::with_capacity(wanted.len());
    for (wanted, KeyReply(key)) in wanted.iter().zip(replies) {
        let slot = wanted.slot;
        if key.key_type() != KeyType::from(wanted.algorithm) {
            let (asked, given) = (wanted.algorithm.to_string(), key.key_type().to_string());
            return Err(IssueError::WrongKey { slot, asked, given }.into());
        }
        let public_key = key.public_key();
        let extensions = RequestedExtensions {
            key_usages: wanted.key_usages,
            extended_key_usages: &wanted.extended_key_usages,
            alternative_names: &wanted.alternative_names,
        };
        let message = request_to_be_signed(&wanted.subject, &public_key, Some(&extensions))
            .map_err(|source| RequestError::Encoding { slot, source })?;
        unsigned.push((wanted, key, public_key, message));
    }
    let messages: Vec<SigningRequest<'_>> = unsigned
        .iter()
        .map(|(wanted, key, public_key, message)| SigningRequest {
            slot: wanted.slot,
            // A request is signed by the key that it is for.
            issuer: IssuerKey { ca: wanted.issuer, public_key, private_key: Some(key) },
            algorithm: key.signature_algorithm(),
            message,
        })
        .collect();
    let signatures = provider.sign(&messages).map_err(IssueError::Signatures)?;
    if signatures.len() != messages.len() {
        let (asked, given) = (messages.len(), signatures.len());
        return Err(IssueError::Count { what: "signatures", asked, given }.into());
    }
    let mut keys = Vec::new();
    let mut requests = Vec::new();
    let mut records = Vec::new();
    for ((wanted, key, public_key, message), signature) in unsigned.iter().zip(signatures) {
        let slot = wanted.slot;
        let algorithm = key.signature_algorithm();
        if verify(public_key, algorithm, message, signature.as_bytes()) != SignatureVerdict::Valid {
            return Err(IssueError::WrongSignature { slot }.into());
        }
        let der = assemble(message, algorithm, signature.as_bytes())
            .map_err(|source| RequestError::Encoding { slot, source })?;
        let record = RequestRecord {
            wanted: (*wanted).clone(),
            issuer: identity(inventory, wanted.issuer),
            public_key: public_key.fingerprint(),
        };
        keys.push(RequestFile { name: record.key_file(), content: PrivateKey::secret_pem(key) });
        let content = SecretBytes::new(encode_request(&der).into_bytes());
        requests.push(RequestFile { name: record.request_file(), content });
        records.push(record);
    }
    keys.append(&mut requests);
    Ok(RequestSet { manifest: RequestManifest { created: now, requests: records }, files: keys })
}

fn identity(inventory: &Inventory, ca: CaSlot) -> Option<IssuerIdentity> {
    let certificate = inventory.authority(ca).signer()?;
    Some(IssuerIdentity {
        subject: certificate.subject().clone(),
        public_key: certificate.public_key().fingerprint(),
        fingerprint: certificate.fingerprint(),
    })
}

/// Why there are no requests.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Keys or signatures failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A request could not be encoded.
    #[error("the request for {slot} cannot be encoded")]
    Encoding {
        /// The slot.
        slot: Slot,
        /// How it fails.
        source: Damage,
    },
}

//! One client certificate outside any plan, signed by the cluster's authority.

use std::collections::BTreeSet;

use super::session::{Issuer, to_be_signed};
use super::{IssueError, KeyReply, KeyRequest, KeySource, Signature, Signer, SigningRequest};
use crate::catalog::{CaSlot, Slot};
use crate::inventory::Authority;
use crate::plan::{BACKDATE, CertificateSpec, IssuerRef, Reason, kubelet_purposes, usable_signer};
use crate::provider::{Entropy, ProviderError};
use crate::snapshot::Snapshot;
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeNames, Certificate, Damage, DistinguishedName, KeyAlgorithm, KeyType, KeyUsages, PrivateKey,
    PublicKey, SerialNumber, SignatureVerdict, Validity, assemble, verify,
};

/// From when and for how long a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a moment and a span are all that a validity needs")]
pub struct Term {
    /// The moment of the issue.
    pub now: Timestamp,
    /// How long from then on; the authority's own end comes first.
    pub lifetime: Seconds,
}

/// Who a client is, and what it may do with its key.
pub(super) struct Client {
    /// The slot by which errors and key requests name it.
    pub(super) slot: Slot,
    pub(super) subject: DistinguishedName,
    pub(super) key_usages: KeyUsages,
}

impl Client {
    /// Signs a certificate for this client with the key `public_key`.
    pub(super) fn certify<S: Signer + ?Sized>(
        self,
        public_key: &PublicKey,
        snapshot: &Snapshot,
        term: Term,
        entropy: &mut dyn Entropy,
        provider: &S,
    ) -> Result<Certificate, ClientError> {
        let Self { slot, subject, key_usages } = self;
        let Term { now, lifetime } = term;
        if lifetime.0 <= 0 {
            return Err(ClientError::Lifetime(lifetime));
        }
        let ca = CaSlot::Cluster;
        let authority = Authority::parse(snapshot, ca);
        let (signer, signature) =
            usable_signer(ca, &authority, &BTreeSet::new(), now).map_err(ClientError::Authority)?;
        let issuer = Issuer::from_snapshot(snapshot, ca)?;
        let mut random = [0; 16];
        entropy.fill(&mut random).map_err(ClientError::Entropy)?;
        let not_after = now.plus(lifetime).min(signer.not_after());
        let validity =
            Validity::new(now.minus(BACKDATE), not_after).map_err(|_| ClientError::Lifetime(lifetime))?;
        let spec = CertificateSpec {
            issuer: IssuerRef::Existing { ca, public_key: signer.public_key().fingerprint() },
            signature,
            serial: SerialNumber::from_random(random),
            validity,
            subject,
            alternative_names: AlternativeNames::default(),
            key_usages,
            extended_key_usages: kubelet_purposes(),
        };
        let message = to_be_signed(slot, &spec, public_key, &issuer)?;
        let key = issuer.key(ca);
        let request = SigningRequest { slot, issuer: key, algorithm: signature, message: &message };
        let made = one(provider.sign(&[request]))?;
        if verify(key.public_key, signature, &message, made.as_bytes()) != SignatureVerdict::Valid {
            return Err(IssueError::WrongSignature { slot }.into());
        }
        let der = assemble(&message, signature, made.as_bytes()).map_err(ClientError::Encoding)?;
        Certificate::parse_der(&der).map_err(ClientError::Encoding)
    }
}

/// Why there is no certificate for a client.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The lifetime is zero or negative.
    #[error("a certificate cannot be valid for {0}")]
    Lifetime(Seconds),
    /// The cluster's authority cannot sign here.
    #[error("{0}")]
    Authority(Reason),
    /// Something could not be encoded.
    #[error("cannot be encoded")]
    Encoding(#[source] Damage),
    /// The random source failed.
    #[error("no random bytes for a serial number")]
    Entropy(#[source] ProviderError),
    /// Keys or signatures failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Makes one key of `algorithm` for `slot`.
pub(super) fn new_key<P: KeySource + ?Sized>(
    slot: Slot,
    algorithm: KeyAlgorithm,
    provider: &mut P,
) -> Result<PrivateKey, IssueError> {
    let mut replies = provider.generate(&[KeyRequest { slot, algorithm }]).map_err(IssueError::Keys)?;
    let given = replies.len();
    let (Some(KeyReply(key)), 1) = (replies.pop(), given) else {
        return Err(IssueError::Count { what: "keys", asked: 1, given });
    };
    if key.key_type() != KeyType::from(algorithm) {
        let (asked, given) = (algorithm.to_string(), key.key_type().to_string());
        return Err(IssueError::WrongKey { slot, asked, given });
    }
    Ok(key)
}

/// Returns the only signature of a batch of one.
pub(super) fn one(signatures: Result<Vec<Signature>, ProviderError>) -> Result<Signature, IssueError> {
    let mut signatures = signatures.map_err(IssueError::Signatures)?;
    let given = signatures.len();
    match (signatures.pop(), given) {
        (Some(signature), 1) => Ok(signature),
        _ => Err(IssueError::Count { what: "signatures", asked: 1, given }),
    }
}

//! The authority's side: requests that come from elsewhere into certificates.
//!
//! A [`SigningProfile`] decides everything but the key: which subjects and names are signed at all, usages, basic constraints and
//! validity. Of what a request asks for only what the profile allows is copied; whatever else it asks for is refused or named in a
//! [`SigningNote`], never signed.

pub(super) mod check;
mod issued;
mod profile;

use std::collections::BTreeSet;
use std::fmt;

use super::session::{Issuer, to_be_signed};
use super::{IssueError, Signer, SigningRequest};
use crate::catalog::{CaSlot, Slot};
use crate::inventory::Authority;
use crate::plan::{BACKDATE, CertificateSpec, IssuerRef, Reason, usable_signer};
use crate::provider::{Entropy, ProviderError};
use crate::snapshot::Snapshot;
use crate::time::{Seconds, Timestamp};
use crate::x509::{Certificate, Damage, SerialNumber, SignatureVerdict, Validity, assemble, verify};

pub use issued::{NotIssued, is_refused, prove_issued};
pub use profile::{SignerName, SigningProfile, UnknownProfile};

/// A request to be signed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a request, what it is for, and for how long")]
pub struct SigningOrder<'a> {
    /// The request, in PEM or DER.
    pub request: &'a [u8],
    /// What it is for.
    pub profile: SigningProfile,
    /// How long the certificate is to be valid; the authority's own end comes first.
    pub lifetime: Seconds,
}

/// A certificate that was made for a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignedRequest {
    /// The certificate.
    pub certificate: Certificate,
    /// What is not as the request asked.
    pub notes: Vec<SigningNote>,
}

/// Something that a certificate does not have as its request asked, or that somebody should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SigningNote {
    /// These extensions were asked for and are not in the certificate, or not as they were asked for.
    NotCopied(Vec<String>),
    /// The validity was cut at the end of the authority.
    Capped(CaSlot),
    /// The subject has rights of its own in most clusters.
    Privileged(String),
}

impl fmt::Display for SigningNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCopied(names) => write!(f, "not as asked for: {}", names.join(", ")),
            Self::Capped(ca) => write!(f, "ends with {ca}, earlier than asked for"),
            Self::Privileged(name) => write!(f, "{} has rights in most clusters", name.escape_debug()),
        }
    }
}

/// Checks each of `orders` and signs those that are in order with the authority `ca` of `snapshot`. The answers come in the order
/// of the orders; that one is refused stops no other.
///
/// # Errors
/// [`SigningError`] when nothing can be signed at all, because of the authority or the provider.
///
/// # Panics
/// Never: the signatures are counted first.
pub fn sign_requests<S: Signer + ?Sized>(
    orders: &[SigningOrder<'_>],
    ca: CaSlot,
    snapshot: &Snapshot,
    now: Timestamp,
    entropy: &mut dyn Entropy,
    provider: &S,
) -> Result<Vec<Result<SignedRequest, SigningRefusal>>, SigningError> {
    let authority = Authority::parse(snapshot, ca);
    let (signer, signature) =
        usable_signer(ca, &authority, &BTreeSet::new(), now).map_err(SigningError::Authority)?;
    let issuer = Issuer::from_snapshot(snapshot, ca)?;
    let reference = IssuerRef::Existing { ca, public_key: signer.public_key().fingerprint() };
    let mut prepared = Vec::with_capacity(orders.len());
    for order in orders {
        let approved = match check(order, ca) {
            Ok(approved) => approved,
            Err(refusal) => {
                prepared.push(Err(refusal));
                continue;
            }
        };
        let check::Approved {
            request,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
            mut notes,
        } = approved;
        let mut random = [0; 16];
        entropy.fill(&mut random).map_err(SigningError::Entropy)?;
        let asked = now.plus(order.lifetime);
        let not_after = asked.min(signer.not_after());
        if not_after < asked {
            notes.push(SigningNote::Capped(ca));
        }
        let validity = Validity::new(now.minus(BACKDATE), not_after)
            .map_err(|_| SigningError::Authority(Reason::ExternalAuthority(ca)))?;
        let spec = CertificateSpec {
            issuer: reference.clone(),
            signature,
            serial: SerialNumber::from_random(random),
            validity,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
        };
        let slot = order.profile.slot();
        let message = to_be_signed(slot, &spec, request.public_key(), &issuer)?;
        prepared.push(Ok((slot, message, notes)));
    }
    let key = issuer.key(ca);
    let messages: Vec<SigningRequest<'_>> = prepared
        .iter()
        .flatten()
        .map(|(slot, message, _)| SigningRequest { slot: *slot, issuer: key, algorithm: signature, message })
        .collect();
    let made = provider.sign(&messages).map_err(IssueError::Signatures)?;
    if made.len() != messages.len() {
        let (asked, given) = (messages.len(), made.len());
        return Err(IssueError::Count { what: "signatures", asked, given }.into());
    }
    let mut made = made.into_iter();
    let mut answers = Vec::with_capacity(orders.len());
    for order in prepared {
        let (slot, message, notes) = match order {
            Ok(order) => order,
            Err(refusal) => {
                answers.push(Err(refusal));
                continue;
            }
        };
        let bytes = made.next().expect("there are as many signatures as messages");
        if verify(key.public_key, signature, &message, bytes.as_bytes()) != SignatureVerdict::Valid {
            return Err(IssueError::WrongSignature { slot }.into());
        }
        let encoding = |source| IssueError::Encoding { slot, source };
        let der = assemble(&message, signature, bytes.as_bytes()).map_err(encoding)?;
        let certificate = Certificate::parse_der(&der).map_err(encoding)?;
        answers.push(Ok(SignedRequest { certificate, notes }));
    }
    Ok(answers)
}

fn check(order: &SigningOrder<'_>, ca: CaSlot) -> Result<check::Approved, SigningRefusal> {
    if order.lifetime.0 <= 0 {
        return Err(SigningRefusal::Lifetime(order.lifetime));
    }
    let issuer = order.profile.issuer();
    if issuer != ca {
        return Err(SigningRefusal::OtherAuthority { profile: order.profile, issuer });
    }
    check::parse_and_approve(order.request, order.profile)
}

/// Why nothing can be signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The authority cannot sign here.
    #[error("{0}")]
    Authority(Reason),
    /// The random source failed.
    #[error("no random bytes for serial numbers")]
    Entropy(#[source] ProviderError),
    /// The signatures failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a request is not signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningRefusal {
    /// The lifetime is zero or negative.
    #[error("a certificate cannot be valid for {0}")]
    Lifetime(Seconds),
    /// Another authority signs such certificates.
    #[error("{profile} is signed by {issuer}")]
    OtherAuthority {
        /// What it is for.
        profile: SigningProfile,
        /// Who signs it.
        issuer: CaSlot,
    },
    /// The request cannot be understood.
    #[error("the request cannot be understood")]
    Request(#[source] Damage),
    /// The request is not signed with the key that it carries.
    #[error("the request is not signed with the key that it carries")]
    NotSignedByItself,
    /// The request is signed in a way that is not accepted, such as with SHA-1.
    #[error("the request is signed with {0}, which is not accepted")]
    SignatureAlgorithm(String),
    /// The key is of a kind, or too small, to be certified.
    #[error("a key {0} is not certified")]
    Key(String),
    /// The subject is none that the profile allows.
    #[error("the subject {subject} is not one of {profile}: {reason}")]
    Subject {
        /// What it is for.
        profile: SigningProfile,
        /// What was asked for.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name is none that the profile allows.
    #[error("the alternative name {0} is not allowed")]
    AlternativeName(String),
    /// There is no alternative name and there has to be one.
    #[error("there is no alternative name, and a server has at least one")]
    NoAlternativeName,
    /// An extension is asked for twice.
    #[error("the extension {0} is asked for twice")]
    RepeatedExtension(String),
    /// The request asks to be an authority.
    #[error("the request asks to be an authority")]
    Authority,
    /// The request asks for usages that the profile does not allow, or not for one that it demands.
    #[error("the usages {asked} are not those of {profile}: {allowed}")]
    Usages {
        /// What it is for.
        profile: SigningProfile,
        /// What was asked for.
        asked: String,
        /// What may be asked for.
        allowed: &'static str,
    },
}

impl SigningProfile {
    /// Returns the slot that stands for such certificates.
    #[must_use]
    pub const fn slot(self) -> Slot {
        match self {
            Self::Slot(slot) => slot,
            Self::Signer(SignerName::KubeletServing) => Slot::KubeletServing,
            Self::Signer(_) => Slot::KubeletClient,
        }
    }
}

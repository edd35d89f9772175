//! Whether a request has its certificate already.

use super::{SigningProfile, SigningRefusal, check};
use crate::issue::bulk::BulkAuthority;
use crate::time::Timestamp;
use crate::x509::{Certificate, Damage, SignedMessage, Verifier};

/// Returns whether `certificate`, in DER, is what `authority` gives for `request` under `profile`, and valid at `now`. Its serial
/// number and its dates may be any; `verifier` knows the authority's key.
///
/// # Errors
/// [`NotIssued`] says in what it differs.
pub fn prove_issued(
    certificate: &[u8],
    request: &[u8],
    profile: SigningProfile,
    authority: &BulkAuthority,
    verifier: &dyn Verifier,
    now: Timestamp,
) -> Result<(), NotIssued> {
    let certificate = Certificate::parse_der(certificate).map_err(NotIssued::Damaged)?;
    let approved = check::parse_and_approve(request, profile)?;
    let check::Approved { request, subject, alternative_names, key_usages, extended_key_usages, notes: _ } =
        approved;
    let is_authority = certificate.basic_constraints().is_some_and(|constraints| constraints.is_ca);
    let same = [
        ("issuer", certificate.issuer() == authority.subject()),
        ("public key", certificate.public_key() == request.public_key()),
        ("subject", *certificate.subject() == subject),
        ("alternative names", *certificate.alternative_names() == alternative_names),
        ("key usages", certificate.key_usages() == Some(key_usages)),
        ("extended key usages", *certificate.extended_key_usages() == extended_key_usages),
        ("basic constraints", !is_authority),
    ];
    if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(NotIssued::Other(what));
    }
    let signed = SignedMessage { message: certificate.to_be_signed(), signature: certificate.signature() };
    if certificate.signature_algorithm() != authority.algorithm().name()
        || verifier.first_invalid(&[signed]).is_some()
    {
        return Err(NotIssued::Signature);
    }
    if now < certificate.not_before() || certificate.not_after() < now {
        return Err(NotIssued::NotValid { from: certificate.not_before(), to: certificate.not_after() });
    }
    Ok(())
}

/// Returns whether the rules of `profile` are against `request`, in PEM or DER, or it is none.
#[must_use]
pub fn is_refused(request: &[u8], profile: SigningProfile) -> bool {
    check::parse_and_approve(request, profile).is_err()
}

/// Why a certificate is not the one of a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotIssued {
    /// It cannot be understood.
    #[error("the certificate cannot be understood")]
    Damaged(#[source] Damage),
    /// The request is none that is signed.
    #[error(transparent)]
    Refused(#[from] SigningRefusal),
    /// Something in it is not as the request would get it.
    #[error("its {0} is not what the request would get")]
    Other(&'static str),
    /// It is not signed by the authority.
    #[error("it is not signed by the authority")]
    Signature,
    /// It is not valid now.
    #[error("it is valid from {from} to {to} only")]
    NotValid {
        /// Its first second.
        from: Timestamp,
        /// Its last second.
        to: Timestamp,
    },
}

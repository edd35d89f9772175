//! Whether a certificate was signed by the authority on disk. Only a verified signature counts.

use super::{Authority, CertificateBundle};
use crate::catalog::CaSlot;
use crate::x509::{Certificate, KnownKeys, SignatureVerdict};

/// How a certificate relates to the authority that should have signed it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every certificate is one of these to its authority")]
pub enum ChainFact {
    /// A certificate in the authority's file signed it; names agree byte for byte and the signature was verified.
    Signed(CaSlot),
    /// The issuer is another one by name.
    OtherIssuer(CaSlot),
    /// The issuer has the right name, but its key did not make the signature: another authority of the same name.
    OtherKey(CaSlot),
    /// The signature is of a kind that cannot be verified here.
    Unverifiable(CaSlot, String),
    /// The authority's certificate is absent or damaged, so nothing can be said.
    NoAuthority(CaSlot),
}

impl ChainFact {
    /// Finds how the first certificate of `bundle` relates to `authority`, over intermediates in `bundle` if need be; `keys` are those
    /// of issuers that were met before.
    pub(super) fn find(
        bundle: &CertificateBundle,
        ca: CaSlot,
        authority: &Authority,
        keys: &mut KnownKeys,
    ) -> Self {
        let Some(roots) = authority.certificate().present() else { return Self::NoAuthority(ca) };
        let (first, rest) =
            bundle.certificates().split_first().expect("a bundle has at least one certificate");
        let mut intermediates: Vec<&Certificate> = Vec::new();
        let mut candidates: Vec<&Certificate> =
            rest.iter().filter(|candidate| candidate.is_authority()).collect();
        // A chain may have several links, in any order.
        for _ in 0..LONGEST_CHAIN {
            let mut is_known = |candidate: &&Certificate| {
                let mut issuers = roots.certificates().iter().chain(intermediates.iter().copied());
                issuers.any(|issuer| signed_by(candidate, issuer, keys) == Step::Signed)
            };
            let (known, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(&mut is_known);
            candidates = others;
            if known.is_empty() {
                break;
            }
            intermediates.extend(known);
        }
        let issuers = roots.certificates().iter().chain(intermediates);
        let steps = issuers.map(|issuer| signed_by(first, issuer, keys));
        // The best answer of all candidates counts: a bundle may hold two authorities of the same name.
        match steps.max() {
            Some(Step::Signed) => Self::Signed(ca),
            Some(Step::Unverifiable(algorithm)) => Self::Unverifiable(ca, algorithm),
            Some(Step::OtherKey) => Self::OtherKey(ca),
            Some(Step::OtherName) | None => Self::OtherIssuer(ca),
        }
    }
}

/// More intermediates than this lie between no leaf and its root.
const LONGEST_CHAIN: usize = 8;

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    OtherName,
    OtherKey,
    Unverifiable(String),
    Signed,
}

fn signed_by(certificate: &Certificate, issuer: &Certificate, keys: &mut KnownKeys) -> Step {
    if certificate.issuer() != issuer.subject() {
        return Step::OtherName;
    }
    match keys.verify(certificate, issuer.public_key()) {
        SignatureVerdict::Valid => Step::Signed,
        SignatureVerdict::Invalid => Step::OtherKey,
        SignatureVerdict::Unsupported(algorithm) => Step::Unverifiable(algorithm),
    }
}

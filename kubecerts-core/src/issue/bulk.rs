//! Many certificates of one authority.
//!
//! A [`Batch`] takes requests or public keys, as many as its caller likes to have in memory, and turns them into certificates with
//! one call of the signer and one of the verifier. Its buffers are used again for the next ones. Batches know nothing of each other,
//! so as many threads as there are can each have their own; streams, threads and order are the host's.

use std::fmt;
use std::num::NonZeroUsize;

use super::session::Issuer;
use super::sign::{SigningError, SigningNote, SigningProfile, SigningRefusal, check};
use super::{IssueError, IssuerKey, Signatures, Signer, SigningRequest};
use crate::catalog::CaSlot;
use crate::inventory::Authority;
use crate::plan::{BACKDATE, Reason, usable_signer};
use crate::provider::Entropy;
use crate::snapshot::Snapshot;
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyUsages, PublicKey, SerialNumber,
    SignatureAlgorithm, SignedMessage, ToBeSigned, Validity, Verifier, assemble,
};

/// How many of the signatures of a batch are verified before anybody gets a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all, some or none")]
pub enum VerificationPolicy {
    /// Every signature.
    #[default]
    Every,
    /// The first of this many, and the first of every further so many.
    Sample(NonZeroUsize),
    /// No signature. Nothing of kubecerts chooses this: it is for callers who verify by themselves.
    None,
}

/// An authority that is here with its key.
pub struct BulkAuthority {
    ca: CaSlot,
    issuer: Issuer,
    algorithm: SignatureAlgorithm,
    not_after: Timestamp,
}

impl BulkAuthority {
    /// Returns the authority `ca` of `snapshot`.
    ///
    /// # Errors
    /// [`SigningError`] when it cannot sign: it is not there or damaged, has no key here, or is not valid at `now`.
    pub fn from_snapshot(snapshot: &Snapshot, ca: CaSlot, now: Timestamp) -> Result<Self, SigningError> {
        let authority = Authority::parse(snapshot, ca);
        let (signer, algorithm) =
            usable_signer(ca, &authority, &Default::default(), now).map_err(SigningError::Authority)?;
        let issuer = Issuer::from_snapshot(snapshot, ca)?;
        if issuer.key(ca).private_key.is_none() {
            return Err(SigningError::Authority(Reason::ExternalAuthority(ca)));
        }
        Ok(Self { ca, issuer, algorithm, not_after: signer.not_after() })
    }

    /// Returns which authority it is.
    #[must_use]
    pub const fn ca(&self) -> CaSlot {
        self.ca
    }

    /// Returns its key.
    #[must_use]
    pub const fn key(&self) -> IssuerKey<'_> {
        self.issuer.key(self.ca)
    }

    /// Returns its name, which is the issuer of what it signs.
    #[must_use]
    pub const fn subject(&self) -> &DistinguishedName {
        self.issuer.name()
    }

    /// Returns the algorithm of its signatures.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Returns its last second, beyond which nothing that it signs is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

impl fmt::Debug for BulkAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkAuthority({:?})", self.key())
    }
}

/// What the certificates of a batch are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what, for how long, from when")]
pub struct BulkTerms {
    /// What they are for, which decides subject, usages and names.
    pub profile: SigningProfile,
    /// How long they are valid; the authority's own end comes first.
    pub lifetime: Seconds,
    /// When they are made. Their first second is five minutes before, as kubeadm's.
    pub now: Timestamp,
}

/// Certificates that are made together.
pub struct Batch<'a> {
    authority: &'a BulkAuthority,
    terms: BulkTerms,
    validity: Validity,
    messages: Vec<Vec<u8>>,
    signatures: Signatures,
    certificates: Vec<Vec<u8>>,
}

impl<'a> Batch<'a> {
    /// Returns a batch with nothing in it.
    ///
    /// # Errors
    /// [`SigningRefusal`] when the authority does not sign what `terms` says, or the lifetime is not positive.
    pub fn new(authority: &'a BulkAuthority, terms: BulkTerms) -> Result<Self, SigningRefusal> {
        let BulkTerms { profile, lifetime, now } = terms;
        let refused = SigningRefusal::Lifetime(lifetime);
        if lifetime.0 <= 0 {
            return Err(refused);
        }
        let issuer = profile.issuer();
        if issuer != authority.ca {
            return Err(SigningRefusal::OtherAuthority { profile, issuer });
        }
        let not_after = now.plus(lifetime).min(authority.not_after);
        let validity = Validity::new(now.minus(BACKDATE), not_after).map_err(|_| refused)?;
        let (signatures, certificates) = (Signatures::new(), Vec::new());
        Ok(Self { authority, terms, validity, messages: Vec::new(), signatures, certificates })
    }

    /// Adds a request, in PEM or DER, and returns what its certificate will not have as it asks.
    ///
    /// # Errors
    /// [`BulkError::Refused`] when the request is not in order, and then the batch is as before; [`BulkError::Failed`] without serial numbers.
    pub fn add_request(
        &mut self,
        request: &[u8],
        serials: &mut dyn Entropy,
    ) -> Result<Vec<SigningNote>, BulkError> {
        let approved = check::parse_and_approve(request, self.terms.profile)?;
        let check::Approved {
            request,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
            mut notes,
        } = approved;
        self.add(
            &subject,
            &alternative_names,
            request.public_key(),
            key_usages,
            &extended_key_usages,
            serials,
        )?;
        if self.validity.not_after() < self.terms.now.plus(self.terms.lifetime) {
            notes.push(SigningNote::Capped(self.authority.ca));
        }
        Ok(notes)
    }

    /// Adds a certificate for `key`, whose holder is known to the caller: nothing proves here who has the private half.
    ///
    /// # Errors
    /// As [`add_request`](Self::add_request): the subject and the names follow the same rules.
    pub fn add_key(
        &mut self,
        subject: &DistinguishedName,
        names: &AlternativeNames,
        key: &PublicKey,
        serials: &mut dyn Entropy,
    ) -> Result<(), BulkError> {
        let (key_usages, extended_key_usages) = check::approve_key(subject, names, key, self.terms.profile)?;
        self.add(subject, names, key, key_usages, &extended_key_usages, serials)
    }

    /// Signs everything that was added, and verifies as `policy` says. Nothing of it can be had before.
    ///
    /// # Errors
    /// [`SigningError`] when the signer fails or a signature is not by the authority's key; then there is no certificate.
    pub fn issue<S: Signer + ?Sized, V: Verifier + ?Sized>(
        &mut self,
        signer: &S,
        verifier: &V,
        policy: VerificationPolicy,
    ) -> Result<(), SigningError> {
        let (slot, issuer, algorithm) =
            (self.terms.profile.slot(), self.authority.key(), self.authority.algorithm);
        self.signatures.clear();
        self.certificates.clear();
        let requests: Vec<SigningRequest<'_>> =
            self.messages.iter().map(|message| SigningRequest { slot, issuer, algorithm, message }).collect();
        signer.sign_into(&requests, &mut self.signatures).map_err(IssueError::Signatures)?;
        let (asked, given) = (requests.len(), self.signatures.len());
        if given != asked {
            return Err(IssueError::Count { what: "signatures", asked, given }.into());
        }
        let signed = self.messages.iter().zip(self.signatures.iter());
        let signed: Vec<SignedMessage<'_>> =
            signed.map(|(message, signature)| SignedMessage { message, signature }).collect();
        let invalid = match policy {
            VerificationPolicy::Every => verifier.first_invalid(&signed),
            VerificationPolicy::Sample(every) => {
                let sample: Vec<_> = signed.iter().copied().step_by(every.get()).collect();
                verifier.first_invalid(&sample)
            }
            VerificationPolicy::None => None,
        };
        if invalid.is_some() {
            return Err(IssueError::WrongSignature { slot }.into());
        }
        for SignedMessage { message, signature } in signed {
            let encoding = |source| IssueError::Encoding { slot, source };
            self.certificates.push(assemble(message, algorithm, signature).map_err(encoding)?);
        }
        Ok(())
    }

    /// Returns the certificates in DER, in the order in which they were added; none before they were issued.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }

    /// Returns how many certificates were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether none was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets what was added and issued, and keeps the room for the next.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.signatures.clear();
        self.certificates.clear();
    }

    fn add(
        &mut self,
        subject: &DistinguishedName,
        alternative_names: &AlternativeNames,
        public_key: &PublicKey,
        key_usages: KeyUsages,
        extended_key_usages: &ExtendedKeyUsages,
        serials: &mut dyn Entropy,
    ) -> Result<(), BulkError> {
        let mut random = [0; 16];
        serials.fill(&mut random).map_err(SigningError::Entropy)?;
        let message = ToBeSigned {
            serial: &SerialNumber::from_random(random),
            signature: self.authority.algorithm,
            issuer: self.authority.issuer.name(),
            validity: self.validity,
            subject,
            public_key,
            key_usages,
            extended_key_usages,
            is_ca: false,
            subject_key_identifier: None,
            authority_key_identifier: self.authority.issuer.key_identifier(),
            alternative_names,
        };
        let slot = self.terms.profile.slot();
        let message = message.to_der().map_err(|source| IssueError::Encoding { slot, source });
        self.messages.push(message.map_err(SigningError::Issue)?);
        Ok(())
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({:?}, {} of {})", self.authority, self.messages.len(), self.terms.profile)
    }
}

/// Why something is not in a batch.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "one certificate, or all")]
pub enum BulkError {
    /// This one is not signed; others may be.
    #[error(transparent)]
    Refused(#[from] SigningRefusal),
    /// Nothing can be signed.
    #[error(transparent)]
    Failed(#[from] SigningError),
}

//! Certificates that are made together.

use std::fmt;

use super::{BulkAuthority, BulkError, BulkTerms, VerificationPolicy};
use crate::catalog::ExtendedUsage;
use crate::issue::pieces::Pieces;
use crate::issue::sign::check::{self, Asked, Granted};
use crate::issue::sign::{SigningError, SigningNote, SigningRefusal};
use crate::issue::{IssueError, Signatures, Signer, SigningRequest};
use crate::plan::BACKDATE;
use crate::provider::Entropy;
use crate::x509::{
    AlternativeNames, CertificateRequest, Common, Damage, DistinguishedName, EncodedValidity, KeyUsages,
    PublicKey, SerialNumber, SignedMessage, Template, Validity, Variable, Verifier,
};

/// Certificates that are made together.
///
/// Everything lies in a few buffers that are used again after [`clear`](Self::clear): a certificate for a key costs no allocation once
/// they have grown.
pub struct Batch<'a> {
    authority: &'a BulkAuthority,
    terms: BulkTerms,
    validity: Validity,
    /// The same as it stands in all of them.
    dates: EncodedValidity,
    /// One for each pair of usages that was met; a profile has one or two.
    templates: Vec<(Usages, Template)>,
    messages: Pieces,
    signatures: Signatures,
    certificates: Pieces,
}

type Usages = (KeyUsages, &'static [ExtendedUsage]);

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
        Ok(Self {
            authority,
            terms,
            validity,
            dates: EncodedValidity::new(validity),
            templates: Vec::new(),
            messages: Pieces::new(),
            signatures: Signatures::new(),
            certificates: Pieces::new(),
        })
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
        let request = CertificateRequest::parse(request).map_err(SigningRefusal::Request)?;
        let asked = Asked::by_request(&request);
        let granted = check::approve(asked, self.terms.profile)?;
        self.add(asked.subject, asked.public_key, granted, serials)?;
        let mut notes = check::notes(asked, granted, self.terms.profile);
        if self.validity.not_after() < self.terms.now.plus(self.terms.lifetime) {
            notes.push(SigningNote::Capped(self.authority.ca));
        }
        Ok(notes)
    }

    /// Adds a certificate for `key`, whose holder is known to the caller: nothing proves here who has the private half.
    ///
    /// # Errors
    /// As [`add_request`](Self::add_request): the subject and the names follow the same rules. Names for which the profile has no
    /// place are refused too, where those of a request are left out with a note.
    pub fn add_key(
        &mut self,
        subject: &DistinguishedName,
        names: &AlternativeNames,
        key: &PublicKey,
        serials: &mut dyn Entropy,
    ) -> Result<(), BulkError> {
        let granted = check::approve_key(subject, names, key, self.terms.profile)?;
        self.add(subject, key, granted, serials)
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
        let messages = self.messages.iter();
        let requests: Vec<SigningRequest<'_>> =
            messages.map(|message| SigningRequest { slot, issuer, algorithm, message }).collect();
        signer.sign_into(&requests, &mut self.signatures).map_err(IssueError::Signatures)?;
        let (asked, given) = (requests.len(), self.signatures.len());
        if given != asked {
            return Err(IssueError::Count { what: "signatures", asked, given }.into());
        }
        let every = match policy {
            VerificationPolicy::Every => Some(1),
            VerificationPolicy::Sample(every) => Some(every.get()),
            VerificationPolicy::None => None,
        };
        if let Some(every) = every {
            let signed: Vec<SignedMessage<'_>> = self.signed().step_by(every).collect();
            if verifier.first_invalid(&signed).is_some() {
                return Err(IssueError::WrongSignature { slot }.into());
            }
        }
        // All templates agree in what stands around the to-be-signed bytes; where there is a message there is one.
        let Some((_, template)) = self.templates.first() else { return Ok(()) };
        let mut certificates = std::mem::take(&mut self.certificates);
        let assembled = self.signed().try_for_each(|SignedMessage { message, signature }| {
            certificates.push_with(|out| template.assemble_encoded_into(message, signature, out))
        });
        if assembled.is_err() {
            certificates.clear();
        }
        self.certificates = certificates;
        assembled.map_err(|source| IssueError::Encoding { slot, source }.into())
    }

    /// Returns the certificates in DER, in the order in which they were added; none before all of them were issued.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter()
    }

    /// Returns how many certificates were added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether none was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages.len() == 0
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
        public_key: &PublicKey,
        granted: Granted<'_>,
        serials: &mut dyn Entropy,
    ) -> Result<(), BulkError> {
        let slot = self.terms.profile.slot();
        let encoding = |source| SigningError::Issue(IssueError::Encoding { slot, source });
        let index = self.template(granted).map_err(encoding)?;
        let mut random = [0; 16];
        serials.fill(&mut random).map_err(SigningError::Entropy)?;
        let variable = Variable {
            serial: &SerialNumber::from_random(random),
            validity: self.validity,
            subject,
            public_key,
            subject_key_identifier: None,
            alternative_names: granted.alternative_names,
        };
        let (_, template) = &self.templates[index];
        let dates = &self.dates;
        let encode = |out: &mut Vec<u8>| template.encode_dated_into(&variable, dates, out);
        self.messages.push_with(encode).map_err(encoding)?;
        // What was issued is not what the batch now asks for.
        self.certificates.clear();
        Ok(())
    }

    /// Returns the position of the template for the usages of `granted`, which is made when they are met for the first time.
    fn template(&mut self, granted: Granted<'_>) -> Result<usize, Damage> {
        let usages = (granted.key_usages, granted.purposes);
        if let Some(index) = self.templates.iter().position(|(known, _)| *known == usages) {
            return Ok(index);
        }
        let template = Template::new(&Common {
            signature: self.authority.algorithm,
            issuer: self.authority.issuer.name(),
            key_usages: granted.key_usages,
            extended_key_usages: &granted.extended_key_usages(),
            is_ca: false,
            authority_key_identifier: self.authority.issuer.key_identifier(),
        })?;
        self.templates.push((usages, template));
        Ok(self.templates.len() - 1)
    }

    fn signed(&self) -> impl Iterator<Item = SignedMessage<'_>> {
        let signed = self.messages.iter().zip(self.signatures.iter());
        signed.map(|(message, signature)| SignedMessage { message, signature })
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({:?}, {} of {})", self.authority, self.messages.len(), self.terms.profile)
    }
}

//! A provider that signs many at a time.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::{ptr, slice};

use super::{KeyReply, KeyRequest, KeySource, Signature, Signatures, Signer, SigningRequest};
use crate::provider::{Entropy, ProviderError};
use crate::x509::{FixedSigningKey, SignatureAlgorithm};

/// Signs batches on P-256 faster than one by one, and leaves everything else to `inner`.
///
/// A batch is eight requests and more for one key that follow each other, as a [`BulkAuthority`](super::bulk::BulkAuthority) has them.
/// How they are signed, and what is done to keep the key, is at [`FixedSigningKey`]. What was found wrong before it was given, `inner` signs.
pub struct Batched<S, E> {
    inner: S,
    entropy: Mutex<E>,
}

impl<S, E> Batched<S, E> {
    /// Returns a provider that draws from `entropy`, which must be a cryptographic source.
    #[must_use]
    pub const fn new(inner: S, entropy: E) -> Self {
        Self { inner, entropy: Mutex::new(entropy) }
    }

    /// Returns who does everything else.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Signer, E: Entropy> Batched<S, E> {
    /// Calls `give` with each signature, which is there during the call only.
    fn sign_each(
        &self,
        requests: &[SigningRequest<'_>],
        mut give: impl FnMut(&[u8]),
    ) -> Result<(), ProviderError> {
        for run in requests.chunk_by(have_one_key) {
            let mut rest = Rest { inner: &self.inner, requests: run, result: Ok(()) };
            if is_batch(run)
                && let Some(key) = FixedSigningKey::new(run[0].held_key()?)
            {
                let messages = run.iter().map(|request| request.message);
                key.sign(messages, &mut Shared(&self.entropy), |signature| rest.next(signature, &mut give))?;
            } else {
                rest.sign(run, &mut give);
            }
            rest.result?;
        }
        Ok(())
    }
}

/// The requests whose signatures are to come.
struct Rest<'r, 'a, S> {
    inner: &'r S,
    requests: &'r [SigningRequest<'a>],
    /// The first failure; after one, nothing is given.
    result: Result<(), ProviderError>,
}

impl<S: Signer> Rest<'_, '_, S> {
    /// Gives the signature of the next request, and makes it where there is none.
    fn next(&mut self, signature: Option<&[u8]>, give: &mut impl FnMut(&[u8])) {
        let Some((request, rest)) = self.requests.split_first() else { return };
        self.requests = rest;
        match signature {
            _ if self.result.is_err() => {}
            Some(signature) => give(signature),
            None => self.sign(slice::from_ref(request), give),
        }
    }

    fn sign(&mut self, requests: &[SigningRequest<'_>], give: &mut impl FnMut(&[u8])) {
        self.result = self.inner.sign(requests).and_then(|signatures| {
            // Another number would give signatures to requests that they are not of.
            if signatures.len() != requests.len() {
                let (count, asked) = (signatures.len(), requests.len());
                return Err(ProviderError::new(format!("{count} signatures came for {asked} requests")));
            }
            signatures.iter().for_each(|signature| give(signature.as_bytes()));
            Ok(())
        });
    }
}

impl<S: KeySource, E> KeySource for Batched<S, E> {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        self.inner.generate(requests)
    }
}

impl<S: Signer, E: Entropy> Signer for Batched<S, E> {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let mut signatures = Vec::with_capacity(requests.len());
        self.sign_each(requests, |signature| signatures.push(Signature::new(signature.to_vec())))?;
        Ok(signatures)
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        // What `inner` does without an allocation for each is left to it as a whole.
        if requests.chunk_by(have_one_key).any(is_batch) {
            self.sign_each(requests, |signature| out.push(signature))
        } else {
            self.inner.sign_into(requests, out)
        }
    }
}

impl<S: fmt::Debug, E> fmt::Debug for Batched<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batched").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A source that is another's for as long as it is asked, and no longer: others sign meanwhile.
struct Shared<'a, E>(&'a Mutex<E>);

impl<E: Entropy> Entropy for Shared<'_, E> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        // A panic of another holder of the lock leaves no state that could be wrong.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(out)
    }
}

/// Returns whether requests that have one key are to be signed together.
fn is_batch(run: &[SigningRequest<'_>]) -> bool {
    run.len() >= WORTH_IT && run[0].algorithm == SignatureAlgorithm::EcdsaWithSha256
}

fn have_one_key(a: &SigningRequest<'_>, b: &SigningRequest<'_>) -> bool {
    let key = |request: &SigningRequest<'_>| request.issuer.private_key.map(ptr::from_ref);
    a.algorithm == b.algorithm && key(a).is_some() && key(a) == key(b)
}

/// Of so many at a time a signature takes 20 µs, as long as by AWS-LC alone, and of more less: 14 of sixteen, 10 of 64.
const WORTH_IT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CaSlot, Slot};
    use crate::issue::IssuerKey;
    use crate::x509::PublicKey;

    /// Gives so many signatures, whatever it is asked for.
    struct Stubborn(Vec<Signature>);

    impl Signer for Stubborn {
        fn sign(&self, _: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
            match self.0.is_empty() {
                true => Err(ProviderError::new("it refuses")),
                false => Ok(self.0.clone()),
            }
        }
    }

    /// Hands over what a batch gave for three requests, and returns what came out of it.
    fn rest_of(
        inner: &Stubborn,
        signatures: [Option<&[u8]>; 3],
    ) -> (Result<(), ProviderError>, Vec<Vec<u8>>) {
        let key = PublicKey::parse_der(&P256_KEY).unwrap();
        let (slot, issuer) = (Slot::Ca(CaSlot::Cluster), IssuerKey::new(CaSlot::Cluster, &key, None));
        let request = SigningRequest::new(slot, issuer, SignatureAlgorithm::EcdsaWithSha256, b"message");
        let mut rest = Rest { inner, requests: &[request; 3], result: Ok(()) };
        let mut given = Vec::new();
        for signature in signatures {
            rest.next(signature, &mut |signature: &[u8]| given.push(signature.to_vec()));
        }
        (rest.result, given)
    }

    #[test]
    fn what_a_batch_lacks_is_signed_by_the_other_in_its_place() {
        let inner = Stubborn(vec![Signature::new(b"other".to_vec())]);
        let (result, given) = rest_of(&inner, [Some(b"first"), None, Some(b"third")]);
        assert_eq!((result, given), (Ok(()), vec![b"first".to_vec(), b"other".to_vec(), b"third".to_vec()]));
    }

    #[test]
    fn first_failure_of_the_other_is_told_and_nothing_given_after_it() {
        let (result, given) = rest_of(&Stubborn(Vec::new()), [Some(b"first"), None, Some(b"third")]);
        assert_eq!((result, given), (Err(ProviderError::new("it refuses")), vec![b"first".to_vec()]));
    }

    #[test]
    fn another_number_of_signatures_is_refused() {
        let two = Stubborn(vec![Signature::new(b"other".to_vec()); 2]);
        let (result, given) = rest_of(&two, [None, Some(b"second"), None]);
        assert_eq!(result, Err(ProviderError::new("2 signatures came for 1 requests")));
        assert!(given.is_empty());
    }

    /// The base point of P-256 as a `SubjectPublicKeyInfo`, compressed.
    const P256_KEY: [u8; 59] = [
        0x30, 0x39, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        3, 1, 7, 3, 0x22, 0, 3, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63,
        0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98,
        0xc2, 0x96,
    ];
}

//! A provider that signs many at a time.

use std::fmt;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::{KeyReply, KeyRequest, KeySource, Signature, Signatures, Signer, SigningRequest};
use crate::provider::{Entropy, ProviderError};
use crate::x509::{FixedSigningKey, SignatureAlgorithm};

/// Signs batches on P-256 several times as fast as one by one, and leaves everything else to `inner`.
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
        let by_inner = |requests: &[SigningRequest<'_>], give: &mut dyn FnMut(&[u8])| {
            let signatures = self.inner.sign(requests)?;
            signatures.iter().for_each(|signature| give(signature.as_bytes()));
            Ok(())
        };
        for run in requests.chunk_by(have_one_key) {
            let Some(key) = batch_key(run)? else {
                by_inner(run, &mut give)?;
                continue;
            };
            let (mut requests, mut refused) = (run.iter(), Ok(()));
            key.sign(run.iter().map(|request| request.message), &mut Shared(&self.entropy), |signature| {
                let request = requests.next();
                match (signature, request) {
                    (Some(signature), _) => give(signature),
                    (None, Some(request)) if refused.is_ok() => {
                        refused = by_inner(&[*request], &mut give);
                    }
                    (None, _) => {}
                }
            })?;
            refused?;
        }
        Ok(())
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
        match requests.chunk_by(have_one_key).next() {
            // What `inner` does without an allocation for each is left to it as a whole.
            Some(run) if run.len() == requests.len() && batch_key(run)?.is_none() => {
                self.inner.sign_into(requests, out)
            }
            _ => self.sign_each(requests, |signature| out.push(signature)),
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

/// Returns the key of requests that are to be signed together.
fn batch_key(run: &[SigningRequest<'_>]) -> Result<Option<FixedSigningKey>, ProviderError> {
    match run {
        [first, ..] if run.len() >= WORTH_IT && first.algorithm == SignatureAlgorithm::EcdsaWithSha256 => {
            Ok(FixedSigningKey::new(first.held_key()?))
        }
        _ => Ok(None),
    }
}

fn have_one_key(a: &SigningRequest<'_>, b: &SigningRequest<'_>) -> bool {
    let key = |request: &SigningRequest<'_>| request.issuer.private_key.map(ptr::from_ref);
    a.algorithm == b.algorithm && key(a).is_some() && key(a) == key(b)
}

/// So many signatures at a time are faster than those of other providers, one by one.
const WORTH_IT: usize = 8;

//! The provider in pure Rust, on `p256`, `p384`, `rsa` and `sha2`.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::{KeyReply, KeyRequest, KeySource, Signature, Signer, SigningRequest};
use crate::provider::{Entropy, ProviderError};
use crate::x509::PrivateKey;

/// Keys and signatures in pure Rust.
///
/// The random source is the caller's. Each key is made from 32 bytes of it, stretched by ChaCha20, so that a source
/// that can fail is asked before the search for primes and not in the midst of it. RSA signatures are blinded
/// with such a stream too; ECDSA takes its nonces from RFC 6979 and needs no randomness.
#[derive(Debug)]
pub struct RustCrypto<E> {
    entropy: Mutex<E>,
}

impl<E: Entropy> RustCrypto<E> {
    /// Returns a provider that draws from `entropy`, which must be a cryptographic source.
    #[must_use]
    pub const fn new(entropy: E) -> Self {
        Self { entropy: Mutex::new(entropy) }
    }

    fn stream(&self) -> Result<ChaCha20Rng, ProviderError> {
        let mut seed = Zeroizing::new([0; 32]);
        // A panic of another holder of the lock leaves no state that could be wrong.
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).fill(seed.as_mut_slice())?;
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}

impl<E: Entropy> KeySource for RustCrypto<E> {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        let key = |request: &KeyRequest| {
            let key = PrivateKey::generate(request.algorithm, &mut self.stream()?);
            key.map(KeyReply).map_err(|error| ProviderError::new(format!("{}: {error}", request.slot)))
        };
        requests.iter().map(key).collect()
    }
}

impl<E: Entropy> Signer for RustCrypto<E> {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let signature = |request: &SigningRequest<'_>| {
            let signed = request.held_key()?.sign(request.message, &mut self.stream()?);
            let bytes = signed.map_err(|error| ProviderError::new(format!("{}: {error}", request.slot)))?;
            Ok(Signature::new(bytes))
        };
        requests.iter().map(signature).collect()
    }
}

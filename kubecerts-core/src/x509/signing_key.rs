//! Many signatures by one key.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::PrivateKey;
use super::p256::{BATCH, SecretKey};
use crate::provider::{Entropy, ProviderError};

/// A private key that signs many messages at a time: one on P-256.
///
/// Signatures share their inversions, up to 64 of them, which makes each eight times as fast as one alone. They are of SHA-256 and in
/// the DER of `Ecdsa-Sig-Value` (RFC 3279 §2.2.3). A nonce is a hash of the private key, of 32 fresh random bytes and of the message's
/// hash: secret as long as the hash function is good, also when the random source repeats itself or is known.
///
/// It is wiped on drop and never shown. What is done with it takes the same instructions for every key and every nonce, and reads memory at
/// the same addresses. The code is written so, and `benches/constant_time.rs` compares traces of it as it is compiled there; nobody else
/// has audited it.
pub struct FixedSigningKey(SecretKey);

impl FixedSigningKey {
    /// Prepares `key`. `None` unless it is on P-256.
    #[must_use]
    pub fn new(key: &PrivateKey) -> Option<Self> {
        key.secret_p256().map(|secret| Self(SecretKey::new(secret)))
    }

    /// Signs `messages` and calls `give` with each signature, in their order. For one that was found wrong before it was given, as by a
    /// fault of the processor, it is called with `None`.
    ///
    /// # Errors
    /// What `entropy` fails with; then the rest of the messages is not signed.
    pub fn sign<'a>(
        &self,
        mut messages: impl ExactSizeIterator<Item = &'a [u8]>,
        entropy: &mut dyn Entropy,
        mut give: impl FnMut(Option<&[u8]>),
    ) -> Result<(), ProviderError> {
        let mut random = Zeroizing::new([[0; 32]; BATCH]);
        let mut hashes = [[0; 32]; BATCH];
        while messages.len() > 0 {
            let count = messages.len().min(BATCH);
            let (random, hashes) = (&mut random[..count], &mut hashes[..count]);
            entropy.fill(random.as_flattened_mut())?;
            for (hash, message) in hashes.iter_mut().zip(&mut messages) {
                *hash = Sha256::digest(message).into();
            }
            self.0.sign(hashes, random, &mut give);
        }
        Ok(())
    }
}

impl fmt::Debug for FixedSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

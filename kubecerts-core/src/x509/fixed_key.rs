//! Verification of many signatures by one key.

use super::{PublicKey, SignatureAlgorithm, SignatureVerdict, verify};

/// What was signed, and the signature.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a message and its signature")]
pub struct SignedMessage<'a> {
    /// The message, not hashed.
    pub message: &'a [u8],
    /// PKCS#1 v1.5 octets for RSA, the DER of `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) for ECDSA.
    pub signature: &'a [u8],
}

/// Somebody who verifies signatures by one key, whole batches of them.
pub trait Verifier {
    /// Returns the position of the first of `signed` whose signature is not by the key; `None` when all are.
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize>;
}

/// A key by which many signatures are verified: what depends on the key alone is computed once.
#[derive(Clone, Debug)]
pub struct FixedKey {
    key: PublicKey,
    algorithm: SignatureAlgorithm,
}

impl FixedKey {
    /// Prepares `key` for signatures made with `algorithm`.
    #[must_use]
    pub fn new(key: &PublicKey, algorithm: SignatureAlgorithm) -> Self {
        Self { key: key.clone(), algorithm }
    }
}

impl Verifier for FixedKey {
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize> {
        signed.iter().position(|SignedMessage { message, signature }| {
            verify(&self.key, self.algorithm, message, signature) != SignatureVerdict::Valid
        })
    }
}

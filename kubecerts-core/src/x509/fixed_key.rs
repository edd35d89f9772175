//! Verification of many signatures by one key.

use std::sync::Arc;

use p384::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1v15;
use sha2::{Digest as _, Sha256, Sha384};
use spki::DecodePublicKey as _;

use super::{KeyType, PublicKey, SignatureAlgorithm, p256};

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
///
/// For P-256 that is the key's multiples, which are kept in 256 KiB once there have been enough signatures to be worth it; the others
/// are then verified several times as fast. Clones share them.
#[derive(Clone, Debug)]
pub struct FixedKey {
    prepared: Prepared,
    algorithm: SignatureAlgorithm,
}

#[derive(Clone, Debug)]
enum Prepared {
    P256(Arc<p256::FixedKey>),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(pkcs1v15::VerifyingKey<Sha256>),
    /// A key of another kind, or damaged, or that no signature of the algorithm can be by.
    Unusable,
}

impl FixedKey {
    /// Prepares `key` for signatures made with `algorithm`. Where these do not go together, no signature is valid.
    #[must_use]
    pub fn new(key: &PublicKey, algorithm: SignatureAlgorithm) -> Self {
        Self { prepared: Prepared::new(key, algorithm).unwrap_or(Prepared::Unusable), algorithm }
    }
}

impl Verifier for FixedKey {
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize> {
        match self.algorithm {
            SignatureAlgorithm::Sha256WithRsa | SignatureAlgorithm::EcdsaWithSha256 => {
                self.prepared.first_invalid(signed, |message: &[u8]| Sha256::digest(message))
            }
            SignatureAlgorithm::EcdsaWithSha384 => {
                self.prepared.first_invalid(signed, |message: &[u8]| Sha384::digest(message))
            }
        }
    }
}

impl Prepared {
    fn new(key: &PublicKey, algorithm: SignatureAlgorithm) -> Option<Self> {
        let der = key.as_der();
        match (key.key_type(), algorithm) {
            (
                KeyType::EcdsaP256,
                SignatureAlgorithm::EcdsaWithSha256 | SignatureAlgorithm::EcdsaWithSha384,
            ) => Some(Self::P256(Arc::new(p256::FixedKey::new(p256::Key::from_der(der)?)))),
            (
                KeyType::EcdsaP384,
                SignatureAlgorithm::EcdsaWithSha256 | SignatureAlgorithm::EcdsaWithSha384,
            ) => p384::ecdsa::VerifyingKey::from_public_key_der(der).ok().map(Self::P384),
            (KeyType::Rsa { .. }, SignatureAlgorithm::Sha256WithRsa) => {
                let key = rsa::RsaPublicKey::from_public_key_der(der).ok()?;
                Some(Self::Rsa(pkcs1v15::VerifyingKey::new(key)))
            }
            _ => None,
        }
    }

    fn first_invalid<H: AsRef<[u8]>>(
        &self,
        signed: &[SignedMessage<'_>],
        hash: impl Fn(&[u8]) -> H,
    ) -> Option<usize> {
        match self {
            Self::P256(key) => key.first_invalid(
                signed.iter().map(|&SignedMessage { message, signature }| (hash(message), signature)),
            ),
            Self::P384(key) => signed.iter().position(|SignedMessage { message, signature }| {
                let signature = p384::ecdsa::Signature::from_der(signature);
                !signature
                    .is_ok_and(|signature| key.verify_prehash(hash(message).as_ref(), &signature).is_ok())
            }),
            Self::Rsa(key) => signed.iter().position(|SignedMessage { message, signature }| {
                let signature = pkcs1v15::Signature::try_from(*signature);
                !signature
                    .is_ok_and(|signature| key.verify_prehash(hash(message).as_ref(), &signature).is_ok())
            }),
            Self::Unusable => (!signed.is_empty()).then_some(0),
        }
    }
}

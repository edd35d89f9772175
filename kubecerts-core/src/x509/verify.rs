//! Verification of signatures: the only proof that an authority signed a certificate.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_256_WITH_RSA_ENCRYPTION,
    SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
};
use p384::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1v15;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use spki::DecodePublicKey;

use super::algorithm::oid_name;
use super::rsa_verify::{self, Hash};
use super::{Certificate, KeyType, PublicKey, SignatureAlgorithm, p256};

/// What a verification found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a signature is valid, invalid, or of an unknown kind")]
pub enum SignatureVerdict {
    /// The key made the signature.
    Valid,
    /// The key did not make the signature.
    Invalid,
    /// The algorithm, named here, is not supported. Go refuses most of these too, SHA-1 among them.
    Unsupported(String),
}

impl Certificate {
    /// Verifies that `issuer`'s key signed this certificate. Names and dates are not looked at.
    #[must_use]
    pub fn verify_signature(&self, issuer: &PublicKey) -> SignatureVerdict {
        verify_oid(issuer, self.signature_oid(), self.to_be_signed(), self.signature())
    }

    /// Returns whether `authority` signed this certificate: by its name, byte for byte, and with its key. Dates are not looked at.
    pub(crate) fn is_signed_by(&self, authority: &Self) -> bool {
        self.issuer() == authority.subject()
            && self.verify_signature(authority.public_key()) == SignatureVerdict::Valid
    }
}

/// Verifies that `key` made `signature` over `message` with `algorithm`.
#[must_use]
pub fn verify(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> SignatureVerdict {
    verify_oid(key, algorithm.oid(), message, signature)
}

/// Public keys that verify several signatures each: what depends on a key alone is computed once.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(Vec<(PublicKey, Ready)>);

impl KnownKeys {
    /// Does what [`Certificate::verify_signature`] does.
    pub(crate) fn verify(&mut self, certificate: &Certificate, issuer: &PublicKey) -> SignatureVerdict {
        let index = self.0.iter().position(|(known, _)| known == issuer).unwrap_or_else(|| {
            self.0.push((issuer.clone(), Ready::for_several(issuer)));
            self.0.len() - 1
        });
        let (key, ready) = &self.0[index];
        ready.verify(key, certificate.signature_oid(), certificate.to_be_signed(), certificate.signature())
    }
}

pub(super) fn verify_oid(
    key: &PublicKey,
    algorithm: ObjectIdentifier,
    message: &[u8],
    signature: &[u8],
) -> SignatureVerdict {
    Ready::for_one(key).verify(key, algorithm, message, signature)
}

/// What was computed for a key.
#[derive(Debug)]
enum Ready {
    P256(Box<p256::FixedKey>),
    Rsa(rsa_verify::Key),
    /// Nothing: the key is of another kind, unusual or damaged, or not worth it.
    Nothing,
}

impl Ready {
    fn for_one(key: &PublicKey) -> Self {
        match key.key_type() {
            KeyType::Rsa { .. } => rsa_verify::Key::from_der(key.as_der()).map_or(Self::Nothing, Self::Rsa),
            _ => Self::Nothing,
        }
    }

    fn for_several(key: &PublicKey) -> Self {
        match (key.key_type(), p256::Key::from_der(key.as_der())) {
            (KeyType::EcdsaP256, Some(key)) => Self::P256(Box::new(p256::FixedKey::new(key))),
            _ => Self::for_one(key),
        }
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: ObjectIdentifier,
        message: &[u8],
        signature: &[u8],
    ) -> SignatureVerdict {
        let valid = match (key.key_type(), algorithm) {
            (KeyType::Rsa { .. }, SHA_256_WITH_RSA_ENCRYPTION) => {
                let hash = Sha256::digest(message);
                self.verify_rsa::<Sha256>(key, &hash, Hash::Sha256(&hash.0), signature)
            }
            (KeyType::Rsa { .. }, SHA_384_WITH_RSA_ENCRYPTION) => {
                let hash = Sha384::digest(message);
                self.verify_rsa::<Sha384>(key, &hash, Hash::Sha384(&hash.0), signature)
            }
            (KeyType::Rsa { .. }, SHA_512_WITH_RSA_ENCRYPTION) => {
                let hash = Sha512::digest(message);
                self.verify_rsa::<Sha512>(key, &hash, Hash::Sha512(&hash.0), signature)
            }
            (KeyType::EcdsaP256 | KeyType::EcdsaP384, ECDSA_WITH_SHA_256) => {
                self.verify_ecdsa(key, &Sha256::digest(message), signature)
            }
            (KeyType::EcdsaP256 | KeyType::EcdsaP384, ECDSA_WITH_SHA_384) => {
                self.verify_ecdsa(key, &Sha384::digest(message), signature)
            }
            (KeyType::EcdsaP256 | KeyType::EcdsaP384, ECDSA_WITH_SHA_512) => {
                self.verify_ecdsa(key, &Sha512::digest(message), signature)
            }
            (KeyType::Other(name), _) => return SignatureVerdict::Unsupported(name.clone()),
            // A key of one kind cannot have made a signature of the other.
            (KeyType::Rsa { .. }, ECDSA_WITH_SHA_256 | ECDSA_WITH_SHA_384 | ECDSA_WITH_SHA_512)
            | (
                KeyType::EcdsaP256 | KeyType::EcdsaP384,
                SHA_256_WITH_RSA_ENCRYPTION | SHA_384_WITH_RSA_ENCRYPTION | SHA_512_WITH_RSA_ENCRYPTION,
            ) => false,
            (_, other) => return SignatureVerdict::Unsupported(oid_name(other)),
        };
        if valid { SignatureVerdict::Valid } else { SignatureVerdict::Invalid }
    }

    /// Verifies a signature of `prehash`, which is `hash` as the `rsa` crate wants it.
    fn verify_rsa<D>(&self, key: &PublicKey, prehash: &[u8], hash: Hash<'_>, signature: &[u8]) -> bool
    where
        D: sha2::digest::Digest + const_oid::AssociatedOid,
    {
        if let Self::Rsa(key) = self {
            return key.verify(hash, signature);
        }
        let Ok(key) = rsa::RsaPublicKey::from_public_key_der(key.as_der()) else { return false };
        let Ok(signature) = pkcs1v15::Signature::try_from(signature) else { return false };
        pkcs1v15::VerifyingKey::<D>::new(key).verify_prehash(prehash, &signature).is_ok()
    }

    fn verify_ecdsa(&self, key: &PublicKey, prehash: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => key.first_invalid([(prehash, signature)].into_iter()).is_none(),
            Self::Rsa(_) | Self::Nothing => verify_ecdsa(key, prehash, signature),
        }
    }
}

fn verify_ecdsa(key: &PublicKey, prehash: &[u8], signature: &[u8]) -> bool {
    match key.key_type() {
        KeyType::EcdsaP256 => {
            p256::Key::from_der(key.as_der()).is_some_and(|key| key.verify(prehash, signature))
        }
        KeyType::EcdsaP384 => {
            let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_der(key.as_der()) else { return false };
            p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(prehash, &signature).is_ok())
        }
        KeyType::Rsa { .. } | KeyType::Other(_) => false,
    }
}

//! Keys: the public half, which may be shown, and the private half, which may not.

use std::fmt;
use std::sync::OnceLock;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use der::Decode;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::traits::PublicKeyParts;
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

#[cfg(feature = "rustcrypto")]
use super::KeyAlgorithm;
use super::algorithm::oid_name;
use super::redacted::REDACTED_LABEL;
use super::{Damage, KeyType, SignatureAlgorithm, pem, rsa_facts};
use crate::digest::Digest;
use crate::provider::{NoPublicHalves, PublicHalves};
use crate::secret::SecretBytes;

/// A public key as its subject public key info ([RFC 5280 §4.1.2.7]).
///
/// Two keys are equal when these bytes are.
///
/// [RFC 5280 §4.1.2.7]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.7
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PublicKey {
    der: Vec<u8>,
    key_type: KeyType,
}

impl PublicKey {
    /// Parses a subject public key info in DER. A key of an unknown kind is not damage.
    ///
    /// # Errors
    /// [`Damage::Der`] when the bytes are not a subject public key info.
    pub fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let info =
            SubjectPublicKeyInfoRef::from_der(der).map_err(|error| Damage::der("public key", error))?;
        let key_type = match info.algorithm.oid {
            RSA_ENCRYPTION => {
                let bytes = info.subject_public_key.as_bytes().unwrap_or_default();
                let key = rsa::pkcs1::RsaPublicKeyRef::from_der(bytes)
                    .map_err(|error| Damage::der("RSA key", error))?;
                KeyType::Rsa { bits: bit_length(key.modulus.as_bytes()) }
            }
            ID_EC_PUBLIC_KEY => {
                match info.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok()) {
                    Some(SECP_256_R_1) => KeyType::EcdsaP256,
                    Some(SECP_384_R_1) => KeyType::EcdsaP384,
                    Some(curve) => KeyType::Other(oid_name(curve)),
                    None => KeyType::Other("id-ecPublicKey".to_owned()),
                }
            }
            other => KeyType::Other(oid_name(other)),
        };
        Ok(Self { der: der.to_vec(), key_type })
    }

    /// Parses a `PUBLIC KEY` block, as in `sa.pub`, or the key of the first certificate when there is none.
    ///
    /// # Errors
    /// [`Damage`] when there is no such block or it is malformed.
    pub fn parse_pem(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.is_empty() {
            return Err(Damage::Empty);
        }
        for block in pem::blocks(bytes) {
            let block = block?;
            match block.label() {
                "PUBLIC KEY" => return Self::parse_der(block.secret_bytes()),
                "CERTIFICATE" => {
                    return super::Certificate::parse_der(block.secret_bytes())
                        .map(|certificate| certificate.public_key().clone());
                }
                _ => {}
            }
        }
        Err(Damage::Nothing("public key"))
    }

    /// Returns the subject public key info in DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the kind and size of the key.
    #[must_use]
    pub const fn key_type(&self) -> &KeyType {
        &self.key_type
    }

    /// Returns the SHA-256 digest of the subject public key info, which kubeadm's join command pins.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns the subject key identifier that kubeadm 1.35 and later give this key: the first 20 bytes of the
    /// SHA-256 digest of the public key bits.
    #[must_use]
    pub fn key_identifier(&self) -> Vec<u8> {
        let bits = SubjectPublicKeyInfoRef::from_der(&self.der)
            .ok()
            .and_then(|info| info.subject_public_key.as_bytes().map(<[u8]>::to_vec))
            .unwrap_or_default();
        Sha256::digest(&bits)[..20].to_vec()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.key_type, self.fingerprint())
    }
}

/// The form in which a private key was written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum KeyEncoding {
    /// PKCS#1, `RSA PRIVATE KEY`: kubeadm's for RSA.
    Pkcs1,
    /// SEC1, `EC PRIVATE KEY`: kubeadm's for ECDSA.
    Sec1,
    /// PKCS#8, `PRIVATE KEY`.
    Pkcs8,
}

/// A private key. It is wiped on drop; there is no `Clone`, and `Debug` shows nothing of it.
pub struct PrivateKey {
    secret: Secret,
    encoding: KeyEncoding,
    /// Known from the first question on: for ECDSA it takes a multiplication of the curve's generator.
    public: OnceLock<PublicKey>,
}

/// In boxes, so that a key that is moved leaves no copy behind that nobody wipes.
enum Secret {
    Rsa(Box<rsa::RsaPrivateKey>),
    P256(Box<p256::SecretKey>),
    P384(Box<p384::SecretKey>),
}

impl PrivateKey {
    /// Parses the first private key in `bytes`: PEM in PKCS#1, SEC1 or PKCS#8, with other blocks and text around it.
    ///
    /// # Errors
    /// [`Damage`] when there is none, or the first is encrypted, malformed or of a kind that kubeadm does not use.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        Self::parse_block(&first_key(bytes)?)
    }

    /// Returns the public half of the first private key in `bytes`, and the form in which that is written.
    pub(crate) fn parse_public_half(
        bytes: &[u8],
        halves: &dyn PublicHalves,
    ) -> Result<(PublicKey, KeyEncoding), Damage> {
        match first_key(bytes)? {
            block if block.redacted().is_some() => Err(Damage::Redacted),
            block => Self::public_half_of_block(&block, halves),
        }
    }

    /// Returns what is known of the first private key in `bytes`, when it was left out of a redacted snapshot.
    ///
    /// A key in bare DER is not PEM, and what stands for it is not either.
    pub(crate) fn redacted_half(bytes: &[u8]) -> Result<(PublicKey, KeyEncoding), Damage> {
        if bytes.is_empty() {
            return Err(Damage::Empty);
        }
        let is_bare = |block: &pem::Block| block.redacted().is_some_and(|key| key.label.is_none());
        let first = first_of(pem::blocks(bytes).filter(|block| !block.as_ref().is_ok_and(is_bare)))?;
        Self::public_half_of_block(&first, &NoPublicHalves)
    }

    /// Returns the public half of the private key in `block`, or of the one for which it stands in a redacted snapshot.
    pub(crate) fn public_half_of_block(
        block: &pem::Block,
        halves: &dyn PublicHalves,
    ) -> Result<(PublicKey, KeyEncoding), Damage> {
        if let Some(redacted) = block.redacted() {
            return redacted.reading.clone();
        }
        let known = match block.label() {
            _ if block.is_encrypted() => None,
            "RSA PRIVATE KEY" => {
                rsa_facts::public_half(block.secret_bytes()).map(|public| (public, KeyEncoding::Pkcs1))
            }
            "EC PRIVATE KEY" => {
                p256_half(block.secret_bytes(), halves).map(|public| (public, KeyEncoding::Sec1))
            }
            _ => None,
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let key = Self::parse_block(block)?;
        Ok((key.public_key(), key.encoding()))
    }

    pub(crate) fn parse_block(block: &pem::Block) -> Result<Self, Damage> {
        if block.label() == REDACTED_LABEL {
            return Err(Damage::Redacted);
        }
        if block.is_encrypted() {
            return Err(Damage::Encrypted);
        }
        match block.label() {
            "RSA PRIVATE KEY" => Self::parse_pkcs1(block.secret_bytes()),
            "EC PRIVATE KEY" => Self::parse_sec1(block.secret_bytes()),
            "PRIVATE KEY" => Self::parse_pkcs8(block.secret_bytes()),
            other => Err(Damage::UnsupportedKey(other.to_owned())),
        }
    }

    /// Parses a private key in bare DER, whichever of the three forms it is in.
    ///
    /// # Errors
    /// [`Damage`] when the bytes are none of the three, or a key of a kind that kubeadm does not use.
    pub fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        Self::parse_pkcs8(der).or_else(|_| Self::parse_pkcs1(der)).or_else(|_| Self::parse_sec1(der))
    }

    fn parse_pkcs1(der: &[u8]) -> Result<Self, Damage> {
        let key =
            rsa::RsaPrivateKey::from_pkcs1_der(der).map_err(|error| Damage::der("RSA private key", error))?;
        Ok(Self::new(Secret::Rsa(Box::new(key)), KeyEncoding::Pkcs1))
    }

    fn parse_sec1(der: &[u8]) -> Result<Self, Damage> {
        let malformed = |error: &dyn fmt::Display| Damage::der("EC private key", error);
        let info = sec1::EcPrivateKey::from_der(der).map_err(|error| malformed(&error))?;
        let secret = match info.parameters.and_then(|parameters| parameters.named_curve()) {
            Some(SECP_256_R_1) => {
                let key = p256::SecretKey::from_sec1_der(der).map_err(|error| malformed(&error))?;
                Secret::P256(Box::new(key))
            }
            Some(SECP_384_R_1) => {
                let key = p384::SecretKey::from_sec1_der(der).map_err(|error| malformed(&error))?;
                Secret::P384(Box::new(key))
            }
            Some(curve) => return Err(Damage::UnsupportedKey(oid_name(curve))),
            None => return Err(malformed(&"it names no curve")),
        };
        Ok(Self::new(secret, KeyEncoding::Sec1).with_stated(info.public_key))
    }

    /// Parses a private key in the DER of PKCS#8 ([RFC 5958]).
    ///
    /// # Errors
    /// [`Damage`] when the bytes are malformed or the key is of a kind that kubeadm does not use.
    ///
    /// [RFC 5958]: https://www.rfc-editor.org/rfc/rfc5958
    pub fn parse_pkcs8(der: &[u8]) -> Result<Self, Damage> {
        let malformed = |error: &dyn fmt::Display| Damage::der("PKCS#8 private key", error);
        let info = p256::pkcs8::PrivateKeyInfoRef::try_from(der).map_err(|error| malformed(&error))?;
        let secret = match info.algorithm.oid {
            RSA_ENCRYPTION => {
                let key = rsa::RsaPrivateKey::from_pkcs8_der(der).map_err(|error| malformed(&error))?;
                Secret::Rsa(Box::new(key))
            }
            ID_EC_PUBLIC_KEY => match info.algorithm.parameters_oid() {
                Ok(SECP_256_R_1) => {
                    let key = p256::SecretKey::from_pkcs8_der(der).map_err(|error| malformed(&error))?;
                    Secret::P256(Box::new(key))
                }
                Ok(SECP_384_R_1) => {
                    let key = p384::SecretKey::from_pkcs8_der(der).map_err(|error| malformed(&error))?;
                    Secret::P384(Box::new(key))
                }
                Ok(curve) => return Err(Damage::UnsupportedKey(oid_name(curve))),
                Err(error) => return Err(malformed(&error)),
            },
            other => return Err(Damage::UnsupportedKey(oid_name(other))),
        };
        let key = Self::new(secret, KeyEncoding::Pkcs8);
        Ok(match (&key.secret, sec1::EcPrivateKey::from_der(info.private_key.as_bytes())) {
            (Secret::P256(_) | Secret::P384(_), Ok(inner)) => key.with_stated(inner.public_key),
            _ => key,
        })
    }

    const fn new(secret: Secret, encoding: KeyEncoding) -> Self {
        Self { secret, encoding, public: OnceLock::new() }
    }

    /// Takes over the public half that the file of an ECDSA key states: who parsed the file has multiplied to check it.
    fn with_stated(self, point: Option<&[u8]>) -> Self {
        let der = point.and_then(|point| match &self.secret {
            Secret::Rsa(_) => None,
            Secret::P256(_) => p256::PublicKey::from_sec1_bytes(point).ok()?.to_public_key_der().ok(),
            Secret::P384(_) => p384::PublicKey::from_sec1_bytes(point).ok()?.to_public_key_der().ok(),
        });
        match der.and_then(|der| PublicKey::parse_der(der.as_bytes()).ok()) {
            Some(public) => Self { public: OnceLock::from(public), ..self },
            None => self,
        }
    }

    /// Returns the form in which the key was written.
    #[must_use]
    pub const fn encoding(&self) -> KeyEncoding {
        self.encoding
    }

    /// Returns the kind and size of the key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match &self.secret {
            Secret::Rsa(key) => KeyType::Rsa { bits: key.n().as_ref().bits() },
            Secret::P256(_) => KeyType::EcdsaP256,
            Secret::P384(_) => KeyType::EcdsaP384,
        }
    }

    /// Returns the algorithm with which this key signs certificates.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        match &self.secret {
            Secret::Rsa(_) => SignatureAlgorithm::Sha256WithRsa,
            Secret::P256(_) => SignatureAlgorithm::EcdsaWithSha256,
            Secret::P384(_) => SignatureAlgorithm::EcdsaWithSha384,
        }
    }

    /// Returns the public half.
    ///
    /// # Panics
    /// Never: a key that was parsed or generated can be encoded.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.get_or_init(|| self.compute_public_key()).clone()
    }

    fn compute_public_key(&self) -> PublicKey {
        let der = match &self.secret {
            Secret::Rsa(key) => key.to_public_key().to_public_key_der(),
            Secret::P256(key) => key.public_key().to_public_key_der(),
            Secret::P384(key) => key.public_key().to_public_key_der(),
        }
        .expect("a valid public key can be encoded");
        PublicKey::parse_der(der.as_bytes()).expect("a public key that was just encoded can be parsed")
    }

    /// Returns the key in PKCS#8 DER, for providers that are not of this crate.
    ///
    /// # Panics
    /// Never: a key that was parsed or generated can be encoded.
    #[must_use]
    pub fn secret_pkcs8_der(&self) -> SecretBytes {
        let document = match &self.secret {
            Secret::Rsa(key) => key.to_pkcs8_der(),
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
        }
        .expect("a valid private key can be encoded");
        SecretBytes::new(document.as_bytes().to_vec())
    }

    /// Returns the key as kubeadm writes it: PKCS#1 for RSA, SEC1 for ECDSA, in PEM
    /// (`k8s.io/client-go/util/keyutil`, `MarshalPrivateKeyToPEM`).
    ///
    /// # Panics
    /// Never: a key that was parsed or generated can be encoded.
    #[must_use]
    pub fn secret_pem(&self) -> SecretBytes {
        const VALID: &str = "a valid private key can be encoded";
        match &self.secret {
            Secret::Rsa(key) => {
                pem::encode_secret("RSA PRIVATE KEY", key.to_pkcs1_der().expect(VALID).as_bytes())
            }
            Secret::P256(key) => pem::encode_secret("EC PRIVATE KEY", &key.to_sec1_der().expect(VALID)),
            Secret::P384(key) => pem::encode_secret("EC PRIVATE KEY", &key.to_sec1_der().expect(VALID)),
        }
    }

    /// Returns the number that a key on P-256 is, the highest byte first.
    pub(super) fn secret_p256(&self) -> Option<Zeroizing<[u8; 32]>> {
        match &self.secret {
            Secret::P256(key) => Some(Zeroizing::new(key.to_bytes().into())),
            Secret::Rsa(_) | Secret::P384(_) => None,
        }
    }

    /// Generates a key with `rng`, a cryptographic random source.
    #[cfg(feature = "rustcrypto")]
    pub(crate) fn generate(
        algorithm: KeyAlgorithm,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Self, Damage> {
        use p256::elliptic_curve::Generate;
        let failed = |error: &dyn fmt::Display| Damage::der("new key", error);
        let (secret, encoding) = match algorithm {
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
                let bits = match algorithm {
                    KeyAlgorithm::Rsa3072 => 3072,
                    KeyAlgorithm::Rsa4096 => 4096,
                    _ => 2048,
                };
                let key = rsa::RsaPrivateKey::new(rng, bits).map_err(|error| failed(&error))?;
                (Secret::Rsa(Box::new(key)), KeyEncoding::Pkcs1)
            }
            KeyAlgorithm::EcdsaP256 => {
                let scalar = p256::NonZeroScalar::generate_from_rng(rng);
                (Secret::P256(Box::new(scalar.into())), KeyEncoding::Sec1)
            }
            KeyAlgorithm::EcdsaP384 => {
                let scalar = p384::NonZeroScalar::generate_from_rng(rng);
                (Secret::P384(Box::new(scalar.into())), KeyEncoding::Sec1)
            }
        };
        Ok(Self::new(secret, encoding))
    }

    /// Signs `message`; RSA is blinded with `rng`, ECDSA takes its nonce from RFC 6979.
    #[cfg(feature = "rustcrypto")]
    pub(crate) fn sign(
        &self,
        message: &[u8],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, rsa::signature::Error> {
        use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer};
        match &self.secret {
            Secret::Rsa(key) => {
                let signer = rsa::pkcs1v15::SigningKey::<Sha256>::new(key.as_ref().clone());
                Ok(signer.try_sign_with_rng(rng, message)?.to_vec())
            }
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::SigningKey::from(key.as_ref()).try_sign(message)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    p384::ecdsa::SigningKey::from(key.as_ref()).try_sign(message)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Returns the public half of the P-256 key in `der` (SEC1, RFC 5915) when it states the one that `halves` computes.
///
/// `None` does not mean that the key is wrong: it may also be unusual. Whoever wants to know parses it as a whole. What is accepted here
/// is accepted there too.
fn p256_half(der: &[u8], halves: &dyn PublicHalves) -> Option<PublicKey> {
    let info = sec1::EcPrivateKey::from_der(der).ok()?;
    let stated = info.public_key?;
    let is_p256 = info.parameters.and_then(|parameters| parameters.named_curve()) == Some(SECP_256_R_1);
    if !is_p256 || info.private_key.len() != 32 {
        return None;
    }
    let computed = halves.p256_point(&SecretBytes::new(info.private_key.to_vec()))?;
    if stated != computed {
        return None;
    }
    let public = p256::PublicKey::from_sec1_bytes(stated).ok()?.to_public_key_der().ok()?;
    PublicKey::parse_der(public.as_bytes()).ok()
}

/// Returns the first block of `bytes` that holds a private key, which may still be malformed.
fn first_key(bytes: &[u8]) -> Result<pem::Block, Damage> {
    if bytes.is_empty() {
        return Err(Damage::Empty);
    }
    first_of(pem::decode_blocks(bytes).into_iter())
}

fn first_of(blocks: impl Iterator<Item = Result<pem::Block, Damage>>) -> Result<pem::Block, Damage> {
    for block in blocks {
        match block {
            Ok(block) if block.label().ends_with("PRIVATE KEY") => return Ok(block),
            Err(Damage::Pem { label, reason }) if label.ends_with("PRIVATE KEY") => {
                return Err(Damage::Pem { label, reason });
            }
            Ok(_) | Err(_) => {}
        }
    }
    Err(Damage::Nothing("private key in PEM"))
}

/// Returns the number of bits of a big-endian number.
fn bit_length(bytes: &[u8]) -> u32 {
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    significant.clone().next().map_or(0, |first| {
        let rest = u32::try_from(significant.count() - 1).unwrap_or(u32::MAX / 8);
        (8 - first.leading_zeros()) + rest * 8
    })
}

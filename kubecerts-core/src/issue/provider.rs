//! What a provider of keys and signatures is asked, and what it answers.
//!
//! The traits take whole batches. A provider that can do many at once gains from it; one that cannot loops.

use std::fmt;

use super::pieces::Pieces;
use crate::catalog::{CaSlot, Slot};
use crate::provider::ProviderError;
use crate::x509::{Damage, KeyAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm};

/// A source of new private keys.
pub trait KeySource {
    /// Returns one key for each request, in their order.
    ///
    /// # Errors
    /// [`ProviderError`] when a key cannot be made; then none is used.
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError>;
}

/// Somebody who signs with the keys of authorities.
pub trait Signer {
    /// Returns one signature for each request, in their order.
    ///
    /// # Errors
    /// [`ProviderError`] when something cannot be signed; then no signature is used.
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError>;

    /// Appends one signature for each request to `out`, in their order.
    ///
    /// What is issued in bulk is signed through this. A signer that can do without an allocation for each signature overrides it.
    ///
    /// # Errors
    /// [`ProviderError`] when something cannot be signed; then what `out` has is not used.
    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        for signature in self.sign(requests)? {
            out.push(signature.as_bytes());
        }
        Ok(())
    }
}

impl<S: Signer + ?Sized> Signer for &S {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        (**self).sign(requests)
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        (**self).sign_into(requests, out)
    }
}

/// A key to make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyRequest {
    /// What the key is for.
    pub slot: Slot,
    /// Its algorithm and size.
    pub algorithm: KeyAlgorithm,
}

impl KeyRequest {
    /// Returns the request for a key of `algorithm` that is for `slot`.
    #[must_use]
    pub const fn new(slot: Slot, algorithm: KeyAlgorithm) -> Self {
        Self { slot, algorithm }
    }
}

/// A new private key. It is wiped on drop and never shown.
#[derive(Debug)]
pub struct KeyReply(pub(super) PrivateKey);

impl KeyReply {
    /// Takes a key in PKCS#8 DER, as other crates make them.
    ///
    /// # Errors
    /// [`Damage`] when the bytes are not a private key that kubeadm could use.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Damage> {
        PrivateKey::parse_pkcs8(der).map(Self)
    }

    /// Returns the key.
    #[must_use]
    pub fn into_private_key(self) -> PrivateKey {
        self.0
    }

    /// Returns the public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }
}

impl From<PrivateKey> for KeyReply {
    fn from(key: PrivateKey) -> Self {
        Self(key)
    }
}

/// Bytes to sign.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SigningRequest<'a> {
    /// Whose certificate it is.
    pub slot: Slot,
    /// Whose key is to sign.
    pub issuer: IssuerKey<'a>,
    /// The algorithm; the bytes are to be hashed by the signer.
    pub algorithm: SignatureAlgorithm,
    /// The to-be-signed bytes.
    pub message: &'a [u8],
}

impl<'a> SigningRequest<'a> {
    /// Returns the request for a signature of `message`, to be hashed as `algorithm` says, with the key of `issuer`.
    #[must_use]
    pub const fn new(
        slot: Slot,
        issuer: IssuerKey<'a>,
        algorithm: SignatureAlgorithm,
        message: &'a [u8],
    ) -> Self {
        Self { slot, issuer, algorithm, message }
    }

    /// Returns the private key to sign with, for signers that work with the keys of this node.
    ///
    /// # Errors
    /// [`ProviderError`] when it is not on this node, or cannot sign with the algorithm that is asked for.
    pub fn held_key(&self) -> Result<&'a PrivateKey, ProviderError> {
        let Self { slot, issuer, algorithm, message: _ } = self;
        let Some(key) = issuer.private_key else {
            return Err(ProviderError::new(format!("{slot}: the key of {} is not on this node", issuer.ca)));
        };
        if key.signature_algorithm() != *algorithm {
            let reason = format!("{slot}: a key of {} cannot sign with {algorithm}", key.key_type());
            return Err(ProviderError::new(reason));
        }
        Ok(key)
    }
}

/// The key of an issuer: always its public half, and the private one when it is on this node.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct IssuerKey<'a> {
    /// The authority.
    pub ca: CaSlot,
    /// The public half, by which a remote signer finds the key.
    pub public_key: &'a PublicKey,
    /// The private half; `None` when it is kept elsewhere.
    pub private_key: Option<&'a PrivateKey>,
}

impl<'a> IssuerKey<'a> {
    /// Returns the key of `ca`, whose private half is `None` when it is kept elsewhere.
    #[must_use]
    pub const fn new(ca: CaSlot, public_key: &'a PublicKey, private_key: Option<&'a PrivateKey>) -> Self {
        Self { ca, public_key, private_key }
    }
}

impl fmt::Debug for IssuerKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, public_key, private_key } = self;
        let held = if private_key.is_some() { "[secret]" } else { "elsewhere" };
        write!(f, "IssuerKey({ca}, {public_key:?}, {held})")
    }
}

/// A signature: PKCS#1 v1.5 octets for RSA, the DER of `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) for ECDSA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Takes the bytes of a signature.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Many signatures, one behind the other in one piece of memory that is used again for the next batch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signatures(Pieces);

impl Signatures {
    /// Returns room for signatures, with none in it.
    #[must_use]
    pub const fn new() -> Self {
        Self(Pieces::new())
    }

    /// Appends a signature.
    pub fn push(&mut self, signature: &[u8]) {
        self.0.push(signature);
    }

    /// Forgets all signatures and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns how many signatures there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns the signatures in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter()
    }
}

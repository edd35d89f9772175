//! X.509 as kubeadm uses it: certificates, keys, names, usages, and the bytes that an authority signs.
//!
//! Nothing here knows about slots, YAML or clocks. Reading is total: whatever cannot be understood comes back as
//! [`Damage`], never as a panic. Names keep their raw bytes, because Go and webpki compare an issuer with a subject
//! byte for byte ([RFC 5280 §7.1] would allow more), so an issuer must never be re-encoded.
//!
//! [RFC 5280 §7.1]: https://www.rfc-editor.org/rfc/rfc5280#section-7.1

mod algorithm;
mod base64;
mod certificate;
mod container;
mod extension;
mod fixed_key;
mod key;
mod name;
mod p256;
mod pem;
mod raw;
mod redacted;
mod reissue;
mod request;
mod rsa_facts;
mod rsa_verify;
mod san;
mod serial;
mod signing_key;
mod tbs;
mod template;
mod usage;
mod validity;
mod verify;
mod writer;

pub use algorithm::{KeyAlgorithm, KeyType, SignatureAlgorithm, UnknownAlgorithm};
pub(crate) use base64::{decode as decode_public_base64, pack as pack_base64};
pub use certificate::{BasicConstraints, Certificate};
pub use container::delivered_certificates;
pub use extension::Extension;
pub use fixed_key::{FixedKey, SignedMessage, Verifier};
pub use key::{KeyEncoding, PrivateKey, PublicKey};
pub use name::{DistinguishedName, NameAttribute};
pub use pem::{
    Block, certificates, decode_blocks, encode_certificate, encode_certificate_into, encode_public_key,
    encode_request, replace_certificate,
};
#[cfg(feature = "serde")]
pub(crate) use redacted::{REDACTED_LABEL, RedactedKey};
pub use reissue::reissue_to_be_signed;
pub use request::{CertificateRequest, RequestedExtensions, request_to_be_signed};
pub use san::{AlternativeName, AlternativeNames, InvalidHost};
pub use serial::SerialNumber;
pub use signing_key::FixedSigningKey;
pub use tbs::{ToBeSigned, assemble};
pub use template::{Common, Template, Variable};
pub use usage::{ExtendedKeyUsages, KeyUsages, Purpose};
pub(crate) use validity::EncodedValidity;
pub use validity::{InvalidValidity, Validity};
pub(crate) use verify::KnownKeys;
pub use verify::{SignatureVerdict, verify};

/// Why bytes could not be understood. The text never holds a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// There is nothing in the file.
    #[error("is empty")]
    Empty,
    /// There is no block of the kind that was looked for.
    #[error("holds no {0}")]
    Nothing(&'static str),
    /// A PEM block begins and does not end, or is not base64.
    #[error("the PEM block {label} {reason}")]
    Pem {
        /// The label of the block.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The bytes are not the DER of what they should be.
    #[error("the {what} is malformed: {reason}")]
    Der {
        /// What was being read.
        what: &'static str,
        /// Where and how it fails.
        reason: String,
    },
    /// The private key is encrypted; kubeadm refuses such keys too.
    #[error("the private key is encrypted")]
    Encrypted,
    /// The key is of a kind that kubeadm does not use.
    #[error("the key is of an unsupported kind: {0}")]
    UnsupportedKey(String),
    /// The private key was left out when a snapshot of its node was made; only the public half is there.
    #[error("the private key was left out of a redacted snapshot; it is on its node only")]
    Redacted,
}

impl Damage {
    pub(crate) fn der(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Der { what, reason: reason.to_string() }
    }
}

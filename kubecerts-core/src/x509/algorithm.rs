//! Algorithms of keys and signatures.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE,
    ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, SHA_256_WITH_RSA_ENCRYPTION};

/// An algorithm and size of key that can be issued: kubeadm's `encryptionAlgorithm` (v1beta4).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// `RSA-2048`, kubeadm's default.
    Rsa2048,
    /// `RSA-3072`.
    Rsa3072,
    /// `RSA-4096`.
    Rsa4096,
    /// `ECDSA-P256`.
    EcdsaP256,
    /// `ECDSA-P384`, from kubeadm 1.34.
    EcdsaP384,
}

impl KeyAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::EcdsaP256, Self::EcdsaP384];

    /// Returns kubeadm's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::EcdsaP256 => "ECDSA-P256",
            Self::EcdsaP384 => "ECDSA-P384",
        }
    }

    /// Returns the algorithm with which kubeadm's Go signs when it holds such a key.
    #[must_use]
    pub const fn signature(self) -> SignatureAlgorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureAlgorithm::Sha256WithRsa,
            Self::EcdsaP256 => SignatureAlgorithm::EcdsaWithSha256,
            Self::EcdsaP384 => SignatureAlgorithm::EcdsaWithSha384,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}

/// A text that names no algorithm of kubeadm.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not one of ECDSA-P256, ECDSA-P384, RSA-2048, RSA-3072, RSA-4096")]
pub struct UnknownAlgorithm(String);

/// The kind and size of a key that was found; it may be one that cannot be issued.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum KeyType {
    /// RSA with a modulus of this many bits.
    Rsa {
        /// The length of the modulus in bits.
        bits: u32,
    },
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// Anything else, by the dotted number of its algorithm or curve, or by its name where that is known.
    Other(String),
}

impl KeyType {
    /// Returns the algorithm that makes such keys: the same, or the next larger RSA size that kubeadm knows.
    ///
    /// RSA keys below 2048 bits are answered with 2048, since current Go refuses shorter ones. `None` when
    /// there is no such algorithm.
    #[must_use]
    pub const fn issuable(&self) -> Option<KeyAlgorithm> {
        match self {
            Self::Rsa { bits: 0..=2048 } => Some(KeyAlgorithm::Rsa2048),
            Self::Rsa { bits: 2049..=3072 } => Some(KeyAlgorithm::Rsa3072),
            Self::Rsa { bits: 3073..=4096 } => Some(KeyAlgorithm::Rsa4096),
            Self::EcdsaP256 => Some(KeyAlgorithm::EcdsaP256),
            Self::EcdsaP384 => Some(KeyAlgorithm::EcdsaP384),
            Self::Rsa { .. } | Self::Other(_) => None,
        }
    }

    /// Returns the algorithm with which such a key signs certificates, or `None` when it cannot here.
    #[must_use]
    pub const fn signature(&self) -> Option<SignatureAlgorithm> {
        match self {
            Self::Rsa { .. } => Some(SignatureAlgorithm::Sha256WithRsa),
            Self::EcdsaP256 => Some(SignatureAlgorithm::EcdsaWithSha256),
            Self::EcdsaP384 => Some(SignatureAlgorithm::EcdsaWithSha384),
            Self::Other(_) => None,
        }
    }
}

impl From<KeyAlgorithm> for KeyType {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Rsa2048 => Self::Rsa { bits: 2048 },
            KeyAlgorithm::Rsa3072 => Self::Rsa { bits: 3072 },
            KeyAlgorithm::Rsa4096 => Self::Rsa { bits: 4096 },
            KeyAlgorithm::EcdsaP256 => Self::EcdsaP256,
            KeyAlgorithm::EcdsaP384 => Self::EcdsaP384,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::EcdsaP256 => f.write_str("ECDSA-P256"),
            Self::EcdsaP384 => f.write_str("ECDSA-P384"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// An algorithm with which certificates are signed here; it follows from the authority's key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// PKCS#1 v1.5 with SHA-256, for RSA keys of every size.
    Sha256WithRsa,
    /// ECDSA with SHA-256, for P-256.
    EcdsaWithSha256,
    /// ECDSA with SHA-384, for P-384.
    EcdsaWithSha384,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha256WithRsa, Self::EcdsaWithSha256, Self::EcdsaWithSha384];

    /// Returns the name of RFC 5912, such as `sha256WithRSAEncryption`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256WithRsa => "sha256WithRSAEncryption",
            Self::EcdsaWithSha256 => "ecdsa-with-SHA256",
            Self::EcdsaWithSha384 => "ecdsa-with-SHA384",
        }
    }

    /// Returns the object identifier that certificates name the algorithm by.
    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256WithRsa => SHA_256_WITH_RSA_ENCRYPTION,
            Self::EcdsaWithSha256 => ECDSA_WITH_SHA_256,
            Self::EcdsaWithSha384 => ECDSA_WITH_SHA_384,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the name of an object identifier, or its dotted number when the name is not known.
pub(super) fn oid_name(oid: ObjectIdentifier) -> String {
    known_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

/// Returns the name of an object identifier.
pub(super) fn known_name(oid: ObjectIdentifier) -> Option<&'static str> {
    let frequent = FREQUENT.iter().find(|(frequent, _)| *frequent == oid);
    frequent.map(|(_, name)| *name).or_else(|| const_oid::db::DB.by_oid(&oid))
}

/// What every certificate names. The whole list has more than a thousand entries, and looking one up costs microseconds.
const FREQUENT: [(ObjectIdentifier, &str); 9] = [
    (ID_CE_KEY_USAGE, "id-ce-keyUsage"),
    (ID_CE_EXT_KEY_USAGE, "id-ce-extKeyUsage"),
    (ID_CE_BASIC_CONSTRAINTS, "id-ce-basicConstraints"),
    (ID_CE_AUTHORITY_KEY_IDENTIFIER, "id-ce-authorityKeyIdentifier"),
    (ID_CE_SUBJECT_ALT_NAME, "id-ce-subjectAltName"),
    (ID_CE_SUBJECT_KEY_IDENTIFIER, "id-ce-subjectKeyIdentifier"),
    (SHA_256_WITH_RSA_ENCRYPTION, SignatureAlgorithm::Sha256WithRsa.name()),
    (ECDSA_WITH_SHA_256, SignatureAlgorithm::EcdsaWithSha256.name()),
    (ECDSA_WITH_SHA_384, SignatureAlgorithm::EcdsaWithSha384.name()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_parse_by_kubeadms_names() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(KeyType::from(algorithm).issuable(), Some(algorithm));
        }
        assert!("ED25519".parse::<KeyAlgorithm>().is_err());
    }

    #[test]
    fn frequent_names_are_those_of_the_whole_list() {
        for (oid, name) in FREQUENT {
            assert_eq!(const_oid::db::DB.by_oid(&oid), Some(name));
        }
    }

    #[test]
    fn odd_rsa_sizes_are_rounded_up_never_down() {
        for (bits, issued) in
            [(1024, KeyAlgorithm::Rsa2048), (2049, KeyAlgorithm::Rsa3072), (4096, KeyAlgorithm::Rsa4096)]
        {
            assert_eq!(KeyType::Rsa { bits }.issuable(), Some(issued));
        }
        assert_eq!(KeyType::Rsa { bits: 8192 }.issuable(), None);
    }
}

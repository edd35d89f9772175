//! What a key may be used for.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use der::asn1::BitStringRef;
use der::{Decode, Encode};

use super::Damage;
use super::algorithm::known_name;
use crate::catalog::ExtendedUsage;

/// The bits of the key usage extension ([RFC 5280 §4.2.1.3]); bit 0 is `digitalSignature`.
///
/// [RFC 5280 §4.2.1.3]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.3
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyUsages(u16);

const USAGE_NAMES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

impl KeyUsages {
    /// `digitalSignature` and `keyEncipherment`: kubeadm's leaves, whatever their key (`pkiutil/pki_helpers.go`).
    pub const LEAF: Self = Self(1 << 0 | 1 << 2);

    /// `digitalSignature` alone: what a kubelet with an ECDSA key asks for, which cannot encipher
    /// (`k8s.io/client-go/util/certificate/certificate_manager.go`, `GetUsages`).
    pub const SIGNATURE: Self = Self(1 << 0);

    /// The usages of a leaf and `keyCertSign`: kubeadm's authorities; `cRLSign` is not among them.
    pub const AUTHORITY: Self = Self(1 << 0 | 1 << 2 | 1 << 5);

    /// `keyCertSign` and `cRLSign`, which only an authority may have.
    const OF_AUTHORITIES: u16 = 1 << 5 | 1 << 6;

    /// Returns whether the key may sign certificates.
    #[must_use]
    pub const fn can_sign_certificates(self) -> bool {
        self.0 & (1 << 5) != 0
    }

    /// Returns these usages without those that only an authority may have.
    #[must_use]
    pub const fn without_authority(self) -> Self {
        Self(self.0 & !Self::OF_AUTHORITIES)
    }

    /// Returns these usages without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether there is no usage.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of the usages in the order of their bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        USAGE_NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| name)
    }

    /// Returns the usages that `names` names, or `None` when one of them is unknown.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        names.into_iter().try_fold(Self::default(), |usages, name| {
            let bit = USAGE_NAMES.iter().position(|known| *known == name)?;
            Some(Self(usages.0 | 1 << bit))
        })
    }

    pub(super) fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let bits = BitStringRef::from_der(der).map_err(|error| Damage::der("keyUsage", error))?;
        let set = bits.bits().take(USAGE_NAMES.len()).enumerate().filter(|(_, set)| *set);
        Ok(Self(set.fold(0, |usages, (bit, _)| usages | 1 << bit)))
    }

    pub(super) fn to_der(self) -> der::Result<Vec<u8>> {
        // Bit 0 is the first bit on the wire, and DER drops trailing zero bits.
        let wire = self.0.reverse_bits().to_be_bytes();
        let length = 16 - self.0.leading_zeros();
        let bytes = usize::try_from(length.div_ceil(8)).expect("a length below 16 fits");
        let unused = u8::try_from(bytes * 8).expect("at most 16") - u8::try_from(length).expect("at most 16");
        BitStringRef::new(unused, &wire[..bytes])?.to_der()
    }
}

impl fmt::Display for KeyUsages {
    /// Writes the names in the order of their bits, as `digitalSignature, keyEncipherment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

/// A purpose of the extended key usage extension.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Purpose(ObjectIdentifier);

impl Purpose {
    /// `serverAuth`.
    pub const SERVER_AUTH: Self = Self(const_oid::db::rfc5280::ID_KP_SERVER_AUTH);
    /// `clientAuth`.
    pub const CLIENT_AUTH: Self = Self(const_oid::db::rfc5280::ID_KP_CLIENT_AUTH);
    /// `anyExtendedKeyUsage`.
    pub const ANY: Self = Self(const_oid::db::rfc5280::ANY_EXTENDED_KEY_USAGE);

    const NAMES: [(Self, &'static str); 3] = [
        (Self::SERVER_AUTH, "serverAuth"),
        (Self::CLIENT_AUTH, "clientAuth"),
        (Self::ANY, "anyExtendedKeyUsage"),
    ];
}

impl From<ExtendedUsage> for Purpose {
    fn from(usage: ExtendedUsage) -> Self {
        match usage {
            ExtendedUsage::ServerAuth => Self::SERVER_AUTH,
            ExtendedUsage::ClientAuth => Self::CLIENT_AUTH,
        }
    }
}

impl fmt::Display for Purpose {
    /// Writes the purpose's name, or its dotted number when it is none that Kubernetes uses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(purpose, _)| purpose == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Purpose {
    type Err = InvalidPurpose;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((purpose, _)) = Self::NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*purpose);
        }
        ObjectIdentifier::new(text).map(Self).map_err(|_| InvalidPurpose(text.to_owned()))
    }
}

/// A text that is neither the name nor the number of a purpose.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not an extended key usage, such as serverAuth or 1.3.6.1.5.5.7.3.1")]
pub struct InvalidPurpose(String);

/// The purposes of a certificate, in their order; unknown ones are kept.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExtendedKeyUsages(Vec<Purpose>);

impl ExtendedKeyUsages {
    /// Returns `purposes` in the given order.
    #[must_use]
    pub const fn new(purposes: Vec<Purpose>) -> Self {
        Self(purposes)
    }

    /// Returns the purposes in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Purpose] {
        &self.0
    }

    /// Returns whether there is no purpose, which means that the certificate does not restrict its use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the certificate may be used for `purpose`.
    #[must_use]
    pub fn allows(&self, purpose: Purpose) -> bool {
        self.0.is_empty() || self.0.contains(&purpose) || self.0.contains(&Purpose::ANY)
    }

    pub(super) fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let oids =
            Vec::<ObjectIdentifier>::from_der(der).map_err(|error| Damage::der("extKeyUsage", error))?;
        Ok(Self(oids.into_iter().map(Purpose).collect()))
    }

    pub(super) fn to_der(&self) -> der::Result<Vec<u8>> {
        self.0.iter().map(|purpose| purpose.0).collect::<Vec<_>>().to_der()
    }
}

/// Returns the name of an extension, or its dotted number.
pub(super) fn extension_name(oid: ObjectIdentifier) -> String {
    match known_name(oid) {
        Some(name) => name.strip_prefix("id-ce-").unwrap_or(name).to_owned(),
        None => oid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usages_round_trip_and_are_minimal() {
        assert_eq!(KeyUsages::LEAF.to_der().unwrap(), [3, 2, 5, 0xa0]);
        assert_eq!(KeyUsages::AUTHORITY.to_der().unwrap(), [3, 2, 2, 0xa4]);
        for bits in 0..512 {
            let usages = KeyUsages(bits);
            assert_eq!(KeyUsages::parse_der(&usages.to_der().unwrap()), Ok(usages));
            assert_eq!(KeyUsages::from_names(usages.names()), Some(usages));
        }
    }

    #[test]
    fn authority_usages_are_taken_from_leaves() {
        assert_eq!(KeyUsages::AUTHORITY.without_authority(), KeyUsages::LEAF);
    }

    #[test]
    fn unknown_purposes_are_kept() {
        let purposes = ["serverAuth", "1.3.6.1.5.5.7.3.17", "clientAuth"].map(|text| text.parse().unwrap());
        let usages = ExtendedKeyUsages::new(purposes.to_vec());
        assert_eq!(ExtendedKeyUsages::parse_der(&usages.to_der().unwrap()), Ok(usages));
        assert_eq!(purposes[1].to_string(), "1.3.6.1.5.5.7.3.17");
    }
}

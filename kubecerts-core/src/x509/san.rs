//! Subject alternative names ([RFC 5280 §4.2.1.6]), of every kind and in their order.
//!
//! [RFC 5280 §4.2.1.6]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use der::asn1::{Any, AnyRef};
use der::{Class, Decode, Encode, Tag, TagNumber, Tagged};

use super::Damage;
use crate::catalog::NodeName;
use crate::digest::{hex, parse_hex};

/// One alternative name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum AlternativeName {
    /// A DNS name.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
    /// An e-mail address.
    Email(String),
    /// A URI.
    Uri(String),
    /// A name of another kind, or one whose content is not what its kind demands, as its whole DER.
    ///
    /// An empty name, and one with blanks or control characters, is of this variant too, so that every other name can
    /// be shown as it is and read back.
    Other(Vec<u8>),
}

impl AlternativeName {
    /// Parses a name as kubeadm does for a certificate: an IP address, a DNS name in lower case, or one with `*.` before it
    /// (`RemoveInvalidOrDuplicateSANs` and its callers in `cmd/kubeadm/app/util/pkiutil/pki_helpers.go`).
    #[must_use]
    pub fn of_kubeadm(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        NodeName::parse(name).is_ok_and(|parsed| parsed.as_str() == name).then(|| Self::Dns(text.to_owned()))
    }

    fn from_any(any: AnyRef<'_>) -> Self {
        let other = || Self::Other(any.to_der().unwrap_or_default());
        let text = || std::str::from_utf8(any.value()).ok().filter(|text| is_plain(text)).map(str::to_owned);
        match context_number(any.tag()) {
            Some(1) => text().map_or_else(other, Self::Email),
            Some(2) => text().map_or_else(other, Self::Dns),
            Some(6) => text().map_or_else(other, Self::Uri),
            Some(7) => match any.value().len() {
                4 => <[u8; 4]>::try_from(any.value())
                    .map_or_else(|_| other(), |octets| Self::Ip(octets.into())),
                16 => <[u8; 16]>::try_from(any.value())
                    .map_or_else(|_| other(), |octets| Self::Ip(octets.into())),
                _ => other(),
            },
            _ => other(),
        }
    }

    fn to_any(&self) -> der::Result<Any> {
        match self {
            Self::Email(text) => Any::new(context_tag(1), text.as_bytes()),
            Self::Dns(text) => Any::new(context_tag(2), text.as_bytes()),
            Self::Uri(text) => Any::new(context_tag(6), text.as_bytes()),
            Self::Ip(IpAddr::V4(address)) => Any::new(context_tag(7), address.octets()),
            Self::Ip(IpAddr::V6(address)) => Any::new(context_tag(7), address.octets()),
            Self::Other(der) => Any::from_der(der),
        }
    }
}

impl fmt::Display for AlternativeName {
    /// Writes the name with its kind, as OpenSSL does: `DNS:kubernetes`, `IP:10.96.0.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Email(name) => write!(f, "email:{name}"),
            Self::Uri(name) => write!(f, "URI:{name}"),
            Self::Other(der) => write!(f, "DER:{}", hex(der)),
        }
    }
}

impl FromStr for AlternativeName {
    type Err = InvalidName;

    /// Parses what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName(text.to_owned());
        let (kind, value) = text.split_once(':').ok_or_else(invalid)?;
        let plain = || is_plain(value).then(|| value.to_owned()).ok_or_else(invalid);
        match kind {
            "DNS" => plain().map(Self::Dns),
            "IP" => value.parse().map(Self::Ip).map_err(|_| invalid()),
            "email" => plain().map(Self::Email),
            "URI" => plain().map(Self::Uri),
            "DER" => {
                let der = parse_hex(value).ok_or_else(invalid)?;
                Any::from_der(&der).map_err(|_| invalid())?;
                Ok(Self::Other(der))
            }
            _ => Err(invalid()),
        }
    }
}

/// A text that is not an alternative name with its kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not an alternative name, such as DNS:kubernetes or IP:10.96.0.1")]
pub struct InvalidName(String);

/// The alternative names of a certificate, in their order.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AlternativeNames(Vec<AlternativeName>);

impl AlternativeNames {
    /// Returns `names` in the given order.
    #[must_use]
    pub const fn new(names: Vec<AlternativeName>) -> Self {
        Self(names)
    }

    /// Returns the names in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[AlternativeName] {
        &self.0
    }

    /// Returns whether there is no name.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names, each with its kind, in their order.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Parses the content of the extension.
    pub(super) fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let names = Vec::<AnyRef<'_>>::from_der(der).map_err(|error| Damage::der("subjectAltName", error))?;
        Ok(Self(names.into_iter().map(AlternativeName::from_any).collect()))
    }

    /// Returns the content of the extension.
    pub(super) fn to_der(&self) -> der::Result<Vec<u8>> {
        let names: Vec<Any> = self.0.iter().map(AlternativeName::to_any).collect::<Result<_, _>>()?;
        names.to_der()
    }
}

/// Returns whether a text can be shown as it is: visible characters of ASCII, at least one.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn context_number(tag: Tag) -> Option<u32> {
    (tag.class() == Class::ContextSpecific && !tag.is_constructed()).then(|| tag.number().value())
}

const fn context_tag(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_name() -> impl Strategy<Value = AlternativeName> {
        prop_oneof![
            "[a-z0-9.*-]{1,40}".prop_map(AlternativeName::Dns),
            any::<IpAddr>().prop_map(AlternativeName::Ip),
            "[a-z]{1,9}@[a-z.]{1,9}".prop_map(AlternativeName::Email),
            "[a-z]{1,9}://[a-z/]{1,9}".prop_map(AlternativeName::Uri),
            // registeredID, which has no variant of its own.
            Just(AlternativeName::Other(vec![0x88, 3, 42, 3, 4])),
        ]
    }

    proptest! {
        #[test]
        fn encoding_and_parsing_keep_order_and_kind(names in prop::collection::vec(any_name(), 0..9)) {
            let names = AlternativeNames::new(names);
            prop_assert_eq!(AlternativeNames::parse_der(&names.to_der().unwrap()).unwrap(), names.clone());
            for name in names.as_slice() {
                prop_assert_eq!(&name.to_string().parse::<AlternativeName>().unwrap(), name);
            }
        }

        #[test]
        fn whatever_parses_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(names) = AlternativeNames::parse_der(&bytes) {
                prop_assert_eq!(names.to_der().unwrap(), bytes);
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_kept_as_bytes() {
        for der in [&[0x82, 0][..], &[0x82, 3, b'a', 0x1b, b'b'], &[0x86, 2, b' ', b'a']] {
            let der = [&[0x30, u8::try_from(der.len()).unwrap()], der].concat();
            let names = AlternativeNames::parse_der(&der).unwrap();
            assert!(matches!(names.as_slice(), [AlternativeName::Other(_)]));
            assert_eq!(names.to_der().unwrap(), der);
            assert_eq!(names.texts().next().unwrap().parse().as_ref(), Ok(&names.as_slice()[0]));
        }
    }

    #[test]
    fn an_address_of_odd_length_is_kept_as_it_is() {
        let der = [0x30, 5, 0x87, 3, 1, 2, 3];
        let names = AlternativeNames::parse_der(&der).unwrap();
        assert_eq!(names.as_slice(), [AlternativeName::Other(vec![0x87, 3, 1, 2, 3])]);
        assert_eq!(names.to_der().unwrap(), der);
    }
}

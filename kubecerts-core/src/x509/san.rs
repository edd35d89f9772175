//! Subject alternative names ([RFC 5280 §4.2.1.6]), of every kind and in their order.
//!
//! [RFC 5280 §4.2.1.6]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use der::asn1::{Any, AnyRef};
use der::{Class, Decode, Encode, Tag, TagNumber, Tagged};

use super::Damage;
use super::writer::{SEQUENCE, push_header, push_value, value_length, writable};
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

    /// Returns whether it is a DNS name by its kind only.
    pub(crate) fn is_no_dns(&self) -> bool {
        match self {
            Self::Dns(name) => !NodeName::is_name_in_any_case(name.strip_prefix("*.").unwrap_or(name)),
            _ => false,
        }
    }

    /// Parses a name that somebody wrote, or that is part of a URL: what [`of_kubeadm`](Self::of_kubeadm) takes, in capitals too,
    /// for DNS knows no difference; they become lower case.
    ///
    /// A text that has the form of an address and is none, such as `10.0.0.256`, is no name: nobody means it.
    ///
    /// # Errors
    /// [`InvalidHost`] when `text` is neither a DNS name nor an address.
    pub fn parse_host(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.to_owned());
        let name = Self::of_kubeadm(&text.to_ascii_lowercase()).ok_or_else(invalid)?;
        if let Self::Dns(dns) = &name {
            let last = dns.rsplit('.').next().unwrap_or_default();
            let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
            // RFC 1035 §2.3.4, which Kubernetes does not check.
            if is_number || dns.len() > 253 || dns.split('.').any(|label| label.len() > 63) {
                return Err(invalid());
            }
        }
        Ok(name)
    }

    /// Returns whether a certificate with this name is accepted by a client that wants `other`, as Go decides it: a wildcard
    /// stands for one label, capitals and a final dot make no difference, an address of IPv4 may be written as one of IPv6
    /// (`crypto/x509/verify.go`).
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ip(own), Self::Ip(wanted)) => own.to_canonical() == wanted.to_canonical(),
            (Self::Dns(own), Self::Dns(wanted)) => {
                let [own, wanted] = [own, wanted].map(|name| name.trim_end_matches('.').to_ascii_lowercase());
                let below = own.strip_prefix("*.").filter(|rest| !rest.is_empty());
                let is_below = |rest| {
                    wanted.split_once('.').is_some_and(|(label, parent)| label != "*" && parent == rest)
                };
                own == wanted || below.is_some_and(is_below)
            }
            _ => self == other,
        }
    }

    /// Returns the name without its kind: what stands in a URL or in a configuration.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Dns(name) | Self::Email(name) | Self::Uri(name) => name.clone(),
            Self::Ip(address) => address.to_string(),
            Self::Other(der) => hex(der),
        }
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

    /// Returns how many bytes the name is long in DER.
    fn der_length(&self) -> der::Result<usize> {
        Ok(match self {
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => value_length(text.len()),
            Self::Ip(IpAddr::V4(_)) => value_length(4),
            Self::Ip(IpAddr::V6(_)) => value_length(16),
            Self::Other(der) => {
                AnyRef::from_der(der)?;
                der.len()
            }
        })
    }

    /// Appends the name in DER, which has a length.
    fn push_der(&self, out: &mut Vec<u8>) {
        match self {
            Self::Email(text) => push_value(CONTEXT | 1, text.as_bytes(), out),
            Self::Dns(text) => push_value(CONTEXT | 2, text.as_bytes(), out),
            Self::Uri(text) => push_value(CONTEXT | 6, text.as_bytes(), out),
            Self::Ip(IpAddr::V4(address)) => push_value(CONTEXT | 7, &address.octets(), out),
            Self::Ip(IpAddr::V6(address)) => push_value(CONTEXT | 7, &address.octets(), out),
            Self::Other(der) => out.extend_from_slice(der),
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

/// A text that is neither a DNS name nor an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is neither a DNS name (RFC 1123, perhaps with *. before it) nor an address")]
pub struct InvalidHost(String);

/// The alternative names of a certificate, in their order.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AlternativeNames {
    names: Vec<AlternativeName>,
    /// The content of the extension, so that no certificate encodes it again; nothing when there is no name, `None` when a name
    /// is no DER.
    der: Option<Vec<u8>>,
    /// Whether each DNS name among them is one, so that no certificate has them looked at again.
    are_dns: bool,
}

impl AlternativeNames {
    /// No name.
    pub const NONE: Self = Self { names: Vec::new(), der: Some(Vec::new()), are_dns: true };

    /// Returns `names` in the given order.
    #[must_use]
    pub fn new(names: Vec<AlternativeName>) -> Self {
        match names.is_empty() {
            true => Self::NONE,
            false => Self {
                der: encode(&names).ok(),
                are_dns: !names.iter().any(AlternativeName::is_no_dns),
                names,
            },
        }
    }

    /// Returns the names in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[AlternativeName] {
        &self.names
    }

    /// Returns whether there is no name.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns whether every DNS name among them is one, or `*.` and one for everything below it: RFC 1123 §2.1, in any case.
    pub(crate) const fn are_dns(&self) -> bool {
        self.are_dns
    }

    /// Returns the names, each with its kind, in their order.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(ToString::to_string)
    }

    /// Returns whether a client that wants `name` accepts a certificate with these names.
    #[must_use]
    pub fn covers(&self, name: &AlternativeName) -> bool {
        self.names.iter().any(|own| own.covers(name))
    }

    /// Parses the content of the extension.
    pub(super) fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let names = Vec::<AnyRef<'_>>::from_der(der).map_err(|error| Damage::der("subjectAltName", error))?;
        Ok(Self::new(names.into_iter().map(AlternativeName::from_any).collect()))
    }

    /// Returns the content of the extension as it was encoded when the names came together; nothing when there is none.
    pub(super) fn as_der(&self) -> der::Result<&[u8]> {
        match &self.der {
            Some(der) => Ok(der),
            None => Err(encode(&self.names).expect_err("names that have no DER cannot be encoded")),
        }
    }

    /// Encodes the content of the extension.
    pub(super) fn to_der(&self) -> der::Result<Vec<u8>> {
        let names: Vec<Any> = self.names.iter().map(AlternativeName::to_any).collect::<Result<_, _>>()?;
        names.to_der()
    }
}

impl Default for AlternativeNames {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for AlternativeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AlternativeNames").field(&self.names).finish()
    }
}

/// Encodes `names` straight into one buffer.
fn encode(names: &[AlternativeName]) -> der::Result<Vec<u8>> {
    let content = names
        .iter()
        .try_fold(0_usize, |all, name| name.der_length().map(|length| all.saturating_add(length)))?;
    let mut der = Vec::with_capacity(writable(value_length(content))?);
    push_header(SEQUENCE, content, &mut der);
    for name in names {
        name.push_der(&mut der);
    }
    Ok(der)
}

/// Returns whether a text can be shown as it is: visible characters of ASCII, at least one.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn context_number(tag: Tag) -> Option<u32> {
    (tag.class() == Class::ContextSpecific && !tag.is_constructed()).then(|| tag.number().value())
}

/// The first byte of a tag of the context-specific class, not constructed.
const CONTEXT: u8 = 0x80;

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
            let kept = if names.is_empty() { Vec::new() } else { names.to_der().unwrap() };
            prop_assert_eq!(names.as_der().unwrap(), kept);
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

    fn dns(name: &str) -> AlternativeName {
        AlternativeName::Dns(name.to_owned())
    }

    #[test]
    fn names_that_are_no_der_say_so_when_they_are_encoded_and_not_before() {
        for broken in [&b""[..], b"\x88", b"\x88\x05abc", b"\x88\x81\x01a"] {
            let names = AlternativeNames::new(vec![dns("a"), AlternativeName::Other(broken.to_vec())]);
            assert_eq!(names.as_slice().len(), 2);
            assert!(names.as_der().is_err() && names.to_der().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn no_names_are_the_same_wherever_they_come_from() {
        let all = [
            AlternativeNames::default(),
            AlternativeNames::new(Vec::new()),
            AlternativeNames::parse_der(&[0x30, 0]).unwrap(),
        ];
        assert!(all.iter().all(|names| *names == AlternativeNames::NONE && names.as_der() == Ok(&[][..])));
        assert_eq!(format!("{:?}", all[0]), "AlternativeNames([])");
    }

    #[test]
    fn hosts_are_dns_names_or_addresses() {
        for (text, name) in [
            ("k8s.example.com", Some("DNS:k8s.example.com")),
            ("K8s.Example.COM", Some("DNS:k8s.example.com")),
            ("*.example.com", Some("DNS:*.example.com")),
            ("cp-1", Some("DNS:cp-1")),
            ("3com", Some("DNS:3com")),
            ("10.0.0.1", Some("IP:10.0.0.1")),
            ("FD00::0:1", Some("IP:fd00::1")),
            ("::1", Some("IP:::1")),
            ("10.0.0.256", None),
            ("010.0.0.1", None),
            ("10.0.0.0/24", None),
            ("*", None),
            ("*.", None),
            ("*.*.example.com", None),
            ("a.*.example.com", None),
            ("[::1]", None),
            ("k8s.example.com:6443", None),
            ("https://k8s.example.com", None),
            ("example.com.", None),
            ("a_b", None),
            ("-a", None),
            ("a..b", None),
            ("bücher.example", None),
            (" a", None),
            ("a\nb", None),
            ("", None),
        ] {
            let parsed = AlternativeName::parse_host(text).ok().map(|name| name.to_string());
            assert_eq!(parsed.as_deref(), name, "{text:?}");
        }
        assert!(AlternativeName::parse_host(&"a".repeat(64)).is_err());
        assert!(AlternativeName::parse_host(&vec!["a"; 128].join(".")).is_err());
    }

    #[test]
    fn clients_accept_what_go_accepts() {
        for (own, wanted, accepted) in [
            ("a.example.com", "A.Example.com.", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", "*.example.com", true),
            ("*.", "a.", false),
            ("a", "b", false),
        ] {
            assert_eq!(dns(own).covers(&dns(wanted)), accepted, "{own} {wanted}");
        }
        let ip = |text: &str| AlternativeName::Ip(text.parse().unwrap());
        assert!(ip("10.0.0.1").covers(&ip("::ffff:10.0.0.1")));
        assert!(ip("fd00:0:0::1").covers(&ip("fd00::1")));
        assert!(!ip("10.0.0.1").covers(&dns("10.0.0.1")) && !dns("10.0.0.1").covers(&ip("10.0.0.1")));
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

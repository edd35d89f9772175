//! Distinguished names, kept as the bytes that they came in.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::{
    COMMON_NAME, COUNTRY_NAME, LOCALITY_NAME, ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME, SERIAL_NUMBER, ST,
};
use der::asn1::{Any, SetOfVec};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use super::Damage;
use super::algorithm::oid_name;

/// A distinguished name ([RFC 5280 §4.1.2.4]) with its raw DER.
///
/// Equality is equality of bytes, as Go and webpki have it.
///
/// [RFC 5280 §4.1.2.4]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.4
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DistinguishedName {
    der: Vec<u8>,
    attributes: Vec<NameAttribute>,
    text: String,
}

/// One attribute of a name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct NameAttribute {
    /// The short name of the attribute (`CN`, `O`), or its dotted number.
    pub kind: String,
    /// The value as text; bytes that are no text are written in hexadecimal after a `#`.
    pub value: String,
}

impl DistinguishedName {
    /// Parses the DER of a name.
    ///
    /// # Errors
    /// [`Damage::Der`] when `der` is not a name.
    pub fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let name = Name::from_der(der).map_err(|error| Damage::der("name", error))?;
        let (attributes, text) = show(&name);
        Ok(Self { der: der.to_vec(), attributes, text })
    }

    /// Returns the name that kubeadm gives: all organisations in one set, before the common name.
    ///
    /// Each value is a PrintableString where its characters allow it, else a UTF8String, which is Go's choice
    /// (`encoding/asn1`, `marshal.go`). An organisation that is named twice is written once.
    ///
    /// # Panics
    /// Never, short of names of many megabytes.
    #[must_use]
    pub fn kubeadm(common_name: &str, organisations: &[&str]) -> Self {
        let mut rdns = Vec::new();
        if !organisations.is_empty() {
            let unique: BTreeSet<&str> = organisations.iter().copied().collect();
            let values = unique.into_iter().map(|value| attribute(ORGANIZATION_NAME, value));
            rdns.push(set(values.collect()));
        }
        rdns.push(set(vec![attribute(COMMON_NAME, common_name)]));
        let der = RdnSequence::from(rdns).to_der().expect("a name of short texts can be encoded");
        Self::parse_der(&der).expect("a name that was just encoded can be parsed")
    }

    /// Returns the raw DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> &[NameAttribute] {
        &self.attributes
    }

    /// Returns the last common name, which is the one that Kubernetes takes as the user.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_names().next_back()
    }

    /// Returns all common names in their order.
    pub(crate) fn common_names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.kind == "CN")
            .map(|attribute| attribute.value.as_str())
    }

    /// Returns the organisations, which Kubernetes takes as the groups.
    pub fn organisations(&self) -> impl Iterator<Item = &str> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.kind == "O")
            .map(|attribute| attribute.value.as_str())
    }

    /// Returns whether Kubernetes takes both names for the same user in the same groups, whatever kinds of strings they are made of:
    /// OpenSSL encodes as UTF-8 what Go encodes as printable.
    #[must_use]
    pub fn is_same_identity(&self, other: &Self) -> bool {
        let groups = |name: &Self| name.organisations().map(str::to_owned).collect::<BTreeSet<_>>();
        self == other
            || self.common_name().is_some()
                && self.common_name() == other.common_name()
                && groups(self) == groups(other)
    }

    /// Returns whether there is no attribute at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }
}

impl fmt::Display for DistinguishedName {
    /// Writes the attributes in their order, as `O = system:masters, CN = kubernetes-admin`; those of one set are joined
    /// by ` + `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

impl fmt::Display for NameAttribute {
    /// Writes kind and value, as `O = system:masters`. A name is foreign text, so control characters are escaped: they
    /// must not reach a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, value } = self;
        write!(f, "{kind} = {}", value.escape_debug())
    }
}

impl NameAttribute {
    fn from_der(attribute: &AttributeTypeAndValue) -> Self {
        let short = SHORT_NAMES.iter().find(|(oid, _)| *oid == attribute.oid);
        let kind = short.map_or_else(|| oid_name(attribute.oid), |(_, name)| (*name).to_owned());
        let bytes = attribute.value.value();
        let value = match attribute.value.tag() {
            Tag::PrintableString | Tag::Utf8String | Tag::Ia5String | Tag::TeletexString => {
                String::from_utf8(bytes.to_vec()).ok()
            }
            _ => None,
        };
        Self { kind, value: value.unwrap_or_else(|| format!("#{}", crate::digest::hex(bytes))) }
    }
}

/// The attributes that Go's `pkix.Name` knows, by their short names.
const SHORT_NAMES: [(ObjectIdentifier, &str); 7] = [
    (COMMON_NAME, "CN"),
    (COUNTRY_NAME, "C"),
    (LOCALITY_NAME, "L"),
    (ORGANIZATION_NAME, "O"),
    (ORGANIZATIONAL_UNIT_NAME, "OU"),
    (SERIAL_NUMBER, "serialNumber"),
    (ST, "ST"),
];

/// Returns the attributes, and the text that shows them.
fn show(name: &Name) -> (Vec<NameAttribute>, String) {
    let (mut attributes, mut text) = (Vec::new(), String::new());
    for (rdn, set) in name.iter_rdn().enumerate() {
        if rdn > 0 {
            text.push_str(", ");
        }
        for (place, attribute) in set.iter().enumerate() {
            if place > 0 {
                text.push_str(" + ");
            }
            let attribute = NameAttribute::from_der(attribute);
            write!(text, "{attribute}").expect("a string takes whatever is written");
            attributes.push(attribute);
        }
    }
    (attributes, text)
}

fn set(values: Vec<AttributeTypeAndValue>) -> RelativeDistinguishedName {
    let values = SetOfVec::try_from(values).expect("organisations are few and distinct");
    RelativeDistinguishedName::from(values)
}

fn attribute(oid: ObjectIdentifier, value: &str) -> AttributeTypeAndValue {
    let printable = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte));
    let tag = if printable { Tag::PrintableString } else { Tag::Utf8String };
    let value = Any::new(tag, value.as_bytes()).expect("the value of a name is short");
    AttributeTypeAndValue { oid, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_built_as_go_builds_them() {
        let name = DistinguishedName::kubeadm("kubernetes-admin", &["system:masters"]);
        assert_eq!(name.to_string(), "O = system:masters, CN = kubernetes-admin");
        assert_eq!(name.common_name(), Some("kubernetes-admin"));
        assert_eq!(name.organisations().collect::<Vec<_>>(), ["system:masters"]);
        // PrintableString has the tag 0x13.
        assert!(name.as_der().windows(2).any(|pair| pair == [0x13, 14]));
    }

    #[test]
    fn a_name_that_is_not_printable_becomes_utf8() {
        let name = DistinguishedName::kubeadm("kube_admin", &[]);
        assert!(name.as_der().windows(2).any(|pair| pair == [0x0c, 10]));
    }

    #[test]
    fn several_organisations_share_one_set() {
        let name = DistinguishedName::kubeadm("x", &["b", "a"]);
        assert_eq!(name.to_string(), "O = a + O = b, CN = x");
    }

    #[test]
    fn control_characters_are_escaped_when_shown() {
        let name = DistinguishedName::kubeadm("a\u{1b}[31m", &[]);
        assert!(!name.to_string().contains('\u{1b}'));
    }
}

//! Extensions ([RFC 5280 §4.2]) in the forms that certificates and signing need.
//!
//! [RFC 5280 §4.2]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE,
    ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use der::asn1::{OctetString, OctetStringRef};
use der::{Encode, Sequence};

use super::raw::Constraints;
use super::usage::extension_name;
use super::{AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyUsages};

/// One extension as it stands in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Extension {
    /// The name of the extension, such as `subjectAltName`, or its dotted number.
    pub name: String,
    /// Whether a reader that does not know the extension must refuse the certificate.
    pub critical: bool,
    /// The content, as DER.
    pub value: Vec<u8>,
}

impl Extension {
    /// Returns whether it is one of those that certificates made here can have.
    #[must_use]
    pub fn is_of_profile(&self) -> bool {
        matches!(
            self.name.as_str(),
            "keyUsage"
                | "extKeyUsage"
                | "basicConstraints"
                | "subjectKeyIdentifier"
                | "authorityKeyIdentifier"
                | "subjectAltName"
        )
    }
}

/// The wire form.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(super) struct RawExtension {
    pub(super) id: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    pub(super) critical: bool,
    pub(super) value: OctetString,
}

impl RawExtension {
    pub(super) fn new(id: ObjectIdentifier, critical: bool, value: Vec<u8>) -> der::Result<Self> {
        Ok(Self { id, critical, value: OctetString::new(value)? })
    }
}

/// What the extensions of certificates and requests made here say.
pub(super) struct Profile<'a> {
    pub(super) key_usages: KeyUsages,
    pub(super) extended_key_usages: &'a ExtendedKeyUsages,
    pub(super) is_ca: bool,
    pub(super) subject_key_identifier: Option<&'a [u8]>,
    pub(super) authority_key_identifier: Option<&'a [u8]>,
    pub(super) alternative_names: &'a AlternativeNames,
    pub(super) subject: &'a DistinguishedName,
}

impl Profile<'_> {
    /// Returns the extensions in kubeadm's order.
    pub(super) fn extensions(&self) -> der::Result<Vec<RawExtension>> {
        // A new field must find its place here.
        let Self {
            key_usages,
            extended_key_usages,
            is_ca,
            subject_key_identifier,
            authority_key_identifier,
            alternative_names,
            subject,
        } = *self;
        let mut extensions = vec![RawExtension::new(ID_CE_KEY_USAGE, true, key_usages.to_der()?)?];
        if !extended_key_usages.is_empty() {
            extensions.push(RawExtension::new(ID_CE_EXT_KEY_USAGE, false, extended_key_usages.to_der()?)?);
        }
        let constraints = Constraints { is_ca, path_length: None }.to_der()?;
        extensions.push(RawExtension::new(ID_CE_BASIC_CONSTRAINTS, true, constraints)?);
        if let Some(identifier) = subject_key_identifier {
            let value = OctetStringRef::new(identifier)?.to_der()?;
            extensions.push(RawExtension::new(ID_CE_SUBJECT_KEY_IDENTIFIER, false, value)?);
        }
        if let Some(identifier) = authority_key_identifier {
            let value =
                RawAuthorityKeyIdentifier { key_identifier: OctetStringRef::new(identifier)? }.to_der()?;
            extensions.push(RawExtension::new(ID_CE_AUTHORITY_KEY_IDENTIFIER, false, value)?);
        }
        if !alternative_names.is_empty() {
            // With an empty subject the names are the only identity (RFC 5280 §4.2.1.6).
            let critical = subject.is_empty();
            extensions.push(RawExtension::new(
                ID_CE_SUBJECT_ALT_NAME,
                critical,
                alternative_names.to_der()?,
            )?);
        }
        Ok(extensions)
    }
}

impl From<RawExtension> for Extension {
    fn from(raw: RawExtension) -> Self {
        let RawExtension { id, critical, value } = raw;
        Self { name: extension_name(id), critical, value: value.into_bytes().into_vec() }
    }
}

#[derive(Sequence)]
struct RawAuthorityKeyIdentifier<'a> {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    key_identifier: &'a OctetStringRef,
}

//! Extensions ([RFC 5280 §4.2]) in the forms that certificates and signing need.
//!
//! [RFC 5280 §4.2]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2

use const_oid::ObjectIdentifier;
use der::Sequence;
use der::asn1::OctetString;

use super::usage::extension_name;

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

impl From<&RawExtension> for Extension {
    fn from(raw: &RawExtension) -> Self {
        let RawExtension { id, critical, value } = raw;
        Self { name: extension_name(*id), critical: *critical, value: value.as_bytes().to_vec() }
    }
}

//! Certificates as they are found.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE,
    ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use der::Decode;
use der::asn1::OctetStringRef;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::extension::RawExtension;
use super::raw::{Constraints, Signed, TbsCertificate};
use super::validity::parse_time;
use super::{
    AlternativeNames, Damage, DistinguishedName, ExtendedKeyUsages, Extension, KeyUsages, PublicKey,
    SerialNumber, algorithm,
};
use crate::digest::Digest;
use crate::time::Timestamp;

/// Whether a certificate is one of an authority ([RFC 5280 §4.2.1.9]).
///
/// [RFC 5280 §4.2.1.9]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.9
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BasicConstraints {
    /// Whether the subject may sign certificates.
    pub is_ca: bool,
    /// How many authorities may follow below this one; `None` is without limit.
    pub path_length: Option<u8>,
}

/// A certificate ([RFC 5280 §4.1]) and every field of it that matters to Kubernetes.
///
/// The bytes are kept as they came, so that signatures can be verified and names copied.
///
/// [RFC 5280 §4.1]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1
#[derive(Clone, Eq, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Vec<u8>,
    signature_oid: ObjectIdentifier,
    signature: Vec<u8>,
    version: u8,
    serial: SerialNumber,
    issuer: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    subject: DistinguishedName,
    public_key: PublicKey,
    extensions: Vec<Extension>,
    known: KnownExtensions,
}

#[derive(Clone, Default, Eq, PartialEq)]
struct KnownExtensions {
    key_usages: Option<KeyUsages>,
    extended_key_usages: ExtendedKeyUsages,
    alternative_names: AlternativeNames,
    basic_constraints: Option<BasicConstraints>,
    subject_key_identifier: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
}

impl Certificate {
    /// Parses one certificate in DER.
    ///
    /// # Errors
    /// [`Damage::Der`] when the bytes are not a certificate, or one of the extensions that Kubernetes reads is
    /// malformed; Go refuses such certificates too.
    pub fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let malformed = |error: der::Error| Damage::der("certificate", error);
        let outer = Signed::from_der(der).map_err(malformed)?;
        let tbs = outer.content.as_der();
        let inner = TbsCertificate::from_der(tbs).map_err(malformed)?;
        // The outer algorithm is not signed, so it says nothing but what the inner one says (RFC 5280 §4.1.1.2).
        if outer.algorithm != inner.signature {
            return Err(Damage::der("certificate", "its two signature algorithms differ"));
        }
        let raw_extensions = inner.extensions.unwrap_or_default();
        Ok(Self {
            der: der.to_vec(),
            tbs: tbs.to_vec(),
            signature_oid: outer.algorithm.oid,
            signature: outer.signature.as_bytes().map(<[u8]>::to_vec).unwrap_or_default(),
            version: inner.version.unwrap_or(0).saturating_add(1),
            serial: SerialNumber::from_der_content(inner.serial.value()),
            issuer: DistinguishedName::parse_der(inner.issuer.as_der())?,
            not_before: parse_time(inner.validity.not_before)?,
            not_after: parse_time(inner.validity.not_after)?,
            subject: DistinguishedName::parse_der(inner.subject.as_der())?,
            public_key: PublicKey::parse_der(inner.public_key.as_der())?,
            known: KnownExtensions::parse(&raw_extensions)?,
            extensions: raw_extensions.into_iter().map(Extension::from).collect(),
        })
    }

    /// Returns the whole certificate in DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the bytes that the issuer signed.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.tbs
    }

    /// Returns the SHA-256 digest of the whole certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns the version, 1 to 3.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Returns the serial number.
    #[must_use]
    pub const fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// Returns the name of the issuer.
    #[must_use]
    pub const fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Returns the first second in which the certificate is valid.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the last second in which the certificate is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns the name of the subject.
    #[must_use]
    pub const fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns the subject's public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns every extension in its order.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Returns the key usages, or `None` when the extension is absent and the use of the key not restricted.
    #[must_use]
    pub const fn key_usages(&self) -> Option<KeyUsages> {
        self.known.key_usages
    }

    /// Returns the extended key usages; none when the extension is absent.
    #[must_use]
    pub const fn extended_key_usages(&self) -> &ExtendedKeyUsages {
        &self.known.extended_key_usages
    }

    /// Returns the subject alternative names.
    #[must_use]
    pub const fn alternative_names(&self) -> &AlternativeNames {
        &self.known.alternative_names
    }

    /// Returns the basic constraints, or `None` when the extension is absent.
    #[must_use]
    pub const fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.known.basic_constraints
    }

    /// Returns the subject key identifier.
    #[must_use]
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.known.subject_key_identifier.as_deref()
    }

    /// Returns the key identifier of the issuer.
    #[must_use]
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.known.authority_key_identifier.as_deref()
    }

    /// Returns the name of the algorithm with which the issuer signed, or its dotted number.
    #[must_use]
    pub fn signature_algorithm(&self) -> String {
        algorithm::oid_name(self.signature_oid)
    }

    pub(super) const fn signature_oid(&self) -> ObjectIdentifier {
        self.signature_oid
    }

    /// Returns the signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns whether the certificate says that its subject may sign certificates.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        let constraints = self.known.basic_constraints.is_some_and(|constraints| constraints.is_ca);
        constraints && self.known.key_usages.is_none_or(KeyUsages::can_sign_certificates)
    }

    /// Returns whether issuer and subject are the same name, byte for byte.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {}, until {})", self.subject, self.serial, self.not_after)
    }
}

impl KnownExtensions {
    fn parse(extensions: &[RawExtension]) -> Result<Self, Damage> {
        let mut known = Self::default();
        for RawExtension { id, critical: _, value } in extensions {
            let value = value.as_bytes();
            match *id {
                ID_CE_KEY_USAGE => known.key_usages = Some(KeyUsages::parse_der(value)?),
                ID_CE_EXT_KEY_USAGE => known.extended_key_usages = ExtendedKeyUsages::parse_der(value)?,
                ID_CE_SUBJECT_ALT_NAME => known.alternative_names = AlternativeNames::parse_der(value)?,
                ID_CE_BASIC_CONSTRAINTS => known.basic_constraints = Some(parse_basic_constraints(value)?),
                ID_CE_SUBJECT_KEY_IDENTIFIER => {
                    let identifier = <&OctetStringRef>::from_der(value)
                        .map_err(|error| Damage::der("subjectKeyIdentifier", error))?;
                    known.subject_key_identifier = Some(identifier.as_bytes().to_vec());
                }
                ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                    let identifier = AuthorityKeyIdentifier::from_der(value)
                        .map_err(|error| Damage::der("authorityKeyIdentifier", error))?;
                    known.authority_key_identifier =
                        identifier.key_identifier.map(|id| id.as_bytes().to_vec());
                }
                _ => {}
            }
        }
        Ok(known)
    }
}

pub(super) fn parse_basic_constraints(der: &[u8]) -> Result<BasicConstraints, Damage> {
    let raw = Constraints::from_der(der).map_err(|error| Damage::der("basicConstraints", error))?;
    // A longer path than any chain can have is as good as none.
    let path_length = raw.path_length.and_then(|length| match length.as_bytes() {
        [length] => Some(*length),
        _ => None,
    });
    Ok(BasicConstraints { is_ca: raw.is_ca, path_length })
}

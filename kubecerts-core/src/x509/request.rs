//! Certificate signing requests ([RFC 2986]): what they ask for, and how they are made.
//!
//! [RFC 2986]: https://www.rfc-editor.org/rfc/rfc2986

use const_oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME,
};
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{Any, SetOfVec};
use der::{Decode, Encode, Sequence};
use x509_cert::attr::Attribute;

use super::algorithm::oid_name;
use super::extension::{Profile, RawExtension};
use super::raw::{Signed, Verbatim};
use super::verify::verify_oid;
use super::{
    AlternativeNames, BasicConstraints, Damage, DistinguishedName, ExtendedKeyUsages, Extension, KeyUsages,
    PublicKey, SignatureVerdict, certificate, pem,
};

/// A request for a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateRequest {
    version: u8,
    subject: DistinguishedName,
    public_key: PublicKey,
    alternative_names: AlternativeNames,
    key_usages: Option<KeyUsages>,
    extended_key_usages: ExtendedKeyUsages,
    basic_constraints: Option<BasicConstraints>,
    extensions: Vec<Extension>,
    signature_algorithm: String,
    verdict: SignatureVerdict,
}

impl CertificateRequest {
    /// Parses the first `CERTIFICATE REQUEST` block, or bare DER.
    ///
    /// # Errors
    /// [`Damage`] when there is none or it is malformed. A wrong signature is not damage but a [`SignatureVerdict`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        Self::find(bytes, Self::parse_der)
    }

    /// Returns the DER of the subject and of the key that the first request in `bytes` asks for, one behind the other; `None` when there
    /// is none or it is malformed.
    ///
    /// It is a quick look, by which certificates and requests find together: nothing else is parsed, and nothing is verified.
    #[must_use]
    pub fn subject_and_key(bytes: &[u8]) -> Option<Vec<u8>> {
        let look = |der: &[u8]| {
            let malformed = |error| Damage::der("certificate request", error);
            let outer = Signed::from_der(der).map_err(malformed)?;
            let info = RawInfo::from_der(outer.content.as_der()).map_err(malformed)?;
            Ok([info.subject.as_der(), info.public_key.as_der()].concat())
        };
        Self::find(bytes, look).ok()
    }

    fn find<T>(bytes: &[u8], parse_der: impl FnOnce(&[u8]) -> Result<T, Damage>) -> Result<T, Damage> {
        for block in pem::blocks(bytes) {
            match block {
                Ok(block) if is_request(block.label()) => return parse_der(block.secret_bytes()),
                Err(Damage::Pem { label, reason }) if is_request(&label) => {
                    return Err(Damage::Pem { label, reason });
                }
                Ok(_) | Err(_) => {}
            }
        }
        if bytes.first() == Some(&0x30) {
            return parse_der(bytes);
        }
        Err(Damage::Nothing("certificate request"))
    }

    fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let malformed = |error: der::Error| Damage::der("certificate request", error);
        let outer = Signed::from_der(der).map_err(malformed)?;
        let info_der = outer.content.as_der();
        let info = RawInfo::from_der(info_der).map_err(malformed)?;
        let raw_extensions = requested_extensions(&info).map_err(malformed)?;
        let mut alternative_names = AlternativeNames::default();
        let mut key_usages = None;
        let mut extended_key_usages = ExtendedKeyUsages::default();
        let mut basic_constraints = None;
        for extension in &raw_extensions {
            let value = extension.value.as_bytes();
            match extension.id {
                ID_CE_SUBJECT_ALT_NAME => alternative_names = AlternativeNames::parse_der(value)?,
                ID_CE_KEY_USAGE => key_usages = Some(KeyUsages::parse_der(value)?),
                ID_CE_EXT_KEY_USAGE => extended_key_usages = ExtendedKeyUsages::parse_der(value)?,
                ID_CE_BASIC_CONSTRAINTS => {
                    basic_constraints = Some(certificate::parse_basic_constraints(value)?);
                }
                _ => {}
            }
        }
        let public_key = PublicKey::parse_der(info.public_key.as_der())?;
        let signature = outer.signature.as_bytes().unwrap_or_default();
        Ok(Self {
            subject: DistinguishedName::parse_der(info.subject.as_der())?,
            verdict: verify_oid(&public_key, outer.algorithm.oid, info_der, signature),
            signature_algorithm: oid_name(outer.algorithm.oid),
            version: info.version.saturating_add(1),
            public_key,
            alternative_names,
            key_usages,
            extended_key_usages,
            basic_constraints,
            extensions: raw_extensions.into_iter().map(Extension::from).collect(),
        })
    }

    /// Returns the version, which is 1 for every request there is.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Returns the name that is asked for.
    #[must_use]
    pub const fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns the public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the alternative names that are asked for.
    #[must_use]
    pub const fn alternative_names(&self) -> &AlternativeNames {
        &self.alternative_names
    }

    /// Returns the key usages that are asked for, or `None` when the request says nothing of them.
    #[must_use]
    pub const fn key_usages(&self) -> Option<KeyUsages> {
        self.key_usages
    }

    /// Returns the extended key usages that are asked for; none when the request says nothing of them.
    #[must_use]
    pub const fn extended_key_usages(&self) -> &ExtendedKeyUsages {
        &self.extended_key_usages
    }

    /// Returns the basic constraints that are asked for, or `None` when the request says nothing of them.
    #[must_use]
    pub const fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// Returns every extension that is asked for.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Returns the name of the algorithm of the request's own signature.
    #[must_use]
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// Returns whether the request is signed with the key that it carries.
    #[must_use]
    pub const fn verdict(&self) -> &SignatureVerdict {
        &self.verdict
    }
}

/// The extensions that a request asks for.
///
/// kubeadm asks for alternative names only. The others are asked for too, because an authority that copies what it is asked for
/// would otherwise issue certificates that are good for nothing.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the fields are the extensions of kubeadm's leaves")]
pub struct RequestedExtensions<'a> {
    /// The key usages, asked for as critical.
    pub key_usages: KeyUsages,
    /// The extended key usages; the extension is left out when there are none.
    pub extended_key_usages: &'a ExtendedKeyUsages,
    /// The alternative names; the extension is left out when there are none.
    pub alternative_names: &'a AlternativeNames,
}

impl RequestedExtensions<'_> {
    /// Returns the attribute in which a request asks for extensions, those of a leaf in the order of a certificate's.
    fn attribute(&self, subject: &DistinguishedName) -> der::Result<Attribute> {
        let Self { key_usages, extended_key_usages, alternative_names } = *self;
        let extensions = Profile {
            key_usages,
            extended_key_usages,
            is_ca: false,
            subject_key_identifier: None,
            authority_key_identifier: None,
            alternative_names,
            subject,
        }
        .extensions()?;
        let value = Any::from_der(&extensions.to_der()?)?;
        Ok(Attribute { oid: ID_EXTENSION_REQ, values: SetOfVec::try_from(vec![value])? })
    }
}

/// Returns the bytes that a request for `subject` with the key `public_key` consists of before its signature; without
/// `extensions` it asks for none. With [`assemble`](super::assemble) they become the request.
///
/// # Errors
/// [`Damage::Der`] when a field cannot be encoded.
pub fn request_to_be_signed(
    subject: &DistinguishedName,
    public_key: &PublicKey,
    extensions: Option<&RequestedExtensions<'_>>,
) -> Result<Vec<u8>, Damage> {
    let encode = || {
        let attributes = extensions.map(|extensions| extensions.attribute(subject)).transpose()?;
        RawInfo {
            version: 0,
            subject: Verbatim::from_der(subject.as_der())?,
            public_key: Verbatim::from_der(public_key.as_der())?,
            // The set may be empty but not absent (RFC 2986 §4.1).
            attributes: Some(SetOfVec::try_from(Vec::from_iter(attributes))?),
        }
        .to_der()
    };
    encode().map_err(|error| Damage::der("certificate request", error))
}

fn is_request(label: &str) -> bool {
    matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST")
}

fn requested_extensions(info: &RawInfo<'_>) -> der::Result<Vec<RawExtension>> {
    let mut extensions = Vec::new();
    for attribute in info.attributes.iter().flat_map(|set| set.iter()) {
        if attribute.oid != ID_EXTENSION_REQ {
            continue;
        }
        for value in attribute.values.iter() {
            extensions.extend(value.decode_as::<Vec<RawExtension>>()?);
        }
    }
    Ok(extensions)
}

#[derive(Sequence)]
struct RawInfo<'a> {
    version: u8,
    subject: Verbatim<'a>,
    public_key: Verbatim<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    attributes: Option<SetOfVec<Attribute>>,
}

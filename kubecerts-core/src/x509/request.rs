//! Certificate signing requests ([RFC 2986]), as far as inspection and kubelets need them.
//!
//! [RFC 2986]: https://www.rfc-editor.org/rfc/rfc2986

use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{AnyRef, SetOfVec};
use der::{Decode, Encode, Sequence};
use x509_cert::attr::Attribute;

use super::algorithm::oid_name;
use super::extension::RawExtension;
use super::raw::Signed;
use super::verify::verify_oid;
use super::{AlternativeNames, Damage, DistinguishedName, Extension, PublicKey, SignatureVerdict, pem};

/// A request for a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateRequest {
    subject: DistinguishedName,
    public_key: PublicKey,
    alternative_names: AlternativeNames,
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
        for block in pem::decode_blocks(bytes) {
            match block {
                Ok(block) if is_request(block.label()) => return Self::parse_der(block.secret_bytes()),
                Err(Damage::Pem { label, reason }) if is_request(&label) => {
                    return Err(Damage::Pem { label, reason });
                }
                Ok(_) | Err(_) => {}
            }
        }
        if bytes.first() == Some(&0x30) {
            return Self::parse_der(bytes);
        }
        Err(Damage::Nothing("certificate request"))
    }

    fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let malformed = |error: der::Error| Damage::der("certificate request", error);
        let outer = Signed::from_der(der).map_err(malformed)?;
        let info_der = outer.content.to_der().map_err(malformed)?;
        let info = RawInfo::from_der(&info_der).map_err(malformed)?;
        let raw_extensions = requested_extensions(&info).map_err(malformed)?;
        let mut alternative_names = AlternativeNames::default();
        for extension in raw_extensions.iter().filter(|extension| extension.id == ID_CE_SUBJECT_ALT_NAME) {
            alternative_names = AlternativeNames::parse_der(extension.value.as_bytes())?;
        }
        let public_key = PublicKey::parse_der(&info.public_key.to_der().map_err(malformed)?)?;
        let signature = outer.signature.as_bytes().unwrap_or_default();
        Ok(Self {
            subject: DistinguishedName::parse_der(&info.subject.to_der().map_err(malformed)?)?,
            verdict: verify_oid(&public_key, outer.algorithm.oid, &info_der, signature),
            signature_algorithm: oid_name(outer.algorithm.oid),
            public_key,
            alternative_names,
            extensions: raw_extensions.iter().map(Extension::from).collect(),
        })
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

/// Returns the bytes that a request for `subject` with the key `public_key` consists of before its signature; it asks for no
/// extension. With [`assemble`](super::assemble) they become the request.
///
/// # Errors
/// [`Damage::Der`] when a field cannot be encoded.
pub fn request_to_be_signed(subject: &DistinguishedName, public_key: &PublicKey) -> Result<Vec<u8>, Damage> {
    let encode = || {
        RawInfo {
            version: 0,
            subject: AnyRef::from_der(subject.as_der())?,
            public_key: AnyRef::from_der(public_key.as_der())?,
            // The set may be empty but not absent (RFC 2986 §4.1).
            attributes: Some(SetOfVec::new()),
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
    subject: AnyRef<'a>,
    public_key: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    attributes: Option<SetOfVec<Attribute>>,
}

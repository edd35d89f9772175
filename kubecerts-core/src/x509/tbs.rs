//! The bytes that an authority signs, and the certificate that they become.
//!
//! The split follows x509-cert's builder: first the to-be-signed bytes, then, with a signature from wherever it comes,
//! the certificate. The issuer's name is copied as bytes and never re-encoded.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Tag};
use spki::AlgorithmIdentifierRef;

use super::extension::Profile;
use super::raw::{Period, Signed, TbsCertificate, Verbatim};
use super::validity::encode_time;
use super::{
    AlternativeNames, Damage, DistinguishedName, ExtendedKeyUsages, KeyUsages, PublicKey, SerialNumber,
    SignatureAlgorithm, Validity,
};

/// Every field of a certificate to be signed.
///
/// Extensions are written in the order of Go's `x509.CreateCertificate`, which kubeadm uses: key usage, extended key
/// usage, basic constraints, subject key identifier, authority key identifier, subject alternative names.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the fields are those of RFC 5280 that kubeadm sets")]
pub struct ToBeSigned<'a> {
    /// The serial number.
    pub serial: &'a SerialNumber,
    /// The algorithm of the signature that will follow.
    pub signature: SignatureAlgorithm,
    /// The issuer's name, byte for byte as in its certificate.
    pub issuer: &'a DistinguishedName,
    /// When the certificate is valid.
    pub validity: Validity,
    /// The subject's name.
    pub subject: &'a DistinguishedName,
    /// The subject's public key.
    pub public_key: &'a PublicKey,
    /// The key usages, written as critical.
    pub key_usages: KeyUsages,
    /// The extended key usages; the extension is left out when there are none.
    pub extended_key_usages: &'a ExtendedKeyUsages,
    /// Whether the subject may sign certificates, written as critical.
    pub is_ca: bool,
    /// The subject's key identifier; kubeadm gives one to authorities only.
    pub subject_key_identifier: Option<&'a [u8]>,
    /// The issuer's key identifier; left out when the issuer has none or is the subject itself.
    pub authority_key_identifier: Option<&'a [u8]>,
    /// The alternative names; the extension is left out when there are none.
    pub alternative_names: &'a AlternativeNames,
}

impl ToBeSigned<'_> {
    /// Returns the DER that is to be signed.
    ///
    /// # Errors
    /// [`Damage::Der`] when a field cannot be encoded, such as a name of many megabytes.
    pub fn to_der(&self) -> Result<Vec<u8>, Damage> {
        self.encode().map_err(|error| Damage::der("certificate to be signed", error))
    }

    fn encode(&self) -> der::Result<Vec<u8>> {
        // A new field must find its place here.
        let Self {
            serial,
            signature,
            issuer,
            validity,
            subject,
            public_key,
            key_usages,
            extended_key_usages,
            is_ca,
            subject_key_identifier,
            authority_key_identifier,
            alternative_names,
        } = *self;

        let extensions = Profile {
            key_usages,
            extended_key_usages,
            is_ca,
            subject_key_identifier,
            authority_key_identifier,
            alternative_names,
            subject,
        }
        .extensions()?;

        TbsCertificate {
            version: Some(2),
            serial: AnyRef::new(Tag::Integer, serial.as_bytes())?,
            signature: algorithm_identifier(signature),
            issuer: Verbatim::from_der(issuer.as_der())?,
            validity: Period {
                not_before: AnyRef::from(&encode_time(validity.not_before())),
                not_after: AnyRef::from(&encode_time(validity.not_after())),
            },
            subject: Verbatim::from_der(subject.as_der())?,
            public_key: Verbatim::from_der(public_key.as_der())?,
            issuer_id: None,
            subject_id: None,
            extensions: Some(extensions),
        }
        .to_der()
    }
}

/// Returns the certificate that `tbs` becomes with `signature`. Nothing is verified.
///
/// # Errors
/// [`Damage::Der`] when `tbs` is not DER.
pub fn assemble(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Result<Vec<u8>, Damage> {
    let assembled = || {
        Signed {
            content: Verbatim::from_der(tbs)?,
            algorithm: algorithm_identifier(algorithm),
            signature: BitStringRef::from_bytes(signature)?,
        }
        .to_der()
    };
    assembled().map_err(|error| Damage::der("signed certificate", error))
}

pub(super) fn algorithm_identifier(algorithm: SignatureAlgorithm) -> AlgorithmIdentifierRef<'static> {
    let parameters = match algorithm {
        // RFC 4055 §5 demands NULL here, RFC 5758 §3.2 forbids parameters there.
        SignatureAlgorithm::Sha256WithRsa => Some(AnyRef::NULL),
        SignatureAlgorithm::EcdsaWithSha256 | SignatureAlgorithm::EcdsaWithSha384 => None,
    };
    AlgorithmIdentifierRef { oid: algorithm.oid(), parameters }
}

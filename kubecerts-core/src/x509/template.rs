//! Certificates of one profile and one issuer: what they share is encoded once, the rest patched in.
//!
//! [`Template::encode_into`] gives the bytes of [`ToBeSigned::to_der`](super::ToBeSigned::to_der), and
//! [`Template::assemble_into`] those of [`assemble`](super::assemble). Both append to a buffer of the caller's and
//! allocate nothing once that is large enough.

use const_oid::db::rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER;
use der::asn1::AnyRef;
use der::{Decode, Encode};

use super::extension::Profile;
use super::tbs::algorithm_identifier;
use super::validity::EncodedValidity;
use super::writer::{
    BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, push_header, push_value, sum, value_length, writable,
};
use super::{
    AlternativeNames, Damage, DistinguishedName, ExtendedKeyUsages, KeyUsages, PublicKey, SerialNumber,
    SignatureAlgorithm, Validity,
};

/// What certificates of one profile and one issuer have in common.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "with Variable, the fields are those of ToBeSigned")]
pub struct Common<'a> {
    /// The algorithm of the signatures.
    pub signature: SignatureAlgorithm,
    /// The issuer's name, byte for byte as in its certificate.
    pub issuer: &'a DistinguishedName,
    /// The key usages, written as critical.
    pub key_usages: KeyUsages,
    /// The extended key usages; the extension is left out when there are none.
    pub extended_key_usages: &'a ExtendedKeyUsages,
    /// Whether the subjects may sign certificates, written as critical.
    pub is_ca: bool,
    /// The issuer's key identifier; left out when the issuer has none or is the subject itself.
    pub authority_key_identifier: Option<&'a [u8]>,
}

/// What each certificate has for itself.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "with Common, the fields are those of ToBeSigned")]
pub struct Variable<'a> {
    /// The serial number.
    pub serial: &'a SerialNumber,
    /// When the certificate is valid.
    pub validity: Validity,
    /// The subject's name.
    pub subject: &'a DistinguishedName,
    /// The subject's public key.
    pub public_key: &'a PublicKey,
    /// The subject's key identifier; kubeadm gives one to authorities only.
    pub subject_key_identifier: Option<&'a [u8]>,
    /// The alternative names; the extension is left out when there are none.
    pub alternative_names: &'a AlternativeNames,
}

/// The constant bytes of the certificates of one profile and one issuer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// The identifier of the signatures' algorithm, as it stands behind the to-be-signed bytes.
    algorithm: Vec<u8>,
    /// Algorithm and issuer, between serial number and validity.
    after_serial: Vec<u8>,
    /// Key usage, extended key usage and basic constraints, before the subject's key identifier.
    usages: Vec<u8>,
    /// The authority's key identifier, behind the subject's.
    authority: Vec<u8>,
}

impl Template {
    /// Encodes what is common.
    ///
    /// # Errors
    /// [`Damage::Der`] when a field cannot be encoded, such as a name of many megabytes.
    pub fn new(common: &Common<'_>) -> Result<Self, Damage> {
        Self::encode_common(common).map_err(to_damage)
    }

    /// Appends the DER that is to be signed.
    ///
    /// # Errors
    /// [`Damage::Der`] when a field cannot be encoded; then `out` is as before.
    pub fn encode_into(&self, variable: &Variable<'_>, out: &mut Vec<u8>) -> Result<(), Damage> {
        self.encode_dated_into(variable, &EncodedValidity::new(variable.validity), out)
    }

    /// The same with dates that were encoded before, since many certificates have the same.
    pub(crate) fn encode_dated_into(
        &self,
        variable: &Variable<'_>,
        dates: &EncodedValidity,
        out: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        // A new field must find its place here.
        let Variable { serial, validity: _, subject, public_key, subject_key_identifier, alternative_names } =
            *variable;
        let (serial, dates) = (serial.as_bytes(), dates.as_der());
        let names = alternative_names.as_der().map_err(to_damage)?;
        // With an empty subject the names are the only identity (RFC 5280 §4.2.1.6).
        let names_critical = subject.is_empty();
        let names_extension = match names.is_empty() {
            true => 0,
            false => value_length(extension_content(names_critical, names.len())),
        };
        let identifier_extension = subject_key_identifier
            .map_or(0, |identifier| value_length(extension_content(false, value_length(identifier.len()))));
        let extensions =
            sum([self.usages.len(), identifier_extension, self.authority.len(), names_extension]);
        let content = sum([
            VERSION.len(),
            value_length(serial.len()),
            self.after_serial.len(),
            dates.len(),
            subject.as_der().len(),
            public_key.as_der().len(),
            value_length(value_length(extensions)),
        ]);
        // From here on nothing fails.
        out.reserve(writable(value_length(content)).map_err(to_damage)?);

        push_header(SEQUENCE, content, out);
        out.extend_from_slice(&VERSION);
        push_value(INTEGER, serial, out);
        out.extend_from_slice(&self.after_serial);
        out.extend_from_slice(dates);
        out.extend_from_slice(subject.as_der());
        out.extend_from_slice(public_key.as_der());
        push_header(EXTENSIONS, value_length(extensions), out);
        push_header(SEQUENCE, extensions, out);
        out.extend_from_slice(&self.usages);
        if let Some(identifier) = subject_key_identifier {
            push_extension(SUBJECT_KEY_IDENTIFIER, false, value_length(identifier.len()), out);
            push_value(OCTET_STRING, identifier, out);
        }
        out.extend_from_slice(&self.authority);
        if !names.is_empty() {
            push_extension(SUBJECT_ALT_NAME, names_critical, names.len(), out);
            out.extend_from_slice(names);
        }
        Ok(())
    }

    /// Appends the certificate that `tbs` becomes with `signature`. Nothing is verified.
    ///
    /// # Errors
    /// [`Damage::Der`] when `tbs` is not DER; then `out` is as before.
    pub fn assemble_into(&self, tbs: &[u8], signature: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
        AnyRef::from_der(tbs).map_err(to_signed_damage)?;
        self.assemble_encoded_into(tbs, signature, out)
    }

    /// The same for bytes that [`encode_into`](Self::encode_into) has given, which need not be read again.
    pub(crate) fn assemble_encoded_into(
        &self,
        tbs: &[u8],
        signature: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        let bits = sum([1, signature.len()]);
        let content = sum([tbs.len(), self.algorithm.len(), value_length(bits)]);
        out.reserve(writable(value_length(content)).map_err(to_signed_damage)?);

        push_header(SEQUENCE, content, out);
        out.extend_from_slice(tbs);
        out.extend_from_slice(&self.algorithm);
        push_header(BIT_STRING, bits, out);
        // No bit of the last byte is unused.
        out.push(0);
        out.extend_from_slice(signature);
        Ok(())
    }

    fn encode_common(common: &Common<'_>) -> der::Result<Self> {
        // A new field must find its place here.
        let Common { signature, issuer, key_usages, extended_key_usages, is_ca, authority_key_identifier } =
            *common;
        let algorithm = algorithm_identifier(signature).to_der()?;
        let after_serial = [&algorithm, issuer.as_der()].concat();
        let profile = Profile {
            key_usages,
            extended_key_usages,
            is_ca,
            subject_key_identifier: None,
            authority_key_identifier,
            alternative_names: &AlternativeNames::default(),
            subject: issuer,
        };
        // The plain encoder's own, so that there is one place that knows what an extension says.
        let (mut usages, mut authority) = (Vec::new(), Vec::new());
        for extension in profile.extensions()? {
            let is_authoritys = extension.id == ID_CE_AUTHORITY_KEY_IDENTIFIER;
            let part = if is_authoritys { &mut authority } else { &mut usages };
            extension.encode_to_vec(part)?;
        }
        Ok(Self { algorithm, after_serial, usages, authority })
    }
}

fn to_damage(error: der::Error) -> Damage {
    Damage::der("certificate to be signed", error)
}

fn to_signed_damage(error: der::Error) -> Damage {
    Damage::der("signed certificate", error)
}

/// Returns how many bytes the content of an extension is long whose value has `value` bytes.
fn extension_content(critical: bool, value: usize) -> usize {
    sum([SUBJECT_ALT_NAME.len(), if critical { CRITICAL.len() } else { 0 }, value_length(value)])
}

/// Appends an extension up to its value, which has `value` bytes.
fn push_extension(id: [u8; 5], critical: bool, value: usize, out: &mut Vec<u8>) {
    push_header(SEQUENCE, extension_content(critical, value), out);
    out.extend_from_slice(&id);
    if critical {
        out.extend_from_slice(&CRITICAL);
    }
    push_header(OCTET_STRING, value, out);
}

/// `[0] EXPLICIT INTEGER 2`: version 3.
const VERSION: [u8; 5] = [0xa0, 3, INTEGER, 1, 2];
/// The tag of `[3] EXPLICIT`.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.14 as an OBJECT IDENTIFIER (RFC 5280 §4.2.1.2).
const SUBJECT_KEY_IDENTIFIER: [u8; 5] = [6, 3, 0x55, 0x1d, 14];
/// 2.5.29.17 as an OBJECT IDENTIFIER (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: [u8; 5] = [6, 3, 0x55, 0x1d, 17];
/// `BOOLEAN TRUE`; FALSE is the default and not written.
const CRITICAL: [u8; 3] = [1, 1, 0xff];

//! A certificate once more: other dates, another serial number, and everything else in the bytes that it has.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence, Tag};
use spki::AlgorithmIdentifierRef;

use super::raw::Period;
use super::tbs::algorithm_identifier;
use super::validity::encode_time;
use super::{Certificate, Damage, SerialNumber, SignatureAlgorithm, Validity};

/// Returns the bytes to be signed of `certificate` with another serial number and validity, signed with `signature`.
///
/// Issuer, subject, public key and extensions are copied as bytes: verifiers compare names byte for byte, and what was
/// signed by the old certificate's key shall find the same key identifier in the new one. With
/// [`assemble`](super::assemble) they become the certificate.
///
/// # Errors
/// [`Damage::Der`] when the fields cannot be encoded.
pub fn reissue_to_be_signed(
    certificate: &Certificate,
    serial: &SerialNumber,
    validity: Validity,
    signature: SignatureAlgorithm,
) -> Result<Vec<u8>, Damage> {
    let encode = || {
        let old = Copied::from_der(certificate.to_be_signed())?;
        Copied {
            serial: AnyRef::new(Tag::Integer, serial.as_bytes())?,
            signature: algorithm_identifier(signature),
            validity: Period {
                not_before: AnyRef::from(&encode_time(validity.not_before())),
                not_after: AnyRef::from(&encode_time(validity.not_after())),
            },
            ..old
        }
        .to_der()
    };
    encode().map_err(|error| Damage::der("certificate to be signed", error))
}

/// What the issuer of a certificate signs, with the extensions left as they are.
#[derive(Sequence)]
struct Copied<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<u8>,
    serial: AnyRef<'a>,
    signature: AlgorithmIdentifierRef<'a>,
    issuer: AnyRef<'a>,
    validity: Period<'a>,
    subject: AnyRef<'a>,
    public_key: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_id: Option<BitStringRef<'a>>,
    /// The whole of `[3]`, its tag included.
    extensions: Option<AnyRef<'a>>,
}

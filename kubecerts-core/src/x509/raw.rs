//! The wire forms that reading and writing share.
//!
//! Names, dates and keys stay undecoded here, so that what is copied from one certificate to another keeps its bytes.

use der::Sequence;
use der::asn1::{AnyRef, BitStringRef, UintRef};
use spki::AlgorithmIdentifierRef;

use super::extension::RawExtension;

/// Something with a signature: a certificate or a request.
#[derive(Sequence)]
pub(super) struct Signed<'a> {
    pub(super) content: AnyRef<'a>,
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    pub(super) signature: BitStringRef<'a>,
}

/// What the issuer of a certificate signs ([RFC 5280 §4.1]).
///
/// [RFC 5280 §4.1]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1
#[derive(Sequence)]
pub(super) struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) version: Option<u8>,
    pub(super) serial: AnyRef<'a>,
    pub(super) signature: AlgorithmIdentifierRef<'a>,
    pub(super) issuer: AnyRef<'a>,
    pub(super) validity: Period<'a>,
    pub(super) subject: AnyRef<'a>,
    pub(super) public_key: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) issuer_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) subject_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<RawExtension>>,
}

/// The dates of a certificate.
#[derive(Sequence)]
pub(super) struct Period<'a> {
    pub(super) not_before: AnyRef<'a>,
    pub(super) not_after: AnyRef<'a>,
}

/// The content of the basic constraints extension.
#[derive(Sequence)]
pub(super) struct Constraints<'a> {
    #[asn1(default = "Default::default")]
    pub(super) is_ca: bool,
    #[asn1(optional = "true")]
    pub(super) path_length: Option<UintRef<'a>>,
}

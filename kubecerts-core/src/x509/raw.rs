//! The wire forms that reading and writing share.
//!
//! Names, dates and keys stay undecoded here, so that what is copied from one certificate to another keeps its bytes.

use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::{Decode, Encode, Length, Reader, Sequence, Writer};
use spki::AlgorithmIdentifierRef;

use super::extension::RawExtension;

/// Something with a signature: a certificate or a request.
#[derive(Sequence)]
pub(super) struct Signed<'a> {
    pub(super) content: Verbatim<'a>,
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
    pub(super) issuer: Verbatim<'a>,
    pub(super) validity: Period<'a>,
    pub(super) subject: Verbatim<'a>,
    pub(super) public_key: Verbatim<'a>,
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

/// A value as it stands in something else, its tag and its length included.
#[derive(Clone, Copy)]
pub(super) struct Verbatim<'a>(&'a [u8]);

impl<'a> Verbatim<'a> {
    pub(super) const fn as_der(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Decode<'a> for Verbatim<'a> {
    type Error = der::Error;

    fn decode<R: Reader<'a>>(reader: &mut R) -> der::Result<Self> {
        reader.tlv_bytes().map(Self)
    }
}

impl Encode for Verbatim<'_> {
    fn encoded_len(&self) -> der::Result<Length> {
        Length::try_from(self.0.len())
    }

    fn encode(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(self.0)
    }
}

//! DER written straight into a buffer: what is encoded a million times goes without allocation.
//!
//! Lengths saturate while they are added up. Whoever writes asks once, of the whole, whether it is [`writable`].

use der::{Error, ErrorKind, Result};

/// Returns how many bytes a value is long whose content has `content` bytes: tag, length and content.
pub(super) const fn value_length(content: usize) -> usize {
    let header = match content {
        0..=0x7f => 2,
        0x80..=0xff => 3,
        0x100..=0xffff => 4,
        0x1_0000..=0xff_ffff => 5,
        _ => 6,
    };
    content.saturating_add(header)
}

/// Returns the sum of `lengths`.
pub(super) fn sum<const N: usize>(lengths: [usize; N]) -> usize {
    lengths.into_iter().fold(0, usize::saturating_add)
}

/// Returns `length` again.
///
/// # Errors
/// [`ErrorKind::Overflow`] for 2³² - 1 and beyond, where the length octets that are written here end.
pub(super) fn writable(length: usize) -> Result<usize> {
    match u32::try_from(length).is_ok_and(|length| length < u32::MAX) {
        true => Ok(length),
        false => Err(Error::from(ErrorKind::Overflow)),
    }
}

/// Appends a tag and the length of a content of `content` bytes, which belongs to something [`writable`].
// A call costs more than the two to four bytes that are to be written.
#[inline(always)]
pub(super) fn push_header(tag: u8, content: usize, out: &mut Vec<u8>) {
    let [.., b, a] = content.to_be_bytes();
    match content {
        0..=0x7f => out.extend_from_slice(&[tag, a]),
        0x80..=0xff => out.extend_from_slice(&[tag, 0x81, a]),
        0x100..=0xffff => out.extend_from_slice(&[tag, 0x82, b, a]),
        _ => push_long_header(tag, content, out),
    }
}

#[cold]
fn push_long_header(tag: u8, content: usize, out: &mut Vec<u8>) {
    // What is writable has no more than these four bytes of length.
    let [.., d, c, b, a] = (content as u64).to_be_bytes();
    match content {
        0..=0xff_ffff => out.extend_from_slice(&[tag, 0x83, c, b, a]),
        _ => out.extend_from_slice(&[tag, 0x84, d, c, b, a]),
    }
}

/// Appends a value.
#[inline]
pub(super) fn push_value(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    push_header(tag, content.len(), out);
    out.extend_from_slice(content);
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use der::asn1::AnyRef;
    use der::{Encode, Tag};

    use super::*;

    #[test]
    fn headers_are_those_of_the_der_crate_at_every_turn_of_the_length() {
        for length in [0, 1, 127, 128, 129, 255, 256, 257, 65_535, 65_536, 65_537, 0xff_ffff, 0x100_0000] {
            let content = vec![7; length];
            let expected = AnyRef::new(Tag::OctetString, &content).unwrap().to_der().unwrap();
            let mut written = Vec::new();
            push_value(OCTET_STRING, &content, &mut written);
            assert_eq!(written, expected, "{length}");
            assert_eq!(value_length(length), expected.len());
        }
    }

    #[test]
    fn what_has_too_many_bytes_is_not_writable() {
        assert_eq!(writable(1 << 24), Ok(1 << 24));
        assert!(writable(sum([usize::MAX, 1])).is_err());
        assert!(writable(value_length(0xffff_fff9)).is_err());
    }
}

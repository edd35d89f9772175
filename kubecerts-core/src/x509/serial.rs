//! Serial numbers.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::digest::{hex, parse_hex};

/// A serial number as the content bytes of its DER INTEGER.
///
/// Negative and over-long numbers are kept as they are: they occur, and a certificate that carries one is still
/// to be shown and renewed.
#[derive(Clone)]
pub struct SerialNumber(Content);

/// A million certificates need a million numbers: those of the length that RFC 5280 allows are not on the heap.
#[derive(Clone)]
enum Content {
    Short { bytes: [u8; SHORT], length: u8 },
    Long(Vec<u8>),
}

impl SerialNumber {
    /// Makes a positive serial number of 16 bytes from random bytes.
    ///
    /// The first bit is cleared so that the number is positive, and the second set so that its length does not depend
    /// on chance; 126 random bits remain, and [RFC 5280 §4.1.2.2] allows 20 bytes.
    ///
    /// [RFC 5280 §4.1.2.2]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Self::from_der_content(&bytes)
    }

    pub(crate) fn from_der_content(content: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..content.len()), u8::try_from(content.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(content);
                Self(Content::Short { bytes, length })
            }
            _ => Self(Content::Long(content.to_vec())),
        }
    }

    /// Returns the content bytes of the DER INTEGER, in two's complement.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Content::Short { bytes, length } => &bytes[..usize::from(*length)],
            Content::Long(bytes) => bytes,
        }
    }

    /// Returns whether the number is greater than zero, as RFC 5280 requires; kubeadm 1.20 gave its CAs zero.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.as_bytes().first().is_some_and(|byte| *byte < 0x80)
            && self.as_bytes().iter().any(|byte| *byte != 0)
    }

    /// Returns the number in decimal digits, as Go and Kubernetes' logs write it.
    ///
    /// # Panics
    /// Never: each division keeps its digits in range.
    #[must_use]
    pub fn to_decimal(&self) -> String {
        let negative = self.as_bytes().first().is_some_and(|byte| *byte >= 0x80);
        let mut magnitude = self.as_bytes().to_vec();
        if negative {
            negate(&mut magnitude);
        }
        let mut digits = Vec::new();
        while magnitude.iter().any(|byte| *byte != 0) {
            let mut remainder = 0_u16;
            for byte in &mut magnitude {
                let value = remainder << 8 | u16::from(*byte);
                *byte = u8::try_from(value / 10).expect("a remainder below 10 keeps the quotient in a byte");
                remainder = value % 10;
            }
            digits.push(char::from(b'0' + u8::try_from(remainder).expect("a remainder is below 10")));
        }
        if digits.is_empty() {
            digits.push('0');
        }
        if negative {
            digits.push('-');
        }
        digits.into_iter().rev().collect()
    }
}

/// The most bytes that a serial number may have ([RFC 5280 §4.1.2.2]).
///
/// [RFC 5280 §4.1.2.2]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2
const SHORT: usize = 20;

/// Replaces a number in two's complement by its negative.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = sum;
        carry = overflow;
    }
}

impl PartialEq for SerialNumber {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SerialNumber {}

impl PartialOrd for SerialNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SerialNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for SerialNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for SerialNumber {
    /// Writes hexadecimal digits without a leading zero byte, as `openssl x509 -serial` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.as_bytes() {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        f.write_str(&hex(digits))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = InvalidSerial;

    /// Parses hexadecimal digits of a positive number of at most 20 bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = parse_hex(text).filter(|bytes| !bytes.is_empty()).ok_or(InvalidSerial)?;
        let leading_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.drain(..leading_zeros);
        if bytes.first().is_none_or(|byte| *byte >= 0x80) {
            bytes.insert(0, 0);
        }
        if bytes.len() > SHORT { Err(InvalidSerial) } else { Ok(Self::from_der_content(&bytes)) }
    }
}

/// A text that is not a serial number of at most 20 bytes in hexadecimal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a serial number is at most 20 bytes in hexadecimal")]
pub struct InvalidSerial;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_serials_are_positive_and_of_constant_length() {
        for bytes in [[0; 16], [0xff; 16]] {
            let serial = SerialNumber::from_random(bytes);
            assert!(serial.is_positive());
            assert_eq!(serial.as_bytes().len(), 16);
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
    }

    #[test]
    fn serials_are_shown_in_hex_and_decimal() {
        let serial = SerialNumber::from_der_content(&[0x77, 0x57, 0xa7, 0x15, 0xad, 0x7f, 0x97, 0x09]);
        assert_eq!(serial.to_string(), "7757a715ad7f9709");
        assert_eq!(serial.to_decimal(), "8599525725034223369");
        assert_eq!(SerialNumber::from_der_content(&[0xff]).to_decimal(), "-1");
        assert_eq!(SerialNumber::from_der_content(&[0]).to_decimal(), "0");
    }

    #[test]
    fn serials_of_every_length_keep_their_bytes_and_their_order() {
        for length in 0..64_u8 {
            let bytes: Vec<u8> = (0..length).collect();
            let serial = SerialNumber::from_der_content(&bytes);
            assert_eq!(serial.as_bytes(), bytes);
            assert_eq!(serial.clone(), serial);
            let next: Vec<u8> = (0..=length).collect();
            assert!(serial < SerialNumber::from_der_content(&next));
        }
    }

    #[test]
    fn kubeadms_zero_is_not_positive() {
        assert!(!SerialNumber::from_der_content(&[0]).is_positive());
        assert!(!SerialNumber::from_der_content(&[0x80]).is_positive());
    }
}

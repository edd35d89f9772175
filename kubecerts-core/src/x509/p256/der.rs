//! `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) for numbers below 2^256: in DER, lengths have one byte.

/// The DER of a signature.
pub(super) struct Encoded {
    bytes: [u8; LONGEST],
    length: usize,
}

impl std::ops::Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Encodes `r` and `s`, the highest byte first.
pub(super) fn encode(numbers: [[u8; 32]; 2]) -> Encoded {
    let mut bytes = [0; LONGEST];
    let mut length = 2;
    for number in &numbers {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let digits = &number[zeros.min(31)..];
        // The highest bit is the sign.
        let sign = usize::from(digits[0] >> 7);
        bytes[length] = INTEGER;
        bytes[length + 1] = (digits.len() + sign) as u8;
        bytes[length + 2 + sign..][..digits.len()].copy_from_slice(digits);
        length += 2 + sign + digits.len();
    }
    bytes[0] = SEQUENCE;
    bytes[1] = (length - 2) as u8;
    Encoded { bytes, length }
}

/// Reads `r` and `s`, the highest byte first. `None` for anything that is not DER.
pub(super) fn decode(signature: &[u8]) -> Option<[[u8; 32]; 2]> {
    let (&[SEQUENCE, length, INTEGER], rest) = signature.split_first_chunk()? else { return None };
    if usize::from(length) != signature.len() - 2 {
        return None;
    }
    let (r, rest) = unsigned(rest)?;
    let (&INTEGER, rest) = rest.split_first()? else { return None };
    let (s, rest) = unsigned(rest)?;
    rest.is_empty().then_some([r, s])
}

/// Reads length and value of an `INTEGER` in DER that is not negative and below 2^256.
fn unsigned(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (&length, rest) = der.split_first()?;
    let (value, rest) = rest.split_at_checked(length.into())?;
    let digits = match value {
        [] | [128..=255, ..] | [0, 0..128, ..] => return None,
        [0, digits @ ..] => digits,
        digits => digits,
    };
    let mut bytes = [0; 32];
    bytes[32usize.checked_sub(digits.len())?..].copy_from_slice(digits);
    Some((bytes, rest))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
/// Two numbers of 33 bytes, with the byte of the sign, and the heads.
const LONGEST: usize = 72;

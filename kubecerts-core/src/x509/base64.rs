//! Base64 ([RFC 4648 §4]) of what anybody may see.
//!
//! Eight digits go through one 64-bit word, and letters come from comparisons that a compiler does for many bytes at once; there is
//! no table. Secrets are left to `base64ct`, which promises to take the same time for all of them.
//!
//! [RFC 4648 §4]: https://www.rfc-editor.org/rfc/rfc4648#section-4

/// Appends `bytes` in lines of 64 digits, each with its end of line.
pub(super) fn encode_lines(bytes: &[u8], out: &mut Vec<u8>) {
    let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
    for line in lines {
        out.extend_from_slice(&encode_line(line));
    }
    if rest.is_empty() {
        return;
    }
    let mut line = [0; LINE_BYTES];
    line[..rest.len()].copy_from_slice(rest);
    let mut digits = encode_line(&line);
    let (used, all) = ((rest.len() * 8).div_ceil(6), rest.len().div_ceil(3) * 4);
    digits[used..all].fill(b'=');
    digits[all] = b'\n';
    out.extend_from_slice(&digits[..=all]);
}

/// Returns the bytes that `digits`, with their padding and nothing else, stand for; `None` when they are no base64.
pub(crate) fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let unpadded = digits.strip_suffix(b"==").or_else(|| digits.strip_suffix(b"=")).unwrap_or(digits);
    let mut bytes = Vec::with_capacity(unpadded.len() / 4 * 3 + LINE_BYTES);
    let (lines, rest) = unpadded.as_chunks::<LINE_DIGITS>();
    let mut is_valid = true;
    for line in lines {
        let (line, valid) = decode_line(line);
        bytes.extend_from_slice(&line);
        is_valid &= valid;
    }
    let mut last = [b'A'; LINE_DIGITS];
    last[..rest.len()].copy_from_slice(rest);
    let (line, valid) = decode_line(&last);
    let used = rest.len() * 6 / 8;
    bytes.extend_from_slice(&line[..used]);
    // The bits that stand for no byte are zero, so that bytes have one encoding only.
    let is_canonical = line[used..].iter().all(|byte| *byte == 0);
    (is_valid && valid && is_canonical).then_some(bytes)
}

fn encode_line(bytes: &[u8; LINE_BYTES]) -> [u8; LINE_DIGITS + 1] {
    let mut digits = [b'\n'; LINE_DIGITS + 1];
    for (eight, six) in digits.as_chunks_mut::<8>().0.iter_mut().zip(bytes.as_chunks::<6>().0) {
        let [a, b, c, d, e, f] = *six;
        let word = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        // 48 bits in a row; then 24 in each half, 12 in each quarter, 6 in each byte.
        let word = (word & 0x0000_ffff_ff00_0000) << 8 | word & 0x0000_0000_00ff_ffff;
        let word = (word & 0x00ff_f000_00ff_f000) << 4 | word & 0x0000_0fff_0000_0fff;
        let word = (word & 0x0fc0_0fc0_0fc0_0fc0) << 2 | word & 0x003f_003f_003f_003f;
        *eight = word.to_be_bytes();
    }
    for digit in &mut digits[..LINE_DIGITS] {
        *digit = to_digit(*digit);
    }
    digits
}

/// Returns the bytes, and whether all digits are digits.
fn decode_line(digits: &[u8; LINE_DIGITS]) -> ([u8; LINE_BYTES], bool) {
    let mut values = [0; LINE_DIGITS];
    let mut invalid = 0;
    for (value, digit) in values.iter_mut().zip(digits) {
        *value = to_value(*digit);
        invalid |= *value;
    }
    let mut bytes = [0; LINE_BYTES];
    for (six, eight) in bytes.as_chunks_mut::<6>().0.iter_mut().zip(values.as_chunks::<8>().0) {
        let word = u64::from_be_bytes(*eight);
        let word = (word & 0x3f00_3f00_3f00_3f00) >> 2 | word & 0x003f_003f_003f_003f;
        let word = (word & 0x0fff_0000_0fff_0000) >> 4 | word & 0x0000_0fff_0000_0fff;
        let word = (word & 0x00ff_ffff_0000_0000) >> 8 | word & 0x0000_0000_00ff_ffff;
        let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
        *six = [a, b, c, d, e, f];
    }
    (bytes, invalid < INVALID)
}

/// `A` to `Z`, `a` to `z`, `0` to `9`, `+` and `/` lie in five runs; what is added up here are the gaps between them.
const fn to_digit(value: u8) -> u8 {
    let lower = if value > 25 { b'a' - b'Z' - 1 } else { 0 };
    let number = if value > 51 { b'0'.wrapping_sub(b'z' + 1) } else { 0 };
    let plus = if value > 61 { b'+'.wrapping_sub(b'9' + 1) } else { 0 };
    let slash = if value > 62 { b'/' - b'+' - 1 } else { 0 };
    (b'A' + value).wrapping_add(lower).wrapping_add(number).wrapping_add(plus).wrapping_add(slash)
}

const fn to_value(digit: u8) -> u8 {
    let upper = if digit.wrapping_sub(b'A') < 26 { digit.wrapping_sub(b'A') | FOUND } else { 0 };
    let lower = if digit.wrapping_sub(b'a') < 26 { digit.wrapping_sub(b'a' - 26) | FOUND } else { 0 };
    let number = if digit.wrapping_sub(b'0') < 10 { digit.wrapping_add(52 - b'0') | FOUND } else { 0 };
    let plus = if digit == b'+' { 62 | FOUND } else { 0 };
    let slash = if digit == b'/' { 63 | FOUND } else { 0 };
    // A value with this bit lost was found in no run: the other way round it marks what is none.
    (upper | lower | number | plus | slash) ^ FOUND
}

const LINE_DIGITS: usize = 64;
const LINE_BYTES: usize = LINE_DIGITS / 4 * 3;
/// Above the six bits of a value.
const FOUND: u8 = 1 << 6;
/// What a digit that is none leaves in its value.
const INVALID: u8 = FOUND;

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_has_the_digit_of_the_alphabet() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (value, digit) in (0..64).zip(alphabet) {
            assert_eq!((to_digit(value), to_value(*digit)), (*digit, value));
        }
        for byte in (0..=u8::MAX).filter(|byte| !alphabet.contains(byte)) {
            assert!(to_value(byte) >= INVALID, "{byte}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_base64ct(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut out = b"before".to_vec();
            encode_lines(&bytes, &mut out);
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.strip_prefix("before").unwrap().lines().collect();
            prop_assert_eq!(lines.concat(), Base64::encode_string(&bytes));
            prop_assert!(lines.iter().rev().skip(1).all(|line| line.len() == LINE_DIGITS));
            prop_assert!(lines.last().is_none_or(|line| line.len() <= LINE_DIGITS && !line.is_empty()));
            prop_assert_eq!(decode(lines.concat().as_bytes()), Some(bytes));
        }

        #[test]
        fn what_base64ct_refuses_is_refused_and_the_rest_is_the_same(
            digits in "[AQgwBa9+/=]{0,9}|[A-Za-z0-9+/]{60,140}={0,2}|[A-Za-z0-9+/=\\-_ \n]{0,140}",
        ) {
            prop_assert_eq!(decode(digits.as_bytes()), Base64::decode_vec(&digits).ok());
        }

        #[test]
        fn one_wrong_byte_is_found_wherever_it_is(
            bytes in prop::collection::vec(any::<u8>(), 3..300),
            at in any::<prop::sample::Index>(),
            wrong in any::<u8>(),
        ) {
            let mut digits = Base64::encode_string(&bytes).into_bytes();
            let at = at.index(digits.len());
            digits[at] = wrong;
            let expected = String::from_utf8(digits.clone()).ok().and_then(|text| Base64::decode_vec(&text).ok());
            prop_assert_eq!(decode(&digits), expected);
        }
    }
}

//! Base64 ([RFC 4648 §4]) of what anybody may see.
//!
//! Eight digits go through one 64-bit word, when they are read as letters too; what is written gets its letters from comparisons that a
//! compiler does for many bytes at once. There is no table. Secrets are left to `base64ct`, which promises to take the same time for all of them.
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

/// Appends what `text` has beside the blanks, which are white space of ASCII. Where these are says nothing about what is between them.
pub(crate) fn pack(text: &[u8], is_blank: impl Fn(&u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(start) = rest.iter().position(|byte| !is_blank(byte)) {
        rest = &rest[start..];
        // Files have lines of this length, kubeconfigs one long one.
        let end = match rest.first_chunk::<LINE_DIGITS>() {
            Some(line) if is_dense(line) => LINE_DIGITS,
            _ => rest.iter().position(&is_blank).unwrap_or(rest.len()),
        };
        let (dense, after) = rest.split_at(end);
        out.extend_from_slice(dense);
        rest = after;
    }
}

/// Returns whether there is neither white space nor a control character.
fn is_dense(line: &[u8; LINE_DIGITS]) -> bool {
    let words = line.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word));
    // A byte borrows its highest bit when it is below, and has none of its own.
    words.fold(0, |below, word| below | word.wrapping_sub(spread(b' ' + 1)) & !word) & spread(0x80) == 0
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
    let mut bytes = [0; LINE_BYTES];
    let mut is_valid = true;
    for (six, eight) in bytes.as_chunks_mut::<6>().0.iter_mut().zip(digits.as_chunks::<8>().0) {
        let (word, valid) = to_values(u64::from_be_bytes(*eight));
        is_valid &= valid;
        let word = (word & 0x3f00_3f00_3f00_3f00) >> 2 | word & 0x003f_003f_003f_003f;
        let word = (word & 0x0fff_0000_0fff_0000) >> 4 | word & 0x0000_0fff_0000_0fff;
        let word = (word & 0x00ff_ffff_0000_0000) >> 8 | word & 0x0000_0000_00ff_ffff;
        let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
        *six = [a, b, c, d, e, f];
    }
    (bytes, is_valid)
}

/// `A` to `Z`, `a` to `z`, `0` to `9`, `+` and `/` lie in five runs; what is added up here are the gaps between them.
const fn to_digit(value: u8) -> u8 {
    let lower = if value > 25 { b'a' - b'Z' - 1 } else { 0 };
    let number = if value > 51 { b'0'.wrapping_sub(b'z' + 1) } else { 0 };
    let plus = if value > 61 { b'+'.wrapping_sub(b'9' + 1) } else { 0 };
    let slash = if value > 62 { b'/' - b'+' - 1 } else { 0 };
    (b'A' + value).wrapping_add(lower).wrapping_add(number).wrapping_add(plus).wrapping_add(slash)
}

/// Returns the values of eight digits, each in its byte, and whether all digits are digits.
const fn to_values(digits: u64) -> (u64, bool) {
    let upper = within(digits, b'A', b'Z');
    let lower = within(digits, b'a', b'z');
    let number = within(digits, b'0', b'9');
    let plus = within(digits, b'+', b'+');
    let slash = within(digits, b'/', b'/');
    let is_valid = (upper | lower | number | plus | slash) & !digits & spread(0x80) == spread(0x80);
    // In what is valid no byte leaves its range, so none takes from its neighbour.
    let up = each(number, 52 - b'0') + each(plus, 62 - b'+') + each(slash, 63 - b'/');
    let down = each(upper, b'A') + each(lower, b'a' - 26);
    (digits.wrapping_add(up).wrapping_sub(down), is_valid)
}

/// Returns the highest bit of each byte that is in the run from `first` to `last`. A byte that is not ASCII may have it too, and no other
/// does.
const fn within(bytes: u64, first: u8, last: u8) -> u64 {
    let ascii = bytes & spread(0x7f);
    (ascii + spread(0x80 - first)) & !(ascii + spread(0x7f - last)) & spread(0x80)
}

/// Returns `value` in each byte whose highest bit is set in `bits`, which has no other bits.
const fn each(bits: u64, value: u8) -> u64 {
    (bits >> 7) * value as u64
}

/// Returns eight times the same byte.
const fn spread(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const LINE_DIGITS: usize = 64;
const LINE_BYTES: usize = LINE_DIGITS / 4 * 3;

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_has_the_digit_of_the_alphabet() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (value, digit) in (0..64).zip(alphabet) {
            assert_eq!(to_digit(value), *digit);
            assert_eq!(to_values(spread(*digit)), (spread(value), true));
        }
        for byte in (0..=u8::MAX).filter(|byte| !alphabet.contains(byte)) {
            for at in 0..8 {
                let mut digits = [b'/'; 8];
                digits[at] = byte;
                assert!(!to_values(u64::from_ne_bytes(digits)).1, "{byte} {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_has_no_blanks_and_all_else(
            text in prop::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'\n')], 0..300),
            lines in "([A-Z]{64}\n){0,3}[A-Z]{0,70}\n?",
        ) {
            for text in [text, lines.into_bytes()] {
                let mut packed = b"before".to_vec();
                pack(&text, u8::is_ascii_whitespace, &mut packed);
                let dense = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
                prop_assert_eq!(packed, b"before".iter().copied().chain(dense).collect::<Vec<_>>());
            }
        }

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

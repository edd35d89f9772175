//! The search for marks in files that are base64 for the most part.
//!
//! Eight bytes go through one 64-bit word. Marks have a dash and base64 has none, so that next to nothing of a file is looked at twice.

/// Returns where `mark`, which is not empty, is for the first time.
pub(crate) fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    occurrences(bytes, mark).next()
}

/// Returns every place at which `mark` begins, which is not empty, in order.
pub(crate) fn occurrences(bytes: &[u8], mark: &[u8]) -> impl Iterator<Item = usize> {
    let rare = mark.iter().position(|byte| *byte == b'-').unwrap_or(0);
    let mut from = rare;
    std::iter::from_fn(move || {
        loop {
            let start = from + position(bytes.get(from..)?, mark[rare])? - rare;
            from = start + rare + 1;
            if bytes[start..].starts_with(mark) {
                return Some(start);
            }
        }
    })
}

/// Returns where the first byte is that equals `wanted`.
fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let difference = u64::from_le_bytes(*word) ^ (LOWEST * u64::from(wanted));
        // The lowest bit that is set belongs to the first byte that is zero; what is above may be carried from there.
        let zeros = difference.wrapping_sub(LOWEST) & !difference & HIGHEST;
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| *byte == wanted)?;
    Some(words.len() * 8 + place)
}

/// The lowest bit of each byte.
const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
/// The highest bit of each byte.
const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_is_found_and_no_other(
            bytes in prop::collection::vec(prop::sample::select(&b"--AB\x2c\x2e\xad\0\x01"[..]), 0..80),
            mark in prop::collection::vec(prop::sample::select(&b"--AB"[..]), 1..5),
        ) {
            let expected: Vec<usize> =
                (0..bytes.len()).filter(|start| bytes[*start..].starts_with(&mark)).collect();
            prop_assert_eq!(find(&bytes, &mark), expected.first().copied());
            prop_assert_eq!(occurrences(&bytes, &mark).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn a_byte_is_found_among_any_others(bytes in prop::collection::vec(any::<u8>(), 0..40), wanted in any::<u8>()) {
            prop_assert_eq!(position(&bytes, wanted), bytes.iter().position(|byte| *byte == wanted));
        }
    }
}

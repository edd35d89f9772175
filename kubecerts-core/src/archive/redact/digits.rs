//! Secrets that are written as base64 or hexadecimal digits.

use base64ct::{Base64, Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::{Redactions, keys, layer};
use crate::digest::hex;

/// Returns `bytes` with every run of digits that stands for a secret written anew without it.
pub(super) fn redact(bytes: &[u8], depth: usize, found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut clean = Zeroizing::new(bytes.to_vec());
    for alphabet in [Alphabet::Hex, Alphabet::Base64] {
        clean = alphabet.redact(&clean, depth, found);
    }
    clean
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Alphabet {
    Hex,
    /// With `+` and `/`, or with `-` and `_` as in URLs. Nobody can tell where the one ends and the other begins.
    Base64,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'),
        }
    }

    fn redact(self, bytes: &[u8], depth: usize, found: &mut Redactions) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
        let mut done = 0;
        let mut at = 0;
        while at < bytes.len() {
            if !self.has(bytes[at]) {
                at += 1;
                continue;
            }
            let (digits, end) = self.run(bytes, at);
            if digits.len() >= SHORTEST
                && let Some(clean) = self.clean(&digits, depth, found)
            {
                out.extend_from_slice(&bytes[done..at]);
                out.extend_from_slice(&clean);
                // A key with a wrong digit goes on behind it, and stays one that cannot be decoded.
                let further = bytes[end..].iter().take_while(|byte| !ends_word(**byte)).count();
                if further > 0 {
                    out.push(b'!');
                }
                done = end + further;
                // A key that a wrong digit cuts off may go on in all lines that hold nothing else.
                while let Some(length) = self.further_line(&bytes[done..]) {
                    done += length;
                }
                at = done;
                continue;
            }
            at = end;
        }
        out.extend_from_slice(&bytes[done..]);
        out
    }

    /// Returns the digits from `begin` on and where they end. They may go on in further lines that hold nothing else.
    fn run(self, bytes: &[u8], begin: usize) -> (Zeroizing<Vec<u8>>, usize) {
        let mut digits = Zeroizing::new(Vec::new());
        let mut end = begin;
        let mut before = None;
        loop {
            let length = bytes[end..].iter().take_while(|byte| self.has(**byte)).count();
            digits.extend_from_slice(&bytes[end..end + length]);
            end += length;
            // Lines are of one length, but for the last one, and for the first one, which may have begun with something else.
            if before.is_some_and(|before| length < before) {
                break;
            }
            if end > begin + length {
                before = Some(length);
            }
            let Some(next) = next_line(&bytes[end..]).map(|skipped| end + skipped) else { break };
            let length = bytes[next..].iter().take_while(|byte| self.has(**byte)).count();
            let after = bytes[next + length..].iter().take_while(|byte| **byte == b'=').count();
            let tail = &bytes[next + length + after..];
            let ends = tail.first().is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b'"' | b'\'' | b'\\'));
            if length == 0 || !ends {
                break;
            }
            end = next;
        }
        if self != Self::Hex {
            let padding = bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            end += padding;
        }
        (digits, end)
    }

    /// Returns how much belongs to the next line, when it holds nothing but digits.
    fn further_line(self, bytes: &[u8]) -> Option<usize> {
        let begin = next_line(bytes)?;
        let digits = bytes[begin..].iter().take_while(|byte| self.has(**byte)).count();
        let end = begin + digits + bytes[begin + digits..].iter().take_while(|byte| **byte == b'=').count();
        let ends = bytes.get(end).is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b'"' | b'\'' | b'\\'));
        // Three dashes separate documents.
        (digits > 3 && ends).then_some(end)
    }

    /// Returns other digits, when these stand for a secret at whatever digit it begins.
    fn clean(self, digits: &[u8], depth: usize, found: &mut Redactions) -> Option<Zeroizing<Vec<u8>>> {
        let group = if self == Self::Hex { 2 } else { 4 };
        for offset in 0..group {
            let Some(decoded) = self.decode(&digits[offset..]) else { continue };
            let mut inside = Redactions::default();
            let clean = match offset {
                0 => layer(&decoded, depth + 1, &mut inside),
                _ => keys(&decoded, depth + 1, &mut inside),
            };
            if inside.is_empty() {
                continue;
            }
            *found += inside;
            let is_for_urls = digits.iter().any(|digit| matches!(digit, b'-' | b'_'));
            let mut anew = Zeroizing::new(digits[..offset].to_vec());
            anew.extend_from_slice(self.encode(&clean, is_for_urls).as_bytes());
            return Some(anew);
        }
        None
    }

    fn decode(self, digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if self == Self::Hex {
            let (pairs, _) = digits.as_chunks::<2>();
            let value = |digit: u8| (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let bytes: Option<Vec<u8>> =
                pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect();
            return bytes.map(Zeroizing::new);
        }
        // One digit alone is no byte, and the bits behind the last byte are nobody's.
        let used = digits.len() - usize::from(digits.len() % 4 == 1);
        let mut padded = Zeroizing::new(Vec::with_capacity(used + 3));
        padded.extend(digits[..used].iter().map(|digit| match digit {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        }));
        while !padded.len().is_multiple_of(4) {
            padded.push(b'A');
        }
        let mut bytes = Zeroizing::new(vec![0; padded.len() / 4 * 3]);
        Base64::decode(padded.as_slice(), &mut bytes).ok()?;
        bytes.truncate(used * 3 / 4);
        Some(bytes)
    }

    fn encode(self, bytes: &[u8], is_for_urls: bool) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Hex => hex(bytes),
            Self::Base64 if is_for_urls => {
                Base64Unpadded::encode_string(bytes).replace('+', "-").replace('/', "_")
            }
            Self::Base64 => Base64::encode_string(bytes),
        })
    }
}

/// Returns how much lies before the next line, when this one ends here.
fn next_line(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut ends = 0;
    loop {
        match bytes.get(at)? {
            b'\n' => (at, ends) = (at + 1, ends + 1),
            b'\r' | b' ' | b'\t' => at += 1,
            b'\\' if matches!(bytes.get(at + 1), Some(b'n')) => (at, ends) = (at + 2, ends + 1),
            b'\\' if matches!(bytes.get(at + 1), Some(b'r' | b'\n')) => at += 1,
            b'r' if at > 0 && bytes[at - 1] == b'\\' => at += 1,
            _ => break,
        }
    }
    (ends == 1).then_some(at)
}

/// Returns whether digits that stand in a text end here.
fn ends_word(byte: u8) -> bool {
    byte.is_ascii_whitespace() || br#""'`,;}])<&|\"#.contains(&byte)
}

/// The shortest private key that says of itself what it is, a P-256 one in SEC1 without its public half, takes 66 digits.
const SHORTEST: usize = 60;

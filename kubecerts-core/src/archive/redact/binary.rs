//! Private keys in DER, at any place of the bytes.

use zeroize::Zeroizing;

use super::Redactions;
use crate::x509::RedactedKey;

/// Returns `bytes` with a block of PEM in the place of each private key in DER.
pub(super) fn redact(bytes: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut done = 0;
    let mut at = 0;
    while at < bytes.len() {
        let Some(length) = (bytes[at] == SEQUENCE).then(|| key_length(&bytes[at..])).flatten() else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[done..at]);
        if at > 0 {
            out.push(b'\n');
        }
        for line in RedactedKey::of_der(&bytes[at..at + length]).lines() {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        found.keys += 1;
        at += length;
        done = at;
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

/// Returns how long the private key is that begins here, if one does. One that is cut off goes on to the end.
///
/// PKCS#1 ([RFC 8017 §A.1.2]) has a version and a long modulus, SEC1 ([RFC 5915 §3]) a version and an octet string, PKCS#8
/// ([RFC 5958 §2]) a version, an algorithm and an octet string, or, when it is encrypted (§3), an algorithm of PKCS#5 or
/// PKCS#12 and an octet string.
///
/// [RFC 8017 §A.1.2]: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.2
/// [RFC 5915 §3]: https://www.rfc-editor.org/rfc/rfc5915#section-3
/// [RFC 5958 §2]: https://www.rfc-editor.org/rfc/rfc5958#section-2
fn key_length(bytes: &[u8]) -> Option<usize> {
    let (content, length) = header(bytes, SEQUENCE)?;
    if length < SHORTEST {
        return None;
    }
    let whole = content.saturating_add(length).min(bytes.len());
    let inner = &bytes[content..whole];
    if let Some(rest) = inner.strip_prefix(&[INTEGER, 1, 0]).or_else(|| inner.strip_prefix(&[INTEGER, 1, 1]))
    {
        let is_key = match *rest.first()? {
            INTEGER => header(rest, INTEGER).is_some_and(|(_, length)| length >= SHORTEST),
            OCTET_STRING => header(rest, OCTET_STRING).is_some_and(|(_, length)| length >= SHORTEST_SCALAR),
            SEQUENCE => {
                let (content, length) = header(rest, SEQUENCE)?;
                let names = rest.get(content) == Some(&OBJECT_IDENTIFIER);
                let after = rest.get(content.saturating_add(length)..);
                // A request for a certificate has a key where this one has an octet string.
                names && after.is_none_or(|after| after.first().is_none_or(|tag| *tag == OCTET_STRING))
            }
            _ => false,
        };
        return is_key.then_some(whole);
    }
    let (content, _) = header(inner, SEQUENCE)?;
    let algorithm = inner.get(content..)?;
    let algorithm = algorithm.get(1..).filter(|_| algorithm.first() == Some(&OBJECT_IDENTIFIER))?;
    let encrypts = ENCRYPTIONS.iter().any(|id| algorithm.get(1..).is_some_and(|rest| rest.starts_with(id)));
    encrypts.then_some(whole)
}

/// Returns where the content of an element begins, and its length.
fn header(bytes: &[u8], tag: u8) -> Option<(usize, usize)> {
    if bytes.first() != Some(&tag) {
        return None;
    }
    match *bytes.get(1)? {
        short @ 0..=0x7f => Some((2, usize::from(short))),
        // No key is longer than three bytes can say.
        long @ 0x81..=0x83 => {
            let digits = bytes.get(2..2 + usize::from(long & 0x7f))?;
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            Some((2 + digits.len(), length))
        }
        // Of indefinite length, as BER allows: to the end.
        0x80 => Some((2, bytes.len() - 2)),
        0x84.. => None,
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// 1.2.840.113549.1.5, PKCS#5, and 1.2.840.113549.1.12.1, the ciphers of PKCS#12.
const ENCRYPTIONS: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01],
];
/// The shortest key is an Ed25519 one of 48 bytes; the first number of an RSA key is longer too.
const SHORTEST: usize = 32;
/// Scalars of smaller curves than these protect nothing.
const SHORTEST_SCALAR: usize = 20;

//! Certificates in whatever an authority sends: PEM among text, DER one after the other, PKCS#7.

use super::{Certificate, Damage, pem};

/// Returns every certificate in `bytes`: PEM blocks with any text around them, or DER, or the certificates that a PKCS#7
/// message carries ([RFC 2315 §9.1], in DER or PEM), which is how some authorities send a chain.
///
/// A damaged certificate is an `Err` in its place. What holds no certificate gives an empty list.
///
/// [RFC 2315 §9.1]: https://www.rfc-editor.org/rfc/rfc2315#section-9.1
#[must_use]
pub fn delivered_certificates(bytes: &[u8]) -> Vec<Result<Certificate, Damage>> {
    // Editors of other systems begin a text with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut found = Vec::new();
    let mut has_blocks = false;
    for block in pem::decode_blocks(bytes) {
        has_blocks = true;
        match block {
            Ok(block) if pem::is_certificate(block.label()) => {
                found.push(Certificate::parse_der(block.secret_bytes()));
            }
            Ok(block) if is_message(block.label()) => found.extend(of_message(block.secret_bytes())),
            Err(Damage::Pem { label, reason }) if pem::is_certificate(&label) || is_message(&label) => {
                found.push(Err(Damage::Pem { label, reason }));
            }
            Ok(_) | Err(_) => {}
        }
    }
    if has_blocks || bytes.first() != Some(&SEQUENCE) {
        return found;
    }
    let mut rest = bytes;
    while rest.first() == Some(&SEQUENCE) {
        let Some(element) = Element::first(rest) else {
            found.push(Err(Damage::der("certificate", "it is cut off")));
            return found;
        };
        let whole = &rest[..rest.len() - element.rest.len()];
        match certificates_of_message(&element) {
            Some(certificates) => found.extend(certificates),
            None => found.push(Certificate::parse_der(whole)),
        }
        rest = element.rest;
    }
    if !rest.trim_ascii().is_empty() {
        found.push(Err(Damage::der("certificate", "it is followed by something else")));
    }
    found
}

fn is_message(label: &str) -> bool {
    matches!(label, "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA")
}

fn of_message(der: &[u8]) -> Vec<Result<Certificate, Damage>> {
    Element::first(der)
        .and_then(|element| certificates_of_message(&element))
        .unwrap_or_else(|| vec![Err(Damage::der("PKCS#7 message", "it is not signed data in DER"))])
}

/// Returns the certificates of `SignedData`, the signatures of which are of no interest; `None` when it is something else.
fn certificates_of_message(message: &Element<'_>) -> Option<Vec<Result<Certificate, Damage>>> {
    let kind = Element::first(message.content)?;
    if kind.tag != OBJECT_IDENTIFIER || kind.content != SIGNED_DATA {
        return None;
    }
    let explicit = Element::first(kind.rest).filter(|element| element.tag == CONTEXT_0)?;
    let data = Element::first(explicit.content).filter(|element| element.tag == SEQUENCE)?;
    // The version, the digest algorithms and the content come before the certificates.
    let mut rest = data.content;
    for _ in 0..3 {
        rest = Element::first(rest)?.rest;
    }
    let Some(set) = Element::first(rest).filter(|element| element.tag == CONTEXT_0) else {
        return Some(Vec::new());
    };
    let mut certificates = Vec::new();
    let mut rest = set.content;
    while !rest.is_empty() {
        let Some(element) = Element::first(rest) else {
            certificates.push(Err(Damage::der("PKCS#7 message", "it is cut off")));
            break;
        };
        certificates.push(Certificate::parse_der(&rest[..rest.len() - element.rest.len()]));
        rest = element.rest;
    }
    Some(certificates)
}

/// One element of DER, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    /// Splits off the first element; `None` when it is cut off, or its length is of a form that DER does not allow.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, after) = bytes.split_first()?;
        let (&first, after) = after.split_first()?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(first), after),
            // A file is not longer than four bytes can say.
            0x81..=0x84 => {
                let (digits, after) = after.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), after)
            }
            0x80 | 0x85.. => return None,
        };
        let (content, rest) = after.split_at_checked(length)?;
        Some(Self { tag, content, rest })
    }
}

const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const CONTEXT_0: u8 = 0xa0;

/// 1.2.840.113549.1.7.2, `signedData`.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

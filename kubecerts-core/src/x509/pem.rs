//! PEM ([RFC 7468]), read leniently and written as kubeadm writes it.
//!
//! Reading follows Go's `encoding/pem`, which kubeadm uses: text around blocks is skipped, white space inside a
//! block does not matter. Unlike there, a broken block is reported instead of being passed over in silence.
//!
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468

use base64ct::{Base64, Encoding};
use zeroize::{Zeroize, Zeroizing};

use super::redacted::{REDACTED_LABEL, RedactedKey};
use super::{Certificate, Damage, base64};
use crate::search::find;
use crate::secret::SecretBytes;

/// One PEM block; its content may be a secret.
#[derive(Debug)]
pub struct Block {
    label: String,
    encrypted: bool,
    contents: SecretBytes,
    redacted: Option<Box<RedactedKey>>,
}

impl Block {
    /// Returns the label, such as `CERTIFICATE` or `RSA PRIVATE KEY`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns whether a `Proc-Type` header or the label says that the content is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Returns the decoded content.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        self.contents.secret_bytes()
    }

    /// Returns what is known of the private key for which this block stands, when it is one of a redacted snapshot.
    pub(crate) fn redacted(&self) -> Option<&RedactedKey> {
        self.redacted.as_deref()
    }
}

/// Returns every PEM block in `bytes`, in order, each decoded or with its own damage.
#[must_use]
pub fn decode_blocks(bytes: &[u8]) -> Vec<Result<Block, Damage>> {
    blocks(bytes).collect()
}

/// Returns the blocks of `bytes` one after the other; who needs the first only does not wait for the others.
pub(super) fn blocks(bytes: &[u8]) -> impl Iterator<Item = Result<Block, Damage>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (label, body) = next_begin(rest)?;
        let label_text = String::from_utf8_lossy(label).into_owned();
        let (content, after) = split_at_end(body, label);
        rest = after;
        Some(match content {
            Some(content) => decode_body(label_text, content),
            None => Err(Damage::Pem { label: label_text, reason: "is cut off: it has no END line" }),
        })
    })
}

/// Returns every certificate in `bytes`, which are PEM as all programs of Kubernetes demand it.
///
/// # Errors
/// [`Damage::Empty`] or [`Damage::Nothing`] when there is none at all. A damaged block among others is an `Err` in
/// its place in the list.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Result<Certificate, Damage>>, Damage> {
    if bytes.is_empty() {
        return Err(Damage::Empty);
    }
    let found: Vec<_> = blocks(bytes)
        .filter_map(|block| match block {
            Ok(block) => is_certificate(&block.label).then(|| Certificate::parse_der(block.secret_bytes())),
            Err(Damage::Pem { label, reason }) if is_certificate(&label) => {
                Some(Err(Damage::Pem { label, reason }))
            }
            Err(_) => None,
        })
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    Err(Damage::Nothing("certificate in PEM"))
}

/// Returns `bytes`, which are PEM, with the certificate `new` (in DER) in the place of every block that holds `old`; every
/// other byte stays. `None` when there is no such block.
#[must_use]
pub fn replace_certificate(bytes: &[u8], old: &Certificate, new: &[u8]) -> Option<Vec<u8>> {
    let mut result = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut found = false;
    while let Some((label, body)) = next_begin(rest) {
        let (content, after) = split_at_end(body, label);
        let decoded = content.and_then(|content| {
            decode_body(String::from_utf8_lossy(label).into_owned(), content)
                .ok()
                .filter(|block| is_certificate(&block.label) && block.secret_bytes() == old.as_der())
        });
        if decoded.is_some() {
            // The block begins with its BEGIN line, which lies before the label, and ends with its END line.
            let line = &rest[..rest.len() - body.len()];
            let begin = line.trim_ascii_end().len() - DASHES.len() - label.len() - BEGIN.len();
            result.extend_from_slice(&rest[..begin]);
            result.extend_from_slice(encode_certificate(new).trim_end().as_bytes());
            rest = after.get(label.len() + DASHES.len()..).unwrap_or_default();
            found = true;
        } else {
            result.extend_from_slice(&rest[..rest.len() - after.len()]);
            rest = after;
        }
    }
    result.extend_from_slice(rest);
    found.then_some(result)
}

/// Returns `der` as a `CERTIFICATE` block with lines of 64 characters.
#[must_use]
pub fn encode_certificate(der: &[u8]) -> String {
    encode_public("CERTIFICATE", der)
}

/// Appends `der` to `out` as [`encode_certificate`] writes it, without an allocation where there is room.
pub fn encode_certificate_into(der: &[u8], out: &mut Vec<u8>) {
    push_public("CERTIFICATE", der, out);
}

/// Returns `der` as a `CERTIFICATE REQUEST` block.
#[must_use]
pub fn encode_request(der: &[u8]) -> String {
    encode_public("CERTIFICATE REQUEST", der)
}

/// Returns `der`, a subject public key info, as a `PUBLIC KEY` block.
#[must_use]
pub fn encode_public_key(der: &[u8]) -> String {
    encode_public("PUBLIC KEY", der)
}

/// Returns `der` as a block with the label `label`, without leaving a copy behind.
pub(super) fn encode_secret(label: &'static str, der: &[u8]) -> SecretBytes {
    let mut text = der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .expect("the labels of private keys are valid and memory suffices");
    let bytes = SecretBytes::new(text.as_bytes().to_vec());
    text.zeroize();
    bytes
}

fn encode_public(label: &str, der: &[u8]) -> String {
    let mut text = Vec::new();
    push_public(label, der, &mut text);
    String::from_utf8(text).expect("labels and base64 are ASCII")
}

fn push_public(label: &str, der: &[u8], out: &mut Vec<u8>) {
    let frame = 2 * (BEGIN.len() + label.len() + DASHES.len() + 1);
    out.reserve(frame + der.len() / 48 * 65 + 65);
    for part in [BEGIN, label.as_bytes(), DASHES, b"\n"] {
        out.extend_from_slice(part);
    }
    base64::encode_lines(der, out);
    for part in [END, label.as_bytes(), DASHES, b"\n"] {
        out.extend_from_slice(part);
    }
}

pub(super) fn is_certificate(label: &str) -> bool {
    // OpenSSL still reads the two old labels.
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Finds the next line that begins a block; returns its label and what follows the line.
fn next_begin(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + find(&bytes[from..], BEGIN)?;
        from = at + BEGIN.len();
        let starts_line = at == 0 || bytes[at - 1] == b'\n' || bytes[at - 1] == b'\r';
        if !starts_line {
            // Looking for the end of the same line again and again would take quadratic time.
            continue;
        }
        let line_end =
            bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| from + end);
        if let Some(label) = bytes[from..line_end].trim_ascii_end().strip_suffix(DASHES) {
            return Some((label, &bytes[line_end..]));
        }
    }
}

/// Splits at the block's END line. Without one the block ends where the next begins, or with the file.
fn split_at_end<'a>(body: &'a [u8], label: &[u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let next = find(body, BEGIN).unwrap_or(body.len());
    let Some(end) = find(&body[..next], END) else { return (None, &body[next..]) };
    let tail = &body[end + END.len()..];
    let closes = tail.strip_prefix(label).is_some_and(|tail| tail.starts_with(DASHES));
    (closes.then_some(&body[..end]), tail)
}

fn decode_body(label: String, content: &[u8]) -> Result<Block, Damage> {
    let mut encrypted = label == "ENCRYPTED PRIVATE KEY";
    let mut headers = Vec::new();
    let mut digits = Zeroizing::new(Vec::with_capacity(content.len()));
    if content.contains(&b':') {
        for line in content.split(|byte| *byte == b'\n') {
            if !line.contains(&b':') {
                base64::pack(line, u8::is_ascii_whitespace, &mut digits);
                continue;
            }
            // A header of RFC 1421, which OpenSSL writes before an encrypted key.
            encrypted |= find(line, b"ENCRYPTED").is_some();
            if label == REDACTED_LABEL {
                headers.push(String::from_utf8_lossy(line.trim_ascii()).into_owned());
            }
        }
    } else {
        base64::pack(content, u8::is_ascii_whitespace, &mut digits);
    }
    let decoded = if is_public(&label) {
        // What is no secret need be neither wiped nor decoded in constant time.
        let digits = std::mem::take(&mut *digits);
        base64::decode(&digits)
    } else {
        let mut decoded = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
        Base64::decode(digits.as_slice(), &mut decoded).ok().map(<[u8]>::to_vec)
    };
    let decoded = decoded.map(SecretBytes::new);
    match decoded {
        Some(contents) if label == REDACTED_LABEL => {
            let redacted = RedactedKey::parse(&headers, contents.secret_bytes());
            match redacted.as_ref().map(|redacted| &redacted.reading) {
                // So that whoever reads the blocks of a file sees what was seen before.
                Some(Err(damage @ Damage::Pem { .. })) => Err(damage.clone()),
                _ => Ok(Block { label, encrypted: false, contents, redacted: redacted.map(Box::new) }),
            }
        }
        Some(contents) => Ok(Block { label, encrypted, contents, redacted: None }),
        None => Err(Damage::Pem { label, reason: "is not base64" }),
    }
}

/// Returns whether a block with this label holds nothing secret, as its writer says.
fn is_public(label: &str) -> bool {
    matches!(
        label,
        "CERTIFICATE"
            | "X509 CERTIFICATE"
            | "TRUSTED CERTIFICATE"
            | "CERTIFICATE REQUEST"
            | "NEW CERTIFICATE REQUEST"
            | "PUBLIC KEY"
    )
}

#[cfg(test)]
mod tests {
    use pem::{EncodeConfig, LineEnding, Pem};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_before_between_and_after_blocks_is_skipped() {
        let text = "subject=CN = x\n-----BEGIN A-----\nAAEC\n-----END A-----\nnoise\n-----BEGIN B-----\r\nAw==\r\n-----END B-----";
        let blocks: Vec<_> = decode_blocks(text.as_bytes()).into_iter().map(Result::unwrap).collect();
        let seen: Vec<_> = blocks.iter().map(|block| (block.label(), block.secret_bytes())).collect();
        assert_eq!(seen, [("A", &[0, 1, 2][..]), ("B", &[3][..])]);
    }

    #[test]
    fn a_cut_block_does_not_swallow_the_next() {
        let text = "-----BEGIN A-----\nAAEC\n-----BEGIN B-----\nAw==\n-----END B-----\n";
        let blocks = decode_blocks(text.as_bytes());
        assert!(matches!(&blocks[0], Err(Damage::Pem { label, .. }) if label == "A"));
        assert_eq!(blocks[1].as_ref().unwrap().secret_bytes(), [3]);
    }

    #[test]
    fn headers_of_encrypted_keys_are_seen() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----\n";
        assert!(decode_blocks(text.as_bytes())[0].as_ref().unwrap().is_encrypted());
    }

    #[test]
    fn a_text_is_found_where_it_is_for_the_first_time() {
        for (haystack, place) in [
            ("", None),
            ("-----BEGIN", None),
            ("-----BEGIN ", Some(0)),
            ("------BEGIN -----BEGIN ", Some(1)),
            (&format!("{}-----BEGIN A-----BEGIN ", "x-".repeat(60)), Some(120)),
            (&format!("{}-----BEGIN ", "x".repeat(64)), Some(64)),
        ] {
            assert_eq!(find(haystack.as_bytes(), BEGIN), place, "{haystack}");
        }
    }

    proptest! {
        #[test]
        fn public_blocks_are_those_of_the_pem_crate(der in prop::collection::vec(any::<u8>(), 0..400)) {
            let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
            let text = encode_certificate(&der);
            prop_assert_eq!(&text, &pem::encode_config(&Pem::new("CERTIFICATE", &*der), config));
            prop_assert_eq!(encode_request(&der), text.replace("CERTIFICATE", "CERTIFICATE REQUEST"));
            let mut out = b"before".to_vec();
            encode_certificate_into(&der, &mut out);
            prop_assert_eq!(out, [b"before", text.as_bytes()].concat());
            let blocks = decode_blocks(text.as_bytes());
            prop_assert_eq!(blocks[0].as_ref().unwrap().secret_bytes(), &der);
        }

        /// The two decoders agree on what is a block, whatever is in it.
        #[test]
        fn a_label_makes_no_difference_to_what_is_base64(body in "([A-Za-z0-9+/]{4}){0,40}[A=\n\r \t:-]{0,6}") {
            let block = |label: &str| {
                let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
                decode_blocks(text.as_bytes())
                    .into_iter()
                    .map(|block| block.map(|block| block.secret_bytes().to_vec()).map_err(drop))
                    .collect::<Vec<_>>()
            };
            prop_assert_eq!(block("CERTIFICATE"), block("RSA PRIVATE KEY"));
        }
    }

    #[test]
    fn lines_are_64_characters_long() {
        let text = encode_certificate(&[7; 100]);
        assert_eq!(text.lines().nth(1).unwrap().len(), 64);
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
        assert_eq!(decode_blocks(text.as_bytes())[0].as_ref().unwrap().secret_bytes(), [7; 100]);
        assert_eq!(encode_secret("CERTIFICATE", &[7; 100]).secret_bytes(), text.as_bytes());
    }
}

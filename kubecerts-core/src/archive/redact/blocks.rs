//! Private keys in PEM, also where no reader of PEM would look: indented, in one line, or in a string with escapes.

use zeroize::Zeroizing;

use super::{MASK, Redactions, find};
use crate::x509::{REDACTED_LABEL, RedactedKey};

/// Returns `bytes` with another block in the place of each that may hold a private key.
pub(super) fn redact(bytes: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() + bytes.len() / 4));
    let mut done = 0;
    let mut from = 0;
    while let Some(begin) = find(bytes, BEGIN, from) {
        let Some(block) = Block::at(bytes, begin) else {
            from = begin + BEGIN.len();
            continue;
        };
        if !is_public(block.label) {
            out.extend_from_slice(&bytes[done..begin]);
            block.replace(bytes, &mut out);
            found.keys += 1;
            done = block.end;
        }
        from = block.end;
    }
    out.extend_from_slice(&bytes[done..]);
    without_tails(&out, found)
}

/// Returns `bytes` without the lines before each END line of a private key that has no BEGIN line.
fn without_tails(bytes: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut done = 0;
    let mut from = 0;
    while let Some(end) = find(bytes, END, from) {
        from = end + END.len();
        let longest = bytes.len().min(from + LONGEST_LABEL);
        let label = find(&bytes[..longest], DASHES, from).map(|close| &bytes[from..close]);
        let label = label.and_then(|label| std::str::from_utf8(label).ok());
        if label.is_some_and(is_public) {
            continue;
        }
        let mut begin = end;
        for line in bytes[done..end].rsplit(|byte| *byte == b'\n') {
            if !line.trim_ascii().iter().all(|byte| is_of_body(*byte)) {
                break;
            }
            begin = begin.saturating_sub(line.len() + 1).max(done);
        }
        if bytes[begin..end].trim_ascii().is_empty() {
            continue;
        }
        out.extend_from_slice(&bytes[done..begin]);
        out.push(b'\n');
        found.keys += 1;
        done = end;
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

/// Returns `bytes`, a file that is nothing but PEM, without what might be a piece of a key outside of all blocks.
pub(super) fn blocks_only(bytes: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut done = 0;
    let mut from = 0;
    let mut keep = |text: &[u8], out: &mut Vec<u8>| {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let digits = line.trim_ascii();
            let blanks = digits.iter().filter(|byte| byte.is_ascii_whitespace()).count();
            if digits.len() >= LONGEST_WORD * (blanks + 1) {
                out.extend_from_slice(MASK);
                out.push(b'\n');
                found.keys += 1;
            } else {
                out.extend_from_slice(line);
            }
        }
    };
    while let Some(begin) = find(bytes, BEGIN, from) {
        let Some(block) = Block::at(bytes, begin).filter(|block| block.is_closed) else {
            from = begin + BEGIN.len();
            continue;
        };
        keep(&bytes[done..begin], &mut out);
        out.extend_from_slice(&bytes[begin..block.end]);
        done = block.end;
        from = block.end;
    }
    keep(&bytes[done..], &mut out);
    out
}

struct Block<'a> {
    begin: usize,
    label: &'a str,
    /// What stands between two lines: an end of line and the indentation, an escape, or a blank.
    separator: &'a [u8],
    body: &'a [u8],
    /// Whether the block ends as it begins.
    is_closed: bool,
    end: usize,
}

impl<'a> Block<'a> {
    fn at(bytes: &'a [u8], begin: usize) -> Option<Self> {
        let label_begin = begin + BEGIN.len();
        let longest = bytes.len().min(label_begin + LONGEST_LABEL);
        let label_end = find(&bytes[..longest], DASHES, label_begin)?;
        let label = std::str::from_utf8(&bytes[label_begin..label_end]).ok()?;
        if label.contains(['\n', '\r']) {
            return None;
        }
        let body_begin = label_end + DASHES.len();
        let separator = &bytes[body_begin..body_begin + separator_length(&bytes[body_begin..])];
        let next = find(bytes, BEGIN, body_begin).unwrap_or(bytes.len());
        let (body, is_closed, end) = match find(&bytes[..next], END, body_begin) {
            Some(at) => {
                let tail = &bytes[at + END.len()..];
                let closes = tail.strip_prefix(label.as_bytes());
                match closes.is_some_and(|tail| tail.starts_with(DASHES)) {
                    true => (&bytes[body_begin..at], true, at + END.len() + label.len() + DASHES.len()),
                    // Another label: what follows it is no part of the key.
                    false => (&bytes[body_begin..at], false, at),
                }
            }
            None => (&bytes[body_begin..next], false, cut(bytes, begin, next)),
        };
        Some(Self { begin, label, separator, body, is_closed, end })
    }

    fn replace(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let separator = if self.separator.is_empty() { b"\n" } else { self.separator };
        if !self.label.ends_with("PRIVATE KEY") {
            // No reader of keys looks at it, so it stays what it is to them.
            for part in [BEGIN, self.label.as_bytes(), DASHES, separator] {
                out.extend_from_slice(part);
            }
            if self.is_closed {
                for part in [END, self.label.as_bytes(), DASHES] {
                    out.extend_from_slice(part);
                }
            }
            return;
        }
        let lines = RedactedKey::of_pem(self.label, &self.normal()).lines();
        for (position, line) in lines.iter().enumerate() {
            if position > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(line.as_bytes());
        }
        let ends_line = bytes.get(self.end).is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
        if !self.is_closed && !ends_line && self.begin < self.end {
            out.extend_from_slice(separator);
        }
    }

    /// Returns the block as a reader of PEM expects it.
    fn normal(&self) -> Zeroizing<Vec<u8>> {
        let mut normal = Zeroizing::new(Vec::with_capacity(self.body.len() + 2 * LONGEST_LABEL));
        for part in [BEGIN, self.label.as_bytes(), DASHES, b"\n"] {
            normal.extend_from_slice(part);
        }
        let has_lines = self.body.contains(&b'\n');
        let mut rest = self.body;
        while !rest.is_empty() {
            match separator_length(rest) {
                0 => {
                    // All backslashes at once: each of them would be counted again.
                    let length = rest.iter().take_while(|byte| **byte == b'\\').count().max(1);
                    normal.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
                // Headers have blanks, and lines.
                length if has_lines && !rest[..length].contains(&b'\n') && rest[0] != b'\\' => {
                    normal.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
                length => {
                    // An empty line ends the headers, and is nothing elsewhere.
                    normal.push(b'\n');
                    rest = &rest[length..];
                }
            }
        }
        if self.is_closed {
            for part in [b"\n", END, self.label.as_bytes(), DASHES, b"\n"] {
                normal.extend_from_slice(part);
            }
        }
        normal
    }
}

/// Returns how many bytes at the start are white space, or escapes that stand for it.
fn separator_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let backslashes = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
        if backslashes > 0 && matches!(bytes.get(at + backslashes), Some(b'n' | b'r' | b't')) {
            at += backslashes + 1;
            continue;
        }
        if bytes[at..].starts_with(b"%0A") || bytes[at..].starts_with(b"%0D") {
            at += 3;
            continue;
        }
        break;
    }
    at
}

/// Returns where a block without an end ends: where the next begins, or with the file. In a text with other things the lines that
/// are no base64 are left: they are no part of the key.
fn cut(bytes: &[u8], begin: usize, next: usize) -> usize {
    let is_of_key = |line: &[u8]| {
        let line = line.trim_ascii();
        line.is_empty()
            || line.starts_with(BEGIN)
            || !line.iter().any(|byte| matches!(byte, b' ' | b'\t'))
            || [&b"Proc-Type:"[..], b"DEK-Info:"].iter().any(|header| line.starts_with(header))
    };
    let mut end = begin;
    for line in bytes[begin..next].split_inclusive(|byte| *byte == b'\n') {
        if end > begin && !is_of_key(line) {
            break;
        }
        end += line.len();
    }
    end
}

/// Returns whether a block with this label is public by its definition, or one of ours.
fn is_public(label: &str) -> bool {
    const PUBLIC: [&str; 8] = [
        "CERTIFICATE",
        "X509 CERTIFICATE",
        "TRUSTED CERTIFICATE",
        "X509 CRL",
        "PKCS7",
        "CMS",
        "PKCS #7 SIGNED DATA",
        REDACTED_LABEL,
    ];
    PUBLIC.contains(&label)
        || label.ends_with("CERTIFICATE REQUEST")
        || label.ends_with("PUBLIC KEY")
        || label.ends_with("PARAMETERS")
}

fn is_of_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r')
}

/// Digits of base64 without a blank are no words from here on.
const LONGEST_WORD: usize = 16;
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// No label is longer.
const LONGEST_LABEL: usize = 100;

//! Secrets that are known by their form, whatever stands before them.

use zeroize::Zeroizing;

use super::{MASK, Redactions};

/// Returns `text` without bootstrap tokens, keys of age and the private lines of PuTTY, and without the key that kubeadm prints
/// behind the words "certificate key".
pub(super) fn redact(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    // How many bytes a word may lie behind "certificate key", or how many lines of PuTTY are left.
    let mut after_key = 0_usize;
    let mut in_putty = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(PUTTY) {
            in_putty = true;
        } else if in_putty && !line.is_empty() && !line.contains(&b':') {
            out.extend_from_slice(MASK);
            out.push(b'\n');
            found.keys += 1;
            continue;
        } else {
            in_putty = false;
        }
        let lower = line.to_ascii_lowercase();
        if super::find(&lower, b"certificate key", 0).is_some() {
            after_key = 3;
        }
        let mut at = 0;
        while at < line.len() {
            let length = line[at..].iter().take_while(|byte| is_of_word(**byte)).count();
            if length == 0 {
                out.push(line[at]);
                at += 1;
                continue;
            }
            let word = &line[at..at + length];
            let is_certificate_key =
                after_key > 0 && word.len() == 64 && word.iter().all(u8::is_ascii_hexdigit);
            if is_bootstrap_token(word) || word.starts_with(AGE) || is_certificate_key {
                out.extend_from_slice(MASK);
                found.values += 1;
            } else {
                out.extend_from_slice(word);
            }
            at += length;
        }
        after_key = after_key.saturating_sub(1);
    }
    out
}

/// `abcdef.0123456789abcdef`. Words without any digit are names of hosts.
fn is_bootstrap_token(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    word.len() == 23
        && word[6] == b'.'
        && word[..6].iter().all(plain)
        && word[7..].iter().all(plain)
        && word.iter().any(u8::is_ascii_digit)
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

const AGE: &[u8] = b"AGE-SECRET-KEY-";
const PUTTY: &[u8] = b"Private-Lines:";

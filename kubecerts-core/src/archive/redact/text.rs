//! What is masked in text of any kind: YAML, JSON, units, scripts, lists of variables.

use zeroize::Zeroizing;

use super::{MASK, Redactions, find, token, values};

/// Returns whether `bytes` are text, if perhaps a damaged one, and not DER or something else.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let odd = bytes
        .iter()
        .filter(|byte| !byte.is_ascii() || byte.is_ascii_control() && !byte.is_ascii_whitespace());
    !bytes.is_empty() && odd.count() <= bytes.len() / 8
}

/// Returns `text` without signatures of tokens and without values whose names speak of secrets.
pub(super) fn mask(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let clean = token::redact(text, found);
    let clean = in_urls(&clean, found);
    let clean = values::of_plugins(&clean, found);
    values::of_names(&clean, found)
}

/// Masks the passwords in URLs.
fn in_urls(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut done = 0;
    let mut from = 0;
    while let Some(at) = find(text, b"://", from) {
        let begin = at + 3;
        from = begin;
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'' | b',' | b'?');
        let length = text[begin..].iter().take_while(|byte| !ends(byte)).count();
        let authority = &text[begin..begin + length];
        let Some(user_end) = authority.iter().rposition(|byte| *byte == b'@') else { continue };
        let Some(colon) = authority[..user_end].iter().position(|byte| *byte == b':') else { continue };
        let password = begin + colon + 1..begin + user_end;
        if password.is_empty() || text[password.clone()] == *MASK {
            continue;
        }
        out.extend_from_slice(&text[done..password.start]);
        out.extend_from_slice(MASK);
        found.add_value(&text[password.clone()]);
        done = password.end;
    }
    out.extend_from_slice(&text[done..]);
    out
}

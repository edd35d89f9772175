//! What is masked in text of any kind: YAML, JSON, units, scripts, lists of variables.

use zeroize::Zeroizing;

use super::{MASK, Redactions, find, token, values, words};

/// Returns whether `bytes` may be text of any encoding, and not DER, which a mask would destroy.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let odd = bytes
        .iter()
        .filter(|byte| !byte.is_ascii() || byte.is_ascii_control() && !byte.is_ascii_whitespace());
    bytes.first().is_some_and(|first| *first != SEQUENCE)
        || !bytes.is_empty() && odd.count() <= bytes.len() / 8
        || std::str::from_utf8(bytes).is_ok()
}

/// Returns `text` without signatures of tokens and without values whose names speak of secrets.
pub(super) fn mask(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let clean = token::redact(text, found);
    let clean = in_urls(&clean, found);
    let clean = words::redact(&clean, found);
    let clean = values::of_plugins(&clean, found);
    values::of_names(&clean, found)
}

/// Masks the passwords in URLs, and users without a password, which may be tokens.
fn in_urls(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut done = 0;
    let mut from = 0;
    while let Some(at) = find(text, SCHEME, from) {
        let begin = at + SCHEME.len();
        from = begin;
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`');
        let length = text[begin..].iter().take_while(|byte| !ends(byte)).count();
        // Of a list of URLs the next one is looked at by itself.
        let length = find(&text[..begin + length], SCHEME, begin).map_or(length, |next| next - begin);
        let url = &text[begin..begin + length];
        let Some((begin_of_secret, end_of_secret)) = secret_of_url(url) else { continue };
        let secret = begin + begin_of_secret..begin + end_of_secret;
        if secret.is_empty() || text[secret.clone()] == *MASK {
            continue;
        }
        out.extend_from_slice(&text[done..secret.start]);
        out.extend_from_slice(MASK);
        found.values += 1;
        done = secret.end;
        from = secret.end;
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// Returns where the secret is in a URL without its scheme. A password may hold what should have been escaped.
fn secret_of_url(url: &[u8]) -> Option<(usize, usize)> {
    let authority = url.iter().take_while(|byte| !matches!(byte, b'/' | b',' | b'?' | b'#')).count();
    let user_end = url[..authority].iter().rposition(|byte| *byte == b'@');
    let last = url.iter().rposition(|byte| *byte == b'@')?;
    let colon = url[..user_end.unwrap_or(authority)].iter().position(|byte| *byte == b':');
    match (user_end, colon) {
        (Some(end), Some(colon)) if colon < LONGEST_USER => Some((colon + 1, end)),
        (Some(end), None) if url[..end] == *b"git" => None,
        (Some(end), _) => Some((0, end)),
        (None, Some(colon)) => {
            let is_port = url[colon + 1..authority].iter().all(u8::is_ascii_digit);
            (!is_port).then_some((colon + 1, last))
        }
        (None, None) => None,
    }
}

/// With this the rest of a URL begins.
const SCHEME: &[u8] = b"://";
/// A longer name of a user is a token.
const LONGEST_USER: usize = 20;
/// With this DER begins, and text does so with it only as a digit.
const SEQUENCE: u8 = 0x30;

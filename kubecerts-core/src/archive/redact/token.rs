//! Tokens of service accounts: JSON web tokens ([RFC 7519]).
//!
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::{MASK, Redactions, find};

/// Returns `text` with every token reduced to its header, which names the key, and its issuer. The signature is gone, so nobody can
/// use it.
pub(super) fn redact(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut done = 0;
    let mut from = 0;
    while let Some(begin) = find(text, BEGIN, from) {
        let starts = begin == 0 || !is_digit(text[begin - 1]);
        let token = if starts { Token::at(text, begin) } else { None };
        let Some(Token { header_end, payload, end }) = token else {
            from = begin + BEGIN.len();
            continue;
        };
        out.extend_from_slice(&text[done..header_end]);
        out.push(b'.');
        out.extend_from_slice(Base64UrlUnpadded::encode_string(&issuer(payload)).as_bytes());
        out.push(b'.');
        out.extend_from_slice(MASK);
        found.tokens += 1;
        done = end;
        from = end;
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// Returns whether `text` is nothing but a token as [`redact`] leaves it.
pub(super) fn is_redacted(text: &[u8]) -> bool {
    let mut parts = text.trim_ascii().split(|byte| *byte == b'.');
    let (header, issuer, signature) = (parts.next(), parts.next(), parts.next());
    let decodes = |part: Option<&[u8]>| {
        let text = part.and_then(|part| std::str::from_utf8(part).ok());
        text.and_then(|text| Base64UrlUnpadded::decode_vec(text).ok())
    };
    let is_header = decodes(header).is_some_and(|header| find(&header, b"\"alg\"", 0).is_some());
    let is_issuer = decodes(issuer).is_some_and(|claims| issuer == Some(as_issuer(&claims).as_bytes()));
    is_header && is_issuer && signature == Some(MASK) && parts.next().is_none()
}

/// Returns `claims` in base64, with nothing but the issuer.
fn as_issuer(claims: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(&issuer(Base64UrlUnpadded::encode_string(claims).as_bytes()))
}

struct Token<'a> {
    header_end: usize,
    payload: &'a [u8],
    end: usize,
}

impl<'a> Token<'a> {
    fn at(text: &'a [u8], begin: usize) -> Option<Self> {
        let part = |from: usize| text[from..].iter().take_while(|byte| is_digit(**byte)).count();
        let header_end = begin + part(begin);
        let header =
            Base64UrlUnpadded::decode_vec(std::str::from_utf8(&text[begin..header_end]).ok()?).ok()?;
        find(&header, b"\"alg\"", 0)?;
        (text.get(header_end) == Some(&b'.')).then_some(())?;
        let payload_end = header_end + 1 + part(header_end + 1);
        let payload = &text[header_end + 1..payload_end];
        // A token that is cut off before its signature has nothing to hide, and still says whose it is.
        if text.get(payload_end) != Some(&b'.') {
            return None;
        }
        let end = payload_end + 1 + part(payload_end + 1);
        (text[payload_end + 1..end] != *MASK).then_some(Self { header_end, payload, end })
    }
}

/// Returns the claims of `payload` that are kept: who has issued the token.
fn issuer(payload: &[u8]) -> Vec<u8> {
    let claim = || {
        let json = Base64UrlUnpadded::decode_vec(std::str::from_utf8(payload).ok()?).ok()?;
        let name = find(&json, b"\"iss\"", 0)? + 5;
        let open = find(&json, b"\"", name)?;
        let between = json[name..open].trim_ascii();
        let close = find(&json, b"\"", open + 1)?;
        let value = &json[open..=close];
        (between == b":" && !value.contains(&b'\\')).then(|| [b"{\"iss\":", value, b"}"].concat())
    };
    claim().unwrap_or_else(|| b"{}".to_vec())
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// `{"` in base64, with which every header begins.
const BEGIN: &[u8] = b"eyJ";

//! Text in UTF-16, as some editors and shells write it.

use zeroize::Zeroizing;

/// Returns the text that `bytes` are in UTF-16, by their byte order mark, or by the zero that is half of an ASCII character at their
/// beginning ([RFC 2781 §4.3]). What is no character is replaced.
///
/// [RFC 2781 §4.3]: https://www.rfc-editor.org/rfc/rfc2781#section-4.3
pub(super) fn decoded(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let is_big = match *bytes.first_chunk()? {
        [0xfe, 0xff] => true,
        [0xff, 0xfe] => false,
        [0, character] if is_text(character) => true,
        [character, 0] if is_text(character) => false,
        _ => return None,
    };
    let unit = |pair: &[u8]| match pair {
        [one, other] if is_big => u16::from_be_bytes([*one, *other]),
        [one, other] => u16::from_le_bytes([*one, *other]),
        // Half a unit at the end.
        _ => 0xfffd,
    };
    let mut text = Zeroizing::new(String::with_capacity(bytes.len()));
    let characters = char::decode_utf16(bytes.chunks(2).map(unit));
    text.extend(characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Some(text)
}

const fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

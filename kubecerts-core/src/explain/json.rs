//! The fields of a JSON object on one line, as loggers write it.

/// Returns the fields of the object that `text` begins with: texts unescaped, numbers and words as they stand, and arrays of
/// bytes, as `journalctl -o json` has them for what is no UTF-8, as text. Nested objects are left out.
///
/// An object that is cut off has the fields before the cut, the last one as far as it goes: such lines are common where
/// somebody has copied them out of a terminal.
pub(super) fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix('{')?.trim_start();
    let mut fields = Vec::new();
    while fields.len() < MOST_FIELDS {
        let Some(after) = rest.strip_prefix('"') else { break };
        let (key, after) = string(after);
        let Some(after) = after.trim_start().strip_prefix(':') else { break };
        let (value, after) = value(after.trim_start());
        fields.extend(value.map(|value| (key, value)));
        let Some(after) = after.trim_start().strip_prefix(',') else { break };
        rest = after.trim_start();
    }
    if fields.is_empty() { None } else { Some(fields) }
}

fn value(text: &str) -> (Option<String>, &str) {
    if let Some(after) = text.strip_prefix('"') {
        let (value, rest) = string(after);
        return (Some(value), rest);
    }
    if text.starts_with(['{', '[']) {
        let end = nested_end(text);
        let (nested, rest) = text.split_at(end);
        let bytes: Option<Vec<u8>> = nested
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .and_then(|inner| inner.split(',').map(|number| number.trim().parse().ok()).collect());
        return (bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()), rest);
    }
    let end = text.find([',', '}']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (Some(word.trim().to_owned()), rest)
}

/// Returns the text up to the next quotation mark, unescaped, and what follows it.
pub(super) fn string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n' | 'r' | 't') => value.push(' '),
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    value.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other) => value.push(other),
                None => {}
            },
            other => value.push(other),
        }
    }
    (value, "")
}

/// Returns where the object or array ends that `text` begins with; its length when it is cut off.
fn nested_end(text: &str) -> usize {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Loggers write a dozen; journald has about thirty of its own.
const MOST_FIELDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(fields: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn texts_are_unescaped_and_nested_objects_left_out() {
        let line = r#"{"log":"a \"b\"\n","n": 1.5, "x":{"y":["}"]}, "t":true,"u":"\u0041\\"}"#;
        assert_eq!(fields(line), owned(&[("log", "a \"b\" "), ("n", "1.5"), ("t", "true"), ("u", "A\\")]));
    }

    #[test]
    fn arrays_of_bytes_are_text() {
        assert_eq!(fields(r#"{"MESSAGE":[69,48, 53],"n":[1.5]}"#), owned(&[("MESSAGE", "E05")]));
    }

    #[test]
    fn what_is_cut_off_or_no_object_is_read_as_far_as_it_goes() {
        assert_eq!(
            fields(r#"{"level":"warn","error":"x509: cert"#),
            owned(&[("level", "warn"), ("error", "x509: cert")])
        );
        for text in ["", "{", "{}", "[]", "{\"", "{\"a\"", "{\"a\":", "{a:1}"] {
            assert!(fields(text).is_none_or(|fields| fields == [("a".to_owned(), String::new())]), "{text}");
        }
    }
}

//! What strangers say, fit to be shown.

/// Returns the beginning of `text` as one line: at most 200 characters, and everything but visible ASCII escaped.
///
/// Letters of other scripts are escaped too: some of them move the cursor or turn the direction of writing.
pub(super) fn line(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == LIMIT {
            shown.push_str("...");
            break;
        }
        if character == ' ' || character.is_ascii_graphic() {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// In characters, before they are escaped.
const LIMIT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        assert_eq!(line(" a \"b\"\\\x1b[2J\u{202e}é\n"), r#"a "b"\\u{1b}[2J\u{202e}\u{e9}"#);
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(line(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(line(&"x".repeat(1 << 20)), format!("{}...", "x".repeat(200)));
    }
}

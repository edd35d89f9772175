//! A line as it may be shown.

use super::tokens;

/// Returns `line` as one short line without control characters, and without what could be a secret.
pub(super) fn of(line: &str) -> String {
    let shown: String = line
        .trim()
        .chars()
        .filter(|c| !is_deceptive(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(4 * LONGEST)
        .collect();
    let shown = tokens::without(&shown);
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Characters that reverse the order of others on a terminal.
const fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Characters of a line that are shown; the end of an error in a line of the API server lies within.
const LONGEST: usize = 480;

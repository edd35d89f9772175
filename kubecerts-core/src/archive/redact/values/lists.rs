//! Lists under a name that speaks of secrets: `[a, b]`, and items in lines of their own.

use super::{blanks, closing, indentation, is_block_header, line_length};
use crate::archive::redact::find;

/// The begin and the end of a value.
type Span = (usize, usize);

/// How much of a text may be looked through for the ends of lists, so that lists within lists take no time that grows with their square.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) const fn of(text: &[u8]) -> Self {
        Self(MOST_PASSES.saturating_mul(text.len()))
    }

    /// Returns whether nothing more can be told apart.
    pub(super) const fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// Returns where the values are of the list in brackets that is opened at `open`: begin and end of each. What is in braces is looked at by
/// its own names.
///
/// # Errors
/// What is a value as a whole when nothing can be told apart: of a list that is never closed all that is further indented, and of one list
/// too many the rest of the text.
pub(super) fn in_brackets(text: &[u8], open: usize, budget: &mut Budget) -> Result<Vec<Span>, Span> {
    let mut items = Vec::new();
    let mut open_brackets = 0_usize;
    let mut open_braces = 0_usize;
    let mut at = open;
    while at < text.len() {
        let begin = at;
        match text[at] {
            b'[' => open_brackets += 1,
            b']' => open_brackets = open_brackets.saturating_sub(1),
            b'{' => open_braces += 1,
            b'}' => open_braces = open_braces.saturating_sub(1),
            byte if byte.is_ascii_whitespace() || byte == b',' => {}
            quote @ (b'"' | b'\'') => {
                at = closing(text, at, quote);
                if open_braces == 0 {
                    items.push((begin + 1, at));
                }
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'[' | b']' | b'{' | b'}');
                at += text[at..].iter().take_while(|byte| !ends(byte)).count();
                if open_braces == 0 {
                    items.push((begin, begin + text[begin..at].trim_ascii_end().len()));
                }
                at -= 1;
            }
        }
        at += 1;
        let left = budget.0.checked_sub(at - begin);
        budget.0 = left.unwrap_or(0);
        if left.is_none() {
            return Err((open + 1, text.len()));
        }
        if open_brackets == 0 {
            return Ok(items);
        }
    }
    let line = text[..open].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    Err((open + 1, item_end(text, line, blanks(&text[line..])).max(open + 1)))
}

/// Returns where the values are of the items below the name at `name`, whose line ends at `line_end`: begin and end of each. Items that are
/// made of fields are looked at by their own names.
pub(super) fn in_lines(text: &[u8], name: usize, line_end: usize, budget: &mut Budget) -> Vec<Span> {
    let least = indentation(text, name);
    let line = text[..name].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if !text[line..name].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'"' | b'\'')) {
        return Vec::new();
    }
    let mut items = Vec::new();
    let mut indent = None;
    let mut at = next_line(text, line_end);
    while at < text.len() {
        let line = &text[at..at + line_length(&text[at..])];
        let dash = blanks(line);
        let content = &line[dash..];
        if content.trim_ascii().is_empty() || content.starts_with(b"#") {
            at = next_line(text, at);
            continue;
        }
        let is_item = content[0] == b'-' && content.get(1).is_none_or(u8::is_ascii_whitespace);
        if !is_item || dash < least || indent.is_some_and(|indent| indent != dash) {
            break;
        }
        indent = Some(dash);
        let end = item_end(text, at, dash);
        at = match of_item(text, (at + dash + 1).min(end), end, budget) {
            Ok(found) => {
                items.extend(found);
                end
            }
            Err(whole) => {
                items.push(whole);
                whole.1.max(end)
            }
        };
    }
    items
}

/// Returns where the lines end that are further indented than the dash of the item in the line at `line`.
fn item_end(text: &[u8], line: usize, dash: usize) -> usize {
    let mut at = next_line(text, line);
    while at < text.len() {
        let line = &text[at..at + line_length(&text[at..])];
        if !line.trim_ascii().is_empty() && blanks(line) <= dash {
            break;
        }
        at = next_line(text, at);
    }
    at
}

fn of_item(text: &[u8], from: usize, to: usize, budget: &mut Budget) -> Result<Vec<Span>, Span> {
    let space = text[from..to].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let begin = from + space;
    let end = begin + text[begin..to].trim_ascii_end().len();
    let item = &text[begin..end];
    let line = &item[..line_length(item)];
    Ok(match item.first() {
        None | Some(b'{' | b'*') => Vec::new(),
        Some(b'[') => return in_brackets(text, begin, budget),
        Some(b'|' | b'>') if is_block_header(&text[begin + 1..]) => vec![(begin + line.len(), end)],
        Some(quote @ (b'"' | b'\'')) => {
            let close = closing(text, begin, *quote).min(end);
            let is_name =
                text[..end].get(close + 1 + blanks(&text[(close + 1).min(end)..end])) == Some(&b':');
            if is_name { Vec::new() } else { vec![(begin + 1, close)] }
        }
        Some(_) if find(line, b": ", 0).is_some() || line.trim_ascii_end().ends_with(b":") => Vec::new(),
        Some(_) => vec![(begin, end)],
    })
}

/// Returns where the line after the one at `at` begins.
fn next_line(text: &[u8], at: usize) -> usize {
    (at + line_length(&text[at..]) + 1).min(text.len())
}

/// Lists lie within a few others; who has more of them does not write for people.
const MOST_PASSES: usize = 16;

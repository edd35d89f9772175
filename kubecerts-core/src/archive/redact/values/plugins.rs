//! What the plugins of a kubeconfig are given.

use zeroize::Zeroizing;

use super::{Form, Masked, Value, blanks, closing, indentation, is_of_name, line_length};
use crate::archive::redact::{Redactions, find};

/// Masks what the plugins of a kubeconfig are given to get credentials with: arguments, variables, settings.
pub(in crate::archive::redact) fn of_plugins(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let mut out = Masked::new(text);
    for plugin in [&b"exec"[..], b"auth-provider"] {
        let mut from = 0;
        while let Some(begin) = find(text, plugin, from) {
            from = begin + plugin.len();
            let mut after = from + usize::from(text.get(from) == Some(&b'"'));
            let is_whole = begin == 0 || !is_of_name(text[begin - 1]);
            if !is_whole || text.get(after) != Some(&b':') {
                continue;
            }
            after += 1;
            let Some(end) = region_end(text, begin, after) else { continue };
            let mut at = after;
            while at < end {
                let Some((begin_of_value, end_of_value, next)) = next_scalar(text, at, end) else { break };
                if end_of_value > begin_of_value {
                    out.mask(&Value { begin: begin_of_value, end: end_of_value, form: Form::Plain }, found);
                }
                at = next;
            }
            from = end;
        }
    }
    out.finish()
}

/// Returns where the structure ends that a plugin of a kubeconfig is given.
fn region_end(text: &[u8], name: usize, after: usize) -> Option<usize> {
    let at = after + text[after..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if text.get(at) == Some(&b'{') {
        let mut depth = 0_usize;
        let mut quote = None;
        let mut escaped = false;
        for (position, byte) in text.iter().enumerate().skip(at) {
            match (quote, byte) {
                (Some(b'"'), b'\\') if !escaped => {
                    escaped = true;
                    continue;
                }
                (Some(open), byte) if open == *byte && !escaped => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, b'{' | b'[') => depth += 1,
                (None, b'}' | b']') => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(position);
                    }
                }
                (None, _) => {}
            }
            escaped = false;
        }
        return Some(text.len());
    }
    let indent = indentation(text, name);
    let mut at = after + line_length(&text[after..]) + 1;
    let mut end = None;
    while at < text.len() {
        let length = line_length(&text[at..]);
        let line = &text[at..at + length];
        if !line.trim_ascii().is_empty() {
            if blanks(line) <= indent {
                break;
            }
            end = Some(at + length);
        }
        at += length + 1;
    }
    end
}

/// Finds the next value in the structure of a plugin that may be a secret: begin, end, and where to go on.
fn next_scalar(text: &[u8], from: usize, end: usize) -> Option<(usize, usize, usize)> {
    let skipped = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'{' | b'}' | b'[' | b']');
    let mut at = from + text[from..end].iter().take_while(|byte| skipped(byte)).count();
    if text[at..end].starts_with(b"- ") {
        at += 2;
        at += blanks(&text[at..end]);
    }
    let first = *text[..end].get(at)?;
    let (begin, stop, next) = match first {
        b'"' | b'\'' => {
            let close = closing(text, at, first).min(end);
            (at + 1, close, (close + 1).min(end))
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b'\n' | b'\r' | b',' | b'}' | b']' | b'{' | b'[');
            let line = text[at..end].iter().take_while(|byte| !ends(byte)).count();
            let length = find(&text[at..at + line], b": ", 0)
                .or_else(|| {
                    text[at..at + line].trim_ascii_end().ends_with(b":").then(|| line.saturating_sub(1))
                })
                .unwrap_or(line);
            (at, at + length, at + length.max(1))
        }
    };
    let colon = next + blanks(&text[next..end]);
    if text[..end].get(colon) == Some(&b':') {
        // It was a name; what it is the name of follows.
        let name = text[begin..stop].trim_ascii();
        let mut value = colon + 1;
        value += blanks(&text[value..end]);
        if PUBLIC_OF_PLUGIN.contains(&name) {
            let next = match next_scalar_of_line(text, value, end) {
                Some((_, _, next)) => next,
                None => value,
            };
            return Some((value, value, next.max(colon + 1)));
        }
        return match next_scalar_of_line(text, value, end) {
            Some((begin, stop, next)) => Some((begin, stop, next)),
            None => Some((value, value, value.max(colon + 1))),
        };
    }
    Some((begin, stop, next.max(from + 1)))
}

/// Finds the value that begins at `at`, unless the line ends there or a structure begins.
fn next_scalar_of_line(text: &[u8], at: usize, end: usize) -> Option<(usize, usize, usize)> {
    match *text[..end].get(at)? {
        b'\n' | b'\r' | b'{' | b'[' | b'}' | b']' | b',' => None,
        quote @ (b'"' | b'\'') => {
            let close = closing(text, at, quote).min(end);
            Some((at + 1, close, (close + 1).min(end)))
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b'\n' | b'\r' | b',' | b'}' | b']');
            let length = text[at..end].iter().take_while(|byte| !ends(byte)).count();
            Some((at, at + length, at + length))
        }
    }
}

/// What a kubeconfig says of a plugin that is no secret.
const PUBLIC_OF_PLUGIN: [&[u8]; 6] =
    [b"apiVersion", b"command", b"name", b"interactiveMode", b"provideClusterInfo", b"installHint"];

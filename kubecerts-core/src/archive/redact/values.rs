//! Values whose names speak of secrets: fields of YAML and JSON, variables, flags.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{MASK, Redactions, find};
use crate::x509::REDACTED_LABEL;

mod lists;
mod names;
mod plugins;

use names::{KEY_SET, LONGEST_NAME, is_harmless, is_header, is_key_in_words, is_user_name, speaks_of_secret};
pub(super) use plugins::of_plugins;

/// Masks the values of fields, variables and flags whose names speak of secrets.
///
/// What is no secret under such a name is left: paths, spans of time, yes and no, and what only opens a structure.
pub(super) fn of_names(text: &[u8], found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let is_key_set = find(text, b"kty", 0).is_some();
    let mut line = Line::default();
    let mut out = Masked::new(text);
    let mut budget = lists::Budget::of(text);
    let mut at = 0;
    while at < text.len() {
        if !is_of_name(text[at]) {
            at += 1;
            continue;
        }
        let begin = at;
        while at < text.len() && is_of_name(text[at]) {
            at += 1;
        }
        let name = &text[begin..at];
        line.go_to(text, begin);
        line.is_mysql |= find(name, b"mysql", 0).is_some() || find(name, b"maria", 0).is_some();
        if name.len() > LONGEST_NAME || begin > 0 && text[begin - 1] == b'/' {
            continue;
        }
        // `mysqldump -pPASSWORD` takes it without a blank.
        if line.is_mysql && name.len() > 2 && name.starts_with(b"-p") {
            let length = text[begin..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            at = out.mask(&Value { begin: begin + 2, end: begin + length, form: Form::Plain }, found).max(at);
            continue;
        }
        let speaks = speaks_of_secret(name) || is_key_set && KEY_SET.contains(&name);
        let is_user = is_user_name(name);
        let is_name = name.eq_ignore_ascii_case(b"name");
        if !(speaks || is_user || is_name || name == b"client-key-data" || is_key_in_words(name)) {
            continue;
        }
        let items = if speaks { Value::list(text, begin, at, &mut budget) } else { Ok(Vec::new()) };
        if budget.is_spent() {
            out.mask(&Value { begin: at, end: text.len(), form: Form::Plain }, found);
            break;
        }
        let items = match items {
            Ok(items) => items,
            Err(whole) => {
                at = out.mask(&whole, found).max(at);
                continue;
            }
        };
        if !items.is_empty() {
            // Items that are made of fields have names of their own.
            for item in &items {
                out.mask(item, found);
            }
        } else if let Some(value) = Value::after(text, begin, at, &line) {
            if name == b"client-key-data" {
                at = out.mask_key(&value, found).max(at);
            } else if speaks || value.form == Form::Section && is_key_in_words(name) {
                at = out.mask(&value, found).max(at);
            } else if is_user {
                at = out.mask_user(&value, found).max(at);
            } else if is_name
                && (speaks_of_secret(&text[value.begin..value.end])
                    || is_user_name(&text[value.begin..value.end]))
                && let Some(paired) = paired_value(text, value.end, &line)
            {
                at = match speaks_of_secret(&text[value.begin..value.end]) {
                    true => out.mask(&paired, found).max(at),
                    false => out.mask_user(&paired, found).max(at),
                };
            }
        } else if let Some(value) = after_flag(text, begin, at) {
            at = match is_user {
                true => out.mask_user(&value, found).max(at),
                false => out.mask(&value, found).max(at),
            };
        }
    }
    out.finish()
}

/// Text in which pieces are replaced, in their order.
struct Masked<'a> {
    text: &'a [u8],
    pieces: Vec<(usize, usize, &'static [u8])>,
}

impl<'a> Masked<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, pieces: Vec::new() }
    }

    /// Masks `value`, unless it is no secret, and returns where the text goes on.
    fn mask(&mut self, value: &Value, found: &mut Redactions) -> usize {
        let bytes = &self.text[value.begin..value.end];
        if is_harmless(bytes) {
            return value.begin;
        }
        self.pieces.push((value.begin, value.end, MASK));
        found.values += 1;
        value.end
    }

    /// Masks a value with the name of a user and a password, as `curl` and `etcdctl` take it.
    fn mask_user(&mut self, value: &Value, found: &mut Redactions) -> usize {
        let bytes = &self.text[value.begin..value.end];
        let is_number = bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b':');
        if is_number || !bytes.contains(&b':') || bytes.starts_with(b"system:") {
            return value.begin;
        }
        self.mask(value, found)
    }

    /// Masks an embedded key that is too damaged to be understood as one: what is left of it may still be much of it.
    fn mask_key(&mut self, value: &Value, found: &mut Redactions) -> usize {
        let digits: Zeroizing<Vec<u8>> = Zeroizing::new(
            self.text[value.begin..value.end]
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect(),
        );
        let mut decoded = Zeroizing::new(vec![0; digits.len()]);
        let mask = match Base64::decode(digits.as_slice(), &mut decoded) {
            _ if digits.is_empty() || *digits == *NO_KEY || *digits == *NO_BASE64 => return value.end,
            Ok(bytes) if find(bytes, REDACTED_LABEL.as_bytes(), 0).is_some() => return value.end,
            Ok(_) => NO_KEY,
            Err(_) => NO_BASE64,
        };
        self.pieces.push((value.begin, value.end, mask));
        found.keys += 1;
        value.end
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.pieces.sort_unstable();
        let mut out = Zeroizing::new(Vec::with_capacity(self.text.len()));
        let mut done = 0;
        for (begin, end, mask) in self.pieces {
            if begin < done {
                done = done.max(end);
                continue;
            }
            out.extend_from_slice(&self.text[done..begin]);
            let indent = leading_lines(&self.text[begin..end]);
            out.extend_from_slice(indent);
            out.extend_from_slice(mask);
            done = end;
        }
        out.extend_from_slice(&self.text[done..]);
        out
    }
}

/// What stands in the line before a name. It is counted only once, however many names the line has.
#[derive(Default)]
struct Line {
    begin: usize,
    /// How far the line was counted.
    end: usize,
    double_quotes: usize,
    single_quotes: usize,
    opened: usize,
    closed: usize,
    /// Whether a client of MySQL was named.
    is_mysql: bool,
}

impl Line {
    /// Counts on to `at`, which does not lie before where it was called with last.
    fn go_to(&mut self, text: &[u8], at: usize) {
        for (position, byte) in text.iter().enumerate().take(at).skip(self.end) {
            match byte {
                b'\n' => *self = Self { begin: position + 1, ..Self::default() },
                b'"' => self.double_quotes += 1,
                b'\'' => self.single_quotes += 1,
                b'{' | b'[' => self.opened += 1,
                b'}' | b']' => self.closed += 1,
                _ => {}
            }
        }
        self.end = self.end.max(at);
    }

    /// Returns the quote within which the line is.
    const fn quote(&self) -> Option<u8> {
        if !self.double_quotes.is_multiple_of(2) {
            return Some(b'"');
        }
        if self.single_quotes.is_multiple_of(2) { None } else { Some(b'\'') }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    /// Within a line.
    Plain,
    /// Lines that are further indented than the name.
    Section,
}

/// Where a value is, without its quotes.
struct Value {
    begin: usize,
    end: usize,
    form: Form,
}

impl Value {
    /// Finds the value of the name that reaches from `begin` to `end`.
    fn after(text: &[u8], begin: usize, end: usize, line: &Line) -> Option<Self> {
        let (at, separator) = Self::start(text, begin, end)?;
        match *text.get(at)? {
            b'\n' | b'\r' => Self::section(text, begin, at),
            b'|' | b'>' if separator == b':' && is_block_header(&text[at + 1..]) => {
                let line_end = at + line_length(&text[at..]);
                Self::section(text, begin, line_end)
            }
            b'\\' if text.get(at + 1) == Some(&b'"') => {
                let close = find(text, b"\\\"", at + 2).unwrap_or(text.len());
                Some(Self { begin: at + 2, end: close, form: Form::Plain })
            }
            first if separator == b'=' => Some(Self::word(text, at, first, line)),
            quote @ (b'"' | b'\'') => {
                Some(Self { begin: at + 1, end: closing(text, at, quote), form: Form::Plain })
            }
            // A structure, or a reference to another place.
            b'{' | b'[' | b'*' => None,
            _ => Some(Self { begin: at, end: plain_end(text, begin, at, line), form: Form::Plain }),
        }
    }

    /// Finds the values of the list that the name from `begin` to `end` has, in brackets or in lines below it; none if it has no list.
    ///
    /// # Errors
    /// What is one value because nothing can be told apart in it.
    fn list(text: &[u8], begin: usize, end: usize, budget: &mut lists::Budget) -> Result<Vec<Self>, Self> {
        let value = |(begin, end)| Self { begin, end, form: Form::Plain };
        let Some((at, b':')) = Self::start(text, begin, end) else { return Ok(Vec::new()) };
        let items = match text.get(at) {
            Some(b'[') => lists::in_brackets(text, at, budget).map_err(value)?,
            Some(b'\n' | b'\r' | b'#') => lists::in_lines(text, begin, at, budget),
            _ => Vec::new(),
        };
        Ok(items.into_iter().map(value).collect())
    }

    /// Finds where the value of the name that reaches from `begin` to `end` starts, and by what it is separated from it.
    fn start(text: &[u8], begin: usize, end: usize) -> Option<(usize, u8)> {
        let mut quoted = matches!(text.get(end), Some(b'"' | b'\''));
        let mut at = end + usize::from(quoted);
        // Within a string of JSON quotes have backslashes.
        if text.get(at) == Some(&b'\\') && matches!(text.get(at + 1), Some(b'"')) {
            at += 2;
            quoted = true;
        }
        at += blanks(&text[at..]);
        let separator = *text.get(at)?;
        if !matches!(separator, b':' | b'=') {
            return None;
        }
        let tight = at + 1;
        at = tight + blanks(&text[tight..]);
        if separator == b':' && at == tight {
            // As in the name of an image, unless it is the end of the line or JSON.
            let next = text.get(at).copied().unwrap_or(b'\n');
            if !(quoted || matches!(next, b'\n' | b'\r' | b'"') || is_header(&text[begin..end])) {
                return None;
            }
        }
        if separator == b'='
            && (at != tight && !begins_assignment(text, begin) || text.get(at) == Some(&b'='))
        {
            return None;
        }
        // An anchor stands before its value.
        if separator == b':' && text.get(at) == Some(&b'&') {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']');
            at += text[at..].iter().take_while(|byte| !ends(byte)).count();
            at += blanks(&text[at..]);
        }
        Some((at, separator))
    }

    /// Returns the word at `at` as a shell reads it, of which parts may be in quotes.
    fn word(text: &[u8], at: usize, first: u8, line: &Line) -> Self {
        let form = Form::Plain;
        let outer = line.quote();
        let mut end = at;
        if first == b'$' && text.get(at + 1) == Some(&b'(') {
            let rest = &text[at..];
            let close = rest.iter().position(|byte| matches!(byte, b')' | b'\n')).unwrap_or(rest.len());
            end = (at + close + 1).min(text.len());
        }
        while let Some(byte) = text.get(end) {
            match byte {
                b'\n' | b'\r' => break,
                // Within quotes a blank does not end a word.
                b' ' | b'\t' if outer.is_none() => break,
                b'\\' if text.get(end + 1) == Some(&b'"') => break,
                quote @ (b'"' | b'\'') if outer == Some(*quote) => break,
                quote @ (b'"' | b'\'') if outer.is_none() => {
                    let close = closing(text, end, *quote);
                    if end == at
                        && text
                            .get(close + 1)
                            .is_none_or(|next| next.is_ascii_whitespace() || b";,)]}".contains(next))
                    {
                        return Self { begin: at + 1, end: close, form };
                    }
                    end = close;
                }
                _ => {}
            }
            end = (end + 1).min(text.len());
        }
        if text[at..end].ends_with(b";") && outer.is_none() {
            end -= 1;
        }
        Self { begin: at, end, form }
    }

    /// Finds the lines below the name at `begin` that are indented further than it is; there may be none.
    fn section(text: &[u8], begin: usize, line_end: usize) -> Option<Self> {
        let indent = indentation(text, begin);
        let mut end = line_end;
        let mut at = line_end + usize::from(line_end < text.len());
        if text.get(line_end) == Some(&b'\r') {
            at += 1;
        }
        let first = at;
        while at < text.len() {
            let length = line_length(&text[at..]);
            let line = &text[at..at + length];
            let is_blank = line.trim_ascii().is_empty();
            if !is_blank && blanks(line) <= indent {
                break;
            }
            if !is_blank {
                end = at + length;
            }
            at += length + 1;
        }
        let lines = text.get(first..end)?;
        // Fields and items of a list are looked at one by one.
        let is_structure = lines.split(|byte| *byte == b'\n').any(|line| {
            let line = line.trim_ascii();
            line.starts_with(b"- ")
                || find(line, b": ", 0).is_some()
                || line.ends_with(b":") && !is_hex_line(line)
        });
        let is_block = text[..line_end].last().is_some_and(|byte| !matches!(byte, b':'));
        (is_block || !is_structure).then_some(Self { begin: first, end, form: Form::Section })
    }
}

/// Finds the value in `--token VALUE`, `["--token", "VALUE"]`, or two items of a list below each other.
fn after_flag(text: &[u8], begin: usize, end: usize) -> Option<Value> {
    let name = &text[begin..end];
    let is_flag =
        name.starts_with(b"--") && speaks_of_secret(name) || name.starts_with(b"-") && is_user_name(name);
    if !is_flag {
        return None;
    }
    let mut at = end;
    let mut has_line = false;
    let mut has_mark = false;
    loop {
        match text.get(at)? {
            b' ' | b'\t' => {}
            b'"' | b'\'' | b',' => has_mark = true,
            b'\n' | b'\r' => (has_line, has_mark) = (true, false),
            b'-' if text.get(at + 1) == Some(&b' ') => has_mark = true,
            _ => break,
        }
        at += 1;
    }
    if at == end || has_line && !has_mark || text[at] == b'-' {
        return None;
    }
    let quote = Some(text[at - 1]).filter(|byte| matches!(byte, b'"' | b'\''));
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote || *byte == b'\n',
        None => byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\''),
    };
    let mut length = text[at..].iter().take_while(|byte| !ends(byte)).count();
    // In a list of YAML a comma or a bracket follows.
    while quote.is_none() && matches!(text[at..at + length].last(), Some(b',' | b']')) {
        length -= 1;
    }
    (length > 0).then_some(Value { begin: at, end: at + length, form: Form::Plain })
}

/// Finds the value of `value` behind a `name`, as the variables of a container have it.
fn paired_value(text: &[u8], name_end: usize, line: &Line) -> Option<Value> {
    let mut at = name_end;
    while matches!(text.get(at)?, b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',') {
        at += 1;
    }
    let rest = text[at..].strip_prefix(b"value")?;
    (!is_of_name(*rest.first()?)).then_some(())?;
    Value::after(text, at, at + 5, line)
}

/// Returns whether nothing follows `|` or `>` that the value of a block cannot have.
fn is_block_header(rest: &[u8]) -> bool {
    let marks = rest.iter().take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9')).count();
    let after = marks + blanks(&rest[marks..]);
    rest.get(after).is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b'#'))
}

/// Returns where a plain value of YAML or of a header ends.
fn plain_end(text: &[u8], name: usize, begin: usize, line: &Line) -> usize {
    let is_flow = line.opened > line.closed || is_structure(text);
    let outer = line.quote();
    let ends = |(at, byte): (usize, &u8)| match byte {
        b'\n' => true,
        b',' | b'}' | b']' if is_flow => true,
        b'#' => at > 0 && text[begin + at - 1] == b' ',
        // A header within quotes, as curl is given it.
        byte => outer == Some(*byte),
    };
    let rest = &text[begin..];
    let mut end = begin + rest.iter().enumerate().position(ends).unwrap_or(rest.len());
    let begins_line = text[line.begin..name].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'-'));
    if !is_flow && begins_line {
        // What is further indented goes on with the value.
        let indent = name - line.begin;
        let mut at = begin + line_length(rest) + 1;
        while at < text.len() {
            let length = line_length(&text[at..]);
            let line = &text[at..at + length];
            if line.trim_ascii().is_empty() || blanks(line) <= indent {
                break;
            }
            end = at + length;
            at += length + 1;
        }
    }
    begin + text[begin..end].trim_ascii_end().len()
}

/// Returns whether all of `text` is one structure in brackets, and not a unit, which begins with a section, or a template.
fn is_structure(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let next = text.get(1..).and_then(|rest| rest.trim_ascii_start().first());
    match text.first() {
        Some(b'{') => next != Some(&b'{'),
        Some(b'[') => matches!(next, Some(b'{' | b'[' | b'"' | b'\'')),
        _ => false,
    }
}

/// Returns where the string ends that `quote` at `open` begins; without an end with the text.
fn closing(text: &[u8], open: usize, quote: u8) -> usize {
    let mut at = open + 1;
    while at < text.len() {
        match text[at] {
            b'\\' if quote == b'"' => at += 1,
            byte if byte == quote => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Returns whether the line of the name at `begin` is an assignment from its start, as in the files of systemd.
fn begins_assignment(text: &[u8], begin: usize) -> bool {
    text[..begin].iter().rev().take_while(|byte| **byte != b'\n').all(|byte| matches!(byte, b' ' | b'\t'))
}

fn indentation(text: &[u8], at: usize) -> usize {
    let line = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    // The name of an item of a list is indented with its dash.
    text[line..at].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'-')).count()
}

fn leading_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()]
}

fn is_hex_line(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b':')
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// `REDACTED` in base64, which holds no key.
const NO_KEY: &[u8] = b"UkVEQUNURUQ=";
/// What is not base64, as it was not before.
const NO_BASE64: &[u8] = b"REDACTED!";

//! A YAML tree that knows where every value stands in the file.
//!
//! [`parse`] and [`parse_first`] are total: any input gives a [`Stream`] or a [`YamlError`]. JSON is YAML and
//! is read as well. Nodes lie in one flat list, so neither depth nor aliases can exhaust the stack or the
//! memory: an alias stays a reference and is followed by one step when it is looked at. Depth, nodes and
//! aliases are limited.
//!
//! Of keys that occur twice in a mapping the last one counts, as for kubectl and the kubelet. Merge keys
//! (`<<`) are not followed. A null value is the same as an absent one, as for Go.
//!
//! Scalars may be private keys: they are wiped on drop, and no type here prints one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use zeroize::Zeroizing;

/// Parses all documents of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Stream, YamlError> {
    Builder::default().build(text(bytes)?, usize::MAX)
}

/// Parses the first document and does not look at the rest, as Go's `yaml.Unmarshal` does.
pub(crate) fn parse_first(bytes: &[u8]) -> Result<Stream, YamlError> {
    Builder::default().build(text(bytes)?, 1)
}

/// The documents of one file.
pub(crate) struct Stream {
    nodes: Vec<Item>,
    roots: Vec<usize>,
}

impl Stream {
    /// Returns the root of every document; a file with nothing but comments has none.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Node<'_>> {
        self.roots.iter().map(|&index| Node { stream: self, index })
    }

    /// Returns the first document, which must be a mapping.
    pub(crate) fn first_mapping(&self) -> Result<Node<'_>, YamlError> {
        let Some(root) = self.documents().next().filter(|root| !root.is_null()) else {
            return Err(YamlError::whole("is empty"));
        };
        if root.is_mapping() { Ok(root) } else { Err(root.error("not a mapping")) }
    }

    /// Returns whether both streams say the same, position and quoting aside, when every node of `self` in
    /// `replaced` has the given text.
    pub(crate) fn says_the_same(&self, other: &Self, replaced: &BTreeMap<usize, &str>) -> bool {
        let same = |index: usize, old: &Item, new: &Item| match (replaced.get(&index), &old.value, &new.value)
        {
            (Some(text), Value::Scalar { .. }, Value::Scalar { text: new_text, .. }) => {
                new_text.as_str() == *text && !new.is_null() && old.marked == new.marked
            }
            (Some(_), ..) => false,
            (None, Value::Scalar { text: one, .. }, Value::Scalar { text: two, .. }) => {
                one == two && old.marked == new.marked && old.is_null() == new.is_null()
            }
            (None, Value::Sequence(one), Value::Sequence(two)) => one == two && old.marked == new.marked,
            (None, Value::Mapping(one), Value::Mapping(two)) => one == two && old.marked == new.marked,
            (None, Value::Alias(one), Value::Alias(two)) => one == two,
            (None, ..) => false,
        };
        self.roots == other.roots
            && self.nodes.len() == other.nodes.len()
            && self
                .nodes
                .iter()
                .zip(&other.nodes)
                .enumerate()
                .all(|(index, (old, new))| same(index, old, new))
    }
}

/// One node of a [`Stream`].
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    stream: &'a Stream,
    index: usize,
}

impl<'a> Node<'a> {
    /// Returns the value of `key`, or `None` when this is no mapping or the value is absent or null.
    pub(crate) fn get(self, key: &str) -> Option<Node<'a>> {
        self.entry(key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Returns the last `key` of this mapping as it stands in the file, with its value.
    pub(crate) fn entry(self, key: &str) -> Option<(Node<'a>, Node<'a>)> {
        self.entries().rev().find(|(name, _)| name.as_str() == Some(key))
    }

    /// Returns the text of a scalar that is not null; numbers and booleans as they are written.
    pub(crate) fn as_str(self) -> Option<&'a str> {
        match &self.target().value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Returns a boolean in the spellings of YAML 1.1, which Go accepts too.
    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.as_str()? {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    /// Returns the items of a sequence; nothing for other nodes.
    pub(crate) fn items(self) -> impl DoubleEndedIterator<Item = Node<'a>> {
        let items: &[usize] = if let Value::Sequence(items) = &self.target().value { items } else { &[] };
        items.iter().map(move |&index| Node { index, ..self })
    }

    /// Returns the entries of a mapping in the order of the file; nothing for other nodes.
    pub(crate) fn entries(self) -> impl DoubleEndedIterator<Item = (Node<'a>, Node<'a>)> {
        let entries: &[(usize, usize)] =
            if let Value::Mapping(entries) = &self.target().value { entries } else { &[] };
        entries.iter().map(move |&(key, value)| (Node { index: key, ..self }, Node { index: value, ..self }))
    }

    /// Returns the text of `field` below this mapping; an empty text is absent, as Go's `omitempty` has it.
    pub(crate) fn text(self, field: &str) -> Result<Option<&'a str>, YamlError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| value.error(format!("{field} is not a text")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Returns the texts of the list `field` below this mapping; none when it is absent.
    pub(crate) fn texts(self, field: &str) -> Result<Vec<String>, YamlError> {
        self.list(field)?
            .into_iter()
            .map(|item| match item.as_str() {
                Some(text) => Ok(text.to_owned()),
                None => Err(item.error(format!("{field} holds something that is not a text"))),
            })
            .collect()
    }

    /// Returns the boolean `field` below this mapping.
    pub(crate) fn flag(self, field: &str) -> Result<Option<bool>, YamlError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| value.error(format!("{field} is neither true nor false")))
    }

    /// Returns the items of the list `field` below this mapping; none when it is absent.
    pub(crate) fn list(self, field: &str) -> Result<Vec<Node<'a>>, YamlError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        match value.target().value {
            Value::Sequence(_) => Ok(value.items().collect()),
            _ => Err(value.error(format!("{field} is not a list"))),
        }
    }

    /// Returns the mapping `field` below this mapping.
    pub(crate) fn mapping(self, field: &str) -> Result<Option<Node<'a>>, YamlError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        if value.is_mapping() {
            Ok(Some(value))
        } else {
            Err(value.error(format!("{field} is not a mapping")))
        }
    }

    pub(crate) fn is_mapping(self) -> bool {
        matches!(self.target().value, Value::Mapping(_))
    }

    pub(crate) fn is_null(self) -> bool {
        self.target().is_null()
    }

    /// Returns whether the node is an alias, or has an anchor or a tag: to change it may change something
    /// else.
    pub(crate) fn is_shared(self) -> bool {
        self.item().marked || matches!(self.item().value, Value::Alias(_))
    }

    /// Returns the notation of a scalar that stands right here, not behind an alias.
    pub(crate) fn style(self) -> Option<ScalarStyle> {
        if let Value::Scalar { style, .. } = self.item().value { Some(style) } else { None }
    }

    /// Returns the bytes that a scalar covers: with its quotes, but without the header of a block scalar,
    /// whose span may go on to the next token.
    pub(crate) fn span(self) -> Range<usize> {
        self.item().span.clone()
    }

    /// Returns the number of this node in its stream, for [`Stream::says_the_same`].
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// Returns line and column, both from 1, the column in characters.
    pub(crate) fn position(self) -> (u32, u32) {
        let Item { line, column, .. } = *self.item();
        (line, column)
    }

    /// Returns an error that points here.
    pub(crate) fn error(self, reason: impl Into<Cow<'static, str>>) -> YamlError {
        YamlError { position: Some(self.position()), reason: reason.into() }
    }

    fn item(self) -> &'a Item {
        &self.stream.nodes[self.index]
    }

    /// An anchor cannot stand on an alias, so one step always suffices.
    fn target(self) -> &'a Item {
        match self.item().value {
            Value::Alias(index) => &self.stream.nodes[index],
            _ => self.item(),
        }
    }
}

/// What is wrong with a file, and where. Never quotes a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct YamlError {
    /// Line and column, both from 1, the column in characters; `None` when the whole file is meant.
    position: Option<(u32, u32)>,
    reason: Cow<'static, str>,
}

impl YamlError {
    /// Returns an error about the file as a whole.
    pub(crate) fn whole(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { position: None, reason: reason.into() }
    }

    /// Returns line and column, both from 1, when the error is about one place.
    pub(crate) fn position(&self) -> Option<(u32, u32)> {
        self.position
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.reason)
    }
}

struct Item {
    value: Value,
    span: Range<usize>,
    line: u32,
    column: u32,
    /// Has an anchor or a tag.
    marked: bool,
}

impl Item {
    fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, style: ScalarStyle::Plain } if !self.marked || self.span.is_empty() => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}

enum Value {
    Scalar { text: Zeroizing<String>, style: ScalarStyle },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

fn text(bytes: &[u8]) -> Result<&str, YamlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| YamlError::whole(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    // The parser takes a NUL for the end; a file system that lost power leaves whole blocks of them.
    if let Some(offset) = text.find('\0') {
        return Err(YamlError::whole(format!("holds a NUL at byte {offset}")));
    }
    Ok(text)
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Item>,
    roots: Vec<usize>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, usize>,
    aliases: usize,
}

/// A collection whose end has not been seen, with the key that waits for its value.
struct Open {
    index: usize,
    key: Option<usize>,
}

impl Builder {
    fn build(mut self, text: &str, documents: usize) -> Result<Stream, YamlError> {
        let mut options =
            granit_parser::options! { block_nesting_limit: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let (line, column) = (error.marker().line(), error.marker().col());
                YamlError { position: Some((number(line), number(column + 1))), reason: error.info().into() }
            })?;
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let text = Zeroizing::new(text.into_owned());
                    self.add(Value::Scalar { text, style }, span, anchor, tag.is_some())?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    let index = self.add(Value::Sequence(Vec::new()), span, anchor, tag.is_some())?;
                    self.open.push(Open { index, key: None });
                }
                Event::MappingStart(_, anchor, tag) => {
                    let index = self.add(Value::Mapping(Vec::new()), span, anchor, tag.is_some())?;
                    self.open.push(Open { index, key: None });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.open.pop();
                }
                Event::Alias(anchor) => {
                    self.aliases += 1;
                    let target = self.anchors.get(&anchor).copied();
                    let Some(target) = target.filter(|_| self.aliases <= MAX_ALIASES) else {
                        return Err(at(
                            span,
                            format!("more than {MAX_ALIASES} aliases, or one without its anchor"),
                        ));
                    };
                    self.add(Value::Alias(target), span, 0, false)?;
                }
                Event::DocumentEnd if self.roots.len() >= documents => break,
                _ => {}
            }
        }
        Ok(Stream { nodes: self.nodes, roots: self.roots })
    }

    fn add(&mut self, value: Value, span: Span, anchor: usize, tagged: bool) -> Result<usize, YamlError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(at(span, format!("more than {MAX_NODES} nodes")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(at(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let index = self.nodes.len();
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        self.nodes.push(Item {
            value,
            span: span.byte_range().unwrap_or_default(),
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            marked: anchor != 0 || tagged,
        });
        let Some(Open { index: parent, key }) = self.open.last_mut() else {
            self.roots.push(index);
            return Ok(index);
        };
        match &mut self.nodes[*parent].value {
            Value::Sequence(items) => items.push(index),
            Value::Mapping(entries) => match key.take() {
                Some(key) => entries.push((key, index)),
                None => *key = Some(index),
            },
            Value::Scalar { .. } | Value::Alias(_) => {}
        }
        Ok(index)
    }
}

fn at(span: Span, reason: String) -> YamlError {
    let (line, column) = (number(span.start.line()), number(span.start.col() + 1));
    YamlError { position: Some((line, column)), reason: reason.into() }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Levels of nesting; a pod needs about ten.
const MAX_DEPTH: usize = 64;

/// Nodes in one file; a large multi-document configuration has some thousands.
const MAX_NODES: usize = 200_000;

/// Aliases in one file. What is behind an alias is copied by some callers, so their number bounds the work.
const MAX_ALIASES: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        parse(text.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn yaml_json_and_byte_order_marks_are_read() {
        for text in [
            "a: {b: [x, 'y']}",
            "{\"a\":\n{\"b\": [\"x\", \"y\"]}}",
            "\u{feff}a:\r\n  b:\r\n  - x\r\n  - y\r\n",
        ] {
            let stream = parse(text.as_bytes()).unwrap();
            let list = stream.first_mapping().unwrap().get("a").unwrap().texts("b").unwrap();
            assert_eq!(list, ["x", "y"], "{text:?}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let stream = parse(b"a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(stream.first_mapping().unwrap().text("a"), Ok(Some("3")));
    }

    #[test]
    fn null_is_absent_but_quoted_null_is_text() {
        let stream = parse(b"a:\nb: ~\nc: null\nd: 'null'\n").unwrap();
        let root = stream.first_mapping().unwrap();
        assert!(["a", "b", "c"].iter().all(|key| root.get(key).is_none()));
        assert_eq!(root.text("d"), Ok(Some("null")));
    }

    #[test]
    fn aliases_are_followed_and_may_be_cyclic() {
        let stream = parse(b"a: &a {b: x, me: *a}\nc: *a\n").unwrap();
        let root = stream.first_mapping().unwrap();
        let c = root.get("c").unwrap();
        assert!(c.is_shared());
        assert_eq!(
            c.get("me").and_then(|me| me.get("me")).and_then(|me| me.get("b")).unwrap().as_str(),
            Some("x")
        );
    }

    #[test]
    fn spans_are_bytes_of_the_file() {
        let text = "\u{feff}é: \"ü\"\r\nb: cd # e\r\n";
        let stream = parse(text.as_bytes()).unwrap();
        let root = stream.first_mapping().unwrap();
        assert_eq!(&text[root.get("é").unwrap().span()], "\"ü\"");
        assert_eq!(&text[root.get("b").unwrap().span()], "cd");
    }

    #[test]
    fn errors_say_where() {
        assert!(error("a: b\nc: [d\n").starts_with("line "), "{}", error("a: b\nc: [d\n"));
        assert_eq!(error("a: \0"), "holds a NUL at byte 3");
        let stream = parse(b"a: b\nc:\n  d: e\n").unwrap();
        let wrong = stream.first_mapping().unwrap().text("c").unwrap_err();
        assert_eq!(wrong.to_string(), "line 3, column 3: c is not a text");
    }

    #[test]
    fn depth_nodes_and_aliases_are_limited() {
        assert!(!error(&"[".repeat(100_000)).is_empty());
        assert!(!error(&"- ".repeat(100_000)).is_empty());
        assert!(!error(&"a: {".repeat(1_000)).is_empty());
        assert!(error(&"- a\n".repeat(MAX_NODES)).contains("nodes"));
        assert!(error(&format!("- &a b\n{}", "- *a\n".repeat(MAX_ALIASES + 1))).contains("aliases"));
    }

    #[test]
    fn the_first_document_is_read_although_the_second_is_damaged() {
        let text = b"a: b\n---\nc: [\n";
        assert!(parse(text).is_err());
        assert_eq!(parse_first(text).unwrap().first_mapping().unwrap().text("a"), Ok(Some("b")));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ -~\\n\\t\\r:&*|>'\"#\\[\\]{}é\u{feff}-]{0,120}") {
            if let Ok(stream) = parse(text.as_bytes()) {
                for node in stream.documents() {
                    let _ = (node.get("a"), node.items().count(), node.entries().count());
                }
                for index in 0..stream.nodes.len() {
                    let node = Node { stream: &stream, index };
                    prop_assert!(text.get(node.span()).is_some());
                }
                prop_assert!(stream.says_the_same(&stream, &BTreeMap::new()));
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse(&bytes).is_ok(), parse_first(&bytes).is_ok());
        }
    }
}

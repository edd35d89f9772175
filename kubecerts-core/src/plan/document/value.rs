//! Single values of a document: names, modes, and how a wrong one is reported.

use std::fmt;
use std::str::FromStr;

use super::DocumentError;
use crate::catalog::{CaSlot, Slot};
use crate::path::TreePath;
use crate::x509::KeyAlgorithm;

/// A value that its field does not allow.
pub(super) struct Invalid {
    field: &'static str,
    reason: String,
}

impl Invalid {
    pub(super) fn new(field: &'static str, reason: impl fmt::Display) -> Self {
        Self { field, reason: reason.to_string() }
    }

    pub(super) fn at(self, entry: &str) -> DocumentError {
        let Self { field, reason } = self;
        DocumentError::Value { at: format!("{entry}{field}"), reason }
    }
}

pub(super) fn list<W, T>(
    name: &str,
    entries: Vec<W>,
    parse: impl Fn(W) -> Result<T, Invalid>,
) -> Result<Vec<T>, DocumentError> {
    let entries = entries.into_iter().enumerate();
    entries
        .map(|(position, entry)| parse(entry).map_err(|invalid| invalid.at(&format!("{name}[{position}]."))))
        .collect()
}

pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(field: &'static str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error| Invalid::new(field, error))
}

/// Documents name things by their one name; the short forms of the command line are not for them.
pub(super) fn named<T: Copy>(
    field: &'static str,
    text: &str,
    all: impl IntoIterator<Item = T>,
    name: impl Fn(T) -> &'static str,
) -> Result<T, Invalid> {
    all.into_iter()
        .find(|item| name(*item) == text)
        .ok_or_else(|| Invalid::new(field, format!("{text:?} is not a known name")))
}

pub(super) fn slot(field: &'static str, text: &str) -> Result<Slot, Invalid> {
    named(field, text, Slot::ALL, Slot::name)
}

pub(super) fn ca(field: &'static str, text: &str) -> Result<CaSlot, Invalid> {
    named(field, text, CaSlot::ALL, CaSlot::name)
}

pub(super) fn algorithm(field: &'static str, text: &str) -> Result<KeyAlgorithm, Invalid> {
    named(field, text, KeyAlgorithm::ALL, KeyAlgorithm::name)
}

pub(super) fn path(field: &'static str, text: &str) -> Result<TreePath, Invalid> {
    TreePath::parse(text).map_err(|error| Invalid::new(field, error))
}

pub(super) fn mode_text(mode: u32) -> String {
    format!("{mode:04o}")
}

/// Parses up to six octal digits; which modes are allowed is another question.
pub(super) fn mode(field: &'static str, text: &str) -> Result<u32, Invalid> {
    let is_octal = (1..=6).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = if is_octal { u32::from_str_radix(text, 8).ok() } else { None };
    mode.ok_or_else(|| Invalid::new(field, format!("{text:?} is not a mode, such as \"0600\"")))
}

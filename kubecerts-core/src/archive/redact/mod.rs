//! Takes the secrets out of a file, and leaves everything that a diagnosis reads.
//!
//! Private keys are looked for in whatever form they may have, and first: as PEM with any label, as DER anywhere in the bytes, and
//! both again inside of base64 and hexadecimal digits, up to four layers deep. What stands for a key afterwards is a block with
//! its public half. Then, in what is text, the values of fields, variables and flags whose names speak of secrets are masked, and
//! the signatures of tokens dropped.

mod binary;
mod blocks;
mod digits;
mod text;
mod token;
mod values;
mod wide;
mod words;

use std::ops::AddAssign;

use zeroize::Zeroizing;

use crate::path::TreePath;
use crate::secret::SecretBytes;

/// How many secrets were taken out of a file, or of all files of a snapshot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Redactions {
    /// Private keys, whatever they were written as.
    pub keys: usize,
    /// Tokens of service accounts and for joining a cluster.
    pub tokens: usize,
    /// Passwords and other values whose names speak of secrets.
    pub values: usize,
}

impl Redactions {
    /// Returns whether nothing was taken out.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys + self.tokens + self.values == 0
    }
}

impl AddAssign for Redactions {
    fn add_assign(&mut self, other: Self) {
        let Self { keys, tokens, values } = other;
        self.keys += keys;
        self.tokens += tokens;
        self.values += values;
    }
}

/// Returns the file `bytes` at `path` without secrets, and what was taken out.
pub(super) fn redact(path: &TreePath, bytes: &[u8]) -> (SecretBytes, Redactions) {
    let mut found = Redactions::default();
    if let Some(text) = wide::decoded(bytes) {
        layer(text.as_bytes(), 0, &mut found);
        if !found.is_empty() {
            // Nobody on a node writes UTF-16 on purpose, and no program reads it: what the file is about can be told without it.
            found.values += 1;
            return (SecretBytes::new([MASK, b"\n"].concat()), found);
        }
    }
    let mut clean = layer(bytes, 0, &mut found);
    if [".key", ".pem"].iter().any(|ending| path.as_str().ends_with(ending)) {
        clean = blocks::blocks_only(&clean, &mut found);
    }
    if path.as_str().ends_with("/token") && !clean.trim_ascii().is_empty() && !token::is_redacted(&clean) {
        clean = Zeroizing::new(MASK.to_vec());
        found.values += 1;
    }
    (SecretBytes::new(clean.to_vec()), found)
}

/// Cleans one layer: a file, or what a run of digits in it stands for.
fn layer(bytes: &[u8], depth: usize, found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let clean = keys(bytes, depth, found);
    if text::is_text(&clean) { text::mask(&clean, found) } else { clean }
}

fn keys(bytes: &[u8], depth: usize, found: &mut Redactions) -> Zeroizing<Vec<u8>> {
    let clean = blocks::redact(bytes, found);
    let mut clean = binary::redact(&clean, found);
    // The keys of OpenSSH have no length that is easily told; nothing follows them.
    if let Some(begin) = find(&clean, OPENSSH, 0) {
        clean.truncate(begin);
        clean.extend_from_slice(MASK);
        found.keys += 1;
    }
    if depth == DEEPEST {
        return clean;
    }
    digits::redact(&clean, depth, found)
}

/// A secret of a cluster holds a kubeconfig in base64, which holds a key in base64 of PEM, which is base64 too; one layer more
/// for good measure.
const DEEPEST: usize = 4;

/// With this the keys of OpenSSH begin (`PROTOCOL.key`).
const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// Stands in the place of a value.
const MASK: &[u8] = b"REDACTED";

/// Returns where `needle`, which is not empty, is in `haystack` from `from` on.
fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    let mut start = 0;
    while let Some(at) = rest[start..].iter().position(|byte| *byte == needle[0]) {
        if rest[start + at..].starts_with(needle) {
            return Some(from + start + at);
        }
        start += at + 1;
    }
    None
}

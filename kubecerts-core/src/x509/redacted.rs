//! A private key that was left out of what others may see: its public half, its form and a digest stay.
//!
//! Such a block has a label of our own, so that no other program takes it for a key. It is made when a snapshot of a node is
//! redacted, and understood when that snapshot is read; nothing can be signed with it.

#[cfg(feature = "serde")]
use std::fmt::Write as _;

use super::{Damage, KeyEncoding, PublicKey};
#[cfg(feature = "serde")]
use super::{PrivateKey, base64, pem};
use crate::digest::Digest;
#[cfg(feature = "serde")]
use crate::provider::NoPublicHalves;

/// The label of a block that stands for a private key.
pub(crate) const REDACTED_LABEL: &str = "KUBECERTS REDACTED PRIVATE KEY";

/// What is known of a private key that was left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RedactedKey {
    /// The label that the key had; none when it was bare DER.
    pub(crate) label: Option<String>,
    /// The digest of the key's DER, or of what stood in its place.
    pub(crate) digest: Digest,
    /// What reading the key gave.
    pub(crate) reading: Result<(PublicKey, KeyEncoding), Damage>,
}

#[cfg(feature = "serde")]
impl RedactedKey {
    /// Reads a block of PEM, from its BEGIN line on, as any reader of keys would.
    pub(crate) fn of_pem(label: &str, block: &[u8]) -> Self {
        let (digest, reading) = match pem::decode_blocks(block).into_iter().next() {
            Some(Ok(block)) => {
                let reading = PrivateKey::public_half_of_block(&block, &NoPublicHalves);
                (Digest::of(block.secret_bytes()), reading)
            }
            Some(Err(damage)) => (Digest::of(block), Err(damage)),
            None => (Digest::of(block), Err(Damage::Nothing("private key in PEM"))),
        };
        Self { label: Some(label.to_owned()), digest, reading }
    }

    /// Reads a key in bare DER.
    pub(crate) fn of_der(der: &[u8]) -> Self {
        let reading = PrivateKey::parse_der(der).map(|key| (key.public_key(), key.encoding()));
        Self { label: None, digest: Digest::of(der), reading }
    }

    /// Returns the lines of the block, without ends of lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { label, digest, reading } = self;
        let mut lines = vec![format!("-----BEGIN {REDACTED_LABEL}-----")];
        lines.push(format!("Was: {}", label.as_deref().unwrap_or(BARE)));
        lines.push(format!("Digest: sha256:{digest}"));
        match reading {
            Ok((public, encoding)) => {
                lines.push(format!("Form: {}", form(*encoding)));
                lines.push(String::new());
                let mut body = Vec::new();
                base64::encode_lines(public.as_der(), &mut body);
                let body = String::from_utf8(body).expect("base64 is ASCII");
                lines.extend(body.lines().map(str::to_owned));
            }
            Err(damage) => {
                lines.push(format!("Problem: {}", one_line(&in_words(damage))));
                lines.push(String::new());
            }
        }
        lines.push(format!("-----END {REDACTED_LABEL}-----"));
        lines
    }
}

impl RedactedKey {
    /// Understands the headers and the body of such a block.
    pub(super) fn parse(headers: &[String], body: &[u8]) -> Option<Self> {
        let value = |name: &str| {
            headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let label = value("Was").filter(|label| *label != BARE).map(str::to_owned);
        let digest = value("Digest")?.strip_prefix("sha256:")?.parse().ok()?;
        let reading = match value("Problem") {
            Some(words) => Err(of_words(words, label.as_deref().unwrap_or_default())),
            None => Ok((PublicKey::parse_der(body).ok()?, of_form(value("Form")?)?)),
        };
        Some(Self { label, digest, reading })
    }
}

/// Stands where other keys have a label. No label has small letters.
const BARE: &str = "bare DER";

const FORMS: [(&str, KeyEncoding); 3] =
    [("PKCS#1", KeyEncoding::Pkcs1), ("SEC1", KeyEncoding::Sec1), ("PKCS#8", KeyEncoding::Pkcs8)];

#[cfg(feature = "serde")]
fn form(encoding: KeyEncoding) -> &'static str {
    FORMS.iter().find(|(_, known)| *known == encoding).map_or("PKCS#8", |(name, _)| name)
}

fn of_form(name: &str) -> Option<KeyEncoding> {
    FORMS.iter().find(|(known, _)| *known == name).map(|(_, encoding)| *encoding)
}

/// What keys are called in [`Damage::Der`].
const KINDS: [&str; 4] = ["RSA private key", "EC private key", "PKCS#8 private key", "RSA key"];
/// What is wrong with blocks of PEM.
const PEM_PROBLEMS: [&str; 2] = ["is cut off: it has no END line", "is not base64"];

#[cfg(feature = "serde")]
fn in_words(damage: &Damage) -> String {
    match damage {
        Damage::Encrypted => "encrypted".to_owned(),
        Damage::UnsupportedKey(kind) => format!("unsupported {kind}"),
        Damage::Pem { reason, .. } => format!("block {reason}"),
        Damage::Der { what, reason } => format!("malformed {what}: {reason}"),
        Damage::Empty | Damage::Nothing(_) | Damage::Redacted => format!("other {damage}"),
    }
}

fn of_words(words: &str, label: &str) -> Damage {
    let (kind, rest) = words.split_once(' ').unwrap_or((words, ""));
    match kind {
        "encrypted" => Damage::Encrypted,
        "unsupported" => Damage::UnsupportedKey(rest.to_owned()),
        "block" => match PEM_PROBLEMS.into_iter().find(|known| *known == rest) {
            Some(reason) => Damage::Pem { label: label.to_owned(), reason },
            None => Damage::Redacted,
        },
        "malformed" => {
            let (what, reason) = rest.split_once(": ").unwrap_or((rest, ""));
            let what = KINDS.into_iter().find(|known| *known == what).unwrap_or("private key");
            Damage::Der { what, reason: reason.to_owned() }
        }
        _ => Damage::Redacted,
    }
}

#[cfg(feature = "serde")]
/// Returns `text` without what would end a header.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

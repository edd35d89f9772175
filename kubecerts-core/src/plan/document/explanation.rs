//! The explanations in a document: notes on steps, and why something is deferred.
//!
//! The variants are written with braces even where they are empty, for serde refuses unknown fields of those only.

use serde::{Deserialize, Serialize};

use super::value::{self, Invalid};
use crate::path::TreePath;
use crate::plan;
use crate::time::Seconds;
use crate::x509::SignatureAlgorithm;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Note {
    Capped { ca: String, asked_seconds: i64, text: String },
    KeyChanged { from: KeyType, to: String, text: String },
    UsagesFromCatalogue { text: String },
    AuthorityChanged { ca: String, text: String },
    AuthorityDataReplaced { text: String },
    ChainDropped { count: usize, text: String },
    ExtensionsDropped { names: Vec<String>, text: String },
    ModeTightened { mode: String, text: String },
    SubjectChanged { from: String, text: String },
    SignatureChanged { from: String, to: String, text: String },
    Shortened { text: String },
    NamesChanged { added: Vec<String>, removed: Vec<String>, text: String },
    LifetimeStated { seconds: i64, source: String, text: String },
    LifetimeKept { seconds: i64, text: String },
    LifetimeShortened { from_seconds: i64, to_seconds: i64, text: String },
}

impl Note {
    pub(super) fn of(note: &plan::Note) -> Self {
        let text = note.to_string();
        match note {
            plan::Note::Capped { ca, asked } => {
                Self::Capped { ca: ca.name().to_owned(), asked_seconds: asked.0, text }
            }
            plan::Note::KeyChanged { from, to } => {
                Self::KeyChanged { from: KeyType::of(from), to: to.name().to_owned(), text }
            }
            plan::Note::UsagesFromCatalogue => Self::UsagesFromCatalogue { text },
            plan::Note::AuthorityChanged(ca) => Self::AuthorityChanged { ca: ca.name().to_owned(), text },
            plan::Note::AuthorityDataReplaced => Self::AuthorityDataReplaced { text },
            plan::Note::ChainDropped(count) => Self::ChainDropped { count: *count, text },
            plan::Note::ExtensionsDropped(names) => Self::ExtensionsDropped { names: names.clone(), text },
            plan::Note::ModeTightened(mode) => Self::ModeTightened { mode: value::mode_text(*mode), text },
            plan::Note::SubjectChanged(from) => Self::SubjectChanged { from: from.clone(), text },
            plan::Note::SignatureChanged { from, to } => {
                Self::SignatureChanged { from: from.clone(), to: to.name().to_owned(), text }
            }
            plan::Note::Shortened => Self::Shortened { text },
            plan::Note::NamesChanged { added, removed } => {
                let [added, removed] =
                    [added, removed].map(|names| names.iter().map(ToString::to_string).collect());
                Self::NamesChanged { added, removed, text }
            }
            plan::Note::LifetimeStated { lifetime, source } => {
                Self::LifetimeStated { seconds: lifetime.0, source: source.name().to_owned(), text }
            }
            plan::Note::LifetimeKept { lifetime } => Self::LifetimeKept { seconds: lifetime.0, text },
            plan::Note::LifetimeShortened { from, to } => {
                Self::LifetimeShortened { from_seconds: from.0, to_seconds: to.0, text }
            }
        }
    }

    pub(super) fn parse(self) -> Result<plan::Note, Invalid> {
        Ok(match self {
            Self::Capped { ca, asked_seconds, text: _ } => {
                plan::Note::Capped { ca: value::ca("notes.ca", &ca)?, asked: Seconds(asked_seconds) }
            }
            Self::KeyChanged { from, to, text: _ } => {
                plan::Note::KeyChanged { from: from.parse(), to: value::algorithm("notes.to", &to)? }
            }
            Self::UsagesFromCatalogue { text: _ } => plan::Note::UsagesFromCatalogue,
            Self::AuthorityChanged { ca, text: _ } => {
                plan::Note::AuthorityChanged(value::ca("notes.ca", &ca)?)
            }
            Self::AuthorityDataReplaced { text: _ } => plan::Note::AuthorityDataReplaced,
            Self::ChainDropped { count, text: _ } => plan::Note::ChainDropped(count),
            Self::ExtensionsDropped { names, text: _ } => plan::Note::ExtensionsDropped(names),
            Self::ModeTightened { mode, text: _ } => {
                plan::Note::ModeTightened(value::mode("notes.mode", &mode)?)
            }
            Self::SubjectChanged { from, text: _ } => plan::Note::SubjectChanged(from),
            Self::SignatureChanged { from, to, text: _ } => {
                let to = value::named("notes.to", &to, SignatureAlgorithm::ALL, SignatureAlgorithm::name)?;
                plan::Note::SignatureChanged { from, to }
            }
            Self::Shortened { text: _ } => plan::Note::Shortened,
            Self::NamesChanged { added, removed, text: _ } => {
                let names = |field, texts: Vec<String>| {
                    texts.iter().map(|text| value::parsed(field, text)).collect::<Result<_, _>>()
                };
                plan::Note::NamesChanged {
                    added: names("notes.added", added)?,
                    removed: names("notes.removed", removed)?,
                }
            }
            Self::LifetimeStated { seconds, source, text: _ } => plan::Note::LifetimeStated {
                lifetime: Seconds(seconds),
                source: lifetime_source("notes.source", &source)?,
            },
            Self::LifetimeKept { seconds, text: _ } => {
                plan::Note::LifetimeKept { lifetime: Seconds(seconds) }
            }
            Self::LifetimeShortened { from_seconds, to_seconds, text: _ } => {
                plan::Note::LifetimeShortened { from: Seconds(from_seconds), to: Seconds(to_seconds) }
            }
        })
    }
}

/// A kind of key with its size apart, because `Other` may have any name.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "type")]
pub(super) enum KeyType {
    #[serde(rename = "RSA")]
    Rsa { bits: u32 },
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256 {},
    #[serde(rename = "ECDSA-P384")]
    EcdsaP384 {},
    #[serde(rename = "other")]
    Other { name: String },
}

impl KeyType {
    fn of(key_type: &crate::x509::KeyType) -> Self {
        match key_type {
            crate::x509::KeyType::Rsa { bits } => Self::Rsa { bits: *bits },
            crate::x509::KeyType::EcdsaP256 => Self::EcdsaP256 {},
            crate::x509::KeyType::EcdsaP384 => Self::EcdsaP384 {},
            crate::x509::KeyType::Other(name) => Self::Other { name: name.clone() },
        }
    }

    fn parse(self) -> crate::x509::KeyType {
        match self {
            Self::Rsa { bits } => crate::x509::KeyType::Rsa { bits },
            Self::EcdsaP256 {} => crate::x509::KeyType::EcdsaP256,
            Self::EcdsaP384 {} => crate::x509::KeyType::EcdsaP384,
            Self::Other { name } => crate::x509::KeyType::Other(name),
        }
    }
}

/// The codes are those of [`plan::Reason::name`].
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Reason {
    NotDue {
        not_after: String,
    },
    #[serde(rename = "external-ca")]
    ExternalAuthority {
        ca: String,
    },
    #[serde(rename = "ca-unusable")]
    AuthorityUnusable {
        ca: String,
        problem: AuthorityProblem,
    },
    CannotBeExtended {
        not_after: String,
    },
    Missing {
        path: String,
    },
    Unreadable {
        path: String,
        detail: String,
    },
    Damaged {
        path: String,
        detail: String,
    },
    Referenced {
        path: String,
    },
    UnsupportedKey {
        key: String,
    },
    NoKeyToReuse {
        path: String,
    },
    KubeletOwned {},
    NotRenewable {},
    #[serde(rename = "same-files")]
    SameFilesAs {
        slot: String,
    },
    NodeNameUnknown {},
    ServerUnknown {},
    Kept {},
    NotOfThisNode {},
    SignedByAnother {
        issuer: String,
    },
    #[serde(rename = "embeds-no-ca")]
    EmbedsNoAuthority {
        path: String,
    },
    UpToDate {},
    NamesUnchanged {},
    NamesNeeded {
        names: Vec<NeededName>,
    },
    LifetimeShortened {
        from_seconds: i64,
        to_seconds: i64,
        source: String,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NeededName {
    name: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clients: Option<String>,
}

impl NeededName {
    fn of(needed: &plan::NeededName) -> Self {
        let plan::NeededName { name, reason, clients } = needed;
        Self { name: name.to_string(), reason: reason.clone(), clients: clients.clone() }
    }

    fn parse(self) -> Result<plan::NeededName, Invalid> {
        let Self { name, reason, clients } = self;
        Ok(plan::NeededName { name: value::parsed("reason.names.name", &name)?, reason, clients })
    }
}

fn lifetime_source(field: &'static str, text: &str) -> Result<plan::LifetimeSource, Invalid> {
    value::named(field, text, plan::LifetimeSource::ALL, plan::LifetimeSource::name)
}

impl Reason {
    pub(super) fn of(reason: &plan::Reason) -> Self {
        let text = TreePath::to_string;
        match reason {
            plan::Reason::NotDue { not_after } => Self::NotDue { not_after: not_after.to_string() },
            plan::Reason::ExternalAuthority(ca) => Self::ExternalAuthority { ca: ca.name().to_owned() },
            plan::Reason::AuthorityUnusable(ca, problem) => {
                Self::AuthorityUnusable { ca: ca.name().to_owned(), problem: AuthorityProblem::of(problem) }
            }
            plan::Reason::CannotBeExtended { not_after } => {
                Self::CannotBeExtended { not_after: not_after.to_string() }
            }
            plan::Reason::Missing(path) => Self::Missing { path: text(path) },
            plan::Reason::Unreadable(path, detail) => {
                Self::Unreadable { path: text(path), detail: detail.clone() }
            }
            plan::Reason::Damaged(path, detail) => Self::Damaged { path: text(path), detail: detail.clone() },
            plan::Reason::Referenced(path) => Self::Referenced { path: text(path) },
            plan::Reason::UnsupportedKey(key) => Self::UnsupportedKey { key: key.clone() },
            plan::Reason::NoKeyToReuse(path) => Self::NoKeyToReuse { path: text(path) },
            plan::Reason::KubeletOwned => Self::KubeletOwned {},
            plan::Reason::NotRenewable => Self::NotRenewable {},
            plan::Reason::SameFilesAs(slot) => Self::SameFilesAs { slot: slot.name().to_owned() },
            plan::Reason::NodeNameUnknown => Self::NodeNameUnknown {},
            plan::Reason::ServerUnknown => Self::ServerUnknown {},
            plan::Reason::Kept => Self::Kept {},
            plan::Reason::NotOfThisNode => Self::NotOfThisNode {},
            plan::Reason::SignedByAnother(issuer) => Self::SignedByAnother { issuer: issuer.clone() },
            plan::Reason::EmbedsNoAuthority(path) => Self::EmbedsNoAuthority { path: text(path) },
            plan::Reason::UpToDate => Self::UpToDate {},
            plan::Reason::NamesUnchanged => Self::NamesUnchanged {},
            plan::Reason::NamesNeeded(names) => {
                Self::NamesNeeded { names: names.iter().map(NeededName::of).collect() }
            }
            plan::Reason::LifetimeShortened { from, to, source } => Self::LifetimeShortened {
                from_seconds: from.0,
                to_seconds: to.0,
                source: source.name().to_owned(),
            },
        }
    }

    pub(super) fn parse(self) -> Result<plan::Reason, Invalid> {
        let ca = |text: &str| value::ca("reason.ca", text);
        let path = |text: &str| value::path("reason.path", text);
        let time = |text: &str| value::parsed("reason.notAfter", text);
        Ok(match self {
            Self::NotDue { not_after } => plan::Reason::NotDue { not_after: time(&not_after)? },
            Self::ExternalAuthority { ca: name } => plan::Reason::ExternalAuthority(ca(&name)?),
            Self::AuthorityUnusable { ca: name, problem } => {
                plan::Reason::AuthorityUnusable(ca(&name)?, problem.parse()?)
            }
            Self::CannotBeExtended { not_after } => {
                plan::Reason::CannotBeExtended { not_after: time(&not_after)? }
            }
            Self::Missing { path: text } => plan::Reason::Missing(path(&text)?),
            Self::Unreadable { path: text, detail } => plan::Reason::Unreadable(path(&text)?, detail),
            Self::Damaged { path: text, detail } => plan::Reason::Damaged(path(&text)?, detail),
            Self::Referenced { path: text } => plan::Reason::Referenced(path(&text)?),
            Self::UnsupportedKey { key } => plan::Reason::UnsupportedKey(key),
            Self::NoKeyToReuse { path: text } => plan::Reason::NoKeyToReuse(path(&text)?),
            Self::KubeletOwned {} => plan::Reason::KubeletOwned,
            Self::NotRenewable {} => plan::Reason::NotRenewable,
            Self::SameFilesAs { slot } => plan::Reason::SameFilesAs(value::slot("reason.slot", &slot)?),
            Self::NodeNameUnknown {} => plan::Reason::NodeNameUnknown,
            Self::ServerUnknown {} => plan::Reason::ServerUnknown,
            Self::Kept {} => plan::Reason::Kept,
            Self::NotOfThisNode {} => plan::Reason::NotOfThisNode,
            Self::SignedByAnother { issuer } => plan::Reason::SignedByAnother(issuer),
            Self::EmbedsNoAuthority { path: text } => plan::Reason::EmbedsNoAuthority(path(&text)?),
            Self::UpToDate {} => plan::Reason::UpToDate,
            Self::NamesUnchanged {} => plan::Reason::NamesUnchanged,
            Self::NamesNeeded { names } => {
                plan::Reason::NamesNeeded(names.into_iter().map(NeededName::parse).collect::<Result<_, _>>()?)
            }
            Self::LifetimeShortened { from_seconds, to_seconds, source } => plan::Reason::LifetimeShortened {
                from: Seconds(from_seconds),
                to: Seconds(to_seconds),
                source: lifetime_source("reason.source", &source)?,
            },
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum AuthorityProblem {
    Absent { path: String },
    Damaged { path: String, detail: String },
    KeyMismatch {},
    NotAnAuthority {},
    Expired { not_after: String },
    NotYetValid { not_before: String },
    UnsupportedKey { key: String },
}

impl AuthorityProblem {
    fn of(problem: &plan::AuthorityProblem) -> Self {
        match problem {
            plan::AuthorityProblem::Absent(path) => Self::Absent { path: path.to_string() },
            plan::AuthorityProblem::Damaged(path, detail) => {
                Self::Damaged { path: path.to_string(), detail: detail.clone() }
            }
            plan::AuthorityProblem::KeyMismatch => Self::KeyMismatch {},
            plan::AuthorityProblem::NotAnAuthority => Self::NotAnAuthority {},
            plan::AuthorityProblem::Expired(end) => Self::Expired { not_after: end.to_string() },
            plan::AuthorityProblem::NotYetValid(begin) => Self::NotYetValid { not_before: begin.to_string() },
            plan::AuthorityProblem::UnsupportedKey(key) => Self::UnsupportedKey { key: key.clone() },
        }
    }

    fn parse(self) -> Result<plan::AuthorityProblem, Invalid> {
        let path = |text: &str| value::path("reason.problem.path", text);
        Ok(match self {
            Self::Absent { path: text } => plan::AuthorityProblem::Absent(path(&text)?),
            Self::Damaged { path: text, detail } => plan::AuthorityProblem::Damaged(path(&text)?, detail),
            Self::KeyMismatch {} => plan::AuthorityProblem::KeyMismatch,
            Self::NotAnAuthority {} => plan::AuthorityProblem::NotAnAuthority,
            Self::Expired { not_after } => {
                plan::AuthorityProblem::Expired(value::parsed("reason.problem.notAfter", &not_after)?)
            }
            Self::NotYetValid { not_before } => {
                plan::AuthorityProblem::NotYetValid(value::parsed("reason.problem.notBefore", &not_before)?)
            }
            Self::UnsupportedKey { key } => plan::AuthorityProblem::UnsupportedKey(key),
        })
    }
}

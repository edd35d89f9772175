//! What a snapshot says beside the files: JSON, with a schema that the command prints.
//!
//! The field names are the format: renaming one is a new version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::observed::Seen;
use super::{Archive, Kept, KeptFile, Provenance, Redaction, Redactions};
use crate::path::TreePath;
use crate::secret::SecretBytes;
use crate::snapshot::{Arguments, FileMeta, ReadProblem};
use crate::time::Moment;

impl Archive {
    /// Returns the index in JSON: everything but the content of the files. Public data when the archive is redacted, and
    /// without private keys in any case.
    ///
    /// # Panics
    /// Never: the index can be written as JSON.
    #[must_use]
    pub fn index(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(&Index::of(self)).expect("the index can be written as JSON");
        text.push('\n');
        text
    }

    /// Puts an archive together again from its index and its files.
    ///
    /// # Errors
    /// [`IndexError`] when `index` is not the index of a snapshot, or does not belong to the files.
    pub fn parse(index: &[u8], files: BTreeMap<TreePath, SecretBytes>) -> Result<Self, IndexError> {
        let json = |error: serde_json::Error| {
            // It may quote a field of somebody else's making, which is not to steer a terminal.
            IndexError::Json { reason: error.to_string().replace(char::is_control, "\u{fffd}") }
        };
        let Header { api_version, kind } = serde_json::from_slice(index).map_err(json)?;
        if kind != KIND {
            return Err(IndexError::Kind { found: kind });
        }
        if api_version != API_VERSION {
            return Err(IndexError::ApiVersion { found: api_version });
        }
        serde_json::from_slice::<Index>(index).map_err(json)?.parse(files)
    }
}

/// Why something is not a snapshot of a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The index is not JSON, or a field is missing, unknown or of the wrong type.
    #[error("the index is damaged: {reason}")]
    Json {
        /// What is wrong, and where.
        reason: String,
    },
    /// It is a document of another version.
    #[error("apiVersion {found:?} of the index is not {API_VERSION}")]
    ApiVersion {
        /// The version found.
        found: String,
    },
    /// It is a document of another kind.
    #[error("kind {found:?} of the index is not {KIND}")]
    Kind {
        /// The kind found.
        found: String,
    },
    /// A value is not what its field demands.
    #[error("{field} {value:?} of the index is wrong: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the index is not there, or one is there that is not in the index.
    #[error("the index and the files do not belong together: {path}")]
    Files {
        /// The path on the node.
        path: TreePath,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Index {
    api_version: String,
    kind: String,
    name: String,
    taken_at: String,
    version: String,
    redacted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    surroundings: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kubeconfigs: Vec<String>,
    arguments: StatedArguments,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeadm_config: Option<String>,
    files: Vec<Entry>,
    directories: Vec<Directory>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    observations: Seen,
}

impl Index {
    fn of(archive: &Archive) -> Self {
        let Archive { provenance, redaction, files, lists, left_out, kubeadm_config, observations } = archive;
        let Provenance { name, taken_at, version, hostname, arguments, surroundings, backups, kubeconfigs } =
            provenance;
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: name.clone(),
            taken_at: taken_at.to_string(),
            version: version.clone(),
            redacted: *redaction == Redaction::Redact,
            hostname: hostname.clone(),
            surroundings: *surroundings,
            backups: texts(backups),
            kubeconfigs: texts(kubeconfigs),
            arguments: StatedArguments::of(arguments),
            kubeadm_config: kubeadm_config.as_ref().map(ToString::to_string),
            files: files.iter().map(|(path, kept)| Entry::of(path, kept)).collect(),
            directories: lists
                .iter()
                .map(|(path, entries)| Directory { path: path.to_string(), entries: texts(entries) })
                .collect(),
            left_out: texts(left_out),
            observations: Seen::of(observations),
        }
    }

    fn parse(self, mut contents: BTreeMap<TreePath, SecretBytes>) -> Result<Archive, IndexError> {
        let Self {
            api_version: _,
            kind: _,
            name,
            taken_at,
            version,
            redacted,
            hostname,
            surroundings,
            backups,
            kubeconfigs,
            arguments,
            kubeadm_config,
            files: entries,
            directories,
            left_out,
            observations,
        } = self;
        let taken_at = parsed("takenAt", &taken_at)?;
        if !Provenance::is_name(&name) {
            return Err(wrong("name", &name, "it is not that of a host"));
        }
        let redaction = if redacted { Redaction::Redact } else { Redaction::KeepSecrets };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path: TreePath = parsed("path", &entry.path)?;
            let kept = entry.parse(&path, &mut contents)?;
            if files.insert(path.clone(), kept).is_some() {
                return Err(wrong("path", path.as_str(), "it occurs twice"));
            }
        }
        if let Some((path, _)) = contents.pop_first() {
            return Err(IndexError::Files { path });
        }
        let mut lists = BTreeMap::new();
        for Directory { path, entries } in directories {
            if lists.insert(parsed("path", &path)?, paths("entries", &entries)?).is_some() {
                return Err(wrong("path", &path, "it occurs twice"));
            }
        }
        let provenance = Provenance {
            name,
            taken_at,
            version,
            hostname,
            arguments: arguments.parse()?,
            surroundings,
            backups: paths("backups", &backups)?,
            kubeconfigs: paths("kubeconfigs", &kubeconfigs)?,
        };
        let left_out = paths("leftOut", &left_out)?.into_iter().collect();
        let kubeadm_config = optional("kubeadmConfig", kubeadm_config)?;
        let observations = observations.parse()?;
        Ok(Archive { provenance, redaction, files, lists, left_out, kubeadm_config, observations })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StatedArguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeconfigs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubelet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<String>,
}

impl StatedArguments {
    fn of(arguments: &Arguments) -> Self {
        let Arguments { certificates, kubeconfigs, manifests, kubelet, node_name } = arguments;
        let text = |path: &Option<TreePath>| path.as_ref().map(ToString::to_string);
        Self {
            certificates: text(certificates),
            kubeconfigs: text(kubeconfigs),
            manifests: text(manifests),
            kubelet: text(kubelet),
            node_name: node_name.clone(),
        }
    }

    fn parse(self) -> Result<Arguments, IndexError> {
        let Self { certificates, kubeconfigs, manifests, kubelet, node_name } = self;
        Ok(Arguments {
            certificates: optional("certificates", certificates)?,
            kubeconfigs: optional("kubeconfigs", kubeconfigs)?,
            manifests: optional("manifests", manifests)?,
            kubelet: optional("kubelet", kubelet)?,
            node_name,
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Directory {
    path: String,
    entries: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    path: String,
    #[serde(flatten)]
    state: State,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum State {
    Absent,
    Unreadable {
        problem: Problem,
    },
    Present {
        mode: String,
        uid: u32,
        gid: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        size: u64,
        sha256: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        redactions: Option<Taken>,
    },
}

/// What was taken out of a file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Taken {
    keys: usize,
    tokens: usize,
    values: usize,
}

impl Entry {
    fn of(path: &TreePath, kept: &Kept) -> Self {
        let state = match kept {
            Kept::Absent => State::Absent,
            Kept::Unreadable(problem) => State::Unreadable { problem: Problem::of(problem) },
            Kept::Present(KeptFile { bytes: _, digest, size, meta, redactions }) => {
                let FileMeta { mode, uid, gid, modified, changed, target } = meta;
                let Redactions { keys, tokens, values } = *redactions;
                State::Present {
                    mode: format!("{mode:04o}"),
                    uid: *uid,
                    gid: *gid,
                    modified: modified.map(to_nanosecond),
                    changed: changed.map(to_nanosecond),
                    target: target.as_ref().map(ToString::to_string),
                    size: *size,
                    sha256: digest.to_string(),
                    redactions: (!redactions.is_empty()).then_some(Taken { keys, tokens, values }),
                }
            }
        };
        Self { path: path.to_string(), state }
    }

    fn parse(
        self,
        path: &TreePath,
        contents: &mut BTreeMap<TreePath, SecretBytes>,
    ) -> Result<Kept, IndexError> {
        Ok(match self.state {
            State::Absent => Kept::Absent,
            State::Unreadable { problem } => Kept::Unreadable(problem.parse()?),
            State::Present { mode, uid, gid, modified, changed, target, size, sha256, redactions } => {
                let bytes = contents.remove(path).ok_or_else(|| IndexError::Files { path: path.clone() })?;
                let mode_bits = u32::from_str_radix(&mode, 8).ok().filter(|bits| *bits <= 0o7777);
                let mode = mode_bits.ok_or_else(|| wrong("mode", &mode, "it is not four octal digits"))?;
                let moment = |field, text: Option<String>| {
                    let parse = |text: String| {
                        Moment::parse_rfc3339(&text).map_err(|error| wrong(field, &text, &error.to_string()))
                    };
                    text.map(parse).transpose()
                };
                let meta = FileMeta {
                    mode,
                    uid,
                    gid,
                    modified: moment("modified", modified)?,
                    changed: moment("changed", changed)?,
                    target: optional("target", target)?,
                };
                let redactions = redactions.map_or_else(Redactions::default, |taken| {
                    let Taken { keys, tokens, values } = taken;
                    Redactions { keys, tokens, values }
                });
                Kept::Present(KeptFile { bytes, digest: parsed("sha256", &sha256)?, size, meta, redactions })
            }
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Problem {
    PermissionDenied,
    NotAFile { is: String },
    TooLarge { size: u64, limit: u64 },
    LeavesRoot { link: String, target: String },
    DanglingLink { link: String, target: String },
    LinkLoop,
    Failed { reason: String },
}

impl Problem {
    fn of(problem: &ReadProblem) -> Self {
        match problem {
            ReadProblem::PermissionDenied => Self::PermissionDenied,
            ReadProblem::NotAFile(kind) => Self::NotAFile { is: kind.clone() },
            ReadProblem::TooLarge { size, limit } => Self::TooLarge { size: *size, limit: *limit },
            ReadProblem::LeavesRoot { link, target } => {
                Self::LeavesRoot { link: link.to_string(), target: target.clone() }
            }
            ReadProblem::DanglingLink { link, target } => {
                Self::DanglingLink { link: link.to_string(), target: target.clone() }
            }
            ReadProblem::LinkLoop => Self::LinkLoop,
            ReadProblem::Failed(reason) => Self::Failed { reason: reason.clone() },
        }
    }

    fn parse(self) -> Result<ReadProblem, IndexError> {
        Ok(match self {
            Self::PermissionDenied => ReadProblem::PermissionDenied,
            Self::NotAFile { is } => ReadProblem::NotAFile(is),
            Self::TooLarge { size, limit } => ReadProblem::TooLarge { size, limit },
            Self::LeavesRoot { link, target } => {
                ReadProblem::LeavesRoot { link: parsed("link", &link)?, target }
            }
            Self::DanglingLink { link, target } => {
                ReadProblem::DanglingLink { link: parsed("link", &link)?, target }
            }
            Self::LinkLoop => ReadProblem::LinkLoop,
            Self::Failed { reason } => ReadProblem::Failed(reason),
        })
    }
}

/// Writes RFC 3339 with all nanoseconds: whether a program has read a file is decided by fractions of a second.
pub(super) fn to_nanosecond(moment: Moment) -> String {
    let second = moment.timestamp().to_string();
    format!("{}.{:09}Z", second.trim_end_matches('Z'), moment.nanosecond())
}

pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, IndexError> {
    text.parse().map_err(|error: T::Err| wrong(field, text, &error.to_string()))
}

pub(super) fn wrong(field: &'static str, value: &str, reason: &str) -> IndexError {
    IndexError::Value { field, value: value.to_owned(), reason: reason.to_owned() }
}

fn texts<'a>(paths: impl IntoIterator<Item = &'a TreePath>) -> Vec<String> {
    paths.into_iter().map(ToString::to_string).collect()
}

fn paths(field: &'static str, texts: &[String]) -> Result<Vec<TreePath>, IndexError> {
    texts.iter().map(|text| parsed(field, text)).collect()
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: Option<String>,
) -> Result<Option<T>, IndexError> {
    text.map(|text| parsed(field, &text)).transpose()
}

const API_VERSION: &str = "kubecerts.dev/v1";
const KIND: &str = "NodeSnapshot";

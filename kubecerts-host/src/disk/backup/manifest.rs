//! The manifest of a backup.

use std::collections::BTreeMap;

use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::transaction::Reach;
use super::super::{Labels, Owner, wire};

/// The name of the file.
pub(super) const NAME: &str = "manifest.json";

/// The version of the format.
const VERSION: &str = "kubecerts.dev/v1";
/// The version of a manifest with entries that are not reached through links, which are all that it adds.
const VERSION_WITH_REACH: &str = "kubecerts.dev/v2";
/// The kind of document.
const KIND: &str = "Backup";

/// What a backup holds. Public data.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Manifest {
    api_version: String,
    kind: String,
    /// The identifier.
    pub id: String,
    /// When the backup was begun.
    #[serde(with = "wire::text")]
    pub created_at: Timestamp,
    /// What it was made for, such as `before renew`.
    pub reason: String,
    /// How much it holds.
    pub scope: Scope,
    /// The files, in the order in which they were read.
    pub files: Vec<Entry>,
    /// What was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// The snapshot of etcd, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdEntry>,
}

impl Manifest {
    pub(super) fn new(id: String, created_at: Timestamp, reason: String, scope: Scope) -> Self {
        let (api_version, kind) = (VERSION.to_owned(), KIND.to_owned());
        let (files, skipped, etcd) = (Vec::new(), Vec::new(), None);
        Self { api_version, kind, id, created_at, reason, scope, files, skipped, etcd }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("its manifest is damaged: {error}"))?;
        let (version, kind) = (&manifest.api_version, &manifest.kind);
        match [VERSION, VERSION_WITH_REACH].contains(&version.as_str()) && kind == KIND {
            true => Ok(manifest),
            false => Err(format!(
                "its manifest is {kind:?} of {version:?}, not {KIND:?} of {VERSION:?} or {VERSION_WITH_REACH:?}"
            )),
        }
    }

    /// Says that the entry that was added last was reached in that way.
    pub(super) fn reached_by(&mut self, reach: Reach) {
        let Some(entry) = self.files.last_mut().filter(|_| reach != Reach::Links) else { return };
        entry.reach = reach;
        // An earlier version of this program would write through the links.
        VERSION_WITH_REACH.clone_into(&mut self.api_version);
    }

    /// Returns the manifest as JSON.
    ///
    /// # Panics
    /// Never: a manifest is made of texts, numbers and lists.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("texts, numbers and lists can be written as JSON");
        text.push('\n');
        text
    }
}

/// How much a backup holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scope {
    /// The files that a run was about to replace.
    Changed,
    /// The whole of the kubeconfigs' directory with everything below it, and the kubelet's certificates.
    Full,
}

/// A path in a backup.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The path, as the node itself would write it.
    #[serde(with = "wire::text")]
    pub path: TreePath,
    /// Which entry of the tree that is, and is written to by going back. A link that is reached through links is only noted.
    #[serde(default, skip_serializing_if = "is_through_links")]
    pub reach: Reach,
    /// What was there.
    #[serde(flatten)]
    pub node: Node,
}

fn is_through_links(reach: &Reach) -> bool {
    *reach == Reach::Links
}

/// What was at a path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Node {
    /// Nothing.
    Absent,
    /// A file, whose content is in the backup.
    File {
        /// The digest of its content.
        #[serde(with = "wire::text")]
        sha256: Digest,
        /// Its size in bytes.
        size: u64,
        /// Its permission bits.
        #[serde(with = "wire::mode")]
        mode: u32,
        /// The number of its owner.
        uid: u32,
        /// The number of its group.
        gid: u32,
        /// Its labels, each as hexadecimal digits.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    /// A link.
    Link {
        /// Where it pointed.
        target: String,
    },
    /// A directory.
    Directory {
        /// Its permission bits.
        #[serde(with = "wire::mode")]
        mode: u32,
        /// The number of its owner.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
}

impl Node {
    /// Returns owner and labels of a file, provided that the labels can be understood.
    pub(crate) fn facts(&self) -> Option<(Owner, Labels)> {
        let Self::File { uid, gid, labels, .. } = self else { return None };
        let labels = labels.iter().map(|(name, value)| Some((name.clone(), wire::parse_hex(value)?)));
        Some((Owner { uid: *uid, gid: *gid }, Labels(labels.collect::<Option<_>>()?)))
    }
}

/// Something that was left out of a backup.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The path.
    #[serde(with = "wire::text")]
    pub path: TreePath,
    /// Why.
    pub reason: String,
}

/// A snapshot of etcd in a backup.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EtcdEntry {
    /// The name of the file within the backup.
    pub file: String,
    /// The member that it was taken from.
    pub endpoint: String,
    /// The version of that member.
    pub version: String,
    /// A revision that the snapshot holds; there may be later ones in it.
    pub revision: i64,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    #[serde(with = "wire::text")]
    pub sha256: Digest,
}

//! Files of trusted certificates beside those of the authorities, which have to follow when an authority gets a later end.

use std::collections::BTreeMap;

use super::{ChangeSet, CopyChange};
use crate::catalog::FileSlot;
use crate::inventory::{Inventory, OutdatedTrust};
use crate::path::TreePath;
use crate::plan::Plan;
use crate::secret::SecretBytes;
use crate::snapshot::{FileContent, FileState, Snapshot};
use crate::x509::{Certificate, certificates, replace_certificate};

/// Returns what becomes of the files of `snapshot` that components are told to trust and that hold the old certificate of an
/// authority that `plan` extends: the new one of `changes` takes its place, every other byte stays. Sorted by path.
///
/// Which files these are is said by the manifests and the kubelet's configuration, never by the plan.
#[must_use]
pub fn trust_file_changes(
    plan: &Plan,
    changes: &ChangeSet,
    snapshot: &Snapshot,
    inventory: &Inventory,
) -> Vec<CopyChange> {
    let mut files = Files { snapshot, changed: BTreeMap::new() };
    for ca in plan.extended_authorities() {
        let Some(old) = inventory.authority(ca).signer() else { continue };
        let written = changes.changes().iter().find(|change| change.file() == FileSlot::CaCertificate(ca));
        let bundle = written.and_then(|change| certificates(change.secret_bytes()).ok()).unwrap_or_default();
        let is_successor = |new: &Certificate| new.public_key() == old.public_key() && new != old;
        let Some(new) = bundle.into_iter().flatten().find(is_successor) else { continue };
        for file in snapshot.node().trust_files() {
            files.replace(&file.path, old, &new);
        }
    }
    files.changes()
}

/// Returns what becomes of the files of `snapshot` that lag behind an authority with a later end, as where its certificate was
/// brought from another node: that one takes the place of the earlier one, every other byte stays. Sorted by path.
#[must_use]
pub fn outdated_trust_changes(snapshot: &Snapshot, inventory: &Inventory) -> Vec<CopyChange> {
    let mut files = Files { snapshot, changed: BTreeMap::new() };
    for OutdatedTrust { ca, file, old } in inventory.outdated_trust() {
        if let Some(new) = inventory.authority(ca).signer() {
            files.replace(&file.path, old, new);
        }
    }
    files.changes()
}

/// Files in which certificates take the place of others, of several authorities perhaps.
struct Files<'a> {
    snapshot: &'a Snapshot,
    /// What was found, and what it becomes.
    changed: BTreeMap<&'a TreePath, (&'a FileContent, Vec<u8>)>,
}

impl<'a> Files<'a> {
    /// Puts `new` in the place of `old` in the file at `path`, if that can be read and has it.
    fn replace(&mut self, path: &'a TreePath, old: &Certificate, new: &Certificate) {
        let Some(FileState::Present(content)) = self.snapshot.at(path) else { return };
        let now = self.changed.get(path).map_or(content.secret_bytes(), |(_, changed)| changed);
        if let Some(changed) = replace_certificate(now, old, new.as_der()) {
            self.changed.insert(path, (content, changed));
        }
    }

    fn changes(self) -> Vec<CopyChange> {
        let changed = self.changed.into_iter();
        changed.map(|(path, (old, new))| CopyChange::of(path, old, SecretBytes::new(new))).collect()
    }
}

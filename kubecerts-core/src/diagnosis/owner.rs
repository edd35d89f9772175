//! The check of who may read what.

use std::collections::BTreeSet;

use super::checks::{Context, about, at};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, PathSource, Slot};
use crate::inventory::{FileFacts, Inventory, Place};
use crate::manifest::RunsAs;
use crate::snapshot::FileMeta;

/// `owner-wrong`
///
/// Components that do not run as root lose their keys when root writes these anew
/// (`cmd/kubeadm/app/phases/controlplane/manifests.go`, feature gate `RootlessControlPlane`).
pub(super) fn owners(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let users = &inventory.node().programs().users;
    let is_roots = |file| inventory.file(file).meta.as_ref().is_some_and(|meta| meta.uid == 0);
    // In a copy of a tree, whose files are all somebody's, owners say nothing.
    if users.is_empty() || !FileSlot::all().any(is_roots) {
        return;
    }
    let known: BTreeSet<u32> = users.values().filter_map(|user| user.user).chain([0]).collect();
    for file in FileSlot::all() {
        let facts = inventory.file(file);
        let Some(meta) = &facts.meta else { continue };
        let readers: Vec<(Component, &RunsAs)> = users
            .iter()
            .filter(|(component, _)| is_given(inventory, **component, file))
            .map(|(component, user)| (*component, user))
            .collect();
        let place = Place::Slot(file.slot());
        let code = FindingCode::OwnerWrong;
        let owner = format!("belongs to {}:{} with the mode {:04o}", meta.uid, meta.gid, meta.mode);
        let shut_out = readers.iter().find(|(_, user)| !can_read(user, meta));
        if let Some((component, user)) = shut_out {
            let uid = user.user.unwrap_or(0);
            let group = user.group.map(|group| format!(":{group}")).unwrap_or_default();
            let message = format!(
                "{} {owner}, and {component}, which runs as {uid}{group}, cannot read it",
                facts.path
            );
            let remedy = mend(facts, &readers);
            let finding = about(&place, Severity::Error, code, Impact::Unusable, message, remedy);
            out.push(at(facts, finding));
        } else if file.is_secret()
            && !is_administrators(file)
            && !is_of_others_etcd(inventory, file)
            && !known.contains(&meta.uid)
        {
            let message = format!("{} {owner}, and no component runs as that user", facts.path);
            let (path, mode) = (facts.path.clone(), meta.mode & 0o700);
            let remedy = match readers.is_empty() {
                true => Remedy::SetOwner { path, uid: 0, gid: 0, mode },
                false => mend(facts, &readers),
            };
            let finding = about(&place, Severity::Warning, code, Impact::None, message, remedy);
            out.push(at(facts, finding));
        }
    }
}

/// Returns whether the manifest of `component` lets it read `file`.
fn is_given(inventory: &Inventory, component: Component, file: FileSlot) -> bool {
    if component.reload(file, inventory.node().version()).is_none() {
        return false;
    }
    match file {
        FileSlot::ServiceAccountKey | FileSlot::ServiceAccountPublicKey => {
            let path = &inventory.file(file).path;
            inventory
                .token_keys()
                .iter()
                .any(|key| key.named.component == component && key.file.path == *path)
        }
        // Where no flag names a file, nobody is known to read it.
        FileSlot::Kubeconfig(_) => true,
        _ => inventory.file(file).source == Some(PathSource::Manifest),
    }
}

fn can_read(user: &RunsAs, meta: &FileMeta) -> bool {
    match user.user {
        // The images of Kubernetes and of etcd run as root, who reads everything.
        None | Some(0) => true,
        Some(uid) if uid == meta.uid => meta.mode & 0o400 != 0,
        Some(_) if user.groups().contains(&meta.gid) => meta.mode & 0o040 != 0,
        Some(_) => meta.mode & 0o004 != 0,
    }
}

/// An etcd that is no static pod runs as a user whom no manifest names.
fn is_of_others_etcd(inventory: &Inventory, file: FileSlot) -> bool {
    let is_etcds = match file.slot() {
        Slot::Leaf(leaf) => leaf.issuer() == CaSlot::Etcd,
        slot => slot == Slot::Ca(CaSlot::Etcd),
    };
    is_etcds && !inventory.node().components().contains(&Component::Etcd)
}

/// Who administers the cluster may be anybody.
const fn is_administrators(file: FileSlot) -> bool {
    matches!(file, FileSlot::Kubeconfig(KubeconfigSlot::Admin | KubeconfigSlot::SuperAdmin))
}

/// Returns an owner that lets all of `readers` in: the one user of them all, or a group that they have in common.
fn mend(facts: &FileFacts, readers: &[(Component, &RunsAs)]) -> Remedy {
    let path = facts.path.clone();
    let mut bound =
        readers.iter().map(|(_, user)| *user).filter(|user| user.user.is_some_and(|user| user != 0));
    let Some(first) = bound.next() else {
        return Remedy::SetOwner { path, uid: 0, gid: 0, mode: 0o600 };
    };
    let others: Vec<&RunsAs> = bound.collect();
    let uid = first.user.unwrap_or(0);
    if others.iter().all(|other| other.user == first.user) {
        return Remedy::SetOwner { path, uid, gid: first.group.unwrap_or(0), mode: 0o600 };
    }
    let mut shared = first.groups();
    for other in others {
        shared = shared.intersection(&other.groups()).copied().collect();
    }
    // Of several the last is one that was made for the purpose: kubeadm numbers groups in the order in which it makes them.
    match shared.last() {
        Some(gid) if *gid != 0 => Remedy::SetOwner { path, uid, gid: *gid, mode: 0o640 },
        _ => Remedy::Inspect(path),
    }
}

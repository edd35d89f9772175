//! Copies of what is replaced, and the way back.
//!
//! A backup is a directory below the [`State`], named after the moment at which it was begun: the files under `files/`, at the
//! paths that they have on the node, and `manifest.json` with their digests, modes, owners and labels. Directories have mode
//! 0700 and files 0600, whatever the originals had. The manifest is written last, so that a directory without one is no
//! backup. Every file is read again before a backup counts as made.

use std::path::{Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;

use super::state::parts_of_id;
use super::{Disk, DiskError, Kind, Operation, State};

mod compare;

mod manifest;
pub use manifest::{Entry, EtcdEntry, Manifest, Node, Scope, Skipped};

mod restore;
pub use restore::{Difference, Restoration, Restored};

mod whole;

mod writer;
pub use writer::{Creation, Writer};

/// The largest file that a backup takes, in bytes: 16 MiB.
///
/// What belongs to a control plane takes kilobytes; a disk image that lies in its directory does not belong to it.
pub const BACKUP_FILE_LIMIT: u64 = 16 << 20;

/// A directory where backups are, as it was found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The identifier.
    pub id: String,
    /// The manifest, or why there is none.
    pub manifest: Result<Manifest, DiskError>,
}

/// Returns all backups, oldest first.
///
/// # Errors
/// [`DiskError::State`] when the directory cannot be listed.
pub fn list(state: &State, disk: &impl Disk) -> Result<Vec<Listed>, DiskError> {
    let ids = ids(state, disk)?;
    Ok(ids.into_iter().map(|id| Listed { manifest: open(&id, state, disk), id }).collect())
}

/// Returns the manifest of the backup `id`, or of the latest complete one when none is named.
///
/// # Errors
/// [`DiskError::NoBackup`] or [`DiskError::Backup`].
pub fn find(id: Option<&str>, state: &State, disk: &impl Disk) -> Result<Manifest, DiskError> {
    let Some(id) = id else {
        let latest = list(state, disk)?.into_iter().rev().find_map(|listed| listed.manifest.ok());
        return latest.ok_or_else(|| no_backup("", state));
    };
    if !ids(state, disk)?.iter().any(|known| known == id) {
        return Err(no_backup(id, state));
    }
    open(id, state, disk)
}

/// Returns everything that is wrong with the files of a backup, sorted by path; nothing when it is whole.
#[must_use]
pub fn verify(manifest: &Manifest, state: &State, disk: &impl Disk) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in &manifest.files {
        let Node::File { .. } = &entry.node else { continue };
        if let Err(problem) = read(manifest, entry, state, disk) {
            problems.push(problem.to_string());
        }
    }
    if let Some(etcd) = &manifest.etcd
        && let Err(problem) = writer::check_etcd(&manifest.id, etcd, state, disk)
    {
        problems.push(problem);
    }
    problems
}

/// Returns the content of a file in a backup, provided that it is what the manifest says.
///
/// # Errors
/// [`DiskError::Backup`] when it is not, or cannot be read.
pub fn read(
    manifest: &Manifest,
    entry: &Entry,
    state: &State,
    disk: &impl Disk,
) -> Result<SecretBytes, DiskError> {
    let Entry { path, node, .. } = entry;
    let wrong = |problem: String| DiskError::Backup { id: manifest.id.clone(), problem };
    let Node::File { sha256, .. } = node else {
        return Err(wrong(format!("{path} is no file in it")));
    };
    let host = stored(&manifest.id, path, state);
    must_not_lead_away(&host, state, disk).map_err(|problem| wrong(format!("{path}: {problem}")))?;
    let found = disk
        .read(&host, BACKUP_FILE_LIMIT)
        .map_err(|problem| wrong(format!("{path} cannot be read: {problem}")))?;
    let found = found.ok_or_else(|| wrong(format!("{path} is missing")))?;
    match Digest::of(found.content.secret_bytes()) {
        digest if digest == *sha256 => Ok(found.content),
        digest => Err(wrong(format!("{path} is sha256:{digest}, and should be sha256:{sha256}"))),
    }
}

/// Removes all backups but the latest `keep`, and returns what was removed, oldest first.
///
/// What cannot be understood, a backup of a later version of this program for one, is neither counted nor removed.
///
/// # Errors
/// [`DiskError::State`] when one cannot be removed.
pub fn prune(keep: usize, state: &State, disk: &mut impl Disk) -> Result<Vec<String>, DiskError> {
    sweep(state, disk)?;
    let mut complete = list(state, disk)?;
    complete.retain(|listed| listed.manifest.is_ok());
    complete.truncate(complete.len().saturating_sub(keep));
    for Listed { id, .. } in &complete {
        remove(id, state, disk)?;
    }
    Ok(complete.into_iter().map(|listed| listed.id).collect())
}

/// Removes the backup `id`, whole or not.
pub(crate) fn remove(id: &str, state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    let directory = directory(id, state);
    // Without its manifest it is no backup any more, however far the rest comes.
    let manifest = directory.join(manifest::NAME);
    let failed = |operation| {
        let manifest = &manifest;
        move |source| state.failed(manifest, operation, source)
    };
    if disk.stat(&manifest).map_err(failed(Operation::Inspect))?.is_some() {
        disk.remove(&manifest).map_err(failed(Operation::Remove))?;
        // Else a crash could bring the manifest back, and none of the files that it promises.
        disk.sync_directory(&directory).map_err(failed(Operation::FlushDirectory))?;
    }
    remove_all(&directory, state, disk)
}

/// Removes what interrupted runs have left of their backups: directories with the name of a run and without a manifest.
pub(crate) fn sweep(state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    for id in ids(state, disk)? {
        let directory = directory(&id, state);
        let manifest = directory.join(manifest::NAME);
        let found =
            disk.stat(&manifest).map_err(|source| state.failed(&manifest, Operation::Inspect, source))?;
        if found.is_none() {
            remove_all(&directory, state, disk)?;
        }
    }
    Ok(())
}

/// Returns where the backup `id` lies.
pub(super) fn directory(id: &str, state: &State) -> PathBuf {
    state.directory().join("backups").join(id)
}

/// Returns where the backup `id` keeps `path`.
fn stored(id: &str, path: &TreePath, state: &State) -> PathBuf {
    let mut host = directory(id, state).join("files");
    host.extend(path.parts());
    host
}

fn open(id: &str, state: &State, disk: &impl Disk) -> Result<Manifest, DiskError> {
    let wrong = |problem: String| DiskError::Backup { id: id.to_owned(), problem };
    let path = directory(id, state).join(manifest::NAME);
    must_not_lead_away(&path, state, disk).map_err(wrong)?;
    let found = disk
        .read(&path, BACKUP_FILE_LIMIT)
        .map_err(|problem| wrong(format!("its manifest cannot be read: {problem}")))?;
    let found = found.ok_or_else(|| wrong("it has no manifest, so it was never completed".to_owned()))?;
    let manifest = Manifest::parse(found.content.secret_bytes()).map_err(wrong)?;
    match manifest.id == id {
        true => Ok(manifest),
        false => Err(wrong(format!("its manifest is that of {}", manifest.id))),
    }
}

/// A state directory on a foreign disk is foreign: no link in it may lead anywhere else.
fn must_not_lead_away(host: &Path, state: &State, disk: &impl Disk) -> Result<(), String> {
    let Ok(below) = host.strip_prefix(state.directory()) else {
        return Err("it lies outside the state directory".to_owned());
    };
    let mut at = state.directory().to_owned();
    for part in below.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        let failed = |error| format!("{} cannot be inspected: {error}", state.tree(&at));
        match disk.stat(&at).map_err(failed)? {
            Some(stat) if stat.kind == Kind::Directory => {}
            Some(stat) => return Err(format!("{} is a {}", state.tree(&at), stat.kind.name())),
            None => return Err(format!("{} is missing", state.tree(&at))),
        }
    }
    Ok(())
}

/// Returns the identifiers of all backups, oldest first. Whatever else lies there is not ours.
fn ids(state: &State, disk: &impl Disk) -> Result<Vec<String>, DiskError> {
    let mut ids = state.names("backups", disk)?;
    ids.retain(|id| parts_of_id(id).is_some());
    ids.sort_by(|one, other| parts_of_id(one).cmp(&parts_of_id(other)));
    Ok(ids)
}

fn remove_all(directory: &Path, state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    let failed = |operation| move |source| state.failed(directory, operation, source);
    let Some(stat) = disk.stat(directory).map_err(failed(Operation::Inspect))? else { return Ok(()) };
    if stat.kind != Kind::Directory {
        return disk.remove(directory).map_err(failed(Operation::Remove));
    }
    for name in disk.list(directory).map_err(failed(Operation::List))? {
        remove_all(&directory.join(name), state, disk)?;
    }
    disk.remove_directory(directory).map_err(failed(Operation::Remove))
}

fn no_backup(id: &str, state: &State) -> DiskError {
    DiskError::NoBackup { id: id.to_owned(), directory: state.tree(&state.directory().join("backups")) }
}

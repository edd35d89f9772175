//! What must hold before anything is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;

use super::error::Unit;
use super::transaction::{Becomes, Target};
use super::{Disk, DiskError, Kind, Operation, Root, Space, State};

/// Refuses to write `path` when others than the owner may rename entries of `directory`, or of one above it.
///
/// Root's group, and that of this process, count as the owner's. In a sticky directory, such as `/tmp`, only the owner of an
/// entry may rename it, so it does above. The directory itself has to be closed all the same: files are made there. Who owns
/// a directory does not matter: etcd's certificates may belong to etcd.
pub(super) fn only_owner_writes(
    directory: &TreePath,
    path: &TreePath,
    root: &Root,
    disk: &impl Disk,
) -> Result<(), DiskError> {
    let mut above = vec![directory.clone()];
    while let Some(at) = above.last().filter(|at| at.parts().next().is_some()) {
        above.push(at.parent());
    }
    for at in above.into_iter().rev() {
        let found = disk.stat(&root.host(&at)).map_err(|source| DiskError::Replace {
            path: at.clone(),
            operation: Operation::Inspect,
            source,
        })?;
        // What does not exist yet will be made by us, and what lies behind a link is looked at by its own path.
        let Some(stat) = found.filter(|stat| stat.kind != Kind::Link) else { return Ok(()) };
        let sticky = stat.mode & 0o1000 != 0 && at != *directory;
        let own_group = [0, rustix::process::getegid().as_raw()].contains(&stat.owner.gid);
        let others = if own_group { 0o002 } else { 0o022 };
        if stat.mode & others != 0 && !sticky {
            return Err(DiskError::OpenDirectory { path: path.clone(), directory: at, mode: stat.mode });
        }
    }
    Ok(())
}

/// Refuses a run that has no room for its temporary files, its backup and its journal.
pub(super) fn room(
    targets: &[Target<'_>],
    state: &State,
    root: &Root,
    disk: &impl Disk,
) -> Result<(), DiskError> {
    let mut needs: BTreeMap<u64, Need> = BTreeMap::new();
    for target in targets {
        let need =
            needs.entry(target.device).or_insert_with(|| Need::new(target.directory(), target.tree.parent()));
        match &target.item.becomes {
            Becomes::File { content, .. } => need.add(content.len() as u64),
            Becomes::Link { target } => need.add(target.len() as u64),
            Becomes::Nothing => {}
        }
        // The second name of the old file: some file systems count names.
        need.files += u64::from(target.before.is_some());
    }
    let (directory, tree) = existing(state, root, disk)?;
    let device =
        disk.stat(&directory).map_err(|source| state.failed(&directory, Operation::Inspect, source))?;
    let need =
        needs.entry(device.map_or(0, |stat| stat.device)).or_insert_with(|| Need::new(&directory, tree));
    for old in targets.iter().filter_map(|target| target.before.as_ref()) {
        need.add(old.size());
    }
    need.add(RECORDS + RECORD * targets.len() as u64);
    need.files += RECORD_FILES;
    needs.into_values().try_for_each(|need| need.check(disk))
}

/// Refuses a backup of files with these sizes when the state directory has no room for it.
pub(super) fn room_for_backup(
    sizes: impl IntoIterator<Item = u64>,
    state: &State,
    root: &Root,
    disk: &impl Disk,
) -> Result<(), DiskError> {
    let (directory, tree) = existing(state, root, disk)?;
    let mut need = Need::new(&directory, tree);
    sizes.into_iter().for_each(|size| need.add(size));
    need.add(RECORDS);
    need.files += RECORD_FILES;
    need.check(disk)
}

/// What is needed on one file system.
struct Need {
    directory: PathBuf,
    tree: TreePath,
    sizes: Vec<u64>,
    /// The files and directories that are made beside those that have a size.
    files: u64,
}

impl Need {
    fn new(directory: &Path, tree: TreePath) -> Self {
        Self { directory: directory.to_owned(), tree, sizes: Vec::new(), files: 0 }
    }

    fn add(&mut self, size: u64) {
        self.sizes.push(size);
    }

    fn check(self, disk: &impl Disk) -> Result<(), DiskError> {
        let Self { directory, tree, sizes, files: others } = self;
        let Space { bytes, files, block } = disk.space(&directory).map_err(|source| DiskError::Replace {
            path: tree.clone(),
            operation: Operation::Inspect,
            source,
        })?;
        // Each file ends in a block that is not full, and its entry may take a new block of the directory.
        let rounded = |size: u64| size.div_ceil(block).saturating_add(1).saturating_mul(block);
        let needed = sizes.iter().copied().map(rounded).fold(0, u64::saturating_add);
        if needed > bytes {
            return Err(DiskError::NoRoom { directory: tree, unit: Unit::Bytes, needed, available: bytes });
        }
        let needed = others.saturating_add(sizes.len() as u64);
        match files {
            Some(available) if needed > available => {
                Err(DiskError::NoRoom { directory: tree, unit: Unit::Files, needed, available })
            }
            _ => Ok(()),
        }
    }
}

/// Returns the nearest directory that exists, at or above the state directory.
fn existing(state: &State, root: &Root, disk: &impl Disk) -> Result<(PathBuf, TreePath), DiskError> {
    let mut at = state.path().clone();
    loop {
        let host = root.host(&at);
        let found = disk.stat(&host).map_err(|source| state.failed(&host, Operation::Inspect, source))?;
        if found.is_some() || at.parts().next().is_none() {
            return Ok((host, at));
        }
        at = at.parent();
    }
}

/// The bytes that a file takes in the journal and in the manifest, with room for long paths.
const RECORD: u64 = 1024;

/// The bytes that journal, manifest and the directories of a backup take: many times what they take as a rule.
const RECORDS: u64 = 64 * 1024;

/// The files and directories of those: journal, manifest, the state directory and what is above and in it, and those of a
/// backup, of which an unusual tree has more.
const RECORD_FILES: u64 = 32;

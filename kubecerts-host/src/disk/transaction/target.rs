//! What a run finds at its paths, and where it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::{FileContent, ReadProblem};

use super::super::backup::BACKUP_FILE_LIMIT;
use super::super::journal::{Entry, PREFIX};
use super::super::read::{Stamp, read};
use super::super::root::problem;
use super::super::thing::Thing;
use super::super::{
    Disk, DiskError, Existence, Held, Kind, Labels, Operation, Owner, Resolved, Root, home, safety,
};
use super::{Becomes, Item, Reach};

/// A target that may be replaced.
#[derive(Debug)]
pub(in crate::disk) struct Target<'a> {
    pub(in crate::disk) item: &'a Item<'a>,
    pub(in crate::disk) tree: TreePath,
    pub(in crate::disk) before: Option<Old>,
    pub(super) hosts: Hosts,
    pub(super) directory_owner: Option<Owner>,
    /// The file system.
    pub(in crate::disk) device: u64,
    /// What the paths of `hosts` go through, if anything.
    _held: Option<Held>,
}

/// What a target is now.
#[derive(Debug)]
pub(in crate::disk) struct Old {
    pub(super) body: Body,
    pub(super) stamp: Stamp,
}

/// The content of a target.
#[derive(Debug)]
pub(super) enum Body {
    File { content: FileContent, labels: Labels, owner: Owner },
    Link { target: String },
}

/// Where the files of an entry lie on this machine.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) directory: PathBuf,
    pub(super) target: PathBuf,
    pub(super) temporary: PathBuf,
    pub(super) kept: PathBuf,
}

impl Target<'_> {
    pub(in crate::disk) fn directory(&self) -> &Path {
        &self.hosts.directory
    }
}

impl Old {
    /// Returns how many bytes its backup takes.
    pub(in crate::disk) fn size(&self) -> u64 {
        match &self.body {
            Body::File { content, .. } => content.secret_bytes().len() as u64,
            Body::Link { .. } => 0,
        }
    }

    pub(super) fn thing(&self) -> Thing {
        match &self.body {
            Body::File { content, .. } => Thing::File(content.digest()),
            Body::Link { target } => Thing::Link(target.clone()),
        }
    }

    /// Returns owner and labels that a new file takes over.
    pub(super) const fn facts(&self) -> Option<(Owner, &Labels)> {
        match &self.body {
            Body::File { labels, owner, .. } => Some((*owner, labels)),
            Body::Link { .. } => None,
        }
    }
}

/// Returns the targets of all items, in order, provided that every single one may be replaced.
pub(super) fn check<'a>(
    items: &'a [Item<'a>],
    root: &Root,
    disk: &impl Disk,
) -> Result<Vec<Target<'a>>, DiskError> {
    let mut seen: BTreeMap<TreePath, &TreePath> = BTreeMap::new();
    let mut trusted: BTreeSet<TreePath> = BTreeSet::new();
    let mut targets = Vec::with_capacity(items.len());
    for item in items {
        let target = check_one(item, root, disk)?;
        if let Some(earlier) = seen.insert(target.tree.clone(), item.path) {
            return Err(DiskError::SameTarget { path: earlier.clone(), other: item.path.clone() });
        }
        if item.reach != Reach::Home && trusted.insert(target.tree.parent()) {
            safety::only_owner_writes(&target.tree.parent(), item.path, root, disk)?;
            safety::only_owner_writes(&item.path.parent(), item.path, root, disk)?;
        }
        targets.push(target);
    }
    Ok(targets)
}

fn check_one<'a>(item: &'a Item<'a>, root: &Root, disk: &impl Disk) -> Result<Target<'a>, DiskError> {
    let path = item.path;
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let Place { resolved, held } = place(item, root, disk)?;
    let before = old(item, &resolved, disk)?;
    let found = expected(item, before.as_ref(), root, disk)?;
    if found != item.expected {
        return Err(DiskError::Stale { path: path.clone(), expected: item.expected, found });
    }
    if resolved.existence == Existence::NoDirectory {
        return Err(DiskError::NoDirectory { path: path.clone() });
    }
    if let (Some(held), Some((owner, _))) = (&held, before.as_ref().and_then(Old::facts)) {
        home::only_user_writes(held, owner, path, root)?;
    }
    let Resolved { host, tree, .. } = resolved;
    let Some(directory) = host.parent().map(Path::to_owned) else {
        return Err(refused(ReadProblem::NotAFile("directory".to_owned())));
    };
    // The path of a directory that is held is a link of the kernel's to it.
    let stat = match held.as_ref().and_then(|held| held.way().last()) {
        Some((_, stat)) => Ok(Some(*stat)),
        None => disk.stat(&directory),
    };
    match stat {
        Ok(Some(stat)) if stat.kind == Kind::Directory => {
            let hosts = Hosts { directory, target: host, ..Hosts::default() };
            let directory_owner = Some(stat.owner);
            Ok(Target { item, tree, before, hosts, directory_owner, device: stat.device, _held: held })
        }
        Ok(_) => Err(DiskError::NoDirectory { path: path.clone() }),
        Err(error) => Err(refused(problem(&error))),
    }
}

/// Where an item is written to.
struct Place {
    resolved: Resolved,
    held: Option<Held>,
}

fn place(item: &Item<'_>, root: &Root, disk: &impl Disk) -> Result<Place, DiskError> {
    let Item { path, reach, becomes, .. } = item;
    let refused = |problem| DiskError::Refused { path: (*path).clone(), problem };
    if matches!(becomes, Becomes::Link { .. }) && *reach != Reach::Entry {
        return Err(refused(ReadProblem::Failed("a link is made at an entry itself".to_owned())));
    }
    let unheld = |resolved: Result<Resolved, ReadProblem>| {
        Ok(Place { resolved: resolved.map_err(refused)?, held: None })
    };
    match reach {
        Reach::Links => unheld(root.resolve(path, disk)),
        Reach::Entry => unheld(root.entry(path, disk)),
        Reach::Home => {
            let (held, tree) = home::hold(path, root, disk)?;
            let host = held.path().join(path.file_name());
            let tree = tree.join(path.file_name());
            let tree = tree.map_err(|error| refused(ReadProblem::Failed(error.to_string())))?;
            Ok(Place { resolved: Resolved { host, tree, existence: Existence::Present }, held: Some(held) })
        }
    }
}

/// Returns what is at the very place, a link included where it may be replaced.
fn old(item: &Item<'_>, resolved: &Resolved, disk: &impl Disk) -> Result<Option<Old>, DiskError> {
    let path = item.path;
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let failed = |operation| move |source| DiskError::Replace { path: path.clone(), operation, source };
    let link = match item.reach {
        Reach::Links => None,
        Reach::Entry | Reach::Home => disk
            .stat(&resolved.host)
            .map_err(failed(Operation::Inspect))?
            .filter(|stat| stat.kind == Kind::Link),
    };
    if let Some(stat) = link {
        if item.reach == Reach::Home {
            return Err(DiskError::LinkOnTheWay { path: path.clone(), link: resolved.tree.clone() });
        }
        let target = disk.read_link(&resolved.host).map_err(failed(Operation::ReadLink))?;
        let target = target
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| refused(ReadProblem::Failed("the target of the link is not UTF-8".to_owned())))?;
        return Ok(Some(Old { body: Body::Link { target }, stamp: Stamp::of(&stat) }));
    }
    let Some((content, stat)) = read(resolved, path, BACKUP_FILE_LIMIT, disk).map_err(refused)? else {
        return Ok(None);
    };
    let labels = disk.labels(&resolved.host).map_err(failed(Operation::ReadLabels))?;
    Ok(Some(Old { body: Body::File { content, labels, owner: stat.owner }, stamp: Stamp::of(&stat) }))
}

/// Returns what is read at the path of an item.
fn expected(
    item: &Item<'_>,
    before: Option<&Old>,
    root: &Root,
    disk: &impl Disk,
) -> Result<Expected, DiskError> {
    match before.map(|old| &old.body) {
        None => Ok(Expected::Absent),
        Some(Body::File { content, .. }) => Ok(Expected::Content(content.digest())),
        // A plan is made for the content that is found, not for the text of a link on the way to it.
        Some(Body::Link { .. }) => {
            let found = root
                .resolve(item.path, disk)
                .and_then(|behind| read(&behind, item.path, BACKUP_FILE_LIMIT, disk));
            match found {
                Ok(found) => {
                    Ok(found.map_or(Expected::Absent, |(content, _)| Expected::Content(content.digest())))
                }
                // It is replaced and not followed, wherever it leads.
                Err(
                    ReadProblem::DanglingLink { .. } | ReadProblem::LeavesRoot { .. } | ReadProblem::LinkLoop,
                ) => Ok(Expected::Absent),
                Err(problem) => Err(DiskError::Refused { path: item.path.clone(), problem }),
            }
        }
    }
}

/// Returns the journal's entries of all targets, whose temporary files get their names from `token`.
pub(super) fn entries(targets: &mut [Target<'_>], token: u64) -> Result<Vec<Entry>, DiskError> {
    let mut entries = Vec::with_capacity(targets.len());
    for (index, target) in targets.iter_mut().enumerate() {
        let name = |end: &str| format!("{PREFIX}{token:016x}{index:04x}.{end}");
        let beside = |end: &str| {
            target.tree.parent().join(&name(end)).map_err(|error| DiskError::Refused {
                path: target.item.path.clone(),
                problem: ReadProblem::Failed(error.to_string()),
            })
        };
        let (temporary, kept) = (beside("new")?, beside("old")?);
        target.hosts.temporary = target.hosts.directory.join(name("new"));
        target.hosts.kept = target.hosts.directory.join(name("old"));
        entries.push(Entry {
            path: target.item.path.clone(),
            target: target.tree.clone(),
            temporary,
            kept,
            before: target.before.as_ref().map(Old::thing),
            after: match &target.item.becomes {
                Becomes::Nothing => None,
                Becomes::File { content, .. } => Some(Thing::File(Digest::of(content))),
                Becomes::Link { target } => Some(Thing::Link((*target).to_owned())),
            },
        });
    }
    Ok(entries)
}

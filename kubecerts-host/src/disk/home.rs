//! Files that lie in directories of users.
//!
//! Whoever owns a directory can put a link in the place of a file or of another directory, at any moment of a run by root.
//! So no link is followed, every directory is opened from the one above it, and what was opened is what is written to.

use std::path::Path;

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;

use super::root::problem;
use super::{Disk, DiskError, Existence, Held, Kind, Owner, Root, Stat};

/// Holds the directory of `path`, and returns it with its path behind the links that may be followed.
pub(super) fn hold(path: &TreePath, root: &Root, disk: &impl Disk) -> Result<(Held, TreePath), DiskError> {
    let failed = |problem| DiskError::Refused { path: path.clone(), problem };
    let refused = |error: &dyn std::fmt::Display| failed(ReadProblem::Failed(error.to_string()));
    let directory = path.parent();
    let home = home(&directory);
    // `/home` may have been moved to another disk, and so may the home of one user.
    let resolved = root.resolve(&home, disk).map_err(failed)?;
    if resolved.existence != Existence::Present {
        return Err(DiskError::NoDirectory { path: path.clone() });
    }
    if resolved.tree != home {
        only_root_moves(&home, path, root, disk)?;
    }
    let below = directory.parts().skip(home.parts().count());
    let mut tree = resolved.tree;
    for part in below {
        tree = tree.join(part).map_err(|error| refused(&error))?;
    }
    let host = root.host(&tree);
    match disk.hold(&host) {
        Ok(held) => Ok((held, tree)),
        Err(error) => Err(link_on(&tree, root, disk).map_or_else(
            || failed(problem(&error)),
            |link| DiskError::LinkOnTheWay { path: path.clone(), link },
        )),
    }
}

/// Refuses directories that others than root and `owner` may write to.
///
/// A group with the number of its user, as `useradd` makes it, counts as that user.
pub(super) fn only_user_writes(
    held: &Held,
    owner: Owner,
    path: &TreePath,
    root: &Root,
) -> Result<(), DiskError> {
    let own = [0, rustix::process::geteuid().as_raw(), owner.uid];
    let way = held.way();
    // What lies above the root is none of the node's.
    let first = way.iter().position(|(host, _)| host == root.directory()).unwrap_or_default();
    for (index, (host, stat)) in way.iter().enumerate().skip(first) {
        let below = host.strip_prefix(root.directory()).ok().and_then(Path::to_str).unwrap_or_default();
        let directory = TreePath::parse(&format!("/{below}"));
        let directory = directory.map_err(|error| DiskError::Refused {
            path: path.clone(),
            problem: ReadProblem::Failed(error.to_string()),
        })?;
        let Stat { mode, owner: Owner { uid, gid }, .. } = *stat;
        if !own.contains(&uid) {
            return Err(DiskError::OthersDirectory { path: path.clone(), directory, uid });
        }
        let is_private = gid == 0 || (gid == uid && uid == owner.uid);
        let others = if is_private { 0o002 } else { 0o022 };
        // In a sticky directory nobody renames the entries of others.
        let is_sticky = mode & 0o1000 != 0 && index + 1 != way.len();
        if mode & others != 0 && !is_sticky {
            return Err(DiskError::OpenDirectory { path: path.clone(), directory, mode });
        }
    }
    Ok(())
}

/// Returns the home that `directory` lies in.
fn home(directory: &TreePath) -> TreePath {
    let depth = if directory.parts().next() == Some("home") { 2 } else { 1 };
    let mut home = directory.clone();
    for _ in depth..directory.parts().count() {
        home = home.parent();
    }
    home
}

/// Refuses a link to a home that others than root may have made.
fn only_root_moves(home: &TreePath, path: &TreePath, root: &Root, disk: &impl Disk) -> Result<(), DiskError> {
    let mut above = home.clone();
    while above.parts().next().is_some() {
        above = above.parent();
        let failed = |problem| DiskError::Refused { path: path.clone(), problem };
        let resolved = root.resolve(&above, disk).map_err(failed)?;
        let found = disk.stat(&resolved.host).map_err(|error| failed(problem(&error)))?;
        let Some(Stat { mode, owner, .. }) = found else { continue };
        let others = if owner.gid == 0 { 0o002 } else { 0o022 };
        if ![0, rustix::process::geteuid().as_raw()].contains(&owner.uid) || mode & others != 0 {
            return Err(DiskError::LinkOnTheWay { path: path.clone(), link: home.clone() });
        }
    }
    Ok(())
}

/// Returns the first link on the way to `tree`.
fn link_on(tree: &TreePath, root: &Root, disk: &impl Disk) -> Option<TreePath> {
    let mut way = vec![tree.clone()];
    while let Some(at) = way.last().filter(|at| at.parts().next().is_some()) {
        way.push(at.parent());
    }
    let is_link = |at: &TreePath| {
        disk.stat(&root.host(at)).is_ok_and(|found| found.is_some_and(|stat| stat.kind == Kind::Link))
    };
    way.into_iter().rev().find(is_link)
}

//! What differs between the node and a backup.

use std::path::PathBuf;

use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, ReadProblem};

use super::super::read::read as read_file;
use super::super::root::problem;
use super::super::transaction::Reach;
use super::super::{Disk, DiskError, Kind, Operation, Owner, Resolved, Root, State, home};
use super::restore::{Difference, Restored, Then};
use super::{BACKUP_FILE_LIMIT, Entry, Manifest, Node, read};

/// Returns how a path differs from the backup, if it does.
pub(super) fn compare(
    manifest: &Manifest,
    entry: &Entry,
    root: &Root,
    state: &State,
    disk: &impl Disk,
) -> Result<Option<Restored>, DiskError> {
    let Entry { path, reach, node } = entry;
    let target = match node {
        Node::File { mode, .. } => {
            let wrong = || DiskError::Backup {
                id: manifest.id.clone(),
                problem: format!("the labels of {path} are no hexadecimal digits"),
            };
            let (owner, labels) = node.facts().ok_or_else(wrong)?;
            let content = read(manifest, entry, state, disk)?;
            Some(Then::File { content, mode: *mode, owner, labels })
        }
        Node::Link { target } => Some(Then::Link { target: target.clone() }),
        Node::Absent | Node::Directory { .. } => None,
    };
    let Now { host, link, content } = now(path, *reach, root, disk)?;
    let difference = match (&link, &content, &target) {
        (None, None, None) => return Ok(None),
        (None, None, Some(_)) => Difference::Missing,
        (Some(_), _, None) | (None, Some(_), None) => Difference::Extra,
        (Some(now), _, Some(Then::Link { target })) if now == target => return Ok(None),
        (Some(_), _, Some(_)) | (None, Some(_), Some(Then::Link { .. })) => Difference::Link,
        (None, Some(now), Some(Then::File { content, mode, owner, labels })) => {
            if now.secret_bytes() == content.secret_bytes() {
                let found = disk.labels(&host).map_err(|source| DiskError::Replace {
                    path: path.clone(),
                    operation: Operation::ReadLabels,
                    source,
                })?;
                let found = (now.meta().mode, Owner { uid: now.meta().uid, gid: now.meta().gid }, &found);
                if found == (*mode, *owner, labels) {
                    return Ok(None);
                }
                Difference::Facts
            } else {
                Difference::Content
            }
        }
    };
    let expected = content.as_ref().map_or(Expected::Absent, |now| Expected::Content(now.digest()));
    let current = content.filter(|_| link.is_none()).map(|now| SecretBytes::new(now.secret_bytes().to_vec()));
    Ok(Some(Restored { path: path.clone(), reach: *reach, difference, current, expected, target, host }))
}

/// What is at a path now.
struct Now {
    /// Where it is, on this machine.
    host: PathBuf,
    /// The text of the link that is there, unless links are followed.
    link: Option<String>,
    /// What is read there.
    content: Option<FileContent>,
}

fn now(path: &TreePath, reach: Reach, root: &Root, disk: &impl Disk) -> Result<Now, DiskError> {
    let refused = |problem| DiskError::Refused { path: path.clone(), problem };
    let behind = || root.resolve(path, disk);
    let resolved = match reach {
        Reach::Links => behind().map_err(refused)?,
        Reach::Entry => root.entry(path, disk).map_err(refused)?,
        Reach::Home => {
            let (held, tree) = home::hold(path, root, disk)?;
            let host = held.path().join(path.file_name());
            let found = Resolved { host, existence: super::super::Existence::Present, tree };
            let content = read_file(&found, path, BACKUP_FILE_LIMIT, disk).map_err(refused)?;
            // The directory is let go here: what is compared is shown, and what is written is looked at again.
            let host = root.host(&found.tree).join(path.file_name());
            return Ok(Now { host, link: None, content: content.map(|(content, _)| content) });
        }
    };
    let stat = disk.stat(&resolved.host).map_err(|error| refused(problem(&error)))?;
    if stat.is_none_or(|stat| stat.kind != Kind::Link) {
        let content = read_file(&resolved, path, BACKUP_FILE_LIMIT, disk).map_err(refused)?;
        return Ok(Now { host: resolved.host, link: None, content: content.map(|(content, _)| content) });
    }
    let text = disk.read_link(&resolved.host).map_err(|error| refused(problem(&error)))?;
    let content = match behind().and_then(|behind| read_file(&behind, path, BACKUP_FILE_LIMIT, disk)) {
        Ok(found) => found.map(|(content, _)| content),
        Err(ReadProblem::DanglingLink { .. } | ReadProblem::LeavesRoot { .. } | ReadProblem::LinkLoop) => {
            None
        }
        Err(problem) => return Err(refused(problem)),
    };
    Ok(Now { host: resolved.host, link: Some(text.to_string_lossy().into_owned()), content })
}

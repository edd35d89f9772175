//! Inodes, and the steps that change them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Errno;
use crate::disk::{Kind, Labels, Owner, Stat};

/// All inodes of a disk at one time.
///
/// Clones share the nodes until one of them changes its own.
#[derive(Clone)]
pub(super) struct Tree(BTreeMap<Inode, Arc<Node>>);

impl Tree {
    pub(super) fn new(root: Node) -> Self {
        Self(BTreeMap::from([(ROOT, Arc::new(root))]))
    }

    pub(super) fn add(&mut self, inode: Inode, node: Arc<Node>) {
        self.0.insert(inode, node);
    }

    /// Takes a step, as far as it makes sense without those before it.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Enter { directory, name, inode } => self.enter(*directory, name, *inode),
            Step::Leave { directory, name } => self.leave(*directory, name),
            Step::Move { from, to, inode } => {
                self.leave(from.directory, &from.name);
                self.enter(to.directory, &to.name, *inode);
            }
            Step::Facts { inode, facts } => {
                if let Some(node) = self.node_mut(*inode) {
                    node.facts = facts.clone();
                }
            }
            Step::Content { inode, bytes, modified } => {
                if let Some(node) = self.node_mut(*inode) {
                    node.body = Body::File(Arc::clone(bytes));
                    node.modified = *modified;
                }
            }
        }
    }

    /// Forgets what has no name, as a check of the file system would.
    ///
    /// A directory that has two names, because a rename was lost and the next one was not, keeps one of them.
    pub(super) fn prune(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        let mut rest = vec![ROOT];
        while let Some(directory) = rest.pop() {
            let Some(Body::Directory(entries)) = self.0.get(&directory).map(|node| &node.body) else {
                continue;
            };
            let mut surplus = Vec::new();
            for (name, inode) in entries {
                let is_directory = self.0.get(inode).is_some_and(|node| node.kind() == Kind::Directory);
                match (named.insert(*inode), is_directory) {
                    (true, true) => rest.push(*inode),
                    (false, true) => surplus.push(Arc::clone(name)),
                    (_, false) => {}
                }
            }
            for name in surplus {
                self.leave(directory, &name);
            }
        }
        self.0.retain(|inode, _| named.contains(inode));
    }

    pub(super) fn node(&self, inode: Inode) -> Result<&Node, Errno> {
        self.0.get(&inode).map(|node| &**node).ok_or(Errno::BadHandle)
    }

    pub(super) fn entries(&self, directory: Inode) -> Result<&Entries, Errno> {
        match &self.node(directory)?.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::NotADirectory),
        }
    }

    pub(super) fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<Inode>, Errno> {
        Ok(self.entries(directory)?.get(name).copied())
    }

    /// Returns what is at `path`. No link is followed.
    pub(super) fn find(&self, path: &Path) -> Result<Option<Inode>, Errno> {
        if !path.is_absolute() {
            return Err(Errno::Invalid);
        }
        let mut found = Some(ROOT);
        for component in path.components() {
            let name = match component {
                Component::RootDir => continue,
                Component::Normal(name) => name,
                _ => return Err(Errno::Invalid),
            };
            let Some(directory) = found else { return Ok(None) };
            found = self.entry(directory, name)?;
        }
        Ok(found)
    }

    /// Returns the place of `path`, whether there is something or not.
    pub(super) fn place(&self, path: &Path) -> Result<Place, Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::Busy) };
        let directory = self.find(parent)?.ok_or(Errno::NotFound)?;
        self.entries(directory)?;
        Ok(Place { directory, name: name.into() })
    }

    /// Calls `look` with everything that has a name, under each of its names.
    pub(super) fn visit<'t>(&'t self, mut look: impl FnMut(&Path, Inode, &'t Node)) {
        let mut rest = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, inode)) = rest.pop() {
            let Some(node) = self.0.get(&inode) else { continue };
            look(&path, inode, node);
            if let Body::Directory(entries) = &node.body {
                rest.extend(entries.iter().map(|(name, inode)| (path.join(&**name), *inode)));
            }
        }
    }

    fn enter(&mut self, directory: Inode, name: &Arc<OsStr>, inode: Inode) {
        if let Some(Body::Directory(entries)) = self.node_mut(directory).map(|node| &mut node.body) {
            entries.insert(Arc::clone(name), inode);
        }
    }

    fn leave(&mut self, directory: Inode, name: &OsStr) {
        if let Some(Body::Directory(entries)) = self.node_mut(directory).map(|node| &mut node.body) {
            entries.remove(name);
        }
    }

    fn node_mut(&mut self, inode: Inode) -> Option<&mut Node> {
        self.0.get_mut(&inode).map(Arc::make_mut)
    }
}

/// The number of an inode, unique over all file systems of a disk.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Inode(pub(super) u64);

/// The root directory; the number is that of ext4.
pub(super) const ROOT: Inode = Inode(2);

/// What an inode holds.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) facts: Facts,
    pub(super) body: Body,
    pub(super) modified: i64,
    pub(super) device: u64,
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Directory(_) => Kind::Directory,
            Body::Link(_) => Kind::Link,
            Body::Special(kind) => kind,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.body {
            Body::File(bytes) => bytes.len() as u64,
            Body::Link(target) => target.as_os_str().as_bytes().len() as u64,
            Body::Directory(_) | Body::Special(_) => 0,
        }
    }

    pub(super) fn stat(&self, inode: Inode) -> Stat {
        Stat {
            kind: self.kind(),
            mode: self.facts.mode,
            owner: self.facts.owner,
            size: self.size(),
            device: self.device,
            inode: inode.0,
            modified: (self.modified, 0),
            changed: (self.modified, 0),
        }
    }
}

#[derive(Clone)]
pub(super) struct Facts {
    pub(super) mode: u32,
    pub(super) owner: Owner,
    pub(super) labels: Arc<Labels>,
}

#[derive(Clone)]
pub(super) enum Body {
    File(Arc<[u8]>),
    Directory(Entries),
    Link(PathBuf),
    Special(Kind),
}

pub(super) type Entries = BTreeMap<Arc<OsStr>, Inode>;

/// A name in a directory.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) directory: Inode,
    pub(super) name: Arc<OsStr>,
}

/// A change that happens as a whole or not at all.
pub(super) enum Step {
    Enter {
        directory: Inode,
        name: Arc<OsStr>,
        inode: Inode,
    },
    Leave {
        directory: Inode,
        name: Arc<OsStr>,
    },
    Move {
        from: Place,
        to: Place,
        inode: Inode,
    },
    /// An inode is written as a whole: what survives is the mode, owner and labels of one time.
    Facts {
        inode: Inode,
        facts: Facts,
    },
    /// All of the content, not only what was added.
    Content {
        inode: Inode,
        bytes: Arc<[u8]>,
        modified: i64,
    },
}

impl Step {
    /// Returns whether flushing `directory` confirms it.
    pub(super) fn is_entry_of(&self, directory: Inode) -> bool {
        match self {
            Self::Enter { directory: changed, .. } | Self::Leave { directory: changed, .. } => {
                *changed == directory
            }
            Self::Move { from, to, .. } => from.directory == directory || to.directory == directory,
            Self::Facts { .. } | Self::Content { .. } => false,
        }
    }

    /// Returns whether flushing the file `file` confirms it.
    pub(super) fn is_part_of(&self, file: Inode) -> bool {
        match self {
            Self::Facts { inode, .. } | Self::Content { inode, .. } => *inode == file,
            Self::Enter { .. } | Self::Leave { .. } | Self::Move { .. } => false,
        }
    }
}

//! The world of a test, which is on the medium from the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SimDisk;
use super::tree::{Body, Facts, Inode, Node, Place, Step};
use crate::disk::{Kind, Labels, Owner};

/// The world before the test, and what somebody else does to it meanwhile. None of this is an operation: nothing is
/// counted, and nothing fails by the script.
impl SimDisk {
    /// Puts a file at `path`, on the medium at once, whatever was there; missing directories are made with mode 0755.
    ///
    /// A file that is there keeps its inode, owner and labels.
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_file(&mut self, path: impl AsRef<Path>, content: impl AsRef<[u8]>, mode: u32) {
        let (path, content) = (path.as_ref(), content.as_ref());
        let place = self.make_way(path);
        let present = self.present(&place).filter(|(_, node)| node.kind() == Kind::File);
        let Some((inode, facts)) = present.map(|(inode, node)| (inode, node.facts.clone())) else {
            self.put(&place, Body::File(content.into()), mode);
            return;
        };
        self.clock += 1;
        self.put_step(Step::Facts { inode, facts: Facts { mode, ..facts } });
        self.put_step(Step::Content { inode, bytes: content.into(), modified: self.clock });
    }

    /// Puts a directory at `path`, on the medium at once; a directory that is there gets the mode and keeps the rest.
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_directory(&mut self, path: impl AsRef<Path>, mode: u32) {
        let place = self.make_way(path.as_ref());
        let present = self.present(&place).filter(|(_, node)| node.kind() == Kind::Directory);
        match present.map(|(inode, node)| (inode, node.facts.clone())) {
            Some((inode, facts)) => self.put_step(Step::Facts { inode, facts: Facts { mode, ..facts } }),
            None => self.put(&place, Body::Directory(BTreeMap::new()), mode),
        }
    }

    /// Puts a symbolic link to `target` at `path`, on the medium at once, whatever was there.
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_link(&mut self, path: impl AsRef<Path>, target: impl Into<PathBuf>) {
        let place = self.make_way(path.as_ref());
        self.put(&place, Body::Link(target.into()), 0o777);
    }

    /// Puts something at `path` that is neither file, directory nor link, such as a [`Kind::Pipe`].
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_special(&mut self, path: impl AsRef<Path>, kind: Kind, mode: u32) {
        let place = self.make_way(path.as_ref());
        self.put(&place, Body::Special(kind), mode);
    }

    /// Puts an empty directory at `path` that is a file system of its own, with the number `device`: nothing can be
    /// renamed or linked into it or out of it.
    ///
    /// The file system of the root has the number 1. The room on both is one.
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_mount(&mut self, path: impl AsRef<Path>, device: u64) {
        let place = self.make_way(path.as_ref());
        let node = Node { device, ..self.new_node(&place, Body::Directory(BTreeMap::new()), 0o755) };
        self.put_node(&place, node);
    }

    /// Gives what is at `path` to `owner`, on the medium at once.
    ///
    /// # Panics
    /// When there is nothing.
    pub fn put_owner(&mut self, path: impl AsRef<Path>, owner: Owner) {
        let (inode, facts) = self.facts(path.as_ref());
        self.put_step(Step::Facts { inode, facts: Facts { owner, ..facts } });
    }

    /// Gives what is at `path` these labels and no others, on the medium at once.
    ///
    /// # Panics
    /// When there is nothing.
    pub fn put_labels(&mut self, path: impl AsRef<Path>, labels: Labels) {
        let (inode, facts) = self.facts(path.as_ref());
        self.put_step(Step::Facts { inode, facts: Facts { labels: Arc::new(labels), ..facts } });
    }

    /// Takes away what is at `path` with everything in it, on the medium at once.
    ///
    /// # Panics
    /// When a directory on the way is something else.
    pub fn put_nothing(&mut self, path: impl AsRef<Path>) {
        let Place { directory, name } = self.make_way(path.as_ref());
        self.put_step(Step::Leave { directory, name });
    }

    /// Takes a step that no crash undoes.
    fn put_step(&mut self, step: Step) {
        self.live.apply(&step);
        self.medium.push_confirmed(step);
    }

    fn put(&mut self, place: &Place, body: Body, mode: u32) {
        let node = self.new_node(place, body, mode);
        self.put_node(place, node);
    }

    fn put_node(&mut self, Place { directory, name }: &Place, node: Node) {
        let inode = self.add(node);
        self.put_step(Step::Enter { directory: *directory, name: Arc::clone(name), inode });
    }

    /// Makes the directories above `path`.
    fn make_way(&mut self, path: &Path) -> Place {
        let missing = |parent: &&Path| matches!(self.live.find(parent), Ok(None));
        let missing: Vec<_> = path.ancestors().skip(1).take_while(missing).collect();
        for parent in missing.into_iter().rev() {
            let place = self.live.place(parent).expect("the directory above was found or has been made");
            self.put(&place, Body::Directory(BTreeMap::new()), 0o755);
        }
        self.live.place(path).unwrap_or_else(|error| panic!("cannot put anything at {path:?}: {error:?}"))
    }

    fn present(&self, Place { directory, name }: &Place) -> Option<(Inode, &Node)> {
        let inode = self.live.entry(*directory, name).ok()??;
        Some((inode, self.live.node(inode).ok()?))
    }

    fn facts(&self, path: &Path) -> (Inode, Facts) {
        let inode = self.live.find(path).ok().flatten();
        let found = inode.and_then(|inode| Some((inode, self.live.node(inode).ok()?.facts.clone())));
        found.unwrap_or_else(|| panic!("there is nothing at {path:?}"))
    }
}

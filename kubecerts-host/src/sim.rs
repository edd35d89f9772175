//! A disk in memory that loses what was not flushed, and fails when its script says so.
//!
//! [`SimDisk`] is for crash tests. Build a world with the `put_…` functions, give it a script of [`Fault`]s, run what
//! is to be tested, let the machine go down with [`SimDisk::crash`], and look at what is left. A clone is cheap, so that a
//! test can go through every operation of a run, and through many outcomes of each crash.
//!
//! # What a crash leaves
//!
//! Two states are kept: what processes see, and what the medium holds for certain. Between them stands the list of the
//! steps since then, in the order in which they were taken. [`Disk::sync`](crate::disk::Disk::sync) confirms the steps
//! that changed the file's content, mode, owner and labels; [`Disk::sync_directory`](crate::disk::Disk::sync_directory)
//! confirms those that changed the directory's entries. A crash keeps what is confirmed, and of everything else
//! whatever its [`Survival`] says. That is POSIX's promise and no more:
//!
//! * Flushing a file does not flush its name, and flushing a name does not flush the file: a file can come back under
//!   its name empty, torn, or full of zeros.
//! * The steps in directories survive independently of each other, each for itself. A rename whose file's creation was
//!   lost still leaves the new name; what has no name is gone, and so is everything in a directory without one.
//! * A symbolic link has its text from its first moment: what survives of it is the whole link or nothing.
//! * A rename is one step even between two directories. Flushing either of them therefore confirms it.
//! * A file that is written further keeps the bytes that were flushed before.
//! * A flush that failed cannot be repeated: Linux forgets what it could not write, and the next flush succeeds without
//!   having done anything. Only directories can be flushed again.
//!
//! After a crash everything is on the medium, and no file that was opened before can be used.
//!
//! # What fails
//!
//! The operations that can change something are numbered from 0, and so, separately, are those that only look. A
//! [`Fault`] names a number. [`SimDisk::log`] holds one line for each change, so that a number can be turned into words.
//!
//! # Example
//!
//! A file that is flushed before it takes the place of another one survives under every seed, as the old one or as the
//! new one; the rename itself is certain once the directory is flushed.
//!
//! ```
//! use std::path::Path;
//!
//! use kubecerts_host::disk::Disk;
//! use kubecerts_host::sim::{SimDisk, Survival};
//!
//! let (target, temporary) = (Path::new("/etc/ca.crt"), Path::new("/etc/ca.crt.tmp"));
//! let mut disk = SimDisk::new();
//! disk.put_file(target, "old", 0o644);
//!
//! let mut file = disk.create(temporary)?;
//! disk.write_all(b"new", &mut file)?;
//! disk.sync(&file)?;
//! disk.rename(temporary, target)?;
//! for seed in 0..100 {
//!     let mut disk = disk.clone();
//!     disk.crash(Survival::Seeded(seed));
//!     let (_, content) = &disk.files()[target];
//!     assert!([b"old", b"new"].contains(&content.as_ref().try_into()?));
//! }
//!
//! disk.sync_directory(Path::new("/etc"))?;
//! disk.crash(Survival::Nothing);
//! assert_eq!(*disk.files()[target].1, *b"new");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not model
//!
//! Permissions are kept but not enforced, except that only root gives files away. The times of directories do not move.
//! A link on the way to the last component is an error rather than followed: whoever uses a
//! [`Disk`](crate::disk::Disk) has to resolve links, and forgetting one would go unnoticed here otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Owner, Space, Stat};

mod errno;
pub use errno::Errno;

mod fault;
use fault::Script;
pub use fault::{Fault, Repeat};

mod medium;
use medium::Medium;
pub use medium::Survival;

mod operations;
pub use operations::SimFile;

mod tree;
use tree::{Body, Facts, Inode, Node, Place, ROOT, Step, Tree};

mod world;

/// A disk in memory; see the [module](self).
#[derive(Clone)]
pub struct SimDisk {
    /// What processes see.
    live: Tree,
    medium: Medium,
    script: Script,
    process: Owner,
    space: Space,
    capacity: Option<u64>,
    /// How often the machine went down. A handle of an earlier time is void.
    boot: u64,
    next_inode: u64,
    /// The time of the last change, in changes.
    clock: i64,
}

impl SimDisk {
    /// Returns a disk with nothing but a root directory, used by root.
    #[must_use]
    pub fn new() -> Self {
        let root = Node {
            facts: Facts { mode: 0o755, owner: ROOT_USER, labels: Arc::default() },
            body: Body::Directory(BTreeMap::new()),
            modified: 0,
            device: DEVICE,
        };
        let live = Tree::new(root);
        Self {
            medium: Medium::new(live.clone()),
            live,
            script: Script::default(),
            process: ROOT_USER,
            space: Space { bytes: 1 << 40, files: Some(1 << 20), block: BLOCK },
            capacity: None,
            boot: 0,
            next_inode: ROOT.0 + 1,
            clock: 0,
        }
    }

    /// Lets `owner` use the disk from now on. New files are theirs; they are privileged when the number is 0.
    pub fn set_user(&mut self, owner: Owner) {
        self.process = owner;
    }

    /// Sets what [`Disk::space`](crate::disk::Disk::space) says; nothing fails for it.
    ///
    /// The default is a large disk.
    pub fn set_space(&mut self, space: Space) {
        self.space = space;
        self.capacity = None;
    }

    /// Makes the disk `bytes` large: what does not fit fails with [`Errno::NoSpace`].
    ///
    /// Files and directories take whole blocks of 4096 bytes unless [`set_space`](Self::set_space) said otherwise, and
    /// at least one.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.capacity = Some(bytes);
    }

    /// Replaces the script, and numbers operations from 0 again with an empty log.
    ///
    /// Where several faults strike the same operation, the first one counts. A machine that is down stays so.
    pub fn set_faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.replace(faults.into_iter().collect());
    }

    /// Lets the machine go down, if it is not down already, and come up again with what `survival` leaves.
    ///
    /// What processes see is then what the medium holds. Open files cannot be used any more. The script is empty, but
    /// numbers and log go on until [`set_faults`](Self::set_faults).
    pub fn crash(&mut self, survival: Survival) {
        self.live = self.medium.crash(survival);
        self.boot += 1;
        self.script.restart();
    }

    /// Returns how many operations there were since the script was set. Those of a machine that is down do not count.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.changes() + self.reads()
    }

    /// Returns how many operations there were that can change something, failed ones included.
    ///
    /// They are all but those of [`reads`](Self::reads). Opening a file to append is one, because a disk that is
    /// read-only refuses it.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.script.log().len()
    }

    /// Returns how many operations there were that only look: `stat`, `read_link`, `list`, `read`, `digest`, `labels`,
    /// `space`, `hold` and `owner`.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.script.reads()
    }

    /// Returns the name and the path of each change, failed ones included; the index is the number of the change.
    ///
    /// The path of a rename or link is the new one; that of an open file is the one under which it was opened.
    #[must_use]
    pub fn log(&self) -> &[(&'static str, PathBuf)] {
        self.script.log()
    }

    /// Returns whether the machine went down by [`Fault::CrashAtChange`].
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.script.is_down()
    }

    /// Returns how many steps a crash could undo.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.medium.pending()
    }

    /// Returns mode and content of all regular files, as processes see them.
    ///
    /// This and [`entries`](Self::entries) are no operations: they are not counted and never fail.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, (u32, Arc<[u8]>)> {
        let mut files = BTreeMap::new();
        self.live.visit(|path, _, node| {
            if let Body::File(bytes) = &node.body {
                files.insert(path.to_owned(), (node.facts.mode, Arc::clone(bytes)));
            }
        });
        files
    }

    /// Returns the facts of everything there is, as processes see them, the root included.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<PathBuf, Stat> {
        let mut entries = BTreeMap::new();
        self.live.visit(|path, inode, node| {
            entries.insert(path.to_owned(), node.stat(inode));
        });
        entries
    }

    /// Takes a step that a crash may undo.
    fn step(&mut self, step: Step) {
        self.live.apply(&step);
        self.medium.push(step);
    }

    /// Makes a node on the file system of `place`.
    fn new_node(&mut self, place: &Place, body: Body, mode: u32) -> Node {
        self.clock += 1;
        let device = self.live.node(place.directory).map_or(DEVICE, |directory| directory.device);
        let facts = Facts { mode, owner: self.process, labels: Arc::default() };
        Node { facts, body, modified: self.clock, device }
    }

    /// Adds a node without a name, which is nothing to lose.
    fn add(&mut self, node: Node) -> Inode {
        let inode = Inode(self.next_inode);
        self.next_inode += 1;
        let node = Arc::new(node);
        self.live.add(inode, Arc::clone(&node));
        self.medium.add(inode, node);
        inode
    }

    /// Returns how many bytes fit into new blocks; `None` where there is no limit.
    fn room(&self) -> Option<u64> {
        let capacity = self.capacity?;
        let mut used = 0;
        // A file with two names is counted twice, which errs on the side of less room.
        self.live.visit(|_, _, node| used += self.blocks(node.size()) * self.block());
        Some(capacity.saturating_sub(used))
    }

    fn blocks(&self, size: u64) -> u64 {
        size.div_ceil(self.block()).max(1)
    }

    fn block(&self) -> u64 {
        self.space.block.max(1)
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

/// Contents may be secrets, so that none is shown.
impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("pending", &self.pending())
            .field("changes", &self.changes())
            .field("reads", &self.reads())
            .field("is_down", &self.is_down())
            .finish_non_exhaustive()
    }
}

const ROOT_USER: Owner = Owner { uid: 0, gid: 0 };
/// The number of the file system unless [`SimDisk::put_mount`] says otherwise.
const DEVICE: u64 = 1;
/// The block size of ext4 and XFS, in bytes.
const BLOCK: u64 = 4096;

#[cfg(test)]
mod tests;

//! What the medium holds, and what a crash makes of the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::tree::{Body, Inode, Node, Step, Tree};

/// What survives of the steps that were not flushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything, as if all had been flushed in the last moment.
    Everything,
    /// What this seed picks, as far as POSIX allows it.
    ///
    /// Each step in a directory survives or not, in some seeds most of them and in some few. A file has the mode, owner
    /// and labels of some time since it was flushed. Its content is the flushed one, or grows by a part of what was
    /// written, by all of it with zeros from somewhere on, or by all of it.
    Seeded(u64),
    /// All steps up to one that this seed picks, and none after it, as on a file system with a journal.
    ///
    /// A flush then confirms all earlier steps too. Contents are not in the journal: what was written before that step
    /// survives like in [`Seeded`](Self::Seeded).
    Prefix(u64),
}

/// What the medium holds for certain, and the steps since then.
#[derive(Clone)]
pub(super) struct Medium {
    tree: Tree,
    /// In the order in which they were taken. Confirmed ones stay behind those that are not, because a step that is
    /// replayed after a later one would undo it: a creation would bring back what was renamed away.
    steps: VecDeque<Pending>,
    /// The files of which Linux has forgotten what it could not write.
    forgotten: BTreeSet<Inode>,
}

impl Medium {
    pub(super) fn new(tree: Tree) -> Self {
        Self { tree, steps: VecDeque::new(), forgotten: BTreeSet::new() }
    }

    pub(super) fn add(&mut self, inode: Inode, node: Arc<Node>) {
        self.tree.add(inode, node);
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push_back(Pending { step: Arc::new(step), is_confirmed: false });
    }

    pub(super) fn push_confirmed(&mut self, step: Step) {
        self.steps.push_back(Pending { step: Arc::new(step), is_confirmed: true });
        self.fold();
    }

    pub(super) fn sync_file(&mut self, file: Inode) {
        if !self.forgotten.contains(&file) {
            self.confirm(|step| step.is_part_of(file));
        }
    }

    pub(super) fn sync_directory(&mut self, directory: Inode) {
        self.confirm(|step| step.is_entry_of(directory));
    }

    pub(super) fn fail_to_sync(&mut self, file: Inode) {
        if self.steps.iter().any(|pending| !pending.is_confirmed && pending.step.is_part_of(file)) {
            self.forgotten.insert(file);
        }
    }

    /// Replaces what is held for certain by what survives, and returns it.
    pub(super) fn crash(&mut self, survival: Survival) -> Tree {
        let mut crash = Crash::new(survival, &self.steps);
        for (number, pending) in std::mem::take(&mut self.steps).iter().enumerate() {
            crash.replay(number, pending, &mut self.tree);
        }
        crash.write(&mut self.tree);
        self.tree.prune();
        self.forgotten.clear();
        self.tree.clone()
    }

    pub(super) fn pending(&self) -> usize {
        self.steps.iter().filter(|pending| !pending.is_confirmed).count()
    }

    fn confirm(&mut self, is_flushed: impl Fn(&Step) -> bool) {
        for pending in &mut self.steps {
            pending.is_confirmed |= is_flushed(&pending.step);
        }
        self.fold();
    }

    fn fold(&mut self) {
        let certain = self.steps.iter().take_while(|pending| pending.is_confirmed).count();
        for pending in self.steps.drain(..certain) {
            self.tree.apply(&pending.step);
        }
    }
}

#[derive(Clone)]
struct Pending {
    step: Arc<Step>,
    is_confirmed: bool,
}

/// A crash, while the steps are replayed one by one.
struct Crash {
    survival: Survival,
    dice: Dice,
    /// How many steps survive a [`Survival::Prefix`].
    cut: usize,
    /// Out of eight steps in directories, so many survive a [`Survival::Seeded`].
    odds: u64,
    /// The last content of files that were written and not flushed.
    unflushed: BTreeMap<Inode, Arc<Step>>,
}

impl Crash {
    fn new(survival: Survival, steps: &VecDeque<Pending>) -> Self {
        let mut dice = Dice(match survival {
            Survival::Seeded(seed) | Survival::Prefix(seed) => seed,
            Survival::Nothing | Survival::Everything => 0,
        });
        let certain = steps.iter().rposition(|pending| pending.is_confirmed).map_or(0, |last| last + 1);
        Self {
            survival,
            cut: certain + dice.below(steps.len() - certain + 1),
            odds: [1, 4, 7][dice.below(3)],
            dice,
            unflushed: BTreeMap::new(),
        }
    }

    fn replay(&mut self, number: usize, Pending { step, is_confirmed }: &Pending, tree: &mut Tree) {
        let survives = *is_confirmed
            || match self.survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Seeded(_) => self.dice.roll(8) < self.odds,
                Survival::Prefix(_) => number < self.cut,
            };
        match (&**step, self.survival) {
            (Step::Content { inode, .. }, _) if *is_confirmed => {
                self.unflushed.remove(inode);
                tree.apply(step);
            }
            // How much of it survives is decided once per file, when its last content is known.
            (Step::Content { inode, .. }, Survival::Seeded(_)) => {
                self.unflushed.insert(*inode, Arc::clone(step));
            }
            (Step::Content { inode, .. }, Survival::Prefix(_)) if survives => {
                self.unflushed.insert(*inode, Arc::clone(step));
            }
            _ if survives => tree.apply(step),
            _ => {}
        }
    }

    /// Writes what survives of the contents that were not flushed.
    fn write(mut self, tree: &mut Tree) {
        for step in self.unflushed.values() {
            let Step::Content { inode, bytes: new, modified } = &**step else { continue };
            let Ok(Body::File(old)) = tree.node(*inode).map(|node| &node.body) else { continue };
            // Files only grow.
            let kept = old.len().min(new.len());
            let torn = kept + self.dice.below(new.len() - kept + 1);
            let bytes = match self.dice.below(4) {
                0 => continue,
                1 => new[..torn].into(),
                2 => {
                    let mut bytes = new.to_vec();
                    bytes[torn..].fill(0);
                    bytes.into()
                }
                _ => Arc::clone(new),
            };
            tree.apply(&Step::Content { inode: *inode, bytes, modified: *modified });
        }
    }
}

/// The generator splitmix64: good enough to spread seeds that are small and close to each other.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(sides as u64)).expect("it is less than a `usize`")
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

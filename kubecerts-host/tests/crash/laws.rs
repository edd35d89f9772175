//! What holds after a crash or a failure, wherever it struck.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use kubecerts_core::issue::Expected;
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_host::disk::backup::{self, Node};
use kubecerts_host::disk::recovery::{Outcome, Reason};
use kubecerts_host::disk::{Disk, DiskError, Owner};
use kubecerts_host::sim::{Errno, SimDisk};

use crate::world::{Image, Kept, Side, World};

/// The laws of a world.
pub(crate) struct Laws<'w> {
    pub(crate) world: &'w World,
    /// The state directories that were looked at already; the tree is one of two.
    tried: RefCell<BTreeSet<(Side, Kept)>>,
}

impl<'w> Laws<'w> {
    pub(crate) const fn of(world: &'w World) -> Self {
        Self { world, tried: RefCell::new(BTreeSet::new()) }
    }

    /// No file is ever anything but old or new, with the facts that belong to it.
    ///
    /// Recovers then, if there is anything to recover, and asserts everything that holds from then on.
    pub(crate) fn recovered(&self, disk: &mut SimDisk, context: &dyn Fn() -> String) -> Side {
        let world = self.world;
        let image = world.image(disk);
        let before = self.sides(&image, context);
        assert_eq!(world.broken_link(&image), None, "{}", context());
        let all = |wanted| before.iter().flatten().all(|side| *side == wanted);
        let interrupted = world.examine(disk).unwrap_or_else(|error| panic!("{}: {error}", context()));
        let recovered = interrupted.map(|interrupted| {
            // The reason agrees with the tree.
            let is_so = match interrupted.verdict().reason() {
                Reason::NotBegun | Reason::NotPrepared => all(Side::Old),
                Reason::Committed => all(Side::New),
                Reason::Ended => all(Side::Old) || all(Side::New),
                Reason::Prepared | Reason::Undoing(_) | Reason::NewFileGone(_) => true,
                other => panic!("{}: {other:?}", context()),
            };
            assert!(is_so, "{}: {:?}, {before:?}", context(), interrupted.verdict());
            let recovered = world.recover(&interrupted, disk);
            recovered.unwrap_or_else(|error| panic!("{}: {error}: {:?}", context(), error.source()))
        });
        let image = if recovered.is_some() { world.image(disk) } else { image };
        let side = self.side(&image, context);
        if let Some(recovered) = recovered {
            assert_eq!(recovered.outcome == Outcome::Finished, side == Side::New, "{}", context());
            let changed =
                world.writes.iter().zip(&before).filter(|(_, was)| was.is_some_and(|was| was != side));
            for (write, _) in changed {
                assert!(recovered.changed.contains(&write.path), "{}: {}", context(), write.path);
            }
        }
        assert!(matches!(world.examine(disk), Ok(None)), "{}", context());
        if self.tried.borrow_mut().insert((side, world.kept(disk))) {
            self.of_the_state(side, disk, context);
            self.of_the_next_run(side, disk, context);
        }
        side
    }

    /// Returns which side each target is on, asserting that it is on one.
    pub(crate) fn sides(&self, found: &Image, context: &dyn Fn() -> String) -> Vec<Option<Side>> {
        self.world.sides(found).unwrap_or_else(|problem| panic!("{}: {problem}", context()))
    }

    /// Returns which side the tree is on, asserting that it is on one.
    pub(crate) fn side(&self, found: &Image, context: &dyn Fn() -> String) -> Side {
        self.world.side(found).unwrap_or_else(|problem| panic!("{}: {problem}", context()))
    }

    /// The error of a run says what failed, where and why.
    pub(crate) fn of_the_error(&self, error: &DiskError, errno: Errno, context: &dyn Fn() -> String) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        let (path, operation) = match error {
            DiskError::Replace { path, operation, .. } | DiskError::State { path, operation, .. } => {
                (path.to_string(), format!("{operation} failed"))
            }
            // The operation is one that looks at the target.
            DiskError::Refused { path, .. } => (path.to_string(), "refused to replace".to_owned()),
            // What was written is read again.
            DiskError::Backup { problem, .. } => {
                let operation = ["cannot be read", "cannot be inspected"];
                let operation = operation.into_iter().find(|words| problem.contains(words));
                let path = problem.split(' ').find(|word| word.starts_with('/'));
                (path.unwrap().to_owned(), operation.unwrap().to_owned())
            }
            other => panic!("{}: {other:?}", context()),
        };
        assert!(text.contains(&path) && text.contains(&operation), "{}: {text}", context());
        let reason = io::Error::from(errno).to_string();
        let is_named = text.contains(&reason) || text.contains(&ReadProblem::PermissionDenied.to_string());
        assert!(is_named, "{}: {text}", context());
    }

    /// There is no journal, and every backup that counts is whole; a run that is done has one of all that it replaced.
    fn of_the_state(&self, side: Side, disk: &SimDisk, context: &dyn Fn() -> String) {
        let world = self.world;
        for (path, ..) in world.kept(disk) {
            let below = path.strip_prefix(world.state.directory()).unwrap();
            let is_known = ["", "audit", "backups"].iter().any(|name| match below.parent() {
                Some(above) if above.as_os_str().is_empty() => below.as_os_str() == *name,
                Some(_) => below.starts_with("audit") || below.starts_with("backups"),
                None => true,
            });
            assert!(is_known, "{}: {}", context(), path.display());
        }
        for listed in backup::list(&world.state, disk).unwrap() {
            if let Ok(manifest) = listed.manifest {
                let problems = backup::verify(&manifest, &world.state, disk);
                assert_eq!(problems, [] as [String; 0], "{}", context());
            }
        }
        if side == Side::New {
            self.of_the_backup(disk, context);
        }
    }

    fn of_the_backup(&self, disk: &SimDisk, context: &dyn Fn() -> String) {
        let world = self.world;
        let manifest = backup::find(None, &world.state, disk);
        let manifest = manifest.unwrap_or_else(|error| panic!("{}: {error}", context()));
        let (files, entries) = (world.disk.files(), world.disk.entries());
        for (write, target) in world.writes.iter().zip(&world.targets) {
            let entry = manifest.files.iter().find(|entry| entry.path == write.path).unwrap();
            match &entry.node {
                Node::File { mode, uid, gid, .. } => {
                    let content = backup::read(&manifest, entry, &world.state, disk).unwrap();
                    let stat = entries[target];
                    assert_eq!(content.secret_bytes(), &*files[target].1, "{}: {}", context(), write.path);
                    assert_eq!(
                        (*mode, Owner { uid: *uid, gid: *gid }),
                        (stat.mode, stat.owner),
                        "{}",
                        context()
                    );
                }
                Node::Absent => assert_eq!(write.expected, Expected::Absent, "{}", context()),
                Node::Link { target: text } => {
                    let old = world.disk.read_link(target).unwrap();
                    assert_eq!(old.to_str(), Some(text.as_str()), "{}: {}", context(), write.path);
                }
                other => panic!("{}: {other:?}", context()),
            }
        }
    }

    /// The next run succeeds, and leaves nothing behind of this one.
    fn of_the_next_run(&self, side: Side, disk: &SimDisk, context: &dyn Fn() -> String) {
        let world = self.world;
        let mut disk = disk.clone();
        let done = world.run_again(side, &mut disk);
        let done = done.unwrap_or_else(|error| panic!("{}: {error}: {:?}", context(), error.source()));
        assert_eq!(done.leftovers, [], "{}", context());
        let image = Image::of(&disk, &world.state);
        let wanted = match side {
            Side::Old => &world.new,
            Side::New => &world.newer,
        };
        let written: Vec<PathBuf> =
            done.replaced.iter().map(|one| PathBuf::from(one.target.as_str())).collect();
        let replaced = [&*world.targets, &*written].concat();
        assert_eq!(wanted.difference(&image, &replaced), None, "{}", context());
        for listed in backup::list(&world.state, &disk).unwrap() {
            let manifest = listed.manifest.unwrap_or_else(|error| panic!("{}: {error}", context()));
            assert_eq!(backup::verify(&manifest, &world.state, &disk), [] as [String; 0], "{}", context());
        }
        assert!(disk.stat(&world.journal()).unwrap().is_none(), "{}", context());
    }
}

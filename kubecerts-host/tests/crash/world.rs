//! Trees on a disk in memory, and what a run makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubecerts_core::catalog::Slot;
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{Change, Expected, issue};
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{Plan, PlanRequest, Selection, Step, plan};
use kubecerts_core::snapshot::{ScanRequest, Snapshot, collect};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_host::disk::recovery::{self, Interrupted, Recovered};
use kubecerts_host::disk::transaction::{self, Becomes, Done, Item, Purpose, Reach, Request};
use kubecerts_host::disk::{Disk, DiskError, Kind, Labels, Owner, Root, Stat, State, Tree};
use kubecerts_host::sim::SimDisk;
use kubecerts_testkit::{BorrowedKeys, Fixture, Seeded, at, path};

/// A path to write.
pub(crate) struct Write {
    pub(crate) path: TreePath,
    pub(crate) reach: Reach,
    pub(crate) expected: Expected,
    pub(crate) becomes: Option<New>,
}

/// What is to be at a path.
pub(crate) enum New {
    File(Vec<u8>, u32),
    Link(String),
}

impl Write {
    pub(crate) fn new(at: &str, before: Option<&str>, after: Option<(&str, u32)>) -> Self {
        Self {
            path: path(at),
            reach: Reach::Links,
            expected: before.map_or(Expected::Absent, |text| Expected::Content(Digest::of(text.as_bytes()))),
            becomes: after.map(|(text, mode)| New::File(text.as_bytes().to_vec(), mode)),
        }
    }

    /// Returns the new file `target`, and the link `at` to it.
    pub(crate) fn behind_link(at: &str, before: Option<&str>, target: &str, text: &str) -> [Self; 2] {
        let file = Self::new(target, None, Some((text, 0o600)));
        let link = Self { becomes: Some(New::Link(target.to_owned())), ..Self::new(at, before, None) };
        [file, link].map(|write| Self { reach: Reach::Entry, ..write })
    }

    pub(crate) fn in_home(at: &str, before: &str, after: &str) -> Self {
        Self { reach: Reach::Home, ..Self::new(at, Some(before), Some((after, 0o600))) }
    }

    fn of(change: &Change) -> Self {
        Self {
            path: change.path().clone(),
            expected: change.expected(),
            reach: Reach::Links,
            becomes: Some(New::File(change.secret_bytes().to_vec(), change.mode())),
        }
    }

    fn item(&self) -> Item<'_> {
        let becomes = match &self.becomes {
            Some(New::File(content, mode)) => Becomes::File { content, mode: *mode, facts: None },
            Some(New::Link(target)) => Becomes::Link { target },
            None => Becomes::Nothing,
        };
        Item { path: &self.path, reach: self.reach, expected: self.expected, becomes }
    }
}

/// A tree, the run that is to be interrupted, and the run after that.
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) root: Root,
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    /// The disk before the run.
    pub(crate) disk: SimDisk,
    /// What the run writes.
    pub(crate) writes: Vec<Write>,
    /// What the next run writes when this one was finished.
    pub(crate) next: Vec<Write>,
    /// The files behind the paths of `writes`.
    pub(crate) targets: Vec<PathBuf>,
    /// The identifier of the run.
    pub(crate) id: String,
    pub(crate) old: Image,
    pub(crate) new: Image,
    pub(crate) newer: Image,
    pub(crate) points: Points,
}

/// The numbers of some operations of a run that nothing disturbs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points {
    pub(crate) changes: usize,
    pub(crate) reads: usize,
    /// The writing and the flushing of the record `begin`.
    pub(crate) begun: (usize, usize),
    /// The same for `prepared`.
    pub(crate) prepared: (usize, usize),
    /// The same for `committed`.
    pub(crate) committed: (usize, usize),
    /// The same for `end`.
    pub(crate) ended: (usize, usize),
}

impl World {
    /// Returns the fixture `name`, of which everything is renewed.
    pub(crate) fn fixture(name: &'static str) -> Self {
        // One authority is valid for five minutes only, and another one is made later.
        let now = at(match name {
            "kubeadm-edge-expired-1.36.2" => "2026-11-21T23:46:00Z",
            _ => "2026-11-22T00:06:00Z",
        });
        let lender = match name {
            "kubeadm-v136-ecdsa-p256" => name,
            _ => "kubeadm-v136-rsa2048",
        };
        let lender = Fixture::named(lender);
        let mut disk = SimDisk::new();
        for (index, (path, content, mode)) in Fixture::named(name).tree().files().enumerate() {
            disk.put_file(path.as_str(), content, mode);
            // Whatever belongs to a file has to survive.
            if index % 3 == 0 {
                disk.put_owner(path.as_str(), Owner { uid: 1000, gid: 1000 });
            }
            if index % 2 == 0 {
                let label = b"system_u:object_r:kubernetes_file_t:s0\0".to_vec();
                disk.put_labels(path.as_str(), Labels([("security.selinux".to_owned(), label)].into()));
            }
        }
        let renewed = lender.renewed().expect("kubeadm renewed the tree of the lender");
        let scan = |disk: &SimDisk| {
            let mut request = ScanRequest::default();
            request.arguments.certificates = name.contains("custom-cert-dir").then(|| path("/opt/pki"));
            collect(&mut Tree::new(&root(), disk), request)
        };
        let slots = must_be_sound(&scan(&disk), now, name);
        let writes = renew_all(&scan(&disk), now, &mut BorrowedKeys::of(&renewed));
        let mut finished = disk.clone();
        let _ = run(&writes, now, &mut finished).expect("nothing disturbs the run");
        must_be_the_fixpoint(&scan(&finished), &slots, now, name);
        let later = now.plus(Seconds(1));
        let next = renew_all(&scan(&finished), later, &mut BorrowedKeys::of(&lender.tree()));
        let _ = run(&next, later, &mut finished).expect("nothing disturbs the run");
        must_be_the_fixpoint(&scan(&finished), &slots, now, name);
        Self::new(name, disk, writes, next, now)
    }

    /// Returns a tree in kubespray's manner, and a run with everything that a renewal does not do.
    pub(crate) fn odd() -> Self {
        let mut disk = SimDisk::new();
        for (path, mode) in [
            ("/etc/ssl/apiserver.key", 0o640),
            ("/etc/ssl/apiserver.crt", 0o644),
            ("/etc/ssl/gone.key", 0o600),
            ("/etc/ssl/same.crt", 0o666),
            ("/etc/ssl/bystander", 0o644),
            ("/var/lib/kubelet/pki/dated.pem", 0o600),
        ] {
            disk.put_file(path, format!("old {path}"), mode);
        }
        disk.put_link("/etc/pki", "ssl");
        disk.put_link("/var/lib/kubelet/pki/current.pem", "/var/lib/kubelet/pki/dated.pem");
        disk.put_directory("/etc/ssl/etcd", 0o700);
        disk.put_owner("/etc/ssl/etcd", Owner { uid: 77, gid: 88 });
        disk.put_owner("/etc/ssl/same.crt", Owner { uid: 7, gid: 8 });
        let same = "old /etc/ssl/same.crt";
        let (dated, current) = ("old /var/lib/kubelet/pki/dated.pem", "/var/lib/kubelet/pki/current.pem");
        let writes = vec![
            Write::new("/etc/pki/apiserver.key", Some("old /etc/ssl/apiserver.key"), Some(("key", 0o600))),
            Write::new("/etc/ssl/apiserver.crt", Some("old /etc/ssl/apiserver.crt"), Some(("crt", 0o644))),
            Write::new("/etc/pki/etcd/server.crt", None, Some(("created", 0o644))),
            Write::new("/etc/ssl/gone.key", Some("old /etc/ssl/gone.key"), None),
            Write::new("/etc/ssl/same.crt", Some(same), Some((same, 0o644))),
            Write::new("/etc/ssl/never.crt", None, None),
            Write::new(current, Some(dated), Some(("dated", 0o600))),
        ];
        let next = vec![
            Write::new("/etc/pki/apiserver.key", Some("key"), Some(("newer key", 0o600))),
            Write::new("/etc/pki/etcd/server.crt", Some("created"), None),
            Write::new("/etc/ssl/gone.key", None, Some(("back", 0o600))),
            Write::new(current, Some("dated"), Some(("newer dated", 0o600))),
        ];
        Self::new("odd", disk, writes, next, at("2026-11-22T00:06:00Z"))
    }

    /// Returns the kubelet's credential behind its link, as it is and as it may have come to be, and a copy in a home.
    pub(crate) fn linked() -> Self {
        let mut disk = SimDisk::new();
        let pki = |name: &str| format!("/var/lib/kubelet/pki/{name}");
        disk.put_file(pki("one.pem"), "old one", 0o600);
        disk.put_link(pki("current.pem"), pki("one.pem"));
        disk.put_file("/etc/plain/current.pem", "old plain", 0o640);
        disk.put_link("/etc/plain/dangling.pem", "gone.pem");
        disk.put_file("/home/user/.kube/config", "old config", 0o600);
        let label = b"unconfined_u:object_r:user_home_t:s0\0".to_vec();
        for path in ["/home/user", "/home/user/.kube", "/home/user/.kube/config"] {
            disk.put_owner(path, Owner { uid: 1000, gid: 1000 });
        }
        disk.put_directory("/home/user/.kube", 0o775);
        disk.put_labels("/home/user/.kube/config", Labels([("security.selinux".to_owned(), label)].into()));
        let config = "/home/user/.kube/config";
        let dangling = "/etc/plain/dangling.pem";
        let mut writes: Vec<Write> =
            Write::behind_link(&pki("current.pem"), Some("old one"), &pki("two.pem"), "new two").into();
        writes.extend(Write::behind_link(
            "/etc/plain/current.pem",
            Some("old plain"),
            "/etc/plain/dated.pem",
            "new plain",
        ));
        writes.push(Write::in_home(config, "old config", "new config"));
        writes.extend(Write::behind_link(dangling, None, "/etc/plain/found.pem", "new found"));
        writes.extend(Write::behind_link("/etc/plain/fresh.pem", None, "/etc/plain/first.pem", "new first"));
        let mut next: Vec<Write> =
            Write::behind_link(&pki("current.pem"), Some("new two"), &pki("three.pem"), "newer three").into();
        next.push(Write::in_home(config, "new config", "newer config"));
        let plain = Write::new("/etc/plain/current.pem", Some("new plain"), Some(("plain again", 0o600)));
        next.push(Write { reach: Reach::Entry, ..plain });
        next.push(Write { reach: Reach::Entry, ..Write::new(dangling, Some("new found"), None) });
        Self::new("linked", disk, writes, next, at("2026-11-22T00:06:00Z"))
    }

    /// Returns a key and its certificate, which are replaced in this order.
    pub(crate) fn pair() -> Self {
        let mut disk = SimDisk::new();
        disk.put_file(KEY, "old key", 0o600);
        disk.put_file(CERTIFICATE, "old certificate", 0o644);
        let writes = vec![
            Write::new(KEY, Some("old key"), Some(("new key", 0o600))),
            Write::new(CERTIFICATE, Some("old certificate"), Some(("new certificate", 0o644))),
        ];
        let next = vec![Write::new(KEY, Some("new key"), Some(("newer key", 0o600)))];
        Self::new("pair", disk, writes, next, at("2026-11-22T00:06:00Z"))
    }

    fn new(name: &'static str, disk: SimDisk, writes: Vec<Write>, next: Vec<Write>, now: Timestamp) -> Self {
        assert!(!writes.is_empty() && !next.is_empty(), "{name}: nothing is written");
        let (root, state) = (root(), state());
        let mut finished = disk.clone();
        finished.set_faults([]);
        let done = run(&writes, now, &mut finished).expect("nothing disturbs the run");
        let points = Points::of(&finished, &state);
        let new = Image::of(&finished, &state);
        let _ = run(&next, now, &mut finished).expect("nothing disturbs the run");
        let newer = Image::of(&finished, &state);
        let host = |write: &Write| match write.reach {
            Reach::Links => root.resolve(&write.path, &disk).expect("the path leads somewhere").host,
            Reach::Entry | Reach::Home => PathBuf::from(write.path.as_str()),
        };
        let targets: Vec<PathBuf> = writes.iter().map(host).collect();
        let old = Image::of(&disk, &state);
        for (write, target) in writes.iter().zip(&targets) {
            must_be_written(write, target, &old, &new, name);
        }
        Self { name, root, state, now, disk, writes, next, targets, id: done.id, old, new, newer, points }
    }

    /// Does the run on `disk`.
    pub(crate) fn run(&self, disk: &mut SimDisk) -> Result<Done, DiskError> {
        run(&self.writes, self.now, disk)
    }

    /// Does the run that follows, which is the same again when the first one was rolled back.
    pub(crate) fn run_again(&self, side: Side, disk: &mut SimDisk) -> Result<Done, DiskError> {
        match side {
            Side::Old => self.run(disk),
            Side::New => run(&self.next, self.now, disk),
        }
    }

    pub(crate) fn examine(&self, disk: &SimDisk) -> Result<Option<Interrupted>, DiskError> {
        recovery::examine(&self.root, &self.state, disk)
    }

    pub(crate) fn recover(
        &self,
        interrupted: &Interrupted,
        disk: &mut SimDisk,
    ) -> Result<Recovered, DiskError> {
        recovery::recover(interrupted, &self.root, &self.state, disk)
    }

    /// Returns whether the tree is wholly old or wholly new, with nothing else changed, or else how it is neither.
    pub(crate) fn side(&self, found: &Image) -> Result<Side, String> {
        match (self.old.difference(found, &[]), self.new.difference(found, &self.targets)) {
            (None, _) => Ok(Side::Old),
            (_, None) => Ok(Side::New),
            (Some(old), Some(new)) => Err(format!("not old: {old}; not new: {new}")),
        }
    }

    /// Returns for each target whether it is old or new, `None` for those that are both, or else how it is neither.
    pub(crate) fn sides(&self, found: &Image) -> Result<Vec<Option<Side>>, String> {
        let side = |target: &PathBuf| {
            let [now, old, new] =
                [found, &self.old, &self.new].map(|image| image.0.get(target).map(Thing::essence));
            match (now == old, now == new) {
                (true, true) => Ok(None),
                (true, false) => Ok(Some(Side::Old)),
                (false, true) => Ok(Some(Side::New)),
                (false, false) => Err(format!("{} is neither old nor new", target.display())),
            }
        };
        self.targets.iter().map(side).collect()
    }

    /// Returns a link that the run makes and that leads to nothing. The kubelet starts without waiting for a recovery.
    pub(crate) fn broken_link(&self, found: &Image) -> Option<&TreePath> {
        let made = self.writes.iter().zip(&self.targets).find(|(write, target)| match &write.becomes {
            Some(New::Link(text)) => {
                let is_made = found
                    .0
                    .get(*target)
                    .is_some_and(|thing| thing.content.as_deref() == Some(text.as_bytes()));
                is_made && !found.0.contains_key(Path::new(text))
            }
            _ => false,
        });
        made.map(|(write, _)| &write.path)
    }

    pub(crate) fn image(&self, disk: &SimDisk) -> Image {
        Image::of(disk, &self.state)
    }

    /// Returns everything that is in the state directory.
    pub(crate) fn kept(&self, disk: &SimDisk) -> Kept {
        let mut files = disk.files();
        let below = |path: &PathBuf| path.starts_with(self.state.directory());
        let entries = disk.entries().into_iter().filter(|(path, _)| below(path));
        entries
            .map(|(path, stat)| (path.clone(), stat.mode, files.remove(&path).map(|file| file.1)))
            .collect()
    }

    /// Returns whether the run removes a file.
    pub(crate) fn removes(&self) -> bool {
        self.writes.iter().any(|write| write.becomes.is_none() && write.expected != Expected::Absent)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.state.directory().join("journal")
    }
}

impl Points {
    fn of(disk: &SimDisk, state: &State) -> Self {
        let journal = state.directory().join("journal");
        let record = |number: usize| {
            let find = |wanted: &str| {
                let found = disk
                    .log()
                    .iter()
                    .enumerate()
                    .filter(|(_, (name, path))| *name == wanted && *path == journal);
                found.map(|(index, _)| index).nth(number).expect("a run writes four records")
            };
            (find("write_all"), find("sync"))
        };
        Self {
            changes: disk.changes(),
            reads: disk.reads(),
            begun: record(0),
            prepared: record(1),
            committed: record(2),
            ended: record(3),
        }
    }
}

/// What is in a state directory: the path, mode and content of each entry.
pub(crate) type Kept = Vec<(PathBuf, u32, Option<Arc<[u8]>>)>;

/// A tree before or after a run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Side {
    Old,
    New,
}

/// Everything outside the state directory and the directories that lead there.
#[derive(Clone, Debug)]
pub(crate) struct Image(BTreeMap<PathBuf, Thing>);

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
struct Thing {
    stat: Stat,
    labels: Labels,
    content: Option<Arc<[u8]>>,
}

impl Thing {
    /// Returns all but what makes two files of one content different files.
    fn essence(&self) -> (Kind, u32, Owner, &Labels, Option<&[u8]>) {
        let Self { stat: Stat { kind, mode, owner, .. }, labels, content } = self;
        (*kind, *mode, *owner, labels, content.as_deref())
    }
}

impl Image {
    pub(crate) fn of(disk: &SimDisk, state: &State) -> Self {
        let mut files = disk.files();
        let thing = |(path, stat): (PathBuf, Stat)| {
            let labels = match stat.kind {
                Kind::File => disk.labels(&path).expect("no fault is set"),
                _ => Labels::default(),
            };
            let content = match stat.kind {
                Kind::Link => {
                    let text = disk.read_link(&path).expect("no fault is set");
                    Some(text.as_os_str().as_encoded_bytes().into())
                }
                _ => files.remove(&path).map(|(_, content)| content),
            };
            (path, Thing { stat, labels, content })
        };
        let leads_there =
            |path: &Path| path.starts_with(state.directory()) || state.directory().starts_with(path);
        Self(disk.entries().into_iter().filter(|(path, _)| !leads_there(path)).map(thing).collect())
    }

    /// Returns how `found` differs, if it does; `replaced` files may be other files with the same facts.
    pub(crate) fn difference(&self, found: &Self, replaced: &[PathBuf]) -> Option<String> {
        let paths = self.0.keys().chain(found.0.keys());
        let differs = |path: &&PathBuf| match (self.0.get(*path), found.0.get(*path)) {
            (Some(expected), Some(found)) if replaced.contains(path) => expected.essence() != found.essence(),
            (expected, found) => expected != found,
        };
        paths.into_iter().find(differs).map(|path| match (self.0.get(path), found.0.get(path)) {
            (None, _) => format!("{} appeared", path.display()),
            (_, None) => format!("{} is gone", path.display()),
            (Some(expected), Some(found)) => {
                let Thing { stat, .. } = expected;
                let is_same = expected.content == found.content;
                format!(
                    "{}: {:?} instead of {stat:?}, content is the same: {is_same}",
                    path.display(),
                    found.stat
                )
            }
        })
    }
}

/// Replaces what `writes` say.
pub(crate) fn run(writes: &[Write], now: Timestamp, disk: &mut SimDisk) -> Result<Done, DiskError> {
    let items = writes.iter().map(Write::item).collect();
    let request = Request { items, purpose: Purpose::new("renew"), now, token: 0xfeed };
    transaction::replace(&request, &root(), &state(), disk, &mut |_| {})
}

pub(crate) fn root() -> Root {
    Root::assumed(PathBuf::from("/"))
}

pub(crate) fn state() -> State {
    // An empty disk, because this is no operation of the run.
    State::locate(&State::default_path(), &root(), &SimDisk::new()).expect("there is no link on the way")
}

/// Asserts that an undisturbed run has written what it should: `new` is what others are compared with.
fn must_be_written(write: &Write, target: &Path, old: &Image, new: &Image, name: &str) {
    let (before, after) = (old.0.get(target), new.0.get(target));
    let (content, mode) = match &write.becomes {
        Some(New::File(content, mode)) => (content, mode),
        Some(New::Link(text)) => {
            let found = after.map(|thing| (thing.stat.kind, thing.content.as_deref()));
            assert_eq!(found, Some((Kind::Link, Some(text.as_bytes()))), "{name}: {}", write.path);
            return;
        }
        None => {
            assert_eq!(after, None, "{name}: {}", write.path);
            return;
        }
    };
    let directory = || old.0.get(target.parent().expect("a file lies in a directory"));
    let owner = before.or_else(directory).expect("the directory exists").stat.owner;
    let labels = before.map(|thing| thing.labels.clone()).unwrap_or_default();
    let expected = (Kind::File, *mode, owner, &labels, Some(content.as_slice()));
    assert_eq!(after.map(Thing::essence), Some(expected), "{name}: {}", write.path);
}

fn renew_all(snapshot: &Snapshot, now: Timestamp, keys: &mut BorrowedKeys) -> Vec<Write> {
    let plan = planned(Selection::All, &Inventory::parse(snapshot), now);
    let changes = issue(&plan, snapshot, keys).expect("what is planned can be issued");
    changes.changes().iter().map(Write::of).collect()
}

/// Asserts that each key of what would be renewed matches its certificate, and returns what that is.
///
/// From then on only contents have to be compared.
fn must_be_sound(snapshot: &Snapshot, now: Timestamp, name: &str) -> Vec<Slot> {
    let inventory = Inventory::parse(snapshot);
    let slots: Vec<Slot> = planned(Selection::All, &inventory, now).steps().iter().map(Step::slot).collect();
    for slot in &slots {
        let credential = inventory.credential(*slot).expect("what is renewed is there");
        assert_eq!(credential.key_matches(), Some(true), "{name}: {slot}");
    }
    slots
}

/// Asserts the same after a run, and that nothing of what was renewed would be renewed again.
fn must_be_the_fixpoint(snapshot: &Snapshot, renewed: &[Slot], now: Timestamp, name: &str) {
    assert_eq!(must_be_sound(snapshot, now, name), renewed, "{name}");
    let due = planned(Selection::Due, &Inventory::parse(snapshot), now);
    let again: Vec<Slot> = due.steps().iter().map(Step::slot).filter(|slot| renewed.contains(slot)).collect();
    assert_eq!(again, [], "{name}");
}

fn planned(selection: Selection, inventory: &Inventory, now: Timestamp) -> Plan {
    let request = PlanRequest::with_selection(selection);
    plan(inventory, &request, now, &mut Seeded::new(1)).expect("the request can be planned")
}

/// The files of [`World::pair`].
pub(crate) const KEY: &str = "/etc/ssl/a.key";
pub(crate) const CERTIFICATE: &str = "/etc/ssl/a.crt";

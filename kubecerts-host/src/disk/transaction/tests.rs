//! Transactions on a real directory. Faults and crashes are in `tests/crash.rs`, on a disk in memory.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use kubecerts_core::issue::Expected;
use kubecerts_core::snapshot::ReadProblem;

use super::super::backup::BACKUP_FILE_LIMIT;
use super::super::{Labels, Operation, RealDisk};
use super::*;

mod home;
mod links;

/// A tree in kubespray's manner: `pki` is a link to `ssl`, and one file is a link too.
struct World {
    dir: TempDir,
    root: Root,
    state: State,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("etc/ssl/etcd")).unwrap();
        fs::create_dir_all(at("var/kubelet")).unwrap();
        symlink("ssl", at("etc/pki")).unwrap();
        symlink("/var/kubelet/dated.pem", at("var/kubelet/current.pem")).unwrap();
        for name in ["etc/ssl/apiserver.crt", "etc/ssl/apiserver.key", "var/kubelet/dated.pem"] {
            fs::write(at(name), format!("old {}", name.rsplit('/').next().unwrap())).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(0o640)).unwrap();
        }
        let root = Root::new(dir.path()).unwrap();
        let state = State::locate(&path("/var/lib/kubecerts"), &root, &RealDisk).unwrap();
        Self { dir, root, state }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at(name)).ok()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.at(name)).unwrap().mode() & 0o7777
    }

    fn temporary(&self) -> Vec<PathBuf> {
        ["etc", "etc/ssl", "etc/ssl/etcd", "var", "var/kubelet"]
            .iter()
            .flat_map(|directory| fs::read_dir(self.at(directory)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'))
            .collect()
    }

    /// The texts of the files of [`items`].
    fn texts(&self) -> [Option<String>; 4] {
        ["etc/ssl/apiserver.key", "etc/ssl/apiserver.crt", "etc/ssl/etcd/server.crt", "var/kubelet/dated.pem"]
            .map(|name| self.text(name))
    }

    fn replace(&self, items: Vec<Item<'_>>) -> Result<Done, DiskError> {
        self.replace_watched(items, &mut |_| {})
    }

    fn replace_watched(
        &self,
        items: Vec<Item<'_>>,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Done, DiskError> {
        let now = Timestamp::from_unix(1_767_225_600);
        let request = Request { items, purpose: Purpose::new("test"), now, token: 0xfeed };
        replace(&request, &self.root, &self.state, &mut RealDisk, observer)
    }

    /// Asserts that `item` is turned down before anything is written.
    fn turned_down(&self, item: Item<'_>) -> DiskError {
        let before = self.texts();
        let error = self.replace(vec![item]).unwrap_err();
        assert_eq!((self.texts(), self.temporary()), (before, vec![]));
        assert!(!self.at("var/lib/kubecerts/journal").exists());
        error
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn old(text: &str) -> Expected {
    Expected::Content(Digest::of(text.as_bytes()))
}

fn item<'a>(path: &'a TreePath, expected: Expected, content: &'a str, mode: u32) -> Item<'a> {
    Item {
        path,
        reach: Reach::Links,
        expected,
        becomes: Becomes::File { content: content.as_bytes(), mode, facts: None },
    }
}

fn paths() -> [TreePath; 4] {
    [
        path("/etc/pki/apiserver.key"),
        path("/etc/ssl/apiserver.crt"),
        path("/etc/pki/etcd/server.crt"),
        path("/var/kubelet/current.pem"),
    ]
}

fn items(paths: &[TreePath; 4]) -> Vec<Item<'_>> {
    let [key, certificate, created, linked] = paths;
    vec![
        item(key, old("old apiserver.key"), "new apiserver.key", 0o600),
        item(certificate, old("old apiserver.crt"), "new apiserver.crt", 0o644),
        item(created, Expected::Absent, "new server.crt", 0o644),
        item(linked, old("old dated.pem"), "new dated.pem", 0o600),
    ]
}

const OLD: [Option<&str>; 4] =
    [Some("old apiserver.key"), Some("old apiserver.crt"), None, Some("old dated.pem")];
const NEW: [Option<&str>; 4] =
    [Some("new apiserver.key"), Some("new apiserver.crt"), Some("new server.crt"), Some("new dated.pem")];

fn owned(texts: [Option<&str>; 4]) -> [Option<String>; 4] {
    texts.map(|text| text.map(str::to_owned))
}

#[test]
fn all_files_are_replaced_in_order_and_links_stay_links() {
    let (world, paths) = (World::new(), paths());
    let done = world.replace(items(&paths)).unwrap();
    assert_eq!(world.texts(), owned(NEW));
    assert_eq!(
        done.replaced.iter().map(|one| &one.path).collect::<Vec<_>>(),
        paths.iter().collect::<Vec<_>>()
    );
    assert_eq!(done.replaced[0].target, path("/etc/ssl/apiserver.key"));
    assert_eq!(done.leftovers, []);
    assert!(world.at("var/kubelet/current.pem").is_symlink() && world.at("etc/pki").is_symlink());
    assert_eq!(world.temporary(), [] as [PathBuf; 0]);
    let modes = ["etc/ssl/apiserver.key", "etc/ssl/apiserver.crt", "etc/ssl/etcd/server.crt"]
        .map(|name| world.mode(name));
    assert_eq!(modes, [0o600, 0o644, 0o644]);
}

#[test]
fn a_run_leaves_a_backup_and_a_record_that_only_the_owner_can_read() {
    let (world, paths) = (World::new(), paths());
    let id = world.replace(items(&paths)).unwrap().id;
    assert_eq!(id, "20260101T000000Z");
    let at = |name: &str| format!("var/lib/kubecerts/{name}");
    for name in
        [String::new(), "backups".to_owned(), format!("backups/{id}/files/etc/pki"), "audit".to_owned()]
    {
        assert_eq!(world.mode(&at(&name)), 0o700, "{name}");
    }
    let key = format!("backups/{id}/files/etc/pki/apiserver.key");
    for name in [key.clone(), format!("backups/{id}/manifest.json"), format!("audit/{id}.jsonl")] {
        assert_eq!(world.mode(&at(&name)), 0o600, "{name}");
    }
    assert_eq!(world.text(&at(&key)).unwrap(), "old apiserver.key");
    assert!(!world.at(&at("journal")).exists());
    let record = world.text(&at(&format!("audit/{id}.jsonl"))).unwrap();
    assert!(record.contains(r#""outcome":"finished""#) && !record.contains("old apiserver"), "{record}");
}

#[test]
fn a_second_run_within_a_second_has_a_name_of_its_own() {
    let (world, paths) = (World::new(), paths());
    let _ = world.replace(items(&paths)).unwrap();
    let again = item(&paths[0], old("new apiserver.key"), "newer", 0o600);
    assert_eq!(world.replace(vec![again]).unwrap().id, "20260101T000000Z-2");
}

#[test]
fn a_file_can_be_removed_and_removal_is_undone_like_everything_else() {
    let (world, paths) = (World::new(), paths());
    let (path, expected) = (&paths[0], old("old apiserver.key"));
    let gone = Item { path, reach: Reach::Links, expected, becomes: Becomes::Nothing };
    let done = world.replace(vec![gone]).unwrap();
    assert_eq!((world.text("etc/ssl/apiserver.key"), done.replaced[0].digest), (None, None));
    assert_eq!(world.temporary(), [] as [PathBuf; 0]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn owners_are_kept_and_new_files_take_their_directory_s() {
    if !RealDisk.is_privileged() {
        eprintln!("SKIPPED an owner that is kept: only root can give files away");
        return;
    }
    let (world, paths) = (World::new(), paths());
    let chown = |name: &str, uid, gid| {
        std::os::unix::fs::chown(world.at(name), Some(uid), Some(gid)).unwrap();
    };
    chown("etc/ssl/apiserver.key", 1234, 4321);
    chown("etc/ssl/etcd", 77, 88);
    let _ = world.replace(items(&paths)).unwrap();
    for (name, owner) in [("etc/ssl/apiserver.key", (1234, 4321)), ("etc/ssl/etcd/server.crt", (77, 88))] {
        let meta = fs::metadata(world.at(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner, "{name}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn labels_are_carried_over() {
    let (world, paths) = (World::new(), paths());
    let key = world.at("etc/ssl/apiserver.key");
    let file = File::open(&key).unwrap();
    let mut wanted = BTreeMap::new();
    // An ACL with an entry for user 1234: version 2, then tag, permissions and number of each entry.
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(0x01, 6, u32::MAX),
        entry(0x02, 4, 1234),
        entry(0x04, 0, u32::MAX),
        entry(0x10, 4, u32::MAX),
        entry(0x20, 0, u32::MAX),
    ];
    for (name, value) in [
        ("security.selinux", b"system_u:object_r:kubernetes_file_t:s0\0".to_vec()),
        ("system.posix_acl_access", acl.concat()),
        ("user.role", b"pki".to_vec()),
    ] {
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::fsetxattr(&file, name, &value, flags) {
            Ok(()) => drop(wanted.insert(name.to_owned(), value)),
            Err(error) => {
                eprintln!("SKIPPED a label {name} that is carried over: it cannot be set here, {error}")
            }
        }
    }
    let mode = world.mode("etc/ssl/apiserver.key");
    let kept = item(&paths[0], old("old apiserver.key"), "new apiserver.key", mode);
    let _ = world.replace(vec![kept]).unwrap();
    assert_eq!(world.text("etc/ssl/apiserver.key").unwrap(), "new apiserver.key");
    assert_eq!(RealDisk.labels(&key).unwrap(), Labels(wanted));
    assert_eq!(world.mode("etc/ssl/apiserver.key"), mode);
}

#[test]
fn a_stale_target_stops_everything() {
    let (world, paths) = (World::new(), paths());
    fs::write(world.at("var/kubelet/dated.pem"), "renewed by somebody else").unwrap();
    let before = world.texts();
    let error = world.replace(items(&paths)).unwrap_err();
    let DiskError::Stale { path: stale, expected, found } = error else { panic!("{error:?}") };
    assert_eq!(stale, paths[3]);
    assert_eq!((expected, found), (old("old dated.pem"), old("renewed by somebody else")));
    assert_eq!(world.texts(), before);
    assert!(!world.at("var/lib").exists(), "not even the state directory was made");
}

#[test]
fn a_file_that_came_or_went_is_stale() {
    let world = World::new();
    let error = world.turned_down(item(&path("/etc/ssl/apiserver.key"), Expected::Absent, "x", 0o600));
    assert!(matches!(error, DiskError::Stale { expected: Expected::Absent, .. }), "{error:?}");
    for gone in ["/etc/ssl/gone.key", "/etc/gone/gone.key"] {
        let error = world.turned_down(item(&path(gone), old("x"), "x", 0o600));
        assert!(matches!(error, DiskError::Stale { found: Expected::Absent, .. }), "{error:?}");
    }
}

#[test]
fn links_out_of_the_root_or_to_nothing_are_refused() {
    let world = World::new();
    symlink("../../../outside.key", world.at("etc/ssl/away.key")).unwrap();
    symlink("nothing", world.at("etc/ssl/nothing.key")).unwrap();
    let refusal = |name: &str| match world.turned_down(item(&path(name), Expected::Absent, "x", 0o600)) {
        DiskError::Refused { problem, .. } => problem,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refusal("/etc/ssl/away.key"), ReadProblem::LeavesRoot { .. }));
    assert!(matches!(refusal("/etc/ssl/nothing.key"), ReadProblem::DanglingLink { .. }));
}

#[test]
fn what_is_not_a_file_or_too_large_is_refused() {
    let world = World::new();
    mknodat(CWD, world.at("etc/ssl/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    File::create(world.at("etc/ssl/huge")).unwrap().set_len(2 << 30).unwrap();
    for (name, problem) in [
        ("/etc/ssl/pipe", ReadProblem::NotAFile("named pipe".to_owned())),
        ("/etc/ssl/etcd", ReadProblem::NotAFile("directory".to_owned())),
        ("/", ReadProblem::NotAFile("directory".to_owned())),
        ("/etc/ssl/huge", ReadProblem::TooLarge { size: 2 << 30, limit: BACKUP_FILE_LIMIT }),
    ] {
        let error = world.turned_down(item(&path(name), Expected::Absent, "x", 0o600));
        let DiskError::Refused { problem: found, .. } = error else { panic!("{name}") };
        assert_eq!(found, problem, "{name}");
    }
}

#[test]
fn a_file_is_not_created_without_its_directory() {
    let error = World::new().turned_down(item(&path("/etc/none/new.key"), Expected::Absent, "x", 0o600));
    assert!(matches!(error, DiskError::NoDirectory { .. }), "{error:?}");
}

#[test]
fn two_items_of_one_file_are_refused() {
    let world = World::new();
    let (one, other) = (path("/etc/pki/apiserver.key"), path("/etc/ssl/apiserver.key"));
    let twice = [&one, &other].map(|path| item(path, old("old apiserver.key"), "x", 0o600));
    let error = world.replace(twice.into()).unwrap_err();
    assert!(matches!(error, DiskError::SameTarget { .. }), "{error:?}");
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    for (directory, mode, refused) in [
        ("etc/ssl", 0o777, true),
        ("etc/ssl", 0o1777, true),
        ("etc", 0o777, true),
        ("etc", 0o1777, false),
        ("etc/ssl", 0o775, false),
    ] {
        let (world, paths) = (World::new(), paths());
        fs::set_permissions(world.at(directory), Permissions::from_mode(mode)).unwrap();
        let outcome = world.replace(items(&paths));
        let is_refusal = matches!(&outcome, Err(DiskError::OpenDirectory { directory: at, mode: found, .. })
            if *at == path(&format!("/{directory}")) && *found == mode);
        assert_eq!((is_refusal, outcome.is_ok()), (refused, !refused), "{directory} {mode:o}: {outcome:?}");
    }
}

#[test]
fn a_state_directory_that_others_may_write_to_is_refused() {
    let (world, paths) = (World::new(), paths());
    fs::create_dir_all(world.at("var/lib/kubecerts")).unwrap();
    fs::set_permissions(world.at("var/lib/kubecerts"), Permissions::from_mode(0o777)).unwrap();
    let error = world.turned_down(items(&paths).remove(0));
    assert!(matches!(error, DiskError::OpenDirectory { .. }), "{error:?}");
}

/// What somebody else does to a tree at the wrong time.
type Touch = fn(&World);

#[test]
fn a_target_touched_while_files_are_staged_stops_everything() {
    let touches: [(&str, Touch); 4] = [
        ("rewritten", |world| fs::write(world.at("etc/ssl/apiserver.crt"), "longer than before").unwrap()),
        ("removed", |world| fs::remove_file(world.at("etc/ssl/apiserver.crt")).unwrap()),
        ("appeared", |world| fs::write(world.at("etc/ssl/etcd/server.crt"), "x").unwrap()),
        ("made a link", |world| {
            fs::rename(world.at("etc/ssl/apiserver.crt"), world.at("etc/ssl/moved")).unwrap();
            symlink("moved", world.at("etc/ssl/apiserver.crt")).unwrap();
        }),
    ];
    for (name, touch) in touches {
        let (world, paths) = (World::new(), paths());
        let mut touched = None;
        let outcome = world.replace_watched(items(&paths), &mut |progress| {
            if let Event::BackedUp { .. } = progress {
                touch(&world);
                touched = Some(world.texts());
            }
        });
        // A file that went away cannot even get its second name.
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, DiskError::Disturbed { .. } | DiskError::Replace { .. }),
            "{name}: {error:?}"
        );
        assert_eq!(Some(world.texts()), touched, "{name}");
        assert_eq!(world.temporary(), [] as [PathBuf; 0], "{name}");
        assert!(!world.at("var/lib/kubecerts/backups/20260101T000000Z").exists(), "{name}");
    }
}

#[test]
fn a_leftover_with_the_same_name_is_not_touched() {
    let (world, paths) = (World::new(), paths());
    let leftover = world.at("etc/ssl/.kubecerts-000000000000feed0001.new");
    symlink("apiserver.crt", &leftover).unwrap();
    let error = world.replace(items(&paths)).unwrap_err();
    assert!(matches!(error, DiskError::Replace { operation: Operation::Create, .. }), "{error:?}");
    assert_eq!(world.texts(), owned(OLD));
    assert_eq!(world.temporary(), [leftover]);
}

#[test]
fn messages_name_the_path_and_leave_the_cause_to_the_source() {
    let source = || io::Error::other("x");
    let (a, b) = (path("/a"), path("/b"));
    let cause = DiskError::Replace { path: b.clone(), operation: Operation::Rename, source: source() };
    assert_eq!(cause.to_string(), "cannot replace /b: renaming the file failed");
    assert_eq!(std::error::Error::source(&cause).unwrap().to_string(), "x");
    let (replaced, operation, cause) = (vec![a.clone()], Operation::Rename, Box::new(cause));
    let error = DiskError::Interrupted { replaced, path: a, operation, source: source(), cause };
    assert_eq!(
        error.to_string(),
        "cannot put /a back after a failure: renaming the file failed, 1 file is still replaced"
    );
}

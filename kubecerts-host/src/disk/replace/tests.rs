//! Replacement on a real directory, with a fault at every operation.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use kubecerts_core::catalog::{CaSlot, LeafSlot};
use kubecerts_core::secret::SecretBytes;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::super::RealDisk;
use super::*;

/// Fails the operation number `fail_at`, and with `dead` every one after it.
#[derive(Debug, Default)]
struct FaultyDisk {
    real: RealDisk,
    fail_at: Option<usize>,
    dead: bool,
    unprivileged: bool,
    log: Vec<&'static str>,
    /// The modes of the temporary files when they were created, and again just before their content.
    born: Vec<u32>,
}

impl FaultyDisk {
    fn failing_at(n: usize) -> Self {
        Self { fail_at: Some(n), ..Self::default() }
    }

    fn enter(&mut self, operation: &'static str) -> io::Result<()> {
        let n = self.log.len();
        self.log.push(operation);
        match self.fail_at {
            Some(at) if n == at || self.dead && n > at => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }

    fn count(&self, operation: &str) -> usize {
        self.log.iter().filter(|logged| **logged == operation).count()
    }
}

impl Disk for FaultyDisk {
    type File = File;

    fn is_privileged(&self) -> bool {
        !self.unprivileged && self.real.is_privileged()
    }

    fn create_temp(&mut self, path: &Path) -> io::Result<File> {
        self.enter("create_temp")?;
        let file = self.real.create_temp(path)?;
        self.born.push(fs::symlink_metadata(path)?.mode() & 0o7777);
        Ok(file)
    }

    fn owner(&mut self, file: &File) -> io::Result<Owner> {
        self.enter("owner")?;
        self.real.owner(file)
    }

    fn set_owner(&mut self, owner: Owner, file: &File) -> io::Result<()> {
        self.enter("set_owner")?;
        if self.unprivileged {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.real.set_owner(owner, file)
    }

    fn set_mode(&mut self, mode: u32, file: &File) -> io::Result<()> {
        self.enter("set_mode")?;
        self.real.set_mode(mode, file)
    }

    fn write_all(&mut self, bytes: &[u8], file: &mut File) -> io::Result<()> {
        if let Err(error) = self.enter("write_all") {
            // A full disk takes a part.
            self.real.write_all(&bytes[..bytes.len() / 2], file)?;
            return Err(error);
        }
        self.real.write_all(bytes, file)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        self.enter("sync")?;
        self.real.sync(file)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter("rename")?;
        self.real.rename(from, to)
    }

    fn rename_new(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter("rename_new")?;
        self.real.rename_new(from, to)
    }

    fn sync_dir(&mut self, directory: &Path) -> io::Result<()> {
        self.enter("sync_dir")?;
        self.real.sync_dir(directory)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.enter("remove")?;
        self.real.remove(path)
    }
}

/// A tree in kubespray's manner: `pki` is a link to `ssl`, and one file is a link too.
struct World {
    dir: TempDir,
    root: Root,
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
        Self { dir, root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at(name)).ok()
    }

    fn temps(&self) -> Vec<PathBuf> {
        ["etc", "etc/ssl", "etc/ssl/etcd", "var", "var/kubelet"]
            .iter()
            .flat_map(|directory| fs::read_dir(self.at(directory)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'))
            .collect()
    }

    /// The files of [`changes`] with their old and new content.
    fn states(&self) -> Vec<State> {
        [
            ("etc/ssl/apiserver.key", Some("old apiserver.key"), "new apiserver.key"),
            ("etc/ssl/apiserver.crt", Some("old apiserver.crt"), "new apiserver.crt"),
            ("etc/ssl/etcd/server.crt", None, "new server.crt"),
            ("var/kubelet/dated.pem", Some("old dated.pem"), "new current.pem"),
        ]
        .into_iter()
        .map(|(name, old, new)| {
            let text = self.text(name);
            match text.as_deref() {
                text if text == old => State::Old,
                text if text == Some(new) => State::New,
                torn => panic!("{name} is neither old nor new: {torn:?}"),
            }
        })
        .collect()
    }

    fn replace(&self, disk: &mut FaultyDisk) -> Result<Vec<Written>, DiskError> {
        Staged::stage(&changes(), &self.root, TOKEN, disk)?.commit()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Old,
    New,
}

const TOKEN: u64 = 0xfeed;
const KEY: FileSlot = FileSlot::LeafKey(LeafSlot::ApiServer);

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn old(text: &str) -> Expected {
    Expected::Content(Digest::of(text.as_bytes()))
}

fn change(file: FileSlot, at: &str, expected: Expected, mode: u32) -> Change {
    let text = format!("new {}", at.rsplit('/').next().unwrap());
    Change::new(file, path(at), expected, mode, SecretBytes::new(text.into_bytes()))
}

fn one(at: &str, expected: Expected) -> ChangeSet {
    ChangeSet::from(vec![change(KEY, at, expected, 0o600)])
}

fn changes() -> ChangeSet {
    ChangeSet::from(vec![
        change(KEY, "/etc/pki/apiserver.key", old("old apiserver.key"), 0o600),
        change(
            FileSlot::LeafCertificate(LeafSlot::ApiServer),
            "/etc/ssl/apiserver.crt",
            old("old apiserver.crt"),
            0o644,
        ),
        change(
            FileSlot::LeafCertificate(LeafSlot::EtcdServer),
            "/etc/pki/etcd/server.crt",
            Expected::Absent,
            0o644,
        ),
        change(FileSlot::KubeletClient, "/var/kubelet/current.pem", old("old dated.pem"), 0o600),
    ])
}

#[test]
fn all_files_are_replaced_in_order_and_links_stay_links() {
    let world = World::new();
    let mut disk = FaultyDisk::default();
    let written = world.replace(&mut disk).unwrap();
    assert_eq!(world.states(), [State::New; 4]);
    assert_eq!(world.temps(), [] as [PathBuf; 0]);
    let targets: Vec<_> = written.iter().map(|written| written.target.as_str()).collect();
    let expected = [
        "/etc/ssl/apiserver.key",
        "/etc/ssl/apiserver.crt",
        "/etc/ssl/etcd/server.crt",
        "/var/kubelet/dated.pem",
    ];
    assert_eq!(targets, expected);
    assert_eq!(written[0].path, path("/etc/pki/apiserver.key"));
    assert_eq!(written[0].digest, Digest::of(b"new apiserver.key"));
    assert_eq!(fs::read_link(world.at("etc/pki")).unwrap(), Path::new("ssl"));
    assert_eq!(
        fs::read_link(world.at("var/kubelet/current.pem")).unwrap(),
        Path::new("/var/kubelet/dated.pem")
    );
}

#[test]
fn renames_follow_each_other_and_come_after_every_flush() {
    let world = World::new();
    let mut disk = FaultyDisk::default();
    world.replace(&mut disk).unwrap();
    let tail = ["rename", "rename", "rename_new", "rename", "sync_dir", "sync_dir", "sync_dir"];
    assert_eq!(disk.log[disk.log.len() - tail.len()..], tail);
    assert_eq!(disk.log[disk.log.len() - tail.len() - 1], "sync");
    assert_eq!((disk.count("sync"), disk.count("remove")), (4, 0));
}

#[test]
fn a_fault_at_any_operation_leaves_whole_files_and_no_temporary_ones() {
    let mut interrupted = 0;
    let mut n = 0;
    loop {
        let world = World::new();
        let mut disk = FaultyDisk::failing_at(n);
        let outcome = world.replace(&mut disk);
        let states = world.states();
        assert_eq!(world.temps(), [] as [PathBuf; 0], "fault at {n}, {:?}", disk.log);
        let replaced = states.iter().filter(|state| **state == State::New).count();
        match outcome {
            Ok(_) => {
                assert_eq!(states, [State::New; 4]);
                assert_eq!(disk.log.len(), n, "the loop ends where there is no operation to fail");
                break;
            }
            Err(DiskError::Interrupted { replaced: told, path, .. }) => {
                interrupted += 1;
                let set = changes();
                let planned: Vec<_> = set.changes().iter().map(Change::path).collect();
                assert_eq!(told.iter().collect::<Vec<_>>(), planned[..replaced]);
                assert_eq!(&path, planned[replaced]);
                assert_eq!(states[..replaced], vec![State::New; replaced]);
                assert_eq!(states[replaced..], vec![State::Old; 4 - replaced]);
            }
            Err(DiskError::Unflushed { replaced: told, .. }) => {
                assert_eq!((told.len(), replaced), (4, 4));
                assert_eq!(disk.count("sync_dir"), 3, "the other directories are flushed all the same");
            }
            Err(DiskError::Replace { .. }) => assert_eq!(replaced, 0, "fault at {n}"),
            Err(other) => panic!("{other:?}"),
        }
        n += 1;
        assert!(n < 100, "the loop ends where there is no operation to fail");
    }
    assert_eq!(interrupted, 3);
    assert!(n > 20, "{n}");
}

#[test]
fn a_disk_that_dies_at_any_operation_holds_whole_files() {
    let mut n = 0;
    loop {
        let world = World::new();
        let mut disk = FaultyDisk { dead: true, ..FaultyDisk::failing_at(n) };
        let outcome = world.replace(&mut disk);
        let states = world.states();
        if disk.count("rename") == 0 {
            assert_eq!(states, [State::Old; 4]);
        }
        for temp in world.temps() {
            assert_eq!(fs::metadata(&temp).unwrap().mode() & 0o022, 0, "{temp:?}");
        }
        if outcome.is_ok() {
            break;
        }
        n += 1;
        assert!(n < 100, "the loop ends where there is no operation to fail");
    }
}

#[test]
fn dropping_what_was_staged_changes_nothing() {
    let world = World::new();
    let mut disk = FaultyDisk::default();
    let staged = Staged::stage(&changes(), &world.root, TOKEN, &mut disk).unwrap();
    let temps = world.temps();
    assert_eq!(temps.len(), 4);
    for temp in temps {
        let name = temp.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(".kubecerts-000000000000feed") && name.ends_with(".tmp"), "{name}");
    }
    drop(staged);
    assert_eq!((world.states(), world.temps()), (vec![State::Old; 4], vec![]));
}

#[test]
fn temporary_files_are_private_from_birth_whatever_the_umask() {
    // The umask belongs to the whole process; no test depends on it for the mode of a file.
    let before = rustix::process::umask(Mode::empty());
    let world = World::new();
    let mut disk = FaultyDisk::default();
    let outcome = world.replace(&mut disk);
    rustix::process::umask(before);
    outcome.unwrap();
    assert_eq!(disk.born, [0o600; 4]);
}

#[test]
fn owner_and_mode_are_set_before_the_content() {
    let world = World::new();
    let mut disk = FaultyDisk::default();
    world.replace(&mut disk).unwrap();
    let steps: Vec<_> = disk.log.iter().copied().filter(|step| *step != "set_owner").take(5).collect();
    assert_eq!(steps, ["create_temp", "owner", "set_mode", "write_all", "sync"]);
    for (name, mode) in [
        ("etc/ssl/apiserver.key", 0o600),
        ("etc/ssl/apiserver.crt", 0o644),
        ("etc/ssl/etcd/server.crt", 0o644),
    ] {
        assert_eq!(fs::metadata(world.at(name)).unwrap().mode() & 0o7777, mode, "{name}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn owners_are_kept_and_new_files_take_their_directory_s() {
    if !RealDisk.is_privileged() {
        eprintln!("SKIPPED an owner that is kept: only root can give files away");
        return;
    }
    let world = World::new();
    let chown = |name: &str, uid, gid| {
        std::os::unix::fs::chown(world.at(name), Some(uid), Some(gid)).unwrap();
    };
    chown("etc/ssl/apiserver.key", 1234, 4321);
    chown("etc/ssl/etcd", 77, 88);
    let mut disk = FaultyDisk::default();
    world.replace(&mut disk).unwrap();
    for (name, owner) in [("etc/ssl/apiserver.key", (1234, 4321)), ("etc/ssl/etcd/server.crt", (77, 88))] {
        let meta = fs::metadata(world.at(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner, "{name}");
    }
    assert_eq!(disk.count("set_owner"), 2);
    let at = disk.log.iter().position(|step| *step == "set_owner").unwrap();
    assert_eq!(disk.log[at + 1..at + 3], ["set_mode", "write_all"]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn an_owner_that_cannot_be_kept_is_an_error_only_when_it_differs() {
    let world = World::new();
    let mut disk = FaultyDisk { unprivileged: true, ..FaultyDisk::default() };
    world.replace(&mut disk).unwrap();
    assert_eq!(disk.count("set_owner"), 0);
    if !RealDisk.is_privileged() {
        eprintln!("SKIPPED half of an owner that cannot be kept: only root can make a file of somebody else");
        return;
    }
    let world = World::new();
    std::os::unix::fs::chown(world.at("etc/ssl/apiserver.key"), Some(1234), None).unwrap();
    let error = world.replace(&mut FaultyDisk { unprivileged: true, ..FaultyDisk::default() }).unwrap_err();
    assert!(matches!(error, DiskError::Replace { operation: Operation::SetOwner, .. }), "{error:?}");
    assert_eq!((world.states(), world.temps()), (vec![State::Old; 4], vec![]));
}

/// Asserts that `changes` is turned down before the disk is touched.
fn turned_down(world: &World, changes: &ChangeSet) -> DiskError {
    let mut disk = FaultyDisk::default();
    let error = Staged::stage(changes, &world.root, TOKEN, &mut disk).unwrap_err();
    assert_eq!(disk.log, [] as [&str; 0]);
    error
}

#[test]
fn a_stale_target_stops_everything() {
    let world = World::new();
    fs::write(world.at("var/kubelet/dated.pem"), "renewed by somebody else").unwrap();
    let DiskError::Stale { path: stale, expected, found } = turned_down(&world, &changes()) else { panic!() };
    assert_eq!(stale, path("/var/kubelet/current.pem"));
    assert_eq!((expected, found), (old("old dated.pem"), old("renewed by somebody else")));
}

#[test]
fn a_file_that_came_or_went_is_stale() {
    let world = World::new();
    let error = turned_down(&world, &one("/etc/ssl/apiserver.key", Expected::Absent));
    assert!(matches!(error, DiskError::Stale { expected: Expected::Absent, .. }), "{error:?}");
    for gone in ["/etc/ssl/gone.key", "/etc/gone/gone.key"] {
        let error = turned_down(&world, &one(gone, old("x")));
        assert!(matches!(error, DiskError::Stale { found: Expected::Absent, .. }), "{error:?}");
    }
}

#[test]
fn links_out_of_the_root_are_refused() {
    let world = World::new();
    symlink("../../../outside.key", world.at("etc/ssl/link.key")).unwrap();
    let error = turned_down(&world, &one("/etc/ssl/link.key", Expected::Absent));
    assert!(matches!(error, DiskError::Refused { problem: ReadProblem::LeavesRoot { .. }, .. }), "{error:?}");
}

#[test]
fn a_link_to_nothing_is_not_created_through() {
    let world = World::new();
    symlink("nothing", world.at("etc/ssl/link.key")).unwrap();
    let error = turned_down(&world, &one("/etc/ssl/link.key", Expected::Absent));
    assert!(
        matches!(error, DiskError::Refused { problem: ReadProblem::DanglingLink { .. }, .. }),
        "{error:?}"
    );
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
        ("/etc/ssl/huge", ReadProblem::TooLarge { size: 2 << 30, limit: FILE_LIMIT }),
    ] {
        let DiskError::Refused { problem: found, .. } = turned_down(&world, &one(name, Expected::Absent))
        else {
            panic!("{name}")
        };
        assert_eq!(found, problem, "{name}");
    }
}

#[test]
fn a_file_is_not_created_without_its_directory() {
    let world = World::new();
    let error = turned_down(&world, &one("/etc/none/new.key", Expected::Absent));
    assert!(matches!(error, DiskError::NoDirectory { .. }), "{error:?}");
}

#[test]
fn two_changes_of_one_file_are_refused() {
    let world = World::new();
    let twice = ChangeSet::from(vec![
        change(KEY, "/etc/pki/apiserver.key", old("old apiserver.key"), 0o600),
        change(FileSlot::CaKey(CaSlot::Etcd), "/etc/ssl/apiserver.key", old("old apiserver.key"), 0o600),
    ]);
    let error = turned_down(&world, &twice);
    assert!(matches!(error, DiskError::SameTarget { .. }), "{error:?}");
}

/// What somebody else does to a tree at the wrong time.
type Touch = fn(&World);

#[test]
fn a_target_touched_between_check_and_commit_stops_everything() {
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
        let world = World::new();
        let mut disk = FaultyDisk::default();
        let staged = Staged::stage(&changes(), &world.root, TOKEN, &mut disk).unwrap();
        touch(&world);
        let error = staged.commit().unwrap_err();
        assert!(matches!(error, DiskError::Disturbed { .. }), "{name}: {error:?}");
        assert_eq!(disk.count("rename"), 0, "{name}");
        assert_eq!(world.temps(), [] as [PathBuf; 0]);
        assert_eq!(world.text("etc/ssl/apiserver.key").unwrap(), "old apiserver.key");
    }
}

#[test]
fn a_new_file_never_replaces_one_that_appeared_meanwhile() {
    let world = World::new();
    fs::write(world.at("etc/from"), "from").unwrap();
    fs::write(world.at("etc/to"), "to").unwrap();
    let error = RealDisk.rename_new(&world.at("etc/from"), &world.at("etc/to")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(world.text("etc/to").unwrap(), "to");
}

#[test]
fn a_leftover_with_the_same_name_is_not_touched() {
    let world = World::new();
    let leftover = world.at("etc/ssl/.kubecerts-000000000000feed0001.tmp");
    symlink("apiserver.crt", &leftover).unwrap();
    let error = world.replace(&mut FaultyDisk::default()).unwrap_err();
    assert!(matches!(error, DiskError::Replace { operation: Operation::CreateTemp, .. }), "{error:?}");
    assert_eq!(world.temps(), [leftover]);
    assert_eq!(world.states(), [State::Old; 4]);
}

#[test]
fn messages_name_the_path_and_leave_the_cause_to_the_source() {
    let world = World::new();
    let error = world.replace(&mut FaultyDisk::failing_at(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot replace /etc/pki/apiserver.key: creating the temporary file failed"
    );
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "injected");
    let source = io::Error::other("x");
    let error = DiskError::Interrupted { replaced: vec![path("/a")], path: path("/b"), source };
    assert_eq!(error.to_string(), "cannot replace /b, but 1 file was already replaced");
}

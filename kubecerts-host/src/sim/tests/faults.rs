//! What the script does.

use kubecerts_core::snapshot::ReadProblem;

use super::*;

#[test]
fn a_change_fails_once() {
    let mut disk = world();
    disk.set_faults([Fault::FailChange { at: 1, errno: Errno::Access, repeat: Repeat::Once }]);
    disk.remove(path("/etc/a.crt")).unwrap();
    let refused = disk.remove(path("/etc/b.key")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    assert!(content("/etc/b.key", &disk).is_some());
    disk.remove(path("/etc/b.key")).unwrap();
    assert_eq!((disk.changes(), disk.reads(), disk.operations()), (3, 0, 3));
}

#[test]
fn reads_have_numbers_of_their_own() {
    let mut disk = world();
    disk.set_faults([
        Fault::FailRead { at: 1, errno: Errno::Io },
        Fault::FailRead { at: 2, errno: Errno::Access },
    ]);
    disk.remove(path("/etc/a.crt")).unwrap();
    assert!(disk.read(path("/etc/b.key"), 9).unwrap().is_some());
    assert_eq!(errno(disk.stat(path("/etc/b.key"))), is(Errno::Io));
    assert_eq!(disk.read(path("/etc/b.key"), 9).unwrap_err(), ReadProblem::PermissionDenied);
    assert!(disk.list(path("/etc")).is_ok());
    assert_eq!((disk.changes(), disk.reads(), disk.operations()), (1, 4, 5));
}

#[test]
fn a_read_only_disk_can_only_be_read() {
    let mut disk = world();
    disk.set_faults([Fault::FailChange { at: 1, errno: Errno::ReadOnly, repeat: Repeat::FromThenOn }]);
    let file = disk.append(path("/etc/a.crt")).unwrap();
    assert_eq!(errno(disk.sync(&file)), is(Errno::ReadOnly));
    assert_eq!(errno(disk.create(path("/etc/new"))), is(Errno::ReadOnly));
    assert_eq!(errno(disk.remove(path("/etc/a.crt"))), is(Errno::ReadOnly));
    assert!(disk.read(path("/etc/a.crt"), 9).unwrap().is_some());
}

#[test]
fn a_full_disk_can_be_tidied_and_flushed() {
    let mut disk = world();
    let mut file = disk.create(path("/etc/new")).unwrap();
    disk.set_faults([Fault::FailChange { at: 0, errno: Errno::NoSpace, repeat: Repeat::FromThenOn }]);
    assert_eq!(errno(disk.write_all(b"1234", &mut file)), is(Errno::NoSpace));
    assert_eq!(content("/etc/new", &disk).as_deref(), Some("12"));
    assert_eq!(errno(disk.create(path("/etc/newer"))), is(Errno::NoSpace));
    assert_eq!(errno(disk.create_directory(path("/work"), 0o700)), is(Errno::NoSpace));
    assert_eq!(errno(disk.link(path("/etc/new"), path("/etc/newer"))), is(Errno::NoSpace));
    assert_eq!(errno(disk.rename(path("/etc/new"), path("/etc/newer"))), is(Errno::NoSpace));
    assert_eq!(errno(disk.rename_new(path("/etc/new"), path("/etc/newer"))), is(Errno::NoSpace));
    disk.sync(&file).unwrap();
    disk.remove(path("/etc/new")).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
}

#[test]
fn a_refused_write_writes_nothing() {
    let mut disk = world();
    let mut file = disk.create(path("/etc/new")).unwrap();
    disk.set_faults([Fault::FailChange { at: 0, errno: Errno::Access, repeat: Repeat::Once }]);
    assert_eq!(errno(disk.write_all(b"1234", &mut file)), is(Errno::Access));
    assert_eq!(content("/etc/new", &disk).as_deref(), Some(""));
}

#[test]
fn a_machine_that_is_down_stays_down_until_the_crash_is_over() {
    let mut disk = world();
    disk.set_faults([Fault::CrashAtChange { at: 1 }]);
    let file = disk.create(path("/etc/new")).unwrap();
    assert!(disk.remove(path("/etc/a.crt")).is_err());
    assert!(disk.is_down());
    assert!(disk.remove(path("/etc/b.key")).is_err());
    assert!(disk.stat(path("/etc/b.key")).is_err());
    assert!(disk.read(path("/etc/b.key"), 9).is_err());
    assert!(disk.sync(&file).is_err());
    assert_eq!((disk.changes(), disk.reads()), (2, 0));

    disk.crash(Survival::Everything);
    assert!(!disk.is_down());
    assert!(content("/etc/a.crt", &disk).is_some());
    disk.remove(path("/etc/a.crt")).unwrap();
}

#[test]
fn a_crash_can_tear_a_write() {
    let mut disk = world();
    let mut file = disk.create(path("/etc/new")).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
    disk.set_faults([Fault::CrashAtChange { at: 0 }]);
    assert!(disk.write_all(b"1234", &mut file).is_err());
    assert_eq!(content("/etc/new", &crashed(Survival::Nothing, &disk)).as_deref(), Some(""));
    assert_eq!(content("/etc/new", &crashed(Survival::Everything, &disk)).as_deref(), Some("12"));
}

#[test]
fn a_crash_ends_the_script() {
    let mut disk = world();
    disk.set_faults([Fault::FailChange { at: 0, errno: Errno::ReadOnly, repeat: Repeat::FromThenOn }]);
    assert!(disk.remove(path("/etc/a.crt")).is_err());
    disk.crash(Survival::Nothing);
    disk.remove(path("/etc/a.crt")).unwrap();
    assert_eq!(disk.changes(), 2);
}

#[test]
fn the_log_names_each_change() {
    let mut disk = world();
    write_flushed("/etc/new", "new", &mut disk);
    disk.stat(path("/etc/new")).unwrap();
    disk.rename(path("/etc/new"), path("/etc/a.crt")).unwrap();
    assert!(disk.remove(path("/etc/new")).is_err());
    let log: Vec<_> = disk.log().iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
    let expected = [
        ("create", "/etc/new"),
        ("write_all", "/etc/new"),
        ("sync", "/etc/new"),
        ("rename", "/etc/a.crt"),
        ("remove", "/etc/new"),
    ];
    assert_eq!(log, expected);
    disk.set_faults([]);
    assert_eq!(disk.operations(), 0);
}

#[test]
fn a_small_disk_fills_up() {
    let mut disk = world();
    // The root, `/etc` and the two files in it.
    disk.set_capacity(4 * 4096);
    assert_eq!(disk.space(path("/etc")).unwrap().bytes, 0);
    assert_eq!(errno(disk.create(path("/etc/new"))), is(Errno::NoSpace));
    assert_eq!(errno(disk.create_directory(path("/work"), 0o700)), is(Errno::NoSpace));

    disk.set_capacity(6 * 4096);
    let mut file = disk.create(path("/etc/new")).unwrap();
    assert_eq!(errno(disk.write_all(&[1; 10_000], &mut file)), is(Errno::NoSpace));
    assert_eq!(disk.stat(path("/etc/new")).unwrap().unwrap().size, 8192);
    disk.remove(path("/etc/new")).unwrap();
    assert_eq!(disk.space(path("/etc")).unwrap().bytes, 8192);
}

#[test]
fn debug_shows_no_content() {
    let mut disk = world();
    let file = write("/etc/new", "swordfish", &mut disk);
    assert!(!format!("{disk:?} {file:?}").contains("swordfish"));
}

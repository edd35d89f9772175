//! The cases of a recovery, one by one: the table in the documentation of `kubecerts_host::disk::recovery`, and what
//! somebody else may do to a tree meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::Expected;
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_host::disk::backup;
use kubecerts_host::disk::recovery::{self, Outcome, Reason, Verdict};
use kubecerts_host::disk::{Disk as _, DiskError, Stat};
use kubecerts_host::sim::{Errno, Fault, Repeat, SimDisk, Survival};
use kubecerts_testkit::path;

use crate::world::{CERTIFICATE, KEY, Side, World};

#[test]
fn a_journal_whose_first_record_is_torn_is_discarded() {
    let world = World::pair();
    let disk = crashed(&world, world.points.begun.0);
    assert!(disk.files().contains_key(&world.journal()));
    let (verdict, changed, disk) = recovered(&world, disk);
    assert_eq!((verdict, changed), (Verdict::RollBack(Reason::NotBegun), vec![]));
    assert!(ended(&world, Side::Old, &disk).is_empty(), "there is nothing to report");
}

#[test]
fn a_run_that_has_begun_is_rolled_back() {
    let world = World::pair();
    for at in [world.points.begun.1 + 2, world.points.prepared.0] {
        let (verdict, changed, disk) = recovered(&world, crashed(&world, at));
        assert_eq!((verdict, changed), (Verdict::RollBack(Reason::NotPrepared), vec![]), "{at}");
        assert!(ended(&world, Side::Old, &disk).contains(r#""outcome":"rolled-back","recovered":true"#));
        assert!(backup::list(&world.state, &disk).unwrap().is_empty());
    }
}

#[test]
fn a_run_that_was_prepared_is_finished() {
    let world = World::pair();
    for (at, remaining) in [(1, vec![KEY, CERTIFICATE]), (2, vec![CERTIFICATE]), (3, vec![])] {
        let (verdict, changed, disk) = recovered(&world, crashed(&world, world.points.prepared.1 + at));
        assert_eq!((verdict, changed), (Verdict::Finish(Reason::Prepared), remaining), "{at}");
        assert!(ended(&world, Side::New, &disk).contains(r#""outcome":"finished","recovered":true"#));
    }
}

#[test]
fn a_run_that_was_committed_is_tidied_up() {
    let world = World::pair();
    let (verdict, changed, disk) = recovered(&world, crashed(&world, world.points.committed.1 + 1));
    assert_eq!((verdict, changed), (Verdict::Finish(Reason::Committed), vec![]));
    ended(&world, Side::New, &disk);
}

#[test]
fn a_run_that_was_putting_things_back_is_rolled_back() {
    let world = World::pair();
    let mut disk = world.disk.clone();
    // The second rename fails, the record `undo` is written and flushed, and the first file is about to be put back.
    let second = world.points.prepared.1 + 2;
    disk.set_faults([
        Fault::FailChange { at: second, errno: Errno::Io, repeat: Repeat::Once },
        Fault::CrashAtChange { at: second + 3 },
    ]);
    let _ = world.run(&mut disk).unwrap_err();
    disk.crash(Survival::Everything);
    let (verdict, changed, disk) = recovered(&world, disk);
    let reason = format!("cannot replace {CERTIFICATE}: renaming the file failed");
    assert_eq!((verdict, changed), (Verdict::RollBack(Reason::Undoing(reason)), vec![KEY]));
    ended(&world, Side::Old, &disk);
}

#[test]
fn a_run_that_has_ended_only_has_its_journal_moved() {
    let world = World::pair();
    let (verdict, changed, disk) = recovered(&world, crashed(&world, world.points.ended.1 + 1));
    assert_eq!((verdict, changed), (Verdict::Finish(Reason::Ended), vec![]));
    assert!(ended(&world, Side::New, &disk).contains(r#""outcome":"finished","recovered":false"#));
}

#[test]
fn a_file_that_somebody_changed_after_the_preparation_stops_the_recovery() {
    let world = World::pair();
    for (foreign, other) in [(KEY, CERTIFICATE), (CERTIFICATE, KEY)] {
        let mut disk = half_way(&world);
        disk.put_file(foreign, "foreign", 0o600);
        let before = disk.entries();
        let error = world.examine(&disk).unwrap_err();
        let DiskError::Foreign { path: found_at, found } = error else { panic!("{error:?}") };
        assert_eq!((found_at, found), (path(foreign), Expected::Content(Digest::of(b"foreign"))));
        assert_eq!(disk.entries(), before);

        // Who gives up keeps every file but the temporary ones, and the backup.
        let kept = disk.files()[Path::new(other)].clone();
        recovery::abandon(&world.root, &world.state, &mut disk).unwrap();
        let files = disk.files();
        assert_eq!((&*files[Path::new(foreign)].1, &files[Path::new(other)]), (&b"foreign"[..], &kept));
        assert_eq!(names(&disk), ["a.crt", "a.key"]);
        assert_eq!(world.examine(&disk).unwrap(), None);
        assert!(record(&world, &disk).contains(r#""outcome":"abandoned""#));
        assert!(backup::find(Some(&world.id), &world.state, &disk).is_ok());
    }
}

#[test]
fn a_new_file_that_is_gone_or_damaged_rolls_the_run_back() {
    let world = World::pair();
    let (temporary, _) = temporary(1);
    for is_gone in [true, false] {
        let mut disk = half_way(&world);
        match is_gone {
            true => disk.put_nothing(&temporary),
            false => disk.put_file(&temporary, "torn", 0o644),
        }
        let (verdict, changed, disk) = recovered(&world, disk);
        let reason = Reason::NewFileGone(path(CERTIFICATE));
        assert_eq!((verdict, changed), (Verdict::RollBack(reason), vec![KEY]));
        ended(&world, Side::Old, &disk);
    }
}

#[test]
fn an_old_file_that_is_gone_is_named_when_the_run_cannot_be_finished_either() {
    let world = World::pair();
    let mut disk = half_way(&world);
    let (_, kept) = temporary(0);
    disk.put_nothing(&kept);
    // As long as the run can be finished, nobody misses it.
    let verdict = world.examine(&disk).unwrap().unwrap().verdict().clone();
    assert_eq!(verdict, Verdict::Finish(Reason::Prepared));
    disk.put_nothing(temporary(1).0);
    let before = disk.entries();
    let error = world.examine(&disk).unwrap_err();
    let DiskError::Lost { path: lost, kept: named } = error else { panic!("{error:?}") };
    assert_eq!((lost, PathBuf::from(named.as_str())), (path(KEY), kept));
    assert_eq!(disk.entries(), before);
}

#[test]
fn a_run_that_cannot_be_put_back_is_finished_if_it_can() {
    let world = World::pair();
    let mut disk = world.disk.clone();
    let second = world.points.prepared.1 + 2;
    disk.set_faults([
        Fault::FailChange { at: second, errno: Errno::Io, repeat: Repeat::Once },
        Fault::CrashAtChange { at: second + 3 },
    ]);
    let _ = world.run(&mut disk).unwrap_err();
    disk.crash(Survival::Everything);
    disk.put_nothing(temporary(0).1);
    let (verdict, changed, disk) = recovered(&world, disk);
    let reason = Reason::OldFileGone(path(KEY));
    assert_eq!((verdict, changed), (Verdict::Finish(reason), vec![CERTIFICATE]));
    ended(&world, Side::New, &disk);
}

#[test]
fn a_journal_that_names_files_of_others_is_refused() {
    let world = World::pair();
    let (temporary, kept) = temporary(0);
    let (temporary, kept) = (temporary.to_str().unwrap(), kept.to_str().unwrap());
    for (from, to) in [
        (temporary, "/etc/ssl/shadow.new"),
        (temporary, "/root/.kubecerts-0.new"),
        (temporary, "/etc/ssl/.kubecerts-/../../../root/.kubecerts-0.new"),
        (temporary, kept),
        (kept, "/etc/ssl/a.crt"),
        (r#""target":"/etc/ssl/a.key""#, r#""target":"/root/a.key""#),
        (r#""target":"/etc/ssl/a.key""#, r#""target":"a.key""#),
    ] {
        let mut disk = half_way(&world);
        forge(&world, from, to, &mut disk);
        let before = disk.entries();
        let error = world.examine(&disk).unwrap_err();
        assert!(matches!(error, DiskError::JournalDamaged { .. }), "{to}: {error:?}");
        let error = recovery::abandon(&world.root, &world.state, &mut disk).unwrap_err();
        assert!(matches!(error, DiskError::JournalDamaged { .. }), "{to}: {error:?}");
        assert_eq!(disk.entries(), before, "{to}");
    }
}

#[test]
fn a_directory_that_has_become_a_link_is_refused_and_can_be_given_up() {
    let world = World::pair();
    let mut disk = half_way(&world);
    disk.put_nothing("/etc/ssl");
    disk.put_file("/root/a.key", "mine", 0o600);
    disk.put_link("/etc/ssl", "/root");
    let before = disk.entries();
    let error = world.examine(&disk).unwrap_err();
    let DiskError::Refused { problem: ReadProblem::Failed(problem), .. } = &error else {
        panic!("{error:?}")
    };
    assert!(problem.contains("has become a link to /root"), "{problem}");
    let stay = recovery::abandon(&world.root, &world.state, &mut disk).unwrap();
    assert!(stay.iter().all(|path| path.as_str().starts_with("/etc/ssl/.kubecerts-")), "{stay:?}");
    assert!(!stay.is_empty() && world.examine(&disk).unwrap().is_none());
    let outside = |entries: BTreeMap<PathBuf, Stat>| {
        entries.into_iter().filter(|(path, _)| !path.starts_with("/var")).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(outside(disk.entries()), outside(before));
}

#[test]
fn a_directory_that_is_gone_took_the_run_s_files_with_it() {
    let world = World::pair();
    let mut disk = half_way(&world);
    disk.put_nothing("/etc/ssl");
    // What is neither old nor new is named; given up, nothing is left of the run.
    assert!(world.examine(&disk).is_err());
    assert_eq!(recovery::abandon(&world.root, &world.state, &mut disk).unwrap(), []);
    assert!(world.examine(&disk).unwrap().is_none());
}

#[test]
fn a_run_that_can_be_recovered_is_not_given_up() {
    let world = World::pair();
    let mut disk = half_way(&world);
    let before = disk.entries();
    let error = recovery::abandon(&world.root, &world.state, &mut disk).unwrap_err();
    assert!(matches!(error, DiskError::Recoverable { .. }), "{error:?}");
    assert_eq!(disk.entries(), before);
}

#[test]
fn a_recovery_that_fails_can_be_done_again() {
    for world in [World::pair(), World::linked()] {
        for start in [world.points.prepared.0, world.points.prepared.1 + 2, world.points.committed.1 + 1] {
            fail_the_recovery_everywhere(&world, start);
        }
    }
}

fn fail_the_recovery_everywhere(world: &World, start: usize) {
    let whole = crashed(world, start);
    let interrupted = world.examine(&whole).unwrap().unwrap();
    let mut undisturbed = whole.clone();
    undisturbed.set_faults([]);
    let _ = world.recover(&interrupted, &mut undisturbed).unwrap();
    for at in 0..undisturbed.changes() {
        let mut disk = whole.clone();
        disk.set_faults([Fault::FailChange { at, errno: Errno::Io, repeat: Repeat::Once }]);
        let outcome = world.recover(&interrupted, &mut disk);
        disk.set_faults([]);
        assert_eq!(world.broken_link(&world.image(&disk)), None, "{start}, {at}");
        let again = world.examine(&disk).unwrap();
        assert!(outcome.is_ok() || again.is_some(), "{start}, {at}");
        if let Some(interrupted) = again {
            let _ = world.recover(&interrupted, &mut disk).unwrap();
        }
        assert_eq!(world.side(&world.image(&disk)), world.side(&world.image(&undisturbed)), "{start}, {at}");
    }
}

#[test]
fn a_link_that_somebody_moved_after_the_preparation_stops_the_recovery_and_an_old_one_comes_back() {
    let world = World::linked();
    let link = "/var/lib/kubelet/pki/current.pem";
    // The link was switched: behind `prepared` there are the rename of the file, the flushes and its own rename.
    let rename = |disk: &SimDisk| {
        disk.log().iter().position(|(name, path)| *name == "rename" && path == Path::new(link)).unwrap()
    };
    let mut done = world.disk.clone();
    done.set_faults([]);
    let _ = world.run(&mut done).unwrap();
    let mut disk = crashed(&world, rename(&done) + 1);
    assert_eq!(disk.read_link(Path::new(link)).unwrap(), Path::new("/var/lib/kubelet/pki/two.pem"));
    let mut moved = disk.clone();
    moved.put_link(link, "/var/lib/kubelet/pki/rotated.pem");
    let error = world.examine(&moved).unwrap_err();
    let DiskError::Foreign { path: found_at, found } = error else { panic!("{error:?}") };
    assert_eq!(found_at, path(link));
    assert_eq!(found, Expected::Content(Digest::of(b"/var/lib/kubelet/pki/rotated.pem")));

    // One of the other new files is gone, so it is rolled back.
    let gone = disk.entries().into_keys().rfind(|path| path.to_string_lossy().ends_with(".new")).unwrap();
    disk.put_nothing(gone);
    let interrupted = world.examine(&disk).unwrap().unwrap();
    assert!(matches!(interrupted.verdict(), Verdict::RollBack(Reason::NewFileGone(_))));
    let _ = world.recover(&interrupted, &mut disk).unwrap();
    assert_eq!(world.side(&world.image(&disk)), Ok(Side::Old));
}

/// Returns the disk after a crash at the change `at`, with everything that happened until then.
fn crashed(world: &World, at: usize) -> SimDisk {
    let mut disk = world.disk.clone();
    disk.set_faults([Fault::CrashAtChange { at }]);
    let _ = world.run(&mut disk);
    disk.crash(Survival::Everything);
    disk
}

/// Returns the disk after a crash when the key is new and the certificate is not.
fn half_way(world: &World) -> SimDisk {
    let disk = crashed(world, world.points.prepared.1 + 2);
    assert_eq!(world.sides(&world.image(&disk)), Ok(vec![Some(Side::New), Some(Side::Old)]));
    disk
}

fn recovered(world: &World, mut disk: SimDisk) -> (Verdict, Vec<&'static str>, SimDisk) {
    let interrupted = world.examine(&disk).unwrap().unwrap();
    let recovered = world.recover(&interrupted, &mut disk).unwrap();
    assert_eq!(recovered.outcome, interrupted.verdict().outcome());
    let known = [KEY, CERTIFICATE].into_iter();
    let changed =
        known.filter(|known| recovered.changed.iter().any(|path| path.as_str() == *known)).collect();
    (interrupted.verdict().clone(), changed, disk)
}

/// Asserts that the run is over, and returns its record.
fn ended(world: &World, side: Side, disk: &SimDisk) -> String {
    assert_eq!(world.side(&world.image(disk)), Ok(side));
    assert_eq!(world.examine(disk).unwrap(), None);
    assert!(!disk.files().contains_key(&world.journal()));
    let outcome = if side == Side::Old { Outcome::RolledBack } else { Outcome::Finished };
    let record = record(world, disk);
    let words = if outcome == Outcome::Finished { "finished" } else { "rolled-back" };
    assert!(record.is_empty() || record.contains(words), "{record}");
    record
}

fn record(world: &World, disk: &SimDisk) -> String {
    let name = world.state.directory().join("audit").join(format!("{}.jsonl", world.id));
    disk.files().get(&name).map(|file| String::from_utf8(file.1.to_vec()).unwrap()).unwrap_or_default()
}

/// Returns the new file and the second name of the old one, before the switch.
fn temporary(index: usize) -> (PathBuf, PathBuf) {
    let name = |end: &str| PathBuf::from(format!("/etc/ssl/.kubecerts-000000000000feed{index:04x}.{end}"));
    (name("new"), name("old"))
}

fn names(disk: &SimDisk) -> Vec<String> {
    let below =
        |path: PathBuf| path.strip_prefix("/etc/ssl").ok().map(|name| name.to_str().unwrap().to_owned());
    disk.entries().into_keys().filter_map(below).filter(|name| !name.is_empty()).collect()
}

/// Changes the journal, and makes its checksums right again.
fn forge(world: &World, from: &str, to: &str, disk: &mut SimDisk) {
    let text = String::from_utf8(disk.files()[&world.journal()].1.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    let line = |line: &str| {
        let json = line.split_once(' ').unwrap().1.replace(from, to);
        let checksum = Digest::of(json.as_bytes()).to_string();
        format!("{} {json}\n", &checksum[..16])
    };
    let forged: String = text.lines().map(line).collect();
    disk.put_file(world.journal(), forged, 0o600);
}

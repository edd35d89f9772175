//! What a crash leaves.

use super::*;

#[test]
fn what_was_put_is_on_the_medium() {
    let disk = world();
    assert_eq!(disk.pending(), 0);
    assert_eq!(crashed(Survival::Nothing, &disk).files(), disk.files());
}

#[test]
fn a_file_survives_when_it_and_its_name_were_flushed() {
    let mut disk = world();
    write_flushed("/etc/new", "new", &mut disk);
    disk.sync_directory(path("/etc")).unwrap();
    assert_eq!(disk.pending(), 0);
    assert_eq!(content("/etc/new", &crashed(Survival::Nothing, &disk)).as_deref(), Some("new"));
}

#[test]
fn a_flushed_file_without_a_flushed_name_can_be_gone() {
    let mut disk = world();
    write_flushed("/etc/new", "new", &mut disk);
    assert_eq!(crashed(Survival::Nothing, &disk).files(), world().files());
}

#[test]
fn a_flushed_name_of_an_unflushed_file_can_be_empty_and_private() {
    let mut disk = world();
    let file = write("/etc/new", "new", &mut disk);
    disk.set_mode(0o644, &file).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
    let after = crashed(Survival::Nothing, &disk);
    let (mode, bytes) = &after.files()[path("/etc/new")];
    assert_eq!((*mode, bytes.len()), (0o600, 0));
}

#[test]
fn a_link_survives_with_its_text_or_not_at_all() {
    let mut disk = world();
    disk.symlink(path("a.crt"), path("/etc/link")).unwrap();
    let text = |disk: &SimDisk| disk.read_link(path("/etc/link")).ok();
    let found = outcomes(Survival::Seeded, &disk, text);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [None, Some("a.crt".into())]);
    disk.sync_directory(path("/etc")).unwrap();
    assert_eq!(text(&crashed(Survival::Nothing, &disk)), Some("a.crt".into()));
}

#[test]
fn everything_survives_if_it_is_to() {
    let mut disk = world();
    let file = write("/etc/new", "new", &mut disk);
    disk.set_mode(0o640, &file).unwrap();
    disk.rename(path("/etc/new"), path("/etc/a.crt")).unwrap();
    disk.remove(path("/etc/b.key")).unwrap();
    let after = crashed(Survival::Everything, &disk);
    assert_eq!(after.files(), disk.files());
    assert_eq!(after.entries(), disk.entries());
}

#[test]
fn an_unflushed_rename_is_lost_or_kept_as_a_whole() {
    let mut disk = world();
    disk.put_file("/work/new", "new", 0o600);
    disk.rename(path("/work/new"), path("/etc/a.crt")).unwrap();
    let look = |disk: &SimDisk| (content("/etc/a.crt", disk), content("/work/new", disk));

    let new = || Some("new".to_owned());
    let (lost, kept) = ((Some("old a".to_owned()), new()), (new(), None));
    assert_eq!(look(&crashed(Survival::Nothing, &disk)), lost);
    assert_eq!(look(&crashed(Survival::Everything, &disk)), kept);
    for survival in [Survival::Seeded, Survival::Prefix] {
        let outcomes = outcomes(survival, &disk, look);
        assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [kept.clone(), lost.clone()]);
    }
}

#[test]
fn flushing_either_directory_confirms_a_rename() {
    for directory in ["/etc", "/work"] {
        let mut disk = world();
        disk.put_file("/work/new", "new", 0o600);
        disk.rename(path("/work/new"), path("/etc/a.crt")).unwrap();
        disk.sync_directory(path(directory)).unwrap();
        assert_eq!(crashed(Survival::Nothing, &disk).files(), disk.files());
    }
}

#[test]
fn a_creation_does_not_bring_back_what_was_renamed_away() {
    let mut disk = world();
    disk.put_directory("/work", 0o700);
    write_flushed("/work/new", "new", &mut disk);
    disk.rename(path("/work/new"), path("/etc/new")).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
    // The creation in `/work` is still pending, and survives or not.
    assert_eq!(disk.pending(), 1);
    for seed in 0..SEEDS {
        assert_eq!(crashed(Survival::Seeded(seed), &disk).files(), disk.files());
    }
}

#[test]
fn a_rename_survives_the_loss_of_the_creation_before_it() {
    let mut disk = world();
    disk.put_directory("/work", 0o700);
    write_flushed("/work/new", "new", &mut disk);
    disk.rename(path("/work/new"), path("/etc/new")).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
    let after = crashed(Survival::Nothing, &disk);
    assert_eq!(content("/etc/new", &after).as_deref(), Some("new"));
    assert_eq!(content("/work/new", &after), None);
}

#[test]
fn seeds_let_renames_survive_in_any_combination() {
    let mut disk = world();
    for name in ["1", "2", "3"] {
        disk.put_file(format!("/etc/{name}.tmp"), "new", 0o600);
        disk.put_file(format!("/etc/{name}"), "old", 0o600);
    }
    for name in ["1", "2", "3"] {
        disk.rename(path(&format!("/etc/{name}.tmp")), path(&format!("/etc/{name}"))).unwrap();
    }
    let look = |disk: &SimDisk| ["1", "2", "3"].map(|name| content(&format!("/etc/{name}"), disk).unwrap());
    assert_eq!(outcomes(Survival::Seeded, &disk, look).len(), 8);
    // A journal keeps the order.
    let journal = outcomes(Survival::Prefix, &disk, look);
    let states = [["new", "new", "new"], ["new", "new", "old"], ["new", "old", "old"], ["old", "old", "old"]];
    assert_eq!(journal.into_keys().collect::<Vec<_>>(), states);
}

#[test]
fn a_flush_confirms_what_a_journal_holds_before_it() {
    let mut disk = world();
    disk.put_file("/work/new", "new", 0o600);
    disk.rename(path("/work/new"), path("/work/newer")).unwrap();
    disk.rename(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    disk.sync_directory(path("/etc")).unwrap();
    assert_eq!(disk.pending(), 1);
    for seed in 0..SEEDS {
        assert_eq!(crashed(Survival::Prefix(seed), &disk).files(), disk.files());
    }
}

#[test]
fn unflushed_content_is_empty_torn_full_of_zeros_or_whole() {
    for survival in [Survival::Seeded, Survival::Prefix] {
        let mut disk = world();
        let _file = write("/etc/new", "12345678", &mut disk);
        disk.sync_directory(path("/etc")).unwrap();
        let outcomes = outcomes(survival, &disk, |disk| content("/etc/new", disk).unwrap());
        for expected in ["", "1234", "1234\0\0\0\0", "\0\0\0\0\0\0\0\0", "12345678"] {
            assert!(outcomes.contains_key(expected), "{expected:?} is missing in {outcomes:?}");
        }
        for outcome in outcomes.keys() {
            let data = outcome.trim_end_matches('\0');
            assert!("12345678".starts_with(data), "{outcome:?}");
            assert!(data == outcome || outcome.len() == 8, "{outcome:?}");
        }
    }
}

#[test]
fn a_file_that_grows_keeps_what_was_flushed() {
    let mut disk = world();
    let mut file = disk.append(path("/etc/a.crt")).unwrap();
    disk.write_all(b" and", &mut file).unwrap();
    disk.write_all(b" new", &mut file).unwrap();
    assert_eq!(content("/etc/a.crt", &disk).as_deref(), Some("old a and new"));
    let outcomes = outcomes(Survival::Seeded, &disk, |disk| content("/etc/a.crt", disk).unwrap());
    assert!(outcomes.keys().all(|content| content.starts_with("old a")), "{outcomes:?}");
    assert!(outcomes.contains_key("old a") && outcomes.contains_key("old a and new"));
}

#[test]
fn facts_are_those_of_one_time() {
    let mut disk = world();
    let file = disk.append(path("/etc/a.crt")).unwrap();
    disk.set_owner(Owner { uid: 7, gid: 7 }, &file).unwrap();
    disk.set_mode(0o600, &file).unwrap();
    let look = |disk: &SimDisk| {
        let stat = disk.entries()[path("/etc/a.crt")];
        (stat.owner.uid, stat.mode)
    };
    let outcomes = outcomes(Survival::Seeded, &disk, look);
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [(0, 0o644), (7, 0o600), (7, 0o644)]);
    disk.sync(&file).unwrap();
    assert_eq!(look(&crashed(Survival::Nothing, &disk)), (7, 0o600));
}

#[test]
fn what_is_in_a_directory_without_a_name_is_gone() {
    let mut disk = world();
    disk.create_directory(path("/work"), 0o700).unwrap();
    write_flushed("/work/new", "new", &mut disk);
    disk.sync_directory(path("/work")).unwrap();
    assert_eq!(crashed(Survival::Nothing, &disk).entries(), world().entries());
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(crashed(Survival::Nothing, &disk).files(), disk.files());
}

#[test]
fn a_directory_has_one_name_after_a_crash() {
    let mut disk = world();
    disk.rename(path("/etc"), path("/etc2")).unwrap();
    disk.rename(path("/etc2"), path("/etc3")).unwrap();
    let outcomes = outcomes(Survival::Seeded, &disk, |disk| disk.files().into_keys().collect::<Vec<_>>());
    assert!(outcomes.keys().all(|files| files.len() == 2), "{outcomes:?}");
}

#[test]
fn a_flush_that_failed_cannot_be_repeated() {
    let mut disk = world();
    let file = write("/etc/new", "new", &mut disk);
    disk.sync_directory(path("/etc")).unwrap();
    disk.set_faults([Fault::FailChange { at: 0, errno: Errno::Io, repeat: Repeat::Once }]);
    assert_eq!(errno(disk.sync(&file)), is(Errno::Io));
    disk.sync(&file).unwrap();
    assert_eq!(content("/etc/new", &crashed(Survival::Nothing, &disk)).as_deref(), Some(""));
}

#[test]
fn a_failed_flush_of_a_directory_can_be_repeated() {
    let mut disk = world();
    disk.remove(path("/etc/a.crt")).unwrap();
    disk.set_faults([Fault::FailChange { at: 0, errno: Errno::Io, repeat: Repeat::Once }]);
    assert_eq!(errno(disk.sync_directory(path("/etc"))), is(Errno::Io));
    assert_eq!(content("/etc/a.crt", &crashed(Survival::Nothing, &disk)).as_deref(), Some("old a"));
    disk.sync_directory(path("/etc")).unwrap();
    assert_eq!(content("/etc/a.crt", &crashed(Survival::Nothing, &disk)), None);
}

#[test]
fn the_same_seed_leaves_the_same() {
    let mut disk = world();
    for name in ["1", "2", "3", "4"] {
        let _file = write(&format!("/etc/{name}"), "some content", &mut disk);
    }
    for seed in 0..SEEDS {
        let (first, second) =
            (crashed(Survival::Seeded(seed), &disk), crashed(Survival::Seeded(seed), &disk));
        assert_eq!(first.files(), second.files());
    }
}

#[test]
fn what_survived_one_crash_survives_the_next() {
    let mut disk = world();
    let _file = write("/etc/new", "new", &mut disk);
    for seed in 0..SEEDS {
        let after = crashed(Survival::Seeded(seed), &disk);
        assert_eq!(after.pending(), 0);
        assert_eq!(crashed(Survival::Nothing, &after).files(), after.files());
    }
}

#[test]
fn handles_die() {
    let mut disk = world();
    let mut file = write("/etc/new", "new", &mut disk);
    disk.crash(Survival::Everything);
    assert!(disk.write_all(b"more", &mut file).is_err());
    assert!(disk.sync(&file).is_err());
    assert!(disk.set_mode(0o600, &file).is_err());
    assert!(disk.owner(&file).is_err());
    assert_eq!(content("/etc/new", &disk).as_deref(), Some("new"));
}

#[test]
fn somebody_else_can_change_the_world_in_between() {
    let mut disk = world();
    disk.rename(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    disk.put_file("/etc/b.key", "by somebody else", 0o600);
    disk.put_file("/etc/c.crt", "by somebody else", 0o600);
    disk.put_nothing("/etc/c.crt");
    let after = crashed(Survival::Nothing, &disk);
    assert_eq!(content("/etc/b.key", &after).as_deref(), Some("by somebody else"));
    assert_eq!(content("/etc/c.crt", &after), None);
}

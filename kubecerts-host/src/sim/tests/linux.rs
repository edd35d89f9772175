//! What the operations do when nothing goes wrong.

use kubecerts_core::snapshot::ReadProblem;

use super::*;
use crate::disk::{Kind, Labels};

#[test]
fn creation_is_exclusive_and_private() {
    let mut disk = world();
    disk.put_link("/etc/link", "nowhere");
    assert_eq!(errno(disk.create(path("/etc/a.crt"))), is(Errno::Exists));
    assert_eq!(errno(disk.create(path("/etc/link"))), is(Errno::Exists));
    assert_eq!(errno(disk.create(path("/none/new"))), is(Errno::NotFound));
    assert_eq!(errno(disk.create(path("/etc/a.crt/new"))), is(Errno::NotADirectory));
    assert_eq!(errno(disk.create(path("relative"))), is(Errno::Invalid));
    disk.create(path("/etc/new")).unwrap();
    assert_eq!(disk.stat(path("/etc/new")).unwrap().unwrap().mode, 0o600);
}

#[test]
fn links_are_shown_and_not_followed() {
    let mut disk = world();
    disk.put_link("/etc/link", "a.crt");
    disk.put_link("/link", "etc");
    assert_eq!(disk.stat(path("/etc/link")).unwrap().unwrap().kind, Kind::Link);
    assert_eq!(disk.read_link(path("/etc/link")).unwrap(), path("a.crt"));
    assert_eq!(errno(disk.read_link(path("/etc/a.crt"))), is(Errno::Invalid));
    assert_eq!(errno(disk.append(path("/etc/link"))), is(Errno::Loop));
    assert_eq!(errno(disk.labels(path("/etc/link"))), is(Errno::Loop));
    assert_eq!(errno(disk.stat(path("/link/a.crt"))), is(Errno::NotADirectory));
    assert_eq!(disk.read(path("/etc/link"), 9).unwrap_err(), ReadProblem::NotAFile("link".to_owned()));
}

#[test]
fn a_link_is_made_where_there_is_nothing_and_has_a_second_name_like_a_file() {
    let mut disk = world();
    assert_eq!(errno(disk.symlink(path("x"), path("/etc/a.crt"))), is(Errno::Exists));
    assert_eq!(errno(disk.symlink(path("x"), path("/none/link"))), is(Errno::NotFound));
    disk.symlink(path("x"), path("/etc/link")).unwrap();
    assert_eq!(errno(disk.symlink(path("y"), path("/etc/link"))), is(Errno::Exists));
    disk.link(path("/etc/link"), path("/etc/kept")).unwrap();
    disk.symlink(path("y"), path("/etc/new")).unwrap();
    disk.rename(path("/etc/new"), path("/etc/link")).unwrap();
    assert_eq!(disk.read_link(path("/etc/link")).unwrap(), path("y"));
    assert_eq!(disk.read_link(path("/etc/kept")).unwrap(), path("x"));
}

#[test]
fn a_directory_is_held_when_no_link_leads_there() {
    let mut disk = world();
    disk.put_link("/link", "etc");
    let held = disk.hold(path("/etc")).unwrap();
    assert_eq!((held.path(), held.way().len()), (path("/etc"), 2));
    assert_eq!(errno(disk.hold(path("/link"))), is(Errno::NotADirectory));
    assert_eq!(errno(disk.hold(path("/etc/a.crt"))), is(Errno::NotADirectory));
    assert_eq!(errno(disk.hold(path("/none"))), is(Errno::NotFound));
}

#[test]
fn only_regular_files_within_the_limit_are_read() {
    let mut disk = world();
    disk.put_special("/etc/pipe", Kind::Pipe, 0o600);
    let not = |kind: &str| ReadProblem::NotAFile(kind.to_owned());
    assert_eq!(disk.read(path("/etc"), 9).unwrap_err(), not("directory"));
    assert_eq!(disk.read(path("/etc/pipe"), 9).unwrap_err(), not("named pipe"));
    assert_eq!(disk.read(path("/etc/a.crt"), 4).unwrap_err(), ReadProblem::TooLarge { size: 5, limit: 4 });
    let found = disk.read(path("/etc/a.crt"), 5).unwrap().unwrap();
    assert_eq!(found.content.secret_bytes(), b"old a");
    assert_eq!(Some(found.stat), disk.stat(path("/etc/a.crt")).unwrap());
    assert!(disk.read(path("/etc/none"), 9).unwrap().is_none());
    assert!(disk.read(path("/none/none"), 9).unwrap().is_none());
}

#[test]
fn directories_are_listed_in_order() {
    let disk = world();
    assert_eq!(disk.list(path("/etc")).unwrap(), ["a.crt", "b.key"]);
    assert_eq!(disk.list(path("/")).unwrap(), ["etc"]);
    assert_eq!(errno(disk.list(path("/etc/a.crt"))), is(Errno::NotADirectory));
    assert_eq!(errno(disk.list(path("/none"))), is(Errno::NotFound));
}

#[test]
fn hard_links_share_a_file() {
    let mut disk = world();
    assert_eq!(errno(disk.link(path("/etc/a.crt"), path("/etc/b.key"))), is(Errno::Exists));
    assert_eq!(errno(disk.link(path("/etc"), path("/etc2"))), is(Errno::NotPermitted));
    disk.link(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    let mut file = disk.append(path("/etc/c.crt")).unwrap();
    disk.write_all(b"!", &mut file).unwrap();
    assert_eq!(content("/etc/a.crt", &disk).as_deref(), Some("old a!"));
}

#[test]
fn a_rename_between_two_names_of_one_file_does_nothing() {
    let mut disk = world();
    disk.link(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    disk.rename(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    assert_eq!(disk.list(path("/etc")).unwrap(), ["a.crt", "b.key", "c.crt"]);
    assert_eq!(errno(disk.rename_new(path("/etc/a.crt"), path("/etc/c.crt"))), is(Errno::Exists));
}

#[test]
fn a_rename_fits_what_it_replaces() {
    let mut disk = world();
    disk.put_directory("/empty", 0o700);
    disk.put_directory("/full/of", 0o700);
    let mut rename = |from, to| errno(disk.rename(path(from), path(to)));
    assert_eq!(rename("/etc/a.crt", "/empty"), is(Errno::IsADirectory));
    assert_eq!(rename("/empty", "/etc/a.crt"), is(Errno::NotADirectory));
    assert_eq!(rename("/empty", "/full"), is(Errno::NotEmpty));
    assert_eq!(rename("/full", "/full/of/itself"), is(Errno::Invalid));
    assert_eq!(rename("/none", "/etc/a.crt"), is(Errno::NotFound));
    assert_eq!(rename("/etc/a.crt", "/none/a.crt"), is(Errno::NotFound));
    assert_eq!(rename("/full", "/empty"), None);
    assert_eq!(rename("/etc/a.crt", "/etc/b.key"), None);
    assert_eq!(content("/etc/b.key", &disk).as_deref(), Some("old a"));
}

#[test]
fn a_rename_to_a_new_name_replaces_nothing() {
    let mut disk = world();
    assert_eq!(errno(disk.rename_new(path("/etc/a.crt"), path("/etc/b.key"))), is(Errno::Exists));
    disk.rename_new(path("/etc/a.crt"), path("/etc/c.crt")).unwrap();
    assert_eq!(disk.list(path("/etc")).unwrap(), ["b.key", "c.crt"]);
}

#[test]
fn nothing_is_renamed_to_another_file_system() {
    let mut disk = world();
    disk.put_mount("/mnt", 7);
    disk.put_file("/mnt/file", "there", 0o600);
    assert_eq!(disk.stat(path("/mnt/file")).unwrap().unwrap().device, 7);
    assert_eq!(errno(disk.rename(path("/etc/a.crt"), path("/mnt/a.crt"))), is(Errno::CrossDevice));
    assert_eq!(errno(disk.rename_new(path("/mnt/file"), path("/etc/file"))), is(Errno::CrossDevice));
    assert_eq!(errno(disk.link(path("/mnt/file"), path("/etc/file"))), is(Errno::CrossDevice));
}

#[test]
fn only_empty_directories_are_removed() {
    let mut disk = world();
    assert_eq!(errno(disk.remove(path("/etc"))), is(Errno::IsADirectory));
    assert_eq!(errno(disk.remove_directory(path("/etc"))), is(Errno::NotEmpty));
    assert_eq!(errno(disk.remove_directory(path("/etc/a.crt"))), is(Errno::NotADirectory));
    assert_eq!(errno(disk.remove(path("/none"))), is(Errno::NotFound));
    disk.create_directory(path("/etc/sub"), 0o750).unwrap();
    assert_eq!(disk.stat(path("/etc/sub")).unwrap().unwrap().mode, 0o750);
    assert_eq!(errno(disk.create_directory(path("/etc/sub"), 0o750)), is(Errno::Exists));
    disk.remove_directory(path("/etc/sub")).unwrap();
    assert_eq!(disk.stat(path("/etc/sub")).unwrap(), None);
}

#[test]
fn only_root_gives_files_away() {
    let mut disk = world();
    assert!(disk.is_privileged());
    let user = Owner { uid: 7, gid: 8 };
    disk.set_user(user);
    assert!(!disk.is_privileged());
    let file = disk.create(path("/etc/new")).unwrap();
    assert_eq!(disk.owner(&file).unwrap(), user);
    disk.set_owner(user, &file).unwrap();
    assert_eq!(errno(disk.set_owner(Owner { uid: 0, gid: 0 }, &file)), is(Errno::NotPermitted));
}

#[test]
fn a_new_owner_takes_the_right_to_run_as_the_owner_away() {
    let mut disk = world();
    let file = disk.append(path("/etc/a.crt")).unwrap();
    disk.set_mode(0o6755, &file).unwrap();
    disk.set_owner(Owner { uid: 7, gid: 8 }, &file).unwrap();
    assert_eq!(disk.stat(path("/etc/a.crt")).unwrap().unwrap().mode, 0o755);
}

#[test]
fn labels_are_kept() {
    let mut disk = world();
    let labels = |value: &[u8]| Labels(BTreeMap::from([("user.note".to_owned(), value.to_vec())]));
    disk.put_labels("/etc/a.crt", labels(b"1"));
    assert_eq!(disk.labels(path("/etc/a.crt")).unwrap(), labels(b"1"));
    let file = disk.append(path("/etc/a.crt")).unwrap();
    disk.set_labels(&labels(b"2"), &file).unwrap();
    assert_eq!(disk.labels(path("/etc/a.crt")).unwrap(), labels(b"2"));
    assert_eq!(disk.labels(path("/etc/b.key")).unwrap(), Labels::default());
}

#[test]
fn a_change_of_content_moves_the_time_and_not_the_inode() {
    let mut disk = world();
    let before = disk.stat(path("/etc/a.crt")).unwrap().unwrap();
    disk.put_file("/etc/a.crt", "new a", 0o600);
    let after = disk.stat(path("/etc/a.crt")).unwrap().unwrap();
    assert_eq!(before.inode, after.inode);
    assert!(before.modified < after.modified);
}

#[test]
fn a_handle_outlives_the_name() {
    let mut disk = world();
    let mut file = write("/etc/new", "new", &mut disk);
    disk.remove(path("/etc/new")).unwrap();
    disk.write_all(b"more", &mut file).unwrap();
    disk.sync(&file).unwrap();
    assert_eq!(disk.files(), world().files());
}

#[test]
fn errors_have_the_kinds_that_linux_gives_them() {
    let kind = |errno| io::Error::from(errno).kind();
    assert_eq!(kind(Errno::NotFound), io::ErrorKind::NotFound);
    assert_eq!(kind(Errno::Access), io::ErrorKind::PermissionDenied);
    assert_eq!(kind(Errno::Exists), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(Errno::CrossDevice), io::ErrorKind::CrossesDevices);
    assert_eq!(kind(Errno::NotADirectory), io::ErrorKind::NotADirectory);
    assert_eq!(kind(Errno::IsADirectory), io::ErrorKind::IsADirectory);
    assert_eq!(kind(Errno::NoSpace), io::ErrorKind::StorageFull);
    assert_eq!(kind(Errno::ReadOnly), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(Errno::NotEmpty), io::ErrorKind::DirectoryNotEmpty);
}

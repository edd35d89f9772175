//! Files of users, who may do what they like in their homes.

use super::*;
use crate::disk::{Disk, Kind, Owner};
use crate::sim::SimDisk;

const CONFIG: &str = "/home/user/.kube/config";
const USER: Owner = Owner { uid: 1000, gid: 1000 };

fn world() -> SimDisk {
    let mut disk = SimDisk::new();
    disk.put_file(CONFIG, "old", 0o640);
    for path in ["/home/user", "/home/user/.kube", CONFIG] {
        disk.put_owner(path, USER);
    }
    disk
}

fn write(disk: &mut SimDisk, at: &str) -> Result<Done, DiskError> {
    let root = Root::assumed("/".into());
    let state = State::locate(&path("/var/lib/kubecerts"), &root, disk).unwrap();
    let path = path(at);
    let becomes = Becomes::File { content: b"new", mode: 0o640, facts: None };
    let items = vec![Item { path: &path, reach: Reach::Home, expected: old("old"), becomes }];
    let now = Timestamp::from_unix(0);
    replace(
        &Request { items, purpose: Purpose::new("test"), now, token: 1 },
        &root,
        &state,
        disk,
        &mut |_| {},
    )
}

#[test]
fn a_file_in_a_home_keeps_its_owner_group_mode_and_labels() {
    let mut disk = world();
    let labels = Labels(BTreeMap::from([("user.role".to_owned(), b"copy".to_vec())]));
    disk.put_labels(CONFIG, labels.clone());
    disk.put_owner(CONFIG, Owner { gid: 50, ..USER });
    let _ = write(&mut disk, CONFIG).unwrap();
    let stat = disk.entries()[Path::new(CONFIG)];
    assert_eq!((stat.mode, stat.owner), (0o640, Owner { gid: 50, ..USER }));
    assert_eq!(disk.labels(Path::new(CONFIG)).unwrap(), labels);
    assert_eq!(&*disk.files()[Path::new(CONFIG)].1, b"new");
    // The owner is set before there is a content, and both before the name.
    let order = ["create", "set_owner", "set_mode", "write_all", "sync", "rename"];
    let of_new = |(name, path): &(&'static str, PathBuf)| {
        (path.starts_with("/home") && order.contains(name)).then_some(*name)
    };
    assert_eq!(disk.log().iter().filter_map(of_new).collect::<Vec<_>>(), order);
}

#[test]
fn what_a_user_could_turn_elsewhere_is_refused() {
    type Touch = fn(&mut SimDisk);
    type IsSo = fn(&DiskError) -> bool;
    let link: IsSo = |error| matches!(error, DiskError::LinkOnTheWay { .. });
    let open: IsSo = |error| matches!(error, DiskError::OpenDirectory { .. });
    let other: IsSo = |error| matches!(error, DiskError::OthersDirectory { .. });
    let cases: [(&str, Touch, IsSo); 9] = [
        ("a link for the directory", |disk| relocate("/home/user/.kube", disk), link),
        (
            "a link for the file",
            |disk| {
                disk.put_file("/home/user/elsewhere", "old", 0o600);
                disk.put_link(CONFIG, "/home/user/elsewhere");
            },
            link,
        ),
        (
            "a link for the home that others made",
            |disk| {
                relocate("/home/user", disk);
                disk.put_directory("/home", 0o777);
            },
            link,
        ),
        ("an open directory", |disk| disk.put_directory("/home/user/.kube", 0o777), open),
        ("a sticky one", |disk| disk.put_directory("/home/user/.kube", 0o1777), open),
        ("an open home", |disk| disk.put_directory("/home/user", 0o757), open),
        (
            "a directory of a group",
            |disk| {
                disk.put_owner("/home/user/.kube", Owner { gid: 50, ..USER });
                disk.put_directory("/home/user/.kube", 0o775);
            },
            open,
        ),
        ("a directory of another user", |disk| disk.put_owner("/home/user", Owner { uid: 7, gid: 7 }), other),
        ("a file of another user", |disk| disk.put_owner(CONFIG, Owner { uid: 7, gid: 7 }), other),
    ];
    for (name, touch, is_so) in cases {
        let mut disk = world();
        touch(&mut disk);
        let before = disk.entries();
        let error = write(&mut disk, CONFIG).unwrap_err();
        assert!(is_so(&error), "{name}: {error:?}");
        assert_eq!(disk.entries(), before, "{name}");
    }
}

#[test]
fn what_the_administrator_has_arranged_is_followed() {
    type Touch = fn(&mut SimDisk);
    let cases: [(&str, Touch); 4] = [
        ("homes on another disk", |disk| relocate("/home", disk)),
        ("one home on another disk", |disk| relocate("/home/user", disk)),
        ("a private group", |disk| disk.put_directory("/home/user/.kube", 0o775)),
        ("a sticky directory above", |disk| disk.put_directory("/home", 0o1777)),
    ];
    for (name, touch) in cases {
        let mut disk = world();
        touch(&mut disk);
        let done = write(&mut disk, CONFIG).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(done.leftovers, [], "{name}");
        assert_eq!(&*disk.files()[Path::new(done.replaced[0].target.as_str())].1, b"new", "{name}");
    }
}

/// Moves a directory of the user's to `/data`, and leaves a link.
fn relocate(at: &str, disk: &mut SimDisk) {
    let rest = CONFIG.strip_prefix(at).unwrap();
    disk.put_nothing(at);
    disk.put_file(format!("/data{rest}"), "old", 0o640);
    let entries = disk.entries().into_keys().filter(|path| path.starts_with("/data"));
    let theirs = |path: &PathBuf| at != "/home" || path != Path::new("/data");
    for path in entries.filter(theirs).collect::<Vec<_>>() {
        disk.put_owner(path, USER);
    }
    disk.put_link(at, "/data");
}

#[test]
fn a_directory_that_is_swapped_for_a_link_while_files_are_staged_is_not_followed() {
    let world = World::new();
    for name in ["home/user/.kube", "etc/victim"] {
        fs::create_dir_all(world.at(name)).unwrap();
        fs::write(world.at(&format!("{name}/config")), "old").unwrap();
    }
    let config = path(CONFIG);
    for moment in 0..2 {
        let (before, after) = [("old", "new"), ("new", "newer")][moment];
        let becomes = Becomes::File { content: after.as_bytes(), mode: 0o600, facts: None };
        let items = vec![Item { path: &config, reach: Reach::Home, expected: old(before), becomes }];
        let done = world.replace_watched(items, &mut |event| {
            let is_now = match event {
                Event::BackedUp { .. } => moment == 0,
                Event::Staged { .. } => moment == 1,
                _ => false,
            };
            if is_now {
                fs::rename(world.at("home/user/.kube"), world.at("home/user/moved")).unwrap();
                symlink("../../etc/victim", world.at("home/user/.kube")).unwrap();
            }
        });
        assert_eq!(done.unwrap().leftovers, []);
        assert_eq!(world.text("home/user/moved/config").as_deref(), Some(after));
        let names = fs::read_dir(world.at("etc/victim")).unwrap().count();
        assert_eq!((world.text("etc/victim/config").as_deref(), names), (Some("old"), 1));
        fs::remove_file(world.at("home/user/.kube")).unwrap();
        fs::rename(world.at("home/user/moved"), world.at("home/user/.kube")).unwrap();
    }
}

#[test]
fn a_directory_is_held_by_what_it_is_and_not_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("a/b")).unwrap();
    let held = RealDisk.hold(&root.join("a/b")).unwrap();
    assert!(held.way().iter().all(|(_, stat)| stat.kind == Kind::Directory));
    assert_eq!(held.way().last().unwrap().0, root.join("a/b"));
    fs::rename(root.join("a"), root.join("moved")).unwrap();
    fs::write(held.path().join("file"), "x").unwrap();
    assert_eq!(fs::read_to_string(root.join("moved/b/file")).unwrap(), "x");
    symlink("moved", root.join("a")).unwrap();
    for way in ["a", "a/b", "moved/b/file", "gone"] {
        assert!(RealDisk.hold(&root.join(way)).is_err(), "{way}");
    }
}

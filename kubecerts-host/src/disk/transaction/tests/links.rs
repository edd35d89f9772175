//! A credential in a file of its own, behind a link.

use super::super::super::backup::{Node, Restoration};
use super::*;
use crate::disk::Disk;
use crate::sim::{Errno, Fault, Repeat, SimDisk};

const CURRENT: &str = "var/kubelet/current.pem";
const NEW: &str = "/var/kubelet/kubelet-client-2026-11-22-07-49-09.pem";

/// What is at the link's path, as text.
fn there(world: &World) -> String {
    let at = world.at(CURRENT);
    match fs::symlink_metadata(&at) {
        Err(_) => "nothing".to_owned(),
        Ok(meta) if meta.is_symlink() => format!("-> {}", fs::read_link(&at).unwrap().display()),
        Ok(_) => fs::read_to_string(&at).unwrap(),
    }
}

fn renew(expected: Expected, world: &World) -> Result<Done, DiskError> {
    let (current, file) = (path(&format!("/{CURRENT}")), path(NEW));
    world.replace(Item::behind_link(&current, expected, &file, b"new", 0o600).into())
}

#[test]
fn whatever_there_was_becomes_a_link_to_the_new_file_and_comes_back() {
    let worlds: [(&str, Touch, Expected); 6] = [
        ("-> /var/kubelet/dated.pem", |_| {}, old("old dated.pem")),
        ("-> gone.pem", |world| relink(world, Some("gone.pem")), Expected::Absent),
        ("-> /var/kubelet/gone.pem", |world| relink(world, Some("/var/kubelet/gone.pem")), Expected::Absent),
        ("-> current.pem", |world| relink(world, Some("current.pem")), Expected::Absent),
        ("nothing", |world| relink(world, None), Expected::Absent),
        (
            "plain",
            |world| {
                relink(world, None);
                fs::write(world.at(CURRENT), "plain").unwrap();
            },
            old("plain"),
        ),
    ];
    for (before, touch, expected) in worlds {
        let world = World::new();
        touch(&world);
        assert_eq!(there(&world), before);
        let done = renew(expected, &world).unwrap();
        assert_eq!(there(&world), format!("-> {NEW}"), "{before}");
        assert_eq!((world.text(&NEW[1..]).as_deref(), world.mode(&NEW[1..])), (Some("new"), 0o600));
        assert_eq!(world.text("var/kubelet/dated.pem").as_deref(), Some("old dated.pem"), "{before}");
        assert_eq!(done.replaced.iter().map(|one| one.is_link).collect::<Vec<_>>(), [false, true]);
        assert_eq!(world.temporary(), [] as [PathBuf; 0], "{before}");

        let manifest = backup::find(None, &world.state, &RealDisk).unwrap();
        assert!(manifest.to_json().contains("kubecerts.dev/v2"));
        assert_eq!(backup::verify(&manifest, &world.state, &RealDisk), [] as [String; 0]);
        let node = &manifest.files[1].node;
        assert_eq!(matches!(node, Node::Link { .. }), before.starts_with("->"), "{node:?}");

        let restoration = Restoration::new(manifest, &world.root, &world.state, &RealDisk).unwrap();
        let _ = world.replace(restoration.items()).unwrap();
        assert_eq!(there(&world), before, "it came back, and nothing was written through the link");
        assert_eq!(world.text(&NEW[1..]), None, "{before}");
        assert_eq!(world.text("var/kubelet/dated.pem").as_deref(), Some("old dated.pem"), "{before}");
    }
}

fn relink(world: &World, target: Option<&str>) {
    fs::remove_file(world.at(CURRENT)).unwrap();
    if let Some(target) = target {
        symlink(target, world.at(CURRENT)).unwrap();
    }
}

#[test]
fn a_rollback_is_itself_rolled_back() {
    let world = World::new();
    let first = renew(old("old dated.pem"), &world).unwrap().id;
    let restore = |id: &str| {
        let manifest = backup::find(Some(id), &world.state, &RealDisk).unwrap();
        let restoration = Restoration::new(manifest, &world.root, &world.state, &RealDisk).unwrap();
        world.replace(restoration.items()).unwrap().id
    };
    let second = restore(&first);
    assert_eq!(there(&world), "-> /var/kubelet/dated.pem");
    restore(&second);
    assert_eq!((there(&world), world.text(&NEW[1..])), (format!("-> {NEW}"), Some("new".to_owned())));
}

#[test]
fn a_new_file_that_exists_already_is_not_replaced() {
    let world = World::new();
    fs::write(world.at(&NEW[1..]), "of this second").unwrap();
    let error = renew(old("old dated.pem"), &world).unwrap_err();
    assert!(matches!(error, DiskError::Stale { expected: Expected::Absent, .. }), "{error:?}");
    assert_eq!(
        (there(&world).as_str(), world.text(&NEW[1..]).as_deref()),
        ("-> /var/kubelet/dated.pem", Some("of this second"))
    );
}

#[test]
fn a_credential_that_the_kubelet_has_rotated_meanwhile_is_stale() {
    let world = World::new();
    fs::write(world.at("var/kubelet/other.pem"), "rotated").unwrap();
    relink(&world, Some("other.pem"));
    let error = renew(old("old dated.pem"), &world).unwrap_err();
    assert!(matches!(error, DiskError::Stale { found, .. } if found == old("rotated")), "{error:?}");
}

#[test]
fn a_link_that_was_moved_while_files_are_staged_stops_everything() {
    let world = World::new();
    let (current, file) = (path(&format!("/{CURRENT}")), path(NEW));
    let items = Item::behind_link(&current, old("old dated.pem"), &file, b"new", 0o600);
    let outcome = world.replace_watched(items.into(), &mut |event| {
        if let Event::BackedUp { .. } = event {
            relink(&world, Some("/var/kubelet/././dated.pem"));
        }
    });
    assert!(matches!(outcome, Err(DiskError::Disturbed { .. })), "{outcome:?}");
    assert_eq!((there(&world).as_str(), world.text(&NEW[1..])), ("-> /var/kubelet/././dated.pem", None));
}

#[test]
fn a_link_takes_the_place_of_an_entry_only() {
    let world = World::new();
    let (current, becomes) = (path(&format!("/{CURRENT}")), Becomes::Link { target: "x" });
    let item = Item { path: &current, reach: Reach::Links, expected: old("old dated.pem"), becomes };
    assert!(matches!(world.turned_down(item), DiskError::Refused { .. }));
}

#[test]
fn a_file_system_that_gives_links_no_second_name_gets_a_second_link() {
    let (root, mut disk) = (Root::assumed("/".into()), SimDisk::new());
    disk.put_file("/pki/one.pem", "one", 0o600);
    disk.put_link("/pki/current.pem", "one.pem");
    let state = State::locate(&path("/var/lib/kubecerts"), &root, &disk).unwrap();
    let (current, file) = (path("/pki/current.pem"), path("/pki/two.pem"));
    let run = |faults: &[Fault]| {
        let mut disk = disk.clone();
        disk.set_faults(faults.iter().copied());
        let items = Item::behind_link(&current, old("one"), &file, b"two", 0o600).into();
        let now = Timestamp::from_unix(0);
        let request = Request { items, purpose: Purpose::new("test"), now, token: 1 };
        (replace(&request, &root, &state, &mut disk, &mut |_| {}), disk)
    };
    let number = |name: &str, at: &str, disk: &SimDisk| {
        disk.log().iter().position(|(found, path)| *found == name && path == Path::new(at)).unwrap()
    };
    let (done, disk) = run(&[]);
    assert_eq!(done.unwrap().leftovers, []);
    let at = number("link", "/pki/.kubecerts-00000000000000010001.old", &disk);
    let refusal = Fault::FailChange { at, errno: Errno::NotPermitted, repeat: Repeat::Once };
    let (done, disk) = run(&[refusal]);
    assert_eq!(done.unwrap().leftovers, []);
    assert_eq!(disk.read_link(Path::new("/pki/current.pem")).unwrap().to_str(), Some("/pki/two.pem"));

    // And what is put back in the end is that one.
    let at = number("rename", "/pki/current.pem", &disk) + 1;
    let (outcome, disk) = run(&[refusal, Fault::FailChange { at, errno: Errno::Io, repeat: Repeat::Once }]);
    assert!(outcome.is_err());
    assert_eq!(disk.read_link(Path::new("/pki/current.pem")).unwrap().to_str(), Some("one.pem"));
    let names = disk.list(Path::new("/pki")).unwrap();
    assert_eq!(names, ["current.pem", "one.pem"]);
}

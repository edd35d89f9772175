use std::path::Path;

use kubecerts_core::time::Timestamp;

use super::*;
use crate::disk::transaction::{self, Request};
use crate::disk::{Owner, Root, State};
use crate::sim::{Errno, Fault, Repeat, SimDisk};

#[test]
fn a_copy_that_is_refused_does_not_keep_the_others_from_being_written() {
    let (root, mut disk) = (Root::assumed("/".into()), SimDisk::new());
    let paths = ["open", "stale", "fine", "linked", "root", "failing"].map(|name| match name {
        "root" => TreePath::parse("/root/.kube/config").unwrap(),
        name => TreePath::parse(&format!("/home/{name}/.kube/config")).unwrap(),
    });
    for path in &paths {
        disk.put_file(path.as_str(), "old", 0o600);
    }
    disk.put_directory("/home/open/.kube", 0o777);
    disk.put_file("/home/stale/.kube/config", "edited", 0o600);
    disk.put_link("/home/linked/.kube", "/home/fine/.kube");
    disk.put_owner("/home/fine/.kube/config", Owner { uid: 0, gid: 100 });
    let state = State::locate(&State::default_path(), &root, &disk).unwrap();
    let (expected, content) = (Digest::of(b"old"), b"new");
    let copies = paths.each_ref().map(|path| CopyWrite { path, expected, content, mode: 0o600 });

    let mut attempts = 0;
    let copies = refresh(&copies, &mut |items| {
        attempts += 1;
        let now = Timestamp::from_unix(0);
        let request = Request { items, purpose: Purpose::new("refresh copies"), now, token: 1 };
        // Whose home is broken shows only when something is written to it.
        let rename = disk.log().len() + 1000;
        disk.set_faults([Fault::FailChange { at: rename, errno: Errno::Io, repeat: Repeat::Once }]);
        let mut dry = disk.clone();
        let whole = transaction::replace(&request, &root, &state, &mut dry, &mut |_| {});
        let is_it = |(name, path): &(&str, std::path::PathBuf)| {
            *name == "create" && path.starts_with("/home/failing")
        };
        if whole.is_ok()
            && let Some(at) = dry.log().iter().position(is_it)
        {
            disk.set_faults([Fault::FailChange { at, errno: Errno::Io, repeat: Repeat::Once }]);
        }
        Ok(transaction::replace(&request, &root, &state, &mut disk, &mut |_| {})?)
    })
    .unwrap();

    assert_eq!(copies.refreshed, [paths[2].clone(), paths[4].clone()]);
    let refused: Vec<&TreePath> = copies.refused.iter().map(|(path, _)| path).collect();
    assert_eq!(refused, [&paths[0], &paths[1], &paths[3], &paths[5]]);
    assert!(matches!(copies.refused[2].1, DiskError::LinkOnTheWay { .. }));
    assert_eq!((attempts, copies.backup.is_some()), (5, true));
    let files = disk.files();
    for (path, text) in paths.iter().zip(["old", "edited", "new", "", "new", "old"]) {
        let found = files.get(Path::new(path.as_str())).map_or(&b""[..], |file| &file.1);
        assert_eq!(found, text.as_bytes(), "{path}");
    }
}

#[test]
fn what_concerns_all_copies_stops_them_all() {
    let path = TreePath::parse("/root/.kube/config").unwrap();
    let copy = CopyWrite { path: &path, expected: Digest::of(b""), content: b"", mode: 0o600 };
    let journal = path.clone();
    let outcome = refresh(&[copy], &mut |_| Err(DiskError::JournalOpen { journal: journal.clone() }.into()));
    assert!(matches!(outcome, Err(ApplyError::Disk(DiskError::JournalOpen { .. }))), "{outcome:?}");
    assert!(!format!("{copy:?}").contains("content"));
}

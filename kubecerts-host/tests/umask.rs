//! The umask belongs to the whole process, so this test has one of its own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use kubecerts_core::digest::Digest;
use kubecerts_core::issue::Expected;
use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;
use kubecerts_host::disk::transaction::{Becomes, Event, Item, Purpose, Reach, Request, replace};
use kubecerts_host::disk::{Disk as _, RealDisk, Root, State};
use rustix::fs::Mode;

#[test]
fn nothing_is_open_to_others_for_an_instant_even_with_umask_000() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    fs::create_dir(&pki).unwrap();
    fs::write(pki.join("ca.key"), "old").unwrap();
    rustix::process::umask(Mode::empty());
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;

    // What is created is closed before anybody sets a mode.
    drop(RealDisk.create(&pki.join("new")).unwrap());
    assert_eq!(mode(&pki.join("new")), 0o600);

    let root = Root::new(dir.path()).unwrap();
    let state = State::locate(&TreePath::parse("/var/lib/kubecerts").unwrap(), &root, &RealDisk).unwrap();
    let path = TreePath::parse("/pki/ca.key").unwrap();
    let item = Item {
        path: &path,
        reach: Reach::Links,
        expected: Expected::Content(Digest::of(b"old")),
        becomes: Becomes::File { content: b"new", mode: 0o600, facts: None },
    };
    let now = Timestamp::from_unix(1_767_225_600);
    let request = Request { items: vec![item], purpose: Purpose::new("test"), now, token: 1 };
    let mut staged = 0;
    let done = replace(&request, &root, &state, &mut RealDisk, &mut |progress| {
        if let Event::Staged { .. } = progress {
            assert_eq!(mode(&pki.join(".kubecerts-00000000000000010000.new")), 0o600);
            staged += 1;
        }
    });
    let id = done.unwrap().id;
    assert_eq!((staged, mode(&pki.join("ca.key"))), (1, 0o600));

    let state = state.directory();
    let backup = state.join("backups").join(&id);
    for private in [state, &state.join("audit"), &state.join("backups"), &backup, &backup.join("files/pki")] {
        assert_eq!(mode(private), 0o700, "{private:?}");
    }
    let record = state.join("audit").join(format!("{id}.jsonl"));
    for private in [&backup.join("files/pki/ca.key"), &backup.join("manifest.json"), &record] {
        assert_eq!(mode(private), 0o600, "{private:?}");
    }
    // What lies above is the system's, and open to be looked at.
    assert_eq!(mode(&dir.path().join("var/lib")), 0o755);
}

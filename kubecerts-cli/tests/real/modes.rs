//! Looks at every file while renewals come and go that were started without a umask.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::Outcome;
use crate::watched::{RENEW, Side, Watched};

const RUNS: u32 = 16;

#[test]
fn no_private_key_can_be_read_by_others_at_any_moment() {
    let mut watched = Watched::within(tempfile::tempdir().unwrap());
    let root = watched.tree().root().to_owned();
    let state = watched.state().directory().to_owned();
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let spy = scope.spawn(|| {
            let mut seen = Seen::default();
            while !is_over.load(Ordering::Relaxed) {
                seen.rounds += 1;
                seen.walk(&root, &state);
            }
            seen
        });
        for _ in 0..RUNS {
            let mut command = Command::new("sh");
            command.args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kubecerts")]);
            command.args(RENEW).arg("--rootfs").arg(&root).env_clear().stdin(Stdio::null());
            Outcome::of(command.output().unwrap()).exits(0);
        }
        is_over.store(true, Ordering::Relaxed);
        spy.join().unwrap()
    });
    assert_eq!(watched.settled(), Side::New);
    println!(
        "{RUNS} runs, {} rounds: {} temporary files and {} files of journals and backups were seen",
        seen.rounds, seen.temporary, seen.state
    );
    assert_eq!(seen.open.intersection(&seen.secret).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    assert!(seen.temporary > 0 && seen.state > 0, "nothing was seen of any run");
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    rounds: u64,
    temporary: u64,
    state: u64,
    /// The files that others could do anything with, at whatever moment.
    open: BTreeSet<PathBuf>,
    /// The files that held a private key, at whatever moment. Who opens a file while it is empty can read it later.
    secret: BTreeSet<PathBuf>,
}

impl Seen {
    fn walk(&mut self, directory: &Path, state: &Path) {
        let is_state = directory.starts_with(state);
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries {
            // A temporary file may be gone before it was looked at.
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            let Ok(mut file) = File::open(&path) else { continue };
            let meta = file.metadata().unwrap();
            let is_open = meta.permissions().mode() & 0o077 != 0;
            assert!(!is_open || !path.starts_with(state), "{} is open to others", path.display());
            if meta.is_dir() {
                self.walk(&path, state);
                continue;
            }
            let is_temporary = path.file_name().unwrap().to_str().unwrap().starts_with(".kubecerts-");
            self.temporary += u64::from(is_temporary);
            self.state += u64::from(is_state);
            if is_open {
                self.open.insert(path.clone());
            }
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            if holds_key(&content) {
                self.secret.insert(path);
            }
        }
    }
}

/// Returns whether a file holds a private key, or a kubeconfig, which may hold one.
fn holds_key(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.contains("PRIVATE KEY") || text.contains("client-key-data")
}

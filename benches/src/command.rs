//! The command as its users run it: a process, a tree on a disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::begin;
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_testkit::{Fixture, Seeded};
use tempfile::TempDir;

use crate::leaf::now;

/// A tree that kubeadm made, on a disk.
#[derive(Debug)]
pub struct Tree {
    directory: TempDir,
    credentials: u32,
}

impl Tree {
    /// Writes the fixture `name` to the directory for temporary files.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let tree = Fixture::named(name).tree();
        let directory = tempfile::tempdir().unwrap();
        for (path, content, mode) in tree.files() {
            let target = directory.path().join(path.as_str().trim_start_matches('/'));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, content).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        }
        let snapshot = tree.snapshot();
        let request = PlanRequest::with_selection(Selection::All);
        let plan = plan(&Inventory::parse(&snapshot), &request, now(), &mut Seeded::new(1)).unwrap();
        let credentials = begin(&plan, &snapshot).unwrap().key_requests().len();
        Self { directory, credentials: u32::try_from(credentials).unwrap() }
    }

    /// Returns how many keys a renewal of everything makes.
    #[must_use]
    pub const fn credentials(&self) -> u32 {
        self.credentials
    }

    /// Runs `program` with `arguments` on the tree `runs` times, and returns how many seconds each took.
    #[must_use]
    pub fn times(&self, program: &Path, arguments: &[&str], runs: u32) -> Vec<f64> {
        let time = |_| {
            let mut command = self.command(program, arguments);
            let begin = Instant::now();
            let status = command.status().unwrap();
            let elapsed = begin.elapsed();
            assert!(is_expected(arguments, status), "{command:?}: {status}");
            elapsed.as_secs_f64()
        };
        (0..runs).map(time).collect()
    }

    /// Runs it once and returns the peak of its memory in MB; `None` without GNU time.
    #[must_use]
    pub fn peak(&self, program: &Path, arguments: &[&str]) -> Option<f64> {
        let program = program.to_str().unwrap();
        let under_time = [&["-q", "-f", "%M", program], arguments].concat();
        let mut command = self.command(Path::new("/usr/bin/time"), &under_time);
        let output = command.stderr(Stdio::piped()).output().ok()?;
        assert!(is_expected(arguments, output.status), "{command:?}: {}", output.status);
        let text = String::from_utf8(output.stderr).unwrap();
        let kibibytes: f64 = text.lines().last()?.trim().parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).arg("--rootfs").arg(self.directory.path());
        command
            .env_remove("KUBECERTS_STATE_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Returns whether `status` is that of a run which did its work. `check` says with it how the tree is: nothing is due, something is due,
/// unusable, inconsistent or could not be looked at.
fn is_expected(arguments: &[&str], status: ExitStatus) -> bool {
    match arguments[0] {
        "check" => matches!(status.code(), Some(0 | 3..=6)),
        _ => status.success(),
    }
}

//! Units of systemd, through `systemctl`: the kubelet, and an etcd that does not run as a pod.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Somebody who restarts units.
pub trait Units {
    /// Returns whether `unit` exists and is not simply switched off: it runs, starts, or has failed.
    ///
    /// # Errors
    /// [`UnitError`] when systemd cannot be asked, or not within `deadline`.
    fn is_in_use(&mut self, unit: &str, deadline: Duration) -> Result<bool, UnitError>;

    /// Stops `unit` and starts it anew.
    ///
    /// # Errors
    /// [`UnitError`] when that fails, or has not ended within `deadline`; systemd goes on with it then.
    fn restart(&mut self, unit: &str, deadline: Duration) -> Result<(), UnitError>;
}

/// The program `systemctl`.
#[derive(Clone, Debug)]
pub struct Systemctl {
    program: PathBuf,
}

impl Systemctl {
    /// Returns the program at `program`; a bare name is looked up in `PATH`, as `systemctl` is by default.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Runs it with `arguments` and returns what it writes to its standard output.
    fn run(&self, call: &'static str, arguments: &[&str], deadline: Duration) -> Result<String, UnitError> {
        let program = || self.program.display().to_string();
        let failed = |error: io::Error| UnitError::Program { program: program(), detail: error.to_string() };
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(["--no-pager", "--no-ask-password"])
            .args(arguments)
            // Its messages are looked at, so they have to be in the language that is looked for.
            .envs([("LC_ALL", "C"), ("SYSTEMD_COLORS", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdout, stderr) = (Output::collect(child.stdout.take()), Output::collect(child.stderr.take()));
        let Some(status) = wait(&mut child, started, deadline).map_err(failed)? else {
            return Err(UnitError::Deadline { call, deadline, detail: stderr.text("; ") });
        };
        if status.success() {
            return Ok(stdout.text("\n"));
        }
        let detail = stderr.text("; ");
        if NO_SYSTEMD.iter().any(|sign| detail.contains(sign)) {
            return Err(UnitError::NoSystemd { detail });
        }
        Err(UnitError::Failed { call, code: status.code(), detail })
    }
}

impl Default for Systemctl {
    fn default() -> Self {
        Self::new("systemctl")
    }
}

impl Units for Systemctl {
    fn is_in_use(&mut self, unit: &str, deadline: Duration) -> Result<bool, UnitError> {
        let shown = self.run(
            "show",
            &["show", "--property=LoadState", "--property=ActiveState", "--", unit],
            deadline,
        )?;
        let value = |name| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(value("LoadState") == Some("loaded") && !matches!(value("ActiveState"), None | Some("inactive")))
    }

    fn restart(&mut self, unit: &str, deadline: Duration) -> Result<(), UnitError> {
        self.run("restart", &["restart", "--", unit], deadline).map(drop)
    }
}

/// Why a unit could not be looked at or restarted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// systemd does not run on this host.
    #[error("systemd does not run here: {detail}")]
    NoSystemd {
        /// What `systemctl` says.
        detail: String,
    },
    /// The program cannot be run.
    #[error("cannot run {program}: {detail}")]
    Program {
        /// The program.
        program: String,
        /// Why not.
        detail: String,
    },
    /// It takes too long.
    #[error("systemctl {call} did not end within {deadline:?}: {detail}")]
    Deadline {
        /// What was asked.
        call: &'static str,
        /// How long was waited.
        deadline: Duration,
        /// What it said until then.
        detail: String,
    },
    /// It fails.
    #[error("systemctl {call} fails with status {}: {detail}", code.map_or_else(|| "of a signal".to_owned(), |code| code.to_string()))]
    Failed {
        /// What was asked.
        call: &'static str,
        /// Its exit status; `None` when a signal ended it.
        code: Option<i32>,
        /// What it says.
        detail: String,
    },
}

/// Waits until `child` ends; after the deadline it is killed and there is no status.
fn wait(child: &mut Child, started: Instant, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= deadline {
            // It may have ended by itself just now.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// The beginning of what a program writes, read beside the caller.
struct Output {
    start: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Output {
    fn collect(pipe: Option<impl Read + Send + 'static>) -> Self {
        let start = Arc::new(Mutex::new(Vec::new()));
        let (sender, ended) = channel();
        if let Some(mut pipe) = pipe {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                let _until_the_end: Sender<()> = sender;
                let mut part = [0; 4096];
                // All of it is read, so that the program never waits for a reader.
                while let Ok(length @ 1..) = pipe.read(&mut part) {
                    let mut start = start.lock().expect("nobody panics with the lock");
                    let room = OUTPUT_LIMIT - start.len();
                    start.extend_from_slice(&part[..length.min(room)]);
                }
            });
        }
        Self { start, ended }
    }

    /// Returns what was written until now. What the program has started might hold the pipe open, so the end is not awaited.
    fn text(self, separator: &str) -> String {
        let _ = self.ended.recv_timeout(PIPE_GRACE);
        let start = self.start.lock().expect("nobody panics with the lock");
        let text = String::from_utf8_lossy(&start);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(separator).chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }
}

/// How `systemctl` says that PID 1 is something else, or cannot be reached at all.
const NO_SYSTEMD: [&str; 2] = ["not been booted with systemd", "Failed to connect to bus"];

/// How often it is looked whether the program has ended.
const POLL: Duration = Duration::from_millis(10);

/// How long a pipe may stay open after the program has ended.
const PIPE_GRACE: Duration = Duration::from_millis(500);

/// What is kept of the program's output.
const OUTPUT_LIMIT: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    /// Returns a stand-in for `systemctl` that runs these lines.
    fn stand_in(lines: &str) -> (TempDir, Systemctl) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("systemctl");
        // A file that another process still has open for writing cannot be run, so it gets its name last.
        let new = dir.path().join("new");
        fs::write(&new, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, &program).unwrap();
        (dir, Systemctl::new(program))
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_unit_is_restarted_without_a_shell_and_without_questions() {
        let (dir, mut systemctl) = stand_in(r#"printf '%s\n' "$@" "$LC_ALL" > "$0.args""#);
        systemctl.restart("kubelet.service; rm -rf /", PATIENCE).unwrap();
        let arguments = fs::read_to_string(dir.path().join("systemctl.args")).unwrap();
        assert_eq!(arguments, "--no-pager\n--no-ask-password\nrestart\n--\nkubelet.service; rm -rf /\nC\n");
    }

    #[test]
    fn only_what_is_loaded_and_not_off_is_in_use() {
        for (load, active, expected) in [
            ("loaded", "active", true),
            ("loaded", "activating", true),
            ("loaded", "failed", true),
            ("loaded", "inactive", false),
            ("not-found", "inactive", false),
            ("masked", "active", false),
        ] {
            let (_dir, mut systemctl) =
                stand_in(&format!("echo LoadState={load}; echo ActiveState={active}"));
            assert_eq!(systemctl.is_in_use("etcd.service", PATIENCE), Ok(expected), "{load} {active}");
        }
        let (_dir, mut systemctl) = stand_in("");
        assert_eq!(systemctl.is_in_use("etcd.service", PATIENCE), Ok(false));
    }

    #[test]
    fn what_systemctl_says_of_a_failure_is_told() {
        let (_dir, mut systemctl) = stand_in("echo 'Unit kubelet.service not found.' >&2; exit 5");
        let error = systemctl.restart("kubelet.service", PATIENCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "systemctl restart fails with status 5: Unit kubelet.service not found."
        );
        let (_dir, mut systemctl) = stand_in("kill -9 $$");
        let error = systemctl.restart("kubelet.service", PATIENCE).unwrap_err();
        assert_eq!(error, UnitError::Failed { call: "restart", code: None, detail: String::new() });
    }

    #[test]
    fn a_host_without_systemd_is_told_from_a_unit_that_fails() {
        let text = "System has not been booted with systemd as init system (PID 1). Can't operate.";
        let (_dir, mut systemctl) = stand_in(&format!("echo \"{text}\" >&2; exit 1"));
        let error = systemctl.restart("kubelet.service", PATIENCE).unwrap_err();
        assert_eq!(error, UnitError::NoSystemd { detail: text.to_owned() });
        let error = Systemctl::new("/nowhere/systemctl").restart("kubelet.service", PATIENCE).unwrap_err();
        assert!(error.to_string().starts_with("cannot run /nowhere/systemctl: "), "{error}");
    }

    #[test]
    fn the_host_s_own_systemctl_is_understood_with_and_without_systemd() {
        match Systemctl::default().is_in_use("kubecerts-that-nobody-has.service", PATIENCE) {
            Ok(is_in_use) => assert!(!is_in_use),
            // As in most containers.
            Err(UnitError::NoSystemd { .. } | UnitError::Program { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_restart_that_hangs_is_not_waited_for_and_what_it_says_is_bounded() {
        let (_dir, mut systemctl) = stand_in("echo 'still stopping' >&2; sleep 20 & wait");
        let deadline = Duration::from_secs(2);
        let error = systemctl.restart("kubelet.service", deadline).unwrap_err();
        assert_eq!(
            error.to_string(),
            "systemctl restart did not end within 2s: still stopping",
            "though a process holds the pipe open"
        );
        let (_dir, mut systemctl) = stand_in("head -c 1000000 /dev/zero | tr '\\0' 'x' >&2; exit 3");
        let Err(UnitError::Failed { code: Some(3), detail, .. }) = systemctl.restart("x.service", PATIENCE)
        else {
            panic!("it does not fail")
        };
        assert_eq!(detail.len(), 4096);
    }
}

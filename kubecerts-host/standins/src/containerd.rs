//! A private containerd: real, of one of two generations, with nothing shared with another one on the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cri::Cri;
use crate::{Image, Parts, Suite, cleanup};

/// A running containerd with its own root, state and socket.
///
/// When it is dropped, all its pods are killed, and its mounts, control groups and files are removed.
#[derive(Debug)]
pub struct Containerd {
    directory: TempDir,
    daemon: Child,
    cri: Cri,
    version: String,
    importer: PathBuf,
}

impl Containerd {
    /// Starts the containerd of `suite` and waits until it answers. It holds no image yet: see [`Self::import`].
    ///
    /// # Panics
    /// When it cannot be started; the message holds its log.
    #[must_use]
    pub fn start(parts: &Parts, suite: Suite) -> Self {
        let directory = tempfile::Builder::new().prefix("kubecerts-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let path = directory.path();
        let runc = parts.program(Suite::Bookworm, "runc");
        fs::write(path.join("config.toml"), config(path, &runc)).expect("a file can be written");
        let log = File::create(path.join("log")).expect("a file can be made");
        let errors = log.try_clone().expect("a file can be opened twice");
        let daemon = parts
            .command(suite, "containerd")
            .arg("--config")
            .arg(path.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("containerd can be run");
        let cri = Cri::new(&path.join(SOCKET));
        let importer = parts.program(suite, "ctr");
        let mut containerd = Self { directory, daemon, cri, version: String::new(), importer };
        containerd.wait();
        containerd
    }

    /// Adds `image` under each of these names.
    ///
    /// # Panics
    /// When the image is refused.
    pub fn import(&self, image: &Image, names: &[&str]) {
        for name in names {
            let file = self.directory.path().join("image.tar");
            fs::write(&file, image.archive(name)).expect("a file can be written");
            let output = Command::new(&self.importer)
                .arg("--address")
                .arg(self.socket())
                .args(["--namespace", "k8s.io", "images", "import"])
                .arg(&file)
                .output()
                .expect("ctr can be run");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            fs::remove_file(&file).expect("a file can be removed");
        }
    }

    /// Stops the daemon's process without ending it: a runtime that hangs takes connections and never answers.
    pub fn stop_process(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the daemon go on after [`Self::stop_process`].
    pub fn continue_process(&self) {
        self.signal(Signal::CONT);
    }

    /// Returns the path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// Returns its name and version, as it says them: `containerd 1.6.20~ds1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Returns what it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            match self.cri.version() {
                Ok(version) => {
                    self.version = version;
                    return;
                }
                Err(error) => {
                    let ended = self.daemon.try_wait().expect("a child can be waited for").is_some();
                    let late = begun.elapsed() > STARTING;
                    assert!(!ended && !late, "containerd does not answer: {error}\n{}", self.log());
                }
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).expect("a child can be sent a signal");
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.continue_process();
        // Asked first, because then the shims end by themselves and leave nothing behind; by force what is left.
        for sandbox in self.cri.sandboxes().unwrap_or_default() {
            let _ = self.cri.stop_sandbox(&sandbox.id);
            let _ = self.cri.remove_sandbox(&sandbox.id);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        cleanup::everything_of(self.directory.path());
    }
}

/// Returns the name of the control group under which the pods of the runtime at `socket` run.
///
/// It is that of the directory of the socket, so that no two runtimes share one.
pub(crate) fn control_group(socket: &Path) -> String {
    let directory = socket.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    directory.unwrap_or("kubecerts-standins").to_owned()
}

fn config(directory: &Path, runc: &Path) -> String {
    let (directory, runc) = (directory.display(), runc.display());
    // `restrict_oom_score_adj`: without CAP_SYS_RESOURCE, runc fails at the negative score of a sandbox.
    format!(
        r#"version = 2
root = "{directory}/root"
state = "{directory}/state"
temp = "{directory}/temp"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{directory}/{SOCKET}"
[debug]
  level = "info"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{directory}/cni/bin"
    conf_dir = "{directory}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "{runc}"
"#,
        pause = crate::PAUSE,
    )
}

const SOCKET: &str = "containerd.sock";

/// It answers within 0.1 s on an idle machine.
const STARTING: Duration = Duration::from_secs(60);

//! The stand-in for the kubelet as a service, with a `systemctl` of its own.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::KubeletOptions;

/// The service `kubelet` on a machine without systemd: a directory for `PATH` with a `systemctl` that knows it alone.
///
/// Dropping it stops the service; the containers go on.
#[derive(Debug)]
pub struct KubeletService {
    directory: TempDir,
}

impl KubeletService {
    /// Makes the service. It does not run until `systemctl start kubelet`, or [`Self::systemctl`], starts it.
    ///
    /// # Errors
    /// The reason why a test that needs it is skipped: the program `standin-kubelet` is named by the variable
    /// `KUBECERTS_STANDIN_KUBELET`, or lies where cargo builds it.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn new(options: &KubeletOptions) -> Result<Self, String> {
        let program = program()?;
        let directory = tempfile::Builder::new().prefix("kubecerts-service-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let systemctl = directory.path().join("systemctl");
        fs::write(&systemctl, script(&program, options, directory.path())).expect("a file can be written");
        fs::set_permissions(&systemctl, Permissions::from_mode(0o755)).expect("a file can be made a program");
        Ok(Self { directory })
    }

    /// Returns the directory in which `systemctl` lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `systemctl VERB kubelet`. Returns whether it succeeded.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn systemctl(&self, verb: &str) -> bool {
        let systemctl = self.directory.path().join("systemctl");
        let status = Command::new(systemctl).args([verb, "kubelet"]).status();
        status.expect("the script can be run").success()
    }

    /// Returns what the service has logged, one line each; of its own, systemctl adds one for each command.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for KubeletService {
    fn drop(&mut self) {
        let systemctl = self.directory.path().join("systemctl");
        let _ = Command::new(systemctl).args(["stop", "kubelet"]).status();
    }
}

fn program() -> Result<PathBuf, String> {
    if let Some(program) = env::var_os("KUBECERTS_STANDIN_KUBELET") {
        return Ok(PathBuf::from(program));
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    // Tests lie in `deps`, beside which the programs are.
    let mut places = own.ancestors().skip(1).take(2).map(|place| place.join("standin-kubelet"));
    let built = places.find(|program| program.is_file());
    built.ok_or_else(|| {
        "the program standin-kubelet is not built: cargo build -p kubecerts-standins".to_owned()
    })
}

fn script(program: &Path, options: &KubeletOptions, directory: &Path) -> String {
    let KubeletOptions { manifests, socket, node, root, kubeconfig, healthz, api, unit, relist: _ } = options;
    let mut flags = vec![
        format!("--manifests={}", manifests.display()),
        format!("--socket={}", socket.display()),
        format!("--node={node}"),
        format!("--root={}", root.display()),
        format!("--healthz={healthz}"),
        format!("--unit-ms={}", unit.as_millis()),
    ];
    flags.extend(api.iter().map(|address| format!("--api={address}")));
    flags.extend(kubeconfig.iter().map(|file| format!("--kubeconfig={}", file.display())));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let flags: Vec<_> = flags.iter().map(|flag| quoted(flag)).collect();
    SCRIPT
        .replace("@DIRECTORY@", &quoted(&directory.display().to_string()))
        .replace("@COMMAND@", &format!("{} {}", quoted(&program.display().to_string()), flags.join(" ")))
}

/// Like the real one, `start` succeeds when the program was started, whatever becomes of it.
const SCRIPT: &str = r#"#!/bin/sh
cd @DIRECTORY@ || exit 1
echo "systemctl $*" >>log
verb= unit=
for word; do
  case $word in -*) ;; *) if [ "$verb" ]; then unit=$word; else verb=$word; fi ;; esac
done
case $unit in kubelet | kubelet.service) ;; *) echo "Unit $unit not found." >&2; exit 5 ;; esac

active() { # an ended process that nobody has waited for is not active
  [ -e pid ] && [ -e "/proc/$(cat pid)/stat" ] && [ "$(cut -d' ' -f3 "/proc/$(cat pid)/stat" 2>/dev/null)" != Z ]
}
stop() {
  if active; then kill "$(cat pid)"; while active; do sleep 0.02; done; fi
  rm -f pid
}
start() { active || { @COMMAND@ </dev/null >>log 2>&1 & echo $! >pid; }; }

case $verb in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  is-active) if active; then echo active; else echo inactive; exit 3; fi ;;
  *) echo "Unknown command verb $verb." >&2; exit 1 ;;
esac
"#;

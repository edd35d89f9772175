//! A box: namespaces in which a test has the paths, ports and addresses of a node for itself.

use std::any::type_name;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use kubecerts_standins::{Image, Parts};

/// Runs `inside`, which has to be a closure of the test itself, in a box; or says why that cannot be.
pub(crate) fn boxed<F: FnOnce(&Parts)>(inside: F) {
    let name = type_name::<F>();
    let name = name.strip_prefix("live::").and_then(|name| name.strip_suffix("::{{closure}}"));
    let name = name.expect("it is called with a closure of a test");
    let parts = match parts() {
        Ok(parts) => parts,
        Err(reason) => return eprintln!("SKIPPED live: {reason}"),
    };
    if env::var_os(INSIDE).is_some() {
        furnish();
        return inside(&parts);
    }
    // One node at a time is work enough for a small machine.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let programs = tempfile::tempdir().unwrap();
    let kubelet = programs.path().join("kubelet");
    // A kubelet is known by its name.
    symlink(standin_kubelet().unwrap(), &kubelet).unwrap();
    let output = unshare()
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .env("KUBECERTS_STANDIN_KUBELET", &kubelet)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    eprint!("{stderr}");
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

/// Returns the parts when everything is there that a node is made of.
fn parts() -> Result<Parts, String> {
    let parts = Parts::find()?;
    Image::of_server()?;
    standin_kubelet()?;
    for (program, package) in [("ip", "iproute2"), ("curl", "curl"), ("etcd", "etcd-server")] {
        let found = env::var_os("PATH")
            .is_some_and(|path| env::split_paths(&path).any(|directory| directory.join(program).is_file()));
        if !found {
            return Err(format!("there is no {program}, of Debian's {package}"));
        }
    }
    if env::var_os(INSIDE).is_none() {
        let tried = unshare().arg("true").output().map_err(|error| format!("unshare: {error}"))?;
        if !tried.status.success() {
            return Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
        }
    }
    Ok(parts)
}

fn standin_kubelet() -> Result<PathBuf, String> {
    let stated = env::var_os("KUBECERTS_STANDIN_KUBELET").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_BIN_EXE_kubecerts")).with_file_name("standin-kubelet");
    let program = stated.unwrap_or(beside);
    if program.is_file() {
        return Ok(program);
    }
    Err("the program standin-kubelet is not built: cargo build -p kubecerts-standins".to_owned())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["--propagation", "private"]);
    command
}

/// Gives the box an address, a name, and empty directories where a node has its own.
fn furnish() {
    fs::write("/proc/sys/kernel/hostname", "cp-1").unwrap();
    let output = Command::new("sh").args(["-e", "-c", FURNITURE]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

static ALONE: Mutex<()> = Mutex::new(());

const INSIDE: &str = "KUBECERTS_LIVE_INSIDE";

/// What is made in `/etc`, `/var/lib` and `/root` is made on top of them.
const FURNITURE: &str = "
ip link set lo up
ip address add 192.168.10.11/32 dev lo
mount -t tmpfs -o mode=0755 tmpfs /run
for directory in /etc /var/lib /root; do
  mkdir -p /run/over$directory/upper /run/over$directory/work
  mount -t overlay overlay \\
    -o lowerdir=$directory,upperdir=/run/over$directory/upper,workdir=/run/over$directory/work $directory
done
for directory in /etc/kubernetes /var/lib/kubelet /var/lib/kubecerts /var/lib/etcd /var/lib/stand-in /root/.kube; do
  mkdir -p $directory
  mount -t tmpfs -o mode=0755 tmpfs $directory
done
";

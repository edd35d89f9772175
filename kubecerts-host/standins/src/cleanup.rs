//! Takes away what a killed containerd leaves on the machine: shims, containers, mounts, control groups, sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Ends every process and removes every mount and file of the containerd whose files are in `directory`, as far as
/// that is possible: it runs while a test fails too, so that it never panics.
pub(crate) fn everything_of(directory: &Path) {
    let groups = control_groups(directory);
    let ids = containers(directory);
    let sockets: Vec<_> = ids.iter().filter_map(|bundle| shim_socket(bundle)).collect();
    let begun = Instant::now();
    // A killed process leaves its group a little later, and a dying shim may start one more.
    loop {
        let mut processes: Vec<_> = groups.iter().flat_map(|group| members(group)).collect();
        processes.extend(shims(directory));
        if processes.is_empty() || begun.elapsed() > PATIENCE {
            break;
        }
        for process in processes {
            let _ = kill_process(process, Signal::KILL);
        }
        sleep(Duration::from_millis(10));
    }
    for mount in mounts(directory) {
        let _ = Command::new("umount").arg("--lazy").arg(mount).status();
    }
    for group in &groups {
        remove_groups(group);
    }
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    for id in ids.iter().filter_map(|bundle| bundle.file_name()) {
        let _ = fs::remove_dir_all(Path::new("/run/containerd/runc/k8s.io").join(id));
    }
}

/// Returns the control groups of the pods, one for each hierarchy of the machine, of version 1 and 2.
fn control_groups(directory: &Path) -> Vec<PathBuf> {
    let Some(name) = directory.file_name() else { return Vec::new() };
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut hierarchies = children(&root);
    hierarchies.push(root);
    hierarchies.into_iter().map(|hierarchy| hierarchy.join(name)).filter(|group| group.is_dir()).collect()
}

/// Returns the processes of a control group and of the groups below.
fn members(group: &Path) -> Vec<Pid> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = listed.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
    own.chain(children(group).iter().flat_map(|group| members(group))).collect()
}

/// Removes a control group and the groups below, deepest first.
fn remove_groups(group: &Path) {
    for group in children(group) {
        remove_groups(&group);
    }
    let begun = Instant::now();
    // A group is busy until the last of its killed processes is gone.
    while fs::remove_dir(group).is_err() && group.is_dir() && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(10));
    }
}

/// Returns the shims, which are told the address of their containerd.
fn shims(directory: &Path) -> Vec<Pid> {
    let belongs = |process: &PathBuf| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word));
        words.next().is_some_and(|program| program.contains("containerd-shim"))
            && words.any(|word| Path::new(&*word).starts_with(directory))
    };
    let number = |process: PathBuf| Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?);
    children(Path::new("/proc")).into_iter().filter(belongs).filter_map(number).collect()
}

/// Returns the bundles of the containers, which are called by the container's id.
fn containers(directory: &Path) -> Vec<PathBuf> {
    children(&directory.join("state/io.containerd.runtime.v2.task/k8s.io"))
}

/// Returns the socket of the shim of a container, which lies outside containerd's own directories.
fn shim_socket(bundle: &Path) -> Option<PathBuf> {
    let address = fs::read_to_string(bundle.join("address")).ok()?;
    Some(PathBuf::from(address.strip_prefix("unix://")?))
}

/// Returns the mount points below `directory`, deepest first.
fn mounts(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut points: Vec<_> = points.filter(|point| point.starts_with(directory)).collect();
    points.sort();
    points.reverse();
    points
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// How long is waited for what was killed.
const PATIENCE: Duration = Duration::from_secs(5);

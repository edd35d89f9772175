//! The programs of a control plane as processes of the host.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use kubecerts_core::catalog::Component;
use kubecerts_core::observation::{Run, RunSource};
use kubecerts_core::time::Moment;
use rustix::time::{ClockId, clock_gettime};

/// Returns the processes below `proc_root`, which is `/proc`, that run a program of the control plane; sorted.
///
/// A program is known by the name that it was called by, the last part of the first argument: the kernel's own name for a
/// process is cut after 15 characters. Those in containers are seen too, unless `proc_root` belongs to a container.
///
/// The start is a hundredth of a second or less before the true one, never after it, as long as nobody has set the clock
/// since. A process whose start cannot be read has none; one that is dead and only not yet buried is left out.
///
/// # Errors
/// Why `proc_root` cannot be listed. A process that has ended meanwhile is no error.
pub fn processes(proc_root: &Path) -> io::Result<Vec<Run>> {
    since_boot(proc_root, boot())
}

fn since_boot(proc_root: &Path, boot: Nanoseconds) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(proc_root)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(arguments) = beginning(&entry.path().join("cmdline")) else { continue };
        let Some(component) = component(&arguments) else { continue };
        let Ok(stat) = beginning(&entry.path().join("stat")) else { continue };
        let stat = Stat::parse(&stat);
        if stat.is_dead {
            continue;
        }
        let started = stat.start_ticks.map(|ticks| moment(boot + ticks * TICK));
        runs.push(Run::new(component, started, RunSource::Process { pid }));
    }
    runs.sort();
    Ok(runs)
}

/// Returns the program that was called with `arguments`, each of which ends with a zero byte.
fn component(arguments: &[u8]) -> Option<Component> {
    let program = arguments.split(|byte| *byte == 0).next()?;
    let name = program.rsplit(|byte| *byte == b'/').next()?;
    Component::ALL.into_iter().find(|component| component.name().as_bytes() == name)
}

/// What matters of `/proc/PID/stat` (`proc_pid_stat(5)`).
struct Stat {
    is_dead: bool,
    start_ticks: Option<Nanoseconds>,
}

impl Stat {
    fn parse(stat: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stat);
        // The name in parentheses may hold anything, parentheses and blanks included.
        let mut fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
        let state = fields.next();
        let start = fields.nth(START_AFTER_STATE).and_then(|ticks| ticks.parse::<u64>().ok());
        Self { is_dead: matches!(state, Some("Z" | "X")), start_ticks: start.map(Nanoseconds::from) }
    }
}

/// Returns when the system was started, in nanoseconds since 1970, as its clock stands now.
fn boot() -> Nanoseconds {
    // Whatever time passes between the two makes the start earlier, which proves less and nothing wrong.
    let [now, running] = [ClockId::Realtime, ClockId::Boottime].map(|clock| {
        let time = clock_gettime(clock);
        Nanoseconds::from(time.tv_sec) * SECOND + Nanoseconds::from(time.tv_nsec)
    });
    now - running
}

fn moment(since_1970: Nanoseconds) -> Moment {
    let seconds = i64::try_from(since_1970.div_euclid(SECOND)).unwrap_or(i64::MAX);
    let rest = i64::try_from(since_1970.rem_euclid(SECOND)).expect("a remainder is smaller than a second");
    Moment::from_unix(seconds, rest)
}

/// Returns the first few KiB of the file at `path`.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(READ_LIMIT).read_to_end(&mut content)?;
    Ok(content)
}

/// Wide enough for the product of any two numbers that the kernel may give.
type Nanoseconds = i128;

const SECOND: Nanoseconds = 1_000_000_000;
/// The kernel tells times of processes in hundredths of a second on every machine that Kubernetes runs on (`USER_HZ`).
const TICK: Nanoseconds = SECOND / 100;
/// The state is the third field, the start the 22nd.
const START_AFTER_STATE: usize = 18;
/// In bytes; the path of a program has at most 4096, and a `stat` a few hundred.
const READ_LIMIT: u64 = 8 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use tempfile::TempDir;

    use super::*;

    /// Writes a process as the kernel shows it.
    fn process(proc_root: &TempDir, pid: u32, arguments: &str, name: &str, state: char, start: &str) {
        let directory = proc_root.path().join(pid.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cmdline"), arguments).unwrap();
        let stat = format!("{pid} ({name}) {state} 1{} {start} 0 0", " 0".repeat(17));
        fs::write(directory.join("stat"), stat).unwrap();
    }

    fn found(proc_root: &TempDir) -> Vec<String> {
        let runs = since_boot(proc_root.path(), 1_700_000_000 * SECOND + 5).unwrap();
        let started = |run: &Run| {
            run.started
                .map_or("never".to_owned(), |started| format!("{started}+{}", started.nanosecond() % 1000))
        };
        runs.iter().map(|run| format!("{} {} {}", run.component, run.source, started(run))).collect()
    }

    #[test]
    fn programs_are_known_by_their_first_argument() {
        let root = TempDir::new().unwrap();
        process(&root, 20, "/usr/local/bin/kube-controller-manager\0--x\0", "kube-controller", 'S', "101");
        process(&root, 3, "etcd\0--name\0kubelet\0", "etcd", 'R', "0");
        process(&root, 4, "/usr/bin/etcdctl\0", "etcdctl", 'S', "1");
        process(&root, 5, "grep\0kubelet\0", "grep", 'S', "1");
        process(&root, 6, "", "kubelet", 'S', "1");
        fs::create_dir(root.path().join("sys")).unwrap();
        fs::create_dir(root.path().join("7")).unwrap();
        assert_eq!(
            found(&root),
            [
                "etcd process 3 2023-11-14T22:13:20.000Z+5",
                "kube-controller-manager process 20 2023-11-14T22:13:21.010Z+5"
            ]
        );
    }

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let root = TempDir::new().unwrap();
        process(&root, 8, "kubelet\0", "a) Z (b) 1", 'S', "100");
        assert_eq!(found(&root), ["kubelet process 8 2023-11-14T22:13:21.000Z+5"]);
    }

    #[test]
    fn the_dead_do_not_run_and_an_unreadable_start_is_none() {
        let root = TempDir::new().unwrap();
        process(&root, 9, "kubelet\0", "kubelet", 'Z', "100");
        process(&root, 10, "kube-scheduler\0", "kube-scheduler", 'S', "soon");
        process(&root, 11, "kube-scheduler\0", "kube-scheduler", 'S', "99999999999999999999999");
        assert_eq!(found(&root), ["kube-scheduler process 10 never", "kube-scheduler process 11 never"]);
    }

    #[test]
    fn what_is_no_proc_cannot_be_listed() {
        assert!(processes(Path::new("/proc/no-such-directory")).is_err());
    }

    #[test]
    fn a_process_has_started_when_it_was_started() {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as Nanoseconds;
        let before = moment(clock() - 2 * TICK);
        let mut child =
            Command::new("sleep").arg0("kube-scheduler").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let after = moment(clock());
        // The arguments of a program are to be seen a moment after it has been started.
        let look = |_| {
            let runs = processes(Path::new("/proc")).unwrap();
            let run = runs.into_iter().find(|run| run.source == RunSource::Process { pid: child.id() });
            run.or_else(|| {
                sleep(Duration::from_millis(10));
                None
            })
        };
        let run = (0..1000).find_map(look);
        child.kill().unwrap();
        child.wait().unwrap();
        let run = run.expect("the child is in the list");
        assert_eq!(run.component, Component::Scheduler);
        let started = run.started.unwrap();
        assert!(before <= started && started <= after, "{before} {started} {after}");
        // Another one that has been running for long.
        let own = Stat::parse(&beginning(Path::new("/proc/self/stat")).unwrap());
        assert!(moment(boot() + own.start_ticks.unwrap() * TICK) <= started);
    }
}

//! Fills the disk for real: a tmpfs of a few hundred blocks, with the tree and its state directory on it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_host::disk::{Disk as _, RealDisk};
use tempfile::TempDir;

use crate::kill::{Moment, kill_at};
use crate::support::Outcome;
use crate::watched::{RENEW, Random, Side, Watched};

/// How many renewals run against a disk that fills up, at least.
const RUNS: u32 = 48;
/// How many at most, until one of them was struck by it.
const PATIENCE: u32 = 400;
/// After this long, a slow machine has done enough.
const TIME: Duration = Duration::from_secs(12);

#[test]
fn a_disk_that_is_too_full_is_found_out_before_anything_is_written() {
    for unit in [Unit::Blocks, Unit::Files] {
        let Some(disk) = SmallDisk::make() else { return };
        // What a certificate alone needs is mostly for the records.
        for arguments in [&RENEW[..], &["renew", "--yes", "apiserver"]] {
            disk.forget_state();
            if let Unit::Files = unit {
                // Without a file for the lock nothing can be said about the rest.
                disk.watched.tree().run(&["backup", "prune", "--keep", "1"]).exits(0);
            }
            let (before, mut filler) = (disk.watched.tree().files(), disk.filler(unit));
            filler.take(unit.scraps());
            let refusal = disk.watched.tree().run(arguments).exits(9);
            let refusal = refusal.explains("not enough room on the file system of /etc/kubernetes");
            let (needed, available) = needed(&refusal, unit);
            assert_eq!(available, unit.scraps() * filler.size());
            assert!(refusal.stderr.contains("hint: nothing was changed; make room"), "{}", refusal.stderr);
            assert_eq!(disk.watched.tree().files(), before);

            // It does not ask for more than it says, and what it asks for is enough.
            let enough = needed.div_ceil(filler.size());
            filler.release();
            filler.take(enough - 1);
            disk.watched.tree().run(arguments).exits(9);
            assert_eq!(disk.watched.tree().files(), before);
            filler.release();
            filler.take(enough);
            disk.watched.tree().run(arguments).exits(0);
            println!("{unit:?} for {arguments:?}: {enough} are needed, and are enough");
        }
    }
}

#[test]
fn a_disk_that_fills_up_meanwhile_changes_nothing() {
    for unit in [Unit::Blocks, Unit::Files] {
        let Some(disk) = SmallDisk::make() else { return };
        race(unit, disk);
    }
}

fn race(unit: Unit, mut disk: SmallDisk) {
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut filler = disk.filler(unit);
    let watched = &mut disk.watched;
    let journal = watched.journal();
    let (mut runs, mut done) = (0, 0);
    let mut struck: BTreeMap<String, u32> = BTreeMap::new();
    let begun = Instant::now();
    while (runs < RUNS && begun.elapsed() < TIME) || (struck.is_empty() && runs < PATIENCE) {
        runs += 1;
        let old = watched.snapshot();
        let mut child = watched.tree().command(&[&RENEW[..], &["--keep", "1"]].concat()).spawn().unwrap();
        // By then it has looked whether there is room.
        while !journal.exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_micros(20));
        }
        filler.take(random.below(unit.used()));
        if random.below(3) == 0 {
            // There is room again while it is putting things back, or going on.
            sleep(Duration::from_micros(random.below(2_000)));
            filler.release();
            filler.take(random.below(unit.used()));
        }
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        if journal.exists() {
            // The disk is still full.
            watched.tree().run(&["recover-journal", "--yes"]).exits(0);
        }
        let side = watched.settled();
        let error = outcome.stderr.lines().find(|line| line.starts_with("error: "));
        match (outcome.code, error, side) {
            (0, None, Side::New) => done += 1,
            (1, Some(error), Side::Old) => *struck.entry(operation(error)).or_default() += 1,
            _ => panic!("{side:?} after {outcome:?}"),
        }
        filler.release();
        watched.usable();
        if side == Side::New {
            watched.backed_up(&old);
        }
        watched.backups();
        watched.forget_journals();
    }
    println!("{unit:?}: {runs} runs, {done} had enough, the disk was full for:");
    for (operation, count) in &struck {
        println!("  {count:4} {operation}");
    }
    assert!(!struck.is_empty(), "the disk was never full at the wrong moment");
    watched.tree().run(&RENEW).exits(0);
    assert_eq!(watched.settled(), Side::New);
}

#[test]
fn a_run_that_was_killed_is_recovered_on_a_full_disk() {
    let Some(mut disk) = SmallDisk::make() else { return };
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let (mut rolled_back, mut finished) = (0, 0);
    for number in 0.. {
        let has_hit_all = rolled_back > 0 && finished > 0;
        if number >= PATIENCE || (number >= RUNS && has_hit_all) {
            break;
        }
        let mut filler = disk.filler(if number % 2 == 0 { Unit::Blocks } else { Unit::Files });
        let watched = &mut disk.watched;
        let delay = random.of_any_size(2_000);
        kill_at(if number % 4 < 2 { Moment::Journal(delay) } else { Moment::Prepared(delay) }, watched);
        let is_open = watched.journal().exists();
        filler.take(0);
        watched.tree().run(&["recover-journal", "--yes"]).exits(0);
        match (is_open, watched.settled()) {
            (true, Side::Old) => rolled_back += 1,
            (true, Side::New) => finished += 1,
            (false, _) => {}
        }
        filler.release();
        watched.usable();
        watched.tree().run(&["backup", "prune", "--keep", "1"]).exits(0);
        watched.forget_journals();
    }
    println!("on a full disk {rolled_back} killed runs were rolled back, {finished} finished");
    assert!(rolled_back > 0 && finished > 0, "a phase was never hit");
    disk.watched.tree().run(&RENEW).exits(0);
    assert_eq!(disk.watched.settled(), Side::New);
}

/// What a disk can run out of.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Blocks,
    Files,
}

impl Unit {
    /// More than what a renewal of everything takes.
    const fn used(self) -> u64 {
        match self {
            Self::Blocks => 60,
            Self::Files => 70,
        }
    }

    /// What is left on a disk that is full for all practical purposes.
    const fn scraps(self) -> u64 {
        match self {
            Self::Blocks => 0,
            Self::Files => 1,
        }
    }
}

/// Returns what an error says is needed and available.
fn needed(refusal: &Outcome, unit: Unit) -> (u64, u64) {
    let name = match unit {
        Unit::Blocks => "byte",
        Unit::Files => "file",
    };
    // `…: 4096 bytes needed, 0 free`
    let line = refusal.stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    let numbers = line.rsplit(": ").next().unwrap();
    assert!(numbers.contains(name) && numbers.contains("needed") && numbers.ends_with("free"), "{line}");
    let mut numbers = numbers.split(' ').filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Returns the operation that an error names, provided that it names a path and the reason too.
fn operation(error: &str) -> String {
    let (what, rest) = error.trim_start_matches("error: cannot ").split_once(": ").unwrap();
    let (operation, reason) = rest.split_once(" failed: ").unwrap();
    let (verb, path) = what.split_once(' ').unwrap();
    assert!(path.starts_with('/'), "{error}");
    assert_eq!(reason, "No space left on device (os error 28)", "{error}");
    format!("{verb}, {operation}")
}

/// A tree on a tmpfs of its own.
struct SmallDisk {
    // Dropped in this order: what is on the disk, then the disk.
    watched: Watched,
    mount: Mount,
}

impl SmallDisk {
    /// Makes a disk of 1 MiB and 400 files; `None` where nothing can be mounted.
    fn make() -> Option<Self> {
        match Mount::tmpfs("size=1m,nr_inodes=400,mode=0755") {
            Ok(mount) => {
                let watched = Watched::within(tempfile::tempdir_in(mount.path()).unwrap());
                Some(Self { watched, mount })
            }
            Err(reason) => {
                println!("SKIPPED tmpfs: nothing can be mounted here: {reason}");
                None
            }
        }
    }

    fn filler(&self, unit: Unit) -> Filler {
        let directory = self.mount.path().join("filler");
        fs::create_dir_all(&directory).unwrap();
        let filler = Filler { directory, unit, files: 0 };
        filler.file();
        filler
    }

    /// Makes the next run the first one: every directory of its own has to be made.
    fn forget_state(&self) {
        fs::remove_dir_all(self.watched.tree().path("/var")).unwrap();
    }
}

/// Takes the room of a disk away, and gives it back.
struct Filler {
    directory: PathBuf,
    unit: Unit,
    files: u64,
}

impl Filler {
    /// Takes everything but `leave` blocks or files, even if others take and give meanwhile.
    fn take(&mut self, leave: u64) {
        let mut file = self.file();
        for _ in 0..10_000 {
            let free = self.free();
            if free <= leave {
                return;
            }
            match self.unit {
                Unit::Blocks => {
                    let bytes = vec![0; usize::try_from((free - leave) * self.size()).unwrap()];
                    // Somebody else was quicker.
                    let _ = file.write_all(&bytes);
                }
                Unit::Files => {
                    self.files += 1;
                    let _ = File::create(self.directory.join(self.files.to_string()));
                }
            }
        }
    }

    fn release(&mut self) {
        self.file().set_len(0).unwrap();
        for number in 1..=self.files {
            // It could not be made, for want of room.
            let _ = fs::remove_file(self.directory.join(number.to_string()));
        }
        self.files = 0;
    }

    fn free(&self) -> u64 {
        let space = RealDisk.space(&self.directory).unwrap();
        match self.unit {
            Unit::Blocks => space.bytes / space.block,
            Unit::Files => space.files.unwrap(),
        }
    }

    /// What one of the units is worth, in what an error counts.
    fn size(&self) -> u64 {
        match self.unit {
            Unit::Blocks => RealDisk.space(&self.directory).unwrap().block,
            Unit::Files => 1,
        }
    }

    fn file(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.directory.join("bytes")).unwrap()
    }
}

/// A file system that is unmounted when it is dropped.
struct Mount {
    point: TempDir,
}

impl Mount {
    fn tmpfs(options: &str) -> Result<Self, String> {
        let point = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "kubecerts-test"]).arg(point.path());
        match mount.output() {
            Ok(output) if output.status.success() => Ok(Self { point }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn path(&self) -> &Path {
        self.point.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // At once if nobody uses it any more, and otherwise as soon as nobody does.
        for option in ["--", "-l"] {
            let unmounted = Command::new("umount").args([option]).arg(self.point.path()).output();
            if unmounted.is_ok_and(|output| output.status.success()) {
                return;
            }
        }
    }
}

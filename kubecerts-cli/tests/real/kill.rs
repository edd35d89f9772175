//! Kills a renewal, and the recovery after it, at random instants.

use std::collections::BTreeMap;
use std::fs;
use std::hint::spin_loop;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Child;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::Outcome;
use crate::watched::{FILES, RENEW, Random, Side, Watched, directory_in_memory};

/// How many times a renewal is killed where flushing costs nothing, unless that takes longer than [`TIME`].
const IN_MEMORY: u32 = 160;
/// How many times on whatever disk there is.
const ON_DISK: u32 = 80;
/// After this long, a slow machine has done enough.
const TIME: Duration = Duration::from_secs(40);
/// What a test of chance may take at most to hit what it aims at, as a multiple of both.
const PATIENCE: u32 = 5;

/// Where a kill landed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    /// Before there was a journal.
    Before,
    /// The journal was open, and the run was rolled back.
    RolledBack,
    /// The journal was open, and the run was finished.
    Finished,
    /// The journal was open, and the next renewal brought it in order.
    LeftToNext,
    /// After the journal was closed.
    After,
}

/// When a kill is sent, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// After the start.
    Start(u64),
    /// After the journal appeared.
    Journal(u64),
    /// After the journal said that files may be replaced from now on.
    Prepared(u64),
    /// After the first file was replaced.
    Replaced(u64),
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_all_or_nothing() {
    // A process that is killed has written what it has written, flushed or not; so the kills may come as fast as they can.
    disturb(IN_MEMORY, directory_in_memory());
}

#[test]
fn a_run_that_is_killed_while_it_flushes_leaves_all_or_nothing() {
    disturb(ON_DISK, tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
}

/// Kills renewals of a tree in `directory`, `kills` times.
fn disturb(kills: u32, directory: TempDir) {
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut watched = Watched::within(directory);
    let spans = Spans::measure(&mut watched);

    let mut tally: BTreeMap<Phase, u32> = BTreeMap::new();
    let (mut split, mut twice) = (0, 0);
    let begun = Instant::now();
    for number in 0.. {
        let is_past = |factor| number >= factor * kills || begun.elapsed() > factor * TIME;
        let is_hit = |phase| tally.contains_key(&phase);
        let has_hit_all = is_hit(Phase::RolledBack) && is_hit(Phase::Finished);
        if is_past(PATIENCE) || (is_past(1) && has_hit_all) {
            break;
        }
        let old = watched.snapshot();
        let moment = match number % 6 {
            0 => Moment::Start(random.below(spans.whole)),
            1 => Moment::Prepared(random.of_any_size(spans.journal)),
            2 => Moment::Replaced(random.of_any_size(spans.journal)),
            3 => Moment::Journal(random.below(spans.journal)),
            _ => Moment::Journal(random.of_any_size(spans.journal)),
        };
        kill_at(moment, &watched);
        let is_open = watched.journal().exists();
        split += u32::from((1..FILES).contains(&watched.replaced()));

        let phase = if is_open && number % 8 == 7 {
            watched.tree().run(&RENEW).exits(0);
            assert_eq!(watched.settled(), Side::New, "{moment:?}");
            Phase::LeftToNext
        } else {
            if is_open && random.below(3) == 0 {
                let recovery = watched.tree().command(&["recover-journal", "--yes"]).spawn().unwrap();
                pause(Duration::from_micros(random.below(spans.recovery)));
                kill(recovery);
                twice += 1;
            }
            watched.tree().run(&["recover-journal", "--yes"]).exits(0);
            match (is_open, watched.settled()) {
                (false, Side::Old) => Phase::Before,
                (false, Side::New) => Phase::After,
                (true, Side::Old) => Phase::RolledBack,
                (true, Side::New) => Phase::Finished,
            }
        };
        *tally.entry(phase).or_default() += 1;
        watched.usable();
        watched.backups();
        if matches!(phase, Phase::Finished | Phase::After) {
            watched.backed_up(&old);
        }
        if number % 10 == 9 {
            let old = watched.snapshot();
            watched.tree().run(&[&RENEW[..], &["--keep", "2"]].concat()).exits(0);
            assert_eq!(watched.settled(), Side::New);
            watched.backed_up(&old);
            watched.forget_journals();
        }
    }
    let of = |phase| tally.get(&phase).copied().unwrap_or_default();
    println!(
        "{} kills in {:.1?}: {} before the journal, {} rolled back, {} finished, {} left to the next renewal, {} after; \
         {split} left some files old and some new, {twice} recoveries were killed too",
        tally.values().sum::<u32>(),
        begun.elapsed(),
        of(Phase::Before),
        of(Phase::RolledBack),
        of(Phase::Finished),
        of(Phase::LeftToNext),
        of(Phase::After),
    );
    assert!(of(Phase::RolledBack) > 0 && of(Phase::Finished) > 0, "a phase was never hit");
}

/// How long a renewal takes here, in microseconds.
struct Spans {
    whole: u64,
    /// While its journal is open.
    journal: u64,
    recovery: u64,
}

impl Spans {
    fn measure(watched: &mut Watched) -> Self {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
        let journal = watched.journal();
        let start = Instant::now();
        let mut child = watched.tree().command(&RENEW).spawn().unwrap();
        let opened =
            wait_for(|| journal.exists(), &mut child).map_or_else(Duration::default, |()| start.elapsed());
        wait_for(|| !journal.exists(), &mut child);
        let closed = start.elapsed();
        Outcome::of(child.wait_with_output().unwrap()).exits(0);
        let whole = start.elapsed();
        assert_eq!(watched.settled(), Side::New);
        let start = Instant::now();
        watched.tree().run(&["recover-journal", "--yes"]).exits(0);
        Self {
            whole: micros(whole),
            journal: micros(closed - opened),
            // Recovering takes a few flushes more than finding nothing to recover.
            recovery: 2 * micros(start.elapsed()),
        }
    }
}

/// Starts a renewal, and kills it.
pub(crate) fn kill_at(moment: Moment, watched: &Watched) {
    let journal = watched.journal();
    let mut child = watched.tree().command(&RENEW).spawn().unwrap();
    let delay = match moment {
        Moment::Start(delay) => delay,
        Moment::Journal(delay) => {
            wait_for(|| journal.exists(), &mut child);
            delay
        }
        Moment::Prepared(delay) => {
            wait_for(|| lines(&journal) > 1, &mut child);
            delay
        }
        Moment::Replaced(delay) => {
            let first = watched.tree().path("/etc/kubernetes/admin.conf");
            let inode = || fs::metadata(&first).unwrap().ino();
            let old = inode();
            wait_for(|| inode() != old, &mut child);
            delay
        }
    };
    pause(Duration::from_micros(delay));
    kill(child);
}

/// Waits until `condition` holds; returns `None` when the process has ended before.
fn wait_for(condition: impl Fn() -> bool, child: &mut Child) -> Option<()> {
    loop {
        // All that is to be seen can be over in less time than it takes to sleep.
        for _ in 0..20 {
            if condition() {
                return Some(());
            }
            yield_now();
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
    }
}

fn pause(span: Duration) {
    let begun = Instant::now();
    // Even the shortest sleep takes longer than many renames.
    if span > Duration::from_millis(1) {
        sleep(span);
    }
    while begun.elapsed() < span {
        spin_loop();
    }
}

fn lines(journal: &Path) -> usize {
    fs::read(journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

/// Sends SIGKILL, which nothing can catch.
fn kill(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
}

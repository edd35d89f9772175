//! Every point of a run at which the power can go, and every operation that can fail.
//!
//! Each fixture of kubeadm is renewed on a disk in memory, as is a tree with links, and with files that come and go, and one
//! in which files become links, beside a copy in a home. The run
//! is stopped at each of its operations, with several outcomes of each crash, and the laws of [`laws`] are asserted; then
//! each operation fails, once or from then on. [`recovery`] has the cases of a recovery one by one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::AddAssign;
use std::thread;
use std::time::Instant;

use kubecerts_host::disk::DiskError;
use kubecerts_host::sim::{Errno, Fault, Repeat, Survival};
use kubecerts_testkit::FIXTURES;

mod laws;
use laws::Laws;

mod recovery;

mod world;
use world::{Side, World};

#[test]
#[expect(clippy::print_stderr, reason = "how much was covered is part of the result")]
fn a_crash_at_any_operation_leaves_all_old_or_all_new() {
    let started = Instant::now();
    let count = in_every_world(|world| crash_everywhere(&Laws::of(world)));
    let Count { trees, operations, points, twice, old, new, .. } = count;
    eprintln!(
        "crash matrix: {trees} trees, {operations} operations, {points} points, {twice} of them with a crash of the \
         recovery; {old} ended old, {new} new; {:.1?}",
        started.elapsed()
    );
    assert!(old > 1000 && new > 1000 && twice > 1000);
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was covered is part of the result")]
fn an_operation_that_fails_once_leaves_everything_as_it_was_unless_all_was_done() {
    let started = Instant::now();
    let count = in_every_world(|world| fail_everywhere(&Laws::of(world)));
    let Count { trees, operations, points, old, new, open, .. } = count;
    eprintln!(
        "fault matrix: {trees} trees, {operations} operations, {points} points; {old} ended old, {new} new; {open} \
         left the journal open; {:.1?}",
        started.elapsed()
    );
    assert!(old > 1000 && new > 100);
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was covered is part of the result")]
fn a_disk_that_fails_from_some_operation_on_can_be_recovered_when_it_is_well_again() {
    let started = Instant::now();
    let count = in_every_world(|world| fail_from_everywhere_on(&Laws::of(world)));
    let Count { trees, operations, points, old, new, open, .. } = count;
    eprintln!(
        "breakdown matrix: {trees} trees, {operations} operations, {points} points; {old} ended old, {new} new; {open} \
         left the journal open; {:.1?}",
        started.elapsed()
    );
    assert!(old > 1000 && new > 100 && open > 100);
}

#[test]
fn a_failure_does_not_weaken_the_next_run() {
    for world in [World::pair(), World::odd(), World::linked()] {
        let laws = Laws::of(&world);
        for at in 0..world.points.changes {
            for number in 0..8 {
                let (mut disk, seed) = (world.disk.clone(), seed(at, number));
                disk.set_faults([Fault::FailChange { at, errno: Errno::Io, repeat: Repeat::Once }]);
                if world.run(&mut disk).is_ok() {
                    continue;
                }
                let next = seed as usize * 7 % world.points.changes;
                disk.set_faults([Fault::CrashAtChange { at: next }]);
                let _ = world.run(&mut disk);
                let context = || format!("{}: failure at {at}, crash at {next}, {seed}", world.name);
                disk.crash(if number == 0 { Survival::Nothing } else { Survival::Seeded(seed) });
                laws.recovered(&mut disk, &context);
            }
        }
    }
}

fn crash_everywhere(laws: &Laws<'_>) -> Count {
    let world = laws.world;
    let mut count = Count { trees: 1, operations: world.points.changes, ..Count::default() };
    for at in 0..world.points.changes {
        let mut down = world.disk.clone();
        down.set_faults([Fault::CrashAtChange { at }]);
        let is_done = world.run(&mut down).is_ok();
        assert!(down.is_down());
        for (number, survival) in survivals(at).into_iter().enumerate() {
            let context = || format!("{}: crash at {at}, {:?}, {survival:?}", world.name, down.log()[at]);
            let mut disk = down.clone();
            disk.crash(survival);

            // The recovery is struck too, and done again.
            let mut twice = disk.clone();
            let mut sides = Vec::with_capacity(2);
            let examined = world.examine(&twice).unwrap_or_else(|error| panic!("{}: {error}", context()));
            if let Some(interrupted) = examined.filter(|_| number == at % 3) {
                let seed = seed(at, 99);
                let mut whole = disk.clone();
                whole.set_faults([]);
                let _ = world.recover(&interrupted, &mut whole);
                twice.set_faults([Fault::CrashAtChange { at: seed as usize % whole.changes() }]);
                let _ = world.recover(&interrupted, &mut twice);
                if twice.is_down() {
                    twice.crash(match seed % 3 {
                        0 => Survival::Nothing,
                        _ => Survival::Seeded(seed),
                    });
                    sides.push(laws.recovered(&mut twice, &context));
                    count.twice += 1;
                }
            }
            let side = laws.recovered(&mut disk, &context);
            sides.push(side);
            for side in sides {
                // What was reported as done stays done, and what was not begun does not happen by itself.
                if is_done || at > world.points.prepared.1 {
                    assert_eq!(side, Side::New, "{}", context());
                } else if at <= world.points.prepared.0 {
                    assert_eq!(side, Side::Old, "{}", context());
                }
                count += side;
            }
        }
    }
    count
}

fn fail_everywhere(laws: &Laws<'_>) -> Count {
    let world = laws.world;
    let operations = world.points.changes + world.points.reads;
    let mut count = Count { trees: 1, operations, ..Count::default() };
    let changes = (0..world.points.changes).map(|at| (at, true));
    for (at, is_change) in changes.chain((0..world.points.reads).map(|at| (at, false))) {
        // What only looks neither takes room nor writes.
        let errnos: &[Errno] = if is_change { &ERRNOS } else { &[Errno::Io, Errno::Access] };
        for &errno in errnos {
            let mut disk = world.disk.clone();
            disk.set_faults([match is_change {
                true => Fault::FailChange { at, errno, repeat: Repeat::Once },
                false => Fault::FailRead { at, errno },
            }]);
            let outcome = world.run(&mut disk);
            let context = || format!("{}: {errno:?} at {at}, a change: {is_change}", world.name);
            disk.set_faults([]);
            let side = laws.side(&world.image(&disk), &context);
            match outcome {
                Ok(done) => {
                    assert_eq!((side, done.leftovers), (Side::New, vec![]), "{}", context());
                    assert!(!is_change || at > world.points.committed.1, "{}", context());
                }
                Err(error) => {
                    assert_eq!(side, Side::Old, "{}: {error}", context());
                    laws.of_the_error(&error, errno, &context);
                    assert!(!is_change || at <= world.points.committed.1, "{}", context());
                }
            }
            count.open += usize::from(disk.files().contains_key(&world.journal()));
            assert_eq!(laws.recovered(&mut disk, &context), side, "{}", context());
            count += side;
        }
    }
    count
}

fn fail_from_everywhere_on(laws: &Laws<'_>) -> Count {
    let world = laws.world;
    let mut count = Count { trees: 1, operations: world.points.changes, ..Count::default() };
    for at in 0..world.points.changes {
        // Only a full disk is a special one.
        for errno in [Errno::NoSpace, [Errno::Io, Errno::ReadOnly, Errno::Access][at % 3]] {
            let mut disk = world.disk.clone();
            disk.set_faults([Fault::FailChange { at, errno, repeat: Repeat::FromThenOn }]);
            let outcome = world.run(&mut disk);
            let context = || format!("{}: {errno:?} from {at} on: {outcome:?}", world.name);
            disk.set_faults([]);
            let image = world.image(&disk);
            let sides = laws.sides(&image, &context);
            let are_all = |side| sides.iter().flatten().all(|one| *one == side);
            match &outcome {
                Ok(_) => assert!(are_all(Side::New), "{}", context()),
                Err(DiskError::Interrupted { .. }) => {}
                Err(_) => assert!(are_all(Side::Old), "{}", context()),
            }
            // Nothing that puts things back takes room, unless a name is gone.
            if errno == Errno::NoSpace && !world.removes() {
                let side = laws.side(&image, &context);
                assert_eq!(outcome.is_ok(), side == Side::New, "{}", context());
                assert!(!disk.files().contains_key(&world.journal()), "{}", context());
            }
            count.open += usize::from(disk.files().contains_key(&world.journal()));
            let side = laws.recovered(&mut disk, &context);
            assert!(outcome.is_err() || side == Side::New, "{}", context());
            count += side;
        }
    }
    count
}

/// What was covered.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    trees: usize,
    operations: usize,
    points: usize,
    twice: usize,
    old: usize,
    new: usize,
    open: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        let Self { trees, operations, points, twice, old, new, open } = other;
        self.trees += trees;
        self.operations += operations;
        self.points += points;
        self.twice += twice;
        self.old += old;
        self.new += new;
        self.open += open;
    }
}

impl AddAssign<Side> for Count {
    fn add_assign(&mut self, side: Side) {
        self.points += 1;
        match side {
            Side::Old => self.old += 1,
            Side::New => self.new += 1,
        }
    }
}

fn in_every_world(test: impl Fn(&World) -> Count + Sync) -> Count {
    let mut count = Count::default();
    thread::scope(|scope| {
        let test = &test;
        let fixtures = FIXTURES.map(|name| scope.spawn(move || test(&World::fixture(name))));
        let odd = scope.spawn(move || test(&World::odd()));
        let linked = scope.spawn(move || test(&World::linked()));
        for thread in fixtures.into_iter().chain([odd, linked]) {
            count += thread.join().unwrap();
        }
    });
    count
}

fn survivals(at: usize) -> Vec<Survival> {
    let third = match at % 2 {
        0 => Survival::Everything,
        _ => Survival::Prefix(seed(at, 50)),
    };
    let seeded = (0..SEEDS).map(|number| Survival::Seeded(seed(at, number)));
    [Survival::Nothing, third].into_iter().chain(seeded).collect()
}

const fn seed(at: usize, number: u64) -> u64 {
    at as u64 * 100 + number
}

/// How many outcomes of each crash are drawn, beside two that are the same for each seed.
const SEEDS: u64 = 1;

const ERRNOS: [Errno; 4] = [Errno::Io, Errno::NoSpace, Errno::ReadOnly, Errno::Access];

//! Time that was worked, not waited.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::contenders::Contender;

/// Returns the time that processors have spent on this process. Who else uses the machine is not counted, so rates and ratios hold on
/// a busy one too; what they do to caches and to the frequency of the processor is.
#[must_use]
pub fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Lets `contenders` take turns for `slice` each, `rounds` times, and returns for each how many nanoseconds one piece takes: the
/// median of the rounds.
///
/// In turns, because a machine is faster at one time than at another, and a ratio is of things that were measured at the same time.
#[must_use]
pub fn take_turns(contenders: &mut [Contender], rounds: usize, slice: Duration) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            times.push(turn(contender, slice));
        }
    }
    times.into_iter().map(median).collect()
}

/// Lets `contender` work for `slice`, and returns how many nanoseconds one piece took.
///
/// Reading the clock is a system call and may take as long as a piece, so it is read ever more rarely, until the calls between two
/// readings take a noticeable part of the slice.
fn turn(contender: &mut Contender, slice: Duration) -> f64 {
    let (begin, mut calls, mut at_once, mut before) = (worked(), 0_u32, 1_u32, Duration::ZERO);
    loop {
        for _ in 0..at_once {
            contender.work();
        }
        calls += at_once;
        let spent = worked() - begin;
        if spent >= slice {
            return spent.as_secs_f64() * 1e9 / (f64::from(calls) * f64::from(contender.pieces()));
        }
        if spent - before < slice / 64 {
            at_once *= 2;
        }
        before = spent;
    }
}

/// Returns the one in the middle; of an even number the upper one of two.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_without_time_is_one_call() {
        let (sender, calls) = std::sync::mpsc::channel();
        let contender = Contender::many("a test", 4, move || sender.send(()).unwrap());
        let times = take_turns(&mut [contender], 3, Duration::ZERO);
        assert!(times.iter().all(|time| time.is_finite()), "{times:?}");
        assert_eq!(calls.iter().count(), 3);
    }
}

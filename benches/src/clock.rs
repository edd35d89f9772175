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
            let (begin, mut calls) = (worked(), 0_u32);
            let spent = loop {
                contender.work();
                calls += 1;
                let spent = worked() - begin;
                if spent >= slice {
                    break spent;
                }
            };
            times.push(spent.as_secs_f64() * 1e9 / (f64::from(calls) * f64::from(contender.pieces())));
        }
    }
    times.into_iter().map(median).collect()
}

/// Returns the one in the middle; of an even number the upper one of two.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

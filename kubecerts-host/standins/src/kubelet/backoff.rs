//! When a container that keeps ending may be started again.

use std::collections::BTreeMap;
use std::time::Duration;

/// The back-off of a kubelet's containers. All times are since the Unix epoch.
///
/// The first restart of a container is free. Each one after it has to wait until a time has passed since the container
/// ended that doubles with every restart, from one unit up to 30. A container that has run for twice as long as the
/// longest wait is forgiven.
#[derive(Debug)]
pub(crate) struct Backoff {
    unit: Duration,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    wait: Duration,
    restarted: Duration,
}

impl Backoff {
    /// Returns one whose waits begin with `unit`, which is 10 seconds in a real kubelet.
    pub(crate) fn new(unit: Duration) -> Self {
        Self { unit, entries: BTreeMap::new() }
    }

    /// Notes that the container `key`, which ended at `ended`, is restarted at `now`.
    ///
    /// # Errors
    /// How long it has to wait until it may be.
    pub(crate) fn restart(&mut self, key: &str, ended: Duration, now: Duration) -> Result<(), Duration> {
        let longest = self.unit * LONGEST;
        let entry = self.entries.get(key);
        let entry = entry.filter(|entry| ended.saturating_sub(entry.restarted) <= longest * 2);
        let wait = match entry {
            Some(entry) => match entry.wait.checked_sub(now.saturating_sub(ended)) {
                None | Some(Duration::ZERO) => longest.min(entry.wait * 2),
                Some(left) => return Err(left),
            },
            None => self.unit,
        };
        self.entries.insert(key.to_owned(), Entry { wait, restarted: now });
        Ok(())
    }
}

/// The longest wait, in units: five minutes in a real kubelet.
const LONGEST: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_free_and_then_the_wait_doubles_up_to_five_minutes() {
        let mut backoff = Backoff::new(seconds(10));
        let mut now = seconds(1_000_000);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let ended = now;
            let wait = backoff.restart("etcd", ended, now).err().unwrap_or_default();
            if wait > Duration::ZERO {
                assert_eq!(backoff.restart("etcd", ended, now + wait - seconds(1)), Err(seconds(1)));
                assert_eq!(backoff.restart("etcd", ended, now + wait), Ok(()));
            }
            waits.push(wait.as_secs());
            now += wait + seconds(1);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_for_more_than_ten_minutes_is_restarted_at_once() {
        let mut backoff = Backoff::new(seconds(10));
        assert_eq!(backoff.restart("etcd", seconds(1000), seconds(1000)), Ok(()));
        assert_eq!(backoff.restart("etcd", seconds(1601), seconds(1601)), Ok(()));
        assert_eq!(backoff.restart("etcd", seconds(1602), seconds(1602)), Err(seconds(10)));
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }
}

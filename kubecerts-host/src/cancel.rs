//! Ending a long run from outside: by its caller, or by a signal.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// A flag that ends a run from outside: the pieces in work come out, and nothing more is begun.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Returns one that `SIGINT`, `SIGTERM` or `SIGHUP` sets, from now on and as long as the process lives.
    ///
    /// A second signal ends the process at once, as if nobody had waited for it. One that comes within half a second counts as the
    /// first: `timeout` signals a process, and then the group in which it is. What the process was told to ignore by who started it
    /// stays ignored, as `nohup` wants.
    ///
    /// # Errors
    /// The reason, when the system does not let the process wait for signals. They end it then as they always do.
    pub fn on_signals() -> io::Result<Self> {
        let cancel = Self::default();
        let ignored = ignored_signals();
        let signals = [SIGHUP, SIGINT, SIGTERM];
        let mut signals =
            Signals::new(signals.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
        let told = cancel.clone();
        let wait = move || {
            let mut first = None;
            for signal in signals.forever() {
                let first = *first.get_or_insert_with(Instant::now);
                told.cancel();
                if first.elapsed() > SAME_SIGNAL {
                    // It returns only if it does not know the signal, and these it knows.
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(cancel)
    }

    /// Ends the run.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether somebody ended the run.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns standard input, which is over as soon as the run is: whoever writes to it may be slow, or wait for the run to end.
    ///
    /// Nothing is buffered, so nobody else should have read from it.
    ///
    /// # Errors
    /// The reason when it cannot be used.
    pub fn standard_input(&self) -> io::Result<UntilCancelled> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(UntilCancelled { file, cancel: self.clone() })
    }
}

/// A file or stream that is over when a run is.
#[derive(Debug)]
pub struct UntilCancelled {
    file: File,
    cancel: Cancel,
}

impl Read for UntilCancelled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.cancel.is_cancelled() {
                return Ok(0);
            }
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&LOOK_AGAIN)) {
                // A signal, which may be the one.
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.file.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Returns the signals that the process ignores, the first in the lowest bit: proc(5), `SigIgn`.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Signals that are no further apart are one: those of `timeout` are microseconds apart, and nobody types so fast.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// So long a run that is over may wait for its input, a tenth of a second.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_input_that_nobody_closes_is_over_when_the_run_is() {
        let (reader, mut writer) = io::pipe().unwrap();
        let cancel = Cancel::default();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let mut input = UntilCancelled { file, cancel: cancel.clone() };
        writer.write_all(b"abc").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(input.read(&mut buffer).unwrap(), 3);
        let waiting = thread::spawn(move || input.read(&mut buffer).unwrap());
        cancel.cancel();
        assert_eq!(waiting.join().unwrap(), 0);
        drop(writer);
    }
}

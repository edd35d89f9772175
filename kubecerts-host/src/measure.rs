//! How fast this machine makes keys, signatures and certificates, so that a job can be sized before it is run.
//!
//! [`measure`] makes an authority in memory and works with it for as long as it is told, with each provider, each algorithm, on one
//! thread and on all. What is measured is what [`Batch`](kubecerts_core::issue::bulk::Batch) does for a job as well: a certificate
//! has its own serial number, its signature is verified, its subject key is given. Nothing is written, and nothing of it is kept.

use std::collections::BTreeSet;
use std::iter::Sum;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use kubecerts_core::issue::IssueError;
use kubecerts_core::issue::sign::{SigningError, SigningRefusal};
use kubecerts_core::plan::PlanError;
use kubecerts_core::provider::ProviderError;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::KeyAlgorithm;
use rustix::time::{ClockId, clock_gettime};

use crate::crypto::Threads;

mod scratch;

use scratch::{Scratch, Tree};

/// Measures what `request` names, and tells `progress` what comes next.
///
/// It takes about [`span`](MeasureRequest::span): each measurement gets its share, but at least 20 milliseconds after what a provider
/// does once, and none ends before something was made. An RSA key of 4096 bits may need seconds.
///
/// # Errors
/// [`MeasureError`] when a provider fails.
pub fn measure(
    request: &MeasureRequest,
    progress: &mut dyn FnMut(&Measurement),
) -> Result<Measurements, MeasureError> {
    let MeasureRequest { algorithms, span, threads } = request;
    let (at, begin) = (crate::now(), Instant::now());
    let all = threads.count();
    let mut left: Vec<Measurement> = algorithms.iter().flat_map(|algorithm| of(*algorithm, all)).collect();
    left.reverse();
    let mut results = Vec::with_capacity(left.len());
    let mut time = (Duration::ZERO, Duration::ZERO);
    let mut scratch: Option<(KeyAlgorithm, Scratch)> = None;
    while let Some(next) = left.pop() {
        progress(&next);
        // What one took too much or too little of its share is spread over the others.
        let shares = left.iter().fold(next.share(), |sum, other| sum + other.share());
        let scratch = match &scratch {
            Some((algorithm, scratch)) if *algorithm == next.algorithm => scratch,
            _ => &scratch.insert((next.algorithm, Scratch::new(next.algorithm, at)?)).1,
        };
        let slice = (span.saturating_sub(begin.elapsed()) * next.share() / shares).max(SHORTEST);
        let Pace { rate, worked, elapsed } = in_parallel(next, scratch, slice)?;
        results.push((next, rate));
        time.0 += worked;
        time.1 += elapsed;
    }
    let tree = Tree::of_kubeadm(at)?;
    Ok(Measurements { at, threads: all, elapsed: begin.elapsed(), results, time, tree })
}

/// What is to be measured, and for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MeasureRequest {
    /// The algorithms of the keys; P-256, P-384 and RSA-2048 by default.
    pub algorithms: BTreeSet<KeyAlgorithm>,
    /// How long everything takes together; ten seconds by default.
    pub span: Duration,
    /// How many threads are all threads; as many as may run at the same time by default.
    pub threads: Threads,
}

impl Default for MeasureRequest {
    fn default() -> Self {
        let algorithms = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048];
        Self { algorithms: algorithms.into(), span: Duration::from_secs(10), threads: Threads::available() }
    }
}

/// Who makes keys and signatures.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Source {
    /// The provider of this machine, [`crypto::Provider`](crate::crypto::Provider), which every command uses.
    Host,
    /// The provider in pure Rust, [`RustCrypto`](kubecerts_core::issue::RustCrypto).
    RustCrypto,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::Host, Self::RustCrypto];

    /// Returns its name: `host` or `rustcrypto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::RustCrypto => "rustcrypto",
        }
    }
}

/// What is made.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the three costs of a certificate")]
pub enum Work {
    /// Private keys, with their public halves.
    Keys,
    /// Signatures, of messages as long as a certificate and hashed.
    Signatures,
    /// Certificates for keys that are given: encoded, signed, verified and assembled.
    Certificates,
}

impl Work {
    /// Every work.
    pub const ALL: [Self; 3] = [Self::Keys, Self::Signatures, Self::Certificates];

    /// Returns what it makes, in the plural.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Signatures => "signatures",
            Self::Certificates => "certificates",
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "who makes what of which kind on how many threads")]
pub struct Measurement {
    /// The algorithm of the keys.
    pub algorithm: KeyAlgorithm,
    /// Who works.
    pub source: Source,
    /// What is made.
    pub work: Work,
    /// On how many threads.
    pub threads: NonZeroUsize,
}

impl Measurement {
    /// Returns how much of the time it gets: the search for primes varies so much that a few keys say nothing.
    const fn share(&self) -> u32 {
        match (self.work, self.algorithm) {
            (Work::Keys, KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384) => 1,
            (Work::Keys, _) => 5,
            _ => 1,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    at: Timestamp,
    threads: NonZeroUsize,
    elapsed: Duration,
    results: Vec<(Measurement, f64)>,
    /// How long the threads that were measured had a processor, and how long they took, all together.
    time: (Duration, Duration),
    tree: Tree,
}

impl Measurements {
    /// Returns when it was begun.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns how many threads are all threads.
    #[must_use]
    pub const fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// Returns how long it took.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns every measurement with how many were made in a second, in the order of the measurements.
    pub fn results(&self) -> impl Iterator<Item = (Measurement, f64)> {
        self.results.iter().copied()
    }

    /// Returns how many were made in a second.
    #[must_use]
    pub fn per_second(&self, measurement: Measurement) -> Option<f64> {
        self.results.iter().find(|(other, _)| *other == measurement).map(|(_, rate)| *rate)
    }

    /// Returns the share of their time in which the threads that were measured had a processor: 1 where nothing else runs.
    #[must_use]
    pub fn processor_share(&self) -> f64 {
        let (worked, elapsed) = self.time;
        // Two clocks are read one after the other, and either may be coarse.
        if elapsed.is_zero() { 1.0 } else { (worked.as_secs_f64() / elapsed.as_secs_f64()).min(1.0) }
    }

    /// Returns whether the machine had so much else to do, or so many threads for its processors, that the figures are too low: the
    /// threads had no processor in more than a tenth of their time.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        let (worked, elapsed) = self.time;
        worked.saturating_mul(10) < elapsed.saturating_mul(9)
    }

    /// Returns how long jobs take on all threads, for each algorithm and source.
    #[must_use]
    pub fn estimates(&self) -> Vec<Estimate> {
        let is_job = |(measurement, _): &&(Measurement, f64)| {
            measurement.work == Work::Certificates && measurement.threads == self.threads
        };
        let estimate = |(measurement, certificates): &(Measurement, f64)| {
            let keys = self.per_second(Measurement { work: Work::Keys, ..*measurement })?;
            Some(Estimate {
                algorithm: measurement.algorithm,
                source: measurement.source,
                million_certificates: seconds(1e6 / certificates),
                thousand_trees: seconds(
                    1e3 * (f64::from(self.tree.keys) / keys
                        + f64::from(self.tree.certificates) / certificates),
                ),
            })
        };
        self.results.iter().filter(is_job).filter_map(estimate).collect()
    }
}

/// How long a job takes on all threads, when nothing but the processor limits it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The algorithm of all keys.
    pub algorithm: KeyAlgorithm,
    /// Who works.
    pub source: Source,
    /// 1,000,000 certificates for keys that are given, every signature verified.
    pub million_certificates: Duration,
    /// 1,000 trees as `kubeadm init` makes them, with all their keys.
    pub thousand_trees: Duration,
}

/// Why nothing could be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The tree for the measurement cannot be planned: the system gives no random bytes.
    #[error("the tree to measure with cannot be planned")]
    Plan(#[from] PlanError),
    /// Its authority cannot be issued.
    #[error("the authority to measure with cannot be issued")]
    Issue(#[from] IssueError),
    /// Its authority signs nothing.
    #[error("the authority to measure with signs nothing")]
    Refused(#[from] SigningRefusal),
    /// It cannot sign.
    #[error("the certificates to measure with cannot be signed")]
    Signing(#[from] SigningError),
    /// Keys or signatures cannot be made.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Returns everything that is measured of `algorithm`.
fn of(algorithm: KeyAlgorithm, all: NonZeroUsize) -> impl Iterator<Item = Measurement> {
    let counts: BTreeSet<NonZeroUsize> = [NonZeroUsize::MIN, all].into();
    Source::ALL.into_iter().flat_map(move |source| {
        let counts = counts.clone();
        Work::ALL.into_iter().flat_map(move |work| {
            let measurement = move |threads| Measurement { algorithm, source, work, threads };
            counts.clone().into_iter().map(measurement)
        })
    })
}

/// How fast threads were, and what they had of the processors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pace {
    /// How many were made in a second.
    rate: f64,
    /// How long processors worked on it.
    worked: Duration,
    /// How long it took by the clock on the wall, of each thread.
    elapsed: Duration,
}

impl Sum for Pace {
    fn sum<I: Iterator<Item = Self>>(paces: I) -> Self {
        paces.fold(Self::default(), |sum, pace| Self {
            rate: sum.rate + pace.rate,
            worked: sum.worked + pace.worked,
            elapsed: sum.elapsed + pace.elapsed,
        })
    }
}

/// Returns how fast all threads are together.
fn in_parallel(measurement: Measurement, scratch: &Scratch, slice: Duration) -> Result<Pace, MeasureError> {
    thread::scope(|scope| {
        let work = || scratch.with_worker(measurement, |work| pace(slice, work));
        let others: Vec<_> = (1..measurement.threads.get()).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others.into_iter().map(|other| other.join().expect("no worker panics"));
        others.chain([own]).sum()
    })
}

/// Lets `work` make things for `slice`, ever more at once, and returns how fast it was.
fn pace(
    slice: Duration,
    work: &mut dyn FnMut(usize) -> Result<(), MeasureError>,
) -> Result<Pace, MeasureError> {
    let (begin, worked) = (Instant::now(), thread_time());
    let (mut size, mut made, mut before) = (1, 0_u32, Duration::ZERO);
    loop {
        work(size)?;
        let elapsed = begin.elapsed();
        made += u32::try_from(size).expect("a batch is small");
        if elapsed >= slice {
            // A clock may be too coarse to see anything at all.
            let rate = f64::from(made) / elapsed.as_secs_f64().max(f64::EPSILON);
            return Ok(Pace { rate, worked: thread_time().saturating_sub(worked), elapsed });
        }
        if elapsed - before < slice / 32 && size < BATCH {
            size *= 2;
        }
        before = elapsed;
    }
}

/// Returns how long processors have worked on this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// How many are made at once at most: as many as a job would have in a batch, so that what depends on the issuer alone is shared.
const BATCH: usize = 256;

/// What a measurement gets however little time there is: many times what starting and stopping it costs.
const SHORTEST: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(algorithm: KeyAlgorithm, threads: usize) -> MeasureRequest {
        let threads = Threads::new(NonZeroUsize::new(threads).unwrap());
        MeasureRequest { algorithms: [algorithm].into(), span: Duration::from_millis(100), threads }
    }

    #[test]
    fn each_work_of_each_source_is_measured_on_one_thread_and_on_all() {
        let mut seen = Vec::new();
        let measured = measure(&request(KeyAlgorithm::EcdsaP256, 3), &mut |next| seen.push(*next)).unwrap();
        assert_eq!(seen.len(), 2 * 3 * 2);
        assert_eq!(measured.results().map(|(measurement, _)| measurement).collect::<Vec<_>>(), seen);
        assert!(measured.results().all(|(_, rate)| rate.is_finite() && rate > 0.0), "{measured:?}");
        assert_eq!(seen.iter().filter(|measurement| measurement.threads.get() == 3).count(), 6);
    }

    #[test]
    fn one_thread_is_measured_once() {
        let mut count = 0;
        measure(&request(KeyAlgorithm::EcdsaP256, 1), &mut |_| count += 1).unwrap();
        assert_eq!(count, 2 * 3);
    }

    #[test]
    fn an_estimate_counts_the_keys_and_the_certificates_of_trees() {
        let measurement = |work| Measurement {
            algorithm: KeyAlgorithm::Rsa2048,
            source: Source::Host,
            work,
            threads: NonZeroUsize::MIN,
        };
        let results = vec![(measurement(Work::Keys), 10.0), (measurement(Work::Certificates), 100.0)];
        let tree = Tree::of_kubeadm(Timestamp::from_unix(0)).unwrap();
        assert_eq!((tree.keys, tree.certificates), (16, 15));
        let (at, threads, elapsed) = (Timestamp::from_unix(0), NonZeroUsize::MIN, Duration::ZERO);
        let time = (Duration::ZERO, Duration::ZERO);
        let estimates = Measurements { at, threads, elapsed, results, time, tree }.estimates();
        assert_eq!(estimates.len(), 1);
        assert_eq!(estimates[0].million_certificates, Duration::from_secs(10_000));
        assert_eq!(estimates[0].thousand_trees, Duration::from_secs(1600 + 150));
    }

    #[test]
    fn work_that_fails_ends_the_measurement() {
        let error = MeasureError::Provider(ProviderError::new("the token was taken out"));
        let failed = pace(Duration::from_secs(3600), &mut |_| Err(error.clone()));
        assert_eq!(failed, Err(error));
    }

    #[test]
    fn something_is_made_even_without_time() {
        let mut made = 0;
        let pace = pace(Duration::ZERO, &mut |size| {
            made += size;
            Ok(())
        });
        assert_eq!(made, 1);
        assert!(pace.unwrap().rate > 0.0);
    }

    #[test]
    fn a_machine_is_disturbed_when_the_threads_wait_for_a_processor() {
        let tree = Tree::of_kubeadm(Timestamp::from_unix(0)).unwrap();
        let (at, threads, elapsed) = (Timestamp::from_unix(0), NonZeroUsize::MIN, Duration::ZERO);
        let milliseconds = Duration::from_millis;
        for (worked, took, is_disturbed) in
            [(0, 0, false), (101, 100, false), (90, 100, false), (89, 100, true)]
        {
            let time = (milliseconds(worked), milliseconds(took));
            let measurements = Measurements { at, threads, elapsed, results: Vec::new(), time, tree };
            assert_eq!(measurements.is_disturbed(), is_disturbed, "{worked} of {took} ms");
        }
    }

    #[test]
    fn a_thread_that_sleeps_does_not_work() {
        let pace = pace(Duration::from_millis(50), &mut |_| {
            thread::sleep(Duration::from_millis(10));
            Ok(())
        });
        let Pace { worked, elapsed, .. } = pace.unwrap();
        assert!(worked < elapsed, "{worked:?} of {elapsed:?}");
    }
}

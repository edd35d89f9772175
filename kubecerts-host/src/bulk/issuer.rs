//! The threads of a run, and the order in which their work comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kubecerts_core::issue::bulk::{BulkAuthority, BulkTerms, VerificationPolicy};
use kubecerts_core::issue::sign::{SigningError, SigningNote, SigningRefusal};
use kubecerts_core::issue::{KeySource, Signer};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::SignatureAlgorithm;

use super::chunk::{Finished, Worker};
use super::{BulkRequest, Cancel, InputError, OnError, Refusal, Sink};
use crate::crypto::{Provider, Threads};

/// Issues certificates of one authority on several threads.
pub struct BulkIssuer<'a> {
    pub(super) authority: &'a BulkAuthority,
    pub(super) terms: BulkTerms,
    pub(super) verification: VerificationPolicy,
    pub(super) on_error: OnError,
    pub(super) keys: KeySources<'a>,
    threads: Threads,
    cancel: Cancel,
    total: Option<u64>,
}

/// Makes a source of keys for each thread that needs one.
pub type KeySources<'a> = &'a (dyn Fn() -> Box<dyn KeySource> + Sync);

impl<'a> BulkIssuer<'a> {
    /// Returns an issuer that works on every processor, verifies every signature, and skips requests that are not in order.
    #[must_use]
    pub fn new(authority: &'a BulkAuthority, terms: BulkTerms) -> Self {
        Self {
            authority,
            terms,
            verification: VerificationPolicy::Every,
            on_error: OnError::Skip,
            keys: &|| Box::new(Provider::new(Threads::new(NonZeroUsize::MIN))),
            threads: Threads::available(),
            cancel: Cancel::default(),
            total: None,
        }
    }

    /// Returns the algorithm of the signatures.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.authority.algorithm()
    }

    /// Works on up to `threads` threads, the caller's among them.
    #[must_use]
    pub const fn with_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Verifies as `verification` says.
    #[must_use]
    pub const fn with_verification(mut self, verification: VerificationPolicy) -> Self {
        self.verification = verification;
        self
    }

    /// Does `on_error` when a request is refused.
    #[must_use]
    pub const fn with_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Makes keys with sources of `keys`; by default with the machine's [`Provider`].
    #[must_use]
    pub const fn with_keys(mut self, keys: KeySources<'a>) -> Self {
        self.keys = keys;
        self
    }

    /// Stops when somebody says so to a clone of `cancel`.
    #[must_use]
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Tells observers that there will be `total` requests.
    #[must_use]
    pub const fn with_total(mut self, total: Option<u64>) -> Self {
        self.total = total;
        self
    }

    /// Issues what `requests` ask for, with signatures of `signer`, into `sink`, and tells `observer` how far it is.
    ///
    /// # Errors
    /// [`SigningRefusal`] when the authority does not sign under the terms at all. However else the run ends is in the totals.
    pub fn run<I, S, K>(
        &self,
        requests: I,
        signer: &S,
        sink: &K,
        observer: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Totals, SigningRefusal>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>> + Send,
        S: Signer + Sync + ?Sized,
        K: Sink,
    {
        let begun = Instant::now();
        let key = self.authority.key().public_key;
        let verifier = crate::crypto::verifier(key, self.authority.algorithm());
        let worker = || Worker::new(self, signer, &*verifier, sink);
        // Whether the terms hold is known before anything is read; a new file goes away again.
        let first = worker().inspect_err(|_| drop(sink.finish(&Ok(End::Cancelled))))?;
        let run = Run {
            source: Mutex::new(Source { requests, next: 0, failure: None, is_over: false }),
            delivery: Mutex::new(Delivery {
                next: 0,
                waiting: BTreeMap::new(),
                totals: Totals::default(),
                end: None,
                total: self.total,
                observer,
                sink,
            }),
            turn: Condvar::new(),
            halted: AtomicBool::new(false),
            cancel: &self.cancel,
            window: (self.threads.count().get() as u64).saturating_mul(2),
        };
        let run = &run;
        let worker = &worker;
        let threads = thread::scope(|scope| {
            let more = (1..self.threads.count().get())
                .map_while(|_| {
                    let work = move || worker().map_or((), |worker| run.work(worker));
                    thread::Builder::new().name("bulk".to_owned()).spawn_scoped(scope, work).ok()
                })
                .count();
            run.work(first);
            more + 1
        });
        let is_over = lock(&run.source).is_over;
        let mut delivery = lock(&run.delivery);
        let end = delivery.end.take();
        let mut end = end.unwrap_or(Ok(if is_over { End::Complete } else { End::Cancelled }));
        if let Err(stopped) = sink.finish(&end)
            && end.is_ok()
        {
            end = Err(stopped);
        }
        let mut totals = std::mem::take(&mut delivery.totals);
        totals.threads = threads;
        totals.elapsed = begun.elapsed();
        totals.end = end;
        Ok(totals)
    }
}

impl fmt::Debug for BulkIssuer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkIssuer")
            .field("authority", self.authority)
            .field("terms", &self.terms)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// What an observer is told. It is called on any thread, but never on two at once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A request was refused.
    Refused {
        /// Its place in the whole input, counted from 1.
        position: u64,
        /// What people call it.
        name: Option<&'a str>,
        /// Why.
        refusal: &'a Refusal,
    },
    /// A certificate is not as it was asked for.
    Noted {
        /// The place of the request in the whole input, counted from 1.
        position: u64,
        /// What differs.
        note: &'a SigningNote,
    },
    /// So many requests are done, and their certificates handed out.
    Done {
        /// How many.
        done: u64,
        /// How many there are in all, if that is known.
        total: Option<u64>,
    },
}

/// What a run did.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "the totals say how the run ended"]
#[non_exhaustive]
pub struct Totals {
    /// How many requests were looked at.
    pub requests: u64,
    /// How many certificates were made.
    pub issued: u64,
    /// How many certificates were there already.
    pub before: u64,
    /// How many requests were refused.
    pub refused: u64,
    /// On how many threads.
    pub threads: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// How it ended.
    pub end: Result<End, Stopped>,
}

impl Default for Totals {
    fn default() -> Self {
        let (issued, before, refused, threads) = (0, 0, 0, 0);
        Self {
            requests: 0,
            issued,
            before,
            refused,
            threads,
            elapsed: Duration::ZERO,
            end: Ok(End::Complete),
        }
    }
}

impl Totals {
    /// Returns how many certificates were made a second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let rate = u128::from(self.issued) * 1_000_000 / self.elapsed.as_micros().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// How a run ended that nothing was wrong with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "by itself, by a request, or by somebody")]
pub enum End {
    /// With the last request.
    Complete,
    /// With a request that was refused.
    Refused,
    /// By [`Cancel::cancel`].
    Cancelled,
}

/// Why a run had to stop. What it had given out until then is complete.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The requests end in a failure.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The signer, the verifier or the random source failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A key could not be made.
    #[error("no key for request {position}")]
    Key {
        /// The place of the first request that waits for one.
        position: u64,
        /// Why not.
        #[source]
        source: ProviderError,
    },
    /// A certificate cannot be handed out.
    #[error("cannot write {}: {reason}", place.display())]
    Output {
        /// Where to.
        place: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What is there already does not belong to these requests.
    #[error("what is there already is no output of these requests: request {position}: {reason}")]
    Foreign {
        /// The place of the first request that it does not fit.
        position: u64,
        /// Why not.
        reason: String,
    },
    /// A thread panicked.
    #[error("a thread panicked: {0}")]
    Panicked(String),
}

/// What the threads share.
struct Run<'a, 'o, I, K: Sink> {
    source: Mutex<Source<I>>,
    delivery: Mutex<Delivery<'a, 'o, K>>,
    /// Told whenever a piece has gone out.
    turn: Condvar,
    halted: AtomicBool,
    cancel: &'a Cancel,
    /// So many pieces at most are between the one whose turn it is and the last one begun.
    window: u64,
}

struct Source<I> {
    requests: I,
    next: u64,
    failure: Option<InputError>,
    is_over: bool,
}

struct Delivery<'a, 'o, K: Sink> {
    next: u64,
    waiting: BTreeMap<u64, Result<Finished<K::Prepared>, Stopped>>,
    totals: Totals,
    end: Option<Result<End, Stopped>>,
    total: Option<u64>,
    observer: &'o mut (dyn FnMut(Progress<'_>) + Send),
    sink: &'a K,
}

impl<I, K> Run<'_, '_, I, K>
where
    I: Iterator<Item = Result<BulkRequest, InputError>>,
    K: Sink,
{
    /// Works until there is nothing more to do.
    fn work<S: Signer + Sync + ?Sized>(&self, mut worker: Worker<'_, S, K>) {
        let mut requests = Vec::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while let Some((number, failure)) = self.take(&mut requests) {
                let finished = match failure {
                    Some(failure) => Err(failure.into()),
                    None => worker.process(&mut requests),
                };
                self.hand_in(number, finished);
            }
        }));
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text =
                text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no stated reason");
            let mut delivery = lock(&self.delivery);
            delivery.end.get_or_insert_with(|| Err(Stopped::Panicked(text.to_owned())));
            self.halted.store(true, Ordering::Relaxed);
            self.turn.notify_all();
        }
    }

    /// Takes the next piece of the input, and returns its number; a failure comes as a piece of its own.
    fn take(&self, requests: &mut Vec<BulkRequest>) -> Option<(u64, Option<InputError>)> {
        requests.clear();
        let mut source = lock(&self.source);
        if source.is_over || self.halted.load(Ordering::Relaxed) || self.cancel.is_cancelled() {
            return None;
        }
        let mut weight = 0;
        let mut is_over = false;
        while weight < PIECE && source.failure.is_none() {
            match source.requests.next() {
                Some(Ok(request)) => {
                    weight += request.content.weight();
                    requests.push(request);
                }
                Some(Err(failure)) => source.failure = Some(failure),
                None => {
                    is_over = true;
                    break;
                }
            }
        }
        if self.cancel.is_cancelled() {
            // Who writes the requests may have ended by the same signal, in the middle of one.
            return None;
        }
        source.is_over = is_over;
        let number = source.next;
        if requests.is_empty() {
            let failure = source.failure.take()?;
            source.is_over = true;
            source.next += 1;
            return Some((number, Some(failure)));
        }
        source.next += 1;
        Some((number, None))
    }

    /// Hands a piece in, and out with all that has waited for it.
    fn hand_in(&self, number: u64, finished: Result<Finished<K::Prepared>, Stopped>) {
        let mut delivery = lock(&self.delivery);
        while number >= delivery.next + self.window && delivery.end.is_none() {
            delivery = self.turn.wait(delivery).unwrap_or_else(PoisonError::into_inner);
        }
        delivery.waiting.insert(number, finished);
        delivery.hand_out();
        if delivery.end.is_some() {
            delivery.waiting.clear();
            self.halted.store(true, Ordering::Relaxed);
        }
        drop(delivery);
        self.turn.notify_all();
    }
}

impl<K: Sink> Delivery<'_, '_, K> {
    fn hand_out(&mut self) {
        while self.end.is_none() {
            let next = self.next;
            let Some(finished) = self.waiting.remove(&next) else { return };
            self.next += 1;
            if let Err(stopped) = finished.and_then(|finished| self.accept(finished)) {
                self.end = Some(Err(stopped));
            }
        }
    }

    fn accept(&mut self, finished: Finished<K::Prepared>) -> Result<(), Stopped> {
        let Finished { prepared, requests, issued, before, refused, notes, is_end } = finished;
        self.sink.accept(prepared)?;
        self.totals.requests += requests;
        self.totals.issued += issued;
        self.totals.before += before;
        self.totals.refused += refused.len() as u64;
        for (position, name, refusal) in &refused {
            let (position, name) = (*position, name.as_deref());
            (self.observer)(Progress::Refused { position, name, refusal });
        }
        for (position, note) in &notes {
            (self.observer)(Progress::Noted { position: *position, note });
        }
        (self.observer)(Progress::Done { done: self.totals.requests, total: self.total });
        if is_end {
            self.end = Some(Ok(End::Refused));
        }
        Ok(())
    }
}

/// A panic of another holder ends the run; what the lock guards is only counted after it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many requests make a piece, which is what a batch gains from and little enough to be done within 100 ms.
pub(super) const PIECE: usize = 256;

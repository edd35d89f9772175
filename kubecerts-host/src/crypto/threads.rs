//! Work on as many threads as there are.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource, Signature, Signatures, Signer, SigningRequest};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::SignatureAlgorithm;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::KeyMaker;

/// How many threads work at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Threads(NonZeroUsize);

impl Threads {
    /// The caller's own thread and no other.
    pub const ONE: Self = Self(NonZeroUsize::MIN);

    /// Returns that many.
    #[must_use]
    pub const fn new(count: NonZeroUsize) -> Self {
        Self(count)
    }

    /// Returns as many as may run at the same time here: the number of processors, or what a limit on the process leaves of it.
    #[must_use]
    pub fn available() -> Self {
        Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn count(self) -> NonZeroUsize {
        self.0
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::available()
    }
}

/// Splits batches of `P` among threads of its own.
///
/// Answers come in the order of the requests, and of several errors that of the first request is told, as if one thread had done
/// everything. The threads start with the first batch that is worth it: not for one request, and never where one thread is allowed.
/// Keys are dealt out one by one, because one RSA key may take ten times as long as another.
///
/// It is meant for one batch at a time. Who has threads already gives each of them `P` itself.
pub struct Threaded<P> {
    inner: P,
    threads: Threads,
    pool: OnceLock<Option<ThreadPool>>,
}

impl<P> Threaded<P> {
    /// Returns a provider that works with `inner` on up to `threads` threads.
    #[must_use]
    pub const fn new(inner: P, threads: Threads) -> Self {
        Self { inner, threads, pool: OnceLock::new() }
    }

    /// Returns how many threads it works on.
    #[must_use]
    pub const fn threads(&self) -> Threads {
        self.threads
    }

    /// Returns who does the work.
    #[must_use]
    pub const fn get_ref(&self) -> &P {
        &self.inner
    }

    /// Returns the threads for `pieces` of work, or `None` when the caller's own is to do it all.
    fn pool(&self, pieces: usize) -> Option<&ThreadPool> {
        let count = self.threads.count().get();
        if count == 1 || pieces <= 1 {
            return None;
        }
        // A system that gives no more threads still has the one that asks.
        let start = || ThreadPoolBuilder::new().num_threads(count).thread_name(name).build().ok();
        self.pool.get_or_init(start).as_ref()
    }

    /// Returns how many requests of a batch of signatures make a piece: several for each thread, since none is as fast as another.
    fn piece(&self, requests: &[SigningRequest<'_>]) -> usize {
        let is_p256 =
            requests.first().is_some_and(|first| first.algorithm == SignatureAlgorithm::EcdsaWithSha256);
        self.piece_of(requests.len(), if is_p256 { PIECE_ON_P256 } else { PIECE })
    }

    fn piece_of(&self, requests: usize, least: usize) -> usize {
        let pieces = (self.threads.count().get() * PIECES_PER_THREAD).min(requests.div_ceil(least));
        requests.div_ceil(pieces.max(1)).max(1)
    }
}

impl<P: KeyMaker + Sync> KeySource for Threaded<P> {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        let Some(pool) = self.pool(requests.len()) else {
            return requests.iter().map(|request| self.inner.make(request)).collect();
        };
        let failed = Earliest::default();
        let key = |(index, request)| failed.unless_later(index, || self.inner.make(request));
        let keys = pool.install(|| requests.par_iter().enumerate().with_max_len(1).map(key).collect());
        in_order(keys)
    }
}

impl<P: KeyMaker + Sync> KeyMaker for Threaded<P> {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        self.inner.make(request)
    }
}

impl<P: Signer + Sync> Signer for Threaded<P> {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let piece = self.piece(requests);
        let Some(pool) = self.pool(requests.len().div_ceil(piece)) else {
            return self.inner.sign(requests);
        };
        let failed = Earliest::default();
        let sign = |(index, piece)| failed.unless_later(index, || self.inner.sign(piece));
        let pieces = pool.install(|| requests.par_chunks(piece).enumerate().map(sign).collect());
        Ok(in_order(pieces)?.into_iter().flatten().collect())
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        let piece = self.piece(requests);
        let Some(pool) = self.pool(requests.len().div_ceil(piece)) else {
            return self.inner.sign_into(requests, out);
        };
        let failed = Earliest::default();
        let sign = |(index, piece)| {
            failed.unless_later(index, || {
                let mut signatures = Signatures::new();
                self.inner.sign_into(piece, &mut signatures).map(|()| signatures)
            })
        };
        let pieces = pool.install(|| requests.par_chunks(piece).enumerate().map(sign).collect());
        for signature in in_order(pieces)?.iter().flat_map(Signatures::iter) {
            out.push(signature);
        }
        Ok(())
    }
}

impl<P> fmt::Debug for Threaded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threaded").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// The lowest index that failed. What comes after it is not worth doing; what comes before it may fail too, and be the one to tell.
struct Earliest(AtomicUsize);

impl Default for Earliest {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Earliest {
    /// Returns what `work` gives, or `None` when something with a lower index has failed already.
    fn unless_later<T>(
        &self,
        index: usize,
        work: impl FnOnce() -> Result<T, ProviderError>,
    ) -> Option<Result<T, ProviderError>> {
        // It is a shortcut only: the errors themselves are ordered in `in_order`.
        if self.0.load(Ordering::Relaxed) < index {
            return None;
        }
        let result = work();
        if result.is_err() {
            self.0.fetch_min(index, Ordering::Relaxed);
        }
        Some(result)
    }
}

/// Returns all results, or the first error. Nothing is missing before that.
fn in_order<T>(results: Vec<Option<Result<T, ProviderError>>>) -> Result<Vec<T>, ProviderError> {
    results.into_iter().map(|result| result.expect("only what comes after an error is left out")).collect()
}

fn name(index: usize) -> String {
    format!("provider-{index}")
}

/// Signatures that are not worth another thread: 2 ms with RSA, and 5 on P-384.
const PIECE: usize = 8;

/// On P-256 that is half a millisecond, and so many share what [`Batched`](kubecerts_core::issue::Batched) does once for all.
const PIECE_ON_P256: usize = 64;

/// So that a thread that the system stops for a while leaves its share to the others.
const PIECES_PER_THREAD: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use kubecerts_core::catalog::{LeafSlot, Slot};
    use kubecerts_core::x509::{KeyAlgorithm, KeyType};

    use super::super::stub::{P256, P384, Stub, key};
    use super::*;

    fn four() -> Threads {
        Threads::new(NonZeroUsize::new(4).unwrap())
    }

    /// Requests that can be told apart: their slots go round, and every third is for another curve.
    fn requests(count: usize) -> Vec<KeyRequest> {
        let slots = LeafSlot::ALL.map(Slot::Leaf).into_iter().cycle();
        let algorithm = |index| match index % 3 {
            0 => KeyAlgorithm::EcdsaP384,
            _ => KeyAlgorithm::EcdsaP256,
        };
        slots.take(count).enumerate().map(|(index, slot)| KeyRequest::new(slot, algorithm(index))).collect()
    }

    #[test]
    fn keys_come_in_the_order_of_the_requests() {
        let mut threaded = Threaded::new(Stub::new(|_, request| key(request)), four());
        let requests = requests(50);
        let keys = threaded.generate(&requests).unwrap();
        let types: Vec<_> = keys.into_iter().map(|key| key.into_private_key().key_type()).collect();
        let asked: Vec<_> = requests.iter().map(|request| KeyType::from(request.algorithm)).collect();
        assert_eq!(types, asked);
    }

    #[test]
    fn of_several_errors_that_of_the_first_request_is_told() {
        // The later one fails at once, the earlier one only after its thread was away for a while.
        let answer = |_, request: &KeyRequest| match request.algorithm {
            KeyAlgorithm::EcdsaP384 => Err(ProviderError::new("later")),
            KeyAlgorithm::Rsa2048 => {
                thread::sleep(std::time::Duration::from_millis(20));
                Err(ProviderError::new("earlier"))
            }
            _ => key(request),
        };
        let rsa = KeyRequest::new(P256.slot, KeyAlgorithm::Rsa2048);
        for _ in 0..10 {
            let mut threaded = Threaded::new(Stub::new(answer), four());
            let requests = [P256, rsa, P256, P384, P384, P384, P384, P384];
            assert_eq!(threaded.generate(&requests).unwrap_err(), ProviderError::new("earlier"));
        }
    }

    #[test]
    fn what_comes_after_an_error_is_not_begun() {
        let answer = |index, request: &KeyRequest| match index {
            0..4 => Err(ProviderError::new("none")),
            _ => key(request),
        };
        let mut threaded = Threaded::new(Stub::new(answer), four());
        threaded.generate(&vec![P256; 1000]).unwrap_err();
        let asked = threaded.get_ref().asked();
        assert!(asked < 1000, "{asked}");
    }

    #[test]
    fn no_thread_is_started_for_one_request_or_by_one_thread() {
        let answer = |_, request: &KeyRequest| key(request);
        let mut one = Threaded::new(Stub::new(answer), Threads::ONE);
        one.generate(&requests(5)).unwrap();
        assert!(one.pool.get().is_none());
        let mut many = Threaded::new(Stub::new(answer), four());
        many.generate(&[]).unwrap();
        many.generate(&[P256]).unwrap();
        assert!(many.pool.get().is_none());
        many.generate(&[P256, P256]).unwrap();
        assert!(many.pool.get().is_some());
    }

    #[test]
    fn a_batch_is_worked_on_by_its_own_threads() {
        let names = Mutex::new(BTreeSet::new());
        let answer = |_, request: &KeyRequest| {
            names.lock().unwrap().insert(thread::current().name().map(str::to_owned));
            key(request)
        };
        Threaded::new(Stub::new(answer), four()).generate(&vec![P256; 100]).unwrap();
        let names = names.into_inner().unwrap();
        let is_ours = |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with("provider-"));
        assert!(names.iter().all(is_ours), "{names:?}");
    }

    #[test]
    fn a_panic_of_the_source_reaches_the_caller() {
        let answer = |index, request: &KeyRequest| match index {
            2 => panic!("it broke"),
            _ => key(request),
        };
        let mut threaded = Threaded::new(Stub::new(answer), four());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| threaded.generate(&[P256; 9])));
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"it broke"));
        threaded.generate(&[P256; 9]).unwrap();
    }

    #[test]
    fn pieces_of_a_batch_are_even_and_not_too_small() {
        let threaded = Threaded::new((), four());
        for (requests, piece) in [(0, 1), (1, 1), (8, 8), (9, 5), (16, 8), (128, 8), (10_000, 625)] {
            assert_eq!(threaded.piece_of(requests, PIECE), piece, "{requests}");
        }
        for (requests, piece) in [(0, 1), (1, 1), (64, 64), (65, 33), (128, 64), (10_000, 625)] {
            assert_eq!(threaded.piece_of(requests, PIECE_ON_P256), piece, "{requests}");
        }
    }
}

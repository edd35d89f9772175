//! Keys that are made before anybody asks for them.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource, Signature, Signatures, Signer, SigningRequest};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::KeyAlgorithm;

use super::{KeyMaker, Threads};

/// Makes keys of one algorithm ahead, on threads of its own, and keeps a bounded number of them ready.
///
/// A key that is asked for is one that is ready, or else the next that becomes so. Keys of other algorithms, and signatures, come
/// from the inner provider on the thread of who asks. What nobody has asked for is wiped when the pool is dropped;
/// dropping waits for the keys in work, which is the time of one key.
pub struct KeyPool<P> {
    inner: Arc<P>,
    algorithm: KeyAlgorithm,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// How far a [`KeyPool`] is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyCounts {
    /// Keys that nobody has asked for yet.
    pub ready: usize,
    /// Keys that were made since the pool began, with those that are ready.
    pub made: u64,
}

impl<P: KeyMaker + Send + Sync + 'static> KeyPool<P> {
    /// Starts `threads` threads that keep up to `bound` keys like `request` ready; the slot is only named in errors.
    ///
    /// # Errors
    /// The system's, when it gives no thread at all; with some of them the pool is as good, only slower.
    pub fn start(
        inner: P,
        request: KeyRequest,
        bound: NonZeroUsize,
        threads: Threads,
    ) -> Result<Self, io::Error> {
        let (inner, shared) = (Arc::new(inner), Arc::new(Shared::default()));
        let mut pool = Self { inner, algorithm: request.algorithm, shared, workers: Vec::new() };
        for index in 0..threads.count().get() {
            // Counted before it runs, so that nobody who asks at once finds no worker.
            pool.shared.lock().workers += 1;
            let (inner, shared) = (Arc::clone(&pool.inner), Arc::clone(&pool.shared));
            let work = move || shared.work(inner.as_ref(), request, bound.get());
            match thread::Builder::new().name(format!("keys-{index}")).spawn(work) {
                Ok(worker) => pool.workers.push(worker),
                Err(error) => {
                    pool.shared.lock().workers -= 1;
                    if pool.workers.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(pool)
    }
}

impl<P> KeyPool<P> {
    /// Returns how many keys are ready and how many were made.
    #[must_use]
    pub fn counts(&self) -> KeyCounts {
        let state = self.shared.lock();
        KeyCounts { ready: state.keys.len(), made: state.made }
    }
}

impl<P: KeyMaker> KeyMaker for KeyPool<P> {
    /// # Panics
    /// With what the inner source panicked with on a thread of the pool, once.
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        if request.algorithm != self.algorithm {
            return self.inner.make(request);
        }
        // Without workers it is a pool no longer, and the source may still be good.
        self.shared.take().unwrap_or_else(|| self.inner.make(request))
    }
}

impl<P: KeyMaker> KeySource for KeyPool<P> {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        requests.iter().map(|request| self.make(request)).collect()
    }
}

impl<P: Signer> Signer for KeyPool<P> {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        self.inner.sign(requests)
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        self.inner.sign_into(requests, out)
    }
}

impl<P> fmt::Debug for KeyPool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPool({}, {:?})", self.algorithm, self.counts())
    }
}

impl<P> Drop for KeyPool<P> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its source panics with.
            let _ = worker.join();
        }
        // Nobody has asked since it happened, and it may not go unseen.
        let panic = self.shared.lock().panic.take();
        if let Some(panic) = panic
            && !thread::panicking()
        {
            panic::resume_unwind(panic);
        }
    }
}

/// What the workers and those who ask have in common.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Somebody took a key or an error, or all is over.
    room: Condvar,
    /// There is a key, an error or a panic, or one worker less.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// Each is wiped when it is dropped, and so are all of them.
    keys: VecDeque<KeyReply>,
    making: usize,
    made: u64,
    workers: usize,
    error: Option<ProviderError>,
    panic: Option<Box<dyn Any + Send>>,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes keys until the pool is dropped.
    fn work(&self, inner: &impl KeyMaker, request: KeyRequest, bound: usize) {
        let mut state = self.lock();
        while !state.stopped {
            // After an error it waits until somebody was told, rather than to fail again and again.
            if state.error.is_some() || state.keys.len() + state.making >= bound {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.making += 1;
            drop(state);
            let made = panic::catch_unwind(AssertUnwindSafe(|| inner.make(&request)));
            state = self.lock();
            state.making -= 1;
            match made {
                Ok(Ok(key)) => {
                    state.keys.push_back(key);
                    state.made += 1;
                }
                Ok(Err(error)) => state.error = Some(error),
                Err(panic) => {
                    state.panic = Some(panic);
                    break;
                }
            }
            self.ready.notify_one();
        }
        state.workers -= 1;
        drop(state);
        self.ready.notify_all();
        // What a worker was about to make when its source panicked is room for another, which nobody else would tell.
        self.room.notify_all();
    }

    /// Returns the next key, or `None` when nobody makes any.
    fn take(&self) -> Option<Result<KeyReply, ProviderError>> {
        let mut state = self.lock();
        loop {
            let taken = match state.keys.pop_front() {
                Some(key) => Some(Ok(key)),
                None => state.error.take().map(Err),
            };
            if taken.is_some() {
                drop(state);
                // All of them: the one that is told might be waiting for the end of an error, or for room.
                self.room.notify_all();
                return taken;
            }
            if let Some(panic) = state.panic.take() {
                drop(state);
                panic::resume_unwind(panic);
            }
            if state.workers == 0 {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;

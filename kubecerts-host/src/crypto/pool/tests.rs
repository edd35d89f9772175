use std::panic::catch_unwind;
use std::sync::mpsc;
use std::time::Duration;

use kubecerts_core::x509::KeyType;

use super::super::stub::{P256, P384, Stub, key};
use super::*;

const FOUR: NonZeroUsize = NonZeroUsize::new(4).unwrap();

fn two_threads() -> Threads {
    Threads::new(NonZeroUsize::new(2).unwrap())
}

fn good(_: usize, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
    key(request)
}

/// Waits until `is_so`, which it will be: how long it takes is the machine's affair.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_full<P>(pool: &KeyPool<P>) -> bool {
    let state = pool.shared.lock();
    state.keys.len() == FOUR.get() && state.making == 0
}

#[test]
fn no_more_keys_are_made_than_may_be_ready() {
    let pool = KeyPool::start(Stub::new(good), P256, FOUR, two_threads()).unwrap();
    wait_until(|| is_full(&pool));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(pool.counts(), KeyCounts { ready: 4, made: 4 });
    assert_eq!(pool.inner.asked(), 4);
    pool.make(&P256).unwrap();
    wait_until(|| is_full(&pool));
    assert_eq!(pool.counts(), KeyCounts { ready: 4, made: 5 });
}

#[test]
fn keys_that_are_ready_are_taken_in_the_order_in_which_they_were_made() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&made);
    let answer = move |_: usize, request: &KeyRequest| {
        let key = key(request)?.into_private_key();
        seen.lock().unwrap().push(key.public_key());
        Ok(KeyReply::from(key))
    };
    let mut pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    let taken: Vec<_> = pool
        .generate(&[P256; 20])
        .unwrap()
        .into_iter()
        .map(|key| key.into_private_key().public_key())
        .collect();
    assert_eq!(taken, made.lock().unwrap()[..20]);
}

#[test]
fn a_key_of_another_algorithm_comes_from_the_inner_source() {
    let pool = KeyPool::start(Stub::new(good), P256, FOUR, two_threads()).unwrap();
    wait_until(|| is_full(&pool));
    let other = pool.make(&P384).unwrap();
    assert_eq!(other.into_private_key().key_type(), KeyType::EcdsaP384);
    assert_eq!(pool.counts(), KeyCounts { ready: 4, made: 4 });
}

#[test]
fn a_full_pool_can_be_dropped() {
    let pool = KeyPool::start(Stub::new(good), P256, FOUR, two_threads()).unwrap();
    wait_until(|| is_full(&pool));
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    // Nobody holds the keys any more, so they are wiped.
    assert!(shared.upgrade().is_none());
}

#[test]
fn a_pool_that_works_on_a_key_ends_after_that_key() {
    let (began, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel();
    let goes = Mutex::new(goes);
    let answer = move |_: usize, request: &KeyRequest| {
        began.send(()).unwrap();
        goes.lock().unwrap().recv().unwrap();
        key(request)
    };
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    begins.recv().unwrap();
    let (shared, inner) = (Arc::clone(&pool.shared), Arc::clone(&pool.inner));
    let dropping = thread::spawn(move || drop(pool));
    wait_until(|| shared.lock().stopped);
    go.send(()).unwrap();
    dropping.join().unwrap();
    assert_eq!(inner.asked(), 1);
}

#[test]
fn every_consumer_gets_keys_of_its_own() {
    let pool = KeyPool::start(Stub::new(good), P256, FOUR, two_threads()).unwrap();
    let take = || (0..25).map(|_| pool.make(&P256).unwrap().into_private_key().public_key());
    let mut taken: Vec<_> = thread::scope(|scope| {
        let consumers: Vec<_> = (0..8).map(|_| scope.spawn(|| take().collect::<Vec<_>>())).collect();
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
    });
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 200);
}

#[test]
fn an_error_of_the_source_reaches_one_consumer_and_the_next_gets_a_key() {
    let answer = |index: usize, request: &KeyRequest| match index {
        2 => Err(ProviderError::new("no entropy")),
        _ => key(request),
    };
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    let answers: Vec<_> = (0..6).map(|_| pool.make(&P256).map(drop)).collect();
    let error = Err(ProviderError::new("no entropy"));
    assert_eq!(answers, [Ok(()), Ok(()), error, Ok(()), Ok(()), Ok(())]);
}

#[test]
fn a_source_that_always_fails_is_asked_once_for_each_answer() {
    let answer = |_: usize, _: &KeyRequest| Err(ProviderError::new("no entropy"));
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    for _ in 0..3 {
        assert_eq!(pool.make(&P256).unwrap_err(), ProviderError::new("no entropy"));
    }
    let asked = pool.inner.asked();
    assert!((3..=4).contains(&asked), "{asked}");
}

#[test]
fn a_panic_of_the_source_reaches_a_consumer_and_the_source_is_asked_directly_then() {
    let answer = |index: usize, request: &KeyRequest| match index {
        0 => panic!("it broke"),
        _ => key(request),
    };
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| pool.make(&P256).map(drop))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"it broke"));
    pool.make(&P256).unwrap();
}

#[test]
fn a_panic_that_no_consumer_saw_comes_out_when_the_pool_is_dropped() {
    let answer = |_: usize, _: &KeyRequest| panic!("it broke");
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, two_threads()).unwrap();
    wait_until(|| pool.shared.lock().panic.is_some());
    let panic = catch_unwind(AssertUnwindSafe(|| drop(pool))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"it broke"));
}

#[test]
fn the_room_of_a_worker_that_panicked_is_another_worker_s() {
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    let answer = move |index: usize, request: &KeyRequest| {
        // Once nobody can say so any more, it goes on.
        let _ = goes.lock().unwrap().recv();
        match index {
            0 => panic!("it broke"),
            _ => key(request),
        }
    };
    let pool = KeyPool::start(Stub::new(answer), P256, NonZeroUsize::MIN, two_threads()).unwrap();
    wait_until(|| pool.shared.lock().making == 1);
    // Time for the other worker to find no room and wait for it.
    thread::sleep(Duration::from_millis(20));
    go.send(()).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| pool.make(&P256).map(drop))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"it broke"));
    drop(go);
    pool.make(&P256).unwrap();
}

#[test]
fn a_consumer_that_waits_is_not_forgotten_when_the_workers_end() {
    // One key, then a panic: somebody gets the key, somebody the panic, and the others keys of the source itself.
    let answer = |index: usize, request: &KeyRequest| match index {
        0 => key(request),
        1 => panic!("it broke"),
        _ => key(request),
    };
    let pool = KeyPool::start(Stub::new(answer), P256, FOUR, Threads::ONE).unwrap();
    let take = || catch_unwind(AssertUnwindSafe(|| pool.make(&P256).map(drop)));
    let answers: Vec<_> = thread::scope(|scope| {
        let consumers: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let pool = KeyPool::start(Stub::new(good), P256, FOUR, two_threads()).unwrap();
    wait_until(|| is_full(&pool));
    assert_eq!(format!("{pool:?}"), "KeyPool(ECDSA-P256, KeyCounts { ready: 4, made: 4 })");
}

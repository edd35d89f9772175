//! Many certificates of one authority, with signers and sinks that go wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use kubecerts_core::catalog::{CaSlot, Slot};
use kubecerts_core::issue::bulk::{BulkAuthority, BulkTerms};
use kubecerts_core::issue::{KeyRequest, KeySource, RustCrypto, Signature, Signer, SigningRequest};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{
    AlternativeNames, Certificate, DistinguishedName, KeyAlgorithm, SignatureVerdict,
};
use kubecerts_host::SystemEntropy;
use kubecerts_host::bulk::{
    BulkIssuer, BulkRequest, Cancel, Content, End, InputError, Made, OnError, Outcome, Prior, Progress, Sink,
    Stopped, Totals,
};
use kubecerts_host::crypto::{KeyPool, SharedKeys, Threads};
use kubecerts_testkit::{Fixture, RequestMaker, at};

/// Keeps what it is given, in memory.
#[derive(Default)]
struct Memory {
    made: Mutex<Vec<(u64, Vec<u8>, bool)>>,
    finished: Mutex<Vec<bool>>,
    /// Fails when so many certificates are there.
    fails_at: Option<usize>,
}

impl Sink for Memory {
    type Prepared = Vec<(u64, Vec<u8>, bool)>;

    fn prepare(&self, outcomes: &[Outcome<'_>]) -> Result<Self::Prepared, Stopped> {
        let made = outcomes.iter().filter_map(|outcome| match &outcome.made {
            Ok(Made::Now(issued)) => {
                let certificate = Certificate::parse_der(issued.certificate).unwrap();
                let has_own_key = issued.key.is_some_and(|key| key.public_key() == *certificate.public_key());
                Some((outcome.position, issued.certificate.to_vec(), has_own_key))
            }
            _ => None,
        });
        Ok(made.collect())
    }

    fn accept(&self, prepared: Self::Prepared) -> Result<(), Stopped> {
        let mut made = self.made.lock().unwrap();
        if self.fails_at.is_some_and(|most| made.len() + prepared.len() > most) {
            return Err(Stopped::Output { place: "memory".into(), reason: "full".to_owned() });
        }
        made.extend(prepared);
        Ok(())
    }

    fn finish(&self, end: &Result<End, Stopped>) -> Result<(), Stopped> {
        self.finished.lock().unwrap().push(*end == Ok(End::Complete));
        Ok(())
    }
}

impl Memory {
    fn positions(&self) -> Vec<u64> {
        self.made.lock().unwrap().iter().map(|(position, ..)| *position).collect()
    }
}

fn authority() -> BulkAuthority {
    let snapshot = Fixture::named("kubeadm-v136-ecdsa-p256").tree().snapshot();
    BulkAuthority::from_snapshot(&snapshot, CaSlot::Cluster, at(NOW)).unwrap()
}

const NOW: &str = "2027-01-01T00:00:00Z";

fn terms() -> BulkTerms {
    let profile = "kubernetes.io/kube-apiserver-client".parse().unwrap();
    BulkTerms { profile, lifetime: Seconds(86_400), now: at(NOW) }
}

fn threads(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap())
}

fn request(position: u64, content: Content) -> Result<BulkRequest, InputError> {
    Ok(BulkRequest { position, name: None, content, prior: Prior::None })
}

fn subject(position: u64) -> DistinguishedName {
    DistinguishedName::kubeadm(&format!("user-{position}"), &["example:users"])
}

/// Returns requests for one key, which take no time to make.
fn of_key(count: u64) -> impl Iterator<Item = Result<BulkRequest, InputError>> + Send {
    let key = RequestMaker::with_keys(1).key(0).public_key();
    (1..=count).map(move |position| {
        let names = AlternativeNames::default();
        request(position, Content::Key { subject: subject(position), names, key: key.clone() })
    })
}

fn provider() -> RustCrypto<SystemEntropy> {
    RustCrypto::new(SystemEntropy::new())
}

fn run<S: Signer + Sync>(
    issuer: &BulkIssuer<'_>,
    requests: impl Iterator<Item = Result<BulkRequest, InputError>> + Send,
    signer: &S,
    sink: &Memory,
) -> Totals {
    issuer.run(requests, signer, sink, &mut |_| {}).unwrap()
}

#[test]
fn order_is_kept_on_any_number_of_threads() {
    let authority = authority();
    for count in [1, 2, 3, 9] {
        let sink = Memory::default();
        let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(count));
        let totals = run(&issuer, of_key(1500), &provider(), &sink);
        assert_eq!((totals.issued, totals.threads, totals.end), (1500, count, Ok(End::Complete)));
        assert_eq!(sink.positions(), (1..=1500).collect::<Vec<u64>>());
        assert_eq!(*sink.finished.lock().unwrap(), [true]);
    }
}

#[test]
fn keys_are_made_and_come_with_their_certificates() {
    let authority = authority();
    let sink = Memory::default();
    let requests = (1..=20).map(|position| {
        let (subject, names) = (subject(position), AlternativeNames::default());
        request(position, Content::NewKey { subject, names, algorithm: KeyAlgorithm::EcdsaP256 })
    });
    let totals = run(&BulkIssuer::new(&authority, terms()), requests, &provider(), &sink);
    assert_eq!((totals.issued, totals.end), (20, Ok(End::Complete)));
    for (position, der, has_own_key) in &*sink.made.lock().unwrap() {
        assert!(has_own_key);
        let certificate = Certificate::parse_der(der).unwrap();
        assert_eq!(*certificate.subject(), subject(*position));
        assert_eq!(certificate.verify_signature(authority.key().public_key), SignatureVerdict::Valid);
    }
}

#[test]
fn all_threads_take_their_keys_from_one_pool() {
    let authority = authority();
    let sink = Memory::default();
    let asked = KeyRequest::new(Slot::KubeletClient, KeyAlgorithm::EcdsaP256);
    let bound = NonZeroUsize::new(8).unwrap();
    let pool = Arc::new(KeyPool::start(provider(), asked, bound, threads(2)).unwrap());
    let keys = SharedKeys::from(Arc::clone(&pool));
    let requests = (1..=600).map(|position| {
        let (subject, names) = (subject(position), AlternativeNames::default());
        request(position, Content::NewKey { subject, names, algorithm: KeyAlgorithm::EcdsaP256 })
    });
    let sources = || -> Box<dyn KeySource> { Box::new(keys.clone()) };
    let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(3)).with_keys(&sources);
    let totals = run(&issuer, requests, &provider(), &sink);
    assert_eq!((totals.issued, totals.end), (600, Ok(End::Complete)));
    assert!(sink.made.lock().unwrap().iter().all(|(_, _, has_own_key)| *has_own_key));
    let counts = pool.counts();
    assert!((600..=608).contains(&counts.made), "{counts:?}");
}

#[test]
fn cancelling_gives_out_what_was_begun_and_nothing_more() {
    let authority = authority();
    let (sink, cancel) = (Memory::default(), Cancel::default());
    let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(2)).with_cancel(&cancel);
    let mut observer = |progress: Progress<'_>| {
        if let Progress::Done { done, .. } = progress
            && done >= 512
        {
            cancel.cancel();
        }
    };
    let totals = issuer.run(of_key(1 << 40), &provider(), &sink, &mut observer).unwrap();
    assert_eq!(totals.end, Ok(End::Cancelled));
    assert!((512..8192).contains(&totals.issued), "{totals:?}");
    assert_eq!(sink.positions(), (1..=totals.issued).collect::<Vec<u64>>());
    assert_eq!(*sink.finished.lock().unwrap(), [false]);
}

/// Signs wrongly, fails or panics from some request on.
struct Broken {
    how: How,
    inner: RustCrypto<SystemEntropy>,
    left: Mutex<usize>,
}

#[derive(Clone, Copy)]
enum How {
    Fails,
    SignsWrongly,
    Panics,
}

impl Signer for Broken {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let is_over = {
            let mut left = self.left.lock().unwrap();
            *left = left.saturating_sub(requests.len());
            *left == 0
        };
        let mut signatures = self.inner.sign(requests)?;
        match self.how {
            _ if !is_over => {}
            How::Fails => return Err(ProviderError::new("the token was pulled out")),
            How::SignsWrongly => signatures[0] = signatures[signatures.len() - 1].clone(),
            How::Panics => panic!("the signer has a bug"),
        }
        Ok(signatures)
    }
}

#[test]
fn a_signer_that_breaks_ends_the_run_and_what_was_given_out_is_right() {
    let authority = authority();
    for (how, word) in [
        (How::Fails, "the token was pulled out"),
        (How::SignsWrongly, "signature"),
        (How::Panics, "the signer has a bug"),
    ] {
        for count in [1, 3] {
            let sink = Memory::default();
            let signer = Broken { how, inner: provider(), left: Mutex::new(2000) };
            let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(count));
            let totals = run(&issuer, of_key(1 << 40), &signer, &sink);
            let told = format!("{:?}", totals.end);
            assert!(totals.end.is_err() && told.to_lowercase().contains(word), "{told}");
            assert_eq!(sink.positions(), (1..=totals.issued).collect::<Vec<u64>>());
        }
    }
}

#[test]
fn a_sink_that_is_full_and_an_input_that_ends_badly_end_the_run() {
    let authority = authority();
    let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(3));
    let sink = Memory { fails_at: Some(1000), ..Memory::default() };
    let totals = run(&issuer, of_key(1 << 40), &provider(), &sink);
    assert!(matches!(totals.end, Err(Stopped::Output { .. })), "{totals:?}");
    assert_eq!(sink.positions(), (1..=totals.issued).collect::<Vec<u64>>());

    let sink = Memory::default();
    let failure = InputError::Read("the disk is gone".to_owned());
    let requests = of_key(700).chain([Err(failure.clone())]).chain(of_key(700));
    let totals = run(&issuer, requests, &provider(), &sink);
    assert_eq!((totals.issued, totals.end), (700, Err(Stopped::Input(failure))));

    let sink = Memory::default();
    let requests =
        of_key(600).inspect(|request| assert!(request.as_ref().unwrap().position < 300, "bad iterator"));
    let totals = run(&issuer, requests, &provider(), &sink);
    assert!(matches!(&totals.end, Err(Stopped::Panicked(text)) if text == "bad iterator"), "{totals:?}");
}

#[test]
fn stopping_at_the_first_refusal_leaves_exactly_what_was_asked_for_before_it() {
    let authority = authority();
    for bad in [1, 2, 256, 257, 1000] {
        let sink = Memory::default();
        let issuer =
            BulkIssuer::new(&authority, terms()).with_threads(threads(3)).with_on_error(OnError::Stop);
        let requests = of_key(3000).map(|asked| {
            let mut asked = asked?;
            if asked.position % bad == 0 && asked.position >= bad {
                asked.content = Content::Request(b"nonsense".to_vec());
            }
            Ok(asked)
        });
        let totals = run(&issuer, requests, &provider(), &sink);
        assert_eq!((totals.requests, totals.issued, totals.refused), (bad, bad - 1, 1));
        assert_eq!(totals.end, Ok(End::Refused));
        assert_eq!(sink.positions(), (1..bad).collect::<Vec<u64>>());
    }
}

#[test]
fn no_more_is_in_memory_than_a_few_pieces_a_thread() {
    let authority = authority();
    let sink = Memory::default();
    let taken = Mutex::new(0_u64);
    let most = Mutex::new(0_u64);
    let issuer = BulkIssuer::new(&authority, terms()).with_threads(threads(2));
    let requests = of_key(10_000).inspect(|_| *taken.lock().unwrap() += 1);
    let mut observer = |progress: Progress<'_>| {
        if let Progress::Done { done, .. } = progress {
            let ahead = *taken.lock().unwrap() - done;
            let mut most = most.lock().unwrap();
            *most = ahead.max(*most);
        }
    };
    let totals = issuer.run(requests, &provider(), &sink, &mut observer).unwrap();
    assert_eq!(totals.issued, 10_000);
    let most = *most.lock().unwrap();
    assert!(most <= 3 * 2 * 256, "{most} requests were in memory at once");
}

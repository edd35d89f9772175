//! How many certificates a second: the parts of issuing in bulk, each by itself.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench bulk
//! ```
//!
//! `batch` makes whole certificates with the provider of the host, as a job does; the bench `peers` has others beside it. `sign` goes
//! through the [`Signer`] trait in batches, because a provider may gain from many requests at once. Beside it stand the parts that are
//! paid for each certificate whoever signs: the to-be-signed bytes, DER and PEM.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kubecerts_benches::contenders::{self, Contender};
use kubecerts_benches::leaf::Leaf;
use kubecerts_core::catalog::{LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::bulk::VerificationPolicy;
use kubecerts_core::issue::{KeySource, Signer, SigningRequest, begin};
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_core::x509::{
    Certificate, KeyAlgorithm, KeyUsages, SignatureAlgorithm, SignatureVerdict, ToBeSigned, Validity,
    assemble, decode_blocks, encode_certificate, verify,
};
use kubecerts_testkit::{Fixture, Seeded, at};

criterion_group!(benches, batch, threads, sign, encode, parse);
criterion_main!(benches);

/// The trees whose authorities sign, by the algorithm of their keys, and how many signatures make a batch.
const BATCHES: [(&str, &str, &[usize]); 2] =
    [("P-256", "kubeadm-v136-ecdsa-p256", &[1, 64, 1024]), ("RSA-2048", "kubeadm-v136-rsa2048", &[16])];

/// Certificates with six names and a key that is given: without their signature, with it, and verified.
fn batch(criterion: &mut Criterion) {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048] {
        let leaf = Leaf::of(algorithm);
        let policies = [("unverified", VerificationPolicy::None), ("verified", VerificationPolicy::Every)];
        let batches = policies.map(|(name, policy)| contenders::batch(name, leaf, policy));
        let mut group = criterion.benchmark_group(format!("bulk/batch/{algorithm}"));
        group.sample_size(10);
        for mut contender in contenders::parts(leaf).into_iter().chain(batches) {
            group.throughput(Throughput::Elements(contender.pieces().into()));
            group.bench_function(contender.name(), |bencher| bencher.iter(|| contender.work()));
        }
        group.finish();
    }
}

/// The same on one thread and on two, by the clock on the wall.
fn threads(criterion: &mut Criterion) {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048] {
        let leaf = Leaf::of(algorithm);
        let contender = || contenders::batch("verified", leaf, VerificationPolicy::Every);
        let mut group = criterion.benchmark_group(format!("bulk/threads/{algorithm}"));
        group.sample_size(10);
        for threads in [1, 2_u32] {
            group.throughput(Throughput::Elements((threads * contenders::BATCH).into()));
            group.bench_with_input(BenchmarkId::from_parameter(threads), &threads, |bencher, threads| {
                bencher.iter_custom(|times| longest(*threads, times, &contender));
            });
        }
        group.finish();
    }
}

/// Returns how long the slowest of so many threads needs to work so many times.
fn longest(threads: u32, times: u64, contender: &(impl Fn() -> Contender + Sync)) -> Duration {
    let work = || {
        let mut contender = contender();
        let begin = Instant::now();
        (0..times).for_each(|_| contender.work());
        begin.elapsed()
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().map(|other| other.join().unwrap()).fold(own, Duration::max)
    })
}

fn sign(criterion: &mut Criterion) {
    for (algorithm, fixture, sizes) in BATCHES {
        let snapshot = Fixture::named(fixture).tree().snapshot();
        let request = PlanRequest::with_selection(Selection::Named([Slot::Leaf(LeafSlot::ApiServer)].into()));
        let now = at("2027-01-01T00:00:00Z");
        let plan = plan(&Inventory::parse(&snapshot), &request, now, &mut Seeded::new(1)).unwrap();
        let mut provider = Seeded::provider(1);
        let session = begin(&plan, &snapshot).unwrap();
        let keys = provider.generate(session.key_requests()).unwrap();
        let session = session.supply_keys(keys).unwrap();
        let request = session.signing_requests()[0];

        let mut group = criterion.benchmark_group(format!("bulk/sign/{algorithm}"));
        group.sample_size(10);
        for size in sizes {
            let requests: Vec<SigningRequest<'_>> = vec![request; *size];
            group.throughput(Throughput::Elements(*size as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &requests, |bencher, requests| {
                bencher.iter(|| provider.sign(black_box(requests)).unwrap());
            });
        }
        // `finish` pays this for every signature.
        let signature = provider.sign(&[request]).unwrap().remove(0);
        group.throughput(Throughput::Elements(1));
        group.bench_function("verify", |bencher| {
            bencher.iter(|| {
                let key = request.issuer.public_key;
                let verdict =
                    verify(key, request.algorithm, black_box(request.message), signature.as_bytes());
                assert_eq!(verdict, SignatureVerdict::Valid);
            });
        });
        group.finish();
    }
}

/// The to-be-signed bytes of a leaf as kubeadm's API server has it, the certificate around them, and its PEM.
fn encode(criterion: &mut Criterion) {
    let leaf = leaf();
    let to_be_signed = ToBeSigned {
        serial: leaf.serial(),
        signature: SignatureAlgorithm::EcdsaWithSha256,
        issuer: leaf.issuer(),
        validity: Validity::new(leaf.not_before(), leaf.not_after()).unwrap(),
        subject: leaf.subject(),
        public_key: leaf.public_key(),
        key_usages: leaf.key_usages().unwrap_or(KeyUsages::LEAF),
        extended_key_usages: leaf.extended_key_usages(),
        is_ca: false,
        subject_key_identifier: None,
        authority_key_identifier: leaf.authority_key_identifier(),
        alternative_names: leaf.alternative_names(),
    };
    assert_eq!(
        to_be_signed.to_der().unwrap(),
        leaf.to_be_signed(),
        "the bytes are those that kubeadm signed"
    );

    let mut group = criterion.benchmark_group("bulk/encode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("to-be-signed", |bencher| {
        bencher.iter(|| black_box(&to_be_signed).to_der().unwrap());
    });
    group.bench_function("assemble", |bencher| {
        let algorithm = SignatureAlgorithm::EcdsaWithSha256;
        bencher.iter(|| assemble(black_box(leaf.to_be_signed()), algorithm, leaf.signature()).unwrap());
    });
    group.bench_function("PEM", |bencher| bencher.iter(|| encode_certificate(black_box(leaf.as_der()))));
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let leaf = leaf();
    let pem = encode_certificate(leaf.as_der());
    let mut group = criterion.benchmark_group("bulk/parse");
    group.throughput(Throughput::Elements(1));
    group.bench_function("DER", |bencher| {
        bencher.iter(|| Certificate::parse_der(black_box(leaf.as_der())).unwrap());
    });
    group.bench_function("PEM", |bencher| bencher.iter(|| decode_blocks(black_box(pem.as_bytes()))));
    group.finish();
}

/// Returns the API server's certificate of a tree with P-256 keys.
fn leaf() -> Certificate {
    let inventory = Fixture::named("kubeadm-v136-ecdsa-p256").tree().inventory();
    inventory.credential(Slot::Leaf(LeafSlot::ApiServer)).and_then(|it| it.leaf()).unwrap().clone()
}

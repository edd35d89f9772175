//! How long the rooms take for one tree: parse, diagnose, plan, and issue with keys that are there already.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench tree
//! ```
//!
//! The trees are those that kubeadm 1.36 made. RSA keys take a hundred times as long to make as to use, and every time
//! another while, so key generation is measured apart and issuing is not charged with it.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kubecerts_core::catalog::{FileSlot, LeafSlot};
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{ChangeSet, KeyReply, KeySource, Signer, begin};
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{Plan, PlanRequest, Selection, plan};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::PrivateKey;
use kubecerts_testkit::{Fixture, Seeded, at};

criterion_group!(benches, read, decide, issue, generate);
criterion_main!(benches);

/// The trees, by the algorithm of their keys.
const TREES: [(&str, &str); 2] = [("P-256", "kubeadm-v136-ecdsa-p256"), ("RSA-2048", "kubeadm-v136-rsa2048")];

/// A snapshot into an inventory: every certificate, key, kubeconfig and manifest, and every signature verified.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree/parse");
    for (algorithm, name) in TREES {
        let snapshot = snapshot(name);
        group.throughput(Throughput::Elements(certificates(&Inventory::parse(&snapshot))));
        group.bench_function(algorithm, |bencher| bencher.iter(|| Inventory::parse(black_box(&snapshot))));
    }
    group.finish();
}

fn decide(criterion: &mut Criterion) {
    for (algorithm, name) in TREES {
        let inventory = Inventory::parse(&snapshot(name));
        let mut group = criterion.benchmark_group("tree/decide");
        group.throughput(Throughput::Elements(certificates(&inventory)));
        group.bench_function(format!("diagnose/{algorithm}"), |bencher| {
            bencher.iter(|| diagnose(black_box(&inventory), &Observations::none(), Policy::default(), now()));
        });
        group.bench_function(format!("plan/{algorithm}"), |bencher| {
            bencher.iter(|| renewal(black_box(&inventory)));
        });
        let plan = renewal(&inventory);
        group.bench_function(format!("document/{algorithm}"), |bencher| {
            bencher.iter(|| Plan::from_json(&black_box(&plan).to_json()).unwrap());
        });
        group.finish();
    }
}

/// Everything from keys to the bytes to write: encode, sign, verify, assemble, edit the kubeconfigs.
fn issue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree/issue");
    group.sample_size(20);
    for (algorithm, name) in TREES {
        let snapshot = snapshot(name);
        let plan = renewal(&Inventory::parse(&snapshot));
        let keys = keys(&plan, &snapshot);
        group.throughput(Throughput::Elements(keys.len() as u64));
        group.bench_function(algorithm, |bencher| {
            bencher.iter_batched(
                || keys.iter().map(reply).collect(),
                |replies| issue_with(replies, &plan, &snapshot),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// The keys alone. The seed runs on from one round to the next, so that the mean is one over many keys.
fn generate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree/generate");
    group.sample_size(10);
    for (algorithm, name) in TREES {
        let snapshot = snapshot(name);
        let plan = renewal(&Inventory::parse(&snapshot));
        let session = begin(&plan, &snapshot).unwrap();
        let requests = session.key_requests();
        group.throughput(Throughput::Elements(requests.len() as u64));
        let mut provider = Seeded::provider(1);
        group.bench_function(algorithm, |bencher| {
            bencher.iter(|| provider.generate(black_box(requests)).unwrap());
        });
    }
    group.finish();
}

fn issue_with(keys: Vec<KeyReply>, plan: &Plan, snapshot: &Snapshot) -> ChangeSet {
    let session = begin(plan, snapshot).unwrap().supply_keys(keys).unwrap();
    let signatures = Seeded::provider(1).sign(&session.signing_requests()).unwrap();
    session.finish(signatures).unwrap()
}

/// Returns a key for each request of `plan`, in PKCS#8: a [`KeyReply`] has no `Clone`.
fn keys(plan: &Plan, snapshot: &Snapshot) -> Vec<SecretBytes> {
    let session = begin(plan, snapshot).unwrap();
    // One key that is there serves for all: what is measured does not know the difference.
    let content = snapshot.file(FileSlot::LeafKey(LeafSlot::ApiServer)).content().unwrap();
    let key = PrivateKey::parse(content.secret_bytes()).unwrap();
    session.key_requests().iter().map(|_| key.secret_pkcs8_der()).collect()
}

fn reply(key: &SecretBytes) -> KeyReply {
    KeyReply::from_pkcs8_der(key.secret_bytes()).unwrap()
}

fn renewal(inventory: &Inventory) -> Plan {
    let request = PlanRequest::with_selection(Selection::All);
    plan(inventory, &request, now(), &mut Seeded::new(1)).unwrap()
}

fn snapshot(fixture: &str) -> Snapshot {
    Fixture::named(fixture).tree().snapshot()
}

fn certificates(inventory: &Inventory) -> u64 {
    (inventory.expirations().len() + inventory.authority_expirations().len()) as u64
}

/// A moment at which everything in the trees is valid.
fn now() -> Timestamp {
    at("2027-01-01T00:00:00Z")
}

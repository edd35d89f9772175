//! The same certificate made by others, side by side with ours.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench peers
//! ```
//!
//! Everybody has the same keys and makes the same certificate, one core each. rcgen is given signers of AWS-LC and of ring, `openssl`
//! builds with `X509Builder` of the system's library. docs/benchmarks.md says how to read the figures.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kubecerts_benches::contenders::{self, Contender};
use kubecerts_benches::leaf::Leaf;
use kubecerts_core::x509::KeyAlgorithm;

criterion_group!(benches, issue, sign, verify, keys);
criterion_main!(benches);

const ALGORITHMS: [KeyAlgorithm; 2] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048];

fn issue(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        run(criterion, format!("peers/issue/{algorithm}"), contenders::issue(Leaf::of(algorithm)));
    }
}

fn sign(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        run(criterion, format!("peers/sign/{algorithm}"), contenders::sign(Leaf::of(algorithm)));
    }
}

fn verify(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        run(criterion, format!("peers/verify/{algorithm}"), contenders::verify(Leaf::of(algorithm)));
    }
}

fn keys(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        run(criterion, format!("peers/keys/{algorithm}"), contenders::keys(Leaf::of(algorithm)));
    }
}

fn run(criterion: &mut Criterion, name: String, contenders: Vec<Contender>) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for mut contender in contenders {
        group.throughput(Throughput::Elements(contender.pieces().into()));
        let name = contender.name();
        group.bench_function(name, |bencher| bencher.iter(|| contender.work()));
    }
    group.finish();
}

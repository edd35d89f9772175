//! Everything that can be issued, with the provider in pure Rust. The host's providers go through the same.

#![cfg(feature = "rustcrypto")]
#![expect(clippy::disallowed_methods, reason = "OpenSSL reads files")]

use std::path::Path;

use kubecerts_core::issue::Batched;
use kubecerts_testkit::{AnyProvider, Seeded, judge_provider};

fn judge(name: &str, provider: &mut dyn AnyProvider) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("the directory is below that of the build");
    judge_provider(provider, &directory);
}

#[test]
fn webpki_and_openssl_accept_everything_that_rustcrypto_issues() {
    judge("providers", &mut Seeded::provider(1));
}

#[test]
fn webpki_and_openssl_accept_everything_that_batches_sign() {
    judge("providers-batched", &mut Batched::new(Seeded::provider(1), Seeded::new(2)));
}

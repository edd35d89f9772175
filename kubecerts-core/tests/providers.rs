//! Everything that can be issued, with the provider in pure Rust. The host's providers go through the same.

#![cfg(feature = "rustcrypto")]
#![expect(clippy::disallowed_methods, reason = "OpenSSL reads files")]

use std::path::Path;

use kubecerts_testkit::{Seeded, judge_provider};

#[test]
fn webpki_and_openssl_accept_everything_that_rustcrypto_issues() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("providers");
    std::fs::create_dir_all(&directory).unwrap();
    judge_provider(&mut Seeded::provider(1), &directory);
}

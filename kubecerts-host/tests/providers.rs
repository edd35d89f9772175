//! Everything that can be issued, with each provider of the host. The one of the core goes through the same there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::num::NonZeroUsize;

use kubecerts_core::catalog::{LeafSlot, Slot};
use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource, RustCrypto};
use kubecerts_core::x509::{KeyAlgorithm, KeyType, PrivateKey};
use kubecerts_host::SystemEntropy;
use kubecerts_host::crypto::{KeyMaker, KeyPool, Provider, Threaded, Threads};
use kubecerts_testkit::{AnyProvider, judge_new_trees, judge_provider};

const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();
const SLOT: Slot = Slot::Leaf(LeafSlot::ApiServer);

fn judge(provider: &mut dyn AnyProvider) {
    let directory = tempfile::tempdir().unwrap();
    judge_provider(provider, directory.path());
}

#[test]
fn webpki_and_openssl_accept_everything_that_the_provider_of_this_machine_issues() {
    judge(&mut Provider::default());
}

#[test]
fn webpki_and_openssl_accept_new_rsa_trees_of_the_provider_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    judge_new_trees(KeyAlgorithm::Rsa2048, &mut Provider::default(), directory.path());
}

#[test]
fn webpki_and_openssl_accept_everything_that_threads_of_rustcrypto_issue() {
    judge(&mut Threaded::new(RustCrypto::new(SystemEntropy::new()), Threads::new(THREE)));
}

#[test]
fn webpki_and_openssl_accept_everything_that_is_issued_with_keys_of_a_pool() {
    let request = KeyRequest::new(SLOT, KeyAlgorithm::Rsa2048);
    judge(&mut KeyPool::start(Provider::new(Threads::ONE), request, THREE, Threads::default()).unwrap());
}

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use kubecerts_host::crypto::AwsLc;

    use super::*;

    #[test]
    fn webpki_and_openssl_accept_everything_that_aws_lc_issues() {
        judge(&mut AwsLc::new());
    }

    #[test]
    fn webpki_and_openssl_accept_everything_that_threads_of_aws_lc_issue() {
        judge(&mut Threaded::new(AwsLc::new(), Threads::new(THREE)));
    }
}

#[test]
fn keys_of_every_algorithm_are_sound_and_new() {
    let requests: Vec<_> =
        KeyAlgorithm::ALL.into_iter().flat_map(|algorithm| [KeyRequest::new(SLOT, algorithm); 2]).collect();
    let keys = Provider::default().generate(&requests).unwrap();
    let keys: Vec<_> = keys.into_iter().map(KeyReply::into_private_key).collect();
    let directory = tempfile::tempdir().unwrap();
    for (request, pair) in requests.chunks(2).zip(keys.chunks(2)) {
        assert_ne!(pair[0].public_key(), pair[1].public_key());
        for key in pair {
            assert_eq!(key.key_type(), KeyType::from(request[0].algorithm));
            let again = PrivateKey::parse(key.secret_pem().secret_bytes()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            if !kubecerts_testkit::judge::openssl_is_missing() {
                fs::write(directory.path().join("key"), key.secret_pem().secret_bytes()).unwrap();
                let arguments = ["pkey", "-in", "key", "-check", "-noout"];
                let verdict = kubecerts_testkit::judge::openssl(directory.path(), &arguments);
                assert_eq!(verdict, "Key is valid\n", "{}", request[0].algorithm);
            }
        }
    }
}

#[test]
fn a_key_is_made_without_threads_too() {
    let request = KeyRequest::new(SLOT, KeyAlgorithm::EcdsaP256);
    let key = Provider::new(Threads::ONE).make(&request).unwrap();
    assert_eq!(key.into_private_key().key_type(), KeyType::EcdsaP256);
}

//! Signatures of a provider that makes many at a time.

#![cfg(feature = "rustcrypto")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;

use kubecerts_core::catalog::{CaSlot, Slot};
use kubecerts_core::issue::{
    Batched, IssuerKey, KeyRequest, KeySource, RustCrypto, Signature, Signatures, Signer, SigningRequest,
};
use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::x509::{
    FixedSigningKey, KeyAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm, SignatureVerdict, verify,
};
use kubecerts_testkit::Seeded;

/// Counts what is left to it.
struct Inner(RustCrypto<Seeded>, RefCell<Vec<usize>>);

impl Signer for Inner {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        self.1.borrow_mut().push(requests.len());
        self.0.sign(requests)
    }
}

fn batched() -> Batched<Inner, Seeded> {
    Batched::new(Inner(Seeded::provider(1), RefCell::default()), Seeded::new(2))
}

fn key(algorithm: KeyAlgorithm, seed: u64) -> (PrivateKey, PublicKey) {
    let request = KeyRequest::new(Slot::Ca(CaSlot::Cluster), algorithm);
    let key = Seeded::provider(seed).generate(&[request]).unwrap().remove(0).into_private_key();
    let public = key.public_key();
    (key, public)
}

fn request<'a>((private, public): &'a (PrivateKey, PublicKey), message: &'a [u8]) -> SigningRequest<'a> {
    let issuer = IssuerKey::new(CaSlot::Cluster, public, Some(private));
    SigningRequest::new(Slot::Ca(CaSlot::Cluster), issuer, private.signature_algorithm(), message)
}

fn messages(count: usize) -> Vec<[u8; 2]> {
    (0..count).map(|number| u16::try_from(number).unwrap().to_be_bytes()).collect()
}

fn assert_signed(requests: &[SigningRequest<'_>], signatures: &[Signature]) {
    assert_eq!(requests.len(), signatures.len());
    for (number, (request, signature)) in requests.iter().zip(signatures).enumerate() {
        let SigningRequest { issuer, algorithm, message, .. } = request;
        let verdict = verify(issuer.public_key, *algorithm, message, signature.as_bytes());
        assert_eq!(verdict, SignatureVerdict::Valid, "{number}");
    }
}

#[test]
fn batches_of_every_size_are_signed_in_their_order() {
    let key = key(KeyAlgorithm::EcdsaP256, 3);
    for count in (0..20).chain([63, 64, 65, 130]) {
        let (messages, batched) = (messages(count), batched());
        let requests: Vec<_> = messages.iter().map(|message| request(&key, message)).collect();
        assert_signed(&requests, &batched.sign(&requests).unwrap());
        let mut signatures = Signatures::new();
        batched.sign_into(&requests, &mut signatures).unwrap();
        let signatures: Vec<_> = signatures.iter().map(|one| Signature::new(one.to_vec())).collect();
        assert_signed(&requests, &signatures);
        let is_left = !batched.get_ref().1.borrow().is_empty();
        assert_eq!(is_left, count < 8, "{count}");
    }
}

#[test]
fn requests_for_several_keys_are_told_apart() {
    let keys = [
        key(KeyAlgorithm::EcdsaP256, 3),
        key(KeyAlgorithm::EcdsaP384, 4),
        key(KeyAlgorithm::EcdsaP256, 5),
        key(KeyAlgorithm::Rsa2048, 6),
    ];
    let messages = messages(100);
    let runs = [(0, 10), (1, 9), (2, 3), (0, 20), (2, 30), (3, 2), (0, 1), (2, 25)];
    let mut order = runs.into_iter().flat_map(|(key, count)| std::iter::repeat_n(key, count));
    let requests: Vec<_> =
        messages.iter().map(|message| request(&keys[order.next().unwrap()], message)).collect();
    let batched = batched();
    assert_signed(&requests, &batched.sign(&requests).unwrap());
    assert_eq!(*batched.get_ref().1.borrow(), [9, 3, 2, 1]);
}

#[test]
fn a_key_that_is_elsewhere_is_left_to_the_other_signer() {
    let (_, public) = key(KeyAlgorithm::EcdsaP256, 3);
    let issuer = IssuerKey::new(CaSlot::Cluster, &public, None);
    let request = SigningRequest::new(
        Slot::Ca(CaSlot::Cluster),
        issuer,
        SignatureAlgorithm::EcdsaWithSha256,
        b"message",
    );
    let error = batched().sign(&[request; 10]).unwrap_err();
    assert_eq!(error, Seeded::provider(1).sign(&[request; 10]).unwrap_err());
}

#[test]
fn a_random_source_that_fails_leads_to_no_signature() {
    struct Broken;
    impl Entropy for Broken {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), ProviderError> {
            Err(ProviderError::new("no randomness"))
        }
    }
    let key = key(KeyAlgorithm::EcdsaP256, 3);
    let batched = Batched::new(Seeded::provider(1), Broken);
    let error = batched.sign(&[request(&key, b"message"); 8]).unwrap_err();
    assert_eq!(error, ProviderError::new("no randomness"));
}

#[test]
fn no_nonce_is_there_twice() {
    let key = key(KeyAlgorithm::EcdsaP256, 3);
    let signatures = batched().sign(&[request(&key, b"message"); 130]).unwrap();
    let all: BTreeSet<_> = signatures.iter().map(Signature::as_bytes).collect();
    assert_eq!(all.len(), 130);
}

#[test]
fn debug_shows_no_key() {
    let (key, _) = key(KeyAlgorithm::EcdsaP256, 3);
    assert_eq!(format!("{:?}", FixedSigningKey::new(&key).unwrap()), "[secret]");
}

#[test]
fn keys_of_other_kinds_are_none_for_batches() {
    for algorithm in [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        assert!(FixedSigningKey::new(&key(algorithm, 3).0).is_none());
    }
}

//! A source of keys that does what a test says.

use std::sync::atomic::{AtomicUsize, Ordering};

use kubecerts_core::catalog::{LeafSlot, Slot};
use kubecerts_core::issue::{KeyReply, KeyRequest, RustCrypto};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::KeyAlgorithm;

use super::KeyMaker;
use crate::SystemEntropy;

/// Answers the request with the number `.0`, which counts from zero, with `.1`.
pub(super) struct Stub<F>(AtomicUsize, F);

impl<F: Fn(usize, &KeyRequest) -> Result<KeyReply, ProviderError>> Stub<F> {
    pub(super) fn new(answer: F) -> Self {
        Self(AtomicUsize::new(0), answer)
    }

    /// Returns how often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl<F: Fn(usize, &KeyRequest) -> Result<KeyReply, ProviderError>> KeyMaker for Stub<F> {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        (self.1)(self.0.fetch_add(1, Ordering::SeqCst), request)
    }
}

pub(super) const P256: KeyRequest = KeyRequest::new(Slot::Leaf(LeafSlot::ApiServer), KeyAlgorithm::EcdsaP256);
pub(super) const P384: KeyRequest = KeyRequest::new(Slot::Leaf(LeafSlot::ApiServer), KeyAlgorithm::EcdsaP384);

/// Returns the key that is asked for, in pure Rust.
pub(super) fn key(request: &KeyRequest) -> Result<KeyReply, ProviderError> {
    RustCrypto::new(SystemEntropy::new()).make(request)
}

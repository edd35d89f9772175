//! Keys, signatures and their verification, as fast as this machine has them.

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod halves;
#[cfg(all(feature = "aws-lc", target_arch = "x86_64"))]
mod ifma;
mod pool;
#[cfg(feature = "aws-lc")]
mod rsa_keys;
mod shared_keys;
#[cfg(test)]
mod stub;
mod threads;
#[cfg(feature = "aws-lc")]
mod verifier;

use kubecerts_core::issue::{
    Batched, KeyReply, KeyRequest, KeySource, RustCrypto, Signature, Signatures, Signer, SigningRequest,
};
use kubecerts_core::provider::ProviderError;
#[cfg(not(feature = "aws-lc"))]
use kubecerts_core::x509::{FixedKey, PublicKey, Verifier};
use kubecerts_core::x509::{KeyAlgorithm, SignatureAlgorithm};

use crate::SystemEntropy;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
pub use halves::FastHalves;
pub use pool::{KeyCounts, KeyPool};
pub use shared_keys::SharedKeys;
pub use threads::{Threaded, Threads};
#[cfg(feature = "aws-lc")]
pub use verifier::verifier;

/// A source of keys that any number of threads may ask at the same time.
///
/// [`KeySource`] is what the core asks, one batch at a time. This is what [`Threaded`] and [`KeyPool`] make such a source of.
pub trait KeyMaker {
    /// Returns a new key for `request`.
    ///
    /// # Errors
    /// [`ProviderError`] when it cannot be made.
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError>;
}

impl KeyMaker for RustCrypto<SystemEntropy> {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        // The system's random source has no state here, so another of it is as good.
        let keys = Self::new(SystemEntropy::new()).generate(&[*request])?;
        keys.into_iter().next().ok_or_else(|| ProviderError::new(format!("{}: no key came", request.slot)))
    }
}

impl<M: KeyMaker> KeyMaker for Batched<M, SystemEntropy> {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        self.get_ref().make(request)
    }
}

/// The provider of this machine: the fastest that was built in, on up to so many threads.
///
/// With the feature `aws-lc` that is [`AwsLc`], without it the core's [`RustCrypto`] on the system's random source. Batches of signatures on
/// P-256 are the core's in either case, see [`Batched`]. So are the first 64 ECDSA keys and signatures: AWS-LC gathers entropy for some
/// 20 ms before its first one, in which the core has made them all.
#[derive(Debug)]
pub struct Provider {
    inner: Threaded<Inner>,
    /// ECDSA keys and signatures that were asked for so far.
    asked: AtomicUsize,
}

#[cfg(feature = "aws-lc")]
type Inner = Batched<AwsLc, SystemEntropy>;
#[cfg(not(feature = "aws-lc"))]
type Inner = Batched<RustCrypto<SystemEntropy>, SystemEntropy>;

impl Provider {
    /// Returns a provider that works on up to `threads` threads. None is started before there is work for it.
    #[must_use]
    pub fn new(threads: Threads) -> Self {
        #[cfg(feature = "aws-lc")]
        let inner = AwsLc::new();
        #[cfg(not(feature = "aws-lc"))]
        let inner = RustCrypto::new(SystemEntropy::new());
        let batched = Batched::new(inner, SystemEntropy::new());
        Self { inner: Threaded::new(batched, threads), asked: AtomicUsize::new(0) }
    }

    /// Returns how many threads it works on.
    #[must_use]
    pub const fn threads(&self) -> Threads {
        self.inner.threads()
    }

    /// Returns whether AWS-LC is not worth its start for what `is_ecdsa` says of each request.
    fn are_few(&self, is_ecdsa: impl ExactSizeIterator<Item = bool>) -> bool {
        let count = is_ecdsa.len();
        is_ecdsa.into_iter().all(|is_ecdsa| is_ecdsa)
            && self.asked.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= FEW
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new(Threads::available())
    }
}

impl KeyMaker for Provider {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        match self.are_few([is_ecdsa(request)].into_iter()) {
            true => RustCrypto::new(SystemEntropy::new()).make(request),
            false => self.inner.make(request),
        }
    }
}

impl KeySource for Provider {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        match self.are_few(requests.iter().map(is_ecdsa)) {
            true => RustCrypto::new(SystemEntropy::new()).generate(requests),
            false => self.inner.generate(requests),
        }
    }
}

impl Signer for Provider {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        match self.are_few(requests.iter().map(is_signed_by_ecdsa)) {
            true => of_core().sign(requests),
            false => self.inner.sign(requests),
        }
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        match self.are_few(requests.iter().map(is_signed_by_ecdsa)) {
            true => of_core().sign_into(requests, out),
            false => self.inner.sign_into(requests, out),
        }
    }
}

fn of_core() -> Batched<RustCrypto<SystemEntropy>, SystemEntropy> {
    Batched::new(RustCrypto::new(SystemEntropy::new()), SystemEntropy::new())
}

fn is_ecdsa(request: &KeyRequest) -> bool {
    matches!(request.algorithm, KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384)
}

fn is_signed_by_ecdsa(request: &SigningRequest<'_>) -> bool {
    request.algorithm != SignatureAlgorithm::Sha256WithRsa
}

/// What a control plane has of keys and signatures together, more than twice.
pub(crate) const FEW: usize = 64;

/// Returns who verifies signatures that `key` is to have made with `algorithm`, many of them and on one thread.
#[cfg(not(feature = "aws-lc"))]
#[must_use]
pub fn verifier(key: &PublicKey, algorithm: SignatureAlgorithm) -> Box<dyn Verifier + Send + Sync> {
    Box::new(FixedKey::new(key, algorithm))
}

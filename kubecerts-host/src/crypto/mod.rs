//! Keys, signatures and their verification, as fast as this machine has them.

use std::num::NonZeroUsize;
use std::thread;

use kubecerts_core::issue::{
    KeyReply, KeyRequest, KeySource, RustCrypto, Signature, Signatures, Signer, SigningRequest,
};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::{FixedKey, PublicKey, SignatureAlgorithm, Verifier};

use crate::SystemEntropy;

/// How many threads work at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Threads(NonZeroUsize);

impl Threads {
    /// Returns that many.
    #[must_use]
    pub const fn new(count: NonZeroUsize) -> Self {
        Self(count)
    }

    /// Returns as many as may run at the same time here: the number of processors, or what a limit on the process leaves of it.
    #[must_use]
    pub fn available() -> Self {
        Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn count(self) -> NonZeroUsize {
        self.0
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::available()
    }
}

/// The provider of this machine.
#[derive(Debug)]
pub struct Provider {
    threads: Threads,
    inner: RustCrypto<SystemEntropy>,
}

impl Provider {
    /// Returns a provider that works on up to `threads` threads.
    #[must_use]
    pub fn new(threads: Threads) -> Self {
        Self { threads, inner: RustCrypto::new(SystemEntropy::new()) }
    }

    /// Returns how many threads it works on.
    #[must_use]
    pub const fn threads(&self) -> Threads {
        self.threads
    }
}

impl KeySource for Provider {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        self.inner.generate(requests)
    }
}

impl Signer for Provider {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        self.inner.sign(requests)
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        self.inner.sign_into(requests, out)
    }
}

/// Returns who verifies signatures that `key` is to have made with `algorithm`, many of them and on one thread.
#[must_use]
pub fn verifier(key: &PublicKey, algorithm: SignatureAlgorithm) -> Box<dyn Verifier + Send + Sync> {
    Box::new(FixedKey::new(key, algorithm))
}

//! Randomness that repeats.

use kubecerts_core::issue::RustCrypto;
use kubecerts_core::provider::{Entropy, ProviderError};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// An entropy source that gives the same bytes for the same seed.
#[derive(Clone, Debug)]
pub struct Seeded(ChaCha20Rng);

impl Seeded {
    /// Returns the source of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Returns a provider of keys and signatures that draws from the source of `seed`.
    #[must_use]
    pub fn provider(seed: u64) -> RustCrypto<Self> {
        RustCrypto::new(Self::new(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        self.0.fill_bytes(out);
        Ok(())
    }
}

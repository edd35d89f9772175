//! Where randomness comes from, and how providers fail.

/// A source of unpredictable bytes.
///
/// The core never asks the operating system. A caller passes the system's source, a test a seeded one.
pub trait Entropy {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// [`ProviderError`] when the source cannot give any.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError>;
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        (**self).fill(out)
    }
}

/// Why a provider of randomness, keys or signatures could not do its work. The text never holds a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ProviderError(String);

impl ProviderError {
    /// Returns an error that says `reason`.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

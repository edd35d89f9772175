//! Where randomness comes from, and how providers fail.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::secret::SecretBytes;

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

/// Somebody who computes public halves of private keys, faster than the core does.
///
/// Who reads a tree compares the halves of each of its keys, and that is most of the work. Whatever is not computed here, the core
/// computes itself.
pub trait PublicHalves {
    /// Returns the point that belongs to the private key `secret` on P-256, 32 bytes, in the uncompressed form of SEC 1 §2.3.3; `None` to
    /// leave it to the core.
    ///
    /// It must take the same time for every secret.
    fn p256_point(&self, secret: &SecretBytes) -> Option<[u8; 65]>;
}

/// Nobody: the core computes all public halves itself.
pub(crate) struct NoPublicHalves;

impl PublicHalves for NoPublicHalves {
    fn p256_point(&self, _: &SecretBytes) -> Option<[u8; 65]> {
        None
    }
}

/// A source that is drawn from in pieces of 4 KiB, for whoever needs a few bytes a million times.
///
/// What was given out is wiped from the buffer at once, and the rest on drop.
pub struct Buffered<E> {
    source: E,
    buffer: Zeroizing<[u8; BUFFER]>,
    used: usize,
}

impl<E: Entropy> Buffered<E> {
    /// Returns a source that draws from `source`, for the first time when it is asked.
    #[must_use]
    pub fn new(source: E) -> Self {
        Self { source, buffer: Zeroizing::new([0; BUFFER]), used: BUFFER }
    }
}

impl<E: Entropy> Entropy for Buffered<E> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        if out.len() > BUFFER {
            return self.source.fill(out);
        }
        if self.used + out.len() > BUFFER {
            self.source.fill(self.buffer.as_mut_slice())?;
            self.used = 0;
        }
        let taken = &mut self.buffer[self.used..self.used + out.len()];
        out.copy_from_slice(taken);
        taken.zeroize();
        self.used += out.len();
        Ok(())
    }
}

impl<E> fmt::Debug for Buffered<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffered([secret])")
    }
}

/// Bytes drawn at once: 256 serial numbers.
const BUFFER: usize = 4096;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts upwards, and how often it was asked.
    struct Counter {
        next: u8,
        asked: usize,
    }

    impl Entropy for Counter {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
            self.asked += 1;
            for byte in out {
                *byte = self.next;
                self.next = self.next.wrapping_add(1);
            }
            Ok(())
        }
    }

    #[test]
    fn a_buffered_source_gives_the_same_bytes_and_asks_rarely() {
        let mut buffered = Buffered::new(Counter { next: 0, asked: 0 });
        for round in 0..512_usize {
            let mut serial = [0; 16];
            buffered.fill(&mut serial).unwrap();
            assert_eq!(usize::from(serial[0]), round * 16 % 256);
        }
        assert_eq!(buffered.source.asked, 2);
    }

    #[test]
    fn a_buffered_source_gives_no_byte_twice() {
        let mut buffered = Buffered::new(Counter { next: 0, asked: 0 });
        buffered.fill(&mut [0; 16]).unwrap();
        assert_eq!(buffered.buffer[..16], [0; 16]);
        buffered.fill(&mut [0; 5000]).unwrap();
        assert_eq!(buffered.source.asked, 2);
    }
}

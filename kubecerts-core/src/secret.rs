//! Bytes that must not be seen.
//!
//! Secrets live at the two ends only: in the [`Snapshot`](crate::snapshot::Snapshot) on the way in, in the
//! [`issue`](crate::issue) room on the way out. Everything between is public data.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that are wiped from memory on drop and never printed.
///
/// There is no `Clone` and no `Serialize`, and every access is called `secret_bytes`, so that a review can
/// find each place where a secret is looked at.
#[derive(Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of `bytes`; they are wiped when the value is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns how many bytes there are; the length alone is not treated as secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let secret = SecretBytes::new(b"swordfish".to_vec());
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}

//! The parts of a snapshot put together, and the digest at its end checked.
//!
//! etcd sends its database in parts of 32 KiB and then, in a message of its own, the SHA-256 digest of it. `etcdctl snapshot
//! save` writes both into the file, and restoring asks for both: such a file has 32 bytes more than a multiple of 512, the
//! smallest page of a database.

use kubecerts_core::digest::Digest;
use sha2::{Digest as _, Sha256};

/// What has arrived of a snapshot. It keeps the last 32 bytes, which may be the digest, and no others.
#[derive(Default)]
pub(super) struct Assembly {
    /// Of everything but `tail`.
    hasher: Sha256,
    tail: Vec<u8>,
    size: u64,
    remaining: u64,
}

impl Assembly {
    /// Takes the next part, after which the member still has `remaining` bytes of the database.
    pub(super) fn take(&mut self, part: &[u8], remaining: u64) -> Result<(), Defect> {
        // etcd goes on sending nothing for ever when it cannot read its database to the end.
        if part.is_empty() && remaining > 0 {
            return Err(Defect::Stalled { remaining });
        }
        self.size += part.len() as u64;
        self.remaining = remaining;
        if let Some(settled) = part.len().checked_sub(DIGEST_SIZE) {
            self.hasher.update(&self.tail);
            self.hasher.update(&part[..settled]);
            self.tail.clear();
            self.tail.extend_from_slice(&part[settled..]);
        } else {
            self.tail.extend_from_slice(part);
            let settled = self.tail.len().saturating_sub(DIGEST_SIZE);
            self.hasher.update(&self.tail[..settled]);
            self.tail.drain(..settled);
        }
        Ok(())
    }

    /// Ends the snapshot; returns its size in bytes and its digest, both with the digest at its end.
    pub(super) fn finish(self) -> Result<(u64, Digest), Defect> {
        let Self { mut hasher, tail, size, remaining } = self;
        if remaining > 0 {
            return Err(Defect::Cut { remaining });
        }
        let Ok(expected) = <[u8; DIGEST_SIZE]>::try_from(tail.as_slice()) else {
            return Err(Defect::NoDigest { size });
        };
        if size % PAGE != DIGEST_SIZE as u64 || size == DIGEST_SIZE as u64 {
            return Err(Defect::NoDigest { size });
        }
        let actual: [u8; DIGEST_SIZE] = hasher.clone().finalize().into();
        if actual != expected {
            return Err(Defect::Checksum { actual: actual.into(), expected: expected.into() });
        }
        hasher.update(expected);
        let whole: [u8; DIGEST_SIZE] = hasher.finalize().into();
        Ok((size, whole.into()))
    }
}

/// What is wrong with a stream that is not a snapshot.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Defect {
    #[error("the member stopped with {remaining} bytes to come")]
    Cut { remaining: u64 },
    #[error("the member sends nothing with {remaining} bytes to come")]
    Stalled { remaining: u64 },
    #[error("{size} bytes have no digest at their end")]
    NoDigest { size: u64 },
    #[error("its digest is {actual} and not {expected}")]
    Checksum { actual: Digest, expected: Digest },
}

/// Bytes of a SHA-256 digest.
const DIGEST_SIZE: usize = 32;

/// The unit of a database's size in bytes that etcd's own check of a snapshot uses (`snapshot/v3_snapshot.go`).
const PAGE: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Vec<u8> {
        (0..4096_u32).map(|at| (at % 251) as u8).collect()
    }

    fn digest(bytes: &[u8]) -> [u8; 32] {
        *Digest::of(bytes).as_bytes()
    }

    /// Takes `file` in parts of `length` bytes, as if the last 32 of them were not of the database.
    fn assemble(file: &[u8], length: usize) -> Result<(u64, Digest), Defect> {
        let mut assembly = Assembly::default();
        let mut remaining = file.len() - DIGEST_SIZE;
        for part in file.chunks(length) {
            remaining = remaining.saturating_sub(part.len());
            assembly.take(part, remaining as u64)?;
        }
        assembly.finish()
    }

    #[test]
    fn parts_of_any_length_make_the_same_snapshot() {
        let mut file = database();
        file.extend(digest(&database()));
        for length in [1, 31, 32, 33, 500, 4096, 5000] {
            assert_eq!(assemble(&file, length), Ok((4128, Digest::of(&file))), "{length}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut file = database();
        file.extend(digest(&database()));
        file[7] ^= 1;
        let expected = digest(&database()).into();
        let actual = Digest::of(&file[..4096]);
        assert_eq!(assemble(&file, 1000), Err(Defect::Checksum { actual, expected }));
    }

    #[test]
    fn a_snapshot_without_its_digest_is_none() {
        let mut assembly = Assembly::default();
        assembly.take(&database(), 0).unwrap();
        assert_eq!(assembly.finish(), Err(Defect::NoDigest { size: 4096 }));
        assert_eq!(Assembly::default().finish(), Err(Defect::NoDigest { size: 0 }));
    }

    #[test]
    fn the_digest_of_no_database_is_no_snapshot() {
        let mut assembly = Assembly::default();
        assembly.take(&digest(b""), 0).unwrap();
        assert_eq!(assembly.finish(), Err(Defect::NoDigest { size: 32 }));
    }

    #[test]
    fn a_stream_that_ends_early_is_cut() {
        let mut assembly = Assembly::default();
        assembly.take(&database()[..1024], 3072).unwrap();
        assert_eq!(assembly.finish(), Err(Defect::Cut { remaining: 3072 }));
    }

    #[test]
    fn a_member_that_sends_nothing_for_ever_is_not_waited_for() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(b"", 10), Err(Defect::Stalled { remaining: 10 }));
        assert_eq!(assembly.take(b"", 0), Ok(()));
    }
}

//! Many certificates of one authority.
//!
//! A [`Batch`] takes requests or public keys, as many as its caller likes to have in memory, and turns them into certificates with
//! one call of the signer and one of the verifier. Its buffers are used again for the next ones. Batches know nothing of each other,
//! so as many threads as there are can each have their own; streams, threads and order are the host's.

use std::fmt;
use std::num::NonZeroUsize;

use super::IssuerKey;
use super::session::Issuer;
use super::sign::{SigningError, SigningProfile, SigningRefusal};
use crate::catalog::CaSlot;
use crate::inventory::Authority;
use crate::plan::{Reason, usable_signer};
use crate::snapshot::Snapshot;
use crate::time::{Seconds, Timestamp};
use crate::x509::{DistinguishedName, SignatureAlgorithm};

mod batch;

pub use batch::Batch;

/// How many of the signatures of a batch are verified before anybody gets a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all, some or none")]
pub enum VerificationPolicy {
    /// Every signature.
    #[default]
    Every,
    /// The first of this many, and the first of every further so many.
    Sample(NonZeroUsize),
    /// No signature. Nothing of kubecerts chooses this: it is for callers who verify by themselves.
    None,
}

/// An authority that is here with its key.
pub struct BulkAuthority {
    ca: CaSlot,
    issuer: Issuer,
    algorithm: SignatureAlgorithm,
    not_after: Timestamp,
}

impl BulkAuthority {
    /// Returns the authority `ca` of `snapshot`.
    ///
    /// # Errors
    /// [`SigningError`] when it cannot sign: it is not there or damaged, has no key here, or is not valid at `now`.
    pub fn from_snapshot(snapshot: &Snapshot, ca: CaSlot, now: Timestamp) -> Result<Self, SigningError> {
        let authority = Authority::parse(snapshot, ca);
        let (signer, algorithm) =
            usable_signer(ca, &authority, &Default::default(), now).map_err(SigningError::Authority)?;
        let issuer = Issuer::from_snapshot(snapshot, ca)?;
        if issuer.key(ca).private_key.is_none() {
            return Err(SigningError::Authority(Reason::ExternalAuthority(ca)));
        }
        Ok(Self { ca, issuer, algorithm, not_after: signer.not_after() })
    }

    /// Returns which authority it is.
    #[must_use]
    pub const fn ca(&self) -> CaSlot {
        self.ca
    }

    /// Returns its key.
    #[must_use]
    pub const fn key(&self) -> IssuerKey<'_> {
        self.issuer.key(self.ca)
    }

    /// Returns its name, which is the issuer of what it signs.
    #[must_use]
    pub const fn subject(&self) -> &DistinguishedName {
        self.issuer.name()
    }

    /// Returns the algorithm of its signatures.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Returns its last second, beyond which nothing that it signs is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

impl fmt::Debug for BulkAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkAuthority({:?})", self.key())
    }
}

/// What the certificates of a batch are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what, for how long, from when")]
pub struct BulkTerms {
    /// What they are for, which decides subject, usages and names.
    pub profile: SigningProfile,
    /// How long they are valid; the authority's own end comes first.
    pub lifetime: Seconds,
    /// When they are made. Their first second is five minutes before, as kubeadm's.
    pub now: Timestamp,
}

/// Why something is not in a batch.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "one certificate, or all")]
pub enum BulkError {
    /// This one is not signed; others may be.
    #[error(transparent)]
    Refused(#[from] SigningRefusal),
    /// Nothing can be signed.
    #[error(transparent)]
    Failed(#[from] SigningError),
}

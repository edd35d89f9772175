//! Serial numbers: one stream for each slot, from one draw.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::PlanError;
use crate::catalog::Slot;
use crate::provider::Entropy;
use crate::x509::SerialNumber;

/// The source of a plan's serial numbers.
///
/// Each slot has a number of its own, so that adding a slot to a plan does not change the numbers of the others.
pub(super) struct Serials {
    seed: Zeroizing<[u8; 32]>,
}

impl Serials {
    pub(super) fn draw(entropy: &mut dyn Entropy) -> Result<Self, PlanError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut_slice()).map_err(PlanError::Entropy)?;
        Ok(Self { seed })
    }

    pub(super) fn of(&self, slot: Slot) -> SerialNumber {
        let mut hash = Sha256::new();
        // The label keeps these bytes apart from every other use of such a seed.
        hash.update(b"kubecerts serial number\0");
        hash.update(self.seed.as_slice());
        hash.update(slot.name());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        SerialNumber::from_random(bytes)
    }
}

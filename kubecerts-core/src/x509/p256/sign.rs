//! Many signatures by one private key (FIPS 186-5 §6.4.1).
//!
//! What is secret is the private key, and as much as it the nonce of every signature and whatever is computed from that. No branch and
//! no address depends on them: products of the base point are sums of points that [`rows`](super::rows) select without saying which,
//! and inverses are powers. The sums of all signatures of a batch grow as one tree, whose additions share inversions as those of
//! [`batch`](super::batch) do. Two points with the same `x` have no sum of this kind. Among those that are added up for a nonce from 1 to the
//! order less 1 there are none: as integers, the multipliers of the lower rows are less than those of the upper ones, and no sum or
//! difference of the two is a multiple of the order. A nonce of zero leads to points that are not on the curve.

#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use super::der::{self, Encoded};
use super::point::Affine;
use super::rows::{ROWS, Rows, SecretDigits};
use super::scalar::{self, Scalar};
use super::{field, limbs};

/// A private key on P-256. It is wiped on drop and never shown.
pub(in crate::x509) struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Takes a number from 1 to the order less 1, the highest byte first.
    pub(in crate::x509) const fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Signs up to [`BATCH`] hashes, each with random bytes of its own, and gives the signatures in DER. Where one could not be made or
    /// was found wrong, it gives `None`.
    ///
    /// A signature is not given before it was checked: its point is on the curve, and `s` times the nonce is what it has to be.
    pub(in crate::x509) fn sign(
        &self,
        hashes: &[[u8; 32]],
        random: &[[u8; 32]],
        give: impl FnMut(Option<&[u8]>),
    ) {
        let nonces: Vec<Scalar> =
            hashes.iter().zip(random).map(|(hash, random)| self.nonce(hash, random)).collect();
        self.sign_with(&Zeroizing::new(nonces), hashes, give);
    }

    fn sign_with(&self, nonces: &[Scalar], hashes: &[[u8; 32]], mut give: impl FnMut(Option<&[u8]>)) {
        let points = multiples(nonces);
        let mut inverses = Zeroizing::new(nonces.to_vec());
        scalar::invert_secrets(&mut inverses, &mut Zeroizing::new(Vec::with_capacity(nonces.len())));
        let secret = Zeroizing::new(limbs::from_be_bytes(&self.0));
        let secret = Zeroizing::new(Scalar::new(&secret));
        for (at, (hash, nonce)) in hashes.iter().zip(nonces).enumerate() {
            let signature = signature(&secret, hash, nonce, &inverses[at], &points[at]);
            give(signature.as_deref());
        }
    }

    /// Returns the nonce for a hash: the hash of the private key, of random bytes and of the hash, 512 bits of it modulo the order.
    ///
    /// It is secret as long as the hash function is good, also when the random source repeats itself or is known, as RFC 6979 has it
    /// without a source. AWS-LC hashes key and message too, and mixes that into its random source.
    fn nonce(&self, hash: &[u8; 32], random: &[u8; 32]) -> Scalar {
        let digest =
            Sha512::new().chain_update(self.0.as_slice()).chain_update(random).chain_update(hash).finalize();
        let digest = Zeroizing::new(<[u8; 64]>::from(digest));
        let [high, low] = [&digest[..32], &digest[32..]]
            .map(|half| Zeroizing::new(limbs::from_be_bytes(half.try_into().expect("it has 32 bytes"))));
        Scalar::of_halves(&low, &high)
    }
}

/// Returns the signature of a hash, given its nonce, the inverse of that, and the base point times it.
fn signature(
    secret: &Scalar,
    hash: &[u8; 32],
    nonce: &Scalar,
    inverse: &Scalar,
    point: &Affine,
) -> Option<Encoded> {
    let r = Scalar::new(&point.x.value());
    let numerator = Scalar::new(&limbs::from_be_bytes(hash)).add(&r.multiply(secret));
    let s = numerator.multiply(inverse);
    // What is told here is whether there is a signature, and nothing of one that there is.
    let is_right = point.is_on_curve() & (s.multiply(nonce) == numerator) & !r.is_zero() & !s.is_zero();
    is_right.then(|| der::encode([r, s].map(|number| limbs::to_be_bytes(&number.value()))))
}

/// Returns the products of the base point and each of the nonces, or of the order less it.
fn multiples(nonces: &[Scalar]) -> Zeroizing<Vec<Affine>> {
    let lanes = nonces.len();
    let rows = Rows::get();
    let digits = Zeroizing::new(
        nonces.iter().map(|nonce| SecretDigits::new(&Zeroizing::new(nonce.value()))).collect::<Vec<_>>(),
    );
    let mut points = Zeroizing::new(Vec::with_capacity(ROWS * lanes));
    for row in 0..ROWS {
        points.extend(digits.iter().map(|digits| rows.select(row, digits)));
    }
    let mut inverses = Zeroizing::new(Vec::with_capacity(ROWS / 2 * lanes));
    let mut room = Zeroizing::new(Vec::with_capacity(ROWS / 2 * lanes));
    let mut left = ROWS;
    while left > 1 {
        let pairs = left / 2;
        inverses.clear();
        for pair in 0..pairs {
            let (first, second) = points[2 * pair * lanes..][..2 * lanes].split_at(lanes);
            inverses.extend(first.iter().zip(second).map(|(first, second)| second.x.subtract(&first.x)));
        }
        field::invert_secrets(&mut inverses, &mut room);
        // In this order no point is overwritten before it was added.
        for pair in 0..pairs {
            for lane in 0..lanes {
                let (first, second) = (2 * pair * lanes + lane, (2 * pair + 1) * lanes + lane);
                points[pair * lanes + lane] =
                    points[first].add_with_inverse(&points[second], &inverses[pair * lanes + lane]);
            }
        }
        if left % 2 == 1 {
            points.copy_within((left - 1) * lanes..left * lanes, pairs * lanes);
        }
        left = left.div_ceil(2);
    }
    points[lanes..].iter_mut().zeroize();
    points.truncate(lanes);
    points
}

/// So many signatures share an inversion: each takes 9 µs, and 20 µs where there are eight. The points of so many stay in the second cache.
pub(in crate::x509) const BATCH: usize = 64;

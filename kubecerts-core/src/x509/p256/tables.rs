//! Multiples of a point that many signatures are verified with.

use std::iter;

use super::field::{Field, invert_all};
use super::limbs::{self, Limbs};
use super::point::{Affine, Jacobian, normalise};
use super::scalar::N;

/// The multiples `(2 * entry + 1) * 2^(8 * window)` of a point, in 256 KiB.
#[derive(Debug)]
pub(super) struct Multiples(Vec<Affine>);

impl Multiples {
    /// Computes them, which takes as long as ten verifications.
    pub(super) fn new(point: &Affine) -> Self {
        // All powers of two: those of the windows themselves, and those by which their multiples are reached.
        let mut power = Jacobian::from_affine(point);
        let mut powers = [power; 256];
        for slot in &mut powers {
            *slot = power;
            power = power.double();
        }
        let [powers] = normalise(&[powers]);
        let mut multiples = vec![*point; WINDOWS * ENTRIES];
        for window in 0..WINDOWS {
            multiples[window * ENTRIES] = powers[window * WINDOW_BITS];
        }
        let (mut denominators, mut room) = (Vec::new(), Vec::new());
        for doubling in 0..ENTRIES.ilog2() as usize {
            // From 1, 3 … 2k - 1 times a power to 2k + 1 … 4k - 1 times: all of them plus 2k times the power. No two of these
            // are the same or of opposite signs, because the order of the group is a prime above all such multiples.
            let known = 1 << doubling;
            let step = |window: usize| &powers[window * WINDOW_BITS + doubling + 1];
            let pairs = || (0..WINDOWS).flat_map(|window| iter::repeat_n(window, known).zip(0..known));
            denominators.clear();
            denominators.extend(
                pairs()
                    .map(|(window, entry)| step(window).x.subtract(&multiples[window * ENTRIES + entry].x)),
            );
            invert_all(&mut denominators, &mut room);
            for ((window, entry), inverse) in pairs().zip(&denominators) {
                let at = window * ENTRIES + entry;
                multiples[at + known] = multiples[at].add_with_inverse(step(window), inverse);
            }
        }
        Self(multiples)
    }

    /// Returns what is to be added up for `digits`: one multiple for each of them.
    #[inline(always)]
    pub(super) fn select(&self, window: usize, digits: &OddDigits) -> Affine {
        let byte = digits.bytes[window];
        let negative = byte < 128;
        let entry = usize::from(if negative { byte ^ 127 } else { byte & 127 });
        let Affine { x, y } = &self.0[window * ENTRIES + entry];
        Affine { x: *x, y: y.negate_if(negative != digits.negative) }
    }
}

/// A multiplier as the sum of `(2 * byte - 255) * 2^(8 * window)`, or as the negative of it. No digit is zero, so no point that
/// is added up is infinity.
pub(super) struct OddDigits {
    bytes: [u8; WINDOWS],
    negative: bool,
}

impl OddDigits {
    /// Returns the digits of a number below `n`.
    pub(super) fn new(number: &Limbs) -> Self {
        // The sum is always odd, and so is either a number or the order less the number.
        let negative = number[0] & 1 == 0;
        let odd = if negative { limbs::subtract(&N, number).0 } else { *number };
        // The sum over windows of `(2 * byte - 255) * 2^(8 * window)` is twice the number of these bytes less 2^256 - 1.
        let [a, b, c, d] = odd;
        let half = [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1 | 1 << 63];
        let mut bytes = [0; WINDOWS];
        for (chunk, limb) in bytes.chunks_mut(8).zip(half) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        Self { bytes, negative }
    }
}

impl Affine {
    /// Returns the sum with `other`, whose `x` differs: `inverse` is that of `other.x - self.x`.
    #[inline(always)]
    pub(super) const fn add_with_inverse(&self, other: &Self, inverse: &Field) -> Self {
        let slope = other.y.subtract(&self.y).multiply(inverse);
        let x = slope.square().subtract(&self.x).subtract(&other.x);
        Self { x, y: slope.multiply(&self.x.subtract(&x)).subtract(&self.y) }
    }
}

/// Bytes are windows without arithmetic. Both tables, of the base point and of the key, stay in the second cache of a core.
pub(super) const WINDOWS: usize = 32;
const WINDOW_BITS: usize = 8;
const ENTRIES: usize = 128;

//! Multiples of the base point for multipliers that nobody may learn.
//!
//! The tables of [`tables`](super::tables) are read where the multiplier says, and a cache remembers where that was. Here a whole row
//! is read for each digit, and masks decide what of it is taken. So rows are shorter, and there are more of them.

use std::array;
use std::hint::black_box;
use std::sync::OnceLock;

use zeroize::{Zeroize, Zeroizing};

use super::field::Field;
use super::limbs::{self, Limbs};
use super::point::{Affine, Jacobian, normalise};
use super::scalar::N;

/// The multiples `(2 * entry + 1) * 2^(6 * row)` of the base point, in 86 KiB.
pub(super) struct Rows(Vec<[Affine; ENTRIES]>);

impl Rows {
    /// Returns the multiples. The first call computes them, which takes as long as a hundred signatures.
    pub(super) fn get() -> &'static Self {
        static MULTIPLES: OnceLock<Rows> = OnceLock::new();
        MULTIPLES.get_or_init(|| {
            let mut power = Jacobian::from_affine(&Affine::GENERATOR);
            let row = |_| {
                let twice = power.double();
                let mut entry = power;
                let row = array::from_fn(|_| {
                    let multiple = entry;
                    entry = entry.add(&twice);
                    multiple
                });
                power = (0..WINDOW).fold(power, |power, _| power.double());
                let [row] = normalise::<ENTRIES, 1>(&[row]);
                row
            };
            Self((0..ROWS).map(row).collect())
        })
    }

    /// Returns what `row` adds to the product with `digits`, up to its sign for all of them.
    #[inline]
    pub(super) fn select(&self, row: usize, digits: &SecretDigits) -> Affine {
        let window = digits.window(row);
        // A window below half of what it can be is a negative digit, whose entry is counted from the other end.
        let negative = (window >> (WINDOW - 1)) ^ 1;
        let entry = (window ^ negative.wrapping_neg()) & (ENTRIES as u64 - 1);
        let mut taken = [[0; 4]; 2];
        for (number, Affine { x, y }) in self.0[row].iter().enumerate() {
            let difference = number as u64 ^ entry;
            // All ones where there is no difference. The compiler must not know that, or it reads only what the mask leaves.
            let mask = black_box(((difference | difference.wrapping_neg()) >> 63).wrapping_sub(1));
            for (taken, coordinate) in taken.iter_mut().zip([x, y]) {
                for (taken, limb) in taken.iter_mut().zip(coordinate.limbs()) {
                    *taken |= limb & mask;
                }
            }
        }
        let [x, y] = taken.map(Field::from_limbs);
        Affine { x, y: y.negate_if(negative == 1) }
    }
}

/// A multiplier, or the order less it, as the sum of `(2 * window - 63) * 2^(6 * row)`. No digit is zero, so no point that is added up
/// is infinity.
pub(super) struct SecretDigits([u64; 5]);

impl SecretDigits {
    /// Returns the digits of a number below `n`.
    pub(super) fn new(number: &Limbs) -> Self {
        // The sum is always odd, and so is either a number or the order less the number.
        let (negative, _) = limbs::subtract(&N, number);
        let keep = (number[0] & 1).wrapping_neg();
        let odd: Zeroizing<Limbs> =
            Zeroizing::new(array::from_fn(|at| (number[at] & keep) | (negative[at] & !keep)));
        // It is twice the number of these windows less 2^(6 * ROWS) - 1.
        let [a, b, c, d] = *odd;
        let half = [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1, 1 << (WINDOW * ROWS - 257)];
        Self(half)
    }

    /// Returns a window: all of them have the same places for every multiplier.
    #[inline]
    fn window(&self, row: usize) -> u64 {
        let (limb, from) = (row * WINDOW / 64, row * WINDOW % 64);
        let pair = u128::from(self.0[limb]) | u128::from(self.0.get(limb + 1).copied().unwrap_or(0)) << 64;
        (pair >> from) as u64 & ((1 << WINDOW) - 1)
    }
}

impl Zeroize for SecretDigits {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Bits of a window, and how many windows it takes for the 256 bits of a multiplier and one more.
const WINDOW: usize = 6;
pub(super) const ROWS: usize = 43;
const ENTRIES: usize = 1 << (WINDOW - 1);

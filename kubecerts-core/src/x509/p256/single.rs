//! One signature at a time.

use super::Checked;
use super::limbs::Limbs;
use super::point::{Affine, Jacobian, normalise};
use super::scalar::Scalar;

/// Multiples of a key: those of the key itself and, with more than one part, of the powers of two of it at which the parts of a
/// multiplier begin. Each part then goes through the doublings of the first, which are fewer the more parts there are.
#[derive(Debug)]
pub(super) struct Prepared<const PARTS: usize>([[Affine; KEY_MULTIPLES]; PARTS]);

impl<const PARTS: usize> Prepared<PARTS> {
    /// Computes them. With four parts that takes as many doublings as the first verification saves, and as all further ones save too.
    pub(super) const fn new(key: &Affine) -> Self {
        Self(multiples(key))
    }

    /// Returns whether the key made the signature: the `x` of `u1 * G + u2 * Q` is `r` modulo `n` (FIPS 186-5 §6.4.2).
    pub(super) fn verify(&self, signature: &Checked) -> bool {
        let inverse = Scalar::new(&signature.s).invert();
        let u1 = Scalar::new(&signature.hash).multiply(&inverse).value();
        let u2 = Scalar::new(&signature.r).multiply(&inverse).value();
        let sum = self.multiply_two(&u1, &u2);
        // x is X / Z^2, without a division.
        !sum.is_infinity() && super::is_r(&sum.x, &sum.z.square(), &signature.r)
    }

    /// Returns `u1 * G + u2 * Q`: the doublings are common, the additions those of the digits that are not zero.
    pub(super) fn multiply_two(&self, u1: &Limbs, u2: &Limbs) -> Jacobian {
        let base_digits = split::<PARTS>(u1).map(|part| Digits::new(&part, BASE_WIDTH));
        let key_digits = split::<PARTS>(u2).map(|part| Digits::new(&part, KEY_WIDTH));
        let lengths = base_digits.iter().chain(&key_digits).map(|digits| digits.length);
        let mut sum = Jacobian::INFINITY;
        for position in (0..lengths.max().unwrap_or_default()).rev() {
            sum = sum.double();
            for (digits, multiples) in key_digits.iter().zip(&self.0) {
                sum = digits.add_at(position, multiples, &sum);
            }
            // Of the base point there are multiples for four parts.
            for (digits, multiples) in base_digits.iter().zip(BASE.iter().step_by(MOST_PARTS / PARTS)) {
                sum = digits.add_at(position, multiples, &sum);
            }
        }
        sum
    }
}

/// Returns the parts of a number, the least significant first, that its bits are when it is cut at every `256 / PARTS`th.
fn split<const PARTS: usize>(number: &Limbs) -> [Limbs; PARTS] {
    let limbs = MOST_PARTS / PARTS;
    std::array::from_fn(|part| {
        let mut cut = [0; 4];
        cut[..limbs].copy_from_slice(&number[part * limbs..][..limbs]);
        cut
    })
}

/// Returns the first odd multiples of `point` and of the powers of two of it at which parts begin.
const fn multiples<const COUNT: usize, const PARTS: usize>(point: &Affine) -> [[Affine; COUNT]; PARTS] {
    let mut power = Jacobian::from_affine(point);
    let mut multiples = [[power; COUNT]; PARTS];
    let mut part = 0;
    while part < PARTS {
        let twice = power.double();
        multiples[part][0] = power;
        let mut i = 1;
        while i < COUNT {
            multiples[part][i] = multiples[part][i - 1].add(&twice);
            i += 1;
        }
        power = twice;
        let mut doublings = 1;
        while part + 1 < PARTS && doublings < 256 / PARTS {
            power = power.double();
            doublings += 1;
        }
        part += 1;
    }
    normalise(&multiples)
}

/// A number as a sum of powers of two with odd factors, few of which are not zero (the non-adjacent form of a width).
struct Digits {
    at: [i8; 257],
    /// The positions from here on are zero.
    length: usize,
}

impl Digits {
    fn new(number: &Limbs, width: u32) -> Self {
        let mut digits = Self { at: [0; 257], length: 0 };
        let bits = |position: usize, count: u32| {
            let (limb, shift) = (position / 64, position % 64);
            let low = number.get(limb).map_or(0, |word| word >> shift);
            let high =
                if shift == 0 { 0 } else { number.get(limb + 1).map_or(0, |word| word << (64 - shift)) };
            (low | high) & ((1 << count) - 1)
        };
        let (mut position, mut carry) = (0, 0);
        while position < 257 {
            if bits(position, 1) == carry {
                position += 1;
                continue;
            }
            let window = (bits(position, width) + carry) as i16;
            carry = (window >> (width - 1)) as u64 & 1;
            // Odd and of less than `width` bits with its sign.
            digits.at[position] = (window - ((carry as i16) << width)) as i8;
            digits.length = position + 1;
            position += width as usize;
        }
        digits
    }

    /// Returns `sum` and what is to be added for the digit at `position`.
    #[inline(always)]
    fn add_at<const COUNT: usize>(
        &self,
        position: usize,
        multiples: &[Affine; COUNT],
        sum: &Jacobian,
    ) -> Jacobian {
        let digit = self.at[position];
        let multiple = &multiples[usize::from(digit.unsigned_abs() / 2)];
        match digit {
            0 => *sum,
            1.. => sum.add_affine(multiple),
            _ => sum.add_affine(&multiple.negate()),
        }
    }
}

/// A limb each.
const MOST_PARTS: usize = 4;
/// Eight multiples of a key cost as much as they save; sixteen more than they save.
const KEY_WIDTH: u32 = 5;
const KEY_MULTIPLES: usize = 1 << (KEY_WIDTH - 2);
/// The multiples of the base point are there from the beginning, in 8 KiB.
const BASE_WIDTH: u32 = 7;
static BASE: [[Affine; 1 << (BASE_WIDTH - 2)]; MOST_PARTS] = multiples(&Affine::GENERATOR);

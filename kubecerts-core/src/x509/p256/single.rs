//! One signature by a key of which nothing is known in advance.

use super::Checked;
use super::limbs::Limbs;
use super::point::{Affine, Jacobian, normalise};
use super::scalar::Scalar;

/// Returns whether `key` made the signature: the `x` of `u1 * G + u2 * Q` is `r` modulo `n` (FIPS 186-5 §6.4.2).
pub(super) fn verify(key: &Affine, signature: &Checked) -> bool {
    let inverse = Scalar::new(&signature.s).invert();
    let u1 = Scalar::new(&signature.hash).multiply(&inverse).value();
    let u2 = Scalar::new(&signature.r).multiply(&inverse).value();
    let sum = multiply_two(&u1, key, &u2);
    // x is X / Z^2, without a division.
    !sum.is_infinity() && super::is_r(&sum.x, &sum.z.square(), &signature.r)
}

/// Returns `u1 * G + u2 * Q`: the doublings are common, the additions those of the digits that are not zero.
pub(super) fn multiply_two(u1: &Limbs, key: &Affine, u2: &Limbs) -> Jacobian {
    let multiples = odd_multiples::<KEY_MULTIPLES>(key);
    let base_digits = Digits::new(u1, BASE_WIDTH);
    let key_digits = Digits::new(u2, KEY_WIDTH);
    let mut sum = Jacobian::INFINITY;
    for position in (0..base_digits.length.max(key_digits.length)).rev() {
        sum = sum.double();
        let digit = key_digits.at[position];
        if digit != 0 {
            let multiple = &multiples[usize::from(digit.unsigned_abs() / 2)];
            sum = if digit > 0 { sum.add(multiple) } else { sum.add(&multiple.negate()) };
        }
        let digit = base_digits.at[position];
        if digit != 0 {
            let multiple = &BASE[usize::from(digit.unsigned_abs() / 2)];
            sum = if digit > 0 { sum.add_affine(multiple) } else { sum.add_affine(&multiple.negate()) };
        }
    }
    sum
}

/// Returns the first odd multiples of `point`.
const fn odd_multiples<const COUNT: usize>(point: &Affine) -> [Jacobian; COUNT] {
    let first = Jacobian::from_affine(point);
    let twice = first.double();
    let mut multiples = [first; COUNT];
    let mut i = 1;
    while i < COUNT {
        multiples[i] = multiples[i - 1].add(&twice);
        i += 1;
    }
    multiples
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
}

/// Eight multiples of a key cost as much as they save; sixteen more than they save.
const KEY_WIDTH: u32 = 5;
const KEY_MULTIPLES: usize = 1 << (KEY_WIDTH - 2);
/// The multiples of the base point are there from the beginning, in 2 KiB.
const BASE_WIDTH: u32 = 7;
static BASE: [Affine; 1 << (BASE_WIDTH - 2)] = normalise(&odd_multiples(&Affine::GENERATOR));

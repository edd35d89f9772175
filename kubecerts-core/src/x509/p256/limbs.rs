//! Numbers of 256 bits as four limbs of 64, the least significant first.

use zeroize::{Zeroize, Zeroizing};

/// A number below 2^256.
pub(super) type Limbs = [u64; 4];

/// Returns the sum, and the bit that did not fit.
#[inline(always)]
pub(super) const fn add(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let t0 = a[0] as u128 + b[0] as u128;
    let t1 = a[1] as u128 + b[1] as u128 + (t0 >> 64);
    let t2 = a[2] as u128 + b[2] as u128 + (t1 >> 64);
    let t3 = a[3] as u128 + b[3] as u128 + (t2 >> 64);
    ([t0 as u64, t1 as u64, t2 as u64, t3 as u64], (t3 >> 64) as u64)
}

/// Returns the difference modulo 2^256, and one when `b` is greater.
#[inline(always)]
pub(super) const fn subtract(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (d0, o0) = a[0].overflowing_sub(b[0]);
    let (d1, p1) = a[1].overflowing_sub(b[1]);
    let (d1, q1) = d1.overflowing_sub(o0 as u64);
    let (d2, p2) = a[2].overflowing_sub(b[2]);
    let (d2, q2) = d2.overflowing_sub((p1 | q1) as u64);
    let (d3, p3) = a[3].overflowing_sub(b[3]);
    let (d3, q3) = d3.overflowing_sub((p2 | q2) as u64);
    ([d0, d1, d2, d3], (p3 | q3) as u64)
}

/// Returns `a + b * c + carry`, low and high.
#[inline(always)]
pub(super) const fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let t = a as u128 + b as u128 * c as u128 + carry as u128;
    (t as u64, (t >> 64) as u64)
}

/// Returns the product, low half and high half.
#[inline(always)]
pub(super) const fn multiply(a: &Limbs, b: &Limbs) -> (Limbs, Limbs) {
    let (t0, c) = multiply_add(0, a[0], b[0], 0);
    let (t1, c) = multiply_add(0, a[1], b[0], c);
    let (t2, c) = multiply_add(0, a[2], b[0], c);
    let (t3, t4) = multiply_add(0, a[3], b[0], c);
    let (t1, c) = multiply_add(t1, a[0], b[1], 0);
    let (t2, c) = multiply_add(t2, a[1], b[1], c);
    let (t3, c) = multiply_add(t3, a[2], b[1], c);
    let (t4, t5) = multiply_add(t4, a[3], b[1], c);
    let (t2, c) = multiply_add(t2, a[0], b[2], 0);
    let (t3, c) = multiply_add(t3, a[1], b[2], c);
    let (t4, c) = multiply_add(t4, a[2], b[2], c);
    let (t5, t6) = multiply_add(t5, a[3], b[2], c);
    let (t3, c) = multiply_add(t3, a[0], b[3], 0);
    let (t4, c) = multiply_add(t4, a[1], b[3], c);
    let (t5, c) = multiply_add(t5, a[2], b[3], c);
    let (t6, t7) = multiply_add(t6, a[3], b[3], c);
    ([t0, t1, t2, t3], [t4, t5, t6, t7])
}

/// Returns the square, low half and high half.
#[inline(always)]
pub(super) const fn square(a: &Limbs) -> (Limbs, Limbs) {
    let (t1, c) = multiply_add(0, a[0], a[1], 0);
    let (t2, c) = multiply_add(0, a[0], a[2], c);
    let (t3, t4) = multiply_add(0, a[0], a[3], c);
    let (t3, c) = multiply_add(t3, a[1], a[2], 0);
    let (t4, t5) = multiply_add(t4, a[1], a[3], c);
    let (t5, t6) = multiply_add(t5, a[2], a[3], 0);
    let t7 = t6 >> 63;
    let t6 = (t6 << 1) | (t5 >> 63);
    let t5 = (t5 << 1) | (t4 >> 63);
    let t4 = (t4 << 1) | (t3 >> 63);
    let t3 = (t3 << 1) | (t2 >> 63);
    let t2 = (t2 << 1) | (t1 >> 63);
    let t1 = t1 << 1;
    let s0 = a[0] as u128 * a[0] as u128;
    let s1 = a[1] as u128 * a[1] as u128;
    let s2 = a[2] as u128 * a[2] as u128;
    let s3 = a[3] as u128 * a[3] as u128;
    let t0 = s0 as u64;
    let u1 = t1 as u128 + (s0 >> 64);
    let u2 = t2 as u128 + (s1 as u64) as u128 + (u1 >> 64);
    let u3 = t3 as u128 + (s1 >> 64) + (u2 >> 64);
    let u4 = t4 as u128 + (s2 as u64) as u128 + (u3 >> 64);
    let u5 = t5 as u128 + (s2 >> 64) + (u4 >> 64);
    let u6 = t6 as u128 + (s3 as u64) as u128 + (u5 >> 64);
    let u7 = t7 as u128 + (s3 >> 64) + (u6 >> 64);
    ([t0, u1 as u64, u2 as u64, u3 as u64], [u4 as u64, u5 as u64, u6 as u64, u7 as u64])
}

/// Returns `a`, with `carry` above it, less `modulus` when it is not below that. The result is below `modulus` when the
/// whole is below twice that.
#[inline(always)]
pub(super) const fn subtract_once(a: &Limbs, carry: u64, modulus: &Limbs) -> Limbs {
    let (difference, borrow) = subtract(a, modulus);
    // A select and not a branch: which it is cannot be predicted, and may be secret.
    let keep = (borrow & (carry ^ 1)).wrapping_neg();
    [
        (a[0] & keep) | (difference[0] & !keep),
        (a[1] & keep) | (difference[1] & !keep),
        (a[2] & keep) | (difference[2] & !keep),
        (a[3] & keep) | (difference[3] & !keep),
    ]
}

/// Returns the sum modulo `modulus` of two numbers below it.
#[inline(always)]
pub(super) const fn add_modulo(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (sum, carry) = add(a, b);
    subtract_once(&sum, carry, modulus)
}

/// Returns the difference modulo `modulus` of two numbers below it.
#[inline(always)]
pub(super) const fn subtract_modulo(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (difference, borrow) = subtract(a, b);
    let mask = borrow.wrapping_neg();
    let [m0, m1, m2, m3] = *modulus;
    add(&difference, &[m0 & mask, m1 & mask, m2 & mask, m3 & mask]).0
}

/// Returns the inverse modulo `modulus`, a prime above 2^255, of a number below it, and zero for zero.
///
/// This is Euclid's algorithm in binary, some times as fast as the power of Fermat. How long it takes depends on the number, so that
/// must not be secret.
pub(super) const fn invert_modulo(number: &Limbs, modulus: &Limbs) -> Limbs {
    // Throughout, `a` is `x` times the number, `b` is `y` times it, and `b` is odd.
    let (mut a, mut x) = (*number, [1, 0, 0, 0]);
    let (mut b, mut y) = (*modulus, [0; 4]);
    while a[0] | a[1] | a[2] | a[3] != 0 {
        while a[0] & 1 == 0 {
            a = halve(&a, 0);
            x = halve_modulo(&x, modulus);
        }
        let (difference, borrow) = subtract(&a, &b);
        if borrow == 1 {
            (a, b) = (subtract(&b, &a).0, a);
            (x, y) = (subtract_modulo(&y, &x, modulus), x);
        } else {
            a = difference;
            x = subtract_modulo(&x, &y, modulus);
        }
    }
    // Now `b` is the greatest common divisor, one.
    y
}

/// Returns half of an even number with `carry` above it.
#[inline(always)]
const fn halve(&[a, b, c, d]: &Limbs, carry: u64) -> Limbs {
    [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1 | carry << 63]
}

/// Returns half of a number below `modulus`, modulo that.
#[inline(always)]
const fn halve_modulo(number: &Limbs, modulus: &Limbs) -> Limbs {
    // Whether it is odd cannot be predicted, so this does not branch.
    let mask = (number[0] & 1).wrapping_neg();
    let [m0, m1, m2, m3] = *modulus;
    let (even, carry) = add(number, &[m0 & mask, m1 & mask, m2 & mask, m3 & mask]);
    halve(&even, carry)
}

/// Returns the power by an exponent that everybody may know: the time depends on nothing else.
pub(super) fn power<T: Copy + Zeroize>(
    base: &T,
    one: &T,
    exponent: &Limbs,
    multiply: impl Fn(&T, &T) -> T,
) -> T {
    let mut powers = Zeroizing::new([*one; 16]);
    for number in 1..16 {
        powers[number] = multiply(&powers[number - 1], base);
    }
    // Digits of four bits, from the highest.
    exponent.iter().rev().flat_map(|limb| (0..16).rev().map(move |at| limb >> (4 * at) & 15)).fold(
        *one,
        |power, digit| {
            let squared = (0..4).fold(power, |power, _| multiply(&power, &power));
            multiply(&squared, &powers[digit as usize])
        },
    )
}

/// Returns whether `a` is below `b`.
pub(super) const fn less(a: &Limbs, b: &Limbs) -> bool {
    subtract(a, b).1 == 1
}

/// Reads a number, the most significant byte first.
pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Limbs {
    let (words, _) = bytes.as_chunks::<8>();
    let [w3, w2, w1, w0] = [0, 1, 2, 3].map(|i| u64::from_be_bytes(words[i]));
    [w0, w1, w2, w3]
}

/// Returns the bytes of a number, the most significant first.
pub(super) fn to_be_bytes(number: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, limb) in bytes.as_chunks_mut().0.iter_mut().zip(number.iter().rev()) {
        *bytes = limb.to_be_bytes();
    }
    bytes
}

/// Returns `-1 / modulus` modulo 2^64, for the lowest limb of an odd modulus.
pub(super) const fn negated_inverse(modulus: u64) -> u64 {
    // Newton's iteration doubles the number of right bits; an odd number is its own inverse in three of them.
    let mut inverse = modulus;
    let mut bits = 3;
    while bits < 64 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(modulus.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse.wrapping_neg()
}

/// Returns `2^512` modulo `modulus`, which is above 2^255: the factor that brings a number into Montgomery form.
pub(super) const fn montgomery_factor(modulus: &Limbs) -> Limbs {
    let mut value = subtract(&[0; 4], modulus).0;
    let mut i = 0;
    while i < 256 {
        value = add_modulo(&value, &value, modulus);
        i += 1;
    }
    value
}

//! Multipliers of points: numbers modulo the order `n` of the group.

use zeroize::Zeroize;

use super::limbs::{self, Limbs};

/// A number below `n` in Montgomery's form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Scalar(Limbs);

impl Scalar {
    const ONE: Self = Self(limbs::subtract(&[0; 4], &N).0);

    /// Returns `value` modulo `n`.
    pub(super) const fn new(value: &Limbs) -> Self {
        Self(limbs::subtract_once(value, 0, &N)).multiply(&Self(FACTOR))
    }

    /// Returns a number of 512 bits modulo `n`, from its low half and its high half.
    pub(super) const fn of_halves(low: &Limbs, high: &Limbs) -> Self {
        Self::new(low).add(&Self::new(high).multiply(&Self(FACTOR)))
    }

    /// Returns the number below `n`.
    pub(super) const fn value(&self) -> Limbs {
        self.multiply(&Self([1, 0, 0, 0])).0
    }

    pub(super) const fn is_zero(&self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }

    pub(super) const fn add(&self, other: &Self) -> Self {
        Self(limbs::add_modulo(&self.0, &other.0, &N))
    }

    pub(super) const fn multiply(&self, other: &Self) -> Self {
        let (low, high) = limbs::multiply(&self.0, &other.0);
        Self(reduce(&low, &high))
    }

    /// Returns the inverse, and zero for zero, in a time that depends on the number: it must not be secret.
    pub(super) const fn invert(&self) -> Self {
        // What is inverted has the factor 2^256, and the inverse is to have it.
        Self(limbs::invert_modulo(&self.0, &N)).multiply(&Self(FACTOR)).multiply(&Self(FACTOR))
    }

    /// Returns the inverse, and zero for zero, in a time that does not depend on it: the power by `n - 2`.
    fn invert_secret(&self) -> Self {
        limbs::power(self, &Self::ONE, &limbs::subtract(&N, &[2, 0, 0, 0]).0, Self::multiply)
    }
}

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Replaces each of `values` by its inverse with one inversion in all. None may be zero, and none a secret: the time depends
/// on them. `partial` is room.
pub(super) fn invert_all(values: &mut [Scalar], partial: &mut Vec<Scalar>) {
    invert_all_with(values, partial, Scalar::invert);
}

/// Does what [`invert_all`] does in a time that does not depend on the values. If one of them is zero, all become zero.
pub(super) fn invert_secrets(values: &mut [Scalar], partial: &mut Vec<Scalar>) {
    invert_all_with(values, partial, Scalar::invert_secret);
}

#[inline(always)]
fn invert_all_with(values: &mut [Scalar], partial: &mut Vec<Scalar>, invert: impl Fn(&Scalar) -> Scalar) {
    partial.clear();
    let mut product = Scalar::ONE;
    for value in values.iter() {
        partial.push(product);
        product = product.multiply(value);
    }
    let mut inverse = invert(&product);
    for (value, before) in values.iter_mut().zip(partial.iter()).rev() {
        let this = inverse.multiply(before);
        inverse = inverse.multiply(value);
        *value = this;
    }
}

/// Returns `(high * 2^256 + low) / 2^256` modulo `n`, for products of numbers below 2^256 and below `n`.
#[inline(always)]
const fn reduce(low: &Limbs, high: &Limbs) -> Limbs {
    let low = reduce_limb(&reduce_limb(&reduce_limb(&reduce_limb(low))));
    let (sum, carry) = limbs::add(&low, high);
    limbs::subtract_once(&sum, carry, &N)
}

/// Returns `(a + m * n) / 2^64` with the `m` that makes the lowest limb zero.
#[inline(always)]
const fn reduce_limb(a: &Limbs) -> Limbs {
    let m = a[0].wrapping_mul(NEGATED_INVERSE);
    let (_, c) = limbs::multiply_add(a[0], m, N[0], 0);
    let (t0, c) = limbs::multiply_add(a[1], m, N[1], c);
    let (t1, c) = limbs::multiply_add(a[2], m, N[2], c);
    let (t2, t3) = limbs::multiply_add(a[3], m, N[3], c);
    [t0, t1, t2, t3]
}

/// The order, SP 800-186 §3.2.1.3.
pub(super) const N: Limbs =
    [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000];
const NEGATED_INVERSE: u64 = limbs::negated_inverse(N[0]);
const FACTOR: Limbs = limbs::montgomery_factor(&N);

//! The field over which P-256 is: numbers modulo `p = 2^256 - 2^224 + 2^192 + 2^96 - 1`.
//!
//! Elements are kept as `a * 2^256 mod p` (Montgomery's form). Since `p` is -1 modulo 2^64, the factor of each step of the
//! reduction is the lowest limb itself, and adding that multiple of `p` takes one multiplication.

use zeroize::Zeroize;

use super::limbs::{self, Limbs};

/// An element, below `p` and in Montgomery's form, which makes equality that of the limbs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Field(Limbs);

impl Field {
    pub(super) const ZERO: Self = Self([0; 4]);
    pub(super) const ONE: Self = Self(limbs::subtract(&[0; 4], &P).0);

    /// Returns the element `value`, or `None` when that is not below `p`.
    pub(super) const fn new(value: &Limbs) -> Option<Self> {
        if limbs::less(value, &P) { Some(Self::reduced(value)) } else { None }
    }

    /// Returns the element `value`, which must be below `p`.
    pub(super) const fn reduced(value: &Limbs) -> Self {
        Self(*value).multiply(&Self(FACTOR))
    }

    /// Returns the number below `p`.
    pub(super) const fn value(&self) -> Limbs {
        reduce(&self.0, &[0; 4])
    }

    /// Takes the limbs of an element as [`Self::limbs`] returns them.
    #[inline(always)]
    pub(super) const fn from_limbs(limbs: Limbs) -> Self {
        Self(limbs)
    }

    #[inline(always)]
    pub(super) const fn limbs(&self) -> &Limbs {
        &self.0
    }

    #[inline(always)]
    pub(super) const fn is_zero(&self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }

    #[inline(always)]
    pub(super) const fn add(&self, other: &Self) -> Self {
        Self(limbs::add_modulo(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(super) const fn subtract(&self, other: &Self) -> Self {
        Self(limbs::subtract_modulo(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(super) const fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(super) const fn negate(&self) -> Self {
        Self::ZERO.subtract(self)
    }

    #[inline(always)]
    pub(super) const fn multiply(&self, other: &Self) -> Self {
        let (low, high) = limbs::multiply(&self.0, &other.0);
        Self(reduce(&low, &high))
    }

    #[inline(always)]
    pub(super) const fn square(&self) -> Self {
        let (low, high) = limbs::square(&self.0);
        Self(reduce(&low, &high))
    }

    /// Returns the negative when `condition` holds. It is as likely as not, and may be secret, so this does not branch.
    #[inline(always)]
    pub(super) const fn negate_if(&self, condition: bool) -> Self {
        let (negated, mask) = (self.negate(), (condition as u64).wrapping_neg());
        let ([a, b, c, d], [e, f, g, h]) = (self.0, negated.0);
        Self([a ^ ((a ^ e) & mask), b ^ ((b ^ f) & mask), c ^ ((c ^ g) & mask), d ^ ((d ^ h) & mask)])
    }

    /// Returns the inverse, and zero for zero, in a time that depends on the element: it must not be secret.
    pub(super) const fn invert(&self) -> Self {
        // What is inverted has the factor 2^256, and the inverse is to have it.
        Self(limbs::invert_modulo(&self.0, &P)).multiply(&Self(FACTOR)).multiply(&Self(FACTOR))
    }

    /// Returns the inverse, and zero for zero, in a time that does not depend on it: the power by `p - 2`.
    pub(super) fn invert_secret(&self) -> Self {
        limbs::power(self, &Self::ONE, &limbs::subtract(&P, &[2, 0, 0, 0]).0, Self::multiply)
    }
}

impl Zeroize for Field {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Replaces each of `values` by its inverse with one inversion in all (Montgomery's trick). None may be zero, and
/// none a secret: the time depends on them. `before` is room.
pub(super) fn invert_all(values: &mut [Field], before: &mut Vec<Field>) {
    invert_all_with(values, before, Field::invert);
}

/// Does what [`invert_all`] does in a time that does not depend on the values. If one of them is zero, all become zero.
pub(super) fn invert_secrets(values: &mut [Field], before: &mut Vec<Field>) {
    invert_all_with(values, before, Field::invert_secret);
}

#[inline(always)]
fn invert_all_with(values: &mut [Field], before: &mut Vec<Field>, invert: impl Fn(&Field) -> Field) {
    before.clear();
    // Four products go on side by side, because each multiplication has to wait for the one before.
    let mut products = [Field::ONE; CHAINS];
    for chunk in values.chunks(CHAINS) {
        for (product, value) in products.iter_mut().zip(chunk) {
            before.push(*product);
            *product = product.multiply(value);
        }
    }
    let mut inverses = invert_few(&products, invert);
    for (chunk, before) in values.chunks_mut(CHAINS).zip(before.chunks(CHAINS)).rev() {
        for ((inverse, value), before) in inverses.iter_mut().zip(chunk).zip(before) {
            let inverted = inverse.multiply(before);
            *inverse = inverse.multiply(value);
            *value = inverted;
        }
    }
}

fn invert_few([a, b, c, d]: &[Field; CHAINS], invert: impl Fn(&Field) -> Field) -> [Field; CHAINS] {
    let (ab, cd) = (a.multiply(b), c.multiply(d));
    let inverse = invert(&ab.multiply(&cd));
    let (ab, cd) = (inverse.multiply(&cd), inverse.multiply(&ab));
    [ab.multiply(b), ab.multiply(a), cd.multiply(d), cd.multiply(c)]
}

/// Returns `(high * 2^256 + low) / 2^256` modulo `p`, for products of two elements.
#[inline(always)]
const fn reduce(low: &Limbs, high: &Limbs) -> Limbs {
    let low = reduce_limb(&reduce_limb(&reduce_limb(&reduce_limb(low))));
    let (sum, carry) = limbs::add(&low, high);
    limbs::subtract_once(&sum, carry, &P)
}

/// Returns `(a + a[0] * p) / 2^64`: the lowest limb of the sum is zero.
#[inline(always)]
const fn reduce_limb(a: &Limbs) -> Limbs {
    let m = a[0];
    // m * p = m * (p[3] * 2^192 + 2^96 - 1), and the -1 takes the lowest limb away.
    let t0 = a[1] as u128 + (m << 32) as u128;
    let t1 = a[2] as u128 + (m >> 32) as u128 + (t0 >> 64);
    let t2 = a[3] as u128 + m as u128 * P[3] as u128 + (t1 >> 64);
    [t0 as u64, t1 as u64, t2 as u64, (t2 >> 64) as u64]
}

/// The prime, FIPS 186-5 and SP 800-186 §3.2.1.3.
const P: Limbs = [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];
const FACTOR: Limbs = limbs::montgomery_factor(&P);
const CHAINS: usize = 4;

//! Points of P-256: `y^2 = x^3 - 3x + b`, a group of prime order with no point of order two.

use zeroize::Zeroize;

use super::field::Field;
use super::limbs::Limbs;

/// A point other than infinity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Affine {
    pub(super) x: Field,
    pub(super) y: Field,
}

impl Affine {
    /// The base point, SP 800-186 §3.2.1.3.
    pub(super) const GENERATOR: Self = Self { x: Field::reduced(&GX), y: Field::reduced(&GY) };

    /// Returns the point of the other sign.
    #[inline(always)]
    pub(super) const fn negate(&self) -> Self {
        Self { x: self.x, y: self.y.negate() }
    }

    /// Returns whether the equation of the curve holds.
    pub(super) fn is_on_curve(&self) -> bool {
        let Self { x, y } = self;
        let three = Field::ONE.double().add(&Field::ONE);
        y.square() == x.square().subtract(&three).multiply(x).add(&Field::reduced(&B))
    }
}

impl Zeroize for Affine {
    fn zeroize(&mut self) {
        let Self { x, y } = self;
        x.zeroize();
        y.zeroize();
    }
}

/// A point as `(X / Z^2, Y / Z^3)`; infinity has `Z = 0`. How long a sum takes depends on the points, so they must not be secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jacobian {
    pub(super) x: Field,
    pub(super) y: Field,
    pub(super) z: Field,
}

impl Jacobian {
    pub(super) const INFINITY: Self = Self { x: Field::ONE, y: Field::ONE, z: Field::ZERO };

    pub(super) const fn from_affine(point: &Affine) -> Self {
        Self { x: point.x, y: point.y, z: Field::ONE }
    }

    #[inline(always)]
    pub(super) const fn is_infinity(&self) -> bool {
        self.z.is_zero()
    }

    #[cfg(test)]
    pub(super) const fn negate(&self) -> Self {
        Self { x: self.x, y: self.y.negate(), z: self.z }
    }

    /// Returns twice the point; infinity gives infinity (dbl-2001-b of the Explicit-Formulas Database).
    pub(super) const fn double(&self) -> Self {
        let delta = self.z.square();
        let gamma = self.y.square();
        let beta = self.x.multiply(&gamma);
        let alpha = self.x.subtract(&delta).multiply(&self.x.add(&delta));
        let alpha = alpha.double().add(&alpha);
        let beta4 = beta.double().double();
        let x = alpha.square().subtract(&beta4.double());
        let z = self.y.add(&self.z).square().subtract(&gamma).subtract(&delta);
        let gamma8 = gamma.double().square().double();
        let y = alpha.multiply(&beta4.subtract(&x)).subtract(&gamma8);
        Self { x, y, z }
    }

    /// Returns the sum with a point whose `Z` is one.
    pub(super) const fn add_affine(&self, other: &Affine) -> Self {
        if self.is_infinity() {
            return Self::from_affine(other);
        }
        let zz = self.z.square();
        let u = other.x.multiply(&zz);
        let s = other.y.multiply(&self.z).multiply(&zz);
        self.add_scaled(&self.x, &self.y, &u, &s, &self.z)
    }

    /// Returns the sum.
    pub(super) const fn add(&self, other: &Self) -> Self {
        if self.is_infinity() {
            return *other;
        }
        if other.is_infinity() {
            return *self;
        }
        let (zz, other_zz) = (self.z.square(), other.z.square());
        let own_x = self.x.multiply(&other_zz);
        let own_y = self.y.multiply(&other.z).multiply(&other_zz);
        let x = other.x.multiply(&zz);
        let y = other.y.multiply(&self.z).multiply(&zz);
        self.add_scaled(&own_x, &own_y, &x, &y, &self.z.multiply(&other.z))
    }

    /// Returns the sum of this point and another, whose coordinates have been brought to the common denominator `z`.
    #[inline(always)]
    const fn add_scaled(&self, own_x: &Field, own_y: &Field, x: &Field, y: &Field, z: &Field) -> Self {
        let h = x.subtract(own_x);
        let r = y.subtract(own_y);
        if h.is_zero() {
            // The same point, or the two of one x.
            return if r.is_zero() { self.double() } else { Self::INFINITY };
        }
        let hh = h.square();
        let hhh = hh.multiply(&h);
        let v = own_x.multiply(&hh);
        let x = r.square().subtract(&hhh).subtract(&v.double());
        let y = r.multiply(&v.subtract(&x)).subtract(&own_y.multiply(&hhh));
        Self { x, y, z: z.multiply(&h) }
    }
}

/// Returns `points`, none of which may be infinity, with one inversion in all.
pub(super) const fn normalise<const COUNT: usize, const ROWS: usize>(
    points: &[[Jacobian; COUNT]; ROWS],
) -> [[Affine; COUNT]; ROWS] {
    let mut before = [[Field::ONE; COUNT]; ROWS];
    let mut product = Field::ONE;
    let mut i = 0;
    while i < ROWS * COUNT {
        let (row, at) = (i / COUNT, i % COUNT);
        before[row][at] = product;
        product = product.multiply(&points[row][at].z);
        i += 1;
    }
    let mut inverse = product.invert();
    let mut normal = [[Affine::GENERATOR; COUNT]; ROWS];
    while i > 0 {
        i -= 1;
        let (row, at) = (i / COUNT, i % COUNT);
        let Jacobian { x, y, z } = &points[row][at];
        let inverted = inverse.multiply(&before[row][at]);
        inverse = inverse.multiply(z);
        let squared = inverted.square();
        normal[row][at] = Affine { x: x.multiply(&squared), y: y.multiply(&squared).multiply(&inverted) };
    }
    normal
}

const GX: Limbs =
    [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247];
const GY: Limbs =
    [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b];
const B: Limbs = [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7];

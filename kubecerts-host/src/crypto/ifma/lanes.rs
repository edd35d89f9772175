//! Montgomery's multiplication of eight pairs of numbers at a time.
//!
//! A number has limbs of 52 bits; a vector holds one limb of eight numbers. Products are added up limb by limb in 64 bits, which
//! leaves room for some thousand of them, and carries are resolved once at the end. Four by four limbs are multiplied while they are
//! in registers.
//!
//! All functions here are safe to call where the processor has the instructions: none touches memory but by references.

use std::arch::x86_64::{
    __m512i, _mm256_extract_epi64, _mm512_add_epi64, _mm512_and_si512, _mm512_castsi512_si256,
    _mm512_extracti64x4_epi64, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_set_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};

use super::LANES;

/// Limbs in a number, and bits in a limb.
pub(super) type Number<const LIMBS: usize> = [u64; LIMBS];
pub(super) const LIMB_BITS: usize = 52;
pub(super) const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// A modulus whose numbers have `LIMBS` limbs, a multiple of four, with at least two bits to spare: so numbers below twice the
/// modulus stay so.
#[derive(Clone, Debug)]
pub(super) struct Modulus<const LIMBS: usize> {
    pub(super) limbs: Number<LIMBS>,
    /// `-1 / modulus` modulo 2^52.
    pub(super) factor: u64,
}

/// Eight numbers below twice a modulus.
#[derive(Clone, Copy)]
pub(super) struct Lanes<const LIMBS: usize>([__m512i; LIMBS]);

/// The sums of the columns of four limbs, and of the four above them.
type Columns = [__m512i; 2 * TILE];
const TILE: usize = 4;

impl<const LIMBS: usize> Lanes<LIMBS> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(numbers: &[Number<LIMBS>; LANES]) -> Self {
        let mut vectors = [_mm512_setzero_si512(); LIMBS];
        for (at, vector) in vectors.iter_mut().enumerate() {
            let [a, b, c, d, e, f, g, h] = numbers.each_ref().map(|number| number[at].cast_signed());
            *vector = _mm512_set_epi64(h, g, f, e, d, c, b, a);
        }
        Self(vectors)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn numbers(&self) -> [Number<LIMBS>; LANES] {
        let mut numbers = [[0; LIMBS]; LANES];
        for (at, vector) in self.0.iter().enumerate() {
            let (low, high) = (_mm512_castsi512_si256(*vector), _mm512_extracti64x4_epi64::<1>(*vector));
            let limbs = [
                _mm256_extract_epi64::<0>(low),
                _mm256_extract_epi64::<1>(low),
                _mm256_extract_epi64::<2>(low),
                _mm256_extract_epi64::<3>(low),
                _mm256_extract_epi64::<0>(high),
                _mm256_extract_epi64::<1>(high),
                _mm256_extract_epi64::<2>(high),
                _mm256_extract_epi64::<3>(high),
            ];
            for (number, limb) in numbers.iter_mut().zip(limbs) {
                number[at] = limb.cast_unsigned();
            }
        }
        numbers
    }

    /// Returns the products divided by 2^(52 * LIMBS), modulo the modulus.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn multiply(&self, other: &Self, modulus: &Modulus<LIMBS>) -> Self {
        reduce(modulus, |tile, columns| {
            for own in first_tile::<LIMBS>(tile)..=tile.min(LIMBS / TILE - 1) {
                add_product(columns, &take(&self.0, own), &take(&other.0, tile - own));
            }
        })
    }

    /// Returns the squares divided by 2^(52 * LIMBS), modulo the modulus.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn square(&self, modulus: &Modulus<LIMBS>) -> Self {
        reduce(modulus, |tile, columns| {
            // What is not on the diagonal is there twice.
            let mut twice = [_mm512_setzero_si512(); 2 * TILE];
            let first = first_tile::<LIMBS>(tile);
            for own in first..tile.div_ceil(2).max(first) {
                add_product(&mut twice, &take(&self.0, own), &take(&self.0, tile - own));
            }
            for (column, sum) in columns.iter_mut().zip(twice) {
                *column = _mm512_add_epi64(*column, _mm512_add_epi64(sum, sum));
            }
            if tile % 2 == 0 {
                let own = take(&self.0, tile / 2);
                add_product(columns, &own, &own);
            }
        })
    }
}

/// Returns which is the first tile of a factor that takes part in this tile of a product.
const fn first_tile<const LIMBS: usize>(tile: usize) -> usize {
    (tile + 1).saturating_sub(LIMBS / TILE)
}

/// Reduces the number whose products `add` adds up, tile by tile.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn reduce<const LIMBS: usize>(modulus: &Modulus<LIMBS>, add: impl Fn(usize, &mut Columns)) -> Lanes<LIMBS> {
    let (zero, mask) = (_mm512_setzero_si512(), _mm512_set1_epi64(LIMB.cast_signed()));
    let factor = _mm512_set1_epi64(modulus.factor.cast_signed());
    let tiles = LIMBS / TILE;
    let mut multiples = [zero; LIMBS];
    let mut result = [zero; LIMBS];
    let mut columns = [zero; 2 * TILE];
    let mut carry = zero;
    for tile in 0..2 * tiles {
        if tile < 2 * tiles - 1 {
            add(tile, &mut columns);
        }
        let first = first_tile::<LIMBS>(tile);
        for own in first..tile.min(tiles) {
            add_product(&mut columns, &take(&multiples, own), &spread(&modulus.limbs, tile - own));
        }
        if tile < tiles {
            // The multiple of the modulus that makes these four limbs zero.
            let lowest = spread(&modulus.limbs, 0);
            for limb in 0..TILE {
                let sum = _mm512_add_epi64(columns[limb], carry);
                let multiple = _mm512_madd52lo_epu64(zero, sum, factor);
                for (above, modulus) in lowest.iter().enumerate() {
                    let low = if above == 0 { sum } else { columns[limb + above] };
                    columns[limb + above] = _mm512_madd52lo_epu64(low, multiple, *modulus);
                    columns[limb + above + 1] =
                        _mm512_madd52hi_epu64(columns[limb + above + 1], multiple, *modulus);
                }
                carry = _mm512_srli_epi64::<52>(columns[limb]);
                multiples[tile * TILE + limb] = multiple;
            }
        } else {
            for limb in 0..TILE {
                let sum = _mm512_add_epi64(columns[limb], carry);
                result[(tile - tiles) * TILE + limb] = _mm512_and_si512(sum, mask);
                carry = _mm512_srli_epi64::<52>(sum);
            }
        }
        let [_, _, _, _, a, b, c, d] = columns;
        columns = [a, b, c, d, zero, zero, zero, zero];
    }
    Lanes(result)
}

/// Adds the product of four limbs by four.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn add_product(columns: &mut Columns, a: &[__m512i; TILE], b: &[__m512i; TILE]) {
    for i in 0..TILE {
        for j in 0..TILE {
            columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], a[i], b[j]);
            columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], a[i], b[j]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn take(limbs: &[__m512i], tile: usize) -> [__m512i; TILE] {
    let limbs = &limbs[tile * TILE..][..TILE];
    [limbs[0], limbs[1], limbs[2], limbs[3]]
}

/// Returns four limbs of one number, in all lanes.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn spread(limbs: &[u64], tile: usize) -> [__m512i; TILE] {
    let limbs = &limbs[tile * TILE..][..TILE];
    [
        _mm512_set1_epi64(limbs[0].cast_signed()),
        _mm512_set1_epi64(limbs[1].cast_signed()),
        _mm512_set1_epi64(limbs[2].cast_signed()),
        _mm512_set1_epi64(limbs[3].cast_signed()),
    ]
}

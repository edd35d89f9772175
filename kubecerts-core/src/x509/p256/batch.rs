//! Many signatures by one key.
//!
//! With tables of the multiples of the base point and of the key, `u1 * G + u2 * Q` is a sum of 64 points. Adding two points takes
//! an inversion and three multiplications; here the sums of all signatures grow as one tree, all additions of a level share one
//! inversion, and so an addition takes six multiplications instead of eleven.

use std::sync::OnceLock;

use super::Checked;
use super::field::{self, Field};
use super::point::Affine;
use super::scalar::{self, Scalar};
use super::single::Prepared;
use super::tables::{Multiples, OddDigits, WINDOWS};

/// A key and its multiples.
#[derive(Debug)]
pub(super) struct Tabled {
    key: Affine,
    multiples: Multiples,
}

/// What is used again from batch to batch.
#[derive(Default)]
pub(super) struct Room {
    inverses: Vec<Scalar>,
    scalars: Vec<Scalar>,
    digits: Vec<[OddDigits; 2]>,
    points: Vec<Affine>,
    denominators: Vec<Field>,
    fields: Vec<Field>,
    exceptions: Vec<bool>,
}

impl Tabled {
    /// Computes the multiples of `key`.
    pub(super) fn new(key: &Affine) -> Self {
        Self { key: *key, multiples: Multiples::new(key) }
    }

    /// Returns the position of the first of `signatures`, up to [`LANES`] of them, that is not by the key.
    pub(super) fn first_invalid(&self, signatures: &[Checked], room: &mut Room) -> Option<usize> {
        let lanes = signatures.len();
        room.select(signatures, &self.multiples);
        let mut rows = 2 * WINDOWS;
        while rows > 2 {
            rows /= 2;
            room.invert_differences(rows, lanes);
            // In this order no point is overwritten before it was added.
            for row in 0..rows {
                for lane in 0..lanes {
                    let (first, second) = (2 * row * lanes + lane, (2 * row + 1) * lanes + lane);
                    let inverse = &room.denominators[row * lanes + lane];
                    room.points[row * lanes + lane] =
                        room.points[first].add_with_inverse(&room.points[second], inverse);
                }
            }
        }
        room.invert_differences(1, lanes);
        (0..lanes).find(|&lane| {
            if room.exceptions[lane] {
                return !Prepared::<1>::new(&self.key).verify(&signatures[lane]);
            }
            let sum =
                room.points[lane].add_with_inverse(&room.points[lanes + lane], &room.denominators[lane]);
            !super::is_r(&sum.x, &Field::ONE, &signatures[lane].r)
        })
    }
}

impl Room {
    /// Finds the points to add up: a row of one point of each signature for every window of the base point, then of the key.
    fn select(&mut self, signatures: &[Checked], multiples: &Multiples) {
        self.inverses.clear();
        self.inverses.extend(signatures.iter().map(|Checked { s, .. }| Scalar::new(s)));
        scalar::invert_all(&mut self.inverses, &mut self.scalars);
        let multipliers = signatures.iter().zip(&self.inverses).map(|(Checked { hash, r, .. }, inverse)| {
            [hash, r].map(|number| OddDigits::new(&Scalar::new(number).multiply(inverse).value()))
        });
        self.digits.clear();
        self.digits.extend(multipliers);
        self.points.clear();
        for (which, multiples) in [base(), multiples].into_iter().enumerate() {
            for window in 0..WINDOWS {
                self.points.extend(self.digits.iter().map(|digits| multiples.select(window, &digits[which])));
            }
        }
        self.exceptions.clear();
        self.exceptions.resize(signatures.len(), false);
    }

    /// Finds by what the slopes of the next sums are to be multiplied. Where two points have the same `x` there is no slope: the
    /// signature is an exception, and its points are of no more interest.
    fn invert_differences(&mut self, rows: usize, lanes: usize) {
        self.denominators.clear();
        for row in 0..rows {
            let (first, second) = self.points[2 * row * lanes..][..2 * lanes].split_at(lanes);
            for ((first, second), exception) in first.iter().zip(second).zip(&mut self.exceptions) {
                let difference = second.x.subtract(&first.x);
                let none = difference.is_zero();
                *exception |= none;
                self.denominators.push(if none { Field::ONE } else { difference });
            }
        }
        field::invert_all(&mut self.denominators, &mut self.fields);
    }
}

/// Returns the multiples of the base point.
fn base() -> &'static Multiples {
    static BASE: OnceLock<Multiples> = OnceLock::new();
    BASE.get_or_init(|| Multiples::new(&Affine::GENERATOR))
}

/// So many signatures share an inversion, which then is cheap enough, and their points stay in the second cache.
pub(super) const LANES: usize = 64;

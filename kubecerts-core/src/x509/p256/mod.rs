//! ECDSA on P-256, faster than the general way where that is worth it.
//!
//! Verification has public numbers only: keys, messages, signatures. So nothing has to take the same time whatever the numbers are, and
//! what may go wrong is one thing, to accept what is not signed. Signatures have secrets, and rules for them, in [`sign`] and [`rows`].
//! The arithmetic below is for both: additions, products and powers take the same time for all numbers, and what does not says so.
//!
//! * [`limbs`], [`field`], [`scalar`], [`point`]: arithmetic, by the textbook; [`der`]: the form of signatures.
//! * [`single`]: verification of one signature, without preparation or with little of it.
//! * [`tables`], [`batch`]: of many signatures by one key, with precomputed multiples.
//! * [`rows`], [`sign`]: many signatures.
//!
//! Tests compare each of them with the `p256` crate, which also reads the keys.

mod batch;
mod der;
mod field;
mod limbs;
mod point;
mod rows;
mod scalar;
mod sign;
mod single;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use spki::DecodePublicKey;

use self::batch::{LANES, Room, Tabled};
use self::field::Field;
use self::limbs::Limbs;
use self::point::Affine;
use self::single::Prepared;

pub(super) use self::sign::{BATCH, SecretKey};

/// A public key on P-256.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(Affine);

impl Key {
    /// Reads a `SubjectPublicKeyInfo`. `None` unless it holds a point of the curve.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let key = ::p256::PublicKey::from_public_key_der(der).ok()?;
        Self::new(&key)
    }

    fn new(key: &::p256::PublicKey) -> Option<Self> {
        use ::p256::elliptic_curve::sec1::ToSec1Point;
        let point = key.to_sec1_point(false);
        let coordinate = |bytes: &[u8]| Field::new(&limbs::from_be_bytes(bytes.try_into().ok()?));
        let (x, y) = (coordinate(point.x()?)?, coordinate(point.y()?)?);
        let point = Affine { x, y };
        point.is_on_curve().then_some(Self(point))
    }

    /// Returns whether it made `signature`, in DER, of what hashes to `hash`.
    pub(super) fn verify(&self, hash: &[u8], signature: &[u8]) -> bool {
        Checked::new(hash, signature).is_some_and(|signature| Prepared::<1>::new(&self.0).verify(&signature))
    }
}

/// A key by which many signatures are verified.
#[derive(Debug)]
pub(super) struct FixedKey {
    key: Key,
    seen: AtomicUsize,
    prepared: OnceLock<Prepared<4>>,
    tabled: OnceLock<Tabled>,
}

impl FixedKey {
    pub(super) const fn new(key: Key) -> Self {
        Self { key, seen: AtomicUsize::new(0), prepared: OnceLock::new(), tabled: OnceLock::new() }
    }

    /// Returns the position of the first of the pairs of hash and signature that is not by the key.
    pub(super) fn first_invalid<H, S>(
        &self,
        mut signed: impl ExactSizeIterator<Item = (H, S)>,
    ) -> Option<usize>
    where
        H: AsRef<[u8]>,
        S: AsRef<[u8]>,
    {
        let seen = self.seen.fetch_add(signed.len(), Ordering::Relaxed).saturating_add(signed.len());
        if seen < WORTH_TABLES {
            let prepared = self.prepared.get_or_init(|| Prepared::new(&self.key.0));
            return signed.position(|(hash, signature)| {
                Checked::new(hash.as_ref(), signature.as_ref())
                    .is_none_or(|signature| !prepared.verify(&signature))
            });
        }
        let tabled = self.tabled.get_or_init(|| Tabled::new(&self.key.0));
        let (mut room, mut lanes) = (Room::default(), Vec::with_capacity(LANES.min(signed.len())));
        let mut position = 0;
        loop {
            lanes.clear();
            let mut malformed = false;
            for (hash, signature) in signed.by_ref().take(LANES) {
                let Some(signature) = Checked::new(hash.as_ref(), signature.as_ref()) else {
                    malformed = true;
                    break;
                };
                lanes.push(signature);
            }
            let invalid = tabled.first_invalid(&lanes, &mut room).or(malformed.then_some(lanes.len()));
            if let Some(lane) = invalid {
                return Some(position + lane);
            }
            if lanes.len() < LANES {
                return None;
            }
            position += LANES;
        }
    }
}

/// A signature whose `r` and `s` are in the range from 1 to the order less 1, and what it is to be of.
struct Checked {
    hash: Limbs,
    r: Limbs,
    s: Limbs,
}

impl Checked {
    /// Reads the DER of an `Ecdsa-Sig-Value`. Of a longer hash the first 256 bits count (FIPS 186-5 §6.4.2).
    fn new(hash: &[u8], signature: &[u8]) -> Option<Self> {
        let hash = limbs::from_be_bytes(hash.first_chunk()?);
        let [r, s] = der::decode(signature)?.map(|number| limbs::from_be_bytes(&number));
        let in_range = |number: &Limbs| *number != [0; 4] && limbs::less(number, &scalar::N);
        (in_range(&r) && in_range(&s)).then_some(Self { hash, r, s })
    }
}

/// Returns whether `x / zz` is `r` modulo `n`. Coordinates are below `p`, which is between `n` and `2n`: there are two candidates, or
/// one where the second is no coordinate.
fn is_r(x: &Field, zz: &Field, r: &Limbs) -> bool {
    let matches =
        |candidate: &Limbs| Field::new(candidate).is_some_and(|candidate| candidate.multiply(zz) == *x);
    let (second, carry) = limbs::add(r, &scalar::N);
    matches(r) || (carry == 0 && matches(&second))
}

/// From so many signatures on, multiples of the key and of the base point are computed sooner than the rest is verified without.
const WORTH_TABLES: usize = 24;

//! Verification of RSA signatures, several times as fast as by the `rsa` crate.
//!
//! Everything here is public: keys, messages, signatures. So nothing has to take the same time whatever the numbers are, and what may
//! go wrong is one thing, to accept what is not signed. The whole encoding is built and compared, so nothing of a signature is parsed.

use const_oid::db::rfc5912::RSA_ENCRYPTION;
use der::Decode;
use der::asn1::AnyRef;
use rsa::pkcs1::RsaPublicKeyRef;
use spki::SubjectPublicKeyInfoRef;

use super::rsa_facts::{EXPONENT, SIZES};

/// A public key of a usual size with the usual exponent.
#[derive(Debug)]
pub(super) struct Key {
    modulus: Vec<u64>,
    /// `-1 / modulus` modulo 2^64.
    negated_inverse: u64,
    /// The square of `R`, which is the power of two with as many bits as the modulus, modulo that.
    r_squared: Vec<u64>,
}

impl Key {
    /// Reads a `SubjectPublicKeyInfo`. `None` does not mean that the key is wrong: it may also be unusual.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
        if info.algorithm.oid != RSA_ENCRYPTION || info.algorithm.parameters != Some(AnyRef::NULL) {
            return None;
        }
        let key = RsaPublicKeyRef::from_der(info.subject_public_key.as_bytes()?).ok()?;
        Self::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// Returns the key of a modulus and an exponent, the most significant bytes first.
    fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let is_usual = SIZES.contains(&modulus.len())
            && modulus.first().is_some_and(|first| *first >= 0x80)
            && modulus.last().is_some_and(|last| last % 2 == 1)
            && exponent == EXPONENT;
        if !is_usual {
            return None;
        }
        let modulus = limbs(modulus);
        // Newton's iteration doubles the number of right bits; an odd number is its own inverse in three of them.
        let negated_inverse = (0..5)
            .fold(modulus[0], |inverse, _| {
                inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)))
            })
            .wrapping_neg();
        let mut key = Self { r_squared: Vec::new(), negated_inverse, modulus };
        key.r_squared = key.square_of_r();
        Some(key)
    }

    /// Returns whether it made `signature` of what hashes to `hash` (RSASSA-PKCS1-v1_5, [RFC 8017 §8.2.2]).
    ///
    /// [RFC 8017 §8.2.2]: https://www.rfc-editor.org/rfc/rfc8017#section-8.2.2
    pub(super) fn verify(&self, hash: Hash<'_>, signature: &[u8]) -> bool {
        let length = self.modulus.len() * 8;
        if signature.len() != length {
            return false;
        }
        let signature = limbs(signature);
        if !is_below(&signature, &self.modulus) {
            return false;
        }
        let [mut power, mut room] = [0, 1].map(|_| vec![0; self.modulus.len()]);
        // To Montgomery's form, sixteen squarings, and a multiplication by what is in no such form: the result is in none.
        self.multiply(&signature, &self.r_squared, &mut power);
        for _ in 0..16 {
            self.multiply(&power, &power, &mut room);
            std::mem::swap(&mut power, &mut room);
        }
        self.multiply(&power, &signature, &mut room);
        let encoded = room.iter().rev().flat_map(|limb| limb.to_be_bytes());
        encoded.eq(hash.encode(length))
    }

    /// Writes `a * b / R` modulo the modulus to `product`, for numbers below the modulus.
    fn multiply(&self, a: &[u64], b: &[u64], product: &mut [u64]) {
        let count = self.modulus.len();
        let (a, b, product) = (&a[..count], &b[..count], &mut product[..count]);
        product.fill(0);
        let mut top = 0;
        for digit in b {
            // One limb of `b` at a time, with the multiple of the modulus that makes the lowest limb of the sum zero.
            let (low, mut carry) = multiply_add(product[0], a[0], *digit, 0);
            let factor = low.wrapping_mul(self.negated_inverse);
            let (_, mut reduced) = multiply_add(low, factor, self.modulus[0], 0);
            for i in 1..count {
                let limb;
                (limb, carry) = multiply_add(product[i], a[i], *digit, carry);
                (product[i - 1], reduced) = multiply_add(limb, factor, self.modulus[i], reduced);
            }
            let sum = u128::from(top) + u128::from(carry) + u128::from(reduced);
            (product[count - 1], top) = (sum as u64, (sum >> 64) as u64);
        }
        if top != 0 || !is_below(product, &self.modulus) {
            subtract(product, &self.modulus);
        }
    }

    /// Returns `R^2` modulo the modulus.
    fn square_of_r(&self) -> Vec<u64> {
        // R less the modulus, whose highest bit is set.
        let mut value = vec![0; self.modulus.len()];
        subtract(&mut value, &self.modulus);
        let mut room = value.clone();
        // 2^64 R, by doubling; then 2^128 R, 2^256 R … by squares, of which one power of R is lost each time.
        let limbs = self.modulus.len();
        let first = limbs >> limbs.trailing_zeros();
        for _ in 0..first * 64 {
            let top = double(&mut value);
            if top || !is_below(&value, &self.modulus) {
                subtract(&mut value, &self.modulus);
            }
        }
        for _ in 0..limbs.trailing_zeros() {
            self.multiply(&value, &value, &mut room);
            std::mem::swap(&mut value, &mut room);
        }
        value
    }
}

/// What a message hashes to, and how.
#[derive(Clone, Copy)]
pub(super) enum Hash<'a> {
    Sha256(&'a [u8; 32]),
    Sha384(&'a [u8; 48]),
    Sha512(&'a [u8; 64]),
}

impl Hash<'_> {
    /// Returns the encoded message of `length` bytes, EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 ff … ff 00` and the `DigestInfo`.
    fn encode(self, length: usize) -> Vec<u8> {
        let (algorithm, hash): (u8, &[u8]) = match self {
            Self::Sha256(hash) => (1, hash),
            Self::Sha384(hash) => (2, hash),
            Self::Sha512(hash) => (3, hash),
        };
        // At most 64, so that lengths have one byte.
        let bytes = hash.len() as u8;
        let mut info = vec![0x30, 17 + bytes, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, algorithm];
        info.extend_from_slice(&[5, 0, 4, bytes]);
        info.extend_from_slice(hash);
        let mut encoded = vec![0xff; length - info.len()];
        encoded[0] = 0;
        encoded[1] = 1;
        encoded[length - info.len() - 1] = 0;
        encoded.extend_from_slice(&info);
        encoded
    }
}

/// Reads a number of whole limbs, the most significant byte first.
fn limbs(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().rev().map(|limb| u64::from_be_bytes(*limb)).collect()
}

fn is_below(a: &[u64], b: &[u64]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Takes `b` away modulo a power of two.
fn subtract(a: &mut [u64], b: &[u64]) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (difference, first) = a.overflowing_sub(*b);
        let (difference, second) = difference.overflowing_sub(borrow.into());
        (*a, borrow) = (difference, first | second);
    }
}

/// Doubles modulo a power of two, and returns whether that was too small.
fn double(a: &mut [u64]) -> bool {
    let mut carry = 0;
    for limb in a {
        (*limb, carry) = (*limb << 1 | carry, *limb >> 63);
    }
    carry == 1
}

/// Returns `a + b * c + carry`, low and high.
#[inline(always)]
fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = u128::from(a) + u128::from(b) * u128::from(c) + u128::from(carry);
    (sum as u64, (sum >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rsa::pkcs1v15::{self, VerifyingKey};
    use rsa::signature::{SignatureEncoding, Signer};
    use rsa::traits::PublicKeyParts;
    use sha2::{Digest, Sha256, Sha384, Sha512};

    use crate::x509::{Certificate, PublicKey, decode_blocks};

    use super::*;

    const PEM: &[u8] =
        include_bytes!("../../testkit/fixtures/kubeadm-v136-rsa2048/etc/kubernetes/pki/ca.key");
    const AUTHORITY: &[u8] =
        include_bytes!("../../testkit/fixtures/kubeadm-v136-rsa2048/etc/kubernetes/pki/ca.crt");

    fn private() -> rsa::RsaPrivateKey {
        use rsa::pkcs1::DecodeRsaPrivateKey;
        let block = decode_blocks(PEM).remove(0).unwrap();
        rsa::RsaPrivateKey::from_pkcs1_der(block.secret_bytes()).unwrap()
    }

    fn public() -> PublicKey {
        let block = decode_blocks(AUTHORITY).remove(0).unwrap();
        Certificate::parse_der(block.secret_bytes()).unwrap().public_key().clone()
    }

    fn key() -> Key {
        Key::from_der(public().as_der()).unwrap()
    }

    fn reference(hash: &[u8], signature: &[u8]) -> bool {
        use rsa::signature::hazmat::PrehashVerifier;
        let key = VerifyingKey::<Sha256>::new(private().to_public_key());
        pkcs1v15::Signature::try_from(signature)
            .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
    }

    #[test]
    fn signatures_of_each_hash_are_valid_for_that_hash_only() {
        let (private, key, message) = (private(), key(), b"message");
        let hashes = (Sha256::digest(message), Sha384::digest(message), Sha512::digest(message));
        let signatures = [
            pkcs1v15::SigningKey::<Sha256>::new(private.clone()).sign(message).to_vec(),
            pkcs1v15::SigningKey::<Sha384>::new(private.clone()).sign(message).to_vec(),
            pkcs1v15::SigningKey::<Sha512>::new(private).sign(message).to_vec(),
        ];
        let hashes = [Hash::Sha256(&hashes.0.0), Hash::Sha384(&hashes.1.0), Hash::Sha512(&hashes.2.0)];
        for (which, hash) in hashes.into_iter().enumerate() {
            for (of, signature) in signatures.iter().enumerate() {
                assert_eq!(key.verify(hash, signature), which == of, "{which} {of}");
            }
        }
    }

    #[test]
    fn lengths_and_numbers_out_of_range_are_refused() {
        let (private, key) = (private(), key());
        let hash = Sha256::digest(b"message").0;
        let signature = pkcs1v15::SigningKey::<Sha256>::new(private.clone()).sign(b"message").to_vec();
        assert!(key.verify(Hash::Sha256(&hash), &signature));
        assert!(!key.verify(Hash::Sha256(&hash), &[&[0], &signature[..]].concat()));
        assert!(!key.verify(Hash::Sha256(&hash), &signature[1..]));
        assert!(!key.verify(Hash::Sha256(&hash), b""));
        let modulus = private.n().as_ref().to_be_bytes();
        for number in [&modulus[..], &[0; 256], &[0xff; 256]] {
            assert!(!key.verify(Hash::Sha256(&hash), number));
            assert!(!reference(&hash, number));
        }
    }

    #[test]
    fn unusual_keys_are_left_to_others() {
        let modulus = private().n().as_ref().to_be_bytes();
        assert!(Key::new(&modulus, &[1, 0, 1]).is_some());
        assert!(Key::new(&modulus, &[3]).is_none());
        assert!(Key::new(&modulus[..128], &[1, 0, 1]).is_none());
        let even = [&modulus[..255], &[2]].concat();
        assert!(Key::new(&even, &[1, 0, 1]).is_none());
        let short = [&[0x7f], &modulus[1..]].concat();
        assert!(Key::new(&short, &[1, 0, 1]).is_none());
        assert!(Key::from_der(&public().as_der()[1..]).is_none());
    }

    /// Multiplies bit by bit.
    fn slow_product(a: &[u64], b: &[u64], modulus: &[u64]) -> Vec<u64> {
        let mut product = vec![0; a.len()];
        let reduce = |value: &mut Vec<u64>, top: bool| {
            if top || !is_below(value, modulus) {
                subtract(value, modulus);
            }
        };
        for limb in a.iter().rev() {
            for bit in (0..64).rev() {
                let top = double(&mut product);
                reduce(&mut product, top);
                if limb >> bit & 1 == 1 {
                    let mut carry = 0;
                    for (own, other) in product.iter_mut().zip(b) {
                        let sum = u128::from(*own) + u128::from(*other) + carry;
                        (*own, carry) = (sum as u64, sum >> 64);
                    }
                    reduce(&mut product, carry == 1);
                }
            }
        }
        product
    }

    fn number(size: usize) -> impl Strategy<Value = Vec<u64>> {
        let limb = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>()];
        prop::collection::vec(limb, size)
    }

    fn numbers() -> impl Strategy<Value = [Vec<u64>; 3]> {
        prop_oneof![Just(32_usize), Just(48), Just(64)]
            .prop_flat_map(|size| [number(size), number(size), number(size)])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn products_are_those_of_schoolbook([mut modulus, mut a, mut b] in numbers()) {
            modulus[0] |= 1;
            *modulus.last_mut().unwrap() |= 1 << 63;
            for number in [&mut a, &mut b] {
                if !is_below(number, &modulus) {
                    subtract(number, &modulus);
                }
            }
            let bytes: Vec<u8> = modulus.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
            let key = Key::new(&bytes, EXPONENT).unwrap();
            // To Montgomery's form, and by what is not in it.
            let [mut form, mut product] = [0, 1].map(|_| vec![0; modulus.len()]);
            key.multiply(&a, &key.r_squared, &mut form);
            key.multiply(&form, &b, &mut product);
            prop_assert_eq!(product, slow_product(&a, &b, &modulus));
        }

        #[test]
        fn verdicts_are_those_of_the_rsa_crate(
            message in any::<[u8; 8]>(), at in 0..256_usize, change in any::<u8>(), hash_at in 0..320_usize,
        ) {
            let mut signature = pkcs1v15::SigningKey::<Sha256>::new(private()).sign(&message).to_vec();
            signature[at] ^= if change < 64 { 0 } else { change };
            let mut hash = Sha256::digest(message).0;
            if let Some(byte) = hash.get_mut(hash_at) {
                *byte ^= 1;
            }
            prop_assert_eq!(key().verify(Hash::Sha256(&hash), &signature), reference(&hash, &signature));
        }
    }
}

//! Verification of eight RSA signatures at a time, with the vector instructions of AVX-512 IFMA.
//!
//! The modulus is the same for all, and so is the exponent 65537: sixteen squarings and two multiplications. Everything here is
//! public, so nothing has to be hidden; what may go wrong is to accept what is not signed, and a signature is accepted only if its
//! power is, limb for limb, the one encoding of the hash (RFC 8017 §8.2.2, step 4: compare encodings, parse nothing).

mod lanes;
#[cfg(test)]
mod tests;

use std::array;

use kubecerts_core::x509::SignedMessage;
use sha2::{Digest as _, Sha256};

use self::lanes::{LIMB, LIMB_BITS, Lanes, Modulus, Number};

/// An RSA key whose signatures are verified eight at a time.
#[derive(Clone, Debug)]
pub(super) enum RsaKey {
    Bits2048(Box<Key<40>>),
    Bits3072(Box<Key<60>>),
    Bits4096(Box<Key<80>>),
}

impl RsaKey {
    /// Reads a `SubjectPublicKeyInfo`. `None` where the processor lacks the instructions, or the key is not an RSA key of 2048, 3072
    /// or 4096 bits with the exponent 65537.
    pub(super) fn new(der: &[u8]) -> Option<Self> {
        let instructions = Instructions::detect()?;
        let modulus = modulus(der)?;
        Some(match modulus.len() {
            256 => Self::Bits2048(Box::new(Key::new(instructions, modulus))),
            384 => Self::Bits3072(Box::new(Key::new(instructions, modulus))),
            512 => Self::Bits4096(Box::new(Key::new(instructions, modulus))),
            _ => return None,
        })
    }

    /// Returns of each of `signed`, up to eight, whether the key made the signature with SHA-256 and PKCS#1 v1.5.
    pub(super) fn verify(&self, signed: &[SignedMessage<'_>]) -> [bool; LANES] {
        match self {
            Self::Bits2048(key) => key.verify(signed),
            Self::Bits3072(key) => key.verify(signed),
            Self::Bits4096(key) => key.verify(signed),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Key<const LIMBS: usize> {
    instructions: Instructions,
    modulus: Modulus<LIMBS>,
    /// 2^(104 * LIMBS) modulo the modulus or above it, which brings a number into Montgomery's form.
    into: Number<LIMBS>,
    /// How long the modulus is, and so every signature.
    bytes: usize,
}

impl<const LIMBS: usize> Key<LIMBS> {
    /// Prepares the key with this odd modulus, whose first bit is set and which leaves at least two of the bits of the limbs.
    fn new(instructions: Instructions, modulus: &[u8]) -> Self {
        let limbs = from_be_bytes::<LIMBS>(modulus);
        let mut inverse = limbs[0];
        // Each step doubles the number of right bits, of which there are three at first.
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(limbs[0].wrapping_mul(inverse)));
        }
        let bytes = modulus.len();
        let modulus = Modulus { limbs, factor: inverse.wrapping_neg() & LIMB };
        // In Montgomery's form, which is times R = 2^(52 * LIMBS): first 1, then a power of two, of which squares make R.
        let mut power: Number<LIMBS> = [0; LIMBS];
        let top = bytes * 8 - 1;
        power[top / LIMB_BITS] = 1 << (top % LIMB_BITS);
        let exponent = LIMBS * LIMB_BITS;
        let squarings = exponent.trailing_zeros();
        for _ in top..exponent + (exponent >> squarings) {
            double(&mut power, &modulus.limbs);
        }
        for _ in 0..squarings {
            power = instructions.square(&power, &modulus);
        }
        Self { instructions, modulus, into: power, bytes }
    }

    fn verify(&self, signed: &[SignedMessage<'_>]) -> [bool; LANES] {
        let numbers: [Option<Number<LIMBS>>; LANES] = array::from_fn(|lane| {
            let SignedMessage { signature, .. } = signed.get(lane)?;
            if signature.len() != self.bytes {
                return None;
            }
            Some(from_be_bytes(signature)).filter(|number| is_less(number, &self.modulus.limbs))
        });
        // Lanes without a number that can be a signature work on zero, and are not valid.
        let powers = self.instructions.power(
            &numbers.map(|number| number.unwrap_or([0; LIMBS])),
            &self.into,
            &self.modulus,
        );
        array::from_fn(|lane| match (signed.get(lane), numbers[lane]) {
            (Some(SignedMessage { message, .. }), Some(_)) => {
                self.reduced(&powers[lane]) == self.encoding(&Sha256::digest(message).into())
            }
            _ => false,
        })
    }

    /// Returns a number below twice the modulus, modulo that.
    fn reduced(&self, number: &Number<LIMBS>) -> Number<LIMBS> {
        let modulus = &self.modulus.limbs;
        if is_less(number, modulus) { *number } else { subtract(number, modulus) }
    }

    /// Returns the encoding of a hash: EMSA-PKCS1-v1_5, RFC 8017 §9.2.
    fn encoding(&self, hash: &[u8; 32]) -> Number<LIMBS> {
        let mut block = [0xff; 512];
        let block = &mut block[..self.bytes];
        block[..2].copy_from_slice(&[0, 1]);
        let tail = self.bytes - hash.len();
        let info = tail - SHA_256.len();
        block[tail..].copy_from_slice(hash);
        block[info..tail].copy_from_slice(&SHA_256);
        block[info - 1] = 0;
        from_be_bytes(block)
    }
}

/// Proof that the processor has the instructions.
#[derive(Clone, Copy, Debug)]
struct Instructions(());

impl Instructions {
    fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")).then_some(Self(()))
    }

    fn power<const LIMBS: usize>(
        self,
        bases: &[Number<LIMBS>; LANES],
        into: &Number<LIMBS>,
        modulus: &Modulus<LIMBS>,
    ) -> [Number<LIMBS>; LANES] {
        #[expect(unsafe_code, reason = "the instructions are there: only `detect` makes `self`")]
        // SAFETY: `power` has no other precondition than its target features, and reads and writes only what it is given.
        unsafe {
            power(bases, into, modulus)
        }
    }

    fn square<const LIMBS: usize>(self, number: &Number<LIMBS>, modulus: &Modulus<LIMBS>) -> Number<LIMBS> {
        #[expect(unsafe_code, reason = "the instructions are there: only `detect` makes `self`")]
        // SAFETY: as above.
        unsafe {
            square(number, modulus)
        }
    }
}

/// Returns the powers by 65537 of numbers below the modulus, each below twice that.
#[target_feature(enable = "avx512f,avx512ifma")]
fn power<const LIMBS: usize>(
    bases: &[Number<LIMBS>; LANES],
    into: &Number<LIMBS>,
    modulus: &Modulus<LIMBS>,
) -> [Number<LIMBS>; LANES] {
    let bases = Lanes::new(bases);
    let mut power = bases.multiply(&Lanes::new(&[*into; LANES]), modulus);
    for _ in 0..16 {
        power = power.square(modulus);
    }
    // The base is not in Montgomery's form, so the product is neither.
    power.multiply(&bases, modulus).numbers()
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn square<const LIMBS: usize>(number: &Number<LIMBS>, modulus: &Modulus<LIMBS>) -> Number<LIMBS> {
    Lanes::new(&[*number; LANES]).square(modulus).numbers()[0]
}

/// Returns the modulus in the DER of an RSA key, which for each of these sizes has one form.
fn modulus(der: &[u8]) -> Option<&[u8]> {
    let length = der.len().checked_sub(PREFIX.len() + EXPONENT.len())?;
    if ![256, 384, 512].contains(&length) {
        return None;
    }
    let (prefix, rest) = der.split_at(PREFIX.len());
    let (modulus, exponent) = rest.split_at(length);
    // Four lengths: of the whole, of the bit string, of the two numbers, of the modulus with its sign.
    let mut expected = PREFIX;
    for (at, behind) in [(2, 4), (21, 23), (26, 28), (30, 32)] {
        let behind = der.len() - behind - if at == 30 { EXPONENT.len() } else { 0 };
        expected[at..at + 2].copy_from_slice(&u16::try_from(behind).ok()?.to_be_bytes());
    }
    let is_usual = modulus[0] >= 128 && modulus[length - 1] % 2 == 1;
    (prefix == expected && exponent == EXPONENT && is_usual).then_some(modulus)
}

fn from_be_bytes<const LIMBS: usize>(bytes: &[u8]) -> Number<LIMBS> {
    let mut number = [0; LIMBS];
    let (mut limb, mut held, mut bits) = (0, 0u128, 0);
    // Whole words from the end: all lengths here are multiples of eight.
    for word in bytes.rchunks(8) {
        let word = word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        held |= u128::from(word) << bits;
        bits += 64;
        while bits >= LIMB_BITS && limb < LIMBS {
            number[limb] = held as u64 & LIMB;
            held >>= LIMB_BITS;
            bits -= LIMB_BITS;
            limb += 1;
        }
    }
    if limb < LIMBS {
        number[limb] = held as u64;
    }
    number
}

fn is_less<const LIMBS: usize>(a: &Number<LIMBS>, b: &Number<LIMBS>) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract<const LIMBS: usize>(a: &Number<LIMBS>, b: &Number<LIMBS>) -> Number<LIMBS> {
    let mut borrow = 0;
    array::from_fn(|at| {
        let difference = a[at].wrapping_sub(b[at]).wrapping_sub(borrow);
        borrow = difference >> 63;
        difference & LIMB
    })
}

/// Doubles a number below `modulus`, modulo that.
fn double<const LIMBS: usize>(number: &mut Number<LIMBS>, modulus: &Number<LIMBS>) {
    let mut carry = 0;
    for limb in number.iter_mut() {
        let doubled = *limb << 1 | carry;
        (*limb, carry) = (doubled & LIMB, doubled >> LIMB_BITS);
    }
    if !is_less(number, modulus) {
        *number = subtract(number, modulus);
    }
}

/// How many signatures are verified at a time.
pub(super) const LANES: usize = 8;
/// `DigestInfo` of SHA-256 up to the hash (RFC 8017 §9.2, note 1).
const SHA_256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
/// A `SubjectPublicKeyInfo` with `rsaEncryption` up to the modulus, with zeros where the lengths are.
const PREFIX: [u8; 33] = [
    0x30, 0x82, 0, 0, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0, 3, 0x82, 0, 0, 0,
    0x30, 0x82, 0, 0, 2, 0x82, 0, 0, 0,
];
const EXPONENT: [u8; 5] = [2, 3, 1, 0, 1];

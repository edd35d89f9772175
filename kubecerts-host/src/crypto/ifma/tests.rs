//! What AWS-LC and the `rsa` crate say is right.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use kubecerts_core::x509::{PublicKey, SignatureAlgorithm, SignatureVerdict, SignedMessage, verify};

use super::super::verifier;
use super::*;

const SIZES: [KeySize; 3] = [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096];

/// A fresh key, and the same in DER.
fn pair(size: KeySize) -> (RsaKeyPair, Vec<u8>) {
    let pair = RsaKeyPair::generate(size).unwrap();
    // `RSAPublicKey` is what is in the bit string.
    let key = pair.public_key().as_ref();
    let mut der = PREFIX[..24].to_vec();
    der[2..4].copy_from_slice(&u16::try_from(20 + key.len()).unwrap().to_be_bytes());
    der[21..23].copy_from_slice(&u16::try_from(1 + key.len()).unwrap().to_be_bytes());
    der.extend(key);
    (pair, der)
}

fn sign(pair: &RsaKeyPair, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// The number that is `difference` more, in as many bytes.
fn plus(number: &[u8], difference: i16) -> Vec<u8> {
    let mut number = number.to_vec();
    let mut carry = difference;
    for byte in number.iter_mut().rev() {
        let sum = i16::from(*byte) + carry;
        *byte = sum.rem_euclid(256) as u8;
        carry = sum.div_euclid(256);
    }
    number
}

fn verdicts(key: &RsaKey, signed: &[(Vec<u8>, Vec<u8>)]) -> [bool; LANES] {
    let signed: Vec<SignedMessage<'_>> =
        signed.iter().map(|(message, signature)| SignedMessage { message, signature }).collect();
    key.verify(&signed)
}

fn skipped() -> bool {
    let skipped = Instructions::detect().is_none();
    if skipped {
        #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
        {
            eprintln!("SKIPPED ifma: the processor has no AVX-512 IFMA");
        }
    }
    skipped
}

#[test]
fn verdicts_are_those_of_the_rsa_crate_in_each_lane() {
    if skipped() {
        return;
    }
    for size in SIZES {
        let (pair, der) = pair(size);
        let (key, public) = (RsaKey::new(&der).unwrap(), PublicKey::parse_der(&der).unwrap());
        let n = modulus(&der).unwrap().to_vec();
        let message = b"message".to_vec();
        let right = sign(&pair, &message);
        let mut candidates = vec![right.clone(), sign(&pair, b"other"), Vec::new(), vec![1], n.clone()];
        candidates.extend([1, 2, -1, -2].map(|difference| plus(&n, difference)));
        candidates.extend([0, 1, 2].map(|number| plus(&vec![0; n.len()], number)));
        candidates.push(vec![0xff; n.len()]);
        candidates.push([&[0], right.as_slice()].concat());
        candidates.push([right.as_slice(), &[0]].concat());
        candidates.push(right[1..].to_vec());
        candidates.push(right[..right.len() - 1].to_vec());
        candidates.extend([1, -1].map(|difference| plus(&right, difference)));
        candidates.extend((0..n.len() * 8).step_by(61).map(|bit| {
            let mut flipped = right.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        }));
        let mut valid = 0;
        for candidate in &candidates {
            let verdict = verify(&public, SignatureAlgorithm::Sha256WithRsa, &message, candidate);
            let expected = verdict == SignatureVerdict::Valid;
            valid += usize::from(expected);
            for lane in 0..LANES {
                let mut signed = vec![(message.clone(), right.clone()); LANES];
                signed[lane].1.clone_from(candidate);
                let mut all = [true; LANES];
                all[lane] = expected;
                assert_eq!(verdicts(&key, &signed), all, "{size:?}: {candidate:02x?}");
            }
        }
        assert_eq!(valid, 1);
    }
}

#[test]
fn encoding_is_that_of_pkcs_1() {
    if skipped() {
        return;
    }
    let (_, der) = pair(KeySize::Rsa2048);
    let Some(RsaKey::Bits2048(key)) = RsaKey::new(&der) else { panic!("the key has 2048 bits") };
    let mut block = vec![0xff; 256];
    block[0] = 0;
    block[1] = 1;
    block[204] = 0;
    block[205..224].copy_from_slice(&SHA_256);
    block[224..].copy_from_slice(&[7; 32]);
    assert_eq!(key.encoding(&[7; 32]), from_be_bytes(&block));
}

#[test]
fn power_is_that_of_multiplying_bit_by_bit() {
    if skipped() {
        return;
    }
    // The bases are the powers of two from 0 to 7, so the powers are reached by doubling.
    for size in SIZES {
        let (_, der) = pair(size);
        match RsaKey::new(&der).unwrap() {
            RsaKey::Bits2048(key) => check_powers(&key),
            RsaKey::Bits3072(key) => check_powers(&key),
            RsaKey::Bits4096(key) => check_powers(&key),
        }
    }
}

fn check_powers<const LIMBS: usize>(key: &Key<LIMBS>) {
    let one = array::from_fn(|at| u64::from(at == 0));
    let bases = array::from_fn(|lane| array::from_fn(|at| if at == 0 { 1 << lane } else { 0 }));
    let powers = key.instructions.power(&bases, &key.into, &key.modulus);
    let mut expected = one;
    for (lane, power) in powers.iter().enumerate() {
        assert_eq!(key.reduced(power), expected, "{lane}");
        for _ in 0..65537 {
            double(&mut expected, &key.modulus.limbs);
        }
    }
}

#[test]
fn first_wrong_signature_of_a_batch_is_found_wherever_it_is() {
    if skipped() {
        return;
    }
    let (pair, der) = pair(KeySize::Rsa2048);
    let public = PublicKey::parse_der(&der).unwrap();
    let verifier = verifier(&public, SignatureAlgorithm::Sha256WithRsa);
    let signatures: Vec<Vec<u8>> = (0..40u8).map(|number| sign(&pair, &[number])).collect();
    for size in 0..=40u8 {
        let messages: Vec<[u8; 1]> = (0..size).map(|number| [number]).collect();
        let mut signed: Vec<SignedMessage<'_>> = messages
            .iter()
            .zip(&signatures)
            .map(|(message, signature)| SignedMessage { message, signature })
            .collect();
        assert_eq!(verifier.first_invalid(&signed), None);
        for position in 0..signed.len() {
            let right = signed[position];
            signed[position].message = b"wrong";
            assert_eq!(verifier.first_invalid(&signed), Some(position), "{size}");
            let last = signed[signed.len() - 1];
            signed.last_mut().unwrap().signature = b"";
            assert_eq!(verifier.first_invalid(&signed), Some(position), "{size}");
            *signed.last_mut().unwrap() = last;
            signed[position] = right;
        }
    }
}

#[test]
fn keys_of_other_forms_are_left_to_others() {
    let (_, der) = pair(KeySize::Rsa2048);
    assert_eq!(modulus(&der).map(<[u8]>::len), Some(256));
    for at in (0..PREFIX.len()).chain(der.len() - EXPONENT.len()..der.len()) {
        let mut changed = der.clone();
        changed[at] ^= 1;
        assert_eq!(modulus(&changed), None, "{at}");
    }
    let even = [&der[..der.len() - 6], &[der[der.len() - 6] & 0xfe], &EXPONENT].concat();
    assert_eq!(modulus(&even), None);
    let short = [&der[..33], &[der[33] & 0x7f], &der[34..]].concat();
    assert_eq!(modulus(&short), None);
    for length in 0..der.len() {
        assert_eq!(modulus(&der[..length]), None);
    }
    assert_eq!(modulus(&[der.as_slice(), &[0]].concat()), None);
}

//! The public half of an RSA private key, without making the key ready to sign.
//!
//! A check reads every key of a tree and signs with none. What a signature needs beside the numbers themselves, an inverse among it, takes
//! five times as long as to see whether these belong together.

use const_oid::db::rfc5912::RSA_ENCRYPTION;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode};
use p256::elliptic_curve::bigint::{BoxedUint, ConcatenatingMul, NonZero};
use rsa::pkcs1::{RsaPrivateKeyRef, Version};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

use super::PublicKey;

/// Returns the public half of the key in `der` (PKCS#1, [RFC 8017 §A.1.2]) when its numbers belong together.
///
/// `None` does not mean that the key is wrong: it may also be unusual. Whoever wants to know parses it as a whole. What is accepted
/// here is accepted there too.
///
/// [RFC 8017 §A.1.2]: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.2
pub(super) fn public_half(der: &[u8]) -> Option<PublicKey> {
    let key = RsaPrivateKeyRef::from_der(der).ok()?;
    let modulus = key.modulus.as_bytes();
    let is_usual = key.version() == Version::TwoPrime
        && SIZES.contains(&modulus.len())
        && modulus.first().is_some_and(|first| *first >= 0x80)
        && modulus.last().is_some_and(|last| last % 2 == 1)
        && key.public_exponent.as_bytes() == EXPONENT;
    if !is_usual {
        return None;
    }
    let bits = u32::try_from(modulus.len()).ok()? * 8;
    let number = |bytes: &[u8], bits| BoxedUint::from_be_slice(bytes, bits).ok().map(Zeroizing::new);
    let n = BoxedUint::from_be_slice(modulus, bits).ok()?;
    let e = BoxedUint::from_be_slice(EXPONENT, 64).ok()?;
    let d = number(key.private_exponent.as_bytes(), bits)?;
    let p = number(key.prime1.as_bytes(), bits / 2)?;
    let q = number(key.prime2.as_bytes(), bits / 2)?;
    if *d >= n || *Zeroizing::new(p.concatenating_mul(&*q)) != n {
        return None;
    }
    // e·d = 1 modulo p - 1 and q - 1 (RFC 8017 §3.2).
    let product = Zeroizing::new(d.concatenating_mul(&e));
    for prime in [p, q] {
        let below = Zeroizing::new(NonZero::new(prime.wrapping_sub(BoxedUint::one())).into_option()?);
        if !bool::from(Zeroizing::new(product.rem(&*below)).is_one()) {
            return None;
        }
    }
    // An `rsa::RsaPublicKey` would be made ready for arithmetic first.
    let public = key.public_key().to_der().ok()?;
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) },
        subject_public_key: BitStringRef::from_bytes(&public).ok()?,
    };
    PublicKey::parse_der(&info.to_der().ok()?).ok()
}

/// Bytes of the modulus of the keys that kubeadm makes: 2048, 3072 and 4096 bits.
pub(super) const SIZES: [usize; 3] = [256, 384, 512];

/// 65537, as nearly every key has it.
pub(super) const EXPONENT: &[u8] = &[1, 0, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::x509::{PrivateKey, decode_blocks};

    use super::*;

    const KEY: &[u8] =
        include_bytes!("../../testkit/fixtures/kubeadm-v136-rsa2048/etc/kubernetes/pki/apiserver.key");

    fn der() -> Vec<u8> {
        decode_blocks(KEY).remove(0).unwrap().secret_bytes().to_vec()
    }

    #[test]
    fn the_public_half_is_that_of_the_whole_key() {
        assert_eq!(public_half(&der()), Some(PrivateKey::parse(KEY).unwrap().public_key()));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_a_key(at in 0..1190_usize, bit in 0..8, cut in 0..4_usize) {
            let mut damaged = der();
            let length = damaged.len();
            damaged[at % length] ^= 1_u8 << bit;
            damaged.truncate(length - cut / 3);
            if let Some(public) = public_half(&damaged) {
                prop_assert_eq!(PrivateKey::parse_der(&damaged).map(|key| key.public_key()), Ok(public));
            }
        }
    }
}

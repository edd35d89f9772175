//! What the `p256` crate says is right.

use ::p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ::p256::ecdsa::{Signature, VerifyingKey};
use ::p256::elliptic_curve::ops::Reduce as _;
use ::p256::elliptic_curve::point::AffineCoordinates as _;
use ::p256::{FieldBytes, ProjectivePoint};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::limbs::{Limbs, to_be_bytes};
use super::super::scalar::N;
use super::super::tests::{less_by, limbs_below, scalar_of, secret, signing_key};
use super::*;

fn key(secret: &Limbs) -> (SecretKey, VerifyingKey) {
    let public = *signing_key(secret).verifying_key();
    (SecretKey::new(Zeroizing::new(to_be_bytes(secret))), public)
}

fn signatures(sign: impl FnOnce(&mut dyn FnMut(Option<&[u8]>))) -> Vec<Option<Vec<u8>>> {
    let mut signatures = Vec::new();
    sign(&mut |signature| signatures.push(signature.map(<[u8]>::to_vec)));
    signatures
}

fn is_by(key: &VerifyingKey, hash: &[u8], signature: &[u8]) -> bool {
    Signature::from_der(signature).is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

fn modulo_order(number: &[u8]) -> ::p256::Scalar {
    ::p256::Scalar::reduce(&FieldBytes::try_from(number).unwrap())
}

/// Nonces at which digits and carries are at their ends, and any others.
fn nonce() -> impl Strategy<Value = Limbs> {
    prop_oneof![
        (1u64..200).prop_map(|number| [number, 0, 0, 0]),
        (1u64..200).prop_map(|number| less_by(&N, number)),
        (0usize..255).prop_map(|bit| std::array::from_fn(|at| if at == bit / 64 {
            1 << (bit % 64)
        } else {
            0
        })),
        limbs_below(N).prop_filter("a nonce is not zero", |number| *number != [0; 4]),
    ]
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        Just([0; 32]),
        Just([0xff; 32]),
        Just(to_be_bytes(&N)),
        Just(to_be_bytes(&less_by(&N, 1))),
        any::<[u8; 32]>()
    ]
}

proptest! {
    #[test]
    fn signatures_are_valid_and_in_their_order(
        secret in secret(),
        messages in vec((hash(), any::<[u8; 32]>()), 1..=BATCH),
    ) {
        let (own, public) = key(&secret);
        let (hashes, random): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let signatures = signatures(|give| own.sign(&hashes, &random, give));
        prop_assert_eq!(signatures.len(), hashes.len());
        for (hash, signature) in hashes.iter().zip(&signatures) {
            prop_assert!(is_by(&public, hash, signature.as_ref().unwrap()));
        }
    }

    #[test]
    fn numbers_are_those_of_p256_for_the_same_nonce(
        secret in secret(),
        messages in vec((hash(), nonce()), 1..8),
    ) {
        let (own, _) = key(&secret);
        let (hashes, nonces): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let scalars: Vec<Scalar> = nonces.iter().map(Scalar::new).collect();
        let signatures = signatures(|give| own.sign_with(&scalars, &hashes, give));
        for ((hash, nonce), signature) in hashes.iter().zip(&nonces).zip(&signatures) {
            let nonce = scalar_of(nonce);
            let r = modulo_order(&(ProjectivePoint::GENERATOR * nonce).to_affine().x());
            let s = nonce.invert().unwrap() * (modulo_order(hash) + r * scalar_of(&secret));
            // No signature where one of the numbers is zero.
            let expected = Signature::from_scalars(r, s).ok();
            let expected = expected.map(|signature| signature.to_der().as_bytes().to_vec());
            prop_assert_eq!(signature, &expected);
        }
    }

    #[test]
    fn encoding_is_that_of_p256_and_is_read_again(numbers in [nonce(), nonce()]) {
        let numbers = numbers.map(|number| to_be_bytes(&number));
        let encoded = der::encode(numbers);
        let [r, s] = numbers;
        let expected = Signature::from_scalars(r, s).unwrap().to_der();
        prop_assert_eq!(&*encoded, expected.as_bytes());
        prop_assert_eq!(der::decode(&encoded), Some(numbers));
    }

    #[test]
    fn nonces_are_the_whole_hash_modulo_the_order(bytes in any::<[u8; 64]>()) {
        let half = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().unwrap() };
        let numbers = [half(0), half(32)];
        let [high, low] = numbers.map(|number| modulo_order(&number));
        let [own_high, own_low] = numbers.map(|number| limbs::from_be_bytes(&number));
        let two_to_256 = (0..256).fold(::p256::Scalar::ONE, |power, _| power.double());
        prop_assert_eq!(scalar_of(&Scalar::of_halves(&own_low, &own_high).value()), low + high * two_to_256);
    }
}

#[test]
fn example_of_rfc_6979_comes_out() {
    // Appendix A.2.5, SHA-256, "sample".
    let [secret, hash, nonce, r, s] = [
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        "AF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF",
        "A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60",
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    ]
    .map(|text| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap())
    });
    let own = SecretKey::new(Zeroizing::new(secret));
    let nonce = Scalar::new(&limbs::from_be_bytes(&nonce));
    let signatures = signatures(|give| own.sign_with(&[nonce], &[hash], give));
    assert_eq!(signatures, [Some(der::encode([r, s]).to_vec())]);
}

#[test]
fn nonces_differ_by_each_of_their_three_sources() {
    let (first, second) = (key(&[1, 2, 3, 4]).0, key(&[1, 2, 3, 5]).0);
    let nonce = first.nonce(&[1; 32], &[1; 32]);
    assert_eq!(nonce, first.nonce(&[1; 32], &[1; 32]));
    for other in
        [second.nonce(&[1; 32], &[1; 32]), first.nonce(&[2; 32], &[1; 32]), first.nonce(&[1; 32], &[2; 32])]
    {
        assert_ne!(nonce, other);
    }
}

#[test]
fn a_zero_among_the_nonces_leads_to_no_signature_at_all() {
    let (own, _) = key(&[7, 0, 0, 0]);
    let nonces = [[1, 0, 0, 0], [0; 4], [5, 0, 0, 0]].map(|number| Scalar::new(&number));
    assert_eq!(signatures(|give| own.sign_with(&nonces, &[[9; 32]; 3], give)), [None, None, None]);
}

#[test]
fn wrong_points_and_wrong_inverses_lead_to_no_signature() {
    let secret = Scalar::new(&[7, 0, 0, 0]);
    let nonce = Scalar::new(&[3, 0, 0, 0]);
    let point = multiples(&[nonce])[0];
    let mut inverse = [nonce];
    scalar::invert_secrets(&mut inverse, &mut Vec::new());
    let [inverse] = inverse;
    let try_with = |inverse: &Scalar, point: &Affine| signature(&secret, &[9; 32], &nonce, inverse, point);
    assert!(try_with(&inverse, &point).is_some());
    assert!(try_with(&nonce, &point).is_none());
    assert!(try_with(&inverse, &Affine { x: point.y, y: point.x }).is_none());
    // A hash whose `s` is zero: the negative of `r` times the key.
    let r = Scalar::new(&point.x.value());
    let product = r.multiply(&secret).value();
    let hash = to_be_bytes(&limbs::subtract(&N, &product).0);
    assert!(signature(&secret, &hash, &nonce, &inverse, &point).is_none());
}

//! What the `p256` crate says is right.

use ::p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use ::p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use ::p256::elliptic_curve::PrimeField as _;
use ::p256::elliptic_curve::sec1::ToSec1Point as _;
use ::p256::{FieldBytes, ProjectivePoint};
use proptest::collection::vec;
use proptest::prelude::*;

use super::limbs::to_be_bytes;
use super::point::Jacobian;
use super::scalar::{N, Scalar};
use super::single::Prepared;
use super::tables::{Multiples, OddDigits, WINDOWS};
use super::*;

/// The prime of the field.
const P: Limbs = [u64::MAX, 0xffff_ffff, 0, 0xffff_ffff_0000_0001];

fn small(number: u64) -> Limbs {
    [number, 0, 0, 0]
}

pub(super) fn less_by(modulus: &Limbs, number: u64) -> Limbs {
    limbs::subtract(modulus, &small(number)).0
}

/// Numbers at which carries, borrows and reductions happen, and any others.
pub(super) fn limbs_below(modulus: Limbs) -> impl Strategy<Value = Limbs> {
    let limb = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(0xffff_ffff),
        Just(0xffff_ffff_0000_0000),
        any::<u64>()
    ];
    prop_oneof![
        [limb.clone(), limb.clone(), limb.clone(), limb],
        (0u64..5).prop_map(small),
        (1u64..5).prop_map(move |number| less_by(&modulus, number)),
    ]
    .prop_map(move |number| limbs::subtract_once(&number, 0, &modulus))
}

/// Multiplies bit by bit.
fn slow_product(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let mut product = [0; 4];
    for limb in a.iter().rev() {
        for bit in (0..64).rev() {
            product = limbs::add_modulo(&product, &product, modulus);
            if limb >> bit & 1 == 1 {
                product = limbs::add_modulo(&product, b, modulus);
            }
        }
    }
    product
}

pub(super) fn scalar_of(number: &Limbs) -> ::p256::Scalar {
    ::p256::Scalar::from_repr(to_be_bytes(number).into()).expect("the number is below the order")
}

fn affine(point: ProjectivePoint) -> Affine {
    let point = point.to_affine().to_sec1_point(false);
    let coordinate = |bytes: &[u8]| Field::new(&limbs::from_be_bytes(bytes.try_into().unwrap())).unwrap();
    Affine { x: coordinate(point.x().unwrap()), y: coordinate(point.y().unwrap()) }
}

fn is_same(point: &Jacobian, expected: ProjectivePoint) -> bool {
    if point.is_infinity() || expected == ProjectivePoint::IDENTITY {
        return point.is_infinity() && expected == ProjectivePoint::IDENTITY;
    }
    let Affine { x, y } = affine(expected);
    let zz = point.z.square();
    x.multiply(&zz) == point.x && y.multiply(&zz).multiply(&point.z) == point.y
}

proptest! {
    #[test]
    fn field_is_arithmetic_modulo_p(a in limbs_below(P), b in limbs_below(P)) {
        let (x, y) = (Field::new(&a).unwrap(), Field::new(&b).unwrap());
        prop_assert_eq!(x.value(), a);
        prop_assert_eq!(x.add(&y).value(), limbs::add_modulo(&a, &b, &P));
        prop_assert_eq!(x.subtract(&y).value(), limbs::subtract_modulo(&a, &b, &P));
        prop_assert_eq!(x.subtract(&y).add(&y), x);
        prop_assert_eq!(x.add(&x.negate()), Field::ZERO);
        prop_assert_eq!([x.negate_if(false), x.negate_if(true)], [x, x.negate()]);
        prop_assert_eq!(x.multiply(&y).value(), slow_product(&a, &b, &P));
        prop_assert_eq!(x.square(), x.multiply(&x));
        let inverse = x.invert();
        prop_assert_eq!(x.multiply(&inverse), if x.is_zero() { Field::ZERO } else { Field::ONE });
    }

    #[test]
    fn scalars_are_arithmetic_modulo_n(a in limbs_below(N), b in limbs_below(N)) {
        let (x, y) = (Scalar::new(&a), Scalar::new(&b));
        prop_assert_eq!(x.value(), a);
        prop_assert_eq!(x.multiply(&y).value(), slow_product(&a, &b, &N));
        let inverse = scalar_of(&a).invert();
        let inverse = Option::<::p256::Scalar>::from(inverse).unwrap_or_default();
        prop_assert_eq!(to_be_bytes(&x.invert().value()), <[u8; 32]>::from(inverse.to_repr()));
    }

    #[test]
    fn numbers_from_the_order_on_are_reduced(excess in 0u64..1000) {
        prop_assert_eq!(Scalar::new(&limbs::add(&N, &small(excess)).0).value(), small(excess));
        prop_assert_eq!(Field::new(&limbs::add(&P, &small(excess)).0), None);
    }

    #[test]
    fn many_are_inverted_as_each_alone(numbers in vec(limbs_below(P), 0..20), scalars in vec(limbs_below(N), 0..20)) {
        let fields: Vec<Field> = numbers.iter().map(Field::reduced).filter(|field| !field.is_zero()).collect();
        let mut inverted = fields.clone();
        field::invert_all(&mut inverted, &mut Vec::new());
        prop_assert_eq!(inverted, fields.iter().map(Field::invert).collect::<Vec<_>>());
        let scalars: Vec<Scalar> = scalars.iter().filter(|number| **number != [0; 4]).map(Scalar::new).collect();
        let mut inverted = scalars.clone();
        scalar::invert_all(&mut inverted, &mut Vec::new());
        prop_assert_eq!(inverted, scalars.iter().map(Scalar::invert).collect::<Vec<_>>());
    }

    #[test]
    fn points_add_up(a in 1u64..6, b in 1u64..6, c in limbs_below(N), negative: bool) {
        let at = |number: u64| ProjectivePoint::GENERATOR * scalar_of(&small(number));
        let mut first = ProjectivePoint::GENERATOR * scalar_of(&c);
        for second in [at(a), at(b), -at(a)] {
            if first != ProjectivePoint::IDENTITY {
                let (own, other) = (Jacobian::from_affine(&affine(first)), affine(second));
                // With another denominator than one.
                let scaled = own.double().add(&own.negate());
                let other = if negative { other.negate() } else { other };
                let second = if negative { -second } else { second };
                prop_assert!(is_same(&scaled, first));
                prop_assert!(is_same(&scaled.double(), first + first));
                prop_assert!(is_same(&scaled.add_affine(&other), first + second));
                prop_assert!(is_same(&scaled.add(&Jacobian::from_affine(&other)), first + second));
                prop_assert!(is_same(&scaled.add(&scaled.negate()), ProjectivePoint::IDENTITY));
                prop_assert!(is_same(&Jacobian::INFINITY.add(&scaled), first));
                prop_assert!(is_same(&scaled.add(&Jacobian::INFINITY), first));
            }
            first = second;
        }
        prop_assert!(Jacobian::INFINITY.double().is_infinity());
    }

    #[test]
    fn digits_add_up_to_their_number(number in limbs_below(N), key in 1u64..20) {
        let point = ProjectivePoint::GENERATOR * scalar_of(&small(key));
        let (digits, multiples) = (OddDigits::new(&number), Multiples::new(&affine(point)));
        let sum = (0..WINDOWS).fold(Jacobian::INFINITY, |sum, window| sum.add_affine(&multiples.select(window, &digits)));
        prop_assert!(is_same(&sum, point * scalar_of(&number)));
    }

    #[test]
    fn two_multiples_add_up(u1 in limbs_below(N), u2 in limbs_below(N), key in 1u64..20) {
        let point = ProjectivePoint::GENERATOR * scalar_of(&small(key));
        let expected = ProjectivePoint::GENERATOR * scalar_of(&u1) + point * scalar_of(&u2);
        prop_assert!(is_same(&Prepared::<1>::new(&affine(point)).multiply_two(&u1, &u2), expected));
        prop_assert!(is_same(&Prepared::<4>::new(&affine(point)).multiply_two(&u1, &u2), expected));
    }

    #[test]
    fn verdicts_are_those_of_p256(case in case()) {
        let Case { key, hash, signature } = &case;
        let expected = reference(key, hash, signature);
        let own = Key::new(&key.into()).unwrap();
        prop_assert_eq!(own.verify(hash, signature), expected);
        let several = FixedKey::new(own).first_invalid([(hash, signature); 3].into_iter());
        prop_assert_eq!(several, (!expected).then_some(0));
        prop_assert_eq!(by_tables(key, [(hash, signature)]), (!expected).then_some(0));
    }
}

#[derive(Clone, Debug)]
struct Case {
    key: VerifyingKey,
    hash: Vec<u8>,
    signature: Vec<u8>,
}

/// Keys of which small multiples meet those of the base point, and any others.
pub(super) fn secret() -> impl Strategy<Value = Limbs> {
    prop_oneof![
        (1u64..300).prop_map(small),
        (1u64..300).prop_map(|number| less_by(&N, number)),
        (0u32..255).prop_map(|bit| {
            let mut number = [0; 4];
            number[bit as usize / 64] = 1 << (bit % 64);
            number
        }),
        limbs_below(N).prop_filter("a key is not zero", |number| *number != [0; 4]),
    ]
}

pub(super) fn signing_key(secret: &Limbs) -> SigningKey {
    SigningKey::from_slice(&to_be_bytes(secret)).expect("the number is in the range of keys")
}

fn hash() -> impl Strategy<Value = Vec<u8>> {
    let exact = prop_oneof![
        Just([0; 32]),
        Just(to_be_bytes(&N)),
        Just(to_be_bytes(&less_by(&N, 1))),
        Just(to_be_bytes(&limbs::add(&N, &small(1)).0)),
        Just([0xff; 32]),
        any::<[u8; 32]>(),
    ];
    (exact, prop_oneof![Just(0usize), Just(16), Just(32)])
        .prop_map(|(hash, more)| [&hash[..], &vec![7; more]].concat())
}

fn case() -> impl Strategy<Value = Case> {
    let edge = || {
        prop_oneof![
            Just([0; 4]),
            (1u64..4).prop_map(small),
            (0u64..4).prop_map(|number| less_by(&N, number)),
            (1u64..4).prop_map(|number| limbs::add(&N, &small(number)).0),
            Just([u64::MAX; 4]),
            any::<[u64; 4]>(),
        ]
    };
    let tampering = prop_oneof![
        3 => Just(Tampering::None),
        1 => Just(Tampering::NegateS),
        1 => (0usize..256).prop_map(Tampering::FlipR),
        1 => (0usize..256).prop_map(Tampering::FlipS),
        1 => (0usize..256).prop_map(Tampering::FlipHash),
        1 => secret().prop_map(Tampering::OtherKey),
        2 => (edge(), edge()).prop_map(|(r, s)| Tampering::Numbers(r, s)),
        2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Tampering::Byte(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Tampering::Cut),
        1 => any::<u8>().prop_map(Tampering::Append),
    ];
    (secret(), hash(), tampering).prop_map(|(secret, mut hash, tampering)| {
        let key = signing_key(&secret);
        let signature: Signature = key.sign_prehash(&hash).unwrap();
        let (mut r, mut s): ([u8; 32], [u8; 32]) = {
            let (r, s) = signature.split_bytes();
            (r.into(), s.into())
        };
        let mut key = *key.verifying_key();
        let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
        match &tampering {
            Tampering::NegateS => s = to_be_bytes(&limbs::subtract(&N, &limbs::from_be_bytes(&s)).0),
            Tampering::FlipR(bit) => flip(&mut r, *bit),
            Tampering::FlipS(bit) => flip(&mut s, *bit),
            Tampering::FlipHash(bit) => flip(&mut hash, *bit),
            Tampering::OtherKey(other) => key = *signing_key(other).verifying_key(),
            Tampering::Numbers(other_r, other_s) => (r, s) = (to_be_bytes(other_r), to_be_bytes(other_s)),
            _ => {}
        }
        let mut signature = der(&r, &s);
        match tampering {
            Tampering::Byte(at, byte) => {
                let at = at.index(signature.len());
                signature[at] = byte;
            }
            Tampering::Cut(at) => signature.truncate(at.index(signature.len())),
            Tampering::Append(byte) => signature.push(byte),
            _ => {}
        }
        Case { key, hash, signature }
    })
}

#[derive(Clone, Debug)]
enum Tampering {
    None,
    NegateS,
    FlipR(usize),
    FlipS(usize),
    FlipHash(usize),
    OtherKey(Limbs),
    Numbers(Limbs, Limbs),
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(u8),
}

/// Encodes two numbers whatever they are.
fn der(r: &[u8; 32], s: &[u8; 32]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(31);
        let bytes = &bytes[zeros..];
        let sign: &[u8] = if bytes[0] >= 128 { &[0] } else { &[] };
        [&[2, (sign.len() + bytes.len()) as u8], sign, bytes].concat()
    };
    let numbers = [number(r), number(s)].concat();
    [&[0x30, numbers.len() as u8], numbers.as_slice()].concat()
}

fn reference(key: &VerifyingKey, hash: &[u8], signature: &[u8]) -> bool {
    Signature::from_der(signature).is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

fn with_tables(key: &VerifyingKey) -> FixedKey {
    let key = FixedKey::new(Key::new(&key.into()).unwrap());
    key.seen.store(WORTH_TABLES, Ordering::Relaxed);
    key
}

fn by_tables<H: AsRef<[u8]>, S: AsRef<[u8]>, const COUNT: usize>(
    key: &VerifyingKey,
    signed: [(H, S); COUNT],
) -> Option<usize> {
    with_tables(key).first_invalid(signed.into_iter())
}

#[test]
fn example_of_rfc_6979_is_valid() {
    // Appendix A.2.5, SHA-256, "sample".
    let hex = |text: &str| -> [u8; 32] {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    };
    let point = Affine {
        x: Field::reduced(&limbs::from_be_bytes(&hex(
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
        ))),
        y: Field::reduced(&limbs::from_be_bytes(&hex(
            "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
        ))),
    };
    let hash = hex("AF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF");
    let signature = der(
        &hex("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"),
        &hex("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"),
    );
    assert!(point.is_on_curve());
    assert!(Key(point).verify(&hash, &signature));
    assert!(!Key(point.negate()).verify(&hash, &signature));
}

#[test]
fn signatures_are_read_as_strictly_as_by_p256() {
    let numbers =
        [small(0), small(1), small(127), small(128), [0, 0, 0, 1 << 63], [1, 2, 3, 4], less_by(&N, 1), N];
    for (r, s) in numbers.iter().flat_map(|r| numbers.iter().map(move |s| (r, s))) {
        let right = der(&to_be_bytes(r), &to_be_bytes(s));
        let mut candidates = vec![right.clone(), [&right[..], &[0]].concat()];
        candidates.extend((0..right.len()).map(|length| right[..length].to_vec()));
        for (at, byte) in (0..right.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
            let mut changed = right.clone();
            changed[at] = byte;
            candidates.push(changed);
        }
        // A zero more at the front of a number, and lengths in two bytes.
        let mut zero = right.clone();
        zero.insert(4, 0);
        (zero[1], zero[3]) = (zero[1] + 1, zero[3] + 1);
        candidates.push(zero);
        candidates.push([&[0x30, 0x81], &right[1..]].concat());
        let mut long = [&right[..3], &[0x81], &right[3..]].concat();
        long[1] += 1;
        candidates.push(long);
        for candidate in candidates {
            let expected = Signature::from_der(&candidate).ok().map(|signature| {
                let (r, s) = signature.split_bytes();
                (limbs::from_be_bytes(&r.into()), limbs::from_be_bytes(&s.into()))
            });
            let read = Checked::new(&[0; 32], &candidate).map(|Checked { r, s, .. }| (r, s));
            assert_eq!(read, expected, "{candidate:02x?}");
        }
    }
}

#[test]
fn constants_are_those_of_the_curve() {
    assert!(Affine::GENERATOR.is_on_curve());
    assert_eq!(affine(ProjectivePoint::GENERATOR), Affine::GENERATOR);
    assert!(!Affine { x: Affine::GENERATOR.x, y: Field::ONE }.is_on_curve());
    assert_eq!(FieldBytes::from(to_be_bytes(&less_by(&N, 1))), (-::p256::Scalar::ONE).to_repr());
}

/// The signature whose `u1 * G + u2 * Q` is `k * G` by construction, whatever the hash: so the parts can be made to meet.
#[test]
fn sums_that_meet_are_no_exception_to_the_verdict() {
    // With the key d and u1 = u2 * d the two halves are the same point; with u1 = -u2 * d they cancel out.
    for secret in [small(1), small(2), small(3), small(255), less_by(&N, 1), less_by(&N, 2), [1, 2, 3, 4]] {
        let key = *signing_key(&secret).verifying_key();
        let d = scalar_of(&secret);
        for number in 1u64..20 {
            let u2 = scalar_of(&[number, number, 0, number]);
            for (u1, cancels) in
                [(u2 * d, false), (-(u2 * d), true), (::p256::Scalar::ZERO, false), (u2, false)]
            {
                // r = x(u1 * G + u2 * Q), s = r / u2, e = u1 * s. Where the sum is infinity there is no r: any will do.
                let sum = ProjectivePoint::GENERATOR * (u1 + u2 * d);
                if (sum == ProjectivePoint::IDENTITY) != cancels {
                    continue;
                }
                let r = if cancels {
                    scalar_of(&small(7))
                } else {
                    let x = sum.to_affine().to_sec1_point(false);
                    let x = limbs::from_be_bytes(x.x().unwrap()[..].try_into().unwrap());
                    scalar_of(&limbs::subtract_once(&x, 0, &N))
                };
                let s = r * u2.invert().unwrap();
                let hash: [u8; 32] = (u1 * s).to_repr().into();
                let signature = der(&r.to_repr().into(), &s.to_repr().into());
                let expected = reference(&key, &hash, &signature);
                assert_eq!(expected, !cancels);
                assert_eq!(Key::new(&(&key).into()).unwrap().verify(&hash, &signature), expected);
                assert_eq!(by_tables(&key, [(hash, signature)]), (!expected).then_some(0));
            }
        }
    }
}

#[test]
fn first_wrong_signature_of_a_batch_is_found_wherever_it_is() {
    let key = signing_key(&[5, 6, 7, 8]);
    let signed: Vec<([u8; 32], Vec<u8>)> = (0..257u64)
        .map(|number| {
            let hash = to_be_bytes(&[number, 1, number, 2]);
            let signature: Signature = key.sign_prehash(&hash).unwrap();
            (hash, signature.to_der().as_bytes().to_vec())
        })
        .collect();
    let fixed = with_tables(key.verifying_key());
    for size in [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 127, 128, 255, 256, 257] {
        let mut signed = signed[..size].to_vec();
        let verdict =
            |signed: &[([u8; 32], Vec<u8>)]| fixed.first_invalid(signed.iter().map(|(h, s)| (h, s)));
        assert_eq!(verdict(&signed), None);
        // Everywhere in a chunk, and at some places and the end of more of them.
        for position in (0..size).filter(|position| size <= 65 || position % 31 == 0 || position + 2 > size) {
            let right = signed[position].clone();
            // Not that message; malformed; and one of each kind behind it.
            signed[position].0[31] ^= 1;
            assert_eq!(verdict(&signed), Some(position), "{size}");
            let last = signed[size - 1].clone();
            signed[size - 1].1.pop();
            assert_eq!(verdict(&signed), Some(position), "{size}");
            signed[size - 1] = last;
            signed[position] = right.clone();
            signed[position].1[0] = 0x31;
            assert_eq!(verdict(&signed), Some(position), "{size}");
            signed[position] = right;
        }
    }
}

#[test]
fn tables_and_no_tables_agree() {
    let key = signing_key(&[9, 9, 9, 9]);
    let hash = [3; 32];
    let signature: Signature = key.sign_prehash(&hash).unwrap();
    let signature = signature.to_der();
    let fixed = FixedKey::new(Key::new(&key.verifying_key().into()).unwrap());
    for _ in 0..WORTH_TABLES + 2 {
        assert_eq!(fixed.first_invalid([(&hash, &signature), (&hash, &signature)].into_iter()), None);
        assert_eq!(fixed.first_invalid([(&hash, &signature), (&[4; 32], &signature)].into_iter()), Some(1));
    }
    assert!(fixed.tabled.get().is_some());
}

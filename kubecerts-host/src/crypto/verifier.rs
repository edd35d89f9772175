//! Who verifies the signatures of an authority.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use kubecerts_core::x509::{FixedKey, KeyType, PublicKey, SignatureAlgorithm, SignedMessage, Verifier};

#[cfg(target_arch = "x86_64")]
use super::ifma;

/// Returns who verifies signatures that `key` is to have made with `algorithm`, many of them and on one thread.
#[must_use]
pub fn verifier(key: &PublicKey, algorithm: SignatureAlgorithm) -> Box<dyn Verifier + Send + Sync> {
    match (key.key_type(), algorithm) {
        // Other sizes are few, and AWS-LC has none below.
        (KeyType::Rsa { bits: 2048..=4096 }, SignatureAlgorithm::Sha256WithRsa) => {
            Parsed::new(&RSA_PKCS1_2048_8192_SHA256, key).map(|parsed| eight_at_a_time(parsed, key))
        }
        (KeyType::EcdsaP384, SignatureAlgorithm::EcdsaWithSha384) => {
            Parsed::new(&ECDSA_P384_SHA384_ASN1, key).map(|parsed| Box::new(parsed) as Box<_>)
        }
        // The core's own arithmetic with tables of the key is the fastest for P-256.
        _ => None,
    }
    .unwrap_or_else(|| Box::new(FixedKey::new(key, algorithm)))
}

#[cfg(target_arch = "x86_64")]
fn eight_at_a_time(parsed: Parsed, key: &PublicKey) -> Box<dyn Verifier + Send + Sync> {
    match ifma::RsaKey::new(key.as_der()) {
        Some(lanes) => Box::new(EightAtATime { lanes, parsed }),
        None => Box::new(parsed),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn eight_at_a_time(parsed: Parsed, _: &PublicKey) -> Box<dyn Verifier + Send + Sync> {
    Box::new(parsed)
}

/// A key that AWS-LC has parsed.
struct Parsed(ParsedPublicKey);

impl Parsed {
    fn new(algorithm: &'static dyn VerificationAlgorithm, key: &PublicKey) -> Option<Self> {
        ParsedPublicKey::new(algorithm, key.as_der()).ok().map(Self)
    }
}

impl Verifier for Parsed {
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize> {
        signed
            .iter()
            .position(|SignedMessage { message, signature }| self.0.verify_sig(message, signature).is_err())
    }
}

/// An RSA key whose signatures are verified eight at a time, and a single one by AWS-LC.
#[cfg(target_arch = "x86_64")]
struct EightAtATime {
    lanes: ifma::RsaKey,
    parsed: Parsed,
}

#[cfg(target_arch = "x86_64")]
impl Verifier for EightAtATime {
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize> {
        signed.chunks(ifma::LANES).enumerate().find_map(|(chunk, signed)| {
            // Eight lanes take as long as two signatures by AWS-LC, however many of them are in use.
            let invalid = if signed.len() > 2 {
                let valid = self.lanes.verify(signed);
                valid[..signed.len()].iter().position(|valid| !valid)
            } else {
                self.parsed.first_invalid(signed)
            };
            Some(chunk * ifma::LANES + invalid?)
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use kubecerts_core::x509::{SignatureVerdict, verify};

    use super::*;

    /// A point of P-384 as a `SubjectPublicKeyInfo`.
    fn p384_key(point: &[u8]) -> PublicKey {
        let prefix = [
            0x30, 0x76, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22,
            3, 0x62, 0,
        ];
        PublicKey::parse_der(&[&prefix, point].concat()).unwrap()
    }

    #[test]
    fn signatures_on_p384_are_verified_as_the_core_does() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let key = p384_key(pair.public_key().as_ref());
        let verifier = verifier(&key, SignatureAlgorithm::EcdsaWithSha384);
        let right = pair.sign(&SystemRandom::new(), b"right").unwrap();
        for (message, signature) in [
            (b"right", right.as_ref()),
            (b"wrong", right.as_ref()),
            (b"right", &right.as_ref()[1..]),
            (b"right", b""),
        ] {
            let expected = verify(&key, SignatureAlgorithm::EcdsaWithSha384, message, signature);
            let invalid = verifier.first_invalid(&[SignedMessage { message, signature }]);
            assert_eq!(invalid.is_none(), expected == SignatureVerdict::Valid);
        }
    }

    #[test]
    fn key_and_algorithm_that_do_not_go_together_verify_nothing() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let key = p384_key(pair.public_key().as_ref());
        let signature = pair.sign(&SystemRandom::new(), b"right").unwrap();
        let signed = [SignedMessage { message: b"right", signature: signature.as_ref() }];
        assert_eq!(verifier(&key, SignatureAlgorithm::Sha256WithRsa).first_invalid(&signed), Some(0));
        assert_eq!(verifier(&key, SignatureAlgorithm::EcdsaWithSha256).first_invalid(&signed), Some(0));
    }
}

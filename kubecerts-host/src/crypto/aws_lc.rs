//! Keys and signatures by AWS-LC.

use std::collections::VecDeque;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use kubecerts_core::issue::{
    KeyReply, KeyRequest, KeySource, RustCrypto, Signature, Signatures, Signer, SigningRequest,
};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::{KeyAlgorithm, KeyType, PrivateKey, PublicKey};

use super::{KeyMaker, rsa_keys};
use crate::SystemEntropy;

/// Keys and signatures by AWS-LC, and RSA keys by Graviola where the processor has what that needs.
///
/// ECDSA nonces and the blinding of RSA are AWS-LC's own. A key is handed to AWS-LC once: up to 64 keys of issuers stay
/// there until the provider is dropped or others push them out, and are wiped by AWS-LC then. What it refuses, such as an RSA
/// key of less than 2048 bits, the core's [`RustCrypto`] signs, so that there is no tree that one provider renews and the
/// other does not.
///
/// It works on the thread that calls it. Any number of threads may.
#[derive(Default)]
pub struct AwsLc {
    keys: Mutex<VecDeque<(PublicKey, Arc<Key>)>>,
}

impl AwsLc {
    /// Returns a provider that holds no key yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs each request and gives the signature, which is there during the call only.
    fn sign_each(
        &self,
        requests: &[SigningRequest<'_>],
        mut give: impl FnMut(&[u8]),
    ) -> Result<(), ProviderError> {
        let mut last: Option<(&PrivateKey, Arc<Key>)> = None;
        for request in requests {
            let held = request.held_key()?;
            let key = match &last {
                Some((of, key)) if ptr::eq(*of, held) => key,
                _ => &last.insert((held, self.key(request, held))).1,
            };
            key.sign(request, &mut give)?;
        }
        Ok(())
    }

    /// Returns the key of `request` in AWS-LC's form.
    fn key(&self, request: &SigningRequest<'_>, held: &PrivateKey) -> Arc<Key> {
        let public = request.issuer.public_key;
        // A panic of another holder of the lock leaves no state that could be wrong.
        let lock = || self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |keys: &VecDeque<(PublicKey, Arc<Key>)>| {
            keys.iter().rev().find(|(of, _)| of == public).map(|(_, key)| Arc::clone(key))
        };
        if let Some(key) = find(&lock()) {
            return key;
        }
        // Parsed outside the lock, so that other threads go on. Two may do it at the same time, which is no harm.
        let key = Arc::new(Key::parse(held, public));
        let mut keys = lock();
        if keys.len() == CACHED {
            keys.pop_front();
        }
        keys.push_back((public.clone(), Arc::clone(&key)));
        key
    }
}

impl KeyMaker for AwsLc {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        let fail = |reason: &str| ProviderError::new(format!("{}: {reason}", request.slot));
        match request.algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa_key(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa_key(&ECDSA_P384_SHA384_ASN1_SIGNING),
            algorithm => match rsa_keys::generate(algorithm) {
                Some(Ok(der)) => rsa_key(&der),
                Some(Err(reason)) => return Err(fail(&reason)),
                None => return RustCrypto::new(SystemEntropy::new()).make(request),
            },
        }
        .map_err(fail)
    }
}

impl KeySource for AwsLc {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        requests.iter().map(|request| self.make(request)).collect()
    }
}

impl Signer for AwsLc {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let mut signatures = Vec::with_capacity(requests.len());
        self.sign_each(requests, |signature| signatures.push(Signature::new(signature.to_vec())))?;
        Ok(signatures)
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        self.sign_each(requests, |signature| out.push(signature))
    }
}

impl fmt::Debug for AwsLc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsLc([secret])")
    }
}

/// A private key in AWS-LC's form.
enum Key {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
    /// AWS-LC does not take it.
    Refused,
}

impl Key {
    fn parse(held: &PrivateKey, public: &PublicKey) -> Self {
        let der = held.secret_pkcs8_der();
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der.secret_bytes());
        let key = match held.key_type() {
            KeyType::Rsa { .. } => {
                RsaKeyPair::from_pkcs8(der.secret_bytes()).map(|pair| Self::Rsa(Box::new(pair)))
            }
            KeyType::EcdsaP256 => {
                ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING).map(|key| Self::Ecdsa(Box::new(key)))
            }
            KeyType::EcdsaP384 => {
                ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING).map(|key| Self::Ecdsa(Box::new(key)))
            }
            _ => return Self::Refused,
        };
        // The cache finds a key by its public half, so it must be that one's. A subject public key info ends with the key itself.
        let belongs = |key: &Self| match key {
            Self::Rsa(pair) => public.as_der().ends_with(pair.public_key().as_ref()),
            Self::Ecdsa(pair) => public.as_der().ends_with(pair.public_key().as_ref()),
            Self::Refused => true,
        };
        key.ok().filter(belongs).unwrap_or(Self::Refused)
    }

    fn sign(&self, request: &SigningRequest<'_>, give: &mut impl FnMut(&[u8])) -> Result<(), ProviderError> {
        let failed = |_| {
            let ca = request.issuer.ca;
            ProviderError::new(format!("{}: AWS-LC cannot sign with the key of {ca}", request.slot))
        };
        match self {
            Self::Rsa(pair) => {
                let mut room = [0; LONGEST_RSA_SIGNATURE];
                let signature = &mut room[..pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), request.message, signature)
                    .map_err(failed)?;
                give(signature);
            }
            Self::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), request.message).map_err(failed)?;
                give(signature.as_ref());
            }
            Self::Refused => {
                for signature in RustCrypto::new(SystemEntropy::new()).sign(&[*request])? {
                    give(signature.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// Makes a key whose halves belong together: the core multiplies the generator by the secret with code of its own, and takes the key
/// only if the product is the public half that AWS-LC states. A signature and its verification would prove the same once more.
fn ecdsa_key(algorithm: &'static EcdsaSigningAlgorithm) -> Result<KeyReply, &'static str> {
    let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| "AWS-LC cannot make a key")?;
    let der = pair.to_pkcs8v1().map_err(|_| "AWS-LC cannot encode a new key")?;
    // The public half is optional in this form, and is its end. Without it the core would have nothing to compare.
    if !der.as_ref().ends_with(pair.public_key().as_ref()) {
        return Err("AWS-LC leaves the public half out of a new key");
    }
    KeyReply::from_pkcs8_der(der.as_ref()).map_err(|_| INCONSISTENT)
}

/// Takes a key that other code has made: AWS-LC checks how its numbers belong together (`RSA_check_key`), and that they work.
fn rsa_key(der: &[u8]) -> Result<KeyReply, &'static str> {
    let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| INCONSISTENT)?;
    let mut room = [0; LONGEST_RSA_SIGNATURE];
    let signature = &mut room[..pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), PAIRWISE, signature).map_err(|_| INCONSISTENT)?;
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    public.verify(PAIRWISE, signature).map_err(|_| INCONSISTENT)?;
    KeyReply::from_pkcs8_der(der).map_err(|_| INCONSISTENT)
}

/// What a new RSA key signs before anybody gets it: the pair-wise consistency test of FIPS 140 (SP 800-140, IG 10.3.A).
const PAIRWISE: &[u8] = b"kubecerts: pair-wise consistency test of a new key";

const INCONSISTENT: &str = "the halves of a new key do not belong together";

/// Issuers whose keys are kept ready: those of twenty trees.
const CACHED: usize = 64;

/// Bytes of a signature by the largest RSA key that AWS-LC takes, 8192 bits.
const LONGEST_RSA_SIGNATURE: usize = 1024;

#[cfg(test)]
mod tests {
    use kubecerts_core::catalog::{LeafSlot, NodeName, Slot};
    use kubecerts_core::issue::{Term, node_credential};
    use kubecerts_core::time::Seconds;
    use kubecerts_testkit::{Seeded, TreeBuilder, at};

    use super::*;

    fn new_key(algorithm: KeyAlgorithm) -> PrivateKey {
        let request = KeyRequest::new(Slot::Leaf(LeafSlot::ApiServer), algorithm);
        AwsLc::new().make(&request).unwrap().into_private_key()
    }

    #[test]
    fn a_key_of_every_algorithm_is_taken() {
        for algorithm in KeyAlgorithm::ALL {
            let key = new_key(algorithm);
            assert!(!matches!(Key::parse(&key, &key.public_key()), Key::Refused), "{algorithm}");
        }
    }

    #[test]
    fn an_ecdsa_key_that_states_the_public_half_of_another_is_refused() {
        for algorithm in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
            let [one, other] = [(); 2].map(|()| EcdsaKeyPair::generate(algorithm).unwrap());
            let mut der = one.to_pkcs8v1().unwrap().as_ref().to_vec();
            KeyReply::from_pkcs8_der(&der).unwrap();
            let public = other.public_key().as_ref();
            let begin = der.len() - public.len();
            assert_eq!(der[begin..], *one.public_key().as_ref());
            der[begin..].copy_from_slice(public);
            KeyReply::from_pkcs8_der(&der).unwrap_err();
        }
    }

    #[test]
    fn a_key_is_not_kept_under_the_public_half_of_another() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048] {
            let (one, other) = (new_key(algorithm), new_key(algorithm));
            assert!(matches!(Key::parse(&one, &other.public_key()), Key::Refused), "{algorithm}");
        }
    }

    #[test]
    fn no_more_keys_of_issuers_are_kept_than_the_bound() {
        let mut provider = AwsLc::new();
        let node: NodeName = "worker-1".parse().unwrap();
        let term = Term { now: at("2026-06-01T00:00:00Z"), lifetime: Seconds::from_days(1) };
        for seed in 0..=CACHED as u64 {
            let snapshot = TreeBuilder::kubeadm().seed(seed).build().snapshot();
            for _ in 0..2 {
                node_credential(&node, &snapshot, term, &mut Seeded::new(1), &mut provider).unwrap();
            }
        }
        assert_eq!(provider.keys.lock().unwrap().len(), CACHED);
        assert_eq!(format!("{provider:?}"), "AwsLc([secret])");
    }
}

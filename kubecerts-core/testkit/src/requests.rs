//! Certificate requests by the thousand.

use kubecerts_core::catalog::Slot;
use kubecerts_core::issue::{KeyRequest, KeySource};
use kubecerts_core::x509::{
    DistinguishedName, KeyAlgorithm, PrivateKey, SignatureAlgorithm, assemble, encode_request,
    request_to_be_signed,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;

use crate::Seeded;

/// Makes requests for users, with a few P-256 keys that take turns.
#[derive(Debug)]
pub struct RequestMaker {
    keys: Vec<(PrivateKey, SigningKey)>,
}

impl RequestMaker {
    /// Returns a maker with `keys` keys, which are the same for the same number.
    #[must_use]
    pub fn with_keys(keys: usize) -> Self {
        let wanted = vec![KeyRequest::new(Slot::KubeletClient, KeyAlgorithm::EcdsaP256); keys];
        let made = Seeded::provider(7).generate(&wanted).expect("the seeded source makes keys");
        let key = |key: PrivateKey| {
            let signing_key = SigningKey::from_pkcs8_der(key.secret_pkcs8_der().secret_bytes());
            (key, signing_key.expect("the key is one of P-256"))
        };
        Self { keys: made.into_iter().map(|reply| key(reply.into_private_key())).collect() }
    }

    /// Returns the key of request `number`.
    #[must_use]
    pub fn key(&self, number: usize) -> &PrivateKey {
        &self.keys[number % self.keys.len()].0
    }

    /// Returns the request of `user-NUMBER` in DER.
    #[must_use]
    pub fn der(&self, number: usize) -> Vec<u8> {
        self.der_for(number, &DistinguishedName::kubeadm(&format!("user-{number}"), &["example:users"]))
    }

    /// Returns the request of `user-NUMBER` in PEM.
    #[must_use]
    pub fn pem(&self, number: usize) -> String {
        encode_request(&self.der(number))
    }

    /// Returns a request for `subject` with the key of request `number`, in DER.
    #[must_use]
    pub fn der_for(&self, number: usize, subject: &DistinguishedName) -> Vec<u8> {
        let (key, signing_key) = &self.keys[number % self.keys.len()];
        let message = request_to_be_signed(subject, &key.public_key(), None).expect("the subject is DER");
        let signature: Signature = signing_key.sign(&message);
        let signature = signature.to_der();
        assemble(&message, SignatureAlgorithm::EcdsaWithSha256, signature.as_bytes()).expect("it is DER")
    }
}

//! Those who do the same, each ready to do it again and again.

use std::fmt;
use std::hint::black_box;

use aws_lc_rs::{rsa as aws_rsa, signature as aws};
use kubecerts_core::issue::bulk::VerificationPolicy;
use kubecerts_core::issue::{KeySource, RustCrypto, Signature, Signatures, Signer, SigningRequest};
use kubecerts_core::provider::{Buffered, ProviderError};
use kubecerts_core::x509::{
    Certificate, FixedKey, KeyAlgorithm, SignedMessage, Verifier, encode_certificate,
};
use kubecerts_host::SystemEntropy;

use crate::leaf::{Leaf, provider};
use crate::peers::{RawKey, Rcgen, bare, openssl};

/// Somebody with something to do.
pub struct Contender {
    name: &'static str,
    pieces: u32,
    work: Box<dyn FnMut()>,
}

impl Contender {
    pub(crate) fn one(name: &'static str, work: impl FnMut() + 'static) -> Self {
        Self::many(name, 1, work)
    }

    pub(crate) fn many(name: &'static str, pieces: u32, work: impl FnMut() + 'static) -> Self {
        Self { name, pieces, work: Box::new(work) }
    }

    /// Returns who it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns how many pieces come out of one [`work`](Self::work).
    #[must_use]
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Does it once.
    pub fn work(&mut self) {
        (self.work)();
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Our certificates, not verified.
pub const UNVERIFIED: &str = "kubecerts, not verified";
/// Our certificates, every signature verified.
pub const VERIFIED: &str = "kubecerts, every one verified";
/// rcgen with a key of AWS-LC.
pub const RCGEN_AWS_LC: &str = "rcgen on aws-lc";
/// OpenSSL, which is there with the feature of that name only.
pub const OPENSSL: &str = "openssl";
/// All that a certificate costs but its signature.
pub const TEMPLATE: &str = "to-be-signed bytes and assembly";
/// A certificate as text.
pub const PEM: &str = "PEM";
/// A certificate, read from its DER.
pub const PARSE: &str = "parsing";
/// The provider of the host.
pub const HOST: &str = "kubecerts host";

/// Returns those who make a certificate.
#[must_use]
pub fn issue(leaf: &'static Leaf) -> Vec<Contender> {
    let mut on_aws_lc = Rcgen::new(leaf, RawKey::aws_lc(leaf));
    let mut on_ring = Rcgen::new(leaf, RawKey::ring(leaf));
    let every_16th = VerificationPolicy::Sample(16.try_into().unwrap());
    let mut contenders = vec![
        batch(UNVERIFIED, leaf, VerificationPolicy::None),
        batch("kubecerts, every 16th verified", leaf, every_16th),
        batch(VERIFIED, leaf, VerificationPolicy::Every),
        Contender::one(RCGEN_AWS_LC, move || drop(black_box(on_aws_lc.issue()))),
        Contender::one("rcgen on ring", move || drop(black_box(on_ring.issue()))),
    ];
    contenders.extend(openssl::issue(leaf));
    contenders
}

/// Returns those who sign the bytes of a certificate; OpenSSL gets the digest, as in `openssl speed`.
#[must_use]
pub fn sign(leaf: &'static Leaf) -> Vec<Contender> {
    let certificate: &'static Certificate = Box::leak(Box::new(leaf.certificates(1).remove(0)));
    let message = certificate.to_be_signed();
    let (aws_lc, ring) = (RawKey::aws_lc(leaf), RawKey::ring(leaf));
    let mut contenders = vec![
        signer(HOST, leaf, message, provider()),
        signer("kubecerts rustcrypto", leaf, message, RustCrypto::new(SystemEntropy::new())),
        Contender::one("aws-lc", move || drop(black_box(aws_lc.sign_message(message)))),
        Contender::one("ring", move || drop(black_box(ring.sign_message(message)))),
    ];
    contenders.extend(openssl::sign(leaf));
    contenders
}

/// Returns those who verify signatures of one key.
#[must_use]
pub fn verify(leaf: &'static Leaf) -> Vec<Contender> {
    let certificates: &'static [Certificate] = leaf.certificates(BATCH).leak();
    let signed: &'static [SignedMessage<'static>] = certificates
        .iter()
        .map(|certificate| SignedMessage {
            message: certificate.to_be_signed(),
            signature: certificate.signature(),
        })
        .collect::<Vec<_>>()
        .leak();
    let (key, algorithm) = (leaf.authority.key().public_key, leaf.authority.algorithm());
    let fixed = FixedKey::new(key, algorithm);
    let host = leaf.verifier();
    let is_rsa = leaf.algorithm == KeyAlgorithm::Rsa2048;
    let aws_algorithm: &'static dyn aws::VerificationAlgorithm =
        if is_rsa { &aws::RSA_PKCS1_2048_8192_SHA256 } else { &aws::ECDSA_P256_SHA256_ASN1 };
    let ring_algorithm: &'static dyn ring::signature::VerificationAlgorithm = if is_rsa {
        &ring::signature::RSA_PKCS1_2048_8192_SHA256
    } else {
        &ring::signature::ECDSA_P256_SHA256_ASN1
    };
    // ring takes what is within the key info, AWS-LC takes either.
    let (der, bare) = (key.as_der(), bare(key.as_der(), leaf.algorithm));
    let aws_key = aws::ParsedPublicKey::new(aws_algorithm, der).unwrap();
    let ring_key = ring::signature::UnparsedPublicKey::new(ring_algorithm, bare.to_vec());
    let all = move |verify: &dyn Fn(&SignedMessage<'_>) -> bool| assert!(signed.iter().all(verify));
    let mut contenders = vec![
        Contender::many(HOST, BATCH, move || assert_eq!(host.first_invalid(signed), None)),
        Contender::many("kubecerts core", BATCH, move || assert_eq!(fixed.first_invalid(signed), None)),
        Contender::many("aws-lc", BATCH, move || {
            all(&|signed| aws_key.verify_sig(signed.message, signed.signature).is_ok());
        }),
        Contender::many("ring", BATCH, move || {
            all(&|signed| ring_key.verify(signed.message, signed.signature).is_ok());
        }),
    ];
    contenders.extend(openssl::verify(leaf, signed));
    contenders
}

/// Returns those who make a private key of the leaf's algorithm, with its public half. ring makes no RSA keys, and is not asked for others.
#[must_use]
pub fn keys(leaf: &'static Leaf) -> Vec<Contender> {
    let request = leaf.key_request();
    let (mut host, mut rustcrypto) = (provider(), RustCrypto::new(SystemEntropy::new()));
    let mut contenders = vec![
        Contender::one(HOST, move || drop(black_box(host.generate(&[request]).unwrap()[0].public_key()))),
        Contender::one("kubecerts rustcrypto", move || {
            drop(black_box(rustcrypto.generate(&[request]).unwrap()[0].public_key()));
        }),
    ];
    if leaf.algorithm == KeyAlgorithm::Rsa2048 {
        contenders.extend([
            Contender::one("aws-lc", || {
                drop(black_box(aws_rsa::KeyPair::generate(aws_rsa::KeySize::Rsa2048).unwrap()));
            }),
            Contender::one("graviola", || {
                use graviola::signing::rsa::{KeySize, SigningKey};
                drop(black_box(SigningKey::generate(KeySize::Rsa2048).unwrap()));
            }),
        ]);
    } else {
        contenders.push(Contender::one("aws-lc", || {
            let algorithm = &aws::ECDSA_P256_SHA256_ASN1_SIGNING;
            drop(black_box(aws::EcdsaKeyPair::generate(algorithm).unwrap()));
        }));
    }
    contenders.extend(openssl::keys(leaf));
    contenders
}

/// Returns what a certificate costs besides its signature, the same for everybody who signs: its bytes to be signed and itself made
/// of them and of a signature that is there; its PEM; and to read it.
#[must_use]
pub fn parts(leaf: &'static Leaf) -> Vec<Contender> {
    let certificate: &'static Certificate = Box::leak(Box::new(leaf.certificate()));
    let (mut batch, mut serials) = (leaf.batch(), Buffered::new(SystemEntropy::new()));
    let (signer, nobody) = (Given(certificate.signature().to_vec()), Nobody);
    vec![
        Contender::many(TEMPLATE, BATCH, move || {
            leaf.issue(&mut batch, BATCH, &signer, &nobody, VerificationPolicy::None, &mut serials);
        }),
        Contender::one(PEM, || drop(black_box(encode_certificate(black_box(certificate.as_der()))))),
        Contender::one(PARSE, || drop(black_box(Certificate::parse_der(black_box(certificate.as_der()))))),
    ]
}

/// Returns our certificates, verified as `policy` says.
#[must_use]
pub fn batch(name: &'static str, leaf: &'static Leaf, policy: VerificationPolicy) -> Contender {
    let (mut batch, mut serials) = (leaf.batch(), Buffered::new(SystemEntropy::new()));
    let (provider, verifier) = (provider(), leaf.verifier());
    Contender::many(name, BATCH, move || {
        leaf.issue(&mut batch, BATCH, &provider, &*verifier, policy, &mut serials);
    })
}

fn signer(
    name: &'static str,
    leaf: &'static Leaf,
    message: &'static [u8],
    signer: impl Signer + 'static,
) -> Contender {
    let requests: Vec<SigningRequest<'static>> = vec![leaf.signing_request(message); BATCH as usize];
    let mut signatures = Signatures::new();
    Contender::many(name, BATCH, move || {
        signatures.clear();
        signer.sign_into(&requests, &mut signatures).unwrap();
        black_box(&signatures);
    })
}

/// A signer without work.
struct Given(Vec<u8>);

impl Signer for Given {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        Ok(requests.iter().map(|_| Signature::new(self.0.clone())).collect())
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        for _ in requests {
            out.push(&self.0);
        }
        Ok(())
    }
}

/// A verifier that nobody asks.
struct Nobody;

impl Verifier for Nobody {
    fn first_invalid(&self, _: &[SignedMessage<'_>]) -> Option<usize> {
        unreachable!("nothing is to be verified")
    }
}

/// How many certificates a job has in a batch.
pub const BATCH: u32 = 256;

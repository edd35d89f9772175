//! Others who make the same certificate: rcgen with keys of AWS-LC and ring, and OpenSSL through its crate where its library is.

use aws_lc_rs::signature as aws;
use kubecerts_core::provider::{Buffered, Entropy};
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::SystemEntropy;
use rcgen::{
    BasicConstraints as Constraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use ring::signature as ring_signature;

use crate::leaf::{Leaf, NAMES, addresses};

#[cfg_attr(not(feature = "openssl"), path = "peers/no_openssl.rs")]
pub(crate) mod openssl;

/// A key of another library that signs messages, with the hash.
pub(crate) enum RawKey {
    AwsEcdsa(aws::EcdsaKeyPair),
    AwsRsa(aws::RsaKeyPair),
    RingEcdsa(Box<ring_signature::EcdsaKeyPair>, ring::rand::SystemRandom),
    RingRsa(Box<ring_signature::RsaKeyPair>, ring::rand::SystemRandom),
}

impl RawKey {
    pub(crate) fn aws_lc(leaf: &Leaf) -> Self {
        let key = leaf.secret_key();
        match leaf.algorithm {
            KeyAlgorithm::Rsa2048 => Self::AwsRsa(aws::RsaKeyPair::from_pkcs8(key.secret_bytes()).unwrap()),
            _ => {
                let algorithm = &aws::ECDSA_P256_SHA256_ASN1_SIGNING;
                Self::AwsEcdsa(aws::EcdsaKeyPair::from_pkcs8(algorithm, key.secret_bytes()).unwrap())
            }
        }
    }

    pub(crate) fn ring(leaf: &Leaf) -> Self {
        let (key, random) = (leaf.secret_key(), ring::rand::SystemRandom::new());
        match leaf.algorithm {
            KeyAlgorithm::Rsa2048 => {
                let key = ring_signature::RsaKeyPair::from_pkcs8(key.secret_bytes()).unwrap();
                Self::RingRsa(Box::new(key), random)
            }
            _ => {
                let algorithm = &ring_signature::ECDSA_P256_SHA256_ASN1_SIGNING;
                let key =
                    ring_signature::EcdsaKeyPair::from_pkcs8(algorithm, key.secret_bytes(), &random).unwrap();
                Self::RingEcdsa(Box::new(key), random)
            }
        }
    }

    pub(crate) fn sign_message(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::AwsEcdsa(key) => {
                key.sign(&aws_lc_rs::rand::SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::AwsRsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let random = aws_lc_rs::rand::SystemRandom::new();
                key.sign(&aws::RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::RingEcdsa(key, random) => key.sign(random, message).unwrap().as_ref().to_vec(),
            Self::RingRsa(key, random) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&ring_signature::RSA_PKCS1_SHA256, random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        unreachable!("a leaf says nothing of its issuer's key but the identifier, which is given")
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::AwsEcdsa(_) | Self::RingEcdsa(..) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::AwsRsa(_) | Self::RingRsa(..) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for RawKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.sign_message(message))
    }
}

/// The subject's key as rcgen wants it: the bits within the key info.
struct SubjectKey {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// rcgen with a key that signs.
pub(crate) struct Rcgen {
    params: CertificateParams,
    key: SubjectKey,
    issuer: Issuer<'static, RawKey>,
    serials: Buffered<SystemEntropy>,
}

impl Rcgen {
    pub(crate) fn new(leaf: &Leaf, signer: RawKey) -> Self {
        let algorithm = signer.algorithm();
        let bits = bare(leaf.key.as_der(), leaf.algorithm).to_vec();
        let mut authority = CertificateParams::default();
        authority.distinguished_name = DistinguishedName::new();
        authority.distinguished_name.push(DnType::CommonName, "kubernetes");
        authority.key_identifier_method =
            KeyIdMethod::PreSpecified(leaf.authority.key().public_key.key_identifier());
        authority.is_ca = IsCa::Ca(Constraints::Unconstrained);
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2027, 1, 1);
        params.not_after = rcgen::date_time_ymd(2028, 1, 1);
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, leaf.subject.organisations().next().unwrap());
        params.distinguished_name.push(DnType::CommonName, leaf.subject.common_name().unwrap());
        params.subject_alt_names = NAMES
            .into_iter()
            .map(|name| SanType::DnsName(name.try_into().unwrap()))
            .chain(addresses().map(SanType::IpAddress))
            .collect();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 20]);
        Self {
            params,
            key: SubjectKey { bits, algorithm },
            issuer: Issuer::new(authority, signer),
            serials: Buffered::new(SystemEntropy::new()),
        }
    }

    pub(crate) fn issue(&mut self) -> Vec<u8> {
        self.params.serial_number = Some(SerialNumber::from_slice(&serial(&mut self.serials)));
        self.params.signed_by(&self.key, &self.issuer).unwrap().der().to_vec()
    }
}

/// Returns the key within the key info `der`: for P-256 the last 65 bytes are the point, for RSA all but the first 24.
pub(crate) fn bare(der: &[u8], algorithm: KeyAlgorithm) -> &[u8] {
    if algorithm == KeyAlgorithm::Rsa2048 { &der[24..] } else { &der[der.len() - 65..] }
}

fn serial(random: &mut Buffered<SystemEntropy>) -> [u8; 16] {
    let mut serial = [0; 16];
    random.fill(&mut serial).unwrap();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

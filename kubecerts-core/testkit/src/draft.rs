//! Certificates that kubeadm would not make: an existing one with some fields changed, signed again.

use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{
    AlternativeNames, Certificate, DistinguishedName, ExtendedKeyUsages, KeyUsages, PrivateKey, PublicKey,
    SerialNumber, SignatureAlgorithm, ToBeSigned, Validity, assemble,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;

/// Every field of a certificate, to be changed at will.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Draft {
    /// The serial number.
    pub serial: SerialNumber,
    /// The issuer's name.
    pub issuer: DistinguishedName,
    /// The first second of the validity.
    pub not_before: Timestamp,
    /// The last second of the validity.
    pub not_after: Timestamp,
    /// The subject's name.
    pub subject: DistinguishedName,
    /// The subject's public key.
    pub public_key: PublicKey,
    /// The key usages.
    pub key_usages: KeyUsages,
    /// The extended key usages.
    pub extended_key_usages: ExtendedKeyUsages,
    /// Whether the subject may sign certificates.
    pub is_ca: bool,
    /// The subject's key identifier.
    pub subject_key_identifier: Option<Vec<u8>>,
    /// The issuer's key identifier.
    pub authority_key_identifier: Option<Vec<u8>>,
    /// The alternative names.
    pub alternative_names: AlternativeNames,
}

impl Draft {
    /// Returns the fields of `certificate` as they are.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            serial: certificate.serial().clone(),
            issuer: certificate.issuer().clone(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            subject: certificate.subject().clone(),
            public_key: certificate.public_key().clone(),
            key_usages: certificate.key_usages().unwrap_or_default(),
            extended_key_usages: certificate.extended_key_usages().clone(),
            is_ca: certificate.basic_constraints().is_some_and(|constraints| constraints.is_ca),
            subject_key_identifier: certificate.subject_key_identifier().map(<[u8]>::to_vec),
            authority_key_identifier: certificate.authority_key_identifier().map(<[u8]>::to_vec),
            alternative_names: certificate.alternative_names().clone(),
        }
    }

    /// Returns the bytes that are to be signed with `signature`.
    #[must_use]
    pub fn to_be_signed(&self, signature: SignatureAlgorithm) -> Vec<u8> {
        let to_be_signed = ToBeSigned {
            serial: &self.serial,
            signature,
            issuer: &self.issuer,
            validity: Validity::new(self.not_before, self.not_after).expect("a draft ends after it begins"),
            subject: &self.subject,
            public_key: &self.public_key,
            key_usages: self.key_usages,
            extended_key_usages: &self.extended_key_usages,
            is_ca: self.is_ca,
            subject_key_identifier: self.subject_key_identifier.as_deref(),
            authority_key_identifier: self.authority_key_identifier.as_deref(),
            alternative_names: &self.alternative_names,
        };
        to_be_signed.to_der().expect("the fields of a draft can be encoded")
    }

    /// Returns the certificate in DER that `key`, which must be P-256, makes of this draft.
    #[must_use]
    pub fn signed_by(&self, key: &PrivateKey) -> Vec<u8> {
        let algorithm = key.signature_algorithm();
        let signer = SigningKey::from_pkcs8_der(key.secret_pkcs8_der().secret_bytes())
            .expect("drafts are signed with P-256");
        let to_be_signed = self.to_be_signed(algorithm);
        let signature: Signature = signer.sign(&to_be_signed);
        assemble(&to_be_signed, algorithm, signature.to_der().as_bytes()).expect("the draft is DER")
    }
}

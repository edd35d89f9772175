//! OpenSSL of the system, through its crate.

use std::hint::black_box;

use kubecerts_core::provider::Buffered;
use kubecerts_core::x509::{KeyAlgorithm, SignedMessage};
use kubecerts_host::SystemEntropy;
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use super::serial;
use crate::contenders::{BATCH, Contender, OPENSSL};
use crate::leaf::{Leaf, NAMES, addresses};

/// Returns who builds certificates.
pub(crate) fn issue(leaf: &'static Leaf) -> Option<Contender> {
    let mut openssl = OpenSsl::new(leaf);
    Some(Contender::one("openssl X509Builder", move || drop(black_box(openssl.issue()))))
}

/// Returns who signs digests.
pub(crate) fn sign(leaf: &'static Leaf) -> Option<Contender> {
    Some(Contender::one(OPENSSL, OpenSsl::new(leaf).raw()))
}

/// Returns who verifies `signed`, a batch.
pub(crate) fn verify(leaf: &'static Leaf, signed: &'static [SignedMessage<'static>]) -> Option<Contender> {
    let openssl = OpenSsl::new(leaf);
    Some(Contender::many(OPENSSL, BATCH, move || {
        assert!(signed.iter().all(|signed| openssl.verify(signed.message, signed.signature)));
    }))
}

/// Returns who makes keys.
pub(crate) fn keys(leaf: &'static Leaf) -> Option<Contender> {
    Some(if leaf.algorithm == KeyAlgorithm::Rsa2048 {
        Contender::one(OPENSSL, || drop(black_box(Rsa::generate(2048).unwrap())))
    } else {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        Contender::one(OPENSSL, move || drop(black_box(EcKey::generate(&group).unwrap())))
    })
}

/// A key of OpenSSL's, and what a certificate consists of.
struct OpenSsl {
    signer: PKey<Private>,
    issuer: X509Name,
    subject: X509Name,
    key: PKey<Public>,
    is_rsa: bool,
    serials: Buffered<SystemEntropy>,
}

impl OpenSsl {
    fn new(leaf: &Leaf) -> Self {
        let name = |entries: &[(Nid, &str)]| {
            let mut name = X509NameBuilder::new().unwrap();
            for (kind, value) in entries {
                name.append_entry_by_nid(*kind, value).unwrap();
            }
            name.build()
        };
        let organisation = leaf.subject.organisations().next().unwrap();
        Self {
            signer: PKey::private_key_from_pkcs8(leaf.secret_key().secret_bytes()).unwrap(),
            issuer: name(&[(Nid::COMMONNAME, "kubernetes")]),
            subject: name(&[
                (Nid::ORGANIZATIONNAME, organisation),
                (Nid::COMMONNAME, leaf.subject.common_name().unwrap()),
            ]),
            key: PKey::public_key_from_der(leaf.key.as_der()).unwrap(),
            is_rsa: leaf.algorithm == KeyAlgorithm::Rsa2048,
            serials: Buffered::new(SystemEntropy::new()),
        }
    }

    /// Makes the certificate, but for the authority's key identifier, for which the crate wants the authority's certificate.
    fn issue(&mut self) -> X509 {
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let number = BigNum::from_slice(&serial(&mut self.serials)).unwrap();
        builder.set_serial_number(&Asn1Integer::from_bn(&number).unwrap()).unwrap();
        builder.set_issuer_name(&self.issuer).unwrap();
        builder.set_subject_name(&self.subject).unwrap();
        builder.set_not_before(&Asn1Time::from_str("20270101000000Z").unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_str("20280101000000Z").unwrap()).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        builder.append_extension(KeyUsage::new().critical().digital_signature().build().unwrap()).unwrap();
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
        builder.append_extension(BasicConstraints::new().critical().build().unwrap()).unwrap();
        let mut names = SubjectAlternativeName::new();
        for name in NAMES {
            names.dns(name);
        }
        for address in addresses() {
            names.ip(&address.to_string());
        }
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.signer, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    /// Returns what signs as `openssl speed` does: a digest that is there, in the same context again and again.
    fn raw(&self) -> impl FnMut() + use<> {
        let mut context = PkeyCtx::new(&self.signer).unwrap();
        context.sign_init().unwrap();
        if self.is_rsa {
            context.set_rsa_padding(Padding::PKCS1).unwrap();
        }
        let mut signature = vec![0; 512];
        move || {
            context.sign(&[7; 32], Some(&mut signature)).unwrap();
        }
    }

    /// Returns what verifies `signature` of `message`.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut verifier = openssl::sign::Verifier::new(MessageDigest::sha256(), &self.signer).unwrap();
        verifier.verify_oneshot(signature, message).unwrap()
    }
}

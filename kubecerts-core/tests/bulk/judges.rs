//! Ten thousand certificates in the eyes of webpki and OpenSSL.

#![expect(clippy::disallowed_methods, reason = "OpenSSL reads files")]
#![expect(clippy::disallowed_types, reason = "OpenSSL is a program")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::bulk::{Batch, VerificationPolicy};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::provider::Buffered;
use kubecerts_core::x509::{Certificate, DistinguishedName, FixedKey, PublicKey, encode_certificate_into};
use kubecerts_testkit::{Seeded, at};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, ProjectivePoint};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{NOW, TREE, authority, names, terms};

const COUNT: usize = 10_000;

#[test]
fn ten_thousand_certificates_are_accepted_by_others_and_have_the_keys_of_their_requests() {
    let authority = authority(CaSlot::Cluster);
    let profile = SigningProfile::Signer(SignerName::KubeletServing);
    let mut batch = Batch::new(&authority, terms(profile)).unwrap();
    let mut serials = Buffered::new(Seeded::new(7));
    let keys = public_keys();
    let fixed = FixedKey::new(authority.key().public_key, authority.algorithm());
    let (mut seen, mut bundles) = (BTreeSet::new(), Vec::new());
    for (start, keys) in (0..).step_by(1024).zip(keys.chunks(1024)) {
        batch.clear();
        for (index, key) in (start..).zip(keys) {
            let subject = DistinguishedName::kubeadm(&format!("system:node:n{index}"), &["system:nodes"]);
            batch.add_key(&subject, &names(&[&format!("n{index}")]), key, &mut serials).unwrap();
        }
        // The judges below look at every one; a second here would only cost time.
        let policy = VerificationPolicy::Sample(keys.len().try_into().unwrap());
        batch.issue(&Seeded::provider(1), &fixed, policy).unwrap();
        let mut pem = Vec::new();
        for ((index, key), der) in (start..).zip(keys).zip(batch.certificates()) {
            let certificate = Certificate::parse_der(der).unwrap();
            assert_eq!(certificate.public_key(), key);
            assert_eq!(certificate.subject().common_name(), Some(format!("system:node:n{index}").as_str()));
            assert!(seen.insert(certificate.serial().clone()), "{index}");
            let certificate = pem.len();
            encode_certificate_into(der, &mut pem);
            bundles.push((index, pem.split_off(certificate)));
        }
        ask_webpki(&batch);
    }
    assert_eq!(seen.len(), COUNT);
    ask_openssl(&bundles);
}

fn ask_webpki(batch: &Batch<'_>) {
    let ca = TREE.certificate("/etc/kubernetes/pki/ca.crt");
    let ca = CertificateDer::from(ca.as_der());
    let anchors = [anchor_from_trusted_cert(&ca).unwrap()];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at(NOW).unix().try_into().unwrap()));
    for (index, der) in batch.certificates().enumerate() {
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der).unwrap();
        let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
        let verdict = certificate.verify_for_usage(algorithms, &anchors, &[], now, usage, None, None);
        assert!(verdict.is_ok(), "{index}: {:?}", verdict.err());
    }
}

fn ask_openssl(certificates: &[(usize, Vec<u8>)]) {
    if Command::new("openssl").arg("version").output().is_err() {
        io::stderr().write_all(b"SKIPPED openssl: not installed\n").unwrap();
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bulk-judges");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("ca.pem"), TREE.read_file("/etc/kubernetes/pki/ca.crt")).unwrap();
    let moment = at(NOW).unix().to_string();
    for some in certificates.chunks(1000) {
        let files: Vec<String> = some.iter().map(|(index, _)| format!("{index}.pem")).collect();
        for (file, (_, pem)) in files.iter().zip(some) {
            fs::write(directory.join(file), pem).unwrap();
        }
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-attime", &moment, "-purpose", "sslserver", "-CAfile", "ca.pem"]);
        let output = openssl.args(&files).current_dir(&directory).output().unwrap();
        let expected: String = files.iter().map(|file| format!("{file}: OK\n")).collect();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(String::from_utf8_lossy(&output.stdout) == expected, "{complaints}");
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// Returns the first multiples of P-256's generator: distinct, and an addition each.
fn public_keys() -> Vec<PublicKey> {
    // AlgorithmIdentifier of id-ecPublicKey on secp256r1, and the header of 66 bytes of BIT STRING.
    const BEFORE: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        3, 1, 7, 3, 0x42, 0,
    ];
    let mut point = ProjectivePoint::GENERATOR;
    let next = |_| {
        let der = [&BEFORE[..], AffinePoint::from(point).to_sec1_point(false).as_bytes()].concat();
        point += ProjectivePoint::GENERATOR;
        PublicKey::parse_der(&der).unwrap()
    };
    (0..COUNT).map(next).collect()
}

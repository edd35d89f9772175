//! Other people's code about what was issued: webpki, which compares names byte for byte as Go does, and OpenSSL, which reads
//! what it is given in more forms.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use kubecerts_core::catalog::{FileSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::kubeconfig::{Kubeconfig, user_key};
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{Certificate, Purpose, encode_certificate};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::MemoryTree;

/// A certificate, its private key in PEM, and its authority.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a judge has to know")]
pub struct Pair {
    /// What it is for.
    pub slot: Slot,
    /// The certificate.
    pub certificate: Certificate,
    /// Its private key, in PEM.
    pub key: Vec<u8>,
    /// The certificate of its authority.
    pub authority: Certificate,
}

impl Pair {
    /// Returns every leaf and client certificate of `tree` with its key and its authority.
    #[must_use]
    pub fn all_of(tree: &MemoryTree) -> Vec<Self> {
        let snapshot = tree.snapshot();
        let inventory = tree.inventory();
        let slots =
            LeafSlot::ALL.map(Slot::Leaf).into_iter().chain(KubeconfigSlot::ALL.map(Slot::Kubeconfig));
        let pair = |slot: Slot| {
            let certificate = inventory.credential(slot)?.leaf()?.clone();
            let key = match slot {
                Slot::Leaf(leaf) => snapshot.file(FileSlot::LeafKey(leaf)).content()?.secret_bytes().to_vec(),
                Slot::Kubeconfig(kubeconfig) => {
                    let bytes = snapshot.file(FileSlot::Kubeconfig(kubeconfig)).content()?.secret_bytes();
                    let parsed = Kubeconfig::parse(bytes).ok()?;
                    user_key(bytes, parsed.current().ok()?.user.name())?.secret_bytes().to_vec()
                }
                _ => return None,
            };
            let authority = inventory.authority(slot.issuer()?).signer()?.clone();
            Some(Self { slot, certificate, key, authority })
        };
        slots.filter_map(pair).collect()
    }

    /// Lets webpki verify the certificate at `now`, once for each purpose that it names.
    ///
    /// # Errors
    /// What webpki has against it.
    pub fn ask_webpki(&self, now: Timestamp) -> Result<(), webpki::Error> {
        let purposes = self.certificate.extended_key_usages().as_slice();
        assert!(!purposes.is_empty(), "{} names no purpose", self.slot);
        purposes.iter().try_for_each(|purpose| {
            let server = *purpose == Purpose::SERVER_AUTH;
            self.verify_with_webpki(
                if server { KeyUsage::server_auth() } else { KeyUsage::client_auth() },
                now,
            )
        })
    }

    /// Lets webpki verify the certificate for `usage` at `now`.
    ///
    /// # Errors
    /// What webpki has against it.
    pub fn verify_with_webpki(&self, usage: KeyUsage, now: Timestamp) -> Result<(), webpki::Error> {
        let authority = CertificateDer::from(self.authority.as_der());
        let anchor = anchor_from_trusted_cert(&authority)?;
        let der = CertificateDer::from(self.certificate.as_der());
        let certificate = EndEntityCert::try_from(&der)?;
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        certificate.verify_for_usage(algorithms, &[anchor], &[], moment(now), usage, None, None).map(|_| ())
    }

    /// Lets OpenSSL verify the certificate at `now`, and look whether the key is sound and the certificate's own.
    ///
    /// `directory` exists, and is written into.
    pub fn ask_openssl(&self, now: Timestamp, directory: &Path) {
        let Self { slot, certificate, key, authority } = self;
        let write =
            |file: &str, content: &[u8]| fs::write(directory.join(file), content).expect("it is a directory");
        write("ca.pem", encode_certificate(authority.as_der()).as_bytes());
        write("leaf.pem", encode_certificate(certificate.as_der()).as_bytes());
        write("leaf.key", key);
        let moment = now.unix().to_string();
        let verdict = openssl(directory, &["verify", "-attime", &moment, "-CAfile", "ca.pem", "leaf.pem"]);
        assert_eq!(verdict, "leaf.pem: OK\n", "{slot}");
        let of_certificate = openssl(directory, &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        let of_key = openssl(directory, &["pkey", "-in", "leaf.key", "-check", "-pubout"]);
        assert_eq!(of_key, format!("Key is valid\n{of_certificate}"), "{slot}");
    }
}

/// Returns what OpenSSL says in `directory`, with its complaints when it fails.
#[must_use]
pub fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("openssl").args(arguments).current_dir(directory).output().expect("OpenSSL runs");
    let complaints = if output.status.success() { &[][..] } else { &output.stderr };
    [&output.stdout[..], complaints].map(String::from_utf8_lossy).concat()
}

/// Returns whether there is no OpenSSL, and says so on stderr, past the capture of the test harness.
#[must_use]
pub fn openssl_is_missing() -> bool {
    let missing = Command::new("openssl").arg("version").output().is_err();
    if missing {
        io::stderr().write_all(b"SKIPPED openssl: not installed\n").expect("stderr is open");
    }
    missing
}

fn moment(now: Timestamp) -> UnixTime {
    let seconds = u64::try_from(now.unix()).expect("tests play after 1970");
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

//! OpenSSL as the authority elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// `openssl ca` with a key of the tree.
pub(super) struct Authority {
    directory: TempDir,
}

/// What the authority does with a request, as sections of its configuration.
pub(super) const COPYING: &str = "";

impl Authority {
    pub(super) fn new(certificate: &Path, key: &Path) -> Self {
        let this = Self { directory: tempfile::tempdir().unwrap() };
        fs::copy(certificate, this.path("ca.crt")).unwrap();
        fs::copy(key, this.path("ca.key")).unwrap();
        this.configure(COPYING);
        fs::write(this.path("index.txt"), "").unwrap();
        fs::write(this.path("serial"), "1000\n").unwrap();
        this
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes the configuration, with `extensions` that go before those of the request.
    fn configure(&self, extensions: &str) {
        let copy = if extensions.is_empty() { "copy" } else { "none" };
        let section = if extensions.is_empty() { "" } else { "x509_extensions = leaf\n" };
        let text = format!(
            "[ca]\ndefault_ca = here\n[here]\ndatabase = {index}\nserial = {serial}\nnew_certs_dir = {directory}\n\
             certificate = {certificate}\nprivate_key = {key}\ndefault_md = sha256\npolicy = any\n\
             copy_extensions = {copy}\nunique_subject = no\npreserve = yes\n{section}\
             [any]\ncommonName = supplied\norganizationName = optional\n\
             [intermediate]\nbasicConstraints = critical,CA:TRUE,pathlen:0\nkeyUsage = critical,keyCertSign,cRLSign\n\
             [leaf]\n{extensions}\n",
            index = self.path("index.txt"),
            serial = self.path("serial"),
            directory = self.directory.path().display(),
            certificate = self.path("ca.crt"),
            key = self.path("ca.key"),
        );
        fs::write(self.path("openssl.cnf"), text).unwrap();
    }

    /// Signs the request in the file `request` as it is, with further options of `openssl ca`.
    pub(super) fn sign(&self, request: &Path, more: &[&str]) -> Vec<u8> {
        let (config, out) = (self.path("openssl.cnf"), self.path("out.crt"));
        let request = request.to_str().unwrap();
        let days: &[&str] = if more.iter().any(|option| ["-enddate", "-days"].contains(option)) {
            &[]
        } else {
            &["-days", "365"]
        };
        openssl(
            &[
                &["ca", "-batch", "-config", &config, "-in", request, "-out", &out, "-rand_serial"],
                days,
                more,
            ]
            .concat(),
        );
        fs::read(out).unwrap()
    }

    /// Signs the request with `extensions` in place of those that it asks for.
    pub(super) fn sign_with(&self, request: &Path, extensions: &str) -> Vec<u8> {
        self.configure(extensions);
        let signed = self.sign(request, &[]);
        self.configure(COPYING);
        signed
    }

    /// Returns an authority below this one.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let file = |name: &str| scratch.path().join(name);
        let (key, request) = (file("ca.key"), file("ca.csr"));
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            request.to_str().unwrap(),
            "-subj",
            &subject,
        ]);
        let signed = self.sign(&request, &["-extensions", "intermediate", "-days", "1000"]);
        fs::write(file("ca.crt"), signed).unwrap();
        Self::new(&file("ca.crt"), &key)
    }

    pub(super) fn certificate(&self) -> Vec<u8> {
        fs::read(self.path("ca.crt")).unwrap()
    }
}

/// Runs OpenSSL, and returns what it writes.
pub(super) fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns whether there is an OpenSSL; without it a test says that it is skipped.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(super) fn is_there(test: &str) -> bool {
    match Command::new("openssl").arg("version").output() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED {test}: openssl: {error}");
            false
        }
    }
}

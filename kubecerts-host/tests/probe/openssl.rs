//! Servers with certificates and ciphers that the TLS of this crate has no use for, by OpenSSL.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::Service;
use kubecerts_core::observation::Handshake;
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::x509::certificates;
use kubecerts_host::probe::handshake;
use tempfile::TempDir;

use super::server::PATIENCE;

#[test]
fn certificates_of_any_kind_are_seen() {
    for (kind, version, has_key) in [
        (&["ed25519"][..], 3, true),
        (&["ed448"][..], 3, false),
        (&["rsa:1024"][..], 3, false),
        (&["rsa:4096"][..], 3, true),
        (&["ec", "-pkeyopt", "ec_paramgen_curve:P-521"][..], 3, false),
        (&["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"][..], 3, false),
        (&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..], 1, false),
    ] {
        for protocol in ["-tls1_2", "-tls1_3"] {
            let Some(server) = OpenSsl::start(kind, version, &[protocol]) else { return };
            let seen = server.handshake();
            // With TLS 1.2 the curve of a certificate has to be among those for the exchange of keys.
            if protocol == "-tls1_2" && kind.iter().any(|word| word.ends_with("P-521")) {
                assert!(
                    matches!(&seen, Handshake::Broken(why) if why.contains("HandshakeFailure")),
                    "{seen:?}"
                );
                continue;
            }
            let served = seen.served().unwrap_or_else(|| panic!("{kind:?} {protocol}: {seen:?}"));
            let leaf = served.leaf.as_ref().unwrap();
            assert_eq!(leaf, &server.certificate(), "{kind:?} {protocol}");
            assert_eq!((served.has_key, leaf.version()), (has_key, version), "{kind:?} {protocol}");
        }
    }
}

#[test]
fn a_server_that_has_no_modern_cipher_says_so() {
    for arguments in [&["-tls1_2", "-cipher", "AES128-SHA"], &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"]]
    {
        let Some(server) = OpenSsl::start(&["rsa:2048"], 3, arguments) else { return };
        let seen = server.handshake();
        assert!(
            matches!(&seen, Handshake::Broken(why) if why.contains("alert HandshakeFailure")),
            "{seen:?}"
        );
    }
}

#[test]
fn a_server_of_an_old_protocol_says_so() {
    let Some(server) = OpenSsl::start(&["rsa:2048"], 3, &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"]) else {
        return;
    };
    let seen = server.handshake();
    assert!(matches!(&seen, Handshake::Broken(why) if why.contains("alert ProtocolVersion")), "{seen:?}");
}

/// `openssl s_server`, which ends with the value.
struct OpenSsl {
    child: Child,
    directory: TempDir,
    port: u16,
}

impl OpenSsl {
    /// Starts a server with a new self-signed pair; `None` where there is no OpenSSL.
    fn start(key: &[&str], version: u8, arguments: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let openssl = || {
            let mut command = Command::new("openssl");
            command
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let mut request = openssl();
        request.args(["req", "-nodes", "-subj", "/CN=odd", "-keyout", "key.pem", "-newkey"]).args(key);
        if version == 3 {
            request.args(["-x509", "-out", "cert.pem"]);
        } else {
            request.args(["-new", "-out", "request.pem"]);
        }
        match request.status() {
            Ok(status) => assert!(status.success(), "{key:?}"),
            Err(_) => {
                skip();
                return None;
            }
        }
        if version == 1 {
            let sign = ["x509", "-req", "-in", "request.pem", "-signkey", "key.pem", "-out", "cert.pem"];
            assert!(openssl().args(sign).status().unwrap().success());
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let child = openssl()
            .args(["s_server", "-quiet", "-www", "-cert", "cert.pem", "-key", "key.pem"])
            .args(["-cipher", "ALL:@SECLEVEL=0", "-accept", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .spawn()
            .unwrap();
        let mut server = Self { child, directory, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(server.child.try_wait().unwrap(), None, "the server has ended");
            assert!(begun.elapsed() < PATIENCE, "the server does not listen");
            sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    fn handshake(&self) -> Handshake {
        handshake(&Endpoint::new(Service::ApiServer, "127.0.0.1", self.port), PATIENCE)
    }

    fn certificate(&self) -> kubecerts_core::x509::Certificate {
        let content = std::fs::read(self.directory.path().join("cert.pem")).unwrap();
        certificates(&content).unwrap().remove(0).unwrap()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip() {
    eprintln!("SKIPPED openssl: it is not installed");
}

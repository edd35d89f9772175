//! A client that takes any certificate, and a node's files on disk.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::Certificate;
use kubecerts_standin_server::{Command, StandIn, StartError};
use kubecerts_testkit::{MemoryTree, TreeBuilder};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

pub(crate) const PKI: &str = "etc/kubernetes/pki";

/// Returns the moment of this run.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix(now.as_secs().try_into().unwrap())
}

/// Returns a tree that was made `days` ago; its leaves live for a year.
pub(crate) fn tree(days: i64, seed: u64) -> MemoryTree {
    TreeBuilder::kubeadm().seed(seed).made(now().minus(Seconds::from_days(days))).build()
}

/// A directory with a node's files.
pub(crate) struct Node(tempfile::TempDir);

impl Node {
    pub(crate) fn new(tree: &MemoryTree) -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        node.write(tree);
        node
    }

    pub(crate) fn write(&self, tree: &MemoryTree) {
        for (path, content, _) in tree.files() {
            let file = self.path(path.as_str().trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn flag(&self, flag: &str, file: &str) -> String {
        format!("--{flag}={}", self.path(file).display())
    }

    pub(crate) fn client(&self, name: &str) -> Option<(PathBuf, PathBuf)> {
        Some((self.path(&format!("{PKI}/{name}.crt")), self.path(&format!("{PKI}/{name}.key"))))
    }

    /// Starts an API server on a free port.
    pub(crate) fn apiserver(&self, more: &[&str]) -> Result<StandIn, StartError> {
        let flags = [
            "kube-apiserver".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            "--etcd-servers=https://127.0.0.1:2379".to_owned(),
            self.flag("tls-cert-file", "etc/kubernetes/pki/apiserver.crt"),
            self.flag("tls-private-key-file", "etc/kubernetes/pki/apiserver.key"),
            self.flag("client-ca-file", "etc/kubernetes/pki/ca.crt"),
        ];
        start(flags, more)
    }
}

pub(crate) fn start(flags: impl IntoIterator<Item = String>, more: &[&str]) -> Result<StandIn, StartError> {
    let more = more.iter().map(ToString::to_string);
    StandIn::start(&Command::parse(flags.into_iter().chain(more)).unwrap())
}

/// Returns status and body of `path`, over TLS with the client certificate if there is one.
pub(crate) fn get(
    address: SocketAddr,
    client: Option<(PathBuf, PathBuf)>,
    path: &str,
) -> io::Result<(u16, String)> {
    let mut stream = handshake(address, client)?;
    // In one piece: a server that answers what it has read closes before the second one.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    let response = String::from_utf8(response).map_err(io::Error::other)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// Returns the certificate that `address` shows.
pub(crate) fn shown(address: SocketAddr) -> io::Result<Certificate> {
    let stream = handshake(address, None)?;
    Ok(Certificate::parse_der(&stream.conn.peer_certificates().unwrap()[0]).unwrap())
}

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects to `address` and ends the handshake.
pub(crate) fn handshake(address: SocketAddr, client: Option<(PathBuf, PathBuf)>) -> io::Result<Tls> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let config = match client {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain_of(&chain), PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn chain_of(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

/// Returns what `look` finds, as soon as it finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come");
        thread::sleep(Duration::from_millis(50));
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

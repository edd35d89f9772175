//! Servers on the loopback that can be as odd as a test needs them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kubecerts_core::catalog::Service;
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::x509::PrivateKey;
use kubecerts_testkit::MemoryTree;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

/// A server that serves each connection with a thread, until it is dropped.
pub(crate) struct Server {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_over, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                // No thread may outlive the tests.
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                thread::spawn(move || serve(stream));
            }
        });
        Self { port, is_over, thread: Some(thread) }
    }

    /// Starts a server that speaks TLS and then sends `answer` to whoever has sent a request.
    pub(crate) fn with_tls(
        tls: Tls,
        answer: impl Fn(&mut dyn Write, &Asked) + Send + Sync + 'static,
    ) -> Self {
        let config = tls.config();
        Self::start(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let Some(head) = read_head(&mut stream) else { return };
            let is_known = stream.conn.peer_certificates().is_some();
            answer(&mut stream, &Asked { head, is_known });
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }

    /// Starts a server without TLS that sends `answer` to whoever has sent a request.
    pub(crate) fn without_tls(answer: impl Fn(&mut dyn Write, &Asked) + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            let Some(head) = read_head(&mut stream) else { return };
            answer(&mut stream, &Asked { head, is_known: false });
        })
    }

    pub(crate) fn endpoint(&self, service: Service) -> Endpoint {
        Endpoint::new(service, "127.0.0.1", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request that has arrived.
pub(crate) struct Asked {
    /// The request line and the headers.
    pub(crate) head: String,
    /// Whether the client has shown a certificate.
    pub(crate) is_known: bool,
}

/// What a server shows in its handshakes.
pub(crate) struct Tls {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: PrivateKey,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    pub(crate) client: Client,
}

/// What a server wants of its clients' certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    Ignored,
    Welcome,
    Demanded,
}

impl Tls {
    /// Shows the pair at `name` below the directory of certificates of `tree`.
    pub(crate) fn of(tree: &MemoryTree, name: &str) -> Self {
        let (certificate, key) = pair(name);
        Self {
            chain: vec![tree.certificate(&certificate).as_der().to_vec()],
            key: tree.private_key(&key),
            versions: tokio_rustls::rustls::ALL_VERSIONS,
            client: Client::Ignored,
        }
    }

    pub(crate) fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    pub(crate) fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    fn config(self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let wants = Wants { client: self.client, algorithms: provider.signature_verification_algorithms };
        let der = self.key.secret_pkcs8_der();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.secret_bytes()));
        let signer = ring::sign::any_supported_type(&der).unwrap();
        let chain = self.chain.into_iter().map(CertificateDer::from).collect();
        // Unlike others, this one does not ask whether they belong together.
        let certified = SingleCertAndKey::from(CertifiedKey::new(chain, signer));
        Arc::new(builder.with_client_cert_verifier(Arc::new(wants)).with_cert_resolver(Arc::new(certified)))
    }
}

/// Returns the paths of the certificate and the key called `name`.
pub(crate) fn pair(name: &str) -> (String, String) {
    (format!("/etc/kubernetes/pki/{name}.crt"), format!("/etc/kubernetes/pki/{name}.key"))
}

fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Takes any client certificate.
#[derive(Debug)]
struct Wants {
    client: Client,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Wants {
    fn offer_client_auth(&self) -> bool {
        !matches!(self.client, Client::Ignored)
    }

    fn client_auth_mandatory(&self) -> bool {
        matches!(self.client, Client::Demanded)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _further: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// TLS 1.2 and 1.3, each alone.
pub(crate) const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// Longer than anything that works takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

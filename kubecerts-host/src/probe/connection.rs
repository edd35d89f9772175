//! Connections to servers that are to be looked at, not trusted.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kubecerts_core::snapshot::Endpoint;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, InvalidMessage, SignatureScheme};

/// Runs `look` to its end.
pub(super) fn block_on<T>(look: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let seen = runtime.block_on(look);
    // A name that is still being looked up may not hold the caller.
    runtime.shutdown_background();
    Ok(seen)
}

/// Connects to `endpoint`. The caller sets the deadline.
pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await
}

/// Speaks TLS on `stream` with whoever is there, while `witness` takes notes, and shows `client` if asked to.
pub(super) async fn secure(
    endpoint: &Endpoint,
    stream: TcpStream,
    witness: &Arc<Witness>,
    client: Option<Arc<dyn ResolvesClientCert>>,
) -> io::Result<TlsStream<TcpStream>> {
    let client = Arc::new(Client { inner: client, witness: Arc::clone(witness) });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has what both versions of TLS need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Witness>::clone(witness))
        .with_client_cert_resolver(client);
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    // The name is not compared with anything. One that TLS cannot say is not said, as those of addresses.
    let name = ServerName::try_from(endpoint.host.clone())
        .unwrap_or_else(|_| ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0]))));
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Returns what `error` says of a server with which [`secure`] came to nothing.
pub(super) fn complaint(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        )) => "sends more certificates than a server has any reason to, over 64 KiB".to_owned(),
        Some(rustls::Error::InvalidMessage(detail)) => format!("does not speak TLS: {detail:?}"),
        Some(rustls::Error::AlertReceived(alert)) => format!("refuses with the TLS alert {alert:?}"),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "closes the connection during the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

/// Returns the messages of `error` and all its causes, without those that repeat their cause.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

/// Accepts every server and remembers what it has shown.
#[derive(Debug)]
pub(super) struct Witness {
    provider: Arc<CryptoProvider>,
    notes: Mutex<Notes>,
}

/// What a server has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// Its certificate, as it came, once the server has sent it and something to go with it.
    pub(super) leaf: Option<Vec<u8>>,
    /// The number of certificates that followed.
    pub(super) further: usize,
    /// Whether it has signed the handshake with the key of its certificate.
    pub(super) has_key: bool,
    /// Whether it has asked for a client certificate.
    pub(super) asks_for_client: bool,
}

impl Witness {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { provider: Arc::new(ring::default_provider()), notes: Mutex::default() })
    }

    pub(super) fn notes(&self) -> Notes {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Notes are whole after every line, whoever panicked.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether a signature holds. One that does not ends nothing: kinds of keys that are unknown here are no reason
    /// not to look on, and nobody is trusted.
    fn note(&self, verified: &Result<HandshakeSignatureValid, rustls::Error>) -> HandshakeSignatureValid {
        self.lock().has_key = verified.is_ok();
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut notes = self.lock();
        (notes.leaf, notes.further) = (Some(leaf.to_vec()), further.len());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls12_signature(message, leaf, signed, algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls13_signature(message, leaf, signed, algorithms)))
    }

    /// Returns more than can be verified, so that a server with an odd key shows its certificate too.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}

/// Notes that a client certificate was asked for, and shows one if there is one to be shown.
#[derive(Debug)]
struct Client {
    inner: Option<Arc<dyn ResolvesClientCert>>,
    witness: Arc<Witness>,
}

impl ResolvesClientCert for Client {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.witness.lock().asks_for_client = true;
        self.inner.as_ref()?.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.is_some()
    }
}

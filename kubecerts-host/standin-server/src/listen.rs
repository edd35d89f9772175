//! Connections: TCP, then TLS as the site wants it at that moment, then HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion};

use crate::answer::Answer;

/// What is served at a port.
pub(crate) trait Site: Send + Sync + 'static {
    /// Returns what the next handshake shows and asks for, or why it cannot be held; `None` when HTTP is plain here.
    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, String>;

    /// Answers a request for `path` of a client that showed `chain`.
    fn answer(&self, path: &str, chain: &[CertificateDer<'_>]) -> Answer;
}

/// Serves `site` for ever.
pub(crate) async fn serve(listener: TcpListener, site: Arc<dyn Site>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, site).await {
                        log(&format!("http: TLS handshake error: {error}"));
                    }
                });
            }
            // The process is out of descriptors: the next moment may be better.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Returns what a handshake needs that shows `pair` and lets `clients` judge the other side.
pub(crate) fn configuration(
    pair: &CertifiedKey,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Arc<ServerConfig> {
    configuration_of(ALL_VERSIONS, pair, clients)
}

/// Returns [`configuration`] for some versions of TLS only.
pub(crate) fn configuration_of(
    versions: &[&'static SupportedProtocolVersion],
    pair: &CertifiedKey,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring knows these versions of TLS");
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.clone())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn connection(mut stream: TcpStream, site: Arc<dyn Site>) -> io::Result<()> {
    let config = match site.tls() {
        Ok(Some(config)) => config,
        Ok(None) => {
            requests(stream, Vec::new(), site).await;
            return Ok(());
        }
        Err(reason) => {
            // Go reads the client's greeting first; closing with it unread would reset the connection under the alert.
            let greeting = LazyConfigAcceptor::new(Acceptor::default(), &mut stream);
            drop(timeout(HANDSHAKE, greeting).await);
            stream.write_all(&INTERNAL_ERROR).await?;
            return Err(io::Error::other(reason));
        }
    };
    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    let stream = timeout(HANDSHAKE, handshake).await??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
    requests(stream, chain, site).await;
    Ok(())
}

/// Answers requests until the client leaves.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    chain: Vec<CertificateDer<'static>>,
    site: Arc<dyn Site>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let Answer { status, content_type, body } = site.answer(request.uri().path(), &chain);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let content_type = content_type.parse().expect("content types are plain texts");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        async { Ok::<_, Infallible>(response) }
    });
    // How a client goes away is its own affair.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// Tells the container's log.
#[expect(clippy::print_stderr, reason = "the log of a container is its stderr")]
pub(crate) fn log(line: &str) {
    eprintln!("{line}");
}

/// How long a client may take over the handshake; Go's servers give it 10 seconds too.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The fatal alert `internal_error` ([RFC 8446 §6]), which Go sends when it cannot load the pair.
///
/// [RFC 8446 §6]: https://www.rfc-editor.org/rfc/rfc8446#section-6
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

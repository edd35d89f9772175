//! Calls to the API server with the credentials of a kubeconfig.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use kubecerts_core::kubeconfig::{KeySource, Kubeconfig, Source, user_key};
use kubecerts_core::x509;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The credentials of a kubeconfig as they were when it was read.
pub(crate) struct Client {
    /// The serial number of the client certificate in hexadecimal digits.
    pub(crate) serial: String,
    /// Whether the kubeconfig names a file as the client certificate, which client-go reads again.
    pub(crate) has_file: bool,
    address: SocketAddr,
    name: ServerName<'static>,
    authority: String,
    tls: TlsConnector,
}

impl Client {
    /// Reads `kubeconfig`; its API server is called at `address` instead of the one in it, if there is one.
    pub(crate) fn read(kubeconfig: &Path, address: Option<SocketAddr>) -> Result<Self, String> {
        let unusable = |why: &dyn ToString| format!("{}: {}", kubeconfig.display(), why.to_string());
        let bytes = fs::read(kubeconfig).map_err(|error| unusable(&error))?;
        let parsed = Kubeconfig::parse(&bytes).map_err(|error| unusable(&error))?;
        let current = parsed.current().map_err(|error| unusable(&error))?;

        let server = current.cluster.server().ok_or_else(|| unusable(&"names no server"))?;
        let uri: Uri = server.parse().map_err(|error| unusable(&error))?;
        let authority = uri.authority().ok_or_else(|| unusable(&"names no server"))?;
        let host = authority.host().trim_matches(['[', ']']);
        let numeric = if host == "localhost" { "127.0.0.1" } else { host };
        let address = match address {
            Some(address) => address,
            None => {
                let host =
                    numeric.parse().map_err(|_| unusable(&"names a host, and there is no resolver"))?;
                SocketAddr::new(host, authority.port_u16().unwrap_or(443))
            }
        };
        let name = current.cluster.tls_server_name().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| unusable(&error))?;

        let roots = resolve(current.cluster.certificate_authority(), kubeconfig)?;
        let mut trusted = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&roots) {
            let root = root.map_err(|error| unusable(&error))?;
            trusted.add(root).map_err(|error| unusable(&error))?;
        }
        let pem = resolve(current.user.client_certificate(), kubeconfig)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let key = match current.user.client_key() {
            KeySource::File(file) => fs::read(beside(file, kubeconfig)).map_err(|error| unusable(&error))?,
            _ => match user_key(&bytes, current.user.name()) {
                Some(key) => key.secret_bytes().to_vec(),
                None => return Err(unusable(&"has no client key")),
            },
        };
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(&error))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions of TLS")
            .with_root_certificates(trusted)
            .with_client_auth_cert(chain.map_err(|error| unusable(&error))?, key)
            .map_err(|error| unusable(&error))?;

        Ok(Self {
            serial: serial(&pem).map_err(|damage| unusable(&damage))?,
            has_file: matches!(current.user.client_certificate(), Source::File(_)),
            address,
            name,
            authority: authority.to_string(),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Returns the status that the API server answers a request for `path` with, or why there is none.
    pub(crate) async fn call(&self, path: &str) -> String {
        match timeout(DEADLINE, self.exchange(path)).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => format!("unreachable: {error}"),
            Err(_) => "unreachable: deadline exceeded".to_owned(),
        }
    }

    async fn exchange(&self, path: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        let (mut requests, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, that is with this call.
        tokio::spawn(driver);
        let request = Request::get(path).header(HOST, &self.authority).body(Empty::<Bytes>::new())?;
        Ok(requests.send_request(request).await?.status().to_string())
    }
}

fn serial(pem: &[u8]) -> Result<String, x509::Damage> {
    match x509::certificates(pem)?.into_iter().next() {
        Some(leaf) => Ok(leaf?.serial().to_string()),
        None => Err(x509::Damage::Empty),
    }
}

/// Returns the PEM that `source` of `kubeconfig` means.
fn resolve(source: &Source, kubeconfig: &Path) -> Result<Vec<u8>, String> {
    match source {
        Source::Data(bytes) => Ok(bytes.clone()),
        Source::File(file) => {
            let file = beside(file, kubeconfig);
            fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
        }
        _ => Err(format!("{}: has no certificate", kubeconfig.display())),
    }
}

fn beside(file: &str, kubeconfig: &Path) -> PathBuf {
    kubeconfig.parent().unwrap_or(Path::new("/")).join(file)
}

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(2);

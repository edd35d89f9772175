//! A connection to a member: TCP, then TLS, then HTTP/2, each with its own way to fail.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Uri;

use super::EtcdError;
use super::credentials::Client;
use super::error::Wait;
use super::generated::cluster_client::ClusterClient;
use super::generated::kv_client::KvClient;
use super::generated::maintenance_client::MaintenanceClient;
use super::member::CLIENT_PORT;
use super::observed::{Fault, Observed};
use crate::grpc::{Requests, chain};

/// An open connection, on which nothing is retried.
pub(super) struct Connection {
    peer: Peer,
    deadline: Duration,
    /// When the time for all answers together is up; by default each has the deadline for itself.
    end: Option<Instant>,
    origin: Uri,
    requests: http2::SendRequest<Body>,
    driver: JoinHandle<hyper::Result<()>>,
    fault: Fault,
}

impl Connection {
    /// Connects to the member at `endpoint` as `client` within `deadline`.
    pub(super) async fn open(endpoint: &str, client: &Client, deadline: Duration) -> Result<Self, EtcdError> {
        let invalid = || EtcdError::Endpoint { endpoint: endpoint.to_owned() };
        let peer = Peer { endpoint: endpoint.to_owned(), flaw: client.flaw.clone() };
        let origin: Uri = endpoint.parse().map_err(|_| invalid())?;
        if origin.scheme_str() != Some("https") {
            return Err(invalid());
        }
        let host = origin.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
        let address = (host, origin.port_u16().unwrap_or(CLIENT_PORT));
        let tls = TlsConnector::from(Arc::clone(&client.config));

        let fault = Fault::default();
        let connecting = async {
            let stream = tls.connect(name, TcpStream::connect(address).await?).await?;
            let stream = Observed::new(stream, Fault::clone(&fault));
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)
        };
        let connected = timeout(deadline, connecting).await;
        let late =
            |_| EtcdError::Deadline { endpoint: endpoint.to_owned(), waited_for: Wait::Connection, deadline };
        let (requests, driver) = connected.map_err(late)?.map_err(|error| match fault.get() {
            Some((kind, text)) => peer.broken(*kind, text),
            None => peer.broken(error.kind(), &error.to_string()),
        })?;
        Ok(Self { peer, deadline, end: None, origin, requests, driver: tokio::spawn(driver), fault })
    }

    /// Makes one deadline, which began at `begun`, bound everything.
    pub(super) fn until(self, begun: Instant) -> Self {
        Self { end: begun.checked_add(self.deadline), ..self }
    }

    /// Returns a client of the member itself whose calls go over this connection.
    pub(super) fn maintenance(&self) -> MaintenanceClient<Requests> {
        MaintenanceClient::with_origin(Requests(self.requests.clone()), self.origin.clone())
    }

    /// Returns a client of the cluster's list of members.
    pub(super) fn cluster(&self) -> ClusterClient<Requests> {
        ClusterClient::with_origin(Requests(self.requests.clone()), self.origin.clone())
    }

    /// Returns a client of the keys.
    pub(super) fn keys(&self) -> KvClient<Requests> {
        KvClient::with_origin(Requests(self.requests.clone()), self.origin.clone())
    }

    /// Returns what `call` answers, unless it takes longer than the deadline.
    pub(super) async fn wait<T>(
        &self,
        waited_for: Wait,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, EtcdError> {
        let left = self.end.map_or(self.deadline, |end| end.saturating_duration_since(Instant::now()));
        match timeout(left, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(self.reason(&status)),
            Err(_) => Err(EtcdError::Deadline {
                endpoint: self.peer.endpoint.clone(),
                waited_for,
                deadline: self.deadline,
            }),
        }
    }

    /// Returns why a call ended with `status`, which is the member's word only while the connection is whole.
    fn reason(&self, status: &Status) -> EtcdError {
        let endpoint = self.peer.endpoint.clone();
        if let Some((kind, text)) = self.fault.get() {
            self.peer.broken(*kind, text)
        } else if status.source().is_some() || self.driver.is_finished() {
            EtcdError::Unreachable { endpoint, detail: chain(status) }
        } else {
            let (code, message) = (status.code().into(), status.message().to_owned());
            EtcdError::Status { endpoint, code, message }
        }
    }
}

/// Who is at the other end, as far as errors have to say it.
struct Peer {
    endpoint: String,
    /// See [`Client::flaw`].
    flaw: Option<String>,
}

impl Peer {
    /// Returns what an error of the stream means: TLS calls its own invalid data, which sockets never do.
    fn broken(&self, kind: io::ErrorKind, text: &str) -> EtcdError {
        let endpoint = self.endpoint.clone();
        match (kind, &self.flaw) {
            (io::ErrorKind::InvalidData, Some(flaw)) => {
                EtcdError::Tls { endpoint, detail: format!("{text}; {flaw}") }
            }
            (io::ErrorKind::InvalidData, None) => EtcdError::Tls { endpoint, detail: text.to_owned() },
            _ => EtcdError::Unreachable { endpoint, detail: text.to_owned() },
        }
    }
}

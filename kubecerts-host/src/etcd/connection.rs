//! A connection to a member: TCP, then TLS, then HTTP/2, each with its own way to fail.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::codegen::{BoxFuture, Service};

use super::credentials::client_config;
use super::error::Wait;
use super::generated::maintenance_client::MaintenanceClient;
use super::member::CLIENT_PORT;
use super::observed::{Fault, Observed};
use super::{EtcdError, EtcdMember};

/// An open connection, on which nothing is retried.
pub(super) struct Connection<'a> {
    member: &'a EtcdMember,
    deadline: Duration,
    origin: Uri,
    requests: http2::SendRequest<Body>,
    driver: JoinHandle<hyper::Result<()>>,
    fault: Fault,
}

impl<'a> Connection<'a> {
    /// Connects to `member` within `deadline`.
    pub(super) async fn open(member: &'a EtcdMember, deadline: Duration) -> Result<Self, EtcdError> {
        let invalid = || EtcdError::Endpoint { endpoint: member.endpoint.clone() };
        let origin: Uri = member.endpoint.parse().map_err(|_| invalid())?;
        if origin.scheme_str() != Some("https") {
            return Err(invalid());
        }
        let host = origin.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
        let address = (host, origin.port_u16().unwrap_or(CLIENT_PORT));
        let tls = TlsConnector::from(Arc::new(client_config(member)?));

        let fault = Fault::default();
        let connecting = async {
            let stream = tls.connect(name, TcpStream::connect(address).await?).await?;
            let stream = Observed::new(stream, Fault::clone(&fault));
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)
        };
        let connected = timeout(deadline, connecting).await;
        let late = |_| EtcdError::Deadline {
            endpoint: member.endpoint.clone(),
            waited_for: Wait::Connection,
            deadline,
        };
        let (requests, driver) = connected.map_err(late)?.map_err(|error| match fault.get() {
            Some((kind, text)) => broken(member, *kind, text),
            None => broken(member, error.kind(), &error.to_string()),
        })?;
        Ok(Self { member, deadline, origin, requests, driver: tokio::spawn(driver), fault })
    }

    /// Returns a client whose calls go over this connection.
    pub(super) fn client(&self) -> MaintenanceClient<Requests> {
        MaintenanceClient::with_origin(Requests(self.requests.clone()), self.origin.clone())
    }

    /// Returns what `call` answers, unless it takes longer than the deadline.
    pub(super) async fn wait<T>(
        &self,
        waited_for: Wait,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, EtcdError> {
        match timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(self.reason(&status)),
            Err(_) => Err(EtcdError::Deadline {
                endpoint: self.member.endpoint.clone(),
                waited_for,
                deadline: self.deadline,
            }),
        }
    }

    /// Returns why a call ended with `status`, which is the member's word only while the connection is whole.
    fn reason(&self, status: &Status) -> EtcdError {
        let endpoint = self.member.endpoint.clone();
        if let Some((kind, text)) = self.fault.get() {
            broken(self.member, *kind, text)
        } else if status.source().is_some() || self.driver.is_finished() {
            EtcdError::Unreachable { endpoint, detail: chain(status) }
        } else {
            let (code, message) = (status.code().into(), status.message().to_owned());
            EtcdError::Status { endpoint, code, message }
        }
    }
}

/// Sends requests over one connection of HTTP/2.
#[derive(Clone)]
pub(super) struct Requests(http2::SendRequest<Body>);

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Returns what an error of the stream to `member` means: TLS calls its own invalid data, which sockets never do.
fn broken(member: &EtcdMember, kind: io::ErrorKind, text: &str) -> EtcdError {
    let (endpoint, detail) = (member.endpoint.clone(), text.to_owned());
    match kind {
        io::ErrorKind::InvalidData => EtcdError::Tls { endpoint, detail },
        _ => EtcdError::Unreachable { endpoint, detail },
    }
}

/// Returns the messages of `error` and all its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

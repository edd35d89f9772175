//! A connection to a runtime, and calls that end in time.

use std::error::Error as _;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::super::RuntimeError;
use super::Api;
use super::endpoint::Socket;
use crate::grpc::{Requests, chain};

/// An open connection, on which nothing is retried.
pub(super) struct Connection<'a> {
    socket: &'a Socket,
    api: Api,
    grpc: Grpc<Requests>,
    driver: JoinHandle<hyper::Result<()>>,
}

/// Until when something has to be done, and how long that was.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    until: Instant,
    deadline: Duration,
}

impl Limit {
    /// Returns the limit that begins now.
    pub(super) fn after(deadline: Duration) -> Self {
        // A sum beyond what the clock can say would panic.
        Self { until: Instant::now() + deadline.min(LONGEST), deadline }
    }
}

impl<'a> Connection<'a> {
    /// Connects to the runtime at `socket`, to speak `api` with it.
    pub(super) async fn open(socket: &'a Socket, api: Api, limit: Limit) -> Result<Self, RuntimeError> {
        let connecting = async {
            let stream = UnixStream::connect(socket.path()).await.map_err(|error| error.to_string())?;
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            handshake.await.map_err(|error| chain(&error))
        };
        let connected = timeout_at(limit.until, connecting).await;
        let (requests, driver) = connected
            .map_err(|_| late(socket, "the connection", limit))?
            .map_err(|detail| socket.unreachable(detail))?;
        // Servers of gRPC want a name of a host, whatever it is.
        let grpc = Grpc::with_origin(Requests(requests), Uri::from_static("http://localhost"))
            .max_decoding_message_size(LARGEST_ANSWER);
        Ok(Self { socket, api, grpc, driver: tokio::spawn(driver) })
    }

    /// Returns what the runtime answers to `call`, such as `ListContainers`.
    pub(super) async fn call<Q, A>(
        &mut self,
        call: &'static str,
        request: Q,
        limit: Limit,
    ) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = format!("/runtime.{}.RuntimeService/{call}", self.api);
        let path = path.parse().expect("names of calls have letters only");
        let asking = async {
            self.grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            self.grpc.unary(Request::new(request), path, ProstCodec::default()).await
        };
        match timeout_at(limit.until, asking).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.reason(call, &status)),
            Err(_) => Err(late(self.socket, call, limit).into()),
        }
    }

    /// Returns why `call` ended with `status`, which is the runtime's word only while the connection is whole.
    fn reason(&self, call: &'static str, status: &Status) -> Failure {
        if let Some(cause) = status.source() {
            return self.socket.unreachable(one_line(&chain(cause))).into();
        }
        if self.driver.is_finished() {
            return self.socket.unreachable(one_line(status.message())).into();
        }
        let (endpoint, code) = (self.socket.to_string(), status.code());
        let detail = one_line(&format!("{} ({code:?})", status.message()));
        Failure { code: Some(code), error: RuntimeError::Refused { endpoint, call, detail } }
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the runtime itself said; `None` when it was not heard.
    code: Option<Code>,
    error: RuntimeError,
}

impl Failure {
    /// Returns whether the runtime does not know the call, or the version of the API.
    pub(super) fn is_unimplemented(&self) -> bool {
        self.code == Some(Code::Unimplemented)
    }

    /// Returns whether what the call was about is gone.
    pub(super) fn is_not_found(&self) -> bool {
        self.code == Some(Code::NotFound)
    }

    /// Returns whether the runtime answered, and with an error.
    pub(super) const fn is_refusal(&self) -> bool {
        self.code.is_some()
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self { code: None, error }
    }
}

impl From<Failure> for RuntimeError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Returns `text`, which a runtime wrote, as people can be shown it: in one line, and not endless.
pub(super) fn one_line(text: &str) -> String {
    let shown = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    shown.take(LONGEST_TEXT).collect::<String>().trim().to_owned()
}

fn late(socket: &Socket, call: &'static str, limit: Limit) -> RuntimeError {
    RuntimeError::Deadline { endpoint: socket.to_string(), call, deadline: limit.deadline }
}

/// The largest answer in bytes, which is also the kubelet's limit: a full node's list has a tenth of it.
const LARGEST_ANSWER: usize = 16 << 20;

/// In characters. An error of containerd that names a container twice has about 300.
const LONGEST_TEXT: usize = 600;

/// More than anybody waits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

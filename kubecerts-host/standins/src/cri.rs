//! The container runtime interface, as far as a kubelet uses it to run static pods.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::codegen::{BoxFuture, Service};
use tonic::{Code, Status};

#[expect(clippy::enum_variant_names, unreachable_pub, unused_qualifications, reason = "generated code")]
#[rustfmt::skip]
#[path = "generated/runtime.v1.rs"]
mod generated;
pub(crate) use generated::*;

use crate::pod::LABEL_UID;
use runtime_service_client::RuntimeServiceClient;

/// The runtime behind a socket. Each call is a connection of its own, so that one outlives the runtime's restart.
#[derive(Clone, Debug)]
pub(crate) struct Cri {
    socket: PathBuf,
}

impl Cri {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Returns the runtime's name and version.
    pub(crate) fn version(&self) -> Result<String, CriError> {
        let request = VersionRequest { version: "v1".to_owned() };
        let answer = self.call("Version", CALL, async |mut client| client.version(request).await)?;
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    }

    /// Returns all sandboxes, those that failed and those that were stopped included.
    pub(crate) fn sandboxes(&self) -> Result<Vec<PodSandbox>, CriError> {
        let list = async |mut client: Client| client.list_pod_sandbox(Empty {}).await;
        Ok(self.call("ListPodSandbox", CALL, list)?.items)
    }

    /// Returns all containers, those that have ended included.
    pub(crate) fn containers(&self) -> Result<Vec<Container>, CriError> {
        let list = async |mut client: Client| client.list_containers(Empty {}).await;
        Ok(self.call("ListContainers", CALL, list)?.containers)
    }

    /// Returns what is known about a container.
    pub(crate) fn status(&self, container: &str) -> Result<ContainerStatus, CriError> {
        let request = ContainerStatusRequest { container_id: container.to_owned() };
        let answer =
            self.call("ContainerStatus", CALL, async |mut client| client.container_status(request).await)?;
        Ok(answer.status.unwrap_or_default())
    }

    /// Makes a sandbox and starts it. Returns its id.
    pub(crate) fn run_sandbox(&self, config: PodSandboxConfig) -> Result<String, CriError> {
        let request = RunPodSandboxRequest { config: Some(config) };
        let run = async |mut client: Client| client.run_pod_sandbox(request).await;
        Ok(self.call("RunPodSandbox", WORK, run)?.pod_sandbox_id)
    }

    /// Kills what runs in a sandbox, at once, and the sandbox.
    pub(crate) fn stop_sandbox(&self, sandbox: &str) -> Result<(), CriError> {
        let request = StopPodSandboxRequest { pod_sandbox_id: sandbox.to_owned() };
        self.call("StopPodSandbox", WORK, async |mut client| client.stop_pod_sandbox(request).await).map(drop)
    }

    /// Removes a sandbox with all that is in it.
    pub(crate) fn remove_sandbox(&self, sandbox: &str) -> Result<(), CriError> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: sandbox.to_owned() };
        self.call("RemovePodSandbox", WORK, async |mut client| client.remove_pod_sandbox(request).await)
            .map(drop)
    }

    /// Makes a container in a sandbox and starts it. Returns its id.
    pub(crate) fn run_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let create = async |mut client: Client| client.create_container(request).await;
        let id = self.call("CreateContainer", WORK, create)?.container_id;
        let request = StartContainerRequest { container_id: id.clone() };
        self.call("StartContainer", WORK, async |mut client| client.start_container(request).await)?;
        Ok(id)
    }

    /// Asks a container to end, and kills it after `grace`.
    pub(crate) fn stop_container(&self, container: &str, grace: Duration) -> Result<(), CriError> {
        let seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = StopContainerRequest { container_id: container.to_owned(), timeout: seconds };
        // The runtime gives up, and the container lives on, when the caller waits no longer than the grace.
        let stop = async |mut client: Client| client.stop_container(request).await;
        self.call("StopContainer", WORK + grace, stop).map(drop)
    }

    /// Removes a container that has ended.
    pub(crate) fn remove_container(&self, container: &str) -> Result<(), CriError> {
        let request = RemoveContainerRequest { container_id: container.to_owned() };
        self.call("RemoveContainer", CALL, async |mut client| client.remove_container(request).await)
            .map(drop)
    }

    fn call<T>(
        &self,
        name: &'static str,
        deadline: Duration,
        call: impl AsyncFnOnce(Client) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, CriError> {
        let error = |code, detail| CriError { call: name, code, detail };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|reason| error(Code::Internal, reason.to_string()))?;
        let whole = async {
            let client = self.connect().await.map_err(|detail| error(Code::Unavailable, detail))?;
            let answer = call(client).await;
            answer.map(tonic::Response::into_inner).map_err(|status| error(status.code(), reason(&status)))
        };
        let late = |_| error(Code::DeadlineExceeded, format!("no answer within {deadline:?}"));
        runtime.block_on(async { timeout(deadline, whole).await.map_err(late)? })
    }

    async fn connect(&self) -> Result<Client, String> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| error.to_string())?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (requests, driver) = handshake.map_err(|error| error.to_string())?;
        tokio::spawn(driver);
        Ok(Client::with_origin(Requests(requests), Uri::from_static("http://localhost")))
    }
}

impl PodSandbox {
    /// Tells whether it runs; one that failed or was stopped stays in the list.
    pub(crate) fn is_ready(&self) -> bool {
        self.state() == PodSandboxState::SandboxReady
    }

    /// Returns the uid of its pod.
    pub(crate) fn uid(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.uid)
    }

    /// Returns how often the pod's sandbox had been made before.
    pub(crate) fn attempt(&self) -> u32 {
        self.metadata.as_ref().map_or(0, |metadata| metadata.attempt)
    }
}

impl Container {
    /// Tells whether it runs; one that has ended stays in the list.
    pub(crate) fn is_running(&self) -> bool {
        self.state() == ContainerState::ContainerRunning
    }

    /// Returns the uid of its pod.
    pub(crate) fn uid(&self) -> &str {
        self.labels.get(LABEL_UID).map_or("", String::as_str)
    }

    /// Returns how often it had been started before.
    pub(crate) fn attempt(&self) -> u32 {
        self.metadata.as_ref().map_or(0, |metadata| metadata.attempt)
    }
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct CriError {
    pub(crate) call: &'static str,
    pub(crate) code: Code,
    pub(crate) detail: String,
}

impl fmt::Display for CriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.call, self.code, self.detail)
    }
}

type Client = RuntimeServiceClient<Requests>;

/// Sends requests over one connection of HTTP/2.
#[derive(Clone)]
pub(crate) struct Requests(http2::SendRequest<Body>);

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

fn reason(status: &Status) -> String {
    let causes = std::iter::successors(status.source(), |error| (*error).source());
    causes.fold(status.message().to_owned(), |text, cause| format!("{text}: {cause}"))
}

/// Questions are answered within milliseconds, unless the machine is very busy.
const CALL: Duration = Duration::from_secs(10);

/// What starts or ends processes takes a few hundred milliseconds, and far longer on a busy machine.
const WORK: Duration = Duration::from_secs(60);

//! The Container Runtime Interface, which containerd, CRI-O and cri-dockerd serve on a unix socket.
//!
//! [`Cri`] speaks v1 and v1alpha2, which Kubernetes 1.20 to 1.25 used: a runtime that does not know the newer one is asked
//! over the older one. The messages are generated from `proto/cri.proto` and checked in; the test `cri_protocol` makes
//! them anew and compares.
//!
//! Every operation opens a connection of its own, so that a runtime that was restarted in between is no matter, and
//! nothing is retried.
//!
//! It is tried with a runtime that is a script, in the unit tests, and in `tests/cri.rs` with containerd 1.6 and 1.7.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Builder;

use super::{Pod, Runtime, RuntimeError};

mod connection;
mod endpoint;
#[cfg(test)]
mod fake;
#[expect(clippy::enum_variant_names, unreachable_pub, reason = "generated code")]
#[rustfmt::skip]
#[path = "../generated/runtime.v1.rs"]
mod generated;
mod list;
mod pods;
mod remove;
#[cfg(test)]
mod tests;

use connection::{Connection, Limit, one_line};
use endpoint::Socket;
use generated::{VersionRequest, VersionResponse};

pub use remove::grace;

/// A container runtime that is reached over the Container Runtime Interface.
///
/// It takes away static pods of the namespace `kube-system` only, and only those that run a component of the control
/// plane: [`Runtime::pods`] of anything else has nothing.
///
/// ```no_run
/// use std::time::Duration;
///
/// use kubecerts_host::runtime::{Cri, Runtime as _};
///
/// let mut runtime = Cri::connect("unix:///run/containerd/containerd.sock", Duration::from_secs(5))?;
/// for pod in runtime.pods()? {
///     println!("{} runs: {}", pod.name, pod.is_ready);
/// }
/// # Ok::<(), kubecerts_host::runtime::RuntimeError>(())
/// ```
///
/// # Panics
/// Its methods, when they are called within an asynchronous runtime: they block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cri {
    socket: Socket,
    api: Api,
    deadline: Duration,
    stop_deadline: Duration,
    name: String,
    version: String,
}

/// A version of the Container Runtime Interface.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Api {
    /// `runtime.v1`, since containerd 1.6 and CRI-O 1.20; the only one that a kubelet of 1.26 or later speaks.
    V1,
    /// `runtime.v1alpha2`, which containerd serves until 1.7.
    V1Alpha2,
}

impl Api {
    /// Returns what the kubelet calls it: `v1` or `v1alpha2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Alpha2 => "v1alpha2",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Cri {
    /// Asks the runtime at `endpoint` what it is, over v1 or, when it does not know that, over v1alpha2.
    ///
    /// `endpoint` is what the kubelet is given: `unix:///run/containerd/containerd.sock`, or the bare path. `deadline`
    /// bounds this call and later each listing, as a whole; what stops something has
    /// [its own](Self::with_stop_deadline).
    ///
    /// # Errors
    /// [`RuntimeError::Endpoint`] when `endpoint` is no path of a unix socket, and the other errors when nothing answers
    /// there, or something else than a container runtime.
    pub fn connect(endpoint: &str, deadline: Duration) -> Result<Self, RuntimeError> {
        Self::negotiate(endpoint, &[Api::V1, Api::V1Alpha2], deadline)
    }

    /// Asks the runtime at `endpoint` what it is, over `api` and nothing else.
    ///
    /// # Errors
    /// Those of [`Cri::connect`], and [`RuntimeError::Refused`] when the runtime does not know `api`.
    pub fn connect_with(endpoint: &str, api: Api, deadline: Duration) -> Result<Self, RuntimeError> {
        Self::negotiate(endpoint, &[api], deadline)
    }

    /// Sets how long the runtime may take to stop or to remove one pod; two minutes unless it is set.
    ///
    /// A runtime gives up what it does when nobody waits for it any more, and leaves the pod running: a time that is
    /// shorter than what a busy node needs makes a restart impossible. The [grace] that a component gets comes on top.
    #[must_use]
    pub fn with_stop_deadline(self, stop_deadline: Duration) -> Self {
        Self { stop_deadline, ..self }
    }

    /// Returns what the runtime calls itself, such as `containerd`.
    #[must_use]
    pub fn runtime_name(&self) -> &str {
        &self.name
    }

    /// Returns the version of the runtime, which is free text, such as `1.7.24~ds1`.
    #[must_use]
    pub fn runtime_version(&self) -> &str {
        &self.version
    }

    /// Returns the version of the interface that is spoken.
    #[must_use]
    pub const fn api(&self) -> Api {
        self.api
    }

    /// Returns the runtime at `endpoint`, over the first of `apis` that it knows.
    fn negotiate(endpoint: &str, apis: &[Api], deadline: Duration) -> Result<Self, RuntimeError> {
        let socket = Socket::parse(endpoint)?;
        let (api, version) = block_on(&socket, async {
            let limit = Limit::after(deadline);
            let mut apis = apis.iter().copied().peekable();
            loop {
                let api = apis.next().expect("there is at least one");
                // A kubelet, too, says the version of its own API here and not the runtime's.
                let request = VersionRequest { version: "0.1.0".to_owned() };
                let mut connection = Connection::open(&socket, api, limit).await?;
                match connection.call::<_, VersionResponse>("Version", request, limit).await {
                    Err(failure) if failure.is_unimplemented() && apis.peek().is_some() => {}
                    answer => return Ok((api, answer?)),
                }
            }
        })?;
        Ok(Self {
            socket,
            api,
            deadline,
            stop_deadline: STOP_DEADLINE,
            name: one_line(&version.runtime_name),
            version: one_line(&version.runtime_version),
        })
    }
}

impl Runtime for Cri {
    fn describe(&self) -> String {
        let Self { socket, api, name, version, deadline: _, stop_deadline: _ } = self;
        format!("{name} {version} (CRI {api} at {socket})")
    }

    fn pods(&mut self) -> Result<Vec<Pod>, RuntimeError> {
        block_on(&self.socket, list::pods(self))
    }

    fn remove(&mut self, pod: &Pod) -> Result<(), RuntimeError> {
        block_on(&self.socket, remove::remove(self, pod))
    }
}

/// Runs `work`, which talks to the runtime at `socket`, until it is done.
fn block_on<T>(
    socket: &Socket,
    work: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let unable = |error: std::io::Error| socket.unreachable(error.to_string());
    runtime.map_err(unable)?.block_on(work)
}

/// Stopping a pod takes 0.1 to 0.5 seconds where nothing else happens; a node whose disk is busy can take a hundred times
/// as long. It is what the kubelet waits for any call.
const STOP_DEADLINE: Duration = Duration::from_secs(120);

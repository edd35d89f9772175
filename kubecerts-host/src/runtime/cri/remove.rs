//! Takes a pod away, so that the kubelet makes it anew without waiting.
//!
//! What runtimes were seen to do, and what is done about it:
//!
//! * Stopping a sandbox kills its containers at once. Components that should end in peace are stopped before; see [`grace`].
//! * Stopping a sandbox that is gone is an error in containerd 1.6 and none in 1.7: it is asked for before.
//! * Stopping a sandbox that was never set up can fail for ever: what decides is whether it can be removed, and, if it
//!   cannot, whether anything runs in it.

use std::time::Duration;

use kubecerts_core::catalog::Component;

use super::super::{Pod, RuntimeError};
use super::connection::{Connection, Failure, Limit};
use super::generated::{
    ContainerFilter, ContainerState, PodSandboxFilter, PodSandboxState, RemovePodSandboxRequest,
    RemovePodSandboxResponse, StopContainerRequest, StopContainerResponse, StopPodSandboxRequest,
    StopPodSandboxResponse,
};
use super::{Cri, list};

/// Returns how long a container of `component` may take to end before it is killed; `None` when it is killed at once.
///
/// etcd gets 10 seconds, in which it flushes its log and hands the leadership to another member: it took 0.1 to 7 seconds
/// on control planes of 1.20 and 1.36. The API server holds nothing that a kill would lose, and with its watches open it
/// never ended before any time was over; the controller-manager and the scheduler hold nothing either.
#[must_use]
pub const fn grace(component: Component) -> Option<Duration> {
    match component {
        Component::Etcd => Some(Duration::from_secs(10)),
        _ => None,
    }
}

/// Stops the containers of `pod` and removes its sandbox.
pub(super) async fn remove(cri: &Cri, pod: &Pod) -> Result<(), RuntimeError> {
    let id = &pod.sandbox;
    let limit = Limit::after(cri.deadline);
    let mut connection = Connection::open(&cri.socket, cri.api, limit).await?;
    // This shows a runtime that hangs, too, before the long time of a stop is spent on it.
    let inside = inside(&mut connection, id, limit).await?;
    if !inside.exists {
        return Ok(());
    }

    if let Some(grace) = grace(pod.component) {
        for container_id in inside.running {
            let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
            let request = StopContainerRequest { container_id, timeout };
            // A runtime lets a container run on when nobody waits until it is killed.
            let limit = Limit::after(cri.stop_deadline.saturating_add(grace));
            let stopped: Result<StopContainerResponse, _> =
                connection.call("StopContainer", request, limit).await;
            // Whatever it refuses here, stopping the sandbox ends the container.
            unless_refused(stopped)?;
        }
    }
    let request = StopPodSandboxRequest { pod_sandbox_id: id.clone() };
    let limit = Limit::after(cri.stop_deadline);
    let stopped: Result<StopPodSandboxResponse, _> = connection.call("StopPodSandbox", request, limit).await;
    unless_refused(stopped)?;

    let request = RemovePodSandboxRequest { pod_sandbox_id: id.clone() };
    let limit = Limit::after(cri.stop_deadline);
    let removed: Result<RemovePodSandboxResponse, _> =
        connection.call("RemovePodSandbox", request, limit).await;
    let Err(failure) = removed else { return Ok(()) };
    if failure.is_not_found() {
        return Ok(());
    }
    if failure.is_refusal() && !self::inside(&mut connection, id, Limit::after(cri.deadline)).await?.runs() {
        // Remains that lie about take no port and hold no credential, and the kubelet makes a new sandbox beside them.
        return Ok(());
    }
    Err(failure.into())
}

/// What a runtime knows of a sandbox.
struct Inside {
    exists: bool,
    is_ready: bool,
    /// The ids of its containers that run.
    running: Vec<String>,
}

impl Inside {
    const fn runs(&self) -> bool {
        self.is_ready || !self.running.is_empty()
    }
}

async fn inside(
    connection: &mut Connection<'_>,
    sandbox: &str,
    limit: Limit,
) -> Result<Inside, RuntimeError> {
    let filter = PodSandboxFilter { id: sandbox.to_owned(), ..PodSandboxFilter::default() };
    let listed = list::sandboxes(connection, filter, limit).await?;
    // A runtime may take the beginning of an id for the id.
    let found = listed.into_iter().find(|candidate| candidate.id == sandbox);
    let filter = ContainerFilter { pod_sandbox_id: sandbox.to_owned(), ..ContainerFilter::default() };
    let mut containers = list::containers(connection, filter, limit).await?;
    containers.retain(|container| {
        container.pod_sandbox_id == sandbox && container.state() == ContainerState::ContainerRunning
    });
    Ok(Inside {
        exists: found.is_some(),
        is_ready: found.is_some_and(|found| found.state() == PodSandboxState::SandboxReady),
        running: containers.into_iter().map(|container| container.id).collect(),
    })
}

/// Returns the error of a call that the runtime did not answer; that it refused is no error.
fn unless_refused<T>(result: Result<T, Failure>) -> Result<(), RuntimeError> {
    match result {
        Err(failure) if !failure.is_refusal() => Err(failure.into()),
        _ => Ok(()),
    }
}

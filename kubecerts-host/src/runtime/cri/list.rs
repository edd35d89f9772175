//! Lists the pods of the control plane.

use super::super::{Container, Pod, RuntimeError};
use super::connection::{Connection, Limit};
use super::generated::{
    ContainerFilter, ContainerStatusRequest, ContainerStatusResponse, ListContainersRequest,
    ListContainersResponse, ListPodSandboxRequest, ListPodSandboxResponse, PodSandboxFilter,
};
use super::pods::{control_plane, selector, started};
use super::{Cri, generated as wire};

/// Returns the pods of the control plane, with the times at which their containers were started.
pub(super) async fn pods(cri: &Cri) -> Result<Vec<Pod>, RuntimeError> {
    let limit = Limit::after(cri.deadline);
    let mut connection = Connection::open(&cri.socket, cri.api, limit).await?;
    let sandboxes =
        sandboxes(&mut connection, PodSandboxFilter { label_selector: selector(), id: String::new() }, limit);
    let sandboxes = sandboxes.await?;
    let filter = ContainerFilter { label_selector: selector(), pod_sandbox_id: String::new() };
    let containers = containers(&mut connection, filter, limit).await?;

    let mut pods = control_plane(sandboxes, &containers);
    for pod in &mut pods {
        let mut known = Vec::with_capacity(pod.containers.len());
        for container in pod.containers.drain(..) {
            known.extend(with_start(&mut connection, container, limit).await?);
        }
        known.sort();
        pod.containers = known;
    }
    pods.sort();
    Ok(pods)
}

/// Returns the sandboxes that `filter` lets through.
pub(super) async fn sandboxes(
    connection: &mut Connection<'_>,
    filter: PodSandboxFilter,
    limit: Limit,
) -> Result<Vec<wire::PodSandbox>, RuntimeError> {
    let request = ListPodSandboxRequest { filter: Some(filter) };
    let answer: ListPodSandboxResponse = connection.call("ListPodSandbox", request, limit).await?;
    Ok(answer.items)
}

/// Returns the containers that `filter` lets through.
pub(super) async fn containers(
    connection: &mut Connection<'_>,
    filter: ContainerFilter,
    limit: Limit,
) -> Result<Vec<wire::Container>, RuntimeError> {
    let request = ListContainersRequest { filter: Some(filter) };
    let answer: ListContainersResponse = connection.call("ListContainers", request, limit).await?;
    Ok(answer.containers)
}

/// Returns `container` with the time at which it was started; `None` when it has gone since it was listed.
async fn with_start(
    connection: &mut Connection<'_>,
    container: Container,
    limit: Limit,
) -> Result<Option<Container>, RuntimeError> {
    let request = ContainerStatusRequest { container_id: container.id.clone() };
    match connection.call::<_, ContainerStatusResponse>("ContainerStatus", request, limit).await {
        Ok(answer) => {
            let status = answer.status.unwrap_or_default();
            Ok(Some(Container { started: started(status.started_at), ..container }))
        }
        Err(failure) if failure.is_not_found() => Ok(None),
        // Remains of a failed start can be in a state that the runtime cannot tell, and are nobody's business.
        Err(failure) if failure.is_refusal() && !container.is_running => Ok(Some(container)),
        Err(failure) => Err(failure.into()),
    }
}

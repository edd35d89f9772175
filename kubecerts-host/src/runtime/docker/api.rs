//! What Docker Engine says and how dockershim and cri-dockerd mark what belongs to a pod.
//!
//! Marks: `pkg/kubelet/dockershim/helpers.go` of Kubernetes 1.20, `core/convert.go` of cri-dockerd.

use std::collections::BTreeMap;
use std::fmt;

use kubecerts_core::catalog::Component;
use kubecerts_core::time::Moment;
use serde::Deserialize;

use crate::runtime::{Container, Pod};

/// A version of the API, such as 1.41.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// Docker 1.12, the oldest that engines of today speak.
    pub(super) const OLDEST: Self = Self { major: 1, minor: 24 };
    /// Docker 28.5, the newest that was tried.
    const NEWEST: Self = Self { major: 1, minor: 51 };

    /// Returns the newest version that both sides speak; an engine that names no oldest one speaks them all.
    pub(super) fn agree(engine_oldest: Option<&str>, engine_newest: &str) -> Result<Self, String> {
        let parse = |text| Self::parse(text).ok_or_else(|| format!("{text:?} is no version of its API"));
        let newest = parse(engine_newest)?;
        let oldest = match engine_oldest {
            Some(text) if !text.is_empty() => parse(text)?,
            _ => Self::OLDEST,
        };
        let agreed = newest.min(Self::NEWEST);
        if agreed >= oldest.max(Self::OLDEST) {
            return Ok(agreed);
        }
        let (first, last) = (Self::OLDEST, Self::NEWEST);
        Err(format!(
            "it speaks versions {oldest} to {newest} of its API, and only {first} to {last} are known"
        ))
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// `GET /version`.
#[derive(Deserialize)]
pub(super) struct Version {
    #[serde(rename = "Version")]
    pub(super) version: String,
    #[serde(rename = "ApiVersion")]
    pub(super) api_version: String,
    #[serde(rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
}

/// An entry of `GET /containers/json`.
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "State", default)]
    state: String,
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

/// `GET /containers/ID/json`.
#[derive(Deserialize)]
pub(super) struct Inspected {
    #[serde(rename = "State")]
    state: InspectedState,
}

#[derive(Deserialize)]
struct InspectedState {
    /// Set as well while it is paused.
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "StartedAt", default)]
    started_at: String,
}

impl Inspected {
    pub(super) fn is_running(&self) -> bool {
        self.state.running
    }

    /// Returns when it was started; Docker writes the first moment of year 1 for never.
    pub(super) fn started(&self) -> Option<Moment> {
        let text = self.state.started_at.as_str();
        Moment::parse_rfc3339(text).ok().filter(|_| !text.starts_with("0001-"))
    }
}

/// `{"label":["io.kubernetes.docker.type"]}`, encoded for a query: whatever the kubelet made.
pub(super) const FILTER: &str = "%7B%22label%22%3A%5B%22io.kubernetes.docker.type%22%5D%7D";

const TYPE: &str = "io.kubernetes.docker.type";
const SANDBOX: &str = "io.kubernetes.sandbox.id";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD: &str = "io.kubernetes.pod.name";
const UID: &str = "io.kubernetes.pod.uid";
const CONTAINER: &str = "io.kubernetes.container.name";
/// Annotations are labels with this in front. A pod that comes from the API server says `api` here.
const SOURCE: &str = "annotation.kubernetes.io/config.source";

/// Returns the control plane's pods among `listed`, sorted. Containers whose sandbox is gone make a pod that is not ready.
///
/// A static pod has the name of its manifest's pod, to which the kubelet appends the node's name. As a name alone is weak
/// (`etcd-operator-0`), the label, a container or the source has to agree.
pub(super) fn pods(listed: Vec<Listed>) -> Vec<Pod> {
    let mut pods: BTreeMap<String, (Pod, bool)> = BTreeMap::new();
    for Listed { id, state, labels } in listed {
        let labels = labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
        let is_sandbox = match label(TYPE) {
            "podsandbox" => true,
            "container" => false,
            _ => continue,
        };
        let sandbox = if is_sandbox { id.as_str() } else { label(SANDBOX) };
        let is_ours = label(NAMESPACE) == "kube-system" && matches!(label(SOURCE), "" | "file");
        let Some(component) = component(label(POD)).filter(|_| is_ours && is_id(&id) && is_id(sandbox))
        else {
            continue;
        };
        let (pod, agrees) = pods.entry(sandbox.to_owned()).or_insert_with(|| {
            let mut pod = Pod::new(component, sandbox, Vec::new());
            (pod.name, pod.uid, pod.is_ready) = (label(POD).to_owned(), label(UID).to_owned(), false);
            (pod, false)
        });
        let is_running = matches!(state.as_str(), "running" | "paused" | "restarting");
        if is_sandbox {
            pod.is_ready = is_running;
            *agrees |= label("component") == component.name() || label(SOURCE) == "file";
        } else {
            let mut container = Container::new(component, &id, None);
            (container.name, container.is_running) = (label(CONTAINER).to_owned(), is_running);
            *agrees |= container.name == component.name();
            pod.containers.push(container);
        }
    }
    let mut pods: Vec<Pod> = pods.into_values().filter(|(_, agrees)| *agrees).map(|(pod, _)| pod).collect();
    for pod in &mut pods {
        pod.containers.sort();
    }
    pods.sort();
    pods
}

/// Returns the component whose static pod has this name, as a name goes.
fn component(pod: &str) -> Option<Component> {
    // The kubelet itself is no pod.
    Component::ALL.into_iter().filter(|component| *component != Component::Kubelet).find(|component| {
        pod.strip_prefix(component.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

/// Returns whether `text` can be put into a path as an id.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns whether a conflict is that the container is being removed already.
pub(super) fn is_in_progress(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("already in progress")
}

/// Returns what an answer that is no success says: JSON with a message as a rule, a text or a page sometimes.
pub(super) fn message(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = match serde_json::from_slice::<Message>(body) {
        Ok(Message { message }) => plain(message.as_bytes()),
        Err(_) => plain(body),
    };
    if text.is_empty() { format!("status {status}") } else { text }
}

/// Returns the beginning of a text from outside, in one line that is fit for a terminal.
pub(super) fn plain(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(1024)];
    let text = String::from_utf8_lossy(start);
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    line.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests;

//! Which container runtime a node has, on whose word.
//!
//! What the caller says comes first, then what the kubelet was told, and only when nobody says anything the sockets that
//! exist. What is stated is never given up for something else that happens to answer.

use std::fmt;
use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use kubecerts_core::catalog::KubernetesVersion;
use kubecerts_core::snapshot::NodeFacts;

use super::{Cri, Docker, Runtime, RuntimeError};

/// Decides which runtime the node has. `exists` tells whether there is a socket at a path; [`is_socket`] for this host.
///
/// # Errors
/// [`SelectError`] when nothing or more than one thing comes into question, or the arguments contradict each other.
pub fn select(
    arguments: &RuntimeArguments,
    node: &NodeFacts,
    exists: &dyn Fn(&str) -> bool,
) -> Result<RuntimeChoice, SelectError> {
    let choice = |kind, endpoint: &str, reason| {
        Ok(RuntimeChoice { kind, endpoint: Some(endpoint.to_owned()), reason })
    };
    let flag = |name| node.kubelet_flags().flag(name).filter(|text| !text.is_empty());
    let stated = node.runtime_endpoint().map(|stated| stated.value);
    match (arguments.kind, arguments.cri_socket.as_deref()) {
        (Some(RuntimeKind::Manifest), Some(_)) => return Err(SelectError::SocketWithoutRuntime),
        (Some(RuntimeKind::Manifest), None) => {
            return Ok(RuntimeChoice {
                kind: RuntimeKind::Manifest,
                endpoint: None,
                reason: Reason::Argument,
            });
        }
        (Some(kind), Some(socket)) => return choice(kind, socket, Reason::Argument),
        (None, Some(socket)) => {
            let (kind, socket) = kind_of(socket, flag("docker-endpoint"));
            return choice(kind, socket, Reason::Argument);
        }
        (Some(RuntimeKind::Docker), None) => {
            return choice(RuntimeKind::Docker, docker(flag("docker-endpoint"), exists), Reason::Argument);
        }
        (Some(RuntimeKind::Cri) | None, None) => {}
    }
    let may_be_docker = arguments.kind.is_none();
    if may_be_docker && flag("container-runtime") == Some("docker") {
        return choice(RuntimeKind::Docker, docker(flag("docker-endpoint"), exists), Reason::Kubelet);
    }
    if let Some(stated) = stated.as_deref() {
        let (kind, socket) = kind_of(stated, flag("docker-endpoint"));
        if kind == RuntimeKind::Cri || may_be_docker {
            return choice(kind, socket, Reason::Kubelet);
        }
    }
    let docker = docker(flag("docker-endpoint"), exists);
    let has_dockershim = |version| version < DOCKERSHIM_GONE;
    let may_be_dockershim = may_be_docker && flag("container-runtime").is_none() && exists(docker);
    if may_be_dockershim && node.version().is_some_and(has_dockershim) {
        return choice(RuntimeKind::Docker, docker, Reason::KubeletDefault);
    }
    let known = KNOWN_SOCKETS.iter().filter_map(|paths| paths.iter().copied().find(|path| exists(path)));
    let mut found: Vec<(RuntimeKind, &str)> = known.map(|path| (RuntimeKind::Cri, path)).collect();
    // Where the version is unknown, the engine counts as much as its own containerd, which is always beside it.
    if may_be_dockershim && node.version().is_none() {
        found.push((RuntimeKind::Docker, docker));
    }
    match found.as_slice() {
        [(kind, path)] => choice(*kind, path, Reason::OnlySocket),
        [] => Err(SelectError::NoSocket),
        several => {
            let found = several.iter().map(|(_, path)| (*path).to_owned()).collect();
            Err(SelectError::SeveralSockets { found })
        }
    }
}

/// Returns whether there is a socket at `path`; links are followed.
#[must_use]
pub fn is_socket(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// How programs of the control plane are looked at and restarted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RuntimeKind {
    /// A runtime that speaks CRI: containerd, CRI-O, cri-dockerd.
    Cri,
    /// Docker Engine, without what is between it and the kubelet.
    Docker,
    /// None at all: manifests are moved away and back.
    Manifest,
}

/// What the caller says about the runtime.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RuntimeArguments {
    /// `--runtime`: what it is.
    pub kind: Option<RuntimeKind>,
    /// `--cri-socket`: where it listens, a path or `unix://` and a path; with [`RuntimeKind::Docker`] the engine's own.
    pub cri_socket: Option<String>,
}

/// The runtime of a node. Public data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RuntimeChoice {
    /// What it is.
    pub kind: RuntimeKind,
    /// Where it listens, as stated; `None` for [`RuntimeKind::Manifest`].
    pub endpoint: Option<String>,
    /// Who says so.
    pub reason: Reason,
}

impl RuntimeChoice {
    /// Connects to the runtime; `None` for [`RuntimeKind::Manifest`]. `deadline` bounds every call to it.
    ///
    /// # Errors
    /// [`RuntimeError`] when it does not answer. No other one is tried.
    pub fn connect(&self, deadline: Duration) -> Result<Option<Box<dyn Runtime>>, RuntimeError> {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        Ok(match self.kind {
            RuntimeKind::Manifest => None,
            RuntimeKind::Docker => Some(Box::new(Docker::connect(endpoint, deadline)?)),
            RuntimeKind::Cri => Some(Box::new(Cri::connect(endpoint, deadline)?)),
        })
    }
}

/// Who says which runtime it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// The caller.
    Argument,
    /// The kubelet's flags or configuration.
    Kubelet,
    /// The kubelet was told nothing and its version takes Docker then.
    KubeletDefault,
    /// Nobody, but it is the only one whose socket exists.
    OnlySocket,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "as asked for",
            Self::Kubelet => "the kubelet's own",
            Self::KubeletDefault => "the default of this kubelet",
            Self::OnlySocket => "the only one found",
        })
    }
}

/// Why no runtime was chosen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Nothing states one, and no known socket exists.
    #[error("no container runtime was found: the kubelet's files state none, and no known socket exists")]
    NoSocket,
    /// Nothing states one, and several exist.
    #[error("several container runtimes were found, {}: state one with --cri-socket", found.join(" and "))]
    SeveralSockets {
        /// Their sockets, in kubeadm's order.
        found: Vec<String>,
    },
    /// A socket was given for a way that has none.
    #[error("--cri-socket cannot be used where manifests are moved")]
    SocketWithoutRuntime,
}

/// Returns what listens at a stated socket: kubeadm and the kubelet say `dockershim.sock` and mean the kubelet itself in
/// front of Docker.
fn kind_of<'a>(socket: &'a str, docker_endpoint: Option<&'a str>) -> (RuntimeKind, &'a str) {
    match socket.rsplit('/').next() {
        Some("dockershim.sock") => (RuntimeKind::Docker, docker_endpoint.unwrap_or(Docker::SOCKET)),
        Some("docker.sock") => (RuntimeKind::Docker, socket),
        _ => (RuntimeKind::Cri, socket),
    }
}

/// Returns where Docker listens.
fn docker<'a>(stated: Option<&'a str>, exists: &dyn Fn(&str) -> bool) -> &'a str {
    let fallback = || ["/run/docker.sock"].into_iter().find(|path| !exists(Docker::SOCKET) && exists(path));
    stated.or_else(fallback).unwrap_or(Docker::SOCKET)
}

/// The first release whose kubelet has no dockershim and takes no runtime by default.
const DOCKERSHIM_GONE: KubernetesVersion = KubernetesVersion::release(1, 24);

/// The sockets that kubeadm knows (`cmd/kubeadm/app/constants/constants_unix.go`), in its order; of one runtime either path.
const KNOWN_SOCKETS: [[&str; 2]; 3] = [
    ["/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock"],
    ["/var/run/crio/crio.sock", "/run/crio/crio.sock"],
    ["/var/run/cri-dockerd.sock", "/run/cri-dockerd.sock"],
];

#[cfg(test)]
mod tests;

//! The programs of a control plane as containers: which run, since when, and how one is restarted.
//!
//! A [`Runtime`] lists the static pods of a node and takes one away; the kubelet, which has to be alive, makes it anew.

use std::time::Duration;

use kubecerts_core::catalog::Component;
use kubecerts_core::time::Moment;

pub mod cri;
mod docker;
mod http;
mod kubelet;
mod manifest;
mod processes;
mod restarter;
mod select;
mod units;

pub use cri::Cri;
pub use docker::Docker;
pub use kubelet::{KubeletCheck, KubeletHealth, KubeletProcess};
pub use manifest::{LeftBehind, ManifestError, restart_by_manifest, restore_left_behind};
pub use restarter::NodeRestarter;
pub use select::{Reason, RuntimeArguments, RuntimeChoice, RuntimeKind, SelectError, is_socket, select};
pub use units::{Systemctl, UnitError, Units};

/// A container runtime, as far as the control plane of a node is concerned.
pub trait Runtime {
    /// Returns what it is and how it is reached, for people: `containerd 1.7.24, CRI v1 at unix:///run/containerd/containerd.sock`.
    fn describe(&self) -> String;

    /// Returns the pods of the control plane's components, sorted by component, old and failed ones included.
    ///
    /// # Errors
    /// [`RuntimeError`] when the runtime does not answer, or refuses.
    fn pods(&mut self) -> Result<Vec<Pod>, RuntimeError>;

    /// Stops the containers of `pod` and removes it. That it is gone already is no error.
    ///
    /// # Errors
    /// [`RuntimeError`] when the runtime does not answer, or refuses.
    fn remove(&mut self, pod: &Pod) -> Result<(), RuntimeError>;
}

/// A static pod of the control plane. Public data.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Pod {
    /// The component that it runs.
    pub component: Component,
    /// The id of its sandbox: the pause container, whose namespaces the others share.
    pub sandbox: String,
    /// The pod's name, such as `kube-apiserver-cp-1`.
    pub name: String,
    /// The pod's uid, which for a static pod is the hash of its manifest.
    pub uid: String,
    /// Whether the sandbox runs; one that failed or was stopped stays in the list.
    pub is_ready: bool,
    /// The containers in it, sorted.
    pub containers: Vec<Container>,
}

impl Pod {
    /// Returns a pod whose sandbox runs and that has these containers.
    #[must_use]
    pub fn new(component: Component, sandbox: &str, containers: Vec<Container>) -> Self {
        let (name, uid) = (component.name().to_owned(), String::new());
        Self { component, sandbox: sandbox.to_owned(), name, uid, is_ready: true, containers }
    }
}

/// A container of a pod. Public data.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name within the pod, such as `kube-apiserver`.
    pub name: String,
    /// Whether it runs.
    pub is_running: bool,
    /// When it was started, if it ever was.
    pub started: Option<Moment>,
}

impl Container {
    /// Returns a container of the program `component` that has run since `started`.
    #[must_use]
    pub fn new(component: Component, id: &str, started: Option<Moment>) -> Self {
        Self { id: id.to_owned(), name: component.name().to_owned(), is_running: true, started }
    }
}

/// Why a container runtime did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// There is no connection to it.
    #[error("cannot talk to the container runtime at {endpoint}: {detail}")]
    Unreachable {
        /// The socket.
        endpoint: String,
        /// Why not.
        detail: String,
    },
    /// It did not answer in time.
    #[error("the container runtime at {endpoint} did not answer within {deadline:?}: {call}")]
    Deadline {
        /// The socket.
        endpoint: String,
        /// What was asked.
        call: &'static str,
        /// How long was waited.
        deadline: Duration,
    },
    /// It answered with an error.
    #[error("the container runtime at {endpoint} refuses {call}: {detail}")]
    Refused {
        /// The socket.
        endpoint: String,
        /// What was asked.
        call: &'static str,
        /// What it says.
        detail: String,
    },
    /// The socket is named in a way that cannot be used.
    #[error("{endpoint:?} is not a socket of a container runtime: {detail}")]
    Endpoint {
        /// The text.
        endpoint: String,
        /// Why not.
        detail: String,
    },
}

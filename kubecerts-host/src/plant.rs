//! The running side of a node: who looks at its programs and who restarts them, put together.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use kubecerts_core::catalog::{Component, FileSlot, KubeconfigSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Kubeconfig, Source, user_key};
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::x509::PrivateKey;

use crate::etcd::{EtcdMember, cluster_health};
use crate::node::Node;
use crate::probe::{ClientIdentity, NodeProbe, Probe};
use crate::rollout::{self, Crew, Event, Patience, Restarter, Rollout, SystemClock, Task, Undo};
use crate::runtime::{
    LeftBehind, NodeRestarter, Runtime, RuntimeArguments, RuntimeError, RuntimeKind, SelectError, is_socket,
    restore_left_behind, select,
};

/// How the running side of a node is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlantOptions {
    /// What the caller says about the container runtime.
    pub runtime: RuntimeArguments,
    /// How long each single question may take; five seconds by default.
    pub deadline: Duration,
}

impl Default for PlantOptions {
    fn default() -> Self {
        Self { runtime: RuntimeArguments::default(), deadline: Duration::from_secs(5) }
    }
}

/// The running side of a node.
///
/// It looks and restarts with the credentials that a snapshot had: after a renewal make another one.
pub struct Plant {
    probe: NodeProbe,
    restarter: Box<dyn Restarter>,
    runtime: String,
    gaps: Vec<String>,
}

impl Plant {
    /// Returns the running side of `node`, which has to be this host, with the credentials in `snapshot`.
    ///
    /// A runtime that cannot be chosen or does not answer is no error as long as one only looks: it is noted in what is observed,
    /// and processes are looked for instead.
    ///
    /// # Errors
    /// [`PlantError`] when the node is not this host, or the caller's own choice of a runtime does not work.
    pub fn of(node: &Node, snapshot: &Snapshot, options: &PlantOptions) -> Result<Self, PlantError> {
        if !node.is_this_host() {
            return Err(PlantError::NotThisHost);
        }
        let PlantOptions { runtime: arguments, deadline } = options;
        let facts = snapshot.node();
        let is_asked_for = *arguments != RuntimeArguments::default();
        let mut gaps = Vec::new();
        let mut described = "the list of processes".to_owned();
        let mut connected = [None, None];
        let mut moves_manifests = false;
        match select(arguments, facts, &is_socket) {
            Ok(choice) => {
                moves_manifests = choice.kind == RuntimeKind::Manifest;
                // Who looks and who restarts have a connection each.
                for connection in &mut connected {
                    match choice.connect(*deadline) {
                        Ok(runtime) => *connection = runtime,
                        Err(error) if is_asked_for => return Err(error.into()),
                        Err(error) => gaps.push(error.to_string()),
                    }
                }
            }
            Err(error) if is_asked_for => return Err(error.into()),
            Err(error) => gaps.push(error.to_string()),
        }
        let [looking, restarting] = connected;
        if let Some(runtime) = &looking {
            described = runtime.describe();
        }
        gaps.dedup();
        let restarter: Box<dyn Restarter> = if restarting.is_some() || moves_manifests {
            Box::new(NodeRestarter::of_node(facts, restarting))
        } else {
            Box::new(Unreachable { units: NodeRestarter::of_node(facts, None), gaps: gaps.clone() })
        };
        let probe = probe(snapshot, looking, *deadline);
        Ok(Self { probe, restarter, runtime: described, gaps })
    }

    /// Returns what is asked for containers, for people.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Moves back the manifests that an interrupted restart had moved away, and returns them.
    ///
    /// # Errors
    /// The reason, in one line, when the directory cannot be read or written.
    pub fn restore_manifests(node: &Node, snapshot: &Snapshot) -> Result<Vec<LeftBehind>, String> {
        let directory = &snapshot.node().directories().manifests;
        let host = node.root().directory().join(directory.as_str().trim_start_matches('/'));
        restore_left_behind(&host).map_err(|error| error.to_string())
    }

    /// Carries out `tasks`: see [`rollout::roll_out`].
    pub fn roll_out(
        &mut self,
        tasks: &[Task],
        inventory: &Inventory,
        patience: Patience,
        undo: Option<&mut Undo<'_>>,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Rollout {
        let mut clock = SystemClock::default();
        let mut probe = Noting { probe: &mut self.probe, gaps: &self.gaps };
        let mut crew = Crew { restarter: self.restarter.as_mut(), probe: &mut probe, clock: &mut clock };
        rollout::roll_out(tasks, inventory, patience, &mut crew, undo, observer)
    }

    /// Looks at `components` until they use everything in `inventory`, or `deadline` is over, and returns what was seen last.
    pub fn wait(
        &mut self,
        components: &BTreeSet<Component>,
        inventory: &Inventory,
        deadline: Duration,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Observations {
        let mut probe = Noting { probe: &mut self.probe, gaps: &self.gaps };
        rollout::wait(components, inventory, deadline, &mut probe, &mut SystemClock::default(), observer)
    }
}

impl Probe for Plant {
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations {
        Noting { probe: &mut self.probe, gaps: &self.gaps }.observe(components)
    }
}

impl fmt::Debug for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, restarter: _, runtime, gaps } = self;
        f.debug_struct("Plant")
            .field("probe", probe)
            .field("runtime", runtime)
            .field("gaps", gaps)
            .finish_non_exhaustive()
    }
}

/// Why the running side of a node cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlantError {
    /// The node is a directory with the files of another machine, where nothing runs.
    #[error("what runs can only be looked at on the node itself")]
    NotThisHost,
    /// The runtime that was asked for cannot be chosen.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The runtime that was asked for does not answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A probe that also notes why there is no container runtime to ask.
struct Noting<'a> {
    probe: &'a mut NodeProbe,
    gaps: &'a [String],
}

impl Probe for Noting<'_> {
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations {
        let mut seen = self.probe.observe(components);
        seen.gaps.extend_from_slice(self.gaps);
        seen.sort();
        seen
    }
}

/// Restarts units, and says why no pod can be restarted.
struct Unreachable {
    units: NodeRestarter,
    gaps: Vec<String>,
}

impl Restarter for Unreachable {
    fn restart(
        &mut self,
        component: Component,
        deadline: Duration,
    ) -> Result<rollout::Method, rollout::RestartError> {
        if component == Component::Kubelet {
            return self.units.restart(component, deadline);
        }
        let detail = self.gaps.join("; ");
        Err(rollout::RestartError::NoRuntime { component, detail })
    }
}

fn probe(snapshot: &Snapshot, runtime: Option<Box<dyn Runtime>>, deadline: Duration) -> NodeProbe {
    let mut probe = NodeProbe::new(snapshot.node().endpoints().to_vec()).with_deadline(deadline);
    if let Some(runtime) = runtime {
        probe = probe.with_runtime(runtime);
    }
    if let Some(identity) = identity(snapshot) {
        probe = probe.with_identity(identity);
    }
    if let Ok(member) = EtcdMember::of_node(snapshot) {
        probe = probe.with_etcd(move || cluster_health(&member, deadline).map_err(|error| error.to_string()));
    }
    probe
}

/// Returns the administrator, as whom a program is asked that does not answer everybody.
fn identity(snapshot: &Snapshot) -> Option<ClientIdentity> {
    let bytes = snapshot.file(FileSlot::Kubeconfig(KubeconfigSlot::Admin)).content()?.secret_bytes();
    let kubeconfig = Kubeconfig::parse(bytes).ok()?;
    let user = kubeconfig.current().ok()?.user;
    let Source::Data(chain) = user.client_certificate() else { return None };
    let key = PrivateKey::parse(user_key(bytes, user.name())?.secret_bytes()).ok()?;
    ClientIdentity::new(chain, &key).ok()
}

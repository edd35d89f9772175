//! Restarts the programs of a node by whatever means the node has.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::{Component, Service};
use kubecerts_core::snapshot::NodeFacts;

use super::kubelet::{KubeletCheck, KubeletHealth, KubeletProcess};
use super::manifest::restart_by_manifest;
use super::units::{Systemctl, Units};
use super::{Pod, Runtime, RuntimeError, processes};
use crate::rollout::{Method, RestartError, Restarter};

/// Restarts the static pods of this host through its runtime or by their manifests, and units through systemd.
///
/// No pod is stopped while the kubelet is not alive or the pod's manifest is not there, as it would not come back.
pub struct NodeRestarter {
    manifests: BTreeMap<Component, PathBuf>,
    runtime: Option<Box<dyn Runtime>>,
    moves_manifests: bool,
    kubelet: Box<dyn KubeletCheck>,
    units: Box<dyn Units>,
    proc: PathBuf,
}

impl NodeRestarter {
    /// Returns what restarts the programs of `node`, which is this host, with `runtime`; without one, manifests are moved.
    #[must_use]
    pub fn of_node(node: &NodeFacts, runtime: Option<Box<dyn Runtime>>) -> Self {
        let path = |component| Some((component, PathBuf::from(node.manifest(component)?.as_str())));
        let restarter = Self::new(Component::ALL.into_iter().filter_map(path).collect(), runtime);
        // A kubelet that crashes again and again is there as a process now and then, and answers nobody.
        let health = node.endpoints().iter().find(|endpoint| endpoint.service == Service::KubeletHealth);
        match health.and_then(|health| Some(SocketAddr::new(health.host.parse().ok()?, health.port))) {
            Some(address) => restarter.with_kubelet(KubeletHealth::new(address, KUBELET_DEADLINE)),
            None => restarter,
        }
    }

    /// Returns what restarts the components that have these manifests, with `runtime`; without one, manifests are moved.
    #[must_use]
    pub fn new(manifests: BTreeMap<Component, PathBuf>, runtime: Option<Box<dyn Runtime>>) -> Self {
        Self {
            manifests,
            moves_manifests: runtime.is_none(),
            runtime,
            kubelet: Box::new(KubeletProcess),
            units: Box::new(Systemctl::default()),
            proc: PathBuf::from("/proc"),
        }
    }

    /// Moves manifests even though there is a runtime, which then only tells when the pod is gone.
    #[must_use]
    pub fn moving_manifests(mut self) -> Self {
        self.moves_manifests = true;
        self
    }

    /// Has the kubelet looked at by `kubelet`, instead of for its process.
    #[must_use]
    pub fn with_kubelet(mut self, kubelet: impl KubeletCheck + 'static) -> Self {
        self.kubelet = Box::new(kubelet);
        self
    }

    /// Has units restarted by `units`, instead of by `systemctl`.
    #[must_use]
    pub fn with_units(mut self, units: impl Units + 'static) -> Self {
        self.units = Box::new(units);
        self
    }

    fn restart_unit(
        &mut self,
        component: Component,
        unit: &str,
        deadline: Duration,
    ) -> Result<Method, RestartError> {
        let failed = |error| of_unit(component, &error);
        if !self.units.is_in_use(unit, deadline).map_err(|error| not_stopped(component, &error))? {
            let detail = format!("it has no manifest, and the unit {unit} is not in use");
            return Err(RestartError::NotFound { component, detail });
        }
        self.units.restart(unit, deadline).map_err(failed)?;
        Ok(Method::Unit(unit.to_owned()))
    }

    fn restart_pod(
        &mut self,
        component: Component,
        manifest: &Path,
        deadline: Duration,
    ) -> Result<Method, RestartError> {
        if !manifest.is_file() {
            let detail = format!("{} is not there, so it would not come back", manifest.display());
            return Err(RestartError::NotFound { component, detail });
        }
        self.kubelet.alive().map_err(|detail| RestartError::NoKubelet { component, detail })?;
        match &mut self.runtime {
            Some(runtime) if !self.moves_manifests => remove_pods(component, runtime.as_mut(), deadline)
                .map(|sandboxes| Method::PodRemoved { sandboxes }),
            runtime => {
                let (proc, mut runtime) = (&self.proc, runtime.as_deref_mut());
                let mut still_there = || match &mut runtime {
                    Some(runtime) => running_pods(component, *runtime),
                    None => running_processes(component, proc),
                };
                let found = still_there().map_err(|error| not_stopped(component, &error))?;
                if found.is_empty() {
                    let detail = "nothing of it runs".to_owned();
                    return Err(RestartError::NotFound { component, detail });
                }
                restart_by_manifest(manifest, &mut still_there, deadline)
                    .map_err(|error| of_manifest(component, error))?;
                Ok(Method::ManifestMoved)
            }
        }
    }
}

impl Restarter for NodeRestarter {
    fn restart(&mut self, component: Component, deadline: Duration) -> Result<Method, RestartError> {
        if component == Component::Kubelet {
            // It need not be in use: an administrator may have stopped it to look at it.
            return match self.units.restart(KUBELET_UNIT, deadline) {
                Ok(()) => Ok(Method::Unit(KUBELET_UNIT.to_owned())),
                Err(error) => Err(of_unit(component, &error)),
            };
        }
        match self.manifests.get(&component).cloned() {
            Some(manifest) => self.restart_pod(component, &manifest, deadline),
            None if component == Component::Etcd => self.restart_unit(component, ETCD_UNIT, deadline),
            None => {
                let detail = "it has no manifest on this node".to_owned();
                Err(RestartError::NotFound { component, detail })
            }
        }
    }
}

impl fmt::Debug for NodeRestarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runtime = self.runtime.as_ref().map(|runtime| runtime.describe());
        f.debug_struct("NodeRestarter")
            .field("manifests", &self.manifests)
            .field("runtime", &runtime)
            .field("moves_manifests", &self.moves_manifests)
            .finish_non_exhaustive()
    }
}

/// Removes the pods of `component` that run and what failed ones of the same name have left, and returns the sandboxes removed,
/// once nothing of them runs.
fn remove_pods(
    component: Component,
    runtime: &mut dyn Runtime,
    deadline: Duration,
) -> Result<Vec<String>, RestartError> {
    let started = Instant::now();
    let mut pods = runtime.pods().map_err(|error| not_stopped(component, &error))?;
    pods.retain(|pod| pod.component == component);
    // A component that crashes again and again may have nothing but failed pods; they are all that can be removed then.
    let (running, failed): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(runs);
    if running.is_empty() && failed.is_empty() {
        let detail = format!("{} has no pod of it", runtime.describe());
        return Err(RestartError::NotFound { component, detail });
    }
    let mut removed = BTreeSet::new();
    for pod in &running {
        runtime.remove(pod)?;
        removed.insert(pod.sandbox.clone());
    }
    for pod in &failed {
        // A failed sandbox can refuse for ever, and hinders nobody.
        let is_of_these = running.is_empty() || running.iter().any(|other| other.name == pod.name);
        if is_of_these && started.elapsed() < deadline && runtime.remove(pod).is_ok() {
            removed.insert(pod.sandbox.clone());
        }
    }
    if removed.is_empty() {
        let detail = format!("{} has only failed pods of it, which cannot be removed", runtime.describe());
        return Err(RestartError::NotFound { component, detail });
    }
    loop {
        let mut left = runtime.pods()?;
        left.retain(|pod| removed.contains(&pod.sandbox) && runs(pod));
        if left.is_empty() {
            return Ok(removed.into_iter().collect());
        }
        if started.elapsed() >= deadline {
            let detail = left.iter().flat_map(remains).collect::<Vec<_>>().join(", ");
            return Err(RestartError::Deadline { component, deadline, detail });
        }
        // The kubelet may have put another container into the sandbox between the list and the removal.
        for pod in &left {
            runtime.remove(pod)?;
        }
        sleep(POLL);
    }
}

fn running_pods(component: Component, runtime: &mut dyn Runtime) -> Result<Vec<String>, RuntimeError> {
    let pods = runtime.pods()?;
    Ok(pods.iter().filter(|pod| pod.component == component && runs(pod)).flat_map(remains).collect())
}

fn running_processes(component: Component, proc: &Path) -> Result<Vec<String>, RuntimeError> {
    let found = processes::running(proc, component.name()).map_err(|error| RuntimeError::Unreachable {
        endpoint: proc.display().to_string(),
        detail: error.to_string(),
    })?;
    Ok(found.iter().map(|number| format!("process {number}")).collect())
}

/// Returns whether anything of `pod` runs.
fn runs(pod: &Pod) -> bool {
    pod.is_ready || pod.containers.iter().any(|container| container.is_running)
}

/// Names what runs of `pod`.
fn remains(pod: &Pod) -> Vec<String> {
    let containers = pod.containers.iter().filter(|container| container.is_running);
    let sandbox = pod.is_ready.then(|| format!("sandbox {}", pod.sandbox));
    sandbox.into_iter().chain(containers.map(|container| format!("container {}", container.id))).collect()
}

/// Returns an error that came before anything was stopped.
fn not_stopped(component: Component, error: &(dyn Error + 'static)) -> RestartError {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let detail = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    RestartError::NotStopped { component, detail }
}

fn of_unit(component: Component, error: &super::UnitError) -> RestartError {
    use super::UnitError as E;
    match error {
        E::NoSystemd { .. } | E::Program { .. } => not_stopped(component, error),
        _ => RestartError::Failed { component, detail: error.to_string() },
    }
}

fn of_manifest(component: Component, error: super::ManifestError) -> RestartError {
    use super::ManifestError as E;
    match error {
        E::Runtime(error) => error.into(),
        E::StillThere { deadline, remaining } => {
            RestartError::Deadline { component, deadline, detail: remaining.join(", ") }
        }
        E::Away { .. } | E::AlreadyAway { .. } => not_stopped(component, &error),
        E::Back { ref source, .. } | E::Directory { ref source, .. } => {
            RestartError::Failed { component, detail: format!("{error}: {source}") }
        }
        E::Replaced { .. } => RestartError::Failed { component, detail: error.to_string() },
    }
}

/// The unit that kubeadm's packages install.
const KUBELET_UNIT: &str = "kubelet.service";

/// The unit of an etcd outside of Kubernetes, as kubespray and the packages of distributions name it.
const ETCD_UNIT: &str = "etcd.service";

/// How long the kubelet may take to say that it is well.
const KUBELET_DEADLINE: Duration = Duration::from_secs(5);

/// How often it is looked whether removed pods are gone.
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;

//! Everything that can be seen of a node's programs, at one go.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kubecerts_core::catalog::Component;
use kubecerts_core::observation::{
    ClusterHealth, Health, HealthReport, Observations, Run, RunSource, Sighting,
};
use kubecerts_core::snapshot::Endpoint;
use tokio::task::JoinSet;
use tokio_rustls::rustls::client::ResolvesClientCert;

use super::connection::block_on;
use super::handshake::shake;
use super::health::ask;
use super::line::line;
use super::{ClientIdentity, Probe, processes};
use crate::runtime::Runtime;

/// A [`Probe`] of the programs of this host.
///
/// All endpoints are looked at side by side, so that a look takes as long as the slowest of them: at most twice the
/// deadline, because who answers only to those whom he knows is asked again with an identity. The container runtime and
/// etcd, which have deadlines of their own, come after that.
///
/// ```no_run
/// use kubecerts_core::catalog::Component;
/// use kubecerts_core::inventory::Inventory;
/// use kubecerts_core::observation::usages;
/// use kubecerts_host::probe::{NodeProbe, Probe};
/// use kubecerts_host::{Node, NodeOptions};
///
/// let inventory = Inventory::parse(&Node::open(NodeOptions::default())?.scan()?);
/// let mut probe = NodeProbe::new(inventory.node().endpoints().to_vec());
/// let observations = probe.observe(&Component::ALL.into());
/// for usage in usages(&inventory, &observations) {
///     assert!(usage.is_settled(), "{} of {}: {}", usage.slot(), usage.component, usage.proof);
/// }
/// # Ok::<(), kubecerts_host::NodeError>(())
/// ```
pub struct NodeProbe {
    endpoints: Vec<Endpoint>,
    runtime: Option<Box<dyn Runtime>>,
    identity: Option<ClientIdentity>,
    etcd: Option<AskEtcd>,
    proc_root: PathBuf,
    deadline: Duration,
}

/// Asks the members of etcd how they are, or returns why it cannot.
type AskEtcd = Box<dyn FnMut() -> Result<ClusterHealth, String>>;

impl NodeProbe {
    /// Returns a probe that looks at `endpoints` and at the host's processes, five seconds at each at the most.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        let proc_root = PathBuf::from("/proc");
        Self { endpoints, runtime: None, identity: None, etcd: None, proc_root, deadline: DEFAULT_DEADLINE }
    }

    /// Asks `runtime` for containers. It is believed rather than the list of processes.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Box<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Shows `identity` to programs that do not speak about their health to everybody, and to nobody else.
    #[must_use]
    pub fn with_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Asks `etcd` for the health of the members when etcd is looked at. It returns in one line why it cannot tell.
    #[must_use]
    pub fn with_etcd(mut self, etcd: impl FnMut() -> Result<ClusterHealth, String> + 'static) -> Self {
        self.etcd = Some(Box::new(etcd));
        self
    }

    /// Lists the processes at `proc_root` instead of `/proc`, such as the host's as it is seen in a container.
    #[must_use]
    pub fn with_proc_root(mut self, proc_root: &Path) -> Self {
        self.proc_root = proc_root.to_owned();
        self
    }

    /// Waits this long for each handshake and each answer, instead of five seconds.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Looks at the endpoints of `components` side by side.
    async fn look(&self, components: &BTreeSet<Component>, seen: &mut Observations) {
        let deadline = self.deadline;
        let mut looks = JoinSet::new();
        for endpoint in &self.endpoints {
            let service = endpoint.service;
            if !components.contains(&service.component()) {
                continue;
            }
            if service.is_secure() {
                let endpoint = endpoint.clone();
                looks.spawn(async move {
                    let handshake = shake(&endpoint, deadline).await;
                    Answer::Sighting(Box::new(Sighting::new(endpoint, handshake)))
                });
            }
            for path in service.health_paths() {
                let endpoint = endpoint.clone();
                let client = self.identity.as_ref().map(ClientIdentity::resolver);
                looks.spawn(async move {
                    let health = ask_twice(&endpoint, path, client, deadline).await;
                    Answer::Health(HealthReport::new(endpoint, path, health))
                });
            }
        }
        while let Some(answer) = looks.join_next().await {
            match answer {
                Ok(Answer::Sighting(sighting)) => seen.sightings.push(*sighting),
                Ok(Answer::Health(report)) => seen.health.push(report),
                Err(error) => {
                    seen.gaps.push(format!("a look at an endpoint failed: {}", line(&error.to_string())))
                }
            }
        }
    }

    /// Finds out since when `components` run: from the container runtime, and for those that it does not know, from the list
    /// of processes.
    fn find_runs(&mut self, components: &BTreeSet<Component>, seen: &mut Observations) {
        match self.runtime.as_mut().map(|runtime| runtime.pods()).transpose() {
            Ok(pods) => {
                for pod in pods.unwrap_or_default() {
                    let component = pod.component;
                    let containers = pod.containers.into_iter();
                    // What else a pod may hold, such as a proxy beside etcd, is not the component.
                    let running = containers
                        .filter(|container| container.is_running && container.name == component.name())
                        .filter(|_| components.contains(&component));
                    seen.runs.extend(running.map(|container| {
                        // With a clock that was set back since, a start proves nothing.
                        let started = container.started.filter(|started| started.timestamp() <= crate::now());
                        Run::new(component, started, RunSource::Container { id: container.id })
                    }));
                }
            }
            Err(error) => seen.gaps.push(line(&error.to_string())),
        }
        match processes(&self.proc_root) {
            Ok(runs) => {
                let contained: BTreeSet<Component> = seen.runs.iter().map(|run| run.component).collect();
                let others = runs
                    .into_iter()
                    .filter(|run| components.contains(&run.component) && !contained.contains(&run.component));
                seen.runs.extend(others);
            }
            Err(error) => {
                seen.gaps.push(format!("cannot list the processes in {}: {error}", self.proc_root.display()));
            }
        }
    }
}

impl Probe for NodeProbe {
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations {
        let mut seen = Observations::none();
        if let Err(error) = block_on(self.look(components, &mut seen)) {
            seen.gaps.push(format!("no endpoint can be asked: no event loop: {error}"));
        }
        self.find_runs(components, &mut seen);
        if components.contains(&Component::Etcd)
            && let Some(etcd) = &mut self.etcd
        {
            match etcd() {
                Ok(health) => seen.etcd = Some(health),
                Err(reason) => seen.gaps.push(line(&reason)),
            }
        }
        seen.sort();
        seen
    }
}

impl fmt::Debug for NodeProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, runtime, identity, etcd, proc_root, deadline } = self;
        f.debug_struct("NodeProbe")
            .field("endpoints", endpoints)
            .field("runtime", &runtime.as_ref().map(|runtime| runtime.describe()))
            .field("identity", identity)
            .field("etcd", &etcd.is_some())
            .field("proc_root", proc_root)
            .field("deadline", deadline)
            .finish()
    }
}

enum Answer {
    Sighting(Box<Sighting>),
    Health(HealthReport),
}

/// Asks at `path` as nobody, and if that is not enough, as `client`.
///
/// That order matters: the API server refuses whoever shows an expired certificate, and tells everybody else that it is well.
async fn ask_twice(
    endpoint: &Endpoint,
    path: &str,
    client: Option<Arc<dyn ResolvesClientCert>>,
    deadline: Duration,
) -> Health {
    let first = ask(endpoint, path, None, deadline).await;
    if client.is_none() || !matches!(first, Health::Reserved(_)) {
        return first;
    }
    match ask(endpoint, path, client, deadline).await {
        // That it has answered at all is known already.
        Health::Silent(_) => first,
        second => second,
    }
}

const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

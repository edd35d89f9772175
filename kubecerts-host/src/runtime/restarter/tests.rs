use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use tempfile::TempDir;

use super::super::{Container, UnitError};
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime in memory: its pods, and what was done.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    pods: Vec<Pod>,
    removed: Vec<String>,
    /// Sandboxes that refuse.
    stuck: Vec<String>,
    /// Sandboxes that take one removal to stop and a second one to go.
    slow: Vec<String>,
    /// The pods go when this does.
    manifest: Option<PathBuf>,
}

impl Runtime for Memory {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn pods(&mut self) -> Result<Vec<Pod>, RuntimeError> {
        let mut state = self.0.borrow_mut();
        if state.manifest.as_ref().is_some_and(|manifest| !manifest.exists()) {
            state.pods.clear();
        }
        Ok(state.pods.clone())
    }

    fn remove(&mut self, pod: &Pod) -> Result<(), RuntimeError> {
        let mut state = self.0.borrow_mut();
        if state.stuck.contains(&pod.sandbox) {
            let (endpoint, detail) = ("memory".to_owned(), "stuck".to_owned());
            return Err(RuntimeError::Refused { endpoint, call: "remove", detail });
        }
        state.removed.push(pod.sandbox.clone());
        match state.slow.iter().position(|slow| *slow == pod.sandbox) {
            Some(at) => drop(state.slow.remove(at)),
            None => state.pods.retain(|other| other.sandbox != pod.sandbox),
        }
        Ok(())
    }
}

struct NoUnits;

impl Units for NoUnits {
    fn is_in_use(&mut self, unit: &str, _: Duration) -> Result<bool, UnitError> {
        panic!("{unit} is nobody's business here")
    }

    fn restart(&mut self, unit: &str, _: Duration) -> Result<(), UnitError> {
        panic!("{unit} is nobody's business here")
    }
}

/// Units of which some are in use; others cannot be restarted.
struct InUse(&'static [&'static str]);

impl Units for InUse {
    fn is_in_use(&mut self, unit: &str, _: Duration) -> Result<bool, UnitError> {
        Ok(self.0.contains(&unit))
    }

    fn restart(&mut self, unit: &str, deadline: Duration) -> Result<(), UnitError> {
        if self.is_in_use(unit, deadline)? {
            return Ok(());
        }
        Err(UnitError::Failed { call: "restart", code: Some(5), detail: "not found".to_owned() })
    }
}

fn pod(component: Component, sandbox: &str, is_ready: bool) -> Pod {
    let mut container = Container::new(component, &format!("c-{sandbox}"), None);
    container.is_running = is_ready;
    let mut pod = Pod::new(component, sandbox, vec![container]);
    pod.is_ready = is_ready;
    pod
}

/// A node with manifests of the API server and the scheduler, and with these pods.
fn node(pods: Vec<Pod>) -> (TempDir, Memory, NodeRestarter) {
    let dir = tempfile::tempdir().unwrap();
    let components = [Component::ApiServer, Component::Scheduler];
    let path = |component: Component| dir.path().join(format!("{component}.yaml"));
    let manifests: BTreeMap<_, _> = components.map(|component| (component, path(component))).into();
    for path in manifests.values() {
        fs::write(path, "").unwrap();
    }
    let memory = Memory::default();
    memory.0.borrow_mut().pods = pods;
    let restarter = NodeRestarter::new(manifests, Some(Box::new(memory.clone())))
        .with_kubelet(|| Ok(()))
        .with_units(NoUnits);
    (dir, memory, restarter)
}

#[test]
fn every_running_pod_of_the_component_is_removed_and_no_other() {
    let (_dir, memory, mut restarter) = node(vec![
        pod(Component::Etcd, "e1", true),
        pod(Component::ApiServer, "a1", true),
        pod(Component::ApiServer, "a2", true),
        pod(Component::ApiServer, "a3", false),
    ]);
    let method = restarter.restart(Component::ApiServer, PATIENCE).unwrap();
    assert_eq!(method, Method::PodRemoved { sandboxes: ["a1", "a2", "a3"].map(str::to_owned).to_vec() });
    assert_eq!(memory.0.borrow().pods, [pod(Component::Etcd, "e1", true)]);
}

#[test]
fn a_failed_pod_that_cannot_be_removed_hinders_nobody() {
    let (_dir, memory, mut restarter) =
        node(vec![pod(Component::Scheduler, "s1", true), pod(Component::Scheduler, "s2", false)]);
    memory.0.borrow_mut().stuck = vec!["s2".to_owned()];
    let method = restarter.restart(Component::Scheduler, PATIENCE).unwrap();
    assert_eq!(method, Method::PodRemoved { sandboxes: vec!["s1".to_owned()] });
    let error = restarter.restart(Component::Scheduler, PATIENCE).unwrap_err();
    assert!(matches!(error, RestartError::NotFound { .. }), "{error}");
}

#[test]
fn a_running_pod_that_cannot_be_removed_is_an_error() {
    let (_dir, memory, mut restarter) = node(vec![pod(Component::Scheduler, "s1", true)]);
    memory.0.borrow_mut().stuck = vec!["s1".to_owned()];
    let error = restarter.restart(Component::Scheduler, PATIENCE).unwrap_err();
    assert!(matches!(error, RestartError::Runtime(RuntimeError::Refused { .. })), "{error}");
}

#[test]
fn the_restart_is_done_only_when_the_old_pod_is_gone() {
    let (_dir, memory, mut restarter) = node(vec![pod(Component::Scheduler, "s1", true)]);
    memory.0.borrow_mut().slow = vec!["s1".to_owned()];
    restarter.restart(Component::Scheduler, PATIENCE).unwrap();
    assert_eq!(memory.0.borrow().removed, ["s1", "s1"]);

    let mut state = memory.0.borrow_mut();
    (state.pods, state.slow) = (vec![pod(Component::Scheduler, "s1", true)], vec!["s1".to_owned()]);
    drop(state);
    let error = restarter.restart(Component::Scheduler, Duration::ZERO).unwrap_err();
    let RestartError::Deadline { detail, .. } = error else { panic!("{error}") };
    assert_eq!(detail, "sandbox s1, container c-s1");
}

#[test]
fn without_a_living_kubelet_nothing_is_stopped() {
    let (dir, memory, restarter) = node(vec![pod(Component::ApiServer, "a1", true)]);
    let mut restarter = restarter.with_kubelet(|| Err("no process".to_owned()));
    let error = restarter.restart(Component::ApiServer, PATIENCE).unwrap_err();
    assert!(matches!(&error, RestartError::NoKubelet { detail, .. } if detail == "no process"), "{error}");
    let mut restarter = restarter.moving_manifests();
    assert!(matches!(
        restarter.restart(Component::ApiServer, PATIENCE),
        Err(RestartError::NoKubelet { component: Component::ApiServer, .. })
    ));
    assert!(memory.0.borrow().removed.is_empty() && dir.path().join("kube-apiserver.yaml").exists());
}

#[test]
fn without_its_manifest_nothing_is_stopped() {
    let (dir, memory, mut restarter) =
        node(vec![pod(Component::ApiServer, "a1", true), pod(Component::ControllerManager, "m1", true)]);
    fs::remove_file(dir.path().join("kube-apiserver.yaml")).unwrap();
    for component in [Component::ApiServer, Component::ControllerManager] {
        let error = restarter.restart(component, PATIENCE).unwrap_err();
        assert!(matches!(error, RestartError::NotFound { .. }), "{error}");
    }
    assert!(memory.0.borrow().removed.is_empty());
}

#[test]
fn a_moved_manifest_is_back_once_the_runtime_has_nothing_left() {
    let (dir, memory, restarter) = node(vec![pod(Component::ApiServer, "a1", true)]);
    let manifest = dir.path().join("kube-apiserver.yaml");
    memory.0.borrow_mut().manifest = Some(manifest.clone());
    let mut restarter = restarter.moving_manifests();
    assert_eq!(restarter.restart(Component::ApiServer, PATIENCE).unwrap(), Method::ManifestMoved);
    assert!(manifest.exists() && memory.0.borrow().pods.is_empty() && memory.0.borrow().removed.is_empty());
    let error = restarter.restart(Component::ApiServer, PATIENCE).unwrap_err();
    assert!(matches!(error, RestartError::NotFound { .. }), "{error}");

    memory.0.borrow_mut().pods = vec![pod(Component::Scheduler, "s1", true)];
    let error = restarter.restart(Component::Scheduler, Duration::ZERO).unwrap_err();
    assert!(matches!(error, RestartError::Deadline { component: Component::Scheduler, .. }), "{error}");
    assert!(dir.path().join("kube-scheduler.yaml").exists());
}

#[test]
fn without_a_runtime_the_processes_are_the_proof() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, process) = (dir.path().join("etcd.yaml"), dir.path().join("proc/77"));
    fs::write(&manifest, "").unwrap();
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("comm"), "etcd\n").unwrap();
    fs::write(process.join("cmdline"), "etcd\0").unwrap();
    let mut restarter =
        NodeRestarter::new([(Component::Etcd, manifest.clone())].into(), None).with_kubelet(|| Ok(()));
    restarter.proc = dir.path().join("proc");
    let error = restarter.restart(Component::Etcd, Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "etcd did not stop within 0ns: process 77");
    assert!(manifest.exists());

    let (there, gone) = (manifest.clone(), process.clone());
    let kubelet = std::thread::spawn(move || {
        while there.exists() {
            sleep(Duration::from_millis(1));
        }
        fs::remove_dir_all(gone).unwrap();
    });
    assert_eq!(restarter.restart(Component::Etcd, PATIENCE).unwrap(), Method::ManifestMoved);
    kubelet.join().unwrap();
    assert!(manifest.exists());
}

#[test]
fn the_kubelet_and_an_etcd_without_manifest_are_units() {
    let (_dir, _memory, restarter) = node(Vec::new());
    let mut restarter = restarter.with_units(InUse(&["kubelet.service", "etcd.service"]));
    for (component, unit) in [(Component::Kubelet, "kubelet.service"), (Component::Etcd, "etcd.service")] {
        let method = restarter.restart(component, PATIENCE).unwrap();
        assert_eq!(method, Method::Unit(unit.to_owned()));
    }
    let mut restarter = restarter.with_units(InUse(&[]));
    let error = restarter.restart(Component::Kubelet, PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), "cannot restart kubelet: systemctl restart fails with status 5: not found");
    let error = restarter.restart(Component::Etcd, PATIENCE).unwrap_err();
    assert!(matches!(error, RestartError::NotFound { component: Component::Etcd, .. }), "{error}");
}

//! What a kubelet does round by round: compare what is asked for with what runs, and make it so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Log;
use super::backoff::Backoff;
use crate::cri::{Container, ContainerState, Cri, CriError, PodSandbox};
use crate::manifest::Program;
use crate::pod::{LABEL_CONTAINER, Pod, Site, grace};

/// A kubelet's hands.
#[derive(Debug)]
pub(crate) struct Worker {
    cri: Cri,
    site: Site,
    backoff: Backoff,
    /// The uids of the pods that are being ended, each by a thread of its own, which takes the pod's grace.
    ending: Arc<Mutex<BTreeSet<String>>>,
    collected: Instant,
    collecting: Duration,
    log: Log,
}

impl Worker {
    /// Returns the hands of a kubelet whose back-off begins with `unit`.
    pub(crate) fn new(cri: Cri, site: Site, unit: Duration, log: Log) -> Self {
        let (backoff, ending) = (Backoff::new(unit), Arc::default());
        Self { cri, site, backoff, ending, collected: Instant::now(), collecting: unit * COLLECTING, log }
    }

    /// Ends the pods that are not in `wanted`, and starts what of them does not run and need not wait.
    ///
    /// # Errors
    /// When the runtime does not say what runs. Whatever else fails is logged and tried again in the next round.
    pub(crate) fn round(&mut self, wanted: &BTreeMap<String, Pod>) -> Result<(), CriError> {
        let (sandboxes, containers) = (self.cri.sandboxes()?, self.cri.containers()?);
        let ready = sandboxes.iter().filter(|sandbox| sandbox.is_ready()).map(PodSandbox::uid);
        let running = containers.iter().filter(|container| container.is_running()).map(Container::uid);
        let alive: BTreeSet<_> = ready.chain(running).collect();
        for uid in alive.into_iter().filter(|uid| !wanted.contains_key(*uid)) {
            self.end(uid, &sandboxes, &containers);
        }
        for pod in wanted.values() {
            let seen = Seen::of(pod, &sandboxes, &containers);
            if let Err(reason) = self.sync(pod, &seen) {
                self.log.add(format!("{}: {reason}", pod.name));
            }
        }
        if self.collected.elapsed() >= self.collecting {
            self.collected = Instant::now();
            self.collect(wanted);
        }
        Ok(())
    }

    fn sync(&mut self, pod: &Pod, seen: &Seen<'_>) -> Result<(), String> {
        if self.is_ending(&pod.uid) {
            return Ok(());
        }
        let text = |error: CriError| error.to_string();
        pod.prepare(&self.site)?;
        let (sandbox, attempt) = match seen.sandboxes.last() {
            Some(last) if last.is_ready() => (last.id.clone(), last.attempt()),
            last => {
                let attempt = last.map_or(0, |last| last.attempt() + 1);
                let sandbox = self.cri.run_sandbox(pod.sandbox(&self.site, attempt)).map_err(text)?;
                self.log.add(format!("{}: sandbox {attempt} started", pod.name));
                (sandbox, attempt)
            }
        };
        for program in &pod.manifest.spec.containers {
            let past = seen.containers_called(&program.name);
            if past.iter().any(|known| known.is_running() && known.pod_sandbox_id == sandbox) {
                continue;
            }
            if self.may_start(pod, program, &past).map_err(text)? {
                let number = past.iter().map(|known| known.attempt() + 1).max().unwrap_or(0);
                let container = pod.container(program, &self.site, number);
                let config = pod.sandbox(&self.site, attempt);
                self.cri.run_container(&sandbox, container, config).map_err(text)?;
                self.log.add(format!("{}: container {} {number} started", pod.name, program.name));
                // The newest one that ended stays: its end is where the next back-off begins.
                for dead in past.iter().rev().skip(1).filter(|known| !known.is_running()) {
                    self.cri.remove_container(&dead.id).map_err(text)?;
                }
            }
        }
        Ok(())
    }

    /// Tells whether back-off lets a container start. One of which no end is known may start at once.
    fn may_start(&mut self, pod: &Pod, program: &Program, past: &[&Container]) -> Result<bool, CriError> {
        let mut ends = Vec::new();
        for known in past.iter().filter(|known| known.state() == ContainerState::ContainerExited) {
            let finished = self.cri.status(&known.id)?.finished_at;
            ends.extend(u64::try_from(finished).ok().map(Duration::from_nanos));
        }
        let Some(ended) = ends.into_iter().max() else { return Ok(true) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = format!("{}/{}/{}", pod.uid, program.name, program.image);
        let waits = self.backoff.restart(&key, ended, now).err();
        if let Some(left) = waits {
            self.log.add(format!("{}: back-off for {left:.1?} before {}", pod.name, program.name));
        }
        Ok(waits.is_none())
    }

    /// Ends a pod beside all else, as it may take its whole grace.
    fn end(&self, uid: &str, sandboxes: &[PodSandbox], containers: &[Container]) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if !ending.insert(uid.to_owned()) {
            return;
        }
        let own = containers.iter().filter(|container| container.uid() == uid && container.is_running());
        let containers: Vec<_> =
            own.map(|container| (container.id.clone(), grace(&container.annotations))).collect();
        let own = sandboxes.iter().filter(|sandbox| sandbox.uid() == uid && sandbox.is_ready());
        let sandboxes: Vec<_> = own.map(|sandbox| sandbox.id.clone()).collect();
        let (cri, log, ending, uid) =
            (self.cri.clone(), self.log.clone(), self.ending.clone(), uid.to_owned());
        thread::spawn(move || {
            let stopped = containers.iter().map(|(id, grace)| cri.stop_container(id, *grace));
            let results = stopped.collect::<Vec<_>>().into_iter();
            let results = results.chain(sandboxes.iter().map(|id| cri.stop_sandbox(id)));
            let failures = results.filter_map(Result::err).map(|error| format!("{uid}: {error}"));
            failures.for_each(|failure| log.add(failure));
            log.add(format!("{uid}: ended"));
            ending.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
        });
    }

    /// Removes sandboxes that have ended: of pods that are gone all, of others those that hold no container any more.
    fn collect(&self, wanted: &BTreeMap<String, Pod>) {
        let (Ok(sandboxes), Ok(containers)) = (self.cri.sandboxes(), self.cri.containers()) else { return };
        let last = |sandbox: &PodSandbox| {
            let own = sandboxes.iter().filter(|other| other.uid() == sandbox.uid());
            own.map(PodSandbox::attempt).max() == Some(sandbox.attempt())
        };
        let is_empty = |sandbox: &PodSandbox| containers.iter().all(|one| one.pod_sandbox_id != sandbox.id);
        for sandbox in sandboxes.iter().filter(|sandbox| !sandbox.is_ready()) {
            if wanted.contains_key(sandbox.uid()) && (last(sandbox) || !is_empty(sandbox)) {
                continue;
            }
            if let Err(error) = self.cri.remove_sandbox(&sandbox.id) {
                self.log.add(format!("{}: {error}", sandbox.id));
            }
        }
    }

    fn is_ending(&self, uid: &str) -> bool {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).contains(uid)
    }
}

/// What the runtime lists of one pod, each sorted by attempt.
struct Seen<'a> {
    sandboxes: Vec<&'a PodSandbox>,
    containers: Vec<&'a Container>,
}

impl<'a> Seen<'a> {
    fn of(pod: &Pod, sandboxes: &'a [PodSandbox], containers: &'a [Container]) -> Self {
        let mut sandboxes: Vec<_> = sandboxes.iter().filter(|sandbox| sandbox.uid() == pod.uid).collect();
        sandboxes.sort_by_key(|sandbox| sandbox.attempt());
        let mut containers: Vec<_> =
            containers.iter().filter(|container| container.uid() == pod.uid).collect();
        containers.sort_by_key(|container| container.attempt());
        Self { sandboxes, containers }
    }

    fn containers_called(&self, name: &str) -> Vec<&'a Container> {
        let called =
            |container: &&Container| container.labels.get(LABEL_CONTAINER).is_some_and(|l| l == name);
        self.containers.iter().copied().filter(called).collect()
    }
}

/// How often what has ended is removed, in units of the back-off: every minute in a real kubelet.
const COLLECTING: u32 = 6;

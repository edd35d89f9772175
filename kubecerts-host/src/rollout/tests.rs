//! Rollouts in a world of four programs, whose clock moves when somebody waits.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use kubecerts_core::catalog::{Component, KubeconfigSlot, LeafSlot, Service, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::{
    ClusterHealth, Handshake, Health, HealthReport, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileState};
use kubecerts_core::time::Moment;
use kubecerts_core::x509::Certificate;
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, at};

use super::*;

use Component::{ApiServer, ControllerManager, Etcd, Kubelet, Scheduler};

/// How a program behaves once it is stopped, or when its files change.
#[derive(Clone, Copy, PartialEq)]
enum Nature {
    /// It comes back with what is on disk.
    Sound,
    /// It picks its files up by itself after this many seconds.
    Reloads(u64),
    /// It comes back and is not ready.
    NeverReady,
    /// It does not come back while the new files are there.
    DiesOfNewFiles,
    /// It comes back and serves what it had before.
    ServesOld,
}

struct Program {
    nature: Nature,
    generation: u32,
    started: Duration,
    is_up: bool,
    /// What it serves, if it serves something of the tree.
    served: Option<Certificate>,
}

struct World {
    now: Duration,
    programs: BTreeMap<Component, Program>,
    old: MemoryTree,
    new: MemoryTree,
    has_new_files: bool,
    kubelet_lives: bool,
    etcd: ClusterHealth,
    log: Vec<String>,
}

impl World {
    fn on_disk(&self, component: Component) -> Option<Certificate> {
        let tree = if self.has_new_files { &self.new } else { &self.old };
        let file = match component {
            ApiServer => "/etc/kubernetes/pki/apiserver.crt",
            Etcd => "/etc/kubernetes/pki/etcd/server.crt",
            ControllerManager | Scheduler | Kubelet => return None,
        };
        Some(tree.certificate(file))
    }

    fn settle(&mut self) {
        for component in Component::ALL {
            let fresh = self.on_disk(component);
            let now = self.now;
            let Some(program) = self.programs.get_mut(&component) else { continue };
            if let Nature::Reloads(after) = program.nature
                && now >= Duration::from_secs(after)
            {
                program.served = fresh;
            }
        }
    }

    /// Returns a moment of this world, which begins one second before the new files were written.
    fn moment(&self, since: Duration) -> Moment {
        let zero = at("2027-06-01T12:00:00Z").unix();
        Moment::from_unix(zero, i64::try_from(since.as_nanos()).unwrap())
    }
}

#[derive(Clone)]
struct Shared(Rc<RefCell<World>>);

impl Clock for Shared {
    fn elapsed(&self) -> Duration {
        self.0.borrow().now
    }

    fn pause(&mut self, span: Duration) {
        let mut world = self.0.borrow_mut();
        world.now += span;
        world.settle();
    }
}

impl Restarter for Shared {
    fn restart(&mut self, component: Component, _: Duration) -> Result<Method, RestartError> {
        let mut world = self.0.borrow_mut();
        world.log.push(format!("restart {component}"));
        if component != Kubelet && !world.kubelet_lives {
            let detail = "no process".to_owned();
            return Err(RestartError::NoKubelet { component, detail });
        }
        world.now += Duration::from_secs(2);
        world.kubelet_lives |= component == Kubelet;
        let (fresh, now, has_new_files) = (world.on_disk(component), world.now, world.has_new_files);
        let program = world.programs.get_mut(&component).unwrap();
        program.generation += 1;
        program.started = now;
        program.is_up = !(program.nature == Nature::DiesOfNewFiles && has_new_files);
        if program.nature != Nature::ServesOld {
            program.served = fresh;
        }
        Ok(Method::PodRemoved { sandboxes: vec![format!("{component}-{}", program.generation)] })
    }
}

impl Probe for Shared {
    fn observe(&mut self, components: &BTreeSet<Component>) -> Observations {
        let world = self.0.borrow();
        let mut seen = Observations::none();
        for component in components {
            let Some(program) = world.programs.get(component).filter(|program| program.is_up) else {
                if *component == ApiServer {
                    let endpoint = Endpoint::new(Service::ApiServer, "127.0.0.1", 6443);
                    seen.sightings.push(Sighting::new(endpoint, Handshake::Down("refused".to_owned())));
                }
                continue;
            };
            let source = RunSource::Container { id: format!("{component}-{}", program.generation) };
            seen.runs.push(Run::new(*component, Some(world.moment(program.started)), source));
            let service = if *component == Etcd { Service::EtcdClients } else { Service::ApiServer };
            let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
            if let Some(served) = &program.served {
                let served = Served::new(Ok(served.clone()), 0);
                seen.sightings.push(Sighting::new(endpoint.clone(), Handshake::Served(served)));
            }
            if *component == ApiServer {
                let health = match program.nature {
                    Nature::NeverReady if program.generation > 0 => Health::Unwell("500".to_owned()),
                    _ => Health::Well,
                };
                seen.health.push(HealthReport::new(endpoint, "/readyz", health));
            }
            if *component == Etcd {
                seen.etcd = Some(world.etcd.clone());
            }
        }
        seen
    }
}

/// The renewed tree, its files written at the beginning of the world's time.
fn inventory(tree: &MemoryTree, second: i64) -> Inventory {
    let mut snapshot = tree.snapshot();
    for file in snapshot.layout().iter().map(|(file, _)| file).collect::<Vec<_>>() {
        let FileState::Present(content) = snapshot.file(file) else { continue };
        let mut meta = content.meta().clone();
        let renewed = matches!(file.slot(), Slot::Leaf(_) | Slot::Kubeconfig(_));
        let written = if renewed { second } else { -1_000_000 };
        meta.modified = Some(Moment::from_unix(at("2027-06-01T12:00:00Z").unix() + written, 0));
        meta.changed = meta.modified;
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
    }
    Inventory::parse(&snapshot)
}

/// A world one second after everything was renewed, in which the programs have these natures.
fn world(natures: [(Component, Nature); 4]) -> Shared {
    let old = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let mut new = old.clone();
    let request = PlanRequest::with_selection(Selection::All);
    new.renew(&request, at("2027-06-01T12:00:00Z"), &mut Seeded::provider(7));
    let mut world = World {
        now: Duration::from_secs(2),
        programs: BTreeMap::new(),
        old,
        new,
        has_new_files: false,
        kubelet_lives: true,
        etcd: ClusterHealth::new(vec![("cp-1".to_owned(), WellBeing::Here)]),
        log: Vec::new(),
    };
    for (component, nature) in natures {
        let served = world.on_disk(component);
        let program = Program { nature, generation: 0, started: Duration::ZERO, is_up: true, served };
        world.programs.insert(component, program);
    }
    world.has_new_files = true;
    world.settle();
    Shared(Rc::new(RefCell::new(world)))
}

const SOUND: [(Component, Nature); 4] = [
    (Etcd, Nature::Reloads(0)),
    (ApiServer, Nature::Reloads(20)),
    (ControllerManager, Nature::Sound),
    (Scheduler, Nature::Sound),
];

fn natures(component: Component, nature: Nature) -> [(Component, Nature); 4] {
    SOUND.map(|(other, own)| (other, if other == component { nature } else { own }))
}

const AUTO: [Task; 4] = [
    Task::new(Scheduler, Action::RestartIfNeeded),
    Task::new(Etcd, Action::Await),
    Task::new(ControllerManager, Action::RestartIfNeeded),
    Task::new(ApiServer, Action::Await),
];

fn run(world: &Shared, tasks: &[Task]) -> Rollout {
    let target = inventory(&world.0.borrow().new, 1);
    let (mut restarter, mut probe, mut clock) = (world.clone(), world.clone(), world.clone());
    let mut crew = Crew { restarter: &mut restarter, probe: &mut probe, clock: &mut clock };
    let mut undo = || {
        let mut world = world.0.borrow_mut();
        world.log.push("undo".to_owned());
        world.has_new_files = false;
        let second = i64::try_from(world.now.as_secs()).unwrap();
        Ok(inventory(&world.old, second))
    };
    roll_out(tasks, &target, Patience::default(), &mut crew, Some(&mut undo), &mut |_| {})
}

fn log(world: &Shared) -> Vec<String> {
    world.0.borrow().log.clone()
}

#[test]
fn what_picks_its_files_up_is_waited_for_and_the_rest_is_restarted_in_order() {
    let world = world(SOUND);
    let rollout = run(&world, &AUTO);
    assert!(rollout.is_complete(), "{rollout:?}");
    assert_eq!(log(&world), ["restart kube-controller-manager", "restart kube-scheduler"]);
    let outcomes: Vec<String> =
        rollout.steps.iter().map(|step| format!("{} {}", step.component, step.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            "etcd needs no restart, well and settled after 0.0 s",
            "kube-apiserver needs no restart, well and settled after 18.0 s",
            "kube-controller-manager restarted: its pod was removed; well and in use after 2.0 s",
            "kube-scheduler restarted: its pod was removed; well and in use after 2.0 s",
        ]
    );
}

#[test]
fn nothing_is_restarted_twice() {
    let world = world(SOUND);
    assert!(run(&world, &AUTO).is_complete());
    let again = run(&world, &AUTO);
    assert!(again.is_complete());
    assert_eq!(log(&world).len(), 2);
    assert_eq!(again.steps[3].outcome, Outcome::AlreadyInUse);
}

#[test]
fn what_is_to_be_restarted_always_is() {
    let world = world(SOUND);
    let always = Component::ALL[..4].iter().map(|component| Task::new(*component, Action::Restart));
    assert!(run(&world, &always.collect::<Vec<_>>()).is_complete());
    assert_eq!(log(&world).len(), 4);
}

#[test]
fn what_does_not_pick_its_files_up_is_restarted_in_the_end() {
    let world = world(natures(ApiServer, Nature::Sound));
    let rollout = run(&world, &AUTO);
    assert!(rollout.is_complete(), "{rollout:?}");
    assert_eq!(log(&world)[0], "restart kube-apiserver");
    assert!(world.0.borrow().now >= Patience::default().reload);
}

#[test]
fn a_component_that_does_not_come_back_brings_the_old_files_back() {
    let world = world(natures(Scheduler, Nature::DiesOfNewFiles));
    let rollout = run(&world, &AUTO);
    assert!(!rollout.is_complete());
    assert_eq!(
        log(&world),
        [
            "restart kube-controller-manager",
            "restart kube-scheduler",
            "undo",
            "restart kube-controller-manager",
            "restart kube-scheduler",
        ]
    );
    let Some(Undone::Restored { steps }) = &rollout.undone else { panic!("{rollout:?}") };
    assert!(steps.iter().all(|step| matches!(step.outcome, Outcome::Restarted { .. })), "{steps:?}");
    let lost = &rollout.steps[3].outcome;
    assert_eq!(lost.to_string(), "has not come back: after 360 s: no new kube-scheduler runs");
}

#[test]
fn a_component_that_is_never_ready_ends_the_rollout() {
    let world = world(natures(ApiServer, Nature::NeverReady));
    let rollout = run(&world, &AUTO);
    let outcomes: Vec<&Outcome> = rollout.steps.iter().map(|step| &step.outcome).collect();
    assert!(matches!(outcomes[1], Outcome::Lost { reason } if reason.contains("/readyz")), "{outcomes:?}");
    assert_eq!(outcomes[2..], [&Outcome::NotReached, &Outcome::NotReached]);
}

#[test]
fn a_component_that_comes_back_with_its_old_certificate_is_lost() {
    let world = world(natures(ApiServer, Nature::ServesOld));
    let rollout = run(&world, &AUTO);
    let outcome = &rollout.steps[1].outcome;
    assert!(
        matches!(outcome, Outcome::Lost { reason } if reason.contains("another one is served")),
        "{outcome:?}"
    );
}

#[test]
fn what_was_not_well_before_keeps_the_new_files() {
    let world = world(natures(Scheduler, Nature::DiesOfNewFiles));
    world.0.borrow_mut().programs.get_mut(&Scheduler).unwrap().is_up = false;
    let rollout = run(&world, &AUTO);
    assert_eq!(rollout.undone, Some(Undone::WasUnwell));
    assert!(!log(&world).contains(&"undo".to_owned()));
}

#[test]
fn etcd_is_not_stopped_when_that_would_cost_the_quorum() {
    let world = world(natures(Etcd, Nature::Sound));
    world.0.borrow_mut().etcd = ClusterHealth::new(vec![
        ("cp-1".to_owned(), WellBeing::Here),
        ("cp-2".to_owned(), WellBeing::Well),
        ("cp-3".to_owned(), WellBeing::Unwell("deadline".to_owned())),
    ]);
    let rollout = run(&world, &AUTO);
    assert_eq!(log(&world), [""; 0]);
    let refused = &rollout.steps[0].outcome;
    assert!(matches!(refused, Outcome::Refused { reason } if reason.starts_with("2 of 3")), "{refused:?}");
    assert_eq!(rollout.undone, None);
}

#[test]
fn etcd_is_not_stopped_when_nobody_knows_of_the_quorum() {
    let mut seen = Observations::none();
    let source = RunSource::Process { pid: 7 };
    seen.runs.push(Run::new(Etcd, None, source));
    assert!(progress::must_not_stop(&seen).is_some_and(|reason| reason.contains("not known")));
    let endpoint = Endpoint::new(Service::EtcdClients, "127.0.0.1", 2379);
    seen.sightings.push(Sighting::new(endpoint, Handshake::Down("refused".to_owned())));
    assert_eq!(progress::must_not_stop(&seen), None, "who serves nobody cannot be missed");
}

#[test]
fn a_member_without_a_quorum_waits_for_other_nodes() {
    let world = world(SOUND);
    world.0.borrow_mut().etcd = ClusterHealth::new(vec![
        ("cp-1".to_owned(), WellBeing::Unwell("deadline".to_owned())),
        ("cp-2".to_owned(), WellBeing::Unwell("refused".to_owned())),
        ("cp-3".to_owned(), WellBeing::Unwell("refused".to_owned())),
    ]);
    let rollout = run(&world, &AUTO);
    assert_eq!(log(&world), [""; 0]);
    assert!(rollout.steps.iter().all(|step| matches!(step.outcome, Outcome::WaitsForOthers { .. })));
    assert_eq!(rollout.undone, None);
}

#[test]
fn without_a_kubelet_nothing_is_stopped() {
    let world = world(SOUND);
    world.0.borrow_mut().kubelet_lives = false;
    let rollout = run(&world, &AUTO);
    assert_eq!(log(&world), ["restart kube-controller-manager"]);
    assert_eq!(world.0.borrow().programs[&ControllerManager].generation, 0);
    assert!(matches!(&rollout.steps[2].outcome, Outcome::Refused { .. }), "{rollout:?}");
}

#[test]
fn a_kubelet_that_is_dead_goes_first() {
    let world = world(SOUND);
    {
        let mut world = world.0.borrow_mut();
        world.kubelet_lives = false;
        let kubelet = Program {
            nature: Nature::Sound,
            generation: 0,
            started: Duration::ZERO,
            is_up: false,
            served: None,
        };
        world.programs.insert(Kubelet, kubelet);
    }
    let tasks = [&AUTO[..], &[Task::new(Kubelet, Action::RestartIfNeeded)]].concat();
    let rollout = run(&world, &tasks);
    assert!(rollout.is_complete(), "{rollout:?}");
    assert_eq!(log(&world)[0], "restart kubelet");
}

/// The natures speak of slots that exist.
#[test]
fn the_world_has_what_it_is_asked_for() {
    let world = world(SOUND);
    let target = inventory(&world.0.borrow().new, 1);
    for slot in [Slot::Leaf(LeafSlot::ApiServer), Slot::Kubeconfig(KubeconfigSlot::Scheduler)] {
        assert!(target.credential(slot).is_some_and(|credential| credential.leaf().is_some()), "{slot}");
    }
}

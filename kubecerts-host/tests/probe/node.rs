//! A node as a whole, and what is concluded for its credentials.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kubecerts_core::catalog::{Component, FileSlot, LeafSlot};
use kubecerts_core::observation::{
    ClusterHealth, Health, Observations, Proof, Run, RunSource, Usage, Verdict, WellBeing, usages,
};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::time::Moment;
use kubecerts_host::probe::{ClientIdentity, NodeProbe, Probe};
use kubecerts_host::runtime::{Container, Pod, Runtime, RuntimeError};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at, path};
use tempfile::TempDir;

use super::server::{Client, PATIENCE, Server, Tls, pair};

fn write_manifest(tree: &mut MemoryTree, component: Component, flags: &str) {
    let name = component.name();
    let manifest = format!(
        "kind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: {name}, command: [{name}, {flags}]}}\n"
    );
    tree.write(&path(&format!("/etc/kubernetes/manifests/{name}.yaml")), manifest, 0o600);
}

fn probe(tree: &MemoryTree) -> NodeProbe {
    let endpoints = tree.inventory().node().endpoints().to_vec();
    let nothing = Path::new("/proc/self/net");
    NodeProbe::new(endpoints).with_deadline(PATIENCE).with_proc_root(nothing)
}

fn usage_of(tree: &MemoryTree, seen: &Observations, leaf: LeafSlot) -> Usage {
    let file = FileSlot::LeafCertificate(leaf);
    let all = usages(&tree.inventory(), seen);
    all.into_iter().find(|usage| usage.file == file).expect("the leaf is loaded by a program")
}

#[test]
fn a_renewed_certificate_is_stale_until_it_is_served() {
    let mut tree = TreeBuilder::kubeadm().seed(2).made(at("2001-01-01T00:00:00Z")).build();
    let old = tree.clone();
    let serve = |tree: &MemoryTree| {
        [
            Server::with_tls(Tls::of(tree, "apiserver"), |_, _| {}),
            Server::with_tls(Tls::of(tree, "etcd/server").client(Client::Demanded), |_, _| {}),
            Server::with_tls(Tls::of(tree, "etcd/peer").client(Client::Demanded), |_, _| {}),
        ]
    };
    let listen_at = |tree: &mut MemoryTree, servers: &[Server; 3]| {
        let [api_server, clients, peers] = servers.each_ref().map(Server::port);
        let flags = format!("'--secure-port={api_server}', '--bind-address=127.0.0.1'");
        write_manifest(tree, Component::ApiServer, &flags);
        let urls = format!(
            "'--listen-client-urls=https://127.0.0.1:{clients}', '--listen-peer-urls=https://127.0.0.1:{peers}'"
        );
        write_manifest(tree, Component::Etcd, &urls);
    };
    let components = BTreeSet::from([Component::ApiServer, Component::Etcd]);
    let leaves = [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer];

    tree.renew(
        &PlanRequest::with_selection(Selection::All),
        at("2001-06-01T00:00:00Z"),
        &mut Seeded::provider(9),
    );
    let servers = serve(&old);
    listen_at(&mut tree, &servers);
    let seen = probe(&tree).observe(&components);
    for leaf in leaves {
        let usage = usage_of(&tree, &seen, leaf);
        assert_eq!(usage.verdict, Verdict::Stale, "{usage:?}");
        assert!(matches!(usage.proof, Proof::ServesAnother(_)) && usage.served.is_some(), "{usage:?}");
        assert_ne!(usage.served, usage.on_disk);
    }

    let servers = serve(&tree);
    listen_at(&mut tree, &servers);
    let seen = probe(&tree).observe(&components);
    for leaf in leaves {
        let usage = usage_of(&tree, &seen, leaf);
        assert_eq!(usage.verdict, Verdict::InUse, "{usage:?}");
        assert!(matches!(usage.proof, Proof::Served(_)), "{usage:?}");
        assert_eq!(usage.served, usage.on_disk);
    }
}

#[test]
fn only_the_components_asked_for_are_looked_at() {
    let mut tree = TreeBuilder::kubeadm().build();
    write_manifest(&mut tree, Component::Scheduler, "'--secure-port=1'");
    let seen = probe(&tree).observe(&BTreeSet::from([Component::ApiServer]));
    assert_eq!((seen.sightings.len(), seen.health.len()), (0, 0));
    let seen = probe(&tree).observe(&BTreeSet::from([Component::Scheduler]));
    assert_eq!((seen.sightings.len(), seen.health.len()), (1, 1), "{seen:?}");
    assert!(
        matches!(&seen.health[0].health, Health::Silent(reason) if reason.contains("refused")),
        "{seen:?}"
    );
}

#[test]
fn who_is_asked_as_nobody_first_is_asked_again_when_that_is_not_enough() {
    let mut tree = TreeBuilder::kubeadm().build();
    let server = Server::with_tls(Tls::of(&tree, "apiserver").client(Client::Welcome), |to, asked| {
        // The one path is open to everybody and refuses those whom it knows; the other one is the reverse.
        let is_open = asked.head.starts_with("GET /livez");
        let status = if asked.is_known == is_open { "401 Unauthorized" } else { "200 OK" };
        write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let flags = format!("'--secure-port={}', '--bind-address=127.0.0.1'", server.port());
    write_manifest(&mut tree, Component::ApiServer, &flags);
    let of = |probe: NodeProbe| {
        let mut probe = probe;
        let seen = probe.observe(&BTreeSet::from([Component::ApiServer]));
        seen.health.into_iter().map(|report| (report.path, report.health)).collect::<Vec<_>>()
    };
    let (livez, readyz) = ("/livez".to_owned(), "/readyz".to_owned());
    assert_eq!(of(probe(&tree)), [(livez.clone(), Health::Well), (readyz.clone(), Health::Reserved(401))]);
    let (certificate, key) = pair("apiserver-kubelet-client");
    let identity = ClientIdentity::new(tree.read_file(&certificate), &tree.private_key(&key)).unwrap();
    assert_eq!(of(probe(&tree).with_identity(identity)), [(livez, Health::Well), (readyz, Health::Well)]);
}

#[test]
fn containers_are_believed_before_processes() {
    let started = |second| Some(Moment::from_unix(second, 0));
    let mut dead = Container::new(Component::Etcd, "dead", started(1));
    dead.is_running = false;
    let mut proxy = Container::new(Component::Etcd, "proxy", started(2));
    "proxy".clone_into(&mut proxy.name);
    let containers = vec![dead, proxy, Container::new(Component::Etcd, "alive", started(3))];
    let runtime = Fake(Some(vec![
        Pod::new(Component::Etcd, "sandbox", containers),
        Pod::new(
            Component::ApiServer,
            "other",
            vec![Container::new(Component::ApiServer, "api", started(4))],
        ),
    ]));
    let proc_root = TempDir::new().unwrap();
    write_process(&proc_root, 7, "etcd");
    write_process(&proc_root, 8, "kubelet");
    write_process(&proc_root, 9, "kube-scheduler");

    let tree = TreeBuilder::kubeadm().build();
    let mut probe = probe(&tree).with_runtime(Box::new(runtime)).with_proc_root(proc_root.path());
    let seen = probe.observe(&BTreeSet::from([Component::Etcd, Component::Kubelet]));
    let container = RunSource::Container { id: "alive".to_owned() };
    assert_eq!(seen.runs[0], Run::new(Component::Etcd, started(3), container));
    let others: Vec<_> = seen.runs[1..].iter().map(|run| (run.component, &run.source)).collect();
    assert_eq!(others, [(Component::Kubelet, &RunSource::Process { pid: 8 })]);
    assert_eq!(seen.gaps, [""; 0]);
}

#[test]
fn what_cannot_be_asked_is_a_gap() {
    let proc_root = TempDir::new().unwrap();
    write_process(&proc_root, 7, "etcd");
    let components = BTreeSet::from([Component::Etcd]);
    let mut probe = NodeProbe::new(Vec::new())
        .with_runtime(Box::new(Fake(None)))
        .with_etcd(|| Err("etcd has\nlost its mind".to_owned()))
        .with_proc_root(proc_root.path());
    let seen = probe.observe(&components);
    assert_eq!(
        seen.gaps,
        [
            "cannot talk to the container runtime at unix:///run/no.sock: no such file",
            "etcd has\\nlost its mind"
        ]
    );
    // The list of processes is there all the same.
    assert_eq!(seen.runs.len(), 1);

    let mut probe = NodeProbe::new(Vec::new())
        .with_etcd(|| Ok(ClusterHealth::new(vec![("cp-1".to_owned(), WellBeing::Here)])))
        .with_proc_root(Path::new("/no/proc"));
    let seen = probe.observe(&components);
    assert!(seen.gaps[0].starts_with("cannot list the processes in /no/proc: "), "{seen:?}");
    assert!(seen.etcd.is_some_and(|health| health.has_quorum()));
    assert_eq!(probe.observe(&BTreeSet::from([Component::Kubelet])).etcd, None);
}

struct Fake(Option<Vec<Pod>>);

impl Runtime for Fake {
    fn describe(&self) -> String {
        "a container runtime of the tests".to_owned()
    }

    fn pods(&mut self) -> Result<Vec<Pod>, RuntimeError> {
        let (endpoint, detail) = ("unix:///run/no.sock".to_owned(), "no such file".to_owned());
        self.0.clone().ok_or(RuntimeError::Unreachable { endpoint, detail })
    }

    fn remove(&mut self, _pod: &Pod) -> Result<(), RuntimeError> {
        unreachable!("who looks removes nothing")
    }
}

fn write_process(proc_root: &TempDir, pid: u32, name: &str) {
    let directory = proc_root.path().join(pid.to_string());
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cmdline"), format!("/usr/bin/{name}\0")).unwrap();
    fs::write(directory.join("stat"), format!("{pid} ({name}) S{} 100", " 1".repeat(18))).unwrap();
}

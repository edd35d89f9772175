//! Members of a real etcd on the loopback, with TLS, from files on disk.

use std::fs::{self, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::secret::SecretBytes;
use kubecerts_host::etcd::EtcdMember;
use kubecerts_testkit::MemoryTree;
use rustix::process::{Pid, Signal, kill_process};

/// A running etcd, which ends with the value.
pub(crate) struct Etcd {
    child: Child,
    log: PathBuf,
    /// The port for clients and the one for other members.
    pub(crate) ports: [u16; 2],
}

impl Etcd {
    /// Starts the members of a new cluster, each with a name and the directory of its certificates, in which it keeps its
    /// data too. Returns `None` where no etcd is installed.
    pub(crate) fn start(members: &[(&str, &Path)]) -> Option<Vec<Self>> {
        if !installed() {
            return None;
        }
        let listeners: Vec<_> =
            members.iter().map(|_| [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap())).collect();
        let ports: Vec<_> = listeners
            .iter()
            .map(|pair| [0, 1].map(|at: usize| pair[at].local_addr().unwrap().port()))
            .collect();
        drop(listeners);
        let peer = |port: u16| format!("https://127.0.0.1:{port}");
        let cluster: Vec<_> = members
            .iter()
            .zip(&ports)
            .map(|((name, _), [_, peer_port])| format!("{name}={}", peer(*peer_port)))
            .collect();
        let started: Vec<_> = members
            .iter()
            .zip(&ports)
            .map(|((name, pki), ports)| Self::spawn(name, pki, *ports, &cluster.join(",")))
            .collect();
        Some(started.into_iter().map(Self::ready).collect())
    }

    fn spawn(name: &str, pki: &Path, [port, peer_port]: [u16; 2], cluster: &str) -> Self {
        let [url, peer] = [port, peer_port].map(|port| format!("https://127.0.0.1:{port}"));
        let log = pki.join("log");
        let output = File::create_new(&log).unwrap();
        let child = Command::new("etcd")
            .current_dir(pki)
            .args(["--data-dir=data", "--client-cert-auth", "--peer-client-cert-auth"])
            .args(["--cert-file=server.crt", "--key-file=server.key", "--trusted-ca-file=ca.crt"])
            .args(["--peer-cert-file=peer.crt", "--peer-key-file=peer.key", "--peer-trusted-ca-file=ca.crt"])
            .arg(format!("--name={name}"))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={cluster}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log, ports: [port, peer_port] }
    }

    /// Waits until the member listens for clients, which it does once it has joined.
    fn ready(mut self) -> Self {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err() {
            assert_eq!(self.child.try_wait().unwrap(), None, "etcd has ended: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "etcd does not listen: {}", self.log());
            sleep(Duration::from_millis(20));
        }
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[0])
    }

    /// Returns what the member has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Returns whether the process that was started still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // A stopped process can be killed too.
        if self.runs() {
            self.signal(Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Returns the member at `url` with the authority and the client of `tree`.
pub(crate) fn member(url: &str, tree: &MemoryTree) -> EtcdMember {
    let file = |name: &str| tree.read_file(&format!("{ETCD_PKI}{name}")).to_vec();
    let key = SecretBytes::new(file("healthcheck-client.key"));
    EtcdMember::new(url, file("ca.crt"), file("healthcheck-client.crt"), key)
}

/// Writes all files of `tree` below `root`, and returns the directory of etcd's.
pub(crate) fn write(tree: &MemoryTree, root: &Path) -> PathBuf {
    for (path, content, mode) in tree.files() {
        let target = root.join(path.as_str().trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, content).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
    }
    root.join(ETCD_PKI.trim_start_matches('/'))
}

/// Returns whether etcd is installed, and says so when it is not.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn installed() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|path| path.join("etcd").is_file());
    if !found {
        eprintln!("SKIPPED etcd: etcd is not installed");
    }
    found
}

pub(crate) const ETCD_PKI: &str = "/etc/kubernetes/pki/etcd/";

/// Longer than anything that works takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

//! Snapshots of a real etcd, over TLS, on the loopback.
//!
//! `etcd` and, for keys and for a second opinion, `etcdctl` are taken from `PATH`; where they are missing the tests are
//! skipped and say so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::digest::Digest;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::etcd::{EtcdError, EtcdMember, EtcdSnapshot, Wait, snapshot};
use kubecerts_host::now;
use kubecerts_testkit::{MemoryTree, TreeBuilder};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[test]
fn a_snapshot_is_what_etcdctl_takes_for_one() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm().algorithm(KeyAlgorithm::Rsa2048)) else { return };
    let with_keys = etcd.fill(40, 32 << 10);
    let path = etcd.directory.path().join("snapshot.db");
    let mut file = File::create_new(&path).unwrap();
    let taken = snapshot(&etcd.member(), PATIENCE, &mut |part| file.write_all(part)).unwrap();

    let bytes = fs::read(&path).unwrap();
    assert_eq!(taken.size, bytes.len() as u64);
    assert_eq!(taken.size % 512, 32, "the digest is at the end");
    assert_eq!(taken.sha256, Digest::of(&bytes));
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    assert_eq!(Digest::of(database).as_bytes(), digest);
    assert!(taken.database_size > 0 && taken.cluster_id != 0 && taken.member_id != 0, "{taken:?}");
    assert!(taken.version.starts_with("3."), "{taken:?}");
    let hash = taken.key_hash.expect("an idle member hashes its keys");
    assert_eq!((hash.revision, hash.compact_revision), (taken.revision, -1));
    if !with_keys {
        return;
    }

    let status = etcd.ctl(&["snapshot", "status", path.to_str().unwrap(), "-w", "json"], b"");
    assert_eq!(number(&status, "revision"), taken.revision);
    assert_eq!(number(&status, "totalSize"), database.len() as i64);
    let hashes = etcd.ctl(&["endpoint", "hashkv", "-w", "json"], b"");
    assert_eq!(number(&hashes, "hash"), i64::from(hash.hash));
    let restored = etcd.directory.path().join("restored");
    etcd.ctl(&["snapshot", "restore", path.to_str().unwrap(), "--data-dir", restored.to_str().unwrap()], b"");
    assert!(restored.join("member/snap/db").is_file());
}

#[test]
fn the_member_of_a_node_is_the_one_of_its_manifest() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    let mut tree = etcd.tree.clone();
    let manifest = format!(
        "kind: Pod\nmetadata: {{name: etcd}}\nspec:\n  containers:\n  - command: [etcd, '--listen-client-urls={}']\n",
        etcd.url()
    );
    tree.write(&kubecerts_testkit::path("/etc/kubernetes/manifests/etcd.yaml"), manifest, 0o600);
    let member = EtcdMember::of_node(&tree.snapshot()).unwrap();
    assert_eq!(member.endpoint(), etcd.url());
    take(&member, PATIENCE).unwrap();
}

#[test]
fn where_nothing_listens_there_is_no_connection() {
    let tree = TreeBuilder::kubeadm().made(now()).build();
    let url = format!("https://127.0.0.1:{}", free_port());
    let error = take(&member(&url, &tree, &tree), PATIENCE).unwrap_err();
    assert!(matches!(&error, EtcdError::Unreachable { endpoint, .. } if *endpoint == url), "{error}");
}

#[test]
fn an_endpoint_without_tls_is_refused() {
    let tree = TreeBuilder::kubeadm().made(now()).build();
    for endpoint in ["http://127.0.0.1:2379", "127.0.0.1:2379", "/run/etcd.sock", ""] {
        let error = take(&member(endpoint, &tree, &tree), PATIENCE).unwrap_err();
        assert!(matches!(error, EtcdError::Endpoint { .. }), "{error}");
    }
}

#[test]
fn a_client_of_another_authority_is_refused_by_the_member() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    let stranger = stranger();
    // Whether the alert or the end of the connection comes first differs from time to time.
    for _ in 0..50 {
        let error = take(&member(&etcd.url(), &etcd.tree, &stranger), PATIENCE).unwrap_err();
        assert!(matches!(&error, EtcdError::Tls { detail, .. } if detail.contains("alert")), "{error:?}");
    }
}

#[test]
fn a_member_of_another_authority_is_refused_by_the_client() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    let error = take(&member(&etcd.url(), &stranger(), &etcd.tree), PATIENCE).unwrap_err();
    assert!(matches!(&error, EtcdError::Tls { detail, .. } if detail.contains("invalid peer")), "{error:?}");
}

#[test]
fn a_member_whose_certificate_names_another_address_is_refused_by_the_client() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    let elsewhere = etcd.url().replace("127.0.0.1", OTHER_ADDRESS);
    let ask = || take(&member(&elsewhere, &etcd.tree, &etcd.tree), PATIENCE).unwrap_err();
    // It was waited for at its first address, and listens at one after the other.
    let begin = Instant::now();
    let mut error = ask();
    while matches!(error, EtcdError::Unreachable { .. }) && begin.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50));
        error = ask();
    }
    assert!(
        matches!(&error, EtcdError::Tls { detail, .. } if detail.contains("not valid for name")),
        "{error:?}"
    );
}

#[test]
fn a_member_that_hangs_is_not_waited_for() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    take(&etcd.member(), PATIENCE).unwrap();
    etcd.signal(Signal::STOP);
    let begun = Instant::now();
    let error = take(&etcd.member(), Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, EtcdError::Deadline { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_member_that_hangs_or_dies_half_way_leaves_no_snapshot() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    // More than a connection holds in its buffers.
    if !etcd.fill(24, 1 << 20) {
        return;
    }
    for (signal, deadline) in [(Signal::STOP, Duration::from_secs(1)), (Signal::KILL, PATIENCE)] {
        let mut parts = 0;
        let error = snapshot(&etcd.member(), deadline, &mut |_| {
            parts += 1;
            if parts == 2 {
                etcd.signal(signal);
            }
            Ok(())
        })
        .unwrap_err();
        assert!(
            match signal {
                Signal::STOP => matches!(error, EtcdError::Deadline { waited_for: Wait::Snapshot, .. }),
                _ => matches!(error, EtcdError::Unreachable { .. }),
            },
            "{error:?}"
        );
        etcd.signal(Signal::CONT);
    }
}

#[test]
fn a_sink_that_is_full_ends_the_snapshot() {
    let Some(etcd) = Etcd::start(TreeBuilder::kubeadm()) else { return };
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let error = snapshot(&etcd.member(), PATIENCE, &mut |_| Err(full())).unwrap_err();
    assert!(matches!(&error, EtcdError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
}

/// A running etcd, which ends with the value.
struct Etcd {
    child: Child,
    directory: TempDir,
    tree: MemoryTree,
    port: u16,
}

impl Etcd {
    /// Starts an etcd with the certificates of the tree that `builder` makes; `None` where none is installed.
    fn start(builder: TreeBuilder) -> Option<Self> {
        if !installed("etcd") {
            return None;
        }
        let tree = builder.made(now()).build();
        let directory = tempfile::tempdir().unwrap();
        for (path, content, _) in tree.files() {
            if let Some(name) = path.as_str().strip_prefix(ETCD_PKI) {
                fs::write(directory.path().join(name), content).unwrap();
            }
        }
        let [port, peer_port] = [free_port(), free_port()];
        let url = format!("https://127.0.0.1:{port}");
        let peer = format!("https://127.0.0.1:{peer_port}");
        let log = File::create_new(directory.path().join("log")).unwrap();
        let child = Command::new("etcd")
            .current_dir(directory.path())
            .args(["--name=cp-1", "--data-dir=data", "--client-cert-auth", "--peer-client-cert-auth"])
            .args(["--cert-file=server.crt", "--key-file=server.key", "--trusted-ca-file=ca.crt"])
            .args(["--peer-cert-file=peer.crt", "--peer-key-file=peer.key", "--peer-trusted-ca-file=ca.crt"])
            .arg(format!("--listen-client-urls={url},https://{OTHER_ADDRESS}:{port}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=cp-1={peer}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut etcd = Self { child, directory, tree, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(etcd.directory.path().join("log")).unwrap();
            assert_eq!(etcd.child.try_wait().unwrap(), None, "etcd has ended: {}", log());
            assert!(begun.elapsed() < PATIENCE, "etcd does not listen: {}", log());
            sleep(Duration::from_millis(20));
        }
        Some(etcd)
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn member(&self) -> EtcdMember {
        member(&self.url(), &self.tree, &self.tree)
    }

    /// Writes `count` keys of `size` bytes each; returns false where there is no `etcdctl`.
    fn fill(&self, count: u32, size: usize) -> bool {
        let ctl = installed("etcdctl");
        for key in (0..count).filter(|_| ctl) {
            self.ctl(&["put", &format!("/registry/pods/{key}")], &vec![b'x'; size]);
        }
        ctl
    }

    /// Runs `etcdctl` with `input` as the member's client and returns what it prints.
    fn ctl(&self, arguments: &[&str], input: &[u8]) -> String {
        let file = |name: &str| self.directory.path().join(name);
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", self.url())
            .env("ETCDCTL_CACERT", file("ca.crt"))
            .env("ETCDCTL_CERT", file("healthcheck-client.crt"))
            .env("ETCDCTL_KEY", file("healthcheck-client.key"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // A stopped process can be killed too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the member at `url` with the authority of `trusted` and the client of `client`.
fn member(url: &str, trusted: &MemoryTree, client: &MemoryTree) -> EtcdMember {
    let file = |tree: &MemoryTree, name: &str| tree.read_file(&format!("{ETCD_PKI}{name}")).to_vec();
    EtcdMember::new(
        url,
        file(trusted, "ca.crt"),
        file(client, "healthcheck-client.crt"),
        SecretBytes::new(file(client, "healthcheck-client.key")),
    )
}

/// Takes a snapshot and drops it.
fn take(member: &EtcdMember, deadline: Duration) -> Result<EtcdSnapshot, EtcdError> {
    snapshot(member, deadline, &mut |_| Ok(()))
}

/// A tree whose names are those of any other and whose keys are not.
fn stranger() -> MemoryTree {
    TreeBuilder::kubeadm().seed(2).made(now()).build()
}

/// Returns whether `program` is installed, and says so when it is not.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&paths).map(|path: PathBuf| path.join(program)).any(|path| path.is_file());
    if !found {
        eprintln!("SKIPPED etcd: {program} is not installed");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Returns the number that follows `name` in `json`.
fn number(json: &str, name: &str) -> i64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

const ETCD_PKI: &str = "/etc/kubernetes/pki/etcd/";

/// An address of the loopback that kubeadm's certificates do not name.
const OTHER_ADDRESS: &str = "127.0.0.2";

/// Longer than anything that works takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

//! A real server that keeps its certificate in memory until it is told otherwise: what nobody restarted.
//!
//! nginx is taken from `$KUBECERTS_PARTS/bookworm/usr/sbin`, a package that was extracted and not installed, else from
//! `PATH`; where there is none the test is skipped and says so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::{Component, FileSlot, LeafSlot};
use kubecerts_core::observation::{Health, Observations, Proof, Usage, Verdict, usages};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_host::now;
use kubecerts_host::probe::{ClientIdentity, NodeProbe, Probe};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, path};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[test]
fn a_server_that_nobody_told_serves_the_old_certificate() {
    let mut tree = TreeBuilder::kubeadm().seed(2).made(now()).build();
    let Some(nginx) = Nginx::start(&tree) else { return };
    tree.write(&path("/etc/kubernetes/manifests/kube-apiserver.yaml"), nginx.manifest(), 0o600);
    let old = tree.certificate(CERTIFICATE).serial().clone();

    let usage = usage(&tree, &observe(&tree));
    assert_eq!((usage.verdict, &usage.served), (Verdict::InUse, &Some(old.clone())), "{usage:?}");

    tree.renew(&PlanRequest::with_selection(Selection::All), now(), &mut Seeded::provider(9));
    nginx.write(&tree);
    let usage = self::usage(&tree, &observe(&tree));
    assert_eq!(usage.verdict, Verdict::Stale, "{usage:?}");
    assert_eq!(usage.served, Some(old.clone()));
    assert_eq!(usage.on_disk.as_ref(), Some(tree.certificate(CERTIFICATE).serial()));
    assert!(matches!(usage.proof, Proof::ServesAnother(_)), "{usage:?}");
    assert!(usage.proof.to_string().starts_with("another one is served at 127.0.0.1:"), "{usage:?}");

    nginx.signal(Signal::HUP);
    let begun = Instant::now();
    let usage = loop {
        let usage = self::usage(&tree, &observe(&tree));
        // Until the new workers listen, the old ones do.
        if usage.verdict == Verdict::InUse || begun.elapsed() > PATIENCE {
            break usage;
        }
        sleep(Duration::from_millis(20));
    };
    assert_eq!((usage.verdict, usage.served), (Verdict::InUse, usage.on_disk), "{:?}", usage.proof);
    assert!(matches!(usage.proof, Proof::Served(_)));
}

#[test]
fn a_server_answers_about_its_health_to_those_whom_it_knows() {
    let mut tree = TreeBuilder::kubeadm().seed(2).made(now()).build();
    let Some(nginx) = Nginx::start(&tree) else { return };
    tree.write(&path("/etc/kubernetes/manifests/kube-apiserver.yaml"), nginx.manifest(), 0o600);
    let health = |seen: Observations| seen.health.into_iter().map(|report| report.health).collect::<Vec<_>>();
    assert_eq!(health(observe(&tree)), [Health::Well, Health::Reserved(401)]);

    let client = "/etc/kubernetes/pki/apiserver-kubelet-client";
    let chain = tree.read_file(&format!("{client}.crt"));
    let identity = ClientIdentity::new(chain, &tree.private_key(&format!("{client}.key"))).unwrap();
    let seen = probe(&tree).with_identity(identity).observe(&API_SERVER.into());
    assert_eq!(health(seen), [Health::Well, Health::Well]);
}

fn probe(tree: &MemoryTree) -> NodeProbe {
    NodeProbe::new(tree.inventory().node().endpoints().to_vec()).with_deadline(PATIENCE)
}

fn observe(tree: &MemoryTree) -> Observations {
    probe(tree).observe(&BTreeSet::from(API_SERVER))
}

fn usage(tree: &MemoryTree, seen: &Observations) -> Usage {
    let file = FileSlot::LeafCertificate(LeafSlot::ApiServer);
    usages(&tree.inventory(), seen).into_iter().find(|usage| usage.file == file).unwrap()
}

/// A running nginx that serves as an API server would, and ends with the value.
struct Nginx {
    child: Child,
    directory: TempDir,
    port: u16,
}

impl Nginx {
    /// Starts an nginx with the API server's pair of `tree`; `None` where there is none.
    fn start(tree: &MemoryTree) -> Option<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        write_pair(directory.path(), tree);
        fs::write(directory.path().join("ca.crt"), tree.read_file("/etc/kubernetes/pki/ca.crt")).unwrap();
        fs::write(directory.path().join("nginx.conf"), CONFIG.replace("PORT", &port.to_string())).unwrap();
        let log = File::create_new(directory.path().join("log")).unwrap();
        let child = Command::new(program)
            .current_dir(directory.path())
            .arg("-p")
            .arg(directory.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut nginx = Self { child, directory, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(nginx.directory.path().join("log")).unwrap();
            assert_eq!(nginx.child.try_wait().unwrap(), None, "nginx has ended: {}", log());
            assert!(begun.elapsed() < PATIENCE, "nginx does not listen: {}", log());
            sleep(Duration::from_millis(20));
        }
        Some(nginx)
    }

    /// Replaces the pair on disk by that of `tree`.
    fn write(&self, tree: &MemoryTree) {
        write_pair(self.directory.path(), tree);
    }

    /// Returns the manifest of an API server that listens where this one does.
    fn manifest(&self) -> String {
        format!(
            "kind: Pod\nmetadata: {{name: kube-apiserver}}\nspec:\n  containers:\n  - command: [kube-apiserver, \
             '--secure-port={}', '--bind-address=127.0.0.1']\n",
            self.port
        )
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // With SIGTERM the master ends its workers; with SIGKILL it would leave them behind.
        self.signal(Signal::TERM);
        let _ = self.child.wait();
    }
}

fn write_pair(directory: &Path, tree: &MemoryTree) {
    for (name, from) in [("server.crt", CERTIFICATE), ("server.key", "/etc/kubernetes/pki/apiserver.key")] {
        fs::write(directory.join(name), tree.read_file(from)).unwrap();
    }
}

/// Returns where nginx is, and says so when it is nowhere.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn program() -> Option<PathBuf> {
    let parts = std::env::var_os("KUBECERTS_PARTS")
        .map(|parts| PathBuf::from(parts).join("bookworm/usr/sbin/nginx"))
        .filter(|program| program.is_file());
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = parts.or_else(|| {
        std::env::split_paths(&paths).map(|path| path.join("nginx")).find(|program| program.is_file())
    });
    if found.is_none() {
        eprintln!("SKIPPED nginx: it is neither in $KUBECERTS_PARTS nor installed");
    }
    found
}

const CERTIFICATE: &str = "/etc/kubernetes/pki/apiserver.crt";

const API_SERVER: [Component; 1] = [Component::ApiServer];

/// Longer than anything that works takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// As an API server with `--anonymous-auth=false` would, except for one path.
const CONFIG: &str = "\
daemon off;
pid nginx.pid;
error_log error.log;
worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:PORT ssl;
    ssl_certificate server.crt;
    ssl_certificate_key server.key;
    ssl_client_certificate ca.crt;
    ssl_verify_client optional;
    location = /livez { return 200 ok; }
    location = /readyz {
      if ($ssl_client_verify != SUCCESS) { return 401; }
      return 200 ok;
    }
  }
}
";

//! Renewals under a real etcd that runs and is not restarted: it reads its certificates and keys at every handshake.
//!
//! etcd reads the certificate and then the key, so that a handshake between the two renames of a pair can get an old one
//! with a new one. Such a handshake ends with an alert; how many do is printed.
//!
//! `etcd` is taken from `PATH`; where it is missing the tests are skipped and say so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kubecerts_core::catalog::{FileSlot, LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::observation::WellBeing;
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{Certificate, SerialNumber, certificates};
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::etcd::{EtcdError, EtcdMember, cluster_health};
use kubecerts_host::{Node, NodeOptions, Session, SystemEntropy, now};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder};
use support::{ETCD_PKI, Etcd, PATIENCE, member, write};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

mod support;

#[test]
#[expect(clippy::print_stderr, reason = "the figure is what the test is for")]
fn a_hundred_renewals_of_a_running_etcd_break_hardly_a_handshake() {
    let tree = TreeBuilder::kubeadm().made(now()).build();
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(mut started) = Etcd::start(&[("cp-1", &write(&tree, root.path()))]) else { return };
    let mut etcd = started.remove(0);
    let node = open(root.path());
    let client = Arc::new(client(&tree));
    let [port, peer_port] = etcd.ports;
    let ports = [(LeafSlot::EtcdServer, port), (LeafSlot::EtcdPeer, peer_port)];
    let is_over = AtomicBool::new(false);

    let counts = thread::scope(|scope| {
        let loops = ports.map(|(_, port)| {
            let (client, is_over) = (Arc::clone(&client), &is_over);
            scope.spawn(move || {
                let (mut handshakes, mut failures) = (0_u32, Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    handshakes += 1;
                    if let Err(error) = handshake(port, &client) {
                        failures.push(error.to_string());
                    }
                }
                (handshakes, failures)
            })
        });
        // Ends the loops when a renewal fails, too.
        let ending = Ending(&is_over);
        for round in 0..RENEWALS {
            let selected = ports.map(|(leaf, _)| Slot::Leaf(leaf));
            renew(&node, Selection::Named(BTreeSet::from(selected)), round);
            let snapshot = node.scan().unwrap();
            for (leaf, port) in ports {
                let file = snapshot.file(FileSlot::LeafCertificate(leaf)).content().unwrap();
                let on_disk = certificates(file.secret_bytes()).unwrap().remove(0).unwrap();
                assert_eq!(&handshake(port, &client).unwrap(), on_disk.serial(), "renewal {round} of {leaf}");
            }
        }
        drop(ending);
        loops.map(|handshakes| handshakes.join().unwrap())
    });

    let handshakes: u32 = counts.iter().map(|(handshakes, _)| handshakes).sum();
    let failures: Vec<_> = counts.into_iter().flat_map(|(_, failures)| failures).collect();
    let failed = failures.len();
    eprintln!("etcd renewals: {RENEWALS} renewals, {handshakes} handshakes, {failed} failed");
    assert!(etcd.runs());
    for failure in &failures {
        // 80, internal_error, is what a member says that has no pair to show.
        assert!(failure.contains("InternalError"), "{failure}");
    }
    let mismatches = etcd.log().matches("private key does not match public key").count();
    assert!(mismatches >= failed, "{failed} handshakes have failed, and etcd complains of {mismatches}");
    assert!(handshakes > RENEWALS as u32, "{handshakes} handshakes prove nothing");
    assert!(failed <= MISMATCHES, "{failures:?}");
}

#[test]
fn an_etcd_whose_certificates_have_all_expired_is_brought_back_without_a_restart() {
    let year = Seconds::from_days(365);
    let mut tree = TreeBuilder::kubeadm().lifetime(year).made(now().minus(Seconds::from_days(400))).build();
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(mut started) = Etcd::start(&[("cp-1", &write(&tree, root.path()))]) else { return };
    let mut etcd = started.remove(0);
    let manifest = format!(
        "kind: Pod\nmetadata: {{name: etcd}}\nspec:\n  containers:\n  - command: [etcd, '--listen-client-urls={}']\n",
        etcd.url()
    );
    let manifest_path = kubecerts_testkit::path("/etc/kubernetes/manifests/etcd.yaml");
    tree.write(&manifest_path, manifest, 0o600);
    write(&tree, root.path());
    let error = cluster_health(&member(&etcd.url(), &tree), PATIENCE).unwrap_err();
    assert!(
        matches!(&error, EtcdError::Tls { detail, .. } if detail.contains("certificate expired")),
        "{error}"
    );

    let node = open(root.path());
    renew(&node, Selection::Due, 0);
    let here = EtcdMember::of_node(&node.scan().unwrap()).unwrap();
    let health = cluster_health(&here, PATIENCE).unwrap();
    assert_eq!(health.members, [("cp-1".to_owned(), WellBeing::Here)]);
    assert!(etcd.runs(), "{}", etcd.log());
}

/// Sets its flag in the end, whatever the end is.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn open(root: &Path) -> Node {
    let mut options = NodeOptions::default();
    options.root = Some(root.to_owned());
    Node::open(options).unwrap()
}

/// Renews what is `selected`, as the command does it, with the keys of `seed`.
fn renew(node: &Node, selected: Selection, seed: u64) {
    let mut session = Session::begin(node, "renew").unwrap();
    let snapshot = node.scan().unwrap();
    let request = PlanRequest::with_selection(selected);
    let plan = plan(&Inventory::parse(&snapshot), &request, now(), &mut SystemEntropy::new()).unwrap();
    let changes = issue(&plan, &snapshot, &mut Seeded::provider(1000 + seed)).unwrap();
    assert!(!changes.is_empty());
    let report =
        session.apply(&changes, Purpose::new("renew"), &mut SystemEntropy::new(), &mut |_| {}).unwrap();
    assert_eq!(report.written.len(), changes.changes().len());
    session.prune(2).unwrap();
}

/// Returns a client that trusts etcd's authority and never resumes a session.
fn client(tree: &MemoryTree) -> ClientConfig {
    let file = |name: &str| tree.read_file(&format!("{ETCD_PKI}{name}")).to_vec();
    let certificate = |name: &str| CertificateDer::from_pem_slice(&file(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&file("healthcheck-client.key")).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate("healthcheck-client.crt")], key)
        .unwrap();
    config.resumption = Resumption::disabled();
    config
}

/// Shakes hands with what listens at `port`, and returns the serial number of the certificate that it shows.
fn handshake(port: u16, client: &Arc<ClientConfig>) -> io::Result<SerialNumber> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let shown = connection.peer_certificates().unwrap();
    Ok(Certificate::parse_der(&shown[0]).unwrap().serial().clone())
}

/// How often the pairs are renewed.
const RENEWALS: u64 = 100;

/// How many handshakes may meet a pair between its two renames: a preemption there lasts as long as a hundred handshakes.
const MISMATCHES: usize = 10;

//! What it costs to write safely: a renewal of everything as kubecerts does it, beside one that writes as kubeadm does.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench apply
//! ```
//!
//! | variant | what is done with the new files |
//! |---|---|
//! | `in-place` | each is written over the old one, and nothing is flushed, as kubeadm 1.36 does it (`WriteKey`, `WriteCert`) |
//! | `transaction` | journal, backup and new files are written, flushed and read again, then renamed: all or none |
//! | `session` | that, under the lock, and the tree is scanned and every signature in it verified, before and after |
//!
//! `renew` is the whole path: scan, plan, make keys, sign, and write with `in-place` or with `session`. `write` is the last
//! part of it alone. The keys come from a seed, so that every round has to look for the same primes.
//!
//! What safety costs is waiting for the disk: on ext4 on a quiet virtual disk some 30 to 40 ms, whatever the keys. There a
//! renewal with P-256 keys took 2.8 times as long as in place, 47 ms instead of 17, and one with RSA-2048 keys 1.05 times,
//! 734 ms instead of 697, because the keys themselves take most of a second. On a busy disk it was a quarter of a second.
//!
//! The trees lie below `target/`, where cargo lets benches put their files: on a tmpfs a flush would cost nothing.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kubecerts_core::catalog::{FileSlot, LeafSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{ChangeSet, KeyReply, Signer, begin, issue};
use kubecerts_core::plan::{Plan, PlanRequest, Selection, plan};
use kubecerts_core::provider::Entropy;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::x509::PrivateKey;
use kubecerts_host::disk::RealDisk;
use kubecerts_host::disk::transaction::{self, Item, Purpose, Request};
use kubecerts_host::{Node, NodeOptions, Session, SystemEntropy, now};
use kubecerts_testkit::{Fixture, Seeded};
use tempfile::TempDir;

criterion_group!(benches, renew, write);
criterion_main!(benches);

/// The trees, by the algorithm of their keys.
const TREES: [(&str, &str); 2] = [("P-256", "kubeadm-v136-ecdsa-p256"), ("RSA-2048", "kubeadm-v136-rsa2048")];

/// How many backups are kept: without an end the disk would fill up.
const KEEP: usize = 4;

/// From the files of the tree to its new files.
fn renew(criterion: &mut Criterion) {
    for (algorithm, fixture) in TREES {
        let tree = Tree::of(fixture);
        let mut group = criterion.benchmark_group(format!("apply/renew/{algorithm}"));
        group.sample_size(10);
        group.bench_function("in-place", |bencher| {
            bencher.iter(|| tree.write_in_place(&with_new_keys(&tree.node.scan().unwrap())));
        });
        group.bench_function("session", |bencher| {
            bencher.iter_batched(
                || tree.prune(),
                |()| {
                    let mut session = Session::begin(&tree.node, "renew").unwrap();
                    let changes = with_new_keys(&tree.node.scan().unwrap());
                    write_in(&mut session, &changes);
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

/// From new files in memory to new files on the disk.
fn write(criterion: &mut Criterion) {
    for (algorithm, fixture) in TREES {
        let tree = Tree::of(fixture);
        let mut group = criterion.benchmark_group(format!("apply/write/{algorithm}"));
        group.sample_size(20);
        group.bench_function("in-place", |bencher| {
            bencher.iter_batched(
                || tree.changes(),
                |changes| tree.write_in_place(&changes),
                BatchSize::PerIteration,
            );
        });
        group.bench_function("transaction", |bencher| {
            bencher.iter_batched(
                || tree.changes(),
                |changes| tree.replace(&changes),
                BatchSize::PerIteration,
            );
        });
        group.bench_function("session", |bencher| {
            bencher.iter_batched(
                || tree.changes(),
                |changes| write_in(&mut Session::begin(&tree.node, "renew").unwrap(), &changes),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

/// A tree on a real disk.
struct Tree {
    directory: TempDir,
    node: Node,
}

impl Tree {
    fn of(fixture: &str) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (path, content, mode) in Fixture::named(fixture).tree().files() {
            let target = below(directory.path(), path.as_str());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, content).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut options = NodeOptions::default();
        options.root = Some(directory.path().to_owned());
        Self { node: Node::open(options).unwrap(), directory }
    }

    /// Returns new files for the tree as it is, with keys that cost nothing, and removes old backups.
    fn changes(&self) -> ChangeSet {
        self.prune();
        with_old_keys(&self.node.scan().unwrap())
    }

    fn write_in_place(&self, changes: &ChangeSet) {
        for change in changes.changes() {
            fs::write(below(self.directory.path(), change.path().as_str()), change.secret_bytes()).unwrap();
        }
    }

    fn replace(&self, changes: &ChangeSet) {
        let mut token = [0; 8];
        SystemEntropy::new().fill(&mut token).unwrap();
        let request = Request {
            items: changes.changes().iter().map(Item::of).collect(),
            purpose: Purpose::new("renew"),
            now: now(),
            token: u64::from_le_bytes(token),
        };
        let (root, state) = (self.node.root(), self.node.state());
        let done = transaction::replace(&request, root, state, &mut RealDisk, &mut |_| {}).unwrap();
        assert_eq!(done.replaced.len(), changes.changes().len());
    }

    fn prune(&self) {
        Session::begin(&self.node, "backup prune").unwrap().prune(KEEP).unwrap();
    }
}

fn write_in(session: &mut Session<'_>, changes: &ChangeSet) {
    let report =
        session.apply(changes, Purpose::new("renew"), &mut SystemEntropy::new(), &mut |_| {}).unwrap();
    assert_eq!(report.written.len(), changes.changes().len());
}

fn with_new_keys(snapshot: &Snapshot) -> ChangeSet {
    issue(&renewal(snapshot), snapshot, &mut Seeded::provider(1)).unwrap()
}

fn with_old_keys(snapshot: &Snapshot) -> ChangeSet {
    let plan = renewal(snapshot);
    let session = begin(&plan, snapshot).unwrap();
    // One key that is there serves for all: a disk does not know the difference.
    let content = snapshot.file(FileSlot::LeafKey(LeafSlot::ApiServer)).content().unwrap();
    let key = PrivateKey::parse(content.secret_bytes()).unwrap().secret_pkcs8_der();
    let reply = || KeyReply::from_pkcs8_der(key.secret_bytes()).unwrap();
    let keys = session.key_requests().iter().map(|_| reply()).collect();
    let session = session.supply_keys(keys).unwrap();
    let signatures = Seeded::provider(1).sign(&session.signing_requests()).unwrap();
    session.finish(signatures).unwrap()
}

fn renewal(snapshot: &Snapshot) -> Plan {
    let request = PlanRequest::with_selection(Selection::All);
    plan(&Inventory::parse(snapshot), &request, now(), &mut Seeded::new(1)).unwrap()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

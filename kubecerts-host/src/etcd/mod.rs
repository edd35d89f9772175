//! Snapshots and the health of etcd over its own API, as `etcdctl snapshot save` and `etcdctl endpoint health` do it.
//!
//! [`EtcdMember::of_node`] finds the member that runs on a node, and [`snapshot`] streams its database to a sink. What the
//! sink has received then is a file that `etcdctl snapshot restore` and `etcdutl snapshot restore` take.
//! [`cluster_health`] asks whether all members of its cluster are well.
//!
//! Nothing is retried and nothing is written by this module: where the file lies, and what becomes of one that was cut, is
//! the caller's affair.
//!
//! The protocol is that of etcd 3.4 to 3.6. Its client is generated from `proto/etcdserverpb.proto` and checked in; the
//! test `etcd_protocol` makes it anew and compares.

mod backup;
mod connection;
mod credentials;
mod error;
#[expect(unreachable_pub, unused_qualifications, reason = "generated code")]
#[rustfmt::skip]
#[path = "generated/etcdserverpb.rs"]
mod generated;
mod health;
mod member;
mod observed;
mod stream;

use std::io;
use std::time::Duration;

use kubecerts_core::digest::Digest;
use tokio::runtime::Builder;

use connection::Connection;
use credentials::Client;
use generated::{HashKvRequest, SnapshotRequest, StatusRequest};
use stream::{Assembly, Defect};

pub use backup::BackupError;
pub use error::{EtcdError, NoMember, Wait};
pub use health::cluster_health;
pub use member::EtcdMember;

/// Streams a snapshot of `member` to `sink` and returns what it is, once it is complete and its digest is right.
///
/// The sink gets the parts in order, 32 KiB each as etcd sends them; a sink that is slow slows the member down, and at
/// most a few MiB are held. After an error the sink has received something that is no snapshot.
///
/// `deadline` bounds the connection, with its handshakes, and then each answer and each part on its own, but not the time
/// that the sink takes: however long the database is, a member that hangs is noticed after this time.
///
/// ```no_run
/// use std::io::Write as _;
/// use std::time::Duration;
///
/// use kubecerts_host::etcd::{EtcdMember, snapshot};
/// use kubecerts_host::{Node, NodeOptions};
///
/// let member = EtcdMember::of_node(&Node::open(NodeOptions::default())?.scan()?)?;
/// let mut file = std::fs::File::create_new("/var/backups/etcd.db")?;
/// let taken = snapshot(&member, Duration::from_secs(10), &mut |part| file.write_all(part))?;
/// file.sync_all()?;
/// assert!(taken.revision > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EtcdError`] when the member cannot be reached or is not the right one, refuses the client, hangs, or sends less than
/// a whole database with its digest; [`EtcdError::Write`] when the sink fails.
///
/// # Panics
/// When it is called within an asynchronous runtime: it blocks.
pub fn snapshot(
    member: &EtcdMember,
    deadline: Duration,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<EtcdSnapshot, EtcdError> {
    snapshot_if(member, deadline, &mut |_| true, sink)
}

/// Streams a snapshot like [`snapshot`], provided that `admit` takes a database of this size in bytes.
fn snapshot_if(
    member: &EtcdMember,
    deadline: Duration,
    admit: &mut dyn FnMut(u64) -> bool,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<EtcdSnapshot, EtcdError> {
    run(take(member, deadline, admit, sink))
}

/// Returns what comes of `work`, for which the caller waits.
fn run<T>(work: impl Future<Output = Result<T, EtcdError>>) -> Result<T, EtcdError> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|source| EtcdError::Runtime { source })?;
    let outcome = runtime.block_on(work);
    // A name that is still being looked up may not hold the caller.
    runtime.shutdown_background();
    outcome
}

/// What a snapshot is and whose.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EtcdSnapshot {
    /// The size of the snapshot in bytes: the database, and 32 bytes of its digest.
    pub size: u64,
    /// The SHA-256 digest of the whole snapshot, which is what `sha256sum` says of the file. The digest at the end of the
    /// file, which etcd has made, is of the database alone.
    pub sha256: Digest,
    /// The revision up to which the snapshot certainly has every change; it may have later ones.
    ///
    /// It is the member's revision before the snapshot began. What came in between is in the snapshot too, and etcd does
    /// not say how much: it leaves the header of a snapshot's parts empty, in 3.4 to 3.6. On a member that nobody writes to
    /// it is the revision that `etcdctl snapshot status` shows.
    pub revision: i64,
    /// A hash of the member's keys, to be compared with other members or after a restore; `None` when the member did not
    /// say in time.
    pub key_hash: Option<KeyHash>,
    /// The size of the member's database on its disk in bytes, shortly before the snapshot.
    pub database_size: u64,
    /// The version of etcd, such as `3.5.16`.
    pub version: String,
    /// The number of the cluster, which a restore changes.
    pub cluster_id: u64,
    /// The number of the member in the cluster.
    pub member_id: u64,
}

/// etcd's hash of all keys between two revisions, as `etcdctl endpoint hashkv` shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyHash {
    /// The hash, which is a CRC-32: it shows accidents and not intent.
    pub hash: u32,
    /// The last revision that counts; never later than the snapshot.
    pub revision: i64,
    /// The revision of the last compaction, before which nothing counts; -1 when there was none.
    pub compact_revision: i64,
}

async fn take(
    member: &EtcdMember,
    deadline: Duration,
    admit: &mut dyn FnMut(u64) -> bool,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<EtcdSnapshot, EtcdError> {
    let connection = Connection::open(&member.endpoint, &Client::of(member)?, deadline).await?;
    let mut client = connection.maintenance();

    let status = connection.wait(Wait::Status, client.status(StatusRequest {})).await?.into_inner();
    let header = status.header.unwrap_or_default();
    let database_size = u64::try_from(status.db_size).unwrap_or_default();
    if !admit(database_size) {
        let source = io::ErrorKind::StorageFull.into();
        return Err(EtcdError::Write { endpoint: member.endpoint.clone(), source });
    }
    // A large database takes long to hash, and no snapshot should fail for it.
    let hashed = tokio::time::timeout(deadline, client.hash_kv(HashKvRequest { revision: 0 })).await;
    let key_hash = hashed.ok().and_then(Result::ok).map(|answer| {
        let answer = answer.into_inner();
        let revision = answer.header.map_or(0, |header| header.revision);
        KeyHash { hash: answer.hash, revision, compact_revision: answer.compact_revision }
    });

    let mut assembly = Assembly::default();
    let incomplete = |defect| match defect {
        Defect::Checksum { actual, expected } => {
            EtcdError::Checksum { endpoint: member.endpoint.clone(), actual, expected }
        }
        other => EtcdError::Incomplete { endpoint: member.endpoint.clone(), detail: other.to_string() },
    };
    let mut parts = connection.wait(Wait::Snapshot, client.snapshot(SnapshotRequest {})).await?.into_inner();
    while let Some(part) = connection.wait(Wait::Snapshot, parts.message()).await? {
        assembly.take(&part.blob, part.remaining_bytes).map_err(incomplete)?;
        sink(&part.blob).map_err(|source| EtcdError::Write { endpoint: member.endpoint.clone(), source })?;
    }
    let (size, sha256) = assembly.finish().map_err(incomplete)?;

    Ok(EtcdSnapshot {
        size,
        sha256,
        revision: header.revision,
        key_hash,
        database_size,
        version: status.version,
        cluster_id: header.cluster_id,
        member_id: header.member_id,
    })
}

//! Snapshots in backups.

use std::time::Duration;

use super::{EtcdError, EtcdMember, EtcdSnapshot, NoMember, snapshot_if};
use crate::apply::ApplyError;
use crate::disk::DiskError;
use crate::disk::backup::{EtcdEntry, Manifest, Scope};
use crate::session::Session;

impl Session<'_> {
    /// Makes a backup like [`Session::back_up`], with a snapshot of the etcd that runs on the node.
    ///
    /// `deadline` is as for [`snapshot`](super::snapshot).
    ///
    /// # Errors
    /// [`BackupError`]: without the snapshot there is no backup. [`DiskError::NoRoom`] within it when the database would leave
    /// less than 64 MiB free: etcd often writes to the same file system.
    pub fn back_up_with_etcd(
        &mut self,
        scope: Scope,
        reason: &str,
        deadline: Duration,
    ) -> Result<Manifest, BackupError> {
        self.back_up_with(scope, reason, |writer, node| {
            let member = EtcdMember::of_node(node)?;
            let left = writer.left()?;
            let mut no_room = None;
            let taken = writer.etcd(|file, sink| {
                let mut admit = |size| {
                    no_room = left.takes(size, RESERVE).err();
                    no_room.is_none()
                };
                let EtcdSnapshot { size, sha256, revision, version, .. } =
                    snapshot_if(&member, deadline, &mut admit, sink)?;
                let endpoint = member.endpoint().to_owned();
                Ok::<_, EtcdError>(EtcdEntry {
                    file: file.to_owned(),
                    endpoint,
                    version,
                    revision,
                    size,
                    sha256,
                })
            })?;
            match no_room {
                Some(error) => Err(error.into()),
                None => Ok(taken?),
            }
        })
    }
}

/// What a snapshot must leave free, in bytes: etcd stops when its disk is full, and as a rule it has files of 64 MB preallocated
/// for its log (`server/storage/wal/wal.go`, `SegmentSizeBytes`).
const RESERVE: u64 = 64 << 20;

/// Why there is no backup with a snapshot of etcd. What was begun is removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The files could not be copied.
    #[error(transparent)]
    Files(#[from] ApplyError),
    /// No etcd runs on the node, or it is not known how to ask it.
    #[error(transparent)]
    Member(#[from] NoMember),
    /// There is no snapshot.
    #[error(transparent)]
    Snapshot(#[from] EtcdError),
}

impl From<DiskError> for BackupError {
    fn from(error: DiskError) -> Self {
        Self::Files(error.into())
    }
}

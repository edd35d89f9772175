//! Snapshots in backups.

use std::time::Duration;

use super::{EtcdError, EtcdMember, EtcdSnapshot, NoMember, snapshot};
use crate::apply::ApplyError;
use crate::disk::DiskError;
use crate::disk::backup::{EtcdEntry, Manifest, Scope};
use crate::session::Session;

impl Session<'_> {
    /// Makes a backup like [`Session::back_up`], with a snapshot of the etcd that runs on the node.
    ///
    /// `deadline` is as for [`snapshot`].
    ///
    /// # Errors
    /// [`BackupError`]: without the snapshot there is no backup.
    pub fn back_up_with_etcd(
        &mut self,
        scope: Scope,
        reason: &str,
        deadline: Duration,
    ) -> Result<Manifest, BackupError> {
        self.back_up_with(scope, reason, |writer, node| {
            let member = EtcdMember::of_node(node)?;
            let taken = writer.etcd(|file, sink| {
                let EtcdSnapshot { size, sha256, revision, version, .. } = snapshot(&member, deadline, sink)?;
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
            Ok(taken?)
        })
    }
}

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

//! What lies around the tree: backups and copies of its certificates, what the kubelet and pods hold, and what restarts it.

use super::{CertificateBundle, FileFacts};
use crate::path::TreePath;
use crate::provider::PublicHalves;
use crate::snapshot::{Area, FileState, Snapshot};
use crate::x509::PublicKey;

mod certificates;
mod jobs;
mod pods;

pub use certificates::DatedCertificate;
pub use jobs::RestartJob;
pub(crate) use pods::token_key_id;
pub use pods::{PodVolume, TokenFacts};

/// What was found outside the layout, when a scan was asked to look there. Public data.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Surroundings {
    /// Files with certificates, sorted by path: whole files in PEM, or values in kubeconfigs.
    pub certificates: Vec<FoundCertificates>,
    /// What the kubelet has kept of its client certificates, the oldest first by name.
    pub kubelet_certificates: Vec<DatedCertificate>,
    /// Whether there is a `bootstrap-kubelet.conf`; `None` when nobody has looked.
    pub has_bootstrap_kubeconfig: Option<bool>,
    /// What a sample of the pods was given to reach the API server, sorted by path.
    pub pods: Vec<PodVolume>,
    /// Timers, crontabs and scripts that restart components of the control plane, sorted by path.
    pub jobs: Vec<RestartJob>,
    /// The directories in which not everything was looked at, because there is too much; sorted.
    pub left_out: Vec<TreePath>,
    /// Whether a scan has looked there at all.
    pub is_known: bool,
}

/// A file outside the layout that holds certificates.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FoundCertificates {
    /// The file.
    pub file: FileFacts,
    /// What its place says about it.
    pub kind: FoundKind,
    /// Whether it is a kubeconfig, in which they are values among others.
    pub is_kubeconfig: bool,
    /// The certificates, in their order. Of a kubeconfig these are those of its users, then those that it trusts.
    pub certificates: CertificateBundle,
    /// The public halves of the private keys in it, in their order.
    pub keys: Vec<PublicKey>,
}

/// What the place of a file says about it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum FoundKind {
    /// A backup: nothing uses it.
    Backup,
    /// A copy for some other program.
    Copy,
    /// A file where kubeadm would put it, though the components of this node read another one.
    OtherLayout,
}

impl Surroundings {
    pub(super) fn parse(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Self {
        let bootstrap = snapshot.surroundings_in(Area::Bootstrap).next();
        Self {
            certificates: certificates::found(snapshot, halves),
            kubelet_certificates: certificates::dated(snapshot, halves),
            has_bootstrap_kubeconfig: bootstrap.map(|(_, state)| !matches!(state, FileState::Absent)),
            pods: pods::volumes(snapshot),
            jobs: jobs::jobs(snapshot),
            left_out: snapshot.left_out().cloned().collect(),
            is_known: snapshot.has_looked_around(),
        }
    }
}

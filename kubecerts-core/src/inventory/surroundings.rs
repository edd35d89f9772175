//! What lies around the tree: earlier and other copies of its certificates.

use super::{CertificateBundle, FileFacts};
use crate::snapshot::Snapshot;
use crate::x509::PublicKey;

/// What was found outside the layout, when a scan was asked to look there. Public data.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Surroundings {
    /// Files with certificates, sorted by path: whole files in PEM, or values in kubeconfigs.
    pub certificates: Vec<FoundCertificates>,
}

/// A file outside the layout that holds certificates.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FoundCertificates {
    /// The file.
    pub file: FileFacts,
    /// What its place says about it.
    pub kind: FoundKind,
    /// The certificates, in their order.
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
    pub(super) fn parse(_snapshot: &Snapshot) -> Self {
        Self::default()
    }
}

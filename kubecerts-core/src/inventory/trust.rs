//! Who trusts a certificate of an authority.

use std::fmt;

use super::{CertificateBundle, Inventory, Place, Reading};
use crate::catalog::{CaSlot, Component};
use crate::path::TreePath;
use crate::snapshot::{FileState, Snapshot, TrustFile};
use crate::x509::Certificate;

/// A place beside the authority's own file that holds its certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Trusting {
    /// A kubeconfig embeds it, in the tree or outside of it.
    Kubeconfig(Place),
    /// A file holds it that a component is told to trust.
    #[non_exhaustive]
    File {
        /// The file.
        path: TreePath,
        /// Which component.
        component: Component,
        /// The flag or the field that names the file.
        setting: &'static str,
        /// How many other certificates the file holds.
        others: usize,
    },
}

impl fmt::Display for Trusting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig(place) => place.fmt(f),
            Self::File { path, component, setting, others: _ } => {
                write!(f, "{path} ({setting} of {component})")
            }
        }
    }
}

/// A file that holds an earlier certificate of an authority and not the one that the authority has now: same key, same name, an
/// earlier end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutdatedTrust<'i> {
    /// The authority.
    pub ca: CaSlot,
    /// The file, and who is told to trust it.
    pub file: &'i TrustFile,
    /// The earlier certificate.
    pub old: &'i Certificate,
}

impl Inventory {
    /// Returns the files that manifests and the kubelet's configuration name and that lag behind an authority with a later end;
    /// sorted by authority, then in the order of the components.
    #[must_use]
    pub fn outdated_trust(&self) -> Vec<OutdatedTrust<'_>> {
        let mut found = Vec::new();
        for ca in CaSlot::ALL {
            let Some(new) = self.authority(ca).signer() else { continue };
            let is_earlier = |old: &&Certificate| {
                old.public_key() == new.public_key()
                    && old.subject() == new.subject()
                    && old.not_after() < new.not_after()
            };
            for (file, bundle) in &self.trust_files {
                let trusted = bundle.present().map_or(&[][..], CertificateBundle::certificates);
                if trusted.contains(new) {
                    continue;
                }
                found.extend(trusted.iter().find(is_earlier).map(|old| OutdatedTrust { ca, file, old }));
            }
        }
        found
    }

    /// Returns the certificates that pods are given to verify the API server: those of `--root-ca-file`, or of the cluster's
    /// authority.
    pub(crate) fn published_roots(&self) -> &[Certificate] {
        let file = self.trust_files.iter().find(|(file, _)| file.setting == "root-ca-file");
        let bundle = match file {
            Some((_, bundle)) => bundle.present(),
            None => self.authority(CaSlot::Cluster).certificate().present(),
        };
        bundle.map_or(&[][..], CertificateBundle::certificates)
    }

    /// Returns what is in the file at `path`, if a component is told to trust it and it is none of the tree.
    pub(crate) fn trusted_in(&self, path: &TreePath) -> Option<&Reading<CertificateBundle>> {
        self.trust_files.iter().find(|(file, _)| file.path == *path).map(|(_, bundle)| bundle)
    }

    /// Returns every place of this node beside the authority's own file that holds `certificate`: kubeconfigs, then files that
    /// manifests and the kubelet's configuration name.
    #[must_use]
    pub fn trusting(&self, certificate: &Certificate) -> Vec<Trusting> {
        let mut found = Vec::new();
        for (place, credential) in &self.credentials {
            let Some(facts) = credential.kubeconfig() else { continue };
            if facts.embedded_authorities().contains(certificate) {
                found.push(Trusting::Kubeconfig(place.clone()));
            }
        }
        for (TrustFile { path, component, setting }, bundle) in &self.trust_files {
            let trusted = bundle.present().map_or(&[][..], CertificateBundle::certificates);
            if trusted.contains(certificate) {
                let others = trusted.iter().filter(|other| *other != certificate).count();
                found.push(Trusting::File { path: path.clone(), component: *component, setting, others });
            }
        }
        found
    }
}

pub(super) fn read(snapshot: &Snapshot) -> Vec<(TrustFile, Reading<CertificateBundle>)> {
    let files = snapshot.node().trust_files().iter();
    let read =
        |file: &TrustFile| Reading::certificates(snapshot.at(&file.path).unwrap_or(&FileState::Absent));
    files.map(|file| (file.clone(), read(file))).collect()
}

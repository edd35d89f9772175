//! Certificates in files outside the layout.

use super::{FoundCertificates, FoundKind};
use crate::catalog::{CaSlot, Directories, FileSlot, LeafSlot};
use crate::inventory::{CertificateBundle, FileFacts, KeyFacts, Reading};
use crate::kubeconfig::{KeySource, Kubeconfig, Source, user_key};
use crate::path::TreePath;
use crate::provider::PublicHalves;
use crate::snapshot::{Area, FileContent, FileState, Snapshot};
use crate::x509::{PrivateKey, PublicKey, decode_blocks};

/// A client certificate that the kubelet has kept, with its key in the same file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DatedCertificate {
    /// The file, such as `kubelet-client-2026-01-31-12-00-00.pem`.
    pub file: FileFacts,
    /// The certificate.
    pub certificate: Reading<CertificateBundle>,
    /// The public half of its key.
    pub key: Reading<KeyFacts>,
}

impl DatedCertificate {
    /// Returns whether certificate and key can be read and belong together.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let (Some(bundle), Some(key)) = (self.certificate.present(), self.key.present()) else {
            return false;
        };
        bundle.first().public_key() == key.public_key()
    }
}

pub(super) fn dated(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Vec<DatedCertificate> {
    let files = snapshot.surroundings_in(Area::KubeletCertificate);
    let dated = |(path, state): (&TreePath, &FileState)| DatedCertificate {
        file: FileFacts::of_path(path, state),
        certificate: Reading::certificates(state),
        key: Reading::key(state, halves),
    };
    files.map(dated).collect()
}

pub(super) fn found(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Vec<FoundCertificates> {
    let areas = [Area::Backup, Area::Copies, Area::OtherLayout, Area::KubeletCertificate];
    let files = areas
        .into_iter()
        .flat_map(|area| snapshot.surroundings_in(area).map(move |(path, state)| (area, path, state)));
    let mut found: Vec<FoundCertificates> = files
        .filter(|(area, path, _)| *area != Area::KubeletCertificate || !is_current(snapshot, path))
        .filter_map(|(area, path, state)| {
            let content = state.content()?;
            let whole = pem(content.secret_bytes(), halves);
            let is_kubeconfig = whole.is_none();
            let (certificates, keys) = whole.or_else(|| embedded(content, halves))?;
            let file = FileFacts::of_path(path, state);
            Some(FoundCertificates {
                file,
                kind: kind(area, path, snapshot),
                is_kubeconfig,
                certificates,
                keys,
            })
        })
        .collect();
    found.sort_by(|one, other| one.file.path.cmp(&other.file.path));
    found
}

/// Returns whether the kubelet's current certificate is this file.
fn is_current(snapshot: &Snapshot, path: &TreePath) -> bool {
    let current = snapshot.file(FileSlot::KubeletClient).content();
    let target = current.and_then(|content| content.meta().target.as_ref());
    target.is_some_and(|target| target.file_name() == path.file_name())
}

fn kind(area: Area, path: &TreePath, snapshot: &Snapshot) -> FoundKind {
    match area {
        Area::Backup | Area::KubeletCertificate => FoundKind::Backup,
        Area::OtherLayout if is_kubeadms(path, snapshot) => FoundKind::OtherLayout,
        _ => FoundKind::Copy,
    }
}

/// Returns whether kubeadm would give the file this name in a directory that is not the tree's.
fn is_kubeadms(path: &TreePath, snapshot: &Snapshot) -> bool {
    let Directories { certificates, .. } = snapshot.node().directories();
    let leaves = LeafSlot::ALL.into_iter().map(LeafSlot::base_name);
    let names = leaves.chain(CaSlot::ALL.into_iter().map(CaSlot::base_name));
    let is_named = names.into_iter().any(|name| {
        let end = format!("/{name}.crt");
        // `etcd/ca` and `ca` are both names, so what stands before it decides as well.
        path.as_str().strip_suffix(end.as_str()).is_some_and(|directory| !directory.ends_with("/etcd"))
    });
    // Where the tree itself lies, kubeadm's names are those of the layout.
    let is_own = path.below(certificates).is_some()
        && snapshot.layout().iter().any(|(_, located)| located.path.below(certificates).is_some());
    is_named && (!is_own || *certificates == Directories::default().certificates)
}

/// Reads a file in PEM.
fn pem(bytes: &[u8], halves: &dyn PublicHalves) -> Option<(CertificateBundle, Vec<PublicKey>)> {
    let bundle = CertificateBundle::parse(bytes).ok()?;
    let keys = decode_blocks(bytes).into_iter().flatten().filter_map(|block| {
        block
            .label()
            .ends_with("PRIVATE KEY")
            .then(|| PrivateKey::public_half_of_block(&block, halves).ok())
            .flatten()
    });
    Some((bundle, keys.map(|(key, _)| key).take(MOST_KEYS).collect()))
}

/// Reads the values that a kubeconfig embeds.
fn embedded(content: &FileContent, halves: &dyn PublicHalves) -> Option<(CertificateBundle, Vec<PublicKey>)> {
    let bytes = content.secret_bytes();
    let kubeconfig = Kubeconfig::parse(bytes).ok()?;
    let users = kubeconfig.users().iter().map(|user| user.client_certificate());
    let clusters = kubeconfig.clusters().iter().map(|cluster| cluster.certificate_authority());
    let data = users.chain(clusters).filter_map(|source| match source {
        Source::Data(pem) => Some(pem.as_slice()),
        Source::Absent | Source::Damaged(_) | Source::File(_) => None,
    });
    let all = data.flat_map(|pem| [pem, b"\n"]).collect::<Vec<_>>().concat();
    let bundle = CertificateBundle::parse(&all).ok()?;
    let with_keys = kubeconfig.users().iter().filter(|user| *user.client_key() == KeySource::Data);
    let keys = with_keys.take(MOST_KEYS).filter_map(|user| {
        let secret = user_key(bytes, user.name())?;
        let key = KeyFacts::parse_from(secret.secret_bytes(), content.origin(), halves);
        Some(key.ok()?.public_key().clone())
    });
    Some((bundle, keys.collect()))
}

/// A file has one key as a rule; reading one takes time, so a file full of them must not take all day.
const MOST_KEYS: usize = 16;

//! A certificate with its key, wherever the two lie.

use super::{Authority, CertificateBundle, ChainFact, FileFacts, KeyFacts, Reading};
use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, LeafSlot};
use crate::kubeconfig::{
    Current, DamagedKubeconfig, DanglingContext, Document, Edit, EditError, KeySource, Kubeconfig, Source,
    User,
};
use crate::path::TreePath;
use crate::provider::PublicHalves;
use crate::secret::SecretBytes;
use crate::snapshot::{FileState, Origin, Snapshot};
use crate::time::Timestamp;
use crate::x509::{Certificate, Damage, KnownKeys, certificates};

/// A certificate and its key: two files, one file, or two values in a kubeconfig.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    certificate_file: FileFacts,
    certificate: Reading<CertificateBundle>,
    key_file: FileFacts,
    key: Reading<KeyFacts>,
    kubeconfig: Option<KubeconfigFacts>,
    chain: Option<ChainFact>,
}

/// What a kubeconfig adds to its client certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KubeconfigFacts {
    /// The file as a whole, or why it could not be understood.
    pub file: Result<Kubeconfig, DamagedKubeconfig>,
    /// Why the current context leads nowhere, if it does.
    pub dangling: Option<DanglingContext>,
    /// Whether certificate and key are embedded in the file, and not referred to.
    pub is_embedded: bool,
    /// The certificates of the authorities that the current cluster trusts.
    pub authority: Reading<CertificateBundle>,
    /// Whether these are embedded in the file, and not referred to.
    pub embeds_authority: bool,
    /// Why the embedded values cannot be replaced in place, if they cannot: one is absent, or shared by an anchor.
    pub obstacle: Option<EditError>,
    /// Why the embedded certificates of the authorities cannot be replaced in place, if they are embedded and cannot be.
    pub authority_obstacle: Option<EditError>,
    /// Why the current user of kubelet.conf cannot be made to refer to the kubelet's client certificate, if that cannot be
    /// done; `None` for other kubeconfigs.
    pub reference_obstacle: Option<EditError>,
}

impl KubeconfigFacts {
    /// Returns whether the certificate with which the cluster's authority signs is missing among those that the kubeconfig
    /// trusts.
    ///
    /// More than the tree has is fine, as it is during a rotation. Of a file with several certificates kubeadm embeds the first
    /// one only, so the others may be missing. Without readable certificates on both sides nothing is lacking.
    #[must_use]
    pub fn lacks_authority(&self, cluster: &Authority) -> bool {
        let (Some(trusted), Some(signer)) = (self.authority.present(), cluster.signer()) else {
            return false;
        };
        !trusted.certificates().contains(signer)
    }

    /// Returns until when the kubeconfig works though it lacks the authority's certificate: the last end, at `now` or later, of those
    /// that it trusts and that have the authority's key and subject.
    #[must_use]
    pub fn trusts_earlier_until(&self, cluster: &Authority, now: Timestamp) -> Option<Timestamp> {
        let (trusted, signer) = (self.authority.present()?, cluster.signer()?);
        let is_same =
            |one: &&Certificate| one.public_key() == signer.public_key() && one.subject() == signer.subject();
        let ends = trusted.certificates().iter().filter(is_same).map(Certificate::not_after);
        ends.max().filter(|end| *end >= now)
    }

    /// Returns every certificate of an authority that any cluster of the file embeds, in the order of the file.
    #[must_use]
    pub fn embedded_authorities(&self) -> Vec<Certificate> {
        let clusters = self.file.as_ref().map_or(&[][..], Kubeconfig::clusters).iter();
        let embedded = clusters.filter_map(|cluster| match cluster.certificate_authority() {
            Source::Data(pem) => certificates(pem).ok(),
            Source::Absent | Source::Damaged(_) | Source::File(_) => None,
        });
        embedded.flatten().flatten().collect()
    }

    /// Returns whether a renewal has to replace the embedded authorities: they are not those of the tree, or damaged.
    pub(crate) fn needs_authority(&self, cluster: &Authority) -> bool {
        let damaged =
            matches!(self.authority, Reading::Damaged(_)) && cluster.certificate().present().is_some();
        self.embeds_authority && (damaged || self.lacks_authority(cluster))
    }
}

impl Credential {
    pub(super) fn from_leaf(snapshot: &Snapshot, leaf: LeafSlot, halves: &dyn PublicHalves) -> Self {
        Self::from_files(snapshot, FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf), halves)
    }

    pub(super) fn from_kubelet_client(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Self {
        Self::from_files(snapshot, FileSlot::KubeletClient, FileSlot::KubeletClient, halves)
    }

    pub(super) fn from_kubelet_serving(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Self {
        let (certificate, key) = (FileSlot::KubeletServingCertificate, FileSlot::KubeletServingKey);
        Self::from_files(snapshot, certificate, key, halves)
    }

    fn from_files(
        snapshot: &Snapshot,
        certificate: FileSlot,
        key: FileSlot,
        halves: &dyn PublicHalves,
    ) -> Self {
        Self {
            certificate_file: FileFacts::of_slot(snapshot, certificate),
            certificate: Reading::certificates(snapshot.file(certificate)),
            key_file: FileFacts::of_slot(snapshot, key),
            key: Reading::key(snapshot.file(key), halves),
            kubeconfig: None,
            chain: None,
        }
    }

    pub(super) fn from_kubeconfig(
        snapshot: &Snapshot,
        facts: FileFacts,
        state: &FileState,
        halves: &dyn PublicHalves,
    ) -> Self {
        let is_kubelets =
            facts.path == *snapshot.layout().path(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet));
        let mut credential = Self {
            certificate: Reading::Absent,
            key: Reading::Absent,
            certificate_file: facts.clone(),
            key_file: facts,
            kubeconfig: None,
            chain: None,
        };
        let (bytes, origin) = match state {
            FileState::Absent => return credential,
            FileState::Unreadable(problem) => {
                credential.certificate = Reading::Unreadable(problem.clone());
                credential.key = Reading::Unreadable(problem.clone());
                return credential;
            }
            FileState::Present(content) => (content.secret_bytes(), content.origin()),
        };
        let document = Document::parse(bytes);
        let mut dangling = None;
        let mut is_embedded = false;
        let mut authority = Reading::Absent;
        let mut embeds_authority = false;
        let mut obstacle = None;
        let mut authority_obstacle = None;
        let mut reference_obstacle = None;
        match &document {
            Err(damage) => {
                let damage = Damage::der("kubeconfig", damage);
                credential.certificate = Reading::Damaged(damage.clone());
                credential.key = Reading::Damaged(damage);
            }
            Ok(document) => match document.kubeconfig().current() {
                Err(missing) => {
                    let damage = Damage::der("kubeconfig", &missing);
                    credential.certificate = Reading::Damaged(damage.clone());
                    credential.key = Reading::Damaged(damage);
                    dangling = Some(missing);
                }
                Ok(current) => {
                    let directory = credential.certificate_file.path.parent();
                    let reader = Reader { snapshot, directory, halves };
                    let (certificate, from) = reader.certificates(current.user.client_certificate());
                    credential.certificate = certificate;
                    if let Some(from) = from {
                        credential.certificate_file = from;
                    }
                    let (key, from) = reader.key(document, origin, current.user);
                    credential.key = key;
                    if let Some(from) = from {
                        credential.key_file = from;
                    }
                    authority = reader.certificates(current.cluster.certificate_authority()).0;
                    embeds_authority = matches!(
                        current.cluster.certificate_authority(),
                        Source::Data(_) | Source::Damaged(_)
                    );
                    is_embedded =
                        matches!(current.user.client_certificate(), Source::Data(_) | Source::Damaged(_))
                            && !matches!(current.user.client_key(), KeySource::File(_));
                    obstacle =
                        if is_embedded { find_obstacle(document, current, embeds_authority) } else { None };
                    // Where all three values can be replaced, each of them can.
                    if embeds_authority && (obstacle.is_some() || !is_embedded) {
                        let edit = Edit::new().authority(b"stand-in", current.cluster.name());
                        authority_obstacle = document.edit(&edit).err();
                    }
                    if is_kubelets {
                        reference_obstacle =
                            find_reference_obstacle(snapshot, document, current, embeds_authority);
                    }
                }
            },
        }
        credential.kubeconfig = Some(KubeconfigFacts {
            file: document.map(Document::into_kubeconfig),
            dangling,
            is_embedded,
            authority,
            embeds_authority,
            obstacle,
            authority_obstacle,
            reference_obstacle,
        });
        credential
    }

    pub(super) fn relate(&mut self, ca: CaSlot, authority: &Authority, keys: &mut KnownKeys) {
        self.chain = self.certificate.present().map(|bundle| ChainFact::find(bundle, ca, authority, keys));
    }

    /// Returns the file that holds the certificate; for a kubeconfig with embedded data the kubeconfig itself.
    #[must_use]
    pub const fn certificate_file(&self) -> &FileFacts {
        &self.certificate_file
    }

    /// Returns the certificate, and those that follow it in its file.
    #[must_use]
    pub const fn certificate(&self) -> &Reading<CertificateBundle> {
        &self.certificate
    }

    /// Returns the file that holds the key.
    #[must_use]
    pub const fn key_file(&self) -> &FileFacts {
        &self.key_file
    }

    /// Returns the public half of the key.
    #[must_use]
    pub const fn key(&self) -> &Reading<KeyFacts> {
        &self.key
    }

    /// Returns what the kubeconfig adds, when the certificate is one of a kubeconfig that exists.
    #[must_use]
    pub const fn kubeconfig(&self) -> Option<&KubeconfigFacts> {
        self.kubeconfig.as_ref()
    }

    /// Returns how the certificate relates to its authority; `None` without a certificate or for what has no authority.
    #[must_use]
    pub const fn chain(&self) -> Option<&ChainFact> {
        self.chain.as_ref()
    }

    /// Returns the certificate that is used.
    #[must_use]
    pub fn leaf(&self) -> Option<&Certificate> {
        self.certificate.present().map(CertificateBundle::first)
    }

    /// Returns whether the key belongs to the certificate; `None` when either could not be read.
    #[must_use]
    pub fn key_matches(&self) -> Option<bool> {
        Some(self.key.present()?.public_key() == self.leaf()?.public_key())
    }

    /// Returns whether there is a key of a kind that cannot be read here, so that nothing is known about the pair.
    #[must_use]
    pub const fn has_unsupported_key(&self) -> bool {
        matches!(self.key, Reading::Damaged(Damage::UnsupportedKey(_)))
    }
}

/// Replaces the values of the current context by others, to see whether a renewal could.
fn find_obstacle(document: &Document<'_>, current: Current<'_>, embeds_authority: bool) -> Option<EditError> {
    let stand_in = SecretBytes::new(b"stand-in".to_vec());
    let mut edit = Edit::new().client(stand_in.secret_bytes(), Some(&stand_in), current.user.name());
    if embeds_authority {
        edit = edit.authority(stand_in.secret_bytes(), current.cluster.name());
    }
    document.edit(&edit).err()
}

/// Makes the current context refer to a file, to see whether a repair could.
fn find_reference_obstacle(
    snapshot: &Snapshot,
    document: &Document<'_>,
    current: Current<'_>,
    embeds_authority: bool,
) -> Option<EditError> {
    let path = snapshot.layout().path(FileSlot::KubeletClient).as_str();
    let mut edit = Edit::new().reference(path, current.user.name());
    if embeds_authority {
        edit = edit.authority(b"stand-in", current.cluster.name());
    }
    document.edit(&edit).err()
}

struct Reader<'a> {
    snapshot: &'a Snapshot,
    directory: TreePath,
    halves: &'a dyn PublicHalves,
}

impl Reader<'_> {
    fn certificates(&self, source: &Source) -> (Reading<CertificateBundle>, Option<FileFacts>) {
        match source {
            Source::Absent => (Reading::Absent, None),
            Source::Data(bytes) => (Reading::from_result(CertificateBundle::parse(bytes)), None),
            Source::Damaged(reason) => (Reading::Damaged(Damage::der("embedded data", reason)), None),
            Source::File(text) => self.referenced(text, Reading::certificates),
        }
    }

    fn key(
        &self,
        kubeconfig: &Document<'_>,
        origin: Origin,
        user: &User,
    ) -> (Reading<KeyFacts>, Option<FileFacts>) {
        match user.client_key() {
            KeySource::Absent => (Reading::Absent, None),
            KeySource::Data => {
                let secret = kubeconfig.user_key(user.name()).map_or(&[][..], SecretBytes::secret_bytes);
                let key = KeyFacts::parse_from(secret, origin, self.halves);
                (Reading::from_result(key), None)
            }
            KeySource::Damaged(reason) => (Reading::Damaged(Damage::der("embedded data", reason)), None),
            KeySource::File(text) => self.referenced(text, |state| Reading::key(state, self.halves)),
        }
    }

    fn referenced<T>(
        &self,
        text: &str,
        read: impl FnOnce(&FileState) -> Reading<T>,
    ) -> (Reading<T>, Option<FileFacts>) {
        let Ok(path) = self.directory.join(text) else {
            return (Reading::Damaged(Damage::der("reference", format!("{text:?} is not a path"))), None);
        };
        let state = self.snapshot.at(&path).unwrap_or(&FileState::Absent);
        (read(state), Some(FileFacts::of_path(&path, state)))
    }
}

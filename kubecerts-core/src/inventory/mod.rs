//! What is there: every artefact of the tree, read and put into relation, without an opinion.
//!
//! [`Inventory::parse`] reads a [`Snapshot`] once. From here on there are no secrets: of a private key only the public
//! half remains. Whatever cannot be read is a [`Reading`], not an error.

mod chain;
mod credential;
mod expiration;
mod flags;
mod names;
mod reading;
mod rotation;
mod server;
mod surroundings;
mod token_keys;
mod trust;

use std::collections::BTreeMap;
use std::fmt;

use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use crate::path::TreePath;
use crate::provider::{NoPublicHalves, PublicHalves};
use crate::snapshot::{NodeFacts, Snapshot, TrustFile};
use crate::x509::{KnownKeys, PublicKey};

pub use chain::ChainFact;
pub use credential::{Credential, KubeconfigFacts};
pub use expiration::{ExpirationRow, RowState};
pub use flags::NamedFile;
pub use names::{ExpectedName, NameReason};
pub use reading::{CertificateBundle, FileFacts, KeyFacts, Reading};
pub use rotation::{Rotation, Setting, SettingSource, rotation};
pub(crate) use server::Server;
pub(crate) use surroundings::token_key_id;
pub use surroundings::{
    DatedCertificate, FoundCertificates, FoundKind, PodVolume, RestartJob, Surroundings, TokenFacts,
};
pub use token_keys::TokenKey;
pub use trust::{OutdatedTrust, Trusting};

/// Everything that is known of one node's certificates. Public data.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    node: NodeFacts,
    files: BTreeMap<FileSlot, FileFacts>,
    authorities: BTreeMap<CaSlot, Authority>,
    credentials: BTreeMap<Place, Credential>,
    service_account: ServiceAccount,
    trust_files: Vec<(TrustFile, Reading<CertificateBundle>)>,
    token_keys: Vec<TokenKey>,
    named_files: Vec<NamedFile>,
    surroundings: Surroundings,
}

/// Where a certificate was found: in a slot of the tree, or in a copy outside of it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "a certificate is part of the tree or it is not")]
pub enum Place {
    /// In the tree.
    Slot(Slot),
    /// In a kubeconfig outside of it.
    Copy(TreePath),
}

impl Place {
    /// Returns the slot, unless this is a copy.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        match self {
            Self::Slot(slot) => Some(*slot),
            Self::Copy(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => slot.fmt(f),
            Self::Copy(path) => path.fmt(f),
        }
    }
}

impl Inventory {
    /// Reads everything in `snapshot`. This cannot fail: damage is part of the result.
    #[must_use]
    pub fn parse(snapshot: &Snapshot) -> Self {
        Self::parse_with(snapshot, &NoPublicHalves)
    }

    /// Reads everything in `snapshot` as [`parse`](Self::parse) does, with `halves` to compute the public halves of private keys.
    /// The result is the same.
    #[must_use]
    pub fn parse_with(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Self {
        let authorities: BTreeMap<CaSlot, Authority> =
            CaSlot::ALL.into_iter().map(|ca| (ca, Authority::parse_with(snapshot, ca, halves))).collect();

        let mut credentials = BTreeMap::new();
        for leaf in LeafSlot::ALL {
            credentials.insert(Place::Slot(Slot::Leaf(leaf)), Credential::from_leaf(snapshot, leaf, halves));
        }
        for kubeconfig in KubeconfigSlot::ALL {
            let file = FileSlot::Kubeconfig(kubeconfig);
            let place = Place::Slot(Slot::Kubeconfig(kubeconfig));
            let facts = FileFacts::of_slot(snapshot, file);
            let state = snapshot.file(file);
            credentials.insert(place, Credential::from_kubeconfig(snapshot, facts, state, halves));
        }
        let kubelet_client = Credential::from_kubelet_client(snapshot, halves);
        credentials.insert(Place::Slot(Slot::KubeletClient), kubelet_client);
        let kubelet_serving = Credential::from_kubelet_serving(snapshot, halves);
        credentials.insert(Place::Slot(Slot::KubeletServing), kubelet_serving);
        for path in snapshot.copies() {
            let Some(state) = snapshot.at(path) else { continue };
            let facts = FileFacts::of_path(path, state);
            credentials.insert(
                Place::Copy(path.clone()),
                Credential::from_kubeconfig(snapshot, facts, state, halves),
            );
        }
        // A few authorities sign everything.
        let mut keys = KnownKeys::default();
        for (place, credential) in &mut credentials {
            let issuer = place.slot().map_or(Some(CaSlot::Cluster), Slot::issuer);
            if let Some(issuer) = issuer {
                credential.relate(issuer, &authorities[&issuer], &mut keys);
            }
        }

        let service_account = ServiceAccount::parse(snapshot, halves);
        Self {
            node: snapshot.node().clone(),
            files: FileSlot::all().map(|file| (file, FileFacts::of_slot(snapshot, file))).collect(),
            trust_files: trust::read(snapshot),
            token_keys: token_keys::read(snapshot, &service_account),
            named_files: flags::read(snapshot),
            surroundings: Surroundings::parse(snapshot, halves),
            authorities,
            credentials,
            service_account,
        }
    }

    /// Returns what the node says about itself.
    #[must_use]
    pub const fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// Returns what is at the path of `file`, whatever it refers to.
    ///
    /// # Panics
    /// Never: an inventory has every file, even when it does not exist.
    #[must_use]
    pub fn file(&self, file: FileSlot) -> &FileFacts {
        self.files.get(&file).expect("an inventory has every file")
    }

    /// Returns the authority `ca`.
    ///
    /// # Panics
    /// Never: an inventory has every authority, even when it has no file.
    #[must_use]
    pub fn authority(&self, ca: CaSlot) -> &Authority {
        self.authorities.get(&ca).expect("an inventory has every authority")
    }

    /// Returns the certificate of `slot` and its key, unless `slot` is an authority or the service account pair.
    #[must_use]
    pub fn credential(&self, slot: Slot) -> Option<&Credential> {
        self.credentials.get(&Place::Slot(slot))
    }

    /// Returns every certificate with its place: those of the tree in the order of their slots, then the copies.
    pub fn credentials(&self) -> impl Iterator<Item = (&Place, &Credential)> {
        self.credentials.iter()
    }

    /// Returns the file that holds the certificate at `place`; `None` for the service account pair and unknown copies.
    #[must_use]
    pub fn certificate_file(&self, place: &Place) -> Option<&FileFacts> {
        match place {
            Place::Slot(Slot::Ca(ca)) => Some(self.authority(*ca).certificate_file()),
            place => self.credentials.get(place).map(Credential::certificate_file),
        }
    }

    /// Returns the key pair for service account tokens.
    #[must_use]
    pub const fn service_account(&self) -> &ServiceAccount {
        &self.service_account
    }

    /// Returns the keys with which the components are told to sign and verify service account tokens, each flag's value with what
    /// is in its file.
    #[must_use]
    pub fn token_keys(&self) -> &[TokenKey] {
        &self.token_keys
    }

    /// Returns the files that the flags of the manifests name, in the order of the components, with what is there.
    #[must_use]
    pub fn named_files(&self) -> &[NamedFile] {
        &self.named_files
    }

    /// Returns what lies around the tree; nothing unless the scan was asked to look there.
    #[must_use]
    pub const fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Returns whether `slot` belongs on this node: on a worker the certificate of the cluster's authority, else what
    /// [`NodeFacts::expects`].
    #[must_use]
    pub fn expects(&self, slot: Slot) -> bool {
        self.node.expects(slot) && (slot == Slot::Ca(CaSlot::Cluster) || !self.is_worker())
    }

    /// Returns whether the node is a worker: it has a kubelet, and nothing of a control plane but the authority's certificate and
    /// perhaps an administrator's kubeconfig.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        let is_of_control_plane = |file: FileSlot| {
            !matches!(
                file,
                FileSlot::CaCertificate(CaSlot::Cluster)
                    | FileSlot::Kubeconfig(
                        KubeconfigSlot::Kubelet | KubeconfigSlot::Admin | KubeconfigSlot::SuperAdmin
                    )
                    | FileSlot::KubeletClient
                    | FileSlot::KubeletServingCertificate
                    | FileSlot::KubeletServingKey
            )
        };
        let has_kubelet = self.node.kubelet().is_some()
            || self.file(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)).exists
            || self.file(FileSlot::KubeletClient).exists;
        has_kubelet
            && self.node.components().is_empty()
            && FileSlot::all().filter(|file| is_of_control_plane(*file)).all(|file| !self.file(file).exists)
    }

    /// Returns the components that may run on this node, in the order of [`Component::ALL`]: those of
    /// [`NodeFacts::may_run`], but on a worker only the kubelet.
    pub fn components(&self) -> impl Iterator<Item = Component> {
        let is_worker = self.is_worker();
        let may_run = move |component: &Component| {
            self.node.may_run(*component) && (*component == Component::Kubelet || !is_worker)
        };
        Component::ALL.into_iter().filter(may_run)
    }

    /// Returns whether there is no artefact at all, which means that this is no control-plane node, or the wrong root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.authorities.values().all(|authority| authority.certificate.is_absent())
            && self.credentials.values().all(|credential| credential.certificate().is_absent())
    }

    /// Returns the copies of the certificate in `slot` that lie outside the tree: with its key, or with its subject and signed by
    /// the authority of the cluster. The subject alone says nothing, because kubeadm gives every cluster the same ones.
    pub fn copies_of(&self, slot: Slot) -> impl Iterator<Item = &TreePath> {
        let original = self.credential(slot).and_then(Credential::leaf);
        let is_copy = move |copy: &Credential| {
            let (Some(original), Some(leaf)) = (original, copy.leaf()) else { return false };
            let is_signed = matches!(copy.chain(), Some(ChainFact::Signed(_)));
            leaf.public_key() == original.public_key()
                || (is_signed && leaf.subject().is_same_identity(original.subject()))
        };
        self.credentials.iter().filter_map(move |(place, credential)| match place {
            Place::Copy(path) if is_copy(credential) => Some(path),
            Place::Copy(_) | Place::Slot(_) => None,
        })
    }

    /// Returns whether the kubeconfig at `path`, outside the tree, is a copy of one of the tree.
    #[must_use]
    pub fn is_copy(&self, path: &TreePath) -> bool {
        KubeconfigSlot::ALL
            .into_iter()
            .any(|slot| self.copies_of(Slot::Kubeconfig(slot)).any(|copy| copy == path))
    }
}

/// Who can sign with an authority's key.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "every combination of certificate and key is one of these")]
pub enum Custody {
    /// The key is here and belongs to the certificate.
    Held,
    /// The certificate is here and its key is not: somebody else signs.
    External,
    /// There is no certificate.
    Absent,
    /// Certificate or key cannot be used, or do not belong together.
    Broken,
}

/// A certificate authority: its certificate file, which may be a bundle, and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority {
    certificate_file: FileFacts,
    certificate: Reading<CertificateBundle>,
    key_file: FileFacts,
    key: Reading<KeyFacts>,
    signing: Option<usize>,
}

impl Authority {
    pub(crate) fn parse(snapshot: &Snapshot, ca: CaSlot) -> Self {
        Self::parse_with(snapshot, ca, &NoPublicHalves)
    }

    pub(crate) fn parse_with(snapshot: &Snapshot, ca: CaSlot, halves: &dyn PublicHalves) -> Self {
        let (certificate_file, key_file) = (FileSlot::CaCertificate(ca), FileSlot::CaKey(ca));
        let certificate = Reading::certificates(snapshot.file(certificate_file));
        let key = Reading::key(snapshot.file(key_file), halves);
        let signing = signing_position(certificate.present(), key.present().map(KeyFacts::public_key));
        Self {
            certificate_file: FileFacts::of_slot(snapshot, certificate_file),
            certificate,
            key_file: FileFacts::of_slot(snapshot, key_file),
            key,
            signing,
        }
    }

    /// Returns the file of the certificate.
    #[must_use]
    pub const fn certificate_file(&self) -> &FileFacts {
        &self.certificate_file
    }

    /// Returns the certificate file's content.
    #[must_use]
    pub const fn certificate(&self) -> &Reading<CertificateBundle> {
        &self.certificate
    }

    /// Returns the file of the key.
    #[must_use]
    pub const fn key_file(&self) -> &FileFacts {
        &self.key_file
    }

    /// Returns the public half of the key.
    #[must_use]
    pub const fn key(&self) -> &Reading<KeyFacts> {
        &self.key
    }

    /// Returns who can sign with this authority's key.
    #[must_use]
    pub const fn custody(&self) -> Custody {
        match (&self.certificate, &self.key) {
            (Reading::Absent, _) => Custody::Absent,
            (Reading::Present(_), Reading::Absent) => Custody::External,
            (Reading::Present(_), Reading::Present(_)) if self.signing.is_some() => Custody::Held,
            _ => Custody::Broken,
        }
    }

    /// Returns the certificate that signs: the one of the bundle that the key belongs to, or the first one when the key
    /// is elsewhere or belongs to none.
    #[must_use]
    pub fn signer(&self) -> Option<&crate::x509::Certificate> {
        let bundle = self.certificate.present()?;
        bundle.certificates().get(self.signing.unwrap_or(0))
    }

    /// Returns whether the key belongs to a certificate of the file; `None` without a readable key and certificate.
    #[must_use]
    pub fn key_matches(&self) -> Option<bool> {
        self.certificate.present()?;
        self.key.present()?;
        Some(self.signing.is_some())
    }
}

/// Finds the certificate of a bundle that `key` belongs to.
fn signing_position(bundle: Option<&CertificateBundle>, key: Option<&PublicKey>) -> Option<usize> {
    let key = key?;
    bundle?.certificates().iter().position(|certificate| certificate.public_key() == key)
}

/// The key pair that signs and verifies service account tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServiceAccount {
    /// The file of the private key.
    pub key_file: FileFacts,
    /// The public half of the private key.
    pub key: Reading<KeyFacts>,
    /// The file of the public key.
    pub public_key_file: FileFacts,
    /// The public key.
    pub public_key: Reading<PublicKey>,
}

impl ServiceAccount {
    fn parse(snapshot: &Snapshot, halves: &dyn PublicHalves) -> Self {
        let public = snapshot.file(FileSlot::ServiceAccountPublicKey);
        Self {
            key_file: FileFacts::of_slot(snapshot, FileSlot::ServiceAccountKey),
            key: Reading::key(snapshot.file(FileSlot::ServiceAccountKey), halves),
            public_key_file: FileFacts::of_slot(snapshot, FileSlot::ServiceAccountPublicKey),
            public_key: Reading::from_state(public, token_keys::public_key),
        }
    }
}

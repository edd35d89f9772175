//! Copies of admin.conf outside the tree, brought up to date.
//!
//! People copy admin.conf to `~/.kube/config` and find out a year later that the copy is no longer theirs to renew. A copy
//! may hold more than came from here: other clusters, other users, a namespace. So only the entry of the user changes, and
//! the authority where it is not the tree's any more.

use std::collections::BTreeSet;
use std::fmt;

use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, Slot};
use crate::digest::Digest;
use crate::inventory::{CertificateBundle, Inventory};
use crate::kubeconfig::{self, Edit, EditError, KeySource, Kubeconfig, Source, User};
use crate::path::TreePath;
use crate::secret::SecretBytes;
use crate::snapshot::{FileContent, FileState, Snapshot};
use crate::x509::{Certificate, PrivateKey, PublicKey, encode_certificate};

/// Finds the copies of admin.conf and super-admin.conf in `snapshot` whose credential is older than the tree's, and returns
/// what to write.
///
/// A user of a copy is the tree's when its certificate has the same key, or the same subject and a signature of the
/// cluster's authority. `inventory` is that of `snapshot`.
pub fn refresh(snapshot: &Snapshot, inventory: &Inventory) -> Refresh {
    let originals: Vec<Original<'_>> = [KubeconfigSlot::Admin, KubeconfigSlot::SuperAdmin]
        .into_iter()
        .filter_map(|slot| Original::find(snapshot, inventory, slot))
        .collect();
    let authorities = inventory.authority(CaSlot::Cluster).certificate().present();
    let tree = Tree { originals, authorities: authorities.map_or(&[][..], CertificateBundle::certificates) };
    let mut refresh = Refresh::default();
    for path in snapshot.copies() {
        let Some(state) = snapshot.at(path) else { continue };
        match tree.refreshed(state) {
            Ok((found, content, users)) => {
                let (expected, mode) = (found.digest(), found.meta().mode & 0o777);
                refresh.changes.push(CopyChange { path: path.clone(), content, expected, mode, users });
            }
            Err(reason) => refresh.left.push(LeftAlone { path: path.clone(), reason }),
        }
    }
    refresh
}

/// Returns the kubeconfig at `path`, which may be any file of the node, with the certificates of the cluster's authority in the
/// place of those that its current context trusts; every other byte stays.
///
/// # Errors
/// [`CopyReason`] when there is nothing to change, or nothing that could be changed.
pub fn trust_tree(
    path: &TreePath,
    state: &FileState,
    inventory: &Inventory,
) -> Result<CopyChange, CopyReason> {
    let content = match state {
        FileState::Present(content) => content,
        FileState::Unreadable(problem) => return Err(CopyReason::Unreadable(problem.to_string())),
        FileState::Absent => return Err(CopyReason::Unreadable("does not exist".to_owned())),
    };
    let authority = inventory.authority(CaSlot::Cluster);
    let Some(bundle) = authority.certificate().present() else {
        let problem = authority.certificate().problem().unwrap_or_else(|| "does not exist".to_owned());
        return Err(CopyReason::NoAuthority(format!("{} {problem}", authority.certificate_file().path)));
    };
    let parsed = Kubeconfig::parse(content.secret_bytes())
        .map_err(|damage| CopyReason::Damaged(damage.to_string()))?;
    let current = parsed.current().map_err(|dangling| CopyReason::Damaged(dangling.to_string()))?;
    let cluster = current.cluster.name();
    match current.cluster.certificate_authority() {
        Source::Absent | Source::File(_) => {
            return Err(CopyReason::EmbedsNoAuthority { cluster: cluster.to_owned() });
        }
        Source::Data(_) | Source::Damaged(_) => {}
    }
    let tree = Tree { originals: Vec::new(), authorities: bundle.certificates() };
    if !tree.differs(&parsed, cluster) {
        return Err(CopyReason::TrustsTree { cluster: cluster.to_owned() });
    }
    let pem = encode_all(bundle.certificates());
    let edit = Edit::new().authority(pem.as_bytes(), cluster);
    let new = kubeconfig::edit(content.secret_bytes(), &edit).map_err(|obstacle| {
        let user = current.user.name().to_owned();
        CopyReason::Obstacle { user, obstacle }
    })?;
    Ok(CopyChange::of(path, content, new))
}

/// What becomes of the copies, each in the order of their paths.
#[derive(Debug, Default)]
#[must_use = "a refresh does nothing until its changes are written"]
pub struct Refresh {
    changes: Vec<CopyChange>,
    left: Vec<LeftAlone>,
}

impl Refresh {
    /// Returns what to write.
    #[must_use]
    pub fn changes(&self) -> &[CopyChange] {
        &self.changes
    }

    /// Returns the kubeconfigs that stay as they are, with the reasons.
    #[must_use]
    pub fn left(&self) -> &[LeftAlone] {
        &self.left
    }

    /// Returns what to write, and what stays.
    #[must_use]
    pub fn into_parts(self) -> (Vec<CopyChange>, Vec<LeftAlone>) {
        (self.changes, self.left)
    }
}

/// A copy to write. Its owner stays.
#[derive(Debug)]
pub struct CopyChange {
    path: TreePath,
    content: SecretBytes,
    expected: Digest,
    mode: u32,
    users: Vec<String>,
}

impl CopyChange {
    /// Returns the change of the file at `path`, in which `old` was found; no user of it changes.
    pub(super) fn of(path: &TreePath, old: &FileContent, content: SecretBytes) -> Self {
        let (expected, mode) = (old.digest(), old.meta().mode & 0o777);
        Self { path: path.clone(), content, expected, mode, users: Vec::new() }
    }

    /// Returns the path, which is one that the scan found and no document names.
    #[must_use]
    pub const fn path(&self) -> &TreePath {
        &self.path
    }

    /// Returns the new content.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        self.content.secret_bytes()
    }

    /// Returns the digest of the content that the write expects to replace.
    #[must_use]
    pub const fn expected(&self) -> Digest {
        self.expected
    }

    /// Returns the digest of the new content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.secret_bytes())
    }

    /// Returns the mode, which is the one that the copy has.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// Returns the names of the users whose entries change, in the order of the file.
    #[must_use]
    pub fn users(&self) -> &[String] {
        &self.users
    }
}

/// A kubeconfig outside the tree that stays as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeftAlone {
    /// The file.
    pub path: TreePath,
    /// Why.
    pub reason: CopyReason,
}

/// Why a kubeconfig outside the tree stays as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CopyReason {
    /// It cannot be read.
    Unreadable(String),
    /// It is no kubeconfig.
    Damaged(String),
    /// None of its users is an administrator of the tree.
    OtherUsers,
    /// A user has the name of an administrator, and a certificate or a cluster of another authority.
    OtherCluster {
        /// The user.
        user: String,
    },
    /// It has the tree's certificate already, or one that ends later.
    UpToDate {
        /// The user.
        user: String,
    },
    /// A user refers to files instead of embedding certificate and key.
    Referenced {
        /// The user.
        user: String,
    },
    /// The current cluster refers to a file with the certificates of its authority, or names none.
    EmbedsNoAuthority {
        /// The cluster.
        cluster: String,
    },
    /// The current cluster has the certificates of the tree's authority already.
    TrustsTree {
        /// The cluster.
        cluster: String,
    },
    /// The tree has no certificate of its authority that could be trusted.
    NoAuthority(String),
    /// The values cannot be replaced in place.
    Obstacle {
        /// The user.
        user: String,
        /// Why not.
        obstacle: EditError,
    },
}

impl CopyReason {
    /// Returns whether something about the file would be expected to change and does not.
    #[must_use]
    pub const fn is_obstacle(&self) -> bool {
        match self {
            Self::Unreadable(_)
            | Self::Damaged(_)
            | Self::Referenced { .. }
            | Self::NoAuthority(_)
            | Self::Obstacle { .. } => true,
            Self::OtherUsers
            | Self::OtherCluster { .. }
            | Self::UpToDate { .. }
            | Self::EmbedsNoAuthority { .. }
            | Self::TrustsTree { .. } => false,
        }
    }
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
            Self::Damaged(reason) => write!(f, "is no kubeconfig: {reason}"),
            Self::OtherUsers => f.write_str("has no user of admin.conf"),
            Self::OtherCluster { user } => write!(f, "user {user:?} is of another cluster"),
            Self::UpToDate { user } => write!(f, "user {user:?} has no older certificate than the tree"),
            Self::Referenced { user } => write!(f, "user {user:?} refers to files and embeds nothing"),
            Self::EmbedsNoAuthority { cluster } => {
                write!(f, "cluster {cluster:?} embeds no certificate of an authority")
            }
            Self::TrustsTree { cluster } => {
                write!(f, "cluster {cluster:?} trusts the certificates of the tree already")
            }
            Self::NoAuthority(reason) => write!(f, "there is nothing to trust: {reason}"),
            Self::Obstacle { user, obstacle } => write!(f, "user {user:?} cannot be changed: {obstacle}"),
        }
    }
}

/// What the copies are compared with.
struct Tree<'a> {
    originals: Vec<Original<'a>>,
    authorities: &'a [Certificate],
}

/// A kubeconfig of the tree with a working credential.
struct Original<'a> {
    certificates: &'a CertificateBundle,
    key: PrivateKey,
}

impl<'a> Original<'a> {
    fn find(snapshot: &Snapshot, inventory: &'a Inventory, slot: KubeconfigSlot) -> Option<Self> {
        let credential = inventory.credential(Slot::Kubeconfig(slot))?;
        let certificates = credential.certificate().present()?;
        let bytes = snapshot.file(FileSlot::Kubeconfig(slot)).content()?.secret_bytes();
        let user = Kubeconfig::parse(bytes).ok()?.current().ok()?.user.name().to_owned();
        let key = PrivateKey::parse(kubeconfig::user_key(bytes, &user)?.secret_bytes()).ok()?;
        // What does not work is not worth spreading.
        (credential.key_matches() == Some(true)).then_some(Self { certificates, key })
    }
}

impl Tree<'_> {
    /// Returns the new content of a copy, and the users that changed.
    fn refreshed<'s>(
        &self,
        state: &'s FileState,
    ) -> Result<(&'s FileContent, SecretBytes, Vec<String>), CopyReason> {
        let content = match state {
            FileState::Present(content) => content,
            FileState::Unreadable(problem) => return Err(CopyReason::Unreadable(problem.to_string())),
            FileState::Absent => return Err(CopyReason::Unreadable("does not exist".to_owned())),
        };
        let parse =
            |bytes: &[u8]| Kubeconfig::parse(bytes).map_err(|damage| CopyReason::Damaged(damage.to_string()));
        let parsed = parse(content.secret_bytes())?;
        let mut result: Option<SecretBytes> = None;
        let mut changed = Vec::new();
        let mut reason = CopyReason::OtherUsers;
        let mut seen = BTreeSet::new();
        for user in parsed.users() {
            // Of two users of one name the first one counts.
            if !seen.insert(user.name()) {
                continue;
            }
            let bytes = result.as_ref().map_or(content.secret_bytes(), SecretBytes::secret_bytes);
            match self.edited(bytes, &parsed, user) {
                Ok(Some(edited)) => {
                    result = Some(edited);
                    changed.push(user.name().to_owned());
                }
                Ok(None) => {}
                Err(why) => reason = why,
            }
        }
        result.map(|result| (content, result, changed)).ok_or(reason)
    }

    /// Returns `bytes` with the tree's credential for `user`; `None` when that is nobody of this tree.
    fn edited(
        &self,
        bytes: &[u8],
        file: &Kubeconfig,
        user: &User,
    ) -> Result<Option<SecretBytes>, CopyReason> {
        let name = || user.name().to_owned();
        let Source::Data(pem) = user.client_certificate() else {
            let refers = matches!(user.client_certificate(), Source::File(_));
            let known = self
                .originals
                .iter()
                .any(|original| original.certificates.first().subject().common_name() == Some(user.name()));
            return if refers && known { Err(CopyReason::Referenced { user: name() }) } else { Ok(None) };
        };
        let Ok(bundle) = CertificateBundle::parse(pem) else { return Ok(None) };
        let old = bundle.first();
        let same_key =
            |original: &&Original<'_>| original.certificates.first().public_key() == old.public_key();
        let same_name = |original: &&Original<'_>| original.certificates.first().subject() == old.subject();
        let Some(original) =
            self.originals.iter().find(same_key).or_else(|| self.originals.iter().find(same_name))
        else {
            return Ok(None);
        };
        if !(same_key(&original) || self.has_signed(old)) || !self.trusts(file, user.name()) {
            return Err(CopyReason::OtherCluster { user: name() });
        }
        let new = original.certificates.first();
        let is_older = new != old && old.not_after() < new.not_after();
        let failed = |obstacle| CopyReason::Obstacle { user: name(), obstacle };
        let mut result = None;
        if is_older {
            if matches!(user.client_key(), KeySource::File(_) | KeySource::Absent) {
                return Err(CopyReason::Referenced { user: name() });
            }
            let certificate = encode_all(original.certificates.certificates());
            let key = original.key.secret_pem();
            let edit = Edit::new().client(certificate.as_bytes(), Some(&key), user.name());
            result = Some(kubeconfig::edit(bytes, &edit).map_err(failed)?);
        }
        // The authority of the tree may have another end, and the client's certificate be as good as before.
        let authority = encode_all(self.authorities);
        for cluster in clusters_of(file, user.name()) {
            if self.differs(file, cluster) {
                let edit = Edit::new().authority(authority.as_bytes(), cluster);
                let bytes = result.as_ref().map_or(bytes, SecretBytes::secret_bytes);
                result = Some(kubeconfig::edit(bytes, &edit).map_err(failed)?);
            }
        }
        match result {
            Some(result) => Ok(Some(result)),
            None => Err(CopyReason::UpToDate { user: name() }),
        }
    }

    /// Returns whether the cluster's authority signed `certificate`.
    fn has_signed(&self, certificate: &Certificate) -> bool {
        self.authorities.iter().any(|authority| certificate.is_signed_by(authority))
    }

    /// Returns whether no cluster that `user` speaks to has an authority with other keys only.
    fn trusts(&self, file: &Kubeconfig, user: &str) -> bool {
        let keys: BTreeSet<&PublicKey> = self.authorities.iter().map(Certificate::public_key).collect();
        clusters_of(file, user).into_iter().all(|cluster| {
            let trusted = authorities_of(file, cluster);
            trusted.is_none_or(|bundle| {
                bundle.certificates().iter().any(|certificate| keys.contains(certificate.public_key()))
            })
        })
    }

    /// Returns whether the embedded authorities of `cluster` lack one of the tree's, or cannot be understood.
    fn differs(&self, file: &Kubeconfig, cluster: &str) -> bool {
        let source = file.cluster(cluster).map(kubeconfig::Cluster::certificate_authority);
        let is_embedded = matches!(source, Some(Source::Data(_) | Source::Damaged(_)));
        let lacks = |bundle: CertificateBundle| {
            self.authorities.iter().any(|authority| !bundle.certificates().contains(authority))
        };
        is_embedded && !self.authorities.is_empty() && authorities_of(file, cluster).is_none_or(lacks)
    }
}

fn encode_all(certificates: &[Certificate]) -> String {
    certificates.iter().map(|one| encode_certificate(one.as_der())).collect()
}

/// Returns the clusters that a context joins with `user`, sorted.
fn clusters_of<'f>(file: &'f Kubeconfig, user: &str) -> BTreeSet<&'f str> {
    let contexts = file.contexts().iter().filter(|context| context.user() == user);
    contexts.map(kubeconfig::Context::cluster).filter(|cluster| file.cluster(cluster).is_some()).collect()
}

/// Returns the authorities that are embedded for `cluster`, when they can be understood.
fn authorities_of(file: &Kubeconfig, cluster: &str) -> Option<CertificateBundle> {
    let Source::Data(pem) = file.cluster(cluster)?.certificate_authority() else { return None };
    CertificateBundle::parse(pem).ok()
}

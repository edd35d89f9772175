//! Answers into the files of the tree.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Accepted, Import};
use super::requests::{RequestManifest, request_files};
use crate::catalog::{FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{FileFacts, Inventory};
use crate::issue::contents::{Material, ders};
use crate::issue::{Change, ChangeSet, Expected, IssueError};
use crate::path::TreePath;
use crate::plan::{KubeconfigSpec, Permission};
use crate::secret::SecretBytes;
use crate::snapshot::Snapshot;
use crate::x509::{Damage, PrivateKey};

/// The private keys that stayed when the requests went away. They are wiped on drop.
#[derive(Debug, Default)]
pub struct RequestKeys(BTreeMap<Slot, Result<PrivateKey, Damage>>);

impl RequestKeys {
    /// Adds the content of the key file of `slot`.
    pub fn insert(&mut self, slot: Slot, content: &SecretBytes) {
        self.0.insert(slot, PrivateKey::parse(content.secret_bytes()));
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Result<PrivateKey, Damage>> {
        self.0.get(&slot)
    }

    /// Returns the names of the key files that `manifest` calls for, below the directory of the requests.
    pub fn files(manifest: &RequestManifest) -> impl Iterator<Item = (Slot, String)> {
        request_files()
            .filter(|(slot, ..)| manifest.request(*slot).is_some())
            .map(|(slot, key, _)| (slot, key))
    }
}

/// Whether requests without an answer stop an import.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "answers are missed or they are not")]
pub enum Completeness {
    /// They do.
    Complete,
    /// What there is gets installed.
    Partial,
}

/// Returns the files that install everything that `import` accepts, in the order of their slots: a certificate with its
/// intermediates and then its key, or a kubeconfig with both. What is there already is not written again.
///
/// # Errors
/// [`ImportError`] when something was refused, not permitted or not answered, or a file cannot be replaced. Then nothing is to be
/// written.
pub fn import_changes(
    import: &Import,
    manifest: &RequestManifest,
    keys: &RequestKeys,
    snapshot: &Snapshot,
    allowed: &BTreeSet<Permission>,
    completeness: Completeness,
) -> Result<ChangeSet, ImportError> {
    let refused = import.refusals().count();
    if refused > 0 {
        return Err(ImportError::Refused(refused));
    }
    let missing: Vec<Permission> = import.permissions().difference(allowed).copied().collect();
    if !missing.is_empty() {
        return Err(ImportError::NotAllowed(missing));
    }
    if import.accepted.is_empty() || (completeness == Completeness::Complete && !import.missing.is_empty()) {
        return Err(ImportError::Incomplete(import.missing.clone()));
    }
    let inventory = Inventory::parse(snapshot);
    let installation = Installation { inventory: &inventory, snapshot, manifest, keys };
    let mut changes = Vec::new();
    for accepted in &import.accepted {
        installation.add(accepted, &mut changes)?;
    }
    changes.retain(|change: &Change| change.expected() != Expected::Content(change.digest()));
    Ok(changes.into())
}

struct Installation<'a> {
    inventory: &'a Inventory,
    snapshot: &'a Snapshot,
    manifest: &'a RequestManifest,
    keys: &'a RequestKeys,
}

impl Installation<'_> {
    fn add(&self, accepted: &Accepted, changes: &mut Vec<Change>) -> Result<(), ImportError> {
        let Accepted { slot, certificate, intermediates, .. } = accepted;
        let slot = *slot;
        let unusable = || ImportError::Unusable(slot);
        let Some(Ok(key)) = self.keys.get(slot) else { return Err(unusable()) };
        let record = self.manifest.request(slot).ok_or_else(unusable)?;
        let authority = self.inventory.authority(record.wanted.issuer);
        let roots = authority.certificate().present().ok_or_else(unusable)?;
        let material = Material {
            key,
            certificate: Some(certificate.as_der()),
            intermediates: &ders(intermediates),
            authority: &ders(roots.certificates()),
        };
        match slot {
            Slot::Leaf(leaf) => {
                // In the order in which programs read them, as for a renewal.
                for file in [FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf)] {
                    changes.push(self.change(file, material.whole_file(file.kind()))?);
                }
            }
            Slot::Kubeconfig(kubeconfig) => {
                let file = FileSlot::Kubeconfig(kubeconfig);
                let credential = self.inventory.credential(slot).ok_or_else(unusable)?;
                let spec = match (credential.kubeconfig(), &record.wanted.kubeconfig) {
                    (Some(facts), _) => {
                        KubeconfigSpec::Edit { replace_authority: facts.needs_authority(authority) }
                    }
                    (None, Some(new)) => KubeconfigSpec::Create {
                        cluster: new.cluster.clone(),
                        server: new.server.clone(),
                        user: record.wanted.subject.common_name().unwrap_or_default().to_owned(),
                        preferences: KubeconfigSlot::has_preferences(self.inventory.node().version()),
                    },
                    (None, None) => return Err(unusable()),
                };
                let path = self.snapshot.layout().path(file);
                let old = self.snapshot.file(file).content();
                let old = old.map_or(&[][..], |content| content.secret_bytes());
                let content = material.kubeconfig(&spec, path, old)?;
                changes.push(self.change(file, content)?);
            }
            Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => {
                return Err(unusable());
            }
        }
        Ok(())
    }

    fn change(&self, file: FileSlot, content: SecretBytes) -> Result<Change, ImportError> {
        let facts = self.inventory.file(file);
        let expected = match (facts.exists, facts.digest) {
            (false, _) => Expected::Absent,
            (true, Some(digest)) => Expected::Content(digest),
            (true, None) => return Err(ImportError::Unreadable(facts.path.clone())),
        };
        Ok(Change::new(file, facts.path.clone(), expected, mode(file, facts), content))
    }
}

/// The mode that is there is kept, but a secret never stays open to everybody.
fn mode(file: FileSlot, facts: &FileFacts) -> u32 {
    match facts.meta.as_ref().map(|meta| meta.mode & 0o777) {
        Some(_) if file.is_secret() && facts.is_open_to_others() => facts.private_mode(),
        Some(mode) => mode,
        None => file.mode(),
    }
}

/// Why nothing is installed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Answers differ from what was asked for in a way that nothing permits.
    #[error("{0} of the differences to what was asked for cannot be permitted")]
    Refused(usize),
    /// Answers differ from what was asked for, and nobody permitted it.
    #[error("the answers change {} of certificates, and that was not allowed", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))]
    NotAllowed(Vec<Permission>),
    /// There are requests without an answer.
    #[error("there is no answer for {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Incomplete(Vec<Slot>),
    /// The certificate cannot be installed.
    #[error("the certificate of {0} cannot be installed")]
    Unusable(Slot),
    /// A file that would be replaced cannot be read.
    #[error("{0} cannot be read")]
    Unreadable(TreePath),
    /// A kubeconfig cannot be edited.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

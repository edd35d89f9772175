//! The credential of a node's own kubelet into its files, when it was issued elsewhere.

use std::collections::BTreeSet;

use super::{Change, ChangeSet, Expected, IssueError, NodeCredential, begin};
use crate::catalog::{FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{ChainFact, Credential, Inventory};
use crate::path::TreePath;
use crate::plan::{KubeletChoice, Placement, PlanError, PlanRequest, Reason, Selection, plan};
use crate::provider::Entropy;
use crate::secret::SecretBytes;
use crate::snapshot::{FileContent, FileMeta, FileState, ReadProblem, Snapshot};
use crate::time::{Seconds, Timestamp};
use crate::x509::{Certificate, Purpose};

/// Decides what to write so that the kubelet of the node in `snapshot` uses `credential`: a dated file and the link to it, and
/// kubelet.conf where that does not refer to the link.
///
/// The credential must be good at `now`: valid, a client's, and signed by the cluster's authority, if the node has its
/// certificate.
///
/// # Errors
/// [`InstallationError`] when the credential would be of no use, or a file cannot be replaced.
pub fn node_installation(
    credential: NodeCredential,
    mut snapshot: Snapshot,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<Installation, InstallationError> {
    let NodeCredential { file: content, certificate } = credential;
    let path = snapshot.layout().path(FILE).clone();
    let expected = match snapshot.file(FILE) {
        // Where only the link is written, one that leads nowhere is as good as none.
        FileState::Absent | FileState::Unreadable(ReadProblem::DanglingLink { .. }) => Expected::Absent,
        FileState::Present(content) => Expected::Content(content.digest()),
        FileState::Unreadable(problem) => {
            return Err(InstallationError::Unreadable { path, problem: problem.clone() });
        }
    };
    let before = Inventory::parse(&snapshot);
    let replaced = client(&before).leaf().cloned();

    // What kubelet.conf needs depends on what it refers to, so that is looked at as if it were there already.
    let copy = SecretBytes::new(content.secret_bytes().to_vec());
    let copy = FileContent::new(copy, FileMeta::with_mode(FILE.mode()));
    snapshot.insert(FILE, FileState::Present(copy));
    let after = Inventory::parse(&snapshot);
    let is_authority_known = check(client(&after), &certificate, now)?;
    let conf = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
    let mut request = PlanRequest::with_selection(Selection::Named(BTreeSet::from([conf])));
    request.kubelet = KubeletChoice::Repair;
    // It was made for as long as it lasts, however short that is.
    request.window = Seconds(0);
    let plan = plan(&after, &request, now, entropy)?;
    let deferred = plan.deferred().iter().find(|deferred| deferred.slot() == conf);
    let left = deferred.map(|deferred| deferred.reason().clone()).filter(Reason::is_failure);
    let edits = begin(&plan, &snapshot)?.supply_keys(Vec::new())?.finish(Vec::new())?;

    let change = Change::new(FILE, path, expected, FILE.mode(), content);
    let mut changes = vec![change.with_dated(Placement::of(FILE).dated(now))];
    // A kubeconfig may refer to the link once there is one.
    changes.extend(edits.into_changes());
    Ok(Installation { changes: changes.into(), certificate, replaced, left, is_authority_known })
}

/// What to write for a credential that was issued elsewhere.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "nothing is written until the changes are applied"]
pub struct Installation {
    /// The files.
    pub changes: ChangeSet,
    /// The certificate of the credential.
    pub certificate: Certificate,
    /// The certificate that it succeeds, if that can be read.
    pub replaced: Option<Certificate>,
    /// Why kubelet.conf will not refer to the credential, if it does not and cannot be made to.
    pub left: Option<Reason>,
    /// Whether the node has the authority's certificate. Without it nobody can tell here whether the authority signed.
    pub is_authority_known: bool,
}

/// Why a credential is not put into the files.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallationError {
    /// What is there cannot be read.
    #[error("{path} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: TreePath,
        /// Why not.
        problem: ReadProblem,
    },
    /// The cluster's authority did not sign the certificate.
    #[error("the certificate was not signed by the ca that this node has, its issuer is {issuer}")]
    OtherAuthority {
        /// Who says to have signed it.
        issuer: String,
    },
    /// The certificate is not valid now.
    #[error("the certificate is valid from {not_before} to {not_after}, and now it is {now}")]
    NotValid {
        /// Its first second.
        not_before: Timestamp,
        /// Its last second.
        not_after: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// The certificate is not for clients.
    #[error("the certificate is not for clients")]
    NotForClients,
    /// kubelet.conf could not be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// kubelet.conf could not be edited.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Returns whether it is known that the cluster's authority signed `certificate`, which is that of `client`.
fn check(client: &Credential, certificate: &Certificate, now: Timestamp) -> Result<bool, InstallationError> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if now < not_before || not_after <= now {
        return Err(InstallationError::NotValid { not_before, not_after, now });
    }
    if !certificate.extended_key_usages().allows(Purpose::CLIENT_AUTH) {
        return Err(InstallationError::NotForClients);
    }
    match client.chain() {
        Some(ChainFact::Signed(_)) => Ok(true),
        Some(ChainFact::NoAuthority(_)) | None => Ok(false),
        Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_) | ChainFact::Unverifiable(..)) => {
            Err(InstallationError::OtherAuthority { issuer: certificate.issuer().to_string() })
        }
    }
}

fn client(inventory: &Inventory) -> &Credential {
    inventory.credential(Slot::KubeletClient).expect("an inventory has every credential")
}

const FILE: FileSlot = FileSlot::KubeletClient;

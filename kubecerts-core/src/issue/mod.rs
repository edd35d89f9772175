//! A plan into bytes: keys, signatures, and the [`ChangeSet`] that holds them.
//!
//! A session goes from [`begin`] over the key requests and the signing requests to the change set:
//!
//! ```text
//! begin(plan, snapshot) -> Issuance<NeedsKeys> -> supply_keys -> Issuance<NeedsSignatures> -> finish -> ChangeSet
//! ```
//!
//! A child's to-be-signed bytes hold the issuer's name and key identifier but never its signature. So after the key
//! phase all signatures are one flat batch, and whoever signs may loop, split, pipeline or group it. [`issue`] does it
//! all for the ordinary caller.
//!
//! What is issued outside a plan has functions of its own: [`node_credential`] and its kin for a kubelet elsewhere and
//! [`node_installation`] there, [`bootstrap_kubeconfig`] for one that has to begin again, [`user_credential`] for one more user,
//! [`refresh`] for copies of admin.conf, [`trust_tree`] for any other kubeconfig,
//! [`join_command`] for nodes that are to join.
//!
//! [`bulk`] makes many certificates of one authority, [`issue_trees`] many control planes.
//!
//! [`issue_with_shared`] makes the whole tree of another control-plane node.
//!
//! Where the authority's key is kept elsewhere, [`external`] makes requests and takes in the answers, and [`sign`] makes these.
//!
//! Every signature is verified before a change set exists. Nothing here decides anything: that was the plan.

mod batched;
mod bootstrap;
pub mod bulk;
mod bundles;
mod change;
mod client;
mod contents;
mod copies;
pub mod external;
mod installation;
mod join;
mod node;
mod pieces;
mod provider;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;
mod secrets;
mod server;
mod session;
mod shared;
pub mod sign;
mod tree;
mod user;

use crate::catalog::{CaSlot, Slot};
use crate::digest::Digest;
use crate::kubeconfig::EditError;
use crate::path::TreePath;
use crate::plan::Plan;
use crate::provider::ProviderError;
use crate::snapshot::Snapshot;
use crate::x509::Damage;

pub use batched::Batched;
pub use bootstrap::{BootstrapError, BootstrapToken, InvalidPin, InvalidToken, KeyPin, bootstrap_kubeconfig};
pub use bundles::{outdated_trust_changes, trust_file_changes};
pub use change::{Change, ChangeSet, Expected};
pub use client::{ClientError, Term};
pub use copies::{CopyChange, CopyReason, LeftAlone, Refresh, refresh, trust_tree};
pub use installation::{Installation, InstallationError, node_installation};
pub use join::{CertificateKey, InvalidCertificateKey, JoinRole, join_command, join_server, key_pins};
pub use node::{
    NodeCredential, NodeError, NodeRequest, node_certificate, node_credential, node_file, node_request,
};
pub use provider::{
    IssuerKey, KeyReply, KeyRequest, KeySource, Signature, Signatures, Signer, SigningRequest,
};
#[cfg(feature = "rustcrypto")]
pub use rustcrypto::RustCrypto;
pub use secrets::{SecretManifest, cluster_api_secrets, kubeadm_secret};
pub use session::{Issuance, NeedsKeys, NeedsSignatures, begin};
pub use shared::{AuthorityKeys, SharedFileError, SharedFiles, issue_with_shared};
pub use tree::{NewTree, TreeError, TreeProblem, TreeShortfall, issue_tree, issue_trees};
pub use user::{User, UserCredential, UserError, user_credential, user_with_token};

/// Issues everything that `plan` says, with the keys and signatures of `provider`.
///
/// # Errors
/// [`IssueError`] when the snapshot is not the one that the plan was made for, or the provider fails or answers wrongly.
pub fn issue<P: KeySource + Signer + ?Sized>(
    plan: &Plan,
    snapshot: &Snapshot,
    provider: &mut P,
) -> Result<ChangeSet, IssueError> {
    let issuance = begin(plan, snapshot)?;
    let keys = provider.generate(issuance.key_requests()).map_err(IssueError::Keys)?;
    let issuance = issuance.supply_keys(keys)?;
    let signatures = provider.sign(&issuance.signing_requests()).map_err(IssueError::Signatures)?;
    issuance.finish(signatures)
}

/// Why a plan could not be issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A file is not what the plan was made for.
    #[error("{path} has changed since the plan was made: expected {}, found {}", Content(*expected), Content(*found))]
    Stale {
        /// The file.
        path: TreePath,
        /// The digest that the plan expects; `None` for no file.
        expected: Option<Digest>,
        /// The digest that was found; `None` for no file.
        found: Option<Digest>,
    },
    /// The authority on disk is not the one that the plan was made for.
    #[error("{0} is not the authority that the plan was made for")]
    IssuerChanged(CaSlot),
    /// The authority's key was left out of the snapshot, so only its node can sign with it.
    #[error("the private key of {0} was left out of a redacted snapshot; it is on its node only")]
    Redacted(CaSlot),
    /// The key that was to be kept is not there or does not belong to the certificate.
    #[error("the private key of {slot} cannot be kept: {reason}")]
    Key {
        /// The slot.
        slot: Slot,
        /// Why not.
        reason: String,
    },
    /// The provider could not make keys.
    #[error("keys could not be made")]
    Keys(#[source] ProviderError),
    /// The provider could not sign.
    #[error("certificates could not be signed")]
    Signatures(#[source] ProviderError),
    /// The provider answered another number of requests than there were.
    #[error("{asked} {what} were asked for and {given} given")]
    Count {
        /// What was asked for.
        what: &'static str,
        /// How many.
        asked: usize,
        /// How many came.
        given: usize,
    },
    /// The provider gave a key of another algorithm.
    #[error("the key for {slot} is {given} and should be {asked}")]
    WrongKey {
        /// The slot.
        slot: Slot,
        /// What was asked for.
        asked: String,
        /// What came.
        given: String,
    },
    /// A signature is not by the issuer's key.
    #[error("the signature for {slot} is not by the key of its issuer")]
    WrongSignature {
        /// The slot.
        slot: Slot,
    },
    /// A certificate of an authority that should only end later would be another one in this.
    #[error("{slot} would not stay who it is: its {field} would be another one")]
    Identity {
        /// The slot.
        slot: Slot,
        /// What would be another one.
        field: &'static str,
    },
    /// A certificate could not be encoded.
    #[error("the certificate for {slot} cannot be encoded")]
    Encoding {
        /// The slot.
        slot: Slot,
        /// How it fails.
        source: Damage,
    },
    /// A kubeconfig could not be edited.
    #[error("{path} cannot be edited")]
    Kubeconfig {
        /// The file.
        path: TreePath,
        /// How it fails.
        source: EditError,
    },
}

struct Content(Option<Digest>);

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(digest) => digest.fmt(f),
            None => f.write_str("no file"),
        }
    }
}

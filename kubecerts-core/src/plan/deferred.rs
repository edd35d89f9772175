//! What a plan leaves undone, and why.

use std::fmt;

use super::lifetime::rounded;
use super::{LifetimeSource, Permission};
use crate::catalog::{CaSlot, Slot};
use crate::inventory::ExpectedName;
use crate::path::TreePath;
use crate::time::{Seconds, Timestamp};
use crate::x509::AlternativeName;

/// Something that the plan does not renew or make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deferred {
    slot: Slot,
    reason: Reason,
}

impl Deferred {
    pub(super) const fn new(slot: Slot, reason: Reason) -> Self {
        Self { slot, reason }
    }

    /// Returns the slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns the reason.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// Why a certificate is not renewed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It is valid for longer than the window.
    NotDue {
        /// Its last second.
        not_after: Timestamp,
    },
    /// Its authority's key is not on this node.
    ExternalAuthority(CaSlot),
    /// Its authority cannot sign.
    AuthorityUnusable(CaSlot, AuthorityProblem),
    /// A new certificate would not end later than this one does.
    CannotBeExtended {
        /// The last second of both.
        not_after: Timestamp,
    },
    /// There is nothing to renew.
    Missing(TreePath),
    /// It exists and cannot be read.
    Unreadable(TreePath, String),
    /// It cannot be understood, so its subject and names are not known.
    Damaged(TreePath, String),
    /// The kubeconfig refers to files instead of embedding its credentials.
    Referenced(TreePath),
    /// Its key is of a kind that cannot be made here.
    UnsupportedKey(String),
    /// The key is to be kept, and there is none that belongs to the certificate.
    NoKeyToReuse(TreePath),
    /// The kubelet renews this by itself, and kubeadm does not touch it.
    KubeletOwned,
    /// It is not a certificate that an authority of the tree signs.
    NotRenewable,
    /// Another slot is served by the same files and is renewed.
    SameFilesAs(Slot),
    /// Nothing states the name of the node, which is the identity of its kubelet.
    NodeNameUnknown,
    /// It has exactly the names that were asked for.
    NamesUnchanged,
    /// Names were to be taken away by which it is reached.
    NamesNeeded(Vec<NeededName>),
    /// It would be valid for less long than the site has its certificates valid, which was not permitted.
    LifetimeShortened {
        /// How long the old certificate was valid.
        from: Seconds,
        /// How long the new one would be.
        to: Seconds,
        /// Who stated that.
        source: LifetimeSource,
    },
    /// Nothing states where the API server is, which a new kubeconfig has to say.
    ServerUnknown,
    /// It exists and is what would be made.
    Kept,
    /// No kubeadm would make it on this node: etcd is elsewhere, the version is too old, or another node has it.
    NotOfThisNode,
    /// It is an authority that another one, named here, has signed: only that one can give it another end.
    SignedByAnother(String),
    /// The kubeconfig embeds no certificates of authorities that could be replaced.
    EmbedsNoAuthority(TreePath),
    /// The kubeconfig trusts the certificates of the tree already.
    UpToDate,
}

impl Reason {
    /// Returns whether the renewal was asked for and is not possible, as opposed to not needed.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::NotDue { .. }
            | Self::KubeletOwned
            | Self::SameFilesAs(_)
            | Self::Kept
            | Self::EmbedsNoAuthority(_)
            | Self::UpToDate
            | Self::NamesUnchanged => false,
            Self::ExternalAuthority(_)
            | Self::AuthorityUnusable(..)
            | Self::CannotBeExtended { .. }
            | Self::Missing(_)
            | Self::Unreadable(..)
            | Self::Damaged(..)
            | Self::Referenced(_)
            | Self::UnsupportedKey(_)
            | Self::NoKeyToReuse(_)
            | Self::NotRenewable
            | Self::NamesNeeded(_)
            | Self::LifetimeShortened { .. }
            | Self::NodeNameUnknown
            | Self::ServerUnknown
            | Self::NotOfThisNode
            | Self::SignedByAnother(_) => true,
        }
    }

    /// Returns the permission without which the renewal is refused, if that is the reason.
    #[must_use]
    pub const fn permission(&self) -> Option<Permission> {
        match self {
            Self::NamesNeeded(_) => Some(Permission::San),
            Self::LifetimeShortened { .. } => Some(Permission::Validity),
            _ => None,
        }
    }

    /// Returns the name of the reason in kebab-case, for documents.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotDue { .. } => "not-due",
            Self::ExternalAuthority(_) => "external-ca",
            Self::AuthorityUnusable(..) => "ca-unusable",
            Self::CannotBeExtended { .. } => "cannot-be-extended",
            Self::Missing(_) => "missing",
            Self::Unreadable(..) => "unreadable",
            Self::Damaged(..) => "damaged",
            Self::Referenced(_) => "referenced",
            Self::UnsupportedKey(_) => "unsupported-key",
            Self::NoKeyToReuse(_) => "no-key-to-reuse",
            Self::KubeletOwned => "kubelet-owned",
            Self::NotRenewable => "not-renewable",
            Self::SameFilesAs(_) => "same-files",
            Self::NamesUnchanged => "names-unchanged",
            Self::NamesNeeded(_) => "names-needed",
            Self::LifetimeShortened { .. } => "lifetime-shortened",
            Self::NodeNameUnknown => "node-name-unknown",
            Self::ServerUnknown => "server-unknown",
            Self::Kept => "kept",
            Self::NotOfThisNode => "not-of-this-node",
            Self::SignedByAnother(_) => "signed-by-another",
            Self::EmbedsNoAuthority(_) => "embeds-no-ca",
            Self::UpToDate => "up-to-date",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDue { not_after } => write!(f, "is not due: valid until {not_after}"),
            Self::ExternalAuthority(ca) => write!(f, "the key of {ca} is not on this node"),
            Self::AuthorityUnusable(ca, problem) => write!(f, "{ca} cannot sign: {problem}"),
            Self::CannotBeExtended { not_after } => {
                write!(f, "a new one would not end later than {not_after}")
            }
            Self::Missing(path) => write!(f, "{path} does not exist"),
            Self::Unreadable(path, reason) => write!(f, "{path} cannot be read: {reason}"),
            Self::Damaged(path, reason) => write!(f, "{path}: {reason}"),
            Self::Referenced(path) => write!(f, "its certificate is not embedded but lies in {path}"),
            Self::UnsupportedKey(kind) => write!(f, "keys of the kind {kind} cannot be made"),
            Self::NoKeyToReuse(path) => write!(f, "{path} holds no private key that belongs to it"),
            Self::KubeletOwned => f.write_str("is left to the kubelet, as kubeadm leaves it"),
            Self::NotRenewable => f.write_str("is not signed by an authority of the tree"),
            Self::SameFilesAs(slot) => write!(f, "lies in the same files as {slot}"),
            Self::NamesUnchanged => f.write_str("has these names already"),
            Self::NamesNeeded(names) => {
                let said = |needed: &NeededName| match &needed.clients {
                    Some(clients) => {
                        format!("{} ({}): {clients} would fail", needed.name.host(), needed.reason)
                    }
                    None => format!("{} ({})", needed.name.host(), needed.reason),
                };
                let names = names.iter().map(said).collect::<Vec<_>>();
                write!(f, "must keep {}", names.join("; "))
            }
            Self::LifetimeShortened { from, to, source } => {
                let (from, to) = (rounded(*from), rounded(*to));
                write!(f, "is valid for {from}, and would be for {to} only, as {source} says")
            }
            Self::NodeNameUnknown => f.write_str("nothing states the name of the node"),
            Self::ServerUnknown => f.write_str("nothing states where the API server is"),
            Self::Kept => f.write_str("exists and is right"),
            Self::NotOfThisNode => f.write_str("is not for a node like this"),
            Self::SignedByAnother(issuer) => write!(f, "is signed by {issuer}, which alone can extend it"),
            Self::EmbedsNoAuthority(path) => {
                write!(f, "{path} embeds no certificate of an authority, it refers to a file or has none")
            }
            Self::UpToDate => f.write_str("trusts the certificates of the tree already"),
        }
    }
}

/// A name that a certificate has to keep.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NeededName {
    /// The name.
    pub name: AlternativeName,
    /// Why it is needed.
    pub reason: String,
    /// Who fails without it, when somebody is known to use it.
    pub clients: Option<String>,
}

impl NeededName {
    pub(super) fn of(expected: &ExpectedName) -> Self {
        Self {
            name: expected.name.clone(),
            reason: expected.reason().to_string(),
            clients: expected.clients(),
        }
    }
}

/// Why an authority cannot sign.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum AuthorityProblem {
    /// It has no certificate.
    Absent(TreePath),
    /// Its certificate or key cannot be read or understood.
    Damaged(TreePath, String),
    /// Its key belongs to another certificate.
    KeyMismatch,
    /// Its certificate does not allow it to sign certificates.
    NotAnAuthority,
    /// It ended at this second.
    Expired(Timestamp),
    /// It begins at this second only.
    NotYetValid(Timestamp),
    /// Its key is of a kind that cannot sign here.
    UnsupportedKey(String),
}

impl fmt::Display for AuthorityProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "{path} does not exist"),
            Self::Damaged(path, reason) => write!(f, "{path}: {reason}"),
            Self::KeyMismatch => f.write_str("its key belongs to another certificate"),
            Self::NotAnAuthority => f.write_str("its certificate does not allow it to"),
            Self::Expired(end) => write!(f, "it expired {end}"),
            Self::NotYetValid(begin) => write!(f, "it is not valid before {begin}"),
            Self::UnsupportedKey(kind) => write!(f, "its key is of the unsupported kind {kind}"),
        }
    }
}

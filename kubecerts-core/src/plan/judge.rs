//! Whether what is there is what would be made.

use std::fmt;

use super::{AuthorityProblem, ClusterIntent};
use crate::catalog::{CaSlot, ClientSpec, FileSlot, KubeconfigSlot, LeafSlot, NameRule, Slot};
use crate::inventory::{ChainFact, Credential, Inventory, Reading};
use crate::path::TreePath;
use crate::time::Timestamp;
use crate::x509::{AlternativeName, Certificate, Purpose};

/// A file that is there and should be otherwise.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Contradiction {
    /// The file.
    pub path: TreePath,
    /// What is wrong with it.
    pub difference: Difference,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, difference } = self;
        write!(f, "{path} {difference}")
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Difference {
    /// It cannot be read or understood.
    Unusable(String),
    /// It is the certificate of an authority that cannot sign, or its key.
    Authority(AuthorityProblem),
    /// It is a key whose certificate, in this file, does not exist.
    NoCertificate(TreePath),
    /// It is a certificate or a public key whose private key, in this file, does not exist.
    NoKey(TreePath),
    /// The certificate of the authority that must have signed it, in this file, does not exist.
    AuthorityGone(CaSlot, TreePath),
    /// Another authority signed it.
    OtherAuthority(CaSlot),
    /// It belongs to another private key than the one in this file.
    OtherKey(TreePath),
    /// Its common name is another one.
    CommonName {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It has organisations, which are groups, that no kubeadm gives it.
    Organisations {
        /// What they are.
        found: Vec<String>,
    },
    /// It lacks these extended key usages.
    MissingPurposes(Vec<Purpose>),
    /// It lacks these alternative names.
    MissingNames(Vec<AlternativeName>),
    /// It ended at this second.
    Expired(Timestamp),
    /// It begins at this second only.
    NotYetValid(Timestamp),
    /// It is a kubeconfig for another API server.
    Server {
        /// What it should be.
        expected: String,
        /// What it is; empty when there is none.
        found: String,
    },
    /// It is a kubeconfig that does not trust the authority of the tree.
    OtherTrust(CaSlot),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(reason) => write!(f, "cannot be used: {reason}"),
            Self::Authority(AuthorityProblem::Damaged(_, reason)) => write!(f, "cannot be used: {reason}"),
            Self::Authority(problem) => write!(f, "cannot sign: {problem}"),
            Self::NoCertificate(path) => write!(f, "is a key without its certificate: {path} does not exist"),
            Self::NoKey(path) => write!(f, "is without its private key: {path} does not exist"),
            Self::AuthorityGone(ca, path) => write!(f, "is without {ca}: {path} does not exist"),
            Self::OtherAuthority(ca) => write!(f, "is not signed by {ca}"),
            Self::OtherKey(path) => write!(f, "does not belong to the private key in {path}"),
            Self::CommonName { expected, found } => {
                write!(f, "has the common name {found:?} instead of {expected:?}")
            }
            Self::Organisations { found } if found.is_empty() => f.write_str("has no organisation"),
            Self::Organisations { found } => {
                write!(f, "has other organisations than kubeadm gives: {}", found.join(", "))
            }
            Self::MissingPurposes(purposes) => {
                write!(f, "lacks the extended key usages {}", list(purposes))
            }
            Self::MissingNames(names) => write!(f, "lacks the alternative names {}", list(names)),
            Self::Expired(end) => write!(f, "expired {end}"),
            Self::NotYetValid(begin) => write!(f, "is not valid before {begin}"),
            Self::Server { expected, found } => {
                write!(f, "is for the server {found:?} instead of {expected:?}")
            }
            Self::OtherTrust(ca) => write!(f, "does not trust the certificate of {ca}"),
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Compares a tree with an intent.
pub(super) struct Judge<'a> {
    pub(super) intent: &'a ClusterIntent,
    pub(super) inventory: &'a Inventory,
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// Returns whether the leaf exists, when it is right or absent.
    pub(super) fn leaf(&self, leaf: LeafSlot) -> Result<bool, Contradiction> {
        let credential = self.credential(Slot::Leaf(leaf));
        let (certificate, key) = (credential.certificate_file(), credential.key_file());
        let of = |path: &TreePath, difference| Err(Contradiction { path: path.clone(), difference });
        match (certificate.exists, key.exists) {
            (false, false) => return Ok(false),
            // It may wait for the answer to a request.
            (false, true) => return of(&key.path, Difference::NoCertificate(certificate.path.clone())),
            (true, false) => return of(&certificate.path, Difference::NoKey(key.path.clone())),
            (true, true) => {}
        }
        self.certificate(credential, leaf.spec(), &self.intent.alternative_names(leaf))?;
        Ok(true)
    }

    /// Returns whether the kubeconfig exists, when it is right or absent.
    pub(super) fn kubeconfig(&self, kubeconfig: KubeconfigSlot) -> Result<bool, Contradiction> {
        let file = self.inventory.file(FileSlot::Kubeconfig(kubeconfig));
        if !file.exists {
            return Ok(false);
        }
        let of = |difference| Err(Contradiction { path: file.path.clone(), difference });
        let credential = self.credential(Slot::Kubeconfig(kubeconfig));
        let unusable = || {
            let reason = credential.certificate().problem();
            reason.unwrap_or_else(|| "it is no kubeconfig".to_owned())
        };
        let Some(facts) = credential.kubeconfig() else { return of(Difference::Unusable(unusable())) };
        let Some(current) = facts.file.as_ref().ok().and_then(|file| file.current().ok()) else {
            return of(Difference::Unusable(unusable()));
        };
        let found = current.cluster.server().unwrap_or_default();
        let expected = self.intent.server(kubeconfig);
        // Behind an endpoint or beside it, the API server is the same.
        let others =
            [KubeconfigSlot::Admin, KubeconfigSlot::Scheduler].map(|other| self.intent.server(other));
        if !others.iter().any(|server| server == found.trim_end_matches('/')) {
            return of(Difference::Server { expected, found: found.to_owned() });
        }
        let ca = kubeconfig.spec().issuer;
        let authority = self.inventory.authority(ca);
        if facts.authority.present().is_none() || facts.lacks_authority(authority) {
            return of(Difference::OtherTrust(ca));
        }
        self.certificate(credential, kubeconfig.spec(), &[])?;
        Ok(true)
    }

    /// Returns whether both halves of the service account pair exist; the private one does.
    pub(super) fn service_account(&self) -> Result<bool, Contradiction> {
        let pair = self.inventory.service_account();
        let (key, public_key) = (&pair.key_file.path, &pair.public_key_file.path);
        let of = |path: &TreePath, difference| Err(Contradiction { path: path.clone(), difference });
        if !pair.key_file.exists {
            return of(public_key, Difference::NoKey(key.clone()));
        }
        let Some(private) = pair.key.present() else {
            return of(key, Difference::Unusable(pair.key.problem().unwrap_or_default()));
        };
        if !pair.public_key_file.exists {
            return Ok(false);
        }
        match &pair.public_key {
            Reading::Present(found) if found == private.public_key() => Ok(true),
            Reading::Present(_) => of(public_key, Difference::OtherKey(key.clone())),
            reading => of(public_key, Difference::Unusable(reading.problem().unwrap_or_default())),
        }
    }

    fn credential(&self, slot: Slot) -> &Credential {
        self.inventory.credential(slot).expect("leaves and kubeconfigs are credentials")
    }

    /// Checks that a certificate can do what the one that would be made could.
    fn certificate(
        &self,
        credential: &Credential,
        spec: ClientSpec,
        names: &[AlternativeName],
    ) -> Result<(), Contradiction> {
        let (certificate, key) = (credential.certificate_file(), credential.key_file());
        let of = |path: &TreePath, difference| Err(Contradiction { path: path.clone(), difference });
        let Some(leaf) = credential.leaf() else {
            let reason = credential.certificate().problem();
            let reason = reason.unwrap_or_else(|| "it holds no certificate".to_owned());
            return of(&certificate.path, Difference::Unusable(reason));
        };
        if credential.key().present().is_none() {
            let reason = credential.key().problem();
            let reason = reason.unwrap_or_else(|| "it holds no private key".to_owned());
            return of(&key.path, Difference::Unusable(reason));
        }
        if credential.key_matches() != Some(true) {
            return of(&certificate.path, Difference::OtherKey(key.path.clone()));
        }
        match credential.chain() {
            Some(ChainFact::Signed(_)) => {}
            Some(ChainFact::Unverifiable(_, algorithm)) => {
                let reason = format!("signatures of the kind {algorithm} cannot be verified");
                return of(&certificate.path, Difference::Unusable(reason));
            }
            Some(ChainFact::NoAuthority(ca)) => {
                let path = self.inventory.authority(*ca).certificate_file().path.clone();
                return of(&certificate.path, Difference::AuthorityGone(*ca, path));
            }
            Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_)) | None => {
                return of(&certificate.path, Difference::OtherAuthority(spec.issuer));
            }
        }
        match self.difference(leaf, spec, names) {
            Some(difference) => of(&certificate.path, difference),
            None => Ok(()),
        }
    }

    fn difference(
        &self,
        leaf: &Certificate,
        spec: ClientSpec,
        names: &[AlternativeName],
    ) -> Option<Difference> {
        let expected = match spec.common_name {
            NameRule::Fixed(name) => name.to_owned(),
            NameRule::NodeName => self.intent.node_name.as_str().to_owned(),
            NameRule::SystemNode => self.intent.node_name.user(),
        };
        let found = leaf.subject().common_name().unwrap_or_default();
        if found != expected {
            return Some(Difference::CommonName { expected, found: found.to_owned() });
        }
        let organisations: Vec<&str> = leaf.subject().organisations().collect();
        if !spec.allows_organisations(&organisations) {
            let found = organisations.into_iter().map(str::to_owned).collect();
            return Some(Difference::Organisations { found });
        }
        let needed = spec.usages.iter().copied().map(Purpose::from);
        let missing: Vec<Purpose> =
            needed.filter(|purpose| !leaf.extended_key_usages().allows(*purpose)).collect();
        if !missing.is_empty() {
            return Some(Difference::MissingPurposes(missing));
        }
        let has = |name: &AlternativeName| {
            leaf.alternative_names().as_slice().iter().any(|found| match (name, found) {
                (AlternativeName::Dns(name), AlternativeName::Dns(found)) => name.eq_ignore_ascii_case(found),
                _ => name == found,
            })
        };
        let missing: Vec<AlternativeName> = names.iter().filter(|name| !has(name)).cloned().collect();
        if !missing.is_empty() {
            return Some(Difference::MissingNames(missing));
        }
        if leaf.not_after() < self.now {
            return Some(Difference::Expired(leaf.not_after()));
        }
        (leaf.not_before() > self.now).then(|| Difference::NotYetValid(leaf.not_before()))
    }
}

//! How the certificates of a plan differ from those that they replace, as data.

use std::fmt;
use std::str::FromStr;

use crate::catalog::Slot;
use crate::plan::lifetime::{rounded, tolerance};
use crate::plan::{CertificateSpec, DEFAULT_LIFETIME, IssuerRef, KeyPolicy, Step};
use crate::time::{Seconds, Timestamp};
use crate::x509::{AlternativeName, Certificate, KeyAlgorithm, KeyType, Validity};

/// A difference between a certificate of the plan and the one that it replaces, which somebody has to permit.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Deviation {
    /// The slot of the certificate.
    pub slot: Slot,
    /// What differs.
    pub change: DeviationKind,
}

/// What differs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DeviationKind {
    /// Nothing is replaced: an authority that exists signs a new identity.
    NewIdentity {
        /// Its subject.
        subject: String,
        /// Its alternative names.
        names: Vec<AlternativeName>,
    },
    /// The alternative names are others; their order does not matter.
    AlternativeNames {
        /// The names that the replaced certificate does not have, in the order of the plan.
        added: Vec<AlternativeName>,
        /// The names that it alone has, in its order.
        removed: Vec<AlternativeName>,
    },
    /// The certificate is valid for longer or shorter.
    Lifetime {
        /// How long the replaced certificate is valid, from its first second to its last.
        from: Seconds,
        /// How long the new one is.
        to: Seconds,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// Its first second.
        not_before: Timestamp,
    },
    /// The new key is of another kind or size.
    Algorithm {
        /// What the old key is.
        from: KeyType,
        /// What the new key is to be.
        to: KeyAlgorithm,
    },
}

impl DeviationKind {
    /// Returns what permits the difference.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        match self {
            Self::NewIdentity { .. } => Permission::Identity,
            Self::AlternativeNames { .. } => Permission::San,
            Self::Lifetime { .. } | Self::NotYetValid { .. } => Permission::Validity,
            Self::Algorithm { .. } => Permission::Algorithm,
        }
    }
}

impl fmt::Display for Deviation {
    /// Writes one line, as `apiserver: valid for 36500d instead of 365d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, change } = self;
        write!(f, "{slot}: {change}")
    }
}

impl fmt::Display for DeviationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewIdentity { subject, names } => {
                write!(f, "a new certificate of {subject}")?;
                if !names.is_empty() {
                    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                    write!(f, " with the names {}", names.join(", "))?;
                }
                Ok(())
            }
            Self::AlternativeNames { added, removed } => {
                let lists = [("added", added), ("removed", removed)];
                let parts = lists.into_iter().filter(|(_, names)| !names.is_empty()).map(|(verb, names)| {
                    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                    format!("{verb} {}", names.join(", "))
                });
                write!(f, "alternative names {}", parts.collect::<Vec<_>>().join("; "))
            }
            Self::Lifetime { from, to } => {
                write!(f, "valid for {} instead of {}", rounded(*to), rounded(*from))
            }
            Self::NotYetValid { not_before } => write!(f, "not valid before {not_before}"),
            Self::Algorithm { from, to } => write!(f, "key {to} instead of {from}"),
        }
    }
}

/// What somebody permits when a plan differs from what is there: the values of `--allow-change`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Permission {
    /// `san`: other alternative names.
    San,
    /// `validity`: another lifetime, or one that begins later.
    Validity,
    /// `algorithm`: keys of another kind or size.
    Algorithm,
    /// `identity`: new certificates of an authority that exists.
    Identity,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 4] = [Self::San, Self::Validity, Self::Algorithm, Self::Identity];

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::San => "san",
            Self::Validity => "validity",
            Self::Algorithm => "algorithm",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.name() == text)
            .ok_or_else(|| UnknownPermission(text.to_owned()))
    }
}

/// A text that names no permission.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not one of san, validity, algorithm")]
pub struct UnknownPermission(String);

/// Returns what is new about a certificate that replaces none, unless its authority is new as well.
pub(super) fn new_identity(certificate: &CertificateSpec) -> Option<DeviationKind> {
    let CertificateSpec { issuer, subject, alternative_names, .. } = certificate;
    matches!(issuer, IssuerRef::Existing { .. }).then(|| DeviationKind::NewIdentity {
        subject: subject.to_string(),
        names: alternative_names.as_slice().to_vec(),
    })
}

/// Returns the names that `step` adds to those of `old` or takes from them.
pub(crate) fn names(new: &[AlternativeName], old: &[AlternativeName]) -> Option<DeviationKind> {
    let only = |these: &[AlternativeName], those: &[AlternativeName]| -> Vec<AlternativeName> {
        these.iter().filter(|name| !those.contains(name)).cloned().collect()
    };
    let (added, removed) = (only(new, old), only(old, new));
    let differs = !added.is_empty() || !removed.is_empty();
    differs.then_some(DeviationKind::AlternativeNames { added, removed })
}

/// Returns how the lifetime differs from that of `old`, given when the issuer begins and ends.
///
/// A lifetime runs from the first second of a certificate to its last, whenever the plan was made. Two differences are
/// none:
///
/// * Shorter up to the end of the issuer, because no certificate may outlive it.
/// * kubeadm's default where `old` may have had it too. kubeadm before 1.29 writes the first second of the issuer into
///   every certificate and counts the year from the moment of the issue, so the dates of a renewed one span more than
///   its lifetime. That moment lies between the first second and `now`, hence the lifetime between what is left and the
///   whole span.
pub(super) fn lifetime(
    new: Validity,
    old: &Certificate,
    issuer: Validity,
    now: Timestamp,
) -> Option<DeviationKind> {
    let to = new.not_after().since(new.not_before());
    let from = old.not_after().since(old.not_before());
    let same = |lifetime: Seconds| (to.0 - lifetime.0).abs() <= tolerance(lifetime).0;
    let left = old.not_after().since(now);
    let may_be_default = old.not_before() == issuer.not_before() && left <= DEFAULT_LIFETIME;
    let is_capped = to < from && new.not_after() == issuer.not_after();
    if same(from) || is_capped || (may_be_default && DEFAULT_LIFETIME <= from && same(DEFAULT_LIFETIME)) {
        return None;
    }
    Some(DeviationKind::Lifetime { from, to })
}

/// Returns how the new key differs from the one of `old`; a size that is not made any more may become the next one.
pub(super) fn algorithm(step: &Step, old: &Certificate) -> Option<DeviationKind> {
    let KeyPolicy::Generate(to) = step.key() else { return None };
    let from = old.public_key().key_type();
    (from.issuable() != Some(to)).then(|| DeviationKind::Algorithm { from: from.clone(), to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::LeafSlot;

    fn shown(change: DeviationKind) -> String {
        Deviation { slot: Slot::Leaf(LeafSlot::ApiServer), change }.to_string()
    }

    fn dns(name: &str) -> AlternativeName {
        AlternativeName::Dns(name.to_owned())
    }

    #[test]
    fn permissions_are_named_as_the_command_line_names_them() {
        for (name, permission) in Permission::ALL.map(|permission| (permission.to_string(), permission)) {
            assert_eq!(name.parse(), Ok(permission));
        }
        assert_eq!("SAN".parse::<Permission>(), Err(UnknownPermission("SAN".to_owned())));
    }

    #[test]
    fn a_deviation_is_shown_in_one_line() {
        let lifetime = |from, to| shown(DeviationKind::Lifetime { from, to });
        assert_eq!(
            lifetime(Seconds(365 * 86_400 + 300), Seconds::from_days(36_500)),
            "apiserver: valid for 36500d instead of 365d"
        );
        assert_eq!(
            lifetime(Seconds(3 * 3_600 + 300), Seconds::from_days(365)),
            "apiserver: valid for 365d instead of 3h5m"
        );
        let names = |new: &[AlternativeName], old: &[AlternativeName]| shown(names(new, old).unwrap());
        assert_eq!(names(&[dns("a"), dns("b")], &[]), "apiserver: alternative names added DNS:a, DNS:b");
        assert_eq!(
            names(&[dns("b")], &[dns("a")]),
            "apiserver: alternative names added DNS:b; removed DNS:a"
        );
        let change =
            DeviationKind::Algorithm { from: KeyType::Rsa { bits: 4096 }, to: KeyAlgorithm::Rsa2048 };
        assert_eq!(shown(change), "apiserver: key RSA-2048 instead of RSA-4096");
        let change = DeviationKind::NotYetValid { not_before: Timestamp::from_unix(0) };
        assert_eq!(shown(change), "apiserver: not valid before 1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_order_of_alternative_names_is_no_difference() {
        assert_eq!(names(&[dns("a"), dns("b")], &[dns("b"), dns("a")]), None);
    }
}

//! How long a renewed certificate is valid, and on whose word.

use std::fmt;

use super::{BACKDATE, DEFAULT_LIFETIME, Note, Permission, PlanRequest, Reason};
use crate::catalog::Slot;
use crate::inventory::Inventory;
use crate::time::{Seconds, Timestamp};
use crate::x509::Certificate;

/// Who stated how long a certificate is to be valid; the better source comes first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum LifetimeSource {
    /// The caller, for this one operation: `--validity`.
    Argument,
    /// The policy file.
    Policy,
    /// `certificateValidityPeriod` of the kubeadm configuration.
    Configuration,
    /// Nobody; it is kubeadm's default.
    #[default]
    Default,
}

impl LifetimeSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Argument, Self::Policy, Self::Configuration, Self::Default];

    /// Returns the name: `argument`, `policy`, `configuration`, `default`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Policy => "policy",
            Self::Configuration => "configuration",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for LifetimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "the command line",
            Self::Policy => "the policy file",
            Self::Configuration => "the kubeadm configuration",
            Self::Default => "kubeadm's default",
        })
    }
}

/// What the lifetime of one certificate is decided by.
pub(crate) struct Question<'a> {
    pub(crate) slot: Slot,
    /// The certificate that is replaced.
    pub(crate) old: &'a Certificate,
    /// The certificate of its authority, if there is any.
    pub(crate) signer: Option<&'a Certificate>,
    pub(crate) inventory: &'a Inventory,
    pub(crate) now: Timestamp,
    /// Whether the old one ends within the window, or cannot be used.
    pub(crate) is_due: bool,
}

/// Returns how long the new certificate is to be valid, before it is cut at the end of its authority, and what is to be said of
/// it.
///
/// The request states a lifetime: the caller's, else the policy's, else the configuration's, else kubeadm's default of a year.
/// Some sites have lifetimes of their own, longer than that default: a vendor's 99 years, minikube's three. What would end such
/// a lifetime sooner, by more than a tolerance of a day, needs [`Permission::Validity`]. Without it:
///
/// * Nobody stated anything: the new certificate is valid for as long as the old one was. Nothing shrinks unasked.
/// * The policy or the configuration stated less: a certificate that is due keeps the lifetime of the old one, since nobody is
///   there at night to permit another; any other one is not renewed, and the reason says what permits it. kubeadm writes its
///   default into every configuration, so that a configuration says a year is no decision of the site.
/// * The caller stated less: it is not renewed. Somebody is there, and must not get another lifetime than the one asked for.
///   Once the old certificate is over, the caller is obeyed, for then there is nothing to lose any more.
///
/// kubeadm before 1.29 writes the first second of the authority into every certificate, and newer ones into kubeconfigs that
/// they make, so that the dates span more than the lifetime. Such a certificate counts as one of a year, unless more than that
/// is left of it, or a leaf with the same dates shows that it was made together with its authority.
pub(crate) fn decide(
    question: &Question<'_>,
    request: &PlanRequest,
) -> Result<(Seconds, Option<Note>), Reason> {
    let Question { slot, old, now, is_due, .. } = question;
    let (stated, source) = (request.lifetime_of(*slot), request.lifetime_source_of(*slot));
    let said = || {
        let is_told = matches!(source, LifetimeSource::Policy | LifetimeSource::Configuration);
        is_told.then_some(Note::LifetimeStated { lifetime: stated, source })
    };
    let Some(own) = question.own() else { return Ok((stated, said())) };
    if !question.is_shortened(own, now.plus(stated)) {
        return Ok((stated, said()));
    }
    let shortened = Note::LifetimeShortened { from: own, to: stated };
    if request.permissions.contains(&Permission::Validity) {
        return Ok((stated, Some(shortened)));
    }
    match source {
        LifetimeSource::Argument if old.not_after() < *now => Ok((stated, Some(shortened))),
        LifetimeSource::Default => Ok((own, Some(Note::LifetimeKept { lifetime: own }))),
        LifetimeSource::Policy | LifetimeSource::Configuration if *is_due => {
            Ok((own, Some(Note::LifetimeKept { lifetime: own })))
        }
        source => Err(Reason::LifetimeShortened { from: own, to: stated, source }),
    }
}

impl Question<'_> {
    /// Returns the site's own lifetime, if a certificate that ends at `not_after` cuts it short and there is something to lose.
    pub(crate) fn shortened_by(&self, not_after: Timestamp) -> Option<Seconds> {
        let own = self.own().filter(|own| self.is_shortened(*own, not_after));
        own.filter(|_| self.old.not_after() >= self.now)
    }

    /// Returns whether a certificate that ends at `not_after` ends before the lifetime `own` does, more than the authority demands.
    fn is_shortened(&self, own: Seconds, not_after: Timestamp) -> bool {
        let capped = |end: Timestamp| self.signer.map_or(end, |signer| end.min(signer.not_after()));
        capped(not_after).plus(LIFETIME_TOLERANCE) < capped(self.now.plus(own))
    }

    /// Returns how long the old certificate was valid from the moment of its issue, if that is longer than kubeadm's default.
    fn own(&self) -> Option<Seconds> {
        let Self { old, now, .. } = self;
        let span = old.not_after().since(old.not_before());
        // What begins with its authority was issued at any time since.
        let left = old.not_after().since(*now);
        let lifetime = if self.is_dated_by_its_issue() { Seconds(span.0 - BACKDATE.0) } else { left };
        (lifetime.0 > DEFAULT_LIFETIME.0 + LIFETIME_TOLERANCE.0).then_some(lifetime)
    }

    fn is_dated_by_its_issue(&self) -> bool {
        let Self { slot, old, signer, inventory, .. } = self;
        let is_modern = |certificate: &Certificate| certificate.basic_constraints().is_some();
        // Without its authority nobody knows: then no more is claimed than what is left.
        let Some(signer) = signer else { return false };
        if old.not_before() != signer.not_before() {
            return true;
        }
        match slot {
            // Leaves have no basic constraints as long as they have the authority's first second.
            Slot::Leaf(_) => is_modern(old),
            _ => inventory.credentials().any(|(place, credential)| {
                let leaf = credential.leaf().filter(|_| matches!(place.slot(), Some(Slot::Leaf(_))));
                leaf.is_some_and(|leaf| {
                    is_modern(leaf)
                        && leaf.not_before() == old.not_before()
                        && leaf.not_after() == old.not_after()
                })
            }),
        }
    }
}

/// Returns by how much a lifetime may differ from `lifetime` and be the same: a day, and of short ones a tenth.
pub(crate) const fn tolerance(lifetime: Seconds) -> Seconds {
    let tenth = lifetime.0 / 10;
    if tenth < LIFETIME_TOLERANCE.0 { Seconds(tenth) } else { LIFETIME_TOLERANCE }
}

/// Minutes say nothing about a lifetime of days: spans from two days on are shown in whole days.
pub(crate) fn rounded(span: Seconds) -> Seconds {
    if span.days() < 2 { span } else { Seconds::from_days(span.days()) }
}

/// That is what a leap day makes of one year, and as much as any tool sets `not_before` back: kubeadm five minutes since
/// 1.29, minikube a day.
const LIFETIME_TOLERANCE: Seconds = Seconds::from_days(1);

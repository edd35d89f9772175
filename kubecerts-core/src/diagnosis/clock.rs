//! The check of the node's clock.

use std::collections::BTreeSet;

use super::checks::{Context, coarse};
use super::{Clock, Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{FileSlot, Slot};
use crate::inventory::Place;
use crate::time::{Seconds, Timestamp};

/// `clock-skew`, which explains `not-yet-valid`
///
/// One certificate that is not valid yet may be at fault itself; when most are not, or when files were written in the
/// future, it is the clock.
pub(super) fn skew(context: &Context<'_>, out: &mut Vec<Finding>) {
    let (inventory, now) = (context.inventory, context.now);
    if context.policy.clock == Clock::Assumed {
        return;
    }
    let authorities = context
        .authorities()
        .filter_map(|(ca, authority)| Some((Place::Slot(Slot::Ca(ca)), authority.signer()?.not_before())));
    let begins: Vec<(Place, Timestamp)> = authorities
        .chain(
            context
                .own_credentials()
                .filter_map(|(place, credential)| Some((place.clone(), credential.leaf()?.not_before()))),
        )
        .collect();
    let ahead = begins.iter().filter(|(_, begin)| *begin > now).count();
    let newest = FileSlot::all().map(|file| inventory.file(file)).filter_map(|facts| {
        let modified = facts.meta.as_ref()?.modified?.timestamp();
        Some((modified, &facts.path))
    });
    let newest = newest.max().filter(|(modified, _)| now.plus(TOLERANCE) < *modified);
    let (until, path, proof) = if ahead > 1 && ahead * 2 > begins.len() {
        let first = begins.iter().map(|(_, begin)| *begin).min().unwrap_or(now);
        let count = begins.len();
        let proof =
            format!("{ahead} of {count} certificates are not valid yet, the first of all since {first}");
        (Timestamp::MAX, None, proof)
    } else if let Some((modified, path)) = newest {
        let ahead = coarse(modified.since(now));
        (modified, Some(path.clone()), format!("{path} was written {modified}, which is {ahead} ahead"))
    } else {
        return;
    };
    let is_explained = |begin: Timestamp| begin > now && begin <= until;
    let explained: BTreeSet<&Place> =
        begins.iter().filter(|(_, begin)| is_explained(*begin)).map(|(place, _)| place).collect();
    out.retain(|finding| {
        finding.code != FindingCode::NotYetValid
            || finding.place.as_ref().is_none_or(|place| !explained.contains(place))
    });
    let reset = if now < FIRST_CLUSTER { ", as a clock does that has lost the time" } else { "" };
    // That a file was written in the future harms nobody by itself; it may have been copied from a machine whose clock was wrong.
    let (severity, impact) = match explained.is_empty() {
        true => (Severity::Warning, Impact::None),
        false => (Severity::Error, Impact::Unusable),
    };
    out.push(Finding {
        severity,
        place: None,
        code: FindingCode::ClockSkew,
        impact,
        path,
        message: format!("the clock says {now}{reset}, and {proof}"),
        remedy: Remedy::SetClock,
    });
}

/// How far the clock may be behind the newest file: as far as kubeadm sets back the begin of a certificate, for the same reason.
const TOLERANCE: Seconds = Seconds(5 * 60);

/// The day of the first release of Kubernetes. Clocks that have lost the time begin at 1970 or at 2000.
const FIRST_CLUSTER: Timestamp = Timestamp::from_unix(1_436_486_400);

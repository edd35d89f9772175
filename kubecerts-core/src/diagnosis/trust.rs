//! Files of trusted certificates that lag behind an authority.

use super::checks::Context;
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::Slot;
use crate::inventory::{OutdatedTrust, Place};

/// `trust-file-stale`
pub(super) fn trust_files(context: &Context<'_>, out: &mut Vec<Finding>) {
    for OutdatedTrust { ca, file, old } in context.inventory.outdated_trust() {
        let end = old.not_after();
        let (severity, impact) = if end < context.now {
            (Severity::Error, Impact::Unusable)
        } else if end <= context.now.plus(context.policy.window) {
            (Severity::Warning, Impact::Due)
        } else {
            (Severity::Warning, Impact::None)
        };
        out.push(Finding {
            severity,
            place: Some(Place::Slot(Slot::Ca(ca))),
            code: FindingCode::TrustFileStale,
            impact,
            path: Some(file.path.clone()),
            message: format!(
                "{} ({} of {}) holds its certificate that ends {end}, not the later one",
                file.path, file.setting, file.component
            ),
            remedy: Remedy::UpdateTrust,
        });
    }
}

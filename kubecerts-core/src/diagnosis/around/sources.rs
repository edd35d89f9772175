//! Manifests that are there twice.

use crate::diagnosis::checks::Context;
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};

/// `manifest-duplicate`
pub(super) fn duplicates(context: &Context<'_>, out: &mut Vec<Finding>) {
    for problem in context.inventory.node().problems() {
        let Some(first) = &problem.duplicate_of else { continue };
        out.push(Finding {
            severity: Severity::Warning,
            place: None,
            code: FindingCode::ManifestDuplicate,
            impact: Impact::Incomplete,
            path: Some(problem.path.clone()),
            message: format!("{problem} beside {}: the kubelet starts either of them", first.file_name()),
            remedy: Remedy::MoveAway(problem.path.clone()),
        });
    }
}

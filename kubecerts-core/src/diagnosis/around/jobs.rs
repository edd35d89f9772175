//! What restarts the control plane at a time of its own.

use crate::diagnosis::checks::Context;
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::inventory::RestartJob;

/// `simultaneous-restart`
pub(super) fn simultaneous_restarts(context: &Context<'_>, out: &mut Vec<Finding>) {
    for job in &context.inventory.surroundings().jobs {
        let mut reasons = Vec::new();
        if let Some(calendar) = job.calendar.as_ref().filter(|_| !job.is_spread) {
            reasons.push(format!("at the same moment on every node that has it, unless other nodes have another calendar ({calendar})"));
        }
        if job.restarts_etcd_with_others {
            reasons.push("etcd together with the rest".to_owned());
        }
        if job.waits_without_end {
            reasons.push("and waits for them without a limit".to_owned());
        }
        if reasons.is_empty() {
            continue;
        }
        // What nobody runs at a time is up to whoever starts it.
        let severity = if is_scheduled(job) { Severity::Warning } else { Severity::Notice };
        let script = job.runs.iter().find(|path| !path.file_name().ends_with(".service"));
        let by = script.map(|script| format!(" by {script}")).unwrap_or_default();
        out.push(Finding {
            severity,
            place: None,
            code: FindingCode::SimultaneousRestart,
            impact: Impact::None,
            path: Some(job.path.clone()),
            message: format!("{} restarts the control plane{by}: {}", job.path, reasons.join(", ")),
            remedy: Remedy::SpreadOut(job.path.clone()),
        });
    }
}

fn is_scheduled(job: &RestartJob) -> bool {
    job.calendar.is_some() || job.path.file_name().ends_with(".timer")
}

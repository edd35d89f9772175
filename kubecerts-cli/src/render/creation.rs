//! New trees for people.

use std::fmt::Write as _;

use kubecerts_core::inventory::Inventory;
use kubecerts_core::plan::{KeyPolicy, Plan, Reason};
use kubecerts_host::Report;

use super::text::counted;

/// Returns what a plan makes, and what is there already.
pub(crate) fn plan(plan: &Plan, inventory: &Inventory) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing to a String cannot fail");
    let layout = inventory.node().layout();
    if plan.is_empty() {
        line("Nothing to make.".to_owned());
    } else {
        line(format!("To make at {}:", plan.now()));
    }
    for step in plan.steps() {
        let name = step.slot().name();
        match step.certificate() {
            Some(spec) => {
                let end = spec.validity.not_after();
                let issuer = spec.issuer.authority().map_or("itself", |ca| ca.name());
                line(format!("  {name:<26} until {end}"));
                let names: Vec<String> = spec.alternative_names.texts().collect();
                let names = if names.is_empty() { String::new() } else { format!("; {}", names.join(", ")) };
                line(format!("    {}; signed by {issuer}{names}", spec.subject));
            }
            None if step.key() == KeyPolicy::Reuse => {
                line(format!("  {name:<26} the public half of its key"))
            }
            None => line(format!("  {name:<26} a key pair")),
        }
        let paths: Vec<String> =
            step.writes().iter().map(|write| layout.path(write.file()).to_string()).collect();
        line(format!("    writes {}", paths.join(", ")));
        for note in step.notes() {
            line(format!("    note: {note}"));
        }
    }
    let kept = plan.deferred().iter().filter(|deferred| *deferred.reason() == Reason::Kept);
    let kept: Vec<&str> = kept.map(|deferred| deferred.slot().name()).collect();
    if !kept.is_empty() {
        line(format!("Right as they are: {}", kept.join(", ")));
    }
    text
}

/// Returns what was made.
pub(crate) fn made(report: &Report) -> String {
    let mut text = String::new();
    for written in &report.written {
        writeln!(text, "wrote {}", written.path).expect("writing to a String cannot fail");
    }
    let files = counted(report.written.len(), "file");
    writeln!(text, "{files}; every signature and every key was verified again on disk")
        .expect("writing to a String cannot fail");
    text
}

//! `kubecerts renew`

use std::collections::BTreeSet;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::diagnosis::{Diagnosis, Impact, Policy, diagnose};
use kubecerts_core::issue::{ChangeSet, RustCrypto, issue};
use kubecerts_core::plan::Plan;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_host::{Event, Node, Report, SystemEntropy, apply};

use super::{explain_deferred, plan_for, prove, scan};
use crate::args::{Form, NodeArgs, RenewalArgs, Whereabouts};
use crate::error::{CommandError, remedy};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, text};

/// Renew what is due, what is named, or everything.
///
/// Shows the plan, asks, makes keys and certificates, verifies every signature, writes all new files beside the old ones,
/// and only then replaces them. Subject, names, usages and kind of key stay as they were.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    renewal: RenewalArgs,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Do everything in memory, signing included, and write nothing.
    #[arg(long)]
    dry_run: bool,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { renewal, yes, dry_run, output: form, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    let plan = plan_for(renewal, &inventory, now)?;
    if *form == Form::Text {
        output.data(&text::plan(&plan, &inventory));
    }
    explain_deferred(&plan, &whereabouts, output);

    let (lifetime, window) = (renewal.validity, renewal.window.within);
    if let Some(lifetime) = lifetime.filter(|lifetime| *lifetime <= window) {
        output.warning(&format!(
            "certificates that are valid for {lifetime} are due at once, as {window} before the end is"
        ));
    }
    let mut report = None;
    if !plan.is_empty() {
        if !*dry_run && !*yes {
            consent(output)?;
        }
        let changes = sign(&plan, &snapshot)?;
        if *dry_run {
            output.note(&format!(
                "dry run: {} made and every signature verified, nothing was written",
                text::counted(changes.changes().len(), "file")
            ));
        } else {
            report = Some(write(&changes, &node, *form, output)?);
        }
    }
    let after = report.as_ref().map_or(&inventory, |report| &report.inventory);
    let diagnosis = diagnose(after, Policy::with_window(renewal.window.within), now);
    if *form == Form::Json {
        output.data(&documents::renewal(&plan, report.as_ref(), &diagnosis, &whereabouts).to_json());
    }
    if let Some(report) = &report {
        prove(&plan, report, &whereabouts)?;
        if *form == Form::Text {
            output.data(&text::renewed(&plan, report));
        }
    }
    if !*dry_run {
        warn(&diagnosis, &whereabouts, output);
    }
    Ok(if plan.is_incomplete() { Exit::Incomplete } else { Exit::Fine })
}

/// Says what a renewal has left broken. What is merely due was not asked for, or is in the plan's list.
fn warn(diagnosis: &Diagnosis, whereabouts: &Whereabouts, output: &mut Output) {
    let mut hints = BTreeSet::new();
    for finding in diagnosis.findings().iter().filter(|finding| finding.impact > Impact::Due) {
        output.warning(&finding.to_string());
        hints.extend(remedy(finding, whereabouts));
    }
    for hint in hints {
        output.hint(&hint);
    }
}

fn consent(output: &mut Output) -> Result<(), CommandError> {
    match output.confirm("Renew these certificates?") {
        Some(true) => Ok(()),
        Some(false) => Err(CommandError::refused("not confirmed, nothing was changed")
            .with_hint("try it without changes: --dry-run")),
        None => Err(CommandError::refused("there is no terminal to ask on, nothing was changed")
            .with_hint("say --yes to renew without a question, or --dry-run to try it without changes")),
    }
}

/// Makes the keys and the certificates, with a sign of life on a terminal: RSA keys take their time.
pub(super) fn sign(plan: &Plan, snapshot: &Snapshot) -> Result<ChangeSet, CommandError> {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed"))
        .with_message(format!("making {}", text::counted(plan.steps().len(), "certificate")));
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let changes = issue(plan, snapshot, &mut RustCrypto::new(SystemEntropy::new()));
    spinner.finish_and_clear();
    Ok(changes?)
}

fn write(changes: &ChangeSet, node: &Node, form: Form, output: &mut Output) -> Result<Report, CommandError> {
    let mut lines = Vec::new();
    let report = apply(changes, node, &mut SystemEntropy::new(), &mut |event| {
        if let Event::Replaced { path, .. } = event {
            lines.push(format!("replaced {path}"));
        }
    })?;
    if form == Form::Text {
        for line in lines {
            output.note(&line);
        }
    }
    Ok(report)
}

//! `kubecerts apply`

use std::path::PathBuf;

use kubecerts_core::diagnosis::DEFAULT_WINDOW;
use kubecerts_core::plan::{Deviation, Permission, Plan, check_clock};
use kubecerts_host::disk::transaction::Purpose;

use super::renew::{Outcome, sign, write};
use super::{Consent, begin, scan};
use crate::args::{Form, NodeArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

/// Carry out a plan that `kubecerts plan --out` has written.
///
/// The plan is carried out as it is, or refused: when a file is no longer what the plan was made for, and when the document was
/// edited to give a certificate more than kubeadm's catalogue or the certificate that it replaces allow.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// Allow certificates that differ from those that they replace, in this respect.
    #[arg(long, value_name = "san|validity|algorithm", value_delimiter = ',')]
    allow_change: Vec<Permission>,

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
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { plan: file, allow_change, yes, dry_run, output: form, node } = args;
    let whereabouts = node.whereabouts();
    let (_, state) = kubecerts_host::read_file(file)?;
    // A plan is public data.
    let bytes = state.content().map(|content| content.secret_bytes()).unwrap_or_default();
    let plan = Plan::from_json(&String::from_utf8_lossy(bytes))
        .map_err(|error| CommandError::of_document(&error, file))?;
    let node = node.open()?;
    let mut session = if *dry_run {
        super::mention_interrupted(&node, &whereabouts, output);
        None
    } else {
        Some(begin(&node, "apply", Consent::of(*yes), output)?)
    };
    let (snapshot, inventory) = scan(&node)?;
    check_clock(&inventory, kubecerts_host::now())?;
    let deviations = plan.review(&inventory, kubecerts_host::now())?;
    if *form == Form::Text {
        output.data(&text::plan(&plan, &inventory));
    }
    super::explain_deferred(&plan, &whereabouts, output);
    permit(&deviations, allow_change, output)?;

    let mut report = None;
    if !plan.is_empty() {
        if session.is_some() {
            Consent::of(*yes).ask("Carry out this plan?", output)?;
        }
        let changes = sign(&plan, &snapshot)?;
        match &mut session {
            Some(session) => {
                report = Some(write(&changes, Purpose::of_plan("apply", &plan), session, *form, output)?);
            }
            None => output.note(&format!(
                "dry run: {} made and every signature verified, nothing was written",
                text::counted(changes.changes().len(), "file")
            )),
        }
    }
    let outcome =
        Outcome { plan: &plan, report: report.as_ref(), before: &inventory, window: DEFAULT_WINDOW };
    outcome.tell(*form, &whereabouts, output)?;
    Ok(if plan.is_incomplete() { Exit::Incomplete } else { Exit::Fine })
}

/// Shows what differs from the certificates that are replaced, and refuses what was not allowed.
fn permit(deviations: &[Deviation], allowed: &[Permission], output: &mut Output) -> Result<(), CommandError> {
    let mut missing = Vec::new();
    for deviation in deviations {
        output.warning(&format!("differs from the certificate that is replaced: {deviation}"));
        let needed = deviation.change.permission();
        if !allowed.contains(&needed) && !missing.contains(&needed) {
            missing.push(needed);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>();
    Err(CommandError::refused(format!(
        "the plan changes {} of certificates, and that was not allowed",
        names.join(" and ")
    ))
    .with_hint(format!("nothing was changed; if it is meant, say: --allow-change {}", names.join(","))))
}

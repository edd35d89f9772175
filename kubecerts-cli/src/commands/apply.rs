//! `kubecerts apply`

use std::path::PathBuf;

use kubecerts_core::diagnosis::DEFAULT_WINDOW;
use kubecerts_core::plan::{Deviation, Permission, Plan, check_clock};

use super::renew::Execution;
use super::{begin_unless_dry, scan};
use crate::args::{ChangeArgs, NodeArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

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

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { plan: file, allow_change, change, node } = args;
    let whereabouts = node.whereabouts();
    let (_, state) = kubecerts_host::read_file(file)?;
    // A plan is public data.
    let bytes = state.content().map(|content| content.secret_bytes()).unwrap_or_default();
    let plan = Plan::from_json(&String::from_utf8_lossy(bytes))
        .map_err(|error| CommandError::of_document(&error, file))?;
    let node = node.open()?;
    let mut session = begin_unless_dry(&node, "apply", change, &whereabouts, output)?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let deviations = plan.review(&inventory, now)?;
    let execution = Execution {
        command: "apply",
        plan: &plan,
        snapshot: &snapshot,
        inventory: &inventory,
        window: DEFAULT_WINDOW,
        backup_etcd: false,
    };
    execution.show(change.output, &whereabouts, output);
    permit(&deviations, allow_change, output)?;
    let _ = execution.carry_out(session.as_mut(), change, &whereabouts, output)?;
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

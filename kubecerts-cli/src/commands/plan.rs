//! `kubecerts plan`

use std::collections::BTreeSet;
use std::path::PathBuf;

use kubecerts_core::inventory::Inventory;
use kubecerts_core::plan::{Permission, Plan};
use kubecerts_core::time::Timestamp;

use super::{exit_of_incomplete, plan_for, scan};
use crate::args::{Form, NodeArgs, RenewalArgs, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

/// Show what a renewal would do, and what it would not and why. Changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    renewal: RenewalArgs,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// Also write the plan as JSON into this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { renewal, output: form, out, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    super::mention_interrupted(&node, &whereabouts, output);
    let (_, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    let plan = plan_for(renewal, &node, &inventory, now)?;
    if let Some(path) = out {
        kubecerts_host::write_new_file(path, plan.to_json().as_bytes())?;
    }
    match form {
        Form::Text => output.data(&text::plan(&plan, &inventory)),
        Form::Json => output.data(&plan.to_json()),
    }
    super::explain_deferred(&plan, &whereabouts, output);
    if let Some(path) = out {
        output.note(&format!("wrote {}", path.display()));
        let path = quoted(&path.display().to_string());
        output.hint(&format!(
            "kubecerts apply {path}{}{}",
            permissions(&plan, &inventory, now),
            whereabouts.options
        ));
    }
    Ok(exit_of_incomplete(&plan).unwrap_or(Exit::Fine))
}

/// Returns the option with what `kubecerts apply` has to be allowed for `plan`, after a space, if anything.
fn permissions(plan: &Plan, inventory: &Inventory, now: Timestamp) -> String {
    let deviations = plan.review(inventory, now).unwrap_or_default();
    let needed: BTreeSet<Permission> = deviations.iter().map(|found| found.change.permission()).collect();
    let needed: Vec<String> = needed.iter().map(ToString::to_string).collect();
    if needed.is_empty() { String::new() } else { format!(" --allow-change {}", needed.join(",")) }
}

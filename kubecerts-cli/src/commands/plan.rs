//! `kubecerts plan`

use std::path::PathBuf;

use super::{exit_of_incomplete, plan_for, scan};
use crate::args::{Form, NodeArgs, RenewalArgs};
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
    let plan = plan_for(renewal, &node, &inventory, kubecerts_host::now())?;
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
        output.hint(&format!("kubecerts apply {}{}", path.display(), whereabouts.options));
    }
    Ok(exit_of_incomplete(&plan).unwrap_or(Exit::Fine))
}

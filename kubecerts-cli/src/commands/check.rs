//! `kubecerts check`

use clap::ValueEnum;
use kubecerts_core::diagnosis::{Clock, Policy, diagnose};
use kubecerts_core::observation::Observations;
use kubecerts_core::time::Timestamp;

use super::scan;
use crate::args::{NodeArgs, WindowArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, table};

/// Show when every certificate ends, and what is wrong with the tree.
///
/// Lists kubeadm's certificates and kubeconfigs, the kubelet's own, and copies of kubeconfigs in home directories; then
/// what is wrong: expired, missing or damaged files, keys and authorities that do not belong together, and more. Needs
/// no API server, and no more than read access.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "status")]
pub(crate) struct Args {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,

    /// Judge as of this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    /// Which exit codes to use.
    #[arg(long, value_enum, value_name = "SCHEME", default_value = "kubecerts")]
    exit_code: ExitScheme,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// Tables like kubeadm's.
    Table,
    /// Tables with serial numbers, keys and paths.
    Wide,
    /// JSON, see `kubecerts schema check`.
    Json,
    /// The same in YAML.
    Yaml,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ExitScheme {
    /// 0 fine, 3 due, 4 expired or unusable, 5 inconsistent, 6 incomplete.
    Kubecerts,
    /// 0 OK, 1 warning (due), 2 critical (unusable, inconsistent), 3 unknown (incomplete, or no look was possible).
    Nagios,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let exit = look(args, output);
    match (exit, args.exit_code) {
        // To Nagios 1 and 2 are states of the tree; a look that failed says nothing about it.
        (Err(error), ExitScheme::Nagios) => {
            output.error(&error.at(&args.node.whereabouts()));
            Ok(Exit::Nagios(crate::exit::NagiosState::Unknown))
        }
        (exit, _) => exit,
    }
}

fn look(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { output: form, at, exit_code, window, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    super::mention_interrupted(&node, &whereabouts, output);
    let (_, inventory) = scan(&node)?;
    let now = at.unwrap_or_else(kubecerts_host::now);
    let mut policy = Policy::with_window(window.within);
    if at.is_some() {
        policy.clock = Clock::Assumed;
    }
    let diagnosis = diagnose(&inventory, &Observations::none(), policy, now);
    match form {
        Form::Table => output.data(&table::check(&inventory, &diagnosis, table::Width::Normal, &whereabouts)),
        Form::Wide => output.data(&table::check(&inventory, &diagnosis, table::Width::Wide, &whereabouts)),
        Form::Json => output.data(&documents::check(&inventory, &diagnosis, &whereabouts).to_json()),
        Form::Yaml => output.data(&documents::check(&inventory, &diagnosis, &whereabouts).to_yaml()),
    }
    Ok(match exit_code {
        ExitScheme::Kubecerts => Exit::of_impact(diagnosis.impact()),
        ExitScheme::Nagios => Exit::nagios(diagnosis.impact()),
    })
}

//! `kubecerts restart`

use std::collections::BTreeSet;

use kubecerts_core::catalog::Component;
use kubecerts_core::time::Seconds;
use kubecerts_host::probe::Probe as _;
use kubecerts_host::rollout::{Action, Task};

use super::live::{self, RuntimeArgs};
use super::{Consent, begin, scan};
use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Restart what holds old credentials in memory, and prove that it came back with those on disk.
///
/// Without names: every component that does not use what is on disk, and no other. One at a time, in a safe order: etcd only when
/// the quorum stands without it, then the API server, then its clients. The kubelet has to be alive, since it makes the new pods.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The components; by default those that are stale.
    #[arg(value_name = "COMPONENT", value_parser = component)]
    components: Vec<Component>,

    /// How long each component may take.
    #[arg(long, value_name = "SPAN", default_value = "6m")]
    timeout: Seconds,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Say what would be restarted, and restart nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { components, timeout, yes, dry_run, runtime, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let mut session = if *dry_run { None } else { Some(begin(&node, "restart", Consent::of(*yes), output)?) };
    if session.is_some() {
        live::return_manifests(&node, output)?;
    }
    let (snapshot, inventory) = scan(&node)?;
    let mut plant = runtime.plant(&node, &snapshot)?;
    let named: BTreeSet<Component> = components.iter().copied().collect();
    let tasks: Vec<Task> = if named.is_empty() {
        let all = inventory.components().collect();
        let seen = plant.observe(&all);
        live::overdue(&inventory, &seen)
    } else {
        named.into_iter().map(|component| Task::new(component, Action::Restart)).collect()
    };
    if tasks.is_empty() {
        output.note("every component uses what is on disk, there is nothing to restart");
        return Ok(Exit::Fine);
    }
    let names = tasks.iter().map(|task| task.component.name()).collect::<Vec<_>>().join(", ");
    output.note(&format!("to be restarted, through {}: {names}", plant.runtime()));
    if *dry_run {
        return Ok(Exit::Fine);
    }
    Consent::of(*yes).ask("Restart these components, one at a time?", output)?;
    let crew = (&mut plant, session.as_mut(), &node);
    let rollout = live::roll_out(&tasks, &inventory, live::patience(*timeout), None, crew, output);
    Ok(live::conclude(&rollout, &whereabouts.options, output).unwrap_or(Exit::Fine))
}

/// Parses the name of a component, with or without `kube-`.
fn component(text: &str) -> Result<Component, String> {
    let found = Component::ALL.into_iter().find(|component| {
        let name = component.name();
        name == text || name.strip_prefix("kube-") == Some(text)
    });
    let names = Component::ALL.map(Component::name).join(", ");
    found.ok_or_else(|| format!("{text:?} is none of {names}"))
}

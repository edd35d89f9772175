//! `kubecerts compare`

use std::path::PathBuf;

use clap::ValueEnum;
use kubecerts_core::diagnosis::{Impact, Policy};
use kubecerts_core::fleet::{Member, compare};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::time::Timestamp;
use kubecerts_host::archive;

use super::scan;
use crate::args::{NodeArgs, WindowArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::fleet;

/// Compare the control-plane nodes of one cluster, from their snapshots.
///
/// Says which nodes have other authorities or service account keys than the others, which share a certificate that belongs to one of
/// them, whose servers lack names that the others have, and which were not renewed or upgraded with the others.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  kubecerts compare cp-1.tar cp-2.tar cp-3.tar
  kubecerts compare --this-node cp-2.tar cp-3.tar")]
pub(crate) struct Args {
    /// Snapshots that `kubecerts snapshot` has taken.
    #[arg(value_name = "FILE", required = true)]
    snapshots: Vec<PathBuf>,

    /// Compare the node at hand too.
    #[arg(long)]
    this_node: bool,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,

    /// Judge as of this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// A table.
    Table,
    /// JSON, see `kubecerts schema comparison`.
    Json,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { snapshots, this_node, output: form, at, window, node } = args;
    let whereabouts = node.whereabouts();
    let now = at.unwrap_or_else(kubecerts_host::now);
    let mut nodes: Vec<fleet::Node> = Vec::new();
    if *this_node {
        let (snapshot, inventory) = scan(&node.open()?)?;
        let name = snapshot.node().node_name().map_or("this node", |name| name.value.as_str()).to_owned();
        nodes.push(fleet::Node { name, file: None, taken_at: now, inventory });
    }
    for file in snapshots {
        let read = archive::read(file)?;
        nodes.push(fleet::Node {
            name: read.name,
            file: Some(file.display().to_string()),
            taken_at: read.taken_at,
            inventory: read.inventory,
        });
    }
    if nodes.len() < 2 {
        return Err(CommandError::usage("there is nothing to compare one node with")
            .with_hint("name a second snapshot, or compare it with the node at hand: --this-node"));
    }
    super::refuse_namesakes(nodes.iter().map(|node| node.name.as_str()))?;
    let inventories: Vec<(&str, &Inventory)> =
        nodes.iter().map(|node| (node.name.as_str(), &node.inventory)).collect();
    let members: Vec<Member<'_>> =
        inventories.iter().map(|(name, inventory)| Member::new(name, inventory)).collect();
    let findings = compare(&members, Policy::with_window(window.within), now);
    match form {
        Form::Table => output.data(&fleet::table(&nodes, &findings)),
        Form::Json => output.data(&fleet::document(&nodes, &findings, now, &whereabouts)),
    }
    let impact = findings.iter().map(|found| found.finding.impact).max().unwrap_or(Impact::None);
    Ok(Exit::of_impact(impact))
}

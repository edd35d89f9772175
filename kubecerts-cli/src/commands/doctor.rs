//! `kubecerts doctor`

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use kubecerts_core::diagnosis::{
    Case, Clock, Examined, FindingCode, FleetCase, Impact, NodeCases, Policy, Severity, between, cases,
    diagnose, narrow,
};
use kubecerts_core::fleet::{self, Member};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::node_name;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Timestamp;
use kubecerts_host::Node;
use kubecerts_host::archive::{self, NodeArchive};
use kubecerts_host::crypto::FastHalves;
use kubecerts_host::probe::Probe as _;

use super::live::RuntimeArgs;
use super::nothing_there;
use crate::args::{Form, NodeArgs, WindowArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::doctor::{self, Consultation, Looked, Patient};

/// Find out what is wrong with a node, why, and what to do first.
///
/// Looks at every file of the tree, and on the node itself at what runs: shakes hands with every endpoint, asks for health, and
/// compares starts with changes of files. What is found is put into relation: causes first, each with the findings that it
/// explains, the bytes that prove it, what comes of it, and the command that mends it. Needs no API server, and changes nothing.
///
/// Given snapshots of nodes, it looks at these instead, each as of the moment when it was taken, and at what is wrong between them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  kubecerts doctor
  kubecerts doctor cp-1.tar cp-2.tar cp-3.tar
  kubecerts doctor --explain ca-replaced")]
pub(crate) struct Args {
    /// Snapshots that `kubecerts snapshot` has taken, in place of the node at hand.
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<PathBuf>,

    /// Print what a code means, how it is detected, what comes of it and what to do; nothing is looked at.
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,

    /// Show findings with these codes only.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    only: Vec<String>,

    /// Show findings that are at least this grave, and their causes.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "notice")]
    severity: Level,

    /// Look at files only, and at nothing that runs.
    #[arg(long)]
    no_probe: bool,

    /// Judge as of this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Level {
    /// Something does not work, or will not when it is next used.
    Error,
    /// Something will fail if nobody acts.
    Warning,
    /// Something to know.
    Notice,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { explain, only, severity, output: form, .. } = args;
    if let Some(code) = explain {
        output.data(&format!("{}\n", parse(code)?.documentation()));
        return Ok(Exit::Fine);
    }
    let only = only.iter().map(|code| parse(code)).collect::<Result<BTreeSet<_>, _>>()?;
    let level = severity.severity();
    let is_wanted =
        |case: &Case| case.severity() <= level && (only.is_empty() || only.contains(&case.finding.code));

    let whereabouts = args.node.whereabouts();
    let consultation = match args.snapshots.is_empty() {
        true => args.of_this_node(&is_wanted, output)?,
        false => args.of_snapshots(&is_wanted)?,
    };
    match form {
        Form::Text => output.data(&doctor::text(&consultation, &whereabouts)),
        Form::Json => output.data(&doctor::document(&consultation, &whereabouts).to_json()),
    }
    let impact = consultation.cases().map(Case::impact).max().unwrap_or(Impact::None);
    Ok(Exit::of_impact(impact))
}

impl Args {
    /// Looks at the node at hand.
    fn of_this_node(
        &self,
        is_wanted: &dyn Fn(&Case) -> bool,
        output: &mut Output,
    ) -> Result<Consultation, CommandError> {
        let node = self.node.open()?;
        super::mention_interrupted(&node, &self.node.whereabouts(), output);
        let now = self.at.unwrap_or_else(kubecerts_host::now);
        let snapshot = node.scan_around()?;
        let inventory = Inventory::parse_with(&snapshot, &FastHalves);
        // A node whose certificates are all gone is as sick as can be.
        if inventory.is_empty() && inventory.node().components().is_empty() {
            return Err(nothing_there(&node, &snapshot));
        }
        let (seen, looked) = observe(&node, &snapshot, &inventory, self.no_probe, &self.runtime)?;
        let policy = self.policy();
        let mut patient = patient((None, &inventory), &seen, looked, (policy, now));
        patient.cases = narrow(patient.cases, is_wanted);
        Ok(Consultation { now, policy, patients: vec![patient], fleet: Vec::new() })
    }

    /// Looks at nodes whose snapshots were taken before, each by its own clock.
    fn of_snapshots(&self, is_wanted: &dyn Fn(&Case) -> bool) -> Result<Consultation, CommandError> {
        let mut nodes: Vec<NodeArchive> =
            self.snapshots.iter().map(|file| archive::read(file)).collect::<Result<_, _>>()?;
        super::refuse_namesakes(nodes.iter().map(|node| node.name.as_str()))?;
        name_by_certificates(&mut nodes);
        let latest = nodes.iter().map(|node| node.taken_at).max();
        let now = self.at.or(latest).unwrap_or_else(kubecerts_host::now);
        let policy = self.policy();
        let looked_at = |node: &NodeArchive| {
            let seen = if self.no_probe { &Observations::none() } else { &node.observations };
            let looked = match (self.no_probe, *seen == Observations::none()) {
                (true, _) => Looked::AsAsked,
                (false, true) => Looked::Elsewhere,
                (false, false) => Looked::WhenTaken,
            };
            let at = self.at.unwrap_or(node.taken_at);
            patient((Some(&node.name), &node.inventory), seen, looked, (policy, at))
        };
        let mut patients: Vec<Patient> = nodes.iter().map(looked_at).collect();
        let members: Vec<Member<'_>> =
            nodes.iter().map(|node| Member::new(&node.name, &node.inventory)).collect();
        let mut told: Vec<NodeCases> = nodes
            .iter()
            .zip(&mut patients)
            .map(|(node, patient)| NodeCases::new(node.name.clone(), std::mem::take(&mut patient.cases)))
            .collect();
        let fleet = between(fleet::compare(&members, policy, now), &mut told);
        let fleet = fleet.into_iter().flat_map(|case| FleetCase::narrowed(case, is_wanted)).collect();
        for (patient, told) in patients.iter_mut().zip(told) {
            let left = told.cases.iter().map(|case| case.findings().count()).sum();
            patient.elsewhere = patient.found - left;
            patient.found = left;
            patient.cases = narrow(told.cases, is_wanted);
        }
        Ok(Consultation { now, policy, patients, fleet })
    }

    fn policy(&self) -> Policy {
        let mut policy = Policy::with_window(self.window.within);
        if self.at.is_some() {
            policy.clock = Clock::Assumed;
        }
        policy
    }
}

/// Gives nodes that were not known by a name when their snapshots were taken the names in their certificates, unless another node
/// has that name.
fn name_by_certificates(nodes: &mut [NodeArchive]) {
    for position in 0..nodes.len() {
        if nodes[position].name != archive::UNKNOWN {
            continue;
        }
        if let Some(name) = name_of(&nodes[position].inventory)
            && nodes.iter().all(|other| other.name != name)
        {
            nodes[position].name = name;
        }
    }
}

/// Returns the node's name: what its files state, or its certificates.
fn name_of(inventory: &Inventory) -> Option<String> {
    let stated = inventory.node().node_name().map(|name| name.value.clone());
    stated.or_else(|| node_name(inventory).map(|name| name.to_string()))
}

/// Diagnoses a node.
fn patient(
    (name, inventory): (Option<&str>, &Inventory),
    seen: &Observations,
    looked: Looked,
    (policy, now): (Policy, Timestamp),
) -> Patient {
    let diagnosis = diagnose(inventory, seen, policy, now);
    Patient {
        // Between the nodes it is called as its snapshot is.
        name: name.map(str::to_owned).or_else(|| name_of(inventory)),
        at: now,
        version: inventory.node().version(),
        examined: Examined::of(inventory, seen),
        looked,
        found: diagnosis.findings().len(),
        elsewhere: 0,
        cases: cases(&diagnosis, inventory, seen),
    }
}

/// Looks at what runs, if the node is this host.
fn observe(
    node: &Node,
    snapshot: &Snapshot,
    inventory: &Inventory,
    no_probe: bool,
    runtime: &RuntimeArgs,
) -> Result<(Observations, Looked), CommandError> {
    if no_probe {
        return Ok((Observations::none(), Looked::AsAsked));
    }
    if !node.is_this_host() {
        return Ok((Observations::none(), Looked::Elsewhere));
    }
    let mut plant = runtime.plant(node, snapshot)?;
    Ok((plant.observe(&inventory.components().collect()), Looked::AtPrograms))
}

fn parse(text: &str) -> Result<FindingCode, CommandError> {
    text.trim().parse().map_err(|error: kubecerts_core::diagnosis::UnknownCode| {
        let close: Vec<&str> = FindingCode::close_to(text).into_iter().map(FindingCode::name).collect();
        let names = match close.as_slice() {
            [] => FindingCode::ALL.map(FindingCode::name).join(", "),
            close => close.join(", "),
        };
        let are = if close.is_empty() { "the codes are" } else { "there is" };
        CommandError::usage(error.to_string()).with_hint(format!("{are}: {names}"))
    })
}

impl Level {
    const fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Notice => Severity::Notice,
        }
    }
}

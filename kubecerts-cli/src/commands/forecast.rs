//! `kubecerts forecast`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use kubecerts_core::catalog::Component;
use kubecerts_core::diagnosis::{Clock, Impact, Policy, diagnose};
use kubecerts_core::forecast::forecast;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_host::archive::{self, NodeArchive};
use kubecerts_host::probe::Probe as _;

use super::live::RuntimeArgs;
use super::scan;
use crate::args::{NodeArgs, quoted, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{calendar, forecast as words};

/// Show what breaks, when, and in which order, if nobody acts.
///
/// Puts the end of every certificate and authority beside what depends on it: who loses what, and what follows from that. What is broken
/// already comes first, in the order in which it broke. What the kubelet renews by itself is told only when it cannot.
///
/// Given the snapshot of a node, it tells that node's, as of the moment when it was taken.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  kubecerts forecast
  kubecerts forecast cp-1.tar
  kubecerts forecast -o ical --until 1y cp-1.tar > cp-1.ics")]
pub(crate) struct Args {
    /// A snapshot that `kubecerts snapshot` has taken, in place of the node at hand.
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<PathBuf>,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// See it from this moment, in RFC 3339, instead of now, or instead of when the snapshot was taken.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    /// Tell what breaks within this span, or up to this moment, and nothing later [default: everything].
    #[arg(long, value_name = "SPAN|RFC3339")]
    until: Option<Until>,

    /// Look at running programs too, or at what a snapshot has of them: what they have in memory may end before what is on disk.
    #[arg(long)]
    running: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// One line for each event.
    Text,
    /// JSON, see `kubecerts schema forecast`.
    Json,
    /// A calendar in iCalendar (RFC 5545) of what is to come, with alarms two weeks and a day before.
    Ical,
}

/// How far to look ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Until {
    Span(Seconds),
    Moment(Timestamp),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = || text.parse().map(Self::Moment);
        text.parse().map(Self::Span).or_else(|_| moment()).map_err(
            |_: kubecerts_core::time::InvalidTimestamp| {
                "it is neither a span of time, such as 90d, nor a time in RFC 3339".to_owned()
            },
        )
    }
}

impl Until {
    const fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Span(span) => now.plus(span),
            Self::Moment(moment) => moment,
        }
    }
}

/// Whose future it is, and what is known of it.
struct Subject {
    name: Option<String>,
    inventory: Inventory,
    observations: Observations,
    /// The moment from which it is seen.
    now: Timestamp,
    /// What tells what is wrong already.
    diagnosis: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { snapshots, output: form, at, until, .. } = args;
    let subject = match snapshots.as_slice() {
        [] => args.this_node(output)?,
        [file] => args.of_snapshot(file, output)?,
        [first, ..] => {
            return Err(CommandError::usage("a forecast is that of one node").with_hint(format!(
                "give one snapshot at a time: kubecerts forecast {}",
                quoted(&first.display().to_string())
            )));
        }
    };
    let Subject { name, inventory, observations, now, diagnosis: command } = subject;
    let until = until.map(|until| until.from(now));
    let future = forecast(&inventory, &observations, now);
    let mut policy = Policy::default();
    if at.is_some() {
        policy.clock = Clock::Assumed;
    }
    let diagnosis = diagnose(&inventory, &observations, policy, now);
    let name = name.as_deref();
    match form {
        Form::Text => output.data(&words::text(&future, until)),
        Form::Json => output.data(&words::document(&future, until, name, &diagnosis).to_json()),
        Form::Ical => output.data(&calendar::calendar(&future, until, name, kubecerts_host::now())),
    }
    let exit = match diagnosis.impact() {
        // That something will be due is what a forecast is for.
        Impact::None | Impact::Due => Exit::Fine,
        impact => Exit::of_impact(impact),
    };
    if exit != Exit::Fine {
        output.hint(&format!("what is wrong already, and what mends it: {command}"));
    }
    Ok(exit)
}

impl Args {
    fn this_node(&self, output: &mut Output) -> Result<Subject, CommandError> {
        let whereabouts = self.node.whereabouts();
        let node = self.node.open()?;
        super::mention_interrupted(&node, &whereabouts, output);
        let (snapshot, inventory) = scan(&node)?;
        let observations = if self.running {
            let components: BTreeSet<Component> = inventory.components().collect();
            self.runtime.plant(&node, &snapshot)?.observe(&components)
        } else {
            Observations::none()
        };
        Ok(Subject {
            name: inventory.node().node_name().map(|name| name.value.clone()),
            inventory,
            observations,
            now: self.at.unwrap_or_else(kubecerts_host::now),
            diagnosis: format!("kubecerts check{}", whereabouts.options),
        })
    }

    /// Looks at a node whose snapshot was taken before, by its own clock.
    fn of_snapshot(&self, file: &Path, output: &mut Output) -> Result<Subject, CommandError> {
        let NodeArchive { name, taken_at, inventory, observations, .. } = archive::read(file)?;
        let now = self.at.unwrap_or(taken_at);
        output.note(&format!("{name}, seen from {now}; the snapshot was taken {taken_at}"));
        if self.running && observations == Observations::none() {
            output.warning("the snapshot has nothing of running programs, so only its files are looked at");
        }
        let observations = if self.running { observations } else { Observations::none() };
        let diagnosis = format!("kubecerts doctor {}", quoted(&file.display().to_string()));
        Ok(Subject { name: Some(name), inventory, observations, now, diagnosis })
    }
}

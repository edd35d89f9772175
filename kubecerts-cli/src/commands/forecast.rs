//! `kubecerts forecast`

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::ValueEnum;
use kubecerts_core::catalog::Component;
use kubecerts_core::diagnosis::{Clock, Impact, Policy, diagnose};
use kubecerts_core::forecast::forecast;
use kubecerts_core::observation::Observations;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_host::probe::Probe as _;

use super::live::RuntimeArgs;
use super::scan;
use crate::args::{NodeArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{calendar, forecast as words};

/// Show what breaks, when, and in which order, if nobody acts.
///
/// Puts the end of every certificate and authority beside what depends on it: who loses what, and what follows from that. What is broken
/// already comes first, in the order in which it broke. What the kubelet renews by itself is told only when it cannot.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// See it from this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    /// Tell what breaks within this span, or up to this moment, and nothing later [default: everything].
    #[arg(long, value_name = "SPAN|RFC3339")]
    until: Option<Until>,

    /// Look at running programs too: what they have in memory may end before what is on disk.
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

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { output: form, at, until, running, runtime, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    super::mention_interrupted(&node, &whereabouts, output);
    let (snapshot, inventory) = scan(&node)?;
    let observations = if *running {
        let components: BTreeSet<Component> = inventory.components().collect();
        runtime.plant(&node, &snapshot)?.observe(&components)
    } else {
        Observations::none()
    };
    let now = at.unwrap_or_else(kubecerts_host::now);
    let until = until.map(|until| until.from(now));
    let future = forecast(&inventory, &observations, now);
    let mut policy = Policy::default();
    if at.is_some() {
        policy.clock = Clock::Assumed;
    }
    let diagnosis = diagnose(&inventory, &observations, policy, now);
    let name = inventory.node().node_name().map(|name| name.value.as_str());
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
        output.hint(&format!(
            "what is wrong already, and what mends it: kubecerts check{}",
            whereabouts.options
        ));
    }
    Ok(exit)
}

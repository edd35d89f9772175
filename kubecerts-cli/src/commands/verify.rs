//! `kubecerts verify`

use std::collections::BTreeSet;

use kubecerts_core::catalog::Component;
use kubecerts_core::diagnosis::{Impact, Policy, diagnose};
use kubecerts_core::inventory::rotation;
use kubecerts_core::observation::usages;
use kubecerts_core::time::Seconds;
use kubecerts_host::probe::Probe as _;

use super::live::{self, RuntimeArgs};
use super::scan;
use crate::args::{Form, NodeArgs};
use crate::error::{CommandError, remedy};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, usage};

/// Prove that running programs use what is on disk.
///
/// Shakes hands with every TLS endpoint of the manifests, asks for health, and compares when each program was started with when its
/// files were changed. A served serial number proves a serving certificate, of the API server and of etcd; that a program was
/// started after its kubeconfig was written proves everything else. Changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look again until everything is in use, or the time is over.
    #[arg(long)]
    watch: bool,

    /// How long to watch.
    #[arg(long, value_name = "SPAN", default_value = "6m")]
    timeout: Seconds,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { watch, timeout, output: form, runtime, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    super::mention_interrupted(&node, &whereabouts, output);
    let (snapshot, inventory) = scan(&node)?;
    let mut plant = runtime.plant(&node, &snapshot)?;
    let components: BTreeSet<Component> = inventory.components().collect();
    let seen = if *watch {
        live::wait(&components, &inventory, live::span(*timeout), &mut plant, output)
    } else {
        plant.observe(&components)
    };
    // While it watched, somebody may have renewed something.
    let inventory = if *watch { scan(&node)?.1 } else { inventory };
    let usages = usages(&inventory, &seen);
    let rotation = rotation(inventory.node());
    let now = kubecerts_host::now();
    let all = diagnose(&inventory, &seen, Policy::default(), now);
    // What is due or damaged on disk is the business of `check`.
    let running: Vec<_> = all.findings().iter().filter(|finding| finding.code.is_of_running()).collect();
    match form {
        Form::Text => {
            output.data(&usage::table(&usages, plant.runtime()));
            output.data(&usage::rotation(&rotation));
        }
        Form::Json => {
            output.data(
                &documents::verification(&usages, &seen, &running, plant.runtime(), now, &whereabouts)
                    .to_json(),
            );
        }
    }
    let mut hints = BTreeSet::new();
    if rotation.client.is_some_and(|setting| !setting.is_on) {
        let config = inventory.node().directories().kubelet.join("config.yaml");
        let config =
            config.map_or_else(|_| "the kubelet's configuration".to_owned(), |path| whereabouts.file(&path));
        output.warning("the kubelet does not rotate its client certificate, which ends one day for good");
        hints.insert(format!("say rotateCertificates: true in {config}, then: kubecerts restart kubelet"));
    }
    for finding in &running {
        output.warning(&finding.to_string());
        hints.extend(remedy(finding, &whereabouts));
    }
    hints.iter().for_each(|hint| output.hint(hint));
    let impact = running.iter().map(|finding| finding.impact).max().unwrap_or(Impact::None);
    let unsettled = !live::is_settled(&components, &inventory, &seen);
    Ok(match Exit::of_impact(impact) {
        Exit::Fine if unsettled => Exit::Incomplete,
        exit => exit,
    })
}

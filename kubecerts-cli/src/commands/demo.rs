//! `kubecerts demo`

use std::net::IpAddr;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::diagnosis::{Impact, Policy, diagnose};
use kubecerts_core::inventory::{ChainFact, Inventory};
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{ClusterIntent, DEFAULT_LIFETIME, PlanRequest, create, plan};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::{Node, NodeOptions, SystemEntropy, apply, make_directories, new_scratch_directory};

use super::renew::sign;
use crate::args::Whereabouts;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{table, text};

/// Make a kubeadm tree whose certificates have expired, and renew it, in a temporary directory.
///
/// Needs no cluster and no root rights, and touches nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The algorithm of all keys: RSA-2048, RSA-3072, RSA-4096, ECDSA-P256 or ECDSA-P384.
    #[arg(long, value_name = "ALGORITHM", default_value = "RSA-2048")]
    algorithm: KeyAlgorithm,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let now = kubecerts_host::now();
    let mut entropy = SystemEntropy::new();
    let directory = new_scratch_directory("kubecerts-demo", &mut entropy)?;
    let root = directory.display();
    let whereabouts = Whereabouts { options: format!(" --rootfs {root}"), root: Some(directory.clone()) };

    let mut intent =
        ClusterIntent::new("cp-1".parse().expect("it is a node's name"), IpAddr::from([192, 168, 10, 11]));
    intent.algorithm = args.algorithm;
    // A cluster that was made a year and a day ago and never touched since.
    let made = now.minus(Seconds(DEFAULT_LIFETIME.0 + Seconds::from_days(1).0));
    output.data(&text::heading(&format!("A control plane made {made}, in {root}")));
    let mut options = NodeOptions::default();
    options.root = Some(directory.clone());
    let node = Node::open(options)?;
    let nothing = node.scan()?;
    let creation = create(&intent, made, &mut entropy)?;
    let changes = sign(&creation, &nothing)?;
    make_directories(&changes, &directory)?;
    let report = apply(&changes, &node, &mut entropy, &mut |_| {})?;
    output.data(&format!("{} files were written, as kubeadm init writes them\n", report.written.len()));

    output.data(&text::heading(&format!("kubecerts check --rootfs {root}")));
    let snapshot = node.scan()?;
    let inventory = check(&snapshot, output, now, &whereabouts);

    output.data(&text::heading(&format!("kubecerts plan --rootfs {root}")));
    let renewal = plan(&inventory, &PlanRequest::default(), now, &mut entropy)?;
    output.data(&text::plan(&renewal, &inventory));

    output.data(&text::heading(&format!("kubecerts renew --yes --rootfs {root}")));
    let changes = sign(&renewal, &snapshot)?;
    let report = apply(&changes, &node, &mut entropy, &mut |_| {})?;
    output.data(&text::renewed(&renewal, &report));

    output.data(&text::heading(&format!("kubecerts check --rootfs {root}")));
    let inventory = check(&node.scan()?, output, now, &whereabouts);

    output.data(&text::heading("Every chain"));
    for step in renewal.steps() {
        let credential = inventory.credential(step.slot());
        let chain = credential.and_then(|credential| credential.chain());
        let key = credential.and_then(|credential| credential.key_matches());
        let (Some(ChainFact::Signed(ca)), Some(true)) = (chain, key) else {
            return Err(CommandError::failed(format!("{} in {root} is not what was issued", step.slot())));
        };
        output.data(&format!("{:<26} signed by {:<16} key matches\n", step.slot().name(), CaSlot::name(*ca)));
    }
    let impact = diagnose(&inventory, &Observations::none(), Policy::default(), now).impact();
    if impact > Impact::None {
        return Err(CommandError::failed(format!("the renewed tree in {root} is not healthy")));
    }
    output.data(&format!("\nThe tree is still there: {root}\n"));
    output.hint(&format!("look around with: kubecerts check -o wide --rootfs {root}"));
    Ok(Exit::Fine)
}

fn check(snapshot: &Snapshot, output: &mut Output, now: Timestamp, whereabouts: &Whereabouts) -> Inventory {
    let inventory = Inventory::parse(snapshot);
    let diagnosis = diagnose(&inventory, &Observations::none(), Policy::default(), now);
    output.data(&table::check(&inventory, &diagnosis, table::Width::Normal, whereabouts));
    inventory
}

//! Prints when every certificate of a control-plane node ends, and what is wrong with the tree.
//!
//! ```text
//! cargo run -p kubecerts-examples --example inspect_tree [DIR]
//! ```
//!
//! `DIR` is the directory that is the node's `/`: a mounted disk, an unpacked backup, or `/` itself. Without it a tree
//! is made in a temporary directory, 350 days old, so that there is something to find. Nothing is ever changed in `DIR`.

#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kubecerts_core::diagnosis::{FindingCode, Policy, diagnose};
use kubecerts_core::inventory::{ExpirationRow, Inventory, RowState};
use kubecerts_core::issue::issue;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{ClusterIntent, create};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::crypto::Provider;
use kubecerts_host::{Node, NodeOptions, SystemEntropy, apply, make_directories, new_scratch_directory};

fn main() -> Result<(), Box<dyn Error>> {
    // The clock is read once, here. The library takes the moment as an argument, so that one answer is about one moment.
    let now = kubecerts_host::now();
    match std::env::args_os().nth(1) {
        Some(directory) => inspect(&PathBuf::from(directory), now).map(drop),
        None => {
            let directory = new_scratch_directory("kubecerts-inspect", &mut SystemEntropy::new())?;
            make_tree(&directory, now.minus(Seconds::from_days(350)))?;
            let due = inspect(&directory, now)?;
            std::fs::remove_dir_all(&directory)?;
            // Seven leaves and five kubeconfigs, each valid for 365 days, of which 350 have passed.
            assert_eq!(due, 12, "the demonstration tree has twelve certificates that end soon");
            println!("the demonstration tree was read, and all {due} certificates that end soon were found");
            Ok(())
        }
    }
}

/// Prints everything about the node whose `/` is `directory`, and returns how many certificates end soon.
fn inspect(directory: &Path, now: Timestamp) -> Result<usize, Box<dyn Error>> {
    let mut options = NodeOptions::default();
    options.root = Some(directory.to_owned());

    // A snapshot holds private keys. The inventory does not: from here on everything may be logged.
    let inventory = Inventory::parse(&Node::open(options)?.scan()?);

    println!("{:<28} {:<28} {:>6}", "CERTIFICATE", "VALID UNTIL", "DAYS");
    for row in inventory.authority_expirations().into_iter().chain(inventory.expirations()) {
        let ExpirationRow { place, certificate, externally_managed, .. } = row;
        let place = place.to_string();
        match certificate {
            RowState::Present(certificate) => {
                let days = certificate.not_after().since(now).days();
                let whose = if externally_managed { " (signed elsewhere)" } else { "" };
                println!("{place:<28} {:<28} {days:>6}{whose}", certificate.not_after().to_string());
            }
            RowState::Missing => println!("{place:<28} is missing"),
            RowState::Unusable(reason) => println!("{place:<28} {reason}"),
        }
    }

    // Damage is a finding and never an error: a tree in ruins can be inspected too.
    let diagnosis = diagnose(&inventory, &Observations::none(), Policy::default(), now);
    println!("\n{} findings, the severe first:", diagnosis.findings().len());
    for finding in diagnosis.findings() {
        println!("{:<8} {:<22} {finding}", finding.severity.name(), finding.code.name());
    }
    println!();
    Ok(diagnosis.findings().iter().filter(|finding| finding.code == FindingCode::ExpiresSoon).count())
}

/// Makes a tree below `directory`, as `kubeadm init` would have made it at `made`.
fn make_tree(directory: &Path, made: Timestamp) -> Result<(), Box<dyn Error>> {
    let mut entropy = SystemEntropy::new();
    let mut intent = ClusterIntent::new("cp-1".parse()?, IpAddr::from([192, 168, 10, 11]));
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    let mut options = NodeOptions::default();
    options.root = Some(directory.to_owned());
    let node = Node::open(options)?;

    // Decide, then issue, then write: the same three steps as for a renewal.
    let plan = create(&intent, made, &mut entropy)?;
    let changes = issue(&plan, &node.scan()?, &mut Provider::default())?;
    make_directories(&changes, directory)?;
    let report = apply(&changes, &node, &mut entropy, &mut |_| {})?;
    println!("made {} files below {}\n", report.written.len(), directory.display());
    Ok(())
}

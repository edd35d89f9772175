//! Plans the renewal of a tree and prints the plan: every step, and what is left out and why.
//!
//! ```text
//! cargo run -p kubecerts-examples --example plan_renewal [DIR]
//! ```
//!
//! `DIR` is the directory that is the node's `/`. Without it the tree is made in memory, for which `kubecerts-core` and
//! a random source are enough: this is how an operator or a CI check that gets its files from somewhere else would do
//! it. Nothing is written in either case. A plan is public data, to be read, reviewed, stored and applied later.

#![expect(clippy::print_stdout, reason = "an example shows what it plans")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{ClusterIntent, Plan, PlanRequest, Selection, create, plan};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileMeta, FileState, ScanRequest, TreeReader, collect};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::crypto::Provider;
use kubecerts_host::{Node, NodeOptions, SystemEntropy};

fn main() -> Result<(), Box<dyn Error>> {
    let now = kubecerts_host::now();
    let snapshot = match std::env::args_os().nth(1) {
        Some(directory) => {
            let mut options = NodeOptions::default();
            options.root = Some(PathBuf::from(directory));
            Node::open(options)?.scan()?
        }
        None => {
            let mut files = Files::new_cluster(now.minus(Seconds::from_days(340)))?;
            collect(&mut files, ScanRequest::default())
        }
    };
    let inventory = Inventory::parse(&snapshot);

    // Everything that `kubeadm certs renew all` renews. The default is only what is due.
    let request = PlanRequest::with_selection(Selection::All);
    let plan = plan(&inventory, &request, now, &mut SystemEntropy::new())?;
    print(&plan, &inventory);
    println!("\n{}", plan.to_json());

    // Read again, the document is the same plan: nothing is lost by storing it.
    assert_eq!(Plan::from_json(&plan.to_json())?, plan);
    let (steps, deferred) = (plan.steps().len(), plan.deferred().len());
    println!("planned {steps} renewals, left out {deferred}; nothing was written");
    Ok(())
}

fn print(plan: &Plan, inventory: &Inventory) {
    let layout = inventory.node().layout();
    for step in plan.steps() {
        println!("{}", step.slot());
        if let (Some(spec), Some(old)) = (step.certificate(), step.replaced()) {
            println!("  valid until {} instead of {}", spec.validity.not_after(), old.not_after);
        }
        for write in step.writes() {
            println!("  writes {}, mode {:04o}", layout.path(write.file()), write.mode());
        }
        for note in step.notes() {
            println!("  {note}");
        }
    }
    println!("\nnot planned:");
    for deferred in plan.deferred() {
        println!("  {}: {} [{}]", deferred.slot(), deferred.reason(), deferred.reason().name());
    }
    println!("\nto restart afterwards:");
    for restart in plan.restarts() {
        println!("  {}", restart.component.name());
    }
}

/// A node's files in memory: content and mode by path. They hold keys, so there is no `Debug`.
#[derive(Default)]
struct Files(BTreeMap<TreePath, (SecretBytes, u32)>);

impl Files {
    /// Makes a cluster whose front proxy is signed elsewhere: its certificate is in the tree and its key is not.
    fn new_cluster(made: Timestamp) -> Result<Self, Box<dyn Error>> {
        let mut intent = ClusterIntent::new("cp-1".parse()?, IpAddr::from([192, 168, 10, 11]));
        intent.algorithm = KeyAlgorithm::EcdsaP256;
        let mut files = Self::default();
        let nothing = collect(&mut files, ScanRequest::default());
        let plan = create(&intent, made, &mut SystemEntropy::new())?;
        let changes = issue(&plan, &nothing, &mut Provider::default())?;
        for change in changes.changes() {
            if change.file() != FileSlot::CaKey(CaSlot::FrontProxy) {
                let content = SecretBytes::new(change.secret_bytes().to_vec());
                files.0.insert(change.path().clone(), (content, change.mode()));
            }
        }
        Ok(files)
    }
}

/// All that the library asks of a place where files are kept.
impl TreeReader for Files {
    fn read(&mut self, path: &TreePath) -> FileState {
        let Some((content, mode)) = self.0.get(path) else { return FileState::Absent };
        let content = SecretBytes::new(content.secret_bytes().to_vec());
        FileState::Present(FileContent::new(content, FileMeta::with_mode(*mode)))
    }

    fn list(&mut self, directory: &TreePath) -> Vec<TreePath> {
        self.0.keys().filter(|path| path.parent() == *directory).cloned().collect()
    }
}

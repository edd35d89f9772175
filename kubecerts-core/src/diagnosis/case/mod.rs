//! Findings put into relation: what causes what, how it is proved, what comes of it, and what to do first.
//!
//! [`cases`] takes a [`Diagnosis`] apart into [`Case`]s. Every finding is in exactly one place: at the top when nothing else
//! explains it, and otherwise below its cause. What is at the top is sorted by what to do first:
//!
//! 1. the clock, by which everything else is judged, then manifests and configurations, which say where everything lies;
//! 2. errors: files that are damaged or missing, authorities, certificates in the order in which programs need them (etcd, the API
//!    server, its clients, the kubelet, copies), what programs have in memory, and what does not run for no reason known here;
//! 3. warnings, and then notices, in the same order.
//!
//! A case is as grave as the gravest finding in it: what is only a warning where it stands may have brought a program down.

mod between;
mod cause;
mod consequence;
mod examined;
mod order;
mod proof;

use super::{Diagnosis, Finding, Impact, Severity};
use crate::catalog::{FileSlot, Slot};
use crate::inventory::{FileFacts, Inventory, Place};
use crate::observation::Observations;
use crate::path::TreePath;
use crate::plan::node_name;
use crate::time::Timestamp;
use crate::x509::Certificate;

pub use between::{FleetCase, NodeCases, between};
pub use examined::Examined;

/// Returns the findings of `diagnosis` with their proofs and consequences, each below what causes it, sorted by what to do first.
///
/// `inventory` and `observations` are those that were diagnosed.
///
/// # Panics
/// Never: what explains a finding sorts before it.
///
/// ```
/// # use kubecerts_core::diagnosis::{Policy, cases, diagnose};
/// # use kubecerts_core::observation::Observations;
/// # use kubecerts_testkit::{TreeBuilder, at};
/// let (inventory, seen) = (TreeBuilder::kubeadm().build().inventory(), Observations::none());
/// let diagnosis = diagnose(&inventory, &seen, Policy::default(), at("2027-01-02T00:00:00Z"));
/// for case in cases(&diagnosis, &inventory, &seen) {
///     println!("{}: {}", case.severity().name(), case.finding);
/// }
/// ```
#[must_use]
pub fn cases(diagnosis: &Diagnosis, inventory: &Inventory, observations: &Observations) -> Vec<Case> {
    let view = View::of(diagnosis, inventory, observations);
    let mut findings: Vec<&Finding> = diagnosis.findings().iter().collect();
    findings.sort_by_key(|finding| order::causal(finding));
    // A cause comes before what it causes, so what is below a case is complete before the case is moved.
    let causes: Vec<Option<usize>> = findings
        .iter()
        .enumerate()
        .map(|(position, effect)| {
            findings[..position].iter().position(|cause| cause::explains(cause, effect, &view))
        })
        .collect();
    let mut made: Vec<Option<Case>> = findings.iter().map(|finding| Some(view.case(finding))).collect();
    let mut roots = Vec::new();
    for (position, cause) in causes.iter().enumerate().rev() {
        let case = made[position].take().expect("a case is moved once");
        match cause {
            Some(cause) => {
                let above = made[*cause].as_mut().expect("a cause comes before what it causes");
                above.explains.insert(0, case);
            }
            None => roots.push(case),
        }
    }
    roots.sort_by_cached_key(order::urgency);
    roots
}

/// Returns those of `cases`, and of what they explain, that are wanted. What a case explains that is not wanted moves to its place.
///
/// What a case explains has been narrowed already when `is_wanted` sees the case.
#[must_use]
pub fn narrow(cases: Vec<Case>, is_wanted: &dyn Fn(&Case) -> bool) -> Vec<Case> {
    let mut kept = Vec::new();
    for mut case in cases {
        case.explains = narrow(case.explains, is_wanted);
        if is_wanted(&case) {
            kept.push(case);
        } else {
            kept.extend(case.explains);
        }
    }
    kept
}

/// A finding with its proof and its consequence, and the findings that it explains.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// What is wrong.
    pub finding: Finding,
    /// The bytes and facts that show it, one line each. Public data.
    pub proof: Vec<String>,
    /// What comes of it, in one sentence with the component, the node and, where it is known, the moment.
    pub consequence: Option<String>,
    /// What it is the cause of: that goes away with it, or cannot be mended before it.
    pub explains: Vec<Case>,
    /// The node that it was found on, below a cause between nodes.
    pub node: Option<String>,
}

impl Case {
    /// Returns the finding alone, with the consequence that it has on any node: for findings that are not of one node.
    #[must_use]
    pub fn of_fleet(finding: Finding) -> Self {
        let consequence = consequence::of_fleet(&finding);
        Self { finding, proof: Vec::new(), consequence, explains: Vec::new(), node: None }
    }

    /// Returns how grave the gravest finding of the case is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.findings().map(|finding| finding.severity).min().unwrap_or(self.finding.severity)
    }

    /// Returns the gravest impact of all findings of the case.
    #[must_use]
    pub fn impact(&self) -> Impact {
        self.findings().map(|finding| finding.impact).max().unwrap_or(Impact::None)
    }

    /// Returns the finding of the case and all that it explains.
    pub fn findings(&self) -> Box<dyn Iterator<Item = &Finding> + '_> {
        let below = self.explains.iter().flat_map(Self::findings);
        Box::new(std::iter::once(&self.finding).chain(below))
    }
}

/// What a finding is looked at with.
struct View<'a> {
    inventory: &'a Inventory,
    observations: &'a Observations,
    now: Timestamp,
    /// The node's name as a text can have it.
    node: String,
}

impl<'a> View<'a> {
    fn of(diagnosis: &Diagnosis, inventory: &'a Inventory, observations: &'a Observations) -> Self {
        let stated = inventory.node().node_name().map(|name| name.value.clone());
        let node = stated.or_else(|| node_name(inventory).map(|name| name.to_string()));
        let node = node.unwrap_or_else(|| "this node".to_owned());
        Self { inventory, observations, now: diagnosis.now(), node }
    }
}

impl View<'_> {
    fn case(&self, finding: &Finding) -> Case {
        Case {
            finding: finding.clone(),
            proof: proof::of(finding, self),
            consequence: consequence::of(finding, self),
            explains: Vec::new(),
            node: None,
        }
    }

    /// Returns what is known of the file at `path`.
    fn file(&self, path: &TreePath) -> Option<&FileFacts> {
        let of_tree = FileSlot::all().map(|file| self.inventory.file(file)).find(|facts| facts.path == *path);
        let of_credentials = || {
            let mut files = self.inventory.credentials().flat_map(|(_, credential)| {
                [credential.certificate_file(), credential.key_file()].into_iter()
            });
            files.find(|facts| facts.path == *path)
        };
        let around = || {
            let mut files = self.inventory.surroundings().certificates.iter().map(|found| &found.file);
            files.find(|facts| facts.path == *path)
        };
        of_tree.or_else(of_credentials).or_else(around)
    }

    /// Returns the certificate that is used at `place`.
    fn certificate(&self, place: &Place) -> Option<&Certificate> {
        match place {
            Place::Slot(Slot::Ca(ca)) => self.inventory.authority(*ca).signer(),
            place => {
                let mut credentials = self.inventory.credentials();
                credentials.find(|(known, _)| *known == place)?.1.leaf()
            }
        }
    }
}

#[cfg(test)]
mod tests;

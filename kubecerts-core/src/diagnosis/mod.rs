//! What is wrong: findings about an [`Inventory`], and about what was seen of running programs, at a moment.
//!
//! One pure function per check, in the modules below; each finding has a [`FindingCode`], a [`Severity`], the place it is about,
//! one line of text and a [`Remedy`] as data. Nothing here fixes anything, and nothing fails: a tree that cannot be
//! read gives findings.

mod admin;
mod algorithms;
mod around;
mod authority;
mod case;
mod checks;
mod clock;
mod code;
mod flags;
mod manifests;
mod names;
mod node;
mod owner;
mod running;
mod siblings;
mod trust;
mod wiring;

use std::fmt;

use crate::catalog::{CaSlot, Component, FileSlot, Slot};
use crate::inventory::{Inventory, Place};
use crate::observation::Observations;
use crate::path::TreePath;
use crate::time::{Seconds, Timestamp};
use crate::x509::AlternativeName;

pub(crate) use around::replacement;
pub use case::{Case, Examined, FleetCase, NodeCases, between, cases, narrow};
pub use code::{FindingCode, Impact, Severity, UnknownCode};

/// Certificates that end within this span are due: 30 days, so that a monthly look cannot miss one.
pub const DEFAULT_WINDOW: Seconds = Seconds::from_days(30);

/// Returns what is wrong with `inventory` and with the programs that were seen to run, at `now`, given what counts as wrong.
///
/// What was not observed is not judged: with [`Observations::none`] only the files are.
///
/// Findings are sorted: the severe first, then by place and code.
#[must_use]
pub fn diagnose(
    inventory: &Inventory,
    observations: &Observations,
    policy: Policy,
    now: Timestamp,
) -> Diagnosis {
    let context = checks::Context { inventory, observations, policy, now };
    let mut findings = Vec::new();
    let facts = checks::ALL.into_iter().chain(running::ALL).chain(wiring::ALL).chain(around::ALL);
    for check in facts.chain(CAUSES) {
        check(&context, &mut findings);
    }
    // What lies in somebody's home decides nothing about the node.
    for finding in findings.iter_mut().filter(|finding| matches!(finding.place, Some(Place::Copy(_)))) {
        finding.severity = finding.severity.max(Severity::Warning);
        finding.impact = Impact::None;
    }
    findings.sort();
    Diagnosis { findings, now, policy }
}

/// The checks that look at the tree as a whole, after all others. What such a finding explains at a place is left out there, and
/// what has a graver finding already is not found again; so their order matters.
const CAUSES: [checks::Check; 11] = [
    clock::skew,
    authority::replaced,
    authority::reused,
    node::foreign,
    manifests::front_proxy,
    manifests::token_keys,
    owner::owners,
    algorithms::weak,
    admin::admin,
    siblings::parameters,
    siblings::ends,
];

/// Whether the moment of a diagnosis is what the node's clock says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "somebody's clock says it, or somebody asks what would be")]
pub enum Clock {
    /// It is, so a moment that contradicts the tree is the clock's fault.
    #[default]
    Node,
    /// It was asked for, and says nothing about any clock.
    Assumed,
}

/// What counts as wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// How long before its end a certificate is due; [`DEFAULT_WINDOW`] by default.
    pub window: Seconds,
    /// How long renewed certificates will be valid, to warn of authorities that end sooner; one year by default.
    pub lifetime: Seconds,
    /// Whether the moment is what the node's clock says; it is by default.
    pub clock: Clock,
}

impl Default for Policy {
    fn default() -> Self {
        Self { window: DEFAULT_WINDOW, lifetime: crate::plan::DEFAULT_LIFETIME, clock: Clock::Node }
    }
}

impl Policy {
    /// Returns the default policy with another window.
    #[must_use]
    pub fn with_window(window: Seconds) -> Self {
        Self { window, ..Self::default() }
    }
}

/// Everything that is wrong at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis {
    findings: Vec<Finding>,
    now: Timestamp,
    policy: Policy,
}

impl Diagnosis {
    /// Returns the findings, the severe first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the moment of the diagnosis.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns what counted as wrong.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns the gravest impact of all findings.
    #[must_use]
    pub fn impact(&self) -> Impact {
        self.findings.iter().map(|finding| finding.impact).max().unwrap_or(Impact::None)
    }

    /// Returns the findings about `slot`.
    pub fn about(&self, slot: Slot) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.place == Some(Place::Slot(slot)))
    }
}

/// One thing that is wrong.
///
/// The order of the fields is the order of findings.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about; `None` for the node as a whole.
    pub place: Option<Place>,
    /// Which check found it.
    pub code: FindingCode,
    /// What it does to the health of the tree as a whole.
    pub impact: Impact,
    /// The file that shows it, when there is one.
    pub path: Option<TreePath>,
    /// One line: what is wrong, with the values.
    pub message: String,
    /// What would mend it.
    pub remedy: Remedy,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// What would mend a finding, as data; the words are the front end's.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Remedy {
    /// Renew this certificate.
    Renew(Slot),
    /// Renew this certificate with these names too.
    AddNames(Slot, Vec<AlternativeName>),
    /// Give this authority a new certificate, which needs a rotation.
    RotateAuthority(CaSlot),
    /// Give this authority a new key, and everything that it has signed a new certificate.
    ReplaceKey(CaSlot),
    /// Have the certificate signed where this authority's key is.
    SignElsewhere(CaSlot),
    /// Put this file back from a backup, or from another control-plane node when all have it alike, or make it anew.
    Restore(FileSlot),
    /// Put both files of this pair back from a backup, or from another control-plane node.
    RestorePair(Slot),
    /// Put both files of this pair back from one of these nodes, make anew what it has not signed, and restart what has read the
    /// other pair.
    #[non_exhaustive]
    TakePair {
        /// The authority, or the service account pair.
        slot: Slot,
        /// The nodes that have the pair of the cluster.
        from: Vec<String>,
        /// What has to be renewed with it.
        reissue: Vec<Slot>,
    },
    /// Bring the node back as a whole, since certificates are over that nobody rotates: the key of the authority is here.
    Recover,
    /// Mend the cause first: this goes away with it.
    MendCause,
    /// Put earlier files back, the first one first: each from its place to where it belongs.
    CopyBack(Vec<(TreePath, TreePath)>),
    /// Put this file back from a backup.
    RestoreFile(TreePath),
    /// Make this file readable to the caller.
    GrantAccess(TreePath),
    /// Repair what stands at this path, or remove it.
    Repair(TreePath),
    /// Repair this manifest, or move it out of the directory of the manifests.
    RepairManifest(TreePath),
    /// Look at what this file holds.
    Inspect(TreePath),
    /// Give this file this mode.
    SetMode(TreePath, u32),
    /// Set the clock right.
    SetClock,
    /// Let kubelet.conf refer to the certificate that the kubelet rotates, which is here.
    ReferToRotatedCertificate(TreePath),
    /// Restart this program, so that it reads its files again.
    Restart(Component),
    /// Find out why this program is not well, and start it.
    Start(Component),
    /// Bring what this kubeconfig has of the tree's up to date, and change nothing else in it.
    RefreshCopy(TreePath),
    /// Replace this copy, and the key that belongs to it, by this file of the tree.
    #[non_exhaustive]
    ReplaceCopy {
        /// The copy.
        copy: TreePath,
        /// The file of the tree.
        source: TreePath,
    },
    /// Move this file or directory to where nobody takes it for what is in use.
    MoveAway(TreePath),
    /// Move these certificates, and the keys beside them, out of a directory of which other files are in use.
    MoveFilesAway(Vec<TreePath>),
    /// Let the kubelet's link point to this file.
    #[non_exhaustive]
    Relink {
        /// The link.
        link: TreePath,
        /// The file.
        target: TreePath,
        /// Whether there is a file where the link belongs, which may be needed again.
        is_file: bool,
    },
    /// Move the kubelet's certificate to a dated name, and let a link take its place.
    #[non_exhaustive]
    MoveAndLink {
        /// The file where the link belongs.
        file: TreePath,
        /// Its new name.
        target: TreePath,
    },
    /// Restart the pods of this node, so that they are given what is current.
    RestartPods,
    /// Let this timer, crontab or script restart one component of one node at a time.
    SpreadOut(TreePath),
    /// Let this kubeconfig trust the authority of the cluster, and change nothing else in it.
    SetAuthority(Place),
    /// Put the certificates of the authorities into the files that components are told to trust.
    UpdateTrust,
    /// Give this file this owner and this mode.
    #[non_exhaustive]
    SetOwner {
        /// The file.
        path: TreePath,
        /// The number of the user.
        uid: u32,
        /// The number of the group.
        gid: u32,
        /// The permission bits.
        mode: u32,
    },
    /// Give these flags these values in the manifest of the program.
    SetFlag(Component, Vec<(&'static str, String)>),
    /// Give this field this value in the configuration of the kubelet.
    SetField(&'static str, String),
    /// Leave one certificate of several in this file.
    #[non_exhaustive]
    KeepCertificate {
        /// The file.
        path: TreePath,
        /// Which one, counted from one.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Approve what the kubelet has asked for, a certificate to serve with.
    ApproveRequest,
    /// Make a credential that has its rights without any binding, should that be needed.
    BreakGlass,
    /// There is nothing to do.
    Nothing,
}

//! Whether a program uses what is on disk.

use std::fmt;

use super::{Observations, Run, RunSource};
use crate::catalog::{Component, FileSlot, Reload, Service, Slot};
use crate::inventory::{FileFacts, Inventory};
use crate::snapshot::Endpoint;
use crate::time::{Moment, Timestamp};
use crate::x509::{Certificate, SerialNumber};

/// Returns what every program of the node makes of every file with certificates that it loads, sorted by component and slot.
///
/// Programs without a manifest are left out, as long as there are manifests at all; the kubelet is never left out.
#[must_use]
pub fn usages(inventory: &Inventory, observations: &Observations) -> Vec<Usage> {
    let node = inventory.node();
    let mut usages = Vec::new();
    for component in inventory.components() {
        for (file, key) in Slot::ALL.into_iter().filter_map(files) {
            let Some(reload) = component.reload(file, node.version()) else { continue };
            if inventory.file(file).exists {
                usages.push(Look { component, file, key, reload, inventory, observations }.usage());
            }
        }
    }
    usages
}

/// What a program makes of a file that it loads.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// The program.
    pub component: Component,
    /// The file with the certificate; its key may lie in another one.
    pub file: FileSlot,
    /// Whether the program would pick up a change by itself.
    pub reload: Reload,
    /// The serial number of the certificate on disk, if there is one that can be read.
    pub on_disk: Option<SerialNumber>,
    /// When the certificate on disk ends.
    pub not_after: Option<Timestamp>,
    /// When file and key were last changed, a move to their place included.
    pub changed: Option<Moment>,
    /// The program that runs, the longest-running one if there are several.
    pub run: Option<Run>,
    /// The serial number of what is served, where this certificate is a serving one and was looked for.
    pub served: Option<SerialNumber>,
    /// The verdict.
    pub verdict: Verdict,
    /// What it stands on.
    pub proof: Proof,
}

impl Usage {
    /// Returns the artefact that the file belongs to.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.file.slot()
    }

    /// Returns whether no wait and no further look would change the verdict: the file is in use, or the program picks it up by
    /// itself and shows it to nobody.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.verdict {
            Verdict::InUse => true,
            Verdict::Stale => false,
            Verdict::Unknown => matches!(self.proof, Proof::PicksUpByItself),
        }
    }
}

/// Whether a program uses what is on disk.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "it does, it does not, or nobody knows")]
pub enum Verdict {
    /// It does, and there is a proof.
    InUse,
    /// It does not: it has something older in memory.
    Stale,
    /// There is no proof of either.
    Unknown,
}

impl Verdict {
    /// Returns the verdict in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::Stale => "stale in memory",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a verdict stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// The certificate on disk was served here.
    Served(Endpoint),
    /// Another certificate than the one on disk was served here.
    ServesAnother(Endpoint),
    /// This program was started after the file was last changed.
    StartedAfter(RunSource),
    /// This program was started before the file was last written.
    StartedBefore(RunSource),
    /// The file was written before this program was started and moved or touched after it.
    ChangedSince(RunSource),
    /// The program was started before, picks the file up by itself, and nobody can see that it has.
    PicksUpByItself,
    /// No such program was seen to run.
    NotRunning,
    /// It is not known when the program was started or the file was changed.
    NoTimes,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(endpoint) => write!(f, "served at {endpoint}"),
            Self::ServesAnother(endpoint) => write!(f, "another one is served at {endpoint}"),
            Self::StartedAfter(run) => write!(f, "{run} started after the file was changed"),
            Self::StartedBefore(run) => write!(f, "{run} started before the file was written"),
            Self::ChangedSince(run) => write!(f, "the file was moved or touched after {run} started"),
            Self::PicksUpByItself => {
                f.write_str("picked up without a restart, which cannot be seen from outside")
            }
            Self::NotRunning => f.write_str("no such program was seen"),
            Self::NoTimes => f.write_str("it is not known what came first, the program or the file"),
        }
    }
}

/// Returns the file with the certificate of `slot`, and that of its key when it is another one.
fn files(slot: Slot) -> Option<(FileSlot, Option<FileSlot>)> {
    match slot {
        Slot::Ca(ca) => Some((FileSlot::CaCertificate(ca), None)),
        Slot::Leaf(leaf) => Some((FileSlot::LeafCertificate(leaf), Some(FileSlot::LeafKey(leaf)))),
        Slot::Kubeconfig(kubeconfig) => Some((FileSlot::Kubeconfig(kubeconfig), None)),
        Slot::KubeletClient => Some((FileSlot::KubeletClient, None)),
        Slot::KubeletServing => {
            Some((FileSlot::KubeletServingCertificate, Some(FileSlot::KubeletServingKey)))
        }
        Slot::ServiceAccount => None,
    }
}

struct Look<'a> {
    component: Component,
    file: FileSlot,
    key: Option<FileSlot>,
    reload: Reload,
    inventory: &'a Inventory,
    observations: &'a Observations,
}

impl Look<'_> {
    fn usage(&self) -> Usage {
        let Self { component, file, reload, observations, .. } = *self;
        let certificate = self.certificate();
        let run = observations.runs_of(component).min_by_key(|run| run.started);
        let sighting = Service::serving(file).and_then(|service| observations.served(service));
        let served = sighting.and_then(|sighting| {
            Some((&sighting.endpoint, sighting.handshake.served()?.leaf.as_ref().ok()?))
        });
        let (verdict, proof) = match (served, certificate) {
            (Some((endpoint, served)), Some(certificate)) if served == certificate => {
                (Verdict::InUse, Proof::Served(endpoint.clone()))
            }
            (Some((endpoint, _)), Some(_)) => (Verdict::Stale, Proof::ServesAnother(endpoint.clone())),
            _ => self.by_start(run),
        };
        Usage {
            component,
            file,
            reload,
            on_disk: certificate.map(|certificate| certificate.serial().clone()),
            not_after: certificate.map(Certificate::not_after),
            changed: self.times().map(|(_, changed)| changed),
            run: run.cloned(),
            served: served.map(|(_, served)| served.serial().clone()),
            verdict,
            proof,
        }
    }

    fn certificate(&self) -> Option<&Certificate> {
        match self.file.slot() {
            Slot::Ca(ca) => Some(self.inventory.authority(ca).certificate().present()?.first()),
            slot => self.inventory.credential(slot)?.leaf(),
        }
    }

    /// Judges by what came first, the program or the file.
    fn by_start(&self, run: Option<&Run>) -> (Verdict, Proof) {
        let Some(run) = run else { return (Verdict::Unknown, Proof::NotRunning) };
        let (Some(started), Some((written, changed))) = (run.started, self.times()) else {
            return (Verdict::Unknown, Proof::NoTimes);
        };
        let source = run.source.clone();
        match self.reload {
            _ if started >= changed => (Verdict::InUse, Proof::StartedAfter(source)),
            Reload::ByItself => (Verdict::Unknown, Proof::PicksUpByItself),
            _ if started >= written => (Verdict::Unknown, Proof::ChangedSince(source)),
            Reload::NeedsRestart => (Verdict::Stale, Proof::StartedBefore(source)),
            Reload::Unknown => (Verdict::Unknown, Proof::StartedBefore(source)),
        }
    }

    /// Returns when the last of the files was written, and when the last of them was changed in any way.
    fn times(&self) -> Option<(Moment, Moment)> {
        let files = [Some(self.file), self.key].into_iter().flatten().map(|file| self.inventory.file(file));
        let times = files.filter(|facts| facts.exists).map(|facts: &FileFacts| {
            let meta = facts.meta.as_ref()?;
            let written = meta.modified?;
            Some((written, meta.changed.unwrap_or(written).max(written)))
        });
        times.reduce(|one, other| {
            let ((a, b), (c, d)) = (one?, other?);
            Some((a.max(c), b.max(d)))
        })?
    }
}

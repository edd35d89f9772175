//! What to do: which certificates to renew, exactly how, and what not and why.
//!
//! Input is an [`Inventory`] and a [`PlanRequest`]; output is a [`Plan`], immutable public data that decides everything
//! but key bits and signature bytes. Nothing here reads a clock, a file or a random source. The order of
//! [`Plan::steps`] is the order of [`Slot::ALL`], and of the writes; what was asked for and is not planned is in
//! [`Plan::deferred`] with its reason. A plan that comes from elsewhere is compared with the tree by [`Plan::review`], and
//! the clock by [`check_clock`], before anything is written.

mod clock;
mod create;
mod deferred;
#[cfg(feature = "serde")]
pub mod document;
mod extend;
mod initialise;
mod intent;
mod judge;
mod kubelet;
mod lifetime;
mod names;
mod nodes;
mod overrides;
mod policy;
mod renew;
mod review;
mod serial;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Reload, Slot};
use crate::diagnosis::DEFAULT_WINDOW;
use crate::inventory::{ChainFact, Custody, Inventory, KeyFacts, KubeconfigFacts, Trusting};
use crate::manifest::KubeadmConfig;
use crate::path::TreePath;
use crate::provider::{Entropy, ProviderError};
use crate::snapshot::{NodeFacts, ReadProblem};
use crate::time::{Seconds, Timestamp};
use crate::x509::SerialNumber;

pub(crate) use initialise::shared_files;
pub(crate) use intent::DEFAULT_PORT;
pub(crate) use kubelet::{
    KEY as KUBELET_KEY, purposes as kubelet_purposes, subject as kubelet_subject, usages_of as kubelet_usages,
};
pub(crate) use lifetime::{Question as LifetimeQuestion, decide as decide_lifetime, rounded, tolerance};
pub(crate) use names::successor as successor_names;
use renew::signer;
pub(crate) use renew::{is_due, signer as usable_signer};
pub(crate) use review::changed_names;

pub use clock::{CLOCK_TOLERANCE, ClockProblem, check_clock, check_clock_of};
pub use create::create;
pub use deferred::{AuthorityProblem, Deferred, NeededName, Reason};
pub use extend::{AUTHORITY_WINDOW, Authorities, DEFAULT_AUTHORITY_LIFETIME, ExtendRequest, extend, trust};
pub use initialise::{InitRequest, InitScope, Role, initialise};
pub use intent::{ClusterIntent, ControlPlaneEndpoint, EtcdIntent, IntentError, InvalidEndpoint};
pub use judge::{Contradiction, Difference};
pub use kubelet::node_name;
pub use lifetime::LifetimeSource;
pub use names::{
    ConfigurationEdit, ConfiguredNamesError, InvalidNameChange, NameChange, configured_names, has_names,
};
pub use nodes::{InvalidNodes, JoiningNode, JoiningNodeProblem, parse_nodes};
pub use overrides::{OverrideError, Overrides};
pub use policy::{LifetimePolicy, PolicyError, PolicyProblem};
pub use review::{Deviation, DeviationKind, Permission, ReviewError, UnknownPermission};
pub use step::{
    CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Note, Placement, Replaced, Step, Write,
};

/// How long a certificate is valid unless something else is asked for: 365 days, kubeadm's
/// `CertificateValidityPeriod` (`cmd/kubeadm/app/constants/constants.go`).
pub const DEFAULT_LIFETIME: Seconds = Seconds::from_days(365);

/// `not_before` is set this far back so that nodes with slow clocks accept the certificate; kubeadm's value since 1.29.
pub const BACKDATE: Seconds = Seconds(5 * 60);

/// Decides which certificates of `inventory` to renew at `now`, and how.
///
/// The serial numbers come from one draw of `entropy`, so the plan is the same for the same inputs.
///
/// # Errors
/// [`PlanError`] when the request cannot be met by any plan. A certificate that cannot be renewed is no error but
/// a [`Deferred`].
pub fn plan(
    inventory: &Inventory,
    request: &PlanRequest,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<Plan, PlanError> {
    request.check()?;
    refuse_links_out_of_the_root(inventory, |slot| request.may_touch(slot))?;
    let serials = serial::Serials::draw(entropy)?;
    let renewal = renew::Renewal { inventory, request, now, serials: &serials };
    let mut steps: Vec<Step> = Vec::new();
    let mut deferred = Vec::new();
    let mut repair = request.repairs_kubelet().then(|| kubelet::Repair { renewal: &renewal }.consider());
    for slot in Slot::ALL {
        let outcome = match (slot, &mut repair) {
            (Slot::KubeletClient, Some(repair)) => repair.client.take(),
            (Slot::Kubeconfig(KubeconfigSlot::Kubelet), Some(repair)) => repair.kubeconfig.take(),
            _ => renewal.consider(slot),
        };
        let Some(outcome) = outcome else { continue };
        match outcome {
            Ok(step) => {
                refuse_files_of_others(inventory, &step)?;
                match steps.iter().find(|earlier| shares_a_file(inventory, earlier, &step)) {
                    Some(earlier) => deferred.push(Deferred::new(slot, Reason::SameFilesAs(earlier.slot()))),
                    None => steps.push(step),
                }
            }
            Err(reason) => deferred.push(Deferred::new(slot, reason)),
        }
    }
    let files = steps.iter().flat_map(Step::writes).map(Write::file).collect();
    let restarts = restarts(inventory.node(), &files);
    Ok(Plan { steps, deferred, restarts, now })
}

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PlanRequest {
    /// Which certificates; those that are due by default.
    pub selection: Selection,
    /// How long before its end a certificate is due; 30 days by default.
    pub window: Seconds,
    /// How long the new certificates are valid from now on; one year by default.
    pub lifetime: Seconds,
    /// Who stated that; [`LifetimeSource::Default`] by default. Another lifetime than the default one that nobody stated counts
    /// as the caller's.
    pub lifetime_source: LifetimeSource,
    /// Slots with a lifetime of their own; none by default.
    pub lifetimes: BTreeMap<Slot, Seconds>,
    /// Who stated these; the caller where nothing is said.
    pub lifetime_sources: BTreeMap<Slot, LifetimeSource>,
    /// Other alternative names for leaves that serve and are selected by name; none by default.
    pub names: BTreeMap<LeafSlot, NameChange>,
    /// What is permitted that would otherwise be refused: to take away names that somebody needs ([`Permission::San`]), and
    /// to shorten the site's own lifetimes ([`Permission::Validity`]); nothing by default.
    pub permissions: BTreeSet<Permission>,
    /// Whether to make new keys, which is the default.
    pub keys: KeyChoice,
    /// What to do about the kubelet's own credential; nothing by default.
    pub kubelet: KubeletChoice,
    /// Authorities whose keys are not on this node, but with the signer that will be used; none by default.
    pub remote_authorities: BTreeSet<CaSlot>,
}

impl Default for PlanRequest {
    fn default() -> Self {
        Self {
            selection: Selection::Due,
            window: DEFAULT_WINDOW,
            lifetime: DEFAULT_LIFETIME,
            lifetime_source: LifetimeSource::Default,
            lifetimes: BTreeMap::new(),
            lifetime_sources: BTreeMap::new(),
            names: BTreeMap::new(),
            permissions: BTreeSet::new(),
            keys: KeyChoice::Generate,
            kubelet: KubeletChoice::Leave,
            remote_authorities: BTreeSet::new(),
        }
    }
}

impl PlanRequest {
    /// Returns the default request for a node: the lifetime is the one of its kubeadm configuration, if that names one.
    #[must_use]
    pub fn for_node(node: &NodeFacts) -> Self {
        let configured = node.kubeadm().and_then(KubeadmConfig::certificate_validity);
        // kubeadm takes a zero for its default.
        match configured.filter(|lifetime| *lifetime != Seconds(0)) {
            Some(lifetime) => {
                Self { lifetime, lifetime_source: LifetimeSource::Configuration, ..Self::default() }
            }
            None => Self::default(),
        }
    }

    /// Returns the default request for another selection.
    #[must_use]
    pub fn with_selection(selection: Selection) -> Self {
        Self { selection, ..Self::default() }
    }

    /// Returns how long the certificate of `slot` is to be valid.
    #[must_use]
    pub fn lifetime_of(&self, slot: Slot) -> Seconds {
        self.lifetimes.get(&slot).copied().unwrap_or(self.lifetime)
    }

    /// Returns who stated how long the certificate of `slot` is to be valid.
    #[must_use]
    pub fn lifetime_source_of(&self, slot: Slot) -> LifetimeSource {
        if self.lifetimes.contains_key(&slot) {
            return self.lifetime_sources.get(&slot).copied().unwrap_or(LifetimeSource::Argument);
        }
        match self.lifetime_source {
            LifetimeSource::Default if self.lifetime != DEFAULT_LIFETIME => LifetimeSource::Argument,
            source => source,
        }
    }

    /// Makes every certificate valid for `lifetime` on the caller's word, whatever was stated before.
    pub fn insist_on_lifetime(&mut self, lifetime: Seconds) {
        self.lifetime = lifetime;
        self.lifetime_source = LifetimeSource::Argument;
        self.lifetimes.clear();
        self.lifetime_sources.clear();
    }

    /// Refuses what no plan could meet.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        for lifetime in self.lifetimes.values().chain([&self.lifetime]) {
            if lifetime.0 <= 0 {
                return Err(PlanError::Lifetime(*lifetime));
            }
        }
        let may_change = |leaf: &LeafSlot| has_names(*leaf) && self.names(Slot::Leaf(*leaf));
        match self.names.keys().find(|leaf| !may_change(leaf)) {
            Some(leaf) => Err(PlanError::Names(Slot::Leaf(*leaf))),
            None => Ok(()),
        }
    }

    /// Returns whether the kubelet's own credential is to be looked after: by choice, or because it is named.
    fn repairs_kubelet(&self) -> bool {
        self.kubelet == KubeletChoice::Repair || self.names(Slot::KubeletClient)
    }

    /// Returns whether a plan for this request could read or write the files of `slot`.
    fn may_touch(&self, slot: Slot) -> bool {
        match &self.selection {
            _ if matches!(slot, Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet))
                && self.repairs_kubelet() =>
            {
                true
            }
            Selection::Due | Selection::All => slot.renewed_by_kubeadm(),
            Selection::Named(slots) => slots.contains(&slot),
        }
    }

    fn names(&self, slot: Slot) -> bool {
        matches!(&self.selection, Selection::Named(slots) if slots.contains(&slot))
    }
}

/// Which certificates to renew.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// Those that are expired, end within the window, or cannot be used with their key.
    Due,
    /// Everything that `kubeadm certs renew all` renews.
    All,
    /// These.
    Named(BTreeSet<Slot>),
}

/// Whether a renewal makes a new key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyChoice {
    /// A new key of the same algorithm and size.
    Generate,
    /// The key that is there.
    Reuse,
}

/// What to do about the credential with which the kubelet speaks to the API server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KubeletChoice {
    /// Nothing, as kubeadm: the kubelet rotates what it refers to. What kubelet.conf embeds is renewed in place when due.
    Leave,
    /// Whatever makes it whole, and nothing when it is: kubelet.conf refers to `kubelet-client-current.pem`, and that is valid
    /// and this node's. A certificate that is due, damaged, missing or somebody else's gets a successor, with a key as kubelets
    /// make them, in a new file; the link moves there. A kubeconfig that cannot be mended is written anew.
    Repair,
}

/// What to do, decided. Public data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a plan does nothing until it is issued and applied"]
pub struct Plan {
    steps: Vec<Step>,
    deferred: Vec<Deferred>,
    restarts: Vec<Restart>,
    now: Timestamp,
}

impl Plan {
    /// Returns the steps in the order of their writes.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns what is not planned, with the reasons, sorted by slot.
    #[must_use]
    pub fn deferred(&self) -> &[Deferred] {
        &self.deferred
    }

    /// Returns the components that load what is written, in a safe order of restarts.
    #[must_use]
    pub fn restarts(&self) -> &[Restart] {
        &self.restarts
    }

    /// Returns the moment for which the plan was made.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the slots whose certificate in `inventory` is not the one that this plan issues, signed by its authority
    /// and with its own key. After the plan was applied there should be none.
    #[must_use]
    pub fn shortfalls(&self, inventory: &Inventory) -> BTreeSet<Slot> {
        let holds = |step: &Step| {
            let kubeconfig = || inventory.credential(step.slot())?.kubeconfig();
            let trusts = |serial: &SerialNumber| {
                let trusted = kubeconfig().map(KubeconfigFacts::embedded_authorities).unwrap_or_default();
                trusted.iter().any(|one| one.serial() == serial)
            };
            match step.kubeconfig() {
                Some(KubeconfigSpec::Trust) => {
                    let cluster = inventory.authority(CaSlot::Cluster);
                    return kubeconfig().is_some_and(|facts| !facts.needs_authority(cluster));
                }
                Some(KubeconfigSpec::TrustExtended) => {
                    return self.extended(CaSlot::Cluster).is_some_and(|spec| trusts(&spec.serial));
                }
                _ => {}
            }
            if let Slot::Ca(ca) = step.slot()
                && let Some(spec) = step.certificate()
                && step.is_extension()
            {
                let authority = inventory.authority(ca);
                return authority.custody() == Custody::Held
                    && authority.signer().is_some_and(|signer| *signer.serial() == spec.serial);
            }
            if step.is_repair() && step.certificate().is_none() {
                return kubelet::refers_to_client(inventory)
                    && inventory.credential(step.slot()).is_some_and(kubelet::is_intact);
            }
            if step.slot() == Slot::ServiceAccount {
                let pair = inventory.service_account();
                return pair.key.present().map(KeyFacts::public_key) == pair.public_key.present();
            }
            let (Some(spec), Some(credential)) = (step.certificate(), inventory.credential(step.slot()))
            else {
                // Authorities are no credentials of their own.
                return true;
            };
            credential.leaf().is_some_and(|leaf| *leaf.serial() == spec.serial)
                && credential.key_matches() == Some(true)
                && matches!(credential.chain(), Some(ChainFact::Signed(_)))
        };
        self.steps.iter().filter(|step| !holds(step)).map(Step::slot).collect()
    }

    /// Returns the certificate that `ca` gets with the key that it has, if it gets one.
    pub(crate) fn extended(&self, ca: CaSlot) -> Option<&CertificateSpec> {
        let step = self.steps.iter().find(|step| step.slot == Slot::Ca(ca) && step.is_extension())?;
        step.certificate.as_ref()
    }

    /// Returns the authorities that get a later end, in their order.
    pub fn extended_authorities(&self) -> impl Iterator<Item = CaSlot> {
        CaSlot::ALL.into_iter().filter(|ca| self.extended(*ca).is_some())
    }

    /// Returns the places of the node that hold only the old certificate of an authority that the plan extends: in `after`,
    /// which is how the node looks now, where the plan was made for `before`. Nothing that the plan writes is among them.
    #[must_use]
    pub fn left_behind(&self, before: &Inventory, after: &Inventory) -> Vec<(CaSlot, Trusting)> {
        let writes = |place: &Trusting| match place {
            Trusting::Kubeconfig(place) => {
                place.slot().is_some_and(|slot| self.steps.iter().any(|step| step.slot == slot))
            }
            Trusting::File { .. } => false,
        };
        let mut left = Vec::new();
        for ca in self.extended_authorities() {
            let Some(old) = before.authority(ca).signer() else { continue };
            let new = after.authority(ca).signer().filter(|signer| *signer != old);
            let updated = new.map(|new| after.trusting(new)).unwrap_or_default();
            let holders = after.trusting(old).into_iter();
            // As long as the plan is not carried out, files that follow are as they were.
            let will_follow = |place: &Trusting| new.is_none() && matches!(place, Trusting::File { .. });
            let holders =
                holders.filter(|place| !updated.contains(place) && !writes(place) && !will_follow(place));
            left.extend(holders.map(|place| (ca, place)));
        }
        left
    }

    /// Returns whether something that was asked for is not planned.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.deferred.iter().any(|deferred| deferred.reason().is_failure())
    }
}

/// A component that loads what a plan writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Restart {
    /// The component.
    pub component: Component,
    /// Whether it picks everything up by itself.
    pub reload: Reload,
}

/// Returns the components of `node` that load any of `files`, in a safe order of restarts.
#[must_use]
pub fn restarts(node: &NodeFacts, files: &BTreeSet<FileSlot>) -> Vec<Restart> {
    let mut needs: BTreeMap<Component, Reload> = BTreeMap::new();
    for component in Component::ALL.into_iter().filter(|component| node.may_run(*component)) {
        for file in files {
            let Some(reload) = component.reload(*file, node.version()) else { continue };
            let need = needs.entry(component).or_insert(reload);
            *need = (*need).max(reload);
        }
    }
    if files.contains(&FileSlot::KubeletClient) {
        // The kubelet knows what it wrote itself, and reads what others wrote when it starts
        // (`k8s.io/client-go/util/certificate/certificate_manager.go`).
        needs.insert(Component::Kubelet, Reload::NeedsRestart);
    }
    needs.into_iter().map(|(component, reload)| Restart { component, reload }).collect()
}

/// Why there cannot be a plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The lifetime is zero or negative.
    #[error("a certificate cannot be valid for {0}")]
    Lifetime(Seconds),
    /// Other names are asked for a leaf that serves nobody, or that is not selected by its name.
    #[error("{0} cannot get other names: only apiserver, etcd-server and etcd-peer can, when they are named")]
    Names(Slot),
    /// Other names are asked for, and no certificate is selected by its name.
    #[error("which certificate is to get other names was not said")]
    NamesOfNobody,
    /// A file that would have to be read or replaced is reached over a link out of the root.
    #[error("the link {link} leaves the root: it points to {target}")]
    LeavesRoot {
        /// The link.
        link: TreePath,
        /// Where it points.
        target: String,
    },
    /// A file that would be replaced is that of another certificate too, which would be lost.
    #[error("{path} is the file of {slot} and of {other}, and no certificate can be both")]
    SharedFile {
        /// What was to be renewed.
        slot: Slot,
        /// What else the file is.
        other: Slot,
        /// The file.
        path: TreePath,
    },
    /// The certificate of an authority would end earlier than the one that is there.
    #[error("{ca} would end {to}, before {from} as it does now")]
    Shortens {
        /// The authority.
        ca: CaSlot,
        /// When it ends now.
        from: Timestamp,
        /// When it would end.
        to: Timestamp,
    },
    /// The random source failed.
    #[error("no random bytes for serial numbers")]
    Entropy(#[source] ProviderError),
    /// These files are there and should be otherwise, sorted by path.
    #[error("{}", list(.0))]
    Contradictions(Vec<Contradiction>),
    /// A name or address for a new tree is not usable.
    #[error("{what} {value:?} is not usable")]
    Intent {
        /// What was given.
        what: &'static str,
        /// The value.
        value: String,
    },
}

fn list(contradictions: &[Contradiction]) -> String {
    contradictions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A link out of the root makes the tree another one than it seems, so nothing is planned over it.
fn refuse_links_out_of_the_root(
    inventory: &Inventory,
    is_touched: impl Fn(Slot) -> bool,
) -> Result<(), PlanError> {
    for slot in Slot::ALL.into_iter().filter(|slot| is_touched(*slot)) {
        let own = inventory
            .credential(slot)
            .map(|found| [found.certificate().unreadable(), found.key().unreadable()]);
        let issuer = match slot {
            Slot::Ca(ca) => Some(ca),
            slot => slot.issuer(),
        };
        let issuer = issuer.map(|ca| inventory.authority(ca));
        let issuer = issuer.map(|found| [found.certificate().unreadable(), found.key().unreadable()]);
        for problem in own.into_iter().chain(issuer).flatten().flatten() {
            if let ReadProblem::LeavesRoot { link, target } = problem {
                return Err(PlanError::LeavesRoot { link: link.clone(), target: target.clone() });
            }
        }
    }
    Ok(())
}

/// Refuses to write what is another certificate too: one for both would be refused by whoever needs the other.
fn refuse_files_of_others(inventory: &Inventory, step: &Step) -> Result<(), PlanError> {
    let layout = inventory.node().layout();
    let spec = |slot| match slot {
        Slot::Leaf(leaf) => Some(leaf.spec()),
        Slot::Kubeconfig(kubeconfig) => Some(kubeconfig.spec()),
        _ => None,
    };
    let is_alike = |other: Slot| spec(other).is_some() && spec(other) == spec(step.slot());
    for write in step.writes() {
        let path = layout.path(write.file());
        let mut files = FileSlot::all().filter(|file| layout.path(*file) == path).map(FileSlot::slot);
        if let Some(other) = files.find(|other| *other != step.slot() && !is_alike(*other)) {
            return Err(PlanError::SharedFile { slot: step.slot(), other, path: path.clone() });
        }
    }
    Ok(())
}

/// Two slots may be served by the same files, as kubespray's etcd server and peer are; they are renewed once.
fn shares_a_file(inventory: &Inventory, one: &Step, other: &Step) -> bool {
    let layout = inventory.node().layout();
    let paths = |step: &Step| -> BTreeSet<_> {
        step.writes().iter().map(|write| layout.path(write.file())).collect()
    };
    !paths(one).is_disjoint(&paths(other))
}

/// Returns whether `slot` lies outside the tree as this node has it, so that not even its absence is worth a word.
fn is_foreign(inventory: &Inventory, slot: Slot) -> bool {
    let absent = inventory.credential(slot).is_none_or(|credential| !credential.certificate_file().exists);
    absent && !inventory.node().expects(slot)
}

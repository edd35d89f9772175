//! Whole trees from nothing: every file of new control planes, one or many at once.

use std::collections::BTreeMap;

use super::{
    ChangeSet, Issuance, IssueError, KeyReply, KeySource, NeedsKeys, NeedsSignatures, Signature, Signer,
    SigningRequest, begin, issue,
};
use crate::catalog::{FileSlot, NodeName};
use crate::inventory::Inventory;
use crate::manifest::KubeadmConfig;
use crate::path::TreePath;
use crate::plan::{
    ClusterIntent, InitRequest, IntentError, LifetimePolicy, Plan, PlanError, Step, Write, create, initialise,
};
use crate::provider::{Entropy, ProviderError};
use crate::snapshot::{Arguments, FileState, NodeFacts, Snapshot, Sources, locate};
use crate::time::Timestamp;

mod difference;

/// A control plane that is to be made from nothing.
#[derive(Clone, Debug)]
pub struct NewTree {
    intent: ClusterIntent,
    certificates: Option<TreePath>,
}

impl NewTree {
    /// Returns the tree of `intent` in kubeadm's default directories.
    #[must_use]
    pub const fn new(intent: ClusterIntent) -> Self {
        Self { intent, certificates: None }
    }

    /// Returns the tree that `config` asks for, in the directories that it names.
    ///
    /// # Errors
    /// [`IntentError`], as [`ClusterIntent::from_config`].
    pub fn from_config(config: &KubeadmConfig) -> Result<Self, IntentError> {
        let intent = ClusterIntent::from_config(config, None, None)?;
        Ok(Self { intent, certificates: config.certificates_dir().cloned() })
    }

    /// Returns the same tree with its certificates in `directory`: kubeadm's `certificatesDir`.
    #[must_use]
    pub fn with_certificates_directory(self, directory: TreePath) -> Self {
        Self { certificates: Some(directory), ..self }
    }

    /// Returns the same tree with the lifetimes that `policy` states, before those of a configuration.
    #[must_use]
    pub fn with_policy(mut self, policy: &LifetimePolicy) -> Self {
        policy.fill_intent(&mut self.intent);
        self
    }

    /// Returns what the control plane is to be.
    #[must_use]
    pub const fn intent(&self) -> &ClusterIntent {
        &self.intent
    }

    /// Returns what is stated of the node, for whoever scans the tree where it was written.
    #[must_use]
    pub fn arguments(&self) -> Arguments {
        let mut arguments = Arguments::default();
        arguments.certificates.clone_from(&self.certificates);
        arguments.node_name = Some(self.intent.node_name.as_str().to_owned());
        arguments
    }

    /// Returns what keeps the files in `snapshot` from being this tree at `now`; `None` when it is whole and right, so that
    /// there is nothing to make.
    ///
    /// It is right by the rules of [`initialise`](crate::plan::initialise()): all files of the intent are there, keys belong to
    /// their certificates, those chain to their authorities and have the names of the intent, and nothing has expired. Beyond
    /// them it has to be the tree that would be made: with keys of that kind, no other alternative names, organisations and
    /// files, and the same names and servers in kubeconfigs. Nobody else may read a secret either.
    #[must_use]
    pub fn shortfall(&self, snapshot: &Snapshot, now: Timestamp) -> Option<TreeShortfall> {
        let made = match create(&self.intent, now, &mut NoSerials) {
            Ok(plan) => plan,
            Err(error) => return Some(TreeShortfall::Wrong(error)),
        };
        let files = made.steps().iter().flat_map(Step::writes).map(Write::file);
        let absent = files.filter(|file| matches!(snapshot.file(*file), FileState::Absent));
        let absent: Vec<TreePath> = absent.map(|file| snapshot.layout().path(file).clone()).collect();
        if !absent.is_empty() {
            return Some(TreeShortfall::Missing(absent));
        }
        // With every file there, what would still be made or left out is not right.
        let request = InitRequest::default();
        let inventory = Inventory::parse(snapshot);
        match initialise(&self.intent, &inventory, &request, now, &mut NoSerials) {
            Err(error) => return Some(TreeShortfall::Wrong(error)),
            Ok(plan) if plan.is_empty() && !plan.is_incomplete() => {}
            Ok(_) => return Some(TreeShortfall::Unclear),
        }
        let different = made.steps().iter().find_map(|step| difference::difference(step, &inventory));
        let different = different.or_else(|| difference::surplus(made.steps(), &inventory));
        if different.is_some() {
            return different;
        }
        FileSlot::all().filter(|file| file.is_secret()).find_map(|file| {
            let FileState::Present(content) = snapshot.file(file) else { return None };
            let mode = content.meta().mode;
            let path = || snapshot.layout().path(file).clone();
            (mode & OTHERS != 0).then(|| TreeShortfall::Open { path: path(), mode })
        })
    }

    fn facts(&self) -> NodeFacts {
        locate(&Sources { arguments: self.arguments(), ..Sources::default() })
    }

    /// Decides on every file, over a disk with nothing on it.
    fn plan(&self, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Planned, PlanError> {
        let plan = create(&self.intent, now, entropy)?;
        Ok(Planned { plan, nothing: Snapshot::new(self.facts()) })
    }
}

impl From<ClusterIntent> for NewTree {
    fn from(intent: ClusterIntent) -> Self {
        Self::new(intent)
    }
}

/// Issues every file of `tree` at `now`.
///
/// ```
/// use kubecerts_core::issue::{RustCrypto, issue_tree};
/// use kubecerts_core::plan::ClusterIntent;
/// # use kubecerts_core::provider::{Entropy, ProviderError};
/// # use kubecerts_core::time::Timestamp;
/// # use kubecerts_core::x509::KeyAlgorithm;
/// # struct System(u64);
/// # impl Entropy for System {
/// #     fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
/// #         for byte in out {
/// #             self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
/// #             *byte = (self.0 >> 56) as u8;
/// #         }
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (now, mut entropy, mut provider) = (Timestamp::from_unix(1_800_000_000), System(1), RustCrypto::new(System(2)));
/// let mut intent = ClusterIntent::new("cp-1".parse()?, "192.168.10.11".parse()?);
/// # intent.algorithm = KeyAlgorithm::EcdsaP256;
/// intent.cluster_name = "tenant-a".to_owned();
/// let files = issue_tree(&intent.into(), now, &mut entropy, &mut provider)?;
/// assert!(files.changes().iter().any(|file| file.path().as_str() == "/etc/kubernetes/pki/ca.crt"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`TreeError`] when a name or a lifetime is not usable, or the random source or the provider fails.
pub fn issue_tree<P: KeySource + Signer + ?Sized>(
    tree: &NewTree,
    now: Timestamp,
    entropy: &mut dyn Entropy,
    provider: &mut P,
) -> Result<ChangeSet, TreeError> {
    let failed = |cause| TreeError { index: 0, node: tree.intent.node_name.clone(), cause: Box::new(cause) };
    let Planned { plan, nothing } = tree.plan(now, entropy).map_err(|error| failed(error.into()))?;
    issue(&plan, &nothing, provider).map_err(|error| failed(error.into()))
}

/// Issues every file of all `trees` at `now`, and returns them in the order of the trees.
///
/// The keys of all trees are asked for at once, and so are the signatures: `provider` is called twice, however many trees there
/// are. Only when it refuses is every tree asked for by itself, so that one that cannot be made does not take the others with it.
///
/// All trees are in memory at the end. Whoever makes thousands does it in pieces.
///
/// # Panics
/// Never: every tree is either made or has failed.
pub fn issue_trees<P: KeySource + Signer + ?Sized>(
    trees: &[NewTree],
    now: Timestamp,
    entropy: &mut dyn Entropy,
    provider: &mut P,
) -> Vec<Result<ChangeSet, TreeError>> {
    let mut failures = BTreeMap::new();
    let mut planned = Vec::with_capacity(trees.len());
    for (index, tree) in trees.iter().enumerate() {
        match tree.plan(now, entropy) {
            Ok(plan) => planned.push((index, plan)),
            Err(error) => {
                failures.insert(index, TreeProblem::from(error));
            }
        }
    }
    let begun = planned.iter().map(|(index, planned)| (*index, begin(&planned.plan, &planned.nothing)));
    let begun = kept(begun, &mut failures);
    let replies = generate(&begun, provider);
    let keyed = begun.into_iter().zip(replies).map(|((index, issuance), replies)| {
        (index, replies.and_then(|replies| issuance.supply_keys(replies)))
    });
    let keyed = kept(keyed, &mut failures);
    let signatures = sign(&keyed, provider);
    let finished = keyed.into_iter().zip(signatures).map(|((index, issuance), signatures)| {
        (index, signatures.and_then(|signatures| issuance.finish(signatures)))
    });
    let mut finished = kept(finished, &mut failures).into_iter().peekable();
    let outcome = |(index, tree): (usize, &NewTree)| {
        if let Some((_, changes)) = finished.next_if(|(done, _)| *done == index) {
            return Ok(changes);
        }
        let cause = failures.remove(&index).expect("a tree is either made or has failed");
        Err(TreeError { index, node: tree.intent.node_name.clone(), cause: Box::new(cause) })
    };
    trees.iter().enumerate().map(outcome).collect()
}

struct Planned {
    plan: Plan,
    nothing: Snapshot,
}

/// Keeps what went well, and notes what did not.
fn kept<T>(
    outcomes: impl Iterator<Item = (usize, Result<T, IssueError>)>,
    failures: &mut BTreeMap<usize, TreeProblem>,
) -> Vec<(usize, T)> {
    let mut kept = Vec::new();
    for (index, outcome) in outcomes {
        match outcome {
            Ok(value) => kept.push((index, value)),
            Err(error) => {
                failures.insert(index, error.into());
            }
        }
    }
    kept
}

/// Asks for the keys of all trees at once, or of each by itself when that fails.
fn generate<P: KeySource + ?Sized>(
    begun: &[(usize, Issuance<'_, NeedsKeys>)],
    provider: &mut P,
) -> Vec<Result<Vec<KeyReply>, IssueError>> {
    let all: Vec<_> = begun.iter().flat_map(|(_, issuance)| issuance.key_requests()).copied().collect();
    match provider.generate(&all) {
        Ok(replies) if replies.len() == all.len() => {
            let mut replies = replies.into_iter();
            begun
                .iter()
                .map(|(_, issuance)| Ok(replies.by_ref().take(issuance.key_requests().len()).collect()))
                .collect()
        }
        Ok(_) | Err(_) => begun
            .iter()
            .map(|(_, issuance)| provider.generate(issuance.key_requests()).map_err(IssueError::Keys))
            .collect(),
    }
}

/// Asks for the signatures of all trees at once, or of each by itself when that fails.
fn sign<P: Signer + ?Sized>(
    keyed: &[(usize, Issuance<'_, NeedsSignatures>)],
    provider: &P,
) -> Vec<Result<Vec<Signature>, IssueError>> {
    let requests: Vec<Vec<SigningRequest<'_>>> =
        keyed.iter().map(|(_, issuance)| issuance.signing_requests()).collect();
    let all: Vec<_> = requests.iter().flatten().copied().collect();
    match provider.sign(&all) {
        Ok(signatures) if signatures.len() == all.len() => {
            let mut signatures = signatures.into_iter();
            requests.iter().map(|own| Ok(signatures.by_ref().take(own.len()).collect())).collect()
        }
        Ok(_) | Err(_) => {
            requests.iter().map(|own| provider.sign(own).map_err(IssueError::Signatures)).collect()
        }
    }
}

/// A plan that is only asked whether it is empty has no use for serial numbers.
struct NoSerials;

impl Entropy for NoSerials {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        out.fill(0);
        Ok(())
    }
}

/// What a mode gives to others than the owner.
const OTHERS: u32 = 0o077;

/// A tree that could not be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the tree of {node} cannot be made")]
#[non_exhaustive]
pub struct TreeError {
    /// Which of the trees it is, from 0.
    pub index: usize,
    /// Its node.
    pub node: NodeName,
    /// Why not.
    #[source]
    pub cause: Box<TreeProblem>,
}

/// Why a tree could not be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeProblem {
    /// There is no plan for it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its keys or its certificates could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// What keeps files from being a tree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeShortfall {
    /// These files are not there, in the order in which they would be made.
    #[error("{} is not there", list(.0))]
    Missing(Vec<TreePath>),
    /// Something that is there should be otherwise.
    #[error(transparent)]
    Wrong(PlanError),
    /// Something would have to be made although every file is there.
    #[error("some of its files are not what they should be")]
    Unclear,
    /// A file is right by itself, and of another tree.
    #[error("{path} has {what} {found:?} instead of {expected:?}")]
    #[non_exhaustive]
    Other {
        /// The file.
        path: TreePath,
        /// What differs, such as `the cluster`.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file is there that the tree has not.
    #[error("{0} is none of its files")]
    Surplus(TreePath),
    /// Others than the owner have a right to a secret.
    #[error("{path} is open to others: its mode is {mode:04o}")]
    #[non_exhaustive]
    Open {
        /// The file.
        path: TreePath,
        /// Its mode.
        mode: u32,
    },
}

/// Returns the first path, and how many there are beside it.
fn list(paths: &[TreePath]) -> String {
    match paths {
        [] => String::new(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

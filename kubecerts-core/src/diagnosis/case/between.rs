//! What is wrong between nodes, with what comes of it on each of them.

use super::super::{Finding, FindingCode, Remedy};
use super::{Case, narrow, order};
use crate::catalog::{CaSlot, KubeconfigSlot, Slot};
use crate::fleet::FleetFinding;
use crate::inventory::Place;

/// What was found on one node among others.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NodeCases {
    /// The node's name, by which the findings between nodes speak of it.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

impl NodeCases {
    /// Returns what was found on the node `name`.
    #[must_use]
    pub const fn new(name: String, cases: Vec<Case>) -> Self {
        Self { name, cases }
    }
}

/// A case between nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FleetCase {
    /// The cause, and what comes of it on the nodes.
    pub case: Case,
    /// The nodes that the cause is about.
    pub nodes: Vec<String>,
}

impl FleetCase {
    /// Returns the case as far as it is wanted, see [`narrow`].
    #[must_use]
    pub fn narrowed(self, is_wanted: &dyn Fn(&Case) -> bool) -> Vec<Self> {
        let Self { case, nodes } = self;
        let of_node = |case: Case| {
            let nodes = case.node.clone().map_or_else(|| nodes.clone(), |node| vec![node]);
            Self { case, nodes }
        };
        narrow(vec![case], is_wanted).into_iter().map(of_node).collect()
    }
}

/// Returns the cases between nodes, with what they explain on each of `nodes`, which is taken from there.
///
/// What goes away with its cause loses its own remedy, which would do harm before it: a renewal would be signed by the wrong
/// authority. What has to be renewed all the same comes after the cause.
#[must_use]
pub fn between(mut found: Vec<FleetFinding>, nodes: &mut [NodeCases]) -> Vec<FleetCase> {
    // What another authority explains is not told of a shared leaf.
    found.sort_by(|one, other| order::causal(&one.finding).cmp(&order::causal(&other.finding)));
    let related = |FleetFinding { finding, nodes: names }: FleetFinding| {
        let mut case = Case::of_fleet(finding);
        for node in nodes.iter_mut().filter(|node| names.contains(&node.name)) {
            let (below, own) = std::mem::take(&mut node.cases)
                .into_iter()
                .partition(|effect| Relation::of(&case.finding, &effect.finding).is_some());
            node.cases = own;
            case.explains.extend(below);
            for effect in case.explains.iter_mut().filter(|effect| effect.node.is_none()) {
                attribute(effect, &case.finding, &node.name);
            }
        }
        FleetCase { case, nodes: names }
    };
    let mut cases: Vec<FleetCase> = found.into_iter().map(related).collect();
    cases.sort_by_cached_key(|fleet| order::urgency(&fleet.case));
    cases
}

/// Says on which node `case` was found, and takes the remedies away that are not to be followed.
fn attribute(case: &mut Case, cause: &Finding, node: &str) {
    case.node = Some(node.to_owned());
    if Relation::of(cause, &case.finding) == Some(Relation::GoesAway) {
        case.finding.remedy = Remedy::MendCause;
    }
    for below in &mut case.explains {
        attribute(below, cause, node);
    }
}

/// How a finding on a node depends on one between nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Relation {
    /// It goes away with its cause.
    GoesAway,
    /// It cannot be mended before its cause is.
    MustWait,
}

impl Relation {
    fn of(cause: &Finding, effect: &Finding) -> Option<Self> {
        let place = effect.place.as_ref();
        match (cause.code, cause.place.as_ref().and_then(Place::slot)) {
            (F::CaMismatch, Some(Slot::Ca(ca))) => Self::of_authority(ca, effect),
            (F::SaKeysDiffer, Some(_)) => {
                matches!(effect.code, F::SaKeyMismatch | F::SaTokenInvalid).then_some(Self::GoesAway)
            }
            (F::LeafShared, Some(slot)) => {
                let is_same = place == cause.place.as_ref()
                    || slot == Slot::KubeletClient
                        && place == Some(&Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)));
                let codes = [
                    F::ForeignLeaf,
                    F::AlternativeNameMissing,
                    F::AlternativeNameUnexpected,
                    F::KeyMismatch,
                    F::ParamDrift,
                ];
                (is_same && codes.contains(&effect.code)).then_some(Self::GoesAway)
            }
            _ => None,
        }
    }

    fn of_authority(ca: CaSlot, effect: &Finding) -> Option<Self> {
        let place = effect.place.as_ref();
        let issuer = match place? {
            Place::Slot(slot) => slot.issuer(),
            Place::Copy(_) => Some(CaSlot::Cluster),
        };
        let is_of_authority = place == Some(&Place::Slot(Slot::Ca(ca)))
            && matches!(
                effect.code,
                F::CaReplaced
                    | F::CaReuse
                    | F::KeyMismatch
                    | F::KubeconfigCaStale
                    | F::RootCaStale
                    | F::TrustFileStale
                    | F::WrongAuthority
            );
        let is_signed = issuer == Some(ca)
            && matches!(effect.code, F::WrongAuthority | F::KubeconfigCaStale | F::LeafOutlivesCa);
        // The odd authority would sign it.
        let needs_authority = issuer == Some(ca)
            && matches!(
                effect.remedy,
                Remedy::Renew(_) | Remedy::AddNames(..) | Remedy::RefreshCopy(_) | Remedy::SetAuthority(_)
            );
        match (is_of_authority || is_signed, needs_authority) {
            (true, _) => Some(Self::GoesAway),
            (false, true) => Some(Self::MustWait),
            (false, false) => None,
        }
    }
}

use FindingCode as F;

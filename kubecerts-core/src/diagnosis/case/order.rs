//! What comes before what: a cause before its consequences, and what to do first before the rest.

use std::cmp::Reverse;

use super::super::{Finding, FindingCode, Remedy, Severity};
use super::Case;
use crate::catalog::{CaSlot, Component, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::Place;

/// How far a finding lies from the root of things. What is mended at one stage may make findings of later ones go away.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// By the clock everything else is judged.
    Clock,
    /// Manifests and configurations say where everything lies.
    Source,
    /// What a path leads to.
    Link,
    /// The bytes of a file, and who may read them.
    Content,
    /// What others were signed with.
    Authority,
    /// What was signed.
    Leaf,
    /// What was taken from elsewhere.
    Copy,
    /// What programs have read.
    Memory,
    /// What programs do.
    Process,
    /// What people and timers do.
    Habit,
    /// What nobody could look at.
    Gap,
}

/// Where a finding stands among causes and effects: whatever explains another one sorts before it.
pub(super) fn causal(finding: &Finding) -> (Stage, u8, u8, &Finding) {
    (stage(finding), dependency(finding), position(finding.code), finding)
}

/// Where a case stands among those that have nothing to do with each other.
pub(super) fn urgency(case: &Case) -> (u8, Stage, u8, u8, Reverse<Severity>, Finding) {
    let (stage, dependency, position, finding) = causal(&case.finding);
    let lane = match case.severity() {
        // Everything else may look otherwise once these are right.
        Severity::Error | Severity::Warning if stage <= Stage::Source => 0,
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Notice => 3,
    };
    (lane, stage, dependency, position, Reverse(case.severity()), finding.clone())
}

pub(super) fn stage(finding: &Finding) -> Stage {
    use FindingCode as F;
    let of_authority = matches!(finding.place, Some(Place::Slot(Slot::Ca(_))));
    match finding.code {
        F::ClockSkew => Stage::Clock,
        F::SourceDamaged | F::ManifestDuplicate | F::WrongFile => Stage::Source,
        F::LayoutMismatch | F::NotASymlink => Stage::Link,
        F::Unreadable | F::Missing | F::Damaged | F::KeyMissing | F::KeyMismatch | F::OwnerWrong => {
            Stage::Content
        }
        F::CaMismatch
        | F::CaReplaced
        | F::CaReuse
        | F::NotAnAuthority
        | F::ExternalCa
        | F::CaEndsBeforeRenewal
        | F::SaKeysDiffer
        | F::SaKeyMismatch
        | F::SaKeyUnused => Stage::Authority,
        F::Expired
        | F::ExpiresSoon
        | F::NotYetValid
        | F::WeakAlgorithm
        | F::Unverifiable
        | F::KeyReadable
            if of_authority =>
        {
            Stage::Authority
        }
        F::Expired
        | F::ExpiresSoon
        | F::NotYetValid
        | F::WeakAlgorithm
        | F::Unverifiable
        | F::KeyReadable
        | F::KubeletConfInline
        | F::LeafShared
        | F::ForeignLeaf
        | F::WrongAuthority
        | F::AlternativeNameMissing
        | F::AlternativeNameUnexpected
        | F::NamesDiffer
        | F::KubeconfigCaStale
        | F::LeafOutlivesCa
        | F::LateLeaf
        | F::ParamDrift
        | F::FrontProxyRefused
        | F::AdminRbac => Stage::Leaf,
        F::TrustFileStale
        | F::RootCaStale
        | F::SaTokenInvalid
        | F::KubeconfigCopyStale
        | F::UnmanagedCopy => Stage::Copy,
        F::StaleInMemory => Stage::Memory,
        F::EndpointDown | F::EndpointBroken | F::EtcdUnwell | F::ServedExpired | F::Unhealthy => {
            Stage::Process
        }
        F::SimultaneousRestart | F::NodesOutOfStep => Stage::Habit,
        F::NotObserved => Stage::Gap,
    }
}

/// Where a finding stands among those of its stage: in the order in which programs need each other.
fn dependency(finding: &Finding) -> u8 {
    match (&finding.place, component(finding)) {
        (Some(Place::Slot(slot)), _) => of_slot(*slot),
        (Some(Place::Copy(_)), _) => 30,
        // Without the kubelet nothing is started that is down.
        (None, Some(Component::Kubelet)) => 0,
        (None, Some(Component::Etcd)) => 1,
        (None, Some(Component::ApiServer)) => 2,
        (None, Some(Component::ControllerManager)) => 3,
        (None, Some(Component::Scheduler)) => 4,
        (None, None) => 5,
    }
}

const fn of_slot(slot: Slot) -> u8 {
    match slot {
        Slot::Ca(CaSlot::Etcd) => 6,
        Slot::Ca(CaSlot::Cluster) => 7,
        Slot::Ca(CaSlot::FrontProxy) => 8,
        Slot::ServiceAccount => 9,
        Slot::Leaf(LeafSlot::EtcdServer) => 10,
        Slot::Leaf(LeafSlot::EtcdPeer) => 11,
        Slot::Leaf(LeafSlot::EtcdHealthcheckClient) => 12,
        Slot::Leaf(LeafSlot::ApiServerEtcdClient) => 13,
        Slot::Leaf(LeafSlot::ApiServer) => 14,
        Slot::Leaf(LeafSlot::ApiServerKubeletClient) => 15,
        Slot::Leaf(LeafSlot::FrontProxyClient) => 16,
        Slot::Kubeconfig(KubeconfigSlot::ControllerManager) => 17,
        Slot::Kubeconfig(KubeconfigSlot::Scheduler) => 18,
        Slot::Kubeconfig(KubeconfigSlot::Admin) => 19,
        Slot::Kubeconfig(KubeconfigSlot::SuperAdmin) => 20,
        Slot::Kubeconfig(KubeconfigSlot::Kubelet) => 21,
        Slot::KubeletClient => 22,
        Slot::KubeletServing => 23,
    }
}

/// Where a finding stands among those about the same thing.
const fn position(code: FindingCode) -> u8 {
    use FindingCode as F;
    match code {
        F::ClockSkew => 0,
        F::SourceDamaged => 1,
        F::ManifestDuplicate => 2,
        F::LayoutMismatch => 3,
        F::NotASymlink => 4,
        F::KubeletConfInline => 5,
        F::Unreadable => 6,
        F::Missing => 7,
        F::Damaged => 8,
        F::KeyMissing => 9,
        F::KeyMismatch => 10,
        F::OwnerWrong => 11,
        F::CaMismatch => 12,
        F::CaReplaced => 13,
        F::NotAnAuthority => 14,
        F::CaReuse => 15,
        F::SaKeysDiffer => 16,
        F::SaKeyMismatch => 17,
        F::SaKeyUnused => 18,
        F::LeafShared => 19,
        F::ForeignLeaf => 20,
        F::WrongAuthority => 21,
        F::NotYetValid => 22,
        F::Expired => 23,
        F::WeakAlgorithm => 24,
        F::KubeconfigCaStale => 25,
        F::AlternativeNameMissing => 26,
        F::NamesDiffer => 27,
        F::FrontProxyRefused => 28,
        F::ExpiresSoon => 29,
        F::CaEndsBeforeRenewal => 30,
        F::LeafOutlivesCa => 31,
        F::Unverifiable => 32,
        F::KeyReadable => 33,
        F::ExternalCa => 34,
        F::ParamDrift => 35,
        F::LateLeaf => 36,
        F::AdminRbac => 37,
        F::AlternativeNameUnexpected => 38,
        F::TrustFileStale => 39,
        F::RootCaStale => 40,
        F::SaTokenInvalid => 41,
        F::KubeconfigCopyStale => 42,
        F::UnmanagedCopy => 43,
        F::StaleInMemory => 44,
        F::EndpointDown => 45,
        F::EndpointBroken => 46,
        F::EtcdUnwell => 47,
        F::ServedExpired => 48,
        F::Unhealthy => 49,
        F::SimultaneousRestart => 50,
        F::NodesOutOfStep => 51,
        F::NotObserved => 52,
        F::WrongFile => 53,
    }
}

/// Returns the program that a finding about what runs is about.
pub(super) const fn component(finding: &Finding) -> Option<Component> {
    match finding.remedy {
        Remedy::Restart(component) | Remedy::Start(component) => Some(component),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_and_every_slot_has_a_position_of_its_own() {
        let positions: BTreeSet<u8> = FindingCode::ALL.into_iter().map(position).collect();
        assert_eq!(positions.len(), FindingCode::ALL.len());
        let slots: BTreeSet<u8> = Slot::ALL.into_iter().map(of_slot).collect();
        assert_eq!(slots.len(), Slot::ALL.len());
    }
}

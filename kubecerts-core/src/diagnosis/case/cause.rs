//! Which finding is the cause of which.
//!
//! A relation says that the one goes away with the other, or cannot be mended before it. Where that is only likely, the finding is
//! still shown, below what has to be mended anyway.

use super::super::{Finding, FindingCode, Remedy, Severity};
use super::View;
use super::order::component;
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, PathSource, Slot};
use crate::inventory::{FoundKind, Place};

/// Returns whether `cause` explains `effect`.
pub(super) fn explains(cause: &Finding, effect: &Finding, view: &View<'_>) -> bool {
    let pair = Pair { cause, effect, view };
    match effect.code {
        F::AdminRbac
        | F::CaMismatch
        | F::CaReplaced
        | F::CaReuse
        | F::ClockSkew
        | F::ExternalCa
        | F::FrontProxyRefused
        | F::KubeletConfInline
        | F::LayoutMismatch
        | F::LeafShared
        | F::ManifestDuplicate
        | F::NamesDiffer
        | F::NodesOutOfStep
        | F::NotASymlink
        | F::NotAnAuthority
        | F::OwnerWrong
        | F::SaKeyMismatch
        | F::SaKeyUnused
        | F::SimultaneousRestart
        | F::SourceDamaged
        | F::TrustFileStale
        | F::WeakAlgorithm
        | F::WrongFile => false,
        F::AlternativeNameMissing | F::AlternativeNameUnexpected | F::ForeignLeaf => pair.is_another_nodes(),
        // A slow clock makes nothing end.
        F::CaEndsBeforeRenewal => false,
        F::Damaged | F::Unreadable | F::Missing | F::KeyMismatch | F::KeyMissing => {
            pair.is_wrong_link() || pair.is_of_wrong_path() || pair.is_other_half()
        }
        F::Expired | F::ExpiresSoon => pair.explains_end(),
        F::NotYetValid => pair.is(F::ClockSkew) || pair.is(F::NotYetValid) && pair.is_its_authority(),
        F::KeyReadable => pair.is(F::OwnerWrong) && cause.path == effect.path,
        F::KubeconfigCaStale => {
            pair.is_other_authority()
                || effect.place.is_none() && pair.is(F::CaReplaced) && cause.place == CLUSTER_CA
                || pair.is_same_place() && (pair.is(F::WrongAuthority) || pair.is(F::KubeconfigCopyStale))
        }
        F::KubeconfigCopyStale => pair.is(F::CaReplaced) && cause.place == CLUSTER_CA,
        F::LateLeaf => {
            pair.is_same_place() && (pair.is(F::Expired) || pair.is(F::ExpiresSoon) || pair.is(F::ParamDrift))
                || pair.keeps_authority_from_signing()
        }
        F::LeafOutlivesCa => {
            let dates = [F::Expired, F::ExpiresSoon, F::CaEndsBeforeRenewal, F::CaReplaced];
            pair.is_its_authority() && dates.contains(&cause.code)
        }
        F::ParamDrift => pair.is_another_nodes(),
        F::RootCaStale => {
            pair.is_other_authority()
                || pair.is(F::TrustFileStale) && cause.place == CLUSTER_CA
                || pair.is(F::StaleInMemory) && component(cause) == Some(Component::ControllerManager)
        }
        F::SaKeysDiffer => pair.is(F::CaMismatch),
        F::SaTokenInvalid => {
            matches!(cause.code, F::SaKeyMismatch | F::SaKeyUnused | F::SaKeysDiffer)
                || pair.is(F::CaReplaced) && cause.place == CLUSTER_CA
        }
        F::Unverifiable => pair.is(F::WeakAlgorithm) && (pair.is_its_authority() || pair.is_same_place()),
        F::UnmanagedCopy => false,
        F::WrongAuthority => pair.is_other_authority() || pair.is_another_nodes(),
        F::StaleInMemory => pair.is(F::ManifestDuplicate) && pair.is_of_its_manifest(),
        F::EndpointBroken | F::EndpointDown | F::EtcdUnwell | F::Unhealthy => pair.brings_down(),
        F::ServedExpired => {
            pair.is(F::StaleInMemory) && component(cause) == component(effect)
                || matches!(cause.code, F::Expired | F::ExpiresSoon)
                    && cause.place == Some(Place::Slot(Slot::KubeletServing))
                    && component(effect) == Some(Component::Kubelet)
        }
        F::NotObserved => pair.silences(),
    }
}

struct Pair<'a> {
    cause: &'a Finding,
    effect: &'a Finding,
    view: &'a View<'a>,
}

impl Pair<'_> {
    fn is(&self, code: FindingCode) -> bool {
        self.cause.code == code
    }

    fn is_same_place(&self) -> bool {
        self.cause.place.is_some() && self.cause.place == self.effect.place
    }

    /// Returns whether the cause is about the authority that should have signed what the effect is about.
    fn is_its_authority(&self) -> bool {
        let issuer = match &self.effect.place {
            Some(Place::Slot(slot)) => slot.issuer(),
            Some(Place::Copy(_)) => Some(CaSlot::Cluster),
            None => None,
        };
        issuer.is_some_and(|ca| self.cause.place == Some(Place::Slot(Slot::Ca(ca))))
    }

    /// Returns whether the authority on disk is another one than that which signed.
    fn is_other_authority(&self) -> bool {
        let codes = [F::CaReplaced, F::CaMismatch, F::NotAnAuthority, F::KeyMismatch, F::Expired];
        let is_of_pods = self.effect.code == F::RootCaStale && self.cause.place == CLUSTER_CA;
        codes.contains(&self.cause.code) && (self.is_its_authority() || is_of_pods)
    }

    /// Returns whether nothing that the authority has to sign can be renewed here.
    fn keeps_authority_from_signing(&self) -> bool {
        let codes = [F::ExternalCa, F::Damaged, F::Missing, F::Unreadable, F::KeyMismatch, F::NotAnAuthority];
        self.is_its_authority() && codes.contains(&self.cause.code)
    }

    fn is_another_nodes(&self) -> bool {
        self.is_same_place() && (self.is(F::ForeignLeaf) || self.is(F::LeafShared))
    }

    /// Returns whether the kubelet's current certificate is the wrong one of several.
    fn is_wrong_link(&self) -> bool {
        self.is(F::NotASymlink) && self.effect.place == Some(Place::Slot(Slot::KubeletClient))
    }

    /// Returns whether both files of one pair are damaged.
    fn is_other_half(&self) -> bool {
        self.is_same_place()
            && self.is(F::Damaged)
            && self.effect.code == F::Damaged
            && self.cause.path != self.effect.path
    }

    /// Returns whether the effect may be about the wrong file, because nobody could say where the right one lies.
    fn is_of_wrong_path(&self) -> bool {
        let facts = self.effect.path.as_ref().and_then(|path| self.view.file(path));
        let is_guess = facts.is_some_and(|facts| facts.source == Some(PathSource::Default));
        self.is(F::SourceDamaged) && self.effect.code == F::Missing && is_guess
    }

    fn explains_end(&self) -> bool {
        let effect = self.effect.place.as_ref();
        let is_kubelets = matches!(
            effect,
            Some(Place::Slot(Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet)))
        );
        match self.cause.code {
            F::LayoutMismatch => self.was_renewed_elsewhere(),
            F::KubeconfigCopyStale => self.is_same_place(),
            F::NotASymlink => self.is_wrong_link(),
            // The kubelet rotates what kubelet.conf refers to, and nothing else.
            F::KubeletConfInline => is_kubelets,
            F::Expired | F::ExpiresSoon => self.is_its_authority() || self.is_original(),
            // What is over is asked for by itself where it is signed.
            F::ExternalCa if self.effect.code == F::Expired => false,
            _ => self.keeps_authority_from_signing(),
        }
    }

    /// Returns whether a certificate for the same subject lies where nobody reads it, and ends later.
    fn was_renewed_elsewhere(&self) -> bool {
        let inventory = self.view.inventory;
        let slot = self.effect.place.as_ref().and_then(Place::slot);
        let Some(read) = slot.and_then(|slot| inventory.credential(slot)?.leaf()) else { return false };
        let unread = inventory.surroundings().certificates.iter();
        let mut unread = unread.filter(|found| found.kind == FoundKind::OtherLayout);
        unread.any(|found| {
            let first = found.certificates.first();
            first.subject() == read.subject() && first.not_after() > read.not_after()
        })
    }

    /// Returns whether the effect is about a copy of what the cause is about.
    fn is_original(&self) -> bool {
        let (Some(Place::Slot(slot)), Some(Place::Copy(path))) = (&self.cause.place, &self.effect.place)
        else {
            return false;
        };
        self.view.inventory.copies_of(*slot).any(|copy| copy == path)
    }

    /// Returns whether the effect's program does not run, or not well, because of the cause.
    fn brings_down(&self) -> bool {
        let Some(fallen) = component(self.effect) else { return false };
        let is_static = fallen != Component::Kubelet;
        let is_down = self.effect.code == F::EndpointDown;
        match self.cause.code {
            F::SourceDamaged | F::ManifestDuplicate => self.is_of_its_manifest(),
            F::WrongFile => match self.cause.remedy {
                Remedy::SetFlag(misled, _) => misled == fallen || leads_to(misled, fallen),
                _ => false,
            },
            F::EndpointDown | F::EndpointBroken | F::EtcdUnwell | F::Unhealthy => {
                match component(self.cause) {
                    Some(other) if other == fallen => true,
                    // Without the kubelet nothing is started that is down.
                    Some(Component::Kubelet) => is_static && is_down,
                    Some(other) => leads_to(other, fallen),
                    None => false,
                }
            }
            F::StaleInMemory => {
                component(self.cause) == Some(fallen)
                    || self.cause_slot().is_some_and(|slot| clients(slot).contains(&fallen))
            }
            code => self.cause_slot().is_some_and(|slot| {
                let hurts = is_unusable(code) && self.loads(fallen, slot)
                    || (is_unusable(code) || is_refused(code)) && clients(slot).contains(&fallen);
                let is_kubelets =
                    matches!(slot, Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet));
                let ends_kubelet = is_kubelets && is_static && is_down;
                self.cause.severity == Severity::Error && (hurts || ends_kubelet && is_refused_or(code))
            }),
        }
    }

    fn cause_slot(&self) -> Option<Slot> {
        self.cause.place.as_ref().and_then(Place::slot)
    }

    fn loads(&self, component: Component, slot: Slot) -> bool {
        let version = self.view.inventory.node().version();
        FileSlot::all().any(|file| file.slot() == slot && component.reload(file, version).is_some())
    }

    /// Returns whether the cause is about the manifest of the program that the effect is about, or about what the kubelet is told.
    fn is_of_its_manifest(&self) -> bool {
        let (Some(program), Some(path)) = (component(self.effect), &self.cause.path) else { return false };
        let node = self.view.inventory.node();
        let is_of_kubelet = path.below(&node.directories().kubelet).is_some();
        let file = path.as_str().rsplit('/').next().unwrap_or_default();
        is_of_kubelet || node.manifest(program) == Some(path) || file.contains(program.name())
    }

    /// Returns whether nobody could look because of the cause. What could not be asked is known by its words only.
    fn silences(&self) -> bool {
        let gap = &self.effect.message;
        match self.cause.code {
            F::Unreadable => {
                matches!(self.cause.remedy, Remedy::GrantAccess(_)) && gap.contains("ermission denied")
            }
            F::EndpointDown | F::EndpointBroken | F::EtcdUnwell | F::Unhealthy => {
                component(self.cause) == Some(Component::Etcd) && gap.contains("etcd")
            }
            code if is_refused_or(code) => {
                let asks = matches!(
                    self.cause_slot(),
                    Some(Slot::Leaf(LeafSlot::EtcdHealthcheckClient | LeafSlot::EtcdServer))
                );
                (asks || self.cause.place == ETCD_CA) && gap.contains("etcd")
            }
            _ => false,
        }
    }
}

/// Returns whether a program that is not well keeps another one from its work.
const fn leads_to(fallen: Component, other: Component) -> bool {
    match fallen {
        Component::Etcd => matches!(other, Component::ApiServer),
        Component::ApiServer => matches!(other, Component::ControllerManager | Component::Scheduler),
        _ => false,
    }
}

use FindingCode as F;

const CLUSTER_CA: Option<Place> = Some(Place::Slot(Slot::Ca(CaSlot::Cluster)));
const ETCD_CA: Option<Place> = Some(Place::Slot(Slot::Ca(CaSlot::Etcd)));

/// Returns whether a program that reads the file does not get from it what it needs.
const fn is_unusable(code: FindingCode) -> bool {
    matches!(code, F::Damaged | F::Missing | F::Unreadable | F::KeyMissing | F::KeyMismatch | F::OwnerWrong)
}

/// Returns whether others refuse what the program shows, or the program what others show.
const fn is_refused(code: FindingCode) -> bool {
    matches!(
        code,
        F::Expired
            | F::NotYetValid
            | F::WrongAuthority
            | F::AlternativeNameMissing
            | F::ForeignLeaf
            | F::LeafShared
            | F::KubeconfigCaStale
            | F::WeakAlgorithm
            | F::NotAnAuthority
            | F::CaReplaced
            | F::CaMismatch
            | F::TrustFileStale
            | F::NotASymlink
    )
}

const fn is_refused_or(code: FindingCode) -> bool {
    is_unusable(code) || is_refused(code)
}

/// Returns the programs that do not do their work when what is in `slot` is refused.
const fn clients(slot: Slot) -> &'static [Component] {
    use Component as C;
    match slot {
        Slot::Ca(CaSlot::Cluster) => &[C::ApiServer, C::ControllerManager, C::Scheduler, C::Kubelet],
        Slot::Ca(CaSlot::Etcd) => &[C::Etcd, C::ApiServer],
        Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer) => &[C::Etcd, C::ApiServer],
        // etcd itself is well, but does not say so to who asks with it.
        Slot::Leaf(LeafSlot::EtcdHealthcheckClient) => &[C::Etcd],
        Slot::Leaf(LeafSlot::ApiServerEtcdClient) => &[C::ApiServer],
        Slot::Leaf(LeafSlot::ApiServer) => &[C::ControllerManager, C::Scheduler, C::Kubelet],
        Slot::Kubeconfig(KubeconfigSlot::ControllerManager) => &[C::ControllerManager],
        Slot::Kubeconfig(KubeconfigSlot::Scheduler) => &[C::Scheduler],
        Slot::Kubeconfig(KubeconfigSlot::Kubelet) | Slot::KubeletClient => &[C::Kubelet],
        Slot::Ca(CaSlot::FrontProxy)
        | Slot::Leaf(LeafSlot::ApiServerKubeletClient | LeafSlot::FrontProxyClient)
        | Slot::Kubeconfig(KubeconfigSlot::Admin | KubeconfigSlot::SuperAdmin)
        | Slot::ServiceAccount
        | Slot::KubeletServing => &[],
    }
}

//! When every certificate ends, all that shortens its life included.

use std::collections::BTreeSet;

use super::event::{Cause, Order, Undated};
use super::loss::Loss;
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, Service, Slot};
use crate::inventory::{CertificateBundle, Credential, Custody, Inventory, KubeconfigFacts, Place, rotation};
use crate::observation::{Observations, Verdict, usages};
use crate::path::TreePath;
use crate::time::{Seconds, Timestamp};
use crate::x509::Certificate;

/// The end of one certificate.
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) place: Option<Place>,
    pub(super) path: TreePath,
    pub(super) order: Order,
    pub(super) losses: Vec<Loss>,
    pub(super) because: Vec<Cause>,
    pub(super) takes: Vec<Place>,
    pub(super) trusting: Vec<String>,
}

/// What is looked at.
pub(super) struct Look<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) observations: &'a Observations,
    pub(super) now: Timestamp,
}

impl<'a> Look<'a> {
    /// Returns the end of everything but what the kubelet rotates.
    pub(super) fn ends(&self) -> Vec<End> {
        let mut ends: Vec<End> = CaSlot::ALL.into_iter().filter_map(|ca| self.of_authority(ca)).collect();
        for (place, credential) in self.credentials() {
            if !self.is_rotated(place) {
                ends.extend(self.of_credential(place, credential));
            }
            ends.extend(self.of_trust(place, credential));
        }
        for outdated in self.inventory.outdated_trust() {
            let file = outdated.file;
            ends.push(End {
                at: outdated.old.not_after(),
                place: None,
                path: file.path.clone(),
                order: Order::Authority,
                losses: self.present(Loss::of_trust(file.component, file.setting, outdated.ca)),
                because: vec![Cause::TrustFileEnds(outdated.ca, file.path.clone())],
                takes: Vec::new(),
                trusting: Vec::new(),
            });
        }
        ends
    }

    /// Returns the ends of what the kubelet renews by itself, as far as it cannot: `lost` tells since when nobody serves
    /// kubelets any more, and why.
    ///
    /// The kubelet renews a certificate when between 70 and 90 per cent of its validity are over
    /// (`k8s.io/client-go/util/certificate/certificate_manager.go`, `nextRotationDeadline`). With the requests of others,
    /// kube-controller-manager signs until the authority ends (`pkg/controller/certificates/authority/policies.go`).
    pub(super) fn rotated_ends(&self, lost: Option<(Timestamp, Vec<Cause>)>) -> Vec<End> {
        let mut ends = Vec::new();
        for (place, credential) in self.credentials().filter(|(place, _)| self.is_rotated(place)) {
            let Some(leaf) = credential.leaf() else { continue };
            let whole = leaf.not_after().since(leaf.not_before());
            let due = leaf.not_before().plus(Seconds(whole.0 / 10 * 9));
            let cluster = self.inventory.authority(CaSlot::Cluster);
            let because = match &lost {
                Some((at, causes)) if *at < due => causes.clone(),
                _ if cluster.custody() == Custody::External && !self.inventory.is_worker() => {
                    vec![Cause::NoSigner(CaSlot::Cluster)]
                }
                _ if due < self.now => vec![Cause::Overdue(due)],
                _ => continue,
            };
            if let Some(mut end) = self.of_credential(place, credential) {
                end.because = because;
                ends.push(end);
            }
        }
        ends
    }

    /// Returns what will break at a moment that nothing tells.
    pub(super) fn undated(&self) -> Vec<Undated> {
        let stale = usages(self.inventory, self.observations).into_iter();
        let stale = stale.filter(|usage| usage.verdict == Verdict::Stale && usage.served.is_none());
        let mut undated: Vec<Undated> = stale
            .map(|usage| Undated {
                place: Place::Slot(usage.slot()),
                component: usage.component,
                on_disk: usage.not_after,
            })
            .collect();
        undated.sort();
        undated
    }

    /// Returns the certificates on which something of this node depends.
    pub(super) fn credentials(&self) -> impl Iterator<Item = (&'a Place, &'a Credential)> {
        let own_copies: BTreeSet<&TreePath> = KubeconfigSlot::ALL
            .into_iter()
            .flat_map(|slot| self.inventory.copies_of(Slot::Kubeconfig(slot)))
            .collect();
        let is_embedded =
            |credential: &Credential| credential.kubeconfig().is_some_and(|facts| facts.is_embedded);
        let embeds_kubelets = self
            .inventory
            .credential(Slot::Kubeconfig(KubeconfigSlot::Kubelet))
            .is_some_and(|credential| is_embedded(credential) && credential.leaf().is_some());
        self.inventory.credentials().filter(move |(place, credential)| match place {
            // It is the credential of the slot that it refers to.
            Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => is_embedded(credential),
            Place::Slot(Slot::KubeletClient) => !embeds_kubelets,
            Place::Slot(_) => true,
            Place::Copy(path) => own_copies.contains(path),
        })
    }

    /// Returns what has to work for `loss` to work.
    ///
    /// A member of etcd without its peers has no leader, so it answers nobody; whoever is alone does.
    pub(super) fn needs(&self, loss: &Loss) -> Vec<Loss> {
        let peers = (*loss == Loss::EtcdAccess && self.members().is_some_and(|count| count > 1))
            .then_some(Loss::EtcdPeers);
        loss.needs().iter().cloned().chain(peers).collect()
    }

    /// Returns how many members etcd has: as it was seen, or at least as many as it was started with. kubeadm starts the first one
    /// alone, and does not say so again when others join, so a manifest with one member says nothing.
    fn members(&self) -> Option<usize> {
        let seen = self.observations.etcd.as_ref().map(|cluster| cluster.members.len());
        let stated = self.inventory.node().addresses().etcd_members.len();
        seen.or((stated > 1).then_some(stated))
    }

    /// Returns what is left of `losses` that this node can lose.
    pub(super) fn present(&self, losses: Vec<Loss>) -> Vec<Loss> {
        let components: Vec<Component> = self.inventory.components().collect();
        let has_peers = self.members().is_none_or(|count| count > 1);
        let is_there = |loss: &Loss| {
            loss.component().is_none_or(|component| components.contains(&component))
                && (*loss != Loss::EtcdPeers || has_peers)
        };
        let mut losses: Vec<Loss> = losses.into_iter().filter(is_there).collect();
        losses.sort();
        losses.dedup();
        losses
    }

    /// Returns whether the kubelet renews the certificate at `place`.
    fn is_rotated(&self, place: &Place) -> bool {
        let rotation = rotation(self.inventory.node());
        match place {
            // kubeadm switches it on, so it is on when nothing is known.
            Place::Slot(Slot::KubeletClient) => rotation.client.is_none_or(|setting| setting.is_on),
            Place::Slot(Slot::KubeletServing) => rotation.serving.is_some_and(|setting| setting.is_on),
            _ => false,
        }
    }

    fn of_authority(&self, ca: CaSlot) -> Option<End> {
        let authority = self.inventory.authority(ca);
        let signer = authority.signer()?;
        let at = self.authority_end(ca)?;
        let mut losses = Vec::new();
        let mut takes = Vec::new();
        for (place, credential) in self.credentials() {
            let Some(leaf) = credential.leaf() else { continue };
            let is_under = place.slot().map_or(Some(CaSlot::Cluster), Slot::issuer) == Some(ca);
            if !is_under || self.cap(place, leaf) != Some(at) {
                continue;
            }
            losses.extend(Loss::of(place));
            if leaf.not_after() == at {
                losses.extend(Loss::of_own_end(place));
            }
            if leaf.not_after() >= at {
                takes.push(place.clone());
            }
        }
        if ca == CaSlot::Cluster {
            // The kubelet's clients come with certificates of this authority (`clientCAFile`).
            losses.extend([Loss::Rotation, Loss::KubeletAccess]);
        }
        Some(End {
            at,
            place: Some(Place::Slot(Slot::Ca(ca))),
            path: authority.certificate_file().path.clone(),
            order: Order::Authority,
            losses: self.present(losses),
            because: Vec::new(),
            takes,
            trusting: self.inventory.trusting(signer).iter().map(ToString::to_string).collect(),
        })
    }

    fn of_credential(&self, place: &Place, credential: &Credential) -> Option<End> {
        let on_disk = credential.leaf()?;
        let mut because = Vec::new();
        let used = match self.in_memory(place) {
            Some((component, served)) if served != on_disk => {
                because.push(Cause::InMemory(component, on_disk.not_after()));
                served
            }
            _ => on_disk,
        };
        let mut at = used.not_after();
        if let Some(cap) = self.cap(place, used)
            && cap <= at
        {
            let ca = place.slot().map_or(Some(CaSlot::Cluster), Slot::issuer)?;
            // What ends with the authority of today is told with it.
            if self.authority_end(ca) == Some(cap) {
                return None;
            }
            at = cap;
            because.push(Cause::AuthorityEnds(ca));
        }
        match place {
            Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => because.push(Cause::Embedded),
            Place::Slot(Slot::KubeletClient) if !self.is_rotated(place) => because.push(Cause::RotationOff),
            _ => {}
        }
        let losses = if at == used.not_after() {
            Loss::of_own_end(place).collect()
        } else {
            Loss::of(place).into_iter().collect()
        };
        Some(End {
            at,
            place: Some(place.clone()),
            path: credential.certificate_file().path.clone(),
            order: Order::Other,
            losses: self.present(losses),
            because,
            takes: Vec::new(),
            trusting: Vec::new(),
        })
    }

    /// Returns when the kubeconfig at `place` ceases to trust the API server, if that is before the authority ends.
    fn of_trust(&self, place: &Place, credential: &Credential) -> Option<End> {
        let KubeconfigFacts { file, authority, .. } = credential.kubeconfig()?;
        let verifies = !file.as_ref().ok()?.current().ok()?.cluster.insecure_skip_tls_verify();
        let signer = self.inventory.authority(CaSlot::Cluster).signer()?;
        let at = latest(authority.present()?, signer)?;
        (verifies && at < self.authority_end(CaSlot::Cluster)?).then(|| End {
            at,
            place: Some(place.clone()),
            path: credential.certificate_file().path.clone(),
            order: Order::Other,
            losses: self.present(Loss::of(place).into_iter().collect()),
            because: vec![Cause::TrustsEarlier(CaSlot::Cluster)],
            takes: Vec::new(),
            trusting: Vec::new(),
        })
    }

    /// Returns the certificate that was seen to be served in place of the one at `place`.
    fn in_memory(&self, place: &Place) -> Option<(Component, &'a Certificate)> {
        let Place::Slot(Slot::Leaf(leaf)) = place else { return None };
        let service = Service::serving(FileSlot::LeafCertificate(*leaf))?;
        let served = self.observations.served(service)?.handshake.served()?;
        Some((service.component(), served.leaf.as_ref().ok()?))
    }

    /// Returns when the authority that has signed `certificate` ends: the latest of those in the authority's file that have.
    fn cap(&self, place: &Place, certificate: &Certificate) -> Option<Timestamp> {
        let ca = place.slot().map_or(Some(CaSlot::Cluster), Slot::issuer)?;
        let bundle = self.inventory.authority(ca).certificate().present()?;
        let has_signed = |issuer: &&Certificate| certificate.is_signed_by(issuer);
        bundle.certificates().iter().filter(has_signed).map(Certificate::not_after).max()
    }

    /// Returns when the authority `ca` ends: the latest certificate in its file of the key and the name with which it signs.
    fn authority_end(&self, ca: CaSlot) -> Option<Timestamp> {
        let authority = self.inventory.authority(ca);
        latest(authority.certificate().present()?, authority.signer()?)
    }
}

/// Returns the latest end of the certificates in `bundle` that verify what `signer` has signed.
fn latest(bundle: &CertificateBundle, signer: &Certificate) -> Option<Timestamp> {
    let is_alike = |certificate: &&Certificate| {
        certificate.public_key() == signer.public_key() && certificate.subject() == signer.subject()
    };
    bundle.certificates().iter().filter(is_alike).map(Certificate::not_after).max()
}

//! How far a repair of the kubelet's own credential may go: no further than what is decided here and now.

use super::{Issuer, Review, ReviewError, deviation};
use crate::catalog::{FileSlot, Slot};
use crate::inventory::Credential;
use crate::plan::kubelet::{KEY, is_intact, key_usages, new_kubeconfig, node_name, purposes, subject};
use crate::plan::{
    BACKDATE, CertificateSpec, DEFAULT_LIFETIME, DeviationKind, KeyPolicy, KubeconfigSpec, Placement, Reason,
    Replaced, Step,
};
use crate::time::Seconds;
use crate::x509::{KeyType, NameAttribute};

impl Review<'_> {
    /// Checks a new client certificate: it is this node's kubelet and nobody else, and good for nothing else.
    pub(super) fn kubelet(
        &self,
        step: &Step,
        certificate: &CertificateSpec,
        issuer: &Issuer,
    ) -> Result<Vec<DeviationKind>, ReviewError> {
        // A new decision of the plan must find its bounds here.
        let CertificateSpec {
            issuer: _,
            signature: _,
            serial,
            validity,
            subject: found_subject,
            alternative_names,
            key_usages: found_usages,
            extended_key_usages,
        } = certificate;
        let slot = step.slot;
        let cannot = |reason| ReviewError::CannotBeRenewed { slot, reason };
        let credential = self.inventory.credential(slot).ok_or_else(|| cannot(Reason::NotRenewable))?;
        let old = credential.leaf();
        let replaced =
            old.map(|leaf| Replaced { serial: leaf.serial().clone(), not_after: leaf.not_after() });
        match (&step.replaced, replaced) {
            (Some(expected), Some(found)) if *expected != found => {
                return Err(ReviewError::Replaced { slot, expected: expected.clone(), found });
            }
            (Some(_), None) => {
                let path = credential.certificate_file().path.clone();
                return Err(cannot(Reason::Damaged(path, "holds no client certificate".to_owned())));
            }
            (None, Some(_)) => return Err(ReviewError::OtherProfile { slot, field: "replaced certificate" }),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if old.is_some_and(|leaf| leaf.serial() == serial) {
            return Err(ReviewError::RepeatedSerial { slot, serial: serial.clone() });
        }
        if step.key == KeyPolicy::Reuse && credential.key_matches() != Some(true) {
            return Err(cannot(Reason::NoKeyToReuse(credential.key_file().path.clone())));
        }

        let name = node_name(self.inventory).ok_or_else(|| cannot(Reason::NodeNameUnknown))?;
        let own = subject(&name);
        if *found_subject != own {
            let foreign = |attribute: &&NameAttribute| !own.attributes().contains(attribute);
            return Err(match found_subject.attributes().iter().find(foreign) {
                Some(attribute) => ReviewError::Subject { slot, attribute: attribute.clone() },
                None => ReviewError::OtherProfile { slot, field: "subject" },
            });
        }
        let usages = key_usages(step.key, credential);
        if *found_usages != usages {
            let beyond = found_usages.without(usages);
            return Err(if beyond.is_empty() {
                ReviewError::OtherProfile { slot, field: "key usages" }
            } else {
                ReviewError::KeyUsages { slot, beyond }
            });
        }
        if *extended_key_usages != purposes() {
            return Err(ReviewError::OtherProfile { slot, field: "extended key usages" });
        }
        if !alternative_names.is_empty() {
            return Err(ReviewError::OtherProfile { slot, field: "alternative names" });
        }

        // The name of the file is not in the document, but the moment is from which it follows.
        let placement = Placement::of(FileSlot::KubeletClient);
        let names =
            [validity.not_before().plus(BACKDATE), self.plan.now].map(|moment| placement.dated(moment));
        if let [Some(expected), Some(found)] = names
            && expected != found
        {
            return Err(ReviewError::DatedName { slot, expected, found });
        }
        let algorithm = match step.key {
            KeyPolicy::Generate(to) if to != KEY => {
                let from =
                    old.map_or_else(|| KeyType::from(KEY), |leaf| leaf.public_key().key_type().clone());
                Some(DeviationKind::Algorithm { from, to })
            }
            KeyPolicy::Generate(_) | KeyPolicy::Reuse => None,
        };
        let lifetime = match old {
            Some(old) => deviation::lifetime(*validity, old, issuer.validity, self.now),
            None => {
                let to = validity.not_after().since(validity.not_before());
                let usual = Seconds(DEFAULT_LIFETIME.0 + BACKDATE.0);
                let is_capped = to < usual && validity.not_after() == issuer.validity.not_after();
                (to != usual && !is_capped).then_some(DeviationKind::Lifetime { from: usual, to })
            }
        };
        Ok([lifetime, algorithm].into_iter().flatten().collect())
    }

    /// Checks that a kubeconfig will refer to a certificate that works, and speak to the API server that the tree names.
    pub(super) fn reference(&self, step: &Step) -> Result<(), ReviewError> {
        let slot = step.slot;
        let cannot = |reason| ReviewError::CannotBeRenewed { slot, reason };
        let is_made = self.plan.steps.iter().any(|step| step.slot == Slot::KubeletClient);
        let client = self.inventory.credential(Slot::KubeletClient);
        let works = |client: &Credential| {
            is_intact(client) && client.leaf().is_some_and(|leaf| self.now <= leaf.not_after())
        };
        if !is_made && !client.is_some_and(works) {
            let path = self.inventory.file(FileSlot::KubeletClient).path.clone();
            return Err(cannot(Reason::Damaged(path, "holds no client certificate that works".to_owned())));
        }
        match &step.kubeconfig {
            Some(found @ KubeconfigSpec::CreateReferring { .. }) => {
                let own = new_kubeconfig(self.inventory).map_err(cannot)?;
                if *found == own {
                    return Ok(());
                }
                Err(ReviewError::OtherProfile { slot, field: "cluster, server or user" })
            }
            Some(KubeconfigSpec::Refer { .. }) => {
                let facts = self.inventory.credential(slot).and_then(|credential| credential.kubeconfig());
                match facts.and_then(|facts| facts.reference_obstacle.as_ref()) {
                    Some(obstacle) => {
                        let path = self.inventory.file(step.writes[0].file).path.clone();
                        Err(cannot(Reason::Damaged(path, obstacle.to_string())))
                    }
                    None => Ok(()),
                }
            }
            Some(
                KubeconfigSpec::Edit { .. }
                | KubeconfigSpec::Create { .. }
                | KubeconfigSpec::Trust
                | KubeconfigSpec::TrustExtended,
            )
            | None => Err(ReviewError::OtherProfile { slot, field: "kubeconfig" }),
        }
    }
}

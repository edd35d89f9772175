//! The review of steps that give an authority another end, or change whom a kubeconfig trusts.

use super::{Review, ReviewError};
use crate::catalog::{CaSlot, Slot};
use crate::plan::extend::{configured_lifetime, extendable, trust_step};
use crate::plan::lifetime::tolerance;
use crate::plan::{CertificateSpec, DeviationKind, IssuerRef, KubeconfigSpec, Reason, Replaced, Step};
use crate::time::Seconds;

impl Review<'_> {
    /// Checks that an authority stays who it is, and returns how its lifetime differs from what it had and from what the node's
    /// configuration says. Another first second would be another lifetime for what it has signed, so nothing permits that.
    pub(super) fn extension(
        &self,
        ca: CaSlot,
        step: &Step,
        certificate: &CertificateSpec,
    ) -> Result<Option<DeviationKind>, ReviewError> {
        // A new decision of the plan must find its bounds here.
        let CertificateSpec {
            issuer,
            signature,
            serial,
            validity,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
        } = certificate;
        let slot = Slot::Ca(ca);
        let (old, expected) = extendable(ca, self.inventory.authority(ca))
            .map_err(|reason| ReviewError::CannotBeRenewed { slot, reason })?;
        let found = Replaced { serial: old.serial().clone(), not_after: old.not_after() };
        match &step.replaced {
            Some(expected) if *expected == found => {}
            Some(expected) => {
                return Err(ReviewError::Replaced { slot, expected: expected.clone(), found });
            }
            None => return Err(ReviewError::Identity { slot, field: "certificate" }),
        }
        if *serial == found.serial {
            return Err(ReviewError::RepeatedSerial { slot, serial: serial.clone() });
        }
        if *signature != expected {
            return Err(ReviewError::Signature { slot, expected, found: *signature });
        }
        for (field, is_same) in [
            ("issuer", *issuer == IssuerRef::Itself),
            ("subject", subject == old.subject()),
            ("alternative names", alternative_names == old.alternative_names()),
            ("key usages", *key_usages == old.key_usages().unwrap_or_default()),
            ("extended key usages", extended_key_usages == old.extended_key_usages()),
            ("first second", validity.not_before() == old.not_before()),
        ] {
            if !is_same {
                return Err(ReviewError::Identity { slot, field });
            }
        }
        let not_after = validity.not_after();
        if not_after < self.now {
            return Err(ReviewError::Expired { slot, not_after });
        }
        let from = old.not_after().since(old.not_before());
        let to = not_after.since(validity.not_before());
        // What is counted is what was added when the plan was made, for a plan may wait.
        let given = not_after.since(self.plan.now);
        let is = |usual: Seconds| (given.0 - usual.0).abs() <= tolerance(usual).0;
        let is_usual = is(configured_lifetime(self.inventory.node())) || is(from);
        let is_earlier = not_after < old.not_after();
        Ok((is_earlier || !is_usual).then_some(DeviationKind::Lifetime { from, to }))
    }

    /// Checks that a kubeconfig can be made to trust the authority, and that there is one to be trusted.
    pub(super) fn trust(&self, step: &Step) -> Result<(), ReviewError> {
        let slot = step.slot;
        let cannot = |reason| ReviewError::CannotBeRenewed { slot, reason };
        let (Slot::Kubeconfig(kubeconfig), Some(spec)) = (slot, &step.kubeconfig) else {
            return Err(cannot(Reason::NotRenewable));
        };
        trust_step(self.inventory, kubeconfig, spec.clone()).map_err(cannot)?;
        let cluster = self.inventory.authority(CaSlot::Cluster);
        let facts = self.inventory.credential(slot).and_then(|credential| credential.kubeconfig());
        let file = || self.inventory.file(step.writes[0].file).path.clone();
        let old = cluster.signer();
        let trusts_old =
            facts.zip(old).is_some_and(|(facts, old)| facts.embedded_authorities().contains(old));
        match spec {
            KubeconfigSpec::TrustExtended if !trusts_old => Err(cannot(Reason::UpToDate)),
            KubeconfigSpec::Trust if !facts.is_some_and(|facts| facts.embeds_authority) => {
                Err(cannot(Reason::EmbedsNoAuthority(file())))
            }
            // Its content is that of the authority's file, so that has to be one.
            KubeconfigSpec::Trust if cluster.certificate().present().is_none() => {
                Err(ReviewError::OtherProfile { slot, field: "authority" })
            }
            _ => Ok(()),
        }
    }
}

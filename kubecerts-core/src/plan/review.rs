//! Whether a plan that was read from a document may be issued here.
//!
//! Between the making of a plan and its issue the tree may have changed, and anybody may have edited the document.
//! [`Plan::review`] compares the plan with the tree once more. A plan of [`plan`](super::plan()) or
//! [`create`](super::create()) passes as long as its facts hold. An edit is one of three:
//!
//! * Within what kubeadm or the replaced certificate has: fine, and nothing to say about it.
//! * Other names, another lifetime, another kind of key, a new certificate of an authority that is there: a [`Deviation`], which needs a [`Permission`].
//! * Another identity, more usages, less than its component needs, an issuer that is not there: a [`ReviewError`], which
//!   nothing permits.

mod bounds;
mod deviation;
mod error;
mod extension;
mod kubelet;

use std::collections::BTreeSet;

use super::renew::{renewable, signer};
use super::step::found_at;
use super::{BACKDATE, CertificateSpec, IssuerRef, KeyPolicy, Plan, Reason, Replaced, Step, Write, restarts};
use crate::catalog::{CaSlot, Slot};
use crate::inventory::Inventory;
use crate::time::Timestamp;
use crate::x509::Validity;

pub(crate) use deviation::names as changed_names;
pub use deviation::{Deviation, DeviationKind, Permission, UnknownPermission};
pub use error::ReviewError;

impl Plan {
    /// Compares the plan with `inventory`, whose scan must be as fresh as the snapshot that will be issued from, and
    /// returns how its certificates differ from those that they replace, in the order of the steps.
    ///
    /// The issuers' private keys must be in `inventory`: a plan for a remote signer cannot be reviewed here. A new tree
    /// has nothing to differ from; its certificates must be kubeadm's, but for names of the node and alternative names. What is
    /// new under an authority that exists is a deviation as a whole.
    ///
    /// # Errors
    /// [`ReviewError`] for the first thing that cannot be permitted; what has changed on the disk comes before what was
    /// edited.
    pub fn review(&self, inventory: &Inventory, now: Timestamp) -> Result<Vec<Deviation>, ReviewError> {
        let mut paths = BTreeSet::new();
        for write in self.steps.iter().flat_map(Step::writes) {
            check_facts(inventory, write)?;
            let path = &inventory.file(write.file).path;
            if !paths.insert(path) {
                return Err(ReviewError::RepeatedPath { path: path.clone() });
            }
        }
        let review = Review { plan: self, inventory, now };
        let mut serials = BTreeSet::new();
        let mut node = None;
        let mut deviations = Vec::new();
        for step in &self.steps {
            let slot = step.slot;
            let Some(certificate) = &step.certificate else {
                if step.is_repair() {
                    review.reference(step)?;
                } else if step.is_trust() {
                    review.trust(step)?;
                }
                continue;
            };
            let issued_by = slot.issuer().map_or(slot, Slot::Ca);
            if !serials.insert((issued_by, &certificate.serial)) {
                return Err(ReviewError::RepeatedSerial { slot, serial: certificate.serial.clone() });
            }
            if let Slot::Ca(ca) = slot
                && step.is_extension()
            {
                let change = review.extension(ca, step, certificate)?;
                deviations.extend(change.map(|change| Deviation { slot, change }));
                continue;
            }
            let issuer = review.issuer(slot, certificate)?;
            review.check_dates(slot, certificate.validity, &issuer)?;
            let changes = match &step.replaced {
                _ if step.is_repair() => review.kubelet(step, certificate, &issuer)?,
                Some(replaced) => review.renewal(step, certificate, replaced, &issuer)?,
                None => {
                    if let Some(found) = bounds::check_creation(slot, certificate, inventory.node())? {
                        let expected = node.get_or_insert_with(|| found.clone()).clone();
                        if found != expected {
                            return Err(ReviewError::OtherNode { slot, expected, found });
                        }
                    }
                    deviation::new_identity(certificate).into_iter().collect()
                }
            };
            deviations.extend(changes.into_iter().map(|change| Deviation { slot, change }));
            let not_before = certificate.validity.not_before();
            if now < not_before {
                deviations.push(Deviation { slot, change: DeviationKind::NotYetValid { not_before } });
            }
        }
        self.check_restarts(inventory)?;
        Ok(deviations)
    }

    /// Nobody may be led to leave a component with the old certificates. What is new runs nowhere yet.
    fn check_restarts(&self, inventory: &Inventory) -> Result<(), ReviewError> {
        let renewed = self.steps.iter().filter(|step| !step.is_creation());
        let files = renewed.flat_map(Step::writes).map(Write::file).collect();
        let expected = restarts(inventory.node(), &files);
        if self.restarts == expected {
            return Ok(());
        }
        Err(ReviewError::Restarts { expected, found: self.restarts.clone() })
    }
}

/// What the plan writes must be what it was made for, and gets no rights that it does not have.
fn check_facts(inventory: &Inventory, write: &Write) -> Result<(), ReviewError> {
    let facts = inventory.file(write.file);
    let path = || facts.path.clone();
    let found = found_at(inventory, write.file).ok_or_else(|| ReviewError::Unreadable { path: path() })?;
    if found != write.expected {
        return Err(ReviewError::Stale { path: path(), expected: write.expected, found });
    }
    let current = facts.meta.as_ref().map_or(write.file.mode(), |meta| meta.mode);
    if current & !write.mode & OWNER_READS != 0 {
        return Err(ReviewError::Unusable { path: path(), found: write.mode });
    }
    let allowed = write.file.mode() | facts.meta.as_ref().map_or(0, |meta| meta.mode & 0o777);
    if write.mode & !allowed != 0 {
        return Err(ReviewError::Mode { path: path(), allowed, found: write.mode });
    }
    Ok(())
}

/// The permission of a file's owner to read it.
const OWNER_READS: u32 = 0o400;

struct Review<'a> {
    plan: &'a Plan,
    inventory: &'a Inventory,
    now: Timestamp,
}

/// Who signs, as far as the dates of what it signs depend on it.
struct Issuer {
    /// `None` for what signs itself.
    ca: Option<CaSlot>,
    validity: Validity,
}

impl Review<'_> {
    /// Finds the issuer, on the disk or in the plan, and checks that its key makes such signatures.
    fn issuer(&self, slot: Slot, certificate: &CertificateSpec) -> Result<Issuer, ReviewError> {
        let created = |slot: Slot| {
            let step = self.plan.steps.iter().find(|step| step.slot == slot)?;
            let KeyPolicy::Generate(algorithm) = step.key else { return None };
            Some((step.certificate.as_ref()?.validity, algorithm.signature()))
        };
        let (ca, (validity, expected)) = match certificate.issuer {
            IssuerRef::Existing { ca, public_key: expected } => {
                let authority = self.inventory.authority(ca);
                let (signer, signature) = signer(ca, authority, &BTreeSet::new(), self.now)
                    .map_err(|reason| ReviewError::CannotBeRenewed { slot, reason })?;
                let found = signer.public_key().fingerprint();
                if found != expected {
                    return Err(ReviewError::IssuerChanged { issuer: ca, expected, found });
                }
                let validity = Validity::new(signer.not_before(), signer.not_after())
                    .expect("an authority that can sign now begins before it ends");
                (Some(ca), (validity, signature))
            }
            IssuerRef::Created(ca) => {
                let created = created(Slot::Ca(ca));
                (Some(ca), created.ok_or(ReviewError::IssuerNotCreated { slot, issuer: ca })?)
            }
            IssuerRef::Itself => {
                let own = created(slot);
                (None, own.ok_or(ReviewError::OtherProfile { slot, field: "issuer" })?)
            }
        };
        let found = certificate.signature;
        if found == expected {
            Ok(Issuer { ca, validity })
        } else {
            Err(ReviewError::Signature { slot, expected, found })
        }
    }

    /// No plan makes a certificate that outlives its issuer, and an old plan must not issue what has ended since.
    fn check_dates(&self, slot: Slot, found: Validity, issuer: &Issuer) -> Result<(), ReviewError> {
        let allowed = issuer.validity;
        // A certificate of a new authority is set back behind the authority's own begin.
        let begins_too_early = found.not_before() < allowed.not_before().minus(BACKDATE);
        if let Some(issuer) = issuer.ca
            && (begins_too_early || allowed.not_after() < found.not_after())
        {
            return Err(ReviewError::BeyondIssuer { slot, issuer, allowed, found });
        }
        if found.not_after() < self.now {
            return Err(ReviewError::Expired { slot, not_after: found.not_after() });
        }
        Ok(())
    }

    /// Compares a renewal with the certificate that it replaces.
    fn renewal(
        &self,
        step: &Step,
        certificate: &CertificateSpec,
        expected: &Replaced,
        issuer: &Issuer,
    ) -> Result<Vec<DeviationKind>, ReviewError> {
        // A new decision of the plan must find its bounds here.
        let CertificateSpec {
            issuer: _,
            signature: _,
            serial,
            validity,
            subject: _,
            alternative_names,
            key_usages: _,
            extended_key_usages: _,
        } = certificate;
        let slot = step.slot;
        let cannot = |reason| ReviewError::CannotBeRenewed { slot, reason };
        let (Some(profile), Some(credential)) = (bounds::profile(slot), self.inventory.credential(slot))
        else {
            return Err(cannot(Reason::NotRenewable));
        };
        let old = renewable(credential).map_err(cannot)?;
        let found = Replaced { serial: old.serial().clone(), not_after: old.not_after() };
        if found != *expected {
            return Err(ReviewError::Replaced { slot, expected: expected.clone(), found });
        }
        // With the serial of the old certificate nobody could tell whether the new one is in its place.
        if *serial == found.serial {
            return Err(ReviewError::RepeatedSerial { slot, serial: serial.clone() });
        }
        // The file of a kept key is not written, so its digest was not compared.
        if step.key == KeyPolicy::Reuse && credential.key_matches() != Some(true) {
            return Err(cannot(Reason::NoKeyToReuse(credential.key_file().path.clone())));
        }
        bounds::check_renewal(slot, certificate, profile, old, self.inventory.node())?;
        let changes = [
            deviation::names(alternative_names.as_slice(), old.alternative_names().as_slice()),
            deviation::lifetime(*validity, old, issuer.validity, self.now),
            deviation::algorithm(step, old),
        ];
        Ok(changes.into_iter().flatten().collect())
    }
}

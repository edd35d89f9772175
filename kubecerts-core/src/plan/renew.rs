//! The renewal of one slot: a step, or the reason why not.

use std::collections::BTreeSet;

use super::step::{
    CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Note, Placement, Replaced, Step, Write, found,
};
use super::{
    AuthorityProblem, BACKDATE, KeyChoice, PlanRequest, Reason, Selection, is_foreign, lifetime, names,
    serial,
};
use crate::catalog::{CaSlot, ClientSpec, FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{Authority, ChainFact, Credential, Custody, FileFacts, Inventory, Reading};
use crate::time::Timestamp;
use crate::x509::{Certificate, ExtendedKeyUsages, KeyUsages, Purpose, SignatureAlgorithm, Validity};

pub(super) struct Renewal<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) request: &'a PlanRequest,
    pub(super) now: Timestamp,
    pub(super) serials: &'a serial::Serials,
}

impl Renewal<'_> {
    /// Returns what to do about `slot`, or `None` when nobody asked for it.
    pub(super) fn consider(&self, slot: Slot) -> Option<Result<Step, Reason>> {
        let named = match &self.request.selection {
            Selection::Named(slots) => {
                if !slots.contains(&slot) {
                    return None;
                }
                true
            }
            Selection::Due | Selection::All => false,
        };
        let (spec, file) = match slot {
            Slot::Leaf(leaf) => (leaf.spec(), FileSlot::LeafCertificate(leaf)),
            Slot::Kubeconfig(kubeconfig) => (kubeconfig.spec(), FileSlot::Kubeconfig(kubeconfig)),
            Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => {
                return named.then_some(Err(Reason::NotRenewable));
            }
        };
        if is_foreign(self.inventory, slot) {
            let path = self.inventory.node().layout().path(file).clone();
            return named.then_some(Err(Reason::Missing(path)));
        }
        let credential = self.inventory.credential(slot)?;
        if slot == Slot::Kubeconfig(KubeconfigSlot::Kubelet) && !named {
            // kubeadm never renews it, and the kubelet rotates what it refers to. What it embeds nobody rotates: that
            // is renewed when it is due, or by name.
            let embedded = credential.kubeconfig().is_some_and(|kubeconfig| kubeconfig.is_embedded);
            if !embedded || self.request.selection == Selection::All {
                return Some(Err(Reason::KubeletOwned));
            }
        }
        let has_file = credential.certificate_file().exists;
        if self.request.selection == Selection::Due && has_file && credential.certificate().is_absent() {
            // A kubeconfig with a token has nothing that could be due.
            return None;
        }
        Some(self.renew(slot, credential, spec))
    }

    fn renew(&self, slot: Slot, credential: &Credential, spec: ClientSpec) -> Result<Step, Reason> {
        let leaf = renewable(credential)?;
        if self.request.selection == Selection::Due && !self.is_due(credential, leaf) {
            return Err(Reason::NotDue { not_after: leaf.not_after() });
        }
        let ca = spec.issuer;
        let authority = self.inventory.authority(ca);
        if self.request.selection == Selection::All
            && !self.inventory.node().expects(Slot::Ca(ca))
            && authority.custody() != Custody::Held
            && !self.request.remote_authorities.contains(&ca)
            && !self.is_due(credential, leaf)
        {
            // kubeadm's `renew all` leaves out what belongs to an external etcd. Here it is renewed where that is
            // possible, and missed only when it is due.
            return Err(Reason::NotDue { not_after: leaf.not_after() });
        }
        let (signer, signature) = signer(ca, authority, &self.request.remote_authorities, self.now)?;
        let mut notes = Vec::new();

        let (alternative_names, note) = names::successor(self.inventory, self.request, slot, leaf)?;
        notes.extend(note);
        let question = lifetime::Question {
            slot,
            old: leaf,
            signer: Some(signer),
            inventory: self.inventory,
            now: self.now,
            is_due: self.is_due(credential, leaf),
        };
        let (lifetime, note) = lifetime::decide(&question, self.request)?;
        notes.extend(note);
        let asked = self.now.plus(lifetime);
        let not_after = asked.min(signer.not_after());
        if not_after < asked {
            notes.push(Note::Capped { ca, asked: lifetime });
        }
        let only_dated = credential.key_matches() == Some(true) && leaf.not_before() <= self.now;
        if self.request.selection == Selection::Due && only_dated && not_after <= leaf.not_after() {
            // Renewing would change nothing, today or at the next look: the plan would never come to rest.
            return Err(Reason::CannotBeExtended { not_after });
        }
        if matches!(credential.chain(), Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_))) {
            notes.push(Note::AuthorityChanged(ca));
        }
        let further = credential.certificate().present().map_or(0, |bundle| bundle.certificates().len() - 1);
        if further > 0 {
            notes.push(Note::ChainDropped(further));
        }

        let dropped = dropped_extensions(leaf);
        if !dropped.is_empty() {
            notes.push(Note::ExtensionsDropped(dropped));
        }

        let key = self.key(credential, leaf, &mut notes)?;
        let kubeconfig = credential.kubeconfig().map(|kubeconfig| {
            let replace_authority = kubeconfig.needs_authority(authority);
            if replace_authority {
                notes.push(Note::AuthorityDataReplaced);
            }
            KubeconfigSpec::Edit { replace_authority }
        });
        let writes = writes(slot, credential, key, &mut notes)?;
        Ok(Step {
            certificate: Some(CertificateSpec {
                issuer: IssuerRef::Existing { ca, public_key: signer.public_key().fingerprint() },
                signature,
                serial: self.serials.of(slot),
                validity: Validity::new(self.now.minus(BACKDATE), not_after).map_err(|_| {
                    Reason::AuthorityUnusable(ca, AuthorityProblem::Expired(signer.not_after()))
                })?,
                subject: leaf.subject().clone(),
                alternative_names,
                key_usages: key_usages(leaf),
                extended_key_usages: extended_key_usages(leaf, spec, &mut notes),
            }),
            replaced: Some(Replaced { serial: leaf.serial().clone(), not_after: leaf.not_after() }),
            slot,
            key,
            kubeconfig,
            writes,
            notes,
        })
    }

    pub(super) fn is_due(&self, credential: &Credential, leaf: &Certificate) -> bool {
        is_due(credential, leaf, self.request, self.now)
    }

    fn key(
        &self,
        credential: &Credential,
        leaf: &Certificate,
        notes: &mut Vec<Note>,
    ) -> Result<KeyPolicy, Reason> {
        if self.request.keys == KeyChoice::Reuse {
            return match credential.key_matches() {
                Some(true) => Ok(KeyPolicy::Reuse),
                Some(false) | None => Err(Reason::NoKeyToReuse(credential.key_file().path.clone())),
            };
        }
        let from = leaf.public_key().key_type();
        let to = from.issuable().ok_or_else(|| Reason::UnsupportedKey(from.to_string()))?;
        if *from != to.into() {
            notes.push(Note::KeyChanged { from: from.clone(), to });
        }
        Ok(KeyPolicy::Generate(to))
    }
}

/// Returns whether the certificate ends soon, has not begun, or lacks its key.
pub(crate) fn is_due(
    credential: &Credential,
    leaf: &Certificate,
    request: &PlanRequest,
    now: Timestamp,
) -> bool {
    leaf.not_after() <= now.plus(request.window)
        || leaf.not_before() > now
        // A certificate without its key stops its component at the next start.
        || (credential.key_matches() != Some(true) && !credential.has_unsupported_key())
}

/// Returns the certificate that signs for `ca` at `now`, and the algorithm.
pub(crate) fn signer<'i>(
    ca: CaSlot,
    authority: &'i Authority,
    remote: &BTreeSet<CaSlot>,
    now: Timestamp,
) -> Result<(&'i Certificate, SignatureAlgorithm), Reason> {
    let unusable = |problem| Reason::AuthorityUnusable(ca, problem);
    let damaged = |facts: &FileFacts, reason| unusable(AuthorityProblem::Damaged(facts.path.clone(), reason));
    match authority.custody() {
        Custody::Held => {}
        Custody::External if remote.contains(&ca) => {}
        Custody::External => return Err(Reason::ExternalAuthority(ca)),
        Custody::Absent => {
            return Err(unusable(AuthorityProblem::Absent(authority.certificate_file().path.clone())));
        }
        Custody::Broken => {
            if let Some(reason) = authority.certificate().problem() {
                return Err(damaged(authority.certificate_file(), reason));
            }
            if let Some(reason) = authority.key().problem() {
                return Err(damaged(authority.key_file(), reason));
            }
            return Err(unusable(AuthorityProblem::KeyMismatch));
        }
    }
    let signer = authority.signer().expect("an authority that is held or external has a certificate");
    if !signer.is_authority() {
        return Err(unusable(AuthorityProblem::NotAnAuthority));
    }
    if signer.not_after() < now {
        return Err(unusable(AuthorityProblem::Expired(signer.not_after())));
    }
    if signer.not_before() > now {
        return Err(unusable(AuthorityProblem::NotYetValid(signer.not_before())));
    }
    let key_type = signer.public_key().key_type();
    let signature = key_type
        .signature()
        .ok_or_else(|| unusable(AuthorityProblem::UnsupportedKey(key_type.to_string())))?;
    Ok((signer, signature))
}

/// Returns the certificate to renew, or why there is none that could be.
pub(super) fn renewable(credential: &Credential) -> Result<&Certificate, Reason> {
    let facts = credential.certificate_file();
    let leaf = match credential.certificate() {
        Reading::Present(bundle) => bundle.first(),
        Reading::Absent if !facts.exists => return Err(Reason::Missing(facts.path.clone())),
        Reading::Absent => {
            return Err(Reason::Damaged(facts.path.clone(), "holds no client certificate".to_owned()));
        }
        Reading::Unreadable(problem) => {
            return Err(Reason::Unreadable(facts.path.clone(), problem.to_string()));
        }
        Reading::Damaged(damage) => return Err(Reason::Damaged(facts.path.clone(), damage.to_string())),
    };
    if let Some(obstacle) = credential.kubeconfig().and_then(|kubeconfig| kubeconfig.obstacle.as_ref()) {
        return Err(Reason::Damaged(facts.path.clone(), obstacle.to_string()));
    }
    if credential.kubeconfig().is_some_and(|kubeconfig| !kubeconfig.is_embedded) {
        return Err(Reason::Referenced(facts.path.clone()));
    }
    if let Reading::Unreadable(problem) = credential.key() {
        return Err(Reason::Unreadable(credential.key_file().path.clone(), problem.to_string()));
    }
    Ok(leaf)
}

/// Returns the extensions of the old certificate that kubeadm's profile has no place for, sorted.
fn dropped_extensions(leaf: &Certificate) -> Vec<String> {
    let dropped = leaf.extensions().iter().filter(|extension| !extension.is_of_profile());
    let names: BTreeSet<&str> = dropped.map(|extension| extension.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Keeps the old certificate's usages, less what only authorities may have; without any the key gets kubeadm's.
fn key_usages(leaf: &Certificate) -> KeyUsages {
    match leaf.key_usages().map(KeyUsages::without_authority) {
        Some(usages) if !usages.is_empty() => usages,
        Some(_) | None => KeyUsages::LEAF,
    }
}

fn extended_key_usages(leaf: &Certificate, spec: ClientSpec, notes: &mut Vec<Note>) -> ExtendedKeyUsages {
    if !leaf.extended_key_usages().is_empty() {
        return leaf.extended_key_usages().clone();
    }
    notes.push(Note::UsagesFromCatalogue);
    ExtendedKeyUsages::new(spec.usages.iter().copied().map(Purpose::from).collect())
}

fn writes(
    slot: Slot,
    credential: &Credential,
    key: KeyPolicy,
    notes: &mut Vec<Note>,
) -> Result<Vec<Write>, Reason> {
    match slot {
        Slot::Leaf(leaf) => {
            // etcd and the API server read the certificate first. Replaced in this order, a pair that they read meanwhile fits
            // unless they come between the two; in the other order it also fails when the two come between their reads.
            let mut writes =
                vec![write(FileSlot::LeafCertificate(leaf), credential.certificate_file(), notes)?];
            if matches!(key, KeyPolicy::Generate(_)) {
                writes.push(write(FileSlot::LeafKey(leaf), credential.key_file(), notes)?);
            }
            Ok(writes)
        }
        Slot::Kubeconfig(kubeconfig) => {
            Ok(vec![write(FileSlot::Kubeconfig(kubeconfig), credential.certificate_file(), notes)?])
        }
        Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => {
            Err(Reason::NotRenewable)
        }
    }
}

/// Returns the write of `file`, at which `facts` were found; it keeps the mode.
pub(super) fn write(file: FileSlot, facts: &FileFacts, notes: &mut Vec<Note>) -> Result<Write, Reason> {
    let expected = found(facts)
        .ok_or_else(|| Reason::Unreadable(facts.path.clone(), "its content is not known".to_owned()))?;
    let current = facts.meta.as_ref().map(|meta| meta.mode & 0o777);
    let mode = match current {
        // A secret never stays open to everybody.
        Some(_) if file.is_secret() && facts.is_open_to_others() => {
            let mode = facts.private_mode();
            notes.push(Note::ModeTightened(mode));
            mode
        }
        Some(mode) => mode,
        None => file.mode(),
    };
    Ok(Write { file, expected, mode, placement: Placement::of(file) })
}

//! A later end for authorities: the same key, the same names, and everybody who trusts the old certificate of them.
//!
//! What an authority has signed names its key and its subject, never its dates. So a certificate with the same key, the same
//! subject bytes and the same key identifier verifies every old leaf, and whoever trusts only the old one goes on with that
//! until its end. No leaf is renewed, and the order of the writes does not matter to anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::lifetime::tolerance;
use super::renew::write;
use super::step::{CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Note, Replaced, Step, Write};
use super::{
    AuthorityProblem, Deferred, Permission, Plan, PlanError, Reason, refuse_links_out_of_the_root, restarts,
    serial, shares_a_file,
};
use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{Authority, Custody, Inventory};
use crate::manifest::KubeadmConfig;
use crate::provider::Entropy;
use crate::snapshot::NodeFacts;
use crate::time::{Seconds, Timestamp};
use crate::x509::{Certificate, SignatureAlgorithm, SignatureVerdict, Validity};

/// How long the certificate of an authority is valid unless something else is asked for: ten years of 365 days, kubeadm's
/// `CACertificateValidityPeriod` (`cmd/kubeadm/app/constants/constants.go`).
pub const DEFAULT_AUTHORITY_LIFETIME: Seconds = Seconds::from_days(3650);

/// How long before its end an authority is due: half a year, because every node and everybody who keeps a copy of its
/// certificate has to get the new one before the old one ends.
pub const AUTHORITY_WINDOW: Seconds = Seconds::from_days(180);

/// Decides which authorities of `inventory` get a certificate with a later end at `now`, and which kubeconfigs have to trust it.
///
/// Key, subject, key identifier and every other extension stay as they are, and so does the first second of the validity: old
/// leaves begin with their authority (kubeadm before 1.29 made them so), and a node whose clock is behind must not refuse
/// everything at once. The end is `now` and the lifetime.
///
/// # Errors
/// [`PlanError`] when the request cannot be met by any plan, such as an earlier end that nobody has permitted. An authority
/// that cannot be extended here is no error but a [`Deferred`].
pub fn extend(
    inventory: &Inventory,
    request: &ExtendRequest,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<Plan, PlanError> {
    let mut lifetimes = request.lifetimes.values().chain([&request.lifetime]);
    if let Some(lifetime) = lifetimes.find(|lifetime| lifetime.0 <= 0) {
        return Err(PlanError::Lifetime(*lifetime));
    }
    refuse_links_out_of_the_root(inventory, |slot| match slot {
        Slot::Ca(ca) => request.authorities.may_include(ca),
        Slot::Kubeconfig(_) => request.authorities.may_include(CaSlot::Cluster),
        _ => false,
    })?;
    let serials = serial::Serials::draw(entropy)?;
    let extension = Extension { inventory, request, now, serials: &serials };
    let mut steps: Vec<Step> = Vec::new();
    let mut deferred = Vec::new();
    for ca in CaSlot::ALL {
        let slot = Slot::Ca(ca);
        let Some(outcome) = extension.consider(ca)? else { continue };
        match outcome {
            Ok(step) => match steps.iter().find(|earlier| shares_a_file(inventory, earlier, &step)) {
                Some(earlier) => deferred.push(Deferred::new(slot, Reason::SameFilesAs(earlier.slot()))),
                None => steps.push(step),
            },
            Err(reason) => deferred.push(Deferred::new(slot, reason)),
        }
    }
    if let Some(old) = inventory.authority(CaSlot::Cluster).signer()
        && steps.iter().any(|step| step.slot == Slot::Ca(CaSlot::Cluster))
    {
        for kubeconfig in KubeconfigSlot::ALL {
            match trust_extended(inventory, kubeconfig, old) {
                Some(Ok(step)) => steps.push(step),
                Some(Err(reason)) => deferred.push(Deferred::new(Slot::Kubeconfig(kubeconfig), reason)),
                None => {}
            }
        }
    }
    steps.sort_by_key(Step::slot);
    Ok(conclude(inventory, steps, deferred, now))
}

/// Decides which kubeconfigs get the certificates in the file of the cluster's authority instead of those that they trust:
/// those of `kubeconfigs`, or without any all that lack one of these certificates.
///
/// A kubeconfig that refers to a file keeps its reference.
///
/// # Errors
/// [`PlanError`] when a file is reached over a link out of the root.
pub fn trust(
    inventory: &Inventory,
    kubeconfigs: &BTreeSet<KubeconfigSlot>,
    now: Timestamp,
) -> Result<Plan, PlanError> {
    let is_meant = |kubeconfig: KubeconfigSlot| kubeconfigs.is_empty() || kubeconfigs.contains(&kubeconfig);
    refuse_links_out_of_the_root(
        inventory,
        |slot| matches!(slot, Slot::Kubeconfig(kubeconfig) if is_meant(kubeconfig)),
    )?;
    let mut steps = Vec::new();
    let mut deferred = Vec::new();
    for kubeconfig in KubeconfigSlot::ALL.into_iter().filter(|kubeconfig| is_meant(*kubeconfig)) {
        let named = !kubeconfigs.is_empty();
        match trust_tree(inventory, kubeconfig) {
            Ok(step) => steps.push(step),
            Err(Reason::Missing(_)) if !named => {}
            Err(reason) => deferred.push(Deferred::new(Slot::Kubeconfig(kubeconfig), reason)),
        }
    }
    steps.sort_by_key(Step::slot);
    Ok(conclude(inventory, steps, deferred, now))
}

/// Which authorities get a later end, and which.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExtendRequest {
    /// Which authorities; those that are due by default.
    pub authorities: Authorities,
    /// How long before its end an authority is due; half a year by default.
    pub window: Seconds,
    /// How long the new certificates are valid from now on; ten years by default.
    pub lifetime: Seconds,
    /// Authorities with a lifetime of their own; none by default.
    pub lifetimes: BTreeMap<CaSlot, Seconds>,
    /// What was permitted: with [`Permission::Validity`] also an end before the old one. Nothing by default.
    pub permissions: BTreeSet<Permission>,
}

impl Default for ExtendRequest {
    fn default() -> Self {
        Self {
            authorities: Authorities::Due,
            window: AUTHORITY_WINDOW,
            lifetime: DEFAULT_AUTHORITY_LIFETIME,
            lifetimes: BTreeMap::new(),
            permissions: BTreeSet::new(),
        }
    }
}

impl ExtendRequest {
    /// Returns the default request for a node: the lifetime is the one of its kubeadm configuration, if that names one.
    #[must_use]
    pub fn for_node(node: &NodeFacts) -> Self {
        Self { lifetime: configured_lifetime(node), ..Self::default() }
    }

    /// Has every authority be valid for `lifetime`, whatever was stated before.
    pub fn insist_on_lifetime(&mut self, lifetime: Seconds) {
        self.lifetime = lifetime;
        self.lifetimes.clear();
    }

    /// Returns how long the new certificate of `ca` is to be valid.
    #[must_use]
    pub fn lifetime_of(&self, ca: CaSlot) -> Seconds {
        self.lifetimes.get(&ca).copied().unwrap_or(self.lifetime)
    }
}

/// Which authorities to extend.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Authorities {
    /// Those that end within the window.
    Due,
    /// All that the node has.
    All,
    /// These.
    Named(BTreeSet<CaSlot>),
}

impl Authorities {
    fn may_include(&self, ca: CaSlot) -> bool {
        match self {
            Self::Due | Self::All => true,
            Self::Named(named) => named.contains(&ca),
        }
    }
}

struct Extension<'a> {
    inventory: &'a Inventory,
    request: &'a ExtendRequest,
    now: Timestamp,
    serials: &'a serial::Serials,
}

impl Extension<'_> {
    /// Returns what to do about `ca`, or `None` when nobody asked for it.
    fn consider(&self, ca: CaSlot) -> Result<Option<Result<Step, Reason>>, PlanError> {
        let Self { inventory, request, now, .. } = *self;
        let authority = inventory.authority(ca);
        let is_named = matches!(request.authorities, Authorities::Named(_));
        if !request.authorities.may_include(ca) {
            return Ok(None);
        }
        if !authority.certificate_file().exists {
            let is_foreign = !inventory.node().expects(Slot::Ca(ca)) || inventory.is_worker();
            let missing = Reason::Missing(authority.certificate_file().path.clone());
            return Ok((is_named || !is_foreign).then_some(Err(missing)));
        }
        let due = |old: &Certificate| old.not_after() <= now.plus(request.window);
        // Nobody misses the key of an external etcd's authority before that is due.
        let is_elsewhere =
            !is_named && !inventory.node().expects(Slot::Ca(ca)) && authority.custody() != Custody::Held;
        if let Some(old) = authority.signer()
            && (request.authorities == Authorities::Due || is_elsewhere)
            && !due(old)
        {
            return Ok(Some(Err(Reason::NotDue { not_after: old.not_after() })));
        }
        let (old, signature) = match extendable(ca, authority) {
            Ok(found) => found,
            Err(reason) => return Ok(Some(Err(reason))),
        };
        let lifetime = request.lifetime_of(ca);
        let not_after = now.plus(lifetime);
        let gained = not_after.since(old.not_after());
        if gained.0.abs() <= tolerance(lifetime).0 {
            return Ok(Some(Err(Reason::NotDue { not_after: old.not_after() })));
        }
        if gained.0 < 0 && !request.permissions.contains(&Permission::Validity) {
            return Err(PlanError::Shortens { ca, from: old.not_after(), to: not_after });
        }
        Ok(Some(self.step(ca, old, signature, not_after)))
    }

    fn step(
        &self,
        ca: CaSlot,
        old: &Certificate,
        signature: SignatureAlgorithm,
        not_after: Timestamp,
    ) -> Result<Step, Reason> {
        let slot = Slot::Ca(ca);
        let mut notes = Vec::new();
        if old.signature_algorithm() != signature.name() {
            notes.push(Note::SignatureChanged { from: old.signature_algorithm(), to: signature });
        }
        if not_after < old.not_after() {
            notes.push(Note::Shortened);
        }
        let facts = self.inventory.authority(ca).certificate_file();
        let validity = Validity::new(old.not_before(), not_after)
            .map_err(|_| Reason::AuthorityUnusable(ca, AuthorityProblem::NotYetValid(old.not_before())))?;
        Ok(Step {
            slot,
            key: KeyPolicy::Reuse,
            writes: vec![write(FileSlot::CaCertificate(ca), facts, &mut notes)?],
            certificate: Some(CertificateSpec {
                issuer: IssuerRef::Itself,
                signature,
                serial: self.serials.of(slot),
                validity,
                subject: old.subject().clone(),
                alternative_names: old.alternative_names().clone(),
                key_usages: old.key_usages().unwrap_or_default(),
                extended_key_usages: old.extended_key_usages().clone(),
            }),
            kubeconfig: None,
            replaced: Some(Replaced { serial: old.serial().clone(), not_after: old.not_after() }),
            notes,
        })
    }
}

/// Returns the certificate of `ca` that can be extended with the key that is here, and the algorithm that it signs with.
///
/// It may have expired: that is what the extension is for.
pub(super) fn extendable(
    ca: CaSlot,
    authority: &Authority,
) -> Result<(&Certificate, SignatureAlgorithm), Reason> {
    let unusable = |problem| Reason::AuthorityUnusable(ca, problem);
    let (certificate_file, key_file) = (authority.certificate_file(), authority.key_file());
    match authority.custody() {
        Custody::Held => {}
        Custody::External => {
            // Whoever has the key of an intermediate cannot extend it either, so that is the better reason.
            if let Some(signer) = authority.signer() {
                must_sign_itself(signer)?;
            }
            return Err(Reason::ExternalAuthority(ca));
        }
        Custody::Absent => {
            return Err(unusable(AuthorityProblem::Absent(certificate_file.path.clone())));
        }
        Custody::Broken => {
            for (facts, problem) in
                [(certificate_file, authority.certificate().problem()), (key_file, authority.key().problem())]
            {
                if let Some(problem) = problem {
                    return Err(unusable(AuthorityProblem::Damaged(facts.path.clone(), problem)));
                }
            }
            return Err(unusable(AuthorityProblem::KeyMismatch));
        }
    }
    let signer = authority.signer().expect("an authority that is held has a certificate");
    must_sign_itself(signer)?;
    if !signer.is_authority() {
        return Err(unusable(AuthorityProblem::NotAnAuthority));
    }
    // Its place among the others could not be found again for sure.
    if let Some(damage) = authority.certificate().present().and_then(|bundle| bundle.damaged().first()) {
        return Err(Reason::Damaged(certificate_file.path.clone(), damage.to_string()));
    }
    let key_type = signer.public_key().key_type();
    let signature = key_type
        .signature()
        .ok_or_else(|| unusable(AuthorityProblem::UnsupportedKey(key_type.to_string())))?;
    Ok((signer, signature))
}

/// Another one's signature cannot be made here, and without it the certificate is another link of another chain.
fn must_sign_itself(certificate: &Certificate) -> Result<(), Reason> {
    let is_by_itself = certificate.is_self_issued()
        && match certificate.verify_signature(certificate.public_key()) {
            SignatureVerdict::Valid => true,
            SignatureVerdict::Invalid => false,
            // SHA-1 is not verified here; then the key identifiers have to tell.
            SignatureVerdict::Unsupported(_) => certificate
                .authority_key_identifier()
                .is_none_or(|issuer| certificate.subject_key_identifier() == Some(issuer)),
        };
    if is_by_itself { Ok(()) } else { Err(Reason::SignedByAnother(certificate.issuer().to_string())) }
}

/// Returns the step that makes `kubeconfig` trust the extended certificate instead of `old`; `None` when it does not embed that.
fn trust_extended(
    inventory: &Inventory,
    kubeconfig: KubeconfigSlot,
    old: &Certificate,
) -> Option<Result<Step, Reason>> {
    let slot = Slot::Kubeconfig(kubeconfig);
    let facts = inventory.credential(slot)?.kubeconfig()?;
    facts
        .embedded_authorities()
        .contains(old)
        .then(|| trust_step(inventory, kubeconfig, KubeconfigSpec::TrustExtended))
}

fn trust_tree(inventory: &Inventory, kubeconfig: KubeconfigSlot) -> Result<Step, Reason> {
    let file = inventory.file(FileSlot::Kubeconfig(kubeconfig));
    if !file.exists {
        return Err(Reason::Missing(file.path.clone()));
    }
    let authority = inventory.authority(CaSlot::Cluster);
    if authority.certificate().present().is_none() {
        let path = authority.certificate_file().path.clone();
        let problem = match authority.certificate().problem() {
            Some(problem) => AuthorityProblem::Damaged(path, problem),
            None => AuthorityProblem::Absent(path),
        };
        return Err(Reason::AuthorityUnusable(CaSlot::Cluster, problem));
    }
    let slot = Slot::Kubeconfig(kubeconfig);
    let credential = inventory.credential(slot).ok_or(Reason::NotRenewable)?;
    let Some(facts) = credential.kubeconfig() else {
        let problem = credential.certificate().problem().unwrap_or_default();
        return Err(Reason::Unreadable(file.path.clone(), problem));
    };
    if let Err(damage) = &facts.file {
        return Err(Reason::Damaged(file.path.clone(), damage.to_string()));
    }
    if let Some(dangling) = &facts.dangling {
        return Err(Reason::Damaged(file.path.clone(), dangling.to_string()));
    }
    if !facts.embeds_authority {
        return Err(Reason::EmbedsNoAuthority(file.path.clone()));
    }
    if !facts.needs_authority(authority) {
        return Err(Reason::UpToDate);
    }
    trust_step(inventory, kubeconfig, KubeconfigSpec::Trust)
}

/// Returns the step that changes whom `kubeconfig` trusts.
pub(super) fn trust_step(
    inventory: &Inventory,
    kubeconfig: KubeconfigSlot,
    spec: KubeconfigSpec,
) -> Result<Step, Reason> {
    let (slot, file) = (Slot::Kubeconfig(kubeconfig), FileSlot::Kubeconfig(kubeconfig));
    let facts = inventory.file(file);
    let obstacle = inventory
        .credential(slot)
        .and_then(|credential| credential.kubeconfig())
        .and_then(|kubeconfig| kubeconfig.authority_obstacle.as_ref());
    if let Some(obstacle) = obstacle {
        return Err(Reason::Damaged(facts.path.clone(), obstacle.to_string()));
    }
    let mut notes = Vec::new();
    Ok(Step {
        slot,
        key: KeyPolicy::Reuse,
        writes: vec![write(file, facts, &mut notes)?],
        certificate: None,
        kubeconfig: Some(spec),
        replaced: None,
        notes,
    })
}

fn conclude(inventory: &Inventory, steps: Vec<Step>, mut deferred: Vec<Deferred>, now: Timestamp) -> Plan {
    deferred.sort_by_key(Deferred::slot);
    let files = steps.iter().flat_map(Step::writes).map(Write::file).collect();
    let restarts = restarts(inventory.node(), &files);
    Plan { steps, deferred, restarts, now }
}

/// Returns how long the authorities of `node` are valid by its configuration, or by default.
pub(super) fn configured_lifetime(node: &NodeFacts) -> Seconds {
    let configured = node.kubeadm().and_then(KubeadmConfig::ca_certificate_validity);
    configured.unwrap_or(DEFAULT_AUTHORITY_LIFETIME)
}

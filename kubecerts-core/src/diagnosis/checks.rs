//! The checks, one function each.

use std::collections::BTreeSet;

use super::{Finding, FindingCode, Impact, Policy, Remedy, Severity};
use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, NodeName, Slot};
use crate::inventory::{
    Authority, CertificateBundle, ChainFact, Credential, Custody, FileFacts, Inventory, KubeconfigFacts,
    Place, Reading,
};
use crate::observation::Observations;
use crate::snapshot::ReadProblem;
use crate::time::{Seconds, Timestamp};
use crate::x509::{Certificate, Damage};

pub(super) struct Context<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) observations: &'a Observations,
    pub(super) policy: Policy,
    pub(super) now: Timestamp,
}

pub(super) type Check = fn(&Context<'_>, &mut Vec<Finding>);

/// Every check; the order does not matter.
pub(super) const ALL: [Check; 15] = [
    sources_are_understood,
    files_are_there,
    kubeconfigs_hold_certificates,
    files_can_be_read,
    validity,
    keys_are_there_and_match,
    keys_are_private,
    authorities_are_authorities,
    custody,
    chains,
    ends_of_authorities,
    kubeconfigs,
    service_account,
    super::names::alternative_names,
    super::trust::trust_files,
];

/// `source-damaged`
fn sources_are_understood(context: &Context<'_>, out: &mut Vec<Finding>) {
    let node = context.inventory.node();
    for problem in node.problems().iter().filter(|problem| problem.duplicate_of.is_none()) {
        out.push(Finding {
            severity: Severity::Warning,
            place: None,
            code: FindingCode::SourceDamaged,
            impact: Impact::Incomplete,
            path: Some(problem.path.clone()),
            message: problem.to_string(),
            // Elsewhere nobody starts what is in a file just because it lies there.
            remedy: match problem.path.parent() == node.directories().manifests {
                true => Remedy::RepairManifest(problem.path.clone()),
                false => Remedy::Repair(problem.path.clone()),
            },
        });
    }
}

/// `missing`
fn files_are_there(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let mut missing = |slot: Slot, facts: &FileFacts, file: FileSlot| {
        if inventory.expects(slot) && !facts.exists {
            let message = format!("{} does not exist", facts.path);
            let finding = error(slot, FindingCode::Missing, Impact::Unusable, message, Remedy::Restore(file));
            out.push(at(facts, finding));
        }
    };
    for (ca, authority) in context.authorities() {
        missing(Slot::Ca(ca), authority.certificate_file(), FileSlot::CaCertificate(ca));
    }
    for (place, credential) in context.inventory.credentials() {
        let file = match place {
            Place::Slot(Slot::Leaf(leaf)) => FileSlot::LeafCertificate(*leaf),
            Place::Slot(Slot::Kubeconfig(kubeconfig)) => FileSlot::Kubeconfig(*kubeconfig),
            Place::Slot(_) | Place::Copy(_) => continue,
        };
        let Some(slot) = place.slot() else { continue };
        missing(slot, credential.certificate_file(), file);
    }
    let pair = context.inventory.service_account();
    missing(Slot::ServiceAccount, &pair.key_file, FileSlot::ServiceAccountKey);
    missing(Slot::ServiceAccount, &pair.public_key_file, FileSlot::ServiceAccountPublicKey);
}

/// `missing`
fn kubeconfigs_hold_certificates(context: &Context<'_>, out: &mut Vec<Finding>) {
    for slot in Slot::ALL.into_iter().filter(|slot| slot.renewed_by_kubeadm()) {
        let Some(credential) = context.inventory.credential(slot) else { continue };
        let facts = credential.certificate_file();
        if facts.exists && credential.certificate().is_absent() {
            // It may have a token instead, so this need not stop anything.
            let message = format!("{} holds no client certificate", facts.path);
            let place = Place::Slot(slot);
            let remedy = Remedy::Inspect(facts.path.clone());
            let finding =
                about(&place, Severity::Warning, FindingCode::Missing, Impact::None, message, remedy);
            out.push(at(facts, finding));
        }
    }
}

/// `unreadable`, `damaged`, `unverifiable`
fn files_can_be_read(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        let place = Place::Slot(Slot::Ca(ca));
        out.extend(unusable(&place, authority.certificate_file(), authority.certificate()));
        out.extend(damaged_further(&place, authority.certificate_file(), authority.certificate()));
        out.extend(unusable(&place, authority.key_file(), authority.key()));
    }
    for (place, credential) in context.own_credentials() {
        if super::around::is_broken_link(context, place) {
            continue;
        }
        let certificate = unusable(place, credential.certificate_file(), credential.certificate());
        let one_file = credential.certificate_file().path == credential.key_file().path;
        // One damaged file is one finding, even when both halves of the pair are in it.
        let key = if one_file && certificate.is_some() {
            None
        } else {
            unusable(place, credential.key_file(), credential.key())
        };
        let key = key.map(|finding| match (credential.leaf(), finding.code) {
            // A renewal makes a new key.
            (Some(_), FindingCode::Damaged) => Finding { remedy: context.renewal(place), ..finding },
            _ => finding,
        });
        out.extend(certificate.into_iter().chain(key));
        out.extend(damaged_further(place, credential.certificate_file(), credential.certificate()));
        if let Some(KubeconfigFacts { authority: trusted @ Reading::Damaged(_), .. }) =
            credential.kubeconfig()
        {
            out.extend(unusable(place, credential.certificate_file(), trusted));
        }
    }
    let pair = context.inventory.service_account();
    let place = Place::Slot(Slot::ServiceAccount);
    out.extend(unusable(&place, &pair.key_file, &pair.key));
    out.extend(unusable(&place, &pair.public_key_file, &pair.public_key));
}

/// `expired`, `expires-soon`, `not-yet-valid`
fn validity(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        let Some(certificate) = authority.signer() else { continue };
        let place = Place::Slot(Slot::Ca(ca));
        out.extend(context.dated(&place, authority.certificate_file(), certificate));
    }
    for (place, credential) in context.own_credentials() {
        let Some(certificate) = credential.leaf() else { continue };
        // That the original is newer says more.
        if super::around::newer_original(context, place, credential).is_some() {
            continue;
        }
        out.extend(context.dated(place, credential.certificate_file(), certificate));
    }
    // Whoever uses another kubeconfig of this cluster is locked out as well.
    let others = context.inventory.credentials().filter(|(place, credential)| {
        let is_ours = matches!(credential.chain(), Some(ChainFact::Signed(_)));
        matches!(place, Place::Copy(_)) && is_ours && !context.concerns(place, credential)
    });
    for (place, credential) in others {
        let over = credential.leaf().filter(|leaf| leaf.not_after() < context.now);
        let finding = over.and_then(|leaf| context.dated(place, credential.certificate_file(), leaf));
        out.extend(finding.map(|finding| Finding { remedy: Remedy::Nothing, ..finding }));
    }
}

/// `key-missing`, `key-mismatch`
fn keys_are_there_and_match(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        if authority.key_matches() == Some(false) {
            let message = format!(
                "{} is not the key of {}",
                authority.key_file().path,
                authority.certificate_file().path
            );
            let remedy = Remedy::Restore(FileSlot::CaKey(ca));
            let finding =
                error(Slot::Ca(ca), FindingCode::KeyMismatch, Impact::Inconsistent, message, remedy);
            out.push(at(authority.key_file(), finding));
        }
    }
    for (place, credential) in context.own_credentials() {
        let key_file = credential.key_file();
        let (code, impact, message) = match (credential.leaf(), credential.key(), credential.key_matches()) {
            (Some(_), Reading::Absent, _) if *place != Place::Slot(Slot::KubeletServing) => (
                FindingCode::KeyMissing,
                Impact::Unusable,
                match key_file.exists {
                    true => format!("{} holds no private key for it", key_file.path),
                    false => format!("its private key {} does not exist", key_file.path),
                },
            ),
            (_, _, Some(false)) => {
                let message = format!("the private key in {} is not the certificate's", key_file.path);
                (FindingCode::KeyMismatch, Impact::Inconsistent, message)
            }
            _ => continue,
        };
        out.push(at(key_file, about(place, Severity::Error, code, impact, message, context.renewal(place))));
    }
}

/// `key-readable`
fn keys_are_private(context: &Context<'_>, out: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    let mut private = |place: Place, facts: &FileFacts| {
        let Some(meta) = &facts.meta else { return };
        if facts.is_open_to_others() && seen.insert(facts.path.clone()) {
            let message = format!(
                "{} has the mode {:04o}: others can use the private key in it",
                facts.path, meta.mode
            );
            let remedy = Remedy::SetMode(facts.path.clone(), facts.private_mode());
            let finding =
                about(&place, Severity::Warning, FindingCode::KeyReadable, Impact::None, message, remedy);
            out.push(at(facts, finding));
        }
    };
    for (ca, authority) in context.authorities() {
        private(Place::Slot(Slot::Ca(ca)), authority.key_file());
    }
    for (place, credential) in context.own_credentials() {
        if !credential.key().is_absent() {
            private(place.clone(), credential.key_file());
        }
    }
    private(Place::Slot(Slot::ServiceAccount), &context.inventory.service_account().key_file);
}

/// `not-an-authority`
fn authorities_are_authorities(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        let Some(certificate) = authority.signer().filter(|certificate| !certificate.is_authority()) else {
            continue;
        };
        let message = format!(
            "{} holds the certificate of {}, which may not sign certificates",
            authority.certificate_file().path,
            certificate.subject()
        );
        let remedy = Remedy::Restore(FileSlot::CaCertificate(ca));
        let finding = error(Slot::Ca(ca), FindingCode::NotAnAuthority, Impact::Unusable, message, remedy);
        out.push(at(authority.certificate_file(), finding));
    }
}

/// `external-ca`
fn custody(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        // A worker has no key of any authority.
        let expects = context.inventory.expects(Slot::Ca(ca)) && !context.inventory.is_worker();
        if authority.custody() == Custody::External && expects {
            let message = format!(
                "{} is not on this node: its certificates are signed elsewhere",
                authority.key_file().path
            );
            let place = Place::Slot(Slot::Ca(ca));
            let remedy = Remedy::SignElsewhere(ca);
            let finding =
                about(&place, Severity::Notice, FindingCode::ExternalCa, Impact::None, message, remedy);
            out.push(at(authority.key_file(), finding));
        }
    }
}

/// `wrong-authority`, `unverifiable`
fn chains(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (place, credential) in context.own_credentials() {
        let Some(chain) = credential.chain() else { continue };
        let path = |ca: CaSlot| &context.inventory.authority(ca).certificate_file().path;
        let (severity, code, impact, message) = match chain {
            ChainFact::Signed(_) | ChainFact::NoAuthority(_) => continue,
            ChainFact::OtherIssuer(ca) => {
                let issuer = credential.leaf().map(|leaf| leaf.issuer().to_string()).unwrap_or_default();
                let authority =
                    context.inventory.authority(*ca).signer().map(|signer| signer.subject().to_string());
                let message = if authority.as_ref() == Some(&issuer) {
                    let path = path(*ca);
                    format!(
                        "its issuer {issuer} is encoded otherwise than in {path}, and Go compares names byte by byte"
                    )
                } else {
                    format!("it was issued by {issuer}, not by the authority in {}", path(*ca))
                };
                (Severity::Error, FindingCode::WrongAuthority, Impact::Inconsistent, message)
            }
            ChainFact::OtherKey(ca) => {
                let message =
                    format!("its signature is not by the key of {}, though the names agree", path(*ca));
                (Severity::Error, FindingCode::WrongAuthority, Impact::Inconsistent, message)
            }
            ChainFact::Unverifiable(_, algorithm) => {
                let message = format!("its signature cannot be verified: {algorithm} is not supported");
                (Severity::Warning, FindingCode::Unverifiable, Impact::None, message)
            }
        };
        out.push(at(
            credential.certificate_file(),
            about(place, severity, code, impact, message, context.renewal(place)),
        ));
    }
}

/// `leaf-outlives-ca`, `ca-ends-before-renewal`
fn ends_of_authorities(context: &Context<'_>, out: &mut Vec<Finding>) {
    let Context { inventory, observations: _, policy, now } = context;
    for (ca, authority) in context.authorities() {
        let Some(end) = authority.signer().map(Certificate::not_after) else { continue };
        let next = now.plus(policy.lifetime);
        // Within the window the authority itself is due, which says more.
        if end > now.plus(policy.window) && end < next {
            let message = format!("it ends {end}, before a certificate that is renewed now would ({next})");
            let place = Place::Slot(Slot::Ca(ca));
            let code = FindingCode::CaEndsBeforeRenewal;
            let finding =
                about(&place, Severity::Warning, code, Impact::None, message, context.later_end(ca));
            out.push(at(authority.certificate_file(), finding));
        }
    }
    for (place, credential) in context.own_credentials() {
        let (Some(leaf), Some(ChainFact::Signed(ca))) = (credential.leaf(), credential.chain()) else {
            continue;
        };
        let Some(end) = inventory.authority(*ca).signer().map(Certificate::not_after) else { continue };
        if leaf.not_after() > end {
            let message = format!("it ends {}, after its authority {ca} ({end})", leaf.not_after());
            let code = FindingCode::LeafOutlivesCa;
            let remedy = context.later_end(*ca);
            let finding = about(place, Severity::Warning, code, Impact::None, message, remedy);
            out.push(at(credential.certificate_file(), finding));
        }
    }
}

/// `kubelet-conf-inline`, `kubeconfig-ca-stale`
fn kubeconfigs(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (place, credential) in context.inventory.credentials() {
        let Some(kubeconfig) = credential.kubeconfig() else { continue };
        if *place == Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) && kubeconfig.is_embedded {
            let message = format!(
                "{} embeds its certificate, so nobody rotates it",
                credential.certificate_file().path
            );
            let code = FindingCode::KubeletConfInline;
            let remedy = context.own_certificate();
            let finding = about(place, Severity::Warning, code, Impact::None, message, remedy);
            out.push(at(credential.certificate_file(), finding));
        }
        if context.concerns(place, credential)
            && let Some(finding) = stale_authority(context, place, kubeconfig)
        {
            out.push(at(credential.certificate_file(), finding));
        }
    }
}

/// `kubeconfig-ca-stale`
pub(super) fn stale_authority(
    context: &Context<'_>,
    place: &Place,
    kubeconfig: &KubeconfigFacts,
) -> Option<Finding> {
    let cluster = context.inventory.authority(CaSlot::Cluster);
    if !kubeconfig.lacks_authority(cluster) {
        return None;
    }
    let path = &cluster.certificate_file().path;
    let (severity, impact, message) = match kubeconfig.trusts_earlier_until(cluster, context.now) {
        // What the authority's key signs is accepted as before.
        Some(end) => {
            let message =
                format!("the authority in it is an earlier certificate of {path}, which ends {end}");
            (Severity::Warning, Impact::None, message)
        }
        None => {
            let message = format!("the authority in it is not the one in {path}");
            (Severity::Error, Impact::Inconsistent, message)
        }
    };
    let remedy = match place {
        Place::Slot(slot) if *slot != Slot::Kubeconfig(KubeconfigSlot::Kubelet) => context.renewal(place),
        place => Remedy::SetAuthority(place.clone()),
    };
    Some(about(place, severity, FindingCode::KubeconfigCaStale, impact, message, remedy))
}

/// `sa-key-mismatch`
fn service_account(context: &Context<'_>, out: &mut Vec<Finding>) {
    let pair = context.inventory.service_account();
    let (Some(key), Some(public)) = (pair.key.present(), pair.public_key.present()) else { return };
    if key.public_key() != public {
        let message =
            format!("{} is not the public half of {}", pair.public_key_file.path, pair.key_file.path);
        let code = FindingCode::SaKeyMismatch;
        let remedy = Remedy::Restore(FileSlot::ServiceAccountPublicKey);
        out.push(at(
            &pair.public_key_file,
            error(Slot::ServiceAccount, code, Impact::Inconsistent, message, remedy),
        ));
    }
}

impl<'a> Context<'a> {
    pub(super) fn authorities(&self) -> impl Iterator<Item = (CaSlot, &'a Authority)> {
        CaSlot::ALL.into_iter().map(|ca| (ca, self.inventory.authority(ca)))
    }

    /// Returns the credentials that are worth a finding of their own.
    pub(super) fn own_credentials(&self) -> impl Iterator<Item = (&'a Place, &'a Credential)> {
        self.inventory.credentials().filter(|(place, credential)| self.concerns(place, credential))
    }

    /// kubelet.conf that refers to the rotated certificate, and copies of other clusters' kubeconfigs, are not ours.
    fn concerns(&self, place: &Place, credential: &Credential) -> bool {
        match place {
            Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => credential
                .kubeconfig()
                .is_none_or(|kubeconfig| kubeconfig.is_embedded || kubeconfig.dangling.is_some()),
            Place::Slot(_) => true,
            Place::Copy(path) => self.inventory.is_copy(path),
        }
    }

    /// Returns what gives the authority a later end: whoever has its key does.
    fn later_end(&self, ca: CaSlot) -> Remedy {
        match self.inventory.authority(ca).custody() {
            Custody::External => Remedy::SignElsewhere(ca),
            _ => Remedy::RotateAuthority(ca),
        }
    }

    /// Returns what gives this place a new certificate, as far as its authority can.
    pub(super) fn renewal(&self, place: &Place) -> Remedy {
        let slot = match place {
            Place::Slot(Slot::Ca(ca)) => return self.later_end(*ca),
            Place::Slot(slot @ (Slot::Leaf(_) | Slot::Kubeconfig(_))) => *slot,
            Place::Slot(Slot::KubeletServing | Slot::ServiceAccount) => return Remedy::Nothing,
            Place::Slot(Slot::KubeletClient) => {
                // Nobody can sign on a worker.
                let is_over = || {
                    let leaf = self.inventory.credential(Slot::KubeletClient).and_then(Credential::leaf);
                    leaf.is_some_and(|leaf| leaf.not_after() < self.now)
                };
                return match self.inventory.is_worker() && is_over() {
                    true => Remedy::Restore(FileSlot::KubeletClient),
                    false => Remedy::Nothing,
                };
            }
            Place::Copy(path) => return Remedy::RefreshCopy(path.clone()),
        };
        let Some(ca) = slot.issuer() else { return Remedy::Nothing };
        let authority = self.inventory.authority(ca);
        match authority.custody() {
            Custody::Held => match authority.signer() {
                Some(signer) if !signer.is_authority() => Remedy::Restore(FileSlot::CaCertificate(ca)),
                Some(signer) if signer.not_after() >= self.now => Remedy::Renew(slot),
                _ => Remedy::RotateAuthority(ca),
            },
            Custody::External => Remedy::SignElsewhere(ca),
            Custody::Absent => Remedy::Restore(FileSlot::CaCertificate(ca)),
            Custody::Broken => Remedy::Restore(FileSlot::CaKey(ca)),
        }
    }

    /// Returns what gives the kubelet a certificate that it rotates: the one that is here, or else a new one. A renewal would leave it
    /// embedded, where nobody rotates it.
    fn own_certificate(&self) -> Remedy {
        let embedded = self.inventory.credential(Slot::Kubeconfig(KubeconfigSlot::Kubelet));
        let is_over = embedded.and_then(Credential::leaf).is_some_and(|leaf| leaf.not_after() < self.now);
        let holds_key = self.inventory.authority(CaSlot::Cluster).custody() == Custody::Held;
        self.rotated().unwrap_or(match is_over && holds_key {
            true => Remedy::Recover,
            false => Remedy::Restore(FileSlot::KubeletClient),
        })
    }

    /// Returns what lets kubelet.conf refer to the certificate that the kubelet rotates, if that works: it is whole, valid now, signed
    /// by the cluster's authority, and this node's.
    pub(super) fn rotated(&self) -> Option<Remedy> {
        let credential = self.inventory.credential(Slot::KubeletClient)?;
        let leaf = credential.leaf()?;
        let user = leaf.subject().common_name().and_then(NodeName::of_user)?;
        let embedded = self.inventory.credential(Slot::Kubeconfig(KubeconfigSlot::Kubelet));
        let embedded = embedded.and_then(Credential::leaf).and_then(|leaf| leaf.subject().common_name());
        let known = embedded.and_then(NodeName::of_user).or_else(|| self.inventory.known_node_name());
        let is_valid = leaf.not_before() <= self.now && self.now <= leaf.not_after();
        let is_usable = credential.key_matches() == Some(true)
            && is_valid
            && matches!(credential.chain(), Some(ChainFact::Signed(_)))
            && known.is_none_or(|known| known == user);
        let path = self.inventory.node().layout().path(FileSlot::KubeletClient);
        is_usable.then(|| Remedy::ReferToRotatedCertificate(path.clone()))
    }

    /// Returns what a kubelet whose certificate is over can do about it: with bootstrap-kubelet.conf it asks for another one,
    /// without it ends (`pkg/kubelet/certificate/bootstrap/bootstrap.go`).
    fn bootstrap(&self, place: &Place) -> String {
        if !matches!(place, Place::Slot(Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet))) {
            return String::new();
        }
        let directory = &self.inventory.node().directories().kubeconfigs;
        let Ok(path) = directory.join("bootstrap-kubelet.conf") else { return String::new() };
        // Every kubeconfig beside those of the layout is among the copies.
        match self.inventory.certificate_file(&Place::Copy(path.clone())) {
            Some(_) => format!("; {path} is there, so the kubelet asks for another while its token is valid"),
            None => format!("; there is no {path}, so the kubelet cannot ask for another"),
        }
    }

    fn dated(&self, place: &Place, facts: &FileFacts, certificate: &Certificate) -> Option<Finding> {
        let (begin, end) = (certificate.not_before(), certificate.not_after());
        let renewal = || match place {
            Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => self.own_certificate(),
            place => self.renewal(place),
        };
        let (severity, code, impact, message, remedy) = if end < self.now {
            let message = format!("expired {}, {} ago", end, coarse(self.now.since(end)));
            let message = message + &self.bootstrap(place);
            (Severity::Error, FindingCode::Expired, Impact::Unusable, message, renewal())
        } else if begin > self.now {
            let message =
                format!("is not valid before {begin}, which is {} ahead", coarse(begin.since(self.now)));
            (Severity::Error, FindingCode::NotYetValid, Impact::Unusable, message, Remedy::SetClock)
        } else if end <= self.now.plus(self.policy.window) {
            let message = format!("expires {}, in {}", end, coarse(end.since(self.now)));
            (Severity::Warning, FindingCode::ExpiresSoon, Impact::Due, message, renewal())
        } else {
            return None;
        };
        // A copy and the kubelet's own serving certificate do not decide over the health of the control plane.
        let matters = !matches!(place, Place::Copy(_) | Place::Slot(Slot::KubeletServing));
        let (severity, impact) = if matters { (severity, impact) } else { (Severity::Warning, Impact::None) };
        Some(at(facts, about(place, severity, code, impact, message, remedy)))
    }
}

fn unusable<T>(place: &Place, facts: &FileFacts, reading: &Reading<T>) -> Option<Finding> {
    let path = || facts.path.clone();
    let (severity, code, impact, remedy) = match reading {
        Reading::Absent | Reading::Present(_) => return None,
        Reading::Unreadable(problem) => {
            let remedy = match problem {
                ReadProblem::PermissionDenied => Remedy::GrantAccess(path()),
                _ => Remedy::Repair(path()),
            };
            (Severity::Error, FindingCode::Unreadable, Impact::Incomplete, remedy)
        }
        // It may work well for programs that know more kinds of keys.
        Reading::Damaged(Damage::UnsupportedKey(_)) => {
            (Severity::Warning, FindingCode::Unverifiable, Impact::None, Remedy::Inspect(path()))
        }
        Reading::Damaged(_) => {
            (Severity::Error, FindingCode::Damaged, Impact::Unusable, Remedy::Inspect(path()))
        }
    };
    let message = format!("{}: {}", facts.path, reading.problem().unwrap_or_default());
    Some(at(facts, about(place, severity, code, impact, message, remedy)))
}

/// Returns a finding about blocks of a file that follow a good one; Go refuses the whole file for them.
fn damaged_further(
    place: &Place,
    facts: &FileFacts,
    reading: &Reading<CertificateBundle>,
) -> Option<Finding> {
    let damage = reading.present()?.damaged().first()?;
    unusable::<()>(place, facts, &Reading::Damaged(damage.clone()))
}

pub(super) fn error(
    slot: Slot,
    code: FindingCode,
    impact: Impact,
    message: String,
    remedy: Remedy,
) -> Finding {
    about(&Place::Slot(slot), Severity::Error, code, impact, message, remedy)
}

pub(super) fn about(
    place: &Place,
    severity: Severity,
    code: FindingCode,
    impact: Impact,
    message: String,
    remedy: Remedy,
) -> Finding {
    Finding { severity, place: Some(place.clone()), code, impact, path: None, message, remedy }
}

pub(super) fn at(facts: &FileFacts, finding: Finding) -> Finding {
    Finding { path: Some(facts.path.clone()), ..finding }
}

/// Writes a span in its largest unit: days, hours, minutes or seconds.
pub(super) fn coarse(span: Seconds) -> String {
    let (count, unit) = match span.0 {
        seconds if seconds >= 2 * 86_400 => (seconds / 86_400, "days"),
        seconds if seconds >= 2 * 3_600 => (seconds / 3_600, "hours"),
        seconds if seconds >= 120 => (seconds / 60, "minutes"),
        seconds => (seconds, "seconds"),
    };
    format!("{count} {unit}")
}

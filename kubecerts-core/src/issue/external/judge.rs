//! Which answer belongs to which request, and whether it will do.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Answers;
use super::chain::Candidates;
use super::compare::Comparison;
use super::deviation::{Gravity, ImportDeviation, ImportField};
use super::install::RequestKeys;
use super::requests::{RequestManifest, RequestRecord};
use super::wanted::{NewKubeconfig, profile};
use crate::catalog::{ClientSpec, KubeconfigSlot, NameRule, NodeName, Slot};
use crate::digest::Digest;
use crate::inventory::{CertificateBundle, Inventory};
use crate::plan::{ClusterIntent, LifetimeQuestion, Permission, Replaced, changed_names};
use crate::time::Timestamp;
use crate::x509::{Certificate, Damage, DistinguishedName, KeyType, KeyUsages, NameAttribute, Purpose};

/// Compares `answers` with what was asked for, and with the tree into which they are to be put.
///
/// An answer belongs to the request whose public key it carries, whatever its file is called. Every deviation is named, not only
/// the first.
pub fn judge_answers(
    manifest: &RequestManifest,
    keys: &RequestKeys,
    answers: &Answers,
    inventory: &Inventory,
    now: Timestamp,
) -> Import {
    let mut by_key: BTreeMap<Digest, Vec<&(String, Certificate)>> = BTreeMap::new();
    for answer in answers.certificates() {
        by_key.entry(answer.1.public_key().fingerprint()).or_default().push(answer);
    }
    let intermediates: Vec<&Certificate> = answers
        .certificates()
        .iter()
        .map(|(_, certificate)| certificate)
        .filter(|certificate| certificate.is_authority())
        .collect();
    let mut import = Import::default();
    for record in &manifest.requests {
        let slot = record.wanted.slot;
        let judge = Judge { record, keys, inventory, manifest, now };
        let found = by_key.get(&record.public_key).map(Vec::as_slice).unwrap_or_default();
        let verdicts =
            found.iter().map(|(file, certificate)| judge.answer(file, certificate, &intermediates));
        // Of several answers to one request, the best and then the longest is meant.
        let best = verdicts.min_by_key(|(accepted, deviations)| {
            let worst = deviations.iter().map(|deviation| deviation.gravity).max();
            (worst, std::cmp::Reverse(accepted.certificate.not_after()))
        });
        let Some((accepted, mut deviations)) = best else {
            import.missing.push(slot);
            continue;
        };
        if found.len() > 1 {
            deviations.push(ImportDeviation {
                slot,
                field: ImportField::Answers,
                wanted: "one".to_owned(),
                found: format!("{}, of which that in {} is taken", found.len(), accepted.file),
                gravity: Gravity::Note,
            });
        }
        if !deviations.iter().any(|deviation| deviation.gravity.is_refusal()) {
            import.accepted.push(accepted);
        }
        import.deviations.append(&mut deviations);
    }
    let known: BTreeSet<Digest> = manifest.requests.iter().map(|record| record.public_key).collect();
    for (file, certificate) in answers.certificates() {
        if certificate.is_authority() || known.contains(&certificate.public_key().fingerprint()) {
            continue;
        }
        import.foreign.push(Foreign {
            file: file.clone(),
            subject: certificate.subject().to_string(),
            like: owner(manifest, certificate.subject()),
        });
    }
    let unread = |(file, damage): &(String, Damage)| NotRead { file: file.clone(), damage: damage.clone() };
    import.not_read = answers.damaged().iter().map(unread).collect();
    import
}

/// What became of the answers. Public data.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "nothing is written until the changes are made and applied"]
#[non_exhaustive]
pub struct Import {
    /// The answers that may be installed, once their deviations are permitted, sorted by slot.
    pub accepted: Vec<Accepted>,
    /// How the answers differ from what was asked for.
    pub deviations: Vec<ImportDeviation>,
    /// The requests without an answer.
    pub missing: Vec<Slot>,
    /// Certificates that belong to no request.
    pub foreign: Vec<Foreign>,
    /// What could not be understood.
    pub not_read: Vec<NotRead>,
}

impl Import {
    /// Returns the deviations that nothing permits.
    pub fn refusals(&self) -> impl Iterator<Item = &ImportDeviation> {
        self.deviations.iter().filter(|deviation| deviation.gravity.is_refusal())
    }

    /// Returns what has to be permitted.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<Permission> {
        let needed = |deviation: &ImportDeviation| match deviation.gravity {
            Gravity::Change(permission) => Some(permission),
            Gravity::Note | Gravity::Breaks | Gravity::Dangerous => None,
        };
        self.deviations.iter().filter_map(needed).collect()
    }
}

/// An answer that may be installed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// Whose certificate it is.
    pub slot: Slot,
    /// The certificate.
    pub certificate: Certificate,
    /// The certificates between it and the tree's authority, its issuer first.
    pub intermediates: Vec<Certificate>,
    /// The file in which it came.
    pub file: String,
    /// What it succeeds; `None` when there is nothing that could be read.
    pub replaced: Option<Replaced>,
}

/// A certificate that belongs to no request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Foreign {
    /// The file in which it came.
    pub file: String,
    /// Its subject.
    pub subject: String,
    /// The slot that asks for this subject, with another key.
    pub like: Option<Slot>,
}

/// Something among the answers that could not be understood.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotRead {
    /// The file.
    pub file: String,
    /// Why not.
    pub damage: Damage,
}

struct Judge<'a> {
    record: &'a RequestRecord,
    keys: &'a RequestKeys,
    inventory: &'a Inventory,
    manifest: &'a RequestManifest,
    now: Timestamp,
}

impl Judge<'_> {
    fn answer(
        &self,
        file: &str,
        certificate: &Certificate,
        intermediates: &[&Certificate],
    ) -> (Accepted, Vec<ImportDeviation>) {
        let Self { record, inventory, now, .. } = *self;
        let slot = record.wanted.slot;
        let succession = inventory.credential(slot).and_then(|credential| {
            Some(LifetimeQuestion {
                slot,
                old: credential.leaf()?,
                signer: inventory.authority(record.wanted.issuer).signer(),
                inventory,
                now,
                is_due: false,
            })
        });
        let mut comparison = Comparison { record, certificate, now, succession, deviations: Vec::new() };
        self.request(&mut comparison);
        self.names(&mut comparison);
        self.key(&mut comparison);
        comparison.certificate();
        let authority = inventory.authority(record.wanted.issuer);
        let intermediates = match authority.certificate().present() {
            Some(bundle) => {
                let candidates = Candidates { roots: bundle.certificates(), intermediates };
                let path = comparison.chain(&candidates);
                path.map(|path| path.intermediates.into_iter().cloned().collect()).unwrap_or_default()
            }
            None => {
                let found = format!("no usable certificate in {}", authority.certificate_file().path);
                let wanted = format!("the certificate of {}", record.wanted.issuer);
                comparison.add(ImportField::Chain, wanted, found, Gravity::Breaks);
                Vec::new()
            }
        };
        self.kubeconfig(&mut comparison);
        let mut deviations = comparison.deviations;
        for deviation in &mut deviations {
            // Whoever mixes up two requests gives one the names of the other.
            if deviation.field == ImportField::Subject
                && let Some(other) = owner(self.manifest, certificate.subject())
                && other != slot
            {
                deviation
                    .found
                    .push_str(&format!(", which is what {other} asks for: the answers may be swapped"));
            }
        }
        let replaced = inventory.credential(slot).and_then(|credential| credential.certificate().present());
        let replaced = replaced.map(CertificateBundle::first);
        let accepted = Accepted {
            slot,
            certificate: certificate.clone(),
            intermediates,
            file: file.to_owned(),
            replaced: replaced
                .map(|old| Replaced { serial: old.serial().clone(), not_after: old.not_after() }),
        };
        (accepted, deviations)
    }

    /// A manifest may be edited, so it is held against the catalogue and the tree.
    fn request(&self, comparison: &mut Comparison<'_>) {
        let wanted = &self.record.wanted;
        let Some(spec) = profile(wanted.slot) else { return };
        let old = self.inventory.credential(wanted.slot).and_then(|credential| credential.leaf());
        let mut beyond = |what: String| {
            comparison.add(ImportField::Request, "no more than kubeadm gives", what, Gravity::Dangerous);
        };
        if wanted.issuer != spec.issuer {
            beyond(format!("the issuer {}", wanted.issuer));
        }
        if old.map(Certificate::subject) != Some(&wanted.subject) && !is_kubeadms(&wanted.subject, spec) {
            beyond(format!("the subject {}", wanted.subject));
        }
        let kept = old.and_then(Certificate::key_usages).unwrap_or_default().without_authority();
        let usages = wanted.key_usages.without(KeyUsages::LEAF).without(kept);
        if !usages.is_empty() {
            beyond(format!("the key usage {usages}"));
        }
        let of_old = old.map(|old| old.extended_key_usages().as_slice()).unwrap_or_default();
        let is_within = |purpose: &Purpose| {
            of_old.contains(purpose) || spec.usages.iter().any(|usage| Purpose::from(*usage) == *purpose)
        };
        for purpose in wanted.extended_key_usages.as_slice().iter().filter(|purpose| !is_within(purpose)) {
            beyond(format!("the extended key usage {purpose}"));
        }
        if wanted.extended_key_usages.is_empty() {
            beyond("no extended key usage, which means every one".to_owned());
        }
    }

    /// The names of a certificate that is there do not change on the word of a manifest alone.
    fn names(&self, comparison: &mut Comparison<'_>) {
        let wanted = &self.record.wanted;
        let old = self.inventory.credential(wanted.slot).and_then(|credential| credential.leaf());
        let Some(old) = old.map(|old| old.alternative_names().as_slice()) else { return };
        if let Some(change) = changed_names(wanted.alternative_names.as_slice(), old) {
            let field = ImportField::AlternativeNames;
            let as_before = "those of the certificate that it succeeds";
            comparison.add(field, as_before, change, Gravity::Change(Permission::San));
        }
    }

    /// A kubeconfig that is new leads to the API server of this node and to no other.
    fn new_kubeconfig(&self, new: &NewKubeconfig, comparison: &mut Comparison<'_>) {
        let inventory = self.inventory;
        let mut servers = BTreeSet::new();
        let mut clusters = BTreeSet::new();
        for slot in KubeconfigSlot::ALL {
            let facts =
                inventory.credential(Slot::Kubeconfig(slot)).and_then(|credential| credential.kubeconfig());
            let current = facts.and_then(|facts| facts.file.as_ref().ok()?.current().ok());
            let Some(current) = current else { continue };
            servers.extend(current.cluster.server().map(plain_url));
            clusters.insert(current.cluster.name().to_owned());
        }
        let address = inventory.advertised().map(|(address, _)| address);
        let intent = inventory
            .node()
            .kubeadm()
            .and_then(|config| ClusterIntent::from_config(config, inventory.known_node_name(), address).ok());
        if let Some(intent) = intent {
            servers.extend(KubeconfigSlot::ALL.map(|slot| plain_url(&intent.server(slot))));
            clusters.insert(intent.cluster_name);
        }
        let list = |known: &BTreeSet<String>| known.iter().cloned().collect::<Vec<_>>().join(" or ");
        if !servers.is_empty() && !servers.contains(&plain_url(&new.server)) {
            let wanted = format!("the server of this node, {}", list(&servers));
            comparison.add(ImportField::Kubeconfig, wanted, &new.server, Gravity::Dangerous);
        }
        if !clusters.is_empty() && !clusters.contains(&new.cluster) {
            let wanted = format!("the cluster of this node, {}", list(&clusters));
            comparison.add(ImportField::Kubeconfig, wanted, new.cluster.escape_debug(), Gravity::Dangerous);
        }
    }

    fn key(&self, comparison: &mut Comparison<'_>) {
        let name = self.record.key_file();
        let found = match self.keys.get(self.record.wanted.slot) {
            None => format!("no file {name}"),
            Some(Err(damage)) => format!("{name}, which {damage}"),
            Some(Ok(key)) => {
                let public_key = key.public_key();
                if public_key.fingerprint() != self.record.public_key {
                    format!("another key in {name}")
                } else if *public_key.key_type() != KeyType::from(self.record.wanted.algorithm) {
                    format!("a key {}", public_key.key_type())
                } else {
                    return;
                }
            }
        };
        let wanted = format!("the key {} of the request", self.record.wanted.algorithm);
        comparison.add(ImportField::Key, wanted, found, Gravity::Breaks);
    }

    fn kubeconfig(&self, comparison: &mut Comparison<'_>) {
        let wanted = &self.record.wanted;
        let Slot::Kubeconfig(_) = wanted.slot else { return };
        let Some(credential) = self.inventory.credential(wanted.slot) else { return };
        let found = match credential.kubeconfig() {
            None if credential.certificate_file().exists => "one that cannot be read".to_owned(),
            None if wanted.kubeconfig.is_none() => {
                "none, and the manifest does not say what it is to be".to_owned()
            }
            None => {
                if let Some(new) = &wanted.kubeconfig {
                    self.new_kubeconfig(new, comparison);
                }
                return;
            }
            Some(facts) if facts.obstacle.is_some() => {
                facts.obstacle.as_ref().map(ToString::to_string).unwrap_or_default()
            }
            Some(facts) if facts.is_embedded => return,
            Some(_) => "one that refers to a certificate in another file".to_owned(),
        };
        comparison.add(ImportField::Kubeconfig, "one that embeds its credential", found, Gravity::Breaks);
    }
}

/// Returns `url` without the slashes that mean nothing behind it.
fn plain_url(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// Returns the slot that asks for this user and these groups, however an authority has encoded them.
fn owner(manifest: &RequestManifest, subject: &DistinguishedName) -> Option<Slot> {
    let identity = |name: &DistinguishedName| {
        let organisations: BTreeSet<String> = name.organisations().map(str::to_owned).collect();
        (name.common_name().map(str::to_owned), organisations)
    };
    let found = identity(subject);
    let is_same = |record: &&RequestRecord| identity(&record.wanted.subject) == found;
    manifest.requests.iter().find(is_same).map(|record| record.wanted.slot)
}

/// Returns whether some kubeadm gives `subject` to a certificate like `spec`.
pub(crate) fn is_kubeadms(subject: &DistinguishedName, spec: ClientSpec) -> bool {
    let common_name = subject.common_name().unwrap_or_default();
    let is_name = match spec.common_name {
        NameRule::Fixed(name) => common_name == name,
        NameRule::NodeName => NodeName::is_name(common_name),
        NameRule::SystemNode => NodeName::is_user(common_name),
    };
    // No version of kubeadm gives more than one, so two tell as much as all.
    let mut found = [""; 2];
    let organisations = subject.organisations().zip(&mut found).map(|(name, place)| *place = name).count();
    let is_known = |attribute: &NameAttribute| matches!(attribute.kind.as_str(), "CN" | "O");
    is_name
        && spec.allows_organisations(&found[..organisations])
        && subject.attributes().iter().all(is_known)
        && subject.attributes().len() == 1 + organisations
}

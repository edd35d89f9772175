//! What the certificate of each slot is to be.

use std::collections::BTreeSet;
use std::fmt;

use crate::catalog::{CaSlot, ClientSpec, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::{Credential, Inventory, Reading};
use crate::plan::{
    ClusterIntent, DEFAULT_LIFETIME, EtcdIntent, KeyPolicy, KubeconfigSpec, LifetimeQuestion, LifetimeSource,
    Note, Permission, Plan, PlanError, PlanRequest, Reason, Selection, create, decide_lifetime, is_due,
    successor_names,
};
use crate::provider::{Entropy, ProviderError};
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeNames, Certificate, DistinguishedName, ExtendedKeyUsages, KeyAlgorithm, KeyUsages, Purpose,
};

/// Everything that an authority has to know of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WantedCertificate {
    /// Whose it is.
    pub slot: Slot,
    /// Who is to sign it.
    pub issuer: CaSlot,
    /// The subject.
    pub subject: DistinguishedName,
    /// The alternative names, in their order.
    pub alternative_names: AlternativeNames,
    /// The key usages.
    pub key_usages: KeyUsages,
    /// The extended key usages, in their order.
    pub extended_key_usages: ExtendedKeyUsages,
    /// How long it is to be valid.
    pub lifetime: Seconds,
    /// The algorithm of the key.
    pub algorithm: KeyAlgorithm,
    /// What a kubeconfig that does not exist yet is to say.
    pub kubeconfig: Option<NewKubeconfig>,
    /// Where all this comes from.
    pub source: WantedSource,
}

/// What a new kubeconfig says besides its credential.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NewKubeconfig {
    /// The name of the cluster.
    pub cluster: String,
    /// The URL of the API server.
    pub server: String,
}

impl NewKubeconfig {
    /// Returns a kubeconfig for the API server at `server`, when that is a URL, and the name of the cluster a line of text.
    #[must_use]
    pub fn new(cluster: &str, server: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        let host = server.strip_prefix("https://")?;
        let is_name = !cluster.is_empty() && !cluster.contains(breaks);
        let is_usable = is_name && !host.is_empty() && host.chars().all(plain);
        is_usable.then(|| Self { cluster: cluster.to_owned(), server: server.to_owned() })
    }
}

/// Where it is known from what a certificate is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a certificate succeeds another one or it does not")]
pub enum WantedSource {
    /// The certificate that is there.
    Certificate,
    /// The intent.
    Intent,
}

/// What is wanted, and what not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Wanted {
    /// What is wanted, sorted by slot.
    pub certificates: Vec<WantedCertificate>,
    /// What was asked for and is left out, with the reasons, sorted by slot.
    pub left_out: Vec<(Slot, LeftOut)>,
    /// What is to be said of what is wanted, sorted by slot.
    pub notes: Vec<(Slot, Note)>,
}

impl Wanted {
    /// Returns what the import of such certificates has to permit, because they differ from those that they succeed.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<Permission> {
        let needed = |(_, note): &(Slot, Note)| match note {
            Note::NamesChanged { .. } => Some(Permission::San),
            Note::LifetimeShortened { .. } => Some(Permission::Validity),
            _ => None,
        };
        self.notes.iter().filter_map(needed).collect()
    }
}

/// Why no certificate is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LeftOut {
    /// It is no leaf and no kubeconfig.
    NotRequestable,
    /// There is none, and nothing says what it is to be.
    Unknown,
    /// It belongs to an etcd that somebody else runs.
    ExternalEtcd,
    /// The kubeconfig refers to files, which the kubelet rotates where it is the kubelet's.
    Referenced,
    /// It cannot be understood, and nothing else says what it is to be.
    Damaged(String),
    /// Its key is of a kind that is not made here.
    UnsupportedKey(String),
    /// A renewal would not make it either.
    Refused(Reason),
}

impl LeftOut {
    /// Returns whether somebody who asked for everything misses something.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::UnsupportedKey(_) => true,
            Self::Refused(reason) => reason.is_failure(),
            Self::NotRequestable | Self::Unknown | Self::ExternalEtcd | Self::Referenced => false,
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRequestable => f.write_str("is no certificate that an authority of the tree signs"),
            Self::Unknown => f.write_str("there is none, and no configuration says what it is to be"),
            Self::ExternalEtcd => f.write_str("belongs to an etcd that is run elsewhere"),
            Self::Referenced => f.write_str("the kubeconfig refers to a certificate in another file"),
            Self::Damaged(reason) => write!(f, "cannot be succeeded: {reason}"),
            Self::UnsupportedKey(kind) => write!(f, "a key {kind} is not made here"),
            Self::Refused(reason) => reason.fmt(f),
        }
    }
}

/// Decides what to ask the authorities for: the same again where there is a certificate, and what `intent` says where there is
/// none.
///
/// Lifetimes and names follow the rules of a renewal for `request`: a lifetime of the site's own stays unless somebody states
/// less and permits it. Unless the request names slots, everything is asked for that the tree has or the intent says, due or not.
///
/// # Errors
/// [`PlanError`] when the intent is not usable, a lifetime is not positive, or names are asked for a slot that has none.
pub fn wanted_certificates(
    inventory: &Inventory,
    intent: Option<&ClusterIntent>,
    request: &PlanRequest,
    now: Timestamp,
) -> Result<Wanted, PlanError> {
    let request = match intent {
        Some(intent) => &with_lifetimes_of(intent, request),
        None => request,
    };
    request.check()?;
    // Of a new tree's plan only the profiles are used, never a serial number.
    let profiles = intent.map(|intent| create(intent, now, &mut Unused)).transpose()?;
    let search = Search { inventory, intent, profiles, request, now };
    let mut wanted = Wanted::default();
    for slot in Slot::ALL {
        let is_asked_for = match &request.selection {
            Selection::Due | Selection::All => profile(slot).is_some(),
            Selection::Named(slots) => slots.contains(&slot),
        };
        if !is_asked_for {
            continue;
        }
        match search.find(slot) {
            Ok((certificate, notes)) => {
                wanted.certificates.push(certificate);
                wanted.notes.extend(notes.into_iter().map(|note| (slot, note)));
            }
            Err(reason) => wanted.left_out.push((slot, reason)),
        }
    }
    Ok(wanted)
}

/// Returns `request` with the lifetimes that `intent` states where the request itself states none.
fn with_lifetimes_of(intent: &ClusterIntent, request: &PlanRequest) -> PlanRequest {
    let mut request = request.clone();
    let is_unstated =
        request.lifetime == DEFAULT_LIFETIME && request.lifetime_source == LifetimeSource::Default;
    for slot in Slot::ALL.into_iter().filter(|_| is_unstated) {
        let lifetime = intent.lifetime_of(slot);
        if lifetime != DEFAULT_LIFETIME && !request.lifetimes.contains_key(&slot) {
            request.lifetimes.insert(slot, lifetime);
            request.lifetime_sources.insert(slot, LifetimeSource::Configuration);
        }
    }
    request
}

/// Returns what kubeadm puts into the certificate of `slot`, if an authority of the tree signs it for kubeadm.
pub(crate) const fn profile(slot: Slot) -> Option<ClientSpec> {
    match slot {
        Slot::Leaf(leaf) => Some(leaf.spec()),
        Slot::Kubeconfig(kubeconfig) => Some(kubeconfig.spec()),
        Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => None,
    }
}

struct Search<'a> {
    inventory: &'a Inventory,
    intent: Option<&'a ClusterIntent>,
    profiles: Option<Plan>,
    request: &'a PlanRequest,
    now: Timestamp,
}

impl Search<'_> {
    fn find(&self, slot: Slot) -> Result<(WantedCertificate, Vec<Note>), LeftOut> {
        let spec = profile(slot).ok_or(LeftOut::NotRequestable)?;
        let credential = self.inventory.credential(slot).ok_or(LeftOut::NotRequestable)?;
        if let Slot::Kubeconfig(_) = slot {
            check_kubeconfig(credential)?;
        }
        match credential.certificate() {
            Reading::Present(bundle) => self.successor(slot, credential, bundle.first(), spec),
            Reading::Absent => {
                self.configured(slot, spec).map(unnoted).ok_or(match self.is_of_external_etcd(spec) {
                    true => LeftOut::ExternalEtcd,
                    false => LeftOut::Unknown,
                })
            }
            damaged => self
                .configured(slot, spec)
                .map(unnoted)
                .ok_or_else(|| LeftOut::Damaged(damaged.problem().unwrap_or_default())),
        }
    }

    /// The same certificate again: subject, usages and kind of key stay, names and lifetime unless others are asked for.
    fn successor(
        &self,
        slot: Slot,
        credential: &Credential,
        old: &Certificate,
        spec: ClientSpec,
    ) -> Result<(WantedCertificate, Vec<Note>), LeftOut> {
        let Self { inventory, request, now, .. } = *self;
        let mut notes = Vec::new();
        let (alternative_names, note) =
            successor_names(inventory, request, slot, old).map_err(LeftOut::Refused)?;
        notes.extend(note);
        let question = LifetimeQuestion {
            slot,
            old,
            signer: inventory.authority(spec.issuer).signer(),
            inventory,
            now,
            is_due: is_due(credential, old, request, now),
        };
        let (lifetime, note) = decide_lifetime(&question, request).map_err(LeftOut::Refused)?;
        notes.extend(note);
        let kind = old.public_key().key_type();
        let usages = old.key_usages().map(KeyUsages::without_authority).filter(|usages| !usages.is_empty());
        let purposes = old.extended_key_usages();
        let certificate = WantedCertificate {
            slot,
            issuer: spec.issuer,
            subject: old.subject().clone(),
            alternative_names,
            key_usages: usages.unwrap_or(KeyUsages::LEAF),
            extended_key_usages: if purposes.is_empty() {
                catalogue_purposes(spec)
            } else {
                purposes.clone()
            },
            lifetime,
            algorithm: kind.issuable().ok_or_else(|| LeftOut::UnsupportedKey(kind.to_string()))?,
            kubeconfig: None,
            source: WantedSource::Certificate,
        };
        Ok((certificate, notes))
    }

    fn configured(&self, slot: Slot, spec: ClientSpec) -> Option<WantedCertificate> {
        if self.is_of_external_etcd(spec) {
            return None;
        }
        let step = self.profiles.as_ref()?.steps().iter().find(|step| step.slot() == slot)?;
        let certificate = step.certificate()?;
        let KeyPolicy::Generate(algorithm) = step.key() else { return None };
        let kubeconfig = match step.kubeconfig() {
            Some(KubeconfigSpec::Create { cluster, server, .. }) => {
                Some(NewKubeconfig::new(cluster, server)?)
            }
            _ => None,
        };
        Some(WantedCertificate {
            slot,
            issuer: spec.issuer,
            subject: certificate.subject.clone(),
            alternative_names: match slot {
                Slot::Leaf(leaf) => match self.request.names.get(&leaf) {
                    Some(change) => change.apply(&certificate.alternative_names),
                    None => certificate.alternative_names.clone(),
                },
                _ => certificate.alternative_names.clone(),
            },
            key_usages: certificate.key_usages,
            extended_key_usages: certificate.extended_key_usages.clone(),
            lifetime: self.request.lifetime_of(slot),
            algorithm,
            kubeconfig,
            source: WantedSource::Intent,
        })
    }

    fn is_of_external_etcd(&self, spec: ClientSpec) -> bool {
        spec.issuer == CaSlot::Etcd && self.intent.is_some_and(|intent| intent.etcd == EtcdIntent::External)
    }
}

fn unnoted(certificate: WantedCertificate) -> (WantedCertificate, Vec<Note>) {
    (certificate, Vec::new())
}

/// Refuses a kubeconfig into which a new credential could not be put afterwards.
fn check_kubeconfig(credential: &Credential) -> Result<(), LeftOut> {
    let Some(facts) = credential.kubeconfig() else { return Ok(()) };
    if credential.certificate().present().is_some() && !facts.is_embedded {
        return Err(LeftOut::Referenced);
    }
    if let Some(obstacle) = &facts.obstacle {
        return Err(LeftOut::Damaged(obstacle.to_string()));
    }
    match credential.certificate() {
        Reading::Present(_) => Ok(()),
        other => Err(LeftOut::Damaged(
            other.problem().unwrap_or_else(|| "the kubeconfig holds no client certificate".to_owned()),
        )),
    }
}

fn catalogue_purposes(spec: ClientSpec) -> ExtendedKeyUsages {
    ExtendedKeyUsages::new(spec.usages.iter().copied().map(Purpose::from).collect())
}

/// The names of the files that hold the key and the request of `slot`, below the directory of the requests: where kubeadm puts them
/// below `/etc/kubernetes`.
pub(super) fn file_stem(slot: Slot) -> Option<String> {
    match slot {
        Slot::Leaf(leaf) => Some(format!("pki/{}", LeafSlot::base_name(leaf))),
        Slot::Kubeconfig(kubeconfig) => Some(KubeconfigSlot::name(kubeconfig).to_owned()),
        Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => None,
    }
}

struct Unused;

impl Entropy for Unused {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        out.fill(0);
        Ok(())
    }
}

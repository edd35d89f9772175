//! Steps that make something from nothing, and a whole tree of them, as `kubeadm init phase certs all` and
//! `kubeadm init phase kubeconfig all` make it.

use super::step::{CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Note, Placement, Step, Write};
use super::{BACKDATE, ClusterIntent, EtcdIntent, Plan, PlanError, serial};
use crate::catalog::{CaSlot, ClientSpec, FileSlot, KubeconfigSlot, LeafSlot, NameRule, Slot};
use crate::issue::Expected;
use crate::provider::Entropy;
use crate::time::{Seconds, Timestamp};
use crate::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyUsages, Purpose,
    SignatureAlgorithm, Validity,
};

/// Decides on every file of a new tree: authorities, leaves, kubeconfigs and the service account pair.
///
/// Every write expects that there is no file yet. What is for an external etcd or too new for the version is left out. For a tree
/// of which a part exists there is [`initialise`](super::initialise()).
///
/// # Errors
/// [`PlanError`] when a name or a lifetime is not usable, or the random source fails.
pub fn create(intent: &ClusterIntent, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Plan, PlanError> {
    let serials = serial::Serials::draw(entropy)?;
    let creation = Creation::new(intent, now, &serials)?;
    let mut steps = Vec::new();
    for slot in creation_order().filter(|slot| creation.is_wanted(*slot)) {
        steps.push(match slot {
            Slot::Ca(ca) => creation.authority(ca)?,
            Slot::Leaf(leaf) => creation.leaf(leaf, &creation.created(leaf.issuer()))?,
            Slot::Kubeconfig(kubeconfig) => {
                creation.kubeconfig(kubeconfig, &creation.created(kubeconfig.spec().issuer))?
            }
            Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => creation.service_account(),
        });
    }
    Ok(Plan { steps, deferred: Vec::new(), restarts: Vec::new(), now })
}

/// Returns what kubeadm makes, what signs before what is signed.
pub(super) fn creation_order() -> impl Iterator<Item = Slot> {
    CaSlot::ALL
        .into_iter()
        .map(Slot::Ca)
        .chain(LeafSlot::ALL.into_iter().map(Slot::Leaf))
        .chain(KubeconfigSlot::ALL.into_iter().map(Slot::Kubeconfig))
        .chain([Slot::ServiceAccount])
}

/// Makes steps of what an intent says.
pub(super) struct Creation<'a> {
    intent: &'a ClusterIntent,
    now: Timestamp,
    serials: &'a serial::Serials,
}

/// Who signs.
pub(super) struct Signing {
    pub(super) issuer: IssuerRef,
    pub(super) signature: SignatureAlgorithm,
    /// The issuer's last second.
    pub(super) not_after: Timestamp,
}

impl<'a> Creation<'a> {
    pub(super) fn new(
        intent: &'a ClusterIntent,
        now: Timestamp,
        serials: &'a serial::Serials,
    ) -> Result<Self, PlanError> {
        // A line of its own would be a setting of its own in a kubeconfig.
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        let cluster_name = &intent.cluster_name;
        if cluster_name.is_empty() || cluster_name.contains(breaks) {
            return Err(PlanError::Intent { what: "the name of the cluster", value: cluster_name.clone() });
        }
        Ok(Self { intent, now, serials })
    }

    /// Returns whether kubeadm makes `slot` for the intent at all.
    pub(super) fn is_wanted(&self, slot: Slot) -> bool {
        match slot {
            Slot::Kubeconfig(kubeconfig) => kubeconfig.is_written_by(self.intent.version),
            Slot::Ca(CaSlot::Etcd) => self.intent.etcd != EtcdIntent::External,
            Slot::Leaf(leaf) => leaf.issuer() != CaSlot::Etcd || self.intent.etcd != EtcdIntent::External,
            Slot::Ca(_) | Slot::ServiceAccount => true,
            Slot::KubeletClient | Slot::KubeletServing => false,
        }
    }

    /// Returns an authority that the same plan creates.
    pub(super) fn created(&self, ca: CaSlot) -> Signing {
        Signing {
            issuer: IssuerRef::Created(ca),
            signature: self.intent.algorithm.signature(),
            not_after: self.now.plus(self.intent.lifetime_of(Slot::Ca(ca))),
        }
    }

    pub(super) fn authority(&self, ca: CaSlot) -> Result<Step, PlanError> {
        let spec = ca.spec();
        let slot = Slot::Ca(ca);
        let dns_name = spec.dns_name(self.intent.version).map(|name| AlternativeName::Dns(name.to_owned()));
        let lifetime = self.intent.lifetime_of(slot);
        let certificate = CertificateSpec {
            issuer: IssuerRef::Itself,
            signature: self.intent.algorithm.signature(),
            serial: self.serials.of(slot),
            validity: self.validity(lifetime, self.now.plus(lifetime))?,
            subject: DistinguishedName::kubeadm(spec.common_name, &[]),
            alternative_names: AlternativeNames::new(dns_name.into_iter().collect()),
            key_usages: KeyUsages::AUTHORITY,
            extended_key_usages: ExtendedKeyUsages::default(),
        };
        Ok(Step {
            certificate: Some(certificate),
            ..self.step(slot, &[FileSlot::CaKey(ca), FileSlot::CaCertificate(ca)])
        })
    }

    pub(super) fn leaf(&self, leaf: LeafSlot, signing: &Signing) -> Result<Step, PlanError> {
        let slot = Slot::Leaf(leaf);
        let step = self.step(slot, &[FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf)]);
        self.sign(step, leaf.spec(), self.intent.alternative_names(leaf), signing)
    }

    pub(super) fn kubeconfig(
        &self,
        kubeconfig: KubeconfigSlot,
        signing: &Signing,
    ) -> Result<Step, PlanError> {
        let slot = Slot::Kubeconfig(kubeconfig);
        let spec = kubeconfig.spec();
        let template = KubeconfigSpec::Create {
            cluster: self.intent.cluster_name.clone(),
            server: self.intent.server(kubeconfig),
            user: self.common_name(spec),
            preferences: KubeconfigSlot::has_preferences(self.intent.version),
        };
        let step = self.step(slot, &[FileSlot::Kubeconfig(kubeconfig)]);
        self.sign(Step { kubeconfig: Some(template), ..step }, spec, Vec::new(), signing)
    }

    pub(super) fn service_account(&self) -> Step {
        self.step(Slot::ServiceAccount, &[FileSlot::ServiceAccountKey, FileSlot::ServiceAccountPublicKey])
    }

    /// Returns the step that makes `sa.pub` of the `sa.key` that is there.
    pub(super) fn service_account_public_key(&self) -> Step {
        let step = self.step(Slot::ServiceAccount, &[FileSlot::ServiceAccountPublicKey]);
        Step { key: KeyPolicy::Reuse, ..step }
    }

    pub(super) fn common_name(&self, spec: ClientSpec) -> String {
        match spec.common_name {
            NameRule::Fixed(name) => name.to_owned(),
            NameRule::NodeName => self.intent.node_name.as_str().to_owned(),
            NameRule::SystemNode => self.intent.node_name.user(),
        }
    }

    /// Adds a certificate to `step`, which ends with its issuer at the latest.
    fn sign(
        &self,
        mut step: Step,
        spec: ClientSpec,
        names: Vec<AlternativeName>,
        signing: &Signing,
    ) -> Result<Step, PlanError> {
        let slot = step.slot;
        let organisations: Vec<&str> = spec.organisation(self.intent.version).into_iter().collect();
        let lifetime = self.intent.lifetime_of(slot);
        let asked = self.now.plus(lifetime);
        if signing.not_after < asked {
            step.notes.push(Note::Capped { ca: spec.issuer, asked: lifetime });
        }
        step.certificate = Some(CertificateSpec {
            issuer: signing.issuer.clone(),
            signature: signing.signature,
            serial: self.serials.of(slot),
            validity: self.validity(lifetime, asked.min(signing.not_after))?,
            subject: DistinguishedName::kubeadm(&self.common_name(spec), &organisations),
            alternative_names: AlternativeNames::new(names),
            key_usages: KeyUsages::LEAF,
            extended_key_usages: ExtendedKeyUsages::new(
                spec.usages.iter().copied().map(Purpose::from).collect(),
            ),
        });
        Ok(step)
    }

    fn step(&self, slot: Slot, files: &[FileSlot]) -> Step {
        Step {
            slot,
            key: KeyPolicy::Generate(self.intent.algorithm),
            certificate: None,
            kubeconfig: None,
            writes: files.iter().copied().map(new_file).collect(),
            replaced: None,
            notes: Vec::new(),
        }
    }

    fn validity(&self, lifetime: Seconds, not_after: Timestamp) -> Result<Validity, PlanError> {
        if lifetime.0 <= 0 {
            return Err(PlanError::Lifetime(lifetime));
        }
        Validity::new(self.now.minus(BACKDATE), not_after).map_err(|_| PlanError::Lifetime(lifetime))
    }
}

const fn new_file(file: FileSlot) -> Write {
    Write { file, expected: Expected::Absent, mode: file.mode(), placement: Placement::AtPath }
}

//! A whole tree from nothing, as `kubeadm init phase certs all` and `kubeadm init phase kubeconfig all` make it.

use super::step::{CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Placement, Step, Write};
use super::{BACKDATE, ClusterIntent, Plan, PlanError, serial};
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
/// Every write expects that there is no file yet.
///
/// # Errors
/// [`PlanError`] when a name or a lifetime is not usable, or the random source fails.
pub fn create(intent: &ClusterIntent, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Plan, PlanError> {
    // It is written into YAML as it is.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let cluster_name = &intent.cluster_name;
    if cluster_name.is_empty() || !cluster_name.chars().all(plain) {
        return Err(PlanError::Intent { what: "the name of the cluster", value: cluster_name.clone() });
    }
    let serials = serial::Serials::draw(entropy)?;
    let creation = Creation { intent, now, serials: &serials };
    let mut steps = Vec::new();
    for ca in CaSlot::ALL {
        steps.push(creation.authority(ca)?);
    }
    for leaf in LeafSlot::ALL {
        steps.push(creation.leaf(leaf)?);
    }
    for kubeconfig in KubeconfigSlot::ALL {
        steps.push(creation.kubeconfig(kubeconfig)?);
    }
    steps.push(Step {
        slot: Slot::ServiceAccount,
        key: KeyPolicy::Generate(intent.algorithm),
        certificate: None,
        kubeconfig: None,
        writes: vec![new_file(FileSlot::ServiceAccountKey), new_file(FileSlot::ServiceAccountPublicKey)],
        replaced: None,
        notes: Vec::new(),
    });
    Ok(Plan { steps, deferred: Vec::new(), restarts: Vec::new(), now })
}

struct Creation<'a> {
    intent: &'a ClusterIntent,
    now: Timestamp,
    serials: &'a serial::Serials,
}

impl Creation<'_> {
    fn authority(&self, ca: CaSlot) -> Result<Step, PlanError> {
        let common_name = ca.spec().common_name;
        let slot = Slot::Ca(ca);
        let certificate = CertificateSpec {
            issuer: IssuerRef::Itself,
            signature: self.signature(),
            serial: self.serials.of(slot),
            validity: self.validity(self.intent.lifetime_of(slot))?,
            subject: DistinguishedName::kubeadm(common_name, &[]),
            alternative_names: AlternativeNames::new(vec![AlternativeName::Dns(common_name.to_owned())]),
            key_usages: KeyUsages::AUTHORITY,
            extended_key_usages: ExtendedKeyUsages::default(),
        };
        Ok(self.step(slot, certificate, None, vec![FileSlot::CaKey(ca), FileSlot::CaCertificate(ca)]))
    }

    fn leaf(&self, leaf: LeafSlot) -> Result<Step, PlanError> {
        let slot = Slot::Leaf(leaf);
        let names = self.intent.alternative_names(leaf);
        let certificate = self.signed(slot, leaf.spec(), names)?;
        Ok(self.step(slot, certificate, None, vec![FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf)]))
    }

    fn kubeconfig(&self, kubeconfig: KubeconfigSlot) -> Result<Step, PlanError> {
        let slot = Slot::Kubeconfig(kubeconfig);
        let spec = kubeconfig.spec();
        let template = KubeconfigSpec::Create {
            cluster: self.intent.cluster_name.clone(),
            server: self.intent.server(kubeconfig),
            user: self.common_name(spec),
        };
        let certificate = self.signed(slot, spec, Vec::new())?;
        Ok(self.step(slot, certificate, Some(template), vec![FileSlot::Kubeconfig(kubeconfig)]))
    }

    fn signed(
        &self,
        slot: Slot,
        spec: ClientSpec,
        names: Vec<AlternativeName>,
    ) -> Result<CertificateSpec, PlanError> {
        let organisations: Vec<&str> = spec.organisation.into_iter().collect();
        Ok(CertificateSpec {
            issuer: IssuerRef::Created(spec.issuer),
            signature: self.signature(),
            serial: self.serials.of(slot),
            validity: self.validity(
                self.intent.lifetime_of(slot).min(self.intent.lifetime_of(Slot::Ca(spec.issuer))),
            )?,
            subject: DistinguishedName::kubeadm(&self.common_name(spec), &organisations),
            alternative_names: AlternativeNames::new(names),
            key_usages: KeyUsages::LEAF,
            extended_key_usages: ExtendedKeyUsages::new(
                spec.usages.iter().copied().map(Purpose::from).collect(),
            ),
        })
    }

    fn step(
        &self,
        slot: Slot,
        certificate: CertificateSpec,
        kubeconfig: Option<KubeconfigSpec>,
        files: Vec<FileSlot>,
    ) -> Step {
        Step {
            slot,
            key: KeyPolicy::Generate(self.intent.algorithm),
            certificate: Some(certificate),
            kubeconfig,
            writes: files.into_iter().map(new_file).collect(),
            replaced: None,
            notes: Vec::new(),
        }
    }

    const fn signature(&self) -> SignatureAlgorithm {
        self.intent.algorithm.signature()
    }

    fn validity(&self, lifetime: Seconds) -> Result<Validity, PlanError> {
        if lifetime.0 <= 0 {
            return Err(PlanError::Lifetime(lifetime));
        }
        Validity::new(self.now.minus(BACKDATE), self.now.plus(lifetime))
            .map_err(|_| PlanError::Lifetime(lifetime))
    }

    fn common_name(&self, spec: ClientSpec) -> String {
        match spec.common_name {
            NameRule::Fixed(name) => name.to_owned(),
            NameRule::NodeName => self.intent.node_name.as_str().to_owned(),
            NameRule::SystemNode => self.intent.node_name.user(),
        }
    }
}

const fn new_file(file: FileSlot) -> Write {
    Write { file, expected: Expected::Absent, mode: file.mode(), placement: Placement::AtPath }
}

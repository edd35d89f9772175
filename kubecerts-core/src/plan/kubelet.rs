//! The repair of the kubelet's own credential: its client certificate, and the kubeconfig that refers to it.
//!
//! A kubelet that has lost its credential cannot ask for another one, because it would have to prove who it is. So this is
//! decided here like everything else that an authority of the tree signs.

use super::renew::{Renewal, signer, write};
use super::step::{
    CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Note, Placement, Replaced, Step, Write, found_at,
};
use super::{AuthorityProblem, BACKDATE, KeyChoice, KubeletChoice, Reason};
use crate::catalog::{
    CaSlot, FileSlot, KubeconfigSlot, KubernetesVersion, NodeName, PathSource, Service, Slot,
};
use crate::inventory::{ChainFact, Credential, Inventory, Reading};
use crate::snapshot::ReadProblem;
use crate::x509::{
    AlternativeNames, Certificate, DistinguishedName, ExtendedKeyUsages, KeyAlgorithm, KeyType, KeyUsages,
    Purpose, Validity,
};

pub(super) struct Repair<'r, 'i> {
    pub(super) renewal: &'r Renewal<'i>,
}

/// What to do about the two slots; `None` where nobody asked or there is no kubelet.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) client: Option<Result<Step, Reason>>,
    pub(super) kubeconfig: Option<Result<Step, Reason>>,
}

/// The state of kubelet.conf.
#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// It refers to the kubelet's client certificate and trusts the tree's authority.
    Refers,
    /// It has something else that works.
    Otherwise,
    /// The user can be made to refer to the client certificate.
    Mendable { replace_authority: bool },
    /// It has to be written anew.
    Lost,
}

impl Repair<'_, '_> {
    pub(super) fn consider(&self) -> Outcome {
        let inventory = self.renewal.inventory;
        let request = self.renewal.request;
        let named = request.names(Slot::KubeletClient);
        let file = inventory.file(CONF);
        let client = client(inventory);
        let is_there =
            file.exists || client.certificate_file().exists || inventory.node().kubelet().is_some();
        if !is_there && !named {
            return Outcome::default();
        }
        if let Some(problem) = conf(inventory).certificate().unreadable()
            && file.exists
            && file.digest.is_none()
        {
            let unreadable = Reason::Unreadable(file.path.clone(), problem.to_string());
            return Outcome { client: None, kubeconfig: Some(Err(unreadable)) };
        }
        let state = self.state();
        let is_used = state != State::Otherwise;
        let is_valid = self.is_valid(client);
        let mint = (named || (is_used && !is_valid)).then(|| self.mint(named));
        let kubeconfig = match state {
            State::Refers | State::Otherwise => {
                let asked = request.kubelet == KubeletChoice::Repair || request.names(Slot::Kubeconfig(SLOT));
                asked.then_some(Err(Reason::KubeletOwned))
            }
            State::Mendable { .. } | State::Lost => Some(match &mint {
                // What is still good today may be referred to, although it could not be replaced.
                Some(Err(reason)) if !self.works(client) => Err(reason.clone()),
                _ => self.refer(state),
            }),
        };
        let client = match (mint, client.leaf()) {
            (Some(minted), _) => Some(minted),
            (None, Some(leaf)) if is_valid => Some(Err(Reason::NotDue { not_after: leaf.not_after() })),
            (None, _) => None,
        };
        Outcome { client, kubeconfig }
    }

    fn state(&self) -> State {
        let inventory = self.renewal.inventory;
        let credential = conf(inventory);
        let Some(facts) = credential.kubeconfig() else { return State::Lost };
        let Some(current) = facts.file.as_ref().ok().and_then(|file| file.current().ok()) else {
            return State::Lost;
        };
        let replace_authority = facts.needs_authority(inventory.authority(CaSlot::Cluster));
        if !replace_authority {
            if refers_to_client(inventory) {
                return State::Refers;
            }
            // A kubelet may have been told to use other files, or a token.
            let refers = !facts.is_embedded && self.is_valid(credential);
            if refers || (credential.leaf().is_none() && current.user.other_credential().is_some()) {
                return State::Otherwise;
            }
        }
        if facts.reference_obstacle.is_some() { State::Lost } else { State::Mendable { replace_authority } }
    }

    /// Returns whether `credential` is this node's and needs no successor.
    fn is_valid(&self, credential: &Credential) -> bool {
        let due = credential.leaf().is_none_or(|leaf| self.renewal.is_due(credential, leaf));
        !due && is_intact(credential) && self.is_own(credential)
    }

    /// Returns whether `credential` is this node's and valid now.
    fn works(&self, credential: &Credential) -> bool {
        let now = self.renewal.now;
        let valid = |leaf: &Certificate| leaf.not_before() <= now && now <= leaf.not_after();
        credential.leaf().is_some_and(valid) && is_intact(credential) && self.is_own(credential)
    }

    fn is_own(&self, credential: &Credential) -> bool {
        let Some(name) = credential.leaf().and_then(node_of) else { return false };
        stated(self.renewal.inventory).is_none_or(|stated| stated == name)
    }

    /// Decides on a new client certificate.
    fn mint(&self, named: bool) -> Result<Step, Reason> {
        let Renewal { inventory, request, now, serials } = *self.renewal;
        let credential = client(inventory);
        let name = node_name(inventory).ok_or(Reason::NodeNameUnknown)?;
        let ca = CaSlot::Cluster;
        let (signer, signature) = signer(ca, inventory.authority(ca), &request.remote_authorities, now)?;
        let mut notes = Vec::new();
        let asked = now.plus(request.lifetime_of(Slot::KubeletClient));
        let not_after = asked.min(signer.not_after());
        if not_after < asked {
            notes.push(Note::Capped { ca, asked: request.lifetime_of(Slot::KubeletClient) });
        }
        let subject = subject(&name);
        let leaf = credential.leaf();
        if let Some(leaf) = leaf {
            if !named && self.works(credential) && not_after <= leaf.not_after() {
                // Nothing would change, today or at the next look.
                return Err(Reason::CannotBeExtended { not_after });
            }
            if node_of(leaf).as_ref() != Some(&name) {
                notes.push(Note::SubjectChanged(leaf.subject().to_string()));
            }
            if matches!(credential.chain(), Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_))) {
                notes.push(Note::AuthorityChanged(ca));
            }
        }
        let key = match request.keys {
            KeyChoice::Generate => KeyPolicy::Generate(KEY),
            KeyChoice::Reuse if credential.key_matches() == Some(true) => KeyPolicy::Reuse,
            KeyChoice::Reuse => return Err(Reason::NoKeyToReuse(credential.key_file().path.clone())),
        };
        let facts = inventory.file(FileSlot::KubeletClient);
        if let Reading::Unreadable(problem) = credential.certificate()
            && !matches!(problem, ReadProblem::DanglingLink { .. })
        {
            return Err(Reason::Unreadable(facts.path.clone(), problem.to_string()));
        }
        let expected = found_at(inventory, FileSlot::KubeletClient)
            .ok_or_else(|| Reason::Unreadable(facts.path.clone(), "its content is not known".to_owned()))?;
        Ok(Step {
            slot: Slot::KubeletClient,
            certificate: Some(CertificateSpec {
                issuer: IssuerRef::Existing { ca, public_key: signer.public_key().fingerprint() },
                signature,
                serial: serials.of(Slot::KubeletClient),
                validity: Validity::new(now.minus(BACKDATE), not_after).map_err(|_| {
                    Reason::AuthorityUnusable(ca, AuthorityProblem::Expired(signer.not_after()))
                })?,
                subject,
                alternative_names: AlternativeNames::default(),
                key_usages: key_usages(key, credential),
                extended_key_usages: purposes(),
            }),
            key,
            kubeconfig: None,
            // A new file is nobody's to have opened: it gets the kubelet's own mode.
            writes: vec![Write {
                file: FileSlot::KubeletClient,
                expected,
                mode: FileSlot::KubeletClient.mode(),
                placement: Placement::of(FileSlot::KubeletClient),
            }],
            replaced: leaf
                .map(|leaf| Replaced { serial: leaf.serial().clone(), not_after: leaf.not_after() }),
            notes,
        })
    }

    /// Decides how kubelet.conf comes to refer to the client certificate.
    fn refer(&self, state: State) -> Result<Step, Reason> {
        let inventory = self.renewal.inventory;
        let mut notes = Vec::new();
        let authority = inventory.authority(CaSlot::Cluster);
        let spec = match state {
            State::Mendable { replace_authority } => {
                if replace_authority {
                    notes.push(Note::AuthorityDataReplaced);
                }
                KubeconfigSpec::Refer { replace_authority }
            }
            State::Refers | State::Otherwise | State::Lost => {
                if authority.certificate().present().is_none() {
                    let path = authority.certificate_file().path.clone();
                    let problem = match authority.certificate().problem() {
                        Some(reason) => AuthorityProblem::Damaged(path, reason),
                        None => AuthorityProblem::Absent(path),
                    };
                    return Err(Reason::AuthorityUnusable(CaSlot::Cluster, problem));
                }
                new_kubeconfig(inventory)?
            }
        };
        let writes = vec![write(CONF, inventory.file(CONF), &mut notes)?];
        Ok(Step {
            slot: Slot::Kubeconfig(SLOT),
            key: KeyPolicy::Reuse,
            certificate: None,
            kubeconfig: Some(spec),
            writes,
            replaced: None,
            notes,
        })
    }
}

/// Returns whether certificate and key belong together, are signed by the tree's authority, and good for a client.
pub(super) fn is_intact(credential: &Credential) -> bool {
    credential.key_matches() == Some(true)
        && matches!(credential.chain(), Some(ChainFact::Signed(_)))
        && credential.leaf().is_some_and(|leaf| leaf.extended_key_usages().allows(Purpose::CLIENT_AUTH))
}

/// Returns whether kubelet.conf takes certificate and key from the kubelet's client certificate.
pub(super) fn refers_to_client(inventory: &Inventory) -> bool {
    let credential = conf(inventory);
    let path = inventory.node().layout().path(FileSlot::KubeletClient);
    credential.kubeconfig().is_some_and(|facts| !facts.is_embedded)
        && credential.certificate_file().path == *path
        && credential.key_file().path == *path
}

/// Returns the subject of a kubelet's client certificate.
pub(crate) fn subject(name: &NodeName) -> DistinguishedName {
    DistinguishedName::kubeadm(&name.user(), &[NodeName::GROUP])
}

/// Returns the extended key usages of a kubelet's client certificate.
pub(crate) fn purposes() -> ExtendedKeyUsages {
    ExtendedKeyUsages::new(vec![Purpose::CLIENT_AUTH])
}

/// Returns the key usages of a client certificate with a key of this kind, as a kubelet asks for them.
pub(crate) const fn usages_of(key: &KeyType) -> KeyUsages {
    if matches!(key, KeyType::Rsa { .. }) { KeyUsages::LEAF } else { KeyUsages::SIGNATURE }
}

/// Returns the key usages of the certificate that `key` will get.
pub(super) fn key_usages(key: KeyPolicy, credential: &Credential) -> KeyUsages {
    match (key, credential.leaf()) {
        (KeyPolicy::Reuse, Some(leaf)) => usages_of(leaf.public_key().key_type()),
        (KeyPolicy::Generate(algorithm), _) => usages_of(&algorithm.into()),
        (KeyPolicy::Reuse, None) => usages_of(&KEY.into()),
    }
}

/// Returns the name of the node: of the caller, else of its client certificate, else of kubelet.conf, else of its manifests.
#[must_use]
pub fn node_name(inventory: &Inventory) -> Option<NodeName> {
    let of_certificate = |credential: &Credential| credential.leaf().and_then(certified);
    let node = || inventory.node().node_name().and_then(|stated| NodeName::parse(&stated.value).ok());
    stated(inventory)
        .or_else(|| of_certificate(client(inventory)))
        .or_else(|| of_certificate(conf(inventory)))
        .or_else(|| mentioned(conf(inventory)))
        .or_else(node)
}

/// Returns the whole kubelet.conf of the node, as kubeadm would write it.
pub(super) fn new_kubeconfig(inventory: &Inventory) -> Result<KubeconfigSpec, Reason> {
    let name = node_name(inventory).ok_or(Reason::NodeNameUnknown)?;
    // From 1.33 on kubeadm sends a control-plane node's kubelet to its own API server, before to everybody's
    // (`cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go`).
    let local_first = inventory.node().version().is_some_and(|version| version >= LOCAL_SERVER_SINCE);
    let mut sources = [
        KubeconfigSlot::Admin,
        KubeconfigSlot::SuperAdmin,
        KubeconfigSlot::ControllerManager,
        KubeconfigSlot::Scheduler,
    ];
    if local_first {
        sources.reverse();
    }
    let named = sources.into_iter().find_map(|slot| {
        let facts = inventory.credential(Slot::Kubeconfig(slot))?.kubeconfig()?;
        let cluster = facts.file.as_ref().ok()?.current().ok()?.cluster;
        let server = cluster.server().filter(|server| is_plain_url(server))?;
        let name = Some(cluster.name()).filter(|name| is_plain(name)).unwrap_or(CLUSTER);
        Some((name.to_owned(), server.to_owned()))
    });
    let listening = || {
        let endpoints = inventory.node().endpoints();
        let endpoint = endpoints.iter().find(|endpoint| endpoint.service == Service::ApiServer)?;
        let server = format!("https://{endpoint}");
        is_plain_url(&server).then(|| (CLUSTER.to_owned(), server))
    };
    let (cluster, server) = named.or_else(listening).ok_or(Reason::ServerUnknown)?;
    Ok(KubeconfigSpec::CreateReferring { cluster, server, user: name.user() })
}

fn client(inventory: &Inventory) -> &Credential {
    inventory.credential(Slot::KubeletClient).expect("an inventory has every credential")
}

fn conf(inventory: &Inventory) -> &Credential {
    inventory.credential(Slot::Kubeconfig(SLOT)).expect("an inventory has every credential")
}

/// Returns the name that the caller gives.
fn stated(inventory: &Inventory) -> Option<NodeName> {
    let stated = inventory.node().node_name().filter(|stated| stated.source == PathSource::Argument)?;
    NodeName::parse(&stated.value).ok()
}

/// Returns the node whose kubelet `certificate` identifies.
fn node_of(certificate: &Certificate) -> Option<NodeName> {
    let is_member = certificate.subject().organisations().any(|group| group == NodeName::GROUP);
    certified(certificate).filter(|_| is_member)
}

/// Returns the node whose name `certificate` has, whether or not it is in the group of kubelets.
fn certified(certificate: &Certificate) -> Option<NodeName> {
    NodeName::of_user(certificate.subject().common_name()?)
}

/// Returns the node after which the user or the context of a kubeconfig is named.
fn mentioned(credential: &Credential) -> Option<NodeName> {
    let file = credential.kubeconfig()?.file.as_ref().ok()?;
    let users = file.users().iter().map(|user| user.name());
    let contexts = file.contexts().iter().filter_map(|context| context.name().split('@').next());
    let current = file.current_context().and_then(|name| name.split('@').next());
    current.into_iter().chain(users).chain(contexts).find_map(NodeName::of_user)
}

/// Returns whether `text` is a name that YAML reads as it stands.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str())
}

fn is_plain_url(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]/".contains(c))
    })
}

const SLOT: KubeconfigSlot = KubeconfigSlot::Kubelet;
const CONF: FileSlot = FileSlot::Kubeconfig(SLOT);

/// What kubelets make for themselves (`k8s.io/client-go/util/certificate/certificate_manager.go`).
pub(crate) const KEY: KeyAlgorithm = KeyAlgorithm::EcdsaP256;

/// kubeadm's name of the cluster.
const CLUSTER: &str = "kubernetes";

/// From this version on kubeadm gives kubelet.conf the local API endpoint.
const LOCAL_SERVER_SINCE: KubernetesVersion = KubernetesVersion::release(1, 33);

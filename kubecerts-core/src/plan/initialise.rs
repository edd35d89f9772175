//! What is missing of a node's tree, beside what is there already.

use std::collections::{BTreeMap, BTreeSet};

use super::create::{Creation, Signing, creation_order};
use super::judge::{Contradiction, Difference, Judge};
use super::{
    AuthorityProblem, ClusterIntent, Deferred, EtcdIntent, IssuerRef, Plan, PlanError, Reason, serial, signer,
};
use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::{Custody, Inventory, Reading};
use crate::provider::Entropy;
use crate::time::Timestamp;

/// Decides what to make so that the tree of `inventory` becomes what `intent` says.
///
/// Nothing is overwritten: what exists and is right is left out with [`Reason::Kept`], what exists and is not right is an
/// error. An authority that exists signs, an intermediate one as well; one that does not exist is created by the first node, as
/// is the service account pair. An authority whose key is elsewhere signs nothing here: what it would have to sign is left out
/// with [`Reason::ExternalAuthority`].
///
/// A server in a kubeconfig is right when it is the control-plane endpoint or this node's own, and an organisation when some
/// version of kubeadm gives it: clusters that were upgraded keep theirs.
///
/// # Errors
/// [`PlanError::Contradictions`] with everything that is there and should be otherwise; [`PlanError`] when a name or a lifetime
/// is not usable, or the random source fails.
pub fn initialise(
    intent: &ClusterIntent,
    inventory: &Inventory,
    request: &InitRequest,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Result<Plan, PlanError> {
    let serials = serial::Serials::draw(entropy)?;
    let creation = Creation::new(intent, now, &serials)?;
    let judge = Judge { intent, inventory, now };
    let mut initialisation =
        Initialisation { inventory, request, now, creation, judge, contradictions: BTreeSet::new() };
    let standings = initialisation.authorities();
    let mut steps = Vec::new();
    let mut deferred = Vec::new();
    for slot in creation_order().filter(|slot| request.scope.includes(*slot)) {
        if !initialisation.is_wanted(slot) {
            if request.scope.names(slot) {
                deferred.push(Deferred::new(slot, Reason::NotOfThisNode));
            }
            continue;
        }
        match initialisation.consider(slot, &standings)? {
            Some(Ok(step)) => steps.push(step),
            Some(Err(reason)) => deferred.push(Deferred::new(slot, reason)),
            None => {}
        }
    }
    if !initialisation.contradictions.is_empty() {
        return Err(PlanError::Contradictions(initialisation.contradictions.into_iter().collect()));
    }
    deferred.sort_by_key(Deferred::slot);
    Ok(Plan { steps, deferred, restarts: Vec::new(), now })
}

/// What is to be made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct InitRequest {
    /// Which files; all by default.
    pub scope: InitScope,
    /// Which node of the cluster it is; the first one by default.
    pub role: Role,
}

impl InitRequest {
    /// Returns the request for everything in `scope` on a cluster's first node.
    #[must_use]
    pub const fn first_node(scope: InitScope) -> Self {
        Self { scope, role: Role::First }
    }

    /// Returns the request for everything on another control-plane node, with or without a kubelet.conf.
    #[must_use]
    pub const fn joining_node(kubelet: bool) -> Self {
        Self { scope: InitScope::All, role: Role::Joining { kubelet } }
    }
}

/// Which files are to be made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum InitScope {
    /// Every file.
    #[default]
    All,
    /// Authorities, leaves and the service account pair: `kubeadm init phase certs all`.
    Certificates,
    /// Kubeconfigs: `kubeadm init phase kubeconfig all`.
    Kubeconfigs,
    /// These. An authority that is not among them is not created.
    Named(BTreeSet<Slot>),
}

impl InitScope {
    fn includes(&self, slot: Slot) -> bool {
        match self {
            Self::All => true,
            Self::Certificates => !matches!(slot, Slot::Kubeconfig(_)),
            Self::Kubeconfigs => matches!(slot, Slot::Kubeconfig(_)),
            Self::Named(slots) => slots.contains(&slot),
        }
    }

    fn names(&self, slot: Slot) -> bool {
        matches!(self, Self::Named(slots) if slots.contains(&slot))
    }
}

/// Which node of a cluster it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// The first control-plane node, which makes authorities and the service account pair.
    #[default]
    First,
    /// Another control-plane node, which has the first one's.
    #[non_exhaustive]
    Joining {
        /// Whether kubelet.conf is made as well; otherwise the kubelet asks for its certificate with a token.
        kubelet: bool,
    },
}

/// How an authority stands to what it would have to sign.
enum Standing {
    /// It signs: it exists, or the plan creates it.
    Signs(Signing),
    /// It does not, for this reason.
    Defers(Reason),
    /// It contradicts the intent, which is said already.
    Contradicts,
}

struct Initialisation<'a> {
    inventory: &'a Inventory,
    request: &'a InitRequest,
    now: Timestamp,
    creation: Creation<'a>,
    judge: Judge<'a>,
    contradictions: BTreeSet<Contradiction>,
}

impl Initialisation<'_> {
    fn is_wanted(&self, slot: Slot) -> bool {
        let is_of_role = match (self.request.role, slot) {
            (Role::Joining { .. }, Slot::Kubeconfig(KubeconfigSlot::SuperAdmin)) => false,
            (Role::Joining { kubelet }, Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => kubelet,
            _ => true,
        };
        is_of_role && self.creation.is_wanted(slot)
    }

    /// Finds how every authority stands that is asked for, or for which something is.
    fn authorities(&mut self) -> BTreeMap<CaSlot, Standing> {
        let asked = |slot: &Slot| self.request.scope.includes(*slot) && self.is_wanted(*slot);
        let needed: BTreeSet<CaSlot> = creation_order()
            .filter(asked)
            .filter_map(|slot| match slot {
                Slot::Ca(ca) => Some(ca),
                slot => slot.issuer(),
            })
            .collect();
        needed.into_iter().map(|ca| (ca, self.standing(ca))).collect()
    }

    fn standing(&mut self, ca: CaSlot) -> Standing {
        let authority = self.inventory.authority(ca);
        match authority.custody() {
            Custody::Absent => self.absent(ca),
            Custody::Held | Custody::External | Custody::Broken => {
                // Judged as if it could sign, for what is wrong with its certificate is wrong with all that it signed.
                match signer(ca, authority, &BTreeSet::from([ca]), self.now) {
                    Ok(_) if authority.custody() == Custody::External => {
                        Standing::Defers(Reason::ExternalAuthority(ca))
                    }
                    Ok((certificate, signature)) => Standing::Signs(Signing {
                        issuer: IssuerRef::Existing {
                            ca,
                            public_key: certificate.public_key().fingerprint(),
                        },
                        signature,
                        not_after: certificate.not_after(),
                    }),
                    Err(Reason::AuthorityUnusable(_, problem)) => {
                        let path = match &problem {
                            AuthorityProblem::KeyMismatch => authority.key_file().path.clone(),
                            AuthorityProblem::Damaged(path, _) => path.clone(),
                            _ => authority.certificate_file().path.clone(),
                        };
                        self.contradict(Contradiction { path, difference: Difference::Authority(problem) });
                        Standing::Contradicts
                    }
                    Err(reason) => Standing::Defers(reason),
                }
            }
        }
    }

    /// An authority without a certificate is created, unless something is there that another one must have made.
    fn absent(&mut self, ca: CaSlot) -> Standing {
        let authority = self.inventory.authority(ca);
        let certificate = authority.certificate_file().path.clone();
        if authority.key_file().exists || !matches!(authority.key(), Reading::Absent) {
            let path = authority.key_file().path.clone();
            self.contradict(Contradiction { path, difference: Difference::NoCertificate(certificate) });
            return Standing::Contradicts;
        }
        let orphans: Vec<FileSlot> = LeafSlot::ALL
            .into_iter()
            .map(FileSlot::LeafCertificate)
            .chain(KubeconfigSlot::ALL.into_iter().map(FileSlot::Kubeconfig))
            .filter(|file| file.slot().issuer() == Some(ca) && self.inventory.file(*file).exists)
            .collect();
        for orphan in &orphans {
            let path = self.inventory.file(*orphan).path.clone();
            let difference = Difference::AuthorityGone(ca, certificate.clone());
            self.contradict(Contradiction { path, difference });
        }
        if !orphans.is_empty() {
            return Standing::Contradicts;
        }
        if self.request.scope.includes(Slot::Ca(ca)) && self.request.role == Role::First {
            Standing::Signs(self.creation.created(ca))
        } else {
            Standing::Defers(Reason::AuthorityUnusable(ca, AuthorityProblem::Absent(certificate)))
        }
    }

    /// Returns what becomes of `slot`; `None` when it contradicts the intent.
    fn consider(
        &mut self,
        slot: Slot,
        standings: &BTreeMap<CaSlot, Standing>,
    ) -> Result<Option<Result<super::Step, Reason>>, PlanError> {
        let standing = |ca: CaSlot| standings.get(&ca).expect("every authority that is needed was looked at");
        let (ca, judged) = match slot {
            Slot::Ca(ca) => {
                return Ok(match standing(ca) {
                    Standing::Signs(Signing { issuer: IssuerRef::Created(_), .. }) => {
                        Some(Ok(self.creation.authority(ca)?))
                    }
                    Standing::Signs(_) | Standing::Defers(Reason::ExternalAuthority(_)) => {
                        Some(Err(Reason::Kept))
                    }
                    Standing::Defers(reason) => Some(Err(reason.clone())),
                    Standing::Contradicts => None,
                });
            }
            Slot::Leaf(leaf) => (leaf.issuer(), self.judge.leaf(leaf)),
            Slot::Kubeconfig(kubeconfig) => (kubeconfig.spec().issuer, self.judge.kubeconfig(kubeconfig)),
            Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => {
                return Ok(self.service_account());
            }
        };
        if matches!(standing(ca), Standing::Contradicts) {
            return Ok(None);
        }
        match judged {
            Ok(true) => return Ok(Some(Err(Reason::Kept))),
            Ok(false) => {}
            Err(contradiction) => {
                self.contradict(contradiction);
                return Ok(None);
            }
        }
        Ok(match (standing(ca), slot) {
            (Standing::Signs(signing), Slot::Leaf(leaf)) => Some(Ok(self.creation.leaf(leaf, signing)?)),
            (Standing::Signs(signing), Slot::Kubeconfig(kubeconfig)) => {
                Some(Ok(self.creation.kubeconfig(kubeconfig, signing)?))
            }
            (Standing::Defers(reason), _) => Some(Err(reason.clone())),
            (Standing::Signs(_) | Standing::Contradicts, _) => None,
        })
    }

    fn service_account(&mut self) -> Option<Result<super::Step, Reason>> {
        let pair = self.inventory.service_account();
        match (pair.key_file.exists, pair.public_key_file.exists) {
            (false, false) if self.request.role == Role::First => {
                return Some(Ok(self.creation.service_account()));
            }
            (false, false) => return Some(Err(Reason::Missing(pair.key_file.path.clone()))),
            _ => {}
        }
        match self.judge.service_account() {
            Ok(true) => Some(Err(Reason::Kept)),
            Ok(false) => Some(Ok(self.creation.service_account_public_key())),
            Err(contradiction) => {
                self.contradict(contradiction);
                None
            }
        }
    }

    fn contradict(&mut self, contradiction: Contradiction) {
        self.contradictions.insert(contradiction);
    }
}

/// Returns the files that all control-plane nodes of a cluster have alike, as `kubeadm init phase upload-certs` takes them.
///
/// An external etcd has the API server's client certificate among them, and no key of its authority.
pub(crate) fn shared_files(etcd: &EtcdIntent) -> Vec<FileSlot> {
    let mut files: Vec<FileSlot> = CaSlot::ALL.into_iter().map(FileSlot::CaCertificate).collect();
    files.extend([CaSlot::Cluster, CaSlot::FrontProxy].map(FileSlot::CaKey));
    if *etcd == EtcdIntent::External {
        let client = LeafSlot::ApiServerEtcdClient;
        files.extend([FileSlot::LeafCertificate(client), FileSlot::LeafKey(client)]);
    } else {
        files.push(FileSlot::CaKey(CaSlot::Etcd));
    }
    files.extend([FileSlot::ServiceAccountKey, FileSlot::ServiceAccountPublicKey]);
    files
}

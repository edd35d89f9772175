//! What a certificate is for: a slot of the tree, or a signer of Kubernetes.

use std::fmt;
use std::str::FromStr;

use crate::catalog::{CaSlot, Slot};
use crate::plan::PlanRequest;
use crate::time::Seconds;

/// What a certificate is for, which decides what is in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SigningProfile {
    /// A leaf or a kubeconfig, as kubeadm makes it.
    Slot(Slot),
    /// One of the signers of Kubernetes' certificates API.
    Signer(SignerName),
}

impl SigningProfile {
    /// Returns the profile of a leaf or a kubeconfig; of what the kubelet rotates it is that of its signer.
    #[must_use]
    pub const fn of_slot(slot: Slot) -> Option<Self> {
        match slot {
            Slot::Leaf(_) | Slot::Kubeconfig(_) => Some(Self::Slot(slot)),
            Slot::KubeletClient => Some(Self::Signer(SignerName::ApiServerClientKubelet)),
            Slot::KubeletServing => Some(Self::Signer(SignerName::KubeletServing)),
            Slot::Ca(_) | Slot::ServiceAccount => None,
        }
    }

    /// Returns the authority that signs such certificates.
    #[must_use]
    pub fn issuer(self) -> CaSlot {
        match self {
            Self::Slot(slot) => slot.issuer().unwrap_or(CaSlot::Cluster),
            Self::Signer(_) => CaSlot::Cluster,
        }
    }

    /// Returns how long `request` states that such certificates are to be valid.
    #[must_use]
    pub fn lifetime(self, request: &PlanRequest) -> Seconds {
        match self {
            Self::Slot(slot) => request.lifetime_of(slot),
            Self::Signer(SignerName::ApiServerClientKubelet) => request.lifetime_of(Slot::KubeletClient),
            Self::Signer(SignerName::KubeletServing) => request.lifetime_of(Slot::KubeletServing),
            Self::Signer(SignerName::ApiServerClient) => request.lifetime,
        }
    }
}

impl fmt::Display for SigningProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => slot.fmt(f),
            Self::Signer(signer) => signer.fmt(f),
        }
    }
}

impl FromStr for SigningProfile {
    type Err = UnknownProfile;

    /// Parses the name of a slot, or of a signer with or without `kubernetes.io/`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix(PREFIX).unwrap_or(text);
        if let Some(signer) = SignerName::ALL.into_iter().find(|signer| signer.bare() == bare) {
            return Ok(Self::Signer(signer));
        }
        let slot = text.parse::<Slot>().ok().and_then(Self::of_slot);
        slot.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

/// A text that names no profile.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is neither a certificate or kubeconfig of kubeadm nor a signer of Kubernetes for which there are rules"
)]
pub struct UnknownProfile(String);

/// A signer of Kubernetes' certificates API. `kubernetes.io/legacy-unknown` is none: it promises nothing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SignerName {
    /// `kubernetes.io/kube-apiserver-client`: clients of the API server.
    ApiServerClient,
    /// `kubernetes.io/kube-apiserver-client-kubelet`: kubelets as clients of the API server.
    ApiServerClientKubelet,
    /// `kubernetes.io/kubelet-serving`: kubelets as servers.
    KubeletServing,
}

impl SignerName {
    /// Every signer.
    pub const ALL: [Self; 3] = [Self::ApiServerClient, Self::ApiServerClientKubelet, Self::KubeletServing];

    const fn bare(self) -> &'static str {
        match self {
            Self::ApiServerClient => "kube-apiserver-client",
            Self::ApiServerClientKubelet => "kube-apiserver-client-kubelet",
            Self::KubeletServing => "kubelet-serving",
        }
    }
}

impl fmt::Display for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.bare())
    }
}

const PREFIX: &str = "kubernetes.io/";

//! The files that hold the artefacts, their modes, and what kind of content each has.

use std::fmt;
use std::str::FromStr;

use super::{CaSlot, KubeconfigSlot, LeafSlot, Slot, UnknownName};

/// A file of the tree. Plans and change sets name files by slot, never by path, so that no document can point
/// outside the layout.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum FileSlot {
    /// An authority's certificate, or a bundle of them.
    CaCertificate(CaSlot),
    /// An authority's private key; absent when the authority is managed elsewhere.
    CaKey(CaSlot),
    /// A leaf's certificate.
    LeafCertificate(LeafSlot),
    /// A leaf's private key.
    LeafKey(LeafSlot),
    /// A kubeconfig.
    Kubeconfig(KubeconfigSlot),
    /// `sa.key`: signs service account tokens.
    ServiceAccountKey,
    /// `sa.pub`: verifies service account tokens.
    ServiceAccountPublicKey,
    /// `kubelet-client-current.pem`: certificate and key in one file, a link to the newest dated one.
    KubeletClient,
    /// `kubelet.crt` or `kubelet-server-current.pem`: the kubelet's serving certificate.
    KubeletServingCertificate,
    /// `kubelet.key`: the key of the self-signed serving certificate.
    KubeletServingKey,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "kubeadm's artefacts are a closed world")]
pub enum FileKind {
    /// Certificates, public.
    Certificate,
    /// A private key.
    PrivateKey,
    /// A public key.
    PublicKey,
    /// A kubeconfig, which embeds a private key as a rule.
    Kubeconfig,
    /// A certificate and its private key in one file.
    CertificateAndKey,
}

impl FileSlot {
    /// Returns every file, sorted.
    pub fn all() -> impl Iterator<Item = Self> {
        CaSlot::ALL
            .into_iter()
            .map(Self::CaCertificate)
            .chain(CaSlot::ALL.into_iter().map(Self::CaKey))
            .chain(LeafSlot::ALL.into_iter().map(Self::LeafCertificate))
            .chain(LeafSlot::ALL.into_iter().map(Self::LeafKey))
            .chain(KubeconfigSlot::ALL.into_iter().map(Self::Kubeconfig))
            .chain([
                Self::ServiceAccountKey,
                Self::ServiceAccountPublicKey,
                Self::KubeletClient,
                Self::KubeletServingCertificate,
                Self::KubeletServingKey,
            ])
    }

    /// Returns the artefact that this file belongs to.
    #[must_use]
    pub const fn slot(self) -> Slot {
        match self {
            Self::CaCertificate(ca) | Self::CaKey(ca) => Slot::Ca(ca),
            Self::LeafCertificate(leaf) | Self::LeafKey(leaf) => Slot::Leaf(leaf),
            Self::Kubeconfig(kubeconfig) => Slot::Kubeconfig(kubeconfig),
            Self::ServiceAccountKey | Self::ServiceAccountPublicKey => Slot::ServiceAccount,
            Self::KubeletClient => Slot::KubeletClient,
            Self::KubeletServingCertificate | Self::KubeletServingKey => Slot::KubeletServing,
        }
    }

    /// Returns what the file holds.
    #[must_use]
    pub const fn kind(self) -> FileKind {
        match self {
            Self::CaCertificate(_) | Self::LeafCertificate(_) | Self::KubeletServingCertificate => {
                FileKind::Certificate
            }
            Self::CaKey(_) | Self::LeafKey(_) | Self::ServiceAccountKey | Self::KubeletServingKey => {
                FileKind::PrivateKey
            }
            Self::Kubeconfig(_) => FileKind::Kubeconfig,
            Self::ServiceAccountPublicKey => FileKind::PublicKey,
            Self::KubeletClient => FileKind::CertificateAndKey,
        }
    }

    /// Returns the mode with which kubeadm creates the file (`cmd/kubeadm/app/util/pkiutil/pki_helpers.go`).
    #[must_use]
    pub const fn mode(self) -> u32 {
        match self.kind() {
            FileKind::Certificate => 0o644,
            // kubeadm writes sa.pub 0600 although it is public.
            FileKind::PublicKey
            | FileKind::PrivateKey
            | FileKind::Kubeconfig
            | FileKind::CertificateAndKey => 0o600,
        }
    }

    /// Returns whether the file holds a private key.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        match self.kind() {
            FileKind::PrivateKey | FileKind::Kubeconfig | FileKind::CertificateAndKey => true,
            FileKind::Certificate | FileKind::PublicKey => false,
        }
    }
}

impl fmt::Display for FileSlot {
    /// Writes the name that documents use: kubeadm's path below `/etc/kubernetes` or `/var/lib/kubelet`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaCertificate(ca) => write!(f, "pki/{}.crt", ca.base_name()),
            Self::CaKey(ca) => write!(f, "pki/{}.key", ca.base_name()),
            Self::LeafCertificate(leaf) => write!(f, "pki/{}.crt", leaf.base_name()),
            Self::LeafKey(leaf) => write!(f, "pki/{}.key", leaf.base_name()),
            Self::Kubeconfig(kubeconfig) => f.write_str(kubeconfig.name()),
            Self::ServiceAccountKey => f.write_str("pki/sa.key"),
            Self::ServiceAccountPublicKey => f.write_str("pki/sa.pub"),
            Self::KubeletClient => f.write_str("kubelet/pki/kubelet-client-current.pem"),
            Self::KubeletServingCertificate => f.write_str("kubelet/pki/kubelet.crt"),
            Self::KubeletServingKey => f.write_str("kubelet/pki/kubelet.key"),
        }
    }
}

impl FromStr for FileSlot {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|file| file.to_string() == text).ok_or_else(|| UnknownName::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_own_name_and_parses_back() {
        for file in FileSlot::all() {
            assert_eq!(file.to_string().parse(), Ok(file));
        }
        assert!("pki/../ca.key".parse::<FileSlot>().is_err());
    }

    #[test]
    fn secrets_are_born_private() {
        for file in FileSlot::all().filter(|file| file.is_secret()) {
            assert_eq!(file.mode() & 0o077, 0, "{file}");
        }
    }
}

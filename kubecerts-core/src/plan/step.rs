//! One step of a plan, with every decision about its certificate.

use std::fmt;

use super::LifetimeSource;
use super::lifetime::rounded;
use crate::catalog::{CaSlot, FileSlot, Slot};
use crate::digest::Digest;
use crate::inventory::{FileFacts, Inventory};
use crate::issue::Expected;
use crate::snapshot::ReadProblem;
use crate::time::{CivilTime, Seconds, Timestamp};
use crate::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyAlgorithm, KeyType,
    KeyUsages, SerialNumber, SignatureAlgorithm, Validity,
};

/// What to do for one slot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    pub(crate) slot: Slot,
    pub(crate) key: KeyPolicy,
    /// `None` for a key pair without a certificate.
    pub(crate) certificate: Option<CertificateSpec>,
    pub(crate) kubeconfig: Option<KubeconfigSpec>,
    pub(crate) writes: Vec<Write>,
    pub(crate) replaced: Option<Replaced>,
    pub(crate) notes: Vec<Note>,
}

impl Step {
    /// Returns the slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns which key the certificate gets; without a certificate, the key that is there is kept.
    #[must_use]
    pub const fn key(&self) -> KeyPolicy {
        self.key
    }

    /// Returns the certificate to be issued; `None` for the service account pair, for a kubeconfig that will refer to a file
    /// with one, and for one that keeps its own.
    #[must_use]
    pub const fn certificate(&self) -> Option<&CertificateSpec> {
        self.certificate.as_ref()
    }

    /// Returns what becomes of the kubeconfig, when the slot is one.
    #[must_use]
    pub const fn kubeconfig(&self) -> Option<&KubeconfigSpec> {
        self.kubeconfig.as_ref()
    }

    /// Returns the files to write, the certificate of a leaf before its key: the order in which programs read them, so that the
    /// fewest of them meet half of a pair.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Returns what is replaced; `None` when the slot was empty.
    #[must_use]
    pub const fn replaced(&self) -> Option<&Replaced> {
        self.replaced.as_ref()
    }

    /// Returns whether the step mends a kubelet's own credential, which no kubeadm renews.
    #[must_use]
    pub const fn is_repair(&self) -> bool {
        matches!(self.slot, Slot::KubeletClient)
            || matches!(
                self.kubeconfig,
                Some(KubeconfigSpec::Refer { .. } | KubeconfigSpec::CreateReferring { .. })
            )
    }

    /// Returns whether the step changes nothing but whom a kubeconfig trusts.
    #[must_use]
    pub const fn is_trust(&self) -> bool {
        matches!(self.kubeconfig, Some(KubeconfigSpec::Trust | KubeconfigSpec::TrustExtended))
    }

    /// Returns whether the step gives the certificate of an authority another end: same key, same names.
    #[must_use]
    pub const fn is_extension(&self) -> bool {
        matches!((self.slot, self.key), (Slot::Ca(_), KeyPolicy::Reuse))
    }

    /// Returns whether the step makes something where nothing was, so that nothing can run with what it replaces.
    #[must_use]
    pub const fn is_creation(&self) -> bool {
        self.replaced.is_none() && !self.is_repair() && !self.is_trust()
    }

    /// Returns what is worth knowing about the step.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// Which key a certificate gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a key is new or it is not")]
pub enum KeyPolicy {
    /// A new one.
    Generate(KeyAlgorithm),
    /// The one that is there.
    Reuse,
}

/// Every field of a certificate but its key and its signature.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CertificateSpec {
    /// Who signs.
    pub issuer: IssuerRef,
    /// With which algorithm; it follows from the issuer's key.
    pub signature: SignatureAlgorithm,
    /// The serial number.
    pub serial: SerialNumber,
    /// When it is valid.
    pub validity: Validity,
    /// The subject, in the bytes of the certificate that is replaced.
    pub subject: DistinguishedName,
    /// The alternative names, in the order of the certificate that is replaced.
    pub alternative_names: AlternativeNames,
    /// The key usages.
    pub key_usages: KeyUsages,
    /// The extended key usages, in the order of the certificate that is replaced.
    pub extended_key_usages: ExtendedKeyUsages,
}

/// Who signs a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an issuer is on disk, in the plan, or the certificate itself")]
pub enum IssuerRef {
    /// An authority of the tree, recognised by the fingerprint of its public key.
    Existing {
        /// The authority.
        ca: CaSlot,
        /// The SHA-256 digest of its subject public key info.
        public_key: Digest,
    },
    /// An authority that this plan creates.
    Created(CaSlot),
    /// The certificate itself.
    Itself,
}

impl IssuerRef {
    /// Returns the authority that signs; `None` for what signs itself.
    #[must_use]
    pub const fn authority(&self) -> Option<CaSlot> {
        match self {
            Self::Existing { ca, .. } | Self::Created(ca) => Some(*ca),
            Self::Itself => None,
        }
    }
}

/// What becomes of a kubeconfig.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KubeconfigSpec {
    /// The values of the current context are replaced, every other byte stays.
    Edit {
        /// Whether the authority's certificates are replaced too, because they are not those of the tree.
        replace_authority: bool,
    },
    /// A new file as kubeadm writes it.
    Create {
        /// The name of the cluster.
        cluster: String,
        /// The URL of the API server.
        server: String,
        /// The name of the user, which is the common name of the certificate.
        user: String,
        /// Whether it has empty `preferences`, as up to 1.33.
        preferences: bool,
    },
    /// The user of the current context refers to the kubelet's client certificate, every other byte stays.
    Refer {
        /// Whether the authority's certificates are replaced too, because they are not those of the tree.
        replace_authority: bool,
    },
    /// The authority's certificates of the current context become those of the tree, every other byte stays.
    Trust,
    /// The certificate that this plan extends takes the place of the old one among the authority's certificates of the current
    /// context, every other byte stays.
    TrustExtended,
    /// A new file as kubeadm writes it, which refers to the kubelet's client certificate.
    CreateReferring {
        /// The name of the cluster.
        cluster: String,
        /// The URL of the API server.
        server: String,
        /// The name of the user, which is the common name of the certificate.
        user: String,
    },
}

/// A file to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Write {
    pub(crate) file: FileSlot,
    pub(crate) expected: Expected,
    pub(crate) mode: u32,
    pub(crate) placement: Placement,
}

impl Write {
    /// Returns the slot of the file; the layout knows its path.
    #[must_use]
    pub const fn file(&self) -> FileSlot {
        self.file
    }

    /// Returns what the write expects to replace.
    #[must_use]
    pub const fn expected(&self) -> Expected {
        self.expected
    }

    /// Returns the mode of the new file.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// Returns where the new file comes to lie.
    #[must_use]
    pub const fn placement(&self) -> Placement {
        self.placement
    }
}

/// Where a new file comes to lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a path is a file or a link to one")]
pub enum Placement {
    /// At its path.
    AtPath,
    /// Beside its path, under a name with the date of the plan; the path becomes a link to it.
    DatedBehindLink,
}

impl Placement {
    /// Returns how `file` is written: the kubelet keeps its old client certificates and moves a link to the newest one.
    #[must_use]
    pub const fn of(file: FileSlot) -> Self {
        match file {
            FileSlot::KubeletClient => Self::DatedBehindLink,
            FileSlot::CaCertificate(_)
            | FileSlot::CaKey(_)
            | FileSlot::LeafCertificate(_)
            | FileSlot::LeafKey(_)
            | FileSlot::Kubeconfig(_)
            | FileSlot::ServiceAccountKey
            | FileSlot::ServiceAccountPublicKey
            | FileSlot::KubeletServingCertificate
            | FileSlot::KubeletServingKey => Self::AtPath,
        }
    }

    /// Returns the name of the new file when it is not that of the path: `kubelet-client-2026-11-22-08-00-00.pem`, with the
    /// moment `now` in UTC.
    ///
    /// The kubelet names its own files so, by its local time (`k8s.io/client-go/util/certificate/certificate_store.go`).
    #[must_use]
    pub fn dated(self, now: Timestamp) -> Option<String> {
        let CivilTime { year, month, day, hour, minute, second, .. } = now.civil();
        let name =
            || format!("kubelet-client-{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}.pem");
        (self == Self::DatedBehindLink).then(name)
    }
}

/// Returns what a write of the file would have to expect, or `None` when there is a file of unknown content.
pub(super) fn found(facts: &FileFacts) -> Option<Expected> {
    match (facts.exists, facts.digest) {
        (false, _) => Some(Expected::Absent),
        (true, Some(digest)) => Some(Expected::Content(digest)),
        (true, None) => None,
    }
}

/// Returns what a write of `file` would have to expect; a link that leads nowhere is as good as no file where only the link is
/// written.
pub(super) fn found_at(inventory: &Inventory, file: FileSlot) -> Option<Expected> {
    let reading =
        inventory.credential(file.slot()).and_then(|credential| credential.certificate().unreadable());
    if Placement::of(file) == Placement::DatedBehindLink
        && matches!(reading, Some(ReadProblem::DanglingLink { .. }))
    {
        return Some(Expected::Absent);
    }
    found(inventory.file(file))
}

/// The certificate that a step replaces.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Replaced {
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its last second.
    pub not_after: Timestamp,
}

/// Something about a step that is not as one might expect.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// The validity was cut at the end of the authority.
    Capped {
        /// The authority.
        ca: CaSlot,
        /// How long the certificate was to be valid.
        asked: Seconds,
    },
    /// The new key is larger than the old one, whose size is not made any more.
    KeyChanged {
        /// What the old key was.
        from: KeyType,
        /// What the new key is.
        to: KeyAlgorithm,
    },
    /// The old certificate names no extended key usage; it gets those that kubeadm gives.
    UsagesFromCatalogue,
    /// Another authority than the one of the tree had signed the old certificate.
    AuthorityChanged(CaSlot),
    /// The kubeconfig trusted other certificates than those in the authority's file; it gets these.
    AuthorityDataReplaced,
    /// Further certificates in the old file are dropped.
    ChainDropped(usize),
    /// These extensions of the old certificate are dropped, because kubeadm's profile has no place for them.
    ExtensionsDropped(Vec<String>),
    /// The file was open to others; its mode becomes this one.
    ModeTightened(u32),
    /// The alternative names become others, as was asked for.
    NamesChanged {
        /// The names that are new, in the order of the certificate.
        added: Vec<AlternativeName>,
        /// The names that only the old certificate had, in its order.
        removed: Vec<AlternativeName>,
    },
    /// How long it is valid was stated.
    LifetimeStated {
        /// How long.
        lifetime: Seconds,
        /// By whom.
        source: LifetimeSource,
    },
    /// It is valid for as long as the old certificate was, which is longer than was stated.
    LifetimeKept {
        /// How long.
        lifetime: Seconds,
    },
    /// It is valid for less long than the old certificate was.
    LifetimeShortened {
        /// How long the old one was valid.
        from: Seconds,
        /// How long this one is.
        to: Seconds,
    },
    /// The old certificate was somebody else's, who is named as its subject was.
    SubjectChanged(String),
    /// The old certificate was signed with another algorithm; the new one is signed as its issuer's key signs today.
    SignatureChanged {
        /// The name of the old algorithm.
        from: String,
        /// The new one.
        to: SignatureAlgorithm,
    },
    /// The new certificate ends before the old one, as was asked for.
    Shortened,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capped { ca, asked } => {
                write!(f, "capped at the end of {ca}, less than the {asked} asked for")
            }
            Self::KeyChanged { from, to } => write!(f, "key {from} becomes {to}"),
            Self::UsagesFromCatalogue => f.write_str("had no extended key usage, gets kubeadm's"),
            Self::AuthorityChanged(ca) => write!(f, "was not signed by {ca}, will be"),
            Self::AuthorityDataReplaced => {
                f.write_str("certificate-authority-data is replaced by that of the tree")
            }
            Self::ChainDropped(count) => write!(f, "{count} further certificates in its file are dropped"),
            Self::ExtensionsDropped(names) => write!(f, "the extensions {} are dropped", names.join(", ")),
            Self::ModeTightened(mode) => write!(f, "mode becomes {mode:04o}"),
            Self::NamesChanged { added, removed } => {
                let list = |names: &[AlternativeName]| {
                    names.iter().map(AlternativeName::host).collect::<Vec<_>>().join(", ")
                };
                match (added.is_empty(), removed.is_empty()) {
                    (_, true) => write!(f, "becomes valid for {}", list(added)),
                    (true, false) => write!(f, "is no longer valid for {}", list(removed)),
                    (false, false) => {
                        write!(f, "becomes valid for {}, is no longer for {}", list(added), list(removed))
                    }
                }
            }
            Self::LifetimeStated { lifetime, source } => {
                write!(f, "valid for {}, as {source} says", rounded(*lifetime))
            }
            Self::LifetimeKept { lifetime } => {
                write!(f, "valid for {}, as long as the old one was", rounded(*lifetime))
            }
            Self::LifetimeShortened { from, to } => {
                write!(f, "valid for {} instead of {}", rounded(*to), rounded(*from))
            }
            Self::SubjectChanged(from) => write!(f, "was the certificate of {from}"),
            Self::SignatureChanged { from, to } => {
                write!(f, "was signed with {from}, will be with {}", to.name())
            }
            Self::Shortened => f.write_str("ends before the certificate that it replaces"),
        }
    }
}

//! What reading a file gave.

use crate::catalog::{FileSlot, PathSource};
use crate::digest::Digest;
use crate::path::TreePath;
use crate::provider::{NoPublicHalves, PublicHalves};
use crate::search::find;
use crate::snapshot::{FileContent, FileMeta, FileState, Origin, ReadProblem, Snapshot};
use crate::x509::{self, Certificate, Damage, KeyEncoding, PrivateKey, PublicKey};

/// What reading gave: something, nothing, or a reason why not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every reading is one of these")]
pub enum Reading<T> {
    /// There is nothing to read.
    Absent,
    /// There is something that the host could not read.
    Unreadable(ReadProblem),
    /// It was read and is not what it should be.
    Damaged(Damage),
    /// It was read and understood.
    Present(T),
}

impl<T> Reading<T> {
    pub(crate) fn from_state(state: &FileState, parse: impl FnOnce(&[u8]) -> Result<T, Damage>) -> Self {
        match state {
            FileState::Absent => Self::Absent,
            FileState::Unreadable(problem) => Self::Unreadable(problem.clone()),
            FileState::Present(content) => Self::from_result(parse(content.secret_bytes())),
        }
    }

    pub(crate) fn from_result(result: Result<T, Damage>) -> Self {
        match result {
            Ok(value) => Self::Present(value),
            Err(damage) => Self::Damaged(damage),
        }
    }

    /// Returns what was understood.
    #[must_use]
    pub const fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unreadable(_) | Self::Damaged(_) => None,
        }
    }

    /// Returns whether there is nothing.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns why there is something that the host could not read.
    #[must_use]
    pub const fn unreadable(&self) -> Option<&ReadProblem> {
        match self {
            Self::Unreadable(problem) => Some(problem),
            Self::Absent | Self::Damaged(_) | Self::Present(_) => None,
        }
    }

    /// Returns why there is something that could not be understood.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Present(_) => None,
            Self::Unreadable(problem) => Some(problem.to_string()),
            Self::Damaged(damage) => Some(damage.to_string()),
        }
    }
}

impl Reading<CertificateBundle> {
    pub(crate) fn certificates(state: &FileState) -> Self {
        Self::from_state(state, CertificateBundle::parse)
    }
}

impl Reading<KeyFacts> {
    pub(crate) fn key(state: &FileState, halves: &dyn PublicHalves) -> Self {
        let origin = state.content().map_or(Origin::Disk, FileContent::origin);
        Self::from_state(state, |bytes| KeyFacts::parse_from(bytes, origin, halves))
    }
}

/// A file of the tree, without its content.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileFacts {
    /// The path as the node would write it.
    pub path: TreePath,
    /// Who named the path; `None` for a copy outside the layout.
    pub source: Option<PathSource>,
    /// What the file system says, when there is a file.
    pub meta: Option<FileMeta>,
    /// The digest of the content, when it could be read.
    pub digest: Option<Digest>,
    /// Whether there is anything at the path.
    pub exists: bool,
}

impl FileFacts {
    /// Returns whether everybody on the machine has some right to the file.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.mode & OTHERS != 0)
    }

    /// Returns the mode that the file should have as a secret: its own without the rights of everybody.
    ///
    /// A group keeps its rights only when it is not root's, since that is how components that do not run as root read
    /// their keys.
    #[must_use]
    pub fn private_mode(&self) -> u32 {
        self.meta.as_ref().map_or(0o600, |meta| {
            let group = if meta.gid == 0 { 0 } else { meta.mode & 0o060 };
            // Nobody runs a key.
            meta.mode & 0o600 | group
        })
    }

    pub(crate) fn of_slot(snapshot: &Snapshot, file: FileSlot) -> Self {
        let located = snapshot.layout().locate(file);
        Self { source: Some(located.source), ..Self::of_path(&located.path, snapshot.file(file)) }
    }

    pub(crate) fn of_path(path: &TreePath, state: &FileState) -> Self {
        let content = state.content();
        Self {
            path: path.clone(),
            source: None,
            meta: content.map(|content| content.meta().clone()),
            digest: content.map(FileContent::digest),
            exists: !matches!(state, FileState::Absent),
        }
    }
}

/// The certificates of one file, in their order; there is at least one that could be understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateBundle {
    certificates: Vec<Certificate>,
    damaged: Vec<Damage>,
    holds_private_key: bool,
}

impl CertificateBundle {
    /// Reads every certificate in `bytes`. A file whose *first* certificate is damaged is damaged as a whole, because
    /// that is the one that Kubernetes would use.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let mut certificates = Vec::new();
        let mut damaged = Vec::new();
        for result in x509::certificates(bytes)? {
            match result {
                Ok(certificate) => certificates.push(certificate),
                Err(damage) if certificates.is_empty() => return Err(damage),
                Err(damage) => damaged.push(damage),
            }
        }
        // A kubeconfig has it in base64.
        let has = |mark| find(bytes, mark).is_some();
        let holds_private_key = has(b"PRIVATE KEY-----") || has(b"client-key-data:");
        Ok(Self { certificates, damaged, holds_private_key })
    }

    /// Returns the first certificate, which is the one that is used.
    ///
    /// # Panics
    /// Never: a bundle has at least one certificate.
    #[must_use]
    pub fn first(&self) -> &Certificate {
        self.certificates.first().expect("a bundle has at least one certificate")
    }

    /// Returns every certificate in its order.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Returns whether a private key stands among the certificates.
    #[must_use]
    pub const fn holds_private_key(&self) -> bool {
        self.holds_private_key
    }

    /// Returns what is wrong with further blocks of the file.
    #[must_use]
    pub fn damaged(&self) -> &[Damage] {
        &self.damaged
    }
}

/// What may be known of a private key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyFacts {
    public_key: PublicKey,
    encoding: KeyEncoding,
}

impl KeyFacts {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        Self::parse_from(bytes, Origin::Disk, &NoPublicHalves)
    }

    /// Reads the first private key of a file that comes from `origin`, or of a value in it.
    pub(crate) fn parse_from(
        bytes: &[u8],
        origin: Origin,
        halves: &dyn PublicHalves,
    ) -> Result<Self, Damage> {
        let (public_key, encoding) = match origin {
            Origin::Disk => PrivateKey::parse_public_half(bytes, halves)?,
            Origin::Redacted => PrivateKey::redacted_half(bytes)?,
        };
        Ok(Self { public_key, encoding })
    }

    pub(crate) fn parse_der(der: &[u8]) -> Result<Self, Damage> {
        let key = PrivateKey::parse_der(der)?;
        Ok(Self { public_key: key.public_key(), encoding: key.encoding() })
    }

    /// Reads a private key, or what a redacted snapshot has in its place.
    pub(crate) fn of_block(block: &x509::Block) -> Result<Self, Damage> {
        let (public_key, encoding) = PrivateKey::public_half_of_block(block, &NoPublicHalves)?;
        Ok(Self { public_key, encoding })
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the form in which the key is written.
    #[must_use]
    pub const fn encoding(&self) -> KeyEncoding {
        self.encoding
    }
}

/// The permissions of everybody but owner and group.
const OTHERS: u32 = 0o007;

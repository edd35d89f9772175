//! How an answer differs from what was asked for, as data.

use std::fmt;

use crate::catalog::Slot;
use crate::plan::Permission;

/// A difference between what was asked for and what came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ImportDeviation {
    /// Whose certificate it is.
    pub slot: Slot,
    /// What differs.
    pub field: ImportField,
    /// What was asked for.
    pub wanted: String,
    /// What came.
    pub found: String,
    /// What follows from it.
    pub gravity: Gravity,
}

impl fmt::Display for ImportDeviation {
    /// Writes one line, as `apiserver: extended key usage: wanted serverAuth, got none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, field, wanted, found, gravity: _ } = self;
        write!(f, "{slot}: {field}: wanted {wanted}, got {found}")
    }
}

/// What follows from a deviation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Gravity {
    /// Nothing; it is worth knowing.
    Note,
    /// Somebody has to permit it.
    Change(Permission),
    /// The certificate would not work, so it is not installed.
    Breaks,
    /// The certificate would be good for more than it should, so it is not installed.
    Dangerous,
}

impl Gravity {
    /// Returns whether nothing permits the deviation.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Breaks | Self::Dangerous)
    }
}

/// What can differ.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ImportField {
    /// The request itself: it asks for more than its slot may have.
    Request,
    /// The private key that stayed.
    Key,
    /// The number of answers.
    Answers,
    /// The form of the certificate.
    Form,
    /// Who signed, over which certificates.
    Chain,
    /// The algorithm of the signature.
    SignatureAlgorithm,
    /// The subject.
    Subject,
    /// The key usages.
    KeyUsage,
    /// The extended key usages.
    ExtendedKeyUsage,
    /// The alternative names.
    AlternativeNames,
    /// Whether it is an authority's.
    BasicConstraints,
    /// From when and until when it is valid.
    Validity,
    /// How long it is valid.
    Lifetime,
    /// Further extensions.
    Extensions,
    /// The kubeconfig into which it is to be put.
    Kubeconfig,
}

impl fmt::Display for ImportField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Key => "key",
            Self::Answers => "answers",
            Self::Form => "form",
            Self::Chain => "chain",
            Self::SignatureAlgorithm => "signature algorithm",
            Self::Subject => "subject",
            Self::KeyUsage => "key usage",
            Self::ExtendedKeyUsage => "extended key usage",
            Self::AlternativeNames => "alternative names",
            Self::BasicConstraints => "basic constraints",
            Self::Validity => "validity",
            Self::Lifetime => "lifetime",
            Self::Extensions => "extensions",
            Self::Kubeconfig => "kubeconfig",
        })
    }
}

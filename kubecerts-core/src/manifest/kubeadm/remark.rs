//! What is odd about a configuration, and where.

use std::fmt;

/// A place in a file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

/// Something in a configuration that has no effect, though its author may think so.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigRemark {
    /// No version has this field; kubeadm warns, and ignores it.
    #[non_exhaustive]
    UnknownField {
        /// Where it stands.
        place: Place,
        /// The path of the field, such as `apiServer.certSans`.
        field: String,
        /// The field that differs from it in case only.
        similar: Option<&'static str>,
    },
    /// Another version has this field, but not the version of the document.
    #[non_exhaustive]
    OtherVersion {
        /// Where it stands.
        place: Place,
        /// The path of the field.
        field: String,
        /// The version of the document.
        version: &'static str,
    },
    /// A name for a certificate that is neither an address nor a DNS name in lower case, which kubeadm leaves out.
    #[non_exhaustive]
    UnusableName {
        /// Where it stands.
        place: Place,
        /// The path of the list.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// Certificates would be valid for longer than the authority that signs them.
    #[non_exhaustive]
    OutlivesAuthority {
        /// Where the lifetime of certificates stands.
        place: Place,
        /// Where that of authorities stands.
        authority: Place,
    },
}

impl ConfigRemark {
    /// Returns where the odd thing stands.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Self::UnknownField { place, .. }
            | Self::OtherVersion { place, .. }
            | Self::UnusableName { place, .. }
            | Self::OutlivesAuthority { place, .. } => *place,
        }
    }
}

impl fmt::Display for ConfigRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        match self {
            Self::UnknownField { field, similar: None, .. } => {
                write!(f, "{field:?} is no field of kubeadm, and is ignored")
            }
            Self::UnknownField { field, similar: Some(similar), .. } => {
                write!(f, "{field:?} is no field of kubeadm, and is ignored; {similar} is one")
            }
            Self::OtherVersion { field, version, .. } => {
                write!(f, "{version} has no field {field}, so it is ignored")
            }
            Self::UnusableName { field, name, .. } => {
                write!(f, "{name:?} in {field} is neither an address nor a DNS name, and is left out")
            }
            Self::OutlivesAuthority { authority, .. } => write!(
                f,
                "certificateValidityPeriod is longer than caCertificateValidityPeriod in {authority}; certificates end with \
                 their authority"
            ),
        }
    }
}

/// Two statements of a configuration that cannot both hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{first} contradicts {second}")]
#[non_exhaustive]
pub struct Contradiction {
    /// The statement that comes first in the file.
    pub first: Statement,
    /// The other one.
    pub second: Statement,
}

impl Contradiction {
    pub(crate) fn new(one: Statement, other: Statement) -> Self {
        let (first, second) = if one.place <= other.place { (one, other) } else { (other, one) };
        Self { first, second }
    }
}

/// What a configuration says in one place.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// Where it stands.
    pub place: Place,
    /// The path of the field.
    pub field: String,
    /// Its value as written; `None` where the field itself is the statement.
    pub value: Option<String>,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, value } = self;
        match value {
            Some(value) => write!(f, "{field} {value:?} in {place}"),
            None => write!(f, "{field} in {place}"),
        }
    }
}

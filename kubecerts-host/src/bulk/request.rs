//! What goes into a run, and what comes out of it.

use std::fmt;
use std::path::PathBuf;

use kubecerts_core::issue::sign::{NotIssued, SigningNote, SigningRefusal};
use kubecerts_core::x509::{AlternativeNames, DistinguishedName, KeyAlgorithm, PrivateKey, PublicKey};

use super::{End, Stopped};

/// A certificate that is asked for.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "where it comes from, what it is, and what was made of it before"
)]
pub struct BulkRequest {
    /// Its place in the whole input, counted from 1.
    pub position: u64,
    /// What people call it, when it has a name.
    pub name: Option<String>,
    /// What is asked for.
    pub content: Content,
    /// What a run before this one made of it.
    pub prior: Prior,
}

/// What is asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Content {
    /// A certificate request, in PEM or DER.
    Request(Vec<u8>),
    /// A line of JSON with a request: see [`requests_of`](super::requests_of).
    Line(Vec<u8>),
    /// A file with a request, which is read when its turn comes.
    File(PathBuf),
    /// A certificate for a key whose holder the caller knows.
    Key {
        /// Whose certificate it is.
        subject: DistinguishedName,
        /// The alternative names.
        names: AlternativeNames,
        /// The key.
        key: PublicKey,
    },
    /// A certificate with a key that is still to be made.
    NewKey {
        /// Whose certificate it is.
        subject: DistinguishedName,
        /// The alternative names.
        names: AlternativeNames,
        /// The algorithm and size of the key.
        algorithm: KeyAlgorithm,
    },
    /// Something that is not even a request, and why.
    Broken(String),
}

/// What a run before this one made of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Prior {
    /// Nothing.
    #[default]
    None,
    /// This certificate, in DER. The run stops when it is not right.
    Certificate(Vec<u8>),
    /// It was refused, because what comes after it has a certificate. The run stops when it would be signed now.
    Refused,
    /// Possibly the certificate in this file. The request is refused when something else is there.
    File(PathBuf),
}

/// What became of a request.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "which one, and what became of it")]
pub struct Outcome<'a> {
    /// The place of the request in the whole input, counted from 1.
    pub position: u64,
    /// What people call it.
    pub name: Option<&'a str>,
    /// What became of it.
    pub made: Result<Made<'a>, &'a Refusal>,
}

/// A certificate for a request.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "now or before")]
pub enum Made<'a> {
    /// It was made now.
    Now(Issued<'a>),
    /// A run before this one has made it.
    Before,
}

/// A certificate that was made.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a certificate and what belongs to it")]
pub struct Issued<'a> {
    /// The certificate in DER.
    pub certificate: &'a [u8],
    /// The key that was made for it.
    pub key: Option<&'a PrivateKey>,
    /// What is not as the request asked.
    pub notes: &'a [SigningNote],
}

/// Why a request has no certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The rules of the profile are against it.
    Rules(SigningRefusal),
    /// It cannot be read, or is no request.
    Unreadable(String),
    /// Something is where its certificate belongs.
    Occupied {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; `None` when nobody looked.
        reason: Option<NotIssued>,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(SigningRefusal::Request(damage)) => {
                write!(f, "the request cannot be understood: {damage}")
            }
            Self::Rules(refusal) => refusal.fmt(f),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::Occupied { file, reason: None } => write!(f, "{} is there already", file.display()),
            Self::Occupied { file, reason: Some(reason) } => {
                write!(f, "{} is there and not its certificate: {reason}", file.display())
            }
        }
    }
}

/// Where certificates go.
pub trait Sink: Sync {
    /// What a piece of the stream is before its turn has come.
    type Prepared: Send;

    /// Prepares a piece: encodes it, say. Called on many threads, in any order.
    ///
    /// # Errors
    /// [`Stopped::Output`] when the run has to stop.
    fn prepare(&self, outcomes: &[Outcome<'_>]) -> Result<Self::Prepared, Stopped>;

    /// Takes a piece, in the order of the input; never on two threads at once.
    ///
    /// # Errors
    /// [`Stopped::Output`] when the run has to stop.
    fn accept(&self, prepared: Self::Prepared) -> Result<(), Stopped>;

    /// Ends the output: flushes it, say. Called once, however the run ended, which `end` says.
    ///
    /// # Errors
    /// [`Stopped::Output`] when the output may not be what it should.
    fn finish(&self, end: &Result<End, Stopped>) -> Result<(), Stopped>;
}

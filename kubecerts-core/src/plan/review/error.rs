//! Why a plan may not be issued.

use crate::catalog::{CaSlot, Reload, Slot};
use crate::digest::Digest;
use crate::issue::Expected;
use crate::path::TreePath;
use crate::plan::{Reason, Replaced, Restart};
use crate::time::Timestamp;
use crate::x509::{KeyUsages, NameAttribute, Purpose, SerialNumber, SignatureAlgorithm, Validity};

/// Why a plan may not be issued here.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// A file that the plan would replace cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: TreePath,
    },
    /// A file is not what the plan was made for.
    #[error("{path} has changed since the plan was made: expected {expected}, found {found}")]
    Stale {
        /// The file.
        path: TreePath,
        /// What the plan expects.
        expected: Expected,
        /// What was found.
        found: Expected,
    },
    /// A mode has permissions that neither the file has nor a new one would get.
    #[error("{path} would get the mode {found:04o}, beyond {allowed:04o}")]
    Mode {
        /// The file.
        path: TreePath,
        /// Every permission that it may have.
        allowed: u32,
        /// The mode of the plan.
        found: u32,
    },
    /// A mode takes the right to read from the owner, who has it.
    #[error("{path} would get the mode {found:04o}, and its owner could not read it")]
    Unusable {
        /// The file.
        path: TreePath,
        /// The mode of the plan.
        found: u32,
    },
    /// Two slots lie in the same file here, and both would be written.
    #[error("{path} would be written twice")]
    RepeatedPath {
        /// The file.
        path: TreePath,
    },
    /// A certificate cannot be renewed here.
    #[error("{slot} cannot be renewed: {reason}")]
    CannotBeRenewed {
        /// The slot.
        slot: Slot,
        /// Why not.
        reason: Reason,
    },
    /// The authority on disk is not the one that the plan was made for.
    #[error(
        "{issuer} is not the authority that the plan was made for: expected the public key {expected}, found {found}"
    )]
    IssuerChanged {
        /// The authority.
        issuer: CaSlot,
        /// The fingerprint of the public key that the plan expects.
        expected: Digest,
        /// The fingerprint of the public key that was found.
        found: Digest,
    },
    /// A certificate would be signed by an authority that the plan does not create.
    #[error("{slot} is signed by a new {issuer}, which the plan does not create")]
    IssuerNotCreated {
        /// The slot.
        slot: Slot,
        /// The authority.
        issuer: CaSlot,
    },
    /// The algorithm of the signature is not the one of the issuer's key.
    #[error("{slot} would be signed with {found}, and the key of its issuer signs with {expected}")]
    Signature {
        /// The slot.
        slot: Slot,
        /// The algorithm of the issuer's key.
        expected: SignatureAlgorithm,
        /// The algorithm of the plan.
        found: SignatureAlgorithm,
    },
    /// A certificate would be valid before its issuer or after it.
    #[error(
        "{slot} would be valid from {} until {}, beyond its issuer {issuer} from {} until {}",
        found.not_before(), found.not_after(), allowed.not_before(), allowed.not_after()
    )]
    BeyondIssuer {
        /// The slot.
        slot: Slot,
        /// The issuer.
        issuer: CaSlot,
        /// When the issuer is valid.
        allowed: Validity,
        /// When the certificate would be.
        found: Validity,
    },
    /// A certificate would have ended before it is issued.
    #[error("{slot} would have expired {not_after}")]
    Expired {
        /// The slot.
        slot: Slot,
        /// Its last second.
        not_after: Timestamp,
    },
    /// A certificate would have the serial number of another one of the same issuer.
    #[error("{slot} would get the serial number {serial}, which is taken")]
    RepeatedSerial {
        /// The slot.
        slot: Slot,
        /// The serial number.
        serial: SerialNumber,
    },
    /// The certificate on disk is not the one that the plan says it replaces.
    #[error(
        "{slot} does not have the serial number {} until {}, but {} until {}",
        expected.serial, expected.not_after, found.serial, found.not_after
    )]
    Replaced {
        /// The slot.
        slot: Slot,
        /// What the plan says.
        expected: Replaced,
        /// What was found.
        found: Replaced,
    },
    /// A subject has an attribute that neither kubeadm gives nor the replaced certificate has.
    #[error(
        "{slot} would have the subject {attribute}, as neither the replaced certificate nor kubeadm's has"
    )]
    Subject {
        /// The slot.
        slot: Slot,
        /// The attribute.
        attribute: NameAttribute,
    },
    /// A certificate would have key usages that neither kubeadm gives nor the replaced certificate has.
    #[error(
        "{slot} would have the key usage {beyond}, as neither the replaced certificate nor kubeadm's has"
    )]
    KeyUsages {
        /// The slot.
        slot: Slot,
        /// The usages.
        beyond: KeyUsages,
    },
    /// A certificate would have purposes that neither kubeadm gives nor the replaced certificate has.
    #[error(
        "{slot} would have the extended key usage {}, as neither the replaced certificate nor kubeadm's has",
        list(beyond)
    )]
    ExtendedKeyUsages {
        /// The slot.
        slot: Slot,
        /// The purposes; `anyExtendedKeyUsage` also when the use would not be restricted at all.
        beyond: Vec<Purpose>,
    },
    /// A certificate would lack what both kubeadm's and the replaced certificate have.
    #[error("{slot} would lack the {field} {missing}, which the replaced certificate and kubeadm's have")]
    Narrowed {
        /// The slot.
        slot: Slot,
        /// Where it is missing.
        field: &'static str,
        /// What is missing.
        missing: String,
    },
    /// The plan does not say what has to be restarted on this node.
    #[error("the plan says that {}, and here {}", loads(found), loads(expected))]
    Restarts {
        /// What follows from the files that are written.
        expected: Vec<Restart>,
        /// What the plan says.
        found: Vec<Restart>,
    },
    /// A certificate of a new tree is not kubeadm's.
    #[error("{slot} would be new, and its {field} would not be kubeadm's")]
    OtherProfile {
        /// The slot.
        slot: Slot,
        /// What is not.
        field: &'static str,
    },
    /// An authority with another end would not be the one that it was.
    #[error("{slot} would not stay who it is: its {field} would be another one")]
    Identity {
        /// The slot.
        slot: Slot,
        /// What would be another one.
        field: &'static str,
    },
    /// A dated file would not have the date of its certificate.
    #[error("{slot} would be named {found}, and its certificate is made for {expected}")]
    DatedName {
        /// The slot.
        slot: Slot,
        /// The name that goes with the certificate.
        expected: String,
        /// The name that goes with the plan.
        found: String,
    },
    /// The certificates of a new tree name different nodes.
    #[error("{slot} would be for the node {found:?}, other certificates for {expected:?}")]
    OtherNode {
        /// The slot.
        slot: Slot,
        /// The node of the certificates before it.
        expected: String,
        /// The node in its own.
        found: String,
    },
}

fn list(purposes: &[Purpose]) -> String {
    purposes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn loads(restarts: &[Restart]) -> String {
    let one = |Restart { component, reload }: &Restart| match reload {
        Reload::ByItself => format!("{component} loads the new files by itself"),
        Reload::Unknown => format!("{component} should be restarted"),
        Reload::NeedsRestart => format!("{component} has to be restarted"),
    };
    match restarts {
        [] => "nothing loads the new files".to_owned(),
        restarts => restarts.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

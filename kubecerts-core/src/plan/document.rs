//! The JSON form of a [`Plan`], so that a plan can be reviewed and stored today and applied later.
//!
//! [`Plan::to_json`] writes a document, [`Plan::from_json`] reads one. Reading what was written gives the same plan; the
//! same plan gives the same bytes. The format is versioned by [`API_VERSION`]; another version is refused, and so is
//! every field that this version does not know, because an ignored field of a plan is an ignored decision.
//!
//! A document is foreign input: anybody may have edited it. Three things keep an edited plan from escaping:
//!
//! * Steps name slots and files by the names of the catalogue, so no document can point outside the layout.
//! * Values are checked when they become domain types, and the subject's text must be that of its DER, because
//!   people review the text and the DER is what gets signed.
//! * The plan as a whole is checked against the catalogue: each slot once, with its own files, its own issuer, no
//!   secret open to others, no leaf that may sign certificates, no restart of what does not load the files.
//!
//! What depends on the certificates that are replaced is not known here: [`Plan::review`] compares a plan with them. The
//! `text` of notes and of deferred entries is for people and is not read back, so that wording may change within a
//! version.
//!
//! ```
//! # use kubecerts_core::plan::{ClusterIntent, Plan, create};
//! # use kubecerts_core::provider::{Entropy, ProviderError};
//! # use kubecerts_core::time::Timestamp;
//! # struct Zeros;
//! # impl Entropy for Zeros {
//! #     fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> { out.fill(0); Ok(()) }
//! # }
//! # let intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
//! # let plan = create(&intent, Timestamp::from_unix(1_767_225_600), &mut Zeros).unwrap();
//! let text = plan.to_json();
//! assert_eq!(Plan::from_json(&text), Ok(plan));
//! ```

mod explanation;
mod value;
mod wire;

use std::collections::BTreeSet;

use super::{IssuerRef, KeyPolicy, KubeconfigSpec, Placement, Plan, Step};
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, Slot};
use crate::issue::Expected;

/// The version of the format.
pub const API_VERSION: &str = "kubecerts.dev/v1";

/// The kind of document that holds a plan.
pub const KIND: &str = "Plan";

impl Plan {
    /// Returns the plan as JSON, indented by two spaces, with a newline at its end.
    ///
    /// The same plan gives the same bytes. See [`document`](self) for the format.
    ///
    /// # Panics
    /// Never: a document is made of texts, numbers and lists.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&wire::Document::of(self))
            .expect("texts, numbers and lists can be written as JSON");
        text.push('\n');
        text
    }

    /// Parses a plan from JSON and checks that it is one that could have been made here.
    ///
    /// # Errors
    /// [`DocumentError`] when `text` is not a plan of this version, or asks for something outside the catalogue.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        // The version comes first: the fields of another version are not this one's to complain about.
        let wire::Header { api_version, kind } = serde_json::from_str(text)?;
        if api_version != API_VERSION {
            return Err(DocumentError::ApiVersion { found: api_version });
        }
        if kind != KIND {
            return Err(DocumentError::Kind { found: kind });
        }
        let plan = serde_json::from_str::<wire::Document>(text)?.parse()?;
        check_within_catalogue(&plan)?;
        Ok(plan)
    }
}

/// Why a text is not a plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON, or a field is missing, unknown or of the wrong type.
    #[error("line {line} column {column}: {reason}")]
    Json {
        /// The line, counted from 1; 0 when the position is not known.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// It is a document of another version.
    #[error("apiVersion {found:?} is not {API_VERSION}")]
    ApiVersion {
        /// The version found.
        found: String,
    },
    /// It is a document of another kind.
    #[error("kind {found:?} is not {KIND}")]
    Kind {
        /// The kind found.
        found: String,
    },
    /// A value is not what its field demands.
    #[error("{at}: {reason}")]
    Value {
        /// The field, such as `steps[3].certificate.serial`.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A slot has two entries.
    #[error("{slot} occurs twice")]
    RepeatedSlot {
        /// The slot.
        slot: Slot,
    },
    /// A slot has a step although no plan issues it.
    #[error("{slot} is not issued by a plan")]
    NotIssued {
        /// The slot.
        slot: Slot,
    },
    /// A step is made of parts that do not belong together.
    #[error("the step for {slot} {reason}")]
    Step {
        /// The slot.
        slot: Slot,
        /// What does not fit.
        reason: &'static str,
    },
    /// A step writes a file of another slot.
    #[error("the step for {slot} writes {file}, which belongs to {}", file.slot())]
    ForeignFile {
        /// The slot.
        slot: Slot,
        /// The file.
        file: FileSlot,
    },
    /// A step writes a file twice.
    #[error("{file} is written twice")]
    RepeatedFile {
        /// The file.
        file: FileSlot,
    },
    /// A step writes too few of its files or too many, or a certificate before its key.
    #[error("the step for {slot} must write {}, in this order", list(expected))]
    Files {
        /// The slot.
        slot: Slot,
        /// The files that it must write.
        expected: Vec<FileSlot>,
    },
    /// A mode has more than permissions.
    #[error("the mode {mode:04o} of {file} is more than permissions")]
    Mode {
        /// The file.
        file: FileSlot,
        /// The mode.
        mode: u32,
    },
    /// A file would come to lie elsewhere than the catalogue has it.
    #[error("{file} would come to lie elsewhere than at its place")]
    Placement {
        /// The file.
        file: FileSlot,
    },
    /// A file with a private key would be open to others.
    #[error("the mode {mode:04o} of {file} would open a private key to others")]
    OpenSecret {
        /// The file.
        file: FileSlot,
        /// The mode.
        mode: u32,
    },
    /// A certificate would be signed by another authority than the catalogue's.
    #[error("{slot} must be signed by {}, not by {}", signer(*expected), signer(*found))]
    Issuer {
        /// The slot.
        slot: Slot,
        /// The authority of the catalogue; `None` for the certificate itself.
        expected: Option<CaSlot>,
        /// The authority of the document; `None` for the certificate itself.
        found: Option<CaSlot>,
    },
    /// A certificate would be signed by an authority that no earlier step creates.
    #[error("{slot} is signed by a new {issuer}, which no earlier step creates")]
    IssuerNotCreated {
        /// The slot.
        slot: Slot,
        /// The authority.
        issuer: CaSlot,
    },
    /// A leaf would be allowed to sign certificates or revocation lists.
    #[error("{slot} is no authority and may have neither keyCertSign nor cRLSign")]
    AuthorityUsages {
        /// The slot.
        slot: Slot,
    },
    /// A component has two restarts.
    #[error("{component} is restarted twice")]
    RepeatedRestart {
        /// The component.
        component: Component,
    },
    /// A component would be restarted that loads nothing of what is written.
    #[error("{component} loads no file that the plan writes")]
    NeedlessRestart {
        /// The component.
        component: Component,
    },
}

impl From<serde_json::Error> for DocumentError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        Self::Json { line, column, reason: reason.to_owned() }
    }
}

/// Checks what no single value shows: that the plan is made of steps that `plan` or `create` could have made.
///
/// Every bound on edited plans has its place here.
fn check_within_catalogue(plan: &Plan) -> Result<(), DocumentError> {
    // A new part of a plan must find its check here.
    let Plan { steps, deferred, restarts, now: _ } = plan;
    let mut slots = BTreeSet::new();
    let mut created = BTreeSet::new();
    let mut written = BTreeSet::new();
    for step in steps {
        let slot = step.slot;
        if !slots.insert(slot) {
            return Err(DocumentError::RepeatedSlot { slot });
        }
        check_files(step)?;
        check_parts(step)?;
        check_certificate(step, &created)?;
        if let Slot::Ca(ca) = slot
            && !step.is_extension()
        {
            created.insert(ca);
        }
        written.extend(step.writes.iter().map(|write| write.file));
    }
    let extends_cluster = plan.extended(CaSlot::Cluster).is_some();
    let follows = |step: &&Step| step.kubeconfig == Some(KubeconfigSpec::TrustExtended);
    if let Some(step) = steps.iter().find(follows)
        && !extends_cluster
    {
        let reason = "trusts an extended certificate, and no step extends it";
        return Err(DocumentError::Step { slot: step.slot, reason });
    }
    if let Some(twice) = deferred.iter().find(|deferred| !slots.insert(deferred.slot())) {
        return Err(DocumentError::RepeatedSlot { slot: twice.slot() });
    }
    let mut components = BTreeSet::new();
    for restart in restarts {
        let component = restart.component;
        if !components.insert(component) {
            return Err(DocumentError::RepeatedRestart { component });
        }
        if !written.iter().any(|file| component.reload(*file, None).is_some()) {
            return Err(DocumentError::NeedlessRestart { component });
        }
    }
    Ok(())
}

/// A step writes the files of its slot, all of them, the certificate of a leaf before its key, and secrets as secrets.
fn check_files(step: &Step) -> Result<(), DocumentError> {
    let slot = step.slot;
    let mut seen = BTreeSet::new();
    for write in &step.writes {
        let (file, mode) = (write.file, write.mode);
        if file.slot() != slot {
            return Err(DocumentError::ForeignFile { slot, file });
        }
        if !seen.insert(file) {
            return Err(DocumentError::RepeatedFile { file });
        }
        if mode > 0o777 {
            return Err(DocumentError::Mode { file, mode });
        }
        if file.is_secret() && mode & 0o007 != 0 {
            return Err(DocumentError::OpenSecret { file, mode });
        }
        if write.placement != Placement::of(file) {
            return Err(DocumentError::Placement { file });
        }
    }
    let expected = match (slot, step.key) {
        (Slot::Ca(ca), KeyPolicy::Reuse) => vec![FileSlot::CaCertificate(ca)],
        (Slot::Ca(ca), KeyPolicy::Generate(_)) => vec![FileSlot::CaKey(ca), FileSlot::CaCertificate(ca)],
        (Slot::Leaf(leaf), KeyPolicy::Generate(_)) => {
            vec![FileSlot::LeafCertificate(leaf), FileSlot::LeafKey(leaf)]
        }
        (Slot::Leaf(leaf), KeyPolicy::Reuse) => vec![FileSlot::LeafCertificate(leaf)],
        (Slot::Kubeconfig(kubeconfig), _) => vec![FileSlot::Kubeconfig(kubeconfig)],
        (Slot::ServiceAccount, KeyPolicy::Reuse) => vec![FileSlot::ServiceAccountPublicKey],
        (Slot::ServiceAccount, KeyPolicy::Generate(_)) => {
            vec![FileSlot::ServiceAccountKey, FileSlot::ServiceAccountPublicKey]
        }
        (Slot::KubeletClient, _) => vec![FileSlot::KubeletClient],
        (Slot::KubeletServing, _) => return Err(DocumentError::NotIssued { slot }),
    };
    if step.writes.iter().map(|write| write.file).ne(expected.iter().copied()) {
        return Err(DocumentError::Files { slot, expected });
    }
    Ok(())
}

/// A renewal edits what is there, a creation replaces nothing, and each has the parts of its slot and no others.
fn check_parts(step: &Step) -> Result<(), DocumentError> {
    let Step { slot, key, certificate, kubeconfig, writes, replaced, notes: _ } = step;
    let wrong = |reason| Err(DocumentError::Step { slot: *slot, reason });
    let keeps_files =
        matches!(slot, Slot::Leaf(_) | Slot::Kubeconfig(_) | Slot::KubeletClient) || step.is_extension();
    let refers = step.is_repair() && *slot != Slot::KubeletClient;
    let keeps_credential = refers || step.is_trust();
    if certificate.is_none() != (keeps_credential || matches!(slot, Slot::ServiceAccount)) {
        return wrong(
            "must have a certificate unless it is for the service account pair, refers to one or keeps its own",
        );
    }
    if refers && *slot != Slot::Kubeconfig(KubeconfigSlot::Kubelet) {
        return wrong("refers to the kubelet's client certificate, which is for the kubelet alone");
    }
    if kubeconfig.is_some() != matches!(slot, Slot::Kubeconfig(_)) {
        return wrong("must have a kubeconfig when it is for one, and only then");
    }
    if keeps_credential {
        if *key != KeyPolicy::Reuse || replaced.is_some() {
            return wrong(
                "refers to a certificate or keeps its own, so there is neither a key nor a certificate to replace",
            );
        }
        let edits = !matches!(kubeconfig, Some(KubeconfigSpec::CreateReferring { .. }));
        if edits && writes.iter().any(|write| write.expected == Expected::Absent) {
            return wrong("edits, so there must be a kubeconfig");
        }
    } else if replaced.is_none() {
        if step.is_extension() {
            return wrong("extends, so there must be a certificate to replace");
        }
        // Of a service account key that is there the public half can be made.
        if *key == KeyPolicy::Reuse && *slot != Slot::ServiceAccount {
            return wrong("creates, so there is no key to reuse");
        }
        // What a kubelet's file holds may be no certificate any more.
        if !step.is_repair() && writes.iter().any(|write| write.expected != Expected::Absent) {
            return wrong("creates, so it cannot replace a file");
        }
        if matches!(kubeconfig, Some(KubeconfigSpec::Edit { .. })) {
            return wrong("creates, so there is no kubeconfig to edit");
        }
    } else {
        if !keeps_files {
            return wrong("renews what can only be created");
        }
        if matches!(slot, Slot::Ca(_))
            && certificate.as_ref().is_none_or(|spec| spec.issuer != IssuerRef::Itself)
        {
            return wrong("extends, so it must be signed by itself");
        }
        // The key may be missing, which is a reason to renew; the certificate comes first.
        if writes.first().is_some_and(|write| write.expected == Expected::Absent) {
            return wrong("renews, so there must be a certificate to replace");
        }
        if matches!(kubeconfig, Some(KubeconfigSpec::Create { .. })) {
            return wrong("renews, so the kubeconfig must be edited");
        }
    }
    if let Some(
        KubeconfigSpec::Create { cluster, server, user, .. }
        | KubeconfigSpec::CreateReferring { cluster, server, user },
    ) = kubeconfig
        && [cluster, server, user].into_iter().any(|text| text.contains(breaks_a_line))
    {
        // They are put into YAML, where a line of its own would be a setting of its own.
        return wrong("names a cluster, server or user in more than one line");
    }
    Ok(())
}

/// A certificate is signed by its slot's authority, and only an authority may sign.
fn check_certificate(step: &Step, created: &BTreeSet<CaSlot>) -> Result<(), DocumentError> {
    let slot = step.slot;
    let Some(certificate) = &step.certificate else { return Ok(()) };
    let (expected, found) = (slot.issuer(), certificate.issuer.authority());
    // What signs itself becomes an authority, so this also keeps leaves from being one.
    if found != expected {
        return Err(DocumentError::Issuer { slot, expected, found });
    }
    if let IssuerRef::Created(issuer) = certificate.issuer
        && !created.contains(&issuer)
    {
        return Err(DocumentError::IssuerNotCreated { slot, issuer });
    }
    let renews = !step.is_creation() && !step.is_extension();
    if renews && !matches!(certificate.issuer, IssuerRef::Existing { .. }) {
        // What is new is signed by either; by an authority that is there it is a new identity, which a review has permitted.
        let reason = "must be signed by an authority that exists when it renews";
        return Err(DocumentError::Step { slot, reason });
    }
    if let IssuerRef::Existing { ca, .. } = certificate.issuer
        && created.contains(&ca)
    {
        let reason = "must be signed by the authority that the plan creates, not by one that exists";
        return Err(DocumentError::Step { slot, reason });
    }
    let usages = certificate.key_usages;
    if !matches!(slot, Slot::Ca(_)) && usages.without_authority() != usages {
        return Err(DocumentError::AuthorityUsages { slot });
    }
    Ok(())
}

/// Returns whether YAML might end a line at `c`, or refuse it.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn list(files: &[FileSlot]) -> String {
    let names: Vec<String> = files.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn signer(ca: Option<CaSlot>) -> &'static str {
    ca.map_or("itself", CaSlot::name)
}

#[cfg(test)]
mod tests;

//! Records of what was issued beside the tree.

use std::path::PathBuf;

use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::Certificate;
use serde::Serialize;

use crate::disk::{DiskError, RealDisk};
use crate::node::{Node, NodeError, write_new_secret_file};

/// Keeps a record of `certificate`, which was issued at `now` for `reason`, and returns its file among the journals of the runs
/// that are done.
///
/// The record says what the API server's audit log can be compared with: the user, the serial number and the digest; and who
/// ran the program. It holds no key, has mode 0600, and is flushed before this returns.
///
/// # Errors
/// [`AuditError`] when the record cannot be kept; nothing of it is left.
pub fn record_issue(
    node: &Node,
    certificate: &Certificate,
    reason: &str,
    now: Timestamp,
) -> Result<TreePath, AuditError> {
    let state = node.state();
    let mut disk = RealDisk;
    state.must_be_private(node.root(), &disk)?;
    state.make("audit", &mut disk)?;
    let record = Record {
        api_version: "kubecerts.dev/v1",
        kind: "IssueRecord",
        issued: now.to_string(),
        reason,
        subject: certificate.subject().to_string(),
        serial: certificate.serial().to_string(),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
        sha256: certificate.fingerprint().to_string(),
        uid: rustix::process::getuid().as_raw(),
        sudo_user: std::env::var("SUDO_USER").ok(),
    };
    let mut line = serde_json::to_string(&record).map_err(|error| AuditError::Record(error.to_string()))?;
    line.push('\n');
    let line = SecretBytes::new(line.into_bytes());
    // Another run may take the same name first.
    for _ in 0..ATTEMPTS {
        let name = format!("{}.jsonl", state.new_id(now, &disk)?);
        let host: PathBuf = state.directory().join("audit").join(&name);
        match write_new_secret_file(&host, &line) {
            Err(NodeError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(AuditError::Write(error)),
            Ok(()) => {
                let path = state.path().join("audit").and_then(|directory| directory.join(&name));
                return path.map_err(|error| AuditError::Record(error.to_string()));
            }
        }
    }
    Err(AuditError::Record("every name for it is taken".to_owned()))
}

/// Why a record could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The directory of records cannot be used.
    #[error(transparent)]
    State(#[from] DiskError),
    /// The record cannot be written.
    #[error("the record of what was issued cannot be written")]
    Write(#[source] NodeError),
    /// The record cannot be made.
    #[error("the record of what was issued cannot be made: {0}")]
    Record(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    api_version: &'static str,
    kind: &'static str,
    issued: String,
    reason: &'a str,
    subject: String,
    serial: String,
    not_before: String,
    not_after: String,
    sha256: String,
    uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
}

/// How often another run may be faster.
const ATTEMPTS: usize = 16;

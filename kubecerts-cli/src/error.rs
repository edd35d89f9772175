//! Errors in words: what went wrong with which thing, and what to do next.

use std::error::Error;

use kubecerts_core::catalog::Slot;
use kubecerts_core::diagnosis::{Finding, Remedy};
use kubecerts_core::issue::IssueError;
use kubecerts_core::plan::{Deferred, PlanError, Reason};
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_host::disk::DiskError;
use kubecerts_host::{ApplyError, NodeError, ScratchError};

use crate::exit::Exit;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    message: String,
    hints: Vec<String>,
}

impl CommandError {
    /// Returns a failure of the operation.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// Returns a refusal for safety.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, ..Self::failed(message) }
    }

    /// Returns an error in the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(message) }
    }

    /// Adds what to do next.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns how the program ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do next.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns a failure with the whole chain of causes on one line.
    fn chain(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::failed(message)
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        let plain = Self::chain(&error);
        match error {
            NodeError::Root(DiskError::Root { .. }) => plain.with_hint(
                "--rootfs is the directory that is the node's `/`; leave it out on the node itself",
            ),
            NodeError::NoDirectory { .. } | NodeError::Directory { .. } => plain
                .with_hint("leave the option out to have the directory read from the static-pod manifests"),
            NodeError::File { path, .. } => {
                plain.with_hint(format!("look at it with: ls -l {}", path.display()))
            }
            _ => plain,
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let plain = Self::chain(&error);
        match error {
            PlanError::LeavesRoot { .. } => Self { exit: Exit::Refused, ..plain }.with_hint(
                "nothing was changed; a link may not lead out of --rootfs, replace it by what it points to",
            ),
            PlanError::Lifetime(_) => {
                Self { exit: Exit::Usage, ..plain }.with_hint("ask for a span such as --validity 8760h")
            }
            _ => plain,
        }
    }
}

impl From<IssueError> for CommandError {
    fn from(error: IssueError) -> Self {
        let plain = Self::chain(&error);
        match error {
            IssueError::Stale { .. } | IssueError::IssuerChanged(_) => Self { exit: Exit::Refused, ..plain }
                .with_hint("somebody else is changing the tree; plan again with: kubecerts plan"),
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        let plain = Self::chain(&error);
        match error {
            ApplyError::Disk(error) => {
                let refused = matches!(
                    error,
                    DiskError::Stale { .. }
                        | DiskError::Disturbed { .. }
                        | DiskError::Refused { .. }
                        | DiskError::SameTarget { .. }
                );
                let exit = if refused { Exit::Refused } else { Exit::Failed };
                let plain = Self { exit, ..plain };
                match error {
                    DiskError::Stale { .. } | DiskError::Disturbed { .. } => {
                        plain.with_hint("nothing was changed; plan again with: kubecerts plan")
                    }
                    DiskError::Interrupted { replaced, .. } => plain
                        .with_hint(format!("these files are new already: {}", list(&replaced)))
                        .with_hint("mend the cause, then run the same command again: every file is whole"),
                    DiskError::Unflushed { .. } => plain
                        .with_hint("every file is new, but may be lost if the machine stops now; run: sync"),
                    DiskError::Refused { problem: ReadProblem::LeavesRoot { .. }, .. } => {
                        plain.with_hint("nothing was changed; a link may not lead out of --rootfs")
                    }
                    DiskError::Replace { source, .. }
                        if source.kind() == std::io::ErrorKind::PermissionDenied =>
                    {
                        plain.with_hint("nothing was changed; run it as root")
                    }
                    _ => plain.with_hint("nothing was changed"),
                }
            }
            ApplyError::Rescan(_) => plain.with_hint("see what is on disk with: kubecerts check"),
            _ => plain,
        }
    }
}

impl From<ScratchError> for CommandError {
    fn from(error: ScratchError) -> Self {
        Self::chain(&error).with_hint("set TMPDIR to a directory that can be written")
    }
}

/// Returns what to do about `finding`, if there is anything; `options` lead a command to the same node.
pub(crate) fn remedy(finding: &Finding, options: &str) -> Option<String> {
    Some(match &finding.remedy {
        Remedy::Renew(slot) => format!("kubecerts renew {slot}{options}"),
        Remedy::RotateAuthority(ca) => {
            format!("the authority {ca} needs a new certificate; plan its rotation, leaves cannot outlive it")
        }
        Remedy::SignElsewhere(ca) => format!("have certificates signed where the key of {ca} is kept"),
        Remedy::Restore(file) => format!("put {file} back from a backup or from another control-plane node"),
        Remedy::GrantAccess(_) => "run it as root, or repair what stands at this path".to_owned(),
        Remedy::Inspect(path) => format!("kubecerts inspect {path}"),
        Remedy::SetMode(path, mode) => format!("chmod {mode:04o} {path}"),
        Remedy::SetClock => "compare the clock of this node with another one: timedatectl".to_owned(),
        Remedy::ReferToRotatedCertificate => {
            "let client-certificate and client-key in kubelet.conf name /var/lib/kubelet/pki/kubelet-client-current.pem".to_owned()
        }
        Remedy::RefreshCopy(path) => format!("replace {path} by the current file"),
        _ => return None,
    })
}

/// Returns what would make a deferred renewal possible, if there is anything; `options` lead a command to the same node.
pub(crate) fn deferral(deferred: &Deferred, options: &str) -> Option<String> {
    let slot = deferred.slot();
    Some(match deferred.reason() {
        Reason::ExternalAuthority(ca) => format!("{slot}: have it signed where the key of {ca} is kept"),
        Reason::AuthorityUnusable(ca, _) => {
            format!("{slot}: {ca} has to be mended first, see: kubecerts check{options}")
        }
        Reason::CannotBeExtended { .. } => {
            format!("{slot}: ask for more with --validity, or give its authority a new certificate")
        }
        Reason::Missing(path) => format!("{slot}: put {path} back from a backup"),
        Reason::Unreadable(path, _) => format!("{slot}: make {path} readable, or run it as root"),
        Reason::Damaged(path, _) => format!("{slot}: see what is left with: kubecerts inspect {path}"),
        Reason::Referenced(path) => format!("{slot}: renew what lies in {path}"),
        Reason::NoKeyToReuse(_) => format!("{slot}: leave out --reuse-key"),
        Reason::NotRenewable => match slot {
            Slot::Ca(_) => format!("{slot}: authorities are not renewed but rotated"),
            _ => format!("{slot}: the kubelet renews it by itself"),
        },
        Reason::KubeletOwned => {
            format!("{slot}: renew it by name if the kubelet cannot: kubecerts renew kubelet.conf{options}")
        }
        _ => return None,
    })
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

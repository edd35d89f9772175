//! The errors about trees that are made, in words.

use kubecerts_core::issue::SharedFileError;
use kubecerts_core::plan::{
    AuthorityProblem, Contradiction, Deferred, Difference, IntentError, OverrideError, Reason,
};
use kubecerts_host::NewTreeError;

use super::CommandError;
use crate::exit::Exit;

impl CommandError {
    /// Returns that the node `name` cannot have what was deferred, without which its tree is not whole.
    pub(crate) fn of_joining(missing: &Deferred, name: &str) -> Self {
        let hint = match missing.reason() {
            Reason::ExternalAuthority(_) => {
                "nothing was written; run it where the key is, or make requests on the new node, see `kubecerts csr --help`"
            }
            _ => "nothing was written; run it on a control-plane node whose tree is whole",
        };
        let message = format!("{} for {name}: {}", missing.slot(), missing.reason());
        Self { exit: Exit::Incomplete, ..Self::failed(message) }.with_hint(hint)
    }
}

/// Returns the refusal to make something beside what is there, with a hint for the first difference of each kind.
pub(super) fn contradictions(contradictions: &[Contradiction]) -> CommandError {
    let messages: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
    let mut refused = CommandError::refused(messages.join("; "));
    refused = refused.with_hint("nothing was changed, for nothing is overwritten");
    for Contradiction { path, difference, .. } in contradictions.iter().take(HINTS) {
        let hint = match difference {
            Difference::NoCertificate(_) => {
                "move FILE away, or, if it waits for a certificate, take that in with: kubecerts import"
            }
            Difference::NoKey(_) => "put its key back from a backup, or move FILE away",
            Difference::AuthorityGone(..) => {
                "put the authority back from a backup or from another control-plane node, or move FILE away"
            }
            Difference::Expired(_) => "move FILE away, or renew what has expired with: kubecerts renew",
            Difference::Authority(AuthorityProblem::Expired(_)) => {
                "the authority needs a new certificate before anything else: kubecerts ca extend"
            }
            _ => "mend the configuration if FILE is right, else move FILE away and run this again",
        };
        refused = refused.with_file_hint(hint, path.clone());
    }
    refused
}

/// How many contradictions get a hint of their own.
const HINTS: usize = 4;

impl From<OverrideError> for CommandError {
    fn from(error: OverrideError) -> Self {
        let usage = Self { exit: Exit::Usage, ..Self::chain(&error) };
        match error {
            OverrideError::Intent(IntentError::Missing { field, .. }) => usage.with_hint(match field {
                "nodeRegistration.name" => {
                    "say it with --node-name, or in the configuration as nodeRegistration.name of the InitConfiguration"
                }
                "localAPIEndpoint.advertiseAddress" => {
                    "say it with --apiserver-advertise-address, or in the configuration as \
                     localAPIEndpoint.advertiseAddress of the InitConfiguration"
                }
                _ => "say it in the configuration",
            }),
            OverrideError::Invalid { .. } => usage.with_hint("nothing was changed; see: kubecerts init --help"),
            _ => usage.with_hint("nothing was changed; mend the configuration"),
        }
    }
}

impl From<SharedFileError> for CommandError {
    fn from(error: SharedFileError) -> Self {
        let plain = Self::chain(&error);
        match error {
            SharedFileError::Unreadable { path, .. } => {
                plain.with_file_hint("nothing was written; make FILE readable, or run it as root", path)
            }
            _ => plain.with_hint("nothing was written; run it on a control-plane node whose tree is whole"),
        }
    }
}

impl From<NewTreeError> for CommandError {
    fn from(error: NewTreeError) -> Self {
        let plain = Self::chain(&error);
        match error.source.kind() {
            std::io::ErrorKind::AlreadyExists => Self { exit: Exit::Refused, ..plain }
                .with_hint("nothing is overwritten; name another directory with --out, or move it away"),
            _ => plain.with_hint("see whether it can be written, and has room: df -h"),
        }
    }
}

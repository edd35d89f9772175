//! The errors about trees that are made, in words.

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::SharedFileError;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{
    AuthorityProblem, Contradiction, Deferred, Difference, IntentError, OverrideError, PlanError, Reason,
};
use kubecerts_host::NewTreeError;

use super::{CommandError, is_denied};
use crate::exit::Exit;

impl CommandError {
    /// Returns why nothing is made in the tree `inventory`.
    pub(crate) fn of_creation(error: PlanError, inventory: &Inventory) -> Self {
        match error {
            PlanError::Contradictions(found) => contradictions(&found, Some(inventory)),
            error => error.into(),
        }
    }

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

/// Returns the refusal to make something beside what is there, with each advice once and all files that it is about.
///
/// With `inventory` the files that belong to one that has to go are named too.
pub(super) fn contradictions(
    contradictions: &[Contradiction],
    inventory: Option<&Inventory>,
) -> CommandError {
    let messages: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
    let mut advice: Vec<(&str, Vec<TreePath>)> = Vec::new();
    let mut add = |text, paths: Vec<TreePath>| {
        let at = advice.iter().position(|(known, _)| *known == text).unwrap_or_else(|| {
            advice.push((text, Vec::new()));
            advice.len() - 1
        });
        let known = &mut advice[at].1;
        paths.into_iter().for_each(|path| {
            if !known.contains(&path) {
                known.push(path)
            }
        });
    };
    for Contradiction { path, difference, .. } in contradictions {
        let own = || vec![path.clone()];
        let with_its_own = || inventory.map_or_else(own, |inventory| belonging(path, inventory));
        match difference {
            Difference::NoCertificate(certificate) => {
                add(BRING_CERTIFICATES, vec![certificate.clone()]);
                add(MOVE, own());
            }
            Difference::NoKey(key) => {
                add(BRING_BACK, vec![key.clone()]);
                add(MOVE, own());
            }
            Difference::AuthorityGone(_, authority) => {
                add(BRING_SHARED, vec![authority.clone()]);
                add(MOVE, with_its_own());
            }
            Difference::Unusable(reason) | Difference::Authority(AuthorityProblem::Damaged(_, reason))
                if is_denied(reason) =>
            {
                add("make these readable, or run it as root: FILE", own());
            }
            Difference::Unusable(_) => {
                add(BRING_BACK, own());
                add(MOVE, with_its_own());
            }
            Difference::Expired(_) => {
                add("renew what has expired with: kubecerts renew", Vec::new());
                add(MOVE, with_its_own());
            }
            Difference::Authority(AuthorityProblem::Expired(_)) => {
                add(
                    "the authority needs a new certificate before anything else: kubecerts ca extend",
                    Vec::new(),
                );
            }
            Difference::Authority(AuthorityProblem::NotYetValid(_)) | Difference::NotYetValid(_) => {
                add("compare the clock of this node with another one: timedatectl", Vec::new());
            }
            Difference::Authority(_) => add(BRING_SHARED, with_its_own()),
            _ => {
                add("if these are right, mend the configuration: FILE", own());
                add(MOVE, with_its_own());
            }
        }
    }
    let refused = CommandError::refused(messages.join("; "));
    let refused = refused.with_hint("nothing was changed, for nothing is overwritten");
    // What may bring things back comes before what gives them up.
    advice.sort_by_key(|(text, _)| *text == MOVE);
    advice.into_iter().fold(refused, |refused, (text, paths)| refused.with_files_hint(text, paths))
}

/// Returns the files that have to go together with the one at `path`, which is one of them: a key is of no use without its
/// certificate. A public key can be made again, so it goes by itself.
fn belonging(path: &TreePath, inventory: &Inventory) -> Vec<TreePath> {
    let layout = inventory.node().layout();
    match layout.slot_of(path) {
        None | Some(FileSlot::ServiceAccountPublicKey) => vec![path.clone()],
        Some(file) => {
            let files = FileSlot::all().filter(|other| other.slot() == file.slot());
            files
                .map(|file| inventory.file(file))
                .filter(|facts| facts.exists)
                .map(|facts| facts.path.clone())
                .collect()
        }
    }
}

const BRING_CERTIFICATES: &str = "bring these from a backup or from where they were signed (answers to requests are taken in by \
                                  `kubecerts import`, see its --help): FILE";
const BRING_BACK: &str = "bring these from a backup: FILE";
const BRING_SHARED: &str = "bring these from a backup or from another control-plane node: FILE";
const MOVE: &str = "what is of no use, move away, and run this again: FILE";

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

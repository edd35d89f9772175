//! `kubecerts kubeconfig break-glass`

use kubecerts_core::issue::Term;
use kubecerts_core::time::Seconds;
use kubecerts_host::record_issue;

use super::user::{TreeArgs, certify};
use crate::commands::kubelet::describe;
use crate::commands::scan;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make a kubeconfig with all rights for a short time, and keep a record of the reason.
///
/// It is for the group `system:masters`, which no RBAC can lock out, and for a user whose name holds the moment, so that every
/// request with it can be found in the API server's audit log. The record is written before the kubeconfig is handed out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Why it is needed; kept in the record and at the top of the kubeconfig.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// How long it is valid, 24 hours at most: nobody can take it back before its end.
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    validity: Seconds,

    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { reason, validity, tree } = args;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().any(char::is_control) {
        return Err(CommandError::usage("the reason is empty, or more than one line")
            .with_hint("say in one line why nobody's own credential will do, with --reason TEXT"));
    }
    if *validity > LONGEST {
        return Err(CommandError::refused(format!(
            "{validity} is too long for a credential with all rights"
        ))
        .with_hint("ask for 24h at most; for a lasting one see `kubecerts kubeconfig user --help`"));
    }
    let node = tree.node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let term = Term { now: kubecerts_host::now(), lifetime: *validity };
    let mut user = tree.user(&format!("break-glass:{}", term.now), &inventory)?;
    user.groups = vec![MASTERS.to_owned()];
    user.comment = Some(format!("break-glass since {}: {reason}", term.now));
    // A record of something that nobody got would mislead whoever reads it.
    let place = tree.place(output)?;
    let made = certify(&user, term, &snapshot, &inventory)?;
    let record = record_issue(&node, &made.certificate, reason, term.now)?;
    place.write(&made.kubeconfig, output).map_err(|error| {
        error.with_hint(format!(
            "the kubeconfig was handed out to nobody; of its certificate there is the record {record}"
        ))
    })?;
    describe(&made.certificate, term, output);
    output.note(&format!("recorded it with its reason in {record}"));
    output.hint("remove the file when you are done: it cannot be revoked, and ends by itself");
    Ok(Exit::Fine)
}

/// The longest life of a credential that cannot be revoked and has all rights: one shift and the next.
const LONGEST: Seconds = Seconds::from_hours(24);

/// The group that bypasses RBAC.
pub(super) const MASTERS: &str = "system:masters";

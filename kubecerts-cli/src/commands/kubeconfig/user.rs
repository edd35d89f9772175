//! `kubecerts kubeconfig user`

use std::path::{Path, PathBuf};

use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{Term, User, UserCredential, user_credential, user_with_token};
use kubecerts_core::plan::{PlanRequest, check_clock};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::crypto::Provider;
use kubecerts_host::{NewSecretFile, SystemEntropy, read_policy};

use super::break_glass::MASTERS;
use crate::args::{NodeArgs, SecretText, quoted};
use crate::commands::kubelet::{describe, is_stream, read, refuse_terminal};
use crate::commands::scan;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make a kubeconfig for one more user, with a certificate that the cluster's authority signs, or with a token.
///
/// Who the user is and what it may do follows from its name and its groups alone, by RBAC; a certificate cannot be taken back
/// before its end.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the user, which becomes the common name of the certificate.
    #[arg(long, value_name = "NAME")]
    client_name: String,

    /// A group of the user, which becomes an organisation of the certificate; may be repeated.
    #[arg(long, value_name = "GROUP", value_delimiter = ',', conflicts_with_all = ["token", "token_file"])]
    org: Vec<String>,

    /// How long the certificate is valid, never beyond its authority [default: as in the policy file, else in
    /// --config, else 8760h].
    #[arg(long, alias = "validity", value_name = "SPAN", conflicts_with_all = ["token", "token_file"])]
    validity_period: Option<Seconds>,

    /// The file with a token to be used in place of a certificate, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The token itself, which others on this machine can see in the list of processes.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<SecretText>,

    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Which cluster the kubeconfig is for, and where it goes.
#[derive(Debug, clap::Args)]
pub(super) struct TreeArgs {
    /// The new file, of mode 0600, or `-` for standard output [default: standard output, unless that is a terminal].
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,

    /// The API server [default: as in --config, else as in admin.conf].
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    /// The name of the cluster in the kubeconfig [default: as in --config, else as in admin.conf].
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<String>,

    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { client_name, org, validity_period, token_file, token, tree } = args;
    let node = tree.node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let mut user = tree.user(client_name, &inventory)?;
    user.groups.clone_from(org);
    let token = match (token, token_file) {
        (Some(text), _) => {
            output.warning("--token shows the token in the list of processes; --token-file does not");
            Some(SecretBytes::new(text.secret_text().as_bytes().to_vec()))
        }
        (None, Some(path)) => Some(SecretBytes::new(read(path)?.secret_bytes().trim_ascii().to_vec())),
        (None, None) => None,
    };
    if let Some(token) = token {
        let place = tree.place(output)?;
        place.write(&user_with_token(&user, &token, &snapshot)?, output)?;
        output.note(&format!("made a kubeconfig of {client_name} for {} with the token", user.server));
        return Ok(Exit::Fine);
    }
    let mut request = PlanRequest::for_node(inventory.node());
    if let Some(policy) = read_policy(None, &node)? {
        policy.fill_request(&mut request);
    }
    let lifetime = validity_period.unwrap_or(request.lifetime);
    let term = Term { now: kubecerts_host::now(), lifetime };
    let place = tree.place(output)?;
    let made = certify(&user, term, &snapshot, &inventory)?;
    place.write(&made.kubeconfig, output)?;
    if org.iter().any(|group| group == MASTERS) {
        output.warning(&format!(
            "{MASTERS} bypasses RBAC: nothing takes this credential back before its end, and no binding limits it"
        ));
        output.hint(&format!(
            "for a short time and with a record: kubecerts kubeconfig break-glass --reason TEXT{}",
            tree.node.whereabouts().options
        ));
    }
    describe(&made.certificate, term, output);
    if org.is_empty() {
        output.hint(&format!(
            "the user is in no group; give it rights with: kubectl create clusterrolebinding NAME --clusterrole view --user {}",
            quoted(client_name)
        ));
    }
    Ok(Exit::Fine)
}

/// Makes the credential of `user`.
pub(super) fn certify(
    user: &User,
    term: Term,
    snapshot: &Snapshot,
    inventory: &Inventory,
) -> Result<UserCredential, CommandError> {
    check_clock(inventory, term.now)?;
    let mut provider = Provider::default();
    Ok(user_credential(user, snapshot, term, &mut SystemEntropy::new(), &mut provider)?)
}

impl TreeArgs {
    /// Returns the user `name` of the cluster that is meant.
    pub(super) fn user(&self, name: &str, inventory: &Inventory) -> Result<User, CommandError> {
        let user = User::of_tree(name, inventory);
        let user = match (&self.server, user) {
            (Some(server), Some(mut user)) => {
                user.server.clone_from(server);
                Some(user)
            }
            (Some(server), None) => Some(User::new(name, "kubernetes", server)),
            (None, user) => user,
        };
        let mut user = user.ok_or_else(|| {
            if let Some((path, problem)) = User::unreadable_source(inventory) {
                return CommandError::of_unreadable(path, problem);
            }
            CommandError::failed("nothing states the address of the API server")
                .with_hint("say --server URL, such as https://k8s-api.example.com:6443, or name a configuration with --config")
        })?;
        if let Some(cluster) = &self.cluster_name {
            user.cluster.clone_from(cluster);
        }
        Ok(user)
    }

    /// Returns the place for the kubeconfig, before anything is signed for it. On a terminal a secret is shown only when
    /// standard output was asked for.
    pub(super) fn place(&self, output: &Output) -> Result<Place, CommandError> {
        Ok(match &self.out {
            None => {
                refuse_terminal(Path::new("-"), output)?;
                Place::Stream
            }
            Some(out) if is_stream(out) => Place::Stream,
            Some(out) => Place::File(NewSecretFile::create(out)?),
        })
    }
}

/// Where a kubeconfig goes.
pub(super) enum Place {
    /// Standard output.
    Stream,
    /// A new file.
    File(NewSecretFile),
}

impl Place {
    /// Writes the kubeconfig.
    pub(super) fn write(self, kubeconfig: &SecretBytes, output: &mut Output) -> Result<(), CommandError> {
        match self {
            Self::File(file) => file.write(kubeconfig)?,
            Self::Stream => {
                output.raw(kubeconfig.secret_bytes());
                // kubeadm ends its output with an empty line, which scripts that compare know.
                output.data("\n");
            }
        }
        Ok(())
    }
}

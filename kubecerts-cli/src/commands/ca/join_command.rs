//! `kubecerts ca join-command`

use std::path::PathBuf;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::{BootstrapToken, CertificateKey, JoinRole, join_command, join_server, key_pins};
use kubecerts_core::plan::ControlPlaneEndpoint;

use super::unreadable;
use crate::args::{NodeArgs, SecretText};
use crate::commands::{kubelet, scan};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Print the command with which another node joins, as `kubeadm token create --print-join-command` does.
///
/// No API server is asked: the token must exist, or come to exist, in the cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file with the bootstrap token, or `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "token")]
    token_file: Option<PathBuf>,

    /// The bootstrap token itself, which others on this machine can see in the list of processes.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<SecretText>,

    /// For another control-plane node.
    #[arg(long)]
    control_plane: bool,

    /// The key that `kubeadm init phase upload-certs --upload-certs` has printed.
    #[arg(long, value_name = "HEX", requires = "control_plane")]
    certificate_key: Option<SecretText>,

    /// Where the API server is reached [default: as in admin.conf, else in --config].
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,

    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { token_file, token, control_plane, certificate_key, server, node } = args;
    let token: BootstrapToken = match (token, token_file) {
        (Some(text), _) => {
            output.warning("--token shows the token in the list of processes; --token-file does not");
            text.secret_text().parse()?
        }
        (None, Some(path)) => {
            let content = kubelet::read(path)?;
            std::str::from_utf8(content.secret_bytes()).unwrap_or_default().trim().parse()?
        }
        (None, None) => {
            return Err(CommandError::usage("there is no token").with_hint("name one with --token-file"));
        }
    };
    let key: Option<CertificateKey> =
        certificate_key.as_ref().map(|text| text.secret_text().parse()).transpose()?;
    let role = if *control_plane { JoinRole::ControlPlane(key) } else { JoinRole::Worker };
    let given = server.as_deref().map(endpoint).transpose()?;
    let (_, inventory) = scan(&node.open()?)?;
    let pins = key_pins(&inventory, CaSlot::Cluster);
    if pins.is_empty() {
        return Err(unreadable(CaSlot::Cluster, &inventory));
    }
    let server = given.or_else(|| join_server(&inventory)).ok_or_else(|| {
        CommandError::failed("nothing states where the API server is").with_hint("say --server HOST:PORT")
    })?;
    output.raw(join_command(&server, &pins, &token, &role).secret_bytes());
    output.raw(b"\n");
    Ok(Exit::Fine)
}

/// Returns the server that was given, with or without its scheme.
fn endpoint(text: &str) -> Result<ControlPlaneEndpoint, CommandError> {
    let host = text.strip_prefix("https://").unwrap_or(text);
    ControlPlaneEndpoint::parse(host, PORT).map_err(|error| {
        CommandError::usage(error.to_string()).with_hint("name it as HOST:PORT, such as 10.0.0.1:6443")
    })
}

/// kubeadm's port of the API server.
const PORT: u16 = 6443;

//! `kubecerts kubelet bootstrap`

use std::path::PathBuf;

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_core::issue::{BootstrapToken, KeyPin, bootstrap_kubeconfig};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::FileState;

use super::{is_stream, read, refuse_terminal, write_secret};
use crate::args::{NodeArgs, SecretText, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Write bootstrap-kubelet.conf, with which a kubelet asks the API server for a certificate; needs one that runs.
///
/// The authority is trusted only when its public key has the given hash. `kubeadm token create --print-join-command` on a
/// control-plane node says token and hash.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The API server, such as https://10.0.0.1:6443.
    #[arg(long, value_name = "URL")]
    server: String,

    /// The file with the bootstrap token, or `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "token")]
    token_file: Option<PathBuf>,

    /// The bootstrap token itself, which others on this machine can see in the list of processes.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<SecretText>,

    /// The authority's certificate [default: ca.crt of this node].
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The hash of the authority's public key; several during a rotation.
    #[arg(long, value_name = "sha256:HEX", required = true)]
    ca_cert_hash: Vec<KeyPin>,

    /// The new file, of mode 0600, or `-` for a pipe.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    #[command(flatten)]
    pub(super) tree: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { server, token_file, token, ca, ca_cert_hash, out, tree } = args;
    refuse_terminal(out, output)?;
    let token: BootstrapToken = match (token, token_file) {
        (Some(text), _) => {
            output.warning("--token shows the token in the list of processes; --token-file does not");
            text.secret_text().parse()?
        }
        (None, Some(path)) => {
            let content = read(path)?;
            std::str::from_utf8(content.secret_bytes()).unwrap_or_default().trim().parse()?
        }
        (None, None) => {
            return Err(CommandError::usage("there is no token").with_hint("name one with --token-file"));
        }
    };
    let authority = match ca {
        Some(path) => read(path)?,
        None => own_authority(tree)?,
    };
    let content = bootstrap_kubeconfig(server, authority.secret_bytes(), ca_cert_hash, &token)?;
    write_secret(out, &content, output)?;
    let file =
        if is_stream(out) { "bootstrap-kubelet.conf".to_owned() } else { quoted(&out.display().to_string()) };
    output.note("the authority has the given hash; the file holds the token, so keep it closed");
    output.hint(&format!(
        "on the node, put it in place with: install -m 0600 {file} /etc/kubernetes/bootstrap-kubelet.conf"
    ));
    output.hint(
        "then run: systemctl restart kubelet; it takes the file when the certificate of kubelet.conf is missing or over, \
         so move a broken kubelet.conf away",
    );
    output.hint("where the API server can be reached, see whether the request is approved: kubectl get csr");
    Ok(Exit::Fine)
}

/// Returns the authority's certificate of the tree.
fn own_authority(tree: &NodeArgs) -> Result<SecretBytes, CommandError> {
    let snapshot = tree.open()?.scan()?;
    let file = FileSlot::CaCertificate(CaSlot::Cluster);
    let path = snapshot.layout().path(file);
    let problem = match snapshot.file(file) {
        FileState::Present(content) => return Ok(SecretBytes::new(content.secret_bytes().to_vec())),
        FileState::Absent => "does not exist".to_owned(),
        FileState::Unreadable(problem) => format!("cannot be read: {problem}"),
    };
    Err(CommandError::failed(format!("{path} {problem}"))
        .with_hint("name the authority's certificate with --ca FILE"))
}

//! `kubecerts kubelet credential`

use std::path::{Path, PathBuf};

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::catalog::NodeName;
use kubecerts_core::issue::{Term, node_certificate, node_credential};
use kubecerts_core::plan::{Placement, PlanRequest, check_clock};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::encode_certificate;
use kubecerts_host::SystemEntropy;
use kubecerts_host::crypto::Provider;

use super::{describe, is_stream, read, refuse_terminal, write_secret};
use crate::args::{NodeArgs, quoted};
use crate::commands::scan;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make the client certificate of another node's kubelet; run where the key of the authority is.
///
/// It is for `system:node:NAME` in the group `system:nodes`. Without --csr a key is made for it, and --out gets both; with
/// --csr the certificate is for the key of the request, and goes to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the node whose kubelet it is for.
    #[arg(long = "node", value_name = "NAME")]
    name: NodeName,

    /// The new file for certificate and key, of mode 0600, or `-` for a pipe; with --csr for the certificate.
    #[arg(long, value_name = "FILE", required_unless_present = "csr")]
    out: Option<PathBuf>,

    /// How long it is valid, never beyond the authority [default: as in --config, else 8760h].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// A request that `kubecerts kubelet request` made on that node, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,

    #[command(flatten)]
    pub(super) tree: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { name, out, validity, csr, tree } = args;
    let stream = PathBuf::from("-");
    let out = out.as_ref().unwrap_or(&stream);
    let request = csr.as_deref().map(read).transpose()?;
    if request.is_none() {
        refuse_terminal(out, output)?;
    }
    let (snapshot, inventory) = scan(&tree.open()?)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let lifetime = validity.unwrap_or_else(|| PlanRequest::for_node(inventory.node()).lifetime);
    let term = Term { now, lifetime };
    let mut entropy = SystemEntropy::new();
    let mut provider = Provider::default();
    if let Some(request) = request {
        let request = request.secret_bytes();
        let certificate = node_certificate(request, name, &snapshot, term, &mut entropy, &provider)?;
        let pem = encode_certificate(certificate.as_der());
        match is_stream(out) {
            true => output.data(&pem),
            false => kubecerts_host::write_new_file(out, pem.as_bytes())?,
        }
        describe(&certificate, term, output);
        let file = if is_stream(out) { format!("{name}.crt") } else { file_name(out) };
        output.hint(&format!(
            "carry the certificate back to {name}, and there run: kubecerts kubelet install --certificate {file} --key KEY, \
             with the file that --key-out named"
        ));
        return Ok(Exit::Fine);
    }
    let made = node_credential(name, &snapshot, term, &mut entropy, &mut provider)?;
    write_secret(out, &made.file, output)?;
    describe(&made.certificate, term, output);
    let file = if is_stream(out) { format!("{name}.pem") } else { file_name(out) };
    output.hint(&format!(
        "it holds the private key: carry it to {name} where nobody reads along, and there run: \
         kubecerts kubelet install --pem {file}"
    ));
    output.hint(&format!("or put it in place there by hand: {}", by_hand(&file, now)));
    output.hint("then remove every copy that is left on the way");
    Ok(Exit::Fine)
}

/// Returns the commands that do what `kubecerts kubelet install` does, without its checks.
fn by_hand(file: &str, now: Timestamp) -> String {
    let dated = Placement::of(FileSlot::KubeletClient).dated(now).unwrap_or_default();
    format!(
        "install -m 0600 {file} /var/lib/kubelet/pki/{dated} && \
         ln -sfn /var/lib/kubelet/pki/{dated} /var/lib/kubelet/pki/kubelet-client-current.pem && \
         systemctl restart kubelet"
    )
}

/// Returns the last part of `path`, as one word of a shell: it will lie elsewhere on another machine.
fn file_name(path: &Path) -> String {
    quoted(&path.file_name().unwrap_or(path.as_os_str()).display().to_string())
}

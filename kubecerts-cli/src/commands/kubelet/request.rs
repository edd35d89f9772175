//! `kubecerts kubelet request`

use std::path::PathBuf;

use kubecerts_core::catalog::NodeName;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::node_request;
use kubecerts_host::crypto::Provider;

use super::{is_stream, name_of_node};
use crate::args::{NodeArgs, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Make a key for this node's kubelet, and a request for its certificate, so that the key never travels.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of this node [default: from its certificates, its files, or the host's name].
    #[arg(long = "node", value_name = "NAME", conflicts_with = "node_name")]
    name: Option<NodeName>,

    /// The new file for the key, of mode 0600.
    #[arg(long, value_name = "FILE")]
    key_out: PathBuf,

    /// The new file for the request, or `-` for standard output, which is the default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    pub(super) tree: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { name, key_out, out, tree } = args;
    let out = out.as_ref().filter(|path| !is_stream(path));
    if is_stream(key_out) || out == Some(key_out) {
        return Err(CommandError::usage("the key needs a file of its own, which stays on this node")
            .with_hint("name a new file with --key-out FILE"));
    }
    let inventory = Inventory::parse(&tree.open()?.scan()?);
    // What had to be said here has to be said again when the certificate is back.
    let again = name.as_ref().map(|name| format!(" --node {name}")).unwrap_or_default();
    let name = name_of_node(name.as_ref(), &inventory)?;
    let made = node_request(&name, &mut Provider::default())?;
    let key = quoted(&key_out.display().to_string());
    // The key comes first: a request without its key would only come to light when its certificate is back.
    kubecerts_host::write_new_secret_file(key_out, &made.key)?;
    match out {
        Some(path) => kubecerts_host::write_new_file(path, made.request.as_bytes()).map_err(|error| {
            CommandError::from(error).with_hint(format!("the key was made: rm {key}, then try again"))
        })?,
        None => output.data(&made.request),
    }
    output.note(&format!("made a request of system:node:{name}; its key is in {key} and stays here"));
    let file = out.and_then(|path| path.file_name()).map(|file| file.display().to_string());
    let file = quoted(&file.unwrap_or_else(|| format!("{name}.csr")));
    output.hint(&format!(
        "carry the request to where the key of the authority is, and there run: \
         kubecerts kubelet credential --node {name} --csr {file} --out {name}.crt"
    ));
    output.hint(&format!(
        "with the certificate back here, run: kubecerts kubelet install --certificate {name}.crt --key {key}{again}{}",
        tree.whereabouts().options
    ));
    Ok(Exit::Fine)
}

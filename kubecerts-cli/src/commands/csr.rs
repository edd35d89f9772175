//! `kubecerts csr`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::{PathSource, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::RustCrypto;
use kubecerts_core::issue::external::{Extent, Wanted, make_requests, manifest, wanted_certificates};
use kubecerts_core::manifest::KubeadmConfig;
use kubecerts_core::plan::{ClusterIntent, check_clock};
use kubecerts_core::time::Seconds;
use kubecerts_host::SystemEntropy;

use super::kubelet::read;
use super::{known_names, scan};
use crate::args::{NodeArgs, Whereabouts, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{external, text};

/// Make keys and certificate requests for an authority whose key is kept elsewhere.
///
/// Asks for what the existing certificates have: subject, names, usages, kind of key. Where there is none, for what --config says.
/// The directory gets a key and a request for each, where kubeadm puts them below /etc/kubernetes, and manifest.json, which says
/// what a request does not. The keys stay; everything else goes to the authority. Its answers go to `kubecerts import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The certificates by kubeadm's names (apiserver, etcd-server, admin.conf …); by default all that there are.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The directory to make, with mode 0700; one that is there has to be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// How long the certificates are to be valid [default: as in --config, else 8760h].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { names, out, validity, node } = args;
    let extent = extent(names)?;
    let whereabouts = node.whereabouts();
    let opened = node.open()?;
    let inventory = match node.config() {
        // A tree that is to be made has nothing yet.
        Some(_) => Inventory::parse(&opened.scan()?),
        None => scan(&opened)?.1,
    };
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let intent = node.config().map(|config| read_intent(config, &inventory, output)).transpose()?;
    output.data(&external::custody(&inventory));
    let wanted = wanted_certificates(&inventory, intent.as_ref(), &extent, *validity, now)?;
    let is_incomplete = explain(&wanted, &extent, &whereabouts, output)?;

    kubecerts_host::new_private_directory(out)?;
    let mut provider = RustCrypto::new(SystemEntropy::new());
    let made = make_requests(&wanted.certificates, &inventory, now, &mut provider)?;
    for file in &made.files {
        let path = kubecerts_host::make_parents(out, &file.name)?;
        kubecerts_host::write_new_secret_file(&path, &file.content)?;
    }
    // It comes last: a directory with a manifest is whole.
    kubecerts_host::write_new_file(&out.join(manifest::FILE_NAME), made.manifest.to_json().as_bytes())?;
    for record in &made.manifest.requests {
        output.data(&external::request(record));
    }
    let directory = quoted(&out.display().to_string());
    output.note(&format!("made {} in {directory}", text::counted(made.manifest.requests.len(), "request")));
    output.hint(&format!(
        "send the .csr files and manifest.json to the authority, never a .key file: \
         tar -C {directory} --exclude='*.key' -cf requests.tar ."
    ));
    output.hint(&format!(
        "with the answers, run: kubecerts import {directory} --certificates ANSWERS{}",
        whereabouts.options
    ));
    Ok(if is_incomplete { Exit::Incomplete } else { Exit::Fine })
}

fn extent(names: &[String]) -> Result<Extent, CommandError> {
    if names.is_empty() || names == ["all"] {
        return Ok(Extent::All);
    }
    let slot = |name: &String| {
        name.parse::<Slot>().map_err(|error| CommandError::usage(error.to_string()).with_hint(known_names()))
    };
    Ok(Extent::Named(names.iter().map(slot).collect::<Result<BTreeSet<_>, _>>()?))
}

/// Returns what the configuration says of the tree.
fn read_intent(
    path: &Path,
    inventory: &Inventory,
    output: &mut Output,
) -> Result<ClusterIntent, CommandError> {
    let content = read(path)?;
    let file = path.display();
    let config = KubeadmConfig::parse(content.secret_bytes()).map_err(|error| {
        CommandError::failed(format!("{file}: {error}")).with_hint("nothing was made; mend the configuration")
    })?;
    for remark in config.remarks() {
        output.warning(&format!("{file}: {remark}"));
    }
    let stated = inventory.node().node_name().filter(|stated| stated.source == PathSource::Argument);
    let name = stated.map(|stated| stated.value.parse()).transpose();
    let name = name.map_err(|error| {
        CommandError::usage(format!("{error}")).with_hint("say --node-name as kubectl get nodes shows it")
    })?;
    ClusterIntent::from_config(&config, name, None).map_err(|error| {
        CommandError::failed(format!("{file}: {error}")).with_hint("nothing was made; mend the configuration")
    })
}

/// Says what is not asked for, and returns whether something is missed. What was named has to be there.
fn explain(
    wanted: &Wanted,
    extent: &Extent,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<bool, CommandError> {
    let is_named = *extent != Extent::All;
    let mut is_incomplete = false;
    for (slot, reason) in &wanted.left_out {
        if is_named || reason.is_failure() {
            output.error(&CommandError::failed(format!("{slot}: {reason}")));
            is_incomplete = true;
        } else {
            output.note(&format!("left out: {slot}: {reason}"));
        }
    }
    if wanted.certificates.is_empty() || (is_named && is_incomplete) {
        return Err(CommandError::failed("these requests cannot be made, nothing was made")
            .with_hint(known_names())
            .with_hint(format!("see what there is with: kubecerts check{}", whereabouts.options))
            .with_hint("for what is not there yet, say --config FILE with the kubeadm configuration"));
    }
    Ok(is_incomplete)
}

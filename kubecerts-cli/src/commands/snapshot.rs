//! `kubecerts snapshot`

use std::collections::BTreeSet;
use std::path::PathBuf;

use kubecerts_core::archive::{Archive, Redaction, Redactions};
use kubecerts_core::catalog::Component;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_host::archive;
use kubecerts_host::crypto::FastHalves;
use kubecerts_host::probe::Probe as _;

use super::live::RuntimeArgs;
use super::scan;
use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Take everything along that a diagnosis of this node needs, as one file without secrets.
///
/// The file is a tar with an index in JSON. Every private key in it is replaced by its public half and a digest, and tokens and
/// passwords are masked, so that it can be mailed: `kubecerts compare` and `kubecerts doctor` read it anywhere. Nothing on the node
/// is changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  kubecerts snapshot -o cp-1.tar
  kubecerts snapshot -o - | ssh me@desk 'cat > cp-1.tar'
  kubecerts compare cp-1.tar cp-2.tar cp-3.tar")]
pub(crate) struct Args {
    /// The new file, or `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Leave secrets out; this is what is done anyway.
    #[arg(long, conflicts_with = "with_keys")]
    redact: bool,

    /// Keep private keys, tokens and passwords. Whoever has the file has the cluster.
    #[arg(long)]
    with_keys: bool,

    /// Look at files only, and not at what runs.
    #[arg(long)]
    files_only: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { output: file, redact: _, with_keys, files_only, runtime, node } = args;
    let is_stream = file.as_os_str() == "-";
    if is_stream && output.is_terminal() {
        return Err(CommandError::usage("a snapshot is no text for a terminal")
            .with_hint("name a file with --output FILE, or pass it on through a pipe"));
    }
    let node = node.open()?;
    // A directory in which there is nothing of a node is a mistake.
    scan(&node)?;
    let redaction = if *with_keys { Redaction::KeepSecrets } else { Redaction::Redact };
    let mut refused = None;
    let observe = |snapshot: &Snapshot| {
        if *files_only || !node.is_this_host() {
            return Observations::none();
        }
        match runtime.plant(&node, snapshot) {
            Ok(mut plant) => {
                let components: BTreeSet<Component> =
                    Inventory::parse_with(snapshot, &FastHalves).components().collect();
                plant.observe(&components)
            }
            Err(error) => {
                let mut seen = Observations::none();
                seen.gaps.push(error.message().to_owned());
                refused = Some(error);
                seen
            }
        }
    };
    let taken = archive::take(&node, redaction, kubecerts_host::now(), observe)?;
    if is_stream {
        let written = archive::write(&taken, &mut output.stream());
        written.map_err(|error| CommandError::failed(format!("cannot write to standard output: {error}")))?;
    } else {
        archive::write_new(&taken, file)?;
    }
    summary(&taken, output);
    if let Some(error) = refused {
        output.warning(&format!("what runs was not looked at: {}", error.message()));
    }
    if taken.redaction() == Redaction::KeepSecrets {
        output.warning("it holds private keys: whoever has it has the cluster");
    } else if !is_stream {
        let file = crate::args::quoted(&file.display().to_string());
        output.hint(&format!("it holds no private key; see what it says with: kubecerts compare {file}"));
    }
    Ok(if taken.unreadable().next().is_some() { Exit::Incomplete } else { Exit::Fine })
}

/// Says what is in it, and what is not.
fn summary(taken: &Archive, output: &mut Output) {
    let provenance = taken.provenance();
    let files = taken.files().count();
    output.note(&format!("{}: {files} files, taken {}", provenance.name, provenance.taken_at));
    let seen = taken.observations();
    if !seen.sightings.is_empty() || !seen.runs.is_empty() {
        output.note(&format!("{} TLS endpoints and {} programs seen", seen.sightings.len(), seen.runs.len()));
    }
    let Redactions { keys, tokens, values, .. } = taken.redactions();
    if taken.redaction() == Redaction::Redact {
        output.note(&format!(
            "left out: {keys} private keys, {tokens} signatures of tokens, {values} other secrets"
        ));
    }
    for (path, problem) in taken.unreadable() {
        output.warning(&format!("{path} is not in it: {problem}"));
    }
}

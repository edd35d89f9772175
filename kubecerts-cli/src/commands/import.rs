//! `kubecerts import`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kubecerts_core::inventory::{ChainFact, Inventory};
use kubecerts_core::issue::external::{
    AnswerFile, Answers, Completeness, Gravity, Import, RequestKeys, RequestManifest, import_changes,
    judge_answers, manifest,
};
use kubecerts_core::plan::{Permission, check_clock, restarts};
use kubecerts_core::secret::SecretBytes;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::{Report, is_directory, make_directories, read_directory};

use super::kubelet::read;
use super::renew::write;
use super::{Consent, begin_unless_dry, mention};
use crate::args::{ChangeArgs, Form, NodeArgs, Whereabouts, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{external, text};

/// Install what an authority has answered to the requests of `kubecerts csr`.
///
/// Finds the answer to each request by its key, in PEM, DER or PKCS#7, among any text, in files of any name. Compares each with
/// what was asked for and with the authority's certificate on disk, names every difference, and then installs certificates,
/// intermediates, keys and kubeconfigs: all or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory that `kubecerts csr` made, with the keys and manifest.json.
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The answers: files, or directories of files [default: DIR itself].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    certificates: Vec<PathBuf>,

    /// Allow certificates that differ from what was asked for, in this respect.
    #[arg(long, value_name = "san|validity|algorithm", value_delimiter = ',')]
    allow_change: Vec<Permission>,

    /// Install what there is, although some requests have no answer.
    #[arg(long)]
    partial: bool,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Check everything, and write nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { directory, certificates, allow_change, partial, yes, dry_run, node } = args;
    let whereabouts = node.whereabouts();
    let manifest = read_manifest(directory)?;
    let keys = read_keys(directory, &manifest)?;
    let files = read_answers(directory, certificates, output)?;
    let files: Vec<AnswerFile<'_>> =
        files.iter().map(|(name, content)| AnswerFile { name, content: content.secret_bytes() }).collect();
    let answers = Answers::read(&files);

    let node = node.open()?;
    let change = ChangeArgs { yes: *yes, dry_run: *dry_run, output: Form::Text };
    let mut session = begin_unless_dry(&node, "import", &change, &whereabouts, output)?;
    let snapshot = node.scan()?;
    let inventory = Inventory::parse(&snapshot);
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    output.data(&external::custody(&inventory));
    let import = judge_answers(&manifest, &keys, &answers, &inventory, now);
    explain(&import, &manifest, output);
    let allowed: BTreeSet<Permission> = allow_change.iter().copied().collect();
    let completeness = if *partial { Completeness::Partial } else { Completeness::Complete };
    let changes = import_changes(&import, &manifest, &keys, &snapshot, &allowed, completeness)
        .map_err(|error| CommandError::of_import(&error, &import))?;
    let exit = if import.missing.is_empty() { Exit::Fine } else { Exit::Incomplete };
    if changes.is_empty() {
        output.note("everything is installed already, nothing was changed");
        return Ok(exit);
    }
    let written = changes.changes().iter().map(|change| change.file()).collect();
    let restarts = restarts(inventory.node(), &written);
    output.data(&external::import(&import, &changes, now));
    output.data(&text::restarts(&restarts));
    let Some(session) = &mut session else {
        output.note("dry run: every answer was checked, nothing was written");
        return Ok(exit);
    };
    Consent::of(*yes).ask("Install these certificates?", output)?;
    if let Some(root) = &whereabouts.root {
        make_directories(&changes, root)?;
    } else {
        make_directories(&changes, Path::new("/"))?;
    }
    let report = write(&changes, Purpose::new("import"), session, Form::Text, output)?;
    prove(&import, &report, &whereabouts)?;
    output.data(&external::imported(&import, &report));
    mention(&report.leftovers, output);
    if node.is_this_host() && !restarts.is_empty() {
        let options = &whereabouts.options;
        output.hint(&format!(
            "see what is in use with: kubecerts verify{options}; restart what is not: kubecerts restart{options}"
        ));
    }
    let directory = quoted(&directory.display().to_string());
    output.hint(&match exit {
        Exit::Fine => format!("the keys are in place, so remove those that are left: rm -r {directory}"),
        _ => format!("keep {directory}, which has the keys of the requests without an answer"),
    });
    Ok(exit)
}

pub(super) fn read_manifest(directory: &Path) -> Result<RequestManifest, CommandError> {
    let path = directory.join(manifest::FILE_NAME);
    let content = read(&path)?;
    RequestManifest::from_json(&String::from_utf8_lossy(content.secret_bytes()))
        .map_err(|error| CommandError::of_manifest(&error, &path))
}

/// Reads the keys that stayed. One that is not there is found missing when it is needed.
fn read_keys(directory: &Path, manifest: &RequestManifest) -> Result<RequestKeys, CommandError> {
    let mut keys = RequestKeys::default();
    for (slot, name) in RequestKeys::files(manifest) {
        if let Some(content) = kubecerts_host::read_if_there(&directory.join(name))? {
            keys.insert(slot, &content);
        }
    }
    Ok(keys)
}

/// Reads whatever may hold an answer, each with a name for people.
fn read_answers(
    directory: &Path,
    given: &[PathBuf],
    output: &mut Output,
) -> Result<Vec<(String, SecretBytes)>, CommandError> {
    let default = [directory.to_owned()];
    let mut files = Vec::new();
    for path in if given.is_empty() { &default } else { given } {
        if !is_directory(path) {
            files.push((path.display().to_string(), read(path)?));
            continue;
        }
        for file in read_directory(path)? {
            let is_ours = [".key", ".csr", manifest::FILE_NAME].iter().any(|end| file.name.ends_with(end));
            let name = path.join(&file.name).display().to_string();
            match file.content {
                _ if is_ours => {}
                Ok(content) => files.push((name, content)),
                Err(error) => output.warning(&format!("left out: {name}: {error}")),
            }
        }
    }
    Ok(files)
}

/// Says how the answers differ from what was asked for.
fn explain(import: &Import, manifest: &RequestManifest, output: &mut Output) {
    for not_read in &import.not_read {
        output.warning(&format!("{}: {}", not_read.file, not_read.damage));
    }
    for foreign in &import.foreign {
        let like = match foreign.like {
            Some(slot) => format!("; {slot} asks for this subject with another key"),
            None => String::new(),
        };
        output.warning(&format!(
            "{}: the certificate of {} belongs to no request{like}",
            foreign.file, foreign.subject
        ));
    }
    for deviation in &import.deviations {
        let line = deviation.to_string();
        match deviation.gravity {
            Gravity::Note => output.note(&line),
            Gravity::Change(permission) => {
                output.warning(&format!("{line} (--allow-change {permission})"));
            }
            _ => output.error(&CommandError::failed(line)),
        }
    }
    for slot in &import.missing {
        if let Some(record) = manifest.request(*slot) {
            output.warning(&format!("{slot}: there is no answer to {}", record.request_file()));
        }
    }
}

/// Refuses to call it done when something else is on disk.
fn prove(import: &Import, report: &Report, whereabouts: &Whereabouts) -> Result<(), CommandError> {
    for accepted in &import.accepted {
        let found = report.inventory.credential(accepted.slot);
        let is_installed = found.is_some_and(|found| {
            found.leaf() == Some(&accepted.certificate)
                && found.key_matches() == Some(true)
                && matches!(found.chain(), Some(ChainFact::Signed(_)))
        });
        if !is_installed {
            let message = format!("{} on disk is not what was written", accepted.slot);
            return Err(CommandError::failed(message).with_hint(format!(
                "somebody else may be writing to the tree; see what is there with: kubecerts check{}",
                whereabouts.options
            )));
        }
    }
    Ok(())
}

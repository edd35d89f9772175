//! `kubecerts backup`

use std::time::Duration;

use clap::Subcommand;
use kubecerts_host::Session;
use kubecerts_host::disk::RealDisk;
use kubecerts_host::disk::backup::{self, Scope};

use crate::args::{Form, NodeArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Output, plain};
use crate::render::{documents, table, text};

/// Make, list, verify and remove backups.
///
/// Every command that writes to the tree makes one of what it replaces; `kubecerts rollback` goes back to one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: BackupCommand,
}

impl Args {
    /// Returns which node is meant.
    pub(crate) const fn node(&self) -> &NodeArgs {
        match &self.command {
            BackupCommand::Create(args) => &args.node,
            BackupCommand::List(args) => &args.node,
            BackupCommand::Show(args) => &args.node,
            BackupCommand::Verify(args) => &args.node,
            BackupCommand::Prune(args) => &args.node,
        }
    }
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Copy certificates, keys and kubeconfigs, and read the copies again.
    Create(CreateArgs),
    /// List the backups, oldest first.
    List(ListArgs),
    /// Show what a backup holds.
    Show(ShowArgs),
    /// Read backups again, and compare every file with its digest; exit code 4 if one is damaged.
    Verify(VerifyArgs),
    /// Remove all backups but the latest.
    Prune(PruneArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Take everything in /etc/kubernetes, and the kubelet's certificates.
    #[arg(long)]
    full: bool,

    /// Also take a snapshot of the etcd that runs here, over its own API, and verify it.
    #[arg(long)]
    etcd: bool,

    /// Why, to be shown in the list.
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,

    /// Then remove all backups but the latest N, this one included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,

    #[command(flatten)]
    form: FormArgs,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    form: FormArgs,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The backup; by default the latest.
    #[arg(value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    form: FormArgs,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The backup; by default all of them.
    #[arg(value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// How many to keep.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct FormArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        BackupCommand::Create(args) => create(args, output),
        BackupCommand::List(args) => list(args, output),
        BackupCommand::Show(args) => show(args, output),
        BackupCommand::Verify(args) => verify(args, output),
        BackupCommand::Prune(args) => prune(args, output),
    }
}

fn create(args: &CreateArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let CreateArgs { full, etcd, reason, keep, form, node } = args;
    let node = node.open()?;
    let mut session = Session::begin(&node, "backup create")?;
    let scope = if *full { Scope::Full } else { Scope::Changed };
    let manifest = match etcd {
        true => session.back_up_with_etcd(scope, reason, ETCD_DEADLINE)?,
        false => session.back_up(scope, reason)?,
    };
    match form.output {
        Form::Text => output.data(&text::backup_made(&manifest, node.state())),
        Form::Json => output.data(&manifest.to_json()),
    }
    for skipped in &manifest.skipped {
        output.warning(&format!("left out {}: {}", skipped.path, skipped.reason));
    }
    if let Some(keep) = keep {
        remove_surplus(*keep, &mut session, output)?;
    }
    Ok(Exit::Fine)
}

fn list(args: &ListArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let ListArgs { form, node } = args;
    let node = node.open()?;
    let listed = backup::list(node.state(), &RealDisk)?;
    match form.output {
        Form::Text if listed.is_empty() => output.note(&format!("no backup in {}", node.state().path())),
        Form::Text => output.data(&table::backups(&listed)),
        Form::Json => output.data(&documents::backups(&listed).to_json()),
    }
    Ok(Exit::Fine)
}

fn show(args: &ShowArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let ShowArgs { id, form, node } = args;
    let node = node.open()?;
    let manifest = backup::find(id.as_deref(), node.state(), &RealDisk)?;
    match form.output {
        Form::Text => output.data(&table::backup(&manifest)),
        Form::Json => output.data(&manifest.to_json()),
    }
    Ok(Exit::Fine)
}

fn verify(args: &VerifyArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let VerifyArgs { id, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let state = node.state();
    let verdicts = match id {
        Some(id) => vec![(id.clone(), backup::find(Some(id), state, &RealDisk))],
        None => {
            let listed = backup::list(state, &RealDisk)?;
            listed.into_iter().map(|listed| (listed.id, listed.manifest)).collect()
        }
    };
    let mut exit = Exit::Fine;
    for (id, manifest) in verdicts {
        let problems = match manifest {
            Ok(manifest) => backup::verify(&manifest, state, &RealDisk),
            Err(error) => vec![error.to_string()],
        };
        if problems.is_empty() {
            output.data(&format!("{} is whole\n", plain(&id)));
            continue;
        }
        exit = Exit::Unusable;
        for problem in problems {
            output.error(&CommandError::failed(problem));
        }
    }
    if exit == Exit::Unusable {
        output.hint(&format!("make a new one with: kubecerts backup create{}", whereabouts.options));
    }
    Ok(exit)
}

fn prune(args: &PruneArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let PruneArgs { keep, node } = args;
    let node = node.open()?;
    let mut session = Session::begin(&node, "backup prune")?;
    remove_surplus(*keep, &mut session, output)?;
    Ok(Exit::Fine)
}

/// How long etcd may take for an answer. One that is healthy takes milliseconds; one that cannot write takes some seconds.
pub(super) const ETCD_DEADLINE: Duration = Duration::from_secs(10);

/// Removes all backups but the latest `keep`, and says which.
pub(super) fn remove_surplus(
    keep: u32,
    session: &mut Session<'_>,
    output: &mut Output,
) -> Result<(), CommandError> {
    for id in session.prune(usize::try_from(keep).unwrap_or(usize::MAX))? {
        output.note(&format!("removed backup {id}"));
    }
    Ok(())
}

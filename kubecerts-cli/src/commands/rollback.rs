//! `kubecerts rollback`

use kubecerts_core::plan::restarts;
use kubecerts_host::disk::RealDisk;
use kubecerts_host::disk::backup::{self, Difference, Restoration};
use kubecerts_host::{Event, SystemEntropy};

use super::{Consent, begin_unless_dry};
use crate::args::{ChangeArgs, Form, NodeArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{documents, text};

/// Put back the files of a backup: all of them, or none.
///
/// Shows how they differ, asks, backs up what is there now, and replaces. Components have to be restarted afterwards
/// like after a renewal.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backup, see `kubecerts backup list`; by default the latest.
    #[arg(value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { id, change, node } = args;
    let ChangeArgs { dry_run, output: form, .. } = *change;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let mut session = begin_unless_dry(&node, "rollback", change, &whereabouts, output)?;
    let snapshot = node.scan()?;
    let manifest = backup::find(id.as_deref(), node.state(), &RealDisk)?;
    let restoration = Restoration::new(manifest, node.root(), node.state(), &RealDisk)?;
    if form == Form::Text {
        output.data(&text::restoration(&restoration, kubecerts_host::now()));
    }
    for link in restoration.links() {
        output.warning(&format!("the link {link} is not as it was, and stays as it is"));
    }
    let mut done = None;
    if let Some(session) = &mut session
        && !restoration.is_empty()
    {
        Consent::of(change.yes).ask("Put these files back?", output)?;
        done = Some(session.restore(&restoration, &mut SystemEntropy::new(), &mut |event| {
            if let Event::Replaced { path } = event {
                let is_removed = restoration
                    .files()
                    .iter()
                    .any(|file| file.path == *path && file.difference == Difference::Extra);
                output.note(&format!("{} {path}", if is_removed { "removed" } else { "put back" }));
            }
        })?);
    }
    if form == Form::Json {
        output.data(&documents::restoration(&restoration, done.as_ref()).to_json());
    }
    let Some(done) = done else {
        if dry_run && !restoration.is_empty() {
            output.note("dry run: nothing was written");
        }
        return Ok(Exit::Fine);
    };
    output.note(&format!("what was there is in backup {}", done.id));
    super::mention(&done.leftovers, output);
    if form == Form::Text {
        let layout = snapshot.layout();
        let files = restoration.files().iter().filter_map(|file| layout.slot_of(&file.path)).collect();
        output.data(&text::restarts(&restarts(snapshot.node(), &files)));
    }
    output.hint(&format!("see what is in force now with: kubecerts check{}", whereabouts.options));
    Ok(Exit::Fine)
}

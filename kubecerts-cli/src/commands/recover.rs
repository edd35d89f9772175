//! `kubecerts recover-journal`

use kubecerts_host::Session;
use kubecerts_host::disk::recovery::{Interrupted, Outcome, Recovered};

use super::Consent;
use crate::args::NodeArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

/// Finish or roll back a run that was interrupted, by a crash or a loss of power.
///
/// What is done follows from the journal: a run that had prepared all its new files is finished, one that had not is
/// rolled back. Every command that writes to the tree does the same before its own work.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Neither finish nor roll back: remove temporary files, and leave every other file as it is.
    #[arg(long)]
    abandon: bool,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { yes, abandon, node } = args;
    let node = node.open()?;
    let mut session = Session::begin(&node, "recover-journal")?;
    if *abandon {
        // What cannot be recovered is what is given up; the session says what else is wrong with it.
        if matches!(session.interrupted(), Ok(None)) {
            output.note("no run was interrupted, there is nothing to give up");
            return Ok(Exit::Fine);
        }
        Consent::of(*yes).ask("Give the interrupted run up, and leave every file as it is?", output)?;
        for path in session.abandon()? {
            output.warning(&format!(
                "{path} was not removed: a link leads to another directory than the run's"
            ));
        }
        output.note("abandoned; temporary files were removed, every other file is as it was");
        return Ok(Exit::Fine);
    }
    match session.interrupted()? {
        Some(interrupted) => recover(&interrupted, &mut session, Consent::of(*yes), output)?,
        None => output.note("no run was interrupted, there is nothing to recover"),
    }
    Ok(Exit::Fine)
}

/// Says what is going to be done and why, asks, and does it.
pub(super) fn recover(
    interrupted: &Interrupted,
    session: &mut Session<'_>,
    consent: Consent,
    output: &mut Output,
) -> Result<(), CommandError> {
    output.warning(&text::interrupted(interrupted));
    let question = match interrupted.verdict().outcome() {
        Outcome::Finished => "Finish it?",
        Outcome::RolledBack | Outcome::Abandoned => "Roll it back?",
    };
    consent.ask(question, output)?;
    let Recovered { outcome, changed, .. } = session.recover(interrupted)?;
    let verb = match outcome {
        Outcome::Finished => "replaced",
        Outcome::RolledBack | Outcome::Abandoned => "put back",
    };
    for path in &changed {
        output.note(&format!("{verb} {path}"));
    }
    output.note(match outcome {
        Outcome::Finished => "finished; every file of the interrupted run is the new one",
        Outcome::RolledBack | Outcome::Abandoned => {
            "rolled back; every file of the interrupted run is the old one"
        }
    });
    Ok(())
}

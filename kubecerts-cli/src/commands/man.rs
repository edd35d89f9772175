//! `kubecerts man`

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Print a manual page, for `man -l -`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The command to describe; by default kubecerts as a whole.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let mut cli = Cli::command();
    cli.build();
    let command = match &args.command {
        None => cli,
        Some(name) => cli.find_subcommand(name).cloned().ok_or_else(|| {
            CommandError::usage(format!("there is no command {name:?}")).with_hint("see: kubecerts --help")
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| CommandError::failed(format!("the manual page cannot be made: {error}")))?;
    output.raw(&page);
    Ok(Exit::Fine)
}

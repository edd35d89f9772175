//! The `kubecerts` command: a thin front end to `kubecerts-core` and `kubecerts-host`.
//!
//! Arguments become plain data in [`args`], one file per command in [`commands`] calls the libraries, and [`render`] puts
//! the result into words. Data goes to standard output, everything else to standard error. All wording of errors
//! and hints is in [`error`], all exit codes in [`exit`].

#![forbid(unsafe_code)]

mod args;
mod commands;
mod error;
mod exit;
mod output;
mod render;
mod schema;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::args::Cli;
use crate::exit::{Exit, NagiosState};
use crate::output::Output;

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::parse_line(&line) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors, and a reader that closed the pipe is none either.
            let _ = error.print();
            return usage_exit(error.use_stderr(), line.into_iter()).into();
        }
    };
    let mut output = Output::new(cli.global.color);
    let exit = match commands::run(cli.command, &mut output) {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            error.exit()
        }
    };
    output.finish(exit).into()
}

/// Returns how a command line ends that is not run.
///
/// To Nagios, 2 is a critical state of the tree. A line that was to end in its codes says instead that no look was
/// possible.
fn usage_exit(is_error: bool, mut arguments: impl Iterator<Item = OsString>) -> Exit {
    if !is_error {
        return Exit::Fine;
    }
    let for_nagios = arguments.any(|argument| argument == "nagios" || argument == "--exit-code=nagios");
    if for_nagios { Exit::Nagios(NagiosState::Unknown) } else { Exit::Usage }
}

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

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors, and a reader that closed the pipe is none either.
            let _ = error.print();
            return if error.use_stderr() { exit::Exit::Usage.into() } else { exit::Exit::Fine.into() };
        }
    };
    let mut output = Output::new(cli.color);
    let exit = match commands::run(cli.command, &mut output) {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            error.exit()
        }
    };
    output.finish(exit).into()
}

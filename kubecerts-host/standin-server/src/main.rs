//! A stand-in for a program of the control plane, as a container runs it: see the library.
//!
//! `standin-server pause` only waits for its end, as the pause container does.

use std::future::poll_fn;
use std::path::Path;
use std::process::ExitCode;
use std::task::Poll;

use kubecerts_standin_server::{Command, StandIn};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    match run(std::env::args().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Runs what `arguments` say until a signal ends it.
fn run(arguments: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // The first process of a container gets only those signals that it asks for: ask before there is anything to end.
    let signals = {
        let _context = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
    };
    let _component = match arguments.iter().take(2).any(|name| Path::new(name).ends_with("pause")) {
        true => None,
        false => Some(StandIn::start(&Command::parse(arguments)?)?),
    };
    runtime.block_on(first(signals));
    Ok(())
}

/// Waits for the first of two signals.
async fn first([mut one, mut other]: [Signal; 2]) {
    poll_fn(|context| match one.poll_recv(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => other.poll_recv(context).map(drop),
    })
    .await;
}

#[expect(clippy::print_stderr, reason = "the log of a container is its stderr")]
fn report(error: &dyn std::error::Error) {
    eprintln!("{error}");
}

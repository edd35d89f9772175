//! `kubecerts bench`

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::crypto::Threads;
use kubecerts_host::measure::{MeasureRequest, measure};

use crate::args::{Form, threads};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::measured;

/// Measure how many keys, signatures and certificates this machine makes in a second, and say how long jobs take.
///
/// Needs no cluster and no root rights, and writes nothing: the authority that signs exists in memory only. A certificate has six
/// names, its signature is verified, and its key is given. Figures are true for a machine that has nothing else to do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  kubecerts bench
  kubecerts bench --seconds 60 --algorithm RSA-2048
  kubecerts bench -o json | jq '.estimates[] | select(.provider == \"host\")'")]
pub(crate) struct Args {
    /// How long to measure, in seconds.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,

    /// How many threads are all threads, up to 1024 [default: as many as may run at the same time here].
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<Threads>,

    /// The algorithms of the keys: RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384 [default: ECDSA-P256, ECDSA-P384 and RSA-2048].
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',')]
    algorithm: Vec<KeyAlgorithm>,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { seconds, threads, algorithm, output: form } = args;
    let mut request = MeasureRequest::default();
    request.span = Duration::from_secs((*seconds).into());
    if let Some(threads) = threads {
        request.threads = *threads;
    }
    if !algorithm.is_empty() {
        request.algorithms = algorithm.iter().copied().collect();
    }
    output.note(&format!("measuring for about {seconds} s"));
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed"));
    line.enable_steady_tick(Duration::from_millis(100));
    let measurements = measure(&request, &mut |next| line.set_message(measured::progress(next)));
    line.finish_and_clear();
    let measurements = measurements?;
    if measurements.is_disturbed() {
        let share = 100.0 * measurements.processor_share();
        output.warning(&format!(
            "the threads had a processor in {share:.0} % of their time only, so the figures are too low"
        ));
        output.hint("stop what else runs here, or name fewer --threads");
    }
    match form {
        Form::Text => output.data(&measured::text(&measurements)),
        Form::Json => output.data(&measured::document(&measurements).to_json()),
    }
    Ok(Exit::Fine)
}

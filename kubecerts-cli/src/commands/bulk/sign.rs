//! `kubecerts bulk sign`

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::bulk::{BulkAuthority, BulkTerms};
use kubecerts_core::issue::sign::SigningProfile;
use kubecerts_core::plan::{PlanRequest, check_clock};
use kubecerts_core::time::Seconds;
use kubecerts_host::bulk::{
    BulkIssuer, BulkRequest, Cancel, CertificateDirectory, DirectorySink, End, InputError, Leftover,
    OutputFile, Progress, RequestDirectory, Shard, Sink, StreamForm, StreamSink, Totals, of_shard,
    requests_in, requests_of,
};
use kubecerts_host::crypto::{Provider, Threads};
use kubecerts_host::{SummaryFile, is_directory};

use super::{OnErrorArg, PartArgs};
use crate::args::{NodeArgs, threads};
use crate::commands::kubelet::is_stream;
use crate::commands::sign::authority;
use crate::commands::{scan, state_lifetimes};
use crate::error::{CommandError, Rest};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::bulk::{self, Positions, Refused};
use crate::render::text::counted;

/// Sign certificate requests by the thousand, with an authority whose key is here.
///
/// The rules are those of `kubecerts sign`: a request that breaks them is refused, and every signature is verified. The certificates
/// come in the order of the requests, and none is ever half there: a run that was killed goes on with --resume.
///
/// Requests are files NAME.csr, or a stream of PEM, or of JSON lines: {"csr": PEM or base64, "name": any text}. Certificates are files
/// NAME.crt, or PEM, or JSON lines: {"position": 1, "name": any text, "certificate": PEM}.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory with the requests, or `-` for a stream on standard input.
    #[arg(long, value_name = "DIR")]
    csr_dir: PathBuf,

    /// The authority that signs: ca, etcd-ca or front-proxy-ca.
    #[arg(long, value_name = "NAME", value_parser = authority)]
    ca: CaSlot,

    /// What the requests are for: a name of kubeadm (apiserver, admin.conf …) or a signer (kubernetes.io/kubelet-serving …).
    #[arg(long, value_name = "NAME")]
    profile: SigningProfile,

    /// The directory for the certificates of a directory, the new file for those of a stream, or `-` for standard output
    /// [default: DIR itself, or standard output].
    #[arg(long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,

    /// The form of a stream of certificates; from a directory too they go into one then [default: that of the requests].
    #[arg(long, value_enum)]
    format: Option<FormatArg>,

    /// How long the certificates are valid, never beyond the authority [default: as in the policy file, else 365d].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// On how many threads to work, up to 1024 [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<Threads>,

    #[command(flatten)]
    part: PartArgs,

    /// Go on where a run was interrupted: certificates that are there and right are not made again, and what is cut off is.
    #[arg(long)]
    resume: bool,

    /// What to do when a request is refused.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "skip")]
    on_error: OnErrorArg,

    /// Write a summary in JSON to a new file, or to standard output for `-`; with --resume that of the last run, and nothing else, is
    /// replaced.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// The form of a stream of certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FormatArg {
    /// PEM blocks.
    Pem,
    /// A JSON object on each line.
    Jsonl,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { csr_dir, ca, profile, out, format, validity, policy, .. } = args;
    let shard = args.part.shard()?;
    let summary = check_places(args)?;

    let whereabouts = args.node.whereabouts();
    let node = args.node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let mut usual = PlanRequest::for_node(inventory.node());
    state_lifetimes(policy.as_deref(), *validity, &node, &mut usual)?;
    let lifetime = validity.unwrap_or_else(|| profile.lifetime(&usual));
    let authority = BulkAuthority::from_snapshot(&snapshot, *ca, now)
        .map_err(|error| CommandError::of_signing(error, *ca).at(&whereabouts))?;
    let threads = args.threads.unwrap_or_else(Threads::available);
    // A run that nobody can tell to end can still be killed.
    let cancel = Cancel::on_signals().unwrap_or_default();
    let issuer = BulkIssuer::new(&authority, BulkTerms { profile: *profile, lifetime, now })
        .with_threads(threads)
        .with_cancel(&cancel)
        .with_on_error(args.on_error.into());
    let job = Job { args, issuer, shard, summary };

    let form = format.map(|format| match format {
        FormatArg::Pem => StreamForm::Pem,
        FormatArg::Jsonl => StreamForm::JsonLines,
    });
    let (told, totals) = if is_stream(csr_dir) {
        let stdin = cancel.standard_input();
        let stdin = stdin.map_err(|error| CommandError::of_input(&InputError::Read(error.to_string())))?;
        let requests = requests_of(BufReader::with_capacity(1 << 16, stdin));
        let requests = requests.map_err(|error| CommandError::of_input(&error))?;
        let form = form.unwrap_or(requests.form());
        job.sign_to_stream(of_shard(requests, shard), form, None, output)?
    } else {
        let requests = RequestDirectory::list(csr_dir).map_err(|error| {
            CommandError::from(error).with_hint("name a directory, or `-` for standard input")
        })?;
        let total = shard.map_or(requests.count(), |shard| shard.share_of(requests.count()));
        let is_one_stream = form.is_some() || out.as_deref().is_some_and(is_stream);
        if is_one_stream {
            let form = form.unwrap_or(StreamForm::Pem);
            job.sign_to_stream(of_shard(requests_in(&requests, None), shard), form, Some(total), output)?
        } else {
            job.sign_to_directory(&requests, total, output)?
        }
    };
    job.tell(&told, &totals, output)
}

/// A run, whatever it reads and writes.
struct Job<'a> {
    args: &'a Args,
    issuer: BulkIssuer<'a>,
    shard: Option<Shard>,
    summary: Option<Summary>,
}

/// Where the summary goes.
enum Summary {
    Stdout,
    File(SummaryFile),
}

/// What was told of single requests.
#[derive(Default)]
struct Told {
    refused: Vec<Refused>,
    positions: Positions,
    notes: BTreeMap<String, u64>,
}

impl<'a> Job<'a> {
    fn sign_to_stream<I>(
        &self,
        requests: I,
        form: StreamForm,
        total: Option<u64>,
        output: &mut Output,
    ) -> Result<(Told, Totals), CommandError>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>> + Send,
    {
        let path = self.args.out.as_deref().unwrap_or(Path::new("-"));
        if is_stream(path) {
            let sink = StreamSink::into_stream(output.stream(), "standard output", form);
            return self.work(requests, total, &sink, output);
        }
        let cannot = |error| CommandError::of_bulk_file(path, &error);
        let (sink, done);
        if self.args.resume {
            let file = OutputFile::resume(path).map_err(cannot)?;
            let leftover = Leftover::of(&file, form, self.args.profile).map_err(cannot)?;
            sink = StreamSink::into_file(file, form);
            done = self.work(leftover.beside(requests), total, &sink, output)?;
        } else {
            sink = StreamSink::into_file(OutputFile::create(path).map_err(cannot)?, form);
            done = self.work(requests, total, &sink, output)?;
        }
        if done.1.requests == 0 && self.shard.is_none() {
            // It would only stand in the way of the run that has requests.
            sink.remove_new().map_err(cannot)?;
        }
        Ok(done)
    }

    fn sign_to_directory(
        &self,
        requests: &RequestDirectory,
        total: u64,
        output: &mut Output,
    ) -> Result<(Told, Totals), CommandError> {
        let path = self.args.out.as_deref().unwrap_or(&self.args.csr_dir);
        let directory = CertificateDirectory::open(path)?;
        let sink =
            DirectorySink::new(&directory, self.shard).map_err(|error| CommandError::of_part(path, error))?;
        if self.args.resume {
            let requests = of_shard(requests_in(requests, Some(&directory)), self.shard);
            return self.work(requests, Some(total), &sink.claim()?, output);
        }
        if let Some(taken) = directory.first_taken(requests, self.shard)? {
            return Err(CommandError::refused(format!(
                "{} exists already, no request was signed",
                taken.display()
            ))
            .with_hint("go on where a run was interrupted with --resume")
            .with_hint("or name another directory with --out DIR"));
        }
        self.work(of_shard(requests_in(requests, None), self.shard), Some(total), &sink, output)
    }

    fn work<I, K>(
        &self,
        requests: I,
        total: Option<u64>,
        sink: &K,
        output: &mut Output,
    ) -> Result<(Told, Totals), CommandError>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>> + Send,
        K: Sink,
    {
        let bar = bar(total);
        let mut told = Told::default();
        let mut count = 0;
        let mut observer = |progress: Progress<'_>| match progress {
            Progress::Refused { position, name, refusal } => {
                count += 1;
                told.positions.add(position);
                if count <= MOST_TOLD {
                    let name = name.map(str::to_owned);
                    let refused = Refused { position, name, reason: refusal.to_string() };
                    bar.suspend(|| output.error(&CommandError::refused(refused.to_string())));
                    told.refused.push(refused);
                }
            }
            Progress::Noted { note, .. } => {
                let text = note.to_string();
                if told.notes.len() < MOST_TOLD || told.notes.contains_key(&text) {
                    *told.notes.entry(text).or_default() += 1;
                }
            }
            Progress::Done { done, .. } => bar.set_position(done),
            _ => {}
        };
        // Each of the issuer's threads signs for itself, so that the provider needs no more than one.
        let provider = Provider::new(Threads::ONE);
        let totals = self.issuer.run(requests, &provider, sink, &mut observer);
        bar.finish_and_clear();
        let totals = totals.map_err(|refusal| {
            CommandError::of_refusal(&refusal, self.args.ca.name())
                .with_hint("the profile says which authority signs: see --ca, --profile and --validity")
        })?;
        Ok((told, totals))
    }

    /// Says how the run ended.
    fn tell(&self, told: &Told, totals: &Totals, output: &mut Output) -> Result<Exit, CommandError> {
        let surplus = totals.refused.saturating_sub(told.refused.len() as u64);
        if surplus > 0 {
            output.error(&CommandError::refused(format!("{surplus} more requests were refused")));
            if self.summary.is_none() {
                output.hint("with --summary FILE a run lists the positions of all");
            }
        }
        for (note, count) in &told.notes {
            output.warning(&format!(
                "{}: {note}",
                counted(usize::try_from(*count).unwrap_or(usize::MAX), "certificate")
            ));
        }
        output.note(&bulk::told(totals));
        let end = self.tell_end(totals, output);
        // What became of the requests is told first, and is not lost when the summary has no place any more.
        let written = self.write_summary(told, totals, output);
        match (end, written) {
            (end, Ok(())) => end,
            (Ok(exit), Err(error)) => {
                let error = error.with_hint("the certificates are there");
                if exit == Exit::Fine {
                    return Err(error);
                }
                output.error(&error);
                Ok(exit)
            }
            (Err(stopped), Err(error)) => {
                output.error(&error);
                Err(stopped)
            }
        }
    }

    fn tell_end(&self, totals: &Totals, output: &mut Output) -> Result<Exit, CommandError> {
        let is_cut_short = match &totals.end {
            Err(stopped) => return Err(CommandError::of_stopped(stopped, self.rest())),
            Ok(End::Cancelled) => {
                return Err(CommandError::of_interruption(totals.requests, self.rest()));
            }
            Ok(end) => *end == End::Refused,
        };
        if is_cut_short {
            output.hint(&format!(
                "what was asked for before it is done; mend it and {}",
                match self.rest() {
                    Rest::Resumable => "go on with --resume",
                    Rest::New => "ask for it and what comes after it again",
                }
            ));
        }
        if totals.requests == 0 && self.shard.is_none() {
            return Err(CommandError::failed("there is no request").with_hint(
                "a directory has files NAME.csr, standard input PEM blocks or JSON lines such as {\"csr\": …}",
            ));
        }
        if totals.refused > 0 {
            output.hint("`kubecerts inspect CSR` says what a request asks for");
        }
        Ok(if totals.refused > 0 || is_cut_short { Exit::Incomplete } else { Exit::Fine })
    }

    fn write_summary(&self, told: &Told, totals: &Totals, output: &mut Output) -> Result<(), CommandError> {
        let Some(place) = &self.summary else { return Ok(()) };
        let of = bulk::Of {
            ca: self.args.ca,
            profile: self.args.profile,
            algorithm: self.issuer.algorithm(),
            shard: self.shard,
            at: kubecerts_host::now(),
        };
        let summary = format!("{:#}\n", bulk::summary(&of, totals, &told.refused, &told.positions));
        match place {
            Summary::Stdout => {
                output.data(&summary);
                Ok(())
            }
            Summary::File(file) => file.write(&summary).map_err(|error| CommandError::of_summary(&error)),
        }
    }

    /// Returns how what is not done can be done.
    fn rest(&self) -> Rest {
        if goes_to_stdout(self.args) { Rest::New } else { Rest::Resumable }
    }
}

/// Returns whether the certificates go to standard output.
fn goes_to_stdout(args: &Args) -> bool {
    let Args { csr_dir, out, format, .. } = args;
    match out {
        Some(out) => is_stream(out),
        None => is_stream(csr_dir) || format.is_some(),
    }
}

/// Refuses places that exclude each other, before anything is read, and returns that of the summary.
fn check_places(args: &Args) -> Result<Option<Summary>, CommandError> {
    let Args { csr_dir, out, format, summary, resume, .. } = args;
    let is_from_stream = is_stream(csr_dir);
    let is_into_stdout = goes_to_stdout(args);
    if summary.as_deref().is_some_and(is_stream) && is_into_stdout {
        return Err(CommandError::usage("certificates and summary cannot both go to standard output")
            .with_hint("name a file for one of them: --out FILE, or --summary FILE"));
    }
    if *resume && is_into_stdout {
        return Err(CommandError::usage("what went to standard output cannot be taken up again")
            .with_hint("name the file or the directory that the interrupted run wrote to: --out FILE"));
    }
    if let Some(out) = out
        && (is_from_stream || format.is_some())
        && is_directory(out)
    {
        return Err(CommandError::usage(format!(
            "{} is a directory, and a stream goes into one file",
            out.display()
        ))
        .with_hint("name a new file with --out FILE"));
    }
    let Some(path) = summary else { return Ok(None) };
    if is_stream(path) {
        return Ok(Some(Summary::Stdout));
    }
    let output = out.as_deref().filter(|out| !is_stream(out));
    let file = SummaryFile::check(path, bulk::KIND, *resume, output);
    file.map(|file| Some(Summary::File(file))).map_err(|error| CommandError::of_summary(&error))
}

/// A bar with rate and time left, on a terminal.
fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{bar:30} {human_pos}/{human_len} {per_sec:>12} {eta} left",
        None => "{spinner} {human_pos} {per_sec:>12}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(4)).with_style(style)
}

/// So many refusals are told one by one; the others are counted.
const MOST_TOLD: usize = 100;

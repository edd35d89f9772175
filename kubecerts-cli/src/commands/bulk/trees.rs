//! `kubecerts bulk trees`

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::catalog::DnsLabel;
use kubecerts_host::crypto::Threads;
use kubecerts_host::trees::{
    Cancel, Clusters, Destination, Shard, TreeForm, TreesError, TreesEvent, TreesRequest, TreesSummary,
    make_trees,
};
use kubecerts_host::{Node, NodeOptions, SummaryFile, read_policy};

use super::{OnErrorArg, PartArgs};
use crate::args::{quoted, threads};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::trees as render;

/// Make the files of many new control planes: every certificate, key and kubeconfig that `kubeadm init` would make of each.
///
/// A cluster is a line of JSON with a name and its kubeadm configuration: {"name": "tenant-a", "config": {…}}, where the configuration
/// is a document, a list of documents or the text of a file. A cluster is there whole or not at all. The output holds private keys
/// that nothing encrypts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The list of clusters, one line of JSON each; - for standard input.
    #[arg(long, value_name = "FILE")]
    clusters: PathBuf,

    /// Where they go: a directory, each cluster to DIR/NAME; a new file that ends with .tar, or with .yaml for Secrets; or - for
    /// standard output.
    #[arg(long, value_name = "DIR|FILE|-")]
    out: PathBuf,

    /// What is made of each cluster.
    #[arg(long, value_enum, value_name = "FORM", default_value = "files")]
    format: FormatArg,

    /// The namespace of the Secrets [default: that of whoever applies them].
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<DnsLabel>,

    /// The policy file, which says how long certificates are valid before each configuration does
    /// [default: /etc/kubecerts/policy.toml of this machine].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// How many threads work at the same time, up to 1024 [default: all processors].
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<Threads>,

    #[command(flatten)]
    part: PartArgs,

    /// Leave what is there already and right as it is; only with files in a directory. What is there and not right is an error.
    #[arg(long)]
    resume: bool,

    /// What a cluster that cannot be made means for the others.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "skip")]
    on_error: OnErrorArg,

    /// Write a summary in JSON to this new file, also when the run fails; - for standard output. With --resume it may replace
    /// that of a run before.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

/// What is made of a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FormatArg {
    /// The files as `kubeadm init` lays them out.
    Files,
    /// One Secret NAME-kubeadm-certs with every file, by kubeadm's names such as etcd-ca.crt.
    Secrets,
    /// The Secrets of Cluster API: NAME-ca, NAME-etcd, NAME-proxy, NAME-sa and NAME-kubeconfig.
    ClusterApi,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let mut request = args.request()?;
    let is_stream = args.out == Path::new("-");
    args.refuse_what_does_not_go_together(is_stream, output)?;
    let file = args.summary_file(is_stream)?;
    // A run that nobody can tell to end can still be killed.
    request.cancel = Cancel::on_signals().unwrap_or_default();
    let mut stdout = output.stream();
    let destination = match is_stream {
        true => Destination::stream(&mut stdout, args.format.into()),
        false => Destination::at(&args.out, args.format.into())?,
    };
    let is_collection = !destination.has_one_place_each();
    let clusters = match args.clusters == Path::new("-") {
        true => Clusters::from_standard_input(&request.cancel)?,
        false => Clusters::open(&args.clusters)?,
    };
    let progress = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let mut told = Told { list: args.clusters.display().to_string(), progress, summary: None, output };
    let made = make_trees(clusters, destination, &request, &mut |event| told.take(&event));
    told.progress.finish_and_clear();
    let written = told.summary.map_or(Ok(()), |summary| {
        args.tell(&summary, request.shard, made.as_ref().err(), file.as_ref(), output)
    });
    let summary = match (made, written) {
        (Ok(summary), written) if summary.cancelled => {
            if let Err(unwritten) = written {
                output.error(&unwritten);
            }
            let next = args.next_after_interruption(is_stream, is_collection);
            return Err(CommandError::of_interrupted_trees(&summary, next));
        }
        (Ok(summary), Ok(())) => summary,
        (Ok(_), Err(error)) => return Err(error),
        (Err(error), written) => {
            if let Err(unwritten) = written {
                output.error(&unwritten);
            }
            return Err(error.into());
        }
    };
    if summary.failed == 0 {
        return Ok(Exit::Fine);
    }
    output.hint(args.next(summary.stopped, is_collection));
    Ok(Exit::Incomplete)
}

impl Args {
    fn request(&self) -> Result<TreesRequest, CommandError> {
        let mut request = TreesRequest::default();
        if let Some(threads) = self.threads {
            request.threads = threads;
        }
        request.shard = self.part.shard()?;
        request.resume = self.resume;
        request.on_error = self.on_error.into();
        request.namespace.clone_from(&self.namespace);
        let mut machine = NodeOptions::default();
        machine.is_new = true;
        request.policy = read_policy(self.policy.as_deref(), &Node::open(machine)?)?;
        Ok(request)
    }

    fn refuse_what_does_not_go_together(&self, is_stream: bool, output: &Output) -> Result<(), CommandError> {
        if is_stream && output.is_terminal() {
            return Err(CommandError::usage(
                "standard output is a terminal, and the trees hold private keys",
            )
            .with_hint(
                "name a directory or a file with --out, or send it on: kubecerts bulk trees … --out - | …",
            ));
        }
        if is_stream && self.summary.as_deref() == Some(Path::new("-")) {
            return Err(CommandError::usage("the trees and the summary cannot both go to standard output")
                .with_hint("name a file with --out or with --summary"));
        }
        if self.namespace.is_some() && self.format == FormatArg::Files {
            return Err(CommandError::usage("--namespace is about Secrets, and files are asked for")
                .with_hint("ask for Secrets with: --format secrets, or --format cluster-api"));
        }
        if self.resume && self.format != FormatArg::Files {
            return Err(CommandError::usage("--resume is about files in a directory, and Secrets are asked for")
                .with_hint("make the Secrets that are missing of a list with only their clusters, into the same directory"));
        }
        Ok(())
    }

    /// Looks at the place of the summary, before anything is made.
    fn summary_file(&self, is_stream: bool) -> Result<Option<SummaryFile>, CommandError> {
        let file = self.summary.as_deref().filter(|path| *path != Path::new("-"));
        let out = (!is_stream).then_some(self.out.as_path());
        let checked = file.map(|path| SummaryFile::check(path, render::KIND, self.resume, out));
        checked.transpose().map_err(|error| CommandError::of_summary(&error))
    }

    /// Says how far it came, and writes it down; `problem` ended the run before its time, if one did.
    fn tell(
        &self,
        summary: &TreesSummary,
        shard: Option<Shard>,
        problem: Option<&TreesError>,
        file: Option<&SummaryFile>,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        output.note(&render::told(summary));
        if summary.made > 0 && self.out != Path::new("-") {
            output.hint(&format!(
                "{} holds private keys that nothing encrypts: keep it where nobody reads along, and remove what is left on the way",
                quoted(&self.out.display().to_string())
            ));
        }
        if self.summary.is_none() {
            return Ok(());
        }
        let document = render::summary(summary, shard, problem, kubecerts_host::now()).to_json();
        match file {
            Some(file) => file.write(&document).map_err(|error| CommandError::of_summary(&error))?,
            None => output.data(&document),
        }
        Ok(())
    }

    /// Returns what to do about clusters that could not be made.
    fn next(&self, stopped: bool, is_collection: bool) -> &'static str {
        match (stopped, is_collection, self.format) {
            (true, _, _) => "the run stopped there; leave out what cannot be made with: --on-error skip",
            (false, true, _) => {
                "mend these lines, and make them, or the whole list again, with another --out"
            }
            (false, false, FormatArg::Files) => {
                "mend these lines; what is made is kept when the same command is run again with: --resume"
            }
            (false, false, FormatArg::Secrets | FormatArg::ClusterApi) => {
                "mend these lines, and make them from a list of their own into the same directory"
            }
        }
    }

    /// Returns what to do about clusters that were not made because the run was ended.
    const fn next_after_interruption(&self, is_stream: bool, is_collection: bool) -> &'static str {
        match (is_stream, is_collection, self.format) {
            (true, _, _) => "what came out has no end, and is of no use; run the same command again",
            (false, true, _) => "nothing is left of the file; run the same command again",
            (false, false, FormatArg::Files) => {
                "every cluster that is there is whole; go on with the same command and --resume"
            }
            (false, false, FormatArg::Secrets | FormatArg::ClusterApi) => {
                "every file that is there is whole; make the others from a list of their own into the same directory"
            }
        }
    }
}

impl From<FormatArg> for TreeForm {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Files => Self::Files,
            FormatArg::Secrets => Self::Secrets,
            FormatArg::ClusterApi => Self::ClusterApi,
        }
    }
}

/// Tells what is going on.
struct Told<'o> {
    list: String,
    progress: ProgressBar,
    /// How far the run came, once it is over.
    summary: Option<TreesSummary>,
    output: &'o mut Output,
}

impl Told<'_> {
    fn take(&mut self, event: &TreesEvent<'_>) {
        match event {
            TreesEvent::Begun(total) => {
                let template = match total {
                    Some(total) => {
                        self.progress.set_length(*total);
                        "{bar:30} {pos}/{len} clusters, {per_sec}, {eta} left"
                    }
                    None => "{spinner} {pos} clusters, {per_sec}",
                };
                let style = ProgressStyle::with_template(template).expect("the template is well-formed");
                self.progress.set_style(style);
            }
            TreesEvent::Removed(path) => {
                self.say(|output| {
                    output
                        .note(&format!("{} was left by an interrupted run, and is removed", path.display()));
                });
            }
            TreesEvent::Remark { line, name, remark, .. } => {
                let text = format!("{}, line {line} ({name}): the configuration: {remark}", self.list);
                self.say(|output| output.warning(&text));
            }
            TreesEvent::Made { .. } | TreesEvent::Kept { .. } => self.progress.inc(1),
            TreesEvent::Failed(failure) => {
                self.progress.inc(1);
                let error = CommandError::of_cluster(failure, &self.list);
                self.say(|output| output.error(&error));
            }
            TreesEvent::Ended(summary) => self.summary = Some(**summary),
            _ => {}
        }
    }

    /// Says something while the bar is out of the way.
    fn say(&mut self, what: impl FnOnce(&mut Output)) {
        let Self { progress, output, .. } = self;
        progress.suspend(|| what(output));
    }
}

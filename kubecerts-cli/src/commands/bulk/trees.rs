//! `kubecerts bulk trees`

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::catalog::DnsLabel;
use kubecerts_host::crypto::Threads;
use kubecerts_host::trees::{
    Clusters, Destination, TreeForm, TreesEvent, TreesRequest, TreesSummary, make_trees,
};
use serde_json::json;

use super::{OnErrorArg, PartArgs};
use crate::args::quoted;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

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

    /// How many threads work at the same time [default: all processors].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    #[command(flatten)]
    part: PartArgs,

    /// Leave what is there already and right as it is; only with files in a directory. What is there and not right is an error.
    #[arg(long)]
    resume: bool,

    /// What a cluster that cannot be made means for the others.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "skip")]
    on_error: OnErrorArg,

    /// Write a summary in JSON to this new file; - for standard output.
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
    let request = args.request()?;
    let is_stream = args.out == Path::new("-");
    args.refuse_what_does_not_go_together(is_stream, output)?;
    let mut stdout = output.stream();
    let destination = match is_stream {
        true => Destination::stream(&mut stdout, args.format.into()),
        false => Destination::at(&args.out, args.format.into())?,
    };
    let clusters = match args.clusters == Path::new("-") {
        true => Clusters::from_stream(std::io::stdin()),
        false => Clusters::open(&args.clusters)?,
    };
    let progress = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let mut told = Told { list: args.clusters.display().to_string(), progress, output };
    let summary = make_trees(clusters, destination, &request, &mut |event| told.take(&event));
    told.progress.finish_and_clear();
    let summary = summary?;
    args.tell(&summary, output)
}

impl Args {
    fn request(&self) -> Result<TreesRequest, CommandError> {
        let mut request = TreesRequest::default();
        if let Some(threads) = self.threads {
            request.threads = Threads::new(threads);
        }
        request.shard = self.part.shard()?;
        request.resume = self.resume;
        request.on_error = self.on_error.into();
        request.namespace.clone_from(&self.namespace);
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

    /// Says how it ended.
    fn tell(&self, summary: &TreesSummary, output: &mut Output) -> Result<Exit, CommandError> {
        if let Some(file) = &self.summary {
            let text = format!("{:#}\n", document(summary));
            match file == Path::new("-") {
                true => output.data(&text),
                false => kubecerts_host::write_new_file(file, text.as_bytes())?,
            }
        }
        let number = |count: u64, thing| text::counted(usize::try_from(count).unwrap_or(usize::MAX), thing);
        let TreesSummary { made, kept, failed, stopped, certificates, elapsed, .. } = summary;
        let mut line = format!(
            "{} made with {} in {:.1} s",
            number(*made, "cluster"),
            number(*certificates, "certificate"),
            elapsed.as_secs_f64()
        );
        if *kept > 0 {
            line.push_str(&format!(", {kept} kept"));
        }
        if *failed > 0 {
            line.push_str(&format!(", {failed} failed"));
        }
        output.note(&line);
        if *made > 0 && self.out != Path::new("-") {
            output.hint(&format!(
                "{} holds private keys that nothing encrypts: keep it where nobody reads along, and remove what is left on the way",
                quoted(&self.out.display().to_string())
            ));
        }
        if *failed == 0 {
            return Ok(Exit::Fine);
        }
        output.hint(match stopped {
            true => "the run stopped there; leave out what cannot be made with: --on-error skip",
            false => {
                "mend these lines; what is made is kept when the same command is run again with: --resume"
            }
        });
        Ok(Exit::Incomplete)
    }
}

/// Returns the summary as a document.
fn document(summary: &TreesSummary) -> serde_json::Value {
    let TreesSummary { made, kept, failed, stopped, files, certificates, elapsed, .. } = *summary;
    let seconds = elapsed.as_secs_f64();
    // Figures for people and dashboards, of three digits after the point.
    let rate = |count: u64| (count as f64 / seconds.max(0.001) * 1000.0).round() / 1000.0;
    json!({
        "apiVersion": "kubecerts.dev/v1",
        "kind": "BulkTreesSummary",
        "clusters": { "made": made, "kept": kept, "failed": failed },
        "stopped": stopped,
        "files": files,
        "certificates": certificates,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "clustersPerSecond": rate(made),
        "certificatesPerSecond": rate(certificates),
    })
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
            _ => {}
        }
    }

    /// Says something while the bar is out of the way.
    fn say(&mut self, what: impl FnOnce(&mut Output)) {
        let Self { progress, output, .. } = self;
        progress.suspend(|| what(output));
    }
}

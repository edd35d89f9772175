//! `kubecerts explain`

use std::io::IsTerminal;
use std::path::PathBuf;

use kubecerts_core::diagnosis::Impact;
use kubecerts_core::explain::Explainer;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::time::Timestamp;
use kubecerts_host::crypto::FastHalves;
use kubecerts_host::{explain_file, explain_lines};

use crate::args::{Form, NodeArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::explanation;
use crate::render::text::counted;

/// Say which certificate the lines of a log are about, who presents it, and what to do.
///
/// Takes lines of kube-apiserver, etcd, controller-manager, scheduler, kubelet, containerd, kubectl, kubeadm, OpenSSL and curl, with what
/// journald, container runtimes and `kubectl logs --prefix` put before them. Serial numbers, key identifiers, names, addresses and times
/// lead to a certificate of this node, to a copy of it, or to one that is elsewhere. Repeats are counted; a log may be of any size.
///
/// Without a tree on this machine the lines are explained all the same. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubecerts explain 'x509: certificate signed by unknown authority'
  journalctl -u kubelet --since today | kubecerts explain -
  kubecerts explain --file /var/log/containers/kube-apiserver-cp-1_kube-system_kube-apiserver-0123.log")]
pub(crate) struct Args {
    /// A line of a log, in quotation marks; or `-` for standard input.
    #[arg(value_name = "LINE")]
    lines: Vec<String>,

    /// A log, or `-` for standard input; may be repeated. Its name may tell whose log it is.
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// Judge as of this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { lines, file, output: form, at, node } = args;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let inventory = Inventory::parse_with(&node.scan_around()?, &FastHalves);
    let mut explainer = Explainer::new();
    let unread = read(lines, file, &mut explainer)?;
    let now = at.unwrap_or_else(kubecerts_host::now);
    let report = explainer.finish(&inventory, now);
    match form {
        Form::Text => output.data(&explanation::text(&report, &inventory, &whereabouts)),
        Form::Json => output.data(&explanation::document(&report, &inventory, now, &whereabouts).to_json()),
    }
    if !report.has_tree {
        output.warning("there is no tree on this machine, so nothing could be looked up");
        output.hint("run it on a control-plane node, or say where the files are with --rootfs");
    }
    if report.explanations.is_empty() && report.unknown == 0 {
        output.note(&format!("nothing about certificates is wrong in {}", lines_of(report.lines)));
    }
    if report.unknown > 0 {
        output.warning(&format!(
            "{} about certificates say something that is not known here, such as:",
            lines_of(report.unknown)
        ));
        for sample in &report.unknown_samples {
            output.note(&format!("  {sample}"));
        }
    }
    if report.cut > 0 {
        output.note(&format!("{} longer than 64 KiB, of which the rest was not read", lines_of(report.cut)));
    }
    if report.crowded > 0 {
        output.note(&format!(
            "so many lines differed that {} were counted without what is particular to them",
            report.crowded
        ));
    }
    let mut impact = report.impact();
    for error in unread {
        let error = error.at(&whereabouts);
        output.warning(&format!("{}; what is told is of what could be read", error.message()));
        error.hints().for_each(|hint| output.hint(hint));
        impact = impact.max(Impact::Incomplete);
    }
    Ok(Exit::of_impact(impact))
}

/// Hands everything that was asked for to `explainer`, and returns why some of several logs could not be read.
fn read(
    lines: &[String],
    files: &[PathBuf],
    explainer: &mut Explainer,
) -> Result<Vec<CommandError>, CommandError> {
    let is_stream = |text: &str| text == "-";
    let from_stdin =
        lines.iter().any(|line| is_stream(line)) || files.iter().any(|file| file.as_os_str() == "-");
    let is_bare = lines.is_empty() && files.is_empty();
    if is_bare && std::io::stdin().is_terminal() {
        return Err(CommandError::usage("there is no line to explain")
            .with_hint("kubecerts explain 'LINE', kubecerts explain --file FILE, or a pipe: journalctl -u kubelet | kubecerts explain -"));
    }
    let given: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !is_stream(line)).collect();
    explainer.source("");
    if given.iter().all(|line| !line.contains(char::is_whitespace)) {
        // Without quotation marks the shell has made words of a line.
        let joined = given.join(" ");
        if !joined.is_empty() {
            explainer.line(joined.as_bytes());
        }
    } else {
        given.iter().flat_map(|line| line.lines()).for_each(|line| explainer.line(line.as_bytes()));
    }
    let mut unread: Vec<CommandError> = Vec::new();
    let mut sources = 0;
    for file in files.iter().filter(|file| file.as_os_str() != "-") {
        sources += 1;
        unread.extend(explain_file(file, explainer).err().map(CommandError::from));
    }
    if from_stdin || is_bare {
        sources += 1;
        let done = explain_lines(std::io::stdin().lock(), "standard input", explainer);
        unread.extend(done.err().map(CommandError::from));
    }
    if given.is_empty() && unread.len() == sources {
        // Nothing has been read to its end.
        return unread.into_iter().next().map_or(Ok(Vec::new()), Err);
    }
    Ok(unread)
}

fn lines_of(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "line")
}

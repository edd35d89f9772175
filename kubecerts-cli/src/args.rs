//! The command line as plain data.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kubecerts_core::manifest::KubeadmConfig;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::Permission;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_host::crypto::Threads;
use kubecerts_host::{Node, NodeOptions};

use crate::commands::{
    apply, backup, bench, bulk, ca, certs, check, compare, completion, csr, demo, doctor, explain, forecast,
    import, init, inspect, join_node, kubeconfig, kubelet, man, plan, recover, renew, rescue, restart,
    rollback, schema, sign, snapshot, verify,
};
use crate::error::CommandError;
use crate::output::Output;

/// Check, plan and renew the certificates of a kubeadm-style Kubernetes control plane.
#[derive(Debug, Parser)]
#[command(
    name = "kubecerts",
    version,
    propagate_version = true,
    after_long_help = "\
Exit codes:
  0  nothing is due, or done
  1  the operation failed
  2  the command line makes no sense
  3  something is due
  4  something is expired or unusable, or does not run
  5  inconsistent: wrong authority, wrong key, or old credentials in the memory of a program
  6  incomplete: something asked for could not be done, or not looked at
  7  a program did not come back with the new files, and the old ones were put back
  8  interrupted; what is done stays, and the run can go on
  9  refused for safety, nothing was changed"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses a command line, the program's name first.
    ///
    /// Monitoring runs `check` all day long, and to describe every other command takes a fifth of its time. So that is tried alone at
    /// first; whatever else the line says, wrong or a call for help, is for the description of everything.
    pub(crate) fn parse_line(line: &[OsString]) -> Result<Self, clap::Error> {
        if line.get(1).is_some_and(|word| word == "check")
            && let Ok(CheckOnly { global, command: CheckCommand::Check(args) }) =
                CheckOnly::try_parse_from(line)
        {
            return Ok(Self { global, command: Command::Check(args) });
        }
        Self::try_parse_from(line)
    }
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// When to colour the output; NO_COLOR and CLICOLOR_FORCE are respected.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: ColorArg,
}

/// [`Cli`] with one command.
#[derive(Debug, Parser)]
struct CheckOnly {
    #[command(flatten)]
    global: GlobalArgs,

    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Debug, Subcommand)]
enum CheckCommand {
    Check(check::Args),
}

/// When to colour the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The form of an output that is read by people or by programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// JSON, see `kubecerts schema`.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Doctor(Box<doctor::Args>),
    Forecast(forecast::Args),
    Plan(plan::Args),
    Renew(Box<renew::Args>),
    Recover(rescue::Args),
    Restart(restart::Args),
    Verify(verify::Args),
    Explain(explain::Args),
    Ca(Box<ca::Args>),
    Kubeconfig(Box<kubeconfig::Args>),
    Kubelet(Box<kubelet::Args>),
    Csr(Box<csr::Args>),
    Import(import::Args),
    Sign(sign::Args),
    Bulk(bulk::Args),
    Apply(apply::Args),
    Backup(backup::Args),
    Rollback(rollback::Args),
    RecoverJournal(recover::Args),
    Init(Box<init::Args>),
    Inspect(inspect::Args),
    JoinNode(Box<join_node::Args>),
    Snapshot(Box<snapshot::Args>),
    Compare(Box<compare::Args>),
    Certs(certs::Args),
    Bench(bench::Args),
    Demo(demo::Args),
    Schema(schema::Args),
    Completion(completion::Args),
    Man(man::Args),
}

impl Command {
    /// Returns which node the command is about, if it is about one.
    pub(crate) const fn node(&self) -> Option<&NodeArgs> {
        Some(match self {
            Self::Check(args) => &args.node,
            Self::Doctor(args) => &args.node,
            Self::Forecast(args) => &args.node,
            Self::Plan(args) => &args.node,
            Self::Renew(args) => &args.node,
            Self::Recover(args) => &args.node,
            Self::Restart(args) => &args.node,
            Self::Verify(args) => &args.node,
            Self::Explain(args) => &args.node,
            Self::Snapshot(args) => &args.node,
            Self::Compare(args) => &args.node,
            Self::Ca(args) => args.node(),
            Self::Kubeconfig(args) => args.node(),
            Self::Kubelet(args) => args.node(),
            Self::Csr(args) => &args.node,
            Self::Import(args) => &args.node,
            Self::Sign(args) => &args.node,
            Self::Bulk(args) => return args.node(),
            Self::Apply(args) => &args.node,
            Self::Backup(args) => args.node(),
            Self::Rollback(args) => &args.node,
            Self::RecoverJournal(args) => &args.node,
            Self::Certs(args) => args.node(),
            Self::Init(args) => &args.node,
            Self::JoinNode(args) => &args.node,
            Self::Inspect(_)
            | Self::Bench(_)
            | Self::Demo(_)
            | Self::Schema(_)
            | Self::Completion(_)
            | Self::Man(_) => {
                return None;
            }
        })
    }
}

/// Which node, and where its files lie. Without any of these: this host, as its static-pod manifests say.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where the files lie")]
pub(crate) struct NodeArgs {
    /// The directory that is the node's `/`, for a mounted disk or a copy.
    #[arg(long, value_name = "DIR", env = "KUBECERTS_ROOTFS", global = true)]
    rootfs: Option<PathBuf>,

    /// The directory of certificates and keys [default: from the manifests, else /etc/kubernetes/pki].
    #[arg(long, value_name = "DIR", value_parser = tree_path, global = true)]
    cert_dir: Option<TreePath>,

    /// The directory of the kubeconfigs [default: from the manifests, else /etc/kubernetes].
    #[arg(long, value_name = "DIR", value_parser = tree_path, global = true)]
    kubeconfig_dir: Option<TreePath>,

    /// The directory of the static-pod manifests [default: from the kubelet, else /etc/kubernetes/manifests].
    #[arg(long, value_name = "DIR", value_parser = tree_path, global = true)]
    manifests_dir: Option<TreePath>,

    /// The kubelet's own directory [default: /var/lib/kubelet].
    #[arg(long, value_name = "DIR", value_parser = tree_path, global = true)]
    kubelet_dir: Option<TreePath>,

    /// A kubeadm configuration file, for what the manifests do not say.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// The directory of journals and backups [default: /var/lib/kubecerts].
    #[arg(long, value_name = "DIR", value_parser = tree_path, env = "KUBECERTS_STATE_DIR", global = true)]
    state_dir: Option<TreePath>,

    /// The node's name [default: from the manifests, the configuration, or the host's name].
    #[arg(long, value_name = "NAME", global = true)]
    node_name: Option<String>,
}

impl NodeArgs {
    /// Returns the kubeadm configuration that was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns what commands in hints need to act on the same node.
    pub(crate) fn whereabouts(&self) -> Whereabouts {
        let Self {
            rootfs,
            cert_dir,
            kubeconfig_dir,
            manifests_dir,
            kubelet_dir,
            config,
            state_dir,
            node_name,
        } = self;
        let path = |path: &PathBuf| path.display().to_string();
        let options = [
            ("rootfs", rootfs.as_ref().map(path)),
            ("cert-dir", cert_dir.as_ref().map(ToString::to_string)),
            ("kubeconfig-dir", kubeconfig_dir.as_ref().map(ToString::to_string)),
            ("manifests-dir", manifests_dir.as_ref().map(ToString::to_string)),
            ("kubelet-dir", kubelet_dir.as_ref().map(ToString::to_string)),
            ("config", config.as_ref().map(path)),
            ("state-dir", state_dir.as_ref().map(ToString::to_string)),
            ("node-name", node_name.clone()),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let options = given.map(|(name, value)| format!(" --{name} {}", quoted(&value))).collect();
        Whereabouts { options, root: rootfs.clone() }
    }

    /// Returns the node's name as given.
    pub(crate) fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// Reads the configuration that is named, and mentions what is odd about it.
    pub(crate) fn configuration(&self, output: &mut Output) -> Result<Option<KubeadmConfig>, CommandError> {
        let Some(file) = &self.config else { return Ok(None) };
        let (_, state) = kubecerts_host::read_file(file)?;
        let bytes = state.content().map_or(&[][..], |content| content.secret_bytes());
        let config = KubeadmConfig::parse(bytes).map_err(|error| {
            CommandError::usage(format!("{}: {error}", file.display())).with_hint(
                "nothing was changed; kubeadm's own view of it: kubeadm config validate --config FILE",
            )
        })?;
        for remark in config.remarks() {
            output.warning(&format!("{}: {remark}", file.display()));
        }
        Ok(Some(config))
    }

    /// Opens the node that the arguments describe.
    pub(crate) fn open(&self) -> Result<Node, CommandError> {
        Ok(Node::open(self.options())?)
    }

    /// Opens the node that the arguments describe, whose directories need not exist yet.
    pub(crate) fn open_new(&self) -> Result<Node, CommandError> {
        let mut options = self.options();
        options.is_new = true;
        Ok(Node::open(options)?)
    }

    fn options(&self) -> NodeOptions {
        let Self {
            rootfs,
            cert_dir,
            kubeconfig_dir,
            manifests_dir,
            kubelet_dir,
            config,
            state_dir,
            node_name,
        } = self.clone();
        let mut options = NodeOptions::default();
        options.root = rootfs;
        options.config = config;
        options.state = state_dir;
        options.arguments.certificates = cert_dir;
        options.arguments.kubeconfigs = kubeconfig_dir;
        options.arguments.manifests = manifests_dir;
        options.arguments.kubelet = kubelet_dir;
        options.arguments.node_name = node_name;
        options
    }
}

/// What commands in hints need to act on the same node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whereabouts {
    /// The options, each after a space.
    pub(crate) options: String,
    /// The directory that is the node's `/`.
    pub(crate) root: Option<PathBuf>,
}

impl Whereabouts {
    /// Returns where `path` of the node lies on this machine, as one word of a shell.
    pub(crate) fn file(&self, path: &TreePath) -> String {
        quoted(&self.plain(path))
    }

    /// Returns the same as a text.
    pub(crate) fn plain(&self, path: &TreePath) -> String {
        match &self.root {
            Some(root) => root.join(path.as_str().trim_start_matches('/')).display().to_string(),
            None => path.to_string(),
        }
    }
}

/// How a change is made, and told.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ChangeArgs {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Show everything, do in memory what can be done there, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) output: Form,
}

/// What is due, and when now is.
#[derive(Args, Clone, Debug)]
pub(crate) struct WindowArgs {
    /// Certificates that end within this span are due.
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    pub(crate) within: Seconds,
}

/// Which renewal is asked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct RenewalArgs {
    /// The certificates by kubeadm's names (apiserver, etcd-server, admin.conf …); by default those that are due.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Everything that `kubeadm certs renew all` renews, due or not.
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,

    /// How long the new certificates are valid, such as 8760h, 365d or 10y; never beyond their authority [default: as in the policy
    /// file, else in --config, else 365d].
    #[arg(long, value_name = "SPAN")]
    pub(crate) validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) san: SanArgs,

    /// Allow what is refused otherwise: san, to take away a name by which a server is reached; validity, to make certificates valid
    /// for less long than the site's own were.
    #[arg(long, value_name = "san|validity", value_delimiter = ',')]
    pub(crate) allow_change: Vec<Permission>,

    /// Keep the private keys instead of making new ones.
    #[arg(long)]
    pub(crate) reuse_key: bool,

    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

/// A secret as it was given on the command line. It is parsed later, because a message about a wrong one must not quote it.
///
/// It is wiped when it is dropped. Clap keeps values that can be cloned only; a clone is the same secret, and no copy of it.
#[derive(Clone)]
pub(crate) struct SecretText(Arc<SecretBytes>);

impl SecretText {
    /// Returns the secret.
    pub(crate) fn secret_text(&self) -> &str {
        std::str::from_utf8(self.0.secret_bytes()).expect("it was made of text")
    }
}

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Arc::new(SecretBytes::new(text.as_bytes().to_vec()))))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Which alternative names certificates of servers get.
#[derive(Args, Clone, Debug)]
pub(crate) struct SanArgs {
    /// Give the named certificates this name or address too; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) add_san: Vec<String>,

    /// Take this name or address away from the named certificates; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) remove_san: Vec<String>,

    /// Give the named certificates exactly the names that kubeadm computes from --config.
    #[arg(long, conflicts_with_all = ["add_san", "remove_san"])]
    pub(crate) san_from_config: bool,
}

/// Returns `value` as one word of a shell.
pub(crate) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@=+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

/// Parses a moment for `--at`.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|error| error.to_string())
}

/// Parses how many threads to work on.
pub(crate) fn threads(text: &str) -> Result<Threads, String> {
    let count = text.parse().ok().filter(|count: &NonZeroU16| count.get() <= MOST_THREADS);
    let count = count.ok_or_else(|| format!("it is a number from 1 to {MOST_THREADS}"))?;
    Ok(Threads::new(NonZeroUsize::from(count)))
}

/// Parses a path of the node; a relative one is relative to its root.
pub(crate) fn tree_path(text: &str) -> Result<TreePath, String> {
    let absolute = std::path::absolute(text).map_err(|error| error.to_string())?;
    let text = absolute.to_str().ok_or("the path is not UTF-8")?;
    TreePath::parse("/").and_then(|root| root.join(text)).map_err(|error| error.to_string())
}

/// No machine that is known to run a control plane has more.
const MOST_THREADS: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Vec<OsString> {
        words.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn check_alone_is_parsed_as_among_all_commands() {
        for words in [
            "kubecerts check",
            "kubecerts check --color never -o json",
            "kubecerts check --rootfs /x --at 2030-01-01T00:00:00Z --exit-code nagios --within 30d",
            "kubecerts check --output=wide --cert-dir=/pki",
        ] {
            let line = line(words);
            let expected = Cli::try_parse_from(&line).map_err(|error| error.to_string());
            assert!(CheckOnly::try_parse_from(&line).is_ok() && expected.is_ok(), "{words}");
            let parsed = Cli::parse_line(&line).map_err(|error| error.to_string());
            assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn what_is_no_right_check_is_told_as_ever() {
        for words in [
            "kubecerts check --help",
            "kubecerts check -h",
            "kubecerts check --version",
            "kubecerts check --nothing",
            "kubecerts check extra",
            "kubecerts check --color",
            "kubecerts",
        ] {
            let line = line(words);
            let expected = Cli::try_parse_from(&line).unwrap_err();
            let told = Cli::parse_line(&line).unwrap_err();
            assert_eq!((told.kind(), told.to_string()), (expected.kind(), expected.to_string()), "{words}");
        }
    }
}

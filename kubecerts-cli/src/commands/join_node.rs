//! `kubecerts join-node`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kubecerts_core::issue::{AuthorityKeys, ChangeSet, SharedFiles, issue_with_shared};
use kubecerts_core::manifest::KubeadmConfig;
use kubecerts_core::plan::{
    InitRequest, JoiningNode, Overrides, Plan, PlanError, check_clock, initialise, parse_nodes,
};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::crypto::Provider;
use kubecerts_host::{Node, SystemEntropy, make_parent, must_be_new, write_new_tree};

use super::init::follow_policy;
use super::scan;
use crate::args::{NodeArgs, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::text;

/// Make the files of further control-plane nodes; run where the keys of the authorities are.
///
/// Every node gets a directory of its own with a whole tree: its own certificates and kubeconfigs, and the authorities and the
/// service account pair as they are here. Nothing here is changed. A node's directory is there whole or not at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node: its name, its address, and further names of its API server.
    #[arg(value_name = "NAME ADDRESS", num_args = 2.., required_unless_present = "nodes", conflicts_with = "nodes")]
    words: Vec<String>,

    /// A list of nodes: lines `NAME ADDRESS [NAME-OR-ADDRESS…]`, where # begins a comment, or kubeadm's JoinConfigurations.
    #[arg(long, value_name = "FILE")]
    nodes: Option<PathBuf>,

    /// The directory for the trees: each comes to lie in DIR/NAME/etc/kubernetes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Leave out the keys of the authorities, so that the nodes can sign nothing.
    #[arg(long)]
    without_ca_keys: bool,

    /// Leave out kubelet.conf; the kubelet asks for its certificate with a token.
    #[arg(long)]
    without_kubelet_conf: bool,

    /// How long the certificates are valid, never beyond their authority [default: as in --config, else 8760h].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of this node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Show everything, make it in memory, and write nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let nodes = args.joining_nodes()?;
    let config = args.node.configuration(output)?.ok_or_else(no_configuration)?;
    let source = args.node.open()?;
    let (snapshot, inventory) = scan(&source)?;
    check_clock(&inventory, kubecerts_host::now())?;
    for node in &nodes {
        must_be_new(&args.out.join(node.name.as_str()))?;
    }
    let joins: Vec<Join> =
        nodes.iter().map(|node| args.plan(node, &config, (&source, &snapshot))).collect::<Result<_, _>>()?;
    if !args.dry_run {
        make_parent(&args.out)?;
    }
    let mut written: BTreeSet<&str> = BTreeSet::new();
    let mut tops = BTreeSet::new();
    for (node, join) in nodes.iter().zip(&joins) {
        let directory = args.out.join(node.name.as_str());
        let done = args.carry_out(join, &directory);
        let done = done.map_err(|error| match written.len() {
            0 => error.with_hint("nothing was written"),
            _ => error.with_hint(format!("these are whole: {}", Vec::from_iter(written.clone()).join(", "))),
        })?;
        written.insert(node.name.as_str());
        tops.extend(done.top_directories().map(quoted));
        let files = text::counted(done.changes().len(), "file");
        let verb = if args.dry_run { "would be" } else { "are" };
        output.data(&format!("{}: {files} {verb} in {}\n", node.name, directory.display()));
        for note in join.plan.steps().iter().flat_map(|step| {
            step.notes().iter().map(move |note| format!("{} of {}: {note}", step.slot(), node.name))
        }) {
            output.warning(&note);
        }
    }
    if args.dry_run {
        output.note("dry run: every signature verified, nothing was written");
    } else {
        // Directories that the node has keep owner and mode, and links to directories stay links.
        output.hint(&format!(
            "the trees hold private keys: carry each to its node where nobody reads along, such as with: \
             tar -C {}/NAME -cf - {} | ssh NAME tar -C / --no-same-owner --no-overwrite-dir --keep-directory-symlink -xpf -",
            quoted(&args.out.display().to_string()),
            Vec::from_iter(tops).join(" ")
        ));
        output.hint("then remove every copy that is left on the way");
    }
    Ok(Exit::Fine)
}

/// What is to be made for one node.
struct Join {
    plan: Plan,
    shared: SharedFiles,
}

impl Args {
    fn joining_nodes(&self) -> Result<Vec<JoiningNode>, CommandError> {
        let Some(file) = &self.nodes else {
            let node = JoiningNode::parse(self.words.iter().map(String::as_str));
            let node = node.map_err(|problem| {
                CommandError::usage(problem.to_string())
                    .with_hint("say the name, the address, and further names: kubecerts join-node cp-2 192.168.10.12 --out DIR")
            })?;
            return Ok(vec![node]);
        };
        let (_, state) = kubecerts_host::read_file(file)?;
        let bytes = state.content().map_or(&[][..], |content| content.secret_bytes());
        let text = std::str::from_utf8(bytes)
            .map_err(|_| CommandError::usage(format!("{} is not UTF-8", file.display())))?;
        parse_nodes(text).map_err(|error| {
            CommandError::usage(format!("{}: {error}", file.display()))
                .with_hint("nothing was written; a line is: NAME ADDRESS [NAME-OR-ADDRESS…]")
        })
    }

    fn plan(
        &self,
        node: &JoiningNode,
        config: &KubeadmConfig,
        (source, snapshot): (&Node, &Snapshot),
    ) -> Result<Join, CommandError> {
        let mut overrides = Overrides::default();
        overrides.node_name = Some(node.name.to_string());
        overrides.advertise_address = Some(node.address);
        let mut intent = node.intent(&overrides.intent(config)?);
        follow_policy(self.policy.as_deref(), self.validity, source, &mut intent)?;
        let shared = SharedFiles::of(snapshot, &intent.etcd)?;
        let request = InitRequest::joining_node(!self.without_kubelet_conf);
        let now = kubecerts_host::now();
        let inventory = shared.inventory();
        let plan = initialise(&intent, &inventory, &request, now, &mut SystemEntropy::new());
        let plan = plan.map_err(|error| match error {
            PlanError::Contradictions(_) => CommandError::of_creation(error, &inventory)
                .with_hint("mend the authorities of this node first; nothing was written"),
            error => error.into(),
        })?;
        if let Some(missing) = plan.deferred().iter().find(|deferred| deferred.reason().is_failure()) {
            return Err(CommandError::of_joining(missing, node.name.as_str()));
        }
        Ok(Join { plan, shared })
    }

    fn carry_out(&self, join: &Join, directory: &Path) -> Result<ChangeSet, CommandError> {
        let keys = if self.without_ca_keys { AuthorityKeys::LeftOut } else { AuthorityKeys::Copied };
        let mut provider = Provider::default();
        let changes = issue_with_shared(&join.plan, &join.shared, keys, &mut provider)?;
        if !self.dry_run {
            write_new_tree(&changes, directory, &mut SystemEntropy::new())?;
        }
        Ok(changes)
    }
}

fn no_configuration() -> CommandError {
    CommandError::usage("the cluster's configuration is not known").with_hint(
        "name it with --config; the cluster's own is to be had with: \
         kubectl -n kube-system get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}' > cluster.yaml",
    )
}

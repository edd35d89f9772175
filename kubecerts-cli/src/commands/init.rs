//! `kubecerts init`

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::{KubernetesVersion, Slot};
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{
    ClusterIntent, InitRequest, InitScope, Overrides, Plan, Reason, check_clock, initialise,
};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::disk::{RealDisk, recovery};
use kubecerts_host::{Node, Report, Session, SystemEntropy, read_policy};

use super::renew::sign;
use super::{Consent, begin, grouped, mention, mention_interrupted, prove};
use crate::args::{Form, NodeArgs, Whereabouts};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{creation, documents, text};

/// Make the certificates, keys and kubeconfigs that a new control-plane node lacks.
///
/// The same files, names, usages and modes as `kubeadm init phase certs` and `kubeadm init phase kubeconfig` give. What exists and is
/// right stays; what exists and is not stops the command before anything is written. An authority that exists signs, an
/// intermediate one as well; one without its key signs nothing, and what it would have to sign is left to `kubecerts csr`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to make: all, certs, kubeconfigs, or kubeadm's names (ca, apiserver, admin.conf, sa …) [default: all].
    #[arg(value_name = "WHAT")]
    what: Vec<String>,

    /// The address at which this node's API server is reached [default: as in --config].
    #[arg(long, value_name = "ADDRESS")]
    apiserver_advertise_address: Option<IpAddr>,

    /// The port of the API server [default: as in --config, else 6443].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    apiserver_bind_port: Option<u16>,

    /// The control plane as clients see it: a host with or without a port [default: as in --config].
    #[arg(long, value_name = "HOST[:PORT]")]
    control_plane_endpoint: Option<String>,

    /// Further names and addresses of the API server, beside those of --config.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    apiserver_cert_extra_sans: Vec<String>,

    /// The network of services, or one per family with a comma between them [default: as in --config, else 10.96.0.0/12].
    #[arg(long, value_name = "CIDR")]
    service_cidr: Option<String>,

    /// The domain of services [default: as in --config, else cluster.local].
    #[arg(long, value_name = "DOMAIN")]
    service_dns_domain: Option<String>,

    /// The version whose kubeadm is followed [default: as in --config, else the newest one known].
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<KubernetesVersion>,

    /// How long leaf certificates and those in kubeconfigs are valid, never beyond their authority [default: as in the policy file,
    /// else in --config, else 8760h]. How long authorities are is said by the policy file, or by caCertificateValidityPeriod in --config.
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Show everything, make it in memory, and write nothing.
    #[arg(long)]
    dry_run: bool,

    /// Do not ask; nothing is asked anyway, for nothing is overwritten.
    #[arg(short, long)]
    yes: bool,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let whereabouts = args.node.whereabouts();
    let scope = scope(&args.what)?;
    if args.validity.is_some() && !has_leaves(&scope) {
        return Err(CommandError::usage("--validity is about leaf certificates and kubeconfigs, and none is asked for")
            .with_hint("an authority's lifetime is said by caCertificateValidityPeriod in --config, or by the policy file"));
    }
    let request = InitRequest::first_node(scope);
    let config = args.node.configuration(output)?.unwrap_or_default();
    if config.is_of_joining_node() {
        return Err(CommandError::usage(
            "the configuration is a JoinConfiguration: its node gets the authorities of the cluster, and init would make others",
        )
        .with_hint("on a node that has them, see `kubecerts join-node --help`"));
    }
    let mut intent = args.overrides().intent(&config)?;
    let node = args.node.open_new()?;
    follow_policy(args.policy.as_deref(), args.validity, &node, &mut intent)?;
    // Who has nothing to do needs no right to write. What an interrupted run has left is no tree to judge.
    let is_interrupted = !matches!(recovery::examine(node.root(), node.state(), &RealDisk), Ok(None));
    let idle = match args.dry_run || !is_interrupted {
        true => Some(look(&node, &intent, &request)?).filter(|(.., plan)| args.dry_run || plan.is_empty()),
        false => None,
    };
    let (mut session, (snapshot, inventory, plan)) = match idle {
        Some(idle) => (None, idle),
        None => {
            let session = begin(&node, "init", Consent::of(args.yes), output)?;
            (Some(session), look(&node, &intent, &request)?)
        }
    };
    if args.dry_run {
        mention_interrupted(&node, &whereabouts, output);
    }
    if args.output == Form::Text {
        output.data(&creation::plan(&plan, &inventory));
    }
    explain(&plan, &whereabouts, output);

    let report = match &mut session {
        _ if plan.is_empty() => None,
        Some(session) => {
            let changes = sign(&plan, &snapshot)?;
            let purpose = Purpose::of_plan("init", &plan);
            Some(session.create(&changes, purpose, &mut SystemEntropy::new(), &mut |_| {})?)
        }
        None => {
            let made = text::counted(sign(&plan, &snapshot)?.changes().len(), "file");
            output.note(&format!("dry run: {made} made and every signature verified, nothing was written"));
            None
        }
    };
    tell(&plan, report.as_ref(), args.output, &whereabouts, &inventory, output)?;
    drop::<Option<Session<'_>>>(session);
    Ok(if plan.is_incomplete() { Exit::Incomplete } else { Exit::Fine })
}

/// Scans `node` and plans.
fn look(
    node: &Node,
    intent: &ClusterIntent,
    request: &InitRequest,
) -> Result<(Snapshot, Inventory, Plan), CommandError> {
    let snapshot = node.scan()?;
    let inventory = Inventory::parse(&snapshot);
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let plan = initialise(intent, &inventory, request, now, &mut SystemEntropy::new())
        .map_err(|error| CommandError::of_creation(error, &inventory))?;
    Ok((snapshot, inventory, plan))
}

impl Args {
    fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        overrides.node_name = self.node.node_name().map(str::to_owned);
        overrides.advertise_address = self.apiserver_advertise_address;
        overrides.bind_port = self.apiserver_bind_port;
        overrides.endpoint = self.control_plane_endpoint.clone();
        overrides.api_server_names = self.apiserver_cert_extra_sans.clone();
        overrides.service_subnets = self.service_cidr.clone();
        overrides.dns_domain = self.service_dns_domain.clone();
        overrides.version = self.kubernetes_version;
        overrides
    }
}

/// Lets the policy file state lifetimes, and `validity` before it.
pub(super) fn follow_policy(
    file: Option<&Path>,
    validity: Option<Seconds>,
    node: &Node,
    intent: &mut ClusterIntent,
) -> Result<(), CommandError> {
    if let Some(policy) = read_policy(file, node)? {
        policy.fill_intent(intent);
    }
    if let Some(validity) = validity {
        intent.insist_on_lifetime(validity);
    }
    Ok(())
}

/// Says what was made.
fn tell(
    plan: &Plan,
    report: Option<&Report>,
    form: Form,
    whereabouts: &Whereabouts,
    before: &Inventory,
    output: &mut Output,
) -> Result<(), CommandError> {
    let after = report.map_or(before, |report| &report.inventory);
    if form == Form::Json {
        let diagnosis = diagnose(after, &Observations::none(), Policy::default(), kubecerts_host::now());
        output.data(&documents::renewal(plan, report, &diagnosis, whereabouts).to_json());
    }
    if let Some(report) = report {
        prove(plan, report, whereabouts)?;
        if form == Form::Text {
            output.data(&creation::made(report));
        }
        mention(&report.leftovers, output);
    }
    Ok(())
}

/// Says what was asked for and cannot be made here, and how it can.
fn explain(plan: &Plan, whereabouts: &Whereabouts, output: &mut Output) {
    let failures = || plan.deferred().iter().filter(|deferred| deferred.reason().is_failure());
    let reasons = failures().map(|deferred| (deferred.reason().to_string(), deferred.slot()));
    for (reason, names) in grouped(reasons) {
        output.error(&CommandError::failed(format!("{names}: {reason}")));
    }
    let mut hints = BTreeSet::new();
    for deferred in failures() {
        hints.extend(match deferred.reason() {
            Reason::ExternalAuthority(_) => {
                Some(format!("make requests for what is missing with: kubecerts csr{}", whereabouts.options))
            }
            Reason::AuthorityUnusable(ca, _) => {
                Some(format!("make the authority first: kubecerts init {ca}{}", whereabouts.options))
            }
            Reason::NotOfThisNode => Some(
                "kubeadm makes none either: etcd is external, or the version of Kubernetes has no such file"
                    .to_owned(),
            ),
            _ => None,
        });
    }
    for hint in hints {
        output.hint(&hint);
    }
}

fn scope(words: &[String]) -> Result<InitScope, CommandError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words[..] {
        [] | ["all"] => InitScope::All,
        ["certs"] => InitScope::Certificates,
        ["kubeconfigs" | "kubeconfig"] => InitScope::Kubeconfigs,
        _ => InitScope::Named(words.into_iter().map(slot).collect::<Result<_, _>>()?),
    })
}

/// Returns whether there is anything in `scope` that an authority signs.
fn has_leaves(scope: &InitScope) -> bool {
    match scope {
        InitScope::Named(slots) => slots.iter().any(|slot| slot.issuer().is_some()),
        _ => true,
    }
}

fn slot(word: &str) -> Result<Slot, CommandError> {
    let is_made = |slot: &Slot| !matches!(slot, Slot::KubeletClient | Slot::KubeletServing);
    word.parse().ok().filter(is_made).ok_or_else(|| {
        let names: Vec<&str> = Slot::ALL.into_iter().filter(is_made).map(Slot::name).collect();
        CommandError::usage(format!("{word:?} is nothing that a node is made with"))
            .with_hint(format!("say all, certs, kubeconfigs, or some of: {}", names.join(", ")))
    })
}

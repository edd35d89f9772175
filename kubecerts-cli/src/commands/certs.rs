//! `kubecerts certs`: kubeadm's own commands, for scripts that are written for them.

use clap::{Subcommand, ValueEnum};
use kubecerts_core::catalog::Slot;
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::RowState;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{PlanRequest, Selection, check_clock, plan};
use kubecerts_core::time::Timestamp;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::{SystemEntropy, read_policy};

use super::renew::sign;
use super::{Consent, begin, explain_deferred, prove, scan, selection};
use crate::args::{NodeArgs, timestamp};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::kubeadm;

/// The commands of `kubeadm certs`, with kubeadm's output.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: CertsCommand,
}

impl Args {
    /// Returns which node is meant.
    pub(crate) const fn node(&self) -> &NodeArgs {
        match &self.command {
            CertsCommand::CheckExpiration(args) => &args.node,
            CertsCommand::Renew(args) => &args.node,
        }
    }
}

#[derive(Debug, Subcommand)]
enum CertsCommand {
    /// Print when certificates end, as kubeadm 1.36 does below its preamble; exit code 0 whatever is expired.
    CheckExpiration(ExpirationArgs),
    /// Renew one certificate or all, due or not, without a question; exit code 6 if one could not be renewed.
    Renew(RenewArgs),
}

#[derive(Debug, clap::Args)]
struct ExpirationArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// Judge as of this moment, in RFC 3339, instead of now.
    #[arg(long, value_name = "RFC3339", value_parser = timestamp)]
    at: Option<Timestamp>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct RenewArgs {
    /// A certificate by kubeadm's name, or `all`.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// kubeadm's tables.
    Text,
    /// CertificateExpirationInfo of output.kubeadm.k8s.io/v1alpha3.
    Json,
    /// The same in YAML.
    Yaml,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    match &args.command {
        CertsCommand::CheckExpiration(args) => check_expiration(args, output),
        CertsCommand::Renew(args) => renew(args, output),
    }
}

fn check_expiration(args: &ExpirationArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let ExpirationArgs { output: form, at, node } = args;
    let (_, inventory) = scan(&node.open()?)?;
    let now = at.unwrap_or_else(kubecerts_host::now);
    let info = kubeadm::ExpirationInfo {
        certificates: inventory.kubeadm_expirations(),
        authorities: inventory.kubeadm_authority_expirations(),
        now,
    };
    // kubeadm stops at the first file that it cannot understand, and a script relies on that.
    let unusable = info.certificates.iter().chain(&info.authorities).find_map(|row| match &row.certificate {
        RowState::Unusable(reason) => Some((&row.place, reason)),
        RowState::Present(_) | RowState::Missing => None,
    });
    if let Some((place, reason)) = unusable {
        let path =
            inventory.certificate_file(place).map(|file| format!("{}: ", file.path)).unwrap_or_default();
        return Err(CommandError::failed(format!(
            "failed to load existing certificate {place}: {path}{reason}"
        ))
        .with_hint(format!(
            "see everything that is wrong with: kubecerts check{}",
            node.whereabouts().options
        )));
    }
    match form {
        Form::Text => output.data(&info.to_text()),
        Form::Json => output.data(&info.to_json()),
        Form::Yaml => output.data(&info.to_yaml()),
    }
    Ok(Exit::Fine)
}

fn renew(args: &RenewArgs, output: &mut Output) -> Result<Exit, CommandError> {
    let RenewArgs { name, node } = args;
    let whereabouts = node.whereabouts();
    let selection = selection(std::slice::from_ref(name), false)?;
    let node = node.open()?;
    let mut session = begin(&node, "certs renew", Consent::Given, output)?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let mut request = PlanRequest::for_node(inventory.node());
    request.selection = selection;
    if let Some(policy) = read_policy(None, &node)? {
        policy.fill_request(&mut request);
    }
    let plan = plan(&inventory, &request, now, &mut SystemEntropy::new())?;

    let changes = sign(&plan, &snapshot)?;
    let purpose = Purpose::of_plan("certs renew", &plan);
    let report = session.apply(&changes, purpose, &mut SystemEntropy::new(), &mut |_| {})?;
    prove(&plan, &report, &whereabouts)?;
    super::mention(&report.leftovers, output);

    let everything = request.selection == Selection::All;
    for slot in Slot::ALL {
        if let Some(line) = kubeadm::renewal_line(slot, &plan, &inventory, everything) {
            output.data(&line);
        }
    }
    if everything {
        output.data(kubeadm::DONE);
    }
    explain_deferred(&plan, &whereabouts, output);
    let diagnosis = diagnose(&report.inventory, &Observations::none(), Policy::default(), now);
    for step in plan.steps() {
        for finding in diagnosis.about(step.slot()) {
            output.warning(&finding.to_string());
        }
    }
    Ok(if plan.is_incomplete() { Exit::Incomplete } else { Exit::Fine })
}

//! `kubecerts ca extend`

use std::collections::BTreeSet;
use std::path::PathBuf;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::diagnosis::{Policy, diagnose};
use kubecerts_core::inventory::{Inventory, Trusting};
use kubecerts_core::issue::trust_file_changes;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{Authorities, ExtendRequest, Permission, Plan, check_clock, extend};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::disk::transaction::Purpose;
use kubecerts_host::{CopyWrite, Node, Report, Session, SystemEntropy, read_policy};

use super::authority;
use crate::args::{ChangeArgs, Form, NodeArgs, Whereabouts};
use crate::commands::{
    Consent, begin_unless_dry, explain_deferred, live, mention, mention_interrupted, prove, renew, scan,
};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{authorities, documents, text};

/// Give authorities a certificate with a later end: same key, same names. What they have signed stays valid.
///
/// The kubeconfigs of the tree that embed the old certificate, and the files of trusted certificates that manifests and the
/// kubelet's configuration name, get the new one in the same transaction. Old and new verify the same
/// certificates, so nothing breaks in between; but whoever trusts only the old one stops when that ends. What is left to do
/// elsewhere is printed: on other nodes and in the cluster. An authority whose key is elsewhere, or
/// that another one has signed, cannot be extended here.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The authorities (ca, etcd-ca, front-proxy-ca), or all; by default those that are due.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// How long the new certificates are valid from now on [default: as in --config, else 87600h].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long authorities are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Authorities that end within this span are due.
    #[arg(long, value_name = "SPAN", default_value = "180d")]
    within: Seconds,

    /// Permit an earlier end than there is: validity.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow_change: Vec<Permission>,

    /// Bring copies of admin.conf in home directories up to date, and change nothing else in them.
    #[arg(long)]
    refresh_copies: bool,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    pub(super) node: NodeArgs,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { change, node, refresh_copies, .. } = args;
    let selection = args.selection()?;
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    // Who has nothing to do needs no right to write.
    let (mut snapshot, mut inventory, mut plan) = look(args, &selection, &node)?;
    let mut session = None;
    if plan.is_empty() {
        mention_interrupted(&node, &whereabouts, output);
    } else {
        session = begin_unless_dry(&node, "ca extend", change, &whereabouts, output)?;
        (snapshot, inventory, plan) = look(args, &selection, &node)?;
    }
    if change.output == Form::Text {
        output.data(&text::plan_to(text::EXTEND, &plan, &inventory));
    }
    for (ca, file) in bundles(&plan, &inventory) {
        output.note(&format!("{file} gets the new certificate of {ca} in the place of the old one"));
    }
    explain_deferred(&plan, &whereabouts, output);
    if plan.is_empty() && !plan.is_incomplete() && !args.names.is_empty() {
        output.hint("ask for a later end with --validity, such as --validity 20y");
    }
    let report = carry_out(&plan, &snapshot, &inventory, session.as_mut(), change, output)?;
    if change.output == Form::Json {
        let after = report.as_ref().map_or(&inventory, |report| &report.inventory);
        let diagnosis = diagnose(after, &Observations::none(), Policy::default(), kubecerts_host::now());
        output.data(&documents::renewal(&plan, report.as_ref(), &diagnosis, &whereabouts).to_json());
    }
    if let Some(report) = &report {
        prove(&plan, report, &whereabouts)?;
        if change.output == Form::Text {
            output.data(&text::changed(&plan, report));
        }
        mention(&report.leftovers, output);
    }
    if let Some(session) = &mut session
        && *refresh_copies
    {
        live::refresh_copies(session, &node, output)?;
    }
    // The report has the tree as it was before copies were refreshed.
    let refreshed = (report.is_some() && *refresh_copies).then(|| scan(&node)).transpose()?;
    let after = match (&refreshed, &report) {
        (Some((_, inventory)), _) => inventory,
        (None, Some(report)) => &report.inventory,
        (None, None) => &inventory,
    };
    let left = tell_what_is_left(&plan, &inventory, after, &whereabouts, output);
    Ok(if plan.is_incomplete() || left { Exit::Incomplete } else { Exit::Fine })
}

impl Args {
    fn selection(&self) -> Result<Authorities, CommandError> {
        if self.names.is_empty() {
            return Ok(Authorities::Due);
        }
        if self.names == ["all"] {
            return Ok(Authorities::All);
        }
        let named = self.names.iter().map(|name| authority(name)).collect::<Result<BTreeSet<CaSlot>, _>>();
        named.map(Authorities::Named).map_err(|error| error.with_hint("or say: all"))
    }
}

/// Scans `node` and plans.
fn look(
    args: &Args,
    selection: &Authorities,
    node: &Node,
) -> Result<(Snapshot, Inventory, Plan), CommandError> {
    let (snapshot, inventory) = scan(node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let mut request = ExtendRequest::for_node(inventory.node());
    request.authorities = selection.clone();
    request.window = args.within;
    request.permissions = args.allow_change.iter().copied().collect();
    if let Some(policy) = read_policy(args.policy.as_deref(), node)? {
        policy.fill_extension(&mut request);
    }
    if let Some(lifetime) = args.validity {
        request.insist_on_lifetime(lifetime);
    }
    let plan = extend(&inventory, &request, now, &mut SystemEntropy::new())?;
    Ok((snapshot, inventory, plan))
}

/// Asks, signs and writes, unless there is nothing to do or no session to do it in.
fn carry_out(
    plan: &Plan,
    snapshot: &Snapshot,
    inventory: &Inventory,
    session: Option<&mut Session<'_>>,
    change: &ChangeArgs,
    output: &mut Output,
) -> Result<Option<Report>, CommandError> {
    match session {
        _ if plan.is_empty() => Ok(None),
        Some(session) => {
            Consent::of(change.yes).ask("Extend these authorities?", output)?;
            let changes = renew::sign(plan, snapshot)?;
            let bundles = trust_file_changes(plan, &changes, snapshot, inventory);
            let beside: Vec<CopyWrite<'_>> = bundles.iter().map(CopyWrite::from).collect();
            let purpose = Purpose::of_plan("ca extend", plan);
            renew::write_with(&changes, &beside, purpose, session, change.output, output).map(Some)
        }
        None => {
            output.note(&format!(
                "dry run: {} made and every signature verified, nothing was written",
                text::counted(renew::sign(plan, snapshot)?.changes().len(), "file")
            ));
            Ok(None)
        }
    }
}

/// Returns the files beside those of the authorities that hold what the plan replaces.
fn bundles(plan: &Plan, inventory: &Inventory) -> Vec<(CaSlot, Trusting)> {
    let mut found = Vec::new();
    for ca in plan.extended_authorities() {
        let Some(old) = inventory.authority(ca).signer() else { continue };
        let files = inventory.trusting(old).into_iter();
        found.extend(files.filter(|place| matches!(place, Trusting::File { .. })).map(|place| (ca, place)));
    }
    found
}

/// Says who still trusts the old certificates only, on this node and elsewhere; returns whether somebody does on this node.
fn tell_what_is_left(
    plan: &Plan,
    before: &Inventory,
    after: &Inventory,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> bool {
    let left = plan.left_behind(before, after);
    for (ca, holder) in &left {
        output.warning(&format!("{holder} holds the old certificate of {ca} only"));
        output.hint(&authorities::update(*ca, holder, after, whereabouts));
    }
    for ca in plan.extended_authorities() {
        for (number, step) in authorities::next_steps(ca, before, whereabouts).iter().enumerate() {
            output.hint(&format!("{ca}, {}: {step}", number + 1));
        }
    }
    !left.is_empty()
}

//! `kubecerts csr`

use std::collections::BTreeSet;
use std::path::PathBuf;

use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::external::{LeftOut, Wanted, make_requests, manifest, wanted_certificates};
use kubecerts_core::plan::{ClusterIntent, Overrides, Permission, PlanRequest, Selection, check_clock};
use kubecerts_core::time::Seconds;
use kubecerts_host::crypto::Provider;

use super::{grouped, known_names, scan, selection, state_lifetimes, state_names};
use crate::args::{NodeArgs, SanArgs, Whereabouts, quoted};
use crate::error::{CommandError, way_around};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{external, text};

/// Make keys and certificate requests for an authority whose key is kept elsewhere.
///
/// Asks for what the existing certificates have: subject, names, usages, kind of key, and a lifetime of the site's own. Where there
/// is none, for what --config says.
/// The directory gets a key and a request for each, where kubeadm puts them below /etc/kubernetes, and manifest.json, which says
/// what a request does not. The keys stay; everything else goes to the authority. Its answers go to `kubecerts import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The certificates by kubeadm's names (apiserver, etcd-server, admin.conf …); by default all that there are.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The directory to make, with mode 0700; one that is there has to be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// How long the certificates are to be valid [default: as in the policy file, else in --config, else 365d].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    san: SanArgs,

    /// Allow what is refused otherwise: san, to take away a name by which a server is reached; validity, to ask for certificates
    /// that are valid for less long than the site's own were.
    #[arg(long, value_name = "san|validity", value_delimiter = ',')]
    allow_change: Vec<Permission>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { names, out, validity, policy, san, allow_change, node } = args;
    // Whoever names nothing asks for everything, due or not.
    let selection = selection(names, names.is_empty())?;
    let whereabouts = node.whereabouts();
    let opened = node.open()?;
    let inventory = match node.config() {
        // A tree that is to be made has nothing yet.
        Some(_) => Inventory::parse(&opened.scan()?),
        None => scan(&opened)?.1,
    };
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let intent = intent_of(node, &inventory, output)?;
    let mut request = PlanRequest::for_node(inventory.node());
    request.selection = selection;
    request.permissions.extend(allow_change);
    state_lifetimes(policy.as_deref(), *validity, &opened, &mut request)?;
    state_names(san, &inventory, &mut request)?;
    output.data(&external::custody(&inventory));
    let wanted = wanted_certificates(&inventory, intent.as_ref(), &request, now)?;
    let is_incomplete = explain(&wanted, &request.selection, &whereabouts, output)?;
    if wanted.certificates.is_empty() {
        output.note("there is nothing to ask for, nothing was made");
        return Ok(if is_incomplete { Exit::Incomplete } else { Exit::Fine });
    }
    let permissions = mention_notes(&wanted, output);

    kubecerts_host::new_private_directory(out).map_err(|error| CommandError::of_new_directory(error, out))?;
    let mut provider = Provider::default();
    let made = make_requests(&wanted.certificates, &inventory, now, &mut provider)?;
    for file in &made.files {
        let path = kubecerts_host::make_parents(out, &file.name)?;
        kubecerts_host::write_new_secret_file(&path, &file.content)?;
    }
    // It comes last: a directory with a manifest is whole.
    kubecerts_host::write_new_file(&out.join(manifest::FILE_NAME), made.manifest.to_json().as_bytes())?;
    for record in &made.manifest.requests {
        output.data(&external::request(record));
    }
    let directory = quoted(&out.display().to_string());
    output.note(&format!("made {} in {directory}", text::counted(made.manifest.requests.len(), "request")));
    output.hint(&format!(
        "send the .csr files and manifest.json to the authority, never a .key file: \
         tar -C {directory} --exclude='*.key' -cf requests.tar ."
    ));
    output.hint(&format!(
        "with the answers, run: kubecerts import {directory} --certificates ANSWERS{}{}",
        external::permitting(&permissions),
        whereabouts.options
    ));
    Ok(if is_incomplete { Exit::Incomplete } else { Exit::Fine })
}

/// Returns what the configuration says of the tree, after what the node states of itself.
fn intent_of(
    node: &NodeArgs,
    inventory: &Inventory,
    output: &mut Output,
) -> Result<Option<ClusterIntent>, CommandError> {
    let Some(config) = node.configuration(output)? else { return Ok(None) };
    let known_name = inventory.known_node_name().map(|name| name.as_str().to_owned());
    let mut overrides = Overrides::default();
    overrides.node_name = node.node_name().map(str::to_owned).or(known_name);
    overrides.advertise_address = inventory.advertised().map(|(address, _)| address);
    Ok(Some(overrides.intent(&config)?))
}

/// Says what is not asked for, and returns whether something is missed. What was named has to be there.
fn explain(
    wanted: &Wanted,
    selection: &Selection,
    whereabouts: &Whereabouts,
    output: &mut Output,
) -> Result<bool, CommandError> {
    let is_named = matches!(selection, Selection::Named(_));
    let mut is_incomplete = false;
    let mut is_permitted_by_name = true;
    let mut hints = Vec::new();
    for (slot, reason) in &wanted.left_out {
        let refused = match reason {
            LeftOut::Refused(reason) => Some(reason),
            _ => None,
        };
        if reason.is_failure() || (is_named && refused.is_none()) {
            output.error(&CommandError::failed(format!("{slot}: {reason}")));
            is_incomplete = true;
            is_permitted_by_name &= refused.is_some_and(|reason| reason.permission().is_some());
            hints.extend(refused.and_then(|reason| Some((way_around(*slot, reason, whereabouts)?, *slot))));
        } else {
            output.note(&format!("left out: {slot}: {reason}"));
        }
    }
    let hints = grouped(hints.into_iter()).into_iter().map(|(hint, names)| format!("{names}: {hint}"));
    if !is_incomplete || !(wanted.certificates.is_empty() || is_named) {
        hints.for_each(|hint| output.hint(&hint));
        return Ok(is_incomplete);
    }
    let what = "these requests cannot be made, nothing was made";
    if is_permitted_by_name {
        return Err(hints.fold(CommandError::refused(what), CommandError::with_hint));
    }
    let error = CommandError::failed(what)
        .with_hint(known_names())
        .with_hint(format!("see what there is with: kubecerts check{}", whereabouts.options))
        .with_hint("for what is not there yet, say --config FILE with the kubeadm configuration");
    Err(hints.fold(error, CommandError::with_hint))
}

/// Says what is to be known of what is asked for, and returns what the import of the answers has to permit.
fn mention_notes(wanted: &Wanted, output: &mut Output) -> BTreeSet<Permission> {
    let notes = wanted.notes.iter().map(|(slot, note)| (note.to_string(), *slot));
    for (note, names) in grouped(notes) {
        output.note(&format!("{names}: {note}"));
    }
    wanted.permissions()
}

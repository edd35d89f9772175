//! `kubecerts sign`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::sign::{SigningOrder, SigningProfile, sign_requests};
use kubecerts_core::plan::{PlanRequest, check_clock};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::encode_certificate;
use kubecerts_host::crypto::Provider;
use kubecerts_host::{SystemEntropy, is_directory, is_there};

use super::import::read_manifest;
use super::kubelet::{is_stream, read};
use super::{scan, state_lifetimes};
use crate::args::{NodeArgs, quoted};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::{external, text};

/// Sign certificate requests with an authority whose key is here, for a control plane elsewhere.
///
/// What a certificate is for decides what is in it: subject, usages and validity follow the rules of kubeadm's certificates or of
/// the signers of Kubernetes. A request that breaks them is refused and the others are signed. Nothing that the rules do not allow
/// is copied from a request.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The requests, or the directory that `kubecerts csr` made, or `-` for standard input.
    #[arg(value_name = "CSR|DIR", required = true)]
    requests: Vec<PathBuf>,

    /// The authority that signs: ca, etcd-ca or front-proxy-ca.
    #[arg(long, value_name = "NAME", value_parser = authority)]
    ca: CaSlot,

    /// What the requests are for: a name of kubeadm (apiserver, admin.conf …) or a signer (kubernetes.io/kubelet-serving …)
    /// [default: as manifest.json says].
    #[arg(long, value_name = "NAME")]
    profile: Option<SigningProfile>,

    /// The directory for the certificates, or `-` for standard output [default: DIR itself, else standard output].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// How long the certificates are valid, never beyond the authority [default: as manifest.json says, else as in the policy file,
    /// else 365d].
    #[arg(long, value_name = "SPAN")]
    validity: Option<Seconds>,

    /// The policy file, which says how long certificates are valid [default: /etc/kubecerts/policy.toml of the node].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// A request as it was found.
struct Found {
    /// How people know it.
    name: String,
    /// The name of the file for its certificate.
    certificate: String,
    content: Result<SecretBytes, CommandError>,
    profile: SigningProfile,
    lifetime: Option<Seconds>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, CommandError> {
    let Args { requests, ca, profile, out, validity, policy, node } = args;
    let (found, default_out) = find(requests, *ca, *profile, output)?;
    if found.is_empty() {
        return Err(CommandError::failed(format!("there is no request for {ca}"))
            .with_hint("the manifest says which authority each request is for"));
    }
    let whereabouts = node.whereabouts();
    let node = node.open()?;
    let (snapshot, inventory) = scan(&node)?;
    let now = kubecerts_host::now();
    check_clock(&inventory, now)?;
    let out = out.as_deref().unwrap_or(&default_out);
    check_room(&found, out)?;
    let mut usual = PlanRequest::for_node(inventory.node());
    state_lifetimes(policy.as_deref(), *validity, &node, &mut usual)?;
    let readable = found.iter().filter_map(|found| Some((found, found.content.as_ref().ok()?)));
    let orders: Vec<SigningOrder<'_>> = readable
        .clone()
        .map(|(found, content)| SigningOrder {
            request: content.secret_bytes(),
            profile: found.profile,
            lifetime: validity.or(found.lifetime).unwrap_or_else(|| found.profile.lifetime(&usual)),
        })
        .collect();
    let provider = Provider::default();
    let answers = sign_requests(&orders, *ca, &snapshot, now, &mut SystemEntropy::new(), &provider)
        .map_err(|error| CommandError::of_signing(error, *ca).at(&whereabouts))?;

    let mut refused = 0;
    for Found { name, content, .. } in &found {
        if let Err(error) = content {
            output.error(&CommandError::failed(format!("{name}: {}", error.message())));
            refused += 1;
        }
    }
    let mut signed = 0;
    for ((Found { name, certificate: file, .. }, _), answer) in readable.zip(answers) {
        let made = match answer {
            Ok(made) => made,
            Err(refusal) => {
                output.error(&CommandError::of_refusal(&refusal, name));
                refused += 1;
                continue;
            }
        };
        let pem = encode_certificate(made.certificate.as_der());
        if is_stream(out) {
            output.data(&pem);
        } else {
            kubecerts_host::write_new_file(&kubecerts_host::make_parents(out, file)?, pem.as_bytes())?;
        }
        output.note(&external::signed(name, &made));
        for note in &made.notes {
            output.warning(&format!("{name}: {note}"));
        }
        signed += 1;
    }
    if signed == 0 {
        return Err(CommandError::refused("no request was signed")
            .with_hint("`kubecerts inspect CSR` says what a request asks for"));
    }
    if !is_stream(out) {
        let directory = quoted(&out.display().to_string());
        output.note(&format!("{} in {directory}", text::counted(signed, "certificate")));
        output.hint("carry them back, and there run: kubecerts import DIR --certificates ANSWERS");
    }
    Ok(if refused > 0 { Exit::Incomplete } else { Exit::Fine })
}

/// Refuses to begin when a certificate would have no file of its own.
fn check_room(found: &[Found], out: &Path) -> Result<(), CommandError> {
    if is_stream(out) {
        return Ok(());
    }
    let mut taken = BTreeMap::new();
    for Found { name, certificate, .. } in found {
        let file = out.join(certificate);
        if is_there(&file) {
            return Err(CommandError::refused(format!(
                "{} exists already, no request was signed",
                file.display()
            ))
            .with_hint("move it away, or name another directory with --out DIR"));
        }
        if let Some(other) = taken.insert(file.clone(), name) {
            let file = file.display();
            return Err(CommandError::refused(format!(
                "the certificates for {other} and {name} would both be {file}, no request was signed"
            ))
            .with_hint("sign them one by one, each with its own --out DIR"));
        }
    }
    Ok(())
}

/// Finds the requests, and where their certificates go by default.
fn find(
    paths: &[PathBuf],
    ca: CaSlot,
    profile: Option<SigningProfile>,
    output: &mut Output,
) -> Result<(Vec<Found>, PathBuf), CommandError> {
    if let [directory] = paths
        && is_directory(directory)
    {
        return Ok((find_listed(directory, ca, profile, output)?, directory.clone()));
    }
    let Some(profile) = profile else {
        return Err(CommandError::usage("nothing says what the requests are for")
            .with_hint("say --profile apiserver, or another certificate or kubeconfig of kubeadm")
            .with_hint("or --profile kubernetes.io/kubelet-serving, or another signer of Kubernetes")
            .with_hint("or name the directory with manifest.json that `kubecerts csr` made"));
    };
    let one = |path: &PathBuf| Found {
        name: path.display().to_string(),
        certificate: file_name(path),
        content: read(path),
        profile,
        lifetime: None,
    };
    Ok((paths.iter().map(one).collect(), PathBuf::from("-")))
}

/// Finds the requests that the manifest in `directory` lists for `ca`.
fn find_listed(
    directory: &Path,
    ca: CaSlot,
    profile: Option<SigningProfile>,
    output: &mut Output,
) -> Result<Vec<Found>, CommandError> {
    let manifest = read_manifest(directory)?;
    let mut found = Vec::new();
    for record in &manifest.requests {
        let slot = record.wanted.slot;
        let Some(profile) = profile.or_else(|| SigningProfile::of_slot(slot)) else { continue };
        if record.wanted.issuer != ca {
            continue;
        }
        let request = record.request_file();
        if kubecerts_host::read_if_there(&directory.join(record.key_file()))?.is_some() {
            output.warning(&format!("{slot}: its private key came along, although it should not travel"));
        }
        found.push(Found {
            certificate: request.replace(".csr", ".crt"),
            content: read(&directory.join(&request)),
            name: request,
            profile,
            lifetime: Some(record.wanted.lifetime),
        });
    }
    let others = manifest.requests.len() - found.len();
    if others > 0 {
        output.note(&format!("{} for other authorities", text::counted(others, "request")));
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).display();
    if is_stream(path) { "request.crt".to_owned() } else { format!("{stem}.crt") }
}

pub(super) fn authority(text: &str) -> Result<CaSlot, String> {
    let found = CaSlot::ALL.into_iter().find(|ca| ca.name() == text);
    found.ok_or_else(|| "it is one of ca, etcd-ca, front-proxy-ca".to_owned())
}

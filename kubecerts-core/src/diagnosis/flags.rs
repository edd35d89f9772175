//! The checks of the flags that name files: whether they are given, and whether what they name is what the program needs.

use super::checks::Context;
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, Component, FileSlot, LeafSlot, Slot};
use crate::inventory::{CertificateBundle, ChainFact, NamedFile, Place, Reading};
use crate::manifest::KubeletConfig;
use crate::path::TreePath;
use crate::snapshot::{EtcdPlacement, FileFlag, Verified};
use crate::x509::{Certificate, SignatureVerdict};

/// `missing`, `wrong-file`, `front-proxy-refused`
pub(super) fn flags(context: &Context<'_>, out: &mut Vec<Finding>) {
    let node = context.inventory.node();
    for component in Component::ALL {
        let Some(manifest) = node.manifest(component) else { continue };
        let of_component = |named: &&NamedFile| named.flag.component == component;
        let named: Vec<&NamedFile> = context.inventory.named_files().iter().filter(of_component).collect();
        let absent = named.iter().filter(|named| named.flag.path.is_none()).count();
        // A manifest that lacks most of kubeadm's flags is not kubeadm's.
        let is_kubeadms = absent * 2 <= named.len();
        for NamedFile { flag, exists, certificates } in &named {
            let name = flag.flag;
            match &flag.path {
                None if is_kubeadms
                    && !has_own_check(component, name)
                    && !is_of_others(context, component, name) =>
                {
                    let message = format!("{manifest} gives {component} no --{name}, which it needs");
                    let remedy = mend(context, flag, manifest);
                    out.push(inconsistent(FindingCode::Missing, message, remedy, manifest));
                }
                None => {}
                Some(path) if !exists => {
                    // The files of the tree and the keys of tokens have findings of their own.
                    if node.layout().slot_of(path).is_some() || name == TOKEN_KEY {
                        continue;
                    }
                    let message = format!("--{name} of {component} names {path}, which does not exist");
                    let remedy = mend(context, flag, manifest);
                    out.push(inconsistent(FindingCode::Missing, message, remedy, path));
                }
                Some(path) => {
                    let wrong = match flag.verifies {
                        Some(verified) => untrusting(context, path, certificates, verified),
                        None => wrong_authority(context, flag, certificates),
                    };
                    if let Some(message) = wrong {
                        let message = format!("{path} (--{name} of {component}) {message}");
                        let remedy = mend(context, flag, manifest);
                        out.push(wrong_file(component, name, message, remedy, manifest));
                    } else if flag.verifies.is_none()
                        && let Some(message) = several(context, flag, path, certificates)
                    {
                        out.push(message);
                    }
                }
            }
        }
        misdirected(context, component, manifest, &named, out);
    }
    of_kubelet(context, out);
}

/// Returns what gives the flag the file that it should name, if that is known.
fn mend(context: &Context<'_>, flag: &FileFlag, manifest: &TreePath) -> Remedy {
    let of_authority = flag.verifies.map(|verified| FileSlot::CaCertificate(authority(verified)));
    match of_authority.or(flag.file) {
        Some(file) => Remedy::SetFlag(flag.component, vec![(flag.flag, usual(context, file).to_string())]),
        None => Remedy::Repair(manifest.clone()),
    }
}

fn usual<'a>(context: &Context<'a>, file: FileSlot) -> &'a TreePath {
    context.inventory.node().layout().path(file)
}

/// `wrong-file`: flags that name the file of something else, those of one certificate together
fn misdirected(
    context: &Context<'_>,
    component: Component,
    manifest: &TreePath,
    named: &[&NamedFile],
    out: &mut Vec<Finding>,
) {
    let layout = context.inventory.node().layout();
    let mut wrong: Vec<(FileSlot, &FileFlag, &TreePath, FileSlot)> = Vec::new();
    for NamedFile { flag, .. } in named {
        let (Some(file), Some(path)) = (flag.file, &flag.path) else { continue };
        // What is verified with authorities is judged by what the file holds, and keys for tokens have a check of their own.
        if flag.verifies.is_some() || *layout.path(file) == *path || file.slot() == Slot::ServiceAccount {
            continue;
        }
        if matches!(file, FileSlot::CaCertificate(_)) {
            continue;
        }
        // The kubelet's certificate may be named by the file behind its link.
        let is_behind = |file: &FileSlot| {
            let meta = context.inventory.file(*file).meta.as_ref();
            meta.and_then(|meta| meta.target.as_ref()) == Some(path)
        };
        if let Some(other) = layout.slot_of(path).or_else(|| FileSlot::all().find(is_behind)) {
            wrong.push((file, flag, path, other));
        }
    }
    let mut slots: Vec<Slot> = Vec::new();
    for (file, ..) in &wrong {
        if slots.contains(&file.slot()) {
            continue;
        }
        slots.push(file.slot());
        let of_slot: Vec<_> = wrong.iter().filter(|(other, ..)| other.slot() == file.slot()).collect();
        let told: Vec<String> = of_slot
            .iter()
            .map(|(_, flag, path, other)| {
                format!("--{} names {path}, which is of {}", flag.flag, other.slot())
            })
            .collect();
        let message = format!("{component} is told to use what is of something else: {}", told.join("; "));
        let values = of_slot.iter().map(|(file, flag, ..)| (flag.flag, layout.path(*file).to_string()));
        let remedy = Remedy::SetFlag(component, values.collect());
        out.push(inconsistent(FindingCode::WrongFile, message, remedy, manifest));
    }
}

/// Returns why what a program signs with is not the authority, if it is neither that nor one that it has signed.
fn wrong_authority(
    context: &Context<'_>,
    flag: &FileFlag,
    certificates: &Reading<CertificateBundle>,
) -> Option<String> {
    let Some(FileSlot::CaCertificate(ca)) = flag.file else { return None };
    let signer = context.inventory.authority(ca).signer()?;
    let is_of_signer = |found: &Certificate| {
        found.public_key() == signer.public_key()
            || found.verify_signature(signer.public_key()) != SignatureVerdict::Invalid
    };
    let found = match certificates {
        Reading::Present(bundle) => bundle.certificates(),
        // Damage to the authority's own file has its finding, and it has no signer then.
        Reading::Damaged(damage) => return Some(format!("holds no authority: {damage}")),
        Reading::Absent | Reading::Unreadable(_) => return None,
    };
    if found.iter().any(is_of_signer) {
        return None;
    }
    Some(match found.first() {
        Some(first) => format!("holds the certificate of {}, and not that of {ca}", first.subject()),
        None => format!("holds no certificate, and not that of {ca}"),
    })
}

/// `wrong-file`: a file of several certificates for a program that takes one, and a second one for it not to start
/// (`pkg/controller/certificates/signer/ca_provider.go`, `setCA`).
fn several(
    context: &Context<'_>,
    flag: &FileFlag,
    path: &TreePath,
    certificates: &Reading<CertificateBundle>,
) -> Option<Finding> {
    let Some(FileSlot::CaCertificate(ca)) = flag.file else { return None };
    let found = certificates.present()?.certificates();
    if found.len() < 2 {
        return None;
    }
    let signer = context.inventory.authority(ca).signer()?;
    let number = found.iter().position(|found| found == signer)? + 1;
    let message = format!(
        "{path} (--{} of {}) holds {} certificates, and the program takes a file of exactly one; that of {ca} is number \
         {number}",
        flag.flag,
        flag.component,
        found.len()
    );
    let remedy = Remedy::KeepCertificate { path: path.clone(), number, of: found.len() };
    Some(inconsistent(FindingCode::WrongFile, message, remedy, path))
}

/// `wrong-file`: the file of authorities by which the kubelet knows the API server
fn of_kubelet(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let node = inventory.node();
    let Some(path) = node.kubelet().and_then(KubeletConfig::client_ca_file) else { return };
    let of_tree = match node.layout().slot_of(path) {
        Some(FileSlot::CaCertificate(ca)) => Some(inventory.authority(ca).certificate()),
        Some(FileSlot::LeafCertificate(leaf)) => {
            inventory.credential(Slot::Leaf(leaf)).map(|credential| credential.certificate())
        }
        _ => None,
    };
    let Some(certificates) = of_tree.or_else(|| inventory.trusted_in(path)) else { return };
    let verified = Verified::Leaf(LeafSlot::ApiServerKubeletClient);
    let Some(message) = untrusting(context, path, certificates, verified) else { return };
    let message = format!("{path} (clientCAFile of kubelet) {message}");
    let value = usual(context, FileSlot::CaCertificate(CaSlot::Cluster)).to_string();
    let Ok(config) = node.directories().kubelet.join("config.yaml") else { return };
    let remedy = Remedy::SetField("authentication.x509.clientCAFile", value);
    out.push(inconsistent(FindingCode::WrongFile, message, remedy, &config));
}

/// Those of the front proxy are judged as a whole.
fn has_own_check(component: Component, flag: &str) -> bool {
    component == Component::ApiServer
        && (flag == "requestheader-client-ca-file" || flag.starts_with("proxy-client-"))
}

/// An etcd of others may be reached without TLS, or with what no flag of kubeadm's names.
fn is_of_others(context: &Context<'_>, component: Component, flag: &str) -> bool {
    let is_external = matches!(context.inventory.node().etcd(), EtcdPlacement::External(_));
    component == Component::ApiServer && flag.starts_with("etcd-") && is_external
}

const fn authority(verified: Verified) -> CaSlot {
    match verified {
        Verified::AllOf(ca) => ca,
        Verified::Leaf(leaf) => leaf.issuer(),
    }
}

/// Returns why what is to be verified with the authorities in a file is not, if that is known.
fn untrusting(
    context: &Context<'_>,
    path: &TreePath,
    certificates: &Reading<CertificateBundle>,
    verified: Verified,
) -> Option<String> {
    let inventory = context.inventory;
    let ca = authority(verified);
    let bundle = match certificates {
        Reading::Present(bundle) => bundle.certificates(),
        // Damage to the authority's own file has its finding.
        Reading::Damaged(_) if path == usual(context, FileSlot::CaCertificate(ca)) => return None,
        Reading::Damaged(damage) => return Some(format!("holds no authority: {damage}")),
        Reading::Absent | Reading::Unreadable(_) => return None,
    };
    let leaf = match verified {
        Verified::AllOf(_) => None,
        Verified::Leaf(leaf) => inventory.credential(Slot::Leaf(leaf)),
    };
    let signer = inventory.authority(ca).signer();
    let is_signed = leaf.is_none_or(|leaf| matches!(leaf.chain(), Some(ChainFact::Signed(_))));
    let has = |signer: &Certificate| {
        bundle.iter().any(|trusted| {
            trusted.public_key() == signer.public_key() && trusted.subject() == signer.subject()
        })
    };
    // A leaf of another authority has its own finding, and is verified by what the file holds if at all.
    if is_signed && signer.is_some_and(has) {
        return None;
    }
    match leaf {
        None => signer.map(|_| format!("does not hold the certificate of {ca}")),
        Some(leaf) => {
            let leaf = leaf.leaf()?;
            let verifies = |trusted: &Certificate| {
                leaf.issuer() == trusted.subject()
                    && leaf.verify_signature(trusted.public_key()) != SignatureVerdict::Invalid
            };
            let Verified::Leaf(slot) = verified else { return None };
            // An intermediate may stand between the two, which only the chain can tell.
            (is_signed && !bundle.iter().any(verifies))
                .then(|| format!("does not hold the authority that has signed {slot}"))
        }
    }
}

/// What the API server publishes for extension API servers is about its certificate for them.
fn wrong_file(
    component: Component,
    flag: &str,
    message: String,
    remedy: Remedy,
    manifest: &TreePath,
) -> Finding {
    if !has_own_check(component, flag) {
        return inconsistent(FindingCode::WrongFile, message, remedy, manifest);
    }
    let place = Some(Place::Slot(Slot::Leaf(LeafSlot::FrontProxyClient)));
    let message = format!("{message}: extension API servers refuse it");
    Finding { place, ..inconsistent(FindingCode::FrontProxyRefused, message, remedy, manifest) }
}

/// `sa-key-unused` is about what it names.
const TOKEN_KEY: &str = "service-account-private-key-file";

fn inconsistent(code: FindingCode, message: String, remedy: Remedy, path: &TreePath) -> Finding {
    Finding {
        severity: Severity::Error,
        place: None,
        code,
        impact: Impact::Inconsistent,
        path: Some(path.clone()),
        message,
        remedy,
    }
}

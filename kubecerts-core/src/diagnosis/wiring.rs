//! The checks whether what the node's programs are told leads to what they need: manifests, their flags, kubelet.conf, and what
//! kubeconfigs say beside their certificates.

use super::checks::{Check, Context, about, at, stale_authority};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, NameRule, Slot};
use crate::inventory::{ChainFact, FileFacts, KubeconfigFacts, Place, Reading, Server};
use crate::kubeconfig::Source;
use crate::snapshot::EtcdPlacement;
use crate::x509::{Certificate, SignatureVerdict};

/// Every check; the order does not matter.
pub(super) const ALL: [Check; 8] = [
    manifests_are_there,
    super::flags::flags,
    kubelet_conf,
    ways_to_the_api_server,
    identities,
    own_signatures,
    bundles,
    nobody_else_writes,
];

/// `missing`
///
/// A node that has two of the three manifests of a control plane is one that kubeadm made, which has all of them.
fn manifests_are_there(context: &Context<'_>, out: &mut Vec<Finding>) {
    let node = context.inventory.node();
    let of_kubernetes = [Component::ApiServer, Component::ControllerManager, Component::Scheduler];
    let is_there = |component: &Component| node.manifest(*component).is_some();
    if of_kubernetes.iter().filter(|component| is_there(component)).count() < 2 {
        return;
    }
    // Where etcd is elsewhere the API server is told where.
    let etcd = [Component::Etcd].into_iter().filter(|_| matches!(node.etcd(), EtcdPlacement::Unknown));
    for component in of_kubernetes.into_iter().chain(etcd).filter(|component| !is_there(component)) {
        let directory = &node.directories().manifests;
        // What cannot be understood has its finding.
        if node.problems().iter().any(|problem| problem.path.parent() == *directory) {
            continue;
        }
        let Ok(path) = directory.join(&format!("{component}.yaml")) else { continue };
        out.push(Finding {
            severity: Severity::Error,
            place: None,
            code: FindingCode::Missing,
            impact: Impact::Unusable,
            message: format!(
                "there is no manifest of {component} in {directory}, so the kubelet does not run it"
            ),
            remedy: Remedy::RestoreFile(path.clone()),
            path: Some(path),
        });
    }
}

/// `missing`, `damaged`, `kubeconfig-ca-stale`: kubelet.conf that refers to the certificate that the kubelet rotates
fn kubelet_conf(context: &Context<'_>, out: &mut Vec<Finding>) {
    let slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
    let place = Place::Slot(slot);
    let facts = context.inventory.file(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet));
    let Some(credential) = context.inventory.credential(slot) else { return };
    let has_rotated = context.inventory.file(FileSlot::KubeletClient).exists;
    let remedy = || Remedy::Restore(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet));
    let rotated = || context.rotated().unwrap_or(Remedy::Restore(FileSlot::KubeletClient));
    let mut found = |code, impact, message: String, remedy| {
        out.push(at(facts, about(&place, Severity::Error, code, impact, message, remedy)));
    };
    if !facts.exists {
        if has_rotated {
            let message = format!("{} does not exist, so the kubelet's certificate is of no use", facts.path);
            found(FindingCode::Missing, Impact::Unusable, message, remedy());
        }
        return;
    }
    let Some(kubeconfig) = credential.kubeconfig() else {
        return;
    };
    // What embeds a certificate is judged with the others.
    if kubeconfig.is_embedded || kubeconfig.dangling.is_some() {
        return;
    }
    let KubeconfigFacts { file, authority, .. } = kubeconfig;
    let current = match file {
        Ok(file) => file.current().ok(),
        Err(damage) => {
            let message = format!("{}: {damage}", facts.path);
            found(FindingCode::Damaged, Impact::Unusable, message, Remedy::Inspect(facts.path.clone()));
            return;
        }
    };
    if let Reading::Damaged(damage) = authority {
        let message = format!("{}: {damage}", facts.path);
        found(FindingCode::Damaged, Impact::Unusable, message, Remedy::Inspect(facts.path.clone()));
    }
    if let Some(stale) = stale_authority(context, &place, kubeconfig) {
        out.push(at(facts, stale));
    }
    let mut found = |code, impact, message: String, remedy| {
        out.push(at(facts, about(&place, Severity::Error, code, impact, message, remedy)));
    };
    let Some(user) = current.map(|current| current.user) else { return };
    let (certificate, key) = (credential.certificate(), credential.key());
    if matches!(user.client_certificate(), Source::Absent) && user.other_credential().is_none() {
        let message = format!("{} names no client certificate", facts.path);
        found(FindingCode::Missing, Impact::Unusable, message, rotated());
    } else if certificate.is_absent() && user.other_credential().is_none() {
        let message = format!("it refers to {}, which does not exist", credential.certificate_file().path);
        found(FindingCode::Missing, Impact::Unusable, message, rotated());
    } else if key.is_absent() && certificate.present().is_some() {
        let message =
            format!("it refers to a private key in {}, and there is none", credential.key_file().path);
        found(FindingCode::KeyMissing, Impact::Unusable, message, rotated());
    } else if is_beside(context, credential.certificate_file()) || is_beside(context, credential.key_file()) {
        // A reference to another file than the one that the kubelet rotates.
        match (credential.key_matches(), certificate, key) {
            (Some(true), ..) => {}
            (Some(false), ..) => {
                let message = format!(
                    "the private key in {} is not that of {}",
                    credential.key_file().path,
                    credential.certificate_file().path
                );
                found(FindingCode::KeyMismatch, Impact::Inconsistent, message, rotated());
            }
            _ => {
                let problem = certificate.problem().or_else(|| key.problem()).unwrap_or_default();
                let message = format!("what it refers to cannot be used: {problem}");
                found(FindingCode::Damaged, Impact::Unusable, message, rotated());
            }
        }
    }
}

/// Returns whether `facts` is another file than the one that the kubelet rotates.
fn is_beside(context: &Context<'_>, facts: &FileFacts) -> bool {
    facts.path != context.inventory.file(FileSlot::KubeletClient).path
}

/// `damaged`, `kubeconfig-ca-stale`: a kubeconfig of the tree that leads to no API server, or trusts none
fn ways_to_the_api_server(context: &Context<'_>, out: &mut Vec<Finding>) {
    for slot in KubeconfigSlot::ALL {
        let place = Place::Slot(Slot::Kubeconfig(slot));
        let Some(credential) = context.inventory.credential(Slot::Kubeconfig(slot)) else { continue };
        let Some(kubeconfig) = credential.kubeconfig() else { continue };
        let Ok(Ok(current)) = kubeconfig.file.as_ref().map(|file| file.current()) else { continue };
        let facts = context.inventory.file(FileSlot::Kubeconfig(slot));
        let path = &facts.path;
        let problem = match current.cluster.server() {
            None | Some("") => Some(format!("{path} names no server")),
            Some(server) if !server.starts_with("https://") => {
                // Whatever is in the URL may be secret.
                Some(format!("{path} leads to a server without TLS, where nobody asks for a certificate"))
            }
            Some(server) if !has_host(server) => {
                Some(format!("{path} leads to a server whose name no host could have"))
            }
            Some(_) => None,
        };
        if let Some(message) = problem {
            let remedy = Remedy::Inspect(path.clone());
            let code = FindingCode::Damaged;
            out.push(at(facts, about(&place, Severity::Error, code, Impact::Unusable, message, remedy)));
        }
        // Without any it would trust the authorities of the operating system.
        let trusts_none = matches!(current.cluster.certificate_authority(), Source::Absent);
        if trusts_none && !current.cluster.insecure_skip_tls_verify() {
            let message = format!("{path} has no authority by which to know the API server");
            let finding = about(
                &place,
                Severity::Error,
                FindingCode::KubeconfigCaStale,
                Impact::Inconsistent,
                message,
                Remedy::Restore(FileSlot::Kubeconfig(slot)),
            );
            out.push(at(facts, finding));
        }
    }
}

/// Returns whether the host in `url` is an address, or made of what names of hosts are made of. Go takes more for a URL, and then looks
/// for a host that nobody has (`net/url/url.go`, `parseHost`).
fn has_host(url: &str) -> bool {
    let Some(Server { host, is_bracketed, .. }) = Server::of_url(url) else { return false };
    let is_of_name = |character: char| character.is_alphanumeric() || matches!(character, '-' | '.' | '_');
    let is_name = !is_bracketed && !host.is_empty() && host.chars().all(is_of_name);
    is_name || host.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `foreign-leaf`: a certificate in the place of another, with the other's name
fn identities(context: &Context<'_>, out: &mut Vec<Finding>) {
    let specs = || {
        let leaves = LeafSlot::ALL.into_iter().map(|leaf| (Slot::Leaf(leaf), leaf.spec()));
        let kubeconfigs = KubeconfigSlot::ALL.into_iter().map(|slot| (Slot::Kubeconfig(slot), slot.spec()));
        leaves.chain(kubeconfigs)
    };
    for (slot, spec) in specs() {
        let Some(credential) = context.inventory.credential(slot) else { continue };
        let is_signed = matches!(credential.chain(), Some(ChainFact::Signed(_)));
        let Some(name) = credential.leaf().and_then(|leaf| leaf.subject().common_name()) else { continue };
        // One of another authority has its finding already.
        if !is_signed || matches!(spec.common_name, NameRule::Fixed(own) if own == name) {
            continue;
        }
        let other = specs().find(|(_, other)| match other.common_name {
            NameRule::Fixed(fixed) => fixed == name,
            NameRule::SystemNode => name.starts_with("system:node:"),
            NameRule::NodeName => false,
        });
        let Some((other, _)) = other.filter(|(other, _)| *other != slot) else { continue };
        let place = Place::Slot(slot);
        let message = format!("it is a certificate of {other}, by its name {name}");
        // It works, with more rights than it should have.
        let is_stronger = slot == Slot::Kubeconfig(KubeconfigSlot::Admin)
            && other == Slot::Kubeconfig(KubeconfigSlot::SuperAdmin);
        let (severity, impact) = match is_stronger {
            true => (Severity::Notice, Impact::None),
            false => (Severity::Error, Impact::Inconsistent),
        };
        let finding = about(
            &place,
            severity,
            FindingCode::ForeignLeaf,
            impact,
            message,
            match slot {
                Slot::Leaf(leaf) => Remedy::Restore(FileSlot::LeafCertificate(leaf)),
                Slot::Kubeconfig(kubeconfig) if !is_stronger => {
                    Remedy::Restore(FileSlot::Kubeconfig(kubeconfig))
                }
                _ => Remedy::Inspect(credential.certificate_file().path.clone()),
            },
        );
        out.push(at(credential.certificate_file(), finding));
    }
}

/// `damaged`: an authority that has signed itself, and not what its certificate says now
///
/// Go does not verify the signature of a root that it trusts; that it does not hold shows that the file was changed.
fn own_signatures(context: &Context<'_>, out: &mut Vec<Finding>) {
    for ca in CaSlot::ALL {
        let authority = context.inventory.authority(ca);
        let Some(bundle) = authority.certificate().present() else { continue };
        if bundle.certificates().iter().any(was_changed) {
            let facts = authority.certificate_file();
            let message = format!("{}: its own signature does not hold, so it was changed since", facts.path);
            let remedy = Remedy::Restore(FileSlot::CaCertificate(ca));
            let place = Place::Slot(Slot::Ca(ca));
            let code = FindingCode::Damaged;
            out.push(at(facts, about(&place, Severity::Error, code, Impact::Inconsistent, message, remedy)));
        }
    }
}

/// Returns whether the certificate signed itself, and is not what was signed.
fn was_changed(certificate: &Certificate) -> bool {
    let verdict = |certificate: &Certificate| certificate.verify_signature(certificate.public_key());
    if certificate.is_self_issued() {
        return verdict(certificate) == SignatureVerdict::Invalid;
    }
    // By its names it is an intermediate, which others have signed; unless its signature holds under its own name, so that it is
    // the name of its issuer that was changed. Nobody looks at that name in a root, so everything else goes on to work.
    let (issuer, subject) = (certificate.issuer().as_der(), certificate.subject().as_der());
    let mut der = certificate.as_der().to_vec();
    let Some(start) = der.windows(issuer.len()).position(|window| window == issuer) else { return false };
    if issuer.len() != subject.len() {
        return false;
    }
    der[start..start + issuer.len()].copy_from_slice(subject);
    Certificate::parse_der(&der).is_ok_and(|own| verdict(&own) == SignatureVerdict::Valid)
}

/// `not-an-authority`, `ca-reuse`: what stands in the file of an authority behind its own certificate
fn bundles(context: &Context<'_>, out: &mut Vec<Finding>) {
    for ca in CaSlot::ALL {
        let authority = context.inventory.authority(ca);
        let (Some(bundle), Some(signer)) = (authority.certificate().present(), authority.signer()) else {
            continue;
        };
        let facts = authority.certificate_file();
        let place = Place::Slot(Slot::Ca(ca));
        let mut found = |code, message, remedy| {
            out.push(at(facts, about(&place, Severity::Warning, code, Impact::None, message, remedy)));
        };
        for further in bundle.certificates().iter().filter(|further| *further != signer) {
            let subject = further.subject();
            let other = CaSlot::ALL.into_iter().find(|other| {
                let signer = context.inventory.authority(*other).signer();
                *other != ca && signer.is_some_and(|other| other.public_key() == further.public_key())
            });
            let remedy = Remedy::Inspect(facts.path.clone());
            if !further.is_authority() {
                let message =
                    format!("{} holds the certificate of {subject} too, which is no authority", facts.path);
                found(FindingCode::NotAnAuthority, message, remedy);
            } else if let Some(other) = other
                && signer.public_key() != further.public_key()
            {
                let message = format!(
                    "{} holds the certificate of {other} too: who has a certificate of the one is let in by the other",
                    facts.path
                );
                found(FindingCode::CaReuse, message, remedy);
            }
        }
    }
}

/// `owner-wrong`, `key-readable`: what is public and trusted may not be written by everybody, nor hold a key
fn nobody_else_writes(context: &Context<'_>, out: &mut Vec<Finding>) {
    for file in FileSlot::all() {
        let facts = context.inventory.file(file);
        let Some(meta) = &facts.meta else { continue };
        let place = Place::Slot(file.slot());
        let is_public = !file.is_secret() || file == FileSlot::Kubeconfig(KubeconfigSlot::Kubelet);
        if is_public && meta.mode & WRITABLE_BY_OTHERS != 0 {
            let message =
                format!("{} has the mode {:04o}: others can replace what is in it", facts.path, meta.mode);
            let remedy = Remedy::SetMode(facts.path.clone(), meta.mode & !WRITABLE_BY_OTHERS);
            let code = FindingCode::OwnerWrong;
            out.push(at(facts, about(&place, Severity::Warning, code, Impact::None, message, remedy)));
        }
    }
    let leaves = LeafSlot::ALL.into_iter().filter_map(|leaf| {
        let credential = context.inventory.credential(Slot::Leaf(leaf))?;
        Some((Slot::Leaf(leaf), credential.certificate_file(), credential.certificate().present()?))
    });
    let authorities = CaSlot::ALL.into_iter().filter_map(|ca| {
        let authority = context.inventory.authority(ca);
        Some((Slot::Ca(ca), authority.certificate_file(), authority.certificate().present()?))
    });
    for (slot, facts, bundle) in leaves.chain(authorities) {
        if bundle.holds_private_key() && facts.is_open_to_others() {
            let message = format!("{} holds a private key too, and others can read it", facts.path);
            let remedy = Remedy::Inspect(facts.path.clone());
            let (place, code) = (Place::Slot(slot), FindingCode::KeyReadable);
            out.push(at(facts, about(&place, Severity::Warning, code, Impact::None, message, remedy)));
        }
    }
}

const WRITABLE_BY_OTHERS: u32 = 0o002;

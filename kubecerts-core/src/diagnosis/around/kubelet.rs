//! The link to the kubelet's current certificate.

use crate::catalog::{CaSlot, FileSlot, NodeName, Slot};
use crate::diagnosis::checks::{Context, about, at};
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::inventory::{Credential, DatedCertificate, Place};
use crate::path::TreePath;
use crate::snapshot::ReadProblem;
use crate::time::Timestamp;
use crate::x509::Certificate;

/// `not-a-symlink`
///
/// The kubelet writes a dated file at each rotation and points its link at it (`updateSymlink` in
/// `client-go/util/certificate/certificate_store.go`); it gives up when there is a file instead of the link.
pub(super) fn link(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let facts = inventory.file(FileSlot::KubeletClient);
    let Some(credential) = inventory.credential(Slot::KubeletClient) else { return };
    if !inventory.surroundings().is_known || !facts.exists {
        return;
    }
    let path = &facts.path;
    let newest = newest(context);
    let is_file = facts.meta.as_ref().is_some_and(|meta| meta.target.is_none());
    let relink = || match newest {
        Some(newest) => Remedy::Relink { link: path.clone(), target: newest.file.path.clone(), is_file },
        None => Remedy::Restore(FileSlot::KubeletClient),
    };
    let place = Place::Slot(Slot::KubeletClient);
    let mut found = |severity, impact, message, remedy| {
        out.push(at(facts, about(&place, severity, FindingCode::NotASymlink, impact, message, remedy)));
    };
    if let Some(ReadProblem::DanglingLink { target, .. }) = credential.certificate().unreadable() {
        let message = format!("{path} points to {target}, which does not exist");
        found(Severity::Error, Impact::Unusable, message, relink());
        return;
    }
    let Some(meta) = &facts.meta else { return };
    let current = credential.leaf().filter(|_| credential.key_matches() == Some(true));
    let better = newest.filter(|newest| is_better(newest, current));
    // With what cannot be used the kubelet does not start.
    let (severity, impact) = match current {
        Some(_) => (Severity::Warning, Impact::None),
        None => (Severity::Error, Impact::Unusable),
    };
    let Some(target) = meta.target.as_ref().filter(|target| target.file_name() != path.file_name()) else {
        let message =
            format!("{path} is a file and not a link: the kubelet cannot put a new certificate there");
        let remedy = match (better, current) {
            (None, Some(current)) => Remedy::MoveAndLink { file: path.clone(), target: dated(path, current) },
            _ => relink(),
        };
        found(severity, impact, message, remedy);
        return;
    };
    if let Some(better) = better {
        let end = better.certificate.present().map(|bundle| bundle.first().not_after());
        let message = format!(
            "{path} points to {}, though {} is valid until {}",
            target.file_name(),
            better.file.path.file_name(),
            end.unwrap_or(Timestamp::MIN)
        );
        found(severity, impact, message, relink());
    }
}

/// `missing`
///
/// With `serverTLSBootstrap` the kubelet has no certificate to serve with until somebody approves what it asks for: nothing in a cluster
/// does so by itself.
pub(in crate::diagnosis) fn serving(context: &Context<'_>, out: &mut Vec<Finding>) {
    let kubelet = context.inventory.node().kubelet();
    let facts = context.inventory.file(FileSlot::KubeletServingCertificate);
    let asks = kubelet.is_some_and(|kubelet| {
        kubelet.server_tls_bootstrap() == Some(true) && kubelet.tls_cert_file().is_none()
    });
    if !asks || facts.exists {
        return;
    }
    let message = format!(
        "{} does not exist, and serverTLSBootstrap is set: what the kubelet has asked for was not approved",
        facts.path
    );
    let place = Place::Slot(Slot::KubeletServing);
    let (severity, remedy) = (Severity::Warning, Remedy::ApproveRequest);
    let finding = about(&place, severity, FindingCode::Missing, Impact::None, message, remedy);
    out.push(at(facts, finding));
}

/// Returns whether what cannot be read is a link that leads nowhere, and so found by `link`.
pub(in crate::diagnosis) fn is_broken_link(context: &Context<'_>, place: &Place) -> bool {
    let inventory = context.inventory;
    let is_dangling = || {
        let credential = inventory.credential(Slot::KubeletClient);
        let problem = credential.and_then(|credential| credential.certificate().unreadable());
        matches!(problem, Some(ReadProblem::DanglingLink { .. }))
    };
    *place == Place::Slot(Slot::KubeletClient) && inventory.surroundings().is_known && is_dangling()
}

/// Returns the newest file that the kubelet of this node could use now: what lies there may be left of another cluster, or of
/// another name of the node.
fn newest<'a>(context: &Context<'a>) -> Option<&'a DatedCertificate> {
    let inventory = context.inventory;
    let current = inventory.credential(Slot::KubeletClient).and_then(Credential::leaf);
    let known = inventory.known_node_name();
    let is_own = |leaf: &Certificate| match (current, &known) {
        (Some(current), _) => leaf.subject().is_same_identity(current.subject()),
        (None, Some(known)) => {
            leaf.subject().common_name().and_then(NodeName::of_user).as_ref() == Some(known)
        }
        (None, None) => leaf.subject().common_name().and_then(NodeName::of_user).is_some(),
    };
    let cluster = inventory.authority(CaSlot::Cluster).certificate().present();
    let is_signed = |leaf: &Certificate| {
        cluster.is_some_and(|cluster| cluster.certificates().iter().any(|ca| leaf.is_signed_by(ca)))
    };
    let is_valid = |dated: &&DatedCertificate| {
        let valid = |leaf: &Certificate| {
            leaf.not_before() <= context.now
                && context.now <= leaf.not_after()
                && is_own(leaf)
                && is_signed(leaf)
        };
        dated.is_whole() && dated.certificate.present().is_some_and(|bundle| valid(bundle.first()))
    };
    let all = context.inventory.surroundings().kubelet_certificates.iter();
    all.filter(is_valid).max_by_key(|dated| (end(dated), &dated.file.path))
}

fn is_better(newest: &DatedCertificate, current: Option<&Certificate>) -> bool {
    current.is_none_or(|current| end(newest) > Some(current.not_after()))
}

fn end(dated: &DatedCertificate) -> Option<Timestamp> {
    dated.certificate.present().map(|bundle| bundle.first().not_after())
}

/// Returns the name that the kubelet would have given to the certificate when it got it.
fn dated(current: &TreePath, certificate: &Certificate) -> TreePath {
    let moment = certificate.not_before().to_string().replace(['T', ':'], "-").replace('Z', "");
    let name = format!("kubelet-client-{moment}.pem");
    current.parent().join(&name).unwrap_or_else(|_| current.clone())
}

//! The check whether what belongs to one node belongs to this one.

use super::checks::{Context, at, error};
use super::{Finding, FindingCode, Impact, Remedy};
use crate::catalog::{FileSlot, KubeconfigSlot, LeafSlot, NodeName, PathSource, Slot};
use crate::inventory::{ChainFact, Credential, Inventory, Place};
use crate::manifest::KubeadmConfig;
use crate::x509::{AlternativeName, Certificate};

/// `foreign-leaf`, which explains `alternative-name-missing` and `alternative-name-unexpected`
pub(super) fn foreign(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    for leaf in [LeafSlot::ApiServer, LeafSlot::EtcdPeer, LeafSlot::EtcdServer] {
        let (slot, remedy) = (Slot::Leaf(leaf), Remedy::Restore(FileSlot::LeafCertificate(leaf)));
        let Some(credential) = inventory.credential(slot) else { continue };
        let Some(message) = served_by_another(inventory, leaf, credential) else { continue };
        out.retain(|finding| {
            let is_of_names = matches!(
                finding.code,
                FindingCode::AlternativeNameMissing | FindingCode::AlternativeNameUnexpected
            );
            !is_of_names || finding.place != Some(Place::Slot(slot))
        });
        let finding = error(slot, FindingCode::ForeignLeaf, Impact::Inconsistent, message, remedy);
        out.push(at(credential.certificate_file(), finding));
    }
    let Some(own) = name_without_kubelet(inventory) else { return };
    for (slot, file) in [
        (Slot::KubeletClient, FileSlot::KubeletClient),
        (Slot::Kubeconfig(KubeconfigSlot::Kubelet), FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)),
    ] {
        let credential = context.own_credentials().find(|(place, _)| **place == Place::Slot(slot));
        let Some((_, credential)) = credential else { continue };
        let user = credential.leaf().and_then(|leaf| leaf.subject().common_name());
        let Some(other) = user.and_then(NodeName::of_user).filter(|other| *other != own) else { continue };
        let message = format!("is for the kubelet of {}, and this node is {}", other.as_str(), own.as_str());
        let remedy = Remedy::Restore(file);
        let finding = error(slot, FindingCode::ForeignLeaf, Impact::Inconsistent, message, remedy);
        out.push(at(credential.certificate_file(), finding));
    }
}

/// Returns what shows that the certificate is another node's: it has the name or the address of one, and neither of this one.
///
/// Only kubeadm's certificates say so, which always have both. Without the node's name, and for the API server without its
/// address, nothing is known.
fn served_by_another(inventory: &Inventory, leaf: LeafSlot, credential: &Credential) -> Option<String> {
    let own = inventory.known_node_name()?;
    let address = inventory.advertised().map(|(address, _)| AlternativeName::Ip(address));
    let certificate = credential.leaf()?;
    // That a certificate is of another authority says more.
    if !matches!(credential.chain(), Some(ChainFact::Signed(_) | ChainFact::Unverifiable(..))) {
        return None;
    }
    let common_name = certificate.subject().common_name()?;
    let names = certificate.alternative_names();
    let is_own = |name: &AlternativeName| names.covers(name);
    if common_name == own.as_str()
        || is_own(&AlternativeName::Dns(own.as_str().to_owned()))
        || address.as_ref().is_some_and(is_own)
    {
        return None;
    }
    let other = match leaf {
        LeafSlot::ApiServer => {
            address.as_ref().filter(|_| common_name == "kube-apiserver")?;
            node_among(inventory, leaf, certificate)?
        }
        // kubeadm calls etcd's servers after their nodes, in the subject as among the names.
        _ => {
            let other = NodeName::parse(common_name).ok()?;
            let name = AlternativeName::Dns(other.as_str().to_owned());
            names.as_slice().contains(&name).then(|| other.as_str().to_owned())?
        }
    };
    let here = match address {
        Some(address) => format!("neither for {} nor for {}", own.as_str(), address.host()),
        None => format!("not for {}", own.as_str()),
    };
    Some(format!("is of another node: it is valid for {other}, and {here}"))
}

/// Returns the name of a node, or else an address, that nothing but another node could ask for.
fn node_among(inventory: &Inventory, leaf: LeafSlot, certificate: &Certificate) -> Option<String> {
    let expected = inventory.expected_names(leaf);
    let asked_for = |name: &AlternativeName| {
        expected.iter().any(|expected| name.covers(&expected.name) || expected.name.covers(name))
    };
    let is_of_a_node = |name: &&AlternativeName| match name {
        AlternativeName::Dns(text) => {
            !asked_for(name)
                && !text.starts_with("kubernetes")
                && text != "localhost"
                && !text.starts_with('*')
        }
        AlternativeName::Ip(address) => !asked_for(name) && !address.is_loopback(),
        _ => false,
    };
    // Names sort before addresses.
    certificate.alternative_names().as_slice().iter().filter(is_of_a_node).min().map(AlternativeName::host)
}

/// Returns the node's name on the word of others than its kubelet: of the caller, else of the kubeadm configuration and of
/// etcd, whose certificate has to agree.
fn name_without_kubelet(inventory: &Inventory) -> Option<NodeName> {
    let stated = inventory.node().node_name();
    if let Some(stated) = stated.filter(|stated| stated.source == PathSource::Argument) {
        return NodeName::parse(&stated.value).ok();
    }
    let configured = inventory.node().kubeadm().and_then(KubeadmConfig::node_name);
    let configured = configured.and_then(|name| NodeName::parse(name).ok());
    let member = stated.filter(|stated| stated.source == PathSource::Manifest);
    let member = member.and_then(|stated| NodeName::parse(&stated.value).ok()).filter(|member| {
        let credential = inventory.credential(Slot::Leaf(LeafSlot::EtcdServer));
        let subject = credential.and_then(Credential::leaf).map(Certificate::subject);
        subject.and_then(|subject| subject.common_name()) == Some(member.as_str())
    });
    match (configured, member) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

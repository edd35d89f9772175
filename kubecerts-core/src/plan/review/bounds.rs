//! How far the identity and the usages of a certificate may go: as far as kubeadm's, or the replaced certificate's.

use super::ReviewError;
use crate::catalog::{ClientSpec, NameRule, Slot};
use crate::plan::CertificateSpec;
use crate::snapshot::NodeFacts;
use crate::x509::{Certificate, DistinguishedName, ExtendedKeyUsages, KeyUsages, NameAttribute, Purpose};

/// Checks that a renewed certificate is nobody else, and good for nothing else, than `old` or kubeadm's own; and that it
/// keeps what both have, because its component needs that.
pub(super) fn check_renewal(
    slot: Slot,
    certificate: &CertificateSpec,
    profile: ClientSpec,
    old: &Certificate,
    node: &NodeFacts,
) -> Result<(), ReviewError> {
    check_subject(slot, &certificate.subject, profile, old, node)?;
    check_key_usages(slot, certificate.key_usages, old)?;
    check_purposes(slot, &certificate.extended_key_usages, profile, old)
}

/// Checks that the certificate of an empty slot is kubeadm's own, and returns the name of the node in it.
pub(super) fn check_creation(
    slot: Slot,
    certificate: &CertificateSpec,
    facts: &NodeFacts,
) -> Result<Option<String>, ReviewError> {
    let other = |field| ReviewError::OtherProfile { slot, field };
    let named = certificate.subject.common_name().unwrap_or_default();
    let (node, common_name, groups, key_usages, usages) = match (slot, profile(slot)) {
        (Slot::Ca(ca), _) => (None, ca.spec().common_name, [None, None], KeyUsages::AUTHORITY, &[][..]),
        (_, Some(spec)) => {
            let (node, common_name) = match spec.common_name {
                NameRule::Fixed(name) => (None, name),
                NameRule::NodeName => (Some(named), named),
                NameRule::SystemNode => {
                    (Some(named.strip_prefix(SYSTEM_NODE).ok_or_else(|| other("subject"))?), named)
                }
            };
            (node, common_name, organisations(spec, facts), KeyUsages::LEAF, spec.usages)
        }
        (_, None) => return Err(other("certificate")),
    };
    let is_kubeadms = |group: &Option<&str>| {
        let groups: Vec<&str> = group.iter().copied().collect();
        certificate.subject == DistinguishedName::kubeadm(common_name, &groups)
    };
    if !groups.iter().any(is_kubeadms) {
        return Err(other("subject"));
    }
    if certificate.key_usages != key_usages {
        return Err(other("key usages"));
    }
    if certificate
        .extended_key_usages
        .as_slice()
        .iter()
        .copied()
        .ne(usages.iter().copied().map(Purpose::from))
    {
        return Err(other("extended key usages"));
    }
    Ok(node.map(str::to_owned))
}

/// Returns what kubeadm puts into the certificate of `slot`, when an authority of the tree signs it for kubeadm.
pub(super) const fn profile(slot: Slot) -> Option<ClientSpec> {
    match slot {
        Slot::Leaf(leaf) => Some(leaf.spec()),
        Slot::Kubeconfig(kubeconfig) => Some(kubeconfig.spec()),
        Slot::Ca(_) | Slot::ServiceAccount | Slot::KubeletClient | Slot::KubeletServing => None,
    }
}

/// Each attribute must be one of the replaced certificate or of kubeadm's. That may well be fewer.
fn check_subject(
    slot: Slot,
    subject: &DistinguishedName,
    profile: ClientSpec,
    old: &Certificate,
    node: &NodeFacts,
) -> Result<(), ReviewError> {
    let old = old.subject();
    if subject == old {
        return Ok(());
    }
    let common_name = common_name(profile, node);
    let organisations = organisations(profile, node);
    let is_within = |attribute: &&NameAttribute| {
        let value = Some(attribute.value.as_str());
        match attribute.kind.as_str() {
            // Only the last common name is the user; an earlier one must not become it.
            "CN" => value == old.common_name() || value == common_name.as_deref(),
            "O" => old.attributes().contains(attribute) || organisations.contains(&value),
            _ => old.attributes().contains(attribute),
        }
    };
    if let Some(attribute) = subject.attributes().iter().find(|attribute| !is_within(attribute)) {
        return Err(ReviewError::Subject { slot, attribute: attribute.clone() });
    }
    let is_organisation = |attribute: &NameAttribute| {
        attribute.kind == "O" && organisations.contains(&Some(attribute.value.as_str()))
    };
    let has_organisation = subject.attributes().iter().any(is_organisation);
    let lost = |attribute: &&NameAttribute| match attribute.kind.as_str() {
        // One of two is there: whatever is not kubeadm's was refused before.
        "CN" => subject.common_name().is_none(),
        "O" => is_organisation(attribute) && !has_organisation,
        _ => false,
    };
    match old.attributes().iter().find(lost) {
        Some(attribute) => {
            Err(ReviewError::Narrowed { slot, field: "subject", missing: attribute.to_string() })
        }
        None => Ok(()),
    }
}

/// Returns kubeadm's common name, as far as it is known.
fn common_name(profile: ClientSpec, node: &NodeFacts) -> Option<String> {
    let node_name = || node.node_name().map(|stated| stated.value.as_str());
    match profile.common_name {
        NameRule::Fixed(name) => Some(name.to_owned()),
        NameRule::NodeName => node_name().map(str::to_owned),
        NameRule::SystemNode => node_name().map(|name| format!("{SYSTEM_NODE}{name}")),
    }
}

/// Returns the organisations of the newest kubeadm and of the node's own: those of old versions on old nodes only, for nothing
/// new shall bypass RBAC.
fn organisations(profile: ClientSpec, node: &NodeFacts) -> [Option<&'static str>; 2] {
    // In comparisons with attributes `None` equals nothing: an attribute always has a value.
    [profile.organisation(None), profile.organisation(node.version())]
}

fn check_key_usages(slot: Slot, usages: KeyUsages, old: &Certificate) -> Result<(), ReviewError> {
    // Without the extension the use of the old key was not restricted (RFC 5280 §4.2.1.3), but it was no authority's.
    let kept = old.key_usages().unwrap_or(usages).without_authority();
    let beyond = usages.without(KeyUsages::LEAF).without(kept);
    if !beyond.is_empty() {
        return Err(ReviewError::KeyUsages { slot, beyond });
    }
    let unneeded = match old.key_usages() {
        // Without any usage the key would be good for nothing.
        Some(old) if !usages.is_empty() => KeyUsages::LEAF.without(old),
        _ => KeyUsages::LEAF.without(KeyUsages::LEAF),
    };
    let missing: Vec<&str> = KeyUsages::LEAF.without(unneeded).without(usages).names().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ReviewError::Narrowed { slot, field: "key usage", missing: missing.join(", ") })
}

fn check_purposes(
    slot: Slot,
    purposes: &ExtendedKeyUsages,
    profile: ClientSpec,
    old: &Certificate,
) -> Result<(), ReviewError> {
    let old = old.extended_key_usages();
    // No purpose at all means every purpose.
    let asked = if purposes.is_empty() { &[Purpose::ANY][..] } else { purposes.as_slice() };
    let is_within = |purpose: &Purpose| {
        old.allows(*purpose) || profile.usages.iter().any(|usage| Purpose::from(*usage) == *purpose)
    };
    let beyond: Vec<Purpose> = asked.iter().copied().filter(|purpose| !is_within(purpose)).collect();
    if !beyond.is_empty() {
        return Err(ReviewError::ExtendedKeyUsages { slot, beyond });
    }
    let needed = profile.usages.iter().copied().map(Purpose::from).filter(|purpose| old.allows(*purpose));
    let missing: Vec<String> =
        needed.filter(|purpose| !purposes.allows(*purpose)).map(|purpose| purpose.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ReviewError::Narrowed { slot, field: "extended key usage", missing: missing.join(", ") })
}

/// What comes before the name of a node in the common name of its kubelet.
const SYSTEM_NODE: &str = "system:node:";

//! The checks of alternative names.

use super::checks::{Context, about, at};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{FileSlot, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::{ChainFact, Credential, Custody, ExpectedName, NameReason, Place};
use crate::x509::AlternativeName;

/// `alternative-name-missing`, `alternative-name-unexpected`
pub(super) fn alternative_names(context: &Context<'_>, out: &mut Vec<Finding>) {
    for leaf in LeafSlot::ALL {
        let slot = Slot::Leaf(leaf);
        let Some(credential) = context.inventory.credential(slot) else { continue };
        // That a certificate is of another authority says more than whose names are in it.
        if matches!(credential.chain(), Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_))) {
            continue;
        }
        let place = Place::Slot(slot);
        let lacking = context.inventory.lacking_names(leaf);
        let held = context.inventory.authority(leaf.issuer()).custody() == Custody::Held;
        let mend = if held {
            Remedy::AddNames(slot, lacking.iter().map(|expected| expected.name.clone()).collect())
        } else {
            context.renewal(&place)
        };
        for expected in &lacking {
            let (name, reason) = (&expected.name, expected.reason());
            let (severity, impact, message) = match expected.clients() {
                Some(clients) => (
                    Severity::Error,
                    Impact::Inconsistent,
                    format!(
                        "is not valid for {} ({reason}): {clients} do not accept it{}",
                        said(name),
                        doubt(context, expected)
                    ),
                ),
                // Nobody is known to go by it, so nothing fails.
                None => (
                    Severity::Warning,
                    Impact::None,
                    format!("is not valid for {} ({reason}), for which kubeadm makes it", said(name)),
                ),
            };
            let code = FindingCode::AlternativeNameMissing;
            let finding = about(&place, severity, code, impact, message, mend.clone());
            out.push(at(credential.certificate_file(), finding));
        }
        for name in context.inventory.surplus_names(leaf).unwrap_or_default() {
            let message = format!(
                "is valid for {}, which neither the configuration nor the node asks for",
                said(&name)
            );
            let code = FindingCode::AlternativeNameUnexpected;
            let finding = about(&place, Severity::Notice, code, Impact::None, message, Remedy::Nothing);
            out.push(at(credential.certificate_file(), finding));
        }
    }
}

/// Returns that it may be the kubeconfig that is wrong, when it alone leads there.
fn doubt(context: &Context<'_>, expected: &ExpectedName) -> String {
    let [NameReason::Kubeconfig { path, .. }] = expected.reasons.as_slice() else { return String::new() };
    let leads_elsewhere = |slot: &KubeconfigSlot| {
        let credential = context.inventory.credential(Slot::Kubeconfig(*slot));
        let facts = credential.and_then(Credential::kubeconfig);
        let server = facts.and_then(|facts| facts.file.as_ref().ok()?.current().ok()?.cluster.server());
        server.is_some() && context.inventory.file(FileSlot::Kubeconfig(*slot)).path != *path
    };
    // One other may be as wrong.
    match KubeconfigSlot::ALL.iter().filter(|slot| leads_elsewhere(slot)).count() {
        0 | 1 => String::new(),
        _ => format!("; no other kubeconfig leads there, so {path} may be what is wrong"),
    }
}

fn said(name: &AlternativeName) -> String {
    match name {
        AlternativeName::Dns(_) | AlternativeName::Ip(_) => name.host(),
        name => name.to_string(),
    }
}

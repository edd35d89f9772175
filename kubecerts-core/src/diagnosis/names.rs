//! The checks of alternative names.

use super::checks::{Context, about, at};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{FileSlot, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::{ChainFact, Custody, ExpectedName, NameReason, Place};
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

/// Returns that it may be the kubeconfig that is wrong: one alone leads where none of the others does, which agree.
fn doubt(context: &Context<'_>, expected: &ExpectedName) -> String {
    let [NameReason::Kubeconfig { path, .. }] = expected.reasons.as_slice() else { return String::new() };
    let mut others: Vec<&str> = Vec::new();
    for slot in KubeconfigSlot::ALL {
        let Some(credential) = context.inventory.credential(Slot::Kubeconfig(slot)) else { continue };
        if context.inventory.file(FileSlot::Kubeconfig(slot)).path == *path {
            continue;
        }
        let file = credential.kubeconfig().and_then(|facts| facts.file.as_ref().ok());
        others.extend(file.and_then(|file| file.current().ok()?.cluster.server()));
    }
    let count = others.len();
    others.sort_unstable();
    others.dedup();
    match others.as_slice() {
        // Whatever is in the URL may be secret.
        [_] if count > 1 => {
            format!("; all other kubeconfigs lead to one other server, so {path} may be what is wrong")
        }
        _ => String::new(),
    }
}

fn said(name: &AlternativeName) -> String {
    match name {
        AlternativeName::Dns(_) | AlternativeName::Ip(_) => name.host(),
        name => name.to_string(),
    }
}

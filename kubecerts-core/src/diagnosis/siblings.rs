//! The checks of certificates against those that are renewed with them.
//!
//! kubeadm renews all of its certificates at once and makes them alike, so one that differs was left out or was made by other
//! means. These are things to know, not to mend at once: whatever else is wrong with a certificate says more.

use std::collections::BTreeMap;

use super::checks::{Context, about, at, coarse};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{FileSlot, Slot};
use crate::inventory::{ChainFact, Credential, Place};
use crate::time::{Seconds, Timestamp};
use crate::x509::{Certificate, KeyType};

/// `late-leaf`
pub(super) fn ends(context: &Context<'_>, out: &mut Vec<Finding>) {
    let siblings = siblings(context, out);
    let Some(usual) = middle(siblings.iter().map(|sibling| sibling.leaf.not_after().unix()).collect()) else {
        return;
    };
    let usual = Timestamp::from_unix(usual);
    for sibling in &siblings {
        let end = sibling.leaf.not_after();
        // A leaf that ends with its authority could not be given more.
        if sibling.is_capped || sibling.has(out, &[FindingCode::ParamDrift]) {
            continue;
        }
        let (apart, direction) =
            if end < usual { (usual.since(end), "before") } else { (end.since(usual), "after") };
        if apart <= context.policy.window {
            continue;
        }
        let message = format!(
            "ends {end}, {} {direction} most of those that are renewed with it ({usual})",
            coarse(apart)
        );
        out.push(sibling.finding(FindingCode::LateLeaf, message, context.renewal(&sibling.place)));
    }
}

/// `param-drift`
pub(super) fn parameters(context: &Context<'_>, out: &mut Vec<Finding>) {
    let siblings = siblings(context, out);
    let mut counts: BTreeMap<&KeyType, usize> = BTreeMap::new();
    for sibling in &siblings {
        *counts.entry(sibling.leaf.public_key().key_type()).or_default() += 1;
    }
    let usual = counts.iter().find(|(_, count)| **count * 2 > siblings.len()).map(|(key, _)| *key);
    let spans = siblings.iter().filter_map(Sibling::lifetime).map(|span| span.0).collect();
    let usual_span = middle(spans).map(Seconds);
    for sibling in &siblings {
        let key = sibling.leaf.public_key().key_type();
        let renewal = context.renewal(&sibling.place);
        let (message, remedy) = match (usual, usual_span, sibling.lifetime()) {
            // A renewal keeps the kind of the key, so it has to be made anew.
            (Some(usual), _, _) if usual != key && siblings.len() >= FEWEST => {
                let remedy = sibling.file().map_or(renewal, Remedy::Restore);
                (format!("its key is {key}, and that of most others is {usual}"), remedy)
            }
            (_, Some(usual), Some(span)) if span.0 / 2 > usual.0 || usual.0 / 2 > span.0 => {
                let (own, others) = (coarse(span), coarse(usual));
                (format!("it is valid for {own}, and most others are for {others}"), renewal)
            }
            _ => continue,
        };
        out.push(sibling.finding(FindingCode::ParamDrift, message, remedy));
    }
}

struct Sibling<'a> {
    place: Place,
    credential: &'a Credential,
    leaf: &'a Certificate,
    /// Whether it ends with its authority.
    is_capped: bool,
    /// Whether it begins with its authority, as kubeadm has it for kubeconfigs and had it for everything: then it is not known
    /// when it was made.
    is_backdated: bool,
}

impl Sibling<'_> {
    fn has(&self, findings: &[Finding], codes: &[FindingCode]) -> bool {
        findings
            .iter()
            .any(|finding| finding.place.as_ref() == Some(&self.place) && codes.contains(&finding.code))
    }

    /// Returns for how long it was made, if that can be told.
    fn lifetime(&self) -> Option<Seconds> {
        let is_telling = !self.is_capped && !self.is_backdated;
        is_telling.then(|| self.leaf.not_after().since(self.leaf.not_before()))
    }

    fn file(&self) -> Option<FileSlot> {
        match self.place.slot()? {
            Slot::Leaf(leaf) => Some(FileSlot::LeafCertificate(leaf)),
            Slot::Kubeconfig(kubeconfig) => Some(FileSlot::Kubeconfig(kubeconfig)),
            _ => None,
        }
    }

    fn finding(&self, code: FindingCode, message: String, remedy: Remedy) -> Finding {
        let finding = about(&self.place, Severity::Notice, code, Impact::None, message, remedy);
        at(self.credential.certificate_file(), finding)
    }
}

/// Returns the certificates that kubeadm renews together, as far as this tree's authorities signed them and nothing is wrong with
/// them that explains why they differ.
fn siblings<'a>(context: &Context<'a>, findings: &[Finding]) -> Vec<Sibling<'a>> {
    let inventory = context.inventory;
    let of_kubeadm = Slot::ALL.into_iter().filter(|slot| slot.renewed_by_kubeadm());
    let expected = of_kubeadm.filter(|slot| {
        let is_etcds = slot.issuer().is_some_and(|ca| !inventory.node().expects(Slot::Ca(ca)));
        !is_etcds
    });
    let found = expected.filter_map(|slot| {
        let credential = inventory.credential(slot)?;
        let leaf = credential.leaf()?;
        let Some(ChainFact::Signed(ca)) = credential.chain() else { return None };
        let authority = inventory.authority(*ca).signer()?;
        Some(Sibling {
            place: Place::Slot(slot),
            credential,
            leaf,
            is_capped: leaf.not_after() == authority.not_after(),
            is_backdated: leaf.not_before() <= authority.not_before(),
        })
    });
    found.filter(|sibling| !sibling.has(findings, &GRAVER)).collect()
}

/// Returns the value in the middle, which is that of most when most agree; `None` of too few.
fn middle(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    (values.len() >= FEWEST).then(|| values[values.len() / 2])
}

/// Of fewer certificates there are no most.
const FEWEST: usize = 3;

/// Findings that say more about the end or the key of a certificate than that it differs.
const GRAVER: [FindingCode; 7] = [
    FindingCode::Expired,
    FindingCode::ExpiresSoon,
    FindingCode::ForeignLeaf,
    FindingCode::LeafOutlivesCa,
    FindingCode::NotYetValid,
    FindingCode::WeakAlgorithm,
    FindingCode::WrongAuthority,
];

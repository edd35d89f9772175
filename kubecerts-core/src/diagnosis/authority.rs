//! The checks of authorities against one another and against what they should have signed.

use std::collections::BTreeSet;

use super::checks::{Context, about, at, error};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, Slot};
use crate::inventory::{CertificateBundle, ChainFact, Credential, Place};
use crate::path::TreePath;
use crate::x509::{Certificate, SignatureVerdict};

/// `ca-reuse`
pub(super) fn reused(context: &Context<'_>, out: &mut Vec<Finding>) {
    let signers: Vec<_> = context
        .authorities()
        .filter(|(ca, _)| context.inventory.node().expects(Slot::Ca(*ca)))
        .filter_map(|(ca, authority)| Some((ca, authority, authority.signer()?)))
        .collect();
    for (index, (ca, authority, signer)) in signers.iter().enumerate() {
        let mut earlier = signers[..index].iter();
        let Some((other, first, _)) = earlier.find(|(_, _, other)| other.public_key() == signer.public_key())
        else {
            continue;
        };
        let message = format!(
            "it has the key of {other} in {}: who has a certificate of the one is let in by the other",
            first.certificate_file().path
        );
        let (place, remedy) = (Place::Slot(Slot::Ca(*ca)), Remedy::ReplaceKey(*ca));
        let code = FindingCode::CaReuse;
        let finding = about(&place, Severity::Warning, code, Impact::None, message, remedy);
        out.push(at(authority.certificate_file(), finding));
    }
}

/// `ca-replaced`, which explains `wrong-authority` and `kubeconfig-ca-stale`
///
/// Most of what an authority should have signed is older than it and by another key of the same name: it is the authority that is
/// new, and not its leaves that are foreign.
pub(super) fn replaced(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        let Some(new) = authority.signer() else { continue };
        let is_before = |credential: &Credential| {
            matches!(credential.chain(), Some(ChainFact::OtherKey(found)) if *found == ca)
                && credential.leaf().is_some_and(|leaf| leaf.not_before() < new.not_before())
        };
        let of_tree: Vec<_> = context.own_credentials().filter(|(place, _)| place.slot().is_some()).collect();
        let signed = of_tree
            .iter()
            .filter(|(_, credential)| matches!(credential.chain(), Some(ChainFact::Signed(found)) if *found == ca))
            .count();
        let before: Vec<_> = of_tree.into_iter().filter(|(_, credential)| is_before(credential)).collect();
        if before.len() <= signed {
            continue;
        }
        let leaves: Vec<&Certificate> =
            before.iter().filter_map(|(_, credential)| credential.leaf()).collect();
        let names: Vec<String> = before.iter().map(|(place, _)| place.to_string()).collect();
        let path = &authority.certificate_file().path;
        let (count, begin) = (before.len(), new.not_before());
        let message = format!(
            "{path} was made anew {begin}: {count} of {} certificates that it should have signed are older, and by another \
             key of its name ({}){}",
            count + signed,
            names.join(", "),
            whereabouts(context, new, &leaves),
        );
        let back = earlier_pair(context, ca, new, &leaves);
        let is_earlier = |other: &Certificate| {
            other.subject() == new.subject()
                && other.public_key() != new.public_key()
                && other.not_before() < new.not_before()
        };
        let trusts_earlier = |credential: &Credential| {
            let trusted = credential.kubeconfig().and_then(|kubeconfig| kubeconfig.authority.present());
            ca == CaSlot::Cluster
                && trusted.is_some_and(|trusted| trusted.certificates().iter().any(is_earlier))
        };
        out.retain(|finding| {
            let credential = |place| {
                let mut found = context.inventory.credentials();
                found.find(|(known, _)| *known == place).map(|(_, credential)| credential)
            };
            let is_explained = match (finding.code, finding.place.as_ref().and_then(credential)) {
                (FindingCode::WrongAuthority, Some(credential)) => is_before(credential),
                (FindingCode::KubeconfigCaStale, Some(credential)) => trusts_earlier(credential),
                _ => false,
            };
            !is_explained
        });
        let remedy = back.map_or(Remedy::RestorePair(Slot::Ca(ca)), Remedy::CopyBack);
        let finding = error(Slot::Ca(ca), FindingCode::CaReplaced, Impact::Inconsistent, message, remedy);
        out.push(at(authority.certificate_file(), finding));
    }
}

/// Returns the copies that put the earlier pair back, of which the certificate was found: its key lies beside it, and comes first, so
/// that nothing is replaced when it does not.
fn earlier_pair(
    context: &Context<'_>,
    ca: CaSlot,
    new: &Certificate,
    leaves: &[&Certificate],
) -> Option<Vec<(TreePath, TreePath)>> {
    let is_earlier = |old: &Certificate| {
        old.subject() == new.subject()
            && old.public_key() != new.public_key()
            && leaves.iter().any(|leaf| leaf.verify_signature(old.public_key()) == SignatureVerdict::Valid)
    };
    let around = context.inventory.surroundings().certificates.iter();
    let mut paths = around
        .filter(|found| {
            found.certificates.certificates().len() == 1 && is_earlier(found.certificates.first())
        })
        .map(|found| &found.file.path);
    let path = paths.find(|path| path.file_name().ends_with(".crt"))?;
    let key = TreePath::parse(&format!("{}.key", path.as_str().strip_suffix(".crt")?)).ok()?;
    let authority = context.inventory.authority(ca);
    Some(vec![
        (key, authority.key_file().path.clone()),
        (path.clone(), authority.certificate_file().path.clone()),
    ])
}

/// Returns where the authority was found that had the name of `new` before it and signed `leaves`.
fn whereabouts(context: &Context<'_>, new: &Certificate, leaves: &[&Certificate]) -> String {
    let signed = |old: &Certificate| {
        leaves.iter().any(|leaf| leaf.verify_signature(old.public_key()) == SignatureVerdict::Valid)
    };
    let is_earlier = |old: &&Certificate| {
        old.subject() == new.subject() && old.public_key() != new.public_key() && signed(old)
    };
    let find = |bundle: &CertificateBundle| bundle.certificates().iter().find(is_earlier).cloned();
    let around = &context.inventory.surroundings().certificates;
    let found: Vec<(&TreePath, Certificate)> =
        around.iter().filter_map(|found| Some((&found.file.path, find(&found.certificates)?))).collect();
    let Some((path, old)) = found.first() else {
        let trusting = context.inventory.credentials().filter_map(|(place, credential)| {
            find(credential.kubeconfig()?.authority.present()?).map(|_| place.to_string())
        });
        let trusting: BTreeSet<String> = trusting.collect();
        return match trusting.first() {
            Some(place) => format!("; its earlier certificate, without the key, is still in {place}"),
            None => String::new(),
        };
    };
    let key = around.iter().find(|found| found.keys.contains(old.public_key()));
    match key {
        Some(key) if key.file.path == **path => format!("; the earlier one, with its key, is in {path}"),
        Some(key) => format!("; the earlier one is in {path}, its key in {}", key.file.path),
        None => format!("; the earlier one is in {path}"),
    }
}

//! The checks of authorities against one another and against what they should have signed.

use std::collections::BTreeSet;

use super::checks::{Context, about, at, error};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, FileSlot, Slot};
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
/// Most of what an authority should have signed is by another key of the same name, or has the name in other bytes: it is the
/// authority that is another one, and not its leaves that are foreign.
pub(super) fn replaced(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (ca, authority) in context.authorities() {
        let Some(new) = authority.signer() else { continue };
        let of_tree: Vec<_> = context.own_credentials().filter(|(place, _)| place.slot().is_some()).collect();
        let is_signed = |credential: &Credential| matches!(credential.chain(), Some(ChainFact::Signed(found)) if *found == ca);
        let signed = of_tree.iter().filter(|(_, credential)| is_signed(credential)).count();
        let found: Vec<(&Place, Odds, &Certificate)> = of_tree
            .iter()
            .filter_map(|(place, credential)| Some((*place, odds(credential, ca, new)?, credential.leaf()?)))
            .collect();
        let of = |odds: Odds| -> Vec<&Certificate> {
            found.iter().filter(|(_, other, _)| *other == odds).map(|(.., leaf)| *leaf).collect()
        };
        let (renamed, others) = (of(Odds::OtherBytes), of(Odds::OtherKey));
        let before = others.iter().filter(|leaf| leaf.not_before() < new.not_before()).count();
        // Of a single leaf that is younger nobody knows which of the two is foreign; and the kubelet keeps what is the cluster's.
        let kubelet = context.inventory.credential(Slot::KubeletClient);
        let is_kubelets = kubelet.is_some_and(is_signed);
        let is_other = before > signed || others.len() > signed.max(1) && !is_kubelets;
        let (odds, leaves) = match (is_other, renamed.len() > signed) {
            (true, _) => (Odds::OtherKey, others),
            (false, true) => (Odds::OtherBytes, renamed),
            (false, false) => continue,
        };
        let names: Vec<String> = found
            .iter()
            .filter(|(_, other, _)| *other == odds)
            .map(|(place, ..)| place.to_string())
            .collect();
        let path = &authority.certificate_file().path;
        let (count, names) = (leaves.len(), names.join(", "));
        let all = count + signed;
        let message = match odds {
            Odds::OtherKey if before == count => format!(
                "{path} was made anew {}: {count} of {all} certificates that it should have signed are older, and by another key \
                 of its name ({names})",
                new.not_before()
            ),
            Odds::OtherKey => format!(
                "{path} is another authority of the same name: {count} of {all} certificates that it should have signed are by \
                 another key ({names})"
            ),
            Odds::OtherBytes => format!(
                "{path} was made anew with its key and with its name encoded otherwise: {count} of {all} certificates name their \
                 issuer in the earlier bytes ({names}), which Go compares byte by byte, and so do those of other nodes"
            ),
        };
        let is_earlier = |old: &Certificate| is_earlier(old, new, odds, &leaves);
        let message = message + &whereabouts(context, &is_earlier);
        let back = earlier_files(context, ca, odds, &is_earlier);
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
                (FindingCode::WrongAuthority, Some(credential)) => self::odds(credential, ca, new).is_some(),
                (FindingCode::KubeconfigCaStale, Some(credential)) => trusts_earlier(credential),
                _ => false,
            };
            !is_explained
        });
        let remedy = match (back, odds) {
            (Some(back), _) => Remedy::CopyBack(back),
            (None, Odds::OtherKey) => Remedy::RestorePair(Slot::Ca(ca)),
            (None, Odds::OtherBytes) => Remedy::Restore(FileSlot::CaCertificate(ca)),
        };
        let finding = error(Slot::Ca(ca), FindingCode::CaReplaced, Impact::Inconsistent, message, remedy);
        out.push(at(authority.certificate_file(), finding));
    }
}

/// In what a certificate differs from what an authority of this name signs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Odds {
    /// Another key has signed it.
    OtherKey,
    /// The key has signed it, and it has the name in other bytes.
    OtherBytes,
}

/// Returns in what the certificate differs from what `new` signs; `None` when it is by it, or by an authority of another name.
fn odds(credential: &Credential, ca: CaSlot, new: &Certificate) -> Option<Odds> {
    match credential.chain()? {
        ChainFact::OtherKey(found) if *found == ca => Some(Odds::OtherKey),
        // The same name may be written as a string of another type.
        ChainFact::OtherIssuer(found) if *found == ca => {
            let leaf = credential.leaf()?;
            if leaf.issuer().to_string() != new.subject().to_string() {
                return None;
            }
            match leaf.verify_signature(new.public_key()) {
                SignatureVerdict::Valid => Some(Odds::OtherBytes),
                SignatureVerdict::Invalid => Some(Odds::OtherKey),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns whether `old` is the authority that has signed `leaves`, of which `new` has the name.
fn is_earlier(old: &Certificate, new: &Certificate, odds: Odds, leaves: &[&Certificate]) -> bool {
    let is_same_key = old.public_key() == new.public_key();
    is_same_key == (odds == Odds::OtherBytes) && leaves.iter().any(|leaf| leaf.is_signed_by(old))
}

/// Returns the copies that put the earlier files back, of which the certificate was found: another key lies beside it, and comes first,
/// so that nothing is replaced when it does not.
fn earlier_files(
    context: &Context<'_>,
    ca: CaSlot,
    odds: Odds,
    is_earlier: &dyn Fn(&Certificate) -> bool,
) -> Option<Vec<(TreePath, TreePath)>> {
    let around = context.inventory.surroundings().certificates.iter();
    let mut paths = around
        .filter(|found| {
            found.certificates.certificates().len() == 1 && is_earlier(found.certificates.first())
        })
        .map(|found| &found.file.path);
    let path = paths.find(|path| path.file_name().ends_with(".crt"))?;
    let key = TreePath::parse(&format!("{}.key", path.as_str().strip_suffix(".crt")?)).ok()?;
    let authority = context.inventory.authority(ca);
    let certificate = (path.clone(), authority.certificate_file().path.clone());
    Some(match odds {
        Odds::OtherKey => vec![(key, authority.key_file().path.clone()), certificate],
        Odds::OtherBytes => vec![certificate],
    })
}

/// Returns where the earlier authority was found.
fn whereabouts(context: &Context<'_>, is_earlier: &dyn Fn(&Certificate) -> bool) -> String {
    let find = |bundle: &CertificateBundle| {
        bundle.certificates().iter().find(|certificate| is_earlier(certificate)).cloned()
    };
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

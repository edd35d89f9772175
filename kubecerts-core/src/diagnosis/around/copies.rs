//! Copies of certificates that no renewal reaches.

use crate::catalog::{CaSlot, KubeconfigSlot, Slot};
use crate::diagnosis::checks::{Context, about, at, coarse};
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::inventory::{ChainFact, Credential, FoundCertificates, FoundKind, Inventory, Place};
use crate::x509::{Certificate, SignatureVerdict};

/// Returns the kubeconfig of the tree of which the one at `place` is an earlier copy: the same subject, signed by the same
/// authority, with a later end.
pub(in crate::diagnosis) fn newer_original<'a>(
    context: &Context<'a>,
    place: &Place,
    credential: &Credential,
) -> Option<(KubeconfigSlot, &'a Certificate)> {
    let (Place::Copy(_), Some(copy), Some(ChainFact::Signed(_))) =
        (place, credential.leaf(), credential.chain())
    else {
        return None;
    };
    KubeconfigSlot::ALL.into_iter().find_map(|slot| {
        let original = context.inventory.credential(Slot::Kubeconfig(slot))?.leaf()?;
        let is_newer =
            original.subject().is_same_identity(copy.subject()) && original.not_after() > copy.not_after();
        is_newer.then_some((slot, original))
    })
}

/// `kubeconfig-copy-stale`
pub(super) fn kubeconfig_copies(context: &Context<'_>, out: &mut Vec<Finding>) {
    for (place, credential) in context.inventory.credentials() {
        let Some((slot, original)) = newer_original(context, place, credential) else { continue };
        let Some(copy) = credential.leaf() else { continue };
        let end = copy.not_after();
        let (severity, state) = if end < context.now {
            (Severity::Warning, format!("expired {end}, {} ago", coarse(context.now.since(end))))
        } else if end <= context.now.plus(context.policy.window) {
            (Severity::Warning, format!("expires {end}, in {}", coarse(end.since(context.now))))
        } else {
            // It works for as long as it lasts.
            (Severity::Notice, format!("expires {end}"))
        };
        let message = format!(
            "is a copy of an earlier {slot}: it {state}; {slot} is valid until {}",
            original.not_after()
        );
        let code = FindingCode::KubeconfigCopyStale;
        let remedy = context.renewal(place);
        let finding = about(place, severity, code, Impact::None, message, remedy);
        out.push(at(credential.certificate_file(), finding));
    }
}

/// `unmanaged-copy`
pub(super) fn unmanaged_copies(context: &Context<'_>, out: &mut Vec<Finding>) {
    for found in &context.inventory.surroundings().certificates {
        let is_layout = super::layout::findings(context, found).is_some();
        if found.kind == FoundKind::Backup || is_layout {
            continue;
        }
        let Some((slot, current, copy)) = original(context, found) else { continue };
        let path = &found.file.path;
        let is_earlier =
            copy.fingerprint() != current.fingerprint() && copy.not_after() < current.not_after();
        let (severity, message, remedy) = if is_earlier {
            let message = format!(
                "{path} holds an earlier certificate of it, which ends {}: a renewal does not reach that file",
                copy.not_after()
            );
            (Severity::Warning, message, replacement(Some(slot), found, context.inventory))
        } else {
            let message = format!("{path} holds a copy of it: a renewal does not reach that file");
            (Severity::Notice, message, Remedy::Nothing)
        };
        let place = Place::Slot(slot);
        let finding = about(&place, severity, FindingCode::UnmanagedCopy, Impact::None, message, remedy);
        out.push(at(&found.file, finding));
    }
}

/// Returns what brings `found`, which has an earlier certificate of `slot`, up to date. Of kubeconfigs that is done in homes alone, so
/// somebody has to look at those elsewhere, and at files for which one of the tree cannot stand in.
pub(crate) fn replacement(slot: Option<Slot>, found: &FoundCertificates, inventory: &Inventory) -> Remedy {
    let copy = found.file.path.clone();
    let credential = slot.and_then(|slot| inventory.credential(slot));
    let source = credential.filter(|credential| credential.kubeconfig().is_none() && !found.is_kubeconfig);
    match source {
        Some(source) => Remedy::ReplaceCopy { copy, source: source.certificate_file().path.clone() },
        None => Remedy::Inspect(copy),
    }
}

/// `kubeconfig-ca-stale`: the kubeconfig of a network plugin, by which every pod of the node comes to its network
///
/// It leads to this cluster, whatever it trusts.
pub(super) fn network_plugins(context: &Context<'_>, out: &mut Vec<Finding>) {
    let authority = context.inventory.authority(CaSlot::Cluster);
    let Some(signer) = authority.signer() else { return };
    for found in &context.inventory.surroundings().certificates {
        let path = &found.file.path;
        if !found.is_kubeconfig
            || found.kind != FoundKind::Copy
            || !path.as_str().starts_with(NETWORK_PLUGINS)
        {
            continue;
        }
        let mut trusted =
            found.certificates.certificates().iter().filter(|one| one.is_authority()).peekable();
        let trusts_one = trusted.peek().is_some();
        if !trusts_one || trusted.any(|one| one.public_key() == signer.public_key()) {
            continue;
        }
        out.push(Finding {
            severity: Severity::Error,
            place: None,
            code: FindingCode::KubeconfigCaStale,
            impact: Impact::Inconsistent,
            path: Some(path.clone()),
            message: format!(
                "the authority in {path} is not the one in {}",
                authority.certificate_file().path
            ),
            remedy: Remedy::SetAuthority(Place::Copy(path.clone())),
        });
    }
}

/// Returns which certificate of the tree the file has a copy of, and the copy.
fn original<'a>(
    context: &Context<'a>,
    found: &'a FoundCertificates,
) -> Option<(Slot, &'a Certificate, &'a Certificate)> {
    let slots = || {
        let leaf = |slot| Some((slot, context.inventory.credential(slot)?.leaf()?));
        Slot::ALL.into_iter().filter_map(leaf)
    };
    let copies = || {
        found.certificates.certificates().iter().take(MOST_CERTIFICATES).filter(|copy| !copy.is_authority())
    };
    let same = copies().find_map(|copy| {
        let is_same = |leaf: &Certificate| leaf.public_key() == copy.public_key();
        slots().find(|(_, leaf)| is_same(leaf)).map(|(slot, leaf)| (slot, leaf, copy))
    });
    same.or_else(|| {
        copies().find_map(|copy| {
            let is_earlier = |slot: Slot, leaf: &Certificate| {
                leaf.subject().is_same_identity(copy.subject())
                    && leaf.issuer() == copy.issuer()
                    && leaf.extended_key_usages() == copy.extended_key_usages()
                    && is_signed(context, slot, copy)
            };
            slots().find(|(slot, leaf)| is_earlier(*slot, leaf)).map(|(slot, leaf)| (slot, leaf, copy))
        })
    })
}

/// Returns whether the authority of `slot` has signed `certificate`: other clusters have the same names.
fn is_signed(context: &Context<'_>, slot: Slot, certificate: &Certificate) -> bool {
    let bundle = slot.issuer().and_then(|ca| context.inventory.authority(ca).certificate().present());
    bundle.is_some_and(|bundle| {
        bundle
            .certificates()
            .iter()
            .any(|authority| certificate.verify_signature(authority.public_key()) == SignatureVerdict::Valid)
    })
}

/// Where the kubelet finds what gives pods their network.
const NETWORK_PLUGINS: &str = "/etc/cni/";

/// A file of trusted authorities has hundreds, none of which is a copy of a leaf.
const MOST_CERTIFICATES: usize = 32;

//! What pods were given to reach the API server.

use std::collections::BTreeSet;

use crate::catalog::{CaSlot, Component, Slot};
use crate::diagnosis::checks::{Context, about};
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::inventory::{Place, PodVolume, token_key_id};
use crate::path::TreePath;

/// `root-ca-stale`
pub(super) fn authorities(context: &Context<'_>, out: &mut Vec<Finding>) {
    let roots = context.inventory.published_roots();
    let volumes: Vec<&PodVolume> =
        context.inventory.surroundings().pods.iter().filter(|volume| is_of_service_account(volume)).collect();
    // The same authority with a later end has the same key, so certificates that it signs are accepted.
    let is_stale = |volume: &PodVolume| {
        let given = volume.authorities.present()?;
        let is_current = given.certificates().iter().any(|one| {
            one.not_after() >= context.now && roots.iter().any(|root| root.public_key() == one.public_key())
        });
        Some(!is_current)
    };
    let judged: Vec<(&PodVolume, bool)> =
        volumes.into_iter().filter_map(|volume| Some((volume, is_stale(volume)?))).collect();
    if roots.is_empty() {
        return;
    }
    let what = "trust another authority than the one on this node";
    let remedy = Remedy::Restart(Component::ControllerManager);
    out.extend(finding(Slot::Ca(CaSlot::Cluster), FindingCode::RootCaStale, &judged, "ca.crt", what, remedy));
}

/// `sa-token-invalid`
pub(super) fn tokens(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let own = inventory.service_account().public_key.present();
    // Tokens are verified by every key of every file.
    let verifying = inventory.token_keys().iter().filter(|file| !file.named.signs());
    let verifying = verifying.filter_map(|file| file.keys.present()).flatten();
    let keys: BTreeSet<String> = own.into_iter().chain(verifying).map(token_key_id).collect();
    if keys.is_empty() || inventory.node().programs().has_other_token_keys {
        return;
    }
    // Who signs tokens elsewhere, and Kubernetes before 1.16, gives no identifier.
    let key_id = |volume: &PodVolume| volume.token.as_ref()?.key_id.clone();
    let judged: Vec<(&PodVolume, bool)> = inventory
        .surroundings()
        .pods
        .iter()
        .filter_map(|volume| Some((volume, !keys.contains(&key_id(volume)?))))
        .collect();
    let what = "hold tokens that were signed with a key the API server does not know";
    out.extend(finding(
        Slot::ServiceAccount,
        FindingCode::SaTokenInvalid,
        &judged,
        "token",
        what,
        Remedy::RestartPods,
    ));
}

/// Other volumes may hold a `ca.crt` of something else.
fn is_of_service_account(volume: &PodVolume) -> bool {
    volume.token.is_some() || volume.path.file_name().starts_with("kube-api-access-")
}

fn finding(
    slot: Slot,
    code: FindingCode,
    judged: &[(&PodVolume, bool)],
    file: &str,
    what: &str,
    remedy: Remedy,
) -> Option<Finding> {
    let wrong = judged.iter().filter(|(_, is_wrong)| *is_wrong);
    let first: TreePath = wrong.clone().next()?.0.path.join(file).ok()?;
    let (count, all) = (wrong.count(), judged.len());
    // The kubelet leaves volumes of pods that are long gone, so some of many need not mean anything.
    let (severity, impact) = match count == all {
        true => (Severity::Error, Impact::Inconsistent),
        false => (Severity::Warning, Impact::None),
    };
    let message = format!("{count} of {all} volumes of pods that were looked at {what}, such as {first}");
    let finding = about(&Place::Slot(slot), severity, code, impact, message, remedy);
    Some(Finding { path: Some(first), ..finding })
}

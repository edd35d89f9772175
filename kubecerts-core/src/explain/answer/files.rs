//! Files that are missing, cannot be read, or are not what they should be.

use super::{Advice, Answer, Culprit, Question, facts_of, once, place};
use crate::catalog::{CaSlot, Component, FileKind, FileSlot, KubeconfigSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::Symptom;
use crate::explain::known;
use crate::inventory::{Custody, Place};
use crate::path::TreePath;

/// `no such file or directory`, `permission denied`, and content that is no PEM
pub(super) fn file(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let path = evidence.path.as_deref().and_then(|path| TreePath::parse(path).ok());
    let Some(path) = path else {
        return Answer {
            culprit: evidence.path.clone().map_or(Culprit::Unknown, Culprit::File),
            presenter: None,
            meaning: match evidence.detail.as_deref() {
                Some(bundle) if bundle.contains("requestheader") => {
                    "extension-apiserver-authentication has no requestheader-client-ca-file: kube-apiserver has no \
                     --requestheader-client-ca-file, or has not written it yet"
                        .to_owned()
                }
                _ => "a certificate or a key cannot be used; the line does not say which file it is".to_owned(),
            },
            proof: Vec::new(),
            impact: Impact::Unusable,
            advice: vec![Advice::Check],
        };
    };
    let slot = inventory.node().layout().slot_of(&path);
    let facts = slot.map(|slot| inventory.file(slot));
    let exists = facts.is_some_and(|facts| facts.exists);
    let is_kubelets =
        matches!(slot, Some(FileSlot::KubeletClient)) || path.as_str().contains("kubelet-client-");
    let start = evidence.program.as_ref().and_then(|program| program.component());
    let start = start.map(|component| Advice::Mend(Remedy::Start(component)));
    let (meaning, proof, impact, advice) = match evidence.symptom {
        Symptom::FileDenied => {
            let mode = facts.and_then(|facts| facts.meta.as_ref());
            let proof = mode.map(|meta| {
                format!("{path} has mode {:04o}, owner {} and group {}", meta.mode, meta.uid, meta.gid)
            });
            // The programs of static pods need not be root, as those have who call this.
            let is_users = evidence.program.as_ref().is_none_or(|program| program.is_tool());
            let advice = match start {
                Some(_) => vec![Advice::Check],
                None if !is_users => vec![Advice::Check],
                None => vec![Advice::Mend(Remedy::GrantAccess(path.clone()))],
            };
            (
                format!("{path} may not be read by the program that needs it"),
                proof,
                Impact::Incomplete,
                advice,
            )
        }
        Symptom::FileMissing if exists => (
            format!("{path} was missing, and is there now"),
            None,
            Impact::None,
            once(start.into_iter().chain([Advice::Check])),
        ),
        Symptom::FileMissing => {
            let advice = match slot {
                _ if is_kubelets => Advice::RecoverKubelet,
                Some(FileSlot::CaKey(ca)) if inventory.authority(ca).custody() == Custody::External => {
                    Advice::Mend(Remedy::SignElsewhere(ca))
                }
                Some(slot) => Advice::Mend(Remedy::Restore(slot)),
                None => Advice::Check,
            };
            (format!("{path} does not exist"), None, Impact::Unusable, vec![advice])
        }
        _ => {
            let problem = slot.and_then(|slot| problem(slot, question));
            let is_key = slot.is_some_and(|slot| slot.kind() == FileKind::PrivateKey);
            let advice = match slot {
                _ if is_kubelets => Advice::RecoverKubelet,
                Some(slot) if problem.is_some() && is_key && matches!(slot.slot(), Slot::Leaf(_)) => {
                    known::renewal(&place(slot.slot()), inventory, *now)
                }
                Some(slot) if problem.is_some() => Advice::Mend(Remedy::Restore(slot)),
                Some(_) | None => Advice::Mend(Remedy::Inspect(path.clone())),
            };
            (format!("{path} is not what it should be"), problem, Impact::Unusable, vec![advice])
        }
    };
    Answer {
        culprit: slot.map_or_else(
            || Culprit::File(path.to_string()),
            |slot| match slot.slot() {
                Slot::Ca(ca) => Culprit::Authority(ca),
                Slot::ServiceAccount => Culprit::File(path.to_string()),
                slot => Culprit::Current(place(slot)),
            },
        ),
        presenter: None,
        meaning,
        proof: proof.into_iter().collect(),
        impact,
        advice,
    }
}

/// `kubeconfig file "…" exists already but has got the wrong CA cert`
pub(super) fn kubeconfig_stale(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, .. } = question;
    let shown = evidence.path.clone().unwrap_or_else(|| "a kubeconfig".to_owned());
    let path = evidence.path.as_deref().and_then(|path| TreePath::parse(path).ok());
    let slot = path.as_ref().and_then(|path| inventory.node().layout().slot_of(path)).map(FileSlot::slot);
    let facts = slot.and_then(|slot| inventory.credential(slot)?.kubeconfig());
    let is_server = evidence.detail.as_deref() == Some("server");
    let lacks = facts.map(|facts| facts.lacks_authority(inventory.authority(CaSlot::Cluster)));
    let proof = match lacks.filter(|_| !is_server) {
        Some(true) => Some(format!("{shown} does not trust the authority on disk")),
        Some(false) => Some(format!("{shown} trusts the authority on disk by now")),
        None => None,
    };
    let (meaning, advice) = match slot {
        _ if is_server => (
            format!("{} names another server than the control plane's endpoint", shown.escape_debug()),
            Advice::SetServer(shown.clone()),
        ),
        Some(slot) => (
            format!("{} has another authority than ca", shown.escape_debug()),
            Advice::Mend(Remedy::SetAuthority(place(slot))),
        ),
        None => (format!("{} has another authority than ca", shown.escape_debug()), Advice::TrustInCopy),
    };
    Answer {
        culprit: slot.map_or_else(|| Culprit::File(shown), |slot| Culprit::Current(place(slot))),
        presenter: None,
        meaning,
        proof: proof.into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: vec![advice],
    }
}

/// Returns what is wrong with the content of `file` now.
fn problem(file: FileSlot, question: &Question<'_>) -> Option<String> {
    let inventory = question.inventory;
    let is_key = file.kind() == FileKind::PrivateKey;
    match file.slot() {
        Slot::Ca(ca) if is_key => inventory.authority(ca).key().problem(),
        Slot::Ca(ca) => inventory.authority(ca).certificate().problem(),
        Slot::ServiceAccount if is_key => inventory.service_account().key.problem(),
        Slot::ServiceAccount => inventory.service_account().public_key.problem(),
        slot if is_key => inventory.credential(slot)?.key().problem(),
        slot => inventory.credential(slot)?.certificate().problem(),
    }
}

/// `private key does not match public key`
pub(super) fn key_mismatch(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let path = evidence.path.as_deref().and_then(|path| TreePath::parse(path).ok());
    let stated = path.as_ref().and_then(|path| inventory.node().layout().slot_of(path)).map(FileSlot::slot);
    let is_pair = |slot: Slot| match slot {
        Slot::Ca(ca) => inventory.authority(ca).key_matches(),
        slot => inventory.credential(slot).and_then(|credential| credential.key_matches()),
    };
    let found = stated.or_else(|| Slot::ALL.into_iter().find(|slot| is_pair(*slot) == Some(false)));
    let Some(slot) = found else {
        return Answer {
            culprit: evidence.path.clone().map_or(Culprit::Unknown, Culprit::File),
            presenter: None,
            meaning: "a private key belongs to another certificate than the one beside it".to_owned(),
            proof: vec!["every pair of this tree that can be read belongs together now".to_owned()],
            impact: Impact::Inconsistent,
            advice: vec![Advice::Check],
        };
    };
    let is_fine = is_pair(slot) == Some(true);
    let advice = match slot {
        Slot::Ca(ca) if inventory.authority(ca).custody() == Custody::Broken => {
            Advice::Mend(Remedy::Restore(FileSlot::CaKey(ca)))
        }
        _ if is_fine => Advice::Verify,
        slot => known::renewal(&Place::Slot(slot), inventory, *now),
    };
    let meaning = if is_fine {
        format!("the pair of {slot} did not belong together, and does now")
    } else {
        format!("the private key of {slot} belongs to another certificate")
    };
    Answer {
        culprit: match slot {
            Slot::Ca(ca) => Culprit::Authority(ca),
            slot => Culprit::Current(place(slot)),
        },
        presenter: None,
        meaning,
        proof: question.current(slot).map(facts_of).into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: once(
            [advice]
                .into_iter()
                .chain(is_fine.then(|| known::restarts(slot, inventory)).into_iter().flatten()),
        ),
    }
}

/// The kubelet has no credential and nothing to ask for one with.
pub(super) fn bootstrap(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let slot = known::kubelet_credential(inventory);
    let current = question.current(slot);
    let mut proof: Vec<String> =
        current.map(|current| format!("{slot} on disk: {}", facts_of(current))).into_iter().collect();
    let conf = inventory.file(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet));
    if !conf.exists {
        proof.push(format!("{} does not exist", conf.path));
    }
    let held = inventory.authority(CaSlot::Cluster).custody() == Custody::Held;
    if !held {
        proof.push("the key of ca is not here, so the credential has to be made where it is".to_owned());
    }
    let is_fine = current.is_some_and(|current| current.not_after() >= *now) && conf.exists;
    let meaning = if is_fine {
        format!("{slot} is valid by now, and the kubelet has to be started again")
    } else if evidence.symptom == Symptom::BootstrapExpired {
        "the kubelet's own credential is over, so the kubelet ends, and with it what it would start"
            .to_owned()
    } else {
        "the kubelet has no credential that it can use, and no bootstrap kubeconfig to ask for one with"
            .to_owned()
    };
    let advice =
        if is_fine { Advice::Mend(Remedy::Restart(Component::Kubelet)) } else { Advice::RecoverKubelet };
    Answer {
        culprit: Culprit::Current(place(slot)),
        presenter: Some(known::presenter(slot, &evidence.bearer)),
        meaning,
        proof,
        impact: Impact::Unusable,
        advice: vec![advice],
    }
}

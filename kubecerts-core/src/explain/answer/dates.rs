//! Certificates that are over, that are not valid yet, and credentials that the API server does not accept.

use super::{Advice, Answer, Culprit, Question, culprit_of, facts_of, once, place, replaced_copy};
use crate::catalog::{Component, KubeconfigSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::known::{self, Known, Spot};
use crate::explain::{Bearer, Evidence, Scene, Symptom};
use crate::inventory::{FoundKind, Inventory, Place};
use crate::time::Timestamp;
use crate::x509::Certificate;

/// `certificate has expired`
pub(super) fn expired(question: &Question<'_>) -> Answer {
    if let Some(known) = question.named() {
        return of_known(&known, question);
    }
    let suspects = question.suspects();
    if let Some(answer) = of_authority(&suspects, question).or_else(|| of_member(question)) {
        return answer;
    }
    // Without a serial number the end of the validity is as good: kubeadm gives certificates of one run the same second, but
    // those that can be meant are few.
    if question.evidence.serial.is_none() {
        let matching = suspects.iter().find(|slot| {
            question
                .current(**slot)
                .is_some_and(|certificate| question.evidence.not_after == Some(certificate.not_after()))
        });
        let only = suspects.first().filter(|_| suspects.len() == 1 && question.evidence.not_after.is_none());
        if let Some(slot) = matching.or(only).copied()
            && let Some(certificate) = question.current(slot)
            && question.elsewhere().is_none()
        {
            let place = place(slot);
            return of_current(&place, certificate, question);
        }
    }
    not_here(&suspects, question)
}

/// The line names an authority, or says the end of one.
fn of_authority(suspects: &[Slot], question: &Question<'_>) -> Option<Answer> {
    let Question { evidence, inventory, now, .. } = question;
    let end = evidence.not_after;
    let leaf_ends = |slot: &Slot| question.current(*slot).map(Certificate::not_after);
    let ca = match suspects {
        [Slot::Ca(ca)] => *ca,
        [slot] if question.elsewhere().is_none() && evidence.serial.is_none() => {
            let ca = slot.issuer()?;
            let of_authority = inventory.authority(ca).signer()?.not_after();
            let is_it = match end {
                Some(end) => end == of_authority && leaf_ends(slot) != Some(end),
                None => of_authority < *now && leaf_ends(slot).is_some_and(|leaf| leaf >= *now),
            };
            is_it.then_some(ca)?
        }
        _ => return None,
    };
    let signer = inventory.authority(ca).signer();
    let is_over = signer.is_none_or(|signer| signer.not_after() < *now);
    Some(Answer {
        culprit: Culprit::Authority(ca),
        presenter: None,
        meaning: if is_over {
            format!("the authority {ca} itself is over, and with it everything that it has signed")
        } else {
            format!(
                "the authority {ca} that was read is over, and the one on disk is not: another file was read, or a clock is ahead"
            )
        },
        proof: signer.map(facts_of).into_iter().collect(),
        impact: if is_over { Impact::Unusable } else { Impact::Inconsistent },
        advice: if is_over {
            vec![Advice::Mend(Remedy::RotateAuthority(ca))]
        } else {
            vec![Advice::Check, Advice::Mend(Remedy::SetClock)]
        },
    })
}

/// What a member of etcd says of the one that it connects to is about that one's certificate.
fn of_member(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let Bearer::Server(address) = &evidence.bearer else { return None };
    let is_here = address.as_ref().is_some_and(|_| question.elsewhere().is_none());
    if evidence.scene != Scene::Member || is_here {
        return None;
    }
    let host = question.elsewhere().unwrap_or_else(|| "the other members of etcd".to_owned());
    Some(Answer {
        culprit: Culprit::Elsewhere(host.clone()),
        presenter: Some("another member of etcd, to this one".to_owned()),
        meaning: "the certificate of another member of etcd is over".to_owned(),
        proof: Vec::new(),
        impact: Impact::Unusable,
        advice: vec![Advice::LookAt(host)],
    })
}

fn of_known(known: &Known<'_>, question: &Question<'_>) -> Answer {
    match &known.spot {
        Spot::Current(place) => of_current(place, known.certificate, question),
        Spot::Authority(ca) => Answer {
            culprit: Culprit::Authority(*ca),
            presenter: None,
            meaning: format!("the authority {ca} itself is over, and with it everything that it has signed"),
            proof: vec![facts_of(known.certificate)],
            impact: Impact::Unusable,
            advice: vec![Advice::Mend(Remedy::RotateAuthority(*ca))],
        },
        Spot::Around(found) => {
            let slot = question.successor(known.certificate);
            let path = &found.file.path;
            let file = Some((found.kind, path.clone()));
            let copy = replaced_copy(slot, found, question);
            let mut proof = vec![format!("{path} has it: {}", facts_of(known.certificate))];
            of_earlier(slot, file, copy, &mut proof, question)
        }
    }
}

/// The certificate is the one that a file holds now.
fn of_current(place: &Place, certificate: &Certificate, question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let slot = place.slot();
    let path = inventory.certificate_file(place).map(|file| file.path.to_string()).unwrap_or_default();
    let proof = vec![format!("{path} holds it: {}", facts_of(certificate))];
    let presenter = slot.map(|slot| known::presenter(slot, &evidence.bearer));
    let culprit = Culprit::Current(place.clone());
    // A later end than that of a file that is over is the business of another node; the file is over all the same.
    let is_past = certificate.not_after() < *now;
    let is_other = evidence
        .not_after
        .is_some_and(|end| end < certificate.not_after() || end > certificate.not_after() && !is_past)
        || evidence.serial.as_ref().is_some_and(|serial| !known::is_same(serial, certificate.serial()));
    if is_other && slot.is_some() {
        return of_earlier(slot, None, None, &mut Vec::new(), question);
    }
    if !is_past {
        if evidence.serial.is_none() && evidence.not_after.is_none() {
            // Nothing says that it is this very one: the file may have been renewed since.
            return of_earlier(slot, None, None, &mut Vec::new(), question);
        }
        return Answer {
            culprit,
            presenter,
            meaning: format!(
                "{place} is valid until {}: the clock of whoever refused it is ahead",
                certificate.not_after()
            ),
            proof,
            impact: Impact::Inconsistent,
            advice: vec![Advice::Mend(Remedy::SetClock)],
        };
    }
    let restarts = slot.into_iter().flat_map(|slot| known::restarts(slot, inventory));
    Answer {
        culprit,
        presenter,
        meaning: format!("{place} expired {}", certificate.not_after()),
        proof,
        impact: Impact::Unusable,
        advice: once([known::renewal(place, inventory, *now)].into_iter().chain(restarts)),
    }
}

/// The certificate is one that `slot` had before the one that it has now.
fn of_earlier(
    slot: Option<Slot>,
    file: Option<(FoundKind, crate::path::TreePath)>,
    copy: Option<Advice>,
    proof: &mut Vec<String>,
    question: &Question<'_>,
) -> Answer {
    let Question { evidence, inventory, now, last, .. } = question;
    let proof = std::mem::take(proof);
    let Some((slot, current)) = slot.and_then(|slot| Some((slot, question.current(slot)?))) else {
        if let Some(slot) = slot {
            return Answer {
                culprit: Culprit::OneOf(vec![slot]),
                presenter: Some(known::presenter(slot, &evidence.bearer)),
                meaning: format!(
                    "{slot} is over, or an earlier one of it is still in use; it cannot be looked at here"
                ),
                proof,
                impact: Impact::Unusable,
                advice: once(copy.into_iter().chain([Advice::Check])),
            };
        }
        return Answer {
            culprit: Culprit::Earlier { slot, file },
            presenter: None,
            meaning: "an earlier certificate is still in use that has no successor in this tree".to_owned(),
            proof,
            impact: Impact::Inconsistent,
            advice: once(copy.into_iter().chain([Advice::Check])),
        };
    };
    let presenter = Some(known::presenter(slot, &evidence.bearer));
    let mut proof = proof;
    let now_there = format!("{slot} has now: {}", facts_of(current));
    if !proof.iter().any(|line| line.ends_with(&facts_of(current))) {
        proof.push(now_there);
    }
    let restarts: Vec<Advice> = restarts(slot, inventory);
    let is_over = current.not_after() < *now;
    let renewal = is_over.then(|| known::renewal(&place(slot), inventory, *now));
    let is_past = last.is_some_and(|last| last < current.not_before());
    let is_bare = evidence.serial.is_none() && evidence.not_after.is_none();
    let meaning = if copy.is_some() {
        format!("a copy that was made of {slot} before its renewal is still in use")
    } else if is_over {
        format!("{slot} is over too, and an earlier certificate of it is still in use")
    } else if is_past {
        format!(
            "{slot} has been renewed since; whatever has not been restarted since then still uses the old certificate"
        )
    } else if is_bare {
        format!(
            "{slot} on disk is valid, and the line does not say which certificate is meant: an earlier one that its program still has in \
             memory, or that of another node"
        )
    } else if restarts.is_empty() {
        format!("{slot} has been renewed, and somebody still uses a copy of the old one")
    } else {
        format!(
            "{slot} on disk ends at another time: it has been renewed and its program still has the old certificate in memory, or \
             another node answers"
        )
    };
    let lookup = if restarts.is_empty() && copy.is_none() { Advice::Check } else { Advice::Verify };
    Answer {
        culprit: Culprit::Earlier { slot: Some(slot), file },
        presenter,
        meaning,
        proof,
        impact: Impact::Inconsistent,
        advice: once(renewal.into_iter().chain(copy).chain(restarts).chain([lookup])),
    }
}

/// Restarts what has `slot` in memory, also what would see a new file by itself: it evidently has not.
fn restarts(slot: Slot, inventory: &Inventory) -> Vec<Advice> {
    known::loaders(slot, inventory)
        .into_iter()
        .map(|(component, _)| Advice::Mend(Remedy::Restart(component)))
        .collect()
}

/// No certificate of this node has that serial number or that end.
fn not_here(suspects: &[Slot], question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let mut proof = Vec::new();
    if let Some(serial) = &evidence.serial {
        proof.push(format!("no certificate on this node has the serial {}", serial.to_decimal()));
    }
    if let Some(key) = &evidence.authority_key {
        let Some(ca) = known::authority_with(key, inventory) else {
            proof.push("no authority of this node has the key that signed it".to_owned());
            return Answer {
                culprit: Culprit::Elsewhere(
                    "another cluster, or the time before this authority was made".to_owned(),
                ),
                presenter: None,
                meaning: "the certificate was signed by an authority that is not of this tree".to_owned(),
                proof,
                impact: Impact::Inconsistent,
                advice: vec![Advice::Check],
            };
        };
        proof.push(format!("the authority {ca} of this node has signed it"));
    }
    if let Some(host) = question.elsewhere() {
        return Answer {
            culprit: Culprit::Elsewhere(host.clone()),
            presenter: suspects.first().map(|slot| known::presenter(*slot, &evidence.bearer)),
            meaning: format!("a certificate on the host {} is over", host.escape_debug()),
            proof,
            impact: Impact::Unusable,
            advice: vec![Advice::LookAt(host)],
        };
    }
    if let [slot] = suspects {
        if let Some(current) = question.current(*slot)
            && current.not_after() < *now
        {
            return of_current(&place(*slot), current, question);
        }
        return of_earlier(Some(*slot), None, None, &mut proof, question);
    }
    if let Some((sibling, path)) = sibling(question) {
        proof.push(path);
        let culprit = Culprit::Earlier { slot: Some(sibling), file: None };
        let restarts = restarts(sibling, inventory);
        return Answer {
            culprit,
            presenter: Some(known::presenter(sibling, &evidence.bearer)),
            meaning: format!("it is probably an earlier certificate of {sibling}: it ends with one"),
            proof,
            impact: Impact::Inconsistent,
            advice: once(restarts.into_iter().chain([Advice::Verify])),
        };
    }
    one_of(suspects, proof, question)
}

/// It is of one of several programs. Those that complain themselves come first, then those that never read their file again.
fn one_of(suspects: &[Slot], proof: Vec<String>, question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, said, .. } = question;
    let complains = |slot: Slot| {
        said.iter().any(|other| {
            other.symptom == Symptom::Unauthorized && other.program != evidence.program && {
                matches!(other.bearer, Bearer::WriterAsClient(_))
                    && known::suspects(other, inventory).contains(&slot)
            }
        })
    };
    let complaining: Vec<Slot> = suspects.iter().copied().filter(|slot| complains(*slot)).collect();
    // Administrators and kubelets that rotate are suspects as well, but there is nothing to restart for them.
    let in_memory: Vec<Slot> = suspects
        .iter()
        .copied()
        .filter(|slot| {
            matches!(slot, Slot::Kubeconfig(KubeconfigSlot::ControllerManager | KubeconfigSlot::Scheduler))
        })
        .collect();
    let (slots, how) = if complaining.is_empty() {
        (suspects.to_vec(), String::new())
    } else {
        (complaining.clone(), " (it says that it is not accepted)".to_owned())
    };
    let over =
        |slot: &Slot| question.current(*slot).is_some_and(|certificate| certificate.not_after() < *now);
    let renewals =
        slots.iter().filter(|slot| over(slot)).map(|slot| known::renewal(&place(*slot), inventory, *now));
    let restart = if complaining.is_empty() { in_memory } else { complaining };
    let restarts: Vec<Advice> = restart.iter().flat_map(|slot| restarts(*slot, inventory)).collect();
    let names: Vec<&str> = slots.iter().map(|slot| slot.name()).collect();
    let meaning = if names.is_empty() {
        "a certificate that is not on this node is over".to_owned()
    } else {
        format!(
            "an earlier certificate is still in use, here or on another node, of: {}{how}",
            names.join(", ")
        )
    };
    let presenter =
        slots.first().map(|slot| known::presenter(*slot, &evidence.bearer)).filter(|_| slots.len() == 1);
    Answer {
        culprit: if slots.is_empty() { Culprit::Unknown } else { Culprit::OneOf(slots.clone()) },
        presenter,
        meaning,
        proof,
        impact: Impact::Unusable,
        advice: once(renewals.chain([Advice::Verify]).chain(restarts)),
    }
}

/// Returns the slot of a client certificate, now or in a backup, that ends within the same run of kubeadm as what is looked for.
fn sibling(question: &Question<'_>) -> Option<(Slot, String)> {
    let Evidence { not_after, authority_key, .. } = question.evidence;
    let end = (*not_after)?;
    let suspects = question.suspects();
    let near = |known: &Known<'_>| {
        let distance = known.certificate.not_after().since(end).0.abs();
        let is_of_authority = authority_key
            .as_deref()
            .is_none_or(|key| known.certificate.authority_key_identifier() == Some(key));
        let is_around = matches!(known.spot, Spot::Around(..));
        (is_of_authority && is_around && distance <= SAME_RUN).then_some(distance)
    };
    let all = known::all(question.inventory);
    let found = all.iter().filter_map(|known| Some((near(known)?, known))).filter_map(|(distance, known)| {
        let slot = question.successor(known.certificate).filter(|slot| suspects.contains(slot))?;
        Some((distance, slot, known))
    });
    let (_, slot, known) = found.min_by_key(|(distance, slot, _)| (*distance, *slot))?;
    let Culprit::Earlier { file: Some((_, path)), .. } = culprit_of(known, question) else { return None };
    Some((slot, format!("{path} has one that ends {}", known.certificate.not_after())))
}

/// kubeadm renews everything within seconds; with large RSA keys within a minute.
const SAME_RUN: i64 = 60;

/// An alert that a client's certificate ends soon, without its name
pub(super) fn ends_soon(question: &Question<'_>) -> Answer {
    let Question { inventory, now, .. } = question;
    let clients = [
        known::kubelet_credential(inventory),
        Slot::Kubeconfig(KubeconfigSlot::ControllerManager),
        Slot::Kubeconfig(KubeconfigSlot::Scheduler),
        Slot::Kubeconfig(KubeconfigSlot::Admin),
    ];
    let end = |slot: &Slot| question.current(*slot).map(Certificate::not_after);
    let soon = now.plus(crate::time::Seconds::from_days(7));
    let near: Vec<Slot> =
        clients.iter().copied().filter(|slot| end(slot).is_some_and(|end| end < soon)).collect();
    let proof = clients.iter().filter_map(|slot| Some(format!("{slot} ends {}", end(slot)?))).collect();
    let renewals = near.iter().map(|slot| known::renewal(&place(*slot), inventory, *now));
    let advice = once(renewals.chain([Advice::Check]));
    Answer {
        culprit: if near.is_empty() { Culprit::Unknown } else { Culprit::OneOf(near.clone()) },
        presenter: None,
        meaning: if near.is_empty() {
            "some client's certificate ends soon, none of this node's: a kubelet, a user or a pod elsewhere"
                .to_owned()
        } else {
            "some client's certificate ends soon; the alert does not say whose".to_owned()
        },
        proof,
        impact: Impact::Inconsistent,
        advice,
    }
}

/// `current time … is before …`
pub(super) fn not_yet_valid(question: &Question<'_>) -> Answer {
    let Question { evidence, now, last, .. } = question;
    let suspects = question.suspects();
    let named = question.named();
    let certificate = named.as_ref().map(|known| known.certificate).or_else(|| {
        let begins = |certificate: &&Certificate| {
            evidence.not_before.is_none_or(|begin| certificate.not_before() == begin)
        };
        suspects.iter().filter_map(|slot| question.current(*slot)).find(begins)
    });
    let begin = evidence.not_before.or_else(|| certificate.map(Certificate::not_before));
    let mut proof: Vec<String> = begin.map(|begin| format!("it begins {begin}")).into_iter().collect();
    proof.extend(last.map(|last| format!("it was refused {last}")));
    let culprit = match (&named, suspects.as_slice()) {
        (Some(known), _) => culprit_of(known, question),
        (None, [Slot::Ca(ca)]) => Culprit::Authority(*ca),
        (None, [slot]) if certificate.is_some() => Culprit::Current(place(*slot)),
        (None, []) => Culprit::Unknown,
        (None, slots) => Culprit::OneOf(slots.to_vec()),
    };
    let is_valid_now = begin.is_some_and(|begin| begin <= *now);
    let meaning = if is_valid_now {
        "the certificate is valid by now: the clock of whoever refused it is behind, or was"
    } else {
        "the certificate is not valid yet: a clock is wrong, of whoever made it or of whoever refuses it"
    };
    Answer {
        culprit,
        presenter: suspects
            .first()
            .map(|slot| known::presenter(*slot, &evidence.bearer))
            .filter(|_| suspects.len() == 1),
        meaning: meaning.to_owned(),
        proof,
        impact: Impact::Inconsistent,
        advice: vec![Advice::Mend(Remedy::SetClock)],
    }
}

/// `Unauthorized`
pub(super) fn unauthorized(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, last, .. } = question;
    let suspects = question.suspects();
    let component = evidence.program.as_ref().and_then(|program| program.component());
    let [slot] = suspects.as_slice() else {
        return nobody_in_particular(question);
    };
    let slot = *slot;
    if evidence.program.is_none() {
        return nobody_in_particular(question);
    }
    let presenter = Some(known::presenter(slot, &evidence.bearer));
    let Some(current) = question.current(slot) else {
        let is_kubelet = component == Some(Component::Kubelet);
        return Answer {
            culprit: Culprit::OneOf(vec![slot]),
            presenter,
            meaning: format!("{slot} cannot be read here, and what is used in its place is not accepted"),
            proof: Vec::new(),
            impact: Impact::Unusable,
            advice: if is_kubelet { vec![Advice::RecoverKubelet] } else { vec![Advice::Check] },
        };
    };
    let path = inventory.certificate_file(&place(slot)).map(|file| file.path.to_string()).unwrap_or_default();
    let mut proof = vec![format!("{path} holds {}", facts_of(current))];
    let (meaning, impact, advice);
    let reload = restarts(slot, inventory);
    if question.is_of_other_authority(slot) {
        meaning = format!("{slot} was signed by another authority than the one of this tree");
        impact = Impact::Inconsistent;
        advice = once([known::renewal(&place(slot), inventory, *now)].into_iter().chain(reload));
    } else if current.not_after() < *now {
        meaning = format!("{slot} expired {}", current.not_after());
        impact = Impact::Unusable;
        advice = once([known::renewal(&place(slot), inventory, *now)].into_iter().chain(reload));
    } else {
        let written = modified(inventory, slot);
        proof.extend(written.map(|written| format!("the file was written {written}")));
        let renewed = written.unwrap_or_else(|| current.not_before());
        let is_past = last.is_some_and(|last| last < renewed);
        impact = Impact::Inconsistent;
        let copies: Vec<Advice> = stale_copies(slot, question);
        meaning = if reload.is_empty() {
            format!("{slot} is valid, so an older copy of it is in use")
        } else if is_past {
            format!(
                "{slot} has been renewed since; unless its program was restarted, it still has the old certificate in memory"
            )
        } else {
            format!("{slot} is valid and what is used is not: its program has an older certificate in memory")
        };
        let first = if reload.is_empty() { None } else { Some(Advice::Verify) };
        advice = once(copies.into_iter().chain(reload).chain(first));
    }
    let advice = if advice.is_empty() { vec![Advice::Check] } else { advice };
    Answer { culprit: Culprit::Current(place(slot)), presenter, meaning, proof, impact, advice }
}

/// Returns when the file of `slot` was last written.
fn modified(inventory: &Inventory, slot: Slot) -> Option<Timestamp> {
    let file = inventory.certificate_file(&place(slot))?;
    file.meta.as_ref()?.modified.map(crate::time::Moment::timestamp)
}

/// Returns what refreshes the copies of `slot` that are over, or older than it.
fn stale_copies(slot: Slot, question: &Question<'_>) -> Vec<Advice> {
    let inventory = question.inventory;
    let Some(current) = question.current(slot) else { return Vec::new() };
    let copies = inventory.credentials().filter_map(|(place, credential)| {
        let Place::Copy(path) = place else { return None };
        let copy = credential.leaf()?;
        (copy.subject() == current.subject() && copy.not_after() < current.not_after()).then_some(path)
    });
    copies.map(|path| Advice::Mend(Remedy::RefreshCopy(path.clone()))).collect()
}

/// Somebody is not accepted, and nothing says who.
fn nobody_in_particular(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let slots: Vec<Slot> = match &evidence.bearer {
        Bearer::Client(_) => question.suspects(),
        _ if evidence.slot.is_none() && evidence.program.is_some() => question.suspects(),
        _ => [
            Slot::Kubeconfig(KubeconfigSlot::Scheduler),
            Slot::Kubeconfig(KubeconfigSlot::ControllerManager),
            known::kubelet_credential(inventory),
            Slot::Kubeconfig(KubeconfigSlot::Admin),
        ]
        .to_vec(),
    };
    let over: Vec<Slot> = slots
        .iter()
        .copied()
        .filter(|slot| question.current(*slot).is_some_and(|certificate| certificate.not_after() < *now))
        .collect();
    let proof = over
        .iter()
        .filter_map(|slot| Some(format!("{slot} is over: {}", facts_of(question.current(*slot)?))))
        .collect();
    let renewals = over.iter().map(|slot| known::renewal(&place(*slot), inventory, *now));
    Answer {
        culprit: match (over.is_empty(), slots.is_empty()) {
            (true, true) => Culprit::Unknown,
            (true, false) => Culprit::OneOf(slots.clone()),
            (false, _) => Culprit::OneOf(over.clone()),
        },
        presenter: None,
        meaning: "a client's certificate or token is over, or not of this cluster; the line does not say whose it is"
            .to_owned(),
        proof,
        impact: Impact::Unusable,
        advice: once(renewals.chain([Advice::Verify, Advice::Check])),
    }
}

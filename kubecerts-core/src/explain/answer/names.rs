//! Servers that are reached by a name that their certificate lacks.

use super::{Advice, Answer, Culprit, Question, once, place};
use crate::catalog::{Component, FileSlot, LeafSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::{Bearer, Evidence, Scene};
use crate::explain::{facts, known};
use crate::inventory::Custody;
use crate::x509::AlternativeName;

/// `certificate is valid for A, not B`
pub(super) fn mismatch(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, .. } = question;
    let Evidence { wanted, valid_for, bearer, .. } = evidence;
    let name = wanted.as_deref().and_then(|wanted| AlternativeName::parse_host(wanted).ok());
    let shown = wanted.as_deref().unwrap_or("that name").escape_debug().to_string();
    let mut proof = Vec::new();
    if !valid_for.is_empty() {
        proof.push(shown_names(evidence));
    }
    let node = inventory.known_node_name();
    let is_of_this_node =
        node.as_ref().is_some_and(|node| valid_for.iter().any(|name| name == node.as_str()));
    let slot = question.suspects().first().copied();
    if let Some(answer) = of_member(question) {
        return answer;
    }
    let is_peer = matches!(bearer, Bearer::Client(_));
    // The name itself says where the server is when it was reached over a name that only it has.
    let elsewhere = question.elsewhere().filter(|_| !is_shared(slot) || !is_of_this_node);
    if let Some(host) = elsewhere.filter(|host| is_peer || !is_shared(slot) || Some(host) != wanted.as_ref())
    {
        let copied = if is_of_this_node {
            proof.push("it has the name of this node".to_owned());
            ", and shows this node's: it was copied"
        } else {
            ", and shows one without its own name"
        };
        return Answer {
            culprit: Culprit::Elsewhere(host.clone()),
            presenter: slot.map(|slot| known::presenter(slot, bearer)),
            meaning: format!("the host {} has to have a certificate of its own{copied}", host.escape_debug()),
            proof,
            impact: Impact::Inconsistent,
            advice: vec![Advice::LookAt(host)],
        };
    }
    let Some((slot, current)) = slot.and_then(|slot| Some((slot, question.current(slot)?))) else {
        return Answer {
            culprit: Culprit::Unknown,
            presenter: None,
            meaning: format!("a server that is not of this tree has a certificate without {shown}"),
            proof,
            impact: Impact::Inconsistent,
            advice: vec![Advice::Check],
        };
    };
    let covers = name.as_ref().is_some_and(|name| current.alternative_names().covers(name));
    proof.push(format!(
        "{slot} on disk has: {}",
        current.alternative_names().texts().collect::<Vec<_>>().join(", ")
    ));
    let (meaning, advice) = if covers {
        let restarts = known::loaders(slot, inventory).into_iter();
        let restarts = restarts.map(|(component, _)| Advice::Mend(Remedy::Restart(component)));
        (
            format!(
                "{slot} on disk has {shown}, and the one that is served has not: an older one is in memory, or another node answers"
            ),
            once(restarts.chain([Advice::Verify])),
        )
    } else {
        let ca = slot.issuer();
        let held = ca.is_some_and(|ca| inventory.authority(ca).custody() == Custody::Held);
        let advice = match (slot, name, ca) {
            (Slot::KubeletServing, ..) => Advice::RemakeServing,
            (Slot::Leaf(_), Some(name), _) if held => Advice::Mend(Remedy::AddNames(slot, vec![name])),
            (Slot::Leaf(_), _, Some(ca)) if !held => Advice::Mend(Remedy::SignElsewhere(ca)),
            _ => Advice::Check,
        };
        (format!("{slot} lacks {shown}, by which it is reached"), vec![advice])
    };
    Answer {
        culprit: Culprit::Current(place(slot)),
        presenter: Some(known::presenter(slot, bearer)),
        meaning,
        proof,
        impact: Impact::Inconsistent,
        advice,
    }
}

/// Says which names the line has of the certificate that was shown.
pub(super) fn shown_names(evidence: &Evidence) -> String {
    let names: Vec<String> = evidence.valid_for.iter().map(|name| name.escape_debug().to_string()).collect();
    format!("the certificate that was shown has: {}", names.join(", "))
}

/// A client of one etcd endpoint that shows its own names, or a member of etcd that shows those of another one
fn of_member(question: &Question<'_>) -> Option<Answer> {
    let Question { evidence, inventory, .. } = question;
    let Evidence { wanted, valid_for, bearer, scene, .. } = evidence;
    let wanted = wanted.as_deref()?;
    let Bearer::Server(Some(address)) = bearer else { return None };
    let shown = shown_names(evidence);
    let host = address.host.escape_debug().to_string();
    if wanted != address.host && valid_for.contains(&address.host) {
        return Some(Answer {
            culprit: Culprit::Unknown,
            presenter: Some(known::presenter(Slot::Leaf(LeafSlot::EtcdServer), bearer)),
            meaning: format!(
                "{host} shows a certificate with its own name, and the client expects that of another endpoint: clients of gRPC before \
                 Kubernetes 1.16 check every endpoint against the first one's name, so no certificate is wrong"
            ),
            proof: vec![shown],
            impact: Impact::Inconsistent,
            advice: vec![Advice::Verify],
        });
    }
    if *scene != Scene::Member || known::whereabouts(wanted, inventory) != known::Whereabouts::Elsewhere {
        return None;
    }
    // Of the names that members have in common nothing follows.
    let is_own = |name: &&String| {
        !facts::is_loopback(name) && known::whereabouts(name, inventory) == known::Whereabouts::Here
    };
    let own = valid_for.iter().find(is_own);
    let slots = vec![Slot::Leaf(LeafSlot::EtcdServer), Slot::Leaf(LeafSlot::EtcdPeer)];
    let meaning = match own {
        Some(_) => format!(
            "the member at {host} shows a certificate of this node, which was copied there: it has to have its own"
        ),
        None => format!("the member at {host} shows a certificate without its own name"),
    };
    let own = own.map(|name| format!("{} is a name of this node", name.escape_debug()));
    Some(Answer {
        culprit: Culprit::Elsewhere(address.host.clone()),
        presenter: Some(known::presenter(Slot::Leaf(LeafSlot::EtcdPeer), bearer)),
        meaning,
        proof: [shown].into_iter().chain(own).collect(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::LookAt(address.host.clone()), Advice::ReissueOn(address.host.clone(), slots)],
    })
}

/// The API server is reached over names that all control-plane nodes share; etcd and kubelets are not.
const fn is_shared(slot: Option<Slot>) -> bool {
    matches!(slot, Some(Slot::Leaf(LeafSlot::ApiServer)))
}

/// A client wants of a certificate what it does not have: alternative names, the identifier of its authority's key, a short life
pub(super) fn not_compliant(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, .. } = question;
    let suspects = question.suspects();
    let slot = suspects.first().copied().filter(|_| question.elsewhere().is_none());
    let current = slot.and_then(|slot| Some((slot, question.current(slot)?)));
    let proof = current.map(|(slot, leaf)| {
        let names = leaf.alternative_names().texts().count();
        let key = if leaf.authority_key_identifier().is_some() { "has" } else { "lacks" };
        format!(
            "{slot} on disk has {names} names, {key} the identifier of its authority's key, and ends {}",
            leaf.not_after()
        )
    });
    Answer {
        culprit: current.map_or(Culprit::Unknown, |(slot, _)| Culprit::OneOf(vec![slot])),
        presenter: current.map(|(slot, _)| known::presenter(slot, &evidence.bearer)),
        meaning: "a client wants of a certificate what it does not have: alternative names, an authority key identifier, or a shorter \
                  life; the line does not say of which"
            .to_owned(),
        proof: proof.into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: if inventory.is_empty() { vec![Advice::Check] } else { vec![Advice::Verify, Advice::Check] },
    }
}

/// `subject with cn=… is not in the allowed list`
pub(super) fn front_proxy(question: &Question<'_>) -> Answer {
    let slot = Slot::Leaf(LeafSlot::FrontProxyClient);
    if question.evidence.detail.is_some() {
        return shown_as_itself(question);
    }
    let stated = question.evidence.common_name.clone();
    let name = stated.or_else(|| question.current(slot)?.subject().common_name().map(str::to_owned));
    let name = name.unwrap_or_else(|| "front-proxy-client".to_owned());
    Answer {
        culprit: Culprit::Current(place(slot)),
        presenter: Some(known::presenter(slot, &Bearer::Client(None))),
        meaning: format!("--requestheader-allowed-names does not have {}", name.escape_debug()),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::AllowFrontProxy(name)],
    }
}

/// `pods.metrics.k8s.io is forbidden: User "kube-apiserver"`: the server's name in place of the user's, which no front proxy names.
fn shown_as_itself(question: &Question<'_>) -> Answer {
    let slot = Slot::Leaf(LeafSlot::FrontProxyClient);
    let layout = question.inventory.node().layout();
    let path = |file| layout.path(file).to_string();
    let flags = vec![
        ("proxy-client-cert-file", path(FileSlot::LeafCertificate(LeafSlot::FrontProxyClient))),
        ("proxy-client-key-file", path(FileSlot::LeafKey(LeafSlot::FrontProxyClient))),
    ];
    let flag = Remedy::SetFlag(Component::ApiServer, flags);
    Answer {
        culprit: Culprit::Current(place(slot)),
        presenter: Some(known::presenter(slot, &Bearer::Client(None))),
        meaning: "an extension API server takes the API server for a user: --proxy-client-cert-file names another certificate than \
                  front-proxy-client, so that the real user is not believed"
            .to_owned(),
        proof: question.current(slot).map(super::facts_of).into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::Mend(flag), Advice::Check],
    }
}

//! Servers that are reached by a name that their certificate lacks.

use super::{Advice, Answer, Culprit, Question, once, place};
use crate::catalog::{LeafSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::known;
use crate::explain::{Bearer, Evidence};
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
        let names: Vec<String> = valid_for.iter().map(|name| name.escape_debug().to_string()).collect();
        proof.push(format!("the certificate that was shown has: {}", names.join(", ")));
    }
    let node = inventory.known_node_name();
    let is_of_this_node =
        node.as_ref().is_some_and(|node| valid_for.iter().any(|name| name == node.as_str()));
    let slot = question.suspects().first().copied();
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

/// The API server is reached over names that all control-plane nodes share; etcd and kubelets are not.
const fn is_shared(slot: Option<Slot>) -> bool {
    matches!(slot, Some(Slot::Leaf(LeafSlot::ApiServer)))
}

/// `subject with cn=… is not in the allowed list`
pub(super) fn front_proxy(question: &Question<'_>) -> Answer {
    let slot = Slot::Leaf(LeafSlot::FrontProxyClient);
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

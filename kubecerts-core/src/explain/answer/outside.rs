//! Lines to which no certificate of this node is the answer: of pods, of webhooks, of registries, of other nodes.

use super::{Advice, Answer, Culprit, Question, facts_of, names, tokens};
use crate::catalog::{Component, LeafSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::known::{self, Whereabouts};
use crate::explain::{Address, Bearer, Program, Scene, Symptom};

/// Returns the answer to a line that is not about the certificates of this node.
pub(super) fn answer(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let is_reached = matches!(evidence.bearer, Bearer::Server(_) | Bearer::WriterAsClient(_));
    match &evidence.scene {
        Scene::Extension(name) if is_reached => extension(name, question),
        Scene::Registry if is_reached => registry(question),
        Scene::Join if evidence.symptom == Symptom::Unauthorized => Some(tokens::join(question)),
        Scene::Pod | Scene::Network => of_pod(question),
        _ if is_at_service(question) => of_pod(question),
        _ => None,
    }
    .or_else(|| of_other_server(question))
    .or_else(|| of_other_node(question))
}

/// Only pods, and what serves them, reach the API server at the address of its service.
fn is_at_service(question: &Question<'_>) -> bool {
    let Bearer::Server(Some(Address { host, port })) = &question.evidence.bearer else { return false };
    let service = question.inventory.node().addresses().service;
    let is_component =
        question.evidence.program.as_ref().is_some_and(|program| program.component().is_some());
    !is_component && matches!(port, Some(443) | None) && service.is_some_and(|it| host.parse() == Ok(it))
}

/// A pod, or the plugin of the pod network, and the API server.
fn of_pod(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let is_network = evidence.scene == Scene::Network;
    match (evidence.symptom, &evidence.bearer) {
        (Symptom::Unauthorized, Bearer::WriterAsClient(_)) => Some(tokens::of_pod(question)),
        (Symptom::UnknownAuthority, Bearer::Server(_)) => {
            let slot = Slot::Leaf(LeafSlot::ApiServer);
            if question.is_of_other_authority(slot)
                || !matches!(question.suspects().as_slice(), [] | [Slot::Leaf(LeafSlot::ApiServer)])
            {
                return None;
            }
            let served = question
                .current(slot)
                .map(|leaf| format!("{slot} on disk is signed by ca as it is on disk: {}", facts_of(leaf)));
            let who = if is_network { "the plugin of the pod network" } else { "a pod" };
            let what = if is_network {
                "its kubeconfig below /etc/cni/net.d, or kube-root-ca.crt, is from before the authority was replaced"
            } else {
                "its kube-root-ca.crt is from before the authority was replaced, or it has read it once and keeps it"
            };
            let network = is_network.then_some(Advice::RewriteNetwork);
            Some(Answer {
                culprit: Culprit::Elsewhere(format!("what {who} trusts")),
                presenter: Some(known::presenter(slot, &evidence.bearer)),
                meaning: format!(
                    "{who} trusts another authority than the one that signed the API server's certificate: {what}"
                ),
                proof: served.into_iter().collect(),
                impact: Impact::Inconsistent,
                advice: [Advice::PublishAuthority].into_iter().chain(network).collect(),
            })
        }
        _ => None,
    }
}

/// The API server calls a webhook, or hands requests on to an extension API server.
fn extension(name: &str, question: &Question<'_>) -> Option<Answer> {
    let shown = name.escape_debug();
    let (meaning, advice) = match question.evidence.symptom {
        Symptom::UnknownAuthority => (
            format!(
                "the API server does not trust what answers for {shown}: its caBundle is of another authority"
            ),
            Advice::UpdateBundle(name.to_owned()),
        ),
        Symptom::Expired | Symptom::NotYetValid => (
            format!("the certificate of what answers for {shown} is over, or not valid yet"),
            Advice::RenewExtension(name.to_owned()),
        ),
        Symptom::NameMismatch | Symptom::WrongUsage | Symptom::NotCompliant => (
            format!("the certificate of what answers for {shown} is made for another name or purpose"),
            Advice::RenewExtension(name.to_owned()),
        ),
        _ => return None,
    };
    Some(Answer {
        culprit: Culprit::Elsewhere(format!("that of {shown}, which kubeadm has not made")),
        presenter: Some(format!("the pod that answers for {shown}, to kube-apiserver")),
        meaning,
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![advice],
    })
}

fn registry(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    if !matches!(
        evidence.symptom,
        Symptom::UnknownAuthority | Symptom::Expired | Symptom::NotYetValid | Symptom::NameMismatch
    ) {
        return None;
    }
    let host = match &evidence.bearer {
        Bearer::Server(Some(address)) => address.host.clone(),
        _ => "the registry".to_owned(),
    };
    Some(Answer {
        culprit: Culprit::Elsewhere(format!("that of {}", host.escape_debug())),
        presenter: Some(format!("{}, to the container runtime", host.escape_debug())),
        meaning: "the container runtime does not accept the certificate of a registry of images; the cluster's own certificates have no \
                  part in it"
            .to_owned(),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::TrustServer(host)],
    })
}

/// A program in a pod serves, and its clients refuse its certificate.
fn of_other_server(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let program = evidence.program.as_ref().filter(|program| program.is_in_pod())?;
    if !matches!(evidence.bearer, Bearer::WriterAsServer(_)) || evidence.symptom != Symptom::Refused {
        return None;
    }
    let name = program.name();
    let alert = evidence.detail.as_deref().unwrap_or("no reason").escape_debug();
    Some(Answer {
        culprit: Culprit::Elsewhere(format!("that of {}", name.escape_debug())),
        presenter: Some(format!("{}, to its clients", name.escape_debug())),
        meaning: format!(
            "a client refuses the certificate that {} serves ({alert}): where that is the API server, the caBundle is of another authority",
            name.escape_debug()
        ),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::UpdateBundle(name.to_owned())],
    })
}

/// The writer is on another node, and the line is about files of its own.
fn of_other_node(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let node = evidence.node.clone()?;
    let is_trust =
        evidence.symptom == Symptom::UnknownAuthority && matches!(evidence.bearer, Bearer::Server(_));
    let is_own = matches!(evidence.bearer, Bearer::WriterAsClient(_) | Bearer::WriterAsServer(_));
    if !is_own && !is_trust {
        return None;
    }
    if is_trust && question.suspects().iter().any(|slot| question.is_of_other_authority(*slot)) {
        return None;
    }
    let shown = node.escape_debug().to_string();
    let writer = evidence.program.as_ref().map_or("a program", Program::name);
    let is_kubelet = evidence.program.as_ref().and_then(Program::component) == Some(Component::Kubelet);
    let (meaning, impact) = match evidence.symptom {
        Symptom::Unauthorized => (
            format!(
                "the API server does not accept {writer} of {shown}: what it shows is over, or of another authority"
            ),
            Impact::Unusable,
        ),
        Symptom::Expired | Symptom::BootstrapExpired | Symptom::BootstrapMissing => {
            (format!("the credential of {writer} of {shown} is over, or is missing"), Impact::Unusable)
        }
        Symptom::UnknownAuthority => (
            format!("{writer} of {shown} trusts another authority than its server has"),
            Impact::Inconsistent,
        ),
        Symptom::RequestUnsigned | Symptom::NodeForbidden => return None,
        _ => {
            (format!("it is about certificates and files of {shown}, not of this node"), Impact::Inconsistent)
        }
    };
    let has_credential = !matches!(
        evidence.symptom,
        Symptom::Unauthorized | Symptom::Expired | Symptom::BootstrapExpired | Symptom::BootstrapMissing
    );
    let issue = (is_kubelet && !has_credential).then(|| Advice::IssueKubelet(node.clone()));
    Some(Answer {
        culprit: Culprit::Elsewhere(node.clone()),
        presenter: Some(format!("{} on {shown}", writer.escape_debug())),
        meaning,
        proof: Vec::new(),
        impact,
        advice: [Advice::LookAt(node)].into_iter().chain(issue).collect(),
    })
}

/// The API server, or whoever collects metrics, and the serving certificate of a kubelet.
pub(super) fn kubelet(question: &Question<'_>) -> Option<Answer> {
    let evidence = question.evidence;
    let Bearer::Server(address) = &evidence.bearer else { return None };
    if evidence.scene != Scene::Kubelet {
        return None;
    }
    let host = address.as_ref().map(|address| address.host.clone());
    let place = host.as_deref().map(|host| known::whereabouts(host, question.inventory));
    let on = host.clone().unwrap_or_else(|| "the node that was asked".to_owned());
    let is_here = place == Some(Whereabouts::Here);
    let slot = Slot::KubeletServing;
    let current = question.current(slot).filter(|_| is_here);
    let client = match evidence.program.as_ref() {
        Some(program) if program.component() == Some(Component::ApiServer) => {
            "--kubelet-certificate-authority of kube-apiserver"
        }
        _ => "the client, such as metrics-server,",
    };
    let (meaning, advice) = match evidence.symptom {
        Symptom::UnknownAuthority => (
            format!(
                "{client} wants a certificate of the cluster's authority, and the kubelet serves one that it made itself, or of another authority"
            ),
            Advice::AskForServing(on.clone()),
        ),
        Symptom::NameMismatch => {
            let name = evidence
                .wanted
                .as_deref()
                .and_then(|name| crate::x509::AlternativeName::parse_host(name).ok());
            let has_it = |name| current.is_some_and(|leaf| leaf.alternative_names().covers(name));
            if name.as_ref().is_some_and(has_it) {
                return None;
            }
            (
                "the kubelet's serving certificate lacks the name that it is reached by: the one that it makes itself has no address"
                    .to_owned(),
                Advice::AskForServing(on.clone()),
            )
        }
        Symptom::Expired if !is_here => {
            ("the serving certificate of a kubelet is over".to_owned(), Advice::AskForServing(on.clone()))
        }
        _ => return None,
    };
    let mut proof = Vec::new();
    if !evidence.valid_for.is_empty() {
        proof.push(names::shown_names(evidence));
    }
    proof.extend(current.map(|leaf| format!("{slot} on disk: {}", facts_of(leaf))));
    let look_at = host.filter(|_| place == Some(Whereabouts::Elsewhere)).map(Advice::LookAt);
    Some(Answer {
        culprit: if is_here { Culprit::Current(super::place(slot)) } else { Culprit::Elsewhere(on) },
        presenter: Some(known::presenter(slot, &evidence.bearer)),
        meaning,
        proof,
        impact: if evidence.symptom == Symptom::Expired { Impact::Unusable } else { Impact::Inconsistent },
        advice: look_at.into_iter().chain([advice]).collect(),
    })
}

/// The kubelet knows the API server and allows it nothing.
pub(super) fn kubelet_forbids() -> Answer {
    let slot = Slot::Leaf(LeafSlot::ApiServerKubeletClient);
    Answer {
        culprit: Culprit::Current(super::place(slot)),
        presenter: Some(known::presenter(slot, &Bearer::Client(None))),
        meaning: "the kubelet accepts the API server's client certificate, and its group or user is bound to no role for kubelets"
            .to_owned(),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::BindKubeletClient],
    }
}

/// `node "worker-2" is not allowed to modify node "cp-1"`
pub(super) fn node_forbidden(question: &Question<'_>) -> Answer {
    let evidence = question.evidence;
    let acted_for = evidence.detail.as_deref().unwrap_or("another node").escape_debug().to_string();
    let slot = known::kubelet_credential(question.inventory);
    let host = evidence.node.clone();
    Answer {
        culprit: match &host {
            Some(host) => Culprit::Elsewhere(host.clone()),
            None => Culprit::Current(super::place(slot)),
        },
        presenter: Some("kubelet, with the credential of another node".to_owned()),
        meaning: format!(
            "a kubelet acts for {acted_for} with the credential of another node: kubelet.conf was copied, or the name of the host has changed"
        ),
        proof: question.current(slot).filter(|_| host.is_none()).map(facts_of).into_iter().collect(),
        impact: Impact::Unusable,
        advice: match host {
            Some(host) => vec![Advice::LookAt(host.clone()), Advice::IssueKubelet(host)],
            None => vec![Advice::RecoverKubelet, Advice::Mend(Remedy::Restart(Component::Kubelet))],
        },
    }
}

//! Certificates of another authority, and peers that refuse certificates.

use super::{Advice, Answer, Culprit, Question, culprit_of, facts_of, once, place, replaced_copy};
use crate::catalog::{CaSlot, Component, ExtendedUsage, KubeconfigSlot, LeafSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::known::{self, Spot};
use crate::explain::{Bearer, Evidence};
use crate::issue::key_pins;
use crate::x509::Purpose;

/// `certificate signed by unknown authority`
pub(super) fn unknown_authority(question: &Question<'_>) -> Answer {
    let evidence = question.evidence;
    match evidence.bearer {
        Bearer::Client(_) => of_client(question),
        _ if evidence.candidate.as_deref() == Some("front-proxy-ca") => of_client(question),
        _ => of_server(question),
    }
}

/// A client does not know the authority of a server: its own trust, or the server's certificate, is of another time.
fn of_server(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let ca = question.authority();
    let mut proof = same_name(question, ca);
    if let Some(slot) = evidence.slot.filter(|slot| !question.is_of_other_authority(*slot)) {
        proof.extend(question.current(slot).map(|leaf| format!("{slot} on disk: {}", facts_of(leaf))));
        return Answer {
            culprit: Culprit::Current(place(slot)),
            presenter: None,
            meaning: format!(
                "{slot} was signed by another key than that of its authority; on disk they belong together by now, or cannot be read"
            ),
            proof,
            impact: Impact::Inconsistent,
            advice: vec![Advice::Check],
        };
    }
    if let Some(host) = question.elsewhere() {
        // Of other servers than those of a control plane nothing on this node tells whom to trust.
        let is_of_plane = match &evidence.bearer {
            Bearer::Server(Some(address)) => {
                matches!(address.port, Some(6443 | 8443 | 2379 | 2380 | 10250))
                    || matches!(question.suspects().as_slice(), [_])
            }
            _ => true,
        };
        let is_etcd =
            matches!(question.suspects().as_slice(), [Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer)]);
        let trust =
            if is_of_plane && !is_etcd { Advice::TrustInCopy } else { Advice::TrustServer(host.clone()) };
        let look_at = is_of_plane.then(|| Advice::LookAt(host.clone()));
        return Answer {
            culprit: Culprit::Elsewhere(host.clone()),
            presenter: None,
            meaning: format!(
                "the server at {} has a certificate of an authority that its client does not know",
                host.escape_debug()
            ),
            proof,
            impact: Impact::Inconsistent,
            advice: look_at.into_iter().chain([trust]).collect(),
        };
    }
    let suspect = question.suspects().first().copied();
    let served = match ca {
        // What the line calls the authority decides, when the place does not agree with it.
        Some(CaSlot::Etcd) if suspect.and_then(Slot::issuer) != ca => Some(Slot::Leaf(LeafSlot::EtcdServer)),
        _ => suspect,
    };
    let presenter = served.map(|slot| known::presenter(slot, &evidence.bearer));
    if let Some(slot) = served.filter(|slot| question.is_of_other_authority(*slot)) {
        if let (Some(ca), Some(certificate)) = (slot.issuer(), question.current(slot)) {
            proof.push(format!("{ca} on disk has not signed {slot}: {}", facts_of(certificate)));
        }
        return Answer {
            culprit: Culprit::Current(place(slot)),
            presenter,
            meaning: format!("{slot} was signed by another authority than the one of this tree"),
            proof,
            impact: Impact::Inconsistent,
            advice: once(
                [known::renewal(&place(slot), inventory, *now)]
                    .into_iter()
                    .chain(known::restarts(slot, inventory)),
            ),
        };
    }
    // The server is what it should be, so it is the client that knows another authority.
    let component = evidence.program.as_ref().and_then(|program| program.component());
    let own = component.and_then(kubeconfig_of);
    let told = trust_of(component, served);
    let facts = own.and_then(|slot| inventory.credential(slot)?.kubeconfig());
    let lacks = facts.is_some_and(|facts| facts.lacks_authority(inventory.authority(CaSlot::Cluster)));
    let is_inside = matches!(ca, Some(CaSlot::Etcd | CaSlot::FrontProxy));
    let restart = component.map(|component| Advice::Mend(Remedy::Restart(component)));
    let (meaning, first) = match own {
        Some(slot) if lacks => {
            proof.push(format!("{slot} does not trust the authority on disk"));
            (format!("{slot} trusts another authority than the one that signed the API server's certificate"), Some(Advice::Mend(Remedy::UpdateTrust)))
        }
        _ if told.is_some() => {
            let authority = ca.or_else(|| served.and_then(Slot::issuer));
            let authority = authority.map_or("the authority", CaSlot::name);
            (
                format!(
                    "the file that {} names has another authority than {authority} as it is on disk, or it was read before \
                     {authority} was replaced",
                    told.unwrap_or_default()
                ),
                None,
            )
        }
        _ if is_inside => {
            ("its client knows another authority of that name, perhaps from before it was replaced".to_owned(), None)
        }
        Some(_) => ("its kubeconfig is right, so it has an earlier authority in memory".to_owned(), None),
        None if component.is_some() => {
            ("the client trusts another authority than the one that signed the server's certificate".to_owned(), None)
        }
        None if a_kubeconfig_lacks(question) => (
            "a client trusts another authority than the one that signed the server's certificate, and so does a kubeconfig of this node"
                .to_owned(),
            Some(Advice::Mend(Remedy::UpdateTrust)),
        ),
        None => (
            "the client trusts another authority than the one that signed the server's certificate; the kubeconfigs of this node are right, \
             so it has a copy, or none at all"
                .to_owned(),
            Some(Advice::TrustInCopy),
        ),
    };
    let last = if first.is_none() && restart.is_none() { Some(Advice::Check) } else { Some(Advice::Verify) };
    Answer {
        culprit: match (own.filter(|_| lacks), served) {
            (Some(slot), _) | (None, Some(slot)) => Culprit::Current(place(slot)),
            (None, None) => ca.map_or(Culprit::Unknown, Culprit::Authority),
        },
        presenter,
        meaning,
        proof,
        impact: Impact::Inconsistent,
        advice: once(first.into_iter().chain(restart).chain(last)),
    }
}

fn a_kubeconfig_lacks(question: &Question<'_>) -> bool {
    let cluster = question.inventory.authority(CaSlot::Cluster);
    let mut kubeconfigs = question.inventory.credentials().filter_map(|(_, found)| found.kubeconfig());
    kubeconfigs.any(|facts| facts.lacks_authority(cluster))
}

/// A server does not know the authority of a client.
fn of_client(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let ca = question.authority();
    let mut proof = same_name(question, ca);
    let restart = evidence.program.as_ref().and_then(|program| program.component());
    let restart = restart.map(|component| Advice::Mend(Remedy::Restart(component)));
    if let Some(known) = question.named() {
        let culprit = culprit_of(&known, question);
        let slot = match &culprit {
            Culprit::Current(place) => place.slot(),
            Culprit::Earlier { slot, .. } => *slot,
            _ => None,
        };
        proof.push(facts_of(known.certificate));
        let presenter = slot.map(|slot| known::presenter(slot, &evidence.bearer));
        let (meaning, advice) = match (&known.spot, slot) {
            (Spot::Current(place), Some(slot)) if question.is_of_other_authority(slot) => (
                format!("{slot} was signed by another authority than the one of this tree"),
                once(
                    [known::renewal(place, inventory, *now)]
                        .into_iter()
                        .chain(known::restarts(slot, inventory)),
                ),
            ),
            (Spot::Around(found), Some(slot)) => (
                format!("an earlier certificate of {slot}, of an earlier authority, is still in use"),
                once(
                    replaced_copy(Some(slot), found, question)
                        .into_iter()
                        .chain(known::restarts(slot, inventory))
                        .chain([Advice::Verify]),
                ),
            ),
            _ => (
                "the authority on disk has signed it, so the server has an earlier authority in memory"
                    .to_owned(),
                once(restart.into_iter().chain([Advice::Verify])),
            ),
        };
        return Answer { culprit, presenter, meaning, proof, impact: Impact::Inconsistent, advice };
    }
    let by_key = evidence.authority_key.as_ref().map(|key| known::authority_with(key, inventory));
    if let Some(Some(ca)) = by_key {
        proof.push(format!("the authority {ca} of this node has signed it"));
        return Answer {
            culprit: Culprit::Authority(ca),
            presenter: None,
            meaning: format!("the server does not know {ca} as it is on disk, but an earlier one"),
            proof,
            impact: Impact::Inconsistent,
            advice: once(restart.into_iter().chain([Advice::Verify])),
        };
    }
    if by_key.is_some() {
        proof.push("no authority of this node has the key that signed it".to_owned());
    }
    if evidence.candidate.as_deref() == Some("front-proxy-ca") {
        let slot = Slot::Leaf(LeafSlot::FrontProxyClient);
        let is_other = question.is_of_other_authority(slot);
        let renewal = is_other.then(|| known::renewal(&place(slot), inventory, *now));
        return Answer {
            culprit: Culprit::Current(place(slot)),
            presenter: Some(known::presenter(slot, &Bearer::Client(None))),
            meaning: "an extension API server knows another front-proxy-ca than the one that signed the API server's client \
                      certificate"
                .to_owned(),
            proof,
            impact: Impact::Inconsistent,
            advice: once(renewal.into_iter().chain([Advice::Mend(Remedy::Restart(Component::ApiServer)),
 Advice::RestartExtension("metrics.k8s.io, or whichever complains".to_owned()), Advice::Verify])),
        };
    }
    let wrong: Vec<Slot> =
        question.suspects().into_iter().filter(|slot| question.is_of_other_authority(*slot)).collect();
    let renewals: Vec<Advice> =
        wrong.iter().map(|slot| known::renewal(&place(*slot), inventory, *now)).collect();
    let from = question.elsewhere();
    let is_empty = wrong.is_empty();
    Answer {
        culprit: match (is_empty, &from) {
            (false, _) => Culprit::OneOf(wrong),
            (true, Some(host)) => Culprit::Elsewhere(host.clone()),
            (true, None) => {
                Culprit::Elsewhere("another cluster, or the time before this authority was made".to_owned())
            }
        },
        presenter: None,
        meaning: "a client has a certificate of an authority that the server does not know".to_owned(),
        proof,
        impact: Impact::Inconsistent,
        advice: once(
            renewals.into_iter().chain(from.map(Advice::LookAt)).chain(is_empty.then_some(Advice::Check)),
        ),
    }
}

/// Says what a failed candidate means: Go has tried an authority of the right name, and its key did not fit.
fn same_name(question: &Question<'_>, ca: Option<CaSlot>) -> Vec<String> {
    let Some(name) = &question.evidence.candidate else { return Vec::new() };
    let name = name.escape_debug();
    let what = ca.map_or_else(String::new, |ca| format!(", which is {ca} here"));
    vec![format!("two authorities are called \"{name}\"{what}, and their keys differ")]
}

/// Returns the setting that tells the client at `component` whom to trust as the server of `served`, where it is no kubeconfig.
const fn trust_of(component: Option<Component>, served: Option<Slot>) -> Option<&'static str> {
    match (component, served) {
        (Some(Component::ApiServer), Some(Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer))) => {
            Some("--etcd-cafile of kube-apiserver")
        }
        (Some(Component::ApiServer), Some(Slot::KubeletServing)) => {
            Some("--kubelet-certificate-authority of kube-apiserver")
        }
        (Some(Component::Etcd), _) => Some("--peer-trusted-ca-file of etcd"),
        (_, Some(Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer))) => {
            Some("--etcd-cafile of kube-apiserver, or --cacert of etcdctl,")
        }
        _ => None,
    }
}

const fn kubeconfig_of(component: Component) -> Option<Slot> {
    match component {
        Component::ControllerManager => Some(Slot::Kubeconfig(KubeconfigSlot::ControllerManager)),
        Component::Scheduler => Some(Slot::Kubeconfig(KubeconfigSlot::Scheduler)),
        Component::Kubelet => Some(Slot::Kubeconfig(KubeconfigSlot::Kubelet)),
        Component::ApiServer | Component::Etcd => None,
    }
}

/// `certificate specifies an incompatible key usage`
pub(super) fn wrong_usage(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let named = question.named();
    let suspects = question.suspects();
    if let (None, [server @ Slot::Leaf(LeafSlot::EtcdServer), _, ..]) = (&named, suspects.as_slice())
        && question.elsewhere().is_none()
    {
        return of_gateway(*server, &suspects, question);
    }
    let culprit = match (&named, suspects.as_slice()) {
        (Some(known), _) => culprit_of(known, question),
        (None, [slot]) if question.elsewhere().is_none() => Culprit::Current(place(*slot)),
        (None, []) => Culprit::Unknown,
        (None, slots) => Culprit::OneOf(slots.to_vec()),
    };
    let slot = match &culprit {
        Culprit::Current(place) => place.slot(),
        _ => None,
    };
    let advice = match (slot, question.elsewhere()) {
        (_, Some(host)) => vec![Advice::LookAt(host)],
        (Some(slot), None) => vec![known::renewal(&place(slot), inventory, *now), Advice::Verify],
        (None, None) => vec![Advice::Check],
    };
    let proof = slot.and_then(|slot| question.current(slot)).map(|certificate| {
        let purposes = certificate.extended_key_usages().as_slice().iter();
        let usages: Vec<String> = purposes.map(ToString::to_string).collect();
        format!("it is made for: {}", usages.join(", "))
    });
    Answer {
        culprit,
        presenter: slot.map(|slot| known::presenter(slot, &evidence.bearer)),
        meaning: "a certificate of a server is used by a client, or one of a client by a server".to_owned(),
        proof: proof.into_iter().collect(),
        impact: Impact::Inconsistent,
        advice,
    }
}

/// etcd is a client of itself, with the certificate that it serves with; that of kubeadm is for both.
fn of_gateway(server: Slot, suspects: &[Slot], question: &Question<'_>) -> Answer {
    let Question { inventory, now, .. } = question;
    let current = question.current(server);
    let client = Purpose::from(ExtendedUsage::ClientAuth);
    let lacks = current.is_some_and(|leaf| !leaf.extended_key_usages().as_slice().contains(&client));
    let proof = current.map(|leaf| {
        let usages: Vec<String> =
            leaf.extended_key_usages().as_slice().iter().map(ToString::to_string).collect();
        format!("{server} on disk is made for: {}", usages.join(", "))
    });
    let first = lacks.then(|| known::renewal(&place(server), inventory, *now));
    let restart = Advice::Mend(Remedy::Restart(Component::Etcd));
    Answer {
        culprit: if lacks { Culprit::Current(place(server)) } else { Culprit::OneOf(suspects.to_vec()) },
        presenter: Some("etcd, as a client of itself, or another client on this node".to_owned()),
        meaning: format!(
            "a client's certificate is not made for clients; where etcd connects to itself that is {server}, which has to be for both"
        ),
        proof: proof.into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: if lacks {
            first.into_iter().chain([restart]).collect()
        } else {
            vec![Advice::Verify, restart]
        },
    }
}

/// `remote error: tls: …`
pub(super) fn refused(question: &Question<'_>) -> Answer {
    let Question { evidence, inventory, now, .. } = question;
    let Evidence { bearer, detail, .. } = evidence;
    let alert = detail.as_deref().unwrap_or_default().escape_debug().to_string();
    let suspects = question.suspects();
    if let Bearer::Client(peer) = bearer {
        let from = peer.as_deref().unwrap_or("somewhere").escape_debug().to_string();
        return Answer {
            culprit: Culprit::Unknown,
            presenter: None,
            meaning: format!("somebody at {from} connects without a client certificate"),
            proof: Vec::new(),
            impact: Impact::None,
            advice: peer.clone().map(Advice::LookAt).into_iter().collect(),
        };
    }
    let is_server = matches!(bearer, Bearer::WriterAsServer(_));
    if !is_server && alert == "certificate required" {
        let names: Vec<&str> = suspects.iter().map(|slot| slot.name()).collect();
        let which =
            if names.is_empty() { String::new() } else { format!(", such as {}", names.join(" or ")) };
        return Answer {
            culprit: Culprit::Unknown,
            presenter: None,
            meaning: format!("the client has shown no certificate, and the server wants one{which}"),
            proof: Vec::new(),
            impact: Impact::Inconsistent,
            advice: once(question.elsewhere().map(Advice::LookAt).into_iter().chain([Advice::Verify])),
        };
    }
    if !is_server && alert == "internal error" {
        return Answer {
            culprit: Culprit::Unknown,
            presenter: None,
            meaning: "the server has no certificate yet: a kubelet waits for its request to be approved"
                .to_owned(),
            proof: Vec::new(),
            impact: Impact::Unusable,
            advice: vec![Advice::ApproveRequests],
        };
    }
    let over = suspects
        .iter()
        .copied()
        .find(|slot| question.current(*slot).is_some_and(|leaf| leaf.not_after() < *now));
    let other = suspects.iter().copied().find(|slot| question.is_of_other_authority(*slot));
    let who = if is_server { "a client" } else { "the server" };
    let said = if alert.is_empty() { String::new() } else { format!(" ({alert})") };
    if let Some(slot) = over.or(other)
        && let Some(certificate) = question.current(slot)
    {
        let why = if over.is_some() { "it is over" } else { "another authority has signed it" };
        return Answer {
            culprit: Culprit::Current(place(slot)),
            presenter: Some(known::presenter(slot, bearer)),
            meaning: format!("{who} refuses {slot}{said}: {why}"),
            proof: vec![facts_of(certificate)],
            impact: if over.is_some() { Impact::Unusable } else { Impact::Inconsistent },
            advice: once(
                [known::renewal(&place(slot), inventory, *now)]
                    .into_iter()
                    .chain(known::restarts(slot, inventory)),
            ),
        };
    }
    let presenter = match suspects.as_slice() {
        [slot] => Some(known::presenter(*slot, bearer)),
        _ => None,
    };
    let proof = suspects
        .iter()
        .filter_map(|slot| Some(format!("{slot} on disk: {}", facts_of(question.current(*slot)?))))
        .collect();
    let culprit = match suspects.as_slice() {
        [slot] => Culprit::Current(place(*slot)),
        [] => Culprit::Unknown,
        slots => Culprit::OneOf(slots.to_vec()),
    };
    let elsewhere = question.elsewhere();
    let (meaning, advice) = if is_server {
        let trust = if elsewhere.is_some() { None } else { Some(Advice::Mend(Remedy::UpdateTrust)) };
        (
            format!(
                "a client refuses the server's certificate{said}: it trusts another authority, or the program has not loaded the file on disk"
            ),
            once([Advice::Verify].into_iter().chain(trust).chain(elsewhere.map(Advice::LookAt))),
        )
    } else {
        let restarts = suspects.iter().flat_map(|slot| known::loaders(*slot, inventory));
        let restarts = restarts.map(|(component, _)| Advice::Mend(Remedy::Restart(component)));
        (
            format!(
                "the server refuses the client's certificate{said}, and the one on disk is right: an older one is in use"
            ),
            once(restarts.chain([Advice::Verify]).chain(elsewhere.map(Advice::LookAt))),
        )
    };
    Answer { culprit, presenter, meaning, proof, impact: Impact::Inconsistent, advice }
}

/// `none of the public keys "sha256:…" are pinned`
pub(super) fn not_pinned(question: &Question<'_>) -> Answer {
    let pins: Vec<String> =
        key_pins(question.inventory, CaSlot::Cluster).into_iter().map(|pin| pin.to_string()).collect();
    let served = question.evidence.detail.as_deref();
    // What the message shows are the keys that the cluster has, not those of the command.
    let is_served = served.is_some_and(|served| pins.iter().any(|pin| pin == served));
    let proof = pins.iter().map(|pin| format!("ca of this node is {pin}")).collect();
    let (meaning, impact) = if is_served {
        ("the join command pins the key of another authority than this cluster has", Impact::Inconsistent)
    } else if served.is_some() && !pins.is_empty() {
        ("cluster-info, which new nodes read, has another authority than this node", Impact::Inconsistent)
    } else {
        ("the join command pins the key of another authority than the cluster has", Impact::Inconsistent)
    };
    Answer {
        culprit: Culprit::Authority(CaSlot::Cluster),
        presenter: Some("cluster-info, to nodes that join".to_owned()),
        meaning: meaning.to_owned(),
        proof,
        impact,
        advice: vec![Advice::JoinAnew],
    }
}

/// `trailing data after first PEM block`
pub(super) fn trailing_data(question: &Question<'_>) -> Answer {
    let path = question.evidence.path.clone();
    let count = question
        .inventory
        .authority(CaSlot::Cluster)
        .certificate()
        .present()
        .map(|bundle| bundle.certificates().len());
    let proof = count.map(|count| format!("the file of ca on this node holds {count}"));
    Answer {
        culprit: path.clone().map_or(Culprit::Authority(CaSlot::Cluster), Culprit::File),
        presenter: None,
        meaning: "several authorities are given where one is expected, as in the middle of a rotation"
            .to_owned(),
        proof: proof.into_iter().collect(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::KeepOne(path.unwrap_or_else(|| "cluster-info".to_owned())), Advice::JoinAnew],
    }
}

/// `parent certificate cannot sign this kind of certificate`
pub(super) fn not_an_authority(question: &Question<'_>) -> Answer {
    let ca = question.authority().unwrap_or(CaSlot::Cluster);
    let signer = question.inventory.authority(ca).signer();
    let is_one = signer.is_some_and(|signer| signer.is_authority());
    let advice = if is_one { Advice::Check } else { Advice::Mend(Remedy::RotateAuthority(ca)) };
    Answer {
        culprit: Culprit::Authority(ca),
        presenter: None,
        meaning: "a certificate is used as an authority that does not allow it".to_owned(),
        proof: signer.map(facts_of).into_iter().collect(),
        impact: Impact::Unusable,
        advice: vec![advice],
    }
}

/// `cannot verify signature: insecure algorithm`
pub(super) fn weak(question: &Question<'_>) -> Answer {
    let suspects = question.suspects();
    let advice = match suspects.as_slice() {
        [slot] if question.elsewhere().is_none() => {
            known::renewal(&place(*slot), question.inventory, question.now)
        }
        _ => Advice::Check,
    };
    Answer {
        culprit: match suspects.as_slice() {
            [] => Culprit::Unknown,
            [slot] => Culprit::Current(place(*slot)),
            slots => Culprit::OneOf(slots.to_vec()),
        },
        presenter: None,
        meaning: "a signature or a key is of a kind that is no longer accepted".to_owned(),
        proof: Vec::new(),
        impact: Impact::Unusable,
        advice: once([advice].into_iter().chain(question.elsewhere().map(Advice::LookAt))),
    }
}

/// `authentication handshake failed`, without a reason
pub(super) fn handshake(question: &Question<'_>) -> Answer {
    let suspects = question.suspects();
    let slot = suspects.first().copied();
    let over =
        slot.filter(|slot| question.current(*slot).is_some_and(|leaf| leaf.not_after() < question.now));
    let elsewhere = question.elsewhere();
    let restarts = over.into_iter().flat_map(|slot| known::restarts(slot, question.inventory));
    let renewal = over.map(|slot| known::renewal(&place(slot), question.inventory, question.now));
    let meaning = match over {
        Some(slot) => format!("a handshake failed, and {slot} is over"),
        None => "a handshake failed; the line does not say why".to_owned(),
    };
    Answer {
        culprit: match (slot, &elsewhere) {
            (_, Some(host)) => Culprit::Elsewhere(host.clone()),
            (Some(slot), None) => Culprit::OneOf(vec![slot]),
            (None, None) => Culprit::Unknown,
        },
        presenter: slot.map(|slot| known::presenter(slot, &question.evidence.bearer)),
        meaning,
        proof: over.and_then(|slot| question.current(slot)).map(facts_of).into_iter().collect(),
        impact: if over.is_some() { Impact::Unusable } else { Impact::Incomplete },
        advice: once(
            renewal.into_iter().chain(restarts).chain([Advice::Verify]).chain(elsewhere.map(Advice::LookAt)),
        ),
    }
}

/// One side speaks TLS and the other one does not
pub(super) fn plain_text(question: &Question<'_>) -> Answer {
    let who = match &question.evidence.bearer {
        Bearer::Client(Some(host)) => format!("a client at {} speaks", host.escape_debug()),
        _ => "one side speaks".to_owned(),
    };
    Answer {
        culprit: Culprit::Unknown,
        presenter: None,
        meaning: format!("{who} plain HTTP where the other one speaks TLS; no certificate is involved"),
        proof: Vec::new(),
        impact: Impact::None,
        advice: vec![Advice::CompareSchemes],
    }
}

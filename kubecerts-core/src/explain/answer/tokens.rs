//! What is refused beside certificates: tokens, requests, rights.

use super::{Advice, Answer, Culprit, Question};
use crate::catalog::{FileSlot, KubeconfigSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::explain::Scene;
use crate::inventory::Place;

/// `invalid bearer token`
pub(super) fn invalid(question: &Question<'_>) -> Answer {
    let file = question.inventory.service_account().public_key_file.path.to_string();
    let (is_pair, of_keys) = key_pair(question);
    let reason = question.evidence.detail.as_deref();
    let (meaning, impact, proof, advice) = match is_pair {
        _ if reason == Some("early") => (
            "a token begins later than the clock of the API server says: the clocks of control-plane nodes differ",
            Impact::Inconsistent,
            Vec::new(),
            vec![Advice::Mend(Remedy::SetClock)],
        ),
        _ if reason == Some("deleted") => (
            "a pod uses a token whose service account, secret or pod no longer exists, or was made anew since",
            Impact::Inconsistent,
            Vec::new(),
            vec![Advice::RefreshTokens],
        ),
        _ if reason == Some("expired") => (
            "a pod uses a token that is over: it read it once, or its node no longer renews it",
            Impact::Unusable,
            Vec::new(),
            vec![Advice::RefreshTokens],
        ),
        Some(false) => (
            "sa.key and sa.pub are not a pair, so no token that is signed here is accepted here",
            Impact::Inconsistent,
            of_keys,
            vec![Advice::Mend(Remedy::Restore(FileSlot::ServiceAccountPublicKey))],
        ),
        Some(true) if reason != Some("key") => (
            "a token is not accepted, and the line does not say why: it was signed with another key, or is none of this cluster's",
            Impact::Inconsistent,
            of_keys,
            vec![Advice::RefreshTokens, Advice::Check],
        ),
        Some(true) => (
            "tokens were signed with another key: before this one was made, or by a control-plane node that has another",
            Impact::Inconsistent,
            of_keys,
            vec![Advice::LookAt("the other control-plane nodes".to_owned()), Advice::RefreshTokens],
        ),
        None => (
            "a token was signed with a key that the API server does not know",
            Impact::Inconsistent,
            Vec::new(),
            vec![Advice::Check, Advice::RefreshTokens],
        ),
    };
    Answer {
        culprit: Culprit::File(file),
        presenter: Some("a pod, with the token of its service account".to_owned()),
        meaning: meaning.to_owned(),
        proof,
        impact,
        advice,
    }
}

/// `Unauthorized`, to a pod or to the plugin of the pod network
pub(super) fn of_pod(question: &Question<'_>) -> Answer {
    let (is_pair, proof) = key_pair(question);
    let is_network = question.evidence.scene == Scene::Network;
    let who = if is_network { "the plugin of the pod network" } else { "a pod" };
    let first =
        (is_pair == Some(false)).then_some(Advice::Mend(Remedy::Restore(FileSlot::ServiceAccountPublicKey)));
    let other = if is_network { Advice::RewriteNetwork } else { Advice::RefreshTokens };
    Answer {
        culprit: Culprit::File(question.inventory.service_account().public_key_file.path.to_string()),
        presenter: Some(format!("{who}, with the token of its service account")),
        meaning: format!(
            "the API server does not accept {who}: its token is over, or was signed with another key than sa.pub; a kubeconfig of its own may be out of date"
        ),
        proof,
        impact: Impact::Inconsistent,
        advice: first.into_iter().chain([other]).collect(),
    }
}

/// Returns whether the keys of service accounts on this node are a pair, when both can be read, and the sentence that says so.
fn key_pair(question: &Question<'_>) -> (Option<bool>, Vec<String>) {
    let pair = question.inventory.service_account();
    let (private, public) = (pair.key.present(), pair.public_key.present());
    let is_pair = private.zip(public).map(|(private, public)| private.public_key() == public);
    let sentence = is_pair.map(|is_pair| match is_pair {
        true => "sa.key and sa.pub of this node are a pair".to_owned(),
        false => format!("{} and {} are different keys", pair.key_file.path, pair.public_key_file.path),
    });
    (is_pair, sentence.into_iter().collect())
}

/// A node joins with what has ended: its bootstrap token, or the certificates that were uploaded for it.
pub(super) fn join(question: &Question<'_>) -> Answer {
    let (meaning, advice) = if question.evidence.detail.as_deref() == Some("certificates") {
        (
            "the certificates that were uploaded for new control-plane nodes are deleted: that happens two hours after",
            Advice::UploadCertificates,
        )
    } else {
        ("the bootstrap token of the join command is over, or is none of this cluster's", Advice::JoinAnew)
    };
    Answer {
        culprit: Culprit::Unknown,
        presenter: Some("kubeadm join, with the token of its command".to_owned()),
        meaning: meaning.to_owned(),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![advice],
    }
}

/// `certificate request was not signed`
pub(super) fn unsigned() -> Answer {
    Answer {
        culprit: Culprit::Unknown,
        presenter: None,
        meaning: "a kubelet has asked for a certificate, and nobody has approved or signed its request"
            .to_owned(),
        proof: Vec::new(),
        impact: Impact::Incomplete,
        advice: vec![Advice::ApproveRequests],
    }
}

/// `User "kubernetes-admin" cannot …`
pub(super) fn forbidden() -> Answer {
    Answer {
        culprit: Culprit::Current(Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Admin))),
        presenter: Some("whoever uses admin.conf or a copy of it".to_owned()),
        meaning: "the certificate is accepted, and its group kubeadm:cluster-admins is bound to no role"
            .to_owned(),
        proof: Vec::new(),
        impact: Impact::Inconsistent,
        advice: vec![Advice::BindAdministrators],
    }
}

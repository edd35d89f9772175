//! What is refused beside certificates: tokens, requests, rights.

use super::{Advice, Answer, Culprit, Question};
use crate::catalog::{FileSlot, KubeconfigSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::inventory::Place;

/// `invalid bearer token`
pub(super) fn invalid(question: &Question<'_>) -> Answer {
    let pair = question.inventory.service_account();
    let file = pair.public_key_file.path.to_string();
    let (private, public) = (pair.key.present(), pair.public_key.present());
    let is_pair = private.zip(public).map(|(private, public)| private.public_key() == public);
    let is_over = question.evidence.detail.as_deref() == Some("expired");
    let (meaning, impact, proof, advice) = match is_pair {
        _ if is_over => (
            "a pod uses a token that is over: it read it once, or its node no longer renews it",
            Impact::Unusable,
            Vec::new(),
            vec![Advice::RefreshTokens],
        ),
        Some(false) => (
            "sa.key and sa.pub are not a pair, so no token that is signed here is accepted here",
            Impact::Inconsistent,
            vec![format!("{} and {file} are different keys", pair.key_file.path)],
            vec![Advice::Mend(Remedy::Restore(FileSlot::ServiceAccountPublicKey))],
        ),
        Some(true) => (
            "tokens were signed with another key: before this one was made, or by a control-plane node that has another",
            Impact::Inconsistent,
            vec!["sa.key and sa.pub of this node are a pair".to_owned()],
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

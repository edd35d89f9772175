//! From what a log says to what it means for the node.

mod dates;
mod files;
mod names;
mod outside;
mod tokens;
mod trust;

use super::known::{self, Known, Spot};
use super::{Advice, Answer, Bearer, Culprit, Evidence, Symptom};
use crate::catalog::{CaSlot, Component, Slot};
use crate::diagnosis::{self, Impact, Remedy};
use crate::inventory::{ChainFact, FoundCertificates, FoundKind, Inventory, Place};
use crate::time::Timestamp;
use crate::x509::Certificate;

/// What an answer is made from.
pub(super) struct Question<'a> {
    pub(super) evidence: &'a Evidence,
    /// When it was said last.
    pub(super) last: Option<Timestamp>,
    /// Everything that was said.
    pub(super) said: &'a [Evidence],
    pub(super) inventory: &'a Inventory,
    pub(super) now: Timestamp,
}

/// Returns what `evidence` means.
pub(super) fn answer(
    evidence: &Evidence,
    last: Option<Timestamp>,
    said: &[Evidence],
    inventory: &Inventory,
    now: Timestamp,
) -> Answer {
    let question = Question { evidence, last, said, inventory, now };
    if let Some(answer) = outside::answer(&question).or_else(|| outside::kubelet(&question)) {
        return answer;
    }
    match evidence.symptom {
        Symptom::Expired => dates::expired(&question),
        Symptom::NotYetValid => dates::not_yet_valid(&question),
        Symptom::UnknownAuthority => trust::unknown_authority(&question),
        Symptom::NameMismatch => names::mismatch(&question),
        Symptom::WrongUsage => trust::wrong_usage(&question),
        Symptom::KeyMismatch => files::key_mismatch(&question),
        Symptom::Refused => trust::refused(&question),
        Symptom::Unauthorized => dates::unauthorized(&question),
        Symptom::InvalidToken => tokens::invalid(&question),
        Symptom::BootstrapExpired | Symptom::BootstrapMissing => files::bootstrap(&question),
        Symptom::JoinExpired => tokens::join(&question),
        Symptom::EndsSoon => dates::ends_soon(&question),
        Symptom::KubeconfigStale => files::kubeconfig_stale(&question),
        Symptom::NodeForbidden => outside::node_forbidden(&question),
        Symptom::KubeletForbidden => outside::kubelet_forbids(),
        Symptom::NotCompliant => names::not_compliant(&question),
        Symptom::PlainText => trust::plain_text(&question),
        Symptom::RequestUnsigned => tokens::unsigned(),
        Symptom::NotPinned => trust::not_pinned(&question),
        Symptom::TrailingData => trust::trailing_data(&question),
        Symptom::FrontProxyRefused => names::front_proxy(&question),
        Symptom::NotAnAuthority => trust::not_an_authority(&question),
        Symptom::WeakSignature => trust::weak(&question),
        Symptom::FileMissing | Symptom::FileDenied | Symptom::FileDamaged => files::file(&question),
        Symptom::HandshakeFailed => trust::handshake(&question),
        Symptom::AdminForbidden => tokens::forbidden(),
        Symptom::ConnectionRefused => {
            consequence(&question, "nobody listens there: a server has ended or waits for another one")
        }
        Symptom::AggregationDown => consequence(
            &question,
            "an extension API server does not answer, or no longer accepts the API server's client certificate",
        ),
    }
}

/// Something that only follows from something else.
fn consequence(question: &Question<'_>, meaning: &str) -> Answer {
    let Evidence { bearer, detail, symptom, .. } = question.evidence;
    let address = match bearer {
        Bearer::Server(Some(address)) => Some(address.to_string()),
        _ => None,
    };
    let what =
        detail.clone().or(address).map_or_else(String::new, |what| format!("{}: ", what.escape_debug()));
    let advice = if *symptom == Symptom::AggregationDown {
        let group = detail.clone().unwrap_or_else(|| "metrics.k8s.io".to_owned());
        vec![
            Advice::Mend(Remedy::Restart(Component::ApiServer)),
            Advice::RestartExtension(group),
            Advice::Verify,
        ]
    } else {
        vec![Advice::Check, Advice::Verify]
    };
    let is_explained = question.said.iter().any(|other| !other.symptom.is_consequence());
    // The causes that the same log tells come with advice of their own.
    let advice = if is_explained { Vec::new() } else { advice };
    Answer {
        culprit: Culprit::Unknown,
        presenter: None,
        meaning: format!("{what}{meaning}"),
        proof: Vec::new(),
        impact: Impact::None,
        advice,
    }
}

impl<'a> Question<'a> {
    /// Returns the certificate that the serial number, or the subject's key, names.
    pub(super) fn named(&self) -> Option<Known<'a>> {
        let Evidence { serial, subject_key, .. } = self.evidence;
        let by_serial = serial.as_ref().and_then(|serial| {
            let is_it = |known: &Known<'_>| {
                // Serial numbers are unique for each authority only: kubeadm 1.20 gave all of them 0.
                let issuer = known.certificate.authority_key_identifier();
                let fits = match (&self.evidence.authority_key, issuer) {
                    (Some(key), Some(issuer)) => key == issuer,
                    _ => true,
                };
                fits && known::is_same(known.certificate.serial(), serial)
            };
            let all: Vec<Known<'a>> = known::all(self.inventory).into_iter().filter(is_it).collect();
            let ends = |known: &&Known<'_>| Some(known.certificate.not_after()) == self.evidence.not_after;
            all.iter().find(ends).or(all.first()).cloned()
        });
        by_serial.or_else(|| {
            let key = subject_key.as_deref()?;
            known::all(self.inventory)
                .into_iter()
                .find(|known| known.certificate.subject_key_identifier() == Some(key))
        })
    }

    /// Returns the current certificate of `slot`.
    pub(super) fn current(&self, slot: Slot) -> Option<&'a Certificate> {
        match slot {
            Slot::Ca(ca) => self.inventory.authority(ca).signer(),
            slot => self.inventory.credential(slot)?.leaf(),
        }
    }

    /// Returns the slots that the evidence can be about.
    pub(super) fn suspects(&self) -> Vec<Slot> {
        known::suspects(self.evidence, self.inventory)
    }

    /// Returns the slot whose current certificate has the subject of `certificate`, the suspects first.
    pub(super) fn successor(&self, certificate: &Certificate) -> Option<Slot> {
        let has_it = |slot: &Slot| {
            self.current(*slot).is_some_and(|current| {
                current.subject().common_name() == certificate.subject().common_name()
                    && current.issuer() == certificate.issuer()
                    && current.extended_key_usages() == certificate.extended_key_usages()
            })
        };
        self.suspects().into_iter().find(has_it).or_else(|| Slot::ALL.into_iter().find(has_it))
    }

    /// Returns the host at the other end, when it is not this node.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let host = match &self.evidence.bearer {
            Bearer::Client(host) | Bearer::WriterAsServer(host) => host.clone()?,
            Bearer::Server(address) | Bearer::WriterAsClient(address) => address.clone()?.host,
        };
        (known::whereabouts(&host, self.inventory) == known::Whereabouts::Elsewhere).then_some(host)
    }

    /// Returns whether the certificate in `slot` is one that its authority on disk has not signed.
    pub(super) fn is_of_other_authority(&self, slot: Slot) -> bool {
        let chain = self.inventory.credential(slot).and_then(|credential| credential.chain());
        matches!(chain, Some(ChainFact::OtherKey(_) | ChainFact::OtherIssuer(_)))
    }

    /// Returns the authority that the line names, by its key or its name.
    pub(super) fn authority(&self) -> Option<CaSlot> {
        let Evidence { authority_key, candidate, .. } = self.evidence;
        let by_key = authority_key.as_ref().and_then(|key| known::authority_with(key, self.inventory));
        by_key.or_else(|| known::authority_called(candidate.as_deref()?, self.inventory))
    }
}

/// Says which certificate it is.
pub(super) fn facts_of(certificate: &Certificate) -> String {
    format!(
        "{}, serial {}, until {}",
        certificate.subject(),
        certificate.serial().to_decimal(),
        certificate.not_after()
    )
}

/// Returns each piece of advice once, in the order of its first mention.
pub(super) fn once(advice: impl IntoIterator<Item = Advice>) -> Vec<Advice> {
    let mut unique: Vec<Advice> = Vec::new();
    for piece in advice {
        if !unique.contains(&piece) {
            unique.push(piece);
        }
    }
    unique
}

/// Returns what brings `found` up to date, which has an earlier certificate of `slot`; `None` for a backup, which shall keep it.
pub(super) fn replaced_copy(
    slot: Option<Slot>,
    found: &FoundCertificates,
    question: &Question<'_>,
) -> Option<Advice> {
    let is_copy = found.kind == FoundKind::Copy;
    is_copy.then(|| Advice::Mend(diagnosis::replacement(slot, found, question.inventory)))
}

/// Returns the culprit that `known` is, and whose it was.
pub(super) fn culprit_of(known: &Known<'_>, question: &Question<'_>) -> Culprit {
    match &known.spot {
        Spot::Current(place) => Culprit::Current((*place).clone()),
        Spot::Authority(ca) => Culprit::Authority(*ca),
        Spot::Around(found) => Culprit::Earlier {
            slot: question.successor(known.certificate),
            file: Some((found.kind, found.file.path.clone())),
        },
    }
}

/// Returns the place of `slot`.
pub(super) const fn place(slot: Slot) -> Place {
    Place::Slot(slot)
}

//! What the lines of a log mean, in words and as a document.

use std::fmt::Write;

use kubecerts_core::diagnosis::Impact;
use kubecerts_core::explain::{Advice, Culprit, Explanation, Report};
use kubecerts_core::inventory::{FoundKind, Inventory, Place};
use kubecerts_core::time::Timestamp;
use serde_json::{Value, json};

use super::documents::{Document, impact, remedy_name};
use crate::args::Whereabouts;
use crate::error::log_advice;
use crate::output::{BAD, STRONG, plain};

/// Returns what each group of lines means, and what to do.
pub(crate) fn text(report: &Report, inventory: &Inventory, whereabouts: &Whereabouts) -> String {
    let mut text = String::new();
    for (index, explanation) in report.explanations.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        one(explanation, inventory, whereabouts, &mut text).expect("writing to a String cannot fail");
    }
    text
}

fn one(
    explanation: &Explanation,
    inventory: &Inventory,
    whereabouts: &Whereabouts,
    text: &mut String,
) -> std::fmt::Result {
    let Explanation { evidence, count, first, last, sample, answer, .. } = explanation;
    let style = if answer.impact == Impact::None { STRONG } else { BAD };
    let name = evidence.symptom.name();
    write!(text, "{style}{name}{style:#}: {}", plain(&answer.meaning))?;
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    let writer = evidence.program.as_ref().map_or("", |program| program.name());
    let by = if writer.is_empty() { String::new() } else { format!(" by {}", plain(writer)) };
    write!(text, "\n  said         {times}{by}")?;
    match (first, last) {
        (Some(first), Some(last)) if first != last => write!(text, ", {first} to {last}")?,
        (Some(first), _) => write!(text, ", {first}")?,
        _ => {}
    }
    write!(text, "\n  line         {}", plain(sample))?;
    if let Some(culprit) = culprit(&answer.culprit, inventory) {
        write!(text, "\n  certificate  {}", plain(&culprit))?;
    }
    if let Some(presenter) = &answer.presenter {
        write!(text, "\n  presented by {}", plain(presenter))?;
    }
    for proof in &answer.proof {
        write!(text, "\n  proof        {}", plain(proof))?;
    }
    for step in steps(&answer.advice, inventory, whereabouts) {
        write!(text, "\n  do           {}", plain(&step))?;
    }
    if evidence.symptom.is_consequence() {
        write!(text, "\n  It follows from something else that is wrong.")?;
    }
    text.push('\n');
    Ok(())
}

fn steps(advices: &[Advice], inventory: &Inventory, whereabouts: &Whereabouts) -> Vec<String> {
    advices.iter().filter_map(|step| log_advice(step, inventory, whereabouts)).collect()
}

/// Names the certificate, and where it lies.
fn culprit(culprit: &Culprit, inventory: &Inventory) -> Option<String> {
    let path = |place: &Place| inventory.certificate_file(place).map(|file| file.path.to_string());
    Some(match culprit {
        Culprit::Current(place @ Place::Copy(_)) => format!("the copy {place}"),
        Culprit::Current(place) => match path(place) {
            Some(path) => format!("{place}, {path}"),
            None => place.to_string(),
        },
        Culprit::Earlier { slot, file } => {
            let whose =
                slot.map_or_else(|| "an earlier one".to_owned(), |slot| format!("an earlier one of {slot}"));
            match file {
                Some((kind, path)) => format!("{whose}, {} {path}", kind_words(*kind)),
                None => format!("{whose}, or one of another node; in no file of this node"),
            }
        }
        Culprit::Authority(ca) => {
            format!("the authority {ca}, {}", inventory.authority(*ca).certificate_file().path)
        }
        Culprit::OneOf(slots) => {
            let names: Vec<&str> = slots.iter().map(|slot| slot.name()).collect();
            format!("{}, or an earlier one", names.join(", "))
        }
        Culprit::File(path) => path.clone(),
        Culprit::Elsewhere(whose) => format!("not on this node: {whose}"),
        _ => return None,
    })
}

const fn kind_words(kind: FoundKind) -> &'static str {
    match kind {
        FoundKind::Copy => "in the copy",
        FoundKind::OtherLayout => "in the unused file",
        _ => "in the backup",
    }
}

/// Returns the same as a document.
pub(crate) fn document(
    report: &Report,
    inventory: &Inventory,
    now: Timestamp,
    whereabouts: &Whereabouts,
) -> Document {
    let explanations: Vec<Value> =
        report.explanations.iter().map(|explanation| value(explanation, inventory, whereabouts)).collect();
    Document::new(
        "Explanation",
        json!({
            "at": now.to_string(),
            "lines": report.lines,
            "hasTree": report.has_tree,
            "impact": impact(report.impact()),
            "explanations": explanations,
            "informational": report.informational,
            "unknown": { "count": report.unknown, "samples": report.unknown_samples },
            "cut": report.cut,
            "crowded": report.crowded,
        }),
    )
}

fn value(explanation: &Explanation, inventory: &Inventory, whereabouts: &Whereabouts) -> Value {
    let Explanation { evidence, count, first, last, sample, answer, .. } = explanation;
    let advice: Vec<Value> = answer
        .advice
        .iter()
        .map(|step| json!({ "action": action(step), "text": log_advice(step, inventory, whereabouts) }))
        .collect();
    json!({
        "symptom": evidence.symptom.name(),
        "isConsequence": evidence.symptom.is_consequence(),
        "program": evidence.program.as_ref().map(|program| program.name()),
        "count": count,
        "first": first.map(|time| time.to_string()),
        "last": last.map(|time| time.to_string()),
        "sample": sample,
        "serial": evidence.serial.as_ref().map(ToString::to_string),
        "authorityKeyId": evidence.authority_key.as_deref().map(hex),
        "subjectKeyId": evidence.subject_key.as_deref().map(hex),
        "notAfter": evidence.not_after.map(|time| time.to_string()),
        "wanted": evidence.wanted,
        "certificate": certificate(&answer.culprit, inventory),
        "presentedBy": answer.presenter,
        "meaning": answer.meaning,
        "proof": answer.proof,
        "impact": impact(answer.impact),
        "advice": advice,
    })
}

fn certificate(of: &Culprit, inventory: &Inventory) -> Value {
    let path = |place: &Place| inventory.certificate_file(place).map(|file| file.path.to_string());
    let (state, slots, path) = match of {
        Culprit::Current(place @ Place::Copy(_)) => ("copy", Vec::new(), path(place)),
        Culprit::Current(place) => ("current", vec![place.to_string()], path(place)),
        Culprit::Earlier { slot, file } => (
            match file {
                Some((FoundKind::Copy, _)) => "copy",
                Some((FoundKind::OtherLayout, _)) => "unused",
                Some(_) => "backup",
                None => "earlier",
            },
            slot.iter().map(ToString::to_string).collect(),
            file.as_ref().map(|(_, path)| path.to_string()),
        ),
        Culprit::Authority(ca) => (
            "authority",
            vec![ca.to_string()],
            Some(inventory.authority(*ca).certificate_file().path.to_string()),
        ),
        Culprit::OneOf(slots) => ("one-of", slots.iter().map(ToString::to_string).collect(), None),
        Culprit::File(path) => ("file", Vec::new(), Some(path.clone())),
        Culprit::Elsewhere(_) => ("elsewhere", Vec::new(), None),
        _ => ("unknown", Vec::new(), None),
    };
    json!({ "state": state, "names": slots, "path": path, "text": culprit(of, inventory) })
}

const fn action(advice: &Advice) -> &'static str {
    match advice {
        Advice::Mend(remedy) => remedy_name(remedy),
        Advice::Verify => "verify",
        Advice::Check => "check",
        Advice::LookAt(_) => "look-at",
        Advice::RecoverKubelet => "recover-kubelet",
        Advice::RemakeServing => "remake-serving",
        Advice::JoinAnew => "join-anew",
        Advice::KeepOne(_) => "keep-one",
        Advice::RefreshTokens => "refresh-tokens",
        Advice::ApproveRequests => "approve-requests",
        Advice::BindAdministrators => "bind-administrators",
        Advice::AllowFrontProxy(_) => "allow-front-proxy",
        Advice::TrustInCopy => "trust-in-copy",
        Advice::TrustServer(_) => "trust-server",
        Advice::PublishAuthority => "publish-authority",
        Advice::RewriteNetwork => "rewrite-network",
        Advice::UpdateBundle(_) => "update-bundle",
        Advice::RenewExtension(_) => "renew-extension",
        Advice::RestartExtension(_) => "restart-extension",
        Advice::AskForServing(_) => "ask-for-serving",
        Advice::IssueKubelet(_) => "issue-kubelet",
        Advice::ReissueOn(..) => "reissue-on",
        Advice::UploadCertificates => "upload-certificates",
        Advice::SetServer(_) => "set-server",
        Advice::BindKubeletClient => "bind-kubelet-client",
        Advice::CompareSchemes => "compare-schemes",
        _ => "none",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What to do about a finding, for somebody who has to do something.

use kubecerts_core::catalog::{FileSlot, Slot};
use kubecerts_core::diagnosis::{Finding, FindingCode, Remedy};
use kubecerts_core::inventory::Place;

use super::{remedy, restore};
use crate::args::Whereabouts;

/// Returns what to do about `finding`, or that there is nothing to do and why.
pub(crate) fn advice(finding: &Finding, whereabouts: &Whereabouts) -> String {
    let options = &whereabouts.options;
    let slot = finding.place.as_ref().and_then(Place::slot);
    match (&finding.remedy, slot) {
        (Remedy::SignElsewhere(ca), Some(Slot::Ca(_))) if finding.code != FindingCode::ExternalCa => {
            format!(
                "have the certificate of {ca} signed again with a later end where its key is kept, and bring it here"
            )
        }
        (Remedy::SignElsewhere(ca), Some(Slot::Ca(_))) => format!(
            "nothing if the key of {ca} is kept elsewhere on purpose, what it signs is asked for with: \
             kubecerts csr --out DIR{options}; if it was lost: {}",
            restore(FileSlot::CaKey(*ca), whereabouts)
        ),
        (Remedy::SignElsewhere(ca), Some(slot)) => {
            format!("have it signed where the key of {ca} is kept: kubecerts csr {slot} --out DIR{options}")
        }
        (Remedy::Inspect(path), Some(slot)) if finding.code == FindingCode::Damaged => {
            let is_key = path.as_str().ends_with(".key");
            let comes_back = FileSlot::all()
                .filter(|file| file.slot() == slot)
                .find(|file| is_key == file.to_string().ends_with(".key"));
            let comes_back = comes_back.map(|file| format!("; then {}", restore(file, whereabouts)));
            format!("kubecerts inspect {}{}", whereabouts.file(path), comes_back.unwrap_or_default())
        }
        (Remedy::ReferToRotatedCertificate(_), _) => {
            let edit = remedy(finding, whereabouts).unwrap_or_default();
            format!("{edit}; then {}", on_node("kubecerts restart kubelet", whereabouts))
        }
        (Remedy::Restart(component), _) if finding.code == FindingCode::RootCaStale => format!(
            "{}; when kube-root-ca.crt has followed, restart the pods",
            on_node(&format!("kubecerts restart {component}"), whereabouts)
        ),
        (Remedy::Restart(component), _) => on_node(&format!("kubecerts restart {component}"), whereabouts),
        (Remedy::MendCause, _) => "nothing by itself: it goes away with its cause".to_owned(),
        (Remedy::Nothing, slot) => no_remedy(finding.code, slot, whereabouts),
        _ => remedy(finding, whereabouts).unwrap_or_else(|| no_remedy(finding.code, slot, whereabouts)),
    }
}

/// Returns a command about what runs, which can be given on the node itself only.
pub(super) fn on_node(command: &str, whereabouts: &Whereabouts) -> String {
    match &whereabouts.root {
        Some(_) => format!("on the node: {command}"),
        None if command.starts_with("kubecerts ") => format!("{command}{}", whereabouts.options),
        None => command.to_owned(),
    }
}

/// Returns what to do where no step of a plan helps.
fn no_remedy(code: FindingCode, slot: Option<Slot>, whereabouts: &Whereabouts) -> String {
    let options = &whereabouts.options;
    match (code, slot) {
        (FindingCode::ExpiresSoon, Some(Slot::KubeletClient)) => {
            let verify = on_node("kubecerts verify", whereabouts);
            format!("nothing as long as the kubelet rotates it, see {verify}")
        }
        (_, Some(Slot::KubeletClient)) => format!(
            "{}; without the key of ca there: kubecerts kubelet request --key-out FILE",
            on_node("kubecerts recover", whereabouts)
        ),
        (_, Some(Slot::KubeletServing)) => format!(
            "move kubelet.crt and kubelet.key away, the kubelet makes new ones when it starts: {}",
            on_node("kubecerts restart kubelet", whereabouts)
        ),
        (FindingCode::AlternativeNameUnexpected, Some(slot)) => format!(
            "nothing if somebody still goes by it; else: kubecerts renew {slot} --remove-san NAME{options}"
        ),
        (FindingCode::Expired, None) => format!(
            "nothing if nobody uses it any more; else make its user another one: kubecerts kubeconfig user \
             --client-name NAME --org GROUP --out FILE{options}"
        ),
        (FindingCode::NotObserved, _) => {
            "run it as root; if the socket of the container runtime is another one, say --cri-socket SOCKET"
                .to_owned()
        }
        (FindingCode::CaMismatch, _) => {
            "look at the nodes of one cluster only; a node of this cluster whose authorities were made anew gets ca.crt and \
             ca.key from another control-plane node"
                .to_owned()
        }
        (FindingCode::NodesOutOfStep, _) => {
            "nothing now; upgrade or renew all nodes together the next time".to_owned()
        }
        _ => "nothing: it is only to be known".to_owned(),
    }
}

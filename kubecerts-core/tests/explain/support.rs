//! What the tests share: trees, and short names for what is expected.

use kubecerts_core::catalog::{Component, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::Remedy;
use kubecerts_core::explain::{Advice, Culprit, Explainer, Explanation, Report};
use kubecerts_core::inventory::{Inventory, Place};
use kubecerts_testkit::{TreeBuilder, at};
pub(crate) const APISERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
pub(crate) const ETCD_SERVER: Slot = Slot::Leaf(LeafSlot::EtcdServer);
pub(crate) const ETCD_PEER: Slot = Slot::Leaf(LeafSlot::EtcdPeer);
pub(crate) const ETCD_CLIENT: Slot = Slot::Leaf(LeafSlot::ApiServerEtcdClient);
pub(crate) const KUBELET_CLIENT: Slot = Slot::Leaf(LeafSlot::ApiServerKubeletClient);
pub(crate) const FRONT_PROXY: Slot = Slot::Leaf(LeafSlot::FrontProxyClient);
pub(crate) const ADMIN: Slot = Slot::Kubeconfig(KubeconfigSlot::Admin);
/// The builder embeds the kubelet's certificate, as `kubeadm init` does before it is rotated.
pub(crate) const KUBELET_CONF: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
pub(crate) const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);
pub(crate) const MANAGER: Slot = Slot::Kubeconfig(KubeconfigSlot::ControllerManager);

/// The trees of the builder are made 2026-01-01 for a year.
pub(crate) const VALID: &str = "2026-06-01T00:00:00Z";
pub(crate) const OVER: &str = "2027-02-01T00:00:00Z";

pub(crate) fn healthy() -> Inventory {
    TreeBuilder::kubeadm().build().inventory()
}

pub(crate) fn explained(source: Option<&str>, lines: &[&str], inventory: &Inventory, now: &str) -> Report {
    let mut explainer = Explainer::new();
    if let Some(source) = source {
        explainer.source(source);
    }
    lines.iter().for_each(|line| explainer.line(line.as_bytes()));
    explainer.finish(inventory, at(now))
}

#[track_caller]
pub(crate) fn only(report: &Report) -> &Explanation {
    let [only] = report.explanations.as_slice() else { panic!("not one explanation: {report:#?}") };
    only
}

pub(crate) fn current(slot: Slot) -> Culprit {
    Culprit::Current(Place::Slot(slot))
}

pub(crate) fn earlier(slot: Slot) -> Culprit {
    Culprit::Earlier { slot: Some(slot), file: None }
}

pub(crate) fn elsewhere(text: &str) -> Culprit {
    Culprit::Elsewhere(text.to_owned())
}

pub(crate) fn file(text: &str) -> Culprit {
    Culprit::File(text.to_owned())
}

pub(crate) fn renew(slot: Slot) -> Advice {
    Advice::Mend(Remedy::Renew(slot))
}

pub(crate) fn restart(component: Component) -> Advice {
    Advice::Mend(Remedy::Restart(component))
}

pub(crate) fn look_at(text: &str) -> Advice {
    Advice::LookAt(text.to_owned())
}

pub(crate) fn name(slot: Slot, host: &str) -> Advice {
    let name =
        host.parse::<std::net::IpAddr>().map_or_else(|_| format!("DNS:{host}"), |ip| format!("IP:{ip}"));
    Advice::Mend(Remedy::AddNames(slot, vec![name.parse().expect("it is a name")]))
}

//! What makes other alternative names stay, beyond the renewal of one certificate on one node.

use std::fmt::Write as _;

use kubecerts_core::catalog::{LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::plan::{ConfigurationEdit, Note, Plan, Step};
use kubecerts_core::x509::AlternativeName;

use crate::args::quoted;

/// Returns the edit of the kubeadm configuration and the commands for other nodes that go with the changes of names in `plan`;
/// empty when there are none.
pub(crate) fn text(plan: &Plan, inventory: &Inventory) -> String {
    let mut text = String::new();
    for step in plan.steps() {
        let changed = step.notes().iter().find_map(|note| match note {
            Note::NamesChanged { added, removed } => Some((added, removed)),
            _ => None,
        });
        if let (Some((added, removed)), Slot::Leaf(leaf)) = (changed, step.slot()) {
            text.push_str(&of_step(step, leaf, (added, removed), inventory));
        }
    }
    text
}

fn of_step(
    step: &Step,
    leaf: LeafSlot,
    (added, removed): (&[AlternativeName], &[AlternativeName]),
    inventory: &Inventory,
) -> String {
    let mut text = String::new();
    let names = step.certificate().map(|spec| &spec.alternative_names);
    match names.and_then(|names| ConfigurationEdit::find(inventory, leaf, names)) {
        Some(edit) => {
            let known = if edit.is_known {
                "the whole list, with what it has already"
            } else {
                "keep what else the list has; with --config the whole list is shown"
            };
            let field = edit.list;
            writeln!(text, "So that it sticks, let {field} in the ClusterConfiguration be this ({known}):")
                .expect(WRITES);
            writeln!(text, "  kubectl -n kube-system edit cm kubeadm-config").expect(WRITES);
            for line in edit.to_yaml().lines() {
                writeln!(text, "    {line}").expect(WRITES);
            }
        }
        None => text.push_str(
            "The kubeadm configuration that was given says so already; see that the cluster's does too.\n",
        ),
    }
    let option = |option: &str, names: &[AlternativeName]| {
        let words = names.iter().map(|name| format!(" --{option} {}", quoted(&name.host())));
        words.collect::<String>()
    };
    let (add, remove) = (option("add-san", added), option("remove-san", removed));
    let whose = if leaf == LeafSlot::ApiServer { "" } else { ", where the names are the same" };
    writeln!(text, "On every other control-plane node{whose}:\n  kubecerts renew {leaf}{add}{remove}")
        .expect(WRITES);
    text
}

const WRITES: &str = "writing to a String cannot fail";

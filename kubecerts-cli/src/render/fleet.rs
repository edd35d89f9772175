//! What is wrong between nodes: a table and a document.

use std::collections::BTreeSet;

use kubecerts_core::diagnosis::Severity;
use kubecerts_core::fleet::FleetFinding;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::time::Timestamp;
use serde_json::{Value, json};

use super::documents;
use super::table::{plain_table, render};
use crate::args::Whereabouts;
use crate::error::remedy;
use crate::output::{BAD, SOON, STRONG, plain};

/// One of the nodes that are compared.
pub(crate) struct Node {
    pub(crate) name: String,
    /// Its snapshot; none for the node at hand.
    pub(crate) file: Option<String>,
    pub(crate) taken_at: Timestamp,
    pub(crate) inventory: Inventory,
}

/// Returns the nodes and what is wrong between them.
pub(crate) fn table(nodes: &[Node], findings: &[FleetFinding]) -> String {
    let mut table = plain_table(&["NODE", "VERSION", "TAKEN", "FILE"]);
    for node in nodes {
        table.add_row([
            node.name.escape_debug().to_string(),
            version(node).unwrap_or_else(|| "-".to_owned()),
            node.taken_at.to_string(),
            node.file.as_deref().unwrap_or("(this node)").escape_debug().to_string(),
        ]);
    }
    let mut text = render(&table);
    text.push('\n');
    if findings.is_empty() {
        text.push_str(
            "The nodes have the same authorities and keys, and nothing that belongs to one of them.\n",
        );
    }
    for FleetFinding { finding, .. } in findings {
        let style = match finding.severity {
            Severity::Error => BAD,
            Severity::Warning => SOON,
            Severity::Notice => STRONG,
        };
        let line = plain(&finding.to_string());
        text.push_str(&format!("{style}{}:{style:#} {line} [{}]\n", finding.severity.name(), finding.code));
    }
    let whereabouts = Whereabouts::default();
    let mut said = BTreeSet::new();
    for FleetFinding { finding, nodes, .. } in findings {
        let Some(remedy) = remedy(finding, &whereabouts) else { continue };
        let hint = plain(&format!("on {}: {remedy}", nodes.join(", ")));
        if said.insert(hint.clone()) {
            text.push_str(&format!("{STRONG}hint:{STRONG:#} {hint}\n"));
        }
    }
    text
}

/// Returns the same as a document.
pub(crate) fn document(
    nodes: &[Node],
    findings: &[FleetFinding],
    now: Timestamp,
    whereabouts: &Whereabouts,
) -> String {
    let finding = |found: &FleetFinding| {
        let mut value = documents::finding(&found.finding, whereabouts);
        value["nodes"] = found.nodes.clone().into();
        value
    };
    let node = |node: &Node| {
        json!({
            "name": node.name,
            "file": node.file,
            "takenAt": node.taken_at.to_string(),
            "version": version(node),
        })
    };
    let document = json!({
        "apiVersion": "kubecerts.dev/v1",
        "kind": "Comparison",
        "at": now.to_string(),
        "nodes": nodes.iter().map(node).collect::<Vec<Value>>(),
        "findings": findings.iter().map(finding).collect::<Vec<Value>>(),
    });
    format!("{document:#}\n")
}

fn version(node: &Node) -> Option<String> {
    node.inventory.node().version().map(|version| version.to_string())
}

//! Authorities elsewhere, requests to them, and their answers, for people.

use std::collections::BTreeSet;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::inventory::{Custody, Inventory};
use kubecerts_core::issue::ChangeSet;
use kubecerts_core::issue::external::{Import, RequestRecord, WantedSource};
use kubecerts_core::issue::sign::SignedRequest;
use kubecerts_core::plan::Permission;
use kubecerts_core::time::Timestamp;
use kubecerts_host::Report;

use super::text::counted;

/// Returns for each authority who can sign with its key.
pub(crate) fn custody(inventory: &Inventory) -> String {
    let mut text = "Authorities:\n".to_owned();
    for ca in CaSlot::ALL {
        let (word, meaning) = match inventory.authority(ca).custody() {
            Custody::Held => ("held", "its key is here"),
            Custody::External => ("external", "its certificate is here, its key is elsewhere"),
            Custody::Absent => ("absent", "it has no certificate here"),
            Custody::Broken => ("broken", "certificate or key cannot be used, see kubecerts check"),
        };
        text.push_str(&format!("  {:<26} {word:<9} {meaning}\n", ca.name()));
    }
    text
}

/// Returns the option that permits `permissions`, after a space; nothing when there are none.
pub(crate) fn permitting(permissions: &BTreeSet<Permission>) -> String {
    let names: Vec<&str> = permissions.iter().map(|permission| permission.name()).collect();
    if names.is_empty() { String::new() } else { format!(" --allow-change {}", names.join(",")) }
}

/// Returns what one request asks for.
pub(crate) fn request(record: &RequestRecord) -> String {
    let wanted = &record.wanted;
    let source = match wanted.source {
        WantedSource::Certificate => "as the one it succeeds",
        WantedSource::Intent => "as configured",
    };
    format!(
        "{:<26} {} {}, {source}: {}\n",
        wanted.slot.name(),
        wanted.algorithm,
        wanted.issuer,
        wanted.subject
    )
}

/// Returns what an import installs.
pub(crate) fn import(import: &Import, changes: &ChangeSet, now: Timestamp) -> String {
    let mut text = format!("To install at {now}:\n");
    for accepted in &import.accepted {
        let certificate = &accepted.certificate;
        let replaced = match &accepted.replaced {
            Some(replaced) => format!("after {}", replaced.not_after),
            None => "new".to_owned(),
        };
        text.push_str(&format!(
            "  {:<26} until {}, {replaced}\n",
            accepted.slot.name(),
            certificate.not_after()
        ));
        text.push_str(&format!(
            "    {}, serial {}, from {}\n",
            certificate.subject(),
            certificate.serial(),
            accepted.file.escape_debug()
        ));
        for issuer in &accepted.intermediates {
            text.push_str(&format!("    over {}\n", issuer.subject()));
        }
    }
    for change in changes.changes() {
        text.push_str(&format!("  writes {}, mode {:04o}\n", change.path(), change.mode()));
    }
    text
}

/// Returns what was installed.
pub(crate) fn imported(import: &Import, report: &Report) -> String {
    let mut text = format!(
        "{} in {}; every signature and every key was verified again on disk\n",
        counted(import.accepted.len(), "certificate"),
        counted(report.written.len(), "file")
    );
    if let Some(id) = &report.backup {
        text.push_str(&format!("What was replaced is in backup {id}.\n"));
    }
    text
}

/// Returns what was signed, on one line.
pub(crate) fn signed(name: &str, signed: &SignedRequest) -> String {
    let certificate = &signed.certificate;
    format!(
        "signed {name}: {}, serial {}, until {}",
        certificate.subject(),
        certificate.serial(),
        certificate.not_after()
    )
}

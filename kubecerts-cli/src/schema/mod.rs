//! The JSON Schemas of all documents. Tests hold the real output against them.

use clap::ValueEnum;
use serde_json::{Value, json};

/// A document that kubecerts writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Document {
    /// `kubecerts check -o json`
    Check,
    /// `kubecerts doctor -o json`
    Doctor,
    /// `kubecerts forecast -o json`
    Forecast,
    /// `kubecerts plan -o json`
    Plan,
    /// `kubecerts renew -o json`
    Renewal,
    /// `kubecerts inspect -o json`
    Inspection,
    /// `kubecerts backup create -o json`, `kubecerts backup show -o json`, and the manifest in a backup
    Backup,
    /// `kubecerts backup list -o json`
    BackupList,
    /// `kubecerts rollback -o json`
    Rollback,
    /// `kubecerts verify -o json`
    Verification,
    /// `kubecerts explain -o json`
    Explanation,
    /// `manifest.json` of `kubecerts csr`
    CertificateRequests,
    /// `kubecerts bulk sign --summary FILE`
    BulkSummary,
    /// `kubecerts bulk trees --summary FILE`
    BulkTreesSummary,
    /// The record of `kubecerts kubeconfig break-glass`
    IssueRecord,
    /// `kubecerts bench -o json`
    Measurements,
    /// `kubecerts compare -o json`
    Comparison,
    /// `index.json` of `kubecerts snapshot`
    NodeSnapshot,
}

impl Document {
    /// Returns the schema.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Check => include_str!("check.json"),
            Self::Doctor => include_str!("doctor.json"),
            Self::Forecast => include_str!("forecast.json"),
            Self::Plan => include_str!("plan.json"),
            Self::Renewal => include_str!("renewal.json"),
            Self::Inspection => include_str!("inspection.json"),
            Self::Backup => include_str!("backup.json"),
            Self::BackupList => include_str!("backup-list.json"),
            Self::Rollback => include_str!("rollback.json"),
            Self::Verification => include_str!("verification.json"),
            Self::Explanation => include_str!("explanation.json"),
            Self::CertificateRequests => include_str!("certificate-requests.json"),
            Self::BulkSummary => include_str!("bulk-summary.json"),
            Self::BulkTreesSummary => include_str!("bulk-trees-summary.json"),
            Self::IssueRecord => include_str!("issue-record.json"),
            Self::Measurements => include_str!("measurements.json"),
            Self::Comparison => include_str!("comparison.json"),
            Self::NodeSnapshot => include_str!("node-snapshot.json"),
        }
    }
}

/// Returns one schema that accepts every document.
pub(crate) fn all() -> String {
    let schemas: Vec<Value> = Document::value_variants()
        .iter()
        .map(|document| serde_json::from_str(document.text()).expect("the schemas are JSON"))
        .collect();
    let all = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://kubecerts.dev/v1/schema.json",
        "title": "The documents of kubecerts, kubecerts.dev/v1",
        "oneOf": schemas,
    });
    format!("{all:#}\n")
}

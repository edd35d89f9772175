//! What a run over many clusters did.

use kubecerts_core::time::Timestamp;
use kubecerts_host::trees::{Shard, TreesError, TreesSummary};
use serde_json::json;

use super::documents::Document;
use super::text;
use crate::error::CommandError;

/// The kind of the summary.
pub(crate) const KIND: &str = "BulkTreesSummary";

/// Returns the summary of the run that was over `at`, and that `problem` ended before its time, if one did.
pub(crate) fn summary(
    summary: &TreesSummary,
    shard: Option<Shard>,
    problem: Option<&TreesError>,
    at: Timestamp,
) -> Document {
    let TreesSummary {
        made, kept, failed, stopped, cancelled, files, certificates, threads, elapsed, ..
    } = *summary;
    let seconds = elapsed.as_secs_f64();
    // Figures for people and dashboards, of three digits after the point.
    let rate = |count: u64| (count as f64 / seconds.max(0.001) * 1000.0).round() / 1000.0;
    let body = json!({
        "at": at.to_string(),
        "threads": threads,
        "shard": shard.map(|shard| json!({ "index": shard.index(), "count": shard.count() })),
        "clusters": { "made": made, "kept": kept, "failed": failed },
        "stopped": stopped,
        "cancelled": cancelled,
        "problem": problem.map(CommandError::text_of_trees),
        "files": files,
        "certificates": certificates,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "clustersPerSecond": rate(made),
        "certificatesPerSecond": rate(certificates),
    });
    Document::new(KIND, body)
}

/// Returns the same in one line.
pub(crate) fn told(summary: &TreesSummary) -> String {
    let number = |count: u64, thing| text::counted(usize::try_from(count).unwrap_or(usize::MAX), thing);
    let TreesSummary { made, kept, failed, certificates, elapsed, .. } = summary;
    let mut line = format!(
        "{} made with {} in {:.1} s",
        number(*made, "cluster"),
        number(*certificates, "certificate"),
        elapsed.as_secs_f64()
    );
    if *kept > 0 {
        line.push_str(&format!(", {kept} kept"));
    }
    if *failed > 0 {
        line.push_str(&format!(", {failed} failed"));
    }
    line
}

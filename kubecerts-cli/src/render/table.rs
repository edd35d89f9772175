//! The tables of `kubecerts check`.

use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};
use kubecerts_core::catalog::Slot;
use kubecerts_core::diagnosis::{DEFAULT_WINDOW, Diagnosis, Finding, FindingCode, Remedy, Severity};
use kubecerts_core::inventory::{ExpirationRow, Inventory, Place, RowState};
use kubecerts_host::disk::backup::{Entry, Listed, Manifest, Node, Scope};

use super::span::human_duration;
use crate::args::Whereabouts;
use crate::error::remedy;
use crate::output::{BAD, SOON, STRONG, plain};

/// How much to show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Width {
    /// What kubeadm shows.
    Normal,
    /// Also serial numbers, keys and paths.
    Wide,
}

/// Returns the tables of certificates and authorities, and the list of findings with what to do about them.
pub(crate) fn check(
    inventory: &Inventory,
    diagnosis: &Diagnosis,
    width: Width,
    whereabouts: &Whereabouts,
) -> String {
    let mut leaves =
        vec!["CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY", "EXTERNALLY MANAGED"];
    let mut authorities = vec!["CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"];
    if width == Width::Wide {
        leaves.extend(["SERIAL", "KEY", "SUBJECT", "PATH"]);
        authorities.extend(["SERIAL", "KEY", "SUBJECT", "PATH"]);
    }
    let mut first = plain_table(&leaves);
    for row in &inventory.expirations() {
        let authority = row.authority.map(|ca| ca.name()).unwrap_or("(itself)");
        first.add_row(cells(row, Some(authority), inventory, diagnosis, width));
    }
    let mut second = plain_table(&authorities);
    for row in &inventory.authority_expirations() {
        second.add_row(cells(row, None, inventory, diagnosis, width));
    }
    format!("{}\n{}\n{}", render(&first), render(&second), findings(diagnosis, whereabouts))
}

/// Returns the list of backups.
pub(crate) fn backups(listed: &[Listed]) -> String {
    let mut table = plain_table(&["BACKUP", "CREATED", "SCOPE", "FILES", "ETCD REVISION", "REASON"]);
    for Listed { id, manifest, .. } in listed {
        let row = match manifest {
            Ok(manifest) => [
                id.clone(),
                manifest.created_at.to_string(),
                scope(manifest.scope).to_owned(),
                count_files(manifest).to_string(),
                manifest.etcd.as_ref().map_or_else(|| "-".to_owned(), |etcd| etcd.revision.to_string()),
                manifest.reason.escape_debug().to_string(),
            ],
            Err(error) => [
                id.escape_debug().to_string(),
                "-".into(),
                UNUSABLE.into(),
                "-".into(),
                "-".into(),
                plain(&error.to_string()),
            ],
        };
        table.add_row(row);
    }
    render(&table)
}

/// Returns what a backup holds.
pub(crate) fn backup(manifest: &Manifest) -> String {
    let mut table = plain_table(&["PATH", "TYPE", "MODE", "OWNER", "SIZE", "SHA256"]);
    for Entry { path, node, .. } in &manifest.files {
        let row = match node {
            Node::File { sha256, size, mode, uid, gid, .. } => [
                "file".to_owned(),
                format!("{mode:04o}"),
                format!("{uid}:{gid}"),
                size.to_string(),
                sha256.to_string(),
            ],
            Node::Directory { mode, uid, gid } => [
                "directory".to_owned(),
                format!("{mode:04o}"),
                format!("{uid}:{gid}"),
                "-".into(),
                "-".into(),
            ],
            Node::Link { target } => {
                [format!("link to {}", target.escape_debug()), "-".into(), "-".into(), "-".into(), "-".into()]
            }
            _ => ["absent".to_owned(), "-".into(), "-".into(), "-".into(), "-".into()],
        };
        table.add_row(std::iter::once(path.to_string()).chain(row));
    }
    let Manifest { id, created_at, reason, skipped, etcd, .. } = manifest;
    let mut text =
        format!("Backup {id} of {created_at}, {}, {}\n\n", scope(manifest.scope), reason.escape_debug());
    text.push_str(&render(&table));
    for skipped in skipped {
        text.push_str(&format!("left out {}: {}\n", skipped.path, skipped.reason.escape_debug()));
    }
    if let Some(etcd) = etcd {
        text.push_str(&format!(
            "etcd snapshot {}: {} bytes, revision {}, from {} {}, sha256:{}\n",
            etcd.file.escape_debug(),
            etcd.size,
            etcd.revision,
            etcd.endpoint.escape_debug(),
            etcd.version.escape_debug(),
            etcd.sha256
        ));
    }
    text
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Changed => "changed",
        Scope::Full => "full",
        _ => "other",
    }
}

fn count_files(manifest: &Manifest) -> usize {
    manifest.files.iter().filter(|entry| matches!(entry.node, Node::File { .. })).count()
}

pub(super) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    let last = header.len() - 1;
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position == last { 0 } else { 3 }));
    }
    table
}

/// Returns the lines of a table in which nothing stands out.
pub(super) fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

pub(super) fn render(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        // A cell that is coloured as a whole is coloured after the columns have been measured.
        let style = if line.contains(EXPIRED)
            || line.contains(MISSING)
            || line.contains(UNUSABLE)
            || line.contains(AHEAD)
        {
            BAD
        } else if line.contains(SOON_MARK) {
            SOON
        } else {
            Style::new()
        };
        text.push_str(&format!("{style}{line}{style:#}\n"));
    }
    text
}

const EXPIRED: &str = "EXPIRED ";
const MISSING: &str = "MISSING";
const UNUSABLE: &str = "UNUSABLE";
const AHEAD: &str = "NOT YET VALID";
const SOON_MARK: &str = " (due)";

fn cells(
    row: &ExpirationRow<'_>,
    authority: Option<&str>,
    inventory: &Inventory,
    diagnosis: &Diagnosis,
    width: Width,
) -> Vec<String> {
    let now = diagnosis.now();
    let (expires, residual) = match &row.certificate {
        RowState::Missing => ("-".to_owned(), MISSING.to_owned()),
        RowState::Unusable(_) => ("-".to_owned(), UNUSABLE.to_owned()),
        RowState::Present(certificate) => {
            let (begin, end) = (certificate.not_before(), certificate.not_after());
            let residual = if end < now {
                format!("{EXPIRED}{} ago", human_duration(now.since(end)))
            } else if begin > now {
                format!("{AHEAD}, begins in {}", human_duration(begin.since(now)))
            } else {
                // What does not decide over the health of the tree is not called due.
                let counts = !matches!(row.place, Place::Copy(_) | Place::Slot(Slot::KubeletServing));
                let due = counts && end <= now.plus(diagnosis.policy().window);
                format!("{}{}", human_duration(end.since(now)), if due { SOON_MARK } else { "" })
            };
            (end.to_string(), residual)
        }
    };
    let mut cells = vec![row.place.to_string(), expires, residual];
    cells.extend(authority.map(str::to_owned));
    cells.push(if row.externally_managed { "yes" } else { "no" }.to_owned());
    if width == Width::Wide {
        let RowState::Present(certificate) = &row.certificate else {
            cells.extend(["-", "-", "-"].map(str::to_owned));
            cells.push(path_of(&row.place, inventory));
            return cells;
        };
        cells.push(certificate.serial().to_string());
        cells.push(certificate.public_key().key_type().to_string());
        cells.push(certificate.subject().to_string());
        cells.push(path_of(&row.place, inventory));
    }
    cells
}

fn path_of(place: &Place, inventory: &Inventory) -> String {
    inventory.certificate_file(place).map(|file| file.path.to_string()).unwrap_or_default()
}

fn findings(diagnosis: &Diagnosis, whereabouts: &Whereabouts) -> String {
    let now = diagnosis.now();
    let window = diagnosis.policy().window;
    if diagnosis.findings().is_empty() {
        return format!("Nothing is wrong at {now}, and nothing ends within {window}.\n");
    }
    let mut text = String::new();
    for finding in diagnosis.findings() {
        let style = match finding.severity {
            Severity::Error => BAD,
            Severity::Warning => SOON,
            Severity::Notice => STRONG,
        };
        text.push_str(&format!(
            "{style}{}:{style:#} {finding} [{}]\n",
            finding.severity.name(),
            finding.code
        ));
    }
    for hint in hints(diagnosis, whereabouts) {
        text.push_str(&format!("{STRONG}hint:{STRONG:#} {hint}\n"));
    }
    text
}

/// Returns what to do, each thing once; what one `kubecerts renew` does for many certificates is said once for all.
fn hints(diagnosis: &Diagnosis, whereabouts: &Whereabouts) -> Vec<String> {
    let (due, others): (Vec<&Finding>, Vec<&Finding>) = diagnosis.findings().iter().partition(|finding| {
        matches!(finding.code, FindingCode::Expired | FindingCode::ExpiresSoon)
            && finding
                .place
                .as_ref()
                .and_then(Place::slot)
                .is_some_and(|slot| matches!(slot, Slot::Leaf(_) | Slot::Kubeconfig(_)))
            && matches!(finding.remedy, Remedy::Renew(_))
    });
    let mut hints = Vec::new();
    match due.as_slice() {
        [] => {}
        [finding] => hints.extend(remedy(finding, whereabouts)),
        _ => {
            let window = diagnosis.policy().window;
            let within = if window == DEFAULT_WINDOW { String::new() } else { format!(" --within {window}") };
            hints.push(format!("kubecerts renew{within}{}", whereabouts.options));
        }
    }
    for hint in others.into_iter().filter_map(|finding| remedy(finding, whereabouts)) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

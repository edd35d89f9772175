//! The output of `kubeadm certs`, to the byte.
//!
//! Sources: `cmd/kubeadm/app/cmd/certs.go` and `cmd/kubeadm/app/apis/output/v1alpha3` of kubeadm 1.36; Go's
//! `text/tabwriter` for the columns.

use kubecerts_core::catalog::{KubeconfigSlot, Slot};
use kubecerts_core::inventory::{ExpirationRow, Inventory, RowState};
use kubecerts_core::plan::{Plan, Reason};
use kubecerts_core::time::{CivilTime, Timestamp};
use serde::Serialize;

use super::span::human_duration;

/// What kubeadm prints at the end of `certs renew all`, whether anything was renewed or not.
pub(crate) const DONE: &str = "\nDone renewing certificates. You must restart the kube-apiserver, \
     kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.\n";

/// Returns what kubeadm prints about `slot` while it renews; `None` when it says nothing about it.
pub(crate) fn renewal_line(
    slot: Slot,
    plan: &Plan,
    inventory: &Inventory,
    everything: bool,
) -> Option<String> {
    let spec = match slot {
        Slot::Leaf(leaf) => leaf.spec(),
        Slot::Kubeconfig(kubeconfig) => kubeconfig.spec(),
        _ => return None,
    };
    if plan.steps().iter().any(|step| step.slot() == slot) {
        return Some(format!("{} renewed\n", spec.long_name));
    }
    let reason =
        plan.deferred().iter().find(|deferred| deferred.slot() == slot).map(|deferred| deferred.reason());
    match reason {
        Some(Reason::ExternalAuthority(ca)) => {
            Some(format!("Detected external {}, {} can't be renewed\n", ca.base_name(), spec.long_name))
        }
        Some(Reason::Missing(_)) => Some(format!("MISSING! {}\n", spec.long_name)),
        // super-admin.conf is on the first node only, but kubeadm looks for it everywhere.
        None if everything && slot == Slot::Kubeconfig(KubeconfigSlot::SuperAdmin) => {
            let exists =
                inventory.credential(slot).is_some_and(|credential| credential.certificate_file().exists);
            (!exists).then(|| format!("MISSING! {}\n", spec.long_name))
        }
        _ => None,
    }
}

/// What `kubeadm certs check-expiration` prints.
pub(crate) struct ExpirationInfo<'a> {
    /// Leaves and kubeconfigs.
    pub(crate) certificates: Vec<ExpirationRow<'a>>,
    /// Authorities.
    pub(crate) authorities: Vec<ExpirationRow<'a>>,
    /// The moment of the look.
    pub(crate) now: Timestamp,
}

impl ExpirationInfo<'_> {
    /// Returns the two tables.
    pub(crate) fn to_text(&self) -> String {
        let mut leaves: Vec<Vec<String>> = vec![cells(&[
            "CERTIFICATE",
            "EXPIRES",
            "RESIDUAL TIME",
            "CERTIFICATE AUTHORITY",
            "EXTERNALLY MANAGED",
        ])];
        leaves.extend(self.certificates.iter().map(|row| self.line(row, true)));
        let mut authorities: Vec<Vec<String>> =
            vec![cells(&["CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"])];
        authorities.extend(self.authorities.iter().map(|row| self.line(row, false)));
        // The empty line between ends the columns, so each table is aligned for itself.
        format!("{}\n{}", tabulate(&leaves), tabulate(&authorities))
    }

    fn line(&self, row: &ExpirationRow<'_>, with_authority: bool) -> Vec<String> {
        let RowState::Present(certificate) = &row.certificate else {
            let mut line = vec![format!("!MISSING! {}", row.place)];
            line.resize(if with_authority { 5 } else { 4 }, String::new());
            return line;
        };
        let end = certificate.not_after();
        let mut line = vec![row.place.to_string(), go_date(end), human_duration(end.since(self.now))];
        if with_authority {
            line.push(row.authority.map(|ca| ca.name().to_owned()).unwrap_or_default());
        }
        line.push(format!("{:<8}", if row.externally_managed { "yes" } else { "no" }));
        line
    }

    /// Returns the document with four spaces of indentation and kubeadm's order of keys.
    pub(crate) fn to_json(&self) -> String {
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        self.document().serialize(&mut serializer).expect("a document of texts and numbers can be written");
        text.push(b'\n');
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Returns the document as sigs.k8s.io/yaml writes it: keys sorted, times quoted.
    pub(crate) fn to_yaml(&self) -> String {
        let Document { kind, api_version, certificates, certificate_authorities } = self.document();
        let mut text = format!("apiVersion: {api_version}\n");
        for (key, rows) in
            [("certificateAuthorities", certificate_authorities), ("certificates", certificates)]
        {
            if rows.is_empty() {
                text.push_str(&format!("{key}: []\n"));
                continue;
            }
            text.push_str(&format!("{key}:\n"));
            for Entry { name, expiration_date, residual_time, externally_managed, ca_name, missing } in rows {
                let date = expiration_date.map_or_else(|| "null".to_owned(), |date| format!("\"{date}\""));
                let first = ca_name.map(|ca| format!("caName: {ca}\n  ")).unwrap_or_default();
                text.push_str(&format!(
                    "- {first}expirationDate: {date}\n  externallyManaged: {externally_managed}\n  missing: {missing}\n  \
                     name: {name}\n  residualTime: {residual_time}\n"
                ));
            }
        }
        text.push_str(&format!("kind: {kind}\n"));
        text
    }

    fn document(&self) -> Document {
        let entry = |row: &ExpirationRow<'_>| match &row.certificate {
            RowState::Present(certificate) => Entry {
                name: row.place.to_string(),
                expiration_date: Some(certificate.not_after().to_string()),
                residual_time: certificate.not_after().since(self.now).0,
                externally_managed: row.externally_managed,
                ca_name: row.authority.map(|ca| ca.name()),
                missing: false,
            },
            RowState::Missing | RowState::Unusable(_) => Entry {
                name: row.place.to_string(),
                expiration_date: None,
                residual_time: 0,
                externally_managed: false,
                ca_name: None,
                missing: true,
            },
        };
        Document {
            kind: "CertificateExpirationInfo",
            api_version: "output.kubeadm.k8s.io/v1alpha3",
            certificates: self.certificates.iter().map(entry).collect(),
            certificate_authorities: self.authorities.iter().map(entry).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    kind: &'static str,
    api_version: &'static str,
    certificates: Vec<Entry>,
    certificate_authorities: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    expiration_date: Option<String>,
    residual_time: i64,
    externally_managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_name: Option<&'static str>,
    missing: bool,
}

fn cells(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Aligns columns as Go's `tabwriter` does with a minimal width of 10 and a padding of 3; the last cell of a line is not
/// part of a column.
fn tabulate(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(|line| line.len().saturating_sub(1)).max().unwrap_or(0);
    let width = |column: usize| {
        let widest = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        (widest.unwrap_or(0) + 3).max(10)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let (last, others) = line.split_last().expect("a line has cells");
        for (cell, width) in others.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}"));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

/// Writes a date as Go's layout `Jan 02, 2006 15:04 MST` does in UTC.
fn go_date(time: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let CivilTime { year, month, day, hour, minute, .. } = time.civil();
    let month = MONTHS[usize::from(month) - 1];
    format!("{month} {day:02}, {year:04} {hour:02}:{minute:02} UTC")
}

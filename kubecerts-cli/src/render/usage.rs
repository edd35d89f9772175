//! The table of `kubecerts verify`.

use anstyle::Style;
use kubecerts_core::inventory::{Rotation, Setting, SettingSource};
use kubecerts_core::observation::{Usage, Verdict};
use kubecerts_core::x509::SerialNumber;

use super::table::plain_table;
use crate::output::{BAD, SOON, plain};

/// Returns the table of what every program makes of what it loads.
pub(crate) fn table(usages: &[Usage], runtime: &str) -> String {
    let mut table =
        plain_table(&["COMPONENT", "CERTIFICATE", "ON DISK", "SERVED", "STARTED", "VERDICT", "PROOF"]);
    for usage in usages {
        let started = usage.run.as_ref().and_then(|run| run.started);
        table.add_row([
            usage.component.to_string(),
            usage.slot().to_string(),
            serial(usage.on_disk.as_ref()),
            serial(usage.served.as_ref()),
            started.map_or_else(|| "-".to_owned(), |started| started.timestamp().to_string()),
            usage.verdict.to_string(),
            plain(&usage.proof.to_string()),
        ]);
    }
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        // A cell that is coloured as a whole is coloured after the columns have been measured.
        let style = if line.contains(Verdict::Stale.name()) {
            BAD
        } else if line.contains(UNKNOWN) {
            SOON
        } else {
            Style::new()
        };
        text.push_str(&format!("{style}{line}{style:#}\n"));
    }
    text.push_str(&format!("\nContainers were asked for at {}.\n", plain(runtime)));
    text
}

/// Returns how the kubelet keeps its own certificates from expiring, in lines.
pub(crate) fn rotation(rotation: &Rotation) -> String {
    let switch = |setting: Option<Setting>| match setting {
        Some(Setting { is_on, source, .. }) => {
            let source = match source {
                SettingSource::Flag => "a flag of kubeadm-flags.env",
                SettingSource::Config => "its configuration",
                _ => "by default",
            };
            format!("{} ({source})", if is_on { "on" } else { "off" })
        }
        None => "unknown".to_owned(),
    };
    let duration =
        rotation.signing_duration.as_ref().map_or("one year, the default", |stated| stated.value.as_str());
    format!(
        "The kubelet's rotation of its client certificate (rotateCertificates) is {}, of its serving certificate \
         (serverTLSBootstrap) {}; kube-controller-manager signs for {}.\n",
        switch(rotation.client),
        switch(rotation.serving),
        plain(duration)
    )
}

/// With blanks on both sides it is a verdict and no part of a name.
const UNKNOWN: &str = " unknown ";

fn serial(serial: Option<&SerialNumber>) -> String {
    serial.map_or_else(|| "-".to_owned(), ToString::to_string)
}

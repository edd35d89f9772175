//! The table of `kubecerts verify`.

use comfy_table::{Table, presets};
use kubecerts_core::observation::{Usage, Verdict};
use kubecerts_core::x509::SerialNumber;

use crate::output::{BAD, SOON, plain};

/// Returns the table of what every program makes of what it loads.
pub(crate) fn table(usages: &[Usage], runtime: &str) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["COMPONENT", "CERTIFICATE", "ON DISK", "SERVED", "STARTED", "VERDICT", "PROOF"]);
    for usage in usages {
        let style = match usage.verdict {
            Verdict::InUse => anstyle::Style::new(),
            Verdict::Stale => BAD,
            Verdict::Unknown => SOON,
        };
        let started = usage.run.as_ref().and_then(|run| run.started);
        table.add_row([
            usage.component.to_string(),
            usage.slot().to_string(),
            serial(usage.on_disk.as_ref()),
            serial(usage.served.as_ref()),
            started.map_or_else(|| "-".to_owned(), |started| started.timestamp().to_string()),
            format!("{style}{}{style:#}", usage.verdict),
            plain(&usage.proof.to_string()),
        ]);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text.push_str(&format!("\nContainers were asked for at {}.\n", plain(runtime)));
    text
}

fn serial(serial: Option<&SerialNumber>) -> String {
    serial.map_or_else(|| "-".to_owned(), ToString::to_string)
}

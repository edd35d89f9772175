//! Spans of time in kubeadm's short form.

use kubecerts_core::time::Seconds;

/// Writes a span as `k8s.io/apimachinery/pkg/util/duration`, `HumanDuration` does: `364d`, `2y103d`, `9m28s`.
///
/// Below -1 second it is `<invalid>`, and years have 365 days.
pub(crate) fn human_duration(span: Seconds) -> String {
    let seconds = span.0;
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let pair = |whole: i64, unit: &str, rest: i64, rest_unit: &str| match rest {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}{unit}{rest}{rest_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair(days, "d", hours % 24, "h"),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_kubeadm_writes_them() {
        let day = 86_400;
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (88, "88s"),
            (119, "119s"),
            (120, "2m"),
            (568, "9m28s"),
            (600, "10m"),
            (178 * 60, "178m"),
            (180 * 60, "3h"),
            (3 * 3_600 + 300, "3h5m"),
            (8 * 3_600, "8h"),
            (46 * 3_600, "46h"),
            (2 * day, "2d"),
            (7 * day + 23 * 3_600, "7d23h"),
            (8 * day, "8d"),
            (364 * day + 23 * 3_600, "364d"),
            (2 * 365 * day, "2y"),
            (2 * 365 * day + 103 * day, "2y103d"),
            (4 * 365 * day + 364 * day, "4y364d"),
            (8 * 365 * day, "8y"),
            (3_649 * day, "9y"),
            (99 * 365 * day, "99y"),
        ] {
            assert_eq!(human_duration(Seconds(seconds)), text, "{seconds} s");
        }
    }
}

//! What is to come as a calendar, in iCalendar (RFC 5545).

use kubecerts_core::digest::Digest;
use kubecerts_core::forecast::{Event, Forecast, Hold, Loss};
use kubecerts_core::time::{CivilTime, Timestamp};

use super::forecast::details;

/// Returns a calendar of what will break up to `until`; without what is broken already, for which no date is of use.
///
/// The same node and the same certificates give the same UIDs, so that a calendar that subscribes replaces its entries instead of
/// doubling them (RFC 5545 §3.8.4.7). Who is to be warned by it fetches it again after every renewal.
///
/// It is made at `made`, from whatever moment the forecast is seen (DTSTAMP, §3.8.7.2).
pub(crate) fn calendar(
    forecast: &Forecast,
    until: Option<Timestamp>,
    node: Option<&str>,
    made: Timestamp,
) -> String {
    let mut lines = Lines::default();
    lines.property("BEGIN", "VCALENDAR");
    lines.property("VERSION", "2.0");
    lines.property("PRODID", concat!("-//kubecerts//forecast ", env!("CARGO_PKG_VERSION"), "//EN"));
    lines.property("CALSCALE", "GREGORIAN");
    lines.property("METHOD", "PUBLISH");
    lines.text("X-WR-CALNAME", &format!("Certificates of {}", node.unwrap_or("the node")));
    for event in forecast.upcoming(until.unwrap_or(Timestamp::MAX)) {
        lines.event(event, node, made);
    }
    lines.property("END", "VCALENDAR");
    lines.0
}

/// Content lines: folded, and ended by CRLF.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn event(&mut self, event: &Event, node: Option<&str>, made: Timestamp) {
        let summary = match node {
            Some(node) => format!("{node}: {event}"),
            None => event.to_string(),
        };
        self.property("BEGIN", "VEVENT");
        self.property("UID", &uid(event, node));
        self.property("DTSTAMP", &date_time(made));
        // An event without an end takes no time (§3.6.1), and nobody is busy with it.
        self.property("DTSTART", &date_time(event.at));
        self.property("TRANSP", "TRANSPARENT");
        self.text("SUMMARY", &summary);
        let mut description = details(event);
        description.extend(event.path.as_ref().map(|path| format!("in {path}")));
        if event.what.iter().any(|loss| event.hold(loss) == Hold::NextConnection) {
            description.push("connections that are open may go on".to_owned());
        }
        if !description.is_empty() {
            self.text("DESCRIPTION", &description.join("\n"));
        }
        self.property("CATEGORIES", "CERTIFICATE");
        for trigger in ALARMS {
            self.property("BEGIN", "VALARM");
            self.property("ACTION", "DISPLAY");
            self.property("TRIGGER", trigger);
            self.text("DESCRIPTION", &summary);
            self.property("END", "VALARM");
        }
        self.property("END", "VEVENT");
    }

    /// Adds a property whose value is text, with what has a meaning in it escaped (§3.3.11).
    fn text(&mut self, name: &str, value: &str) {
        let mut escaped = String::with_capacity(value.len());
        for c in value.chars() {
            match c {
                '\\' | ';' | ',' => escaped.extend(['\\', c]),
                '\n' => escaped.push_str("\\n"),
                // No other control character may stand in a text.
                c if c.is_control() => escaped.extend(c.escape_default().flat_map(|c| match c {
                    '\\' => vec!['\\', '\\'],
                    c => vec![c],
                })),
                c => escaped.push(c),
            }
        }
        self.property(name, &escaped);
    }

    /// Adds a line, folded after 75 octets and never within a character (§3.1).
    fn property(&mut self, name: &str, value: &str) {
        let mut length = 0;
        for c in name.chars().chain([':']).chain(value.chars()) {
            if length + c.len_utf8() > LONGEST_LINE {
                self.0.push_str("\r\n ");
                length = 1;
            }
            self.0.push(c);
            length += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// Octets of a line without its end, RFC 5545 §3.1.
const LONGEST_LINE: usize = 75;

/// Two weeks are enough for a renewal that needs somebody else's signature; the day before is for who has forgotten.
const ALARMS: [&str; 2] = ["-P14D", "-P1D"];

/// Returns a name that is the same for the same event of the same node, and for no other.
fn uid(event: &Event, node: Option<&str>) -> String {
    let losses: Vec<&str> = event.what.iter().map(Loss::name).collect();
    let place = event.place.as_ref().map(ToString::to_string).unwrap_or_default();
    let path = event.path.as_ref().map(|path| path.as_str()).unwrap_or_default();
    let whole = [node.unwrap_or_default(), &place, path, &event.at.to_string(), &losses.join(" ")].join("\n");
    // Half of the digest is more than enough to tell events apart.
    let digest = Digest::of(whole.as_bytes()).to_string();
    format!("{}@kubecerts.dev", &digest[..32])
}

/// Writes a moment in UTC, as `20261203T101500Z` (§3.3.5, form 2).
fn date_time(at: Timestamp) -> String {
    let CivilTime { year, month, day, hour, minute, second, .. } = at.civil();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_between_characters_after_75_octets() {
        let mut lines = Lines::default();
        lines.property("SUMMARY", &"→".repeat(60));
        for line in lines.0.split("\r\n") {
            assert!(line.len() <= 75, "{line}");
        }
        assert_eq!(lines.0.replace("\r\n ", ""), format!("SUMMARY:{}\r\n", "→".repeat(60)));
        let mut lines = Lines::default();
        lines.property("A", &"b".repeat(73));
        assert_eq!(lines.0.matches("\r\n").count(), 1);
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let mut lines = Lines::default();
        lines.text("X", "a,b;c\\d\ne\r\u{7}f");
        assert_eq!(lines.0, "X:a\\,b\\;c\\\\d\\ne\\\\r\\\\u{7}f\r\n");
    }
}

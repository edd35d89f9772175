//! What breaks, and when, for people and as a document.

use kubecerts_core::diagnosis::Diagnosis;
use kubecerts_core::forecast::{Cause, Event, Forecast, Loss, Undated};
use kubecerts_core::inventory::Place;
use kubecerts_core::time::{CivilTime, Seconds, Timestamp};
use serde_json::{Value, json};

use super::documents::{Document, impact};
use crate::output::{BAD, plain};

/// Returns the forecast, one line for each event and what else is to be known of it below.
pub(crate) fn text(forecast: &Forecast, until: Option<Timestamp>) -> String {
    let now = forecast.now();
    let mut text = String::new();
    let past: Vec<&Event> = forecast.past().collect();
    if !past.is_empty() {
        text.push_str(&format!("{BAD}Broken already, in this order:{BAD:#}\n"));
        past.iter().for_each(|event| entry(event, now, &mut text));
        text.push('\n');
    }
    let upcoming: Vec<&Event> = forecast.upcoming(until.unwrap_or(Timestamp::MAX)).collect();
    let horizon = until.map(|until| format!(" until {until}")).unwrap_or_default();
    match upcoming.is_empty() {
        true => text.push_str(&format!("Nothing ends{horizon}.\n")),
        false => text.push_str(&format!("What breaks{horizon}, if nobody acts:\n")),
    }
    upcoming.iter().for_each(|event| entry(event, now, &mut text));
    if !forecast.undated().is_empty() {
        text.push_str("\nAt a moment that nothing tells:\n");
        for undated in forecast.undated() {
            text.push_str(&format!("  {}\n", plain(&undated.to_string())));
        }
    }
    text
}

/// Returns what else is to be known of an event: one line each.
pub(super) fn details(event: &Event) -> Vec<String> {
    let mut details = Vec::new();
    // The first cause of what follows from something else is the event itself.
    let causes = &event.because[usize::from(event.place.is_none()).min(event.because.len())..];
    if !causes.is_empty() {
        details.push(format!("because {}", joined(causes.iter().map(Cause::to_string), ", because ")));
    }
    if !event.takes.is_empty() {
        details.push(format!("with it end {}", joined(event.takes.iter().map(Place::to_string), ", ")));
    }
    if !event.trusting.is_empty() {
        details.push(format!("trusted by {}", event.trusting.join(", ")));
    }
    if let Some(since) = event.lost_since {
        details.push(format!("which is lost since {} anyway", date(since)));
    }
    details
}

/// Returns the forecast as a document.
pub(crate) fn document(
    forecast: &Forecast,
    until: Option<Timestamp>,
    node: Option<&str>,
    diagnosis: &Diagnosis,
) -> Document {
    let horizon = until.unwrap_or(Timestamp::MAX);
    let events = forecast.past().chain(forecast.upcoming(horizon)).map(event).collect::<Vec<_>>();
    Document::new(
        "Forecast",
        json!({
            "at": forecast.now().to_string(),
            "until": until.map(|until| until.to_string()),
            "node": node,
            "impact": impact(diagnosis.impact()),
            "events": events,
            "undated": forecast.undated().iter().map(undated).collect::<Vec<_>>(),
        }),
    )
}

fn event(event: &Event) -> Value {
    let loss = |loss: &Loss| {
        json!({
            "kind": loss.name(),
            "what": loss.to_string(),
            "component": loss.component().map(|component| component.name()),
            "takesHold": event.hold(loss).name(),
        })
    };
    json!({
        "at": event.at.to_string(),
        "past": event.is_past,
        "trigger": event.trigger(),
        "certificate": event.place.as_ref().map(ToString::to_string),
        "path": event.path.as_ref().map(|path| path.as_str()),
        "losses": event.what.iter().map(loss).collect::<Vec<_>>(),
        "because": event.because.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "takes": event.takes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "trustedBy": event.trusting,
        "lostSince": event.lost_since.map(|since| since.to_string()),
    })
}

fn undated(undated: &Undated) -> Value {
    json!({
        "certificate": undated.place.to_string(),
        "component": undated.component.name(),
        "what": undated.to_string(),
        "onDiskUntil": undated.on_disk.map(|end| end.to_string()),
    })
}

fn entry(event: &Event, now: Timestamp, text: &mut String) {
    let when = relative(event.at, now);
    text.push_str(&format!("  {} ({when}): {}\n", date(event.at), plain(&event.to_string())));
    for detail in details(event) {
        text.push_str(&format!("    {}\n", plain(&detail)));
    }
}

fn joined(texts: impl Iterator<Item = String>, separator: &str) -> String {
    texts.collect::<Vec<_>>().join(separator)
}

/// Writes the day: `3 Dec 2026`.
fn date(at: Timestamp) -> String {
    let CivilTime { year, month, day, .. } = at.civil();
    let month = MONTHS[usize::from(month) - 1];
    format!("{day} {month} {year}")
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes how far away `at` is, in its largest unit: `in 11 days`, `3 hours ago`.
fn relative(at: Timestamp, now: Timestamp) -> String {
    let span = at.since(now);
    let amount = Seconds(span.0.abs());
    let (count, unit) = match amount.0 {
        seconds if seconds >= 2 * 86_400 => (amount.days(), "days"),
        seconds if seconds >= 2 * 3_600 => (seconds / 3_600, "hours"),
        seconds if seconds >= 120 => (seconds / 60, "minutes"),
        1 => (1, "second"),
        seconds => (seconds, "seconds"),
    };
    if span.0 < 0 { format!("{count} {unit} ago") } else { format!("in {count} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_are_told_by_their_day_and_their_distance() {
        let now = at("2026-11-22T00:00:00Z");
        for (moment, day, distance) in [
            ("2026-12-03T12:00:00Z", "3 Dec 2026", "in 11 days"),
            ("2026-11-23T00:00:00Z", "23 Nov 2026", "in 24 hours"),
            ("2026-11-22T00:01:00Z", "22 Nov 2026", "in 60 seconds"),
            ("2026-11-21T23:59:59Z", "21 Nov 2026", "1 second ago"),
            ("2020-01-01T00:00:00Z", "1 Jan 2020", "2517 days ago"),
        ] {
            assert_eq!((date(at(moment)).as_str(), relative(at(moment), now).as_str()), (day, distance));
        }
    }
}

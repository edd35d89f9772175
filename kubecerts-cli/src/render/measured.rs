//! What this machine can do, in words and as a document.

use std::num::NonZeroUsize;
use std::time::Duration;

use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_host::measure::{Estimate, Measurement, Measurements, Source, Work};
use serde_json::{Map, Value, json};

use super::documents::Document;
use super::table::{lines, plain_table};
use super::text::counted;

/// Returns what is being measured.
pub(crate) fn progress(next: &Measurement) -> String {
    let Measurement { algorithm, source, work, threads } = next;
    let threads = counted(threads.get(), "thread");
    format!("measuring {} of {algorithm} by the provider {} on {threads}", work.name(), source.name())
}

/// Returns a table with what was measured, and below it how long jobs take.
pub(crate) fn text(measurements: &Measurements) -> String {
    let mut table =
        plain_table(&["ALGORITHM", "PROVIDER", "THREADS", "KEYS/S", "SIGNATURES/S", "CERTIFICATES/S"]);
    for row in rows(measurements) {
        let rate = |work| row.rate(work, measurements).map_or("-".to_owned(), significant);
        table.add_row([
            row.algorithm.to_string(),
            row.source.name().to_owned(),
            row.threads.to_string(),
            rate(Work::Keys),
            rate(Work::Signatures),
            rate(Work::Certificates),
        ]);
    }
    let mut text = lines(&table);
    let threads = counted(measurements.threads().get(), "thread");
    text.push_str(&format!("\nOn {threads}, without reading and writing, about:\n\n",));
    let mut jobs =
        plain_table(&["ALGORITHM", "PROVIDER", "1,000,000 CERTIFICATES", "1,000 TREES WITH THEIR KEYS"]);
    for Estimate { algorithm, source, million_certificates, thousand_trees, .. } in measurements.estimates() {
        jobs.add_row([
            algorithm.to_string(),
            source.name().to_owned(),
            span(million_certificates),
            span(thousand_trees),
        ]);
    }
    text.push_str(&lines(&jobs));
    text
}

/// Returns `kubecerts bench -o json`.
pub(crate) fn document(measurements: &Measurements) -> Document {
    let measured = rows(measurements).into_iter().map(|row| {
        let mut fields = Map::from_iter([
            ("algorithm".to_owned(), json!(row.algorithm.name())),
            ("provider".to_owned(), json!(row.source.name())),
            ("threads".to_owned(), json!(row.threads)),
        ]);
        for work in Work::ALL {
            let rate = row.rate(work, measurements).map(rounded);
            fields.insert(format!("{}PerSecond", work.name()), json!(rate));
        }
        Value::Object(fields)
    });
    let estimates = measurements.estimates().into_iter().map(|estimate| {
        let Estimate { algorithm, source, million_certificates, thousand_trees, .. } = estimate;
        json!({
            "algorithm": algorithm.name(),
            "provider": source.name(),
            "threads": measurements.threads(),
            "millionCertificatesSeconds": rounded(million_certificates.as_secs_f64()),
            "thousandTreesSeconds": rounded(thousand_trees.as_secs_f64()),
        })
    });
    Document::new(
        "Measurements",
        json!({
            "at": measurements.at().to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "threads": measurements.threads(),
            "elapsedSeconds": rounded(measurements.elapsed().as_secs_f64()),
            "measurements": measured.collect::<Vec<_>>(),
            "estimates": estimates.collect::<Vec<_>>(),
        }),
    )
}

/// What is measured of one kind of key by one provider on so many threads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Row {
    algorithm: KeyAlgorithm,
    source: Source,
    threads: NonZeroUsize,
}

impl Row {
    fn rate(self, work: Work, measurements: &Measurements) -> Option<f64> {
        let Self { algorithm, source, threads } = self;
        measurements.per_second(Measurement { algorithm, source, work, threads })
    }
}

fn rows(measurements: &Measurements) -> Vec<Row> {
    let mut rows = Vec::new();
    for (Measurement { algorithm, source, work: _, threads }, _) in measurements.results() {
        let row = Row { algorithm, source, threads };
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// Returns `value` with the three figures that a short measurement can mean.
fn rounded(value: f64) -> f64 {
    if !value.is_normal() {
        return 0.0;
    }
    // What was printed is what is nearest to it, which dividing by a power of ten need not give.
    format!("{value:.2e}").parse().expect("a number that was printed is one")
}

/// Returns the same as text, with a comma after each thousand.
fn significant(value: f64) -> String {
    let text = rounded(value).to_string();
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{grouped}.{fraction}"),
        None => grouped,
    }
}

/// Returns `span` in the unit that suits it.
fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let (value, unit) = match seconds {
        ..120.0 => (seconds, "s"),
        ..7200.0 => (seconds / 60.0, "min"),
        ..172_800.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    format!("{} {unit}", significant(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_what_they_mean() {
        for (value, text) in [
            (28_449.7, "28,400"),
            (1_234_567.0, "1,230,000"),
            (999.6, "1,000"),
            (12.345, "12.3"),
            (0.012_345, "0.0123"),
            (100.0, "100"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn spans_are_in_the_unit_that_suits_them() {
        for (seconds, text) in
            [(0.5, "0.5 s"), (119.4, "119 s"), (120.0, "2 min"), (7200.0, "2 h"), (172_800.0, "2 d")]
        {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }
}

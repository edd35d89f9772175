//! The law of reading logs.

use std::sync::LazyLock;

use kubecerts_core::explain::{Explainer, LINE_LIMIT};
use kubecerts_core::inventory::Inventory;
use kubecerts_testkit::{TreeBuilder, at};

/// Every line is counted once, the same lines give the same report, and nothing that is shown can steer a terminal.
pub fn explain(data: &[u8]) {
    let report = report(data);
    let lines = data.split(|byte| *byte == b'\n').count() as u64;
    assert_eq!(report.lines, lines);
    let explained: u64 = report.explanations.iter().map(|explanation| explanation.count).sum();
    assert!(explained + report.unknown + report.informational <= lines, "a line is counted once");
    assert_eq!(report, self::report(data), "the same lines give the same report");
    let samples =
        report.explanations.iter().map(|explanation| &explanation.sample).chain(&report.unknown_samples);
    for sample in samples {
        assert!(sample.len() <= LINE_LIMIT && !sample.chars().any(char::is_control), "{sample:?}");
        assert!(!sample.contains("eyJhbGciOiJSUzI1NiIs"), "a token is not shown");
    }
    for explanation in &report.explanations {
        let answer = &explanation.answer;
        assert!(!answer.meaning.is_empty());
        let shown = answer.proof.iter().chain([&answer.meaning]).chain(&answer.presenter);
        shown.for_each(|text| assert!(!text.chars().any(char::is_control), "{text:?}"));
        assert!(explanation.first <= explanation.last);
    }
}

fn report(data: &[u8]) -> kubecerts_core::explain::Report {
    static TREE: LazyLock<Inventory> = LazyLock::new(|| TreeBuilder::kubeadm().build().inventory());
    let mut explainer = Explainer::new();
    explainer.source("fuzz");
    data.split(|byte| *byte == b'\n').for_each(|line| explainer.line(line));
    explainer.finish(&TREE, at("2026-06-01T00:00:00Z"))
}

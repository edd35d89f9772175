//! The logs of a real outage.

use crate::support::*;
use kubecerts_core::catalog::Component;
use kubecerts_core::diagnosis::Impact;
use kubecerts_core::explain::{Culprit, Explainer, Report, Symptom};
use kubecerts_core::inventory::Inventory;
use kubecerts_testkit::{TreeBuilder, at};

fn log(name: &str) -> Vec<u8> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs");
    std::fs::read(directory.join(name)).expect("the log is part of the project")
}

fn of_log(name: &str, source: &str, inventory: &Inventory, now: &str) -> Report {
    let mut explainer = Explainer::new();
    explainer.source(source);
    log(name)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .for_each(|line| explainer.line(line));
    explainer.finish(inventory, at(now))
}

/// A tree that was renewed after the outage whose logs are in `tests/data`.
fn renewed_after_the_outage() -> Inventory {
    TreeBuilder::kubeadm().made(at("2023-05-15T06:00:00Z")).build().inventory()
}

#[test]
fn the_api_servers_log_of_an_outage_names_two_certificates() {
    let report = of_log("kube-apiserver.log", "-", &renewed_after_the_outage(), "2023-05-16T00:00:00Z");
    let expired: Vec<_> = report
        .explanations
        .iter()
        .filter(|explanation| explanation.evidence.symptom == Symptom::Expired)
        .collect();
    let serials: Vec<String> = expired
        .iter()
        .map(|explanation| explanation.evidence.serial.as_ref().expect("it is stated").to_decimal())
        .collect();
    assert_eq!(serials, ["6259688787785297613", "7385935559219004232"]);
    assert_eq!(expired.iter().map(|explanation| explanation.count).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(expired[0].first, Some(at("2023-05-15T05:20:02Z")));
    assert_eq!(expired[0].last, Some(at("2023-05-15T05:20:05Z")));
    assert_eq!(
        expired[0].evidence.not_after,
        Some(at("2023-05-14T05:49:21Z")),
        "the line is cut off, but says it before"
    );
    assert_eq!(expired[0].evidence.program.as_ref().map(|program| program.name()), Some("kube-apiserver"));
    // The authority of the tree of this test is another one.
    assert!(matches!(expired[0].answer.culprit, Culprit::Elsewhere(_)));
    let last = report.explanations.last().expect("there are three");
    assert_eq!(last.evidence.symptom, Symptom::AggregationDown, "a consequence comes last");
}

#[test]
fn the_schedulers_log_names_its_kubeconfig_with_and_without_the_files_name() {
    let inventory = renewed_after_the_outage();
    for source in [
        "-",
        "/var/log/containers/kube-scheduler-cp-1_kube-system_kube-scheduler-0123.log",
        "kube-scheduler.log",
    ] {
        let report = of_log("kube-scheduler.log", source, &inventory, "2023-05-16T00:00:00Z");
        let only = only(&report);
        assert_eq!((only.count, only.evidence.symptom), (10, Symptom::Unauthorized));
        assert_eq!(only.answer.culprit, current(SCHEDULER));
        assert!(only.answer.advice.contains(&restart(Component::Scheduler)), "{:?}", only.answer.advice);
        assert_eq!(only.answer.impact, Impact::Inconsistent);
        assert!(
            only.answer.proof[0]
                .starts_with("/etc/kubernetes/scheduler.conf holds CN = system:kube-scheduler")
        );
    }
}

#[test]
fn the_schedulers_log_of_an_expired_tree_asks_for_a_renewal() {
    let inventory = TreeBuilder::kubeadm().made(at("2022-05-14T05:49:21Z")).build().inventory();
    let report = of_log("kube-scheduler.log", "-", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!(only(&report).answer.advice, [renew(SCHEDULER), restart(Component::Scheduler)]);
    assert_eq!(report.impact(), Impact::Unusable);
}

#[test]
fn the_other_logs_of_the_outage_are_consequences_or_healthy() {
    let inventory = renewed_after_the_outage();
    let report = of_log("etcd.log", "etcd.log", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!((report.explanations.len(), report.unknown, report.lines), (0, 0, 16));
    let report = of_log("kube-controller-manager.log", "-", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!((only(&report).count, only(&report).evidence.symptom), (8, Symptom::AggregationDown));
    assert_eq!(report.impact(), Impact::None);
    let report = of_log("kubectl.log", "-", &inventory, "2025-02-22T00:00:00Z");
    assert_eq!(only(&report).evidence.not_after, Some(at("2025-02-20T16:53:11Z")));
    assert_eq!(only(&report).answer.culprit, current(APISERVER));
}

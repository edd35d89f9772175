//! Random damage to a healthy tree is never answered "healthy".
//!
//! Every damage is drawn from its own number, so the same number gives the same tree for ever. A damaged tree is *found* when its
//! diagnosis has a finding that the healthy tree has not; *harmless* when what is on disk means the same as before, which is decided
//! by what the files decode to (see `meaning`); and *missed* otherwise. `KUBECERTS_MUTATIONS` sets how many trees are tried.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the environment says how many trees are tried")]

mod damage;
mod meaning;
mod node;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};

use kubecerts_core::diagnosis::{Finding, FindingCode, Policy, Severity, diagnose};
use kubecerts_core::observation::Observations;
use kubecerts_testkit::{MemoryTree, at};

use damage::{Kind, damage};
use meaning::is_harmless;
use node::Nodes;

#[test]
fn no_damaged_tree_is_called_healthy() {
    let nodes = Nodes::new();
    let healthy = findings(&nodes.tree);
    let grave: Vec<&Finding> =
        healthy.iter().filter(|finding| finding.severity != Severity::Notice).collect();
    assert!(grave.is_empty(), "the tree is not healthy to begin with: {grave:?}");
    let known: BTreeSet<Trace> = healthy.iter().map(trace).collect();

    let judge = &|number: u64| {
        let (kind, tree, what) = damage(&nodes, number);
        let verdict = if findings(&tree).iter().any(|finding| !known.contains(&trace(finding))) {
            Verdict::Found
        } else if is_harmless(&nodes.tree, &tree) {
            Verdict::Harmless
        } else {
            Verdict::Missed
        };
        (kind, verdict, format!("{number}: {what}"))
    };
    let threads = u64::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap();
    let judged: Vec<(Kind, Verdict, String)> = std::thread::scope(|scope| {
        let share = move |first: u64| (first..count()).step_by(usize::try_from(threads).unwrap());
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || share(first).map(judge).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut tally: BTreeMap<Kind, Tally> = BTreeMap::new();
    let mut missed = Vec::new();
    for (kind, verdict, what) in judged {
        let tally = tally.entry(kind).or_default();
        tally.tried += 1;
        match verdict {
            Verdict::Found => {}
            Verdict::Harmless => tally.harmless += 1,
            Verdict::Missed => {
                tally.missed += 1;
                missed.push(what);
            }
        }
    }
    report(&tally);
    assert!(missed.is_empty(), "{} damaged trees are called healthy:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn the_same_number_gives_the_same_damage() {
    let nodes = Nodes::new();
    for number in 0..40 {
        assert_eq!(damage(&nodes, number), damage(&Nodes::new(), number));
    }
}

/// What came of one damage.
enum Verdict {
    Found,
    Harmless,
    Missed,
}

#[derive(Default)]
struct Tally {
    tried: usize,
    harmless: usize,
    missed: usize,
}

/// What tells one finding from another.
type Trace = (FindingCode, Severity, String);

fn trace(finding: &Finding) -> Trace {
    (finding.code, finding.severity, finding.to_string())
}

fn findings(tree: &MemoryTree) -> Vec<Finding> {
    let diagnosis = diagnose(
        &tree.inventory_around(),
        &Observations::none(),
        Policy::default(),
        at("2026-01-02T00:00:00Z"),
    );
    diagnosis.findings().to_vec()
}

/// A fifth of what is tried where time is no matter, so that the test is quick where it is.
fn count() -> u64 {
    std::env::var("KUBECERTS_MUTATIONS").map_or(2_000, |text| text.parse().unwrap())
}

/// Says the figures past the capture of the test harness.
fn report(tally: &BTreeMap<Kind, Tally>) {
    let mut text = String::new();
    let mut sum = Tally::default();
    for (kind, Tally { tried, harmless, missed }) in tally {
        text.push_str(&format!(
            "mutations: {:<28} {tried:>6} tried {harmless:>5} harmless {missed:>4} missed\n",
            kind.name()
        ));
        sum.tried += tried;
        sum.harmless += harmless;
        sum.missed += missed;
    }
    let Tally { tried, harmless, missed } = sum;
    text.push_str(&format!(
        "mutations: {tried} damaged trees, {missed} missed ({harmless} of them mean the same as before)\n"
    ));
    io::stderr().write_all(text.as_bytes()).unwrap();
}

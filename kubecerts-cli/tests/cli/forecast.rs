//! `kubecerts forecast`: what it tells, in which form, and how it ends.

use std::collections::BTreeSet;

use kubecerts_core::catalog::{FileSlot, KubeconfigSlot};
use kubecerts_testkit::{FIXTURES, TreeBuilder, at};
use serde_json::Value;

use crate::support::{Tree, kubecerts};

const SEEN: &str = "2026-11-22T00:00:00Z";

/// A tree of which the API server's client of etcd ends on 3 December 2026 and all else a month later.
fn tree() -> Tree {
    let mut tree = TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)).build();
    let pki = "/etc/kubernetes/pki";
    tree.redraft(&format!("{pki}/apiserver-etcd-client.crt"), &format!("{pki}/etcd/ca.key"), |leaf| {
        leaf.not_after = at("2026-12-03T00:00:00Z");
    });
    Tree::of(&tree)
}

#[test]
fn each_event_is_a_line_with_its_day_and_what_is_lost() {
    let outcome = tree().run(&["forecast", "--at", SEEN]).exits(0);
    let line = "  3 Dec 2026 (in 11 days): apiserver-etcd-client ends → the API server loses etcd";
    assert!(outcome.stdout.lines().any(|found| found == line), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains(
            "because the API server of this node has lost etcd, because apiserver-etcd-client ends"
        )
    );
    assert!(outcome.stdout.contains("1 Jan 2027 (in 40 days): admin.conf ends"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("which is lost since 3 Dec 2026 anyway"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_horizon_is_a_span_or_a_moment() {
    let tree = tree();
    let within = |until: &str| tree.run(&["forecast", "--at", SEEN, "--until", until]).exits(0).stdout;
    assert!(
        within("30d").contains("apiserver-etcd-client ends") && !within("30d").contains("admin.conf ends")
    );
    assert_eq!(within("30d"), within("2026-12-22T00:00:00Z"));
    assert_eq!(within("1d"), "Nothing ends until 2026-11-23T00:00:00Z.\n");
}

#[test]
fn what_is_no_horizon_is_refused() {
    for wrong in ["soon", "2026-13-01T00:00:00Z", "-3d", ""] {
        let until = format!("--until={wrong}");
        let outcome = kubecerts(&["forecast", &until]).exits(2);
        assert!(outcome.stderr.contains("RFC 3339") || wrong.is_empty(), "{}", outcome.stderr);
    }
}

#[test]
fn what_is_broken_already_comes_first_and_ends_as_a_check_would() {
    let outcome = tree().run(&["forecast", "--at", "2026-12-04T00:00:00Z"]).exits(4);
    let first: Vec<&str> = outcome.stdout.lines().take(2).collect();
    assert_eq!(
        first,
        [
            "Broken already, in this order:",
            "  3 Dec 2026 (24 hours ago): apiserver-etcd-client ended → the API server loses etcd"
        ]
    );
    assert!(outcome.stderr.starts_with("hint: "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("kubecerts check --rootfs /"), "{}", outcome.stderr);
}

#[test]
fn a_forecast_is_a_valid_document_for_every_tree() {
    let schema = kubecerts(&["schema", "forecast"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let all = kubecerts(&["schema"]).exits(0).stdout;
    let all = jsonschema::validator_for(&serde_json::from_str(&all).unwrap()).unwrap();
    for name in FIXTURES {
        let text = Tree::fixture(name).run(&["forecast", "-o", "json"]).stdout;
        let document: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
        assert!(all.is_valid(&document), "{name}");
    }
}

#[test]
fn the_document_has_the_chain_of_causes() {
    let text = tree().run(&["forecast", "--at", SEEN, "--until", "30d", "-o", "json"]).exits(0).stdout;
    let document: Value = serde_json::from_str(&text).unwrap();
    let events = document["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["certificate"], "apiserver-etcd-client");
    assert_eq!(events[0]["losses"][0]["kind"], "etcd-access");
    assert_eq!(events[0]["losses"][0]["takesHold"], "with the next connection");
    assert_eq!(events[2]["certificate"], Value::Null);
    // The API server is at work until it connects to etcd again, and so is everybody else.
    assert_eq!(events[2]["losses"][0]["kind"], "aggregation");
    assert_eq!(events[2]["losses"][0]["takesHold"], "with the next connection");
    assert_eq!(events[2]["because"][2], "apiserver-etcd-client ends");
}

#[test]
fn a_calendar_can_be_read_back() {
    let tree = tree();
    let text = tree.run(&["forecast", "--at", SEEN, "-o", "ical"]).exits(0).stdout;
    let calendar = Component::parse(&text);
    assert_eq!(calendar.name, "VCALENDAR");
    assert_eq!(calendar.value("VERSION"), "2.0");
    assert!(calendar.value("PRODID").starts_with("-//kubecerts//"));
    let first = &calendar.inner[0];
    assert_eq!(first.name, "VEVENT");
    // It is made now, whatever moment is asked for.
    assert_ne!(first.value("DTSTAMP"), "20261122T000000Z");
    assert_eq!(first.value("DTSTAMP").len(), "20261122T000000Z".len());
    assert_eq!(first.value("DTSTART"), "20261203T000000Z");
    assert_eq!(first.value("SUMMARY"), "apiserver-etcd-client ends → the API server loses etcd");
    assert_eq!(
        first.value("DESCRIPTION"),
        "in /etc/kubernetes/pki/apiserver-etcd-client.crt\nconnections that are open may go on"
    );
    let alarms: Vec<String> = first.inner.iter().map(|alarm| alarm.value("TRIGGER")).collect();
    assert_eq!(alarms, ["-P14D", "-P1D"]);
    assert!(first.inner.iter().all(|alarm| alarm.name == "VALARM" && alarm.value("ACTION") == "DISPLAY"));
    let uids: BTreeSet<String> = calendar.inner.iter().map(|event| event.value("UID")).collect();
    assert_eq!(uids.len(), calendar.inner.len(), "every event has a UID of its own");
}

#[test]
fn a_calendar_of_tomorrow_has_the_same_uids() {
    let tree = tree();
    let uids = |now: &str| -> Vec<String> {
        let text = tree.run(&["forecast", "--at", now, "-o", "ical"]).exits(0).stdout;
        Component::parse(&text).inner.iter().map(|event| event.value("UID")).collect()
    };
    assert_eq!(uids(SEEN), uids("2026-11-23T00:00:00Z"));
}

#[test]
fn a_calendar_holds_only_what_is_to_come() {
    let text = tree().run(&["forecast", "--at", "2026-12-04T00:00:00Z", "-o", "ical"]).exits(4).stdout;
    assert!(!text.contains("20261203T"), "{text}");
}

#[test]
fn the_same_moment_gives_the_same_bytes() {
    let tree = Tree::fixture("kubeadm-edge-expired-leaves-1.36.2");
    for form in ["text", "json", "ical"] {
        let run = || tree.run(&["forecast", "--at", SEEN, "-o", form]).exits(4).stdout;
        assert_eq!(run(), run());
    }
}

#[test]
fn nothing_is_written() {
    let tree = tree();
    let before = tree.files();
    tree.run(&["forecast", "--at", SEEN]).exits(0);
    assert_eq!(tree.files(), before);
}

#[test]
fn a_copy_of_a_disk_has_no_running_programs() {
    tree().run(&["forecast", "--running"]).exits(2).explains("on the node itself");
}

#[test]
fn a_snapshot_has_the_forecast_of_its_node() {
    let scratch = tempfile::TempDir::new().unwrap();
    let file = scratch.path().join("cp-1.tar");
    let file = file.to_str().unwrap();
    let tree = tree();
    tree.run(&["snapshot", "-o", file, "--node-name", "cp-1"]).exits(0);
    let of_file = kubecerts(&["forecast", file, "--at", SEEN]).exits(0);
    assert_eq!(of_file.stdout, tree.run(&["forecast", "--at", SEEN]).exits(0).stdout);
    assert!(of_file.stderr.starts_with(&format!("cp-1, seen from {SEEN}; ")), "{}", of_file.stderr);
    for form in ["json", "ical"] {
        let outcome = kubecerts(&["forecast", file, "--at", SEEN, "-o", form]).exits(0);
        assert!(outcome.stdout.contains("cp-1"), "{}", outcome.stdout);
    }
    // Without `--at` it is that of the moment when it was taken, whenever it is read.
    let taken = kubecerts(&["forecast", file]).stderr;
    let (_, taken_at) = taken.lines().next().unwrap().split_once("; the snapshot was taken ").unwrap();
    assert!(taken.starts_with(&format!("cp-1, seen from {taken_at}; ")), "{taken}");
    let running = kubecerts(&["forecast", file, "--at", SEEN, "--running"]).exits(0);
    assert!(running.stderr.contains("warning: the snapshot has nothing of running programs"));
    let broken = kubecerts(&["forecast", file, "--at", "2026-12-04T00:00:00Z"]).exits(4);
    assert!(broken.stderr.contains(&format!("kubecerts doctor {file}")), "{}", broken.stderr);
}

#[test]
fn what_is_no_snapshot_or_more_than_one_has_no_forecast() {
    let scratch = tempfile::TempDir::new().unwrap();
    let file = scratch.path().join("empty.tar");
    std::fs::write(&file, "").unwrap();
    kubecerts(&["forecast", file.to_str().unwrap()]).exits(1).explains("not a snapshot");
    let two = kubecerts(&["forecast", "cp-1.tar", "cp 2.tar"]).exits(2).explains("one node");
    assert!(two.stderr.contains("kubecerts forecast cp-1.tar"), "{}", two.stderr);
}

/// A component of iCalendar, read as RFC 5545 §3.4 to §3.6 have it; it panics on anything that they forbid.
#[derive(Debug, Default)]
struct Component {
    name: String,
    properties: Vec<(String, String)>,
    inner: Vec<Component>,
}

impl Component {
    fn parse(text: &str) -> Self {
        assert!(text.ends_with("\r\n"), "every line ends with CRLF");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "no line ends otherwise");
        for line in text.split("\r\n") {
            assert!(line.len() <= 75, "{line:?} is too long");
            assert!(!line.chars().any(char::is_control), "{line:?} has control characters");
        }
        let unfolded = text.replace("\r\n ", "");
        let mut open: Vec<Self> = vec![Self::default()];
        for line in unfolded.trim_end_matches("\r\n").split("\r\n") {
            let (name, value) = line.split_once(':').unwrap();
            assert!(name.chars().all(|c| c.is_ascii_uppercase() || c == '-'), "{name:?} is no name");
            match name {
                "BEGIN" => open.push(Self { name: value.to_owned(), ..Self::default() }),
                "END" => {
                    let closed = open.pop().unwrap();
                    assert_eq!(closed.name, value);
                    open.last_mut().unwrap().inner.push(closed);
                }
                _ => open.last_mut().unwrap().properties.push((name.to_owned(), value.to_owned())),
            }
        }
        assert_eq!(open.len(), 1, "every component is closed");
        open.remove(0).inner.remove(0)
    }

    /// Returns the value of the property `name`, which is there once, without its escapes.
    fn value(&self, name: &str) -> String {
        let mut found = self.properties.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next().unwrap_or_else(|| panic!("{} has no {name}", self.name));
        assert!(found.next().is_none(), "{name} is there twice");
        let mut plain = String::new();
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n' | 'N') => plain.push('\n'),
                    Some(c @ ('\\' | ',' | ';')) => plain.push(c),
                    other => panic!("{other:?} is escaped in {value:?}"),
                },
                ',' | ';' if matches!(name, "SUMMARY" | "DESCRIPTION") => {
                    panic!("{c:?} is bare in {value:?}")
                }
                c => plain.push(c),
            }
        }
        plain
    }
}

//! Two processes at once: one writes, the other says who.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Child;

use crate::support::Outcome;
use crate::watched::{RENEW, Side, Watched, directory_in_memory};

/// How many times two renewals are started at the same moment.
const ROUNDS: u32 = 24;

#[test]
fn of_two_renewals_at_once_one_writes_and_the_other_names_it() {
    race("one state directory", [&[], &[]]);
}

#[test]
fn two_renewals_with_different_state_directories_exclude_each_other_too() {
    race("two state directories", [&[], &["--state-dir", "/var/lib/other"]]);
}

fn race(name: &str, options: [&[&str]; 2]) {
    let mut watched = Watched::within(directory_in_memory());
    let (mut refused, mut one_after_the_other) = (0, 0);
    for round in 0..ROUNDS {
        let old = watched.snapshot();
        let backups = watched.backups().len();
        let start = |options: &[&str]| -> Child {
            watched.tree().command(&[&RENEW[..], options].concat()).spawn().unwrap()
        };
        // Each comes first in half of the rounds.
        let children = match round % 2 {
            0 => options.map(start),
            _ => {
                let [first, second] = options;
                let second = start(second);
                [start(first), second]
            }
        };
        let [one, two] = children.map(|child| (child.id(), Outcome::of(child.wait_with_output().unwrap())));
        let done = match (one.1.code, two.1.code) {
            (0, 0) => {
                one_after_the_other += 1;
                2
            }
            (0, 9) | (9, 0) => {
                let (holder, refusal) = if one.1.code == 0 { (one.0, two.1) } else { (two.0, one.1) };
                refusal.exits(9).explains(&format!("is locked by process {holder} "));
                refused += 1;
                1
            }
            codes => panic!("{codes:?}\n{}\n{}", one.1.stderr, two.1.stderr),
        };
        // With 2, each has replaced what the other had made.
        assert_eq!(watched.settled(), Side::New);
        watched.usable();
        if options[1].is_empty() {
            assert_eq!(watched.backups().len(), backups + done, "a backup of each run that wrote");
            if done == 1 {
                watched.backed_up(&old);
            }
        }
    }
    println!(
        "{name}: {ROUNDS} rounds, {refused} times one was refused, {one_after_the_other} times it came after"
    );
    assert!(refused > 0, "the two never met");
}

#[test]
fn whoever_holds_the_lock_is_named_with_what_it_does() {
    let mut watched = Watched::within(tempfile::tempdir().unwrap());
    let mut lock = File::create(watched.state().directory().join("lock")).unwrap();
    lock.lock().unwrap();
    let process = std::process::id();
    writeln!(lock, "{process} something that takes its time").unwrap();
    let holder =
        format!("/var/lib/kubecerts/lock is locked by process {process} (something that takes its time)");
    for arguments in
        [&RENEW[..], &["rollback", "--yes"], &["recover-journal", "--yes"], &["backup", "create"]]
    {
        let outcome = watched.tree().run(arguments).exits(9).explains(&holder);
        assert!(outcome.stderr.contains(&format!("ps -fp {process}")), "{}", outcome.stderr);
    }
    assert_eq!(watched.settled(), Side::Old);
    // Looking needs no lock.
    watched.usable();

    drop(lock);
    let directory = File::open(watched.tree().path("/etc/kubernetes/pki")).unwrap();
    directory.lock().unwrap();
    let holder = format!("/etc/kubernetes/pki is locked by process {process} ");
    watched.tree().run(&RENEW).exits(9).explains(&holder);
    assert_eq!(watched.settled(), Side::Old);

    drop(directory);
    watched.tree().run(&RENEW).exits(0);
    assert_eq!(watched.settled(), Side::New);
}

#[test]
fn what_an_earlier_holder_wrote_into_the_lock_is_not_believed() {
    let watched = Watched::within(tempfile::tempdir().unwrap());
    let path = watched.state().directory().join("lock");
    assert!(fs::read_to_string(&path).unwrap().ends_with(" renew\n"), "the first renewal has left its name");
    let lock = File::open(&path).unwrap();
    lock.lock().unwrap();
    let outcome = watched.tree().run(&RENEW).exits(9);
    outcome.explains(&format!("is locked by process {} (", std::process::id()));
}

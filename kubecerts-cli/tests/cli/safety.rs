//! What is refused before anything is written, and what becomes of runs that were interrupted.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use kubecerts_testkit::TreeBuilder;

use crate::support::Tree;

fn expired() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2024-01-01T00:00:00Z")).build())
}

/// Asserts that every command that writes refuses with 9 and names `thing`, and changes nothing.
#[track_caller]
fn refused(tree: &Tree, thing: &str) {
    let before = tree.files();
    for command in [&["renew", "--all", "--yes"][..], &["certs", "renew", "all"]] {
        tree.run(command).exits(9).explains(thing);
        assert_eq!(tree.files(), before);
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let tree = expired();
    let directory = tree.path("/etc/kubernetes/pki/etcd");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    refused(&tree, "/etc/kubernetes/pki/etcd, its mode is 0777");
    hints_at(&tree, "chmod go-w", "/etc/kubernetes/pki/etcd");
}

/// Asserts that the hint of a refused renewal names the file where it lies on this machine.
#[track_caller]
fn hints_at(tree: &Tree, command: &str, path: &str) {
    let outcome = tree.run(&["renew", "--all", "--yes"]).exits(9);
    let command = format!("{command} {}", tree.path(path).display());
    let has = |line: &str| line.starts_with("hint:") && line.contains(&command);
    assert!(outcome.stderr.lines().any(has), "no hint says {command}:\n{}", outcome.stderr);
}

#[test]
fn a_clock_before_the_authority_is_refused() {
    let tree = Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2090-01-01T00:00:00Z")).build());
    refused(&tree, "ca is not valid before 2089-12-31T23:55:00Z");
}

#[test]
fn a_clock_far_behind_the_newest_file_is_refused() {
    let tree = expired();
    let file = File::options().write(true).open(tree.path("/etc/kubernetes/admin.conf")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3 * 86_400)).unwrap();
    refused(&tree, "/etc/kubernetes/admin.conf");
    hints_at(&tree, "touch", "/etc/kubernetes/admin.conf");
    file.set_modified(SystemTime::now() + Duration::from_secs(3_600)).unwrap();
    tree.run(&["renew", "--all", "--yes"]).exits(0);
}

#[test]
fn a_lock_of_another_run_is_respected_and_its_holder_named() {
    let tree = expired();
    tree.run(&["backup", "create"]).exits(0);
    let path = tree.path("/var/lib/kubecerts/lock");
    let lock = File::options().write(true).open(&path).unwrap();
    lock.lock().unwrap();
    let holder = format!("process {} (renew)", std::process::id());
    fs::write(&path, format!("{} renew\n", std::process::id())).unwrap();
    refused(&tree, &holder);
    for command in [
        &["backup", "create"][..],
        &["backup", "prune", "--keep", "1"],
        &["rollback", "--yes"],
        &["recover-journal", "--yes"],
    ] {
        tree.run(command).exits(9).explains(&holder);
    }
    tree.run(&["check"]).exits(4);
    tree.run(&["renew", "--all", "--dry-run"]).exits(0);
    drop(lock);
    tree.run(&["renew", "--all", "--yes"]).exits(0);
}

#[test]
fn a_lock_of_another_tool_on_the_certificates_is_respected() {
    let tree = expired();
    let directory = File::open(tree.path("/etc/kubernetes/pki")).unwrap();
    directory.lock().unwrap();
    refused(&tree, &format!("/etc/kubernetes/pki is locked by process {}", std::process::id()));
}

/// A run that stopped with `records` in its journal, in the tree of a renewal of the API server's certificate.
struct Interrupted {
    tree: Tree,
    /// The journal of the whole run, in lines.
    lines: Vec<String>,
    old: Vec<u8>,
    new: Vec<u8>,
    certificate: PathBuf,
}

impl Interrupted {
    fn new() -> Self {
        let tree = expired();
        let certificate = tree.path("/etc/kubernetes/pki/apiserver.crt");
        let old = fs::read(&certificate).unwrap();
        tree.run(&["renew", "--yes", "--reuse-key", "apiserver"]).exits(0);
        let new = fs::read(&certificate).unwrap();
        let (_, (_, journal)) =
            tree.state_files().into_iter().find(|(path, _)| path.starts_with("audit/")).unwrap();
        let lines = String::from_utf8(journal).unwrap().lines().map(|line| format!("{line}\n")).collect();
        Self { tree, lines, old, new, certificate }
    }

    /// Puts the tree back to where `count` lines of the journal had been written, and the renames had not begun.
    fn stop_after(&self, count: usize) {
        fs::write(&self.certificate, &self.old).unwrap();
        let begin = &self.lines[0];
        let name = |end: &str| {
            let start = begin.find(".kubecerts-").unwrap();
            let length = begin[start..].find(".new").unwrap();
            self.certificate.with_file_name(format!("{}.{end}", &begin[start..start + length]))
        };
        fs::write(name("new"), &self.new).unwrap();
        let _ = fs::remove_file(name("old"));
        fs::hard_link(&self.certificate, name("old")).unwrap();
        fs::write(self.tree.path("/var/lib/kubecerts/journal"), self.lines[..count].concat()).unwrap();
    }

    #[track_caller]
    fn is(&self, content: &[u8]) {
        assert_eq!(fs::read(&self.certificate).unwrap(), content);
        let left: Vec<_> =
            self.tree.files().into_keys().filter(|path| path.contains(".kubecerts-")).collect();
        assert_eq!(left, [] as [String; 0]);
        assert!(!self.tree.path("/var/lib/kubecerts/journal").exists());
    }
}

#[test]
fn a_run_that_had_not_prepared_is_rolled_back() {
    let run = Interrupted::new();
    run.stop_after(1);
    let seen = run.tree.run(&["check"]);
    assert!(
        seen.stderr.contains("it is to be rolled back, because it had not replaced any file yet"),
        "{}",
        seen.stderr
    );
    assert!(seen.stderr.contains("hint: kubecerts recover-journal"), "{}", seen.stderr);
    let outcome = run.tree.run(&["recover-journal", "--yes"]).exits(0);
    assert!(outcome.stderr.contains("rolled back; every file of the interrupted run is the old one"));
    run.is(&run.old);
}

#[test]
fn a_run_that_had_prepared_is_finished() {
    for count in [2, 3] {
        let run = Interrupted::new();
        run.stop_after(count);
        let outcome = run.tree.run(&["recover-journal", "--yes"]).exits(0);
        assert!(outcome.stderr.contains("it is to be finished, because"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("replaced /etc/kubernetes/pki/apiserver.crt"), "{}", outcome.stderr);
        run.is(&run.new);
    }
}

#[test]
fn every_command_that_writes_recovers_first_and_asks_before() {
    let run = Interrupted::new();
    run.stop_after(2);
    run.tree.run(&["renew"]).exits(9).explains("terminal");
    run.tree.run(&["recover-journal"]).exits(9).explains("terminal");
    for command in [&["backup", "create"][..], &["backup", "prune", "--keep", "1"]] {
        let outcome = run.tree.run(command).exits(9).explains("interrupted");
        let hint = format!("hint: kubecerts recover-journal --rootfs {}", run.tree.root().display());
        assert!(outcome.stderr.contains(&hint), "{}", outcome.stderr);
    }
    let outcome = run.tree.run(&["certs", "renew", "apiserver"]).exits(0);
    assert!(outcome.stderr.contains("finished; every file of the interrupted run is the new one"));
    assert_ne!(fs::read(&run.certificate).unwrap(), run.new);
    assert!(!run.tree.path("/var/lib/kubecerts/journal").exists());
}

/// Asserts that commands that only look warn of `problem`, and say what can be done about it on this node.
#[track_caller]
fn mentioned(tree: &Tree, problem: &str) {
    let options = format!(" --rootfs {}", tree.root().display());
    for command in [&["check"][..], &["plan"], &["renew", "--dry-run"]] {
        let stderr = tree.run(command).stderr;
        let has = |start: &str, part: &str| {
            stderr.lines().any(|line| line.starts_with(start) && line.contains(part))
        };
        assert!(has("warning:", problem), "{command:?}\n{stderr}");
        assert!(has("hint:", &options), "{command:?}\n{stderr}");
    }
}

#[test]
fn a_file_that_somebody_changed_meanwhile_is_left_alone_until_the_run_is_given_up() {
    let run = Interrupted::new();
    run.stop_after(2);
    fs::write(&run.certificate, "by somebody else").unwrap();
    mentioned(&run.tree, "cannot be recovered: /etc/kubernetes/pki/apiserver.crt is neither");
    for command in [&["renew", "--yes"][..], &["recover-journal", "--yes"]] {
        run.tree.run(command).exits(9).explains("/etc/kubernetes/pki/apiserver.crt");
        assert_eq!(fs::read(&run.certificate).unwrap(), b"by somebody else");
    }
    run.tree.run(&["recover-journal", "--abandon"]).exits(9).explains("terminal");
    run.tree.run(&["recover-journal", "--abandon", "--yes"]).exits(0);
    run.is(b"by somebody else");
}

#[test]
fn a_journal_that_cannot_be_understood_is_named() {
    let run = Interrupted::new();
    run.stop_after(2);
    let journal = run.tree.path("/var/lib/kubecerts/journal");
    fs::write(&journal, &run.lines[1]).unwrap();
    mentioned(&run.tree, "/var/lib/kubecerts/journal cannot be understood");
    run.tree.run(&["recover-journal", "--yes"]).exits(9).explains("/var/lib/kubecerts/journal");
    hints_at(&run.tree, "cat", "/var/lib/kubecerts/journal");
    fs::write(&journal, "a torn first rec").unwrap();
    run.tree.run(&["recover-journal", "--yes"]).exits(0);
    assert!(!journal.exists());
}

#[test]
fn without_an_interrupted_run_there_is_nothing_to_recover() {
    let outcome = expired().run(&["recover-journal"]).exits(0);
    assert!(outcome.stderr.contains("nothing to recover"), "{}", outcome.stderr);
    let outcome = expired().run(&["recover-journal", "--abandon"]).exits(0);
    assert!(outcome.stderr.contains("no run was interrupted"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("abandoned"), "{}", outcome.stderr);
}

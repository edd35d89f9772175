//! Help, completions, manual pages, and the cases in `tests/cmd`, which read like a session.

use kubecerts_testkit::TreeBuilder;

use crate::support::{Tree, kubecerts};

#[test]
fn recorded_sessions_still_read_the_same() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

#[test]
fn every_command_has_help_a_manual_page_and_a_completion() {
    let help = kubecerts(&["--help"]).exits(0).stdout;
    for command in
        ["check", "plan", "renew", "inspect", "certs", "demo", "schema", "completion", "man", "kubelet"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}\n{help}");
        kubecerts(&[command, "--help"]).exits(0);
        assert!(kubecerts(&["man", command]).exits(0).stdout.starts_with(".ie"), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(kubecerts(&["completion", shell]).exits(0).stdout.contains("check-expiration"), "{shell}");
    }
}

#[test]
fn a_line_that_makes_no_sense_ends_with_2() {
    for arguments in
        [&[][..], &["chekc"], &["renew", "--all", "apiserver"], &["check", "-o", "xml"], &["certs"]]
    {
        assert_eq!(kubecerts(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn foreign_text_stays_on_its_line() {
    let tree = Tree::of(&TreeBuilder::kubeadm().build());
    let reason = "by hand\nerror: \u{1b}[31mall is lost \"really\"";
    let made = tree.run(&["backup", "create", "--reason", reason]).exits(0);
    let id = made.stdout.split([' ', ':']).nth(1).unwrap();
    for command in
        [&["backup", "list"][..], &["backup", "show"], &["rollback", "--dry-run"], &["rollback", "--yes", id]]
    {
        let outcome = tree.run(command).exits(0);
        assert!(outcome.stdout.contains(r"by hand\nerror: \u{1b}[31mall is lost"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    }
    let outcome = tree.run(&["rollback", "nothing\nhint: rm -rf /"]).exits(1);
    assert!(outcome.stderr.contains(r"no backup nothing\nhint: rm -rf / in"), "{}", outcome.stderr);
}

#[test]
fn a_node_without_backups_says_so() {
    let tree = Tree::of(&TreeBuilder::kubeadm().build());
    tree.run(&["backup", "show"]).exits(1).explains("there is no backup in /var/lib/kubecerts/backups");
}

#[test]
fn colours_appear_only_when_asked_for() {
    let plain = kubecerts(&["check", "--rootfs", "/does/not/exist"]);
    assert!(!plain.stderr.contains('\u{1b}'));
    let coloured = kubecerts(&["check", "--rootfs", "/does/not/exist", "--color", "always"]);
    assert!(coloured.stderr.contains('\u{1b}'));
}

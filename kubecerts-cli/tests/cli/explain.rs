//! `kubecerts explain`: lines from arguments, files and standard input.

use kubecerts_testkit::TreeBuilder;
use serde_json::Value;

use crate::support::{Tree, kubecerts, kubecerts_with_input};

const LATE: &str = "2027-02-01T00:00:00Z";
const EXPIRED: &str = "Unable to connect to the server: x509: certificate has expired or is not yet valid";

fn tree() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().build())
}

#[test]
fn a_line_leads_to_a_command() {
    let tree = tree();
    let outcome = tree.run(&["explain", "--at", LATE, EXPIRED]).exits(4);
    for expected in [
        "expired: apiserver expired 2027-01-01T00:00:00Z",
        "certificate  apiserver, /etc/kubernetes/pki/apiserver.crt",
        "presented by kube-apiserver, to its clients",
        "do           kubecerts renew apiserver --rootfs ",
    ] {
        assert!(outcome.stdout.contains(expected), "{expected}\n{}", outcome.stdout);
    }
}

#[test]
fn words_without_quotation_marks_are_one_line() {
    let words: Vec<&str> = EXPIRED.split(' ').collect();
    let outcome = tree().run(&[&["explain", "--at", LATE], words.as_slice()].concat()).exits(4);
    assert!(outcome.stdout.contains("said         once by kubectl"), "{}", outcome.stdout);
}

#[test]
fn standard_input_and_files_are_read_as_the_logs_that_they_are() {
    let tree = tree();
    let log = "E0601 00:00:00.500000 1 reflector.go:138] Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized\n";
    let file = tree.path("/var/log/kube-scheduler.log");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, log.repeat(3)).unwrap();
    let outcome = tree.run(&["explain", "--at", LATE, "--file", file.to_str().unwrap()]).exits(4);
    assert!(outcome.stdout.contains("3 times by kube-scheduler"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("kubecerts restart kube-scheduler"), "{}", outcome.stdout);

    let root = tree.root().to_str().unwrap();
    for arguments in [&["explain", "-"][..], &["explain"], &["explain", "--file", "-"]] {
        let arguments = [arguments, &["--at", LATE, "-o", "json", "--rootfs", root]].concat();
        let outcome = kubecerts_with_input(&arguments, log.as_bytes()).exits(4);
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(document["explanations"][0]["symptom"], "unauthorized");
    }
}

#[test]
fn healthy_and_unknown_lines_end_with_0_and_say_so() {
    let outcome = tree().run(&["explain", "--at", LATE, "all is well"]).exits(0);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("nothing about certificates is wrong in 1 line"), "{}", outcome.stderr);
    let outcome =
        tree().run(&["explain", "--at", LATE, "x509: something that a certificate never said"]).exits(0);
    assert!(
        outcome.stderr.contains("1 line about certificates say something that is not known"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn without_a_tree_it_explains_and_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let root = empty.path().to_str().unwrap();
    let outcome = kubecerts(&["explain", EXPIRED, "--rootfs", root]).exits(4);
    assert!(outcome.stdout.starts_with("expired: "), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("there is no tree on this machine"), "{}", outcome.stderr);
}

#[test]
fn what_cannot_be_read_is_told() {
    let tree = tree();
    tree.run(&["explain", "--file", "/does/not/exist"]).exits(1).explains("/does/not/exist");
    tree.run(&["explain", "--file", "/"]).exits(1).explains("cannot read on in the log /");
    let packed = tree.path("/log.gz");
    std::fs::write(&packed, b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    tree.run(&["explain", "--file", packed.to_str().unwrap()]).exits(1).explains("is compressed");
    tree.run(&["explain", "-o", "yaml", "x"]).exits(2);
    // What can be read is explained all the same.
    let log = tree.path("/kube-scheduler.log");
    let [packed, log] = [packed, log].map(|path| path.to_str().unwrap().to_owned());
    std::fs::write(&log, "healthy\n").unwrap();
    let outcome = tree.run(&["explain", "--file", &packed, "--file", &log]).exits(6);
    assert!(
        outcome.stderr.contains("is compressed") && outcome.stderr.contains("zcat"),
        "{}",
        outcome.stderr
    );
    std::fs::write(&log, format!("{EXPIRED}\n")).unwrap();
    let outcome = tree.run(&["explain", "--at", LATE, "--file", &log, "--file", &packed]);
    assert!(outcome.stdout.contains("expired: "), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("is compressed"), "{}", outcome.stderr);
}

#[test]
fn documents_are_valid() {
    let schema = kubecerts(&["schema", "explanation"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let tree = tree();
    let lines = "E0601 00:00:00.500000 1 x.go:1] x509: something new about a certificate\n\
        E0601 00:00:00.500000 1 authentication.go:63] \"Unable to authenticate the request\" err=\"verifying certificate SN=7, SKID=, AKID=9A:A4:90:20:28:E3:8C:F6:35:07:07:0F:17:AA:73:39:B5:8B:38:06 failed: x509: certificate has expired or is not yet valid: current time 2023-05-15T05:20:00Z is after 2023-05-14T05:49:22Z\"\n\
        x509: certificate is valid for a, not b.example.org\n\
        open /etc/kubernetes/pki/ca.crt: permission denied\n\
        none of the public keys \"sha256:00\" are pinned\n";
    let root = tree.root().to_str().unwrap();
    let outcome = kubecerts_with_input(&["explain", "-", "-o", "json", "--rootfs", root], lines.as_bytes());
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let errors: Vec<String> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert_eq!(document["explanations"].as_array().unwrap().len(), 4);
    assert_eq!(document["unknown"]["count"], 1);
}

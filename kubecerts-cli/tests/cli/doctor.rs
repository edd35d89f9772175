//! `kubecerts doctor`: from what is wrong to the cause and the command, on trees that are damaged as real ones were.

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_testkit::{FIXTURES, MemoryTree, TreeBuilder, at, path};
use serde_json::Value;

use crate::support::{Outcome, Tree, kubecerts};

/// The trees of the builder are made 2026-01-01 and valid for a year.
const FRESH: &str = "2026-06-01T00:00:00Z";
const OVER: &str = "2027-01-02T00:00:00Z";
const ETCD_CA: &str = "/etc/kubernetes/pki/etcd/ca.crt";
const ETCD_CA_KEY: &str = "/etc/kubernetes/pki/etcd/ca.key";
const SERVER: &str = "/etc/kubernetes/pki/etcd/server.crt";

fn healthy() -> MemoryTree {
    use kubecerts_core::catalog::KubeconfigSlot;
    TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)).build()
}

fn doctor(tree: &MemoryTree, more: &[&str]) -> Outcome {
    Tree::of(tree).run(&[&["doctor", "--at", FRESH], more].concat())
}

/// An authority of etcd that is over, and a leaf that is.
fn over() -> MemoryTree {
    let mut tree = healthy();
    tree.redraft(ETCD_CA, ETCD_CA_KEY, |ca| ca.not_after = at("2026-05-30T00:00:00Z"));
    tree.redraft(SERVER, ETCD_CA_KEY, |leaf| leaf.not_after = at("2026-05-29T00:00:00Z"));
    tree
}

fn codes(cases: &Value) -> Vec<&str> {
    cases.as_array().unwrap().iter().map(|case| case["code"].as_str().unwrap()).collect()
}

#[test]
fn a_healthy_tree_says_so_and_what_was_looked_at() {
    let outcome = doctor(&healthy(), &[]).exits(0);
    assert!(outcome.stdout.contains("nothing is wrong\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("Looked at 14 certificates and "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("nothing that runs, which can be seen on the node itself only"));
}

#[test]
fn a_cause_comes_first_with_its_proof_consequence_and_command() {
    let tree = Tree::of(&over());
    let outcome = tree.run(&["doctor", "--at", FRESH]).exits(4);
    let first: Vec<&str> = outcome.stdout.split("\n\n").nth(1).unwrap().lines().collect();
    assert!(first[0].starts_with("1. error: etcd-ca: expired 2026-05-30T00:00:00Z"), "{first:?}");
    let has = |start: &str, part: &str| {
        let found = first.iter().any(|line| line.trim_start().starts_with(start) && line.contains(part));
        assert!(found, "{start} {part}: {first:#?}");
    };
    has("proof", "/etc/kubernetes/pki/etcd/ca.crt: sha256 ");
    has("proof", "mode 0644");
    has("proof", "CN = etcd-ca, issued by CN = etcd-ca, serial ");
    has(
        "so",
        "has not been able to verify anything that it signed since 2026-05-30T00:00:00Z: the API server loses etcd",
    );
    has("hence", "etcd-server: expired 2026-05-29T00:00:00Z");
    has("hence", "apiserver-etcd-client: it ends ");
    has("do", &format!("kubecerts ca extend etcd-ca --rootfs {}", tree.root().display()));
    assert!(outcome.stdout.contains(" from 1 cause: 2 errors, "), "{}", outcome.stdout);
}

#[test]
fn nothing_secret_is_told() {
    let tree = over();
    let outcome = doctor(&tree, &["-o", "json"]).exits(4);
    assert!(!outcome.stdout.contains("PRIVATE KEY"));
    let key = String::from_utf8(tree.read_file(ETCD_CA_KEY).to_vec()).unwrap();
    for line in key.lines().filter(|line| !line.starts_with("---")) {
        assert!(!outcome.stdout.contains(line), "{line}");
    }
}

#[test]
fn json_nests_what_a_cause_explains() {
    let outcome = doctor(&over(), &["-o", "json"]).exits(4);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["kind"], "Doctor");
    assert_eq!(document["impact"], "unusable");
    let node = &document["nodes"][0];
    let [case] = node["cases"].as_array().unwrap().as_slice() else { panic!("{node:#}") };
    assert_eq!((&case["code"], &case["place"]), (&"expired".into(), &"etcd-ca".into()));
    assert!(codes(&case["explains"]).contains(&"expired"), "{case:#}");
    assert!(case["remedy"]["text"].as_str().unwrap().contains("kubecerts ca extend etcd-ca"));
    let told = 1 + case["explains"].as_array().unwrap().len();
    assert_eq!(node["found"], told);
    assert_eq!(node["examined"]["running"], false);
}

#[test]
fn every_tree_gives_a_valid_document_with_a_remedy_for_everything() {
    let schema = kubecerts(&["schema", "doctor"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut sick = TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build();
    sick.edit(SERVER, |content| content.truncate(100));
    sick.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    sick.remove("/etc/kubernetes/pki/sa.pub");
    let trees = FIXTURES.iter().map(|name| Tree::fixture(name)).chain([Tree::of(&sick), Tree::of(&over())]);
    for tree in trees {
        for at in [FRESH, OVER, "1970-01-01T00:00:00Z", "2050-01-01T00:00:00Z"] {
            let outcome = tree.run(&["doctor", "-o", "json", "--at", at]);
            let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
            let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }
}

#[test]
fn findings_are_chosen_by_code() {
    let outcome = doctor(&over(), &["--only", "leaf-outlives-ca", "-o", "json"]).exits(0);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let cases = &document["nodes"][0]["cases"];
    assert!(codes(cases).iter().all(|code| *code == "leaf-outlives-ca"), "{cases:#}");
    assert!(!codes(cases).is_empty());
    let outcome = doctor(&over(), &["--only", "damaged,missing"]).exits(0);
    assert!(outcome.stdout.contains("nothing of what was asked for"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(" not shown."), "{}", outcome.stdout);
}

#[test]
fn findings_are_chosen_by_how_grave_they_are() {
    let mut tree = healthy();
    tree.set_mode("/etc/kubernetes/pki/apiserver.key", 0o644);
    tree.remove("/etc/kubernetes/pki/front-proxy-ca.key");
    let shown = |level: &str| {
        let outcome = doctor(&tree, &["--severity", level, "-o", "json"]).exits(0);
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
        codes(&document["nodes"][0]["cases"]).join(" ")
    };
    assert_eq!(shown("notice"), "key-readable external-ca");
    assert_eq!(shown("warning"), "key-readable");
    assert_eq!(shown("error"), "");
}

#[test]
fn exit_codes_are_those_of_check() {
    let mut stranger = healthy();
    let other = TreeBuilder::kubeadm().seed(2).build();
    for file in ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"] {
        stranger.write(&path(file), other.read_file(file), 0o600);
    }
    for (tree, at) in
        [(healthy(), FRESH), (healthy(), "2026-12-15T00:00:00Z"), (healthy(), OVER), (stranger, FRESH)]
    {
        let tree = Tree::of(&tree);
        assert_eq!(tree.run(&["doctor", "--at", at]).code, tree.run(&["check", "--at", at]).code, "{at}");
    }
}

#[test]
fn many_that_are_over_are_renewed_by_one_command() {
    let tree = Tree::of(&healthy());
    let outcome = tree.run(&["doctor", "--at", OVER]).exits(4);
    let command =
        format!("All that is over or due at once: kubecerts renew --rootfs {}\n", tree.root().display());
    assert!(outcome.stdout.contains(&command), "{}", outcome.stdout);
    let order: Vec<usize> = ["etcd-server: ", "apiserver: ", "scheduler.conf: "]
        .map(|name| outcome.stdout.find(&format!("error: {name}expired")).unwrap())
        .into();
    assert!(order.is_sorted(), "{}", outcome.stdout);
}

#[test]
fn what_one_command_mends_is_one_case() {
    let mut tree = healthy();
    let keys = ["/etc/kubernetes/pki/apiserver.key", "/etc/kubernetes/pki/etcd/server.key"];
    for key in keys {
        tree.set_mode(key, 0o644);
    }
    let tree = Tree::of(&tree);
    let outcome = tree.run(&["doctor", "--at", FRESH]).exits(0);
    let [server, api] = [keys[1], keys[0]].map(|key| format!("{}{key}", tree.root().display()));
    assert!(outcome.stdout.contains(&format!("chmod 0600 {server} {api}\n")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("2 findings from 1 cause: "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(": nothing has failed, and "), "{}", outcome.stdout);
    // For programs each is a case of its own.
    let outcome = tree.run(&["doctor", "--at", FRESH, "-o", "json"]).exits(0);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(codes(&document["nodes"][0]["cases"]), ["key-readable", "key-readable"]);
}

#[test]
fn a_node_whose_certificates_are_all_gone_is_a_patient() {
    let kubeadms = kubecerts_testkit::Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let mut tree = MemoryTree::default();
    for (file, content, mode) in kubeadms.files().filter(|(file, ..)| file.as_str().contains("/manifests/")) {
        tree.write(file, content, mode);
    }
    let outcome = doctor(&tree, &[]).exits(4);
    assert!(outcome.stdout.contains("/etc/kubernetes/pki/ca.crt does not exist"), "{}", outcome.stdout);
}

#[test]
fn a_directory_without_a_node_is_refused() {
    doctor(&MemoryTree::default(), &[]).exits(1).explains("there is no certificate in /etc/kubernetes/pki");
    kubecerts(&["doctor", "--rootfs", "/does/not/exist"]).exits(1).explains("/does/not/exist");
}

#[test]
fn every_entry_of_the_documentation_can_be_asked_for() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
    let text = std::fs::read_to_string(file).unwrap();
    let entries: Vec<&str> = text.split("\n## ").skip(1).collect();
    for entry in entries {
        let code = entry.lines().next().unwrap();
        let outcome = kubecerts(&["doctor", "--explain", code]).exits(0);
        assert_eq!(outcome.stdout.trim_end(), entry.trim_end());
    }
}

#[test]
fn a_code_that_does_not_exist_is_refused_with_those_that_are_close() {
    for arguments in [["doctor", "--explain", "expird"], ["doctor", "--only", "expird"]] {
        let outcome = kubecerts(&arguments).exits(2).explains("\"expird\" is not the code of a finding");
        assert!(outcome.stderr.contains("hint: there is: expired"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("--rootfs"), "{}", outcome.stderr);
    }
    let outcome = kubecerts(&["doctor", "--explain", "x\nhint: rm"]).exits(2).explains("is not the code");
    assert!(outcome.stderr.contains("hint: the codes are: admin-rbac, "), "{}", outcome.stderr);
    kubecerts(&["doctor", "--severity", "grave"]).exits(2);
}

#[test]
fn foreign_text_stays_on_its_line() {
    let mut tree = healthy();
    let conf = "/etc/kubernetes/scheduler.conf";
    tree.edit(conf, |content| {
        let text = String::from_utf8(content.clone()).unwrap();
        let at = text.find("current-context: ").unwrap();
        let end = text[at..].find('\n').unwrap() + at;
        let text = format!("{}current-context: \"\\e[31m\\n1. error\"{}", &text[..at], &text[end..]);
        *content = text.into_bytes();
    });
    let outcome = doctor(&tree, &[]).exits(4);
    assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    assert_eq!(
        outcome.stdout.lines().filter(|line| line.starts_with("1. error")).count(),
        1,
        "{}",
        outcome.stdout
    );
}

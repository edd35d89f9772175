//! `kubecerts bulk trees`: many control planes from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kubecerts_core::x509::{Certificate, decode_blocks};
use serde_json::Value;

use crate::support::{Outcome, command, kubecerts, kubecerts_with_input};

const CONFIG: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: cp-1}
localAPIEndpoint: {advertiseAddress: 10.0.0.1}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
controlPlaneEndpoint: api.example.com:6443
encryptionAlgorithm: ECDSA-P256
";

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn list(&self, lines: &[String]) -> String {
        fs::write(self.path("clusters.jsonl"), lines.join("\n")).unwrap();
        self.text("clusters.jsonl")
    }

    fn run(&self, lines: &[String], out: &str, arguments: &[&str]) -> Outcome {
        let list = self.list(lines);
        let out = self.text(out);
        kubecerts(&[&["bulk", "trees", "--clusters", &list, "--out", &out][..], arguments].concat())
    }
}

fn line(name: &str) -> String {
    serde_json::json!({ "name": name, "config": CONFIG }).to_string()
}

fn lines(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| line(name)).collect()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Returns every path below `directory` with its mode.
fn structure(directory: &Path) -> BTreeMap<String, u32> {
    fn walk(top: &Path, directory: &Path, found: &mut BTreeMap<String, u32>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            found.insert(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(), meta.mode());
            if meta.is_dir() {
                walk(top, &path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

#[test]
fn every_cluster_is_what_init_makes_of_the_same_configuration() {
    let world = World::new();
    let run = world.run(&lines(&["tenant-b", "tenant-a"]), "out", &["--summary", "-", "--threads", "2"]);
    let run = run.exits(0);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["clusters"], serde_json::json!({ "made": 2, "kept": 0, "failed": 0 }));
    assert_eq!((&summary["certificates"], &summary["files"]), (&30.into(), &54.into()));
    assert!(run.stderr.contains("private keys that nothing encrypts"), "{}", run.stderr);
    fs::create_dir(world.path("init")).unwrap();
    fs::write(world.path("config.yaml"), CONFIG).unwrap();
    let (root, config) = (world.text("init"), world.text("config.yaml"));
    kubecerts(&["init", "--yes", "--rootfs", &root, "--config", &config]).exits(0);
    let expected = structure(&world.path("init/etc"));
    for name in ["tenant-a", "tenant-b"] {
        let root = world.path("out").join(name);
        assert_eq!(structure(&root.join("etc")), expected, "{name}");
        let root = root.to_str().unwrap();
        kubecerts(&["check", "--rootfs", root]).exits(0);
        let again = kubecerts(&["init", "--dry-run", "--rootfs", root, "--config", &config]).exits(0);
        assert!(!again.stdout.contains("create"), "there is nothing for init to make: {}", again.stdout);
    }
}

#[test]
fn an_archive_goes_to_standard_output() {
    let world = World::new();
    let list = world.list(&lines(&["a", "b"]));
    let tar = command(&["bulk", "trees", "--clusters", &list, "--out", "-"]).output().unwrap();
    assert!(tar.status.success());
    fs::write(world.path("out.tar"), &tar.stdout).unwrap();
    let listed = Command::new("tar").arg("-tvf").arg(world.path("out.tar")).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let key = listed.lines().find(|line| line.ends_with("a/etc/kubernetes/pki/etcd/ca.key")).unwrap();
    assert!(key.starts_with("-rw------- 0/0"), "{key}");
    let refused = kubecerts(&["bulk", "trees", "--clusters", &list, "--out", "-", "--summary", "-"]);
    refused.exits(2).explains("standard output");
}

#[test]
fn secrets_are_documents_with_the_files_of_the_clusters() {
    let world = World::new();
    world.run(&lines(&["123", "b"]), "all.yaml", &["--format", "secrets", "--namespace", "tenants"]).exits(0);
    let text = fs::read_to_string(world.path("all.yaml")).unwrap();
    let documents: Vec<Value> =
        text.split("---\n").skip(1).map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["metadata"]["name"], "123-kubeadm-certs");
    assert_eq!(documents[0]["metadata"]["namespace"], "tenants");
    let data = documents[0]["data"].as_object().unwrap();
    assert_eq!(data.len(), 27);
    let pem = decoded(data["etcd-ca.crt"].as_str().unwrap());
    assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
    fs::write(world.path("ca.crt"), decoded(data["ca.crt"].as_str().unwrap())).unwrap();
    fs::write(world.path("apiserver.crt"), decoded(data["apiserver.crt"].as_str().unwrap())).unwrap();
    let verified = Command::new("openssl")
        .args(["verify", "-CAfile"])
        .args([world.path("ca.crt"), world.path("apiserver.crt")])
        .output();
    assert!(verified.unwrap().status.success());

    world.run(&lines(&["123"]), "each", &["--format", "cluster-api"]).exits(0);
    let text = fs::read_to_string(world.path("each/123.yaml")).unwrap();
    let names: Vec<String> = text
        .split("---\n")
        .skip(1)
        .map(|text| {
            let document: Value = serde_saphyr::from_str(text).unwrap();
            assert_eq!(document["type"], "cluster.x-k8s.io/secret");
            assert_eq!(document["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"], "123");
            document["metadata"]["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["123-ca", "123-etcd", "123-kubeconfig", "123-proxy", "123-sa"]);
}

fn decoded(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(value).collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bytes.collect()
}

#[test]
fn what_cannot_be_made_is_named_with_its_line() {
    let world = World::new();
    let mut list = lines(&["a", "b", "c"]);
    list[1] = r#"{"name": "b", "config": {"kind": "Pod"}}"#.to_owned();
    let run = world.run(&list, "out", &["--on-error", "skip"]).exits(6).explains("line 2 (b)");
    assert!(run.stderr.contains("2 clusters made"), "{}", run.stderr);
    assert!(run.stderr.contains("again with: --resume"), "{}", run.stderr);
    for (out, form) in [("skipped.tar", "files"), ("skipped.yaml", "secrets"), ("secrets", "secrets")] {
        let run = world.run(&list, out, &["--format", form]).exits(6);
        assert!(!run.stderr.contains("--resume"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: mend these lines"), "{}", run.stderr);
    }
    assert_eq!(names(&world.path("out")), ["a", "c"].map(str::to_owned).into());
    let stop = ["--on-error", "stop", "--threads", "1"];
    let run = world.run(&list, "out.tar", &stop).exits(6).explains("line 2 (b)");
    assert!(run.stderr.contains("--on-error skip"), "{}", run.stderr);
    assert!(run.stderr.contains("0 clusters made with 0 certificates"), "{}", run.stderr);
    assert!(!run.stderr.contains("holds private keys"), "{}", run.stderr);
    assert!(!world.path("out.tar").exists());
    world.run(&lines(&["a", "b", "a"]), "other", &[]).exits(2).explains("a is in line 1 and in line 3");
    assert!(!world.path("other").exists());
    world.run(&lines(&["a"]), "out", &[]).exits(6).explains("there is something at");
    let missing = kubecerts(&["bulk", "trees", "--clusters", "/nowhere.jsonl", "--out", &world.text("x")]);
    missing.exits(1).explains("/nowhere.jsonl");
}

#[test]
fn what_does_not_go_together_is_a_usage_error() {
    let world = World::new();
    for (out, arguments, thing) in [
        ("a.yaml", &[][..], "Secrets"),
        ("a.tar", &["--format", "secrets"], "files"),
        ("a.tar", &["--resume"], "cannot be resumed"),
        ("a", &["--resume", "--format", "secrets"], "--resume"),
        ("a", &["--namespace", "x"], "--namespace"),
        ("a", &["--shard", "3/3"], "3"),
        ("a", &["--shard", "/3"], "shard"),
    ] {
        world.run(&lines(&["a"]), out, arguments).exits(2).explains(thing);
        assert!(!world.path(out).exists(), "{arguments:?}");
    }
    world.run(&lines(&["a"]), "a", &["--namespace", "X", "--format", "secrets"]).exits(2);
    for threads in ["0", "1025"] {
        world.run(&lines(&["a"]), "a", &["--threads", threads]).exits(2);
    }
}

#[test]
fn pods_of_an_indexed_job_share_the_work() {
    let world = World::new();
    let list = world.list(&lines(&["a", "b", "c", "d", "e"]));
    for index in ["0", "1"] {
        let out = world.text("out");
        let run = command(&["bulk", "trees", "--clusters", &list, "--out", &out, "--shard", "/2"])
            .env("JOB_COMPLETION_INDEX", index)
            .output();
        Outcome::of(run.unwrap()).exits(0);
    }
    assert_eq!(names(&world.path("out")).len(), 5);
}

#[test]
fn every_end_has_a_summary_as_its_schema_says() {
    let world = World::new();
    let schema = kubecerts(&["schema", "bulk-trees-summary"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let bad = [lines(&["a"]), vec!["{}".to_owned()], lines(&["b"])].concat();
    let told = world.text("summary.json");
    let stop = ["--on-error", "stop"];
    for (out, arguments, exit) in [
        ("fine", &[][..], 0),
        ("bad", &[], 6),
        ("stopped", &stop, 6),
        ("stopped.tar", &stop, 6),
        ("shard", &["--shard", "1/2"], 0),
        // There is no room for an archive.
        ("full", &[], 1),
    ] {
        let list = if ["fine", "shard", "full"].contains(&out) { lines(&["a", "b"]) } else { bad.clone() };
        if out == "full" {
            fs::write(world.path(out), "no directory").unwrap();
        }
        let _ = fs::remove_file(&told);
        let run = world.run(&list, out, &[&["--summary", &told][..], arguments].concat()).exits(exit);
        let summary: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
        let errors: Vec<String> = schema.iter_errors(&summary).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{out}: {errors:?}\n{summary}\n{}", run.stderr);
        assert_eq!(summary["problem"].is_string(), exit == 1, "{out}: {summary}");
    }
}

#[test]
fn a_summary_replaces_nothing_but_a_summary() {
    let world = World::new();
    let told = world.text("summary.json");
    fs::write(&told, "mine").unwrap();
    let list = lines(&["a"]);
    for more in [&[][..], &["--resume"]] {
        world
            .run(&list, "out", &[&["--summary", &told][..], more].concat())
            .exits(9)
            .explains("summary.json");
        assert!(!world.path("out").exists(), "nothing was made");
        assert_eq!(fs::read_to_string(&told).unwrap(), "mine");
    }
    world.run(&list, "out", &["--summary", &world.text("nowhere/summary.json")]).exits(1);
    world.run(&list, "out", &["--summary", &world.text("out")]).exits(2);
    assert!(!world.path("out").exists(), "nothing was made");
    fs::remove_file(&told).unwrap();
    for kept in [0, 1] {
        world.run(&list, "out", &["--summary", &told, "--resume"]).exits(0);
        let summary: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
        assert_eq!(summary["clusters"]["kept"], kept);
    }
}

#[test]
fn a_policy_comes_before_what_configurations_say() {
    let world = World::new();
    let policy = world.text("policy.toml");
    fs::write(&policy, "version = 1\n[validity]\ndefault = \"7d\"\nca = \"30d\"\napiserver = \"2d\"\n")
        .unwrap();
    let stated = format!("{CONFIG}certificateValidityPeriod: 100h\ncaCertificateValidityPeriod: 480h\n");
    let line = serde_json::json!({ "name": "a", "config": stated }).to_string();
    world.run(std::slice::from_ref(&line), "out", &["--policy", &policy]).exits(0);
    let days = |name: &str| {
        let pem = fs::read(world.path("out/a/etc/kubernetes/pki").join(name)).unwrap();
        let der = decode_blocks(&pem).remove(0).unwrap().secret_bytes().to_vec();
        let certificate = Certificate::parse_der(&der).unwrap();
        // kubeadm dates the beginning five minutes back.
        (certificate.not_after().unix() - certificate.not_before().unix()) / 86_400
    };
    assert_eq!(days("ca.crt"), 30);
    assert_eq!((days("apiserver.crt"), days("front-proxy-client.crt")), (2, 7));
    assert_eq!(days("etcd/ca.crt"), 20, "the policy leaves it to the configuration");
    // A run that is resumed under another policy keeps what is there.
    world.run(&[line], "out", &["--resume"]).exits(0);
    fs::write(&policy, "version = 2\n").unwrap();
    world.run(&lines(&["b"]), "other", &["--policy", &policy]).exits(1).explains("policy.toml");
    assert!(!world.path("other").exists());
}

#[test]
fn a_list_may_come_from_standard_input() {
    let world = World::new();
    let out = world.text("out");
    let input = lines(&["a", "b", "a"]).join("\n");
    let arguments = ["bulk", "trees", "--clusters", "-", "--out", &out, "--on-error", "skip"];
    kubecerts_with_input(&arguments, input.as_bytes()).exits(6).explains("line 3 (a)");
    assert_eq!(names(&world.path("out")).len(), 2);
}

#[test]
fn a_run_that_was_killed_is_resumed_and_no_tree_is_half() {
    let world = World::new();
    let clusters: Vec<String> = (0..60).map(|number| format!("t-{number}")).collect();
    let list = world.list(&clusters.iter().map(|name| line(name)).collect::<Vec<_>>());
    let out = world.text("out");
    let arguments = ["bulk", "trees", "--clusters", &list, "--out", &out, "--resume"];
    let visible = || names(&world.path("out")).into_iter().filter(|name| !name.starts_with('.')).count();
    let mut kills = 0;
    for wanted in [3, 15, 30] {
        let mut child = command(&arguments).spawn().unwrap();
        while visible() < wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        kills += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(kills >= 1, "no run was interrupted");
    let before = visible();
    let ca = |name: &str| fs::read(world.path("out").join(name).join("etc/kubernetes/pki/ca.crt")).ok();
    let first = ca("t-0").unwrap();
    let run = kubecerts(&arguments).exits(0);
    assert!(run.stderr.contains(&format!("{before} kept")), "{kills} kills: {}", run.stderr);
    assert_eq!(ca("t-0").unwrap(), first, "what is right is not done again");
    assert_eq!(names(&world.path("out")), clusters.iter().cloned().collect(), "nothing hidden is left");
    for name in &clusters {
        assert_eq!(structure(&world.path("out").join(name)).len(), 31, "{name}");
    }
    let again = kubecerts(&arguments).exits(0);
    assert!(again.stderr.contains("0 clusters made") && again.stderr.contains("60 kept"), "{}", again.stderr);
    // One that has lost a file afterwards is neither kept nor mended.
    let key = world.path("out/t-7/etc/kubernetes/pki/sa.key");
    fs::remove_file(&key).unwrap();
    kubecerts(&arguments).exits(6).explains("sa.key is not there");
    assert!(!key.exists());
}

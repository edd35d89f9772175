//! Requests by the thousand, in streams and directories, also when the run is killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use kubecerts_core::x509::{
    Certificate, DistinguishedName, SignatureVerdict, decode_blocks, encode_certificate, encode_request,
};
use kubecerts_testkit::RequestMaker;
use serde_json::Value;

use crate::support::{Outcome, Tree, kubecerts, kubecerts_with_input};

const FIXTURE: &str = "kubeadm-v136-ecdsa-p256";
const SIGN: [&str; 6] = ["bulk", "sign", "--ca", "ca", "--profile", "kubernetes.io/kube-apiserver-client"];

/// So many requests are signed where runs are killed: some seconds' work.
const MANY: usize = 5_000;

/// Runs `kubecerts bulk sign` for `tree` with `input`, if any, as its standard input.
fn sign(tree: &Tree, arguments: &[&str], input: Option<&str>) -> Outcome {
    let root = tree.root().to_str().unwrap();
    let all = [&SIGN[..], arguments, &["--rootfs", root]].concat();
    match input {
        Some(input) => kubecerts_with_input(&all, input.as_bytes()),
        None => kubecerts(&all),
    }
}

fn requests(maker: &RequestMaker, count: usize) -> String {
    (1..=count).map(|number| maker.pem(number)).collect()
}

fn certificates(pem: &str) -> Vec<Certificate> {
    let blocks = decode_blocks(pem.as_bytes()).into_iter();
    blocks.map(|block| Certificate::parse_der(block.unwrap().secret_bytes()).unwrap()).collect()
}

/// Asserts that `pem` holds the certificates of the requests `numbers` in their order, each verified.
#[track_caller]
fn assert_right(tree: &Tree, maker: &RequestMaker, numbers: impl Iterator<Item = usize>, pem: &str) {
    let ca = authority(tree);
    let made = certificates(pem);
    let numbers: Vec<usize> = numbers.collect();
    assert_eq!(made.len(), numbers.len());
    let mut serials = BTreeSet::new();
    for (certificate, number) in made.iter().zip(numbers) {
        assert_eq!(certificate.subject().common_name(), Some(&*format!("user-{number}")));
        assert_eq!(*certificate.public_key(), maker.key(number).public_key());
        assert!(serials.insert(certificate.serial().to_string()), "no serial number is used twice");
        // To verify each of thousands would take longer than the rest of the test, and the command does it.
        if number % 97 == 1 {
            assert_eq!(certificate.verify_signature(ca.public_key()), SignatureVerdict::Valid);
        }
    }
}

fn authority(tree: &Tree) -> Certificate {
    certificates(&fs::read_to_string(tree.path("/etc/kubernetes/pki/ca.crt")).unwrap()).remove(0)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tree and a directory with files `user-N.csr`.
fn with_directory(maker: &RequestMaker, count: usize) -> (Tree, PathBuf, PathBuf) {
    let tree = Tree::fixture(FIXTURE);
    let (requests, out) = (tree.path("/requests"), tree.path("/certificates"));
    fs::create_dir(&requests).unwrap();
    for number in 1..=count {
        fs::write(requests.join(format!("user-{number:04}.csr")), maker.pem(number)).unwrap();
    }
    (tree, requests, out)
}

fn files(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_stream_of_requests_becomes_a_stream_of_certificates_in_their_order() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(5));
    let input = requests(&maker, 700);
    for threads in ["1", "2", "5"] {
        let outcome = sign(&tree, &["--csr-dir", "-", "--threads", threads], Some(&input)).exits(0);
        assert_right(&tree, &maker, 1..=700, &outcome.stdout);
        assert!(outcome.stderr.contains("700 signed in "), "{}", outcome.stderr);
    }
}

#[test]
fn json_lines_keep_names_and_positions() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let line = |number: usize, name: Option<&str>| {
        let mut line = serde_json::json!({ "csr": maker.pem(number) });
        if let Some(name) = name {
            line["name"] = name.into();
        }
        format!("{line}\n")
    };
    let input = [line(1, Some("näme\n\"1\"")), "\n".to_owned(), line(2, None)].concat();
    let outcome = sign(&tree, &["--csr-dir", "-"], Some(&input)).exits(0);
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["position"], &lines[0]["name"]), (&1.into(), &"näme\n\"1\"".into()));
    assert_eq!((&lines[1]["position"], &lines[1]["name"]), (&2.into(), &Value::Null));
    let pem: String = lines.iter().map(|line| line["certificate"].as_str().unwrap()).collect();
    assert_right(&tree, &maker, 1..=2, &pem);
    let outcome = sign(&tree, &["--csr-dir", "-", "--format", "pem"], Some(&input)).exits(0);
    assert_right(&tree, &maker, 1..=2, &outcome.stdout);
}

#[test]
fn bad_requests_are_told_by_position_and_the_others_signed() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(3));
    let (input, bad) = with_bad_ones(&maker, 600);
    let summary = tree.path("/summary.json");
    let outcome = sign(&tree, &["--csr-dir", "-", "--summary", text(&summary)], Some(&input))
        .exits(6)
        .explains("request 3:");
    assert_right(&tree, &maker, (1..=600).filter(|number| !bad.contains(number)), &outcome.stdout);
    for number in &bad {
        assert!(outcome.stderr.contains(&format!("error: request {number}: ")), "{}", outcome.stderr);
    }
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["requests"], 600);
    assert_eq!(summary["certificates"], 600 - bad.len());
    assert_eq!(summary["refused"]["count"], bad.len());
    assert_eq!(summary["end"], "complete");

    let stopped = sign(&tree, &["--csr-dir", "-", "--on-error", "stop"], Some(&input)).exits(6);
    assert_right(&tree, &maker, 1..=2, &stopped.stdout);
    assert!(stopped.stderr.contains("hint: what was asked for before it is done"), "{}", stopped.stderr);
}

/// Returns requests among which some are bad, each in a way of its own, and the numbers of these.
fn with_bad_ones(maker: &RequestMaker, count: usize) -> (String, Vec<usize>) {
    let bad = vec![3, 4, 255, 256, 257, 258, count];
    let mut input = String::new();
    for number in 1..=count {
        let good = maker.pem(number);
        let place = bad.iter().position(|bad| *bad == number);
        input += &match place {
            None => good,
            Some(0) => good.replacen("\nMI", "\n?I", 1),
            Some(1) => {
                let mut der = maker.der(number);
                let last = der.len() - 1;
                der[last] ^= 1;
                encode_request(&der)
            }
            Some(2) => {
                let masters = DistinguishedName::kubeadm("user-255", &["system:masters"]);
                encode_request(&maker.der_for(number, &masters))
            }
            Some(3) => good.replace("-----END CERTIFICATE REQUEST-----\n", ""),
            Some(4) => good.replace("CERTIFICATE REQUEST", "PRIVATE KEY"),
            Some(5) => encode_request(&[0x30, 0x03, 0x02, 0x01, 0x00]),
            Some(_) => good[..good.len() / 2].to_owned(),
        };
    }
    (input, bad)
}

#[test]
fn after_a_hundred_refusals_they_are_only_counted() {
    let tree = Tree::fixture(FIXTURE);
    let input = "{\"csr\":\"\"}\n".repeat(250);
    let summary = tree.path("/summary.json");
    sign(&tree, &["--csr-dir", "-", "--summary", text(&summary)], Some(&input)).exits(6);
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["refused"]["positions"], serde_json::json!([[1, 250]]));
    let outcome = sign(&tree, &["--csr-dir", "-"], Some(&input)).exits(6);
    assert!(outcome.stderr.contains("--summary FILE"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("error: request ").count(), 100, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("error: 150 more requests were refused"), "{}", outcome.stderr);
}

#[test]
fn shards_are_disjoint_and_together_the_whole() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(3));
    let input = requests(&maker, 100);
    for shard in 0..3 {
        let option = format!("{shard}/3");
        let outcome = sign(&tree, &["--csr-dir", "-", "--shard", &option], Some(&input)).exits(0);
        assert_right(&tree, &maker, (1..=100).filter(|number| (number - 1) % 3 == shard), &outcome.stdout);
    }
    let (tree, requests, out) = with_directory(&maker, 50);
    for shard in ["0/4", "1/4", "2/4", "3/4"] {
        let arguments = ["--csr-dir", text(&requests), "--out", text(&out), "--shard", shard];
        sign(&tree, &arguments, None).exits(0);
    }
    let made = files(&out);
    assert!(made.iter().zip(1..).all(|((name, _), number)| *name == format!("user-{number:04}.crt")));
    let pem: String = made.into_iter().map(|(_, pem)| pem).collect();
    assert_right(&tree, &maker, 1..=50, &pem);
}

#[test]
fn an_indexed_job_says_which_shard_it_is() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(3));
    let (requests, root) = (tree.path("/requests.pem"), tree.root().to_str().unwrap().to_owned());
    fs::write(&requests, (1..=10).map(|number| maker.pem(number)).collect::<String>()).unwrap();
    let run = |index: Option<&str>| {
        let arguments = [&SIGN[..], &["--csr-dir", "-", "--shard", "/4", "--rootfs", &root]].concat();
        let mut command = crate::support::command(&arguments);
        command.stdin(File::open(&requests).unwrap());
        if let Some(index) = index {
            command.env("JOB_COMPLETION_INDEX", index);
        }
        Outcome::of(command.output().unwrap())
    };
    assert_right(&tree, &maker, [2, 6, 10].into_iter(), &run(Some("1")).exits(0).stdout);
    run(None).exits(2).explains("nothing says which shard this is");
    run(Some("one")).exits(2).explains("the index \"one\" of the shard is no number");
    run(Some("4")).exits(2).explains("there is no shard 4 of 4");
    run(Some("")).exits(2).explains("shard");
}

#[test]
fn a_directory_gets_a_file_for_each_and_none_is_overwritten() {
    let maker = RequestMaker::with_keys(3);
    let (tree, requests, out) = with_directory(&maker, 300);
    fs::write(requests.join("notes.txt"), "not a request").unwrap();
    let arguments = ["--csr-dir", text(&requests), "--out", text(&out)];
    sign(&tree, &arguments, None).exits(0);
    let made = files(&out);
    assert_right(&tree, &maker, 1..=300, &made.iter().map(|(_, pem)| &**pem).collect::<String>());
    sign(&tree, &arguments, None).exits(9).explains("user-0001.crt exists already");
    assert_eq!(files(&out), made);

    fs::remove_file(out.join("user-0007.crt")).unwrap();
    let outcome = sign(&tree, &[&arguments[..], &["--resume"]].concat(), None).exits(0);
    assert!(outcome.stderr.contains("1 signed, 299 already there"), "{}", outcome.stderr);
    let mut again = files(&out);
    assert_eq!(again.len(), 300);
    again[6] = made[6].clone();
    assert_eq!(again, made);
}

#[test]
fn what_is_there_and_not_right_is_refused_and_stays() {
    let maker = RequestMaker::with_keys(3);
    let (tree, requests, out) = with_directory(&maker, 12);
    let arguments = ["--csr-dir", text(&requests), "--out", text(&out), "--resume"];
    sign(&tree, &arguments, None).exits(0);
    let path = |number: usize| out.join(format!("user-{number:04}.crt"));
    let read = |number| fs::read(path(number)).unwrap();
    fs::write(path(1), "").unwrap();
    fs::write(path(2), read(3)).unwrap();
    let half = read(4);
    fs::write(path(4), &half[..half.len() / 2]).unwrap();
    fs::write(path(5), encode_certificate(authority(&tree).as_der())).unwrap();
    fs::write(path(6), [read(6), read(6)].concat()).unwrap();
    let mut forged = certificates(&String::from_utf8(read(7)).unwrap()).remove(0).as_der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(path(7), encode_certificate(&forged)).unwrap();
    fs::remove_file(path(8)).unwrap();
    fs::create_dir(path(8)).unwrap();
    fs::remove_file(path(9)).unwrap();
    std::os::unix::fs::symlink("nowhere", path(9)).unwrap();
    let before: Vec<Vec<u8>> = [1, 2, 4, 5, 6, 7].map(read).into();
    let outcome = sign(&tree, &arguments, None);
    for number in [1, 2, 4, 5, 6, 7, 8, 9] {
        assert!(
            outcome.stderr.contains(&format!("error: request {number} (user-{number:04}): ")),
            "{}",
            outcome.stderr
        );
    }
    outcome.exits(6);
    assert_eq!(Vec::from([1, 2, 4, 5, 6, 7].map(read)), before);
    assert!(files_without_directories(&out).iter().all(|name| !name.contains(".tmp")));
}

fn files_without_directories(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_as_one_run() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(5));
    let input = tree.path("/requests.pem");
    fs::write(&input, requests(&maker, MANY)).unwrap();
    let root = tree.root().to_str().unwrap();
    for form in ["pem", "jsonl"] {
        let out = tree.path(&format!("/out.{form}"));
        let arguments =
            [&SIGN[..], &["--csr-dir", "-", "--format", form, "--rootfs", root, "--out", text(&out)]]
                .concat();
        let start = |more: &[&str]| {
            let mut command = crate::support::command(&[&arguments[..], more].concat());
            command.stdin(File::open(&input).unwrap()).stdout(Stdio::null());
            command
        };
        let mut lengths = Vec::new();
        let mut kills = 0;
        for round in 0..4_u64 {
            let more: &[&str] = if round == 0 { &[] } else { &["--resume"] };
            let mut child = start(more).spawn().unwrap();
            // It is killed after it has written more, at a moment that nobody chose.
            let before = lengths.last().copied().unwrap_or(0);
            while fs::metadata(&out).map_or(0, |meta| meta.len()) <= before + 200_000 * round {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(3));
            }
            child.kill().unwrap();
            kills += u32::from(child.wait().unwrap().code().is_none());
            // A kill between two pieces leaves whole certificates only; one within a piece is what a torn end stands for.
            let file = File::options().write(true).open(&out).unwrap();
            let length = file.metadata().unwrap().len();
            assert!(length >= before, "what was there stays");
            file.set_len(length.saturating_sub(round * 211)).unwrap();
            lengths.push(length.saturating_sub(round * 211));
        }
        assert!(kills >= 1, "a run was killed before its end");
        let outcome = Outcome::of(start(&["--resume"]).output().unwrap()).exits(0);
        assert!(outcome.stderr.contains("already there"), "{}", outcome.stderr);
        let written = fs::read_to_string(&out).unwrap();
        let pem = match form {
            "pem" => written,
            _ => written
                .lines()
                .zip(1..)
                .map(|(line, position)| {
                    let line: Value = serde_json::from_str(line).unwrap();
                    assert_eq!(line["position"], position);
                    line["certificate"].as_str().unwrap().to_owned()
                })
                .collect(),
        };
        assert_right(&tree, &maker, 1..=MANY, &pem);
    }
}

#[test]
fn a_run_into_a_directory_that_is_killed_and_resumed_leaves_certificates_only() {
    let maker = RequestMaker::with_keys(5);
    let (tree, requests, out) = with_directory(&maker, 3_000);
    let root = tree.root().to_str().unwrap();
    let arguments =
        [&SIGN[..], &["--csr-dir", text(&requests), "--out", text(&out), "--rootfs", root]].concat();
    let count = || fs::read_dir(&out).map_or(0, Iterator::count);
    let mut kills = 0;
    for round in 0..3 {
        let more: &[&str] = if round == 0 { &[] } else { &["--resume"] };
        let mut command = crate::support::command(&[&arguments[..], more].concat());
        let before = count();
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while count() <= before + 10 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        kills += u32::from(child.wait().unwrap().code().is_none());
    }
    assert!(kills >= 1, "a run was killed before its end");
    // As one that was killed while it wrote leaves it.
    fs::write(out.join(".kubecerts-0-1-7.tmp"), "half").unwrap();
    Outcome::of(crate::support::command(&[&arguments[..], &["--resume"]].concat()).output().unwrap())
        .exits(0);
    let made = files(&out);
    assert!(made.iter().all(|(name, _)| name.ends_with(".crt")), "{:?}", made.first());
    assert_right(&tree, &maker, 1..=3_000, &made.iter().map(|(_, pem)| &**pem).collect::<String>());
}

#[test]
fn a_part_of_a_directory_belongs_to_one_run() {
    let maker = RequestMaker::with_keys(1);
    let (tree, requests, out) = with_directory(&maker, 3);
    fs::create_dir(&out).unwrap();
    let lock = File::create(out.join(".kubecerts-0-1.lock")).unwrap();
    lock.lock().unwrap();
    let arguments = ["--csr-dir", text(&requests), "--out", text(&out)];
    for more in [&[][..], &["--resume"]] {
        let all = [&arguments[..], more].concat();
        sign(&tree, &all, None).exits(9).explains("another run does this part of");
    }
    sign(&tree, &[&arguments[..], &["--shard", "0/2"]].concat(), None).exits(0);
    drop(lock);
    sign(&tree, &[&arguments[..], &["--resume"]].concat(), None).exits(0);
    let names = files_without_directories(&out).into_iter().collect::<BTreeSet<_>>();
    assert!(names.iter().eq(["user-0001.crt", "user-0002.crt", "user-0003.crt"]), "{names:?}");
}

#[test]
fn a_directory_that_became_one_stream_is_taken_up() {
    let maker = RequestMaker::with_keys(3);
    let (tree, requests, _) = with_directory(&maker, 300);
    for form in ["pem", "jsonl"] {
        let out = tree.path(&format!("/out.{form}"));
        let arguments = ["--csr-dir", text(&requests), "--out", text(&out), "--format", form];
        sign(&tree, &arguments, None).exits(0);
        let whole = fs::read(&out).unwrap();
        fs::write(&out, &whole[..whole.len() / 2]).unwrap();
        let outcome = sign(&tree, &[&arguments[..], &["--resume"]].concat(), None).exits(0);
        assert!(outcome.stderr.contains("already there"), "{}", outcome.stderr);
        let written = fs::read_to_string(&out).unwrap();
        let pem: String = match form {
            "pem" => written,
            _ => written
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .map(|line| line["certificate"].as_str().unwrap().to_owned())
                .collect(),
        };
        assert_right(&tree, &maker, 1..=300, &pem);
    }
}

#[test]
fn a_refused_request_beside_its_correction_is_taken_up() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let mut forged = maker.der(2);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let input = [maker.pem(1), encode_request(&forged), maker.pem(2), maker.pem(2), maker.pem(3)].concat();
    let out = tree.path("/out.pem");
    let arguments = ["--csr-dir", "-", "--out", text(&out)];
    sign(&tree, &arguments, Some(&input)).exits(6);
    let whole = fs::read_to_string(&out).unwrap();
    let outcome = sign(&tree, &[&arguments[..], &["--resume"]].concat(), Some(&input)).exits(6);
    assert!(outcome.stderr.contains("0 signed, 4 already there, 1 refused"), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(&out).unwrap(), whole);
}

#[test]
fn refused_requests_in_a_row_before_their_corrections_are_taken_up() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let forged = |number| {
        let mut der = maker.der(number);
        let last = der.len() - 1;
        der[last] ^= 1;
        encode_request(&der)
    };
    let good = |number| maker.pem(number);
    // A row of refused ones and their corrections in the same order, one with something else between, and one without correction.
    let input = [
        good(1),
        forged(2),
        forged(3),
        forged(2),
        good(2),
        good(3),
        forged(4),
        "-----END X-----\n".to_owned(),
        good(4),
        good(4),
        forged(5),
        good(6),
        forged(7),
    ]
    .concat();
    for form in ["pem", "jsonl"] {
        let out = tree.path(&format!("/out.{form}"));
        let arguments = ["--csr-dir", "-", "--out", text(&out), "--format", form];
        sign(&tree, &arguments, Some(&input)).exits(6);
        let whole = fs::read_to_string(&out).unwrap();
        let end = if form == "pem" { "-----END CERTIFICATE-----\n" } else { "}\n" };
        let blocks: Vec<&str> = whole.split_inclusive(end).collect();
        assert_eq!(blocks.len(), 6);
        for kept in (0..=6).rev() {
            fs::write(&out, blocks[..kept].concat()).unwrap();
            let outcome = sign(&tree, &[&arguments[..], &["--resume"]].concat(), Some(&input)).exits(6);
            let before = if kept == 0 { String::new() } else { format!("{kept} already there, ") };
            let figures = format!("{} signed, {before}7 refused", 6 - kept);
            assert!(outcome.stderr.contains(&figures), "{}", outcome.stderr);
            let written = fs::read_to_string(&out).unwrap();
            assert!(written.starts_with(&blocks[..kept].concat()));
            if form == "pem" {
                assert_eq!(subjects(&written), subjects(&whole));
            }
        }
    }
}

fn subjects(pem: &str) -> Vec<DistinguishedName> {
    certificates(pem).iter().map(|certificate| certificate.subject().clone()).collect()
}

#[test]
fn a_torn_end_does_not_outlive_a_run_that_ends_with_a_refusal() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let (input, _) = with_bad_ones(&maker, 10);
    let out = tree.path("/out.pem");
    let arguments = ["--csr-dir", "-", "--out", text(&out), "--on-error", "stop"];
    sign(&tree, &arguments, Some(&input)).exits(6);
    let whole = fs::read_to_string(&out).unwrap();
    fs::write(&out, format!("{whole}-----BEGIN CERTIFICATE-----\nMIIB")).unwrap();
    sign(&tree, &[&arguments[..], &["--resume"]].concat(), Some(&input)).exits(6);
    assert_eq!(fs::read_to_string(&out).unwrap(), whole);
}

#[test]
fn the_summary_takes_the_place_of_nothing_but_a_summary() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let input = requests(&maker, 3);
    let (out, notes) = (tree.path("/out.pem"), tree.path("/notes.txt"));
    let same = ["--csr-dir", "-", "--out", text(&out), "--summary", text(&out)];
    sign(&tree, &same, Some(&input)).exits(2).explains("cannot be its summary too");
    assert!(!out.exists());
    fs::write(&notes, "mine").unwrap();
    let link = tree.path("/link.json");
    std::os::unix::fs::symlink(&notes, &link).unwrap();
    for place in [text(&notes), text(&link), "/dev/null"] {
        let arguments = ["--csr-dir", "-", "--out", text(&out), "--resume", "--summary", place];
        sign(&tree, &arguments, Some(&input)).exits(9).explains("is there and no BulkSummary");
    }
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    let nowhere = tree.path("/nowhere/summary.json");
    let arguments = ["--csr-dir", "-", "--out", text(&out), "--summary", text(&nowhere)];
    sign(&tree, &arguments, Some(&input)).exits(1).explains("cannot write");
    assert!(!out.exists());

    let summary = tree.path("/summary.json");
    let arguments = ["--csr-dir", "-", "--out", text(&out), "--summary", text(&summary)];
    sign(&tree, &arguments, Some(&input)).exits(0);
    let read = || serde_json::from_slice::<Value>(&fs::read(&summary).unwrap()).unwrap();
    assert_eq!((&read()["certificates"], &read()["alreadyThere"]), (&3.into(), &0.into()));
    sign(&tree, &[&arguments[..], &["--resume"]].concat(), Some(&input)).exits(0);
    assert_eq!((&read()["certificates"], &read()["alreadyThere"]), (&0.into(), &3.into()));
}

#[test]
fn no_request_leaves_no_file_and_what_is_in_a_stream_no_secret_and_no_gap() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let out = tree.path("/out.pem");
    sign(&tree, &["--csr-dir", "-", "--out", text(&out)], Some("")).exits(1).explains("there is no request");
    assert!(!out.exists());

    let bare = [maker.pem(1).trim_end(), maker.pem(2).trim_end()].concat();
    let outcome = sign(&tree, &["--csr-dir", "-"], Some(&bare)).exits(0);
    assert_right(&tree, &maker, 1..=2, &outcome.stdout);

    let key = "-----BEGIN PRIVATE KEY-----MIGHAgEAMBMG-----END PRIVATE KEY-----\n";
    let lines = "{\"csr\":\"\",\"MIGHAgEAMBMG\":\"MIGHAgEAMBMG\"}\n{\"csr\":{\"MIGHAgEAMBMG\":1}}\n";
    for input in [key, lines] {
        let summary = tree.path(&format!("/{}.json", input.len()));
        let outcome = sign(&tree, &["--csr-dir", "-", "--summary", text(&summary)], Some(input)).exits(6);
        let told = outcome.stderr + &fs::read_to_string(&summary).unwrap();
        assert!(told.contains("request 1") && !told.contains("MIGH"), "{told}");
    }
}

#[test]
fn every_cut_of_the_output_is_taken_up() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let (input, bad) = with_bad_ones(&maker, 259);
    for form in ["pem", "jsonl"] {
        let out = tree.path(&format!("/out.{form}"));
        let arguments = ["--csr-dir", "-", "--out", text(&out), "--format", form];
        sign(&tree, &arguments, Some(&input)).exits(6);
        let whole = fs::read(&out).unwrap();
        let resumed = [&arguments[..], &["--resume"]].concat();
        for cut in [0, 1, 5, 27, 28, 29, 400, whole.len() / 2, whole.len() - 30, whole.len() - 1, whole.len()]
        {
            for zeros in [0, 3] {
                let mut torn = whole[..cut].to_vec();
                torn.resize(cut + zeros, 0);
                fs::write(&out, torn).unwrap();
                sign(&tree, &resumed, Some(&input)).exits(6);
                let written = fs::read_to_string(&out).unwrap();
                if form == "pem" {
                    assert_right(&tree, &maker, (1..=259).filter(|number| !bad.contains(number)), &written);
                } else {
                    assert_eq!(written.lines().count(), 259 - bad.len());
                }
            }
        }
    }
}

#[test]
fn a_file_that_does_not_belong_to_the_requests_is_refused_untouched() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let out = tree.path("/out.pem");
    let arguments = ["--csr-dir", "-", "--out", text(&out)];
    let resumed = [&arguments[..], &["--resume"]].concat();
    let input = requests(&maker, 300);
    sign(&tree, &arguments, Some(&input)).exits(0);
    let whole = fs::read_to_string(&out).unwrap();
    sign(&tree, &arguments, Some(&input)).exits(9).explains("out.pem exists already");

    let blocks: Vec<&str> = whole.split_inclusive("-----END CERTIFICATE-----\n").collect();
    let reordered = [blocks[1], blocks[0]].concat();
    let gap = [blocks[0], blocks[2]].concat();
    let foreign = encode_certificate(authority(&tree).as_der());
    let noise = format!("{}# my notes\n{}", blocks[0], blocks[1]);
    let key = "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n".to_owned();
    let mut forged = certificates(blocks[0]).remove(0).as_der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let twice = [blocks[0], blocks[0]].concat();
    let holed = format!("{}\0\0\0{}", blocks[0], blocks[1]);
    let contents = [
        reordered,
        gap,
        foreign,
        noise,
        key,
        encode_certificate(&forged),
        twice,
        holed,
        "\n".to_owned(),
        "hello".to_owned(),
        format!("{whole}-----BEGIN CERTIFICATE-----\nhello world\n"),
        whole.replace('\n', "\r\n"),
        "{\"position\":1,\"certificate\":\"\"}\n".to_owned(),
    ];
    for content in contents {
        fs::write(&out, &content).unwrap();
        let outcome = sign(&tree, &resumed, Some(&input));
        assert_eq!(fs::read_to_string(&out).unwrap(), content, "{}", outcome.stderr);
        outcome.exits(9).explains("what is there already is no output of these requests");
    }
    fs::write(&out, &whole).unwrap();
    // Fewer requests than certificates, and requests of others.
    for other in [requests(&maker, 299), requests(&RequestMaker::with_keys(3), 300)] {
        sign(&tree, &resumed, Some(&other)).exits(9).explains("what is there already");
        assert_eq!(fs::read_to_string(&out).unwrap(), whole);
    }
    sign(&tree, &resumed, Some(&requests(&maker, 301))).exits(0);
    assert!(fs::read_to_string(&out).unwrap().starts_with(&whole));
}

#[test]
fn places_that_exclude_each_other_are_refused_before_anything_is_read() {
    let maker = RequestMaker::with_keys(1);
    let (tree, requests, out) = with_directory(&maker, 1);
    let (directory, out) = (text(&requests), text(&out));
    let summary = tree.path("/summary.json");
    fs::write(&summary, "mine").unwrap();
    for (arguments, code, word) in [
        (&["--csr-dir", "-", "--summary", "-"][..], 2, "standard output"),
        (&["--csr-dir", directory, "--out", "-", "--resume"], 2, "standard output"),
        (&["--csr-dir", "-", "--out", directory], 2, "is a directory"),
        (&["--csr-dir", directory, "--summary", text(&summary)], 9, "summary.json exists already"),
        (&["--csr-dir", "/does/not/exist", "--out", out], 1, "/does/not/exist"),
        (&["--csr-dir", directory, "--shard", "2/2"], 2, "there is no shard 2 of 2"),
        (&["--csr-dir", directory, "--shard", "x"], 2, "\"x\" is no shard"),
        (&["--csr-dir", directory, "--validity", "0h", "--out", out], 9, "cannot be valid"),
        (&["--csr-dir", "-"], 1, "there is no request"),
    ] {
        sign(&tree, arguments, Some("")).exits(code).explains(word);
    }
    assert_eq!(fs::read_to_string(summary).unwrap(), "mine");
    for count in ["0", "1025"] {
        let outcome = sign(&tree, &["--csr-dir", directory, "--threads", count], None).exits(2);
        assert!(outcome.stderr.contains("a number from 1 to 1024"), "{}", outcome.stderr);
    }
    let outcome =
        tree.run(&["bulk", "sign", "--csr-dir", directory, "--ca", "etcd-ca", "--profile", "apiserver"]);
    outcome.exits(9).explains("apiserver is signed by ca");
    assert_eq!(files_without_directories(&requests), ["user-0001.csr"]);
}

#[test]
fn an_authority_that_is_mounted_as_a_secret_signs() {
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(1));
    // As a kubelet mounts a secret: links to links.
    let mount = tempfile::tempdir().unwrap();
    fs::create_dir(mount.path().join("..2026")).unwrap();
    std::os::unix::fs::symlink("..2026", mount.path().join("..data")).unwrap();
    for name in ["ca.crt", "ca.key"] {
        fs::copy(tree.path("/etc/kubernetes/pki").join(name), mount.path().join("..2026").join(name))
            .unwrap();
        std::os::unix::fs::symlink(format!("..data/{name}"), mount.path().join(name)).unwrap();
    }
    let arguments = [&SIGN[..], &["--csr-dir", "-", "--cert-dir", text(mount.path())]].concat();
    let outcome = kubecerts_with_input(&arguments, maker.pem(1).as_bytes()).exits(0);
    assert_right(&tree, &maker, 1..=1, &outcome.stdout);
}

#[test]
fn every_end_has_a_summary_as_its_schema_says() {
    let schema = kubecerts(&["schema", "bulk-summary"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let (tree, maker) = (Tree::fixture(FIXTURE), RequestMaker::with_keys(2));
    let (input, _) = with_bad_ones(&maker, 300);
    for (number, more) in [&[][..], &["--on-error", "stop"], &["--shard", "1/3"]].into_iter().enumerate() {
        let out = tree.path(&format!("/out-{number}.pem"));
        let arguments = [&["--csr-dir", "-", "--summary", "-", "--out", text(&out)], more].concat();
        let outcome = sign(&tree, &arguments, Some(&input)).exits(6);
        let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let errors: Vec<String> = schema.iter_errors(&summary).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{summary}");
    }
    // Certificates of others are there, and the run fails.
    let out = tree.path("/foreign.pem");
    fs::write(&out, encode_certificate(authority(&tree).as_der())).unwrap();
    let arguments = ["--csr-dir", "-", "--summary", "-", "--resume", "--out", text(&out)];
    let outcome = sign(&tree, &arguments, Some(&input)).exits(9);
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let errors: Vec<String> = schema.iter_errors(&summary).map(|error| error.to_string()).collect();
    assert!(errors.is_empty() && summary["end"] == "failed", "{errors:?}\n{summary}");
}

#[test]
fn the_manifest_in_deploy_asks_for_what_the_command_takes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bulk-sign.yaml");
    let manifest: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let spec = &manifest["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    let shard = arguments.iter().find_map(|argument| argument.strip_prefix("--shard=/")).unwrap();
    assert_eq!(spec["completionMode"], "Indexed");
    assert_eq!(spec["completions"].to_string(), shard);
    assert_eq!(spec["parallelism"], spec["completions"]);
    let mounts = container["volumeMounts"].as_array().unwrap();
    for option in ["--cert-dir=", "--csr-dir=", "--out="] {
        let place = arguments.iter().find_map(|argument| argument.strip_prefix(option)).unwrap();
        assert!(mounts.iter().any(|mount| mount["mountPath"] == place), "{place} is mounted");
    }

    // The same line, with the volumes in a directory of this machine, does the work of every pod.
    let maker = RequestMaker::with_keys(3);
    let (tree, requests, out) = with_directory(&maker, 20);
    let place = |argument: &str, index: usize| {
        argument
            .replace("/authority", text(&tree.path("/etc/kubernetes/pki")))
            .replace("/requests", text(&requests))
            .replace("/certificates", text(&out))
            .replace("$(JOB_COMPLETION_INDEX)", &index.to_string())
    };
    for index in 0..shard.parse().unwrap() {
        let line: Vec<String> = arguments.iter().map(|argument| place(argument, index)).collect();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut command = crate::support::command(&line);
        command.env("JOB_COMPLETION_INDEX", index.to_string());
        Outcome::of(command.output().unwrap()).exits(0);
    }
    let pem: String =
        files(&out).into_iter().filter(|(name, _)| name.ends_with(".crt")).map(|(_, pem)| pem).collect();
    assert_right(&tree, &maker, 1..=20, &pem);
}

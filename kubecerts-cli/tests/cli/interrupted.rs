//! Large jobs that somebody ends with a signal, and that go on later.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use kubecerts_core::x509::{Certificate, SignatureVerdict, decode_blocks};
use kubecerts_testkit::RequestMaker;
use serde_json::Value;

use crate::support::{Outcome, Tree, command};

const SIGN: [&str; 6] = ["bulk", "sign", "--ca", "ca", "--profile", "kubernetes.io/kube-apiserver-client"];

fn tree() -> Tree {
    Tree::fixture("kubeadm-v136-ecdsa-p256")
}

fn requests(maker: &RequestMaker, count: usize) -> String {
    (1..=count).map(|number| maker.pem(number)).collect()
}

/// Returns `command` as one that ignores no signal, even where these tests run behind `nohup` or in the background of a shell.
fn heeding(command: &Command) -> Command {
    let mut heeding = Command::new("env");
    heeding
        .arg("--default-signal=HUP,INT,TERM")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    heeding
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

/// Waits until `is_so`, or the command has ended by itself.
fn wait_until(child: &mut Child, is_so: impl Fn() -> bool) {
    while !is_so() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Asserts that `pem` is whole certificates of the requests from the first on, and returns how many.
#[track_caller]
fn count_of_right(tree: &Tree, maker: &RequestMaker, pem: &str) -> usize {
    assert!(pem.is_empty() || pem.ends_with("-----END CERTIFICATE-----\n"));
    let parse = |pem: &str| -> Vec<Certificate> {
        let blocks = decode_blocks(pem.as_bytes()).into_iter();
        blocks.map(|block| Certificate::parse_der(block.unwrap().secret_bytes()).unwrap()).collect()
    };
    let ca = parse(&fs::read_to_string(tree.path("/etc/kubernetes/pki/ca.crt")).unwrap()).remove(0);
    let made = parse(pem);
    for (certificate, number) in made.iter().zip(1..) {
        assert_eq!(certificate.subject().common_name(), Some(&*format!("user-{number}")));
        assert_eq!(*certificate.public_key(), maker.key(number).public_key());
        if number % 97 == 1 {
            assert_eq!(certificate.verify_signature(ca.public_key()), SignatureVerdict::Valid);
        }
    }
    made.len()
}

fn summary(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_that_is_told_to_end_goes_on_and_ends_as_one_run() {
    let (tree, maker) = (tree(), RequestMaker::with_keys(5));
    let (input, out, told) = (tree.path("/requests.pem"), tree.path("/out.pem"), tree.path("/run.json"));
    const MANY: usize = 5_000;
    fs::write(&input, requests(&maker, MANY)).unwrap();
    let start = |more: &[&str]| {
        let paths = ["--out", out.to_str().unwrap(), "--summary", told.to_str().unwrap()];
        let mut command = heeding(&tree.command(&[&SIGN[..], &["--csr-dir", "-"], &paths, more].concat()));
        command.stdin(File::open(&input).unwrap());
        command
    };
    let mut done = 0;
    for (name, more) in [("TERM", &[][..]), ("INT", &["--resume"]), ("HUP", &["--resume"])] {
        let before = length(&out);
        let mut child = start(more).spawn().unwrap();
        wait_until(&mut child, || length(&out) > before);
        signal(&child, name);
        let outcome = Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("interrupted after");
        assert!(outcome.stderr.contains("the same command and --resume"), "{}", outcome.stderr);
        let written = count_of_right(&tree, &maker, &fs::read_to_string(&out).unwrap());
        assert!(written > done && written < MANY, "{written} after {done}");
        let summary = summary(&told);
        assert_eq!((&summary["end"], &summary["requests"]), (&"cancelled".into(), &written.into()));
        assert_eq!(
            (&summary["certificates"], &summary["alreadyThere"]),
            (&(written - done).into(), &done.into())
        );
        assert_eq!(summary["problem"], Value::Null);
        done = written;
    }
    let outcome = Outcome::of(start(&["--resume"]).output().unwrap()).exits(0);
    let figures = format!("{} signed, {done} already there", MANY - done);
    assert!(outcome.stderr.contains(&figures), "{}", outcome.stderr);
    assert_eq!(count_of_right(&tree, &maker, &fs::read_to_string(&out).unwrap()), MANY);
}

#[test]
fn who_waits_for_requests_can_be_told_to_end() {
    let (tree, maker) = (tree(), RequestMaker::with_keys(2));
    let out = tree.path("/out.pem");
    let arguments = [&SIGN[..], &["--csr-dir", "-", "--out", out.to_str().unwrap()]].concat();
    let mut child = tree.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Two pieces, some requests of a third, and the beginning of another one.
    let text = requests(&maker, 600);
    stdin.write_all(&text.as_bytes()[..text.len() - 100]).unwrap();
    wait_until(&mut child, || {
        fs::read_to_string(&out).is_ok_and(|pem| pem.matches("END CERT").count() == 512)
    });
    signal(&child, "TERM");
    let outcome = Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("after 512 requests");
    assert!(outcome.stderr.contains("512 signed in"), "{}", outcome.stderr);
    assert_eq!(count_of_right(&tree, &maker, &fs::read_to_string(&out).unwrap()), 512);
    drop(stdin);

    let mut child = heeding(&tree.command(&[&SIGN[..], &["--csr-dir", "-"]].concat()));
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    // To wait for the command would close its input.
    let stdin = child.stdin.take().unwrap();
    // It may not wait for the signal yet. Until it does, the signal ends it as any other program.
    wait_for_handler(&child);
    signal(&child, "INT");
    let outcome = Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("after 0 requests");
    drop(stdin);
    assert!(outcome.stderr.contains("--out FILE"), "{}", outcome.stderr);
}

/// Waits until the process catches `SIGTERM`, which is the last signal that it asks for: proc(5), `SigCgt`.
fn wait_for_handler(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    loop {
        let text = fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(mask.trim(), 16).unwrap() >> 14 & 1 == 1 {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_second_signal_ends_a_run_that_cannot_end() {
    let (tree, maker) = (tree(), RequestMaker::with_keys(2));
    let input = tree.path("/requests.pem");
    fs::write(&input, requests(&maker, 600)).unwrap();
    let mut child = tree.command(&[&SIGN[..], &["--csr-dir", "-"]].concat());
    let mut child = child.stdin(File::open(&input).unwrap()).spawn().unwrap();
    // Somebody reads the first byte of a piece, and no more: it does not fit into a pipe, and the run waits for ever.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    while child.try_wait().unwrap().is_none() {
        signal(&child, "TERM");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn what_the_caller_has_ignored_stays_ignored() {
    let (tree, maker) = (tree(), RequestMaker::with_keys(2));
    let out = tree.path("/out.pem");
    let arguments = ["--csr-dir", "-", "--out", out.to_str().unwrap()];
    let binary = tree.command(&[&SIGN[..], &arguments].concat());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(binary.get_program()).args(binary.get_args());
    let mut child = shell.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    wait_for_handler(&child);
    signal(&child, "INT");
    stdin.write_all(requests(&maker, 3).as_bytes()).unwrap();
    drop(stdin);
    Outcome::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(count_of_right(&tree, &maker, &fs::read_to_string(&out).unwrap()), 3);
}

#[test]
fn a_directory_gets_whole_files_only() {
    let (tree, maker) = (tree(), RequestMaker::with_keys(3));
    let (directory, out) = (tree.path("/requests"), tree.path("/certificates"));
    fs::create_dir(&directory).unwrap();
    for number in 1..=3_000 {
        fs::write(directory.join(format!("user-{number:04}.csr")), maker.pem(number)).unwrap();
    }
    let arguments = ["--csr-dir", directory.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let arguments = [&SIGN[..], &arguments].concat();
    let names = || -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&out)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let mut child = tree.command(&arguments).spawn().unwrap();
    wait_until(&mut child, || names().iter().any(|name| name.ends_with(".crt")));
    signal(&child, "TERM");
    Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("interrupted after");
    let made = names();
    assert!(made.len() < 3_000 && made.iter().all(|name| name.ends_with(".crt")), "{made:?}");
    let all = |names: &[String]| -> String {
        names.iter().map(|name| fs::read_to_string(out.join(name)).unwrap()).collect()
    };
    assert_eq!(count_of_right(&tree, &maker, &all(&made)), made.len());
    tree.run(&[&arguments[..], &["--resume"]].concat()).exits(0);
    assert_eq!(count_of_right(&tree, &maker, &all(&names())), 3_000);
}

const CONFIG: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: cp-1}
localAPIEndpoint: {advertiseAddress: 10.0.0.1}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
encryptionAlgorithm: ECDSA-P256
";

fn clusters(count: usize) -> String {
    let line = |number| serde_json::json!({ "name": format!("t-{number}"), "config": CONFIG }).to_string();
    (0..count).map(|number| line(number) + "\n").collect()
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn trees_are_whole_and_the_rest_is_made_later() {
    let scratch = tempfile::tempdir().unwrap();
    let [list, out, told] = ["list", "out", "run.json"].map(|name| scratch.path().join(name));
    let [list_text, out_text, told_text] = [&list, &out, &told].map(|path| path.to_str().unwrap());
    let base = ["bulk", "trees", "--out", out_text, "--summary", told_text];
    // Two pieces, one cluster of a third, and the beginning of another one: nobody ends the list.
    let mut child =
        command(&[&base[..], &["--clusters", "-"]].concat()).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = clusters(10);
    stdin.write_all(&text.as_bytes()[..text.len() - 50]).unwrap();
    let visible = || entries(&out).into_iter().filter(|name| !name.starts_with('.')).count();
    wait_until(&mut child, || visible() == 8);
    signal(&child, "TERM");
    let outcome = Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("after 8 clusters");
    assert!(outcome.stderr.contains("the same command and --resume"), "{}", outcome.stderr);
    assert_eq!(entries(&out).len(), 8, "nothing hidden is left");
    let figures = summary(&told);
    assert_eq!(figures["clusters"], serde_json::json!({ "made": 8, "kept": 0, "failed": 0 }));
    assert_eq!((&figures["cancelled"], &figures["problem"]), (&true.into(), &Value::Null));

    fs::write(&list, clusters(60)).unwrap();
    let arguments = [&base[..], &["--clusters", list_text, "--resume"]].concat();
    let mut child = heeding(&command(&arguments)).spawn().unwrap();
    wait_until(&mut child, || visible() > 12);
    signal(&child, "INT");
    Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("interrupted after");
    let made = entries(&out).len();
    assert_eq!((visible(), made < 60), (made, true), "nothing hidden is left");
    let outcome = Outcome::of(command(&arguments).output().unwrap()).exits(0);
    assert!(outcome.stderr.contains(&format!("{made} kept")), "{}", outcome.stderr);
    assert_eq!(entries(&out).len(), 60);
    assert_eq!(summary(&told)["cancelled"], false);
}

#[test]
fn nothing_is_left_of_an_archive() {
    let scratch = tempfile::tempdir().unwrap();
    let [list, out] = ["list", "out.tar"].map(|name| scratch.path().join(name));
    fs::write(&list, clusters(400)).unwrap();
    let arguments = ["--clusters", list.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut child = command(&[&["bulk", "trees"][..], &arguments].concat()).spawn().unwrap();
    wait_until(&mut child, || entries(scratch.path()).len() > 1);
    signal(&child, "TERM");
    let outcome = Outcome::of(child.wait_with_output().unwrap()).exits(8).explains("after 0 clusters");
    assert!(outcome.stderr.contains("nothing is left of the file"), "{}", outcome.stderr);
    assert_eq!(entries(scratch.path()), ["list"]);
}

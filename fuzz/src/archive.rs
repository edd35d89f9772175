//! The laws of snapshots: of reading those of others, and of taking secrets out.

use std::sync::LazyLock;

use kubecerts_core::archive::{Archive, Provenance, Recorder, Redaction};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::TreeReader;
use kubecerts_host::archive::{parse, write};
use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at, path};

/// A snapshot that can be read is read twice alike, can be scanned, and is written as one that reads alike; why another one cannot be read
/// can be shown. And whatever file the bytes are, no private key that is whole in it is in what a redaction leaves.
pub fn archive(data: &[u8]) {
    match (parse(data), parse(data)) {
        (Ok(archive), Ok(again)) => {
            assert_eq!(archive.index(), again.index());
            let inventory = Inventory::parse(&archive.snapshot());
            let mut written = Vec::new();
            write(&archive, &mut written).expect("memory takes everything");
            let read = parse(written.as_slice()).expect("what was written can be read");
            assert_eq!(read.index(), archive.index());
            assert_eq!(Inventory::parse(&read.snapshot()), inventory);
        }
        (Err(problem), Err(again)) => {
            let text = problem.to_string();
            assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
            assert_eq!(problem, again);
        }
        (one, other) => panic!("{:?} and {:?}", one.is_ok(), other.is_ok()),
    }
    for name in NAMES {
        let clean = redacted(name, data);
        for key in KEYS.iter() {
            // What is left of a damaged key need not be known for one.
            let rest = without(data, &key.pem);
            if rest.len() == data.len() {
                continue;
            }
            for line in &key.body {
                assert!(count(&clean, line) <= count(&rest, line), "{name} keeps a line of a key");
            }
        }
    }
}

/// Returns what a redaction leaves of a file.
fn redacted(name: &str, content: &[u8]) -> Vec<u8> {
    let file = path(name);
    let mut tree = MemoryTree::default();
    tree.write(&file, content, 0o600);
    let mut recorder = Recorder::new(&mut tree, Redaction::Redact);
    recorder.read(&file);
    let archive = finished(recorder);
    let (_, bytes, _) = archive.files().next().expect("the file was read");
    bytes.secret_bytes().to_vec()
}

fn finished(recorder: Recorder<'_>) -> Archive {
    let provenance = Provenance::new("cp-1", at("2026-06-01T00:00:00Z"), "1.2.3");
    recorder.finish(provenance, Observations::none())
}

/// A private key of the seeds, and the lines of its digits in which nothing is public.
struct Key {
    pem: Vec<u8>,
    body: Vec<Vec<u8>>,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let trees = [TreeBuilder::kubeadm().build(), Fixture::named("kubeadm-v136-rsa2048").tree()];
    let pems = trees.map(|tree| tree.read_file("/etc/kubernetes/pki/ca.key").to_vec());
    let key = |pem: Vec<u8>| {
        let lines = pem.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"-----"));
        let lines: Vec<Vec<u8>> = lines.filter(|line| line.len() == 64).map(<[u8]>::to_vec).collect();
        // What is public comes first in a key of RSA (RFC 8017 §A.1.2), and last in one of an elliptic curve (RFC 5915 §3).
        let secret = if lines.len() > 10 { 6..lines.len() } else { 0..1 };
        Key { body: lines[secret].to_vec(), pem }
    };
    pems.into_iter().map(key).collect()
});

/// Returns snapshots with and without secrets, and files with secrets of every kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tree = TreeBuilder::kubeadm().build();
    let mut seeds = Vec::new();
    let files =
        ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key", "/etc/kubernetes/scheduler.conf"];
    for redaction in [Redaction::Redact, Redaction::KeepSecrets] {
        let mut reader = tree.clone();
        let mut recorder = Recorder::new(&mut reader, redaction);
        files.iter().for_each(|file| drop(recorder.read(&path(file))));
        recorder.list(&path("/etc/kubernetes"));
        recorder.read(&path("/etc/kubernetes/absent"));
        let mut bytes = Vec::new();
        write(&finished(recorder), &mut bytes).expect("memory takes everything");
        seeds.push(bytes);
    }
    // A field that nobody knows, of the same length as one that everybody does.
    let known = b"\"takenAt\"";
    let mut foreign = seeds[0].clone();
    let at = foreign.windows(known.len()).position(|window| window == known).expect("an index has it");
    foreign[at..at + known.len()].copy_from_slice(br#""a\u001b""#);
    seeds.push(foreign);
    seeds.extend(files.iter().map(|file| tree.read_file(file).to_vec()));
    for key in KEYS.iter() {
        let pem = String::from_utf8_lossy(&key.pem);
        let indented = pem.trim_end().replace('\n', "\n    ");
        seeds.push(key.pem.clone());
        seeds.push(
            format!("kind: Secret\nstringData:\n  tls.key: |\n    {indented}\n  next: 1\n").into_bytes(),
        );
        seeds.push(format!("{{\"key\":\"{}\"}}", pem.replace('\n', "\\n")).into_bytes());
        let wide = std::iter::once(0xfeff).chain(pem.encode_utf16());
        seeds.push(wide.flat_map(u16::to_le_bytes).collect());
    }
    seeds.extend(TEXTS.map(|text| text.as_bytes().to_vec()));
    seeds
}

/// Returns `data` without what is exactly `pem`.
fn without(data: &[u8], pem: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(data.len());
    let mut at = 0;
    while at < data.len() {
        if data[at..].starts_with(pem) {
            at += pem.len();
        } else {
            rest.push(data[at]);
            at += 1;
        }
    }
    rest
}

fn count(data: &[u8], line: &[u8]) -> usize {
    data.windows(line.len()).filter(|window| *window == line).count()
}

/// What a redaction decides by the name of a file.
const NAMES: [&str; 6] = [
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/root/.kube/config",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/ca.key",
    "/var/log/pods/x.log",
    "/etc/systemd/system/kubecerts.service",
];

/// Files with values that are secret by their names.
const TEXTS: [&str; 4] = [
    "users:\n- name: me\n  user:\n    token: hunter2\n    exec:\n      command: aws\n      args: [--x, hunter2]\n      env:\n      - name: A\n        value: b\n",
    "tokens:\n- hunter2\n- name: a\n  value: b\n- |\n  hunter2\npasswords: [a, 'b', {c: d}, [e]]\n",
    "[Service]\nEnvironment=\"VAULT_TOKEN=hunter2\" DB_PASSWORD=x\nExecStart=/bin/x --password hunter2 https://me:hunter2@host/\n",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"hunter2\"}],\"password\":[\"a\",{\"token\":[1]}]}",
];

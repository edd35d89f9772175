//! Snapshots of nodes, and what is wrong between them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kubecerts_testkit::TreeBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Outcome, Tree, kubecerts};

/// Takes a snapshot of `tree` into `directory`.
fn take(tree: &Tree, directory: &Path, name: &str) -> String {
    let file = directory.join(format!("{name}.tar")).to_str().unwrap().to_owned();
    tree.run(&["snapshot", "-o", &file, "--node-name", name]).exits(0);
    file
}

fn compare(files: &[&str]) -> Outcome {
    kubecerts(&[&["compare", "--at", "2026-06-01T00:00:00Z"], files].concat())
}

#[test]
fn a_snapshot_is_closed_to_others_and_the_same_for_the_same_node() {
    let scratch = TempDir::new().unwrap();
    let tree = Tree::fixture("kubeadm-v136-rsa2048");
    let before = tree.files();
    let file = take(&tree, scratch.path(), "cp-1");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(tree.files(), before);
    let bytes = fs::read(&file).unwrap();
    for (name, (_, content)) in tree.files().into_iter().filter(|(name, _)| name.ends_with(".key")) {
        let text = String::from_utf8(content).unwrap();
        // The last but one line of a key has nothing of its public half.
        let line = text.lines().rev().nth(2).unwrap().as_bytes();
        assert!(!bytes.windows(line.len()).any(|window| window == line), "{name}");
    }
    tree.run(&["snapshot", "-o", &file]).exits(1).explains("cp-1.tar");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_name_under_which_nobody_could_read_it_again_is_refused() {
    let scratch = TempDir::new().unwrap();
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    let file = scratch.path().join("x.tar");
    let refused = tree.run(&["snapshot", "-o", file.to_str().unwrap(), "--node-name", "a b"]).exits(1);
    let refused = refused.explains("\"a b\" cannot be the name of a node");
    assert!(refused.stderr.contains("--node-name NAME"), "{}", refused.stderr);
    assert!(!file.exists());
}

#[test]
fn the_index_is_what_its_schema_says() {
    let scratch = TempDir::new().unwrap();
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    let file = take(&tree, scratch.path(), "cp-1");
    let mut archive = tar::Archive::new(File::open(&file).unwrap());
    let first = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(first.path_bytes().as_ref(), b"index.json");
    let index: Value = serde_json::from_reader(first).unwrap();
    let schema = kubecerts(&["schema", "node-snapshot"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let errors: Vec<String> = schema.iter_errors(&index).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(index["redacted"], true);
}

#[test]
fn nodes_of_one_cluster_are_alike_and_others_are_not() {
    let scratch = TempDir::new().unwrap();
    let tree = Tree::of(&TreeBuilder::kubeadm().build());
    let other = Tree::of(&TreeBuilder::kubeadm().seed(7).build());
    let (first, second) = (take(&tree, scratch.path(), "cp-1"), take(&tree, scratch.path(), "cp-2"));
    let stranger = take(&other, scratch.path(), "cp-3");
    // It is one tree twice, so what belongs to a node is shared.
    let shared = compare(&[&first, &second]).exits(5);
    assert!(shared.stdout.contains("[leaf-shared]"), "{}", shared.stdout);
    let apart = compare(&[&first, &stranger, "-o", "json"]).exits(5);
    let document: Value = serde_json::from_str(&apart.stdout).unwrap();
    let schema = kubecerts(&["schema", "comparison"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    assert!(schema.is_valid(&document), "{document:#}");
    assert_eq!(document["findings"].as_array().unwrap().len(), 1);
    assert_eq!(document["findings"][0]["code"], "ca-mismatch");
    compare(&[&first]).exits(2).explains("one node");
    compare(&[&first, &first]).exits(2).explains("cp-1");
}

#[test]
fn what_is_no_snapshot_is_refused_with_its_reason() {
    let scratch = TempDir::new().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let tree = Tree::of(&TreeBuilder::kubeadm().build());
    let good = take(&tree, scratch.path(), "cp-1");
    let bytes = fs::read(&good).unwrap();
    let write = |name: &str, content: &[u8]| {
        fs::write(at(name), content).unwrap();
        at(name)
    };
    let refused = |file: &str, reason: &str| compare(&[&good, file]).exits(1).explains(reason);
    refused(&at("absent.tar"), "No such file");
    refused(&write("empty.tar", b""), "not a snapshot");
    refused(&write("text.tar", &[b'x'; 5000]), "not a snapshot");
    refused(&write("gz.tar", &[&[0x1f, 0x8b][..], &[0; 600]].concat()), "gzip");
    refused(&write("cut.tar", &bytes[..bytes.len() / 2 + 700]), "cut.tar");
    refused(scratch.path().to_str().unwrap(), "not a snapshot");
    let sparse = File::create(at("sparse.tar")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    refused(&at("sparse.tar"), "larger than");
    let entry = |kind: tar::EntryType, name: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        let bytes = name.as_bytes();
        header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
        let mut whole = builder.into_inner().unwrap();
        // The end of an archive is two empty blocks.
        whole.truncate(whole.len() - 1024);
        whole
    };
    for (name, kind, path, reason) in [
        ("link", tar::EntryType::Symlink, "files/etc/x", "is a link"),
        ("hard", tar::EntryType::Link, "files/etc/x", "is a link"),
        ("device", tar::EntryType::Block, "files/etc/x", "is not a file"),
        ("pipe", tar::EntryType::Fifo, "files/etc/x", "is not a file"),
        ("up", tar::EntryType::Regular, "files/../../etc/x", "no path of a node"),
        ("absolute", tar::EntryType::Regular, "/etc/x", "no path of a node"),
        ("unasked", tar::EntryType::Regular, "files/etc/x", "/etc/x"),
        ("twice", tar::EntryType::Regular, "index.json", "twice"),
    ] {
        let mut file = File::create(at(name)).unwrap();
        file.write_all(&[entry(kind, path), bytes.clone()].concat()).unwrap();
        refused(&at(name), reason);
    }
}

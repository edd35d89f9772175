//! What is read from a snapshot is what was read from the node.

use kubecerts_core::archive::Redaction;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_core::snapshot::TreeReader;
use kubecerts_core::x509::{Damage, PrivateKey};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at, path};

use crate::{again, archive};

#[test]
fn every_fixture_says_the_same_from_its_snapshot() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            for redaction in [Redaction::Redact, Redaction::KeepSecrets] {
                let (archive, inventory) = archive(&tree, redaction);
                assert!(Inventory::parse(&archive.snapshot()) == inventory, "{name} {redaction:?}");
                assert!(Inventory::parse(&again(&archive).snapshot()) == inventory, "{name} {redaction:?}");
            }
        }
    }
}

#[test]
fn damaged_keys_are_as_damaged_in_a_snapshot() {
    let key = "/etc/kubernetes/pki/apiserver.key";
    let damage: [fn(&mut Vec<u8>); 8] = [
        |content| content.truncate(content.len() / 2),
        |content| content.truncate(40),
        Vec::clear,
        |content| content.insert(80, b'*'),
        |content| content[90] ^= 1,
        |content| content[12] = b'?',
        |content| content.drain(..30).for_each(drop),
        |content| content.splice(.., b"garbage\n".iter().copied()).for_each(drop),
    ];
    for (index, damage) in damage.into_iter().enumerate() {
        let mut tree = TreeBuilder::kubeadm().build();
        tree.edit(key, damage);
        let (archive, inventory) = archive(&tree, Redaction::Redact);
        assert_eq!(Inventory::parse(&again(&archive).snapshot()), inventory, "{index}");
    }
}

#[test]
fn a_damaged_key_in_a_kubeconfig_is_as_damaged_in_a_snapshot() {
    let admin = "/etc/kubernetes/admin.conf";
    for at in [0, 10, 100, 150, 200, 250] {
        for byte in [b'*', b'A', b' '] {
            let mut tree = TreeBuilder::kubeadm().build();
            tree.edit(admin, |content| {
                let text = String::from_utf8(content.clone()).unwrap();
                let begin = text.find("client-key-data: ").unwrap() + 17;
                content[begin + at] = byte;
            });
            let (archive, inventory) = archive(&tree, Redaction::Redact);
            assert_eq!(Inventory::parse(&again(&archive).snapshot()), inventory, "{at} {byte}");
        }
    }
}

#[test]
fn nothing_is_signed_with_what_a_redaction_has_left() {
    let tree = TreeBuilder::kubeadm().build();
    let (archive, inventory) = archive(&tree, Redaction::Redact);
    let request = PlanRequest::with_selection(Selection::All);
    let plan = plan(&inventory, &request, at("2026-06-01T00:00:00Z"), &mut Seeded::new(1)).unwrap();
    let refused = issue(&plan, &archive.snapshot(), &mut Seeded::provider(1)).unwrap_err();
    let words = std::iter::successors(Some(&refused as &dyn std::error::Error), |error| error.source());
    let words: Vec<String> = words.map(ToString::to_string).collect();
    assert!(words.join(": ").contains("left out of a redacted snapshot"), "{words:?}");
}

#[test]
fn a_redacted_key_on_a_disk_is_no_key() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (archive, _) = archive(&tree, Redaction::Redact);
    for (path, content, _) in archive.files() {
        tree.write(path, content.secret_bytes(), 0o600);
    }
    let key = tree.read_file("/etc/kubernetes/pki/ca.key");
    assert_eq!(PrivateKey::parse(key).map(drop), Err(Damage::Redacted));
    let inventory = tree.inventory();
    for (place, credential) in inventory.credentials().filter(|(_, found)| !found.certificate().is_absent()) {
        assert_eq!(credential.key().present(), None, "{place}");
    }
}

#[test]
fn what_the_scan_did_not_read_is_not_in_the_snapshot() {
    let mut tree = MemoryTree::default();
    tree.write(&path("/etc/shadow"), "root:x", 0o600);
    let mut reader = tree.clone();
    assert!(reader.read(&path("/etc/shadow")).content().is_some());
    let mut recorder = kubecerts_core::archive::Recorder::new(&mut reader, Redaction::Redact);
    kubecerts_core::snapshot::collect(&mut recorder, Default::default());
    let provenance = kubecerts_core::archive::Provenance::new("n", at("2026-06-01T00:00:00Z"), "1");
    let archive = recorder.finish(provenance, Default::default());
    assert_eq!(archive.files().count(), 0);
}

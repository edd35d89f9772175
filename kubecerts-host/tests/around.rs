//! Looking around a tree on a real disk, where others have left what they like.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kubecerts_core::diagnosis::{FindingCode, Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Edit, Kubeconfig, Source, edit, user_key};
use kubecerts_core::observation::Observations;
use kubecerts_host::{Node, NodeOptions};
use kubecerts_testkit::{Fixture, at, path};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const NOW: &str = "2026-12-01T00:00:00Z";

/// A tree of kubeadm's on a disk of its own.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        for (file, content, _) in Fixture::named("kubeadm-v136-ecdsa-p256").tree().files() {
            if !file.as_str().ends_with("kubelet.conf") {
                world.write(file.as_str(), content);
            }
        }
        world
    }

    fn host(&self, file: &str) -> PathBuf {
        self.directory.path().join(file.trim_start_matches('/'))
    }

    fn make(&self, directory: &str) -> PathBuf {
        let host = self.host(directory);
        fs::create_dir_all(&host).unwrap();
        host
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let host = self.host(file);
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        fs::write(host, content).unwrap();
    }

    fn node(&self) -> Node {
        let mut options = NodeOptions::default();
        options.root = Some(self.directory.path().to_owned());
        Node::open(options).unwrap()
    }

    fn around(&self) -> Inventory {
        Inventory::parse(&self.node().scan_around().unwrap())
    }

    fn codes(&self) -> Vec<FindingCode> {
        let diagnosis = diagnose(&self.around(), &Observations::none(), Policy::default(), at(NOW));
        // The files of a test are open to all.
        let codes = diagnosis.findings().iter().map(|finding| finding.code);
        codes.filter(|code| !matches!(code, FindingCode::KeyReadable | FindingCode::OwnerWrong)).collect()
    }
}

fn pipe(at: &Path) {
    mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_tree_with_nothing_around_it_has_no_finding() {
    let world = World::new();
    assert_eq!(world.codes(), []);
    assert!(!Inventory::parse(&world.node().scan().unwrap()).surroundings().is_known);
    assert!(world.around().surroundings().is_known);
}

#[test]
fn what_others_have_left_neither_blocks_nor_fills_the_memory() {
    let world = World::new();
    let many = world.make("/etc/kubernetes/pki.bak");
    for index in 0..10_000 {
        File::create(many.join(format!("{index}.crt"))).unwrap();
    }
    let some = world.make("/etc/kubernetes/backup");
    for index in 0..2000 {
        fs::write(some.join(format!("{index}.crt")), "-----BEGIN CERTIFICATE-----\n").unwrap();
    }
    for place in [
        "/etc/kubernetes/old",
        "/etc/cni/net.d",
        "/etc/calico",
        "/root/.kube",
        "/etc/cron.d",
        "/etc/systemd/system",
    ] {
        let directory = world.make(place);
        for name in ["pipe.crt", "pipe.conf", "config-pipe", "pipe.timer", "pipe"] {
            pipe(&directory.join(name));
        }
        for name in ["huge.crt", "huge.conf", "config-huge", "huge.timer", "huge"] {
            File::create(directory.join(name)).unwrap().set_len(100 << 20).unwrap();
        }
        for name in ["loop", "loop.crt", "loop.timer"] {
            symlink(".", directory.join(name)).unwrap();
        }
        symlink("self", directory.join("self")).unwrap();
        symlink("/etc/shadow", directory.join("away.crt")).unwrap();
        fs::write(directory.join("bell\u{7}.crt"), "x").unwrap();
    }
    let long = "x".repeat((1 << 20) - 200);
    world.write("/etc/systemd/system/long.timer", format!("[Timer]\nOnCalendar={long}\n"));
    world.write(
        "/etc/systemd/system/long.service",
        format!("[Service]\nExecStart=/bin/sh -c 'crictl rmp etcd {long}'\n"),
    );
    world.write("/etc/cron.d/long", format!("0 3 1 * * root {long}\n{}", "* ".repeat(1000)));
    world.write("/etc/cron.daily/lines", format!("#!/bin/sh\nkubeadm\n{}", "until :; do\n".repeat(80_000)));
    for (index, token) in ["", "..", "a.b.c", &long, "\u{0}.\u{0}.\u{0}"].into_iter().enumerate() {
        let volume =
            format!("/var/lib/kubelet/pods/{index}/volumes/kubernetes.io~projected/kube-api-access-x");
        world.write(&format!("{volume}/token"), token);
        pipe(&world.host(&volume).join("ca.crt"));
    }
    symlink(".", world.host("/var/lib/kubelet/pods/loop")).unwrap();

    let inventory = world.around();
    let left_out = &inventory.surroundings().left_out;
    for directory in ["/etc/kubernetes/pki.bak", "/etc/kubernetes/backup"] {
        assert!(left_out.contains(&path(directory)), "{directory}: {left_out:?}");
    }
    assert!(format!("{inventory:?}").len() < 1 << 20);
    assert_eq!(world.codes(), [FindingCode::SimultaneousRestart]);
}

#[test]
fn the_links_of_the_kubelet_are_followed() {
    let world = World::new();
    let pki = world.make("/var/lib/kubelet/pki");
    let conf =
        Fixture::named("kubeadm-v136-ecdsa-p256").tree().read_file("/etc/kubernetes/kubelet.conf").to_vec();
    let parsed = Kubeconfig::parse(&conf).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(certificate) = user.client_certificate() else { panic!("it is embedded") };
    let pair = [certificate.as_slice(), user_key(&conf, user.name()).unwrap().secret_bytes()].concat();
    fs::write(pki.join("kubelet-client-2026-11-21-00-00-00.pem"), &pair).unwrap();
    let link = pki.join("kubelet-client-current.pem");
    // The kubelet writes absolute targets, which start at the root of the node.
    symlink("/var/lib/kubelet/pki/kubelet-client-2026-11-21-00-00-00.pem", &link).unwrap();
    let current = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    let referring = edit(&conf, &Edit::new().reference(current, user.name())).unwrap();
    world.write("/etc/kubernetes/kubelet.conf", referring.secret_bytes());
    let volume = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x";
    let ca = fs::read(world.host("/etc/kubernetes/pki/ca.crt")).unwrap();
    world.write(&format!("{volume}/..2026/ca.crt"), ca);
    symlink("..2026", world.host(&format!("{volume}/..data"))).unwrap();
    symlink("..data/ca.crt", world.host(&format!("{volume}/ca.crt"))).unwrap();
    assert_eq!(world.codes(), []);
    assert!(world.around().surroundings().pods[0].authorities.present().is_some());

    fs::remove_file(&link).unwrap();
    symlink("kubelet-client-gone.pem", &link).unwrap();
    assert_eq!(world.codes(), [FindingCode::NotASymlink]);
    fs::remove_file(&link).unwrap();
    fs::write(&link, &pair).unwrap();
    assert_eq!(world.codes(), [FindingCode::NotASymlink]);
}

#[test]
fn our_own_backups_are_known_as_such() {
    let world = World::new();
    let leaf = fs::read(world.host("/etc/kubernetes/pki/apiserver.crt")).unwrap();
    world.write("/var/lib/kubecerts/backups/20260101T000000Z/files/etc/kubernetes/pki/apiserver.crt", leaf);
    assert_eq!(world.around().surroundings().certificates.len(), 1);
    assert_eq!(world.codes(), []);
}

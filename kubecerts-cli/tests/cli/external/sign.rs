//! `kubecerts sign`: the authority's side.

use std::fs;

use kubecerts_testkit::{TreeBuilder, at};

use super::authority::{is_there, openssl};
use super::{PKI, World};
use crate::support::{Outcome, Tree};

/// The control plane whose authorities' keys `World` has taken away, with its keys.
fn keeper() -> Tree {
    Tree::of(&TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z")).build())
}

#[test]
fn requests_are_signed_elsewhere_and_come_back() {
    let world = World::new();
    world.request(&[]);
    // The requests travel without their keys.
    let travelling = tempfile::tempdir().unwrap();
    for (_, _, request) in kubecerts_core::issue::external::request_files() {
        let to = travelling.path().join(&request);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(world.request_file(&request), to).unwrap();
    }
    fs::copy(world.request_file("manifest.json"), travelling.path().join("manifest.json")).unwrap();
    let directory = travelling.path().to_str().unwrap();
    let keeper = keeper();
    let before = keeper.files();
    for (ca, count) in [("ca", 7), ("etcd-ca", 4), ("front-proxy-ca", 1)] {
        let signed = keeper.run(&["sign", "--ca", ca, directory]).exits(0);
        assert_eq!(signed.stderr.matches("signed ").count(), count, "{}", signed.stderr);
        assert!(!signed.stderr.contains("private key"), "{}", signed.stderr);
        assert!(!signed.stderr.contains("warning"), "{}", signed.stderr);
    }
    assert_eq!(keeper.files(), before);
    world.tree.run(&["import", &world.bag("requests"), "--certificates", directory, "--yes"]).exits(0);
    let check = world.tree.run(&["check"]);
    assert!([0, 3].contains(&check.code), "{}", check.stdout);
    // What was signed is not signed again over it.
    keeper.run(&["sign", "--ca", "ca", directory]).exits(9).explains("exists already");
    // The authority does not lie where the requests come from.
    let other = world.bag("other");
    world.tree.run(&["sign", "--ca", "ca", directory, "--out", &other]).exits(6).explains("ca");
}

/// Makes a key and a request with OpenSSL.
fn request(world: &World, name: &str, subject: &str, more: &[&str]) -> String {
    let (key, csr) = (world.bag("any.key"), world.bag(&format!("{name}.csr")));
    let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let kind = if more.contains(&"-newkey") { &[][..] } else { &kind };
    openssl(
        &[&["req", "-new", "-nodes", "-keyout", &key, "-out", &csr, "-subj", subject], kind, more].concat(),
    );
    csr
}

fn sign(keeper: &Tree, profile: &str, requests: &[&str]) -> Outcome {
    keeper.run(&[&["sign", "--ca", "ca", "--profile", profile], requests].concat())
}

const NODE: &str = "/O=system:nodes/CN=system:node:cp-2";

#[test]
fn the_rules_of_the_signers_are_kept() {
    if !is_there("the_rules_of_the_signers_are_kept") {
        return;
    }
    let world = World::new();
    let keeper = keeper();
    let names = "subjectAltName=DNS:cp-2,IP:192.168.10.12";
    let client = "kubernetes.io/kube-apiserver-client";
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let serving = "kubernetes.io/kubelet-serving";
    let ext = "-addext";
    for (profile, subject, more, refusal) in [
        (client, "/O=dev/CN=jane", &[][..], None),
        (client, "/O=dev/CN=jane", &[ext, "subjectAltName=email:jane@example.com"], None),
        (client, "/O=dev/CN=jane", &[ext, "extendedKeyUsage=clientAuth"], None),
        (client, "/O=system:masters/CN=jane", &[], Some("system:masters")),
        (client, "/O=dev", &[], Some("common name")),
        (client, "/O=dev/CN=jane", &[ext, "extendedKeyUsage=serverAuth"], Some("serverAuth")),
        (client, "/O=dev/CN=jane", &[ext, "keyUsage=keyCertSign"], Some("keyCertSign")),
        (client, "/O=dev/CN=jane", &[ext, "basicConstraints=CA:TRUE"], Some("authority")),
        (kubelet, NODE, &[], None),
        (kubelet, NODE, &[ext, "keyUsage=digitalSignature,keyEncipherment"], None),
        (kubelet, NODE, &[ext, names], Some("DNS:cp-2")),
        (kubelet, "/CN=system:node:cp-2", &[], Some("system:nodes")),
        (kubelet, "/O=system:nodes/O=dev/CN=system:node:cp-2", &[], Some("system:nodes")),
        (kubelet, "/O=system:nodes/CN=cp-2", &[], Some("system:node:")),
        (kubelet, "/O=system:nodes/CN=system:node:", &[], Some("system:node:")),
        (serving, NODE, &[ext, names], None),
        (serving, NODE, &[ext, names, ext, "extendedKeyUsage=serverAuth"], None),
        (serving, NODE, &[], Some("no alternative name")),
        (serving, NODE, &[ext, "subjectAltName=DNS:cp-2,URI:https://a"], Some("URI:https://a")),
        (serving, NODE, &[ext, "subjectAltName=DNS:cp-2,email:a@b"], Some("email:a@b")),
        (serving, NODE, &[ext, names, ext, "extendedKeyUsage=clientAuth"], Some("clientAuth")),
        (serving, NODE, &[ext, "subjectAltName=DNS:c_p"], Some("DNS:c_p")),
        (client, "/CN=jane", &["-newkey", "rsa:1024"], Some("RSA-1024")),
        (client, "/CN=jane", &["-newkey", "ed25519"], Some("Ed25519")),
        (client, "/CN=jane", &["-sha1"], Some("not accepted")),
    ] {
        let csr = request(&world, "one", subject, more);
        let outcome = sign(&keeper, profile, &[&csr]);
        match refusal {
            None => assert!(outcome.exits(0).stdout.contains("BEGIN CERTIFICATE")),
            Some(word) => {
                let outcome = outcome.exits(9);
                assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
                assert!(outcome.stderr.contains(word), "{profile} {subject}: {}", outcome.stderr);
            }
        }
    }
    sign(&keeper, "kubernetes.io/legacy-unknown", &["x"]).exits(2);
    keeper.run(&["sign", "--ca", "ca", "x"]).exits(2).explains("what the requests are for");
    keeper.run(&["sign", "--ca", "sa", "x"]).exits(2);
}

#[test]
fn nothing_is_copied_that_the_profile_does_not_allow() {
    if !is_there("nothing_is_copied_that_the_profile_does_not_allow") {
        return;
    }
    let world = World::new();
    let keeper = keeper();
    let more = [
        "-addext",
        "1.2.3.4=DER:0500",
        "-addext",
        "subjectAltName=DNS:extra",
        "-addext",
        "extendedKeyUsage=codeSigning",
    ];
    let csr = request(&world, "scheduler", "/CN=system:kube-scheduler", &more);
    let signed = sign(&keeper, "scheduler.conf", &[&csr]).exits(0);
    assert!(
        signed.stderr.contains("not as asked for: 1.2.3.4, extKeyUsage, subjectAltName"),
        "{}",
        signed.stderr
    );
    let crt = world.bag("scheduler.crt");
    fs::write(&crt, &signed.stdout).unwrap();
    let text = String::from_utf8(openssl(&["x509", "-noout", "-text", "-in", &crt])).unwrap();
    for word in ["1.2.3.4", "extra", "Code Signing", "CA:TRUE"] {
        assert!(!text.contains(word), "{text}");
    }
    assert!(text.contains("TLS Web Client Authentication") && text.contains("CA:FALSE"), "{text}");
    let ca = keeper.path(&format!("{PKI}/ca.crt"));
    openssl(&["verify", "-purpose", "sslclient", "-CAfile", ca.to_str().unwrap(), &crt]);
    // Nobody becomes somebody else by a profile.
    let admin = request(&world, "admin", "/O=system:masters/CN=kubernetes-super-admin", &[]);
    sign(&keeper, "scheduler.conf", &[&admin]).exits(9).explains("kubernetes-super-admin");
    sign(&keeper, "super-admin.conf", &[&admin]).exits(0);
    // A certificate of etcd is signed by etcd's authority.
    sign(&keeper, "etcd-peer", &[&admin]).exits(9).explains("etcd-ca");
}

#[test]
fn a_bad_request_does_not_stop_the_others() {
    if !is_there("a_bad_request_does_not_stop_the_others") {
        return;
    }
    let world = World::new();
    let keeper = keeper();
    let good = request(&world, "good", "/CN=jane", &[]);
    let der = world.bag("flipped.csr");
    openssl(&["req", "-in", &good, "-outform", "DER", "-out", &der]);
    let mut bytes = fs::read(&der).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&der, bytes).unwrap();
    let out = world.bag("signed");
    let signed = sign(
        &keeper,
        "kube-apiserver-client",
        &[&der, &good, "/nonexistent", "--out", &out, "--validity", "99y"],
    );
    let signed = signed.exits(6);
    assert!(signed.stderr.contains("error: /nonexistent"), "{}", signed.stderr);
    assert!(signed.stderr.contains("flipped.csr: the request is not signed"), "{}", signed.stderr);
    assert!(signed.stderr.contains("ends with ca, earlier than asked for"), "{}", signed.stderr);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    // Nothing is overwritten.
    let other = request(&world, "other", "/CN=joe", &[]);
    let refused = sign(&keeper, "kube-apiserver-client", &[&other, &good, "--out", &out]).exits(9);
    refused.explains("good.crt");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    // Nor do two certificates share a file.
    let new = world.bag("new");
    sign(&keeper, "kube-apiserver-client", &[&other, &other, "--out", &new]).exits(9).explains("other.crt");
    assert!(!fs::exists(&new).unwrap());
}

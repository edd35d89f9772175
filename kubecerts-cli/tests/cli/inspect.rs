//! `kubecerts inspect`: whatever is in a file, in full, without its secrets.

use kubecerts_testkit::Fixture;

use crate::support::{kubecerts, kubecerts_with_input};

fn file(name: &str) -> String {
    Fixture::named("kubeadm-v136-rsa2048").directory().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_certificate_is_shown_as_openssl_knows_it() {
    let outcome = kubecerts(&["inspect", &file("etc/kubernetes/pki/apiserver.crt")]).exits(0);
    for text in [
        "7757a715ad7f9709 (8599525725034223369)",
        "CN = kube-apiserver",
        "2027-11-21T23:39:06Z",
        "DNS:k8s-api.example.internal",
        "IP:10.0.0.100",
        "AD:D6:CE:1D:D1:DB:F9:4E:F2:31:86:22:0D:95:12:96:DF:C4:BF:C0",
        "digitalSignature, keyEncipherment",
        "basicConstraints, critical",
    ] {
        assert!(outcome.stdout.contains(text), "{text}\n{}", outcome.stdout);
    }
}

#[test]
fn of_a_key_only_the_public_half_is_shown() {
    let path = file("etc/kubernetes/pki/apiserver.key");
    let key = kubecerts(&["inspect", &path]).exits(0).stdout;
    let certificate = kubecerts(&["inspect", &file("etc/kubernetes/pki/apiserver.crt")]).exits(0).stdout;
    let digest =
        |text: &str| text.lines().find(|line| line.contains("public key sha256")).unwrap().to_owned();
    assert_eq!(digest(&key), digest(&certificate));
    let secret = std::fs::read_to_string(path).unwrap();
    assert!(!key.contains(secret.lines().nth(1).unwrap()));
}

#[test]
fn a_kubeconfig_shows_its_contexts_and_certificates() {
    let outcome = kubecerts(&["inspect", &file("etc/kubernetes/admin.conf")]).exits(0);
    for text in [
        "kubernetes-admin@kubernetes",
        "https://k8s-api.example.internal:6443",
        "O = kubeadm:cluster-admins",
        "Private key",
    ] {
        assert!(outcome.stdout.contains(text), "{text}\n{}", outcome.stdout);
    }
}

#[test]
fn a_request_is_shown_with_its_names_and_its_signature_judged() {
    let outcome = kubecerts(&["inspect", &file("csr/etc/kubernetes/pki/apiserver.csr")]).exits(0);
    for text in ["Certificate request", "DNS:kubernetes.default.svc", "valid"] {
        assert!(outcome.stdout.contains(text), "{text}\n{}", outcome.stdout);
    }
}

#[test]
fn standard_input_and_bundles_are_read() {
    let one = std::fs::read(file("etc/kubernetes/pki/ca.crt")).unwrap();
    let other = std::fs::read(file("etc/kubernetes/pki/etcd/ca.crt")).unwrap();
    let input = [b"some text\n".to_vec(), one, other].concat();
    let outcome = kubecerts_with_input(&["inspect", "-", "-o", "json"], &input).exits(0);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_nothing_of_the_kind_is_said_to_be() {
    kubecerts_with_input(&["inspect", "-"], b"hello").exits(1).explains("-");
    kubecerts(&["inspect", "/no/such/file"]).exits(1).explains("/no/such/file");
    kubecerts(&["inspect", "/tmp"]).exits(1).explains("/tmp");
}

#[test]
fn damage_is_shown_and_ends_with_4() {
    let input = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let outcome = kubecerts_with_input(&["inspect", "-"], input).exits(4);
    assert!(outcome.stdout.contains("Damaged CERTIFICATE"), "{}", outcome.stdout);
}

//! Kubeconfigs for further users, beside those that kubeadm made.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{CaSlot, FileSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::{
    ClientError, RustCrypto, Term, User, UserError, user_credential, user_with_token,
};
use kubecerts_core::kubeconfig::{Kubeconfig, Source};
use kubecerts_core::plan::Reason;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{Certificate, certificates};
use kubecerts_testkit::{FIXTURES, Fixture, Seeded, TreeBuilder, at};

fn term() -> Term {
    Term { now: at("2026-12-01T00:00:00Z"), lifetime: Seconds::from_hours(48) }
}

fn make(user: &User, snapshot: &Snapshot) -> Result<(String, Certificate), UserError> {
    let made =
        user_credential(user, snapshot, term(), &mut Seeded::new(1), &mut RustCrypto::new(Seeded::new(2)))?;
    let text = String::from_utf8(made.kubeconfig.secret_bytes().to_vec()).unwrap();
    Ok((text, made.certificate))
}

/// Returns `kubeconfig` without the values of what is embedded in it.
fn structure(kubeconfig: &str) -> String {
    let lines = kubeconfig.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once("-data: ").map_or(line, |(name, _)| name).to_owned() + "\n").collect()
}

#[test]
fn a_user_is_kubeadms_with_other_keys_and_dates() {
    let mut compared = 0;
    for group in FIXTURES {
        let fixture = Fixture::named(group);
        let Some(expected) = fixture.expected("kubeconfig-user.txt") else { continue };
        compared += 1;
        let theirs = Kubeconfig::parse(expected.as_bytes()).unwrap();
        let Source::Data(pem) = theirs.current().unwrap().user.client_certificate().clone() else {
            panic!("{group} embeds no certificate")
        };
        let theirs = certificates(&pem).unwrap().remove(0).unwrap();
        let snapshot = fixture.tree().snapshot_with(fixture.with_config());
        let inventory = Inventory::parse(&snapshot);
        let name = theirs.subject().common_name().unwrap();
        let mut user = User::of_tree(name, &inventory).unwrap();
        user.groups = theirs
            .subject()
            .attributes()
            .iter()
            .filter(|attribute| attribute.kind == "O")
            .map(|attribute| attribute.value.clone())
            .collect();
        let (ours, certificate) = make(&user, &snapshot).unwrap();
        assert_eq!(structure(&ours), structure(&expected), "{group}");
        assert_eq!(certificate.subject(), theirs.subject(), "{group}");
        assert_eq!(certificate.issuer(), theirs.issuer(), "{group}");
        assert_eq!(certificate.key_usages(), theirs.key_usages(), "{group}");
        assert_eq!(certificate.extended_key_usages(), theirs.extended_key_usages(), "{group}");
        assert_eq!(certificate.alternative_names(), theirs.alternative_names(), "{group}");
        assert_eq!(certificate.public_key().key_type(), theirs.public_key().key_type(), "{group}");
        assert_eq!(certificate.not_after(), at("2026-12-03T00:00:00Z"), "{group}");
    }
    assert_eq!(compared, 5);
}

#[test]
fn groups_are_each_there_once() {
    let snapshot = TreeBuilder::kubeadm().build().snapshot();
    let mut user = User::new("jane", "kubernetes", "https://a:6443");
    user.groups = ["dev", "ops", "dev"].map(str::to_owned).to_vec();
    let (_, certificate) = make(&user, &snapshot).unwrap();
    assert_eq!(certificate.subject().to_string(), "O = dev + O = ops, CN = jane");
}

#[test]
fn a_token_takes_the_place_of_the_certificate_and_needs_no_key_of_the_authority() {
    let snapshot = TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build().snapshot();
    let user = User::new("jane", "kubernetes", "https://a:6443");
    for token in ["abcdef.0123456789abcdef", "12345", "true", "a\"b\\c#", "null", "eyJ.x-_y"] {
        let token = SecretBytes::new(token.as_bytes().to_vec());
        let made = user_with_token(&user, &token, &snapshot).unwrap();
        let parsed = Kubeconfig::parse(made.secret_bytes()).unwrap();
        assert!(parsed.current().is_ok());
        let quoted = std::str::from_utf8(made.secret_bytes()).unwrap().contains("token: \"");
        let plain = token.secret_bytes().iter().any(u8::is_ascii_alphabetic)
            && !matches!(token.secret_bytes(), b"true" | b"null" | b"a\"b\\c#");
        assert_eq!(quoted, !plain, "{:?}", std::str::from_utf8(made.secret_bytes()));
    }
    for token in ["", "a b", "a\nb", "ü"] {
        let token = SecretBytes::new(token.as_bytes().to_vec());
        assert_eq!(user_with_token(&user, &token, &snapshot).err(), Some(UserError::Token));
    }
}

#[test]
fn a_user_ends_with_the_authority() {
    let tree = TreeBuilder::kubeadm().build();
    let snapshot = tree.snapshot();
    let authority = Inventory::parse(&snapshot).authority(CaSlot::Cluster).signer().unwrap().not_after();
    let term = Term { now: at("2026-12-01T00:00:00Z"), lifetime: Seconds::from_days(36_500) };
    let user = User::new("jane", "kubernetes", "https://a:6443");
    let made =
        user_credential(&user, &snapshot, term, &mut Seeded::new(1), &mut RustCrypto::new(Seeded::new(2)));
    assert_eq!(made.unwrap().certificate.not_after(), authority);
}

#[test]
fn what_cannot_be_a_user_is_refused() {
    let snapshot = TreeBuilder::kubeadm().build().snapshot();
    for name in ["", " jane", "jane ", "ja\nne", "\u{7}"] {
        let user = User::new(name, "kubernetes", "https://a:6443");
        assert!(matches!(make(&user, &snapshot), Err(UserError::Unusable { .. })), "{name:?}");
    }
    let external = TreeBuilder::kubeadm().without(FileSlot::CaKey(CaSlot::Cluster)).build().snapshot();
    let refused = make(&User::new("jane", "kubernetes", "https://a:6443"), &external);
    assert!(matches!(
        refused,
        Err(UserError::Client(ClientError::Authority(Reason::ExternalAuthority(CaSlot::Cluster))))
    ));
}

#[test]
fn without_a_kubeconfig_or_a_configuration_there_is_no_server() {
    let mut tree = TreeBuilder::kubeadm().build();
    for name in ["admin.conf", "super-admin.conf", "kubelet.conf"] {
        tree.remove(&format!("/etc/kubernetes/{name}"));
    }
    assert_eq!(User::of_tree("jane", &tree.inventory()), None);
}

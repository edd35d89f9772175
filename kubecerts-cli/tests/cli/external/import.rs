//! The answers of `openssl ca`, right ones and wrong ones.

use std::fs;
use std::path::Path;

use kubecerts_core::catalog::Slot;
use kubecerts_core::issue::external::request_files;
use kubecerts_testkit::{Fixture, MemoryTree, TreeBuilder, at};

use super::authority::{Authority, is_there, openssl};
use super::{PKI, World};
use crate::support::Tree;

/// Returns the file name of the authority of `slot`, below the certificate directory.
fn issuer(slot: Slot) -> &'static str {
    slot.issuer().unwrap().base_name()
}

/// Signs every request with the authority that it is for, and returns the answers in PEM.
fn answer_all(world: &World, sign: impl Fn(&Authority, &Path) -> Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let authorities = super::AUTHORITIES.map(|name| (name, world.authority(name)));
    let mut answers = Vec::new();
    for (slot, _, request) in request_files() {
        let path = world.request_file(&request);
        if path.exists() {
            let (_, authority) = authorities.iter().find(|(name, _)| *name == issuer(slot)).unwrap();
            answers.push((slot.name().to_owned(), sign(authority, &path)));
        }
    }
    answers
}

/// Signs with the authority itself, or with one below it, whose certificate then comes along.
fn sign(authority: &Authority, request: &Path, is_direct: bool) -> Vec<u8> {
    if is_direct {
        return authority.sign(request, &[]);
    }
    let between = authority.intermediate("Issuing CA");
    [between.sign(request, &[]), between.certificate()].concat()
}

/// Checks that everything is installed and healthy.
#[track_caller]
fn is_healthy(tree: &Tree) {
    let check = tree.run(&["check"]);
    assert!([0, 3].contains(&check.code), "{}{}", check.stdout, check.stderr);
}

#[test]
fn a_fixture_whose_authority_was_taken_away_is_renewed() {
    if !is_there("a_fixture_whose_authority_was_taken_away_is_renewed") {
        return;
    }
    for (name, is_direct) in [("kubeadm-v136-rsa2048", false), ("kubeadm-v136-ecdsa-p256", true)] {
        let world = World::of(&Fixture::named(name).tree());
        world.request(&[]);
        for (slot, answer) in answer_all(&world, |authority, request| sign(authority, request, is_direct)) {
            // `openssl ca` writes its own text before the certificate.
            world.answer(&format!("{slot}.pem"), answer);
        }
        let before = world.tree.files();
        let dry = world.import(&["--dry-run"]).exits(0);
        assert!(dry.stdout.contains("ca                         external"), "{}", dry.stdout);
        assert_eq!(world.tree.files(), before);
        world.import(&[]).exits(9).explains("no terminal");
        assert_eq!(world.tree.files(), before);

        let done = world.import(&["--yes"]).exits(0);
        assert!(done.stdout.contains("12 certificates in 19 files"), "{}", done.stdout);
        is_healthy(&world.tree);
        let after = world.tree.files();
        for (path, (mode, content)) in &before {
            let (mode_after, content_after) = &after[path];
            assert_eq!(mode, mode_after, "{path}");
            let is_replaced = path.ends_with(".conf") || (path.contains("pki/") && !path.contains("ca.crt"));
            assert_eq!(content != content_after, is_replaced && !path.contains("sa."), "{path}");
        }
        let again = world.import(&["--yes"]).exits(0);
        assert!(again.stderr.contains("installed already"), "{}", again.stderr);
        // What was there comes back.
        world.tree.run(&["rollback", "--yes"]).exits(0);
        assert_eq!(world.tree.files(), before);
    }
}

#[test]
fn a_new_tree_is_made_from_a_configuration() {
    if !is_there("a_new_tree_is_made_from_a_configuration") {
        return;
    }
    let fixture = Fixture::named("kubeadm-v136-ecdsa-p256");
    let mut world = World::of(&fixture.tree());
    // Only the certificates of the authorities are here.
    let mut tree = MemoryTree::default();
    for name in super::AUTHORITIES {
        let path = format!("{PKI}/{name}.crt");
        tree.write(&kubecerts_testkit::path(&path), fixture.tree().read_file(&path), 0o644);
    }
    world.tree = Tree::of(&tree);
    let config = fixture.directory().join("kubeadm-config.yaml");
    let made = world.request(&["--config", config.to_str().unwrap()]);
    assert!(made.stdout.contains("as configured"), "{}", made.stdout);
    for (slot, answer) in answer_all(&world, |authority, request| sign(authority, request, false)) {
        world.answer(&slot, answer);
    }
    world.import(&["--yes"]).exits(0);
    let files = world.tree.files();
    for (path, (mode, _)) in Tree::of(&fixture.tree()).files() {
        if path.starts_with("etc/kubernetes")
            && !path.contains("manifests/")
            && !path.contains("sa.")
            && !path.contains("ca.key")
        {
            assert_eq!(files.get(&path).map(|(mode, _)| mode), Some(&mode), "{path}");
        }
    }
    let theirs =
        String::from_utf8(fixture.tree().read_file("/etc/kubernetes/scheduler.conf").to_vec()).unwrap();
    let ours = fs::read_to_string(world.tree.path("/etc/kubernetes/scheduler.conf")).unwrap();
    let frame = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("client-")).map(str::to_owned).collect()
    };
    assert_eq!(frame(&ours), frame(&theirs));
}

#[test]
fn an_intermediate_comes_along_and_is_installed() {
    if !is_there("an_intermediate_comes_along_and_is_installed") {
        return;
    }
    let world = World::new();
    world.request(&["apiserver", "admin.conf"]);
    let between = world.authority("ca").intermediate("Issuing CA 1");
    let mut all = b"Dear administrator,\r\nhere they are:\r\n".to_vec();
    for name in ["pki/apiserver.csr", "admin.conf.csr"] {
        all.extend(between.sign(&world.request_file(name), &[]));
    }
    world.answer("all.txt", String::from_utf8(all).unwrap().replace('\n', "\r\n"));
    // Without the intermediate nobody could verify them.
    let refused = world.import(&["--yes"]).exits(5).explains("admin.conf: chain");
    assert!(refused.stderr.contains("Issuing CA 1"), "{}", refused.stderr);
    world.answer("chain.pem", between.certificate());
    let done = world.import(&["--yes"]).exits(0);
    assert!(done.stdout.contains("over CN = Issuing CA 1"), "{}", done.stdout);
    let installed = fs::read_to_string(world.tree.path(&format!("{PKI}/apiserver.crt"))).unwrap();
    assert_eq!(installed.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(!installed.contains('\r'));
    // OpenSSL finds the way to the authority too.
    let (leaf, root) =
        (world.tree.path(&format!("{PKI}/apiserver.crt")), world.tree.path(&format!("{PKI}/ca.crt")));
    let (leaf, root) = (leaf.to_str().unwrap(), root.to_str().unwrap());
    openssl(&["verify", "-purpose", "sslserver", "-CAfile", root, "-untrusted", leaf, leaf]);
    is_healthy_but_expired(&world.tree);
}

/// The rest of the tree was not asked for and is still expired.
#[track_caller]
fn is_healthy_but_expired(tree: &Tree) {
    let check = tree.run(&["check"]).exits(4);
    for line in
        check.stdout.lines().filter(|line| line.starts_with("apiserver ") || line.starts_with("admin.conf "))
    {
        assert!(line.contains("364d") || line.contains("365d"), "{line}");
    }
}

#[test]
fn answers_come_in_every_form() {
    if !is_there("answers_come_in_every_form") {
        return;
    }
    let world = World::new();
    world.request(&["apiserver", "etcd-peer", "front-proxy-client", "scheduler.conf"]);
    for (position, (_, answer)) in
        answer_all(&world, |authority, request| authority.sign(request, &[])).into_iter().enumerate()
    {
        let pem = world.bag("one.pem");
        let out = world.bag("one.out");
        fs::write(&pem, &answer).unwrap();
        let (input, output) = (["-in", &pem], ["-out", &out]);
        let arguments = match position {
            0 => [&["x509", "-outform", "DER"], &input[..], &output].concat(),
            1 => [&["crl2pkcs7", "-nocrl", "-certfile", &pem], &output[..]].concat(),
            2 => [&["crl2pkcs7", "-nocrl", "-outform", "DER", "-certfile", &pem], &output[..]].concat(),
            _ => [&["x509"], &input[..], &output].concat(),
        };
        openssl(&arguments);
        // A name that says something else.
        world.answer(&format!("cert-{}.p7b", 9 - position), fs::read(&out).unwrap());
    }
    world.import(&["--yes"]).exits(0);
}

/// Everything that an authority gets wrong, and the words with which it is refused.
#[test]
fn wrong_answers_are_named_and_nothing_is_installed() {
    if !is_there("wrong_answers_are_named_and_nothing_is_installed") {
        return;
    }
    let world = World::new();
    world.request(&["apiserver", "etcd-server", "apiserver-kubelet-client"]);
    let request = world.request_file("pki/apiserver.csr");
    let server = world.request_file("pki/etcd/server.csr");
    let client = world.request_file("pki/apiserver-kubelet-client.csr");
    let ca = world.authority("ca");
    let etcd = world.authority("etcd/ca");
    let stranger = World::of(&TreeBuilder::kubeadm().seed(7).made(at("2024-01-01T00:00:00Z")).build());
    let right = [("1", ca.sign(&request, &[])), ("2", etcd.sign(&server, &[])), ("3", ca.sign(&client, &[]))];
    let usages = "keyUsage = critical,digitalSignature,keyEncipherment\n";
    let purposes = "extendedKeyUsage = serverAuth\n";
    let names = "subjectAltName = DNS:cp-1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:10.96.0.1";
    let with = |extensions: &str| ca.sign_with(&request, extensions);
    let dates = |from: &str, to: &str| ca.sign(&request, &["-startdate", from, "-enddate", to]);
    let mut truncated = right[0].1.clone();
    truncated.truncate(truncated.len() - 100);
    let before = world.tree.files();
    for (what, answer, code, line) in [
        (
            "no purpose",
            with(&format!("{usages}{names},IP:192.168.10.11")),
            5,
            "apiserver: extended key usage: wanted serverAuth, got none",
        ),
        (
            "no usage",
            with(&format!("{purposes}{names},IP:192.168.10.11")),
            5,
            "apiserver: key usage: wanted digitalSignature, keyEncipherment, got no restriction at all",
        ),
        ("no address", with(&format!("{usages}{purposes}{names}")), 5, "got no IP:192.168.10.11"),
        ("no names", with(&format!("{usages}{purposes}")), 5, "apiserver: alternative names"),
        (
            "another purpose",
            with(&format!("{usages}extendedKeyUsage = serverAuth,clientAuth\n{names},IP:192.168.10.11")),
            9,
            "wanted serverAuth, got serverAuth, clientAuth",
        ),
        (
            "an authority",
            with(&format!("basicConstraints = critical,CA:TRUE\n{usages}{purposes}{names},IP:192.168.10.11")),
            9,
            "apiserver: basic constraints: wanted CA:FALSE, got CA:TRUE",
        ),
        (
            "a signer",
            with(&format!(
                "keyUsage = digitalSignature,keyEncipherment,keyCertSign\n{purposes}{names},IP:192.168.10.11"
            )),
            9,
            "keyCertSign",
        ),
        (
            "a critical extension",
            with(&format!("{usages}{purposes}1.2.3.4 = critical,DER:0500\n{names},IP:192.168.10.11")),
            5,
            "1.2.3.4 as critical",
        ),
        (
            "one more name",
            with(&format!("{usages}{purposes}{names},IP:192.168.10.11,DNS:more.example.com")),
            9,
            "got also DNS:more.example.com (--allow-change san)",
        ),
        ("ten years", dates("20260101000000Z", "20331231000000Z"), 9, "apiserver: lifetime: wanted 365d"),
        (
            "beyond the authority",
            dates("20260101000000Z", "20491231000000Z"),
            9,
            "no end after that of its issuers",
        ),
        ("expired", dates("20250101000000Z", "20260101000000Z"), 5, "expired at 2026-01-01T00:00:00Z"),
        ("not yet valid", dates("20480101000000Z", "20490101000000Z"), 5, "not before 2048-01-01T00:00:00Z"),
        (
            "SHA-1",
            ca.sign(&request, &["-md", "sha1"]),
            5,
            "apiserver: signature algorithm: wanted SHA-256 or better",
        ),
        (
            "another authority of the name",
            stranger.authority("ca").sign(&request, &[]),
            5,
            "another authority that is called CN = kubernetes",
        ),
        (
            "the wrong authority",
            etcd.sign(&request, &[]),
            5,
            "apiserver: chain: wanted signed by ca, got issuer CN = etcd-ca",
        ),
        (
            "another subject",
            ca.sign(&request, &["-subj", "/CN=kubernetes-admin"]),
            5,
            "apiserver: subject: wanted CN = kube-apiserver, got CN = kubernetes-admin",
        ),
        (
            "another group",
            ca.sign(&request, &["-subj", "/O=system:masters/CN=kube-apiserver"]),
            9,
            "system:masters",
        ),
        (
            "the subject of another request",
            ca.sign(&request, &["-subj", "/CN=cp-1"]),
            5,
            "apiserver: subject",
        ),
        ("half a file", truncated, 6, "no answer for apiserver"),
        ("an empty file", Vec::new(), 6, "no answer for apiserver"),
        ("a request", fs::read(&request).unwrap(), 6, "no answer for apiserver"),
        ("binary rubbish", vec![0x30; 999], 6, "no answer for apiserver"),
    ] {
        world.answer("1", answer);
        world.answer("2", &right[1].1);
        world.answer("3", &right[2].1);
        let refused = world.import(&["--yes"]).exits(code);
        assert!(refused.stderr.contains(line), "{what}: {}", refused.stderr);
        assert!(refused.stderr.contains("\nhint: nothing was changed"), "{what}: {}", refused.stderr);
        assert_eq!(world.tree.files(), before, "{what}");
    }
}

#[test]
fn swapped_answers_missing_ones_and_strangers_are_told_apart() {
    if !is_there("swapped_answers_missing_ones_and_strangers_are_told_apart") {
        return;
    }
    let world = World::new();
    world.request(&["apiserver", "apiserver-kubelet-client"]);
    let ca = world.authority("ca");
    let (server, client) =
        (world.request_file("pki/apiserver.csr"), world.request_file("pki/apiserver-kubelet-client.csr"));
    // Files of swapped names are no matter, but names of swapped keys are.
    world.answer("apiserver.crt", ca.sign(&client, &[]));
    world.answer(
        "apiserver-kubelet-client.crt",
        ca.sign(&server, &["-subj", "/CN=kube-apiserver-kubelet-client"]),
    );
    let refused = world.import(&["--yes"]).exits(5);
    let line = "which is what apiserver-kubelet-client asks for: the answers may be swapped";
    assert!(refused.stderr.contains(line), "{}", refused.stderr);

    // A request that was made twice: the answer to the other one.
    let other = World::new();
    other.request(&["apiserver"]);
    world.answer("apiserver-kubelet-client.crt", ca.sign(&other.request_file("pki/apiserver.csr"), &[]));
    let before = world.tree.files();
    let missing = world.import(&["--yes"]).exits(6).explains("no answer for apiserver");
    let line = "belongs to no request; apiserver asks for this subject with another key";
    assert!(missing.stderr.contains(line), "{}", missing.stderr);
    assert_eq!(world.tree.files(), before);

    // What there is gets installed when that is said.
    let partial = world.import(&["--yes", "--partial"]).exits(6);
    assert!(partial.stdout.contains("1 certificate in 2 files"), "{}", partial.stdout);
    assert!(
        partial.stderr.contains("hint: keep ") && !partial.stderr.contains("rm -r"),
        "{}",
        partial.stderr
    );
}

#[test]
fn what_is_harmless_is_permitted_by_name() {
    if !is_there("what_is_harmless_is_permitted_by_name") {
        return;
    }
    let world = World::new();
    world.request(&["front-proxy-client"]);
    let request = world.request_file("pki/front-proxy-client.csr");
    let authority = world.authority("front-proxy-ca");
    let extensions = "keyUsage = digitalSignature,keyEncipherment,dataEncipherment\nextendedKeyUsage = clientAuth\n\
                      crlDistributionPoints = URI:http://pki.example.com/ca.crl\nsubjectAltName = DNS:more.example.com";
    world.answer("a", authority.sign_with(&request, extensions));
    let refused = world.import(&["--yes"]).exits(9).explains("san");
    assert!(
        refused.stderr.contains("extensions: wanted kubeadm's, got also cRLDistributionPoints"),
        "{}",
        refused.stderr
    );
    world.import(&["--yes", "--allow-change", "validity"]).exits(9);
    world.import(&["--yes", "--allow-change", "san"]).exits(0);
}

#[test]
fn the_directory_of_requests_is_not_trusted() {
    if !is_there("the_directory_of_requests_is_not_trusted") {
        return;
    }
    let world = World::new();
    world.request(&["apiserver-kubelet-client"]);
    let request = world.request_file("pki/apiserver-kubelet-client.csr");
    world.answer("a", world.authority("ca").sign(&request, &[]));
    let manifest = world.request_file("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let import = |text: &str| {
        fs::write(&manifest, text).unwrap();
        world.import(&["--yes"])
    };
    import("").exits(9).explains("manifest.json");
    import("[]").exits(9).explains("manifest.json");
    import(&text.replace("pki/apiserver-kubelet-client.key", "../../../etc/shadow"))
        .exits(9)
        .explains("keyFile");
    let more = text.replace("\"clientAuth\"", "\"clientAuth\", \"serverAuth\"");
    let refused = import(&more).exits(9);
    assert!(refused.stderr.contains("the extended key usage serverAuth"), "{}", refused.stderr);
    // The key that stayed is another one, or none.
    let key = world.request_file("pki/apiserver-kubelet-client.key");
    let secret = fs::read(&key).unwrap();
    fs::write(&key, openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"])).unwrap();
    import(&text).exits(5).explains("apiserver-kubelet-client: key");
    fs::remove_file(&key).unwrap();
    import(&text).exits(5).explains("apiserver-kubelet-client: key");
    fs::write(&key, &secret).unwrap();
    let done = import(&text).exits(0);
    let shown = format!("{}{}", done.stdout, done.stderr);
    assert!(!shown.contains("PRIVATE"), "{shown}");
    world.tree.run(&["import", "/nonexistent"]).exits(1).explains("/nonexistent");
}

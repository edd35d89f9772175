//! `kubecerts ca` and `kubecerts kubeconfig set-ca`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use kubecerts_testkit::TreeBuilder;
use serde_json::Value;

use crate::support::{Tree, kubecerts, kubecerts_with_input};

const RSA: &str = "kubeadm-v136-rsa2048";
const CA: &str = "etc/kubernetes/pki/ca.crt";
const TOKEN: &str = "abcdef.0123456789abcdef";

/// Returns the paths that differ between two states of a tree.
fn changed(tree: &Tree, before: &std::collections::BTreeMap<String, (u32, Vec<u8>)>) -> Vec<String> {
    let after = tree.files();
    let all: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

#[test]
fn nothing_is_due_years_before_the_end() {
    let tree = Tree::fixture(RSA);
    let before = tree.files();
    let outcome = tree.run(&["ca", "extend", "--yes"]).exits(0);
    assert!(outcome.stdout.starts_with("Nothing to extend"), "{}", outcome.stdout);
    assert_eq!(changed(&tree, &before), [""; 0]);
    assert!(tree.state_files().is_empty());
}

#[test]
fn an_extension_replaces_the_certificate_where_it_is_embedded_and_nothing_else() {
    let tree = Tree::fixture(RSA);
    let before = tree.files();
    let outcome = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    let expected = ["admin", "controller-manager", "kubelet", "scheduler", "super-admin"];
    let mut expected: Vec<_> = expected.map(|name| format!("etc/kubernetes/{name}.conf")).into();
    expected.insert(3, CA.to_owned());
    assert_eq!(changed(&tree, &before), expected);
    assert!(outcome.stdout.contains("extended ca"), "{}", outcome.stdout);
    for step in ["kube-root-ca.crt", "cluster-info", "every worker", "do not extend there again"] {
        assert!(outcome.stderr.contains(step), "{step}: {}", outcome.stderr);
    }
    let again = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    assert!(again.stdout.starts_with("Nothing to extend"), "{}", again.stdout);

    // What was there is back.
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(changed(&tree, &before), [""; 0]);
}

#[test]
fn a_check_finds_nothing_after_an_extension_that_it_has_not_found_before() {
    let tree = Tree::fixture(RSA);
    let before = tree.run(&["check"]);
    tree.run(&["ca", "extend", "all", "--validity", "20y", "--yes"]).exits(0);
    let after = tree.run(&["check"]).exits(before.code);
    assert_eq!(after.stderr, before.stderr);
}

#[test]
fn who_has_not_agreed_changes_nothing() {
    let tree = Tree::fixture(RSA);
    let before = tree.files();
    tree.run(&["ca", "extend", "all", "--validity", "20y"]).exits(9).explains("no terminal");
    let outcome = tree.run(&["ca", "extend", "all", "--validity", "20y", "--dry-run"]).exits(0);
    assert!(outcome.stderr.contains("nothing was written"), "{}", outcome.stderr);
    tree.run(&["ca", "extend", "ca", "--validity", "30d", "--yes"]).exits(9).explains("ca would end");
    tree.run(&["ca", "extend", "ca", "--validity", "0d", "--yes"]).exits(2).explains("cannot be valid");
    tree.run(&["ca", "extend", "apiserver", "--yes"]).exits(2).explains("\"apiserver\" is no authority");
    assert_eq!(changed(&tree, &before), [""; 0]);
}

#[test]
fn an_earlier_end_can_be_permitted() {
    let tree = Tree::fixture(RSA);
    let arguments = ["ca", "extend", "etcd-ca", "--validity", "400d", "--allow-change", "validity", "--yes"];
    let outcome = tree.run(&arguments).exits(0);
    assert!(outcome.stdout.contains("note: ends before"), "{}", outcome.stdout);
}

#[test]
fn an_external_authority_is_explained() {
    let tree = Tree::fixture("kubeadm-v136-external-ca");
    let before = tree.files();
    tree.run(&["ca", "extend", "ca", "--yes"]).exits(6).explains("the key of ca is not on this node");
    assert_eq!(changed(&tree, &before), [""; 0]);
}

#[test]
fn a_file_that_a_manifest_names_gets_the_new_certificate_in_the_same_transaction() {
    let tree = Tree::fixture(RSA);
    let bundle = tree.path("/etc/kubernetes/pki/roots.crt");
    fs::copy(tree.path(CA), &bundle).unwrap();
    let manifest = tree.path("/etc/kubernetes/manifests/kube-controller-manager.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let flag = "--root-ca-file=/etc/kubernetes/pki/";
    assert!(text.contains(flag));
    fs::write(&manifest, text.replace(&format!("{flag}ca.crt"), &format!("{flag}roots.crt"))).unwrap();
    let status = tree.run(&["ca", "status"]).exits(0).stdout;
    let holder = "/etc/kubernetes/pki/roots.crt (root-ca-file of kube-controller-manager)";
    assert!(status.contains(holder), "{status}");
    // Another certificate and a remark stay where they are.
    let other = fs::read_to_string(tree.path("/etc/kubernetes/pki/etcd/ca.crt")).unwrap();
    let old = fs::read_to_string(&bundle).unwrap();
    fs::write(&bundle, format!("# roots\n{other}{old}")).unwrap();
    let before = tree.files();
    let outcome = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--dry-run"]).exits(0);
    assert!(
        outcome.stderr.contains(&format!("{holder} gets the new certificate of ca")),
        "{}",
        outcome.stderr
    );
    assert_eq!(changed(&tree, &before), [""; 0]);
    tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    let new = fs::read_to_string(tree.path(CA)).unwrap();
    assert_ne!(new, old);
    assert_eq!(fs::read_to_string(&bundle).unwrap(), format!("# roots\n{other}{new}"));
    tree.run(&["rollback", "--yes"]).exits(0);
    assert_eq!(changed(&tree, &before), [""; 0]);
}

#[test]
fn what_another_node_has_extended_reaches_bundles_with_set_ca() {
    let tree = Tree::fixture(RSA);
    let first = Tree::fixture(RSA);
    let bundle = tree.path("/etc/kubernetes/pki/roots.crt");
    fs::copy(tree.path(CA), &bundle).unwrap();
    let manifest = tree.path("/etc/kubernetes/manifests/kube-controller-manager.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let flag = "--root-ca-file=/etc/kubernetes/pki/";
    fs::write(&manifest, text.replace(&format!("{flag}ca.crt"), &format!("{flag}roots.crt"))).unwrap();
    first.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    fs::copy(first.path(CA), tree.path(CA)).unwrap();
    let outcome = tree.run(&["check"]);
    assert!(outcome.stdout.contains("[trust-file-stale]"), "{}", outcome.stdout);
    tree.run(&["kubeconfig", "set-ca", "--yes"]).exits(0);
    assert_eq!(fs::read(&bundle).unwrap(), fs::read(first.path(CA)).unwrap());
    let outcome = tree.run(&["check"]).exits(0);
    assert!(!outcome.stdout.contains("[trust-file-stale]"), "{}", outcome.stdout);
    let before = (tree.files(), tree.state_files());
    tree.run(&["kubeconfig", "set-ca", "--yes"]).exits(0);
    assert!((tree.files(), tree.state_files()) == before);
}

#[test]
fn a_link_to_the_authority_and_every_entry_of_a_kubeconfig_follow() {
    let tree = Tree::fixture(RSA);
    std::os::unix::fs::symlink("ca.crt", tree.path("/etc/kubernetes/pki/link.crt")).unwrap();
    let manifest = tree.path("/etc/kubernetes/manifests/kube-controller-manager.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let flag = "--root-ca-file=/etc/kubernetes/pki/";
    fs::write(&manifest, text.replace(&format!("{flag}ca.crt"), &format!("{flag}link.crt"))).unwrap();
    let admin = tree.path("/etc/kubernetes/admin.conf");
    let text = fs::read_to_string(&admin).unwrap();
    let start = text.find("- cluster:\n").unwrap();
    let end = text.find("contexts:\n").unwrap();
    let second = text[start..end].replace("name: kubernetes", "name: second");
    fs::write(&admin, format!("{}{second}{}", &text[..end], &text[end..])).unwrap();
    tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    let text = fs::read_to_string(&admin).unwrap();
    let data = |line: &&str| line.trim_start().starts_with("certificate-authority-data: ");
    let embedded: Vec<&str> = text.lines().filter(data).map(str::trim).collect();
    assert_eq!(embedded.len(), 2);
    assert_eq!(embedded[0], embedded[1]);
    let link = fs::symlink_metadata(tree.path("/etc/kubernetes/pki/link.crt")).unwrap();
    assert!(link.is_symlink());
    let second_run = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    assert!(second_run.stdout.contains("Nothing"), "{}", second_run.stdout);
}

#[test]
fn copies_of_admin_conf_follow_when_asked() {
    let tree = Tree::fixture(RSA);
    let copy = tree.path("/root/.kube/config");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(tree.path("/etc/kubernetes/admin.conf"), &copy).unwrap();
    let outcome = tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(6);
    assert!(outcome.stderr.contains("/root/.kube/config holds the old certificate"), "{}", outcome.stderr);
    tree.run(&["kubeconfig", "set-ca", "--file", "/root/.kube/config", "--yes"]).exits(0);
    let admin = || fs::read(tree.path("/etc/kubernetes/admin.conf")).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), admin());
    let arguments = ["ca", "extend", "ca", "--validity", "30y", "--yes", "--refresh-copies"];
    tree.run(&arguments).exits(0);
    assert_eq!(fs::read(&copy).unwrap(), admin());
}

#[test]
fn the_hash_is_what_openssl_computes() {
    for fixture in [RSA, "kubeadm-v120-rsa", "kubeadm-v136-ecdsa-p256", "kubeadm-v136-external-ca"] {
        let tree = Tree::fixture(fixture);
        let hash = tree.run(&["ca", "hash"]).exits(0).stdout;
        let script = "openssl x509 -pubkey -noout -in \"$0\" | openssl pkey -pubin -outform der | openssl dgst -sha256 -r";
        let output = Command::new("sh").args(["-c", script]).arg(tree.path(CA)).output().unwrap();
        if !output.status.success() {
            std::io::stderr().write_all(b"SKIPPED openssl: not installed\n").unwrap();
            return;
        }
        let digest = String::from_utf8(output.stdout).unwrap();
        assert_eq!(hash, format!("sha256:{}\n", digest.split(' ').next().unwrap()));
    }
}

#[test]
fn the_hash_of_a_bundle_is_one_for_each_key_and_an_extension_does_not_change_it() {
    let tree = Tree::fixture(RSA);
    let own = tree.run(&["ca", "hash"]).exits(0).stdout;
    tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    assert_eq!(tree.run(&["ca", "hash"]).exits(0).stdout, own);
    let etcd = tree.run(&["ca", "hash", "etcd-ca"]).exits(0).stdout;
    let mut bundle = fs::read(tree.path(CA)).unwrap();
    bundle.extend(fs::read(tree.path("/etc/kubernetes/pki/etcd/ca.crt")).unwrap());
    fs::write(tree.path(CA), bundle).unwrap();
    assert_eq!(tree.run(&["ca", "hash"]).exits(0).stdout, own + &etcd);
    fs::write(tree.path(CA), "nothing").unwrap();
    tree.run(&["ca", "hash"]).exits(1).explains("ca.crt");
}

#[test]
fn the_join_command_is_kubeadm_s() {
    let tree = Tree::fixture(RSA);
    let hash = tree.run(&["ca", "hash"]).exits(0).stdout;
    let hash = hash.trim();
    let root = tree.root().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let all = [&["ca", "join-command", "--token-file", "-", "--rootfs", root], arguments].concat();
        kubecerts_with_input(&all, format!("{TOKEN}\n").as_bytes()).exits(0).stdout
    };
    let server = "k8s-api.example.internal:6443";
    let worker = format!("kubeadm join {server} --token {TOKEN} --discovery-token-ca-cert-hash {hash} ");
    assert_eq!(run(&[]), format!("{worker}\n"));
    assert_eq!(run(&["--control-plane"]), format!("{worker}--control-plane \n"));
    let key = "0123456789abcdef".repeat(4);
    let told = run(&["--control-plane", "--certificate-key", &key]);
    assert_eq!(told, format!("{worker}--control-plane --certificate-key {key}\n"));
    assert!(run(&["--server", "10.0.0.1"]).starts_with("kubeadm join 10.0.0.1:6443 "));
    assert!(run(&["--server", "https://lb.example:8443"]).starts_with("kubeadm join lb.example:8443 "));
}

#[test]
fn secrets_are_not_repeated_in_complaints() {
    let tree = Tree::fixture(RSA);
    for (arguments, secret) in [
        (vec!["--token", "abcdef.0123456789abcdeX"], "abcdeX"),
        (vec!["--token", TOKEN, "--control-plane", "--certificate-key", "0123456789"], "0123456789\""),
    ] {
        let all = [&["ca", "join-command"], arguments.as_slice()].concat();
        let outcome = tree.run(&all).exits(2);
        assert!(!outcome.stderr.contains(secret), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("hint:"), "{}", outcome.stderr);
    }
    tree.run(&["ca", "join-command"]).exits(2);
    tree.run(&["ca", "join-command", "--token", TOKEN, "--server", "a b"]).exits(2).explains("a b");
}

#[test]
fn the_status_names_custody_dates_hashes_and_holders() {
    let tree = Tree::fixture(RSA);
    let told = tree.run(&["ca", "status"]).exits(0).stdout;
    let hash = tree.run(&["ca", "hash"]).exits(0).stdout;
    for part in ["CN = kubernetes", "until 2036-11-18T23:39:06Z", hash.trim(), "held by      admin.conf"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = Tree::fixture("kubeadm-v136-external-ca").run(&["ca", "status"]).exits(0).stdout;
    assert!(told.contains("external: /etc/kubernetes/pki/ca.key does not exist"), "{told}");
}

// kubeconfig set-ca

#[test]
fn kubeconfigs_that_trust_another_authority_are_made_to_trust_the_tree() {
    let tree = Tree::fixture(RSA);
    let pristine = tree.files();
    tree.run(&["kubeconfig", "set-ca", "--yes"]).exits(0);
    assert_eq!(changed(&tree, &pristine), [""; 0]);

    let other = Tree::of(&TreeBuilder::kubeadm().seed(9).build());
    fs::copy(other.path(CA), tree.path(CA)).unwrap();
    let outcome = tree.run(&["kubeconfig", "set-ca", "scheduler.conf", "--yes"]).exits(0);
    assert!(outcome.stdout.contains("scheduler.conf"), "{}", outcome.stdout);
    assert_eq!(changed(&tree, &pristine), ["etc/kubernetes/pki/ca.crt", "etc/kubernetes/scheduler.conf"]);
    let outcome = tree.run(&["kubeconfig", "set-ca", "--yes", "-o", "json"]).exits(0);
    assert!(outcome.stdout.contains("\"trust\""), "{}", outcome.stdout);
    assert_eq!(changed(&tree, &pristine).len(), 6);
    tree.run(&["kubeconfig", "set-ca", "--yes"]).exits(0);
}

#[test]
fn a_kubeconfig_elsewhere_keeps_its_mode_and_every_other_byte() {
    let tree = Tree::fixture(RSA);
    let file = tree.path("/srv/ci/cluster.yaml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::copy(tree.path("/etc/kubernetes/admin.conf"), &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let old = fs::read_to_string(&file).unwrap();
    tree.run(&["ca", "extend", "ca", "--validity", "20y", "--yes"]).exits(0);
    tree.run(&["kubeconfig", "set-ca", "--file", "/srv/ci/cluster.yaml", "--yes"]).exits(0);
    let new = fs::read_to_string(&file).unwrap();
    let differing: Vec<_> = old.lines().zip(new.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!(differing.len(), 1);
    assert!(differing[0].1.trim_start().starts_with("certificate-authority-data: "));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let again = tree.run(&["kubeconfig", "set-ca", "--file", "/srv/ci/cluster.yaml", "--yes"]).exits(0);
    assert!(again.stderr.contains("trusts the certificates of the tree already"), "{}", again.stderr);
}

#[test]
fn what_cannot_be_made_to_trust_the_tree_is_explained() {
    let tree = Tree::fixture(RSA);
    fs::write(tree.path("/etc/notes.conf"), "- no kubeconfig").unwrap();
    let run = |arguments: &[&str]| tree.run(&[&["kubeconfig", "set-ca", "--yes"], arguments].concat());
    run(&["--file", "/etc/notes.conf"]).exits(6).explains("/etc/notes.conf");
    run(&["--file", "/etc/nothing.conf"]).exits(6).explains("does not exist");
    run(&["--file", "/etc/kubernetes/admin.conf"]).exits(2).explains("belongs to the tree");
    run(&["apiserver"]).exits(2).explains("is no kubeconfig of the tree");
    run(&["nonsense"]).exits(2).explains("\"nonsense\"");
    let conf = tree.path("/etc/kubernetes/scheduler.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let at = text.find("certificate-authority-data:").unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let text = format!("{}certificate-authority: /etc/kubernetes/pki/ca.crt{}", &text[..at], &text[end..]);
    fs::write(&conf, &text).unwrap();
    let outcome = run(&["scheduler.conf"]).exits(0);
    assert!(outcome.stdout.contains("embeds no certificate of an authority"), "{}", outcome.stdout);
    assert_eq!(fs::read_to_string(&conf).unwrap(), text);
}

#[test]
fn documents_of_extensions_are_valid() {
    let schema = |name: &str| {
        let text = kubecerts(&["schema", name]).exits(0).stdout;
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let [renewal, plan] = ["renewal", "plan"].map(schema);
    let valid = |text: &str| {
        let document: Value = serde_json::from_str(text).unwrap();
        let errors = renewal.iter_errors(&document).chain(plan.iter_errors(&document["plan"]));
        let errors: Vec<String> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        assert!(
            !document["plan"]["steps"].as_array().unwrap().is_empty()
                || !document["complete"].as_bool().unwrap()
        );
    };
    let tree = Tree::fixture(RSA);
    valid(
        &tree.run(&["ca", "extend", "all", "--validity", "20y", "--dry-run", "-o", "json"]).exits(0).stdout,
    );
    let other = Tree::of(&TreeBuilder::kubeadm().seed(9).build());
    fs::copy(other.path(CA), tree.path(CA)).unwrap();
    valid(&tree.run(&["kubeconfig", "set-ca", "--dry-run", "-o", "json"]).exits(0).stdout);
    valid(&tree.run(&["ca", "extend", "ca", "--dry-run", "-o", "json"]).exits(6).stdout);
}

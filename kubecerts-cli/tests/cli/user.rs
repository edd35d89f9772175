//! Kubeconfigs for further users, and for emergencies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::Tree;

const FIXTURE: &str = "kubeadm-v136-ecdsa-p256";

#[test]
fn a_user_goes_to_standard_output_as_kubeadm_prints_it() {
    let tree = Tree::fixture(FIXTURE);
    let before = tree.files();
    let outcome = tree.run(&["kubeconfig", "user", "--client-name", "jane", "--org", "dev", "--org", "ops"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("apiVersion: v1\nclusters:\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("\n\n"), "kubeadm ends it with an empty line");
    assert!(outcome.stdout.contains("    server: https://k8s-api.example.internal:6443\n"));
    assert!(
        outcome.stderr.contains("made a certificate of O = dev + O = ops, CN = jane"),
        "{}",
        outcome.stderr
    );
    assert_eq!(tree.files(), before);
}

#[test]
fn a_file_of_a_user_is_new_and_closed_to_others() {
    let tree = Tree::fixture(FIXTURE);
    let out = tree.path("jane.conf");
    let out = out.to_str().unwrap();
    let arguments = ["kubeconfig", "user", "--client-name", "jane", "--out", out, "--validity-period", "2h"];
    let outcome = tree.run(&arguments);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("hint: the user is in no group"), "{}", outcome.stderr);
    assert_eq!(fs::metadata(out).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read(out).unwrap();
    let outcome = tree.run(&arguments);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("hint: nothing was changed; name a file that does not exist yet"));
    assert_eq!(fs::read(out).unwrap(), first);
}

#[test]
fn a_token_is_named_by_nobody() {
    let tree = Tree::fixture(FIXTURE);
    let file = tree.path("token");
    fs::write(&file, "sesame.open \n").unwrap();
    let file = file.to_str().unwrap();
    let outcome = tree.run(&["kubeconfig", "user", "--client-name", "jane", "--token-file", file]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("    token: sesame.open\n"), "{}", outcome.stdout);
    assert!(!outcome.stderr.contains("sesame"), "{}", outcome.stderr);
    let outcome = tree.run(&["kubeconfig", "user", "--client-name", "jane", "--token", "open sesame"]);
    assert_eq!(outcome.code, 2);
    assert!(!outcome.stderr.contains("sesame"), "{}", outcome.stderr);
}

#[test]
fn breaking_the_glass_leaves_a_record_before_anything_else() {
    let tree = Tree::fixture(FIXTURE);
    let out = tree.path("glass.conf");
    let reason = "the \"admins\" binding is gone";
    let arguments = ["kubeconfig", "break-glass", "--reason", reason, "--out", out.to_str().unwrap()];
    let outcome = tree.run(&arguments);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let kubeconfig = fs::read_to_string(&out).unwrap();
    assert!(kubeconfig.starts_with("# break-glass since 20"), "{kubeconfig}");
    assert!(kubeconfig.lines().next().unwrap().ends_with(reason), "{kubeconfig}");
    assert!(kubeconfig.contains("\n- name: break-glass:20"), "{kubeconfig}");

    let records = tree.state_files();
    let [(name, (mode, record))] = &records.iter().collect::<Vec<_>>()[..] else {
        panic!("there is one record: {records:?}")
    };
    assert!(name.starts_with("audit/20"), "{name}");
    assert_eq!(mode & 0o777, 0o600);
    let record: Value = serde_json::from_slice(record).unwrap();
    assert_eq!(record["reason"], reason);
    let serial = record["serial"].as_str().unwrap();
    assert!(outcome.stderr.contains(&format!("serial {serial}")), "{}", outcome.stderr);
    assert!(record["subject"].as_str().unwrap().starts_with("O = system:masters, CN = break-glass:"));
}

#[test]
fn without_a_record_nothing_is_handed_out() {
    let tree = Tree::fixture(FIXTURE);
    fs::create_dir_all(tree.path("/var/lib/kubecerts")).unwrap();
    fs::set_permissions(tree.path("/var/lib/kubecerts"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(tree.path("/var/lib/kubecerts/audit"), "no directory").unwrap();
    let out = tree.path("glass.conf");
    let arguments = ["kubeconfig", "break-glass", "--reason", "a", "--out", out.to_str().unwrap()];
    let outcome = tree.run(&arguments);
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("error: ") && outcome.stderr.contains("audit"), "{}", outcome.stderr);
    assert!(!out.exists());
}

#[test]
fn without_a_place_for_it_nothing_is_issued_or_recorded() {
    let tree = Tree::fixture(FIXTURE);
    let taken = tree.path("taken.conf");
    fs::write(&taken, "mine").unwrap();
    let taken = taken.to_str().unwrap();
    let nowhere = tree.path("nowhere/glass.conf");
    let before = tree.files();
    for out in [taken, nowhere.to_str().unwrap(), tree.root().to_str().unwrap()] {
        for command in [["break-glass", "--reason", "a"], ["user", "--client-name", "a"]] {
            let outcome = tree.run(&[&["kubeconfig"][..], &command, &["--out", out]].concat());
            outcome.exits(1).explains(out);
        }
    }
    assert!(tree.state_files().is_empty());
    assert_eq!(tree.files(), before);
}

#[test]
fn a_server_is_a_url_over_tls() {
    let tree = Tree::fixture(FIXTURE);
    for server in ["http://x y", "ftp://x", "x", "https://", "https://a:99999"] {
        for command in [["user", "--client-name", "jane"], ["break-glass", "--reason", "a"]] {
            let arguments = [&["kubeconfig"][..], &command, &["--server", server]].concat();
            let outcome = tree.run(&arguments).exits(2).explains(server);
            assert_eq!(outcome.stdout, "");
        }
    }
    assert!(tree.state_files().is_empty());
    let arguments = ["kubeconfig", "user", "--client-name", "jane", "--server", "https://[fd00::1]:8443"];
    assert!(tree.run(&arguments).exits(0).stdout.contains("server: https://[fd00::1]:8443\n"));
}

#[test]
fn who_bypasses_rbac_is_warned_of() {
    let tree = Tree::fixture(FIXTURE);
    let make = |groups: &str| {
        tree.run(&["kubeconfig", "user", "--client-name", "jane", "--org", groups]).exits(0).stderr
    };
    let told = make("dev,system:masters");
    assert!(told.contains("warning: system:masters bypasses RBAC"), "{told}");
    assert!(told.contains("kubecerts kubeconfig break-glass"), "{told}");
    assert!(!make("dev").contains("warning:"));
}

#[test]
fn glass_is_not_broken_for_long_nor_without_a_reason() {
    let tree = Tree::fixture(FIXTURE);
    for (arguments, code, hint) in [
        (["--reason", "a", "--validity", "25h"], 9, "hint: ask for 24h at most"),
        (["--reason", " ", "--validity", "1h"], 2, "hint: say in one line why"),
        (["--reason", "a\nb", "--validity", "1h"], 2, "hint: say in one line why"),
    ] {
        let outcome = tree.run(&[&["kubeconfig", "break-glass", "--out", "-"][..], &arguments].concat());
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(hint), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        assert!(tree.state_files().is_empty());
    }
}

#[test]
fn where_the_key_of_the_authority_is_not_there_is_no_user() {
    let tree = Tree::fixture("kubeadm-v136-external-ca");
    let outcome = tree.run(&["kubeconfig", "user", "--client-name", "jane"]);
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: run it where the key of ca is kept"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
}

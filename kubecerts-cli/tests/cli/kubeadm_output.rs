//! `kubecerts certs` says what kubeadm says, to the byte.

use crate::support::Tree;
use kubecerts_core::time::Seconds;
use kubecerts_testkit::{FIXTURES, Fixture, at};

/// Returns the moment at which kubeadm wrote the fixture's JSON: the end of a certificate less its residual time.
fn moment(fixture: &Fixture) -> Option<String> {
    let document: serde_json::Value =
        serde_json::from_str(&fixture.expected("check-expiration-json.txt")?).unwrap();
    let first = &document["certificates"][0];
    let end = at(first["expirationDate"].as_str().unwrap());
    Some(end.minus(Seconds(first["residualTime"].as_i64().unwrap())).to_string())
}

#[test]
fn check_expiration_is_kubeadms_in_every_form() {
    let mut compared = 0;
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        let Some(moment) = moment(&fixture) else { continue };
        let tree = Tree::fixture(name);
        for (form, file) in [
            ("text", "check-expiration.txt"),
            ("json", "check-expiration-json.txt"),
            ("yaml", "check-expiration-yaml.txt"),
        ] {
            let outcome = tree.run(&["certs", "check-expiration", "-o", form, "--at", &moment]).exits(0);
            assert_eq!(outcome.stdout, fixture.expected(file).unwrap(), "{name} {form}");
            compared += 1;
        }
    }
    assert_eq!(compared, 18, "six trees come with kubeadm's own output in three forms");
}

#[test]
fn check_expiration_of_a_renewed_tree_is_kubeadms() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        let (Some(expected), Some(renewed)) =
            (fixture.expected("renewed-check-expiration.txt"), fixture.renewed())
        else {
            continue;
        };
        if name == "kubeadm-v120-rsa" {
            continue; // its own test, below
        }
        let outcome =
            Tree::of(&renewed).run(&["certs", "check-expiration", "--at", "2026-11-22T01:00:00Z"]).exits(0);
        // kubeadm looked within the hour, and whole days are what it prints.
        assert_eq!(outcome.stdout, expected, "{name}");
    }
}

#[test]
fn a_tree_of_1_20_is_listed_as_1_36_lists_it() {
    let fixture = Fixture::named("kubeadm-v120-rsa");
    let outcome =
        Tree::fixture("kubeadm-v120-rsa").run(&["certs", "check-expiration", "--at", "2026-11-22T00:00:00Z"]);
    let cells = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let ours: Vec<Vec<String>> = outcome.exits(0).stdout.lines().map(cells).collect();
    let theirs: Vec<Vec<String>> =
        fixture.expected("check-expiration.txt").unwrap().lines().map(cells).collect();
    let mut expected = theirs;
    for line in &mut expected {
        // 1.20 left the authority of kubeconfigs blank; 1.36 names it.
        if line.first().is_some_and(|name| name.ends_with(".conf")) {
            line.insert(3, "ca".to_owned());
        }
    }
    // 1.36 looks for super-admin.conf on every node.
    let position =
        expected.iter().position(|line| line.first().is_some_and(|name| name == "scheduler.conf")).unwrap();
    expected.insert(position + 1, vec!["!MISSING! super-admin.conf".to_owned()]);
    assert_eq!(ours, expected);
}

#[test]
fn renew_all_says_what_kubeadm_says() {
    let mut compared = 0;
    for name in FIXTURES {
        let Some(expected) = Fixture::named(name).expected("renew-all.txt") else { continue };
        let outcome = Tree::fixture(name).run(&["certs", "renew", "all"]);
        let missing = "MISSING! certificate embedded in the kubeconfig file for the super-admin\n";
        let stdout = match name {
            "kubeadm-v120-rsa" => outcome.stdout.replace(missing, ""),
            _ => outcome.stdout,
        };
        assert_eq!(stdout, expected, "{name}");
        // Unlike kubeadm, the exit code tells that an external authority left something undone.
        assert_eq!(
            outcome.code,
            if name.contains("external-ca") { 6 } else { 0 },
            "{name}: {}",
            outcome.stderr
        );
        compared += 1;
    }
    assert_eq!(compared, 7);
}

#[test]
fn renewing_one_says_one_line_and_changes_two_files() {
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    let before = tree.files();
    let outcome = tree.run(&["certs", "renew", "apiserver"]).exits(0);
    assert_eq!(outcome.stdout, "certificate for serving the Kubernetes API renewed\n");
    let after = tree.files();
    let changed: Vec<&str> =
        before.iter().filter(|(name, file)| after[*name] != **file).map(|(name, _)| name.as_str()).collect();
    assert_eq!(changed, ["etc/kubernetes/pki/apiserver.crt", "etc/kubernetes/pki/apiserver.key"]);
}

#[test]
fn a_missing_certificate_is_a_row_of_its_own() {
    let tree = Tree::fixture("kubeadm-v136-ecdsa-p256");
    std::fs::remove_file(tree.path("/etc/kubernetes/pki/apiserver.crt")).unwrap();
    let text = tree.run(&["certs", "check-expiration"]).exits(0).stdout;
    let row = text.lines().find(|line| line.starts_with("!MISSING! apiserver")).unwrap();
    assert_eq!(row.trim_end(), "!MISSING! apiserver");
    // Four empty cells, padded to their columns, and an empty last one.
    let header = text.lines().next().unwrap();
    assert_eq!(row.len(), header.find("EXTERNALLY").unwrap());
}

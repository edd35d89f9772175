//! `kubecerts apply`: a plan is carried out as it is, or refused.

use std::fs;
use std::path::PathBuf;

use kubecerts_testkit::TreeBuilder;
use serde_json::{Value, json};

use crate::support::{Outcome, Tree};

/// A tree with short-lived P-256 certificates, and a plan for all of them.
struct World {
    tree: Tree,
    plan: Value,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let tree =
            Tree::of(&TreeBuilder::kubeadm().made(kubecerts_testkit::at("2026-01-01T00:00:00Z")).build());
        let outcome = tree.run(&["plan", "--all", "-o", "json"]).exits(0);
        let plan = serde_json::from_str(&outcome.stdout).unwrap();
        Self { tree, plan, directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        let path = self.directory.path().join("plan.json");
        fs::write(&path, self.plan.to_string()).unwrap();
        path
    }

    /// Returns the step for `slot`.
    fn step(&mut self, slot: &str) -> &mut Value {
        let steps = self.plan["steps"].as_array_mut().unwrap();
        steps.iter_mut().find(|step| step["slot"] == slot).unwrap()
    }

    fn apply(&self, more: &[&str]) -> Outcome {
        self.tree.run(&[&["apply", "--yes", self.file().to_str().unwrap()], more].concat())
    }

    /// Asserts that the plan is refused with 9, and that nothing is changed.
    #[track_caller]
    fn refused(&self, more: &[&str]) -> Outcome {
        let before = self.tree.files();
        let outcome = self.apply(more).exits(9);
        assert_eq!(self.tree.files(), before);
        outcome
    }
}

#[test]
fn a_stored_plan_is_carried_out_to_the_serial_number() {
    let mut world = World::new();
    let outcome = world.apply(&["-o", "json"]).exits(0);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&document["applied"], &document["plan"]), (&json!(true), &world.plan));
    let serial = world.step("apiserver")["certificate"]["serial"].clone();
    let inspected = world.tree.path("/etc/kubernetes/pki/apiserver.crt");
    let shown = crate::support::kubecerts(&["inspect", "-o", "json", inspected.to_str().unwrap()]).exits(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["items"][0]["certificate"]["serial"], serial);
}

#[test]
fn a_dry_run_carries_out_nothing() {
    let world = World::new();
    let before = world.tree.files();
    world.apply(&["--dry-run"]).exits(0);
    assert_eq!(world.tree.files(), before);
    assert!(world.tree.state_files().is_empty());
}

#[test]
fn a_plan_whose_facts_have_changed_is_refused_with_both_digests() {
    let mut world = World::new();
    let expected = world.step("apiserver")["writes"][0]["expected"].as_str().unwrap().to_owned();
    world.tree.run(&["renew", "--yes", "apiserver"]).exits(0);
    let outcome = world.refused(&[]).explains("/etc/kubernetes/pki/apiserver.crt");
    let found = kubecerts_core::digest::Digest::of(
        &fs::read(world.tree.path("/etc/kubernetes/pki/apiserver.crt")).unwrap(),
    );
    assert!(
        outcome.stderr.contains(&expected) && outcome.stderr.contains(&found.to_string()),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let mut world = World::new();
    world.plan["apiVersion"] = json!("kubecerts.dev/v2");
    world.refused(&[]).explains("kubecerts.dev/v2");
}

#[test]
fn what_is_no_plan_is_refused() {
    let mut world = World::new();
    world.plan["steps"][0]["path"] = json!("/etc/shadow");
    world.refused(&[]).explains("path");
    world.plan = json!([1, 2, 3]);
    world.refused(&[]).explains("plan.json");
    let missing = world.tree.run(&["apply", "--yes", "/nowhere/plan.json"]);
    missing.exits(1).explains("/nowhere/plan.json");
}

#[test]
fn a_plan_that_names_a_file_outside_its_slot_is_refused() {
    let mut world = World::new();
    world.step("apiserver")["writes"][1]["file"] = json!("pki/ca.crt");
    world.refused(&[]).explains("ca.crt");
    world.step("apiserver")["writes"][1]["file"] = json!("../../shadow");
    world.refused(&[]).explains("shadow");
}

#[test]
fn a_plan_that_widens_a_subject_or_a_usage_is_refused_whatever_is_allowed() {
    let everything = ["--allow-change", "san,validity,algorithm"];
    let mut world = World::new();
    // O = system:masters, which super-admin.conf has.
    let admin = world.step("super-admin.conf")["certificate"]["subject"].clone();
    world.step("scheduler.conf")["certificate"]["subject"] = admin;
    world.refused(&everything).explains("scheduler.conf");

    let mut world = World::new();
    world.step("apiserver")["certificate"]["extendedKeyUsages"] = json!(["serverAuth", "clientAuth"]);
    world.refused(&everything).explains("apiserver");

    let mut world = World::new();
    world.step("apiserver")["certificate"]["keyUsages"] =
        json!(["digitalSignature", "keyEncipherment", "keyCertSign"]);
    world.refused(&everything).explains("apiserver");
}

#[test]
fn a_plan_that_takes_away_what_a_component_needs_is_refused_whatever_is_allowed() {
    let everything = ["--allow-change", "san,validity,algorithm"];
    let mut world = World::new();
    world.step("etcd-server")["certificate"]["extendedKeyUsages"] = json!(["clientAuth"]);
    world.refused(&everything).explains("etcd-server would lack the extended key usage serverAuth");
    let mut world = World::new();
    world.step("apiserver")["writes"][0]["mode"] = json!("0000");
    world.refused(&everything).explains("/etc/kubernetes/pki/apiserver.crt would get the mode 0000");
    let mut world = World::new();
    world.plan["restarts"] = json!([]);
    world.refused(&everything).explains("nothing loads the new files");
}

#[test]
fn alternative_names_lifetime_and_algorithm_need_their_permission() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 3] = [
        ("san", |step| {
            let names = step["certificate"]["alternativeNames"].as_array_mut().unwrap();
            names.push(json!("DNS:new.example.internal"));
        }),
        ("validity", |step| step["certificate"]["notAfter"] = json!("2034-01-01T00:00:00Z")),
        ("algorithm", |step| step["key"] = json!({ "generate": "ECDSA-P384" })),
    ];
    for (permission, edit) in edits {
        let mut world = World::new();
        edit(world.step("apiserver"));
        let outcome = world.refused(&[]).explains(permission);
        assert!(outcome.stderr.contains("warning: differs from the certificate that is replaced: apiserver"));
        assert!(outcome.stderr.contains(&format!("--allow-change {permission}")), "{}", outcome.stderr);
        let others: Vec<&str> =
            ["san", "validity", "algorithm"].into_iter().filter(|other| *other != permission).collect();
        world.refused(&["--allow-change", &others.join(",")]);
        world.apply(&["--allow-change", permission]).exits(0);
    }
}

#[test]
fn without_a_terminal_and_without_yes_it_refuses() {
    let world = World::new();
    let before = world.tree.files();
    world.tree.run(&["apply", world.file().to_str().unwrap()]).exits(9).explains("terminal");
    assert_eq!(world.tree.files(), before);
}

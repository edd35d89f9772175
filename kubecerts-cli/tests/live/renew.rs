//! What a renewal restarts, and what it leaves alone.

use std::collections::BTreeMap;
use std::time::Instant;

use kubecerts_core::catalog::Component;

use crate::boxed::boxed;
use crate::node::{Node, is_let_in};

#[test]
fn only_what_holds_its_credential_is_restarted() {
    boxed(|parts| {
        let node = Node::well(parts, &[]);
        let before = node.usages().runs();
        let begun = Instant::now();
        node.run(&["renew", "--all", "--yes", "--restart"]).exits(0);
        let took = begun.elapsed().as_secs_f64();
        node.run(&["verify"]).exits(0);
        let after = node.usages().runs();
        assert_eq!(changed(&before, &after), HOLDERS);
        is_let_in(10257);
        is_let_in(10259);
        eprintln!("live: renew --restart with {}: 2 of 5 programs restarted, {took:.0} s", node.runtime());

        let begun = Instant::now();
        node.run(&["renew", "--all", "--yes", "--restart=never"]).exits(0);
        let stale = node.run(&["verify"]).exits(5);
        for component in HOLDERS {
            assert!(stale.stderr.contains(component), "{}", stale.stderr);
        }
        assert_eq!(node.usages().with("stale"), HOLDERS);
        assert_eq!(node.usages().runs(), after, "nothing was to be restarted");
        node.run(&["restart", "--yes"]).exits(0);
        node.run(&["verify"]).exits(0);
        assert_eq!(changed(&after, &node.usages().runs()), HOLDERS);
        is_let_in(10257);
        is_let_in(10259);
        let took = begun.elapsed().as_secs_f64();
        eprintln!("live: renew --restart=never, seen as stale, then restart: {took:.0} s");
    });
}

#[test]
fn an_api_server_that_holds_its_credential_is_restarted_when_it_was_waited_for() {
    boxed(|parts| {
        let node = Node::well(parts, &[(Component::ApiServer, "holds")]);
        let before = node.usages().runs();
        let begun = Instant::now();
        let outcome = node.run(&["renew", "--all", "--yes", "--restart", "--timeout", "15s"]).exits(0);
        let took = begun.elapsed().as_secs_f64();
        assert!(outcome.stderr.contains("another one is served"), "{}", outcome.stderr);
        let restarted = changed(&before, &node.usages().runs());
        assert_eq!(restarted, ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]);
        node.run(&["verify"]).exits(0);
        eprintln!("live: an API server that holds its credential was restarted: {took:.0} s");
    });
}

#[test]
fn manifests_are_moved_away_and_back_where_there_is_no_runtime_to_ask() {
    boxed(|parts| {
        let node = Node::well(parts, &[]);
        let before = node.usages().runs();
        let begun = Instant::now();
        node.run(&["renew", "--all", "--yes", "--restart", "--runtime", "manifest"]).exits(0);
        let took = begun.elapsed().as_secs_f64();
        node.run(&["verify"]).exits(0);
        assert_eq!(changed(&before, &node.usages().runs()), HOLDERS);
        eprintln!("live: renew --restart by moving manifests: {took:.0} s");
    });
}

#[test]
fn an_api_server_that_answers_401_is_up() {
    boxed(|parts| {
        let node = Node::well(parts, &[(Component::ApiServer, "answers-401")]);
        node.run(&["renew", "--all", "--yes", "--restart"]).exits(0);
        node.run(&["verify"]).exits(0);
        eprintln!("live: an API server that answers 401 counts as up");
    });
}

/// Returns the components of which something else runs.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    assert!(before.keys().eq(after.keys()), "{before:?} {after:?}");
    before.iter().filter(|(name, run)| after[*name] != **run).map(|(name, _)| name.clone()).collect()
}

/// Those that embed a credential.
const HOLDERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

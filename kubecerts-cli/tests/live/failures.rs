//! A component that does not come back costs nothing but a restart: the old files are put back.

use std::fs;
use std::time::Instant;

use kubecerts_core::catalog::Component;

use crate::boxed::boxed;
use crate::manifests::HABITS;
use crate::node::{Node, files, habit, identity, is_let_in};

/// Renews and restarts; no component may take long.
const RENEW: [&str; 6] = ["renew", "--all", "--yes", "--restart", "--timeout", "12s"];

#[test]
fn a_component_that_never_comes_back_has_the_old_files_put_back_and_the_others_use_them() {
    boxed(|parts| {
        let broken = format!("never-comes-back-after={HABITS}/broken");
        let node = Node::well(parts, &[(Component::Scheduler, &broken)]);
        let before = files();
        habit("broken", b"");
        let begun = Instant::now();
        let outcome = node.run(&RENEW).exits(7);
        let took = begun.elapsed().as_secs_f64();
        assert!(outcome.stderr.contains("kube-scheduler has not come back"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("the old files were put back"), "{}", outcome.stderr);
        assert!(files() == before, "not every file is as it was");
        let usages = node.usages();
        assert_eq!(usages.with("stale"), [""; 0]);
        assert_eq!(usages.unsettled(), ["kube-scheduler"]);
        is_let_in(10257);
        assert_eq!(identity("/etc/kubernetes/admin.conf")["user"], "kubernetes-admin");
        eprintln!(
            "live: a scheduler that never comes back: exit 7, old files in use by the others, {took:.0} s"
        );
    });
}

#[test]
fn a_component_that_dies_of_its_new_credential_comes_back_with_the_old_one() {
    boxed(|parts| {
        let wants = format!("wants-kubeconfig={HABITS}/scheduler.conf");
        let node = Node::well(parts, &[(Component::Scheduler, &wants)]);
        let before = files();
        habit("scheduler.conf", &before["/etc/kubernetes/scheduler.conf"]);
        let begun = Instant::now();
        let outcome = node.run(&RENEW).exits(7);
        let took = begun.elapsed().as_secs_f64();
        assert!(
            outcome.stderr.contains("the old files were put back and are in use again"),
            "{}",
            outcome.stderr
        );
        assert!(files() == before, "not every file is as it was");
        node.run(&["verify"]).exits(0);
        is_let_in(10257);
        is_let_in(10259);
        eprintln!(
            "live: a scheduler that dies of its new credential: exit 7, all use the old files, {took:.0} s"
        );
    });
}

#[test]
fn an_api_server_that_comes_back_with_its_old_certificate_has_it_put_back() {
    boxed(|parts| {
        let old = format!("serves-old={HABITS}/old");
        let node = Node::well(parts, &[(Component::ApiServer, "holds"), (Component::ApiServer, &old)]);
        let before = files();
        for name in ["apiserver.crt", "apiserver.key"] {
            habit(&format!("old/{name}"), &fs::read(format!("/etc/kubernetes/pki/{name}")).unwrap());
        }
        let begun = Instant::now();
        let outcome = node.run(&RENEW).exits(7);
        let took = begun.elapsed().as_secs_f64();
        assert!(outcome.stderr.contains("kube-apiserver has not come back"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("another one is served"), "{}", outcome.stderr);
        assert!(files() == before, "not every file is as it was");
        assert_eq!(identity("/etc/kubernetes/admin.conf")["user"], "kubernetes-admin");
        // They were not reached and hold what was put back; only a restart proves that.
        node.run(&["restart", "--yes"]).exits(0);
        node.run(&["verify"]).exits(0);
        eprintln!(
            "live: an API server that serves its old certificate: exit 7, all use the old files, {took:.0} s"
        );
    });
}

#[test]
fn nothing_is_stopped_while_the_kubelet_is_dead() {
    boxed(|parts| {
        let node = Node::well(parts, &[]);
        node.stop_kubelet();
        let before = node.running();
        let outcome = node.run(&RENEW).exits(6);
        assert!(outcome.stderr.contains("kubelet does not run"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("systemctl start kubelet"), "{}", outcome.stderr);
        assert_eq!(node.running(), before);
        node.start_kubelet();
        node.run(&["restart", "--yes"]).exits(0);
        node.run(&["verify"]).exits(0);
        eprintln!("live: nothing is stopped while the kubelet is dead: exit 6");
    });
}

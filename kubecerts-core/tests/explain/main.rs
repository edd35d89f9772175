//! Lines of real programs, and what they are explained as.

#![expect(clippy::disallowed_methods, reason = "the logs are files of the project")]

mod damaged;
mod field;
mod lines;
mod outage;
mod support;

use crate::support::*;
use kubecerts_core::catalog::{CaSlot, Component, FileSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::{Impact, Remedy};
use kubecerts_core::explain::{Advice, Culprit, Explainer, Symptom};
use kubecerts_core::inventory::{FoundKind, Inventory, Place};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_testkit::{Seeded, TreeBuilder, at, path};

fn authentication(serial: &str, key: &str, end: &str) -> String {
    format!(
        "E0601 00:00:00.000000 1 authentication.go:63] \"Unable to authenticate the request\" err=\"[x509: certificate has expired or is \
         not yet valid: current time 2026-06-01T00:00:00Z is after {end}, verifying certificate SN={serial}, SKID=, AKID={key} failed: \
         x509: certificate has expired or is not yet valid: current time 2026-06-01T00:00:00Z is after {end}]\""
    )
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn key_of(inventory: &Inventory, ca: CaSlot) -> String {
    let signer = inventory.authority(ca).signer().expect("the tree has it");
    colons(signer.subject_key_identifier().expect("kubeadm gives it"))
}

#[test]
fn a_serial_number_of_the_tree_leads_to_its_file() {
    let inventory = healthy();
    let key = key_of(&inventory, CaSlot::Cluster);
    for slot in [SCHEDULER, MANAGER, ADMIN] {
        let leaf =
            inventory.credential(slot).and_then(|credential| credential.leaf()).expect("the tree has it");
        let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
        let report = explained(None, &[&line], &inventory, OVER);
        assert_eq!(only(&report).answer.culprit, current(slot));
        assert_eq!(only(&report).answer.advice[0], renew(slot));
        assert_eq!(report.impact(), Impact::Unusable);
        // While it is valid, whoever refuses it has another time.
        let report = explained(None, &[&line], &inventory, VALID);
        assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::SetClock)]);
    }
}

#[test]
fn a_serial_number_in_a_copy_of_a_kubeconfig_leads_to_the_copy() {
    let mut tree = TreeBuilder::kubeadm().build();
    let old = TreeBuilder::kubeadm().seed(2).made(at("2025-01-01T00:00:00Z")).build();
    tree.write(&path("/root/.kube/config"), old.read_file("/etc/kubernetes/admin.conf"), 0o600);
    let inventory = tree.inventory();
    let place = Place::Copy(path("/root/.kube/config"));
    let leaf = inventory
        .credentials()
        .find(|(found, _)| **found == place)
        .and_then(|(_, credential)| credential.leaf());
    let leaf = leaf.expect("the copy is read");
    let key = colons(leaf.authority_key_identifier().expect("kubeadm gives it"));
    let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
    let report = explained(None, &[&line], &inventory, VALID);
    assert_eq!(only(&report).answer.culprit, Culprit::Current(place));
    assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::RefreshCopy(path("/root/.kube/config")))]);
}

#[test]
fn an_unknown_serial_number_of_our_authority_names_those_who_keep_theirs_in_memory() {
    let inventory = healthy();
    let key = key_of(&inventory, CaSlot::Cluster);
    let line = authentication("7385935559219004232", &key, "2026-01-01T00:00:00Z");
    let report = explained(None, &[&line], &inventory, VALID);
    let answer = &only(&report).answer;
    assert!(
        matches!(&answer.culprit, Culprit::OneOf(slots) if slots.contains(&MANAGER) && slots.contains(&SCHEDULER))
    );
    assert_eq!(
        answer.advice,
        [Advice::Verify, restart(Component::ControllerManager), restart(Component::Scheduler)]
    );
    assert!(answer.proof.iter().any(|line| line.contains("the authority ca of this node has signed it")));
    // The one that complains itself is the one.
    let other = "E0601 00:00:00.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized";
    let report = explained(None, &[&line, other], &inventory, VALID);
    let expired =
        report.explanations.iter().find(|explanation| explanation.evidence.symptom == Symptom::Expired);
    assert_eq!(
        expired.map(|explanation| &explanation.answer.culprit),
        Some(&Culprit::OneOf(vec![SCHEDULER]))
    );
}

#[test]
fn repeats_are_counted_and_keep_their_first_and_last_time() {
    let mut explainer = Explainer::new();
    for minute in 0..60 {
        explainer.line(
            format!("2026-05-31T10:{minute:02}:00.5Z stderr F E0531 10:{minute:02}:00.500000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized\n").as_bytes(),
        );
    }
    let report = explainer.finish(&healthy(), at(VALID));
    let only = only(&report);
    assert_eq!(
        (only.count, only.first, only.last),
        (60, Some(at("2026-05-31T10:00:00Z")), Some(at("2026-05-31T10:59:00Z")))
    );
}

#[test]
fn lines_that_are_not_understood_are_counted_and_shown() {
    let lines = ["E0601 00:00:00.000000 1 x.go:1] x509: something new about a certificate"; 7];
    let report = explained(None, &lines, &healthy(), VALID);
    assert_eq!((report.unknown, report.unknown_samples.len(), report.explanations.len()), (7, 1, 0));
}

#[test]
fn a_flood_of_different_lines_stays_bounded_and_nothing_is_lost() {
    let inventory = healthy();
    let mut explainer = Explainer::new();
    let count = 20_000_u64;
    for serial in 0..count {
        explainer.line(authentication(&serial.to_string(), "", "2026-01-01T00:00:00Z").as_bytes());
    }
    let report = explainer.finish(&inventory, at(VALID));
    assert!(report.explanations.len() < 3000, "{}", report.explanations.len());
    assert_eq!(report.explanations.iter().map(|explanation| explanation.count).sum::<u64>(), count);
    assert!(report.crowded > 0);
}

#[test]
fn hostile_lines_are_survived_and_shown_without_control_characters_and_tokens() {
    let inventory = healthy();
    let mut explainer = Explainer::new();
    let long = [b"x509: certificate ".as_slice(), &vec![b'a'; 200_000]].concat();
    explainer.line(&long);
    explainer.line(b"\xff\xfe\0 x509: certificate has expired \x1b[31m\xe2\x80\xae token eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln \0");
    let nested = "{\"log\":\"".repeat(2000) + "x509: certificate has expired";
    explainer.line(nested.as_bytes());
    explainer.line(format!("time=x msg=\"{}x509: certificate", "\\\"".repeat(9000)).as_bytes());
    let report = explainer.finish(&inventory, at(VALID));
    assert_eq!(report.cut, 1);
    let shown: String = report
        .explanations
        .iter()
        .map(|explanation| explanation.sample.as_str())
        .chain(report.unknown_samples.iter().map(String::as_str))
        .collect();
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert!(!shown.contains("eyJ"), "{shown}");
    assert!(shown.contains("[secret]"), "{shown}");
}

#[test]
fn without_a_tree_lines_are_explained_all_the_same() {
    let inventory = kubecerts_testkit::MemoryTree::default().inventory();
    for (line, now, symptom, ..) in lines::table() {
        let report = explained(None, &[line], &inventory, now);
        assert!(!report.has_tree);
        assert_eq!(only(&report).evidence.symptom, symptom, "{line}");
        assert!(!only(&report).answer.meaning.is_empty());
    }
}

#[test]
fn a_key_that_does_not_fit_is_found_in_the_tree() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy("/etc/kubernetes/pki/etcd/peer.key", "/etc/kubernetes/pki/etcd/server.key");
    let report = explained(None, &["tls: private key does not match public key"], &tree.inventory(), VALID);
    assert_eq!(only(&report).answer.culprit, current(ETCD_SERVER));
    assert_eq!(only(&report).answer.advice[0], renew(ETCD_SERVER));
}

#[test]
fn a_kubelet_whose_credential_is_over_is_recovered() {
    let lines = [
        "E0601 00:00:00.000000 911 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01 00:00:00 +0000 UTC",
        "E0601 00:00:00.000000 911 run.go:74] \"command failed\" err=\"failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory\"",
    ];
    let report = explained(None, &lines, &healthy(), OVER);
    assert_eq!(report.explanations.len(), 2);
    for explanation in &report.explanations {
        assert_eq!(explanation.answer.advice, [Advice::RecoverKubelet]);
    }
    assert_eq!(report.impact(), Impact::Unusable);
}

#[test]
fn a_missing_file_is_restored() {
    let tree = TreeBuilder::kubeadm().without(FileSlot::LeafCertificate(LeafSlot::ApiServer)).build();
    let line = "open /etc/kubernetes/pki/apiserver.crt: no such file or directory";
    let report = explained(None, &[line], &tree.inventory(), VALID);
    let file = FileSlot::LeafCertificate(LeafSlot::ApiServer);
    assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::Restore(file))]);
}

#[test]
fn a_time_without_a_year_is_the_last_one_that_there_was() {
    let inventory = healthy();
    for (now, first) in [(VALID, "2025-12-31T23:59:58Z"), ("2027-01-01T00:00:00Z", "2026-12-31T23:59:58Z")] {
        let line = "E1231 23:59:58.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized";
        let report = explained(None, &[line], &inventory, now);
        assert_eq!(only(&report).first, Some(at(first)));
    }
}

#[test]
fn a_log_over_new_year_begins_in_the_old_year() {
    let mut explainer = Explainer::new();
    for time in ["1231 23:59:58", "0101 00:00:01", "0102 10:00:00"] {
        let line = format!(
            "E{time}.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized"
        );
        explainer.line(line.as_bytes());
    }
    let report = explainer.finish(&healthy(), at("2027-01-03T00:00:00Z"));
    let span = (only(&report).first, only(&report).last);
    assert_eq!(span, (Some(at("2026-12-31T23:59:58Z")), Some(at("2027-01-02T10:00:00Z"))));
}

#[test]
fn who_cannot_authenticate_a_request_need_not_be_the_api_server() {
    let inventory = healthy();
    let line = authentication("7385935559219004232", "", "2026-01-01T00:00:00Z");
    assert_eq!(only(&explained(None, &[&line], &inventory, VALID)).evidence.program, None);
    let of = |source| {
        let report = explained(Some(source), &[&line], &inventory, VALID);
        only(&report).evidence.program.as_ref().map(|program| program.name().to_owned())
    };
    assert_eq!(of("kube-apiserver.log").as_deref(), Some("kube-apiserver"));
    assert_eq!(of("metrics-server.log").as_deref(), Some("metrics-server"));
}

#[test]
fn the_key_that_signed_it_tells_whose_clients_are_meant() {
    let inventory = healthy();
    let line = |ca| authentication("7385935559219004232", &key_of(&inventory, ca), "2026-01-01T00:00:00Z");
    let report = explained(None, &[&line(CaSlot::FrontProxy)], &inventory, VALID);
    let earlier = Culprit::Earlier { slot: Some(FRONT_PROXY), file: None };
    assert_eq!(only(&report).answer.culprit, earlier);
    let report = explained(None, &[&line(CaSlot::Etcd)], &inventory, VALID);
    let healthcheck = Slot::Leaf(LeafSlot::EtcdHealthcheckClient);
    assert_eq!(only(&report).answer.culprit, Culprit::OneOf(vec![ETCD_CLIENT, healthcheck, ETCD_PEER]));
}

#[test]
fn where_no_kubeconfig_is_involved_none_is_blamed() {
    let inventory = healthy();
    for (source, line, setting) in [
        (
            "kube-apiserver.log",
            "W0601 00:00:00.000000 1 logging.go:59] [core] grpc: addrConn.createTransport failed to connect to {Addr: \"127.0.0.1:2379\"}. Err: connection error: desc = \"transport: authentication handshake failed: x509: certificate signed by unknown authority\"",
            "--etcd-cafile of kube-apiserver names has another authority than etcd-ca",
        ),
        (
            "kube-apiserver.log",
            "E0601 00:00:00.000000 1 status.go:71] apiserver received an error: Get \"https://cp-1:10250/containerLogs/a/b/c\": x509: certificate signed by unknown authority",
            "--kubelet-certificate-authority of kube-apiserver",
        ),
        (
            "etcd.log",
            "{\"level\":\"warn\",\"msg\":\"health check for peer failed\",\"error\":\"x509: certificate signed by unknown authority\"}",
            "--peer-trusted-ca-file of etcd names has another authority than etcd-ca",
        ),
    ] {
        let report = explained(Some(source), &[line], &inventory, VALID);
        let answer = &only(&report).answer;
        assert!(answer.meaning.contains(setting), "{}", answer.meaning);
        assert!(!answer.advice.contains(&Advice::Mend(Remedy::UpdateTrust)), "{:?}", answer.advice);
    }
}

#[test]
fn an_administrator_who_may_do_nothing_is_seen_in_json_too() {
    let line = r#"{"ts":1780272000000.0,"msg":"failed","err":"nodes is forbidden: User \"kubernetes-admin\" cannot list"}"#;
    assert_eq!(only(&explained(None, &[line], &healthy(), VALID)).evidence.symptom, Symptom::AdminForbidden);
}

#[test]
fn what_ends_later_is_not_said_to_have_expired() {
    let inventory = healthy();
    let leaf = inventory.credential(SCHEDULER).and_then(|found| found.leaf()).expect("the tree has it");
    let key = key_of(&inventory, CaSlot::Cluster);
    for (serial, end) in [
        (leaf.serial().to_decimal(), "2026-04-01T00:00:00Z".to_owned()),
        ("7385935559219004232".to_owned(), leaf.not_after().to_string()),
    ] {
        let line = authentication(&serial, &key, &end);
        let report = explained(None, &[&line], &inventory, VALID);
        assert!(!only(&report).answer.meaning.contains("expired 2027"), "{}", only(&report).answer.meaning);
    }
}

#[test]
fn each_log_may_tell_late_who_writes_it() {
    let mut explainer = Explainer::new();
    explainer.source("a.log");
    (0..20_000).for_each(|_| explainer.line(b"nothing"));
    explainer.source("b.log");
    explainer.line(b"I0601 00:00:00.000000 1 garbagecollector.go:151] Starting garbage collector controller");
    explainer.line(b"E0601 00:00:00.000000 1 reflector.go:138] failed to list *v1.Node: Unauthorized");
    let report = explainer.finish(&healthy(), at(VALID));
    assert_eq!(only(&report).answer.culprit, current(MANAGER));
}

#[test]
fn a_backup_that_still_has_an_earlier_certificate_is_named() {
    let mut tree = TreeBuilder::kubeadm().made(at("2025-06-01T00:00:00Z")).build();
    let kept = path("/etc/kubernetes/scheduler.conf.bak");
    tree.copy("/etc/kubernetes/scheduler.conf", kept.as_str());
    let old = tree.inventory();
    let leaf = old.credential(SCHEDULER).and_then(|found| found.leaf()).expect("the tree has it").clone();
    let request = PlanRequest::with_selection(Selection::All);
    tree.renew(&request, at("2026-05-01T00:00:00Z"), &mut Seeded::provider(3));
    let inventory = tree.inventory_around();
    let key = key_of(&inventory, CaSlot::Cluster);
    let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
    let report = explained(None, &[&line], &inventory, "2026-06-02T00:00:00Z");
    let answer = &only(&report).answer;
    let file = Some((FoundKind::Backup, kept));
    assert_eq!(answer.culprit, Culprit::Earlier { slot: Some(SCHEDULER), file });
    assert!(answer.advice.contains(&restart(Component::Scheduler)), "{:?}", answer.advice);
}

#[test]
fn a_copy_of_a_certificate_file_is_replaced_by_its_original_and_no_kubeconfig_is_refreshed() {
    let original = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
    let (inventory, line) = renewed_beside_a_copy(original, "/etc/calico/certs/etcd-client.crt");
    let report = explained(None, &[&line], &inventory, "2026-06-02T00:00:00Z");
    let answer = &only(&report).answer;
    let file = Some((FoundKind::Copy, path("/etc/calico/certs/etcd-client.crt")));
    assert_eq!(answer.culprit, Culprit::Earlier { slot: Some(ETCD_CLIENT), file });
    let Advice::Mend(Remedy::ReplaceCopy { copy, source, .. }) = &answer.advice[0] else {
        panic!("{:?}", answer.advice);
    };
    assert_eq!((copy.as_str(), source.as_str()), ("/etc/calico/certs/etcd-client.crt", original));
}

#[test]
fn a_copy_of_a_kubeconfig_that_no_refresh_reaches_is_looked_at() {
    let copy = "/etc/cni/net.d/calico-kubeconfig";
    let (inventory, line) = renewed_beside_a_copy("/etc/kubernetes/admin.conf", copy);
    let report = explained(None, &[&line], &inventory, "2026-06-02T00:00:00Z");
    assert_eq!(only(&report).answer.advice[0], Advice::Mend(Remedy::Inspect(path(copy))));
}

/// Returns a node after a renewal of which a copy knows nothing, and a line about the certificate in the copy.
fn renewed_beside_a_copy(original: &str, copy: &str) -> (Inventory, String) {
    let mut tree = TreeBuilder::kubeadm().made(at("2025-06-01T00:00:00Z")).build();
    tree.copy(original, copy);
    let old = tree.inventory();
    let leaf = old.credentials().find(|(_, found)| found.certificate_file().path.as_str() == original);
    let leaf = leaf.and_then(|(_, credential)| credential.leaf()).expect("the tree has it").clone();
    tree.renew(
        &PlanRequest::with_selection(Selection::All),
        at("2026-05-01T00:00:00Z"),
        &mut Seeded::provider(3),
    );
    let inventory = tree.inventory_around();
    let key = colons(leaf.authority_key_identifier().expect("kubeadm gives it"));
    let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
    (inventory, line)
}

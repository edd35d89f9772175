//! The health of a real etcd: one member, and three on the loopback.
//!
//! `etcd` is taken from `PATH`; where it is missing the tests are skipped and say so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::observation::{ClusterHealth, WellBeing};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{AlternativeName, AlternativeNames, DistinguishedName};
use kubecerts_host::etcd::{EtcdError, cluster_health};
use kubecerts_host::now;
use kubecerts_testkit::{MemoryTree, TreeBuilder};
use rustix::process::Signal;
use support::{ETCD_PKI, Etcd, PATIENCE, member, write};
use tempfile::TempDir;

mod support;

#[test]
fn a_single_member_is_well_and_may_stop() {
    let tree = tree();
    let Some((etcd, _directory)) = single(&tree) else { return };
    let health = cluster_health(&member(&etcd.url(), &tree), PATIENCE).unwrap();
    assert_eq!(health.members, [("cp-1".to_owned(), WellBeing::Here)]);
    assert!(health.has_quorum() && health.may_stop_this_one());
}

#[test]
fn three_members_have_a_quorum_until_two_of_them_hang() {
    let nodes = ["cp-1", "cp-2", "cp-3"].map(node);
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let pki: Vec<_> = nodes.iter().zip(&directories).map(|(tree, at)| write(tree, at.path())).collect();
    let Some(etcd) = Etcd::start(&[("cp-1", &pki[0]), ("cp-2", &pki[1]), ("cp-3", &pki[2])]) else { return };
    let here = member(&etcd[0].url(), &nodes[0]);

    // Until the members know each other's URLs for clients.
    let all = until(|| cluster_health(&here, PATIENCE).unwrap(), |health| health.well() == 3);
    assert_eq!(beings(&all), ["cp-1 here", "cp-2 well", "cp-3 well"]);
    assert!(all.has_quorum() && all.may_stop_this_one());

    // The one that leads may be the one that hangs: then the others need an election first.
    etcd[2].signal(Signal::STOP);
    let two = until(|| cluster_health(&here, SHORT).unwrap(), |health| health.well() == 2);
    let late = unwell(&two, "cp-3");
    assert!(late.contains("did not answer within"), "{late}");
    assert!(two.has_quorum() && !two.may_stop_this_one());

    etcd[1].signal(Signal::STOP);
    let begun = Instant::now();
    let one = until(|| cluster_health(&here, SHORT).unwrap(), |health| health.well() == 0);
    assert!(begun.elapsed() < PATIENCE, "every question ends at its deadline");
    let alone = unwell(&one, "cp-1");
    assert!(alone.contains("read with a quorum") || alone.contains("no leader"), "{alone}");
    assert!(!one.has_quorum());

    for other in &etcd[1..] {
        other.signal(Signal::CONT);
    }
    let again = until(|| cluster_health(&here, SHORT).unwrap(), |health| health.well() == 3);
    assert!(again.may_stop_this_one());
}

#[test]
fn a_member_with_a_certificate_of_its_own_past_is_not_well() {
    let mut nodes = ["cp-1", "cp-2"].map(node);
    expire(&mut nodes[1], "server");
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let pki: Vec<_> = nodes.iter().zip(&directories).map(|(tree, at)| write(tree, at.path())).collect();
    let Some(etcd) = Etcd::start(&[("cp-1", &pki[0]), ("cp-2", &pki[1])]) else { return };
    let ask = || cluster_health(&member(&etcd[0].url(), &nodes[0]), SHORT).unwrap();
    let health = until(ask, |health| health.well() == 1 && unwell(health, "cp-2").contains("expired"));
    let reason = unwell(&health, "cp-2");
    assert!(reason.starts_with(&format!("no TLS with etcd at {}: invalid peer", etcd[1].url())), "{reason}");
}

#[test]
fn where_nothing_listens_nobody_can_be_asked() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}");
    let error = cluster_health(&member(&url, &tree()), PATIENCE).unwrap_err();
    assert!(matches!(&error, EtcdError::Unreachable { endpoint, .. } if *endpoint == url), "{error}");
}

#[test]
fn a_member_that_hangs_cannot_be_asked() {
    let tree = tree();
    let Some((etcd, _directory)) = single(&tree) else { return };
    etcd.signal(Signal::STOP);
    let error = cluster_health(&member(&etcd.url(), &tree), SHORT).unwrap_err();
    assert!(matches!(error, EtcdError::Deadline { .. }), "{error}");
}

#[test]
fn an_expired_client_is_refused_and_the_error_says_that_it_is_expired() {
    let mut tree = tree();
    let Some((etcd, _directory)) = single(&tree) else { return };
    expire(&mut tree, "healthcheck-client");
    let error = cluster_health(&member(&etcd.url(), &tree), PATIENCE).unwrap_err();
    assert!(
        matches!(&error, EtcdError::Tls { detail, .. }
            if detail.contains("alert") && detail.contains("the client's own certificate expired ")),
        "{error}"
    );
}

#[test]
fn an_expired_member_is_refused_and_the_error_says_that_it_is_expired() {
    let mut tree = tree();
    expire(&mut tree, "server");
    let Some((etcd, _directory)) = single(&tree) else { return };
    let error = cluster_health(&member(&etcd.url(), &tree), PATIENCE).unwrap_err();
    assert!(
        matches!(&error, EtcdError::Tls { detail, .. }
            if detail.starts_with("invalid peer certificate: certificate expired")),
        "{error}"
    );
}

fn single(tree: &MemoryTree) -> Option<(Etcd, TempDir)> {
    let directory = tempfile::tempdir().unwrap();
    let mut started = Etcd::start(&[("cp-1", &write(tree, directory.path()))])?;
    Some((started.remove(0), directory))
}

fn tree() -> MemoryTree {
    TreeBuilder::kubeadm().made(now()).build()
}

/// Returns the tree of the node `name`, whose authorities are those of every other node.
fn node(name: &str) -> MemoryTree {
    let mut tree = tree();
    for leaf in ["server", "peer"] {
        tree.redraft(&format!("{ETCD_PKI}{leaf}.crt"), CA_KEY, |draft| {
            draft.subject = DistinguishedName::kubeadm(name, &[]);
            let names = draft.alternative_names.as_slice().iter().map(|old| match old {
                AlternativeName::Dns(dns) if dns == "cp-1" => AlternativeName::Dns(name.to_owned()),
                old => old.clone(),
            });
            draft.alternative_names = AlternativeNames::new(names.collect());
        });
    }
    tree
}

/// Makes the certificate of `leaf` one that ended yesterday.
fn expire(tree: &mut MemoryTree, leaf: &str) {
    tree.redraft(&format!("{ETCD_PKI}{leaf}.crt"), CA_KEY, |draft| {
        draft.not_before = now().minus(Seconds::from_days(366));
        draft.not_after = now().minus(Seconds::from_days(1));
    });
}

/// Asks until the answer is the one that is waited for.
fn until(ask: impl Fn() -> ClusterHealth, done: impl Fn(&ClusterHealth) -> bool) -> ClusterHealth {
    let begun = Instant::now();
    loop {
        let health = ask();
        if done(&health) {
            return health;
        }
        assert!(begun.elapsed() < PATIENCE, "{health:?}");
        sleep(Duration::from_millis(100));
    }
}

fn beings(health: &ClusterHealth) -> Vec<String> {
    let being = |being: &WellBeing| match being {
        WellBeing::Here => "here".to_owned(),
        WellBeing::Well => "well".to_owned(),
        WellBeing::Unwell(reason) => reason.clone(),
    };
    health.members.iter().map(|(name, of)| format!("{name} {}", being(of))).collect()
}

/// Returns why the member `name` is not well, or an empty text.
fn unwell<'a>(health: &'a ClusterHealth, name: &str) -> &'a str {
    health.members.iter().find(|(found, _)| found == name).map_or("", |(_, being)| match being {
        WellBeing::Unwell(reason) => reason,
        WellBeing::Here | WellBeing::Well => "",
    })
}

const CA_KEY: &str = "/etc/kubernetes/pki/etcd/ca.key";

/// Long enough for a member that is well on a busy machine, and short enough to wait for one that is not.
const SHORT: Duration = Duration::from_secs(3);

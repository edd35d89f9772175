//! Controller-manager and scheduler.

use kubecerts_core::plan::PlanRequest;
use kubecerts_core::time::Seconds;
use kubecerts_standin_server::StandIn;
use kubecerts_testkit::{MemoryTree, Seeded};

use crate::support::{Node, eventually, get, now, shown, start, tree};

const CERTIFICATE: &str = "/etc/kubernetes/pki/apiserver.crt";

fn scheduler(node: &Node, apiserver: &StandIn) -> StandIn {
    let flags = [
        "kube-scheduler".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        "--leader-elect=true".to_owned(),
        node.flag("kubeconfig", "etc/kubernetes/scheduler.conf"),
    ];
    start(flags, &[&format!("--stand-in=api-server={}", apiserver.addresses()[0])]).unwrap()
}

/// Returns a tree whose clients are expired while the API server is not.
fn dead() -> MemoryTree {
    let mut tree = tree(400, 7);
    tree.redraft(CERTIFICATE, "/etc/kubernetes/pki/ca.key", |leaf| {
        leaf.not_after = now().plus(Seconds::from_days(30));
    });
    tree
}

/// Returns what the component tells of its credential once it has called `calls` times.
fn credential(component: &StandIn, calls: u64) -> String {
    eventually("the call", || {
        let (_, body) = get(component.addresses()[0], None, "/stand-in/credential").unwrap();
        let made: u64 = body.split_once("\"calls\":")?.1.trim_end_matches('}').parse().unwrap();
        (made >= calls).then_some(body)
    })
}

#[test]
fn an_embedded_credential_stays_in_use_until_the_restart() {
    let old = dead();
    let node = Node::new(&old);
    let apiserver = node.apiserver(&[]).unwrap();
    let stale = scheduler(&node, &apiserver);
    let before = credential(&stale, 1);
    assert!(before.contains("\"answer\":\"401 Unauthorized\""), "{before}");
    assert_eq!(get(stale.addresses()[0], None, "/healthz").unwrap(), (200, "ok".to_owned()));

    let mut new = old.clone();
    new.renew(&PlanRequest::default(), now(), &mut Seeded::provider(9));
    node.write(&new);
    let still = credential(&stale, 4);
    assert!(still.contains("\"answer\":\"401 Unauthorized\""), "{still}");
    assert_eq!(before.split("\"answer\"").next(), still.split("\"answer\"").next());

    drop(stale);
    let fresh = credential(&scheduler(&node, &apiserver), 1);
    assert!(fresh.contains("\"answer\":\"200 OK\""), "{fresh}");
    assert_ne!(before.split("\"answer\"").next(), fresh.split("\"answer\"").next());
}

#[test]
fn its_own_certificate_is_made_anew_at_each_start() {
    let node = Node::new(&tree(0, 1));
    let apiserver = node.apiserver(&[]).unwrap();
    let serials = [(); 2].map(|()| {
        let leaf = shown(scheduler(&node, &apiserver).addresses()[0]).unwrap();
        let name = leaf.subject().common_name().unwrap();
        assert!(name.starts_with("localhost@"), "{name}");
        assert_eq!(leaf.issuer().common_name().unwrap(), name.replace("localhost", "localhost-ca"));
        leaf.serial().clone()
    });
    assert_ne!(serials[0], serials[1]);
}

#[test]
fn it_outlives_an_api_server_that_is_gone() {
    let node = Node::new(&tree(0, 1));
    let apiserver = node.apiserver(&[]).unwrap();
    let component = scheduler(&node, &apiserver);
    assert!(credential(&component, 1).contains("\"answer\":\"200 OK\""));
    drop(apiserver);
    eventually("the failure", || credential(&component, 1).contains("unreachable").then_some(()));
    assert_eq!(get(component.addresses()[0], None, "/healthz").unwrap().0, 200);
}

//! What certificates are seen, whatever they are like.

use std::net::TcpListener;

use kubecerts_core::catalog::Service;
use kubecerts_core::observation::{Handshake, Served};
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::x509::{AlternativeName, AlternativeNames, KeyAlgorithm};
use kubecerts_host::probe::handshake;
use kubecerts_testkit::{MemoryTree, TreeBuilder, at};

use super::server::{Client, PATIENCE, Server, Tls, VERSIONS, pair};

fn served(tls: Tls) -> Served {
    let server = Server::with_tls(tls, |_, _| {});
    let seen = handshake(&server.endpoint(Service::ApiServer), PATIENCE);
    seen.served().unwrap_or_else(|| panic!("{seen:?}")).clone()
}

/// Checks that the API server's certificate of `tree` is seen, and that its key is known to be there.
fn is_seen(tree: &MemoryTree) {
    let expected = tree.certificate(&pair("apiserver").0);
    for versions in VERSIONS {
        let served = served(Tls::of(tree, "apiserver").versions(versions));
        assert_eq!(served.leaf.unwrap(), expected);
        assert_eq!((served.further, served.has_key, served.asks_for_client), (0, true, false));
    }
}

#[test]
fn a_certificate_is_seen_with_every_kind_of_key() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        is_seen(&TreeBuilder::kubeadm().algorithm(algorithm).build());
    }
}

#[test]
fn an_expired_certificate_is_seen() {
    is_seen(&TreeBuilder::kubeadm().made(at("2001-01-01T00:00:00Z")).build());
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_seen() {
    is_seen(&TreeBuilder::kubeadm().made(at("2091-01-01T00:00:00Z")).build());
}

#[test]
fn a_self_signed_certificate_is_seen() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (certificate, key) = pair("apiserver");
    tree.redraft(&certificate, &key, |draft| draft.issuer = draft.subject.clone());
    is_seen(&tree);
}

#[test]
fn a_certificate_without_names_is_seen() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.redraft(&pair("apiserver").0, &pair("ca").1, |draft| {
        draft.alternative_names = AlternativeNames::default();
    });
    is_seen(&tree);
}

#[test]
fn a_server_that_demands_a_client_certificate_has_shown_its_own() {
    let tree = TreeBuilder::kubeadm().build();
    for versions in VERSIONS {
        for client in [Client::Welcome, Client::Demanded] {
            let served = served(Tls::of(&tree, "etcd/server").versions(versions).client(client));
            assert_eq!(served.leaf.unwrap(), tree.certificate(&pair("etcd/server").0));
            assert_eq!((served.has_key, served.asks_for_client), (true, true), "{client:?}");
        }
    }
}

#[test]
fn the_certificates_that_follow_are_counted() {
    let tree = TreeBuilder::kubeadm().build();
    let mut tls = Tls::of(&tree, "apiserver");
    tls.chain.extend([tls.chain[0].clone(), b"what follows is not read".to_vec()]);
    assert_eq!(served(tls).further, 2);
}

#[test]
fn a_server_with_the_key_of_another_certificate_has_not_proved_that_it_has_the_right_one() {
    let (tree, other) = (TreeBuilder::kubeadm().build(), TreeBuilder::kubeadm().seed(2).build());
    for versions in VERSIONS {
        let mut tls = Tls::of(&tree, "apiserver").versions(versions).client(Client::Demanded);
        tls.key = other.private_key(&pair("apiserver").1);
        let served = served(tls);
        assert_eq!(served.leaf.unwrap(), tree.certificate(&pair("apiserver").0));
        assert_eq!((served.has_key, served.asks_for_client), (false, true));
    }
}

#[test]
fn what_is_no_certificate_is_damage() {
    let tree = TreeBuilder::kubeadm().build();
    let whole = tree.certificate(&pair("apiserver").0).as_der().to_vec();
    for versions in VERSIONS {
        for leaf in
            [b"swordfish".to_vec(), whole[..whole.len() - 1].to_vec(), vec![0x30, 0x80], vec![0; 60_000]]
        {
            let mut tls = Tls::of(&tree, "apiserver").versions(versions);
            tls.chain = vec![leaf];
            let served = served(tls);
            assert!(served.leaf.is_err() && !served.has_key, "{served:?}");
        }
    }
}

#[test]
fn a_certificate_with_as_many_names_as_fit_is_read() {
    let mut tree = TreeBuilder::kubeadm().build();
    let (certificate, _) = pair("apiserver");
    let names =
        |count: u32| (0..count).map(|n| AlternativeName::Dns(format!("n{n:04}.example.org"))).collect();
    tree.redraft(&certificate, &pair("ca").1, |draft| {
        draft.alternative_names = AlternativeNames::new(names(3000))
    });
    assert!(tree.certificate(&certificate).as_der().len() > 54_000);
    is_seen(&tree);
}

#[test]
fn where_nobody_listens_the_server_is_down() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for (host, reason) in
        [("127.0.0.1", "Connection refused"), ("no-such-host.invalid", ""), ("", ""), ("a b", "")]
    {
        match handshake(&Endpoint::new(Service::ApiServer, host, port), PATIENCE) {
            Handshake::Down(text) => assert!(text.starts_with(reason), "{text}"),
            other => panic!("{host:?}: {other:?}"),
        }
    }
}

#[test]
fn a_server_is_reached_by_name() {
    let tree = TreeBuilder::kubeadm().build();
    let server = Server::with_tls(Tls::of(&tree, "apiserver"), |_, _| {});
    let seen = handshake(&Endpoint::new(Service::ApiServer, "localhost", server.port()), PATIENCE);
    assert!(seen.served().is_some_and(|served| served.has_key), "{seen:?}");
}

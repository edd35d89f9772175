//! Handshakes with leaves that an authority signed before it got a later end, at moments before and after its old end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use kubecerts_core::catalog::{CaSlot, FileSlot, LeafSlot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::plan::{Authorities, ExtendRequest, Permission, extend};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{Certificate, PrivateKey};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
};

/// When the authorities get a certificate that ends soon: after sixty days.
const SHORTENED: &str = "2026-12-01T00:00:00Z";
/// When they are extended, while that one is valid still.
const EXTENDED: &str = "2027-01-10T00:00:00Z";
/// When the old one has ended and the leaves have not.
const AFTER: &str = "2027-03-01T00:00:00Z";

const FIXTURES: [&str; 4] =
    ["kubeadm-v120-rsa", "kubeadm-v132-rsa2048", "kubeadm-v136-rsa2048", "kubeadm-v136-ecdsa-p256"];

/// A client and a server whose certificates the authority `ca` has signed.
const PAIRS: [(CaSlot, LeafSlot, LeafSlot, &str); 2] = [
    (CaSlot::Cluster, LeafSlot::ApiServer, LeafSlot::ApiServerKubeletClient, "kubernetes.default.svc"),
    (CaSlot::Etcd, LeafSlot::EtcdServer, LeafSlot::ApiServerEtcdClient, "localhost"),
];

#[test]
fn old_leaves_shake_hands_over_extended_authorities_before_and_after_the_old_end() {
    let mut count = 0;
    for name in FIXTURES {
        let tree = Fixture::named(name).tree();
        let old = extended(&tree, Seconds::from_days(60), at(SHORTENED));
        let new = extended(&old, Seconds::from_days(3650), at(EXTENDED));
        for (ca, server, client, host) in PAIRS {
            let (old, new) = (authority(&old, ca), authority(&new, ca));
            for store in [vec![&new], vec![&old, &new], vec![&new, &old]] {
                for moment in [EXTENDED, AFTER] {
                    let parties = Parties { tree: &tree, server, client, host, now: at(moment) };
                    let verdict = parties.shake_hands(&store, &store);
                    assert_eq!(verdict, Ok(()), "{name} {ca} {} certificates at {moment}", store.len());
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, FIXTURES.len() * PAIRS.len() * 3 * 2);
}

#[test]
fn one_side_may_have_the_new_certificate_and_the_other_the_old_one() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let new = extended(&tree, Seconds::from_days(7300), at(EXTENDED));
    for (ca, server, client, host) in PAIRS {
        let (old, new) = (authority(&tree, ca), authority(&new, ca));
        assert_ne!(old, new);
        let parties = Parties { tree: &tree, server, client, host, now: at(EXTENDED) };
        assert_eq!(parties.shake_hands(&[&old], &[&new]), Ok(()));
        assert_eq!(parties.shake_hands(&[&new], &[&old]), Ok(()));
    }
}

#[test]
fn an_authority_with_the_same_name_and_another_key_is_refused() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let other = authority(&TreeBuilder::kubeadm().seed(9).build(), CaSlot::Cluster);
    let own = authority(&tree, CaSlot::Cluster);
    assert_eq!(other.subject(), own.subject());
    let (_, server, client, host) = PAIRS[0];
    let parties = Parties { tree: &tree, server, client, host, now: at(EXTENDED) };
    for (of_client, of_server) in [(&other, &own), (&own, &other)] {
        let verdict = parties.shake_hands(&[of_client], &[of_server]);
        assert!(matches!(verdict, Err(Error::InvalidCertificate(_))), "{verdict:?}");
    }
}

#[test]
fn the_clock_of_these_handshakes_is_the_given_one() {
    let tree = Fixture::named("kubeadm-v136-rsa2048").tree();
    let own = authority(&tree, CaSlot::Cluster);
    let (_, server, client, host) = PAIRS[0];
    let parties = Parties { tree: &tree, server, client, host, now: at("2028-01-01T00:00:00Z") };
    assert!(parties.shake_hands(&[&own], &[&own]).is_err());
}

/// Returns `tree` with all authorities ending `lifetime` after `now`.
fn extended(tree: &MemoryTree, lifetime: Seconds, now: Timestamp) -> MemoryTree {
    let mut request = ExtendRequest::default();
    request.authorities = Authorities::All;
    request.lifetime = lifetime;
    request.permissions.insert(Permission::Validity);
    let snapshot = tree.snapshot();
    let plan = extend(&Inventory::parse(&snapshot), &request, now, &mut Seeded::new(4)).unwrap();
    assert_eq!(plan.extended_authorities().count(), 3);
    let mut after = tree.clone();
    after.apply(&issue(&plan, &snapshot, &mut Seeded::provider(5)).unwrap());
    after
}

fn authority(tree: &MemoryTree, ca: CaSlot) -> Certificate {
    tree.inventory().authority(ca).signer().unwrap().clone()
}

struct Parties<'a> {
    tree: &'a MemoryTree,
    server: LeafSlot,
    client: LeafSlot,
    host: &'static str,
    now: Timestamp,
}

impl Parties<'_> {
    /// Lets the two shake hands, in memory, and returns the first complaint of either.
    fn shake_hands(
        &self,
        client_trusts: &[&Certificate],
        server_trusts: &[&Certificate],
    ) -> Result<(), Error> {
        let provider = Arc::new(ring::default_provider());
        let clock = Arc::new(Clock(self.now));
        let (chain, key) = self.credential(self.client);
        let client = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock) as _)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store(client_trusts))
            .with_client_auth_cert(chain, key)?;
        let (chain, key) = self.credential(self.server);
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(store(server_trusts)),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let server = ServerConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        let name = ServerName::try_from(self.host).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        assert!(server.peer_certificates().is_some());
        Ok(())
    }

    fn credential(&self, leaf: LeafSlot) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let inventory = self.tree.inventory();
        let file = |file| inventory.file(file).path.to_string();
        let certificate = self.tree.certificate(&file(FileSlot::LeafCertificate(leaf)));
        let key: PrivateKey = self.tree.private_key(&file(FileSlot::LeafKey(leaf)));
        let key = PrivatePkcs8KeyDer::from(key.secret_pkcs8_der().secret_bytes().to_vec());
        (vec![CertificateDer::from(certificate.as_der().to_vec())], key.into())
    }
}

fn store(certificates: &[&Certificate]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(CertificateDer::from(certificate.as_der().to_vec())).unwrap();
    }
    store
}

#[derive(Debug)]
struct Clock(Timestamp);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(self.0.unix()).ok()?)))
    }
}

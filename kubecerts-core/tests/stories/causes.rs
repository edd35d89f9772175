//! Stories of the tree itself.

use kubecerts_core::catalog::{Component, Service};
use kubecerts_core::kubeconfig::{Edit, Kubeconfig, Source, edit, user_key};
use kubecerts_core::observation::{Handshake, Sighting};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::x509::{AlternativeName, AlternativeNames, DistinguishedName, KeyAlgorithm};
use kubecerts_testkit::{MemoryTree, Seeded, at, path};

use crate::{CA_KEY, ETCD_CA_KEY, NOW, Node, OVER, whole, with_manifests};

/// A node with the manifests that a real kubeadm has made.
pub(crate) fn with_programs() -> Node {
    let mut tree = whole().build();
    with_manifests(&mut tree);
    Node::of(tree)
}

pub(crate) fn copied_etcd() -> Node {
    let mut node = with_programs();
    for leaf in ["server", "peer"] {
        give_away(&mut node.tree, &format!("/etc/kubernetes/pki/etcd/{leaf}.crt"), ETCD_CA_KEY);
    }
    node.is_down(Service::EtcdClients);
    node.is_down(Service::ApiServer);
    node.is_down(Service::Scheduler);
    node.seen.gaps.push("etcd does not answer".to_owned());
    node
}

pub(crate) fn copied_servers() -> Node {
    let mut node = with_programs();
    give_away(&mut node.tree, APISERVER, CA_KEY);
    for leaf in ["server", "peer"] {
        give_away(&mut node.tree, &format!("/etc/kubernetes/pki/etcd/{leaf}.crt"), ETCD_CA_KEY);
    }
    node.is_down(Service::EtcdClients);
    node.is_down(Service::ApiServer);
    node.is_unwell(Service::ControllerManager, "/healthz");
    node
}

pub(crate) fn other_key_kind() -> Node {
    let mut node = Node::of(whole().build());
    let other = whole().algorithm(KeyAlgorithm::EcdsaP384).build();
    let key = other.certificate(APISERVER).public_key().clone();
    node.tree.redraft(APISERVER, CA_KEY, |leaf| leaf.public_key = key);
    take_over(&mut node.tree, &other, &[APISERVER_KEY]);
    node
}

pub(crate) fn other_lifetime() -> Node {
    let mut node = Node::of(whole().build());
    let everything = PlanRequest::with_selection(Selection::All);
    node.tree.renew(&everything, at("2026-02-01T00:00:00Z"), &mut Seeded::provider(2));
    node.tree.redraft(APISERVER, CA_KEY, |leaf| leaf.not_after = at("2035-06-01T00:00:00Z"));
    Node { now: "2026-02-02T00:00:00Z", written: NOW, ..node }
}

pub(crate) fn unused_sa_key() -> Node {
    let mut node = with_programs();
    let key = whole().seed(2).build().read_file("/etc/kubernetes/pki/sa.key").to_vec();
    node.tree.write(&path("/etc/kubernetes/pki/old.key"), key, 0o600);
    let flag = "private-key-file=/etc/kubernetes/pki/";
    let manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    replace(&mut node.tree, manifest, &format!("{flag}sa.key"), &format!("{flag}old.key"));
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

/// Another tree with the same names, made half a day later.
pub(crate) fn made_later() -> MemoryTree {
    whole().seed(2).made(at("2026-01-01T12:00:00Z")).build()
}

pub(crate) fn made_anew() -> Node {
    let mut node = with_programs();
    let later = made_later();
    let files: Vec<String> = later.files().map(|(path, ..)| path.to_string()).collect();
    let pki: Vec<&str> = files.iter().map(String::as_str).filter(|file| file.contains("/pki/")).collect();
    take_over(&mut node.tree, &later, &pki);
    node.is_unwell(Service::ControllerManager, "/healthz");
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

pub(crate) fn authority_made_anew() -> Node {
    let mut node = with_programs();
    take_over(&mut node.tree, &made_later(), &["/etc/kubernetes/pki/etcd/ca.crt", ETCD_CA_KEY]);
    let endpoint = Endpoint::new(Service::EtcdClients, "127.0.0.1", 2379);
    node.seen.sightings.push(Sighting::new(endpoint, Handshake::Broken("cut off".to_owned())));
    node.is_down(Service::ApiServer);
    node
}

pub(crate) fn wrong_front_proxy() -> Node {
    let mut node = with_programs();
    let flag = "requestheader-client-ca-file=/etc/kubernetes/pki/";
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    replace(&mut node.tree, manifest, &format!("{flag}front-proxy-ca.crt"), &format!("{flag}ca.crt"));
    node
}

pub(crate) fn server_shown_to_extensions() -> Node {
    let mut node = with_programs();
    for (flag, kind) in [("cert", "crt"), ("key", "key")] {
        let flag = format!("proxy-client-{flag}-file=/etc/kubernetes/pki/");
        let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let (own, others) = (format!("{flag}front-proxy-client.{kind}"), format!("{flag}apiserver.{kind}"));
        replace(&mut node.tree, manifest, &own, &others);
    }
    node
}

pub(crate) fn etcd_trusts_the_cluster() -> Node {
    let mut node = with_programs();
    let flag = " --trusted-ca-file=/etc/kubernetes/pki/";
    let manifest = "/etc/kubernetes/manifests/etcd.yaml";
    replace(&mut node.tree, manifest, &format!("{flag}etcd/ca.crt"), &format!("{flag}ca.crt"));
    node.is_down(Service::ApiServer);
    node.is_down(Service::Scheduler);
    node
}

pub(crate) fn signing_with_the_front_proxy() -> Node {
    let mut node = with_programs();
    let flag = "cluster-signing-cert-file=/etc/kubernetes/pki/";
    let manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    replace(&mut node.tree, manifest, &format!("{flag}ca.crt"), &format!("{flag}front-proxy-ca.crt"));
    node.is_down(Service::ControllerManager);
    node
}

pub(crate) fn authority_of_an_older_cluster() -> Node {
    let mut tree = made_later();
    with_manifests(&mut tree);
    take_over(&mut tree, &whole().build(), &["/etc/kubernetes/pki/ca.crt", CA_KEY]);
    let mut node = Node::of(tree);
    node.is_unwell(Service::Scheduler, "/healthz");
    node
}

pub(crate) fn shared_front_proxy() -> Node {
    let mut node = Node::of(whole().build());
    node.tree.copy("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/front-proxy-ca.crt");
    node.tree.copy(CA_KEY, "/etc/kubernetes/pki/front-proxy-ca.key");
    let issuer = node.tree.certificate("/etc/kubernetes/pki/ca.crt").subject().clone();
    node.tree.redraft("/etc/kubernetes/pki/front-proxy-client.crt", CA_KEY, |leaf| leaf.issuer = issuer);
    node
}

pub(crate) fn front_proxy_over() -> Node {
    let mut node = Node::of(whole().build());
    let (leaf, key) =
        ("/etc/kubernetes/pki/front-proxy-client.crt", "/etc/kubernetes/pki/front-proxy-ca.key");
    node.tree.redraft(leaf, key, |leaf| leaf.not_after = at(OVER));
    node.is_unwell(Service::ApiServer, "/readyz");
    node
}

pub(crate) fn clock_behind_files() -> Node {
    let mut node = Node::of(whole().build());
    // Half a day after what the clock says.
    node.written = "2026-02-01T12:00:00Z";
    node.tree.redraft("/etc/kubernetes/pki/apiserver-etcd-client.crt", ETCD_CA_KEY, |leaf| {
        leaf.not_before = at("2026-02-01T12:00:00Z");
    });
    node.is_down(Service::ApiServer);
    node
}

pub(crate) fn rewritten_by_root() -> Node {
    let mut node = with_programs();
    let kubeadms = "  securityContext:\n    seccompProfile:\n      type: RuntimeDefault\n";
    let own = "  securityContext: {runAsUser: 2003, seccompProfile: {type: RuntimeDefault}}\n";
    replace(&mut node.tree, "/etc/kubernetes/manifests/kube-scheduler.yaml", kubeadms, own);
    node.is_down(Service::Scheduler);
    node
}

pub(crate) fn administrators_without_rights() -> Node {
    let mut node = Node::of(whole().build());
    let conf = "/etc/kubernetes/admin.conf";
    let bytes = node.tree.read_file(conf).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(pem) = user.client_certificate() else { panic!("it is embedded") };
    node.tree.write(&path("/tmp/user.crt"), pem.clone(), 0o600);
    let name = DistinguishedName::kubeadm("kubernetes-admin", &["admins"]);
    node.tree.redraft("/tmp/user.crt", CA_KEY, |admin| admin.subject = name);
    let signed = node.tree.read_file("/tmp/user.crt").to_vec();
    node.tree.remove("/tmp/user.crt");
    let key = user_key(&bytes, user.name()).unwrap();
    let edited = edit(&bytes, &Edit::new().client(&signed, Some(&key), user.name())).unwrap();
    node.tree.edit(conf, |content| *content = edited.secret_bytes().to_vec());
    node.runs_since(Component::Scheduler, "2026-01-15T00:00:00Z");
    node
}

const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const APISERVER_KEY: &str = "/etc/kubernetes/pki/apiserver.key";

/// Makes the certificate another node's.
fn give_away(tree: &mut MemoryTree, leaf: &str, key: &str) {
    let change = |name: &str| name.replace("cp-1", "cp-2").replace("192.168.10.11", "192.168.10.12");
    tree.redraft(leaf, key, |leaf| {
        let names = leaf.alternative_names.as_slice().iter();
        let names = names.map(|name| AlternativeName::parse_host(&change(&name.host())).unwrap());
        leaf.alternative_names = AlternativeNames::new(names.collect());
        let name = change(leaf.subject.common_name().unwrap());
        leaf.subject = DistinguishedName::kubeadm(&name, &[]);
    });
}

/// Puts files of another tree in place of those of `tree`.
fn take_over(tree: &mut MemoryTree, other: &MemoryTree, files: &[&str]) {
    for file in files {
        tree.edit(file, |content| *content = other.read_file(file).to_vec());
    }
}

pub(crate) fn replace(tree: &mut MemoryTree, file: &str, from: &str, to: &str) {
    tree.edit(file, |content| {
        let text = std::str::from_utf8(content).unwrap();
        assert!(text.contains(from), "{file} holds no {from:?}");
        *content = text.replacen(from, to, 1).into_bytes();
    });
}

//! Trees to break, and what is found in them.

use kubecerts_core::catalog::{FileKind, FileSlot, KubeconfigSlot, Service};
use kubecerts_core::diagnosis::{FindingCode, Policy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::kubeconfig::{Edit, Kubeconfig, Source, edit, user_key};
use kubecerts_core::observation::{Handshake, Observations, Served, Sighting};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{Endpoint, FileContent, FileMeta, FileState, ReadProblem, ScanRequest};
use kubecerts_core::time::{Moment, Seconds};
use kubecerts_core::x509::{AlternativeName, AlternativeNames, certificates, encode_certificate};
use kubecerts_testkit::{Draft, Fixture, MemoryTree, TreeBuilder, at, path};

pub(crate) const CA: &str = "/etc/kubernetes/pki/ca.crt";
pub(crate) const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
pub(crate) const APISERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
pub(crate) const APISERVER_KEY: &str = "/etc/kubernetes/pki/apiserver.key";
pub(crate) const FRONT_PROXY_CA: &str = "/etc/kubernetes/pki/front-proxy-ca.crt";
pub(crate) const FRONT_PROXY_CA_KEY: &str = "/etc/kubernetes/pki/front-proxy-ca.key";
pub(crate) const FRONT_PROXY_CLIENT: &str = "/etc/kubernetes/pki/front-proxy-client.crt";
pub(crate) const ADMIN: &str = "/etc/kubernetes/admin.conf";
pub(crate) const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
pub(crate) const KUBELET_CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// A moment at which kubeadm's own trees are fresh.
pub(crate) const FRESH: &str = "2026-11-22T00:06:00Z";

/// Without kubelet.conf, since the one that kubeadm makes has a finding of its own.
pub(crate) fn whole() -> TreeBuilder {
    TreeBuilder::kubeadm().without(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet))
}

pub(crate) fn short_lived() -> TreeBuilder {
    whole().lifetime(Seconds::from_days(100))
}

/// Another cluster: the same names, other keys.
pub(crate) fn stranger() -> MemoryTree {
    whole().seed(2).build()
}

pub(crate) fn broken(change: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = whole().build();
    change(&mut tree);
    tree
}

/// Returns the code of every finding on the day after the tree was made.
pub(crate) fn codes(tree: &MemoryTree) -> Vec<FindingCode> {
    codes_at(tree, "2026-01-02T00:00:00Z")
}

pub(crate) fn codes_at(tree: &MemoryTree, now: &str) -> Vec<FindingCode> {
    codes_of(&tree.inventory(), now)
}

pub(crate) fn codes_without_access_to(file: FileSlot) -> Vec<FindingCode> {
    let mut snapshot = whole().build().snapshot();
    snapshot.insert(file, FileState::Unreadable(ReadProblem::PermissionDenied));
    codes_of(&Inventory::parse(&snapshot), "2026-01-02T00:00:00Z")
}

/// Returns the codes of a tree in which nothing is wrong, and of what was seen to run.
pub(crate) fn codes_seeing(see: impl FnOnce(&mut Observations)) -> Vec<FindingCode> {
    let mut seen = Observations::none();
    see(&mut seen);
    let (tree, now) = (dated(), at("2026-01-02T00:00:00Z"));
    let diagnosis = diagnose(&tree, &seen, Policy::default(), now);
    diagnosis.findings().iter().map(|finding| finding.code).collect()
}

/// Returns an inventory whose files are as old as the tree, but for the authorities, which are older than every program.
pub(crate) fn dated() -> Inventory {
    let mut snapshot = whole().build().snapshot();
    let files: Vec<FileSlot> = snapshot.layout().iter().map(|(file, _)| file).collect();
    for file in files {
        let FileState::Present(content) = snapshot.file(file) else { continue };
        let mut meta = content.meta().clone();
        let made =
            if file.kind() == FileKind::Kubeconfig { "2026-01-01T00:00:00Z" } else { "2025-01-01T00:00:00Z" };
        meta.modified = Some(Moment::from_unix(at(made).unix(), 0));
        meta.changed = meta.modified;
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
    }
    Inventory::parse(&snapshot)
}

/// Changes the alternative names of the API server.
pub(crate) fn rename(tree: &mut MemoryTree, change: impl FnOnce(&mut Vec<AlternativeName>)) {
    tree.redraft(APISERVER, CA_KEY, |leaf| {
        let mut names = leaf.alternative_names.as_slice().to_vec();
        change(&mut names);
        leaf.alternative_names = AlternativeNames::new(names);
    });
}

/// Returns a scan that is given the configuration from which the tree could have been made.
pub(crate) fn configured() -> ScanRequest {
    let text = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.168.10.11}
nodeRegistration: {name: cp-1}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
networking: {serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}
";
    let content = FileContent::new(SecretBytes::new(text.as_bytes().to_vec()), FileMeta::with_mode(0o644));
    let mut request = ScanRequest::default();
    request.kubeadm_config = Some((path("/kubeadm.yaml"), FileState::Present(content)));
    request
}

pub(crate) fn handshake(seen: &mut Observations, service: Service, handshake: Handshake) {
    let endpoint = Endpoint::new(service, "127.0.0.1", service.default_port());
    seen.sightings.push(Sighting::new(endpoint, handshake));
}

pub(crate) fn serve(seen: &mut Observations, service: Service, tree: &MemoryTree, file: &str) {
    handshake(seen, service, Handshake::Served(Served::new(Ok(tree.certificate(file)), 0)));
}

pub(crate) fn codes_of(inventory: &Inventory, now: &str) -> Vec<FindingCode> {
    let diagnosis = diagnose(inventory, &Observations::none(), Policy::default(), at(now));
    diagnosis.findings().iter().map(|finding| finding.code).collect()
}

/// Returns the rest of the line that `key` begins.
pub(crate) fn value(tree: &MemoryTree, file: &str, key: &str) -> String {
    let text = std::str::from_utf8(tree.read_file(file)).unwrap();
    let (_, rest) = text.split_once(key).expect("the file has this key");
    rest.lines().next().unwrap().to_owned()
}

pub(crate) fn replace(tree: &mut MemoryTree, file: &str, from: &str, to: &str) {
    tree.edit(file, |content| {
        let text = std::str::from_utf8(content).unwrap();
        assert!(text.contains(from), "{file} holds no {from:?}");
        *content = text.replacen(from, to, 1).into_bytes();
    });
}

/// Lets the kubeconfig trust `certificates` in place of the tree's authority.
pub(crate) fn trust(tree: &mut MemoryTree, kubeconfig: &str, certificates: &[u8]) {
    let edited =
        edit(tree.read_file(kubeconfig), &Edit::new().authority(certificates, "kubernetes")).unwrap();
    tree.edit(kubeconfig, |content| *content = edited.secret_bytes().to_vec());
}

/// Has the controller-manager hand the certificates in `file` to pods.
pub(crate) fn trust_from(tree: &mut MemoryTree, file: &str) {
    const MANIFEST: &str = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let kubeadms = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let manifest = String::from_utf8(kubeadms.read_file(MANIFEST).to_vec()).unwrap();
    let flag = "--root-ca-file=/etc/kubernetes/pki/ca.crt";
    assert!(manifest.contains(flag));
    let manifest = manifest.replace(flag, &format!("--root-ca-file={file}"));
    tree.write(&path(MANIFEST), manifest.into_bytes(), 0o600);
}

/// Names ecdsa-with-SHA224 as the algorithm, in the signed part and beside it.
pub(crate) fn sign_with_sha224(tree: &mut MemoryTree) {
    const SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let mut der = tree.certificate(APISERVER).as_der().to_vec();
    let positions: Vec<usize> =
        der.windows(8).enumerate().filter(|(_, window)| *window == SHA256).map(|(at, _)| at).collect();
    assert_eq!(positions.len(), 2);
    for position in positions {
        der[position + 7] = 1;
    }
    tree.edit(APISERVER, |content| *content = encode_certificate(&der).into_bytes());
}

/// Returns a tree that kubeadm made, with its manifests, with kubelet.conf as the kubelet leaves it, and with one thing broken.
pub(crate) fn broken_node(change: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    rotate(&mut tree);
    change(&mut tree);
    tree
}

/// Lets kubelet.conf refer to the certificate that it embeds.
pub(crate) fn rotate(tree: &mut MemoryTree) {
    let bytes = tree.read_file(KUBELET).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(certificate) = user.client_certificate() else { panic!("it is embedded") };
    let key = user_key(&bytes, user.name()).unwrap();
    tree.write(&path(KUBELET_CLIENT), [certificate.as_slice(), key.secret_bytes()].concat(), 0o600);
    for kind in ["certificate", "key"] {
        let embedded =
            format!("client-{kind}-data: {}", value(tree, KUBELET, &format!("client-{kind}-data: ")));
        replace(tree, KUBELET, &embedded, &format!("client-{kind}: {KUBELET_CLIENT}"));
    }
}

/// Changes the certificate that the kubeconfig embeds, and signs it again with the cluster's authority.
pub(crate) fn redraft_client(tree: &mut MemoryTree, kubeconfig: &str, change: impl FnOnce(&mut Draft)) {
    let bytes = tree.read_file(kubeconfig).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(pem) = user.client_certificate() else { panic!("it is embedded") };
    let mut draft = Draft::of(&certificates(pem).unwrap().remove(0).unwrap());
    change(&mut draft);
    let signed = encode_certificate(&draft.signed_by(&tree.private_key(CA_KEY)));
    let edited = edit(&bytes, &Edit::new().client(signed.as_bytes(), None, user.name())).unwrap();
    tree.edit(kubeconfig, |content| *content = edited.secret_bytes().to_vec());
}

/// Returns the inventory of `tree` with what the file system says about `file` changed.
pub(crate) fn with_meta(tree: &MemoryTree, file: FileSlot, change: impl FnOnce(&mut FileMeta)) -> Inventory {
    let mut snapshot = tree.snapshot();
    let content = snapshot.file(file).content().unwrap();
    let mut meta = content.meta().clone();
    change(&mut meta);
    let bytes = SecretBytes::new(content.secret_bytes().to_vec());
    snapshot.insert(file, FileState::Present(FileContent::new(bytes, meta)));
    Inventory::parse(&snapshot)
}

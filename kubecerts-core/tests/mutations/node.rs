//! A healthy node, another one of the same cluster, and one of another cluster.

use kubecerts_core::catalog::{FileSlot, KubeconfigSlot, NodeName};
use kubecerts_core::issue::{AuthorityKeys, SharedFiles, Term, issue_with_shared, node_credential};
use kubecerts_core::kubeconfig::{Edit, Kubeconfig, edit};
use kubecerts_core::plan::{ClusterIntent, InitRequest, initialise};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at, path, service_account_token};

/// The trees from which damage is made.
pub(crate) struct Nodes {
    /// The healthy one, `cp-1`.
    pub(crate) tree: MemoryTree,
    /// `cp-2` of the same cluster.
    pub(crate) sibling: MemoryTree,
    /// `cp-1` of another cluster.
    pub(crate) stranger: MemoryTree,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let tree = TreeBuilder::kubeadm().build();
        let sibling = joined(&tree);
        Self {
            sibling: complete(sibling, "cp-2"),
            stranger: complete(TreeBuilder::kubeadm().seed(2).build(), "cp-1"),
            tree: complete(tree, "cp-1"),
        }
    }
}

/// Adds what a node has beside what kubeadm issues: manifests, the kubelet's configuration and its rotated certificate
/// behind a link, an administrator's copy of admin.conf, and a pod with what it was given.
fn complete(mut tree: MemoryTree, name: &str) -> MemoryTree {
    let kubeadms = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    for (file, content, mode) in kubeadms.files().filter(|(file, ..)| file.as_str().contains("/manifests/")) {
        let text = std::str::from_utf8(content).unwrap();
        let text = match name {
            "cp-1" => text.to_owned(),
            name => text.replace("cp-1", name).replace("192.168.10.11", "192.168.10.12"),
        };
        tree.write(file, text.into_bytes(), mode);
    }
    tree.write(&path("/var/lib/kubelet/config.yaml"), KUBELET_CONFIG, 0o644);

    let node: NodeName = name.parse().unwrap();
    let term = Term { now: at("2026-01-01T00:00:00Z"), lifetime: Seconds::from_days(365) };
    let seed = name.bytes().map(u64::from).sum();
    let credential =
        node_credential(&node, &tree.snapshot(), term, &mut Seeded::new(seed), &mut Seeded::provider(seed))
            .unwrap();
    tree.write(&path(DATED), credential.file.secret_bytes().to_vec(), 0o600);
    tree.link(PEM, DATED);

    let snapshot = tree.snapshot();
    let kubelet = snapshot.layout().path(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet)).as_str().to_owned();
    let bytes = tree.read_file(&kubelet).to_vec();
    let parsed = Kubeconfig::parse(&bytes).unwrap();
    let edited = edit(&bytes, &Edit::new().reference(PEM, parsed.current().unwrap().user.name())).unwrap();
    tree.edit(&kubelet, |content| *content = edited.secret_bytes().to_vec());
    tree.copy("/etc/kubernetes/admin.conf", ADMINISTRATORS);
    let ca = tree.read_file("/etc/kubernetes/pki/ca.crt").to_vec();
    let token = service_account_token(tree.read_file("/etc/kubernetes/pki/sa.pub"));
    tree.add_pod("1", &ca, &token);
    tree
}

/// Another node of the control plane, with the same authorities.
fn joined(tree: &MemoryTree) -> MemoryTree {
    let mut intent = ClusterIntent::new("cp-2".parse().unwrap(), [192, 168, 10, 12].into());
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    let shared = SharedFiles::of(&tree.snapshot(), &intent.etcd).unwrap();
    let request = InitRequest::joining_node(true);
    let now = at("2026-01-01T00:00:00Z");
    let plan = initialise(&intent, &shared.inventory(), &request, now, &mut Seeded::new(5)).unwrap();
    let changes = issue_with_shared(&plan, &shared, AuthorityKeys::Copied, &mut Seeded::provider(5)).unwrap();
    let mut joined = MemoryTree::default();
    joined.apply(&changes);
    joined
}

const KUBELET_CONFIG: &[u8] = b"\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
";

/// The certificate that the kubelet rotates.
pub(crate) const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// Where the link of [`PEM`] leads.
pub(crate) const DATED: &str = "/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem";

/// A copy of admin.conf.
pub(crate) const ADMINISTRATORS: &str = "/root/.kube/config";

/// What a pod was given.
pub(crate) const POD: &str = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x";

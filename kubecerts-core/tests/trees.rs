//! Whole trees from nothing, one and many, as files and as Secrets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the configurations of kubeadm's trees are files")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use kubecerts_core::catalog::{DnsLabel, FileSlot};
use kubecerts_core::issue::{
    ChangeSet, IssueError, KeyReply, KeyRequest, KeySource, NewTree, RustCrypto, SecretManifest, Signature,
    Signer, SigningRequest, TreeProblem, TreeShortfall, cluster_api_secrets, issue, issue_tree, issue_trees,
    kubeadm_secret,
};
use kubecerts_core::manifest::KubeadmConfig;
use kubecerts_core::plan::{ClusterIntent, InitRequest, PlanError, initialise};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::snapshot::{FileState, ScanRequest};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, at};

const NOW: &str = "2026-11-21T23:39:06Z";

fn tree(node: &str) -> NewTree {
    intent(node).into()
}

fn intent(node: &str) -> ClusterIntent {
    let mut intent = ClusterIntent::new(node.parse().unwrap(), "192.168.10.11".parse().unwrap());
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    intent
}

fn on_disk(files: &ChangeSet) -> MemoryTree {
    let mut disk = MemoryTree::default();
    disk.apply(files);
    disk
}

/// Scans `disk` as the node of `tree`.
fn shortfall(tree: &NewTree, disk: &MemoryTree, now: &str) -> Option<TreeShortfall> {
    let mut request = ScanRequest::default();
    request.arguments = tree.arguments();
    tree.shortfall(&disk.snapshot_with(request), at(now))
}

/// Counts what a provider is asked, and refuses what is for the node `refused`.
struct Counting {
    inner: RustCrypto<Seeded>,
    generated: usize,
    signed: Cell<usize>,
    /// So many keys at most are made in one call.
    most: usize,
}

impl Counting {
    fn new(most: usize) -> Self {
        Self { inner: Seeded::provider(1), generated: 0, signed: Cell::new(0), most }
    }
}

impl KeySource for Counting {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        self.generated += 1;
        if requests.len() > self.most || requests.iter().any(|key| key.algorithm == KeyAlgorithm::EcdsaP384) {
            return Err(ProviderError::new("no"));
        }
        self.inner.generate(requests)
    }
}

impl Signer for Counting {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        self.signed.set(self.signed.get() + 1);
        self.inner.sign(requests)
    }
}

#[test]
fn a_tree_is_what_init_makes_of_the_same_configuration() {
    for fixture in FIXTURES {
        let file = Fixture::named(fixture).directory().join("kubeadm-config.yaml");
        let mut config = KubeadmConfig::parse(&std::fs::read(&file).unwrap()).unwrap();
        if config.encryption_algorithm().is_none_or(|name| name.starts_with("RSA")) {
            // Keys of this kind take too long; nothing else depends on it.
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.replace("encryptionAlgorithm: RSA-2048\n", "");
            let text = text.replace(
                "kind: ClusterConfiguration\n",
                "kind: ClusterConfiguration\nfeatureGates: {PublicKeysECDSA: true}\n",
            );
            config = KubeadmConfig::parse(text.as_bytes()).unwrap();
        }
        let tree = NewTree::from_config(&config).unwrap();
        let ours = issue_tree(&tree, at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).expect(fixture);
        let mut request = ScanRequest::default();
        request.arguments = tree.arguments();
        let nothing = MemoryTree::default().snapshot_with(request);
        let inventory = kubecerts_core::inventory::Inventory::parse(&nothing);
        let plan =
            initialise(tree.intent(), &inventory, &InitRequest::default(), at(NOW), &mut Seeded::new(9));
        let init = issue(&plan.unwrap(), &nothing, &mut Seeded::provider(5)).unwrap();
        assert!(on_disk(&ours) == on_disk(&init), "{fixture}");
        assert_eq!(shortfall(&tree, &on_disk(&ours), NOW), None, "{fixture}");
    }
}

#[test]
fn certificates_lie_where_the_configuration_says() {
    let tree = tree("cp-1").with_certificates_directory(kubecerts_testkit::path("/opt/pki"));
    let files = issue_tree(&tree, at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let disk = on_disk(&files);
    assert!(!disk.read_file("/opt/pki/etcd/ca.key").is_empty());
    assert!(!disk.read_file("/etc/kubernetes/admin.conf").is_empty());
    assert_eq!(shortfall(&tree, &disk, NOW), None);
}

#[test]
fn many_trees_are_one_batch_of_keys_and_one_of_signatures() {
    let trees: Vec<NewTree> = (0..5).map(|node| tree(&format!("cp-{node}"))).collect();
    let mut provider = Counting::new(usize::MAX);
    let made = issue_trees(&trees, at(NOW), &mut Seeded::new(9), &mut provider);
    assert_eq!((provider.generated, provider.signed.get()), (1, 1));
    let mut keys = BTreeSet::new();
    for (tree, files) in trees.iter().zip(made) {
        let disk = on_disk(&files.unwrap());
        assert_eq!(shortfall(tree, &disk, NOW), None);
        keys.insert(disk.read_file("/etc/kubernetes/pki/ca.key").to_vec());
        keys.insert(disk.certificate("/etc/kubernetes/pki/ca.crt").serial().to_string().into_bytes());
    }
    assert_eq!(keys.len(), 10, "no key and no serial number is there twice");
}

#[test]
fn one_tree_that_cannot_be_made_leaves_the_others() {
    let mut without_end = intent("cp-1");
    without_end.lifetime = Seconds(0);
    let mut odd = intent("cp-3");
    odd.algorithm = KeyAlgorithm::EcdsaP384;
    let trees = [tree("cp-0"), without_end.into(), tree("cp-2"), odd.into(), tree("cp-4")];
    let mut provider = Counting::new(usize::MAX);
    let mut made = issue_trees(&trees, at(NOW), &mut Seeded::new(9), &mut provider);
    let refused = made.remove(3).unwrap_err();
    assert_eq!((refused.index, refused.node.as_str()), (3, "cp-3"));
    assert_eq!(*refused.cause, TreeProblem::Issue(IssueError::Keys(ProviderError::new("no"))));
    let planless = made.remove(1).unwrap_err();
    assert_eq!((planless.index, planless.node.as_str()), (1, "cp-1"));
    assert_eq!(*planless.cause, TreeProblem::Plan(PlanError::Lifetime(Seconds(0))));
    for (tree, files) in [&trees[0], &trees[2], &trees[4]].into_iter().zip(made) {
        assert_eq!(shortfall(tree, &on_disk(&files.unwrap()), NOW), None);
    }
}

#[test]
fn a_provider_that_can_do_one_tree_at_a_time_does_all() {
    let trees: Vec<NewTree> = (0..3).map(|node| tree(&format!("cp-{node}"))).collect();
    let made = issue_trees(&trees, at(NOW), &mut Seeded::new(9), &mut Counting::new(16));
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert!(issue_trees(&[], at(NOW), &mut Seeded::new(9), &mut Counting::new(16)).is_empty());
}

#[test]
fn a_tree_with_a_fault_is_not_whole() {
    let tree = tree("cp-1");
    let files = issue_tree(&tree, at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let other = issue_tree(&tree, at(NOW), &mut Seeded::new(8), &mut Seeded::provider(6)).unwrap();
    let whole = on_disk(&files);
    for change in files.changes() {
        let path = change.path().as_str();
        let mut disk = whole.clone();
        disk.remove(path);
        assert!(shortfall(&tree, &disk, NOW).is_some(), "without {path}");
        let mut disk = whole.clone();
        disk.edit(path, |content| content.truncate(content.len() / 2));
        assert!(shortfall(&tree, &disk, NOW).is_some(), "with half of {path}");
        let mut disk = whole.clone();
        disk.write(change.path(), on_disk(&other).read_file(path), change.mode());
        assert!(shortfall(&tree, &disk, NOW).is_some(), "with another {path}");
        if change.file().is_secret() {
            let mut disk = whole.clone();
            disk.set_mode(path, 0o640);
            let found = shortfall(&tree, &disk, NOW).unwrap().to_string();
            assert_eq!(found, format!("{path} is open to others: its mode is 0640"));
        }
    }
    let mut elsewhere = intent("cp-1");
    elsewhere.advertise_address = "192.168.10.12".parse().unwrap();
    assert!(shortfall(&elsewhere.into(), &whole, NOW).is_some());
    assert!(shortfall(&tree, &whole, "2028-01-01T00:00:00Z").is_some(), "expired");
    let missing = shortfall(&tree, &MemoryTree::default(), NOW).unwrap();
    assert_eq!(missing.to_string(), "/etc/kubernetes/pki/ca.key (and 26 more) is not there");
}

#[test]
fn the_tree_of_another_configuration_is_not_kept() {
    let whole = |intent: &ClusterIntent| {
        on_disk(
            &issue_tree(&intent.clone().into(), at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5))
                .unwrap(),
        )
    };
    type Change = fn(&mut ClusterIntent);
    let changes: [(&str, Change, &str); 7] = [
        ("algorithm", |intent| intent.algorithm = KeyAlgorithm::EcdsaP384, "a key of the kind"),
        ("cluster", |intent| intent.cluster_name = "other".to_owned(), "the cluster"),
        (
            "surplus name",
            |intent| intent.api_server_names = vec!["DNS:extra.example.com".parse().unwrap()],
            "extra.example.com",
        ),
        ("version", |intent| intent.version = Some("v1.28.3".parse().unwrap()), ""),
        ("etcd", |intent| intent.etcd = kubecerts_core::plan::EtcdIntent::External, ""),
        ("port", |intent| intent.bind_port = 7443, "7443"),
        ("address", |intent| intent.advertise_address = "192.168.10.12".parse().unwrap(), ""),
    ];
    let plain = intent("cp-1");
    let disk = whole(&plain);
    for (what, change, said) in changes {
        let mut other = plain.clone();
        change(&mut other);
        let found = shortfall(&other.clone().into(), &disk, NOW);
        assert!(found.is_some_and(|found| found.to_string().contains(said)), "{what}");
        let other_disk = whole(&other);
        assert_eq!(shortfall(&other.into(), &other_disk, NOW), None, "{what}");
        assert!(shortfall(&plain.clone().into(), &other_disk, NOW).is_some(), "{what}, the other way");
    }
}

/// What a Secret says, read line by line.
struct Parsed {
    head: BTreeMap<String, String>,
    data: BTreeMap<String, Vec<u8>>,
}

fn parse(manifest: &SecretManifest) -> Parsed {
    let text = std::str::from_utf8(manifest.secret_bytes()).unwrap();
    let (head, data) = text.strip_prefix("---\n").unwrap().split_once("\ndata:\n").unwrap();
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once(':').unwrap();
        (key.to_owned(), value.trim().trim_matches('"').to_owned())
    };
    let decode = |text: String| {
        use base64ct::{Base64, Encoding};
        Base64::decode_vec(&text).unwrap()
    };
    let data = data.lines().map(|line| {
        assert!(line.starts_with("  "));
        let (key, value) = pair(line);
        (key, decode(value))
    });
    Parsed { head: head.lines().map(pair).collect(), data: data.collect() }
}

#[test]
fn kubeadms_secret_holds_every_file() {
    let files = issue_tree(&tree("cp-1"), at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let cluster = DnsLabel::parse("123").unwrap();
    let manifest = kubeadm_secret(&cluster, None, &files);
    assert_eq!(manifest.name(), "123-kubeadm-certs");
    assert!(!format!("{manifest:?}").contains("data"));
    let Parsed { head, data } = parse(&manifest);
    assert_eq!(head["name"], "123-kubeadm-certs");
    assert_eq!((head["kind"].as_str(), head["type"].as_str()), ("Secret", "Opaque"));
    assert_eq!(data.len(), files.changes().len());
    let disk = on_disk(&files);
    for (key, path) in [
        ("ca.crt", "pki/ca.crt"),
        ("etcd-ca.key", "pki/etcd/ca.key"),
        ("etcd-peer.crt", "pki/etcd/peer.crt"),
        ("apiserver-etcd-client.key", "pki/apiserver-etcd-client.key"),
        ("sa.pub", "pki/sa.pub"),
        ("super-admin.conf", "super-admin.conf"),
    ] {
        assert!(data[key] == disk.read_file(&format!("/etc/kubernetes/{path}")), "{key}");
    }
    let again = kubeadm_secret(&cluster, None, &files);
    assert!(manifest.secret_bytes() == again.secret_bytes(), "the same files give the same bytes");
}

#[test]
fn cluster_apis_secrets_hold_authorities_and_a_kubeconfig() {
    let files = issue_tree(&tree("cp-1"), at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let disk = on_disk(&files);
    let [cluster, namespace] = ["true", "tenants"].map(|text| DnsLabel::parse(text).unwrap());
    let manifests = cluster_api_secrets(&cluster, Some(&namespace), &files);
    let names: Vec<_> = manifests.iter().map(SecretManifest::name).collect();
    assert_eq!(names, ["true-ca", "true-etcd", "true-kubeconfig", "true-proxy", "true-sa"]);
    let expected = [
        [("tls.crt", "pki/ca.crt"), ("tls.key", "pki/ca.key")].as_slice(),
        &[("tls.crt", "pki/etcd/ca.crt"), ("tls.key", "pki/etcd/ca.key")],
        &[("value", "super-admin.conf")],
        &[("tls.crt", "pki/front-proxy-ca.crt"), ("tls.key", "pki/front-proxy-ca.key")],
        &[("tls.crt", "pki/sa.pub"), ("tls.key", "pki/sa.key")],
    ];
    for (manifest, expected) in manifests.iter().zip(expected) {
        let Parsed { head, data } = parse(manifest);
        assert_eq!(head["type"], "cluster.x-k8s.io/secret");
        assert_eq!(head["cluster.x-k8s.io/cluster-name"], "true");
        assert_eq!(head["namespace"], "tenants");
        assert_eq!(data.len(), expected.len());
        for (key, path) in expected {
            assert!(data[*key] == disk.read_file(&format!("/etc/kubernetes/{path}")), "{key} {path}");
        }
    }
}

#[test]
fn an_old_version_gives_cluster_api_its_administrator_and_an_external_etcd_no_authority() {
    let mut intent = intent("cp-1");
    intent.version = Some("v1.28.3".parse().unwrap());
    intent.etcd = kubecerts_core::plan::EtcdIntent::External;
    let files = issue_tree(&intent.into(), at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let manifests = cluster_api_secrets(&DnsLabel::parse("a").unwrap(), None, &files);
    let names: Vec<_> = manifests.iter().map(SecretManifest::name).collect();
    assert_eq!(names, ["a-ca", "a-kubeconfig", "a-proxy", "a-sa"]);
    assert!(parse(&manifests[1]).data["value"] == on_disk(&files).read_file("/etc/kubernetes/admin.conf"));
}

#[test]
fn what_was_read_back_of_every_file_is_its_own() {
    let tree = tree("cp-1");
    let files = issue_tree(&tree, at(NOW), &mut Seeded::new(9), &mut Seeded::provider(5)).unwrap();
    let snapshot = on_disk(&files).snapshot();
    let present = FileSlot::all().filter(|file| matches!(snapshot.file(*file), FileState::Present(_)));
    assert_eq!(present.count(), files.changes().len());
}

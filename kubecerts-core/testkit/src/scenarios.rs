//! Everything that can be issued, once with each provider.
//!
//! A provider passes when other people's code accepts what was issued with it: see [`judge_provider`].

use std::collections::BTreeSet;
use std::path::Path;

use kubecerts_core::catalog::{CaSlot, NodeName, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::bulk::{Batch, BulkAuthority, BulkTerms, VerificationPolicy};
use kubecerts_core::issue::external::{make_requests, wanted_certificates};
use kubecerts_core::issue::sign::{SigningOrder, SigningProfile, sign_requests};
use kubecerts_core::issue::{
    AuthorityKeys, KeySource, NewTree, SharedFiles, Signer, Term, User, issue, issue_trees,
    issue_with_shared, node_certificate, node_credential, node_request, user_credential,
};
use kubecerts_core::kubeconfig::user_key;
use kubecerts_core::plan::{
    Authorities, ClusterIntent, ExtendRequest, InitRequest, PlanRequest, Selection, create, extend,
    initialise,
};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{Certificate, FixedKey, KeyAlgorithm};

use crate::judge::{Pair, openssl_is_missing};
use crate::{Fixture, MemoryTree, Seeded, TreeBuilder, at};

/// Somebody who makes keys and signs with others.
pub trait AnyProvider: KeySource + Signer {}

impl<P: KeySource + Signer + ?Sized> AnyProvider for P {}

/// Issues in every way there is, with authorities and keys of each algorithm, and lets webpki and OpenSSL judge.
///
/// Trees are made, renewed and extended, requests are made and signed, one by one and as a batch, and users and nodes get their
/// credentials. `directory` exists, and is written into.
pub fn judge_provider(provider: &mut dyn AnyProvider, directory: &Path) {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let tree = tree_of(algorithm);
        let pairs = [
            renewed(&tree, provider),
            extended(&tree, provider),
            answered(&tree, provider),
            credentials(&tree, provider),
            batch(&tree, provider),
            joined(&tree, algorithm, provider),
        ];
        judge(&pairs, algorithm, directory);
        // RSA keys of authorities are long in the making and made as those of leaves are.
        if algorithm != KeyAlgorithm::Rsa2048 {
            judge_new_trees(algorithm, provider, directory);
        }
    }
}

/// Makes trees from nothing, one alone and two at once, and lets webpki and OpenSSL judge.
///
/// `directory` exists, and is written into.
pub fn judge_new_trees(algorithm: KeyAlgorithm, provider: &mut dyn AnyProvider, directory: &Path) {
    judge(&[new(algorithm, provider), new_at_once(algorithm, provider)], algorithm, directory);
}

fn judge(pairs: &[Vec<Pair>], algorithm: KeyAlgorithm, directory: &Path) {
    for pair in pairs.iter().flatten() {
        assert_eq!(pair.ask_webpki(at(NOW)), Ok(()), "{algorithm} {}", pair.slot);
    }
    if openssl_is_missing() {
        return;
    }
    // Each call of OpenSSL takes as long as a hundred signatures, so it is asked about three of each kind.
    for pairs in pairs.iter().filter(|pairs| !pairs.is_empty()) {
        for index in BTreeSet::from([0, pairs.len() / 2, pairs.len() - 1]) {
            pairs[index].ask_openssl(at(NOW), directory);
        }
    }
}

/// A moment at which every authority of the fixtures and of the builder is valid.
const NOW: &str = "2026-11-22T00:06:00Z";

fn tree_of(algorithm: KeyAlgorithm) -> MemoryTree {
    match algorithm {
        // kubeadm's own, so that no time goes into keys.
        KeyAlgorithm::Rsa2048 => Fixture::named("kubeadm-v136-rsa2048").tree(),
        algorithm => TreeBuilder::kubeadm().algorithm(algorithm).build(),
    }
}

fn term() -> Term {
    Term { now: at(NOW), lifetime: Seconds::from_days(30) }
}

fn intent(index: u8, algorithm: KeyAlgorithm) -> ClusterIntent {
    let node: NodeName = format!("cp-{index}").parse().expect("it is a node's name");
    let mut intent = ClusterIntent::new(node, [192, 168, 10, 10 + index].into());
    intent.algorithm = algorithm;
    intent
}

fn new(algorithm: KeyAlgorithm, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let plan = create(&intent(1, algorithm), at(NOW), &mut Seeded::new(1)).expect("the intent is usable");
    let mut tree = MemoryTree::default();
    tree.apply(&issue(&plan, &tree.snapshot(), provider).expect("a new tree can be issued"));
    Pair::all_of(&tree)
}

/// Trees that have nothing in common but the calls of the provider.
fn new_at_once(algorithm: KeyAlgorithm, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let trees = [1, 2].map(|index| NewTree::new(intent(index, algorithm)));
    let issued = issue_trees(&trees, at(NOW), &mut Seeded::new(4), provider);
    assert_eq!(issued.len(), trees.len());
    let mut pairs = Vec::new();
    for changes in issued {
        let mut tree = MemoryTree::default();
        tree.apply(&changes.expect("a new tree can be issued"));
        pairs.extend(Pair::all_of(&tree));
    }
    pairs
}

/// The tree of another node of the control plane, which shares the authorities.
fn joined(tree: &MemoryTree, algorithm: KeyAlgorithm, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let intent = intent(2, algorithm);
    let shared = SharedFiles::of(&tree.snapshot(), &intent.etcd).expect("the tree has what is shared");
    let request = InitRequest::joining_node(true);
    let plan = initialise(&intent, &shared.inventory(), &request, at(NOW), &mut Seeded::new(5))
        .expect("a node can join");
    let changes = issue_with_shared(&plan, &shared, AuthorityKeys::Copied, provider)
        .expect("what is planned can be issued");
    let mut joined = MemoryTree::default();
    joined.apply(&changes);
    Pair::all_of(&joined)
}

fn renewed(tree: &MemoryTree, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let mut tree = tree.clone();
    let slots = tree.renew(&PlanRequest::with_selection(Selection::All), at(NOW), provider);
    Pair::all_of(&tree).into_iter().filter(|pair| slots.contains(&pair.slot)).collect()
}

/// The authorities keep their keys, so what they have issued goes on.
fn extended(tree: &MemoryTree, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let mut tree = tree.clone();
    let mut request = ExtendRequest::default();
    request.authorities = Authorities::All;
    request.insist_on_lifetime(Seconds::from_days(20 * 365));
    let plan = extend(&tree.inventory(), &request, at(NOW), &mut Seeded::new(1))
        .expect("authorities can be extended");
    let changes = issue(&plan, &tree.snapshot(), provider).expect("what is planned can be issued");
    assert!(!changes.changes().is_empty());
    tree.apply(&changes);
    Pair::all_of(&tree)
}

/// Requests of the tree itself, signed by its own authority as if it were elsewhere.
fn answered(tree: &MemoryTree, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let inventory = tree.inventory();
    let request = PlanRequest::with_selection(Selection::All);
    let wanted =
        wanted_certificates(&inventory, None, &request, at(NOW)).expect("the tree says what it wants");
    let of_cluster: Vec<_> = wanted
        .certificates
        .into_iter()
        .filter(|wanted| wanted.slot.issuer() == Some(CaSlot::Cluster))
        .collect();
    let set = make_requests(&of_cluster, &inventory, at(NOW), provider).expect("requests can be made");
    let file = |name: String| {
        let found = set.files.iter().find(|file| file.name == name);
        found.expect("every request has two files").content.secret_bytes()
    };
    let records = &set.manifest.requests;
    let orders: Vec<_> = records
        .iter()
        .map(|record| SigningOrder {
            request: file(record.request_file()),
            profile: SigningProfile::of_slot(record.wanted.slot).expect("leaves have profiles"),
            lifetime: Seconds::from_days(30),
        })
        .collect();
    let snapshot = tree.snapshot();
    let answers =
        sign_requests(&orders, CaSlot::Cluster, &snapshot, at(NOW), &mut Seeded::new(3), &*provider)
            .expect("the authority can sign");
    let mut pairs = Vec::new();
    for (record, answer) in records.iter().zip(answers) {
        let certificate = answer.expect("the request is in order").certificate;
        pairs.push(pair_of(tree, record.wanted.slot, certificate, file(record.key_file())));
    }
    pairs
}

/// Credentials for a user and for two nodes, of which one has made its key itself.
fn credentials(tree: &MemoryTree, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let snapshot = tree.snapshot();
    let node: NodeName = "worker-1".parse().expect("it is a node's name");
    let made =
        node_credential(&node, &snapshot, term(), &mut Seeded::new(2), provider).expect("it can be made");
    let first = pair_of(tree, Slot::KubeletClient, made.certificate, made.file.secret_bytes());
    let request = node_request(&node, provider).expect("a request can be made");
    let pem = request.request.as_bytes();
    let signed = node_certificate(pem, &node, &snapshot, term(), &mut Seeded::new(2), &*provider)
        .expect("the request is in order");
    let second = pair_of(tree, Slot::KubeletClient, signed, request.key.secret_bytes());
    let user = User::of_tree("jane", &Inventory::parse(&snapshot)).expect("the tree has a server");
    let made =
        user_credential(&user, &snapshot, term(), &mut Seeded::new(2), provider).expect("it can be made");
    let key = user_key(made.kubeconfig.secret_bytes(), "jane").expect("the kubeconfig embeds a key");
    vec![first, second, pair_of(tree, Slot::KubeletClient, made.certificate, key.secret_bytes())]
}

/// A batch of requests by one authority.
fn batch(tree: &MemoryTree, provider: &mut dyn AnyProvider) -> Vec<Pair> {
    let snapshot = tree.snapshot();
    let authority = BulkAuthority::from_snapshot(&snapshot, CaSlot::Cluster, at(NOW)).expect("it can sign");
    let profile = SigningProfile::of_slot(Slot::KubeletClient).expect("kubelets have a profile");
    let terms = BulkTerms { profile, lifetime: Seconds::from_days(30), now: at(NOW) };
    let mut batch = Batch::new(&authority, terms).expect("the authority signs for kubelets");
    let mut keys = Vec::new();
    for index in 0..20 {
        let node: NodeName = format!("worker-{index}").parse().expect("it is a node's name");
        let made = node_request(&node, provider).expect("a request can be made");
        let notes = batch.add_request(made.request.as_bytes(), &mut Seeded::new(index));
        assert_eq!(notes, Ok(Vec::new()));
        keys.push(made.key);
    }
    let verifier = FixedKey::new(authority.key().public_key, authority.algorithm());
    batch.issue(&*provider, &verifier, VerificationPolicy::Every).expect("the batch can be issued");
    let mut pairs = Vec::new();
    for (der, key) in batch.certificates().zip(&keys) {
        let certificate = Certificate::parse_der(der).expect("it is a certificate");
        pairs.push(pair_of(tree, Slot::KubeletClient, certificate, key.secret_bytes()));
    }
    pairs
}

fn pair_of(tree: &MemoryTree, slot: Slot, certificate: Certificate, key: &[u8]) -> Pair {
    let authority =
        tree.inventory().authority(CaSlot::Cluster).signer().expect("the tree has an authority").clone();
    Pair { slot, certificate, key: key.to_vec(), authority }
}

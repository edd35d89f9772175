//! What is there already: kept when it is right, refused when it is not, and never overwritten.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "OpenSSL writes files")]
#![expect(clippy::disallowed_types, reason = "OpenSSL is a program")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use kubecerts_core::catalog::{CaSlot, KubernetesVersion, LeafSlot, Slot};
use kubecerts_core::inventory::ChainFact;
use kubecerts_core::issue::{AuthorityKeys, SharedFiles, issue, issue_with_shared};
use kubecerts_core::plan::{
    ClusterIntent, DeviationKind, EtcdIntent, InitRequest, InitScope, IssuerRef, JoiningNode, Note,
    Permission, Plan, PlanError, Reason, initialise, parse_nodes,
};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{AlternativeName, AlternativeNames, KeyAlgorithm};
use kubecerts_testkit::{MemoryTree, Seeded, TreeBuilder, at, path};

const NOW: &str = "2026-06-01T00:00:00Z";
const PKI: &str = "/etc/kubernetes/pki";

fn intent() -> ClusterIntent {
    let mut intent = ClusterIntent::new("cp-1".parse().unwrap(), [192, 168, 10, 11].into());
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    intent
}

fn plan_over(tree: &MemoryTree, request: &InitRequest) -> Result<Plan, PlanError> {
    initialise(&intent(), &tree.inventory(), request, at(NOW), &mut Seeded::new(4))
}

fn named(slots: &[&str]) -> InitRequest {
    let slots = slots.iter().map(|name| name.parse::<Slot>().unwrap()).collect();
    InitRequest::first_node(InitScope::Named(slots))
}

/// Plans and makes everything that is missing of `tree`.
fn complete(tree: &mut MemoryTree) -> Plan {
    let before: Vec<(String, Vec<u8>)> =
        tree.files().map(|(path, content, _)| (path.to_string(), content.to_vec())).collect();
    let plan = plan_over(tree, &InitRequest::default()).unwrap();
    let changes = issue(&plan, &tree.snapshot(), &mut Seeded::provider(8)).unwrap();
    tree.apply(&changes);
    assert_eq!(plan.shortfalls(&tree.inventory()), BTreeSet::new());
    for (path, content) in before {
        assert!(tree.read_file(&path) == content, "{path} was overwritten");
    }
    plan
}

fn slots(plan: &Plan) -> Vec<&str> {
    plan.steps().iter().map(|step| step.slot().name()).collect()
}

#[test]
fn what_is_missing_is_made_by_the_authorities_that_are_there() {
    let mut tree = TreeBuilder::kubeadm().build();
    for file in
        ["pki/apiserver.crt", "pki/apiserver.key", "pki/etcd/peer.crt", "pki/etcd/peer.key", "admin.conf"]
    {
        tree.remove(&format!("/etc/kubernetes/{file}"));
    }
    let plan = complete(&mut tree);
    assert_eq!(slots(&plan), ["apiserver", "etcd-peer", "admin.conf"]);
    let is_existing = |issuer: &IssuerRef| matches!(issuer, IssuerRef::Existing { .. });
    assert!(plan.steps().iter().all(|step| is_existing(&step.certificate().unwrap().issuer)));
    let kept = plan.deferred().iter().filter(|deferred| *deferred.reason() == Reason::Kept).count();
    assert_eq!((kept, plan.is_incomplete()), (3 + 5 + 4 + 1, false));
    assert!(complete(&mut tree).is_empty());
}

#[test]
fn a_plan_beside_what_exists_survives_its_document_and_needs_permission() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.remove("/etc/kubernetes/super-admin.conf");
    tree.remove(&format!("{PKI}/sa.pub"));
    let plan = plan_over(&tree, &InitRequest::default()).unwrap();
    let read = Plan::from_json(&plan.to_json()).unwrap();
    assert_eq!(read, plan);
    // Whoever edits a plan must not get a new identity unasked, and this one bypasses RBAC.
    let deviations = read.review(&tree.inventory(), at(NOW)).unwrap();
    let [deviation] = deviations.as_slice() else { panic!("{deviations:?}") };
    assert!(matches!(deviation.change, DeviationKind::NewIdentity { .. }));
    assert_eq!(deviation.change.permission(), Permission::Identity);
    assert_eq!(
        deviation.to_string(),
        "super-admin.conf: a new certificate of O = system:masters, CN = kubernetes-super-admin"
    );
}

#[test]
fn a_leaf_ends_with_its_authority_and_says_so() {
    let mut tree = TreeBuilder::kubeadm().authority_lifetime(Seconds::from_days(200)).build();
    tree.remove("/etc/kubernetes/scheduler.conf");
    let plan = complete(&mut tree);
    let step = &plan.steps()[0];
    assert!(matches!(step.notes(), [Note::Capped { ca: CaSlot::Cluster, .. }]), "{:?}", step.notes());
    let end = tree.certificate(&format!("{PKI}/ca.crt")).not_after();
    assert_eq!(step.certificate().unwrap().validity.not_after(), end);
}

#[test]
fn an_external_authority_signs_nothing_and_keeps_what_is_right() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.remove(&format!("{PKI}/ca.key"));
    let plan = plan_over(&tree, &InitRequest::default()).unwrap();
    assert!(plan.is_empty() && !plan.is_incomplete(), "{:?}", plan.deferred());
    for file in
        ["pki/apiserver.crt", "pki/apiserver.key", "pki/front-proxy-client.crt", "pki/front-proxy-client.key"]
    {
        tree.remove(&format!("/etc/kubernetes/{file}"));
    }
    let plan = plan_over(&tree, &InitRequest::default()).unwrap();
    assert_eq!(slots(&plan), ["front-proxy-client"]);
    let failures: Vec<_> = plan.deferred().iter().filter(|found| found.reason().is_failure()).collect();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].slot(), Slot::Leaf(LeafSlot::ApiServer));
    assert_eq!(failures[0].reason(), &Reason::ExternalAuthority(CaSlot::Cluster));
}

#[test]
fn what_is_named_is_made_and_no_authority_that_is_not() {
    let tree = MemoryTree::default();
    let plan = plan_over(&tree, &named(&["front-proxy-ca", "front-proxy-client", "sa"])).unwrap();
    assert_eq!(slots(&plan), ["front-proxy-ca", "front-proxy-client", "sa"]);
    let plan = plan_over(&tree, &named(&["apiserver"])).unwrap();
    assert!(plan.is_empty() && plan.is_incomplete());
    assert_eq!(
        plan.deferred()[0].reason().to_string(),
        "ca cannot sign: /etc/kubernetes/pki/ca.crt does not exist"
    );
    let certificates = plan_over(&tree, &InitRequest::first_node(InitScope::Certificates)).unwrap();
    assert_eq!(certificates.steps().len(), 3 + 7 + 1);
    let kubeconfigs =
        plan_over(&TreeBuilder::kubeadm().build(), &InitRequest::first_node(InitScope::Kubeconfigs));
    assert_eq!(kubeconfigs.unwrap().deferred().len(), 5);
}

#[test]
fn the_public_half_of_the_service_account_pair_is_made_of_the_private_one() {
    let mut tree = TreeBuilder::kubeadm().build();
    let public = tree.read_file(&format!("{PKI}/sa.pub")).to_vec();
    tree.remove(&format!("{PKI}/sa.pub"));
    assert_eq!(slots(&complete(&mut tree)), ["sa"]);
    assert_eq!(tree.read_file(&format!("{PKI}/sa.pub")), public);
}

/// Every way in which a tree may be other than the intent, and what is said about it.
#[test]
fn what_contradicts_the_intent_is_named_with_its_difference() {
    type Break = fn(&mut MemoryTree);
    let sibling = || TreeBuilder::kubeadm().seed(7).build();
    let cases: [(&str, Break, &str); 24] = [
        (
            "a key without its certificate",
            |tree| tree.remove("/etc/kubernetes/pki/apiserver.crt"),
            "apiserver.key is a key without its certificate: /etc/kubernetes/pki/apiserver.crt does not exist",
        ),
        (
            "a certificate without its key",
            |tree| tree.remove("/etc/kubernetes/pki/apiserver.key"),
            "apiserver.crt is without its private key",
        ),
        (
            "an authority's key alone",
            |tree| tree.remove("/etc/kubernetes/pki/ca.crt"),
            "ca.key is a key without its certificate",
        ),
        (
            "neither half of an authority",
            |tree| {
                tree.remove("/etc/kubernetes/pki/front-proxy-ca.crt");
                tree.remove("/etc/kubernetes/pki/front-proxy-ca.key");
            },
            "front-proxy-client.crt is without front-proxy-ca",
        ),
        (
            "another key",
            |tree| tree.copy("/etc/kubernetes/pki/etcd/peer.key", "/etc/kubernetes/pki/apiserver.key"),
            "apiserver.crt does not belong to the private key",
        ),
        (
            "another authority's key",
            |tree| tree.copy("/etc/kubernetes/pki/etcd/ca.key", "/etc/kubernetes/pki/ca.key"),
            "ca.key cannot sign: its key belongs to another certificate",
        ),
        (
            "a leaf as an authority",
            |tree| {
                tree.copy("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.crt");
                tree.copy("/etc/kubernetes/pki/apiserver.key", "/etc/kubernetes/pki/ca.key");
            },
            "ca.crt cannot sign: its certificate does not allow it to",
        ),
        (
            "an authority that is no certificate",
            |tree| tree.edit("/etc/kubernetes/pki/ca.crt", |content| *content = b"x".to_vec()),
            "ca.crt cannot be used",
        ),
        (
            "a leaf that is no certificate",
            |tree| tree.edit("/etc/kubernetes/pki/apiserver.crt", |content| *content = b"x".to_vec()),
            "apiserver.crt cannot be used",
        ),
        (
            "an empty key",
            |tree| tree.edit("/etc/kubernetes/pki/apiserver.key", Vec::clear),
            "apiserver.key cannot be used",
        ),
        (
            "another authority",
            |tree| {
                tree.copy(
                    "/etc/kubernetes/pki/front-proxy-client.crt",
                    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
                );
                tree.copy(
                    "/etc/kubernetes/pki/front-proxy-client.key",
                    "/etc/kubernetes/pki/apiserver-kubelet-client.key",
                );
            },
            "apiserver-kubelet-client.crt is not signed by ca",
        ),
        (
            "another common name",
            |tree| {
                tree.copy(
                    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
                    "/etc/kubernetes/pki/apiserver.crt",
                );
                tree.copy(
                    "/etc/kubernetes/pki/apiserver-kubelet-client.key",
                    "/etc/kubernetes/pki/apiserver.key",
                );
            },
            "apiserver.crt has the common name \"kube-apiserver-kubelet-client\" instead of \"kube-apiserver\"",
        ),
        (
            "a missing name",
            |tree| {
                tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
                    draft.alternative_names =
                        AlternativeNames::new(vec![AlternativeName::Dns("cp-1".to_owned())]);
                })
            },
            "apiserver.crt lacks the alternative names DNS:kubernetes, ",
        ),
        (
            "an expired leaf",
            |tree| {
                tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
                    draft.not_after = at("2026-05-31T23:59:59Z");
                })
            },
            "apiserver.crt expired 2026-05-31T23:59:59Z",
        ),
        (
            "a leaf of the future",
            |tree| {
                tree.redraft("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key", |draft| {
                    draft.not_before = at("2026-06-01T00:00:01Z");
                })
            },
            "apiserver.crt is not valid before 2026-06-01T00:00:01Z",
        ),
        (
            "a kubeconfig for another server",
            |tree| edit_text(tree, "/etc/kubernetes/admin.conf", "192.168.10.11", "192.168.10.99"),
            "admin.conf is for the server \"https://192.168.10.99:6443\" instead of \"https://192.168.10.11:6443\"",
        ),
        (
            "a kubeconfig that is none",
            |tree| tree.edit("/etc/kubernetes/admin.conf", |content| *content = b"[".to_vec()),
            "admin.conf cannot be used",
        ),
        (
            "an empty kubeconfig",
            |tree| tree.edit("/etc/kubernetes/admin.conf", Vec::clear),
            "admin.conf cannot be used",
        ),
        (
            "a kubeconfig without a context",
            |tree| edit_text(tree, "/etc/kubernetes/admin.conf", "current-context: ", "current-context: x"),
            "admin.conf cannot be used",
        ),
        (
            "a kubeconfig of another user",
            |tree| tree.copy("/etc/kubernetes/scheduler.conf", "/etc/kubernetes/admin.conf"),
            "admin.conf has the common name \"system:kube-scheduler\"",
        ),
        (
            "a kubeconfig without an authority",
            |tree| {
                edit_text(
                    tree,
                    "/etc/kubernetes/admin.conf",
                    "certificate-authority-data: ",
                    "certificate-authority-x: ",
                )
            },
            "admin.conf does not trust the certificate of ca",
        ),
        (
            "a public key without the private one",
            |tree| tree.remove("/etc/kubernetes/pki/sa.key"),
            "sa.pub is without its private key",
        ),
        (
            "two halves of two pairs",
            |tree| tree.copy("/etc/kubernetes/pki/apiserver.key", "/etc/kubernetes/pki/sa.key"),
            "sa.pub does not belong to the private key",
        ),
        (
            "a service account key that is none",
            |tree| tree.edit("/etc/kubernetes/pki/sa.key", |content| *content = b"x".to_vec()),
            "sa.key cannot be used",
        ),
    ];
    for (case, damage, expected) in cases {
        let mut tree = TreeBuilder::kubeadm().build();
        damage(&mut tree);
        let error = plan_over(&tree, &InitRequest::default()).expect_err(case);
        assert!(matches!(&error, PlanError::Contradictions(found) if !found.is_empty()), "{case}: {error:?}");
        assert!(error.to_string().contains(expected), "{case}: {error}");
    }
    // Of another cluster of the same names.
    let mut tree = TreeBuilder::kubeadm().build();
    for file in ["pki/apiserver.crt", "pki/apiserver.key", "admin.conf"] {
        let file = format!("/etc/kubernetes/{file}");
        tree.write(&path(&file), sibling().read_file(&file), 0o600);
    }
    let error = plan_over(&tree, &InitRequest::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "/etc/kubernetes/admin.conf does not trust the certificate of ca; /etc/kubernetes/pki/apiserver.crt is not signed by ca"
    );
}

fn edit_text(tree: &mut MemoryTree, at: &str, from: &str, to: &str) {
    tree.edit(at, |content| {
        *content = String::from_utf8(content.clone()).unwrap().replace(from, to).into_bytes()
    });
}

#[test]
fn what_an_upgraded_cluster_has_is_right() {
    let mut old = intent();
    old.version = Some(KubernetesVersion::release(1, 28));
    let mut tree = MemoryTree::default();
    let plan =
        initialise(&old, &tree.inventory(), &InitRequest::default(), at(NOW), &mut Seeded::new(4)).unwrap();
    assert!(!slots(&plan).contains(&"super-admin.conf"));
    tree.apply(&issue(&plan, &tree.snapshot(), &mut Seeded::provider(8)).unwrap());
    // The newest kubeadm adds what is new and leaves groups as they are.
    assert_eq!(slots(&complete(&mut tree)), ["super-admin.conf"]);
}

#[test]
fn a_kubelet_that_rotates_its_certificate_keeps_its_kubeconfig() {
    let mut tree = TreeBuilder::kubeadm().build();
    let text = String::from_utf8(tree.read_file("/etc/kubernetes/kubelet.conf").to_vec()).unwrap();
    let client = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    let line = |line: &str| match line.trim_start().split_once("-data: ") {
        Some((key, _)) if key.starts_with("client") => format!("    {key}: {client}"),
        _ => line.to_owned(),
    };
    let rotated: String = text.lines().map(|text| line(text) + "\n").collect();
    let embedded = kubecerts_core::kubeconfig::Kubeconfig::parse(text.as_bytes()).unwrap();
    let kubecerts_core::kubeconfig::Source::Data(mut pem) =
        embedded.current().unwrap().user.client_certificate().clone()
    else {
        panic!()
    };
    let key = kubecerts_core::kubeconfig::user_key(text.as_bytes(), "system:node:cp-1").unwrap();
    pem.extend_from_slice(key.secret_bytes());
    tree.write(&path("/etc/kubernetes/kubelet.conf"), rotated, 0o600);
    tree.write(&path(client), pem, 0o600);
    assert!(plan_over(&tree, &InitRequest::default()).unwrap().is_empty());
}

/// Runs OpenSSL in `directory`.
fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(directory).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_own_authority_and_an_intermediate_one_sign() {
    if Command::new("openssl").arg("version").output().is_err() {
        std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED openssl: not installed\n").unwrap();
        return;
    }
    let directory = std::env::temp_dir().join(format!("kubecerts-init-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("ca.ext"), "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\nsubjectKeyIdentifier=hash\n").unwrap();
    openssl(
        &directory,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -days 7000 -subj /C=DE/O=Example/CN=Root",
    );
    openssl(
        &directory,
        "req -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj /O=Example/CN=Cluster-CA",
    );
    openssl(
        &directory,
        "x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -days 6000 -extfile ca.ext -out ca.crt",
    );
    openssl(
        &directory,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout etcd.key -out etcd.crt -days 6000 -subj /CN=my-etcd",
    );
    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    // The intermediate one alone, and in a bundle with its root.
    for bundle in [read("ca.crt"), [read("ca.crt"), read("root.crt")].concat()] {
        let mut tree = MemoryTree::default();
        tree.write(&path(&format!("{PKI}/ca.crt")), bundle, 0o644);
        tree.write(&path(&format!("{PKI}/ca.key")), read("ca.key"), 0o600);
        tree.write(&path(&format!("{PKI}/etcd/ca.crt")), read("etcd.crt"), 0o644);
        tree.write(&path(&format!("{PKI}/etcd/ca.key")), read("etcd.key"), 0o600);
        // OpenSSL has no clock but the machine's, so the plan is of later.
        let now = tree.certificate(&format!("{PKI}/ca.crt")).not_before().plus(Seconds::from_days(1));
        let plan =
            initialise(&intent(), &tree.inventory(), &InitRequest::default(), now, &mut Seeded::new(4))
                .unwrap();
        assert_eq!(plan.steps().len(), 1 + 7 + 5 + 1, "{:?}", slots(&plan));
        tree.apply(&issue(&plan, &tree.snapshot(), &mut Seeded::provider(8)).unwrap());
        let inventory = tree.inventory();
        for step in plan.steps().iter().filter(|step| step.slot().issuer().is_some()) {
            let credential = inventory.credential(step.slot()).unwrap();
            let issuer = step.slot().issuer().unwrap();
            assert_eq!(credential.chain(), Some(&ChainFact::Signed(issuer)), "{}", step.slot());
        }
        fs::write(directory.join("leaf.crt"), tree.read_file(&format!("{PKI}/apiserver.crt"))).unwrap();
        openssl(
            &directory,
            &format!(
                "verify -attime {} -CAfile root.crt -untrusted ca.crt -purpose sslserver leaf.crt",
                now.unix()
            ),
        );
        let again =
            initialise(&intent(), &tree.inventory(), &InitRequest::default(), now, &mut Seeded::new(5))
                .unwrap();
        assert!(again.is_empty() && !again.is_incomplete());
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn nodes_that_join_share_authorities_and_no_key() {
    let first = TreeBuilder::kubeadm().build();
    let nodes =
        parse_nodes("cp-2 192.168.10.12\ncp-3 192.168.10.13 cp-3.example.com\ncp-4 fd00::14\n").unwrap();
    let mut keys = BTreeSet::new();
    for (seed, node) in (1..).zip(&nodes) {
        let intent = node.intent(&intent());
        let shared = SharedFiles::of(&first.snapshot(), &intent.etcd).unwrap();
        let request = InitRequest::joining_node(true);
        let plan =
            initialise(&intent, &shared.inventory(), &request, at(NOW), &mut Seeded::new(seed)).unwrap();
        assert!(!plan.is_incomplete());
        assert_eq!(plan.steps().len(), 7 + 4, "{:?}", slots(&plan));
        let changes =
            issue_with_shared(&plan, &shared, AuthorityKeys::Copied, &mut Seeded::provider(seed)).unwrap();
        let mut tree = MemoryTree::default();
        tree.apply(&changes);
        assert_eq!(plan.shortfalls(&tree.inventory()), BTreeSet::new(), "{}", node.name);
        for name in [
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.key",
            "sa.pub",
        ] {
            let file = format!("{PKI}/{name}");
            assert!(tree.read_file(&file) == first.read_file(&file), "{name}");
        }
        let inventory = tree.inventory();
        for step in plan.steps() {
            let key = inventory.credential(step.slot()).unwrap().leaf().unwrap().public_key().fingerprint();
            assert!(keys.insert(key), "{} of {}", step.slot(), node.name);
        }
        // A whole tree: the node itself finds nothing to make.
        let again = initialise(&intent, &inventory, &request, at(NOW), &mut Seeded::new(99)).unwrap();
        assert!(again.is_empty() && !again.is_incomplete());
        let modes: BTreeSet<u32> = changes.changes().iter().map(|change| change.mode()).collect();
        assert_eq!(modes, BTreeSet::from([0o600, 0o644]));
    }
    assert_eq!(keys.len(), 3 * 11);
}

#[test]
fn a_node_that_joins_makes_no_authority_and_no_pair() {
    let mut first = TreeBuilder::kubeadm().build();
    first.remove(&format!("{PKI}/etcd/ca.key"));
    let shared = SharedFiles::of(&first.snapshot(), &EtcdIntent::default()).unwrap();
    let node = JoiningNode::new("cp-2".parse().unwrap(), [192, 168, 10, 12].into());
    let plan = initialise(
        &node.intent(&intent()),
        &shared.inventory(),
        &InitRequest::joining_node(false),
        at(NOW),
        &mut Seeded::new(1),
    )
    .unwrap();
    assert!(plan.is_incomplete());
    assert!(
        !slots(&plan)
            .iter()
            .any(|slot| slot.contains("etcd") || slot.contains("super") || slot.contains("kubelet."))
    );
    for file in ["ca.crt", "sa.key", "sa.pub"] {
        let mut first = TreeBuilder::kubeadm().build();
        first.remove(&format!("{PKI}/{file}"));
        let error = SharedFiles::of(&first.snapshot(), &EtcdIntent::default()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{PKI}/{file} does not exist")), "{error}");
    }
}

#[test]
fn with_an_external_etcd_its_client_is_shared() {
    let first = TreeBuilder::kubeadm().build();
    let mut cluster = intent();
    cluster.etcd = EtcdIntent::External;
    let shared = SharedFiles::of(&first.snapshot(), &cluster.etcd).unwrap();
    let node = JoiningNode::new("cp-2".parse().unwrap(), [192, 168, 10, 12].into());
    let plan = initialise(
        &node.intent(&cluster),
        &shared.inventory(),
        &InitRequest::joining_node(true),
        at(NOW),
        &mut Seeded::new(1),
    )
    .unwrap();
    assert_eq!(plan.steps().len(), 3 + 4);
    let changes =
        issue_with_shared(&plan, &shared, AuthorityKeys::LeftOut, &mut Seeded::provider(1)).unwrap();
    let paths: Vec<&str> = changes.changes().iter().map(|change| change.path().as_str()).collect();
    assert!(paths.contains(&"/etc/kubernetes/pki/apiserver-etcd-client.key"));
    assert!(paths.contains(&"/etc/kubernetes/pki/etcd/ca.crt"));
    assert!(!paths.iter().any(|path| path.ends_with("ca.key")), "{paths:?}");
}
